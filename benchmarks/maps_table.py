"""Tables of docs/calibration.md from the studies that `calibration_maps.py` kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from claims_table import OTHERS, rate

Rows = Sequence[dict[str, float]]
MAPS = {
    "layers": "layers (`desc-musicmax`)",
    "average": "layer average",
    "slope": "slope",
    "curvature": "curvature",
    "difference": "difference of layers",
}
REGIONS = ("regions, accuracy", "regions, slope")


def tables(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown of the rates: maps over music, kinds of studies, the same maps over people."""
    by_weights = {
        "own": [name for name in results if OTHERS not in name],
        "others": [name for name in results if OTHERS in name],
    }
    pools = {weights: _rows(results, names) for weights, names in by_weights.items() if names}
    return "\n\n".join([_over_music(pools), _kinds(results), _over_people(results, by_weights)])


def _rows(results: dict[str, dict[int, dict[str, float]]], names: Sequence[str]) -> Rows:
    return [one for name in names for one in results[name].values()]


def _of(rows: Rows, what: str) -> np.ndarray:
    return np.array([one[what] for one in rows])


def _over_music(pools: dict[str, Rows]) -> str:
    lines = [
        "| p over music | weights | studies | p of a vertex | any vertex, corrected "
        "| any vertex, q | people (corrected) and music (q) | median of the smallest corrected p "
        "| ratio, median |",
        "|---" * 9 + "|",
    ]
    for name, told in MAPS.items():
        for weights, rows in pools.items():
            vertices = _of(rows, f"{name}: vertices").mean()
            corrected = _of(rows, f"{name}: corrected")
            lines.append(
                f"| {told} | {weights} | {len(rows)} | {vertices:.3f} | {rate(corrected, 0.95)} "
                f"| {rate(_of(rows, f'{name}: q'), 0.95)} "
                f"| {rate(_of(rows, f'{name}: both'), 0.95)} | {np.median(corrected):.2f} "
                f"| {np.nanmedian(_of(rows, f'{name}: ratio')):.2f} |"
            )
    for name in REGIONS:
        for weights, rows in pools.items():
            found = rate(_of(rows, name), 0.95)
            told = name.replace("regions, ", "20 regions: ")
            median = np.median(_of(rows, name))
            lines.append(f"| {told} | {weights} | {len(rows)} | | {found} | | | {median:.2f} | |")
    for weights, rows in pools.items():
        share = _of(rows, "bins").mean()
        lines.append(f"| 20 bins x layers | {weights} | {len(rows)} | {share:.3f} | | | | | |")
    return "\n".join(lines)


def _kinds(results: dict[str, dict[int, dict[str, float]]]) -> str:
    lines = [
        f"| any vertex, corrected over music | studies | {' | '.join(MAPS.values())} |",
        "|---" * (2 + len(MAPS)) + "|",
    ]
    kinds: dict[str, list[str]] = {}
    for name in results:
        plain = re.sub(f"surrogates, |windows, |, {OTHERS}", "", name)
        kinds.setdefault(plain, []).append(name)
    for noise in ("windows", "surrogates"):
        kinds[noise] = [name for name in results if noise in name]
    kinds["**all** (99.8 % limits)"] = list(results)
    for label, names in kinds.items():
        rows = _rows(results, names)
        limits = 0.998 if "**" in label else None
        told = [rate(_of(rows, f"{name}: corrected"), limits) for name in MAPS]
        lines.append(f"| {label} | {len(rows)} | {' | '.join(told)} |")
    return "\n".join(lines)


def _over_people(
    results: dict[str, dict[int, dict[str, float]]], by_weights: dict[str, list[str]]
) -> str:
    lines = [
        "| any vertex, corrected over people (sign flips) | weights | studies "
        f"| {' | '.join(one.replace(' (`desc-musicmax`)', '') for one in MAPS.values())} "
        "| layers: p of a vertex | any vertex, q |",
        "|---" * (5 + len(MAPS)) + "|",
    ]
    for shared in ("ISC 0", "ISC 0.3"):
        for weights, names in by_weights.items():
            rows = _rows(results, [n for n in names if n.split(", ")[2] == shared])
            if not rows:
                continue
            told = [rate(_of(rows, f"{name}: people"), 0.95) for name in MAPS]
            told.append(f"{_of(rows, 'layers: people, vertices').mean():.3f}")
            told.append(rate(_of(rows, "layers: people, q"), 0.95))
            lines.append(f"| {shared} | {weights} | {len(rows)} | {' | '.join(told)} |")
    return "\n".join(lines)
