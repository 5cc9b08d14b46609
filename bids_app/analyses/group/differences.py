"""Does one model, or one layer, predict better than another, where, and over the whole cortex?

The same participants, the same samples and the same phases: a difference is paired over people, and
accuracies of both subtract under every draw of the music's phases.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_app.analyses.declare import MapOutput, Rows, Settings
from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.accuracy import rows_of
from bids_app.analyses.group.analysis import ACCURACIES, PENALTIES, RESPONSES, GroupAnalysis
from bids_app.analyses.group.collect import GroupData, load_group, read_encoding
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.over_music import MusicSide, music_sides
from bids_app.analyses.group.summaries import MapTest, MusicTest, Summary
from bids_app.analyses.group.write import GroupWriter
from bids_app.config import Config, Statistics
from bids_app.emotion import parse_contrast
from bids_app.errors import InvalidInputError, UsageError
from bids_app.group import Difference, difference
from bids_app.group.claims import MUSIC, PEOPLE, LevelTest, holds
from bids_app.labels import safe_label
from bids_app.outputs import DIFFERENCE_DESC, HEMISPHERES, OutputTree, sidecar_of
from bids_app.report.differences import differences_section
from bids_app.report.group import Shown
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

_ALIKE = ("alphas", "selection", "delays", "crop", "high_pass", "space", "sampling")
"""Settings that models must share to be compared."""


@dataclass(frozen=True)
class Asked:
    """A difference that was asked for.

    Attributes
    ----------
    text : str
        As given.
    weights : mapping from (model, layer) to float
        Layer empty for the mean of all.
    """

    text: str
    weights: Mapping[tuple[str, str], float]

    @property
    def label(self) -> str:
        """In the names of files."""
        return label_of(self.text)

    @property
    def models(self) -> list[str]:
        """The first is the one whose results it is among."""
        return list(dict.fromkeys(model for model, _ in self.weights))

    @property
    def sides(self) -> tuple[str, str]:
        """What is compared with what, in words."""
        return _told(self.weights, 1), _told(self.weights, -1)

    def contrast(self, layers: Mapping[str, Sequence[str]]) -> FloatArray:
        """Weights of the layers of all models side by side, in the order of `models`."""
        rows = []
        for model in self.models:
            own = np.zeros(len(layers[model]))
            for (other, layer), weight in self.weights.items():
                if other == model and layer:
                    own[list(layers[model]).index(layer)] += weight
                elif other == model:
                    own += weight / len(own)
            rows.append(own)
        return np.concatenate(rows)


@dataclass(frozen=True, eq=False)
class Compared:
    """A difference over people and over music.

    Attributes
    ----------
    asked : Asked
    over_people : Difference
        One map.
    usable : array of shape (n_vertices,), bool
        Vertices with a result of everybody in all layers that count.
    whole : array of shape (n_participants,)
        Mean difference over them of each participant, in Fisher z.
    maps : MapTest or None
        Of the mean difference at every vertex over music.
    test : MusicTest or None
        Of its mean over the cortex.
    reason : str
        Why nothing was tested over music.
    sources : mapping from str to mapping
        Models compared, and the checksum of each participant's left map.
    """

    asked: Asked
    over_people: Difference
    usable: NDArray[np.bool_]
    whole: FloatArray
    maps: MapTest | None = None
    test: MusicTest | None = None
    reason: str = ""
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def reads(self) -> list[Mapping[str, str]]:
        """Maps of every participant that it rests on."""
        maps: list[Mapping[str, str]] = [{**ACCURACIES, "model": m} for m in self.asked.models]
        if self.test is None:
            return maps
        return [*maps, *({**PENALTIES, "model": m} for m in self.asked.models), RESPONSES]

    @property
    def of_features(self) -> bool:
        """Whether it rests on the features of the music, too."""
        return self.test is not None

    @property
    def mean_r(self) -> FloatArray:
        """Mean difference of accuracies, (n_vertices,); NaN where somebody has none."""
        return np.where(self.usable, self.over_people.mean_r[0], np.nan)

    @property
    def t(self) -> FloatArray:
        """Of the paired test over participants, (n_vertices,)."""
        return np.asarray(self.over_people.people.t[0])

    @property
    def p(self) -> FloatArray:
        """Two-sided sign-flip p corrected over vertices, (n_vertices,)."""
        return np.asarray(self.over_people.people.p[0])

    @property
    def music_p(self) -> FloatArray | None:
        """Two-sided p over music, (n_vertices,)."""
        return None if self.maps is None else self.maps.p[0]

    @property
    def music_q(self) -> FloatArray | None:
        """The q over vertices of it."""
        return None if self.maps is None else benjamini_hochberg(self.maps.p[0])

    @property
    def music_p_max(self) -> FloatArray | None:
        """Two-sided p over music, corrected for the largest ``|z|`` over vertices."""
        return None if self.maps is None or self.maps.p_max is None else self.maps.p_max[0]

    @property
    def n_largest(self) -> int | None:
        """Draws behind it."""
        return None if self.maps is None else self.maps.n_largest

    @property
    def check(self) -> Mapping[str, Any] | None:
        """How the closed form of the map compares with refits."""
        return None if self.maps is None else self.maps.scaled.record

    @property
    def vertices(self) -> tuple[int, int]:
        """Where people and music both hold: in favor of the first, and of the second."""
        if self.music_q is None:
            return 0, 0
        both = holds(self.p, self.music_q) & (np.sign(self.t) == np.sign(self.mean_r))
        return int((both & (self.t > 0)).sum()), int((both & (self.t < 0)).sum())

    @property
    def people_level(self) -> LevelTest:
        """Paired t over participants of the mean over the cortex."""
        t, p = stats.ttest_1samp(self.whole, 0.0)
        return LevelTest(PEOPLE, float(p), float(t))

    @property
    def music_level(self) -> LevelTest:
        """The mean over the cortex over music."""
        return LevelTest(MUSIC, reason=self.reason) if self.test is None else self.test.level

    @property
    def strongest(self) -> int:
        """The vertex where the larger of both p is smallest, of these that of the largest t."""
        q = self.music_q
        over = self.p if q is None else np.maximum(self.p, q)
        return int(np.nanargmax(np.where(over <= np.nanmin(over), np.abs(self.t), -np.inf)))

    @property
    def vertex_levels(self) -> list[LevelTest]:
        """Tests of the strongest vertex."""
        result, best, q = self.over_people.people, self.strongest, self.music_q
        n = result.n_permutations
        smallest = 2 / n if result.exact else 1 / (1 + n)
        people = LevelTest(PEOPLE, float(self.p[best]), float(self.t[best]), n, smallest)
        if q is None or self.maps is None:
            return [people, LevelTest(MUSIC, reason=self.reason)]
        sd = float(self.maps.sd[0, best])
        return [people, LevelTest(MUSIC, float(q[best]), float(self.mean_r[best]), sd=sd)]


def label_of(text: str) -> str:
    """Label of the files of a difference."""
    words = re.sub(r"\s+", "", text).replace("-", "minus").replace("+", "plus")
    return safe_label(words.replace(".", "p").replace("*", "x"))


def _told(weights: Mapping[tuple[str, str], float], sign: int) -> str:
    own = {key: abs(w) for key, w in weights.items() if w * sign > 0}
    return " + ".join(
        f"{'' if w == 1 else f'{w:g} '}{layer and f'{layer} of '}model-{model}"
        for (model, layer), w in own.items()
    )


def parse_difference(tree: OutputTree, text: str) -> Asked:
    """What ``A-B`` means in a folder.

    Raises
    ------
    UsageError
        Names that nothing has, or more than one model; weights that do not sum to zero.
    """
    layers = {model: _layers(tree, model) for model in tree.models()}
    known = {model: (model, "") for model in layers}
    known |= {f"{m}:{one}": (m, one) for m, names in layers.items() for one in names}
    every = [one for names in layers.values() for one in names]
    for model, names in layers.items():
        known |= {one: (model, one) for one in names if every.count(one) == 1 and one not in known}
    try:
        found = parse_contrast(text, known)
    except UsageError as error:
        raise UsageError(
            "A difference cannot be read, or names what is not in the output folder.",
            where=f"--difference {text}",
            found=error.found,
            wanted=f"models {', '.join(layers)}, or MODEL:LAYER: "
            + "; ".join(f"{m}:{', '.join(names[:3])} ..." for m, names in layers.items()),
            remedy="run the participant level with the models to be compared (--features A B)",
        ) from error
    weights: dict[tuple[str, str], float] = {}
    for name, weight in found.items():
        weights[known[name]] = weights.get(known[name], 0.0) + weight
    weights = {key: weight for key, weight in weights.items() if weight}
    if not weights or abs(sum(weights.values())) > 1e-6 * max(map(abs, weights.values())):
        raise UsageError(
            "The weights of a difference do not sum to zero.",
            where=f"--difference {text}",
            found=" ".join(f"{w:+g}" for w in weights.values()) or "nothing",
            wanted="such as A-B, or A - 0.5*B - 0.5*C",
            remedy="let the weights of one side sum to those of the other",
        )
    return Asked(text, weights)


def _layers(tree: OutputTree, model: str) -> list[str]:
    """Names of the layers of a model; none where nobody's maps are complete."""
    for who in tree.participants_of(model)[:1]:
        space = read_encoding(tree, who, model)["Settings"]["space"]
        left = tree.participant_map(who, HEMISPHERES[0], space, model=model, stat="r")
        return [str(one) for one in read_record(sidecar_of(left), DataArrays=list)["DataArrays"]]
    return []


