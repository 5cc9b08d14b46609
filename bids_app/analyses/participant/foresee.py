"""Checks before computing for errors that would otherwise appear only after hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unicodedata import normalize

import numpy as np

from bids_app.analyses.participant.responses import nuisance_of
from bids_app.analyses.participant.voxels import check_voxels
from bids_app.config import Cleaning, Config
from bids_app.config.places import NOTES, TRANSCRIBED
from bids_app.config.sections import LOW_LEVEL
from bids_app.encoding.folds import lay_out, make_segments
from bids_app.encoding.gram import delay_samples, kept_rows
from bids_app.encoding.plan import rows_present
from bids_app.errors import BadDataError, UsageError
from bids_app.features.logmel import PATCH_SECONDS
from bids_app.features.registry import Space, find_space
from bids_app.features.timing import stimulus_rows
from bids_app.inputs.records import BoldRun, StudyPlan, different_trs
from bids_app.meshes import FSLR
from bids_app.plain import some_of
from bids_app.resources import find_weights, fslr_spheres
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh
from bids_app.surface.painted import regions_of
from bids_app.surface.responses import degrees_of_freedom

_OTHER_CLOCK = 1.5  # times as long as the shortest step


def foresee(config: Config, plan: StudyPlan) -> dict[str, list[str]]:
    """Refuse what would stop the call later, and say who would fail.

    Parameters
    ----------
    config : Config
    plan : StudyPlan
        Of the runs with music.

    Returns
    -------
    dict from participant to list of str
        Why encoding models of some participants could not be fitted.

    Raises
    ------
    UsageError
        If the output folder lies inside the data.
    MissingInputError, BadDataError
        If a mesh, spheres or files of features are not installed or cannot be read, or the
        music of every participant is too short.
    """
    check_output_folder(config, plan)
    check_censored(config, plan)
    check_beyond(config)
    mesh = load_mesh(config.cleaning.space)
    if mask := config.model.weights_mask:
        read_cortex_mask(mask, mesh.n_vertices)
    for run in plan.runs:
        if run.kind == "parcels":
            regions_of(run.bold_left, run.parcels, mesh)
    if config.model.has_voxels:
        check_voxels(plan.runs, config.model)
    if any(run.kind == "cifti" for run in plan.runs) and config.cleaning.space != FSLR:
        fslr_spheres()
    asked = _asked(config)
    rows = [find_space(features) for features in dict.fromkeys(asked)]
    for row in rows:
        for stimulus in plan.stimuli:
            row.files_of(stimulus.label, stimulus.path)
    shortest = max(PATCH_SECONDS if row.step is None else row.step for row in rows)
    short = {
        s.label: f"{s.label} lasts {s.duration:.2f} s, too short for features of {shortest:.2f} s: "
        + _OUT
        for s in plan.stimuli
        if s.duration < shortest
    }
    found: dict[str, list[str]] = {}
    for who in plan.participants:
        problems, _ = _problems_of(_runs_of(plan, who), config, short)
        if problems:
            found[who] = problems
    if found and len(found) == len(plan.participants):
        lines = [f"sub-{who}: {text}" for who, texts in found.items() for text in texts]
        raise BadDataError(
            "No participant's music can be used with these delays and this crop.",
            where=config.bids_dir,
            found=some_of((f"\n    {line}" for line in lines), between=""),
            wanted="pieces that outlast --crop at both ends and --delays",
            remedy="use a smaller --crop or shorter --delays, or " + _OUT,
        )
    return found


def without_folds(config: Config, plan: StudyPlan) -> dict[str, str]:
    """Participants whose music leaves a fold too few volumes, with the reason.

    Their encoding models fail; what needs no folds is done.
    """
    durations = {s.label: s.duration for s in plan.stimuli}
    found = {}
    for who in plan.participants:
        runs = _runs_of(plan, who)
        problems, kept = _problems_of(runs, config, {})
        if problems:
            continue
        labels, rows = zip(*sorted(kept, key=lambda one: one[0]), strict=True)
        shifts = delay_samples(config.model.delays, runs[0].tr)
        try:
            lay_out(labels, rows, shifts, durations=durations)
        except BadDataError as error:
            found[who] = (
                f"no encoding model can be fitted: {error.what}: {error.found}; wanted: "
                f"{error.wanted}; {error.remedy}"
            )
    return found


def with_remarks(config: Config, plan: StudyPlan) -> StudyPlan:
    """The plan, with what is odd about files that features are read from beside the sound.

    It stands with the study, and by feature space: models rest on spaces of their own and share
    their runs.

    Raises
    ------
    MusencError
        Such a file is missing or cannot be used.
    """
    rows = {features: find_space(features) for features in dict.fromkeys(_asked(config))}
    music = {one.label: one.path for one in plan.stimuli}
    rivals = without_density(config)
    remarks: dict[str, dict[str, tuple[str, ...]]] = {}
    for features, row in rows.items():
        told = {
            one.label: tuple(row.remarks_on(one.label, one.path, one.duration))
            for one in plan.stimuli
        }
        if row.remarks is not None:
            left_out = row.layer_order(music).left_out.items()
            lacking = (f"{row.name}: no layer {layer}: {reason}" for layer, reason in left_out)
            told[""] = (*lacking, *rivals.get(features, ()), *_other_clocks(row, plan))
        if any(told.values()):
            remarks[features] = told
    every = [text for told in remarks.values() for texts in told.values() for text in texts]
    given = [Path(row.argument) for row in rows.values() if row.name == "precomputed"]
    every += _strays(given, plan)
    if config.stimuli.notes_dir is not None and any(row.optional for row in rows.values()):
        every += _strays([config.stimuli.notes_dir], plan)
    if any((config.stimuli.notes_dir, config.stimuli.notes_corpus)) and not any(
        row.optional for row in rows.values()
    ):
        every.append("--notes-dir and --notes-corpus belong to --features notes: not used here")
    return replace(plan, warnings=_with(plan.warnings, every), remarks=remarks)


def _other_clocks(row: Space, plan: StudyPlan) -> list[str]:
    """Steps of a space that last far longer in some music than in other, which blurs it more."""
    seconds = {one.label: row.seconds_per_step(one.label, one.duration) for one in plan.stimuli}
    shortest = min(seconds.values(), default=0.0)
    slow = [f"{name} ({s:g} s)" for name, s in seconds.items() if s > _OTHER_CLOCK * shortest]
    if not slow:
        return []
    return [
        f"{row.name}: a step lasts {shortest:g} s in other music, but far longer in "
        f"{some_of(slow, 6)}: the layers are not the same there"
    ]


def without_density(config: Config) -> dict[str, tuple[str, ...]]:
    """What is said of spaces of notes that no joint model holds against their own density.

    Surprise summed over events follows how many there are.
    """
    told: dict[str, tuple[str, ...]] = {}
    for space in config.model.spaces:
        name = space.features.removeprefix("change:").partition(":")[0]
        if name not in (NOTES, TRANSCRIBED):
            continue
        together = [
            {layer for of, layer in spaces if of == space.features}
            for spaces in config.joint.models.values()
        ]
        if not any("density" in layers and len(layers) > 1 for layers in together):
            change = "change:" if space.features.startswith("change:") else ""
            start = f"{change}{name}"
            told[space.features] = (
                f"{space.label}: surprise and uncertainty follow how many notes begin, and nothing"
                " here says what they add to that: give"
                f" --joint surprise={start}@density+{start}@stm (docs/notes.md)",
            )
    return told


_composed = partial(normalize, "NFC")
_BESIDE = (".tsv", ".tsv.gz", ".h5", ".hdf5", ".mid", ".midi", ".musicxml", ".mxl", ".match")


def _strays(folders: Sequence[Path], plan: StudyPlan) -> list[str]:
    """Files that are called like no music of the plan, in folders of features or notes."""
    heard = tuple(_composed(n) for one in plan.stimuli for n in (one.label, one.path.stem))
    found = []
    for folder in folders:
        there = sorted(folder.iterdir()) if folder.is_dir() else []
        names = [_composed(path.name) for path in there if path.name.endswith(_BESIDE)]
        names = [name for name in names if not name.startswith(heard)]
        if names:
            found.append(f"{folder}: files of no music that is analyzed: {some_of(names)}")
    return found


def _with(warnings: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*warnings, *more)))


def _asked(config: Config) -> list[str]:
    """Every feature space that is needed."""
    own = [space.features for space in config.model.spaces]
    return [*own, *config.joint.features, *(space for _, space, *_ in config.lag_scan.features)]


_OUT = (
    "take what is no music out of the events (stim_file n/a) or name the music in --stimuli "
    "TABLE.tsv"
)


def check_beyond(config: Config) -> None:
    """Refuse ``--beyond`` where every feature space is low-level sound itself.

    Raises
    ------
    UsageError
    """
    asked = [space.features for space in config.model.spaces]
    if config.joint.beyond == "low-level" and all(map(config.joint.is_rival, asked)):
        raise UsageError(
            "There is no feature space to compare with low-level sound.",
            where="--beyond low-level",
            found=f"--features {' '.join(asked)}",
            wanted=f"a feature space that is none of {', '.join(LOW_LEVEL)}",
            remedy="give such a space with --features, or leave --beyond out",
        )


def check_weights(config: Config) -> None:
    """Whether the weights of every network that is asked for are there.

    Raises
    ------
    MissingInputError, UsageError
    """
    for features in dict.fromkeys(_asked(config)):
        row = find_space(features)
        if row.network:
            find_weights(row.weights or config.model.weights)


def check_output_folder(config: Config, plan: StudyPlan) -> None:
    """Refuse an output folder inside the data.

    Raises
    ------
    UsageError
    """
    output = config.output_dir.resolve()
    for folder, what in (
        *((path, "the fMRIPrep outputs") for path in plan.derivatives),
        *([(plan.raw_dir, "the raw dataset")] if plan.raw_dir is not None else []),
    ):
        own = folder.resolve()
        inside = output == own or own in output.parents
        if not inside or (own / "derivatives") in output.parents:
            continue
        raise UsageError(
            "The output folder lies inside a dataset.",
            where=output,
            found=f"{what}: {own}",
            wanted="a folder of its own, such as "
            f"{(plan.raw_dir or Path(own.parent)) / 'derivatives' / 'musenc'}",
            remedy="give another output folder",
        )


def check_censored(config: Config, plan: StudyPlan) -> None:
    """Refuse what is not done with censored series.

    Raises
    ------
    UsageError
    """
    runs = [run.label for run in plan.runs if run.censored]
    if runs and config.model.save_weights:
        raise UsageError(
            "Weights are not kept of series with censored volumes.",
            where="--save-weights",
            found=some_of(runs),
            wanted="runs with all volumes",
            remedy="leave the option out, or leave these runs out with --exclude-run",
        )


_Kept = list[tuple[str, tuple[int, int]]]
"""Stimulus and kept rows of every presentation."""


def _problems_of(
    runs: Sequence[BoldRun], config: Config, short: dict[str, str]
) -> tuple[list[str], _Kept]:
    """Why the music of one participant could not be used, and the rows that are kept of it."""
    problems = [short[label] for label in _heard(runs) if label in short]
    if trs := different_trs(run.tr for run in runs):
        problems.append(f"runs of different repetition times: {trs}")
    problems += _without_freedom(runs, config.cleaning)
    if problems:
        return problems, []
    model, tr = config.model, runs[0].tr
    shifts = delay_samples(model.delays, tr)
    kept: _Kept = []
    for run in runs:
        for p in run.presentations:
            where = f"{p.stimulus} in {run.label}"
            try:
                volumes, _ = stimulus_rows(
                    run.n_volumes, run.tr, run.start_time, p.onset, p.duration, p.offset
                )
                heard = volumes[volumes >= run.n_dummy]
                present = heard[~np.isin(heard, run.censored)]
                if 2 * len(present) < len(heard):
                    gone = len(heard) - len(present)
                    problems.append(f"{where}: {gone} of {len(heard)} volumes were censored")
                    continue
                length = int(present[-1] - present[0]) + 1 if len(present) else 0
                rows = kept_rows([length], shifts, model.crop, tr)
                _, (inside,) = rows_present(rows, [present - present[0]])
            except BadDataError as error:
                problems.append(
                    f"{where} is too short for --crop {model.crop:g} and the delays: "
                    f"{error.found}; {error.remedy or _OUT}"
                )
                continue
            kept.append((p.stimulus, inside))
    if kept and not problems:
        try:
            make_segments(*zip(*kept, strict=True))
        except BadDataError as error:
            problems.append(f"{error.what}: {error.found}; wanted: {error.wanted}")
    return problems, kept


def _without_freedom(runs: Sequence[BoldRun], cleaning: Cleaning) -> list[str]:
    """Runs of which confounds and drift would take everything."""
    found = []
    for run in runs:
        selected, drift = nuisance_of(run, cleaning, run.n_volumes)
        if degrees_of_freedom(run.n_volumes, selected.values, drift, n_dummy=run.n_dummy) < 1:
            found.append(
                f"{run.label}: {run.n_volumes - run.n_dummy} volumes after {run.n_dummy} dummy "
                f"scans, {len(selected.names)} confounds and {drift.shape[1]} regressors of drift: "
                "no degrees of freedom are left; choose fewer confounds with --confounds, or leave "
                "the run out with --exclude-run"
            )
    return found


def _runs_of(plan: StudyPlan, who: str) -> list[BoldRun]:
    return [run for run in plan.runs if run.participant == who]


def _heard(runs: Sequence[BoldRun]) -> list[str]:
    return sorted({p.stimulus for run in runs for p in run.presentations})
