"""Small version of benchmarks/calibration_claims.py: noise of a real brain and unheard music.

Studies go through the group level's own functions, as in the benchmark, at every fourth vertex.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_data import DATA
from scipy import stats

ROOT = Path(__file__).parents[2]
REST = Path(os.environ.get("MUSENC_REST", "nowhere"))
MODULES = ("calibration_claims", "kept_studies", "claims_table", "listeners")
CHANGED = {
    "over_music": ("N_DRAWS", "N_INSTEAD", "INSTEAD_VERTICES"),
    "refits": ("N_REFITS", "REFIT_COLUMNS"),
}
N_SEEDS, N_LAYERS, N_UNITS = 8, 5, 200
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "gradient").is_dir(), reason=f"no real data in {DATA} (set MUSENC_TEST_DATA)"
    ),
    pytest.mark.skipif(
        not (REST / "brainspace").is_dir(),
        reason="MUSENC_REST names no folder with the unpacked wheel of brainspace",
    ),
]


@pytest.fixture(scope="module")
def claims():
    """The benchmark; what it sets in the product is put back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        for module, names in CHANGED.items():
            changed = importlib.import_module(f"bids_app.analyses.group.{module}")
            for name in names:
                patch.setattr(changed, name, getattr(changed, name))
        yield importlib.import_module("calibration_claims")
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def brain(claims):
    whole = claims.listeners.load_brain(REST, DATA)
    return replace(whole, cortex=whole.cortex & (np.arange(whole.cortex.size) % 4 == 0))


@pytest.fixture(scope="module")
def music(claims):
    """Random rectified units on top of log-mel patches of the recordings, layer on layer."""
    from bids_app.features.sources import stimulus_patches

    patches = [stimulus_patches(path, 0.48)[0] for path in sorted((DATA / "audio").glob("*.ogg"))]
    units = np.concatenate([one.reshape(len(one), -1) for one in patches]).astype(np.float64)
    rng = np.random.default_rng(5)
    grams = []
    for _ in range(N_LAYERS):
        units = (units - units.mean(axis=0)) / np.maximum(units.std(axis=0), 1e-6)
        units = np.maximum(units @ rng.standard_normal((units.shape[1], N_UNITS)), 0)
        grams.append(units @ units.T / np.sum(units**2))
    return claims.Music(grams)


@pytest.fixture(scope="module")
def nothing(claims, brain, music):
    """Results of studies in which listeners share none, a tenth or three tenths of their noise."""
    return [
        claims.run(brain, music, cell, seed, full=False)
        for isc in (0.0, 0.1, 0.3)
        for noise in ("windows", "surrogates")
        for cell in [claims.Cell(f"{noise}, {isc}", n_participants=8, isc=isc, noise=noise)]
        for seed in range(N_SEEDS)
    ]


def exceeds_level(p):
    """Whether more p are below .05 than one in a hundred samples of such studies would have."""
    hits = int((np.array(p) < 0.05).sum())
    return stats.binomtest(hits, len(p), 0.05, alternative="greater").pvalue < 0.01


@pytest.mark.parametrize("claim", ["predicted", "slope", "curvature"])
def test_nothing_is_claimed_more_often_than_the_level(nothing, claim):
    assert not exceeds_level([study[f"{claim}: claimed"] for study in nothing])


def test_place_alone_would_exceed_it(nothing):
    assert exceeds_level([study["slope: spins alone"] for study in nothing])


def test_a_planted_preference_is_claimed(claims, brain, music):
    cell = claims.Cell("planted", n_participants=8, isc=0.1, oddity="slope", size=0.8)
    found = claims.run(brain, music, cell, 0, full=False)
    assert found["predicted: claimed"] < 0.05
    assert found["slope: claimed"] < 0.05
    assert found["slope: effect"] > 0
