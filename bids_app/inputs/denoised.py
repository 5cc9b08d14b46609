"""Series that were denoised before (XCP-D): what is still to be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bids_app.config import Cleaning
from bids_app.config.sections import HIGH_PASS
from bids_app.errors import InvalidInputError
from bids_app.inputs.records import BoldRun


def check_one_filter(runs: Sequence[BoldRun]) -> None:
    """Refuse runs that were filtered differently: their features would be, too.

    Raises
    ------
    InvalidInputError
    """
    found: dict[str, list[str]] = {}
    for run in runs:
        told = "not denoised before" if run.band is None else f"denoised before, {run.band}"
        found.setdefault(told, []).append(run.label)
    if len(found) > 1:
        raise InvalidInputError(
            "Runs were filtered differently before.",
            found="; ".join(
                f"{told}: {', '.join(labels[:4])}" + (" and more" if len(labels) > 4 else "")
                for told, labels in found.items()
            ),
            wanted="one filter for all, since the features of the music get the same",
            remedy="choose with --derivatives, --bids-filter-file or --exclude-run",
        )


def effective_cleaning(cleaning: Cleaning, runs: Sequence[BoldRun]) -> Cleaning:
    """What is still to be done: nothing is regressed out of a denoised series a second time.

    Its own filter takes the place of the high-pass; another value than the default of
    ``--high-pass`` is applied beside it.
    """
    band = next((run.band for run in runs), None)
    if band is None or not isinstance(cleaning.high_pass, int | float):
        return cleaning
    asked = cleaning.high_pass if cleaning.high_pass != HIGH_PASS else 0.0
    return replace(cleaning, confounds="none", high_pass=replace(band, cutoff=float(asked)))
