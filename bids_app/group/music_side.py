"""The stimulus side of the null over music: the frequencies that carry it, phases, penalties.

Participants whose volumes sample the music alike share a clock: the same plans, hence the same
resolution matrices M (held-out prediction = M y_train, in the Fourier basis of each segment).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import BadDataError, check_shape
from bids_app.group.music_axes import Axes, GrowingAxes

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.intp]


class Segment(Protocol):
    """Rows that are centered and scored by themselves (`bids_app.encoding.folds.Segment`)."""

    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def stimulus(self) -> str: ...  # noqa: D102
    @property
    def block(self) -> int: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def stop(self) -> int: ...  # noqa: D102


class Resolution(Protocol):
    """Resolution matrices of a plan (`bids_app.encoding.resolution.Resolution`)."""

    @property
    def fold_of(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def sources(self) -> Sequence[Sequence[int]]: ...  # noqa: D102
    def make(self, segment: int, alpha: int) -> Sequence[NDArray[Any]]: ...  # noqa: D102
    def name(self, alpha: int) -> Hashable: ...  # noqa: D102


class Plan(Protocol):
    """Stimulus side of one layer (`bids_app.encoding.EncodingPlan`)."""

    @property
    def segments(self) -> Sequence[Segment]: ...  # noqa: D102
    @property
    def lengths(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def alphas(self) -> FloatArray: ...  # noqa: D102
    @property
    def ddof(self) -> int: ...  # noqa: D102
    @property
    def plain_mean(self) -> bool: ...  # noqa: D102
    @property
    def resolution(self) -> Resolution: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Family:
    """Resolution matrices of one held-out segment in a product.

    Attributes
    ----------
    held_out : int
        Segment.
    offset : int
        Position of its first matrix among those of the product.
    """

    held_out: int
    offset: int


@dataclass(frozen=True, eq=False)
class Product:
    """Two segments whose coefficients are multiplied, and the matrices in between.

    Attributes
    ----------
    key : (int, int)
        Their stimuli, the first below the second.
    left, right : (int, bool)
        Segment, and whether it is the response that models are trained on.
    families : list of Family
        Directions of the pair: one or both.
    axes : Axes
        Of the matrices at the kept frequencies, left to right whatever their direction.
    """

    key: tuple[int, int]
    left: tuple[int, bool]
    right: tuple[int, bool]
    families: list[Family]
    axes: Axes

    @property
    def n_matrices(self) -> int:
        """Matrices of all families."""
        return len(self.axes.loadings)

    def matrices(self, family: Family, n: int) -> FloatArray:
        """The first matrices of a family, (n, 2 n_left, 2 n_right)."""
        rows = self.axes.loadings[family.offset : family.offset + n]
        return np.asarray(np.tensordot(rows, self.axes.matrices, axes=1))


@dataclass(frozen=True, eq=False)
class _Pair:
    """A product in the making: its axes, and the numbers of each held-out segment's matrices."""

    key: tuple[int, int]
    left: tuple[int, bool]
    right: tuple[int, bool]
    directions: list[tuple[int, int]]
    growing: GrowingAxes
    numbers: dict[int, list[int]] = field(default_factory=dict)

    def add(self, held_out: int, matrix: NDArray[Any]) -> None:
        turned = held_out != self.left[0]
        number = self.growing.add(matrix.T if turned else matrix)
        self.numbers.setdefault(held_out, []).append(number)

    def product(self) -> Product:
        families, order = [], list[int]()
        for held_out, _ in self.directions:
            families.append(Family(held_out, len(order)))
            order += self.numbers[held_out]
        return Product(self.key, self.left, self.right, families, self.growing.axes(order))


@dataclass(frozen=True, eq=False)
class Scales:
    """Factors from y'My to a share of r: by segment, (n, n_layers) each.

    Attributes
    ----------
    inverse : list of (n, n_layers) float32
        ``share / sqrt(E|My|^2 |y|^2)``, zero where undefined.
    columns : list of (n, n_layers) int
        Number of the segment's matrix at the penalty.
    """

    inverse: list[Float32Array]
    columns: list[IntArray]


