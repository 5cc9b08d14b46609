"""Inputs that look right: units, series with gaps, files in other places, lines of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from fault_cases import Case, file_case
from fault_study import Study, put
from input_cases import _described as described
from input_cases import renamed
from spoilers import cell, column, lines, recoded, renamed_column

from bids_app.surface.gifti import write_gifti

HEADER = "onset\tduration\tstim_file\n"


def odd_cases() -> Iterator[Case]:
    """All of them."""
    yield from _tables()
    yield from _places()
    yield from _units()
    yield from _confounds()
    yield from _series()
    yield from _features()


def _tables() -> Iterator[Case]:
    for encoding in ("utf-16-le", "utf-16-be"):
        for attribute, options, code in (
            ("events", (), 1),
            ("table", ("--stimuli", "{table}"), 16),
            ("confounds", (), 1),
        ):
            spoil, said = recoded(encoding), ("not UTF-8", "NUL")
            yield file_case(f"no_mark_{encoding}", attribute, spoil, code, *said, options=options)
    blank = lines(lambda r: [r[0], "", "", r[1].replace("6", "soon", 1)])
    yield file_case("blank_lines_count", "events", blank, 1, "line 4", "soon")
    yield file_case(
        "capital_column_is_named",
        "events",
        renamed_column("onset", "Onset"),
        1,
        "no column onset; columns: Onset",
    )
    yield file_case(
        "another_column",
        "events",
        lambda p: put(p, "onset\tduration\tstimulus\n6\t60\tcalm\n"),
        1,
        "wanted: rows with stim_file (or stim_id); its columns: onset, duration, stimulus",
    )


def _places() -> Iterator[Case]:
    for name, said in (
        (r"stimuli\calm.wav", "separated by /, not by a backslash"),
        ("Stimuli/calm.wav", "no folder Stimuli in"),
        ("music/calm.wav", "the file lies in it"),
    ):
        spoil = cell(1, "stim_file", name)
        yield file_case("in_" + name.replace("/", "_"), "events", spoil, 1, said, "line 2")

    def moved(to: Callable[[Study], Path]) -> Callable[[Study], object]:
        return lambda study: study.events.rename(to(study))

    for name, to, said in (
        ("beside_the_BOLD", lambda s: s.prep("events.tsv"), "func/sub-01_task-calm_events.tsv"),
        ("of_Calm", lambda s: s.bids / "task-Calm_events.tsv", "not read: task-Calm_events.tsv"),
        ("in_anat", lambda s: _made(s.bids / "sub-01/anat") / s.events.name, "anat/sub-01_task-c"),
    ):
        told = ("no events.tsv; not read: ", said, "wanted: sub-01_task-calm_events.tsv")
        yield Case(f"events-{name}", moved(to), 1, told)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _units() -> Iterator[Case]:
    minute = cell(1, "duration", "1")
    yield file_case("minutes", "events", minute, 1, "as minutes the duration", named=False)
    small = described(SliceTiming=[0, 0.0005, 0.0019])
    yield file_case("tiny", "raw_json", small, 0, "are these times in seconds?", named=False)
    noise = described(SliceTiming=[1.9, 0.95, -2.2e-16])
    yield file_case("differences_of_decimals", "raw_json", noise, 0)
    said = "StartTime is 0.1 left, not there right"
    yield file_case(
        "start_of_the_left", "bold_json", described(StartTime=0.1), 1, said, named=False
    )

    def both(study: Study) -> None:
        for path in (study.bold_json, study.prep("hemi-R_space-fsaverage5_bold.json")):
            described(RepetitionTime=2e6)(path)

    yield Case("repetition_time-microseconds", both, 1, ("or microseconds?",))


def _steady(*rows: int) -> Callable[[Path], object]:
    """Columns of dummy scans, each of which marks one row, from 0; none where it is negative."""

    def spoil(path: Path) -> None:
        for number, row in enumerate(rows):
            name = f"non_steady_state_outlier{number:02d}"
            column(name, "0")(path)
            if row >= 0:
                cell(row + 1, name, "1.0")(path)

    return spoil


def _confounds() -> Iterator[Case]:
    def planned(name: str, spoil: Callable[[Path], object], code: int, *said: str) -> Case:
        return file_case(name, "confounds", spoil, code, *said, named=False)

    yield planned("two_dummy_scans", _steady(0, 1), 0, "first 2 left out")
    yield planned("dummy_scans_in_any_order", _steady(1, 0), 0, "first 2 left out")
    for name, rows, shown in (
        ("later", (10,), "volume 11, not the first 1"),
        ("nowhere", (-1,), "no volume, not the first 1"),
        ("a_gap", (0, 2), "volume 1, 3, not the first 2"),
    ):
        yield planned(f"dummy_scans_{name}", _steady(*rows), 0, shown, "--dummy-scans")
    said = "do not vary take nothing out: trans_x"
    yield planned("without_motion", column("trans_x", "0"), 0, said)
    yield planned("dummy_scans_of_all_but_one", _steady(*range(39)), 1, "no degrees of freedom")


def _changed(
    change: Callable[[np.ndarray], np.ndarray], hemispheres: str = "LR"
) -> Callable[[Study], None]:
    """Other values in both hemispheres, or in one."""

    def spoil(study: Study) -> None:
        for hemi in hemispheres:
            path = study.gifti if hemi == "L" else study.right
            values = change(np.array([array.data for array in nib.load(path).darrays]))
            path.unlink()
            names = [f"volume {k}" for k in range(len(values))]
            write_gifti(path, values.astype(np.float32), hemi=hemi, names=names, tr=2.0)

    return spoil


def _series() -> Iterator[Case]:
    for name, change, code, said in (
        ("zeros", lambda v: _rows(v, 20, 0), 65, "zeros, in volume 20 of 40"),
        ("zeros_at_the_end", lambda v: _rows(v, slice(38, 40), 0), 65, "volume 38, 39 of 40"),
        ("frozen", lambda v: v[np.minimum(np.arange(40), 34)], 0, "5 volumes are the same"),
        ("twice_each", lambda v: v[np.arange(40) // 2], 0, "20 volumes are the same"),
        ("spike", lambda v: _rows(v, 20, 1e3 * v[20]), 0, "more than 20 times the usual at"),
        ("another_level_later", lambda v: _rows(v, slice(20, 40), v[20:] + 900), 0, "volume 20"),
    ):
        yield Case(f"series-{name}", _changed(change), code, (said,), route="clean")
    for hemi, side in (("L", "left"), ("R", "right")):
        spoil = _changed(lambda v: v[np.minimum(np.arange(40), 34)], hemi)
        said = f"5 volumes are the same as the one before in the {side} hemisphere (35, 36"
        yield Case(f"series-frozen_{side}", spoil, 0, (said,), route="clean")


def _rows(values: np.ndarray, rows: int | slice, value: float | np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rows] = value
    return values


def _swapped(path: Path) -> None:
    """The same columns in another order."""
    lines(lambda r: ["\t".join([c[0], c[2], c[1]]) for c in (x.split("\t") for x in r)])(path)


def _features() -> Iterator[Case]:
    def planned(name: str, spoil: Callable[[Path], object], code: int, *said: str) -> Case:
        options = ("--features", "precomputed:{tables}")
        return file_case(name, "features_table", spoil, code, *said, named=False, options=options)

    differ = "Stimuli differ in the columns"
    yield planned("columns_exchanged", _swapped, 65, differ, "flux where calm has chroma")
    other = renamed_column("flux", "roughness")
    yield planned("another_column", other, 65, differ, "roughness where calm has flux")
    more = column("energy", "1")
    yield planned("a_column_more", more, 65, differ, "energy where calm has nothing")
    said = "true and false, which are no numbers, in flux"
    yield planned("true_and_false", column("flux", "TRUE"), 65, said)
    for name in ("Lively.tsv", "lively.csv", "lively (1).tsv"):
        spoil = renamed("lively.tsv", name)
        yield planned(f"called_{name}", spoil, 66, f"nothing for lively; not read: {name}")
