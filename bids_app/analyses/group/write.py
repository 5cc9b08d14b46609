"""What the group level leaves in the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_record
from bids_app.analyses.folder.write import Rows, write_map, write_settings, write_table
from bids_app.analyses.group.accuracy import GroupAccuracy, GroupPreference
from bids_app.analyses.group.alignment import AlignmentReport, Gradient
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import IscOutcome
from bids_app.analyses.group.music_null import MusicNull
from bids_app.analyses.group.parcels import AtlasSummary, atlas_record, write_atlas
from bids_app.analyses.group.tables import write_analyses, write_flips
from bids_app.analyses.group.write_alignment import (
    left_out,
    write_alignment,
    write_layer_alignment,
    write_spins,
    write_vertices,
)
from bids_app.analyses.participant.preference import SIGNIFICANCE, preference_missing
from bids_app.config import settings_hash
from bids_app.outputs import ALIGNMENT_DESC, PARCELS_DESC, OutputTree, labeled, map_sidecar
from bids_app.surface.atlas import Atlas


def write_group(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    alignments: Sequence[tuple[Gradient, AlignmentReport]],
    synchrony: IscOutcome,
    music: MusicNull,
    atlases: Sequence[AtlasSummary],
    settings: Mapping[str, Mapping[str, Any]],
) -> list[Path]:
    """Write group maps and tables.

    Every gradient and every atlas is an analysis of its own, by its description among `settings`,
    which the results of other gradients and atlases stay beside; what is inferred over
    participants has none. The settings file of each comes last and marks completion.
    """
    previous = _previous_participants(tree, data.model)
    writer = GroupWriter(tree, data, settings[""])
    writer.begin()
    _write_accuracy(writer, data, accuracy, atlases[0].atlas if atlases else None)
    _write_music_null(writer, data, accuracy, music)
    if preference is not None:
        _write_preference(writer, accuracy, preference)
    write_flips(writer, accuracy, preference)
    write_analyses(writer, synchrony, music, accuracy)
    _write_isc(writer, synchrony)
    writer.table("summary", PARTICIPANT_COLUMNS, data.rows, desc="participants")
    writer.finish(
        PreviousParticipants=previous,
        LayerPreferenceMissing=preference_missing(len(data.layer_names)),
    )
    files = list(writer.written)
    if preference is not None:
        for aligned in alignments:
            files += _write_gradient(tree, data, accuracy, preference, aligned, settings)
    for summary in atlases:
        desc = labeled(PARCELS_DESC, summary.atlas.label)
        own = GroupWriter(tree, data, settings[desc], desc=desc)
        own.begin()
        write_atlas(own, data, summary)
        own.finish(Inference=settings_hash(dict(settings[""])))
        files += own.written
    return files


def _write_gradient(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference,
    aligned: tuple[Gradient, AlignmentReport],
    settings: Mapping[str, Mapping[str, Any]],
) -> list[Path]:
    """The alignment with one gradient, and the gradient."""
    gradient, alignment = aligned
    desc = labeled(ALIGNMENT_DESC, gradient.label)
    writer = GroupWriter(tree, data, settings[desc], desc=desc)
    writer.begin()
    writer.statmap(
        "value",
        gradient.values[None],
        ["gradient"],
        desc=labeled("gradient", gradient.label),
        description="cortical gradient on this mesh",
        Gradient=gradient.record,
    )
    write_alignment(writer, data, gradient, alignment, accuracy)
    write_spins(writer, data, alignment, gradient.label)
    write_layer_alignment(writer, data, alignment, gradient.label)
    write_vertices(writer, accuracy, preference, gradient)
    writer.finish(Inference=settings_hash(dict(settings[""])), LeftOut=left_out(alignment))
    return writer.written


class GroupSource(Protocol):
    """Who a group result is about."""

    @property
    def model(self) -> str:
        """Model label."""

    @property
    def space(self) -> str:
        """Mesh of the maps."""

    @property
    def participants(self) -> list[str]:
        """Labels without prefix."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Per participant at least participant_id, and the checksum of an input, sha256_left."""


