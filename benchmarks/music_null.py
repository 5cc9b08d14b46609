"""Cost of the null over music at a study's size: few summaries, maps, many sets.

    python benchmarks/music_null.py [--vertices 512 1536] [--only NAME ...]

39 participants, 23 layers, three pieces of 189, 282 and 376 kept samples, 20 penalties chosen at
random around a level for each vertex. Simulated layers and slow noise are made so that as many
frequencies (about 19, 27, 36) and axes of the basis (about 17) are needed as for the 23 layers of
VGGish and real rest; the first line says how many. Every case runs at both numbers of vertices, in
turn, on one thread; its seconds of processor time are extrapolated to 20,484 by a line. Responses
are memory mapped. Peak memory is that of the process, whose plans are made beforehand.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import signal
from threadpoolctl import threadpool_limits

from bids_app.encoding import EncodingPlan, plan_encoding
from bids_app.group import (
    accuracy_music_null,
    layer_set_kernels,
    linear_music_kernel,
    linear_music_null,
    vertex_null_sd,
)

N_PARTICIPANTS, N_LAYERS, N_ALL, N_REGIONS = 39, 23, 20_484, 400
LENGTHS = (219, 312, 406)
CROP = 15
ALPHAS = np.logspace(-3, 5, 20)


def make_plans() -> list[EncodingPlan]:
    """Layers of one network: what the layer before has, smoother, and something of their own."""
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(n, 60)) for n in LENGTHS]
    plans = []
    for _ in range(N_LAYERS):
        own = [rng.normal(size=one.shape) for one in features]
        features = [
            signal.lfilter([1], [1, -0.15], one + 2 * other, axis=0)
            for one, other in zip(features, own, strict=True)
        ]
        features = [one / one.std() for one in features]
        stacked = np.vstack(features)
        gram = stacked @ stacked.T
        plans.append(plan_encoding(gram, LENGTHS, delays=(3, 9), crop=CROP, tr=1.0, alphas=ALPHAS))
        _ = plans[-1].resolution
    return plans


def make_responses(folder: Path, n_vertices: int) -> list[list[np.ndarray]]:
    """Memory-mapped responses of every participant."""
    rng = np.random.default_rng(1)
    out = []
    for participant in range(N_PARTICIPANTS):
        own = []
        for piece, n in enumerate(LENGTHS):
            path = folder / f"{n_vertices}_{participant}_{piece}.npy"
            noise = rng.normal(size=(n + 40, n_vertices))
            slow = signal.lfilter([1], np.convolve([1, -0.9], [1, -0.9]), noise, axis=0)[40:]
            np.save(path, slow.astype(np.float32))
            own.append(np.load(path, mmap_mode="r"))
        out.append(own)
    return out


def make_alphas(n_vertices: int) -> np.ndarray:
    """Penalties, (n_participants, n_layers, n_folds, n_vertices)."""
    rng = np.random.default_rng(2)
    level = rng.normal(size=n_vertices) * 3 + 10
    own = level + rng.normal(size=(N_PARTICIPANTS, N_LAYERS, len(LENGTHS), n_vertices)) * 3
    return ALPHAS[np.clip(own.round().astype(int), 0, 19)].astype(np.float32)


class Case:
    """Arrays of one size, and the calls that are timed."""

    def __init__(self, plans: list[EncodingPlan], folder: Path, n_vertices: int) -> None:
        rng = np.random.default_rng(3)
        self.plans, self.n_vertices = plans, n_vertices
        self.responses = make_responses(folder, n_vertices)
        self.alphas = make_alphas(n_vertices)
        depth = np.linspace(-1, 1, N_LAYERS)
        slopes = depth + 0.1 * rng.normal(size=(N_PARTICIPANTS, N_LAYERS))
        self.slopes = (slopes - slopes.mean(axis=1, keepdims=True)).astype(np.float32)
        self.ranks = rng.permutation(n_vertices).astype(np.float32) - n_vertices / 2
        self.sets = np.arange(n_vertices) * N_REGIONS // N_ALL

    def slope_weights(self, part: slice) -> np.ndarray:
        """Of a slope at every vertex."""
        n = len(range(*part.indices(self.n_vertices)))
        return np.broadcast_to(self.slopes[..., np.newaxis], (1, *self.slopes.shape, n))

    def alignments(self, n: int) -> Callable[[slice], np.ndarray]:
        """Of alignments of the slope with n gradients."""
        ranks = np.stack([np.roll(self.ranks, k) for k in range(n)])
        return lambda part: self.slopes[..., np.newaxis] * ranks[:, None, None, part]

    def run(self, name: str) -> object:
        """One of the calls."""
        arrays = (self.plans, self.responses, self.alphas)
        if name == "accuracy":
            return accuracy_music_null(*arrays, np.zeros((N_LAYERS, self.n_vertices)))
        if name == "alignment":
            return linear_music_null(*arrays, self.alignments(1), observed=[0.0], seed=1)
        if name == "three alignments":
            return linear_music_null(*arrays, self.alignments(3), observed=np.zeros(3), seed=1)
        if name == "slope at every vertex":
            return vertex_null_sd(*arrays, self.slope_weights)
        return layer_set_kernels(*arrays, self.sets)


NAMES = (
    "accuracy",
    "alignment",
    "three alignments",
    "slope at every vertex",
    "23 layers x 400 regions",
)


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vertices", type=int, nargs=2, default=(512, 1536))
    parser.add_argument("--only", nargs="*", default=NAMES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        plans = make_plans()
        cases = [Case(plans, Path(folder), n) for n in options.vertices]
        small = cases[0]
        kernel = linear_music_kernel(plans, small.responses, small.alphas, small.alignments(1))
        kept = [len(one) for one in kernel.frequencies]
        print(f"kept frequencies {kept}; memory before {peak():.2f} GB", flush=True)
        for name in options.only:
            seconds = []
            for case in cases:
                start = time.process_time()
                case.run(name)
                seconds.append(time.process_time() - start)
            small, large = options.vertices
            slope = (seconds[1] - seconds[0]) / (large - small)
            fixed = seconds[0] - slope * small
            print(
                f"{name}: {seconds[0]:.1f} and {seconds[1]:.1f} s; fixed {fixed:.1f} s, all "
                f"vertices {slope * N_ALL:.1f} s, total {fixed + slope * N_ALL:.1f} s; "
                f"peak {peak():.2f} GB",
                flush=True,
            )


def peak() -> float:
    """Peak memory of the process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
