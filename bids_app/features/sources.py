"""Where Gram matrices come from: the network, explicit features, or changes of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, UsageError
from bids_app.features.audio import load_audio
from bids_app.features.layers import resolve_layers
from bids_app.features.logmel import SAMPLE_RATE, log_mel_patches, patch_times
from bids_app.features.registry import STEP, Space, find_space

if TYPE_CHECKING:
    from bids_app.features.gram import LayerGram
    from bids_app.features.pooling import FeatureSeries

Stimuli = Sequence[tuple[str, str | Path]]
Progress = Callable[[str], None]

_PATCHES = 16  # that go through the network together: conv1 of VGGish takes 1.6 MB for each


def check_labels(labels: Sequence[str]) -> None:
    """Check the labels of stimuli.

    Raises
    ------
    UsageError
        There is no stimulus, or two have one label.

    Examples
    --------
    >>> check_labels(["happy", "sad", "happy"])
    Traceback (most recent call last):
    bids_app.errors.UsageError: Stimuli need different names.
      where: stimuli
      found: repeated: happy
      wanted: different labels, one stimulus or more
      do this: rename one of them
    """
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if not labels or repeated:
        raise UsageError(
            "Stimuli need different names.",
            where="stimuli",
            found=f"repeated: {', '.join(repeated)}" if repeated else "no stimulus",
            wanted="different labels, one stimulus or more",
            remedy="rename one of them",
        )


def stimulus_patches(path: str | Path, hop: float = 0.48) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel patches (n_patches, 96, 64) and their times (n_patches,) of an audio file.

    Raises
    ------
    MissingInputError, BadDataError
        The file is missing or unusable or shorter than one patch; names it.
    """
    audio = load_audio(path, SAMPLE_RATE)
    patch_times(audio.size, hop, where=path)
    return log_mel_patches(audio, hop)


