"""Inputs of the null over music: clocks, penalties, weights, spectra of responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.group.music_side import (
    Clock,
    Float32Array,
    IntArray,
    Plan,
    Scales,
    kept_frequencies,
    penalty_positions,
    phase_sources,
    power_of,
)
from bids_app.group.music_spectra import response_spectra

Responses = Sequence[Sequence[NDArray[Any]]]
Weights = ArrayLike | Callable[[slice], ArrayLike]

# Vertices whose spectra choose the frequencies and whose weights choose the basis; with few
# participants more, so that there are about this many series.
N_SAMPLE = 400
_N_SERIES = 8000
# Vertices whose weights are looked at together, and numbers in the weights of that many.
_SCAN = 2048
_NUMBERS = 32_000_000
# Matrices per layer up to which those of all are cheaper than those of each series alone.
_DENSE = 64


@dataclass(frozen=True, eq=False)
class Spectra:
    """Fourier coefficients of the participants of a clock at some vertices.

    Attributes
    ----------
    scored, trained : list of (n, n_freq) complex64
        One per segment. n is participants x vertices, the vertices of one participant together.
        Real parts are coefficients of cosines, imaginary parts those of sines. Both are the same
        list where models are trained on the scored responses.
    valid : (n_participants, n_vertices) bool
        Whether there are responses in every segment; where not, coefficients are zero.
    """

    scored: list[NDArray[np.complex64]]
    trained: list[NDArray[np.complex64]]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Loaded:
    """Spectra and scales of a clock's participants at some vertices."""

    spectra: Spectra
    scales: Scales

    def side(self, trained: bool) -> list[NDArray[np.complex64]]:
        """Coefficients of the responses that models are trained on, or of the scored ones."""
        return self.spectra.trained if trained else self.spectra.scored


