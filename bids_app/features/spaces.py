"""Feature spaces beside VGGish, by name, all on the clock of its patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.errors import UsageError
from bids_app.features import auditory
from bids_app.features.logmel import patch_centers, patch_count
from bids_app.features.pooling import FeatureSeries, Unit, patch_means

SPACES = ("envelope", "cochleagram", "modulation", "descriptors")
PRECOMPUTED, CHANGE = "precomputed:", "change:"


def check_space(name: str) -> None:
    """Raise UsageError unless ``name`` is a feature space.

    ``vggish``, one of ``SPACES``, ``precomputed:PATH``, or ``change:`` and one of these.
    """
    inner = name.removeprefix(CHANGE)
    known = inner in (*SPACES, "vggish")
    if not known and not (inner.startswith(PRECOMPUTED) and len(inner) > len(PRECOMPUTED)):
        raise UsageError(
            "There is no such feature space.",
            where="features",
            found=name,
            wanted=f"vggish, {', '.join(SPACES)}, precomputed:PATH, or change: before one of these",
        )


def space_layers(
    name: str, audio: np.ndarray, label: str, hop: float
) -> tuple[np.ndarray, list[FeatureSeries]]:
    """Layers of a feature space for one stimulus.

    Parameters
    ----------
    name : str
        One of ``SPACES`` or ``precomputed:PATH``.
    audio : array of shape (n_samples,)
        At 16 kHz, at least one patch long.
    label : str
        Of the stimulus, to find its precomputed features.
    hop : float
        Seconds between patches.

    Returns
    -------
    times : array of shape (n_patches,)
        Centers of VGGish's patches in seconds.
    layers : list of FeatureSeries
        Values of shape (n_patches, n_units) with what each unit is.

    Raises
    ------
    UsageError
        No such feature space.
    MissingInputError, BadDataError
        Precomputed features are missing or unusable.
    """
    times = patch_centers(patch_count(audio.size, hop), hop)
    if name.startswith(PRECOMPUTED):
        from bids_app.features.precomputed import load_precomputed

        return times, load_precomputed(name.removeprefix(PRECOMPUTED), label, times, hop)
    if name == "descriptors":
        from bids_app.features.descriptors import music_descriptors

        return times, music_descriptors(audio, times)
    if name not in SPACES:
        check_space(name)
        raise UsageError("This feature space has no explicit values.", found=name)
    frame_times, frames = auditory.cochleagram(audio)
    if name == "modulation":
        values = auditory.modulation(frame_times, frames, times).reshape(len(times), -1)
        return times, [FeatureSeries(name, values, _modulation_units())]
    values = patch_means(frame_times, frames, times)
    if name == "cochleagram":
        return times, [FeatureSeries(name, values, _channel_units())]
    unit = Unit("envelope", "Mean over 128 compressed gammatone channels", "a.u.")
    return times, [FeatureSeries(name, values.mean(axis=1, keepdims=True), (unit,))]


def file_of(name: str, label: str) -> Path | None:
    """File whose content a space depends on beside the audio, None if there is none."""
    inner = name.removeprefix(CHANGE)
    if not inner.startswith(PRECOMPUTED):
        return None
    from bids_app.features.precomputed import find_precomputed

    return find_precomputed(inner.removeprefix(PRECOMPUTED), label)


def _channel_units() -> tuple[Unit, ...]:
    return tuple(
        Unit(f"channel_{n:03d}", f"Compressed gammatone envelope at {hertz:.1f} Hz", "a.u.")
        for n, hertz in enumerate(auditory.CENTERS_HZ)
    )


def _modulation_units() -> tuple[Unit, ...]:
    return tuple(
        Unit(
            f"rate_{rate:g}_scale_{scale:g}_channel_{n:03d}",
            f"Modulation at {rate:g} Hz and {scale:g} cycles/octave around {hertz:.1f} Hz",
            "a.u.",
        )
        for rate in auditory.RATES_HZ
        for scale in auditory.SCALES_PER_OCTAVE
        for n, hertz in enumerate(auditory.CENTERS_HZ)
    )
