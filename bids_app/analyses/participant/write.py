"""Output files of a participant's cleaned responses and encoding models."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bids_app.analyses.declare import MapOutput, Part, TableOutput, maps_of
from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import (
    ParticipantAnalysis,
    Scope,
)
from bids_app.analyses.participant.cost import cost_of_models, cost_of_responses
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.preference import PreferenceMaps, preference_missing
from bids_app.analyses.participant.repeats import FLOOR, Repeats, heard_repeatedly
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.subcortex import planned_files, series_path
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.config import Cleaning, settings_hash
from bids_app.encoding.folds import held_out_stimuli
from bids_app.inputs.estimate import FLOAT
from bids_app.labels import safe_label
from bids_app.outputs import REPEATS_DESC, OutputTree, parse_entities
from bids_app.report.layer_maps import layer_sections
from bids_app.report.repeats import repeats_sections
from bids_app.report.responses import response_sections
from bids_app.report.subcortex import participant_subcortex_sections
from bids_app.surface.lag_scan import AT_EDGE, UNCLEAR

LOGGER = logging.getLogger("bids_app.analyses")


def write_participant(
    tree: OutputTree,
    record: Record,
    fits: LayerFits,
    preference: PreferenceMaps | None,
    blocks: Sequence[Block],
    *,
    repeats: Repeats | None = None,
    shared: Sequence[Path] = (),
) -> list[Path]:
    """Write a model's maps and table; the settings file comes last and marks completion.

    `shared` are the files of `write_responses`, without which a model is not complete.

    Returns
    -------
    list of Path
        Every file of the model.
    """
    common = common_fields(tree, record, fits, blocks)
    writer = ParticipantWriter(tree, record, common)
    writer.begin()
    writer.written += shared
    writer.write(ENCODING, fits, layer_parts(fits.layer_names, fits.fold_stimuli))
    if preference is not None:
        writer.write(ENCODING, preference, [PREFERENCE])
    if repeats is not None:
        writer.write(ENCODING, repeats, repeat_parts(fits.layer_names))
    return writer.finish(
        **(writer.basis | {"Features": common["Features"]}),
        FeaturesFolder=fits.features_folder,
        HeldOutStimuli=fits.fold_stimuli,
        DegenerateVertices=fits.n_degenerate,
        LayerAverageSDRatio=fits.average_sd_ratio,
        Warnings=[*record.notes, *fits.warnings],
        LayerPreferenceMissing=common["LayerPreferenceMissing"],
        ReferenceVertices=0 if preference is None else preference.n_reference,
        ReferenceMissing="" if preference is None else preference.reason,
        SlopeDoubt="" if preference is None else preference.doubt,
        **({} if repeats is None else told_of_repeats(repeats)),
    )


def write_responses(tree: OutputTree, record: Record, prepared: Prepared) -> list[Path]:
    """Write cleaned responses and the tables of the runs, which all models share.

    Returns
    -------
    list of Path
        Every file written.
    """
    # Parcels are among the settings only where they are asked for.
    settings = {
        f.name: record.settings[f.name] for f in fields(Cleaning) if f.name in record.settings
    }
    writer = ParticipantWriter(tree, record)
    runs = [row["run"] for row in prepared.summary]
    of_runs = [source for run in runs for source in record.run_sources.get(run, record.sources)]
    of_quality = {"Sources": list(dict.fromkeys(of_runs)), "SettingsHash": settings_hash(settings)}
    of_tables = {"Sources": [*of_quality["Sources"], *record.music]}  # lags are of the music
    parts = [Part(sidecar=of_tables), _quality(runs, of_quality)]
    blocks = prepared.blocks
    places = presentations([(b.run, b.stimulus) for b in blocks])
    for block, entities in zip(blocks, places, strict=True):
        sidecar = {
            "Description": "confounds and drift regressed out, smoothed on the surface; "
            "volumes with music only",
            "TaskName": entities.get("task", ""),
            "RepetitionTime": block.tr,
            "Stimulus": block.stimulus,
            "StimulusTimes": block.times,
            "Run": block.run,
            "Volumes": block.volumes,
            "CortexMask": settings["cortex_mask"],
            "Sources": list(record.run_sources.get(block.run, record.sources)),
            "SettingsHash": settings_hash(settings),
        }
        names = [sample_name(t) for t in block.times]
        parts.append(Part("presentation", entities, names, of=block, sidecar=sidecar, tr=block.tr))
    for run, rows in prepared.events.items():
        told = {
            "Description": "when the music of a run was taken to play",
            "Sources": list(record.run_sources.get(run, record.sources)),
        }
        parts.append(Part("run", place_of_run(run), of=SimpleNamespace(rows=rows), sidecar=told))
    writer.write(RESPONSES, prepared, parts)
    _remove_others(tree, record, writer.written)
    return writer.written


def _remove_others(tree: OutputTree, record: Record, written: Sequence[Path]) -> None:
    """Responses to what the participant no longer heard: who reads all would read them too."""
    for path in sorted(tree.participant_dir(record.participant).iterdir()):
        if path.name.split(".")[0].endswith("_desc-clean_bold") and path not in written:
            LOGGER.info("%s is of an earlier result and is removed", path)
            path.unlink(missing_ok=True)


def _quality(runs: Sequence[str], sidecar: Mapping[str, Any] | None = None) -> Part:
    """Maps of how good the series were; runs are their data arrays."""
    return Part("quality", names=list(runs), sidecar=sidecar or {})


def place_of_run(run: str) -> dict[str, str]:
    """Place of what is about a run in file names, from its label."""
    return {key: label for key, label in parse_entities(Path(run)).items() if key != "sub"}


def presentations(heard: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Place of each presentation in file names: the entities of its run, and the stimulus.

    Parameters
    ----------
    heard : sequence of (str, str)
        Label of the run and of the stimulus. A stimulus that a run has twice is numbered.
    """
    return [
        {
            **place_of_run(run),
            "stim": safe_label(stimulus),
            "chunk": str(heard[: k + 1].count((run, stimulus)))
            if heard.count((run, stimulus)) > 1
            else "",
        }
        for k, (run, stimulus) in enumerate(heard)
    ]


