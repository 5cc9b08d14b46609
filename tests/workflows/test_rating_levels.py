"""Ratings through the command line: brain, layers, group, and what is said where they lack."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bids_app.workflows import participant_level
from felt import EFFECT, FOLLOWS, LACKING, MOVED, PARTICIPANTS, SHIFT, SILENT, write_felt
from listed import listed, written

from bids_app.analyses import page, registry
from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti

pytestmark = pytest.mark.integration

CLEANING = ["--confounds", "none", "--smoothing", "0", "--crop", "12", "--features", "envelope"]


def arguments(root, out, *extra, level="participant"):
    music = ["--stimuli", str(root / "music.tsv")] if level == "participant" else []
    cache = ["--cache-dir", str(root / "cache")]
    return [str(root), str(root / out), level, *CLEANING, *music, *cache, *extra]


def rated(root):
    return ["--ratings", str(root / "ratings.tsv")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Analyzed without ratings, then with them; no page is drawn."""
    root = write_felt(tmp_path_factory.mktemp("felt") / "study")
    with pytest.MonkeyPatch.context() as patch:
        for module in (page, participant_level):
            patch.setattr(module, "write_participant_report", lambda out, *_, **__: out / "README")
        patch.setattr(page, "copy_stimulus_figures", lambda *_: [])
        patch.setattr(registry, "write_group_page", lambda *_: root / "music.tsv")
        assert main(arguments(root, "out", *rated(root), "--emotion", "off")) == 0
        tree = OutputTree(root / "out")
        assert not list(tree.root.rglob("*emotion*"))
        before = tree.participant_settings("01", "envelope").stat().st_mtime_ns
        assert main(arguments(root, "out", *rated(root))) == 0
        # The encoding is not done again.
        assert tree.participant_settings("01", "envelope").stat().st_mtime_ns == before
        gradient = ",".join(f"{root}/{hemi}.func.gii" for hemi in "LR")
        assert main(arguments(root, "out", "--gradient", gradient, level="group")) == 0
        late = ["--rating-hrf", "fir", "--rating-delays=-8:8", "--participant-label", "01"]
        assert main(arguments(root, "late", *rated(root), *late)) == 0
        spaces = ["--features", "cochleagram", "descriptors", "--participant-label", "01"]
        assert main(arguments(root, "spaces", *spaces)) == 0
    return root


def left(root, stat, *, out="out", participant="01", **entities):
    path = OutputTree(root / out).participant_map(
        participant, "L", "fsaverage5", model="emotion", stat=stat, **entities
    )
    return read_gifti(path), read_json(sidecar_of(path))


def statuses(root, out):
    logs = (root / out / "logs").glob("status_*.json")
    return [json.loads(path.read_text()) for path in sorted(logs)]


@pytest.mark.parametrize(
    ("out", "participant", "extra"),
    [
        ("out", "01", []),
        ("out", LACKING, []),
        ("late", "01", ["--rating-hrf", "fir", "--rating-delays=-8:8"]),
        ("spaces", "01", ["--features", "cochleagram", "descriptors", "--emotion", "off"]),
    ],
)
def test_a_dry_run_lists_what_is_there_afterwards(study, capsys, out, participant, extra):
    call = arguments(study, out, *rated(study), *extra, "--participant-label", participant)
    assert main([*call, "--dry-run"]) == 0
    names = {name for name in listed(capsys.readouterr().out) if "/func/" in name}
    assert names == written(study / out, participant)


def test_a_planted_effect_is_found_where_it_is(study):
    for participant in ("01", "02"):
        (effect,), told = left(study, "effect", participant=participant, feature="Enjoyment")
        assert effect[MOVED].mean() == pytest.approx(EFFECT, rel=0.15)
        assert "percent signal change" in told["Description"]
        (t,), _ = left(study, "t", participant=participant, feature="Enjoyment")
        assert t[MOVED].min() > 4
        assert np.abs(t[SILENT]).mean() < 1.6
    group = OutputTree(study / "out").group_map(
        "L", "fsaverage5", model="emotion", feature="Enjoyment", stat="effect"
    )
    assert read_gifti(group)[0, MOVED].mean() == pytest.approx(EFFECT, rel=0.15)


def test_the_brain_follows_the_rating_at_the_planted_delay(study):
    effect, told = left(study, "effect", out="late", feature="Emotionality", desc="delays")
    best = told["DataArrays"][int(effect[:, FOLLOWS].mean(axis=1).argmax())]
    assert best == f"Emotionality at {SHIFT:+g} s"
    (follows,), _ = left(study, "t", out="late", feature="Emotionality", desc="follows")
    (precedes,), _ = left(study, "t", out="late", feature="Emotionality", desc="precedes")
    assert follows[FOLLOWS].mean() > precedes[FOLLOWS].mean() + 2
    past, told = left(study, "r", desc="past")
    future, _ = left(study, "r", desc="future")
    scale = told["DataArrays"].index("Emotionality")
    assert past[scale, FOLLOWS].mean() > 0.4
    assert future[scale, FOLLOWS].mean() < past[scale, FOLLOWS].mean() - 0.2


