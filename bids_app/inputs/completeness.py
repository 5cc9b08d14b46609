"""Participants who lack a stimulus that others have (``--missing``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_app.config import Selection
from bids_app.errors import InvalidInputError, MusencError
from bids_app.inputs.files import content_problem
from bids_app.inputs.names import parse_name
from bids_app.inputs.presentations import StimulusSet
from bids_app.inputs.records import BoldRun, SkippedRun
from bids_app.inputs.selection import accepts, excludes
from bids_app.inputs.stimuli import rows_of_events
from bids_app.plain import some_of

MAX_OTHERS = 50
"""Participants whose events are looked at when others than they are analyzed."""


def apply_missing_policy(
    runs: Sequence[BoldRun],
    missing: str,
    *,
    events: Mapping[str, set[str]],
    expected: set[str],
    unusable: Sequence[str] = (),
) -> tuple[list[BoldRun], list[SkippedRun], list[str]]:
    """Keep, drop or refuse participants without the full set of stimuli.

    The full set is what at least half of the participants heard, by their events whether their
    runs can be used or not, and what `expected` names.
    Held-out scores of a participant with fewer stimuli rest on other folds and are not comparable.

    Parameters
    ----------
    runs : sequence of BoldRun
    missing : {"skip", "error", "use"}
    events : mapping
        Labels by participant that events name, of those who are not analyzed, too.
    expected : set of str
        Labels that everybody is said to have heard.
    unusable : sequence of str
        Runs that cannot be used, and why, which may be what somebody lacks.

    Returns
    -------
    kept : list of BoldRun
    dropped : list of SkippedRun
    warnings : list of str

    Raises
    ------
    InvalidInputError
        With ``"error"`` where somebody lacks a stimulus; with ``"skip"`` where nobody is left.
    """
    heard: dict[str, set[str]] = {}
    for run in runs:
        labels = heard.setdefault(run.participant, set())
        labels.update(presentation.stimulus for presentation in run.presentations)
    everybody = {who: events.get(who, set()) | heard.get(who, set()) for who in {*events, *heard}}
    counts = Counter(label for labels in everybody.values() for label in labels)
    wanted = {label for label, count in counts.items() if 2 * count >= len(everybody)}
    wanted |= expected
    # Of somebody who is alone in the dataset there are no others.
    full = wanted if len(everybody) > 1 else expected
    lacking = {who: sorted(full - labels) for who, labels in heard.items() if full - labels}
    warnings = [
        f"stimulus {label} was heard by fewer than half of the participants"
        for label in sorted({label for labels in heard.values() for label in labels} - wanted)
    ]
    if not lacking:
        return list(runs), [], warnings
    lines = [f"sub-{who} lacks {', '.join(labels)}" for who, labels in sorted(lacking.items())]
    if missing == "use":
        return list(runs), [], [*warnings, *(f"{line}; kept (--missing use)" for line in lines)]
    if missing == "error" or len(lacking) == len(heard):
        raise InvalidInputError(
            "Participants lack a stimulus that others have."
            if missing == "error"
            else "Every participant lacks a stimulus that others have.",
            found=some_of(lines, between="; ")
            + some_of((f"\n    {line}" for line in unusable), between=""),
            wanted="the same stimuli for everybody: " + ", ".join(sorted(wanted)),
            remedy="leave the participants or the stimulus out, or give --missing use",
        )
    dropped = [
        SkippedRun(
            run.entities,
            f"the participant lacks {', '.join(lacking[run.participant])}, which others have "
            "(--missing use keeps such participants)",
            problem=False,
        )
        for run in runs
        if run.participant in lacking
    ]
    return [run for run in runs if run.participant not in lacking], dropped, warnings


def stimuli_of_events(
    raw_dir: Path, selection: Selection, stimuli: StimulusSet
) -> dict[str, set[str]]:
    """What participants heard, chosen or not, by their events.tsv files.

    One participant analyzed alone, as on a cluster, is thus held to the same set of stimuli as in
    a run over all. What cannot be read is passed over: it is reported elsewhere.

    Parameters
    ----------
    raw_dir : Path
    selection : Selection
        Its sessions, tasks and runs; its participants come first.
    stimuli : StimulusSet
        Gives the labels.

    Returns
    -------
    dict of str to set of str
        Labels by participant, of at most `MAX_OTHERS` who are not chosen.
    """
    heard: dict[str, set[str]] = {}
    there = sorted(raw_dir.glob("sub-*"))
    chosen = [p for p in there if p.name.removeprefix("sub-") in selection.participants]
    others = [path for path in there if path not in chosen]
    for folder in (*chosen, *others[:MAX_OTHERS]):
        files = [*folder.glob("func/*_events.tsv"), *folder.glob("ses-*/func/*_events.tsv")]
        labels = set()
        for path in sorted(files):
            entities = parse_name(path).entities
            if not accepts(selection, entities) or excludes(selection, entities):
                continue
            try:
                rows = [] if content_problem(path) else rows_of_events(path, raw_dir)
                labels |= {
                    stimuli.add(row.path, row.where).label
                    for row in rows
                    if not content_problem(row.path)
                }
            except MusencError:
                continue
        if labels:
            heard[folder.name.removeprefix("sub-")] = labels
    return heard
