"""Studies in which nothing is true: real resting noise, real music, people who heard none of it.

The noise is one resting-state run of the PyPI package brainspace (fsaverage5, 652 volumes, TR
1.4 s; ``pip download brainspace --no-deps``, unpacked), on the vertices of fsaverage3 or
fsaverage4. *Surrogates* have its spectra and its connectivity: Fourier phases rotated, the same
rotation at all vertices. *Windows* are pieces of the run as it is, from random places, half of
them backwards: what a null that rotates phases does not assume. The music are excerpts of real
recordings, the layers those of an untrained VGGish.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.sparse import block_diag

from bids_app.encoding import EncodingPlan, plan_encoding
from bids_app.features.timing import high_pass_basis, sample_gram, window_matrix
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

RUN = "sub-010188_ses-02_task-rest_acq-AP_run-01"
REST_TR = 1.4
HIGH_PASS = 128.0
DELAYS, CROP = (3.0, 9.0), 15.0
LAYERS = (1, 4, 7, 12, 17, 19, 21, 23)
AUDITORY_RADIUS = 30.0


@dataclass(frozen=True)
class Cell:
    """One kind of study.

    Attributes
    ----------
    name : str
    n_participants : int
    isc : float
        Share of variance that all participants have in common.
    where : {"everywhere", "auditory"}
        Where they have it.
    noise : {"surrogates", "windows"}
    seconds : tuple of float
        Length of each piece.
    tr : float
        Repetition time in seconds.
    oddity : str
        ``outlier``: one participant has ten times the shared part; ``heavy tails``: volumes are
        scaled by t with 3 degrees of freedom; ``hemispheres``: the right one is half white noise;
        ``trend``: pieces build up and responses drift; ``curvature``, ``slope``, ``even`` (every
        layer everywhere alike): planted.
    size : float
        Of what is planted, as a share of standard deviation.
    weights : {"own", "others"}
        Whose responses train a participant's models; the study is the same.
    """

    name: str
    n_participants: int = 12
    isc: float = 0.0
    where: Literal["everywhere", "auditory"] = "everywhere"
    noise: Literal["surrogates", "windows"] = "surrogates"
    seconds: tuple[float, ...] = (105.0, 135.0, 118.0)
    tr: float = 1.0
    oddity: str = ""
    size: float = 0.0
    weights: Literal["own", "others"] = "own"

    def at(self, **changes: object) -> Cell:
        """The same cell but for some attributes."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Study:
    """One simulated study.

    Attributes
    ----------
    plans : list of EncodingPlan
        One per layer.
    responses : list of n_participants lists of (n_times, n_vertices) arrays
    depth : array of shape (n_layers,)
    """

    plans: list[EncodingPlan]
    responses: list[list[FloatArray]]
    depth: FloatArray


@dataclass(frozen=True, eq=False)
class Brain:
    """Noise, mesh and gradient that all studies share.

    Attributes
    ----------
    space : str
    series : array of shape (n_times, n_vertices)
        The resting run: motion and slow drifts removed, unit variance; zero outside `cortex`.
    gradient : array of shape (n_vertices,)
        NaN where the wall is.
    cortex : array of shape (n_vertices,), bool
    auditory : array of shape (n_vertices,), bool
    """

    space: str
    series: FloatArray
    gradient: FloatArray
    cortex: NDArray[np.bool_]
    auditory: NDArray[np.bool_]


