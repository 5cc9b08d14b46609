"""
A group: people and place
=========================

Sign flips ask whether participants have an effect in common; rotations of the cortex ask whether a
map lies like a gradient. Neither is enough for a claim: the null over music has to hold, too
(:doc:`/group`).
"""

import matplotlib.pyplot as plt
import numpy as np

from bids_app.group import group_alignment, sign_flip_max_t, spin_alignment
from bids_app.surface.mesh import load_mesh

# %%
# A coarse cortex, a gradient from front to back, and slopes of 12 people that follow it weakly.
rng = np.random.default_rng(2)
mesh = load_mesh("fsaverage4")
n_people = 12
gradient = np.concatenate([sphere[:, 1] for sphere in mesh.spheres]) / 100
neighbors = mesh.adjacency
n_neighbors = np.asarray(neighbors.sum(axis=1)).ravel()
smooth = rng.standard_normal((mesh.n_vertices, n_people))
for _ in range(30):
    smooth = (smooth + (neighbors @ smooth) / n_neighbors[:, np.newaxis]) / 2
slopes = smooth.T / smooth.std() + 0.7 * gradient

# %%
# People: the largest t over all vertices, under flips of sign.
people = sign_flip_max_t(slopes, n_permutations=999, tail="two-sided", seed=0)
print(f"{(people.p < 0.05).sum()} of {mesh.n_vertices} vertices at p < .05, corrected")

# %%
# Place: the gradient is rotated, the maps stay.
everywhere = np.ones(mesh.n_vertices, dtype=bool)
spins = spin_alignment(slopes, gradient, everywhere, spheres=mesh.spheres, n_spins=500, seed=0)
place = group_alignment(spins, n_bootstrap=500, seed=0)
print(f"rho = {place.r:.2f}, spin p = {place.p:.3f}, p over people = {place.t_p:.2g}")

# %%
# Every participant against rotations of the gradient.
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.hist(spins.null.mean(axis=0), 40, color="0.7", label="mean under rotations")
axis.plot(spins.r, np.zeros(n_people), "|", markersize=20, label="participants")
axis.axvline(spins.r.mean(), color="C1", label="mean")
axis.set(xlabel="Spearman correlation with the gradient", ylabel="rotations")
axis.legend()
plt.show()
