"""One participant's runs to cleaned responses on the clock of the music."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.participant.lags import LagCheck, check_lag
from bids_app.config import SPACE
from bids_app.errors import BadDataError
from bids_app.features.loudness import Loudness
from bids_app.features.timing import high_pass_basis, stimulus_rows
from bids_app.inputs.confounds import ConfoundSelection, select_confounds
from bids_app.inputs.records import BoldRun, Presentation
from bids_app.inputs.tables import read_frame
from bids_app.resources import fslr_spheres
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import SurfaceMesh, load_mesh
from bids_app.surface.project import OwnSurfaces, read_cifti, volume_on_template
from bids_app.surface.resample import resample_barycentric
from bids_app.surface.responses import CleanedResponses, clean_responses
from bids_app.surface.smooth import smooth_surface

# A medial wall is a tenth of a hemisphere; signal loss at the temporal poles adds to it.
MAX_SILENT_SHARE = 0.3
MEDIAL_WALL_SHARE = 0.09


@dataclass(frozen=True)
class Block:
    """One presentation of one stimulus.

    Attributes
    ----------
    stimulus : str
        Label of the stimulus.
    run : str
        Label of the run it was heard in.
    tr : float
        Repetition time, in seconds.
    times : array of shape (n_times,)
        Second of the audio file each volume was sampled at.
    values : array of shape (n_times, n_vertices), float32
        Cleaned responses, both hemispheres (left first); NaN at degenerate vertices.
    """

    stimulus: str
    run: str
    tr: float
    times: NDArray[np.float64]
    values: NDArray[np.float32]


def read_bold(run: BoldRun, mesh: SurfaceMesh | None = None) -> NDArray[np.float32]:
    """BOLD of a run on the analysis mesh (default fsaverage5), both hemispheres, left first.

    Surface GIFTI is read as it is, fsLR CIFTI is resampled over registered spheres, volumes are
    sampled between the participant's own (or the template's) white and pial surfaces.

    Returns
    -------
    array of shape (n_times, n_vertices)

    Raises
    ------
    BadDataError
        If hemispheres differ in length or the mesh is another one.
    """
    mesh = load_mesh(SPACE) if mesh is None else mesh
    if run.kind == "cifti":
        return _cifti_on_mesh(run, mesh)
    if run.kind == "volume":
        import nibabel as nib

        return np.asarray(
            volume_on_template(nib.load(run.bold_left), mesh, _own_surfaces(run.surfaces))
        )
    left, right = read_gifti(run.bold_left), read_gifti(run.bold_right)
    if len(left) != run.n_volumes:
        raise BadDataError(
            "The BOLD holds another number of volumes than its header says.",
            where=run.bold_left,
            found=f"{len(left)} volumes",
            wanted=f"{run.n_volumes}",
            remedy="copy the files again, or run fMRIPrep again for this run",
        )
    if len(left) != len(right):
        raise BadDataError(
            "The hemispheres differ in length.",
            where=run.label,
            found=f"{len(left)} volumes left, {len(right)} right",
            remedy="run fMRIPrep again for this run",
        )
    bold = np.hstack([left, right])
    if bold.shape[1] != mesh.n_vertices:
        raise BadDataError(
            "The BOLD is on another mesh.",
            where=run.label,
            found=f"{bold.shape[1]} vertices",
            wanted=f"{mesh.n_vertices} ({mesh.space})",
        )
    return bold


def _cifti_on_mesh(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    halves = [
        resample_barycentric(half, *read_surface(path), target, mask=np.isfinite(half).all(axis=0))
        for half, path, target in zip(
            read_cifti(run.bold_left), fslr_spheres(), mesh.spheres, strict=True
        )
    ]
    return np.hstack(halves).astype(np.float32)


def _own_surfaces(files: Sequence[Path]) -> tuple[OwnSurfaces, OwnSurfaces] | None:
    """A participant's surfaces: white, pial, registered sphere, left then right."""
    if not files:
        return None
    sides = []
    for white, pial, sphere in (files[:3], files[3:]):
        points, faces = read_surface(white)
        sides.append(OwnSurfaces(points, read_surface(pial)[0], read_surface(sphere)[0], faces))
    return sides[0], sides[1]


