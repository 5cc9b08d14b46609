"""A dataset's own gradient: diffusion map embedding of resting-state connectivity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.stats import rankdata

from bids_app.errors import BadDataError, check_shape
from bids_app.statistics import fisher_z

FloatArray = npt.NDArray[np.float64]

KEPT_SHARE = 0.1
"""Of each row of the connectivity: its strongest."""
ALPHA = 0.5
N_COMPONENTS = 10
_ROWS = 2048
SMALLEST_R = 0.3
"""With the template, of a component that may be called its gradient."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """Components of a diffusion map.

    Attributes
    ----------
    components : (n_vertices, n_components) float64
        Gradients: eigenvectors over the first one, times eigenvalue / (1 - eigenvalue).
    eigenvalues : (n_components,) float64
        Descending.
    degrees : (n_vertices,) float64
        Row sums of the affinity, for :func:`extend`.
    """

    components: FloatArray
    eigenvalues: FloatArray
    degrees: FloatArray


@dataclass(frozen=True)
class ComponentChoice:
    """The component that matches a template.

    Attributes
    ----------
    number : int
        Counted from 1.
    r : float
        Spearman correlation with the template, its sign removed.
    flipped : bool
        Whether the component's sign was changed.
    second : int
    second_r : float
        The runner-up.
    """

    number: int
    r: float
    flipped: bool
    second: int
    second_r: float


def connectivity(series: npt.ArrayLike, to: npt.ArrayLike, rows: slice = slice(None)) -> FloatArray:
    """Fisher z of the correlation of vertices with others.

    Parameters
    ----------
    series : (n_times, n_vertices) array
        Cleaned resting-state responses; finite.
    to : (n_seeds,) int array
        Vertices to correlate with. Of a vertex with itself it is 0.
    rows : slice
        Of the vertices, with a start; all without it.

    Returns
    -------
    (n_rows, n_seeds) float64

    Raises
    ------
    BadDataError
        If a vertex is constant or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> series = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [2.0, 1.0, 1.0], [3.0, 2.0, 0.0]])
    >>> np.tanh(connectivity(series, [0, 1])).round(2).tolist()
    [[0.0, 0.95], [0.95, 0.0], [-0.45, -0.71]]
    """
    values = np.asarray(series, dtype=np.float64)
    check_shape("series", values, "n_times", "n_vertices")
    seeds = np.asarray(to, dtype=np.intp)
    centered = values - values.mean(axis=0)
    norms = np.linalg.norm(centered, axis=0)
    bad = ~np.isfinite(norms) | (norms == 0)
    if bad.any():
        raise BadDataError(
            "Vertices without a signal cannot take part in connectivity.",
            where="series",
            found=f"{bad.sum()} of {bad.size} vertices are constant or not finite",
            wanted="series that vary",
            remedy="leave them out",
        )
    centered /= norms
    z = fisher_z(centered[:, rows].T @ centered[:, seeds])
    at = seeds - (rows.start or 0)
    there = (at >= 0) & (at < len(z))
    z[at[there], np.flatnonzero(there)] = 0.0
    return z


def strongest(rows: npt.ArrayLike, share: float = KEPT_SHARE) -> npt.NDArray[np.float32]:
    """Rows with their strongest positive values, the others zero, scaled to length one.

    Parameters
    ----------
    rows : (n_vertices, n_seeds) array
        Connectivity.
    share : float
        Of the values of a row that are kept.

    Returns
    -------
    (n_vertices, n_seeds) float32

    Examples
    --------
    >>> strongest([[0.0, 3.0, 4.0, -9.0]], share=0.5).round(2).tolist()
    [[0.0, 0.6000000238418579, 0.800000011920929, 0.0]]
    """
    kept = np.array(rows, dtype=np.float64)
    n_kept = max(1, round(share * kept.shape[1]))
    limit = np.partition(kept, -n_kept, axis=1)[:, -n_kept]
    kept[(kept < limit[:, np.newaxis]) | (kept < 0)] = 0.0
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    return np.asarray(kept / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def diffusion_map(
    rows: npt.ArrayLike, n_components: int = N_COMPONENTS, alpha: float = ALPHA
) -> Embedding:
    """Embed vertices by how they are connected.

    Parameters
    ----------
    rows : (n_vertices, n_vertices) array
        What :func:`strongest` gives: the affinity is the cosine of two rows.
    n_components : int
        Components.
    alpha : float
        How far differences of density count: 0 fully, 1 not at all.

    Returns
    -------
    Embedding

    Raises
    ------
    BadDataError
        If the graph falls apart.

    Notes
    -----
    Coifman and Lafon 2006, doi:10.1016/j.acha.2006.04.006; Margulies et al. 2016,
    doi:10.1073/pnas.1608282113.

    Examples
    --------
    >>> import numpy as np
    >>> place = np.linspace(0, 1, 60)
    >>> rows = strongest(np.exp(-((place[:, None] - place) ** 2) / 0.02), share=0.3)
    >>> found = diffusion_map(rows, 2).components[:, 0]
    >>> bool(abs(np.corrcoef(found, place)[0, 1]) > 0.9)
    True
    """
    values = np.asarray(rows, dtype=np.float32)
    affinity = (values @ values.T).astype(np.float64)
    n_parts, part_of = connected_components(affinity > 0, directed=False)
    if n_parts > 1:
        sizes = np.bincount(part_of)
        raise BadDataError(
            "The connectivity falls apart, so there is no common gradient.",
            where="rows",
            found=f"{n_parts} parts, of {sizes.max()} vertices and less",
            wanted="one connected graph",
            remedy="use longer runs, or smooth them",
        )
    degrees = affinity.sum(axis=1)
    weight = affinity / np.outer(degrees, degrees) ** alpha
    root = np.sqrt(weight.sum(axis=1))
    weight /= np.outer(root, root)
    start = np.ones(len(weight))  # a start of its own would be random
    eigenvalues, vectors = eigsh(weight, k=n_components + 1, v0=start)
    order = np.argsort(eigenvalues)[::-1]
    eigenvalues, vectors = eigenvalues[order], vectors[:, order]
    own = eigenvalues[1:]
    components = vectors[:, 1:] / vectors[:, :1] * (own / (1 - own))
    return Embedding(components, own, degrees)


def extend(
    embedding: Embedding, rows: npt.ArrayLike, others: npt.ArrayLike, alpha: float = ALPHA
) -> FloatArray:
    """Components at other vertices, from their connectivity.

    Parameters
    ----------
    embedding : Embedding
    rows : (n_vertices, n_seeds) array
        Connectivity of the embedding's vertices, as given to `diffusion_map`.
    others : (n_others, n_seeds) array
        Connectivity of the other vertices.
    alpha : float
        As of the embedding.

    Returns
    -------
    (n_others, n_components) float64
        NaN where a vertex has no affinity with any. Vertices of the embedding keep their values.

    Notes
    -----
    Nystrom: an eigenvector is the mean of itself over the neighbors, divided by its eigenvalue.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    >>> embedding = diffusion_map(rows, 2)
    >>> again = extend(embedding, rows, rows[:5])
    >>> bool(np.allclose(again, embedding.components[:5], atol=1e-3))
    True
    """
    own, given = (np.asarray(one, dtype=np.float32) for one in (rows, others))
    spread = np.column_stack([np.ones(len(own)), embedding.components])
    spread /= embedding.degrees[:, np.newaxis] ** alpha
    # Sums over neighbors without the affinity, which is larger than both.
    at_seeds = own.astype(np.float64).T @ spread
    sums = np.concatenate(
        [given[k : k + _ROWS].astype(np.float64) @ at_seeds for k in range(0, len(given), _ROWS)]
    )
    means = sums[:, 1:] / np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
    return np.asarray(means / embedding.eigenvalues)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Components that were rotated to those of a reference.

    Attributes
    ----------
    values : (n_others, n_components) float64
    shares : (n_components,) float64
        Of each direction in the variance of the components before they were scaled.
    """

    values: FloatArray
    shares: FloatArray


