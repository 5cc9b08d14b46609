"""The warning on top of a page: which of its models have a network that was not trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_app.errors import MusencError
from bids_app.files import read_json
from bids_app.outputs import fitted_label


def control_banner(root: Path, models: Sequence[str], participant: str = "*") -> str:
    """Name the models whose network has random weights.

    Parameters
    ----------
    root : Path
        The output folder.
    models : sequence of str
        Labels of all models on the page.
    participant : str
        Label; default: anybody.

    Returns
    -------
    str
        Empty where there is no such model.
    """
    untrained: dict[str, list[str]] = {}
    for model in models:
        name = f"sub-{participant}/func/sub-*_model-{fitted_label(model)}_settings.json"
        for path in sorted(root.glob(name)):
            try:
                features = read_json(path).get("Features", {})
            # The settings section says what is wrong.
            except (MusencError, AttributeError):
                continue
            if features.get("Untrained"):
                weights = str(features.get("Weights") or "random weights")
                if weights not in untrained.setdefault(model, []):
                    untrained[model].append(weights)
    if not untrained:
        return ""
    if len(untrained) == len(models):
        names = dict.fromkeys(weights for found in untrained.values() for weights in found)
        return (
            f"The audio network was not trained ({', '.join(names)}): this is a control. Nothing"
            " here says anything about the trained network."
        )
    named = "; ".join(f"model-{model} ({', '.join(found)})" for model, found in untrained.items())
    return (
        f"Not trained: the audio network of {named}. What is said of it is a control, and says"
        " nothing about the trained network."
    )
