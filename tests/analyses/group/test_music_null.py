"""The closed form of the null over music beside refits with the stimuli's phases."""

from types import SimpleNamespace

import numpy as np

from bids_app.analyses.group.music_null import N_CHECK_DRAWS, check_null
from bids_app.encoding import plan_encoding
from bids_app.group import PredictionModel, median_penalty, stimulus_null

LENGTHS = [46, 61, 80]
NAMES = ("a", "b", "c")
GRID = [1.0, 100.0]


def test_refits_agree_with_the_closed_form_whatever_the_order_of_folds():
    rng = np.random.default_rng(0)
    features = np.vstack([np.cumsum(rng.normal(size=(n, 5)), axis=0) for n in LENGTHS])
    plan = plan_encoding(
        features @ features.T,
        LENGTHS,
        stimuli=NAMES,
        delays=(0, 3),
        crop=2,
        tr=1.0,
        alphas=np.array(GRID),
    )
    sizes = [segment.size for segment in plan.segments]
    resolution = plan.resolution
    model = PredictionModel(resolution.matrices, resolution.sources, resolution.fold_of, sizes)
    responses = [rng.standard_normal((4, n, 30)).astype(np.float32) for n in sizes]
    alphas = rng.choice(GRID, (4, 3, 30))
    penalty = median_penalty(alphas.reshape(-1, 30), GRID)[np.newaxis]
    result = stimulus_null(responses, [model], penalty, np.zeros((1, 30)))
    data = SimpleNamespace(held_out=["c", "a", "b"], settings={"alphas": GRID})
    checksums = ["0" * 64, "1" * 64, "2" * 64]
    check = check_null(result, plan, responses, alphas, data, 0, checksums, 3)
    assert (check.layer, check.n_vertices, check.n_draws) == (1, 30, N_CHECK_DRAWS)
    assert 0.85 < check.median < 1.15
    assert check.low < check.median < check.high
    other = SimpleNamespace(held_out=["a", "b"], settings={"alphas": GRID})
    assert check_null(result, plan, responses, alphas, other, 0, checksums, 3) is None
