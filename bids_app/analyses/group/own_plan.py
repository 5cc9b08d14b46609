"""Checks of what `--gradient own` needs: resting runs, a template, memory and time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_app.analyses.folder.read import broken_outputs, read_participant
from bids_app.analyses.group.alignment import installed_gradients, load_gradient
from bids_app.analyses.group.collect import check_same_settings
from bids_app.analyses.group.own_gradient import COARSE
from bids_app.config import Config
from bids_app.errors import InvalidInputError, MissingInputError, UsageError
from bids_app.files import sha256_of
from bids_app.inputs.estimate import FLOAT, need_memory
from bids_app.limits import format_bytes
from bids_app.meshes import N_VERTICES
from bids_app.outputs import REST_DESC, OutputTree
from bids_app.resources import choose_gradient

# Measured with 200 volumes on fsaverage5, one participant: 1.2 GB and 29 s.
_BASE = 200_000_000
_BYTES_PER_PAIR = 28  # of seeds: affinity, its copies, and its graph
# Of a vertex and a seed: connectivity and its strongest values, of a volume, and embedding.
_CONNECTING, _OF_VOLUME, _EMBEDDING = 9e-8, 1e-10, 5e-8


@dataclass(frozen=True)
class OwnPlan:
    """Resting runs of a group.

    Attributes
    ----------
    participants : list of str
        Who has cleaned resting runs, sorted.
    without : mapping from participant to str
        Who has maps and none of these, and why.
    space : str
        Mesh.
    template : str
        Option of the gradient that chooses the component.
    inputs : mapping from participant to str
        Checksum of their files.
    runs : mapping from participant to int
    volumes : mapping from participant to int
    rest : str
        Hash of the settings of the cleaned runs.
    """

    participants: list[str]
    without: Mapping[str, str]
    space: str
    template: str
    inputs: Mapping[str, str]
    runs: Mapping[str, int]
    volumes: Mapping[str, int]
    rest: str

    model = ""
    """It belongs to no model."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Participants with the checksum of what is of them."""
        return [
            {"participant_id": f"sub-{who}", "sha256_left": self.inputs[who]}
            for who in self.participants
        ]

    @property
    def memory(self) -> float:
        """Bytes that the step takes."""
        n_vertices, n_seeds = 2 * N_VERTICES[self.space], 2 * N_VERTICES[COARSE]
        longest = 2 * FLOAT * max(self.volumes.values()) * n_vertices
        return _BASE + FLOAT * n_vertices * n_seeds + _BYTES_PER_PAIR * n_seeds**2 + 2 * longest

    @property
    def seconds(self) -> float:
        """Processor time, to about a factor of 2: the group's, and everybody's own."""
        n_pairs = 2 * N_VERTICES[self.space] * 2 * N_VERTICES[COARSE]
        people, volumes = len(self.participants), sum(self.volumes.values())
        twice = 2 * (_CONNECTING * people + _OF_VOLUME * volumes)  # for the group, then for each
        return n_pairs * (twice + _EMBEDDING * (1 + people))

    @property
    def template_name(self) -> str:
        """The template as people call it."""
        chosen = choose_gradient(self.template)
        return chosen.label or chosen.name

    @property
    def text(self) -> str:
        """For the log."""
        minutes = max(1, round(self.seconds / 60))
        people, runs = len(self.participants), sum(self.runs.values())
        return (
            f"own gradient: {runs} resting runs of {people} participants, component chosen by "
            f"{self.template_name}; about {format_bytes(int(self.memory))} of memory and "
            f"{minutes} min of processor time, once"
        )


def plan_own_gradient(
    tree: OutputTree, config: Config, with_maps: Collection[str], spaces: Collection[str]
) -> OwnPlan:
    """Who takes part, and all that would stop it.

    Parameters
    ----------
    tree : OutputTree
    config : Config
    with_maps : collection of str
        Participants of the group.
    spaces : collection of str
        Meshes of their maps.

    Raises
    ------
    UsageError
        If the path of the folder has a comma.
    MissingInputError
        If there is no cleaned resting run or no template, or a file is gone.
    InvalidInputError
        If settings or meshes differ.
    BadDataError
        If a file is not as it was written.
    TryAgainError
        If there is not enough memory.
    """
    if "," in str(tree.root.absolute()):
        raise UsageError(
            "The own gradient cannot be made in a folder whose path has a comma.",
            where="output_dir",
            found=str(tree.root.absolute()),
            wanted="a path without a comma, which parts the files of a gradient",
            remedy="rename or move the output folder, or leave own out of --gradient",
        )
    asked = config.selection.participants
    people = [who for who in tree.participants_of("", REST_DESC) if not asked or who in asked]
    if not people:
        raise MissingInputError(
            "There is no cleaned resting run to make the study's own gradient of.",
            where=tree.root,
            found="no such file",
            wanted=f"sub-*/func/*_desc-{REST_DESC}_settings.json",
            remedy="run the participant level into this folder with --rest-task TASK, or leave "
            "own out of --gradient",
        )
    paths = {who: tree.participant_settings(who, "", REST_DESC) for who in people}
    known = {who: read_participant(path, Volumes=list) for who, path in paths.items()}
    check_same_settings(tree, "", people, list(known.values()), desc=REST_DESC)
    for who in people:
        _check_files(tree, who, known[who])
    space = str(known[people[0]]["Settings"]["space"])
    if others := sorted(set(spaces) - {space}):
        raise InvalidInputError(
            "The resting runs are on another mesh than the maps.",
            where=paths[people[0]],
            found=space,
            wanted=", ".join(others),
            remedy="run the participant level for both with the same --space",
        )
    plan = OwnPlan(
        people,
        {
            who: "no cleaned resting run in the output folder"
            for who in sorted(set(with_maps) - set(people))
        },
        space,
        _template(config.statistics.gradients, space),
        {who: sha256_of(repr(sorted(own["Outputs"].items()))) for who, own in known.items()},
        {who: len(own["Volumes"]) for who, own in known.items()},
        {who: sum(map(int, own["Volumes"])) for who, own in known.items()},
        str(known[people[0]]["SettingsHash"]),
    )
    need_memory(plan.memory, config.running.memory, "for the own gradient")
    return plan


def _check_files(tree: OutputTree, participant: str, stored: Mapping[str, Any]) -> None:
    """All files of a participant's resting runs, series too, are as they were written."""
    for path, problem, _ in broken_outputs(tree, stored):
        raise MissingInputError(
            "A cleaned resting run is not as it was written.",
            where=path,
            found=problem,
            wanted="a file with the checksum in the settings file",
            remedy="run the participant level with --rest-task again for "
            f"sub-{participant}, or leave the participant out with --participant-label",
        )


def _template(gradients: Sequence[str], space: str) -> str:
    """The first gradient that is there, on this mesh.

    Raises
    ------
    MissingInputError
        If there is none.
    """
    there = installed_gradients(gradients)
    if not there:
        raise MissingInputError(
            "No template says which component of the resting runs is the gradient.",
            where="--gradient own",
            found="Margulies' gradient is not installed, and no other one is given",
            wanted="a gradient whose first component is known",
            remedy="run `musenc prefetch`, or give a template beside it: --gradient own "
            "NAME=LEFT.func.gii,RIGHT.func.gii",
        )
    load_gradient(there[0], space)
    return choose_gradient(there[0]).option
