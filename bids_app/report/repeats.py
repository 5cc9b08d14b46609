"""How good a model could be, from pieces that a participant heard repeatedly."""

from __future__ import annotations

from bids_app.outputs import REPEATS_DESC
from bids_app.report.ceiling import ceiling_picture, ceiling_table
from bids_app.report.page import Block, Section, Text
from bids_app.report.sources import ParticipantFiles

_COLUMNS = ("name", "n_vertices", "mean_r", "ceiling", "fraction")


def repeats_sections(files: ParticipantFiles) -> list[Section]:
    """Nothing where no piece was heard repeatedly, or presentations cannot be compared."""
    done = files.tree.participant_settings(files.participant, files.model)
    if not done.is_file() or not files.settings.get("RepeatedStimuli"):
        return []
    table = files.own_table("summary.tsv", model=files.model, desc=REPEATS_DESC)
    section = Section("repeats", "Noise ceiling")
    section.add("what the ceiling is", lambda: [_words(files)])
    section.add("map of the ceiling", lambda: _picture(files))
    section.add("accuracy beside the ceiling", lambda: ceiling_table(files.table(table), _COLUMNS))
    return [section]


def _words(files: ParticipantFiles) -> Text:
    stored = files.settings
    left_out = "".join(
        f" {stimulus} takes no part: {why}." for stimulus, why in stored["RepeatsLeftOut"].items()
    )
    return Text(
        f"Heard repeatedly: {', '.join(stored['RepeatedStimuli'])}. What presentations of a piece"
        " have in common is signal (it may be movement that follows the music, too). The ceiling"
        " is the highest r that any model could reach with one presentation: the root of the mean"
        " correlation between presentations. Accuracy is given as a fraction of the ceiling only"
        f" where that is reliable (p corrected over vertices < .05: {stored['ReliableVertices']}"
        f" vertices) and above {stored['CeilingFloor']:g}.{left_out}"
    )


def _picture(files: ParticipantFiles) -> Block:
    corrected = files.map("p", desc=f"{REPEATS_DESC}maxt")[0]
    return ceiling_picture(
        files.map("ceiling", desc=REPEATS_DESC)[0],
        corrected,
        corrected,
        mesh=files.mesh,
        origin="repeated presentations",
        meaning="Highest r of any model with one presentation; gray where presentations do not"
        " correlate above zero, or outside the mask.",
        faded_by="corrected over vertices",
        source=files.map_label("ceiling", desc=REPEATS_DESC),
    )