def load_brain(rest: Path, data: Path, space: str = "fsaverage3") -> Brain:
    """Read the resting run and the gradient on the vertices of a coarse mesh."""
    import nibabel as nib

    mesh = load_mesh(space)
    n = mesh.n_vertices // 2
    halves, gradient = [], []
    for hemisphere, side in (("lh", "L"), ("rh", "R")):
        path = next(rest.rglob(f"{RUN}.fsa5.{hemisphere}.mgz"))
        halves.append(np.asarray(nib.load(path).dataobj, dtype=np.float64).squeeze()[:n].T)
        name = f"workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{side}_feature.func.gii"
        gradient.append(nib.load(data / "gradient" / name).agg_data()[:n].astype(np.float64))
    series = np.concatenate(halves, axis=1)
    values = np.concatenate(gradient)
    values[values == 0] = np.nan
    motion = np.loadtxt(next(rest.rglob(f"{RUN}_confounds.txt")))
    drift = high_pass_basis(len(series), REST_TR, HIGH_PASS)
    nuisance = np.column_stack([np.ones(len(series)), drift, motion[: len(series)]])
    series -= nuisance @ np.linalg.lstsq(nuisance, series, rcond=None)[0]
    deviation = series.std(axis=0)
    cortex = np.isfinite(values) & (deviation > 0)
    series = np.where(cortex, series / np.where(deviation > 0, deviation, 1.0), 0.0)
    heard = np.isin(np.arange(len(values)), auditory_vertices(mesh, AUDITORY_RADIUS))
    return Brain(space, series, np.where(cortex, values, np.nan), cortex, heard & cortex)


@dataclass(frozen=True, eq=False)
class Music:
    """Patches of all recordings in a loop, as Gram matrices of layers.

    Attributes
    ----------
    grams : list of arrays of shape (n_patches, n_patches)
    hop : float
        Seconds between patches.
    """

    grams: list[FloatArray]
    hop: float = 0.48
    loudness: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def seconds(self) -> float:
        """Length of the loop."""
        return self.hop * len(self.grams[0])


def load_music(data: Path, store: Path) -> Music:
    """Layers of an untrained VGGish over the recordings, kept in `store`."""
    if not store.exists():
        from bids_app.features.registry import find_space
        from bids_app.features.sources import space_grams

        space = find_space("vggish")
        files = sorted((data / "audio").glob("*.ogg"))
        stimuli = [(path.stem, path) for path in files]
        grams, _ = space_grams(space, stimuli, space.load("random:1"), 0.48, layers=LAYERS)
        found = [np.asarray(one.gram, dtype=np.float64) for one in grams]
        np.savez(store, *[one / np.trace(one) for one in found])
    with np.load(store) as arrays:
        return Music([arrays[name] for name in arrays.files])


def load_low_level(data: Path, store: Path) -> Music:
    """Low-level sound over the recordings, on the clock of the layers' patches, kept in `store`."""
    if not store.exists():
        from bids_app.config.sections import LOW_LEVEL
        from bids_app.features.registry import find_space
        from bids_app.features.sources import space_grams, stimulus_patches

        files = sorted((data / "audio").glob("*.ogg"))
        stimuli = [(path.stem, path) for path in files]
        centers = [stimulus_patches(path, 0.48)[1] for path in files]
        found = []
        for name in LOW_LEVEL:
            grams, times = space_grams(find_space(name), stimuli, None, 0.48)
            # Of descriptors `all`, the last, stands for the space.
            gram = np.asarray(list(grams)[-1].gram, dtype=np.float64)
            mean = block_diag(
                [window_matrix(own, one, 0.48) for own, one in zip(times, centers, strict=True)]
            )
            half = mean @ gram
            found.append(mean @ half.T)
        np.savez(store, *[one / np.trace(one) for one in found])
    with np.load(store) as arrays:
        return Music([arrays[name] for name in arrays.files])


def _rotated(spectrum: ComplexArray, n_times: int, rng: np.random.Generator) -> FloatArray:
    """A surrogate: phases rotated, the same at all vertices."""
    phases = rng.uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0
    if n_times % 2 == 0:
        phases[-1] = 0
    return np.fft.irfft(spectrum * np.exp(1j * phases)[:, np.newaxis], n_times, axis=0)


def _window(series: FloatArray, n_times: int, rng: np.random.Generator) -> FloatArray:
    """A piece of the run as it is, from a random place, perhaps backwards."""
    start = rng.integers(len(series) - n_times + 1)
    piece = series[start : start + n_times]
    return piece[::-1] if rng.random() < 0.5 else piece


