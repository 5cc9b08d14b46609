"""Pictures of the stimuli, drawn once and shared by all participants' pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.features.audio import load_audio
from bids_app.features.cache import FeatureGrams
from bids_app.features.logmel import log_mel
from bids_app.features.pooling import FeatureSeries
from bids_app.features.registry import find_space
from bids_app.files import atomic_path, sha256_of_file, write_text
from bids_app.labels import safe_label
from bids_app.report import stimulus_figure, stimulus_figure_path
from bids_app.report.stimuli import vector_file

SAMPLE_RATE = 16000
LAYERS_SHOWN = (1, 2, 18, 23)
N_COMPONENTS = 16


def draw_stimuli(grams: FeatureGrams, stimuli: Sequence[tuple[str, Path]]) -> None:
    """Draw every stimulus into the folder of its Gram matrices, unless it is there as drawn.

    Layers are shown by their leading principal components over time, which the Gram matrix holds.
    """
    starts = np.cumsum([0, *(len(times) for times in grams.patch_times)])
    for index, (label, path) in enumerate(stimuli):
        target = drawn_stimulus(grams, label)
        if all(map(_is_whole, _files_of(target))):
            continue
        audio = load_audio(path, SAMPLE_RATE)
        rows = slice(starts[index], starts[index + 1])
        curves = _curves(grams, label, path)
        layers = [
            (
                f"layer {layer} ({grams.layer_names[layer - 1]}), principal components",
                _components(grams.gram(layer)[rows, rows]),
            )
            for layer in LAYERS_SHOWN
            if layer <= len(grams.layer_names) and not curves
        ]
        stimulus_figure(
            target,
            label=label,
            audio=audio,
            sample_rate=SAMPLE_RATE,
            log_mel=log_mel(audio),
            patch_times=grams.patch_times[index],
            layers=layers,
            curves=curves,
        )
        for path in _files_of(target):
            write_text(_checksum_of(path), sha256_of_file(path))


def copy_stimulus_figures(
    grams: FeatureGrams, output_dir: Path, participant: str, stimuli: Iterable[str]
) -> list[Path]:
    """Put the pictures of the stimuli a participant heard where the page looks for them."""
    copied = []
    for label in stimuli:
        targets = _files_of(stimulus_figure_path(output_dir, participant, label))
        for source, target in zip(_files_of(drawn_stimulus(grams, label)), targets, strict=True):
            if _is_whole(source):
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
                copied.append(target)
    return copied


def _files_of(picture: Path) -> tuple[Path, Path]:
    """The PNG and the SVG of a drawing."""
    return picture, vector_file(picture)


def drawn_stimulus(grams: FeatureGrams, label: str) -> Path:
    """Where the picture of a stimulus is kept."""
    return grams.path / "figures" / f"{safe_label(label)}.png"


def _checksum_of(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}.sha256")


def _is_whole(picture: Path) -> bool:
    """Whether a picture is as it was drawn."""
    known = _checksum_of(picture)
    return picture.is_file() and known.is_file() and known.read_bytes() == _own_checksum(picture)


def _own_checksum(picture: Path) -> bytes:
    return sha256_of_file(picture).encode()


def _curves(grams: FeatureGrams, label: str, path: Path) -> list[FeatureSeries]:
    """Layers of a stimulus that pictures show as lines; none where units have no such meaning."""
    space = find_space(grams.features)
    if not space.curves or space.base is not None:
        return []
    found = {one.name: one for one in space.values(space.sound(label, path))}
    return [found[name] for name in grams.layer_names]


def _components(gram: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scores of the leading principal components, (n_patches, n_components), strongest first."""
    values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
    order = np.argsort(values)[::-1][:N_COMPONENTS]
    return vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
