"""Whether a preprocessed series is complete: compared with the raw run and censored volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, nan
from pathlib import Path
from typing import Any

from bids_app.bands import Band
from bids_app.errors import BadDataError, MusencError, reason_of
from bids_app.inputs.files import content_problem, is_number
from bids_app.inputs.names import entities_agree, parse_name, run_entities
from bids_app.inputs.runs import RunFiles
from bids_app.inputs.sidecars import Inheritance
from bids_app.inputs.tables import is_absent, read_tsv
from bids_app.loading import load_volume

_NIFTI = (".nii", ".nii.gz")
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
"""Of the units of time in a NIfTI header."""


def raw_header(raw: Inheritance | None, run: RunFiles) -> tuple[int | None, float | None]:
    """Volumes of the raw run and seconds between them; None what its headers do not say.

    Parameters
    ----------
    raw : Inheritance or None
        The raw dataset.
    run : RunFiles
    """
    if raw is None:
        return None, None
    wanted = {k: v for k, v in run_entities(run.entities).items() if k != "rec"}
    counts, steps = set(), set()
    for path in sorted(raw.func_folder(run.entities).glob("*_bold.nii*")):
        named = parse_name(path)
        own = {k: v for k, v in run_entities(named.entities).items() if k != "rec"}
        agrees = entities_agree(own, wanted) and entities_agree(wanted, own)
        if named.extension not in _NIFTI or not agrees or content_problem(path):
            continue
        try:
            image: Any = load_volume(path)
        except Exception:  # noqa: BLE001  (whatever the library stumbles over)
            continue
        if len(image.shape) == 4:
            counts.add(int(image.shape[3]))
            steps.add(_time_step(image.header))
    return (
        counts.pop() if len(counts) == 1 else None,
        steps.pop() if len(steps) == 1 else None,
    )


def _time_step(header: Any) -> float | None:
    """Seconds between volumes; without a unit the header's own number, and 1 is a default."""
    step = float(header.get_zooms()[3])
    try:
        unit = header.get_xyzt_units()[1]
    except KeyError:  # a code that NIfTI does not have
        unit = "unknown"
    if not 0 < step < inf or unit not in _SECONDS or (unit == "unknown" and step == 1):
        return None
    return step * _SECONDS[unit]


