"""Table of docs/group.md from the studies that `calibration_maps.py` kept."""

from __future__ import annotations

import re

import numpy as np
from claims_table import rate


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates, both kinds of noise together."""
    lines = [
        "| p over music | studies | layers: p of a vertex | any vertex of any layer, corrected "
        "| layer average: p of a vertex | any vertex, corrected | ratio: layers | average |",
        "|---" * 8 + "|",
    ]
    kinds: dict[str, list[str]] = {}
    for name in results:
        kinds.setdefault(re.sub("surrogates, |windows, ", "", name), []).append(name)
    for noise in ("windows", "surrogates"):
        kinds[noise] = [name for name in results if noise in name]
    kinds["**all** (99.9 % limits)"] = list(results)
    for label, names in kinds.items():
        rows = [one for name in names for one in results[name].values()]
        limits = 0.998 if "**" in label else 0.95
        told = []
        for what in ("layers", "average"):
            vertices = np.mean([one[f"{what}: vertices"] for one in rows])
            corrected = np.array([one[f"{what}: corrected"] for one in rows])
            told += [f"{vertices:.3f}", rate(corrected, limits)]
        for what in ("layers", "average"):
            told.append(f"{np.nanmedian([one[f'{what}: ratio'] for one in rows]):.2f}")
        lines.append(f"| {label} | {len(rows)} | {' | '.join(told)} |")
    return "\n".join(lines)
