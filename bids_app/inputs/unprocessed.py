"""Runs of the raw dataset of which fMRIPrep left nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from bids_app.inputs.names import entities_agree, parse_name, run_entities
from bids_app.inputs.sidecars import alike


def unprocessed_runs(
    raw_dir: Path, preprocessed: Iterable[Mapping[str, str]]
) -> list[dict[str, str]]:
    """Entities of raw BOLD of participants of whom other runs were preprocessed.

    A run whose labels are spelled otherwise in the raw dataset is preprocessed: that its events are
    not found is reported elsewhere.

    Parameters
    ----------
    raw_dir : Path
    preprocessed : iterable of mapping
        Entities of the runs that were.
    """
    of_participant: dict[str, list[dict[str, str]]] = defaultdict(list)
    for entities in preprocessed:
        of_participant[entities["sub"]].append(_without_rec(entities))
    result = []
    for who, known in of_participant.items():
        raw = _raw_runs(raw_dir / f"sub-{who}")
        strangers = [own for own in known if not any(_same(own, other) for other in raw)]
        result += [
            run
            for run in raw
            if not any(_same(run, other) for other in known)
            and not any(_spelled_otherwise(run, other) for other in strangers)
        ]
    return result


def _raw_runs(folder: Path) -> list[dict[str, str]]:
    paths = sorted([*folder.glob("func/*_bold.nii*"), *folder.glob("ses-*/func/*_bold.nii*")])
    runs = {tuple(_without_rec(parse_name(path).entities).items()) for path in paths}
    return [dict(run) for run in sorted(runs) if "task" in dict(run)]


def _without_rec(entities: Mapping[str, str]) -> dict[str, str]:
    return {key: label for key, label in run_entities(entities).items() if key != "rec"}


def _same(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    return len(first) == len(second) and entities_agree(first, second)


def _spelled_otherwise(raw: Mapping[str, str], other: Mapping[str, str]) -> bool:
    keys = (set(raw) & set(other)) - {"ses"}
    return all(alike(raw[key], other[key]) for key in keys)
