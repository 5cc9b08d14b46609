"""What it is worth to average features over the repetition time, on real music.

Run ``python benchmarks/sampling.py FOLDER`` with a folder of recordings. Responses are simulated:
random combinations of the features at a fine clock (10 ms, or that of the network's patches at a
hop of 0.24 s), convolved with the canonical HRF, sampled at an instant every TR, with white noise
of its own for every vertex. The model is the program's: delays of 3 to 9 s, high-pass 128 s,
nested leave-one-recording-out. Only the way from the features' own clock to the volumes differs:
linear interpolation, or the mean over the TR. Weights of the network are drawn at random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from scipy.interpolate import interp1d

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.features.audio import audio_duration, load_audio
from bids_app.features.gram import values_gram
from bids_app.features.logmel import SAMPLE_RATE, log_mel, log_mel_patches
from bids_app.features.loudness import loudness
from bids_app.features.timing import high_pass_basis, window_matrix
from bids_app.testing.responses import canonical_hrf

FINE_HOP, HOP = 0.24, 0.48
LAYERS = (1, 4, 9, 17, 22)
TRS = (1.0, 1.5, 2.0, 2.5)
N_VERTICES = 500
SNR = 0.5  # standard deviation of the signal over that of the noise
SHORTEST = 30.0  # seconds: less leaves nothing beside delays and crop
DELAYS, HIGH_PASS, CROP = (3.0, 9.0), 128.0, 9.0

Way = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def interpolation(centers: np.ndarray, times: np.ndarray, tr: float) -> np.ndarray:
    """What the program did before: the value at the sampling time."""
    ends = np.eye(len(centers))
    line = interp1d(
        centers, ends, axis=0, bounds_error=False, fill_value=(ends[0], ends[-1]), kind="linear"
    )
    return line(times)


def means(centers: np.ndarray, times: np.ndarray, tr: float) -> np.ndarray:
    """What the program does: the mean over the repetition time."""
    return window_matrix(centers, times, tr).toarray()


def responses(
    drives: list[np.ndarray], clocks: list[np.ndarray], times: list[np.ndarray], seed: int
) -> list[np.ndarray]:
    """Drive (n_samples, n_vertices) of every recording, heard through the HRF, and noise."""
    rng = np.random.default_rng(seed)
    heard = []
    for drive, clock, volumes in zip(drives, clocks, times, strict=True):
        step = float(np.median(np.diff(clock)))
        kernel = canonical_hrf(step)
        n_fft = len(drive) + len(kernel)
        spectrum = np.fft.rfft(drive, n_fft, axis=0) * np.fft.rfft(kernel, n_fft)[:, np.newaxis]
        smooth = np.fft.irfft(spectrum, n_fft, axis=0)[: len(drive)]
        heard.append(interp1d(clock, smooth, axis=0, fill_value="extrapolate")(volumes))
    scale = np.concatenate([h - h.mean(axis=0) for h in heard]).std(axis=0)
    return [SNR * h / scale + rng.standard_normal(h.shape) for h in heard]


def accuracy(
    gram: np.ndarray,
    centers: list[np.ndarray],
    times: list[np.ndarray],
    y: list[np.ndarray],
    tr: float,
    way: Way,
) -> np.ndarray:
    """The r of every vertex by the program's model, with one way to the volumes."""
    operators, cleaned = [], []
    for c, t, responses in zip(centers, times, y, strict=True):
        slow = high_pass_basis(len(t), tr, HIGH_PASS)
        matrix = way(c, t, tr)
        operators.append(matrix - slow @ (slow.T @ matrix))
        cleaned.append(responses - slow @ (slow.T @ responses))
    ends = np.cumsum([0, *map(len, centers)])
    rows = np.cumsum([0, *map(len, times)])
    whole = np.zeros((rows[-1], ends[-1]))
    for k, matrix in enumerate(operators):
        whole[rows[k] : rows[k + 1], ends[k] : ends[k + 1]] = matrix
    sampled = whole @ gram @ whole.T
    plan = plan_encoding(
        (sampled + sampled.T) / 2, list(map(len, times)), delays=DELAYS, crop=CROP, tr=tr
    )
    return fit_encoding(plan, cleaned, null="none").mean_r


