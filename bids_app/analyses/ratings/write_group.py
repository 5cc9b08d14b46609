"""Write the group analyses of ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis
from bids_app.analyses.group.effects import GroupEffects
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.repeats import FLOOR
from bids_app.analyses.ratings.group import (
    RatingMapTests,
    ScoreTests,
    infer_rating_maps,
    infer_rating_scores,
    missing_ratings,
)
from bids_app.analyses.ratings.music import Place, both_claims
from bids_app.analyses.ratings.scores_group import GroupScores
from bids_app.emotion import PhaseTest
from bids_app.outputs import EMOTION_LABEL, RATER_CEILING_DESC, RATINGS_DESC
from bids_app.report.group import Shown
from bids_app.report.group_ratings import emotion_section

MUSIC = "null over music: phases of the ratings' regressors rotated alike in all participants"
MAX_T = "sign-flip p, corrected over vertices and {} (max-T)"


def write_rating_maps(writer: GroupWriter, result: RatingMapTests) -> None:
    """Group maps of ratings and brain."""
    effects, contrasts = result.effects, result.effects.contrasts
    music, held = result.music, both_claims(result.effects, result.music.effects)
    for k, ((feature, desc), name) in enumerate(zip(result.places, effects.names, strict=True)):
        texts = {
            "effect": f"mean percent signal change per standard deviation, changes of {name}",
            "t": f"t over participants, changes of {name}",
            "p": f"two-sided {MAX_T.format('scales')}",
            "tfce": "two-sided sign-flip p of TFCE (E = 1, H = 2), joint over vertices and scales",
        }
        places = [result.places[k]]
        _write_maps(writer, effects, k, feature, desc, places, texts)
        _write_music(writer, effects, music.effects, held, k, feature, desc, places)
    texts = {
        "effect": "mean difference of the effects of two scales",
        "t": "t of the difference of two scales",
        "p": f"two-sided {MAX_T.format('differences')}",
        "tfce": "two-sided sign-flip p of TFCE, joint over vertices and differences",
    }
    for k, (first, second) in enumerate(combinations(result.places, 2)):
        feature = f"{''.join(first)}Minus{''.join(second)}"
        if contrasts is not None:
            pair = [first, second]
            _write_maps(writer, contrasts, k, feature, "contrast", pair, texts)
            held = both_claims(contrasts, music.contrasts)
            _write_music(writer, contrasts, music.contrasts, held, k, feature, "contrast", pair)
    for window, accuracy in result.accuracy.items():
        told = f"predictions from the {window} of the ratings"
        for stat, values, text in (
            ("r", np.tanh(accuracy.mean), f"back-transformed mean Fisher z, {told}"),
            ("t", accuracy.test.t, f"t of Fisher z over participants, {told}"),
            ("p", accuracy.test.p, f"one-sided {MAX_T.format('scales')}, {told}"),
        ):
            own_maps = [{"stat": "r", "stim": "", "desc": window}]
            writer.statmap(
                stat, values, accuracy.names, desc=window, description=text, reads=own_maps
            )
        over = result.windows.get(window)
        if over is None:
            continue
        for stat, own, values, text in (
            ("p", "music", over.p, "one-sided p over music (phases of the responses), Gaussian"),
            ("q", "music", over.q, "q over vertices of the p over music, scale by scale"),
            ("n", "both", over.both, "1 where people (max-T p) and music (q) both hold"),
        ):
            desc = f"{window}{own}"
            over_maps = [
                {"stat": "r", "desc": window},
                {"stat": "alpha", "desc": window},
                RESPONSES,
            ]
            text = f"{text}, {told}"
            writer.statmap(
                stat, values, accuracy.names, desc=desc, description=text, reads=over_maps
            )


def _write_maps(
    writer: GroupWriter,
    found: GroupEffects,
    k: int,
    feature: str,
    desc: str,
    places: Sequence[Place],
    texts: Mapping[str, str],
) -> None:
    maps = {"effect": found.mean, "t": found.test.t, "p": found.test.p}
    if found.tfce is not None:
        maps["tfce"] = found.tfce.p
    for kind, values in maps.items():
        stat, own = ("p", f"{desc}tfce") if kind == "tfce" else (kind, desc)
        told: dict[str, Any] = {"description": texts[kind], "feature": feature, "desc": own}
        reads = _effects_of(places, "effect")
        writer.statmap(stat, values[k], [found.names[k]], reads=reads, **told)


def _effects_of(places: Sequence[Place], stat: str) -> list[dict[str, str]]:
    """Participants' maps of these scales."""
    return [{"stat": stat, "feature": feature, "desc": desc} for feature, desc in places]


