"""Group accuracy from the participants' accuracy maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.group.analysis import ACCURACIES, SETTINGS, GroupAnalysis, state
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.music_null import MusicNull
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.preference import (
    MIN_REFERENCE_VERTICES,
)
from bids_app.config import Statistics
from bids_app.group import (
    Cluster,
    SignFlipResult,
    cluster_table,
    sign_flip_max_t,
    tfce_sign_flip,
)
from bids_app.group.claims import MUSIC, PEOPLE, LevelTest, holds
from bids_app.report.clusters import clusters_section
from bids_app.report.group import Shown, tell_accuracy
from bids_app.report.group_maps import accuracy_section
from bids_app.statistics import benjamini_hochberg, fisher_z
from bids_app.surface.atlas import installed_atlas, read_atlas
from bids_app.surface.coordinates import mni152
from bids_app.surface.mesh import load_mesh
from bids_app.surface.places import mni305

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy over participants.

    Attributes
    ----------
    mean_r, t, p_max_t, q : array of shape (n_layers, n_vertices)
        Back-transformed mean Fisher z; one-sample t; one-sided sign-flip p, corrected over layers
        and vertices together; Benjamini-Hochberg q per layer.
    tfce_p : array of shape (n_layers, n_vertices)
        One-sided sign-flip p of threshold-free cluster enhancement, corrected over layers and
        vertices together.
    layer_mean_r, layer_mean_p : array of shape (n_vertices,)
        The layer-averaged accuracy and its one-sided max-T p.
    mask : array of shape (n_vertices,), bool
        Vertices the preference is judged on.
    mask_kind : str
        ``significant`` over people and music; ``people`` where nothing was tested over music;
        ``cortex`` where fewer than 200 vertices are significant.
    n : array of shape (n_vertices,)
        Participants per vertex.
    n_permutations : int
        Sign flips used (all of them when there are fewer).
    null_max : dict of str to array of shape (n_permutations,)
        Largest statistic of each flip: ``accuracy`` and ``tfce`` over layers and vertices,
        ``layer_mean`` over vertices.
    clusters : list of Cluster
        Connected regions of significant layer-averaged accuracy.
    atlas : dict
        Name and files of the atlas that names their peaks; empty without one.
    predicted : array of shape (n_vertices,) or None
        Layers of which people and music both hold; NaN where there is no accuracy, None where
        nothing was tested over music.
    told : dict
        What decides whether anything is predicted: tests of the strongest vertex.
    """

    mean_r: FloatArray
    t: FloatArray
    p_max_t: FloatArray
    q: FloatArray
    tfce_p: FloatArray
    layer_mean_r: FloatArray
    layer_mean_p: FloatArray
    mask: NDArray[np.bool_]
    mask_kind: str
    n: NDArray[np.int64]
    n_permutations: int
    null_max: dict[str, FloatArray]
    clusters: list[Cluster]
    atlas: dict[str, Any]
    predicted: FloatArray | None
    told: dict[str, Any]

    @property
    def mask_map(self) -> FloatArray:
        """1 inside the mask, 0 outside."""
        return self.mask.astype(np.float64)

    @property
    def states(self) -> list[dict[str, str]]:
        """Which mask was taken, and why."""
        reasons = {
            "people": "tested over people alone: nothing was tested over music",
            "cortex": "too few vertices significant",
        }
        return [state("mask", self.mask_kind, reasons.get(self.mask_kind, ""), done=True)]


def usable_vertices(data: GroupData) -> NDArray[np.bool_]:
    """Vertices where every participant has a result, (n_vertices,)."""
    return np.asarray(data.n_per_vertex == len(data.participants))


