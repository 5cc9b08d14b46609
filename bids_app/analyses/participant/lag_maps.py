"""Lag scans of a participant: compute and write."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Part, TableOutput
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.lag_plan import LAGS, LagFeature, LagJob, scanned_times
from bids_app.analyses.participant.regions import regions_of_runs
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.write import filter_fields
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.bands import HighPass
from bids_app.config import Cleaning, settings_hash
from bids_app.errors import BadDataError
from bids_app.features.course import Course, feature_course
from bids_app.features.registry import STEP
from bids_app.features.timing import filtered
from bids_app.inputs.denoised import atlas_label
from bids_app.inputs.estimate import Cost
from bids_app.inputs.records import BoldRun
from bids_app.inputs.seeds import SeedRegion
from bids_app.labels import safe_label
from bids_app.outputs import LAG_SCAN_LABEL, OutputTree
from bids_app.report.lag_scan import lag_scan_sections
from bids_app.seeds import generator
from bids_app.surface.atlas import read_atlas
from bids_app.surface.labels import seed_vertices
from bids_app.surface.lag import auditory_vertices, region_mean
from bids_app.surface.lag_scan import (
    AT_EDGE,
    CLEAR,
    MIN_ROWS,
    UNCLEAR,
    LagRun,
    LagScan,
    lag_scan,
    lag_state,
    share_reached,
    varies,
)
from bids_app.surface.mesh import SurfaceMesh, load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

Courses = Mapping[str, Course]
"""Of every piece, by its label."""
AUDITORY = "auditory cortex"
CONSTANT = "the feature does not vary there at every lag"
_COLUMNS = 2048
"""Vertices scanned at a time; they do not change the result."""


@dataclass(frozen=True, eq=False)
class ScanRegion:
    """Vertices whose mean course is scanned.

    Attributes
    ----------
    name, kind, hemisphere : str
        `kind` is the label of an atlas, ``seed``, or ``built in``.
    vertices : array of int
    """

    name: str
    kind: str
    hemisphere: str
    vertices: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class LagMaps:
    """How the responses of a participant follow one feature.

    Attributes
    ----------
    lag, r, p, p_max : arrays of shape (n_vertices,), float32
        Seconds, NaN at the edge of the lags; correlation there; p with the choice of the lag inside
        its null, and corrected by the best of all vertices.
    regions, curves : list of dict
        Rows of their tables.
    courses : dict from stimulus to list of dict
        The feature itself.
    left_out : dict from str to str
        Presentations and regions that are left out, and why.
    """

    lag: NDArray[np.float32]
    r: NDArray[np.float32]
    p: NDArray[np.float32]
    p_max: NDArray[np.float32]
    regions: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    courses: dict[str, list[dict[str, Any]]]
    left_out: dict[str, str]


def compute_courses(stimuli: Sequence[tuple[str, Path]], feature: LagFeature) -> dict[str, Course]:
    """A feature of every piece."""
    LOGGER.info("lag scan: %s of %d pieces", feature.name, len(stimuli))
    what = (feature.row, feature.layer, feature.unit)
    return {label: feature_course(*what, label, path) for label, path in stimuli}


def scan_lags(
    record: Record,
    job: LagJob,
    courses: Courses,
    prepared: Prepared,
    runs: Sequence[BoldRun],
    cleaning: Cleaning,
    n_threads: int = 1,
) -> LagMaps:
    """Scan the lags of all vertices and regions of a participant.

    Raises
    ------
    BadDataError
        No presentation is long enough, or the feature varies in none.
    """
    LOGGER.info("sub-%s: lags behind %s", record.participant, job.feature.name)
    used, left_out = long_enough(prepared.blocks)
    heard = {b.stimulus: _filtered(courses[b.stimulus], cleaning.high_pass) for b in used}
    used = [b for b in used if _scanned(b, courses[b.stimulus], heard[b.stimulus], left_out)]
    if not used:
        raise BadDataError(
            "A feature for a lag scan is constant.",
            where="--lag-scan",
            found=f"{job.feature.name}: {'; '.join(f'{k}: {why}' for k, why in left_out.items())}",
            wanted="a feature that changes within the pieces",
            remedy="give another feature, or leave these pieces out",
        )
    mesh = load_mesh(cleaning.space)
    regions = [*scanned_regions(job.atlases, job.seeds, mesh, left_out), *_parcels(runs, cleaning)]
    for name, why in left_out.items():
        LOGGER.warning("sub-%s: lag scan without %s: %s", record.participant, name, why)
    seed = int(job.settings["random_seed"])

    def scan(responses: Sequence[NDArray[np.floating]]) -> LagScan:
        told = [lag_run(b, y, heard[b.stimulus]) for b, y in zip(used, responses, strict=True)]
        rng = generator(seed, "lag scan", job.feature.label)
        n_draws = int(job.settings["n_draws"])
        return lag_scan(told, LAGS, n_draws=n_draws, rng=rng)

    starts = range(0, used[0].values.shape[1], _COLUMNS)
    with ThreadPoolExecutor(n_threads) as pool:
        parts = list(
            pool.map(lambda k: scan([b.values[:, k : k + _COLUMNS] for b in used]), starts)
        )
    means = [
        np.stack([region_mean(b.values[:, one.vertices]) for one in regions], axis=1) for b in used
    ]
    found = scan(means)
    lag, r, p = (np.concatenate([getattr(part, n) for part in parts]) for n in ("lag", "r", "p"))
    highest = np.max([part.highest for part in parts], axis=0)
    return LagMaps(
        lag.astype(np.float32),
        r.astype(np.float32),
        p.astype(np.float32),
        share_reached(np.abs(r), highest).astype(np.float32),
        region_rows(regions, found),
        curve_rows(regions, found.curves),
        {label: course_rows(courses[label], x) for label, x in heard.items()},
        left_out,
    )


def long_enough(blocks: Sequence[Block]) -> tuple[list[Block], dict[str, str]]:
    """Presentations with enough rows, and why others take no part.

    Raises
    ------
    BadDataError
        There is none.
    """
    used, left_out = [], {}
    for block in blocks:
        n = len(scanned_times(block.times))
        if n < MIN_ROWS:
            left_out[f"{block.stimulus} in {block.run}"] = f"{n} volumes with music at every lag"
        else:
            used.append(block)
    if not used:
        raise BadDataError(
            "No piece is long enough for a lag scan.",
            where="--lag-scan",
            found="; ".join(f"{name}: {why}" for name, why in left_out.items()),
            wanted=f"{MIN_ROWS} volumes with music at every lag from {LAGS[0]:g} to {LAGS[-1]:g} s",
            remedy="use longer pieces, or leave --lag-scan out",
        )
    return used, left_out


def _scanned(block: Block, course: Course, scanned: Course, left_out: dict[str, str]) -> bool:
    """Whether the feature varies where a presentation was heard; it is `left_out` where not."""
    found = feature_varies(course.times, course.values, scanned.values, block.times)
    if not found:
        left_out[f"{block.stimulus} in {block.run}"] = CONSTANT
    return found


def feature_varies(
    course_times: NDArray[np.float64],
    values: NDArray[np.float64],
    scanned: NDArray[np.float64],
    times: NDArray[np.float64],
) -> bool:
    """Whether a feature varies at every lag over the volumes of a presentation."""
    size = float(np.abs(values).max())
    return varies(scanned, course_times, scanned_times(times), LAGS, size)


def lag_run(block: Block, responses: NDArray[np.floating], course: Course) -> LagRun:
    """A presentation, for `lag_scan`: only what was heard counts."""
    heard = (float(block.times[0]), float(block.times[-1]))
    return LagRun(responses, block.times, course.values, course.times, heard=heard)


def _filtered(course: Course, high_pass: HighPass) -> Course:
    """The feature without the drifts that were taken out of the responses."""
    values = course.values - course.values.mean()
    return Course(course.times, filtered(values, STEP, high_pass), course.units)


def scanned_regions(
    atlases: Sequence[str],
    seeds: Sequence[SeedRegion],
    mesh: SurfaceMesh,
    left_out: dict[str, str],
) -> list[ScanRegion]:
    """Auditory cortex, the regions of atlases, and seeds; seeds in the volume are `left_out`."""
    found = [ScanRegion(AUDITORY, "built in", "both", auditory_vertices(mesh))]
    for option in atlases:
        atlas = read_atlas(option, mesh.n_vertices)
        for number, name in atlas.names.items():
            places = np.flatnonzero(atlas.regions == number)
            found.append(ScanRegion(name, atlas.label, atlas.hemispheres[number], places))
    for seed in seeds:
        if seed.kind == "volume":
            left_out[seed.name] = "a seed in the volume has no course on the surface"
            continue
        places = seed_vertices(seed, mesh)
        side = "L" if places[0] < mesh.left.n_vertices else "R"
        found.append(ScanRegion(seed.name, "seed", side, places))
    return found


def _parcels(runs: Sequence[BoldRun], cleaning: Cleaning) -> list[ScanRegion]:
    """Regions of parcellated series."""
    regions = regions_of_runs(runs, cleaning)
    if regions is None:
        return []
    half = len(regions.of_vertex) // 2
    label, first = atlas_label(str(cleaning.parcels)), regions.first
    return [
        ScanRegion(name, label, "L" if first[k] < half else "R", np.array([first[k]]))
        for k, name in enumerate(regions.names)
        if first[k] >= 0
    ]


def region_rows(regions: Sequence[ScanRegion], found: LagScan) -> list[dict[str, Any]]:
    """One row per region."""
    return [
        {
            "region": one.name,
            "kind": one.kind,
            "hemisphere": one.hemisphere,
            "n_vertices": len(one.vertices),
            "lag_s": found.lag[k],
            "r": found.r[k],
            "p": found.p[k],
            "p_corrected": found.p_corrected[k],
            "at_edge": bool(found.at_edge[k]),
            "state": lag_state(found.p_corrected[k], at_edge=bool(found.at_edge[k])),
        }
        for k, one in enumerate(regions)
    ]


def curve_rows(regions: Sequence[ScanRegion], curves: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Correlation of every region at every lag."""
    return [
        {"region": one.name, "kind": one.kind, "hemisphere": one.hemisphere, "lag_s": h, "r": r}
        for one, curve in zip(regions, curves.T, strict=True)
        for h, r in zip(LAGS.tolist(), curve.tolist(), strict=True)
    ]


