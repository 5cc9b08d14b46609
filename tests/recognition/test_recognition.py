"""Classification of emotions from features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bids_app.errors import BadDataError, UsageError
from bids_app.recognition.classify import recognize


def clips(n=80, n_features=6, separation=2.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.array(["Q1", "Q2", "Q3", "Q4"])[np.arange(n) % 4]
    centers = rng.standard_normal((4, n_features))
    informative = separation * centers[np.arange(n) % 4] + rng.standard_normal((n, n_features))
    return {"informative": informative, "noise": rng.standard_normal((n, n_features))}, labels


@pytest.mark.parametrize("classifier", ["svm", "logistic", "forest"])
def test_planted_classes_are_found_in_the_space_that_has_them(classifier):
    features, labels = clips(60)
    n_permutations = 1 if classifier == "forest" else 20
    found = recognize(
        features, labels, classifier=classifier, n_folds=2, n_permutations=n_permutations, seed=0
    )
    assert found["informative"].accuracy > 0.7
    assert found["informative"].p == 1 / (1 + n_permutations)
    assert found["noise"].accuracy < 0.5
    assert found["noise"].p_corrected >= found["noise"].p
    assert abs(found["noise"].chance - 0.25) < 0.15
    assert found["informative"].confusion.sum() == len(labels)
    assert found["informative"].classes == ("Q1", "Q2", "Q3", "Q4")


def test_accuracy_is_that_of_scikit_learn():
    features, labels = clips()
    found = recognize(features, labels, n_folds=5, n_permutations=0, seed=3)["informative"]
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    model = make_pipeline(StandardScaler(), SVC())
    expected = cross_val_score(model, features["informative"], labels, cv=folds)
    assert found.accuracy == pytest.approx(expected.mean())
    assert np.isnan(found.p)
    again = recognize(features, labels, n_folds=5, n_permutations=0, seed=3)["informative"]
    assert again.accuracy == found.accuracy


def test_chance_level_and_error_rate_without_information():
    hits = []
    for seed in range(20):
        features, labels = clips(24, 3, seed=seed)
        found = recognize({"x": features["noise"]}, labels, n_folds=2, n_permutations=19, seed=seed)
        hits.append(found["x"].p <= 0.05)
    assert sum(hits) <= 4


def test_clips_of_one_song_stay_together():
    rng = np.random.default_rng(1)
    songs = np.repeat(np.arange(12), 5)
    labels = np.array(["a", "b"])[songs % 2]
    fingerprint = rng.standard_normal((12, 8))[songs] + 0.01 * rng.standard_normal((60, 8))
    leaky = recognize({"x": fingerprint}, labels, n_folds=3, n_permutations=0, seed=0)["x"]
    fair = recognize(
        {"x": fingerprint}, labels, groups=songs, n_folds=3, n_permutations=20, seed=0
    )["x"]
    assert leaky.accuracy > 0.95
    assert fair.accuracy < 0.85
    assert fair.p > 0.05


def test_bad_input():
    features, labels = clips(16)
    with pytest.raises(UsageError, match="svm, forest, logistic"):
        recognize(features, labels, classifier="magic", seed=0)
    with pytest.raises(BadDataError, match="one row per label"):
        recognize(features, labels[:-1], seed=0)
    with pytest.raises(BadDataError, match="not finite"):
        recognize({"x": np.full((16, 2), np.nan)}, labels, seed=0)
    with pytest.raises(BadDataError, match="two classes"):
        recognize(features, ["a"] * 16, seed=0)
    with pytest.raises(BadDataError, match="two clips"):
        recognize(features, ["a"] * 15 + ["b"], seed=0)
    with pytest.raises(BadDataError, match="no features"):
        recognize({}, labels, seed=0)
