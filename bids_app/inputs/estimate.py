"""Costs of a call: memory to within a third, time and disk to about a factor of 2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bids_app.errors import TryAgainError
from bids_app.inputs.records import BoldRun
from bids_app.meshes import N_VERTICES

# Measured by benchmarks/memory.py, every step in a process of its own.
_PROGRAM = 170_000_000
_PAGE = 380_000_000
_FEATURES = 500_000_000
_NETWORK = 2_000_000_000
# Of a vertex: meshes, neighbors and what smoothing, or drawing, makes of them.
_GEOMETRY, _DRAWING = 1200, 2500
# Of a vertex: probabilities of its noise classes and their copies, and the spectrum over theirs.
_NOISE = 4 * (3 * 85 + 26)
# Vertices that are fitted, or cleaned and modeled, together.
_GROUP, _BLOCK = 24_576, 4096
# Double-precision copies of such a block while it is cleaned, and while AR(1) errors are modeled.
_CLEANING, _MODELING = 8, 11
# Copies of the responses of a group; and bytes of a pair of volumes over penalties and folds.
_FITTING, _PENALTIES = 1.5, 340
# Of a map and run: effect and variance, their stack over runs, and a product, in double precision.
_BYTES_PER_FIT = 40
# Measured for 10 to 200 participants, 23 layers on fsaverage5 (docs/reliability.md).
_GROUP_BASE = 450_000_000
_GROUP_COPIES = 10.1
# Maps of joint models, in single precision, beside the choices of every fold.
_JOINT_COPIES = 5
FLOAT = 4


@dataclass(frozen=True)
class Cost:
    """What an analysis of one participant takes; time to about a factor of 2.

    Attributes
    ----------
    seconds : float
        Processor time.
    steps : mapping from str to float
        Bytes of every step, by its function, the program included: within a third.
    disk : float
        Bytes beside its maps.
    shared_seconds, shared_disk : float
        Of what is done once for everybody.
    """

    seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    disk: float = 0.0
    shared_seconds: float = 0.0
    shared_disk: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """What a run over all participants will take.

    Attributes
    ----------
    memory : float
        Bytes at the worst moment, all processes together.
    feature_memory, participant_memory : float
        Bytes of the stimulus side, which works alone, and of one participant's largest step.
    steps : mapping from str to float
        Bytes of every step of a participant, by its function.
    feature_seconds, participant_seconds : float
        Processor time of the stimulus side, which is shared, and of one participant.
    total_seconds : float
        Of everything, spread over the processes.
    cache_bytes, participant_bytes, total_bytes : float
        Disk: the stimulus side, one participant's outputs, and everything.
    """

    memory: float
    feature_memory: float
    participant_memory: float
    feature_seconds: float
    participant_seconds: float
    total_seconds: float
    cache_bytes: float
    participant_bytes: float
    total_bytes: float
    steps: Mapping[str, float] = field(default_factory=dict)


def add_up(people: Sequence[Sequence[Cost]], n_procs: int, *, feature_memory: float) -> Estimate:
    """What all analyses of all participants take together.

    Parameters
    ----------
    people : sequence of sequence of Cost
        Per participant, each analysis; one follows the other.
    n_procs : int
        Processes.
    feature_memory : float
        Bytes of the stimulus side; 0 where there is none.
    """
    own = [sum(cost.seconds for cost in costs) for costs in people]
    disk = [sum(cost.disk for cost in costs) for costs in people]
    shared = max(people, key=lambda costs: sum(cost.shared_seconds for cost in costs))
    shared_seconds = sum(cost.shared_seconds for cost in shared)
    cache = sum(cost.shared_disk for cost in shared)
    steps: dict[str, float] = {}
    for name, taken in (pair for costs in people for cost in costs for pair in cost.steps.items()):
        steps[name] = max(taken, steps.get(name, 0.0))
    memory = max(steps.values(), default=_PROGRAM)
    return Estimate(
        memory=max(feature_memory, min(n_procs, len(people)) * memory),
        feature_memory=feature_memory,
        participant_memory=memory,
        feature_seconds=shared_seconds,
        participant_seconds=max(own),
        total_seconds=(shared_seconds + sum(own)) / n_procs,
        cache_bytes=cache,
        participant_bytes=max(disk),
        total_bytes=cache + sum(disk),
        steps=steps,
    )


def check_memory(costs: Estimate, memory: int | None) -> None:
    """Refuse a run of which a single step does not fit.

    Parameters
    ----------
    costs : Estimate
    memory : int or None
        Bytes the user allows; None for no limit.

    Raises
    ------
    TryAgainError
    """
    needed = max(costs.feature_memory, costs.participant_memory)
    what = "the music" if needed == costs.feature_memory else "one participant"
    need_memory(needed, memory, f"for {what}; with it, participants follow one another")


@dataclass(frozen=True)
class Series:
    """Runs of one participant on a mesh, and what steps that work on them hold in memory.

    Attributes
    ----------
    space : str
        Mesh.
    volumes, longest : int
        Of all runs together, and of the longest.
    n_rows : int
        Volumes with music.
    """

    space: str
    volumes: int
    longest: int
    n_rows: int

    @classmethod
    def of(cls, runs: Sequence[BoldRun], n_rows: int, space: str) -> Series:
        """From the runs themselves."""
        lengths = [run.n_volumes for run in runs]
        return cls(space, sum(lengths), max(lengths), n_rows)

    @property
    def _n_vertices(self) -> int:
        return 2 * N_VERTICES[self.space]

    def holding(self, rows: float, *, per_vertex: float = 0.0) -> float:
        """Bytes of a step that holds so many rows of all vertices in single precision."""
        return _PROGRAM + self._n_vertices * (FLOAT * rows + per_vertex)

    @property
    def cleaning(self) -> float:
        """Bytes of reading and cleaning the runs one after the other."""
        block = 8 * _CLEANING * _BLOCK * self.longest
        return self.holding(self.volumes, per_vertex=_GEOMETRY) + block

    def fitting(self, n_maps: float) -> float:
        """Bytes of fitting encoding models that leave so many maps."""
        group = FLOAT * _FITTING * min(_GROUP, self._n_vertices) * self.n_rows
        penalties = _PENALTIES * self.n_rows**2
        return self.holding(self.n_rows + 2 * n_maps, per_vertex=_NOISE) + group + penalties

    def modeling(self, n_runs: int, n_maps: int) -> float:
        """Bytes of linear models of runs, with so many contrasts in each."""
        fits = _BYTES_PER_FIT * n_runs * n_maps
        block = 8 * _MODELING * _BLOCK * self.longest
        return self.holding(2 * self.longest, per_vertex=_GEOMETRY + fits) + block


def page_memory(space: str, n_maps: float) -> float:
    """Bytes of drawing a participant's page of so many maps."""
    return _PAGE + (_DRAWING + FLOAT * n_maps) * 2 * N_VERTICES[space]


