"""What an audio network has to be for its layers to be fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class AudioNetwork(Protocol):
    """A network that takes a piece of music and yields the activations of its layers over time.

    Its optional method ``to(device)`` gets the torch device of ``--device`` before the first sound.
    """

    @property
    def sample_rate(self) -> int:
        """Sampling rate of its input, in Hz."""
        ...

    @property
    def layers(self) -> Sequence[str]:
        """Names in order of depth."""
        ...

    @property
    def identity(self) -> str:
        """Changes whenever the numbers could: checksum of the weights, version."""
        ...

    def __call__(
        self, audio: NDArray[np.float32]
    ) -> Iterable[tuple[float, Mapping[str, NDArray[np.float32]]]]:
        """Activations frame by frame, in order of time.

        Parameters
        ----------
        audio : array of shape (n_samples,)
            Mono at `sample_rate`, full scale is 1.

        Yields
        ------
        time : float
            Seconds in the audio at the center of what was heard.
        layers : mapping from name to array
            One array of any shape per layer, the same shape in every frame.
        """
        ...
