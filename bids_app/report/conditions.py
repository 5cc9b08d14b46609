"""Conditions on the pages of participants and of the group; absent where none were analyzed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.outputs import CONDITIONS_LABEL, parse_entities, sidecar_of
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.charts import GRAY, new_figure, tidy
from bids_app.report.fading import LEGEND, UNTESTED, p_of_t
from bids_app.report.page import (
    Block,
    Facts,
    Picture,
    Section,
    Table,
    Text,
    named_number,
    number,
    picture,
)
from bids_app.report.sources import (
    FloatArray,
    Folder,
    GroupFiles,
    ParticipantFiles,
    Rows,
    column,
    to_float,
)
from bids_app.report.subcortex import own_effects
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.cortex import cortex_text
from bids_app.surface.mesh import SurfaceMesh

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PARTICIPANT_METHODS = (
    "Each run's BOLD was fitted by one boxcar per condition, convolved with the canonical response,"
    " confounds, slow drifts and a constant, with AR(1) errors; runs were combined as fixed"
    " effects. With a seed, the model is [phi, Xc, phi * Xc]: phi is the first eigenvariate of the"
    " seed's series after confounds and drifts are removed, Xc the convolved contrast, and the map"
    " shows the product, taken at the level of the BOLD signal (Kim et al. 2017,"
    " doi:10.1038/s41598-017-06105-2)."
)
GROUP_METHODS = (
    "Means over participants were tested by two-sided sign flips. Where a rating difference is"
    " given, dBOLD = b0 + b1 dRating + e was fitted at every vertex, and b1 tested by permuting (or"
    " flipping) the residuals of the model without the rating (Freedman and Lane 1983,"
    " doi:10.1080/07350015.1983.10509354). p is corrected over vertices by the largest |t| and,"
    " apart from that, by threshold-free cluster enhancement (Smith and Nichols 2009,"
    " doi:10.1016/j.neuroimage.2008.03.061); every map and table is corrected on its own."
)

_PARTICIPANT_MAPS = {
    "": "Difference of the conditions",
    "ppi": "Interaction of the seed's course with the difference of the conditions (PPI)",
}
_GROUP_MAPS = {
    "": "Mean difference of the conditions over participants",
    "rating": "Difference of the conditions against the rating difference (slope b1 over"
    " participants)",
    "ppi": "Mean interaction with the seed (PPI) over participants",
    "ppirating": "Interaction with the seed against the rating difference (slope b1 over"
    " participants)",
}


def participant_conditions(files: ParticipantFiles) -> list[Section]:
    """Maps and lags of a participant; no section where there are none."""
    path = files.tree.participant_settings(files.participant, CONDITIONS_LABEL)
    if not path.is_file():
        return []
    told = files.json(path)
    section = Section("conditions", "Conditions")
    section.add("settings", lambda: _facts(told["Settings"]))
    section.blocks.append(Text(PARTICIPANT_METHODS))
    for label, contrast in told["Contrasts"].items():
        for desc, text in _PARTICIPANT_MAPS.items():
            if desc == "ppi" and not told["Settings"]["seed"]:
                continue
            section.add(text, partial(participant_map, files, files.mesh, label, contrast, desc))
        if told["Settings"]["target"]:
            curves = files.tree.condition_table(
                files.participant, "timeseries.tsv", feature=label, desc="lags"
            )
            section.add("lagged correlation", partial(lag_picture, files, curves, "r"))
    own_effects(files, CONDITIONS_LABEL, section)
    section.add("runs", lambda: runs_table(files))
    return [section]


def participant_map(
    files: ParticipantFiles, mesh: SurfaceMesh, label: str, contrast: str, desc: str
) -> Block:
    """The t map of one contrast or interaction."""
    entities = {"model": CONDITIONS_LABEL, "feature": label, "stat": "t", "desc": desc}
    left = files.tree.participant_map(files.participant, "L", files.space, **entities)
    values = files.both(left)[0]
    freedom = files.json(sidecar_of(left)).get("DegreesOfFreedom")
    return _map(
        files,
        mesh,
        left,
        values,
        f"{_PARTICIPANT_MAPS[desc]}, {contrast}: t with {number(freedom, 0)} degrees of freedom."
        f" {LEGEND} (of t, two-sided, not corrected). {UNTESTED}",
        freedom=None if freedom is None else float(freedom),
    )


def group_conditions(files: GroupFiles) -> list[Section]:
    """Tests, maps and lags of the group; no section where there are none."""
    if not files.tree.group_table("settings.json", model=CONDITIONS_LABEL).is_file():
        return []
    section = Section("conditions", "Conditions")
    section.blocks.append(Text(GROUP_METHODS))
    section.add("tests", lambda: tests_table(files))
    section.add("rating differences", lambda: ratings_text(files))
    for path in _t_maps(files):
        section.add("map of conditions", partial(group_map, files, files.mesh, path))
    for path in sorted(
        files.root.glob(f"group_model-{CONDITIONS_LABEL}_*desc-lags_timeseries.tsv")
    ):
        section.add("lagged correlation", partial(lag_picture, files, path, "mean_r"))
        section.add("lagged correlation in numbers", partial(lags_table, files, path))
    return [section]


def _t_maps(files: GroupFiles) -> list[Path]:
    """Left hemispheres."""
    folder = files.tree.group_folder(files.space)
    found = folder.glob(f"*_hemi-L_*model-{CONDITIONS_LABEL}_*_stat-t_*statmap.func.gii")
    order = list(_GROUP_MAPS)

    def place(path: Path) -> tuple[str, int]:
        entities = parse_entities(path)
        return entities["feature"], order.index(entities.get("desc", ""))

    return sorted(found, key=place)


def group_map(files: GroupFiles, mesh: SurfaceMesh, left: Path) -> Block:
    """A t map, outlined where p < .05."""
    entities = parse_entities(left)
    desc = entities.get("desc", "")
    told = files.json(sidecar_of(left))
    inside = {}
    for test in ("maxt", "tfce"):
        path = files.tree.group_map(
            "L",
            files.space,
            model=CONDITIONS_LABEL,
            feature=entities["feature"],
            stat="p",
            desc=f"{desc}{test}",
        )
        inside[test] = np.nan_to_num(files.both(path)[0], nan=1.0) < SIGNIFICANCE
    return _map(
        files,
        mesh,
        left,
        files.both(left)[0],
        f"{_GROUP_MAPS[desc]}, {told['Contrast']}: t, {len(told['Participants'])} participants."
        f" {LEGEND} (of t, two-sided, not corrected)."
        f" p < .05 at {int(inside['maxt'].sum())} vertices (corrected by the largest |t|;"
        f" outlined) and at {int(inside['tfce'].sum())} (threshold-free cluster enhancement).",
        outline=inside["maxt"],
        freedom=float(len(told["Participants"]) - 1),
    )


def _map(
    files: Folder,
    mesh: SurfaceMesh,
    left: Path,
    values: FloatArray,
    caption: str,
    outline: Any = None,
    *,
    freedom: float | None,
) -> Picture:
    border = None
    if outline is not None:
        border, why = border_of(outline, values)
        caption += "" if border is not None else f" No line: {why}."
    return picture(
        surface_figure(
            values,
            ColorScale.tested("t", values),
            mesh=mesh,
            outline=border,
            opacity=None if freedom is None else opacity_of(p_of_t(values, freedom)),
        ),
        alt=caption.partition(":")[0] + ", t on the inflated cortex, lateral and medial views of"
        " both hemispheres",
        caption=caption,
        source=files.both_names(left),
    )


def _facts(settings: Mapping[str, Any]) -> Block:
    shown = [("Contrasts", ", ".join(settings["contrasts"])), ("Column", settings["column"])]
    shown += [(name.title(), settings[name]) for name in ("seed", "target") if settings[name]]
    mask = settings.get("cortex_mask")
    shown += [("Cortex", cortex_text(mask))] if isinstance(mask, Mapping) else []
    return Facts(shown)


def runs_table(files: ParticipantFiles) -> Block:
    """Which runs are part of which maps."""
    rows = files.table(files.tree.condition_table(files.participant, "summary.tsv", desc="runs"))
    names = ("run", "contrast", "analysis", "used", "n_volumes", "reason")
    body = [["" if row[name] == "n/a" else row[name] for name in names] for row in rows]
    return Table("Runs of the conditions", [name.replace("_", " ") for name in names], body)


def tests_table(files: GroupFiles) -> Block:
    """One row per test."""
    path = files.tree.group_table("summary.tsv", model=CONDITIONS_LABEL, desc="tests")
    shown = {
        "contrast": "contrast",
        "analysis": "analysis",
        "test": "test",
        "n_participants": "participants",
        "n_significant_maxt": "vertices, max-T",
        "n_significant_tfce": "vertices, TFCE",
        "peak_t": "peak t",
        "peak_p": "its p",
        "not_tested": "not tested",
    }
    return _table(
        "Tests over participants (two-sided, p < .05, corrected)", files.table(path), shown
    )


def ratings_text(files: GroupFiles) -> Block:
    """Who took part in the regression, and who did not."""
    path = files.tree.group_table("summary.tsv", model=CONDITIONS_LABEL, desc="participants")
    rows = files.table(path)
    without = [row["participant_id"] for row in rows if row["in_regression"] != "True"]
    if len(without) == len(rows):
        return Text("No rating difference was given, so nothing was related to it.")
    if not without:
        return Text("Every participant has a rating difference.")
    return Text(f"Without a rating difference, kept out of its tests: {', '.join(without)}.")


def lag_picture(files: Folder, path: Path, name: str) -> Block:
    """Correlation of seed and target over lags, one line per condition."""
    rows = files.table(path)
    convention = rows[0]["convention"]
    return picture(
        lags_figure(rows, name, convention),
        alt="Correlation of seed and target over lags for each condition",
        caption="Correlation of seed and target, rho(h) = corr(seed(t + h), target(t)), over the"
        f" volumes of each condition; {convention}."
        + (" Bands: standard error over participants." if "sem_r" in rows[0] else ""),
        source=files.name(path),
    )


def lags_figure(rows: Rows, name: str, convention: str) -> Figure:
    """Lines over lags with a band where there is a standard error."""
    figure = new_figure(8.0, 4.0)
    ax = figure.subplots()
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = [row for row in rows if row["condition"] == condition]
        lags, r = column(own, "lag_s"), column(own, name)
        (line,) = ax.plot(lags, r, marker="o", markersize=3, label=condition)
        if "sem_r" in own[0]:
            sem = column(own, "sem_r")
            ax.fill_between(lags, r - sem, r + sem, color=line.get_color(), alpha=0.15, linewidth=0)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.axvline(0, color=GRAY, linewidth=0.8)
    ax.set_xlabel(f"lag in seconds ({convention})", fontsize=11)
    ax.set_ylabel("correlation", fontsize=11)
    ax.legend(fontsize=10, frameon=False)
    tidy(ax)
    return figure


def lags_table(files: GroupFiles, curves: Path) -> Block:
    """Means over negative and positive lags, tested."""
    path = curves.with_name(curves.name.replace("_timeseries.tsv", "_summary.tsv"))
    shown = {
        "condition": "condition",
        "lags": "lags",
        "n_participants": "participants",
        "mean_r": "mean r",
        "t": "t",
        "p": "p",
        "n_rating": "with rating",
        "slope": "slope",
        "slope_t": "its t",
        "slope_p": "its p",
    }
    rows = files.table(path)
    return _table(f"Means over lags ({rows[0]['convention']}; p corrected over rows)", rows, shown)


def _table(caption: str, rows: Rows, shown: Mapping[str, str]) -> Table:
    def cell(name: str, text: str) -> str:
        if text in ("", "n/a"):
            return ""
        value = to_float(text)
        return named_number(name, value) if "." in text and np.isfinite(value) else text

    body = [[cell(name, row[name]) for name in shown] for row in rows]
    numeric = [k for k, name in enumerate(shown) if np.isfinite(to_float(rows[0][name]))]
    return Table(caption, list(shown.values()), body, numeric=numeric)
