"""Which layers add most, where: slope of the profile of unique accuracy, and gradients.

The residual slope has weights that sum to zero over the layers. What low-level sound alone
predicts is the same at all layers, and has no part in it: neither in the slope nor in its null
over music.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.group.accuracy import GroupAccuracy, rows_of
from bids_app.analyses.group.alignment import (
    AlignmentReport,
    alignment_inputs,
    alignment_settings,
)
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.beyond import JointMaps, beyond_missing, beyond_reads, read_joint
from bids_app.analyses.group.beyond_music import (
    MOST_COMPARED,
    JointMusicSide,
    compared_pooled,
    joint_side,
)
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.music_alignment import mean_correlation
from bids_app.analyses.group.over_music import N_DRAWS, spread_out
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.summaries import MusicTest, Scaled, Summary, tests_of, widened
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.preference import preference_missing, slope_doubt
from bids_app.config import Statistics
from bids_app.group import (
    GroupAlignment,
    gradient_weights,
    group_alignment,
    sign_flip_max_t,
    spin_alignment,
    vertex_null_sd,
)
from bids_app.group.claims import MUSIC, PARTIAL, PEOPLE, PLACE, LevelTest
from bids_app.outputs import BEYOND_ALIGNMENT_DESC, BEYOND_DESC, OutputTree
from bids_app.preference import (
    apply_weights,
    depth_explained,
    leave_one_out_references,
    slope_weights,
)
from bids_app.statistics import benjamini_hochberg
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UniqueAlignment:
    """Alignment of the slope of unique accuracy with one gradient.

    Attributes
    ----------
    plain, partial : GroupAlignment
        `partial` given each participant's unique accuracy, averaged over layers.
    n_spins : int
    music : MusicTest or None
    reason : str
        Why nothing was tested over music.
    mask_kind, doubt : str
        Of the mask, and why the slope cannot be separated from accuracy.
    sources : sequence of str
        Files of the gradient.
    """

    plain: GroupAlignment
    partial: GroupAlignment
    n_spins: int
    music: MusicTest | None
    reason: str
    mask_kind: str
    doubt: str
    sources: Sequence[str]

    @property
    def levels(self) -> list[LevelTest]:
        """Tests over people, music and place, p as computed."""
        n, smallest = self.n_spins, 1 / (1 + self.n_spins)
        found = LevelTest(MUSIC, reason=self.reason) if self.music is None else self.music.level
        return [
            LevelTest(PEOPLE, self.plain.t_p, self.plain.t),
            found,
            LevelTest(PLACE, self.plain.p, self.plain.statistic, n, smallest),
            LevelTest(PARTIAL, self.partial.p, self.partial.statistic, n, smallest),
        ]


@dataclass(frozen=True, eq=False)
class UniqueSlopes:
    """Residual slopes of the profile of unique accuracy over layers.

    Attributes
    ----------
    mean, t, p : array of shape (n_vertices,)
        Mean slope, its t, and the two-sided sign-flip max-T p.
    p_music, q_music : array of shape (n_vertices,) or None
        Two-sided, over music; q over vertices.
    scaled : Scaled or None
        How the closed form compares with refits.
    explained : float
        Share of the variance of depth that reference and curvature explain, the largest of all.
    doubt : str
    alignments : mapping from label of the gradient to UniqueAlignment
    """

    mean: FloatArray
    t: FloatArray
    p: FloatArray
    p_music: FloatArray | None
    q_music: FloatArray | None
    scaled: Scaled | None
    explained: float
    doubt: str
    alignments: Mapping[str, UniqueAlignment] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ProfileSlopes:
    """Slopes of everybody.

    Attributes
    ----------
    slopes : array of shape (n_participants, n_vertices)
    weights : array of shape (n_participants, n_layers)
        What the unique accuracies of the layers are multiplied with.
    references : array of shape (n_participants, n_layers)
        Mean unique accuracies of the others inside the mask.
    """

    slopes: FloatArray
    weights: FloatArray
    references: FloatArray


def slopes_of(
    unique: FloatArray, mask: NDArray[np.bool_], depth: Sequence[float], model: Any
) -> ProfileSlopes:
    """Residual slopes of unique accuracies (n_participants, n_layers, n_vertices)."""
    references = leave_one_out_references(unique, mask)
    weights = np.stack([slope_weights(depth, one, model) for one in references])
    slopes = np.stack([apply_weights(w, one) for w, one in zip(weights, unique, strict=True)])
    return ProfileSlopes(slopes, weights, references)


def unique_slopes(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    alignments: Mapping[str, AlignmentReport],
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> UniqueSlopes | None:
    """Slope of unique accuracy and its alignment with every gradient; None where nobody has it.

    Mask, gradients and rotations are those of the plain profile.
    """
    model = statistics.slope_model
    there = tree.participants_of(data.model, BEYOND_DESC)
    if not there or preference is None or preference_missing(data.depth, model):
        return None
    LOGGER.info("group: layer preference beyond low-level sound")
    maps = read_joint(tree, data)
    found = slopes_of(maps.unique, accuracy.mask, data.depth, model)
    explained = max(depth_explained(data.depth, one, model) for one in found.references)
    flips: dict[str, Any] = {**statistics.flips, "tail": "two-sided", "uncorrected": False}
    test = sign_flip_max_t(found.slopes, n_threads=n_threads, **flips)
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
    over_music: SlopesOverMusic | str
    p = q = None
    if isinstance(side, str):
        over_music = side
    else:
        over_music = SlopesOverMusic(side, found, accuracy.mask, data.depth, model)
        p = over_music.vertices()
        q = benjamini_hochberg(p)
    doubt = slope_doubt(explained, model)
    return UniqueSlopes(
        mean=found.slopes.mean(axis=0),
        t=test.t,
        p=test.p,
        p_music=p,
        q_music=q,
        scaled=None if isinstance(over_music, str) else over_music.scaled,
        explained=explained,
        doubt=doubt,
        alignments={
            label: _align(found, maps, accuracy, report, over_music, statistics, doubt, n_threads)
            for label, report in alignments.items()
        },
    )


def _align(
    found: ProfileSlopes,
    maps: JointMaps,
    accuracy: GroupAccuracy,
    report: AlignmentReport,
    over_music: SlopesOverMusic | str,
    statistics: Statistics,
    doubt: str,
    n_threads: int,
) -> UniqueAlignment:
    gradient, seed = report.gradient.values, statistics.random_seed
    whole = spin_alignment(
        found.slopes,
        gradient,
        accuracy.mask,
        covariates=maps.unique.mean(axis=1),
        spheres=load_mesh(maps.space).spheres,
        method=statistics.spin_method,
        n_spins=statistics.n_spins,
        seed=seed,
        n_threads=n_threads,
    )
    music = None
    if isinstance(over_music, SlopesOverMusic):
        vertices = gradient_weights(gradient, accuracy.mask, method=statistics.spin_method)
        music = over_music.alignment(vertices)
    return UniqueAlignment(
        plain=group_alignment(whole, seed=seed),
        partial=group_alignment(whole, partial=True, seed=seed),
        n_spins=whole.n_spins,
        music=music,
        reason=over_music if isinstance(over_music, str) else "",
        mask_kind=accuracy.mask_kind,
        doubt=doubt,
        sources=report.gradient.sources,
    )


class SlopesOverMusic:
    """Slopes of unique accuracy against chance agreement with the music.

    The closed form keeps candidates and penalties; its standard deviation is compared with that of
    refits of a few layers, which choose again, and widened.

    Parameters
    ----------
    side : JointMusicSide
        Of low-level sound, then with each layer.
    found : ProfileSlopes
    mask : array of shape (n_vertices,), bool
        Of the reference profiles.
    depth : sequence of n_layers float
    model : str
        Of the slope.
    """

    def __init__(
        self,
        side: JointMusicSide,
        found: ProfileSlopes,
        mask: NDArray[np.bool_],
        depth: Sequence[float],
        model: Any,
    ) -> None:
        self._side, self._found, self._mask = side, found, mask
        self._depth, self._model = list(depth), model
        n_layers = len(self._depth)
        some = np.unique(np.linspace(0, n_layers - 1, min(MOST_COMPARED, n_layers)).round())
        self._some = [int(one) for one in some]
        self._few = side.of_models([1 + k for k in self._some])
        own_depth = [self._depth[k] for k in self._some]
        # Low-level sound alone has no part in slopes: accuracies will do.
        r = side.data.r[:, 1:][:, self._some].astype(np.float64)
        self._few_found = slopes_of(r, mask, own_depth, model)
        self.scaled: Scaled | None = None

    def vertices(self) -> FloatArray:
        """Two-sided p of the mean slope at every vertex, (n_vertices,)."""
        side, people = self._side, self._side.people
        usable = np.asarray(np.isfinite(side.data.r).all(axis=(0, 1)))
        weights = _wide(self._found.weights[people]) / len(people)
        sd = vertex_null_sd(
            side.plans, side.responses, side.alphas, spread_out(weights[np.newaxis]), **side.options
        )[0]
        few = self._few_found.weights[people] / len(people)
        # Where nobody chose a layer the closed form is zero: pooled before it is divided.
        self.scaled, least = compared_pooled(self._few, few[np.newaxis], usable)
        LOGGER.info("group: over music, slope of unique accuracy: %s", self.scaled.told)
        sd = np.fmax(sd / self.scaled.divisor, least)
        observed = self._found.slopes[people].mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.where(usable & (sd > 0), observed / sd, np.nan)
        return np.asarray(2 * special.ndtr(-np.abs(z)))

    def alignment(self, vertices: FloatArray) -> MusicTest:
        """Mean correlation of the slopes with a gradient, whose weights `vertices` are."""
        summary = self._summary(self._side, self._found, self._depth, vertices, low=1)
        few_depth = [self._depth[k] for k in self._some]
        few = self._summary(self._few, self._few_found, few_depth, vertices, low=0)
        # Widened whatever the ratio: refits of all layers would take too long.
        scaled = widened(self._few.compare([few], self._mask))
        LOGGER.info("group: over music, alignment of unique accuracy: %s", scaled.told)
        null = self._side.kernel([summary]).test(
            [summary.of(self._side.r)], n_draws=N_DRAWS, seed=self._side.seed
        )
        return tests_of(null.scaled(scaled.divisor), [scaled], [0])[0]

    def _summary(
        self,
        side: JointMusicSide,
        found: ProfileSlopes,
        depth: Sequence[float],
        vertices: FloatArray,
        low: int,
    ) -> Summary:
        """A sum over models, of which the first `low` are of low-level sound alone."""

        def again(reference: FloatArray) -> FloatArray:
            return np.pad(slope_weights(depth, reference[low:], self._model), (low, 0))

        weights = np.pad(found.weights, ((0, 0), (low, 0)))
        return mean_correlation("slope", side, found.slopes, weights, vertices, again)


def _wide(weights: FloatArray) -> FloatArray:
    """Weights of low-level sound alone, then of each layer with it: +1 and -1 of unique accuracy.

    Those of the slope sum to zero, so that the first is zero.
    """
    return np.concatenate([-weights.sum(axis=1, keepdims=True), weights], axis=1)


def unique_alignments(unique_slopes: UniqueSlopes | None) -> dict[str, UniqueAlignment]:
    """Alignments by label of the gradient; none where nobody has unique accuracies."""
    return {} if unique_slopes is None else dict(unique_slopes.alignments)


def write_unique_alignment(writer: GroupWriter, result: UniqueAlignment) -> None:
    """Participants' alignments, rotations, draws, and what the claim is decided from."""
    of_music = result.music is not None
    writer.rest_on(beyond_reads(writer.model), of_features=of_music, also=result.sources)
    plain, partial = result.plain, result.partial
    rows = [
        {
            "participant_id": name,
            "rho": float(np.tanh(plain.participants_z[k])),
            "z": float(plain.participants_z[k]),
            "rho_partial": float(np.tanh(partial.participants_z[k])),
        }
        for k, name in enumerate(writer.participants)
    ]
    group = {
        "statistic": plain.statistic,
        "rho_mean": plain.r,
        "rho_mean_partial": partial.r,
        "p_spin": plain.p,
        "p_spin_partial": partial.p,
        "p_t": plain.t_p,
        "p_music": float("nan") if result.music is None else result.music.p,
        "n_spins": result.n_spins,
        "mask": result.mask_kind,
        "doubt": result.doubt,
        "tests": [one.record for one in result.levels],
        "MusicRefits": None if result.music is None else result.music.scaled.record,
    }
    writer.table("statmap", ALIGNMENT_COLUMNS, rows, desc=BEYOND_ALIGNMENT_DESC, Group=group)
    spins = {"statistic": plain.null, "statistic_partial": partial.null}
    writer.table("", SPIN_COLUMNS, rows_of(spins), desc=f"{BEYOND_ALIGNMENT_DESC}nulls")
    if result.music is not None:
        draws = {"slope": result.music.draws.astype(np.float64)}
        writer.table("", DRAW_COLUMNS, rows_of(draws), desc=f"{BEYOND_ALIGNMENT_DESC}music")


