"""Declaration of every option, on the field of its value, in the order of ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from bids_app.config.options import (
    Bytes,
    Correlation,
    Count,
    Depths,
    Fraction,
    HighPassSeconds,
    HopSeconds,
    LagSeconds,
    Millimeters,
    Paths,
    Penalties,
    Rate,
    Seconds,
    Span,
    Volumes,
    VolumeSeconds,
    label,
    option,
    penalties,
    several,
    switch,
)
from bids_app.errors import UsageError
from bids_app.labels import safe_label
from bids_app.meshes import SPACES
from bids_app.outputs import EMOTION_LABEL, model_label
from bids_app.resources import BUNDLED_CORTEX, CortexChoice, choose_cortex_mask

DEFAULT_FEATURES = "vggish"
PENALTIES = "1e-3:1e5:20"
HIGH_PASS = 128.0
LOW_LEVEL = ("envelope", "cochleagram", "modulation", "descriptors")
"""Feature spaces of low-level sound, which layers of networks are held against together."""


@dataclass(frozen=True)
class Selection:
    """Which part of the dataset to work on; empty means everything."""

    title: ClassVar = "what to work on (default: everything with a stimulus)"

    participants: Annotated[tuple[str, ...], label("sub")] = several(
        "--participant-label",
        "participant labels, with or without sub-",
        changes=(),
        level="both",
    )
    sessions: Annotated[tuple[str, ...], label("ses")] = several(
        "--session-label", "session labels, with or without ses-"
    )
    tasks: Annotated[tuple[str, ...], label("task")] = several(
        "-t --task-id", "task labels, with or without task-"
    )
    runs: Annotated[tuple[str, ...], label("run")] = several(
        "--run-id", "run labels, with or without run-"
    )
    rest_task: Annotated[str, label("task")] | None = option(
        "--rest-task TASK",
        "resting task, whose runs are cleaned like those with music and saved "
        "for --gradient own; --task-id does not affect it (default: none)",
        changes=(),
        level="participant",
    )
    exclude_runs: tuple[str, ...] = several(
        "--exclude-run RUN",
        "runs to leave out, such as sub-01_task-happy_run-1; fewer entities exclude more",
    )
    filter_file: Path | None = option(
        "--bids-filter-file FILE.json",
        "filter file as in fMRIPrep; its entry `bold` selects among several files of a run",
        changes=(),
    )


@dataclass(frozen=True)
class Stimuli:
    """Where the music is and what becomes of participants who lack a piece."""

    title: ClassVar = "music"

    table: Path | None = option(
        "--stimuli TABLE.tsv",
        "table of which file was played in which task and when (columns task, stim_file, onset; "
        "optional session, run, participant_id, offset, duration); files are relative to the table",
        changes=(),
    )
    missing: Literal["error", "skip", "use"] = option(
        "--missing",
        "if a participant lacks a piece that the others have: stop with an error, skip the "
        "participant, or use the other pieces (default: %(default)s; results of different folds "
        "are not comparable)",
        "skip",
    )
    notes_dir: Path | None = option(
        "--notes-dir FOLDER",
        "for --features notes and expression: folder of the notes of the pieces, as MIDI, MusicXML "
        "or tables named after the recordings (default: that of the recordings)",
        changes=(),
    )
    notes_corpus: Path | None = option(
        "--notes-corpus FOLDER",
        "for --features notes: notes of other music, on which the long-term model is trained "
        "(default: the chorales of musenc prefetch corpus; without them no layers ltm and both)",
        changes=(),
    )
    transcribe: bool = option(
        "--transcribe",
        "for --features notes: transcribe the sound with basic-pitch, even where files of notes "
        "exist; the model is called transcribed (needs the extra transcription)",
        False,
        changes=(),
    )


@dataclass(frozen=True)
class FeatureSpace:
    """A feature space as in ``--features``, and the ``model-`` label of its maps.

    What it is, `bids_app.features.registry.find_space` knows.
    """

    features: str
    label: str


@dataclass(frozen=True)
class Model:
    """The encoding models; features and weights count by content, not by name.

    Without `features` the participant level fits VGGish and the group level takes all models found.
    """

    title: ClassVar = "encoding model"

    features: tuple[str, ...] = several(
        "--features SPACE",
        f"%(spaces)s; each becomes a model of its own (default: {DEFAULT_FEATURES})",
        changes=(),
        level="both",
    )
    labels: tuple[str, ...] = several(
        "--model-label LABEL",
        "names of the models, one per feature space (default: made from their names)",
        changes=(),
        level="both",
    )
    layers: tuple[str, ...] = several(
        "--layers LAYER",
        "numbers or names of the layers to fit, or blocks: no layer that is the ReLU or pooling of "
        "the one before it (default: all); for precomputed features without an order, in order of "
        "depth",
        changes=("layers", "scores"),
    )
    layer_depth: Depths = several(
        "--layer-depth NUMBER",
        "depth of every fitted layer, in any unit, never decreasing; layers of equal depth count "
        "as one (default: equal steps)",
        changes=("layers", "scores"),
    )
    weights: str | None = option(
        "--vggish-weights FILE|random:SEED",
        "torchvggish state dict, or an untrained network as a control (default: the file among "
        "the resources)",
        changes=(),
    )
    hop: HopSeconds = option(
        "--hop",
        "time between the starts of successive patches of 0.96 s",
        0.48,
        changes=("layers", "scores"),
    )
    delays: Span = option(
        "--delays", "delays from music to response, in seconds", (3.0, 9.0), changes=("layers",)
    )
    crop: Seconds = option("--crop", "time excluded at both ends of every piece", 15.0)
    alphas: Penalties = option(
        "--alphas",
        "ridge penalties, equally spaced logarithms, relative to the mean diagonal of the kernel "
        f"(default: {PENALTIES})",
        penalties(PENALTIES),
    )
    selection: Literal["r", "sse"] = option(
        "--selection",
        "criterion by which the penalty is chosen in the training stimuli: mean correlation, or "
        "summed squared error",
        "r",
    )
    save_weights: tuple[str, ...] = several(
        "--save-weights LAYER",
        "layers (names, numbers or all) whose models are saved as HDF5, to predict new music with; "
        "with held-out predictions, and the weights of every unit up to 2 GiB",
        changes=(),
    )
    weights_mask: Paths = option(
        "--weights-mask",
        "vertices whose weights are saved, as label or shape GIFTI or tables of 0 and 1 (default: "
        "all with a result)",
        default=(),
        changes=(),
    )
    subcortex: bool = switch(
        "--subcortex",
        "also fit the subcortical voxels of 91k CIFTI series (fMRIPrep --cifti-output 91k, XCP-D): "
        "maps as dscalar.nii and a table per structure; at the group level a table with tests "
        "over people and over music",
        changes=(),
    )
    subcortex_atlas: Path | None = option(
        "--subcortex-atlas FILE.nii.gz",
        "also fit the voxels of this atlas' regions, from fMRIPrep's volumes in MNI space "
        "(names: FILE.tsv with index and name)",
        changes=(),
    )

    @property
    def has_voxels(self) -> bool:
        """Whether subcortical voxels are analyzed, too."""
        return self.subcortex or self.subcortex_atlas is not None

    def __post_init__(self) -> None:
        """Options that need another one."""
        if self.weights_mask and not self.save_weights:
            raise UsageError(
                "--weights-mask needs --save-weights",
                found="--weights-mask alone",
                wanted="both",
                remedy="add --save-weights, or leave --weights-mask out",
            )

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
class Joint:
    """Several feature spaces in one model, and what each adds to the others."""

    title: ClassVar = "several feature spaces in one model (docs/models.md)"

    asked: tuple[str, ...] = several(
        "--joint NAME=SPACE+SPACE",
        "one model of several spaces, each with its own scale: accuracy, share of each space in "
        "it, and what each space adds; SPACE@LAYER for one of several layers",
        changes=(),
    )
    beyond: Literal["none", "low-level"] = option(
        "--beyond",
        "low-level: what every layer adds to envelope, cochleagram, modulation and descriptors "
        "together",
        "none",
        changes=(),
    )
    candidates: Count = option(
        "--candidates",
        "relative scales of the spaces that are tried in each joint model",
        20,
        changes=(),
    )

    def __post_init__(self) -> None:
        """Names and spaces that cannot be."""
        _ = self.models

    @property
    def models(self) -> dict[str, list[tuple[str, str]]]:
        """Feature spaces of each joint model by its label, each with a layer or nothing.

        Raises
        ------
        UsageError
            A name is no label or repeated, or a model has fewer than two different spaces.
        """
        found: dict[str, list[tuple[str, str]]] = {}
        for text in self.asked:
            name, _, spaces = text.partition("=")
            parts = [_space_and_layer(part) for part in spaces.split("+") if part]
            if not name or safe_label(name) != name or name == EMOTION_LABEL or name in found:
                raise UsageError(
                    "A joint model needs a name of its own.",
                    where="--joint",
                    found=text,
                    wanted="NAME=SPACE+SPACE, the name of letters and digits",
                    remedy="give it a name before the =",
                )
            if len(set(parts)) < max(2, len(parts)):
                raise UsageError(
                    "A joint model needs two different feature spaces or more.",
                    where="--joint",
                    found=text,
                    wanted="NAME=SPACE+SPACE, for example low=envelope+cochleagram",
                    remedy="join two or more different spaces with +",
                )
            found[name] = parts
        return found

    @property
    def features(self) -> list[str]:
        """Every feature space that joint models need, beside those of the layers."""
        own = [name for spaces in self.models.values() for name, _ in spaces]
        return list(dict.fromkeys([*own, *(LOW_LEVEL if self.beyond == "low-level" else ())]))

    @staticmethod
    def is_rival(features: str) -> bool:
        """Whether a feature space is low-level sound itself, and so is not held against it."""
        return features in LOW_LEVEL


def _space_and_layer(text: str) -> tuple[str, str]:
    """``SPACE@LAYER`` in two; the seed of an untrained network belongs to the space."""
    space, _, layer = text.rpartition("@")
    return (space, layer) if space and not layer.startswith("random:") else (text, "")


@dataclass(frozen=True)
class LagScan:
    """By how many seconds the brain follows one-dimensional features."""

    title: ClassVar = "when the brain follows a feature (docs/lags.md)"

    asked: tuple[str, ...] = several(
        "--lag-scan FEATURE",
        "one-dimensional features: by how many seconds vertices, auditory cortex and regions of "
        "--atlas and --seed follow them; the null includes the choice of the lag. SPACE, "
        "SPACE@LAYER for a layer of one unit, or SPACE@LAYER:UNIT, for example "
        "descriptors@loudness descriptors@rhythm:tempo (commas also separate them)",
        changes=(),
    )
    n_draws: Count = option(
        "--lag-draws", "draws of random phases for the p of a lag scan", 499, changes=("lags",)
    )

    def __post_init__(self) -> None:
        """Features that cannot be."""
        labels = [text for text, *_ in self.features]
        if len(set(labels)) < len(labels):
            raise UsageError(
                "A feature is named twice.",
                where="--lag-scan",
                found=" ".join(labels),
                wanted="each feature once",
                remedy="leave one of them out",
            )

    @property
    def features(self) -> list[tuple[str, str, str, str]]:
        """Text, space, layer and unit of each; the last two empty where they are not said."""
        found = []
        for text in (one for given in self.asked for one in given.split(",") if one):
            space, place = _space_and_layer(text)
            layer, _, unit = place.partition(":")
            found.append((text, space, layer, unit))
        return found


@dataclass(frozen=True)
class Cleaning:
    """How the BOLD series become responses."""

    title: ClassVar = "responses"

    confounds: str = option(
        "--confounds NAME|FILE|none",
        "confounds to regress out: minimal, motion6+acompcor6+cosine, 24P, 36P, aroma, none, or a "
        "YAML file (default: %(default)s; the high-pass replaces the cosine columns, which stay "
        "with --high-pass 0)",
        "motion6+acompcor6+cosine",
    )
    high_pass: HighPassSeconds = option(
        "--high-pass",
        "period above which drifts are removed from responses and features; denoised series "
        "(XCP-D) keep their own filter unless another value is given",
        HIGH_PASS,
    )
    smoothing: Millimeters = option(
        "--smoothing", "smoothing on the surface, full width at half maximum; 0 for none", 6.0
    )
    dummy_scans: Volumes = option(
        "--dummy-scans", "volumes to drop at the start; auto: those fMRIPrep marked", "auto"
    )
    repetition_time: VolumeSeconds | None = option(
        "--repetition-time", "repetition time of runs whose sidecars do not give it"
    )
    slice_time_ref: Fraction | None = option(
        "--slice-time-ref 0..1",
        "moment of a volume that slice timing was corrected to (default: from the sidecars)",
    )
    space: str = option(
        "--space",
        "mesh of BOLD and maps, as in fMRIPrep's --output-spaces (default: %(default)s; the finer "
        "ones need their surfaces in TemplateFlow's folder; fsLR, 32k, takes GIFTI or 91k CIFTI as "
        "they are, and needs `musenc prefetch meshes-fslr`)",
        SPACES[0],
        choices=SPACES,
    )
    cortex_mask: CortexChoice = option(
        "--cortex-mask nilearn|signal|neuromaps|templateflow|LEFT,RIGHT",
        "which vertices are cortex; the others are excluded before smoothing and get no result. "
        "nilearn: all but the medial wall of nilearn's surfaces (no download; on fsLR that of the "
        "template's labels); signal: every vertex with a signal; neuromaps: all but the medial "
        "wall, after `musenc prefetch cortex`; templateflow: the Desikan parcels, after `musenc "
        "prefetch parcels`; or label or shape GIFTI or tables of 0 and 1",
        BUNDLED_CORTEX,
    )
    parcels: str | None = option(
        "--parcels ATLAS|NAME=LEFT,RIGHT",
        "analyze parcellated series of this atlas instead of vertices (ptseries.nii, or "
        "timeseries.tsv with two label files on --space that have the names of the columns): no "
        "smoothing; tables of regions, and maps in which a region has one value (default: where "
        "only such series exist)",
        changes=(),
    )

    def __post_init__(self) -> None:
        """Which files a mask's name means depends on the mesh."""
        if isinstance(self.cortex_mask, str):
            chosen = choose_cortex_mask(self.cortex_mask, self.space)
            object.__setattr__(self, "cortex_mask", chosen)


