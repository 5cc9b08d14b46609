"""The part of the group page about layer preference and the cortical gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError
from bids_app.group.claims import MUSIC
from bids_app.outputs import ALIGNMENT_DESC
from bids_app.report.analyses import analysis_blocks
from bids_app.report.brain import ColorScale, rows_figure, surface_figure
from bids_app.report.claims import claim_verdict, claims_about
from bids_app.report.fading import group_fading
from bids_app.report.group_charts import (
    bins_figure,
    hexbin_figure,
    participants_figure,
    ridgeline_figure,
    spin_figure,
)
from bids_app.report.group_details import depth_controls, layer_alignment_blocks
from bids_app.report.page import (
    Block,
    Facts,
    Missing,
    Section,
    Table,
    Text,
    Verdict,
    named_number,
    number,
    picture,
)
from bids_app.report.sources import FloatArray, GroupFiles, column, to_float
from bids_app.statistics import p_number, p_told
from bids_app.surface.mesh import SurfaceMesh


def alignment_section(files: GroupFiles) -> Section:
    """Test, participants, null, and what it looks like."""
    name = files.gradient
    section = Section(
        f"alignment-{name}" if name else "alignment",
        f"Alignment with the cortical gradient{f': {name}' if name else ''}",
    )
    if reason := files.preference_missing:
        section.blocks.append(Missing("alignment of the layer preference", reason))
        return section
    section.add("statement", lambda: claim_verdict(files, "slope", name))
    section.add("curvature", lambda: claims_about(files, "curvature", name))
    section.add("untrained networks", lambda: claims_about(files, "slope beside untrained", name))
    section.add("settings of the alignment", lambda: analysis_blocks(files, ALIGNMENT_DESC, name))
    section.add("numbers of the alignment", lambda: alignment_facts(files))
    section.add("accuracy of every layer", lambda: layer_alignment_blocks(files))
    section.add("controls of depth", lambda: depth_controls(files))
    section.add("spin null", lambda: spin_picture(files))
    section.add("participants", lambda: participants_picture(files))
    section.add("participants in numbers", lambda: participants_table(files))
    section.add("topography beside the gradient", lambda: topography_picture(files, files.mesh))
    section.add("the gradient", lambda: gradient_picture(files, files.mesh))
    section.add("preference against gradient", lambda: hexbin_picture(files))
    section.add("accuracy along the gradient", lambda: bins_picture(files))
    section.add("gradient by preferred layer", lambda: ridgeline_picture(files))
    return section


def alignment_facts(files: GroupFiles) -> list[Block]:
    """Every number of the test, with what it means."""
    group = files.alignment
    mask = {
        "significant": "vertices whose layer-averaged accuracy is significant over people and"
        " music",
        "people": "vertices whose layer-averaged accuracy is significant over people (nothing was"
        " tested over music)",
        "cortex": "the whole cortex (too few vertices are significant)",
    }.get(str(group.get("mask")), str(group.get("mask", "n/a")))
    method = str(group.get("method", "spearman")).capitalize()
    facts = [
        (f"Mean correlation ({method})", _pair(group, "rho_mean", "p_spin", "spin p")),
        (
            "The same given accuracy",
            _pair(group, "rho_mean_partial", "p_spin_partial", "spin p")
            if "rho_mean_partial" in group
            else f"spin {_p(group, 'p_spin_partial')}",
        ),
        (
            "Interval over participants",
            f"{_value(group, 'ci_low')} to {_value(group, 'ci_high')} (95 %, bootstrap)",
        ),
        ("t over participants", f"{_value(group, 't')}, {_p(group, 'p_t')}"),
        ("Over music", _over_music(group)),
        ("Rotations", f"{_value(group, 'n_spins')} ({_value(group, 'n_redrawn')} drawn again)"),
        ("Mask", f"{mask}: {_value(group, 'n_mask')} vertices"),
    ]
    for side, title in (
        ("left", "Left hemisphere"),
        ("right", "Right hemisphere"),
        ("without_auditory", "Without auditory cortex"),
    ):
        own = group.get(side)
        told = (
            _pair(own, "rho_mean", "p_spin", "spin p")
            if isinstance(own, Mapping)
            else "not computed: the mask holds too little of it"
        )
        facts.append((title, told))
    if group.get("mask") == "cortex":
        note = "Too few vertices are significant, so the whole cortex was used."
        return [Facts(facts), Verdict(note, "warning")]
    return [Facts(facts)]


def spin_picture(files: GroupFiles) -> Block:
    """Null distributions with the observed value."""
    group = files.alignment
    path = files.file(".tsv", desc=files.of_gradient("nulls"))
    rows = files.table(path)
    panels = [
        ("plain", "statistic", "p_spin"),
        ("given accuracy", "statistic_partial", "p_spin_partial"),
    ]
    drawn = [
        (title, column(rows, name), to_float(group.get(name)), to_float(group.get(p)))
        for title, name, p in panels
        if name in rows[0]
    ]
    return picture(
        spin_figure(drawn),
        alt="Distribution of the alignment statistic over rotations of the gradient with the"
        " observed value as a line; "
        + "; ".join(f"{title}: observed {x:.3f}, {p_told(p)}" for title, _, x, p in drawn),
        caption="What alignment a rotated gradient reaches, and what was observed (line). Rotations"
        " keep the smoothness of the gradient and move it away from where it belongs.",
        source=files.name(path),
    )


def participants_picture(files: GroupFiles) -> Block:
    """One point per participant."""
    group, rows = files.alignment, files.rows("statmap.tsv", desc=files.of_gradient(ALIGNMENT_DESC))
    rho = column(rows, "rho")
    interval = (to_float(group.get("ci_low")), to_float(group.get("ci_high")))
    mean = to_float(group.get("rho_mean"))
    return picture(
        participants_figure(
            [row["participant_id"] for row in rows],
            rho,
            column(rows, "rho_partial"),
            mean,
            interval,
        ),
        alt=f"Correlation of layer preference and gradient of {len(rows)} participants, mean"
        f" {mean:.3f}, interval {interval[0]:.3f} to {interval[1]:.3f}",
        caption="Each participant's correlation (filled) and the same given accuracy (open), the"
        " mean and its 95 % bootstrap interval over participants. Participants share the music and"
        " what the cortex looks like, so agreement between them is no evidence by itself: a claim"
        " needs the null over music and the spin null too.",
        source=files.name(files.file("statmap.tsv", desc=files.of_gradient(ALIGNMENT_DESC))),
    )


def participants_table(files: GroupFiles) -> Block:
    """The alignment table as it is in the derivatives."""
    shown = {
        "participant_id": "participant",
        "rho": "rho",
        "rho_partial": "given accuracy",
        "rho_left": "left",
        "rho_right": "right",
        "rho_without": "group without",
        "p_without": "spin p without",
    }
    rows = files.rows("statmap.tsv", desc=files.of_gradient(ALIGNMENT_DESC))
    names = [name for name in shown if name in rows[0]]
    return Table(
        "Alignment per participant, and of the group without that participant",
        [shown[name] for name in names],
        [
            [row[names[0]], *(named_number(name, to_float(row[name])) for name in names[1:])]
            for row in rows
        ],
        numeric=range(1, len(names)),
    )


def topography_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Layer preference over the gradient that it is compared with."""
    slope = files.map("slope", desc="layerpref")[0]
    gradient = files.map("value", desc=files.of_gradient("gradient"))[0]
    fading = group_fading(files)
    preference = ColorScale.diverging("mean residual slope (r per network depth)", slope)
    rows = [
        (slope, preference, fading.opacity),
        (gradient, ColorScale.ordered("gradient (no unit)", gradient), None),
    ]
    return picture(
        rows_figure(rows, mesh=mesh),
        alt="Mean residual slope above the cortical gradient, lateral and medial views of both"
        " hemispheres",
        caption="Layer preference (red: deep layers, blue: shallow ones) above the gradient that it"
        f" is compared with; {gradient_ends(files)}. Of the preference: {fading.words}",
        source=f"{files.map_label('slope', desc='layerpref')}, {_gradient_label(files)}",
    )