def difference_settings(config: Config) -> list[tuple[str, Settings]]:
    """Settings of every difference.

    Raises
    ------
    UsageError
        A difference that the folder cannot give.
    """
    tree, found = OutputTree(config.output_dir), list[tuple[str, Settings]]()
    chosen = bool(config.model.features or config.model.labels)
    models = config.model.group_labels if chosen else tree.models()
    for text in config.statistics.differences:
        asked = parse_difference(tree, text)
        if asked.models[0] not in models or config.statistics.train_on == "others":
            raise UsageError(
                "A difference is among the results of its first model, with own weights.",
                where=f"--difference {text}",
                found=f"models {', '.join(models)}; --train-on {config.statistics.train_on}",
                wanted=f"model {asked.models[0]}; --train-on own or both",
                remedy="add the model to --features, or give --train-on both",
            )
        named = [[model, layer, weight] for (model, layer), weight in sorted(asked.weights.items())]
        found.append((asked.label, {"difference": named} | config.inference_settings()))
    return found


def check_differences(
    tree: OutputTree, model: str, participants: Sequence[str], config: Config
) -> str:
    """Whether the models of each difference can be compared; nothing is left out for it.

    Raises
    ------
    InvalidInputError
        Participants without maps of a model, or other settings.
    """
    for text in config.statistics.differences:
        asked = parse_difference(tree, text)
        if asked.models[0] != model:
            continue
        own = read_encoding(tree, participants[0], model)
        for name in asked.models[1:]:
            lacking = sorted(set(participants) - set(tree.participants_of(name)))
            if lacking:
                raise InvalidInputError(
                    "Participants have no complete maps of a model that is compared.",
                    where=f"--difference {text}",
                    found=f"no model-{name} of {', '.join(f'sub-{one}' for one in lacking)}",
                    wanted="maps of both models of every participant",
                    remedy="run the participant level for them with this model, or choose those "
                    "who have both with --participant-label",
                )
            other = read_encoding(tree, participants[0], name)
            apart = [
                f"{key} {own['Settings'].get(key)} and {other['Settings'].get(key)}"
                for key in _ALIKE
                if own["Settings"].get(key) != other["Settings"].get(key)
            ]
            if own["HeldOutStimuli"] != other["HeldOutStimuli"]:
                apart.append("held-out stimuli")
            if apart:
                raise InvalidInputError(
                    "Models of different settings cannot be compared.",
                    where=f"--difference {text}",
                    found="; ".join(apart),
                    wanted="the same " + ", ".join(_ALIKE),
                    remedy="fit both with the same settings, into one folder",
                )
    return ""


