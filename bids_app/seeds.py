"""Random draws: every one comes from the seed of the analysis and a purpose in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_app.files import sha256_of


def generator(random_seed: int, purpose: str, *more: str | int) -> np.random.Generator:
    """Generator of the draws for one purpose.

    Draws for different purposes are independent; the same purpose gives the same draws, for tests
    that share them. More processes, threads or participants leave all draws as they were.

    Parameters
    ----------
    random_seed : int
        Seed of the analysis.
    purpose : str
        What is drawn, such as ``"sign flips"``; for phases of the null the stimulus.
    *more : str or int
        Distinguish draws for one purpose, such as the number of the draw.

    Returns
    -------
    numpy.random.Generator
        Seeded with 128 bits of the SHA-256 of ``random_seed|purpose|more...``, the same on every
        machine.

    Examples
    --------
    >>> first = generator(0, "sign flips").integers(2, size=4)
    >>> again = generator(0, "sign flips").integers(2, size=4)
    >>> first.tolist() == again.tolist()
    True
    >>> other = generator(0, "bootstrap").random(4)
    >>> np.allclose(other, generator(0, "sign flips").random(4))
    False
    """
    text = "|".join(str(part) for part in (random_seed, purpose, *more))
    digest = bytes.fromhex(sha256_of(text))
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def random_phases(seed: int, stimulus: str, draw: int, n_freq: int) -> NDArray[np.float64]:
    """Phases of one stimulus in one draw.

    Parameters
    ----------
    seed : int
        Seed of the analysis.
    stimulus : str
        Checksum or label of the stimulus.
    draw : int
        Number of the draw.
    n_freq : int
        Frequencies; fewer of them are the first of more.

    Returns
    -------
    ndarray, shape (n_freq,)
        Uniform in 0..2 pi. They multiply the discrete Fourier transform at the frequencies
        1, 2, ... of the kept samples as exp(i phase); constant and Nyquist terms stay.

    Examples
    --------
    >>> phases = random_phases(0, "fugue.wav", draw=3, n_freq=5)
    >>> phases.shape, bool((0 <= phases).all() and (phases < 2 * np.pi).all())
    ((5,), True)
    >>> np.array_equal(phases[:3], random_phases(0, "fugue.wav", draw=3, n_freq=3))
    True
    """
    return generator(seed, stimulus, draw).uniform(0, 2 * np.pi, n_freq)