def gradient_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """The gradient as it was used."""
    values = files.map("value", desc=files.of_gradient("gradient"))[0]
    return picture(
        surface_figure(values, ColorScale.ordered("gradient (no unit)", values), mesh=mesh),
        alt="The cortical gradient on the inflated cortex, lateral and medial views of both"
        " hemispheres",
        caption=f"The gradient on this mesh; {gradient_ends(files)}. Gray: medial wall, left out."
        f"{_warnings(files)}{_made_from(files)}",
        source=_gradient_label(files),
    )


def _warnings(files: GroupFiles) -> str:
    """What looks wrong about the gradient's file."""
    record = files.alignment.get("gradient")
    told = record.get("Warnings") if isinstance(record, Mapping) else None
    return "".join(f" {one}." for one in told or ())


def _made_from(files: GroupFiles) -> str:
    """Where a gradient of these people comes from; empty for other ones."""
    record = files.alignment.get("gradient")
    told = record.get("MadeFrom") if isinstance(record, Mapping) else None
    if not isinstance(told, Mapping):
        return ""
    return (
        f" It is component {told.get('Component')} of {len(told.get('Runs', ()))} resting runs of"
        f" these people, which correlates {number(told.get('CorrelationWithTemplate'))} (Spearman)"
        f" with its template (spin p {p_number(to_float(told.get('SpinP')))}); component"
        f" {told.get('RunnerUp')} comes next. Maps and gradient are not independent: noise of a"
        " person is in both."
    )


