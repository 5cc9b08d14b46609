"""Responses on the rows of a plan: checked, cropped, z-scored, in the Fourier basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.folds import KeptRows
from bids_app.encoding.plan import EncodingPlan
from bids_app.encoding.resolution import fourier_coefficients
from bids_app.errors import check_shape

_CONSTANT = 1e-10


@dataclass(frozen=True, eq=False)
class Chosen:
    """Responses of some vertices, which are taken from all only where they are looked at.

    Attributes
    ----------
    values : array of shape (n_times, n_all)
        May be mapped from a file.
    vertices : array of shape (n_vertices,), int
        Numbers of those that count.
    """

    values: NDArray[np.floating]
    vertices: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        """Times and vertices."""
        return len(self.values), self.vertices.size

    def __getitem__(self, part: tuple[slice, Any]) -> NDArray[np.floating]:
        rows, columns = part
        return np.asarray(self.values[rows, self.vertices[columns]])


Responses = Sequence[NDArray[np.floating] | Chosen]
"""One array of shape (n_times, n_vertices) per presentation."""


def check_responses(plan: KeptRows, responses: Responses) -> int:
    """Check the responses' shapes against a plan.

    Parameters
    ----------
    plan : EncodingPlan or WholeSeries
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        One per presentation.

    Returns
    -------
    int
        Vertices.

    Raises
    ------
    BadDataError
        When their number, lengths or vertices disagree.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> check_responses(plan, [np.zeros((60, 5))] * 3)
    5
    """
    check_shape("responses", responses, len(plan.lengths))
    n_vertices = int(responses[0].shape[-1])
    for i, (response, length) in enumerate(zip(responses, plan.lengths, strict=True)):
        check_shape(f"responses[{i}]", response, length, n_vertices or "n_vertices")
    return n_vertices


def standardize(
    plan: KeptRows, responses: Responses, columns: slice
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Responses at the kept rows, z-scored within every segment.

    Parameters
    ----------
    plan : EncodingPlan or WholeSeries
        Stimulus side.
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        One per presentation.
    columns : slice
        Vertices.

    Returns
    -------
    ndarray, shape (n_kept, n_columns)
        Zero where degenerate.
    ndarray of bool, shape (n_columns,)
        Vertices that are constant or not finite in some segment.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> responses = np.split(np.stack([5 + rng.standard_normal(180), np.ones(180)], axis=1), 3)
    >>> z, degenerate = standardize(plan, responses, slice(0, 2))
    >>> z.shape, degenerate.tolist(), np.allclose(z[:48, 0].std(), 1)
    ((144, 2), [False, True], True)
    """
    parts, bad = [], np.zeros(responses[0][:1, columns].shape[1], dtype=bool)
    for segment in plan.segments:
        part = responses[segment.block][segment.start : segment.stop, columns]
        y = np.array(part, dtype=np.float64)
        finite = np.isfinite(y).all(axis=0)
        y[:, ~finite] = 0
        size = np.abs(y).max(axis=0, initial=0)
        y -= y.mean(axis=0)
        sd = np.sqrt((y**2).sum(axis=0) / (segment.size - plan.ddof))
        usable = finite & (sd > _CONSTANT * size) & np.isfinite(sd)
        y /= np.where(usable, sd, 1)
        y[:, ~usable] = 0
        bad |= ~usable
        parts.append(y)
    out = np.concatenate(parts)
    out[:, bad] = 0
    return out, bad


def response_coefficients(plan: EncodingPlan, standardized: NDArray[Any]) -> NDArray[Any]:
    """Fourier coefficients of standardized responses, one segment after the other.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    standardized : ndarray, shape (n_kept, n_vertices)
        From :func:`standardize`, in the plan's precision.

    Returns
    -------
    ndarray, shape (n_vertices, n_coefficients)
        The constant of each segment is left out.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> responses = [rng.standard_normal((60, 2)) for _ in range(3)]
    >>> z, _ = standardize(plan, responses, slice(0, 2))
    >>> coefficients = response_coefficients(plan, z)
    >>> coefficients.shape, bool(np.allclose((coefficients**2).sum(axis=1), (z**2).sum(axis=0)))
    ((2, 144), True)
    """
    parts = [standardized[s.offset : s.offset + s.size] for s in plan.segments]
    return np.concatenate([fourier_coefficients(part) for part in parts], axis=1)
