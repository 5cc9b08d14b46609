"""Atlas files."""

import nibabel as nib
import numpy as np
import pytest

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.surface.atlas import BOTH, atlas_files, installed_networks, read_atlas, read_networks


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
        path.write_text("<GIFTI/>")
    assert atlas_files(",".join(map(str, paths)))[0] == "Desikan2006aparc"


def write_labels(folder, names, index=(0, 1, 2, 3, 3, -1)):
    """Annotations whose vertices have these places in the table of names, LH or RH in them."""
    paths = []
    for side in ("lh", "rh"):
        own = [name.replace("?", side[0].upper()).encode() for name in names]
        colors = np.array([[k, 3 * k, 7, 0, 0] for k in range(1, 1 + len(own))])
        paths.append(folder / f"{side}.own.annot")
        nib.freesurfer.write_annot(paths[-1], np.array(index), colors, own, fill_ctab=True)
    return f"nets={paths[0]},{paths[1]}"


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["NONAME0", "7Networks_7", "7Networks_1", "7Networks_2"], (3, 1, 2, 2)),
        (
            [
                "Unknown",
                "7Networks_?H_Default_PFC_1",
                "7Networks_?H_Vis_3",
                "7Networks_?H_SomMot_1",
            ],
            (3, 1, 2, 2),
        ),
    ],
)
def test_networks_of_yeo_and_schaefer_have_names_over_both_hemispheres(tmp_path, names, wanted):
    atlas = read_networks(write_labels(tmp_path, names), 12)
    assert list(atlas.names.values()) == ["Visual", "Somatomotor", "Default mode"]
    assert atlas.regions.tolist() == [0, *wanted, 0] * 2
    assert set(atlas.hemispheres.values()) == {BOTH}


def test_other_networks_are_named_without_their_hemisphere(tmp_path):
    atlas = read_networks(write_labels(tmp_path, ["unknown", "?H_one", "?H_two", "?H_one_b"]), 12)
    assert list(atlas.names.values()) == ["one", "two", "one_b"]
    assert atlas.regions.tolist() == [0, 1, 2, 3, 3, 0] * 2


def test_installed_networks_are_those_of_fsaverage5(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    assert installed_networks("fsaverage5") == ()
    (tmp_path / "networks").mkdir()
    for side in ("lh", "rh"):
        (tmp_path / "networks" / f"{side}.Yeo2011_7Networks_N1000.annot").write_text("x")
    assert installed_networks("fsaverage6") == ()
    label, files = atlas_files(installed_networks("fsaverage5")[0])
    assert label == "Yeo7"
    assert all(path.is_file() for path in files)
