"""The noise ceiling on the group page; absent without cleaned responses."""

from __future__ import annotations

from bids_app.group.claims import holds
from bids_app.outputs import CEILING_DESC
from bids_app.report.analyses import outdated
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND
from bids_app.report.group_details import left_out
from bids_app.report.page import Block, Section, Table, Text, Verdict, number, picture
from bids_app.report.sources import GroupFiles, to_float


def ceiling_section(files: GroupFiles) -> list[Section]:
    """Accuracy beside the noise ceiling."""
    done = files.file("settings.json", desc=CEILING_DESC)
    reasons = left_out(files, "ceiling")
    if not done.is_file() and not reasons:
        return []
    section = Section("ceiling", "Noise ceiling")
    if not done.is_file():
        section.blocks += [Text(f"There is no noise ceiling: {reason}") for reason in reasons]
        return [section]
    section.add("what the ceiling is", lambda: ceiling_text(files))
    section.add("map of the ceiling", lambda: ceiling_picture(files))
    section.add("accuracy beside the ceiling", lambda: ceiling_table(files))
    return [section]


def ceiling_text(files: GroupFiles) -> list[Block]:
    """What it means, and where it can be divided by."""
    told = files.analysis(CEILING_DESC)
    people = told["CeilingParticipants"]
    floor = told["Settings"]["ceiling_floor"]
    # It rests on no inference but that of the shared response.
    stale = outdated(files, told | {"Inference": files.settings.get("SettingsHash")})
    return [
        *([Verdict(stale, "warning")] if stale else []),
        Text(
            "The ceiling is the highest r that a model of the response which participants share"
            f" could reach with the response of one of them ({len(people)} participants; root of"
            " the mean correlation over pairs). What is reliable in one person alone can be"
            " predicted beyond it. Accuracy is given as a fraction of it only where the shared"
            " response is significant (p corrected over vertices < .05:"
            f" {told['ReliableVertices']} vertices) and the ceiling above {floor:g}"
            f" ({told['UsableVertices']} vertices). {told['NotAboveZero']} vertices have no"
            " ceiling: their pairs do not correlate above zero."
        ),
    ]


def ceiling_picture(files: GroupFiles) -> Block:
    """The ceiling at every vertex, outlined where it is reliable."""
    left = files.tree.group_map("L", files.space, stat="ceiling", desc="shared")
    ceiling = files.both(left)[0]
    p = files.both(files.tree.group_map("L", files.space, stat="p", desc="iscmaxt"))[0]
    inside = holds(p)
    single = files.both(files.tree.group_map("L", files.space, stat="p", desc="isc"))[0]
    border, why = border_of(inside, ceiling)
    told = "outlined" if border is not None else why
    return picture(
        surface_figure(
            ceiling,
            ColorScale("ceiling of r from what participants share", 0.0, 0.6).reaching(ceiling),
            mesh=files.mesh,
            outline=border,
            opacity=opacity_of(single),
        ),
        alt="Noise ceiling on the inflated cortex, lateral and medial views of both hemispheres;"
        f" {int(inside.sum())} vertices where participants share a response",
        caption="Highest r of a model of what participants share; gray where their responses do not"
        f" correlate above zero. {int(inside.sum())} vertices where they share a response"
        f" ({told}; p corrected over vertices). {LEGEND} (of the correlation over pairs, not"
        " corrected).",
        source=files.both_names(left),
    )


def ceiling_table(files: GroupFiles) -> Block:
    """One row per layer."""
    rows = files.rows("summary.tsv", desc=CEILING_DESC)
    return Table(
        "Accuracy beside the ceiling: means over the vertices with a reliable ceiling",
        ["layer", "name", "vertices", "mean r", "ceiling", "its lower bound", "fraction"],
        [
            [
                row["layer"],
                row["name"],
                row["n_vertices"],
                *(
                    number(to_float(row[name]), digits)
                    for name, digits in (
                        ("mean_r", 4),
                        ("ceiling", 3),
                        ("ceiling_lower", 3),
                        ("fraction", 3),
                    )
                ),
            ]
            for row in rows
        ],
        numeric=range(2, 7),
    )
