"""Does it hold at the size of a large study: time and peak memory, each case in its own process.

    python benchmarks/scale.py [group isc stimulus fine] [--participants 50 100 200]

group     accuracy, preference and alignment (23 layers, fsaverage5) on synthetic maps
isc       inter-subject correlation of three pieces of 100 volumes
stimulus  20 minutes of sound through all 23 layers into Gram matrices
fine      encoding of one participant on fsaverage (327,684 vertices), one layer and its null

The maps of five made-up participants are linked under everybody's name: reading them costs what
reading different ones would.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_LAYERS, N_DIFFERENT, N_SPINS = 23, 5, 100
PIECES = {"happy": 168, "sadsh": 256, "sadln": 515}
MODEL = "vggish"


def measured(work: Callable[..., str], *arguments: object) -> None:
    """Run `work` in a process of its own and print its line with time and memory."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_report, args=(work, arguments))
    process.start()
    process.join()
    if process.exitcode:
        print(f"{work.__name__} {arguments}: ended with {process.exitcode}")


def _report(work: Callable[..., str], arguments: tuple[object, ...]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    text = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{text}: {time.process_time() - processor:.0f} s processor, "
        f"{time.perf_counter() - wall:.0f} s wall, {peak:.2f} GiB",
        flush=True,
    )


def write_people(root: Path, n_participants: int, n_times: int = 100) -> list[str]:
    """Maps and responses of a participant level that never was."""
    from bids_app.files import write_json
    from bids_app.outputs import OutputTree, sidecar_of
    from bids_app.surface.gifti import write_gifti

    tree, rng = OutputTree(root), np.random.default_rng(0)
    people = [f"{n + 1:03d}" for n in range(n_participants)]
    names = [f"layer{n:02d}" for n in range(1, N_LAYERS + 1)]
    settings = {
        "SettingsHash": "0",
        "Settings": {"space": "fsaverage5"},
        "HeldOutStimuli": list(PIECES),
        "Stimuli": dict.fromkeys(PIECES, "0"),
        "ReferenceVertices": 0,
        "DegenerateVertices": 0,
    }
    common = rng.uniform(0, 0.15, (N_LAYERS, 10242))

    def maps() -> np.ndarray:
        return common + 0.05 * rng.standard_normal(common.shape)

    def series() -> np.ndarray:
        return rng.standard_normal((n_times, 10242))

    for index, label in enumerate(people):
        write_json(tree.participant_settings(label, MODEL), settings)
        for hemi in "LR":
            files = [
                tree.participant_map(label, hemi, "fsaverage5", model=MODEL, stat="r", **stim)
                for stim in ({}, *({"stim": piece} for piece in PIECES))
            ]
            for path in files:
                _place(path, label, people[index % N_DIFFERENT], hemi, maps, names)
                if not sidecar_of(path).exists():
                    write_json(sidecar_of(path), {"DataArrays": names})
            for piece in PIECES:
                path = tree.participant_bold(label, hemi, "fsaverage5", stim=piece)
                _place(path, label, people[index % N_DIFFERENT], hemi, series, None)
                times = [k + 0.5 for k in range(n_times)]
                write_json(sidecar_of(path), {"StimulusTimes": times, "RepetitionTime": 1.0})
    mesh_values = np.random.default_rng(1).standard_normal((1, 10242)).cumsum(axis=1)
    for hemi in "LR":
        write_gifti(root / f"gradient-{hemi}.func.gii", mesh_values, hemi=hemi, names=["g"])
    return people


def _place(
    path: Path,
    label: str,
    source: str,
    hemi: str,
    draw: Callable[[], np.ndarray],
    names: list[str] | None,
) -> None:
    from bids_app.surface.gifti import write_gifti

    if label == source:
        values = draw()
        tr = None if names else 1.0
        write_gifti(path, values, hemi=hemi, names=names or ["" for _ in values], tr=tr)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(str(path).replace(f"sub-{label}", f"sub-{source}"), path)


