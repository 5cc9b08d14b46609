"""Linear models of one run with trials: contrasts of conditions, and coupling with a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.linear_models import RunFits
from bids_app.analyses.participant.responses import RunData, percent_change
from bids_app.emotion import build_design, convolved, fit_run, ppi_columns
from bids_app.emotion.glm import GlmEstimate, check_estimable
from bids_app.emotion.ppi import INTERACTION
from bids_app.errors import MusencError, reason_of
from bids_app.inputs.conditions import Conditions

Weights = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TrialRun:
    """A run with trials, ready to be fitted.

    Attributes
    ----------
    data : RunData
    values : array of shape (n_times, n_vertices)
        From `percent_change`.
    percent : bool
    columns : dict from condition to (n_times,) array
        One convolved boxcar per condition of the run.
    """

    data: RunData
    values: NDArray[np.float32]
    percent: bool
    columns: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, data: RunData, conditions: Conditions) -> TrialRun:
        """Scale and smooth a run, and make its regressors."""
        columns = {}
        for name in conditions.conditions:
            onsets, durations = conditions.trials(name)
            columns[name] = convolved(onsets, durations, np.ones(len(onsets)), data.frame_times)
        return cls(data, *percent_change(data), columns)


def fit_contrasts(
    run: TrialRun, weights: Mapping[str, Weights], fits: Mapping[str, RunFits]
) -> None:
    """Fit all contrasts of a run in one model that has every condition of the run.

    Parameters
    ----------
    run : TrialRun
    weights : mapping from label to weights of conditions
        Contrasts whose conditions are all in the run.
    fits : mapping from label to RunFits
        Take the result; or the reason, where a contrast cannot be estimated.
    """
    design = build_design(run.columns, run.data.nuisance, len(run.values))
    rows = {}
    for label, of_label in weights.items():
        row = design.contrast(of_label)
        try:
            check_estimable(design, row[None])
        except MusencError as error:
            fits[label].skip(run.data.run, reason_of(error))
        else:
            rows[label] = row
    if not rows:
        return
    found = fit_run(run.values, design, np.stack(list(rows.values())))
    for k, label in enumerate(rows):
        own = slice(k, k + 1)
        estimate = GlmEstimate(found.effect[own], found.variance[own], found.degrees_of_freedom)
        fits[label].add(run.data.run, design, estimate, percent=run.percent)


def fit_interaction(
    run: TrialRun, weights: Weights, phi: NDArray[np.float64], fits: RunFits
) -> None:
    """Psychophysiological interaction: third effect of ``[phi, X c, phi * (X c)]``.

    Parameters
    ----------
    run : TrialRun
    weights : mapping from condition to float
        c.
    phi : array of shape (n_times,)
        First eigenvariate of the seed's series, from which confounds and drift are removed.
    fits : RunFits
        Takes the result, or the reason why there is none.

    Raises
    ------
    BadDataError
        If the seed or the contrasted conditions do not vary in the run.
    """
    contrasted = np.sum([w * run.columns[name] for name, w in weights.items()], axis=0)
    design = build_design(ppi_columns(phi, contrasted), run.data.nuisance, len(run.values))
    try:
        estimate = fit_run(run.values, design, design.contrast({INTERACTION: 1.0}))
    except MusencError as error:
        fits.skip(run.data.run, reason_of(error))
    else:
        fits.add(run.data.run, design, estimate, percent=run.percent)
