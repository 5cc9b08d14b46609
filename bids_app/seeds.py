"""Random draws: every one comes from the seed of the analysis and a purpose in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_app.files import sha256_of


def generator(random_seed: int, purpose: str, *more: str | int) -> np.random.Generator:
    """Generator of the draws for one purpose.

    Draws for different purposes are independent; the same purpose gives the same draws, for tests
    that share them. Neither the number of processes or threads nor that of the participants is
    part of it: who adds one of them moves no other draw.

    Parameters
    ----------
    random_seed : int
        Seed of the analysis.
    purpose : str
        What is drawn, such as ``"sign flips"``; for phases of the null the stimulus.
    *more : str or int
        What tells draws for one purpose apart, such as the number of the draw.

    Returns
    -------
    numpy.random.Generator
        Seeded with 128 bits of the SHA-256 of ``random_seed|purpose|more...``, the same on every
        machine.
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
    """
    return generator(seed, stimulus, draw).uniform(0, 2 * np.pi, n_freq)
