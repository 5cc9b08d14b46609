"""What layers add to low-level sound, over people and over music."""

from __future__ import annotations

import numpy as np
import pytest
from joint_listeners import GRID, LENGTHS, SETTINGS, Side, slow

from bids_app.analyses.group import refits
from bids_app.analyses.group.beyond import _thirds, beyond_missing
from bids_app.analyses.group.beyond_music import JointMusicSide, ModelsOfClock, beyond_music
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, Presentations
from bids_app.encoding.joint import fit_joint
from bids_app.group import sign_flip_max_t
from bids_app.outputs import BEYOND_DESC, OutputTree

LAYERS = ["first", "second"]
N_PEOPLE = 6
SIDES = [Side("envelope"), Side("cochleagram"), Side(*LAYERS)]


def study(folder, *, seed=0, n_vertices=60, signal=0.0, layer="second"):
    """Listeners who share some noise; half of the vertices follow a layer where there is signal."""
    rng = np.random.default_rng(seed)
    models = ModelsOfClock(SIDES, SETTINGS, LAYERS)
    loads = rng.standard_normal((4, n_vertices)) * (np.arange(n_vertices) < n_vertices // 2)
    shared = [slow(rng, n, n_vertices) for n in LENGTHS.values()]
    r, choices, paths = [], [], []
    for person in range(N_PEOPLE):
        responses = [
            0.4 * common
            + slow(rng, len(common), n_vertices)
            + signal * np.roll(x, 2, axis=0) @ loads
            for common, x in zip(shared, SIDES[2].features[layer], strict=True)
        ]
        own = []
        for k, one in enumerate(responses):
            own.append(folder / f"{seed}_{person}_{k}.npy")
            np.save(own[-1], one.astype(np.float32))
        paths.append(tuple(own))
        fits = [fit_joint(model.joint, responses, leave_out=()) for model in models]
        r.append([fit.mean_r for fit in fits])
        choices.append(
            [m.chosen(fit.candidate, fit.alpha) for m, fit in zip(models, fits, strict=True)]
        )
    times = tuple(np.arange(float(n)) for n in LENGTHS.values())
    heard = Heard(
        people=tuple(range(N_PEOPLE)),
        clock_of=(0,) * N_PEOPLE,
        clocks=(Presentations(tuple(LENGTHS), times, 1.0),),
        responses=tuple(paths),
        checksums={one: one * 8 for one in LENGTHS},
    )
    return models, heard, np.array(r, np.float32), np.array(choices, np.float32)


def music_of(monkeypatch, models, heard, r, choices, seed=5):
    people = [f"{k:02d}" for k in range(N_PEOPLE)]
    pieces, settings = list(LENGTHS), {"alphas": GRID}
    data = GroupData("vggish", people, r, ["low-level", *LAYERS], pieces, pieces, settings, [])
    monkeypatch.setattr(refits, "N_REFITS", 40)
    side = JointMusicSide(heard, data, [models], choices, seed, 1)
    return beyond_music(side), side


def test_choices_of_all_models_have_the_same_numbers():
    models = ModelsOfClock(SIDES, SETTINGS, LAYERS)
    assert len(models) == 3
    first, *layers = list(models)
    for model in layers:
        np.testing.assert_array_equal(model.alphas, first.alphas)
        shared = model.joint.plans[: len(first.joint.plans)]
        assert all(own is low for own, low in zip(shared, first.joint.plans, strict=True))
        assert (model.joint.weights[: len(first.joint.plans), -1] == 0).all()


def test_thirds_of_the_layers_and_who_lacks_maps(tmp_path):
    assert _thirds(7) == ["early"] * 3 + ["middle"] * 2 + ["late"] * 2
    assert _thirds(2) == ["early", "middle"]
    tree = OutputTree(tmp_path)
    assert beyond_missing(tree, "vggish", ["01", "02"]) == ""  # nobody asked for it
    done = tree.participant_settings("01", "vggish", BEYOND_DESC)
    done.parent.mkdir(parents=True)
    done.write_text("{}")
    assert beyond_missing(tree, "vggish", ["01"]) == ""
    assert "sub-02 lack their maps" in beyond_missing(tree, "vggish", ["01", "02"])


def test_a_layer_that_adds_is_found_over_people_and_music(monkeypatch, tmp_path):
    models, heard, r, choices = study(tmp_path, signal=0.5)
    found, _ = music_of(monkeypatch, models, heard, r, choices)
    unique = (r[:, 1:] - r[:, :1]).astype(float)
    people = sign_flip_max_t(unique, tail="greater", n_permutations=64, seed=1)
    both = (people.p < 0.05) & (found.q < 0.05)
    assert both[1, :30].mean() > 0.5
    assert both[1, 30:].mean() < 0.1
    assert both[0].mean() < 0.05


def test_width_is_that_of_models_that_choose_again(monkeypatch, tmp_path):
    models, heard, r, choices = study(tmp_path, seed=1, n_vertices=40)
    found, side = music_of(monkeypatch, models, heard, r, choices)
    assert 0.6 < found.scaled.ratio.ratio < 1.6
    made = side.refits(np.arange(40))
    monkeypatch.setattr(JointMusicSide, "fit", None)  # those of a model are made once
    again = side.of_models([0, 2]).refits(np.arange(40))
    np.testing.assert_array_equal(again, made[:, :, [0, 2]])
    drawn = made.mean(axis=1)
    unique = drawn[:, 1:] - drawn[:, :1]
    ratio = np.sqrt(np.nanmean(found.sd**2) / (unique**2).mean())
    assert 0.7 < ratio < 1.8


@pytest.mark.slow
def test_level_over_music_where_nothing_is_added(monkeypatch, tmp_path):
    shares = []
    for seed in range(30):
        models, heard, r, choices = study(tmp_path, seed=seed)
        found, _ = music_of(monkeypatch, models, heard, r, choices, seed)
        shares.append((found.p < 0.05).mean())
    assert np.mean(shares) < 0.075
