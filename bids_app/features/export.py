"""Feature time series as files: tables or HDF5, with sidecars, and a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import ONE_OF_THESE, WRITABLE, CannotWriteError, UsageError
from bids_app.features.audio import audio_duration, file_sha256, load_audio
from bids_app.features.curves import draw_curves
from bids_app.features.layers import FittedLayers, choose_layers
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.registry import STEP, Space, find_space
from bids_app.features.sources import (
    Progress,
    check_labels,
    ordered_layers,
    space_grams,
    step_of,
    stimulus_patches,
)
from bids_app.files import sha256_of, write_json
from bids_app.plain import cell

if TYPE_CHECKING:
    from bids_app.features.components import LayerComponents
    from bids_app.features.networks import AudioNetwork

FORMATS = ("tsv", "h5")
PRESETS = ("musenc", "lea")


@dataclass(frozen=True)
class _Result:
    """Layers of one stimulus."""

    label: str
    path: Path
    times: np.ndarray
    layers: list[FeatureSeries]


def export_features(
    audio_paths: Sequence[str | Path],
    output_dir: str | Path,
    *,
    weights: str | Path | None = None,
    layers: Sequence[int | str] | None = None,
    features: str = "vggish",
    hop: float = 0.48,
    preset: str = "musenc",
    variance: float = 0.99,
    n_components: int | None = None,
    file_format: str = "tsv",
    picture: bool = True,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Path]:
    """Compute features of audio files and write them as time series.

    Layers of a network are written as principal components over all the files given, since conv1
    of VGGish alone has 393,216 units; other feature spaces are written unit by unit.

    Parameters
    ----------
    audio_paths : sequence of str or Path
        Audio files; their names without ending are the labels.
    output_dir : str or Path
        Created if it does not exist.
    weights : str or Path, optional
        Of the network of the space.
    layers : sequence of int or str, optional
        As :func:`bids_app.features.layers.choose_layers` takes them, default: all.
    features : str
        As :func:`bids_app.features.registry.find_space` takes it.
    hop : float
        Seconds between the patches of a network with patches.
    preset : str
        ``musenc``: components of the activations; ``lea``: of the rectified activations.
    variance : float
        Keep the fewest components that explain more than this share.
    n_components : int, optional
        Keep this many components instead.
    file_format : str
        ``tsv``: a table per layer; ``h5``: one file per stimulus with an array per layer.
    picture : bool
        Also draw layers 1, 2, 18 and 23 of the network over time, or curves over the waveform.
    device : str
        torch device.
    progress : callable, optional
        Called with a few words about ten times.

    Returns
    -------
    files : list of Path
        What was written.

    Raises
    ------
    UsageError
        Unknown format, preset, layer or feature space, repeated labels, or no weights.
    MissingInputError, BadDataError
        A file is missing or unusable; names it.
    CannotWriteError
        The folder cannot be written.
    """
    stimuli = {Path(path).stem: Path(path) for path in audio_paths}
    check_labels([Path(path).stem for path in audio_paths])
    space = find_space(features)
    space.check_weights(weights)
    _check_options(space, features, preset, file_format)
    output_dir = _made(Path(output_dir))
    order = space.layer_order(stimuli)
    chosen = choose_layers(order, layers or ())
    source = _Source(
        space,
        stimuli,
        order.names,
        hop,
        {"layers": chosen.names, "device": device, "progress": progress},
        {"variance": variance, "n_components": n_components},
        rectify=preset == "lea",
    )
    common: dict[str, Any] = {"FeatureSpace": features, "Preset": preset} | space.corpus_record()
    written: list[Path] = []
    if (model := space.load(weights)) is not None:
        common |= {"Weights": model.weights_label, "WeightsSHA256": model.weights_sha256}
        if picture:
            written += _pictures(model, source.patches, output_dir, device)
    elif (listener := space.streamed()) is not None and space.base is None:
        common |= {"WeightsSHA256": listener.identity}
    common |= _told_of_layers(chosen) | source.told_of_components()
    for result in source.results(model):
        kept = ordered_layers(
            (s for s in result.layers if s.name in chosen.names), chosen.names, features
        )
        numbered = [(order.names.index(series.name) + 1, series) for series in kept]
        stem = output_dir / f"{result.label}_{space.file_name}"
        if picture and space.curves and space.base is None:
            written.append(_drawn(result, kept, stem))
        about = {**common, **_told_of(result)}
        written += _write(result.times, numbered, stem, about, file_format)
    return written


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWriteError(
            "The output folder cannot be created.",
            where=folder,
            found=str(error),
            wanted="a folder that can be made",
            remedy="give another folder with -o, or remove the file of that name",
        ) from error
    return folder


def _check_options(space: Space, features: str, preset: str, file_format: str) -> None:
    for name, value, choices in (("preset", preset, PRESETS), ("format", file_format, FORMATS)):
        if value not in choices:
            raise UsageError(
                "An option has no such value.",
                where=name,
                found=value,
                wanted=" or ".join(choices),
                remedy=ONE_OF_THESE,
            )
    if space.components:
        raise UsageError(
            "Layers that are cut to components have no files of their own.",
            where="--features",
            found=features,
            wanted="the space itself: layers of networks are written as components",
            remedy="--n-components says how many",
        )


@dataclass(frozen=True)
class _Source:
    """Where the series of a feature space come from.

    Attributes
    ----------
    space : Space
    stimuli : mapping from label to Path
    order : sequence of str
        All layers of the space.
    hop : float
    run : mapping
        Layers, device and progress of networks.
    cut : mapping
        How many components of a layer of a network are kept.
    rectify : bool
        Whether components are of the rectified activations.
    """

    space: Space
    stimuli: Mapping[str, Path]
    order: Sequence[str]
    hop: float
    run: Mapping[str, Any]
    cut: Mapping[str, Any]
    rectify: bool

    @cached_property
    def patches(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Log-mel patches of every stimulus, and their times."""
        return {label: stimulus_patches(path, self.hop) for label, path in self.stimuli.items()}

    def told_of_components(self) -> dict[str, Any]:
        """What tells components of some files from those of others; nothing of other features."""
        network = self.space.network is not None or self.space.stream is not None
        if self.space.base is not None or not network:
            return {}
        files = sorted(file_sha256(path) for path in self.stimuli.values())
        basis = sha256_of(*files, f"{self.hop} {dict(self.cut)} {self.rectify}")
        return {"ComponentsOf": f"{len(files)} files, {basis}"}

    def results(self, model: Any) -> Iterable[_Result]:
        """Layers of every stimulus; `model` is the network of the space, where it has patches."""
        if self.space.base is not None:
            return _changes(self.space.base, model, self.stimuli, self.hop, self.run)
        if (listener := self.space.streamed()) is not None:
            return self._of_streamed(listener)
        if model is not None:
            return self._of_patches(model)
        return _explicit_results(self.space, self.stimuli)

    def _of_streamed(self, listener: AudioNetwork) -> list[_Result]:
        from bids_app.features.streamed import listen, streamed_components

        pairs = list(self.stimuli.items())
        numbers = {name: number for number, name in enumerate(self.order, start=1)}
        step, progress = self.space.step or STEP, self.run["progress"]
        with listen(listener, pairs, self.run["layers"], step, progress) as heard:
            results = [
                _Result(name, path, times, [])
                for (name, path), times in zip(pairs, heard.times, strict=True)
            ]
            _add_components(streamed_components(heard, numbers, self.rectify, **self.cut), results)
        return results

    def _of_patches(self, model: Any) -> list[_Result]:
        from bids_app.features.components import layer_components

        patches = [own for own, _ in self.patches.values()]
        computed = layer_components(model, patches, rectify=self.rectify, **self.cut, **self.run)
        results = [
            _Result(name, self.stimuli[name], times, [])
            for name, (_, times) in self.patches.items()
        ]
        _add_components(computed, results)
        return results


