"""Random draws: every one comes from the seed of the analysis and a purpose in words."""

from __future__ import annotations

import numpy as np

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
