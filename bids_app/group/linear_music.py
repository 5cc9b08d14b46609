"""The null over music of linear summaries of accuracy, without refits.

Everybody heard the same few pieces, so an accident of these pieces is the same in everybody. Under
the null the Fourier phases of the responses to a stimulus are rotated, the same for all
participants, layers and vertices; penalties and weights stay. With the norms of predictions at
their expectation a sum of weighted accuracies is bilinear in the phases' cosines and sines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import check_shape
from bids_app.group.music_basis import Basis, basis_for, contracted, series_weights
from bids_app.group.music_fit import fitted_sums
from bids_app.group.music_kernel import LinearMusicNull, MusicKernel
from bids_app.group.music_side import Clock, Float32Array, FloatArray, IntArray
from bids_app.group.music_study import Loaded, Responses, Study, Weights
from bids_app.threads import ordered_map

# Vertices worked on at a time.
CHUNK = 256
# Share of the variance that the matrices' basis may leave out at the average vertex; what is left
# out at one vertex has little to do with what is left out at another.
TOLERANCE = 1e-2
# Numbers in one product's temporary.
_NUMBERS = 8_000_000


def linear_music_null(
    plans: Sequence[Any],
    responses: Responses,
    alphas: NDArray[Any],
    weights: Weights,
    *,
    observed: ArrayLike | None = None,
    training: Responses | None = None,
    clock_of: Sequence[int] | None = None,
    checksums: Mapping[str, str] | Sequence[str] | None = None,
    n_draws: int = 10_000,
    seed: int,
    lost: float = 1e-3,
    n_threads: int = 1,
) -> LinearMusicNull:
    """Test sums of weighted accuracies against chance agreement with the music.

    The statistic is L = sum over participants p, layers l and vertices v of w(p, l, v) r(p, l, v):
    a region (1 / (n x vertices) inside it), the alignment of residual slopes with a gradient
    (slope weights times centered ranks), a layer against a gradient, differences of layers. Its
    null distribution is that of the same sums under random phases of the responses. The fitted sum
    is tested.

    Parameters
    ----------
    plans : sequence of EncodingPlan, or one such sequence per clock
        One plan per layer. Participants whose volumes sample the music alike share a clock. A
        sequence may make its plans on request: each plan is requested twice and not kept.
    responses : per participant a sequence of (n_times, n_vertices) arrays, one per presentation
        As given to `fit_encoding`: uncropped, in the order of the plan's presentations. Anything
        that is sliced like an array; memory maps keep memory small. A participant is missing at a
        vertex that is constant or not finite in any segment. Missing accuracies count as zero. The
        weights of a mean are therefore 1/n, with the n present at each vertex.
    alphas : (n_participants, n_layers, n_folds, n_vertices) array
        Chosen penalties, folds in the order of the participant's plan; NaN where there are none.
    weights : (n_summaries, n_participants, n_layers, n_vertices) array, or callable
        w; NaN counts as zero. A callable takes a slice of vertices and returns their weights; it
        is called for every vertex three times. Vertices without weight are skipped.
    observed : (n_summaries,) array, optional
        Sums of w and the fitted accuracies (means over folds). Default: held-out fits at the given
        penalties, which take longer than the null.
    training : as `responses`, optional
        Responses that a participant's models were trained on where they are not the scored ones,
        such as the mean of the others. Their phases are rotated alike.
    clock_of : (n_participants,) sequence of int, optional
        Clock of every participant. Default: all on the first.
    checksums : mapping of stimulus to str, or sequence with one per presentation, optional
        Where the phases of each stimulus come from. Default: its label.
    n_draws : int
        Draws.
    seed : int
        Seed of the analysis. Draw b of a stimulus has `random_phases(seed, checksum, b, ...)`.
    lost : float
        Share of the null's variance that may lie in frequencies that are left out.
    n_threads : int
        Chunks of vertices worked on at a time; results do not depend on it.

    Returns
    -------
    LinearMusicNull
        With all summaries on the same phases.

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, unknown clocks, two stimuli with one checksum.

    See Also
    --------
    linear_music_kernel : The same null to be added, subtracted and drawn together with others.
    layer_set_kernels : Every layer in each of many disjoint sets of vertices.
    vertex_null_sd : Standard deviation of a summary at every vertex.

    Notes
    -----
    Sums of accuracies need no correction; slopes over layers do, since the norms of predictions
    vary together over layers: scale the result by the ratio of standard deviations from refits
    (`LinearMusicNull.scaled`). The null is conditional on penalties and weights.

    Cost grows with the number of summaries: about a third of the first for each further one.

    Presentations of one stimulus have the same phases. Clocks may differ in length: phases belong
    to cycles per kept stretch.

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
    >>> weights = np.zeros((2, 4, 1, 2))
    >>> weights[[0, 1], :, 0, [0, 1]] = 1 / 4  # mean accuracy at each of the two vertices
    >>> null = linear_music_null([plan], people, alphas, weights, n_draws=500, seed=0)
    >>> (null.p < 0.01).tolist(), null.draws.shape
    ([True, False], (2, 500))
    >>> np.allclose(null.draws.std(axis=1), null.sd, rtol=0.15)
    True
    """
    study = Study(plans, responses, alphas, clock_of, training, checksums)
    kernel = _linear_kernel(study, weights, lost, n_threads)
    if observed is None:
        observed = fitted_sums(study, weights, n_threads)
    return kernel.test(observed, n_draws=n_draws, seed=seed)


def linear_music_kernel(
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
) -> MusicKernel:
    """Kernels of linear summaries of accuracy, to be combined and drawn later.

    Parameters
    ----------
    plans, responses, alphas, weights, training, clock_of, checksums, lost, n_threads
        As for `linear_music_null`.

    Returns
    -------
    MusicKernel
        One summary per set of weights. Kernels of several models subtract: the difference of two
        is the kernel of the difference of their accuracies.

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
    >>> weights = np.zeros((2, 4, 1, 2))
    >>> weights[[0, 1], :, 0, [0, 1]] = 1 / 4  # mean accuracy at each of the two vertices
    >>> kernel = linear_music_kernel([plan], people, alphas, weights)
    >>> difference = kernel.combine([[1.0, -1.0]])
    >>> accuracy = np.mean([fit.mean_r for fit in fits], axis=0)
    >>> bool(difference.test([accuracy[0] - accuracy[1]], n_draws=500, seed=0).p[0] < 0.05)
    True
    """
    study = Study(plans, responses, alphas, clock_of, training, checksums)
    return _linear_kernel(study, weights, lost, n_threads)


def layer_set_kernels(
    plans: Sequence[Any],
    responses: Responses,
    alphas: NDArray[Any],
    sets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    training: Responses | None = None,
    clock_of: Sequence[int] | None = None,
    checksums: Mapping[str, str] | Sequence[str] | None = None,
    lost: float = 1e-3,
    n_threads: int = 1,
) -> MusicKernel:
    """Kernels of every layer's accuracy in each of many disjoint sets of vertices.

    Parameters
    ----------
    plans, responses, alphas, training, clock_of, checksums, lost, n_threads
        As for `linear_music_null`.
    sets : (n_vertices,) int array
        Set of each vertex, from 0; negative in none. Regions, bins of a gradient; one set with the
        ranks of a gradient as weights gives every layer against it.
    weights : (n_participants, n_vertices) or (n_vertices,) array, optional
        Weights, the same for all layers; NaN counts as zero. Default: the mean over the set's
        vertices of the mean over the participants who are present there.

    Returns
    -------
    MusicKernel
        Of n_layers x n_sets summaries, layer after layer: summary `layer * n_sets + set`.

    Raises
    ------
    BadDataError, UsageError
        As for `linear_music_null`.

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
    >>> kernels = layer_set_kernels([plan], people, alphas, [0, 1])  # two regions of one vertex
    >>> accuracy = np.mean([fit.mean_r for fit in fits], axis=0)
    >>> null = kernels.test(accuracy, n_draws=500, seed=0)
    >>> (null.p < 0.01).tolist(), (null.p_max() < 0.01).tolist()
    ([True, False], [True, False])
    """
    study = Study(plans, responses, alphas, clock_of, training, checksums)
    members = np.asarray(sets)
    check_shape("sets", members, study.n_vertices)
    given = None if weights is None else _set_weights(study, weights)
    used = members >= 0 if given is None else (members >= 0) & (given != 0).any(axis=0)
    n_sets = int(members.max(initial=-1)) + 1
    bases = _layer_bases(study, given, study.sample(used), lost)
    order = np.flatnonzero(used)
    chunks = _chunks_of_sets(order[np.argsort(members[order], kind="stable")], members)
    blocks = _empty_blocks(study, bases, study.n_layers * n_sets)

    def run(vertices: IntArray) -> tuple[list[FloatArray], int]:
        loaded = [study.load(clock, vertices) for clock in study.clocks]
        present = sum(one.spectra.valid.sum(axis=0) for one in loaded)
        sums = []
        for clock, own, of_clock in zip(study.clocks, loaded, bases, strict=True):
            if given is None:
                weight = np.tile(1 / np.maximum(present, 1), len(clock.participants))
            else:
                weight = given[clock.participants][:, vertices].ravel()
            wide = np.repeat(weight[:, np.newaxis], study.n_layers, axis=1).astype(np.float32)
            sums += _product_sums(clock, own, of_clock, lambda _: wide)  # noqa: B023
        return sums, int((present > 0).sum())

    flat = [basis for of_clock in bases for basis in of_clock]
    for number, sums, n_there in _by_set(chunks, ordered_map(run, chunks, n_threads), members):
        share = 1 / max(n_there, 1) if given is None else 1.0
        for basis, one in zip(flat, sums, strict=True):
            row = int(basis.layers[0]) * n_sets + number
            blocks[basis.product.key][row] += share * contracted(basis.matrices, one)
    return _kernel(study, blocks)


def _linear_kernel(study: Study, weights: Weights, lost: float, n_threads: int) -> MusicKernel:
    weigh, n_summaries = study.weights_of(weights)
    vertices, layers = study.scan(weigh, n_summaries)
    used = np.asarray(vertices.any(axis=0))
    study.prepare(study.sample(used), lost, np.asarray(layers.any(axis=0)))
    bases = bases_of(study, weigh, vertices, layers, TOLERANCE)
    step = study.step(n_summaries, CHUNK)

    def run(start: int) -> list[FloatArray] | None:
        part = slice(start, min(start + step, study.n_vertices))
        if not used[part].any():
            return None
        there = np.flatnonzero(used[part])
        own_weights = weigh(part)[..., there]
        sums = []
        for clock, of_clock in zip(study.clocks, bases, strict=True):
            own = study.load(clock, start + there)
            mine = series_weights(own_weights[:, clock.participants])
            sums += _product_sums(clock, own, of_clock, mine.__getitem__)
        return sums

    blocks = _empty_blocks(study, bases, n_summaries)
    total: list[FloatArray] | None = None
    for sums in ordered_map(run, range(0, study.n_vertices, step), n_threads):
        if sums is not None:
            total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
    flat = [basis for of_clock in bases for basis in of_clock]
    for basis, one in zip(flat, total or [], strict=bool(total)):
        blocks[basis.product.key][basis.summary] += contracted(basis.matrices, one)
    return _kernel(study, blocks)


def bases_of(
    study: Study,
    weigh: Callable[[slice], Float32Array],
    vertices: NDArray[np.bool_],
    layers: NDArray[np.bool_],
    tolerance: float,
) -> list[list[Basis]]:
    """Bases of every summary, by clock; those of a product for all summaries in turn.

    Parameters
    ----------
    study : Study
        Prepared.
    weigh : callable
        Weights by slice of vertices.
    vertices, layers : (n_summaries, n_vertices) and (n_summaries, n_layers) bool
        Where summaries have weights.
    tolerance : float
        Share of the variance that the bases may leave out.
    """
    alike: dict[bytes, list[int]] = {}
    for summary, used in enumerate(vertices):
        alike.setdefault(used.tobytes(), []).append(summary)
    out: list[list[Basis]] = [[] for _ in study.clocks]
    for members in alike.values():
        sample = study.sample(vertices[members[0]])
        loaded = [study.load(clock, sample) for clock in study.clocks]
        few = study.step(len(sample), len(members))
        for first in range(0, len(members), few):
            some = members[first : first + few]
            picked = study.picked_weights(weigh, some, sample, len(vertices))
            for index, (clock, own) in enumerate(zip(study.clocks, loaded, strict=True)):
                mine = series_weights(picked[:, clock.participants])
                for weight, summary in zip(mine, some, strict=True):
                    there = np.flatnonzero(layers[summary])
                    out[index] += [
                        basis_for(product, own.scales, weight, there, summary, tolerance)
                        for product in clock.products
                    ]
    return out


def _layer_bases(
    study: Study, given: Float32Array | None, sample: IntArray, lost: float
) -> list[list[Basis]]:
    """A basis of its own for every layer, by clock."""
    study.prepare(sample, lost)
    out = []
    for clock in study.clocks:
        own = study.load(clock, sample)
        n = own.spectra.valid.size
        weight = np.ones((n, study.n_layers), dtype=np.float32)
        if given is not None:
            weight *= given[clock.participants][:, sample].reshape(n, 1)
        out.append(
            [
                basis_for(product, own.scales, weight, np.array([layer]), layer, TOLERANCE)
                for layer in range(study.n_layers)
                for product in clock.products
            ]
        )
    return out


def _set_weights(study: Study, weights: ArrayLike) -> Float32Array:
    array = np.asarray(weights, dtype=np.float32)
    if array.ndim == 1:
        array = np.broadcast_to(array, (study.n_participants, len(array)))
    check_shape("weights", array, study.n_participants, study.n_vertices)
    return np.nan_to_num(array, nan=0.0)


def _chunks_of_sets(ordered: IntArray, members: NDArray[Any]) -> list[IntArray]:
    """Vertices of one set at a time, at most a chunk of them."""
    borders = np.flatnonzero(np.diff(members[ordered])) + 1
    return [
        one[start : start + CHUNK]
        for one in np.split(ordered, borders)
        for start in range(0, len(one), CHUNK)
    ]


def _by_set(
    chunks: Sequence[IntArray],
    results: Iterator[tuple[list[FloatArray], int]],
    members: NDArray[Any],
) -> Iterator[tuple[int, list[FloatArray], int]]:
    """Sums over the chunks of every set: its number, sums, vertices with responses."""
    number, total, count = -1, list[FloatArray](), 0
    for vertices, (sums, n_there) in zip(chunks, results, strict=True):
        if int(members[vertices[0]]) != number:
            if total:
                yield number, total, count
            number, total, count = int(members[vertices[0]]), sums, n_there
        else:
            total = [a + b for a, b in zip(total, sums, strict=True)]
            count += n_there
    if total:
        yield number, total, count


def _product_sums(
    clock: Clock,
    loaded: Loaded,
    bases: Sequence[Basis],
    weights: Callable[[int], Float32Array],
) -> list[FloatArray]:
    """Sums over series of theta (coefficients left) (coefficients right)', one per basis."""
    real: dict[tuple[int, bool], Float32Array] = {}
    for key in {side for product in clock.products for side in (product.left, product.right)}:
        kept = clock.at_kept(key[0], loaded.side(key[1])[key[0]])
        real[key] = np.concatenate([kept.real, kept.imag], axis=1)
    sums = []
    for basis in bases:
        theta = basis.theta(loaded.scales, weights(basis.summary))
        sums.append(_weighted_products(theta, real[basis.product.left], real[basis.product.right]))
    return sums


