"""Conditions through the command line: contrast, interaction with a seed, lags, group."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import soundfile
import statsmodels.api as sm
from bids_app.workflows import participant_level
from bids_app.workflows.participant import init_participant_level_wf
from dissonance import CONTRAST, COUPLED, N_TIMES, RATINGS, SHIFT, SILENT, write_dissonance
from listed import listed, written

from bids_app.analyses import page
from bids_app.analyses.conditions import group as inference
from bids_app.analyses.conditions.plan import condition_record, condition_settings
from bids_app.analyses.participant_level import ParticipantLevel
from bids_app.cli.parser import parse_config
from bids_app.cli.run import main, plan_contrasts
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti

LABEL = "dissonantMinusconsonant"
CLEANING = ["--confounds", "none", "--smoothing", "0"]


def arguments(root, level="participant", *extra):
    return [str(root), str(root / "out"), level, *CLEANING, *extra]


def seeded(root):
    return ["--seed", f"{root}/lh.seed.label", "--target", f"{root}/lh.target.label"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six participants, analyzed at the participant level; their pages are drawn by one test."""
    root = write_dissonance(tmp_path_factory.mktemp("music") / "study")
    # Named without their folder; other calls give the whole path, which is the same setting.
    regions = ["--seed", "lh.seed.label", "--target", "lh.target.label"]
    call = arguments(root, "participant", "--contrast", "dissonant-consonant", *regions)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for module in (page, participant_level):
            patch.setattr(module, "write_participant_report", lambda *_, **__: root / "out/README")
        assert main(call) == 0
    return root


def left(root, stat, *, participant="01", **entities):
    path = OutputTree(root / "out").participant_map(
        participant, "L", "fsaverage5", model="conditions", feature=LABEL, stat=stat, **entities
    )
    return read_gifti(path)[0]


def test_planted_contrast_and_interaction_are_found_where_they_are(study):
    for participant, effect in (("01", 0.0), ("05", 4.0)):
        found = left(study, "effect", participant=participant)[CONTRAST].mean()
        assert found == pytest.approx(effect, abs=0.4)
    assert left(study, "t", participant="05")[CONTRAST].min() > 4
    interaction = left(study, "t", desc="ppi")
    assert interaction[COUPLED].min() > 2
    for values in (interaction[CONTRAST], interaction[SILENT], left(study, "z")[SILENT]):
        assert np.abs(values).mean() < 1.6
    assert np.isnan(left(study, "t")[5000])


def test_sidecars_say_what_was_done(study):
    tree = OutputTree(study / "out")
    path = tree.participant_map(
        "01", "R", "fsaverage5", model="conditions", feature=LABEL, stat="effect", desc="ppi"
    )
    told = read_json(sidecar_of(path))
    assert told["Contrast"] == "dissonant-consonant"
    assert told["Seed"] == "lh.seed.label"
    assert told["Runs"][0]["used"] is True
    settings = read_json(tree.participant_settings("01", "conditions"))
    assert settings["Contrasts"] == {LABEL: "dissonant-consonant"}
    assert tree.models() == []  # it is no encoding model


def test_positive_lag_means_that_the_target_leads(study):
    tree = OutputTree(study / "out")
    path = tree.condition_table("01", "timeseries.tsv", feature=LABEL, desc="lags")
    table = pd.read_csv(path, sep="\t")
    for condition in ("dissonant", "consonant"):
        curve = table[table["condition"] == condition]
        assert curve.loc[curve["r"].idxmax(), "lag_s"] == SHIFT
    told = read_json(sidecar_of(path))
    assert told["SignConvention"] == "positive lag means: target leads seed"
    assert set(table["convention"]) == {told["SignConvention"]}
    means = pd.read_csv(
        tree.condition_table("01", "summary.tsv", feature=LABEL, desc="lags"), sep="\t"
    )
    assert (means["r_positive"] > means["r_negative"]).iloc[:2].all()


def only_logs(folder):
    """Whether a call that was refused left nothing but its status and its log."""
    return {path.relative_to(folder).parts[0] for path in folder.rglob("*")} <= {"logs"}


def test_unknown_conditions_are_listed_before_anything_is_written(study, tmp_path, capsys):
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING]
    call += ["--contrast", "loud-consonant"]
    assert main(call) == 2
    assert "conditions: consonant, dissonant" in capsys.readouterr().err
    assert only_logs(tmp_path / "out")


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(study, capsys):
    call = arguments(study, "participant", "--contrast", "dissonant-consonant", *seeded(study))
    before = {p: p.stat().st_mtime_ns for p in (study / "out").rglob("*conditions*.gii")}
    assert main(call) == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert main(arguments(study, "participant", "--contrast", "consonant-dissonant")) == 16
    assert "contrasts" in capsys.readouterr().err


