"""Layouts of datasets and the plan each of them gives."""

from __future__ import annotations

import json
import pickle
import shutil

import nibabel as nib
import numpy as np
import pytest
from planning import plan_study

from bids_app.errors import MissingInputError, UsageError


def summary(plan):
    """One line per run: label, volumes, dummies, TR, sampling time, what was heard when."""
    lines = []
    for run in plan.runs:
        heard = " ".join(
            f"{p.stimulus}@{p.onset:g}+{p.duration:g}" + (f"/{p.offset:g}" if p.offset else "")
            for p in run.presentations
        )
        lines.append(
            f"{run.label} {run.n_volumes}-{run.n_dummy} {run.tr:g}/{run.start_time:g} {heard}"
        )
    return lines


def skipped(plan):
    return [f"{run.label}: {run.reason.split(' (')[0]}" for run in plan.skipped]


SIMPLE = [
    "sub-01_task-a 12-0 2/1 pieceA@4+16",
    "sub-01_task-b 12-0 2/1 pieceB@5+12",
    "sub-02_task-a 12-0 2/1 pieceA@4+16",
    "sub-02_task-b 12-0 2/1 pieceB@5+12",
]
SIMPLE = [line.replace("pieceA", "piecea").replace("pieceB", "pieceb") for line in SIMPLE]


def fmriprep_22(tree):
    return tree.simple()


def fmriprep_20(tree):
    return tree.simple(style="20.2")


def fmriprep_14(tree):
    return tree.simple(style="1.4")


def fmriprep_10(tree):
    return tree.simple(style="1.0")


def den_spelling(tree):
    return tree.simple(space="fsaverage_den-10k")


def both_spellings(tree):
    tree.simple(space="fsaverage_den-10k")
    return tree.simple()


def dummies(tree):
    return tree.simple(n_dummy=3)


def volumes_beside(tree):
    tree.simple()
    for name in ("space-T1w_desc-preproc_bold.nii.gz", "space-fsLR_den-91k_bold.dtseries.nii"):
        (tree.func(tree.fmriprep, sub="01") / f"sub-01_task-a_{name}").touch()
    return tree


def no_timing(tree):
    """Neither StartTime nor slice timing in any sidecar; TR in the raw root file only."""
    tree.simple(sidecar={})
    (tree.root / "task-a_bold.json").write_text('{"RepetitionTime": 3.0}')
    (tree.root / "bold.json").write_text('{"RepetitionTime": 2.0, "SliceTiming": [0, 1.5, 0.5]}')
    return tree


def not_corrected(tree):
    sidecar = {"RepetitionTime": 2.0, "DelayTime": 0.5, "SliceTimingCorrected": False}
    return tree.simple(sidecar=sidecar)


def sessions_and_runs(tree):
    tree.audio("x.wav")
    tree.audio("y.wav")
    for session in ("pre", "post"):
        for run, name in (("1", "x"), ("2", "y"), ("10", "x")):
            e = {"sub": "01", "ses": session, "task": "music", "run": run}
            tree.bold(**e)
            tree.events(f"2\t10\t{name}.wav", **e)
    return tree


def acquisitions(tree):
    tree.audio("x.wav")
    for direction in ("AP", "PA"):
        e = {"sub": "01", "task": "m", "acq": "mb", "dir": direction}
        tree.bold(**e)
        tree.events("0\tn/a\tx.wav", **e)
    return tree


def combined_echoes(tree):
    tree.audio("x.wav")
    tree.bold(sub="01", task="m")
    tree.bold(sub="01", task="m", echo="2", confounds=False)
    tree.bold(sub="01", task="m", part="phase", confounds=False)
    tree.events("0\tn/a\tx.wav", sub="01", task="m")
    return tree