def group_accuracy(
    data: GroupData, music: MusicNull, statistics: Statistics, n_threads: int = 1
) -> GroupAccuracy:
    """Test accuracy over participants, say what is predicted, choose the mask of the preference.

    The mask rests on the layer average, which knows nothing of differences between layers, over
    people and over music. The first atlas names the clusters' peaks; without one that of `musenc
    prefetch parcels`, if it is there.
    """
    LOGGER.info("group: accuracy and layer preference")
    given = (read_atlas(one, data.r.shape[2]) for one in statistics.atlases)
    atlas = next(given, None) or installed_atlas(data.space)
    z = fisher_z(data.r)
    z[:, :, ~usable_vertices(data)] = np.nan
    averaged = z.mean(axis=1)
    mesh = load_mesh(data.space)
    options: dict[str, Any] = {
        **statistics.flips,
        "tail": "greater",
        "scale": data.people_scale,
        "n_threads": n_threads,
    }
    joint = sign_flip_max_t(z, **options)
    enhanced = tfce_sign_flip(z, mesh.adjacency, **options)
    mean_test = sign_flip_max_t(averaged, uncorrected=False, **options)
    significant, kind = holds(mean_test.p), "people"
    if music.mean_q is not None:
        significant, kind = holds(mean_test.p, music.mean_q), "significant"
    enough = int(significant.sum()) >= MIN_REFERENCE_VERTICES
    predicted = None
    if music.q is not None:
        count = holds(joint.p, music.q).sum(axis=0)
        predicted = np.where(np.isfinite(joint.t[0]), count, np.nan)
    mean_r = np.tanh(z.mean(axis=0))
    return GroupAccuracy(
        mean_r=mean_r,
        t=joint.t,
        p_max_t=joint.p,
        q=benjamini_hochberg(joint.p_uncorrected, axis=-1),
        tfce_p=enhanced.p,
        layer_mean_r=np.tanh(averaged.mean(axis=0)),
        layer_mean_p=mean_test.p,
        mask=significant if enough else usable_vertices(data),
        mask_kind=kind if enough else "cortex",
        n=data.n_per_vertex,
        n_permutations=joint.n_permutations,
        null_max={
            "accuracy": joint.null_max,
            "tfce": enhanced.null_max,
            "layer_mean": mean_test.null_max,
        },
        clusters=cluster_table(
            mean_test.t,
            significant,
            mesh.adjacency,
            mesh.areas,
            n_left=mesh.left.n_vertices,
            labels=None if atlas is None else atlas.regions,
            label_names=None if atlas is None else {0: "none"} | atlas.names,
        ),
        atlas={} if atlas is None else atlas.record,
        predicted=predicted,
        told=_in_hemisphere(tell_predicted(joint, music, mean_r, predicted), len(mean_test.p)),
    )


def tell_predicted(
    joint: SignFlipResult, music: MusicNull, mean_r: FloatArray, predicted: FloatArray | None
) -> dict[str, Any]:
    """The tests that decide whether anything is predicted, as the settings file has them.

    Vertices are counted from 0 through the columns of the maps. Some vertex is predicted where
    people and music both hold at the vertex and layer where the larger of both p is smallest.
    """
    n = joint.n_permutations
    smallest = 1 / n if joint.exact else 1 / (1 + n)
    over = joint.p if music.q is None else np.maximum(joint.p, music.q)
    if not np.isfinite(over).any():
        return {}
    # The largest t decides among equal p, of which flips give many.
    ties = np.where(over <= np.nanmin(over), joint.t, -np.inf)
    layer, vertex = (int(one) for one in np.unravel_index(np.nanargmax(ties), ties.shape))
    r = float(mean_r[layer, vertex])
    people = LevelTest(
        PEOPLE, float(joint.p[layer, vertex]), float(joint.t[layer, vertex]), n, smallest
    )
    reason = "; ".join(music.reasons)
    over_music = LevelTest(MUSIC, reason=reason)
    if music.q is not None:
        sd = float("nan") if music.sd is None else float(music.sd[layer, vertex])
        over_music = LevelTest(MUSIC, float(music.q[layer, vertex]), r, sd=sd)
    return {
        "Tests": [people.record, over_music.record],
        "Vertices": 0 if predicted is None else int(np.nansum(predicted > 0)),
        "Layer": layer + 1,
        "Vertex": vertex,
        "Effect": r,
        "Caveats": [
            f"sub-{who} has no part in the test over music ({why})."
            for who, why in music.left_out.items()
        ],
    }


