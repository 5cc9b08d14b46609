"""
A network of your own
=====================

A network is a function that returns a sample rate, layers in order, an identity, and a stream of
times and activations (:doc:`/networks`). Here a bank of two filters and their envelope.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import butter, sosfilt

from bids_app.features.networks.own import CheckedNetwork

# %%
# Two layers in order of depth: the band, and its envelope. A frame every 0.1 s.


class Filters:
    """A band around 440 Hz and its envelope."""

    sample_rate = 16000
    layers = ("band", "envelope")
    identity = "filters-440-1"

    def __call__(self, audio):
        band = sosfilt(butter(2, (400, 480), "bandpass", fs=self.sample_rate, output="sos"), audio)
        envelope = sosfilt(butter(2, 8, fs=self.sample_rate, output="sos"), np.abs(band))
        hop = self.sample_rate // 10
        for start in range(0, len(audio) - hop + 1, hop):
            part = slice(start, start + hop)
            yield (
                (start + hop / 2) / self.sample_rate,
                {"band": band[part].reshape(10, -1).std(axis=1), "envelope": envelope[part].mean()},
            )


# %%
# A tone that comes and goes. The contract is checked frame by frame, as in a run.
time = np.arange(4 * 16000) / 16000
audio = (np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 0.5 * time) > 0)).astype(np.float32)
frames = list(CheckedNetwork(Filters(), "filters")(audio))
print(f"{len(frames)} frames, layers {', '.join(frames[0][1])}")

# %%
# In a run: ``--features python:mypackage.filters:Filters``.
figure, axis = plt.subplots(figsize=(6, 2.5), layout="constrained")
axis.plot([at for at, _ in frames], [float(found["envelope"]) for _, found in frames])
axis.set(xlabel="time (s)", ylabel="envelope at 440 Hz")
plt.show()
