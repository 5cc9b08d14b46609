"""Parcellated series in the plan: found, chosen by atlas, and what is needed beside them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from planning import plan_study
from written_group import write_atlas

from bids_app.analyses.participant.responses import prepare_responses
from bids_app.bands import Band
from bids_app.config import Cleaning
from bids_app.errors import BadDataError, InvalidInputError
from bids_app.inputs.denoised import effective_cleaning

FILTERS = {"Bandpass filter": {"High-pass cutoff (Hz)": 0.01, "Low-pass cutoff (Hz)": 0.1}}
NAMES = ["L_back", "L_middle", "L_front", "R_back", "R_middle", "R_front"]


@pytest.fixture
def regions(tree):
    """XCP-D's folder with tables of regions, the sidecars of the denoised series, and no series."""
    tree.simple(participants=("01", "02"), confounds=False)
    description = {"Name": "XCP-D", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": "xcp_d"}]
    (tree.fmriprep / "dataset_description.json").write_text(json.dumps(description))
    for path in sorted(tree.fmriprep.rglob("*_bold.func.gii")):
        path.unlink()
    for path in sorted(tree.fmriprep.rglob("*hemi-L*_bold.json")):
        stem = path.name.split("_hemi-")[0]
        content = json.loads(path.read_text()) | {"SoftwareFilters": FILTERS}
        path.unlink()
        (path.parent / f"{stem}_space-fsLR_den-91k_desc-denoised_bold.json").write_text(
            json.dumps(content)
        )
        (path.parent / f"{stem}_outliers.tsv").write_text("fd\n" + "0\n" * 12)
        for atlas in ("Three", "Other"):
            rows = [[str(100 * c + k) for c in range(len(NAMES))] for k in range(12)]
            name = f"{stem}_space-fsLR_seg-{atlas}_stat-mean_timeseries.tsv"
            text = "\n".join("\t".join(row) for row in [NAMES, *rows]) + "\n"
            (path.parent / name).write_text(text)
            coverage = name.replace("stat-mean_timeseries", "stat-coverage_bold")
            (path.parent / coverage).write_text(text)
    for path in sorted(tree.fmriprep.rglob("*hemi-R*_bold.json")):
        path.unlink()
    return tree


@pytest.fixture
def atlas(tmp_path):
    folder = tmp_path / "atlas"
    folder.mkdir()
    return f"Three={write_atlas(folder)}"


def test_an_atlas_is_chosen_by_its_label(regions, atlas):
    with pytest.raises(InvalidInputError, match="--parcels ATLAS"):
        plan_study(regions.root)
    plan = plan_study(regions.root, parcels=atlas)
    assert {run.kind for run in plan.runs} == {"parcels"}
    assert all("seg-Three" in run.bold_left.name for run in plan.runs)
    run = plan.runs[0]
    assert (run.band, run.tr, run.n_volumes) == (Band(0.01, 0.1, 2), 2.0, 12)
    assert run.space == "regions of Three"
    cleaning = effective_cleaning(Cleaning(parcels=atlas), plan.runs)
    assert (cleaning.smoothing, cleaning.confounds, cleaning.parcels) == (0.0, "none", atlas)


def test_the_only_atlas_needs_no_choice(regions):
    for path in sorted(regions.fmriprep.rglob("*seg-Other*")):
        path.unlink()
    plan = plan_study(regions.root)
    assert {run.parcels for run in plan.runs} == {"Three"}


def test_vertices_come_before_regions(regions):
    for task in "ab":
        regions.bold(sub="01", task=task, confounds=False)
        for path in regions.fmriprep.glob(f"sub-01/func/*task-{task}_hemi-*"):
            path.rename(path.with_name(path.name.replace("_bold", "_desc-denoised_bold")))
        for path in regions.fmriprep.glob(f"sub-01/func/*task-{task}_hemi-*.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"SoftwareFilters": FILTERS}))
    shutil.rmtree(regions.fmriprep / "sub-02")
    assert {run.kind for run in plan_study(regions.root).runs} == {"gifti"}
    assert {run.kind for run in plan_study(regions.root, parcels="Three").runs} == {"parcels"}


def test_an_unknown_filter_is_refused(regions, atlas):
    for path in regions.fmriprep.rglob("*_desc-denoised_bold.json"):
        path.unlink()
    with pytest.raises(BadDataError, match="not understood"):
        plan_study(regions.root, parcels=atlas, repetition_time=2.0)


def test_responses_are_those_of_the_region(regions, atlas):
    plan = plan_study(regions.root, parcels=atlas)
    cleaning = effective_cleaning(Cleaning(parcels=atlas), plan.runs)
    (block,) = prepare_responses([plan.runs[0]], cleaning, random_seed=0).blocks
    values = block.values
    inside = np.isfinite(values[0])
    assert 0.8 < inside.mean() < 1
    np.testing.assert_allclose(np.diff(values[:, inside], axis=0), 1, atol=1e-4)


def test_regions_of_fmriprep_are_cleaned(tree, atlas):
    """Without a filter in any sidecar the confounds are regressed out as of any series."""
    tree.simple(participants=("01",))
    for path in sorted(tree.fmriprep.rglob("*_bold.func.gii")):
        path.unlink()
    for path in sorted(tree.fmriprep.rglob("*hemi-L*_bold.json")):
        stem = path.name.split("_hemi-")[0]
        rows = [[str(c + k % 3) for c in range(len(NAMES))] for k in range(12)]
        table = path.parent / f"{stem}_atlas-Three_timeseries.tsv"
        table.write_text("\n".join("\t".join(row) for row in [NAMES, *rows]) + "\n")
        table.with_suffix(".json").write_text(path.read_text())
        path.unlink()
    plan = plan_study(tree.root, parcels=atlas)
    assert {run.band for run in plan.runs} == {None}
    assert all(run.confounds_file is not None for run in plan.runs)


@pytest.mark.parametrize("cell", ["x", "0,5"])
def test_text_in_a_series_ends_its_run(regions, atlas, cell):
    (path,) = regions.fmriprep.glob("sub-01/func/*task-a*seg-Three*timeseries.tsv")
    lines = path.read_text().splitlines()
    lines[4] = "\t".join([cell, *lines[4].split("\t")[1:]])
    path.write_text("\n".join(lines) + "\n")
    (run,) = plan_study(regions.root, parcels=atlas, missing="use").skipped
    assert run.label == "sub-01_task-a"
    assert "text in L_back" in run.reason
