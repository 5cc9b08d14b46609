"""An output folder written by hand, and gradients and atlases for the group level."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_app.analyses.folder.write import write_settings
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import SAMPLING
from bids_app.files import sha256_of_file, write_json, write_sealed
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import load_mesh

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
STIMULI = ["one", "two"]
SETTINGS = {
    "space": "fsaverage5",
    "alphas": [1.0, 10.0],
    "delays": [3, 9],
    "layer_depth": [0.0, 0.25, 0.5, 0.75, 1.0],
    "sampling": SAMPLING,
}


def write_participant(
    root: Path, label: str, *, layers=LAYERS, settings=SETTINGS, model="vggish", more=0.0
) -> None:
    """Accuracy around the temporal pole, deep layers toward the front; no cleaned responses.

    Another model predicts `more`.
    """
    tree, rng = OutputTree(root), np.random.default_rng(int(label) + 100 * (model != "vggish"))
    mesh = load_mesh()
    y = np.vstack([hemi.pial for hemi in mesh.hemispheres])[:, 1] / 100
    depth = np.linspace(0, 1, len(layers))[:, np.newaxis] - 0.5
    bump = 0.1 + more + 0.05 * np.sin(np.arange(len(layers)))[:, np.newaxis]
    folds = bump + 0.1 * depth * y + 0.02 * rng.standard_normal((2, len(layers), len(y)))
    files = []
    for stat, stim, values in (
        ("r", "", folds.mean(axis=0)),
        *(("r", name, folds[k]) for k, name in enumerate(STIMULI)),
        *(("alpha", name, np.ones_like(folds[0])) for name in STIMULI),
    ):
        for hemi, half in zip("LR", np.split(values, 2, axis=1), strict=True):
            path = tree.participant_map(
                label, hemi, "fsaverage5", model=model, stat=stat, stim=stim
            )
            files.append(write_gifti(path, half, hemi=hemi, names=list(layers)))
            files.append(write_json(sidecar_of(path), {"DataArrays": list(layers)}))
    told = {
        "Stimuli": {name: f"{k}" * 64 for k, name in enumerate(STIMULI)},
        "HeldOutStimuli": STIMULI,
        "DegenerateVertices": 0,
        "ReferenceVertices": 300,
    }
    write_settings(tree, tree.participant_settings(label, model), settings, files, **told)


def write_gradient(folder: Path, values: np.ndarray, name: str = "") -> str:
    """Two files; what --gradient takes."""
    paths = [folder / f"{hemi}{name and '.' + name}.func.gii" for hemi in "LR"]
    for path, hemi, half in zip(paths, "LR", np.split(values, 2), strict=True):
        write_gifti(path, half[np.newaxis], hemi=hemi, names=["gradient"])
    return ",".join(map(str, paths))


def write_atlas(folder: Path, cuts: tuple[float, float] = (-40, 0)) -> str:
    """Three regions per hemisphere, cut from back to front, and a medial wall."""
    paths = []
    for hemi, one in zip("LR", load_mesh().hemispheres, strict=True):
        keys = np.digitize(one.pial[:, 1], cuts) + 1
        keys[np.abs(one.pial[:, 0]) < 5] = 4
        table = nib.gifti.GiftiLabelTable()
        for key, name in enumerate(("???", "back", "middle", "front", "Medial_wall")):
            label = nib.gifti.GiftiLabel(key)
            label.label = name
            table.labels.append(label)
        array = nib.gifti.GiftiDataArray(keys.astype(np.int32), "NIFTI_INTENT_LABEL")
        image = nib.gifti.GiftiImage(darrays=[array], labeltable=table)
        paths.append(folder / f"hemi-{hemi}_three.label.gii")
        nib.save(image, paths[-1])
    return ",".join(map(str, paths))


def write_features(
    folder: Path, n_patches: int = 4, layers: tuple[str, ...] = ("a", "b")
) -> FeatureGrams:
    """A complete folder of Gram matrices, as in the cache."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, len(layers) + 1):
        values = rng.standard_normal((n_patches, n_patches)).astype(np.float32)
        np.save(folder / f"layer-{number:02d}.npy", values)
    np.save(folder / "patch_times.npy", np.arange(float(n_patches)))
    (folder / "picture.png").write_text("drawn")
    meta = {
        "key": folder.name.rpartition("-")[2],
        "features": "envelope",
        "hop": 1.0,
        "labels": ["happy"],
        "checksums": ["a"],
        "durations": [4.0],
        "layer_names": list(layers),
        "n_units": [1] * len(layers),
        "n_constant": [0] * len(layers),
        "n_patches": [n_patches],
        "weights_sha256": "",
        "weights_label": "",
        "sha256": {path.name: sha256_of_file(path) for path in folder.glob("*.npy")},
    }
    write_sealed(folder / "features.json", meta)
    return FeatureGrams.load(folder)
