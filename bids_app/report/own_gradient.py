"""The study's own gradient on the group page; absent where nobody asked for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bids_app.outputs import HEMISPHERES, OWN_DESC, sidecar_of
from bids_app.report.brain import ColorScale, surface_figure
from bids_app.report.page import (
    Block,
    Facts,
    Section,
    Table,
    Text,
    Verdict,
    number,
    percent,
    picture,
)
from bids_app.report.sources import GroupFiles, to_float
from bids_app.statistics import p_number

WARNING = (
    "The gradient comes from the people whose maps it is compared with. What a person's resting"
    " runs and music have in common besides function, such as motion or signal loss, is in both,"
    " and rotations do not protect against it. Nothing is claimed about it unless the same is"
    " claimed with an independent gradient, such as the published one, beside it."
)


def own_gradient_sections(files: GroupFiles) -> list[Section]:
    """Map, relation to the template, and whose it is."""
    done = files.tree.group_table("settings.json", desc=OWN_DESC)
    if not done.is_file():
        return []
    section = Section("owngradient", "The study's own gradient")
    told = files.json(done)
    if reason := told.get("Refused"):
        section.blocks.append(Verdict(f"There is none: {reason}.", "warning"))
    else:
        section.add("the own gradient", lambda: own_picture(files))
        section.add("numbers of the own gradient", lambda: own_facts(files))
        section.blocks.append(Verdict(WARNING, "warning"))
        section.add("participants of the own gradient", lambda: own_table(files))
    section.add("what was noticed", lambda: own_warnings(told))
    return [section]


def own_picture(files: GroupFiles) -> Block:
    """The gradient on the cortex."""
    left = _left(files)
    values = files.both(left)[0]
    return picture(
        surface_figure(values, ColorScale.ordered("gradient (no unit)", values), mesh=files.mesh),
        alt="The study's own gradient on the inflated cortex, lateral and medial views of both"
        " hemispheres",
        caption="The component of the resting runs that is most like the template, with the"
        " template's sign. Gray: medial wall, or no signal in somebody's run. How layer preference"
        " runs along it is under Alignment, as of every other gradient.",
        source=files.both_names(left),
    )


def own_facts(files: GroupFiles) -> Block:
    """Every number of it, with what it means."""
    told = files.json(sidecar_of(_left(files)))
    template = told.get("Template", {})
    name = template.get("Label") or template.get("Name", "n/a")
    return Facts(
        [
            (
                "Relation to the template",
                f"Spearman r {number(told['CorrelationWithTemplate'])} with {name}, spin p"
                f" {p_number(to_float(told['SpinP']))} (in every rotation the best of all"
                " components counts)",
            ),
            (
                "Component",
                f"{told['Component']} of {len(told['Eigenvalues'])}; next: component"
                f" {told['RunnerUp']} with r {number(told['CorrelationOfRunnerUp'])}",
            ),
            (
                "Variance",
                f"{percent(to_float(told['VarianceShare']))} of that of all components"
                f" (eigenvalue {number(told['Eigenvalues'][told['Component'] - 1])})",
            ),
            (
                "Made from",
                f"{len(told['Runs'])} resting runs of {len(told['Participants'])} participants,"
                f" {told['SeedVertices']} vertices of fsaverage4, {told['Kernel']} kernel",
            ),
        ]
    )


def own_table(files: GroupFiles) -> list[Block]:
    """Everybody's gradient, and who has none."""
    rows = files.table(files.tree.group_table("summary.tsv", desc=OWN_DESC))
    body = [
        [
            row["participant_id"],
            row["n_runs"],
            row["n_volumes"],
            number(to_float(row["rho"])),
            percent(to_float(row["variance_share"])) if row["n_runs"] != "0" else "n/a",
            row["reason"] if row["reason"] != "n/a" else "",
        ]
        for row in rows
    ]
    table = Table(
        "Participants' own gradients, aligned to the group's",
        ["participant", "runs", "volumes", "Spearman r with the group's", "variance", "why none"],
        body,
        numeric=range(1, 5),
    )
    described = Text(
        "Aligning a participant's components to the group's makes them alike in part: these r"
        " describe and test nothing."
    )
    return [table, described]


def own_warnings(told: dict[str, Any]) -> list[Block]:
    """Short runs, and who takes no part."""
    absent = [f"{who}: {why}" for who, why in (told.get("WithoutRest") or {}).items()]
    return [Verdict(f"{text}.", "warning") for text in [*(told.get("Warnings") or []), *absent]]


def _left(files: GroupFiles) -> Path:
    return files.tree.group_map(HEMISPHERES[0], files.space, stat="value", desc=OWN_DESC)
