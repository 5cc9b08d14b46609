"""Surprise and uncertainty of the symbols of a sequence: prediction by partial matching (PPM).

Cleary and Witten 1984; Bunton 1996; as in IDyOM (Pearce 2005): interpolated smoothing, with one
model of the piece so far and one of other music.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, UsageError

FloatArray = npt.NDArray[np.float64]
Escape = Literal["a", "b", "c", "d", "ax"]

BIAS = 7.0
"""Of the weights by which the models of the piece and of other music are combined, as in IDyOM."""

# What is taken from a count, by the way to escape.
_LESS = {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.5, "ax": 0.0}


class _Node:
    """An n-gram: how often it occurred, and the symbols that followed it."""

    __slots__ = ("count", "excluding", "following")

    def __init__(self) -> None:
        self.count = 0
        self.excluding = 0
        self.following: dict[int, _Node] = {}


class SymbolModel:
    """Counts of n-grams, and the probability of the next symbol that follows from them.

    Parameters
    ----------
    n_symbols : int
        Size of the alphabet; symbols are the whole numbers below it.
    order_bound : int or None
        Longest context; None for any length, whose memory grows with the square of a sequence.
    escape : {"a", "b", "c", "d", "ax"}
        How much is left to shorter contexts. With C the sum of the counts of symbols that no longer
        context had, t the number of symbols seen and t1 that of those seen once, a context weighs
        C/(C+1), C/(C+t) with counts less 1, C/(C+t), C/(C+t/2) with counts less 1/2, or C/(C+t1+1).
    update_exclusion : bool
        Whether an n-gram that a longer context knew before leaves the counts of shorter ones alone.

    Raises
    ------
    UsageError
        An empty alphabet, a negative bound or an unknown escape.

    Examples
    --------
    >>> model = SymbolModel(5)
    >>> word = ["abcdr".index(letter) for letter in "abracadabra"]
    >>> information_of(model.distributions(word, learn=True), word)[0].round(2)[:5].tolist()
    [2.32, 3.32, 3.17, 2.0, 3.91]
    """

    def __init__(
        self,
        n_symbols: int,
        *,
        order_bound: int | None = None,
        escape: Escape = "c",
        update_exclusion: bool = False,
    ) -> None:
        if n_symbols < 1 or (order_bound is not None and order_bound < 0) or escape not in _LESS:
            raise UsageError(
                "No model of symbols can be made of this.",
                where="n_symbols, order_bound, escape",
                found=f"{n_symbols}, {order_bound}, {escape}",
                wanted=f"a symbol, no bound or one of at least 0, one of {', '.join(_LESS)}",
                remedy="correct these settings",
            )
        self.n_symbols, self.order_bound = n_symbols, order_bound
        self.escape, self.update_exclusion = escape, update_exclusion
        self._root = _Node()

    def learn(self, symbols: Iterable[int]) -> None:
        """Count the n-grams of a sequence; earlier sequences are no context of it."""
        contexts = [self._root]
        for symbol in _checked(symbols, self.n_symbols):
            contexts = self._learned(contexts, symbol)

    def distributions(self, symbols: Iterable[int], *, learn: bool) -> Iterator[FloatArray]:
        """Probabilities before each symbol of a sequence, (n_symbols,) each.

        Parameters
        ----------
        symbols : sequence of int
        learn : bool
            Whether a symbol is counted once it was there.

        Raises
        ------
        BadDataError
            A symbol outside the alphabet.
        """
        contexts = [self._root]
        for symbol in _checked(symbols, self.n_symbols):
            yield self._expected(contexts)
            if learn:
                contexts = self._learned(contexts, symbol)
            else:
                contexts = [self._root, *self._known(contexts, symbol)]

    def _known(self, contexts: Sequence[_Node], symbol: int) -> Iterator[_Node]:
        """The contexts of the next symbol that were seen, shortest first."""
        for node in contexts[: self.order_bound]:
            longer = node.following.get(symbol)
            if longer is None:
                return
            yield longer

    def _learned(self, contexts: Sequence[_Node], symbol: int) -> list[_Node]:
        """Count a symbol after its contexts, longest first; the contexts of the next one."""
        grown: list[_Node] = []
        known = False
        for node in reversed(contexts):
            longer = node.following.get(symbol)
            if longer is None:
                longer = node.following[symbol] = _Node()
            if not known:
                longer.excluding += 1
                known = longer.count > 0
            longer.count += 1
            grown.append(longer)
        following = [self._root, *reversed(grown)]
        return following if self.order_bound is None else following[: self.order_bound + 1]

    def _expected(self, contexts: Sequence[_Node]) -> FloatArray:
        order, deterministic = self._start(contexts)
        left, less = 1.0, _LESS[self.escape]
        found: dict[int, float] = {}
        for place in range(order, -1, -1):
            every = not self.update_exclusion or (place == order and deterministic)
            counts: list[tuple[int, float]] = []
            remaining, n_once = 0.0, 0
            for symbol, node in contexts[place].following.items():
                seen = node.count if every else node.excluding
                if not seen:
                    continue
                n_once += seen == 1
                counts.append((symbol, seen - less))
                if symbol not in found:
                    remaining += seen - less
            weight = 0.0
            if remaining > 0:
                share = remaining / (remaining + self._reserve(len(counts), n_once))
                weight = left * share / remaining
                left *= 1 - share
            for symbol, count in counts:
                found[symbol] = found.get(symbol, 0.0) + weight * count
        p = np.full(self.n_symbols, left / (self.n_symbols + 1 - len(self._root.following)))
        p[list(found)] += list(found.values())
        return p / p.sum()

    def _reserve(self, n_seen: int, n_once: int) -> float:
        """Count that is reserved for symbols that were not seen."""
        if self.escape == "a":
            return 1.0
        if self.escape == "ax":
            return n_once + 1.0
        return n_seen / 2 if self.escape == "d" else float(n_seen)

    @staticmethod
    def _start(contexts: Sequence[_Node]) -> tuple[int, bool]:
        """Where to start: the longest context with a continuation, or the shortest with only one.

        The second value says whether the latter is shorter than the former.
        """
        longest = max((k for k, node in enumerate(contexts) if node.following), default=0)
        for order in range(longest):
            if len(contexts[order].following) == 1:
                return order, True
        return longest, False

    def counts(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """All n-grams, and how often each was there.

        Returns
        -------
        grams : (n_grams, longest) int array
            Sorted, so that equal models have equal tables; -1 after the end of shorter ones.
        counts : (n_grams,) int array
        """
        found: list[tuple[tuple[int, ...], int]] = []
        pending: list[tuple[tuple[int, ...], _Node]] = [((), self._root)]
        while pending:
            gram, node = pending.pop()
            for symbol, longer in node.following.items():
                found.append(((*gram, symbol), longer.count))
                pending.append(((*gram, symbol), longer))
        found.sort()
        width = max((len(gram) for gram, _ in found), default=0)
        table = np.full((len(found), width), -1, dtype=np.int32)
        for row, (gram, _) in zip(table, found, strict=True):
            row[: len(gram)] = gram
        return table, np.array([count for _, count in found], dtype=np.int64)

    @classmethod
    def of_counts(cls, n_symbols: int, grams: npt.ArrayLike, counts: npt.ArrayLike) -> SymbolModel:
        """The model with escape "c", and without update exclusion, whose `counts` these are.

        Raises
        ------
        BadDataError
            Symbols outside the alphabet, counts below 1, or an n-gram without its beginning.

        Examples
        --------
        >>> model = SymbolModel(3, order_bound=1)
        >>> model.learn([0, 1, 0, 2])
        >>> again = SymbolModel.of_counts(3, *model.counts())
        >>> [np.array_equal(one, other) for one, other in zip(model.counts(), again.counts())]
        [True, True]
        """
        table, numbers = np.asarray(grams), np.asarray(counts)
        fits = table.ndim == 2 and table.shape[1] > 0 and numbers.shape == table.shape[:1]
        if not fits or (table < -1).any() or (table >= n_symbols).any() or (numbers < 1).any():
            raise BadDataError(
                "This is no table of n-grams.",
                where="grams, counts",
                found=f"shapes {table.shape} and {numbers.shape}",
                wanted=f"symbols below {n_symbols} in rows, -1 after their end, and counts above 0",
                remedy="give the table that a model of symbols saved",
            )
        model = cls(n_symbols, order_bound=table.shape[1] - 1)
        for row, count in zip(table.tolist(), numbers.tolist(), strict=True):
            gram = row[: row.index(-1)] if -1 in row else row
            node: _Node | None = model._root
            for symbol in gram[:-1]:
                node = None if node is None else node.following.get(symbol)
            if node is None or not gram:
                raise BadDataError(
                    "An n-gram is there without its beginning.",
                    where="grams",
                    found=gram,
                    wanted="each n-gram with the shorter ones that begin it",
                    remedy="add them, or count the n-grams again",
                )
            node.following[gram[-1]] = last = _Node()
            last.count = last.excluding = count
        return model


def _checked(symbols: Iterable[int], n_symbols: int) -> Iterator[int]:
    for place, symbol in enumerate(symbols):
        if not 0 <= symbol < n_symbols:
            raise BadDataError(
                "A symbol is not in the alphabet.",
                where=f"symbols[{place}]",
                found=symbol,
                wanted=f"0 to {n_symbols - 1}",
                remedy="give the alphabet's numbers, from 0",
            )
        yield int(symbol)


def information_of(
    distributions: Iterable[FloatArray], symbols: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Surprise and uncertainty of a sequence.

    Parameters
    ----------
    distributions : iterable of (n_symbols,) arrays
        What was expected before each symbol; sums to 1.
    symbols : sequence of n int

    Returns
    -------
    surprise, uncertainty : (n,) float64
        -log2 of the probability of what came, and the entropy of what was expected, in bits. The
        uncertainty belongs to the moment before the symbol.

    Examples
    --------
    >>> surprise, uncertainty = information_of([np.array([0.25, 0.75])], [0])
    >>> surprise.tolist(), uncertainty.round(3).tolist()
    ([2.0], [0.811])
    """
    both = [(-np.log2(p[x]), _entropy(p)) for p, x in zip(distributions, symbols, strict=True)]
    surprise, uncertainty = np.array(both).reshape(-1, 2).T
    return surprise, uncertainty


