"""How good a model could be, from pieces that a participant heard repeatedly."""

from __future__ import annotations

import numpy as np

from bids_app.group.claims import holds
from bids_app.outputs import REPEATS_DESC
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND
from bids_app.report.page import Block, Section, Table, Text, number, picture
from bids_app.report.sources import ParticipantFiles, to_float


def repeats_sections(files: ParticipantFiles) -> list[Section]:
    """Nothing where no piece was heard repeatedly, or presentations cannot be compared."""
    done = files.tree.participant_settings(files.participant, files.model)
    if not done.is_file() or not files.settings.get("RepeatedStimuli"):
        return []
    section = Section("repeats", "Noise ceiling")
    section.add("what the ceiling is", lambda: [_words(files)])
    section.add("map of the ceiling", lambda: _picture(files))
    section.add("accuracy beside the ceiling", lambda: _table(files))
    return [section]


def _words(files: ParticipantFiles) -> Text:
    told = files.settings
    left_out = "".join(
        f" {stimulus} takes no part: {why}." for stimulus, why in told["RepeatsLeftOut"].items()
    )
    return Text(
        f"Heard repeatedly: {', '.join(told['RepeatedStimuli'])}. What presentations of a piece"
        " have in common is signal (it may be movement that follows the music, too). The ceiling"
        " is the highest r that any model could reach with one presentation: the root of the mean"
        " correlation between presentations. Accuracy is given as a fraction of the ceiling only"
        f" where that is reliable (p corrected over vertices < .05: {told['ReliableVertices']}"
        f" vertices) and above {told['CeilingFloor']:g}.{left_out}"
    )


def _picture(files: ParticipantFiles) -> Block:
    """The ceiling at every vertex, outlined where it is reliable."""
    ceiling = files.map("ceiling", desc=REPEATS_DESC)[0]
    p = files.map("p", desc=f"{REPEATS_DESC}maxt")[0]
    inside = holds(p)
    border, why = border_of(inside, ceiling)
    outlined = "outlined" if border is not None else why
    scale = ColorScale("ceiling of r from repeated presentations", 0.0, 0.6).reaching(ceiling)
    return picture(
        surface_figure(ceiling, scale, mesh=files.mesh, outline=border, opacity=opacity_of(p)),
        alt="Noise ceiling from repeated presentations on the inflated cortex, lateral and medial"
        f" views of both hemispheres; {int(inside.sum())} vertices where it is reliable",
        caption="Highest r of any model with one presentation; gray where presentations do not"
        f" correlate above zero, or outside the mask. Reliable at {int(inside.sum())} of"
        f" {int(np.isfinite(ceiling).sum())} vertices ({outlined})."
        f" {LEGEND} (corrected over vertices).",
        source=files.map_label("ceiling", desc=REPEATS_DESC),
    )


def _table(files: ParticipantFiles) -> Block:
    """One row per layer."""
    path = files.own_table("summary.tsv", model=files.model, desc=REPEATS_DESC)
    digits = {"mean_r": 4, "ceiling": 3, "fraction": 3}
    return Table(
        "Accuracy beside the ceiling: means over the vertices with a reliable ceiling",
        ["layer", "vertices", "mean r", "ceiling", "fraction"],
        [
            [row["name"], row["n_vertices"]]
            + [number(to_float(row[name]), places) for name, places in digits.items()]
            for row in files.table(path)
        ],
        numeric=range(1, 5),
    )