PREFERENCE = Part("preference")


def repeat_parts(layer_names: Sequence[str]) -> list[Part]:
    """Ceiling from pieces heard repeatedly; layers are the arrays of the fractions."""
    return [Part("repeats"), Part("fraction", names=layer_names)]


def told_of_repeats(repeats: Repeats) -> dict[str, Any]:
    """Whose presentations say the ceiling, and how reliable it is."""
    return {
        "RepeatedStimuli": repeats.shared.stimuli,
        "RepeatsLeftOut": repeats.shared.left_out,
        "ReliableVertices": repeats.shared.n_reliable,
        "CeilingFloor": FLOOR,
    }


def layer_parts(layer_names: Sequence[str], folds: Sequence[str]) -> list[Part]:
    """Maps of all folds together, and of each; layers are their data arrays."""
    held_out = [
        Part("fold", {"stim": safe_label(held)}, layer_names, (slice(None), k))
        for k, held in enumerate(folds)
    ]
    return [Part(names=layer_names), *held_out]


UNCONTROLLED = (
    "a line was taken out of every presentation; slower changes that music and runs have in common"
    " are not controlled"
)


def filter_fields(high_pass: Any) -> dict[str, Any]:
    """How responses and features were filtered, for sidecars."""
    if isinstance(high_pass, Mapping):
        cutoff = high_pass["high_pass"] or None
        return {"DenoisedBefore": dict(high_pass), "HighPassCutoff": cutoff}
    return {"HighPassCutoff": high_pass}


def common_fields(
    tree: OutputTree, record: Record, fits: LayerFits, blocks: Sequence[Block]
) -> dict[str, Any]:
    """Sidecar fields every map of the participant shares."""
    settings = record.settings
    features = tree.features / fits.features_folder
    kept = [tree.uri(features)] if fits.features_folder and features.is_dir() else []
    return {
        "Sources": [*kept, *record.sources],
        "RepetitionTime": blocks[0].tr,
        "Delays": settings["delays"],
        "Crop": settings["crop"],
        "PenaltyGrid": settings["alphas"],
        "PenaltySelection": settings["selection"],
        "HeldOutStimuli": fits.fold_stimuli,
        "Confounds": settings["confounds"],
        **filter_fields(settings["high_pass"]),
        **({} if settings["high_pass"] else {"SlowTrends": UNCONTROLLED}),
        "SmoothingFWHM": settings["smoothing"],
        "CortexMask": settings["cortex_mask"],
        "Null": settings["null"],
        "RandomSeed": settings["random_seed"],
        "SamplingTimes": [
            {"Stimulus": b.stimulus, "Run": b.run, "First": b.times[0], "Count": len(b.times)}
            for b in blocks
        ],
        "StimulusSHA256": record.stimuli,
        "Features": {**record.features, **({"LayerDetails": fits.told} if fits.told else {})},
        "DegenerateVertices": fits.n_degenerate,
        "Warnings": [*record.notes, *fits.warnings],
        "LayerPreferenceMissing": preference_missing(
            settings["layer_depth"], settings["slope_model"]
        ),
        "SettingsHash": settings_hash(dict(settings)),
    }


