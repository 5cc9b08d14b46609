"""How a map of differences between layers varies over music: width at every vertex, and tails.

The closed form keeps penalties and norms of predictions. In a difference between layers these do
not cancel: standard deviations in closed form differ more between vertices than those of refits do,
and refits have heavier tails. Both are read off refits at a few vertices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]

# Of the t distributions whose tails refits may have: equal steps of the reciprocal.
_DEGREES = (np.inf, *(1 / np.arange(0.01, 0.205, 0.01)))


@dataclass(frozen=True)
class MapShape:
    """Null of a map beside its closed form.

    Attributes
    ----------
    exponent : float
        Power of the closed form's standard deviation that follows the refits', 0 to 1.
    factor : float
        Standard deviation where the closed form is `middle`.
    middle : float
        Geometric mean of the closed form at the vertices of the refits.
    degrees : float
        Degrees of freedom of the t distribution that fits the refits best; infinite for a normal
        one.
    """

    exponent: float
    factor: float
    middle: float
    degrees: float

    @property
    def told(self) -> str:
        """In one sentence."""
        tails = "normal" if self.degrees == np.inf else f"those of t({self.degrees:.0f})"
        return (
            f"standard deviations follow the closed form to the power {self.exponent:.2f}, "
            f"tails are {tails}"
        )

    def around(self, middle: float) -> MapShape:
        """The same of a closed form with another geometric mean at these vertices."""
        return replace(self, middle=middle, factor=self.factor * middle / self.middle)

    def sd(self, closed_sd: npt.ArrayLike) -> FloatArray:
        """Standard deviation at every vertex, from that in closed form."""
        closed = np.asarray(closed_sd, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self.factor * (closed / self.middle) ** self.exponent
        return np.where(closed > 0, found, np.nan)

    def two_sided_p(self, z: npt.ArrayLike) -> FloatArray:
        """P of values over their standard deviation; NaN stays NaN."""
        size = np.abs(np.asarray(z, dtype=np.float64))
        if self.degrees == np.inf:
            return np.asarray(2 * special.ndtr(-size))
        unit = np.sqrt(self.degrees / (self.degrees - 2))
        return np.asarray(2 * stats.t.sf(unit * size, self.degrees))

    def normal_score(self, z: npt.ArrayLike) -> FloatArray:
        """The z of a normal distribution that has the same p."""
        p = np.maximum(self.two_sided_p(z), np.finfo(np.float64).tiny)
        return np.asarray(-np.sign(z) * special.ndtri(p / 2))


def map_shape(closed_sd: npt.ArrayLike, refit_draws: npt.ArrayLike) -> MapShape:
    """Compare a map in closed form with its refits at a few vertices.

    Parameters
    ----------
    closed_sd : (n_vertices,) array
        Standard deviation in closed form at the vertices of the refits.
    refit_draws : (n_draws, n_vertices) array
        The map in refits. Its mean under the null is zero.

    Returns
    -------
    MapShape
        The exponent is the slope of log standard deviations, refits on closed form; pooled over
        vertices the closed form is widened where it is too narrow, and never narrowed.

    Raises
    ------
    BadDataError
        Shapes that disagree; no vertex with refits that vary.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> draws = rng.standard_t(8, (400, 60))  # alike everywhere, with heavy tails
    >>> found = map_shape(np.exp(0.3 * rng.standard_normal(60)), draws)
    >>> round(found.exponent, 1), 6 < found.degrees < 12
    (0.0, True)
    """
    sd = np.asarray(closed_sd, dtype=np.float64)
    draws = np.asarray(refit_draws, dtype=np.float64)
    check_shape("closed_sd", sd, "n_vertices")
    check_shape("refit_draws", draws, "n_draws", *sd.shape)
    true = np.sqrt((draws**2).mean(axis=0))
    usable = np.isfinite(true) & (true > 0) & np.isfinite(sd) & (sd > 0)
    if not usable.any():
        raise BadDataError(
            "No vertex has refits that vary.",
            where="refit_draws",
            found="a standard deviation of 0 or none at every vertex",
            wanted="a finite one above 0, here and in closed_sd, at some vertex",
            remedy="draw refits at vertices that have responses",
        )
    sd, true, draws = sd[usable], true[usable], draws[:, usable]
    own = np.log(sd)
    centered = own - own.mean()
    spread = float((centered**2).sum())
    exponent = float((centered * np.log(true)).sum() / spread) if spread > 0 else 1.0
    exponent = min(max(exponent, 0.0), 1.0)
    middle = float(np.exp(own.mean()))
    model = (sd / middle) ** exponent
    pooled = max(float((true**2).mean()), float((sd**2).mean()))
    factor = np.sqrt(pooled / float((model**2).mean()))
    # Unit variance over all vertices: where the model is off at one, tails are longer.
    own_sd = model * np.sqrt(float((true**2).mean()) / float((model**2).mean()))
    return MapShape(exponent, float(factor), middle, _degrees(draws / own_sd))


def _degrees(z: FloatArray) -> float:
    """Degrees of freedom of t, scaled to unit variance, under which values are most likely."""
    found = [
        float(stats.norm.logpdf(z).mean())
        if one == np.inf
        else float(stats.t.logpdf(z, one, scale=np.sqrt((one - 2) / one)).mean())
        for one in _DEGREES
    ]
    return float(_DEGREES[int(np.argmax(found))])