def _drawn(result: _Result, layers: Sequence[FeatureSeries], stem: Path) -> Path:
    target = stem.with_name(f"{stem.name}.png")
    audio = load_audio(result.path, SAMPLE_RATE)
    draw_curves(target, audio, result.times, layers, stem.name)
    return target


def _pictures(
    model: Any,
    prepared: Mapping[str, tuple[np.ndarray, np.ndarray]],
    folder: Path,
    device: str,
) -> Iterator[Path]:
    from bids_app.features.picture import draw_layers

    for label, (patches, times) in prepared.items():
        target = folder / f"{label}_vggish.png"
        draw_layers(model, patches, times, target, title=label, device=device)
        yield target


def _add_components(computed: Iterable[LayerComponents], results: Sequence[_Result]) -> None:
    for layer in computed:
        units = tuple(
            Unit(
                f"pc{n:03d}",
                f"Principal component {n} of {layer.name}, {100 * share:.3g} % of its variance",
                "a.u.",
            )
            for n, share in enumerate(layer.explained, start=1)
        )
        for result, scores in zip(results, layer.scores, strict=True):
            result.layers.append(FeatureSeries(layer.name, scores, units))


def _changes(
    base: Space, model: Any, stimuli: Mapping[str, Path], hop: float, run: Mapping[str, Any]
) -> Iterator[_Result]:
    from bids_app.features.change import UNITS, change_curves

    for stimulus in stimuli.items():
        grams, times = space_grams(base, [stimulus], model, hop, **run)
        step = step_of(times[0])
        series = [FeatureSeries(g.name, change_curves(g.gram, step), UNITS) for g in grams]
        yield _Result(*stimulus, times[0], series)


