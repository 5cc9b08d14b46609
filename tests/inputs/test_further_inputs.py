"""More inputs of the kinds that people reported: right, or refused in words that name the fault."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
import soundfile
from planning import plan_study

from bids_app.errors import MusencError

ONSET = {"a": 4.0, "b": 5.0}


def onsets(tree, **options):
    """Onset of each run that is analyzed; a run that is skipped has its reason."""
    plan = plan_study(tree.root, **{"missing": "use", **options})
    found = {run.label: run.presentations[0].onset for run in plan.runs}
    return found | {run.label: run.reason for run in plan.skipped if run.problem}


def outcome(tree, **options):
    """What becomes of sub-01's task a: its onset, or the words of the refusal."""
    try:
        return onsets(tree, **options)["sub-01_task-a"]
    except MusencError as error:
        return str(error)


def events_of(tree, text, encoding="utf-8"):
    path = tree.raw(sub="01") / "sub-01_task-a_events.tsv"
    path.write_bytes(text.encode(encoding))


HEADER = "onset\tduration\tstim_file\n"
ROW = "4\tn/a\tpiece_a.wav\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (HEADER + ROW, 4.0),
        ("\ufeff" + HEADER.replace("\n", "\r\n") + ROW.replace("\n", "\r\n"), 4.0),
        (HEADER.replace("\n", "\r") + ROW.replace("\n", "\r"), 4.0),
        (HEADER + "\n" + ROW + "\n\n", 4.0),
        (HEADER + ROW.rstrip("\n"), 4.0),
        (" onset \t duration\tstim_file \n 4 \t n/a \t piece_a.wav \n", 4.0),
        ("stim_file\tonset\tduration\npiece_a.wav\t4\tn/a\n", 4.0),
        (HEADER + "4.0e0\t1.2e1\tpiece_a.wav\n", 4.0),
        ((HEADER + ROW).replace("\t", ";"), "semicolon"),
        ((HEADER + ROW).replace("\t", ","), "comma"),
        ((HEADER + ROW).replace("\t", "|"), "bar"),
        ((HEADER + ROW).replace("\t", "  "), "space"),
        (HEADER + "4,5\tn/a\tpiece_a.wav\n", "4,5"),
        (HEADER + "1\t4\tn/a\tpiece_a.wav\n", "line 2"),
        (HEADER + "4\tn/a\n", "line 2"),
        (HEADER + "00:04\tn/a\tpiece_a.wav\n", "00:04"),
        (HEADER + "4 s\tn/a\tpiece_a.wav\n", "4 s"),
        (HEADER + "inf\tn/a\tpiece_a.wav\n", "inf"),
        (HEADER + "4000\tn/a\tpiece_a.wav\n", "millisecond"),
        (HEADER + "4\t12000\tpiece_a.wav\n", "millisecond"),
        (HEADER + "4\t-3\tpiece_a.wav\n", "-3"),
        ("Onset\tDuration\tStim_file\n" + ROW, "column Stim_file"),
        ("onset\tduration\tstimulus_file\n" + ROW, "column stimulus_file"),
        ("Onset\tDuration\tstim_file\n" + ROW, "no onset"),
        ("onset\tDuration\tstim_file\n" + ROW, "Durations stand in a column"),
        ("onset\tduration_s\tstim_file\n" + ROW, "Durations stand in a column"),
        ("onset\tonset\tstim_file\n4\t4\tpiece_a.wav\n", "onset"),
        ('"onset"\t"duration"\t"stim_file"\n' + ROW, "quote"),
        (HEADER + '4\tn/a\t"piece_a.wav"\n', "quote"),
    ],
)
def test_events(tree, text, wanted):
    tree.simple(participants=("01",))
    events_of(tree, text)
    found = outcome(tree)
    if isinstance(wanted, float):
        assert found == wanted
    else:
        assert isinstance(found, str), found
        assert wanted.lower() in found.lower()


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("piece_a.wav ", 4.0),
        ("./piece_a.wav", 4.0),
        ("stimuli/piece_a.wav", 4.0),
        ("/stimuli/piece_a.wav", "piece_a.wav"),
        ("Piece_a.wav", "piece_a.wav"),
        ("piece_a.WAV", "piece_a.wav"),
        ("piece_a", "piece_a"),
        ("folder\\piece_a.wav", "piece_a.wav"),
        ("../piece_a.wav", "piece_a.wav"),
        ("piece_a.wav.wav", "piece_a.wav"),
    ],
)
def test_how_the_music_is_named(tree, named, wanted):
    tree.simple(participants=("01",))
    events_of(tree, f"{HEADER}4\tn/a\t{named}\n")
    found = outcome(tree)
    if isinstance(wanted, float):
        assert found == wanted
    else:
        assert isinstance(found, str), found
        assert wanted in found


@pytest.mark.parametrize("name", ["Käse", "한국", "Пьеса", "música triste", "a+b", "C#", "100%"])
def test_labels_of_names_in_any_script_differ(tree, name):
    tree.simple(participants=("01",))
    names = [unicodedata.normalize(form, f"{name}.wav") for form in ("NFD", "NFC")]
    tree.audio(names[0], seed=3)
    events_of(tree, f"{HEADER}4\tn/a\t{names[1]}\n")
    plan = plan_study(tree.root, missing="use")
    labels = [stimulus.label for stimulus in plan.stimuli]
    assert len(set(labels)) == 2
    assert all(label.isascii() and label.isalnum() for label in labels)


