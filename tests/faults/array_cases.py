"""Arrays of wrong shape, size or value: GIFTI, weights, masks, precomputed features."""

from __future__ import annotations

import base64
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from fault_cases import Case, accepted, file_case
from fault_study import put
from spoilers import cell, column, content, gzip_bomb, lines, renamed_column, replace

from bids_app.surface.gifti import read_gifti, write_gifti


def array_cases() -> Iterator[Case]:
    """All of them."""
    yield from _responses()
    yield from _maps("mask", "The cortex mask")
    yield from _maps("gradient", "")
    yield from _weights()
    yield from _precomputed()


def changed(change: Callable[[np.ndarray], np.ndarray], **options) -> Callable[[Path], None]:
    """Rewrite a GIFTI time series."""

    def spoil(path: Path) -> None:
        values = change(read_gifti(path).astype(np.float64))
        path.unlink()
        hemi = "L" if "hemi-L" in path.name or "-L." in path.name else "R"
        written = {"hemi": hemi, "names": [""] * len(values), **options}
        if "bold" in path.name:
            written.setdefault("tr", 2.0)
        write_gifti(path, values, **written)

    return spoil


def _same_hemispheres(path: Path) -> None:
    right = path.with_name(path.name.replace("hemi-L", "hemi-R"))
    values = read_gifti(path)
    right.unlink()
    write_gifti(right, values, hemi="R", names=[""] * len(values), tr=2.0)


def _set(rows, columns, value) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[rows, columns] = value
        return values

    return change


def _responses() -> Iterator[Case]:
    def read(name, spoil, code, *words, named=True):
        return file_case(name, "gifti", spoil, code, *words, named=named, route="clean")

    vertices, whole = slice(600, 700), slice(None)
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus_inf", -np.inf)):
        yield read(
            f"{name}_in_one_volume", changed(_set(5, vertices, value)), 0, "'sub-01_task-calm', 560"
        )
    yield read(
        "constant_vertices", changed(_set(whole, vertices, 7.0)), 0, "'sub-01_task-calm', 560"
    )
    yield read(
        "constant_but_rounding", changed(_set(whole, vertices, 1e6)), 0, "'sub-01_task-calm', 560"
    )
    yield read(
        "largest_numbers", changed(_set(whole, vertices, 3e38)), 65, "cannot be BOLD", "3e+38"
    )
    yield read("one_volume_nan", changed(_set(5, whole, np.nan)), 65, "hold no numbers", "volume 5")
    yield file_case(
        "hemispheres_the_same",
        "gifti",
        _same_hemispheres,
        65,
        "hold the same values",
        named=False,
        route="clean",
    )
    yield read(
        "all_nan",
        changed(_set(whole, whole, np.nan)),
        0,
        "100% of the vertices of the left hemi",
    )
    yield read("fewer_vertices", changed(lambda v: v[:, :10000]), 1, "10000 vertices")
    yield read("more_vertices", changed(lambda v: np.pad(v, ((0, 0), (0, 5)))), 1, "10247 vertices")
    yield read("one_volume_less", changed(lambda v: v[:-1]), 1, "differ in length", named=False)
    yield read("one_volume", changed(lambda v: v[:1]), 1, "differ in length", named=False)
    yield read("other_side", changed(lambda v: v, hemi="R"), 1, "header says CortexRight")
    yield read("other_time_step", changed(lambda v: v, tr=3.0), 0, "time step is 3000")
    yield read("bomb", _gifti_bomb, 65, "more than 40968 bytes of data")
    yield read(
        "terabytes_of_vertices",
        replace('Dim0="10242"', 'Dim0="999999999999"'),
        1,
        "999999999999 vertices",
    )
    yield read(
        "terabytes_in_a_later_array",
        _later('Dim0="10242"', 'Dim0="999999999999"'),
        65,
        "cannot be read",
    )
    yield read("negative_dimension", replace('Dim0="10242"', 'Dim0="-1"'), 1, "-1 vertices")
    yield read(
        "a_billion_arrays",
        replace('NumberOfDataArrays="40"', 'NumberOfDataArrays="1000000000"'),
        1,
        "1000000000 volumes",
        named=False,
    )
    yield read("fewer_arrays_than_said", _without_an_array, 65, "39 volumes")
    yield read("unknown_encoding", replace("GZipBase64Binary", "Morse"), 65, "cannot be read")
    yield read(
        "unknown_type", replace("NIFTI_TYPE_FLOAT32", "NIFTI_TYPE_CAT"), 65, "cannot be read"
    )
    yield read(
        "other_type", _later("NIFTI_TYPE_FLOAT32", "NIFTI_TYPE_FLOAT64"), 65, "cannot be read"
    )
    yield read("data_elsewhere", _external, 1, "another file")
    yield read("entities_that_grow", _laughs, 1, "GIFTI file")
    yield accepted("entity_of_a_file", "gifti", _external_entity, route="clean")
    yield read("garbled_inside", _garbled_inside, 65, "cannot be read")


