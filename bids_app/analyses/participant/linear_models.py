"""What the linear models of emotion share: runs ready to be fitted, maps of a participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.emotion import Design, GlmEstimate, fixed_effects
from bids_app.errors import BadDataError
from bids_app.inputs.records import BoldRun

NOISE_MODEL = "ar1"
"""Of every fit."""


@dataclass(frozen=True)
class MapContrast:
    """What one map of a linear model shows.

    Attributes
    ----------
    name : str
        For the reader.
    weights : mapping from column of the design to float
    scale : str
        What was rated; empty for conditions.
    window : str
        ``precedes`` or ``follows`` for the mean over negative or positive delays, else empty.
    delay : float or None
        Seconds by which the brain follows the rating, for the map of a single delay.
    """

    name: str
    weights: Mapping[str, float]
    scale: str = ""
    window: str = ""
    delay: float | None = None


@dataclass(frozen=True, eq=False)
class TurnedEffect:
    """An effect as a function of the phases of one piece of music.

    Attributes
    ----------
    contrast : MapContrast
    stimulus : str
    values : array of shape (1 + 2 * n_freq, n_vertices)
        Constant term, then cosine and sine of every frequency (`turned_effects`).
    """

    contrast: MapContrast
    stimulus: str
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LinearMaps:
    """Contrasts of one participant.

    Attributes
    ----------
    contrasts : sequence of n_maps MapContrast
        What each map shows.
    effect, t, z : array of shape (n_maps, n_vertices)
        Effect (percent signal change per unit of its regressor), its t and z.
    degrees_of_freedom : float
    table : list of dict
        One row per run: whether it was used, and why not.
    details : dict
        Settings of the model, for the sidecar.
    turned : sequence of TurnedEffect
        Of each contrast that the group level tests, and each piece; empty for conditions.
    design : list of dict
        One row per volume and run that took part: the columns of the design, in their units.
    """

    contrasts: Sequence[MapContrast]
    effect: NDArray[np.float32]
    t: NDArray[np.float32]
    z: NDArray[np.float32]
    degrees_of_freedom: float
    table: list[dict[str, Any]]
    details: dict[str, Any]
    turned: Sequence[TurnedEffect] = ()
    design: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of the maps, for the reader."""
        return [contrast.name for contrast in self.contrasts]


class RunFits:
    """Linear models of a participant's runs, with a row per run: used, or why not."""

    def __init__(self) -> None:
        self.estimates: list[GlmEstimate] = []
        self.table: list[dict[str, Any]] = []

    def skip(self, run: BoldRun, reason: str) -> None:
        """Leave a run out."""
        self.table.append({"run": run.label, "used": False, "reason": reason})

    def add(self, run: BoldRun, design: Design, estimate: GlmEstimate, *, percent: bool) -> None:
        """Add the contrasts of a run's fit."""
        self.estimates.append(estimate)
        self.table.append(
            {
                "run": run.label,
                "used": True,
                "reason": "",
                "n_volumes": len(design.matrix),
                "n_regressors": design.matrix.shape[1],
                "degrees_of_freedom": estimate.degrees_of_freedom,
                "percent_signal_change": percent,
            }
        )

    def combine(
        self, contrasts: Sequence[MapContrast], details: dict[str, Any], *, analysis: str
    ) -> LinearMaps:
        """Fixed effects over the runs that could be fitted.

        Raises
        ------
        BadDataError
            If there is none; the reasons are those of the table.
        """
        if not self.estimates:
            reasons = dict.fromkeys(f"{row['run']}: {row['reason']}" for row in self.table)
            raise BadDataError(
                "No run of the participant can be used.",
                where=analysis,
                found="; ".join(reasons) or "no runs",
                wanted="a run that the analysis can use",
                remedy="the participant is kept out of this analysis",
            )
        joint = fixed_effects(self.estimates)
        return LinearMaps(
            contrasts=contrasts,
            effect=joint.effect.astype(np.float32),
            t=joint.t.astype(np.float32),
            z=joint.z.astype(np.float32),
            degrees_of_freedom=joint.degrees_of_freedom,
            table=self.table,
            details=details,
        )
