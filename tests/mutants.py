"""Mutants of the numeric core: a sign, a border, a fold, a conjugate; a test must fail for each.

    python tests/mutants.py [--only WORD]

Prints a Markdown table and exits with 1 if a mutant survives. Sources are copied; nothing here
is changed. `make mutants` runs it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutant:
    """One change of a source, and the tests that must notice."""

    what: str
    module: str
    before: str
    after: str
    tests: str


MUTANTS = (
    Mutant(
        "sign of the delay",
        "encoding/gram.py",
        "offsets[i] + start_i - shift, offsets[j] + start_j - shift",
        "offsets[i] + start_i + shift, offsets[j] + start_j + shift",
        "encoding",
    ),
    Mutant(
        "border of the crop",
        "encoding/gram.py",
        "return tuple((start, length - end) for length in lengths)",
        "return tuple((start, length - end + 1) for length in lengths)",
        "encoding",
    ),
    Mutant(
        "centering on one side only",
        "encoding/gram.py",
        "out[:, start:stop] -= out[:, start:stop].mean(axis=1, keepdims=True)",
        "pass",
        "encoding",
    ),
    Mutant(
        "purge between training and held-out pieces",
        "encoding/folds.py",
        "near = (row >= low - purge) & (row < high + purge)",
        "near = (row >= low) & (row < high)",
        "encoding",
    ),
    Mutant(
        "training rows that hold the held-out ones",
        "encoding/folds.py",
        "train.append(segment.rows[~near])",
        "train.append(segment.rows)",
        "encoding",
    ),
    Mutant(
        "conjugate of a phase",
        "encoding/phases.py",
        "[even * cosine - odd * sine, odd * cosine + even * sine]",
        "[even * cosine + odd * sine, odd * cosine - even * sine]",
        "encoding",
    ),
    Mutant(
        "covariance of the null between pieces",
        "encoding/nulls.py",
        "variance += 2 * shared * scale[b] * scale[c]",
        "pass",
        "encoding",
    ),
    Mutant(
        "observed value among the draws",
        "encoding/phases.py",
        "(1 + exceed) / (1 + n_draws)",
        "exceed / n_draws",
        "encoding",
    ),
    Mutant(
        "largest r under which Fisher z is finite",
        "statistics.py",
        "np.arctanh(np.clip(",
        "np.arctanh(np.asarray(r)) if True else np.arctanh(np.clip(",
        "test_statistics.py encoding preference",
    ),
    Mutant(
        "reference and curvature out of the slope",
        "preference/profiles.py",
        "return np.asarray(rest / (centered @ centered) @ averages)",
        "return np.asarray(centered / (centered @ centered) @ averages)",
        "preference",
    ),
    Mutant(
        "sign of the phases of a summary",
        "group/music_kernel.py",
        "np.hstack([np.cos(phases), -np.sin(phases)])",
        "np.hstack([np.cos(phases), np.sin(phases)])",
        "group/test_linear_music.py",
    ),
    Mutant(
        "mirroring part of a matrix",
        "group/music_basis.py",
        "cc - ss + 1j * (sc + cs)",
        "cc - ss - 1j * (sc + cs)",
        "group/test_linear_music.py",
    ),
    Mutant(
        "mirrored rotation of the right hemisphere",
        "group/spins.py",
        "_REFLECTION = np.diag([-1.0, 1.0, 1.0])",
        "_REFLECTION = np.diag([1.0, 1.0, 1.0])",
        "group/test_spins.py",
    ),
    Mutant(
        "two sides of a rotation's p",
        "group/alignment.py",
        "(~(np.abs(null) < threshold)).sum(axis=1)",
        "(~(null < threshold)).sum(axis=1)",
        "group/test_alignment.py",
    ),
    Mutant(
        "ties of sign flips",
        "group/one_sample.py",
        "threshold = (observed - (1e-9 if exact else 4e-6))",
        "threshold = (observed + (1e-9 if exact else 4e-6))",
        "group/test_inference.py",
    ),
    Mutant(
        "identity among random flips",
        "group/inference.py",
        "identity = 0 if exact else 1",
        "identity = 0",
        "group/test_inference.py",
    ),
    Mutant(
        "level in the prevalence",
        "group/prevalence.py",
        "(one - SIGNIFICANCE) / (1 - SIGNIFICANCE)",
        "one",
        "group/test_prevalence.py",
    ),
    Mutant(
        "ties of inter-subject correlation",
        "pairs.py",
        "beyond = (drawn >= r[part] * (1 - 1e-6)).sum(axis=0)",
        "beyond = (np.abs(drawn) >= np.abs(r[part])).sum(axis=0)",
        "group/test_isc.py",
    ),
    Mutant(
        "sign of a lag between regions",
        "emotion/lags.py",
        "a = i[start + max(h, 0) :][:length]\n        b = j[start + max(-h, 0) :][:length]",
        "a = i[start + max(-h, 0) :][:length]\n        b = j[start + max(h, 0) :][:length]",
        "emotion/test_lags.py",
    ),
    Mutant(
        "pairs across the border of a trial",
        "emotion/lags.py",
        "length = stop - start - abs(h)",
        "length = min(stop - start, i.size - start - abs(h))",
        "emotion/test_lags.py",
    ),
    Mutant(
        "precision of runs in fixed effects",
        "emotion/glm.py",
        "np.stack([1.0 / estimate.variance for",
        "np.stack([1.0 + 0.0 * estimate.variance for",
        "emotion/test_glm.py",
    ),
    Mutant(
        "sign of the first eigenvariate",
        "emotion/ppi.py",
        "sign = 1.0 if right[0].sum() >= 0 else -1.0",
        "sign = 1.0",
        "emotion/test_ppi.py",
    ),
    Mutant(
        "sign of the delay of a rating",
        "emotion/design.py",
        "sample_course(times, values, frames - d, width=width)",
        "sample_course(times, values, frames + d, width=width)",
        "emotion",
    ),
    Mutant(
        "sign of a lag between music and brain",
        "surface/lag_scan.py",
        "when = times[known] - lags[:, np.newaxis]",
        "when = times[known] + lags[:, np.newaxis]",
        "surface/test_lag_scan.py",
    ),
    Mutant(
        "phases that runs of one piece share",
        "surface/lag_scan.py",
        "yield [drawn[k][:size] for size, k in zip(sizes, piece_of, strict=True)]",
        "yield [np.exp(2j * np.pi * rng.random(size)) for size in sizes]",
        "surface/test_lag_scan.py",
    ),
    Mutant(
        "medial wall in the weights of resampling",
        "surface/resample.py",
        "inside = np.ones(n_source, bool) if mask is None else np.asarray(mask, dtype=bool)",
        "inside = np.ones(n_source, bool)",
        "surface/test_resample.py",
    ),
    Mutant(
        "sign of the onset",
        "features/timing.py",
        "played = start_time + tr * np.arange(n_volumes) - onset",
        "played = start_time + tr * np.arange(n_volumes) + onset",
        "features/test_timing.py",
    ),
    Mutant(
        "window around the sampling time",
        "features/timing.py",
        "between(knots, middles - width / 2, middles + width / 2)",
        "between(knots, middles, middles + width)",
        "features/test_timing.py",
    ),
    Mutant(
        "period of the Hann window",
        "features/logmel.py",
        "np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)",
        "np.arange(WINDOW_SAMPLES) / (WINDOW_SAMPLES - 1))",
        "features/test_logmel.py",
    ),
    Mutant(
        "left-out space in the model without it",
        "encoding/joint_plan.py",
        "self.weights[:, self.spaces.index(space)] == 0",
        "self.weights[:, self.spaces.index(space)] < 1",
        "encoding/test_joint.py",
    ),
    Mutant(
        "noise in the signal power of repeats",
        "encoding/ceiling.py",
        "series.sum(axis=0).var(axis=0) - series.var(axis=1).sum(axis=0)",
        "series.sum(axis=0).var(axis=0)",
        "encoding/test_repeat_ceiling.py",
    ),
    Mutant(
        "own response among those of the others",
        "group/others.py",
        "(total - _moved(z, own)) / n",
        "total / n",
        "group/test_others.py",
    ),
    Mutant(
        "dependence between those who train each other",
        "group/others.py",
        "np.sqrt((n_participants - 2) / (2 * (n_participants - 1)))",
        "np.sqrt((n_participants - 2) / (n_participants - 1))",
        "group/test_others.py",
    ),
    Mutant(
        "own response among the sum of the others",
        "group/isc.py",
        "r = (with_total - 1) / np.sqrt(",
        "r = with_total / np.sqrt(",
        "group/test_isc.py",
    ),
    Mutant(
        "one participant among those of the shared ceiling",
        "group/ceiling.py",
        "(count - 1) * positive / (1 + (count - 2) * positive)",
        "count * positive / (1 + (count - 1) * positive)",
        "group/test_ceiling.py",
    ),
)


def passes(tests: Sequence[str], folder: Path) -> bool:
    """Whether all of these tests pass on the sources in a folder.

    Raises
    ------
    SystemExit
        Something else than a failing test ends them.
    """
    files = [str(folder / "tests" / name) for name in tests]
    call = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    paths = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
    if found.returncode not in (0, 1):  # 1: a test failed
        raise SystemExit(found.stdout[-2000:] + found.stderr[-2000:])
    return found.returncode == 0


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether all tests pass although the source is wrong.

    Raises
    ------
    SystemExit
        The source has no such text, or more than one.
    """
    path = folder / "bids_app" / mutant.module
    source = path.read_text()
    if source.count(mutant.before) != 1:
        raise SystemExit(f"{mutant.module}: {source.count(mutant.before)} times: {mutant.before}")
    path.write_text(source.replace(mutant.before, mutant.after))
    try:
        return passes(mutant.tests.split(), folder)
    finally:
        path.write_text(source)


def row(mutant: Mutant, *, survived: bool) -> str:
    """Its row of the table."""
    return f"| {mutant.what} | `{mutant.module}` | {'**no**' if survived else 'yes'} |"


def main() -> int:
    """Try all mutants, or those whose description has a word."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    wanted = [one for one in MUTANTS if options.only in one.what]
    alive = 0
    print("| what is wrong | where | noticed |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("bids_app", "workflows", "tests", "benchmarks"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", folder)
        every = {test for mutant in wanted for test in mutant.tests.split()}
        if not passes(sorted(every), folder):
            raise SystemExit("tests fail although nothing is wrong")
        for mutant in wanted:
            survived = survives(mutant, folder)
            alive += survived
            print(row(mutant, survived=survived), flush=True)
    print(f"\n{len(wanted) - alive} of {len(wanted)} noticed.")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
