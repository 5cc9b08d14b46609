"""Every setting and its default, in frozen sections; and the hash of those that change results."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bids_app.errors import UsageError
from bids_app.outputs import EMOTION_LABEL, model_label, safe_label

Level = Literal["participant", "group"]
Missing = Literal["error", "skip", "use"]

DEFAULT_SEED = 20240626
DEFAULT_FEATURES = "vggish"
SPACE = "fsaverage5"


def penalty_grid(first: float, last: float, n: int) -> tuple[float, ...]:
    """`n` penalties with equally spaced logarithms."""
    return tuple(np.logspace(np.log10(first), np.log10(last), n).tolist())


@dataclass(frozen=True)
class Selection:
    """Which part of the dataset to work on; empty means everything."""

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    exclude_runs: tuple[str, ...] = ()
    filter_file: Path | None = None


@dataclass(frozen=True)
class Stimuli:
    """Where the music is and what becomes of participants who lack a piece."""

    table: Path | None = None
    missing: Missing = "skip"


@dataclass(frozen=True)
class FeatureSpace:
    """A feature space; it becomes a model of its own.

    Attributes
    ----------
    features : str
        As in ``--features``; `bids_app.features.registry.find_space` knows what it is.
    label : str
        The ``model-`` entity of its maps.
    """

    features: str
    label: str


@dataclass(frozen=True)
class Model:
    """The encoding models. Delays, crop and hop in seconds, penalties without unit.

    No `features` means VGGish at the participant level, and every model found at the group level;
    `labels` are those of the features, made from their names where empty. `layers` (numbers or
    names) are those of VGGish to fit; empty means all.
    """

    features: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    weights: str | None = None
    hop: float = 0.48
    delays: tuple[float, float] = (3.0, 9.0)
    crop: float = 15.0
    alphas: tuple[float, ...] = penalty_grid(1e-3, 1e5, 20)
    selection: Literal["r", "sse"] = "r"
    save_weights: tuple[str, ...] = ()
    weights_mask: tuple[Path, ...] = ()

    @property
    def spaces(self) -> tuple[FeatureSpace, ...]:
        """Feature spaces with their model labels.

        Raises
        ------
        UsageError
            If labels are repeated, are not letters and digits, or are not one per feature space.
        """
        features = self.features or (DEFAULT_FEATURES,)
        labels = self.labels or tuple(model_label(name) for name in features)
        valid = all(safe_label(label) == label != EMOTION_LABEL for label in labels)
        if len(set(labels)) != len(features) or len(labels) != len(features) or not valid:
            raise UsageError(
                "Every feature space needs a model label of its own.",
                where="--model-label",
                found=f"{' '.join(labels)} for {' '.join(features)}",
                wanted=f"{len(features)} different labels of letters and digits, "
                f"none of them {EMOTION_LABEL}",
                remedy="give one --model-label per entry of --features, in their order",
            )
        return tuple(map(FeatureSpace, features, labels))

    @property
    def group_labels(self) -> tuple[str, ...]:
        """Model labels asked for at the group level, which knows no features."""
        return self.labels or tuple(space.label for space in self.spaces)


@dataclass(frozen=True)
class Cleaning:
    """How the BOLD series become responses. Cutoff in seconds, smoothing in mm (FWHM)."""

    confounds: str = "motion6+acompcor6+cosine"
    high_pass: float = 128.0
    smoothing: float = 6.0
    dummy_scans: str = "auto"
    repetition_time: float | None = None
    slice_time_ref: float | None = None
    space: str = SPACE
    cortex_mask: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """Contrasts of experimental conditions, and regions whose coupling depends on them.

    `seed` and `target` as for `bids_app.inputs.seeds.parse_seed`; `max_lag` in seconds.
    `rating_difference` (a column of participants.tsv, or ``TABLE.tsv:COLUMN``) and
    `difference_test` are for the group level.
    """

    contrasts: tuple[str, ...] = ()
    column: str = "trial_type"
    seed: str | None = None
    target: str | None = None
    max_lag: float = 20.0
    rating_difference: str | None = None
    difference_test: Literal["permutation", "sign-flip"] = "permutation"


@dataclass(frozen=True)
class Statistics:
    """Inference within and over participants."""

    null: Literal["analytic", "phase", "none"] = "analytic"
    n_nulls: int = 200
    gradients: tuple[str, ...] = ("margulies2016",)
    n_spins: int = 1000
    spin_method: Literal["spearman", "pearson"] = "spearman"
    n_permutations: int = 10_000
    atlases: tuple[str, ...] = ()
    random_seed: int = DEFAULT_SEED

    @property
    def closed_null(self) -> Literal["analytic", "none"]:
        """The null without refits, which ratings have also beside ``null="phase"``."""
        return "none" if self.null == "none" else "analytic"


@dataclass(frozen=True)
class Emotion:
    """Ratings and brain, layers and ratings. Delays in seconds, rate in samples per second.

    No `scales` means all; the rates are one per repetition time, and the ratings' own.
    """

    mode: Literal["auto", "off"] = "auto"
    ratings: Path | None = None
    scales: tuple[str, ...] = ()
    hrf: Literal["spm", "glover", "fir"] = "spm"
    delays: tuple[float, float] = (-10.0, 10.0)
    rate: float | Literal["tr", "own"] = "tr"


@dataclass(frozen=True)
class Running:
    """How the work is done; nothing here changes a result, but for the last digits of a GPU."""

    work_dir: Path | None = None
    cache_dir: Path | None = None
    database_dir: Path | None = None
    n_procs: int = 1
    omp_nthreads: int | None = None
    memory: int | None = None  # bytes
    device: Literal["auto", "cpu", "cuda"] = "auto"
    plugin_file: Path | None = None
    stop_on_first_crash: bool = False
    boilerplate_only: bool = False
    dry_run: bool = False
    reports_only: bool = False
    verbosity: int = 0

    def n_threads(self, n_jobs: int) -> int:
        """Threads of each of `n_jobs` steps that work side by side."""
        return self.omp_nthreads or max(1, self.n_procs // n_jobs)


@dataclass(frozen=True)
class Config:
    """All settings of one call."""

    bids_dir: Path
    output_dir: Path
    level: Level
    derivatives: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    stimuli: Stimuli = field(default_factory=Stimuli)
    model: Model = field(default_factory=Model)
    cleaning: Cleaning = field(default_factory=Cleaning)
    conditions: Conditions = field(default_factory=Conditions)
    statistics: Statistics = field(default_factory=Statistics)
    emotion: Emotion = field(default_factory=Emotion)
    running: Running = field(default_factory=Running)

    @property
    def cache_dir(self) -> Path:
        """Folder of the stimulus side, shared by participants and jobs."""
        return self.running.cache_dir or self.output_dir / ".musenc"

    def participant_settings(
        self, weights_sha256: str, features: str = DEFAULT_FEATURES
    ) -> dict[str, Any]:
        """Settings that change a participant's maps of one feature space, by name.

        `features` is the identity of the space: weights and files count by content, not by path.
        """
        model = asdict(self.model)
        for name in ("features", "labels", "weights", "save_weights", "weights_mask"):
            del model[name]
        return {
            "features": features,
            "weights_sha256": weights_sha256,
            **model,
            **self.response_settings(),
            "null": self.statistics.null,
            **({"n_nulls": self.statistics.n_nulls} if self.statistics.null == "phase" else {}),
            "random_seed": self.statistics.random_seed,
        }

    def response_settings(self) -> dict[str, Any]:
        """Settings that change the cleaned responses, which all models of a folder share."""
        return {
            **asdict(self.cleaning),
            "missing": self.stimuli.missing,
            **self._selected_runs(),
        }

    def condition_settings(self) -> dict[str, Any]:
        """Settings that change a participant's maps of conditions, by name."""
        conditions = asdict(self.conditions)
        for name in ("rating_difference", "difference_test"):
            del conditions[name]
        return {**conditions, **asdict(self.cleaning), **self._selected_runs()}

    def _selected_runs(self) -> dict[str, Any]:
        return {
            "sessions": self.selection.sessions,
            "tasks": self.selection.tasks,
            "runs": self.selection.runs,
            "exclude_runs": self.selection.exclude_runs,
        }

    def rating_map_settings(self) -> dict[str, Any]:
        """Settings that change a participant's maps of ratings and brain, by name."""
        shared = self.participant_settings("")
        for name in ("features", "layers", "weights_sha256", "hop", "delays"):
            del shared[name]
        return {
            **shared,
            "scales": self.emotion.scales,
            "hrf": self.emotion.hrf,
            "fir_delays": self.emotion.delays if self.emotion.hrf == "fir" else None,
        }

    def rating_score_settings(self, weights_sha256: str, features: str) -> dict[str, Any]:
        """Settings that change the scores of layers and ratings of one feature space, by name."""
        shared = self.participant_settings(weights_sha256, features)
        for name in ("layers", "delays", *asdict(self.cleaning)):
            del shared[name]
        return {**shared, "scales": self.emotion.scales, "rate": self.emotion.rate}

    def inference_settings(self) -> dict[str, Any]:
        """Settings that change what is inferred over participants, by name."""
        return {
            "n_permutations": self.statistics.n_permutations,
            "random_seed": self.statistics.random_seed,
        }

    def alignment_settings(self) -> dict[str, Any]:
        """Settings that change the alignment with any gradient, by name."""
        return {
            "n_spins": self.statistics.n_spins,
            "spin_method": self.statistics.spin_method,
            "random_seed": self.statistics.random_seed,
        }


def settings_hash(settings: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the settings as canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def settings_difference(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One line per setting that differs: ``name: old value -> new value``."""
    plain_old = json.loads(json.dumps(old, default=str))
    plain_new = json.loads(json.dumps(new, default=str))
    names = sorted(set(plain_old) | set(plain_new))
    return [
        f"{name}: {plain_old.get(name, 'not set')} -> {plain_new.get(name, 'not set')}"
        for name in names
        if plain_old.get(name) != plain_new.get(name)
    ]
