"""Layers and ratings: the planted layer and lag come back, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import DURATIONS, rating_of_layer, walk

from bids_app.analyses.group.effects import regress_on_ratings
from bids_app.analyses.ratings.layer_changes import correlate_changes, layer_change
from bids_app.analyses.ratings.layer_scores import RatingScores, fit_rating_scores
from bids_app.analyses.ratings.raters import independent_raters
from bids_app.analyses.ratings.scores_group import summarize_scores
from bids_app.config import Model, Statistics
from bids_app.errors import BadDataError
from bids_app.inputs.ratings import Rating, RatingSet

ALPHAS = tuple(np.logspace(-2, 4, 7))
SCALES = {"Emotionality": 4, "Enjoyment": 2}


DEPTH = np.linspace(0, 1, 23)


def drawn(n_permutations, seed):
    return Statistics(n_permutations=n_permutations, random_seed=seed)


def planted(grams, participants=("01",), explained=0.7, layers=SCALES, lag=3.0):
    found = []
    for number, participant in enumerate(participants):
        for scale, layer in layers.items():
            courses = rating_of_layer(grams, layer, lag, explained, 100 * number + layer)
            found += [
                Rating(participant, stimulus, scale, *course, "ratings.tsv")
                for stimulus, course in courses.items()
            ]
    return RatingSet(tuple(found))


def fit(grams, ratings, participants=("01",), **options):
    options = {"high_pass": 0.0} | options
    options |= {"model": Model(alphas=ALPHAS, crop=10.0), "statistics": Statistics()}
    return fit_rating_scores(grams, ratings, participants, **options)


def test_each_scale_is_predicted_by_its_layer(grams, tmp_path):
    found = fit(grams, planted(grams))["01"]
    assert found.r.shape == (5, 2)
    assert found.fold_r.shape == (5, 3, 2)
    assert found.fold_stimuli == list(DURATIONS)
    for column, layer in enumerate(SCALES.values()):
        assert found.r[:, column].argmax() == layer - 1
        assert found.r[layer - 1, column] > 0.5
        assert found.q[layer - 1, column] < 0.01
    others = np.delete(found.r[:, 0], 3)
    assert np.abs(others).max() < 0.45


def test_table_has_a_row_per_layer_scale_and_held_out_stimulus(grams):
    found = fit(grams, planted(grams))["01"]
    rows = found.rows()
    assert len(rows) == 5 * 2 * (3 + 1)
    picked = [r for r in rows if r["scale"] == "Enjoyment" and r["layer"] == 2]
    assert [r["held_out"] for r in picked] == ["mean", *DURATIONS]
    assert picked[0]["r"] == found.r[1, 1]
    assert picked[2]["r"] == found.fold_r[1, 1, 1]


def test_participants_together_are_as_each_alone(grams):
    ratings = planted(grams, ("01", "02"))
    together = fit(grams, ratings, ("01", "02"))
    alone = fit(grams, ratings, ("02",))
    np.testing.assert_allclose(together["02"].r, alone["02"].r, rtol=1e-9)
    np.testing.assert_allclose(together["02"].p, alone["02"].p, rtol=1e-9)


@pytest.mark.slow
def test_at_the_ratings_own_rate(grams):
    found = fit(grams, planted(grams), rate=5.0)["01"]
    slow = fit(grams, planted(grams))["01"]
    np.testing.assert_allclose(found.r, slow.r, atol=0.1)


def test_missing_and_constant_scales_are_kept_out_and_said_so(grams):
    ratings = planted(grams, ("01", "02", "03"))
    kept = []
    for r in ratings.ratings:
        if (r.participant, r.scale, r.stimulus) == ("02", "Enjoyment", "sadsh"):
            continue
        if (r.participant, r.scale, r.stimulus) == ("03", "Emotionality", "happy"):
            r = Rating("03", "happy", r.scale, r.times, np.full_like(r.values, 50.0), r.source)
        kept.append(r)
    found = fit(grams, RatingSet(tuple(kept)), ("01", "02", "03", "04"))
    assert found["01"].skipped == {}
    assert found["02"].scales == ["Emotionality"]
    assert found["02"].skipped == {"Enjoyment": "not rated: Enjoyment of sadsh"}
    assert found["03"].skipped == {"Emotionality": "constant rating of happy"}
    assert found["04"].scales == []
    assert found["04"].r.shape == (5, 0)
    assert found["04"].rows() == []
    with pytest.raises(BadDataError, match=r"1 of 4(.|\n)*sub-02: Enjoyment: not rated"):
        summarize_scores(found, drawn(10_000, 0), np.linspace(0, 1, 5))
    with pytest.raises(
        BadDataError, match=r"scores of all(.|\n)*0 of 1; sub-04: Emotionality: not"
    ):
        summarize_scores({"04": found["04"]}, drawn(10_000, 0), np.linspace(0, 1, 5))


def test_unrelated_ratings_stay_at_their_nominal_error(grams):
    participants = [f"{k:02d}" for k in range(60)]
    ratings = RatingSet(
        tuple(
            Rating(p, stimulus, "Joy", *walk(1000 + 10 * k + i, duration), "f")
            for k, p in enumerate(participants)
            for i, (stimulus, duration) in enumerate(DURATIONS.items())
        )
    )
    found = fit(grams, ratings, participants)
    p = np.stack([found[who].p[:, 0] for who in participants])
    assert 0.005 < (p < 0.05).mean() < 0.11


def test_without_an_order_of_layers_profiles_stay_and_depth_goes():
    found = summarize_scores(profiles(0.3, seed=1), drawn(99, 0), (), n_bootstrap=3)
    ordered = summarize_scores(profiles(0.3, seed=1), drawn(99, 0), DEPTH, n_bootstrap=3)
    for name in ("r", "t", "p", "interaction_t", "interaction_p"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ordered, name))
    for name in ("preferred", "preferred_low", "preferred_high", "slope", "slope_t", "slope_p"):
        assert np.isnan(getattr(found, name)).all()
        assert np.isfinite(getattr(ordered, name)).all()


def group(grams, n=8, **options):
    participants = [f"{k:02d}" for k in range(1, n + 1)]
    return fit(grams, planted(grams, participants, **options), participants)


def test_group_profiles_and_interaction(grams):
    found = summarize_scores(group(grams), drawn(500, 0), np.linspace(0, 1, 5), n_bootstrap=200)
    assert found.r[:, 0].argmax() == 3
    assert found.r[:, 1].argmax() == 1
    assert (found.low <= found.r).all()
    assert (found.r <= found.high).all()
    assert found.p[3, 0] < 0.05
    assert found.p[1, 1] < 0.05
    assert found.pairs == ["Emotionality - Enjoyment"]
    assert np.nanmin(found.interaction_p) < 0.05
    assert found.slope[0] > 0
    assert found.slope_p[0] < 0.05
    assert found.preferred[0] > found.preferred[1]
    assert found.preferred_low[0] <= found.preferred[0] <= found.preferred_high[0]


def profiles(gain, n=14, seed=0, shift=0.0):
    """Scores made directly: a common profile, times a gain for the second scale."""
    rng = np.random.default_rng(seed)
    depth = np.linspace(0, 1, 23)
    first = 0.3 * np.exp(-(((depth - 0.5) / 0.3) ** 2))
    second = gain * 0.3 * np.exp(-(((depth - 0.5 - shift) / 0.3) ** 2))
    scores = {}
    for k in range(n):
        wiggle = rng.standard_normal((23, 2)).cumsum(axis=0) * 0.01
        r = np.stack([first, second], axis=1) + wiggle
        none = np.zeros((23, 0, 2))
        scores[f"{k:02d}"] = RatingScores(
            ["a", "b"], [str(i) for i in range(23)], [], [], r, r, r, r, none, none, {}, {}
        )
    return scores


def test_slope_does_not_follow_from_one_scale_being_predicted_better():
    hits_slope = hits_interaction = 0
    for seed in range(40):
        found = summarize_scores(profiles(0.3, seed=seed), drawn(199, 0), DEPTH, n_bootstrap=2)
        hits_slope += found.slope_p[0] <= 0.05
        hits_interaction += np.nanmin(found.interaction_p) <= 0.05
    assert hits_slope <= 6
    assert hits_interaction >= 30


def test_preference_error_rate_and_power():
    null = [
        summarize_scores(profiles(1.0, seed=s), drawn(199, s), DEPTH, n_bootstrap=2)
        for s in range(60)
    ]
    assert sum(f.slope_p[0] <= 0.05 for f in null) <= 8
    assert sum(np.nanmin(f.interaction_p) <= 0.05 for f in null) <= 8
    found = summarize_scores(profiles(1.0, shift=-0.25), drawn(499, 0), DEPTH, n_bootstrap=2)
    assert found.slope_p[0] < 0.05
    assert found.slope[0] > 0


def test_a_rating_that_stands_for_several_people_counts_once():
    scores = profiles(0.3, n=5)
    copies = {f"{k}": scores["00"] for k in range(5, 15)}
    ratings = {who: {f"of {who}"} for who in scores} | {who: {"of 00"} for who in copies}
    options = {"statistics": drawn(99, 0), "depth": DEPTH, "n_bootstrap": 3}
    found = summarize_scores(scores | copies, ratings=ratings, **options)
    alone = summarize_scores(scores, **options)
    for name in ("r", "low", "t", "p", "preferred_low", "interaction_p", "slope_p"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    assert found.participants == list(scores)
    assert found.left_out == {who: "has a rating of sub-00, which counts once" for who in copies}


def test_one_rating_for_everybody_has_no_test_over_people():
    one = profiles(0.3, n=1)["00"]
    scores = {f"{k:02d}": one for k in range(10)}
    ratings = {who: {"Joy of happy"} for who in scores}
    found = summarize_scores(scores, drawn(99, 0), DEPTH, ratings=ratings, n_bootstrap=3)
    assert found.participants == ["00"]
    np.testing.assert_allclose(found.r, one.r)
    assert np.isfinite(found.preferred).all()
    for name in ("low", "high", "t", "p", "preferred_low", "preferred_high"):
        assert np.isnan(getattr(found, name)).all()
    assert found.interaction_p.size == found.slope_p.size == 0


def test_who_shares_one_of_several_ratings_is_no_further_rater():
    ratings = {"01": {"a", "b"}, "02": {"c", "d"}, "03": {"e", "b"}, "04": {"e", "f"}}
    raters, copies = independent_raters(list(ratings), ratings)
    assert raters == ["01", "02", "04"]
    assert list(copies) == ["03"]


def test_changes_of_layers_come_from_their_gram_matrix(grams):
    times, change = layer_change(grams, 3, "sadsh")
    units, centers = grams.activations[2][1], grams.patch_times[1]
    expected = np.linalg.norm(np.diff(units, axis=0), axis=1) / np.diff(centers)
    np.testing.assert_allclose(change, expected, rtol=1e-6)
    np.testing.assert_allclose(times, (centers[1:] + centers[:-1]) / 2)


def test_changes_of_ratings_that_follow_a_layer(grams, tmp_path):
    found = []
    for stimulus in DURATIONS:
        times, change = layer_change(grams, 2, stimulus)
        clock = np.arange(0, DURATIONS[stimulus], 0.2)
        # A slider whose speed is the layer's change 2 s before.
        speed = np.interp(clock - 2.0, times, change)
        found.append(Rating("01", stimulus, "Joy", clock, np.cumsum(speed), "f"))
    scores = correlate_changes(grams, RatingSet(tuple(found)), "01")
    assert scores.r.shape == (5, 11, 1)
    assert scores.maximum[:, 0].argmax() == 1
    assert scores.best_lag[1, 0] == 2.0
    assert scores.maximum[1, 0] > 0.9
    assert "rating follows" in scores.convention
    with pytest.raises(BadDataError, match="Joy: not rated"):
        correlate_changes(grams, RatingSet(tuple(found[:2])), "01")


def test_regression_on_rating_differences_says_who_is_left_out():
    rng = np.random.default_rng(3)
    rating = {f"{k:02d}": float(rng.normal()) for k in range(20)}
    maps = {p: rng.standard_normal(30) + 2.0 * x * (np.arange(30) < 5) for p, x in rating.items()}
    rating["00"] = float("nan")
    maps.pop("07")
    found, kept, left_out = regress_on_ratings(maps, rating, drawn(200, 0), "permutation")
    assert len(kept) == 18
    assert left_out == {"00": "no rating difference", "07": "no map"}
    assert (found.p[:5] < 0.05).all()
    assert (found.p[5:] < 0.05).mean() < 0.1
    with pytest.raises(BadDataError, match="participant_id"):
        regress_on_ratings(maps, {"sub-01": 1.0}, drawn(1, 0), "permutation")
