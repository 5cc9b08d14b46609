"""Predicted and measured time courses at a participant's best vertices, for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding import EncodingPlan
from bids_app.encoding.responses import Responses
from bids_app.encoding.weights import predict

N_SHOWN = 4
ALIKE = 0.7
"""Vertices whose responses correlate more than this show the same."""


def best_vertices(accuracy: NDArray[np.floating], responses: Responses) -> NDArray[np.intp]:
    """The best predicted vertices that do not show the same, best first.

    Parameters
    ----------
    accuracy : array of shape (n_vertices,)
    responses : list of arrays of shape (n_times, n_vertices)

    Returns
    -------
    array of shape (n,)
        At most `N_SHOWN`.
    """
    order = np.argsort(-np.nan_to_num(accuracy, nan=-np.inf), kind="stable")[:500]
    order = order[np.isfinite(accuracy[order])]
    own = [one[:, order] for one in responses]
    series = np.vstack([one - one.mean(axis=0) for one in own])
    series = series / np.maximum(np.linalg.norm(series.astype(np.float64), axis=0), 1e-12)
    chosen: list[int] = []
    for index in range(len(order)):
        if all(abs(series[:, index] @ series[:, other]) <= ALIKE for other in chosen):
            chosen.append(index)
        if len(chosen) == N_SHOWN:
            break
    return order[chosen]


def predicted_rows(
    plan: EncodingPlan,
    responses: Sequence[NDArray[np.floating]],
    times: Sequence[NDArray[np.float64]],
    alpha: NDArray[np.float64],
    places: Sequence[tuple[str, int]],
    layer: str,
) -> list[dict[str, Any]]:
    """Measured responses, and the model's prediction with their piece held out.

    Parameters
    ----------
    plan : EncodingPlan
        Of the layer.
    responses : list of arrays of shape (n_times, n)
        Of the vertices shown, on the rows of the plan.
    times : list of arrays of shape (n_times,)
        Seconds of the stimulus.
    alpha : array of shape (n_folds, n)
        Their penalties.
    places : sequence of (hemisphere, vertex)
        What the vertices are called.
    layer : str
        Name of the layer.
    """
    predicted = np.vstack(predict(plan, responses, alpha))
    rows = []
    for segment in plan.segments:
        own = slice(segment.start, segment.stop)
        measured = np.asarray(responses[segment.block][own], dtype=np.float64)
        spread = np.maximum(measured.std(axis=0), 1e-12)
        z = (measured - measured.mean(axis=0)) / spread
        guess = predicted[segment.rows]
        for column, (hemisphere, vertex) in enumerate(places):
            rows += [
                {
                    "stimulus": segment.stimulus,
                    "presentation": segment.block + 1,
                    "held_out": segment.label,
                    "time_s": float(second),
                    "hemisphere": hemisphere,
                    "vertex": vertex,
                    "layer": layer,
                    "measured": float(z[k, column]),
                    "predicted": float(guess[k, column]),
                }
                for k, second in enumerate(times[segment.block][own])
            ]
    return rows
