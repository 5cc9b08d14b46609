"""Linear summaries of accuracy as bilinear forms in the music's random phases.

A summary under rotated phases is L = sum over pairs of stimuli of x_b' K_bc x_c, with the cosines
and sines of each stimulus' phases in x. The kernels K hold all of the null: its standard deviation
without draws, any number of draws, and those of sums and differences of summaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import MORE_DRAWS, UsageError, check_shape
from bids_app.seeds import random_phases

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

# Draws worked on at a time; bounds memory.
_BLOCK = 2500
# Frequencies are drawn in multiples of this.
_ROUND = 32
# Numbers in a block's products.
_NUMBERS = 20_000_000


@dataclass(frozen=True, eq=False)
class LinearMusicNull:
    """Null of linear summaries of accuracy over music.

    Attributes
    ----------
    observed : (n_summaries,) float64
        The fitted sums, which are tested.
    sd : (n_summaries,) float64
        Standard deviation under the null, in closed form.
    p : (n_summaries,) float64
        Two-sided, (1 + b) / (1 + n_draws); NaN where `observed` is.
    p_greater : (n_summaries,) float64
        One-sided: as large as observed, or larger.
    draws : (n_summaries, n_draws) float32
        The summaries under random phases, the same phases in every row: the largest over rows is
        a draw from the null of the largest.
    kernel : MusicKernel
        Kernels of the summaries, from which `draws` were made.
    """

    observed: FloatArray
    sd: FloatArray
    p: FloatArray
    p_greater: FloatArray
    draws: NDArray[np.float32]
    kernel: MusicKernel

    @property
    def z(self) -> FloatArray:
        """Observed sums in standard deviations of their null, (n_summaries,)."""
        out = np.full(self.observed.shape, np.nan)
        return np.divide(self.observed, self.sd, out=out, where=self.sd > 0)

    def scaled(self, ratio: ArrayLike) -> LinearMusicNull:
        """The null rescaled to the width of refits.

        Parameters
        ----------
        ratio : float or (n_summaries,) array
            Standard deviation of the closed form over that of refits (`sd_ratio`), by which draws
            and standard deviations are divided where it is below one: .9 widens the null by a
            ninth. A null that is wider than that of refits stays.

        Returns
        -------
        LinearMusicNull
            With `sd`, `draws`, `p` and `p_greater` scaled; the kernel remains.

        Raises
        ------
        UsageError
            Where a ratio is not positive.
        """
        factor = np.broadcast_to(np.asarray(ratio, dtype=np.float64), self.observed.shape)
        if not np.all(factor > 0):
            raise UsageError(
                "The ratios must be positive.",
                where="ratio",
                found=factor.tolist(),
                wanted="numbers above 0",
                remedy="give the ratio of standard deviations that refits gave",
            )
        factor = np.minimum(factor, 1.0)
        draws = (self.draws / factor[:, np.newaxis]).astype(np.float32)
        return _tested(self.kernel, self.observed, self.sd / factor, draws)

    def p_max(self) -> FloatArray:
        """Two-sided p corrected over summaries by the largest absolute z over the same draws.

        Returns
        -------
        (n_summaries,) float64
            NaN where the observed sum is NaN or the summary never varies.
        """
        z = np.abs(self.z)
        inverse = np.divide(1.0, self.sd, out=np.zeros_like(self.sd), where=self.sd > 0)
        largest = np.zeros(self.draws.shape[1])
        for drawn, factor in zip(self.draws, inverse, strict=True):
            np.maximum(largest, np.abs(drawn) * factor, out=largest)
        order = np.sort(largest)
        exceed = len(order) - np.searchsorted(order, z, side="left")
        return np.where(np.isfinite(z), (1 + exceed) / (1 + len(order)), np.nan)


@dataclass(frozen=True, eq=False)
class MusicKernel:
    """Kernels of linear summaries of accuracy; they add like the summaries.

    Networks are sums of regions, differences of layers are differences of kernels. Kernels of other
    calls (another model, other weights) may be combined if their `labels` mean the same stimuli. A
    frequency that one kernel lacks counts as zero there.

    Attributes
    ----------
    labels : tuple of str
        Where the phases of each stimulus come from: its checksum or label.
    frequencies : tuple of int arrays
        Kept frequencies of each stimulus, in cycles per kept stretch, ascending.
    blocks : mapping of (int, int) to (n_summaries, 2 n_freq, 2 n_freq) float64
        K of two stimuli by their positions in `labels`, the first below the second. Rows and
        columns are cosines and then sines of the kept frequencies.
    """

    labels: tuple[str, ...]
    frequencies: tuple[IntArray, ...]
    blocks: Mapping[tuple[int, int], FloatArray]

    def __len__(self) -> int:
        return next((len(block) for block in self.blocks.values()), 0)

    @property
    def sd(self) -> FloatArray:
        """Standard deviation of every summary under random phases, (n_summaries,)."""
        total = np.zeros(len(self))
        for block in self.blocks.values():
            total += np.einsum("sfg,sfg->s", block, block) / 4
        return np.sqrt(total)

    def __add__(self, other: MusicKernel) -> MusicKernel:
        return join_kernels([self, other]).combine(np.hstack([np.eye(len(self))] * 2))

    def __sub__(self, other: MusicKernel) -> MusicKernel:
        eye = np.eye(len(self))
        return join_kernels([self, other]).combine(np.hstack([eye, -eye]))

    def __getitem__(self, summaries: Any) -> MusicKernel:
        chosen = np.atleast_1d(np.arange(len(self))[summaries])
        return replace(self, blocks={key: block[chosen] for key, block in self.blocks.items()})

    def combine(self, coefficients: ArrayLike) -> MusicKernel:
        """Kernels of linear combinations of the summaries.

        Parameters
        ----------
        coefficients : (n_new, n_summaries) array
            One row per new summary, such as [1, -1] for a difference.

        Returns
        -------
        MusicKernel
            Of n_new summaries.

        Raises
        ------
        BadDataError
            If there is not one column per summary.
        """
        matrix = np.atleast_2d(np.asarray(coefficients, dtype=np.float64))
        check_shape("coefficients", matrix, "n_new", len(self))
        blocks = {key: np.tensordot(matrix, one, axes=1) for key, one in self.blocks.items()}
        return replace(self, blocks=blocks)

    def draws(self, n_draws: int, seed: int) -> NDArray[np.float32]:
        """The summaries under random phases.

        Parameters
        ----------
        n_draws : int
            Draws.
        seed : int
            Seed of the analysis. Draw b has the phases `random_phases(seed, label, b, ...)` of
            every stimulus, those of draw b of the refits.

        Returns
        -------
        (n_summaries, n_draws) float32
        """
        if n_draws < 1:
            raise UsageError(
                "n_draws must be positive.",
                where="n_draws",
                found=n_draws,
                wanted="1 or more",
                remedy=MORE_DRAWS,
            )
        out = np.zeros((len(self), n_draws), dtype=np.float32)
        for start in range(0, n_draws, _BLOCK):
            part = slice(start, min(start + _BLOCK, n_draws))
            turns = [
                turns_of(seed, label, kept, range(part.start, part.stop))
                for label, kept in zip(self.labels, self.frequencies, strict=True)
            ]
            for (b, c), block in self.blocks.items():
                for some in self._few(block.shape[2]):
                    out[some, part] += bilinear(turns[b], block[some], turns[c])
        return out

    def test(self, observed: ArrayLike, *, n_draws: int = 10_000, seed: int) -> LinearMusicNull:
        """Compare fitted sums with draws from the null.

        Parameters
        ----------
        observed : (n_summaries,) array
            Sums of the fitted accuracies with the weights that the kernels have.
        n_draws, seed : int
            As in `draws`.

        Returns
        -------
        LinearMusicNull
        """
        sums = np.atleast_1d(np.asarray(observed, dtype=np.float64))
        check_shape("observed", sums, len(self))
        return _tested(self, sums, self.sd, self.draws(n_draws, seed))

    def _few(self, n_columns: int) -> Iterator[slice]:
        step = max(1, _NUMBERS // (_BLOCK * max(n_columns, 1)))
        return (slice(i, min(i + step, len(self))) for i in range(0, len(self), step))


def join_kernels(kernels: Sequence[MusicKernel]) -> MusicKernel:
    """Kernels of the summaries of several, one after the other, to be drawn together.

    Parameters
    ----------
    kernels : sequence of MusicKernel
        Of one or more calls.

    Returns
    -------
    MusicKernel
        On all frequencies that any of them keeps.

    Raises
    ------
    BadDataError
        If there is none.

    Examples
    --------
    >>> from bids_app.group import layer_set_kernels
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> one, both = (layer_set_kernels([plan], people, alphas, sets=s) for s in ([0, -1], [0, 0]))
    >>> joined = join_kernels([one, both])
    >>> len(joined), np.allclose(joined.sd, [*one.sd, *both.sd])
    (2, True)
    >>> joined.draws(100, seed=0).shape  # the same phases in both rows
    (2, 100)
    """
    check_shape("kernels", kernels, "n_kernels")
    labels = tuple(dict.fromkeys(label for kernel in kernels for label in kernel.labels))
    frequencies = tuple(_kept_by_any(kernels, label) for label in labels)
    sizes = [len(kernel) for kernel in kernels]
    ends = np.cumsum(sizes)
    blocks: dict[tuple[int, int], FloatArray] = {}
    for kernel, size, end in zip(kernels, sizes, ends, strict=True):
        places = [labels.index(label) for label in kernel.labels]
        rows = [
            np.searchsorted(frequencies[place], kept)
            for place, kept in zip(places, kernel.frequencies, strict=True)
        ]
        for (b, c), block in kernel.blocks.items():
            turned = places[b] > places[c]
            first, second = (c, b) if turned else (b, c)
            key = (places[first], places[second])
            if key not in blocks:
                shape = (2 * len(frequencies[key[0]]), 2 * len(frequencies[key[1]]))
                blocks[key] = np.zeros((int(ends[-1]), *shape))
            left = _both(rows[first], len(frequencies[key[0]]))
            right = _both(rows[second], len(frequencies[key[1]]))
            values = np.swapaxes(block, 1, 2) if turned else block
            blocks[key][end - size : end, left[:, np.newaxis], right] = values
    return MusicKernel(labels, frequencies, blocks)


def _kept_by_any(kernels: Sequence[MusicKernel], label: str) -> IntArray:
    kept = [
        kernel.frequencies[kernel.labels.index(label)]
        for kernel in kernels
        if label in kernel.labels
    ]
    return np.unique(np.concatenate(kept))


def _both(rows: IntArray, n_freq: int) -> IntArray:
    """Positions of the cosines and of the sines."""
    return np.concatenate([rows, n_freq + rows])


def turns_of(seed: int, label: str, kept: IntArray, draws: range) -> NDArray[np.float32]:
    """Cosines and sines of the random phases of one stimulus.

    Parameters
    ----------
    seed : int
    label : str
        What the phases are drawn from beside the seed: checksum or label of the stimulus.
    kept : (n_freq,) array of int
        Frequencies in cycles per kept stretch, ascending from 1.
    draws : range
        Numbers of the draws.

    Returns
    -------
    (n_draws, 2 n_freq) float32
        Cosines, then minus the sines: phases multiply the discrete Fourier transform, whose sine
        coefficients have the opposite sign of those used here.

    Examples
    --------
    >>> turns = turns_of(0, "fugue", np.array([1, 4]), range(3))
    >>> turns.shape, bool(np.allclose(turns[:, :2] ** 2 + turns[:, 2:] ** 2, 1, atol=1e-6))
    ((3, 4), True)
    """
    if not len(kept):
        return np.zeros((len(draws), 0), dtype=np.float32)
    # Fewer frequencies are the first of more: kernels on others share what is kept here.
    n_freq = -(-int(kept[-1]) // _ROUND) * _ROUND
    phases = _phases(seed, label, draws, n_freq)[:, kept - 1]
    return np.hstack([np.cos(phases), -np.sin(phases)]).astype(np.float32)


@lru_cache(maxsize=64)
def _phases(seed: int, label: str, draws: range, n_freq: int) -> FloatArray:
    """Phases of one stimulus, (n_draws, n_freq); families of a study ask for the same ones."""
    return np.stack([random_phases(seed, label, draw, n_freq) for draw in draws])


def bilinear(
    left: NDArray[np.float32], block: NDArray[np.floating], right: NDArray[np.float32]
) -> NDArray[np.float32]:
    """x_b' K x_c of every summary and draw.

    Parameters
    ----------
    left : (n_draws, n_rows) array
        x_b.
    block : (n_summaries, n_rows, n_columns) array
        K.
    right : (n_draws, n_columns) array
        x_c.

    Returns
    -------
    (n_summaries, n_draws) float32

    Examples
    --------
    >>> x = np.array([[1.0, 2.0]], dtype=np.float32)
    >>> bilinear(x, np.eye(2)[np.newaxis], x).tolist()
    [[5.0]]
    """
    n_summaries, n_rows, n_columns = block.shape
    flat = np.moveaxis(block, 0, 1).reshape(n_rows, -1).astype(np.float32)
    products = (left @ flat).reshape(len(left), n_summaries, n_columns)
    return np.asarray(np.einsum("dsg,dg->sd", products, right), dtype=np.float32)


def _tested(
    kernel: MusicKernel, observed: FloatArray, sd: FloatArray, draws: NDArray[np.float32]
) -> LinearMusicNull:
    size = draws.shape[1]
    beyond = np.array([np.sum(np.abs(d) >= abs(o)) for d, o in zip(draws, observed, strict=True)])
    above = np.array([np.sum(d >= o) for d, o in zip(draws, observed, strict=True)])
    missing = np.isnan(observed)
    p, p_greater = (np.where(missing, np.nan, (1 + n) / (1 + size)) for n in (beyond, above))
    return LinearMusicNull(observed, sd, p, p_greater, draws, kernel)
