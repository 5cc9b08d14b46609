"""Head motion, physiology and the confounds table that fMRIPrep would have written of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from bids_app.testing.responses import FloatArray, autocorrelated, standardize

N_PHYSIOLOGY = 6
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@dataclass(frozen=True)
class Nuisance:
    """Confound series of one run.

    Attributes
    ----------
    motion : (n_times, 6) float64
        Translations in mm, rotations in radians.
    physiology : (n_times, N_PHYSIOLOGY) float64
        Unit variance.
    spikes : (n_spikes,) int64
        Volumes with a sudden movement.
    """

    motion: FloatArray
    physiology: FloatArray
    spikes: NDArray[np.int64]


def draw_nuisance(n_times: int, tr: float, rng: np.random.Generator) -> Nuisance:
    """Draw head motion and physiological series of one run.

    Motion is a slow random walk with breathing and one to three sudden movements; physiology has
    slow waves (.01 to .1 Hz).
    """
    seconds = tr * np.arange(n_times)
    walk = np.cumsum(rng.standard_normal((n_times, 6)), axis=0)
    walk = lfilter([0.1], [1.0, -0.9], walk - walk[0], axis=0) * 0.01 * np.sqrt(tr)
    breathing = np.sin(2 * np.pi * rng.uniform(0.2, 0.3) * seconds + rng.uniform(0, 6.3))
    walk += 0.01 * breathing[:, None] * rng.standard_normal(6)
    n_spikes = int(rng.integers(1, 4)) if n_times > 40 else 0
    spikes = np.sort(rng.permutation(np.arange(5, max(5, n_times - 5)))[:n_spikes])
    for spike in spikes:
        walk[spike:] += 0.12 * rng.standard_normal(6)
        walk[spike] += 0.35 * rng.standard_normal(6)
    motion = walk * np.array([1.0, 1.0, 1.5, 0.018, 0.01, 0.01])
    waves = autocorrelated((N_PHYSIOLOGY, n_times + 50), [n_times + 50], 0.85, rng)
    physiology = standardize(np.diff(waves, n=1)[:, 49:].T + 0.5 * waves[:, 50:].T)
    return Nuisance(motion, physiology, spikes)


def confounds_table(
    nuisance: Nuisance, tr: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, dict[str, object]]]:
    """Confounds of a run as fMRIPrep 22 writes them.

    Parameters
    ----------
    nuisance : Nuisance
        Motion and physiology of the run.
    tr : float
        Seconds.
    rng : Generator
        Of measurement noise in the component series.

    Returns
    -------
    table : DataFrame
        NaN (written n/a) where a first difference is not defined.
    metadata : dict
        The sidecar: mask, method, variance explained, per component.
    """
    n_times = len(nuisance.motion)
    columns: dict[str, FloatArray] = {}
    physiology = nuisance.physiology
    means = (("csf", 16000.0, 0), ("white_matter", 13000.0, 1), ("global_signal", 13200.0, 2))
    for name, level, index in means:
        mixed = physiology @ rng.standard_normal(N_PHYSIOLOGY) / np.sqrt(N_PHYSIOLOGY)
        columns |= _expansions(name, level * (1 + 0.004 * (mixed + physiology[:, index])))
    steps = np.abs(np.diff(nuisance.motion, axis=0))
    columns["framewise_displacement"] = _lagged(steps @ np.array([1, 1, 1, 50, 50, 50.0]))
    columns["rmsd"] = _lagged(np.sqrt(np.mean(steps[:, :3] ** 2, axis=1)))
    dvars = 20.0 + 30.0 * columns["framewise_displacement"][1:]
    columns["dvars"] = _lagged(dvars)
    columns["std_dvars"] = _lagged(dvars / np.median(dvars))
    metadata: dict[str, dict[str, object]] = {name: {"Method": "Mean"} for name, _, _ in means}
    for prefix, mask, n_components in (("a", "combined", 6), ("c", "CSF", 3), ("w", "WM", 3)):
        components, described = _component_series(physiology, mask, n_components, rng)
        for index, (series, info) in enumerate(zip(components.T, described, strict=True)):
            columns[f"{prefix}_comp_cor_{index:02d}"] = series
            metadata[f"{prefix}_comp_cor_{index:02d}"] = info
    middle = np.arange(n_times) + 0.5
    for k in range(int(2 * n_times * tr // 128.0)):
        wave = np.cos(np.pi * (k + 1) * middle / n_times)
        columns[f"cosine{k:02d}"] = wave * np.sqrt(2.0 / n_times)
    for name, series in zip(MOTION, nuisance.motion.T, strict=True):
        columns |= _expansions(name, series)
    for index, spike in enumerate(nuisance.spikes):
        columns[f"motion_outlier{index:02d}"] = (np.arange(n_times) == spike).astype(float)
    return pd.DataFrame(columns), metadata


def _lagged(differences: FloatArray) -> FloatArray:
    return np.concatenate([[np.nan], differences])


def _expansions(name: str, series: FloatArray) -> dict[str, FloatArray]:
    derivative = _lagged(np.diff(series))
    return {
        name: series,
        f"{name}_derivative1": derivative,
        f"{name}_power2": series**2,
        f"{name}_derivative1_power2": derivative**2,
    }


def _component_series(
    physiology: FloatArray, mask: str, n_components: int, rng: np.random.Generator
) -> tuple[FloatArray, list[dict[str, object]]]:
    """Principal components of noisy voxels that the physiology drives."""
    voxels = physiology @ rng.standard_normal((physiology.shape[1], 60))
    voxels += 0.5 * rng.standard_normal(voxels.shape)
    series, singular, _ = np.linalg.svd(standardize(voxels), full_matrices=False)
    explained = singular**2 / np.sum(singular**2)
    described: list[dict[str, object]] = [
        {
            "CumulativeVarianceExplained": float(explained[: k + 1].sum()),
            "Mask": mask,
            "Method": "aCompCor",
            "Retained": True,
            "SingularValue": float(singular[k]),
            "VarianceExplained": float(explained[k]),
        }
        for k in range(min(n_components, singular.size))
    ]
    return series[:, :n_components], described
