"""Joint models on the pages; absent where none were fitted."""

from __future__ import annotations

from functools import partial

import numpy as np

from bids_app.errors import MusencError
from bids_app.group.claims import holds
from bids_app.outputs import (
    BEYOND_ALIGNMENT_DESC,
    BEYOND_DESC,
    JOINT_DESC,
    JOINT_LABEL,
    sidecar_of,
)
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.claims import claims_about
from bids_app.report.fading import LEGEND
from bids_app.report.group_charts import profiles_figure
from bids_app.report.layer_maps import NO_SLOPE
from bids_app.report.page import Block, Section, Table, Text, Verdict, number, percent, picture
from bids_app.report.sources import FloatArray, GroupFiles, ParticipantFiles, column, to_float
from bids_app.statistics import SIGNIFICANCE, p_number

BEYOND_TEXT = (
    "Unique accuracy is the accuracy of low-level sound (envelope, cochleagram, modulation and"
    " descriptors) and the layer together, minus that of low-level sound alone. Both models have a"
    " scale of their own for every space. The model without the layer chooses among those"
    " candidates of the other in which the layer has no weight. A layer that adds nothing is a"
    " little below zero on average, so that the tests are one-sided."
)


def joint_sections(files: ParticipantFiles) -> list[Section]:
    """What each layer adds to low-level sound, of a participant."""
    path = files.tree.participant_settings(files.participant, files.model, BEYOND_DESC)
    if not path.is_file():
        return []
    section = Section("beyond", "Beyond low-level sound")
    section.blocks.append(Text(BEYOND_TEXT))
    section.add("what each layer adds", lambda: beyond_table(files))
    return [section]


def beyond_table(files: ParticipantFiles) -> Block:
    """Means over all vertices of the mask; nothing is tested within a participant."""
    path = files.tree.participant_file(
        files.participant, "summary.tsv", model=files.model, desc=BEYOND_DESC
    )
    columns = ("mean_r", "mean_reduced_r", "mean_unique", "mean_share")
    return Table(
        "Means over all vertices; the group level tests unique accuracy (share: the layer's part of"
        " r with it, product measure; not what it adds)",
        ["layer", "r with it", "r without", "unique accuracy", "share", "unique above zero"],
        [
            [
                row["name"],
                *(number(to_float(row[name]), 4) for name in columns),
                percent(to_float(row["share_above"])),
            ]
            for row in files.table(path)
        ],
        numeric=(1, 2, 3, 4, 5),
    )


def beyond_sections(files: GroupFiles) -> list[Section]:
    """What the layers add to low-level sound, over participants."""
    if not files.file("settings.json", desc=BEYOND_DESC).is_file():
        return []
    section = Section("beyond", "What the layers add to low-level sound")
    section.blocks.append(Text(BEYOND_TEXT))
    section.add("what each group of layers adds", lambda: sentences(files))
    section.add("where a layer adds most", lambda: unique_picture(files))
    section.add("profile of unique accuracy", lambda: profile_blocks(files))
    section.add("which layers add most", lambda: slope_blocks(files))
    section.add("layers in numbers", lambda: layers_table(files))
    return [section]


def sentences(files: GroupFiles) -> list[Block]:
    """One sentence per third of the layers."""
    rows = files.rows("summary.tsv", desc=BEYOND_DESC)
    people, music = files.map("p", desc="uniquemaxt"), _music(files)
    found: list[Block] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [k for k, row in enumerate(rows) if row["group"] == group]
        names = [rows[k]["name"] for k in own]
        layers = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        inside = holds(people[own]) if music is None else holds(people[own], music[own])
        n = int(inside.any(axis=0).sum())
        levels = "over people and music" if music is not None else "over people alone"
        mean = float(np.mean([to_float(rows[k]["mean_unique"]) for k in own]))
        told = f"add to low-level sound at {n} vertices" if n else "add nothing that can be shown"
        found.append(
            Text(
                f"{group.capitalize()} layers ({layers}) {told} ({levels}); their unique accuracy"
                f" is {number(mean, 4)} on average over all vertices."
            )
        )
    found += _too_few(files)
    if music is None:
        reason = str(files.analysis(BEYOND_DESC).get("NotOverMusic") or "nothing says why")
        found.append(Text(f"Nothing was tested over music, so nothing is claimed: {reason}."))
    return found


def _too_few(files: GroupFiles, two_sided: bool = False) -> list[Block]:
    """That sign flips of so few participants cannot show anything, where they cannot."""
    n = len(files.analysis(BEYOND_DESC)["Participants"])
    least = files.smallest_p(n, two_sided=two_sided)
    if least < SIGNIFICANCE:
        return []
    what = "slope" if two_sided else "unique accuracy"
    return [
        Text(
            f"With {n} participants no p over people below {p_number(least)} is possible, so that"
            f" no {what} can be shown over people."
        )
    ]


