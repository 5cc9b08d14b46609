"""What a participant's run leaves in the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.records import Record
from bids_app.analyses.folder.write import Rows, described, write_map, write_rows, write_settings
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.preference import PreferenceMaps, preference_missing
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.config import Cleaning, settings_hash
from bids_app.files import write_json
from bids_app.outputs import OutputTree, map_sidecar, safe_label, sidecar_of


def write_participant(
    tree: OutputTree,
    record: Record,
    fits: LayerFits,
    preference: PreferenceMaps | None,
    blocks: Sequence[Block],
    *,
    shared: Sequence[Path] = (),
) -> list[Path]:
    """Write a model's maps and table; the settings file comes last and marks completion.

    `shared` are the files of `write_responses`, without which a model is not complete.

    Returns
    -------
    list of Path
        Every file of the model.
    """
    # A half-finished rewrite must not look complete.
    tree.participant_settings(record.participant, record.model).unlink(missing_ok=True)
    writer = ParticipantWriter(tree, record, _common_fields(record, fits, blocks))
    writer.written += shared
    for stat in ("r", "z", "p", "q"):
        writer.statmap(stat, getattr(fits, stat), fits.layer_names)
    if fits.p_max is not None:
        text = "p by refits under random phases, corrected for the maximum over vertices and layers"
        extra = {"description": text, "Draws": record.settings["n_nulls"]}
        writer.statmap("p", fits.p_max, fits.layer_names, desc="maxt", sidecar=extra)
    for fold, stimulus in enumerate(fits.fold_stimuli):
        held = safe_label(stimulus)
        writer.statmap("r", fits.fold_r[:, fold], fits.layer_names, stim=held)
        writer.statmap("alpha", fits.alpha[:, fold], fits.layer_names, stim=held)
    if preference is not None:
        _write_preference(writer, preference)
    path = tree.model_summary(record.participant, record.model)
    writer.table(path, fits.table, LAYERS_COLUMNS)
    writer.settings(
        FeaturesFolder=fits.features_folder,
        HeldOutStimuli=fits.fold_stimuli,
        DegenerateVertices=fits.n_degenerate,
        LayerAverageSDRatio=fits.average_sd_ratio,
        LayerPreferenceMissing=preference_missing(len(fits.r)),
        ReferenceVertices=0 if preference is None else preference.n_reference,
        ReferenceMissing="" if preference is None else preference.reason,
    )
    return writer.written


def _write_preference(writer: ParticipantWriter, preference: PreferenceMaps) -> None:
    reference = {
        "ReferenceProfile": preference.reference,
        "ReferenceVertices": preference.n_reference,
        "ReferenceMissing": preference.reason,
    }
    for stat, values in (
        ("slope", preference.slope),
        ("centroid", preference.centroid),
        ("argmax", preference.argmax),
        ("max", preference.maximum),
    ):
        extra = reference if stat == "slope" else {}
        writer.statmap(stat, values[None], [stat], desc="layerpref", sidecar=extra)


def write_responses(tree: OutputTree, record: Record, prepared: Prepared) -> list[Path]:
    """Write cleaned responses and the tables of the runs, which all models share.

    Returns
    -------
    list of Path
        Every file written.
    """
    settings = {f.name: record.settings[f.name] for f in fields(Cleaning)}
    writer = ParticipantWriter(tree, record, {"SettingsHash": settings_hash(settings)})
    _write_blocks(writer, prepared.blocks)
    participant = record.participant
    writer.table(tree.runs_summary(participant), prepared.summary, RUNS_COLUMNS)
    if prepared.design:
        names = {name: "confound regressor" for row in prepared.design for name in row}
        writer.table(tree.design(participant), prepared.design, names | DESIGN_COLUMNS)
    if prepared.lags:
        writer.table(tree.lag_curves(participant), prepared.lags, LAG_COLUMNS)
    return writer.written


class ParticipantWriter:
    """Writes a participant's files and remembers which."""

    def __init__(self, tree: OutputTree, record: Record, common: Mapping[str, Any]) -> None:
        self.tree = tree
        self.record = record
        self.common = common
        self.written: list[Path] = []

    @property
    def space(self) -> str:
        """Mesh of the maps."""
        return str(self.record.settings["space"])

    def statmap(
        self,
        stat: str,
        data: NDArray[np.floating],
        names: Sequence[str],
        *,
        sidecar: Mapping[str, Any] | None = None,
        **entities: str,
    ) -> None:
        """Both hemispheres of one map with their sidecars."""
        entities |= {"model": self.record.model, "stat": stat}
        content = map_sidecar(stat, self.space, list(names), **self.common, **(sidecar or {}))
        path_of = partial(
            self.tree.participant_map, self.record.participant, space=self.space, **entities
        )
        self.written += write_map(path_of, data, names, content)

    def table(self, path: Path, rows: Rows, columns: Mapping[str, str]) -> None:
        """A TSV file of whatever the rows have, and the JSON dictionary of its columns."""
        write_rows(path, rows)
        self.written += [path, write_json(sidecar_of(path), described(columns))]

    def settings(self, **fields: Any) -> None:
        """The file that marks a participant as complete, with what `fields` say of the result."""
        record = self.record
        path = self.tree.participant_settings(record.participant, record.model, record.desc)
        told = {"Inputs": record.inputs, "Stimuli": record.stimuli, "Features": record.features}
        write_settings(self.tree, path, record.settings, self.written, **told, **fields)
        self.written.append(path)


