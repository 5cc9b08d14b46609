"""All claims of an output folder, corrected together: one table for the page, the log and the user.

One claim is primary and stands by itself: alignment of the residual slope with the principal
gradient, for the trained network, with participants' own weights. All other alignments (gradients,
models, the others' weights, curvature, the accuracy of single layers), and differences of models
or layers over the whole cortex, are corrected together, wherever in the folder they are: by the
largest ``|t|`` over shared flips of participants' signs, the largest ``|z|`` over shared phases of
the music and the largest ``|z|`` over rotations.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_rows
from bids_app.analyses.folder.write import write_table
from bids_app.analyses.group.candidates import (
    BEYOND_SLOPE,
    Candidate,
    alignments,
    beside_twins,
    beyond_low_level,
    differences,
)
from bids_app.analyses.group.claims_alone import Stated, followed, predicted, predicted_voxels
from bids_app.analyses.group.music_alignment import SLOPE
from bids_app.errors import MusencError
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import (
    MUSIC,
    PARTIAL,
    PEOPLE,
    PLACE,
    Claim,
    LevelTest,
    correct_together,
)
from bids_app.outputs import (
    ALIGNMENT_DESC,
    BEYOND_ALIGNMENT_DESC,
    CLAIMS_DESC,
    DIFFERENCE_DESC,
    TWINS_DESC,
    OutputTree,
    parse_entities,
    told_label,
)
from bids_app.report.claims import DIFFERENCE
from bids_app.report.sources import GroupFiles

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

SAME_PEOPLE_ALONE = (
    "the gradient is made from the same people, and the same is claimed with no independent "
    "gradient beside it (docs/gradient.md)"
)
"""Doubt about what is claimed with a gradient of the people whose maps are compared with it."""
T_TEST = "a two-sided t test"
SHARED_FLIPS = "two-sided sign flips shared by all of them (largest |t|)"
"""Tests over people, one per kind of claim."""
SAID = ("accuracy", SLOPE, DIFFERENCE, "lag of auditory cortex")
"""Measures whose sentences log and status tell whether they are claims or not."""


def collect_claims(root: Path) -> list[Stated]:
    """Every claim that the files of a folder allow to decide.

    Parameters
    ----------
    root : Path
        The output folder. A file that is damaged or of an earlier version costs the claims that
        need it, with a line in the log.

    Returns
    -------
    list of Stated
        Accuracy of each model and differences at single vertices, the primary claim, the rest.
    """
    stated: list[Stated] = []
    found: list[Candidate] = []
    for model in OutputTree(root).group_models():
        files = GroupFiles(root, model=model)
        try:
            stated += [*predicted(files), *predicted_voxels(files)]
            for label in files.tree.group_labels(model, ALIGNMENT_DESC):
                own = GroupFiles(root, model=model, gradient=label)
                same = _of_same_people(own)
                found += [
                    replace(one, same_people=same)
                    for one in (*alignments(own), *beside_twins(own), *beyond_low_level(own))
                ]
            for label in files.tree.group_labels(model, DIFFERENCE_DESC):
                vertices, whole = differences(files, label)
                stated.append(vertices)
                found.append(whole)
        except (MusencError, KeyError, ValueError, TypeError, AttributeError) as error:
            LOGGER.warning("group: claims about model-%s cannot be decided: %s", model, error)
    stated += followed(root)
    alone = [one for one in found if one.primary]
    others = [one for one in found if not one.primary]
    primary = [_stated(one, one.tests, "") for one in alone]
    return [*stated, *_beside_independent([*primary, *_corrected(others, beside=bool(alone))])]


def _of_same_people(files: GroupFiles) -> bool:
    """Whether a gradient is made from the people whose maps it is compared with."""
    record = files.alignment.get("gradient")
    return isinstance(record, Mapping) and "MadeFrom" in record


def _beside_independent(stated: Sequence[Stated]) -> list[Stated]:
    """Doubt what holds with a gradient of the same people alone, of each model and measure."""
    independent = {
        (one.model, one.measure) for one in stated if not one.same_people and one.decision.claimed
    }
    return [
        replace(one, claim=replace(one.claim, doubts=(*one.claim.doubts, SAME_PEOPLE_ALONE)))
        if one.same_people and (one.model, one.measure) not in independent
        else one
        for one in stated
    ]


def write_claims(root: Path) -> list[Path]:
    """The table of claims of a folder; no file where there is no claim."""
    stated = collect_claims(root)
    if not stated:
        return []
    tree = OutputTree(root)
    path = tree.group_table("summary.tsv", desc=CLAIMS_DESC)
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"Sources": [tree.uri(file) for file in _read_for_claims(tree)]}
    return write_table(path, CLAIM_COLUMNS, [_row(one) for one in stated], told)


def _read_for_claims(tree: OutputTree) -> list[Path]:
    """Files of the group that say what is claimed, and the tables that correct it; sorted."""
    named = (ALIGNMENT_DESC, "nulls", "musicnulls", TWINS_DESC, BEYOND_ALIGNMENT_DESC)
    tables = [
        path
        for path in tree.root.glob("group_model-*.tsv")
        if parse_entities(path).get("desc", "").startswith((*named, DIFFERENCE_DESC))
    ]
    return sorted([*tables, *tree.root.glob("group_model-*_settings.json")])


def told_claims(root: Path) -> list[str]:
    """What the table of claims says of accuracy, of every claim and of every residual slope."""
    path = OutputTree(root).group_table("summary.tsv", desc=CLAIMS_DESC)
    if not path.is_file():
        return []
    rows = read_rows(
        path, ("measure", "claimed", "sentence"), measure=str, claimed=str, sentence=str
    )
    shown = rows["measure"].str.startswith(SAID) | (rows["claimed"] == "True")
    return [str(sentence) for sentence in rows.loc[shown, "sentence"]]


def _corrected(found: Sequence[Candidate], *, beside: bool) -> list[Stated]:
    """Claims with each level corrected over all of them."""
    if not found:
        return []
    count = len(found)
    what = "alignments"
    if any(one.sentences for one in found):
        what += " and differences"
    family = f"{count} {what}{' beside the primary one' if beside else ' of this folder'}"
    people = _over_people(found)
    levels = {
        MUSIC: _over_draws(found, MUSIC, [one.music for one in found]),
        **{
            level: _over_draws(found, level, [one.spins.get(level) for one in found])
            for level in (PLACE, PARTIAL)
        },
    }
    stated = []
    for number, one in enumerate(found):
        tests = {**one.tests, PEOPLE: people[number]}
        for level, values in levels.items():
            if level in one.tests:
                tests[level] = replace(one.tests[level], p=float(values[number]))
        stated.append(_stated(one, tests, family if count > 1 else ""))
    return stated


def _over_people(found: Sequence[Candidate]) -> list[LevelTest]:
    """Sign flips shared by all claims, corrected by the largest ``|t|``."""
    columns = pd.concat([one.people for one in found], axis=1).to_numpy(dtype=np.float64)
    nothing = [LevelTest(PEOPLE, reason="fewer than two participants")] * len(found)
    if len(columns) < 2 or not np.isfinite(columns).sum(axis=0).max(initial=0) >= 2:
        return nothing
    first = found[0].flips
    result = sign_flip_max_t(
        columns,
        n_permutations=int(first["n_permutations"]),
        seed=int(first["random_seed"]),
        tail="two-sided",
        uncorrected=False,
        scale=[one.people_scale for one in found],
    )
    n = result.n_permutations
    smallest = 2 / n if result.exact else 1 / (1 + n)
    return [
        LevelTest(PEOPLE, float(p), float(t), n, smallest)
        for p, t in zip(result.p, result.t, strict=True)
    ]


def _over_draws(
    found: Sequence[Candidate], level: str, draws: Sequence[FloatArray | None]
) -> FloatArray:
    """P of a level corrected by the largest ``|z|`` over draws of the same number."""
    known = [number for number, one in enumerate(draws) if one is not None]
    p = np.full(len(found), np.nan)
    if not known:
        return p
    # Where refits were drawn instead there are fewer: the rest of the column is empty.
    length = min(int(np.isfinite(one).sum()) for one in draws if one is not None)
    stacked = np.stack([draws[number][:length] for number in known])  # type: ignore[index]
    observed = np.array(
        [found[k].tests[level].statistic if level in found[k].tests else np.nan for k in known]
    )
    p[known] = correct_together(observed, stacked)
    return p


def _stated(one: Candidate, tests: Mapping[str, LevelTest], family: str) -> Stated:
    holds, fails = one.said
    end = "high" if one.effect > 0 else "low"
    slope = one.measure in (SLOPE, BEYOND_SLOPE)
    detail = f"{told_label(one.model)}, mean correlation {one.effect:.3f}"
    planned, music = "", tests.get(MUSIC)
    if music is not None and music.tested and not one.sentences:
        # The effect is of ranks unless asked for otherwise, the statistic over music of values.
        planned = " in one planned test" if family else ""
        planned = f" (of the maps' values, where it is {music.statistic:.3g}){planned}"
    claim = Claim(
        one.kind,
        holds,
        fails,
        list(tests.values()),
        detail=f"mean difference r {one.effect:.4f}" if one.sentences else detail,
        direction=f", deeper layers toward its {end} end" if slope else "",
        unit=one.unit,
        planned=planned,
        doubts=one.doubts,
        family=family,
        caveats=one.caveats,
    )
    return Stated(
        one.model,
        one.gradient,
        one.measure,
        claim,
        one.primary,
        one.effect,
        T_TEST if one.primary else SHARED_FLIPS,
        one.same_people,
    )


def _row(one: Stated) -> dict[str, Any]:
    decision, known = one.decision, {test.level: test for test in one.claim.tests}
    nothing = LevelTest("")
    levels = {"people": PEOPLE, "music": MUSIC, "place": PLACE, "partial": PARTIAL}
    return {
        "model": one.model,
        "gradient": one.gradient,
        "measure": one.measure,
        "kind": one.claim.kind,
        "primary": one.primary,
        "claimed": decision.claimed,
        "effect": one.effect,
        **{f"p_{name}": known.get(level, nothing).p for name, level in levels.items()},
        **{
            f"smallest_{name}": known.get(level, nothing).smallest for name, level in levels.items()
        },
        "detectable": known.get(MUSIC, nothing).detectable,
        "failed": ", ".join(decision.failed),
        "impossible": ", ".join(decision.impossible),
        "untested": ", ".join(decision.untested),
        "family": one.claim.family,
        "test_people": one.over_people,
        "sentence": decision.sentence,
    }


CLAIM_COLUMNS = {
    "model": "model label; one that ends in +others has models trained on the others' responses",
    "gradient": "label of the gradient; empty for the principal one and for accuracy",
    "measure": "accuracy (of vertices, or of subcortical voxels), slope, curvature, slope beside "
    "untrained networks, slope of what layers add to low-level sound, the layer whose "
    "accuracy is compared with the gradient, a difference of models or layers (over the whole "
    "cortex, one of the family; or at vertices, each level corrected over them), or the lag of a "
    "region behind a feature",
    "kind": "predicted (needs people and music), aligned (people, music, place, place given "
    "accuracy), along (people, music, place), differs or follows (people and music)",
    "primary": "whether it is the claim that was declared beforehand, and not corrected",
    "claimed": "whether every level holds, all with one sign",
    "effect": "mean correlation with the gradient, group accuracy of the vertex that decides, "
    "difference of accuracies (r), there or over the cortex, or correlation at the lag of the "
    "others",
    "p_people": "over participants, corrected as `test_people` says",
    "p_music": "phases of the responses rotated alike in everybody: beyond chance agreement with "
    "the time course of these pieces (accuracy: q)",
    "p_place": "rotations of the gradient",
    "p_partial": "rotations of the gradient, given accuracy",
    **{
        f"smallest_{name}": f"smallest p that the test over {name} can give"
        for name in ("people", "music", "place", "partial")
    },
    "detectable": "smallest effect that music alone could have shown: 2.8 standard deviations of "
    "its null, in one planned test",
    "failed": "levels that do not hold",
    "impossible": "levels at which no result was possible",
    "untested": "levels without a test",
    "family": "what p was corrected over",
    "test_people": "the test over participants",
    "sentence": "what may be said",
}
