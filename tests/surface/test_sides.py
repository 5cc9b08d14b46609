"""Files of LEFT,RIGHT: what says the hemisphere, and where it is read."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_app.analyses.group.alignment import load_gradient
from bids_app.errors import BadDataError
from bids_app.surface.atlas import read_atlas
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.sides import check_sides, side_of_name

N = 10242


def gifti(path: Path, structure: str = "") -> Path:
    """A map that says no hemisphere unless it is given."""
    values = np.arange(N, dtype=np.float32) + 1
    image = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(values)])
    if structure:
        image.meta["AnatomicalStructurePrimary"] = structure
    nib.save(image, path)
    return path


def annotation(path: Path) -> Path:
    colors = np.array([[10, 10, 10, 0, 1], [20, 20, 20, 0, 2]])
    nib.freesurfer.write_annot(path, np.arange(N) % 2, colors, ["a", "b"], fill_ctab=True)
    return path


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lh.g.func.gii", "L"),
        ("RH.aparc.annot", "R"),
        ("tpl-fsaverage_hemi-R_den-10k_desc-x.func.gii", "R"),
        ("S1200.L.thickness.shape.gii", "L"),
        ("gradient_Right.func.gii", "R"),
        ("stat-r_map.func.gii", None),
        ("lh_to_rh.annot", None),
        ("leftover.func.gii", None),
        ("bright.func.gii", None),
    ],
)
def test_side_of_name(name, side):
    assert side_of_name(name) == side


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("rh.g.func.gii", "lh.g.func.gii"),
        ("x_hemi-R.func.gii", "x_hemi-L.func.gii"),
        ("first.func.gii", "g.L.func.gii"),  # one name alone says it
    ],
)
def test_names_of_the_other_hemisphere_are_refused(tmp_path, left, right):
    files = [gifti(tmp_path / left), gifti(tmp_path / right)]
    with pytest.raises(BadDataError, match="exchanged") as caught:
        check_sides(files, "--gradient")
    assert right in caught.value.found
    check_sides(files[::-1], "--gradient")


def test_what_a_file_says_counts_before_its_name(tmp_path):
    left = gifti(tmp_path / "made_from_rh.func.gii", "CortexLeft")
    right = gifti(tmp_path / "lh.made.func.gii", "CortexRight")
    check_sides([left, right], "--gradient")
    with pytest.raises(BadDataError, match="exchanged") as caught:
        check_sides([right, left], "--gradient")
    assert caught.value.found == "CortexRight, CortexLeft"


def test_the_side_in_an_arrays_metadata_counts(tmp_path):
    files = []
    for name, structure in (("a", "CortexLeft"), ("b", "CortexRight")):
        path = gifti(tmp_path / f"{name}.func.gii")
        image = nib.load(path)
        image.darrays[0].meta["AnatomicalStructurePrimary"] = structure
        nib.save(image, path)
        files.append(path)
    check_sides(files, "--gradient")
    with pytest.raises(BadDataError, match="exchanged"):
        check_sides(files[::-1], "--gradient")


def test_one_file_for_both_is_refused(tmp_path):
    path = gifti(tmp_path / "both.func.gii")
    with pytest.raises(BadDataError, match="same file"):
        check_sides([path, tmp_path / "." / "both.func.gii"], "--gradient")
    check_sides([path, gifti(tmp_path / "equal.func.gii")], "--gradient")


def test_every_option_that_takes_a_pair_tells_exchanged_hemispheres(tmp_path):
    left, right = (gifti(tmp_path / f"g.{side}.func.gii") for side in "LR")
    labels = [annotation(tmp_path / f"{side}.own.annot") for side in ("lh", "rh")]
    lines = [tmp_path / f"wall_{side}.txt" for side in ("left", "right")]
    for path in lines:
        path.write_text("1\n" * N)
    pairs = (
        (lambda pair: load_gradient(",".join(map(str, pair)), "fsaverage5"), [left, right]),
        (lambda pair: read_atlas(",".join(map(str, pair)), 2 * N), labels),
        (lambda pair: read_cortex_mask(pair, 2 * N), lines),
    )
    for read, pair in pairs:
        read(pair)
        with pytest.raises(BadDataError, match="exchanged"):
            read(pair[::-1])