class Study:
    """Arrays of a call, checked, and what the stimuli alone decide.

    Parameters
    ----------
    plans, responses, alphas, clock_of, training, checksums
        As for `linear_music_null`.
    common : bool
        Use one penalty per layer and vertex, the median over participants and folds, for all.
    """

    def __init__(
        self,
        plans: Sequence[Any],
        responses: Responses,
        alphas: NDArray[Any],
        clock_of: Sequence[int] | None,
        training: Responses | None,
        checksums: Mapping[str, str] | Sequence[str] | None,
        common: bool = False,
    ) -> None:
        check_shape("plans", plans, "n_layers")
        check_shape("responses", responses, "n_participants")
        if clock_of is None and not hasattr(plans[0], "segments") and len(plans) > 1:
            raise UsageError(
                "There are several clocks, and nothing says who is on which.",
                where="clock_of",
                found=f"{len(plans)} clocks",
                wanted="the clock of each participant",
                remedy="give clock_of, one number from 0 for each participant",
            )
        of_clock = [plans] if hasattr(plans[0], "segments") else list(plans)
        self.responses, self.training = responses, training
        self.n_participants, self.n_layers = len(responses), len(of_clock[0])
        self.n_vertices = int(responses[0][0].shape[-1])
        self.clock_of = np.zeros(self.n_participants, dtype=int)
        if clock_of is not None:
            check_shape("clock_of", clock_of, self.n_participants)
            self.clock_of = np.asarray(clock_of, dtype=int)
        self.grid = np.asarray(of_clock[0][0].alphas, dtype=np.float64)
        sources = self._checked(of_clock, checksums)
        self.labels = tuple(dict.fromkeys(name for one in sources for name in one))
        n_folds = 1 + max(of_clock[0][0].resolution.fold_of)
        check_shape("alphas", alphas, self.n_participants, self.n_layers, n_folds, self.n_vertices)
        self.chosen = np.stack([penalty_positions(one, self.grid) for one in alphas])
        if common:
            self.chosen = np.broadcast_to(
                _median_position(self.chosen, len(self.grid)), self.chosen.shape
            )
        self.clocks = [
            Clock(
                own,
                np.flatnonzero(self.clock_of == index),
                [self.labels.index(name) for name in names],
                self.chosen,
                training is not None,
            )
            for index, (own, names) in enumerate(zip(of_clock, sources, strict=True))
            if np.any(self.clock_of == index)
        ]
        self.kept: list[IntArray] = []

    def sample(self, used: NDArray[np.bool_]) -> IntArray:
        """Some of the vertices that are used, evenly spaced."""
        there = np.flatnonzero(used)
        wanted = max(N_SAMPLE, _N_SERIES // self.n_participants)
        places = np.linspace(0, max(len(there) - 1, 0), min(wanted, len(there)))
        return there[places.round().astype(int)]

    def prepare(
        self, vertices: IntArray, lost: float, layers: NDArray[np.bool_] | None = None
    ) -> None:
        """Choose frequencies and make all matrices.

        Parameters
        ----------
        vertices : int array
            Whose spectra decide.
        lost : float
            As for `linear_music_null`.
        layers : (n_layers,) bool array, optional
            Those that are needed. Default: all.
        """
        needed = np.arange(self.n_layers) if layers is None else np.flatnonzero(layers)
        if not 0 <= lost < 1:
            raise UsageError(
                "The share must be from 0 to 1.",
                where="lost",
                found=lost,
                wanted="0 or more, below 1",
                remedy="give the share of variance that may be lost, for example 0.001",
            )
        importance = [np.zeros(0) for _ in self.labels]
        powers = []
        for clock in self.clocks:
            spectra = self.spectra(clock, vertices)
            scored, trained = (
                [(np.abs(one) ** 2).mean(axis=0, dtype=np.float64) for one in side]
                for side in (spectra.scored, spectra.trained)
            )
            powers.append((scored, trained))
            clock.add_importance(importance, scored, trained, needed)
        self.kept = kept_frequencies(importance, lost)
        for clock, power in zip(self.clocks, powers, strict=True):
            clock.build(self.kept, needed, *power)

    def spectra(self, clock: Clock, vertices: slice | IntArray) -> Spectra:
        """Fourier coefficients of z-scored responses of a clock's participants."""
        sides = [self.responses] if self.training is None else [self.responses, self.training]
        loaded = []
        n_vertices = len(np.arange(self.n_vertices)[vertices])
        valid = np.ones((len(clock.participants), n_vertices), dtype=bool)
        for side in sides:
            parts: list[list[NDArray[np.complex64]]] = [[] for _ in clock.segments]
            for row, participant in enumerate(clock.participants):
                found, usable = response_spectra(
                    clock.segments, side[participant], vertices, clock.ddof
                )
                valid[row] &= usable
                for part, one in zip(parts, found, strict=True):
                    part.append(one)
            loaded.append([np.concatenate(part) for part in parts])
        if not valid.all():
            for one in (array for side in loaded for array in side):
                one[~valid.ravel()] = 0
        return Spectra(loaded[0], loaded[-1], valid)

    def scales(self, clock: Clock, spectra: Spectra, vertices: slice | IntArray) -> Scales:
        """Expected norms at every participant's own penalties."""
        inverse, columns = [], []
        shares = clock.shares
        layers = np.arange(self.n_layers)
        # Vertices first: taking participants copies.
        chosen = self.chosen[..., vertices][clock.participants]
        powers = [power_of(one) for one in spectra.trained]
        own = powers if self.training is None else [power_of(one) for one in spectra.scored]
        for segment, fold in enumerate(clock.fold_of):
            index = np.moveaxis(chosen[:, :, fold], 1, 2).reshape(-1, self.n_layers)
            places = clock.columns[segment][layers, index]
            features = clock.features(segment, powers, spectra.trained)
            squared = _energies_at(features, clock.energy[segment], places)
            squared *= own[segment].sum(axis=1, keepdims=True)
            defined = (squared > 0) & (index < len(self.grid))
            norm = np.sqrt(np.where(defined, squared, 1))
            inverse.append(np.where(defined, np.float32(shares[segment]) / norm, np.float32(0)))
            columns.append(places)
        return Scales(inverse, columns)

    def weights_of(self, weights: Weights) -> tuple[Callable[[slice], Float32Array], int]:
        """Weights by slice of vertices, NaN as zero, (n_summaries, n_participants, ...)."""
        if callable(weights):
            function = weights
        else:
            array = np.asarray(weights)

            def function(part: slice) -> ArrayLike:
                return array[..., part]

        n_summaries = len(np.asarray(function(slice(0, 1))))

        def checked(part: slice) -> Float32Array:
            found = np.asarray(function(part), dtype=np.float32)
            n = len(range(*part.indices(self.n_vertices)))
            check_shape("weights", found, n_summaries, self.n_participants, self.n_layers, n)
            return np.nan_to_num(found, nan=0.0)

        if not callable(weights):
            check_shape(
                "weights", array, n_summaries, self.n_participants, self.n_layers, self.n_vertices
            )
        return checked, n_summaries

    def load(self, clock: Clock, vertices: slice | IntArray) -> Loaded:
        """Spectra and scales of a clock's participants."""
        spectra = self.spectra(clock, vertices)
        return Loaded(spectra, self.scales(clock, spectra, vertices))

    def step(self, n_others: int, largest: int) -> int:
        """How many of something fit into memory with the weights of so many others of each."""
        numbers = max(n_others, 1) * self.n_participants * self.n_layers
        return max(1, min(largest, _NUMBERS // numbers))

    def picked_weights(
        self,
        weights: Callable[[slice], Float32Array],
        summaries: Sequence[int],
        vertices: IntArray,
        n_summaries: int,
    ) -> Float32Array:
        """Weights of some summaries at some vertices, ascending."""
        shape = (len(summaries), self.n_participants, self.n_layers, len(vertices))
        out = np.zeros(shape, dtype=np.float32)
        step = self.step(n_summaries, _SCAN)
        for start in range(0, self.n_vertices, step):
            part = slice(start, min(start + step, self.n_vertices))
            low, high = np.searchsorted(vertices, [part.start, part.stop])
            if low < high:
                out[..., low:high] = weights(part)[summaries][..., vertices[low:high] - start]
        return out

    def scan(
        self, weights: Callable[[slice], Float32Array], n_summaries: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where summaries have weights: (n_summaries, n_vertices), (n_summaries, n_layers)."""
        vertices = np.zeros((n_summaries, self.n_vertices), dtype=bool)
        layers = np.zeros((n_summaries, self.n_layers), dtype=bool)
        step = self.step(n_summaries, _SCAN)
        for start in range(0, self.n_vertices, step):
            part = slice(start, min(start + step, self.n_vertices))
            there = weights(part) != 0
            vertices[:, part] = there.any(axis=(1, 2))
            layers |= there.any(axis=(1, 3))
        return vertices, layers

    def _checked(
        self,
        of_clock: Sequence[Sequence[Plan]],
        checksums: Mapping[str, str] | Sequence[str] | None,
    ) -> list[list[str]]:
        """Sources of phases by clock and segment, after all plans and responses were compared."""
        if self.clock_of.min() < 0 or self.clock_of.max() >= len(of_clock):
            raise UsageError(
                "A participant is on a clock that has no plans.",
                where="clock_of",
                found=self.clock_of.tolist(),
                wanted=f"0 to {len(of_clock) - 1}",
                remedy="give each participant the number of a list of plans, from 0",
            )
        sources = []
        for index, plans in enumerate(of_clock):
            check_shape(f"plans[{index}]", plans, self.n_layers)
            first = plans[0]
            names = phase_sources(first.segments, checksums, len(first.lengths))
            _check_sources(names, first)
            sources.append(names)
            if not np.array_equal(first.alphas, self.grid):
                raise BadDataError(
                    "Clocks differ in their penalties.",
                    where=f"plans[{index}]",
                    found=first.alphas.tolist(),
                    wanted=self.grid.tolist(),
                    remedy="make all plans with the same penalties",
                )
            for participant in np.flatnonzero(self.clock_of == index).tolist():
                for name, side in (("responses", self.responses), ("training", self.training)):
                    if side is not None:
                        where = f"{name}[{participant}]"
                        _check_responses(where, side[participant], first, self.n_vertices)
        return sources


def _energies_at(features: Float32Array, table: Float32Array, places: IntArray) -> Float32Array:
    """Expected energy of every series, (n, n_features), at its matrices, (n, n_layers)."""
    if len(table) <= _DENSE * places.shape[1]:
        return np.take_along_axis(features @ table.T, places, axis=1)
    each = [np.einsum("nf,nf->n", features, table[own]) for own in places.T]
    return np.stack(each, axis=1)


def _median_position(chosen: NDArray[Any], missing: int) -> NDArray[Any]:
    """Median over participants and folds, (n_layers, 1, n_vertices); the lower of two."""
    _, n_layers, _, n_vertices = chosen.shape
    out = np.empty((n_layers, 1, n_vertices), dtype=chosen.dtype)
    for layer in range(n_layers):
        ordered = np.sort(chosen[:, layer].reshape(-1, n_vertices), axis=0)
        count = (ordered < missing).sum(axis=0)
        middle = np.maximum(count - 1, 0) // 2
        out[layer] = np.take_along_axis(ordered, middle[np.newaxis], axis=0)
    return out


def _check_sources(names: Sequence[str], plan: Plan) -> None:
    labels: dict[str, str] = {}
    for name, segment in zip(names, plan.segments, strict=True):
        if labels.setdefault(name, segment.label) != segment.label:
            raise BadDataError(
                "Two stimuli have the same source of phases.",
                where="checksums",
                found=f"{name} for {labels[name]} and {segment.label}",
                wanted="one checksum for each stimulus",
                remedy="give the same label to presentations of the same sound",
            )


def _check_responses(
    where: str, responses: Sequence[NDArray[Any]], plan: Plan, n_vertices: int
) -> None:
    check_shape(where, responses, len(plan.lengths))
    for index, (one, length) in enumerate(zip(responses, plan.lengths, strict=True)):
        check_shape(f"{where}[{index}]", one, length, n_vertices)
