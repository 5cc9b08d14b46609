from __future__ import annotations

import numpy as np
import pytest
import soundfile
from feature_sounds import melody


@pytest.fixture(scope="session")
def vggish():
    from bids_app.features.vggish import load_vggish

    return load_vggish("random:7")


@pytest.fixture
def rng():
    return np.random.default_rng(20240626)


@pytest.fixture
def audio(rng):
    return melody(rng, 3.0)


@pytest.fixture
def make_wav(tmp_path, rng):
    def make(name="piece.wav", seconds=3.0, sample_rate=16000, channels=1, samples=None):
        if samples is None:
            samples = melody(rng, seconds, sample_rate)
        if channels > 1:
            samples = np.column_stack([samples * (1 + c) / channels for c in range(channels)])
        path = tmp_path / name
        soundfile.write(path, samples, sample_rate, subtype="FLOAT")
        return path

    return make
