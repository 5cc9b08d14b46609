"""Prevalence: how many participants have a significant accuracy of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.folder.read import PROBABILITY, read_maps
from bids_app.analyses.group.accuracy import usable_vertices
from bids_app.analyses.group.analysis import GroupAnalysis, state
from bids_app.analyses.group.collect import GroupData
from bids_app.group import prevalence, simes
from bids_app.outputs import OutputTree, has_others_weights
from bids_app.report.group import Shown
from bids_app.report.group_maps import prevalence_section
from bids_app.statistics import SIGNIFICANCE

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

ANY_LAYER = "any"
"""What the table calls all layers together."""


@dataclass(frozen=True, eq=False)
class GroupPrevalence:
    """How many participants show that layers predict them, and how common that is.

    Attributes
    ----------
    shown : array of shape (n_layers, n_vertices) or None
        Participants with a p of their own below .05.
    estimate : array of shape (n_layers, n_vertices) or None
        Least share of people who have it, (k/n - .05) / .95.
    rows : list of dict
        Per layer and for all together: participants in whom anything is predicted.
    n_people : int
    reason : str
        Why there is nothing.
    """

    shown: FloatArray | None = None
    estimate: FloatArray | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    n_people: int = 0
    reason: str = ""

    @property
    def states(self) -> list[dict[str, str]]:
        """That it was counted, or why not."""
        return [state("prevalence", reason=self.reason)]


def group_prevalence(tree: OutputTree, data: GroupData) -> GroupPrevalence:
    """Count the participants whose own p is below .05, at every vertex and anywhere.

    The p are those of the participant level: against noise of the vertex' own class, or random
    phases. Models that were trained on others have none.
    """
    if reason := own_p_missing(tree, data):
        LOGGER.info("group: prevalence is left out: %s", reason)
        return GroupPrevalence(reason=reason)
    usable = usable_vertices(data)
    shown = np.zeros(data.r.shape[1:])
    anywhere = []
    for p in own_p(tree, data):
        p[:, ~usable] = np.nan
        with np.errstate(invalid="ignore"):
            shown += p < SIGNIFICANCE
        anywhere.append([*simes(p), float(simes(p, axis=(0, 1)))])
    n = len(data.participants)
    shown[:, ~usable] = np.nan
    counts = (np.array(anywhere) < SIGNIFICANCE).sum(axis=0)
    names = [*data.layer_names, ANY_LAYER]
    return GroupPrevalence(
        shown,
        np.where(usable, prevalence(np.nan_to_num(shown), n).estimate, np.nan),
        [
            {"layer": name, **row}
            for name, row in zip(names, prevalence_rows(counts, n), strict=True)
        ],
        n,
    )


def own_p_missing(tree: OutputTree, data: GroupData) -> str:
    """Why participants have no p of their own; empty where they have."""
    if has_others_weights(data.model):
        return "models that were trained on others have no p within a participant"
    if data.settings.get("null") == "none":
        return "participants have no p of their own (--null none)"
    lacking = [
        participant
        for participant in data.participants
        if not tree.participant_map(
            participant, "L", data.space, model=data.model, stat="p"
        ).is_file()
    ]
    if lacking:
        return f"no p of sub-{', sub-'.join(lacking)}"
    return ""


def own_p(tree: OutputTree, data: GroupData) -> Iterator[FloatArray]:
    """P of every participant, (n_layers, n_vertices) each."""
    for participant in data.participants:
        left = tree.participant_map(participant, "L", data.space, model=data.model, stat="p")
        count = len(data.layer_names)
        yield read_maps(left, data.space, n_arrays=count, bounds=PROBABILITY).astype(np.float64)


def prevalence_rows(shown: NDArray[np.integer], n: int) -> list[dict[str, Any]]:
    """Counts, prevalence and interval as tables have them."""
    found = prevalence(shown, n)
    columns = zip(shown, found.estimate, found.low, found.high, strict=True)
    return [
        {
            "n_shown": int(k),
            "n": n,
            "prevalence": float(estimate),
            "prevalence_low": float(low),
            "prevalence_high": float(high),
        }
        for k, estimate, low, high in columns
    ]


def rows_of_prevalence(prevalence: GroupPrevalence) -> Rows:
    """One row per layer, and one for all."""
    return prevalence.rows


PREVALENCE_COLUMNS = {
    "n_shown": "participants who show it: p of their own < .05 (Simes over the tests)",
    "n": "participants",
    "prevalence": "(n_shown/n - .05) / .95: the least share of people who have it",
    "prevalence_low": "lower exact 95 % limit",
    "prevalence_high": "upper exact 95 % limit",
}
_OWN = "p of their own < .05 (one-sided, not corrected over vertices)"
_OUTPUTS = (
    MapOutput(
        "n",
        "shown",
        f"participants with a {_OWN}",
        desc="shown",
        details={"ParticipantsTested": "n_people"},
    ),
    MapOutput(
        "prevalence",
        "estimate",
        f"(k/n - .05) / .95 from k of n participants with a {_OWN}: the least share of people whom "
        "the layer predicts there",
        details={"ParticipantsTested": "n_people"},
    ),
    TableOutput(
        "summary",
        "prevalence",
        {"layer": "name of the layer; any: all together", **PREVALENCE_COLUMNS},
        rows=rows_of_prevalence,
    ),
)
PREVALENCE = GroupAnalysis(
    "prevalence",
    group_prevalence,
    _OUTPUTS,
    of_weights=False,
    reads=({"stat": "p", "desc": ""},),
    page=Shown(sections=(prevalence_section,)),
)
