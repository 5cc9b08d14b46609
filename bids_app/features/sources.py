"""Where Gram matrices come from: the network, explicit features, or changes of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import BadDataError
from bids_app.features.audio import load_audio
from bids_app.features.logmel import SAMPLE_RATE, log_mel_patches, patch_count
from bids_app.features.spaces import space_layers

if TYPE_CHECKING:
    from bids_app.features.gram import LayerGram
    from bids_app.features.network import VGGish
    from bids_app.features.pooling import FeatureSeries

Stimuli = Sequence[tuple[str, str | Path]]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Layers still to be computed, with what is known beforehand."""

    grams: Iterable[LayerGram]
    patch_times: Sequence[np.ndarray]
    weights_sha256: str = ""
    weights_label: str = ""


def stimulus_patches(path: str | Path, hop: float = 0.48) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel patches (n_patches, 96, 64) and their times (n_patches,) of an audio file.

    Raises
    ------
    MissingInputError, BadDataError
        The file is missing or unusable or shorter than one patch; names it.
    """
    try:
        return log_mel_patches(load_audio(path, SAMPLE_RATE), SAMPLE_RATE, hop)
    except BadDataError as error:
        raise BadDataError(
            error.what, where=path, found=error.found, wanted=error.wanted, remedy=error.remedy
        ) from error


def network_source(
    stimuli: Stimuli, model: VGGish, hop: float, device: str, progress: Progress | None
) -> Source:
    """All layers of VGGish over the stimuli."""
    from bids_app.features.stream import layer_grams

    prepared = [stimulus_patches(path, hop) for _, path in stimuli]
    patches = [array for array, _ in prepared]
    times = [centers for _, centers in prepared]
    grams = layer_grams(model, patches, device=device, progress=progress)
    return Source(grams, times, model.weights_sha256, model.weights_label)


def stimulus_layers(
    label: str, path: str | Path, features: str, hop: float = 0.48
) -> tuple[np.ndarray, list[FeatureSeries]]:
    """Explicit features of an audio file; see :func:`bids_app.features.spaces.space_layers`."""
    audio = load_audio(path, SAMPLE_RATE)
    if patch_count(audio.size, hop) == 0:
        stimulus_patches(path, hop)  # raises the error that names the file and both lengths
    return space_layers(features, audio, label, hop)


def explicit_source(
    stimuli: Stimuli, features: str, hop: float, progress: Progress | None
) -> Source:
    """All layers of a space with explicit features over the stimuli."""
    from bids_app.features.gram import LayerGram, values_gram

    times, series = [], []
    for label, path in stimuli:
        if progress is not None:
            progress(f"{features}: {label}")
        centers, layers = stimulus_layers(label, path, features, hop)
        times.append(centers)
        series.append(layers)
    names = [[layer.name for layer in layers] for layers in series]
    if any(other != names[0] for other in names):
        raise BadDataError("Stimuli differ in their layers.", where=features, found=names)

    def grams() -> Iterator[LayerGram]:
        for number, layers in enumerate(zip(*series, strict=True), start=1):
            gram, n_constant = values_gram([layer.values for layer in layers])
            n_units = layers[0].values.shape[1]
            yield LayerGram(number, layers[0].name, gram, n_units, n_constant)

    return Source(grams(), times)


def change_grams(
    patch_times: Sequence[np.ndarray],
    layer_names: Sequence[str],
    gram: Callable[[int], np.ndarray],
    hop: float,
) -> Iterator[LayerGram]:
    """Change, novelty and boundary curves of every layer of another space, from its matrices."""
    from bids_app.features.change import UNITS, change_curves
    from bids_app.features.gram import LayerGram, values_gram

    ends = np.cumsum([len(times) for times in patch_times])
    blocks = [slice(end - len(t), end) for end, t in zip(ends, patch_times, strict=True)]
    for number, name in enumerate(layer_names, start=1):
        whole = gram(number)
        curves = [change_curves(whole[block, block], hop) for block in blocks]
        total, n_constant = values_gram(curves)
        yield LayerGram(number, name, total, len(UNITS), n_constant)
