"""Analyses of ratings on a participant's page; absent where there are none."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
from scipy import special

from bids_app.emotion.windows import DELAYS
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, parse_entities, sidecar_of
from bids_app.report.brain import ColorScale, opacity_of, surface_figure
from bids_app.report.charts import design_figure
from bids_app.report.fading import LEGEND
from bids_app.report.group_charts import profile_lines_figure
from bids_app.report.page import Block, Section, Table, Text, number, picture
from bids_app.report.sources import ParticipantFiles, column
from bids_app.report.subcortex import own_effects
from bids_app.surface.mesh import SurfaceMesh


def participant_ratings(files: ParticipantFiles) -> list[Section]:
    """Maps, runs and layer profiles of a participant; no section where there are none."""
    maps = files.tree.participant_settings(files.participant, EMOTION_LABEL)
    scores = files.tree.participant_settings(files.participant, files.model, RATINGS_DESC)
    if not maps.is_file() and not scores.is_file():
        return []
    section = Section("ratings", "Felt emotion and enjoyment")
    for path in (maps, scores):
        if path.is_file():
            section.add("what was left out", partial(left_out, files, path))
    if (path := _design_file(files)).is_file():
        section.add("design matrix", partial(design_picture, files, path))
    for left in _t_maps(files):
        section.add("ratings and brain", partial(t_map, files, files.mesh, left))
    own_effects(files, EMOTION_LABEL, section)
    if files.tree.rating_runs(files.participant).is_file():
        section.add("runs with ratings", partial(runs_table, files))
    if files.tree.scores(files.participant, files.model, "ratings").is_file():
        section.add("layers and ratings", partial(profiles, files))
    return [section]


def left_out(files: ParticipantFiles, path: Path) -> list[Block]:
    """Analyses that the ratings did not allow, and what is odd about the ratings."""
    told = files.json(path)
    reasons = told.get("LeftOut", {})
    not_done = [Text(f"Not done: {analysis}: {reason}") for analysis, reason in reasons.items()]
    return [*not_done, *(Text(f"About the ratings: {note}.") for note in told.get("Notes") or ())]


def _design_file(files: ParticipantFiles) -> Path:
    return files.own_table("timeseries.tsv", model=EMOTION_LABEL, desc="design")


def design_picture(files: ParticipantFiles, path: Path) -> Block:
    """What the responses were explained by, run by run."""
    rows = files.table(path)
    names = [name for name in rows[0] if name not in ("run", "volume")]
    runs = {
        run: np.column_stack([column([r for r in rows if r["run"] == run], n) for n in names])
        for run in dict.fromkeys(row["run"] for row in rows)
    }
    effects = list(takewhile(lambda name: name != "music", names))
    return picture(
        design_figure(runs, names),
        alt=f"Design matrix of {len(runs)} runs: {', '.join(effects)}, music, confounds, drift and"
        " constant over volumes",
        caption="Design of the model of ratings and brain, a column per regressor, volumes from top"
        f" to bottom: changes of {' and '.join(effects)} as the blood shows them; music against"
        " silence, confounds, drift and constant are of no interest. Every column is scaled to its"
        " largest absolute value in the run.",
        source=files.name(path),
    )


def _t_maps(files: ParticipantFiles) -> list[Path]:
    """Left hemispheres; maps with many delays are for other programs."""
    found = files.tree.find_maps(
        files.participant, "L", files.space, model=EMOTION_LABEL, feature="*", stat="t"
    )
    return [path for path in found if parse_entities(path).get("desc") != DELAYS]


def t_map(files: ParticipantFiles, mesh: SurfaceMesh, left: Path) -> Block:
    """One scale's t map."""
    told = files.json(sidecar_of(left))
    name = told["DataArrays"][0]
    values = files.both(left)[0]
    (z,) = files.both(left.with_name(left.name.replace("_stat-t_", "_stat-z_")))
    opacity = opacity_of(2.0 * special.ndtr(-np.abs(z)))
    scale = ColorScale.tested(f"{name} (t)", values)
    return picture(
        surface_figure(values, scale, mesh=mesh, opacity=opacity),
        alt=f"t map of changes of {name} on the inflated cortex, lateral and medial views of both"
        " hemispheres",
        caption=f"Responses to changes of {name} (size of its derivative): t with"
        f" {number(told['DegreesOfFreedom'], 0)} degrees of freedom, fixed effects over runs."
        f" Red: more activity when the rating changes. {LEGEND} (of z,"
        " two-sided, not corrected: the effect against random phases of this person's ratings; t"
        " itself is no test, since AR(1) errors do not catch all correlation of noise in time).",
        source=files.both_names(left),
    )


def runs_table(files: ParticipantFiles) -> Block:
    """Which runs took part."""
    rows = files.table(files.tree.rating_runs(files.participant))
    shown = {"used": "used", "n_volumes": "volumes", "degrees_of_freedom": "degrees of freedom"}
    if any(row["reason"] not in ("", "n/a") for row in rows):
        shown["reason"] = "reason"
    words = {"n/a": "", "True": "yes", "False": "no"}
    body = [[row["run"], *(words.get(row[name], row[name]) for name in shown)] for row in rows]
    return Table("Runs with ratings", ["run", *shown.values()], body, numeric=(2, 3))


def profiles(files: ParticipantFiles) -> Block:
    """How well each layer predicts each scale."""
    path = files.tree.scores(files.participant, files.model, "ratings")
    rows = [row for row in files.table(path) if row["held_out"] == "mean"]
    scales = list(dict.fromkeys(row["scale"] for row in rows))
    series = [(s, column([row for row in rows if row["scale"] == s], "r")) for s in scales]
    names = [row["name"] for row in rows if row["scale"] == scales[0]]
    return picture(
        profile_lines_figure(series, names, "prediction accuracy of the rating (r)"),
        alt=f"Accuracy of predicting {' and '.join(scales)} from each layer",
        caption="How well each layer predicts this participant's ratings of music it was not"
        " fitted to.",
        source=files.name(path),
    )
