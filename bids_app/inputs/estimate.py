"""What a plan will take in memory, time and disk, to about a factor of 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bids_app.errors import TryAgainError
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import N_VERTICES

N_LAYERS = 23
_FLOAT = 4
_PATCH_SECONDS = 0.96
_MAPS_PER_PARTICIPANT = 4
_MAPS_PER_FOLD = 2

# Measured for 939 volumes on fsaverage5 and 939 s of music (benchmarks/README.md).
_REFERENCE_VOLUMES = 939
_REFERENCE_VERTICES = 2 * N_VERTICES["fsaverage5"]
_LAYER_SECONDS = 5.0
_FEATURE_SECONDS_PER_SECOND = 0.25
_RUN_SECONDS_PER_VOLUME = 0.05
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


def estimate_costs(
    plan: StudyPlan, *, space: str = "fsaverage5", hop: float = 0.48, n_procs: int = 1
) -> Estimate:
    """Estimate memory, time and disk of a plan, features not yet computed.

    Parameters
    ----------
    plan : StudyPlan
    space : str
        Mesh of the maps.
    hop : float
        Seconds between patches.
    n_procs : int
        Processes.

    Returns
    -------
    Estimate
    """
    n_vertices = 2 * N_VERTICES[space]
    n_patches = sum(max(0, int((s.duration - _PATCH_SECONDS) / hop) + 1) for s in plan.stimuli)
    played = {who: 0.0 for who in plan.participants}
    longest = 0
    for run in plan.runs:
        played[run.participant] += sum(p.duration for p in run.presentations) / run.tr
        longest = max(longest, run.n_volumes)
    n_rows = max(played.values())
    n_folds = len(plan.stimuli) if len(plan.stimuli) <= 6 else 5
    n_maps = _MAPS_PER_PARTICIPANT + _MAPS_PER_FOLD * n_folds
    cache = N_LAYERS * n_patches**2 * _FLOAT
    maps = n_maps * N_LAYERS * n_vertices * _FLOAT
    outputs = maps + n_rows * n_vertices * _FLOAT
    responses = _RESPONSE_COPIES * max(n_rows, longest) * n_vertices * _FLOAT
    at_once = min(n_procs, len(played))
    scale = (n_rows / _REFERENCE_VOLUMES) ** 2 * n_vertices / _REFERENCE_VERTICES
    volumes = sum(run.n_volumes for run in plan.runs) / len(played)
    own = N_LAYERS * _LAYER_SECONDS * scale
    own += volumes * _RUN_SECONDS_PER_VOLUME * n_vertices / _REFERENCE_VERTICES
    features = _FEATURE_SECONDS_PER_SECOND * sum(s.duration for s in plan.stimuli)
    own_memory = _BASE_MEMORY + responses + 2 * maps
    return Estimate(
        memory=max(_FEATURE_MEMORY, at_once * own_memory),
        feature_memory=_FEATURE_MEMORY,
        participant_memory=own_memory,
        feature_seconds=features,
        participant_seconds=own,
        total_seconds=(features + own * len(played)) / n_procs,
        cache_bytes=cache,
        participant_bytes=outputs,
        total_bytes=cache + outputs * len(played),
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
    return _BASE_MEMORY + _GLM_COPIES * longest * n_vertices * _FLOAT + fits


def score_memory(costs: Estimate) -> float:
    """Bytes that predicting everybody's ratings from the layers takes."""
    return _BASE_MEMORY + 2 * costs.cache_bytes


def group_memory(n_participants: int, n_layers: int, space: str) -> float:
    """Bytes that the group level of one model takes, in one process.

    It is linear in the participants: their maps are held at once, some of them in double precision.
    """
    return _GROUP_BASE + _GROUP_COPIES * n_participants * n_layers * 2 * N_VERTICES[space] * _FLOAT


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