def space_grams(
    space: Space,
    stimuli: Stimuli,
    model: Any,
    hop: float,
    *,
    layers: Sequence[int | str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[Iterator[LayerGram], list[np.ndarray]]:
    """Layers of a space, not of its change, over the stimuli, and the times of their patches.

    Parameters
    ----------
    space : Space
    stimuli : sequence of (str, str or Path)
        Label and audio file.
    model
        What the network of the space loaded; None without one.
    hop : float
        Seconds between patches of a network with patches.
    layers : sequence of int or str, optional
        Of the network; default: all.
    device : str
        torch device of the network.
    progress : callable, optional
        Called with a few words on what is being computed.

    Raises
    ------
    MissingInputError, BadDataError
        A file is missing or unusable, or stimuli differ in their layers.
    """
    if space.network is not None:
        prepared = [stimulus_patches(path, hop) for _, path in stimuli]
        patches, times = [array for array, _ in prepared], [centers for _, centers in prepared]
        grams = space.network.grams(model, patches, layers=layers, device=device, progress=progress)
        return grams, times
    order = space.layer_order({label: Path(path) for label, path in stimuli})
    names = order.names
    if (listener := space.streamed()) is not None:
        from bids_app.features.streamed import listen, streamed_grams

        if callable(move := getattr(listener, "to", None)):
            move(device)
        chosen = [names[n - 1] for n in sorted(resolve_layers(layers, names))]
        heard = listen(listener, stimuli, chosen, space.step or STEP, progress)
        numbers = {name: number for number, name in enumerate(names, start=1)}
        return streamed_grams(heard, numbers, device), heard.times
    times, series = [], []
    for label, path in stimuli:
        if progress is not None:
            progress(f"{space.name}: {label}")
        sound = space.sound(label, path)
        times.append(sound.times)
        own = [one for one in space.values(sound) if one.name not in order.left_out]
        series.append(ordered_layers(own, names, space.name))
    return _explicit_grams(series, [label for label, _ in stimuli]), times


def ordered_layers(
    series: Iterable[FeatureSeries], names: Sequence[str], where: str
) -> list[FeatureSeries]:
    """The layers of a stimulus in the order of `names`.

    Raises
    ------
    BadDataError
        Their names are not `names`.
    """
    by_name = {layer.name: layer for layer in series}
    if set(by_name) != set(names):
        raise BadDataError(
            "Stimuli differ in their layers.",
            where=where,
            found=", ".join(by_name),
            wanted=", ".join(names),
            remedy="compute the features of all stimuli with the same settings",
        )
    return [by_name[name] for name in names]


def _explicit_grams(
    series: Sequence[Sequence[FeatureSeries]], labels: Sequence[str]
) -> Iterator[LayerGram]:
    from bids_app.features.gram import LayerGram, values_gram

    for number, layers in enumerate(zip(*series, strict=True), start=1):
        gram, n_constant = values_gram([layer.values for layer in layers])
        told = {k: one.told for k, one in zip(labels, layers, strict=True) if one.told}
        yield LayerGram(number, layers[0].name, gram, layers[0].values.shape[1], n_constant, told)


def change_grams(
    patch_times: Sequence[np.ndarray],
    layer_names: Sequence[str],
    gram: Callable[[int], np.ndarray],
) -> Iterator[LayerGram]:
    """Change, novelty and boundary curves of every layer of another space, from its matrices.

    Parameters
    ----------
    patch_times : sequence of (n_patches_i,) arrays
        Of each stimulus, seconds.
    layer_names : sequence of str
    gram : callable
        (number of the layer, from 1) -> its Gram matrix over all stimuli.

    Yields
    ------
    LayerGram

    Examples
    --------
    >>> times, x = np.arange(30) * 0.48, np.random.default_rng(0).standard_normal((30, 5))
    >>> (changed,) = change_grams([times], ["conv1"], lambda number: x @ x.T)
    >>> changed.name, changed.gram.shape, changed.n_units
    ('conv1', (30, 30), 3)
    """
    from bids_app.features.change import UNITS, change_curves
    from bids_app.features.gram import LayerGram, values_gram

    ends = np.cumsum([len(times) for times in patch_times])
    blocks = [slice(end - len(t), end) for end, t in zip(ends, patch_times, strict=True)]
    for number, name in enumerate(layer_names, start=1):
        whole = gram(number)
        curves = [
            change_curves(whole[block, block], step_of(times))
            for block, times in zip(blocks, patch_times, strict=True)
        ]
        total, n_constant = values_gram(curves)
        yield LayerGram(number, name, total, len(UNITS), n_constant)


def component_grams(
    layer_names: Sequence[str], gram: Callable[[int], np.ndarray], n_components: int, where: str
) -> Iterator[LayerGram]:
    """Every layer of another space with its first principal components alone.

    Units are z-scored over each stimulus, so that the matrices are centered. Components are those
    of all stimuli together, as for `bids_app.features.components.layer_components`.

    Parameters
    ----------
    layer_names, gram
        As of `change_grams`.
    n_components : int
    where : str
        Name of the space for the error.

    Yields
    ------
    LayerGram

    Raises
    ------
    BadDataError
        A layer has fewer components.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((20, 5))
    >>> (cut,) = component_grams(["conv1"], lambda number: x @ x.T, 2, "vggish")
    >>> cut.name, np.linalg.matrix_rank(cut.gram).item()
    ('conv1', 2)
    """
    from bids_app.features.gram import LayerGram

    for number, name in enumerate(layer_names, start=1):
        whole = np.asarray(gram(number), dtype=np.float64)
        values, vectors = np.linalg.eigh(whole)
        there = int((values > values[-1] * len(values) * np.finfo(np.float32).eps).sum())
        if there < n_components:
            raise BadDataError(
                "A layer has fewer principal components than it is to be cut to.",
                where=f"{where}, {name}",
                found=there,
                wanted=f"at least {n_components}",
                remedy=f"give components{there}: or fewer",
            )
        scores = vectors[:, -n_components:] * np.sqrt(values[-n_components:])
        yield LayerGram(number, name, scores @ scores.T, n_components, 0)


def step_of(times: np.ndarray) -> float:
    """Seconds between the values of a stimulus, the median of its times.

    Examples
    --------
    >>> step_of(np.array([0.25, 0.75, 1.25]))
    0.5
    """
    return float(np.median(np.diff(times))) if len(times) > 1 else STEP


def scaled_layers(
    label: str,
    path: str | Path,
    layers: Sequence[str],
    *,
    features: str,
    weights: str | None = None,
    hop: float = 0.48,
) -> dict[str, np.ndarray]:
    """Units of some layers of one stimulus as they enter its Gram matrices.

    Parameters
    ----------
    label : str
        Of the stimulus.
    path : str or Path
        Audio file.
    layers : sequence of str
        Names.
    features : str
        Feature space; not a change of another one.
    weights : str, optional
        Of the network.
    hop : float
        Seconds between patches.

    Returns
    -------
    dict of str to array of shape (n_patches, n_units)
        Z-scored over the patches; zero where constant.

    Raises
    ------
    UsageError
        The units of a change or component are curves of a whole layer and are not kept.
    """
    space = find_space(features)
    if space.base is not None:
        raise UsageError(
            "Weights of changes and components cannot be saved.",
            where="--save-weights",
            found=features,
            wanted="a space with units",
            remedy="leave --save-weights out, or give its space without change or components",
        )
    if (listener := space.streamed()) is not None:
        from bids_app.features.streamed import listen

        with listen(listener, [(label, path)], layers, space.step or STEP) as heard:
            return {name: _scaled(np.array(heard.units(name))) for name in layers}
    if space.network is None:
        series = space.values(space.sound(label, path))
        return {s.name: _scaled(s.values) for s in series if s.name in layers}
    model = space.load(weights)
    patches = stimulus_patches(path, hop)[0]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    for start in range(0, len(patches), _PATCHES):
        for name, values in space.network.activations(model, patches[start : start + _PATCHES]):
            if name in parts:
                parts[name].append(values)
    return {name: _scaled(np.concatenate(values)) for name, values in parts.items()}


def _scaled(values: np.ndarray) -> np.ndarray:
    import torch

    from bids_app.features.gram import StimulusScaler

    units = torch.from_numpy(np.ascontiguousarray(values))
    out = torch.empty_like(units)
    StimulusScaler([len(values)])(units, out)
    return out.numpy()
