"""Labels that meet nothing are named; a number is a number however it is written."""

from __future__ import annotations

import numpy as np
import pytest
from planning import plan_study

from bids_app.errors import InvalidInputError, MusencError, NothingSelectedError
from bids_app.inputs.labels import as_number, meant_by
from bids_app.inputs.plan_text import format_plan
from bids_app.inputs.rating_records import Rating, RatingSet, for_participants


@pytest.mark.parametrize(
    ("label", "there", "meant"),
    [
        ("01", ["01", "1"], "01"),
        ("1", ["01", "02"], "01"),
        ("1.0", ["01", "02"], "01"),
        ("2.", ["2"], "2"),
        ("001", ["1", "10"], "1"),
        ("1", ["01", "001"], None),
        ("1.5", ["1", "2"], None),
        ("10", ["1"], None),
        ("-1", ["1"], None),
        ("happy", ["Happy", "sad"], None),
        ("S1", ["S01"], None),
        ("", ["1"], None),
    ],
)
def test_a_label_stands_for_the_only_one_that_is_the_same_number(label, there, meant):
    assert meant_by(label, there) == meant


def test_numbers():
    assert [as_number(x) for x in ("0", "00", "07", "7.00", "7.10", "x7", "")] == [
        0, 0, 7, 7, None, None, None
    ]  # fmt: skip


def onsets(plan):
    return {run.label: [p.onset for p in run.presentations] for run in plan.runs}


HEADER = "task\tparticipant_id\tsession\trun\tstim_file\tonset"


@pytest.fixture
def runs(tree):
    tree.audio("p.wav", folder=".")
    for sub in ("01", "02"):
        for run in ("1", "2"):
            tree.bold(sub=sub, ses="01", task="a", run=run)
    return tree


@pytest.mark.parametrize(
    ("who", "session", "run"),
    [("2", "1", "2"), ("2.0", "1.0", "2.0"), ("sub-2", "ses-1", "run-02"), ("02", "01", "2")],
)
def test_rows_of_a_spreadsheet_reach_their_run(runs, who, session, run):
    table = runs.table(
        "a\tn/a\tn/a\tn/a\tp.wav\t3", f"a\t{who}\t{session}\t{run}\tp.wav\t5", header=HEADER
    )
    plan = plan_study(runs.root, table=table)
    found = onsets(plan)
    assert found.pop("sub-02_ses-01_task-a_run-2") == [5]
    assert set(map(tuple, found.values())) == {(3,)}
    notes = " ".join(plan.warnings)
    literal = (who, session) == ("02", "01")
    assert ("is taken for sub-02" in notes) == (not literal)
    assert ("is taken for ses-01" in notes) == (not literal)


@pytest.mark.parametrize(
    "row",
    [
        "a\t3\tn/a\tn/a\tp.wav\t5",
        "a\tn/a\t02\tn/a\tp.wav\t5",
        "a\tn/a\tn/a\t3\tp.wav\t5",
        "A\tn/a\tn/a\tn/a\tp.wav\t5",
        "a\t02\t01\t7\tp.wav\t5",
    ],
)
def test_a_row_that_is_for_no_run_is_an_error_that_names_it(runs, row):
    table = runs.table("a\tn/a\tn/a\tn/a\tp.wav\t3", row, header=HEADER)
    for options in ({}, {"participants": ("01",)}):
        with pytest.raises(
            InvalidInputError, match=r"for no run(.|\n)*line 3(.|\n)*participants 01, 02"
        ):
            plan_study(runs.root, table=table, **options)


def test_rows_of_those_who_are_not_asked_for_are_no_error(runs):
    runs.bold(sub="02", ses="02", task="b", run="1")
    table = runs.table(
        "a\tn/a\tn/a\tn/a\tp.wav\t3",
        "a\t2\tn/a\t2\tp.wav\t5",
        "b\tn/a\t2\tn/a\tp.wav\t4",
        header=HEADER,
    )
    plan = plan_study(runs.root, table=table, participants=("1",), missing="use")
    assert set(onsets(plan)) == {"sub-01_ses-01_task-a_run-1", "sub-01_ses-01_task-a_run-2"}
    assert "participant 1 is taken for sub-01" in plan.warnings


def test_where_two_are_the_same_number_nothing_is_guessed(tree):
    tree.audio("p.wav", folder=".")
    for sub in ("1", "01"):
        tree.bold(sub=sub, task="a")
    rows = ["a\tn/a\tp.wav\t3", "a\t1\tp.wav\t5"]
    table = tree.table(*rows, header="task\tparticipant_id\tstim_file\tonset")
    assert onsets(plan_study(tree.root, table=table)) == {"sub-1_task-a": [5], "sub-01_task-a": [3]}
    table = tree.table(*rows, "a\t1.0\tp.wav\t6", header="task\tparticipant_id\tstim_file\tonset")
    with pytest.raises(InvalidInputError, match=r"line 4: participant 1\.0, task a"):
        plan_study(tree.root, table=table)


