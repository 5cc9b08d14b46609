"""What everybody heard and how it was sampled: the inputs of every null over music.

Participants are grouped by clock. Those of one clock share the stimulus side of their models; sums
run over all clocks. Phases belong to a stimulus, so that repeats and other clocks share them. They
cannot be shared between sampling rates: whoever has another repetition time than most is left out
of what is claimed over music, by name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import interp1d

from bids_app.analyses.folder.read import damaged, read_maps
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.clock import Clock, read_clock, same_rate
from bids_app.analyses.group.collect import GroupData, read_encoding
from bids_app.analyses.mapped import save_series
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.bands import high_pass_of
from bids_app.config import Model
from bids_app.encoding import EncodingPlan
from bids_app.errors import BadDataError, inside
from bids_app.features.cache import FeatureGrams
from bids_app.features.kept import find_grams, keep_grams
from bids_app.features.timing import CLOCK_TOLERANCE
from bids_app.labels import safe_label
from bids_app.loading import load_array
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.plain import some_of

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

REFITS = "refits"
"""Start of the names of files, beside the responses, that hold accuracies of refits."""
MIN_LEFT = 2  # participants of one repetition time, for anything to be claimed over music


@dataclass(frozen=True)
class Presentations:
    """What a participant heard, and when the volumes were taken.

    Attributes
    ----------
    labels : tuple of str
        Stimulus of every presentation.
    times : tuple of arrays of shape (n_times,)
        Seconds of the audio file that the volumes were sampled at, censored ones included.
    tr : float
        Repetition time, seconds.
    """

    labels: tuple[str, ...]
    times: tuple[FloatArray, ...]
    tr: float

    def fits(self, other: Presentations) -> bool:
        """Whether the other has the same presentations at the same times, within tolerance."""
        return self.labels == other.labels and all(
            len(own) == len(given) and float(np.abs(own - given).max()) <= CLOCK_TOLERANCE * self.tr
            for own, given in zip(self.times, other.times, strict=True)
        )


@dataclass(frozen=True)
class Heard:
    """The inputs of a null over music, or why there is none.

    Attributes
    ----------
    people : tuple of int
        Numbers, in the group, of the participants behind the null.
    clock_of : tuple of int
        Presentations of each of them.
    clocks : tuple of Presentations
    responses : tuple of tuple of Path
        Of each of them, one file per presentation: (n_times, n_vertices) float32.
    left_out : mapping from participant to str
        Who has no part in what is claimed over music, and why.
    reasons : tuple of str
        Why there is no null; empty where there is one.
    grams : Path
        Folder of the features' Gram matrices.
    checksums : mapping from stimulus to str
        Of the audio files, which the phases come from.
    training : tuple of tuple of Path
        Like `responses`: what the models were trained on where it is not the scored responses.
    """

    people: tuple[int, ...] = ()
    clock_of: tuple[int, ...] = ()
    clocks: tuple[Presentations, ...] = ()
    responses: tuple[tuple[Path, ...], ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    grams: Path = Path()
    checksums: Mapping[str, str] = field(default_factory=dict)
    training: tuple[tuple[Path, ...], ...] = ()

    @property
    def there(self) -> bool:
        """Whether anything can be tested over music."""
        return not self.reasons

    def loaded(self) -> list[list[NDArray[np.float32]]]:
        """Responses of `people`, memory mapped: one array per presentation."""
        return _loaded(self.responses)

    def loaded_training(self) -> list[list[NDArray[np.float32]]] | None:
        """The same of what models were trained on; None where it is the scored responses."""
        return _loaded(self.training) if self.training else None

    def plans(self, data: GroupData) -> list[list[EncodingPlan]]:
        """The encoding models of every clock, one per layer.

        Raises
        ------
        BadDataError
            If the features are not those of the maps.
        """
        grams = FeatureGrams.load(self.grams).called(self.checksums)
        _check_grams(grams, data, self.checksums)
        settings: dict[str, Any] = data.settings
        model = Model(
            delays=tuple(settings["delays"]),
            crop=settings["crop"],
            alphas=tuple(settings["alphas"]),
        )
        high_pass = high_pass_of(settings["high_pass"])
        plans = []
        for number, clock in enumerate(self.clocks):
            whose = [
                f"sub-{data.participants[person]}"
                for person, own in zip(self.people, self.clock_of, strict=True)
                if own == number
            ]
            with inside(f"responses of {some_of(whose, 4)}"):
                side = StimulusSide(grams, clock.labels, clock.times, clock.tr, model, high_pass)
                plans.append([side.plan(side.gram(name)) for name in data.layer_names])
        return plans


def collect_heard(tree: OutputTree, data: GroupData, cache_dir: Path, folder: Path) -> Heard:
    """Find the responses and the features of the music, and who shares which clock.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    folder : Path
        For memory-mapped responses, which may exceed the memory.
    """
    for stale in folder.glob(f"{REFITS}-*.npy"):  # of a run with other responses
        stale.unlink()
    stored = read_encoding(tree, data.participants[0], data.model)
    grams = kept_features(tree, str(stored.get("FeaturesFolder", "")), cache_dir)
    if grams is None:
        return _nothing(Heard(reasons=(no_features(tree, cache_dir),)))
    found = find_heard(tree, data.participants, data.stimuli, data.space)
    if isinstance(found, Heard):
        return _nothing(found)
    for participant, reason in found.left_out.items():
        LOGGER.warning("group: sub-%s has no part in claims over music: %s", participant, reason)
    known, clock_of = group_by_clock([found.clocks[number] for number in found.numbers])
    if len(known) > 1:
        LOGGER.info("group: %d clocks among %d participants", len(known), len(found.numbers))
    responses = [
        tuple(
            _mapped(path, data.space, folder / f"{number}_{k}.npy")
            for k, path in enumerate(found.files[number])
        )
        for number in found.numbers
    ]
    return Heard(
        people=tuple(found.numbers),
        clock_of=tuple(clock_of),
        clocks=tuple(known),
        responses=tuple(responses),
        left_out=found.left_out,
        grams=grams,
        checksums={name: str(sha) for name, sha in stored["Stimuli"].items()},
    )


@dataclass(frozen=True)
class Found:
    """Files of the responses, and whose can be used together.

    Attributes
    ----------
    numbers : sequence of int
        Numbers of the participants who have a part.
    clocks, files : mapping from number
        Their presentations, and the left file of each.
    left_out : mapping from participant to str
        Who has none, and why.
    """

    numbers: Sequence[int]
    clocks: Mapping[int, Presentations]
    files: Mapping[int, Sequence[Path]]
    left_out: Mapping[str, str]


def find_heard(
    tree: OutputTree, participants: Sequence[str], stimuli: Sequence[str], space: str
) -> Found | Heard:
    """Which responses are there; no map is read. `Heard` says why there are none."""
    clocks: dict[int, Presentations] = {}
    files: dict[int, list[Path]] = {}
    without: dict[str, str] = {}
    for number, participant in enumerate(participants):
        found = presented(tree, participant, stimuli, space)
        if isinstance(found, str):
            without[participant] = found
        else:
            clocks[number], files[number] = found
    if 2 * len(without) >= len(participants):
        return Heard(reasons=("; ".join(without.values()),))
    names = {participants[number]: number for number in clocks}
    alike, left_out = same_rate({who: clocks[number].tr for who, number in names.items()})
    kept = [names[who] for who in alike]
    left_out |= without
    if len(kept) < MIN_LEFT:
        reason = "fewer than two participants have the same repetition time"
        return Heard(reasons=(reason,), left_out=left_out)
    return Found(kept, clocks, files, left_out)


def kept_features(tree: OutputTree, name: str, cache_dir: Path) -> Path | None:
    """Folder of the Gram matrices: what the output folder keeps, else the cache, which is kept.

    Raises
    ------
    BadDataError
        They are not as they were written.
    """
    found = find_grams(name, (tree.features, cache_dir))
    if found is None:
        return None
    grams = FeatureGrams.load(found)
    for layer in range(1, len(grams.layer_names) + 1):
        grams.gram(layer)  # what is damaged is not kept
    if reason := keep_grams(grams, tree.features):
        LOGGER.warning("group: %s", reason)
    return found


def no_features(tree: OutputTree, cache_dir: Path) -> str:
    """That the features are nowhere."""
    return (
        f"the features of the music are not in {tree.features} and not in {cache_dir}; give the "
        "--cache-dir of the participant level"
    )


def presented(
    tree: OutputTree, participant: str, stimuli: Sequence[str], space: str
) -> tuple[Presentations, list[Path]] | str:
    """A participant's presentations in the order of the model's, or why they are not there.

    Returns
    -------
    Presentations and list of Path, or str
        When they were sampled, and the left file of each.
    """
    labels: list[str] = []
    files: list[Path] = []
    for stimulus in sorted(stimuli):
        own = [
            path
            for path in _responses_of(tree, participant, stimulus, space)
            if sidecar_of(path).is_file()
        ]
        if not own:
            return f"no cleaned response of sub-{participant} to {stimulus} was saved"
        labels += [stimulus] * len(own)
        files += own
    read = [read_clock(sidecar_of(path)) for path in files]
    if len(same_rate({str(k): one.tr for k, one in enumerate(read)})[0]) < len(read):
        told = ", ".join(f"{tr:g} s" for tr in sorted({one.tr for one in read}))
        return f"responses of sub-{participant} differ in repetition time ({told})"
    times = tuple(np.interp(*_all_volumes(one), one.times) for one in read)
    return Presentations(tuple(labels), times, read[0].tr), files


def _responses_of(tree: OutputTree, participant: str, stimulus: str, space: str) -> list[Path]:
    """Left files of all presentations of a stimulus, in their order."""
    return tree.responses(participant, space, safe_label(stimulus))


def group_by_clock(clocks: Sequence[Presentations]) -> tuple[list[Presentations], list[int]]:
    """Clocks that differ, and which of them each participant has.

    A participant joins the first clock that fits within tolerance.
    """
    known: list[Presentations] = []
    numbers = []
    for own in clocks:
        number = next((k for k, one in enumerate(known) if one.fits(own)), len(known))
        if number == len(known):
            known.append(own)
        numbers.append(number)
    return known, numbers


def _loaded(files: Sequence[Sequence[Path]]) -> list[list[NDArray[np.float32]]]:
    return [[load_array(path, mapped=True) for path in own] for own in files]


def _all_volumes(clock: Clock) -> tuple[FloatArray, FloatArray]:
    """Numbers of all volumes from the first that was kept to the last, and of those kept."""
    kept = np.rint((clock.times - clock.times[0]) / clock.tr)
    return np.arange(kept[-1] + 1), kept


def _mapped(left: Path, space: str, target: Path) -> Path:
    """Responses in a file of their own, with lines across censored volumes.

    Phases of shortened series would not meet: what listeners share would leave their null.
    """
    clock = read_clock(sidecar_of(left))
    return save_series(target, _whole(clock, read_maps(left, space, n_arrays=len(clock.times))))


def whole_series(sidecar: Path, values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Responses, (n_times, n), on the clock of their sidecar, with lines across censored volumes.

    Raises
    ------
    BadDataError
        If they have another length than the sidecar says.
    """
    clock = read_clock(sidecar)
    if len(values) != len(clock.times):
        raise damaged(sidecar, f"{len(values)} volumes", f"{len(clock.times)} StimulusTimes")
    return _whole(clock, values)


def _whole(clock: Clock, values: NDArray[np.floating]) -> NDArray[np.float32]:
    volumes, kept = _all_volumes(clock)
    if len(volumes) > len(kept):
        values = interp1d(kept, values, axis=0)(volumes)
    return values.astype(np.float32)


def _nothing(heard: Heard) -> Heard:
    LOGGER.warning("group: nothing is tested over music: %s", "; ".join(heard.reasons))
    return heard


def _check_grams(grams: FeatureGrams, data: GroupData, checksums: Mapping[str, str]) -> None:
    """Whether the features are those of the music and the layers of the maps.

    Raises
    ------
    BadDataError
    """
    there = dict(zip(grams.labels, grams.checksums, strict=False))
    other = [name for name in data.stimuli if there.get(name) != checksums.get(name)]
    lacking = [name for name in data.layer_names if name not in grams.layer_names]
    if other or lacking:
        raise BadDataError(
            "The features in the cache are not those of the maps.",
            where=grams.path,
            found=f"stimuli {', '.join(there)}; layers {', '.join(grams.layer_names)}",
            wanted=", ".join([*other, *lacking]),
            remedy="delete the folder, or give another one with --cache-dir",
        )


HEARD = GroupAnalysis("heard", collect_heard)