def _entropy(p: FloatArray) -> float:
    # A probability that is too small for a number adds nothing.
    return float(-p @ np.log2(np.maximum(p, 1e-300)))


def combined(expected: Sequence[FloatArray], bias: float = BIAS) -> FloatArray:
    """What several models expect together: a geometric mean that heeds the more certain ones.

    Each weighs (H / log2 K)^-bias, with its entropy H and K symbols, as in IDyOM.

    Parameters
    ----------
    expected : sequence of (n_symbols,) arrays
        One of each model.
    bias : float

    Returns
    -------
    (n_symbols,) float64
        Sums to 1.

    Examples
    --------
    >>> combined([np.array([0.9, 0.1]), np.array([0.5, 0.5])], bias=7).round(2).tolist()
    [0.9, 0.1]
    """
    if expected[0].size == 1:  # all are certain
        return expected[0]
    # A model that is certain has no other beside it; the floor keeps its weight a number.
    relative = [max(_entropy(p), 1e-9) / np.log2(p.size) for p in expected]
    weights = np.array(relative) ** -bias
    logs = sum(w * np.log(p) for w, p in zip(weights / weights.sum(), expected, strict=True))
    together: FloatArray = np.exp(logs - logs.max())
    return together / together.sum()


class Information(NamedTuple):
    """Surprise and uncertainty of one model, bits per symbol, (n,) each."""

    surprise: FloatArray
    uncertainty: FloatArray


