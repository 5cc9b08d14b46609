"""Outputs of XCP-D as input."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from input_trees import Tree, gifti_bytes
from planning import plan_study

from bids_app.analyses.participant.responses import prepare_responses
from bids_app.bands import Band
from bids_app.config import Cleaning
from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.inputs.continuity import read_band
from bids_app.inputs.denoised import effective_cleaning

BANDPASS = {
    "Bandpass filter": {
        "Low-pass cutoff (Hz)": 0.08,
        "High-pass cutoff (Hz)": 0.01,
        "Filter order": 2,
    }
}


@pytest.fixture
def xcpd(tree):
    """The tree's derivatives are those of XCP-D, under its name."""
    tree.simple(participants=("01", "02"), confounds=False)
    rename(tree)
    return tree


def rename(tree: Tree, desc: str = "denoised", filters: object = BANDPASS) -> None:
    folder = tree.root / "derivatives" / "xcp_d"
    shutil.rmtree(folder, ignore_errors=True)
    tree.fmriprep.rename(folder)
    tree.fmriprep = folder
    description = {"Name": "XCP-D", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": "xcp_d", "Version": "26.1.1"}]
    (folder / "dataset_description.json").write_text(json.dumps(description))
    for path in sorted(folder.rglob("*_bold.*")):
        new = path.with_name(path.name.replace("_bold", f"_desc-{desc}_bold"))
        path.rename(new)
        if new.suffix == ".json":
            content = json.loads(new.read_text()) | {"SoftwareFilters": filters}
            new.write_text(json.dumps(content))


def outliers(tree, columns, n=12, task="a", sub="01"):
    names = list(columns)
    rows = [[str(int(k in columns[name])) for name in names] for k in range(n)]
    path = tree.func(tree.fmriprep, sub=sub) / f"sub-{sub}_task-{task}_outliers.tsv"
    path.write_text("\n".join("\t".join(row) for row in [names, *rows]) + "\n")


def whole(tree):
    for sub in ("01", "02"):
        for task in "ab":
            outliers(tree, {"framewise_displacement": ()}, task=task, sub=sub)


def censor(tree, gone, task="a", sub="01", n=12):
    """Take volumes out of the series, and join the rest."""
    for hemi in "LR":
        (path,) = tree.fmriprep.glob(f"sub-{sub}/func/*task-{task}_hemi-{hemi}_*_bold.func.gii")
        import nibabel as nib

        image = nib.load(path)
        arrays = [a for k, a in enumerate(image.darrays) if k not in gone]
        for array in arrays:  # the right hemisphere's own; no volume of zeros
            array.data = array.data + np.float32(7 if hemi == "R" else 1)
        path.write_bytes(nib.gifti.GiftiImage(darrays=arrays, meta=image.meta).to_bytes())
    outliers(tree, {"framewise_displacement": gone}, task=task, sub=sub, n=n)


def test_the_folder_is_found_like_that_of_fmriprep(xcpd):
    whole(xcpd)
    plan = plan_study(xcpd.root)
    assert [path.name for path in plan.derivatives] == ["xcp_d"]
    assert len(plan.runs) == 4
    run = plan.runs[0]
    assert run.band == Band(0.01, 0.08, 2)
    assert not run.censored
    assert "denoised before (0.01 Hz to 0.08 Hz, order 2)" in " ".join(run.warnings)
    assert not any("confounds table" in text for text in run.warnings)


def test_beside_fmriprep_it_is_named_by_the_user(xcpd):
    whole(xcpd)
    other = Tree.__new__(Tree)
    other.root, other.fmriprep = xcpd.root, xcpd.root / "derivatives" / "fmriprep"
    other.fmriprep.mkdir()
    description = {"Name": "f", "BIDSVersion": "1", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (other.fmriprep / "dataset_description.json").write_text(json.dumps(description))
    for task in "ab":
        other.bold(sub="01", task=task)
    plan = plan_study(xcpd.root)
    assert [path.name for path in plan.derivatives] == ["fmriprep"]
    assert plan.found.endswith(
        f"; not used: {xcpd.fmriprep} (--derivatives {xcpd.fmriprep} takes it instead)"
    )
    plan = plan_study(xcpd.root, derivatives=[str(xcpd.fmriprep)])
    assert {run.band for run in plan.runs} == {Band(0.01, 0.08, 2)}


def test_nothing_is_regressed_out_twice(xcpd):
    whole(xcpd)
    plan = plan_study(xcpd.root, confounds="36P")
    cleaning = effective_cleaning(Cleaning(confounds="36P"), plan.runs)
    assert (cleaning.confounds, cleaning.high_pass) == ("none", Band(0.01, 0.08, 2))
    asked = effective_cleaning(Cleaning(high_pass=100.0), plan.runs)
    assert asked.high_pass == Band(0.01, 0.08, 2, cutoff=100.0)
    assert effective_cleaning(Cleaning(), []) == Cleaning()


@pytest.mark.parametrize(
    ("filters", "band"),
    [
        (BANDPASS, Band(0.01, 0.08, 2)),
        ({"High-pass filter": {"cutoff (Hz)": 0.01, "Filter order": 2}}, Band(0.01, 0, 2)),
        ({"Low-pass filter": {"cutoff (Hz)": 0.1, "Filter order": 4}}, Band(0, 0.1, 4)),
        ({"High-pass cutoff (Hz)": 0.008, "Low-pass cutoff (Hz)": 0.09}, Band(0.008, 0.09, 2)),
        (None, Band()),
        ("n/a", Band()),
    ],
)
def test_bands_as_xcpd_writes_them(filters, band):
    assert read_band(filters) == band


@pytest.mark.parametrize(
    "filters",
    [
        {"Bandpass filter": "yes"},
        {"Bandpass filter": {"Low-pass cutoff (Hz)": "0.08"}},
        ["bandpass"],
        "Butterworth",
        {"Low-pass cutoff (Hz)": -1},
        {"High-pass cutoff (Hz)": True},
        {"High-pass cutoff (Hz)": 0.01, "Low-pass cutoff (Hz)": "0.08 Hz"},
        {"High-pass cutoff (Hz)": 0.01, "Low-pass cutoff (Hz)": float("nan")},
        {"High-pass cutoff (Hz)": 0.01, "Filter order": "2"},
    ],
)
def test_a_filter_that_is_not_understood_is_refused(xcpd, filters):
    rename(xcpd_again(xcpd), filters=filters)
    with pytest.raises(BadDataError, match="filter of a denoised series is not understood"):
        plan_study(xcpd.root)


def xcpd_again(tree):
    for path in sorted(tree.fmriprep.rglob("*desc-denoised*")):
        path.rename(path.with_name(path.name.replace("_desc-denoised", "")))
    target = tree.root / "derivatives" / "again"
    tree.fmriprep.rename(target)
    tree.fmriprep = target
    return tree


@pytest.mark.parametrize("ends", [(0.08, 0.01), (10, 80), (100, 12.5), (0.3, 0)])
def test_a_band_that_cannot_be_is_refused_by_the_plan(xcpd, ends):
    whole(xcpd)
    low, high = ends
    filters = {"High-pass cutoff (Hz)": low} | ({"Low-pass cutoff (Hz)": high} if high else {})
    for path in xcpd.fmriprep.rglob("*task-a*_bold.json"):
        content = json.loads(path.read_text()) | {"SoftwareFilters": filters}
        path.write_text(json.dumps(content))
    told = [run.reason for run in plan_study(xcpd.root, missing="use").skipped]
    assert len(told) == 2
    assert all("a band that their sampling cannot hold" in text for text in told)


def test_runs_of_different_filters_are_not_mixed(xcpd):
    whole(xcpd)
    (path, *_) = xcpd.fmriprep.glob("sub-02/func/*task-b_hemi-L*.json")
    for path in xcpd.fmriprep.glob("sub-02/func/*task-b_hemi-*.json"):
        content = json.loads(path.read_text()) | {"SoftwareFilters": None}
        path.write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match="filtered differently") as error:
        plan_study(xcpd.root)
    assert "sub-02_task-b" in str(error.value)
    assert plan_study(xcpd.root, exclude_runs=("sub-02_task-b",), missing="use").runs


def test_the_smoothed_series_is_for_those_who_ask(xcpd):
    whole(xcpd)
    for path in sorted(xcpd.fmriprep.rglob("*desc-denoised_bold.*")):
        shutil.copy(path, path.with_name(path.name.replace("denoised_", "denoisedSmoothed_")))
    plan = plan_study(xcpd.root)
    assert all("desc-denoised_" in run.bold_left.name for run in plan.runs)
    asked = {"bids_filters": {"bold": {"desc": "denoisedSmoothed"}}}
    with pytest.raises(BadDataError, match="smoothed before: give --smoothing 0"):
        plan_study(xcpd.root, **asked)
    plan = plan_study(xcpd.root, smoothing=0.0, **asked)
    assert all("desc-denoisedSmoothed" in run.bold_left.name for run in plan.runs)


GONE = (3, 4, 8)


def test_censored_volumes_are_placed_by_the_table(xcpd):
    whole(xcpd)
    censor(xcpd, GONE)
    run = next(r for r in plan_study(xcpd.root).runs if r.label == "sub-01_task-a")
    assert (run.n_volumes, run.censored) == (12, GONE)
    assert "3 of 12 volumes were censored" in " ".join(run.warnings)


def test_the_column_that_fits_is_what_censored(xcpd):
    whole(xcpd)
    censor(xcpd, GONE)
    outliers(xcpd, {"framewise_displacement": (3, 4), "interpolation": GONE, "x": ()})
    run = next(r for r in plan_study(xcpd.root).runs if r.label == "sub-01_task-a")
    assert run.censored == GONE


@pytest.mark.parametrize(
    ("columns", "n"),
    [
        ({"a": (3, 4, 8), "b": (3, 4, 9)}, 12),  # either may be meant
        ({"a": (3, 4)}, 12),
        ({"a": (3, 4, 8)}, 11),
        ({"a": ()}, 12),
    ],
)
def test_what_cannot_be_placed_is_refused(xcpd, columns, n):
    whole(xcpd)
    censor(xcpd, GONE)
    outliers(xcpd, columns, n=n)
    plan = plan_study(xcpd.root, missing="use")
    (skipped,) = [run for run in plan.skipped if run.problem]
    assert skipped.label == "sub-01_task-a"
    assert "the music cannot be placed" in skipped.reason


def test_too_little_is_left(xcpd):
    whole(xcpd)
    censor(xcpd, tuple(range(1, 8)))
    plan = plan_study(xcpd.root, missing="use")
    assert "too little is left" in next(run.reason for run in plan.skipped if run.problem)


def test_responses_of_censored_series_have_their_times(xcpd, monkeypatch):
    """The value of every volume is its number: what is cut out is what was recorded then."""
    whole(xcpd)
    censor(xcpd, GONE)
    plan = plan_study(xcpd.root)
    run = next(r for r in plan.runs if r.label == "sub-01_task-a")
    cleaning = effective_cleaning(Cleaning(smoothing=0.0), plan.runs)
    (block,) = prepare_responses([run], cleaning, random_seed=0).blocks
    # Volume k is sampled at 1 + 2 k s and hears second 1 + 2 k - 4.
    heard = [k for k in range(12) if 4 <= 1 + 2 * k <= 20 and k not in GONE]
    np.testing.assert_allclose(block.times, [2 * k - 3 for k in heard])
    assert block.filter.shape == (len(heard), 12)
    inside = np.isfinite(block.values[0])
    assert inside.any()
    column = block.values[:, np.flatnonzero(inside)[0]]
    np.testing.assert_allclose(np.diff(column), np.diff(heard), atol=1e-4)


def test_without_confounds_the_remedy_is_named(tree):
    tree.simple(participants=("01",), confounds=False)
    with pytest.raises(BadDataError, match="--confounds none"):
        plan_study(tree.root)
    assert plan_study(tree.root, confounds="none").runs


def test_a_folder_of_another_program_is_still_not_taken(tree):
    tree.simple(participants=("01",))
    description = {"Name": "x", "BIDSVersion": "1", "GeneratedBy": [{"Name": "CONN"}]}
    (tree.fmriprep / "dataset_description.json").write_text(json.dumps(description))
    with pytest.raises(MissingInputError):
        plan_study(tree.root)
    assert gifti_bytes(2, 5, "L", 1.0)