def group(root: Path, people: list[str], n_permutations: int) -> str:
    """Every step of the group level that grows with participants, in its order."""
    from bids_app.analyses.group.accuracy import group_accuracy
    from bids_app.analyses.group.alignment import align, load_gradient
    from bids_app.analyses.group.collect import load_group
    from bids_app.analyses.group.music_alignment import MusicAlignment
    from bids_app.analyses.group.music_null import MusicNull
    from bids_app.analyses.group.preference import group_preference
    from bids_app.config import Statistics
    from bids_app.outputs import OutputTree

    tree, marks = OutputTree(root), [time.process_time()]
    statistics = Statistics(n_permutations=n_permutations, n_spins=N_SPINS, random_seed=1)
    data = load_group(tree, MODEL, people)
    marks.append(time.process_time())
    accuracy = group_accuracy(data, MusicNull(reasons=["not measured here"]), statistics)
    marks.append(time.process_time())
    preference = group_preference(tree, data, accuracy, statistics)
    marks.append(time.process_time())
    gradient = load_gradient(
        ",".join(str(root / f"gradient-{hemi}.func.gii") for hemi in "LR"), "fsaverage5"
    )
    assert preference is not None
    nothing = MusicAlignment(reason="not measured here")
    align(data, accuracy, preference, gradient, nothing, statistics)
    marks.append(time.process_time())
    steps = ("read", "accuracy", "preference", "alignment")
    parts = ", ".join(f"{s} {b - a:.0f}" for s, a, b in zip(steps, marks, marks[1:], strict=False))
    return f"group of {len(people)}, {n_permutations} permutations ({parts})"


def synchrony(root: Path, people: list[str]) -> str:
    """Inter-subject correlation, which compares everybody with everybody."""
    from bids_app.analyses.group.collect import load_group
    from bids_app.analyses.group.isc import group_isc
    from bids_app.config import Statistics
    from bids_app.outputs import OutputTree

    tree = OutputTree(root)
    with tempfile.TemporaryDirectory() as folder:
        group_isc(tree, load_group(tree, MODEL, people), Path(folder), Statistics(random_seed=1))
    return f"isc of {len(people)}"


def stimulus(minutes: int = 20) -> str:
    """All layers of a long piece of sound, from file to Gram matrices."""
    import soundfile

    from bids_app.features.cache import load_or_compute_grams

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for _ in range(minutes * 60):
                file.write(rng.uniform(0, 0.3) * rng.standard_normal(16000))
        grams = load_or_compute_grams([("long", path)], "random:0", cache_dir=Path(folder) / "c")
        n_patches = len(grams.patch_times[0])
    return f"{minutes} minutes of sound ({n_patches} patches), {N_LAYERS} layers"


def fine(n_vertices: int = 2 * 163842) -> str:
    """One layer of one participant on the finest mesh."""
    from bids_app.encoding import fit_encoding, plan_encoding

    rng, lengths = np.random.default_rng(0), list(PIECES.values())
    features = rng.standard_normal((sum(lengths), 300))
    responses = [rng.standard_normal((n, n_vertices), dtype=np.float32) for n in lengths]
    plan = plan_encoding(
        features @ features.T,
        lengths,
        stimuli=list(PIECES),
        delays=(3.0, 9.0),
        crop=15.0,
        tr=1.0,
        alphas=np.logspace(-3, 5, 20),
    )
    fit_encoding(plan, responses, selection="r", null="analytic", n_threads=1)
    held = sum(r.nbytes for r in responses) / 2**30
    return f"one layer, {n_vertices:,} vertices, {sum(lengths)} volumes (data {held:.2f} GiB)"


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=["group", "isc", "stimulus", "fine"])
    parser.add_argument("--participants", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--permutations", type=int, default=500)
    options = parser.parse_args()
    if "fine" in options.cases:
        measured(fine)
    if {"group", "isc"} & set(options.cases):
        for n_participants in options.participants:
            with tempfile.TemporaryDirectory() as folder:
                people = write_people(Path(folder), n_participants)
                if "group" in options.cases:
                    measured(group, Path(folder), people, options.permutations)
                if "isc" in options.cases:
                    measured(synchrony, Path(folder), people)
    if "stimulus" in options.cases:
        measured(stimulus)


if __name__ == "__main__":
    main()
