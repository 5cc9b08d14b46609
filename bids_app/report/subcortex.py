"""Subcortical voxels on the pages: slices and tables of structures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.meshes import FSLR
from bids_app.outputs import sidecar_of
from bids_app.report.claims import ACCURACY_OF_VOXELS, claims_about
from bids_app.report.page import (
    Block,
    Section,
    Table,
    named_number,
    number,
    percent,
    picture,
)
from bids_app.report.parcels import region_cell
from bids_app.report.sources import Folder, GroupFiles, ParticipantFiles, Rows, to_float
from bids_app.surface.subcortex import LABEL, Subcortex, read_subcortex

SLICES = (-32, -20, -12, -4, 4, 12)
"""Heights of the slices, mm: cerebellum, brain stem and colliculi, amygdala, striatum, thalamus."""
_HIGHEST = 0.3
"""Of the scale of accuracy, as on the cortex."""


def heights_of(subcortex: Subcortex) -> list[float]:
    """Heights of the slices, mm: `SLICES`, or of an atlas up to six that its voxels have.

    Examples
    --------
    >>> points, names = np.array([[9, 9, z] for z in range(9)]), np.full(9, "colliculus")
    >>> heights_of(Subcortex(points, names, np.eye(4), (99, 99, 99), "MNI152NLin2009cAsym"))
    [0.0, 2.0, 3.0, 5.0, 6.0, 8.0]
    """
    if subcortex.space == FSLR:
        return [float(z) for z in SLICES]
    there = np.unique(subcortex.points[:, 2].round(3))
    places = np.linspace(0, len(there) - 1, min(len(SLICES), len(there))).round().astype(int)
    return [float(z) for z in there[places]]


def slices_figure(subcortex: Subcortex, values: np.ndarray, label: str, *, signed: bool) -> Any:
    """Values of the voxels on horizontal slices of the MNI152 template.

    Parameters
    ----------
    subcortex : Subcortex
    values : (n_voxels,) array
        NaN is not drawn.
    label : str
        Of the scale.
    signed : bool
        Whether the scale has two sides.
    """
    from matplotlib.figure import Figure
    from nilearn.plotting import plot_stat_map

    figure = Figure(figsize=(11.0, 2.6))
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    top = largest or 1.0
    if not signed:
        top = max(_HIGHEST, largest)
    plot_stat_map(
        subcortex.image(np.nan_to_num(values), outside=0.0),  # zeros are not drawn
        display_mode="z",
        cut_coords=heights_of(subcortex),
        figure=figure,
        cmap="RdBu_r" if signed else "inferno",
        vmin=-top if signed else 0.0,
        vmax=top,
        symmetric_cbar=signed,
        colorbar=True,
        annotate=True,
        draw_cross=False,
        black_bg=False,
        resampling_interpolation="nearest",
    )
    figure.suptitle(label, fontsize=11)
    return figure


def subcortex_section(files: GroupFiles) -> list[Section]:
    """Structures over participants; no section where nobody has subcortical maps."""
    path = files.file("summary.tsv", desc=LABEL)
    if not path.is_file():
        return []
    section = Section("subcortex", "Subcortex")
    section.add("what is predicted", lambda: claims_about(files, ACCURACY_OF_VOXELS))
    section.add("accuracy of subcortical voxels", partial(_group_picture, files))
    section.add("predicted subcortical voxels", partial(_predicted_pictures, files))
    section.add("subcortical structures", partial(structures_table, files, path))
    return [section]


def _predicted_pictures(files: GroupFiles) -> list[Block]:
    """Voxels of which people and music both hold; no picture where there are none."""
    path = files.file("statmap.dscalar.nii", stat="n", desc=f"{LABEL}predicted")
    if not path.is_file():
        return []
    subcortex, values = read_subcortex(path)
    there = int((values[0] > 0).sum())
    if not there:
        return []
    label = "layers that predict the voxel, over people and over music"
    return [
        picture(
            slices_figure(subcortex, values[0].astype(np.float64), label, signed=False),
            alt=f"{there} predicted subcortical voxels on {len(heights_of(subcortex))}"
            " horizontal slices",
            caption="Number of layers that predict the voxel: people (max-T p) and music (q) both"
            " below .05. Other voxels are not drawn.",
            source=files.name(path),
        )
    ]


def _group_picture(files: GroupFiles) -> Block:
    path = files.need(files.file("statmap.dscalar.nii", stat="r", desc=LABEL))
    return _accuracy_picture(files.name(path), path, "group mean")


def _accuracy_picture(name: str, path: Path, whose: str) -> Block:
    subcortex, values = read_subcortex(path)
    averaged = values.astype(np.float64).mean(axis=0)
    figure = slices_figure(
        subcortex, averaged, f"accuracy averaged over layers (r), {whose}", signed=False
    )
    return picture(
        figure,
        alt=f"Accuracy of {len(averaged)} subcortical voxels on"
        f" {len(heights_of(subcortex))} horizontal slices,"
        f" {np.nanmin(averaged):.3f} to {np.nanmax(averaged):.3f}",
        caption="Accuracy averaged over layers of the subcortical voxels, on horizontal slices of"
        " the MNI152 template (z in mm). Every voxel with a result is drawn, significant or not.",
        source=name,
    )


def structures_table(files: GroupFiles, path: Path) -> Block:
    """All structures with both p."""
    rows = sorted(files.table(path), key=lambda row: -np.nan_to_num(to_float(row["accuracy"])))
    shown = (
        "n_voxels",
        "accuracy",
        "accuracy_p",
        "accuracy_p_music",
        "predicted",
        "n_predicted",
        "slope",
        "slope_p",
        "slope_p_music",
        "centroid",
    )
    return Table(
        "Subcortical structures; p over people and over music, each corrected over structures"
        " (predicted: both). Voxels predicted: those of which people and music both hold for some"
        " layer, corrected over all voxels. The slope has the reference profile of the"
        " cortex. Every layer and participant is in the tables.",
        [
            "structure",
            "side",
            "voxels",
            "mean r",
            "people",
            "music",
            "predicted",
            "voxels predicted",
            "residual slope",
            "people",
            "music",
            "center of mass",
        ],
        [
            [row["name"], row["hemisphere"], *(region_cell(row, name) for name in shown)]
            for row in rows
        ],
        numeric=range(2, 12),
    )


def participant_subcortex_sections(files: ParticipantFiles) -> list[Section]:
    """Slices and structures of a participant; no section without subcortical maps."""
    path = files.own_table("summary.tsv", model=files.model, desc=LABEL)
    if not path.is_file():
        return []
    section = Section("subcortex", "Subcortex")
    section.add("accuracy of subcortical voxels", partial(_own_picture, files))
    section.add("subcortical structures", lambda: own_structures(files.table(path)))
    return [section]


def _own_picture(files: ParticipantFiles) -> Block:
    folder = files.tree.participant_dir(files.participant)
    head = f"sub-{files.participant}_space-*_model-{files.model}"
    wanted = f"{head}_stat-r_desc-{LABEL}_statmap.dscalar.nii"
    path = next(iter(sorted(folder.glob(wanted))), folder / wanted)
    return _accuracy_picture(files.name(files.need(path)), path, f"sub-{files.participant}")


def own_structures(rows: Rows) -> Block:
    """Best layer of every structure, by its mean accuracy."""
    by_structure: dict[tuple[str, str], Rows] = {}
    for row in rows:
        by_structure.setdefault((row["structure"], row["hemisphere"]), []).append(row)
    body = []
    for (name, side), own in by_structure.items():
        accuracy = [to_float(row["r"]) for row in own]
        if not np.isfinite(accuracy).any():
            body.append([name, side, own[0]["n_voxels"], *["n/a"] * 5])
            continue
        best = own[int(np.nanargmax(accuracy))]
        body.append(
            [
                name,
                side,
                own[0]["n_voxels"],
                number(float(np.nanmean(accuracy)), 4),
                f"{best['layer']} ({best['name']})",
                number(to_float(best["r"]), 4),
                percent(to_float(best["share_q05"])),
                number(to_float(own[0]["slope"])),
            ]
        )
    return Table(
        "Subcortical structures: mean accuracy of their voxels. The best layer is for display",
        [
            "structure",
            "side",
            "voxels",
            "mean r",
            "best layer",
            "its mean r",
            "its voxels with q < .05",
            "residual slope",
        ],
        body,
        numeric=(2, 3, 5, 6, 7),
    )


def effects_section(files: GroupFiles, model: str, title: str) -> list[Section]:
    """Effects of ratings or conditions over participants; no section where there are none."""
    path = files.tree.group_table("summary.tsv", model=model, desc=LABEL)
    if not path.is_file():
        return []
    section = Section(f"subcortex-{model}", title)
    for left in sorted(files.root.glob(f"group_model-{model}_*_stat-t_desc-{LABEL}*.dscalar.nii")):
        section.add("effects at subcortical voxels", partial(_t_picture, files, left, "group"))
    section.add("effects in structures", partial(effects_table, files, path))
    return [section]


def own_effects(files: ParticipantFiles, model: str, section: Section) -> None:
    """Add what a participant has of effects at subcortical voxels."""
    folder = files.tree.participant_dir(files.participant)
    wanted = f"sub-{files.participant}_space-*_model-{model}_*_stat-t_desc-{LABEL}*.dscalar.nii"
    for path in sorted(folder.glob(wanted)):
        whose = f"sub-{files.participant}"
        section.add("effects at subcortical voxels", partial(_t_picture, files, path, whose))


def _t_picture(files: Folder, path: Path, whose: str) -> Block:
    subcortex, values = read_subcortex(path)
    told = files.json(sidecar_of(path))["DataArrays"][0]
    return picture(
        slices_figure(subcortex, values[0].astype(np.float64), f"{told} (t), {whose}", signed=True),
        alt=f"t of {told} at {values.shape[1]} subcortical voxels on"
        f" {len(heights_of(subcortex))} horizontal slices",
        caption=f"{told}: t at the subcortical voxels, on horizontal slices of the MNI152 template"
        " (z in mm), not thresholded.",
        source=files.name(path),
    )


def effects_table(files: GroupFiles, path: Path) -> Block:
    """Every map and structure with its p."""
    rows = sorted(files.table(path), key=lambda row: -abs(np.nan_to_num(to_float(row["t"]))))
    shown = ["effect", "t", "p", "p_music", "both"]
    heads = ["effect", "t", "p over people", "p over music", "both"]
    if rows and "slope" in rows[0]:
        shown, heads = [*shown[:3], "slope", "slope_p"], [*heads[:3], "slope on ratings", "its p"]
    cells = {"both": lambda text: {"True": "yes", "False": "no"}.get(text, "not tested")}
    return Table(
        "Subcortical structures: means of their voxels. p is two-sided and corrected over"
        " structures and maps; the p of a slope over the structures of its contrast.",
        ["effect of", "structure", "side", "voxels", *heads],
        [
            [
                row["about"],
                row["name"],
                row["hemisphere"],
                row["n_voxels"],
                *(
                    cells[name](row[name])
                    if name in cells
                    else named_number(name, to_float(row[name]))
                    for name in shown
                ),
            ]
            for row in rows
        ],
        numeric=range(3, 9),
    )
