"""Small runs, ratings and feature Gram matrices with known relations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from bids_app.analyses.conditions import participant as condition_analyses
from bids_app.analyses.ratings import brain_glm
from bids_app.inputs.ratings import Rating, RatingSet
from bids_app.inputs.records import BoldRun, Presentation
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import Hemisphere, SurfaceMesh

DURATIONS = {"happy": 120.0, "sadsh": 140.0, "sadln": 160.0}
RATE = 5.0
N_HALF = 20


def smooth(rng: np.random.Generator, n: int, width: float) -> np.ndarray:
    return gaussian_filter1d(rng.standard_normal(n + 200), width)[100:-100] / width**-0.5


def walk(seed: int, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """A slider: smooth, at 5 Hz."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(duration * RATE) + 1) / RATE
    return times, 50 + 10 * smooth(rng, len(times), 12.0)


@pytest.fixture
def ratings() -> RatingSet:
    """Two scales of everybody, as a group's mean."""
    found = []
    for i, (stimulus, duration) in enumerate(DURATIONS.items()):
        for j, scale in enumerate(("Emotionality", "Enjoyment")):
            times, values = walk(10 * i + j, duration)
            found.append(Rating(None, stimulus, scale, times, values, "ratings.tsv"))
    return RatingSet(tuple(found))


@pytest.fixture
def mesh(monkeypatch) -> SurfaceMesh:
    """Two rows of twenty vertices, 5 mm apart, in a ribbon of triangles; the analyses load it."""
    sides = []
    for structure, x in (("CortexLeft", -30.0), ("CortexRight", 30.0)):
        step = np.arange(N_HALF)
        points = np.stack([x + 2.0 * (step % 2), 5.0 * step, np.zeros(N_HALF)], axis=1)
        faces = np.stack([step[:-2], step[1:-1], step[2:]], axis=1).astype(np.int32)
        flat = np.zeros(N_HALF)
        sides.append(Hemisphere(structure, points, points, points, points, faces, flat))
    mesh = SurfaceMesh("ribbon", *sides)
    for module in (brain_glm, condition_analyses):
        monkeypatch.setattr(module, "load_mesh", lambda space: mesh)
    return mesh


@pytest.fixture
def make_run(tmp_path):
    """Write the BOLD of a run and describe it; music starts at second 10."""

    def make(stimulus: str, bold: np.ndarray, *, participant="01", n_dummy=0, start=0.5) -> BoldRun:
        half = bold.shape[1] // 2
        paths = []
        for hemi, part in (("L", bold[:, :half]), ("R", bold[:, half:])):
            path = tmp_path / f"sub-{participant}_task-{stimulus}_hemi-{hemi}_bold.func.gii"
            names = [str(k) for k in range(len(part))]
            paths.append(write_gifti(path, part.astype(np.float32), hemi=hemi, names=names))
        return BoldRun(
            entities={"sub": participant, "task": stimulus},
            space="fsaverage5",
            bold_left=Path(paths[0]),
            bold_right=Path(paths[1]),
            confounds_file=None,
            confounds_json=None,
            tr=1.0,
            tr_source="test",
            start_time=start,
            start_time_source="test",
            n_volumes=len(bold),
            n_dummy=n_dummy,
            presentations=(Presentation(stimulus, 10.0, 0.0, DURATIONS[stimulus]),),
            warnings=(),
            sources=(),
        )

    return make


def noise(rng: np.random.Generator, n_times: int, n_vertices: int, rho: float = 0.4) -> np.ndarray:
    values = rng.standard_normal((n_times, n_vertices))
    for k in range(1, n_times):
        values[k] += rho * values[k - 1]
    return values


@dataclass
class Grams:
    """What the analyses read of `FeatureGrams`."""

    labels: tuple[str, ...]
    durations: tuple[float, ...]
    patch_times: tuple[np.ndarray, ...]
    layer_names: tuple[str, ...]
    activations: list[list[np.ndarray]]

    def called(self, checksums: dict[str, str]) -> Grams:
        """Nothing was renamed."""
        return self

    def gram(self, layer: int) -> np.ndarray:
        stacked = np.concatenate(self.activations[layer - 1])
        return stacked @ stacked.T


@pytest.fixture
def grams() -> Grams:
    """Five layers of eight units each, at 0.48 s."""
    rng = np.random.default_rng(77)
    times = tuple(0.4875 + 0.48 * np.arange(int((d - 0.96) / 0.48)) for d in DURATIONS.values())
    layers = []
    for _ in range(5):
        units = [np.stack([smooth(rng, len(t), 4.0) for _ in range(8)], axis=1) for t in times]
        layers.append([(u - u.mean(0)) / u.std(0) for u in units])
    return Grams(tuple(DURATIONS), tuple(DURATIONS.values()), times, tuple("abcde"), layers)


def rating_of_layer(
    grams: Grams, layer: int, lag: float, explained: float, seed: int, common: int = 5
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A rating that follows one layer `lag` seconds later."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(common).standard_normal(8)
    found = {}
    for label, duration, times, units in zip(
        grams.labels, grams.durations, grams.patch_times, grams.activations[layer - 1], strict=True
    ):
        clock = np.arange(int(duration * RATE) + 1) / RATE
        signal = np.interp(clock - lag, times, units @ weights)
        own = smooth(rng, len(clock), 15.0)
        signal, own = signal / signal.std(), own / own.std()
        found[label] = (clock, 50 + 10 * (explained**0.5 * signal + (1 - explained) ** 0.5 * own))
    return found
