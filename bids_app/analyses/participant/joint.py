"""Joint models of one participant: fit, write, estimate costs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Part, TableOutput
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.joint_models import JointModel
from bids_app.analyses.participant.layers import (
    StimulusSide,
    fitting_arrays,
    usable_vertices,
)
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.write import filter_fields
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.config import Cleaning, Model, settings_hash
from bids_app.config.sections import LOW_LEVEL
from bids_app.encoding import Chosen
from bids_app.encoding.folds import held_out_stimuli
from bids_app.encoding.joint import (
    JointPlan,
    JointResult,
    fit_joint,
    plan_joint,
    score_candidates,
)
from bids_app.features.cache import FeatureGrams
from bids_app.inputs.estimate import Cost
from bids_app.inputs.records import common_tr
from bids_app.labels import safe_label
from bids_app.outputs import (
    BEYOND_DESC,
    JOINT_DESC,
    LOW_LEVEL_DESC,
    OutputTree,
    unique_desc,
)
from bids_app.report.joint import joint_sections

LOGGER = logging.getLogger("bids_app.analyses")

LAYER = "layer"
"""Name of a layer's space beside its rivals."""


@dataclass(frozen=True)
class JointFits:
    """Accuracies of joint models of one participant.

    Attributes
    ----------
    names : list of n_maps str
        Arrays of `unique` and `share`: the spaces of one model, or layers of a network.
    r : array of shape (n_models, n_vertices)
        Of the joint model; of that with each layer.
    reduced_r : array of shape (n_maps, n_vertices), or (1, n_vertices)
        Without each space; without any layer, which is one model.
    unique, share : array of shape (n_maps, n_vertices)
        r minus that without the space or layer; its part of r.
    choice : array of shape (n_folds, n_models + n_reduced, n_vertices)
        Candidate and penalty of each model, then of each one without: (candidate - 1) times the
        number of penalties, plus the number of the penalty, both from 1; NaN without a result.
    table : list of dict
        One row per map.
    candidates : list of lists
        Weights of the spaces in each candidate.
    spaces : list of str
        Columns of `candidates`.
    fold_stimuli : list of n_folds str
    n_degenerate : int
    features_folders : list of str
        Names of the folders of the Gram matrices in the cache, that of the layers last.
    """

    names: list[str]
    r: NDArray[np.float32]
    reduced_r: NDArray[np.float32]
    unique: NDArray[np.float32]
    share: NDArray[np.float32]
    choice: NDArray[np.float32]
    table: list[dict[str, Any]]
    candidates: list[list[float]]
    spaces: list[str]
    fold_stimuli: list[str]
    n_degenerate: int
    features_folders: list[str] = field(default_factory=list)


def fit_joint_models(
    record: Record,
    job: JointModel,
    grams: Sequence[FeatureGrams],
    prepared: Prepared,
    cleaning: Cleaning,
    model: Model,
    n_threads: int = 1,
    device: str = "cpu",
) -> JointFits:
    """Fit the joint model of a job, or one per layer of its network.

    Parameters
    ----------
    record : Record
    job : JointModel
    grams : sequence of FeatureGrams
        Of ``job.spaces``, in their order.
    prepared : Prepared
    cleaning, model : sections
    n_threads : int
    device : str
        As for :func:`bids_app.analyses.participant.layers.fitting_arrays`.
    """
    blocks = sorted(prepared.blocks, key=lambda block: block.stimulus)
    usable = usable_vertices(blocks)
    responses = [Chosen(block.values, np.flatnonzero(usable)) for block in blocks]
    tr = common_tr({block.run: block.tr for block in blocks})
    labels = [block.stimulus for block in blocks]
    sides = [
        StimulusSide(one, labels, [b.times for b in blocks], tr, model, cleaning.high_pass)
        for one in grams
    ]
    spaces = {
        source.name: side.gram(source.layer)
        for source, side in zip(job.sources, sides, strict=False)
    }
    folders = [one.path.name for one in grams]
    options = sides[0].plan_options
    first = plan_joint(spaces, sides[0].lengths, weights=job.weights, **options)
    fit: dict[str, Any] = {
        "selection": model.selection,
        "n_threads": n_threads,
        "arrays": fitting_arrays(device),
    }
    if not job.layers:
        LOGGER.info("sub-%s: joint model-%s", record.participant, job.label)
        result = fit_joint(first, responses, **fit)
        return replace(_of_spaces(job, first, result, usable), features_folders=folders)
    known = score_candidates(first, responses, **fit)
    results: list[JointResult] = []
    begin = time.monotonic()

    def fit_layer(name: str) -> JointResult:
        """The plan of a layer fills the memory, and is gone before that of the next is made."""
        plan = plan_joint(
            {**spaces, LAYER: sides[-1].gram(name)},
            sides[0].lengths,
            weights=job.weights_beyond,
            known=first,
            **options,
        )
        return fit_joint(plan, responses, leave_out=[LAYER], known=known, **fit)

    for number, name in enumerate(job.layers, start=1):
        results.append(fit_layer(name))
        left = (time.monotonic() - begin) / number * (len(job.layers) - number)
        LOGGER.info(
            "sub-%s: beyond low-level, layer %d of %d (%s), about %.0f min left",
            record.participant,
            number,
            len(job.layers),
            name,
            left / 60,
        )
    return replace(_of_layers(job, first, results, usable), features_folders=folders)


