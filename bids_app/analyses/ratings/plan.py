"""Plan of a study's ratings: files, participants, and who is excluded and why."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bids_app.analyses.folder.claims import claim_settings, is_current
from bids_app.analyses.folder.records import Record, input_files, sources_of
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.ratings.raters import rating_name
from bids_app.config import Config
from bids_app.errors import InvalidInputError, MusencError
from bids_app.files import sha256_of
from bids_app.inputs.layout import participants_there
from bids_app.inputs.rating_files import (
    HOW_RATINGS_ARE_CALLED,
    almost_rating_files,
    find_rating_files,
    read_rating_files,
)
from bids_app.inputs.rating_records import for_participants
from bids_app.inputs.ratings import RatingSet, read_ratings_table
from bids_app.inputs.records import StudyPlan
from bids_app.labels import safe_label
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree
from bids_app.plain import some_of


@dataclass(frozen=True)
class StudyRatings:
    """Ratings of a study, or why there are none.

    Attributes
    ----------
    ratings : RatingSet
    scales : tuple of str
        Scales to analyze.
    source : str
        Where they come from.
    reason : str
        Why nothing is done with ratings; empty where something is.
    """

    ratings: RatingSet
    scales: tuple[str, ...] = ()
    source: str = ""
    reason: str = ""

    def files(self, participant: str, stimuli: Sequence[str]) -> list[Path]:
        """Files of what a participant felt about `stimuli`, sorted."""
        every = itertools.product(stimuli, self.scales)
        found = (self.ratings.find(participant, stimulus, scale) for stimulus, scale in every)
        paths = {Path(rating.source) for rating in found if rating is not None}
        return sorted(path for path in paths if path.is_file())

    def checksums(self, participant: str, stimuli: Sequence[str]) -> dict[str, str]:
        """Checksum of each rating of `stimuli` that a participant has or that stands for them."""
        found = {}
        for stimulus in sorted(stimuli):
            for scale in self.scales:
                rating = self.ratings.find(participant, stimulus, scale)
                if rating is not None:
                    felt = np.ascontiguousarray([rating.times, rating.values]).tobytes()
                    found[rating_name(scale, stimulus)] = sha256_of(felt)
        return found


def find_ratings(config: Config, plan: StudyPlan) -> StudyRatings:
    """Read the table given, else the files of the dataset.

    Raises
    ------
    MusencError
        If ratings are there but cannot be used, or a scale asked for was rated by nobody.
    """
    settings = config.emotion
    durations = {stimulus.label: stimulus.duration for stimulus in plan.stimuli}
    if settings.mode == "off":
        return _none("switched off (--emotion off)")
    if settings.ratings is not None:
        source = str(settings.ratings)
        found = read_ratings_table(settings.ratings, durations, scales=settings.scales)
    else:
        where = plan.raw_dir
        files = () if where is None else find_rating_files(where, plan.participants)
        if where is None or not files:
            of = "" if where is None else f"{HOW_RATINGS_ARE_CALLED} of the "
            reason = f"no ratings: no table given with --ratings, and no {of}raw dataset"
            return _none("; ".join([reason, *_not_read(where, plan)]))
        source = f"{len(files)} files of {where}"
        try:
            found = read_rating_files(files, where, plan.runs, durations, scales=settings.scales)
        except MusencError as error:
            raise _with_way_out(error) from error
        found = replace(found, warnings=(*found.warnings, *_not_read(where, plan)))
    there = {who for folder in plan.derivatives for who in participants_there(folder)}
    found = for_participants(found, sorted(there | set(plan.participants)))
    if not found.ratings and settings.ratings is None and not settings.scales:
        why = "; ".join(found.warnings) or "their files cannot be used"
        return replace(_none(f"no continuous ratings in the dataset: {why}"), ratings=found)
    unknown = sorted(set(settings.scales) - set(found.scales))
    if unknown:
        raise InvalidInputError(
            "A scale was asked for that nobody rated.",
            where=source,
            found=", ".join(found.scales) or "none of them",
            wanted=", ".join(unknown),
            remedy="name the columns of the ratings in --scales",
        )
    scales = settings.scales or found.scales
    _check_file_names(scales, source)
    return StudyRatings(found, scales, source)


def _check_file_names(scales: Sequence[str], source: str) -> None:
    """Maps of two scales must not have one name."""
    of_label: dict[str, list[str]] = {}
    for scale in scales:
        of_label.setdefault(safe_label(scale).casefold(), []).append(scale)
    if alike := [name for names in of_label.values() if len(names) > 1 for name in names]:
        raise InvalidInputError(
            "Maps of several scales would have one name.",
            where=source,
            found=", ".join(map(repr, alike)),
            wanted="scales whose names differ in letters or digits",
            remedy="give one of the columns another name, or name one of them with --scales",
        )


def whose_ratings(study: StudyRatings, plan: StudyPlan) -> dict[str, str]:
    """By scale, how many rated all they heard, and for whom the group's mean stands."""
    heard = heard_by(plan)
    told = {}
    for scale in study.scales:
        n_own, of_group = 0, []
        for who, pieces in heard.items():
            mean = study.ratings.of_the_group(who, pieces, scale)
            n_own += not mean and not study.ratings.missing(who, pieces, [scale])
            some = "" if len(mean) == len(pieces) else f" ({', '.join(mean)})"
            of_group += [f"{who}{some}"] if mean else []
        text = f"{n_own} of {len(heard)} participants"
        told[scale] = text + (f", the group's mean for {', '.join(of_group)}" if of_group else "")
    return told


