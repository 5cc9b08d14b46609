"""Listeners whose responses are fitted by low-level sound with and without layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.analyses.group.beyond_music import ModelsOfClock
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.encoding.joint import fit_joint

LENGTHS = {"a": 90, "b": 100, "c": 110}
GRID = [1.0, 30.0, 1000.0]
SETTINGS = {
    "spaces": [{"layer": "envelope"}, {"layer": "cochleagram"}],
    "candidates": 6,
    "random_seed": 3,
}


def slow(rng, n_times, n_columns):
    """Series of the autocorrelation of responses."""
    white = rng.standard_normal((n_times + 9, n_columns))
    return sum(white[k : k + n_times] for k in range(10)) / 3


class Side:
    """What a `StimulusSide` gives, from features that are made up.

    Parameters
    ----------
    names : sequence of str
        Layers.
    shared : float
        How much a layer has of those before it, so that neighbors are alike.
    """

    lengths = tuple(LENGTHS.values())

    def __init__(self, *names, shared=0.0):
        self.features = {}
        before = None
        for name in names:
            rng = np.random.default_rng([ord(letter) for letter in name])
            parts = [slow(rng, n, 4) for n in self.lengths]
            if before is not None and shared:
                own = np.sqrt(1 - shared**2)
                parts = [shared * b + own * p for b, p in zip(before, parts, strict=True)]
            before = parts
            self.features[name] = [part - part.mean(axis=0) for part in parts]

    def gram(self, name):
        """Products of the samples of a layer."""
        whole = np.concatenate(self.features[name])
        return whole @ whole.T

    @property
    def plan_options(self):
        """As of a `StimulusSide`."""
        return {
            "stimuli": list(LENGTHS),
            "delays": (0.0, 3.0),
            "crop": 4.0,
            "tr": 1.0,
            "alphas": GRID,
        }


def listeners(folder: Path, layers: Side, loads, *, n_people=6, seed=0, shared_noise=0.4):
    """Fits of people who share some noise and follow layers.

    Parameters
    ----------
    folder : Path
        Of their responses.
    layers : Side
    loads : mapping from layer to array of shape (n_units, n_vertices)
        What the responses have of it; every one has an array, perhaps of zeros.
    """
    rng = np.random.default_rng(seed)
    names = list(layers.features)
    n_vertices = next(iter(loads.values())).shape[1]
    models = ModelsOfClock([Side("envelope"), Side("cochleagram"), layers], SETTINGS, names)
    shared = [slow(rng, n, n_vertices) for n in LENGTHS.values()]
    r, choices, paths = [], [], []
    plans = [model.joint for model in models]
    for person in range(n_people):
        responses = []
        for k, common in enumerate(shared):
            heard = sum(
                np.roll(layers.features[name][k], 2, axis=0) @ load for name, load in loads.items()
            )
            responses.append(shared_noise * common + slow(rng, len(common), n_vertices) + heard)
        own = []
        for k, one in enumerate(responses):
            own.append(folder / f"{seed}_{person}_{k}.npy")
            np.save(own[-1], one.astype(np.float32))
        paths.append(tuple(own))
        fits = [fit_joint(plan, responses, leave_out=()) for plan in plans]
        r.append([fit.mean_r for fit in fits])
        choices.append(
            [
                plan.choices.chosen(fit.candidate, fit.alpha)
                for plan, fit in zip(plans, fits, strict=True)
            ]
        )
    times = tuple(np.arange(float(n)) for n in LENGTHS.values())
    heard = Heard(
        people=tuple(range(n_people)),
        clock_of=(0,) * n_people,
        clocks=(Presentations(tuple(LENGTHS), times, 1.0),),
        responses=tuple(paths),
        checksums={one: one * 8 for one in LENGTHS},
    )
    data = GroupData(
        model="vggish",
        participants=[f"{k:02d}" for k in range(n_people)],
        r=np.array(r, np.float32),
        layer_names=["low-level", *names],
        stimuli=list(LENGTHS),
        held_out=list(LENGTHS),
        settings={"alphas": GRID},
        rows=[],
    )
    return models, heard, data, np.array(choices, np.float32)
