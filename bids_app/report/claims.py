"""What the group page says is claimed: read from the table of claims, which one rule decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_app.errors import LEVEL_AGAIN, MissingInputError
from bids_app.group.claims import LEVELS, MUSIC, PARTIAL, PEOPLE, PLACE, holds
from bids_app.outputs import CLAIMS_DESC
from bids_app.report.page import Block, Facts, Table, Text, Verdict, number
from bids_app.report.sources import GroupFiles, Rows, to_float
from bids_app.statistics import p_number

DIFFERENCE = "difference"
"""Start of the measures that are differences of models or layers; no gradient is behind them."""
ACCURACY_OF_VOXELS = "accuracy of subcortical voxels"
COLUMN_OF = {PEOPLE: "p_people", MUSIC: "p_music", PLACE: "p_place", PARTIAL: "p_partial"}
_WORDS = {
    "people": "other listeners would show it",
    "music": "it is beyond chance agreement with the time course of these pieces; whether other"
    " pieces would show it takes more pieces",
    "place": "no other map of this smoothness would do as well",
    "deciding vertex": "accuracy is decided where people and music are strongest together: at the"
    " layer and vertex whose larger p of both is smallest (among equal ones, the largest t); the"
    " highest accuracy may be elsewhere",
    "primary": "one claim: the residual slope against the principal gradient, for the trained"
    " network; p of all other alignments, and of differences over the whole cortex, are corrected"
    " together",
    "detectable": "what music alone could have shown in one planned test (2.8 standard deviations"
    " of its null; of accuracy, at the deciding vertex, had it been chosen beforehand); p in the"
    " table are corrected, so an effect above it need not pass; of an alignment it belongs to the"
    " correlation of the maps' values, which the sentence gives, the effect is of ranks",
}
"""What the table of claims says, in its own words."""
_SMALLEST = {level: name.replace("p_", "smallest_") for level, name in COLUMN_OF.items()}


def claim_rows(files: GroupFiles) -> Rows:
    """Claims about the model of `files`.

    Raises
    ------
    MissingInputError
        If nothing was decided.
    """
    own = [row for row in all_claims(files) if row["model"] == files.model]
    if not own:
        raise MissingInputError(
            "Nothing was decided about people, music and place; run the group level again",
            where=files.name(_path(files)),
            remedy=LEVEL_AGAIN,
        )
    return own


def all_claims(files: GroupFiles) -> Rows:
    """Claims about all models of the folder; none where nothing was decided."""
    path = _path(files)
    return files.cells(path)[1] if path.is_file() else []


def claim_verdict(files: GroupFiles, measure: str, gradient: str = "") -> Block:
    """What may be said about accuracy (`measure` ``accuracy``) or one gradient."""
    found = claims_about(files, measure, gradient)
    if not found:
        raise MissingInputError(
            "Nothing was decided about it; ask for it again",
            where=f"{measure} {gradient}".strip(),
            remedy=LEVEL_AGAIN,
        )
    return found[0]


def claims_about(files: GroupFiles, measure: str, gradient: str = "") -> list[Block]:
    """The same, empty where nothing was decided."""
    return [
        verdict_of(row)
        for row in claim_rows(files)
        if (row["measure"], _label(row["gradient"])) == (measure, gradient)
    ]


def verdict_of(row: dict[str, str]) -> Verdict:
    """A sentence, green only where it is a claim."""
    return Verdict(row["sentence"], "good" if is_claimed(row) else "warning")


def is_claimed(row: dict[str, str]) -> bool:
    """Whether a row is a claim: by the table, and by every p that its kind needs."""
    levels = LEVELS.get(row["kind"], ())
    p = [to_float(row[COLUMN_OF[level]]) for level in levels]
    return row["claimed"] == "True" and bool(p) and bool(holds(*p))


def claims_blocks(files: GroupFiles) -> Sequence[Block]:
    """Claims about a model, people, music and place side by side; layers only where claimed."""
    every = claim_rows(files)
    rows = [row for row in every if row["kind"] != "along" or is_claimed(row)]
    body = [
        [
            _named(row),
            number(to_float(row["effect"])),
            *(_p(row, level) for level in COLUMN_OF),
            number(to_float(row["detectable"])),
            ("claimed" if is_claimed(row) else f"no: {row['failed'] or 'see its sentence'}")
            + (" (primary)" if row["primary"] == "True" else ""),
        ]
        for row in rows
    ]
    return [
        Table(
            "Claims: each needs every level that it has a p for, all with one sign",
            ["what", "effect", *(f"p, {level}" for level in COLUMN_OF), "detectable", "claimed"],
            body,
            numeric=range(1, 7),
        ),
        Facts(list(_WORDS.items())),
        *(
            [
                Text(
                    f"{len(every) - len(rows)} layers whose accuracy is not claimed to run along a"
                    f" gradient are in {files.name(_path(files))} only."
                )
            ]
            if len(every) > len(rows)
            else []
        ),
    ]


def _path(files: GroupFiles) -> Path:
    return files.tree.group_table("summary.tsv", desc=CLAIMS_DESC)


def _named(row: dict[str, str]) -> str:
    if row["measure"] == "accuracy":
        return "accuracy, deciding vertex"
    if row["measure"] == ACCURACY_OF_VOXELS:
        return "accuracy, deciding subcortical voxel"
    if row["measure"].startswith(DIFFERENCE):
        return row["measure"]
    return f"{row['measure']} and {_label(row['gradient']) or 'the principal gradient'}"


def _label(text: str) -> str:
    """A label; the empty one is written as n/a."""
    return "" if text in ("", "n/a") else text


def _p(row: dict[str, str], level: str) -> str:
    if level not in LEVELS.get(row["kind"], ()):
        return ""
    p = to_float(row[COLUMN_OF[level]])
    if level in row["untested"].split(", "):
        return "not tested"
    if level in row["impossible"].split(", "):
        return f"{p_number(p)} (none below {p_number(to_float(row[_SMALLEST[level]]))} possible)"
    return p_number(p)