def heard_by(plan: StudyPlan) -> dict[str, list[str]]:
    """What each participant heard, sorted."""
    return {
        who: sorted(
            {p.stimulus for r in plan.runs if r.participant == who for p in r.presentations}
        )
        for who in plan.participants
    }


def _not_read(where: Path | None, plan: StudyPlan) -> list[str]:
    """A note about files that nearly are called as files of ratings."""
    names = [] if where is None else almost_rating_files(where, plan.participants)
    return (
        [f"not read as ratings: {some_of(names, 4)}; wanted: {HOW_RATINGS_ARE_CALLED}"]
        if names
        else []
    )


def _none(reason: str) -> StudyRatings:
    return StudyRatings(RatingSet(()), reason=reason)


def _with_way_out(error: MusencError) -> MusencError:
    """The same error, which says that ratings can be left out."""
    way_out = "or leave ratings out with --emotion off"
    return type(error)(
        error.what,
        where=error.where,
        found=error.found,
        wanted=error.wanted,
        remedy=f"{error.remedy}, {way_out}" if error.remedy else way_out.removeprefix("or "),
    )


@dataclass(frozen=True)
class RatingWork:
    """What is to be done with ratings in one call.

    Attributes
    ----------
    study : StudyRatings
    maps : dict from participant to Record
        Ratings and brain.
    scores : dict from model label to records
        Layers and ratings.
    left_out : dict from participant to str
        Why nothing is done for somebody.
    planned : list of Record
        Also what is done already.
    """

    study: StudyRatings
    maps: dict[str, Record] = field(default_factory=dict)
    scores: dict[str, list[Record]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    planned: list[Record] = field(default_factory=list)

    def records(self, participant: str) -> list[Record]:
        """What is to be done for a participant."""
        own = [r for records in self.scores.values() for r in records]
        found = [self.maps[participant]] if participant in self.maps else []
        return found + [record for record in own if record.participant == participant]


def score_settings_of(config: Config, model: Mapping[str, object]) -> dict[str, object]:
    """Settings of the scores of an encoding model: its own layers, not those of the option."""
    asked = config.rating_score_settings(str(model["weights_sha256"]), str(model["features"]))
    return asked | {name: model[name] for name in ("layers", "layer_depth", "sampling", "step")}


def plan_ratings(
    tree: OutputTree,
    config: Config,
    study: StudyRatings,
    models: Mapping[str, Mapping[str, object]],
    records: Mapping[str, Sequence[Record]],
    plan: StudyPlan,
) -> RatingWork:
    """Decide who is to be worked on; nothing that is current is done again.

    Parameters
    ----------
    tree : OutputTree
    config : Config
    study : StudyRatings
    models : mapping from model label to its settings
    records : mapping from participant to the records of its encoding models
    plan : StudyPlan

    Raises
    ------
    InvalidInputError
        If the output folder holds results of other settings.
    """
    work = RatingWork(study)
    if study.reason:
        return work
    mask = next(iter(models.values()))["cortex_mask"]
    map_settings = config.rating_map_settings() | {"cortex_mask": mask}
    claim_settings(tree, EMOTION_LABEL, map_settings)
    score_settings = {}
    for label, settings in models.items():
        score_settings[label] = score_settings_of(config, settings)
        claim_settings(tree, label, score_settings[label], desc=RATINGS_DESC)
        work.scores[label] = []
    for participant, encoding in records.items():
        felt = study.checksums(participant, list(encoding[0].stimuli))
        if not felt:
            work.left_out[participant] = "no ratings of the music heard"
            continue
        runs = [run for run in plan.runs if run.participant == participant]
        if any(run.band is not None for run in runs):
            work.left_out[participant] = (
                "its series were denoised before, and models of ratings need the confounds in them"
            )
            continue
        voxels = Voxels.of(config.model)
        own_files = voxels.files(runs)
        names = {*(path.name for path in (*input_files(runs), *own_files)), "plan", "subcortex"}
        inputs = {k: v for k, v in encoding[0].inputs.items() if k in names} | felt
        files = study.files(participant, list(encoding[0].stimuli))
        faults = [text for who, text in study.ratings.faults if who == participant]
        notes = (*faults, *study.ratings.notes)
        sources = sources_of(plan, runs, [*files, *own_files])
        record = replace(
            encoding[0],
            sources=sources,
            model=EMOTION_LABEL,
            settings=map_settings,
            inputs=inputs,
            features={},
            notes=notes,
        )
        work.planned.append(record)
        if not is_current(tree, record):
            work.maps[participant] = record
        for own in encoding:
            scores = replace(
                own,
                sources=sorted({*own.sources, *sources}),
                settings=score_settings[own.model],
                inputs=inputs,
                desc=RATINGS_DESC,
                notes=notes,
            )
            work.planned.append(scores)
            if not is_current(tree, scores):
                work.scores[own.model].append(scores)
    return work
