"""Broken inputs: exit code and message, or the reason for which a run is skipped."""

from __future__ import annotations

import json
import shutil

import pytest
from planning import plan_study

from bids_app.errors import MusencError


def left(tree, sub="01", task="a"):
    return tree.func(tree.fmriprep, sub=sub) / (
        f"sub-{sub}_task-{task}_hemi-L_space-fsaverage5_bold.func.gii"
    )


def annexed(path):
    path.unlink()
    path.symlink_to(f"../../.git/annex/objects/Xx/Yy/MD5E-s1--0/{path.name}")


def annexed_unlocked(path):
    path.write_bytes(b"/annex/objects/MD5E-s8000000--0123456789.func.gii\n")


def lfs_pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


def broken_link(path):
    path.unlink()
    path.symlink_to("/scratch/gone.func.gii")


def empty(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def truncated_header(path):
    path.write_bytes(path.read_bytes()[:200])


def not_xml(path):
    path.write_bytes(b"\x1f\x8b" + bytes(2000))


def other_mesh(path):
    path.write_bytes(path.read_bytes().replace(b'Dim0="10242"', b'Dim0="10000"'))


def other_side(path):
    path.write_bytes(path.read_bytes().replace(b"CortexLeft", b"CortexRight"))


def gone(path):
    path.unlink()


FILES = [
    (annexed, "content not present: datalad get sub-01/func/sub-01_task-a_hemi-L"),
    (annexed_unlocked, "content not present: datalad get sub-01/func/"),
    (lfs_pointer, "content not present: git lfs pull --include"),
    (broken_link, "broken link: sub-01/func/"),
    (empty, "empty file: sub-01/func/"),
    (truncated, "truncated GIFTI file: sub-01/func/"),
    (truncated_header, "truncated GIFTI file: sub-01/func/"),
    (not_xml, "not a GIFTI file: sub-01/func/"),
    (other_mesh, "10000 vertices instead of the 10242 of fsaverage5"),
    (other_side, "named hemi-L, but its header says CortexRight"),
    (gone, "hemi-L is missing in fsaverage5"),
]


@pytest.mark.parametrize(("spoil", "reason"), FILES, ids=[f[0].__name__ for f in FILES])
def test_run_with_an_unusable_file_is_skipped(tree, spoil, reason):
    tree.simple()
    spoil(left(tree))
    plan = plan_study(tree.root, missing="use")
    assert [run.label for run in plan.runs] == ["sub-01_task-b", "sub-02_task-a", "sub-02_task-b"]
    assert [run.label for run in plan.skipped] == ["sub-01_task-a"]
    assert reason in plan.skipped[0].reason
    assert plan.has_problems


def shorter_right(tree):
    tree.bold(sub="01", task="a", n_volumes=11, hemispheres="R", confounds=False)


def shorter_confounds(tree):
    tree.confounds(sub="01", task="a", n_rows=10)


def no_confounds(tree):
    for path in tree.func(tree.fmriprep, sub="01").glob("*task-a*confounds*"):
        path.unlink()


def annexed_confounds(tree):
    annexed(tree.func(tree.fmriprep, sub="01") / "sub-01_task-a_desc-confounds_timeseries.tsv")


def no_tr(tree):
    for path in tree.func(tree.fmriprep, sub="01").glob("*task-a*bold.json"):
        path.write_text("{}")


def annexed_events(tree):
    annexed(tree.raw(sub="01") / "sub-01_task-a_events.tsv")


def other_space(tree):
    for path in tree.func(tree.fmriprep, sub="01").glob("*task-a*bold*"):
        path.unlink()
    tree.bold(sub="01", task="a", space="fsnative")


def music_after_the_end(tree):
    tree.events("100\tn/a\tpiece_a.wav", sub="01", task="a")


def onset_in_milliseconds(tree):
    tree.events("4000\tn/a\tpiece_a.wav", sub="01", task="a")


def all_dummies(tree):
    tree.confounds(sub="01", task="a", n_dummy=12)


def no_rotation(tree):
    path = tree.func(tree.fmriprep, sub="01") / "sub-01_task-a_desc-confounds_timeseries.tsv"
    path.write_text(path.read_text().replace("rot_x", "rotx"))


RUNS = [
    (shorter_right, "the hemispheres differ in length: 12 volumes left, 11 right"),
    (shorter_confounds, "the confounds table has 10 rows, the BOLD file 12 volumes"),
    (no_confounds, "no confounds table"),
    (
        annexed_confounds,
        "content not present: datalad get sub-01/func/sub-01_task-a_desc-confounds",
    ),
    (no_tr, "no repetition time in any sidecar: give --repetition-time"),
    (annexed_events, "content not present: datalad get"),
    (other_space, "no surface BOLD in fsaverage5 (there: fsnative)"),
    (music_after_the_end, "plays from 100.0 to 116.0 s, outside the run (24.0 s)"),
    (onset_in_milliseconds, "is its onset in milliseconds?"),
    (no_rotation, "Wanted: a column rot_x (sub-01/func/sub-01_task-a_desc-confounds"),
    (all_dummies, "12 dummy scans, but only 12 volumes"),
]


@pytest.mark.parametrize(("spoil", "reason"), RUNS, ids=[case[0].__name__ for case in RUNS])
def test_run_that_does_not_fit_together_is_skipped(tree, spoil, reason):
    tree.simple()
    spoil(tree)
    plan = plan_study(tree.root, missing="use")
    assert [run.label for run in plan.runs] == ["sub-01_task-b", "sub-02_task-a", "sub-02_task-b"]
    assert reason in plan.skipped[0].reason
    assert plan.has_problems


def test_all_problems_of_a_run_are_named_at_once(tree):
    tree.simple()
    annexed(left(tree))
    truncated(left(tree, task="b"))
    no_confounds(tree)
    plan = plan_study(tree.root, missing="use")
    reasons = {run.label: run.reason for run in plan.skipped}
    assert "datalad get" in reasons["sub-01_task-a"]
    assert "no confounds table" in reasons["sub-01_task-a"]
    assert "truncated" in reasons["sub-01_task-b"]


def test_confounds_are_not_needed_for_the_strategy_none(tree):
    tree.simple()
    no_confounds(tree)
    plan = plan_study(tree.root, confounds="none")
    assert plan.runs[0].confounds_file is None
    assert "no confounds table" in plan.runs[0].warnings[0]


def nothing(tree):
    return tree.root / "typo"


def a_file(tree):
    return tree.audio("x.wav")


def unrelated_folder(tree):
    folder = tree.root / "papers"
    folder.mkdir()
    (folder / "draft.docx").touch()
    return folder


def raw_only(tree):
    (tree.fmriprep / "dataset_description.json").unlink()
    tree.fmriprep.rmdir()
    tree.raw(sub="01")


def two_pipelines(tree):
    tree.simple()
    tree.fmriprep.rename(tree.fmriprep.with_name("fmriprep-22"))
    folder = tree.root / "derivatives"
    shutil.copytree(folder / "fmriprep-22", folder / "fmriprep-23")


def simple(tree):
    tree.simple()


def no_surfaces(tree):
    tree.simple(space="fsnative")
    (
        tree.func(tree.fmriprep, sub="01") / "sub-01_task-a_space-T1w_desc-preproc_bold.nii.gz"
    ).touch()


def fsaverage6_only(tree):
    tree.simple(participants=("01",), space="fsaverage6", n_volumes=2)


def no_events(tree):
    tree.simple()
    for path in tree.root.glob("sub-*/func/*_events.tsv"):
        path.unlink()


def no_raw(tree):
    no_events(tree)
    for path in tree.root.glob("sub-*"):
        shutil.rmtree(path)
    return tree.fmriprep


def events_without_stimuli(tree):
    tree.simple()
    for path in tree.root.glob("sub-*/func/*_events.tsv"):
        path.write_text("onset\tduration\ttrial_type\n1\t2\tmusic\n")


def no_onset(tree):
    tree.simple()
    tree.events("n/a\tn/a\tpiece_a.wav", sub="01", task="a")


def bad_onset(tree):
    tree.simple()
    tree.events("soon\tn/a\tpiece_a.wav", sub="01", task="a")


def duration_in_milliseconds(tree):
    tree.simple()
    tree.events("1\t15000\tpiece_a.wav", sub="01", task="a")


def outside(tree):
    tree.simple()
    tree.events("1\tn/a\t../../secret.wav", sub="01", task="a")


def absolute(tree):
    tree.simple()
    tree.events("1\tn/a\t/etc/secret.wav", sub="01", task="a")


def no_audio(tree):
    tree.simple()
    for path in (tree.root / "stimuli").iterdir():
        annexed(path)


def not_audio(tree):
    tree.simple()
    (tree.root / "stimuli" / "piece_a.wav").write_text("la la la" * 200)


def unknown_stim_id(tree):
    tree.simple()
    tree.events("1\t1\topera", header="onset\tduration\tstim_id", sub="01", task="a")


def all_annexed(tree):
    tree.simple()
    for path in tree.fmriprep.glob("sub-*/func/*.func.gii"):
        annexed(path)


def all_truncated(tree):
    tree.simple()
    for path in tree.fmriprep.glob("sub-*/func/*.func.gii"):
        truncated(path)


def lacking(tree):
    tree.simple()
    for path in tree.fmriprep.glob("sub-02/func/*task-b*"):
        path.unlink()


def reconstructions(tree):
    tree.audio("x.wav")
    for rec in ("norm", "raw"):
        tree.bold(sub="01", task="a", rec=rec)
    tree.events("1\tn/a\tx.wav", sub="01", task="a")


def single_echoes(tree):
    tree.audio("x.wav")
    for echo in ("1", "2"):
        tree.bold(sub="01", task="a", echo=echo)
    tree.events("1\tn/a\tx.wav", sub="01", task="a")


def bad_json(tree):
    tree.simple()
    next(tree.fmriprep.glob("sub-01/func/*task-a_hemi-L*.json")).write_text("{'TR': 1}")


def list_json(tree):
    tree.simple()
    next(tree.fmriprep.glob("sub-01/func/*task-a_hemi-L*.json")).write_text(json.dumps([1]))


ERRORS = [
    (nothing, {}, 66, ["dataset folder does not exist", "found: nothing", "mounted"]),
    (a_file, {}, 66, ["dataset folder does not exist", "found: a file"]),
    (unrelated_folder, {}, 66, ["neither a BIDS dataset nor fMRIPrep", "draft.docx"]),
    (raw_only, {}, 66, ["raw dataset without fMRIPrep outputs", "--derivatives PATH"]),
    (two_pipelines, {}, 16, ["several fMRIPrep output folders", "fmriprep-22, fmriprep-23"]),
    (simple, {"derivatives": ["x=/nowhere"]}, 66, ["--derivatives does not exist", "/nowhere"]),
    (
        simple,
        {"participants": ["31", "32"]},
        18,
        ["No participant of those asked for", "asked for 31, 32; there are 01, 02"],
    ),
    (simple, {"tasks": ["c"]}, 18, ["options select no run", "tasks: a, b", "--task-id"]),
    (simple, {"exclude_runs": ["task-a", "task-b"]}, 18, ["options select no run"]),
    (simple, {"bids_filters": {"bold": {"echo": "*"}}}, 18, ["--bids-filter-file"]),
    (simple, {"bids_filters": {"bold": "01"}}, 2, ["another form"]),
    (simple, {"exclude_runs": ["happy"]}, 2, ["--exclude-run names no entity", "happy"]),
    (simple, {"confounds": "lots"}, 2, ["Unknown confound strategy", "lots"]),
    (simple, {"confounds": "aroma"}, 65, ["No run can be used", "aroma_motion_* columns"]),
    (no_surfaces, {}, 66, ["space-fsaverage5_bold", "`--output-spaces fsaverage5`"]),
    (no_surfaces, {}, 66, ["4 runs in the spaces T1w (volume), fsnative"]),
    (fsaverage6_only, {}, 66, ["space-fsaverage5_bold", "--space fsaverage6"]),
    (no_events, {}, 66, ["no stimulus", "task a, task b", "stim_file", "--stimuli TABLE.tsv"]),
    (no_raw, {}, 66, ["no stimulus", "no raw dataset", "--derivatives raw=PATH"]),
    (events_without_stimuli, {}, 66, ["no stimulus", "no events.tsv names a stim_file"]),
    (no_audio, {}, 66, ["No run can be used", "datalad get", "piece_b.wav"]),
    (all_annexed, {}, 66, ["No run can be used", "sub-02_task-b: content not present"]),
    (all_truncated, {}, 65, ["No run can be used", "sub-02_task-b: truncated"]),
    (lacking, {"missing": "error"}, 16, ["lack a stimulus", "sub-02 lacks pieceb"]),
    (reconstructions, {}, 16, ["several versions", "rec-norm or rec-raw", "--bids-filter-file"]),
    (single_echoes, {}, 16, ["several versions", "echo-1 or echo-2", '{"bold": {"echo"']),
]


@pytest.mark.parametrize(
    ("spoil", "options", "code", "messages"),
    ERRORS,
    ids=[f"{case[0].__name__}-{'-'.join(case[1]) or 'default'}" for case in ERRORS],
)
def test_error_has_code_and_remedy(tree, spoil, options, code, messages):
    folder = spoil(tree) or tree.root
    with pytest.raises(MusencError) as caught:
        plan_study(folder, **options)
    assert caught.value.exit_code == code
    assert caught.value.remedy or code == 2
    for message in messages:
        assert message in str(caught.value)


def film(tree):
    tree.simple()
    (tree.root / "stimuli" / "clip.mp4").write_bytes(b"\0\0\0 ftypisom" + bytes(3000))
    tree.events("1\tn/a\tclip.mp4", sub="01", task="a")


def misspelt(tree):
    tree.simple()
    tree.events("1\tn/a\tpeice_a.wav", sub="01", task="a")


def quoted(tree):
    tree.simple()
    header = '"onset"\t"duration"\t"stim_file"'
    tree.events('1\t16\t"piece_a.wav"', header=header, sub="01", task="a")


def offset_behind_the_end(tree):
    tree.simple()
    tree.audio("piece_a.wav", 16.0)
    tree.events("900\tn/a\tpiece_a.wav", sub="01", task="a")


FAULTS = [
    (no_onset, ["has no onset", "line 2", "never guessed"]),
    (bad_onset, ["time of a stimulus is not a number", "onset", "'soon'"]),
    (duration_in_milliseconds, ["another unit than seconds", "line 2", "in milliseconds"]),
    (outside, ["outside the dataset", "../../secret.wav", "--stimuli"]),
    (absolute, ["outside the dataset", "/etc/secret.wav"]),
    (unknown_stim_id, ["no audio file for a stim_id", "stim-opera_audio"]),
    (bad_json, ["JSON sidecar cannot be read", "hemi-L"]),
    (list_json, ["does not hold an object"]),
    (film, ["clip.mp4", "audio"]),
    (misspelt, ["audio file of a stimulus cannot be read", "peice_a.wav"]),
    (quoted, ["names in quotes", "sub-01_task-a_events.tsv"]),
    (offset_behind_the_end, ["outside the run"]),
]


@pytest.mark.parametrize(("spoil", "messages"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
def test_one_fault_ends_one_run_and_the_others_go_on(tree, spoil, messages):
    spoil(tree)
    plan = plan_study(tree.root, missing="use")
    labels = [run.label for run in plan.runs]
    assert labels == ["sub-01_task-b", "sub-02_task-a", "sub-02_task-b"]
    (fault,) = plan.skipped
    assert fault.label == "sub-01_task-a"
    assert fault.problem
    assert plan.has_problems
    for message in messages:
        assert message in fault.reason


def test_an_audio_file_that_cannot_be_used_ends_the_runs_in_which_it_is_heard(tree):
    not_audio(tree)
    plan = plan_study(tree.root)
    assert [run.label for run in plan.runs] == ["sub-01_task-b", "sub-02_task-b"]
    assert [run.label for run in plan.skipped] == ["sub-01_task-a", "sub-02_task-a"]
    assert all("piece_a.wav" in run.reason for run in plan.skipped)


def test_rows_of_a_table_end_the_runs_whose_audio_is_not_there(tree):
    tree.simple()
    table = tree.table("a\tstimuli/piece_a.wav\t4", "b\tstimuli/gone.wav\t5")
    plan = plan_study(tree.root, table=table)
    assert [run.label for run in plan.runs] == ["sub-01_task-a", "sub-02_task-a"]
    assert all(run.problem and "gone.wav" in run.reason for run in plan.skipped)


def test_the_same_fault_of_every_run_is_the_error_itself(tree):
    tree.simple()
    (tree.root / "task-a_bold.json").write_text("{")
    (tree.root / "task-b_bold.json").symlink_to("task-a_bold.json")
    with pytest.raises(MusencError) as caught:
        plan_study(tree.root)
    assert caught.value.exit_code == 16
    assert "JSON sidecar cannot be read" in str(caught.value)


def test_what_everybody_lacks_is_told_with_the_faults_behind_it(tree):
    tree.simple()
    tree.events("n/a\tn/a\tpiece_a.wav", sub="01", task="a")
    tree.events("soon\tn/a\tpiece_b.wav", sub="02", task="b")
    with pytest.raises(MusencError, match="Every participant lacks") as caught:
        plan_study(tree.root)
    assert "has no onset" in str(caught.value)
    assert "'soon'" in str(caught.value)


def only_anatomy(tree, who="03"):
    tree.simple(("01", "02", who))
    shutil.rmtree(tree.fmriprep / f"sub-{who}" / "func")
    (tree.fmriprep / f"sub-{who}" / "anat").mkdir()


def absent(plan):
    return {run.participant: run for run in plan.skipped if not run.run_label}


def test_a_participant_without_bold_is_a_row(tree):
    only_anatomy(tree)
    (row,) = absent(plan_study(tree.root)).values()
    assert (row.participant, row.label, row.problem) == ("03", "sub-03", False)
    assert "no BOLD" in row.reason
    assert "anat" in row.reason
    raw = tree.raw(sub="03", task="a") / "sub-03_task-a_bold.nii.gz"
    raw.write_bytes(b"x")
    assert absent(plan_study(tree.root))["03"].problem


def test_who_was_asked_for_and_is_not_there_is_a_row_beside_those_who_are(tree):
    tree.simple()
    plan = plan_study(tree.root, participants=["01", "31"])
    assert plan.participants == ("01",)
    assert absent(plan)["31"].problem
    assert "no folder sub-31" in absent(plan)["31"].reason


def test_who_is_in_the_raw_dataset_alone_is_a_row(tree):
    tree.simple()
    tree.raw(sub="07")
    row = absent(plan_study(tree.root))["07"]
    assert not row.problem
    assert "no folder sub-07" in row.reason


@pytest.mark.parametrize("link", ["", "func", "ses-1", "ses-1/func"])
def test_whose_folder_is_a_broken_link_is_a_problem_that_names_it(tree, link):
    tree.simple(("01", "02", "03"))
    path = tree.fmriprep / "sub-03" / link
    shutil.rmtree(tree.fmriprep / "sub-03")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/not/mounted")
    row = absent(plan_study(tree.root))["03"]
    assert row.problem
    assert row.reason == f"broken link: {path} points to /not/mounted, which does not exist"


def test_who_has_no_run_that_was_asked_for_is_a_row(tree):
    tree.simple()
    tree.bold(sub="03", task="rest")
    plan = plan_study(tree.root, tasks=["a"])
    assert plan.participants == ("01", "02")
    assert "no run passes" in absent(plan)["03"].reason
    assert "tasks: rest" in absent(plan)["03"].reason
    assert not plan.has_problems


def test_who_is_excluded_is_no_problem(tree):
    only_anatomy(tree)
    (tree.raw(sub="03", task="a") / "sub-03_task-a_bold.nii.gz").write_bytes(b"x")
    row = absent(plan_study(tree.root, exclude_runs=["sub-03"]))["03"]
    assert (row.reason, row.problem) == ("left out by --exclude-run", False)


def test_whom_an_old_index_does_not_know_is_a_row(tree, tmp_path):
    tree.simple()
    assert not absent(plan_study(tree.root, database_dir=tmp_path / "db"))
    tree.simple(("03",))
    plan = plan_study(tree.root, database_dir=tmp_path / "db")
    assert plan.participants == ("01", "02")
    row = absent(plan)["03"]
    assert row.problem
    assert "--bids-database-dir" in row.reason
    assert "delete" in row.reason
    assert "03" in plan_study(tree.root, database_dir=tmp_path / "new").participants


def program(tree, name, folder):
    """Outputs of another program beside fMRIPrep's."""
    path = tree.root / "derivatives" / folder
    (path / "sub-01" / "anat").mkdir(parents=True)
    about = {"Name": name, "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    about["GeneratedBy"] = [{"Name": name}, {"Name": "fMRIPrep"}]
    (path / "dataset_description.json").write_text(json.dumps(about))
    return path


@pytest.mark.parametrize("name", ["ASLPrep", "qsiprep", "sMRIPrep", "XCP-D", "PETPrep"])
def test_another_program_beside_fmriprep_is_not_taken_for_it(tree, name):
    tree.simple()
    tree.fmriprep.rename(tree.fmriprep.with_name("fmriprep-24.1.1"))
    program(tree, name, name.lower())
    assert plan_study(tree.root).derivatives[0].name == "fmriprep-24.1.1"


def test_the_one_that_fmriprep_wrote_comes_before_one_that_looks_like_it(tree):
    tree.simple()
    tree.fmriprep.rename(tree.fmriprep.with_name("fmriprep-24.1.1"))
    other = program(tree, "PETPrep", "petprep")
    (other / "sub-01" / "func").mkdir()
    (other / "sub-01" / "func" / "sub-01_desc-confounds_timeseries.tsv").touch()
    assert plan_study(tree.root).derivatives[0].name == "fmriprep-24.1.1"


def test_what_is_there_in_place_of_fmriprep_is_named(tree):
    tree.simple()
    shutil.rmtree(tree.fmriprep)
    program(tree, "ASLPrep", "aslprep")
    with pytest.raises(MusencError, match=r"aslprep \(written by ASLPrep\)"):
        plan_study(tree.root)


def other_sessions(tree, raw, prep):
    tree.audio("x.wav")
    for base, label in ((tree.raw, raw), (None, prep)):
        entities = {"sub": "01", "task": "a"} | ({"ses": label} if label else {})
        if base is None:
            tree.bold(**entities)
        else:
            tree.events("1\tn/a\tx.wav", **entities)


@pytest.mark.parametrize(
    ("raw", "prep", "words"),
    [
        ("1", "01", ["ses-01", "ses-1"]),
        ("pre", "Pre", ["ses-Pre", "ses-pre"]),
        ("1", "", ["no session", "ses-1"]),
        ("", "01", ["ses-01"]),
    ],
)
def test_sessions_that_differ_are_named(tree, raw, prep, words):
    other_sessions(tree, raw, prep)
    if not raw:
        tree.raw(sub="01", task="a")
    with pytest.raises(MusencError) as caught:
        plan_study(tree.root)
    for word in words:
        assert word in str(caught.value)
    assert "session labels" in str(caught.value)


def test_the_runs_of_one_session_that_differs_are_problems(tree):
    tree.simple()
    tree.bold(sub="03", ses="01", task="a")
    tree.events("4\tn/a\tpiece_a.wav", sub="03", ses="1", task="a")
    (skipped,) = plan_study(tree.root).skipped
    assert skipped.problem
    assert "ses-01" in skipped.reason
    assert "ses-1 " in skipped.reason


@pytest.mark.parametrize(
    ("prep", "words"),
    [
        ({"sub": "1", "task": "a"}, "have sub-1, the raw dataset sub-01"),
        ({"sub": "01", "task": "A"}, "have task-A, the raw dataset task-a"),
        (
            {"sub": "1", "ses": "2", "task": "A"},
            "have sub-1, task-A, ses-2, the raw dataset sub-01",
        ),
    ],
)
def test_labels_spelled_otherwise_in_the_raw_dataset_are_named(tree, prep, words):
    tree.simple(("02",))
    tree.bold(**prep)
    tree.events("4\tn/a\tpiece_a.wav", sub="01", task="a")
    told = [run.reason for run in plan_study(tree.root, missing="use").skipped if run.problem]
    assert words in told[0]


@pytest.mark.parametrize(("row", "skipped"), [(1, False), (8, True)])
@pytest.mark.parametrize("value", ["n/a", "trans_x"])
def test_confounds_that_cannot_be_used_are_seen_by_the_plan(tree, row, skipped, value):
    tree.simple()
    path = tree.confounds(sub="01", task="a")
    lines = path.read_text().splitlines()
    lines[row] = "\t".join([value, *lines[row].split("\t")[1:]])
    path.write_text("\n".join(lines) + "\n")
    told = [run.reason for run in plan_study(tree.root, missing="use").skipped]
    assert bool(told) == (skipped or value != "n/a")
    assert all("values that cannot be used" in text and f"row {row}" in text for text in told)
    assert plan_study(tree.root, confounds="none").skipped == ()


TABLES = [
    ("task\tstim_file", ["a\tp.wav"], 16, "no onset", "never guessed"),
    ("task\tonset", ["a\t3"], 16, "no column stim_file", "add the columns"),
    ("task\tstim_file\tonset", ["a\tp.wav\tn/a"], 16, "has no onset", "line 2"),
    ("task\tstim_file\tonset", ["a\tp.wav\t1\t2"], 16, "more cells", "4 cells"),
    ("task\tstim_file\tonset\tduration", ["a\tp.wav\t1\t-2"], 16, "duration", "'-2'"),
    ("task\tstim_file\tonset\toffset", ["a\tp.wav\t1\t99"], 16, "behind the end", "16.00 s"),
    ("task\tstim_file\tonset", ["c\tp.wav\t1"], 16, "for no run", "line 2: task c"),
    ("task\tstim_file\tonset", ["a\tq.wav\t1"], 66, "cannot be read", "not found"),
]


@pytest.mark.parametrize(("header", "rows", "code", "first", "second"), TABLES)
def test_table_of_stimuli_with_an_error(tree, header, rows, code, first, second):
    tree.audio("p.wav", folder=".")
    tree.bold(sub="01", task="a")
    with pytest.raises(MusencError) as caught:
        plan_study(tree.root, table=tree.table(*rows, header=header))
    assert caught.value.exit_code == code
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_missing_table_of_stimuli(tree):
    tree.simple()
    with pytest.raises(MusencError, match="table of stimuli cannot be read") as caught:
        plan_study(tree.root, table=tree.root / "typo.tsv")
    assert caught.value.exit_code == 66


def test_task_asked_for_without_stimulus(tree):
    tree.simple()
    tree.bold(sub="01", task="rest")
    with pytest.raises(MusencError, match="task rest") as caught:
        plan_study(tree.root, tasks=["a", "rest"])
    assert caught.value.exit_code == 66


def test_label_that_is_nowhere_is_a_warning(tree):
    tree.simple()
    plan = plan_study(tree.root, tasks=["a", "resting"], sessions=["1"])
    assert {run.task for run in plan.runs} == {"a"}
    assert any("task-resting is in no run" in warning for warning in plan.warnings)
    assert any("ses-1 is in no run" in warning for warning in plan.warnings)


def test_versions_of_runs_that_are_not_chosen_do_not_matter(tree):
    reconstructions(tree)
    tree.bold(sub="01", task="b")
    tree.events("1\tn/a\tx.wav", sub="01", task="b")
    for options in ({"tasks": ["b"]}, {"exclude_runs": ["sub-01_task-a"]}):
        plan = plan_study(tree.root, **options)
        assert [run.label for run in plan.runs] == ["sub-01_task-b"]


@pytest.mark.parametrize("task", ["a", ["a"], "task-a"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_filter_of_tasks_decides_what_everybody_heard(tree, task, listed):
    tree.simple()
    options = {}
    if listed:
        options["table"] = tree.root / "stimuli.tsv"
        rows = "a\tstimuli/piece_a.wav\t4\nb\tstimuli/piece_b.wav\t5\n"
        options["table"].write_text("task\tstim_file\tonset\n" + rows)
    plan = plan_study(tree.root, bids_filters={"bold": {"task": task}}, **options)
    assert [run.label for run in plan.runs] == ["sub-01_task-a", "sub-02_task-a"]
    assert plan.runs == plan_study(tree.root, tasks=["a"], **options).runs
    every = plan_study(tree.root, bids_filters={"bold": {"task": "*", "run": None}}, **options)
    assert len(every.runs) == 4


def test_a_filter_of_sessions_decides_what_everybody_heard(tree):
    for name in ("x.wav", "y.wav"):
        tree.audio(name)
    for sub in ("01", "02"):
        for ses, name in (("1", "x.wav"), ("2", "y.wav")):
            tree.bold(sub=sub, ses=ses, task="a")
            tree.events(f"1\tn/a\t{name}", sub=sub, ses=ses, task="a")
    plan = plan_study(tree.root, bids_filters={"bold": {"session": "2"}})
    assert [run.label for run in plan.runs] == [f"sub-{s}_ses-2_task-a" for s in ("01", "02")]


def test_filter_chooses_between_versions(tree):
    reconstructions(tree)
    plan = plan_study(tree.root, bids_filters={"bold": {"reconstruction": ["norm"]}})
    assert [run.label for run in plan.runs] == ["sub-01_task-a_rec-norm"]
