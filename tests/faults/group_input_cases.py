"""What else the group level is given, broken: features, gradients, atlases, ratings, options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from fault_cases import CONTENT, Case
from group_faults import (
    ATLAS,
    DIFFERENCE,
    JSON_TEXT,
    WRITTEN,
    edited,
    fill,
    group_case,
    one_file,
    setting,
    values,
)
from group_study import MODEL, PEOPLE, GroupStudy, write_labels
from spoilers import SPOILERS, cell, column, content, copied_to, lines, renamed_column

from bids_app.config import settings_hash
from bids_app.surface.gifti import write_gifti


def group_input_cases() -> Iterator[Case]:
    """All of them."""
    yield from _features()
    yield from _gradients()
    yield from _atlases()
    yield from _ratings()
    yield from _conditions()
    yield from _folders()


def _features() -> Iterator[Case]:
    wrong = "folder of stimulus features is not complete"
    for name in (*CONTENT, "empty", "folder", "broken_link", "lfs_pointer"):
        for attribute in ("grams", "gram", "patch_times"):
            if name in ("folder", "broken_link") and attribute == "grams":
                continue
            yield one_file(name, attribute, SPOILERS[name], 65, wrong, names="")
    for name in ("missing", "folder", "broken_link", "pipe"):
        yield one_file(name, "grams", SPOILERS[name], 0, "features of the music are not in")
    yield one_file("missing", "gram", SPOILERS["missing"], 65, wrong, "layer-02.npy")
    for key in ("labels", "n_patches", "layer_names", "durations", "checksums"):
        yield one_file(f"without_{key}", "grams", edited(**{key: None}), 65, wrong, names="")
    yield one_file("other_key", "grams", edited(more=3), 65, wrong, names="")
    yield one_file("is_a_list", "grams", content("[]"), 65, wrong, names="")
    yield one_file("lengths", "grams", edited(n_patches=[3, 4]), 65, wrong, names="")
    other = "not those of the maps"
    yield one_file("other_names", "grams", edited(labels=["a", "b"]), 0, "3 done", names="")
    yield one_file("other_recording", "grams", edited(checksums=["a", "b"]), 65, other, names="")
    yield one_file(
        "other_layers", "grams", edited(layer_names=["a", "b", "c"]), 65, other, names=""
    )
    yield one_file(
        "other_shape", "gram", _array_of(np.ones((3, 3), np.float32)), 65, wrong, names=""
    )
    yield one_file("doubles", "gram", _array_of(np.ones((230, 230))), 65, wrong, names="")
    yield one_file("python_objects", "gram", _array_of(np.array([{}], object)), 65, wrong, names="")


def _array_of(values: np.ndarray) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        path.unlink()
        np.save(path, values, allow_pickle=True)

    return spoil


def _gradients() -> Iterator[Case]:
    def thirds(code: float, step: int = 3) -> Callable[[np.ndarray], np.ndarray]:
        return lambda d: np.where(np.arange(d.size).reshape(d.shape) % step, d, code)

    def other(name: str, change: Callable[[np.ndarray], np.ndarray], *says: str) -> Case:
        both = lambda s: [values(change)(p) for p in (s.gradient, s.right_gradient)]  # noqa: E731
        return group_case(f"gradient-{name}", both, 65, *says)

    yield other("other_mesh", lambda d: d[:, :2562], "5124 vertices", "20484 (fsaverage5)")
    yield other("all_nan", fill(np.nan), "does not vary over a hemisphere")
    yield other("constant", fill(3.0), "does not vary over a hemisphere")
    yield other("code", thirds(-999), "lies far from all others", "NaN")
    yield other("outlier", thirds(1e30, 9000), "1e+30", "lies far from all others")
    yield other("all_infinite", fill(np.inf), "does not vary over a hemisphere")
    yield other("infinite", thirds(np.inf, 9000), "infinity (4 of 20484 vertices)")
    yield other("two_maps", lambda d: np.vstack([d, -d]), "several maps", "2 maps")
    yield group_case("gradient-labels", _regions_for_gradient, 65, "holds labels", "--atlas")
    yield one_file("all_nan", "right_gradient", values(fill(np.nan)), 65, "hemisphere R")
    yield one_file(
        "other_mesh", "right_gradient", values(lambda d: d[:, :642]), 65, "10884 vertices"
    )
    for name, option, code, words in (
        ("exchanged", "{right_gradient},{gradient}", 65, "hemispheres are exchanged"),
        ("left_only", "{gradient}", 65, "10242 vertices"),
        ("twice_the_left", "{gradient},{gradient}", 65, "hemispheres are exchanged"),
        ("three_files", "{gradient},{gradient},{gradient}", 2, "one or two files"),
        ("nothing", "", 2, "one or two files"),
        ("no_name", "margulies1999", 2, "margulies1999"),
        ("folder", "{root},{root}", 66, "A gradient file is not there"),
    ):
        yield group_case(
            f"gradient-{name}", lambda s: None, code, words, options=("--gradient", option)
        )


def _regions_for_gradient(study: GroupStudy) -> None:
    for path, regions in ((study.gradient, study.atlas), (study.right_gradient, study.right_atlas)):
        path.unlink()
        shutil.copy(regions, path)


def _atlases() -> Iterator[Case]:
    def other(name: str, keys: Callable[[np.ndarray], np.ndarray], code: int, *says: str) -> Case:
        def spoil(study: GroupStudy) -> None:
            for path in (study.atlas, study.right_atlas):
                found = np.asarray(nib.load(path).darrays[0].data)
                path.unlink()
                write_labels(path, keys(found))

        return group_case(f"atlas-{name}", spoil, code, *says, options=ATLAS)

    yield other("other_mesh", lambda k: k[:2562], 65, "2562 vertices")
    yield other("one_vertex_more", lambda k: np.append(k, 1), 65, "10243 vertices")
    yield other("no_region", lambda k: k * 0, 65, "has no region")
    yield other("negative_keys", lambda k: -k, 65, "has no region")
    yield other("one_region", lambda k: np.ones_like(k), 0, "3 done")
    yield group_case("atlas-no_table", _without_table, 0, "3 done", options=ATLAS)
    floats = lambda s: write_gifti(  # noqa: E731
        s.atlas, np.linspace(0, 1, 10242)[None], hemi="L", names=["x"]
    )
    yield group_case("atlas-no_whole_numbers", floats, 65, "no whole numbers", options=ATLAS)
    nan = lambda s: write_gifti(s.atlas, np.full((1, 10242), np.nan), hemi="L", names=["x"])  # noqa: E731
    yield group_case("atlas-all_nan", nan, 65, "no whole numbers", options=ATLAS)
    for name, option, code, words in (
        ("one_file", "{atlas}", 2, "one file per hemisphere"),
        ("three_files", "{atlas},{atlas},{atlas}", 2, "one file per hemisphere"),
        ("nothing", "", 2, "one file per hemisphere"),
        ("name_only", "mine=", 2, "one file per hemisphere"),
        ("not_there", "/nowhere.annot,/nowhere.annot", 66, "/nowhere.annot"),
        ("folders", "{root},{root}", 66, "An atlas file is not there"),
        ("name_with_folders", "../../../xé=/a,{right_atlas}", 66, "An atlas file"),
    ):
        yield group_case(f"atlas-{name}", lambda s: None, code, words, options=("--atlas", option))


def _without_table(study: GroupStudy) -> None:
    for path in (study.atlas, study.right_atlas):
        keys = np.asarray(nib.load(path).darrays[0].data)
        path.unlink()
        nib.save(nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(keys)]), path)


def _ratings() -> Iterator[Case]:
    how = {"route": "group_ratings"}

    def one(name: str, attribute: str, spoil, code: int, *says: str, **more: Any) -> Case:
        return one_file(name, attribute, spoil, code, *says, **how, **more)

    yield one("all_nan_left", "felt", values(fill(np.nan)), 0, "3 done")
    yield one("other_scale", "felt_json", edited(DataArrays=["Joy"]), 0, "is left out")
    for key in ("SettingsHash", "Settings", "LeftOut"):
        for attribute in ("felt_settings", "scores_settings"):
            yield one(f"without_{key}", attribute, edited(**{key: None}), 65, WRITTEN, key)
    yield one("other_settings", "felt_settings", setting(delays=[3, 9]), 16, "delays")
    yield one("other_settings", "scores_settings", setting(delays=[3, 9]), 16, "delays")
    for attribute in ("scores", "changes"):
        for name in ("scale", "layer", "r"):
            if (attribute, name) != ("scores", "layer"):
                spoil = renamed_column(name, "other")
                yield one(f"no_{name}", attribute, spoil, 65, WRITTEN, name)
        yield one("text", attribute, cell(1, "r", "high"), 65, WRITTEN, "numbers in r")
        yield one("no_rows", attribute, lines(lambda r: r[:1]), 65, WRITTEN)
        yield one("a_row_less", attribute, lines(lambda r: r[:-1]), 65, WRITTEN)
        yield one("ragged", attribute, lines(lambda r: [*r[:2], r[2] + "\t1", *r[3:]]), 65, WRITTEN)
        yield one("column_twice", attribute, renamed_column("name", "scale"), 65, WRITTEN)
    yield one("a_row_twice", "changes", lines(lambda r: [*r, r[-1]]), 65, WRITTEN)
    yield one("a_row_twice", "scores", lines(lambda r: [*r, r[-1]]), 65, WRITTEN)
    yield one("no_means", "scores", column("held_out", "calm"), 65, WRITTEN)
    yield one("other_layers", "scores", column("name", "x"), 65, WRITTEN)
    yield group_case(
        "scores-none_for_their_folds", _without_scores, 0, "0 of 3; sub-01: all ", **how
    )
    for attribute in ("felt_settings", "scores_settings"):
        yield group_case(
            f"{attribute}-of_one_only",
            lambda s, a=attribute: [
                Path(str(getattr(s, a)).replace("sub-02", f"sub-{p}")).unlink()
                for p in ("01", "02")
            ],
            0,
            "is left out: Fewer than two participants",
            **how,
        )


def _without_scores(study: GroupStudy) -> None:
    """Nobody's scores could be computed, and the settings say why."""
    for person in PEOPLE:
        scores, settings = (
            Path(str(path).replace("sub-02", f"sub-{person}"))
            for path in (study.scores, study.scores_settings)
        )
        scores.unlink()
        told = json.loads(settings.read_text())
        gone = {name for name in told["Outputs"] if name.endswith(scores.name)}
        told["Outputs"] = {k: v for k, v in told["Outputs"].items() if k not in gone}
        told["LeftOut"] = {"layers and ratings": "Too few samples to choose the penalty"}
        settings.write_text(json.dumps(told))


