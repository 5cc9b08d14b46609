"""What becomes of participants who lack a stimulus that others have."""

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

MAX_OTHERS = 50
"""Participants whose events are looked at when others than they are analyzed."""


def apply_missing_policy(
    runs: Sequence[BoldRun],
    missing: str,
    *,
    others: Mapping[str, set[str]],
    expected: set[str],
    unusable: Sequence[str] = (),
) -> tuple[list[BoldRun], list[SkippedRun], list[str]]:
    """Keep, drop or refuse participants without the full set of stimuli.

    The full set is what at least half of the participants heard, and what `expected` names.
    Held-out scores of a participant with fewer stimuli rest on other folds and are not comparable.

    Parameters
    ----------
    runs : sequence of BoldRun
    missing : {"skip", "error", "use"}
    others : mapping
        Labels heard by participants who are not part of this run, to count with.
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
    everybody = {**others, **heard}
    counts = Counter(label for labels in everybody.values() for label in labels)
    wanted = {label for label, count in counts.items() if 2 * count >= len(everybody)}
    wanted |= expected
    lacking = {who: sorted(wanted - labels) for who, labels in heard.items() if wanted - labels}
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
            found="; ".join(lines[:10])
            + ("; ..." if len(lines) > 10 else "")
            + "".join(f"\n    {line}" for line in unusable[:10]),
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


def stimuli_of_others(
    raw_dir: Path, selection: Selection, stimuli: StimulusSet
) -> dict[str, set[str]]:
    """What participants who are not chosen heard, by their events.tsv files.

    One participant analyzed alone, as on a cluster, is thus held to the same set of stimuli as in
    a run over all. What cannot be read is passed over: it is the others' business.

    Parameters
    ----------
    raw_dir : Path
    selection : Selection
        With the participants chosen; sessions, tasks and runs apply to the others too.
    stimuli : StimulusSet
        Gives the labels.

    Returns
    -------
    dict of str to set of str
        Labels by participant, of at most `MAX_OTHERS`.
    """
    heard: dict[str, set[str]] = {}
    folders = [
        path
        for path in sorted(raw_dir.glob("sub-*"))
        if path.name.removeprefix("sub-") not in selection.participants
    ]
    for folder in folders[:MAX_OTHERS]:
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
