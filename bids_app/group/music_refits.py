"""Refits under random phases of the responses, the same for everybody.

Closed-form nulls are compared with refits, and replaced by refits where they are too narrow.

A draw rotates the Fourier phases of the kept samples of every stimulus, alike for all
participants, layers and vertices. The models are then fitted again, with penalties chosen again
or kept. The caller receives all accuracies of a draw, so that a summary may be any function of
them, such as a slope with the reference profile and the mask of that draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import fft

from bids_app.arrays import NUMPY, Arrays
from bids_app.errors import MORE_DRAWS, BadDataError, UsageError, check_shape
from bids_app.group.kept_refits import LOST, KeptRefits, MusicModel, Spectra, fourier
from bids_app.threads import ordered_map

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Responses = Sequence[npt.NDArray[np.floating]]
Phases = Callable[[int, int, int], FloatArray]
Fit = Callable[[Any, list[npt.NDArray], "list[npt.NDArray] | None"], npt.NDArray[np.floating]]

# Columns fitted together, and draws at kept penalties. Fixed, so that results do not depend on
# memory or threads.
COLUMNS = 4096
DRAWS = 64
# Bytes of accuracies handed to the caller at a time, and most that draws at kept penalties take
# together: of a large study they are fewer than DRAWS.
CHUNK_BYTES, BLOCK_BYTES = 2**27, 2**29


def coarser_vertices(n_vertices: int, wanted: int) -> npt.NDArray[np.intp]:
    """Vertices of a coarser icosahedron in both hemispheres of a fsaverage mesh.

    Parameters
    ----------
    n_vertices : int
        Of both hemispheres: 2 (10 x 4^k + 2).
    wanted : int
        The coarsest mesh with at least so many vertices (both hemispheres) is taken.

    Returns
    -------
    ndarray of int
        The first 10 x 4^j + 2 of each hemisphere, left then right; all vertices where no coarser
        mesh has as many as wanted.

    Raises
    ------
    UsageError
        If the mesh is not one of these.

    Examples
    --------
    >>> coarser_vertices(20484, 1000).size  # fsaverage5 to fsaverage3
    1284
    >>> coarser_vertices(324, 20).tolist() == [*range(12), *range(162, 174)]
    True
    """
    half = n_vertices // 2
    sizes = [10 * 4**k + 2 for k in range(12)]
    if n_vertices % 2 or half not in sizes:
        raise UsageError(
            "Coarser meshes are known for fsaverage alone.",
            where="n_vertices",
            found=n_vertices,
            wanted="twice 10 x 4^k + 2, as 20484 for fsaverage5",
            remedy="use maps of fsaverage5 or another mesh of fsaverage",
        )
    size = next(size for size in sizes if 2 * size >= wanted or size == half)
    return np.concatenate([np.arange(size), half + np.arange(size)])


def music_refits(
    plans: Sequence[Any],
    responses: Sequence[Responses],
    reduce: Callable[[Float32Array, range], npt.ArrayLike],
    *,
    phases: Phases,
    n_draws: int,
    fit: Fit | None = None,
    penalties: npt.ArrayLike | None = None,
    training: Sequence[Responses] | None = None,
    clocks: Sequence[int] | None = None,
    lost: float = LOST,
    first_draw: int = 0,
    n_threads: int = 1,
    arrays: Arrays = NUMPY,
) -> npt.NDArray:
    """Accuracies under shared random phases of the responses, reduced draw by draw.

    Parameters
    ----------
    plans : sequence of EncodingPlan, or sequence of such sequences
        One per layer; or one such sequence per clock, with `clocks`. Segments, layers and folds
        are those of one another in their order; samples may differ.
    responses : sequence of sequences of (n_times, n_vertices) arrays
        Per participant one array per presentation, at the vertices of the refits.
    reduce : callable
        (r, draws) -> array of shape (len(draws), ...). `r` has shape (len(draws),
        n_participants, n_layers, n_vertices), NaN where a participant has no response; `draws`
        are their numbers. `r` is used again for later draws: keep none of it.
    phases : callable
        (draw, segment, n_freq) -> phases, the same for all participants; from
        `bids_app.seeds.random_phases` with the stimulus of the segment, so that repeats share
        theirs.
    n_draws : int
        Refits.
    fit : callable, optional
        (plan, scored, training or None) -> (n_columns,) mean r over folds, penalties chosen by
        nested cross-validation. Either this or `penalties`.
    penalties : (n_participants, n_layers, n_folds, n_vertices) array of int, optional
        Index of the penalty in the plan's grid: penalties are kept, and the refits made on the
        frequencies that carry the products (`bids_app.group.kept_refits`).
    training : like `responses`, optional
        Responses that train, where they are not the scored ones. They take the same phases.
    clocks : sequence of int, optional
        Which of the sequences of `plans` each participant has.
    lost : float
        With `penalties`: share of the products' variance that the frequencies left out may carry.
    first_draw : int
        Number of the first draw.
    n_threads : int
        Participants worked on at a time; results do not depend on it.
    arrays : Arrays
        With `penalties`: where the products are done, from `bids_app.arrays.arrays_on`.

    Returns
    -------
    ndarray, shape (n_draws, ...)
        What `reduce` gave.

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, both or neither of `fit` and `penalties`.

    Examples
    --------
    >>> from bids_app.seeds import random_phases
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> draws = music_refits(
    ...     [plan],
    ...     people,
    ...     lambda r, draws: r.mean(axis=(1, 2)),  # over participants and layers
    ...     phases=lambda draw, segment, n: random_phases(0, plan.stimuli[segment], draw, n),
    ...     n_draws=99,
    ...     penalties=np.searchsorted(plan.alphas, alphas),
    ... )
    >>> accuracy = np.mean([fit.mean_r for fit in fits], axis=0)
    >>> draws.shape, (accuracy > draws.max(axis=0)).tolist()
    ((99, 2), [True, False])
    """
    if (fit is None) == (penalties is None):
        raise UsageError(
            "Penalties are either chosen again or kept.",
            where="fit, penalties",
            found=("neither" if fit is None else "both"),
            wanted="one",
            remedy="give a function that fits, or the penalties to keep",
        )
    if n_draws < 1:
        raise UsageError(
            "n_draws must be positive.",
            where="n_draws",
            found=n_draws,
            wanted="1 or more",
            remedy=MORE_DRAWS,
        )
    study = _study(plans, responses, training, clocks)
    engine: _Engine
    if fit is not None:
        engine = _Chosen(study, fit, phases)
    else:
        engine = _Kept(study, np.asarray(penalties), phases, lost, arrays)
    shape = (study.n_participants, study.n_layers, study.n_vertices)
    draw_bytes = 4 * int(np.prod(shape))
    block = (
        int(np.clip(BLOCK_BYTES // draw_bytes, 1, DRAWS))
        if fit is None
        else max(COLUMNS // study.n_vertices, 1)
    )
    size = max(CHUNK_BYTES // (draw_bytes * block), 1) * block
    out = []
    for start in range(first_draw, first_draw + n_draws, size):
        draws = range(start, min(start + size, first_draw + n_draws))
        r = np.empty((len(draws), *shape), dtype=np.float32)
        blocks = [draws[i : i + block] for i in range(0, len(draws), block)]

        def one(
            participant: int,
            r: Float32Array = r,
            blocks: list[range] = blocks,
            draws: range = draws,
        ) -> None:
            for part in blocks:
                where = slice(part.start - draws.start, part.stop - draws.start)
                r[where, participant] = engine.draw(participant, part)

        list(ordered_map(one, range(study.n_participants), n_threads))
        reduced = np.asarray(reduce(r, draws))
        check_shape("reduce(r, draws)", reduced, len(draws), *reduced.shape[1:])
        out.append(reduced)
    return np.concatenate(out)


@dataclass(frozen=True, eq=False)
class _Study:
    """Plans and responses that fit one another."""

    plans: list[list[MusicModel]]
    responses: list[list[npt.NDArray]]
    training: list[list[npt.NDArray]] | None
    clocks: list[int]
    n_vertices: int

    @property
    def n_participants(self) -> int:
        return len(self.responses)

    @property
    def n_layers(self) -> int:
        return len(self.plans[0])

    def of(self, participant: int) -> list[MusicModel]:
        """The plans of a participant, one per layer."""
        return self.plans[self.clocks[participant]]


def _study(
    plans: Sequence[Any],
    responses: Sequence[Responses],
    training: Sequence[Responses] | None,
    clocks: Sequence[int] | None,
) -> _Study:
    check_shape("plans", plans, "n_layers")
    check_shape("responses", responses, "n_participants")
    grouped = [list(one) for one in plans] if clocks is not None else [list(plans)]
    own = [0] * len(responses) if clocks is None else [int(clock) for clock in clocks]
    check_shape("clocks", own, len(responses))
    if min(own) < 0 or max(own) >= len(grouped):
        raise UsageError(
            "A participant has a clock without plans.",
            where="clocks",
            found=sorted(set(own)),
            wanted=f"0 to {len(grouped) - 1}",
            remedy="give a list of plans for every clock",
        )
    first = grouped[0][0]
    for number, layers in enumerate(grouped):
        check_shape(f"plans[{number}]", layers, len(grouped[0]))
        for plan in layers:
            if [s.label for s in plan.segments] != [s.label for s in first.segments]:
                raise BadDataError(
                    "Participants of one study hear the same stimuli in the same order.",
                    where=f"plans[{number}]",
                    found=[s.label for s in plan.segments],
                    wanted=[s.label for s in first.segments],
                    remedy="order the stimuli of all participants alike",
                )
    scored = [[np.asarray(y) for y in one] for one in responses]
    n_vertices = int(scored[0][0].shape[-1])
    sets = {"responses": scored}
    if training is not None:
        check_shape("training", training, len(scored))
        sets["training"] = [[np.asarray(y) for y in one] for one in training]
    for name, people in sets.items():
        for p, one in enumerate(people):
            lengths = grouped[own[p]][0].lengths
            check_shape(f"{name}[{p}]", one, len(lengths))
            for i, (y, length) in enumerate(zip(one, lengths, strict=True)):
                check_shape(f"{name}[{p}][{i}]", y, length, n_vertices or "n_vertices")
    return _Study(grouped, scored, sets.get("training"), own, n_vertices)


class _Engine(Protocol):
    def draw(self, participant: int, draws: range) -> Float32Array:
        """The r of some draws of a participant, (n_draws, n_layers, n_vertices)."""


class _Chosen:
    """Penalties chosen again: rotated responses are further columns of one nested fit."""

    def __init__(self, study: _Study, fit: Fit, phases: Phases) -> None:
        self._study, self._fit, self._phases = study, fit, phases

    def draw(self, participant: int, draws: range) -> Float32Array:
        study = self._study
        layers = study.of(participant)
        shape = (len(draws), study.n_vertices)
        scored = self._rotated(layers[0], study.responses[participant], draws)
        training = None
        if study.training is not None:
            training = self._rotated(layers[0], study.training[participant], draws)
        r = [np.asarray(self._fit(plan, scored, training)).reshape(shape) for plan in layers]
        return np.stack(r, axis=1).astype(np.float32)

    def _rotated(
        self, plan: MusicModel, responses: Sequence[npt.NDArray], draws: range
    ) -> list[npt.NDArray]:
        """Responses with rotated phases at the kept rows, (n_times, n_draws x n_vertices)."""
        n_vertices = self._study.n_vertices
        columns = len(draws) * n_vertices
        out = [np.zeros((len(y), columns)) for y in responses]
        for number, segment in enumerate(plan.segments):
            kept = slice(segment.start, segment.stop)
            y = np.array(responses[segment.block][kept], dtype=np.float64)
            missing = ~np.isfinite(y).all(axis=0)
            y[:, missing] = 0
            turned = rotate(y, [self._phases(d, number, len(y) // 2) for d in draws])
            turned[:, :, missing] = np.nan
            out[segment.block][kept] = turned.reshape(len(y), columns)
        return out


def rotate(series: FloatArray, phases: Sequence[FloatArray]) -> FloatArray:
    """Series with rotated Fourier phases; constant and Nyquist terms stay.

    Parameters
    ----------
    series : (n_times, n_vertices) array
    phases : sequence of n_draws arrays, each (n_times // 2,)
        Of the frequencies 1, 2, ...

    Returns
    -------
    (n_times, n_draws, n_vertices) float64

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((20, 3))
    >>> rotated = rotate(series, [np.zeros(10), np.full(10, np.pi)])
    >>> rotated.shape, bool(np.allclose(rotated[:, 0], series))
    ((20, 2, 3), True)
    >>> bool(np.allclose(rotated.std(axis=0), series.std(axis=0)))
    True
    """
    n_times = len(series)
    spectrum = fft.rfft(series, axis=0)
    turns = np.ones((len(spectrum), len(phases)), dtype=complex)
    n_free = (n_times - 1) // 2
    turns[1 : n_free + 1] = np.exp(1j * np.stack(phases, axis=1)[:n_free])
    return np.asarray(fft.irfft(spectrum[:, None] * turns[:, :, None], n=n_times, axis=0))


class _Kept:
    """Penalties kept: products on the frequencies that carry them."""

    def __init__(
        self,
        study: _Study,
        penalties: npt.NDArray,
        phases: Phases,
        lost: float,
        arrays: Arrays,
    ) -> None:
        first = study.plans[0][0]
        n_folds = len(first.folds)
        check_shape(
            "penalties", penalties, study.n_participants, study.n_layers, n_folds, study.n_vertices
        )
        self._study, self._penalties, self._phases = study, penalties, phases
        self._lost, self._arrays = lost, arrays
        self._models: list[list[KeptRefits]] = []
        for clock, layers in enumerate(study.plans):
            people = [p for p, own in enumerate(study.clocks) if own == clock]
            self._models.append(self._kept(layers, people) if people else [])

    def _kept(self, layers: list[MusicModel], people: list[int]) -> list[KeptRefits]:
        """One per layer of a clock, on the same frequencies."""
        study = self._study
        spectra = [fourier(layers[0], study.responses[p]) for p in people]
        trained = spectra
        if study.training is not None:
            trained = [fourier(layers[0], study.training[p]) for p in people]
        return KeptRefits.of_layers(layers, spectra, trained, self._penalties[people], self._lost)

    def draw(self, participant: int, draws: range) -> Float32Array:
        study = self._study
        layers = study.of(participant)
        models = self._models[study.clocks[participant]]
        scored: Spectra = fourier(layers[0], study.responses[participant])
        missing = ~scored.valid
        kept = models[0].frequencies
        turns = [
            self._turns(segment.stop - segment.start, number, kept[number], draws)
            for number, segment in enumerate(layers[0].segments)
        ]
        target = scored.turned(kept, turns)
        source = target
        if study.training is not None:
            trained = fourier(layers[0], study.training[participant])
            source, missing = trained.turned(kept, turns), missing | ~trained.valid
        r = np.stack(
            [
                model.accuracy(target, source, self._penalties[participant, layer], self._arrays)
                for layer, model in enumerate(models)
            ],
            axis=1,
        )
        r[..., missing] = np.nan
        return r

    def _turns(
        self, n_times: int, segment: int, kept: npt.NDArray[np.intp], draws: range
    ) -> npt.NDArray[np.complexfloating]:
        """What the kept frequencies of a segment are multiplied by, (n_draws, n_kept)."""
        phases = np.stack([self._phases(draw, segment, n_times // 2) for draw in draws])
        if n_times % 2 == 0:
            phases[:, -1] = 0  # the Nyquist frequency has no phase
        # Coefficients are conjugates of the transform that phases are added to.
        return np.exp(-1j * phases[:, kept])
