"""Does layer preference run along a cortical gradient?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_app.analyses.declare import Settings
from bids_app.analyses.group.accuracy import GroupAccuracy
from bids_app.analyses.group.analysis import settings_of_files, state
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.depth_controls import DepthControls, controls_of
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.music_alignment import (
    CURVATURE,
    MusicAlignment,
    align_over_music,
    earlier_alignment,
    layer_measure,
)
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.own_gradient import OWN_BY, SAME_PEOPLE, refusal, remove_aligned
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.participant.layers import fitting_arrays
from bids_app.analyses.participant.preference import preference_missing
from bids_app.config import Config, Statistics
from bids_app.errors import BadDataError, MissingInputError, UsageError, reason_of
from bids_app.files import read_json, sha256_of_file
from bids_app.group import (
    AlignmentResult,
    GradientBins,
    GroupAlignment,
    OmnibusAlignment,
    gradient_bins,
    gradient_correlations,
    group_alignment,
    omnibus_alignment,
    orient_gradient,
    spin_alignment,
)
from bids_app.group.claims import PARTIAL, PEOPLE, PLACE, LevelTest
from bids_app.inputs.files import need_content
from bids_app.inputs.odd_values import far_value
from bids_app.loading import load_gifti
from bids_app.meshes import FSLR, N_VERTICES
from bids_app.outputs import HEMISPHERES, OutputTree, sidecar_of
from bids_app.resources import (
    BUNDLED_CORTEX,
    FIRST_GRADIENT,
    GRADIENT_FILES,
    GRADIENTS,
    OWN_GRADIENT,
    TEMPLATE_CORTEX,
    choose_gradient,
    fslr_spheres,
    gradient_files,
)
from bids_app.statistics import fisher_z
from bids_app.surface.cortex import cortex_vertices
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import SurfaceMesh, load_mesh
from bids_app.surface.resample import resample_barycentric
from bids_app.surface.sides import check_sides

LOGGER = logging.getLogger("bids_app.analyses")

MIN_VERTICES = 100  # fewer say nothing about a part of the mask
_LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL
AUDITORY_RADIUS = 30.0  # mm around Heschl's gyrus: superior temporal plane and gyrus


_MUCH_WALL = 0.12  # of all vertices; the medial wall of fsaverage and fsLR is .09
AS_GIVEN = "as given"
"""Orientation of a gradient whose values do not say which end is transmodal."""


@dataclass(frozen=True)
class Gradient:
    """A gradient on the analysis mesh.

    Attributes
    ----------
    values : array of shape (n_vertices,)
        NaN on the medial wall.
    record : dict
        Name, files with checksums, and how it came onto the mesh.
    label : str
        Distinguishes its results; empty for the default gradient.
    sources : tuple of str
        URIs of its files.
    """

    values: NDArray[np.float64]
    record: dict[str, Any]
    label: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class AlignmentReport:
    """Plain and partial alignment of the participants' residual slopes with the gradient.

    Attributes
    ----------
    gradient : Gradient
    plain, partial : GroupAlignment
        Over the whole mask; `partial` given each participant's layer-averaged accuracy.
    parts : dict from str to GroupAlignment or None
        ``left`` and ``right`` hemisphere, and ``without_auditory``: without vertices around
        Heschl's gyrus; None where too little of the mask is left.
    layers : AlignmentResult
        Group accuracy of every layer against the gradient.
    omnibus : OmnibusAlignment
        The same corrected over layers by the largest absolute correlation of each rotation.
    bins : GradientBins
        Group accuracy of every layer along the gradient.
    n_redrawn, n_spins, n_mask : int
    doubt : str
        Why the slope cannot be separated from accuracy; empty where it can.
    curvature, curvature_partial : GroupAlignment or None
        The same of the curvature; None where there is none.
    layers_z : array of shape (n_participants, n_layers)
        atanh(correlation) of each participant's accuracy of every layer with the gradient.
    music : MusicAlignment
        Slope, curvature, layers and bins over music.
    controls : DepthControls
        Alignment of fewer layers, and of layers in other orders.
    people_scale : float
        What t over participants were multiplied by (`GroupData.people_scale`).
    """

    gradient: Gradient
    plain: GroupAlignment
    partial: GroupAlignment
    parts: dict[str, GroupAlignment | None]
    layers: AlignmentResult
    omnibus: OmnibusAlignment
    bins: GradientBins
    n_redrawn: int
    n_spins: int
    n_mask: int
    doubt: str
    curvature: GroupAlignment | None
    curvature_partial: GroupAlignment | None
    layers_z: NDArray[np.float64]
    music: MusicAlignment
    controls: DepthControls
    people_scale: float = 1.0

    @property
    def method(self) -> str:
        """Kind of correlation, ``spearman`` or ``pearson``."""
        return self.layers.method

    def levels(self, measure: str) -> list[LevelTest]:
        """Tests of slope or curvature, people, place and music, p as computed."""
        plain, partial = self.plain, self.partial
        if measure == CURVATURE:
            if self.curvature is None or self.curvature_partial is None:
                return []
            plain, partial = self.curvature, self.curvature_partial
        n, smallest = self.n_spins, 1 / (1 + self.n_spins)
        return [
            LevelTest(PEOPLE, plain.t_p, plain.t),
            self.music.level(measure),
            LevelTest(PLACE, plain.p, plain.statistic, n, smallest),
            LevelTest(PARTIAL, partial.p, partial.statistic, n, smallest),
        ]

    def layer_levels(self, index: int) -> list[LevelTest]:
        """Tests of the accuracy of a layer, counted from 0, against the gradient."""
        values, n = self.layers_z[:, index], self.n_spins
        t = self.people_scale * stats.ttest_1samp(values, 0.0).statistic
        p = 2 * stats.t.sf(abs(t), len(values) - 1)
        return [
            LevelTest(PEOPLE, float(p), float(t)),
            self.music.level(layer_measure(index)),
            LevelTest(
                PLACE, float(self.layers.p[index]), float(self.layers.r[index]), n, 1 / (1 + n)
            ),
        ]


class Alignments(dict[str, AlignmentReport]):
    """Alignments by the label of the gradient; `absent` says which gradients there are not."""

    def __init__(self) -> None:
        super().__init__()
        self.absent: dict[str, str] = {}

    @property
    def states(self) -> list[dict[str, str]]:
        """What was left out, and why."""
        return [state("alignment", name, reason) for name, reason in self.absent.items()]


def load_gradient(option: str, space: str) -> Gradient:
    """Read a gradient and bring it onto the analysis mesh, that of `space`.

    The sign of the first Margulies gradient is chosen so that transmodal cortex is high; other maps
    stay as they are. Which end of a file is transmodal is recorded where its values say it.

    Raises
    ------
    MissingInputError, BadDataError
        If its files are not there or fit neither the mesh nor fsLR 32k.
    UsageError
        If it is the study's own, which has no files before it is made.
    """
    if option == OWN_GRADIENT:
        raise UsageError(
            "The study's own gradient cannot be read: it has no files before it is made.",
            where="--gradient",
            found=OWN_GRADIENT,
            wanted=f"a template: {GRADIENT_FILES}, or a name such as margulies2016",
            remedy="give the template that chooses its component, or leave --gradient out",
        )
    chosen = gradient_files(option)
    files, label = chosen.paths, chosen.label
    stored = np.concatenate([_read_map(path) for path in files])
    if len(files) == 2:
        check_sides(files, "--gradient")
    values = _zeros_of_wall(stored)
    _check_halves(values, files)
    record: dict[str, Any] = {
        "Name": chosen.name,
        "Label": label,
        "Files": {path.name: sha256_of_file(path) for path in files},
        "ZerosWithoutValue": int(np.sum((stored == 0) & np.isnan(values))),
    }
    if record["ZerosWithoutValue"] > _MUCH_WALL * stored.size:
        record["Warnings"] = [
            f"{record['ZerosWithoutValue']} of {stored.size} vertices of the gradient's file are "
            "zero and count as medial wall; where zero is a value, write NaN on the wall"
        ]
    record |= _made_from(sidecar_of(files[0]))
    mesh, sources = load_mesh(space), tuple(path.resolve().as_uri() for path in files)
    if len(values) == mesh.n_vertices:
        record["Resampling"] = "none"
    elif len(values) == 2 * N_VERTICES[FSLR]:
        values = _from_fslr(values, mesh)
        record["Resampling"] = (
            "adaptive barycentric from fsLR 32k over registered spheres, medial wall excluded"
        )
    else:
        known = dict.fromkeys((f"{mesh.n_vertices} ({space})", f"{2 * N_VERTICES[FSLR]} (fsLR)"))
        raise BadDataError(
            "The gradient is on a mesh that is not known.",
            where=", ".join(map(str, files)),
            found=f"{len(values)} vertices in all",
            wanted=f"{' or '.join(known)}, both hemispheres",
            remedy="give one file per hemisphere: --gradient LEFT.func.gii,RIGHT.func.gii",
        )
    if chosen.name != FIRST_GRADIENT:
        ends = AS_GIVEN if chosen.name in GRADIENTS else _ends_of_file(values, mesh)
        return Gradient(values, record | {"Orientation": ends}, label, sources)
    pial = np.vstack([hemi.pial for hemi in mesh.hemispheres])
    values, orientation = orient_gradient(values, pial)
    return Gradient(values, record | {"Orientation": asdict(orientation)}, label, sources)


def _from_fslr(values: NDArray[np.float64], mesh: SurfaceMesh) -> NDArray[np.float64]:
    """A map of fsLR 32k on a mesh of fsaverage, without the medial wall."""
    sides = zip(np.split(values, 2), fslr_spheres(), mesh.hemispheres, strict=True)
    halves = [
        resample_barycentric(
            half,
            *read_surface(path),
            hemi.registered,
            hemi.faces,
            mask=np.isfinite(half),
        )
        for half, path, hemi in sides
    ]
    return np.concatenate(halves)


def _made_from(sidecar: Path) -> dict[str, Any]:
    """What the sidecar of a gradient of these people says; nothing of other files."""
    told = read_json(sidecar) if sidecar.is_file() else {}
    return {"MadeFrom": told} if isinstance(told, dict) and SAME_PEOPLE in told else {}


def _ends_of_file(values: NDArray[np.float64], mesh: SurfaceMesh) -> dict[str, Any] | str:
    """Means of a gradient's transmodal and sensory cortex, where they lie an SD apart or more."""
    pial = np.vstack([hemi.pial for hemi in mesh.hemispheres])
    try:
        _, turned = orient_gradient(values, pial)
    except BadDataError:
        return AS_GIVEN
    if turned.transmodal_mean - turned.sensory_mean < np.nanstd(values):
        return AS_GIVEN
    sign = -1.0 if turned.flipped else 1.0
    means = {
        "transmodal_mean": sign * turned.transmodal_mean,
        "sensory_mean": sign * turned.sensory_mean,
    }
    return asdict(turned) | means | {"flipped": False}


