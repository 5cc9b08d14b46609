"""A simulated study as arrays: the truth on the cortex and what each participant's scanner saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.stats import rankdata

from bids_app.errors import BadDataError
from bids_app.surface.cortex import bundled_cortex
from bids_app.surface.mesh import SurfaceMesh
from bids_app.testing.confounds import Nuisance
from bids_app.testing.cortex import (
    N_LAYERS,
    BoolArray,
    layers_along,
    responding_patches,
    sensory_transmodal_gradient,
    smooth_basis,
)
from bids_app.testing.noise import NoiseShares, NoiseSource, combine
from bids_app.testing.responses import (
    FloatArray,
    hemodynamic_operator,
    leading_components,
    plant_responses,
)

Effect = Literal["layers", "one-layer", "none"]

ACTIVE_SHARE = 0.3  # of the cortical vertices, respond to layers
FEELING_SHARE = 0.06  # of the vertices left, follow each scale
MAX_VARIANCE = 0.2  # largest share of the signal in a vertex' variance

# Seeds of what must not change when another part draws more or fewer numbers.
_PATCHES, _BASIS, _DRIVE, _BASELINE, _FEELING = 11, 12, 13, 14, 15


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted; every array has one value per vertex, left hemisphere first.

    Attributes
    ----------
    cortex : (n_vertices,) bool
        False on the medial wall, where the BOLD is zero.
    gradient : (n_vertices,) float64
        The axis that the layers follow.
    layers : (n_vertices,) int64
        Planted layer, from 1; 0 where nothing responds.
    share : (n_vertices,) float64
        Share of the signal in the variance of the BOLD.
    feeling : dict from scale to (n_vertices,) float64
        Percent signal change per standard deviation of the size of the rating's change; 0 where
        the brain does not care.
    n_layers : int
        Of the network.
    """

    cortex: BoolArray
    gradient: FloatArray
    layers: NDArray[np.int64]
    share: FloatArray
    feeling: dict[str, FloatArray] = field(default_factory=dict)
    n_layers: int = N_LAYERS

    @property
    def active(self) -> BoolArray:
        """Vertices that respond, (n_vertices,) bool."""
        return self.layers > 0

    @property
    def depth(self) -> FloatArray:
        """Depth of the planted layers, 0 (input) to 1 (last); NaN where nothing responds."""
        return np.where(self.active, (self.layers - 1) / (self.n_layers - 1), np.nan)

    def recovery(self, recovered: ArrayLike) -> float:
        """Pearson correlation of a recovered map with the planted depth, over planted vertices.

        Parameters
        ----------
        recovered : (n_vertices,) array
            Such as the group's residual slope; NaN is left out.

        Returns
        -------
        float
            NaN where fewer than three vertices remain or one of both is constant.
        """
        values = np.asarray(recovered, float)
        use = self.active & np.isfinite(values)
        if use.sum() < 3 or np.ptp(values[use]) == 0 or np.ptp(self.depth[use]) == 0:
            return float("nan")
        return float(np.corrcoef(values[use], self.depth[use])[0, 1])


