"""How often the slope of what layers add to low-level sound is said to be aligned, of nothing.

    python benchmarks/calibration_beyond.py RESULTS.jsonl [--studies 400] [--seconds 3600]

A study has 6 listeners who share a part of their noise, three pieces of 90 to 110 samples, two
low-level spaces, six layers that are alike to their neighbors, and 36 vertices; nobody follows the
music. The gradient is a draw of its own. Every study is a line of RESULTS.jsonl: p over people and
over music of the alignment, whether both hold with one sign, and the share of vertices with p < .05
over music. Calls go on where the last one stopped. Rotations are not in it: 36 vertices are no
mesh.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "studies"))

from joint_listeners import Side, listeners

from bids_app.analyses.group import over_music
from bids_app.analyses.group.beyond_music import JointMusicSide
from bids_app.analyses.group.beyond_slope import SlopesOverMusic, slopes_of
from bids_app.group import gradient_correlations, gradient_weights
from bids_app.statistics import SIGNIFICANCE

LAYERS = ["one", "two", "three", "four", "five", "six"]
DEPTH = np.linspace(0, 1, len(LAYERS)).tolist()
N_VERTICES = 36
ISC = (0.0, 0.4)
"""What listeners share of their noise, in turn."""
# A study at a few seconds.
over_music.N_REFITS = 20
over_music.REFIT_VERTICES = (12, 12)
over_music.REFIT_COLUMNS = 1


def simulate(seed: int) -> dict[str, float]:
    """One study of nothing."""
    rng = np.random.default_rng([seed, 1])
    loads = {name: np.zeros((4, N_VERTICES)) for name in LAYERS}
    shared = ISC[seed % len(ISC)]
    mask = np.ones(N_VERTICES, dtype=bool)
    with tempfile.TemporaryDirectory() as folder:
        models, heard, data, choices = listeners(
            Path(folder), Side(*LAYERS, shared=0.6), loads, seed=seed, shared_noise=shared
        )
        r = data.r.astype(np.float64)
        found = slopes_of(r[:, 1:] - r[:, :1], mask, DEPTH, "quadratic")
        side = JointMusicSide(heard, data, [models], choices, seed, 1)
        test = SlopesOverMusic(side, found, mask, DEPTH, "quadratic")
        gradient = rng.standard_normal(N_VERTICES)
        music = test.alignment(gradient_weights(gradient, mask, method="spearman"))
        vertices = test.vertices()
    z = np.arctanh(gradient_correlations(found.slopes, gradient, mask, method="spearman"))
    people = stats.ttest_1samp(z, 0)
    ratio = music.scaled.ratio
    both = max(people.pvalue, music.p) < SIGNIFICANCE and people.statistic * music.statistic > 0
    return {
        "shared": shared,
        "people": float(people.pvalue),
        "music": music.p,
        "both": float(both),
        "vertices": float(np.mean(vertices < SIGNIFICANCE)),
        "ratio": float("nan") if ratio is None else ratio.ratio,
    }


def main() -> None:
    """Simulate until the time is up, and print rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    known = options.results.read_text().splitlines() if options.results.is_file() else []
    end, seed = time.monotonic() + options.seconds, len(known)
    while seed < options.studies and time.monotonic() < end:
        known.append(json.dumps({"seed": seed, **simulate(seed)}))
        with options.results.open("a") as stream:
            stream.write(known[-1] + "\n")
        seed += 1
    rows = [json.loads(line) for line in known]
    for shared in ISC:
        own = [row for row in rows if row["shared"] == shared]
        if not own:
            continue
        rates = {
            name: np.mean([row[name] < SIGNIFICANCE for row in own]) for name in ("people", "music")
        }
        print(
            f"shared {shared}: {len(own)} studies, p < .05 over people {rates['people']:.3f},"
            f" over music {rates['music']:.3f}, both {np.mean([row['both'] for row in own]):.3f};"
            f" vertices over music {np.mean([row['vertices'] for row in own]):.3f};"
            f" ratio {np.nanmedian([row['ratio'] for row in own]):.2f}"
        )


if __name__ == "__main__":
    main()
