"""Maps on the interactive pages of participants and group, and links to these pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from bids_app.errors import MusencError
from bids_app.group.claims import holds
from bids_app.report.brain import ColorScale
from bids_app.report.controls import control_banner
from bids_app.report.explore import Explored, ExploredMap, write_explorer
from bids_app.report.fading import corrected, group_fading, participant_fading
from bids_app.report.page import Block, Links, Section
from bids_app.report.sources import BoolArray, FloatArray, Folder, GroupFiles, ParticipantFiles
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.atlas import installed_atlas


def link_participant(section: Section, files: ParticipantFiles) -> None:
    """Write the interactive page of a participant's model, and link it."""
    section.add("interactive page", lambda: _linked(files, participant_explored))


def link_group(section: Section, files: GroupFiles) -> None:
    """Write the interactive page of a model's group results, and link it."""
    section.add("interactive page", lambda: _linked(files, group_explored))


def _linked(files: Folder, build: Callable[..., Explored]) -> Block:
    path = files.tree.explorer(files.model, getattr(files, "participant", ""))
    path.unlink(missing_ok=True)
    write_explorer(path, build(files))
    return Links(
        "Rotate the cortex, choose layer and threshold, click a vertex for its values",
        [(path.name, path.name)],
    )


def participant_explored(files: ParticipantFiles) -> Explored:
    """Maps and responses of a participant."""
    fading = participant_fading(files)
    q, inside = None, None
    with suppress(MusencError):
        q = files.map("q") < SIGNIFICANCE
    any_layer = None if fading.any_layer is None else fading.any_layer[None]
    if fading.p is not None:
        inside = (corrected(fading.p) < SIGNIFICANCE)[None]
    best = files.accuracy.max(axis=0, keepdims=True)
    maps = [
        _accuracy("accuracy of every layer", files.accuracy, files.layer_names, fading.p, q),
        _accuracy("highest accuracy over layers", best, ["highest"], any_layer, inside),
        *_preference(files, any_layer, inside),
    ]
    courses = []
    with suppress(MusencError):
        courses = [
            (str(told["Stimulus"]), np.asarray(told["StimulusTimes"], dtype=float), values)
            for told, values in files.responses
        ]
    who = f"sub-{files.participant}"
    return Explored(
        title=f"{who}: {files.model} on the surface",
        subtitle="Turn the surface by dragging, zoom with the wheel, click a vertex.",
        banner=control_banner(files.root, [files.model], files.participant),
        page=files.tree.participant_report(files.participant).name,
        mesh=files.mesh,
        maps=maps,
        corrected="q < .05 over vertices",
        courses=courses,
        regions=_regions(files),
        notes=_notes(files),
    )


def group_explored(files: GroupFiles) -> Explored:
    """Maps of the group."""
    fading = group_fading(files)
    inside: BoolArray | None = None
    with suppress(MusencError):
        inside = np.asarray(holds(files.map("p", desc="maxt"), files.map("q", desc="music")))
    some = None if inside is None else np.asarray(inside.any(axis=0, keepdims=True))
    any_layer = None if fading.any_layer is None else fading.any_layer[None]
    best = files.accuracy.max(axis=0, keepdims=True)
    maps = [
        _accuracy(
            "mean accuracy of every layer", files.accuracy, files.layer_names, fading.p, inside
        ),
        _accuracy("highest mean accuracy over layers", best, ["highest"], any_layer, some),
        *_preference(files, any_layer, some),
    ]
    with suppress(MusencError):
        gradient = files.map("value", desc=files.of_gradient("gradient"))
        label = f"gradient {files.gradient}".strip()
        maps.append(ExploredMap(label, ColorScale.ordered(label, gradient), gradient, [label]))
    with suppress(MusencError):
        share = files.map("prevalence")
        scale = ColorScale("prevalence (share of people, at least)", 0.0, 1.0)
        maps.append(ExploredMap("prevalence", scale, share, files.layer_names, p=fading.p))
    return Explored(
        title=f"Group: {files.model} on the surface",
        subtitle="Turn the surface by dragging, zoom with the wheel, click a vertex.",
        banner=control_banner(files.root, [files.model]),
        page=files.tree.group_report.name,
        mesh=files.mesh,
        maps=maps,
        corrected="p < .05 over people (max-T) and q < .05 over music",
        regions=_regions(files),
        notes=[f"p: {fading.what}.", *_notes(files)],
    )


def _accuracy(
    title: str,
    values: FloatArray,
    names: Sequence[str],
    p: FloatArray | None,
    passed: BoolArray | None,
) -> ExploredMap:
    scale = ColorScale.accuracy("accuracy (Pearson r)", values)
    return ExploredMap(title, scale, values, names, p, passed)


def _preference(
    files: ParticipantFiles | GroupFiles, p: FloatArray | None, passed: BoolArray | None
) -> Iterator[ExploredMap]:
    """Slope, curvature and center of mass where there are any; p is of the accuracy."""
    for stat, unit, scale_of in (
        ("slope", "residual slope (r per network depth)", ColorScale.diverging),
        ("curvature", "curvature (r per square of depth)", ColorScale.diverging),
        ("centroid", "center of mass (layer)", ColorScale.ordered),
    ):
        with suppress(MusencError):
            values = files.map(stat, desc="layerpref")[:1]
            if np.isfinite(values).any():
                title = f"{unit.split(' (')[0]} (p of the accuracy)"
                yield ExploredMap(title, scale_of(unit, values), values, [stat], p, passed)


def _regions(files: Folder) -> tuple[str, np.ndarray, dict[int, str]] | None:
    atlas = installed_atlas(files.space)
    return None if atlas is None else (atlas.label, atlas.regions, atlas.names)


def _notes(files: Folder) -> list[str]:
    if installed_atlas(files.space) is not None:
        return []
    return ["Regions are not named: `musenc prefetch parcels` brings the atlas that names them."]