@dataclass(frozen=True)
class Conditions:
    """Contrasts of experimental conditions, and regions whose coupling depends on them.

    `seed` and `target` as for `bids_app.inputs.seeds.parse_seed`.
    """

    title: ClassVar = "conditions"
    description: ClassVar = """\
--contrast at the participant level: maps of a difference between conditions of the events, with
--seed of how the coupling with a region depends on it (PPI), with --target the lagged correlation
of two regions. Runs need no music for this. The group level tests what it finds over participants,
with --rating-difference also against a number per participant. Definitions: docs/emotion.md.
"""

    contrasts: tuple[str, ...] = several(
        "--contrast A-B",
        "conditions joined by + and -, optionally with factors: dissonant-consonant, 'a - 0.5*b - "
        "0.5*c'; an unknown name is an error that lists the conditions found",
    )
    column: str = option(
        "--condition-column COLUMN", "column of the events that names the conditions", "trial_type"
    )
    seed: str | None = option(
        "--seed REGION",
        "seed of the interaction: a .label or .label.gii file (its name says lh or rh; "
        "FILE.label.gii:NAME for one of its labels), x,y,z[@radius] in mm on the template's cortex "
        "(write --seed=-52,4,-8 where x is negative), or a .nii.gz mask in MNI space, read from "
        "fMRIPrep's MNI volumes",
    )
    target: str | None = option(
        "--target REGION",
        "region correlated with the seed over lags, written like the seed; at a positive lag the "
        "target leads the seed",
    )
    max_lag: LagSeconds = option("--max-lag", "largest lag, in both directions", 20.0)
    rating_difference: str | None = option(
        "--rating-difference COLUMN|TABLE.tsv:COLUMN",
        "a number per participant, such as the rating of dissonant minus that of "
        "consonant music, from participants.tsv of bids_dir or a table with participant_id; "
        "participants with n/a are excluded",
        changes=(),
        level="group",
    )
    difference_test: Literal["permutation", "sign-flip"] = option(
        "--difference-test",
        "residuals without the rating are permuted (Freedman and Lane) or flipped in sign",
        "permutation",
        changes=(),
        level="group",
    )

    def __post_init__(self) -> None:
        """Options that need another one."""
        if self.seed and not self.contrasts:
            raise UsageError(
                "--seed needs --contrast",
                found="--seed alone",
                wanted="both",
                remedy="add --contrast, or leave --seed out",
            )
        if self.target and not self.seed:
            raise UsageError(
                "--target needs --seed",
                found="--target alone",
                wanted="both",
                remedy="add --seed, or leave --target out",
            )


