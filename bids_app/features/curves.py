"""Features that are curves, drawn over the waveform they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.errors import WRITABLE, CannotWriteError
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.pooling import FeatureSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.floating]

_N_COLUMNS = 1000
_WAVE, _LINE = "#c9d3dc", "#1f5fa8"


def wave_outline(audio: FloatArray, duration: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Seconds, lowest and highest samples of up to 1,000 stretches of a sound.

    Examples
    --------
    >>> times, low, high = wave_outline(np.sin(np.arange(8000.0)), duration=0.5)
    >>> times.size, round(float(low.min()), 2), round(float(high.max()), 2)
    (1000, -1.0, 1.0)
    """
    pieces = np.array_split(audio, min(_N_COLUMNS, len(audio)))
    low = np.array([float(piece.min()) for piece in pieces])
    high = np.array([float(piece.max()) for piece in pieces])
    return np.linspace(0, duration, len(pieces)), low, high


def draw_curve(
    ax: Axes, series: FeatureSeries, times: FloatArray, audio: FloatArray, duration: float
) -> None:
    """Draw the units of a layer as lines over the waveform, on the scale of their unit.

    Parameters
    ----------
    ax : Axes
    series : FeatureSeries
    times : (n_times,) array
        Seconds.
    audio : (n_samples,) array
    duration : float
        Seconds of it.
    """
    seconds, low, high = wave_outline(audio, duration)
    behind = ax.twinx()
    behind.fill_between(seconds, low, high, color=_WAVE, linewidth=0)
    behind.set_yticks([])
    for line in behind.spines.values():
        line.set_visible(False)
    ax.set_zorder(behind.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.plot(times, series.values, color=_LINE, linewidth=1.2)
    unit = series.units[0].units
    ax.set_ylabel(series.name if unit in ("1", "a.u.") else f"{series.name}\n({unit})", fontsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def draw_curves(
    target: Path,
    audio: FloatArray,
    times: FloatArray,
    layers: Sequence[FeatureSeries],
    title: str = "",
) -> None:
    """Draw layers one below the other, each over the waveform.

    Parameters
    ----------
    target : Path
        PNG file.
    audio : (n_samples,) array
        At 16 kHz.
    times : (n_times,) array
        Seconds.
    layers : sequence of FeatureSeries
    title : str
        Above the panels.

    Raises
    ------
    CannotWriteError
        The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.5 * len(layers) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    duration = len(audio) / SAMPLE_RATE
    for panel, series in zip(panels, layers, strict=True):
        draw_curve(panel, series, times, audio, duration)
    panels[-1].set_xlim(0, duration)
    panels[-1].set_xlabel("time in the audio (s)")
    figure.suptitle(title)
    try:
        figure.savefig(target, dpi=130)
    except OSError as error:
        raise CannotWriteError(
            "A picture cannot be written.",
            where=target,
            found=error,
            wanted="a file that can be written",
            remedy=WRITABLE,
        ) from error
