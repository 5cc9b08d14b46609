"""GIFTI in and out."""

import nibabel as nib
import numpy as np
import pytest

from bids_app.errors import BadDataError, MissingInputError
from bids_app.surface.gifti import read_gifti, read_named, write_gifti


def test_round_trip_keeps_values_names_and_structure(tmp_path):
    data = np.random.default_rng(0).standard_normal((3, 12)).astype(np.float32)
    data[1, 4] = np.nan
    path = write_gifti(tmp_path / "a.func.gii", data, hemi="R", names=["x", "y", "z"])
    np.testing.assert_array_equal(read_gifti(path), data)
    image = nib.load(path)
    assert image.meta["AnatomicalStructurePrimary"] == "CortexRight"
    assert [a.meta["Name"] for a in image.darrays] == ["x", "y", "z"]
    assert all(a.data.dtype == np.float32 for a in image.darrays)


def test_time_series_say_their_repetition_time(tmp_path):
    path = write_gifti(tmp_path / "a.func.gii", np.ones((2, 5)), hemi="L", names=["a", "b"], tr=1.5)
    image = nib.load(path)
    assert float(image.meta["TimeStep"]) == 1500
    assert image.darrays[0].intent == nib.nifti1.intent_codes["NIFTI_INTENT_TIME_SERIES"]


def test_same_data_give_the_same_bytes(tmp_path):
    data = np.ones((2, 5))
    one, two = (
        write_gifti(tmp_path / folder / "sub-1_hemi-L.func.gii", data, hemi="L", names=["a", "b"])
        for folder in ("one", "two")
    )
    assert one.read_bytes() == two.read_bytes()


def test_a_file_says_whose_it_is_and_which(tmp_path):
    path = tmp_path / "sub-01_hemi-R_stat-r_statmap.func.gii"
    write_gifti(path, np.ones((2, 5)), hemi="R", names=["a", "b"])
    read = read_named(path)
    assert read.names == ["a", "b"]
    assert read.meta == {
        "AnatomicalStructurePrimary": "CortexRight",
        "Title": "sub-01_hemi-R_stat-r_statmap",
        "SubjectID": "sub-01",
    }


@pytest.mark.parametrize(
    ("stat", "intent"),
    [
        ("r", "correlation"),
        ("isc", "correlation"),
        ("p", "p value"),
        ("z", "z score"),
        ("t", "t test"),
        ("q", "none"),
        ("slope", "none"),
    ],
)
def test_the_intent_is_that_of_the_statistic(tmp_path, stat, intent):
    path = tmp_path / f"tpl-fsaverage_hemi-L_stat-{stat}_statmap.func.gii"
    write_gifti(path, np.ones((2, 5)), hemi="L", names=["a", "b"])
    labels = {nib.nifti1.intent_codes.label[one.intent] for one in nib.load(path).darrays}
    assert labels == {intent}


def test_one_array_of_two_dimensions_is_read_as_time_by_vertex(tmp_path):
    data = np.arange(12, dtype=np.float32).reshape(4, 3)  # vertices by times
    image = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(data)])
    nib.save(image, tmp_path / "a.func.gii")
    assert read_gifti(tmp_path / "a.func.gii").shape == (3, 4)


@pytest.mark.parametrize("content", [b"", b"<GIFTI", b"\x00\x01garbage", b"<html></html>"])
def test_bad_files_are_named(tmp_path, content):
    path = tmp_path / "bad.func.gii"
    path.write_bytes(content)
    with pytest.raises(BadDataError, match=r"bad\.func\.gii"):
        read_gifti(path)


def test_truncated_and_empty_files_are_named(tmp_path):
    path = write_gifti(tmp_path / "a.func.gii", np.ones((2, 500)), hemi="L", names=["a", "b"])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadDataError, match=r"a\.func\.gii"):
        read_gifti(path)
    nib.save(nib.gifti.GiftiImage(), tmp_path / "none.func.gii")
    with pytest.raises(BadDataError, match="no data"):
        read_gifti(tmp_path / "none.func.gii")
    with pytest.raises(MissingInputError, match=r"absent\.func\.gii"):
        read_gifti(tmp_path / "absent.func.gii")
