"""Psychophysiological interaction: does the coupling with a seed depend on the condition?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import BadDataError, check_shape

FloatArray = NDArray[np.float64]

SEED, CONDITION, INTERACTION = "seed", "condition", "interaction"


def first_eigenvariate(series: ArrayLike) -> FloatArray:
    """Leading time course of a region.

    The first left singular vector of the centered series, scaled by ``s / sqrt(n_vertices)``, so
    that it has the units of the series; its sign is that of the sum of its weights.

    Parameters
    ----------
    series : (n_times, n_vertices) array
        Series of a region's vertices or voxels, nuisance removed. Constant series, and those with
        values that are not finite, are left out.

    Returns
    -------
    (n_times,) float64
        Of mean zero.

    Raises
    ------
    BadDataError
        If no usable series is left.

    Notes
    -----
    As SPM extracts regions (``spm_regions``), after centering.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> course = rng.standard_normal(100)
    >>> series = course[:, np.newaxis] + 0.3 * rng.standard_normal((100, 12))
    >>> found = first_eigenvariate(series)
    >>> bool(np.corrcoef(found, course)[0, 1] > 0.9), bool(abs(found.mean()) < 1e-9)
    (True, True)
    """
    values = np.asarray(series, dtype=np.float64)
    check_shape("series", values, "n_times", "n_vertices")
    values = values[:, np.isfinite(values).all(axis=0)]
    centered = values - values.mean(axis=0)
    centered = centered[:, np.abs(centered).max(axis=0, initial=0.0) > 0]
    if centered.shape[1] == 0 or len(centered) < 2:
        raise BadDataError(
            "The seed region holds no series that varies.",
            where="series",
            found=f"shape {np.shape(series)}",
            wanted="at least one finite series that varies",
            remedy="check that the seed lies in the field of view and on this mesh",
        )
    left, singular, right = np.linalg.svd(centered, full_matrices=False)
    sign = 1.0 if right[0].sum() >= 0 else -1.0
    return np.asarray(sign * left[:, 0] * singular[0] / np.sqrt(centered.shape[1]))


def ppi_columns(seed: ArrayLike, condition: ArrayLike) -> dict[str, FloatArray]:
    """The three regressors ``[phi, X c, phi * (X c)]``.

    The interaction is taken at the level of the BOLD signal, without deconvolution. Its effect does
    not depend on the means of the other two, which are in the design with the constant. It is a
    product of centered columns, so that the three regressors are well conditioned.

    Parameters
    ----------
    seed : (n_times,) array
        phi, the seed's eigenvariate.
    condition : (n_times,) array
        X c: the convolved regressors of the conditions times the contrast.

    Returns
    -------
    dict from "seed", "condition", "interaction" to (n_times,) float64

    Raises
    ------
    BadDataError
        If lengths differ or a column is constant or not finite.

    Examples
    --------
    >>> seed = np.array([1.0, -1.0, 2.0, -2.0])
    >>> columns = ppi_columns(seed, np.array([0.0, 0.0, 1.0, 1.0]))
    >>> list(columns), columns["interaction"].round(2).tolist()
    (['seed', 'condition', 'interaction'], [-0.5, 0.5, 1.0, -1.0])
    """
    phi, c = np.asarray(seed, dtype=np.float64), np.asarray(condition, dtype=np.float64)
    check_shape("seed", phi, "n_times")
    check_shape("condition", c, len(phi))
    for name, column in (("seed", phi), ("condition", c)):
        if not np.isfinite(column).all() or np.ptp(column) == 0:
            raise BadDataError(
                "A regressor of the interaction is constant or not finite.",
                where=name,
                found=f"{np.count_nonzero(~np.isfinite(column))} values not finite"
                if not np.isfinite(column).all()
                else f"{column[0]:g} at all times",
                wanted="finite values that vary",
                remedy="give another seed or another condition",
            )
    phi, c = phi - phi.mean(), c - c.mean()
    return {SEED: phi, CONDITION: c, INTERACTION: phi * c}
