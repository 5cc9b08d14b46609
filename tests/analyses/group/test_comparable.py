"""Participants who heard the same music get the same folds, whatever the order and the jitter."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group.collect import load_group
from bids_app.analyses.group.preference import N_BOOTSTRAP, best_layer_stability
from bids_app.analyses.participant.layers import fit_layers
from bids_app.analyses.participant.preference import (
    derive_preference,
    preference_missing,
    slope_doubt,
)
from bids_app.analyses.participant.responses import Block, cut
from bids_app.bands import Band
from bids_app.config import Model, Statistics
from bids_app.encoding import noise_null
from bids_app.errors import InvalidInputError
from bids_app.features.timing import SAMPLING, drift_basis
from bids_app.outputs import OutputTree
from bids_app.preference import preferred_layer
from bids_app.seeds import generator

N_VERTICES = 30
OPTIONS = {
    "model": Model(delays=(2.0, 4.0), crop=4.0, alphas=(0.1, 10.0, 1000.0)),
    "statistics": Statistics(random_seed=1),
    "high_pass": 0.0,
}


def make_grams(durations):
    rng = np.random.default_rng(0)
    times = tuple(np.arange(0.5, d, 0.5) for d in durations)
    features = [gaussian_filter1d(rng.standard_normal((len(t), 5)), 4.0, axis=0) for t in times]
    stacked = np.concatenate([f - f.mean(axis=0) for f in features])
    labels = tuple(f"piece{k}" for k in range(len(durations)))
    return SimpleNamespace(
        labels=labels,
        checksums=tuple(f"sum{k}" for k in range(len(durations))),
        durations=tuple(durations),
        patch_times=times,
        layer_names=("layer1",),
        n_units=(5,),
        n_constant=(0,),
        path=SimpleNamespace(name="folder"),
        told={},
        gram=lambda layer: stacked @ stacked.T,
    )


def make_blocks(durations, n_times, seed=0):
    blocks = []
    for k, n in enumerate(n_times):
        rng = np.random.default_rng([seed, k])
        values = rng.standard_normal((n, N_VERTICES)).astype(np.float32)
        blocks.append(Block(f"piece{k}", "run", 1.0, np.arange(n) + 0.3, values))
    return blocks


def test_the_order_of_the_pieces_does_not_matter():
    durations = (40.0, 50.0, 60.0)
    grams, blocks = make_grams(durations), make_blocks(durations, (40, 50, 60))
    first = fit_layers(grams, blocks, **OPTIONS)
    second = fit_layers(grams, [blocks[2], blocks[0], blocks[1]], **OPTIONS)
    assert first.fold_stimuli == second.fold_stimuli == ["piece0", "piece1", "piece2"]
    np.testing.assert_allclose(first.fold_r, second.fold_r, atol=1e-5)
    np.testing.assert_allclose(first.null_sd, second.null_sd, rtol=1e-4)


def test_short_pieces_are_told(caplog):
    durations = (80.0, 90.0, 100.0)
    grams = make_grams(durations)
    phase = OPTIONS | {"statistics": Statistics(null="phase", n_nulls=2, random_seed=1)}
    with caplog.at_level("WARNING", logger="bids_app.workflows"):
        fit_layers(grams, make_blocks(durations, (80, 90, 100)), **phase)
        fit_layers(grams, make_blocks(durations, (80, 60, 100)), **OPTIONS)
        assert not caplog.records
        fit_layers(grams, make_blocks(durations, (80, 60, 100)), **phase)
        assert "only 52 samples" in caplog.text
        assert "too small below about 60; --null noise is not" in caplog.text
        caplog.clear()
        fit_layers(grams, make_blocks(durations, (80, 25, 100)), **OPTIONS)
        assert "only 17 samples" in caplog.text
        assert "measured from 20 on" in caplog.text


def test_the_null_knows_what_was_taken_out_of_the_runs(monkeypatch):
    """Filters of all presentations or of none, in the order of the plan."""
    durations = (60.0, 70.0, 80.0)
    grams, blocks = make_grams(durations), make_blocks(durations, (60, 70, 80))
    told = []

    def spy(plan, responses, *, filters, seed):
        told.append(filters)
        return noise_null(plan, responses, filters=filters, seed=seed)

    monkeypatch.setattr("bids_app.analyses.participant.layers.noise_null", spy)
    plain = fit_layers(grams, blocks, **OPTIONS)
    known = [replace(block, filter=detrended(len(block.times))) for block in blocks]
    found = fit_layers(grams, known[::-1], **OPTIONS)
    partly = fit_layers(grams, [*known[:2], blocks[2]], **OPTIONS)
    assert told[0] is told[2] is None
    assert [len(one) for one in told[1]] == [60, 70, 80]
    np.testing.assert_array_equal(partly.null_sd, plain.null_sd)
    assert np.all(found.null_sd != plain.null_sd)
    assert found.null_sd == pytest.approx(plain.null_sd, rel=0.5)


def detrended(n_times):
    """Rows of a run that loses its mean and a line."""
    time = np.linspace(-1, 1, n_times + 8)
    basis, _ = np.linalg.qr(np.column_stack([np.ones_like(time), time]))
    return (np.eye(n_times + 8) - basis @ basis.T)[4:-4]


def test_folds_of_many_pieces_do_not_follow_jitter():
    durations = (30.0,) * 8
    grams = make_grams(durations)
    rng = np.random.default_rng(3)
    found = {
        tuple(fit_layers(grams, make_blocks(durations, n), **OPTIONS).fold_stimuli)
        for n in 29 + rng.integers(0, 2, (4, 8))
    }
    assert len(found) == 1


def test_another_recording_under_the_same_name_is_an_error(tmp_path):
    tree = OutputTree(tmp_path)
    settings = {"space": "fsaverage5", "layer_depth": [0.0], "sampling": SAMPLING}
    content = {
        "HeldOutStimuli": ["happy", "sad"],
        "DegenerateVertices": 0,
        "ReferenceVertices": 0,
    }
    for who, happy in (("01", "a"), ("02", "c")):
        path = tree.participant_settings(who, "vggish")
        heard = {"happy": happy, "sad": "b"}
        write_settings(tree, path, settings, [], **content, Stimuli=heard)
    with pytest.raises(InvalidInputError, match="happy"):
        load_group(tree, "vggish", ["01", "02"])


def test_a_model_of_too_few_layers_has_no_preference_and_a_reason():
    grams = make_grams((40.0, 50.0, 60.0))
    fits = fit_layers(grams, make_blocks((), (40, 50, 60)), **OPTIONS)
    assert derive_preference(fits, [0.0], "quadratic") is None
    told = "layer preference needs at least {} layers; this model has {}"
    assert preference_missing([0, 1], "quadratic") == told.format(5, 2)
    assert preference_missing([0, 1], "linear") == told.format(3, 2)
    assert preference_missing(np.arange(4), "quadratic") == (
        told.format(5, 4) + " (--slope-model linear needs 3)"
    )
    assert preference_missing(np.arange(3), "linear") == ""
    assert preference_missing(np.arange(5), "quadratic") == ""
    tied = [0, 0, 0.5, 0.5, 1, 1]
    assert "5 different depths of layers; this model has 3" in preference_missing(tied, "quadratic")
    assert "nothing says their order" in preference_missing([], "quadratic")


def test_maps_that_do_not_tell_the_depth_of_their_layers_are_refused(tmp_path):
    tree = OutputTree(tmp_path)
    content = {
        "Stimuli": {"happy": "a"},
        "HeldOutStimuli": ["happy"],
        "DegenerateVertices": 0,
        "ReferenceVertices": 0,
    }
    for who in ("01", "02"):
        path = tree.participant_settings(who, "vggish")
        write_settings(tree, path, {"space": "fsaverage5"}, [], **content)
    with pytest.raises(InvalidInputError, match=r"(?s)depth of their layers.*earlier version"):
        load_group(tree, "vggish", ["01", "02"])


def test_a_slope_is_doubted_where_depth_is_explained():
    assert slope_doubt(0.95, "quadratic") == slope_doubt(float("nan"), "quadratic") == ""
    told = "cannot be separated from accuracy: the reference profile and curvature explain 0.960"
    assert told in slope_doubt(0.96, "quadratic")
    assert "the reference profile explains 0.960" in slope_doubt(0.96, "linear")


def test_refits_agree_with_the_closed_form_and_correct_for_the_maximum():
    durations = (60.0, 70.0, 80.0)
    grams, blocks = make_grams(durations), make_blocks(durations, (60, 70, 80))
    closed = fit_layers(grams, blocks, **OPTIONS)
    phase = Statistics(null="phase", n_nulls=300, random_seed=1)
    refits = fit_layers(grams, blocks, **OPTIONS | {"statistics": phase})
    np.testing.assert_array_equal(refits.r, closed.r)
    assert np.median(refits.null_sd / closed.null_sd) == pytest.approx(1, abs=0.1)
    assert closed.p_max is None
    assert (refits.p_max >= refits.p - 0.02).all()
    best = np.argmax(closed.z[0])
    assert refits.p_max[0, best] == refits.p_max[0].min()


def test_chosen_layers_are_fitted_alone():
    grams = make_grams((40.0, 50.0, 60.0))
    grams.layer_names, grams.n_units, grams.n_constant = ("a", "b", "c"), (5,) * 3, (0,) * 3
    whole, asked = grams.gram, []
    grams.gram = lambda layer: asked.append(layer) or whole(layer)
    fits = fit_layers(grams, make_blocks((), (40, 50, 60)), layers=("c", "a"), **OPTIONS)
    assert fits.layer_names == ["c", "a"]
    assert [row["layer"] for row in fits.table] == asked[:2] == [3, 1]
    assert set(asked) == {1, 3}  # the best one again, for its predictions


def test_stability_is_about_the_layer_that_is_shown():
    z = np.random.default_rng(0).standard_normal((5, 4, 300))
    shown = preferred_layer(z.mean(axis=0))
    draws = generator(9, "bootstrap of layers").integers(5, size=(N_BOOTSTRAP, 5))
    wanted = np.mean([preferred_layer(z[draw].mean(axis=0)) == shown for draw in draws], axis=0)
    np.testing.assert_allclose(best_layer_stability(z, seed=9), wanted)
    z[:, :, 0] = np.nan
    assert np.isnan(best_layer_stability(z, seed=9)[0])


@pytest.mark.parametrize("high_pass", [0.0, 128.0])
def test_without_a_high_pass_filter_responses_lose_a_line_as_features_do(high_pass):
    """The filter that the null knows of is the one that made the responses."""
    rng = np.random.default_rng(5)
    whole = detrended(72)
    run = SimpleNamespace(label="run", tr=1.0, start_time=0.0, n_dummy=4, censored=())
    piece = SimpleNamespace(stimulus="a", onset=10.0, duration=50.0, offset=0.0)
    noise = rng.standard_normal((84, 5)) + 0.1 * np.arange(84)[:, None] ** 1.5
    cleaned = np.vstack([np.full((4, 5), np.nan), whole @ noise[4:]]).astype(np.float32)
    block = cut(run, piece, cleaned, whole, high_pass)
    np.testing.assert_allclose(block.filter @ noise[4:], block.values, atol=1e-3)
    slopes = np.polyfit(block.times, block.values, 1)[0]
    if high_pass:
        assert np.abs(slopes).min() > 1e-2
    else:
        np.testing.assert_allclose(slopes, 0, atol=1e-5)


def test_the_null_knows_the_band_of_series_that_were_denoised_before():
    """Its classes are filtered as the series were; without a band nothing is known."""
    rng = np.random.default_rng(4)
    band = Band(0.02, 0.1, 2)
    run = SimpleNamespace(tr=1.0, start_time=0.5, n_dummy=4, label="r", censored=())
    piece = SimpleNamespace(stimulus="a", onset=10.0, duration=50.0, offset=0.0)
    whole = np.eye(80) - 1 / 80
    noise = rng.standard_normal((80, 5))
    cleaned = np.vstack([np.full((4, 5), np.nan), whole @ band.apply(noise, 1.0)])
    block = cut(run, piece, cleaned.astype(np.float32), whole, band)
    assert block.filter.shape == (len(block.times), 80)
    np.testing.assert_allclose(block.filter @ noise, block.values, atol=1e-5)
    assert cut(run, piece, cleaned.astype(np.float32), whole, Band()).filter is None


def test_pieces_that_build_up_and_runs_that_drift_agree_by_chance_alone():
    """With --high-pass 0 a line in both was taken for encoding."""
    durations = (60.0, 70.0, 80.0)
    shares = []
    for study in range(6):
        grams = make_grams(durations)
        rng = np.random.default_rng([9, study])
        rises = np.concatenate([np.linspace(-1, 1, len(t)) for t in grams.patch_times])
        own = rng.standard_normal((rises.size, 5))
        features = 0.3 * gaussian_filter1d(own, 4.0, axis=0) + 2 * rises[:, None]
        grams.gram = lambda layer, features=features: features @ features.T
        blocks = []
        for block in make_blocks(durations, (60, 70, 80), seed=study):
            n = len(block.times)
            values = block.values + np.linspace(-2, 2, n, dtype=np.float32)[:, None]
            line = drift_basis(n, 1.0, 0.0)
            values = (values - line @ (line.T @ values)).astype(np.float32)
            filtered = np.eye(n) - line @ line.T
            blocks.append(replace(block, values=values, filter=filtered))
        shares.append(np.mean(fit_layers(grams, blocks, **OPTIONS).p < 0.05))
    assert np.mean(shares) < 0.12
