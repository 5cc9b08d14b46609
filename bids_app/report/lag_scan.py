"""Lag scans on the pages."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from bids_app.errors import MusencError
from bids_app.group.claims import holds
from bids_app.outputs import LAG_SCAN_LABEL, parse_entities
from bids_app.report.brain import ColorScale, opacity_of, surface_figure
from bids_app.report.charts import lag_figure
from bids_app.report.page import Block, Section, Table, Text, Verdict, number, picture
from bids_app.report.sources import Folder, GroupFiles, ParticipantFiles, Rows, column, to_float
from bids_app.statistics import SIGNIFICANCE, p_number, p_told
from bids_app.surface.lag_scan import CLEAR, UNCLEAR, WITHIN

CLAIMED = "claimed"
"""A lag over participants that holds at both levels."""
TEXT = (
    "r at a lag is the correlation of the response with the feature so many seconds before; all"
    f" lags use the same volumes. The lag is that of the largest r in size from {WITHIN[0]:g} to"
    f" {WITHIN[1]:g} s. p: how often a response of the same spectrum and random phases comes as far"
    " at its own best lag."
)
GROUP_TEXT = (
    "Everybody's correlation is taken at the lag that all others choose: at the own best lag it"
    " would be large in noise. Over people: sign flips. Over music: responses to a piece get"
    " random phases, the same for everybody, and lags are chosen again in every draw. Where both"
    " hold, corrected over all regions and features, a lag is claimed, unless it is at the edge of"
    " the lags that were tried. The map of vertices describes."
)
_LAG_SCALE = ColorScale("seconds behind the feature", *WITHIN, "viridis")
_SHOWN_ROWS, _SHOWN_CURVES = 30, 6


def lag_scan_sections(files: ParticipantFiles) -> list[Section]:
    """One section per feature that was scanned."""
    folder = files.tree.participant_dir(files.participant)
    found = folder.glob(f"sub-*_model-{LAG_SCAN_LABEL}_desc-*_settings.json")
    return [_section(files, path) for path in sorted(found)]


def _section(files: ParticipantFiles, done: Path) -> Section:
    label = parse_entities(done)["desc"]
    try:
        told = files.json(done)
    except MusencError:
        told = {}
    name = str(told.get("Feature", label))
    section = Section(f"lagscan-{label}", f"When the brain follows {name}")
    section.blocks.append(Text(TEXT))
    for what, why in dict(told.get("LeftOut") or {}).items():
        section.blocks.append(Text(f"Left out: {what}: {why}."))
    section.add("regions", lambda: region_blocks(files, label))
    section.add("curves", lambda: curves_picture(files, label))
    section.add("map of lags", lambda: lag_map(files, label))
    return section


def _table_path(files: ParticipantFiles, label: str, suffix: str, desc: str) -> Path:
    return files.own_table(suffix, model=LAG_SCAN_LABEL, feature=label, desc=desc)


def _by_p(rows: Rows) -> Rows:
    """Auditory cortex first, then by p."""
    built_in = [row for row in rows if row["kind"] == "built in"]
    others = [row for row in rows if row["kind"] != "built in"]
    return [
        *built_in,
        *sorted(others, key=lambda row: np.nan_to_num(to_float(row["p_corrected"]), nan=2)),
    ]


def lag_words(row: dict[str, str]) -> str:
    """The lag of a region where it may be said."""
    found = row["state"] in (CLEAR, CLAIMED)
    return f"{number(to_float(row['lag_s']), 1)} s" if found else row["state"]


def region_blocks(files: ParticipantFiles, label: str) -> list[Block]:
    """A sentence about auditory cortex, and every region."""
    rows = _by_p(files.table(_table_path(files, label, "summary.tsv", "regions")))
    clear = sum(row["state"] == CLEAR for row in rows)
    first = rows[0]
    r, p = (to_float(first[name]) for name in ("r", "p_corrected"))
    told = f"{first['region'].capitalize()}: {lag_words(first)} (r {number(r)}, {p_told(p)})"
    dropped = len(rows) - _SHOWN_ROWS
    more = f"; {dropped} more regions are in the table" if dropped > 0 else ""
    return [
        Verdict(
            f"{told}. {clear} of {len(rows)} regions have a clear lag (p < .05, corrected over"
            " regions).",
            "good" if clear else "neutral",
        ),
        Table(
            f"Regions (p corrected over all of them{more})",
            ["region", "atlas", "hemisphere", "lag", "r", "p"],
            [
                [
                    row["region"],
                    row["kind"],
                    row["hemisphere"],
                    lag_words(row),
                    number(to_float(row["r"])),
                    p_number(to_float(row["p_corrected"])),
                ]
                for row in rows[:_SHOWN_ROWS]
            ],
            numeric=(4, 5),
        ),
    ]


def curves_picture(files: ParticipantFiles, label: str) -> Block:
    """Correlation over lags, of auditory cortex and the regions of smallest p."""
    path = _table_path(files, label, "timeseries.tsv", "curves")
    regions = files.table(_table_path(files, label, "summary.tsv", "regions"))
    return draw_curves(files, path, regions, "r")


def draw_curves(files: Folder, path: Path, regions: Rows, value: str) -> Block:
    """Curves of some regions of a table."""
    rows, curves, words = files.table(path), [], []
    for region in _by_p(regions)[:_SHOWN_CURVES]:
        keys = ("region", "kind", "hemisphere")
        own = [row for row in rows if all(row[key] == region[key] for key in keys)]
        name = region["region"]
        if region["hemisphere"] in ("L", "R"):
            name = f"{name} {region['hemisphere']}"
        said = lag_words(region)
        curves.append((f"{name} ({said})", column(own, "lag_s"), column(own, value)))
        words.append(f"{name} {said}")
    return picture(
        lag_figure(curves, peaks=False, ylabel="correlation with the feature (r)"),
        alt=f"Correlation with the feature over lags: {', '.join(words)}",
        caption="Correlation over lags of auditory cortex and the regions of smallest p, with the"
        " lag where it is clear.",
        source=files.name(path),
    )


def lag_map(files: ParticipantFiles, label: str) -> Block:
    """Lags of the vertices that follow the feature."""
    place = {"model": LAG_SCAN_LABEL, "feature": label}
    who, space = files.participant, files.space
    left = files.tree.participant_map(who, "L", space, stat="lag", **place)
    tested = files.tree.participant_map(who, "L", space, stat="p", desc="maxt", **place)
    lag, p = files.both(left)[0], files.both(tested)[0]
    return draw_lags(files, lag, p, "p, corrected over vertices,", files.both_names(left))


def draw_lags(
    files: Folder, lag: np.ndarray, p: np.ndarray, what: str, source: str, said: str = ""
) -> Block:
    """A map of lags that fades with p; a sentence where nothing is left of it."""
    follows = np.nan_to_num(p, nan=1.0) < SIGNIFICANCE
    if not follows.any():
        return Text(f"No map of lags: {UNCLEAR} at every vertex ({what} from .05 on).")
    edge = int((follows & ~np.isfinite(lag)).sum())
    return picture(
        surface_figure(lag, _LAG_SCALE, mesh=files.mesh, opacity=opacity_of(p)),
        alt="Lags behind the feature on the inflated cortex, lateral and medial views of both"
        f" hemispheres; {int(follows.sum())} vertices follow it",
        caption=f"By how many seconds vertices follow the feature: {int(follows.sum())} do ({what}"
        f" < .05), {edge} of them with their best lag at the edge, which have no color. Colors are"
        f" opaque up to .001 and gone from .05 on.{said}",
        source=source,
    )


def lag_group_sections(files: GroupFiles) -> list[Section]:
    """One section per feature that was scanned over participants."""
    path = files.tree.group_table("settings.json", model=LAG_SCAN_LABEL)
    if not path.is_file():
        return []
    told = files.json(path)
    sections = []
    for label, name in dict(told.get("Features") or {}).items():
        section = Section(f"lagscan-{label}", f"When listeners follow {name}")
        section.blocks.append(Text(GROUP_TEXT))
        section.add("regions", partial(group_blocks, files, label))
        section.add("curves", partial(group_curves, files, label))
        section.add("map of lags", partial(group_map, files, label))
        sections.append(section)
    left_out = dict(told.get("LeftOut") or {})
    if sections and left_out:
        lines = "; ".join(f"{what}: {why}" for what, why in left_out.items())
        sections[0].blocks.append(Text(f"Left out: {lines}."))
    return sections


def _group_table(files: GroupFiles, label: str, suffix: str, desc: str) -> Path:
    return files.tree.group_table(suffix, model=LAG_SCAN_LABEL, feature=label, desc=desc)


def group_blocks(files: GroupFiles, label: str) -> list[Block]:
    """What may be said of auditory cortex and of regions where both levels hold; all regions."""
    rows = _by_p(files.table(_group_table(files, label, "summary.tsv", "regions")))
    said = [row for k, row in enumerate(rows) if k == 0 or row["state"] != UNCLEAR]
    verdicts: list[Block] = [
        Verdict(row["sentence"], "good" if _claimed(row) else "warning")
        for row in said[:_SHOWN_CURVES]
    ]
    more = f"; {len(rows) - _SHOWN_ROWS} more are in the table" if len(rows) > _SHOWN_ROWS else ""
    table = Table(
        f"Regions (p corrected over all of them, and over features{more})",
        ["region", "atlas", "hemisphere", "lag", "r", "p, people", "p, music"],
        [
            [
                *(row[name] for name in ("region", "kind", "hemisphere")),
                lag_words(row),
                number(to_float(row["r"])),
                p_number(to_float(row["p_people"])),
                p_number(to_float(row["p_corrected"])),
            ]
            for row in rows[:_SHOWN_ROWS]
        ],
        numeric=(4, 5, 6),
    )
    return [*verdicts, table]


def _claimed(row: dict[str, str]) -> bool:
    """Whether a lag is a claim: by the table, and by both p."""
    p = (to_float(row["p_people"]), to_float(row["p_corrected"]))
    return row["claimed"] == "True" and bool(holds(*p))


def group_curves(files: GroupFiles, label: str) -> Block:
    """Mean correlation over lags."""
    regions = files.table(_group_table(files, label, "summary.tsv", "regions"))
    return draw_curves(files, _group_table(files, label, "timeseries.tsv", "curves"), regions, "r")


def group_map(files: GroupFiles, label: str) -> Block:
    """Lags of vertices that follow the feature over people and over music."""

    def left(stat: str, desc: str = "") -> Path:
        place = {"model": LAG_SCAN_LABEL, "feature": label}
        return files.tree.group_map("L", files.space, stat=stat, desc=desc, **place)

    lag, people, music = (
        files.both(path)[0] for path in (left("lag"), left("p", "maxt"), left("p", "musicmaxt"))
    )
    what = "the larger of p over people and over music, corrected over vertices,"
    source, said = files.both_names(left("lag")), " The map describes; claims are about regions."
    return draw_lags(files, lag, np.maximum(people, music), what, source, said)
