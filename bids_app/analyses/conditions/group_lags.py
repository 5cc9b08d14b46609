"""Lagged correlations of two regions over participants, and the tables that close the group."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.conditions.group import TESTS_COLUMNS, Outcome
from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.folder.read import damaged, read_rows
from bids_app.analyses.folder.write import write_settings, write_table
from bids_app.emotion import SIGN_CONVENTION
from bids_app.errors import BadDataError
from bids_app.group import sign_flip_max_t
from bids_app.outputs import CONDITIONS_LABEL, OutputTree

LOGGER = logging.getLogger("bids_app.analyses")

LAGS_COLUMNS = {
    "condition": "condition, or the contrast: the weighted sum of its conditions",
    "lags": "negative: the seed leads the target; positive: the target leads the seed",
    "n_participants": "participants with a value in every row",
    "mean_r": "mean over participants of the mean correlation over these lags",
    "t": "of that mean",
    "p": "two-sided sign flips, corrected by the largest |t| over all rows",
    "n_rating": "participants of the regression",
    "slope": "b1 in r = b0 + b1 dRating + e",
    "slope_t": "of the slope",
    "slope_p": "two-sided, Freedman and Lane, corrected by the largest |t| over all rows",
    "slope_p_uncorrected": "the same for this row alone",
    "convention": "what a positive lag means",
}
CURVES_COLUMNS = {
    "condition": "condition, or the contrast: the weighted sum of its conditions",
    "lag_s": "lag h in seconds, rho(h) = corr(seed(t + h), target(t))",
    "mean_r": "mean correlation over participants",
    "sem_r": "standard error of that mean",
    "n_participants": "participants with a correlation at this lag",
    "convention": "what a positive lag means",
}


def infer_lags(tree: OutputTree, group: ConditionGroup, label: str) -> Outcome:
    """Mean lagged correlations, their summaries over lags, and those against the ratings.

    Parameters
    ----------
    tree : OutputTree
    group : ConditionGroup
    label : str
        Of the contrast.

    Returns
    -------
    Outcome
        Its rows stay empty: the table is a file of its own.
    """
    LOGGER.info("group: %s, lagged correlation", group.contrasts[label])

    def table_of(participant: str, suffix: str) -> Path:
        return tree.condition_table(participant, suffix, feature=label, desc="lags")

    def read(participant: str, suffix: str, *columns: str) -> pd.DataFrame:
        path = table_of(participant, suffix)
        return read_rows(path, ("condition", *columns), condition=str)

    means = {p: read(p, "summary.tsv", "r_negative", "r_positive") for p in group.participants}
    names = list(means[group.participants[0]]["condition"])
    for p, table in means.items():
        if sorted(table["condition"]) != sorted(set(names)):
            found = ", ".join(map(str, table["condition"]))
            raise damaged(table_of(p, "summary.tsv"), found, ", ".join(names))
    values = {
        p: table.set_index("condition").loc[names, ["r_negative", "r_positive"]].to_numpy(float)
        for p, table in means.items()
    }
    usable = {p: v.ravel() for p, v in values.items() if np.isfinite(v).all()}
    extra: dict[str, Any] = {
        "Contrast": group.contrasts[label],
        "SignConvention": SIGN_CONVENTION,
        "LeftOut": {f"sub-{p}": "a correlation is undefined" for p in values if p not in usable},
        "SettingsHash": group.settings_hash,
    }
    rows = [
        {"condition": name, "lags": side, "convention": SIGN_CONVENTION}
        for name in names
        for side in ("negative", "positive")
    ]
    _add_mean(rows, usable, group)
    _add_slope(rows, usable, group, extra)
    summary = tree.group_table("summary.tsv", model=CONDITIONS_LABEL, feature=label, desc="lags")
    curves = tree.group_table("timeseries.tsv", model=CONDITIONS_LABEL, feature=label, desc="lags")
    all_curves = {p: read(p, "timeseries.tsv", "lag_s", "r") for p in group.participants}
    length = len(all_curves[group.participants[0]])
    for p, table in all_curves.items():
        if len(table) != length or set(table["condition"]) != set(names):
            raise damaged(table_of(p, "timeseries.tsv"), f"{len(table)} rows", f"{length} rows")
    everybody = pd.concat(list(all_curves.values()))
    files = write_table(summary, LAGS_COLUMNS, rows, extra)
    files += write_table(curves, CURVES_COLUMNS, _mean_curves(everybody), extra)
    return Outcome(files, [])


def _add_mean(
    rows: list[dict[str, Any]], values: Mapping[str, NDArray[np.float64]], group: ConditionGroup
) -> None:
    if len(values) < 2:
        return
    stacked = np.stack(list(values.values()))
    found = sign_flip_max_t(
        stacked,
        n_permutations=group.statistics.n_permutations,
        seed=group.statistics.random_seed,
        tail="two-sided",
    )
    for row, mean, t, p in zip(rows, stacked.mean(axis=0), found.t, found.p, strict=True):
        row |= {"n_participants": len(values), "mean_r": mean, "t": t, "p": p}


def _add_slope(
    rows: list[dict[str, Any]],
    values: Mapping[str, NDArray[np.float64]],
    group: ConditionGroup,
    extra: dict[str, Any],
) -> None:
    if group.ratings is None:
        return
    try:
        found, people, left_out = group.regress(values)
    except BadDataError as error:
        extra["RatingDifferenceNotTested"] = f"{error.what} {error.found}".strip()
        return
    extra["LeftOutOfRegression"] = {f"sub-{p}": why for p, why in left_out.items()}
    columns = (found.slope, found.t, found.p, found.p_uncorrected)
    for row, slope, t, p, alone in zip(rows, *columns, strict=True):
        row |= {
            "n_rating": len(people),
            "slope": slope,
            "slope_t": t,
            "slope_p": p,
            "slope_p_uncorrected": alone,
        }


def _mean_curves(everybody: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (name, lag), part in everybody.groupby(["condition", "lag_s"], sort=False):
        r = part["r"].dropna()
        rows.append(
            {
                "condition": name,
                "lag_s": lag,
                "mean_r": r.mean(),
                "sem_r": r.sem(),
                "n_participants": len(r),
                "convention": SIGN_CONVENTION,
            }
        )
    return rows


PARTICIPANTS_COLUMNS = {
    "participant_id": "label of the participant",
    "rating_difference": "number given with --rating-difference",
    "in_regression": "whether the participant is part of the regression on it",
}


def finish_group(
    tree: OutputTree, group: ConditionGroup, outcomes: Sequence[Outcome]
) -> list[Path]:
    """Write the tables of tests and participants; the settings file marks completion.

    Returns
    -------
    list of Path
        Every file of the group's conditions.
    """

    def table(name: str) -> Path:
        return tree.group_table("summary.tsv", model=CONDITIONS_LABEL, desc=name)

    ratings = group.ratings or {}
    people = [
        {
            "participant_id": f"sub-{p}",
            "rating_difference": ratings.get(p),
            "in_regression": p in ratings,
        }
        for p in group.participants
    ]
    files = [file for outcome in outcomes for file in outcome.files]
    files += write_table(
        table("tests"), TESTS_COLUMNS, [row for outcome in outcomes for row in outcome.rows]
    )
    files += write_table(table("participants"), PARTICIPANTS_COLUMNS, people)
    path = tree.group_table("settings.json", model=CONDITIONS_LABEL)
    participants = [f"sub-{p}" for p in group.participants]
    files.append(write_settings(tree, path, group.settings, files, Participants=participants))
    LOGGER.info("group: %d files of conditions written", len(files))
    return files