class GroupWriter:
    """Writes the files of one group analysis with what they share.

    Parameters
    ----------
    tree : OutputTree
    data : GroupSource
    settings : mapping
        Of this analysis.
    desc : str
        Description of the file that marks it as complete.
    """

    def __init__(
        self, tree: OutputTree, data: GroupSource, settings: Mapping[str, Any], *, desc: str = ""
    ) -> None:
        self.tree = tree
        self.done = tree.group_table("settings.json", model=data.model, desc=desc)
        self.settings = dict(settings)
        self.model, self.space = data.model, data.space
        self.participants = [f"sub-{label}" for label in data.participants]
        self.inputs = {row["participant_id"]: row["sha256_left"] for row in data.rows}
        self.written: list[Path] = []

    def statmap(
        self,
        stat: str,
        values: NDArray[np.floating],
        names: Sequence[str],
        *,
        desc: str = "",
        feature: str = "",
        model: str | None = None,
        **fields: Any,
    ) -> None:
        """Both hemispheres of one map with their sidecars."""
        label = self.model if model is None else model
        entities = {"model": label, "feature": feature, "stat": stat, "desc": desc}
        sidecar = map_sidecar(
            stat,
            self.space,
            list(names),
            Participants=self.participants,
            SettingsHash=settings_hash(self.settings),
            **fields,
        )
        path_of = partial(self.tree.group_map, space=self.space, **entities)
        self.written += write_map(path_of, values, names, sidecar)

    def table(
        self,
        suffix: str,
        columns: Mapping[str, str],
        rows: Rows,
        *,
        desc: str,
        **extra: Any,
    ) -> None:
        """A TSV file and the JSON dictionary of its columns."""
        path = self.tree.group_table(f"{suffix}.tsv", model=self.model, desc=desc)
        self.written += write_table(path, columns, rows, extra)

    def begin(self) -> None:
        """From here to `finish` the analysis is not complete."""
        self.done.unlink(missing_ok=True)

    def finish(self, **fields: Any) -> None:
        """The file that marks the analysis as complete, with what `fields` say of it."""
        told = {"Participants": self.participants, "InputsSHA256": self.inputs, **fields}
        write_settings(self.tree, self.done, self.settings, self.written, **told)
        self.written.append(self.done)


def _previous_participants(tree: OutputTree, model: str) -> list[str]:
    """Who was in the group result that is about to be replaced."""
    path = tree.group_table("settings.json", model=model)
    return read_record(path, Participants=list)["Participants"] if path.is_file() else []


def _write_accuracy(
    writer: GroupWriter, data: GroupData, accuracy: GroupAccuracy, atlas: Atlas | None
) -> None:
    names = data.layer_names
    writer.statmap(
        "r", accuracy.mean_r, names, description="back-transformed mean Fisher z of participants"
    )
    writer.statmap("t", accuracy.t, names)
    writer.statmap(
        "p",
        accuracy.p_max_t,
        names,
        desc="maxt",
        description="one-sided sign-flip p, corrected over layers and vertices (max-T)",
        Permutations=accuracy.n_permutations,
    )
    writer.statmap("q", accuracy.q, names)
    writer.statmap(
        "p",
        accuracy.tfce_p,
        names,
        desc="tfce",
        description="one-sided sign-flip p of TFCE (E = 1, H = 2), joint over layers and vertices",
        Permutations=accuracy.n_permutations,
    )
    writer.statmap("r", accuracy.layer_mean_r[None], ["layer mean"], desc="layermean")
    writer.statmap(
        "p",
        accuracy.layer_mean_p[None],
        ["layer mean"],
        desc="layermean",
        description="one-sided sign-flip max-T p of the layer-averaged accuracy",
    )
    writer.statmap("n", accuracy.n[None].astype(np.float32), ["participants"])
    rows = [
        {
            "layer": index + 1,
            "name": name,
            "mean_r": float(np.nanmean(accuracy.mean_r[index, accuracy.mask])),
            "max_r": float(np.nanmax(accuracy.mean_r[index])),
            "n_significant": int((accuracy.p_max_t[index] < 0.05).sum()),
        }
        for index, name in enumerate(names)
    ]
    writer.table("summary", LAYER_COLUMNS, rows, desc="layers")
    clusters = [
        {"cluster": index, **asdict(cluster)}
        for index, cluster in enumerate(accuracy.clusters, start=1)
    ]
    record = {} if atlas is None else atlas_record(atlas)
    writer.table("statmap", CLUSTER_COLUMNS, clusters, desc="clusters", **record)


