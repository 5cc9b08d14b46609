"""Tables of docs/calibration.md from the studies that `calibration_claims.py` kept.

python benchmarks/claims_table.py benchmarks/results/calibration_claims.jsonl
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

OTHERS = "weights of the others"


def read_results(path: Path) -> dict[str, dict[int, dict[str, float]]]:
    """Results per cell and seed, cells in the order of the file."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        found.setdefault(row["cell"], {})[row["seed"]] = row["result"]
    return found


def rate(p: np.ndarray, confidence: float | None = None) -> str:
    """Share of p below .05, and its exact limits if wanted; NaN were not computed."""
    p = p[np.isfinite(p)]
    n, hits = len(p), int((p < 0.05).sum())
    if confidence is None or not n:
        return f"{hits / n:.3f}" if n else "n/a"
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits / n:.3f} ({low:.3f} to {high:.3f})"


def nothing_to_find(cell: str) -> bool:
    """Whether nothing was planted in the studies of a cell."""
    return not cell.startswith("slope planted") and cell != "curvature"


def pools(names: Sequence[str]) -> dict[str, list[str]]:
    """The cells of every row of the table of nothing."""
    named = {
        "outlier": "an outlier",
        "hemispheres": "hemispheres of different noise",
        "trend": "rising trends",
    }
    rows: dict[str, list[str]] = {}
    others = f"{OTHERS}, ISC 0 to .3"
    for name in filter(nothing_to_find, names):
        if OTHERS in name:
            label = others
        elif name.startswith("surrogates"):
            label = "surrogates of rest, ISC 0 to .3, everywhere and auditory"
        elif name.startswith("windows"):
            label = "rest as it is (windows), the same"
        else:
            label = named.get(name, name)
        rows.setdefault(label, []).append(name)
    last = rows.pop(others, [])
    return rows | ({others: last} if last else {})


def own_nulls(results: dict[str, dict[int, dict[str, float]]]) -> list[str]:
    """Each p by itself where its own null is true: people at ISC 0, music at every ISC."""
    measures = {
        "people": ("predicted: people", "slope: people", "curvature: people"),
        "music": ("predicted: music", "slope: music", "last layer: music"),
    }
    lines = [
        "| p below .05, where its own null is true (95 % limits) | ISC | weights | studies "
        "| any vertex, corrected | slope | curvature (people), last layer (music) |",
        "|---|---|---|---|---|---|---|",
    ]
    for level, isc in (("people", "0"), ("music", "0"), ("music", "0.1"), ("music", "0.3")):
        for whose in ("own", "others"):
            rows = [
                result
                for name, own in results.items()
                if re.match(rf"(surrogates|windows), ISC {isc}(?![.\d])", name)
                and (OTHERS in name) == (whose == "others")
                for result in own.values()
            ]
            rates = [rate(np.array([r[one] for r in rows]), 0.95) for one in measures[level]]
            lines.append(f"| {level} | {isc} | {whose} | {len(rows)} | {' | '.join(rates)} |")
    return lines


def tables(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the tables: nothing to find, each p by itself, something planted."""
    names = list(results)
    headings = {
        "both spins alone": "slope: spins alone",
        "predicted": "predicted: claimed",
        "people": "slope: people",
        "music": "slope: music",
        "**aligned** (slope)": "slope: claimed",
        "curvature": "curvature: claimed",
        "last layer, music": "last layer: music",
    }

    def row(label: str, members: Iterable[str], confidence: float | None = None) -> str:
        rows = [result for name in members for result in results[name].values()]
        rates = [
            rate(np.array([r[test] for r in rows]), confidence if "claimed" in test else None)
            for test in headings.values()
        ]
        return f"| {label} | {len(rows)} | {' | '.join(rates)} |"

    nothing = [name for name in names if nothing_to_find(name)]
    lines = [
        f"| nothing to find | studies | {' | '.join(headings)} |",
        "|---" * (len(headings) + 2) + "|",
        *(row(label, members) for label, members in pools(names).items()),
        row("**all** (99.8 % limits)", nothing, confidence=0.998),
        "",
        *own_nulls(results),
        "",
        "| something planted (share of the SD of a vertex) | weights | studies | predicted "
        "| both spins alone | aligned |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        if nothing_to_find(name):
            continue
        rows = list(results[name].values())
        planted = name.removesuffix(f", {OTHERS}").replace("slope planted,", "slope")
        planted = "curvature 0.5, slope 0" if name == "curvature" else planted
        rates = [
            rate(np.array([r[test] for r in rows]), limits)
            for test, limits in (
                ("predicted: claimed", None),
                ("slope: spins alone", None),
                ("slope: claimed", 0.95),
            )
        ]
        whose = "others" if OTHERS in name else "own"
        lines.append(f"| {planted} | {whose} | {len(rows)} | {' | '.join(rates)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables(read_results(Path(sys.argv[1]))))
