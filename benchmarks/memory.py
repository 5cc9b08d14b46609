"""What every step of a participant takes in memory, held against its estimate.

    python benchmarks/memory.py FOLDER [--space fsaverage] [--share .25] [--limit 4] [--whole]

One simulated participant (939 volumes with music in three runs or a --share of them, ratings, 300
volumes with two conditions; layers of noise instead of a network's) goes through the program's own
workflow, every step in a process of its own; the peak is that of the process (VmHWM of Linux). With
--whole the command runs as it is, and all its processes together are looked at every tenth of a
second. FOLDER keeps the study and the features for the next call.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

PIECES = {"happy": 168, "sadsh": 256, "sadln": 515}
N_TRIALS_VOLUMES = 300
N_LAYERS, N_UNITS = 23, 16
ONSET, TAIL = 6.0, 9.0
RATE = 16000


def write_surfaces(folder: Path) -> None:
    """A mesh of the size of fsaverage, where TemplateFlow keeps it: fsaverage5, divided twice."""
    import nibabel as nib

    from bids_app.surface.mesh import load_mesh

    target = folder / "tpl-fsaverage"
    target.mkdir(parents=True, exist_ok=True)
    for side, hemi in zip("LR", load_mesh("fsaverage5").hemispheres, strict=True):
        surfaces = {"sphere": hemi.sphere, "white": hemi.white, "pial": hemi.pial}
        faces = hemi.faces
        for _ in range(2):
            edges = np.sort(np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]))
            pairs, number = np.unique(edges, axis=0, return_inverse=True)
            middle = [len(surfaces["sphere"]) + one for one in np.split(number.ravel(), 3)]
            for name, points in surfaces.items():
                surfaces[name] = np.vstack([points, points[pairs].mean(axis=1)])
            a, b, c = faces.T
            ab, bc, ca = middle
            corners = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
            faces = np.vstack([np.stack(one, axis=1) for one in corners])
        stem = target / f"tpl-fsaverage_hemi-{side}_den-164k_"
        for name, points in surfaces.items():
            arrays = [
                nib.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
                nib.gifti.GiftiDataArray(faces.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
            ]
            nib.save(nib.gifti.GiftiImage(darrays=arrays), f"{stem}{name}.surf.gii")
        depth = nib.gifti.GiftiDataArray(np.zeros(len(points), dtype=np.float32))
        nib.save(nib.gifti.GiftiImage(darrays=[depth]), f"{stem}sulc.shape.gii")


def write_study(root: Path, space: str, share: float) -> None:
    """Dataset, derivatives, music and ratings of one participant; the BOLD is noise."""
    import h5py
    import pandas as pd
    import soundfile

    from bids_app.files import write_text
    from bids_app.surface.mesh import load_mesh
    from bids_app.testing import dataset
    from bids_app.testing.ratings import SCALES
    from bids_app.testing.study import Run

    rng, mesh = np.random.default_rng(0), load_mesh(space)
    runs = []
    for folder in ("stimuli", "layers"):
        (root / folder).mkdir(parents=True)
    pieces = {name: round(share * seconds) for name, seconds in PIECES.items()}
    for name, seconds in pieces.items():
        with h5py.File(root / "layers" / f"{name}.h5", "w") as content:
            content.attrs["layers"] = [f"layer{k:02d}" for k in range(1, N_LAYERS + 1)]
            content["time"] = np.arange(2 * seconds) / 2
            for layer in content.attrs["layers"]:
                walk = rng.standard_normal((2 * seconds, N_UNITS)).cumsum(axis=0)
                content[layer] = walk - walk.mean(axis=0)
        loudness = np.repeat(rng.uniform(0.02, 0.2, seconds), RATE)
        sound = loudness * rng.standard_normal(seconds * RATE)
        soundfile.write(root / "stimuli" / f"{name}.wav", sound, RATE)
        n_volumes = int(ONSET + seconds + TAIL)
        runs.append(Run(name, name, f"{name}.wav", n_volumes, 1.0, 0.5, ONSET, float(seconds)))
    tones = Run("tones", "", "n/a", N_TRIALS_VOLUMES, 1.0, 0.5, 0.0, 10.0)
    dataset.write_raw_dataset(root, ["01"], [*runs, tones])
    trials = pd.DataFrame({"onset": np.arange(10.0, 280.0, 30.0), "duration": 15.0})
    trials["trial_type"] = ["high", "low"] * 4 + ["high"]
    trials.to_csv(root / "sub-01" / "func" / "sub-01_task-tones_events.tsv", sep="\t", index=False)
    ratings = [50 + 10 * rng.standard_normal((5 * s, len(SCALES))) for s in pieces.values()]
    dataset.write_ratings(root, "01", runs, ratings, SCALES)
    fmriprep = root / "derivatives" / "fmriprep"
    dataset.write_fmriprep_description(fmriprep)
    func = fmriprep / "sub-01" / "func"
    for run in [*runs, tones]:
        stem = f"sub-01_task-{run.task}"
        names = [*(f"{a}_{b}" for a in ("trans", "rot") for b in "xyz"), "framewise_displacement"]
        names += ["csf", "white_matter", *(f"a_comp_cor_{k:02d}" for k in range(6))]
        table = pd.DataFrame(rng.standard_normal((run.n_volumes, len(names))), columns=names)
        dataset.write_confounds(func, stem, table.abs(), {})
        level = rng.uniform(5000, 9000, mesh.n_vertices).astype(np.float32)
        noise = rng.standard_normal((run.n_volumes, mesh.n_vertices), dtype=np.float32)
        noise *= level / 70
        noise += level
        dataset.write_surface_bold(func, stem, mesh, noise, run)
        del noise
    write_text(root / "complete", "")


def _in_its_own(node: Any, pipe: Any) -> None:
    """Run a step, and tell the largest size of the process."""
    Path("/proc/self/clear_refs").write_text("5")
    started = time.process_time()
    try:
        node.run()
    except Exception as error:  # noqa: BLE001  (told by the parent)
        pipe.send((0, 0.0, f"{type(error).__name__}: {error}"))
        return
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    pipe.send((peak * 1024, time.process_time() - started, ""))


class OneByOne:
    """A plugin of nipype: every step in a fresh process, one after the other."""

    plugin_args: ClassVar[dict[str, Any]] = {}

    def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
        """Run all steps; the table is printed as it comes about."""
        from nipype.pipeline.engine.utils import topological_sort

        context = multiprocessing.get_context("spawn")
        for node in topological_sort(graph)[0]:
            if node.run_without_submitting:
                node.run()
                continue
            ours, theirs = context.Pipe()
            process = context.Process(target=_in_its_own, args=(node, theirs))
            process.start()
            theirs.close()
            try:
                peak, seconds, error = ours.recv()
            except EOFError:
                peak, seconds, error = 0, 0.0, "killed"
            process.join()
            if error:
                print(f"{node.name}: {error}", flush=True)
                raise RuntimeError(error)
            estimate = node.mem_gb
            name = node.name.removesuffix("_01").replace("_01_", " ")
            print(
                f"| {name} | {peak / 1e9:.2f} | {estimate:.2f} | {estimate * 1e9 / peak:.2f} "
                f"| {seconds:.0f} |",
                flush=True,
            )


def arguments_of(root: Path, out: Path, options: argparse.Namespace) -> list[str]:
    """Command line of the program."""
    layers = [f"layer{k:02d}" for k in range(1, options.layers + 1)]
    given = [str(root), str(out), "participant", "--space", options.space]
    given += ["--features", f"precomputed:{root / 'layers'}", "--cache-dir", str(root / "cache")]
    given += ["--layers", *layers, "--nprocs", "2"]
    if not options.music_only:
        given += ["--contrast", "high - low"]
    else:
        given += ["--emotion", "off"]
    if options.limit:
        given += ["--mem", f"{options.limit:g}"]
    return [*given, *options.rest]


def watch(process: subprocess.Popen[bytes], found: dict[str, float]) -> None:
    """Largest sum over a process and all it started; what several share counts once."""
    while process.poll() is None:
        parents = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int(
                    (folder / "stat").read_text().split(") ")[1].split()[1]
                )
        family = {process.pid}
        while more := {child for child, parent in parents.items() if parent in family} - family:
            family |= more
        sums = dict.fromkeys(("Pss", "Pss_Anon"), 0.0)
        for one in family:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]:
                    key, _, value = line.partition(":")
                    if key in sums:
                        sums[key] += 1024 * int(value.split()[0])
        for key, value in sums.items():
            found[key] = max(found.get(key, 0.0), value)
        time.sleep(0.1)


def main(argv: list[str] | None = None) -> int:
    """Make the study where there is none, run it, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--space", default="fsaverage5", choices=("fsaverage5", "fsaverage"))
    parser.add_argument("--layers", type=int, default=23)
    parser.add_argument("--share", type=float, default=1.0, help="of the volumes")
    parser.add_argument("--limit", type=float, help="--mem, in GB")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--music-only", action="store_true")
    options, options.rest = parser.parse_known_args(argv)
    folder = options.folder.resolve()
    os.environ["TEMPLATEFLOW_HOME"] = str(folder / "templateflow")
    if options.space == "fsaverage" and not (folder / "templateflow").exists():
        write_surfaces(folder / "templateflow")
    root = folder / f"{options.space}-{options.share:g}"
    if not (root / "complete").exists():
        write_study(root, options.space, options.share)
    number = sum(1 for _ in folder.glob("out-*"))
    given = arguments_of(root, folder / f"out-{number}-{root.name}", options)
    if options.whole:
        process = subprocess.Popen([sys.executable, "-m", "bids_app", *given])
        found: dict[str, float] = {}
        watcher = threading.Thread(target=watch, args=(process, found))
        watcher.start()
        code = process.wait()
        watcher.join()
        print(
            f"exit {code}; all processes together: {found['Pss'] / 1e9:.2f} GB, "
            f"{found['Pss_Anon'] / 1e9:.2f} GB of it not mapped from files"
        )
        return code
    from bids_app.workflows import running

    from bids_app.cli.run import main as run

    running.WorkerPool = lambda arguments: OneByOne()
    print(
        "| step | peak, GB | estimate, GB | estimate / peak | processor, s |\n|---|---|---|---|---|"
    )
    return run(given)


if __name__ == "__main__":
    raise SystemExit(main())
