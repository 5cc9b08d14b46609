"""Participants of a group result that belongs to no single encoding model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app.analyses.group.collect import MIN_PARTICIPANTS
from bids_app.files import sha256_of, sha256_of_file


@dataclass(frozen=True, eq=False)
class Cohort:
    """Participants of a group result, and why others are left out.

    Attributes
    ----------
    model, space : str
        Model label of the result, and mesh of its maps.
    participants : list of str
    rows : list of dict
        Participant and checksum of its results.
    left_out : dict from str to str
        Participants, and parts of the result, that are left out, and why.
    """

    model: str
    space: str
    participants: list[str]
    rows: list[dict[str, Any]]
    left_out: dict[str, str]

    @classmethod
    def of(
        cls,
        model: str,
        space: str,
        participants: Sequence[str],
        files: Callable[[str], Iterable[Path]],
        left_out: dict[str, str],
    ) -> Cohort:
        """Of participants whose results are the files that `files` names, where they are there."""
        rows = [
            {
                "participant_id": f"sub-{who}",
                "sha256_left": sha256_of(*(sha256_of_file(p) for p in files(who) if p.is_file())),
            }
            for who in participants
        ]
        return cls(model, space, list(participants), rows, left_out)


def who_has(
    participants: Sequence[str], there: Iterable[str], part: str, result: str
) -> tuple[list[str], dict[str, str]]:
    """Participants who have a result, and why others are left out.

    Parameters
    ----------
    participants : sequence of str
    there : iterable of str
        Participants whose result is in the output folder.
    part : str
        Part of the group result that is made of it.
    result : str
        Noun for messages: ``lag scan``.

    Returns
    -------
    people : list of str
        Empty where fewer than `MIN_PARTICIPANTS` have it.
    left_out : dict from str to str
    """
    have = set(there)
    people = [who for who in participants if who in have]
    left_out = {
        f"sub-{who}, {part}": f"no {result} in the output folder"
        for who in participants
        if who not in have
    }
    if len(people) < MIN_PARTICIPANTS:
        return [], left_out | {part: "fewer than two participants have it"}
    return people, left_out
