"""Joint models over participants and over music: their accuracy, and what each space adds."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import (
    CORRELATION,
    POSITIVE,
    RECORD,
    check_outputs,
    read_completed,
    read_maps,
)
from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis
from bids_app.analyses.group.beyond import DIFFERENCE
from bids_app.analyses.group.beyond_music import (
    JointMusicSide,
    differences_over_music,
    sides_of_clocks,
)
from bids_app.analyses.group.cohort import Cohort, who_has
from bids_app.analyses.group.collect import MIN_PARTICIPANTS, GroupData, check_same_settings
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.joint_models import PURPOSE
from bids_app.config import Statistics
from bids_app.encoding.joint_plan import ChoicePlan, candidate_weights, plan_joint
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import holds
from bids_app.labels import safe_label
from bids_app.outputs import JOINT_DESC, JOINT_LABEL, OutputTree, unique_desc
from bids_app.report.group import Shown
from bids_app.report.joint import MODEL_ROW, joint_group_sections
from bids_app.seeds import generator
from bids_app.statistics import fisher_z

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OverMusic:
    """Accuracy of a joint model, then unique accuracy of every space, over music.

    Attributes
    ----------
    p, q : array of shape (1 + n_spaces, n_vertices)
        One-sided; q over vertices.
    record : dict
        How the closed forms compare with refits.
    """

    p: FloatArray
    q: FloatArray
    record: dict[str, Any]


@dataclass(frozen=True, eq=False)
class JointTest:
    """A joint model over participants.

    Attributes
    ----------
    label : str
    spaces : list of str
    participants : list of str
    mean, t, p : array of shape (1 + n_spaces, n_vertices)
        Accuracy of the model, then unique accuracy of every space: mean; t over participants;
        one-sided sign-flip p, corrected over vertices, and over spaces together.
    music : OverMusic or None
        The same over music.
    reason : str
        Why nothing was tested over music.
    """

    label: str
    spaces: list[str]
    participants: list[str]
    mean: FloatArray
    t: FloatArray
    p: FloatArray
    music: OverMusic | None
    reason: str

    @property
    def names(self) -> list[str]:
        """Of the maps."""
        return [MODEL_ROW, *self.spaces]

    @property
    def both(self) -> FloatArray | None:
        """1 where people and music hold; None without a test over music."""
        if self.music is None:
            return None
        return np.where(np.isfinite(self.mean), holds(self.p, self.music.q), np.nan)


@dataclass(frozen=True, eq=False)
class JointGroup:
    """All joint models of a study.

    Attributes
    ----------
    group : Cohort
    models : list of JointTest
    """

    group: Cohort
    models: list[JointTest]


def joint_group(
    tree: OutputTree,
    data: GroupData,
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> JointGroup | None:
    """Test every joint model that participants have; None where nobody has any.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
        Of an encoding model of the same participants.
    heard : Heard
        Of the same.
    cache_dir : Path
    statistics : Statistics
    n_threads : int

    Raises
    ------
    InvalidInputError, BadDataError
        If settings or maps of the participants do not belong together.
    """
    models: list[JointTest] = []
    left_out: dict[str, str] = {}
    labels = tree.joint_models(data.participants)
    for label in labels:
        there = tree.participants_of(label, JOINT_DESC)
        people, lacking = who_has(data.participants, there, label, "joint model")
        left_out |= lacking
        if not people:
            continue
        LOGGER.info("group: joint model-%s, %d participants", label, len(people))
        study = _Study(tree, data, label, people)
        models.append(
            study.tested(_heard_by(heard, data, people), cache_dir, statistics, n_threads)
        )
    for what, why in left_out.items():
        LOGGER.warning("group: joint models without %s: %s", what, why)
    if not models:
        return None
    everybody = [who for who in data.participants if any(who in m.participants for m in models)]

    def files(who: str) -> list[Path]:
        return [tree.participant_settings(who, label, JOINT_DESC) for label in labels]

    return JointGroup(Cohort.of(JOINT_LABEL, data.space, everybody, files, left_out), models)


def _heard_by(heard: Heard, data: GroupData, people: Sequence[str]) -> Heard:
    """Responses of some of the participants, who are numbered anew."""
    numbers = {data.participants.index(who): k for k, who in enumerate(people)}
    kept = [k for k, number in enumerate(heard.people) if number in numbers]
    if heard.there and len(kept) < MIN_PARTICIPANTS:
        return Heard(reasons=("fewer than two of them have responses on one clock",))
    return replace(
        heard,
        people=tuple(numbers[heard.people[k]] for k in kept),
        clock_of=tuple(heard.clock_of[k] for k in kept),
        responses=tuple(heard.responses[k] for k in kept),
    )


class _Study:
    """A joint model of everybody who has it."""

    def __init__(
        self, tree: OutputTree, data: GroupData, label: str, people: Sequence[str]
    ) -> None:
        self.tree, self.label, self.people = tree, label, list(people)
        wanted: dict[str, Any] = {"HeldOutStimuli": list, "FeaturesFolders": list}
        paths = [tree.participant_settings(who, label, JOINT_DESC) for who in people]
        records = [read_completed(path, Features=dict, **wanted, **RECORD) for path in paths]
        for one in records:
            check_outputs(tree, one)
        check_same_settings(tree, label, people, records, desc=JOINT_DESC)
        self.record = records[0]
        self.settings: Mapping[str, Any] = self.record["Settings"]
        self.space = str(self.settings["space"])
        self.spaces = [str(name) for name in self.record["Features"]["Spaces"]]
        full = self._stacked(CORRELATION, desc="")
        unique = np.concatenate(
            [self._stacked(DIFFERENCE, desc=unique_desc(name)) for name in self.spaces], axis=1
        )
        usable = np.isfinite(full).all(axis=(0, 1)) & np.isfinite(unique).all(axis=(0, 1))
        self.full, self.unique = (np.where(usable, one, np.nan) for one in (full, unique))
        self.data = replace(
            data,
            model=label,
            participants=self.people,
            r=np.concatenate([self.full, self.full - self.unique], axis=1).astype(np.float32),
            layer_names=[label, *(f"without {name}" for name in self.spaces)],
            settings=dict(self.settings),
        )

    def _stacked(
        self, bounds: tuple[float, float], n_arrays: int = 1, **entities: str
    ) -> FloatArray:
        """Maps of everybody, (n_participants, n_arrays, n_vertices)."""
        named = {"model": self.label, "stat": "r"} | entities
        lefts = [self.tree.participant_map(who, "L", self.space, **named) for who in self.people]
        maps = [read_maps(left, self.space, n_arrays=n_arrays, bounds=bounds) for left in lefts]
        return np.stack(maps).astype(np.float64)

    def tested(
        self, heard: Heard, cache_dir: Path, statistics: Statistics, n_threads: int
    ) -> JointTest:
        """Accuracy, and unique accuracies together, over people and over music."""
        flips: dict[str, Any] = {**statistics.flips, "tail": "greater", "n_threads": n_threads}
        flips["uncorrected"] = False
        tests = [sign_flip_max_t(own, **flips) for own in (fisher_z(self.full), self.unique)]
        side = self._side(heard, cache_dir, statistics.random_seed, n_threads)
        music, reason = (None, side) if isinstance(side, str) else (_over_music(side), "")
        if reason:
            LOGGER.warning("group: model-%s is not tested over music: %s", self.label, reason)
        return JointTest(
            self.label,
            self.spaces,
            self.people,
            np.concatenate([self.full, self.unique], axis=1).mean(axis=0),
            np.concatenate([one.t for one in tests]),
            np.concatenate([one.p for one in tests]),
            music,
            reason,
        )

    def _side(
        self, heard: Heard, cache_dir: Path, seed: int, n_threads: int
    ) -> JointMusicSide | str:
        """The model, then without each space, or why there is no null over music."""
        clocks = sides_of_clocks(self.tree, heard, self.record, cache_dir)
        if isinstance(clocks, str):
            return clocks
        layers = [str(one["layer"]) for one in self.settings["spaces"]]
        n, drawn_by = int(self.settings["candidates"]), int(self.settings["random_seed"])
        weights = candidate_weights(len(layers), n, generator(drawn_by, PURPOSE))
        models = []
        for sides in clocks:
            grams = {
                name: side.gram(layer)
                for name, side, layer in zip(self.spaces, sides, layers, strict=True)
            }
            options = sides[0].plan_options
            joint = plan_joint(grams, sides[0].lengths, weights=weights, **options)
            models.append([ChoicePlan(joint, left_out=name) for name in ("", *self.spaces)])
        held = ["+".join(np.atleast_1d(fold.held_out)) for fold in models[0][0].folds]
        choices = [
            self._stacked(
                POSITIVE, len(self.spaces) + 1, stat="choice", desc=JOINT_DESC, stim=safe_label(one)
            )
            for one in held
        ]
        chosen = np.moveaxis(np.stack(choices), 0, 2)[list(heard.people)].astype(np.float32)
        return JointMusicSide(heard, self.data, models, chosen, seed, n_threads)


def _over_music(side: JointMusicSide) -> OverMusic:
    n_people, n_models = len(side.people), side.r.shape[1]
    weights = np.zeros((n_models, n_people, n_models))
    weights[:, :, 0] = 1 / n_people
    others = np.arange(1, n_models)
    weights[others, :, others] = -1 / n_people
    accuracy = differences_over_music(side, weights[:1], [0], floored=False)
    unique = differences_over_music(side, weights[1:], range(n_models - 1))
    p, q = (np.concatenate([getattr(one, name) for one in (accuracy, unique)]) for name in "pq")
    return OverMusic(p, q, {"accuracy": accuracy.scaled.record, "unique": unique.scaled.record})


def write_joint_group(writer: GroupWriter, result: JointGroup) -> None:
    """Maps and a table of every joint model."""
    for one in result.models:
        own: dict[str, Any] = {
            "feature": one.label,
            "Participants": [f"sub-{who}" for who in one.participants],
        }
        told: dict[str, Any] = {} if one.music is None else {"RefitCheck": one.music.record}
        reads: list[Mapping[str, str]] = [{"model": one.label, "stat": "r"}]
        if one.music is not None:
            reads += [{"model": one.label, "stat": "choice"}, RESPONSES]
        for stat, desc, values, text in _maps(one):
            writer.statmap(
                stat,
                values,
                one.names,
                desc=desc,
                description=text,
                reads=reads,
                **own,
                **(told if "music" in desc else {}),
            )
        writer.table("summary", COLUMNS, _rows(one), desc=JOINT_DESC, reads=reads, **own)


def _maps(one: JointTest) -> list[tuple[str, str, NDArray[Any], str]]:
    what = "accuracy of the joint model, then unique accuracy of every space"
    null = "phases of the responses rotated alike in all participants and models"
    found = [
        ("r", "", one.mean, f"mean {what}"),
        ("t", "", one.t, f"t over participants: {what}"),
        (
            "p",
            "maxt",
            one.p,
            f"one-sided sign-flip p, max-T over vertices, and over spaces: {what}",
        ),
    ]
    if one.music is not None and one.both is not None:
        found += [
            ("p", "music", one.music.p, f"one-sided p over music, {null}: {what}"),
            ("q", "music", one.music.q, f"q over vertices of the p over music, {null}: {what}"),
            ("n", "both", one.both, f"1 where p over people and q over music are < .05: {what}"),
        ]
    return found


def _rows(one: JointTest) -> list[dict[str, Any]]:
    both = one.both
    return [
        {
            "name": name,
            "mean": float(np.nanmean(one.mean[k])),
            "highest": float(np.nanmax(one.mean[k])),
            "p": float(np.nanmin(one.p[k])),
            "n_people": int(holds(one.p[k]).sum()),
            "n_both": float("nan") if both is None else int(np.nansum(both[k])),
        }
        for k, name in enumerate(one.names)
    ]


def told_of_joint(result: JointGroup) -> dict[str, Any]:
    """Models, why any was not tested over music, and what is left out."""
    reasons = {one.label: one.reason for one in result.models if one.reason}
    told: dict[str, Any] = {"JointModels": {one.label: one.spaces for one in result.models}}
    return told | {"NotOverMusic": reasons, "LeftOut": result.group.left_out}


COLUMNS = {
    "name": f"{MODEL_ROW}: accuracy of the joint model; else a space, and its unique accuracy",
    "mean": "mean over participants and all vertices",
    "highest": "highest mean over participants",
    "p": "smallest p over people, corrected over vertices, and over spaces together",
    "n_people": "vertices with such p < .05",
    "n_both": "of these, with q < .05 over music; n/a where it was not tested",
}
JOINT_MODELS = GroupAnalysis(
    "joint_models",
    joint_group,
    write=write_joint_group,
    details=told_of_joint,
    desc=JOINT_DESC,
    model=JOINT_LABEL,
    people="group",
    of_weights=False,
    page=Shown(sections=(joint_group_sections,), once=True),
)
