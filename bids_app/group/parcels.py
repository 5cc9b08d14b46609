"""Tables per parcel of an atlas, participant by participant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]

_BACKGROUND = (0, -1)


@dataclass(frozen=True, eq=False)
class ParcelTable:
    """Means over the parcels of an atlas.

    Attributes
    ----------
    labels : (n_parcels,) int
        Numbers of the parcels, ascending; background is not among them.
    names : tuple of str
        Their names; the number where there is none.
    n_vertices : (n_parcels,) int
        Vertices of each parcel that are finite in any map: what the cortex mask leaves out does
        not count.
    area : (n_parcels,) float64
        Their area in mm2.
    values : (..., n_parcels) float64
        Area-weighted means over finite vertices; NaN where there are none.
    """

    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    n_vertices: npt.NDArray[np.int64]
    area: FloatArray
    values: FloatArray


def parcel_table(
    maps: npt.ArrayLike,
    labels: npt.ArrayLike,
    areas: npt.ArrayLike,
    *,
    label_names: Mapping[int, str] | None = None,
) -> ParcelTable:
    """Average maps over the parcels of an atlas.

    Serves accuracy (n_participants, n_layers, n_vertices), preference (n_participants, n_vertices)
    and group maps alike.

    Parameters
    ----------
    maps : (..., n_vertices) array
        Maps; NaN are left out.
    labels : (n_vertices,) int array
        Parcel of each vertex; 0 and -1 are background.
    areas : (n_vertices,) array
        Vertex areas, mm2, the weights of the means.
    label_names : mapping, optional
        Names of the parcels.

    Returns
    -------
    ParcelTable
        One column per parcel.

    Raises
    ------
    BadDataError
        If shapes disagree or no parcel is left.

    Examples
    --------
    >>> maps = np.array([[0.1, 0.3, 0.5, 0.9], [0.2, np.nan, 0.6, 0.9]])  # two participants
    >>> table = parcel_table(maps, [1, 1, 2, 0], [1.0, 3.0, 2.0, 2.0], label_names={1: "Heschl"})
    >>> table.names, table.n_vertices.tolist(), table.area.tolist()
    (('Heschl', '2'), [2, 1], [4.0, 2.0])
    >>> table.values.round(2).tolist()
    [[0.25, 0.5], [0.2, 0.6]]
    """
    maps = np.asarray(maps, dtype=np.float64)
    labels = np.asarray(labels)
    areas = np.asarray(areas, dtype=np.float64)
    check_shape("labels", labels, maps.shape[-1])
    check_shape("areas", areas, maps.shape[-1])
    inside = ~np.isin(labels, _BACKGROUND)
    found, parcel = np.unique(labels[inside], return_inverse=True)
    if not len(found):
        raise BadDataError(
            "The atlas has no parcel.",
            where="labels",
            found="only background",
            wanted="a label above 0",
            remedy="give another atlas",
        )
    members = np.zeros((int(inside.sum()), len(found)))
    members[np.arange(len(members)), parcel] = areas[inside]
    rows = maps[..., inside].reshape(-1, len(members))
    finite = np.isfinite(rows)
    counted = finite.any(axis=0)
    weight = finite.astype(np.float64) @ members
    total = np.where(finite, rows, 0.0) @ members
    means = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    names = label_names or {}
    return ParcelTable(
        labels=found.astype(np.int64),
        names=tuple(names.get(int(label), str(label)) for label in found),
        n_vertices=np.count_nonzero(members[counted], axis=0),
        area=members[counted].sum(axis=0),
        values=means.reshape(*maps.shape[:-1], len(found)),
    )
