"""Principal components of network layers, as the LEA toolbox reduces them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from bids_app.errors import BadDataError, UsageError
from bids_app.features.gram import GramSum, Transform
from bids_app.features.network import VGGish
from bids_app.features.stream import Progress, stream_layers
from bids_app.features.vggish import LAYER_NAMES


@dataclass(frozen=True)
class LayerComponents:
    """Component scores of one layer.

    Attributes
    ----------
    layer : int
        1 to 23.
    name : str
        As in ``LAYER_NAMES``.
    scores : tuple of arrays of shape (n_patches_i, n_components)
        float64, one array per stimulus.
    explained : array of shape (n_components,)
        Share of the variance over all stimuli.
    """

    layer: int
    name: str
    scores: tuple[np.ndarray, ...]
    explained: np.ndarray


def layer_components(
    model: VGGish,
    patches: Sequence[np.ndarray],
    *,
    rectify: bool = True,
    layers: Sequence[int | str] | None = None,
    variance: float = 0.99,
    n_components: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[LayerComponents]:
    """Scores of the principal components of each layer over all stimuli.

    As in LEA: activations are half-wave rectified (all layers, so also the log-mel input and the
    layers before a ReLU), and reduced by PCA of the concatenated stimuli, centered but not scaled.
    The components of all stimuli are common, so they have seen the
    stimulus that a model is later tested on, though not the responses to it;
    :func:`components_from_gram` fits them on some rows only.

    Parameters
    ----------
    model : VGGish
    patches : sequence of arrays of shape (n_patches_i, 96, 64)
        One per stimulus.
    rectify : bool
        Set negative values to zero before the PCA.
    layers : sequence of int or str, optional
        Default: all 23.
    variance : float
        Keep the fewest components that explain more than this share.
    n_components : int, optional
        Keep this many instead (LEA: 10, 20, 50 or 100), or as many as there are.
    device : str
        torch device.
    progress : callable, optional
        Called with a few words about ten times.

    Yields
    ------
    LayerComponents

    Raises
    ------
    BadDataError, UsageError
        As :func:`bids_app.features.stream.layer_grams`; a share not between 0 and 1.
    """
    borders = np.cumsum([0, *map(len, patches)])

    def new_sink() -> GramSum:
        return GramSum(int(borders[-1]), centering(rectify), device)

    for layer, total in stream_layers(model, patches, layers, new_sink, device, progress):
        scores, explained = components_from_gram(
            total.result(), variance=variance, n_components=n_components
        )
        parts = tuple(scores[start:stop] for start, stop in pairwise(borders))
        yield LayerComponents(layer, LAYER_NAMES[layer - 1], parts, explained)


def centering(rectify: bool) -> Transform:
    """Transform of units before their components: rectified where `rectify`, and centered.

    Examples
    --------
    >>> out = torch.zeros(2, 2)
    >>> n_constant = centering(rectify=True)(torch.tensor([[-1.0, 2.0], [-3.0, 4.0]]), out)
    >>> n_constant, out.tolist()
    (1, [[0.0, -1.0], [0.0, 1.0]])
    """

    def centered(values: torch.Tensor, out: torch.Tensor) -> int:
        out.copy_(values)
        if rectify:
            out.clamp_(min=0)
        out -= out.mean(dim=0)
        return int((~out.any(dim=0)).sum())

    return centered


def components_from_gram(
    gram: np.ndarray,
    *,
    fit_rows: np.ndarray | None = None,
    variance: float = 0.99,
    n_components: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Principal component scores from inner products.

    Parameters
    ----------
    gram : array of shape (n_times, n_times)
        Inner products of rows; their mean need not be removed.
    fit_rows : array of int or bool, optional
        Rows on which mean and components are fitted (default: all); scores are given for all rows.
    variance : float
        Keep the fewest components that explain more than this share of the fitted rows.
    n_components : int, optional
        Keep this many instead, or as many as there are.

    Returns
    -------
    scores : array of shape (n_times, n_components)
        Each component's largest score among the fitted rows is positive.
    explained : array of shape (n_components,)
        Shares of variance.

    Raises
    ------
    BadDataError
        The rows do not vary.
    UsageError
        A share not between 0 and 1, or fewer than one component.

    Examples
    --------
    >>> features = np.outer([0.0, 0.0, 3.0], [3.0, 4.0])
    >>> scores, explained = components_from_gram(features @ features.T)
    >>> scores.round(6).T.tolist(), explained.round(6).tolist()
    ([[-5.0, -5.0, 10.0]], [1.0])
    """
    if not 0 < variance < 1 or (n_components is not None and n_components < 1):
        raise UsageError(
            "Components are chosen by a share between 0 and 1 or by a positive number.",
            where="variance, n_components",
            found=(variance, n_components),
            wanted="a variance above 0 and below 1, or components of 1 or more",
            remedy="give for example variance=0.9",
        )
    gram = np.asarray(gram, dtype=np.float64)
    rows = np.arange(len(gram)) if fit_rows is None else np.arange(len(gram))[fit_rows]
    mean = gram[:, rows].mean(axis=1)
    centered = gram - mean[:, np.newaxis] - mean + mean[rows].mean()
    values, vectors = np.linalg.eigh(centered[np.ix_(rows, rows)])
    values, vectors = values[::-1], vectors[:, ::-1]
    # Float32 products leave noise of this size where there is no variance.
    usable = int(np.count_nonzero(values > 1e-6 * max(values[0], 0)))
    if usable == 0 or values[0] <= 1e-9 * np.abs(np.diag(gram)).max():
        raise BadDataError(
            "The features do not vary: there is no component.",
            where="gram",
            found="only constants",
            wanted="features that vary between rows",
            remedy="leave this layer out",
        )
    shares = values / values[values > 0].sum()
    enough = int(np.searchsorted(np.cumsum(shares), variance, side="right")) + 1
    kept = min(n_components or enough, usable)
    scores = centered[:, rows] @ (vectors[:, :kept] / np.sqrt(values[:kept]))
    fitted = scores[rows]
    largest = fitted[np.abs(fitted).argmax(axis=0), np.arange(kept)]
    return scores * np.sign(largest), shares[:kept]