@dataclass(frozen=True)
class Statistics:
    """Inference within and over participants."""

    title: ClassVar = "statistics"

    null: Literal["noise", "phase", "none"] = option(
        "--null",
        "null of a participant's accuracy: noise of every vertex' own class; --n-nulls refits "
        "under random phases of the responses, which also give p corrected for the maximum over "
        "vertices and layers, and are too liberal below some 60 volumes of a piece; or none",
        "noise",
        changes=("layers", "ratings", "scores"),
    )
    n_nulls: Count = option(
        "--n-nulls", "refits of --null phase", 200, changes=("layers", "ratings", "scores")
    )
    gradients: tuple[str, ...] = several(
        "--gradient NAME|[NAME=]LEFT,RIGHT",
        "cortical gradients, each with results of its own beside those of "
        "earlier calls: margulies2016 (the first), fcgradient02 to fcgradient10, own (of the "
        "resting runs of --rest-task, found by the first of the "
        "others, which may be one of the files), or two "
        "GIFTI files on --space or fsLR 32k (default: %(default)s; the sign of the first is set so "
        "that transmodal cortex is high, those of the others are kept)",
        ("margulies2016",),
        changes=(),
        level="group",
    )
    n_spins: Count = option(
        "--n-spins",
        "rotations of the spin test",
        1000,
        changes=("alignment",),
        level="group",
    )
    spin_method: Literal["spearman", "pearson"] = option(
        "--spin-method",
        "kind of correlation with the gradient",
        "spearman",
        changes=("alignment",),
        level="group",
    )
    slope_model: Literal["quadratic", "linear"] = option(
        "--slope-model",
        "what is regressed out of a profile over layers before its slope: the reference profile "
        "and curvature (five different depths or more), or the reference profile only, which "
        "takes part of a preference for middle layers for a slope (default: %(default)s)",
        "quadratic",
        changes=("layers", "alignment", "inference"),
        level="both",
    )
    n_permutations: Count = option(
        "--n-permutations",
        "sign flips over participants; all of them if there are fewer",
        10_000,
        changes=("inference",),
        level="group",
    )
    train_on: Literal["own", "others", "both"] = option(
        "--train-on",
        "whose responses train a participant's models: own (the participant "
        "level's maps), the mean of all others (scored on the participant's own held-out piece; "
        "finds more where listeners are alike, takes as long as the fits of the participant level "
        "and needs its cleaned responses), or both; results with the others' weights have files of "
        "their own (model-NAME+others)",
        "own",
        changes=(),
        level="group",
    )
    differences: tuple[str, ...] = several(
        "--difference A-B",
        "models or layers whose accuracies are compared, at every vertex and over the "
        "whole cortex; each a model's label (the mean of its layers), MODEL:LAYER, or a layer that "
        "only one model has, optionally with factors: vggish-cochleagram, "
        "vggish:fc2-vggish:conv1, 'a - 0.5*b - 0.5*c'",
        changes=(),
        level="group",
    )
    ceiling_floor: Correlation = option(
        "--ceiling-floor",
        "accuracy is given as a fraction of its noise ceiling where the ceiling is "
        "above this and the response that participants share is significant",
        0.1,
        changes=("ceiling",),
        level="group",
    )
    atlases: tuple[str, ...] = several(
        "--atlas [NAME=]LEFT,RIGHT",
        "atlases on --space (.annot or .label.gii), of --lag-scan and of the group level: "
        "accuracy, layer profile and preference per region and participant, beside those of "
        "atlases of earlier calls; the first names the peaks of clusters (default: Desikan, "
        "after `musenc prefetch parcels`)",
        changes=(),
        level="both",
    )
    networks: tuple[str, ...] = several(
        "--networks [NAME=]LEFT,RIGHT",
        "networks on --space (.annot or .label.gii, as Yeo's or Schaefer's): tables "
        "like those of --atlas, a network over both hemispheres, and the mean of every group map "
        "in every network (default: Yeo's, after `musenc prefetch networks`)",
        changes=(),
        level="group",
    )
    random_seed: int = option(
        "--random-seed N",
        "seed of every random draw",
        20240626,
        changes=("layers", "ratings", "scores", "alignment", "ceiling", "inference"),
        level="both",
    )

    @property
    def flips(self) -> dict[str, Any]:
        """What tests by sign flips or permutations take."""
        return {"n_permutations": self.n_permutations, "seed": self.random_seed}

    @property
    def noise_null(self) -> Literal["noise", "none"]:
        """The null without refits, which vertices have also beside ``null="phase"``."""
        return "none" if self.null == "none" else "noise"

    @property
    def closed_null(self) -> Literal["analytic", "none"]:
        """The null of predicted ratings: random phases, in closed form."""
        return "none" if self.null == "none" else "analytic"


