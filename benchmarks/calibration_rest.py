"""Level of p that other calibrations test on simulated noise, or not at all, on real rest.

    python benchmarks/calibration_rest.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--only NAME]

Noise is that of `benchmarks/listeners.py`, the music is real and nobody heard it. *Refits* and
*lags* are of one participant, *presentations* are two or three hearings of two pieces that have
nothing in common, cut from runs with margins, *listeners* six people who share nothing, *clusters*
enhanced maps of accuracy of eight
people and their regression on a number of each, *ratings* smooth ratings of the pieces by twelve
people (half of them common), predicted from layers, *directions* responses predicted from earlier
ratings. Every study is a line of RESULTS.jsonl; calls
go on where the last one stopped, and print the table of docs/calibration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import listeners
import numpy as np
from calibration_claims import DATA
from calibration_lags import load_features
from calibration_maps import few_vertices
from claims_table import read_results
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, FloatArray, Music
from numpy.typing import NDArray
from rest_table import hearings_table, table
from scipy import special
from scipy.ndimage import gaussian_filter1d

from bids_app.analyses.participant.lag_plan import LAGS
from bids_app.analyses.participant.layers import _PhaseRefits
from bids_app.analyses.ratings import layer_music
from bids_app.config import Statistics
from bids_app.emotion import difference_glm
from bids_app.emotion.windows import WINDOWS
from bids_app.encoding import (
    delay_samples,
    fit_encoding,
    kept_rows,
    plan_encoding,
    repeat_test,
)
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.noise import noise_null
from bids_app.features.registry import STEP
from bids_app.features.timing import filtered, high_pass_basis
from bids_app.group import (
    accuracy_end_factor,
    isc,
    sign_flip_max_t,
    tfce_sign_flip,
    vertex_null_sd,
)
from bids_app.pairs import pair_test
from bids_app.statistics import benjamini_hochberg, fisher_z
from bids_app.surface.lag_scan import LagRun, lag_scan
from bids_app.surface.mesh import load_mesh

CHOSEN = (0, 3, 7)
"""Of the layers of `listeners.LAYERS`."""
SEED = 1
PIECES = {"short": (70.0, 80.0), "long": (150.0, 180.0)}
"""Seconds of the pieces that are heard repeatedly; 40 to 50 and 120 to 150 of them are kept."""
PACES = (listeners.REST_TR, 2.0)
"""Of presentations, in seconds. Rest at a faster TR has nothing in the highest frequencies."""
MARGIN = 12.0
"""Seconds of a run before, between and after pieces."""
APART = 20.0
"""Least seconds between the beginnings of two windows: those that begin together are alike."""
SMOOTH = 4
"""Frequencies of the run, on either side, that a frequency of surrogates is mixed of."""


class Bench:
    """What all studies share.

    Attributes
    ----------
    brain, few : Brain
        All vertices of fsaverage3, and every eighth.
    music : Music
    loop : array
        Loudness of the same recordings.
    """

    def __init__(self, brain: Brain, music: Music, loop: FloatArray) -> None:
        self.brain, self.few, self.loop = brain, few_vertices(brain, 8), loop
        self.music = Music([music.grams[k] for k in CHOSEN], music.hop)

    def cells(self) -> Iterator[tuple[Cell, int]]:
        """Kinds of studies, and how many of each."""
        for noise in ("windows", "surrogates"):
            one = Cell("", noise=noise)
            yield one.at(name=f"refits, {noise}", n_participants=1), 100
            yield one.at(name=f"lags, {noise}", n_participants=1), 200
            for (length, seconds), tr, n in product(PIECES.items(), PACES, (2, 3)):
                name = f"presentations, {n} of {length} pieces, TR {tr:g}, {noise}"
                yield one.at(name=name, n_participants=n, seconds=seconds, tr=tr), 60
            yield (
                one.at(name=f"listeners, {noise}", n_participants=6, tr=listeners.REST_TR),
                300,
            )
            yield one.at(name=f"clusters, {noise}", n_participants=8), 200
        for shared in (0.0, 0.3):
            name = f"directions, ISC {shared:g}"
            yield Cell(name, n_participants=8, isc=shared, noise="windows"), 150
        yield Cell("ratings, half common", n_participants=12, isc=0.5), 300
        yield Cell("ratings, one for all", n_participants=12, isc=1.0), 300

    def run(self, cell: Cell, seed: int) -> dict[str, float]:
        """P-values of one study."""
        kinds: dict[str, Callable[[Cell, int], dict[str, float]]] = {
            "refits": self.refits,
            "lags": self.lags,
            "presentations": self.presentations,
            "listeners": self.listeners,
            "clusters": self.clusters,
            "ratings": self.ratings,
            "directions": self.directions,
        }
        return kinds[cell.name.split(",")[0]](cell, seed)

    def refits(self, cell: Cell, seed: int) -> dict[str, float]:
        """``--null phase`` and ``--null noise``."""
        study = listeners.draw_study(self.few, self.music, cell, seed)
        (responses,) = study.responses
        noise = noise_null(study.plans[0], responses, seed=SEED)
        refits = _PhaseRefits(study.plans[0].stimuli, 200, SEED, 1)
        p, plain = [], []
        for plan in study.plans:
            fit = fit_encoding(plan, responses, null="noise", noise=noise)
            plain.append(fit.p)
            p.append(refits.test(plan, responses, fit).p)
        return {
            "p": _share(plain),
            "q": float(np.nanmin(benjamini_hochberg(np.array(plain), axis=-1))),
            "p of refits": _share(p),
            "any": float(np.nanmin(refits.p_max)),
        }

    def lags(self, cell: Cell, seed: int) -> dict[str, float]:
        """A lag scan of loudness."""
        rng = listeners._generator(cell, seed)
        music = SimpleNamespace(seconds=STEP * len(self.loop))
        excerpts = listeners._excerpts(music, cell, rng)
        at, runs = STEP * np.arange(len(self.loop)), []
        noise = listeners._noise(self.few, cell, [len(one) for one in excerpts], rng)
        for times, values in zip(excerpts, noise, strict=True):
            own = np.arange(0.0, times[-1] - times[0] + cell.tr, STEP)
            course = np.interp(times[0] + own, at, self.loop)
            course = filtered(course - course.mean(), STEP, listeners.HIGH_PASS)
            y, t = listeners._cleaned(values, cell.tr), times - times[0]
            runs.append(LagRun(y, t, course, own, heard=(0.0, float(t[-1]))))
        found = lag_scan(runs, LAGS, n_draws=199, rng=rng)
        return {"p": _share(found.p), "any": float(np.nanmin(found.p_corrected))}

    def presentations(self, cell: Cell, seed: int) -> dict[str, float]:
        """Whether hearings of a piece have something in common."""
        stimuli, filters = _hearings(self.few, cell, seed)
        found = repeat_test(stimuli, filters, n_draws=400, seed=SEED)
        phases = pair_test(stimuli, n_draws=400, seed=SEED)
        return {
            "p": _share(found.p),
            "any": float(np.nanmin(found.p_max)),
            "p of phases": _share(phases.p),
            "any, phases": float(np.nanmin(phases.p_max)),
        }

    def listeners(self, cell: Cell, seed: int) -> dict[str, float]:
        """Inter-subject correlation."""
        rng = listeners._generator(cell, seed)
        lengths = [round(seconds / cell.tr) for seconds in cell.seconds]
        pieces = [_apart(self.few, cell, n, rng) for n in lengths]
        clean = [np.stack([listeners._cleaned(one, cell.tr) for one in own]) for own in pieces]
        found = isc(clean, n_draws=400, n_bootstrap=2, seed=SEED)
        return {"p": _share(found.p), "any": float(np.nanmin(found.p_max))}

    def clusters(self, cell: Cell, seed: int) -> dict[str, float]:
        """Enhanced maps over people, and regression on a number of each."""
        music = Music(self.music.grams[:1], self.music.hop)
        study = listeners.draw_study(self.brain, music, cell, seed)
        together = [np.hstack(list(own)) for own in zip(*study.responses, strict=True)]
        r = fit_encoding(study.plans[0], together, null="none").mean_r
        z = fisher_z(r.reshape(len(study.responses), -1).astype(np.float64))
        z[:, ~self.brain.cortex] = np.nan
        adjacency = load_mesh(self.brain.space).adjacency
        enhanced = tfce_sign_flip(z, adjacency, n_permutations=255, seed=SEED)
        people = sign_flip_max_t(z, n_permutations=255, seed=SEED)
        numbers = np.random.default_rng([seed, 5]).standard_normal(len(z))
        regressed = difference_glm(
            np.nan_to_num(z), numbers, adjacency=adjacency, n_permutations=255, seed=SEED
        )
        assert regressed.p_tfce is not None
        inside = self.brain.cortex
        return {
            "p": _share(people.p_uncorrected),
            "any": float(np.nanmin(people.p)),
            "enhanced": float(np.nanmin(enhanced.p)),
            "regression": float(np.nanmin(regressed.p[inside])),
            "regression, enhanced": float(np.nanmin(regressed.p_tfce[inside])),
        }

    def ratings(self, cell: Cell, seed: int) -> dict[str, float]:
        """Ratings of two scales predicted from layers: of each rater, and over music."""
        study = listeners.draw_study(self.few, self.music, cell.at(n_participants=1, isc=0.0), seed)
        people = _ratings(study.responses[0], cell, seed, cell.isc)
        fits = [[fit_encoding(plan, own) for plan in study.plans] for own in people]
        r = np.array([[fit.mean_r for fit in own] for own in fits])
        alphas = np.array([[fit.alpha for fit in own] for own in fits])
        plan = study.plans[0]
        found = layer_music._tested(
            layer_music._Study([study.plans], [0] * len(people), people, alphas),
            r,
            SimpleNamespace(checksums={name: name for name in plan.stimuli}),
            Statistics(n_permutations=999, random_seed=SEED),
            1,
        )
        told = {
            "p": _share([[fit.p for fit in own] for own in fits]),
            "music": _share(found.p),
            "any": float(np.nanmin(found.p_max)),
        }
        if cell.isc < 1:  # one rating for everybody is one observation
            over = sign_flip_max_t(fisher_z(r), n_permutations=499, seed=SEED)
            told["people"] = float(np.nanmin(over.p))
        return told

    def directions(self, cell: Cell, seed: int) -> dict[str, float]:
        """Responses predicted from earlier ratings."""
        study = listeners.draw_study(self.few, self.music, cell, seed)
        rated = _ratings(study.responses[0], cell, seed, 0.5)
        lengths = [len(one) for one in rated[0]]
        plans = [
            plan_encoding(
                feature_gram([one[:, :1] for one in own]),
                lengths,
                delays=WINDOWS[-1].delays,
                crop=listeners.CROP,
                tr=cell.tr,
            )
            for own in rated
        ]
        fits = [fit_encoding(plan, own) for plan, own in zip(plans, study.responses, strict=True)]
        z = fisher_z(np.stack([fit.mean_r for fit in fits]).astype(np.float64))
        n = len(fits)
        sd = vertex_null_sd(
            [[plan] for plan in plans],
            study.responses,
            np.stack([fit.alpha for fit in fits])[:, np.newaxis],
            np.full((1, n, 1, z.shape[1]), 1 / n),
            clock_of=range(n),
        )[0]
        some = np.arange(0, z.shape[1], 2)
        sd *= accuracy_end_factor(plans[0].segments, study.responses, some)
        p = special.ndtr(-np.tanh(z).mean(axis=0) / sd)
        people = sign_flip_max_t(z, n_permutations=255, seed=SEED)
        return {
            "music": _share(p),
            "q": float(np.nanmin(benjamini_hochberg(p))),
            "people": float(np.nanmin(people.p)),
        }


def _hearings(
    brain: Brain, cell: Cell, seed: int
) -> tuple[list[FloatArray], list[list[FloatArray]]]:
    """Per piece the scored rows of all hearings, and those of what filtered their runs."""
    rng = listeners._generator(cell, seed)
    lengths = [round(seconds / cell.tr) for seconds in cell.seconds]
    margin = round(MARGIN / cell.tr)
    starts = margin + np.cumsum([0, *(n + margin for n in lengths)])
    rows = kept_rows(lengths, delay_samples(listeners.DELAYS, cell.tr), listeners.CROP, cell.tr)
    drift = high_pass_basis(int(starts[-1]), cell.tr, listeners.HIGH_PASS)
    filter_ = np.eye(len(drift)) - drift @ drift.T
    runs = [filter_ @ one for one in _apart(brain, cell, len(drift), rng)]
    pieces = [slice(at + low, at + high) for at, (low, high) in zip(starts, rows, strict=False)]
    return (
        [np.stack([run[piece] for run in runs]) for piece in pieces],
        [[filter_[piece]] * cell.n_participants for piece in pieces],
    )


def _apart(brain: Brain, cell: Cell, n_times: int, rng: np.random.Generator) -> list[FloatArray]:
    """Noise of everybody that has nothing in common: windows of rest do not begin together."""
    if cell.noise == "surrogates":
        return [_own_spectrum(brain, cell.tr, n_times, rng) for _ in range(cell.n_participants)]
    series = listeners._at_rate(brain, cell.tr)
    free, least = len(series) - n_times + 1, round(APART / cell.tr)
    while True:
        starts = rng.integers(free, size=cell.n_participants)
        if cell.n_participants == 1 or np.diff(np.sort(starts)).min() >= least:
            break
    pieces = [series[at : at + n_times][:: rng.choice([1, -1])] for at in starts]
    return [listeners._spread_out(brain, one) for one in pieces]


def _own_spectrum(brain: Brain, tr: float, n_times: int, rng: np.random.Generator) -> FloatArray:
    """Noise with the smooth spectra and coherences of rest.

    Each frequency is a random mixture of its neighbours, the same at all vertices. Rotated phases
    would leave everybody the random peaks of one periodogram, which no two runs share.
    """
    spectrum = listeners._spectrum(brain, tr)[1:]
    n = len(spectrum)
    near = np.arange(n)[:, np.newaxis] + np.arange(-SMOOTH, SMOOTH + 1)
    near = np.clip(np.where(near < 0, -near, near), 0, n - 1)
    chance = rng.standard_normal((2, *near.shape)) / np.sqrt(2 * near.shape[1])
    mixed = np.zeros((n + 1, spectrum.shape[1]), dtype=complex)
    mixed[1:] = np.einsum("fk,fkv->fv", chance[0] + 1j * chance[1], spectrum[near])
    series = np.fft.irfft(mixed, n=len(listeners._at_rate(brain, tr)), axis=0)
    return listeners._spread_out(brain, series[:n_times])


def _ratings(
    pieces: list[FloatArray], cell: Cell, seed: int, shared: float
) -> list[list[FloatArray]]:
    """Two scales of everybody, as long as the pieces, high-passed."""
    rng = np.random.default_rng([seed, 7])
    common = [_smooth(rng, len(one)) for one in pieces]
    mixed = [
        [np.sqrt(shared) * c + np.sqrt(1 - shared) * _smooth(rng, len(c)) for c in common]
        for _ in range(cell.n_participants)
    ]
    return [[listeners._cleaned(one, cell.tr) for one in own] for own in mixed]


def _share(p: Any) -> float:
    known = np.asarray(p, dtype=np.float64)
    return float(np.mean(known[np.isfinite(known)] < 0.05))


def _smooth(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Courses of two scales that move as slowly as a slider."""
    values = gaussian_filter1d(rng.standard_normal((n + 60, 2)), 4, axis=0)[30:-30]
    return np.asarray(values / values.std(axis=0))


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = listeners.load_brain(options.rest, DATA)
    music = listeners.load_music(DATA, options.results.with_suffix(".npz"))
    (loop, _) = load_features(DATA, options.results.with_suffix(".lags.npz"))
    bench = Bench(brain, music, loop)
    run_missing(options, bench.cells(), bench.run)
    found = read_results(options.results)
    print(table(found), hearings_table(found), sep="\n\n")


if __name__ == "__main__":
    main()
