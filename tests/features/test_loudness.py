"""Loudness over time."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError, UsageError
from bids_app.features.loudness import Loudness, loudness


def test_loudness_of_a_tone_is_its_compressed_amplitude():
    times = np.arange(16000) / 8000
    tone = np.where(times < 1, 0.2, 0.4) * np.sin(2 * np.pi * 440 * times)
    sound = loudness(tone, 8000)
    assert sound.frame == 0.1
    np.testing.assert_allclose(sound.values[:10], (0.2 / np.sqrt(2)) ** 0.3, rtol=1e-6)
    np.testing.assert_allclose(sound.values[10:], (0.4 / np.sqrt(2)) ** 0.3, rtol=1e-6)


def test_windows_average_frames_and_end_with_the_file():
    sound = Loudness(np.array([1.0, 3.0, 5.0, 7.0]), 0.5)
    found = sound.at(np.array([-0.1, 0.0, 0.5, 1.0, 1.25, 2.0, 2.1]), 1.0)
    np.testing.assert_allclose(found, [np.nan, 1.0, 2.0, 4.0, 5.0, 7.0, np.nan])


def test_bad_input_is_refused():
    with pytest.raises(BadDataError, match="shorter"):
        loudness(np.zeros(10), 8000)
    with pytest.raises(UsageError, match="length"):
        Loudness(np.ones(4), 0.5).at(np.zeros(1), 0.0)
