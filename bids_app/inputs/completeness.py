"""What becomes of participants who lack a stimulus that others have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bids_app.errors import InvalidInputError
from bids_app.inputs.records import BoldRun, SkippedRun


def apply_missing_policy(
    runs: Iterable[BoldRun],
    missing: str,
    *,
    others: Mapping[str, set[str]] | None = None,
    expected: Iterable[str] = (),
) -> tuple[list[BoldRun], list[SkippedRun], list[str]]:
    """Keep, drop or refuse participants without the full set of stimuli.

    The full set is what at least half of the participants heard, and what `expected` names.
    Held-out scores of a participant with fewer stimuli rest on other folds and are not comparable.

    Parameters
    ----------
    runs : iterable of BoldRun
    missing : {"skip", "error", "use"}
    others : mapping
        Labels heard by participants who are not part of this run, to count with.
    expected : iterable of str
        Labels that everybody is said to have heard.

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
    runs = list(runs)
    heard: dict[str, set[str]] = {}
    for run in runs:
        labels = heard.setdefault(run.participant, set())
        labels.update(presentation.stimulus for presentation in run.presentations)
    everybody = {**(others or {}), **heard}
    counts = Counter(label for labels in everybody.values() for label in labels)
    wanted = {label for label, count in counts.items() if 2 * count >= len(everybody)}
    wanted |= set(expected)
    lacking = {who: sorted(wanted - labels) for who, labels in heard.items() if wanted - labels}
    warnings = [
        f"stimulus {label} was heard by fewer than half of the participants"
        for label in sorted({label for labels in heard.values() for label in labels} - wanted)
    ]
    if not lacking:
        return runs, [], warnings
    lines = [f"sub-{who} lacks {', '.join(labels)}" for who, labels in sorted(lacking.items())]
    if missing == "use":
        return runs, [], [*warnings, *(f"{line}; kept (--missing use)" for line in lines)]
    if missing == "error" or len(lacking) == len(heard):
        raise InvalidInputError(
            "Participants lack a stimulus that others have."
            if missing == "error"
            else "Every participant lacks a stimulus that others have.",
            found="; ".join(lines[:10]) + ("; ..." if len(lines) > 10 else ""),
            wanted="the same stimuli for everybody: " + ", ".join(sorted(wanted)),
            remedy="leave the participants or the stimulus out, or give --missing use",
        )
    dropped = [
        SkippedRun(
            run.participant,
            run.session,
            run.task,
            run.run,
            f"the participant lacks {', '.join(lacking[run.participant])}, which others have "
            "(--missing use keeps such participants)",
            problem=False,
        )
        for run in runs
        if run.participant in lacking
    ]
    return [run for run in runs if run.participant not in lacking], dropped, warnings
