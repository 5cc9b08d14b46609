"""Series that are already denoised (XCP-D), and the cleaning steps that they still need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bids_app.config import Cleaning
from bids_app.config.sections import HIGH_PASS
from bids_app.errors import InvalidInputError
from bids_app.files import named_files
from bids_app.inputs.records import BoldRun
from bids_app.outputs import files_label
from bids_app.plain import some_of


def atlas_label(option: str | None) -> str:
    """Label of the atlas that ``--parcels`` names; empty without the option."""
    if not option:
        return ""
    name, paths = named_files(option)
    if name or len(paths) > 1:
        return name or files_label(paths[0], ("atlas", "seg"))
    return option


def check_one_filter(runs: Sequence[BoldRun]) -> None:
    """Refuse runs that were filtered differently: their features would be, too.

    Raises
    ------
    InvalidInputError
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        told = "not denoised before" if run.band is None else f"denoised before, {run.band}"
        told += f", regions of {atlas_label(run.parcels)}" if run.parcels else ""
        found.setdefault(told, []).append(run.label)
    if len(found) > 1:
        raise InvalidInputError(
            "Runs were filtered differently before, or are of other regions.",
            found="; ".join(f"{told}: {some_of(labels, 4)}" for told, labels in found.items()),
            wanted="one filter for all, since the features of the music get the same",
            remedy="choose with --derivatives, --bids-filter-file or --exclude-run",
        )


def effective_cleaning(cleaning: Cleaning, runs: Sequence[BoldRun]) -> Cleaning:
    """What is still to be done: nothing is regressed out of a denoised series a second time.

    Its own filter takes the place of the high-pass; another value than the default of
    ``--high-pass`` is applied beside it.
    """
    regions = next((run.parcels for run in runs), "")
    if regions:
        cleaning = replace(cleaning, parcels=regions, smoothing=0.0)
    band = next((run.band for run in runs), None)
    if band is None or not isinstance(cleaning.high_pass, int | float):
        return cleaning
    asked = cleaning.high_pass if cleaning.high_pass != HIGH_PASS else 0.0
    return replace(cleaning, confounds="none", high_pass=replace(band, cutoff=float(asked)))
