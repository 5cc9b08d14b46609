"""Models of everybody trained on the mean response of the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.collect import GroupData, load_group, read_encoding
from bids_app.analyses.group.heard import Heard, collect_heard, find_heard, no_features
from bids_app.analyses.mapped import new_array, new_series, write_out
from bids_app.analyses.participant.layers import fitting_arrays
from bids_app.arrays import Arrays
from bids_app.encoding import EncodingPlan, fit_encoding
from bids_app.errors import BadDataError
from bids_app.features.kept import find_grams
from bids_app.group import means_of_others
from bids_app.group.others import MIN_OTHERS
from bids_app.outputs import OutputTree, weights_label

LOGGER = logging.getLogger("bids_app.analyses")

OWN, OTHERS, BOTH = "own", "others", "both"
_NUMBERS = 32_000_000
"""Numbers of all responses that are averaged together; bounds memory."""


@dataclass(frozen=True, eq=False)
class OthersFits:
    """What the group analyses take in place of participants' own models.

    Attributes
    ----------
    data : GroupData
        Accuracy of every participant with the others' weights, under a label of its own.
    heard : Heard
        With the responses that models were trained on.
    """

    data: GroupData
    heard: Heard


def chosen_weights(train_on: str) -> tuple[str, ...]:
    """Whose weights are asked for, a participant's own first."""
    return (OWN, OTHERS) if train_on == BOTH else (train_on,)


def others_missing(
    tree: OutputTree, model: str, participants: Sequence[str], cache_dir: Path
) -> str:
    """Why nothing can be trained on the others' responses; empty where it can."""
    stored = read_encoding(tree, participants[0], model)
    if find_grams(str(stored.get("FeaturesFolder", "")), (tree.features, cache_dir)) is None:
        return no_features(tree, cache_dir)
    stimuli, space = sorted(stored["Stimuli"]), str(stored["Settings"]["space"])
    found = find_heard(tree, participants, stimuli, space)
    if isinstance(found, Heard):
        return "; ".join(found.reasons)
    if len(found.numbers) < MIN_OTHERS:
        return (
            f"{len(found.numbers)} participants have responses that can be shared, {MIN_OTHERS} are"
            " needed"
        )
    return ""


def fit_on_others(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    cache_dir: Path,
    folder: Path,
    n_threads: int = 1,
    device: str = "cpu",
) -> OthersFits:
    """Choose penalties and weights on the mean of the others, score a participant's held-out piece.

    Parameters
    ----------
    tree : OutputTree
    model : str
        Label of the participants' model.
    participants : sequence of str
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    folder : Path
        For memory-mapped responses and penalties.
    n_threads : int
    device : str
        As for `bids_app.analyses.participant.layers.fitting_arrays`.

    Returns
    -------
    OthersFits
        Of the participants whose responses can be shared; the others are named in the log.

    Raises
    ------
    BadDataError
        If too few are left.
    """
    data = load_group(tree, model, participants)
    heard = collect_heard(tree, data, cache_dir, folder)
    if not heard.there or len(heard.people) < MIN_OTHERS:
        raise BadDataError(
            "Nothing can be trained on the others' responses.",
            where=tree.root,
            found="; ".join(heard.reasons) or f"responses of {len(heard.people)} participants",
            wanted=f"cleaned responses of {MIN_OTHERS} participants, and the features of the music",
            remedy="run the participant level again: it saves responses; or give its --cache-dir",
        )
    plans = heard.plans(data)
    heard = replace(heard, training=write_training(heard, [own[0] for own in plans], folder))
    fitted = _fitted(data, heard, plans, folder, n_threads, fitting_arrays(device))
    return OthersFits(fitted, replace(heard, people=tuple(range(len(heard.people)))))


def data_of(others: OthersFits) -> GroupData:
    """The accuracies."""
    return others.data


def heard_of(others: OthersFits) -> Heard:
    """What was heard, and what trained."""
    return others.heard