def course_rows(course: Course, scanned: Course) -> list[dict[str, Any]]:
    """The feature as it is, and as it was scanned."""
    columns = (course.times, course.values, scanned.values)
    return [
        {"time_s": t, "value": x, "scanned": y}
        for t, x, y in zip(*(column.tolist() for column in columns), strict=True)
    ]


def write_lag_scan(tree: OutputTree, record: Record, job: LagJob, maps: LagMaps) -> list[Path]:
    """Write maps and tables of a feature; the settings file comes last."""
    settings = record.settings
    common = {
        "Sources": list(record.sources),
        "Feature": job.feature.name,
        **job.feature.row.corpus_record(),
        "Lags": settings["lags"],
        "ChosenWithin": settings["within"],
        "SignConvention": "at a positive lag the brain follows the music",
        "Draws": settings["n_draws"],
        "RandomSeed": settings["random_seed"],
        "Confounds": settings["confounds"],
        **filter_fields(settings["high_pass"]),
        "SmoothingFWHM": settings["smoothing"],
        "CortexMask": settings["cortex_mask"],
        "StimulusSHA256": record.stimuli,
        "LeftOut": maps.left_out,
        "SettingsHash": settings_hash(dict(settings)),
    }
    writer = ParticipantWriter(tree, record, common)
    writer.begin()
    parts = lag_parts(job.feature.label, list(maps.courses), common)
    pieces = {safe_label(label): rows for label, rows in maps.courses.items()}
    for part in parts:
        rows = pieces.get(part.entities.get("stim", ""))
        writer.write(LAG_SCAN, maps if rows is None else SimpleNamespace(rows=rows), [part])
    return writer.finish(**writer.basis, Feature=job.feature.name, LeftOut=maps.left_out)


