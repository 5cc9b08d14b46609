"""The writer of group results: maps, tables, and the settings file of an analysis."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.folder.read import read_record
from bids_app.analyses.folder.write import Closing, write_map, write_table
from bids_app.analyses.group.analysis import OVER_MUSIC, RESPONSES, Reads, call
from bids_app.config import settings_hash
from bids_app.files import read_json, sha256_of_file, write_json
from bids_app.meshes import MESHES
from bids_app.outputs import (
    OutputTree,
    cifti_fields,
    cifti_of,
    fitted_label,
    has_others_weights,
    hemispheres_of,
    labeled,
    map_sidecar,
    sidecar_of,
)
from bids_app.surface.atlas import Atlas
from bids_app.surface.grayordinates import write_pscalar

LOGGER = logging.getLogger("bids_app.analyses")

TRAINED_ON_OTHERS = (
    "weights and penalties from the mean z-scored response of all other participants, scored on "
    "the participant's own held-out stimulus; t over participants is multiplied by "
    "sqrt((n - 2) / (2 (n - 1))), since everybody trains everybody else"
)
"""What sidecars say of results with the others' weights."""


class GroupSource(Protocol):
    """Who a group result is about."""

    @property
    def model(self) -> str:
        """Model label."""

    @property
    def space(self) -> str:
        """Mesh of the maps."""

    @property
    def participants(self) -> Sequence[str]:
        """Labels without prefix."""

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """Participant_id and the checksum of an input, sha256_left, of each; or none."""


def _guess(tree: OutputTree, data: GroupSource) -> dict[str, str]:
    """That the features of the model are guessed, as its participants' records have it."""
    paths = (tree.participant_settings(who, fitted_label(data.model)) for who in data.participants)
    known = next((read_record(path) for path in paths if path.is_file()), {})
    features = known.get("Features")
    guess = features.get("Guess") if isinstance(features, Mapping) else None
    return {"Guess": str(guess)} if guess else {}