def clips(tree):
    """Several clips in a run, one twice, images in between, the last after the end of the run."""
    for name in ("c1.wav", "c2.wav"):
        tree.audio(name, 5.0)
    tree.bold(sub="01", task="m")
    rows = ["0\t5\tc1.wav", "6\t1\tface.png", "8\t0\tc2.wav", "15\t3\tc1.wav", "40\t5\tc2.wav"]
    tree.events(*rows, "1\t1\tn/a", sub="01", task="m")
    return tree


def stim_ids(tree):
    tree.audio("stim-opera_audio.wav", 8.0)
    tree.bold(sub="01", task="m")
    tree.events("1\t8\topera", header="onset\tduration\tstim_id", sub="01", task="m")
    return tree


def inherited_events(tree):
    tree.audio("x.wav")
    for participant in ("01", "02"):
        tree.raw(sub=participant)
        tree.bold(sub=participant, task="m")
    (tree.root / "task-m_events.tsv").write_text("onset\tduration\tstim_file\n3\t9\tx.wav\n")
    return tree


def rest_beside(tree):
    tree.simple()
    tree.bold(sub="01", task="rest")
    return tree


LAYOUTS = [
    (fmriprep_22, {}, SIMPLE, []),
    (fmriprep_20, {}, SIMPLE, []),
    (fmriprep_14, {}, SIMPLE, []),
    (fmriprep_10, {}, SIMPLE, []),
    (den_spelling, {}, SIMPLE, []),
    (both_spellings, {}, SIMPLE, []),
    (volumes_beside, {}, SIMPLE, []),
    (fmriprep_22, {"participants": ["02"]}, SIMPLE[2:], []),
    (fmriprep_22, {"tasks": ["a"]}, SIMPLE[::2], []),
    (
        fmriprep_22,
        {"exclude_runs": ["sub-01_task-b"], "missing": "use"},
        [SIMPLE[0], *SIMPLE[2:]],
        ["sub-01_task-b: left out by --exclude-run"],
    ),
    (
        fmriprep_22,
        {"bids_filters": {"bold": {"subject": "01"}, "t1w": {}}},
        SIMPLE[:2],
        ["sub-02: no file of this participant passes filters.json"],
    ),
    (dummies, {}, [line.replace("12-0", "12-3") for line in SIMPLE], []),
    (dummies, {"dummy_scans": 2}, [line.replace("12-0", "12-2") for line in SIMPLE], []),
    (fmriprep_22, {"slice_time_ref": 0.25}, [s.replace("2/1 ", "2/0.5 ") for s in SIMPLE], []),
    (not_corrected, {}, [s.replace("2/1 ", "2/0.75 ") for s in SIMPLE], []),
    (
        no_timing,
        {},
        [
            "sub-01_task-a 12-0 3/0.75 piecea@4+16",
            "sub-01_task-b 12-0 2/0.75 pieceb@5+12",
            "sub-02_task-a 12-0 3/0.75 piecea@4+16",
            "sub-02_task-b 12-0 2/0.75 pieceb@5+12",
        ],
        [],
    ),
    (
        sessions_and_runs,
        {},
        [
            f"sub-01_ses-{ses}_task-music_run-{run} 12-0 2/1 {name}@2+10"
            for ses in ("post", "pre")
            for run, name in (("1", "x"), ("2", "y"), ("10", "x"))
        ],
        [],
    ),
    (
        sessions_and_runs,
        {"sessions": ["pre"], "runs": ["02", "10"]},
        [
            "sub-01_ses-pre_task-music_run-2 12-0 2/1 y@2+10",
            "sub-01_ses-pre_task-music_run-10 12-0 2/1 x@2+10",
        ],
        [],
    ),
    (
        acquisitions,
        {},
        [f"sub-01_task-m_acq-mb_dir-{d} 12-0 2/1 x@0+16" for d in ("AP", "PA")],
        [],
    ),
    (combined_echoes, {}, ["sub-01_task-m 12-0 2/1 x@0+16"], []),
    (clips, {}, ["sub-01_task-m 12-0 2/1 c1@0+5 c2@8+5 c1@15+3"], []),
    (stim_ids, {}, ["sub-01_task-m 12-0 2/1 opera@1+8"], []),
    (
        inherited_events,
        {},
        ["sub-01_task-m 12-0 2/1 x@3+9", "sub-02_task-m 12-0 2/1 x@3+9"],
        [],
    ),
    (
        rest_beside,
        {},
        SIMPLE,
        ["sub-01_task-rest: no stimulus is given for this task"],
    ),
]