def feature_memory(*, network: bool) -> float:
    """Bytes of the stimulus side, of twenty minutes of music."""
    return _NETWORK if network else _FEATURES


def score_memory(costs: Estimate) -> float:
    """Bytes that predicting everybody's ratings from the layers takes."""
    return _PROGRAM + 1.5 * costs.cache_bytes


def group_memory(n_participants: int, n_layers: int, space: str) -> float:
    """Bytes that the group level of one model takes, in one process.

    It is linear in the participants: their maps are held at once, some of them in double precision.
    """
    return _GROUP_BASE + _GROUP_COPIES * n_participants * n_layers * 2 * N_VERTICES[space] * FLOAT


def joint_memory(n_participants: int, n_models: int, n_folds: int, space: str) -> float:
    """Bytes that the group level takes for joint models of layers.

    Of every model accuracy in single and double precision, unique accuracy in double, and the
    choices of every fold, which are copied twice. It is counted from the arrays, not measured.
    """
    copies = _JOINT_COPIES + 3 * n_folds
    return _GROUP_BASE + copies * n_participants * n_models * 2 * N_VERTICES[space] * FLOAT


def check_group_memory(needed: float, memory: int | None, n_participants: int) -> None:
    """Refuse a group that does not fit.

    Raises
    ------
    TryAgainError
    """
    need_memory(needed, memory, f"for the maps of {n_participants} participants")


def need_memory(needed: float, memory: int | None, what: str) -> None:
    """Refuse a step that does not fit.

    Parameters
    ----------
    needed : float
        Bytes.
    memory : int or None
        Bytes the user allows; None for no limit.
    what : str
        What they are for: ``for one participant``.

    Raises
    ------
    TryAgainError
    """
    if memory is not None and needed > memory:
        raise TryAgainError(
            "There is not enough memory.",
            where="--mem",
            found=f"{memory / 1e9:.1f} GB",
            wanted=f"{needed / 1e9:.1f} GB {what}",
            remedy=f"give --mem {math.ceil(needed / 1e9)} or more, on a machine that has it",
        )