def gradient_ends(files: GroupFiles) -> str:
    """What low and high values of the gradient mean, as far as that is known."""
    told = _orientation(files)
    if told is None:
        return "its ends are as its file has them"
    high, low = _ends(told)
    words = {
        "transmodal": "transmodal (default mode)",
        "sensory": "sensory and motor",
    }
    turned = "its sign was changed" if told.get("flipped") else "its sign is that of the file"
    return (
        f"high values are {words[high]}, low values {words[low]};"
        f" {turned} (transmodal mean {number(told.get('transmodal_mean'))}, sensory mean"
        f" {number(told.get('sensory_mean'))})"
    )


def gradient_axis(files: GroupFiles) -> str:
    """Label of an axis that shows the gradient, by its record."""
    told = _orientation(files)
    if told is None:
        return "gradient (sign as in its file)"
    high, low = _ends(told)
    return f"gradient (low: {low}, high: {high})"


def _orientation(files: GroupFiles) -> Mapping[str, Any] | None:
    """What the record says of the gradient's ends; None where it says nothing."""
    record = files.alignment.get("gradient")
    told = record.get("Orientation") if isinstance(record, Mapping) else None
    return told if isinstance(told, Mapping) else None


def _ends(told: Mapping[str, Any]) -> tuple[str, str]:
    """High and low end; turned gradients without means are those of an earlier version."""
    transmodal, sensory = (to_float(told.get(f"{end}_mean")) for end in ("transmodal", "sensory"))
    return ("sensory", "transmodal") if transmodal < sensory else ("transmodal", "sensory")


def hexbin_picture(files: GroupFiles) -> Block:
    """Mean preference against the gradient inside the mask."""
    gradient, mask = _gradient_and_mask(files)
    slope = files.map("slope", desc="layerpref")[0]
    inside = mask & np.isfinite(slope)
    if not inside.any():
        raise BadDataError(
            "No vertex has both a slope and a gradient value",
            found="no such vertex",
            wanted="vertices with both inside the mask",
            remedy="give a gradient that covers the mask",
        )
    return picture(
        hexbin_figure(gradient[inside], slope[inside], gradient_axis(files)),
        alt=f"Mean residual slope against the gradient at {int(inside.sum())} vertices, as counts"
        " in hexagons",
        caption=f"Mean residual slope against the gradient at the {int(inside.sum())} vertices of"
        " the mask. Neighboring vertices are not independent: only the tests above say"
        " whether there is alignment.",
        source=f"{files.map_label('slope', desc='layerpref')}, {_gradient_label(files)}",
    )


