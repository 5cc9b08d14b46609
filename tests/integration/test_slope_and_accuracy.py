"""The residual slope must not follow accuracy where there is no preference to be found."""

from __future__ import annotations

from dataclasses import replace

import ds003085
import numpy as np
import pytest

from bids_app.group import sign_flip_max_t
from bids_app.preference import group_residual_slopes
from bids_app.testing.study import plan_truth

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (ds003085.DATA / "audio").is_dir(),
        reason=f"no real recordings in {ds003085.DATA} (set MUSENC_TEST_DATA)",
    ),
]


def test_one_layer_with_varying_snr_leaves_slope_and_accuracy_unrelated(tmp_path):
    """One layer drives every active vertex, SNR varies, 70 % of the vertices are silent."""
    study = ds003085.ArrayStudy(ds003085.features(tmp_path))
    truth = plan_truth(study.mesh, gradient=study.gradient)
    one_layer = replace(
        truth,
        layers=np.where(truth.active, 12, 0),
    )
    assert 0.25 < one_layer.active.sum() / one_layer.cortex.sum() < 0.35
    r = study.accuracies(one_layer, seed=0)
    usable = np.isfinite(r).all(axis=(0, 1))
    averaged = np.where(usable, np.arctanh(r).mean(axis=1), np.nan)
    mask = sign_flip_max_t(averaged, tail="greater", seed=0).p < 0.05
    if mask.sum() < 200:
        mask = usable
    depth = (np.array(study.layers) - 1) / 22
    slope = group_residual_slopes(r, mask, depth).mean(axis=0)
    accuracy = r.mean(axis=(0, 1))
    assert accuracy[one_layer.active].mean() > accuracy[usable & ~one_layer.active].mean() + 0.02
    assert abs(np.corrcoef(slope[usable], accuracy[usable])[0, 1]) < 0.15