def plan_truth(
    mesh: SurfaceMesh,
    *,
    seed: int = 0,
    effect: Effect = "layers",
    layer: int = 12,
    gradient: ArrayLike | None = None,
    n_layers: int = N_LAYERS,
    strength: float = MAX_VARIANCE,
) -> Truth:
    """Decide where the cortex responds, to which layer, and how much.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    seed : int
        Places the patches.
    effect : {"layers", "one-layer", "none"}
        Layers that follow the gradient in patches; one layer everywhere with a share of variance
        that follows the gradient; nothing.
    layer : int
        The layer of "one-layer".
    gradient : (n_vertices,) array or None
        Default: `sensory_transmodal_gradient`. Where it is not finite is no cortex.
    n_layers : int
        Of the network.
    strength : float
        Largest share of the signal in the variance of a vertex.

    Returns
    -------
    Truth

    Raises
    ------
    BadDataError
        If the gradient does not fit the mesh or there is no such layer.
    """
    n_vertices = mesh.n_vertices
    axis = sensory_transmodal_gradient(mesh) if gradient is None else np.asarray(gradient, float)
    if axis.shape != (n_vertices,):
        raise BadDataError(
            "The gradient does not fit the mesh.",
            where="gradient",
            found=f"shape {axis.shape}",
            wanted=f"({n_vertices},)",
            remedy="give the gradient on the mesh of the study",
        )
    if effect == "one-layer" and not 1 <= layer <= n_layers:
        raise BadDataError(
            "Layer out of range.",
            found=layer,
            wanted=f"1 to {n_layers}",
            remedy="give the number of a layer, from 1",
        )
    mask = bundled_cortex(mesh) & np.isfinite(axis)
    along = layers_along(axis, mask, n_layers)
    if effect == "layers":
        rng = np.random.default_rng([seed, _PATCHES])
        active, relative = responding_patches(mesh, mask, ACTIVE_SHARE, rng)
        layers, share = np.where(active, along, 0), strength * relative
    elif effect == "one-layer":
        layers, share = np.where(mask, layer, 0), np.zeros(n_vertices)
        share[mask] = strength * rankdata(axis[mask]) / mask.sum()
    else:
        layers, share = np.zeros(n_vertices, np.int64), np.zeros(n_vertices)
    return Truth(mask, axis, layers.astype(np.int64), share, n_layers=n_layers)


def plan_feeling(
    mesh: SurfaceMesh,
    truth: Truth,
    effects: Mapping[str, float],
    *,
    seed: int = 0,
) -> Truth:
    """Decide where the brain follows changes of ratings: patches that no layer drives.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    truth : Truth
        From `plan_truth`.
    effects : mapping from scale to float
        Percent signal change per standard deviation in the middle of a patch.
    seed : int
        Places the patches.

    Returns
    -------
    Truth
        With `feeling`; no vertex follows two scales.
    """
    rng = np.random.default_rng([seed, _FEELING])
    free = truth.cortex & ~truth.active
    feeling = {}
    for scale, effect in effects.items():
        patches, strength = responding_patches(mesh, free, FEELING_SHARE, rng)
        feeling[scale] = effect * strength
        free &= ~patches
    return replace(truth, feeling=feeling)


@dataclass(frozen=True)
class Run:
    """One run: a piece of music and the volumes around it.

    Attributes
    ----------
    task, stimulus : str
        Label of the task, and of the music (file stem).
    stim_file : str
        Name of the audio file.
    n_volumes : int
        Volumes.
    tr, start_time : float
        Volume k is taken at ``start_time + k * tr`` seconds.
    onset, duration : float
        Start of the music in the run, and its length, seconds.
    """

    task: str
    stimulus: str
    stim_file: str
    n_volumes: int
    tr: float
    start_time: float
    onset: float
    duration: float

    @property
    def music_times(self) -> FloatArray:
        """When each volume was taken, seconds into the music, (n_volumes,)."""
        volumes = np.arange(self.n_volumes, dtype=np.float64)
        return self.start_time + self.tr * volumes - self.onset


@dataclass(frozen=True)
class SignalSettings:
    """How responses are drawn.

    Attributes
    ----------
    n_components : int
        Leading components of a layer that responses are made of.
    fwhm : float
        Smoothness of the functionals over cortex, mm.
    individual : float
        Share of the functional's variance that is the participant's own.
    """

    n_components: int = 15
    fwhm: float = 12.0
    individual: float = 0.6


