"""What the group level reads of participants, broken: maps, records, responses, folders."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from fault_cases import CONTENT, GONE, Case, at
from fault_study import put
from group_faults import (
    ATLAS,
    DIFFERENCE,
    JSON_TEXT,
    SURFACE,
    WRITTEN,
    Spoil,
    edited,
    fill,
    group_case,
    one_file,
    setting,
    values,
)
from group_input_cases import group_input_cases
from group_study import LAYERS, GroupStudy
from spoilers import SPOILERS, content, copied_to, one_bit

from bids_app.outputs import sidecar_of
from bids_app.surface.gifti import read_gifti


def group_cases() -> Iterator[Case]:
    """All of them."""
    yield from _every_file()
    yield from _maps()
    yield from _records()
    yield from _responses()
    yield from _people()
    yield from _exchanged()
    yield from group_input_cases()


# Kind of file, what is run, and how nonsense in it is spoken of.
FILES = (
    ("left", "group", SURFACE),
    ("right", "group", SURFACE),
    ("fold", "group", SURFACE),
    ("penalties", "group", SURFACE),
    ("left_json", "group", JSON_TEXT),
    ("settings", "group", JSON_TEXT),
    ("clean", "group", SURFACE),
    ("clean_json", "group", JSON_TEXT),
    ("felt", "group_ratings", SURFACE),
    ("felt_json", "group_ratings", JSON_TEXT),
    ("felt_settings", "group_ratings", JSON_TEXT),
    ("past", "group_ratings", SURFACE),
    ("scores", "group_ratings", WRITTEN),
    ("changes", "group_ratings", WRITTEN),
    ("scores_settings", "group_ratings", JSON_TEXT),
    ("effect", "group_conditions", SURFACE),
    ("interaction", "group_conditions", SURFACE),
    ("condition_settings", "group_conditions", JSON_TEXT),
    ("lags", "group_conditions", WRITTEN),
    ("lag_curves", "group_conditions", WRITTEN),
)
# Where a file that is not there at all is no fault, but told.
LEFT_OUT = {
    "settings": "sub-02 is left out: its maps of model-own are not complete",
    "condition_settings": "sub-02 is left out: its maps of conditions are not complete",
    "clean": "sub-02 is left out: no cleaned response",
    "felt_settings": "ratings and brain without sub-02",
    "scores_settings": "layers and ratings without sub-02",
}


def _every_file() -> Iterator[Case]:
    """Every kind of file broken in every way."""
    for attribute, route, broken in FILES:
        for name, words in {"missing": "not found", **GONE}.items():
            code = 66
            if name == "missing" and attribute in LEFT_OUT:
                code, words = 0, LEFT_OUT[attribute]
            yield one_file(name, attribute, SPOILERS[name], code, words, route=route)
        for name in CONTENT:
            yield one_file(name, attribute, SPOILERS[name], 65, broken, route=route)
        for spoil in (SPOILERS["truncated"], SPOILERS["garbled"], one_bit):
            name = spoil.__name__
            told = broken if broken == JSON_TEXT and name != "one_bit" else WRITTEN
            if attribute.endswith("_json"):
                told = WRITTEN
            yield one_file(
                f"unsigned_{name}", attribute, spoil, 65, told, route=route, signed=False
            )
    for name in ("missing", *GONE, *CONTENT):
        absent = name not in CONTENT
        code, words = (66, "not there") if absent else (65, "cannot be read")
        yield one_file(
            name,
            "atlas",
            SPOILERS[name],
            code,
            f"An atlas file {'is ' * absent}{words}",
            options=ATLAS,
        )
        yield one_file(
            name,
            "right_gradient",
            SPOILERS[name],
            code,
            "A gradient file is not there" if absent else SURFACE,
        )
        how = {"route": "group_conditions", "options": DIFFERENCE}
        code, words = (16, " table") if name in CONTENT else (66, "A table of participants")
        if name == "truncated":  # between two lines: a shorter table
            code, words = 0, "has no rating difference"
        yield one_file(name, "differences", SPOILERS[name], code, words, **how)


SHAPES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "fewer_vertices": (lambda d: d[:, :2562], "2562"),
    "one_vertex_more": (lambda d: np.hstack([d, d[:, :1]]), "10243"),
    "no_vertex": (lambda d: d[:, :0], ""),
    "one_array_less": (lambda d: d[:-1], ""),
    "one_array_more": (lambda d: np.vstack([d, d[:1]]), WRITTEN),
    "infinite": (lambda d: np.where(np.arange(d.shape[1]) == 7, np.inf, d), WRITTEN),
}


def _maps() -> Iterator[Case]:
    for attribute, route in (
        ("left", "group"),
        ("right", "group"),
        ("fold", "group"),
        ("penalties", "group"),
        ("clean", "group"),
        ("felt", "group_ratings"),
        ("past", "group_ratings"),
        ("effect", "group_conditions"),
    ):
        for name, (change, words) in SHAPES.items():
            yield one_file(name, attribute, values(change), 65, words, route=route)
    both = lambda change: lambda s: [values(change)(p) for p in (s.left, s.right)]  # noqa: E731
    nan = fill(np.nan)
    yield group_case("maps-all_nan", both(nan), 65, "nothing but NaN", names="left")
    yield group_case(
        "maps-a_layer_all_nan", both(fill(np.nan, slice(1, 2))), 65, "no value in all layers"
    )
    yield group_case("maps-above_one", both(fill(1.5)), 65, WRITTEN, names="left")
    yield group_case(
        "maps-one_hemisphere_all_nan",
        lambda s: [values(nan)(p) for p in (s.left, s.fold, s.map(stim="calm"))],
        0,
        "3 done",
    )
    yield one_file("zero", "penalties", values(fill(0.0)), 65, WRITTEN)
    yield one_file("negative", "penalties", values(fill(-2.0)), 65, WRITTEN)
    yield group_case(
        "maps-one_hemisphere_of_everybody",
        lambda s: [p.unlink() for p in s.out.glob("sub-*/func/*hemi-R*stat-r_statmap.func.gii")],
        66,
        "hemi-R",
    )
    yield group_case(
        "maps-nobody_but_one_has_values",
        lambda s: [values(nan)(s.map(hemi=h, sub=p)) for h in "LR" for p in ("01", "03")],
        65,
        "nothing but NaN",
    )

    def coarse(study: GroupStudy) -> None:
        for path in study.out.glob("sub-*/func/*_statmap.func.gii"):
            values(lambda d: d[:, :2562])(path)

    yield group_case("maps-all_of_another_mesh", coarse, 65, "2562", "fsaverage5")
    yield one_file("bomb", "left", lambda p: put(p, _bomb()), 65, SURFACE, "more than 12 bytes")
    yield one_file("terabytes", "left", lambda p: put(p, _bomb(10**13)), 65, SURFACE)
    yield one_file("headers", "left", lambda p: put(p, _headers(300)), 65, SURFACE)
    yield one_file("other_file", "left", lambda p: put(p, _external()), 65, "in another file")
    yield one_file("entities", "left", lambda p: put(p, _entities()), 65, SURFACE)


def _gifti(arrays: str, count: int = 1, before: str = "") -> str:
    head = f'<?xml version="1.0" encoding="UTF-8"?>{before}'
    return f'{head}<GIFTI Version="1.0" NumberOfDataArrays="{count}">{arrays}</GIFTI>'


def _array(dim: int, data: str, encoding: str = "GZipBase64Binary", more: str = "") -> str:
    return (
        '<DataArray Intent="NIFTI_INTENT_NONE" DataType="NIFTI_TYPE_FLOAT32" '
        f'ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="{dim}" '
        f'Encoding="{encoding}" Endian="LittleEndian" ExternalFileName="{more}" '
        f'ExternalFileOffset="0"><Data>{data}</Data></DataArray>'
    )


def _bomb(dim: int = 3) -> str:
    """Data that unpack to a hundred megabytes."""
    data = base64.b64encode(zlib.compress(bytes(100_000_000))).decode()
    return _gifti(_array(dim, data))


def _headers(count: int) -> str:
    """Many arrays that are said to be large, in a small file."""
    return _gifti(_array(10**9, "eJwDAAAAAAE=") * count, count)


def _external() -> str:
    return _gifti(_array(10242, "", "ExternalFileBinary", "/etc/passwd"))


def _entities() -> str:
    doubled = "".join(f'<!ENTITY e{k} "&e{k - 1};&e{k - 1};">' for k in range(1, 40))
    before = f'<!DOCTYPE GIFTI [<!ENTITY e0 "x">{doubled}]>'
    return _gifti("<MetaData><MD><Name>&e39;</Name><Value>1</Value></MD></MetaData>", 1, before)


def _records() -> Iterator[Case]:
    needed = ("SettingsHash", "Settings", "Stimuli", "HeldOutStimuli", "DegenerateVertices")
    for key in needed:
        yield one_file(f"without_{key}", "settings", edited(**{key: None}), 65, WRITTEN, key)
    for key, value in (("Settings", []), ("Stimuli", "calm"), ("HeldOutStimuli", 3)):
        name = f"{key}_of_another_kind"
        yield one_file(name, "settings", edited(**{key: value}), 65, WRITTEN, key)
    for text in ("[]", "3", '"x"', "null"):
        yield one_file(f"is_{text}", "settings", content(text), 65, "a JSON object")
        yield one_file(f"is_{text}", "left_json", content(text), 65, "a JSON object")
        yield one_file(
            f"is_{text}",
            "condition_settings",
            content(text),
            65,
            "a JSON object",
            route="group_conditions",
        )
    yield one_file("deep", "settings", content("[" * 100_000), 65, JSON_TEXT)
    yield one_file("other_hash", "settings", edited(SettingsHash="0" * 16), 65, WRITTEN, "0" * 16)
    yield one_file(
        "other_delays", "settings", setting(delays=[3, 9]), 16, "delays: [2, 6] -> [3, 9]"
    )
    yield one_file("other_space", "settings", setting(space="fsaverage6"), 16, "space: fsaverage5")
    yield one_file("unknown_space", "settings", setting(space="moon"), 65, "moon")
    yield one_file("no_space", "settings", setting(space=None), 65, "space")
    yield one_file(
        "other_folds", "settings", edited(HeldOutStimuli=["calm"]), 16, "different stimuli"
    )
    yield one_file(
        "other_recording",
        "settings",
        edited(Stimuli={"calm": "0" * 64, "lively": "1" * 64}),
        16,
        "different recordings under one name",
    )
    for name, layers in (
        ("other_layers", ["a", "b", "c"]),
        ("fewer_layers", LAYERS[:2]),
        ("more_layers", [*LAYERS, "conv6"]),
        ("no_layers", []),
        ("turned_layers", LAYERS[::-1]),
    ):
        yield one_file(name, "left_json", edited(DataArrays=layers), 65, names="")
    yield one_file("no_list", "left_json", edited(DataArrays="abc"), 65, WRITTEN)
    yield one_file("no_key", "left_json", edited(DataArrays=None), 65, "DataArrays")
    yield one_file("names_a_file_that_is_gone", "settings", _gone_output, 66, "gone.json", names="")


def _gone_output(path: Path) -> None:
    told = json.loads(path.read_text())
    edited(Outputs={**told["Outputs"], "sub-02/func/gone.json": "0" * 64})(path)


def _responses() -> Iterator[Case]:
    other = "sub-02 is left out: 22 samples of"
    times = list(np.arange(0, 50, 2.0))

    def sampled(seconds: list[float]) -> Spoil:
        def spoil(study: GroupStudy) -> None:
            for path in (study.clean, _right(study.clean)):
                values(lambda d: d[: len(seconds)], seconds)(path)
                edited(StimulusTimes=seconds)(sidecar_of(path))

        return spoil

    # Cut after they were saved: the participant level refuses such a run.
    few = ("Too few samples", "responses of sub-02, lengths", other)
    yield group_case("responses-shorter", sampled(times[:-3]), 65, *few)
    later = [t + 8 for t in times]
    yield group_case("responses-shifted", sampled(later), 0, "sub-02 is left out: 25 samples of")
    one_side = edited(StimulusTimes=later)
    yield one_file("shifted", "clean_json", one_side, 65, WRITTEN, "8.0000 s", names="clean")
    one_less = edited(StimulusTimes=times[:-1])
    yield one_file("one_less", "clean_json", one_less, 65, WRITTEN, "(24, ", names="")
    for name, value in (
        ("text", ["a"] * 25), ("none", []), ("nan", [None] * 25), ("nested", [[0.0]] * 25),
        ("string", "0 2 4"), ("key_gone", None),
    ):  # fmt: skip
        spoil = edited(StimulusTimes=value)
        yield one_file(f"times_{name}", "clean_json", spoil, 65, WRITTEN, "StimulusTimes")
    for name, value in (("text", "2 s"), ("zero", 0), ("negative", -2), ("key_gone", None)):
        spoil = edited(RepetitionTime=value)
        everybody = lambda s, spoil=spoil: [  # noqa: E731
            spoil(p) for p in s.out.glob("sub-*/func/*hemi-L*_bold.json")
        ]
        yield group_case(f"clean_json-tr_{name}", everybody, 65, WRITTEN, "RepetitionTime")
    yield group_case(
        "responses-all_nan",
        lambda s: [
            values(fill(np.nan))(p) for p in s.out.glob("sub-02/func/*lively*_bold.func.gii")
        ],
        65,
        "nothing but NaN",
        names="clean",
    )
    yield group_case(
        "responses-of_nobody",
        lambda s: [p.unlink() for p in s.out.glob("sub-*/func/*_bold.*")],
        0,
        "no cleaned response of sub-01",
    )


def _copied_over(source: Callable[[GroupStudy], Path], target: str) -> Spoil:
    return lambda study: put(getattr(study, target), source(study).read_bytes())


def _swapped(first: str, second: Callable[[Path], Path]) -> Spoil:
    """Two files in each other's place."""

    def spoil(study: GroupStudy) -> None:
        one = getattr(study, first)
        other = second(one)
        content = one.read_bytes()
        put(one, other.read_bytes())
        put(other, content)

    return spoil


