"""From a surface BOLD series to cleaned responses: one projection for confounds and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import FINITE, BadDataError


@dataclass(frozen=True)
class CleanedResponses:
    """Responses after confounds and drift were regressed out.

    Attributes
    ----------
    values : array of shape (n_times, n_vertices), float32
        Residuals; NaN at degenerate vertices and in volumes that were dropped.
    degenerate : array of shape (n_vertices,), bool
        Vertices that are constant or not finite in the volumes kept.
    rank : int
        Rank of the design (constant, confounds, drift).
    degrees_of_freedom : int
        Volumes kept minus rank.
    """

    values: NDArray[np.float32]
    degenerate: NDArray[np.bool_]
    rank: int
    degrees_of_freedom: int


def clean_responses(
    bold: NDArray[np.floating],
    confounds: NDArray[np.float64] | None,
    drift: NDArray[np.float64] | None,
    *,
    n_dummy: int = 0,
    block: int = 4096,
    out: NDArray[np.float32] | None = None,
) -> CleanedResponses:
    """Regress confounds and slow drift out of every vertex, in one projection over the run.

    A second filter would reintroduce part of the variance that the first one removed; a single
    orthogonal projection does not (Lindquist et al. 2019, doi:10.1002/hbm.24528).

    Parameters
    ----------
    bold : array of shape (n_times, n_vertices)
    confounds : array of shape (n_times, n_confounds) or None
    drift : array of shape (n_times, n_basis) or None
        High-pass basis without constant.
    n_dummy : int
        Volumes at the start that are left out, and NaN in the result.
    block : int
        Vertices worked on at a time; does not change the result.
    out : array of shape (n_times, n_vertices), float32, optional
        Array for the responses. It may be `bold`, which is then overwritten.

    Returns
    -------
    CleanedResponses

    Raises
    ------
    BadDataError
        If lengths differ, a regressor is not finite, or no degree of freedom is left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> motion = rng.standard_normal((60, 2))
    >>> bold = 100 + motion @ rng.standard_normal((2, 3)) + rng.standard_normal((60, 3))
    >>> cleaned = clean_responses(bold, motion, None, n_dummy=2)
    >>> cleaned.rank, cleaned.degrees_of_freedom, bool(np.isnan(cleaned.values[:2]).all())
    (3, 55, True)
    >>> np.abs(motion[2:].T @ cleaned.values[2:]).max().round(2).item()
    0.0
    """
    n_times, n_vertices = bold.shape
    left = _orthonormal(n_times, confounds, drift, n_dummy)
    rank = left.shape[1]
    n_kept = n_times - n_dummy
    if n_kept - rank < 1:
        raise BadDataError(
            "The confounds leave no degrees of freedom.",
            found=f"{n_kept} volumes and a design of rank {rank}",
            wanted="more volumes than regressors",
            remedy="choose a smaller set of confounds with --confounds",
        )
    values = np.empty((n_times, n_vertices), dtype=np.float32) if out is None else out
    degenerate = np.ones(n_vertices, dtype=bool)
    for start in range(0, n_vertices, block):
        part = slice(start, min(start + block, n_vertices))
        data = np.asarray(bold[n_dummy:, part], dtype=np.float64)
        bad = ~np.isfinite(data).all(axis=0)
        data[:, bad] = 0.0
        spread = np.ptp(data, axis=0)
        residual = data - left @ (left.T @ data)
        # What is left of a series inside the design is rounding error, not a response.
        scale = np.linalg.norm(data, axis=0)
        bad |= (spread == 0) | (np.linalg.norm(residual, axis=0) <= 1e-6 * scale)
        residual[:, bad] = np.nan
        values[n_dummy:, part] = residual
        degenerate[part] = bad
    values[:n_dummy] = np.nan
    return CleanedResponses(values, degenerate, rank, n_kept - rank)


def temporal_snr(
    bold: NDArray[np.floating],
    drift: NDArray[np.float64] | None,
    *,
    n_dummy: int = 0,
    block: int = 4096,
) -> NDArray[np.float64]:
    """Mean of every vertex over the standard deviation of what slow drift does not explain.

    Parameters
    ----------
    bold : array of shape (n_times, n_vertices)
        As it was preprocessed, with its mean.
    drift : array of shape (n_times, n_basis) or None
        High-pass basis without constant.
    n_dummy : int
        Volumes at the start that take no part.
    block : int
        Vertices worked on at a time; does not change the result.

    Returns
    -------
    array of shape (n_vertices,)
        No unit; NaN where a vertex is constant or not finite.

    Raises
    ------
    BadDataError
        If lengths differ, or the drift is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drift = np.linspace(-1, 1, 400)[:, np.newaxis]
    >>> bold = 1000 + 500 * drift + 20 * rng.standard_normal((400, 2))
    >>> temporal_snr(bold, drift).round(-1).tolist()
    [50.0, 50.0]
    """
    n_times, n_vertices = bold.shape
    left = _orthonormal(n_times, None, drift, n_dummy)
    found = np.full(n_vertices, np.nan)
    for start in range(0, n_vertices, block):
        part = slice(start, min(start + block, n_vertices))
        data = np.asarray(bold[n_dummy:, part], dtype=np.float64)
        usable = np.isfinite(data).all(axis=0)
        data[:, ~usable] = 0.0
        spread = (data - left @ (left.T @ data)).std(axis=0)
        # What is left of a series inside the drift is rounding error, not noise.
        usable &= spread > 1e-6 * np.abs(data).max(axis=0)
        ratio = data.mean(axis=0) / np.where(usable, spread, 1.0)
        found[part] = np.where(usable, ratio, np.nan)
    return found


def residual_matrix(
    confounds: NDArray[np.float64], drift: NDArray[np.float64], *, n_dummy: int = 0
) -> NDArray[np.float64]:
    """Residual-forming matrix of :func:`clean_responses`, by which a series is multiplied.

    Parameters
    ----------
    confounds : array of shape (n_times, n_confounds)
    drift : array of shape (n_times, n_basis)
    n_dummy : int
        Volumes at the start that take no part.

    Returns
    -------
    array of shape (n_times - n_dummy, n_times - n_dummy)
        Symmetric and idempotent.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> motion, drift = rng.standard_normal((30, 2)), np.linspace(-1, 1, 30)[:, np.newaxis]
    >>> residuals = residual_matrix(motion, drift)
    >>> np.allclose(residuals @ residuals, residuals), np.allclose(residuals @ motion, 0)
    (True, True)
    """
    left = _orthonormal(len(drift), confounds, drift, n_dummy)
    return np.asarray(np.eye(len(left)) - left @ left.T)


def degrees_of_freedom(
    n_times: int,
    confounds: NDArray[np.float64] | None,
    drift: NDArray[np.float64] | None,
    *,
    n_dummy: int = 0,
) -> int:
    """Volumes after the dummy scans less the rank of the design; zero or less: too few.

    Parameters
    ----------
    n_times : int
        Volumes, dummy scans included.
    confounds, drift : array (n_times, n) or None
        As of `clean_responses`.
    n_dummy : int
        Dummy scans.

    Examples
    --------
    >>> degrees_of_freedom(30, np.eye(30)[:, :5], None, n_dummy=2)
    24
    """
    if n_dummy >= n_times:
        return 0
    return n_times - n_dummy - _orthonormal(n_times, confounds, drift, n_dummy).shape[1]


def _orthonormal(
    n_times: int,
    confounds: NDArray[np.float64] | None,
    drift: NDArray[np.float64] | None,
    n_dummy: int,
) -> NDArray[np.float64]:
    """Basis of constant, confounds and drift after the dummy scans, (n_kept, rank)."""
    design = _design(n_times, confounds, drift)[n_dummy:]
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    return np.asarray(left[:, : int((singular > singular[0] * 1e-10).sum())])


def _design(
    n_times: int, confounds: NDArray[np.float64] | None, drift: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Columns of unit scale: constant, confounds, drift."""
    columns = [np.ones((n_times, 1))]
    for name, extra in (("confounds", confounds), ("drift", drift)):
        if extra is None or extra.size == 0:
            continue
        if extra.ndim != 2 or len(extra) != n_times:
            raise BadDataError(
                "Arrays of a run differ in length.",
                where=name,
                found=f"{name} of shape {extra.shape}",
                wanted=f"({n_times}, n)",
                remedy="use the confounds of this run",
            )
        if not np.isfinite(extra).all():
            raise BadDataError(
                "An array holds values that are not finite.",
                where=name,
                found=f"{int((~np.isfinite(extra)).sum())} such values",
                wanted="finite values",
                remedy=FINITE,
            )
        centered = extra - extra.mean(axis=0)
        norms = np.linalg.norm(centered, axis=0)
        columns.append(centered[:, norms > 0] / norms[norms > 0])
    return np.hstack(columns)
