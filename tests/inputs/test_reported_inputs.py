"""Inputs as spreadsheets, R, file managers and converters leave them: right, or named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from planning import plan_study
from test_further_inputs import events_of, outcome

from bids_app.cli.run import main
from bids_app.errors import InvalidInputError, MissingInputError, MusencError
from bids_app.inputs.locate import locate_dataset
from bids_app.inputs.ratings import read_ratings_table
from bids_app.inputs.sidecars import resolve_timing
from bids_app.inputs.sound import examine_sound


def reasons(tree, **options):
    plan = plan_study(tree.root, **{"missing": "use", **options})
    return plan, {run.label: run.reason for run in plan.skipped if run.problem}


def test_files_in_the_folder_of_somebody_else_are_not_read(tree):
    tree.simple(("01", "02"))
    own = plan_study(tree.root).runs
    for path in list(tree.fmriprep.glob("sub-02/func/*")):
        shutil.copy(path, tree.fmriprep / "sub-01" / "func")
    shutil.copytree(tree.fmriprep / "sub-01", tree.fmriprep / "sub-01 - Copy")
    plan, problems = reasons(tree)
    assert [run.bold_left for run in plan.runs] == [run.bold_left for run in own]
    assert any("sub-02_task-a in sub-01/func" in text for text in plan.warnings)
    assert "its files are those of sub-01, sub-02" in problems["sub-01 - Copy"]


def test_the_session_of_the_folder_counts(tree):
    tree.simple(("02",))
    tree.bold(sub="01", ses="02", task="a")
    (tree.fmriprep / "sub-01" / "ses-02").rename(tree.fmriprep / "sub-01" / "ses-01")
    plan, problems = reasons(tree, participants=("01", "02"))
    assert any("sub-01_ses-02_task-a in sub-01/ses-01/func" in text for text in plan.warnings)
    assert "sub-01" in problems


@pytest.mark.parametrize("place", ["func/old", "func_old", "backup"])
def test_a_copy_elsewhere_is_not_read_in_place_of_the_file(tree, place):
    """Which of two files of one name was read depended on the order of their folders."""
    tree.simple()
    own = plan_study(tree.root)
    shutil.copytree(tree.fmriprep / "sub-01" / "func", tree.fmriprep / "sub-01" / place)
    plan = plan_study(tree.root)
    assert [run.bold_left for run in plan.runs] == [run.bold_left for run in own.runs]
    assert any(f"sub-01_task-a in sub-01/{place}" in text for text in plan.warnings)


def test_bold_without_a_folder_is_named(tree):
    tree.simple()
    for path in list(tree.fmriprep.glob("sub-*/func/*")):
        path.rename(path.parents[1] / path.name)
    with pytest.raises(MissingInputError, match=r"sub-01_task-a in sub-01(.|\n)*/func"):
        plan_study(tree.root, derivatives=[str(tree.fmriprep)])


@pytest.mark.parametrize("more", [{"run": "1"}, {"acq": "mb"}])
def test_a_label_that_the_raw_dataset_alone_has_is_named(tree, more):
    tree.simple(("01", "02"))
    path = tree.root / "sub-01" / "func" / "sub-01_task-a_events.tsv"
    path.rename(path.with_name(f"{tree.stem(sub='01', task='a', **more)}_events.tsv"))
    _, problems = reasons(tree)
    assert "-".join(*more.items()) in problems["sub-01_task-a"]


def test_names_of_other_encodings_are_no_matter(tree):
    tree.simple(("01",))
    for folder in (tree.fmriprep, tree.root, tree.root / "stimuli"):
        with open(os.fsencode(folder) + b"/k\xe4se.gii", "wb"):  # noqa: PTH123
            pass
    plan, problems = reasons(tree)
    assert len(plan.runs) == 2
    assert not problems


def test_a_participant_may_be_called_na(tree):
    """A row for one must not become a row for all."""
    tree.simple(("NA", "02"))
    table = tree.table(
        *(f"{who}\t{task}\tstimuli/piece_{task}.wav\t{onset}"
          for who, onset in (("NA", 6), ("02", 7)) for task in "ab"),
        header="participant_id\ttask\tstim_file\tonset",
    )  # fmt: skip
    runs = plan_study(tree.root, table=table).runs
    onsets = {run.label: run.presentations[0].onset for run in runs}
    assert onsets["sub-NA_task-a"] == 6
    assert onsets["sub-02_task-a"] == 7


def test_a_stim_id_that_means_two_files(tree):
    tree.simple(("01",))
    sound = soundfile.read(tree.audio("stim-x_audio.wav"))[0]
    soundfile.write(tree.root / "stimuli" / "stim-x_audio.flac", sound, 1000)
    events_of(tree, "onset\tduration\tstim_id\n4\tn/a\tx\n")
    found = str(outcome(tree))
    assert "stim-x_audio.flac" in found
    assert "stim-x_audio.wav" in found
    events_of(tree, "onset\tduration\tstim_id\tstim_file\n4\tn/a\tx\tstim-x_audio.wav\n")
    assert outcome(tree) == 4.0
    events_of(tree, "onset\tduration\tstim_id\tstim_file\n4\tn/a\tx\tpiece_a.wav\n")
    assert "piece_a.wav" in str(outcome(tree))


def test_slice_times_that_are_all_the_same_say_nothing():
    """As converters write that do not know them; fMRIPrep does not correct by them either."""
    timing = resolve_timing([], {"RepetitionTime": 2.0, "SliceTiming": [0.0] * 30})
    assert timing.start_time == 1.0
    assert any("SliceTiming" in text and "+1 s" in text for text in timing.warnings)
    assert not resolve_timing([], {"RepetitionTime": 2.0, "SliceTiming": [0, 1.0]}).warnings


def test_silence_anywhere_and_an_offset_are_said(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 30 * 8000)
    at = np.arange(noise.size) / 8000
    for name, samples, words in (
        ("start", noise * (at >= 12), "silence from 0 to 12 s"),
        ("middle", noise * ((at < 8) | (at >= 19)), "silence from 8 to 19 s"),
        ("between seconds", noise * ((at < 5.5) | (at >= 15.6)), "silence from 5.5 to 15.6 s"),
        ("to the end", noise * (at < 19.9), "silence from 19.9 to 30 s"),
        ("short", noise * ((at < 8) | (at >= 17)), ""),
        ("nearly", noise * ((at < 8) | (at >= 17.9)), ""),
        ("twice", noise * ((at < 2) | ((at >= 11) & (at < 11.1)) | (at >= 20)), ""),
        ("offset", 0.1 * noise + 0.6, "constant offset"),
        ("small offset", noise + 0.02, ""),
    ):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, 8000)
        notes = " ".join(examine_sound(path).notes)
        assert words in notes, name
        assert bool(words) == bool(notes), name


def test_ratings_with_a_column_for_each_participant_are_refused(tmp_path):
    path = tmp_path / "ratings.tsv"
    rows = "".join(f"song\t{k / 2}\t{k % 5}\t{k % 3}\n" for k in range(80))
    path.write_text("stimulus\ttime\tsub-01\tsub-02\n" + rows)
    with pytest.raises(InvalidInputError, match="sub-01, sub-02") as caught:
        read_ratings_table(path, {"song": 40.0})
    assert "participant_id" in str(caught.value)


def test_a_folder_of_derivatives_is_looked_into(tree):
    tree.simple()
    for given in ("derivatives", "derivatives/fmriprep"):
        found = locate_dataset(tree.root, [str(tree.root / given)])
        assert found.derivatives == (("fmriprep", tree.fmriprep.resolve()),)
    with pytest.raises(MusencError, match="no folders sub-"):
        locate_dataset(tree.root, [str(tree.fmriprep / "sub-01")])


def test_outputs_in_the_legacy_layout_are_named(tree):
    """The output folder of fMRIPrep until 20.2 held `fmriprep` and `freesurfer`."""
    tree.simple()
    (tree.root / "derivatives" / "run1").mkdir()
    inner = tree.root / "derivatives" / "run1" / "fmriprep"
    tree.fmriprep.rename(inner)
    with pytest.raises(MissingInputError) as caught:
        plan_study(tree.root)
    assert f"--derivatives {inner}" in str(caught.value)


def test_a_filter_given_as_text_is_told_from_a_file(tree):
    tree.simple()
    text = json.dumps({"bold": {"task": "a"}})
    with pytest.raises(MusencError, match="--bids-filter-file"):
        plan_study(tree.root, filter_file=Path(text))


def test_tables_of_features_that_say_nothing_or_have_no_time(tree, tmp_path, capsys):
    tree.simple(tr=0.4, n_volumes=60)
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", "--crop", "1"]
    call += ["--delays", "0:2", "--features", f"precomputed:{tmp_path}"]
    for header in ("time", "Time"):
        for name in ("piecea", "pieceb"):
            rows = "".join(f"{k / 4}\t1\n" for k in range(64))
            (tmp_path / f"{name}.tsv").write_text(f"{header}\tx\n{rows}")
        code, (text, error) = main(call), capsys.readouterr()
        if header == "time":
            assert code == 0
            assert "piecea: nothing changes in the precomputed features" in text + error
        else:
            assert code == 65
            assert "columns Time, x" in error


def test_copies_of_bold_are_named(tree):
    tree.simple()
    assert not plan_study(tree.root).warnings
    first, second = (
        tree.fmriprep / f"sub-{who}/func/sub-{who}_task-a_hemi-L_space-fsaverage5_bold.func.gii"
        for who in ("01", "02")
    )
    shutil.copy(first, second)
    (told,) = plan_study(tree.root).warnings
    assert "sub-01_task-a and sub-02_task-a have the same BOLD" in told


def test_of_many_copies_the_first_are_named_and_the_others_counted(tree):
    people = [f"{k:02d}" for k in range(1, 8)]
    tree.simple(participants=people)
    name = "sub-{0}/func/sub-{0}_task-a_hemi-L_space-fsaverage5_bold.func.gii"
    for who in people[1:]:
        shutil.copy(tree.fmriprep / name.format("01"), tree.fmriprep / name.format(who))
    (told,) = plan_study(tree.root).warnings
    first = " and ".join(f"sub-{who}_task-a" for who in people[:3])
    assert f"{first} and 4 more have the same BOLD" in told


def test_a_surface_whose_data_lie_in_another_file_is_refused_by_the_plan(tree):
    tree.simple(("01",))
    (path,) = tree.fmriprep.glob("sub-01/func/*task-a_hemi-L*.func.gii")
    text = path.read_text().replace('Encoding="GZipBase64Binary"', 'Encoding="ExternalFileBinary"')
    path.write_text(text)
    assert "data lie in another file" in str(outcome(tree))
