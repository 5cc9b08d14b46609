"""A whole simulated study on disk: music, dataset, fMRIPrep derivatives, truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.config import Model
from bids_app.errors import BadDataError, MissingInputError
from bids_app.inputs.presentations import stimulus_label
from bids_app.surface.mesh import load_mesh
from bids_app.testing import dataset
from bids_app.testing.confounds import confounds_table
from bids_app.testing.music import DEFAULT_PIECES, Piece, write_music
from bids_app.testing.ratings import draw_ratings, felt_courses, scales_of
from bids_app.testing.responses import FloatArray, leading_components
from bids_app.testing.study import (
    MAX_VARIANCE,
    Effect,
    Run,
    SimulatedResponses,
    Truth,
    plan_feeling,
    plan_truth,
)

if TYPE_CHECKING:
    from bids_app.features.cache import FeatureGrams

Progress = Callable[[str], None]
WRITERS = 2  # participants simulated at a time; each takes about 0.5 GB
TR, ONSET, TAIL = 1.0, 6.0, 9.0  # seconds; of a volume, and of scanning around the music


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """Where the parts of a simulated study are.

    Attributes
    ----------
    root, bids_dir, fmriprep_dir, truth_dir : Path
        Everything; the raw dataset; its derivatives; what was planted.
    participants : tuple of str
        Labels.
    runs : tuple of Run
        One per piece of music, the same for everybody, sorted by the label of the music.
    truth : Truth
        What was planted, as arrays.
    gradient_files : (Path, Path)
        The axis that the layers follow, left and right.
    """

    root: Path
    bids_dir: Path
    fmriprep_dir: Path
    truth_dir: Path
    participants: tuple[str, ...]
    runs: tuple[Run, ...]
    truth: Truth
    gradient_files: tuple[Path, Path]


def simulate_study(
    root: Path,
    *,
    n_participants: int = 6,
    seed: int = 0,
    features: str = "vggish",
    weights: str | None = "random:0",
    pieces: Sequence[Piece] | Sequence[Path] | None = None,
    effect: Effect = "layers",
    participants: Sequence[str] | None = None,
    space: str = "fsaverage5",
    tr: float = TR,
    hop: float = Model.hop,
    strength: float = MAX_VARIANCE,
    feature_cache: Path | None = None,
    progress: Progress | None = None,
) -> SimulatedStudy:
    """Simulate a music-listening study with a known layer map.

    Parameters
    ----------
    root : Path
        Gets the folders ``bids`` (with ``derivatives/fmriprep``) and ``truth``.
    n_participants : int
        Listeners.
    seed : int
        Of music, truth and noise.
    features : str
        Feature space whose layers respond.
    weights : str or None
        Of VGGish: a file, or ``random:SEED``; None for another space.
    pieces : sequence of Piece or of Path, optional
        Music to compose, or audio files to use, which are copied. Default: three pieces of
        480 s in all.
    effect : {"layers", "one-layer", "none"}
        See `bids_app.testing.study.plan_truth`.
    participants : sequence of str, optional
        Labels; default 01, 02, ...
    space : {"fsaverage5", "fsaverage4", "fsaverage3"}
        Mesh; the small ones are for tests.
    tr : float
        Repetition time, seconds.
    hop : float
        Between the starts of two patches of the features, seconds.
    strength : float
        Largest share of the signal in the variance of a vertex.
    feature_cache : Path, optional
        Where the Gram matrices are kept; give the folder that the analysis will use, and they are
        computed once. Default: ``root/cache``.
    progress : callable, optional
        Called with a few words on what is being done.

    Returns
    -------
    SimulatedStudy

    Raises
    ------
    BadDataError
        If there are no pieces, or a piece is shorter than its network needs.
    MissingInputError
        If an audio file or the weights are missing.
    """
    root, say = Path(root), progress or (lambda _: None)
    bids_dir, fmriprep_dir = root / "bids", root / "bids" / "derivatives" / "fmriprep"
    labels = tuple(participants or (f"{k:02d}" for k in range(1, n_participants + 1)))
    mesh = load_mesh(space)
    say("composing the music")
    audio = _provide_audio(bids_dir / "stimuli", pieces, seed)
    say("features of the music")
    from bids_app.features.cache import load_or_compute_grams

    grams = load_or_compute_grams(
        [(stimulus_label(path), path) for path in audio],
        weights,
        features=features,
        hop=hop,
        cache_dir=feature_cache or root / "cache",
        progress=progress,
    )
    scales = scales_of(len(grams.layer_names))
    truth = plan_truth(
        mesh, seed=seed, effect=effect, n_layers=len(grams.layer_names), strength=strength
    )
    if effect == "layers":
        truth = plan_feeling(mesh, truth, {scale.name: scale.effect for scale in scales}, seed=seed)
    runs = tuple(
        _plan_run(path, duration, tr) for path, duration in zip(audio, grams.durations, strict=True)
    )
    responses = SimulatedResponses(mesh, truth, runs, grams.patch_times, grams.gram, seed=seed)
    dataset.write_raw_dataset(bids_dir, labels, runs)
    dataset.write_fmriprep_description(fmriprep_dir)
    _write_participants(bids_dir, fmriprep_dir, labels, responses, grams, say)
    settings = {
        "Description": "What was planted in the simulated responses.",
        "Effect": effect,
        "Seed": seed,
        "Features": features,
        "Weights": weights,
        "MaximumSignalShare": strength,
        "Signal": asdict(responses.settings),
        "Noise": {**asdict(responses.shares), "own": responses.shares.own},
        "HRF": "double gamma, peak 5 s, undershoot 15 s, ratio 6",
        "Runs": [asdict(run) for run in runs],
        "Ratings": [asdict(scale) for scale in scales],
        "Participants": list(labels),
    }
    files = dataset.write_truth(root / "truth", mesh, truth, settings)
    return SimulatedStudy(
        root, bids_dir, fmriprep_dir, root / "truth", labels, runs, truth, files["gradient"]
    )


def _write_participants(
    bids_dir: Path,
    fmriprep_dir: Path,
    labels: Sequence[str],
    responses: SimulatedResponses,
    grams: FeatureGrams,
    say: Progress,
) -> None:
    """Ratings and derivatives of everybody."""
    runs, seed = responses.runs, responses.seed
    scales = scales_of(len(grams.layer_names))
    rated = {scale.layer: leading_components(grams.gram(scale.layer), 5) for scale in scales}

    def simulate(number: int) -> None:
        ratings = draw_ratings(
            rated,
            grams.patch_times,
            grams.durations,
            participant=number,
            seed=seed,
            scales=scales,
        )
        dataset.write_ratings(bids_dir, labels[number], runs, ratings, scales)
        felt = felt_courses(ratings, [run.music_times for run in runs], grams.durations)
        write_participant(fmriprep_dir, labels[number], number, responses, felt)
        say(f"participant {number + 1} of {len(labels)}")

    # Every participant has seeds of its own, so the order does not matter.
    with ThreadPoolExecutor(max_workers=WRITERS) as pool:
        list(pool.map(simulate, range(len(labels))))


def write_participant(
    fmriprep_dir: Path,
    label: str,
    number: int,
    responses: SimulatedResponses,
    felt: Sequence[Mapping[str, FloatArray]] = (),
) -> None:
    """Write the derivatives of one participant: surface BOLD and confounds of every run."""
    bold, nuisance = responses.bold(number, felt)
    folder = fmriprep_dir / f"sub-{label}" / "func"
    rng = np.random.default_rng([responses.seed, 31, number])
    for run, series, leaks in zip(responses.runs, bold, nuisance, strict=True):
        stem = f"sub-{label}_task-{run.task}"
        dataset.write_surface_bold(folder, stem, responses.mesh, series, run)
        dataset.write_confounds(folder, stem, *confounds_table(leaks, run.tr, rng))


def _provide_audio(
    folder: Path, pieces: Sequence[Piece] | Sequence[Path] | None, seed: int
) -> list[Path]:
    """Audio files in the dataset's folder, sorted by label."""
    chosen = DEFAULT_PIECES if pieces is None else pieces
    composed = [piece for piece in chosen if isinstance(piece, Piece)]
    given = [Path(piece) for piece in chosen if not isinstance(piece, Piece)]
    if not chosen:
        raise BadDataError(
            "A simulated study needs music.",
            where="pieces",
            found="none",
            wanted="one piece or more",
            remedy="give pieces, or None for those of the demo",
        )
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_music(folder, composed, seed=seed)
    for source in given:
        if not source.is_file():
            raise MissingInputError(
                "An audio file is missing.",
                where=source,
                found="no file",
                wanted="an audio file",
                remedy="correct the path",
            )
        paths.append(Path(shutil.copyfile(source, folder / source.name)))
    return sorted(paths, key=stimulus_label)


def _plan_run(path: Path, duration: float, tr: float) -> Run:
    """The run in which a piece is heard; its task is called like the music."""
    return Run(
        task=stimulus_label(path),
        stimulus=stimulus_label(path),
        stim_file=path.name,
        n_volumes=int((ONSET + duration + TAIL) / tr),
        tr=tr,
        # Slices are not aligned in time: on average they are taken in the middle.
        start_time=(tr - dataset.DELAY_TIME) / 2,
        onset=ONSET,
        duration=duration,
    )
