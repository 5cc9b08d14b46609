"""What every layer adds to low-level sound, over people and over music.

The participant level leaves accuracies with and without each layer. Their difference is tested at
all vertices, one-sided: where a layer adds nothing it lies slightly below zero.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.folder.read import CORRELATION, POSITIVE, read_maps, read_participant
from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis, Reads
from bids_app.analyses.group.beyond_music import BeyondMusic, beyond_music, joint_side
from bids_app.analyses.group.beyond_profile import PROFILE_COLUMNS, profile_rows
from bids_app.analyses.group.collect import GroupData, check_same_settings
from bids_app.analyses.group.heard import Heard
from bids_app.config import Statistics
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import holds
from bids_app.labels import safe_label
from bids_app.outputs import BEYOND_DESC, LOW_LEVEL_DESC, OutputTree, unique_desc
from bids_app.report.group import Shown
from bids_app.report.joint import beyond_sections
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

DIFFERENCE = (-2.0002, 2.0002)
"""Bounds of differences of correlations."""
GROUPS = ("early", "middle", "late")
"""Thirds of the layers, in their order."""


@dataclass(frozen=True, eq=False)
class Beyond:
    """Unique accuracy of every layer.

    Attributes
    ----------
    mean, t, p, q : array of shape (n_layers, n_vertices)
        Mean over participants; one-sample t; one-sided sign-flip p, corrected over layers and
        vertices together; Benjamini-Hochberg q per layer.
    low_r : array of shape (n_vertices,)
        Mean accuracy of low-level sound alone.
    n_permutations : int
    music : BeyondMusic or None
    reason : str
        Why nothing was tested over music.
    adds : array of shape (n_vertices,) or None
        Layers of which people and music both hold.
    rows, regions : list of dict
        One per layer, and one per layer and region.
    """

    mean: FloatArray
    t: FloatArray
    p: FloatArray
    q: FloatArray
    low_r: FloatArray
    n_permutations: int
    music: BeyondMusic | None
    reason: str
    adds: FloatArray | None
    rows: list[dict[str, Any]]
    regions: list[dict[str, Any]]


def beyond_reads(model: str) -> Reads:
    """Maps of a participant that layers beside low-level sound rest on."""
    accuracies = (BEYOND_DESC, LOW_LEVEL_DESC, unique_desc(model))
    chosen = {"stat": "choice", "desc": BEYOND_DESC}
    return [*({"stat": "r", "desc": desc} for desc in accuracies), chosen, RESPONSES]


def beyond_missing(tree: OutputTree, model: str, participants: Sequence[str]) -> str:
    """Why nothing is said of layers beside low-level sound; nothing where nobody asked."""
    there = set(tree.participants_of(model, BEYOND_DESC))
    lacking = [f"sub-{who}" for who in participants if who not in there]
    if not lacking or len(lacking) == len(participants):
        return ""
    return (
        f"model-{model}: nothing is said of layers beyond low-level sound: "
        f"{', '.join(lacking)} lack their maps (--beyond low-level)"
    )


def beyond_low_level(
    tree: OutputTree,
    data: GroupData,
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> Beyond | None:
    """Test the unique accuracy of every layer; None where nobody has it.

    Raises
    ------
    InvalidInputError, BadDataError
        If settings or maps of the participants do not belong together.
    """
    if not tree.participants_of(data.model, BEYOND_DESC):
        return None
    LOGGER.info("group: what the layers add to low-level sound")
    maps = read_joint(tree, data)
    unique, low = maps.unique, maps.joint.r[:, :1].astype(np.float64)
    test = sign_flip_max_t(unique, tail="greater", n_threads=n_threads, **statistics.flips)
    side = joint_side(
        tree,
        maps.joint,
        heard,
        maps.record,
        maps.choices,
        cache_dir,
        statistics.random_seed,
        n_threads,
    )
    music, reason = (None, side) if isinstance(side, str) else (beyond_music(side), "")
    if reason:
        LOGGER.warning("group: unique accuracy is not tested over music: %s", reason)
    both = holds(test.p) if music is None else holds(test.p, music.q)
    mean = np.asarray(unique.mean(axis=0))
    return Beyond(
        mean=mean,
        t=test.t,
        p=test.p,
        q=benjamini_hochberg(test.p_uncorrected, axis=-1),
        low_r=np.asarray(low[:, 0].mean(axis=0)),
        n_permutations=test.n_permutations,
        music=music,
        reason=reason,
        adds=None if music is None else np.where(np.isfinite(mean[0]), both.sum(axis=0), np.nan),
        rows=_layer_rows(data, mean, test.p, both, music is not None),
        regions=profile_rows(data, unique, statistics),
    )


@dataclass(frozen=True, eq=False)
class JointMaps:
    """What the participants have of layers beside low-level sound.

    Attributes
    ----------
    unique : array of shape (n_participants, n_layers, n_vertices)
        NaN where somebody has none.
    joint : GroupData
        Accuracies of low-level sound, then of that with each layer.
    choices : array of shape (n_participants, 1 + n_layers, n_folds, n_vertices)
        In the order of ``record["HeldOutStimuli"]``.
    record : mapping
        Settings file of the first participant's joint models.
    """

    unique: FloatArray
    joint: GroupData
    choices: NDArray[np.float32]
    record: Mapping[str, Any]

    @property
    def space(self) -> str:
        """Mesh of the maps."""
        return self.joint.space


def read_joint(tree: OutputTree, data: GroupData) -> JointMaps:
    """Read the joint models of everybody, and check that they belong together.

    Raises
    ------
    InvalidInputError, BadDataError
    """
    paths = [tree.participant_settings(who, data.model, BEYOND_DESC) for who in data.participants]
    records = [read_participant(path, HeldOutStimuli=list, FeaturesFolders=list) for path in paths]
    check_same_settings(tree, data.model, data.participants, records, desc=BEYOND_DESC)
    maps = _Maps(tree, data)
    unique = maps.of(unique_desc(data.model), len(data.layer_names), DIFFERENCE)
    full = maps.of(BEYOND_DESC, len(data.layer_names), CORRELATION)
    low = maps.of(LOW_LEVEL_DESC, 1, CORRELATION)
    unique[:, :, ~np.isfinite(unique).all(axis=(0, 1))] = np.nan
    joint = replace(
        data,
        r=np.concatenate([low, full], axis=1).astype(np.float32),
        layer_names=["low-level", *data.layer_names],
        settings=records[0]["Settings"],
    )
    return JointMaps(unique, joint, maps.choices(records[0]["HeldOutStimuli"]), records[0])


class _Maps:
    """Maps of the participants' joint models."""

    def __init__(self, tree: OutputTree, data: GroupData) -> None:
        self._tree, self._data = tree, data

    def of(self, desc: str, n_arrays: int, bounds: tuple[float, float]) -> FloatArray:
        """Accuracies, (n_participants, n_arrays, n_vertices)."""
        return np.stack(
            [
                self._read(who, n_arrays, bounds, stat="r", desc=desc)
                for who in self._data.participants
            ]
        ).astype(np.float64)

    def choices(self, held_out: Sequence[str]) -> NDArray[np.float32]:
        """Of low-level sound, then with each layer: (n_participants, n_models, n_folds, v)."""
        n = len(self._data.layer_names) + 1
        found = [
            [
                self._read(
                    who, n, POSITIVE, stat="choice", desc=BEYOND_DESC, stim=safe_label(str(held))
                )
                for held in held_out
            ]
            for who in self._data.participants
        ]
        return np.roll(np.swapaxes(np.stack(found), 1, 2), 1, axis=1)

    def _read(
        self, who: str, n_arrays: int, bounds: tuple[float, float], **entities: str
    ) -> NDArray[np.float32]:
        data = self._data
        left = self._tree.participant_map(who, "L", data.space, model=data.model, **entities)
        return read_maps(left, data.space, n_arrays=n_arrays, bounds=bounds)