def _write_music_null(
    writer: GroupWriter, data: GroupData, accuracy: GroupAccuracy, music: MusicNull
) -> None:
    """The claim over music, and where both claims hold."""
    result = music.result
    if result is None:
        return
    names = data.layer_names
    text = "null over music: phases of the responses rotated alike in all participants"
    writer.statmap(
        "p",
        result.p,
        names,
        desc="music",
        description=f"one-sided p, {text}",
        RefitCheck=None if music.check is None else asdict(music.check),
    )
    writer.statmap("q", result.q, names, desc="music", description=f"q per layer, {text}")
    predicted = (accuracy.p_max_t < SIGNIFICANCE) & (result.q < SIGNIFICANCE)
    writer.statmap(
        "n",
        np.where(np.isfinite(accuracy.t[0]), predicted.sum(axis=0), np.nan)[None],
        ["layers"],
        desc="predicted",
        description="layers that predict the vertex: max-T p < .05 and q over music < .05",
    )


def _write_preference(
    writer: GroupWriter, accuracy: GroupAccuracy, preference: GroupPreference
) -> None:
    for stat, values, text in (
        ("slope", preference.mean, "mean residual slope over participants"),
        ("t", preference.t, "t of the residual slope over participants"),
        ("p", preference.p, "two-sided sign-flip max-T p of the residual slope"),
        ("centroid", preference.centroid, "center of mass of the positive group-mean profile"),
        ("argmax", preference.argmax, "best layer of the group-mean profile (display only)"),
        (
            "stability",
            preference.stability,
            "share of bootstrap samples of participants with the same best layer",
        ),
        ("max", preference.maximum, "highest group-mean accuracy over layers"),
    ):
        writer.statmap(
            stat,
            values[None],
            [stat],
            desc="layerpref",
            description=text,
            ReferenceMask=accuracy.mask_kind,
            ReferenceVertices=int(accuracy.mask.sum()),
            HeldOutStimulusCorrelation=preference.held_out_r,
            SplitHalfCorrelation=preference.split_half_r,
            SplitHalfReliability=preference.split_half_reliability,
        )


def _write_isc(writer: GroupWriter, synchrony: IscOutcome) -> None:
    result = synchrony.result
    if result is None:
        return
    fields: dict[str, Any] = {"Stimuli": synchrony.stimuli, "LeftOut": synchrony.reasons}
    for stat, desc, values, text in (
        ("isc", "pairwise", result.pairwise, "mean over pairs of participants"),
        ("isc", "leaveoneout", result.leave_one_out_mean, "each participant with the others' mean"),
        (
            "p",
            "isc",
            result.p,
            "one-sided p of the pairwise mean, participant bootstrap, uncorrected",
        ),
    ):
        writer.statmap(stat, values[None], [desc], desc=desc, model="", description=text, **fields)


PARTICIPANT_COLUMNS = {
    "participant_id": "participant",
    "status": "used, or why not",
    "settings_hash": "hash of the settings behind the maps",
    "sha256_left": "checksum of the left accuracy map",
    "sha256_right": "checksum of the right accuracy map",
    "mean_r": "mean accuracy over layers and vertices",
    "max_r": "highest accuracy",
    "reference_vertices": "significant vertices behind the participant's own reference profile",
    "n_degenerate": "vertices without a result",
}
LAYER_COLUMNS = {
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "mean_r": "mean group accuracy inside the mask",
    "max_r": "highest group accuracy",
    "n_significant": "vertices with max-T p < .05, corrected over layers and vertices",
}
CLUSTER_COLUMNS = {
    "cluster": "number, largest area first",
    "hemisphere": "L or R",
    "n_vertices": "vertices",
    "area": "mm2",
    "peak_vertex": "vertex of the largest t, counted within its hemisphere from 0",
    "peak_value": "t of the layer-averaged accuracy there",
    "mean_value": "mean t, weighted by area",
    "peak_label": "atlas region of the peak",
    "main_label": "atlas region with the largest share of the cluster",
}