def test_refits_of_the_encoding_leave_ratings_to_the_closed_form(study):
    phase = ["--null", "phase", "--n-nulls", "2", "--participant-label", "01"]
    assert main(arguments(study, "refits", *rated(study), *phase)) == 0
    tree = OutputTree(study / "refits")
    told = read_json(tree.participant_settings("01", "envelope", "ratings"))["Details"]
    assert told["Null"] == "analytic"
    (z, *_), _ = left(study, "z", out="refits", desc="past")
    assert np.isfinite(z[FOLLOWS]).all()


def test_who_lacks_a_scale_is_kept_out_and_told(study):
    with_ratings = statuses(study, "out")[1]
    reasons = [r["reason"] for r in with_ratings["rows"] if r["participant"] == LACKING]
    assert any("Enjoyment of first" in reason for reason in reasons)
    assert with_ratings["exit_code"] == 0
    group = read_json(OutputTree(study / "out").group_table("settings.json", model="emotion"))
    assert group["Participants"] == [f"sub-{p}" for p in PARTICIPANTS if p != LACKING]
    assert "Enjoyment" in group["LeftOut"][f"sub-{LACKING}"]


def test_steps_carry_the_memory_they_may_take(study, monkeypatch):
    built = []
    monkeypatch.setattr(participant_level, "run_workflow", lambda wf, *_: built.append(wf) or [])
    assert main(arguments(study, "memory", *rated(study))) == 1  # nothing was run
    nodes = {name: built[0].get_node(name) for name in built[0].list_node_names()}
    of_ratings = {name: node.mem_gb for name, node in nodes.items() if "rating" in name}
    of_ratings |= {name: node.mem_gb for name, node in nodes.items() if "scores" in name}
    assert len(of_ratings) > 8
    assert 0.16 < min(of_ratings.values()) < max(of_ratings.values()) < 0.7


def test_kept_results_rest_on_the_content_of_the_mask(study, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(participant_level, "run_workflow", lambda wf, *_: built.append(wf) or [])
    halves = [tmp_path / f"{side}h.csv" for side in "lr"]
    masked = [*rated(study), "--cortex-mask", ",".join(map(str, halves))]
    for n_left_out in (1, 2):
        inside = np.ones(10242, dtype=int)
        inside[-n_left_out:] = 0
        for path in halves:
            np.savetxt(path, inside, fmt="%d")
        assert main(arguments(study, f"masked{n_left_out}", *masked)) == 1  # nothing was run
    for name in ("clean_runs_01", "relate_ratings_01"):
        first, second = (workflow.get_node(name).inputs.get_hashval()[1] for workflow in built)
        assert first != second


def test_switched_off_is_told(study):
    assert statuses(study, "out")[0]["notes"] == ["ratings: switched off (--emotion off)"]


def test_tables_of_layers_and_ratings_have_every_column_described(study):
    tree = OutputTree(study / "out")
    tables = [tree.scores("01", "envelope", name) for name in ("ratings", "changes")]
    tables += sorted(tree.root.glob("group_model-envelope_desc-*_scores.tsv"))
    assert len(tables) >= 4
    for path in tables:
        table = pd.read_csv(path, sep="\t")
        assert {*table.columns, "Sources"} == set(read_json(path.with_suffix(".json")))
    scores = pd.read_csv(tables[0], sep="\t")
    assert set(scores["held_out"]) == {"mean", "first", "second"}


@pytest.mark.parametrize(
    ("change", "extra", "code", "words"),
    [
        (lambda t: t.assign(time=t["time"] + 1000), [], 65, "do not overlap"),
        (lambda t: t.assign(Enjoyment="high"), ["--scales", "Enjoyment"], 16, "Enjoyment"),
        (lambda t: t, ["--scales", "Sadness"], 16, "Sadness"),
        (lambda t: t, ["--scales", "Emotionality", "Sadness"], 16, "Sadness"),
        (lambda t: t.drop(columns="time"), [], 16, "time"),
    ],
)
def test_bad_ratings_are_told_before_any_work(study, tmp_path, capsys, change, extra, code, words):
    table = pd.read_csv(study / "ratings.tsv", sep="\t")
    change(table).to_csv(tmp_path / "bad.tsv", sep="\t", index=False, na_rep="n/a")
    call = arguments(study, "bad", "--ratings", str(tmp_path / "bad.tsv"), *extra)
    assert main(call) == code
    message = capsys.readouterr().err
    assert words in message
    assert "do this:" in message
    assert not list((study / "bad").glob("sub-*"))
