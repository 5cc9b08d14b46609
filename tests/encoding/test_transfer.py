"""A model of all stimuli, and its predictions of music that it was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.encoding.transfer import new_kernel, whole_penalties, whole_plan
from bids_app.encoding.weights import dual_weights, predict
from bids_app.errors import BadDataError

LENGTHS = (50, 60, 70)
TOLD = {"delays": (2.0, 5.0), "crop": 4.0, "tr": 1.0}
ALPHAS = np.logspace(-2, 3, 9)


@pytest.fixture(scope="module")
def study():
    """Features and responses of three pieces: half of the vertices follow, half are noise."""
    rng = np.random.default_rng(5)
    features = [rng.standard_normal((n, 12)) for n in LENGTHS]
    weights = rng.standard_normal((12, 10))
    weights[:, 5:] = 0
    responses = [
        np.roll(x, 3, axis=0) @ weights + 2 * rng.standard_normal((len(x), 10)) for x in features
    ]
    return features, responses


def gram_of(features):
    stacked = np.concatenate(features)
    return stacked @ stacked.T


def plan_of(features, alphas=ALPHAS):
    lengths = [len(x) for x in features]
    return plan_encoding(gram_of(features), lengths, alphas=alphas, **TOLD, dtype=np.float64)


@pytest.mark.parametrize("selection", ["r", "sse"])
@pytest.mark.parametrize("held_out", [0, 1, 2])
def test_a_model_of_the_other_pieces_predicts_as_the_fold_that_held_one_out(
    study, held_out, selection
):
    features, responses = study
    plan = plan_of(features)
    fit = fit_encoding(plan, responses, selection=selection, null="none")
    of_fold = predict(plan, responses, fit.alpha)[held_out]

    others = [k for k in range(3) if k != held_out]
    rest, own = [features[k] for k in others], [responses[k] for k in others]
    # Penalties are relative to the mean diagonal of the kernel, which has fewer pieces now.
    alphas = ALPHAS * plan.scale / plan_of(rest).scale
    smaller = plan_of(rest, alphas)
    whole = whole_plan(smaller)
    alpha = whole_penalties(whole, own, selection=selection)
    np.testing.assert_allclose(alpha[0] * smaller.scale, fit.alpha[held_out] * plan.scale)
    (dual,) = dual_weights(whole, own, alpha)
    ordered = [*rest, features[held_out]]
    (kernel,) = new_kernel(
        gram_of(ordered),
        [len(x) for x in ordered],
        "ab",
        n_trained=2,
        **TOLD,
        scale=smaller.scale,
    )
    np.testing.assert_allclose(kernel @ dual, of_fold, atol=1e-9)


def test_the_weights_of_a_fold_predict_the_piece_it_held_out_as_new(study):
    features, responses = study
    plan = plan_of(features)
    alpha = fit_encoding(plan, responses, null="none").alpha
    again = [*features, features[2], features[0]]
    lengths = [len(x) for x in again]
    kernels = new_kernel(gram_of(again), lengths, "abc", n_trained=3, **TOLD, scale=plan.scale)
    duals, own = dual_weights(plan, responses, alpha), predict(plan, responses, alpha)
    for kernel, piece in zip(kernels, (2, 0), strict=True):
        np.testing.assert_allclose(kernel @ duals[piece], own[piece], atol=1e-9)


def test_degenerate_vertices_have_no_penalty(study):
    features, responses = study
    silent = [np.column_stack([y[:, :2], np.ones(len(y))]) for y in responses]
    alpha = whole_penalties(whole_plan(plan_of(features)), silent)
    assert np.isnan(alpha[0]).tolist() == [False, False, True]


def test_new_music_that_is_too_short_is_refused(study):
    features, _ = study
    ordered = [*features, features[0][:10]]
    with pytest.raises(BadDataError, match="too few samples"):
        new_kernel(
            gram_of(ordered), [len(x) for x in ordered], "abc", n_trained=3, **TOLD, scale=1.0
        )