def _music(files: GroupFiles) -> FloatArray | None:
    try:
        return files.map("q", desc="uniquemusic")
    except MusencError:
        return None


_FADED_BY = {
    True: "the larger of p over people, corrected over layers and vertices, and q over music",
    False: "p over people, corrected over layers and vertices; nothing was tested over music",
}


def unique_picture(files: GroupFiles) -> Block:
    """Highest mean unique accuracy over layers, outlined where some layer adds."""
    unique, people = files.map("r", desc="unique"), files.map("p", desc="uniquemaxt")
    best = unique.max(axis=0)
    music = _music(files)
    both = people if music is None else np.maximum(people, music)
    inside = holds(both).any(axis=0)
    border, why = border_of(inside, best)
    told = "outlined" if border is not None else why
    return picture(
        surface_figure(
            best,
            ColorScale.gain("highest unique accuracy over layers (r)", best),
            mesh=files.mesh,
            outline=border,
            opacity=opacity_of(np.where(np.isfinite(both).any(axis=0), _least(both), np.nan)),
        ),
        alt="Highest unique accuracy over layers on the inflated cortex, lateral and medial views"
        f" of both hemispheres; {int(inside.sum())} vertices where some layer adds",
        caption="Mean unique accuracy over participants, highest over layers;"
        f" {int(inside.sum())} vertices where some layer adds ({told}). {LEGEND}"
        f" ({_FADED_BY[music is not None]}, of the layer in which it is smallest).",
        source=f"{files.map_label('r', desc='unique')}, {files.map_label('p', desc='uniquemaxt')}",
    )


def _least(p: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.isfinite(p), p, np.inf).min(axis=0))


def profile_blocks(files: GroupFiles) -> list[Block]:
    """Profiles of plain and unique accuracy over layers, per region."""
    rows = files.rows("profile.tsv", desc=BEYOND_DESC)
    profiles, told = [], []
    for region in dict.fromkeys(row["region"] for row in rows):
        own = [row for row in rows if row["region"] == region]
        r, unique, error = (column(own, one) for one in ("r", "unique", "unique_se"))
        profiles.append((region, r, unique, error))
        by = "" if own[0].get("atlas", "n/a") == "n/a" else f" of {own[0]['atlas']}"
        told.append(f"{region}{by} ({own[0]['n_vertices']} vertices)")
    names = [row["name"] for row in rows if row["region"] == profiles[0][0]]
    lacking = [one for one in ("temporal", "default mode") if one not in {p[0] for p in profiles}]
    unnamed = (
        f" Without {' and '.join(lacking)} regions: no atlas and no networks name them (--atlas,"
        " --networks)."
        if lacking
        else ""
    )
    draw = partial(profiles_figure, profiles, names)
    return [
        picture(
            draw(),
            alt="Mean accuracy of each layer alone and mean unique accuracy over layers, in"
            f" {', '.join(told)}",
            caption="Profiles over layers: accuracy of the layer alone (left), and what it adds to"
            " low-level sound (right; bands: standard error over participants), in"
            f" {', '.join(told)}. For description; the maps are tested.{unnamed}",
            source=files.name(files.file("profile.tsv", desc=BEYOND_DESC)),
        )
    ]


def slope_blocks(files: GroupFiles) -> list[Block]:
    """Slope of unique accuracy beside that of accuracy, and what is claimed of both."""
    if not files.map_path("L", "slope", desc="unique").is_file():
        return [Text("There is no slope of unique accuracy: too few layers, or no order of them.")]
    unique, plain = files.map("slope", desc="unique")[0], files.map("slope", desc="layerpref")[0]
    p = files.map("p", desc="uniqueslope")[0]
    music = files.map_path("L", "p", desc="uniqueslopemusic").is_file()
    both = np.maximum(p, files.map("p", desc="uniqueslopemusic")[0]) if music else p
    told = "the larger of p over people, corrected over vertices, and p over music"
    doubt = files.json(sidecar_of(files.map_path("L", "slope", desc="unique"))).get("SlopeDoubt")
    n_shown = int(np.count_nonzero(both < SIGNIFICANCE))
    there = np.isfinite(unique) & np.isfinite(plain)
    alike = float(np.corrcoef(unique[there], plain[there])[0, 1])
    claims = [
        block
        for label in files.tree.group_labels(files.model, BEYOND_ALIGNMENT_DESC)
        for measure in ("slope", "slope beyond low-level")
        for block in claims_about(files, measure, label)
    ]
    return [
        picture(
            surface_figure(
                unique,
                ColorScale.diverging("residual slope of unique accuracy (r)", unique),
                mesh=files.mesh,
                opacity=opacity_of(both),
            ),
            alt="Residual slope of unique accuracy on the inflated cortex, lateral and medial views"
            " of both hemispheres",
            caption="Which layers add most to low-level sound: red deep ones, blue shallow ones,"
            " beyond the mean profile of unique accuracy. Over vertices it correlates"
            f" {number(alike, 2)} with the slope of the accuracy of layers alone. At"
            f" {n_shown} vertices it differs from zero. {LEGEND}"
            f" ({told if music else 'p over people, corrected over vertices'}).",
            source=files.map_label("slope", desc="unique"),
        ),
        *_too_few(files, two_sided=True),
        *([Verdict(f"Of unique accuracy the {doubt}. {NO_SLOPE}", "warning")] if doubt else []),
        *claims,
    ]