def _weighted_products(theta: Float32Array, left: Float32Array, right: Float32Array) -> FloatArray:
    """Sum over n of theta_nr left_nf right_ng, (n_axes, n_left, n_right)."""
    n_axes, n_left, n_right = theta.shape[1], left.shape[1], right.shape[1]
    turned = n_left > n_right
    small, large = (right, left) if turned else (left, right)
    out = np.zeros((n_axes * small.shape[1], large.shape[1]))
    step = max(1, _NUMBERS // (n_axes * small.shape[1]))
    for start in range(0, len(theta), step):
        part = slice(start, start + step)
        both = theta[part, :, np.newaxis] * small[part, np.newaxis]
        out += both.reshape(both.shape[0], -1).T @ large[part]
    out = out.reshape(n_axes, small.shape[1], large.shape[1])
    return np.swapaxes(out, 1, 2) if turned else out


def _empty_blocks(
    study: Study, bases: Sequence[Sequence[Basis]], n_summaries: int
) -> dict[tuple[int, int], FloatArray]:
    keys = sorted({basis.product.key for of_clock in bases for basis in of_clock})
    sizes = [2 * len(kept) for kept in study.kept]
    return {(b, c): np.zeros((n_summaries, sizes[b], sizes[c])) for b, c in keys}


def _kernel(study: Study, blocks: dict[tuple[int, int], FloatArray]) -> MusicKernel:
    return MusicKernel(study.labels, tuple(kept + 1 for kept in study.kept), blocks)
