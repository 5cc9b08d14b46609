"""The study's own gradient: computed once for all models, written, and shown."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, TableOutput
from bids_app.analyses.folder.read import broken_outputs, read_completed, read_maps
from bids_app.analyses.group.alignment import Gradient, load_gradient
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.own_gradient import (
    OwnGradient,
    PersonGradient,
    RestSeries,
    each_gradient,
    find_gradient,
    refusal,
    remove_aligned,
    spin_p,
)
from bids_app.analyses.group.own_plan import OwnPlan
from bids_app.analyses.group.write import GroupWriter
from bids_app.config import Statistics, settings_hash
from bids_app.errors import BadDataError, MusencError, reason_of
from bids_app.files import read_json
from bids_app.group.own_gradient import ALPHA, KEPT_SHARE, N_COMPONENTS
from bids_app.outputs import (
    HEMISPHERES,
    OWN_COMPONENTS_DESC,
    OWN_DESC,
    OWN_PEOPLE_DESC,
    REST_DESC,
    OutputTree,
    sidecar_of,
)
from bids_app.report.group import Shown
from bids_app.report.own_gradient import own_gradient_sections
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")


@dataclass(frozen=True, eq=False)
class OwnResult:
    """A study's own gradient with everybody's.

    Attributes
    ----------
    group : OwnGradient
    each : list of PersonGradient
    p : float
        Of its relation to the template.
    template : Gradient
    """

    group: OwnGradient
    each: list[PersonGradient]
    p: float
    template: Gradient

    @property
    def values(self) -> NDArray[np.float64]:
        """The gradient, (n_vertices,)."""
        return self.group.values

    @property
    def components(self) -> NDArray[np.float64]:
        """All components, (n_components, n_vertices)."""
        return self.group.components

    @property
    def people(self) -> NDArray[np.float64]:
        """Everybody's gradient, (n_participants, n_vertices)."""
        return np.stack([one.values for one in self.each])


def own_files(tree: OutputTree, space: str) -> list[Path]:
    """Files of the own gradient, left and right."""
    return [tree.group_map(hemi, space, stat="value", desc=OWN_DESC) for hemi in HEMISPHERES]


def make_own_gradient(
    tree: OutputTree, plan: OwnPlan, statistics: Statistics, folder: Path, n_threads: int = 1
) -> str:
    """Compute and write the own gradient, unless it is there; why there is none, if so.

    `folder` takes the series while they are worked on.
    """
    template = load_gradient(plan.template, plan.space)
    settings = own_settings(plan, template, statistics)
    if _is_current(tree, plan, settings):
        LOGGER.info("own gradient: already there")
        if reason := refusal(tree):
            remove_aligned(tree)
        return reason
    series = RestSeries(folder, load_mesh(plan.space))
    for who in plan.participants:
        _read(tree, who, plan.space, series)
    writer = GroupWriter(tree, plan, settings, desc=OWN_DESC)
    writer.rest_on([{"suffix": "bold", "model": "", "desc": REST_DESC}], of_features=False)
    writer.begin()
    told: dict[str, Any] = {
        "Template": template.record,
        "WithoutRest": {f"sub-{who}": why for who, why in plan.without.items()},
        "Warnings": series.warnings,
    }
    try:
        result = _find(series, template, statistics, n_threads)
    except BadDataError as error:
        wanted = f" (wanted: {error.wanted})" if error.wanted else ""
        reason = f"{reason_of(error)}{wanted}; {error.remedy}"
        writer.finish(Refused=reason, **told)
        remove_aligned(tree)
        return reason
    _write(writer, plan, result, told | {"RandomSeed": statistics.random_seed})
    writer.finish(**told)
    LOGGER.info(
        "own gradient: component %d, Spearman r %.2f with %s (spin p %.3g)",
        result.group.choice.number,
        result.group.choice.r,
        plan.template_name,
        result.p,
    )
    return ""


def own_settings(plan: OwnPlan, template: Gradient, statistics: Statistics) -> dict[str, Any]:
    """What changes the own gradient, besides the resting runs."""
    return {
        "rest": plan.rest,
        "template": sorted(template.record["Files"].values()),
        "kernel": "cosine",
        "kept_share": KEPT_SHARE,
        "alpha": ALPHA,
        "n_components": N_COMPONENTS,
        "n_spins": statistics.n_spins,
        "random_seed": statistics.random_seed,
    }