ALIGNMENT_COLUMNS = {
    "participant_id": "participant",
    "rho": "correlation of the slope of unique accuracy with the gradient inside the mask",
    "z": "atanh(rho)",
    "rho_partial": "the same given the participant's unique accuracy, averaged over layers",
}
SPIN_COLUMNS = {
    "statistic": "mean atanh(rho) over participants for one rotation of the gradient",
    "statistic_partial": "the same given unique accuracy",
}
DRAW_COLUMNS = {"slope": "mean correlation under one draw of the music's phases"}
_DETAILS = {"DepthExplained": "explained", "SlopeDoubt": "doubt"}
_CHECK = _DETAILS | {"RefitCheck": "scaled.record"}
_NULL = "null over music: phases of the responses rotated alike in all participants and models"
BEYOND_SLOPES = GroupAnalysis(
    "unique_slopes",
    unique_slopes,
    (
        MapOutput(
            "slope",
            "mean",
            "mean residual slope of the profile of unique accuracy over layers",
            desc="unique",
            details=_DETAILS,
        ),
        MapOutput(
            "t", "t", "t of the slope of unique accuracy over participants", desc="uniqueslope"
        ),
        MapOutput(
            "p",
            "p",
            "two-sided sign-flip max-T p of the slope of unique accuracy",
            desc="uniqueslope",
        ),
        MapOutput(
            "p",
            "p_music",
            f"two-sided p of the slope of unique accuracy, {_NULL}",
            desc="uniqueslopemusic",
            details=_CHECK,
        ),
        MapOutput(
            "q",
            "q_music",
            f"q over vertices of the slope of unique accuracy, {_NULL}",
            desc="uniqueslopemusic",
            details=_CHECK,
        ),
    ),
    desc=BEYOND_DESC,
    missing=beyond_missing,
    of_weights=False,
    reads=beyond_reads,
    of_features=True,
)
BEYOND_ALIGNMENTS = GroupAnalysis(
    "unique_alignments",
    unique_alignments,
    write=write_unique_alignment,
    desc=BEYOND_ALIGNMENT_DESC,
    settings=alignment_settings,
    inputs=alignment_inputs,
    option="--gradient",
    missing=beyond_missing,
    of_weights=False,
)