@dataclass(frozen=True)
class Expectations:
    """Surprise and uncertainty of a sequence under several models.

    Attributes
    ----------
    stm : Information
        Of the model of the sequence so far.
    ltm, both : Information or None
        Of the model of other music, and of both together; None without one.
    """

    stm: Information
    ltm: Information | None
    both: Information | None


def expectations(
    symbols: Sequence[int],
    n_symbols: int,
    *,
    order_bound: int | None,
    long_term: SymbolModel | None = None,
) -> Expectations:
    """Surprise and uncertainty of every symbol of a piece, by the models of IDyOM.

    The short-term model learns every symbol of the piece after it was predicted (escape ax, update
    exclusion). The long-term model does not learn the piece.

    Parameters
    ----------
    symbols : sequence of n int
    n_symbols : int
        Size of the alphabet.
    order_bound : int or None
        Longest context of the short-term model.
    long_term : SymbolModel, optional

    Returns
    -------
    Expectations

    Raises
    ------
    BadDataError
        A symbol outside the alphabet.

    Examples
    --------
    >>> known = SymbolModel(3, order_bound=2)
    >>> known.learn([0, 1, 2] * 20)
    >>> found = expectations([0, 1, 2, 0, 2, 1], 3, order_bound=2, long_term=known)
    >>> found.ltm.surprise.round().tolist()  # the last two do not belong
    [2.0, 0.0, 0.0, 0.0, 5.0, 5.0]
    """
    own = SymbolModel(n_symbols, order_bound=order_bound, escape="ax", update_exclusion=True)
    streams = [own.distributions(symbols, learn=True)]
    if long_term is not None:
        streams.append(long_term.distributions(symbols, learn=False))
    told: list[list[tuple[float, float]]] = []
    for symbol, expected in zip(symbols, zip(*streams, strict=True), strict=True):
        every = (*expected, combined(expected)) if long_term is not None else expected
        told.append([(-float(np.log2(p[symbol])), _entropy(p)) for p in every])
    n_models = 1 if long_term is None else 3
    values = np.array(told, dtype=np.float64).reshape(-1, n_models, 2).transpose(1, 2, 0)
    found = [Information(*one) for one in values]
    return Expectations(found[0], *(found[1:] if long_term is not None else (None, None)))
