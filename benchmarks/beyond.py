"""What ``--beyond low-level`` takes of a participant, and of the group's null over music.

    python benchmarks/beyond.py [--layers 1 3] [--vertices 20484] [--group]

939 kept samples as 168/256/515, delays of 3 to 9 s, 20 penalties and candidates, random features,
random responses, one thread. Every number of layers runs in a process of its own; time and peak
memory are extrapolated to 23 layers by a line through the first and the last. With ``--group`` it
is the standard deviation of unique accuracy over music at every vertex, of 39 participants who
chose among all candidates and penalties at random; refits, which it is compared with, are not
counted.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import signal
from threadpoolctl import threadpool_limits

from bids_app.analyses.group.beyond_music import ModelsOfClock
from bids_app.analyses.group.over_music import spread_out
from bids_app.analyses.participant import joint
from bids_app.analyses.participant.joint_models import layer_weights, rival_weights
from bids_app.config import Cleaning, Model
from bids_app.config.sections import LOW_LEVEL
from bids_app.group import vertex_null_sd

KEPT, CROP, SEED, N_CANDIDATES = (168, 256, 515), 15, 1, 20
LENGTHS = [n + 2 * CROP for n in KEPT]
N_LAYERS, N_PEOPLE = 23, 39


class Space:
    """In place of a `StimulusSide`: matrices of random slow features."""

    lengths = LENGTHS
    plan_options: dict[str, Any] = {  # noqa: RUF012
        "stimuli": ["a", "b", "c"],
        "delays": (3.0, 9.0),
        "crop": float(CROP),
        "tr": 1.0,
        "alphas": Model().alphas,
    }

    def __init__(self, *_: Any) -> None:
        self._rng = np.random.default_rng(SEED)

    def gram(self, _: str) -> np.ndarray:
        """Another one for every call."""
        parts = [np.cumsum(self._rng.standard_normal((n, 64)), axis=0) for n in LENGTHS]
        x = np.concatenate([part - part.mean(axis=0) for part in parts])
        return np.asarray(x @ x.T)


def measure(n_layers: int, n_vertices: int) -> None:
    """Run the step and print processor seconds and peak memory in GB."""
    rng = np.random.default_rng(0)
    low = rival_weights(len(LOW_LEVEL), N_CANDIDATES, SEED)
    layers = [f"layer {k}" for k in range(n_layers)]
    job: Any = SimpleNamespace(
        label="x",
        names=list(LOW_LEVEL),
        sources=[SimpleNamespace(name=name, layer=name) for name in LOW_LEVEL],
        layers=layers,
        weights=low,
        weights_beyond=layer_weights(low, SEED),
    )
    blocks = [
        SimpleNamespace(
            stimulus=name,
            values=rng.standard_normal((n, n_vertices), dtype=np.float32),
            times=np.arange(float(n)),
            tr=1.0,
            run=name,
        )
        for name, n in zip("abc", LENGTHS, strict=True)
    ]
    grams: Any = [SimpleNamespace(path=SimpleNamespace(name="x"))] * (len(LOW_LEVEL) + 1)
    record: Any = SimpleNamespace(participant="01")
    prepared: Any = SimpleNamespace(blocks=blocks)
    setattr(joint, "StimulusSide", Space)  # noqa: B010
    begin = time.process_time()
    with threadpool_limits(1):
        joint.fit_joint_models(record, job, grams, prepared, Cleaning(), Model())
    spent = time.process_time() - begin
    print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def measure_group(n_layers: int, n_vertices: int) -> None:
    """The same of the null over music of unique accuracy."""
    rng = np.random.default_rng(0)
    settings = {
        "spaces": [{"layer": name} for name in LOW_LEVEL],
        "candidates": N_CANDIDATES,
        "random_seed": SEED,
    }
    sides: Any = [Space() for _ in range(len(LOW_LEVEL) + 1)]
    slow = np.convolve([1, -0.9], [1, -0.9])
    people = [
        [signal.lfilter([1], slow, rng.standard_normal((n, n_vertices)), axis=0) for n in LENGTHS]
        for _ in range(N_PEOPLE)
    ]
    weights = np.zeros((n_layers, N_PEOPLE, n_layers + 1))
    weights[:, :, 0] = -1 / N_PEOPLE
    weights[np.arange(n_layers), :, np.arange(1, n_layers + 1)] = 1 / N_PEOPLE
    begin = time.process_time()
    with threadpool_limits(1):
        models = ModelsOfClock(sides, settings, [f"layer {k}" for k in range(n_layers)])
        # The last candidates have the layer in them.
        n_own = len(models[0].joint.plans) * len(Model().alphas)
        shape = (N_PEOPLE, n_layers + 1, len(LENGTHS), n_vertices)
        choices = rng.integers(1, len(models[0].alphas) + 1, shape)
        choices[:, 0] = rng.integers(1, n_own + 1, choices[:, 0].shape)
        options: Any = {"clock_of": [0] * N_PEOPLE}
        vertex_null_sd([models], people, choices, spread_out(weights), **options)
    spent = time.process_time() - begin
    print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def main() -> None:
    """Measure some numbers of layers and extrapolate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--vertices", type=int, default=20484)
    parser.add_argument("--group", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        step = measure_group if options.group else measure
        step(options.layers[0], options.vertices)
        return
    found = []
    for n in options.layers:
        call = [sys.executable, __file__, "--one", "--layers", str(n)]
        call += ["--group"] if options.group else []
        done = subprocess.run(
            [*call, "--vertices", str(options.vertices)], check=True, capture_output=True, text=True
        )
        found.append([float(one) for one in done.stdout.split()])
        print(f"{n} layers: {found[-1][0]:.1f} s, peak {found[-1][1]:.2f} GB", flush=True)
    few, many = options.layers[0], options.layers[-1]
    if few < many:
        share = (N_LAYERS - few) / (many - few)
        seconds, memory = (a + share * (b - a) for a, b in zip(found[0], found[-1], strict=True))
        print(f"{N_LAYERS} layers, by a line: {seconds:.0f} s, {memory:.2f} GB")


if __name__ == "__main__":
    main()
