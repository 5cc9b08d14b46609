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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_record, read_rows
from bids_app.analyses.folder.write import write_table
from bids_app.analyses.group.lag_tests import lag_claim
from bids_app.analyses.group.music_alignment import CURVATURE, SLOPE
from bids_app.config import DEFAULT_FEATURES
from bids_app.errors import MusencError
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import (
    MUSIC,
    PARTIAL,
    PEOPLE,
    PLACE,
    Claim,
    Decision,
    LevelTest,
    correct_together,
    decide,
)
from bids_app.inputs.tables import read_frame
from bids_app.outputs import (
    ALIGNMENT_DESC,
    BEYOND_ALIGNMENT_DESC,
    CLAIMS_DESC,
    DIFFERENCE_DESC,
    LAG_SCAN_LABEL,
    TWINS_DESC,
    OutputTree,
    fitted_label,
    has_others_weights,
    labeled,
    told_label,
)
from bids_app.report.analyses import outdated
from bids_app.report.claims import ACCURACY_OF_VOXELS, DIFFERENCE
from bids_app.report.controls import control_banner
from bids_app.report.sources import GroupFiles
from bids_app.surface.subcortex import LABEL as SUBCORTEX_LABEL

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

UNTRAINED = "slope beside untrained"
"""Measure: alignment of the slope, minus that of untrained networks of the same shape."""
BEYOND_SLOPE = "slope beyond low-level"
"""Measure: alignment of the slope of what the layers add to low-level sound."""
UNMEASURED = "how often this is said of nothing has not been measured enough (docs/models.md)"
"""Doubt about a measure that is shown and not claimed yet."""
SAME_PEOPLE_ALONE = (
    "the gradient is made from the same people, and the same is claimed with no independent "
    "gradient beside it (docs/gradient.md)"
)
"""Doubt about what is claimed with a gradient of the people whose maps are compared with it."""
FLIPS_OF_MAPS = "one-sided sign flips (largest t over layers and vertices)"
FLIPS_OF_VOXELS = "one-sided sign flips (largest t over layers and voxels)"
FLIPS_OF_DIFFERENCES = "two-sided sign flips (largest |t| over vertices)"
FLIPS_OF_LAGS = "two-sided sign flips (largest |t| over regions and features)"
T_TEST = "a two-sided t test"
SHARED_FLIPS = "two-sided sign flips shared by all of them (largest |t|)"
"""Tests over people, one per kind of claim."""
SAID = ("accuracy", SLOPE, DIFFERENCE, "lag of auditory cortex")
"""Measures whose sentences log and status tell whether they are claims or not."""
MASKS = {
    "cortex": "Too few vertices are predicted for a mask of their own: the whole cortex stands in.",
    "people": "The mask of vertices was tested over people alone, since nothing was tested over"
    " music.",
}


@dataclass(frozen=True)
class Stated:
    """A claim of the folder, and what is decided about it.

    Attributes
    ----------
    model, gradient, measure : str
        What it is about: label of the gradient (empty for the principal one), and ``accuracy``,
        ``slope``, ``curvature`` or the name of a layer.
    claim : Claim
    primary : bool
    effect : float
        What is displayed: mean correlation, or accuracy of the best vertex.
    over_people : str
        The test over people.
    same_people : bool
        Whether the gradient is made from the people whose maps it is compared with.
    """

    model: str
    gradient: str
    measure: str
    claim: Claim
    primary: bool
    effect: float
    over_people: str
    same_people: bool = False

    @property
    def decision(self) -> Decision:
        """What is decided."""
        return decide(self.claim)


