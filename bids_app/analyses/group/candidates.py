"""Alignments and differences whose claims are corrected together, as the files hold them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.claims_alone import Stated, other_people
from bids_app.analyses.group.music_alignment import CURVATURE, SLOPE
from bids_app.config import DEFAULT_FEATURES
from bids_app.group.claims import (
    PARTIAL,
    PLACE,
    Claim,
    LevelTest,
)
from bids_app.inputs.tables import read_frame
from bids_app.outputs import (
    ALIGNMENT_DESC,
    BEYOND_ALIGNMENT_DESC,
    DIFFERENCE_DESC,
    TWINS_DESC,
    labeled,
)
from bids_app.report.analyses import outdated
from bids_app.report.claims import DIFFERENCE
from bids_app.report.controls import control_banner
from bids_app.report.sources import GroupFiles

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

UNTRAINED = "slope beside untrained"
"""Measure: alignment of the slope, minus that of untrained networks of the same shape."""

BEYOND_SLOPE = "slope beyond low-level"
"""Measure: alignment of the slope of what the layers add to low-level sound."""

UNMEASURED = "how often this is said of nothing has not been measured enough (docs/models.md)"
"""Doubt about a measure that is shown and not claimed yet."""

FLIPS_OF_DIFFERENCES = "two-sided sign flips (largest |t| over vertices)"

MASKS = {
    "cortex": "Too few vertices are predicted for a mask of their own: the whole cortex stands in.",
    "people": "The mask of vertices was tested over people alone, since nothing was tested over"
    " music.",
}


@dataclass(frozen=True)
class Candidate:
    """An alignment, or a difference, with its tests as computed and the draws that correct them.

    Attributes
    ----------
    model, gradient, measure : str
        As of `Stated`.
    kind : str
        As of `Claim`.
    effect : float
        What is displayed.
    tests : mapping from level to LevelTest
    people : Series
        One value per participant, for sign flips that all candidates share.
    music : array of shape (n_draws,) or None
        Draws over music.
    spins : mapping from level to array of shape (n_spins,)
        Draws over place.
    flips : mapping
        Settings of the sign flips.
    primary : bool
        Whether it is the claim that was declared beforehand.
    doubts, caveats : sequence of str
        As of `Claim`.
    people_scale : float
        What its t is multiplied by before the largest ``|t|`` is taken.
    sentences : (str, str) or None
        Sentences where it holds and where it does not; None for those of the measure.
    unit : str
    same_people : bool
        As of `Stated`.
    """

    model: str
    gradient: str
    measure: str
    kind: str
    effect: float
    tests: Mapping[str, LevelTest]
    people: pd.Series
    music: FloatArray | None
    spins: Mapping[str, FloatArray]
    flips: Mapping[str, Any]
    primary: bool = False
    doubts: Sequence[str] = ()
    caveats: Sequence[str] = ()
    people_scale: float = 1.0
    sentences: tuple[str, str] | None = None
    unit: str = "a mean correlation of"
    same_people: bool = False

    @property
    def said(self) -> tuple[str, str]:
        """Sentences where it holds, and where it does not."""
        if self.sentences is not None:
            return self.sentences
        gradient = f"gradient {self.gradient}" if self.gradient else "the principal gradient"
        than = "than in untrained networks of the same shape"
        if self.measure == SLOPE:
            return (
                f"Layer preference is aligned with {gradient}",
                f"No alignment with {gradient} shown",
            )
        if self.measure == CURVATURE:
            return (
                f"Preference for middle or outer layers (curvature) is aligned with {gradient}",
                f"No alignment of curvature with {gradient} shown",
            )
        if self.measure == BEYOND_SLOPE:
            return (
                f"What the layers add to low-level sound is aligned with {gradient}",
                f"No alignment of what the layers add to low-level sound with {gradient} shown",
            )
        if self.measure == UNTRAINED:
            return (
                f"Layer preference has a {'higher' if self.effect > 0 else 'lower'} correlation"
                f" with {gradient} {than}",
                f"No other alignment with {gradient} {than} shown",
            )
        return (
            f"Accuracy of layer {self.measure} runs along {gradient}",
            f"No alignment of layer {self.measure} with {gradient} shown",
        )


def alignments(files: GroupFiles) -> list[Candidate]:
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
    caveats = _caveats(files, labeled(ALIGNMENT_DESC, files.gradient), group)
    found = []
    for measure, told in group["tests"].items():
        own = measure in (SLOPE, CURVATURE)
        names = {PLACE: told["spins"], **({PARTIAL: told["spins_partial"]} if own else {})}
        found.append(
            Candidate(
                files.model,
                files.gradient,
                told.get("name", measure),
                "aligned" if own else "along",
                float(told["statistic"]),
                _tests_of(told["tests"]),
                people[told["people"]],
                _draws(music, measure) if measure in music else None,
                {level: spins[name].to_numpy() for level, name in names.items() if name in spins},
                files.settings.get("Settings", {}),
                primary=measure == SLOPE and is_primary(files),
                doubts=_doubt(told),
                caveats=[*caveats, *other_people(files)],
                people_scale=float(group.get("people_scale", 1.0)),
            )
        )
    return found


def beside_twins(files: GroupFiles) -> list[Candidate]:
    """The slope's alignment beside that of untrained networks of the same shape."""
    desc = files.of_gradient(TWINS_DESC)
    path = files.file("statmap.json", desc=desc)
    if not path.is_file():
        return []
    group = read_record(path, Group=dict)["Group"]
    people = _frame(files, "statmap.tsv", desc).set_index("participant_id")
    music = _frame(files, ".tsv", files.of_gradient(f"{TWINS_DESC}music"))
    n_twins = len(group["twins"])
    beside = (
        f"The trained network is compared with {n_twins} untrained"
        f" {'one' if n_twins == 1 else 'ones'}."
    )
    return [
        Candidate(
            files.model,
            files.gradient,
            UNTRAINED,
            "differs",
            float(group["statistic"]),
            _tests_of(group["tests"]),
            people["difference"],
            _draws(music, "difference"),
            {},
            files.settings.get("Settings", {}),
            caveats=[beside, *_caveats(files, desc, {})],
        )
    ]