def _in_hemisphere(told: dict[str, Any], n_vertices: int) -> dict[str, Any]:
    """The vertex counted within its hemisphere."""
    if not told:
        return told
    right, vertex = divmod(told["Vertex"], n_vertices // 2)
    return told | {"Hemisphere": "LR"[right], "Vertex": vertex}


def layer_rows(data: GroupData, accuracy: GroupAccuracy, music: MusicNull) -> Rows:
    """One row per layer."""
    return [
        {
            "layer": index + 1,
            "name": name,
            "mean_r": float(np.nanmean(accuracy.mean_r[index, accuracy.mask])),
            "max_r": float(np.nanmax(accuracy.mean_r[index])),
            "n_significant": int(holds(accuracy.p_max_t[index]).sum()),
            "n_predicted": float("nan")
            if music.q is None
            else int(holds(accuracy.p_max_t[index], music.q[index]).sum()),
        }
        for index, name in enumerate(data.layer_names)
    ]


def participant_rows(data: GroupData) -> Rows:
    """One row per participant."""
    return data.rows


def state_rows(results: Sequence[Any]) -> Rows:
    """What was computed, and what was not and why; the mask, which others rest on, last."""
    return [row for result in reversed(results) for row in getattr(result, "states", ())]


def rows_of(columns: Mapping[str, NDArray[np.floating]]) -> Rows:
    """Rows of columns of numbers."""
    return [
        dict(zip(columns, map(float, row), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def write_clusters(writer: GroupWriter, data: GroupData, accuracy: GroupAccuracy) -> None:
    """One row per cluster, with the coordinates of its peak; the atlas names it."""
    mesh = load_mesh(data.space)
    own = mni305(mesh)
    rows = []
    for number, one in enumerate(accuracy.clusters, start=1):
        peak = one.peak_vertex + (mesh.left.n_vertices if one.hemisphere == "R" else 0)
        places = {"mni305": own[peak], "mni152": mni152(own[peak])}
        coordinates = {
            f"{space}_{axis}": round(float(value), 1)
            for space, point in places.items()
            for axis, value in zip("xyz", point, strict=True)
        }
        rows.append({"cluster": number, **asdict(one), **coordinates})
    writer.table("statmap", CLUSTER_COLUMNS, rows, desc="clusters", **accuracy.atlas)


def told_of_accuracy(result: GroupAccuracy) -> dict[str, Any]:
    """What decides about prediction."""
    return {"Predicted": result.told}


_MAX_T = {"Permutations": "n_permutations"}
_OUTPUTS = (
    MapOutput("r", "mean_r", "back-transformed mean Fisher z of participants"),
    MapOutput("t", "t"),
    MapOutput(
        "p",
        "p_max_t",
        "one-sided sign-flip p, corrected over layers and vertices (max-T)",
        desc="maxt",
        details=_MAX_T,
    ),
    MapOutput("q", "q"),
    MapOutput(
        "p",
        "tfce_p",
        "one-sided sign-flip p of TFCE (E = 1, H = 2), joint over layers and vertices",
        desc="tfce",
        details=_MAX_T,
    ),
    MapOutput("r", "layer_mean_r", desc="layermean", name="layer mean"),
    MapOutput(
        "p",
        "layer_mean_p",
        "one-sided sign-flip max-T p of the layer-averaged accuracy",
        desc="layermean",
        name="layer mean",
    ),
    MapOutput("n", "n", name="participants"),
    MapOutput(
        "n",
        "predicted",
        "layers that predict the vertex: max-T p over people and q over music both < .05",
        desc="predicted",
        name="layers",
        over_music=True,
    ),
    MapOutput(
        "n",
        "mask_map",
        "1 inside the mask of the layer preference, 0 outside",
        desc="mask",
        name="mask",
        over_music=True,
    ),
    TableOutput(
        "summary",
        "layers",
        {
            "layer": "number of the layer (1-based)",
            "name": "name of the layer",
            "mean_r": "mean group accuracy inside the mask",
            "max_r": "highest group accuracy",
            "n_significant": "vertices with max-T p < .05 over people, corrected over layers and "
            "vertices",
            "n_predicted": "of these, with q < .05 over music; n/a where it was not tested",
        },
        rows=layer_rows,
        over_music=True,
    ),
    TableOutput(
        "summary",
        "analyses",
        {
            "analysis": "isc, ceiling, music (null over music), prevalence, alignment or mask",
            "part": "stimulus, or part of the analysis",
            "state": "done or left out",
            "reason": "why it was left out",
        },
        rows=state_rows,
        reads=(SETTINGS,),
    ),
    TableOutput(
        "summary",
        "participants",
        {
            "participant_id": "participant",
            "status": "used, or why not",
            "settings_hash": "hash of the settings behind the maps",
            "sha256_left": "checksum of the left accuracy map",
            "sha256_right": "checksum of the right accuracy map",
            "mean_r": "mean accuracy over layers and vertices",
            "max_r": "highest accuracy",
            "reference_vertices": "significant vertices behind the participant's own reference "
            "profile",
            "n_degenerate": "vertices without a result",
        },
        rows=participant_rows,
        reads=(ACCURACIES, SETTINGS),
    ),
)
CLUSTER_COLUMNS = {
    "cluster": "number, largest area first",
    "hemisphere": "L or R",
    "n_vertices": "vertices",
    "area": "mm2",
    "peak_vertex": "vertex of the largest t, counted within its hemisphere from 0",
    "peak_value": "t of the layer-averaged accuracy there",
    "mean_value": "mean t, weighted by area",
    "peak_label": "atlas region of the peak",
    "main_label": "atlas region with the largest share of the cluster",
    **{
        f"mni305_{axis}": "coordinate of the peak on the mid-thickness surface, in mm, in the space"
        " of fsaverage (MNI305)"
        for axis in "xyz"
    },
    **{
        f"mni152_{axis}": "the same in MNI152, by FreeSurfer's affine from MNI305" for axis in "xyz"
    },
}
ACCURACY = GroupAnalysis(
    "accuracy",
    group_accuracy,
    _OUTPUTS,
    write_clusters,
    told_of_accuracy,
    reads=(ACCURACIES,),
    page=Shown(tell_accuracy, (accuracy_section,), appendix=(clusters_section,)),
)
