"""Standard deviations over music at every vertex, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bids_app.errors import UsageError, check_shape
from bids_app.group.linear_music import bases_of
from bids_app.group.music_basis import Basis, planes, quarters, series_weights
from bids_app.group.music_kernel import bilinear, turns_of
from bids_app.group.music_side import Clock, Family, FloatArray, IntArray, Product
from bids_app.group.music_study import Loaded, Responses, Study, Weights
from bids_app.statistics import benjamini_hochberg
from bids_app.threads import ordered_map

ComplexArray = NDArray[np.complex64]
T = TypeVar("T")

# Vertices worked on at a time: their blocks fit into the processor's cache.
_CHUNK = 64
# Of accuracies, whose blocks are few.
_CHUNK_ACCURACY = 128
FEWEST_BEYOND = 50
"""Values that a share of the tail rests on."""
_STEP, _N_STEPS = 0.1, 100
# As for sums over vertices, where errors of single vertices cancel; here they stay.
_TOLERANCE = 5e-3


@dataclass(frozen=True, eq=False)
class AccuracyMusicNull:
    """Null of the group's mean accuracy over music.

    Attributes
    ----------
    sd : (n_layers, n_vertices) float64
        Standard deviation of the group mean under shared phase rotation; NaN where no
        participant has responses.
    p : (n_layers, n_vertices) float64
        One-sided p of the group mean; Gaussian.
    q : (n_layers, n_vertices) float64
        Benjamini-Hochberg over vertices, layer by layer.
    n : (n_vertices,) int
        Participants with responses.
    largest : (n_draws,) float64
        Largest value over layers and vertices, each in its standard deviations, of each draw; at
        least 0.
    """

    sd: FloatArray
    p: FloatArray
    q: FloatArray
    n: NDArray[np.int64]
    largest: FloatArray


@dataclass(frozen=True, eq=False)
class VertexMusicNull:
    """Null over music of maps.

    Attributes
    ----------
    sd : (n_maps, n_vertices) float64
        Standard deviation; NaN where no participant has responses or weight.
    largest : (n_maps, n_draws) float64
        Largest value over vertices, or absolute one, each in its standard deviations, of each draw.
    beyond : (n_maps, n_steps) float64
        Share of vertices and draws whose value in standard deviations, or absolute one, is at least
        0, .1, .2 and so on; tails are longer than those of a normal distribution.
    fewest : float
        Smallest share that is relied on.
    """

    sd: FloatArray
    largest: FloatArray
    beyond: FloatArray
    fewest: float

    def tail_p(self, z: ArrayLike) -> FloatArray:
        """P of maps in standard deviations by the draws of all vertices together.

        Parameters
        ----------
        z : (n_maps, n_vertices) array
            Its size counts, as that of the draws does in a two-sided test.

        Returns
        -------
        (n_maps, n_vertices) float64
            Logarithms of shares are interpolated; where they are below `fewest` they
            go on as over the last standard deviation. NaN stays NaN.
        """
        size = np.abs(np.asarray(z, dtype=np.float64))
        found = np.full(size.shape, np.nan)
        for own, one, share in zip(found, size, self.beyond, strict=True):
            known = max(int((share >= self.fewest).sum()), 2)
            steps = _STEP * np.arange(known)
            logs = np.log(np.maximum(share[:known], self.fewest))
            start = max(known - 1 - round(1 / _STEP), 0)
            slope = (logs[-1] - logs[start]) / (steps[-1] - steps[start])
            further = np.maximum(one - steps[-1], 0.0)
            own[:] = np.exp(np.interp(one, steps, logs) + slope * further)
        return np.where(np.isfinite(size), found, np.nan)


def vertex_null_sd(
    plans: Sequence[Any],
    responses: Responses,
    alphas: NDArray[Any],
    weights: Weights,
    *,
    training: Responses | None = None,
    clock_of: Sequence[int] | None = None,
    checksums: Mapping[str, str] | Sequence[str] | None = None,
    lost: float = 1e-3,
    n_threads: int = 1,
) -> FloatArray:
    """Standard deviation over music of weighted accuracies at every vertex.

    Parameters
    ----------
    plans, responses, alphas, training, clock_of, checksums, lost, n_threads
        As for `linear_music_null`.
    weights : (n_maps, n_participants, n_layers, n_vertices) array, or callable
        Weights of the participants' and layers' accuracies at each vertex, such as those of the
        residual slope over n. A callable returns those of a slice of vertices.

    Returns
    -------
    (n_maps, n_vertices) float64
        Standard deviation of sum over participants and layers of w r under shared random phases;
        NaN where no participant has responses or weight.

    Raises
    ------
    BadDataError, UsageError
        As for `linear_music_null`.

    Notes
    -----
    The standard deviation of slopes is a few percent too small. Divide it by the ratio of refits
    (`sd_ratio`).

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> sd = vertex_null_sd([plan], people, alphas, np.full((1, 4, 1, 2), 1 / 4))
    >>> accuracy = np.mean([fit.mean_r for fit in fits], axis=0)
    >>> sd.shape, (accuracy / sd > 3).tolist()
    ((1, 2), [[True, False]])
    """
    return vertex_music_null(
        plans,
        responses,
        alphas,
        weights,
        training=training,
        clock_of=clock_of,
        checksums=checksums,
        lost=lost,
        n_draws=0,
        seed=0,
        n_threads=n_threads,
    ).sd


def vertex_music_null(
    plans: Sequence[Any],
    responses: Responses,
    alphas: NDArray[Any],
    weights: Weights,
    *,
    tail: Literal["greater", "two-sided"] = "two-sided",
    inside: ArrayLike | None = None,
    training: Responses | None = None,
    clock_of: Sequence[int] | None = None,
    checksums: Mapping[str, str] | Sequence[str] | None = None,
    lost: float = 1e-3,
    n_draws: int = 1000,
    seed: int,
    n_threads: int = 1,
) -> VertexMusicNull:
    """Standard deviation over music at every vertex, and the largest z of draws.

    Parameters
    ----------
    plans, responses, alphas, weights, training, clock_of, checksums, lost, n_threads
        As for `vertex_null_sd`.
    tail : {"greater", "two-sided"}
        Whether the largest is that of z or of ``|z|``.
    inside : (n_vertices,) bool array, optional
        Vertices that the largest is over. Default: all with a standard deviation.
    n_draws, seed
        As for `linear_music_null`; the phases are the same.

    Returns
    -------
    VertexMusicNull

    Raises
    ------
    BadDataError, UsageError
        As for `linear_music_null`.

    Notes
    -----
    A ratio of refits that widens the whole map cancels in the largest: observed values are
    divided by the widened standard deviation (`largest_z_p`).

    Examples
    --------
    >>> from bids_app.group import largest_z_p
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> weights = np.full((1, 4, 1, 2), 1 / 4)  # mean accuracy over participants
    >>> null = vertex_music_null([plan], people, alphas, weights, n_draws=200, seed=0)
    >>> z = np.mean([fit.mean_r for fit in fits], axis=0) / null.sd[0]
    >>> p = largest_z_p(z, null.largest[0], tail="two-sided")
    >>> null.largest.shape, (p < 0.05).tolist()
    ((1, 200), [True, False])
    """
    study = Study(plans, responses, alphas, clock_of, training, checksums)
    weigh, n_maps = study.weights_of(weights)
    there, layers = study.scan(weigh, n_maps)
    used = np.asarray(there.any(axis=0))
    counted = np.ones(study.n_vertices, dtype=bool) if inside is None else np.asarray(inside)
    check_shape("inside", counted, study.n_vertices)
    study.prepare(study.sample(used), lost, np.asarray(layers.any(axis=0)))
    bases = bases_of(study, weigh, there, layers, _TOLERANCE)
    matrices = [[_complex_planes(basis) for basis in of_clock] for of_clock in bases]
    turns = [
        turns_of(seed, label, kept + 1, range(n_draws))
        for label, kept in zip(study.labels if n_draws else (), study.kept, strict=False)
    ]
    out = np.full((n_maps, study.n_vertices), np.nan)
    largest = np.zeros((n_maps, n_draws))
    counts = np.zeros((n_maps, _N_STEPS))
    starts = range(0, study.n_vertices, study.step(n_maps, _CHUNK))

    def run(start: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        part = slice(start, min(start + starts.step, study.n_vertices))
        where = start + np.flatnonzero(used[part])
        variance = np.full((n_maps, len(where)), np.nan)
        highest, counted_steps = np.zeros((n_maps, n_draws)), np.zeros((n_maps, _N_STEPS))
        if not len(where):
            return variance, highest, counted_steps
        own_weights = weigh(part)[..., where - start]
        loaded = [study.load(clock, where) for clock in study.clocks]
        present = np.zeros((n_maps, len(where)), dtype=bool)
        sums: dict[tuple[int, tuple[int, int]], ComplexArray] = {}
        for index, (clock, own) in enumerate(zip(study.clocks, loaded, strict=True)):
            mine = own_weights[:, clock.participants]
            present |= ((mine != 0).any(axis=2) & own.spectra.valid).any(axis=1)
            series = series_weights(mine)
            for basis, stack in zip(bases[index], matrices[index], strict=True):
                theta = basis.theta(own.scales, series[basis.summary])
                key = (basis.summary, basis.product.key)
                total = _summed_blocks(clock, own, basis, theta, stack)
                sums[key] = sums[key] + total if key in sums else total
        variance[:] = 0
        values = np.zeros((n_maps, len(where), n_draws), dtype=np.float32)
        for (summary, (b, c)), total in sums.items():
            flat = total.view(np.float32).reshape(len(where), -1)
            variance[summary] += np.einsum("vf,vf->v", flat, flat, dtype=np.float64) / 2
            if n_draws:
                values[summary] += bilinear(turns[b], _kernels(total), turns[c])
        variance[~present] = np.nan
        sd = np.sqrt(variance)
        for summary in range(n_maps if n_draws else 0):
            some = counted[where] & (np.nan_to_num(sd[summary]) > 0)
            drawn = values[summary, some]
            z = (drawn if tail == "greater" else np.abs(drawn)) / sd[summary, some, np.newaxis]
            highest[summary] = z.max(axis=0, initial=0.0)
            counted_steps[summary] = _steps_of(z)
        return sd, highest, counted_steps

    done = zip(starts, ordered_map(run, starts, n_threads), strict=True)
    for start, (sd, highest, steps) in done:
        out[:, start + np.flatnonzero(used[start : start + starts.step])] = sd
        np.maximum(largest, highest, out=largest)
        counts += steps
    n_values = n_draws * (counted & (np.nan_to_num(out) > 0)).sum(axis=1, keepdims=True)
    return _null_of(out, largest, counts, n_values)


def _steps_of(z: NDArray[np.floating]) -> NDArray[np.intp]:
    """How many values lie in each step; those below zero in none."""
    steps = np.minimum(z[z >= 0] / _STEP, _N_STEPS - 1).astype(np.intp)
    return np.bincount(steps, minlength=_N_STEPS)


def _null_of(
    sd: FloatArray, largest: FloatArray, counts: FloatArray, n_values: NDArray[np.int64]
) -> VertexMusicNull:
    beyond = counts[:, ::-1].cumsum(axis=1)[:, ::-1] / np.maximum(n_values, 1)
    return VertexMusicNull(sd, largest, beyond, FEWEST_BEYOND / max(int(n_values.max()), 1))


def _kernels(total: ComplexArray) -> NDArray[np.float32]:
    """K of every vertex, cosines and sines of the phases on both sides, of summed blocks."""
    t, m = total[:, 0], total[:, 1]
    upper = np.concatenate([t.real + m.real, m.imag - t.imag], axis=2)
    lower = np.concatenate([t.imag + m.imag, t.real - m.real], axis=2)
    return np.concatenate([upper, lower], axis=1)


def accuracy_music_null(
    plans: Sequence[Any],
    responses: Responses,
    alphas: NDArray[Any],
    mean_r: ArrayLike,
    *,
    training: Responses | None = None,
    clock_of: Sequence[int] | None = None,
    checksums: Mapping[str, str] | Sequence[str] | None = None,
    lost: float = 1e-3,
    inside: ArrayLike | None = None,
    n_draws: int = 0,
    seed: int | None = None,
    n_threads: int = 1,
) -> AccuracyMusicNull:
    """Null over music of every layer's mean accuracy at every vertex, in closed form.

    Parameters
    ----------
    plans, responses, alphas, training, clock_of, checksums, lost, n_threads
        As for `linear_music_null`.
    mean_r : (n_layers, n_vertices) array
        Mean accuracy over the participants who are present at each vertex.
    inside, n_draws, seed
        Of the largest z, as for `vertex_music_null`; no draws unless asked for.

    Returns
    -------
    AccuracyMusicNull

    Raises
    ------
    BadDataError, UsageError
        As for `linear_music_null`.

    Notes
    -----
    The median penalty of a vertex and layer is used for all participants and folds, and the norms
    of predictions are averaged over participants. `vertex_null_sd` needs neither simplification,
    but is given one layer at a time.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> accuracy = np.mean([[fit.mean_r] for fit in fits], axis=0)  # layers, vertices
    >>> null = accuracy_music_null([plan], people, alphas, accuracy)
    >>> null.sd.shape, null.n.tolist(), (null.q < 0.01).tolist()
    ((1, 2), [4, 4], [[True, False]])
    """
    study = Study(plans, responses, alphas, clock_of, training, checksums, common=True)
    means = np.asarray(mean_r, dtype=np.float64)
    check_shape("mean_r", means, study.n_layers, study.n_vertices)
    study.prepare(study.sample(np.ones(study.n_vertices, dtype=bool)), lost)
    keys = [product.key for clock in study.clocks for product in clock.products]
    way = _by_powers if len(set(keys)) == len(keys) else _by_blocks
    variance_of = way(study)
    if n_draws and seed is None:
        raise UsageError(
            "Draws of the null need a seed.",
            where="seed",
            found="no seed",
            wanted="an integer",
            remedy="give the seed, for example 0",
        )
    values_of = _drawn(study, seed or 0, n_draws)
    counted = np.ones(study.n_vertices, dtype=bool) if inside is None else np.asarray(inside)
    check_shape("inside", counted, study.n_vertices)
    sd, n = np.empty(means.shape), np.empty(study.n_vertices, dtype=np.int64)
    largest = np.zeros(n_draws)
    starts = range(0, study.n_vertices, _CHUNK_ACCURACY)

    def run(start: int) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
        part = slice(start, min(start + _CHUNK_ACCURACY, study.n_vertices))
        loaded = [study.load(clock, part) for clock in study.clocks]
        count = np.sum([one.spectra.valid.sum(axis=0) for one in loaded], axis=0)
        shares = [
            [
                inverse.reshape(*own.spectra.valid.shape, study.n_layers).sum(axis=0)
                / np.maximum(own.spectra.valid.sum(axis=0), 1)[:, np.newaxis]
                / np.maximum(count, 1)[:, np.newaxis]
                for inverse in own.scales.inverse
            ]
            for own in loaded
        ]
        columns = study.clocks[0].columns[0][
            np.arange(study.n_layers), study.chosen[0, :, 0, part].T
        ]
        deviation = np.sqrt(np.maximum(variance_of(loaded, shares, columns), 0))
        highest = np.zeros(n_draws)
        for layer, values in values_of(loaded, shares, columns):
            some = counted[part] & (count > 0) & (deviation[:, layer] > 0)
            z = values[some] / deviation[some, layer, np.newaxis]
            np.maximum(highest, z.max(axis=0, initial=0.0), out=highest)
        return deviation, count, highest

    done = zip(starts, ordered_map(run, starts, n_threads), strict=True)
    for start, (deviation, count, highest) in done:
        part = slice(start, start + len(count))
        sd[:, part], n[part] = deviation.T, count
        np.maximum(largest, highest, out=largest)
    sd[:, n < 1] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        p = special.ndtr(-means / sd)
    return AccuracyMusicNull(sd=sd, p=p, q=benjamini_hochberg(p, axis=-1), n=n, largest=largest)


# Per vertex and layer: what turns y'My into a share of the group's mean, by clock and segment.
Shares = Sequence[Sequence[FloatArray]]
Variance = Callable[[Sequence[Loaded], Shares, IntArray], FloatArray]
Layers = Iterator[tuple[int, T]]
"""Numbers of layers, from 0, and something of each."""


def _by_powers(study: Study) -> Variance:
    """The variance from squared products of coefficients; each pair of stimuli has one product.

    Of every matrix and pair of directions the products at all frequencies, so that all vertices,
    layers and penalties are one matrix product.
    """
    made = []
    for index, clock in enumerate(study.clocks):
        for product in clock.products:
            stacks = [
                _matrix_planes(product, family, clock.columns[0].max() + 1)
                for family in product.families
            ]
            pairs = list(combinations_with_replacement(range(len(stacks)), 2))
            tables = [(stacks[i] * stacks[j].conj()).real for i, j in pairs]
            made.append((index, product, pairs, np.concatenate(tables).T.copy()))

    def variance(loaded: Sequence[Loaded], shares: Shares, columns: IntArray) -> FloatArray:
        total = np.zeros(columns.shape)
        for index, product, pairs, table in made:
            crossed = _crossed(study.clocks[index], loaded[index], product)
            power = crossed.real**2 + crossed.imag**2
            sums = (power @ table).reshape(len(power), len(pairs), -1)
            for number, (i, j) in enumerate(pairs):
                found = np.take_along_axis(sums[:, number], columns, axis=1)
                own = [shares[index][product.families[k].held_out] for k in (i, j)]
                total += (0.5 if i == j else 1.0) * own[0] * own[1] * found
        return total

    return variance


def _by_blocks(study: Study) -> Variance:
    """The variance from the kernels of every layer and vertex, summed over clocks and repeats."""
    blocks_of = _layer_blocks(study)

    def variance(loaded: Sequence[Loaded], shares: Shares, columns: IntArray) -> FloatArray:
        total = np.zeros(columns.shape)
        for layer, blocks in blocks_of(loaded, shares, columns):
            for block in blocks.values():
                flat = block.view(np.float32)
                total[:, layer] += np.einsum("vf,vf->v", flat, flat, dtype=np.float64) / 2
        return total

    return variance


def _drawn(study: Study, seed: int, n_draws: int) -> Callable[..., Layers[NDArray[np.float32]]]:
    """Accuracies of one layer after the other under the draws, (n_vertices, n_draws)."""
    if not n_draws:
        return lambda *_: iter(())
    blocks_of = _layer_blocks(study)
    turns = [
        turns_of(seed, label, kept + 1, range(n_draws))
        for label, kept in zip(study.labels, study.kept, strict=True)
    ]

    def values(
        loaded: Sequence[Loaded], shares: Shares, columns: IntArray
    ) -> Layers[NDArray[np.float32]]:
        for layer, blocks in blocks_of(loaded, shares, columns):
            total = np.zeros((len(columns), n_draws), dtype=np.float32)
            for (b, c), block in blocks.items():
                shape = (len(columns), 2, len(study.kept[b]), len(study.kept[c]))
                total += bilinear(turns[b], _kernels(block.reshape(shape)), turns[c])
            yield layer, total

    return values


def _layer_blocks(study: Study) -> Callable[..., Layers[dict[tuple[int, int], ComplexArray]]]:
    """Kernels of one layer after the other, by pair of stimuli, (n_vertices, flat)."""
    made: dict[tuple[int, int], list[tuple[int, Product, list[ComplexArray]]]] = {}
    for index, clock in enumerate(study.clocks):
        for product in clock.products:
            stacks = [
                _matrix_planes(product, family, clock.columns[0].max() + 1)
                for family in product.families
            ]
            made.setdefault(product.key, []).append((index, product, stacks))

    def blocks(
        loaded: Sequence[Loaded], shares: Shares, columns: IntArray
    ) -> Layers[dict[tuple[int, int], ComplexArray]]:
        crossed = {
            key: [_crossed(study.clocks[i], loaded[i], product) for i, product, _ in products]
            for key, products in made.items()
        }
        for layer in range(columns.shape[1]):
            found = {}
            for key, products in made.items():
                block = np.zeros_like(crossed[key][0])
                for pair, (index, product, stacks) in zip(crossed[key], products, strict=True):
                    matrix = np.zeros_like(pair)
                    for family, stack in zip(product.families, stacks, strict=True):
                        share = shares[index][family.held_out][:, layer, np.newaxis]
                        matrix += share.astype(np.float32) * stack[columns[:, layer]]
                    block += matrix * pair
                found[key] = block
            yield layer, found

    return blocks


def _matrix_planes(product: Product, family: Family, n_matrices: int) -> ComplexArray:
    """Turning and mirroring parts of a direction's matrices, (n, 2 x n_left x n_right)."""
    stack = product.matrices(family, n_matrices)
    both = np.stack(planes(stack), axis=1).astype(np.complex64)
    return both.reshape(len(stack), -1)


