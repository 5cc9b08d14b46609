"""Drawing of one stimulus: sound, log-mel spectrogram, and units of some layers over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.errors import check_shape
from bids_app.features.curves import draw_curve, wave_outline
from bids_app.features.pooling import FeatureSeries
from bids_app.files import atomic_path
from bids_app.report.charts import BLUE, new_figure, tidy
from bids_app.report.page import as_svg, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.floating]

_N_COLUMNS = 1000
_N_UNITS = 64


def stimulus_figure(
    path: Path,
    *,
    label: str,
    audio: FloatArray,
    sample_rate: float,
    log_mel: FloatArray,
    patch_times: FloatArray,
    layers: Sequence[tuple[str, FloatArray]],
    curves: Sequence[FeatureSeries] = (),
) -> Path:
    """Draw a stimulus and save it as PNG of `PRINT_DPI`, and as SVG beside it.

    Parameters
    ----------
    path : Path
        Where `stimulus_figure_path` says, for the participant's page to find it.
    label : str
        Name of the stimulus.
    audio : (n_samples,) array
        Sound, mono.
    sample_rate : float
        Samples per second.
    log_mel : (n_frames, n_bands) array
        Log-mel spectrogram over the whole stimulus.
    patch_times : (n_patches,) array
        Centers of the patches, seconds.
    layers : sequence of (name, (n_patches, n_units) array)
        Activations of the layers to draw; of more than 64 units, 64 evenly spaced ones are shown.
    curves : sequence of FeatureSeries
        Layers whose units are drawn as lines over the waveform, at `patch_times`.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    BadDataError
        If a layer does not have one row per patch.
    """
    for name, values in layers:
        check_shape(f"layer {name} of {label}", values, len(patch_times), "n_units")
    duration = len(audio) / sample_rate
    heights = [0.8, 1.2, *[0.9] * (len(layers) + len(curves))]
    figure = new_figure(9.5, 1.0 + 1.25 * len(heights))
    axes = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights})
    _draw_wave(axes[0], audio, duration)
    axes[0].set_title(label, fontsize=12, loc="left")
    axes[1].imshow(
        _fewer_columns(log_mel.T),
        aspect="auto",
        origin="lower",
        cmap="magma",
        interpolation="none",
        extent=(0, duration, 0.5, log_mel.shape[1] + 0.5),
    )
    axes[1].set_ylabel("mel band", fontsize=10)
    step = float(np.median(np.diff(patch_times))) if len(patch_times) > 1 else 0.96
    span = (float(patch_times[0]) - step / 2, float(patch_times[-1]) + step / 2)
    for ax, (name, values) in zip(axes[2 : 2 + len(layers)], layers, strict=True):
        shown = values[:, np.linspace(0, values.shape[1] - 1, _N_UNITS).astype(int)]
        z = (shown - shown.mean(axis=0)) / np.maximum(shown.std(axis=0), 1e-12)
        ax.imshow(
            _fewer_columns(z.T),
            aspect="auto",
            cmap="viridis",
            vmin=-2,
            vmax=2,
            interpolation="none",
            extent=(*span, 0, 1),
        )
        ax.set_yticks([])
        ax.set_title(name, fontsize=10, loc="left", pad=2)
    for ax, series in zip(axes[2 + len(layers) :], curves, strict=True):
        draw_curve(ax, series, patch_times, audio, duration)
    axes[-1].set_xlim(0, duration)
    axes[-1].set_xlabel("seconds", fontsize=11)
    drawn = picture(figure, alt=label, caption=label)
    for target, content in ((vector_file(path), as_svg(figure)), (path, drawn.printed)):
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
    return path


def vector_file(picture: Path) -> Path:
    """The SVG of the same figure."""
    return picture.with_suffix(".svg")


def _draw_wave(ax: Axes, audio: FloatArray, duration: float) -> None:
    seconds, low, high = wave_outline(audio, duration)
    ax.fill_between(seconds, low, high, color=BLUE, linewidth=0)
    ax.set_ylabel("sound", fontsize=10)
    ax.set_yticks([])
    tidy(ax)


def _fewer_columns(image: FloatArray) -> FloatArray:
    """Average neighboring columns until no more than `_N_COLUMNS` are left."""
    width = image.shape[1]
    if width <= _N_COLUMNS:
        return image
    starts = np.linspace(0, width, _N_COLUMNS, endpoint=False).astype(int)
    counts = np.diff(np.append(starts, width))
    return np.add.reduceat(image, starts, axis=1) / counts
