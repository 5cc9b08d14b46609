"""Own weights beside those of the others: level where there is nothing, power where there is.

    python benchmarks/calibration_weights.py RESULTS.jsonl --rest FOLDER [--minutes 9]

Every vertex is a study of its own: real resting series, each with phases of its own, or windows of
them as they are, so that a batch of one piece of music is hundreds of studies. Two claims each:
layer-averaged accuracy (one-sided) and residual slope (two-sided), over people (t, unscaled and
scaled for shared training) and over music (closed form, widened by refits). Planted: everybody's
response follows the deepest layer alike; own and others' weights see the same studies.

FOLDER and MUSENC_TEST_DATA are those of `benchmarks/calibration_claims.py`. A batch appends a line
to RESULTS.jsonl and is not done again; a further call goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import calibration_claims
import claims_table
import listeners
import numpy as np
from listeners import Brain, Cell, Music, Study
from scipy import stats

from bids_app.analyses.group import refits
from bids_app.encoding import plan_encoding
from bids_app.features.timing import sample_gram
from bids_app.group import shared_training_scale
from bids_app.preference import slope_weights
from bids_app.statistics import fisher_z

N_STUDIES = 400
LAYERS = (0, 2, 3, 5, 7)  # of those of `listeners`
WEIGHTS = ("own", "others")

refits.N_REFITS = 60
refits.REFIT_VERTICES = (40, 40)


@dataclass(frozen=True)
class Batch:
    """One kind of studies; `planted` in standard deviations of the noise."""

    isc: float
    noise: str = "windows"
    n_participants: int = 12
    planted: float = 0.0


BATCHES = (
    *(Batch(isc, noise) for noise in ("windows", "surrogates") for isc in (0.0, 0.1, 0.3)),
    *(Batch(isc, n_participants=6) for isc in (0.0, 0.1)),
    Batch(0.05, planted=0.15),
)


def draw(brain: Brain, music: Music, batch: Batch, seed: int) -> Study:
    """Studies of one piece of music, one per vertex."""
    rng = np.random.default_rng([seed, 77])
    times = listeners._excerpts(music, Cell(""), rng)
    lengths = [len(one) for one in times]
    patches = [music.hop * np.arange(len(music.grams[0]))]
    zeros = [0] * len(times)
    sampled = [
        sample_gram(music.grams[k], patches, zeros, times, 1.0, listeners.HIGH_PASS) for k in LAYERS
    ]
    options: dict[str, Any] = {"delays": listeners.DELAYS, "crop": listeners.CROP, "tr": 1.0}
    plans = [plan_encoding(one, lengths, **options) for one in sampled]
    series = listeners._at_rate(brain, 1.0)[:, brain.cortex]
    common = _noise(series, batch.noise, lengths, rng)
    drive = _drive(sampled[-1], lengths, rng) if batch.planted else [0.0] * len(lengths)
    responses = []
    for _ in range(batch.n_participants):
        own = _noise(series, batch.noise, lengths, rng)
        mixed = [
            np.sqrt(batch.isc) * c + np.sqrt(1 - batch.isc) * o + batch.planted * d
            for c, o, d in zip(common, own, drive, strict=True)
        ]
        responses.append([listeners._cleaned(one, 1.0) for one in mixed])
    return Study(plans, responses, np.linspace(0, 1, len(plans)))


def _noise(
    series: np.ndarray, kind: str, lengths: list[int], rng: np.random.Generator
) -> list[np.ndarray]:
    picked = rng.integers(series.shape[1], size=N_STUDIES)
    if kind == "surrogates":
        spectrum = np.fft.rfft(series[:, picked], axis=0)
        phases = rng.uniform(0, 2 * np.pi, spectrum.shape)
        phases[0] = 0
        if len(series) % 2 == 0:
            phases[-1] = 0
        turned = np.fft.irfft(spectrum * np.exp(1j * phases), len(series), axis=0)
        return np.split(turned[: sum(lengths)], np.cumsum(lengths)[:-1])
    out = []
    for n in lengths:
        start = rng.integers(len(series) - n + 1, size=N_STUDIES)
        piece = series[start + np.arange(n)[:, np.newaxis], picked]
        backwards = rng.random(N_STUDIES) < 0.5
        piece[:, backwards] = piece[::-1][:, backwards]
        out.append(piece)
    return out


def _drive(gram: np.ndarray, lengths: list[int], rng: np.random.Generator) -> list[np.ndarray]:
    """What a random combination of a layer's units gives five seconds later, unit variance."""
    values, vectors = np.linalg.eigh(gram)
    root = vectors[:, -40:] * np.sqrt(np.maximum(values[-40:], 0))
    heard = np.split(root @ rng.standard_normal((40, N_STUDIES)), np.cumsum(lengths)[:-1])
    late = [np.concatenate([np.zeros((5, N_STUDIES)), one[:-5]]) for one in heard]
    return [one / one.std(axis=0) for one in late]


