"""``--dry-run``: the plan, what it will cost, and what it will leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bids_app.config import Config
from bids_app.inputs.estimate import Estimate, check_memory
from bids_app.inputs.plan_text import format_plan
from bids_app.inputs.records import StudyPlan
from bids_app.limits import Limit, cpu_limit, format_bytes, memory_limit
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree, safe_label

if TYPE_CHECKING:
    from bids_app.analyses.conditions.plan import ConditionPlan
    from bids_app.analyses.ratings.plan import StudyRatings


def show_plan(config: Config, plan: StudyPlan) -> int:
    """Print everything a participant-level call would do.

    Returns
    -------
    int
        The exit code the call would have if nothing failed: 1 where runs are skipped because of
        their files, else 0.
    """
    from bids_app.analyses.participant.plan import costs_of
    from bids_app.analyses.ratings.plan import find_ratings

    ratings = find_ratings(config, plan)
    costs = costs_of(config, plan)
    parts = [
        format_plan(plan),
        _ratings_text(plan, ratings),
        _costs_text(config, plan, costs),
        _outputs(config, plan, ratings),
    ]
    print("\n\n".join(parts))
    check_memory(costs, config.running.memory)
    return 1 if plan.has_problems else 0


def _ratings_text(plan: StudyPlan, study: StudyRatings) -> str:
    """Whose ratings of what are there."""
    if study.reason:
        return f"ratings: nothing is done: {study.reason}"
    lines = [f"ratings: {study.source}"]
    heard = {
        who: sorted(
            {p.stimulus for r in plan.runs if r.participant == who for p in r.presentations}
        )
        for who in plan.participants
    }
    for scale in study.scales:
        lacking = {w: study.ratings.missing(w, heard[w], [scale]) for w in plan.participants}
        named = [f"sub-{w} lacks {', '.join(what)}" for w, what in lacking.items() if what]
        n_complete = len(plan.participants) - len(named)
        complete = f"  {scale}: {n_complete} of {len(plan.participants)} participants"
        lines += [complete, *(f"    {text}" for text in named)]
    return "\n".join(lines)


def show_conditions(plan: ConditionPlan) -> str:
    """What would be done about conditions."""
    lines = [f"contrasts: {', '.join(plan.contrasts.values())}"]
    for name, region in (("seed", plan.seed), ("target", plan.target)):
        lines += [f"{name}: {region.text}"] if region else []
    for participant in plan.participants:
        runs = plan.runs_of(participant)
        lines.append(f"sub-{participant}: {len(runs)} runs with conditions")
    lines += [f"sub-{who} is left out: {why}" for who, why in plan.left_out.items()]
    lines += [f"{run} has no conditions: {why}" for run, why in plan.skipped.items()]
    return "\n".join(lines)


def _costs_text(config: Config, plan: StudyPlan, costs: Estimate) -> str:
    given, cpus = config.running.memory, cpu_limit()
    memory = memory_limit() if given is None else Limit(given, "--mem")
    n_procs, people = config.running.n_procs, len(plan.participants)
    lines = [
        "estimates, good to about a factor of 2 (features not yet in the cache)",
        f"memory  {_size(costs.memory)} with --nprocs {n_procs}; "
        f"there are {format_bytes(memory.value)} ({memory.source})",
        f"time    {_minutes(costs.total_seconds)} in all: {_minutes(costs.feature_seconds)} for "
        f"the music, {_minutes(costs.participant_seconds)} for each participant, over {n_procs} of "
        f"{cpus.value} processors",
        f"disk    {_size(costs.total_bytes)} in all: {_size(costs.cache_bytes)} in "
        f"the cache, {_size(costs.participant_bytes)} for each of {people} participants",
    ]
    if costs.memory > memory.value:
        lines.append(
            "warning: this is more memory than there is; fewer participants are worked on at once"
        )
    return "\n".join(lines)


def _size(n_bytes: float) -> str:
    return format_bytes(int(n_bytes)) if n_bytes >= 1 << 30 else f"{n_bytes / (1 << 20):.0f} MiB"


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _outputs(config: Config, plan: StudyPlan, ratings: StudyRatings) -> str:
    """Names of everything the first participant gets."""
    tree, space = OutputTree(config.output_dir), config.cleaning.space
    models = [space.label for space in config.model.spaces]
    complete = set(plan.participants).intersection(*map(tree.participants_of, models))
    who = plan.participants[0]
    runs = [run for run in plan.runs if run.participant == who]
    heard = [p.stimulus for run in runs for p in run.presentations]
    labels = [safe_label(label) for label in dict.fromkeys(heard)]
    stimuli = labels[0] if len(labels) == 1 else f"{{{','.join(labels)}}}"
    repeats = {"run": "*"} if len(heard) > len(labels) else {}

    def map_name(stat: str, **entities: str) -> str:
        path = tree.participant_map(who, "{L,R}", space, model=models[0], stat=stat, **entities)
        return str(path.relative_to(tree.root))

    bold = tree.participant_bold(who, "{L,R}", space, stim=stimuli, **repeats)
    tables = [
        tree.runs_summary(who),
        tree.design(who),
        tree.lag_curves(who),
        *(tree.model_summary(who, model) for model in models),
        *(tree.participant_settings(who, model) for model in models),
        tree.participant_report(who),
    ]
    names = [
        map_name("{r,z,p,q}"),
        map_name("{r,alpha}", stim=stimuli),
        map_name("{slope,centroid,argmax,max}", desc="layerpref"),
        str(bold.relative_to(tree.root)),
        *(str(path.relative_to(tree.root)) for path in tables),
    ]
    stimuli_heard = list(dict.fromkeys(heard))
    if not ratings.reason and ratings.checksum(who, stimuli_heard):
        names += _rating_outputs(config, tree, who, ratings)
    text = f"outputs below {tree.root}, for example of sub-{who} (maps with a .json beside each)"
    if complete:
        text += (
            f"\nmaps of {len(complete)} participants are there; redone only if something changed"
        )
    return "\n".join([text, *(f"  {name}" for name in names)])


def _rating_outputs(config: Config, tree: OutputTree, who: str, study: StudyRatings) -> list[str]:
    """Names of what ratings give, if none is missing."""
    scales = ",".join(safe_label(scale) for scale in study.scales)
    windows = ["delays", "precedes", "follows"] if config.emotion.hrf == "fir" else [""]

    def maps(stat: str, **entities: str) -> Path:
        return tree.participant_map(
            who, "{L,R}", config.cleaning.space, model=EMOTION_LABEL, stat=stat, **entities
        )

    paths = [
        *(maps("{effect,t,z}", feature=f"{{{scales}}}", desc=window) for window in windows),
        maps("{r,z,p,q}", desc="{past,future}"),
        tree.rating_runs(who),
        tree.participant_settings(who, EMOTION_LABEL),
    ]
    for space in config.model.spaces:
        paths.append(tree.scores(who, space.label, "{ratings,changes}"))
        paths.append(tree.participant_settings(who, space.label, RATINGS_DESC))
    return [str(path.relative_to(tree.root)) for path in paths]