@pytest.fixture
def alone(tmp_path):
    """A study of one participant, not analyzed."""
    return write_dissonance(tmp_path / "study", participants=("01",))


@pytest.mark.parametrize("timing", [{"StartTime": 0.0}, {"RepetitionTime": 2.4}])
def test_maps_are_made_anew_when_the_timing_has_changed(alone, timing):
    call = arguments(alone, "participant", "--contrast", "dissonant-consonant")
    assert main(call) == 0
    before = left(alone, "effect")[CONTRAST]
    for path in (alone / "derivatives").rglob("*_bold.json"):
        path.write_text(json.dumps(read_json(path) | timing))
    assert main(call) == 0
    assert not np.array_equal(left(alone, "effect")[CONTRAST], before)
    done = OutputTree(alone / "out").participant_settings("01", "conditions")
    last = done.stat().st_mtime_ns
    assert main(call) == 0
    assert done.stat().st_mtime_ns == last


def test_steps_carry_the_memory_they_may_take(alone):
    call = arguments(alone, "participant", "--contrast", "dissonant-consonant", *seeded(alone))
    config = parse_config(call)
    plan = plan_contrasts(config)
    record = condition_record(plan, "01", condition_settings(config, plan))
    costs = ParticipantLevel.of(config, conditions=plan).costs()
    workflow = init_participant_level_wf(
        None, plan, [record], ["01"], config=config, costs=costs, n_threads=1
    )
    names = ("analyze_conditions", "write_conditions", "draw_page")
    taken = {name: workflow.get_node(f"{name}_01").mem_gb for name in names}
    assert taken == {name: costs.steps[name] / 1e9 for name in names}
    assert costs.participant_memory == 1e9 * max(taken.values())
    assert 0.2 < taken["analyze_conditions"] < 0.5


def test_a_dry_run_lists_what_is_there_afterwards(alone, capsys):
    call = arguments(alone, "participant", "--contrast", "dissonant-consonant", "consonant")
    assert main([*call, *seeded(alone), "--dry-run"]) == 0
    text = capsys.readouterr().out
    for words in ("contrasts: dissonant-consonant, consonant", "memory  ", "time  ", "disk  "):
        assert words in text
    assert main([*call, *seeded(alone)]) == 0
    assert listed(text) == written(alone / "out", "01")


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (["--seed", "nowhere.label"], 2, "hemisphere"),
        (["--seed", "lh.nowhere.label"], 66, "not found"),
        (["--seed=-500,0,0"], 65, "far from the cortex"),
        (["--condition-column", "emotion"], 16, "emotion"),
        (["--mem", "0.05"], 75, "for one participant"),
        (["--seed=-40,-20,10", "--target=40,-20,10", "--max-lag", "29"], 2, "consonant 30 s"),
        (["--seed=-40,-20,10", "--target=40,-20,10", "--max-lag", "2"], 2, "2.5 to 22.5 s"),
    ],
)
def test_errors_before_computing(study, tmp_path, capsys, extra, code, words):
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING]
    call += ["--contrast", "dissonant-consonant"]
    assert main([*call, *extra]) == code
    assert words in capsys.readouterr().err
    assert only_logs(tmp_path / "out")


def test_music_and_conditions_are_planned_side_by_side(study, tmp_path, capsys):
    audio = tmp_path / "song.wav"
    soundfile.write(audio, np.random.default_rng(0).uniform(-0.1, 0.1, 16000 * 300), 16000)
    table = tmp_path / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\nmusic\t{audio}\t10\n")
    call = [str(study), str(tmp_path / "out"), "participant", *CLEANING, "--dry-run"]
    call += ["--vggish-weights", "random:0"]
    assert main([*call, "--stimuli", str(table), "--contrast", "dissonant-consonant"]) == 0
    printed = capsys.readouterr().out
    assert "sub-01: 1 runs with conditions" in printed
    assert "model-vggish" in printed
    # Without contrasts, a dataset without music is the error it always was.
    assert main(call) == 66
    assert "There is no stimulus" in capsys.readouterr().err