def network_cases(files: list[Path]) -> Iterator[tuple[str, tuple]]:
    """Layers of the untrained network: drives with the layer's own covariance, fine and coarse."""
    from bids_app.features.stream import layer_grams
    from bids_app.features.vggish import LAYER_NAMES, load_vggish

    audio = [load_audio(path, SAMPLE_RATE) for path in files]
    fine = [log_mel_patches(a, FINE_HOP) for a in audio]
    clocks = [clock for _, clock in fine]
    every = round(HOP / FINE_HOP)
    centers = [clock[::every] for clock in clocks]
    ends = np.cumsum([0, *map(len, clocks)])
    picked = np.concatenate([np.arange(a, b, every) for a, b in pairwise(ends)])
    model = load_vggish("random:0")
    for layer in layer_grams(model, [patches for patches, _ in fine], layers=LAYERS):
        values, vectors = np.linalg.eigh(layer.gram)
        keep = values > 1e-6 * values[-1]
        root = vectors[:, keep] * np.sqrt(values[keep])
        weights = np.random.default_rng(layer.layer).standard_normal((root.shape[1], N_VERTICES))
        drives = np.split(root @ weights, ends[1:-1])
        gram = layer.gram[np.ix_(picked, picked)]
        yield f"{layer.layer} {LAYER_NAMES[layer.layer - 1]}", (gram, centers, drives, clocks)


def sound_cases(files: list[Path]) -> Iterator[tuple[str, tuple]]:
    """Log-mel bands and loudness at 10 ms, and their means over 0.25 s as features."""
    audio = [load_audio(path, SAMPLE_RATE) for path in files]
    for name in ("log-mel, 64 bands", "loudness"):
        series, clocks = [], []
        for one in audio:
            if name == "loudness":
                found = loudness(one, SAMPLE_RATE, 0.01)
                series.append(found.values[:, np.newaxis])
                clocks.append((np.arange(found.values.size) + 0.5) * found.frame)
            else:
                series.append(log_mel(one))
                clocks.append(0.0125 + 0.01 * np.arange(len(series[-1])))
        scaled = [(s - s.mean(axis=0)) / s.std(axis=0) for s in series]
        rng = np.random.default_rng(5)
        weights = rng.standard_normal((scaled[0].shape[1], N_VERTICES))
        drives = [s @ weights for s in scaled]
        for step in (0.1, 0.25, HOP):
            centers = [np.arange(step / 2, clock[-1], step) for clock in clocks]
            pooled = [
                window_matrix(clock, c, step) @ s
                for s, clock, c in zip(series, clocks, centers, strict=True)
            ]
            gram, _ = values_gram(pooled)
            yield f"{name}, every {step:g} s", (gram, centers, drives, clocks)


def main() -> None:
    """Print r by interpolation and by means, the gain, and how the maps correlate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("--only", choices=("network", "sound"))
    options = parser.parse_args()
    files = sorted(
        p
        for p in options.folder.iterdir()
        if p.suffix in (".ogg", ".wav", ".flac") and audio_duration(p) > SHORTEST
    )
    started = time.perf_counter()
    cases = chain(
        () if options.only == "network" else sound_cases(files),
        () if options.only == "sound" else network_cases(files),
    )
    print("case | " + " | ".join(f"TR {tr:g}" for tr in TRS))
    for name, (gram, centers, drives, clocks) in cases:
        cells = []
        for tr in TRS:
            times = [np.arange(tr / 2, clock[-1], tr) for clock in clocks]
            y = responses(drives, clocks, times, seed=round(10 * tr))
            before, after = (
                accuracy(gram, centers, times, y, tr, way) for way in (interpolation, means)
            )
            low, high, same = before.mean(), after.mean(), np.corrcoef(before, after)[0, 1]
            cells.append(f"{low:.3f} {high:.3f} {high / low - 1:+.0%} ({same:.3f})")
        print(f"{name} | " + " | ".join(cells), flush=True)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
