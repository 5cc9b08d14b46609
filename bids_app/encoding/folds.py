"""Which rows train and which are held out, at both levels of the nested cross-validation.

Folds are whole stimuli. All presentations of a stimulus stay in one fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.gram import MIN_ROWS
from bids_app.errors import BadDataError

# More stimuli than this are held out in MAX_FOLDS groups instead of one by one.
MAX_LEAVE_ONE_OUT = 6
MAX_FOLDS = 5
# Contiguous pieces where whole stimuli do not suffice.
N_PIECES = 5


@dataclass(frozen=True)
class Segment:
    """A run of kept rows that is centered, z-scored and scored as one block.

    Attributes
    ----------
    label : str
        Stimulus, or piece of the only stimulus (``song[2/5]``).
    stimulus : str
        Stimulus.
    block : int
        Index of the presentation in the caller's lists.
    start, stop : int
        Half-open rows of that presentation.
    offset : int
        First row among the kept rows of all segments.
    """

    label: str
    stimulus: str
    block: int
    start: int
    stop: int
    offset: int

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    @property
    def rows(self) -> NDArray[np.intp]:
        """Indices among the kept rows of all segments."""
        return np.arange(self.offset, self.offset + self.size)


class KeptRows(Protocol):
    """Rows of presentations that count, as an `EncodingPlan` or `WholeSeries` has them."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples of every presentation."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Blocks that are centered by themselves."""

    @property
    def ddof(self) -> int:
        """Divisor of standard deviations is n - ddof."""

    @property
    def n_rows(self) -> int:
        """Kept rows over all presentations."""


@dataclass(frozen=True)
class WholeSeries:
    """Every row of every presentation, a block each.

    Attributes
    ----------
    lengths : tuple of int
        Samples of every presentation.
    """

    lengths: tuple[int, ...]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """One per presentation."""
        ends = accumulate(self.lengths)
        return tuple(
            Segment(str(k), str(k), k, 0, n, end - n)
            for k, (n, end) in enumerate(zip(self.lengths, ends, strict=True))
        )

    @property
    def ddof(self) -> int:
        """Of population standard deviations."""
        return 0

    @property
    def n_rows(self) -> int:
        """Of all presentations."""
        return sum(self.lengths)


@dataclass(frozen=True)
class Split:
    """Training rows, and held-out rows of every block that is scored by itself."""

    train: NDArray[np.intp]
    tests: tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class Fold:
    """One outer fold.

    Attributes
    ----------
    held_out : tuple of str
        Labels of what is held out.
    segments : tuple of int
        Indices of the held-out segments, in the order of ``outer.tests``.
    outer : Split
        Training rows and the held-out blocks.
    inner : tuple of Split
        Splits of the training rows that choose the penalty.
    """

    held_out: tuple[str, ...]
    segments: tuple[int, ...]
    outer: Split
    inner: tuple[Split, ...]


def _piece_edges(size: int, n_pieces: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, size, n_pieces + 1).round().astype(int)
    return list(pairwise(edges.tolist()))


def make_segments(
    stimuli: Sequence[str], rows: Sequence[tuple[int, int]]
) -> tuple[tuple[Segment, ...], bool]:
    """Blocks of kept rows: presentations, or pieces of the only stimulus.

    Parameters
    ----------
    stimuli : sequence of str
        Label of every presentation.
    rows : sequence of (start, stop)
        Kept rows of every presentation.

    Returns
    -------
    segments : tuple of Segment
    pieces : bool
        Whether there is a single stimulus, which is divided into pieces.

    Raises
    ------
    BadDataError
        A single stimulus is too short for its pieces.

    Examples
    --------
    >>> segments, pieces = make_segments(["fugue", "march"], [(3, 20), (3, 30)])
    >>> [(one.label, one.size, one.offset) for one in segments], pieces
    ([('fugue', 17, 0), ('march', 27, 17)], False)
    """
    single = len(set(stimuli)) == 1
    segments: list[Segment] = []
    offset = 0
    # Presentations of one stimulus may differ by a volume: cut all at the same rows.
    longest = max(stop - start for start, stop in rows)
    edges = _piece_edges(longest, N_PIECES) if single else [(0, longest)]
    for block, (stimulus, (start, stop)) in enumerate(zip(stimuli, rows, strict=True)):
        for number, (low, high) in enumerate(edges, start=1):
            label = _piece(stimulus, number) if single else stimulus
            piece = (start + low, min(start + high, stop) if number < len(edges) else stop)
            if single and piece[1] - piece[0] < MIN_ROWS:
                raise BadDataError(
                    "A single stimulus is too short to be cut into pieces.",
                    where="lengths",
                    found=f"{stop - start} kept rows",
                    wanted=f"at least {MIN_ROWS} rows in each of {N_PIECES} pieces",
                    remedy="use longer or more stimuli, a shorter crop or shorter delays",
                )
            segments.append(Segment(label, stimulus, block, *piece, offset))
            offset += piece[1] - piece[0]
    return tuple(segments), single


def held_out_stimuli(
    stimuli: Iterable[str], durations: Mapping[str, float]
) -> list[tuple[str, ...]]:
    """Stimuli that each fold holds out, from their durations alone.

    Parameters
    ----------
    stimuli : iterable of str
        Label of every presentation.
    durations : mapping of str to float
        Seconds of each stimulus: folds of several stimuli are made of similar length.

    Returns
    -------
    list of tuple of str
        One per fold; of a single stimulus, its pieces.

    Examples
    --------
    >>> held_out_stimuli(["march", "fugue", "march"], {"fugue": 120.0, "march": 90.0})
    [('fugue',), ('march',)]
    >>> held_out_stimuli(["fugue"], {"fugue": 120.0})[0]
    ('fugue[1/5]',)
    """
    labels = sorted(set(stimuli))
    if len(labels) == 1:
        return [(_piece(labels[0], number),) for number in range(1, N_PIECES + 1)]
    return [tuple(sorted(part, key=labels.index)) for part in _parts(labels, durations)]


def _piece(stimulus: str, number: int) -> str:
    """Label of a piece of the only stimulus."""
    return f"{stimulus}[{number}/{N_PIECES}]"


def _parts(labels: Sequence[str], weight: Mapping[str, float]) -> list[list[str]]:
    """Labels that are held out together."""
    if len(labels) <= MAX_LEAVE_ONE_OUT:
        return [[label] for label in labels]
    # Longest first into the emptiest fold: folds of similar length, whatever the order.
    parts: list[list[str]] = [[] for _ in range(MAX_FOLDS)]
    for label in sorted(labels, key=lambda a: (-weight[a], a)):
        min(parts, key=lambda part: sum(weight[a] for a in part)).append(label)
    return sorted(parts, key=lambda part: min(labels.index(a) for a in part))


def _groups(
    segments: Sequence[Segment], leave_one_out: bool, durations: Mapping[str, float] | None
) -> list[tuple[int, ...]]:
    """Indices of the segments that are held out together."""
    labels = list(dict.fromkeys(s.label for s in segments))
    if leave_one_out:
        parts = [[label] for label in labels]
    else:
        rows = {a: sum(s.size for s in segments if s.label == a) for a in labels}
        parts = _parts(labels, durations or rows)
    return [tuple(i for i, s in enumerate(segments) if s.label in part) for part in parts]


def _purged(
    segments: Sequence[Segment], train: Sequence[int], tests: Sequence[int], purge: int
) -> NDArray[np.intp]:
    """Training rows further than ``purge`` from every held-out row of the same stimulus."""
    kept = []
    for i in train:
        rows = np.arange(segments[i].start, segments[i].stop)
        keep = np.ones(rows.size, dtype=bool)
        for j in tests:
            if segments[j].stimulus == segments[i].stimulus:
                low, high = segments[j].start - purge, segments[j].stop - 1 + purge
                keep &= (rows < low) | (rows > high)
        kept.append(segments[i].rows[keep])
    return np.sort(np.concatenate(kept))


def _piece_splits(segments: Sequence[Segment], purge: int) -> tuple[Split, ...]:
    """Inner splits when a single stimulus is left for training: contiguous blocks."""
    longest = max(s.size for s in segments)
    splits = []
    for low, high in _piece_edges(longest, N_PIECES):
        train, tests = [], []
        for segment in segments:
            row = np.arange(segment.size)
            test = (row >= low) & (row < high)
            near = (row >= low - purge) & (row < high + purge)
            tests.append(segment.rows[test])
            train.append(segment.rows[~near])
        splits.append(Split(np.concatenate(train), tuple(t for t in tests if t.size >= MIN_ROWS)))
    return tuple(splits)


def _check(fold: Fold) -> None:
    for split in (fold.outer, *fold.inner):
        if split.train.size < MIN_ROWS or not split.tests:
            raise BadDataError(
                "Too few samples to choose the penalty by contiguous blocks.",
                where="lengths",
                found=f"{split.train.size} training rows beside the held-out block "
                f"and its neighborhood, {len(split.tests)} held-out blocks of {MIN_ROWS} rows or "
                f"more (fold {', '.join(fold.held_out)})",
                wanted=f"at least {MIN_ROWS} training rows and one such block",
                remedy="add stimuli, or use a shorter crop or shorter delays",
            )


def make_folds(
    segments: Sequence[Segment],
    purge: int,
    *,
    leave_one_out: bool = False,
    durations: Mapping[str, float] | None = None,
) -> tuple[Fold, ...]:
    """Outer and inner folds.

    Parameters
    ----------
    segments : sequence of Segment
        Blocks of kept rows.
    purge : int
        Rows left out of the training set on both sides of a held-out block of the same stimulus.
    leave_one_out : bool
        Leave one stimulus out even when there are more than six.
    durations : mapping of str to float, optional
        Length of every stimulus, by which more than six are shared out. Give those of the audio
        where folds must be the same for everybody: rows differ by jitter. Default: the rows.

    Returns
    -------
    tuple of Fold
        In the order of the stimuli.

    Raises
    ------
    BadDataError
        When a training set would be empty.

    Examples
    --------
    >>> stimuli, rows = ["fugue", "march", "fugue", "waltz"], [(3, 20), (3, 30), (3, 20), (3, 15)]
    >>> segments, _ = make_segments(stimuli, rows)
    >>> folds = make_folds(segments, purge=6)
    >>> [(fold.held_out, fold.outer.train.size) for fold in folds]
    [(('fugue',), 39), (('march',), 46), (('waltz',), 61)]
    """
    groups = _groups(segments, leave_one_out, durations)
    folds = []
    for k, group in enumerate(groups):
        rest = [g for i, g in enumerate(groups) if i != k]
        train = _purged(segments, [i for g in rest for i in g], group, purge)
        outer = Split(train, tuple(segments[i].rows for i in group))
        if len(rest) == 1:
            inner = _piece_splits([segments[i] for i in rest[0]], purge)
        else:
            inner = tuple(
                Split(
                    np.intersect1d(
                        train,
                        _purged(
                            segments, [i for i in range(len(segments)) if i not in g], g, purge
                        ),
                    ),
                    tuple(np.intersect1d(segments[i].rows, train) for i in g),
                )
                for g in rest
            )
            # A purge can leave nothing of a piece that is held out in the inner loop.
            inner = tuple(
                Split(s.train, tuple(t for t in s.tests if t.size >= MIN_ROWS)) for s in inner
            )
        held_out = tuple(dict.fromkeys(segments[i].label for i in group))
        fold = Fold(held_out, group, outer, inner)
        _check(fold)
        folds.append(fold)
    return tuple(folds)


def lay_out(
    stimuli: Sequence[str],
    rows: Sequence[tuple[int, int]],
    shifts: NDArray[np.intp],
    **options: Any,
) -> tuple[tuple[Segment, ...], tuple[Fold, ...], int]:
    """Segments and folds of presentations, and the rows purged around a held-out piece.

    Parameters
    ----------
    stimuli, rows
        As for `make_segments`.
    shifts : ndarray of int
        Delays in samples.
    **options
        As for `make_folds`.

    Returns
    -------
    segments : tuple of Segment
    folds : tuple of Fold
    purge : int
        Rows on either side of a held-out piece that do not train.

    Raises
    ------
    BadDataError
        As `make_segments` and `make_folds`.

    Examples
    --------
    >>> segments, folds, purge = lay_out(["fugue", "march"], [(3, 33), (3, 40)], np.arange(2, 4))
    >>> len(segments), [fold.outer.train.size for fold in folds], purge
    (2, [37, 30], 3)
    """
    segments, _ = make_segments(stimuli, rows)
    purge = int(max(np.abs(shifts).max(), shifts.max() - shifts.min()))
    return segments, make_folds(segments, purge, **options), purge
