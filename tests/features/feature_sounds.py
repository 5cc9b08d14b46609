"""Made-up music for the tests of this folder."""

from __future__ import annotations

import numpy as np


def melody(rng, seconds, sample_rate=16000):
    """Notes with overtones and a little noise: something that changes over time."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    pitch = 220 * 2 ** (rng.integers(0, 24, int(seconds * 4) + 1) / 12)
    phase = 2 * np.pi * np.cumsum(pitch[(times * 4).astype(int)]) / sample_rate
    loudness = 0.2 + 0.15 * np.sin(2 * np.pi * 0.3 * times)
    tone = sum(np.sin(k * phase) / k for k in range(1, 5))
    return loudness * tone / 2 + 0.01 * rng.standard_normal(times.size)