@dataclass(frozen=True)
class Emotion:
    """Ratings and brain, layers and ratings."""

    title: ClassVar = (
        "continuous ratings of the music: their effect on the brain, and layers that predict them "
        "(docs/emotion.md)"
    )

    ratings: Path | None = option(
        "--ratings TABLE.tsv",
        "columns stimulus, time (seconds into the music), one per scale, optionally "
        "participant_id; or stimulus and ratings_file, one file per line (default: *_stim.tsv.gz "
        "and *_beh.tsv of the dataset)",
        changes=(),
    )
    mode: Literal["auto", "off"] = option(
        "--emotion",
        "auto: every analysis that the ratings allow; off: none",
        "auto",
        changes=(),
        level="both",
    )
    scales: tuple[str, ...] = several(
        "--scales NAME",
        "rating scales among the columns (default: all columns that are not named above)",
    )
    hrf: Literal["spm", "glover", "fir"] = option(
        "--rating-hrf",
        "canonical response to a change of a rating, or one coefficient per delay",
        "spm",
        changes=("ratings",),
    )
    delays: Span = option(
        "--rating-delays",
        "delays of fir in seconds, positive where the brain follows the rating; write "
        "--rating-delays=%(default)s (the default)",
        (-10.0, 10.0),
        changes=(),
    )
    rate: Rate = option(
        "--rating-rate",
        "samples per second at which layers predict ratings: one per repetition time, the "
        "ratings' own, or a number",
        "tr",
        changes=("scores",),
    )