def test_a_long_name_has_a_short_label(tree):
    """File names hold it, and at most 255 characters."""
    tree.simple(participants=("01",))
    names = ["x" * 200 + end for end in ("1.wav", "2.wav")]
    for k, name in enumerate(names):
        tree.audio(name, seed=k + 3)
    events_of(tree, HEADER + f"4\t6\t{names[0]}\n12\t6\t{names[1]}\n")
    labels = [stimulus.label for stimulus in plan_study(tree.root, missing="use").stimuli]
    assert len({*labels}) == 3
    assert max(map(len, labels)) < 70


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"RepetitionTime": 2000.0}, "millisecond"),
        ({"RepetitionTime": "2.0"}, "RepetitionTime"),
        ({"RepetitionTime": [2.0]}, "RepetitionTime"),
        ({"RepetitionTime": -2.0}, "RepetitionTime"),
        ({"StartTime": 1000.0}, "StartTime"),
        ({"StartTime": -0.5}, "StartTime"),
        ({"VolumeTiming": [2.0 * k for k in range(11)]}, "VolumeTiming"),
        ({"VolumeTiming": [0, 2, 4, 6, 8, 20, 22, 24, 26, 28, 30, 32]}, "VolumeTiming"),
        ({"VolumeTiming": [2000.0 * k for k in range(12)]}, "VolumeTiming"),
    ],
)
def test_times_of_sidecars(tree, change, wanted):
    """Refused; or, where the raw data say it rightly, the right value."""
    tree.simple(participants=("01",))
    for path in tree.fmriprep.rglob("*task-a*_bold.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found = outcome(tree)
    assert isinstance(found, str), found
    assert wanted.lower() in found.lower()


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("a\tpiece_a.wav\t6", 6.0),
        ("task-a\tpiece_a.wav\t6", 6.0),
        ("A\tpiece_a.wav\t6", "A"),
        ("a \tpiece_a.wav\t6", 6.0),
        ("a\tpiece_a.wav\tn/a", "onset"),
        ("a\tpiece_a.wav\t6,0", "6,0"),
        ("a\tpiece_a.wav\t", "onset"),
        ("a\tpiece_a.wav\t6000", "millisecond"),
    ],
)
def test_rows_of_the_table_of_stimuli(tree, row, wanted):
    tree.simple(participants=("01",))
    table = tree.root / "stimuli" / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\n{row}\nb\tpiece_b.wav\t5\n")
    found = outcome(tree, table=table)
    if isinstance(wanted, float):
        assert found == wanted
    else:
        assert isinstance(found, str), found
        assert wanted.lower() in found.lower()


@pytest.mark.parametrize(
    "name", ["participant", "subject", "sub", "Participant_ID", "ses", "Run", "acq", "dir", "dur"]
)
def test_columns_that_restrict_rows_must_be_known(tree, name):
    """Under another name the onset of one would be that of everybody."""
    tree.simple(participants=("01",))
    table = tree.root / "stimuli" / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\t{name}\na\tpiece_a.wav\t6\t1\n")
    assert name in outcome(tree, table=table)


@pytest.mark.parametrize(
    ("sound", "wanted"),
    [
        (lambda x: np.stack([x, -x], 1), "cancel"),
        (lambda x: 0 * x, "silent"),
        (lambda x: 20000 * x, "scale"),
        (lambda x: np.where(np.arange(x.size) == 5, np.nan, x), "NaN"),
        (lambda x: x[:0], "sample"),
        (lambda x: np.stack([x, 0 * x], 1), 4.0),
        (lambda x: np.stack([x] * 6, 1), 4.0),
    ],
)
def test_what_a_sound_holds(tree, sound, wanted):
    tree.simple(participants=("01",))
    path = tree.root / "stimuli" / "odd.wav"
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 16 * 8000)
    soundfile.write(path, sound(noise), 8000, subtype="FLOAT")
    events_of(tree, f"{HEADER}4\tn/a\todd.wav\n")
    found = outcome(tree)
    if isinstance(wanted, float):
        assert found == wanted
    else:
        assert isinstance(found, str), found
        assert wanted.lower() in found.lower()


@pytest.mark.parametrize(
    "options",
    [
        {"exclude_runs": ("sub-01_task-c",)},
        {"exclude_runs": ("sub-03",)},
        {"exclude_runs": ("task-A",)},
        {"exclude_runs": ("sub-01_task-a_run-1",)},
        {"tasks": ("A",)},
        {"tasks": ("a", "c"), "sessions": ("2",)},
        {"participants": ("3",)},
        {"bids_filters": {"bold": {"task": "c"}}},
        {"bids_filters": {"bold": {"acquisition": "x"}}},
    ],
)
def test_what_meets_nothing_is_an_error_or_named(tree, options):
    tree.simple(participants=("01", "02"))
    try:
        plan = plan_study(tree.root, missing="use", **options)
    except MusencError as error:
        told = str(error)
    else:
        told = " ".join(plan.warnings)
    label = {"task-A": "A", "sub-03": "03"}
    values = [v for value in options.values() for v in (value if isinstance(value, tuple) else ())]
    names = values or ["c" if "task" in str(options) else "x"]
    name = names[-1].split("_")[-1].split("-")[-1]
    assert label.get(name, name) in told


@pytest.mark.parametrize("label", ["1", "01", "sub-01", "sub-1"])
def test_participants_however_they_are_spelled(tree, label):
    tree.simple(participants=("01", "02"))
    plan = plan_study(tree.root, participants=(label.removeprefix("sub-"),), missing="use")
    assert plan.participants == ("01",)