@pytest.mark.parametrize(
    "text",
    [
        "sub-01_task-clam",
        "sub-07",
        "task-a_run-3",
        "sub-01_ses-9",
        "sub-01_task-a_space-MNI",
        "desc-x",
    ],
)
def test_runs_to_exclude_that_are_not_there(tree, text):
    tree.simple()
    for options in ({}, {"participants": ("02",)}):
        with pytest.raises(NothingSelectedError, match=r"names no run(.|\n)*sub-0.*task-") as error:
            plan_study(tree.root, exclude_runs=(text,), missing="use", **options)
        assert text in str(error.value)


def test_runs_to_exclude_by_number_and_of_others(tree):
    tree.simple()
    plan = plan_study(tree.root, exclude_runs=("sub-1_task-a",), missing="use")
    assert [r.label for r in plan.runs] == ["sub-01_task-b", "sub-02_task-a", "sub-02_task-b"]
    assert "--exclude-run sub-1_task-a: participant 1 is taken for sub-01" in plan.warnings
    # One call for each participant, all with the same list.
    plan = plan_study(
        tree.root, exclude_runs=("sub-01_task-a",), participants=("02",), missing="use"
    )
    assert [r.label for r in plan.runs] == ["sub-02_task-a", "sub-02_task-b"]


def test_what_was_not_preprocessed_can_be_excluded(tree):
    tree.simple()
    (tree.fmriprep / "sub-03/anat").mkdir(parents=True)
    (tree.raw(sub="04") / "sub-04_task-c_bold.nii.gz").write_bytes(b"x")
    texts = ("sub-03", "sub-04_task-c")
    assert len(plan_study(tree.root, exclude_runs=texts).runs) == 4
    for text in ("sub-05", "sub-04_task-d"):
        with pytest.raises(NothingSelectedError, match="names no run"):
            plan_study(tree.root, exclude_runs=(text,))


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"bold": {"task": "clam"}}, "task 'clam', which no BOLD file has .there: a, b"),
        ({"bold": {"task": ["a", "clam"]}}, "'clam'"),
        ({"bold": {"sesion": "01"}}, "'sesion', which BIDS does not have"),
        ({"bold": {"session": "01"}}, "ses '01', which no BOLD file has .there: none"),
        ({"bold": {"echo": "*"}}, "echo"),
        ({"Bolt": {"task": "a"}}, "the part 'Bolt'"),
        ({"func": {"task": "a"}}, "the part 'func'"),
    ],
)
def test_parts_of_the_filter_that_meet_nothing(tree, filters, words):
    tree.simple()
    with pytest.raises(NothingSelectedError, match=words) as error:
        plan_study(tree.root, bids_filters=filters)
    assert "filters.json" in str(error.value)


def test_filters_that_mean_something(tree):
    tree.simple()
    plan = plan_study(tree.root, bids_filters={"bold": {"echo": None, "subject": ["1", "sub-02"]}})
    assert len(plan.runs) == 4
    assert "participant 1 is taken for sub-01" in plan.warnings
    plan = plan_study(
        tree.root,
        bids_filters={"t1w": {"run": "1"}, "bold": {"datatype": "func", "task": "a"}},
        missing="use",
    )
    assert {run.task for run in plan.runs} == {"a"}
    told = " ".join(plan.warnings)
    assert "'t1w' of filters.json is not used" in told
    assert "'datatype' in filters.json is not used" in told
    # What this participant lacks, another may have.
    plan = plan_study(
        tree.root, bids_filters={"bold": {"task": ["a", "b", "c"]}}, participants=("01",)
    )
    assert "task 'c', which no BOLD file has" in " ".join(plan.warnings)


def test_labels_of_options(tree):
    for run in ("1", "02"):
        tree.audio("p.wav")
        tree.bold(sub="01", ses="03", task="7", run=run)
        tree.events("1\tn/a\tp.wav", sub="01", ses="03", task="7", run=run)
    plan = plan_study(tree.root, participants=("1.0",), sessions=("3",), tasks=("07",), runs=("2",))
    assert [run.label for run in plan.runs] == ["sub-01_ses-03_task-7_run-02"]
    told = " ".join(plan.warnings)
    for words in ("1.0 is taken for sub-01", "3 is taken for ses-03", "07 is taken for task-7"):
        assert words in told
    with pytest.raises(MusencError, match=r"asked for 2; there are 01"):
        plan_study(tree.root, participants=("2",))


