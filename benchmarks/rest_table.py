"""Table of docs/calibration.md from the studies that `calibration_rest.py` kept."""

from __future__ import annotations

import numpy as np
from claims_table import rate

TOLD = {
    "refits": {
        "p": "participant: p of noise of the vertex' own class",
        "q": "the same, q of any vertex of a layer",
        "p of refits": "participant: p of refits (`--null phase`)",
        "any": "the same, corrected over vertices and layers",
    },
    "lags": {
        "p": "participant: p of a lag scan",
        "any": "the same, corrected over vertices",
    },
    "presentations": {
        "p": "presentations of a piece: p of a vertex",
        "any": "the same, corrected over vertices",
        "p of phases": "presentations of a piece, random phases instead: p of a vertex",
        "any, phases": "the same, corrected over vertices",
    },
    "listeners": {
        "p": "inter-subject correlation: p of a vertex",
        "any": "the same, corrected over vertices",
    },
    "clusters": {
        "p": "accuracy over people: p of a vertex, sign flips",
        "any": "the same, corrected over vertices",
        "enhanced": "the same, enhanced (TFCE)",
        "regression": "regression of maps on a number of each person, corrected",
        "regression, enhanced": "the same, enhanced (TFCE)",
    },
    "ratings": {
        "p": "participant: p of a rating predicted from a layer",
        "music": "ratings over music: p of a layer and scale",
        "any": "the same, corrected over layers and scales",
        "people": "ratings over people, corrected",
    },
    "directions": {
        "music": "responses predicted from earlier ratings, over music: p of a vertex",
        "q": "the same, q of any vertex",
        "people": "the same over people, corrected over vertices",
    },
}
"""What each p is, by the kind of study."""
PER_VERTEX = ("p", "p of refits", "p of phases", "music")


def table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates, both kinds of noise together."""
    lines = ["| p | studies | share below .05 (95 % limits) |", "|---|---|---|"]
    for kind, told in TOLD.items():
        cells = sorted(name for name in results if name.startswith(kind))
        if not cells:
            continue
        apart = cells if kind in ("ratings", "directions") else [kind]
        for label in apart:
            names = [name for name in cells if name == label or len(apart) == 1]
            rows = [one for name in names for one in results[name].values()]
            beside = f" ({label.partition(', ')[2]})" if len(apart) > 1 else ""
            for what, text in told.items():
                if what not in rows[0]:
                    continue
                values = np.array([one[what] for one in rows])
                mean = f"{values.mean():.3f}"
                if what in PER_VERTEX and len(values) > 1:
                    mean += f" ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"
                shown = mean if what in PER_VERTEX else rate(values, 0.95)
                lines.append(f"| {text}{beside} | {len(rows)} | {shown} |")
    return "\n".join(lines)


def hearings_table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of presentations cell by cell."""
    lines = [
        "| presentations | studies | p of a vertex | any vertex, corrected |"
        " random phases: p of a vertex | any vertex, corrected |",
        "|---|---|---|---|---|---|",
    ]
    for name in sorted(one for one in results if one.startswith("presentations")):
        rows = list(results[name].values())
        cells = []
        for what in ("p", "any", "p of phases", "any, phases"):
            values = np.array([one[what] for one in rows])
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            per_vertex = f"{values.mean():.3f} ± {error:.3f}"
            cells.append(per_vertex if what in PER_VERTEX else rate(values, 0.95))
        lines.append(f"| {name.partition(', ')[2]} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)
