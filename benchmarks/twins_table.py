"""Table of docs/calibration.md from the studies that `calibration_twins.py` kept."""

from __future__ import annotations

import numpy as np
from claims_table import rate


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates and exact 95 % limits, both kinds of noise together."""
    lines = [
        "| | studies | people | music | **both** (the claim) | ratio, median |",
        "|---" * 6 + "|",
    ]
    kinds: dict[str, list[str]] = {}
    nothing = [name for name in results if "planted" not in name]
    for name in nothing:
        kinds.setdefault(f"nothing,{name.partition(',')[2]}", []).append(name)
    kinds["**all of nothing**"] = nothing
    kinds |= {name: [name] for name in results if "planted" in name}
    for label, names in kinds.items():
        rows = [one for name in names for one in results[name].values()]
        levels = ("people", "music", "claimed")
        told = [rate(np.array([one[level] for one in rows]), 0.95) for level in levels]
        ratio = np.nanmedian([one["ratio"] for one in rows])
        lines.append(f"| {label} | {len(rows)} | {' | '.join(told)} | {ratio:.2f} |")
    return "\n".join(lines)