def _right(path: Path) -> Path:
    return path.with_name(path.name.replace("hemi-L", "hemi-R"))


def _data_swapped(study: GroupStudy) -> None:
    """Values of the hemispheres exchanged inside their files."""
    left, right = (read_gifti(path) for path in (study.left, study.right))
    values(lambda _: right)(study.left)
    values(lambda _: left)(study.right)


def _turned(path: Path) -> None:
    """Arrays in another order, each with its name."""
    image = nib.load(path)
    image.darrays.reverse()
    path.unlink()
    nib.save(image, path)


def _scrambled(data: np.ndarray) -> np.ndarray:
    return data[:, np.random.default_rng(0).permutation(data.shape[1])]


def _exchanged() -> Iterator[Case]:
    """Files that are whole, but not what they should be; also where checksums vouch for them."""
    mean = "not the mean of its held-out stimuli"
    twin = lambda path: path.with_name(path.name.replace("lively", "calm"))  # noqa: E731
    cases: tuple[tuple[str, Spoil, str, str, str], ...] = (
        ("anothers_map", _copied_over(lambda s: s.map(sub="01"), "left"), "left", "Title", "group"),
        ("hemispheres", _swapped("left", _right), "left", "CortexRight", "group"),
        ("hemispheres_of_responses", _swapped("clean", _right), "clean", "CortexRight", "group"),
        ("hemispheres_of_effects", _swapped("felt", _right), "felt", "CortexR", "group_ratings"),
        ("hemispheres_of_values", _data_swapped, "", mean, "group"),
        ("stimuli", _swapped("fold", twin), "", "Title", "group"),
        ("layers", at("left", _turned), "left", "conv5, conv4", "group"),
        ("layers_of_values", at("left", values(lambda d: d[::-1])), "left", mean, "group"),
        ("vertices", at("left", values(_scrambled)), "left", mean, "group"),
        ("mean", at("right", values(lambda d: d + 0.01)), "right", mean, "group"),
        ("vertices_of_fold", at("fold", values(_scrambled)), "", mean, "group"),
    )  # fmt: skip
    for name, spoil, file, words, route in cases:
        yield group_case(f"exchanged-{name}", spoil, 65, words, route=route, names=file)
        told = {"route": route, "signed": False}
        yield group_case(f"exchanged-unsigned-{name}", spoil, 65, WRITTEN, "sub-02_", **told)