def _conditions() -> Iterator[Case]:
    how = {"route": "group_conditions"}

    def one(name: str, attribute: str, spoil, code: int, *says: str, **more: Any) -> Case:
        return one_file(name, attribute, spoil, code, *says, **how, **more)

    yield one("all_nan_left", "effect", values(fill(np.nan)), 0, "4 done")
    for key in ("SettingsHash", "Settings", "Contrasts"):
        yield one(f"without_{key}", "condition_settings", edited(**{key: None}), 65, WRITTEN, key)
    yield one("no_contrasts", "condition_settings", edited(Contrasts={}), 65, "contrasts")
    yield one("no_seed", "condition_settings", setting(seed=None), 65, "seed")
    yield one("other_seed", "condition_settings", setting(seed="1,1,1"), 16, "seed: 0,0,0")
    for attribute, names in (
        ("lags", ("condition", "r_negative")),
        ("lag_curves", ("condition", "lag_s", "r")),
    ):
        for name in names:
            spoil = renamed_column(name, "other")
            yield one(f"no_{name}", attribute, spoil, 65, WRITTEN, name)
        yield one("no_rows", attribute, lines(lambda r: r[:1]), 65, WRITTEN)
        yield one("text", attribute, cell(1, names[-1], "high"), 65, WRITTEN)
    yield one("a_condition_less", "lags", lines(lambda r: r[:-1]), 65, WRITTEN)
    yield one("a_condition_twice", "lags", lines(lambda r: [*r, r[-1]]), 65, WRITTEN)
    yield one("other_condition", "lags", cell(1, "condition", "soft"), 65, WRITTEN)
    yield one("no_number", "lags", cell(1, "r_negative", "n/a"), 0, "4 done")
    yield from _differences()

    def only(study: GroupStudy) -> None:
        for path in study.tested.glob("sub-*"):
            if path.name != "sub-01":
                shutil.rmtree(path)

    yield group_case("conditions-one_person", only, 16, "two participants", **how)
    said = ("participant 1 is taken for sub-01", "2 done")
    people = ("--participant-label", "1", "2")
    yield group_case("conditions-labels", lambda s: None, 0, *said, options=people, **how)
    three = lambda s: shutil.rmtree(s.tested / "sub-04")  # noqa: E731
    yield group_case("conditions-three_and_a_rating", three, 0, "3 done", options=DIFFERENCE, **how)


