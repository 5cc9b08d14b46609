"""Plan of the lag scans: features, participants, and the inputs of the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.claims import claim_settings, is_current
from bids_app.analyses.folder.records import Record, inputs_of, sources_of, sources_of_run
from bids_app.analyses.participant.plan import mask_record
from bids_app.config import Config
from bids_app.errors import UsageError
from bids_app.features.course import WIDTH, feature_course
from bids_app.features.registry import Space, find_space
from bids_app.features.timing import stimulus_rows
from bids_app.inputs.records import BoldRun, Stimulus, StudyPlan
from bids_app.inputs.seeds import SeedRegion, parse_seed
from bids_app.labels import safe_label
from bids_app.outputs import LAG_SCAN_LABEL, OutputTree, model_label
from bids_app.surface.atlas import absolute_atlas, atlas_files, installed_option, read_atlas
from bids_app.surface.lag_scan import MIN_ROWS, WITHIN, known_rows
from bids_app.surface.mesh import load_mesh

LAGS = np.arange(-6.0, 12.5, 0.5)
"""Seconds; those before zero show that nothing comes before the music."""


@dataclass(frozen=True)
class LagFeature:
    """A one-dimensional feature as in ``--lag-scan``.

    Attributes
    ----------
    text : str
        As the user wrote it.
    features, layer, unit : str
        Space, and what of it is meant.
    """

    text: str
    features: str
    layer: str = ""
    unit: str = ""

    @property
    def row(self) -> Space:
        """The space in the registry."""
        return find_space(self.features)

    @property
    def name(self) -> str:
        """On the page."""
        named = "@".join(filter(None, (model_label(self.features), self.layer)))
        return f"{named}:{self.unit}" if self.unit else named

    @property
    def label(self) -> str:
        """In the names of files."""
        return safe_label(self.name)

    @property
    def record(self) -> dict[str, str]:
        """What identifies it, for settings."""
        row = self.row
        return {
            "features": row.identity,
            "corpus": row.weights_identity,
            "layer": self.layer,
            "unit": self.unit,
        }

    def check(self, stimuli: Sequence[Stimulus]) -> None:
        """Whether it is one-dimensional: judged by the shortest piece.

        Raises
        ------
        UsageError, MissingInputError, BadDataError
        """
        for one in stimuli:
            self.row.files_of(one.label, one.path)
        shortest = min(stimuli, key=lambda one: one.duration)
        feature_course(self.row, self.layer, self.unit, shortest.label, shortest.path)


def lag_features(config: Config) -> list[LagFeature]:
    """What ``--lag-scan`` names.

    Raises
    ------
    UsageError
        No such space, or one label for two features.
    """
    found = [LagFeature(*one) for one in config.lag_scan.features]
    labels = [one.label for one in found]
    for one in found:
        _ = one.row
        if labels.count(one.label) > 1:
            raise UsageError(
                "Two features of a lag scan have one label.",
                where="--lag-scan",
                found=one.text,
                wanted="features whose names differ in letters and digits",
                remedy="rename one of them, or leave it out",
            )
    return found


@dataclass(frozen=True)
class LagJob:
    """A feature, and what is scanned with it.

    Attributes
    ----------
    feature : LagFeature
    settings : dict
        What changes the results.
    atlases : tuple of str
        Whose regions are scanned, as in ``--atlas``.
    seeds : tuple of SeedRegion
    """

    feature: LagFeature
    settings: dict[str, Any]
    atlases: tuple[str, ...] = ()
    seeds: tuple[SeedRegion, ...] = ()

    def record(self, plan: StudyPlan, participant: str) -> Record:
        """What a participant's results rest on."""
        runs = [run for run in plan.runs if run.participant == participant]
        labels = {p.stimulus for run in runs for p in run.presentations}
        heard = [stimulus for stimulus in plan.stimuli if stimulus.label in labels]
        row = self.feature.row
        files = sorted({path for one in heard for path in row.files_of(one.label, one.path)})
        places = [path for option in self.atlases for path in atlas_files(option)[1]]
        places += [seed.path for seed in self.seeds if seed.path is not None]
        return Record(
            participant=participant,
            model=LAG_SCAN_LABEL,
            settings=self.settings,
            sources=sources_of(plan, runs, files),
            inputs=inputs_of(runs, [*files, *places], seeds=" ".join(s.name for s in self.seeds)),
            stimuli={s.label: s.sha256 for s in heard},
            features={"Features": self.settings["feature"]},
            desc=self.feature.label,
            run_sources={run.label: sources_of_run(plan, run) for run in runs},
        )


@dataclass(frozen=True)
class LagWork:
    """What is to be done about lag scans in one call.

    Attributes
    ----------
    features : list of LagFeature
    jobs : dict from participant to list of (LagJob, Record)
        What is not current.
    """

    features: list[LagFeature] = field(default_factory=list)
    jobs: dict[str, list[tuple[LagJob, Record]]] = field(default_factory=dict)

    @property
    def open(self) -> list[LagFeature]:
        """Features that somebody's results are missing of."""
        found = {job.feature.label: job.feature for own in self.jobs.values() for job, _ in own}
        return list(found.values())

    def records(self, participant: str) -> list[Record]:
        """What is to be done for a participant."""
        return [record for _, record in self.jobs.get(participant, [])]


def plan_lag_work(tree: OutputTree, config: Config, plan: StudyPlan) -> LagWork:
    """Decide what is to be done; nobody may have other settings, nothing current is done again.

    Raises
    ------
    UsageError, InvalidInputError
    """
    work = LagWork(lag_features(config))
    atlases = lag_atlases(config)
    regions = (config.conditions.seed, config.conditions.target)
    seeds = tuple(parse_seed(text) for text in regions if text)
    for feature in work.features:
        feature.check(plan.stimuli)
        settings = {
            **config.response_settings(),
            "cortex_mask": mask_record(config),
            "feature": feature.record,
            "lags": [LAGS[0], LAGS[-1], len(LAGS)],
            "within": WITHIN,
            "width": WIDTH,
            "n_draws": config.lag_scan.n_draws,
            "random_seed": config.statistics.random_seed,
        }
        claim_settings(tree, LAG_SCAN_LABEL, settings, desc=feature.label)
        job = LagJob(feature, settings, atlases, seeds)
        for who in plan.participants:
            record = job.record(plan, who)
            if not is_current(tree, record):
                work.jobs.setdefault(who, []).append((job, record))
    return work


def lag_atlases(config: Config) -> tuple[str, ...]:
    """Atlases whose regions are scanned, as in ``--atlas``; all of them can be read.

    Raises
    ------
    MissingInputError, BadDataError
    """
    given = config.statistics.atlases or installed_option(config.cleaning.space)
    atlases = tuple(map(absolute_atlas, given))
    for option in atlases:
        read_atlas(option, load_mesh(config.cleaning.space).n_vertices)
    return atlases


def scanned_times(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those with music at every lag, where the music was heard from the first to the last."""
    return times[known_rows(times, (times[0], times[-1]), LAGS)]


def too_short(runs: Sequence[BoldRun]) -> dict[str, str]:
    """Presentations that have too few volumes with music at every lag, and how many."""
    found = {}
    for run in runs:
        for p in run.presentations:
            told = (run.n_volumes, run.tr, run.start_time, p.onset, p.duration, p.offset)
            _, times = stimulus_rows(*told)
            n = len(scanned_times(times))
            if n < MIN_ROWS:
                found[f"{p.stimulus} in {run.label}"] = f"{n} volumes with music at every lag"
    return found
