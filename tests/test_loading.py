"""Files of arrays that lead elsewhere, unpack to too much or announce too much."""

from __future__ import annotations

import base64
import gzip
import struct
import zipfile
import zlib

import h5py
import nibabel as nib
import numpy as np
import pytest

from bids_app import loading
from bids_app.errors import MusencError
from bids_app.features.precomputed import load_precomputed, precomputed_layers
from bids_app.inputs.files import read_gifti_header
from bids_app.inputs.seeds import check_mask, read_volume_seed
from bids_app.recognition.clip_folders import read_clip_folder
from bids_app.surface.gifti import read_gifti, read_surface, write_gifti
from bids_app.surface.project import read_cifti

ARRAY = (
    '<DataArray Intent="NIFTI_INTENT_NONE" DataType="NIFTI_TYPE_FLOAT32" '
    'ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="{n}" Encoding="{encoding}" '
    'Endian="LittleEndian" ExternalFileName="{file}" ExternalFileOffset="0">'
    "<MetaData/><Data>{data}</Data></DataArray>"
)


def gifti(path, *arrays, before="", n=None):
    body = before + "".join(arrays)
    path.write_text(
        f'<?xml version="1.0"?><GIFTI Version="1.0" NumberOfDataArrays="{n or len(arrays)}">'
        f"<MetaData/>{body}</GIFTI>"
    )
    return path


def zeros(n_bytes):
    """That many zeros, packed, without ever holding them."""
    packer, parts = zlib.compressobj(9), []
    for _ in range(n_bytes >> 20):
        parts.append(packer.compress(bytes(1 << 20)))
    return base64.b64encode(b"".join([*parts, packer.flush()])).decode()


@pytest.fixture(scope="module")
def bomb():
    return zeros(1 << 29)


def surface(path, points=3, **spoiled):
    values = {"NIFTI_INTENT_POINTSET": np.eye(3, dtype="f4"), "NIFTI_INTENT_TRIANGLE": [[0, 1, 2]]}
    arrays = [
        nib.gifti.GiftiDataArray(np.asarray(v, dtype="f4" if "P" in k[13:] else "i4"), intent=k)
        for k, v in values.items()
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)
    for old, new in spoiled.items():
        path.write_text(path.read_text().replace(old, new))
    return path


def test_a_mesh_is_read(tmp_path):
    points, faces = read_surface(surface(tmp_path / "white.surf.gii"))
    np.testing.assert_array_equal(points, np.eye(3))
    np.testing.assert_array_equal(faces, [[0, 1, 2]])


@pytest.mark.parametrize("read", [read_gifti, read_surface])
def test_data_in_another_file_are_refused(tmp_path, read):
    secret = tmp_path / "secret"
    np.arange(4, dtype="f4").tofile(secret)
    array = ARRAY.format(n=4, encoding="ExternalFileBinary", file=secret, data="")
    points = array.replace("INTENT_NONE", "INTENT_POINTSET")
    triangles = array.replace("INTENT_NONE", "INTENT_TRIANGLE")
    path = gifti(tmp_path / "x.surf.gii", points, triangles)
    with pytest.raises(MusencError, match="another file"):
        read(path)


@pytest.mark.parametrize("read", [read_gifti, read_surface])
def test_a_surface_that_unpacks_to_half_a_gigabyte_is_refused(tmp_path, read, bomb):
    array = ARRAY.format(n=1 << 27, encoding="GZipBase64Binary", file="", data=bomb)
    with pytest.raises(MusencError, match="unpack to"):
        read(gifti(tmp_path / "x.surf.gii", array))


def test_many_small_arrays_that_unpack_to_much_are_refused(tmp_path):
    one = ARRAY.format(n=1 << 20, encoding="GZipBase64Binary", file="", data=zeros(1 << 22))
    with pytest.raises(MusencError, match="unpack to"):
        read_gifti(gifti(tmp_path / "x.func.gii", *[one] * 100))


def test_zeros_of_a_whole_run_are_no_bomb(tmp_path):
    path = write_gifti(tmp_path / "x.func.gii", np.zeros((300, 10242)), hemi="L", names=["a"] * 300)
    assert read_gifti(path).shape == (300, 10242)


@pytest.mark.parametrize(
    "before",
    ["<!--" + "x" * (1 << 26) + "-->", "<MetaData>" + "<MD><Name>a</Name></MD>" * 3_000_000],
    ids=["one long comment", "much metadata"],
)
def test_metadata_without_end_are_refused_by_loader_and_header(tmp_path, before):
    array = ARRAY.format(n=1, encoding="ASCII", file="", data="1")
    path = gifti(tmp_path / "x.func.gii", array, before=before)
    with pytest.raises(MusencError, match="beside its data"):
        read_gifti(path)
    with pytest.raises(ValueError, match="before its data"):
        read_gifti_header(path)


def test_an_array_of_a_billion_axes_is_refused(tmp_path):
    array = ARRAY.format(n=1, encoding="ASCII", file="", data="1")
    path = gifti(tmp_path / "x.func.gii", array.replace('ity="1"', f'ity="{10**9}"'))
    with pytest.raises(MusencError, match="axes"):
        read_gifti(path)


