"""Look at the files of one run: usable or not, how many volumes, which timing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_app.bands import Band
from bids_app.config import Cleaning
from bids_app.errors import MusencError, reason_of
from bids_app.inputs.confounds import check_columns, select_confounds, wants_columns
from bids_app.inputs.continuity import Continuity, check_continuity, is_denoised
from bids_app.inputs.files import content_problem, read_gifti_header
from bids_app.inputs.locate import is_xcpd, writer_of
from bids_app.inputs.names import parse_name, run_entities
from bids_app.inputs.runs import DESCS, RunFiles
from bids_app.inputs.sidecars import Inheritance, Timing, resolve_timing
from bids_app.inputs.strategies import ConfoundStrategy, resolve_strategy
from bids_app.inputs.tables import number_of, read_columns, read_rows
from bids_app.loading import load_volume
from bids_app.meshes import N_VERTICES
from bids_app.outputs import STRUCTURES
from bids_app.plain import some_of

_SHORTEST_TR, _LONGEST_TR = 0.01, 60.0


@dataclass(frozen=True)
class Probe:
    """What the files of a run say.

    Attributes
    ----------
    problems : tuple of str
        Why the run cannot be used; empty where it can.
    warnings : tuple of str
    n_volumes, n_dummy : int
    timing : Timing or None
    confounds_json : Path or None
    band : Band or None
    censored : tuple of int
        As in `BoldRun`.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    n_volumes: int = 0
    n_dummy: int = 0
    timing: Timing | None = None
    confounds_json: Path | None = None
    band: Band | None = None
    censored: tuple[int, ...] = ()


def probe_run(
    run: RunFiles,
    derivative: Inheritance,
    raw: Inheritance | None,
    cleaning: Cleaning,
    strategy: ConfoundStrategy,
) -> Probe:
    """Check one run without reading its data.

    Parameters
    ----------
    run : RunFiles
    derivative, raw : Inheritance
        Sidecars of the fMRIPrep folder and of the raw dataset.
    cleaning : Cleaning
        Its space decides the number of vertices. ``auto`` counts fMRIPrep's non-steady-state
        columns as dummy scans.
    strategy : ConfoundStrategy
        Its columns must be there; one without columns needs no table.

    Returns
    -------
    Probe
        All problems of the run at once.
    """
    problems: list[str] = []
    warnings: list[str] = []
    if run.kind == "gifti":
        n_volumes, time_step = _probe_gifti(run, cleaning.space, problems)
    elif run.kind == "parcels" and run.left and run.left.extension == ".tsv":
        n_volumes, time_step = _probe_table(run.left.path, problems), None
    else:
        n_volumes, time_step = _probe_nifti(run, problems)
    metadata = _metadata(run, derivative)
    if denoised := is_denoised(run, metadata):
        problems += _smoothed_before(run, metadata, cleaning)
        strategy = resolve_strategy("none")
    n_steady, n_rows, confounds_json = _probe_confounds(
        run, strategy, cleaning, problems, [] if denoised else warnings
    )
    known = Continuity()
    if n_volumes:
        known = check_continuity(run, n_volumes, derivative, raw, metadata)
        problems += known.problems
        warnings += known.notes
        n_volumes += len(known.censored)
    if n_volumes and n_rows is not None and n_rows != n_volumes:
        problems.append(
            f"the confounds table has {n_rows} rows, the BOLD file {n_volumes} volumes "
            f"({run.confounds.path if run.confounds else ''})"
        )
    steps = {"image": time_step, "raw image": known.raw_time_step}
    timing = _timing(run, derivative, raw, cleaning, steps, n_volumes)
    problems += timing.problems
    if known.band is not None and timing.tr is not None:
        try:
            known.band.ends(timing.tr)
        except MusencError as error:
            problems.append(reason_of(error))
    problems += _other_hemisphere(run, derivative)
    warnings += _odd_version(run)
    if run.kind != "gifti" and run.almost:
        warnings.append(f"the series is the {run.kind}{run.unread(cleaning.space)}")
    if strays := [file.told for file in run.almost if file.words]:
        warnings.append(f"not read: {', '.join(strays)}: rename or remove them")
    problems += _impossible_tr(timing)
    n_dummy = n_steady if cleaning.dummy_scans == "auto" else int(cleaning.dummy_scans)
    if n_volumes and n_dummy >= n_volumes:
        problems.append(f"{n_dummy} dummy scans, but only {n_volumes} volumes")
    return Probe(
        tuple(problems),
        (*warnings, *timing.warnings),
        n_volumes,
        n_dummy,
        timing,
        confounds_json,
        known.band,
        known.censored,
    )