def _common_fields(record: Record, fits: LayerFits, blocks: Sequence[Block]) -> dict[str, Any]:
    """Sidecar fields every map of the participant shares."""
    settings = record.settings
    return {
        "Sources": list(record.sources),
        "RepetitionTime": blocks[0].tr,
        "Delays": settings["delays"],
        "Crop": settings["crop"],
        "PenaltyGrid": settings["alphas"],
        "PenaltySelection": settings["selection"],
        "HeldOutStimuli": fits.fold_stimuli,
        "Confounds": settings["confounds"],
        "HighPassCutoff": settings["high_pass"],
        "SmoothingFWHM": settings["smoothing"],
        "Null": settings["null"],
        "RandomSeed": settings["random_seed"],
        "SamplingTimes": [
            {"Stimulus": b.stimulus, "Run": b.run, "First": b.times[0], "Count": len(b.times)}
            for b in blocks
        ],
        "StimulusSHA256": record.stimuli,
        "Features": record.features,
        "DegenerateVertices": fits.n_degenerate,
        "LayerPreferenceMissing": preference_missing(len(fits.r)),
        "SettingsHash": settings_hash(dict(settings)),
    }


def _write_blocks(writer: ParticipantWriter, blocks: Sequence[Block]) -> None:
    """Cleaned responses per presentation; repeats of a stimulus are numbered."""
    labels = [block.stimulus for block in blocks]
    for index, block in enumerate(blocks):
        entities = {"stim": safe_label(block.stimulus)}
        if labels.count(block.stimulus) > 1:
            entities["run"] = str(labels[: index + 1].count(block.stimulus))
        path_of = partial(
            writer.tree.participant_bold, writer.record.participant, space=writer.space, **entities
        )
        sidecar = {
            "Description": "confounds and drift regressed out, smoothed on the surface; "
            "volumes with music only",
            "RepetitionTime": block.tr,
            "Stimulus": block.stimulus,
            "StimulusTimes": block.times,
            "Sources": list(writer.record.sources),
            "SettingsHash": writer.common["SettingsHash"],
        }
        names = [f"{t:.4f} s" for t in block.times]
        writer.written += write_map(path_of, block.values, names, sidecar, tr=block.tr)


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
    "n_degenerate_vertices": "vertices that are constant or not finite",
    "lag_s": "seconds by which auditory cortex follows the loudness of each stimulus: about 5 "
    "where the onset is right",
    "lag_r": "correlation at that lag",
    "lag_p": "how often random phases of the response reach it; no warning from .01 on",
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
    "similarity_p": "smallest p of these correlations, phase rotation",
}