def _explicit_results(space: Space, stimuli: Mapping[str, Path]) -> Iterator[_Result]:
    for label, path in stimuli.items():
        sound = space.sound(label, path)
        yield _Result(label, path, sound.times, list(space.values(sound)))


def _told_of_layers(chosen: FittedLayers) -> dict[str, Any]:
    left_out = {"LayersLeftOut": dict(chosen.left_out)} if chosen.left_out else {}
    order = chosen.source or chosen.definition
    return {"LayerOrder": order, "LayerDepth": chosen.depth, **left_out}


def _told_of(result: _Result) -> dict[str, Any]:
    return {
        "Stimulus": result.path.name,
        "StimulusSHA256": file_sha256(result.path),
        "StimulusDuration": audio_duration(result.path),
        "SamplingFrequency": 1 / step_of(result.times),
        "StartTime": float(result.times[0]),
        "time": {
            "LongName": "Time in the audio at the center of what was heard",
            "Units": "s",
        },
    }


def _write(
    times: np.ndarray,
    layers: Sequence[tuple[int, FeatureSeries]],
    stem: Path,
    about: Mapping[str, Any],
    file_format: str,
) -> list[Path]:
    try:
        if file_format == "h5":
            return _write_hdf5(times, layers, stem.with_name(f"{stem.name}.h5"), about)
        files = []
        for number, series in layers:
            layer = re.sub(r"[^\w .+-]", "-", series.name)
            target = stem.with_name(f"{stem.name}_{number:02d}-{layer}.tsv")
            header = ["time", *(str(cell(unit.name)) for unit in series.units)]
            rows = np.column_stack([times, series.values])
            formats = ["%.4f"] + ["%.7g"] * series.values.shape[1]
            np.savetxt(target, rows, formats, "\t", header="\t".join(header), comments="")
            names = {"Layer": number, "LayerName": series.name, "Columns": header}
            sidecar = {**about, **names, **series.told}
            files += [target, write_json(target.with_suffix(".json"), sidecar | _described(series))]
        return files
    except OSError as error:
        raise CannotWriteError(
            "Features cannot be written.",
            where=stem.parent,
            found=str(error),
            wanted="a folder that can be written",
            remedy=WRITABLE,
        ) from error


def _write_hdf5(
    times: np.ndarray,
    layers: Sequence[tuple[int, FeatureSeries]],
    target: Path,
    about: Mapping[str, Any],
) -> list[Path]:
    import h5py

    described = {}
    with h5py.File(target, "w") as file:
        file["time"] = times
        for number, series in layers:
            file.create_dataset(series.name, data=series.values, compression="gzip")
            columns = {"Layer": number, "Columns": _described(series)}
            described[series.name] = {**columns, **series.told}
        if about["LayerDepth"]:
            file.attrs["layers"] = list(described)
    return [target, write_json(target.with_suffix(".json"), {**about, "Layers": described})]


def _described(series: FeatureSeries) -> dict[str, dict[str, str]]:
    return {unit.name: {"LongName": unit.long_name, "Units": unit.units} for unit in series.units}