@pytest.mark.parametrize(
    ("build", "options", "expected", "left_out"),
    LAYOUTS,
    ids=[f"{build.__name__}-{'-'.join(options) or 'default'}" for build, options, *_ in LAYOUTS],
)
def test_layout_gives_plan(tree, build, options, expected, left_out):
    build(tree)
    plan = plan_study(tree.root, **options)
    assert summary(plan) == expected
    assert skipped(plan) == left_out
    assert not plan.has_problems
    assert pickle.loads(pickle.dumps(plan)) == plan


def renamed(tree, old, new):
    for path in sorted(tree.root.rglob(f"*{old}*")):
        path.rename(path.with_name(path.name.replace(old, new)))


@pytest.mark.parametrize(
    ("first", "second"), [("m_run1", "m_run2"), ("m_run-1_pre", "m_run-1_post")]
)
def test_runs_told_apart_by_a_word_alone_are_not_read(tree, first, second):
    tree.audio("x.wav")
    for task in ("one", "two"):
        e = {"sub": "01", "task": task}
        tree.bold(**e)
        tree.events("2\t10\tx.wav", **e)
    renamed(tree, "task-one", f"task-{first}")
    renamed(tree, "task-two", f"task-{second}")
    words = f"{first.rpartition('_')[2]} is no entity"
    with pytest.raises(MissingInputError, match=words):
        plan_study(tree.root)


def test_a_run_with_a_word_beside_another_is_named(tree):
    tree.simple()
    for kind in ("bold.func.gii", "events.tsv", "desc-confounds_timeseries.tsv"):
        for path in sorted(tree.root.rglob(f"sub-01_task-a*_{kind}")):
            shutil.copy(path, path.with_name(path.name.replace("task-a", "task-a_0old")))
    plan = plan_study(tree.root)
    assert summary(plan) == SIMPLE
    run = plan.runs[0]
    assert "0old" not in str([run.bold_left, run.confounds_file])
    assert "hemi-L_space-fsaverage5_bold.func.gii (0old is no entity)" in " ".join(run.warnings)


def test_every_way_to_name_the_dataset_gives_the_same_runs(tree, tmp_path):
    tree.simple()
    elsewhere = tmp_path / "elsewhere"
    (tree.root / "derivatives").rename(elsewhere)
    plans = [
        plan_study(tree.root, derivatives=[f"prep={elsewhere / 'fmriprep'}"]),
        plan_study(tree.root, derivatives=[str(elsewhere / "fmriprep")]),
        plan_study(elsewhere, derivatives=[f"raw={tree.root}"]),
        plan_study(elsewhere / "fmriprep", derivatives=[f"raw={tree.root}"]),
    ]
    elsewhere.rename(tree.root / "derivatives")
    plans += [plan_study(tree.root / "derivatives"), plan_study(tree.fmriprep)]
    assert all(summary(plan) == SIMPLE for plan in plans)
    assert all(plan.raw_dir == tree.root for plan in plans)
    assert plans[0].runs[0].sources[0].startswith("bids:prep:sub-01/func/")
    assert "raw dataset" in plan_study(tree.root).found
    assert "folder of derivatives" in plans[4].found
    assert "is an fMRIPrep output folder" in plans[5].found


def test_outputs_of_other_programs_are_not_taken_for_fmriprep(tree):
    tree.simple()
    tree.fmriprep.rename(tree.fmriprep.with_name("preprocessed"))
    for name in ("XCP-D", "musenc-bidsapp"):
        folder = tree.root / "derivatives" / name
        shutil.copytree(tree.root / "derivatives" / "preprocessed", folder)
        generated = [{"Name": name}, {"Name": "fMRIPrep"}]
        description = {"DatasetType": "derivative", "GeneratedBy": generated}
        (folder / "dataset_description.json").write_text(json.dumps(description))
    plan = plan_study(tree.root)
    assert summary(plan) == SIMPLE
    assert plan.derivatives == (tree.root / "derivatives" / "preprocessed",)


