"""False positives of the encoding nulls on simulated noise and on a real resting-state run.

``python benchmarks/calibration_encoding.py simulation`` draws autoregressive features and
responses that have nothing to do with each other. ``rest FOLDER`` cuts the resting-state run of
the PyPI package brainspace (fsaverage5, 652 volumes, TR 1.4 s) into three and pairs it with real
music, each third with the features rotated by a lag of its own. FOLDER is the unpacked wheel
(``pip download brainspace --no-deps``). Nothing the model finds is true.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, phase_null, plan_encoding
from bids_app.encoding.gram import feature_gram

RUN = "sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5"
TR = 1.4


def _autoregressive(
    rng: np.random.Generator, n_times: int, n_columns: int, coefficient: float
) -> NDArray[np.float64]:
    noise = rng.standard_normal((n_times + 100, n_columns))
    return lfilter([1], [1, -coefficient], noise, axis=0)[100:]


def simulation(n_features: int, n_vertices: int, n_refits: int) -> None:
    """Shares of p below .05 and .01 over draws of features."""
    lengths = (198, 286, 545)
    found: dict[str, list[list[float]]] = {"closed form": [], "refits": []}
    ratios = []
    for draw in range(n_features):
        rng = np.random.default_rng([0, draw])
        features = [_autoregressive(rng, n, 100, 0.9) for n in lengths]
        responses = [_autoregressive(rng, n, n_vertices, 0.8) for n in lengths]
        plan = plan_encoding(feature_gram(features), lengths, delays=(0, 11), crop=15, tr=1.0)
        result = fit_encoding(plan, responses)
        null = phase_null(
            plan, responses, result.alpha, mean_r=result.mean_r, n_draws=n_refits, seed=draw
        )
        for name, p in (("closed form", result.p), ("refits", null.p)):
            found[name].append([float(np.mean(p < 0.05)), float(np.mean(p <= 0.01))])
        ratios.append(float(np.median(result.null_sd / null.sd)))
    for name, shares in found.items():
        five, one = np.mean(shares, axis=0)
        spread = np.std(shares, axis=0)[0]
        print(
            f"simulation, {name}: p < .05 in {five:.4f} (SD over features {spread:.4f}), "
            f"p <= .01 in {one:.4f}; {n_features} features, {n_vertices} vertices"
        )
    print(
        f"simulation, SD of closed form over {n_refits} refits: median {np.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )


def _music(data: Path) -> NDArray[np.float64]:
    """Log-mel patches of the recordings, z-scored, at the volumes of one loop through them."""
    from bids_app.features.audio import load_audio
    from bids_app.features.logmel import log_mel_patches

    parts = []
    for path in sorted((data / "audio").glob("*.ogg")):
        audio = load_audio(path)
        patches, times = log_mel_patches(audio)
        flat = patches.reshape(len(patches), -1).astype(np.float64)
        flat = (flat - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-9)
        grid = np.arange(times[0], times[-1], TR)
        right = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
        share = ((grid - times[right - 1]) / (times[right] - times[right - 1]))[:, None]
        parts.append((1 - share) * flat[right - 1] + share * flat[right])
    return np.concatenate(parts)


def _rest(folder: Path, step: int) -> NDArray[np.float64]:
    """Every ``step``-th cortical vertex, (n_times, n_vertices), drift and motion removed."""
    import nibabel as nib

    files = [next(folder.rglob(f"{RUN}.{side}.mgz")) for side in ("lh", "rh")]
    data = np.concatenate([np.asarray(nib.load(f).dataobj).squeeze() for f in files])
    data = data[data.std(axis=1) > 0][::step].T.astype(np.float64)
    n_times = data.shape[0]
    n_cosines = int(2 * n_times * TR / 128) + 1
    time = (np.arange(n_times) + 0.5) / n_times
    nuisance = [np.cos(np.pi * time[:, None] * np.arange(n_cosines))]
    for table in folder.rglob("*confounds.txt"):
        confounds = np.loadtxt(table)[:, :12]  # tissue components and rigid-body motion
        nuisance.append((confounds - confounds.mean(axis=0)) / confounds.std(axis=0))
    left, singular, _ = np.linalg.svd(np.concatenate(nuisance, axis=1), full_matrices=False)
    basis = left[:, singular > 1e-8 * singular[0]]
    return data - basis @ (basis.T @ data)


def rest(folder: Path, data: Path, n_pairings: int, step: int) -> None:
    """Share of p below .05, and pairings in which FDR finds something."""
    try:
        bold = _rest(folder, step)
    except (StopIteration, OSError) as error:
        print(f"rest: no resting-state run in {folder} ({error}); see the help")
        return
    music = _music(data)
    thirds = np.array_split(bold, 3)
    responses: list[NDArray[Any]] = [np.asarray(t, dtype=np.float32) for t in thirds]
    lengths = [len(t) for t in responses]
    shares, hits = [], []
    for pairing in range(n_pairings):
        lags = np.random.default_rng([1, pairing]).integers(0, len(music), 3)
        features = [np.roll(music, lag, axis=0)[:n] for lag, n in zip(lags, lengths, strict=True)]
        plan = plan_encoding(feature_gram(features), lengths, delays=(3, 9), crop=15, tr=TR)
        result = fit_encoding(plan, responses, n_threads=len(os.sched_getaffinity(0)))
        shares.append(float(np.nanmean(result.p < 0.05)))
        hits.append(int(np.nansum(result.q < 0.05)))
        if (pairing + 1) % 10 == 0:
            print(
                f"rest, {pairing + 1} pairings, {bold.shape[1]} vertices: share of p < .05 "
                f"{np.mean(shares):.4f} (SD {np.std(shares):.4f}), FDR finds nothing in "
                f"{np.mean(np.array(hits) == 0):.0%}",
                flush=True,
            )


def main() -> None:
    """Run one of the two calibrations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulation", "rest"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path("brainspace"))
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--vertices", type=int, default=1000)
    parser.add_argument("--refits", type=int, default=300)
    parser.add_argument("--pairings", type=int, default=100)
    parser.add_argument("--step", type=int, default=4)
    default = Path(os.environ.get("MUSENC_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=default)
    args = parser.parse_args()
    if args.what == "simulation":
        simulation(args.features, args.vertices, args.refits)
    else:
        rest(args.folder, args.data, args.pairings, args.step)


if __name__ == "__main__":
    main()
