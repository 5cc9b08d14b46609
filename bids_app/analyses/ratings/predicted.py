"""What the participant level predicted of ratings: model, courses and penalties, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_rows
from bids_app.analyses.ratings.layer_scores import DELAYS
from bids_app.bands import HighPass, high_pass_of
from bids_app.config import Model
from bids_app.outputs import RATINGS_DESC, OutputTree

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RatingModel:
    """How ratings were predicted from layers.

    Attributes
    ----------
    checksums : dict from label to str
        Of the stimuli that were rated, in the order of their labels.
    model : Model
        Delays, crop and penalties.
    high_pass : float or Band
        Of features and ratings.
    step : float
        Seconds between samples.
    """

    checksums: dict[str, str]
    model: Model
    high_pass: HighPass
    step: float

    @classmethod
    def of(cls, stored: Mapping[str, Any], path: Path) -> RatingModel:
        """The model of a participant's settings file, which is at `path`.

        Raises
        ------
        BadDataError
            A setting is not there or no number.
        """
        try:
            settings = stored["Settings"]
            return cls(
                {str(label): str(stored["Stimuli"][label]) for label in sorted(stored["Stimuli"])},
                Model(
                    delays=DELAYS,
                    crop=float(settings["crop"]),
                    alphas=tuple(map(float, settings["alphas"])),
                ),
                high_pass_of(settings["high_pass"]),
                1.0 / float(stored["Details"]["SamplingFrequency"]),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            wanted = "crop, alphas, high_pass, SamplingFrequency, Stimuli"
            raise damaged(path, repr(error), wanted) from error

    @property
    def stimuli(self) -> list[str]:
        """Labels of what was rated."""
        return list(self.checksums)


def read_courses(
    tree: OutputTree, participant: str, model: str, labels: Sequence[str], scales: Sequence[str]
) -> tuple[list[FloatArray], list[FloatArray]] | str:
    """The ratings that were predicted of a participant, or why they are not there.

    Returns
    -------
    times : list of array of shape (n_times,)
        Seconds of each stimulus.
    values : list of array of shape (n_times, n_scales)
    """
    path = tree.participant_file(participant, "timeseries.tsv", model=model, desc=RATINGS_DESC)
    if not path.is_file():
        return (
            f"sub-{participant} has no courses of the ratings that were predicted; run the "
            "participant level again"
        )
    texts = {"scale": str, "stimulus": str}
    courses = read_rows(path, (*texts, "time", "value"), **texts)
    times, values = [], []
    for label in labels:
        own = [
            courses[(courses["stimulus"] == label) & (courses["scale"] == scale)]
            for scale in scales
        ]
        clock = own[0]["time"].to_numpy(float)
        if not clock.size or any(not np.array_equal(one["time"], clock) for one in own):
            raise damaged(path, f"{[len(one) for one in own]} samples of {label}", "one clock")
        times.append(clock)
        values.append(np.stack([one["value"].to_numpy(float) for one in own], axis=1))
    return times, values


def read_penalties(
    tree: OutputTree,
    participant: str,
    model: str,
    layer_names: Sequence[str],
    scales: Sequence[str],
) -> tuple[FloatArray, list[str]]:
    """The penalties that were chosen, and the stimuli held out in each fold.

    Returns
    -------
    alphas : array of shape (n_layers, n_folds, n_scales)
    folds : list of n_folds str

    Raises
    ------
    BadDataError
        One is missing or there twice.
    """
    texts = {"scale": str, "name": str, "held_out": str}
    path = tree.scores(participant, model, RATINGS_DESC)
    table = read_rows(path, (*texts, "alpha"), **texts)
    table = table[(table["held_out"] != "mean") & table["scale"].isin(scales)]
    folds = list(dict.fromkeys(table["held_out"]))
    wanted = len(layer_names) * len(folds) * len(scales)
    cells = table.set_index(["name", "held_out", "scale"])["alpha"]
    index = pd.MultiIndex.from_product([layer_names, folds, scales])
    if len(cells) != wanted or cells.index.duplicated().any():
        raise damaged(path, f"{len(cells)} penalties", wanted)
    alphas = cells.reindex(index).to_numpy(float)
    return alphas.reshape(len(layer_names), len(folds), len(scales)), folds
