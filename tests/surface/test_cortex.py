"""Cortex masks from the files people have."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from real_data import DATA

from bids_app.cli.parser import parse_config
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.surface.cortex import read_cortex_mask

LEFT = np.array([0, 1, 1, 0, 1, 1])
RIGHT = np.array([1, 1, 0, 0, 1, 1])


def gifti(path: Path, values, structure: str, labels=()) -> Path:
    intent = "NIFTI_INTENT_LABEL" if labels else "NIFTI_INTENT_SHAPE"
    kind = "int32" if labels else "float32"
    array = nib.gifti.GiftiDataArray(np.asarray(values, dtype=kind), intent=intent)
    table = nib.gifti.GiftiLabelTable()
    for key, name in labels:
        label = nib.gifti.GiftiLabel(key)
        label.label = name
        table.labels.append(label)
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table, meta=meta), path)
    return path


def test_shape_files_and_tables_say_the_same(tmp_path):
    left = gifti(tmp_path / "l.shape.gii", LEFT, "CortexLeft")
    right = tmp_path / "right.csv"
    right.write_text("\n".join(map(str, RIGHT)) + "\n")
    both = tmp_path / "both.txt"
    both.write_text("\n".join(map(str, [*LEFT, *RIGHT])))
    expected = np.concatenate([LEFT, RIGHT]).astype(bool)
    np.testing.assert_array_equal(read_cortex_mask([left, right], 12), expected)
    np.testing.assert_array_equal(read_cortex_mask([both], 12), expected)


def test_values_that_are_not_finite_are_no_cortex(tmp_path):
    path = gifti(tmp_path / "x.shape.gii", [np.nan, 2, 0, 1], "CortexLeft")
    assert read_cortex_mask([path], 4).tolist() == [False, True, False, True]


def test_labels_of_the_wall_are_no_cortex(tmp_path):
    labels = [(0, "???"), (1, "V1"), (5, "Medial_wall"), (7, "Unknown"), (9, "A1")]
    path = gifti(tmp_path / "x.label.gii", [0, 1, 5, 7, 9, 1], "CortexLeft", labels)
    assert read_cortex_mask([path], 6).tolist() == [False, True, False, False, True, True]


def test_wrong_files_are_refused(tmp_path):
    left = gifti(tmp_path / "l.shape.gii", LEFT, "CortexLeft")
    right = gifti(tmp_path / "r.shape.gii", RIGHT, "CortexRight")
    empty = gifti(tmp_path / "e.shape.gii", 0 * LEFT, "CortexLeft")
    (tmp_path / "words.csv").write_text("a\nb\n")
    with pytest.raises(BadDataError, match="other hemisphere"):
        read_cortex_mask([right, left], 12)
    with pytest.raises(BadDataError, match="another mesh"):
        read_cortex_mask([left, right], 20)
    with pytest.raises(BadDataError, match="no vertex"):
        read_cortex_mask([empty, right], 12)
    with pytest.raises(BadDataError, match="cannot be read"):
        read_cortex_mask([tmp_path / "words.csv"], 12)
    with pytest.raises(MissingInputError, match="not there"):
        read_cortex_mask([tmp_path / "no.csv"], 12)
    with pytest.raises(UsageError, match="one or two"):
        read_cortex_mask([left] * 3, 12)


def test_the_masks_of_fsaverage5():
    files = [DATA / "surfaces" / f"fsa5_{side}h_mask.csv" for side in "lr"]
    if not files[0].is_file():
        pytest.skip(f"no test data in {DATA}")
    mask = read_cortex_mask(files, 20484)
    assert 18000 < mask.sum() < 19500


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [
        (
            "neuromaps",
            "NEUROMAPS_DATA",
            "atlases/fsaverage/tpl-fsaverage_den-41k_hemi-{}_desc-nomedialwall_dparc.label.gii",
        ),
        (
            "templateflow",
            "TEMPLATEFLOW_HOME",
            "tpl-fsaverage/tpl-fsaverage_hemi-{}_den-41k_atlas-Desikan2006_seg-aparc_dseg.label.gii",
        ),
    ],
)
def test_a_named_mask_on_the_mesh_of_the_command_line(tmp_path, monkeypatch, name, variable, file):
    monkeypatch.setenv(variable, str(tmp_path))
    options = ["/data", "/out", "participant", "--space", "fsaverage6", "--cortex-mask", name]
    responses = parse_config(options).cleaning
    with pytest.raises(MissingInputError, match="musenc prefetch cortex parcels"):
        read_cortex_mask(responses.cortex_mask, 4)
    for hemi, structure, keys in (("L", "CortexLeft", [0, 1]), ("R", "CortexRight", [1, 1])):
        path = tmp_path / file.format(hemi)
        path.parent.mkdir(parents=True, exist_ok=True)
        gifti(path, keys, structure)
    found = read_cortex_mask(responses.cortex_mask, 4)
    assert found.tolist() == [False, True, True, True]
