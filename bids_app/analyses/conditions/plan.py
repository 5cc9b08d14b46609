"""Which runs have which conditions; all problems are reported before computing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.analyses.folder.records import Record, inputs_of, sources_of, sources_of_run
from bids_app.analyses.participant.voxels import Voxels, check_voxels
from bids_app.config import Config
from bids_app.emotion import parse_contrast
from bids_app.errors import (
    BadDataError,
    InvalidInputError,
    MusencError,
    NoConditionsError,
    UsageError,
)
from bids_app.files import sha256_of_file
from bids_app.inputs.conditions import (
    Conditions,
    check_trials,
    odd_trials,
    read_conditions,
)
from bids_app.inputs.plan_text import run_warnings
from bids_app.inputs.records import BoldRun, StudyPlan, different_trs
from bids_app.inputs.seeds import SeedRegion, check_mask, find_volume, parse_seed
from bids_app.inputs.sidecars import Inheritance
from bids_app.labels import safe_label
from bids_app.outputs import CONDITIONS_LABEL
from bids_app.plain import some_of
from bids_app.surface.cortex import cortex_record, cortex_vertices
from bids_app.surface.labels import seed_vertices
from bids_app.surface.mesh import load_mesh


@dataclass(frozen=True)
class ConditionPlan:
    """What the analyses of conditions will read.

    Attributes
    ----------
    study : StudyPlan
        Every run of the dataset that the options select.
    conditions : mapping from run label to Conditions
        Trials of the runs that have any.
    contrasts : mapping from label to str
        Contrasts as the user wrote them, by their label in file names.
    seed, target : SeedRegion or None
    skipped : mapping from run label to str
        Why a run has no trials.
    left_out : mapping from participant to str
        Who lacks a condition of a contrast, or has no lags.
    faulty : frozenset of str
        Labels of the skipped runs whose events cannot be used: a problem, while a run without
        conditions is none.
    warnings : sequence of str
        What is odd about trials, and which runs do not enter a contrast.
    """

    study: StudyPlan
    conditions: Mapping[str, Conditions]
    contrasts: Mapping[str, str]
    seed: SeedRegion | None
    target: SeedRegion | None
    skipped: Mapping[str, str]
    left_out: Mapping[str, str]
    faulty: frozenset[str] = field(default_factory=frozenset)
    warnings: Sequence[str] = ()

    @property
    def participants(self) -> tuple[str, ...]:
        """Labels of those who will be analyzed."""
        return tuple(p for p in self.study.participants if p not in self.left_out)

    def runs_of(self, participant: str) -> list[BoldRun]:
        """Runs of a participant that have trials."""
        return [
            run
            for run in self.study.runs
            if run.participant == participant and run.label in self.conditions
        ]


def plan_conditions(config: Config, study: StudyPlan) -> ConditionPlan:
    """Read the events of all runs and check contrasts and regions against them.

    Parameters
    ----------
    config : Config
    study : StudyPlan
        Made without regard to music.

    Returns
    -------
    ConditionPlan

    Raises
    ------
    UsageError
        If a contrast names an unknown condition (those there are listed) or two have one label.
    InvalidInputError
        If no run's events name conditions, or nobody has all conditions of a contrast.
    MissingInputError, BadDataError
        If a region cannot be read.
    """
    asked = config.conditions
    conditions, skipped, faulty = _read_all(study, asked.column)
    known = {name for of_run in conditions.values() for name in of_run.names}
    weights = {text: parse_contrast(text, known) for text in asked.contrasts}
    labels = {contrast_label(of_text): text for text, of_text in weights.items()}
    if len(labels) < len(asked.contrasts):
        raise UsageError(
            "Two contrasts are the same.",
            where="--contrast",
            found=" ".join(asked.contrasts),
            wanted="contrasts of different names",
            remedy="leave one of them out",
        )
    used = [run for run in study.runs if run.label in conditions]
    seed, target = (_region(text, config, used) for text in (asked.seed, asked.target))
    if config.model.has_voxels:
        check_voxels(used, config.model)
    plan = ConditionPlan(study, conditions, labels, seed, target, skipped, {}, faulty)
    named = {text: set(of_text) for text, of_text in weights.items()}
    needed = set().union(*named.values())
    left_out = {p: why for p in study.participants if (why := _lacks(plan, p, named))}
    if len(left_out) == len(study.participants):
        raise InvalidInputError(
            "No participant has what the contrasts need.",
            found=some_of((f"sub-{p}: {why}" for p, why in left_out.items()), between="; "),
            wanted=f"trials of {', '.join(sorted(needed))}",
            remedy="correct --contrast, or the column trial_type of the events",
        )
    _check_lags(config, plan, needed)
    plan = replace(plan, left_out=left_out)
    return replace(plan, warnings=tuple(run_warnings(_told(plan, named))))


def _told(
    plan: ConditionPlan, contrasts: Mapping[str, set[str]]
) -> Iterator[tuple[str, list[str]]]:
    """Runs, and what is told of their trials and names."""
    for participant in plan.study.participants:
        for run in plan.runs_of(participant):
            own = plan.conditions[run.label]
            there = ", ".join(own.conditions)
            texts = [*odd_trials(own, run.n_volumes * run.tr), *_misspelled(plan, run)]
            if participant not in plan.left_out:
                texts += [
                    f"not in the contrast {text}: no trials of {', '.join(lacking)} "
                    f"(there: {there})"
                    for text, needed in contrasts.items()
                    if (lacking := sorted(needed - set(own.conditions)))
                ]
            yield run.label, texts


def _misspelled(plan: ConditionPlan, run: BoldRun) -> list[str]:
    """What a run has alone of its task, where it lacks what most others have."""
    own = set(plan.conditions[run.label].names)
    others = [
        set(plan.conditions[other.label].names)
        for other in plan.study.runs
        if other.task == run.task and other.label != run.label and other.label in plan.conditions
    ]
    counts = Counter(name for names in others for name in names)
    alone = sorted(own - set(counts))
    lacking = sorted(n for n, count in counts.items() if 2 * count > len(others) and n not in own)
    if not (alone and lacking):
        return []
    return [
        f"trials of {', '.join(alone)}, which no other run of the task has, and none of "
        f"{', '.join(lacking)}, which most have: are they spelled differently?"
    ]


def contrast_label(weights: Mapping[str, float]) -> str:
    """Label for file names: ``dissonant - 0.5*consonant`` is ``dissonantMinus05consonant``."""
    parts: list[str] = []
    for name, weight in weights.items():
        sign = "Minus" if weight < 0 else "Plus" if parts else ""
        factor = "" if abs(weight) == 1 else safe_label(f"{abs(weight):g}")
        parts.append(f"{sign}{factor}{safe_label(name)}")
    return "".join(parts)


def _read_all(
    study: StudyPlan, column: str
) -> tuple[dict[str, Conditions], dict[str, str], frozenset[str]]:
    """Trials of the runs, why runs have none, and those of them whose events are at fault."""
    faulty = set()
    conditions: dict[str, Conditions] = {}
    skipped: dict[str, str] = {}
    raw = Inheritance(study.raw_dir, raw=True) if study.raw_dir else None
    for run in study.runs:
        events = raw.events(run.entities) if raw else None
        if run.band is not None:
            skipped[run.label] = (
                "its series was denoised before: a contrast needs the confounds in its model"
            )
            continue
        if events is None:
            skipped[run.label] = "no events.tsv"
            continue
        try:
            found = read_conditions(events, column=column)
            check_trials(found, run.n_volumes * run.tr)
            conditions[run.label] = found
        except MusencError as error:
            if not isinstance(error, NoConditionsError):
                faulty.add(run.label)
            skipped[run.label] = f"{error.what} {error.where}: {error.found}"
    if not conditions:
        raise InvalidInputError(
            "No events name conditions, so there is nothing to contrast.",
            where=study.raw_dir or study.bids_dir,
            found=some_of((f"{run}: {why}" for run, why in skipped.items()), between="; "),
            wanted=f"events.tsv with onset, duration and {column} beside the raw runs",
            remedy="name the raw dataset with --derivatives raw=PATH, or another column with "
            "--condition-column",
        )
    return conditions, skipped, frozenset(faulty)


def _lacks(plan: ConditionPlan, participant: str, contrasts: Mapping[str, set[str]]) -> str:
    """What keeps a participant out; nothing is lacking where the text is empty."""
    runs = plan.runs_of(participant)
    of_runs = [set(plan.conditions[run.label].names) for run in runs]
    there = set().union(*of_runs)
    lacking = sorted(set().union(*contrasts.values()) - there)
    if lacking:
        return f"no trials of {', '.join(lacking)} (there: {', '.join(sorted(there)) or 'none'})"
    apart = [text for text, needed in contrasts.items() if not any(needed <= o for o in of_runs)]
    if apart:
        return f"no run has all conditions of {' and of '.join(apart)}"
    trs = different_trs(run.tr for run in runs) if plan.target else ""
    return trs and (
        f"lags need one repetition time, and its runs have {trs}: select runs with --task-id, or"
        " leave out --target"
    )


def _region(text: str | None, config: Config, runs: Sequence[BoldRun]) -> SeedRegion | None:
    """A region whose files are there and fit."""
    if text is None:
        return None
    region = parse_seed(text)
    if region.kind == "volume":
        check_mask(region.path or Path())
        for run in runs:
            find_volume(run)
        return region
    mesh = load_mesh(config.cleaning.space)
    vertices = seed_vertices(region, mesh)
    if not cortex_vertices(config.cleaning.cortex_mask, mesh)[vertices].any():
        raise BadDataError(
            "A seed region lies outside the cortex mask.",
            where=text,
            found=f"{len(vertices)} vertices, none of them inside",
            wanted="at least one vertex inside",
            remedy="move the region, or give another --cortex-mask",
        )
    return region


def _check_lags(config: Config, plan: ConditionPlan, needed: set[str]) -> None:
    """Lags reach the next volume, and fit into the longest trial of every condition."""
    if plan.target is None:
        return
    max_lag = config.conditions.max_lag
    slowest = max(run.tr for run in plan.study.runs)
    durations = {
        name: np.concatenate([of_run.trials(name)[1] for of_run in plan.conditions.values()])
        for name in needed
    }
    longest = {name: float(seconds.max()) for name, seconds in durations.items()}
    lowest, highest = max(1.0, slowest), min(longest.values()) - 3 * slowest
    if not lowest <= max_lag <= highest:
        raise UsageError(
            "The lags do not fit the volumes and trials.",
            where="--max-lag",
            found=f"{max_lag:g} s; longest trials: "
            + ", ".join(f"{name} {seconds:g} s" for name, seconds in sorted(longest.items())),
            wanted=f"{lowest:g} to {highest:g} s: pairs of volumes do not leave a trial"
            if highest >= lowest
            else "trials of more than three volumes: pairs of volumes do not leave a trial",
            remedy="give a --max-lag in this range",
        )


def condition_settings(config: Config, plan: ConditionPlan) -> dict[str, Any]:
    """Settings of all participants' maps; regions and the cortex mask count by content."""
    mask = cortex_record(config.cleaning.cortex_mask, load_mesh(config.cleaning.space))
    files = {}
    regions = {"seed": plan.seed, "target": plan.target}
    for name, region in regions.items():
        if region is not None and region.path is not None:
            files[name] = region.path
    return {
        **config.condition_settings(),
        **{name: region.name if region else None for name, region in regions.items()},
        "cortex_mask": mask,
        "files": {name: sha256_of_file(path) for name, path in files.items()},
    }