def lag_parts(
    label: str, pieces: Sequence[str], sidecar: Mapping[str, Any] | None = None
) -> list[Part]:
    """Maps and tables of a feature, and its course in each piece."""
    told, place = sidecar or {}, {"feature": label}
    of_pieces = [
        Part("piece", {**place, "stim": safe_label(one)}, sidecar={"Feature": told.get("Feature")})
        for one in pieces
    ]
    return [Part("maps", place), Part("tables", place, sidecar=told), *of_pieces]


REGION_COLUMNS = {
    "region": "name of the region",
    "kind": "label of its atlas, seed, or built in (around Heschl's gyrus)",
    "hemisphere": "L, R or both",
    "n_vertices": "vertices of the region",
    "lag_s": "seconds by which the region follows the feature; n/a at the edge of the lags",
    "r": "correlation at that lag, the largest in size between the lags that count",
    "p": "how often random phases of the responses come as far at their own best lag",
    "p_corrected": "the same at the best of all regions of this table",
    "at_edge": "whether the best lag is the first or the last that counts",
    "state": f"{CLEAR}, {AT_EDGE} (p_corrected < .05 in both) or {UNCLEAR}",
}
CURVE_COLUMNS = {
    "region": "name of the region",
    "kind": "label of its atlas, seed, or built in",
    "hemisphere": "L, R or both",
    "lag_s": "seconds; at positive lags the brain follows the music",
    "r": "correlation over runs, the same rows at all lags",
}
COURSE_COLUMNS = {
    "time_s": "seconds in the music",
    "value": "the feature, mean over 1 s",
    "scanned": "the same without its mean and the drifts that were taken out of the responses",
}

