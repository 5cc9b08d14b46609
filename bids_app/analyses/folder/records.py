"""What every sidecar of a participant says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParticipantRecord:
    """What every sidecar of a participant says.

    Attributes
    ----------
    participant : str
        Label without prefix.
    model : str
        Model label.
    settings : mapping
        Settings that change the maps; their hash goes into the sidecars.
    sources : list of str
        BIDS URIs of the inputs.
    inputs : mapping
        Input file to SHA-256.
    stimuli : mapping
        Stimulus label to SHA-256 of its audio.
    features : mapping
        Label, checksum and layer sizes of the network.
    desc : str
        What of the model it is about; empty for its maps.
    """

    participant: str
    model: str
    settings: Mapping[str, Any]
    sources: Sequence[str]
    inputs: Mapping[str, str]
    stimuli: Mapping[str, str]
    features: Mapping[str, Any]
    desc: str = ""


@dataclass(frozen=True)
class ConditionRecord:
    """What every sidecar of a participant says.

    Attributes
    ----------
    participant : str
        Label without prefix.
    settings : mapping
        Settings that change the maps.
    sources : sequence of str
        BIDS URIs of the inputs.
    inputs : mapping
        Input file to SHA-256.
    skipped : mapping
        Run label to the reason why it has no conditions.
    """

    participant: str
    settings: Mapping[str, Any]
    sources: Sequence[str]
    inputs: Mapping[str, str]
    skipped: Mapping[str, str]
