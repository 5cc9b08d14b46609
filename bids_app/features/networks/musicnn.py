"""The music taggers of musicnn (Pons and Serra 2019), trained or untrained, layer by layer.

Four networks, of two kinds, trained on MagnaTagATune (MTT) or the Million Song Dataset (MSD):
``vgg``, five small convolutions, and ``musicnn``, whose front end has filters as high as timbre
(38 and 67 bands) and as long as rhythm (2, 1 and 0.5 s). They hear 3 s at once. A layer that still
has time in it is averaged over the middle of these 3 s, as long as the hop: its other instants are
the same units at times that are samples of their own. The rest of the patch is what they are
computed from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bids_app.errors import LONGER, BadDataError, MissingInputError, UsageError
from bids_app.features.compiled import compiled_alone
from bids_app.features.networks.taggers import (
    KINDS,
    PATCH_FRAMES,
    Tagger,
    fill,
    fill_randomly,
    variables_of,
)
from bids_app.features.stream import exact_float32
from bids_app.files import sha256_of, sha256_of_file
from bids_app.loading import load_arrays
from bids_app.resources import MUSICNN_NAMES, musicnn_file, musicnn_tags_file, random_seed

SAMPLE_RATE = 16000
FFT_SIZE = 512
FFT_HOP = 256
N_BANDS = 96
FRAME_SECONDS = FFT_HOP / SAMPLE_RATE
HOP_SECONDS = 0.48
"""Seconds between patches: the step of VGGish, so that both have one clock. Twice as often as the
volumes of most studies, and six times in what the deepest layers hear."""

_FRAMES_PER_BLOCK = 8192
_PATCHES_PER_BATCH = 8


class Musicnn:
    """One of the four networks as a stream of layers: see `AudioNetwork` of the contract.

    Attributes
    ----------
    sample_rate : int
        16,000.
    layers : tuple of str
        In order of depth.
    identity : str
        Name, checksum of the weights, and hop.
    weights_label : str
        Name of the file, or ``random:SEED``.
    weights_sha256 : str
        Of the file, or of the drawn numbers.
    untrained : bool
        Whether the weights were drawn.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        name: str,
        tagger: Tagger,
        *,
        weights_label: str,
        weights_sha256: str,
        hop: float = HOP_SECONDS,
    ) -> None:
        self.name = name
        self.layers = tagger.layer_names
        self.weights_label = weights_label
        self.weights_sha256 = weights_sha256
        self.untrained = random_seed(weights_label) is not None
        self.hop = hop
        self._hop_frames = _hop_frames(hop)
        self._device = "cpu"
        self._tagger = tagger
        self.identity = f"musicnn {name} {weights_sha256} hop {self._hop_frames * FRAME_SECONDS:g}"

    def to(self, device: str) -> None:
        """Run on this torch device from now on."""
        self._device = device
        self._tagger.to(device)

    def __call__(
        self, audio: NDArray[np.float32]
    ) -> Iterator[tuple[float, Mapping[str, NDArray[np.float32]]]]:
        """Yield the center of each patch, in seconds, and its layers.

        Maps come as (band or 1, channel), the rest as (unit,).

        Raises
        ------
        BadDataError
            The audio is shorter than a patch (3 s).
        """
        half = self._hop_frames / 2
        for frames, batch in self._batches(audio):
            found = {}
            with exact_float32(self._device):
                for name, values, centers in self._tagger.layers(batch):
                    if centers is not None:
                        middle = (PATCH_FRAMES - 1) / 2
                        weights = mean_weights(centers, middle - half, middle + half)
                        on_device = torch.from_numpy(weights).to(values)
                        # (patch, channel, time, band) to (patch, band, channel)
                        values = torch.einsum("pctb,t->pbc", values, on_device)
                    found[name] = values.cpu().numpy()
            for k, frame in enumerate(frames):
                time = (frame + (PATCH_FRAMES - 1) / 2) * FRAME_SECONDS
                yield float(time), {name: values[k] for name, values in found.items()}

    def tags(self, audio: NDArray[np.float32]) -> dict[str, float]:
        """Probabilities of the tags, mean over the patches, highest first.

        Raises
        ------
        MissingInputError
            The list of tags is not installed.
        BadDataError
            The audio is shorter than a patch (3 s).
        """
        path = musicnn_tags_file(self.name)
        if not path.is_file():
            raise _not_installed(path)
        names = path.read_text(encoding="utf-8").splitlines()
        parts = []
        for _, batch in self._batches(audio):
            *_, (_, logits, _) = self._tagger.layers(batch)
            parts.append(torch.sigmoid(logits).cpu().numpy())
        means = np.concatenate(parts).mean(axis=0, dtype=np.float64)
        pairs = zip(names, means.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))

    def _batches(
        self, audio: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.intp], torch.Tensor]]:
        """First frames of a few patches, and the patches of shape (n_patches, 187, 96)."""
        spectrogram = log_mel(audio)
        starts = np.arange(0, len(spectrogram) - PATCH_FRAMES + 1, self._hop_frames)
        if not starts.size:
            raise BadDataError(
                "The audio is shorter than what the network hears at once.",
                where="audio",
                found=f"{len(audio) / SAMPLE_RATE:.2f} s",
                wanted=f"at least {(PATCH_FRAMES - 1) * FRAME_SECONDS:.2f} s",
                remedy=LONGER,
            )
        windows = np.lib.stride_tricks.sliding_window_view(spectrogram, PATCH_FRAMES, axis=0)
        for part in np.array_split(starts, -(-starts.size // _PATCHES_PER_BATCH)):
            patches = np.ascontiguousarray(windows[part].transpose(0, 2, 1))
            yield part, torch.from_numpy(patches).to(self._device)


def load_musicnn(argument: str, hop: float | None = None) -> Musicnn:
    """One of the networks with its trained weights, or with random ones.

    Parameters
    ----------
    argument : str
        ``MTT_vgg``, ``MSD_vgg``, ``MTT_musicnn`` or ``MSD_musicnn``. After it, ``@random:SEED``
        for a network of the same shape that was never trained: He-normal weights from a seeded
        generator, zero biases, batch normalization that changes nothing; ``@hop:SECONDS``.
    hop : float, optional
        Seconds between patches, a multiple of 0.016; where neither says, 0.48.

    Returns
    -------
    Musicnn

    Raises
    ------
    UsageError
        There is no such network, or the seed is no whole number.
    MissingInputError
        The trained weights are not installed.
    BadDataError
        The file of the weights is damaged.
    """
    name, *rest = argument.split("@")
    options = dict(option.partition(":")[::2] for option in rest)
    seconds = _seconds(options.get("hop", str(hop or HOP_SECONDS)))
    if name not in MUSICNN_NAMES or len(options) < len(rest) or options.keys() - {"random", "hop"}:
        raise UsageError(
            "musicnn has no such network.",
            where="--features",
            found=f"musicnn:{argument}",
            wanted=f"{', '.join(MUSICNN_NAMES)}; after it @random:SEED, @hop:SECONDS or both",
            remedy="give one of these, for example musicnn:MTT_musicnn",
        )
    tagger = KINDS[name.partition("_")[2]]()
    if "random" in options:
        label = f"random:{options['random']}"
        fill_randomly(tagger, random_seed(label) or 0)
        drawn = variables_of(tagger)
        checksum = sha256_of(*(array.data for array in drawn.values()))
    else:
        path = musicnn_file(name)
        fill(tagger, _read(path), path)
        label, checksum = path.name, sha256_of_file(path)
    return Musicnn(
        name,
        tagger,
        weights_label=label,
        weights_sha256=checksum,
        hop=seconds,
    )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _not_installed(path: Path) -> MissingInputError:
    return MissingInputError(
        "The trained networks of musicnn are not installed.",
        where=path,
        found="no such file",
        wanted="the weights that `musenc prefetch musicnn` brings",
        remedy="run `musenc prefetch musicnn` on a machine with a network (`musenc prefetch "
        "musicnn --from FOLDER` where there is none); for an untrained network of the same "
        "shape use musicnn:MTT_vgg@random:0",
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise _not_installed(path)
    try:
        return load_arrays(path)
    # A broken archive leads numpy and zipfile into whatever its bytes say.
    except Exception as error:
        raise BadDataError(
            "The weights of a network of musicnn cannot be read.",
            where=path,
            found=f"{type(error).__name__}: {error}",
            wanted="the weights that `musenc prefetch musicnn` brings",
            remedy="delete the file and run `musenc prefetch musicnn`",
        ) from error


@compiled_alone(np.zeros(FFT_SIZE))
def log_mel(audio: NDArray[np.floating]) -> NDArray[np.float32]:
    """What the networks see: 96 mel bands every 16 ms, log10(10000 x + 1).

    Float32 throughout: in float16, as the published program has it, loud music overflows.

    Parameters
    ----------
    audio : array of shape (n_samples,)
        At 16 kHz, full scale is 1.

    Returns
    -------
    spectrogram : array of shape (n_frames, 96)
        Frame k is centered at sample 256 k; there are zeros around the audio.
    """
    import librosa

    audio = np.asarray(audio, dtype=np.float32)
    n_frames = audio.size // FFT_HOP + 1
    padded = np.pad(audio, FFT_SIZE // 2)
    bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT_SIZE, n_mels=N_BANDS)
    spectrogram = np.empty((n_frames, N_BANDS), np.float32)
    for start in range(0, n_frames, _FRAMES_PER_BLOCK):
        stop = min(start + _FRAMES_PER_BLOCK, n_frames)
        part = padded[start * FFT_HOP : (stop - 1) * FFT_HOP + FFT_SIZE]
        spectrum = librosa.stft(part, n_fft=FFT_SIZE, hop_length=FFT_HOP, center=False)
        power = np.abs(spectrum) ** 2
        spectrogram[start:stop] = np.log10(10000 * (bands @ power).T + 1)
    return spectrogram


def mean_weights(centers: Sequence[float], start: float, stop: float) -> NDArray[np.float64]:
    """Weights of samples in the mean, from start to stop, of the line that joins them.

    Parameters
    ----------
    centers : sequence of float
        Where the samples are, increasing; before the first and after the last one the line is flat.
    start, stop : float

    Returns
    -------
    weights : array of shape (n_samples,)
        Their sum is 1.

    Examples
    --------
    >>> mean_weights([0.0, 1.0, 2.0], 0.0, 2.0).tolist()
    [0.25, 0.5, 0.25]
    >>> mean_weights([0.0, 1.0, 2.0], 2.0, 3.0).tolist()  # held after the last sample
    [0.0, 0.0, 1.0]
    """
    inner = [center for center in centers if start < center < stop]
    corners = np.array([start, *inner, stop])
    hats = np.array([np.interp(corners, centers, hat) for hat in np.eye(len(centers))])
    return np.trapezoid(hats, corners, axis=1) / (stop - start)


def _hop_frames(hop: float) -> int:
    frames = round(hop / FRAME_SECONDS) if math.isfinite(hop) else 0
    if not 1 <= frames <= PATCH_FRAMES or abs(frames * FRAME_SECONDS - hop) > 1e-6:
        raise UsageError(
            "The hop between the patches of musicnn is a multiple of 0.016 s, up to 2.992.",
            where="hop",
            found=hop,
            wanted=f"for example {HOP_SECONDS:g} or 0.96",
            remedy="give such a hop: musicnn:NETWORK@hop:SECONDS",
        )
    return frames