def _noise(
    brain: Brain, cell: Cell, lengths: Sequence[int], rng: np.random.Generator
) -> list[FloatArray]:
    series = _at_rate(brain, cell.tr)
    if cell.noise == "windows":
        return [_spread_out(brain, _window(series, n, rng)) for n in lengths]
    spectrum, n_times = _spectrum(brain, cell.tr), len(series)
    copies = [_rotated(spectrum, n_times, rng) for _ in range(-(-sum(lengths) // n_times))]
    rotated = _spread_out(brain, np.concatenate(copies)[: sum(lengths)])
    return np.split(rotated, np.cumsum(lengths)[:-1])


def _spread_out(brain: Brain, values: FloatArray) -> FloatArray:
    """Series of the cortex at all vertices, 0 outside."""
    found = np.zeros((len(values), brain.cortex.size))
    found[:, brain.cortex] = values
    return found


@cache
def _at_rate(brain: Brain, tr: float) -> FloatArray:
    """The run on the cortex, (n_times, n_vertices of the cortex)."""
    n_times = round(len(brain.series) * REST_TR / tr)
    return np.asarray(signal.resample(brain.series[:, brain.cortex], n_times, axis=0))


@cache
def _spectrum(brain: Brain, tr: float) -> ComplexArray:
    return np.asarray(np.fft.rfft(_at_rate(brain, tr), axis=0))


def draw_study(brain: Brain, music: Music, cell: Cell, seed: int) -> Study:
    """Simulate a study.

    Parameters
    ----------
    brain, music
        What all studies share.
    cell : Cell
    seed : int
        Of this study.

    Returns
    -------
    Study
    """
    rng = _generator(cell, seed)
    times = _excerpts(music, cell, rng)
    lengths = [len(one) for one in times]
    plans, sampled = _plans(music, cell, times)
    share = np.where(brain.auditory | (cell.where == "everywhere"), cell.isc, 0.0)
    common = _noise(brain, cell, lengths, rng)
    outlier = int(rng.integers(cell.n_participants)) if cell.oddity == "outlier" else -1
    responses = []
    for participant in range(cell.n_participants):
        own = _noise(brain, cell, lengths, rng)
        part = np.minimum(share * (10 if participant == outlier else 1), 0.95)
        mixed = [
            np.sqrt(part) * c + np.sqrt(1 - part) * o for c, o in zip(common, own, strict=True)
        ]
        responses.append([_cleaned(_odd(one, cell, rng), cell.tr) for one in mixed])
    depth = np.linspace(0, 1, len(plans))
    if cell.oddity in ("curvature", "slope", "even"):
        _plant(responses, sampled, plans[0], brain, cell, depth, rng)
    return Study(plans, responses, depth)


def plans_of(music: Music, cell: Cell, seed: int) -> list[EncodingPlan]:
    """Models of another network's layers of the same excerpts, one per layer."""
    return _plans(music, cell, _excerpts(music, cell, _generator(cell, seed)))[0]


def grams_of(music: Music, cell: Cell, seed: int) -> tuple[list[FloatArray], list[int]]:
    """Gram matrices of the same excerpts at the volumes, and volumes of each piece."""
    times = _excerpts(music, cell, _generator(cell, seed))
    return [_sampled(music, gram, cell, times) for gram in music.grams], [len(t) for t in times]


def _generator(cell: Cell, seed: int) -> np.random.Generator:
    """Studies of different cells share no noise, so that their rates may be pooled."""
    return np.random.default_rng([seed, crc32(cell.name.encode())])


def _plans(
    music: Music, cell: Cell, times: list[FloatArray]
) -> tuple[list[EncodingPlan], list[FloatArray]]:
    """Models of every layer, and the Gram matrices at the volumes."""
    lengths = [len(one) for one in times]
    sampled = [_sampled(music, gram, cell, times) for gram in music.grams]
    options: dict[str, Any] = {"delays": DELAYS, "crop": CROP, "tr": cell.tr}
    return [plan_encoding(one, lengths, **options) for one in sampled], sampled


def _sampled(music: Music, gram: FloatArray, cell: Cell, times: list[FloatArray]) -> FloatArray:
    patch_times = [music.hop * np.arange(len(gram))]
    return sample_gram(gram, patch_times, [0] * len(times), times, cell.tr, HIGH_PASS)


def _excerpts(music: Music, cell: Cell, rng: np.random.Generator) -> list[FloatArray]:
    """Seconds in the loop that each volume of each piece falls on; pieces do not overlap."""
    free = music.seconds - sum(cell.seconds) - 1.0
    if free < 0:
        raise ValueError(f"{cell.name}: {sum(cell.seconds):g} s of {music.seconds:g} s of music")
    borders = np.sort(rng.uniform(0, free, len(cell.seconds)))
    order = rng.permutation(len(cell.seconds))
    starts, found = 0.0, {}
    for border, piece in zip(borders, order, strict=True):
        seconds = cell.seconds[piece]
        found[piece] = border + starts + cell.tr * np.arange(int(seconds / cell.tr))
        starts += seconds
    return [found[piece] for piece in range(len(cell.seconds))]


def _odd(series: FloatArray, cell: Cell, rng: np.random.Generator) -> FloatArray:
    if cell.oddity == "heavy tails":
        return series * np.sqrt(3 / rng.chisquare(3, (len(series), 1)))
    if cell.oddity == "hemispheres":
        half = series.shape[1] // 2
        white = rng.standard_normal((len(series), series.shape[1] - half))
        right = np.sqrt(0.5) * (series[:, half:] + white * (series[:, half:].std(axis=0) > 0))
        return np.concatenate([series[:, :half], right], axis=1)
    if cell.oddity == "trend":
        return series + np.linspace(-1.5, 1.5, len(series))[:, np.newaxis] * (
            series.std(axis=0) > 0
        )
    return series


def _cleaned(series: FloatArray, tr: float) -> FloatArray:
    basis = high_pass_basis(len(series), tr, HIGH_PASS)
    return series - basis @ (basis.T @ series)


def _plant(
    responses: list[list[FloatArray]],
    sampled: list[FloatArray],
    plan: EncodingPlan,
    brain: Brain,
    cell: Cell,
    depth: FloatArray,
    rng: np.random.Generator,
) -> None:
    """Add, in everybody alike, what layers drive: how much of each depends on the gradient.

    *slope*: deep layers where the gradient is high, shallow ones where it is low. *curvature*:
    middle layers at one end, both ends of the network at the other, with slope zero. *even*: all
    layers everywhere.
    """
    standard = np.nan_to_num(
        (brain.gradient - np.nanmean(brain.gradient)) / np.nanstd(brain.gradient)
    )
    centered = depth - depth.mean()
    bent = centered**2 - (centered**2).mean()
    profile = centered / centered.std() if cell.oddity == "slope" else -bent / bent.std()
    if cell.oddity == "even":
        profile = np.zeros_like(depth)
    gains = np.clip(1.0 + 0.8 * np.outer(profile, standard) / np.sqrt(3), 0, None)
    lag = round(5.0 / cell.tr)
    borders = np.cumsum([0, *plan.lengths])
    total = np.zeros((borders[-1], brain.gradient.size))
    for gram, gain in zip(sampled, gains, strict=True):
        values, vectors = np.linalg.eigh(gram)
        root = vectors[:, -40:] * np.sqrt(np.maximum(values[-40:], 0))
        drive = root @ rng.standard_normal((root.shape[1], brain.gradient.size))
        for start, stop in itertools.pairwise(borders):
            piece = drive[start:stop]
            piece = np.concatenate([np.zeros((lag, piece.shape[1])), piece[:-lag]])
            deviation = piece.std(axis=0)
            total[start:stop] += gain * piece / np.where(deviation > 0, deviation, 1.0)
    total /= np.sqrt(len(sampled))
    for one in responses:
        for number, (start, stop) in enumerate(itertools.pairwise(borders)):
            one[number] = one[number] + cell.size * total[start:stop] * brain.cortex