def align_components(
    components: npt.ArrayLike, reference: npt.ArrayLike, others: npt.ArrayLike | None = None
) -> Aligned:
    """Rotate components to those of a reference (orthogonal Procrustes).

    Parameters
    ----------
    components, reference : (n_vertices, n_components) arrays
        Finite; of the same vertices. Both are centered, and every component has length one.
    others : (n_others, n_components) array, optional
        The components at the vertices that are wanted; without it at those given.

    Returns
    -------
    Aligned
        With values of shape (n_vertices or n_others, n_components).

    Raises
    ------
    BadDataError
        If the shapes differ.

    Notes
    -----
    A rotated component has no eigenvalue: the share of variance in its direction replaces it.

    Examples
    --------
    >>> import numpy as np
    >>> reference = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 3)))[0]
    >>> reference -= reference.mean(axis=0)
    >>> turned = reference[:, [1, 2, 0]] * [1, -1, 1]
    >>> found = align_components(turned, reference).values
    >>> bool(min(np.corrcoef(found[:, k], reference[:, k])[0, 1] for k in range(3)) > 0.999)
    True
    """
    own, wanted = (np.asarray(one, dtype=np.float64) for one in (components, reference))
    check_shape("components", own, "n_vertices", "n_components")
    check_shape("reference", wanted, *own.shape)
    mean, wanted = own.mean(axis=0), wanted - wanted.mean(axis=0)
    norms = np.linalg.norm(own - mean, axis=0)
    scaled = (own - mean) / norms
    left, _, right = np.linalg.svd(scaled.T @ (wanted / np.linalg.norm(wanted, axis=0)))
    turn = left @ right
    given = own if others is None else np.asarray(others, dtype=np.float64)
    return Aligned((given - mean) / norms @ turn, turn.T**2 @ norms**2 / (norms**2).sum())