def _people() -> Iterator[Case]:
    def only(*kept: str) -> Spoil:
        return lambda s: [shutil.rmtree(p) for p in s.out.glob("sub-*") if p.name[4:] not in kept]

    yield group_case("people-one", only("01"), 16, "two participants")
    yield group_case("people-nobody", only(), 66, "no participant maps")
    yield group_case("people-two", only("01", "02"), 0, "2 done")
    yield group_case("people-no_folder", lambda s: shutil.rmtree(s.out), 66, "no participant maps")
    yield group_case(
        "people-one_asked_for",
        lambda s: None,
        16,
        "two participants",
        options=("--participant-label", "01"),
    )
    yield group_case(
        "people-unknown_asked_for",
        lambda s: None,
        18,
        "99",
        options=("--participant-label", "01", "02", "99"),
    )
    yield group_case(
        "people-model_unknown",
        lambda s: None,
        66,
        "no participant maps",
        options=("--model-label", "other"),
    )
    yield group_case("people-copied_folder", _copied("02", "02copy"), 0, "3 done")
    yield group_case("people-folder_called_like_nobody", _copied("02", "é😀"), 0, "3 done")
    yield group_case("people-unicode", _renamed("02", "Müller"), 0, "3 done")
    yield group_case("people-quotes", _renamed("02", "<script>'\""), 0, "3 done")
    yield group_case("people-links_in_a_circle", _circle, 0, "3 done")
    yield group_case("people-a_linked_twin", lambda s: (s.out / "sub-04").symlink_to("sub-02"), 0)
    yield group_case("people-file_for_a_folder", lambda s: (s.out / "sub-09").write_text("x"), 0)
    yield group_case(
        "people-hidden_copies",
        lambda s: [copied_to(f"._{p.name}")(p) for p in (s.left, s.settings, s.left_json)],
        0,
        "3 done",
    )


def _copied(one: str, other: str) -> Spoil:
    return lambda s: shutil.copytree(s.out / f"sub-{one}", s.out / f"sub-{other}")


def _renamed(one: str, other: str) -> Spoil:
    """A participant of another name, files and records."""

    def spoil(study: GroupStudy) -> None:
        for path in (study.out / f"sub-{one}" / "func").iterdir():
            if path.suffix == ".json" and "Outputs" in (told := json.loads(path.read_text())):
                renamed = {
                    name.replace(f"sub-{one}", f"sub-{other}"): checksum
                    for name, checksum in told["Outputs"].items()
                }
                name = path.name.replace(f"sub-{one}", f"sub-{other}")
                edited(Outputs=renamed, File=name)(path)
            path = path.rename(path.with_name(path.name.replace(f"sub-{one}", f"sub-{other}")))
            if path.suffix == ".gii":
                values(lambda data: data)(path)
        (study.out / f"sub-{one}").rename(study.out / f"sub-{other}")

    return spoil


def _circle(study: GroupStudy) -> None:
    (study.out / "sub-08").symlink_to("sub-07")
    (study.out / "sub-07").symlink_to("sub-08")
    (study.out / "sub-01" / "func" / "again").symlink_to(study.out)
