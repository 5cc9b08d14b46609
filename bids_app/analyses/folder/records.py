"""What a participant's results of one analysis rest on, and who they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.records import BoldRun


@dataclass(frozen=True)
class Record:
    """What a participant's results of one analysis rest on.

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
        As `inputs_of`.
    stimuli : mapping
        Stimulus label to SHA-256 of its audio.
    features : mapping
        Label, checksum and layer sizes of the network.
    skipped : mapping
        Run label to the reason why it takes no part.
    desc : str
        What of the model it is about; empty for its maps.
    notes : sequence of str
        What is to be told of the inputs beside the result.
    """

    participant: str
    model: str
    settings: Mapping[str, Any]
    sources: Sequence[str]
    inputs: Mapping[str, str]
    stimuli: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    desc: str = ""
    notes: Sequence[str] = ()


def sources_of(runs: Iterable[BoldRun]) -> list[str]:
    """BIDS URIs of the files behind runs, sorted."""
    return sorted({source for run in runs for source in run.sources})


def input_files(runs: Iterable[BoldRun]) -> list[Path]:
    """Files whose content decides about a participant's results."""
    files: set[Path | None] = set()
    for run in runs:
        files |= {run.bold_left, run.bold_right, run.confounds_file, run.confounds_json}
        files |= set(run.surfaces)
    return sorted(path for path in files if path is not None)


def inputs_of(runs: Sequence[BoldRun], files: Iterable[Path] = (), **more: str) -> dict[str, str]:
    """Checksums of everything a participant's results rest on, besides their settings.

    Parameters
    ----------
    runs : sequence of BoldRun
        Their files count by content, and their timing as ``plan``.
    files : iterable of Path
        Further files that count by content.
    **more
        Further checksums, by name.
    """
    checksums = {path.name: sha256_of_file(path) for path in (*input_files(runs), *files)}
    return checksums | {"plan": _timing_checksum(runs), **more}


def _timing_checksum(runs: Sequence[BoldRun]) -> str:
    """Checksum of what decides about alignment in time but is in no file named in the runs."""
    timing = [(r.label, r.tr, r.start_time, r.n_dummy, r.presentations) for r in runs]
    return sha256_of(repr(timing))
