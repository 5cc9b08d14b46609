"""
Features of a piece of music
============================

A feature space turns sound into time series. Its row in the registry names its layers; the
function behind the row gives their values at any times.
"""

import matplotlib.pyplot as plt
import numpy as np

from bids_app.features.registry import Sound, find_space
from bids_app.testing.music import default_pieces, synthesize

# %%
# The program composes music for its tests. Here are 20 s of its first piece, mono at 16 kHz.
piece = default_pieces()[0]
audio = synthesize(piece, seed=0)[: 20 * 16000]
step = 0.25
times = np.arange(step / 2, 20, step)

# %%
# Two spaces at the same times: the envelope has one unit, the cochleagram one per channel.
sound = Sound(piece.label, audio, times, step)
(envelope,) = find_space("envelope").values(sound)
(cochleagram,) = find_space("cochleagram").values(sound)
print(envelope.name, envelope.values.shape)
print(cochleagram.name, cochleagram.values.shape)

# %%
# Every unit knows what it is.
figure, axes = plt.subplots(2, 1, figsize=(7, 4), sharex=True, layout="constrained")
axes[0].plot(times, envelope.values[:, 0])
axes[0].set_ylabel("envelope")
axes[1].pcolormesh(times, np.arange(cochleagram.values.shape[1]), cochleagram.values.T)
axes[1].set(ylabel="channel", xlabel="time (s)")
plt.show()
