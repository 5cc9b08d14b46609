"""False positives of the encoding nulls on simulated noise and on a real resting-state run.

``python benchmarks/calibration_encoding.py simulation`` draws autoregressive features and
responses that have nothing to do with each other. ``rest FOLDER`` cuts the resting-state run of
the PyPI package brainspace (fsaverage5, 652 volumes, TR 1.4 s) into three and pairs it with real
music, each third with the features rotated by a lag of its own. FOLDER is the unpacked wheel
(``pip download brainspace --no-deps``). Nothing the model finds is true.

``pieces RESULTS.jsonl [--rest FOLDER] [--minutes 9] [--only NAME ...] [--part 0/2]`` measures the
level of a participant's p with short and long pieces, real music and noise of many kinds, most of
which the null does not assume. Seeds are fixed; a simulation that is in RESULTS.jsonl is not done
again, so that the script may be stopped and started, and parts of the seeds may run side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, noise_null, phase_null, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.features.timing import high_pass_basis

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


def _music(data: Path, tr: float = TR) -> NDArray[np.float64]:
    """Log-mel patches of the recordings, z-scored, at the volumes of one loop through them."""
    from bids_app.features.audio import load_audio
    from bids_app.features.logmel import log_mel_patches

    parts = []
    for path in sorted((data / "audio").glob("*.ogg")):
        audio = load_audio(path)
        patches, times = log_mel_patches(audio)
        flat = patches.reshape(len(patches), -1).astype(np.float64)
        flat = (flat - flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-9)
        grid = np.arange(times[0], times[-1], tr)
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


# Kept samples of every piece, and seconds between them.
PIECES: dict[str, tuple[tuple[int, ...], float]] = {
    "4 x 20, TR 2": ((20,) * 4, 2.0),
    "4 x 20, TR .5": ((20,) * 4, 0.5),
    "4 x 30, TR 1": ((30,) * 4, 1.0),
    "4 x 30, TR 2.5": ((30,) * 4, 2.5),
    "4 x 47, TR 1": ((47,) * 4, 1.0),
    "3 x 60, TR 1": ((60,) * 3, 1.0),
    "3 x 60, TR .5": ((60,) * 3, 0.5),
    "3 x 107, TR 2": ((107,) * 3, 2.0),
    "3 x 189, TR 1": ((189,) * 3, 1.0),
    "4 x 47, TR 1, the first twice": ((47,) * 5, 1.0),
}
RECURSIONS: dict[str, tuple[float, ...]] = {
    "white": (),
    "AR(1) .3": (0.3,),
    "AR(1) .8": (0.8,),
    "AR(1) .95": (0.95,),
    "AR(2) 1.1 -.35": (1.1, -0.35),
    "AR(2) 1.4 -.7": (1.4, -0.7),
}
POWERS = {"1/f": 1.0, "1/f^1.5": 1.5}
N_DRAWS, N_VERTICES = 40, 300
CROP, DELAYS, CUTOFF = 15.0, (3.0, 9.0), 128.0
# Volumes of a run before and after the music.
AROUND = 10

Noise = Callable[[np.random.Generator, list[int]], list[NDArray[np.float64]]]


def _recursive(coefficients: tuple[float, ...]) -> Noise:
    def draw(rng: np.random.Generator, lengths: list[int]) -> list[NDArray[np.float64]]:
        steps = [1.0, *(-c for c in coefficients)]
        shapes = [(n + 200, N_VERTICES) for n in lengths]
        return [lfilter([1], steps, rng.standard_normal(s), axis=0)[200:] for s in shapes]

    return draw


def _power_law(exponent: float) -> Noise:
    def draw(rng: np.random.Generator, lengths: list[int]) -> list[NDArray[np.float64]]:
        out = []
        for n in lengths:
            frequency = np.fft.rfftfreq(4 * n)
            frequency[0] = frequency[1]
            white = np.fft.rfft(rng.standard_normal((4 * n, N_VERTICES)), axis=0)
            out.append(
                np.fft.irfft(white * frequency[:, None] ** (-exponent / 2), axis=0)[n : 2 * n]
            )
        return out

    return draw


def _band_passed(tr: float) -> Noise:
    """White noise from .01 to .08 Hz and nothing else, as of series that were denoised before."""

    def draw(rng: np.random.Generator, lengths: list[int]) -> list[NDArray[np.float64]]:
        out = []
        for n in lengths:
            frequency = np.fft.rfftfreq(8 * n, tr)
            white = np.fft.rfft(rng.standard_normal((8 * n, N_VERTICES)), axis=0)
            inside = (frequency > 0.01) & (frequency < 0.08)
            out.append(np.fft.irfft(white * inside[:, None], axis=0)[n : 2 * n])
        return out

    return draw


def _resting(bold: NDArray[np.float64]) -> Noise:
    """Stretches of the run that do not overlap."""

    def draw(rng: np.random.Generator, lengths: list[int]) -> list[NDArray[np.float64]]:
        vertices = rng.choice(bold.shape[1], N_VERTICES, replace=False)
        gaps = np.sort(rng.integers(0, len(bold) - sum(lengths) + 1, len(lengths)))
        starts = gaps + np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int)
        cut = zip(starts.tolist(), lengths, strict=True)
        return [bold[start : start + n, vertices] for start, n in cut]

    return draw


def piece_cases(rest_folder: Path | None) -> Iterator[tuple[str, str, Noise]]:
    """Name, pieces and noise of every cell."""
    noises = {name: _recursive(c) for name, c in RECURSIONS.items()}
    noises |= {name: _power_law(exponent) for name, exponent in POWERS.items()}
    if rest_folder is not None:
        noises["real rest, TR 1.4"] = _resting(_rest(rest_folder, 5))
    for pieces, (_, tr) in PIECES.items():
        for name, noise in (*noises.items(), ("band-passed", _band_passed(tr))):
            yield f"{pieces}; {name}", pieces, noise


def level_of_pieces(data: Path, pieces: str, noise: Noise, seed: int, tr: float | None) -> Any:
    """Shares of p below .05 and .01 for one draw of music and noise, by both nulls."""
    kept, own = PIECES[pieces]
    tr = tr or own
    rng = np.random.default_rng([2, seed])
    ends = max(int(np.ceil(CROP / tr)), int(DELAYS[1] // tr))
    lengths = [n + 2 * ends for n in kept]
    # The resting-state run holds three long pieces only just.
    around = AROUND if sum(lengths) + 2 * AROUND * len(lengths) <= 652 else 0
    music = _at_volumes(data, tr)
    labels = [str(max(i - 1, 0)) if "twice" in pieces else str(i) for i in range(len(kept))]
    features, filters, heard = [], [], {}
    for label, n in zip(labels, lengths, strict=True):
        heard.setdefault(label, int(rng.integers(len(music))))
        x = np.take(music, np.arange(heard[label], heard[label] + n), axis=0, mode="wrap")
        basis = high_pass_basis(n, tr, CUTOFF)
        features.append(x - basis @ (basis.T @ x))
        volumes = n + 2 * around
        drift = high_pass_basis(volumes, tr, CUTOFF)
        basis = np.concatenate([np.full((volumes, 1), volumes**-0.5), drift], axis=1)
        projection = np.eye(volumes) - basis @ basis.T
        filters.append(projection[around : around + n])
    runs = noise(rng, [n + 2 * around for n in lengths])
    responses = [one @ run for one, run in zip(filters, runs, strict=True)]
    gram = feature_gram(features)
    plan = plan_encoding(gram, lengths, stimuli=labels, delays=DELAYS, crop=CROP, tr=tr)
    known = noise_null(plan, responses, filters=filters, seed=seed)
    found = {
        "noise": fit_encoding(plan, responses, null="noise", noise=known).p,
        "phases": fit_encoding(plan, responses, seed=seed).p,
    }
    return {
        name: [float(np.mean(p < level)) for level in (0.05, 0.01)] for name, p in found.items()
    }


@cache
def _at_volumes(data: Path, tr: float) -> NDArray[np.float64]:
    return _music(data, tr)


def pieces(args: argparse.Namespace) -> None:
    """Run what is missing for some minutes and print the levels."""
    part, n_parts = (int(number) for number in args.part.split("/"))
    stop = time.monotonic() + 60 * args.minutes
    cases = [
        case
        for case in piece_cases(args.rest)
        if not args.only or any(name in case[0] for name in args.only)
    ]
    args.folder.touch()
    rows = [json.loads(line) for line in args.folder.read_text().splitlines()]
    done = {(row["case"], row["seed"]) for row in rows}
    with args.folder.open("a") as stream:
        for seed in range(part, N_DRAWS, n_parts):
            for name, which, noise in cases:
                if (name, seed) in done or time.monotonic() > stop:
                    continue
                tr = TR if "rest" in name else None
                result = level_of_pieces(args.data, which, noise, seed, tr)
                stream.write(json.dumps({"case": name, "seed": seed, "result": result}) + "\n")
                stream.flush()
    rows = [json.loads(line) for line in args.folder.read_text().splitlines()]
    for name, _, _ in cases:
        found = [row["result"] for row in rows if row["case"] == name]
        if len(found) < 2:
            continue
        own = np.array([one["noise"] for one in found])
        phases = np.array([one["phases"] for one in found])
        spread = own[:, 0].std(ddof=1) / np.sqrt(len(own))
        print(
            f"{name}: p < .05 in {own[:, 0].mean():.4f} (SE {spread:.4f}), p < .01 in "
            f"{own[:, 1].mean():.4f}; random phases {phases[:, 0].mean():.4f}; {len(own)} draws"
        )


def main() -> None:
    """Run one of the calibrations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulation", "rest", "pieces"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path("brainspace"))
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--vertices", type=int, default=1000)
    parser.add_argument("--refits", type=int, default=300)
    parser.add_argument("--pairings", type=int, default=100)
    parser.add_argument("--step", type=int, default=4)
    parser.add_argument("--rest", type=Path, help="unpacked wheel, for pieces")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", nargs="*", help="cells whose name has one of these")
    parser.add_argument("--part", default="0/1", help="this part of the seeds, of how many")
    default = Path(os.environ.get("MUSENC_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=default)
    args = parser.parse_args()
    if args.what == "pieces":
        pieces(args)
    elif args.what == "simulation":
        simulation(args.features, args.vertices, args.refits)
    else:
        rest(args.folder, args.data, args.pairings, args.step)


if __name__ == "__main__":
    main()