@dataclass(frozen=True)
class Running:
    """How the work is done; nothing here changes a result, but for the last digits of a GPU."""

    title: ClassVar = "running"
    level: ClassVar = "both"

    work_dir: Path | None = option(
        "-w --work-dir",
        "folder of intermediate files; may be deleted (default: a temporary folder)",
    )
    cache_dir: Path | None = option(
        "--cache-dir",
        "stimulus features, shared by participants and jobs (default: output_dir/.musenc)",
    )
    database_dir: Path | None = option(
        "--bids-database-dir DIR",
        "folder in which the index of the dataset is saved for the next call",
        level="participant",
    )
    n_procs: Count = option("--nprocs --n-cpus", "number of processes", 1)
    omp_nthreads: Count | None = option(
        "--omp-nthreads",
        "threads of each process (default: nprocs, shared by the participants worked on)",
    )
    memory: Bytes | None = option(
        "--mem --mem-gb",
        "memory that all processes together may use; a run with a larger step is refused "
        "(default: the limit of the machine, the container or SLURM)",
    )
    device: Literal["auto", "cpu", "cuda"] = option(
        "--device",
        "device of the audio network; auto: a GPU if torch finds one. Only cuda fits the models "
        "there, too",
        "auto",
    )
    plugin_file: Path | None = option(
        "--use-plugin FILE.yml",
        "nipype plugin and its plugin_args, to make every step a job of a cluster; replaces "
        "--nprocs and needs --work-dir on shared storage",
    )
    stop_on_first_crash: bool = switch(
        "--stop-on-first-crash",
        "start no further step after one has failed (default: continue with other participants)",
    )
    dry_run: bool = switch("--dry-run", "print the plan, its cost and its output files, and stop")
    reports_only: bool = switch(
        "--reports-only",
        "draw the pages again from the derivatives in output_dir, without computing anything",
    )
    boilerplate_only: bool = switch(
        "--boilerplate-only",
        "print the methods text of these settings with its references, and stop",
    )
    verbosity: int = option("-v --verbose", "log details", 0, action="count")

    def n_threads(self, n_jobs: int) -> int:
        """Threads of each of `n_jobs` steps that work side by side."""
        return self.omp_nthreads or max(1, self.n_procs // n_jobs)
