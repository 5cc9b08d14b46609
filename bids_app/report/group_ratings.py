"""The part of the group page about ratings: their maps, and the layers that predict them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.errors import MissingInputError
from bids_app.group.claims import holds
from bids_app.outputs import (
    EMOTION_LABEL,
    RATER_CEILING_DESC,
    RATINGS_DESC,
    parse_entities,
    sidecar_of,
)
from bids_app.plain import counted, some_of
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND, p_of_t, significant
from bids_app.report.group_charts import profile_lines_figure
from bids_app.report.page import Block, Section, Table, Text, cell_text, picture
from bids_app.report.sources import BoolArray, GroupFiles, Rows, column, to_float
from bids_app.surface.mesh import SurfaceMesh

NOT_ASKED = ("ratings: no ratings", "ratings: switched off")
_MAX_NAMED = 8


def emotion_section(files: GroupFiles) -> list[Section]:
    """Ratings and the brain; layers and ratings; no section where nobody asked for ratings."""
    there = files.maps("*model-emotion_*statmap.func.gii") or list(
        files.root.glob("group_*desc-ratings_scores.tsv")
    )
    if not there and (_rating_notes(files) or NOT_ASKED[0]).startswith(NOT_ASKED):
        return []
    section = Section("emotion", "Felt emotion and enjoyment")
    section.add("about the ratings", lambda: about_ratings(files))
    section.add("maps of the rating GLM", lambda: emotion_pictures(files, files.mesh))
    section.add("layers that predict the ratings", lambda: rating_blocks(files))
    return [section]


def about_ratings(files: GroupFiles) -> list[Block]:
    """What is odd about the ratings, as the settings files tell it; nothing where nothing is."""
    places = (
        files.tree.group_table("settings.json", model=EMOTION_LABEL),
        files.tree.group_table("settings.json", model=files.model, desc=RATINGS_DESC),
    )
    notes = [
        note for path in places if path.is_file() for note in files.json(path).get("Notes", ())
    ]
    return [Text(f"{note}.") for note in dict.fromkeys(notes)]


def emotion_pictures(files: GroupFiles, mesh: SurfaceMesh) -> list[Block]:
    """One map per scale."""
    found = files.maps("*model-emotion_feature-*_stat-t_*statmap.func.gii")
    if not found:
        raise MissingInputError(
            "No rating analysis was run",
            where="model-emotion",
            found=_rating_notes(files),
            remedy="give ratings to both levels (--ratings)",
        )
    blocks: list[Block] = []
    for path in found:
        told = files.json(sidecar_of(path)) if sidecar_of(path).is_file() else {}
        entities = parse_entities(path)
        scale_name = (told.get("DataArrays") or [entities.get("feature", "rating")])[0]
        difference = entities.get("desc") == "contrast"
        values = files.both(path)[0]
        p_path = path.with_name(path.name.replace("_stat-t_", "_stat-p_"))
        inside, told_of_claim = _claimed(files, p_path)
        border, why = (None, "") if inside is None else border_of(inside, values)
        n_people = len(files.json(sidecar_of(path)).get("Participants") or []) if told else 0
        opacity, faded = None, ""
        if n_people > 1:
            p, music = p_of_t(values, n_people - 1), _over_music(p_path)
            if music.is_file():
                p = np.maximum(p, files.both(music)[0])
            opacity = opacity_of(p)
            which = "the larger of p over people and over music" if music.is_file() else "of t"
            faded = f" {LEGEND} ({which}, not corrected)."
        blocks.append(
            picture(
                surface_figure(
                    values,
                    ColorScale.tested(f"{scale_name} (t)", values),
                    mesh=mesh,
                    outline=border,
                    opacity=opacity,
                ),
                alt=f"t map of changes of {scale_name} on the inflated cortex, lateral and medial"
                " views of both hemispheres",
                caption=f"Responses to changes of {scale_name} (size of its derivative), t over"
                " participants. Red: more activity when "
                + (
                    "the first rating changes than when the second does. "
                    if difference
                    else "the rating changes. "
                )
                + told_of_claim
                + (f" No line: {why}." if why else "")
                + faded,
                source=files.both_names(path),
            )
        )
    return blocks


def _over_music(p_path: Path) -> Path:
    """P over music, not corrected, beside that over people."""
    desc = parse_entities(p_path).get("desc", "")
    name = p_path.name.replace(f"_desc-{desc}_", "_")
    return p_path.with_name(name.replace("_statmap", f"_desc-{desc}music_statmap"))


def _claimed(files: GroupFiles, p_path: Path) -> tuple[BoolArray | None, str]:
    """Where an effect holds over people and over music, and what to say of it."""
    people = significant(files, p_path)
    desc = parse_entities(p_path).get("desc", "")
    name = p_path.name.replace(f"_desc-{desc}_", "_").replace("_stat-p_", "_stat-n_")
    both = p_path.with_name(name.replace("_statmap", f"_desc-{desc}both_statmap"))
    n_people = 0 if people is None else int(people.sum())
    over_people = f"Over people alone: {counted(n_people, 'vertex', 'vertices')}."
    if not both.is_file():
        done = files.tree.group_table("settings.json", model=EMOTION_LABEL)
        reason = files.json(done).get("MusicMissing") if done.is_file() else ""
        return None, (
            f"Nothing is claimed: there is no null over music ({reason or 'not computed'}), and"
            f" raters of the same pieces share their accidents. {over_people}"
        )
    held = np.nan_to_num(files.both(both)[0]) > 0
    n = int(held.sum())
    claim = (
        f"The black line surrounds {counted(n, 'vertex', 'vertices')} where the effect holds over"
        " people and over music (sign flips; phases of everybody's ratings rotated alike; both"
        " corrected for the maximum). Over music means: beyond chance agreement with these pieces. "
        if n
        else "No vertex holds over people and over music (sign flips; phases of everybody's ratings"
        " rotated alike; both corrected for the maximum), so there is no outline. "
    )
    return held if n else None, claim + over_people


def _rating_notes(files: GroupFiles) -> str | None:
    """What the newest log that speaks of ratings says."""
    for path in sorted((files.root / "logs").glob("status_*.json"), reverse=True):
        notes = [str(n) for n in files.json(path).get("notes", []) if str(n).startswith("rating")]
        # That the group level found nothing of participants is told by theirs, with the reason.
        notes = [note for note in notes if ": no participant has sub-*" not in note]
        if notes:
            return "; ".join(notes)
    return None


def rating_blocks(files: GroupFiles) -> list[Block]:
    """Accuracy per layer and scale."""
    found = sorted(files.root.glob("group_*desc-ratings_scores.tsv"))
    if not found:
        raise MissingInputError(
            "No prediction of ratings was run",
            where="group_*_desc-ratings_scores.tsv",
            found=_rating_notes(files),
            remedy="give ratings to both levels (--ratings)",
        )
    rows = files.table(found[0])
    scales = list(dict.fromkeys(row["scale"] for row in rows))
    series = []
    for scale in scales:
        own = [row for row in rows if row["scale"] == scale]
        series.append((scale, column(own, "r")))
    names = [row["name"] for row in rows if row["scale"] == scales[0]]
    return [
        picture(
            profile_lines_figure(series, names, "prediction accuracy of the rating (r)"),
            alt=f"Accuracy of predicting {' and '.join(scales)} from each layer",
            caption="How well each layer predicts the ratings of music it was not fitted to. "
            + _predicted(files, rows),
            source=files.name(found[0]),
        ),
        *_pair_tables(files),
        *_no_rater_ceiling(files),
    ]


def _predicted(files: GroupFiles, rows: Rows) -> str:
    """Layers and scales for which both claims hold, and what is not claimed."""
    people = [row for row in rows if holds(to_float(row.get("p")))]
    over_people = f"Over people alone: {len(people)} of {len(rows)} layers and scales."
    if not any(np.isfinite(to_float(row.get("p"))) for row in rows):
        music = [row for row in rows if holds(to_float(row.get("p_music_corrected")))]
        return (
            "Nothing is claimed: there is no test over people, since one rating stands for all."
            f" Over music alone: {len(music)} of {len(rows)} layers and scales."
        )
    if not any(np.isfinite(to_float(row.get("p_music"))) for row in rows):
        done = files.file("settings.json", desc=RATINGS_DESC)
        reason = files.json(done).get("MusicMissing") if done.is_file() else ""
        return (
            f"Nothing is claimed: there is no null over music ({reason or 'not computed'})."
            f" {over_people}"
        )
    both = [row for row in people if holds(to_float(row.get("p_music_corrected")))]
    named = some_of((f"{row['scale']} by {row['name']}" for row in both), _MAX_NAMED)
    which = "over people and over music (both corrected over layers and scales)"
    claim = f"Predicted {which}: {named}." if both else f"Nothing is predicted {which}."
    return f"{claim} {over_people}"


def _no_rater_ceiling(files: GroupFiles) -> list[Block]:
    """Why nothing says how well ratings could be predicted."""
    done = files.file("settings.json", desc=RATINGS_DESC)
    reason = files.json(done).get("CeilingMissing") if done.is_file() else ""
    return [Text(f"No ceiling of the ratings: {reason}.")] if reason else []


def _pair_tables(files: GroupFiles) -> list[Block]:
    """Which layer each scale prefers, and whether two scales prefer different ones."""
    blocks: list[Block] = []
    for desc, title in (
        (
            RATER_CEILING_DESC,
            "Ceiling: highest r of a model of what raters share with the ratings of one of them",
        ),
        ("preferredlayers", "Center of mass of each profile, in layers, and its 95 % interval"),
        ("ratingpairs", "Do two scales prefer different layers? (over people alone)"),
    ):
        path = files.file("summary.tsv", desc=desc)
        if path.is_file():
            names, rows = files.cells(path)
            body = [[cell_text(name, row[name]) for name in names] for row in rows]
            told = [name.replace("_", " ") for name in names]
            blocks.append(Table(title, told, body, numeric=range(1, len(names))))
    return blocks