def nifti_bomb(path, shape):
    header = nib.Nifti1Image(np.zeros((2, 2, 2), "f4"), np.eye(4)).header
    header.set_data_shape(shape)
    with gzip.open(path, "wb", 9) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(int(np.prod(shape)) * 4 >> 20):
            stream.write(bytes(1 << 20))
    return path


def test_volumes_that_unpack_to_much_are_refused(tmp_path):
    mask = nifti_bomb(tmp_path / "mask.nii.gz", (512, 512, 512))
    small = tmp_path / "small.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3, 2), "f4"), np.eye(4)), small)
    for use in (
        lambda: check_mask(mask),
        lambda: read_volume_seed(small, mask),
        lambda: read_volume_seed(mask, small),
        lambda: read_cifti(mask),
    ):
        with pytest.raises(MusencError, match="unpack to"):
            use()


def test_a_header_of_gigabytes_is_refused(tmp_path):
    head = bytearray(nib.Nifti1Image(np.zeros((2, 2, 2), "f4"), np.eye(4)).header.binaryblock)
    struct.pack_into("<f", head, 108, 2e9)
    path = tmp_path / "x.nii"
    path.write_bytes(bytes(head) + bytes([1, 0, 0, 0]) + struct.pack("<ii", 1 << 30, 0))
    with pytest.raises(ValueError, match="begin at byte"):
        loading.load_volume(path)


@pytest.mark.parametrize("name", ["x.mgz", "x.hdr", "x.mnc", "x.gii"])
def test_a_volume_is_nifti(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(400))
    with pytest.raises(ValueError, match="nii"):
        loading.load_volume(tmp_path / name)


def test_an_annotation_announces_no_table_of_gigabytes(tmp_path):
    path = tmp_path / "lh.x.annot"
    nib.freesurfer.write_annot(
        path, np.zeros(4, int), np.array([[1, 2, 3, 0, 0]]), ["a"], fill_ctab=True
    )
    assert loading.load_annotation(path)[2] == [b"a"]
    content = bytearray(path.read_bytes())
    at = 4 + 8 * 4 + 8
    content[at : at + 4] = (1 << 30).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="regions"):
        loading.load_annotation(path)


def hdf5_of(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def test_hdf5_leads_to_no_other_file(tmp_path):
    secret = hdf5_of(tmp_path / "secret.h5", time=np.arange(9.0), a=np.ones((9, 1)))
    path = hdf5_of(tmp_path / "all.h5", own=np.zeros(3))
    with h5py.File(path, "r+") as file:
        file["piece"] = h5py.ExternalLink(str(secret), "/")
        file["soft"] = h5py.SoftLink("/piece/a")
        file["same"] = h5py.SoftLink("/own")
        file["round"] = h5py.SoftLink("/round")
    with pytest.raises(MusencError, match="another file"):
        load_precomputed(path, "piece", np.arange(3.0), 1.0)
    with pytest.raises(MusencError, match="another file"):
        precomputed_layers(path, ["piece"])
    with loading.open_hdf5(path) as file:
        with pytest.raises(ValueError, match="another file"):
            loading.hdf5_array(file, "soft")
        with pytest.raises(ValueError, match="link"):
            loading.hdf5_array(file, "round")
        assert loading.hdf5_array(file, "same").size == 3


@pytest.mark.parametrize("values", [np.ones(3) * 1j, np.full(3, b"x"), np.zeros(3, [("a", "f4")])])
def test_hdf5_holds_real_numbers(tmp_path, values):
    with loading.open_hdf5(hdf5_of(tmp_path / "x.h5", a=values)) as file:
        with pytest.raises(TypeError, match="no real numbers"):
            loading.hdf5_array(file, "a")


def test_features_of_clips_are_read_with_the_same_care(tmp_path):
    secret = hdf5_of(tmp_path / "secret.hdf5", a=np.ones((9, 1)))
    path = tmp_path / "clip.h5"
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink(str(secret), "/a")
    path.with_suffix(".json").write_text(
        '{"FeatureSpace": "s", "Stimulus": "clip.wav", "Layers": {"a": {"Layer": 1}}}'
    )
    with pytest.raises(MusencError, match="another file"):
        read_clip_folder(tmp_path)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1 << 14, 1 << 12), "f8", compression="gzip", fillvalue=1.0)
    with pytest.raises(MusencError, match="unpack to"):
        read_clip_folder(tmp_path)


def test_archives_that_unpack_to_much_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.npy", "w") as stream:
            np.lib.format.write_array_header_1_0(
                stream, {"descr": "<f8", "fortran_order": False, "shape": (1 << 26,)}
            )
            for _ in range(1 << 9):
                stream.write(bytes(1 << 20))
    with pytest.raises(ValueError, match="unpack to"):
        loading.load_arrays(path)


def test_an_array_holds_what_it_announces(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    for mapped in (False, True):
        np.testing.assert_array_equal(
            loading.load_array(path, mapped=mapped), [[0, 1, 2], [3, 4, 5]]
        )
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="announces"):
        loading.load_array(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"announces|allow_pickle"):
        loading.load_array(path)


def test_numbers_of_a_text_keep_their_axes(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a\tb\n1\t2\n")
    assert loading.load_numbers(path, separator="\t", skip=1, n_axes=2).shape == (1, 2)
    path.write_text("1\n2\n")
    assert loading.load_numbers(path).shape == (2,)