def _of_spaces(
    job: JointModel, plan: JointPlan, result: JointResult, usable: NDArray[np.bool_]
) -> JointFits:
    choose = plan.choices.chosen
    choice = [
        choose(result.candidate, result.alpha),
        *map(choose, result.reduced_candidate, result.reduced_alpha),
    ]
    return _fits(
        job,
        job.names,
        usable,
        r=result.mean_r[np.newaxis],
        reduced_r=result.reduced_r,
        unique=result.unique,
        share=result.share,
        choice=np.stack(choice, axis=1),
        corner=result.corner,
        result=result,
    )


def _of_layers(
    job: JointModel, rivals: JointPlan, results: list[JointResult], usable: NDArray[np.bool_]
) -> JointFits:
    # Candidates of the rivals are the first ones of every model, so that numbers agree.
    choose, last = rivals.choices.chosen, results[-1]
    choice = [
        *(choose(one.candidate, one.alpha) for one in results),
        choose(last.reduced_candidate[0], last.reduced_alpha[0]),
    ]
    return _fits(
        job,
        list(job.layers),
        usable,
        r=np.stack([one.mean_r for one in results]),
        reduced_r=last.reduced_r,
        unique=np.concatenate([one.unique for one in results]),
        share=np.stack([one.share[-1] for one in results]),
        choice=np.stack(choice, axis=1),
        corner=np.array([one.corner[-1] for one in results]),
        result=last,
    )


def _fits(
    job: JointModel,
    names: list[str],
    usable: NDArray[np.bool_],
    *,
    r: NDArray[np.float64],
    reduced_r: NDArray[np.float64],
    unique: NDArray[np.float64],
    share: NDArray[np.float64],
    choice: NDArray[np.float64],
    corner: NDArray[np.float64],
    result: JointResult,
) -> JointFits:
    def on_mesh(found: NDArray[np.float64]) -> NDArray[np.float32]:
        whole = np.full((*found.shape[:-1], len(usable)), np.nan, dtype=np.float32)
        whole[..., usable] = found
        return whole

    def mean(values: NDArray[np.float64]) -> float:
        finite = values[np.isfinite(values)]
        return float(finite.mean()) if finite.size else float("nan")

    table = [
        {
            "name": name,
            "mean_r": mean(r[k % len(r)]),
            "mean_reduced_r": mean(reduced_r[k % len(reduced_r)]),
            "mean_unique": mean(unique[k]),
            "share_above": mean((unique[k] > 0)[np.isfinite(unique[k])].astype(float)),
            "mean_share": mean(share[k]),
            "corner": float(corner[k]),
        }
        for k, name in enumerate(names)
    ]
    weights = job.weights_beyond if job.layers else job.weights
    return JointFits(
        names=names,
        r=on_mesh(r),
        reduced_r=on_mesh(reduced_r),
        unique=on_mesh(unique),
        share=on_mesh(share),
        choice=on_mesh(choice),
        table=table,
        candidates=np.round(weights, 12).tolist(),
        spaces=[*job.names, *([LAYER] if job.layers else [])],
        fold_stimuli=["+".join(np.atleast_1d(held)) for held in result.fold_stimuli],
        n_degenerate=int((~usable).sum()) + result.n_degenerate,
    )


def write_joint_models(
    tree: OutputTree, record: Record, job: JointModel, prepared: Prepared, fits: JointFits
) -> list[Path]:
    """Write maps and table of a joint model; the settings file comes last."""
    writer = ParticipantWriter(tree, record, _common_fields(record, fits, prepared.blocks))
    writer.begin()
    analysis = BEYOND if job.layers else JOINT
    writer.write(analysis, fits, joint_parts(job.label, fits.names, fits.fold_stimuli, job.layers))
    return writer.finish(
        **writer.basis,
        FeaturesFolders=fits.features_folders,
        HeldOutStimuli=fits.fold_stimuli,
        DegenerateVertices=fits.n_degenerate,
    )


