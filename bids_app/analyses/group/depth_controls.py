"""Controls of depth: does the alignment need all layers, and their order?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.collect import GroupData
from bids_app.features.registry import recorded_space
from bids_app.group import gradient_correlations
from bids_app.preference import MIN_DEPTHS, SlopeModel, group_residual_slopes, n_distinct
from bids_app.seeds import generator
from bids_app.statistics import fisher_mean

FloatArray = NDArray[np.float64]

N_ORDERS = 199
"""Orders of the layers that are drawn."""
N_VERTICES = 2000
"""Vertices, at most, that orders are compared at."""
FITTED, BLOCKS, ORDERS = "as fitted", "blocks alone", "depths exchanged"


@dataclass(frozen=True)
class DepthControls:
    """Mean alignment of the residual slope under other layers and other depths.

    Attributes
    ----------
    fitted : float
        Mean correlation of all layers in their order.
    blocks : float
        The same of the layers that repeat no other; NaN where none does or too few are left.
    n_layers, n_blocks : int
        Layers behind both.
    orders : array of shape (n_orders,)
        The same of all layers whose depths are exchanged at random, at some vertices of the mask.
    at_some : float
        The same as `fitted` at these vertices, which orders are compared with.
    no_blocks : str
        Why there is no alignment of blocks.
    """

    fitted: float
    blocks: float
    n_layers: int
    n_blocks: int
    orders: FloatArray
    at_some: float
    no_blocks: str

    @cached_property
    def share(self) -> float:
        """Share of the orders that align as strongly, the fitted one among them.

        No p-value: neighboring layers are alike, so that orders are not exchangeable.
        """
        as_strong = np.abs(self.orders) >= abs(self.at_some) - 1e-12
        return float((1 + as_strong.sum()) / (1 + len(self.orders)))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row per control, as the table has them."""
        nothing = float("nan")
        largest = float(np.abs(self.orders).max())
        return [
            _row(FITTED, self.n_layers, self.fitted, nothing, nothing),
            _row(BLOCKS, self.n_blocks, self.blocks, nothing, nothing),
            _row(ORDERS, self.n_layers, float(np.mean(self.orders)), largest, self.share),
        ]


def depth_controls(
    r: NDArray[np.floating],
    depth: Sequence[float],
    gradient: FloatArray,
    mask: NDArray[np.bool_],
    *,
    twins: Collection[int] = (),
    method: str = "spearman",
    slope_model: SlopeModel = "quadratic",
    n_orders: int = N_ORDERS,
    seed: int,
) -> DepthControls:
    """Align slopes of fewer layers, and of layers whose depths are exchanged, with a gradient.

    Parameters
    ----------
    r : array of shape (n_participants, n_layers, n_vertices)
        Accuracy of each participant.
    depth : sequence of n_layers float
        Depth of the layers.
    gradient : array of shape (n_vertices,)
    mask : array of shape (n_vertices,), bool
        Vertices that are compared, and that the reference profile is averaged over.
    twins : collection of int
        Layers, from 0, that repeat the one before them (its ReLU, its pooling).
    method : {"spearman", "pearson"}
    slope_model : {"quadratic", "linear"}
        As for `bids_app.preference.residual_slope`.
    n_orders : int
        Random orders.
    seed : int

    Returns
    -------
    DepthControls

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> depth, gradient = np.linspace(0, 1, 6), np.linspace(-1, 1, 200)
    >>> slopes = np.outer(depth - 0.5, gradient)  # deep layers at the high end
    >>> r = 0.2 + 0.1 * slopes + 0.02 * rng.standard_normal((5, 6, 200))
    >>> everywhere = np.ones(200, dtype=bool)
    >>> found = depth_controls(r, depth, gradient, everywhere, twins=[2], n_orders=99, seed=0)
    >>> found.fitted > 0.8, found.blocks > 0.8, found.share < 0.1
    (True, True, True)
    """

    def aligned(
        values: NDArray[np.floating], depths: FloatArray, some: NDArray[np.intp] | slice
    ) -> float:
        inside = mask[some]
        slopes = group_residual_slopes(values[..., some], inside, depths, slope_model)
        found = gradient_correlations(slopes, gradient[some], inside, method=method)
        return float(fisher_mean(found, axis=0))

    everywhere = slice(None)
    usable = np.flatnonzero(mask & np.isfinite(gradient) & np.isfinite(r).all(axis=(0, 1)))
    step = max(-(-len(usable) // N_VERTICES), 1)
    some = usable[::step]
    depths = np.asarray(depth, dtype=np.float64)
    blocks = [k for k in range(len(depths)) if k not in set(twins)]
    why = _why_no_blocks(depths, blocks, slope_model)
    rng = generator(seed, "orders of layers")
    orders = [aligned(r, rng.permutation(depths), some) for _ in range(n_orders)]
    return DepthControls(
        aligned(r, depths, everywhere),
        float("nan") if why else aligned(r[:, blocks], depths[blocks], everywhere),
        len(depths),
        len(blocks),
        np.array(orders),
        aligned(r, depths, some),
        why,
    )


def controls_of(
    data: GroupData,
    gradient: FloatArray,
    mask: NDArray[np.bool_],
    *,
    method: str,
    slope_model: SlopeModel,
    seed: int,
) -> DepthControls:
    """Controls of depth of the maps of a group; the feature space says which layers are twins."""
    space = recorded_space(str(data.settings.get("features", "")))
    names = () if space is None else space.twins
    twins = [k for k, name in enumerate(data.layer_names) if name in names]
    options: Mapping[str, Any] = {"method": method, "slope_model": slope_model, "seed": seed}
    return depth_controls(data.r, data.depth, gradient, mask, twins=twins, **options)


def _why_no_blocks(depths: FloatArray, blocks: Sequence[int], model: SlopeModel) -> str:
    if len(blocks) == len(depths):
        return "no layer repeats another"
    needed = MIN_DEPTHS[model]
    if n_distinct(depths[list(blocks)]) < needed:
        return f"fewer than {needed} depths are left"
    return ""


def _row(control: str, n_layers: int, rho: float, largest: float, share: float) -> dict[str, Any]:
    return {
        "control": control,
        "n_layers": n_layers,
        "rho": rho,
        "largest": largest,
        "share": share,
    }


CONTROL_COLUMNS = {
    "control": f"{FITTED}: all layers in their order; {BLOCKS}: without layers that repeat the one"
    f" before them; {ORDERS}: random orders of the layers",
    "n_layers": "layers behind the slope",
    "rho": "mean correlation of residual slope and gradient over participants; over orders too",
    "largest": "largest absolute mean correlation of an order",
    "share": "share of the orders that align as strongly, the fitted one among them; no p-value,"
    " since neighboring layers are alike",
}