def _smooth(
    values: NDArray[np.float32], mesh: SurfaceMesh, fwhm: float, cortex: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Smooth rows on both hemispheres; vertices outside `cortex` take no part."""
    if fwhm == 0:
        return values
    halves = [
        smooth_surface(half, (hemi.white + hemi.pial) / 2, hemi.faces, fwhm, mask=inside)
        for half, hemi, inside in zip(
            np.split(values, 2, axis=1), mesh.hemispheres, np.split(cortex, 2), strict=True
        )
    ]
    return np.hstack(halves).astype(np.float32)


@dataclass
class Prepared:
    """A participant's responses and what is to be told about them.

    Attributes
    ----------
    blocks : list of Block
        One per presentation, in the order of the runs.
    summary : list of dict
        One row per run: volumes, confounds, degrees of freedom, degenerate vertices, lag, warnings.
    lags : list of dict
        Curves of the lag check: run, stimulus, lag_s, r.
    design : list of dict
        One row per volume: run, volume, framewise_displacement, confounds; None where unknown.
    """

    blocks: list[Block] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    lags: list[dict[str, Any]] = field(default_factory=list)
    design: list[dict[str, Any]] = field(default_factory=list)


def prepare_responses(
    runs: Sequence[BoldRun],
    *,
    confounds: str,
    high_pass: float,
    smoothing: float = 0.0,
    space: str = SPACE,
    cortex_mask: Sequence[Path] = (),
    sounds: Mapping[str, Loudness] | None = None,
) -> Prepared:
    """Clean every run, smooth it on the surface and cut out the music.

    Parameters
    ----------
    runs : sequence of BoldRun
    confounds : str
        Strategy.
    high_pass, smoothing : float
        Cutoff in seconds; full width at half maximum in mm, 0 for none.
    space : str
        Analysis mesh.
    cortex_mask : sequence of Path
        Files that say which vertices are cortex; the others become NaN. Empty: all that vary.
    sounds : mapping of str to Loudness, optional
        Loudness of the stimuli by label; without it the lag of the music is not checked.
    """
    prepared = Prepared()
    mesh = load_mesh(space)
    auditory = auditory_vertices(mesh)
    cortex = read_cortex_mask(cortex_mask, mesh.n_vertices) if cortex_mask else None
    for run in runs:
        bold = read_bold(run, mesh)
        if cortex is not None:
            bold[:, ~cortex] = np.nan
        inside = np.ones(mesh.n_vertices, dtype=bool) if cortex is None else cortex
        selected = select_confounds(
            run.confounds_file, run.confounds_json, confounds, len(bold), own_high_pass=True
        )
        drift = high_pass_basis(len(bold), run.tr, high_pass) if high_pass else None
        cleaned = clean_responses(bold, selected.values, drift, n_dummy=run.n_dummy)
        noticed = _without_signal(run, cleaned.degenerate, inside)
        if cortex is None:
            noticed += _with_signal_everywhere(cleaned.degenerate)
        responses = _smooth(cleaned.values, mesh, smoothing, ~cleaned.degenerate)
        blocks = [_cut(run, presentation, responses) for presentation in run.presentations]
        checks = [
            _check_lag(block, auditory, sounds, high_pass) for block in blocks if sounds is not None
        ]
        prepared.blocks += blocks
        prepared.lags += [row for check in checks for row in check.rows(run.label)]
        prepared.design += _design_rows(run, selected, len(bold))
        prepared.summary.append(
            {
                "smoothing_mm": smoothing,
                **_summary_row(run, blocks, selected, cleaned, checks, noticed),
            }
        )
    return prepared


def _without_signal(
    run: BoldRun, degenerate: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> list[str]:
    """Warn of hemispheres in which much of the cortex has no signal.

    Raises
    ------
    BadDataError
        If no vertex has one.
    """
    if (degenerate | ~inside).all():
        raise BadDataError(
            "No vertex of a run has a signal.",
            where=run.bold_left,
            found=f"{inside.sum()} vertices that are constant or not finite",
            remedy="see whether these are the right files, or leave the run out with --exclude-run",
        )
    warnings = []
    for side, bad, cortex in zip(
        ("left", "right"), np.split(degenerate, 2), np.split(inside, 2), strict=True
    ):
        share = float(bad[cortex].mean()) if cortex.any() else 0.0
        if share > MAX_SILENT_SHARE:
            warnings.append(f"{share:.0%} of the vertices of the {side} hemisphere have no signal")
    return warnings


def _with_signal_everywhere(degenerate: NDArray[np.bool_]) -> list[str]:
    """Warn where the medial wall has a signal and no mask leaves it out.

    It covers 9 % of a hemisphere of fsaverage.
    """
    shares = [half.mean() for half in np.split(degenerate, 2)]
    if min(shares) >= MEDIAL_WALL_SHARE / 2:
        return []
    return [
        f"only {min(shares):.1%} of a hemisphere has no signal: the medial wall counts as cortex "
        "unless --cortex-mask leaves it out"
    ]


def _cut(run: BoldRun, presentation: Presentation, responses: NDArray[np.float32]) -> Block:
    """The volumes of a run in which a presentation was heard."""
    rows, times = stimulus_rows(
        len(responses),
        run.tr,
        run.start_time,
        presentation.onset,
        presentation.duration,
        presentation.offset,
    )
    steady = rows >= run.n_dummy
    return Block(presentation.stimulus, run.label, run.tr, times[steady], responses[rows[steady]])


def _summary_row(
    run: BoldRun,
    blocks: Sequence[Block],
    selected: ConfoundSelection,
    cleaned: CleanedResponses,
    checks: Sequence[LagCheck],
    noticed: Sequence[str],
) -> dict[str, Any]:
    lags = [check.warning for check in checks if check.warning]
    return {
        "run": run.label,
        "stimuli": ",".join(p.stimulus for p in run.presentations),
        "onsets_s": ",".join(f"{p.onset:g}" for p in run.presentations),
        "n_volumes": len(cleaned.values),
        "n_dummy": run.n_dummy,
        "n_volumes_with_music": sum(len(block.times) for block in blocks),
        "repetition_time_s": run.tr,
        "repetition_time_source": run.tr_source,
        "sampling_time_s": run.start_time,
        "sampling_time_source": run.start_time_source,
        "bold": f"{run.kind} in {run.space}",
        "n_confounds": len(selected.names),
        "confounds": ",".join(selected.names),
        "design_rank": cleaned.rank,
        "degrees_of_freedom": cleaned.degrees_of_freedom,
        "n_degenerate_vertices": int(cleaned.degenerate.sum()),
        "lag_s": ",".join(f"{check.lag:.2f}" for check in checks),
        "lag_r": ",".join(f"{check.r:.3f}" for check in checks),
        "lag_p": ",".join(f"{check.p:.3f}" for check in checks),
        "warnings": "; ".join([*run.warnings, *selected.warnings, *noticed, *lags]),
    }


def _design_rows(run: BoldRun, selected: ConfoundSelection, n_volumes: int) -> list[dict[str, Any]]:
    """Confounds as they went into the design, and head motion for the reader."""
    motion: list[float | None] = [None] * n_volumes
    if run.confounds_file is not None:
        table = read_frame(run.confounds_file)
        for name in ("framewise_displacement", "FramewiseDisplacement"):
            if name in table and len(table) == n_volumes:
                numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
                motion = [float(v) if np.isfinite(v) else None for v in numbers]
    return [
        {"run": run.label, "volume": volume, "framewise_displacement": motion[volume]}
        | dict(zip(selected.names, map(float, selected.values[volume]), strict=True))
        for volume in range(n_volumes)
    ]


def _check_lag(
    block: Block, auditory: NDArray[np.int64], sounds: Mapping[str, Loudness], high_pass: float
) -> LagCheck:
    return check_lag(
        block.stimulus,
        block.values[:, auditory],
        block.times,
        sounds[block.stimulus],
        tr=block.tr,
        high_pass=high_pass,
    )


def save_blocks(path: Path, blocks: Sequence[Block]) -> Path:
    """Write blocks to one uncompressed ``.npz`` file."""
    arrays: dict[str, Any] = {}
    meta = []
    for index, block in enumerate(blocks):
        arrays[f"values_{index}"] = block.values
        arrays[f"times_{index}"] = block.times
        meta.append({k: v for k, v in asdict(block).items() if k in ("stimulus", "run", "tr")})
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


def load_blocks(path: Path) -> list[Block]:
    """Read what `save_blocks` wrote."""
    with np.load(path) as stored:
        meta = json.loads(str(stored["meta"]))
        return [
            Block(times=stored[f"times_{i}"], values=stored[f"values_{i}"], **fields)
            for i, fields in enumerate(meta)
        ]


@dataclass(frozen=True, eq=False)
class RunData:
    """One run without its dummy scans.

    Attributes
    ----------
    label : str
    tr : float
        Seconds.
    frame_times : array of shape (n_times,)
        When the volumes were sampled, in seconds of the run.
    bold : array of shape (n_times, n_vertices)
        Percent of each vertex' mean where `percent`, else as in the file.
    nuisance : tuple of arrays of shape (n_times, n_columns)
        Confounds and drift.
    percent : bool
    """

    label: str
    tr: float
    frame_times: NDArray[np.float64]
    bold: NDArray[np.float32]
    nuisance: tuple[NDArray[np.float64], ...]
    percent: bool


def prepare_run(
    run: BoldRun,
    *,
    confounds: str,
    high_pass: float,
    smoothing: float = 0.0,
    mesh: SurfaceMesh | None = None,
    cortex_mask: Sequence[Path] = (),
) -> RunData:
    """Read a run with its confounds and drift, which go into the design.

    The series becomes percent of its mean, so that effects of participants can be compared; a file
    whose mean was already taken out stays as it is.

    Parameters
    ----------
    run : BoldRun
    confounds : str
        Strategy.
    high_pass, smoothing : float
        Cutoff in seconds, full width at half maximum in mm; 0 for none.
    mesh : SurfaceMesh, optional
        Of the analysis; default: fsaverage5.
    cortex_mask : sequence of Path
        Files that say which vertices are cortex; the others become NaN. Empty: all that vary.
    """
    mesh = load_mesh(SPACE) if mesh is None else mesh
    bold = read_bold(run, mesh)
    if cortex_mask:
        bold[:, ~read_cortex_mask(cortex_mask, mesh.n_vertices)] = np.nan
    selected = select_confounds(
        run.confounds_file, run.confounds_json, confounds, len(bold), own_high_pass=True
    )
    drift = high_pass_basis(len(bold), run.tr, high_pass) if high_pass else np.empty((len(bold), 0))
    kept = slice(run.n_dummy, None)
    data = bold[kept]
    mean, sd = data.mean(axis=0, dtype=np.float64), data.std(axis=0, dtype=np.float64)
    alive = np.isfinite(mean) & (sd > 0)
    percent = bool(alive.any() and np.median(mean[alive] / sd[alive]) > 2.0)
    if percent:
        usable = alive & (mean > sd)
        scale = np.where(usable, 100.0 / np.where(usable, mean, 1.0), np.nan)
        data = data * scale.astype(np.float32)
    if smoothing > 0:
        data = _smoothed(data, mesh, smoothing, alive & np.isfinite(data).all(axis=0))
    frames = run.start_time + run.tr * np.arange(len(bold), dtype=np.float64)
    return RunData(
        run.label, run.tr, frames[kept], data, (selected.values[kept], drift[kept]), percent
    )


def _smoothed(
    values: NDArray[np.float32], mesh: SurfaceMesh, fwhm: float, usable: NDArray[np.bool_]
) -> NDArray[np.float32]:
    cut = mesh.left.n_vertices
    halves = [
        smooth_surface(half, (hemi.white + hemi.pial) / 2, hemi.faces, fwhm, mask=inside)
        for half, hemi, inside in zip(
            np.split(values, [cut], axis=1), mesh.hemispheres, np.split(usable, [cut]), strict=True
        )
    ]
    return np.hstack(halves).astype(np.float32)


def auditory_responses(
    run: BoldRun, mesh: SurfaceMesh, confounds: str, high_pass: float
) -> NDArray[np.float32]:
    """Cleaned responses around Heschl's gyrus of a whole run, (n_volumes, n)."""
    bold = read_bold(run, mesh)[:, auditory_vertices(mesh)]
    selected = select_confounds(
        run.confounds_file, run.confounds_json, confounds, len(bold), own_high_pass=True
    )
    drift = high_pass_basis(len(bold), run.tr, high_pass)
    return clean_responses(bold, selected.values, drift, n_dummy=run.n_dummy).values
