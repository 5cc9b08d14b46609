"""Width of a null in closed form beside refits, and p corrected by the largest z of draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_app.errors import MORE_DRAWS, BadDataError, UsageError, check_shape
from bids_app.statistics import pareto_tail_p

FloatArray = npt.NDArray[np.float64]

# The closed form is used where its ratio of standard deviations is above this by SURE standard
# errors: a ratio that passed by chance would leave the null too narrow.
SMALLEST_RATIO, SURE = 0.8, 2.0
# Refits below which neither a ratio nor a tail is trusted.
FEWEST_DRAWS = 20


@dataclass(frozen=True)
class SdRatio:
    """Width of a closed-form null relative to refits, and the decision that follows.

    Attributes
    ----------
    ratio : float
        Standard deviation of the closed form over that of the refits; NaN where nothing can be
        compared.
    se : float
        Standard error of the ratio over refits.
    n_draws, n_values : int
        Refits, and summaries or vertices pooled.
    action : {"kept", "scaled", "refits"}
        "scaled": standard deviations and draws of the closed form are multiplied by `factor`.
        "refits": the closed form is not used, refits are to be drawn in its place, where the ratio
        less two standard errors is below .8. "kept": it is not too narrow.
    factor : float
        What draws and standard deviations of the closed form are to be multiplied by; 1 or more.
    ends : float
        By how much accuracies of series that end vary more than refits, which are periodic; part
        of `factor`.
    """

    ratio: float
    se: float
    n_draws: int
    n_values: int
    action: Literal["kept", "scaled", "refits"]
    factor: float
    ends: float = 1.0

    @property
    def unsure(self) -> bool:
        """Whether only the standard error of the ratio rejects the closed form."""
        return self.action == "refits" and self.ratio >= SMALLEST_RATIO

    @property
    def told(self) -> str:
        """What was done, in one sentence."""
        measured = (
            f"SD of the closed form {self.ratio:.2f} (SE {self.se:.2f}) of that of "
            f"{self.n_draws} refits"
        )
        return {
            "kept": f"{measured}: draws stay as they are",
            "scaled": f"{measured}: draws are widened by {self.factor:.2f}{self._of_ends}",
            "refits": f"{measured}, not surely above {SMALLEST_RATIO:g}: refits are drawn instead",
        }[self.action]

    @property
    def _of_ends(self) -> str:
        return f", {self.ends:.2f} of it for series that end" if self.ends > 1 else ""


def sd_ratio(closed_sd: npt.ArrayLike, refit_draws: npt.ArrayLike, ends: float = 1.0) -> SdRatio:
    """Ratio of standard deviations, closed form over refits, and the decision that follows.

    Parameters
    ----------
    closed_sd : array of any shape
        Standard deviation of each summary in closed form: one alignment, or a map at the
        vertices of the refits.
    refit_draws : (n_draws, ...) array
        The same summaries in refits. Their mean under the null is zero.
    ends : float
        By how much both are too narrow, being of periodic series (`bids_app.pairs.end_factor`).

    Returns
    -------
    SdRatio
        One ratio for the family: refits are divided by the closed form's standard deviation and
        pooled, so that every summary counts alike. The standard error is over refits, since the
        summaries of one refit depend on one another.

    Raises
    ------
    BadDataError, UsageError
        Shapes that disagree; fewer than 20 refits; nothing that can be compared.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((200, 50))
    >>> found = sd_ratio(np.full(50, 0.9), draws)  # the closed form is too narrow by a tenth
    >>> round(found.ratio, 1), found.action, round(found.factor, 1)
    (0.9, 'scaled', 1.1)
    >>> sd_ratio(np.full(50, 0.5), draws).action
    'refits'
    """
    sd = np.asarray(closed_sd, dtype=np.float64)
    draws = np.asarray(refit_draws, dtype=np.float64)
    check_shape("refit_draws", draws, "n_draws", *sd.shape)
    n_draws = len(draws)
    if n_draws < FEWEST_DRAWS:
        raise UsageError(
            "A ratio of standard deviations needs more refits.",
            where="refit_draws",
            found=n_draws,
            wanted=f"at least {FEWEST_DRAWS}",
            remedy=MORE_DRAWS,
        )
    draws, sd = draws.reshape(n_draws, -1), sd.ravel()
    usable = np.isfinite(draws).all(axis=0) & np.isfinite(sd) & (sd > 0)
    if not usable.any():
        raise BadDataError(
            "No summary has both a standard deviation and refits.",
            where="closed_sd, refit_draws",
            found=f"{sd.size} summaries",
            wanted="one with finite refits and a standard deviation above 0",
            remedy="see whether the maps hold data inside the mask",
        )
    squares = ((draws[:, usable] / sd[usable]) ** 2).mean(axis=1)
    mean = float(squares.mean())
    if mean == 0:
        raise BadDataError(
            "The refits do not vary.",
            where="refit_draws",
            found="only zeros",
            wanted="draws that differ",
            remedy="see whether the responses hold data",
        )
    ratio = mean**-0.5
    # First order: the ratio is a power of a mean over independent refits.
    se = 0.5 * mean**-1.5 * float(squares.std(ddof=1)) / np.sqrt(n_draws)
    action: Literal["kept", "scaled", "refits"] = "kept" if ratio >= ends else "scaled"
    if ratio - SURE * se < SMALLEST_RATIO:
        action = "refits"
    factor = max(ends / ratio, 1.0)
    return SdRatio(ratio, float(se), n_draws, int(usable.sum()), action, factor, ends)


def largest_z_p(
    z: npt.ArrayLike, largest: npt.ArrayLike, *, tail: Literal["greater", "two-sided"]
) -> FloatArray:
    """P of every z of a map, corrected by the largest z of each draw.

    Parameters
    ----------
    z : array
        Observed map over its standard deviation.
    largest : (n_draws,) array
        Largest z of each draw over the vertices and layers that the correction is for; largest
        ``|z|`` where the test is two-sided.
    tail : {"greater", "two-sided"}
        With "greater", p is 1 where z is below zero.

    Returns
    -------
    float64 array of the shape of `z`
        Beyond the upper quarter of the draws by a generalized Pareto tail
        (`bids_app.statistics.pareto_tail_p`); NaN where `z` is NaN.

    Raises
    ------
    UsageError
        Fewer than 20 draws.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((200, 50))
    >>> p = largest_z_p([-6.0, 2.0, 6.0, np.nan], draws.max(axis=1), tail="greater")
    >>> (p < 0.05).tolist(), p[0].item()
    ([False, False, True, False], 1.0)
    """
    null, observed = (np.asarray(values, dtype=np.float64) for values in (largest, z))
    if null.ndim != 1 or null.size < FEWEST_DRAWS:
        raise UsageError(
            "P corrected over a map need more refits.",
            where="largest",
            found=f"shape {null.shape}",
            wanted=f"at least {FEWEST_DRAWS}",
            remedy=MORE_DRAWS,
        )
    p = pareto_tail_p(np.abs(observed), null)
    return np.where(observed < 0, 1.0, p) if tail == "greater" else p