EVENTS_COLUMNS = {
    "onset": "when the sound began, in seconds after the acquisition of the first volume began",
    "duration": "seconds played",
    "trial_type": "label of the stimulus",
    "audio_start": "second of the audio file at which playing began",
}
RUNS_COLUMNS = {
    "run": "label of the run",
    "stimuli": "stimuli heard in it",
    "onsets_s": "onset of each stimulus, in seconds after the first volume",
    "n_volumes": "volumes in the file",
    "n_dummy": "volumes dropped at the start",
    "n_volumes_with_music": "volumes while music played",
    "repetition_time_s": "repetition time in seconds",
    "repetition_time_source": "where the repetition time comes from",
    "sampling_time_s": "second of each repetition its volume stands for",
    "sampling_time_source": "where the sampling time comes from",
    "bold": "kind of BOLD file and its space",
    "smoothing_mm": "full width at half maximum of the smoothing on the surface, in mm",
    "n_confounds": "confound regressors",
    "confounds": "names of the confound regressors",
    "design_rank": "rank of constant, confounds and drift together",
    "degrees_of_freedom": "volumes kept minus rank",
    "n_outside_cortex": "vertices that the cortex mask leaves out",
    "n_degenerate_vertices": "vertices of the mask that are constant or not finite",
    "tsnr": "temporal signal-to-noise ratio, median over vertices; n/a where the mean was taken "
    "out of the series before",
    "lag_s": "seconds by which auditory cortex follows the loudness of each stimulus: about 5 "
    f"where the onset is right; {UNCLEAR} where lag_p is .01 or more, {AT_EDGE} where the best lag "
    "is the first or the last",
    "lag_r": "highest correlation over lags",
    "lag_p": "how often random phases of the response come as high at their best lag",
    "warnings": "what was noticed",
}
LAG_COLUMNS = {
    "run": "label of the run",
    "stimulus": "label of the stimulus",
    "lag_s": "seconds by which the response is taken after the sound",
    "r": "correlation of the mean response around Heschl's gyrus with the loudness of the music",
}
DESIGN_COLUMNS = {
    "run": "label of the run",
    "volume": "number of the volume, from 0",
    "framewise_displacement": "head motion since the volume before, in mm",
    "std_dvars": "standardized DVARS of the preprocessed volume",
}
LAYERS_COLUMNS = {
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "n_units": "units per patch",
    "n_constant_units": "units that do not vary within any stimulus",
    "effective_rank": "participation ratio of the kernel's eigenvalues",
    "edge_low": "share of vertex-folds at the smallest penalty",
    "edge_high": "share of vertex-folds at the largest penalty",
    "mean_r": "mean accuracy over vertices",
    "max_r": "highest accuracy",
    "share_q05": "share of vertices with q < .05",
    "similarity_r": "highest correlation of the features of a stimulus with those of the others of "
    "its length: shared courses would leak between folds; n/a where all lengths differ",
    "similarity_p": "smallest p of these correlations times their number, phase rotation",
}
PREDICTED_COLUMNS = {
    "stimulus": "label of the stimulus",
    "presentation": "number of the presentation, by the labels of the stimuli",
    "held_out": "what no model of these rows was fitted to",
    "time_s": "second of the stimulus",
    "hemisphere": "L or R",
    "vertex": "number of the vertex in its hemisphere, from 0",
    "layer": "layer of the model",
    "measured": "cleaned response, in standard deviations of the held-out presentation",
    "predicted": "what the model says of it",
}
PREFERENCE_COLUMNS = {
    "measure": "slope or curvature",
    "n_vertices": "vertices with a value",
    "mean": "mean over vertices",
    "sd": "standard deviation over vertices",
    "lowest": "lowest value",
    "highest": "highest value",
}

REPEATS_COLUMNS = {
    "name": "name of the layer",
    "n_vertices": "vertices where the ceiling from repeated presentations is reliable (p corrected "
    f"over vertices < .05) and above {FLOOR:g}",
    "mean_r": "mean accuracy over them, pieces heard repeatedly",
    "ceiling": "mean ceiling over them",
    "fraction": "mean accuracy over mean ceiling",
}


def _planned_responses(scope: Scope) -> list[Part]:
    n_rows = [round(p.duration / run.tr) for run in scope.music for p in run.presentations]
    places = presentations([(r.label, p.stimulus) for r in scope.music for p in r.presentations])
    return [
        Part(),
        _quality([run.label for run in scope.music]),
        *(Part("presentation", e, [""] * n) for e, n in zip(places, n_rows, strict=True)),
        *(Part("run", place_of_run(run.label)) for run in scope.music),
    ]


