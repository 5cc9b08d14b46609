"""Figures of the group page other than brains. Each returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bids_app.report.brain import ColorScale
from bids_app.report.charts import BLUE, GRAY, GREEN, ORANGE, layer_axis, new_figure, tidy
from bids_app.statistics import p_told

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

_MIN_RIDGE = 10


def hexbin_figure(gradient: FloatArray, slope: FloatArray, axis: str = "gradient") -> Figure:
    """Layer preference against the gradient, one count per vertex; `axis` names the gradient."""
    figure = new_figure(6.5, 4.8)
    ax = figure.subplots()
    image = ax.hexbin(
        gradient, slope, gridsize=45, mincnt=1, cmap="viridis", bins="log", linewidths=0.1
    )
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set_xlabel(axis, fontsize=11)
    ax.set_ylabel("mean residual slope (r per depth)", fontsize=11)
    bar = figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label("vertices (log scale)", fontsize=10)
    tidy(ax)
    return figure


def participants_figure(
    labels: Sequence[str],
    rho: FloatArray,
    partial: FloatArray,
    mean: float,
    interval: tuple[float, float],
) -> Figure:
    """Each participant's correlation with the gradient, their mean and its interval.

    Parameters
    ----------
    labels : sequence of n str
    rho, partial : (n,) arrays
        Plain, and given accuracy.
    mean : float
        Mean over participants (through Fisher's z).
    interval : (low, high)
        Of the mean; NaN where there is none.
    """
    order = np.argsort(rho, kind="stable")
    places = np.arange(len(rho))
    figure = new_figure(7.5, max(2.6, 0.24 * len(rho) + 1.5))
    ax = figure.subplots()
    if np.isfinite(interval).all():
        ax.axvspan(*interval, color=ORANGE, alpha=0.2, linewidth=0, label="interval of the mean")
    ax.axvline(mean, color=ORANGE, linewidth=2, label="mean")
    ax.axvline(0, color=GRAY, linewidth=0.8)
    ax.scatter(rho[order], places, color=BLUE, s=34, label="participant", zorder=3)
    ax.scatter(
        partial[order],
        places,
        facecolors="none",
        edgecolors=BLUE,
        s=34,
        label="the same given accuracy",
        zorder=3,
    )
    ax.set_yticks(places, [labels[k] for k in order], fontsize=9)
    ax.set_ylim(-0.7, len(rho) - 0.3)
    ax.set_xlabel("correlation of layer preference and gradient", fontsize=11)
    ax.legend(fontsize=9, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    tidy(ax)
    return figure


def spin_figure(panels: Sequence[tuple[str, FloatArray, float, float]]) -> Figure:
    """Null distributions under rotation with the observed value.

    Parameters
    ----------
    panels : sequence of (title, null (n_spins,), observed, p)
    """
    figure = new_figure(4.7 * len(panels), 3.4)
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for ax, (title, null, observed, p) in zip(axes, panels, strict=True):
        ax.hist(null[np.isfinite(null)], 40, color=GRAY, alpha=0.6)
        ax.axvline(observed, color=ORANGE, linewidth=2)
        ax.set_title(f"{title}\nobserved {observed:.3f}, spin {p_told(p)}", fontsize=11)
        ax.locator_params(axis="x", nbins=6)
        ax.set_xlabel("mean Fisher z over participants", fontsize=10)
        ax.set_ylabel("rotations", fontsize=10)
        tidy(ax)
    return figure


def bins_figure(accuracy: FloatArray, names: Sequence[str], axis: str = "gradient") -> Figure:
    """Accuracy of every layer along the gradient, as it is and beside the mean of each bin.

    Both scales are the same for all studies, so that what is small looks so.

    Parameters
    ----------
    accuracy : (n_layers, n_bins) array
    names : sequence of n_layers str
    axis : str
        What the gradient is called.
    """
    n_layers, n_bins = accuracy.shape
    beside = accuracy - np.nanmean(accuracy, axis=0)
    figure = new_figure(9.5, 0.22 * n_layers + 1.9)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, values, scale in (
        (axes[0], accuracy, ColorScale.accuracy("accuracy (r)", accuracy)),
        (axes[1], beside, ColorScale.beside("accuracy minus the mean of the bin (r)", beside)),
    ):
        image = ax.imshow(
            values,
            aspect="auto",
            origin="lower",
            cmap=scale.cmap,
            vmin=scale.low,
            vmax=scale.high,
            extent=(0.5, n_bins + 0.5, 0.5, n_layers + 0.5),
        )
        ax.set_xlabel(f"bin of the {axis}", fontsize=10)
        ax.set_xticks([1, *range(5, n_bins + 1, 5)])
        figure.colorbar(
            image, ax=ax, location="bottom", shrink=0.8, aspect=30, extend=scale.extend
        ).set_label(scale.label, fontsize=10)
    layer_axis(axes[0], names, axis="y")
    return figure


def ridgeline_figure(
    gradient: FloatArray, layer: FloatArray, names: Sequence[str], axis: str = "gradient"
) -> Figure:
    """Distribution of the gradient over the vertices that prefer each layer.

    Parameters
    ----------
    gradient : (n_vertices,) array
    layer : (n_vertices,) array
        Preferred layer, 1-based.
    names : sequence of n_layers str
    axis : str
        What the gradient is called.
    """
    from matplotlib import colormaps

    edges = np.linspace(gradient.min(), gradient.max(), 81)
    centers = (edges[1:] + edges[:-1]) / 2
    kernel = np.exp(-0.5 * (np.arange(-9, 10) / 3.0) ** 2)
    kernel /= kernel.sum()
    figure = new_figure(7.5, 0.3 * len(names) + 1.2)
    ax = figure.subplots()
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(names)))
    counts = [int((layer == k).sum()) for k in range(1, len(names) + 1)]
    for k in range(len(names), 0, -1):
        own = gradient[layer == k]
        if len(own) >= _MIN_RIDGE:
            density = np.convolve(np.histogram(own, edges)[0], kernel, mode="same")
            ridge = k + 1.6 * density / density.max()
            ax.fill_between(centers, k, ridge, color=colors[k - 1], alpha=0.85, linewidth=0)
            ax.plot(centers, ridge, color="white", linewidth=0.9)
            ax.plot([np.median(own)] * 2, [k, k + 0.45], color="black", linewidth=1.4)
        else:
            ax.plot(own, np.full(len(own), float(k)), "|", color=colors[k - 1], markersize=6)
    labels = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    layer_axis(ax, labels, axis="y")
    ax.set_ylim(0.6, len(names) + 2.0)
    ax.set_xlabel(axis, fontsize=11)
    tidy(ax)
    return figure


def profile_lines_figure(
    series: Sequence[tuple[str, FloatArray]], names: Sequence[str], label: str
) -> Figure:
    """One line per series over layers."""
    figure = new_figure(9.5, 4.2)
    ax = figure.subplots()
    for name, values in series:
        ax.plot(np.arange(1, len(values) + 1), values, marker="o", markersize=4, label=name)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    layer_axis(ax, names)
    ax.set_ylabel(label, fontsize=11)
    ax.legend(fontsize=10, frameon=False)
    tidy(ax)
    return figure


def profiles_figure(
    profiles: Sequence[tuple[str, FloatArray, FloatArray, FloatArray]], names: Sequence[str]
) -> Figure:
    """Accuracy of layers alone beside their unique accuracy, one line per region in both.

    Parameters
    ----------
    profiles : sequence of (region, accuracy, unique, standard error of unique)
        Arrays of shape (n_layers,).
    names : sequence of n_layers str
    """
    figure = new_figure(9.5, 4.4)
    alone, beyond = figure.subplots(1, 2)
    at = np.arange(1, len(names) + 1)
    for (region, accuracy, unique, error), (color, marker) in zip(
        profiles, cycle(zip((BLUE, ORANGE, GREEN, GRAY), "osD^", strict=True)), strict=False
    ):
        style: dict[str, Any] = {"color": color, "marker": marker, "markersize": 4}
        alone.plot(at, accuracy, label=region, **style)
        beyond.plot(at, unique, **style)
        beyond.fill_between(at, unique - error, unique + error, color=color, alpha=0.15, lw=0)
    for ax, label in ((alone, "accuracy of the layer alone (r)"), (beyond, "unique accuracy (r)")):
        ax.axhline(0, color=GRAY, linewidth=0.8)
        layer_axis(ax, names)
        ax.set_ylabel(label, fontsize=11)
        tidy(ax)
    figure.legend(fontsize=10, frameon=False, loc="outside upper center", ncols=len(profiles))
    return figure