def test_who_lacks_a_condition_is_left_out_and_what_fails_is_told(tmp_path, capsys):
    root = write_dissonance(tmp_path / "study", participants=("01", "02", "03"))
    events = root / "sub-02" / "func" / "sub-02_task-music_events.tsv"
    events.write_text(events.read_text().replace("dissonant", "loud"))
    rng = np.random.default_rng(0)
    for participant, n_times in (("01", N_TIMES), ("02", N_TIMES), ("03", N_TIMES - 1)):
        folder = root / f"derivatives/fmriprep/sub-{participant}/func"
        name = f"sub-{participant}_task-music_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
        data = rng.standard_normal((2, 2, 2, n_times)).astype(np.float32)
        nib.save(nib.Nifti1Image(data, np.eye(4)), folder / name)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), root / "ic.nii.gz")
    call = arguments(root, "participant", "--contrast", "dissonant-consonant")
    assert main([*call, "--seed", str(root / "ic.nii.gz")]) == 1
    (status,) = (read_json(path) for path in (root / "out" / "logs").glob("status_*.json"))
    rows = {row["participant"]: row for row in status["rows"]}
    assert rows["01"]["state"] == "done"
    assert rows["02"]["state"] == "skipped"
    assert "no trials of dissonant (there: consonant, loud)" in rows["02"]["reason"]
    assert rows["03"]["state"] == "failed"
    assert "differ in length" in rows["03"]["reason"]
    assert "differ in length" in (root / "out" / "sub-03.html").read_text()
    capsys.readouterr()
    assert main(arguments(root, "group")) == 16
    assert "two participants" in capsys.readouterr().err


def test_a_run_lost_to_its_trials_is_a_problem_and_odd_ones_are_told(tmp_path):
    root = write_dissonance(tmp_path / "study", participants=("01", "02"))
    for participant, change in (("01", "500"), ("02", "soon")):
        events = root / f"sub-{participant}" / "func" / f"sub-{participant}_task-music_events.tsv"
        header, first, *rows = events.read_text().splitlines()
        cells = first.split("\t")
        cells[header.split("\t").index("onset")] = change
        events.write_text("\n".join([header, "\t".join(cells), *rows]) + "\n")
    call = arguments(root, "participant", "--contrast", "dissonant-consonant")
    assert main([*call, "--dry-run"]) == main(call) == 1
    status = max((root / "out" / "logs").glob("status_*.json"), key=lambda p: p.stat().st_mtime)
    told = read_json(status)
    (problem,) = [row for row in told["rows"] if row["problem"]]
    assert (problem["run"], problem["state"]) == ("sub-02_task-music", "skipped")
    assert "is no number of seconds" in problem["reason"]
    assert [row["state"] for row in told["rows"] if row["participant"] == "01"] == ["done"]
    (note,) = told["notes"]
    assert note.startswith("sub-01_task-music: 1 of ")
    assert " trials begins behind the end of the run" in note


@pytest.fixture(scope="module")
def group(study):
    """The group level with the ratings of participants.tsv."""
    assert main(arguments(study, "group", "--rating-difference", "dislike")) == 0
    return study


def group_map(root, stat, desc):
    path = OutputTree(root / "out").group_map(
        "L", "fsaverage5", model="conditions", feature=LABEL, stat=stat, desc=desc
    )
    return read_gifti(path)[0], read_json(sidecar_of(path))


def test_group_maps_show_what_was_planted(group):
    effect, told = group_map(group, "effect", "")
    assert effect[CONTRAST].mean() == pytest.approx(2.0, abs=0.3)
    assert np.abs(effect[SILENT]).mean() < 0.5
    assert len(told["Participants"]) == 6
    interaction, _ = group_map(group, "t", "ppi")
    assert interaction[COUPLED].min() > 4
    # Six participants have 64 sign flips: the smallest two-sided p is 2 / 64.
    assert group_map(group, "p", "ppimaxt")[0][COUPLED].min() == pytest.approx(2 / 64)


def test_slope_on_the_rating_difference(group):
    slope, told = group_map(group, "effect", "rating")
    assert slope[CONTRAST].mean() == pytest.approx(1.0, abs=0.2)
    assert np.abs(slope[SILENT]).mean() < 0.3
    assert told["LeftOut"] == {"sub-06": "no rating difference"}
    assert len(told["Participants"]) == 5
    p = group_map(group, "p", "ratingmaxt")[0]
    assert p[CONTRAST].min() == pytest.approx(2 / 120)  # all orders of five, and their mirror
    ratings = np.array([v for v in RATINGS.values() if v is not None])
    maps = np.stack([left(group, "effect", participant=f"0{k}")[CONTRAST] for k in range(1, 6)])
    fits = [sm.OLS(y, sm.add_constant(ratings)).fit() for y in maps.T.astype(float)]
    np.testing.assert_allclose(slope[CONTRAST], [f.params[1] for f in fits], rtol=1e-5)
    t = group_map(group, "t", "rating")[0]
    np.testing.assert_allclose(t[CONTRAST], [f.tvalues[1] for f in fits], rtol=1e-5)