def compare_models(
    tree: OutputTree,
    data: GroupData,
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> dict[str, Compared]:
    """Every difference whose first model is this one, by label."""
    found = {}
    for text in statistics.differences:
        asked = parse_difference(tree, text)
        if asked.models[0] != data.model:
            continue
        LOGGER.info("group: difference %s", text)
        models = [
            data if name == data.model else load_group(tree, name, data.participants)
            for name in asked.models
        ]
        found[asked.label] = compare(
            tree, asked, models, heard, cache_dir, statistics, n_threads=n_threads
        )
    return found


def compare(
    tree: OutputTree,
    asked: Asked,
    models: Sequence[GroupData],
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> Compared:
    """A difference of models, each with all its layers, over people and over music."""
    whole = asked.contrast({one.model: one.layer_names for one in models})
    ends = np.cumsum([len(one.layer_names) for one in models])
    counts = [np.flatnonzero(own) for own in np.split(whole, ends[:-1])]
    contrast = whole[whole != 0]
    picked = [one.r[:, own] for one, own in zip(models, counts, strict=True)]
    r = np.concatenate(picked, axis=1).astype(np.float64)
    usable = np.asarray(np.isfinite(r).all(axis=(0, 1)))
    r[:, :, ~usable] = np.nan
    people = difference(r, contrast, **statistics.flips, n_threads=n_threads)
    result = Compared(
        asked,
        people,
        usable,
        np.nanmean(people.participants[:, 0], axis=1),
        sources={
            one.model: {row["participant_id"]: row["sha256_left"] for row in one.rows}
            for one in models
        },
    )
    sides = music_sides(tree, models, heard, cache_dir, statistics.random_seed, n_threads)
    if isinstance(sides, str):
        return replace(result, reason=sides)
    side = MusicSide.beside(
        [(one, list(own)) for one, own in zip(sides, counts, strict=True)], asked.label
    )
    weights = np.tile(contrast / len(side.people), (len(side.people), 1))
    maps = side.test_maps([weights], usable, f"difference {asked.text}", tail="two-sided")
    mean = Summary(f"difference {asked.text}", weights, usable / usable.sum())
    return replace(result, maps=maps, test=side.test([mean], usable)[0])


def write_difference(writer: GroupWriter, result: Compared) -> None:
    """Participants' values, the draws over music, and what the claims are decided from."""
    rows: Rows = [
        {"participant_id": name, "difference": float(value)}
        for name, value in zip(writer.participants, result.whole, strict=True)
    ]
    first, second = result.asked.sides
    over_music = result.test
    group = {
        "text": result.asked.text,
        "first": first,
        "second": second,
        "statistic": float(np.nanmean(result.mean_r))
        if over_music is None
        else over_music.statistic,
        "tests": [result.people_level.record, result.music_level.record],
        "vertices": list(result.vertices),
        "vertex_tests": [one.record for one in result.vertex_levels],
        "vertex_effect": float(result.mean_r[result.strongest]),
        "n_vertices": int(result.usable.sum()),
        "MusicRefits": None if over_music is None else over_music.scaled.record,
    }
    writer.table(
        "statmap",
        DIFFERENCE_COLUMNS,
        rows,
        desc=DIFFERENCE_DESC,
        Group=group,
        Inputs=result.sources,
    )
    if over_music is not None:
        columns = {"difference": "mean difference over the cortex under a draw of the phases"}
        draws = rows_of({"difference": over_music.draws.astype(np.float64)})
        writer.table("", columns, draws, desc=f"{DIFFERENCE_DESC}music")


DIFFERENCE_COLUMNS = {
    "participant_id": "participant",
    "difference": "mean over the cortex of the difference of accuracies, Fisher z",
}
_NULL = "null over music: phases of the responses rotated alike in all participants"
_MUSIC = f"{DIFFERENCE_DESC}music"
_OUTPUTS = (
    MapOutput("r", "mean_r", "mean difference of accuracies (r)", desc=DIFFERENCE_DESC),
    MapOutput("t", "t", "paired t of Fisher z over participants", desc=DIFFERENCE_DESC),
    MapOutput(
        "p", "p", "two-sided sign-flip p, corrected over vertices (max-T)", desc=DIFFERENCE_DESC
    ),
    MapOutput(
        "p",
        "music_p",
        f"two-sided p of the difference, {_NULL}",
        desc=_MUSIC,
        details={"RefitCheck": "check"},
    ),
    MapOutput(
        "q",
        "music_q",
        f"q over vertices of the difference, {_NULL}",
        desc=_MUSIC,
        details={"RefitCheck": "check"},
    ),
    MapOutput(
        "p",
        "music_p_max",
        f"two-sided p of the difference, corrected for the largest |z| over vertices, {_NULL}",
        desc=f"{_MUSIC}max",
        details={"RefitCheck": "check", "Draws": "n_largest"},
    ),
)
DIFFERENCES = GroupAnalysis(
    "differences",
    compare_models,
    _OUTPUTS,
    write_difference,
    desc=DIFFERENCE_DESC,
    settings=difference_settings,
    option="--difference",
    missing=check_differences,
    of_weights=False,
    page=Shown(sections=(differences_section,)),
)
