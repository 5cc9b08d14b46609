"""Figures of the participant page other than brains. Each returns a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from bids_app.statistics import p_told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

# Okabe and Ito's colors, told apart by everybody.
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
_N_CARPET_ROWS = 400


def new_figure(width: float, height: float) -> Figure:
    """A figure of `width` x `height` inches that lays itself out."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(ax: Axes) -> None:
    """Drop the frame's upper and right line."""
    ax.spines[["top", "right"]].set_visible(False)


def layer_axis(ax: Axes, names: Sequence[str], *, axis: Literal["x", "y"] = "x") -> None:
    """Label an axis of layers 1..n with number and name."""
    positions = np.arange(1, len(names) + 1)
    labels = [f"{k} {name}" for k, name in zip(positions, names, strict=True)]
    if axis == "x":
        ax.set_xticks(positions, labels, rotation=60, ha="right", rotation_mode="anchor")
        ax.set_xlim(0.4, len(names) + 0.6)
    else:
        ax.set_yticks(positions, labels)
    ax.tick_params(axis=axis, labelsize=9)


def carpet_figure(
    presentations: Sequence[tuple[str, FloatArray, FloatArray]],
    order: npt.NDArray[np.intp],
    motion: Sequence[Mapping[str, FloatArray]] = (),
) -> Figure:
    """Cleaned responses as a carpet: rows are vertices, columns volumes, z-scored per row.

    Parameters
    ----------
    presentations : sequence of (label, times (n_times,) in seconds, values (n_times, n_vertices))
    order : (n_shown,) int array
        Vertices from top to bottom.
    motion : sequence of mapping of name to (n_times,) array
        Above the carpet of every presentation, on the same axis of time: what has an axis of its
        own each; at most two.
    """
    rows = order[:: max(1, len(order) // _N_CARPET_ROWS)]
    moved = list(motion) or [{}] * len(presentations)
    heights = [1, 1, 3] if any(moved) else [1, 3]
    figure = new_figure(9.5, (3.2 if any(moved) else 2.5) * len(presentations) + 0.6)
    axes = np.atleast_1d(
        figure.subplots(
            len(heights) * len(presentations),
            1,
            gridspec_kw={"height_ratios": heights * len(presentations)},
        )
    ).reshape(len(presentations), -1)
    image = None
    for (label, times, values), lines, own in zip(presentations, moved, axes, strict=True):
        *above, top, bottom = own
        shown = values[:, rows]
        z = (shown - shown.mean(axis=0)) / np.maximum(shown.std(axis=0), 1e-12)
        for ax in above:
            _motion_lines(ax, times, lines)
        top.plot(times, z.mean(axis=1), color=BLUE, linewidth=1)
        top.set_xlim(times[0], times[-1])
        top.set_xticks([])
        top.set_ylabel("mean", fontsize=10)
        own[0].set_title(label, fontsize=11, loc="left")
        tidy(top)
        image = bottom.imshow(
            z.T,
            aspect="auto",
            cmap="gray",
            vmin=-2,
            vmax=2,
            interpolation="none",
            extent=(float(times[0]), float(times[-1]), len(rows), 0),
        )
        bottom.set_yticks([])
        bottom.set_ylabel("vertices", fontsize=10)
    axes[-1, -1].set_xlabel("second of the stimulus", fontsize=11)
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes.ravel()), shrink=0.4, aspect=25, pad=0.01)
        bar.set_label("response (SD of the vertex)", fontsize=10)
    return figure


def _motion_lines(ax: Axes, times: FloatArray, lines: Mapping[str, FloatArray]) -> None:
    """Each on an axis of its own: the first on the left, the second on the right."""
    ax.set_xlim(times[0], times[-1])
    ax.set_xticks([])
    tidy(ax)
    if not lines:
        ax.set_axis_off()
    for number, ((name, values), color) in enumerate(
        zip(lines.items(), (ORANGE, GREEN), strict=False)
    ):
        own = ax if number == 0 else ax.twinx()
        own.plot(times, values, color=color, linewidth=1)
        own.set_ylabel(name, fontsize=10, color=color)
        own.set_ylim(bottom=0)
        own.spines["top"].set_visible(False)


def series_figure(series: Mapping[str, FloatArray], label: str) -> Figure:
    """A line over volumes from zero on, one panel per run, all on one scale.

    Parameters
    ----------
    series : mapping of run to (n_times,) array
    label : str
        Of the y axis, with the unit.
    """
    figure = new_figure(9.5, 1.9 * len(series) + 0.4)
    axes = np.atleast_1d(figure.subplots(len(series), 1, sharey=True))
    for ax, (run, values) in zip(axes, series.items(), strict=True):
        ax.plot(values, linewidth=1, color=BLUE)
        ax.set_title(run, fontsize=11, loc="left")
        ax.set_ylabel(label, fontsize=10)
        ax.margins(x=0)
        tidy(ax)
    axes[0].set_ylim(bottom=0)
    axes[-1].set_xlabel("volume", fontsize=11)
    return figure