def _differences() -> Iterator[Case]:
    how = {"route": "group_conditions", "options": DIFFERENCE}

    def one(name: str, spoil, code: int, *says: str) -> Case:
        return one_file(name, "differences", spoil, code, *says, **how)

    yield one("text", cell(1, "difference", "much"), 16, "'much'", "line 2")
    yield one("infinite", cell(1, "difference", "inf"), 16, "no number")
    yield one("no_people", renamed_column("participant_id", "who"), 16, "lacks a column")
    yield one("no_column", renamed_column("difference", "other"), 16, "lacks a column")
    yield one("twice", lines(lambda r: [*r, r[-1]]), 16, "two rows")
    yield one("absent", cell(1, "difference", "n/a"), 0, "sub-01 has no rating difference")
    yield one("all_absent", column("difference", "n/a"), 0, "has no rating difference")
    yield one("constant", column("difference", "2"), 0, "4 done")
    yield one("other_people", column("participant_id", "sub-99"), 16, "two rows")
    numbers = lines(lambda r: [row.replace("sub-0", "") for row in r])
    yield one("no_zeros", numbers, 0, "participant 1 is taken for sub-01", "4 done")
    other = lines(lambda r: [*r, "sub-3b\t2"])
    yield one("somebody_else", other, 0, "sub-3b of differences.tsv: no participant")
    strangers = lines(lambda r: [row.replace("sub-0", "sub-x") for row in r])
    yield one("strangers", strangers, 16, "Nobody of the group has a rating difference", "sub-x1")
    for name, option, code, words in (
        ("no_table", "/nowhere.tsv:x", 66, "/nowhere.tsv"),
        ("no_dataset", "x", 66, ""),
        ("nothing", "", 66, ""),
        ("no_column_named", "{differences}:", 16, "lacks a column"),
    ):
        yield group_case(
            f"difference-{name}",
            lambda s: None,
            code,
            words,
            route="group_conditions",
            options=("--rating-difference", option),
        )
    yield group_case(
        "difference-of_encoding_models",
        lambda s: None,
        66,
        "needs maps of a contrast",
        options=DIFFERENCE,
    )


