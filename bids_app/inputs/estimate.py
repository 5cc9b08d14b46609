"""What a call will take in memory, time and disk, to about a factor of 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bids_app.errors import TryAgainError
from bids_app.inputs.records import BoldRun
from bids_app.outputs import N_VERTICES

_BASE_MEMORY = 700_000_000
_FEATURE_MEMORY = 2_000_000_000
# Copies of the responses that are there at once: read, cleaned, smoothed (float64), standardized.
_RESPONSE_COPIES = 6
# Measured for 300 and 600 volumes on fsaverage5: read, percent, smoothed, blocks of a model.
_GLM_COPIES = 7
# Of a map and run: effect and variance, their stack over runs, and a product, in double precision.
_BYTES_PER_FIT = 40
# Measured for 10 to 200 participants, 23 layers on fsaverage5 (docs/reliability.md).
_GROUP_BASE = 450_000_000
_GROUP_COPIES = 10.1
FLOAT = 4


@dataclass(frozen=True)
class Cost:
    """What an analysis of one participant takes, to about a factor of 2.

    Attributes
    ----------
    seconds : float
        Processor time.
    memory : float
        Bytes of its largest step, the program included.
    disk : float
        Bytes beside its maps.
    shared_seconds, shared_disk : float
        Of what is done once for everybody.
    """

    seconds: float = 0.0
    memory: float = 0.0
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
        Bytes of the stimulus side, which works alone, and of one participant.
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


def add_up(people: Sequence[Sequence[Cost]], n_procs: int, *, with_features: bool) -> Estimate:
    """What all analyses of all participants take together.

    Parameters
    ----------
    people : sequence of sequence of Cost
        Per participant, each analysis; one follows the other.
    n_procs : int
        Processes.
    with_features : bool
        Whether there is a stimulus side.
    """
    own = [sum(cost.seconds for cost in costs) for costs in people]
    disk = [sum(cost.disk for cost in costs) for costs in people]
    shared = max(people, key=lambda costs: sum(cost.shared_seconds for cost in costs))
    shared_seconds = sum(cost.shared_seconds for cost in shared)
    cache = sum(cost.shared_disk for cost in shared)
    memory = max(cost.memory for costs in people for cost in costs)
    feature_memory = _FEATURE_MEMORY if with_features else 0.0
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


def response_memory(n_rows: int, space: str) -> float:
    """Bytes that responses of so many volumes take while they are cleaned and fitted."""
    return _BASE_MEMORY + _RESPONSE_COPIES * n_rows * 2 * N_VERTICES[space] * FLOAT


def glm_memory(runs: Sequence[BoldRun], n_maps: int, space: str) -> float:
    """Bytes that linear models of one participant's runs take.

    Parameters
    ----------
    runs : sequence of BoldRun
    n_maps : int
        Contrasts of each run, those of all models together.
    space : str
        Mesh.
    """
    n_vertices = 2 * N_VERTICES[space]
    longest = max(run.n_volumes for run in runs)
    fits = _BYTES_PER_FIT * len(runs) * n_maps * n_vertices
    return _BASE_MEMORY + _GLM_COPIES * longest * n_vertices * FLOAT + fits


def score_memory(costs: Estimate) -> float:
    """Bytes that predicting everybody's ratings from the layers takes."""
    return _BASE_MEMORY + 2 * costs.cache_bytes


def group_memory(n_participants: int, n_layers: int, space: str) -> float:
    """Bytes that the group level of one model takes, in one process.

    It is linear in the participants: their maps are held at once, some of them in double precision.
    """
    return _GROUP_BASE + _GROUP_COPIES * n_participants * n_layers * 2 * N_VERTICES[space] * FLOAT


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
