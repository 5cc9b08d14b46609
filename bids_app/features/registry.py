"""The feature spaces, one row each: help, cache key, methods and references read the row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import LONGER, BadDataError, UsageError
from bids_app.features.audio import load_audio
from bids_app.features.layers import LayerOrder
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.vggish import LAYER_NAMES, TWINS
from bids_app.files import sha256_of, sha256_of_file
from bids_app.references import Reference
from bids_app.resources import random_seed

if TYPE_CHECKING:
    from bids_app.features.gram import LayerGram
    from bids_app.features.networks import AudioNetwork
    from bids_app.features.pooling import FeatureSeries

LAG_SCAN = "--lag-scan"
CHANGE = "change:"
COMPONENTS = "components"
"""Before a number, a colon and a space: its layers cut to so many principal components."""
_DERIVED = re.compile(rf"{CHANGE}|{COMPONENTS}([1-9][0-9]*):")
"""Before a space: its change over time, see :func:`change_of`."""


STEP = 0.25
"""Seconds: fine enough for a repetition time of 0.5 s, coarse enough for an hour of music."""


@dataclass(frozen=True, eq=False)
class Sound:
    """What a feature space is given: one piece of music, and when its values are wanted.

    Attributes
    ----------
    label : str
        Of the stimulus.
    audio : array of shape (n_samples,)
        Mono at 16 kHz, full scale is 1.
    times : array of shape (n_times,)
        Seconds in the audio: the middles of the steps of the space.
    step : float
        Seconds between them, over which values are averaged.
    path : Path
        The audio file.
    """

    label: str
    audio: np.ndarray
    times: np.ndarray
    step: float
    path: Path = Path()


@dataclass(frozen=True)
class Network:
    """Functions of an audio network, whose layers are too large to be held whole.

    Attributes
    ----------
    name : str
        In sidecars.
    load : callable
        The model from ``FILE`` or ``random:SEED``, with ``weights_label`` and ``weights_sha256``.
    grams : callable
        Gram matrices layer by layer, as :func:`bids_app.features.stream.layer_grams`.
    activations : callable
        Whole layers of a few patches, as :func:`bids_app.features.vggish.layer_activations`.
    """

    name: str
    load: Callable[[str], Any]
    grams: Callable[..., Iterator[LayerGram]]
    activations: Callable[..., Iterator[tuple[str, np.ndarray]]]


@dataclass(frozen=True)
class About:
    """Facts about a space for the documentation.

    Attributes
    ----------
    dimension : str
        Units of its layers.
    source, licence : str
        Of its definition or its weights.
    cost : str
        Processor seconds per minute of music, reading included (`benchmarks/README.md`).
    """

    dimension: str
    source: str
    licence: str
    cost: str


_OWN = ("this program", "Apache-2.0")


def _no_values(*_: object) -> Iterable[FeatureSeries]:
    raise UsageError(
        "The layers of a network are not computed unit by unit.",
        where="--features",
        found="a network",
        wanted="a feature space that is no network",
        remedy="use the network's layers as a whole",
    )


@dataclass(frozen=True)
class Space:
    """A feature space: all that is particular to it.

    Attributes
    ----------
    name : str
        In ``--features``.
    sentence : str
        What the features are, for the methods text; ``{layers}`` stands for the layers fitted,
        ``{name}`` for the `identity`, and marks such as ``[@hershey2017]`` for `references`.
    values : callable
        (sound) -> layers, or (argument, sound) -> layers for a space with an argument. Layers are
        :class:`bids_app.features.pooling.FeatureSeries` in their order, at the times of the
        :class:`Sound`.
    network : Network, optional
        The network whose layers these are; it needs weights.
    stream : callable, optional
        (argument) -> a network that yields the activations of its layers over time
        (:class:`bids_app.features.networks.AudioNetwork`). The network names its layers and
        identifies its weights.
    step : float or None
        Seconds of a step of the space's clock; faster series are averaged over each step. None for
        the patches of a `network`.
    clock : callable, optional
        (argument, label of a stimulus, times, step) -> times, step: the clock of a stimulus whose
        file has a slower one.
    layers : tuple of str
        Names in order of depth; empty where `order` or the network of `stream` names them.
    ordered : bool
        Whether the order of `layers` is one of depth.
    twins : tuple of str
        Layers that repeat the one before them: after its ReLU, or its pooling.
    order : callable, optional
        (argument, audio files by label) -> the layers that files hold, and the source of their
        order.
    about : About
        Its row in the table of docs/features.md.
    named : bool
        Whether the argument identifies the features; else it is a path, which does not.
    argument : str
        Text after the name and a colon: in `SPACES` a placeholder, from :func:`find_space` the
        user's.
    optional : bool
        Whether the argument may be left out; `values` then gets an empty text.
    file : callable, optional
        (argument, label, audio file) -> the file that is read together with the audio.
    files : callable, optional
        The same for a space that reads several files where they are there.
    corpus : callable, optional
        (argument) -> checksum of files that all stimuli share.
    corpus_name : callable, optional
        (argument) -> name of these files, for sidecars and methods text; empty for the user's own.
    remarks : callable, optional
        (argument, label, audio file, seconds) -> warnings about the files of `file` or `files`.
    curves : bool
        Whether units are few and have a meaning: pictures show them over the waveform.
    weights : str
        Of `network`, where the option names them: ``random:SEED``.
    guess : str
        Input that a program guessed, such as notes; every record and result names it.
    references : mapping
        Publications by key.
    base : Space, optional
        The space that this one is the change of, or the components.
    components : int
        How many principal components of each layer of `base` there are; 0 for another space.
    """

    name: str
    sentence: str
    values: Callable[..., Iterable[FeatureSeries]] = _no_values
    network: Network | None = None
    stream: Callable[[str], AudioNetwork] | None = None
    step: float | None = STEP
    clock: Callable[[str, str, np.ndarray, float], tuple[np.ndarray, float]] | None = None
    layers: tuple[str, ...] = ()
    ordered: bool = True
    twins: tuple[str, ...] = ()
    order: Callable[[str, Mapping[str, Path]], LayerOrder] | None = None
    about: About | None = None
    named: bool = False
    argument: str = ""
    optional: bool = False
    file: Callable[[str, str, Path], Path] | None = None
    files: Callable[[str, str, Path], list[Path]] | None = None
    corpus: Callable[[str], str] | None = None
    corpus_name: Callable[[str], str] | None = None
    remarks: Callable[[str, str, Path, float], list[str]] | None = None
    curves: bool = False
    weights: str = ""
    guess: str = ""
    references: Mapping[str, Reference] = field(default_factory=dict)
    base: Space | None = None
    components: int = 0

    @property
    def spelling(self) -> str:
        """The option's text for it."""
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def is_network(self) -> bool:
        """Whether an audio network has these layers, on a torch device."""
        row = self.base or self
        return row.network is not None or row.stream is not None

    @property
    def identity(self) -> str:
        """Name in records and cache keys, without paths of files."""
        if self.optional:
            return self.name
        if self.argument and not self.named:
            return f"{self.name}:"
        return self.spelling

    @property
    def file_name(self) -> str:
        """Name as a part of file names."""
        return self.name.replace(":", "-")

    def files_of(self, label: str, audio: str | Path) -> list[Path]:
        """Files besides the audio that the features of a stimulus depend on."""
        if self.file is not None:
            return [self.file(self.argument, label, Path(audio))]
        return [] if self.files is None else self.files(self.argument, label, Path(audio))

    def checksum_of_files(self, label: str, audio: str | Path) -> str:
        """SHA-256 of the content of `files_of`; empty without any."""
        sums = [sha256_of_file(path) for path in self.files_of(label, audio)]
        return sums[0] if len(sums) == 1 else sha256_of(json.dumps(sums)) if sums else ""

    def remarks_on(self, label: str, audio: str | Path, duration: float) -> list[str]:
        """Warnings about the files besides the audio that features are read from."""
        if self.remarks is None:
            return []
        return self.remarks(self.argument, label, Path(audio), duration)

    def seconds_per_step(self, label: str, duration: float) -> float:
        """Seconds of a step of a stimulus that lasts `duration` seconds."""
        from bids_app.features.timing import step_times

        step = self.step or STEP
        if self.clock is None:
            return step
        return self.clock(self.argument, label, step_times(duration, step), step)[1]

    def sound(self, label: str, path: str | Path) -> Sound:
        """An audio file, and when its values are wanted.

        Raises
        ------
        MissingInputError, BadDataError
            The file, or one with its features, is missing or unusable; names it.
        """
        from bids_app.features.timing import step_times

        step = self.step or STEP
        audio = load_audio(path, SAMPLE_RATE)
        duration = audio.size / SAMPLE_RATE
        if duration < step:
            raise BadDataError(
                "This audio file is shorter than one step of the feature space.",
                where=path,
                found=f"{duration:g} s",
                wanted=f"at least {step:g} s",
                remedy=LONGER,
            )
        times = step_times(duration, step)
        if self.clock is not None:
            times, step = self.clock(self.argument, label, times, step)
        return Sound(label, audio, times, step, Path(path))

    def streamed(self) -> AudioNetwork | None:
        """The network of `stream`; None for a space without one."""
        return None if self.stream is None else _streamed(self.stream, self.argument)

    @property
    def weights_identity(self) -> str:
        """Checksum of weights, or of files that all stimuli share; empty without either."""
        if (network := self.streamed()) is not None:
            return network.identity
        return "" if self.corpus is None else self.corpus(self.argument)

    def corpus_record(self) -> dict[str, str]:
        """Fields of records: other music that the model knows, and a guessed input."""
        name = "" if self.corpus_name is None else self.corpus_name(self.argument)
        told = {"Corpus": name, "Guess": self.guess}
        return {key: text for key, text in told.items() if text}

    def stream_record(self) -> dict[str, Any]:
        """Fields of records about the network of `stream`; none for a space without one."""
        network = self.streamed()
        if network is None:
            return {}
        return {
            "Network": self.spelling,
            "Weights": getattr(network, "weights_label", None),
            "WeightsSHA256": network.identity,
            "Untrained": bool(getattr(network, "untrained", False)),
        }

    def layer_order(self, stimuli: Mapping[str, Path]) -> LayerOrder:
        """Layers of these stimuli, and the source of their order.

        Parameters
        ----------
        stimuli : mapping
            Label to audio file.

        Raises
        ------
        MissingInputError, BadDataError
            A file is missing or unusable, or stimuli differ in their layers.
        """
        twins = frozenset(self.twins)
        if self.order is not None:
            return replace(self.order(self.argument, stimuli), twins=twins)
        if (network := self.streamed()) is not None:
            return LayerOrder(tuple(network.layers), "the network", twins)
        source = "the network" if self.network else "the feature space"
        return LayerOrder(self.layers, source if self.ordered else "", twins)

    def load(self, weights: str | Path | None) -> Any:
        """The network with its weights, None for a space without one; see `check_weights`."""
        self.check_weights(weights)
        return None if self.network is None else self.network.load(str(weights))

    def check_weights(self, weights: str | Path | None) -> None:
        """Raise UsageError where weights are needed and not given."""
        if self.network is not None and weights is None:
            raise UsageError(
                "A network needs weights.",
                where=self.network.name,
                found="no weights",
                wanted="a file of weights, or random:SEED",
                remedy="give the weights file, or random:SEED for an untrained network",
            )


