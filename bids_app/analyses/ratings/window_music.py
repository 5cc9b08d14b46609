"""Responses predicted from past and future ratings, against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.analyses.folder.read import POSITIVE, damaged, read_maps, read_record, read_rows
from bids_app.analyses.group.effects import GroupEffects
from bids_app.analyses.mapped import save_series
from bids_app.analyses.ratings.brain_ridge import DURATIONS
from bids_app.analyses.ratings.participant import read_cleaned
from bids_app.emotion.windows import Window
from bids_app.encoding import EncodingPlan, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.errors import MusencError, reason_of
from bids_app.group import accuracy_end_factor, few_vertices, vertex_null_sd
from bids_app.group.claims import holds
from bids_app.labels import safe_label
from bids_app.loading import load_array
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree, sidecar_of
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WindowMusic:
    """Mean accuracy of predictions from one side of the ratings over music.

    Attributes
    ----------
    p, q : array of shape (n_scales, n_vertices)
        One-sided, Gaussian; q over vertices, scale by scale.
    both : array of shape (n_scales, n_vertices)
        1 where people (max-T) and music (q) both hold.
    """

    p: FloatArray
    q: FloatArray
    both: FloatArray


def window_music(
    tree: OutputTree,
    participants: Sequence[str],
    stored: Mapping[str, Mapping[str, Any]],
    accuracy: Mapping[str, GroupEffects],
    mean_r: Mapping[str, FloatArray],
    windows: Sequence[Window],
    folder: Path,
    n_threads: int = 1,
) -> tuple[dict[str, WindowMusic], str]:
    """Rotate the phases of everybody's responses alike, with the penalties that were chosen.

    Parameters
    ----------
    tree : OutputTree
    participants : sequence of str
    stored : mapping from participant to their settings file
    accuracy : mapping from window to GroupEffects
        Fisher z over participants.
    mean_r : mapping from window to (n_scales, n_vertices) array
        Plain mean of their correlations, which is tested: by way of Fisher's z it would vary more
        than the null, which is linear.
    windows : sequence of Window
    folder : Path
        For memory-mapped responses.
    n_threads : int

    Returns
    -------
    dict from window to WindowMusic, and why there is none
    """
    if not accuracy:
        return {}, ""
    try:
        return _test(tree, participants, stored, accuracy, mean_r, windows, folder, n_threads), ""
    except MusencError as error:
        reason = reason_of(error)
        LOGGER.warning("group: past and future ratings: no null over music: %s", reason)
        return {}, reason


def _test(
    tree: OutputTree,
    participants: Sequence[str],
    stored: Mapping[str, Mapping[str, Any]],
    accuracy: Mapping[str, GroupEffects],
    mean_r: Mapping[str, FloatArray],
    windows: Sequence[Window],
    folder: Path,
    n_threads: int,
) -> dict[str, WindowMusic]:
    settings = dict(stored[participants[0]]["Settings"])
    try:
        space, crop = str(settings["space"]), float(settings["crop"])
        settings |= {"crop": crop, "alphas": tuple(map(float, settings["alphas"]))}
        checksums = {n: str(sha) for p in participants for n, sha in stored[p]["Stimuli"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        path = tree.participant_settings(participants[0], EMOTION_LABEL)
        raise damaged(path, repr(error), "space, crop, alphas, Stimuli") from error
    listeners = [_Listener(tree, p, space, folder) for p in participants]
    # Those who heard what the first one heard stand for all.
    alike = [one.values for one in listeners if one.shapes == listeners[0].shapes]
    found = {}
    for window in windows:
        if window.rating not in accuracy:
            continue
        people = accuracy[window.rating]
        r = mean_r[window.rating]
        p = np.full(r.shape, np.nan)
        for k, scale in enumerate(people.names):
            plans = [one.plan(scale, window, settings) for one in listeners]
            alphas = np.stack(
                [
                    one.alphas(window, scale, people.names, plan)
                    for one, plan in zip(listeners, plans, strict=True)
                ]
            )
            there = np.isfinite(alphas).all(axis=1)
            n = there.sum(axis=0)
            share = np.where(there, 1 / np.maximum(n, 1), 0.0)[np.newaxis, :, np.newaxis]
            sd = vertex_null_sd(
                [[plan] for plan in plans],
                [one.values for one in listeners],
                alphas[:, np.newaxis],
                share,
                clock_of=range(len(listeners)),
                checksums=checksums,
                n_threads=n_threads,
            )[0]
            sd *= accuracy_end_factor(
                plans[0].segments, alike, few_vertices(np.asarray(there.all(axis=0)))
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                p[k] = special.ndtr(-r[k] / sd)
        q = benjamini_hochberg(p, axis=-1)
        held = np.where(np.isfinite(p), holds(people.test.p, q), np.nan)
        found[window.rating] = WindowMusic(p, q, held)
    return found


class _Listener:
    """Cleaned responses of a participant, memory-mapped, and the courses that predict them."""

    def __init__(self, tree: OutputTree, participant: str, space: str, folder: Path) -> None:
        self.tree, self.participant, self.space = tree, participant, space
        blocks = read_cleaned(tree, participant, space)
        self.stimuli = [block.stimulus for block in blocks]
        self.tr = float(blocks[0].tr)
        self.values = []
        for k, block in enumerate(blocks):
            path = save_series(folder / f"ratings_{participant}_{k}.npy", block.values)
            self.values.append(load_array(path, mapped=True))
        self.shapes = [(b.stimulus, *b.values.shape) for b in blocks]
        self.path = tree.participant_file(
            participant, "timeseries.tsv", model=EMOTION_LABEL, desc=RATINGS_DESC
        )
        texts = {"scale": str, "stimulus": str}
        self.courses = read_rows(self.path, (*texts, "presentation", "time", "value"), **texts)

    def plan(self, scale: str, window: Window, settings: Mapping[str, Any]) -> EncodingPlan:
        """The model of one scale and window, as it was fitted."""
        own = self.courses[self.courses["scale"] == scale]
        features = []
        for k, values in enumerate(self.values):
            course = own.loc[own["presentation"] == k + 1, "value"].to_numpy(float)
            if len(course) != len(values):
                raise damaged(self.path, f"{len(course)} samples of {scale}", len(values))
            features.append(course[:, np.newaxis])
        r_map = self._map("r", window)
        return plan_encoding(
            feature_gram(features),
            [len(course) for course in features],
            stimuli=self.stimuli,
            durations=read_record(sidecar_of(r_map)).get(DURATIONS),
            delays=window.delays,
            crop=settings["crop"],
            tr=self.tr,
            alphas=settings["alphas"],
            dtype=np.float32,
        )

    def _map(self, stat: str, window: Window, **entities: str) -> Path:
        """The left map of a statistic."""
        entities |= {"model": EMOTION_LABEL, "stat": stat, "desc": window.rating}
        return self.tree.participant_map(self.participant, "L", self.space, **entities)

    def alphas(
        self, window: Window, scale: str, scales: Sequence[str], plan: EncodingPlan
    ) -> FloatArray:
        """Chosen penalties, (n_folds, n_vertices), folds in the order of the plan."""
        rows = []
        for fold in plan.folds:
            left = self._map("alpha", window, stim=safe_label("+".join(fold.held_out)))
            maps = read_maps(left, self.space, n_arrays=len(scales), bounds=POSITIVE)
            rows.append(maps[list(scales).index(scale)])
        return np.stack(rows).astype(np.float64)
