"""Patch-rate Gram matrices on disk, shared by participants and by concurrent processes."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, CannotWriteError, MusencError, UsageError
from bids_app.features.audio import audio_duration, file_sha256
from bids_app.features.registry import Space, find_space
from bids_app.features.sources import (
    Progress,
    Stimuli,
    change_grams,
    check_labels,
    component_grams,
    space_grams,
)
from bids_app.files import SEAL, is_sealed, sealed, sha256_of, sha256_of_file, shared_lock
from bids_app.held import hold, let_go
from bids_app.loading import load_array
from bids_app.resources import random_seed

if TYPE_CHECKING:
    from bids_app.features.gram import LayerGram

LOGGER = logging.getLogger("bids_app.features")

_FORMAT = 4
"""Raised whenever the same input would give other numbers."""
_LOCK_SECONDS = 4 * 3600.0
DESCRIPTION = "features.json"
"""File that closes a folder of matrices: what they are of."""
_TIMES = "patch_times.npy"
_HOW_TO_MOVE = "give a folder you may write to with --cache-dir"


@dataclass(frozen=True)
class FeatureGrams:
    """Gram matrices of all layers of one feature space over all stimuli.

    Attributes
    ----------
    path : Path
        Folder of the matrices.
    key : str
        Hash of everything the matrices depend on.
    features : str
        Name of the feature space.
    hop : float
        Seconds between patches, or of the space's own clock; files may be slower.
    labels, checksums : tuple of str
        Of the stimuli, in the order of the rows; SHA-256 of the audio files.
    patch_times : tuple of arrays of shape (n_patches_i,)
        Seconds in the audio at the center of each patch.
    durations : tuple of float
        Seconds of each audio file.
    layer_names : tuple of str
        Layer n has the name ``layer_names[n - 1]``.
    n_units, n_constant : tuple of int
        Units per layer, and how many of them are constant in every stimulus.
    weights_sha256, weights_label : str
        Of the network, empty for other feature spaces.
    numbers : tuple of int
        Numbers of the layers in the folder; empty where the layers are those of the folder.
    sha256 : mapping from str to str
        Checksums of the files in the folder, by their names.
    told : mapping
        By layer and stimulus, fields for sidecars on how the values were computed.
    """

    path: Path
    key: str
    features: str
    hop: float
    labels: tuple[str, ...]
    checksums: tuple[str, ...]
    patch_times: tuple[np.ndarray, ...]
    durations: tuple[float, ...]
    layer_names: tuple[str, ...]
    n_units: tuple[int, ...]
    n_constant: tuple[int, ...]
    weights_sha256: str
    weights_label: str
    numbers: tuple[int, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_layers(self, names: Sequence[str]) -> FeatureGrams:
        """The same with these layers alone, in this order."""
        places = [self.layer_names.index(name) for name in names]
        return replace(
            self,
            layer_names=tuple(names),
            n_units=tuple(self.n_units[k] for k in places),
            n_constant=tuple(self.n_constant[k] for k in places),
            numbers=tuple(self.numbers[k] if self.numbers else k + 1 for k in places),
        )

    def called(self, checksums: Mapping[str, str]) -> FeatureGrams:
        """The same with the labels of these recordings, which may have been renamed since.

        Parameters
        ----------
        checksums : mapping from label to str
            SHA-256 of the audio files; others keep their labels, unless one of these takes it.
        """
        found: dict[int, str] = {}
        for label, checksum in checksums.items():
            free = [k for k, one in enumerate(self.checksums) if one == checksum and k not in found]
            same = [k for k in free if self.labels[k] == label]
            found.update((k, label) for k in (same or free)[:1])
        taken = set(found.values())
        return self.relabeled(
            [
                found.get(k, checksum if label in taken else label)
                for k, (label, checksum) in enumerate(zip(self.labels, self.checksums, strict=True))
            ]
        )

    def relabeled(self, labels: Sequence[str]) -> FeatureGrams:
        """The same with these labels, in the order of the rows."""
        new = dict(zip(self.labels, labels, strict=True))
        told = {
            layer: {new.get(label, label): fields for label, fields in by_label.items()}
            for layer, by_label in self.told.items()
        }
        return replace(self, labels=tuple(labels), told=told)

    def gram(self, layer: int) -> np.ndarray:
        """Memory-mapped inner products of one layer.

        Parameters
        ----------
        layer : int
            From 1.

        Returns
        -------
        gram : array of shape (n_patches, n_patches)
            float32, read-only; rows are the patches of the stimuli in order.

        Raises
        ------
        UsageError
            There is no such layer.
        """
        if not 1 <= layer <= len(self.layer_names):
            raise UsageError(
                "The feature space has no such layer.",
                where=self.features,
                found=layer,
                wanted=f"1 to {len(self.layer_names)}",
                remedy="give one of these numbers",
            )
        n_patches = sum(map(len, self.patch_times))
        layer = self.numbers[layer - 1] if self.numbers else layer
        try:
            self._check(_matrix_name(layer))
            matrix = load_array(self.path / _matrix_name(layer), mapped=True)
            if matrix.shape != (n_patches, n_patches) or matrix.dtype != np.float32:
                raise ValueError(f"{matrix.dtype} of shape {matrix.shape}, {n_patches} patches")
        except (OSError, ValueError, EOFError) as error:
            raise _incomplete(self.path, f"{_matrix_name(layer)}: {error}") from error
        return matrix

    def _check(self, name: str) -> None:
        """Hold a file against its checksum, every time it is opened.

        Raises
        ------
        ValueError
        """
        if sha256_of_file(self.path / name) != self.sha256.get(name):
            raise ValueError("another content than its checksum says")

    @classmethod
    def load(cls, path: str | Path, *, key: str = "") -> FeatureGrams:
        """Open a folder that :func:`load_or_compute_grams` wrote.

        Checksums of the matrices are compared when they are opened, those of other files here.

        Parameters
        ----------
        path : path
        key : str
            Key of the features (see `load_or_compute_grams`); default: that in the folder's name.

        Raises
        ------
        BadDataError
            The folder is not complete, was changed, or has other features.
        """
        path = Path(path)
        try:
            meta = _read_description(path)
            wanted = key or path.name.rpartition("-")[2]
            if meta["key"] != key and (key or not str(meta["key"]).startswith(wanted)):
                raise ValueError(f"{DESCRIPTION}: features of the key {meta['key']}, not {wanted}")
            if sha256_of_file(path / _TIMES) != meta["sha256"].get(_TIMES):
                raise ValueError(f"{_TIMES}: another content than its checksum says")
            times = load_array(path / _TIMES)
            lengths = meta.pop("n_patches")
            for layer in range(1, len(meta["layer_names"]) + 1):
                if not (path / _matrix_name(layer)).is_file():
                    raise ValueError(f"no {_matrix_name(layer)}")
            patch_times = tuple(np.split(times, np.cumsum(lengths)[:-1]))
            if times.ndim != 1 or [len(part) for part in patch_times] != lengths:
                raise ValueError(f"patch_times.npy: {times.shape} times for {lengths} patches")
            frozen: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in meta.items()
            }
            return cls(path=path, patch_times=patch_times, **frozen)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise _incomplete(path, str(error)) from error


def _read_description(folder: Path) -> dict[str, Any]:
    """Description in a folder, unchanged since it was written.

    Raises
    ------
    ValueError
    """
    try:
        meta = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{DESCRIPTION}: {error}") from error
    if not isinstance(meta, dict) or not is_sealed(meta):
        raise ValueError(f"{DESCRIPTION} is not as it was written, or has no checksums")
    return {name: value for name, value in meta.items() if name != SEAL}


def _incomplete(folder: Path, problem: str) -> BadDataError:
    return BadDataError(
        "This folder of stimulus features is not complete.",
        where=folder,
        found=problem,
        wanted="matrices of all layers, with a description",
        remedy="run `musenc features BIDS_DIR OUTPUT_DIR` with the options of the participant "
        "level: it sets the folder aside and computes it again",
    )


def load_or_compute_grams(
    stimuli: Stimuli,
    weights: str | Path | None = None,
    *,
    cache_dir: str | Path,
    hop: float = 0.48,
    features: str = "vggish",
    device: str = "cpu",
    progress: Progress | None = None,
    private: Path | None = None,
) -> FeatureGrams:
    """Patch-rate Gram matrices of a feature space, from the cache if they are there.

    The key is made of the content of the audio files in the order given, the feature space, the
    hop and the weights, not of names or dates. One process computes while others wait for it;
    a folder appears complete or not at all. A complete folder is used even where the cache
    cannot be written. One that is not as it was written is set aside with a warning, and computed
    again. A cache that others may write is only read: features that it has are copied to `private`
    and checked there, other features are computed there.

    Parameters
    ----------
    stimuli : sequence of (str, str or Path)
        Label and audio file. Give them in the same order for every participant.
    weights : str or Path, optional
        Of the network of the space: a file, or ``random:SEED``.
    cache_dir : str or Path
        Created if it does not exist.
    hop : float
        Seconds between patches.
    features : str
        As :func:`bids_app.features.registry.find_space` takes it.
    device : str
        torch device for the network.
    progress : callable, optional
        Called with a few words on what is being computed.
    private : Path, optional
        A folder of this call.

    Returns
    -------
    grams : FeatureGrams

    Raises
    ------
    UsageError
        No stimulus, repeated labels, an unknown feature space, or weights that do not belong.
    MissingInputError, BadDataError
        An audio or weights file is missing or unusable; names it.
    CannotWriteError
        The cache cannot be written, or others may write it and there is no `private` folder.
    TryAgainError
        Another process kept the lock for hours.
    """
    check_labels([label for label, _ in stimuli])
    space = find_space(features)
    checksums = tuple(file_sha256(path) for _, path in stimuli)
    key = _cache_key(stimuli, checksums, weights, hop, space)
    cache_dir = Path(cache_dir)
    folder = cache_dir / f"{space.file_name}-{key[:20]}"
    if (who := others_may_write(cache_dir)) and not _is_within(cache_dir, private):
        cache_dir, folder = _apart(folder, key, who, private)
    else:
        make_cache(cache_dir)
    if not _is_whole(folder, key):
        with shared_lock(folder, timeout=_LOCK_SECONDS, remedy=_HOW_TO_MOVE):
            # Another process may have finished while this one waited.
            if not _is_whole(folder, key, told=True):
                _set_aside(folder)
                layers = _layers(space, stimuli, weights, cache_dir, hop, device, progress, private)
                meta = {
                    "key": key,
                    "features": features,
                    "hop": space.step or hop,
                    "labels": [label for label, _ in stimuli],
                    "checksums": list(checksums),
                    "durations": [audio_duration(path) for _, path in stimuli],
                }
                _write(folder, meta, *layers)
    return FeatureGrams.load(folder, key=key).relabeled([label for label, _ in stimuli])


def make_cache(folder: Path) -> None:
    """Create a folder that only its owner may write; an existing folder is not changed.

    Raises
    ------
    CannotWriteError
    """
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(
            "The cache cannot be created.",
            where=folder,
            found=error.strerror,
            wanted="a folder that can be made",
            remedy=_HOW_TO_MOVE,
        ) from error


def others_may_write(folder: Path) -> str:
    """Who else may write into a folder; empty where nobody may, or it is not there."""
    try:
        told = folder.stat()
    except OSError:
        return ""
    if told.st_uid not in (os.geteuid(), 0):
        return f"its owner, user {told.st_uid}"
    if told.st_mode & stat.S_IWOTH:
        return "everybody"
    return f"group {told.st_gid}" if told.st_mode & stat.S_IWGRP else ""


def _is_within(folder: Path, private: Path | None) -> bool:
    return private is not None and folder.resolve().is_relative_to(private.resolve())


def _apart(folder: Path, key: str, who: str, private: Path | None) -> tuple[Path, Path]:
    """Where to work instead of a cache that others may write, with a checked copy of what it has.

    Raises
    ------
    CannotWriteError
    """
    there = (folder / DESCRIPTION).is_file()
    remedy = f"chmod go-w {folder.parent} if it is yours, or give one of your own with --cache-dir"
    if private is None:
        if there and _is_whole(folder, key):
            return folder.parent, folder
        raise CannotWriteError(
            "Others may write to the cache, so nothing is written there.",
            where=folder.parent,
            found=f"{who} may write",
            wanted="a folder that only its owner may write",
            remedy=remedy,
        )
    own = private / "features"
    make_cache(own)
    copy = own / folder.name
    if there and not (copy / DESCRIPTION).is_file():
        shutil.rmtree(copy, ignore_errors=True)
        names = [path.name for path in folder.glob("*.npy") if path.is_file()]
        copy.mkdir(mode=0o755)
        for name in (*names, DESCRIPTION):
            shutil.copyfile(folder / name, copy / name)
    LOGGER.warning(
        "%s may write to the cache %s: it is only read, and features that it lacks are kept for "
        "this call only; %s",
        who,
        folder.parent,
        remedy,
    )
    return own, copy


def _is_whole(folder: Path, key: str, *, told: bool = False) -> bool:
    """Whether a folder has the features of this key, every file as it was written."""
    if not (folder / DESCRIPTION).is_file():
        return False
    try:
        grams = FeatureGrams.load(folder, key=key)
        for layer in range(1, len(grams.layer_names) + 1):
            grams.gram(layer)
    except BadDataError as error:
        if not told:
            LOGGER.warning(
                "features of the music in %s are computed again: %s", folder, error.found
            )
        return False
    return True


def _set_aside(folder: Path) -> None:
    """Rename a damaged folder, so that it can be examined; it replaces an earlier one."""
    if (folder / DESCRIPTION).is_file():
        aside = folder.with_name(f"damaged-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):
            folder.rename(aside)


def _layers(
    space: Space,
    stimuli: Stimuli,
    weights: str | Path | None,
    cache_dir: Path,
    hop: float,
    device: str,
    progress: Progress | None,
    private: Path | None,
) -> tuple[Iterator[LayerGram], Sequence[np.ndarray], Any]:
    """Layers still to be computed, times of their patches, and what names the weights."""
    if space.base is None:
        model = space.load(weights)
        grams, times = space_grams(space, stimuli, model, hop, device=device, progress=progress)
        return grams, times, model or space.streamed()
    base = load_or_compute_grams(
        stimuli,
        weights,
        cache_dir=cache_dir,
        hop=hop,
        features=space.base.spelling,
        device=device,
        progress=progress,
        private=private,
    )
    if space.components:
        grams = component_grams(base.layer_names, base.gram, space.components, space.spelling)
    else:
        grams = change_grams(base.patch_times, base.layer_names, base.gram)
    return grams, base.patch_times, base


def _cache_key(
    stimuli: Stimuli,
    checksums: Sequence[str],
    weights: str | Path | None,
    hop: float,
    space: Space,
) -> str:
    space.check_weights(weights)
    known: object = None
    if space.network is not None and weights is not None:
        known = str(weights) if random_seed(weights) is not None else file_sha256(weights)
    elif (listener := space.streamed()) is not None:
        known = listener.identity
    elif space.file is not None or space.files is not None:
        # One file with a group per stimulus is told apart by the labels.
        known = [
            (file_sha256(file), label)
            for label, path in stimuli
            for file in space.files_of(label, path)
        ]
        if shared := space.weights_identity:
            known = [known, shared]
    parts = [_FORMAT, space.identity, round(space.step or hop, 6), list(checksums), known]
    return sha256_of(json.dumps(parts))


def _matrix_name(layer: int) -> str:
    return f"layer-{layer:02d}.npy"


def _write(
    folder: Path,
    meta: Mapping[str, Any],
    grams: Iterator[LayerGram],
    patch_times: Sequence[np.ndarray],
    weighted: Any,
) -> None:
    try:
        temporary = hold(lambda: tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            layers: dict[str, list[Any]] = {"layer_names": [], "n_units": [], "n_constant": []}
            told = {}
            for number, layer in enumerate(grams, start=1):
                # Rounding to float32 (6e-8) is below that of the float32 forward pass.
                np.save(temporary / _matrix_name(number), layer.gram.astype(np.float32))
                layers["layer_names"].append(layer.name)
                layers["n_units"].append(layer.n_units)
                layers["n_constant"].append(layer.n_constant)
                if layer.told:
                    told[layer.name] = layer.told
            np.save(temporary / _TIMES, np.concatenate(patch_times))
            content = {
                **meta,
                **layers,
                "n_patches": [len(times) for times in patch_times],
                "weights_sha256": getattr(weighted, "weights_sha256", "")
                or getattr(weighted, "identity", ""),
                "weights_label": getattr(weighted, "weights_label", ""),
                **({"told": told} if told else {}),
                "sha256": {
                    path.name: sha256_of_file(path) for path in sorted(temporary.glob("*.npy"))
                },
            }
            text = json.dumps(sealed(content), indent=1, ensure_ascii=False)
            (temporary / DESCRIPTION).write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
            # A folder without its description was left by a process that was killed.
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            let_go(temporary)
    except OSError as error:
        if isinstance(error, MusencError):
            raise
        raise CannotWriteError(
            "Stimulus features cannot be written.",
            where=folder,
            found=str(error),
            wanted="room on the disk, and a folder that can be written",
            remedy="see whether the disk is full; 23 layers take 350 MB for 16 minutes of music",
        ) from error
