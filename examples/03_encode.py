"""
Encode one participant in five lines
====================================

Which vertices follow which features? Ridge regression on delayed features, whole pieces held out,
the penalty chosen inside the training pieces, p from noise of each vertex' own kind.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import lfilter

from bids_app.encoding.nested import nested_ridge

# %%
# Three pieces of slow features, and 200 vertices: the first 100 follow the features of 5 s ago.
rng = np.random.default_rng(0)
n_times, n_units, n_vertices, lag = (150, 180, 210), 8, 200, 5


def slow(n, n_series, coefficient):
    return lfilter([1], [1, -coefficient], rng.standard_normal((n, n_series)), axis=0)


features = [slow(n, n_units, 0.8) for n in n_times]
responses = [slow(n, n_vertices, 0.4) for n in n_times]
weights = rng.standard_normal((n_units, 100)) / np.sqrt(n_units)
for x, y in zip(features, responses, strict=True):
    y[lag:, :100] += x[:-lag] @ weights

# %%
# The model.
fit = nested_ridge(features, responses, delays=(3, 9), crop=9, tr=1.0)
found = fit.q < 0.05
print(
    f"mean r where planted: {fit.mean_r[:100].mean():.2f}, elsewhere {fit.mean_r[100:].mean():.2f}"
)
print(f"found: {found[:100].sum()} of 100 planted, {found[100:].sum()} of 100 others")

# %%
# Held-out accuracy beside what noise of the same kind gives.
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(-0.3, 0.8, 45)
axis.hist(fit.mean_r[:100], bins, alpha=0.7, label="follow the features")
axis.hist(fit.mean_r[100:], bins, alpha=0.7, label="noise")
axis.axvline(1.645 * np.median(fit.null_sd), color="black", label="p = .05, one vertex")
axis.set(xlabel="held-out r", ylabel="vertices")
axis.legend()
plt.show()