def _impossible_tr(timing: Timing) -> Iterator[str]:
    if timing.tr is not None and not _SHORTEST_TR <= timing.tr <= _LONGEST_TR:
        option = timing.tr_source == "--repetition-time"
        yield (
            f"the repetition time is {timing.tr:g} s ({timing.tr_source}): no scanner does that; "
            "is it in milliseconds or microseconds? Correct "
            + ("the option" if option else "RepetitionTime or VolumeTiming in the JSON files")
        )
    if timing.tr is None and not timing.problems:
        yield (
            "no repetition time in any sidecar: give --repetition-time SECONDS, "
            "or add RepetitionTime to the JSON files"
        )


def _metadata(run: RunFiles, derivative: Inheritance) -> dict[str, Any]:
    """The sidecar of a series; of a parcellated one, that of the series behind it, too."""
    file = run.left or run.right
    if file is None:
        return {}
    folder = file.path.parent
    own = derivative.metadata(folder, file.entities, file.suffix or "bold")
    if run.kind != "parcels":
        return own
    behind = {**derivative.dense_metadata(folder, run.entities)}
    if not behind and is_xcpd(writer_of(derivative.root)) and "SoftwareFilters" not in own:
        behind = {"SoftwareFilters": "no *_desc-denoised_bold.json beside it says it"}
    return behind | {key: value for key, value in own.items() if key != "SamplingFrequency"}


def _probe_table(path: Path, problems: list[str]) -> int:
    """Rows of a parcellated series."""
    problem = content_problem(path)
    if problem:
        problems.append(problem)
        return 0
    try:
        return len(read_columns(path, "A parcellated series cannot be read."))
    except MusencError as error:
        problems.append(f"{reason_of(error)}; do this: {error.remedy}")
        return 0


def _odd_version(run: RunFiles) -> list[str]:
    """Of the series that is read, what is not fMRIPrep's own: another desc, one echo of several."""
    file = run.left or run.right
    if file is None:
        return []
    odd = [f"echo-{echo}"] if (echo := file.entities.get("echo")) else []
    desc = file.entities.get("desc")
    odd += [f"desc-{desc}"] if desc not in DESCS else []
    return [
        f"the series is {one}, for want of another: it is cleaned and smoothed like fMRIPrep's own"
        for one in odd
    ]


def _smoothed_before(run: RunFiles, metadata: Mapping[str, Any], cleaning: Cleaning) -> list[str]:
    """A series that XCP-D smoothed is not smoothed again."""
    file = run.left or run.right
    smoothed = file is not None and file.entities.get("desc", "").endswith("Smoothed")
    if not (smoothed or metadata.get("FWHM")) or not cleaning.smoothing:
        return []
    width = f" ({metadata['FWHM']} mm)" if metadata.get("FWHM") else ""
    return [f"the series was smoothed before{width}: give --smoothing 0"]


def _probe_gifti(run: RunFiles, space: str, problems: list[str]) -> tuple[int, float | None]:
    counts: dict[str, int] = {}
    time_step = None
    for hemisphere, file in (("L", run.left), ("R", run.right)):
        if file is None:
            there = ", ".join(f.path.name for f in (run.left, run.right) if f is not None)
            problems.append(
                f"hemi-{hemisphere} is missing in {space} (there: {there})"
                + run.unread(space, hemisphere)
            )
            continue
        problem = content_problem(file.path)
        if problem:
            problems.append(problem)
            continue
        try:
            header = read_gifti_header(file.path)
        except ValueError as error:
            problems.append(str(error))
            continue
        wanted = N_VERTICES.get(space)
        if wanted is not None and header.n_vertices != wanted:
            problems.append(
                f"{header.n_vertices} vertices instead of the {wanted} of {space}: {file.path}"
            )
        if header.structure not in (None, STRUCTURES[hemisphere]):
            problems.append(
                f"named hemi-{hemisphere}, but its header says {header.structure}: {file.path}"
            )
        counts[hemisphere] = header.n_volumes
        time_step = time_step or header.time_step
    if len(set(counts.values())) > 1:
        problems.append(
            f"the hemispheres differ in length: {counts['L']} volumes left, {counts['R']} right"
        )
    return min(counts.values(), default=0), time_step


def _probe_nifti(run: RunFiles, problems: list[str]) -> tuple[int, float | None]:
    assert run.left is not None
    problem = content_problem(run.left.path)
    if problem:
        problems.append(problem)
        return 0, None
    try:
        image: Any = load_volume(run.left.path)
    except Exception as error:  # noqa: BLE001  (whatever the library stumbles over)
        problems.append(f"cannot be read: {run.left.path} ({error})")
        return 0, None
    if run.kind in ("cifti", "parcels"):
        axis = image.header.get_axis(0)
        return len(axis), float(getattr(axis, "step", 0.0)) or None
    if len(image.shape) != 4:
        problems.append(f"not a time series ({len(image.shape)} dimensions): {run.left.path}")
        return 0, None
    return int(image.shape[3]), float(image.header.get_zooms()[3]) or None


