"""Table of docs/lags.md from the studies that `calibration_lags.py` kept."""

from __future__ import annotations

import re

import numpy as np
from claims_table import rate


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates."""
    families = ("auditory cortex", "regions", "regions, two features", "vertices")
    columns = [f"{family}: {level}" for family in families for level in ("music", "claimed")]
    lines = [
        f"| | studies | {' | '.join(columns).replace('claimed', '**both**')} |",
        "|---" * (len(columns) + 2) + "|",
    ]

    def row(label: str, names: list[str], confidence: float | None) -> str:
        rows = [one for name in names for one in results[name].values()]
        rates = [
            rate(np.array([one[c] for one in rows]), confidence if "claimed" in c else None)
            for c in columns
        ]
        return f"| {label} | {len(rows)} | {' | '.join(rates)} |"

    nothing = [name for name in results if not name.startswith("planted")]
    kinds: dict[str, list[str]] = {}
    for name in nothing:
        kinds.setdefault(re.sub("surrogates, |windows, ", "", name), []).append(name)
    lines += [row(kind, members, 0.95) for kind, members in kinds.items()]
    for noise in ("surrogates", "windows"):
        lines.append(row(noise, [name for name in nothing if noise in name], 0.998))
    lines.append(row("**all of nothing** (99.8 % limits)", nothing, 0.998))
    for name in results:
        if name.startswith("planted"):
            lines.append(row(name, [name], 0.95))
    return "\n".join(lines)
