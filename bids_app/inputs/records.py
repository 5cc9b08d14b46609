"""Frozen records: what the rest of the program knows about the files on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bids_app.bands import Band
from bids_app.errors import BadDataError

RUN_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")
"""Entities that tell one acquisition from another, in BIDS order."""
_SAME_TR = 1e-3


def run_label(entities: Mapping[str, str]) -> str:
    """``sub-01_task-happy_run-1``: the entities of the acquisition in BIDS order."""
    return "_".join(f"{key}-{entities[key]}" for key in RUN_ENTITIES if key in entities)


def different_trs(trs: Iterable[float]) -> str:
    """Repetition times in seconds that differ by more than a millisecond; empty where none do.

    Examples
    --------
    >>> different_trs([2.0, 1.5, 2.0]), different_trs([2.0, 2.0004])
    ('1.5 s, 2 s', '')
    """
    found = sorted(set(trs))
    apart = bool(found) and found[-1] - found[0] > _SAME_TR
    return ", ".join(f"{tr:g} s" for tr in found) if apart else ""


def common_tr(trs: Mapping[str, float]) -> float:
    """Repetition time of all runs, given that of each.

    Raises
    ------
    BadDataError
        If they differ.
    """
    if different_trs(trs.values()):
        raise BadDataError(
            "The runs of a participant differ in repetition time.",
            found=", ".join(f"{run}: {tr:g} s" for run, tr in trs.items()),
            wanted="one repetition time",
            remedy="select the runs that belong together with --task-id",
        )
    return min(trs.values())


@dataclass(frozen=True)
class Stimulus:
    """One piece of music.

    Attributes
    ----------
    label : str
        File stem reduced to letters and digits, as it is used in file names (``stim-<label>``).
    path : Path
        The audio file.
    sha256 : str
        Checksum of the file's content.
    duration : float
        Seconds of sound, decoded to the end of the file.
    notes : tuple of str
        What is odd about the sound.
    """

    label: str
    path: Path
    sha256: str
    duration: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Presentation:
    """A stimulus, or a part of it, played during a run.

    Attributes
    ----------
    stimulus : str
        Label of the stimulus.
    onset : float
        Start of the sound, in seconds after the acquisition of the file's first volume began.
    offset : float
        Second of the audio file at which playing starts.
    duration : float
        Seconds played.
    """

    stimulus: str
    onset: float
    offset: float
    duration: float


@dataclass(frozen=True)
class Acquisition:
    """What the entities of a run say.

    Attributes
    ----------
    entities : mapping
        Entities that distinguish this acquisition from others (see `RUN_ENTITIES`); labels
        without prefix, as they are spelled on disk.
    """

    entities: Mapping[str, str] = field(hash=False)

    @property
    def participant(self) -> str:
        """Label of the participant."""
        return self.entities["sub"]

    @property
    def session(self) -> str | None:
        """Label of the session, None without sessions."""
        return self.entities.get("ses")

    @property
    def task(self) -> str:
        """Label of the task."""
        return self.entities["task"]

    @property
    def run(self) -> str | None:
        """Index of the run, None where there is but one."""
        return self.entities.get("run")

    @property
    def label(self) -> str:
        """Name of the acquisition, such as ``sub-01_task-happy_run-1``."""
        return run_label(self.entities)


@dataclass(frozen=True)
class BoldRun(Acquisition):
    """One preprocessed run that will be analyzed.

    Attributes
    ----------
    space : str
        Space of the surface data: ``fsaverage5``, ``fsaverage6``, ``fsaverage``, ``fsLR`` or, for
        volumes, the volume's space.
    bold_left, bold_right : Path
        GIFTI files; the same CIFTI or NIfTI file twice where `kind` is not ``gifti``.
    confounds_file, confounds_json : Path or None
        fMRIPrep's table and its sidecar.
    tr, tr_source
        Repetition time in seconds, and where it was found.
    start_time, start_time_source
        Volume k was sampled at ``start_time + k * tr`` seconds after the start of the run.
    n_volumes : int
        Volumes in the file, dummy scans included.
    n_dummy : int
        Volumes at the start that are to be left out. Onsets and `start_time` keep counting from the
        first volume in the file.
    presentations : tuple of Presentation
        What was heard, by onset.
    warnings : tuple of str
        What is worth telling the user about this run.
    sources : tuple of str
        BIDS URIs of the files used.
    kind : str
        ``gifti``, ``cifti``, ``volume`` or ``parcels``.
    surfaces : tuple of Path
        For volumes in ``T1w`` space: white left, pial left, registered sphere left, then right.
    band : Band or None
        What the series was filtered to where it was denoised before; None where it was not.
    censored : tuple of int
        Numbers of volumes that were taken out of the file; `n_volumes` counts them.
    parcels : str
        Label of the atlas of a parcellated series, or what ``--parcels`` says of it.
    grayordinates : Path or None
        The run as 91k CIFTI series, which has subcortical voxels; None where there is none.
    """

    space: str
    bold_left: Path
    bold_right: Path
    confounds_file: Path | None
    confounds_json: Path | None
    tr: float
    tr_source: str
    start_time: float
    start_time_source: str
    n_volumes: int
    n_dummy: int
    presentations: tuple[Presentation, ...]
    warnings: tuple[str, ...]
    sources: tuple[str, ...]
    kind: str = "gifti"
    surfaces: tuple[Path, ...] = ()
    band: Band | None = None
    censored: tuple[int, ...] = ()
    parcels: str = ""
    grayordinates: Path | None = None


@dataclass(frozen=True)
class SkippedRun(Acquisition):
    """A run that will not be analyzed, or a participant (``sub`` alone) without any run.

    Attributes
    ----------
    reason : str
        Why, in words for the user.
    problem : bool
        True where something is wrong with the files; False where the user's choice left it out.
    """

    reason: str
    problem: bool = True

    @property
    def run_label(self) -> str:
        """Label of the run; empty for a participant as a whole."""
        return self.label if "task" in self.entities else ""


@dataclass(frozen=True)
class StudyPlan:
    """Everything the run will read.

    Attributes
    ----------
    bids_dir : Path
        The folder given by the user.
    raw_dir : Path or None
        The raw dataset, where one was found.
    derivatives : tuple of Path
        fMRIPrep folders.
    found : str
        One sentence that says what `bids_dir` turned out to be.
    runs : tuple of BoldRun
        Ordered by participant, session, task and run.
    stimuli : tuple of Stimulus
        By label.
    skipped : tuple of SkippedRun
        Ordered like `runs`.
    warnings : tuple of str
        About the study as a whole; each run has its own.
    dataset_links : tuple of (str, Path)
        Names used in the BIDS URIs of ``sources``, and the folders they stand for.
    fetch : str
        Command that fetches all content that is needed and not there; empty where all is.
    remarks : mapping
        Of each feature space, what is odd about each stimulus by its label, and under the empty
        label about the space.
    """

    bids_dir: Path
    raw_dir: Path | None
    derivatives: tuple[Path, ...]
    found: str
    runs: tuple[BoldRun, ...]
    stimuli: tuple[Stimulus, ...]
    skipped: tuple[SkippedRun, ...]
    warnings: tuple[str, ...] = ()
    dataset_links: tuple[tuple[str, Path], ...] = ()
    fetch: str = ""
    remarks: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def participants(self) -> tuple[str, ...]:
        """Labels of the participants with at least one run."""
        return tuple(sorted({run.participant for run in self.runs}))

    @property
    def has_problems(self) -> bool:
        """Whether a run was skipped because its files cannot be used."""
        return any(run.problem for run in self.skipped)
