"""Reading an output folder for its pages. Whatever is absent raises with the name of the file."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.config import DEFAULT_FEATURES, Cleaning
from bids_app.errors import LEVEL_AGAIN, BadDataError, MissingInputError, MusencError
from bids_app.files import read_json
from bids_app.labels import safe_label
from bids_app.outputs import (
    ALIGNMENT_DESC,
    CONDITIONS_LABEL,
    OutputTree,
    fitted_label,
    hemispheres_of,
    join_entities,
    labeled,
    sidecar_of,
)
from bids_app.surface.cortex import cortex_text
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import SurfaceMesh, load_mesh

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Rows = list[dict[str, str]]


@lru_cache(maxsize=2)
def _shown_mesh(space: str) -> SurfaceMesh:
    """One mesh for all pages that a process draws, and so one set of views."""
    return load_mesh(space)


class Folder(ABC):
    """Files below one output folder, each read once.

    Parameters
    ----------
    root : Path
        The output folder.
    model : str
        Label of the model shown.
    """

    def __init__(self, root: Path, *, model: str = DEFAULT_FEATURES) -> None:
        self.root = Path(root)
        self.tree = OutputTree(self.root)
        self.model = model

    @cached_property
    def shared_settings(self) -> dict[str, Any]:
        """Settings that all participants' maps of the model share; empty where nothing says."""
        fitted = fitted_label(self.model)
        participants = self.root.glob(f"sub-*/func/*_model-{fitted}_settings.json")
        others = (self.tree.model_settings(name) for name in (fitted, CONDITIONS_LABEL))
        for path in (*others, *sorted(participants)):
            if path.is_file():
                return dict(read_json(path)["Settings"])
        return {}

    @property
    def space(self) -> str:
        """Mesh of the maps, as the settings say."""
        return str(self.shared_settings.get("space", Cleaning.space))

    @property
    def cortex(self) -> str:
        """Which vertices were cortex, in words."""
        record = self.shared_settings.get("cortex_mask")
        return cortex_text(record) if isinstance(record, dict) else "n/a"

    @cached_property
    def preprocessing(self) -> str:
        """Name and version of what preprocessed the data, as the folder's description has them."""
        path = self.root / "dataset_description.json"
        try:
            sources = read_json(path).get("SourceDatasets") or []
        except MusencError:
            sources = []
        found = [str(one.get("Version") or "") for one in sources if isinstance(one, dict)]
        return next((text for text in found if text.lower().startswith("fmriprep")), "fMRIPrep")

    @property
    def mesh(self) -> SurfaceMesh:
        """The mesh itself."""
        return _shown_mesh(self.space)

    @property
    def only_conditions(self) -> bool:
        """Whether conditions are all that was analyzed."""
        own = self.tree.model_settings(CONDITIONS_LABEL)
        return list(own.parent.glob("model-*_settings.json")) == [own]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Content of the file that marks completion."""

    @property
    def preference_missing(self) -> str:
        """Why this model has no layer preference; empty where it has one, or nothing says so."""
        return self._told("LayerPreferenceMissing")

    @property
    def slope_doubt(self) -> str:
        """Why this model's slope cannot be separated from accuracy; empty where it can."""
        return self._told("SlopeDoubt")

    def _told(self, field: str) -> str:
        """A field of the settings file; empty where it is not there or nothing says so."""
        try:
            return str(self.settings.get(field) or "")
        except MusencError:
            return ""

    def name(self, path: Path) -> str:
        """Path as the reader may see it: relative to the output folder."""
        path = Path(path)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else path.name

    def need(self, path: Path) -> Path:
        """The path itself.

        Raises
        ------
        MissingInputError
            If it does not exist.
        """
        if not path.is_file():
            raise MissingInputError(
                "It is not in the output folder", where=self.name(path), remedy=LEVEL_AGAIN
            )
        return path

    def json(self, path: Path) -> dict[str, Any]:
        """Content of a JSON file."""
        return dict(read_json(self.need(path)))

    def cells(self, path: Path) -> tuple[list[str], Rows]:
        """Column names and rows of a TSV file, every cell as its text; there may be no rows."""
        with self.need(path).open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            return list(reader.fieldnames or []), list(reader)

    def table(self, path: Path) -> Rows:
        """Rows of a TSV file.

        Raises
        ------
        MissingInputError, BadDataError
            If it is absent or has no rows.
        """
        rows = self.cells(path)[1]
        if not rows:
            raise BadDataError("A table is empty", where=self.name(path), remedy=LEVEL_AGAIN)
        return rows

    def both(self, left: Path) -> FloatArray:
        """Maps of both hemispheres, (n_arrays, n_vertices), left first."""
        halves = [read_gifti(self.need(path)) for path in hemispheres_of(left)]
        if len(halves[0]) != len(halves[1]):
            raise BadDataError(
                "The hemispheres hold different numbers of maps",
                where=self.name(left),
                remedy=LEVEL_AGAIN,
            )
        return np.hstack(halves).astype(np.float64)

    def both_names(self, left: Path) -> str:
        """Names of both files, for a caption."""
        return self.name(left).replace("hemi-L", "hemi-{L,R}")

    @abstractmethod
    def map_path(self, hemi: str, stat: str, **entities: str) -> Path:
        """File of one hemisphere of a map."""

    def map(self, stat: str, **entities: str) -> FloatArray:
        """A map, (n_arrays, n_vertices)."""
        return self.both(self.map_path("L", stat, **entities))

    def map_label(self, stat: str, **entities: str) -> str:
        """Names of both files of a map, for a caption."""
        return self.both_names(self.map_path("L", stat, **entities))

    @cached_property
    def accuracy(self) -> FloatArray:
        """Mean accuracy per layer, (n_layers, n_vertices)."""
        return self.map("r")

    @cached_property
    def p(self) -> FloatArray:
        """P of the accuracy per layer, (n_layers, n_vertices)."""
        return self.map("p")

    @cached_property
    def sidecar(self) -> dict[str, Any]:
        """Sidecar of the accuracy map."""
        return self.json(sidecar_of(self.map_path("L", "r")))

    @cached_property
    def layer_names(self) -> list[str]:
        """Names of the layers, as the accuracy map's sidecar has them."""
        return [str(name) for name in self.sidecar["DataArrays"]]