@dataclass(frozen=True)
class _Candidate:
    """An alignment with its tests as computed, and the draws that correct them."""

    model: str
    gradient: str
    measure: str
    kind: str
    effect: float
    tests: Mapping[str, LevelTest]
    people: pd.Series
    music: FloatArray | None
    spins: Mapping[str, FloatArray]
    primary: bool
    doubts: Sequence[str]
    caveats: Sequence[str]
    flips: Mapping[str, Any]
    people_scale: float = 1.0
    sentences: tuple[str, str] | None = None
    unit: str = "a mean correlation of"
    same_people: bool = False


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
    predicted: list[Stated] = []
    found: list[_Candidate] = []
    for model in OutputTree(root).group_models():
        files = GroupFiles(root, model=model)
        try:
            predicted += [*_predicted(files), *_predicted_voxels(files)]
            for label in files.tree.group_labels(model, ALIGNMENT_DESC):
                own = GroupFiles(root, model=model, gradient=label)
                same = _of_same_people(own)
                found += [
                    replace(one, same_people=same)
                    for one in (*_candidates(own), *_beside_twins(own), *_beyond(own))
                ]
            for label in files.tree.group_labels(model, DIFFERENCE_DESC):
                vertices, whole = _differences(files, label)
                predicted.append(vertices)
                found.append(whole)
        except (MusencError, KeyError, ValueError, TypeError, AttributeError) as error:
            LOGGER.warning("group: claims about model-%s cannot be decided: %s", model, error)
    predicted += _followed(root)
    alone = [one for one in found if one.primary]
    others = [one for one in found if not one.primary]
    primary = [_stated(one, one.tests, "") for one in alone]
    return [*predicted, *_beside_independent([*primary, *_corrected(others, beside=bool(alone))])]


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
    path = OutputTree(root).group_table("summary.tsv", desc=CLAIMS_DESC)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_table(path, CLAIM_COLUMNS, [_row(one) for one in stated])


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


def _predicted(files: GroupFiles) -> list[Stated]:
    """Whether some layer predicts some vertex, decided where both levels are strongest."""
    told = files.settings.get("Predicted")
    if not isinstance(told, Mapping) or not told:
        return []
    return [_stated_prediction(files, told, "accuracy", "vertex", "vertices")]


def _predicted_voxels(files: GroupFiles) -> list[Stated]:
    """The same of subcortical voxels; nothing of an earlier result of other participants."""
    path = files.tree.group_table("settings.json", model=files.model, desc=SUBCORTEX_LABEL)
    content = read_record(path) if path.is_file() else {}
    told = content.get("Predicted")
    of_others = set(content.get("Participants", ())) != set(files.settings.get("Participants", ()))
    if not isinstance(told, Mapping) or not told or of_others:
        return []
    nouns = "subcortical voxel", "subcortical voxels"
    found = _stated_prediction(files, told, ACCURACY_OF_VOXELS, *nouns)
    return [replace(found, over_people=FLIPS_OF_VOXELS)]


def _stated_prediction(
    files: GroupFiles, told: Mapping[str, Any], measure: str, one: str, many: str
) -> Stated:
    """That some place is predicted, with the tests of the place that decides."""
    tests = [LevelTest.of(test) for test in told["Tests"]]
    count = int(told["Vertices"])
    model = told_label(files.model)
    claim = Claim(
        "predicted",
        f"{count or 'any'} {one if count < 2 else many} of {model} "
        f"{'is' if count < 2 else 'are'} predicted",
        f"No {one} of {model} is predicted",
        tests,
        unit="an accuracy (r) of",
        planned=f" at the deciding {one.split()[-1]}, had it been chosen beforehand",
        caveats=[*told.get("Caveats", ()), *_other_people(files)],
    )
    return Stated(files.model, "", measure, claim, False, float(told["Effect"]), FLIPS_OF_MAPS)


def _followed(root: Path) -> list[Stated]:
    """Lags of auditory cortex, and of regions where they hold, corrected over regions and features.

    They are a family of their own: their draws are of scans, not of models.
    """
    path = OutputTree(root).group_table("settings.json", model=LAG_SCAN_LABEL)
    if not path.is_file():
        return []
    try:
        return [
            Stated(
                LAG_SCAN_LABEL,
                "",
                f"lag of {told['region']} behind {told['feature']}",
                lag_claim(told),
                False,
                float(told["r"]),
                FLIPS_OF_LAGS,
            )
            for told in read_record(path, Claims=list)["Claims"]
        ]
    except (MusencError, KeyError, ValueError, TypeError) as error:
        LOGGER.warning("group: claims about lags cannot be decided: %s", error)
        return []


