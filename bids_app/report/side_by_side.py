"""Table of the models of a folder: settings that differ, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bids_app.errors import MusencError
from bids_app.files import read_json
from bids_app.outputs import fitted_label
from bids_app.report.claims import claim_rows, is_claimed
from bids_app.report.page import Block, Section, Table, Text, number
from bids_app.report.provenance import shown
from bids_app.report.sources import GroupFiles, to_float

_HASHES = ("weights_sha256",)
"""Settings that are named where they are short, as ``random:1`` is, and cut where they are not."""


def models_section(files: GroupFiles) -> list[Section]:
    """All models of the folder beside one another; no section where there is one."""
    models = files.tree.group_models()
    if len(models) < 2:
        return []
    section = Section("models", "Models side by side")
    section.add("models", lambda: models_table([GroupFiles(files.root, model=m) for m in models]))
    return [section]


def models_table(models: Sequence[GroupFiles]) -> list[Block]:
    """A row per model: settings that are not the same in all, accuracy, alignments."""
    settings = [settings_of(one) for one in models]
    differing = differences(settings)
    gradients = list(dict.fromkeys(row["gradient"] for one in models for row in _slopes(one)))
    body = []
    for one, own in zip(models, settings, strict=True):
        slopes = {row["gradient"]: row for row in _slopes(one)}
        body.append(
            [
                one.model,
                *(_told(name, own.get(name)) for name in differing),
                *_accuracy(one),
                *(_effect(slopes.get(gradient)) for gradient in gradients),
            ]
        )
    first = 1 + len(differing)
    columns = ["deciding vertex (mean r)", "predicted vertices"]
    return [
        Table(
            "Settings that differ, and results; a star marks what is claimed",
            [
                "model",
                *(name.replace("_", " ") for name in differing),
                *columns,
                *(f"alignment with {name or 'the principal gradient'}" for name in gradients),
            ],
            body,
            numeric=range(first, first + len(columns) + len(gradients)),
        ),
        Text(
            "Results of the same music under other features, delays or other settings show how far"
            " a result rests on them. To pick the best of the rows and report it alone is no test:"
            " say how many were tried."
        ),
    ]


def settings_of(files: GroupFiles) -> Mapping[str, Any]:
    """Settings of the participants' models; empty where they cannot be read."""
    try:
        who = files.rows("summary.tsv", desc="participants")[0]["participant_id"]
        label = fitted_label(files.model)
        path = files.tree.participant_settings(who.removeprefix("sub-"), label)
        found: Mapping[str, Any] = read_json(path).get("Settings", {})
    except (MusencError, KeyError, AttributeError, IndexError):
        return {}
    return found


def differences(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the settings that are not the same in all, in the order of the first.

    Examples
    --------
    >>> differences([{"delays": [3, 9], "crop": 15}, {"delays": [1, 10], "crop": 15}, {}])
    ['delays']
    """
    known = [own for own in settings if own]
    names = dict.fromkeys(name for own in known for name in own)
    return [name for name in names if any(own.get(name) != known[0].get(name) for own in known)]


def _told(name: str, value: Any) -> str:
    if isinstance(value, list) and len(value) > 6:
        return f"{len(value)}: {value[0]} to {value[-1]}"
    text = shown(value)
    return f"{text[:8]}..." if name in _HASHES and len(text) > 20 else text


def _slopes(files: GroupFiles) -> list[dict[str, str]]:
    return [row for row in _claims(files) if row["measure"] == "slope"]


def _claims(files: GroupFiles) -> list[dict[str, str]]:
    try:
        return list(claim_rows(files))
    except MusencError:
        return []


def _accuracy(files: GroupFiles) -> list[str]:
    rows = [row for row in _claims(files) if row["measure"] == "accuracy"]
    try:
        found = files.settings.get("Predicted") or {}
    except (MusencError, AttributeError):
        found = {}
    return [_effect(rows[0] if rows else None), number(found.get("Vertices"))]


def _effect(row: Mapping[str, str] | None) -> str:
    if row is None:
        return "n/a"
    return number(to_float(row["effect"])) + (" *" if is_claimed(dict(row)) else "")