def _is_current(tree: OutputTree, plan: OwnPlan, settings: dict[str, Any]) -> bool:
    path = tree.group_table("settings.json", desc=OWN_DESC)
    if not path.is_file():
        return False
    try:
        known = read_completed(path)
    except MusencError:
        return False
    wanted = {
        "SettingsHash": settings_hash(settings),
        "Participants": [f"sub-{who}" for who in plan.participants],
        "InputsSHA256": {f"sub-{who}": sha for who, sha in plan.inputs.items()},
        "WithoutRest": {f"sub-{who}": why for who, why in plan.without.items()},
    }
    same = all(known.get(name) == value for name, value in wanted.items())
    return same and not any(True for _ in broken_outputs(tree, known))


def _read(tree: OutputTree, participant: str, space: str, series: RestSeries) -> None:
    """Resting runs of a participant as they were written.

    Raises
    ------
    MissingInputError, BadDataError
    """
    for left in tree.find_maps(participant, "L", space, suffix="bold", desc=REST_DESC):
        told = read_json(sidecar_of(left)).get("Warnings", ())
        run = left.name.partition("_hemi-")[0]
        series.add(participant, run, read_maps(left, space), told)


def _find(
    series: RestSeries, template: Gradient, statistics: Statistics, n_threads: int
) -> OwnResult:
    def tell(text: str) -> None:
        LOGGER.info("own gradient: %s", text)

    group = find_gradient(series, template.values, tell)
    p = spin_p(
        group,
        template.values,
        series.mesh,
        n_spins=statistics.n_spins,
        seed=statistics.random_seed,
        n_threads=n_threads,
    )
    return OwnResult(group, list(each_gradient(series, group, tell)), p, template)


def _write(writer: GroupWriter, plan: OwnPlan, result: OwnResult, told: dict[str, Any]) -> None:
    """Maps, with what they are made of, and the table of participants."""
    n_components = len(result.components)
    names = {
        "values": ["gradient"],
        "components": [f"component {k}" for k in range(1, n_components + 1)],
        "people": [f"sub-{one.participant}" for one in result.each],
    }
    fields = result.group.record | told | {"SpinP": result.p}
    for output in OWN_MAPS:
        values = getattr(result, output.value)
        writer.statmap(
            output.stat,
            values,
            names[output.value],
            desc=output.desc,
            description=output.description,
            **fields,
        )
    rows = [
        {
            "participant_id": f"sub-{one.participant}",
            "n_runs": plan.runs[one.participant],
            "n_volumes": plan.volumes[one.participant],
            "rho": one.rho,
            "variance_share": one.share,
            "reason": one.reason,
        }
        for one in result.each
    ]
    rows += [
        {"participant_id": f"sub-{who}", "n_runs": 0, "n_volumes": 0, "reason": why}
        for who, why in plan.without.items()
    ]
    writer.table("summary", OWN_COLUMNS, rows, desc=OWN_DESC)


OWN_COLUMNS = {
    "participant_id": "participant",
    "n_runs": "resting runs",
    "n_volumes": "volumes that were kept, of all runs",
    "rho": "Spearman correlation of the participant's gradient, aligned with the group's, with it",
    "variance_share": "share of its direction in the variance of the participant's components",
    "reason": "why there is none",
}
OWN_MAPS = (
    MapOutput(
        "value",
        "values",
        "the study's own gradient: the component of its resting runs that is most like the "
        "template, with the template's sign",
        desc=OWN_DESC,
        of_model=False,
    ),
    MapOutput(
        "value",
        "components",
        "all components of the resting runs, with the signs they came with",
        desc=OWN_COMPONENTS_DESC,
        of_model=False,
    ),
    MapOutput(
        "value",
        "people",
        "every participant's gradient: own components turned (Procrustes) to the group's",
        desc=OWN_PEOPLE_DESC,
        of_model=False,
    ),
)
OWN = GroupAnalysis(
    "own gradient",
    make_own_gradient,
    (*OWN_MAPS, TableOutput("summary", OWN_DESC, OWN_COLUMNS, of_model=False)),
    desc=OWN_DESC,
    page=Shown(sections=(own_gradient_sections,), once=True),
)
"""Of no model: it is made before the models, whose maps are aligned with it."""