def _later(old: str, new: str) -> Callable[[Path], None]:
    """Change the last of several places."""

    def spoil(path: Path) -> None:
        before, found, after = path.read_text().rpartition(old)
        assert found
        put(path, before + new + after)

    return spoil


def _gifti_bomb(path: Path) -> None:
    """Half a gigabyte of zeros in the last array."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 24)) for _ in range(32)) + packer.flush()
    start, found, rest = path.read_text().rpartition("<Data>")
    assert found
    put(path, f"{start}<Data>{base64.b64encode(packed).decode()}{rest[rest.index('</Data>') :]}")


def _without_an_array(path: Path) -> None:
    text = path.read_text()
    put(path, text[: text.rindex("<DataArray")] + "</GIFTI>\n")


def _external(path: Path) -> None:
    text = path.read_text().replace('Encoding="GZipBase64Binary"', 'Encoding="ExternalFileBinary"')
    put(path, text.replace('ExternalFileName=""', 'ExternalFileName="/etc/passwd"'))


def _laughs(path: Path) -> None:
    """Each entity holds ten of the one before."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    put(path, f'<?xml version="1.0"?><!DOCTYPE GIFTI [{entities}]>'
              '<GIFTI NumberOfDataArrays="1"><MetaData><MD><Name>a</Name>'
              "<Value>&e11;</Value></MD></MetaData></GIFTI>")  # fmt: skip


def _external_entity(path: Path) -> None:
    text = path.read_text()
    start = text.index("<GIFTI")
    body = text[start:].replace("volume 0", "&x;", 1)
    put(path, '<?xml version="1.0"?><!DOCTYPE GIFTI [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
              + body.replace("<Data>", "<Data>&x;", 1))  # fmt: skip


def _garbled_inside(path: Path) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    put(path, whole[:middle] + b"!" * 400 + whole[middle + 400 :])


def _maps(attribute: str, subject: str) -> Iterator[Case]:
    def read(name, spoil, code, *words, named=True):
        return file_case(name, attribute, spoil, code, *words, named=named, route=attribute)

    yield read("fewer_vertices", changed(lambda v: v[:, :10000]), 65, "mesh")
    yield read("nowhere", changed(lambda v: v * np.nan), 65, "")
    yield read("constant", changed(lambda v: v * 0), 65, "")
    yield read("other_side", changed(lambda v: v, hemi="R"), 65, "hemisphere")
    yield read("bomb", _gifti_bomb, 65, "")
    yield read("data_elsewhere", _external, 65, "another file")
    yield read("garbled_inside", _garbled_inside, 65, "cannot be read")


def _weights() -> Iterator[Case]:
    def saved(value) -> Callable[[Path], None]:
        def spoil(path: Path) -> None:
            path.unlink()
            torch.save(value, path)

        return spoil

    def read(name, spoil, *words):
        return file_case(name, "weights", spoil, 65, *words, route="weights")

    yield read("list", saved([1, 2]), "no state dict")
    yield read("other_network", saved({"layer.weight": torch.zeros(3)}), "not the weights")
    yield read("misshapen", saved({"features.0.weight": torch.zeros(3)}), "misshapen")
    yield read(
        "whole_numbers",
        saved({"features.0.weight": torch.zeros(3, dtype=torch.int64)}),
        "not floating point",
    )
    yield read("no_text_keys", saved({1: torch.zeros(3)}), "not the weights")
    yield read("text", saved({"features.0.weight": "x"}), "not floating point")
    yield read("pickle", content(pickle.dumps({"a": 1})), "cannot be read as torch weights")
    yield read("pickle_that_runs", content(pickle.dumps(_Runs())), "cannot be read")
    yield read("torch_pickle_that_runs", saved({"a": _Runs()}), "cannot be read")


class _Runs:
    """What a pickle does when it is read."""

    def __reduce__(self):
        return (Path.touch, (Path("/tmp/a-pickle-was-run"),))


