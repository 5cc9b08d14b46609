"""How time and memory grow with the size of a study: one exponent for each of its sizes.

    python benchmarks/growth.py [--only vertices minutes layers candidates participants]

Every size runs in a process of its own with one thread: encoding models of one participant on
made-up features (all but `participants`), or every step of the group level (`benchmarks/scale.py`).
The exponent is the slope of log time over log size; that of memory is of what goes beyond the
process that has only imported the program.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import scale

SIZES = {
    "vertices": (5_000, 10_000, 20_000, 40_000),
    "minutes": (5, 10, 20, 40),
    "layers": (1, 2, 4, 8),
    "candidates": (5, 10, 20, 40),
    "participants": (10, 20, 40),
}
TYPICAL = {"vertices": 10_000, "minutes": 10, "layers": 1, "candidates": 0}
"""Of the sizes that stay, of one participant: TR 1 s, three pieces."""
N_UNITS, N_FLIPS = 300, 100


def participant(vertices: int, minutes: int, layers: int, candidates: int) -> float:
    """Seconds of a participant's encoding models; with candidates one joint model of two spaces."""
    from bids_app.encoding import fit_encoding, plan_encoding
    from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint

    begin = time.process_time()
    rng, lengths = np.random.default_rng(0), [20 * minutes] * 3
    responses = [rng.standard_normal((n, vertices), dtype=np.float32) for n in lengths]
    options = {"stimuli": ["a", "b", "c"], "delays": (3.0, 9.0), "crop": 15.0, "tr": 1.0}

    def gram() -> np.ndarray:
        features = rng.standard_normal((sum(lengths), N_UNITS))
        return features @ features.T

    if candidates:
        grams = {"one": gram(), "other": gram()}
        weights = candidate_weights(2, candidates, np.random.default_rng(1))
        fit_joint(plan_joint(grams, lengths, weights=weights, **options), responses)
    else:
        for _ in range(layers):
            fit_encoding(plan_encoding(gram(), lengths, **options), responses)
    return time.process_time() - begin


def participants(n: int) -> float:
    """Seconds of the group level, on maps that were written before."""
    with tempfile.TemporaryDirectory() as folder:
        people = scale.write_people(Path(folder), n)
        begin = time.process_time()
        scale.group(Path(folder), people, N_FLIPS)
        return time.process_time() - begin


def _measure(sender: Connection, work: Callable[..., float], arguments: dict[str, int]) -> None:
    import bids_app.analyses.group.alignment
    import bids_app.encoding  # noqa: F401  (memory of imports does not count)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = work(**arguments)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((seconds, (after - before) / 2**20))


def measured(work: Callable[..., float], arguments: dict[str, int]) -> tuple:
    """Seconds of a processor and GiB of a call in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, work, arguments))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def exponent(sizes: tuple[int, ...], values: list[float]) -> float:
    """Slope of log value over log size."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-3)), 1)[0])


def main() -> None:
    """Measure the sizes asked for, and print a row of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(SIZES), choices=list(SIZES))
    print("| size | measured at | processor (s) | exponent | memory (GiB) | exponent |")
    print("|---|---|---|---|---|---|")
    for name in parser.parse_args().only:
        sizes = SIZES[name]
        found = [
            measured(participants, {"n": n})
            if name == "participants"
            else measured(participant, TYPICAL | {name: n})
            for n in sizes
        ]
        seconds, memory = ([one[k] for one in found] for k in (0, 1))
        cells = (
            name,
            ", ".join(map(str, sizes)),
            ", ".join(f"{one:.1f}" for one in seconds),
            f"{exponent(sizes, seconds):.2f}",
            ", ".join(f"{one:.2f}" for one in memory),
            f"{exponent(sizes, memory):.2f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