class GroupWriter:
    """Writes the files of one group analysis with what they share.

    Parameters
    ----------
    tree : OutputTree
    data : GroupSource
    settings : mapping
        Of this analysis.
    desc, label : str
        Of the file that marks it as complete; the label, of a gradient or an atlas, is in the name
        of every file.
    also : mapping
        Fields of that file about what else it rests on: an earlier result with others is of other
        inputs.
    """

    def __init__(
        self,
        tree: OutputTree,
        data: GroupSource,
        settings: Mapping[str, Any],
        *,
        desc: str = "",
        label: str = "",
        also: Mapping[str, Any] | None = None,
    ) -> None:
        self.tree, self.label = tree, label
        self.done = tree.group_table("settings.json", model=data.model, desc=labeled(desc, label))
        self._closing = Closing(tree, self.done)
        self.settings, self.also = dict(settings), dict(also or {})
        self.model, self.space = data.model, data.space
        self.participants = [f"sub-{name}" for name in data.participants]
        self.inputs = {row["participant_id"]: row["sha256_left"] for row in data.rows}
        self.written: list[Path] = []
        self.earlier = self._earlier()
        claimed = tree.model_settings(fitted_label(data.model))
        known = read_record(claimed, Settings=dict)["Settings"] if claimed.exists() else {}
        self.cortex = known.get("cortex_mask")
        others = has_others_weights(data.model)
        self.of_model = {"TrainedOn": TRAINED_ON_OTHERS} if others else {}
        self.of_model |= _guess(tree, data)
        self.layer_names: Sequence[str] = getattr(data, "layer_names", ())
        self.rest_on((), of_features=False)

    def rest_on(self, reads: Reads, *, of_features: bool, also: Iterable[str] = ()) -> None:
        """Say what is written from here on rests on; see `GroupAnalysis`.

        Parameters
        ----------
        reads : sequence of mappings
        of_features : bool
        also : iterable of str
            URIs of further files, as of a gradient, that tables rest on.
        """
        own = has_others_weights(self.model)  # the fits are the group's own
        self._reads, self._of_features = ((RESPONSES,), True) if own else (reads, of_features)
        self._also = sorted(also)

    def _sources(self, participants: Iterable[str], reads: Reads, of_features: bool) -> list[str]:
        """URIs of these participants' files, and of the features of the music they rest on."""
        paths: set[Path] = set()
        models = {fitted_label(self.model), *(one["model"] for one in reads if one.get("model"))}
        for who in participants:
            label = who.removeprefix("sub-")
            for wanted in reads:
                paths.update(self._files_of(label, {"model": fitted_label(self.model), **wanted}))
            for done in (self.tree.participant_settings(label, model) for model in models):
                if of_features and done.is_file():
                    name = str(read_record(done).get("FeaturesFolder") or "")
                    paths |= {self.tree.features / name} if name else set()
        return sorted(self.tree.uri(path) for path in paths if path.exists())

    def _files_of(self, participant: str, named: Mapping[str, str]) -> list[Path]:
        """Files of a participant, both hemispheres of maps; see `Reads`."""
        if "." in named.get("suffix", ""):
            return self.tree.find_files(participant, **named)
        left = self.tree.find_maps(participant, "L", self.space, **named)
        return [path for one in left for path in hemispheres_of(one)]

    def _features_of_before(self, left: Path) -> set[str]:
        """Features that an earlier map of the same inputs names, whether there or not."""
        before = sidecar_of(left)
        known = read_json(before).get("Sources", []) if self.same and before.is_file() else []
        return {uri for uri in known if uri.startswith(f"{self.tree.uri(self.tree.features)}/")}

    def outputs(
        self,
        declared: Sequence[MapOutput | TableOutput],
        result: Any,
        given: Mapping[str, Any],
    ) -> None:
        """What is declared, as far as the result has it; rows of tables are made from `given`."""
        tested = getattr(given.get("music"), "q", None) is not None
        for output in declared:
            over_music = output.over_music and tested
            if isinstance(output, TableOutput):
                rows = result if output.rows is None else call(output.rows, given)
                self.table(
                    output.suffix,
                    output.columns,
                    rows,
                    desc=output.desc,
                    model=self.model if output.of_model else "",
                    reads=output.reads,
                    over_music=over_music,
                )
                continue
            values = _attribute(result, output.value)
            if values is None:
                continue
            fields = {name: _attribute(result, path) for name, path in output.details.items()}
            if output.description:
                fields["description"] = output.description
            names = self.layer_names if np.ndim(values) == 2 else [output.name or output.stat]
            model = self.model if output.of_model else ""
            fields |= {"model": model, "over_music": over_music}
            self.statmap(output.stat, values, names, desc=output.desc, **fields)

    def statmap(
        self,
        stat: str,
        values: ArrayLike,
        names: Sequence[str],
        *,
        desc: str = "",
        feature: str = "",
        model: str | None = None,
        reads: Reads | None = None,
        over_music: bool = False,
        **fields: Any,
    ) -> None:
        """Both hemispheres of one map, (n_arrays, n_vertices) or (n_vertices,), with sidecars.

        These say participants, settings and sources, unless `fields` do; `reads` are the files
        that this one rests on where the analysis does not say it.
        """
        entities = {
            "model": self.model if model is None else model,
            "feature": feature,
            "stat": stat,
            "desc": labeled(desc, self.label),
        }
        if "SettingsHash" not in fields:
            own = {"Participants": self.participants, "SettingsHash": settings_hash(self.settings)}
            fields = own | fields
        if self.cortex is not None:
            fields["CortexMask"] = self.cortex
        fields |= self.of_model
        path_of = partial(self.tree.group_map, space=self.space, **entities)
        if "Sources" not in fields:
            people = fields.get("Participants", self.participants)
            left = self.tree.group_map("L", self.space, **entities)
            fields["Sources"] = self._rests_on(left, people, reads, over_music)
        sidecar = map_sidecar(stat, list(names), **fields)
        self.written += write_map(path_of, np.atleast_2d(values), names, sidecar, space=self.space)

    def _rests_on(
        self, path: Path, participants: Iterable[str], reads: Reads | None, over_music: bool
    ) -> list[str]:
        """The `Sources` of a file."""
        of_features = self._of_features or over_music
        chosen = self._reads if reads is None else reads
        chosen = (*chosen, *OVER_MUSIC) if over_music else chosen
        found = self._sources(participants, chosen, of_features)
        before = self._features_of_before(path) if of_features else set()
        return sorted({*found, *before})

    def parcels(
        self,
        stat: str,
        values: NDArray[np.floating],
        names: Sequence[str],
        atlas: Atlas,
        regions: Sequence[int],
        *,
        desc: str,
    ) -> None:
        """Values of regions, (n_maps, n_regions), as CIFTI where the mesh has such files."""
        if not MESHES[self.space].cifti:
            return
        entities = {"model": self.model, "stat": stat, "desc": labeled(desc, self.label)}
        if not np.isfinite(values).any():
            return
        path = cifti_of(self.tree.group_map("L", self.space, **entities), "pscalar")
        write_pscalar(path, values, names, atlas, regions)
        sources = [*self._rests_on(path, self.participants, None, False), *self._also]
        told = map_sidecar(
            stat, list(names), **atlas.record, **cifti_fields(self.space), Sources=sources
        )
        self.written += [path, write_json(sidecar_of(path), told)]

    def table(
        self,
        suffix: str,
        columns: Mapping[str, str],
        rows: Rows,
        *,
        desc: str,
        feature: str = "",
        model: str | None = None,
        reads: Reads | None = None,
        over_music: bool = False,
        **extra: Any,
    ) -> None:
        """A TSV file and the dictionary of its columns; `model` is the writer's unless given.

        `reads` and `over_music` as of `statmap`; participants are those that `extra` names.
        """
        entities = {
            "model": self.model if model is None else model,
            "feature": feature,
            "desc": labeled(desc, self.label),
        }
        path = self.tree.group_table(f"{suffix}.tsv", **entities)
        of_model = self.of_model if entities["model"] == self.model else {}
        people = extra.get("Participants", self.participants)
        sources = [*self._rests_on(path, people, reads, over_music), *self._also]
        told = {"Sources": sources, **of_model, **extra}
        self.written += write_table(path, columns, rows, told)

    def begin(self) -> None:
        """From here to `finish` the analysis is not complete."""
        self._closing.begin()

    def finish(self, **fields: Any) -> None:
        """The file that marks the analysis as complete, with what `fields` say of it.

        What an earlier result has beside it stays where it is of the same inputs, and goes else.
        """
        rest = [path for path in self.earlier if path not in self.written and path.is_file()]
        if not self.same:
            for path in rest:
                path.unlink()
            rest = []
        for path in [path for path in rest if sha256_of_file(path) != self.held.get(path)]:
            LOGGER.warning("group: %s is not as it was written, and is removed", path)
            rest.remove(path)
            path.unlink()
        inputs = ({"InputsSHA256": self.inputs} if self.inputs else {}) | self.also
        stays = {"OfEarlierResult": sorted(path.name for path in rest)} if rest else {}
        told = {"Participants": self.participants, **inputs, **stays, **self.of_model, **fields}
        # Maps of no model, as of the inter-subject correlation, may be those of another's call.
        of_all = [path for path in self._of_all() if path not in self.written] if self.same else []
        rest += [path for path in of_all if sha256_of_file(path) == self.held[path]]
        self._closing.finish(self.settings, [*self.written, *rest], leave=of_all, **told)
        self.written.append(self.done)

    def _of_all(self) -> list[Path]:
        """Files that the earlier result has and that name no model."""
        return [
            path
            for path in self.held
            if path.name.startswith(("group_", "tpl-"))
            and "model-" not in path.name
            and path.is_file()
        ]

    def _earlier(self) -> list[Path]:
        """Files of the result that is there; `same` says whether it is of the same inputs."""
        self.same, self.held = False, dict[Path, str]()
        if not self.done.is_file():
            return []
        known = read_record(self.done, Participants=list)
        self.same = (
            known.get("SettingsHash") == settings_hash(self.settings)
            and sorted(map(str, known["Participants"])) == sorted(self.participants)
            and known.get("InputsSHA256", {}) == self.inputs
            and all(known.get(name) == value for name, value in self.also.items())
        )
        # Files of no model may be another one's; participants' files are never the group's.
        outputs = known.get("Outputs")
        if isinstance(outputs, dict):
            self.held = {self.tree.root / name: str(sha) for name, sha in outputs.items()}
        return [
            self.tree.root / str(name)
            for name in outputs or []
            if str(name).startswith(("group_", "tpl-"))
            and ".." not in str(name)
            and f"model-{self.model}_" in str(name)
        ]


def _attribute(result: Any, path: str) -> Any:
    """The attribute of an attribute; None where there is none on the way."""
    for name in path.split("."):
        result = None if result is None else getattr(result, name)
    return result
