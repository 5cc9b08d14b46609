"""Claims that are decided by themselves: accuracy of vertices and voxels, and lags."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.lag_tests import lag_claim
from bids_app.errors import MusencError
from bids_app.group.claims import (
    Claim,
    Decision,
    LevelTest,
    decide,
)
from bids_app.outputs import (
    LAG_SCAN_LABEL,
    OutputTree,
    fitted_label,
    has_others_weights,
    told_label,
)
from bids_app.report.claims import ACCURACY_OF_VOXELS
from bids_app.report.sources import GroupFiles
from bids_app.surface.subcortex import LABEL as SUBCORTEX_LABEL

LOGGER = logging.getLogger("bids_app.analyses")

FLIPS_OF_MAPS = "one-sided sign flips (largest t over layers and vertices)"

FLIPS_OF_VOXELS = "one-sided sign flips (largest t over layers and voxels)"

FLIPS_OF_LAGS = "two-sided sign flips (largest |t| over regions and features)"


@dataclass(frozen=True)
class Stated:
    """A claim of the folder, and what is decided about it.

    Attributes
    ----------
    model, gradient, measure : str
        What it is about: label of the gradient (empty for the principal one), and ``accuracy``,
        ``slope``, ``curvature`` or the name of a layer.
    claim : Claim
    primary : bool
    effect : float
        What is displayed: mean correlation, or accuracy of the best vertex.
    over_people : str
        The test over people.
    same_people : bool
        Whether the gradient is made from the people whose maps it is compared with.
    """

    model: str
    gradient: str
    measure: str
    claim: Claim
    primary: bool
    effect: float
    over_people: str
    same_people: bool = False

    @property
    def decision(self) -> Decision:
        """What is decided."""
        return decide(self.claim)


def predicted(files: GroupFiles) -> list[Stated]:
    """Whether some layer predicts some vertex, decided where both levels are strongest."""
    told = files.settings.get("Predicted")
    if not isinstance(told, Mapping) or not told:
        return []
    return [_stated_prediction(files, told, "accuracy", "vertex", "vertices")]


def predicted_voxels(files: GroupFiles) -> list[Stated]:
    """The same of subcortical voxels; nothing of an earlier result of other participants."""
    path = files.tree.group_table("settings.json", model=files.model, desc=SUBCORTEX_LABEL)
    content = read_record(path) if path.is_file() else {}
    told = content.get("Predicted")
    of_others = set(content.get("Participants", ())) != set(files.settings.get("Participants", ()))
    if not isinstance(told, Mapping) or not told or of_others:
        return []
    nouns = "subcortical voxel", "subcortical voxels"
    found = _stated_prediction(files, told, ACCURACY_OF_VOXELS, *nouns)
    return [replace(found, over_people=FLIPS_OF_VOXELS)]


def _stated_prediction(
    files: GroupFiles, told: Mapping[str, Any], measure: str, one: str, many: str
) -> Stated:
    """That some place is predicted, with the tests of the place that decides."""
    tests = [LevelTest.of(test) for test in told["Tests"]]
    count = int(told["Vertices"])
    model = told_label(files.model)
    claim = Claim(
        "predicted",
        f"{count or 'any'} {one if count < 2 else many} of {model} "
        f"{'is' if count < 2 else 'are'} predicted",
        f"No {one} of {model} is predicted",
        tests,
        unit="an accuracy (r) of",
        planned=f" at the deciding {one.split()[-1]}, had it been chosen beforehand",
        caveats=[*told.get("Caveats", ()), *other_people(files)],
    )
    return Stated(files.model, "", measure, claim, False, float(told["Effect"]), FLIPS_OF_MAPS)


def followed(root: Path) -> list[Stated]:
    """Lags of auditory cortex, and of regions where they hold, corrected over regions and features.

    They are a family of their own: their draws are of scans, not of models.
    """
    path = OutputTree(root).group_table("settings.json", model=LAG_SCAN_LABEL)
    if not path.is_file():
        return []
    try:
        return [
            Stated(
                LAG_SCAN_LABEL,
                "",
                f"lag of {told['region']} behind {told['feature']}",
                lag_claim(told),
                False,
                float(told["r"]),
                FLIPS_OF_LAGS,
            )
            for told in read_record(path, Claims=list)["Claims"]
        ]
    except (MusencError, KeyError, ValueError, TypeError) as error:
        LOGGER.warning("group: claims about lags cannot be decided: %s", error)
        return []


def other_people(files: GroupFiles) -> list[str]:
    """That results with the others' weights are not of those with own weights, and of whom."""
    if not has_others_weights(files.model):
        return []
    path = files.tree.group_table("settings.json", model=fitted_label(files.model))
    own = files.json(path).get("Participants", []) if path.is_file() else []
    here = files.settings.get("Participants", [])
    told = [
        f"{how} {', '.join(sorted(labels))}"
        for how, labels in (("without", set(own) - set(here)), ("with", set(here) - set(own)))
        if own and labels
    ]
    if not told:
        return []
    return [f"With the others' weights it is not of the same participants: {' and '.join(told)}."]