def _crossed(clock: Clock, loaded: Loaded, product: Product) -> ComplexArray:
    """Sums over participants of conj(z_left) z_right and conj(z_left) conj(z_right), flat."""
    shape = loaded.spectra.valid.shape
    sides = []
    for segment, trained in (product.left, product.right):
        kept = clock.at_kept(segment, loaded.side(trained)[segment])
        sides.append(np.concatenate([kept.real, kept.imag], axis=1).reshape(*shape, -1))
    left, right = (np.ascontiguousarray(np.swapaxes(side, 0, 1)) for side in sides)
    cc, cs, sc, ss = quarters(np.swapaxes(left, 1, 2) @ right)
    out = np.empty((shape[1], 2, *cc.shape[1:]), dtype=np.complex64)
    out[:, 0].real, out[:, 0].imag = cc + ss, cs - sc
    out[:, 1].real, out[:, 1].imag = cc - ss, -(cs + sc)
    return out.reshape(shape[1], -1)


def _complex_planes(basis: Basis) -> NDArray[np.float32]:
    """Turning and mirroring parts of the axes, (n_axes, 2 x n_left x n_right complex as real)."""
    both = np.stack(planes(basis.matrices), axis=1).astype(np.complex64)
    return both.reshape(len(both), -1).view(np.float32)


def _summed_blocks(
    clock: Clock,
    loaded: Loaded,
    basis: Basis,
    theta: NDArray[np.float32],
    stack: NDArray[np.float32],
) -> ComplexArray:
    """Sum over participants of T o (conj(z_left) z_right), (n_vertices, 2, n_left, n_right)."""
    (b, b_trained), (c, c_trained) = basis.product.left, basis.product.right
    left = clock.at_kept(b, loaded.side(b_trained)[b]).conj()
    right = clock.at_kept(c, loaded.side(c_trained)[c])
    n_vertices = loaded.spectra.valid.shape[1]
    shape = (n_vertices, 2, left.shape[1], right.shape[1])
    total = np.zeros(shape, dtype=np.complex64)
    for row in range(len(clock.participants)):
        part = slice(row * n_vertices, (row + 1) * n_vertices)
        block = (theta[part] @ stack).view(np.complex64).reshape(shape)
        pair = left[part, :, np.newaxis] * right[part, np.newaxis]
        block[:, 0] *= pair
        np.multiply(left[part, :, np.newaxis], right[part, np.newaxis].conj(), out=pair)
        block[:, 1] *= pair
        total += block
    return total