def choose_component(components: npt.ArrayLike, template: npt.ArrayLike) -> ComponentChoice:
    """The component that is most like a template: never simply the first.

    Parameters
    ----------
    components : (n_vertices, n_components) array
    template : (n_vertices,) array
        NaN where it has no value.

    Returns
    -------
    ComponentChoice

    Raises
    ------
    BadDataError
        If none correlates with the template by `SMALLEST_R` or more.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> components = rng.normal(size=(300, 3))
    >>> found = choose_component(components, rng.normal(size=300) - 3 * components[:, 1])
    >>> found.number, found.flipped
    (2, True)
    """
    values, wanted = (np.asarray(one, dtype=np.float64) for one in (components, template))
    check_shape("template", wanted, len(values))
    there = np.isfinite(wanted) & np.isfinite(values).all(axis=1)
    ranks = rankdata(np.column_stack([wanted[there], values[there]]), axis=0)
    r = np.atleast_2d(np.corrcoef(ranks.T))[0, 1:]
    first, second = np.argsort(-np.abs(r))[:2] if len(r) > 1 else (0, 0)
    if not abs(r[first]) >= SMALLEST_R:
        raise BadDataError(
            "No component of the resting runs is like the template.",
            where="components",
            found=", ".join(f"{k}: {value:.2f}" for k, value in enumerate(r, 1)),
            wanted=f"a Spearman correlation of {SMALLEST_R} or more",
            remedy="use longer or more resting runs, or the template itself (--gradient)",
        )
    return ComponentChoice(
        int(first) + 1, float(abs(r[first])), bool(r[first] < 0), int(second) + 1, float(r[second])
    )


def mean_connectivity(each: Iterable[npt.NDArray[Any]]) -> FloatArray:
    """Mean over participants or runs, without holding all of them.

    Parameters
    ----------
    each : iterable of (n_vertices, n_seeds) arrays
        Connectivity.

    Returns
    -------
    (n_vertices, n_seeds) float64

    Raises
    ------
    BadDataError
        If there is nothing.

    Examples
    --------
    >>> mean_connectivity(np.full((1, 2), value) for value in (1.0, 2.0)).tolist()
    [[1.5, 1.5]]
    """
    total, n = None, 0
    for one in each:
        total = np.array(one, dtype=np.float64) if total is None else total + one
        n += 1
    if total is None:
        raise BadDataError(
            "There is no connectivity to average.",
            where="each",
            found="no matrix",
            wanted="one per participant or run",
            remedy="give resting runs",
        )
    return np.asarray(total / n)
