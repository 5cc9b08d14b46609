"""Table of docs/models.md from the studies that `calibration_beyond.py` kept.

python benchmarks/beyond_table.py benchmarks/results/calibration_beyond.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from claims_table import rate, read_results

NOTHING = ("windows", "surrogates")
COLUMNS = {
    "unique, vertices over music": "unique: music, vertices",
    "slope, vertices over music": "slope: music, vertices",
    "unique, people": "unique: people",
    "unique, people and music": "unique: claimed",
    "slope, people": "slope: people",
    "slope, people and music": "slope: claimed",
    "aligned: people": "aligned: people",
    "music": "aligned: music",
    "place": "aligned: place",
    "all levels": "aligned: claimed",
}
"""Headings, and what results call it; the first two are shares, the rest p."""


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown: a row per kind of study, and one of all with nothing to find."""
    rows: dict[str, list[str]] = {}
    for name in results:
        kind, _, shared = name.partition(", ")
        rows.setdefault(f"nothing, {shared}" if kind in NOTHING else name, []).append(name)
    nothing = [name for name in results if name.startswith(NOTHING)]
    rows["**all of nothing** (95 % limits)"] = nothing
    lines = [f"| studies of | n | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for label, members in rows.items():
        own = [result for name in members for result in results[name].values()]
        cells = []
        for test in COLUMNS.values():
            values = np.array([one[test] for one in own])
            if "vertices" in test:
                cells.append(f"{values.mean():.3f}" if len(values) else "n/a")
            else:
                cells.append(rate(values, 0.95 if members is nothing else None))
        lines.append(f"| {label} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(read_results(Path(sys.argv[1]))))