def _read_map(path: Path) -> NDArray[np.float64]:
    """The only map of a file.

    Raises
    ------
    BadDataError
    """
    rows = read_gifti(path)
    if len(rows) > 1:
        raise BadDataError(
            "A gradient file holds several maps.",
            where=path,
            found=f"{len(rows)} maps",
            wanted="one map",
            remedy="write the map that is meant to a file of its own, and give that to --gradient",
        )
    if any(array.intent == _LABEL_INTENT for array in load_gifti(path).darrays):
        raise BadDataError(
            "A gradient file holds labels.",
            where=path,
            found="numbers of regions",
            wanted="a map of values (.func.gii, .shape.gii)",
            remedy="give regions to --atlas",
        )
    return rows[0].astype(np.float64)


def _zeros_of_wall(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A map with NaN where it has no value: a file without any NaN stores its wall as zero."""
    return values if np.isnan(values).any() else np.where(values == 0, np.nan, values)


def _check_halves(values: NDArray[np.float64], files: Sequence[Path]) -> None:
    """Refuse hemispheres that hold no map.

    Raises
    ------
    BadDataError
    """
    for side, half in zip(HEMISPHERES, np.array_split(values, 2), strict=True):
        finite = half[np.isfinite(half)]
        if finite.size == 0 or np.ptp(finite) == 0:
            raise BadDataError(
                "The gradient does not vary over a hemisphere.",
                where=", ".join(map(str, files)),
                found=f"{finite.size} finite values in hemisphere {side}, all equal",
                wanted="a map of both hemispheres",
                remedy="give a gradient of the whole cortex",
            )
    if n_infinite := int(np.isinf(values).sum()):
        far = f"infinity ({n_infinite} of {values.size} vertices)"
    else:
        far = far_value(values[np.isfinite(values)], "vertices")
    if far:
        raise BadDataError(
            "A gradient holds a code for missing values, or one that is no part of it.",
            where=", ".join(map(str, files)),
            found=far,
            wanted="values of one map, NaN where there is none",
            remedy="write NaN in place of the code; rank the values if they are meant",
        )


def missing_gradient(option: str, space: str) -> str:
    """Why nothing can be aligned with a gradient: it, or its spheres, are not installed.

    Raises
    ------
    MissingInputError, UsageError, BadDataError
        Files that the user gave are not there, or a gradient cannot be used.
    """
    if choose_gradient(option).name == "file":
        for path in gradient_files(option).paths:
            need_content(path, "A gradient file is not there.")
    try:
        load_gradient(option, space)
    except MissingInputError as error:
        return f"{error.what.rstrip('.')} ({error.where}); {error.remedy}"
    return ""


def alignment_settings(config: Config) -> list[tuple[str, Settings]]:
    """Settings of the alignment with every gradient but those that are not installed."""
    chosen = [choose_gradient(option) for option in config.statistics.gradients]
    files = [
        (one.label, one.paths)
        for one in chosen
        if one.name == "file" or (one.paths and all(path.is_file() for path in one.paths))
    ]
    absent, own = "A gradient file is not there.", config.alignment_settings()
    found = settings_of_files("gradient", absent, files, own)
    if OWN_GRADIENT in config.statistics.gradients:
        # It changes as participants arrive; what chooses its component does not.
        first = installed_gradients(config.statistics.gradients)[:1]
        template = [sha256_of_file(path) for one in first for path in choose_gradient(one).paths]
        found.append((OWN_GRADIENT, {"gradient": [OWN_BY, *template], **own}))
    return found


def alignment_inputs(label: str, alignments: Alignments | None = None) -> dict[str, Any]:
    """Checksums of a gradient that may change while its settings do not; nothing of others."""
    record = alignments[label].gradient.record if alignments else {}
    return {"GradientSHA256": sorted(record["Files"].values())} if "MadeFrom" in record else {}


def installed_gradients(options: Sequence[str]) -> list[str]:
    """Gradients that are there, of those given or the default: the first is the template of own."""
    given = [one for one in (*options, FIRST_GRADIENT) if one != OWN_GRADIENT]
    return [one for one in given if all(path.is_file() for path in choose_gradient(one).paths)]


def align_with_gradients(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    heard: Heard,
    statistics: Statistics,
    n_threads: int,
    device: str,
) -> Alignments:
    """Alignment of layer preference with every gradient, by label."""
    aligned = Alignments()
    if preference is None:
        reason = preference_missing(data.depth, statistics.slope_model)
        LOGGER.info("group: model-%s is not aligned with a gradient: %s", data.model, reason)
        return aligned
    arrays = fitting_arrays(device)
    side = MusicSide.of(tree, data, heard, statistics.random_seed, n_threads, arrays)
    for option in statistics.gradients:
        own = choose_gradient(option).name == OWN_GRADIENT
        if reason := refusal(tree) if own else missing_gradient(option, data.space):
            aligned.absent[choose_gradient(option).name] = reason
            continue
        LOGGER.info("group: alignment with %s, %d rotations", option, statistics.n_spins)
        loaded = load_gradient(option, data.space)
        for told in loaded.record.get("Warnings", ()):
            LOGGER.warning("group: %s: %s", option, told)
        gradient = _without_wall(loaded, data)
        known = (
            earlier_alignment(tree, data, gradient.label, side, gradient.record["Files"])
            if isinstance(side, str)
            else side
        )
        try:
            aligned[gradient.label] = align(
                data, accuracy, preference, gradient, known, statistics, n_threads
            )
        except BadDataError as error:
            if "MadeFrom" not in gradient.record:
                raise
            # It ends where somebody's resting run does, which the user did not choose.
            aligned.absent[gradient.label] = reason_of(error)
            LOGGER.warning("group: nothing is aligned with %s: %s", option, reason_of(error))
            remove_aligned(tree, data.model)
    return aligned


def _without_wall(gradient: Gradient, data: GroupData) -> Gradient:
    """Leave out what the maps' mask calls medial wall, so that no rotation brings it into cortex.

    Masks from files are not in the output folder: the gradient keeps what it has there.
    """
    mask = data.settings.get("cortex_mask")
    name = mask.get("Name") if isinstance(mask, dict) else None
    if name not in (BUNDLED_CORTEX, TEMPLATE_CORTEX):
        return gradient
    inside = cortex_vertices(name, load_mesh(data.space))
    return replace(gradient, values=np.where(inside, gradient.values, np.nan))


def align(
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference,
    gradient: Gradient,
    side: MusicSide | MusicAlignment,
    statistics: Statistics,
    n_threads: int = 1,
) -> AlignmentReport:
    """Tests of the mean alignment over people, place and music; of curvature and layers too.

    `side` may be what is known over music where nothing can be tested.
    """
    mesh, seed, values = load_mesh(data.space), statistics.random_seed, gradient.values
    options: dict[str, Any] = {
        "spheres": mesh.spheres,
        "method": statistics.spin_method,
        "n_spins": statistics.n_spins,
        "seed": seed,
        "n_threads": n_threads,
    }
    summed = partial(group_alignment, scale=data.people_scale, seed=seed)
    slopes, given = preference.slopes, data.r.mean(axis=1)
    whole = spin_alignment(slopes, values, accuracy.mask, covariates=given, **options)
    parts = {
        name: summed(spin_alignment(slopes, values, mask, covariates=given, **options))
        if (mask & np.isfinite(values)).sum() >= MIN_VERTICES
        else None
        for name, mask in _parts_of(accuracy.mask, mesh).items()
    }
    layers = spin_alignment(accuracy.mean_r, values, accuracy.mask, **options)
    layers_z = np.stack(
        [
            gradient_correlations(own, values, accuracy.mask, method=statistics.spin_method)
            for own in data.r
        ]
    )
    bent = None
    if np.isfinite(preference.curvature_weights).all():
        bent = spin_alignment(
            preference.curvatures, values, accuracy.mask, covariates=given, **options
        )
    bins = gradient_bins(accuracy.mean_r, values, accuracy.mask)
    return AlignmentReport(
        gradient=gradient,
        plain=summed(whole),
        partial=summed(whole, partial=True),
        parts=parts,
        layers=layers,
        omnibus=omnibus_alignment(layers),
        bins=bins,
        n_redrawn=whole.n_redrawn,
        n_spins=whole.n_spins,
        n_mask=whole.n_vertices,
        doubt=preference.doubt,
        curvature=None if bent is None else summed(bent),
        curvature_partial=None if bent is None else summed(bent, partial=True),
        layers_z=fisher_z(layers_z),
        music=side
        if isinstance(side, MusicAlignment)
        else align_over_music(
            side,
            preference,
            values,
            accuracy.mask,
            bins.bin_of,
            method=statistics.spin_method,
            slope_model=statistics.slope_model,
        ),
        controls=controls_of(
            data,
            values,
            accuracy.mask,
            method=statistics.spin_method,
            slope_model=statistics.slope_model,
            seed=seed,
        ),
        people_scale=data.people_scale,
    )


def _parts_of(mask: NDArray[np.bool_], mesh: SurfaceMesh) -> dict[str, NDArray[np.bool_]]:
    """Each hemisphere of a mask, and what lies outside auditory cortex."""
    vertices = np.arange(len(mask))
    left = vertices < len(mask) // 2
    auditory = np.isin(vertices, auditory_vertices(mesh, AUDITORY_RADIUS))
    return {"left": mask & left, "right": mask & ~left, "without_auditory": mask & ~auditory}
