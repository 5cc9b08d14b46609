"""The writer of a participant's maps and tables, and of the settings file of a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.analyses.declare import MapOutput, Part, Rows, TableOutput
from bids_app.analyses.folder.records import Record
from bids_app.analyses.folder.write import Closing, described, write_map, write_rows
from bids_app.analyses.participant.analysis import (
    ParticipantAnalysis,
    map_entities,
    table_entities,
)
from bids_app.files import write_json
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of


class ParticipantWriter:
    """Writes the files of a participant's results and remembers which.

    Parameters
    ----------
    tree : OutputTree
    record : Record
    common : mapping
        Fields that the sidecars of all maps share.
    """

    def __init__(
        self, tree: OutputTree, record: Record, common: Mapping[str, Any] | None = None
    ) -> None:
        self.tree, self.record, self.common = tree, record, common or {}
        self.done = tree.participant_settings(record.participant, record.model, record.desc)
        self._closing = Closing(tree, self.done)
        self.written: list[Path] = []

    def begin(self) -> None:
        """From here to `finish` the result is not complete."""
        self._closing.begin()

    def write(self, analysis: ParticipantAnalysis, result: Any, parts: Iterable[Part]) -> None:
        """All maps and tables that are declared and that the result has."""
        for part in parts:
            holder = result if part.of is None else part.of
            for output in analysis.maps:
                if output.each == part.each:
                    self._map(output, part, holder)
            for table in analysis.tables:
                if table.each == part.each:
                    self._table(table, part, holder)

    @property
    def basis(self) -> dict[str, Any]:
        """What the result rests on, for `finish`."""
        record = self.record
        return {"Inputs": record.inputs, "Stimuli": record.stimuli, "Features": record.features}

    def finish(self, **fields: Any) -> list[Path]:
        """The file that marks completion, with what `fields` say of the result; all files."""
        self._closing.finish(self.record.settings, self.written, **fields)
        return [*self.written, self.done]

    def _map(self, output: MapOutput, part: Part, holder: Any) -> None:
        values = attrgetter(output.value)(holder)
        if values is None:
            return
        names = list(part.names) or [output.name or output.stat]
        space, sidecar = str(self.record.settings["space"]), dict(part.sidecar)
        if output.stat:
            told = {key: attrgetter(path)(holder) for key, path in output.details.items()}
            if output.description:
                told["description"] = output.description
            sidecar = map_sidecar(output.stat, names, **self.common, **sidecar, **told)
        path_of = partial(
            self.tree.map_file,
            self.record.participant,
            space=space,
            suffix=output.suffix,
            **map_entities(output, part, self.record.model),
        )
        chosen = np.atleast_2d(values[part.index])
        self.written += write_map(path_of, chosen, names, sidecar, space=space, tr=part.tr)

    def _table(self, table: TableOutput, part: Part, holder: Any) -> None:
        found = attrgetter(table.value)(holder)
        rows: Rows = found() if callable(found) else found
        if not rows:
            return
        entities = table_entities(table, part, self.record.model)
        path = self.tree.participant_file(
            self.record.participant, f"{table.suffix}.tsv", **entities
        )
        write_rows(path, rows, list(table.columns) if table.whole else None)
        others = {name: table.others for row in rows for name in row} if table.others else {}
        guess = self.record.features.get("Guess") if table.of_model else None
        own = {"Guess": guess} if guess else {}
        sources = list(self.common.get("Sources", self.record.sources))
        own = {"Sources": sources} | own
        told = {**own, **part.sidecar, **described({**others, **table.columns})}
        self.written += [path, write_json(sidecar_of(path), told)]
