"""Group data with the others' weights, beside fits made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_app.analyses.group import others, over_music, refits
from bids_app.analyses.group.collect import GroupData, load_fold_maps
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.analyses.group.others import (
    chosen_weights,
    data_of,
    fit_on_others,
    heard_of,
    others_missing,
)
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.summaries import Summary
from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.errors import BadDataError
from bids_app.group import shared_training_scale
from bids_app.outputs import OutputTree, fitted_label, has_others_weights, told_label, weights_label

LENGTHS = {"a": 60, "b": 70, "c": 80}
GRID = (1.0, 30.0, 1000.0)
N_VERTICES, N_LAYERS = 84, 2


def make_plans(labels):
    plans = []
    for layer in range(N_LAYERS):
        rows = [
            np.cumsum(np.random.default_rng([layer, ord(one)]).normal(size=(LENGTHS[one], 4)), 0)
            for one in labels
        ]
        features = np.vstack(rows)
        lengths = [LENGTHS[one] for one in labels]
        plans.append(
            plan_encoding(
                features @ features.T,
                lengths,
                stimuli=labels,
                delays=(0, 3),
                crop=2,
                tr=1.0,
                alphas=np.array(GRID),
            )
        )
    return plans


class Study:
    """Four listeners and one whose responses were not saved, and what the steps read of them."""

    def __init__(self, folder, shared=0.4):
        labels = tuple(LENGTHS)
        rng = np.random.default_rng(3)
        heard = {one: rng.standard_normal((n, N_VERTICES)) for one, n in LENGTHS.items()}
        self.responses = []
        for person in range(4):
            own = [
                np.sqrt(shared) * heard[one]
                + np.sqrt(1 - shared) * rng.standard_normal((n, N_VERTICES))
                for one, n in LENGTHS.items()
            ]
            self.responses.append([(10.0**person * one).astype(np.float32) for one in own])
        self.responses[0][1][:, 5] = 0.0
        self.plans = make_plans(labels)
        paths = []
        for person, own in enumerate(self.responses):
            paths.append(tuple(folder / f"{person}_{k}.npy" for k in range(3)))
            for path, one in zip(paths[-1], own, strict=True):
                np.save(path, one)
        times = tuple(np.arange(float(n)) for n in LENGTHS.values())
        self.heard = Heard(
            people=(0, 1, 3, 4),
            clock_of=(0,) * 4,
            clocks=(Presentations(labels, times, 1.0),),
            responses=tuple(paths),
            left_out={"03": "no cleaned response was saved"},
            checksums={one: one * 8 for one in LENGTHS},
        )
        r = np.zeros((5, N_LAYERS, N_VERTICES), dtype=np.float32)
        r[:, :, :2] = np.nan
        r[0, :, 5] = np.nan
        people = ["01", "02", "03", "04", "05"]
        rows = [
            {"participant_id": f"sub-{one}", "mean_r": 0.0, "sha256_left": one} for one in people
        ]
        self.data = GroupData(
            "vggish",
            people,
            r,
            ["one", "two"],
            list(LENGTHS),
            # Folds of the maps are in another order than those of the plans.
            ["c", "a", "b"],
            {"space": "fsaverage5", "alphas": list(GRID), "layer_depth": [0.0, 1.0]},
            rows,
        )

    def training(self, person):
        """The mean of the others, by hand."""
        means = []
        for k, segment in enumerate(self.plans[0].segments):
            parts, n = 0.0, 0.0
            for q in range(4):
                y = self.responses[q][k].astype(float)
                rows = y[segment.start : segment.stop]
                silent = any(one.std(axis=0).min() == 0 for one in self.responses[q])
                there = np.ones(N_VERTICES) if not silent else (np.arange(N_VERTICES) != 5) * 1.0
                if q == person:
                    continue
                deviation = np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1)
                parts = parts + there * (y - rows.mean(axis=0)) / deviation
                n = n + there
            means.append(parts / n)
        return means


@pytest.fixture
def study(tmp_path, monkeypatch):
    made = Study(tmp_path)
    monkeypatch.setattr(others, "load_group", lambda *_: made.data)
    monkeypatch.setattr(others, "collect_heard", lambda *_: made.heard)
    monkeypatch.setattr(Heard, "plans", lambda *_: [made.plans])
    return made


@pytest.fixture
def fitted(study, tmp_path, monkeypatch):
    monkeypatch.setattr(others, "_NUMBERS", 50 * sum(LENGTHS.values()) * 4)  # two chunks
    folder = tmp_path / "step"
    folder.mkdir()
    return fit_on_others(OutputTree(tmp_path), "vggish", study.data.participants, tmp_path, folder)


def test_accuracy_and_penalties_are_those_of_fits_by_hand(study, fitted):
    data, heard = data_of(fitted), heard_of(fitted)
    assert data.participants == ["01", "02", "04", "05"]
    assert data.model == "vggish+others"
    assert heard.people == (0, 1, 2, 3)
    fold_r, alpha = (load_fold_maps(OutputTree(""), data, stat) for stat in ("r", "alpha"))
    for person in range(4):
        inside = np.arange(N_VERTICES) > 1
        if person == 0:
            inside[5] = False
        for layer, plan in enumerate(study.plans):
            fit = fit_encoding(
                plan,
                [one[:, inside] for one in study.responses[person]],
                training=[one[:, inside] for one in study.training(person)],
                null="none",
            )
            np.testing.assert_allclose(data.r[person, layer, inside], fit.mean_r, atol=2e-4)
            order = [fit.fold_stimuli.index((name,)) for name in data.held_out]
            np.testing.assert_allclose(fold_r[person, :, layer][:, inside], fit.r[order], atol=2e-4)
            same = alpha[person, :, layer][:, inside] == fit.alpha[order].astype(np.float32)
            assert same.mean() > 0.99  # float32 responses may decide a tie
            assert np.isnan(data.r[person, layer, ~inside]).all()
    assert data.rows[2]["participant_id"] == "sub-04"
    assert data.rows[2]["mean_r"] == pytest.approx(float(np.nanmean(data.r[2])), rel=1e-3)


def test_the_null_over_music_turns_what_trains_as_well(fitted, study, monkeypatch):
    """As wide as refits, and another one than that of models of the participants' own."""
    monkeypatch.setattr(over_music, "N_DRAWS", 500)
    monkeypatch.setattr(refits, "N_REFITS", 60)
    data, heard = data_of(fitted), heard_of(fitted)
    side = MusicSide.of(OutputTree(""), data, heard, 7, 1)
    assert isinstance(side, MusicSide)
    n = len(data.participants)
    usable = np.isfinite(data.r).all(axis=(0, 1))
    mean = np.full((n, N_LAYERS), 1 / (n * N_LAYERS))
    whole = Summary("mean", mean, usable / usable.sum())
    (found,) = side.test([whole], usable)
    assert found.scaled.ratio is not None
    assert found.scaled.ratio.ratio == pytest.approx(1, abs=0.25)
    maps = side.test_maps([mean], usable, "mean", tail="greater")
    assert maps.scaled.ratio.ratio == pytest.approx(1, abs=0.25)
    alone = replace(heard, training=())
    other = MusicSide.of(OutputTree(""), data, alone, 7, 1)
    (own,) = other.test([whole], usable)
    n_draws = min(len(own.draws), len(found.draws))  # refits in place of the closed form are more
    assert np.corrcoef(own.draws[:n_draws], found.draws[:n_draws])[0, 1] < 0.9


