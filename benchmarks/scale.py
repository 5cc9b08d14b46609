"""Does it hold at the size of a large study: time and peak memory, each case in its own process.

    python benchmarks/scale.py [group isc stimulus fine] [--participants 50 100 200]

group     accuracy, preference and alignment (23 layers, fsaverage5) on synthetic maps
isc       inter-subject correlation of three pieces of 100 volumes
stimulus  20 minutes of sound through all 23 layers into Gram matrices
fine      encoding of one participant on fsaverage (327,684 vertices), one layer and its null

The maps are written by the program's own writers, which takes some seconds for each participant.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_LAYERS, N_SPINS = 23, 100
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


def write_people(root: Path, n_participants: int, *, responses: bool = False) -> list[str]:
    """Maps of a participant level that never was, by its own writers; cleaned `responses` too."""
    from bids_app.analyses.folder.records import Record
    from bids_app.analyses.participant.layers import LayerFits
    from bids_app.analyses.participant.responses import Block, Prepared
    from bids_app.analyses.participant.write import write_participant, write_responses
    from bids_app.config import Config
    from bids_app.features.timing import SAMPLING
    from bids_app.outputs import OutputTree
    from bids_app.surface.gifti import write_gifti

    tree, rng = OutputTree(root), np.random.default_rng(0)
    people = [f"{n + 1:03d}" for n in range(n_participants)]
    names = [f"layer{n:02d}" for n in range(1, N_LAYERS + 1)]
    config = Config(bids_dir=root, output_dir=root, level="participant")
    told = {
        "layers": names,
        "sampling": SAMPLING,
        "layer_depth": np.linspace(0, 1, N_LAYERS).tolist(),
    }
    common = rng.uniform(0, 0.15, (N_LAYERS, 1, 20484))
    for label in people:
        fold_r = common + 0.05 * rng.standard_normal((N_LAYERS, len(PIECES), 20484))
        r = fold_r.mean(axis=1).astype(np.float32)
        fits = LayerFits(
            r=r,
            **dict.fromkeys(("z", "p", "q", "null_sd"), np.ones_like(r)),
            fold_r=fold_r.astype(np.float32),
            alpha=np.ones(fold_r.shape, dtype=np.float32),
            fold_stimuli=list(PIECES),
            layer_names=names,
            features_folder="",
            table=[{"layer": k, "name": name} for k, name in enumerate(names, start=1)],
            n_degenerate=0,
            average_sd_ratio=0.9,
        )
        n_times = 100 if responses else 1
        blocks = [
            Block(
                piece,
                f"task-{piece}",
                1.0,
                np.arange(n_times) + 0.5,
                rng.standard_normal((n_times, 20484), dtype=np.float32),
            )
            for piece in PIECES
        ]
        record = Record(
            participant=label,
            model=MODEL,
            settings=config.participant_settings("random:0") | told,
            sources=[],
            inputs={},
            stimuli=dict.fromkeys(PIECES, "0" * 64),
            features={},
        )
        shared = write_responses(tree, record, Prepared(blocks)) if responses else []
        write_participant(tree, record, fits, None, blocks, shared=shared)
    gradient = rng.standard_normal((1, 10242)).cumsum(axis=1)
    for hemi in "LR":
        write_gifti(root / f"gradient-{hemi}.func.gii", gradient, hemi=hemi, names=["g"])
    return people


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
                people = write_people(
                    Path(folder), n_participants, responses="isc" in options.cases
                )
                if "group" in options.cases:
                    measured(group, Path(folder), people, options.permutations)
                if "isc" in options.cases:
                    measured(synchrony, Path(folder), people)
    if "stimulus" in options.cases:
        measured(stimulus)


if __name__ == "__main__":
    main()