def test_folder_without_description_is_known_by_its_files(tree):
    tree.simple()
    (tree.fmriprep / "dataset_description.json").unlink()
    assert summary(plan_study(tree.root)) == SIMPLE
    assert summary(plan_study(tree.fmriprep)) == SIMPLE


def test_two_fmriprep_folders_are_one_study(tree, tmp_path):
    tree.simple()
    second = tmp_path / "second"
    second.mkdir()
    (tree.fmriprep / "sub-02").rename(second / "sub-02")
    plan = plan_study(tree.root, derivatives=[f"one={tree.fmriprep}", f"two={second}"])
    assert summary(plan) == SIMPLE
    assert dict(plan.dataset_links) == {"one": tree.fmriprep, "two": second, "raw": tree.root}


def test_database_is_made_once_and_believed(tree, tmp_path):
    tree.simple()
    database = tmp_path / "database"
    first = plan_study(tree.root, participants=["01"], database_dir=database)
    assert summary(first) == SIMPLE[:2]
    tree.bold(sub="01", task="a", run="2")
    again = plan_study(tree.root, database_dir=database)
    assert summary(again) == SIMPLE
    other = tmp_path / "other"
    shutil.copytree(tree.root, other)
    with pytest.raises(UsageError, match="about another folder"):
        plan_study(other, database_dir=database)


def test_only_the_participants_asked_for_are_indexed(tree, monkeypatch):
    tree.simple()
    seen = []
    import bids.layout.index as index

    original = index.make_bidsfile
    monkeypatch.setattr(
        index, "make_bidsfile", lambda path: (seen.append(str(path)), original(path))[1]
    )
    plan_study(tree.root, participants=["02"])
    assert seen
    assert not [path for path in seen if "sub-01" in path]


TABLES = [
    ("task\tstim_file\tonset", ["a\tp.wav\t3", "b\tq.wav\t4"], "p@3+16", "p@3+16"),
    (
        "participant_id\ttask\tstim_file\tonset",
        ["n/a\ta\tp.wav\t3", "n/a\tb\tq.wav\t4", "sub-02\ta\tp.wav\t6.5"],
        "p@3+16",
        "p@6.5+16",
    ),
    (
        "task\tstim_file\tonset\toffset\tduration",
        ["a\tp.wav\t3\t2\t5", "b\tq.wav\t4\tn/a\t", "a\tp.wav\t10\t4\tn/a"],
        "p@3+5/2 p@10+12/4",
        "p@3+5/2 p@10+12/4",
    ),
]


@pytest.mark.parametrize(("header", "rows", "first", "second"), TABLES)
def test_table_of_stimuli(tree, header, rows, first, second):
    for name in ("p.wav", "q.wav"):
        tree.audio(name, folder=".")
    for participant in ("01", "02"):
        for task in ("a", "b"):
            tree.bold(sub=participant, task=task)
    table = tree.table(*rows, header=header)
    plan = plan_study(tree.fmriprep, table=table)
    heard = {line.split()[0]: line.split(" ", 3)[3] for line in summary(plan)}
    assert heard == {
        "sub-01_task-a": first,
        "sub-01_task-b": "q@4+16",
        "sub-02_task-a": second,
        "sub-02_task-b": "q@4+16",
    }


def test_two_names_of_the_same_music_are_one_stimulus(tree):
    tree.simple()
    audio = tree.root / "stimuli"
    (audio / "piece_b.wav").write_bytes((audio / "piece_a.wav").read_bytes())
    plan = plan_study(tree.root)
    assert [stimulus.label for stimulus in plan.stimuli] == ["piecea"]
    assert {p.stimulus for run in plan.runs for p in run.presentations} == {"piecea"}
    assert "same content" in plan.warnings[0]


