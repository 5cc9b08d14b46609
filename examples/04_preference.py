"""
Which layer a vertex prefers
============================

The best layer follows accuracy: where all layers predict well, deeper ones predict better. The
residual slope takes the reference profile and curvature out of each vertex' profile, and asks
whether accuracy still rises with depth.
"""

import matplotlib.pyplot as plt
import numpy as np

from bids_app.preference import preferred_layer, residual_slope

# %%
# 400 vertices whose accuracy and preference are independent of each other.
rng = np.random.default_rng(1)
n_layers, n_vertices = 8, 400
depth = np.linspace(0, 1, n_layers)
reference = 0.05 + 0.1 * np.sqrt(depth)
accuracy = rng.uniform(0.2, 2.0, n_vertices)
preference = rng.choice([-1.0, 0.0, 1.0], n_vertices)
profiles = np.outer(reference, accuracy) + 0.04 * np.outer(depth - 0.5, preference)
profiles += 0.004 * rng.standard_normal(profiles.shape)

# %%
# Both measures.
slope = residual_slope(profiles, depth, reference)
best = preferred_layer(profiles)
for name, values in (("residual slope", slope), ("best layer", best)):
    r = [np.corrcoef(values, truth)[0, 1] for truth in (preference, accuracy)]
    print(f"{name}: r = {r[0]:.2f} with preference, {r[1]:.2f} with accuracy")

# %%
# The slope separates the three kinds at every accuracy.
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for axis, name, values in zip(axes, ("residual slope", "best layer"), (slope, best), strict=True):
    drawn = axis.scatter(accuracy, values, c=preference, s=8, cmap="coolwarm")
    axis.set(xlabel="accuracy (gain)", title=name)
figure.colorbar(drawn, ax=axes, label="planted preference")
plt.show()
