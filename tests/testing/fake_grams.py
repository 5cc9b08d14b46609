"""Features of a made-up network, so that no test here needs to run the real one."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bids_app.testing.study import Run

N_LAYERS = 23
HOP = 0.48
DURATIONS = (50.0, 60.0, 75.0)


class FakeGrams:
    """What layers have in common changes slowly with depth."""

    def __init__(self, labels, durations, seed=0, n_units=60):
        rng = np.random.default_rng(seed)
        self.labels, self.durations = tuple(labels), tuple(durations)
        self.layer_names = tuple(f"layer{k}" for k in range(1, N_LAYERS + 1))
        self.patch_times = tuple(np.arange(0.4875, d - 0.48, HOP) for d in durations)
        n_patches = [len(times) for times in self.patch_times]
        self.features = []
        state = rng.standard_normal((sum(n_patches), n_units))
        for _ in range(N_LAYERS):
            state = 0.8 * state + 0.6 * rng.standard_normal(state.shape)
            parts = np.split(gaussian_filter1d(state, 3.0, axis=0), np.cumsum(n_patches)[:-1])
            parts = [(part - part.mean(0)) / part.std(0) for part in parts]
            self.features.append(np.concatenate(parts))

    def gram(self, layer):
        return self.features[layer - 1] @ self.features[layer - 1].T


def make_runs(durations, tr=1.0):
    return [
        Run(
            task=f"piece{k}",
            stimulus=f"piece{k}",
            stim_file=f"piece{k}.wav",
            n_volumes=int((6 + duration + 9) / tr),
            tr=tr,
            start_time=0.4,
            onset=6.0,
            duration=duration,
        )
        for k, duration in enumerate(durations)
    ]
