"""Atlas files."""

import nibabel as nib
import numpy as np
import pytest

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.surface.atlas import atlas_files, read_atlas


@pytest.fixture
def annotations(tmp_path):
    """Unknown, two regions and vertices without any, per hemisphere."""
    colors = np.array([[25, 5, 25, 0, 0], [25, 100, 40, 0, 0], [125, 100, 160, 0, 0]])
    for side in ("lh", "rh"):
        index = np.array([0, 1, 1, 2, -1, 2])
        names = [b"unknown", b"bankssts", b"insula"]
        nib.freesurfer.write_annot(
            tmp_path / f"{side}.aparc.annot", index, colors, names, fill_ctab=True
        )
    return f"{tmp_path}/lh.aparc.annot,{tmp_path}/rh.aparc.annot"


def test_a_name_in_both_hemispheres_is_two_regions(annotations):
    atlas = read_atlas(annotations, 12)
    assert atlas.label == "aparc"
    assert atlas.regions.tolist() == [0, 1, 1, 2, 0, 2, 0, 3, 3, 4, 0, 4]
    assert atlas.names == {1: "bankssts", 2: "insula", 3: "bankssts", 4: "insula"}
    assert "".join(atlas.hemispheres[k] for k in (1, 2, 3, 4)) == "LLRR"
    assert read_atlas(f"my one={annotations}", 12).label == "myone"


def test_what_is_wrong_with_an_atlas_is_said(annotations, tmp_path):
    with pytest.raises(BadDataError, match="another mesh"):
        read_atlas(annotations, 20484)
    with pytest.raises(UsageError, match="one file per hemisphere"):
        atlas_files("left.annot")
    with pytest.raises(MissingInputError, match="not there"):
        atlas_files("left.annot,right.annot")
    (tmp_path / "rh.aparc.annot").write_bytes(b"x")
    with pytest.raises(BadDataError, match="cannot be read"):
        read_atlas(annotations, 12)


def test_entities_name_an_atlas(tmp_path):
    paths = [
        tmp_path / f"tpl-fsaverage_hemi-{h}_atlas-Desikan2006_seg-aparc.label.gii" for h in "LR"
    ]
    for path in paths:
        path.touch()
    assert atlas_files(",".join(map(str, paths)))[0] == "Desikan2006aparc"