def beyond_low_level(files: GroupFiles) -> list[Candidate]:
    """The alignment of what the layers add to low-level sound."""
    desc = files.of_gradient(BEYOND_ALIGNMENT_DESC)
    path = files.file("statmap.json", desc=desc)
    if not path.is_file():
        return []
    group = read_record(path, Group=dict)["Group"]
    spins = _frame(files, ".tsv", files.of_gradient(f"{BEYOND_ALIGNMENT_DESC}nulls"))
    music = _frame(files, ".tsv", files.of_gradient(f"{BEYOND_ALIGNMENT_DESC}music"))
    names = {PLACE: "statistic", PARTIAL: "statistic_partial"}
    return [
        Candidate(
            files.model,
            files.gradient,
            BEYOND_SLOPE,
            "aligned",
            float(group["rho_mean"]),
            _tests_of(group["tests"]),
            _frame(files, "statmap.tsv", desc).set_index("participant_id")["z"],
            _draws(music, "slope"),
            {level: spins[name].to_numpy() for level, name in names.items() if name in spins},
            files.settings.get("Settings", {}),
            doubts=[*_doubt(group), UNMEASURED],
            caveats=_caveats(files, desc, group),
        )
    ]


def differences(files: GroupFiles, label: str) -> tuple[Stated, Candidate]:
    """A difference of models or layers: some vertex, and the mean over the cortex."""
    desc = labeled(DIFFERENCE_DESC, label)
    group = read_record(files.file("statmap.json", desc=desc), Group=dict)["Group"]
    first, second, text = (str(group[name]) for name in ("first", "second", "text"))
    caveats = _caveats(files, desc, {})
    better, worse = (int(one) for one in group["vertices"])
    vertices = Claim(
        "differs",
        f"{better} vertices are predicted better by {first}, {worse} by {second}"
        if better or worse
        else f"any vertex is predicted better by one of {first} and {second} than by the other",
        f"No vertex is predicted better by one of {first} and {second} than by the other",
        list(_tests_of(group["vertex_tests"]).values()),
        unit="a difference (r, deciding vertex) of",
        caveats=caveats,
    )
    effect = float(group["statistic"])
    names = (first, second) if effect > 0 else (second, first)
    music = _frame(files, ".tsv", labeled(f"{DIFFERENCE_DESC}music", label))
    whole = Candidate(
        files.model,
        "",
        f"{DIFFERENCE} {text}",
        "differs",
        effect,
        _tests_of(group["tests"]),
        _frame(files, "statmap.tsv", desc).set_index("participant_id")["difference"],
        _draws(music, "difference"),
        {},
        files.settings.get("Settings", {}),
        caveats=caveats,
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


def is_primary(files: GroupFiles) -> bool:
    """Whether the residual slope of this model and gradient is the claim declared beforehand.

    The principal gradient and a trained VGGish with participants' own weights: results with the
    others' weights have a label of their own.
    """
    trained = not control_banner(files.root, [files.model])
    return not files.gradient and files.model == DEFAULT_FEATURES and trained


def _tests_of(records: Sequence[Mapping[str, Any]]) -> dict[str, LevelTest]:
    return {one["level"]: LevelTest.of(one) for one in records}


def _draws(frame: pd.DataFrame, name: str) -> FloatArray | None:
    """A column of draws; None where there is no table."""
    return None if frame.empty else frame[name].to_numpy(dtype=np.float64)


def _doubt(group: Mapping[str, Any]) -> list[str]:
    return [str(group["doubt"])] if group.get("doubt") else []


def _caveats(files: GroupFiles, desc: str, group: Mapping[str, Any]) -> list[str]:
    """Caveats about the mask, and about a result that is older than its inputs."""
    mask = MASKS.get(str(group.get("mask")), "")
    return [text for text in (mask, outdated(files, files.analysis(desc))) if text]


def _frame(files: GroupFiles, suffix: str, desc: str) -> pd.DataFrame:
    """A table; empty where there is none."""
    path = files.file(suffix, desc=desc)
    return read_frame(path) if path.is_file() else pd.DataFrame()