def design_figure(runs: Mapping[str, FloatArray], names: Sequence[str]) -> Figure:
    """Design matrices of linear models, a panel per run, columns scaled to their largest value.

    Parameters
    ----------
    runs : mapping of run to (n_times, n_regressors) array
        NaN where a run has no such column.
    names : sequence of n_regressors str
        Those of one kind that are numbered (``drift1``, ``drift2``) get one label.
    """
    kinds = [name.rstrip("0123456789") or name for name in names]
    alike = [list(group) for _, group in groupby(range(len(names)), key=lambda k: kinds[k])]
    labels = [names[g[0]] if len(g) == 1 else f"{len(g)} {kinds[g[0]]}s" for g in alike]
    n_columns = min(3, len(runs))
    n_rows = -(-len(runs) // n_columns)
    figure = new_figure(9.5, 3.6 * n_rows + 0.6)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat[len(runs) :]:
        ax.set_axis_off()
    image = None
    for ax, (run, matrix) in zip(axes.flat, runs.items(), strict=False):
        scaled = matrix / np.maximum(np.nanmax(np.abs(matrix), axis=0, initial=0.0), 1e-12)
        image = ax.imshow(scaled, aspect="auto", cmap="gray", vmin=-1, vmax=1, interpolation="none")
        for group in alike[1:]:
            ax.axvline(group[0] - 0.5, color=BLUE, linewidth=1)
        middles = [(group[0] + group[-1]) / 2 for group in alike]
        ax.set_xticks(middles, labels, rotation=60, ha="right", rotation_mode="anchor")
        ax.tick_params(labelsize=9)
        ax.set_title(run, fontsize=10, loc="left")
        ax.set_ylabel("volume", fontsize=10)
    if image is not None:
        bar = figure.colorbar(image, ax=list(axes.ravel()), shrink=0.6, aspect=25, pad=0.01)
        bar.set_label("regressor (share of its largest value)", fontsize=10)
    return figure


def predicted_figure(
    series: Sequence[tuple[str, Sequence[tuple[str, FloatArray, FloatArray, FloatArray]]]],
) -> Figure:
    """Measured and predicted time courses, one row per vertex, one column per presentation.

    Parameters
    ----------
    series : sequence of (vertex, sequence of (presentation, times, measured, predicted))
        Times in seconds, (n_times,); the others in SD, (n_times,).
    """
    n_rows, n_columns = len(series), max(len(own) for _, own in series)
    figure = new_figure(9.5, 1.5 * n_rows + 0.9)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex="col", sharey="row")
    for (vertex, own), line in zip(series, axes, strict=True):
        line[0].set_ylabel(f"{vertex}\n(SD)", fontsize=10)
        for (heard, times, measured, predicted), ax in zip(own, line, strict=False):
            ax.plot(times, measured, color=GRAY, linewidth=0.9, label="measured")
            ax.plot(times, predicted, color=ORANGE, linewidth=1.4, label="predicted")
            r = float(np.corrcoef(measured, predicted)[0, 1])
            ax.set_title(f"{heard}: r = {r:.2f}", fontsize=10, loc="left")
            ax.margins(x=0)
            tidy(ax)
    for ax in axes[-1]:
        ax.set_xlabel("second of the stimulus", fontsize=10)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=10, frameon=False)
    return figure