def _precomputed() -> Iterator[Case]:
    def table(name, spoil, code, *words):
        return file_case(name, "features_table", spoil, code, *words, route="features_table")

    yield table("latin1", lambda p: put(p, p.read_bytes() + b"61\tcaf\xe9\t1\n"), 65, "UTF-8")
    yield table("text", cell(5, "flux", "loud"), 65, "loud")
    yield table("missing_value", cell(5, "flux", "n/a"), 65, "not finite")
    yield table("infinite", cell(5, "flux", "inf"), 65, "not finite")
    yield table("no_time", renamed_column("time", "when"), 65, "time")
    yield table("only_time", lines(lambda r: [x.split("\t")[0] for x in r]), 65, "no column")
    yield table("backwards", lines(lambda r: [r[0], *reversed(r[1:])]), 65, "must increase")
    yield table("time_stands_still", column("time", "3"), 65, "must increase")
    yield table("time_text", cell(5, "time", "soon"), 65, "soon")
    yield table("time_nan", cell(5, "time", "n/a"), 65, "must increase")
    yield table("too_short", lines(lambda r: r[:20]), 65, "do not cover")
    yield table("one_row", lines(lambda r: r[:2]), 65, "must increase")
    yield table("column_twice", renamed_column("flux", "chroma"), 65, "twice")
    yield file_case(
        "bomb",
        "features_table",
        _bomb_beside,
        65,
        "larger than any table",
        named=False,
        route="features_table",
    )

    def array(name, change, code=65, *words):
        def spoil(path: Path) -> None:
            put(path, path.read_bytes())
            with h5py.File(path, "r+") as file:
                change(file)

        return file_case(name, "features_array", spoil, code, *words, route="features_array")

    def with_array(values):
        def change(file):
            del file["lively/embedding"]
            file["lively/embedding"] = values

        return change

    times = 120
    yield array("no_group", lambda f: f.move("lively", "other"), 65, "lively")
    yield array(
        "group_is_an_array",
        lambda f: (f.__delitem__("lively"), f.__setitem__("lively", np.zeros(3))),
        65,
        "lively",
    )
    yield array("no_time", lambda f: f["lively"].__delitem__("time"), 65, "time")
    yield array("only_time", lambda f: f["lively"].__delitem__("embedding"), 65, "no array")
    yield array(
        "time_is_a_group",
        lambda f: (f["lively"].__delitem__("time"), f["lively"].create_group("time")),
        65,
        "time",
    )
    yield array("other_length", with_array(np.zeros((7, 2))), 65, "shape (7, 2)")
    yield array("one_axis", with_array(np.zeros(times)), 65, "shape (120,)")
    yield array("three_axes", with_array(np.zeros((times, 2, 2))), 65, "shape")
    yield array("nan", with_array(np.full((times, 2), np.nan)), 65, "not finite")
    yield array("text", with_array(np.full((times, 2), b"x")), 65, "lively")
    yield array("complex", with_array(np.ones((times, 2)) * 1j), 65, "lively")
    yield array("records", with_array(np.zeros(times, [("a", "f4"), ("b", "i4")])), 65, "lively")
    yield array("no_units", with_array(np.zeros((times, 0))), 65, "shape (120, 0)")
    yield array(
        "terabytes",
        lambda f: (
            f["lively"].__delitem__("embedding"),
            f["lively"].create_dataset("embedding", (times, 1 << 36), "f4", chunks=(1, 1024)),
        ),
        65,
        "embedding",
    )
    yield array(
        "file_elsewhere",
        lambda f: (
            f["lively"].__delitem__("embedding"),
            f["lively"].__setitem__("embedding", h5py.ExternalLink("/etc/x.h5", "/a")),
        ),
        65,
        "lively: ",
    )
    yield array(
        "data_elsewhere",
        lambda f: (
            f["lively"].__delitem__("embedding"),
            f["lively"].create_dataset(
                "embedding", (times, 2), "f4", external=[("/etc/passwd", 0, 960)]
            ),
        ),
        65,
        "embedding",
    )
    yield array(
        "link_to_nothing",
        lambda f: f["lively"].__setitem__("more", h5py.SoftLink("/nothing")),
        65,
        "lively: ",
    )
    yield array(
        "link_in_a_circle",
        lambda f: f["lively"].__setitem__("more", h5py.SoftLink("/lively/more")),
        65,
        "lively: ",
    )


def _bomb_beside(path: Path) -> None:
    path.unlink()
    packed = path.with_name("lively.tsv.gz")
    packed.touch()
    gzip_bomb(1 << 29)(packed)