def _candidates(files: GroupFiles) -> list[_Candidate]:
    """Slope, curvature and every layer against one gradient."""
    group = files.alignment
    if "tests" not in group:
        LOGGER.warning(
            "group: the alignment with %s is of an earlier version and nothing is claimed of it; "
            "ask for it again",
            files.gradient or "the principal gradient",
        )
        return []
    desc = files.of_gradient
    people = _frame(files, "statmap.tsv", desc(ALIGNMENT_DESC)).set_index("participant_id")
    spins = _frame(files, ".tsv", desc("nulls"))
    music = _frame(files, ".tsv", desc("musicnulls"))
    settings = files.settings.get("Settings", {})
    caveats = [MASKS[group["mask"]]] if group.get("mask") in MASKS else []
    if stale := outdated(files, files.analysis(labeled(ALIGNMENT_DESC, files.gradient))):
        caveats.append(stale)
    caveats += _other_people(files)
    found = []
    for measure, told in group["tests"].items():
        own = measure in (SLOPE, CURVATURE)
        statistic = told["statistic"]
        draws = music[measure].to_numpy(dtype=np.float64) if measure in music else None
        names = {PLACE: told["spins"], **({PARTIAL: told["spins_partial"]} if own else {})}
        found.append(
            _Candidate(
                files.model,
                files.gradient,
                told.get("name", measure),
                "aligned" if own else "along",
                float(statistic),
                {one["level"]: LevelTest.of(one) for one in told["tests"]},
                people[told["people"]],
                draws,
                {level: spins[name].to_numpy() for level, name in names.items() if name in spins},
                measure == SLOPE and is_primary(files),
                [str(told["doubt"])] if told.get("doubt") else [],
                caveats,
                settings,
                float(group.get("people_scale", 1.0)),
            )
        )
    return found


def _beside_twins(files: GroupFiles) -> list[_Candidate]:
    """The slope's alignment beside that of untrained networks of the same shape."""
    desc = files.of_gradient
    path = files.file("statmap.json", desc=desc(TWINS_DESC))
    if not path.is_file():
        return []
    group = read_record(path, Group=dict)["Group"]
    music = _frame(files, ".tsv", desc(f"{TWINS_DESC}music"))
    stale = outdated(files, files.analysis(desc(TWINS_DESC)))
    return [
        _Candidate(
            files.model,
            files.gradient,
            UNTRAINED,
            "differs",
            float(group["statistic"]),
            {one["level"]: LevelTest.of(one) for one in group["tests"]},
            _frame(files, "statmap.tsv", desc(TWINS_DESC)).set_index("participant_id")[
                "difference"
            ],
            music["difference"].to_numpy(dtype=np.float64) if len(music) else None,
            {},
            False,
            [],
            [
                f"The trained network is compared with {len(group['twins'])} untrained"
                f" {'one' if len(group['twins']) == 1 else 'ones'}.",
                *([stale] if stale else []),
            ],
            files.settings.get("Settings", {}),
        )
    ]


def _beyond(files: GroupFiles) -> list[_Candidate]:
    """The alignment of what the layers add to low-level sound."""
    desc = files.of_gradient(BEYOND_ALIGNMENT_DESC)
    path = files.file("statmap.json", desc=desc)
    if not path.is_file():
        return []
    group = read_record(path, Group=dict)["Group"]
    start = BEYOND_ALIGNMENT_DESC
    spins = _frame(files, ".tsv", files.of_gradient(f"{start}nulls"))
    music = _frame(files, ".tsv", files.of_gradient(f"{start}music"))
    names = {PLACE: "statistic", PARTIAL: "statistic_partial"}
    stale = outdated(files, files.analysis(desc))
    return [
        _Candidate(
            files.model,
            files.gradient,
            BEYOND_SLOPE,
            "aligned",
            float(group["rho_mean"]),
            {one["level"]: LevelTest.of(one) for one in group["tests"]},
            _frame(files, "statmap.tsv", desc).set_index("participant_id")["z"],
            music["slope"].to_numpy(dtype=np.float64) if len(music) else None,
            {level: spins[name].to_numpy() for level, name in names.items() if name in spins},
            False,
            [*([str(group["doubt"])] if group.get("doubt") else []), UNMEASURED],
            [
                *([MASKS[group["mask"]]] if group.get("mask") in MASKS else []),
                *([stale] if stale else []),
            ],
            files.settings.get("Settings", {}),
        )
    ]