@dataclass(frozen=True)
class Continuity:
    """What is known of the volumes of a series.

    Attributes
    ----------
    problems, notes : tuple of str
    band : Band or None
        What a denoised series was filtered to; None for others.
    censored : tuple of int
        Volumes of the run that are not in the file.
    raw_time_step : float or None
        Seconds between the raw volumes, by their header.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    band: Band | None = None
    censored: tuple[int, ...] = ()
    raw_time_step: float | None = None


def check_continuity(
    run: RunFiles,
    n_volumes: int,
    derivative: Inheritance,
    raw: Inheritance | None,
    metadata: Mapping[str, Any],
) -> Continuity:
    """What is missing of a series, and how it was filtered.

    A denoised series (XCP-D) may be censored: volumes with motion are gone and the rest is joined,
    so that the music would move against the brain. Its length is compared with the raw run
    and the table of outliers; where neither is there, nothing is guessed. Where the table names the
    volumes that are gone, the others are placed by it.

    Parameters
    ----------
    run : RunFiles
    n_volumes : int
        Of the preprocessed series.
    derivative, raw : Inheritance
    metadata : mapping
        Sidecar of the series.

    Returns
    -------
    Continuity
    """
    n_raw, raw_time_step = raw_header(raw, run)
    if is_denoised(run, metadata):
        known = _check_denoised(run, n_volumes, n_raw, derivative, metadata)
    else:
        known = Continuity(notes=tuple(_length_note(n_volumes, n_raw)))
    return replace(known, raw_time_step=raw_time_step)


def _check_denoised(
    run: RunFiles,
    n_volumes: int,
    n_raw: int | None,
    derivative: Inheritance,
    metadata: Mapping[str, Any],
) -> Continuity:
    """The same of a denoised series, without what the raw header says of time."""
    try:
        band = read_band(metadata.get("SoftwareFilters"))
    except BadDataError as error:
        return Continuity((reason_of(error),))
    notes = [
        f"denoised before ({band}): no confounds are regressed out, and features are filtered alike"
    ]
    try:
        n_rows, marked, where = _outliers(run, derivative)
    except MusencError as error:
        said = f"which volumes were censored is not known: {reason_of(error)}"
        return Continuity((said,), tuple(notes), band)
    n_censored = len(set().union(*marked.values()))
    whole = n_raw if n_raw is not None else n_rows
    again = (
        "rerun XCP-D in a mode that interpolates (abcd, hbcd), which leaves the series whole, or "
        "give fMRIPrep's outputs"
    )
    if whole is None:
        said = (
            "a denoised series may lack volumes that were censored, and neither the raw run nor a "
            f"table *_outliers.tsv says how many it had: name the raw dataset (--derivatives "
            f"raw=PATH), or {again}"
        )
        return Continuity((said,), tuple(notes), band)
    gone = _gone(marked, whole - n_volumes) if whole == n_rows else None
    if gone:
        share = f"{len(gone)} of {whole} volumes were censored ({where})"
        if 2 * len(gone) > whole:
            return Continuity((f"{share}: too little is left",), tuple(notes), band)
        notes.append(f"{share}: they are left out of responses and music, by their times")
        return Continuity((), tuple(notes), band, gone)
    if n_volumes != whole:
        known = "the raw run" if n_raw is not None else f"the table of outliers ({where})"
        censored = f"; {n_censored} volumes are censored in {where}" if n_censored else ""
        said = (
            f"{n_volumes} volumes are left of the {whole} of {known}{censored}: the rest was "
            f"joined, and the music cannot be placed; {again}"
        )
        return Continuity((said,), tuple(notes), band)
    if n_censored:
        notes.append(
            f"{n_censored} of {n_volumes} volumes are outliers ({where}): XCP-D interpolated them"
        )
    return Continuity((), tuple(notes), band)


def _gone(marked: Mapping[str, set[int]], n_gone: int) -> tuple[int, ...] | None:
    """The volumes that are missing, where the table can mean only these; None where it cannot.

    Any column, or all of them together, may be what the series was censored by.
    """
    if n_gone <= 0:
        return None
    sets = [*marked.values(), set().union(*marked.values())]
    fitting = {tuple(sorted(one)) for one in sets if len(one) == n_gone}
    return fitting.pop() if len(fitting) == 1 else None


def _length_note(n_volumes: int, n_raw: int | None) -> list[str]:
    if n_raw is None or n_raw == n_volumes:
        return []
    less = n_volumes < n_raw
    return [
        f"the raw run has {n_raw} volumes, the preprocessed one {n_volumes}: onsets are counted "
        "from the first volume of the preprocessed file, so "
        + (
            f"the music is misplaced if any of the {n_raw - n_volumes} were cut off at its start"
            if less
            else "the music is misplaced if volumes were added at its start"
        )
    ]


def is_denoised(run: RunFiles, metadata: Mapping[str, Any]) -> bool:
    """Whether confounds were regressed out of a series and it was filtered before (XCP-D)."""
    file = run.left or run.right
    desc = file.entities.get("desc", "") if file is not None else ""
    return desc.startswith("denoised") or "SoftwareFilters" in metadata


def read_band(filters: object) -> Band:
    """The band of ``SoftwareFilters``, which names it as XCP-D does.

    Raises
    ------
    BadDataError
        It says nothing that can be understood.

    Examples
    --------
    >>> bandpass = {"High-pass cutoff (Hz)": 0.01, "Low-pass cutoff (Hz)": 0.08, "Filter order": 2}
    >>> str(read_band({"Bandpass filter": bandpass}))
    '0.01 Hz to 0.08 Hz, order 2'
    >>> str(read_band({"High-pass filter": {"cutoff (Hz)": 0.01, "Filter order": 4}}))
    'above 0.01 Hz, order 4'
    """
    found: dict[str, float] = {}
    for key, value in filters.items() if isinstance(filters, Mapping) else ():
        inside = value if isinstance(value, Mapping) else {key: value}
        for name, number in inside.items():
            own, told = (
                re.sub(r"[^a-z]", "", f"{text}".lower()) for text in (name, f"{key}{name}")
            )
            ends = [end for text in (own, told) for end in ("highpass", "lowpass") if end in text]
            kind = "order" if "order" in own else next(iter(ends), "")
            if kind and number not in (None, "n/a"):
                found[kind] = float(number) if is_number(number) else nan
    low, high = (found.get(name, 0.0) for name in ("highpass", "lowpass"))
    order = found.get("order", 2.0)
    absent = filters is None or filters in ({}, "n/a", "none", "None", [])
    if (not absent and not (low or high)) or not (low >= 0 and high >= 0 and order >= 1):
        raise BadDataError(
            "The filter of a denoised series is not understood.",
            where="SoftwareFilters",
            found=str(filters)[:200],
            wanted='{"Bandpass filter": {"High-pass cutoff (Hz)": 0.01, '
            '"Low-pass cutoff (Hz)": 0.08, "Filter order": 2}}',
            remedy="write the filter so, or take SoftwareFilters out where none was applied",
        )
    return Band(low, high, int(order))


def _outliers(
    run: RunFiles, derivative: Inheritance
) -> tuple[int | None, dict[str, set[int]], Path | None]:
    """Rows of the table of outliers, numbers of those that each column marks, and the table."""
    file = run.left or run.right
    if file is None:
        return None, {}, None
    found = derivative.applying(file.path.parent, file.entities, "outliers", (".tsv",))
    if not found:
        return None, {}, None
    columns, rows = read_tsv(found[0], "A table of outliers cannot be read.")
    marked = {
        name: {
            number
            for number, row in enumerate(rows)
            if not is_absent(row[name]) and row[name] not in ("0", "0.0", "False", "false")
        }
        for name in columns
    }
    return len(rows), marked, found[0]