def layers_table(files: GroupFiles) -> Block:
    """Maxima with their p; vertices over people, and over both."""
    people, unique = files.map("p", desc="uniquemaxt"), files.map("r", desc="unique")
    best = [int(np.nanargmax(row)) for row in unique]
    return Table(
        "Unique accuracy of the layers (p of the highest: over people, corrected over layers and"
        " vertices; adds: vertices over people and music)",
        ["layer", "name", "mean", "highest", "p", "adds"],
        [
            [
                row["layer"],
                row["name"],
                number(to_float(row["mean_unique"]), 4),
                number(unique[k, best[k]]),
                p_number(people[k, best[k]]),
                number(to_float(row["n_adds"])),
            ]
            for k, row in enumerate(files.rows("summary.tsv", desc=BEYOND_DESC))
        ],
        numeric=(2, 3, 4, 5),
    )


MODEL_ROW = "all spaces"
"""Name of the row of the joint model itself."""


def joint_group_sections(files: GroupFiles) -> list[Section]:
    """One section per joint model that was tested over participants."""
    path = files.tree.group_table("settings.json", model=JOINT_LABEL, desc=JOINT_DESC)
    if not path.is_file():
        return []
    told = files.json(path)
    sections = []
    for label, spaces in dict(told.get("JointModels") or {}).items():
        section = Section(f"joint-{label}", f"Joint model {label}")
        section.blocks.append(
            Text(
                f"One model of {', '.join(spaces)}. Unique accuracy of a space is the accuracy of"
                " the model minus that of the model without the space; a space that adds nothing"
                " is a little below zero on average, so that the tests are one-sided."
            )
        )
        reason = str(dict(told.get("NotOverMusic") or {}).get(label) or "")
        section.add("what each space adds", partial(joint_group_blocks, files, label, reason))
        sections.append(section)
    left_out = dict(told.get("LeftOut") or {})
    if sections and left_out:
        lines = "; ".join(f"{what}: {why}" for what, why in left_out.items())
        sections[0].blocks.append(Text(f"Left out: {lines}."))
    return sections


def joint_group_blocks(files: GroupFiles, label: str, reason: str) -> list[Block]:
    """A sentence per space, and the table."""
    path = files.tree.group_table("summary.tsv", model=JOINT_LABEL, feature=label, desc=JOINT_DESC)
    rows = files.table(path)
    found: list[Block] = []
    for row in rows:
        name, n = row["name"], row["n_people"] if reason else row["n_both"]
        levels = "over people alone" if reason else "over people and music"
        if name == MODEL_ROW:
            told = f"The model predicts {number(to_float(n))} vertices ({levels})."
        elif to_float(n) > 0:
            told = f"{name} adds to the other spaces at {number(to_float(n))} vertices ({levels})."
        else:
            told = f"{name} adds nothing to the other spaces that can be shown ({levels})."
        found.append(Text(told))
    if reason:
        found.append(Text(f"Nothing was tested over music, so nothing is claimed: {reason}."))
    table = Table(
        "Accuracy of the joint model, and unique accuracy of each space (p over people, corrected"
        " over vertices, and over spaces together; both: and q over music)",
        ["space", "mean", "highest", "smallest p", "vertices, people", "vertices, both"],
        [
            [
                row["name"],
                number(to_float(row["mean"]), 4),
                number(to_float(row["highest"])),
                p_number(to_float(row["p"])),
                number(to_float(row["n_people"])),
                number(to_float(row["n_both"])),
            ]
            for row in rows
        ],
        numeric=(1, 2, 3, 4, 5),
    )
    return [*found, table]
