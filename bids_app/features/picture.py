"""Layers of the network over time, as images of units."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from bids_app.errors import WRITABLE, CannotWriteError
from bids_app.features.network import VGGish, layer_shapes
from bids_app.features.stream import stream_layers
from bids_app.features.vggish import LAYER_NAMES

PICTURED = (1, 2, 18, 23)
_MOST_UNITS = 256


class UnitSample:
    """Keep evenly spread units of a layer that arrives in chunks.

    Attributes
    ----------
    n_units : int
        Units seen so far.
    """

    def __init__(self, step: int) -> None:
        self.n_units = 0
        self._step = step
        self._kept: list[np.ndarray] = []

    def add(self, values: torch.Tensor, scratch: torch.Tensor) -> None:
        """Take (n_patches, n_units) values; scratch is not used."""
        first = -self.n_units % self._step
        self._kept.append(values[:, first :: self._step].cpu().numpy().copy())
        self.n_units += values.shape[1]

    def values(self) -> np.ndarray:
        """Kept units of shape (n_patches, n_kept)."""
        return np.concatenate(self._kept, axis=1)


def draw_layers(
    model: VGGish,
    patches: np.ndarray,
    times: np.ndarray,
    target: str | Path,
    *,
    title: str = "",
    device: str = "cpu",
) -> None:
    """Draw activations of the layers `PICTURED` over time, one panel each.

    About 256 units of each are shown, in the layer's order (time, mel, channel).

    Parameters
    ----------
    model : VGGish
    patches : array of shape (n_patches, 96, 64)
        Of one stimulus.
    times : array of shape (n_patches,)
        Seconds.
    target : str or Path
        PNG file.
    title : str
        Above the panels.
    device : str
        torch device.

    Raises
    ------
    CannotWriteError
        The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # An odd step walks through all channels, whose number is a power of two.
    steps = iter([math.prod(layer_shapes()[n - 1]) // _MOST_UNITS | 1 for n in PICTURED])
    samples = dict(
        stream_layers(model, [patches], PICTURED, lambda: UnitSample(next(steps)), device)
    )
    figure = Figure(figsize=(9, 1.9 * len(PICTURED) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(PICTURED), 1, sharex=True, squeeze=False)[:, 0]
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 0.48
    for panel, layer in zip(panels, PICTURED, strict=True):
        shown = samples[layer].values()
        # The brightest percent would otherwise leave the rest black.
        low, high = np.percentile(shown, [1, 99])
        image = panel.imshow(
            shown.T,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            extent=(times[0] - half, times[-1] + half, 0, shown.shape[1]),
            vmin=low,
            vmax=max(high, low + 1e-6),
        )
        panel.set_ylabel(f"L{layer:02d} {LAYER_NAMES[layer - 1]}\n{samples[layer].n_units:,} units")
        panel.set_yticks([])
        figure.colorbar(image, ax=panel, pad=0.01)
    panels[-1].set_xlabel("time in the audio (s)")
    if title:
        figure.suptitle(f"{title}: VGGish ({model.weights_label})")
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