def _probe_confounds(
    run: RunFiles,
    strategy: ConfoundStrategy,
    cleaning: Cleaning,
    problems: list[str],
    warnings: list[str],
) -> tuple[int, int | None, Path | None]:
    """Non-steady-state volumes, rows and sidecar of the confounds table."""
    needed = wants_columns(strategy)
    complaints = problems if needed else warnings
    if run.confounds is None:
        remedy = "; if confounds were regressed out before, give --confounds none" if needed else ""
        complaints.append(
            f"no confounds table (desc-confounds_timeseries.tsv){_almost_confounds(run)}{remedy}"
        )
        return 0, None, None
    path = run.confounds.path
    problem = content_problem(path)
    if problem:
        complaints.append(problem)
        return 0, None, None
    try:
        names, rows, _ = read_rows(path)
    except MusencError as error:
        complaints.append(f"{reason_of(error)}; do this: {error.remedy}")
        return 0, None, None
    n_rows = len(rows)
    marks = [
        k
        for k, name in enumerate(names)
        if name.lower().replace("_", "").startswith("nonsteadystateoutlier")
    ]
    n_steady = len(marks)
    if cleaning.dummy_scans == "auto":
        warnings += _marked_elsewhere(rows, marks)
    sidecar = path.with_name(path.name.removesuffix(".tsv") + ".json")
    absent = content_problem(sidecar)
    if absent and (sidecar.exists() or sidecar.is_symlink()):
        warnings.append(f"the JSON file of the confounds is left out: {absent}")
    usable = sidecar if absent is None else None
    if needed:
        try:
            check_columns(names, usable, strategy, str(path))
        except MusencError as error:
            problems.append(
                f"{error.what} Wanted: {error.wanted} ({path}); do this: {error.remedy}"
            )
            return n_steady, n_rows, usable
        try:
            selected = select_confounds(
                path, usable, strategy, own_high_pass=bool(cleaning.high_pass)
            )
            warnings += selected.warnings
        except MusencError as error:
            problems.append(f"{reason_of(error)}; do this: {error.remedy}")
    return n_steady, n_rows, usable


def _marked_elsewhere(rows: list[list[str]], marks: list[int]) -> list[str]:
    """Say that the columns of dummy scans mark other volumes than the first ones."""
    marked = sorted(
        k for k, cells in enumerate(rows) if any(number_of(cells[m]) > 0 for m in marks)
    )
    if marked == list(range(len(marks))):
        return []
    shown = some_of(k + 1 for k in marked) or "no volume"
    return [
        f"{len(marks)} columns non_steady_state_outlier mark volume {shown}, not the first "
        f"{len(marks)}, which are left out; --dummy-scans says otherwise"
    ]


def _almost_confounds(run: RunFiles) -> str:
    """Files of the run that are called nearly as its table."""
    file = run.left or run.right
    near = sorted(file.path.parent.glob("*onfounds*")) if file is not None else []
    names = [
        path.name
        for path in near
        if run_entities(parse_name(path).entities) == run.entities and path.suffix != ".json"
    ]
    return f"; not read: {some_of(names, 3)}" if names else ""


def _timing(
    run: RunFiles,
    derivative: Inheritance,
    raw: Inheritance | None,
    cleaning: Cleaning,
    time_steps: Mapping[str, float | None],
    n_volumes: int,
) -> Timing:
    file = run.left or run.right
    assert file is not None
    folder = file.path.parent
    names = {
        "gifti": "surface sidecar",
        "cifti": "CIFTI sidecar",
        "volume": "volume sidecar",
        "parcels": "sidecar of the series",
    }
    own = _metadata(run, derivative)
    volume = derivative.volume_metadata(folder, run.entities)
    silent = derivative.absent(folder, file.entities)
    raw_metadata = {}
    if raw is not None:
        place = raw.func_folder(run.entities)
        raw_metadata = raw.metadata(place, run.entities)
        silent += raw.absent(place, run.entities)
    timing = resolve_timing(
        [(names[run.kind or "gifti"], own), ("volume sidecar", volume)],
        raw_metadata,
        repetition_time=cleaning.repetition_time,
        slice_time_ref=cleaning.slice_time_ref,
        header_time_steps=time_steps,
        n_volumes=n_volumes,
    )
    notes = [f"a JSON sidecar is left out: {problem}" for problem in silent]
    return replace(timing, warnings=(*timing.warnings, *notes))


def _other_hemisphere(run: RunFiles, derivative: Inheritance) -> list[str]:
    """What the sidecars of both hemispheres do not agree about."""
    if run.left is None or run.right is None:
        return []
    left, right = (
        derivative.metadata(file.path.parent, file.entities) for file in (run.left, run.right)
    )
    if not (left and right):  # a file that is not there says nothing
        return []
    absent = "not there"
    return [
        f"the sidecars of the hemispheres differ: {key} is {left.get(key, absent)} left, "
        f"{right.get(key, absent)} right ({run.left.path})"
        for key in ("RepetitionTime", "StartTime", "VolumeTiming", "SliceTiming")
        if repr(left.get(key)) != repr(right.get(key))
    ]
