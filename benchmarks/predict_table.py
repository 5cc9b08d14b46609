"""Table of docs/predict.md from the studies that `calibration_predict.py` kept."""

from __future__ import annotations

import numpy as np
from claims_table import rate

PLANTED = "planted"


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates and exact 95 % limits, both kinds of noise together."""
    lines = [
        "| | studies | people, vertices | people, any vertex | music, vertices | music, any vertex "
        "| **both**, any vertex |",
        "|---" * 7 + "|",
    ]
    kinds: dict[str, list[str]] = {}
    for name in results:
        kind, *_, isc = name.split(", ") if name != PLANTED else (PLANTED, "")
        kinds.setdefault(f"{kind}, {isc}" if isc else kind, []).append(name)
    for label, names in kinds.items():
        rows = [one for name in names for one in results[name].values()]

        def told(key: str, rows: list[dict[str, float]] = rows) -> str:
            values = np.array([one[key] for one in rows])
            return f"{values.mean():.3f}" if "vertices" in key else rate(values, 0.95)

        keys = ("people, vertices", "people", "music, vertices", "music", "both")
        lines.append(f"| {label} | {len(rows)} | {' | '.join(told(key) for key in keys)} |")
    return "\n".join(lines)
