"""Small files of grayordinates with known subcortical voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.cifti2 import BrainModelAxis, SeriesAxis

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
SHAPE = (91, 109, 91)
STRUCTURES = {
    "CIFTI_STRUCTURE_AMYGDALA_LEFT": (56, 61, 27),
    "CIFTI_STRUCTURE_AMYGDALA_RIGHT": (31, 61, 27),
    "CIFTI_STRUCTURE_BRAIN_STEM": (43, 48, 28),
}
"""First voxel of a block of `BLOCK` voxels."""
BLOCK = (4, 3, 2)
N_EACH = int(np.prod(BLOCK))


def subcortical_axis() -> BrainModelAxis:
    """Three blocks of voxels."""
    within = np.stack(np.meshgrid(*map(np.arange, BLOCK), indexing="ij"), axis=-1).reshape(-1, 3)
    voxels = np.concatenate([within + first for first in STRUCTURES.values()])
    names = np.repeat(list(STRUCTURES), N_EACH)
    return BrainModelAxis(names, voxel=voxels, affine=AFFINE, volume_shape=SHAPE)


FIRST, EXTENT = np.array([30, 47, 26]), (32, 20, 6)
"""Part of the volume that `write_volume` writes."""


def write_volume(path: Path, voxels: np.ndarray, tr: float) -> Path:
    """Series of the voxels, (n_times, n_voxels), in a small volume of noise."""
    volume = np.random.default_rng(0).standard_normal((*EXTENT, len(voxels)))
    volume[tuple((subcortical_axis().voxel - FIRST).T)] = voxels.T
    return _save(path, volume.astype(np.float32), FIRST, tr)


def write_atlas(path: Path) -> Path:
    """The blocks as regions 3, 5 and 7 of an atlas that is turned around; 7 has no name."""
    labels = np.zeros(SHAPE, dtype=np.int16)
    for number, first in zip((5, 3, 7), STRUCTURES.values(), strict=True):
        labels[tuple(slice(a, a + n) for a, n in zip(first, BLOCK, strict=True))] = number
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(
        "index\tname\n3\tAmygdala (R)\n5\tAmygdala (L)\n"
    )
    turned = AFFINE.copy()
    turned[0] = [2, 0, 0, AFFINE[0, 3] - 2 * (SHAPE[0] - 1)]
    nib.save(nib.Nifti1Image(labels[::-1], turned), path)
    return path


def _save(path: Path, volume: np.ndarray, first: np.ndarray, tr: float) -> Path:
    affine = AFFINE.copy()
    affine[:3, 3] += AFFINE[:3, :3] @ first
    image = nib.Nifti1Image(volume, affine)
    image.header.set_zooms((2, 2, 2, tr))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_dtseries(path: Path, voxels: np.ndarray, tr: float) -> Path:
    """Series of the voxels, (n_times, n_voxels), behind some vertices of a cortex of noise."""
    cortex = sum(
        (
            BrainModelAxis.from_surface(np.arange(0, 32492, 1000), 32492, name=f"CORTEX_{side}")
            for side in ("RIGHT",)
        ),
        BrainModelAxis.from_surface(np.arange(0, 32492, 1000), 32492, name="CORTEX_LEFT"),
    )
    noise = np.random.default_rng(0).standard_normal((len(voxels), len(cortex)))
    values = np.hstack([noise, voxels]).astype(np.float32)
    axes = (SeriesAxis(0, tr, len(voxels)), cortex + subcortical_axis())
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Cifti2Image(values, header=axes), path)
    return path
