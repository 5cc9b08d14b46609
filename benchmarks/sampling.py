"""What it is worth to average features over the repetition time, on real music.

Run ``python benchmarks/sampling.py FOLDER`` with a folder of recordings (``--network
musicnn:MTT_vgg`` for trained layers, ``--signal .25`` for weaker responses). Responses are
simulated: random combinations of the features at a fine clock (10 ms, or that of the network's
patches at a hop of 0.24 s), convolved with the canonical HRF, sampled at an instant every TR, with
white noise of its own for every vertex. The model is the program's: delays of 3 to 9 s, high-pass
128 s, nested leave-one-recording-out. Only the way from the features' own clock to the volumes
differs: linear interpolation, or the mean over the TR. Weights of VGGish are drawn at random.
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
    drives: list[np.ndarray],
    clocks: list[np.ndarray],
    times: list[np.ndarray],
    seed: int,
    signal: float,
) -> list[np.ndarray]:
    """Drive (n_samples, n_vertices) of every recording, heard through the HRF, and noise.

    `signal` is its standard deviation over that of the noise.
    """
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
    return [signal * h / scale + rng.standard_normal(h.shape) for h in heard]


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


def network_cases(files: list[Path], network: str) -> Iterator[tuple[str, tuple]]:
    """Layers of a network: drives with the layer's own covariance at the fine hop."""
    found = vggish_layers(files) if network == "vggish" else tagger_layers(files, network)
    for number, (name, fine, clocks, gram, centers) in enumerate(found):
        values, vectors = np.linalg.eigh(fine)
        keep = values > 1e-6 * values[-1]
        root = vectors[:, keep] * np.sqrt(values[keep])
        weights = np.random.default_rng(number).standard_normal((root.shape[1], N_VERTICES))
        drives = np.split(root @ weights, np.cumsum([len(clock) for clock in clocks])[:-1])
        yield name, (gram, centers, drives, clocks)


def vggish_layers(files: list[Path]) -> Iterator[tuple]:
    """Some layers of the untrained network: fine Gram matrix and times, those of the program."""
    from bids_app.features.stream import layer_grams
    from bids_app.features.vggish import load_vggish

    fine = [log_mel_patches(load_audio(path, SAMPLE_RATE), FINE_HOP) for path in files]
    clocks = [clock for _, clock in fine]
    every = round(HOP / FINE_HOP)
    ends = np.cumsum([0, *map(len, clocks)])
    picked = np.concatenate([np.arange(a, b, every) for a, b in pairwise(ends)])
    patches = [one for one, _ in fine]
    for layer in layer_grams(load_vggish("random:0"), patches, layers=LAYERS):
        coarse = layer.gram[np.ix_(picked, picked)]
        yield layer.name, layer.gram, clocks, coarse, [clock[::every] for clock in clocks]


def tagger_layers(files: list[Path], network: str) -> Iterator[tuple]:
    """The same of all layers of one of musicnn's networks."""
    from bids_app.features.registry import find_space
    from bids_app.features.streamed import listen, streamed_grams

    heard, grams = [], []
    for hop in (FINE_HOP, HOP):
        listener = find_space(f"{network}@hop:{hop:g}").streamed()
        heard.append(listen(listener, [(p.stem, p) for p in files], listener.layers, hop))
        numbers = {name: number for number, name in enumerate(listener.layers, start=1)}
        grams.append(streamed_grams(heard[-1], numbers))
    for fine, coarse in zip(*grams, strict=True):
        yield fine.name, fine.gram, heard[0].times, coarse.gram, heard[1].times


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
    parser.add_argument("--network", default="vggish", help="or musicnn:NAME[@random:SEED]")
    parser.add_argument("--signal", type=float, default=0.5, help="over the noise's deviation")
    parser.add_argument("--tr", type=float, nargs="+", default=TRS)
    options = parser.parse_args()
    files = sorted(
        p
        for p in options.folder.iterdir()
        if p.suffix in (".ogg", ".wav", ".flac") and audio_duration(p) > SHORTEST
    )
    started = time.perf_counter()
    cases = chain(
        () if options.only == "network" else sound_cases(files),
        () if options.only == "sound" else network_cases(files, options.network),
    )
    print("case | " + " | ".join(f"TR {tr:g}" for tr in options.tr))
    for name, (gram, centers, drives, clocks) in cases:
        cells = []
        for tr in options.tr:
            times = [np.arange(tr / 2, clock[-1], tr) for clock in clocks]
            y = responses(drives, clocks, times, seed=round(10 * tr), signal=options.signal)
            before, after = (
                accuracy(gram, centers, times, y, tr, way) for way in (interpolation, means)
            )
            low, high, same = before.mean(), after.mean(), np.corrcoef(before, after)[0, 1]
            cells.append(f"{low:.3f} {high:.3f} {high / low - 1:+.0%} ({same:.3f})")
        print(f"{name} | " + " | ".join(cells), flush=True)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
