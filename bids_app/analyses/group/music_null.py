"""Group accuracy at every vertex against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.folder.read import read_maps, read_record
from bids_app.analyses.group.analysis import OVER_MUSIC, GroupAnalysis, state
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.summaries import Scaled
from bids_app.analyses.participant.layers import fitting_arrays
from bids_app.config import Statistics
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MusicNull:
    """The group's accuracy over music, or why nothing was tested.

    Attributes
    ----------
    sd, p, q : array of shape (n_layers, n_vertices) or None
        Of the mean accuracy of the participants behind the null: standard deviation under the
        null, one-sided p, q per layer.
    p_max : array of shape (n_layers, n_vertices) or None
        One-sided p corrected for the largest z over layers and vertices.
    mean_sd, mean_p, mean_q, mean_p_max : array of shape (n_vertices,) or None
        The same of the layer average.
    draws, mean_draws : int or None
        Draws behind the largest z.
    reasons : list of str
        Why there is none, or why it is that of an earlier result.
    kept : bool
        Whether p and q are those of an earlier result of the same participants and maps.
    left_out : mapping from participant to str
        Who has no part in it, and why.
    n_people : int
        Participants behind it.
    scaled, mean_scaled : Scaled or None
        How the closed form compares with refits.
    known, mean_known : mapping or None
        The same of an earlier result, as its sidecars have it.
    """

    sd: FloatArray | None = None
    p: FloatArray | None = None
    q: FloatArray | None = None
    p_max: FloatArray | None = None
    mean_sd: FloatArray | None = None
    mean_p: FloatArray | None = None
    mean_q: FloatArray | None = None
    mean_p_max: FloatArray | None = None
    draws: int | None = None
    mean_draws: int | None = None
    reasons: list[str] = field(default_factory=list)
    kept: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    n_people: int = 0
    scaled: Scaled | None = None
    mean_scaled: Scaled | None = None
    known: Mapping[str, Any] | None = None
    mean_known: Mapping[str, Any] | None = None

    @property
    def there(self) -> bool:
        """Whether there are p over music, new or kept."""
        return self.q is not None and self.mean_q is not None

    @property
    def check(self) -> Mapping[str, Any] | None:
        """The comparison with refits as the sidecar has it."""
        return self.known if self.scaled is None else self.scaled.record

    @property
    def mean_check(self) -> Mapping[str, Any] | None:
        """The same of the layer average."""
        return self.mean_known if self.mean_scaled is None else self.mean_scaled.record

    @property
    def states(self) -> list[dict[str, str]]:
        """That it was done, or why not, and who has no part in it."""
        left = [state("music", f"sub-{who}", reason) for who, reason in self.left_out.items()]
        if self.kept:
            kept = f"p of the earlier result stay: {'; '.join(self.reasons)}"
            return [state("music", reason=kept, done=True), *left]
        return [state("music", reason=one) for one in self.reasons] + left or [state("music")]


def group_music_null(
    tree: OutputTree,
    data: GroupData,
    heard: Heard,
    statistics: Statistics,
    n_threads: int = 1,
    device: str = "cpu",
) -> MusicNull:
    """Null of the group mean of every layer, and of the layer average, phases shared by all.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    heard : Heard
    statistics : Statistics
        Its seed is that of the refits that the closed form is compared with.
    n_threads : int
    device : str
        As for `bids_app.analyses.participant.layers.fitting_arrays`, of refits.
    """
    LOGGER.info("group: null over music")
    arrays = fitting_arrays(device)
    side = MusicSide.of(tree, data, heard, statistics.random_seed, n_threads, arrays)
    if isinstance(side, str):
        return earlier_null(tree, data, side) or MusicNull(reasons=[side], left_out=heard.left_out)
    n_people, n_layers = side.r.shape[:2]
    usable = np.asarray(np.isfinite(data.r).all(axis=(0, 1)))
    average = [np.full((n_people, n_layers), 1 / (n_people * n_layers))]
    layers = side.test_each_layer(usable)
    mean = side.test_maps(average, usable, "layer-averaged accuracy", tail="greater")
    return MusicNull(
        sd=layers.sd,
        p=layers.p,
        q=benjamini_hochberg(layers.p, axis=-1),
        p_max=layers.p_max,
        mean_sd=mean.sd[0],
        mean_p=mean.p[0],
        mean_q=benjamini_hochberg(mean.p[0]),
        mean_p_max=None if mean.p_max is None else mean.p_max[0],
        draws=layers.n_largest,
        mean_draws=mean.n_largest,
        left_out=heard.left_out,
        n_people=n_people,
        scaled=layers.scaled,
        mean_scaled=mean.scaled,
    )


def earlier_null(tree: OutputTree, data: GroupData, reason: str) -> MusicNull | None:
    """The p and q over music that the folder has of the same participants and maps."""
    if not same_inputs(tree, data):
        return None
    maps: dict[str, Any] = {}
    known: dict[str, Mapping[str, Any]] = {}
    for name, stat, desc in _KEPT:
        left = tree.group_map("L", data.space, model=data.model, stat=stat, desc=desc)
        if not left.is_file():
            # Versions before had no largest |z| of these.
            if name.endswith("max"):
                continue
            return None
        of_mean = name.startswith("mean")
        count = 1 if of_mean else len(data.layer_names)
        values = read_maps(left, data.space, n_arrays=count).astype(np.float64)
        maps[name] = values[0] if of_mean else values
        known[name] = read_record(sidecar_of(left))
    told = known["mean_q"]
    LOGGER.info("group: p over music of the earlier result stay")
    return MusicNull(
        **earlier_layers(data, maps["p"], told),
        **maps,
        draws=known.get("p_max", {}).get("Draws"),
        mean_draws=known.get("mean_p_max", {}).get("Draws"),
        reasons=[reason],
        known=known["q"].get("RefitCheck"),
        mean_known=told.get("RefitCheck"),
    )


def earlier_layers(data: GroupData, p: FloatArray, told: Mapping[str, Any]) -> dict[str, Any]:
    """What `MusicNull` holds of an earlier result beside its maps: `told` is a sidecar of them."""
    left_out = {str(who): str(why) for who, why in dict(told.get("LeftOut") or {}).items()}
    behind = [k for k, who in enumerate(data.participants) if who not in left_out]
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = data.r[behind].astype(np.float64).mean(axis=0) / special.ndtri(1 - p)
    sd = np.where(sd > 0, sd, np.nan)
    return {"sd": sd, "kept": True, "left_out": left_out, "n_people": len(behind)}


KEPT_OF_LAYERS = (
    ("p", "p", "music"),
    ("q", "q", "music"),
    ("p_max", "p", "musicmax"),
)
"""Attributes of `MusicNull`, statistic and description of their maps."""
_KEPT = (
    *KEPT_OF_LAYERS,
    ("mean_p", "p", "layermeanmusic"),
    ("mean_q", "q", "layermeanmusic"),
    ("mean_p_max", "p", "layermeanmusicmax"),
)
NULL = "null over music: phases of the responses rotated alike in all participants"
_CHECK = {"RefitCheck": "check", "ParticipantsBehind": "n_people", "LeftOut": "left_out"}
_MEAN_CHECK = _CHECK | {"RefitCheck": "mean_check"}
_OUTPUTS = (
    MapOutput("p", "p", f"one-sided p, {NULL}", desc="music", details=_CHECK),
    MapOutput("q", "q", f"q per layer, {NULL}", desc="music", details=_CHECK),
    MapOutput(
        "p",
        "p_max",
        f"one-sided p, corrected for the largest z over layers and vertices, {NULL}",
        desc="musicmax",
        details=_CHECK | {"Draws": "draws"},
    ),
    *(
        MapOutput(
            stat,
            f"mean_{stat}",
            f"{text} of the layer-averaged accuracy, {NULL}",
            desc="layermeanmusic",
            name="layer mean",
            details=_MEAN_CHECK,
        )
        for stat, text in (("p", "one-sided p"), ("q", "q over vertices"))
    ),
    MapOutput(
        "p",
        "mean_p_max",
        "one-sided p of the layer-averaged accuracy, corrected for the largest z over vertices, "
        + NULL,
        desc="layermeanmusicmax",
        name="layer mean",
        details=_MEAN_CHECK | {"Draws": "mean_draws"},
    ),
)
MUSIC = GroupAnalysis(
    "music",
    group_music_null,
    _OUTPUTS,
    reads=OVER_MUSIC,
    of_features=True,
)