class SimulatedResponses:
    """Draws BOLD series of one participant after the other.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    truth : Truth
        What responds to what.
    runs : sequence of Run
        Same for all participants; one per stimulus.
    patch_times : sequence of (n_patches_i,) arrays
        Seconds into the music, per run.
    gram : callable
        ``gram(layer)`` gives the joint Gram matrix over the patches of all runs' stimuli, in the
        order of `runs`.
    seed : int
        Of everything that is drawn.
    signal : SignalSettings
        Of the responses.
    noise : NoiseShares
        Of the rest.
    """

    def __init__(
        self,
        mesh: SurfaceMesh,
        truth: Truth,
        runs: Sequence[Run],
        patch_times: Sequence[ArrayLike],
        gram: Callable[[int], ArrayLike],
        *,
        seed: int = 0,
        signal: SignalSettings | None = None,
        noise: NoiseShares | None = None,
    ) -> None:
        self.mesh, self.truth, self.runs, self.seed = mesh, truth, tuple(runs), seed
        self.settings = signal or SignalSettings()
        self.shares = noise or NoiseShares()
        self._operator = sparse.block_diag(
            [
                hemodynamic_operator(times, run.music_times, run.duration)
                for times, run in zip(patch_times, self.runs, strict=True)
            ],
            format="csr",
        )
        planted = [int(layer) for layer in np.unique(truth.layers) if layer > 0]
        self.components = {
            layer: leading_components(gram(layer), self.settings.n_components) for layer in planted
        }
        self._basis = smooth_basis(mesh, self.settings.fwhm, np.random.default_rng([seed, _BASIS]))
        self._common_drive = self._drive([seed, _DRIVE])
        lengths = [run.n_volumes for run in self.runs]
        self._noise = NoiseSource(mesh, lengths, self.runs[0].tr, self.shares, seed)

    def _drive(self, seed: list[int]) -> FloatArray:
        shape = (self._operator.shape[1], self._basis.shape[0])
        return np.random.default_rng(seed).standard_normal(shape)

    def signal(self, participant: int) -> FloatArray:
        """Noise-free responses of a participant, (n_times of all runs, n_vertices)."""
        own = self.settings.individual
        drive = np.sqrt(1.0 - own) * self._common_drive
        if own:
            # Not 0: a trailing zero does not change a seed, and this would be the common drive.
            drive += np.sqrt(own) * self._drive([self.seed, _DRIVE, participant + 1])
        return plant_responses(
            self.components, self._operator, self.truth.layers, drive, self._basis
        )

    def series(self, participant: int) -> tuple[list[FloatArray], list[Nuisance]]:
        """Standardized BOLD series and nuisance series of a participant, run by run.

        Parameters
        ----------
        participant : int
            Number of the participant; the same number gives the same series.

        Returns
        -------
        series : list of (n_volumes, n_vertices) float32
            Unit variance over all runs; zero on the medial wall.
        nuisance : list of Nuisance
            Motion and physiology that leak into the series.
        """
        parts, nuisance = self._noise.draw(participant)
        mixed = combine(self.signal(participant), self.truth.share, parts, self.shares)
        mixed[:, ~self.truth.cortex] = 0.0
        ends = np.cumsum([run.n_volumes for run in self.runs])
        return np.split(mixed, ends[:-1]), nuisance

    def bold(
        self, participant: int, felt: Sequence[Mapping[str, FloatArray]] = ()
    ) -> tuple[list[FloatArray], list[Nuisance]]:
        """As `series`, on the scale of scanner units: mean about 10,000, tSNR about 70.

        `felt` has, per run and scale, the convolved size of the rating's change, (n_volumes,).
        """
        series, nuisance = self.series(participant)
        rng = np.random.default_rng([self.seed, _BASELINE, participant])
        basis = self._basis
        relief = np.clip(rng.standard_normal(basis.shape[0]) @ basis, -2.5, 2.5)
        level = (10000.0 * (1.0 + 0.15 * relief) * self.truth.cortex).astype(np.float32)
        if not felt:
            return [level * (1.0 + run / np.float32(70.0)) for run in series], nuisance
        bold = []
        for run, courses in zip(series, felt, strict=True):
            moved = np.float32(1.0) + run / np.float32(70.0)
            for scale, effect in self.truth.feeling.items():
                where = np.flatnonzero(effect)
                moved[:, where] += np.outer(courses[scale], effect[where] / 100.0)
            bold.append(level * moved)
        return bold, nuisance
