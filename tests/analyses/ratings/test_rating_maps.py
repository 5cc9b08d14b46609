"""Ratings and brain, from files to maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special
from small_runs import DURATIONS, noise

from bids_app.analyses.folder.claims import claim_settings
from bids_app.analyses.folder.records import Record
from bids_app.analyses.group.effects import group_effects
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.analysis import Scope
from bids_app.analyses.participant.linear_models import LinearMaps, TurnedEffect
from bids_app.analyses.participant.responses import Block
from bids_app.analyses.ratings.brain_glm import fit_rating_glm, map_contrasts, music_windows
from bids_app.analyses.ratings.brain_ridge import fit_rating_encoding
from bids_app.analyses.ratings.group import infer_rating_maps
from bids_app.analyses.ratings.music import both_claims
from bids_app.analyses.ratings.write import BRAIN, write_rating_maps
from bids_app.analyses.ratings.write_group import told_of_ratings
from bids_app.analyses.ratings.write_group import write_rating_maps as write_group_maps
from bids_app.config import Cleaning, Config, Emotion, Model, Statistics
from bids_app.emotion import absolute_change, convolved_course
from bids_app.emotion.windows import WINDOWS
from bids_app.encoding.folds import held_out_stimuli
from bids_app.errors import BadDataError
from bids_app.files import read_json
from bids_app.inputs.ratings import Rating, RatingSet
from bids_app.inputs.records import Presentation
from bids_app.meshes import N_VERTICES as N_VERTICES_OF
from bids_app.outputs import OutputTree
from bids_app.report.group_ratings import about_ratings
from bids_app.report.ratings import left_out
from bids_app.report.sources import GroupFiles, ParticipantFiles

N_VERTICES = 40
# Vertices that follow Emotionality, Enjoyment, and the music being on.
FIRST, SECOND, MUSIC = slice(0, 10), slice(10, 20), slice(20, 30)


def drawn(n_permutations, seed):
    return Statistics(n_permutations=n_permutations, random_seed=seed)


def planted_bold(ratings, seed=0, size=0.8, lag=None):
    """BOLD of every piece, with changes of the ratings in some vertices."""
    rng = np.random.default_rng(seed)
    result = {}
    for stimulus, duration in DURATIONS.items():
        n_times = int(duration) + 25
        frames = 0.5 + np.arange(n_times)
        bold = noise(rng, n_times, N_VERTICES)
        for scale, part in (("Emotionality", FIRST), ("Enjoyment", SECOND)):
            rating = ratings.find("01", stimulus, scale)
            change = absolute_change(rating.times, rating.values)
            if lag is None:
                column = convolved_course(rating.times, change, frames, shift=10.0)
            else:
                column = np.interp(frames - 10.0 - lag, rating.times, change, left=0, right=0)
            bold[:, part] += size * (column / column.std())[:, None]
        bold[:, MUSIC] += 3.0 * ((frames > 14) & (frames < duration + 14))[:, None]
        result[stimulus] = 1000 + 10 * bold
    return result


@pytest.fixture
def fit(mesh):
    def call(runs, ratings, *, scales=None, smoothing=0.0, **emotion):
        cleaning = Cleaning(confounds="none", smoothing=smoothing)
        scales = scales or ratings.scales
        return fit_rating_glm(runs, ratings, cleaning, Emotion(**emotion), scales=scales)

    return call


def test_changes_are_found_where_they_were_planted(fit, make_run, ratings, tmp_path):
    bold = planted_bold(ratings)
    runs = [make_run(stimulus, values) for stimulus, values in bold.items()]
    found = fit(runs, ratings)
    assert found.names == ["Emotionality", "Enjoyment"]
    assert found.t.shape == (2, N_VERTICES)
    assert found.t[0, FIRST].min() > 3
    assert found.t[1, SECOND].min() > 3
    assert np.abs(found.t[0, SECOND]).mean() < 1.6
    # The music itself is no change of what is felt.
    assert np.abs(found.t[:, MUSIC]).mean() < 1.6
    assert np.abs(found.t[:, 30:]).mean() < 1.3
    assert [row["used"] for row in found.table] == [True] * 3
    assert found.degrees_of_freedom == sum(row["degrees_of_freedom"] for row in found.table)


def test_the_design_is_told_volume_by_volume(fit, make_run, ratings):
    bold = planted_bold(ratings)
    design = pd.DataFrame(fit([make_run(s, v, n_dummy=4) for s, v in bold.items()], ratings).design)
    drifts = [name for name in design if name.startswith("drift")]
    assert list(design) == [
        *("run", "volume", "Emotionality", "Enjoyment", "music"),
        *drifts,
        "constant",
    ]
    assert drifts[:2] == ["drift1", "drift2"]
    changes = []
    for (stimulus, values), (_, rows) in zip(
        bold.items(), design.groupby("run", sort=False), strict=True
    ):
        assert list(rows["volume"]) == list(range(4, len(values)))
        rating = ratings.find("01", stimulus, "Emotionality")
        change = absolute_change(rating.times, rating.values)
        frames = 0.5 + np.arange(4, len(values))
        expected = convolved_course(rating.times, change, frames, shift=10.0)
        changes.append((rows["Emotionality"].to_numpy(), expected))
    told, expected = (np.concatenate(part) for part in zip(*changes, strict=True))
    # One factor for all runs: the standard deviation over all music.
    np.testing.assert_allclose(told / told.max(), expected / expected.max(), atol=1e-9)


def test_effects_are_percent_of_the_mean_per_standard_deviation(fit, make_run, ratings):
    bold = planted_bold(ratings)
    runs = [make_run(s, v) for s, v in bold.items()]
    louder = RatingSet(
        tuple(
            Rating(r.participant, r.stimulus, r.scale, r.times, 5 * r.values, r.source)
            for r in ratings.ratings
        )
    )
    first, again = fit(runs, ratings), fit(runs, louder)
    np.testing.assert_allclose(first.effect, again.effect, rtol=1e-5)
    scaled = [make_run(s, 3 * v) for s, v in bold.items()]
    np.testing.assert_allclose(fit(scaled, ratings).effect, first.effect, rtol=1e-3, atol=1e-4)


def test_smoothing_spreads_an_effect_to_neighbors(fit, make_run, ratings):
    bold = planted_bold(ratings, size=1.5)
    runs = [make_run(s, v) for s, v in bold.items()]
    rough, soft = fit(runs, ratings), fit(runs, ratings, smoothing=12.0)
    assert soft.effect[0, 10] > rough.effect[0, 10] + 0.1
    assert soft.t[0, 4] > rough.t[0, 4]
    # Nothing spreads into the other hemisphere.
    assert np.abs(soft.t[0, 20:]).mean() < 1.8


def test_dummy_scans_take_no_part(fit, make_run, ratings):
    bold = planted_bold(ratings)
    spoiled = {s: np.vstack([np.full((4, N_VERTICES), 9e4), v[4:]]) for s, v in bold.items()}
    clean = fit([make_run(s, v, n_dummy=4) for s, v in bold.items()], ratings)
    dirty = fit([make_run(s, v, n_dummy=4) for s, v in spoiled.items()], ratings)
    np.testing.assert_array_equal(clean.t, dirty.t)


@pytest.mark.parametrize(("lag", "window"), [(5.0, "follows"), (-5.0, "precedes")])
def test_delays_tell_whether_the_brain_follows_or_precedes(fit, make_run, ratings, lag, window):
    bold = planted_bold(ratings, lag=lag, size=1.0)
    runs = [make_run(s, v) for s, v in bold.items()]
    found = fit(runs, ratings, hrf="fir", delays=(-8, 8))
    t = {
        (c.delay, c.window): found.t[k, FIRST].mean()
        for k, c in enumerate(found.contrasts)
        if c.scale == "Emotionality"
    }
    at_delay = [key for key in t if key[0] is not None]
    assert len(at_delay) == 17
    assert max(at_delay, key=t.__getitem__) == (lag, "")
    assert f"Emotionality at {lag:+g} s" in found.names
    other = {"follows": "precedes", "precedes": "follows"}[window]
    assert t[None, window] > t[None, other] + 2


def test_runs_of_other_delays_are_left_out_and_said_so(fit, make_run, ratings):
    runs = [make_run(s, v) for s, v in planted_bold(ratings).items()]
    mixed = [runs[0], replace(runs[1], tr=0.9), runs[2]]
    found = fit(mixed, ratings, hrf="fir", delays=(-8, 8))
    assert [row["used"] for row in found.table] == [True, False, True]
    assert found.table[1]["reason"] == "its volumes (0.9 s) have other delays than runs before"
    alone = fit(runs[::2], ratings, hrf="fir", delays=(-8, 8))
    assert found.names == alone.names
    assert [row["used"] for row in fit(mixed, ratings).table] == [True, True, True]


def test_runs_without_ratings_are_left_out_and_said_so(fit, make_run, ratings):
    bold = planted_bold(ratings)
    runs = [make_run(s, v) for s, v in bold.items()]
    fewer = RatingSet(
        tuple(r for r in ratings.ratings if (r.stimulus, r.scale) != ("happy", "Enjoyment"))
    )
    found = fit(runs, fewer)
    assert [row["used"] for row in found.table] == [False, True, True]
    assert found.table[0]["reason"] == "no rating: Enjoyment of happy"
    only = RatingSet(tuple(r for r in ratings.ratings if r.scale == "Emotionality"))
    with pytest.raises(BadDataError, match="no rating: Enjoyment of happy"):
        fit(runs, only, scales=["Emotionality", "Enjoyment"])
    assert fit(runs, only).names == ["Emotionality"]


def test_constant_ratings_are_left_out_and_said_so(fit, make_run, ratings):
    bold = planted_bold(ratings)
    runs = [make_run(s, v) for s, v in bold.items()]

    def still(stimuli):
        return RatingSet(
            tuple(
                Rating(r.participant, r.stimulus, r.scale, r.times, np.full_like(r.values, 3), "f")
                if r.scale == "Enjoyment" and r.stimulus in stimuli
                else r
                for r in ratings.ratings
            )
        )

    found = fit(runs, still(["sadsh"]))
    assert found.table[1]["reason"] == "constant rating: Enjoyment"
    with pytest.raises(BadDataError, match="constant rating: Enjoyment"):
        fit(runs, still(list(DURATIONS)))


def test_a_coefficient_per_delay_takes_more_memory(make_run, ratings):
    runs = [make_run("happy", planted_bold(ratings)["happy"])]
    scales = tuple(ratings.scales)
    rated = {("happy", scale) for scale in scales}
    spm, fir = (
        BRAIN.cost(
            Scope(
                Config(Path(), Path(), "participant", emotion=Emotion(hrf=hrf)),
                "01",
                music=runs,
                scales=scales,
                rated=rated,
            )
        ).steps["relate_ratings"]
        for hrf in ("spm", "fir")
    )
    # 21 delays and two windows instead of one map per scale: effect and variance of each vertex.
    assert fir - spm > 2 * 22 * 20484 * 2 * 8


def test_ratings_outside_what_was_played(fit, make_run, ratings):
    run = make_run("happy", planted_bold(ratings)["happy"])
    late = RatingSet(
        tuple(
            Rating(None, r.stimulus, r.scale, r.times + 500, r.values, "f") for r in ratings.ratings
        )
    )
    with pytest.raises(BadDataError, match="do not overlap"):
        fit([run], late)


def blocks_of(ratings, lag, seed=1, size=1.0):
    rng = np.random.default_rng(seed)
    blocks = []
    for stimulus, duration in DURATIONS.items():
        times = np.arange(0.5, duration)
        values = noise(rng, len(times), 12, 0.3)
        rating = ratings.find("01", stimulus, "Emotionality")
        change = absolute_change(rating.times, rating.values)
        column = np.interp(times - lag, rating.times, change)
        values[:, :6] += size * ((column - column.mean()) / column.std())[:, None]
        blocks.append(Block(stimulus, stimulus, 1.0, times, values.astype(np.float32)))
    return blocks


RIDGE = {"model": Model(crop=10.0, alphas=(0.1, 10.0, 1e3)), "statistics": Statistics()}


@pytest.mark.parametrize(("lag", "window"), [(4.0, "follows"), (-4.0, "precedes")])
def test_ridge_on_past_and_future_ratings(ratings, tmp_path, lag, window):
    found = fit_rating_encoding(
        blocks_of(ratings, lag),
        ratings,
        "01",
        high_pass=0.0,
        **RIDGE,
    )
    assert found.scales == ["Emotionality", "Enjoyment"]
    brain = [w.brain for w in WINDOWS]
    (emotionality, enjoyment), (other, _) = (
        found.r[brain.index(name)] for name in (window, *{"precedes", "follows"} - {window})
    )
    assert emotionality[:6].mean() > 0.4
    assert emotionality[:6].mean() > other[:6].mean() + 0.15
    assert abs(enjoyment.mean()) < 0.2
    assert abs(emotionality[6:].mean()) < 0.2


def test_folds_of_ridge_follow_the_audio_not_the_volumes(ratings):
    pieces = [f"p{k}" for k in range(8)]
    rng = np.random.default_rng(5)
    seconds = {name: 60.0 + 0.6 * k for k, name in enumerate(pieces)}

    def blocks(lengths):
        return [
            Block(name, name, 1.0, np.arange(n) + 0.5, rng.standard_normal((n, 2)).astype("f4"))
            for name, n in zip(pieces, lengths, strict=True)
        ]

    walks = [np.cumsum(rng.standard_normal(400)) for _ in pieces]
    rated = RatingSet(
        tuple(
            Rating(None, name, "Joy", np.arange(400) * 0.2, values, "f")
            for name, values in zip(pieces, walks, strict=True)
        )
    )
    whole = [int(s) for s in seconds.values()]
    jittered = [n + (k == 0) * 3 for k, n in enumerate(whole)]
    options = {"durations": seconds, "high_pass": 0.0, **RIDGE}
    expected = ["+".join(held) for held in held_out_stimuli(pieces, seconds)]
    for lengths in (whole, jittered):
        found = fit_rating_encoding(blocks(lengths), rated, "01", **options)
        assert sorted(found.fold_stimuli) == sorted(expected)
        assert found.details["StimulusDurations"] == seconds


def test_ridge_refuses_runs_of_different_repetition_times(ratings):
    blocks = blocks_of(ratings, 4.0)
    blocks[1] = replace(blocks[1], tr=2.0)
    with pytest.raises(BadDataError, match="differ in repetition time"):
        fit_rating_encoding(blocks, ratings, "01", high_pass=0.0, **RIDGE)


def test_ridge_names_what_is_missing(ratings):
    with pytest.raises(BadDataError, match="Joy of happy"):
        fit_rating_encoding(
            blocks_of(ratings, 0.0), ratings, "01", scales=["Joy"], high_pass=0.0, **RIDGE
        )


def test_group_maps_joint_over_scales():
    rng = np.random.default_rng(2)
    maps = rng.standard_normal((16, 2, 60))
    maps[:, 0, :8] += 2.5
    maps[:, 1, 8:16] -= 2.5
    found = group_effects(maps, ["Emotionality", "Enjoyment"], drawn(500, 0))
    assert (found.test.p[0, :8] < 0.05).all()
    assert (found.test.p[1, 8:16] < 0.05).all()
    assert found.contrasts.names == ["Emotionality - Enjoyment"]
    assert (found.contrasts.test.p[0, :16] < 0.05).mean() > 0.8
    assert (found.test.p[:, 16:] < 0.05).mean() < 0.02
    single = group_effects(maps[:, :1], ["Emotionality"], drawn(50, 0))
    assert single.contrasts is None
    with pytest.raises(BadDataError, match="2 names"):
        group_effects(maps[:, :1], ["a", "b"], drawn(10_000, 0))


def test_group_error_rate_without_effect():
    hits = 0
    for seed in range(100):
        maps = np.random.default_rng(seed).standard_normal((12, 2, 30))
        found = group_effects(maps, ["a", "b"], drawn(199, seed))
        hits += np.nanmin(found.test.p) <= 0.05
    assert hits <= 12


def test_what_turns_adds_up_to_the_effect(fit, make_run, ratings, monkeypatch):
    # Without what makes up for energy lost to the nuisance.
    monkeypatch.setattr("bids_app.emotion.music._LEAST", 1.0)
    bold = planted_bold(ratings)
    found = fit([make_run(s, v) for s, v in bold.items()], ratings)
    assert [one.stimulus for one in found.turned[::2]] == list(bold)
    for k, scale in enumerate(found.names):
        own = [one.values for one in found.turned if one.contrast.scale == scale]
        total = sum(values[0] + values[1::2].sum(axis=0) for values in own)
        np.testing.assert_allclose(total, found.effect[k], rtol=1e-3, atol=1e-4)
        # What a convolved rating does is in the frequencies that turn.
        fixed = sum(values[0] ** 2 for values in own)
        turning = sum((values[1:] ** 2).sum(axis=0) / 2 for values in own)
        assert np.median(fixed / turning) < 0.1
    late = fit([make_run(s, v) for s, v in bold.items()], ratings, hrf="fir", delays=(-3, 3))
    assert {one.contrast.window for one in late.turned} == {"precedes", "follows"}


def test_windows_of_music_end_where_the_next_begins():
    played = [Presentation("a", 10.0, 0.0, 30.0), Presentation("b", 45.0, 0.0, 20.0)]
    frames = 0.5 + 1.0 * np.arange(70)
    windows, n_freq = music_windows(played, frames, 1.0, Emotion())
    assert windows == [slice(10, 45), slice(45, 70)]
    assert n_freq == [5, 3]
    _, n_freq = music_windows(played, frames, 1.0, Emotion(hrf="fir"))
    assert n_freq == [17, 12]


def test_maps_over_music_are_written_and_read(ratings, tmp_path):
    """Everybody shares what turns: found over people everywhere, over music where it is large."""
    tree, rng = OutputTree(tmp_path), np.random.default_rng(4)
    settings = {"space": "fsaverage5"}
    claim_settings(tree, "emotion", settings)
    contrasts = map_contrasts(("Joy", "Fear"), Emotion(), 1.0)
    people = tuple(f"{k:02d}" for k in range(7))
    shared = rng.standard_normal((2, 21, 20484)).astype(np.float32)
    shared[:, 1::2, :50] += 8
    for participant in people:
        terms = shared + 0.1 * rng.standard_normal(shared.shape).astype(np.float32)
        values = terms[:, 0] + terms[:, 1::2].sum(axis=1)
        turned = [TurnedEffect(contrasts[k], "happy", terms[k]) for k in range(2)]
        maps = LinearMaps(contrasts, values, values, values, 9.0, [{"run": "r"}], {}, turned)
        stimuli, notes = {"happy": "ab" * 32}, ("the column trigger: left out",)
        record = Record(participant, "emotion", settings, (), {}, stimuli=stimuli, notes=notes)
        write_rating_maps(tree, record, (maps, ""), (None, "no responses"))
    statistics = drawn(200, 0)
    tests = infer_rating_maps(tree, people, statistics, tmp_path)
    assert tests.music.reason == ""
    both = both_claims(tests.effects, tests.music.effects)
    assert (tests.effects.test.p < 0.05).mean() > 0.5
    assert both[:, :50].all()
    assert both[:, 50:].mean() < 0.001
    squares = (shared.astype(float) ** 2)[:, 1:].sum(axis=1) / 2 + shared[:, 0].astype(float) ** 2
    # Maps are in the order of their names.
    np.testing.assert_allclose(tests.music.effects.sd, np.sqrt(squares[::-1]), rtol=0.1)
    writer = GroupWriter(tree, tests.group, {})
    write_group_maps(writer, tests)
    # What was left out of the ratings stands beside the maps, and on both pages.
    (left,) = tree.root.glob("sub-03/func/*hemi-L*feature-Joy_stat-t_statmap.json")
    assert read_json(left)["Notes"] == ["the column trigger: left out"]
    writer.finish(**told_of_ratings(tests))
    assert read_json(writer.done)["Notes"] == ["the column trigger: left out"]
    told = [block.text for block in about_ratings(GroupFiles(tree.root))]
    assert told == ["the column trigger: left out."]
    settings_file = tree.participant_settings("03", "emotion")
    files = ParticipantFiles(tree.root, "03")
    told = [block.text for block in left_out(files, settings_file)]
    assert told[-1] == "About the ratings: the column trigger: left out."
    names = {path.name for path in writer.written}
    for feature, desc in (("Joy", ""), ("Fear", ""), ("FearMinusJoy", "contrast")):
        for stat, own in (("p", "music"), ("p", "musicmaxt"), ("n", "both")):
            path = tree.group_map(
                "L", "fsaverage5", model="emotion", feature=feature, stat=stat, desc=desc + own
            )
            assert path.name in names
    # A folder of before has no such maps.
    for path in tree.participant_dir("03").glob("*_stat-turned_*"):
        path.unlink()
    later = infer_rating_maps(tree, people, statistics, tmp_path)
    assert "sub-03" in later.music.reason
    assert "participant level again" in later.music.reason
    assert not np.nan_to_num(both_claims(later.effects, later.music.effects)).any()


def test_predictions_have_a_null_over_music(ratings, tmp_path, monkeypatch):
    """Responses that follow everybody's ratings hold over music, shared ones that do not do not."""
    small = 12
    monkeypatch.setitem(N_VERTICES_OF, "fsaverage5", small // 2)
    tree, folder = OutputTree(tmp_path / "out"), tmp_path / "work"
    folder.mkdir()
    settings = {
        "space": "fsaverage5",
        "crop": RIDGE["model"].crop,
        "alphas": list(RIDGE["model"].alphas),
    }
    claim_settings(tree, "emotion", settings)
    people = ("01", "02", "03", "04", "05", "06")
    stimuli = {name: name * 8 for name in DURATIONS}
    common = blocks_of(ratings, 4.0, seed=99, size=0.0)
    accuracies = []
    for k, participant in enumerate(people):
        blocks = blocks_of(ratings, 4.0, seed=k)
        for block, other in zip(blocks, common, strict=True):
            block.values[:, 6:] += 2 * other.values[:, 6:]
        found = fit_rating_encoding(blocks, ratings, participant, high_pass=0.0, **RIDGE)
        assert found.alpha.shape == (2, 3, 2, small)
        accuracies.append(found.r)
        record = Record(participant, "emotion", settings, (), {}, stimuli=stimuli)
        contrasts = map_contrasts(tuple(ratings.scales), Emotion(), 1.0)
        noise_maps = np.random.default_rng(k).standard_normal((2, small)).astype(np.float32)
        maps = LinearMaps(contrasts, noise_maps, noise_maps, noise_maps, 9.0, [{"run": "r"}], {})
        monkeypatch.setattr(
            "bids_app.analyses.ratings.window_music.read_cleaned",
            lambda tree, who, space: [
                replace(block, values=np.load(tmp_path / f"{who}_{block.stimulus}.npy"))
                for block in common
            ],
        )
        for block in blocks:
            np.save(tmp_path / f"{participant}_{block.stimulus}.npy", block.values)
        write_rating_maps(tree, record, (maps, ""), (found, ""))
    monkeypatch.setattr("bids_app.analyses.ratings.group.load_mesh", lambda space: None)
    tests = infer_rating_maps(tree, people, drawn(64, 0), folder)
    assert tests.windows_reason == ""
    past = tests.windows["past"]
    scale = list(ratings.scales).index("Emotionality")
    assert (past.q[scale, :6] < 0.01).all()
    assert past.both[scale, :6].all()
    assert (past.q[scale, 6:] > 0.05).all()
    assert tests.windows["future"].both.mean() < past.both.mean()
    # Responses are not periodic, and the standard deviation is widened for it.
    with monkeypatch.context() as wide:
        wide.setattr("bids_app.analyses.ratings.window_music.accuracy_end_factor", lambda *_: 100.0)
        widened = infer_rating_maps(tree, people, drawn(64, 0), folder).windows["past"]
    assert not widened.both.any()
    # The null is linear in correlations: their plain mean is tested, not that of Fisher's z.
    with monkeypatch.context() as unit:
        name = "bids_app.analyses.ratings.window_music"
        unit.setattr(f"{name}.vertex_null_sd", lambda *_, **__: np.ones((1, small)))
        unit.setattr(f"{name}.accuracy_end_factor", lambda *_: 1.0)
        plain = infer_rating_maps(tree, people, drawn(64, 0), folder).windows["past"]
    side = [window.rating for window in WINDOWS].index("past")
    r = np.mean(accuracies, axis=0)[side]
    np.testing.assert_allclose(plain.p, special.ndtr(-r), atol=1e-6)
    path = tree.participant_file("03", "timeseries.tsv", model="emotion", desc="ratings")
    path.unlink()
    again = infer_rating_maps(tree, people, drawn(64, 0), folder)
    assert again.windows == {}
    assert "table is missing" in again.windows_reason
