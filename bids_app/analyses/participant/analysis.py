"""Declaration of a participant's analysis: one row has its outputs, inputs and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_app.analyses.declare import MapOutput, Part, TableOutput
from bids_app.config import Config
from bids_app.inputs.estimate import FLOAT, Cost, Series
from bids_app.inputs.records import BoldRun
from bids_app.meshes import MESHES, N_VERTICES
from bids_app.outputs import HEMISPHERES, STATMAP, OutputTree, cifti_of
from bids_app.report.page import Section
from bids_app.report.sources import ParticipantFiles

REFERENCE_ROWS, REFERENCE_VERTICES = 939, 2 * N_VERTICES["fsaverage5"]
"""Of the measurements behind all costs."""


@dataclass(frozen=True)
class Scope:
    """What is known of a participant before any work.

    Attributes
    ----------
    config : Config
    participant : str
    music, trials : sequence of BoldRun
        Runs with music, and those with trials of the conditions.
    durations : mapping from stimulus to float
        Seconds of everything that is heard in the study.
    model : str
        Label of a feature space.
    layers : sequence of str
        Its layers.
    depth : sequence of float
        Depth of these layers; empty where their order is not known.
    scales : sequence of str
        What was asked for, if the participant rated anything.
    rated : set of (str, str)
        Stimulus and scale of every rating.
    contrasts : sequence of str
        Labels of contrasts of conditions.
    rest : sequence of BoldRun
        Resting runs.
    feature : str
        Label of a feature whose lags are scanned.
    """

    config: Config
    participant: str
    music: Sequence[BoldRun] = ()
    trials: Sequence[BoldRun] = ()
    durations: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    layers: Sequence[str] = ()
    depth: Sequence[float] = ()
    scales: Sequence[str] = ()
    rated: AbstractSet[tuple[str, str]] = frozenset()
    contrasts: Sequence[str] = ()
    rest: Sequence[BoldRun] = ()
    feature: str = ""

    @property
    def heard(self) -> list[str]:
        """Stimulus of every presentation."""
        return [p.stimulus for run in self.music for p in run.presentations]

    @property
    def n_rows(self) -> int:
        """Volumes with music."""
        return sum(round(p.duration / run.tr) for run in self.music for p in run.presentations)

    @property
    def series(self) -> Series:
        """Runs with music, for what steps take in memory."""
        return Series.of(self.music, self.n_rows, self.config.cleaning.space)

    @property
    def n_vertices(self) -> int:
        """Of both hemispheres."""
        return 2 * N_VERTICES[self.config.cleaning.space]

    @property
    def fit_scale(self) -> float:
        """Time of a fit, relative to the measurements."""
        return (self.n_rows / REFERENCE_ROWS) ** 2 * self.n_vertices / REFERENCE_VERTICES

    def seconds(self, runs: Sequence[BoldRun], per_volume: float) -> float:
        """Time that runs take, from that of a volume on the mesh of the measurements."""
        volumes = sum(run.n_volumes for run in runs)
        return volumes * per_volume * self.n_vertices / REFERENCE_VERTICES


def _no_sections(files: ParticipantFiles) -> list[Section]:
    return []


def _no_files(scope: Scope) -> Iterator[Path]:
    return iter(())


@dataclass(eq=False)
class ParticipantAnalysis:
    """An analysis of a participant.

    Attributes
    ----------
    name : str
        What it is called in status and settings files.
    needed : callable
        Whether a scope has what it needs.
    parts : callable
        From a scope to the parts that its result will have.
    cost : callable
        What it takes in a scope.
    maps, tables : sequence of outputs
    files : mapping from the end of a name to callable
        What it writes itself, with a sidecar each, and whether it does in a scope.
    model : str
        Model label of its files; empty where there are files of each feature space.
    desc : str
        Of the settings file that marks it as complete; analyses with the same one share it.
    completed : bool
        Whether there is such a file.
    joint : bool
        Whether it is done for each joint model.
    sections : callable
        Its sections of the page.
    further : callable
        Further files that it writes itself in a scope, with a sidecar each.
    of_no_model : bool
        Whether it belongs to no model, and is closed by a file that names none.
    """

    name: str
    needed: Callable[[Scope], bool]
    parts: Callable[[Scope], Sequence[Part]]
    cost: Callable[[Scope], Cost]
    maps: Sequence[MapOutput] = ()
    tables: Sequence[TableOutput] = ()
    files: Mapping[str, Callable[[Scope], bool]] = field(default_factory=dict)
    model: str = ""
    desc: str = ""
    completed: bool = True
    joint: bool = False
    sections: Callable[[ParticipantFiles], list[Section]] = _no_sections
    further: Callable[[Scope], Iterator[Path]] = _no_files
    of_no_model: bool = False

    @property
    def of_spaces(self) -> bool:
        """Whether it is done for each feature space."""
        return self.completed and not (self.model or self.joint or self.of_no_model)

    @property
    def suffixes(self) -> set[str]:
        """What names of its files end in."""
        maps, tables = ({output.suffix for output in some} for some in (self.maps, self.tables))
        return {*maps, *tables, *(ending.split(".")[0] for ending in self.files), "settings"}

    def outputs(self, scope: Scope) -> Iterator[Path]:
        """Every file that it leaves of a participant."""
        tree, who = OutputTree(scope.config.output_dir), scope.participant
        model, space = self.model or scope.model, scope.config.cleaning.space
        for part in self.parts(scope):
            for output in self.maps:
                if output.each == part.each and output.made(scope):
                    names = map_entities(output, part, model)
                    files = [
                        tree.map_file(who, hemi, space, suffix=output.suffix, **names)
                        for hemi in HEMISPHERES
                    ]
                    yield from files
                    if MESHES[space].cifti and output.suffix == STATMAP[0]:
                        yield cifti_of(files[0])
            for table in self.tables:
                if table.each == part.each and table.made(scope):
                    names = table_entities(table, part, model)
                    yield tree.participant_file(who, f"{table.suffix}.tsv", **names)
        for ending, made in self.files.items():
            if made(scope):
                yield tree.mesh_file(who, ending, space, model=model)
        yield from self.further(scope)

    def closing(self, scope: Scope) -> list[Path]:
        """The file that marks it as complete, where there is one."""
        if not self.completed:
            return []
        tree, model = OutputTree(scope.config.output_dir), self.model or scope.model
        return [tree.participant_settings(scope.participant, model, self.desc)]

    def full_cost(self, scope: Scope) -> Cost:
        """Its cost with its maps."""
        cost = self.cost(scope)
        return replace(cost, disk=cost.disk + self.map_bytes(scope))

    def map_bytes(self, scope: Scope) -> int:
        """Size of its maps."""
        n_arrays = sum(
            max(1, len(part.names))
            for part in self.parts(scope)
            for output in self.maps
            if output.each == part.each and output.made(scope)
        )
        copies = 2 if MESHES[scope.config.cleaning.space].cifti else 1
        return copies * n_arrays * scope.n_vertices * FLOAT


def map_entities(output: MapOutput, part: Part, model: str) -> dict[str, str]:
    """Place of a map in file names."""
    of_model = {"model": model} if output.of_model else {}
    return {**of_model, "stat": output.stat, "desc": output.desc, **part.entities}


def table_entities(table: TableOutput, part: Part, model: str) -> dict[str, str]:
    """Place of a table in file names."""
    of_model = {"model": model} if table.of_model else {}
    return {**of_model, "desc": table.desc, **part.entities}
