"""What would fail after hours is refused before any work."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from input_trees import Tree
from planning import plan_study

from bids_app.analyses.participant import foresee as module
from bids_app.analyses.participant.foresee import (
    check_output_folder,
    foresee,
    with_remarks,
    without_density,
    without_folds,
)
from bids_app.analyses.participant.plan import remarks_of
from bids_app.cli.parser import parse_config
from bids_app.config import Config, Model
from bids_app.encoding import plan_encoding
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.timing import stimulus_rows


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path / "study").simple(n_volumes=30)  # 60 s, music of 16 and 12 s


def config_of(tree, output=None, **model):
    output = tree.root.parent / "out" if output is None else output
    return Config(tree.root, output, "participant", model=Model(**model))


SHORT = {"crop": 1.0, "delays": (0.0, 2.0)}


def test_music_that_outlasts_crop_and_delays(tree):
    assert foresee(config_of(tree, **SHORT), plan_study(tree.root)) == {}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"crop": 15.0}, r"--crop 15(.|\n)*smaller --crop"),
        ({"crop": 0.0, "delays": (3.0, 20.0)}, "too short"),
        ({"crop": 0.0, "delays": (-20.0, 0.0)}, "too short"),
        ({"crop": 4.0, "delays": (0.0, 2.0)}, r"use a crop of 2 s or less"),
    ],
)
def test_music_that_is_too_short_for_everybody(tree, model, words):
    with pytest.raises(BadDataError, match=words) as error:
        foresee(config_of(tree, **model), plan_study(tree.root))
    assert "sub-01: piece" in str(error.value)


def test_who_alone_is_too_short_is_named(tree):
    tree.events("50\tn/a\tpiece_a.wav", sub="02", task="a")
    found = foresee(config_of(tree, **SHORT), plan_study(tree.root))
    assert list(found) == ["02"]
    assert "piecea in sub-02_task-a is too short for --crop 1" in found["02"][0]


def test_music_that_leaves_no_folds_is_named_as_the_run_would(tmp_path):
    tree = Tree(tmp_path / "long").simple(tr=0.4, n_volumes=60)  # music of 40 and 30 volumes
    config = config_of(tree, **SHORT)
    assert without_folds(config, plan_study(tree.root)) == {}
    tree.events("5\t8\tpiece_b.wav", sub="02", task="b")  # 20 volumes
    plan = plan_study(tree.root)
    assert foresee(config, plan) == {}
    ((who, told),) = without_folds(config, plan).items()
    assert who == "02"
    lengths, played = [40, 20], {"stimuli": ["piecea", "pieceb"]}
    with pytest.raises(BadDataError) as refused:
        plan_encoding(np.eye(60), lengths, **played, **SHORT, tr=0.4)
    assert f"{refused.value.what}: {refused.value.found}" in told


@pytest.mark.parametrize("gone", [range(13, 23), range(10, 20), (*range(12, 16), *range(30, 36))])
def test_volumes_that_were_censored_leave_no_rows_in_the_plan(tmp_path, gone):
    tree = Tree(tmp_path / "long").simple(("01",), tr=0.4, n_volumes=60)
    (config, plan) = config_of(tree, **SHORT), plan_study(tree.root)
    plan = dataclasses.replace(
        plan, runs=tuple(dataclasses.replace(one, censored=tuple(gone)) for one in plan.runs)
    )
    assert foresee(config, plan) == {}
    heard = [stimulus_rows(60, 0.4, 0.2, *played)[0] for played in ((4.0, 16.0), (5.0, 12.0))]
    present = [np.setdiff1d(rows, gone) for rows in heard]
    clocks = [own - own[0] for own in present]
    lengths = [int(own[-1]) + 1 for own in clocks]
    with pytest.raises(BadDataError) as refused:
        plan_encoding(np.eye(sum(lengths)), lengths, present=clocks, **SHORT, tr=0.4)
    assert refused.value.found.split("(")[0] in without_folds(config, plan)["01"]


def test_a_tone_is_no_music(tree):
    tree.audio("beep.wav", 0.3)
    for sub in ("01", "02"):
        tree.events("2\t0.3\tbeep.wav", "6\tn/a\tpiece_a.wav", sub=sub, task="a")
    with pytest.raises(BadDataError, match=r"beep lasts 0\.30 s, too short for features"):
        foresee(config_of(tree, **SHORT), plan_study(tree.root))


def test_dummies_at_the_start_of_the_music_count(tree):
    plan = plan_study(tree.root, dummy_scans="8")
    with pytest.raises(BadDataError, match="too short"):
        foresee(config_of(tree, **SHORT), plan)


def test_runs_of_other_repetition_times(tree):
    tree.bold(sub="02", task="b", n_volumes=30, tr=1.0)
    found = foresee(config_of(tree, **SHORT), plan_study(tree.root))
    assert found == {"02": ["runs of different repetition times: 1 s, 2 s"]}


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        (".", True),
        ("results", True),
        ("sub-01/func", True),
        ("sourcedata/x", True),
        ("derivatives/fmriprep", True),
        ("derivatives/fmriprep/musenc", True),
        ("derivatives/musenc", False),
        ("derivatives/a/b", False),
        ("../study2", False),
        ("../out", False),
    ],
)
def test_an_output_folder_inside_the_data(tree, place, inside):
    plan, config = plan_study(tree.root), config_of(tree, Path(tree.root, place))
    if not inside:
        return check_output_folder(config, plan)
    with pytest.raises(UsageError, match=r"lies inside(.|\n)*musenc"):
        foresee(config, plan)


def test_a_link_into_the_data_is_inside(tree):
    link = tree.root.parent / "out"
    (tree.root / "results").mkdir()
    link.symlink_to(tree.root / "results")
    with pytest.raises(UsageError, match="lies inside a dataset"):
        check_output_folder(config_of(tree, link), plan_study(tree.root))


def test_spheres_and_files_of_features_that_are_not_there(tree, monkeypatch, tmp_path):
    plan = plan_study(tree.root)
    with pytest.raises(MissingInputError):
        foresee(config_of(tree, features=(f"precomputed:{tmp_path / 'none'}",), **SHORT), plan)

    def absent():
        raise MissingInputError("The spheres are not installed.")

    monkeypatch.setattr(module, "fslr_spheres", absent)
    assert foresee(config_of(tree, **SHORT), plan) == {}
    runs = tuple(dataclasses.replace(run, kind="cifti") for run in plan.runs)
    with pytest.raises(MissingInputError, match="spheres"):
        foresee(config_of(tree, **SHORT), dataclasses.replace(plan, runs=runs))


def test_remarks_on_features_belong_to_their_model_and_change_no_run(tree):
    """Or the table of runs, which models share, would be another with every feature space."""
    rows = "onset\tduration\tpitch\n0.5\t0.2\t60\n9\t0.2\t62\n"
    for name in ("piece_a", "piece_b"):
        (tree.root / "stimuli" / f"{name}_notes.tsv").write_text(rows)
    plan = plan_study(tree.root)
    found = with_remarks(config_of(tree, features=("notes", "envelope")), plan)
    assert found.runs == plan.runs
    assert list(found.remarks) == ["notes"]
    every = [text for texts in found.remarks["notes"].values() for text in texts]
    assert set(every) <= set(found.warnings)
    told = remarks_of(found, "notes", {"piecea"})
    assert any("piecea: the notes of piece_a_notes.tsv end at 9.2 s" in text for text in told)
    assert not any("pieceb" in text for text in told)
    assert any("--joint surprise" in text for text in told)
    assert remarks_of(found, "envelope", {"piecea"}) == ()


def test_music_of_which_a_space_has_far_slower_steps_is_named(tree, tmp_path):
    plan = plan_study(tree.root)
    seconds = {one.label: one.duration for one in plan.stimuli}

    def warnings(slow):
        for label, step in (("piecea", 0.5), ("pieceb", slow)):
            times = np.arange(step / 2, seconds[label], step)
            rows = "".join(f"{time:g}\t{k * k % 7}\n" for k, time in enumerate(times))
            (tmp_path / f"{label}.tsv").write_text("time\tx\n" + rows)
        config = config_of(tree, features=(f"precomputed:{tmp_path}",))
        return [text for text in with_remarks(config, plan).warnings if "far longer" in text]

    (told,) = warnings(2.0)
    assert "a step lasts 0.5 s in other music, but far longer in pieceb (2 s)" in told
    assert warnings(0.6) == []


def test_density_is_named_as_a_rival_until_a_joint_model_has_it():
    given = ["/d", "/o", "participant", "--features", "notes", "envelope", "--notes-corpus", "/k"]
    ((told,),) = without_density(parse_config(given)).values()
    assert "--joint surprise=notes@density+notes@stm" in told
    assert without_density(parse_config([*given, "--joint", "x=notes@density+envelope"]))
    assert not without_density(
        parse_config([*given, "--joint", "x=notes@density+notes@both+envelope"])
    )
    ((told,),) = without_density(parse_config([*given, "--transcribe"])).values()
    assert "transcribed@density" in told
    assert not without_density(parse_config(["/d", "/o", "participant"]))
