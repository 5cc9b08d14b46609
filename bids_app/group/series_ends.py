"""Accuracies of series that end, beside those of rotated phases, which are periodic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bids_app.group.music_spectra import Rows
from bids_app.pairs import end_factor

# Further apart the offsets that filters leave add up: 10 % too much in pieces of a minute.
_FURTHEST = 0.4
_N_FEW = 60


def few_vertices(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Some 60 to 120 of the vertices that are there, spread over all, for `accuracy_end_factor`.

    Examples
    --------
    >>> few_vertices(np.arange(600) % 2 == 0)[:3].tolist()
    [0, 10, 20]
    """
    found = np.flatnonzero(there)
    return found[:: max(len(found) // _N_FEW, 1)]


def accuracy_end_factor(
    segments: Sequence[Rows],
    responses: Sequence[Sequence[npt.NDArray]],
    vertices: npt.NDArray[np.intp],
) -> float:
    """By how much accuracies of responses that end vary more than those of rotated phases.

    A prediction's own scale cancels, so that ends matter on the side of the scored responses
    alone; predictions are taken to be as slow as responses are.

    Parameters
    ----------
    segments : sequence of segments
        Rows of each presentation that are scored by themselves.
    responses : sequence of sequences of (n_times, n_vertices) arrays
        Of everybody who shares the segments, one array per presentation.
    vertices : (n_some,) int array
        A few vertices that stand for all, with responses of everybody.

    Returns
    -------
    float
        At least 1; 1 where there is one participant or no vertex.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> steps = np.random.default_rng(0).standard_normal((6, 100, 400))
    >>> slow = np.apply_along_axis(np.convolve, 1, steps, np.ones(8), "valid")
    >>> segment = SimpleNamespace(block=0, start=5, stop=93)
    >>> round(accuracy_end_factor([segment], [[one] for one in slow], np.arange(400)), 2)
    1.02
    """
    if len(responses) < 2 or not len(vertices):
        return 1.0
    factors = []
    for one in segments:
        series = [own[one.block][one.start : one.stop, vertices] for own in responses]
        factors.append(end_factor([np.stack(series)], furthest=_FURTHEST))
    return float(np.sqrt(np.mean(np.square(factors))))