def test_participant_who_lacks_a_stimulus(tree):
    tree.simple(("01", "02", "03"))
    for path in tree.func(tree.fmriprep, sub="02").glob("*task-b*"):
        path.unlink()
    plan = plan_study(tree.root)
    assert plan.participants == ("01", "03")
    assert [run.label for run in plan.skipped] == ["sub-02_task-a"]
    assert "lacks pieceb" in plan.skipped[0].reason
    kept = plan_study(tree.root, missing="use")
    assert kept.participants == ("01", "02", "03")
    assert "sub-02 lacks pieceb" in kept.warnings[0]


def test_lone_participant_is_held_to_what_others_heard(tree):
    tree.simple(("01", "02", "03"))
    for path in tree.root.glob("**/sub-02/func/*task-b*"):
        path.unlink()
    tree.events("not a number\tn/a\tpiece_a.wav", sub="03", task="a")
    assert plan_study(tree.root, participants=["01"]).participants == ("01",)
    assert plan_study(tree.root, participants=["02"], missing="use").participants == ("02",)
    assert plan_study(tree.root, participants=["02"], tasks=["a"]).participants == ("02",)
    with pytest.raises(ValueError, match="sub-02 lacks pieceb"):
        plan_study(tree.root, participants=["02"])


@pytest.mark.parametrize("alone", [(), ("03",)])
def test_what_is_lacking_does_not_depend_on_who_is_analyzed(tree, alone):
    tree.simple(("01", "02", "03"))
    next(tree.fmriprep.glob("sub-03/func/*task-b*hemi-R*.gii")).write_bytes(b"")
    for path in tree.root.glob("sub-01/func/*task-b*_events.tsv"):
        path.write_text("broken")
    if alone:
        with pytest.raises(ValueError, match="sub-03 lacks pieceb"):
            plan_study(tree.root, participants=list(alone))
    else:
        assert plan_study(tree.root).participants == ("02",)


def test_a_run_with_overlapping_pieces_is_skipped(tree):
    tree.simple()
    tree.events("2\tn/a\tpiece_a.wav", "10\tn/a\tpiece_b.wav", sub="02", task="a")
    plan = plan_study(tree.root, missing="use")
    (skipped,) = plan.skipped
    assert skipped.label == "sub-02_task-a"
    assert "pieceb starts at 10.0 s, before the end of piecea (18.0 s)" in skipped.reason


def surfaces_of(tree, participant, registered=True):
    anat = tree.fmriprep / f"sub-{participant}" / "anat"
    anat.mkdir(parents=True)
    names = ["white", "pial"] + (["space-fsaverage_desc-reg_sphere"] if registered else ["sphere"])
    for hemisphere in "LR":
        for name in names:
            (anat / f"sub-{participant}_hemi-{hemisphere}_{name}.surf.gii").touch()


def volume(tree, space, participant="01"):
    entities = {"sub": participant, "task": "a"}
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 12), "f4"), np.eye(4))
    image.header.set_zooms((1, 1, 1, 2.0))
    name = f"{tree.stem(**entities)}_space-{space}_desc-preproc_bold.nii.gz"
    nib.save(image, tree.func(tree.fmriprep, **entities) / name)
    sidecar = {"RepetitionTime": 2.0, "StartTime": 0.9}
    name = f"{tree.stem(**entities)}_space-{space}_desc-preproc_bold.json"
    (tree.func(tree.fmriprep, **entities) / name).write_text(json.dumps(sidecar))
    tree.confounds(**entities)
    tree.audio("x.wav")
    tree.events("2\tn/a\tx.wav", **entities)


