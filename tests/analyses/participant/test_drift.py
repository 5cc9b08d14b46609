"""Slow drift is taken out once: by the program's filter, or by fMRIPrep's cosines."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from planning import plan_study

from bids_app.analyses.participant.responses import clean, read_run
from bids_app.config import Cleaning
from bids_app.report.methods import _responses_paragraph
from bids_app.surface.mesh import load_mesh

N_VOLUMES = 60


@pytest.fixture
def run(tmp_path):
    """A run that drifts as fMRIPrep's first cosine says."""
    from input_trees import Tree

    tree = Tree(tmp_path / "study").simple(participants=("01",), n_volumes=N_VOLUMES)
    drift = np.cos(np.pi * (np.arange(N_VOLUMES) + 0.5) / N_VOLUMES)
    rng = np.random.default_rng(0)
    for path in tree.fmriprep.glob("sub-01/func/*task-a*.func.gii"):
        image = nib.load(path)
        for volume, array in enumerate(image.darrays):
            array.data = (rng.normal(size=len(array.data)) + 20 * drift[volume]).astype("f4")
        nib.save(image, path)
    table = next(tree.fmriprep.glob("sub-01/func/*task-a*.tsv"))
    header, *rows = table.read_text().splitlines()
    rows = [f"{row}\t{value:.6f}" for row, value in zip(rows, drift, strict=True)]
    table.write_text("\n".join([f"{header}\tcosine00", *rows]) + "\n")
    return plan_study(tree.root).runs[0], drift


@pytest.mark.parametrize(
    ("strategy", "high_pass", "removed"),
    [
        ("minimal", 128.0, True),
        ("minimal", 0.0, True),
        ("motion6", 128.0, True),
        ("motion6", 0.0, False),
    ],
)
def test_drift(run, strategy, high_pass, removed):
    files, drift = run
    cleaning = Cleaning(
        confounds=strategy, high_pass=high_pass, smoothing=0.0, cortex_mask="signal"
    )
    data = read_run(files, cleaning, load_mesh("fsaverage5"))
    assert ("cosine00" in data.confounds.names) == (strategy == "minimal" and high_pass == 0)
    assert bool(data.drift.shape[1]) == (high_pass > 0)
    values = clean(data).values
    left = np.abs(np.nanmean(values * drift[:, None], axis=0)).max()
    assert (left < 1e-3) == removed


@pytest.mark.parametrize(("cutoff", "words"), [(128.0, "cutoff of 128 s"), (0.0, ", were removed")])
def test_the_methods_speak_of_a_filter_where_there_was_one(cutoff, words):
    text = _responses_paragraph({"confounds": "minimal", "high_pass": cutoff, "smoothing": 6.0})
    assert words in text
    assert ("discrete cosine" in text) == (cutoff > 0)