def profile_figure(profiles: FloatArray, names: Sequence[str], reference: FloatArray) -> Figure:
    """Accuracy per layer of some vertices: median, middle half, middle 90 %, and the reference.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
    names : sequence of n_layers str
    reference : (n_layers,) array
        Reference profile of the residual slope; NaN where there is none.
    """
    layers = np.arange(1, len(names) + 1)
    low, lower, median, upper, high = np.nanquantile(
        profiles, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1
    )
    figure = new_figure(9.5, 4.6)
    ax = figure.subplots()
    ax.fill_between(layers, low, high, color=BLUE, alpha=0.15, linewidth=0, label="middle 90 %")
    ax.fill_between(layers, lower, upper, color=BLUE, alpha=0.3, linewidth=0, label="middle 50 %")
    ax.plot(layers, median, color=BLUE, marker="o", markersize=4, label="median")
    if np.isfinite(reference).any():
        ax.plot(layers, reference, color=ORANGE, linestyle="--", label="reference profile")
    ax.axhline(0, color=GRAY, linewidth=0.8)
    layer_axis(ax, names)
    ax.set_ylabel("prediction accuracy (Pearson r)", fontsize=11)
    ax.legend(fontsize=10, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    tidy(ax)
    return figure


def null_figure(
    observed: float, null_sd: float, corrected: float, z: FloatArray, p: FloatArray
) -> Figure:
    """Three looks at the null: the best vertex, all z, all p.

    Parameters
    ----------
    observed : float
        Accuracy of the best vertex and layer.
    null_sd : float
        Standard deviation of its null.
    corrected : float
        Its p, corrected over vertices and layers.
    z, p : (n_vertices,) arrays
        Of the best layer.
    """
    figure = new_figure(9.5, 3.5)
    first, second, third = figure.subplots(1, 3)
    span = max(4 * null_sd, abs(observed) * 1.15)
    grid = np.linspace(-span, span, 400)
    first.fill_between(grid, _normal(grid, null_sd), color=GRAY, alpha=0.45, linewidth=0)
    first.axvline(observed, color=ORANGE, linewidth=2)
    first.set_title(f"best: r = {observed:.3f}, corrected {p_told(corrected)}", fontsize=11)
    first.set_xlabel("accuracy under the null (r)", fontsize=10)
    z = z[np.isfinite(z)]
    edges = np.linspace(min(-4.0, z.min()), max(4.0, z.max()), 60)
    second.hist(z, edges, density=True, color=BLUE, alpha=0.55, label="vertices")
    second.plot(edges, _normal(edges, 1.0), color="black", linewidth=1.3, label="no encoding")
    second.set_title("all vertices, best layer", fontsize=11)
    second.set_xlabel("z of the accuracy", fontsize=10)
    second.legend(fontsize=9, frameon=False, loc="upper right")
    second.set_ylim(top=1.3 * second.get_ylim()[1])
    third.hist(p[np.isfinite(p)], np.linspace(0, 1, 41), density=True, color=BLUE, alpha=0.55)
    third.axhline(1.0, color="black", linewidth=1.3)
    third.set_title("p: flat without encoding", fontsize=11)
    third.set_xlabel("one-sided p", fontsize=10)
    for ax in (first, second, third):
        ax.locator_params(axis="x", nbins=5)
        ax.set_ylabel("density", fontsize=10)
        ax.set_ylim(bottom=0)
        tidy(ax)
    return figure


def layer_checks_figure(
    names: Sequence[str], edge_low: FloatArray, edge_high: FloatArray, rank: FloatArray
) -> Figure:
    """Share of penalties at both ends of the grid, and effective rank, per layer."""
    layers = np.arange(1, len(names) + 1)
    figure = new_figure(9.5, 5.6)
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.bar(layers - 0.2, 100 * edge_low, 0.4, color=BLUE, label="smallest penalty")
    top.bar(layers + 0.2, 100 * edge_high, 0.4, color=ORANGE, label="largest penalty")
    top.set_ylim(0, max(5.0, 105 * float(np.nanmax([edge_low, edge_high]))))
    top.set_ylabel("vertices and folds (%)", fontsize=10)
    top.set_title("penalty chosen at an end of the grid", fontsize=11, loc="left")
    top.legend(fontsize=10, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.99))
    bottom.bar(layers, rank, 0.6, color=GREEN)
    bottom.set_ylabel("effective rank", fontsize=10)
    bottom.set_title("independent dimensions of the features", fontsize=11, loc="left")
    layer_axis(bottom, names)
    for ax in (top, bottom):
        tidy(ax)
    return figure


def reliability_figure(pairs: Sequence[tuple[str, FloatArray, str, FloatArray, float]]) -> Figure:
    """Accuracy with one stimulus held out against that with another, per pair.

    Parameters
    ----------
    pairs : sequence of (label, (n,) array, label, (n,) array, correlation)
    """
    n_columns = min(3, len(pairs))
    n_rows = -(-len(pairs) // n_columns)
    figure = new_figure(3.25 * n_columns, 3.2 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat[len(pairs) :]:
        ax.set_axis_off()
    for ax, (label_x, x, label_y, y, r) in zip(axes.flat, pairs, strict=False):
        ax.hexbin(x, y, gridsize=40, mincnt=1, cmap="viridis", bins="log", linewidths=0.1)
        ax.axhline(0, color=GRAY, linewidth=0.8)
        ax.axvline(0, color=GRAY, linewidth=0.8)
        ax.set_xlabel(f"r, {label_x} held out", fontsize=10)
        ax.set_ylabel(f"r, {label_y} held out", fontsize=10)
        ax.set_title(f"correlation over vertices {r:.2f}", fontsize=10)
        tidy(ax)
    return figure


def lag_figure(
    curves: Sequence[tuple[str, FloatArray, FloatArray]],
    *,
    peaks: bool = True,
    ylabel: str = "correlation with loudness (r)",
) -> Figure:
    """Correlation of the response and the loudness of the music, or another feature, over lags.

    Parameters
    ----------
    curves : sequence of (label, lag (n_lags,) in seconds, correlation (n_lags,))
    peaks : bool
        Mark the highest value of each curve.
    ylabel : str
    """
    figure = new_figure(8.0, 3.6)
    ax = figure.subplots()
    for label, lag, correlation in curves:
        (line,) = ax.plot(lag, correlation, linewidth=1.6, label=label)
        if peaks and np.isfinite(correlation).any():
            best = int(np.nanargmax(correlation))
            ax.plot(lag[best], correlation[best], "o", color=line.get_color(), markersize=7)
    ax.axvline(5, color=GRAY, linestyle="--", linewidth=1.2, label="expected, about 5 s")
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set_xlabel("lag of the response behind the sound (seconds)", fontsize=10)
    ax.set_ylabel(ylabel, fontsize=10)
    ax.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    tidy(ax)
    return figure


def _normal(x: FloatArray, sd: float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * (x / sd) ** 2) / (sd * np.sqrt(2 * np.pi)))
