"""How well any model could predict a participant's responses to pieces heard repeatedly."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.layers import COLUMNS, LayerFits
from bids_app.analyses.participant.responses import Block
from bids_app.config import Model, Statistics
from bids_app.encoding import delay_samples, kept_rows, repeat_ceiling, repeat_test
from bids_app.errors import BadDataError, reason_of
from bids_app.features.timing import same_rows, whole_clock
from bids_app.group import ceiling_fraction
from bids_app.group.claims import holds
from bids_app.statistics import fisher_mean

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

FLOOR = Statistics().ceiling_floor
"""What a ceiling has to exceed before accuracy is divided by it."""
OTHER_TIMES = "samples fall on other seconds of the music"


@dataclass(frozen=True, eq=False)
class CeilingOfRepeats:
    """Noise ceiling from presentations of the same pieces; it does not depend on features.

    Attributes
    ----------
    ceiling : array of shape (n_vertices,)
        Highest r of any model with one presentation; NaN where presentations have nothing in
        common.
    p_max : array of shape (n_vertices,)
        Whether they have something in common, corrected over vertices.
    stimuli : list of str
        Pieces that count.
    left_out : dict from stimulus to str
        Why a piece that was heard repeatedly is left out.
    """

    ceiling: FloatArray
    p_max: FloatArray
    stimuli: list[str]
    left_out: dict[str, str]

    @property
    def n_reliable(self) -> int:
        """Vertices whose presentations have something in common."""
        return int(holds(self.p_max).sum())


@dataclass(frozen=True, eq=False)
class Repeats:
    """Accuracy of the layers of a feature space beside the noise ceiling.

    Attributes
    ----------
    shared : CeilingOfRepeats
    fraction : array of shape (n_layers, n_vertices), float32
        Accuracy over the pieces of `shared` as a fraction of its ceiling; NaN where that is not
        above `FLOOR` or not reliable.
    rows : list of dict
        One per layer: means over the vertices with a fraction.
    """

    shared: CeilingOfRepeats
    fraction: NDArray[np.float32]
    rows: list[dict[str, Any]]

    @property
    def ceiling(self) -> NDArray[np.float32]:
        """As it is written."""
        return self.shared.ceiling.astype(np.float32)

    @property
    def p_max(self) -> NDArray[np.float32]:
        """As it is written."""
        return self.shared.p_max.astype(np.float32)


def heard_repeatedly(heard: Sequence[str]) -> list[str]:
    """Stimuli with several presentations."""
    return sorted({stimulus for stimulus in heard if heard.count(stimulus) > 1})


def ceiling_of_repeats(
    blocks: Sequence[Block], held_out: Sequence[Sequence[str]], model: Model, seed: int
) -> CeilingOfRepeats | None:
    """Noise ceiling from repeated presentations; None where none can be compared.

    Parameters
    ----------
    blocks : sequence of Block
        Every presentation.
    held_out : sequence of sequence of str
        Stimuli that each fold holds out. The accuracies of a piece count only where no other one
        was held out with it.
    model : Model
        Delays and crop.
    seed : int
    """
    alone = [held[0] for held in held_out if len(held) == 1]
    series: dict[str, NDArray[np.float32]] = {}
    filters: list[list[FloatArray]] = []
    left_out: dict[str, str] = {}
    for stimulus in heard_repeatedly([block.stimulus for block in blocks]):
        own = [block for block in blocks if block.stimulus == stimulus]
        if stimulus not in alone:
            left_out[stimulus] = "it was not held out as a whole and alone"
            continue
        try:
            rows = scored_rows([block.times for block in own], own[0].tr, model.delays, model.crop)
        except BadDataError as error:
            left_out[stimulus] = reason_of(error)
            continue
        series[stimulus] = np.stack([b.values[kept] for b, kept in zip(own, rows, strict=True)])
        filters.append([_filter(b)[kept] for b, kept in zip(own, rows, strict=True)])
    for stimulus, why in left_out.items():
        LOGGER.warning("no noise ceiling from presentations of %s: %s", stimulus, why)
    if not series:
        return None
    explained = np.average(
        [_explainable(one) for one in series.values()],
        axis=0,
        weights=[one.shape[1] for one in series.values()],
    )
    ceiling = np.sqrt(np.where(explained > 0, explained, np.nan))
    p_max = repeat_test(list(series.values()), filters, seed=seed).p_max
    return CeilingOfRepeats(ceiling, p_max, list(series), left_out)


def beside_ceiling(shared: CeilingOfRepeats, fits: LayerFits) -> Repeats:
    """Accuracy of every layer as a fraction of the ceiling of the same pieces."""
    folds = [fits.fold_stimuli.index(stimulus) for stimulus in shared.stimuli]
    r = fisher_mean(np.moveaxis(fits.fold_r[:, folds].astype(np.float64), 1, 0))
    fraction = ceiling_fraction(r, shared.ceiling, holds(shared.p_max), floor=FLOOR)
    rows = [
        fraction_row(name, own, shared.ceiling, np.isfinite(inside))
        for name, own, inside in zip(fits.layer_names, r, fraction, strict=True)
    ]
    return Repeats(shared, fraction.astype(np.float32), rows)


def scored_together(
    times: Sequence[NDArray[np.float64]],
    values: Sequence[NDArray[np.floating]],
    tr: float,
    delays: tuple[float, float],
    crop: float,
) -> NDArray[np.floating]:
    """Courses of the same music at the same samples, those that accuracies are computed from.

    Parameters
    ----------
    times, tr, delays, crop
        As of `scored_rows`.
    values : sequence of array of shape (n_times, n_columns)

    Returns
    -------
    array of shape (n_courses, n_same, n_columns)

    Raises
    ------
    BadDataError
        As `scored_rows`.
    """
    rows = scored_rows(times, tr, delays, crop)
    return np.stack([y[own] for y, own in zip(values, rows, strict=True)])


def scored_rows(
    times: Sequence[NDArray[np.float64]], tr: float, delays: tuple[float, float], crop: float
) -> list[NDArray[np.intp]]:
    """Samples of the same music, of those that accuracies are computed from.

    Parameters
    ----------
    times : sequence of array of shape (n_times,)
        Second of the music of each sample.
    tr : float
        Seconds between samples.
    delays : (float, float)
        Of the model, in seconds.
    crop : float
        Seconds left out at both ends.

    Returns
    -------
    list of array of shape (n_same,), int
        Of each course.

    Raises
    ------
    BadDataError
        Too little of the music is left, or samples of the first course fall on other seconds than
        those of another one, at more than half of them.
    """
    scored = []
    for clock in times:
        whole, kept = whole_clock(clock, tr)
        ((start, stop),) = kept_rows([len(whole)], delay_samples(delays, tr), crop, tr)
        scored.append(np.flatnonzero((kept >= start) & (kept < stop)))
    rows = same_rows([clock[own] for clock, own in zip(times, scored, strict=True)], tr)
    if rows.shape[1] < len(scored[0]) / 2:
        raise BadDataError(
            "Courses cannot be compared.",
            found=OTHER_TIMES,
            wanted="hearings whose volumes fall on the same seconds",
            remedy="compare hearings whose music began at the same moment of a volume",
        )
    return [own[kept] for own, kept in zip(scored, rows, strict=True)]


def _filter(block: Block) -> FloatArray:
    """What made the responses of the noise of their run; gaps are known where it is not."""
    if block.filter is not None:
        return block.filter
    whole, kept = whole_clock(block.times, block.tr)
    return np.eye(len(whole))[kept]


def _explainable(series: NDArray[np.float32]) -> NDArray[np.float64]:
    starts = range(0, series.shape[2], COLUMNS)
    parts = [repeat_ceiling(series[:, :, k : k + COLUMNS]).explainable for k in starts]
    return np.concatenate(parts)


def fraction_row(
    layer: str, r: FloatArray, ceiling: FloatArray, inside: NDArray[np.bool_]
) -> dict[str, Any]:
    """Means over the vertices that count; the fraction is the ratio of means."""
    own, top = (mean_inside(values, inside) for values in (r, ceiling))
    return {
        "name": layer,
        "n_vertices": int(inside.sum()),
        "mean_r": own,
        "ceiling": top,
        "fraction": own / top,
    }


def mean_inside(values: FloatArray, inside: NDArray[np.bool_]) -> float:
    """Mean over some vertices; NaN where there are none."""
    return float(values[inside].mean()) if inside.any() else float("nan")