@lru_cache(maxsize=1)
def _streamed(load: Callable[[str], AudioNetwork], argument: str) -> AudioNetwork:
    return load(argument)


def change_of(space: Space) -> Space:
    """Change, novelty and boundaries of every layer of a space.

    Examples
    --------
    >>> change_of(find_space("envelope")).name
    'change:envelope'
    """
    sentence = f"the change over time of {space.sentence}"
    return replace(space, name=CHANGE + space.name, sentence=sentence, base=space)


def components_of(space: Space, n: int) -> Space:
    """Every layer of a space, reduced to its first principal components.

    Examples
    --------
    >>> components_of(find_space("descriptors"), 3).name
    'components3:descriptors'
    """
    sentence = f"the first {n} principal components of each of {space.sentence}"
    name = f"{COMPONENTS}{n}:{space.name}"
    return replace(space, name=name, sentence=sentence, base=space, components=n)


def derived_from(features: str) -> tuple[str, str]:
    """``change:`` or ``componentsN:`` before a space, or nothing, and the space.

    Examples
    --------
    >>> derived_from("components20:vggish@random:1")
    ('components20:', 'vggish@random:1')
    """
    found = _DERIVED.match(features)
    before = found[0] if found else ""
    return before, features[len(before) :]


def _derived(space: Space, before: str) -> Space:
    found = _DERIVED.match(before)
    if not found:
        return space
    return components_of(space, int(found[1])) if found[1] else change_of(space)


