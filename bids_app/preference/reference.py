"""Reference profiles for the residual slope, within a participant and across a group.

The reference is the mean profile over well-predicted vertices. Over all cortex, vertices that no
layer predicts would flatten it, and the slope would follow accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape
from bids_app.preference.profiles import SlopeModel, residual_slope

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceProfile:
    """A reference profile, or why there is none.

    Attributes
    ----------
    profile : (n_layers,) float64 or None
        Mean profile over the vertices; None where there are too few.
    n_vertices : int
        Vertices that qualified.
    reason : str or None
        Why there is no profile.
    """

    profile: FloatArray | None
    n_vertices: int
    reason: str | None


def reference_profile(
    profiles: npt.ArrayLike, significant: npt.ArrayLike, *, min_vertices: int = 200
) -> ReferenceProfile:
    """Mean profile over the vertices whose layer-averaged accuracy is significant.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy per layer; vertices with a value that is not finite are left out.
    significant : (n_vertices,) bool array
        Vertices that qualify, chosen without regard to differences between layers.
    min_vertices : int
        Fewer qualifying vertices give no reference.

    Returns
    -------
    ReferenceProfile
        The profile, or None and the reason.

    Raises
    ------
    BadDataError
        If shapes disagree.

    Examples
    --------
    >>> profiles = np.array([[0.1, 0.3, 0.0], [0.2, 0.4, 0.0]])
    >>> significant = np.array([True, True, False])
    >>> found = reference_profile(profiles, significant, min_vertices=2)
    >>> found.profile.round(2).tolist(), found.n_vertices
    ([0.2, 0.3], 2)
    >>> reference_profile(profiles, significant).profile is None  # fewer than 200 vertices
    True
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    significant = np.asarray(significant, dtype=bool)
    check_shape("profiles", profiles, "n_layers", "n_vertices")
    check_shape("significant", significant, profiles.shape[1])
    chosen = significant & np.isfinite(profiles).all(axis=0)
    n_chosen = int(chosen.sum())
    if n_chosen < max(min_vertices, 1):
        reason = f"{n_chosen} significant vertices, at least {min_vertices} are needed"
        return ReferenceProfile(None, n_chosen, reason)
    return ReferenceProfile(profiles[:, chosen].mean(axis=1), n_chosen, None)


def leave_one_out_references(profiles: npt.ArrayLike, mask: npt.ArrayLike) -> FloatArray:
    """Group reference for each participant: the mean profile of all the others.

    Parameters
    ----------
    profiles : (n_participants, n_layers, n_vertices) array
        Accuracy of each participant; values that are not finite are left out.
    mask : (n_vertices,) bool array
        Vertices to average over (the group's mask of layer-averaged accuracy).

    Returns
    -------
    (n_participants, n_layers) float64
        Reference of each participant.

    Raises
    ------
    BadDataError
        If shapes disagree, there are fewer than two participants, the mask is empty, or a
        participant has no finite value inside the mask.

    Examples
    --------
    >>> profiles = np.array([[[0.1], [0.2]], [[0.3], [0.3]], [[0.5], [0.7]]])  # three participants
    >>> leave_one_out_references(profiles, [True]).round(2).tolist()
    [[0.4, 0.5], [0.3, 0.45], [0.2, 0.25]]
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    mask = np.asarray(mask, dtype=bool)
    check_shape("profiles", profiles, "n_participants", "n_layers", "n_vertices")
    check_shape("mask", mask, profiles.shape[2])
    if len(profiles) < 2:
        raise BadDataError(
            "A leave-one-participant-out reference needs at least two participants.",
            where="profiles",
            found=f"{len(profiles)} participant",
            wanted="two or more",
            remedy="add a participant, or give another reference",
        )
    own = np.stack([_mean_profile(one, mask, index) for index, one in enumerate(profiles)])
    return (own.sum(axis=0) - own) / (len(own) - 1)


def group_residual_slopes(
    profiles: npt.ArrayLike,
    mask: npt.ArrayLike,
    depth: npt.ArrayLike,
    model: SlopeModel = "quadratic",
) -> FloatArray:
    """Residual slope of each participant with the leave-one-participant-out group reference.

    Parameters
    ----------
    profiles : (n_participants, n_layers, n_vertices) array
        Accuracy of each participant.
    mask : (n_vertices,) bool array
        Vertices the reference is averaged over.
    depth : (n_layers,) array
        Depth of the layers.
    model : {"quadratic", "linear"}
        As for `residual_slope`.

    Returns
    -------
    (n_participants, n_vertices) float64
        Slopes over all vertices, NaN where a profile is not finite.

    Examples
    --------
    >>> from bids_app.preference import layer_depth
    >>> rng = np.random.default_rng(0)
    >>> common = np.array([0.1, 0.2, 0.25, 0.3, 0.28, 0.2, 0.15])
    >>> profiles = common[:, np.newaxis] + 0.01 * rng.standard_normal((8, 7, 40))  # 8 participants
    >>> profiles[:, :, 0] += 0.2 * layer_depth(7)  # the first vertex prefers deep layers
    >>> slopes = group_residual_slopes(profiles, np.ones(40, dtype=bool), layer_depth(7))
    >>> slopes.shape, bool(slopes.mean(axis=0).argmax() == 0)
    ((8, 40), True)
    """
    references = leave_one_out_references(profiles, mask)
    return np.stack(
        [
            residual_slope(one, depth, reference, model)
            for one, reference in zip(np.asarray(profiles), references, strict=True)
        ]
    )


def _mean_profile(profiles: FloatArray, mask: npt.NDArray[np.bool_], index: int) -> FloatArray:
    chosen = mask & np.isfinite(profiles).all(axis=0)
    if not chosen.any():
        raise BadDataError(
            "A participant has no finite profile inside the mask.",
            where=f"profiles[{index}]",
            found=f"{int(mask.sum())} vertices in the mask, none finite",
            wanted="at least one",
            remedy="leave this participant out, or use a larger mask",
        )
    return profiles[:, chosen].mean(axis=1)
