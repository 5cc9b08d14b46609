"""``--dry-run``: the plan, what it will cost, and what it will leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_app.config import Config
from bids_app.disk import free_bytes
from bids_app.held import temporary_folder
from bids_app.inputs.estimate import Estimate, check_memory
from bids_app.inputs.plan_text import format_plan, skipped_text
from bids_app.inputs.records import StudyPlan
from bids_app.limits import Limit, cpu_limit, format_bytes, memory_limit
from bids_app.log import tell
from bids_app.outputs import (
    BEYOND_DESC,
    ENTITY_ORDER,
    JOINT_DESC,
    OutputTree,
    join_entities,
    parse_entities,
    told_label,
)

if TYPE_CHECKING:
    from bids_app.analyses.conditions.group_plan import ConditionGroup
    from bids_app.analyses.conditions.plan import ConditionPlan
    from bids_app.analyses.group_level import GroupPlan
    from bids_app.analyses.participant.rest_plan import RestPlan
    from bids_app.analyses.participant_level import ParticipantLevel
    from bids_app.analyses.ratings.plan import StudyRatings


def show_plan(
    config: Config,
    plan: StudyPlan | None,
    conditions: ConditionPlan | None,
    rest: RestPlan | None = None,
) -> int:
    """Print everything a participant-level call would do.

    Parameters
    ----------
    config : Config
    plan : StudyPlan or None
        Of the runs with music.
    conditions : ConditionPlan or None
        Where contrasts are given.
    rest : RestPlan or None
        Where a resting task is given.

    Returns
    -------
    int
        The exit code the call would have if nothing else failed: 1 where runs or ratings are
        skipped because of their files, events of trials cannot be used or somebody's music is too
        short, else 0.

    Raises
    ------
    MissingInputError
        If weights of a network are not there; after the plan was printed.
    """
    from bids_app.analyses.participant.foresee import check_weights, foresee, without_folds
    from bids_app.analyses.participant.plan import mask_record
    from bids_app.analyses.participant_level import ParticipantLevel
    from bids_app.analyses.ratings.plan import find_ratings
    from bids_app.surface.cortex import cortex_text

    if config.running.plugin_file is not None:
        from bids_app.workflows.running import choose_plugin

        choose_plugin(config.running)
    ratings = find_ratings(config, plan) if plan else None
    level = ParticipantLevel.of(config, plan, ratings, conditions, rest)
    problems = foresee(config, plan) if plan else {}
    costs = level.costs()
    mask = mask_record(config)
    parts = [_conditions_text(conditions)] if conditions else []
    if conditions and plan is None and conditions.study.skipped:
        parts.append(skipped_text(conditions.study.skipped))
    parts += [format_plan(plan)] if plan else []
    parts += [_layers_text(level)] if level.layers else []
    parts += [_joint_text(level)] if level.joint or config.joint.beyond != "none" else []
    parts += [_lags_text(config, plan)] if plan and config.lag_scan.features else []
    lines = [f"problem: sub-{who}: {text}" for who, own in problems.items() for text in own]
    faults = ratings.ratings.faults if ratings else ()
    lines += [f"problem: sub-{who}: {text}" for who, text in faults]
    unfit = without_folds(config, plan) if plan else {}
    lines += [f"warning: sub-{who}: {text}" for who, text in unfit.items()]
    parts += ["\n".join(lines)] if lines else []
    parts += [_ratings_text(plan, ratings)] if plan and ratings else []
    parts += [_rest_text(rest)] if rest else []
    parts.append(f"cortex: {cortex_text(mask)}")
    tell("\n\n".join([*parts, _costs_text(level, costs), _outputs_text(level)]))
    check_memory(costs, config.running.memory)
    if plan:
        check_weights(config)
    studies = [plan, *(one.study for one in (conditions, rest) if one)]
    faulty = bool(problems or faults or (conditions and conditions.faulty))
    return 1 if faulty or any(study and study.has_problems for study in studies) else 0


def show_group_plan(config: Config, plan: GroupPlan, conditions: ConditionGroup | None) -> int:
    """Print everything a group-level call would do.

    Parameters
    ----------
    config : Config
    plan : GroupPlan
        Of encoding models; empty where the folder has none.
    conditions : ConditionGroup or None
        Where the folder has maps of conditions.

    Returns
    -------
    int
        The exit code the call would have if nothing failed: 1 where a gradient is not there.
    """
    tree, statistics = OutputTree(config.output_dir), config.statistics
    parts = [_condition_group_text(conditions)] if conditions else []
    parts += [_group_models_text(config, plan, tree)] if plan.calls else []
    asked = {
        "gradients": statistics.gradients,
        "atlases": statistics.atlases,
        "networks": statistics.networks,
        "differences": statistics.differences,
    }
    lines = [f"{name}: {', '.join(given) or 'none'}" for name, given in asked.items()]
    lines += [plan.own.text] if plan.own else []
    without = plan.own.without if plan.own else {}
    lines += [f"  sub-{who} takes no part: {why}" for who, why in without.items()]
    lines += [f"warning: nothing is aligned with {one}: {why}" for one, why in plan.absent.items()]
    needed = max([*plan.memory.values(), *([conditions.memory] if conditions else [])], default=0)
    lines.append(f"memory of a step: {_size(needed)}")
    folder = config.running.work_dir or temporary_folder()
    responses = _size(max(plan.disk.values(), default=0))
    lines.append(
        f"disk of the work folder: {responses} for the responses of everybody; "
        f"{_size(free_bytes(folder))} are free at {folder}"
    )
    short = plan.short_of_disk(folder)
    lines += [f"warning: {short}"] if short else []
    models = [*(call.label for call in plan.calls), *([conditions.model] if conditions else [])]
    there = [one for one in models if tree.group_table("settings.json", model=one).is_file()]
    lines += [
        f"outputs in {tree.root}: group.html, group_desc-claims_summary.tsv, maps in tpl-*, tables "
        f"group_model-{_braces(models)}_*.tsv",
        *([f"results are there and are made anew: {', '.join(there)}"] if there else []),
    ]
    tell("\n\n".join([*parts, "\n".join(lines)]))
    return 1 if plan.absent else 0


def _group_models_text(config: Config, plan: GroupPlan, tree: OutputTree) -> str:
    """Who is in which model, what is done with it, and what is not."""
    from bids_app.analyses.registry import choose_analyses

    lines = []
    for number, call in enumerate(plan.calls):
        people = plan.people[call.model]
        lines.append(f"{told_label(call.label)}: {len(people)} participants: {_people(people)}")
        rows, notes = choose_analyses(
            tree, call.model, people, config, first=number == 0, others=call.others
        )
        lines.append(f"  analyses: {', '.join(row.name for row in rows)}")
        lines += [f"  not done: {note}" for note in notes]
    lines += [
        f"sub-{who} is left out: {reason}"
        for model in plan.people
        for who, reason in tree.left_out(model).items()
    ]
    return "\n".join(
        [
            *lines,
            *(
                f"warning: model-{model}: nothing is trained on the others' responses: {why}"
                for model, why in plan.no_others.items()
            ),
        ]
    )


def _condition_group_text(group: ConditionGroup) -> str:
    """Whose conditions are tested."""
    lines = [
        f"conditions: {len(group.participants)} participants: {_people(group.participants)}",
        f"  contrasts: {', '.join(group.contrasts.values())}",
    ]
    if group.ratings is not None:
        rated = [who for who in group.participants if who in group.ratings]
        lines.append(f"  rating difference: {len(rated)} participants: {_people(rated)}")
        lines += [f"  warning: {note}" for note in group.notes]
    return "\n".join(lines)


def _people(labels: Iterable[str]) -> str:
    return ", ".join(f"sub-{label}" for label in labels)


def _layers_text(level: ParticipantLevel) -> str:
    """What is fitted of each feature space, and where there is no layer preference."""
    from bids_app.analyses.participant.preference import preference_missing
    from bids_app.features.registry import find_space

    lines, config = [], level.config
    model = config.statistics.slope_model
    rows = {space.label: find_space(space.features) for space in config.model.spaces}
    for label, fitted in level.layers.items():
        order = f"order: {fitted.source}" if fitted.source else "nothing says their order"
        row = rows.get(label)
        weights = (row.weights or config.model.weights or "") if row and row.network else ""
        untrained = f"; NOT trained: {weights}" if weights.startswith("random:") else ""
        lines.append(f"model-{label}: {', '.join(fitted.names)} ({order}{untrained})")
        if reason := preference_missing(fitted.depth, model):
            lines.append(f"  warning: {reason}")
    return "\n".join(lines)


def _joint_text(level: ParticipantLevel) -> str:
    """Joint models, with what they take of the time of a participant."""
    lines = []
    for analysis, scope in level.done_for(level.scopes[0]):
        if analysis.desc in (JOINT_DESC, BEYOND_DESC):
            what = " + ".join(scope.layers) if analysis.joint else f"{len(scope.layers)} layers"
            lines.append(
                f"{analysis.name}: model-{scope.model}: {what}, "
                f"{level.config.joint.candidates} candidates, "
                f"{_minutes(analysis.cost(scope).seconds)} of processor time for each participant"
            )
    return "\n".join(lines)


def _lags_text(config: Config, plan: StudyPlan) -> str:
    """Features that are scanned, and pieces that are too short for it."""
    from bids_app.analyses.participant.lag_plan import LAGS, lag_atlases, lag_features, too_short

    lines = []
    lag_atlases(config)
    for feature in lag_features(config):
        feature.check(plan.stimuli)
        lines.append(
            f"lag scan: {feature.text}, lags of {LAGS[0]:g} to {LAGS[-1]:g} s, "
            f"{config.lag_scan.n_draws} draws"
        )
    lines += [f"  without {what}: {why}" for what, why in too_short(plan.runs).items()]
    return "\n".join(lines)


def _ratings_text(plan: StudyPlan, study: StudyRatings) -> str:
    """Whose ratings of what are there."""
    if study.reason:
        return f"ratings: {study.reason}"
    from bids_app.analyses.ratings.plan import heard_by, whose_ratings

    lines = [f"ratings: {study.source}; scales: {', '.join(study.scales)}"]
    heard = heard_by(plan)
    for scale, whose in whose_ratings(study, plan).items():
        lacking = {w: study.ratings.missing(w, heard[w], [scale]) for w in plan.participants}
        named = [f"sub-{w} lacks {', '.join(what)}" for w, what in lacking.items() if what]
        lines += [f"  {scale}: {whose}", *(f"    {text}" for text in named)]
    return "\n".join([*lines, *(f"warning: ratings: {text}" for text in study.ratings.notes)])


def _conditions_text(plan: ConditionPlan) -> str:
    """What would be done about conditions."""
    lines = [f"contrasts: {', '.join(plan.contrasts.values())}"]
    for name, region in (("seed", plan.seed), ("target", plan.target)):
        lines += [f"{name}: {region.text}"] if region else []
    for participant in plan.participants:
        runs = plan.runs_of(participant)
        lines.append(f"sub-{participant}: {len(runs)} runs with conditions")
    lines += [f"sub-{who} is left out: {why}" for who, why in plan.left_out.items()]
    lines += [f"{run} has no conditions: {why}" for run, why in plan.skipped.items()]
    lines += [f"warning: {text}" for text in plan.warnings]
    return "\n".join(lines)


def _rest_text(rest: RestPlan) -> str:
    """Which resting runs would be cleaned, and who has none."""
    from bids_app.analyses.participant.rest_runs import kept_volumes, too_short

    runs, people = rest.study.runs, rest.participants
    lines = [f"resting, for --gradient own: {len(runs)} runs of {len(people)} participants"]
    for run in runs:
        n_kept = len(kept_volumes(run))
        lines.append(f"{run.label}: {n_kept} of {run.n_volumes} volumes, TR {run.tr:g} s")
        lines += [f"  warning: {text}" for text in (*run.warnings, too_short(n_kept)) if text]
    lines += [f"sub-{who}: {why}" for who, why in rest.left_out.items()]
    lines += [skipped_text(rest.study.skipped)] if rest.study.skipped else []
    return "\n".join(lines)


def _costs_text(level: ParticipantLevel, costs: Estimate) -> str:
    running, people, cpus = level.config.running, len(level.scopes), cpu_limit()
    memory = memory_limit() if running.memory is None else Limit(running.memory, "--mem")
    n_procs, free = running.n_procs, free_bytes(level.config.output_dir)
    music = f"{_minutes(costs.feature_seconds)} for the music, " if level.layers else ""
    cache = f"{_size(costs.cache_bytes)} in the cache, " if level.layers else ""
    lines = [
        "estimates: memory to about a third, time and disk to a factor of 2 (features that are in "
        "the cache count as if they were not)",
        f"memory  {_size(costs.memory)} with --nprocs {n_procs}; "
        f"there are {format_bytes(memory.value)} ({memory.source})",
        f"time    {_minutes(costs.total_seconds)} in all: {music}"
        f"{_minutes(costs.participant_seconds)} for each participant, over {n_procs} of "
        f"{cpus.value} processors",
        f"disk    {_size(costs.total_bytes)} in all: {cache}"
        f"{_size(costs.participant_bytes)} for each of {people} participants; "
        f"{_size(free)} are free at {level.config.output_dir}",
    ]
    if level.config.model.save_weights and level.layers:
        lines.append(
            "saved models are not in it: 8 bytes x samples x vertices x (folds + 1) for each layer"
        )
    if costs.memory > memory.value:
        lines.append(
            "warning: this is more memory than there is; fewer participants are worked on at once"
        )
    if costs.total_bytes > free:
        lines.append("warning: this is more disk than is free; give an output folder elsewhere")
    return "\n".join(lines)


def _size(n_bytes: float) -> str:
    return format_bytes(int(n_bytes)) if n_bytes >= 1 << 30 else f"{n_bytes / (1 << 20):.0f} MiB"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _outputs_text(level: ParticipantLevel) -> str:
    """Names of everything the first participant gets."""
    first, root = level.scopes[0], level.config.output_dir
    complete = sum(map(level.is_there, level.scopes))
    text = (
        f"outputs below {root}, for example of sub-{first.participant} (a .json lies beside every "
        "map, table and file of weights; figures of the page are in sub-*/figures)"
    )
    if complete:
        text += f"\nthose of {complete} participants are there; redone only if something changed"
    names = folded(path.relative_to(root) for path in level.outputs(first))
    return "\n".join([text, *(f"  {name}" for name in names)])


def folded(paths: Iterable[Path]) -> list[str]:
    """Names of files that differ in one entity as one name, ``sub-01_hemi-{L,R}_...``."""
    rows = []
    for path in paths:
        stem, _, ending = path.name.rpartition("_")
        rows.append((path.parent, ending, parse_entities(Path(stem)) if stem else {}))
    for entity in ENTITY_ORDER:
        groups: dict[tuple[Any, ...], list[str]] = {}
        for folder, ending, entities in rows:
            rest = {name: value for name, value in entities.items() if name != entity}
            key = (folder, ending, tuple(rest.items()), entity in entities)
            groups.setdefault(key, []).append(entities.get(entity, ""))
        rows = [
            (folder, ending, dict(rest) | ({entity: _braces(values)} if there else {}))
            for (folder, ending, rest, there), values in groups.items()
        ]
    return [
        str(folder / "_".join(filter(None, [join_entities(entities), ending])))
        for folder, ending, entities in rows
    ]


def _braces(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{{{','.join(values)}}}"