def _thirds(n_layers: int) -> list[str]:
    """Group of each layer."""
    return [GROUPS[min(3 * k // n_layers, 2)] for k in range(n_layers)]


def _layer_rows(
    data: GroupData, mean: FloatArray, p: FloatArray, both: NDArray[np.bool_], over_music: bool
) -> list[dict[str, Any]]:
    return [
        {
            "layer": k + 1,
            "name": name,
            "group": group,
            "mean_unique": float(np.nanmean(mean[k])),
            "max_unique": float(np.nanmax(mean[k])),
            "n_people": int(holds(p[k]).sum()),
            "n_adds": int(both[k].sum()) if over_music else float("nan"),
        }
        for k, (name, group) in enumerate(
            zip(data.layer_names, _thirds(len(data.layer_names)), strict=True)
        )
    ]


def layer_rows(beyond: Beyond) -> Rows:
    """One row per layer."""
    return beyond.rows


def region_rows(beyond: Beyond) -> Rows:
    """One row per region and layer."""
    return beyond.regions


def told_of_beyond(result: Beyond) -> dict[str, Any]:
    """Why nothing was tested over music."""
    return {"NotOverMusic": result.reason} if result.reason else {}


_MAX_T = {"Permutations": "n_permutations"}
_CHECK = {"RefitCheck": "music.scaled.record"}
_NULL = "null over music: phases of the responses rotated alike in all participants and both models"
BEYOND = GroupAnalysis(
    "beyond",
    beyond_low_level,
    (
        MapOutput(
            "r",
            "mean",
            "mean unique accuracy: r of low-level sound and the layer minus r of low-level sound",
            desc="unique",
        ),
        MapOutput("t", "t", "t of the participants' unique accuracies", desc="unique"),
        MapOutput(
            "p",
            "p",
            "one-sided sign-flip p of unique accuracy, corrected over layers and vertices (max-T)",
            desc="uniquemaxt",
            details=_MAX_T,
        ),
        MapOutput("q", "q", "q of unique accuracy over people, per layer", desc="unique"),
        MapOutput("p", "music.p", f"one-sided p, {_NULL}", desc="uniquemusic", details=_CHECK),
        MapOutput("q", "music.q", f"q per layer, {_NULL}", desc="uniquemusic", details=_CHECK),
        MapOutput(
            "n",
            "adds",
            "layers that add to low-level sound: max-T p over people and q over music both < .05",
            desc="adds",
            name="layers",
        ),
        MapOutput(
            "r",
            "low_r",
            "mean accuracy of low-level sound alone",
            desc=LOW_LEVEL_DESC,
            name="low-level",
        ),
        TableOutput(
            "summary",
            BEYOND_DESC,
            {
                "layer": "number of the layer (1-based)",
                "name": "name of the layer",
                "group": "third of the layers: early, middle or late",
                "mean_unique": "mean unique accuracy over participants and all vertices",
                "max_unique": "highest mean unique accuracy",
                "n_people": "vertices with max-T p < .05 over people, corrected over layers and "
                "vertices",
                "n_adds": "of these, with q < .05 over music; n/a where it was not tested",
            },
            rows=layer_rows,
        ),
        TableOutput(
            "profile",
            BEYOND_DESC,
            PROFILE_COLUMNS,
            rows=region_rows,
        ),
    ),
    details=told_of_beyond,
    desc=BEYOND_DESC,
    rests_on=BEYOND_DESC,
    missing=beyond_missing,
    of_weights=False,
    reads=beyond_reads,
    of_features=True,
    page=Shown(sections=(beyond_sections,)),
)
