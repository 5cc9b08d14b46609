"""Noise ceilings on pages; the group's is absent without cleaned responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bids_app.group.claims import holds
from bids_app.outputs import CEILING_DESC
from bids_app.report.analyses import outdated
from bids_app.report.brain import ColorScale, FloatArray, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND
from bids_app.report.group_details import left_out
from bids_app.report.page import Block, Section, Table, Text, Verdict, number, picture
from bids_app.report.sources import GroupFiles, to_float
from bids_app.surface.mesh import SurfaceMesh


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
    section.add("map of the ceiling", lambda: shared_ceiling_picture(files))
    section.add(
        "accuracy beside the ceiling",
        lambda: ceiling_table(files.rows("summary.tsv", desc=CEILING_DESC), list(_SAID)),
    )
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


def shared_ceiling_picture(files: GroupFiles) -> Block:
    """The ceiling from what participants share."""
    left = files.tree.group_map("L", files.space, stat="ceiling", desc="shared")
    p_maps = [files.tree.group_map("L", files.space, stat="p", desc=d) for d in ("iscmaxt", "isc")]
    corrected, single = (files.both(one)[0] for one in p_maps)
    return ceiling_picture(
        files.both(left)[0],
        corrected,
        single,
        mesh=files.mesh,
        origin="what participants share",
        meaning="Highest r of a model of what participants share; gray where their responses do not"
        " correlate above zero.",
        faded_by="of the correlation over pairs, not corrected",
        source=files.both_names(left),
    )


def ceiling_picture(
    ceiling: FloatArray,
    p: FloatArray,
    p_shown: FloatArray,
    *,
    mesh: SurfaceMesh,
    origin: str,
    meaning: str,
    faded_by: str,
    source: str,
) -> Block:
    """A ceiling at every vertex, outlined where it is reliable.

    Parameters
    ----------
    ceiling, p : (n_vertices,) arrays
        Highest r, and whether it is reliable, corrected over vertices.
    p_shown : (n_vertices,) array
        Colors fade with it.
    mesh : SurfaceMesh
    origin : str
        What the ceiling is estimated from.
    meaning : str
        First sentence of the caption.
    faded_by : str
        What `p_shown` is.
    source : str
        Files of the map.
    """
    inside = holds(p)
    border, why = border_of(inside, ceiling)
    outlined = "outlined" if border is not None else why
    scale = ColorScale(f"ceiling of r from {origin}", 0.0, 0.6).reaching(ceiling)
    n_reliable = int(inside.sum())
    return picture(
        surface_figure(ceiling, scale, mesh=mesh, outline=border, opacity=opacity_of(p_shown)),
        alt=f"Noise ceiling from {origin} on the inflated cortex, lateral and medial views of both"
        f" hemispheres; {n_reliable} vertices where it is reliable",
        caption=f"{meaning} Reliable at {n_reliable} of {int(np.isfinite(ceiling).sum())} vertices"
        f" ({outlined}; p corrected over vertices < .05). {LEGEND} ({faded_by}).",
        source=source,
    )


_SAID = {
    "layer": "layer",
    "name": "name",
    "n_vertices": "vertices",
    "mean_r": "mean r",
    "ceiling": "ceiling",
    "ceiling_lower": "its lower bound",
    "fraction": "fraction",
}
_DIGITS = {"mean_r": 4, "ceiling": 3, "ceiling_lower": 3, "fraction": 3}


def ceiling_table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Block:
    """Accuracy beside the ceiling, one row per layer.

    Parameters
    ----------
    rows : sequence of mapping
        Of the file.
    columns : sequence of str
        Those shown, in their order.
    """
    return Table(
        "Accuracy beside the ceiling: means over the vertices with a reliable ceiling",
        [_SAID[name] for name in columns],
        [
            [
                number(to_float(row[name]), _DIGITS[name]) if name in _DIGITS else row[name]
                for name in columns
            ]
            for row in rows
        ],
        numeric=range(columns.index("n_vertices"), len(columns)),
    )