def shown_models(found: Sequence[str]) -> list[str]:
    """Models in the order a page shows them: VGGish first, also where nothing was found."""
    return sorted(found or [DEFAULT_FEATURES], key=lambda model: model != DEFAULT_FEATURES)


class ParticipantFiles(Folder):
    """What a participant's run left.

    Parameters
    ----------
    root : Path
        The output folder.
    participant : str
        Label without prefix.
    model : str
        Label of the model shown.
    """

    def __init__(self, root: Path, participant: str, *, model: str = DEFAULT_FEATURES) -> None:
        super().__init__(root, model=model)
        self.participant = participant

    def map_path(self, hemi: str, stat: str, **entities: str) -> Path:
        """File of one hemisphere of a map."""
        return self.tree.participant_map(
            self.participant, hemi, self.space, model=self.model, stat=stat, **entities
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Content of the file that marks completion."""
        return self.json(self.tree.participant_settings(self.participant, self.model))

    @cached_property
    def runs(self) -> Rows:
        """One row per run."""
        return self.table(self.tree.runs_summary(self.participant))

    @cached_property
    def layers(self) -> Rows:
        """One row per layer."""
        return self.table(self.tree.model_summary(self.participant, self.model))

    @property
    def held_out(self) -> list[str]:
        """Labels of the held-out stimuli."""
        return [str(label) for label in self.sidecar["HeldOutStimuli"]]

    def held_out_accuracy(self, stimulus: str) -> FloatArray:
        """Accuracy with one stimulus held out, (n_layers, n_vertices)."""
        return self.map("r", stim=safe_label(stimulus))

    @cached_property
    def responses(self) -> list[tuple[dict[str, Any], FloatArray]]:
        """Cleaned responses, (n_times, n_vertices) per presentation, with their sidecars.

        Raises
        ------
        MissingInputError
            If none was saved.
        """
        folder = self.tree.participant_dir(self.participant)
        found = self.tree.responses(self.participant, self.space)
        if not found:
            raise MissingInputError(
                "No cleaned responses were saved.",
                where=self.name(folder / "*_desc-clean_bold*"),
                remedy="run the participant level again: it saves them",
            )
        order = [str(item["Stimulus"]) for item in self.sidecar["SamplingTimes"]]
        responses = [(self.json(sidecar_of(left)), self.both(left)) for left in found]
        # As they were heard; names sort by letter.
        return sorted(responses, key=lambda item: order.index(str(item[0]["Stimulus"])))

    def own_table(self, suffix: str, **entities: str) -> Path:
        """A table in the participant's folder."""
        stem = join_entities({"sub": self.participant, **entities})
        return self.tree.participant_dir(self.participant) / f"{stem}_{suffix}"

    def quality_map(self, stat: str) -> Path:
        """Left hemisphere of a map of how good the series were, one array per run."""
        return self.tree.participant_map(self.participant, "L", self.space, stat=stat)

    def figure_file(self, stimulus: str) -> Path:
        """Where a drawing of a stimulus is looked for."""
        return stimulus_figure_path(self.root, self.participant, stimulus)


def stimulus_figure_path(output_dir: Path, participant: str, stimulus: str) -> Path:
    """Where a participant's page looks for the drawing of a stimulus."""
    stem = join_entities({"sub": participant, "stim": safe_label(stimulus), "desc": "features"})
    return Path(output_dir) / f"sub-{participant}" / "figures" / f"{stem}_stimulus.png"


class GroupFiles(Folder):
    """What the group level left.

    Parameters
    ----------
    root : Path
        The output folder.
    model : str
        Label of the model shown.
    gradient : str or None
        Label of the gradient whose alignment is shown; None for the first that is there.
    """

    def __init__(
        self, root: Path, *, model: str = DEFAULT_FEATURES, gradient: str | None = None
    ) -> None:
        super().__init__(root, model=model)
        self.gradient = self.gradients[0] if gradient is None else gradient

    @cached_property
    def gradients(self) -> list[str]:
        """Labels of the gradients with results; the default, without a label, where none has."""
        return self.aligned or [""]

    @cached_property
    def aligned(self) -> list[str]:
        """Labels of the gradients with results."""
        return self.tree.group_labels(self.model, ALIGNMENT_DESC)

    def of_gradient(self, desc: str) -> str:
        """Description of what belongs to the gradient shown."""
        return labeled(desc, self.gradient)

    def map_path(self, hemi: str, stat: str, **entities: str) -> Path:
        """File of one hemisphere of a map."""
        return self.tree.group_map(hemi, self.space, model=self.model, stat=stat, **entities)

    def file(self, suffix: str, **entities: str) -> Path:
        """A group table or JSON file."""
        return self.tree.group_table(suffix, model=self.model, **entities)

    def maps(self, pattern: str) -> list[Path]:
        """Left hemispheres of the group's maps with such names, sorted."""
        found = sorted(self.tree.group_folder(self.space).glob(pattern))
        return [path for path in found if "_hemi-L_" in path.name]

    def rows(self, suffix: str, **entities: str) -> Rows:
        """Rows of a group table."""
        return self.table(self.file(suffix, **entities))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Settings of the group level."""
        return self.json(self.file("settings.json"))

    def flips(self, n_participants: int) -> tuple[int, bool]:
        """Sign flips of so many participants, and whether they are all that there are."""
        drawn = int(self.settings.get("Settings", {}).get("n_permutations", 0))
        every = drawn == 0 or 2**n_participants <= drawn
        return (2**n_participants if every else drawn), every

    def smallest_p(self, n_participants: int, *, two_sided: bool = False) -> float:
        """What a sign-flip test of so many participants can reach at best."""
        n_flips, every = self.flips(n_participants)
        return (1 + two_sided) / n_flips if every else 1 / (n_flips + 1)

    def analysis(self, desc: str) -> dict[str, Any]:
        """Settings and participants of an analysis that the folder may have several of."""
        return self.json(self.file("settings.json", desc=desc))

    @cached_property
    def alignment(self) -> dict[str, Any]:
        """The alignment's group statistics."""
        path = self.file("statmap.json", desc=self.of_gradient(ALIGNMENT_DESC))
        content = self.json(path)
        if not isinstance(content.get("Group"), dict):
            raise BadDataError(
                "The alignment's group statistics are not in the file",
                where=self.name(path),
                remedy=LEVEL_AGAIN,
            )
        return dict(content["Group"])


def column(rows: Rows, name: str) -> FloatArray:
    """A numeric column; ``n/a`` becomes NaN.

    Raises
    ------
    BadDataError
        If there is no such column.
    """
    if name not in rows[0]:
        raise BadDataError(
            "A table lacks a column", where=name, found=", ".join(rows[0]), remedy=LEVEL_AGAIN
        )
    return np.array([to_float(row[name]) for row in rows])


def to_float(text: Any) -> float:
    """A number from a cell; NaN where it is none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