def _later(module: str, function: str) -> Callable[..., Any]:
    """A function of this package that is imported when it is called: help does not wait for it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        found = getattr(import_module(f"bids_app.features.{module}"), function)
        return found(*args, **kwargs)

    return call


_PREDICTION = {
    "cleary1984": Reference(
        "Cleary, John G. and Witten, Ian H.",
        "Data compression using adaptive coding and partial string matching",
        "IEEE Transactions on Communications",
        "1984",
        "10.1109/TCOM.1984.1096090",
        "32",
        "396–402",
    ),
    "pearce2005": Reference(
        "Pearce, Marcus T.",
        "The construction and evaluation of statistical models of melodic structure in"
        " music perception and composition",
        "City University, London",
        "2005",
        "",
        "",
        "",
        "misc",
    ),
}
_ROWS = (
    Space(
        "vggish",
        "the activations of {layers} of VGGish [@hershey2017], an audio network with log-mel input",
        network=Network(
            "VGGish",
            load=_later("vggish", "load_vggish"),
            grams=_later("stream", "layer_grams"),
            activations=_later("vggish", "layer_activations"),
        ),
        step=None,
        layers=LAYER_NAMES,
        twins=TWINS,
        about=About("128 to 393,216", "weights of Hershey et al. 2017", "Apache-2.0", "15"),
        references={
            "hershey2017": Reference(
                "Hershey, Shawn and Chaudhuri, Sourish and Ellis, Daniel P. W. and others",
                "CNN architectures for large-scale audio classification",
                "IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)",
                "2017",
                "10.1109/ICASSP.2017.7952132",
                "",
                "131–135",
                "inproceedings",
            )
        },
    ),
    Space(
        "envelope",
        "the envelope, the mean over 128 compressed gammatone channels",
        _later("auditory", "envelope_layers"),
        layers=("envelope",),
        about=About("1", *_OWN, "1.3"),
    ),
    Space(
        "cochleagram",
        "the compressed envelopes of 128 gammatone channels (180 to 7,040 Hz)",
        _later("auditory", "cochleagram_layers"),
        layers=("cochleagram",),
        about=About("128", *_OWN, "1.2"),
    ),
    Space(
        "modulation",
        "the spectro-temporal modulations of a gammatone cochleagram (0.5 to 16 Hz, 0.5 to 16"
        " cycles per octave)",
        _later("auditory", "modulation_layers"),
        layers=("modulation",),
        about=About("6 × 6 × 128", *_OWN, "2.4"),
    ),
    Space(
        "descriptors",
        "descriptors of loudness, timbre, tonality and rhythm",
        lambda sound: _later("descriptors", "music_descriptors")(
            sound.audio, sound.times, sound.step
        ),
        layers=("loudness", "timbre", "tonality", "rhythm", "all"),
        ordered=False,
        about=About("1, 4, 13, 3, 21", "this program, on librosa (ISC)", "Apache-2.0", "0.4"),
    ),
    Space(
        "notes",
        "the density of notes and the surprise and uncertainty of melody and chords, by prediction"
        " by partial matching [@cleary1984; @pearce2005]",
        _later("notes", "note_layers"),
        step=0.1,
        ordered=False,
        order=_later("notes", "note_order"),
        about=About(
            "3 or 2", "this program, from your notes ([notes.md](notes.md))", "Apache-2.0", "0.2"
        ),
        optional=True,
        file=_later("notes", "note_file"),
        corpus=_later("known_music", "corpus_identity"),
        corpus_name=_later("known_music", "corpus_name"),
        remarks=_later("notes", "note_remarks"),
        references=_PREDICTION,
    ),
    Space(
        "transcribed",
        "the density of notes and the surprise and uncertainty of melody and chords, by prediction"
        " by partial matching [@cleary1984; @pearce2005], of notes that basic-pitch [@bittner2022]"
        " guessed from the sound",
        _later("transcription", "transcribed_layers"),
        step=0.1,
        ordered=False,
        order=_later("notes", "note_order"),
        about=About(
            "3 or 2",
            "this program, on basic-pitch ([notes.md](notes.md#notes-from-the-sound))",
            "Apache-2.0",
            "1.2",
        ),
        optional=True,
        corpus=_later("transcription", "transcriber_identity"),
        corpus_name=_later("known_music", "corpus_name"),
        remarks=_later("transcription", "transcribed_remarks"),
        guess="notes, transcribed from the sound by basic-pitch and not checked",
        references={
            **_PREDICTION,
            "bittner2022": Reference(
                "Bittner, Rachel M. and Bosch, Juan José and Rubinstein, David and others",
                "A lightweight instrument-agnostic model for polyphonic note transcription and"
                " multipitch estimation",
                "IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)",
                "2022",
                "10.1109/ICASSP43922.2022.9746549",
                "",
                "781–785",
                "inproceedings",
            ),
        },
    ),
    Space(
        "expression",
        "the curves of a performance [@chapin2010]: tempo, from given beats, a matched score or the"
        " local pulse of the sound [@grosche2011], loudness and, where there are notes as they were"
        " played, dynamics, articulation and pedal",
        _later("expression", "expression_layers"),
        ordered=False,
        order=_later("expression", "expression_order"),
        about=About(
            "1", "this program, on librosa (ISC; [notes.md](notes.md))", "Apache-2.0", "0.3"
        ),
        optional=True,
        files=_later("expression", "expression_files"),
        remarks=_later("expression", "expression_remarks"),
        curves=True,
        references={
            "chapin2010": Reference(
                "Chapin, Heather and Jantzen, Kelly and Kelso, J. A. Scott and others",
                "Dynamic emotional and neural responses to music depend on performance expression"
                " and listener experience",
                "PLoS ONE",
                "2010",
                "10.1371/journal.pone.0013812",
                "5",
                "e13812",
            ),
            "grosche2011": Reference(
                "Grosche, Peter and Müller, Meinard",
                "Extracting predominant local pulse information from music recordings",
                "IEEE Transactions on Audio, Speech, and Language Processing",
                "2011",
                "10.1109/TASL.2010.2096216",
                "19",
                "1688–1701",
            ),
        },
    ),
    Space(
        "precomputed",
        "features computed elsewhere",
        lambda path, sound: _later("precomputed", "load_precomputed")(
            path, sound.label, sound.times, sound.step
        ),
        order=_later("precomputed", "precomputed_layers"),
        clock=_later("precomputed", "precomputed_clock"),
        remarks=_later("precomputed", "precomputed_remarks"),
        about=About("yours", "your files", "yours", "reading"),
        argument="PATH",
        file=lambda path, label, audio: _later("precomputed", "find_precomputed")(path, label),
    ),
    Space(
        "musicnn",
        "the activations of {layers} of {name}, a music tagger [@pons2019] that hears 3 s of a"
        " log-mel spectrogram",
        stream=_later("networks.musicnn", "load_musicnn"),
        step=0.48,
        about=About("50 to 12,288", "Pons and Serra 2019 ([networks.md](networks.md))", "ISC", "4"),
        twins=tuple(f"pool{n}" for n in range(1, 6)),
        argument="NETWORK",
        named=True,
        references={
            "pons2019": Reference(
                "Pons, Jordi and Serra, Xavier",
                "musicnn: Pre-trained convolutional neural networks for music audio tagging",
                "Late-breaking/demo session of the International Society for Music Information"
                " Retrieval Conference",
                "2019",
                "",
                "",
                "",
                "inproceedings",
            )
        },
    ),
    Space(
        "python",
        "the activations of {layers} of {name}, an audio network of the user's own",
        stream=_later("networks.own", "load_own"),
        about=About("its own", "yours ([networks.md](networks.md))", "yours", "its own"),
        argument="PACKAGE.MODULE:FUNCTION",
        named=True,
    ),
)
SPACES: dict[str, Space] = {space.name: space for space in _ROWS}


def spaces_text() -> str:
    """Every text that the option ``--features`` accepts, in words."""
    names = ", ".join(space.spelling for space in SPACES.values())
    return f"{names}, or {CHANGE} or {COMPONENTS}N: before one of these"


def find_space(features: str, option: str = "--features") -> Space:
    """The feature space that an option names, with its argument.

    Raises
    ------
    UsageError
        There is none of this name, or its argument is missing or superfluous.

    Examples
    --------
    >>> find_space("vggish@random:3").weights
    'random:3'
    """
    before, plain = derived_from(features)
    name, colon, argument = plain.partition(":")
    own, at, seed = name.partition("@")
    if at and (known := SPACES.get(own)) and known.network:
        weights = f"{seed}:{argument}"
        if random_seed(weights) is None:
            raise UsageError(
                "This is no untrained network.",
                where=option,
                found=features,
                wanted=f"{own}@random:SEED",
                remedy="add a seed, for example @random:0",
            )
        return _derived(replace(known, weights=weights), before)
    row = SPACES.get(name)
    within = [f"{one}@{name}" for one, space in SPACES.items() if name in space.layers]
    fits = row is not None and (row.optional or bool(colon) == bool(row.argument))
    if row is None or not fits or bool(colon) != bool(argument):
        raise UsageError(
            "There is no such feature space.",
            where=option,
            found=features,
            wanted=spaces_text(),
            remedy=f"the layer {name} is named {' or '.join(within)}"
            if option == LAG_SCAN and within
            else "give one of these; the pages on features and networks say what each is",
        )
    if argument or row.optional:
        row = replace(row, argument=argument, values=partial(row.values, argument))
    return _derived(row, before)


def recorded_space(identity: str) -> Space | None:
    """The row behind the `identity` in a record, None where this version has none of the name."""
    before, plain = derived_from(identity)
    row = SPACES.get(plain.partition(":")[0])
    return row and _derived(row, before)


def check_spaces(
    features: Sequence[str], layers: Sequence[str] = (), scanned: Sequence[str] = ()
) -> None:
    """Raise UsageError unless all spaces exist, and one has layers if some are chosen.

    `scanned` are those of ``--lag-scan``.
    """
    for name in scanned:
        find_space(name, LAG_SCAN)
    spaces = [find_space(name) for name in features]
    if layers and not any(len(space.layers) != 1 for space in spaces):
        raise UsageError(
            "None of these feature spaces has layers to choose from.",
            where="--layers",
            found=f"--features {' '.join(features)}",
            wanted=" or ".join(s.spelling for s in SPACES.values() if len(s.layers) != 1),
            remedy="leave --layers out",
        )
