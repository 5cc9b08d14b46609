"""Correlations of many maps with many partly missing maps, as matrix products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class MaskedMaps:
    """Maps prepared for correlation with others that miss different vertices each.

    Every correlation is over the vertices where both maps (and the covariate) are finite. All sums
    are float64 matrix products.

    Parameters
    ----------
    maps : (n_maps, n_vertices) array
        Maps, NaN where missing.
    covariates : (n_maps, n_vertices) array or None
        One covariate per map, for partial correlations; NaN where the map is.
    """

    def __init__(self, maps: FloatArray, covariates: FloatArray | None = None) -> None:
        valid = np.isfinite(maps)
        self._valid: FloatArray | None = None if valid.all() else valid.T.astype(np.float64)
        self._maps = _centered(maps)
        self._squares = self._maps**2
        self._covariates: FloatArray | None = None
        if covariates is not None:
            self._covariates = _centered(covariates)
            self._covariate_squares = self._covariates**2
            self._products = self._covariates * self._maps

    def correlate(self, others: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Correlate each of `others` with each map.

        Parameters
        ----------
        others : (n_others, n_vertices) float64
            Other maps, NaN where missing.

        Returns
        -------
        r : (n_others, n_maps) float64
            Pearson correlations over pairwise complete vertices; NaN where undefined.
        partial : (n_others, n_maps) float64 or None
            The same given the covariates; None without them.
        """
        present = np.isfinite(others)
        if present.all():
            weights = np.ones_like(others)
        else:
            weights = present.astype(np.float64)
            others = np.where(present, others, 0.0)
        n = self._sums(weights)
        s_other, ss_other = self._sums(others), self._sums(others**2)
        var_other = ss_other - s_other**2 / n
        s_map = weights @ self._maps
        var_map = weights @ self._squares - s_map**2 / n
        r = _ratio(others @ self._maps - s_other * s_map / n, var_other, var_map)
        if self._covariates is None:
            return r, None
        s_cov = weights @ self._covariates
        var_cov = weights @ self._covariate_squares - s_cov**2 / n
        r_map = _ratio(weights @ self._products - s_map * s_cov / n, var_map, var_cov)
        r_other = _ratio(others @ self._covariates - s_other * s_cov / n, var_other, var_cov)
        return r, partial_correlation(r, r_map, r_other)

    def _sums(self, values: FloatArray) -> FloatArray:
        """Sum over the vertices of each map: (n_others, n_maps) or broadcastable to it."""
        if self._valid is None:
            return values.sum(axis=1, keepdims=True)
        return values @ self._valid


def partial_correlation(
    r_xy: npt.ArrayLike, r_xz: npt.ArrayLike, r_yz: npt.ArrayLike
) -> FloatArray:
    """Correlation of x and y given z, from the three correlations.

    Parameters
    ----------
    r_xy, r_xz, r_yz : arrays that broadcast
        Correlations over the same observations.

    Returns
    -------
    float64 array
        Partial correlation; NaN where x or y is fully determined by z.

    Examples
    --------
    >>> partial_correlation(0.5, 0.0, 0.0).item(), partial_correlation(0.5, 1.0, 0.5).item()
    (0.5, nan)
    """
    r_xy, r_xz, r_yz = (np.asarray(value, dtype=np.float64) for value in (r_xy, r_xz, r_yz))
    return _ratio(r_xy - r_xz * r_yz, 1 - r_xz**2, 1 - r_yz**2)


def _centered(maps: FloatArray) -> FloatArray:
    """Centered and scaled over finite vertices, zero where missing, vertices first."""
    centered = maps - np.nanmean(maps, axis=1, keepdims=True)
    centered /= np.nanstd(centered, axis=1, keepdims=True)
    return np.ascontiguousarray(np.nan_to_num(centered, nan=0.0).T)


def _ratio(covariance: FloatArray, variance_x: FloatArray, variance_y: FloatArray) -> FloatArray:
    product = variance_x * variance_y
    defined = (variance_x > 1e-12) & (variance_y > 1e-12)
    root = np.sqrt(np.where(defined, product, 1.0))
    return np.where(defined, np.clip(covariance / root, -1.0, 1.0), np.nan)