def test_notes_stand_in_the_plan_once_and_with_every_run(tree):
    tree.simple()
    plan = plan_study(tree.root, exclude_runs=("sub-1_task-a",), missing="use")
    note = "--exclude-run sub-1_task-a: participant 1 is taken for sub-01"
    assert format_plan(plan).count(note) == 1
    assert all(note in run.warnings for run in plan.runs)


def rating(who, level=1.0):
    return Rating(who, "calm", "Joy", np.arange(5.0), np.full(5, level), "f")


def test_participants_of_ratings():
    ratings = RatingSet((rating("1", 10), rating("02", 20), rating("9", 5), rating(None, 90)))
    found = for_participants(ratings, ["01", "02", "03"])
    assert found.find("01", "calm", "Joy").values[0] == 10
    assert found.find("02", "calm", "Joy").values[0] == 20
    assert found.find("03", "calm", "Joy").values[0] == 90
    assert found.warnings == (
        "participant 1 is taken for sub-01",
        "sub-9 of the ratings: no participant of the dataset",
    )
    same = RatingSet((rating("01"), rating("02")))
    kept = for_participants(same, ["01", "02"])
    assert [id(r) for r in kept.ratings] == [id(r) for r in same.ratings]
    assert (kept.warnings, kept.faults) == ((), ())
    with pytest.raises(InvalidInputError, match="rated twice"):
        for_participants(RatingSet((rating("01"), rating("1"))), ["01", "02"])


GENERAL = "a\tn/a\tp.wav\t3\n"


def two_people(tree):
    tree.audio("p.wav", folder=".")
    for sub in ("01", "02"):
        tree.bold(sub=sub, task="a")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a\t02\tp.wav\tn/a", "no onset"),
        ("a\t02\tp.wav\t6,5", "not a number of seconds"),
        ('a\t02\t"p.wav"\t3', "stands in quotes"),
        ("a\t02\tn/a\t3", "names no file"),
    ],
)
def test_a_fault_in_the_row_of_one_participant_is_theirs_alone(tree, row, words):
    two_people(tree)
    table = tree.root / "music.tsv"
    table.write_text(f"task\tparticipant_id\tstim_file\tonset\n{GENERAL}{row}\n")
    plan = plan_study(tree.root, table=table)
    assert onsets(plan) == {"sub-01_task-a": [3]}
    (left_out,) = plan.skipped
    assert left_out.problem
    assert left_out.participant == "02"
    assert words in left_out.reason
    assert "music.tsv, line 3" in left_out.reason


def test_a_fault_in_a_row_for_everybody_is_an_error_and_a_task_without_music_is_none(tree):
    two_people(tree)
    table = tree.root / "music.tsv"
    table.write_text("task\tstim_file\tonset\na\tp.wav\tsoon\n")
    with pytest.raises(InvalidInputError, match="not a number of seconds"):
        plan_study(tree.root, table=table)
    table.write_text("task\tstim_file\tonset\na\tp.wav\t3\nrest\tn/a\tn/a\n")
    assert set(onsets(plan_study(tree.root, table=table))) == {"sub-01_task-a", "sub-02_task-a"}


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("ID", "participant_id"), ("vp", "participant_id"), ("subjectID", "participant_id"),
        ("participant_label", "participant_id"), ("Participant ID", "participant_id"),
        ("duration_s", "duration"), ("end", "duration"), ("Dauer", "duration"), ("Run", "run"),
    ],
)  # fmt: skip
def test_columns_of_another_name_are_refused_and_others_named(tree, column, meant):
    two_people(tree)
    table = tree.root / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\t{column}\na\tp.wav\t3\t02\n")
    with pytest.raises(InvalidInputError, match=rf"{column}(.|\n)*{meant}"):
        plan_study(tree.root, table=table)
    table.write_text("task\tstim_file\tonset\tartist\na\tp.wav\t3\tBach\n")
    assert "music.tsv: not read: the columns artist" in plan_study(tree.root, table=table).warnings


def test_a_table_that_contradicts_the_events_is_told(tree):
    two_people(tree)
    tree.audio("p.wav")
    tree.events("12\tn/a\tp.wav", sub="01", task="a")
    tree.events("3.2\tn/a\tp.wav", sub="02", task="a")
    table = tree.root / "music.tsv"
    table.write_text("task\tstim_file\tonset\na\tp.wav\t3\n")
    first, second = plan_study(tree.root, table=table).runs
    told = "music begins at 3 s by the table of stimuli, at 12 s by sub-01_task-a_events.tsv"
    assert told in first.warnings
    assert not any("music begins" in warning for warning in second.warnings)