def _write_music(
    writer: GroupWriter,
    found: GroupEffects,
    music: PhaseTest | None,
    held: NDArray[np.float64],
    k: int,
    feature: str,
    desc: str,
    places: Sequence[Place],
) -> None:
    """P over music and where both claims hold; nothing without a null over music."""
    if music is None:
        return
    for stat, own, values, text in (
        ("p", "music", music.p, f"two-sided p, uncorrected, {MUSIC}"),
        ("p", "musicmaxt", music.p_max, f"two-sided p, corrected by the largest size, {MUSIC}"),
        ("n", "both", held, "1 where the effect holds over people and over music (corrected p)"),
    ):
        told: dict[str, Any] = {"description": text, "feature": feature, "desc": f"{desc}{own}"}
        reads = [*_effects_of(places, "effect"), *_effects_of(places, "turned")]
        told |= {"reads": reads, "Draws": len(music.null_max)}
        writer.statmap(stat, values[k], [found.names[k]], **told)


def write_rating_scores(writer: GroupWriter, result: ScoreTests) -> None:
    """Group tables of layers and ratings."""
    tested = not result.music.reason
    courses = {"suffix": "timeseries.tsv", "desc": RATINGS_DESC}
    own = {"suffix": "scores.tsv", "desc": RATINGS_DESC}
    shared = tested or not result.ceiling.reason
    writer.rest_on((own, courses) if shared else (own,), of_features=tested)
    writer.table("scores", PROFILE_COLUMNS, _profile_rows(result), desc="ratings")
    writer.rest_on((own, courses), of_features=False)
    if not result.ceiling.reason:
        writer.table("summary", CEILING_COLUMNS, _ceiling_rows(result), desc=RATER_CEILING_DESC)
    scores = result.scores
    writer.rest_on((own,), of_features=False)
    writer.table("summary", PREFERRED_COLUMNS, _preferred_rows(scores), desc="preferredlayers")
    writer.table("summary", PAIR_COLUMNS, _pair_rows(scores), desc="ratingpairs")
    writer.table("scores", INTERACTION_COLUMNS, _interaction_rows(scores), desc="interaction")
    if result.changes is not None:
        writer.rest_on(({**own, "desc": "changes"},), of_features=False)
        writer.table("scores", CHANGE_COLUMNS, _change_rows(result), desc="changes")


def _profile_rows(result: ScoreTests) -> list[dict[str, Any]]:
    scores = result.scores
    fraction = result.ceiling.fraction(scores.r)
    return [
        {
            **cell,
            "r": scores.r[layer, k],
            "low": scores.low[layer, k],
            "high": scores.high[layer, k],
            "t": scores.t[layer, k],
            "p": scores.p[layer, k],
            "p_music": result.music.p[layer, k],
            "p_music_corrected": result.music.p_max[layer, k],
            "fraction": fraction[layer, k],
        }
        for cell, k, layer in _cells("scale", scores.scales, scores.layer_names)
    ]


def _ceiling_rows(result: ScoreTests) -> list[dict[str, Any]]:
    ceiling = result.ceiling
    return [
        {
            "scale": scale,
            "n_raters": ceiling.n_raters,
            "ceiling": ceiling.ceiling[k],
            "ceiling_lower": ceiling.lower[k],
            "p": ceiling.p[k],
        }
        for k, scale in enumerate(result.scores.scales)
    ]


def _preferred_rows(scores: GroupScores) -> list[dict[str, Any]]:
    return [
        {
            "scale": scale,
            "preferred_layer": scores.preferred[k],
            "low": scores.preferred_low[k],
            "high": scores.preferred_high[k],
        }
        for k, scale in enumerate(scores.scales)
    ]


def _pair_rows(scores: GroupScores) -> list[dict[str, Any]]:
    return [
        {
            "pair": pair,
            "p_interaction": np.nanmin(scores.interaction_p[k]),
            "slope_difference": scores.slope[k],
            "slope_t": scores.slope_t[k],
            "slope_p": scores.slope_p[k],
        }
        for k, pair in enumerate(scores.pairs)
        if len(scores.interaction_p)
    ]


def _interaction_rows(scores: GroupScores) -> list[dict[str, Any]]:
    return [
        {**cell, "t": scores.interaction_t[k, layer], "p": scores.interaction_p[k, layer]}
        for cell, k, layer in _cells("pair", scores.pairs, scores.layer_names)
        if len(scores.interaction_p)
    ]


