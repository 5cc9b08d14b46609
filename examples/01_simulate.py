"""
Simulate a study
================

A small study with a known truth: music is composed and played, and the cortex of listeners follows
layers of an untrained VGGish. Sensory cortex follows early layers, transmodal cortex late ones.
`musenc demo` makes a larger study, analyzes it, and compares the result with the truth.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from nibabel import load

from bids_app.testing.music import default_pieces
from bids_app.testing.simulate import simulate_study

# %%
# One listener, three short pieces, a coarse cortex. On disk it is a BIDS dataset with derivatives
# like those of fMRIPrep, which `musenc-bidsapp` takes as it takes your own.
folder = tempfile.TemporaryDirectory()
study = simulate_study(
    Path(folder.name), n_participants=1, pieces=default_pieces(duration=36), space="fsaverage3"
)
for path in sorted(study.bids_dir.glob("sub-01/func/*happy*")):
    print(path.relative_to(study.bids_dir))
for path in sorted(study.fmriprep_dir.glob("sub-01/func/*happy*.gii")):
    print(path.relative_to(study.fmriprep_dir))

# %%
# The truth: which layer a vertex follows, along the gradient, and the BOLD of a vertex with a
# large share of signal.
truth = study.truth
bold = load(next(study.fmriprep_dir.glob("sub-01/func/*happy*hemi-L*.gii"))).agg_data("time series")
vertex = int(np.argmax(truth.share[: len(bold)]))
print(f"{truth.active.sum()} of {truth.cortex.sum()} vertices follow layers")

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(truth.gradient[truth.active], truth.layers[truth.active], "o", markersize=3)
left.set(xlabel="gradient, sensory to transmodal", ylabel="planted layer")
right.plot(bold[vertex])
right.set(xlabel="volume", ylabel="BOLD of one vertex")
plt.show()