def test_group_tables_have_dictionaries(group):
    tree = OutputTree(group / "out")
    for path in (group / "out").glob("group_model-conditions_*.tsv"):
        told = read_json(path.with_suffix(".json"))
        assert set(pd.read_csv(path, sep="\t").columns) <= set(told)
    tests = pd.read_csv(tree.group_table("summary.tsv", model="conditions", desc="tests"), sep="\t")
    assert list(tests["n_participants"]) == [6, 5, 6, 5]
    assert tests["n_significant_maxt"].iloc[1] > 0
    people = pd.read_csv(
        tree.group_table("summary.tsv", model="conditions", desc="participants"), sep="\t"
    )
    assert people["in_regression"].tolist() == [True] * 5 + [False]


def test_lags_over_participants(group):
    path = OutputTree(group / "out").group_table(
        "summary.tsv", model="conditions", feature=LABEL, desc="lags"
    )
    table = pd.read_csv(path, sep="\t").set_index(["condition", "lags"])
    for condition in ("dissonant", "consonant"):
        means = table.loc[condition, "mean_r"]
        assert means["positive"] > means["negative"] + 0.05
    assert (table["n_rating"] == 5).all()
    assert table["slope_p"].between(0, 1).all()
    told = read_json(sidecar_of(path))
    assert told["SignConvention"] == "positive lag means: target leads seed"
    assert told["LeftOutOfRegression"] == {"sub-06": "no rating difference"}
    curves = pd.read_csv(path.with_name(path.name.replace("_summary", "_timeseries")), sep="\t")
    curve = curves[curves["condition"] == "dissonant"]
    assert curve.loc[curve["mean_r"].idxmax(), "lag_s"] == SHIFT


def test_the_group_keeps_to_threads_and_memory(study, tmp_path, capsys, monkeypatch):
    shutil.copytree(study / "out", tmp_path / "out", ignore=shutil.ignore_patterns("group_*"))
    call = [str(study), str(tmp_path / "out"), "group", "--n-permutations", "2"]
    assert main([*call, "--mem", "0.05"]) == 75
    assert "for the maps of 6 participants" in capsys.readouterr().err
    threads = []
    test = inference.group_effects

    def spy(*args, n_threads, **options):
        threads.append(n_threads)
        return test(*args, n_threads=n_threads, **options)

    monkeypatch.setattr(inference, "group_effects", spy)
    assert main([*call, "--omp-nthreads", "2"]) == 0
    assert threads == [2, 2]  # the contrast and the interaction


def test_group_errors(group, study, tmp_path, capsys):
    assert main(arguments(study, "group", "--rating-difference", "likes")) == 16
    assert "participant_id, dislike" in capsys.readouterr().err
    assert main([str(study), str(tmp_path), "group", "--rating-difference", "dislike"]) == 66
    assert "--contrast" in capsys.readouterr().err


def test_the_plan_names_labels_that_were_not_taken_literally(study, tmp_path, capsys):
    table = tmp_path / "table.tsv"
    rows = [f"{k}\t{k}" for k in range(1, 7)]
    table.write_text("\n".join(["participant_id\tdislike", *rows, "sub-3b\t1"]) + "\n")
    shutil.copytree(study / "out", tmp_path / "out", ignore=shutil.ignore_patterns("group_*"))
    call = [str(study), str(tmp_path / "out"), "group", "--dry-run"]
    call += ["--rating-difference", f"{table}:dislike"]
    assert main([*call, "--participant-label", "1", "2.0", "03", "04"]) == 0
    seen = capsys.readouterr()
    people = "4 participants: sub-01, sub-02, sub-03, sub-04"
    assert f"conditions: {people}" in seen.out
    assert f"rating difference: {people}" in seen.out
    assert "warning: participant 1 is taken for sub-01" in seen.out
    assert "warning: sub-3b of table.tsv: no participant of the dataset" in seen.out
    assert "participant 2.0 is taken for sub-02" in seen.err


def test_pages_show_maps_and_lags(group):
    page = (group / "out" / "group.html").read_text()
    assert page.count("<img") == 5  # mean and slope of contrast and interaction, and the lags
    for words in ("positive lag means: target leads seed", "kept out of its tests: sub-06"):
        assert words in page
    redraw = arguments(group, "participant", "--participant-label", "01", "--reports-only")
    assert main(redraw) == 0
    own = (group / "out" / "sub-01.html").read_text()
    assert own.count("<img") == 3
    for text in (page, own):
        assert "could not be drawn" not in text
        assert "is not in the output folder" not in text
