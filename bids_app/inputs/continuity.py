"""Is a preprocessed series all of its run: held against the raw one and what was censored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_app.errors import MusencError, reason_of
from bids_app.inputs.files import content_problem
from bids_app.inputs.names import entities_agree, parse_name, run_entities
from bids_app.inputs.runs import RunFiles
from bids_app.inputs.sidecars import Inheritance
from bids_app.inputs.tables import is_absent, read_tsv
from bids_app.loading import load_volume

_NIFTI = (".nii", ".nii.gz")


def raw_volumes(raw: Inheritance | None, run: RunFiles) -> int | None:
    """Volumes of the raw run; None where it is not there, or its content is not.

    Parameters
    ----------
    raw : Inheritance or None
        The raw dataset.
    run : RunFiles
    """
    if raw is None:
        return None
    wanted = {k: v for k, v in run_entities(run.entities).items() if k != "rec"}
    counts = set()
    for path in sorted(raw.func_folder(run.entities).glob("*_bold.nii*")):
        named = parse_name(path)
        own = {k: v for k, v in run_entities(named.entities).items() if k != "rec"}
        agrees = entities_agree(own, wanted) and entities_agree(wanted, own)
        if named.extension not in _NIFTI or not agrees or content_problem(path):
            continue
        try:
            shape = load_volume(path).shape
        except Exception:  # noqa: BLE001  (whatever the library stumbles over)
            continue
        if len(shape) == 4:
            counts.add(int(shape[3]))
    return counts.pop() if len(counts) == 1 else None


def check_continuity(
    run: RunFiles,
    n_volumes: int,
    derivative: Inheritance,
    raw: Inheritance | None,
    metadata: Mapping[str, Any],
) -> tuple[list[str], list[str]]:
    """Problems and notes about volumes that are missing.

    A denoised series (XCP-D) may be censored: volumes with motion are gone and the rest is joined,
    so that the music would move against the brain. Its length tells, held against the raw run and
    the table of outliers; where neither is there, nothing is guessed.

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
    problems, notes : list of str
    """
    n_raw = raw_volumes(raw, run)
    file = run.left or run.right
    desc = file.entities.get("desc", "") if file is not None else ""
    if not desc.startswith("denoised") and "SoftwareFilters" not in metadata:
        return [], _length_note(n_volumes, n_raw)
    notes = _band_note(metadata)
    try:
        n_rows, n_censored, where = _outliers(run, derivative)
    except MusencError as error:
        return [f"which volumes were censored is not known: {reason_of(error)}"], notes
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
        return [said], notes
    if n_volumes != whole:
        known = "the raw run" if n_raw is not None else f"the table of outliers ({where})"
        censored = f"; {n_censored} volumes are censored in {where}" if n_censored else ""
        said = (
            f"{n_volumes} volumes are left of the {whole} of {known}{censored}: the rest was "
            f"joined, and the music cannot be placed; {again}"
        )
        return [said], notes
    if n_censored:
        notes.append(
            f"{n_censored} of {n_volumes} volumes are outliers ({where}): XCP-D interpolated them"
        )
    return [], notes


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


def _band_note(metadata: Mapping[str, Any]) -> list[str]:
    filters = metadata.get("SoftwareFilters")
    if not filters:
        return []
    return [
        f"the series was filtered before ({filters}); features are filtered by --high-pass only"
    ]


def _outliers(run: RunFiles, derivative: Inheritance) -> tuple[int | None, int, Path | None]:
    """Rows of the table of outliers, how many are marked, and the table."""
    file = run.left or run.right
    if file is None:
        return None, 0, None
    found = derivative.applying(file.path.parent, file.entities, "outliers", (".tsv",))
    if not found:
        return None, 0, None
    columns, rows = read_tsv(found[0], "A table of outliers cannot be read.")
    marked = sum(
        any(not is_absent(row[name]) and row[name] not in ("0", "0.0") for name in columns)
        for row in rows
    )
    return len(rows), marked, found[0]
