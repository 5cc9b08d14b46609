"""Lagged correlations of two regions over participants."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.conditions.group_plan import ConditionGroup, missing_target
from bids_app.analyses.folder.read import damaged, read_rows
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.effects import regress_on_ratings
from bids_app.analyses.group.write import GroupWriter
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


@dataclass(frozen=True, eq=False)
class LagTests:
    """Lagged correlations of the conditions of one contrast.

    Attributes
    ----------
    label : str
        Of the contrast.
    rows, curves : list of dict
        As `LAGS_COLUMNS` and `CURVES_COLUMNS` say.
    details : dict
        Further fields beside the tables.
    """

    label: str
    rows: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    details: dict[str, Any]


def infer_lags(tree: OutputTree, group: ConditionGroup, label: str) -> LagTests:
    """Mean lagged correlations, their summaries over lags, and those against the ratings.

    Parameters
    ----------
    tree : OutputTree
    group : ConditionGroup
    label : str
        Of the contrast.

    Returns
    -------
    LagTests
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
    all_curves = {p: read(p, "timeseries.tsv", "lag_s", "r") for p in group.participants}
    length = len(all_curves[group.participants[0]])
    for p, table in all_curves.items():
        if len(table) != length or set(table["condition"]) != set(names):
            raise damaged(table_of(p, "timeseries.tsv"), f"{len(table)} rows", f"{length} rows")
    return LagTests(label, rows, _mean_curves(pd.concat(list(all_curves.values()))), extra)


def _add_mean(
    rows: list[dict[str, Any]], values: Mapping[str, NDArray[np.float64]], group: ConditionGroup
) -> None:
    if len(values) < 2:
        return
    stacked = np.stack(list(values.values()))
    found = sign_flip_max_t(stacked, tail="two-sided", **group.statistics.flips)
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
        found, people, left_out = regress_on_ratings(
            values, group.ratings, group.statistics, group.scheme
        )
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


def write_lags(writer: GroupWriter, result: LagTests) -> None:
    """Tables of the summaries and of the mean curves."""
    for suffix, columns, rows in (
        ("summary", LAGS_COLUMNS, result.rows),
        ("timeseries", CURVES_COLUMNS, result.curves),
    ):
        own = [{"suffix": f"{suffix}.tsv", "feature": result.label, "desc": "lags"}]
        writer.table(
            suffix, columns, rows, desc="lags", feature=result.label, reads=own, **result.details
        )


LAGS = GroupAnalysis(
    "lags", infer_lags, write=write_lags, model=CONDITIONS_LABEL, missing=missing_target
)