def test_people_know_that_they_train_each_other(fitted, study):
    assert study.data.people_scale == 1
    assert data_of(fitted).people_scale == shared_training_scale(4)


def test_too_few_to_train_on_is_told(study, tmp_path, monkeypatch):
    monkeypatch.setattr(others, "collect_heard", lambda *_: Heard(reasons=("no responses",)))
    with pytest.raises(BadDataError, match="no responses"):
        fit_on_others(OutputTree(tmp_path), "vggish", study.data.participants, tmp_path, tmp_path)
    stored = {"Stimuli": {}, "Settings": {"space": "fsaverage5"}}
    monkeypatch.setattr(others, "read_encoding", lambda *_: stored)
    told = others_missing(OutputTree(tmp_path), "vggish", ["01"], tmp_path)
    assert "--cache-dir" in told
    monkeypatch.setattr(others, "find_grams", lambda *_: tmp_path)
    monkeypatch.setattr(others, "find_heard", lambda *_: Heard(reasons=("nothing", "nobody")))
    told = others_missing(OutputTree(tmp_path), "vggish", ["01"], tmp_path)
    assert told == "nothing; nobody"


def test_labels_of_the_others_cannot_be_confused():
    assert chosen_weights("both") == ("own", "others")
    assert chosen_weights("others") == ("others",)
    label = weights_label("vggish", others=True)
    assert has_others_weights(label)
    assert not has_others_weights("vggishothers")
    assert fitted_label(label) == fitted_label("vggish") == "vggish"
    assert told_label(label) == "model-vggish with the others' weights"