def _common_fields(record: Record, fits: JointFits, blocks: Sequence[Block]) -> dict[str, Any]:
    settings = record.settings
    return {
        "Sources": list(record.sources),
        "RepetitionTime": blocks[0].tr,
        "Delays": settings["delays"],
        "Crop": settings["crop"],
        "PenaltyGrid": settings["alphas"],
        "PenaltySelection": settings["selection"],
        "HeldOutStimuli": fits.fold_stimuli,
        **record.features,
        "Spaces": fits.spaces,
        "Candidates": fits.candidates,
        "CandidateSeed": settings["random_seed"],
        "CornerShare": {row["name"]: row["corner"] for row in fits.table},
        "Confounds": settings["confounds"],
        **filter_fields(settings["high_pass"]),
        "SmoothingFWHM": settings["smoothing"],
        "CortexMask": settings["cortex_mask"],
        "StimulusSHA256": record.stimuli,
        "DegenerateVertices": fits.n_degenerate,
        "SettingsHash": settings_hash(dict(settings)),
    }


def joint_parts(
    label: str, names: Sequence[str], folds: Sequence[str], layers: Sequence[str]
) -> list[Part]:
    """Maps of the joint model, of each space or all layers, and choices of each fold."""
    if layers:
        maps = [
            Part("r", {"desc": BEYOND_DESC}, layers),
            Part("reduced", {"desc": LOW_LEVEL_DESC}, ["low-level"]),
            Part("unique", {"desc": unique_desc(label)}, layers),
            Part("share", {"desc": unique_desc(label, "share")}, layers),
        ]
        chosen = [*layers, "low-level"]
    else:
        maps = [Part("r", {}, [label])]
        for k, name in enumerate(names):
            maps += [
                Part(kind, {"desc": unique_desc(name, kind)}, [name], k)
                for kind in ("unique", "share")
            ]
        chosen = [label, *(f"without {name}" for name in names)]
    desc = BEYOND_DESC if layers else JOINT_DESC
    held_out = [
        Part("fold", {"stim": safe_label(held), "desc": desc}, chosen, k)
        for k, held in enumerate(folds)
    ]
    return [*maps, *held_out, Part("table", {"desc": desc})]


_COLUMNS = {
    "name": "space, or layer of the network",
    "mean_r": "mean accuracy of the joint model over vertices",
    "mean_reduced_r": "the same without the space or layer",
    "mean_unique": "mean unique accuracy, their difference",
    "share_above": "share of vertices whose unique accuracy is above zero",
    "mean_share": "mean share of the accuracy (product measure); not what the space adds",
    "corner": "share of folds and vertices at which the space alone was chosen",
}
_MAPS = (
    MapOutput("r", "r", "accuracy of the joint model: Pearson r, held-out stimuli", each="r"),
    MapOutput("r", "reduced_r", "accuracy without any layer of the network", each="reduced"),
    MapOutput(
        "r",
        "unique",
        "unique accuracy: r of the joint model minus r of the model without it",
        each="unique",
    ),
    MapOutput(
        "r",
        "share",
        "share of the joint model's r (product measure); not what it adds",
        each="share",
    ),
    MapOutput("choice", "choice", each="fold"),
)
_TABLES = (TableOutput("summary", "", _COLUMNS, each="table", value="table"),)

# Measured for 939 volumes on fsaverage5 (benchmarks/README.md): a candidate of a participant, and
# its decompositions.
_CANDIDATE_SECONDS = 2.8
_PLAN_BYTES = 21_000_000


def _cost(scope: Scope, n_candidates: int, n_kept: int) -> Cost:
    plans = n_kept * _PLAN_BYTES * (scope.n_rows / 939) ** 2
    return Cost(
        seconds=n_candidates * _CANDIDATE_SECONDS * scope.fit_scale,
        steps={"fit_joint_models": scope.series.fitting(0) + plans},
    )


def _folds(scope: Scope) -> list[str]:
    return ["+".join(held) for held in held_out_stimuli(scope.heard, scope.durations)]


def _asked_beyond(scope: Scope) -> bool:
    joint = scope.config.joint
    features = {one.label: one.features for one in scope.config.model.spaces}
    rival = scope.model in features and joint.is_rival(features[scope.model])
    return bool(scope.music) and joint.beyond == "low-level" and not rival


def _cost_beyond(scope: Scope) -> Cost:
    n = scope.config.joint.candidates // 2
    return _cost(scope, n + len(scope.layers) * (n + 1), 2 * n + 1)


def _cost_joint(scope: Scope) -> Cost:
    n = scope.config.joint.candidates
    return _cost(scope, n, n)


JOINT = ParticipantAnalysis(
    "joint models",
    needed=lambda scope: bool(scope.music and scope.config.joint.models),
    parts=lambda scope: joint_parts(scope.model, scope.layers, _folds(scope), ()),
    cost=_cost_joint,
    maps=_MAPS,
    tables=_TABLES,
    desc=JOINT_DESC,
    joint=True,
)
BEYOND = ParticipantAnalysis(
    f"beyond {', '.join(LOW_LEVEL)}",
    needed=_asked_beyond,
    parts=lambda scope: joint_parts(scope.model, scope.layers, _folds(scope), scope.layers),
    cost=_cost_beyond,
    maps=_MAPS,
    tables=_TABLES,
    desc=BEYOND_DESC,
    sections=joint_sections,
)
