"""What the linear models of emotion share: runs ready to be fitted, maps of a participant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.config import SPACE
from bids_app.emotion import Design, GlmEstimate, fit_run, fixed_effects
from bids_app.errors import BadDataError
from bids_app.features.timing import high_pass_basis
from bids_app.inputs.confounds import select_confounds
from bids_app.inputs.records import BoldRun
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import SurfaceMesh, load_mesh
from bids_app.surface.smooth import smooth_surface

from .responses import read_bold

NOISE_MODEL = "ar1"
"""Of every fit."""


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


@dataclass(frozen=True, eq=False)
class EmotionMaps:
    """Contrasts of one participant.

    Attributes
    ----------
    names : list of n_maps str
        What each map shows.
    effect, t, z : array of shape (n_maps, n_vertices)
        Effect (percent signal change per unit of its regressor), its t and z.
    degrees_of_freedom : float
    table : list of dict
        One row per run: whether it was used, and why not.
    details : dict
        Settings of the model, for the sidecar.
    """

    names: list[str]
    effect: NDArray[np.float32]
    t: NDArray[np.float32]
    z: NDArray[np.float32]
    degrees_of_freedom: float
    table: list[dict[str, Any]]
    details: dict[str, Any]


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


class RunFits:
    """Linear models of a participant's runs, with a row per run: used, or why not."""

    def __init__(self) -> None:
        self.estimates: list[GlmEstimate] = []
        self.table: list[dict[str, Any]] = []

    def skip(self, run: BoldRun, reason: str) -> None:
        """Leave a run out."""
        self.table.append({"run": run.label, "used": False, "reason": reason})

    def fit(self, data: RunData, design: Design, weights: NDArray[np.float64]) -> None:
        """Fit a run, as for `fit_run`."""
        estimate = fit_run(data.bold, design, weights)
        self.estimates.append(estimate)
        self.table.append(
            {
                "run": data.label,
                "used": True,
                "reason": "",
                "n_volumes": len(data.frame_times),
                "n_regressors": design.matrix.shape[1],
                "degrees_of_freedom": estimate.degrees_of_freedom,
                "percent_signal_change": data.percent,
            }
        )

    def combine(
        self, names: Sequence[str], details: dict[str, Any], *, analysis: str
    ) -> EmotionMaps:
        """Fixed effects over the runs that could be fitted.

        Raises
        ------
        BadDataError
            If there is none; the reasons are those of the table.
        """
        if not self.estimates:
            reasons = dict.fromkeys(f"{row['run']}: {row['reason']}" for row in self.table)
            raise BadDataError(
                f"No run of the participant can be used for {analysis}.",
                found="; ".join(reasons) or "no runs",
                remedy="the participant is kept out of this analysis",
            )
        joint = fixed_effects(self.estimates)
        return EmotionMaps(
            names=list(names),
            effect=joint.effect.astype(np.float32),
            t=joint.t.astype(np.float32),
            z=joint.z.astype(np.float32),
            degrees_of_freedom=joint.degrees_of_freedom,
            table=self.table,
            details=details,
        )
