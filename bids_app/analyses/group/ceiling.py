"""Accuracy beside the noise ceiling: what a model of the response that people share could reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, Settings, TableOutput
from bids_app.analyses.group.analysis import ACCURACIES, RESPONSES, GroupAnalysis
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import IscOutcome
from bids_app.analyses.participant.repeats import fraction_row, mean_inside
from bids_app.config import Config, Statistics
from bids_app.group import SharedCeiling, ceiling_fraction
from bids_app.group.claims import holds
from bids_app.outputs import CEILING_DESC
from bids_app.report.ceiling import ceiling_section
from bids_app.report.group import Shown
from bids_app.statistics import fisher_mean

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fractions:
    """Accuracy as a fraction of its ceiling.

    Attributes
    ----------
    fraction : array of shape (n_layers, n_vertices)
        NaN where the ceiling is too low or not reliable.
    participants : list of str
        Whose accuracy and responses it is, with ``sub-``.
    n_reliable, n_usable, n_undefined : int
        Vertices where what participants share is significant; of these, with a ceiling above the
        floor; and without a ceiling, since pairs do not correlate above zero.
    rows : list of dict
        One per layer.
    """

    fraction: FloatArray
    participants: list[str]
    n_reliable: int
    n_usable: int
    n_undefined: int
    rows: list[dict[str, Any]]


def accuracy_and_ceiling(
    data: GroupData, synchrony: IscOutcome, statistics: Statistics
) -> Fractions | None:
    """Divide accuracies by the ceiling of the same participants; None where there is no ceiling."""
    if synchrony.result is None or synchrony.ceiling is None:
        return None
    people = [data.participants.index(who.removeprefix("sub-")) for who in synchrony.participants]
    r = fisher_mean(data.r[people])
    ceiling, reliable = synchrony.ceiling, holds(synchrony.result.p_max)
    fraction = ceiling_fraction(r, ceiling.group, reliable, floor=statistics.ceiling_floor)
    return Fractions(
        fraction=fraction,
        participants=synchrony.participants,
        n_reliable=int(reliable.sum()),
        n_usable=int((reliable & (np.nan_to_num(ceiling.group) > statistics.ceiling_floor)).sum()),
        n_undefined=ceiling.n_undefined,
        rows=[
            _row(k, name, own, ceiling, np.isfinite(inside))
            for k, (name, own, inside) in enumerate(zip(data.layer_names, r, fraction, strict=True))
        ],
    )


def _row(
    layer: int, name: str, r: FloatArray, ceiling: SharedCeiling, inside: NDArray[np.bool_]
) -> dict[str, Any]:
    """As of a participant, with the number of the layer and the lower bound."""
    lower = {"ceiling_lower": mean_inside(ceiling.lower, inside)}
    return {"layer": layer + 1} | fraction_row(name, r, ceiling.group, inside) | lower


def layer_rows(ceiling: Fractions) -> Rows:
    """One row per layer."""
    return ceiling.rows


def ceiling_settings(config: Config) -> list[tuple[str, Settings]]:
    """Settings of what is said beside the ceiling."""
    return [("", config.ceiling_settings())]


def told_of_ceiling(result: Fractions) -> dict[str, Any]:
    """How many vertices have a ceiling that can be divided by."""
    return {
        "CeilingParticipants": result.participants,
        "ReliableVertices": result.n_reliable,
        "UsableVertices": result.n_usable,
        "NotAboveZero": result.n_undefined,
    }


CEILING = GroupAnalysis(
    "ceiling",
    accuracy_and_ceiling,
    (
        MapOutput(
            "fraction",
            "fraction",
            "mean accuracy over its ceiling (stat-ceiling_desc-shared), where that is above the "
            "floor and its p corrected over vertices (stat-p_desc-iscmaxt) below .05",
            desc=CEILING_DESC,
            details={"Participants": "participants"},
        ),
        TableOutput(
            "summary",
            CEILING_DESC,
            {
                "layer": "number of the layer (1-based)",
                "name": "name of the layer",
                "n_vertices": "vertices with a fraction",
                "mean_r": "mean accuracy over them",
                "ceiling": "mean ceiling over them",
                "ceiling_lower": "mean lower bound of the ceiling over them",
                "fraction": "mean accuracy over mean ceiling",
            },
            rows=layer_rows,
        ),
    ),
    details=told_of_ceiling,
    desc=CEILING_DESC,
    settings=ceiling_settings,
    of_weights=False,
    reads=(ACCURACIES, RESPONSES),
    page=Shown(sections=(ceiling_section,)),
)
