"""
What a space adds
=================

Two feature spaces in one model, each with a penalty of its own. The share says how much of the
accuracy a space's part of the prediction makes up; the unique accuracy what is lost without it. A
space that adds nothing, but resembles one that does, has a share all the same.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lfilter

from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint

# %%
# Sound, and a layer that repeats half of it. One half of 120 vertices follows sound alone, the
# other half sound and layer.
rng = np.random.default_rng(0)
n_times, lag, n_vertices = [90, 100, 110], 5, 120
total = sum(n_times)


def slow(n_series):
    return lfilter([1], [1, -0.8], rng.standard_normal((total, n_series)), axis=0)


sound = slow(6)
layer = np.hstack([sound[:, :3], slow(3)])
drive = np.hstack(
    [
        sound @ rng.standard_normal((6, 60)),
        sound @ rng.standard_normal((6, 60)) + 1.5 * layer[:, 3:] @ rng.standard_normal((3, 60)),
    ]
)
responses = np.roll(drive, lag, axis=0) + 4 * slow(n_vertices)
pieces = np.split(responses, np.cumsum(n_times)[:-1])

# %%
# The candidates are relative scales of the spaces, the same for all vertices.
plan = plan_joint(
    {"sound": sound @ sound.T, "layer": layer @ layer.T},
    n_times,
    weights=candidate_weights(2, 6, rng),
    delays=(3.0, 9.0),
    crop=9.0,
    tr=1.0,
)
fit = fit_joint(plan, pieces)
share, unique = fit.share[1], fit.unique[fit.left_out.index("layer")]
for name, part in (("sound alone", slice(60)), ("sound and layer", slice(60, None))):
    print(
        f"{name}: r {fit.mean_r[part].mean():.2f}, of the layer: share {share[part].mean():.2f}, "
        f"unique {unique[part].mean():.2f}"
    )

# %%
# The unique accuracy tells the two kinds of vertices apart; the share does not.
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for axis, name, values in zip(axes, ("share", "unique accuracy"), (share, unique), strict=True):
    bins = np.linspace(values.min(), values.max(), 30)
    axis.hist(values[:60], bins, alpha=0.7, label="sound alone")
    axis.hist(values[60:], bins, alpha=0.7, label="sound and layer")
    axis.axvline(0, color="0.5")
    axis.set_xlabel(f"{name} of the layer")
axes[0].legend()
plt.show()
