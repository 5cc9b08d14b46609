"""Settings, inputs, versions and seeds as both pages show them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bids_app.report.page import Block, Facts, Table, Verbatim, number

_LIBRARIES = ("numpy", "scipy", "torch", "nibabel", "nilearn", "nipype", "matplotlib")

ALL_UNLESS_NAMED = ("sessions", "tasks", "runs", "stimuli", "scales", "layers")
"""Settings that name what is used, and use all where they name nothing."""


def settings_blocks(content: Mapping[str, Any], sidecar: Mapping[str, Any]) -> list[Block]:
    """Settings and what went in, from the settings file and a map's sidecar."""
    settings = dict(content.get("Settings", {}))
    blocks: list[Block] = [
        Facts(
            [
                ("Settings hash", str(content.get("SettingsHash", "n/a"))),
                ("Maps written by", f"musenc-bidsapp {sidecar.get('SoftwareVersion', 'n/a')}"),
                ("Page drawn with", libraries()),
                ("Seeds", seeds(content)),
            ]
        ),
        Table(
            "Settings that change the result",
            ["setting", "value"],
            [
                [name, "all" if name in ALL_UNLESS_NAMED and value == [] else shown(value)]
                for name, value in settings.items()
            ],
        ),
    ]
    inputs = content.get("Inputs")
    if inputs:
        blocks.append(Verbatim("Inputs and their checksums (SHA-256)", as_json(inputs)))
    if content.get("Features"):
        blocks.append(Verbatim("Audio network", as_json(content["Features"])))
    return blocks


def seeds(content: Mapping[str, Any]) -> str:
    """Every seed the settings name."""
    settings = content.get("Settings", {})
    found = []
    if "random_seed" in settings:
        found.append(f"random draws: {settings['random_seed']}")
    weights = str(content.get("Features", {}).get("Weights", ""))
    if weights.startswith("random:"):
        found.append(f"network weights: {weights.removeprefix('random:')}")
    return "; ".join(found) or "nothing was drawn at random"


def libraries() -> str:
    """Versions of Python and the main libraries of this process."""
    parts = [f"Python {platform.python_version()}"]
    for name in _LIBRARIES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def shown(value: Any) -> str:
    """A setting as text; long lists of numbers by their ends."""
    if isinstance(value, (list, tuple)):
        if len(value) > 6 and all(isinstance(v, (int, float)) for v in value):
            return f"{len(value)} values from {value[0]:g} to {value[-1]:g}"
        return ", ".join(shown(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {shown(item) or 'none'}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return number(value) if value is None or isinstance(value, bool) else str(value)


def as_json(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
