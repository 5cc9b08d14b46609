"""Spatial correlation of maps with a gradient, tested by rotating the gradient.

The gradient is rotated because it covers the whole cortex: the mask of the maps stays where it is.
Rotating masked maps instead leaves a median overlap of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from bids_app.errors import ONE_OF_THESE, BadDataError, UsageError, check_shape
from bids_app.group.moments import MaskedMaps
from bids_app.group.spins import SphereRotator, random_rotations
from bids_app.loading import load_gifti
from bids_app.seeds import generator
from bids_app.threads import ordered_map

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Correlations, partial correlations, coverage of some rotations, one per row.
_Block = tuple[FloatArray, FloatArray | None, FloatArray]

_BLOCK = 64
_MIN_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class AlignmentResult:
    """Correlation of maps with a gradient and its null distribution under rotations.

    Attributes
    ----------
    r : (n_maps,) float64
        Correlation of each map with the gradient inside the mask.
    p : (n_maps,) float64
        Two-sided, (1 + b) / (1 + n_spins); not corrected over maps.
    null : (n_maps, n_spins) float64
        Correlations with the rotated gradient; one rotation per column, the same for all maps.
    partial_r, partial_null : as above, or None
        The same given a covariate map (such as accuracy).
    coverage : (n_spins,) float64
        Share of the mask that the rotated gradient covers.
    n_redrawn : int
        Rotations drawn again because they covered less than half of the mask.
    n_spins, n_vertices : int
        Rotations, and vertices of the mask with a gradient value.
    method : str
        "spearman" (ranks taken once over the whole map) or "pearson".
    """

    r: FloatArray
    p: FloatArray
    null: FloatArray
    partial_r: FloatArray | None
    partial_null: FloatArray | None
    coverage: FloatArray
    n_redrawn: int
    n_spins: int
    n_vertices: int
    method: str


def spin_alignment(
    maps: npt.ArrayLike,
    gradient: npt.ArrayLike,
    mask: npt.ArrayLike,
    *,
    spheres: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    method: str = "spearman",
    n_spins: int = 10_000,
    seed: int,
    covariates: npt.ArrayLike | None = None,
    rotations: npt.ArrayLike | None = None,
    n_threads: int = 1,
) -> AlignmentResult:
    """Correlate maps with a gradient and test by rotating the gradient.

    Ranks are taken once, over all finite vertices of each map, and the rotated correlation is that
    of the ranks. Vertices on which the rotated gradient is not defined (its medial wall lands
    there) are left out of that rotation; a rotation that covers less than half of the mask is
    drawn again. All maps see the same rotations.

    Parameters
    ----------
    maps : (n_maps, n_vertices) or (n_vertices,) array
        Maps, left hemisphere first. NaN where undefined (left out of that map's correlations).
    gradient : (n_vertices,) array
        Gradient, NaN on the medial wall.
    mask : (n_vertices,) bool array
        Vertices to correlate over; any part of either hemisphere.
    spheres : pair of (n, 3) arrays, optional
        Left and right sphere; fsaverage5 without them.
    method : {"spearman", "pearson"}
        Kind of correlation.
    n_spins : int
        Rotations.
    seed : int
        Seed of the rotations; results do not depend on `n_threads`.
    covariates : (n_maps, n_vertices) or (n_vertices,) array, optional
        What to control for, per map or common. Its ranks are used with "spearman". Vertices where
        it is not finite are left out of both plain and partial correlations.
    rotations : (n_spins, 3, 3) array, optional
        Rotations of the left hemisphere to use instead of drawing; none is then replaced.
    n_threads : int
        Threads.

    Returns
    -------
    AlignmentResult
        Correlations, p-values and null distributions.

    Raises
    ------
    BadDataError
        If shapes disagree, a map or the gradient has nothing finite or is constant inside the
        mask, or half of the mask cannot be covered.
    UsageError
        If the method is unknown.

    Notes
    -----
    Alexander-Bloch et al. 2018, doi:10.1016/j.neuroimage.2018.05.070.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> mesh = load_mesh("fsaverage3")
    >>> gradient = np.sin(np.vstack(mesh.spheres) / 15).sum(axis=1)
    >>> everywhere = np.ones(mesh.n_vertices, dtype=bool)
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.standard_normal((2, mesh.n_vertices))
    >>> maps[0] += gradient
    >>> result = spin_alignment(
    ...     maps, gradient, everywhere, spheres=mesh.spheres, n_spins=199, seed=0
    ... )
    >>> (np.abs(result.r) > 0.5).tolist(), (result.p < 0.05).tolist(), result.null.shape
    ([True, False], [True, False], (2, 199))
    """
    x, target, inside, given = _check(maps, gradient, mask, covariates, method)
    rotator = SphereRotator(_spheres(spheres, len(target)), inside)
    if method == "spearman":
        x, target = _ranks(x), _ranks(target[np.newaxis])[0]
        given = None if given is None else _ranks(given)
    masked = MaskedMaps(x[:, inside], None if given is None else given[:, inside])
    # Sums of centered and scaled values keep their digits.
    target = (target - np.nanmean(target[inside])) / np.nanstd(target[inside])
    r, partial_r = masked.correlate(target[inside][np.newaxis])
    spinner = _Spinner(rotator, masked, target, n_threads)
    if rotations is None:
        blocks, n_drawn = spinner.draw(n_spins, seed)
    else:
        blocks = spinner.correlate(np.asarray(rotations, dtype=np.float64), 0.0)
        n_drawn = sum(len(block[2]) for block in blocks)
    nulls, partial_nulls, coverages = zip(*blocks, strict=True)
    null = np.ascontiguousarray(np.concatenate(nulls).T)
    return AlignmentResult(
        r=r[0],
        p=two_sided_p(r[0], null),
        null=null,
        partial_r=None if partial_r is None else partial_r[0],
        partial_null=None
        if partial_r is None
        else np.ascontiguousarray(np.concatenate(partial_nulls).T),
        coverage=np.concatenate(coverages),
        n_redrawn=n_drawn - null.shape[1],
        n_spins=null.shape[1],
        n_vertices=int(np.isfinite(target[inside]).sum()),
        method=method,
    )


def gradient_correlations(
    maps: npt.ArrayLike, gradient: npt.ArrayLike, mask: npt.ArrayLike, *, method: str = "spearman"
) -> FloatArray:
    """Correlations of maps with a gradient inside a mask, as `spin_alignment` has them.

    Parameters
    ----------
    maps, gradient, mask, method
        As for `spin_alignment`.

    Returns
    -------
    (n_maps,) float64

    Raises
    ------
    BadDataError, UsageError
        As for `spin_alignment`.

    Examples
    --------
    >>> gradient = np.linspace(-1.0, 1.0, 50)
    >>> maps = np.array([gradient**3, -gradient])
    >>> everywhere = np.ones(50, dtype=bool)
    >>> gradient_correlations(maps, gradient, everywhere).round(2).tolist()  # of ranks
    [1.0, -1.0]
    >>> gradient_correlations(maps, gradient, everywhere, method="pearson").round(2).tolist()
    [0.92, -1.0]
    """
    x, target, inside, _ = _check(maps, gradient, mask, None, method)
    if method == "spearman":
        x, target = _ranks(x), _ranks(target[np.newaxis])[0]
    return np.asarray(MaskedMaps(x[:, inside]).correlate(target[inside][np.newaxis])[0][0])


def gradient_weights(
    gradient: npt.ArrayLike, mask: npt.ArrayLike, *, method: str = "spearman"
) -> FloatArray:
    """Weights of vertices whose product with a map is linear and follows its alignment.

    Parameters
    ----------
    gradient, mask, method
        As for `spin_alignment`.

    Returns
    -------
    (n_vertices,) float64
        Centred ranks of the gradient (its values for "pearson") inside the mask over their
        standard deviation and number, 0 elsewhere. With a map, divided by its standard deviation
        inside the mask, they give the correlation of the map with the ranks.

    Raises
    ------
    BadDataError, UsageError
        As for `spin_alignment`.

    Examples
    --------
    >>> gradient = np.linspace(-1.0, 1.0, 50) ** 3
    >>> noisy = gradient + 0.1 * np.random.default_rng(0).standard_normal(50)
    >>> weights = gradient_weights(gradient, np.ones(50, dtype=bool))
    >>> ranks = np.arange(50.0)  # of the gradient
    >>> np.allclose(weights @ noisy / noisy.std(), np.corrcoef(noisy, ranks)[0, 1])
    True
    """
    _, target, inside, _ = _check(gradient, gradient, mask, None, method)
    if method == "spearman":
        target = _ranks(target[np.newaxis])[0]
    inside = inside & np.isfinite(target)
    centered = target[inside] - target[inside].mean()
    weights = np.zeros(len(target))
    weights[inside] = centered / (centered.std() * inside.sum())
    return weights


def two_sided_p(observed: npt.ArrayLike, null: npt.ArrayLike) -> FloatArray:
    """Two-sided p of observed values against their null distributions.

    Parameters
    ----------
    observed : (n,) array
        Observed values.
    null : (n, n_draws) array
        Draws under the null hypothesis.

    Returns
    -------
    (n,) float64
        (1 + #{abs(null) >= abs(observed)}) / (1 + n_draws); NaN where the value is not finite.

    Examples
    --------
    >>> two_sided_p([3.0, -1.0], [[0.5, -1.0, 2.0], [0.5, -1.0, 2.0]]).tolist()
    [0.25, 0.75]
    """
    observed = np.asarray(observed, dtype=np.float64)
    null = np.asarray(null, dtype=np.float64)
    # Equal values may differ by rounding; an undefined draw counts against the observed value.
    threshold = np.abs(observed)[:, np.newaxis] * (1 - 1e-12)
    p = (1.0 + (~(np.abs(null) < threshold)).sum(axis=1)) / (1.0 + null.shape[1])
    return np.where(np.isfinite(observed), p, np.nan)


@dataclass(frozen=True, eq=False)
class _Spinner:
    """Rotate the gradient in blocks and correlate each block at once."""

    rotator: SphereRotator
    masked: MaskedMaps
    gradient: FloatArray
    n_threads: int

    def draw(self, n_spins: int, seed: int) -> tuple[list[_Block], int]:
        """Random rotations that cover enough of the mask, and how many were drawn for them."""
        if n_spins < 1:
            raise UsageError(
                "Too few rotations.",
                where="n_spins",
                found=n_spins,
                wanted="1 or more",
                remedy="give --n-spins 1000 or more",
            )
        rng = generator(seed, "rotations")
        blocks: list[_Block] = []
        n_done = n_drawn = 0
        while n_done < n_spins:
            # As many as are missing, so that the draws depend on nothing but the seed.
            candidates = random_rotations(n_spins - n_done, rng)
            n_drawn += len(candidates)
            blocks += self.correlate(candidates, _MIN_COVERAGE)
            n_done = sum(len(block[2]) for block in blocks)
            if n_drawn > 20 * n_spins + 200:
                raise BadDataError(
                    "Rotated gradients hardly ever cover half of the mask.",
                    where="gradient",
                    found=f"{n_done} usable of {n_drawn} rotations",
                    wanted="rotations after which the gradient covers half of the mask",
                    remedy="Use a gradient that covers the cortex, or a larger mask.",
                )
        return blocks, n_drawn

    def correlate(self, rotations: FloatArray, min_coverage: float) -> list[_Block]:
        """Correlations under those of the rotations that cover enough of the mask."""

        def block(rotations: FloatArray) -> _Block:
            rotated = np.empty((len(rotations), self.rotator.n_points))
            for row, rotation in zip(rotated, rotations, strict=True):
                np.take(self.gradient, self.rotator.source_vertices(rotation), out=row)
            coverage = np.isfinite(rotated).mean(axis=1)
            kept = coverage >= min_coverage
            return (*self.masked.correlate(rotated[kept]), coverage[kept])

        parts = [rotations[i : i + _BLOCK] for i in range(0, len(rotations), _BLOCK)]
        return list(ordered_map(block, parts, self.n_threads))


def _spheres(
    spheres: tuple[npt.ArrayLike, npt.ArrayLike] | None, n_vertices: int
) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    if spheres is None:
        spheres = _fsaverage5_spheres()
    lengths = [len(np.asarray(sphere)) for sphere in spheres]
    if sum(lengths) != n_vertices:
        raise BadDataError(
            "The maps are not on the mesh of the spheres.",
            where="maps",
            found=f"{n_vertices} vertices",
            wanted=f"{lengths[0]} left and {lengths[1]} right",
            remedy="Resample the maps or pass the spheres of their mesh.",
        )
    return spheres


def _fsaverage5_spheres() -> tuple[FloatArray, FloatArray]:
    # Read here, not through bids_app.surface: the numeric packages stand alone.
    from nilearn.datasets import fetch_surf_fsaverage

    files = fetch_surf_fsaverage("fsaverage5")
    left, right = (
        np.asarray(load_gifti(Path(files[f"sphere_{side}"])).agg_data("pointset"))
        for side in ("left", "right")
    )
    return left, right


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks over the finite vertices of each map, NaN elsewhere, centered."""
    ranks = rankdata(values, axis=-1, nan_policy="omit")
    return np.asarray(ranks - np.nanmean(ranks, axis=-1, keepdims=True), dtype=np.float64)


def _check(
    maps: npt.ArrayLike,
    gradient: npt.ArrayLike,
    mask: npt.ArrayLike,
    covariates: npt.ArrayLike | None,
    method: str,
) -> tuple[FloatArray, FloatArray, BoolArray, FloatArray | None]:
    if method not in ("spearman", "pearson"):
        raise UsageError(
            "Unknown kind of correlation.",
            where="method",
            found=method,
            wanted="spearman or pearson",
            remedy=ONE_OF_THESE,
        )
    x = np.atleast_2d(_finite_or_nan(maps))
    target = _finite_or_nan(gradient)
    inside = np.asarray(mask, dtype=bool)
    check_shape("maps", x, "n_maps", "n_vertices")
    check_shape("gradient", target, x.shape[1])
    check_shape("mask", inside, x.shape[1])
    _check_spread(target[np.newaxis], inside, "gradient")
    coverage = np.isfinite(target[inside]).mean()
    if coverage < _MIN_COVERAGE:
        raise BadDataError(
            "The gradient covers less than half of the mask.",
            where="gradient",
            found=f"{coverage:.0%}",
            wanted="at least 50%",
            remedy="use a gradient that covers the cortex, or another mask",
        )
    given = None
    if covariates is not None:
        given = np.atleast_2d(_finite_or_nan(covariates))
        check_shape("covariates", given, 1 if len(given) == 1 else len(x), x.shape[1])
        both = np.isfinite(given) & np.isfinite(x)
        x, given = np.where(both, x, np.nan), np.where(both, given, np.nan)
        _check_spread(given, inside, "covariates")
    _check_spread(x, inside & np.isfinite(target), "maps")
    return x, target, inside, given


def _finite_or_nan(values: npt.ArrayLike) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _check_spread(maps: FloatArray, mask: BoolArray, name: str) -> None:
    for index, values in enumerate(maps):
        inside = values[mask & np.isfinite(values)]
        if len(inside) < 3 or np.ptp(inside) == 0:
            raise BadDataError(
                "A map has no variation inside the mask.",
                where=f"{name}[{index}]" if len(maps) > 1 else name,
                found=f"{len(inside)} finite values of {int(mask.sum())} in the mask",
                wanted="at least three that differ",
                remedy="use a larger mask, or leave this map out",
            )