class Clock:
    """Participants who share plans, and what their responses are multiplied with.

    Parameters
    ----------
    plans : sequence of Plan
        One per layer. A sequence may make them on request: each is requested twice.
    participants : (n,) int array
        Who is on this clock.
    stimulus_of : sequence of int
        Index of each segment's stimulus among those of all clocks.
    chosen : (n_participants, n_layers, n_folds, n_vertices) int array
        Index of the penalty; the number of penalties where there is none.
    directed : bool
        Models are trained on other responses than the scored ones.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        participants: IntArray,
        stimulus_of: Sequence[int],
        chosen: NDArray[Any],
        directed: bool,
    ) -> None:
        first = plans[0]
        self.plans, self.participants, self.stimulus_of = plans, participants, list(stimulus_of)
        self.segments, self.ddof = list(first.segments), first.ddof
        self.sizes = [s.stop - s.start for s in self.segments]
        self.n_freq = [size // 2 for size in self.sizes]
        self.fold_of = list(first.resolution.fold_of)
        self.sources = [list(one) for one in first.resolution.sources]
        self.n_alphas, self._alphas = len(first.alphas), first.alphas
        counts = [
            [
                np.bincount(fold.ravel(), minlength=self.n_alphas + 1)
                for fold in np.swapaxes(chosen[participants, layer], 0, 1)
            ]
            for layer in range(len(plans))
        ]
        self._counts = np.array(counts)[..., : self.n_alphas]
        # Every matrix is found although nobody uses it: column 0 stands where there is none.
        self.columns = np.zeros((len(self.segments), len(plans), self.n_alphas + 1), dtype=np.intp)
        self.products: list[Product] = []
        self.energy: list[Float32Array] = []
        self.kept: list[IntArray] = []
        self._directed = directed

    @property
    def shares(self) -> FloatArray:
        """Weight of each segment in the mean over folds, (n_segments,)."""
        fold_of = np.asarray(self.fold_of)
        size = np.bincount(fold_of)
        return 1 / ((size > 0).sum() * size[fold_of])

    @property
    def n_layers(self) -> int:
        """Layers."""
        return len(self.plans)

    def pairs_of_repeats(self, segment: int) -> list[tuple[int, int]]:
        """Sources of a held-out segment that are presentations of one stimulus."""
        return [
            (i, j)
            for i, j in combinations(self.sources[segment], 2)
            if self.stimulus_of[i] == self.stimulus_of[j]
        ]

    def add_importance(
        self,
        importance: list[FloatArray],
        scored: Sequence[FloatArray],
        trained: Sequence[FloatArray],
        layers: IntArray,
    ) -> None:
        """Add how much of the null's variance each frequency of each stimulus carries.

        Parameters
        ----------
        importance : list of (n_freq,) arrays
            By stimulus of all clocks. The Nyquist frequency, which has no phase, gets nothing.
        scored, trained : sequence of (n_freq,) arrays
            Mean power of each segment.
        layers : int array
            Those that are needed.
        """
        for layer, plan in self._in_turn(layers):
            for segment in range(len(self.segments)):
                for alpha in self._typical(layer, self.fold_of[segment]):
                    matrices = plan.resolution.make(segment, alpha)
                    shared = [
                        self._power_of(matrix, segment, i, scored, trained)
                        for i, matrix in zip(self.sources[segment], matrices, strict=True)
                    ]
                    total = sum(one.sum() for one in shared) or 1.0
                    for i, one in zip(self.sources[segment], shared, strict=True):
                        _add_padded(importance, self.stimulus_of[segment], one.sum(axis=1) / total)
                        _add_padded(importance, self.stimulus_of[i], one.sum(axis=0) / total)

    def build(
        self,
        kept: Sequence[IntArray],
        layers: IntArray,
        scored: Sequence[FloatArray],
        trained: Sequence[FloatArray],
    ) -> None:
        """Make the tables of expected energies, and the axes of matrices at the kept frequencies.

        Parameters
        ----------
        kept : sequence of int arrays
            Kept frequencies of every stimulus, counted from 0 (one cycle), ascending.
        layers : int array
            Those that are needed.
        scored, trained : sequence of (n_freq,) arrays
            Mean power of each segment.
        """
        self.kept = [kept[stimulus] for stimulus in self.stimulus_of]
        power = [
            [self.at_kept(segment, one) for segment, one in enumerate(side)]
            for side in (scored, trained)
        ]
        pairs = self._pairs(power)
        target = {direction: pair for pair in pairs for direction in pair.directions}
        energies: list[list[FloatArray]] = [[] for _ in self.segments]
        known: list[dict[Hashable, int]] = [{} for _ in self.segments]
        for layer, plan in self._in_turn(layers):
            for segment, fold in enumerate(self.fold_of):
                for alpha in np.flatnonzero(self._counts[layer, fold]).tolist():
                    # Models that share a plan share its matrices.
                    name = plan.resolution.name(alpha)
                    if name not in known[segment]:
                        known[segment][name] = len(energies[segment])
                        matrices = plan.resolution.make(segment, alpha)
                        energies[segment].append(self._energies(segment, matrices))
                        for i, matrix in zip(self.sources[segment], matrices, strict=True):
                            target[segment, i].add(segment, self._cut(matrix, segment, i))
                    self.columns[segment, layer, alpha] = known[segment][name]
        for segment, one in enumerate(energies):
            if not one:  # nobody has responses
                one.append(np.zeros(self._n_features(segment)))
                for i in self.sources[segment]:
                    size = (2 * len(self.kept[segment]), 2 * len(self.kept[i]))
                    target[segment, i].add(segment, np.zeros(size))
        self.energy = [np.array(one, dtype=np.float32) for one in energies]
        self.products = [pair.product() for pair in pairs]

    def features(
        self,
        segment: int,
        powers: Sequence[Float32Array],
        trained: Sequence[NDArray[np.complex64]],
    ) -> Float32Array:
        """What the expected energy of a held-out prediction is linear in.

        Parameters
        ----------
        segment : int
            Held out.
        powers : sequence of (n, n_freq) float32
            Of all segments.
        trained : sequence of (n, n_freq) complex64
            Coefficients of all segments.

        Returns
        -------
        (n, n_features) float32
            Power of the sources; products of presentations of one stimulus.
        """
        parts = [powers[i] for i in self.sources[segment]]
        for i, j in self.pairs_of_repeats(segment):
            n = min(self.n_freq[i], self.n_freq[j])
            crossed = trained[i][:, :n].conj() * trained[j][:, :n]
            parts += [crossed.real, crossed.imag]
        return np.concatenate(parts, axis=1)

    def at_kept(self, segment: int, coefficients: NDArray[Any]) -> NDArray[Any]:
        """Coefficients at the kept frequencies, zero where a segment is too short to have one."""
        return _picked(coefficients, self.kept[segment], self._n_turning(segment))

    def _in_turn(self, layers: IntArray) -> Iterator[tuple[int, Plan]]:
        """Plans of some layers, one at a time, held against the first."""
        for layer in layers.tolist():
            plan = self.plans[layer]
            places = [(s.block, s.start, s.stop, s.label) for s in plan.segments]
            if places != [(s.block, s.start, s.stop, s.label) for s in self.segments] or not (
                np.array_equal(plan.alphas, self._alphas)
            ):
                raise BadDataError(
                    "Plans of one clock differ in their rows or penalties.",
                    where=f"layer {layer}",
                    found="other rows or penalties",
                    wanted="those of the first layer",
                    remedy="make the plans of all layers from the same stimuli and penalties",
                )
            yield layer, plan

    def _n_turning(self, segment: int) -> int:
        """Frequencies that have a phase."""
        return (self.sizes[segment] - 1) // 2

    def _typical(self, layer: int, fold: int) -> list[int]:
        """Lowest and median penalty in use."""
        counts = self._counts[layer, fold]
        if not counts.any():
            return []
        median = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
        return sorted({int(np.flatnonzero(counts)[0]), median})

    def _power_of(
        self,
        matrix: NDArray[Any],
        segment: int,
        source: int,
        scored: Sequence[FloatArray],
        trained: Sequence[FloatArray],
    ) -> FloatArray:
        planes = matrix.reshape(2, self.n_freq[segment], 2, self.n_freq[source])
        squared = np.einsum("afbg,afbg->fg", planes, planes, dtype=np.float64)
        squared *= scored[segment][:, np.newaxis] * trained[source]
        squared[self._n_turning(segment) :] = 0
        squared[:, self._n_turning(source) :] = 0
        return squared

    def _n_features(self, segment: int) -> int:
        pairs = self.pairs_of_repeats(segment)
        return sum(self.n_freq[i] for i in self.sources[segment]) + sum(
            2 * min(self.n_freq[i], self.n_freq[j]) for i, j in pairs
        )

    def _energies(self, segment: int, matrices: Sequence[NDArray[Any]]) -> FloatArray:
        """Weights of `features` in the expected energy of the prediction."""
        by_source = dict(zip(self.sources[segment], matrices, strict=True))
        parts = []
        for i, matrix in by_source.items():
            squared = np.einsum("fg,fg->g", matrix, matrix, dtype=np.float64)
            n = self.n_freq[i]
            weights = (squared[:n] + squared[n:]) / 2
            # Where there is no phase nothing is averaged.
            weights[self._n_turning(i) :] = squared[:n][self._n_turning(i) :]
            parts.append(weights)
        for i, j in self.pairs_of_repeats(segment):
            parts += self._crossed_energies(i, j, by_source[i], by_source[j])
        return np.concatenate(parts)

    def _crossed_energies(
        self, i: int, j: int, first: NDArray[Any], second: NDArray[Any]
    ) -> list[FloatArray]:
        """Of two presentations of one stimulus, which turn together."""
        n, turning = min(self.n_freq[i], self.n_freq[j]), [self._n_turning(k) for k in (i, j)]
        n_i, n_j = self.n_freq[i], self.n_freq[j]
        c, s = (np.asarray(first[:, k : k + n], dtype=np.float64) for k in (0, n_i))
        c_2, s_2 = (np.asarray(second[:, k : k + n], dtype=np.float64) for k in (0, n_j))

        def dots(x: FloatArray, y: FloatArray) -> FloatArray:
            return np.asarray(np.einsum("fg,fg->g", x, y))

        alike, across = dots(c, c_2) + dots(s, s_2), dots(c, s_2) - dots(s, c_2)
        fixed = slice(min(turning), None)
        across[fixed] = 0
        # One that turns and one that does not have nothing in common; two that do not, all.
        both_fixed = turning[0] == turning[1] and self.sizes[i] == self.sizes[j]
        alike[fixed] = 2 * dots(c, c_2)[fixed] if both_fixed else 0
        return [alike, across]

    def _pairs(self, power: Sequence[Sequence[FloatArray]]) -> list[_Pair]:
        """Segments whose coefficients are multiplied; power of scored and of trained ones."""
        directions = [(b, i) for b, sources in enumerate(self.sources) for i in sources]
        if self._directed:
            pairs = [[one] for one in directions]
        else:
            pairs = [
                [one for one in ((b, c), (c, b)) if one in directions]
                for b, c in combinations(range(len(self.sources)), 2)
            ]
        out = []
        for pair in pairs:
            if not pair:
                continue
            held, source = pair[0]
            left, right = (held, False), (source, self._directed)
            if self.stimulus_of[held] > self.stimulus_of[source]:
                left, right = right, left
            key = (self.stimulus_of[left[0]], self.stimulus_of[right[0]])
            growing = GrowingAxes(*(power[int(side)][segment] for segment, side in (left, right)))
            out.append(_Pair(key, left, right, pair, growing))
        return out

    def _cut(self, matrix: NDArray[Any], segment: int, source: int) -> NDArray[Any]:
        """The kept rows and columns of a matrix, (2 n_kept, 2 n_kept)."""
        n_b, n_c = self.n_freq[segment], self.n_freq[source]
        planes = matrix.reshape(2, n_b, 2, n_c)
        rows = _picked(planes, self.kept[segment], self._n_turning(segment), axis=1)
        both = _picked(rows, self.kept[source], self._n_turning(source), axis=3)
        return both.reshape(2 * len(self.kept[segment]), 2 * len(self.kept[source]))


def phase_sources(
    segments: Sequence[Segment], checksums: Mapping[str, str] | Sequence[str] | None, n_blocks: int
) -> list[str]:
    """Names that the random phases of every segment are drawn from.

    Parameters
    ----------
    segments : sequence of Segment
    checksums : mapping of stimulus to str, sequence of str per presentation, or None
        Labels of the segments stand in for them.
    n_blocks : int
        Presentations.

    Returns
    -------
    list of n_segments str

    Raises
    ------
    BadDataError
        A stimulus or presentation has no checksum.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> x = np.random.default_rng(0).standard_normal((120, 4))
    >>> plan = plan_encoding(
    ...     x @ x.T, [60, 60], delays=(2.0, 4.0), crop=4.0, tr=1.0, stimuli=["happy", "sad"]
    ... )
    >>> phase_sources(plan.segments, {"sad": "cd34", "happy": "ab12"}, 2)
    ['ab12', 'cd34']
    """
    if checksums is None:
        return [s.label for s in segments]
    if isinstance(checksums, Mapping):
        lacking = sorted({s.stimulus for s in segments} - set(checksums))
        if lacking:
            raise BadDataError(
                "A stimulus has no checksum.",
                where="checksums",
                found=", ".join(checksums),
                wanted=", ".join(lacking),
                remedy="give the checksum of every stimulus by its label",
            )
        return [checksums[s.stimulus] + s.label.removeprefix(s.stimulus) for s in segments]
    check_shape("checksums", checksums, n_blocks)
    return [checksums[s.block] + s.label.removeprefix(s.stimulus) for s in segments]


def kept_frequencies(importance: Sequence[FloatArray], lost: float) -> list[IntArray]:
    """The fewest frequencies of each stimulus that carry all but a share of the variance.

    Parameters
    ----------
    importance : sequence of (n_freq,) arrays
        By stimulus.
    lost : float
        Share that may be lost on either side.

    Returns
    -------
    list of int arrays
        Counted from 0 (one cycle per kept stretch), ascending.

    Examples
    --------
    >>> kept = kept_frequencies([np.array([0.5, 0.001, 0.499])], lost=0.01)
    >>> kept[0].tolist()
    [0, 2]
    """
    out = []
    for one in importance:
        order = np.argsort(-one, kind="stable")
        missing = 1 - np.cumsum(one[order]) / max(one.sum(), np.finfo(float).tiny)
        n_kept = 1 + int(np.searchsorted(-missing, -lost))
        out.append(np.sort(order[: min(n_kept, int((one > 0).sum()))]).astype(np.intp))
    return out


def penalty_positions(alphas: ArrayLike, grid: FloatArray) -> NDArray[Any]:
    """Positions of penalties in the grid, to the nearest on a logarithmic scale.

    Parameters
    ----------
    alphas : array
        Penalties.
    grid : (n_alphas,) array
        Penalties to choose from, ascending.

    Returns
    -------
    array of small int, of the same shape
        The number of penalties where NaN.

    Examples
    --------
    >>> penalty_positions([0.1, 9.0, np.nan], np.array([0.1, 1.0, 10.0])).tolist()
    [0, 2, 3]
    """
    borders = np.sqrt(grid[1:] * grid[:-1])
    values = np.asarray(alphas)
    found = np.searchsorted(borders, values).astype(np.min_scalar_type(len(grid)))
    found[np.isnan(values)] = len(grid)
    return found


def power_of(coefficients: NDArray[np.complex64]) -> Float32Array:
    """Squared absolute values of an array of any shape.

    Examples
    --------
    >>> power_of(np.array([3 + 4j], dtype=np.complex64)).tolist()
    [25.0]
    """
    return coefficients.real**2 + coefficients.imag**2


def _add_padded(out: list[FloatArray], index: int, values: FloatArray) -> None:
    """Add to one of the arrays; the shorter one is padded at its end."""
    if len(out[index]) < len(values):
        out[index] = np.pad(out[index], (0, len(values) - len(out[index])))
    out[index][: len(values)] += values


def _picked(array: NDArray[Any], kept: IntArray, n_there: int, axis: int = -1) -> NDArray[Any]:
    """Entries along an axis, zero where they lie beyond those that are there."""
    taken = np.take(array, np.minimum(kept, array.shape[axis] - 1), axis=axis)
    if len(kept) and kept[-1] >= n_there:
        shape = [1] * array.ndim
        shape[axis] = len(kept)
        taken = taken * (kept < n_there).reshape(shape).astype(array.real.dtype)
    return taken