def cifti(tree):
    entities = {"sub": "01", "task": "a"}
    axis = nib.cifti2.BrainModelAxis.from_mask(np.ones(9, bool), name="CORTEX_LEFT")
    image = nib.Cifti2Image(np.zeros((12, 9), "f4"), (nib.cifti2.SeriesAxis(0, 2, 12), axis))
    name = f"{tree.stem(**entities)}_space-fsLR_den-91k_bold"
    nib.save(image, tree.func(tree.fmriprep, **entities) / f"{name}.dtseries.nii")
    path = tree.func(tree.fmriprep, **entities) / f"{name}.json"
    path.write_text('{"RepetitionTime": 2.0, "StartTime": 0.8}')


def test_surfaces_before_cifti_before_own_volume_before_template_volume(tree):
    volume(tree, "MNI152NLin2009cAsym")
    (run,) = plan_study(tree.root).runs
    assert (run.kind, run.space, run.start_time) == ("volume", "MNI152NLin2009cAsym", 0.9)
    assert run.surfaces == ()
    assert (run.n_volumes, run.bold_left) == (12, run.bold_right)
    volume(tree, "T1w")
    assert plan_study(tree.root).runs[0].space == "MNI152NLin2009cAsym"
    surfaces_of(tree, "01")
    (run,) = plan_study(tree.root).runs
    assert run.space == "T1w"
    assert [path.name.split("_", 1)[1] for path in run.surfaces] == [
        f"hemi-{hemisphere}_{name}.surf.gii"
        for hemisphere in "LR"
        for name in ("white", "pial", "space-fsaverage_desc-reg_sphere")
    ]
    cifti(tree)
    (run,) = plan_study(tree.root).runs
    assert (run.kind, run.space, run.start_time) == ("cifti", "fsLR", 0.8)
    tree.bold(sub="01", task="a")
    (run,) = plan_study(tree.root).runs
    assert (run.kind, run.space) == ("gifti", "fsaverage5")


def test_own_surfaces_without_registered_sphere_do_not_count(tree):
    volume(tree, "T1w")
    surfaces_of(tree, "01", registered=False)
    with pytest.raises(MissingInputError, match="space-fsaverage5_bold"):
        plan_study(tree.root)


def test_lone_participant_is_held_to_the_table(tree):
    for name in ("p.wav", "q.wav"):
        tree.audio(name, folder=".")
    for participant, task in (("01", "a"), ("01", "b"), ("02", "a")):
        tree.bold(sub=participant, task=task)
    table = tree.table("a\tp.wav\t3", "b\tq.wav\t4")
    options = {"table": table, "participants": ["02"]}
    assert plan_study(tree.root, missing="use", **options).participants == ("02",)
    with pytest.raises(ValueError, match="lacks a stimulus"):
        plan_study(tree.root, **options)


def test_warnings_about_a_run(tree):
    tree.simple(tr=2.0, sidecar={"RepetitionTime": 1.0, "StartTime": 0.5})
    plan = plan_study(tree.root, repetition_time=2.5)
    text = " ".join(plan.runs[0].warnings)
    assert "time step is 2000, but the surface sidecar says 1 s" in text
    assert "--repetition-time 2.5 s is not used" in text
    assert "the music ends at 20.0 s, 8.0 s after" in text


def test_audio_shorter_than_its_window_is_reported_with_both_lengths(tree):
    tree.simple()
    tree.events("4\t18\tpiece_a.wav", sub="01", task="a")
    (run, *_) = plan_study(tree.root).runs
    (warning,) = [text for text in run.warnings if "piecea" in text and "audio file" in text]
    assert "18.0 s are said to be played, the audio file has 16.0 s" in warning
    assert run.presentations[0].duration == 16.0


def test_sources_of_timing_are_named(tree):
    tree.simple(sidecar={})
    runs = plan_study(tree.root, repetition_time=2.0).runs
    assert runs[0].tr_source == "--repetition-time"
    assert "middle of the repetition time" in runs[0].start_time_source
    (tree.root / "task-a_bold.json").write_text('{"RepetitionTime": 2}')
    assert plan_study(tree.root, repetition_time=2.0).runs[0].tr_source == "raw sidecar"