def _differences(files: GroupFiles, label: str) -> tuple[Stated, _Candidate]:
    """A difference of models or layers: some vertex, and the mean over the cortex."""
    desc = labeled(DIFFERENCE_DESC, label)
    group = read_record(files.file("statmap.json", desc=desc), Group=dict)["Group"]
    first, second, text = (str(group[name]) for name in ("first", "second", "text"))
    stale = outdated(files, files.analysis(desc))
    caveats = [stale] if stale else []
    better, worse = (int(one) for one in group["vertices"])
    tests = [LevelTest.of(one) for one in group["vertex_tests"]]
    vertices = Claim(
        "differs",
        f"{better} vertices are predicted better by {first}, {worse} by {second}"
        if better or worse
        else f"any vertex is predicted better by one of {first} and {second} than by the other",
        f"No vertex is predicted better by one of {first} and {second} than by the other",
        tests,
        unit="a difference (r, deciding vertex) of",
        caveats=caveats,
    )
    effect = float(group["statistic"])
    names = (first, second) if effect > 0 else (second, first)
    music = _frame(files, ".tsv", labeled(f"{DIFFERENCE_DESC}music", label))
    whole = _Candidate(
        files.model,
        "",
        f"{DIFFERENCE} {text}",
        "differs",
        effect,
        {one["level"]: LevelTest.of(one) for one in group["tests"]},
        _frame(files, "statmap.tsv", desc).set_index("participant_id")["difference"],
        music["difference"].to_numpy(dtype=np.float64) if len(music) else None,
        {},
        False,
        [],
        caveats,
        files.settings.get("Settings", {}),
        sentences=(
            f"Over the whole cortex {names[0]} predicts better than {names[1]}",
            f"No difference over the whole cortex between {first} and {second} shown",
        ),
        unit="a mean difference (r) of",
    )
    measure, size = f"{DIFFERENCE} {text}, vertices", float(group["vertex_effect"])
    return (
        Stated(files.model, "", measure, vertices, False, size, FLIPS_OF_DIFFERENCES),
        whole,
    )


def _other_people(files: GroupFiles) -> list[str]:
    """That results with the others' weights are not of those with own weights, and of whom."""
    if not has_others_weights(files.model):
        return []
    path = files.tree.group_table("settings.json", model=fitted_label(files.model))
    own = files.json(path).get("Participants", []) if path.is_file() else []
    here = files.settings.get("Participants", [])
    told = [
        f"{how} {', '.join(sorted(labels))}"
        for how, labels in (("without", set(own) - set(here)), ("with", set(here) - set(own)))
        if own and labels
    ]
    if not told:
        return []
    return [f"With the others' weights it is not of the same participants: {' and '.join(told)}."]


def is_primary(files: GroupFiles) -> bool:
    """Whether the residual slope of this model and gradient is the claim declared beforehand.

    The principal gradient and a trained VGGish with participants' own weights: results with the
    others' weights have a label of their own.
    """
    trained = not control_banner(files.root, [files.model])
    return not files.gradient and files.model == DEFAULT_FEATURES and trained


def _corrected(found: Sequence[_Candidate], *, beside: bool) -> list[Stated]:
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


def _over_people(found: Sequence[_Candidate]) -> list[LevelTest]:
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
    found: Sequence[_Candidate], level: str, draws: Sequence[FloatArray | None]
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


def _stated(one: _Candidate, tests: Mapping[str, LevelTest], family: str) -> Stated:
    gradient = f"gradient {one.gradient}" if one.gradient else "the principal gradient"
    than = "than in untrained networks of the same shape"
    holds, fails = one.sentences or {
        SLOPE: (
            f"Layer preference is aligned with {gradient}",
            f"No alignment with {gradient} shown",
        ),
        CURVATURE: (
            f"Preference for middle or outer layers (curvature) is aligned with {gradient}",
            f"No alignment of curvature with {gradient} shown",
        ),
        BEYOND_SLOPE: (
            f"What the layers add to low-level sound is aligned with {gradient}",
            f"No alignment of what the layers add to low-level sound with {gradient} shown",
        ),
        UNTRAINED: (
            f"Layer preference has a {'higher' if one.effect > 0 else 'lower'} correlation with"
            f" {gradient} {than}",
            f"No other alignment with {gradient} {than} shown",
        ),
    }.get(
        one.measure,
        (
            f"Accuracy of layer {one.measure} runs along {gradient}",
            f"No alignment of layer {one.measure} with {gradient} shown",
        ),
    )
    end = "high" if one.effect > 0 else "low"
    slope = one.measure in (SLOPE, BEYOND_SLOPE)
    detail = f"{told_label(one.model)}, mean correlation {one.effect:.3f}"
    claim = Claim(
        one.kind,
        holds,
        fails,
        list(tests.values()),
        detail=f"mean difference r {one.effect:.4f}" if one.sentences else detail,
        direction=f", deeper layers toward its {end} end" if slope else "",
        unit=one.unit,
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


def _frame(files: GroupFiles, suffix: str, desc: str) -> pd.DataFrame:
    path = files.file(suffix, desc=desc)
    if not path.is_file():
        return pd.DataFrame()
    return read_frame(path)


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