def _planned_subcortex(scope: Scope) -> Iterator[Path]:
    """Files about subcortical voxels, besides sidecars."""
    if not scope.config.model.has_voxels:
        return
    tree, who = OutputTree(scope.config.output_dir), scope.participant
    space = Voxels.of(scope.config.model).space(scope.music)
    folds = ["+".join(held) for held in held_out_stimuli(scope.heard, scope.durations)]
    missing = preference_missing(scope.depth, scope.config.statistics.slope_model)
    yield from planned_files(tree, who, scope.model, folds, space, slope=not missing)
    for place in presentations(
        [(r.label, p.stimulus) for r in scope.music for p in r.presentations]
    ):
        yield series_path(tree, who, place, space)


def _planned_models(scope: Scope) -> list[Part]:
    folds = ["+".join(held) for held in held_out_stimuli(scope.heard, scope.durations)]
    missing = preference_missing(scope.depth, scope.config.statistics.slope_model)
    parts = [*layer_parts(scope.layers, folds), *([] if missing else [PREFERENCE])]
    # Whether their volumes fall on the same seconds of the music is seen later.
    compared = set(heard_repeatedly(scope.heard)) & set(folds)
    return [*parts, *(repeat_parts(scope.layers) if compared else [])]


RESPONSES = ParticipantAnalysis(
    "cleaned responses",
    needed=lambda scope: bool(scope.music),
    parts=_planned_responses,
    cost=cost_of_responses,
    maps=(
        MapOutput("", "values", desc="clean", each="presentation", of_model=False, suffix="bold"),
        MapOutput("tsnr", "tsnr", each="quality", of_model=False),
        MapOutput("coverage", "coverage", each="quality", of_model=False),
    ),
    tables=(
        TableOutput("summary", "runs", RUNS_COLUMNS, value="summary", of_model=False),
        TableOutput(
            "timeseries",
            "design",
            DESIGN_COLUMNS,
            value="design",
            others="confound regressor",
            of_model=False,
        ),
        TableOutput("timeseries", "lag", LAG_COLUMNS, value="lags", of_model=False),
        TableOutput("events", "", EVENTS_COLUMNS, each="run", value="rows", of_model=False),
    ),
    completed=False,
    sections=response_sections,
)
ENCODING: ParticipantAnalysis = ParticipantAnalysis(
    "encoding models",
    needed=lambda scope: bool(scope.music),
    parts=_planned_models,
    cost=lambda scope: cost_of_models(
        scope, ENCODING.map_bytes(scope) / (FLOAT * scope.n_vertices)
    ),
    maps=(
        *maps_of("", r="", z="", p="", q=""),
        MapOutput(
            "p",
            "p_max",
            "p by refits under random phases, corrected for the maximum over vertices and layers",
            desc="maxt",
            made=lambda scope: scope.config.statistics.null == "phase",
            details={"Draws": "n_refits"},
        ),
        MapOutput("r", "fold_r", each="fold"),
        MapOutput("alpha", "alpha", each="fold"),
        *(
            MapOutput(
                name,
                name,
                desc="layerpref",
                each="preference",
                details={
                    "ReferenceProfile": "reference",
                    "ReferenceVertices": "n_reference",
                    "ReferenceMissing": "reason",
                    "DepthExplained": "explained",
                    "SlopeDoubt": "doubt",
                },
            )
            for name in ("slope", "curvature")
        ),
        *maps_of("preference", "layerpref", centroid="", argmax=""),
        MapOutput("max", "maximum", desc="layerpref", each="preference"),
        MapOutput("ceiling", "ceiling", desc=REPEATS_DESC, each="repeats"),
        MapOutput(
            "p",
            "p_max",
            "whether presentations of the same piece have something in common: p of their mean "
            "correlation, noise of the vertex' own class, corrected over vertices",
            desc=f"{REPEATS_DESC}maxt",
            each="repeats",
        ),
        MapOutput("fraction", "fraction", desc=REPEATS_DESC, each="fraction"),
    ),
    tables=(
        TableOutput("summary", "layers", LAYERS_COLUMNS, value="table"),
        TableOutput("timeseries", "predicted", PREDICTED_COLUMNS, value="predicted"),
        TableOutput("summary", "layerpref", PREFERENCE_COLUMNS, each="preference", value="rows"),
        TableOutput("summary", REPEATS_DESC, REPEATS_COLUMNS, each="repeats", value="rows"),
    ),
    files={
        "weights.h5": lambda scope: bool(scope.config.model.save_weights),
        "parcels.tsv": lambda scope: bool(scope.config.cleaning.parcels),
    },
    further=_planned_subcortex,
    sections=lambda files: [
        *layer_sections(files),
        *repeats_sections(files),
        *participant_subcortex_sections(files),
    ],
)
