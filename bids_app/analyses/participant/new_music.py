"""Predictions of saved models for new music, from its features and those of their own music."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.layers import StimulusSide
from bids_app.analyses.participant.plan import weights_checksum
from bids_app.analyses.participant.saved import SavedModel
from bids_app.config import Model
from bids_app.config.places import Places, moved, rooted
from bids_app.encoding.leakage import shared_course
from bids_app.encoding.transfer import new_kernel
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.audio import file_sha256
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.registry import Space, derived_from, find_space
from bids_app.features.sources import Progress
from bids_app.features.vggish import resolve_device
from bids_app.resources import find_weights

LOGGER = logging.getLogger("bids_app.analyses")
_COLUMNS = 4096
"""Vertices whose weights are read at a time."""
_SAME, _ALIKE = 0.9, 0.6
"""Correlation of the features of two pieces from which one counts as the other, and from which that
is told. Of four unrelated recordings at their best shifts it was .46 at most, of a recording with
silence, cuts or other gain .9 or more (in untrained layers, moved by half a patch, .4 to .7)."""
_APART = 0.1
"""How much less features of one recording agree at any other shift. Of two melodies of one steady
beat, features of notes agree nearly as much at every beat (.98 and .97): they are only told."""


@dataclass(frozen=True)
class Heard:
    """A presentation that is to be predicted.

    Attributes
    ----------
    stimulus : str
        Label of the music.
    times : array of shape (n_times,)
        Seconds of the audio file at which it is sampled; with gaps where volumes were censored.
    """

    stimulus: str
    times: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predicted:
    """A predicted presentation.

    Attributes
    ----------
    layer : str
    weights : str
        Name of the weights: ``all``, or the number of the fold that did not hear the music.
    rows : array of int
        Numbers of the samples that are predicted: crop and delays leave them.
    values : array of shape (n_rows, n_vertices of the model)
        In standard deviations of the response to the piece; the mean over the kept samples is 0.
    """

    layer: str
    weights: str
    rows: NDArray[np.intp]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSource:
    """Where features come from, as far as a model does not say it itself.

    Attributes
    ----------
    cache_dir : Path
    features : str
        Feature space; that of the model where empty.
    weights : str or None
        Of the network, as ``--vggish-weights``.
    music_dirs : sequence of Path
        Where the model's own music is looked for beside its old place.
    device : str
        Of the network.
    notes : Places
        Where notes lie, of the models' own music too; where the models say where it is not given.
    """

    cache_dir: Path
    features: str = ""
    weights: str | None = None
    music_dirs: Sequence[Path] = ()
    device: str = "auto"
    notes: Places = field(default_factory=Places)


def own_label(models: Sequence[SavedModel], label: str, path: Path) -> str:
    """What models call a piece of music: their own label where they were fitted to it.

    Raises
    ------
    UsageError
        They were fitted to another piece of this label.
    """
    checksum = file_sha256(path)
    for model in models:
        for known, own in model.identity["Music"].items():
            if own == checksum:
                return str(known)
            if known == label:
                raise UsageError(
                    "Two pieces of music have one name.",
                    where=path,
                    found=f"{label} of SHA-256 {checksum[:16]}",
                    wanted=f"another name than that of the model's music, SHA-256 {own[:16]}",
                    remedy="give the file another name",
                )
    return label


def grams_with_new(
    models: Sequence[SavedModel],
    new: Mapping[str, Path],
    source: FeatureSource,
    *,
    progress: Progress | None = None,
) -> FeatureGrams:
    """Gram matrices over the music of models and new music.

    Parameters
    ----------
    models : sequence of SavedModel
        Of one label, which have the same features.
    new : mapping
        Label, as `own_label` has it, to audio file.
    source : FeatureSource
    progress : callable, optional

    Raises
    ------
    UsageError
        The features, or the weights of the network, are not those of the models.
    MissingInputError, BadDataError
        The models' own music is not there, or a file is unusable.
    """
    first = models[0]
    music: dict[str, Path] = {}
    for model in models:
        _check_alike(first, model)
        for label in model.identity["Music"]:
            if label not in music:
                music[label] = _own_music(model, label, source.music_dirs)
    asked = rooted(source.features, Path.cwd()) or str(first.identity["FeatureSpace"])
    row = find_space(moved(asked, source.notes))
    if row.components:
        raise UsageError(
            "Components of features are of the pieces that they were found in.",
            where=first.path,
            found=f"a model of {row.name}",
            wanted="a model of features that do not depend on the other music",
            remedy=f"fit a model of {derived_from(row.name)[1]}, which predicts new music",
        )
    weights = ""
    if row.network is not None:
        known = str(first.settings["weights_sha256"])
        untrained = known if known.startswith("random:") else None
        weights = find_weights(row.weights or source.weights or untrained)
    known = weights_checksum(weights) if weights else row.weights_identity
    hop = float(first.settings["hop"])
    first.check(features=row.identity, weights_sha256=known)
    for model in models:
        _check_files(model, row, music)
    grams = load_or_compute_grams(
        [*music.items(), *((k, new[k]) for k in sorted(new) if k not in music)],
        weights or None,
        cache_dir=source.cache_dir,
        hop=hop,
        features=row.spelling,
        device=resolve_device(source.device) if row.is_network else "cpu",
        progress=progress,
    )
    _check_times(models, grams)
    _check_new(models, grams, music)
    units = dict(zip(grams.layer_names, grams.n_units, strict=True))
    for model in models:
        for layer, n_units in model.n_units.items():
            if units.get(layer) != n_units:
                raise _other_features(
                    model,
                    f"{units.get(layer, 'no')} units of {layer}",
                    f"{n_units}",
                )
    return grams


def predict_new(
    model: SavedModel,
    grams: FeatureGrams,
    heard: Sequence[Heard],
    *,
    layers: Sequence[str] = (),
) -> Iterator[list[Predicted]]:
    """Predictions layer by layer, one per presentation.

    A piece that the model was fitted to is predicted by the fold that held it out, all other music
    by the weights that all stimuli trained.

    Parameters
    ----------
    model : SavedModel
    grams : FeatureGrams
        From `grams_with_new`.
    heard : sequence of Heard
    layers : sequence of str
        Default: all of the model.

    Raises
    ------
    UsageError
        A layer that the model does not have, or music that all of its weights were trained on.
    BadDataError
        A presentation that is too short.
    """
    chosen = model.chosen(layers)
    crop = float(model.settings["crop"])
    side = StimulusSide(
        grams,
        [*model.stimuli, *(one.stimulus for one in heard)],
        [*model.times, *(one.times for one in heard)],
        model.tr,
        replace(Model(), delays=model.delays, crop=crop),
        model.high_pass,
    )
    n_trained = len(model.stimuli)
    ranges = _kept(model, heard, side.lengths[n_trained:])
    present = [kept for _, kept in side.clocks[n_trained:]]
    names = [model.weights_for(one.stimulus) for one in heard]
    for layer in chosen:
        kernels = new_kernel(
            side.gram(layer),
            side.lengths,
            model.stimuli,
            n_trained=n_trained,
            delays=model.delays,
            crop=crop,
            tr=model.tr,
            scale=model.scales[layer],
        )
        found = []
        for kernel, name, (start, stop), there in zip(kernels, names, ranges, present, strict=True):
            rows = np.flatnonzero((there >= start) & (there < stop))
            if not rows.size:
                raise BadDataError(
                    "No sample of a presentation is left.",
                    found=f"{stop - start} rows, none of them with music",
                    wanted="a row with music after crop and delays",
                    remedy="use a longer piece, or a model with a shorter crop",
                )
            found.append((name, rows, kernel[there[rows] - start]))
        values = [np.empty((len(rows), len(model.vertices))) for _, rows, _ in found]
        # In parts: the weights of an hour on a fine mesh are more than memory has.
        for first in range(0, len(model.vertices), _COLUMNS):
            part = slice(first, first + _COLUMNS)
            duals = {name: model.dual(layer, name, part) for name in dict.fromkeys(names)}
            for own, (name, _, kernel) in zip(values, found, strict=True):
                own[:, part] = kernel @ duals[name]
        yield [
            Predicted(layer, name, rows, own)
            for own, (name, rows, _) in zip(values, found, strict=True)
        ]


def _kept(
    model: SavedModel, heard: Sequence[Heard], lengths: Sequence[int]
) -> list[tuple[int, int]]:
    """Rows that crop and delays of the model leave of every presentation."""
    found: list[tuple[int, int]] = []
    for one, length in zip(heard, lengths, strict=True):
        try:
            found += model.ranges([length])
        except BadDataError as error:
            raise BadDataError(
                "A presentation is too short for a saved model.",
                where=one.stimulus,
                found=f"{length} samples of {model.tr:g} s",
                wanted=f"four samples beside the crop of {model.settings['crop']:g} s at both ends "
                f"and delays of {model.delays[0]:g} to {model.delays[1]:g} s",
                remedy="leave the piece out, or fit a model with a shorter --crop",
            ) from error
    return found


def _check_alike(first: SavedModel, other: SavedModel) -> None:
    """Models whose predictions are averaged have the same settings."""
    names = ("delays", "crop", "hop", "high_pass", "features", "weights_sha256", "space")
    other.check(**{name: first.settings.get(name) for name in names}, repetition_time=first.tr)


def _own_music(model: SavedModel, label: str, folders: Sequence[Path]) -> Path:
    """The file of a piece that the model was fitted to, by its content."""
    checksum, before = model.identity["Music"][label], Path(model.identity["MusicFiles"][label])
    named = (before, *(folder / before.name for folder in folders))
    # Under another name where the folder has it so.
    others = (one for folder in folders for one in sorted(folder.glob(f"*{before.suffix}")))
    for path in (*named, *others):
        if path.is_file() and file_sha256(path) == checksum:
            return path
    looked = ", ".join(f"{folder}" for folder in folders)
    raise MissingInputError(
        "Music that a saved model was fitted to is not there.",
        where=before,
        found=("another file" if before.is_file() else "no file")
        + (f", nor one in {looked}" if looked else ""),
        wanted=f"{before.name} of SHA-256 {checksum}",
        remedy="give the folder that it is in with --music-dir",
    )


def _check_files(model: SavedModel, row: Space, music: Mapping[str, Path]) -> None:
    """Files of features beside the audio are those that the model was fitted to."""
    fitted = model.identity["FeatureFiles"]
    for label in model.identity["Music"]:
        checksum, found = fitted.get(label, ""), row.checksum_of_files(label, music[label])
        if found != checksum:
            names = ", ".join(map(str, row.files_of(label, music[label])))
            raise _other_features(
                model,
                f"{names} of SHA-256 {found[:16]}" if names else f"no file for {label}",
                f"SHA-256 {checksum[:16]}" if checksum else f"no file for {label}",
            )


def _check_times(models: Sequence[SavedModel], grams: FeatureGrams) -> None:
    """Samples of models lie within their music."""
    seconds = dict(zip(grams.labels, grams.durations, strict=True))
    for model in models:
        for stimulus, times in zip(model.stimuli, model.times, strict=True):
            if times.min() < -model.tr or times.max() > seconds[stimulus] + model.tr:
                raise BadDataError(
                    "A saved model was sampled outside of its music.",
                    where=model.path,
                    found=f"{times.min():g} to {times.max():g} s of {stimulus}",
                    wanted=f"0 to {seconds[stimulus]:g} s, the length of the recording",
                    remedy="copy the file again, or run the participant level again with "
                    "--save-weights",
                )


def _check_new(
    models: Sequence[SavedModel], grams: FeatureGrams, known: Mapping[str, Path]
) -> None:
    """Music that is called new differs from that of the models, and changes.

    The same recording in another file would be predicted by weights that it trained.
    """
    numbers = np.cumsum([0, *map(len, grams.patch_times)])
    rows = {
        label: slice(start, stop)
        for label, start, stop in zip(grams.labels, numbers, numbers[1:], strict=False)
    }
    layers = range(1, len(grams.layer_names) + 1)
    gram = cache(grams.gram)  # holds a matrix against its checksum whenever it is opened
    for label in (one for one in rows if one not in known):
        if not any(np.diagonal(gram(k)[rows[label], rows[label]]).any() for k in layers):
            LOGGER.warning("%s: nothing changes in the features, which predict nothing", label)
            continue
        for other in known:
            found = [shared_course(gram(k), rows[label], rows[other]) for k in layers]
            found = [one for one in found if np.isfinite(one.r)]
            r = np.array([one.r for one in found])
            apart = [one.r - np.nan_to_num(one.elsewhere, nan=-1.0) for one in found]
            if r.size and np.median(r) >= _SAME and np.median(apart) >= _APART:
                raise UsageError(
                    "Music that is called new is music that a saved model was fitted to.",
                    where=label,
                    found=f"the features of {other}, in another file (r {np.median(r):.2f})",
                    wanted=f"the file that the model was fitted to, {known[other]}, which the fold "
                    "that held it out predicts, or other music",
                    remedy="give that file in place of the other one",
                )
            if r.size and r.max() >= _ALIKE:
                LOGGER.warning(
                    "%s has nearly the features of %s, which a model was fitted to (r up to %.2f): "
                    "if it is the same music, weights that it trained predict it",
                    label,
                    other,
                    r.max(),
                )


def _other_features(model: SavedModel, found: str, wanted: str) -> UsageError:
    return UsageError(
        "These are not the features that a saved model was fitted to.",
        where=model.path,
        found=found,
        wanted=wanted,
        remedy="give the features of the model with --features, or fit a model to these: the "
        "participant level with --save-weights",
    )