def _folders() -> Iterator[Case]:
    def forbid(study: GroupStudy) -> None:
        study.out.chmod(0o555)

    cannot = "cannot be written"
    yield group_case(
        "option-too_little_memory",
        lambda s: None,
        75,
        "There is not enough memory",
        "0.5 GB for the maps of 3 participants",
        options=("--mem", "0.2"),
    )
    yield group_case("folder-unreadable_for_writing", forbid, 73, cannot)
    yield group_case(
        "folder-tpl_is_a_file", lambda s: (s.out / "tpl-fsaverage").write_text("x"), 73
    )
    yield group_case("folder-logs_is_a_file", lambda s: (s.out / "logs").write_text("x"), 73)
    yield group_case("folder-cache_is_a_file", _file_cache, 73)
    yield group_case("folder-page_is_a_folder", lambda s: (s.out / "group.html").mkdir(), 73)
    yield group_case(
        "folder-stale_locks",
        lambda s: [
            (folder / f".{name}.lock").write_text("1\nother\n")
            for folder in (s.out, s.settings.parent, s.out / ".musenc")
            for name in ("dataset_description.json", s.settings.name)
        ],
        0,
        "3 done",
    )
    yield group_case(
        "folder-partial_files",
        lambda s: [copied_to(f".partial-{p.name}")(p) for p in (s.left, s.settings)],
        0,
        "3 done",
    )
    known = lambda s, text: (s.out / f"group_model-{MODEL}_settings.json").write_text(text)  # noqa: E731
    yield group_case("folder-old_result_garbled", lambda s: known(s, "{"), 65, JSON_TEXT)
    yield group_case("folder-old_result_empty_object", lambda s: known(s, "{}"), 65, WRITTEN)
    settings = {"n_permutations": 7}
    other = json.dumps(
        {"SettingsHash": settings_hash(settings), "Settings": settings, "Participants": []}
    )
    yield group_case(
        "folder-old_result_of_others", lambda s: known(s, other), 16, "n_permutations: 7 -> 2"
    )
    for option, value in (
        ("--n-spins", "0"), ("--n-spins", "many"), ("--n-permutations", "-3"),
        ("--n-permutations", "0"), ("--spin-method", "kendall"), ("--random-seed", "x"),
        ("--mem", "0"),
    ):  # fmt: skip
        yield group_case(
            f"option-{option}={value}", lambda s: None, 2, option, options=(option, value)
        )


def _file_cache(study: GroupStudy) -> None:
    shutil.rmtree(study.out / ".musenc")
    (study.out / ".musenc").write_text("x")
