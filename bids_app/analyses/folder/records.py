"""Records of a participant's results: their inputs, settings and participant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.locate import uri_of
from bids_app.inputs.names import parse_name
from bids_app.inputs.records import BoldRun, StudyPlan


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
        URIs of the inputs.
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
        Warnings about the inputs, beside the result.
    run_sources : mapping
        URIs of the inputs of each run, by its label.
    music : sequence of str
        URIs of the audio that was heard.
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
    run_sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    music: Sequence[str] = ()


def sources_of_run(plan: StudyPlan, run: BoldRun) -> list[str]:
    """URIs of the files behind the cleaned responses to what was heard in a run, sorted."""
    told = {run.bold_left, run.bold_right, run.confounds_file}  # among the sources of the run
    others = [path for path in input_files([run]) if path not in told]
    return sorted({*run.sources, *(uri_of(path, plan.dataset_links) for path in others)})


def sources_of(plan: StudyPlan, runs: Sequence[BoldRun], files: Iterable[Path] = ()) -> list[str]:
    """URIs of what models of runs rest on: their files, the music, and further `files`; sorted."""
    found = {*music_of(plan, runs), *(uri_of(path, plan.dataset_links) for path in files)}
    return sorted(found.union(*(sources_of_run(plan, run) for run in runs)))


def music_of(plan: StudyPlan, runs: Sequence[BoldRun]) -> list[str]:
    """URIs of the audio that was heard in runs, sorted."""
    heard = {one.stimulus for run in runs for one in run.presentations}
    found = (one.path for one in plan.stimuli if one.label in heard)
    return sorted({uri_of(path, plan.dataset_links) for path in found})


def of_hemisphere(sources: Iterable[str], hemi: str) -> list[str]:
    """Sources of a file of one hemisphere: those whose names do not say the other one."""
    return [one for one in sources if parse_name(Path(one)).entities.get("hemi", hemi) == hemi]


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
