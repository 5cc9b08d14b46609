"""Layers that predict ratings, over people and over music."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import DURATIONS, rating_of_layer, walk

from bids_app.analyses.folder.claims import claim_settings
from bids_app.analyses.folder.records import Record
from bids_app.analyses.ratings import layer_music
from bids_app.analyses.ratings.group import infer_rating_scores
from bids_app.analyses.ratings.layer_scores import fit_rating_scores
from bids_app.analyses.ratings.participant import LayerScores
from bids_app.analyses.ratings.write import write_rating_scores
from bids_app.config import Model, Statistics
from bids_app.inputs.ratings import Rating, RatingSet
from bids_app.outputs import OutputTree

PEOPLE = tuple(f"{k:02d}" for k in range(7))
CHECKSUMS = {name: name * 8 for name in DURATIONS}
MODEL = Model(alphas=(0.1, 10.0, 1e3), crop=10.0)
SETTINGS = {
    "space": "fsaverage5",
    "layer_depth": [0.0, 0.25, 0.5, 0.75, 1.0],
    "alphas": list(MODEL.alphas),
    "crop": MODEL.crop,
    "high_pass": 100.0,
}


@pytest.fixture
def study(grams, tmp_path, monkeypatch):
    """Writes scores of everybody and tests them."""
    monkeypatch.setattr(layer_music, "_grams", lambda *_: grams)
    monkeypatch.setattr(type(grams), "checksums", tuple(CHECKSUMS.values()), raising=False)

    def run(ratings):
        tree = OutputTree(tmp_path)
        scores = fit_rating_scores(
            grams,
            ratings,
            PEOPLE,
            rate=0.5,
            model=MODEL,
            statistics=Statistics(),
            high_pass=SETTINGS["high_pass"],
        )
        claim_settings(tree, "vggish", SETTINGS)
        for participant in PEOPLE:
            record = Record(
                participant, "vggish", SETTINGS, (), {}, stimuli=CHECKSUMS, desc="ratings"
            )
            write_rating_scores(
                tree, record, {participant: LayerScores(scores[participant], None, {})}
            )
        found = infer_rating_scores(
            tree, "vggish", PEOPLE, tmp_path, Statistics(n_permutations=400, random_seed=3)
        )
        return tree, found

    return run


def shared(course_of, noise=0.3):
    """One scale: the same course in everybody, and a little of their own."""
    found = []
    for number, participant in enumerate(PEOPLE):
        for k, (stimulus, duration) in enumerate(DURATIONS.items()):
            times, values = course_of(k, stimulus, duration)
            _, own = walk(1000 + 10 * number + k, duration)
            own = np.interp(times, np.arange(len(own)) / 5.0, own)
            mixed = values / values.std() + noise * own / own.std()
            found.append(Rating(participant, stimulus, "Joy", times, mixed, "f"))
    return RatingSet(tuple(found))


def test_a_layer_that_everybody_follows_is_predicted_over_music(grams, study):
    def follow(k, stimulus, duration):
        return rating_of_layer(grams, 2, 3.0, 0.9, 40)[stimulus]

    _, found = study(shared(follow))
    assert found.music.reason == ""
    assert found.music.p[1, 0] < 0.01
    assert found.music.p_max[1, 0] < 0.05
    assert (found.music.p_max >= found.music.p - 1e-9).all()
    assert found.scores.p[1, 0] < 0.05


@pytest.mark.slow
def test_an_accident_that_raters_share_is_one_over_people_alone(study):
    """Ratings of nothing, nearly the same in everybody: people agree on layers, music does not."""
    people, music = [], []
    for seed in range(6):
        _, found = study(shared(lambda k, s, d, seed=seed: walk(7000 + 50 * seed + k, d), 0.1))
        people.append(found.scores.p.min() < 0.05)
        music.append(found.music.p_max.min() < 0.05)
    assert sum(people) >= 2
    assert sum(music) <= 1


def test_what_is_missing_is_told(study, grams, monkeypatch):
    ratings = shared(lambda k, s, d: walk(k, d))
    tree, _ = study(ratings)
    path = tree.participant_file("03", "timeseries.tsv", model="vggish", desc="ratings")
    path.unlink()
    statistics = Statistics(n_permutations=20)
    found = infer_rating_scores(tree, "vggish", PEOPLE, tree.root, statistics)
    assert "sub-03 has no courses" in found.music.reason
    assert np.isnan(found.music.p).all()
    assert np.isfinite(found.scores.p).all()
    monkeypatch.setattr(type(grams), "checksums", ("x", "y", "z"))
    found = infer_rating_scores(tree, "vggish", PEOPLE, tree.root, statistics)
    assert "not those of the music" in found.music.reason
    monkeypatch.undo()
    found = infer_rating_scores(tree, "vggish", PEOPLE, tree.root, statistics)
    assert "no encoding maps" in found.music.reason