def write_training(
    heard: Heard, plans: Sequence[EncodingPlan], folder: Path
) -> tuple[tuple[Path, ...], ...]:
    """Files of the mean of the others' responses, shaped as those of `heard`.

    Parameters
    ----------
    heard : Heard
    plans : sequence of EncodingPlan
        Of one layer, per clock.
    folder : Path
    """
    responses = heard.loaded()
    kept = [_kept_rows(plan) for plan in plans]
    files = tuple(tuple(folder / f"others_{path.name}" for path in own) for own in heard.responses)
    out = [
        [new_series(path, one.shape) for path, one in zip(paths, own, strict=True)]
        for paths, own in zip(files, responses, strict=True)
    ]
    n_vertices = responses[0][0].shape[1]
    step = max(1, _NUMBERS // sum(len(one) for own in responses for one in own))
    for start in range(0, n_vertices, step):
        part = slice(start, start + step)
        means = means_of_others(
            [[one[:, part] for one in own] for own in responses],
            [clock.labels for clock in heard.clocks],
            [clock.times for clock in heard.clocks],
            heard.clock_of,
            kept,
        )
        for own, mean in zip(out, means, strict=True):
            for target, values in zip(own, mean, strict=True):
                target[:, part] = values
    write_out(one for own in out for one in own)
    return files


def _kept_rows(plan: EncodingPlan) -> list[slice]:
    """Rows of each presentation that models use."""
    return [
        slice(
            min(one.start for one in plan.segments if one.block == block),
            max(one.stop for one in plan.segments if one.block == block),
        )
        for block in range(len(plan.lengths))
    ]


def _fitted(
    data: GroupData,
    heard: Heard,
    plans: Sequence[Sequence[EncodingPlan]],
    folder: Path,
    n_threads: int,
    arrays: Arrays,
) -> GroupData:
    """Accuracy, and that and the penalties of every fold in files."""
    n_people, (n_layers, n_vertices) = len(heard.people), data.r.shape[1:]
    r = np.full((n_people, n_layers, n_vertices), np.nan, dtype=np.float32)
    shape = (n_people, len(data.held_out), n_layers, n_vertices)
    files = {stat: folder / f"others_{stat}.npy" for stat in ("r", "alpha")}
    maps = {stat: new_array(path, shape) for stat, path in files.items()}
    responses, training = heard.loaded(), heard.loaded_training()
    assert training is not None
    selection = data.settings.get("selection", "r")
    for person, number in enumerate(heard.people):
        LOGGER.info(
            "group: model-%s of sub-%s, trained on the others",
            data.model,
            data.participants[number],
        )
        inside = np.flatnonzero(np.isfinite(data.r[number]).all(axis=0))
        scored, trained = (
            [np.asarray(one[:, inside]) for one in side[person]] for side in (responses, training)
        )
        for one in maps.values():
            one[person] = np.nan
        for layer, plan in enumerate(plans[heard.clock_of[person]]):
            fit = fit_encoding(
                plan,
                scored,
                training=trained,
                selection=selection,
                null="none",
                n_threads=n_threads,
                arrays=arrays,
            )
            order = np.array([data.held_out.index("+".join(one)) for one in fit.fold_stimuli])
            r[person, layer, inside] = fit.mean_r
            for stat, values in (("r", fit.r), ("alpha", fit.alpha)):
                own = maps[stat][person, :, layer]
                own[np.ix_(order, inside)] = values
    write_out(maps.values())
    rows = [_row(data.rows[number], r[person]) for person, number in enumerate(heard.people)]
    return replace(
        data,
        model=weights_label(data.model, others=True),
        participants=[data.participants[number] for number in heard.people],
        r=r,
        rows=rows,
        fold_files=files,
    )


def _row(row: Mapping[str, Any], r: NDArray[np.float32]) -> dict[str, Any]:
    """What the table of participants says, with the accuracy of the others' weights."""
    finite = r[:, np.isfinite(r).all(axis=0)]
    mean, highest = (finite.mean(), finite.max()) if finite.size else (np.nan, np.nan)
    return {**row, "mean_r": float(mean), "max_r": float(highest)}