def run(study: Study, weights: str) -> dict[str, list[float]]:
    """Statistics and p of every study of a batch."""
    n, n_layers = len(study.responses), len(study.plans)
    training = calibration_claims._others(study) if weights == "others" else None
    brain = SimpleNamespace(space="", cortex=np.ones(N_STUDIES, dtype=bool))
    data, alphas = calibration_claims._fitted(brain, study, training)
    reference = 0.4 + np.exp(-0.5 * ((study.depth - 0.5) / 0.25) ** 2)
    slope = slope_weights(study.depth, reference)
    r = data.r.astype(np.float64)
    found: dict[str, list[float]] = {"r": r.mean(axis=(0, 1)).tolist()}
    with tempfile.TemporaryDirectory() as folder:
        side = calibration_claims._side(study, data, alphas, Path(folder), training)
        usable = np.isfinite(r).all(axis=(0, 1))
        for name, layers, values, tail in (
            ("accuracy", np.full(n_layers, 1 / n_layers), fisher_z(r).mean(axis=1), "greater"),
            ("slope", slope, np.einsum("l,plv->pv", slope, r), "two-sided"),
        ):
            test = side.test_maps([np.tile(layers / n, (n, 1))], usable, name, tail=tail)
            found[f"{name}, t"] = stats.ttest_1samp(values, 0).statistic.tolist()
            found[f"{name}, music"] = test.p[0].tolist()
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown of the rates: a row per batch and weights, then all of nothing together."""
    tests = ["music", "people, t", "both", "people, scaled", "both"]
    head = [f"{name}: {test}" for name in ("accuracy", "slope") for test in tests]
    lines = [f"| | weights | studies | {' | '.join(head)} |", "|---" * (len(head) + 3) + "|"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_named(Batch(**row["batch"])), []).append(row)
    groups["all of nothing"] = [row for row in rows if not row["batch"]["planted"]]
    for name, own in groups.items():
        lines += [
            f"| {name} | {weights} | {' | '.join(_cells(own, weights))} |"
            for weights in WEIGHTS
            if any(weights in row for row in own)
        ]
    return "\n".join(lines)


def _named(batch: Batch) -> str:
    planted = f", planted {batch.planted:g}" if batch.planted else ""
    return f"{batch.noise}, ISC {batch.isc:g}, {batch.n_participants} participants{planted}"


def _cells(rows: list[dict[str, Any]], weights: str) -> list[str]:
    known = [row for row in rows if weights in row]
    n = np.repeat([row["batch"]["n_participants"] for row in known], N_STUDIES)
    scale = np.array([shared_training_scale(one) if weights == "others" else 1.0 for one in n])
    cells = [str(len(n))]
    for name in ("accuracy", "slope"):
        t, music = (
            np.concatenate([row[weights][f"{name}, {part}"] for row in known])
            for part in ("t", "music")
        )
        cells.append(_rate(music))
        for factor in (1.0, scale):
            size = factor * t
            people = stats.t.sf(size, n - 1) if name == "accuracy" else None
            if people is None:
                people = 2 * stats.t.sf(np.abs(size), n - 1)
            cells += [_rate(people), _rate(np.maximum(people, music))]
    return cells


def _rate(p: np.ndarray) -> str:
    return claims_table.rate(p, 0.95)


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--rest", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    options = parser.parse_args()
    brain = listeners.load_brain(options.rest, calibration_claims.DATA)
    music = listeners.load_music(calibration_claims.DATA, options.results.with_suffix(".npz"))
    rows = [json.loads(line) for line in _lines(options.results)]
    stop = time.monotonic() + 60 * options.minutes
    done = {(Batch(**row["batch"]), row["seed"]) for row in rows}
    with options.results.open("a") as stream:
        for seed in range(100):
            for batch in BATCHES:
                if (batch, seed) in done or time.monotonic() > stop:
                    continue
                study = draw(brain, music, batch, seed)
                found = {weights: run(study, weights) for weights in WEIGHTS}
                rows.append({"batch": vars(batch), "seed": seed, **found})
                stream.write(json.dumps(rows[-1]) + "\n")
                stream.flush()
    print(table(rows))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