# Measured for 939 volumes on fsaverage5, a draw of all vertices (docs/lags.md).
_DRAW_SECONDS = 0.15


def _cost(scope: Scope) -> Cost:
    share = scope.n_rows / 939 * scope.n_vertices / (2 * 10242)
    n_draws = scope.config.lag_scan.n_draws
    steps = {"scan_lags": scope.series.fitting(4), "write_lag_scan": scope.series.holding(8)}
    return Cost(seconds=n_draws * _DRAW_SECONDS * share, steps=steps)


LAG_SCAN = ParticipantAnalysis(
    "lag scan",
    needed=lambda scope: bool(scope.music and scope.config.lag_scan.features),
    parts=lambda scope: lag_parts(scope.feature, sorted(set(scope.heard))),
    cost=_cost,
    maps=(
        MapOutput("lag", "lag", each="maps"),
        MapOutput("r", "r", "correlation with the feature at the best lag", each="maps"),
        MapOutput(
            "p",
            "p",
            "how often random phases of the responses come as far at their own best lag",
            each="maps",
        ),
        MapOutput(
            "p",
            "p_max",
            "how often random phases of the responses come as far at the best of all vertices",
            desc="maxt",
            each="maps",
        ),
    ),
    tables=(
        TableOutput(
            "summary", "regions", REGION_COLUMNS, each="tables", value="regions", whole=True
        ),
        TableOutput(
            "timeseries", "curves", CURVE_COLUMNS, each="tables", value="curves", whole=True
        ),
        TableOutput("timeseries", "course", COURSE_COLUMNS, each="piece", value="rows", whole=True),
    ),
    model=LAG_SCAN_LABEL,
    sections=lag_scan_sections,
)
