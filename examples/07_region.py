"""
Report a region
===============

Means over the regions of an atlas, with every participant's value, and how many show an effect.
"""

import matplotlib.pyplot as plt
import numpy as np

from bids_app.group import parcel_table, prevalence, sign_flip_max_t
from bids_app.surface.mesh import load_mesh

# %%
# Accuracy of 15 people on a coarse cortex, in four regions; the last one is predicted.
rng = np.random.default_rng(3)
mesh = load_mesh("fsaverage4")
left, right = (sphere[:, 1] > 0 for sphere in mesh.spheres)
labels = np.concatenate([1 + left, 3 + right])
names = {1: "left back", 2: "left front", 3: "right back", 4: "right front"}
accuracy = 0.1 * rng.standard_normal((15, mesh.n_vertices))
accuracy += 0.03 * rng.standard_normal((15, 4))[:, labels - 1] + 0.04 * (labels == 4)

# %%
# Area-weighted means, tested over people with the largest t over regions.
table = parcel_table(accuracy, labels, mesh.areas, label_names=names)
test = sign_flip_max_t(table.values, n_permutations=4999, seed=0)
for name, t, p in zip(table.names, test.t, test.p, strict=True):
    print(f"{name}: t = {t:.1f}, p = {p:.4f}")

# %%
# How many people show it: 9 of 15 at their own p < .05 are more than the one expected by chance.
found = prevalence(9, 15)
print(f"prevalence {found.estimate:.2f} ({found.low:.2f} to {found.high:.2f}), p = {found.p:.1g}")

# %%
# Everybody's value, not the mean alone.
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.axhline(0, color="0.7")
axis.plot(np.arange(4) + 0.1 * rng.uniform(-1, 1, (15, 4)), table.values, "o", markersize=4)
axis.plot(np.arange(4), table.values.mean(axis=0), "_", markersize=30, color="black")
axis.set_xticks(range(4), table.names)
axis.set_ylabel("held-out r")
plt.show()