def bins_picture(files: GroupFiles) -> Block:
    """Accuracy of every layer in equal-count bins of the gradient."""
    rows = files.rows("statmap.tsv", desc=files.of_gradient("bins"))
    bins, layers = column(rows, "bin").astype(int), column(rows, "layer").astype(int)
    table = np.full((layers.max(), bins.max()), np.nan)
    table[layers - 1, bins - 1] = column(rows, "r")
    names = {int(row["layer"]): row["name"] for row in rows}
    return picture(
        bins_figure(table, [names[k] for k in sorted(names)], gradient_axis(files)),
        alt=f"Heat map of accuracy: {len(names)} layers by {bins.max()} bins of the gradient, and"
        " the same minus the mean of each bin",
        caption="Mean accuracy of every layer in bins of the gradient that hold equally many"
        " vertices; left as it is, right minus the mean over the layers of its bin; both on scales"
        " that are the same for all studies. For description only: neighboring bins are not"
        " independent.",
        source=files.name(files.file("statmap.tsv", desc=files.of_gradient("bins"))),
    )


def ridgeline_picture(files: GroupFiles) -> list[Block]:
    """Where along the gradient the vertices lie that prefer each layer."""
    gradient, mask = _gradient_and_mask(files)
    layer = files.map("argmax", desc="layerpref")[0]
    inside = mask & np.isfinite(layer)
    if not inside.any():
        raise BadDataError(
            "No vertex has both a best layer and a gradient value",
            found="no such vertex",
            wanted="vertices with both inside the mask",
            remedy="give a gradient that covers the mask",
        )
    return [
        picture(
            ridgeline_figure(
                gradient[inside], layer[inside], files.layer_names, gradient_axis(files)
            ),
            alt="Distribution of the gradient over the vertices that prefer each layer, one ridge"
            " per layer",
            caption="Where along the gradient the vertices lie whose group profile is highest in"
            " each layer (number of vertices in brackets; black: median; fewer than ten vertices"
            " as ticks).",
            source=f"{files.map_label('argmax', desc='layerpref')}, {_gradient_label(files)}",
        ),
        Text("The best layer follows accuracy too, so this picture describes and does not test."),
    ]


def _gradient_and_mask(files: GroupFiles) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The gradient, and the vertices the alignment was computed on."""
    gradient = files.map("value", desc=files.of_gradient("gradient"))[0]
    return gradient, np.isfinite(gradient) & (files.map("n", desc="mask")[0] > 0)


def _gradient_label(files: GroupFiles) -> str:
    return files.map_label("value", desc=files.of_gradient("gradient"))


def _over_music(group: Mapping[str, Any]) -> str:
    """The statistic against its null, and how that was made."""
    slope = group.get("tests", {}).get("slope", {}).get("tests", [])
    found: Mapping[str, Any] = next((one for one in slope if one.get("level") == MUSIC), {})
    if found.get("p") is None:
        return f"not tested: {found.get('reason') or 'by an earlier version'}"
    told = group.get("MusicRefits", {}).get("slope", {}).get("told", "")
    return (
        f"mean correlation {number(found['statistic'])} (participants weighted by the spread of"
        f" their maps), SD of the null {number(found['sd'])}, {p_told(found['p'])};"
        f" {found['n_draws']} draws; {told}"
    )


def _value(group: Mapping[str, Any], name: str) -> str:
    return number(group.get(name))


def _p(group: Mapping[str, Any], name: str) -> str:
    return p_told(to_float(group.get(name)))


def _pair(group: Mapping[str, Any], first: str, second: str, label: str) -> str:
    return f"{_value(group, first)}, {label.removesuffix(' p')} {_p(group, second)}"