def _of_runs(plan: ConditionPlan, runs: Iterable[BoldRun]) -> set[str]:
    """URIs of the inputs of runs; the music has no part in models of conditions."""
    return {source for run in runs for source in sources_of_run(plan.study, run)}


def condition_record(
    plan: ConditionPlan,
    participant: str,
    settings: Mapping[str, Any],
    voxels: Voxels | None = None,
) -> Record:
    """What a participant's maps of conditions rest on."""
    runs = plan.runs_of(participant)
    raw = Inheritance(plan.study.raw_dir, raw=True) if plan.study.raw_dir else None
    events = {raw.events(run.entities) for run in runs} if raw else set()
    volumes = {
        find_volume(run)
        for run in runs
        for region in (plan.seed, plan.target)
        if region is not None and region.kind == "volume"
    }
    voxels = voxels or Voxels()
    further = {*events, *volumes, *voxels.files(runs)}
    files = sorted(path for path in further if path is not None)
    atlases = [r.path for r in (plan.seed, plan.target) if r is not None and r.path is not None]
    return Record(
        participant=participant,
        model=CONDITIONS_LABEL,
        settings=dict(settings),
        sources=sorted({*sources_of(plan.study, (), files + atlases), *_of_runs(plan, runs)}),
        inputs=inputs_of(runs, files, **voxels.asked),
        skipped={
            run.label: plan.skipped[run.label]
            for run in plan.study.runs
            if run.participant == participant and run.label in plan.skipped
        },
    )
