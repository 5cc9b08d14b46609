"""Table of connected significant regions on the mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from bids_app.errors import check_shape


@dataclass(frozen=True)
class Cluster:
    """A connected region.

    Attributes
    ----------
    hemisphere : str
        "L" or "R".
    n_vertices : int
        Size.
    area : float
        Area in mm2.
    peak_vertex : int
        Vertex of the largest absolute value, counted within its hemisphere from 0.
    peak_value : float
        Value there.
    mean_value : float
        Mean over the region, weighted by area.
    peak_label : str or None
        Atlas region of the peak.
    main_label : str or None
        Atlas region with the largest area inside the cluster.
    """

    hemisphere: str
    n_vertices: int
    area: float
    peak_vertex: int
    peak_value: float
    mean_value: float
    peak_label: str | None
    main_label: str | None


def cluster_table(
    values: npt.ArrayLike,
    significant: npt.ArrayLike,
    adjacency: sparse.spmatrix,
    areas: npt.ArrayLike,
    *,
    n_left: int,
    labels: npt.ArrayLike | None = None,
    label_names: Mapping[int, str] | None = None,
) -> list[Cluster]:
    """Find connected significant regions of one sign, largest first.

    Parameters
    ----------
    values : (n_vertices,) array
        Map, left hemisphere first. Positive and negative vertices never share a region.
    significant : (n_vertices,) bool array
        Vertices that passed; those without a finite value are left out.
    adjacency : (n_vertices, n_vertices) sparse matrix
        Neighbors on the mesh.
    areas : (n_vertices,) array
        Vertex areas, mm2.
    n_left : int
        Vertices of the left hemisphere.
    labels : (n_vertices,) int array, optional
        Atlas region of each vertex.
    label_names : mapping, optional
        Name of each region's number; the number itself where it has none.

    Returns
    -------
    list of Cluster
        Sorted by area.

    Raises
    ------
    BadDataError
        If shapes disagree.

    Examples
    --------
    >>> neighbors = sparse.diags([np.ones(5), np.ones(5)], [-1, 1])  # six vertices in a row
    >>> found = cluster_table(
    ...     [3.0, 4.0, -2.0, 0.1, 5.0, 0.2],
    ...     [True, True, True, False, True, False],
    ...     sparse.csr_matrix(neighbors),
    ...     [2.0, 2.0, 2.0, 2.0, 3.0, 2.0],
    ...     n_left=6,
    ...     labels=[7, 7, 7, 8, 8, 8],
    ...     label_names={7: "Heschl", 8: "insula"},
    ... )
    >>> [(one.n_vertices, one.area, one.peak_value, one.main_label) for one in found]
    [(2, 4.0, 4.0, 'Heschl'), (1, 3.0, 5.0, 'insula'), (1, 2.0, -2.0, 'Heschl')]
    """
    values = np.asarray(values, dtype=np.float64)
    areas = np.asarray(areas, dtype=np.float64)
    passed = np.asarray(significant, dtype=bool)
    atlas = None if labels is None else np.asarray(labels)
    check_shape("values", values, "n_vertices")
    check_shape("significant", passed, len(values))
    check_shape("areas", areas, len(values))
    check_shape("adjacency", adjacency, len(values), len(values))
    if atlas is not None:
        check_shape("labels", atlas, len(values))
    passed = passed & np.isfinite(values)
    names = label_names or {}

    def label_of(number: int) -> str:
        return names.get(number, str(number))

    clusters = []
    for sign in (1, -1):
        members_of_sign = np.flatnonzero(passed & (np.sign(values) == sign))
        graph = sparse.csr_matrix(adjacency)[members_of_sign][:, members_of_sign]
        n_regions, region = connected_components(graph, directed=False)
        for index in range(n_regions):
            members = members_of_sign[region == index]
            peak = members[np.abs(values[members]).argmax()]
            weights = areas[members]
            main = peak_label = None
            if atlas is not None:
                found, inverse = np.unique(atlas[members], return_inverse=True)
                main = label_of(int(found[np.bincount(inverse, weights).argmax()]))
                peak_label = label_of(int(atlas[peak]))
            clusters.append(
                Cluster(
                    hemisphere="L" if peak < n_left else "R",
                    n_vertices=len(members),
                    area=float(weights.sum()),
                    peak_vertex=int(peak if peak < n_left else peak - n_left),
                    peak_value=float(values[peak]),
                    mean_value=float(weights @ values[members] / weights.sum()),
                    peak_label=peak_label,
                    main_label=main,
                )
            )
    return sorted(clusters, key=lambda one: -one.area)