def _cells(
    what: str, labels: Sequence[str], layer_names: Sequence[str]
) -> Iterator[tuple[dict[str, Any], int, int]]:
    """First columns of a row per label and layer, and the positions of both."""
    for k, label in enumerate(labels):
        for layer, name in enumerate(layer_names):
            yield {what: label, "layer": layer + 1, "name": name}, k, layer


def _change_rows(tests: ScoreTests) -> list[dict[str, Any]]:
    scores, tested = tests.scores, tests.changes
    nothing = np.full(tests.change_r.shape, np.nan)
    t, p = (nothing, nothing) if tested is None else (tested.t, tested.p)
    return [
        {
            **cell,
            "lag_s": lag,
            "r": tests.change_r[layer, h, k],
            "t": t[layer, h, k],
            "p": p[layer, h, k],
        }
        for cell, k, layer in _cells("scale", scores.scales, scores.layer_names)
        for h, lag in enumerate(tests.lags.tolist())
    ]


def told_of_ratings(result: RatingMapTests | ScoreTests) -> dict[str, Any]:
    """Who is not in, and why."""
    reasons = result.group.left_out.items()
    music = getattr(result, "music", None)
    missing = {} if music is None else {"MusicMissing": music.reason}
    if isinstance(result, ScoreTests):
        missing["CeilingMissing"] = result.ceiling.reason
    if isinstance(result, RatingMapTests):
        missing["PredictionsMusicMissing"] = result.windows_reason
    left_out = {f"sub-{participant}": why for participant, why in reasons}
    return {"LeftOut": left_out, "Notes": list(result.group.notes), **missing}


PROFILE_COLUMNS = {
    "scale": "what was rated",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "r": "accuracy of predicting the rating, mean over participants (Fisher z)",
    "low": "2.5 percentile of the mean, bootstrap over participants",
    "high": "97.5 percentile",
    "t": "t of the accuracy over participants",
    "p": "one-sided sign-flip p, corrected over layers and scales (max-T)",
    "p_music": "one-sided p over music (phases of everybody's ratings rotated alike), uncorrected; "
    "n/a where there is no such test",
    "p_music_corrected": "the same corrected over layers and scales by the largest of each draw",
    "fraction": "accuracy over the ceiling of raters, where that is reliable (p < .05) and above "
    f"{FLOOR:g}",
}
CEILING_COLUMNS = {
    "scale": "what was rated",
    "n_raters": "people whose ratings differ",
    "ceiling": "highest r of a model of what raters share with the ratings of one of them; n/a "
    "where they have nothing in common, or are fewer than four",
    "ceiling_lower": "mean correlation with the mean of the others: a lower bound",
    "p": "whether raters have something in common, random phases, corrected over scales",
}
PREFERRED_COLUMNS = {
    "scale": "what was rated",
    "preferred_layer": "center of mass of the positive mean profile, in layers",
    "low": "2.5 percentile, bootstrap over participants",
    "high": "97.5 percentile",
}
PAIR_COLUMNS = {
    "pair": "two scales",
    "p_interaction": "smallest p of the layers: does the difference of both profiles depend on "
    "the layer (also where one is predicted better in proportion)",
    "slope_difference": "mean difference in residual slope; positive: the first scale prefers "
    "deeper layers",
    "slope_t": "its t over participants",
    "slope_p": "two-sided sign-flip p, corrected over pairs",
}
INTERACTION_COLUMNS = {
    "pair": "two scales",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "t": "t of the difference of both scales at the layer, less its mean over layers",
    "p": "two-sided sign-flip p, corrected over layers and pairs (max-T)",
}
CHANGE_COLUMNS = {
    "scale": "what was rated",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "lag_s": "seconds by which the change of the rating follows that of the layer",
    "r": "correlation of the sizes of both changes, mean over participants (Fisher z)",
    "t": "t over participants",
    "p": "one-sided sign-flip p, corrected over layers, lags and scales (max-T)",
}
_PAGE = Shown(sections=(emotion_section,), once=True)
RATING_MAPS = GroupAnalysis(
    "rating_maps",
    infer_rating_maps,
    write=write_rating_maps,
    details=told_of_ratings,
    model=EMOTION_LABEL,
    people="group",
    missing=missing_ratings,
    of_weights=False,
    page=_PAGE,
)
RATING_SCORES = GroupAnalysis(
    "rating_scores",
    infer_rating_scores,
    write=write_rating_scores,
    details=told_of_ratings,
    desc=RATINGS_DESC,
    people="group",
    missing=missing_ratings,
    of_weights=False,
    page=_PAGE,
)
