"""Inter-subject correlation, and the ceiling of r, from the cleaned responses in the folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis, state
from bids_app.analyses.group.clock import Stack, share_clock, stack_responses
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.config import Statistics
from bids_app.encoding.gram import delay_samples, kept_rows
from bids_app.errors import BadDataError, reason_of
from bids_app.group import IscResult, SharedCeiling, isc, shared_ceiling
from bids_app.outputs import OutputTree
from bids_app.report.group import Shown
from bids_app.report.synchrony import isc_section

LOGGER = logging.getLogger("bids_app.analyses")

MIN_PARTICIPANTS = 3


@dataclass(frozen=True)
class IscOutcome:
    """Inter-subject correlation, or why there is none.

    Attributes
    ----------
    result : IscResult or None
    stimuli : list of str
        Stimuli that went in.
    reasons : list of str
        Who and what was left out, and why.
    participants : list of str
        Who went in, with ``sub-``.
    kept : bool
        Whether the maps are those of an earlier result of the same participants.
    ceiling : SharedCeiling or None
        Of the same responses.
    no_ceiling : str
        Why there is none although there is a correlation.
    """

    result: IscResult | None
    stimuli: list[str]
    reasons: list[str]
    participants: list[str]
    kept: bool = False
    ceiling: SharedCeiling | None = None
    no_ceiling: str = ""

    @property
    def states(self) -> list[dict[str, str]]:
        """What went in, and what was left out."""
        if self.kept:
            told = f"the earlier result stays: {'; '.join(self.reasons)}"
            return [state("isc", reason=told, done=True)]
        done = [state("isc", stimulus) for stimulus in self.stimuli]
        left_out = [state("isc", reason=reason) for reason in self.reasons]
        if self.no_ceiling:
            left_out.append(state("ceiling", reason=self.no_ceiling))
        return done + left_out


def group_isc(
    tree: OutputTree, data: GroupData, folder: Path, statistics: Statistics
) -> IscOutcome:
    """Correlate participants' cleaned responses to each stimulus.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    folder : Path
        For memory-mapped stacks of responses, which may exceed the memory.
    statistics : Statistics
    """
    LOGGER.info("group: inter-subject correlation")
    shared = share_clock(tree, data.participants, data.stimuli, data.space)
    reasons, used, result = shared.reasons, shared.stimuli, None
    ceiling, no_ceiling = None, ""
    if used and len(shared.participants) < MIN_PARTICIPANTS:
        reasons = [*reasons, "fewer than three participants"]
        used = []
    for reason in reasons:
        LOGGER.warning("group: left out of the inter-subject correlation: %s", reason)
    if used:
        stacked = [stack_responses(tree, shared, s, data.space, folder) for s in used]
        result = isc([one.values for one in stacked], seed=statistics.random_seed)
        try:
            ceiling = shared_ceiling([_scored(one, data.settings) for one in stacked])
        except BadDataError as error:
            no_ceiling = reason_of(error)
            LOGGER.warning("group: no noise ceiling: %s", no_ceiling)
    people = [f"sub-{who}" for who in shared.participants]
    kept = (
        result is None
        and same_inputs(tree, data)
        and tree.group_map("L", data.space, stat="isc", desc="pairwise").is_file()
    )
    return IscOutcome(result, used, reasons, people, kept, ceiling, no_ceiling)


def _scored(stack: Stack, settings: Mapping[str, Any]) -> NDArray[np.float32]:
    """The samples that accuracies are of: sound begins and ends alike in everybody."""
    shifts = delay_samples(settings["delays"], stack.tr)
    n_times = stack.values.shape[1]
    ((start, stop),) = kept_rows([n_times], shifts, settings["crop"], stack.tr)
    return stack.values[:, start:stop]


_TOLD = {"Stimuli": "stimuli", "Participants": "participants", "LeftOut": "reasons"}
_OUTPUTS = tuple(
    MapOutput(
        stat,
        f"result.{value}" if stat != "ceiling" else f"ceiling.{value}",
        text,
        desc=desc,
        name=desc,
        details=_TOLD if stat != "ceiling" else _TOLD | {"NotAboveZero": "ceiling.n_undefined"},
        of_model=False,
    )
    for stat, desc, value, text in (
        ("isc", "pairwise", "pairwise", "mean over pairs of participants"),
        (
            "isc",
            "leaveoneout",
            "leave_one_out_mean",
            "each participant with the others' mean (describes: values are not independent)",
        ),
        (
            "p",
            "isc",
            "p",
            "one-sided p of the mean r over pairs, independent phases per participant, uncorrected",
        ),
        (
            "p",
            "iscmaxt",
            "p_max",
            "one-sided p of the mean r over pairs, independent phases per participant, corrected "
            "over vertices by the largest value in standard deviations",
        ),
        (
            "ceiling",
            "shared",
            "group",
            "highest r, on average, of a model of what participants share with their responses: "
            "root of the mean r over pairs, stimuli weighted by their samples; n/a where that is "
            "not above zero",
        ),
        (
            "ceiling",
            "lower",
            "lower",
            "lower bound of the ceiling: mean r of each participant with the others' mean",
        ),
    )
)
SYNCHRONY = GroupAnalysis(
    "synchrony",
    group_isc,
    _OUTPUTS,
    of_weights=False,
    reads=(RESPONSES,),
    page=Shown(sections=(isc_section,), once=True),
)
