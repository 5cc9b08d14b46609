"""How often the group maps of ratings find something that is not there, and what is.

    python benchmarks/calibration_ratings.py RESULTS.jsonl [--minutes 9] [--only NAME] [--part 0/2]

Twenty listeners rate two scales of three pieces of 120, 160 and 200 s (TR 1 s). Half of what a
rating varies is common to the raters, or all of it: one mean rating for everybody. Responses share
a part (ISC) and have nothing to do with the ratings, or follow the first scale at five vertices.
Noise is AR(1) plus white, which the AR(1) of the model does not describe. Every study is a line of
RESULTS.jsonl; calls go on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from calibration_group import Case, main

from bids_app.emotion import (
    add_turned,
    build_design,
    combine_turned,
    fit_run,
    fixed_effects,
    n_frequencies,
    phase_test,
    turned_effects,
    turned_sd,
)
from bids_app.group import sign_flip_max_t
from bids_app.seeds import generator, random_phases

LENGTHS = (120, 160, 200)
N_ACTIVE = 5


def colored(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """AR(1) series of unit variance."""
    series = rng.standard_normal(shape)
    for t in range(1, len(series)):
        series[t] = rho * series[t - 1] + np.sqrt(1 - rho**2) * series[t]
    return series


def noise(rng: np.random.Generator, n_times: int, n_vertices: int) -> np.ndarray:
    """Slow and white noise together."""
    slow = colored(rng, (n_times, n_vertices), 0.85)
    return np.sqrt(0.6) * slow + np.sqrt(0.4) * rng.standard_normal((n_times, n_vertices))


def study(
    seed: int,
    *,
    shared: float,
    effect: float = 0.0,
    mean_rating: bool = False,
    n_participants: int = 20,
    n_vertices: int = 24,
    n_draws: int = 999,
) -> dict[str, float]:
    """Whether each test finds anything (at the active vertices, where there is an effect)."""
    rng = np.random.default_rng([seed, 41])
    common = [(colored(rng, (n, 2), 0.9), noise(rng, n, n_vertices)) for n in LENGTHS]
    total: dict[str, np.ndarray] = {}
    effects = []
    for _ in range(n_participants):
        runs, estimates = [], []
        for k, (felt, heard) in enumerate(common):
            n = LENGTHS[k]
            rating = felt if mean_rating else felt + colored(rng, (n, 2), 0.9)
            rating = rating / rating.std(axis=0)
            bold = np.sqrt(shared) * heard + np.sqrt(1 - shared) * noise(rng, n, n_vertices)
            bold[:, :N_ACTIVE] += effect * rating[:, :1]
            drift = np.cos(np.pi * np.outer(np.arange(n) + 0.5, range(1, n // 64 + 1)) / n)
            columns = {"first": rating[:, 0], "second": rating[:, 1]}
            design = build_design(columns, [drift], n)
            weights = np.stack([design.contrast({name: 1.0}) for name in columns])
            estimate = fit_run(bold, design, weights)
            parts = turned_effects(
                bold, design, weights, estimate.rho, [slice(0, n)], [n_frequencies(n, 1.0, 0.15)]
            )
            runs.append((estimate.variance, [str(k)], parts))
            estimates.append(estimate)
        add_turned(total, combine_turned(runs))
        effects.append(fixed_effects(estimates).effect)
    maps = np.stack(effects)
    people = sign_flip_max_t(
        maps, n_permutations=n_draws, tail="two-sided", seed=seed, uncorrected=False
    ).p
    music = phase_test(
        maps.mean(axis=0),
        {name: terms / n_participants for name, terms in total.items()},
        phases=lambda name, draw, n_freq: random_phases(seed, name, draw, n_freq),
        signs=lambda name, n: generator(seed, name, "signs").choice([-1.0, 1.0], n),
        n_draws=n_draws,
    )
    places = (0, slice(N_ACTIVE)) if effect else (slice(None), slice(None))
    found = {
        "people": people[places],
        "music": music.p_max[places],
        "both": np.maximum(people, music.p_max)[places],
    }
    if effect:
        return {name: float((p <= 0.05).mean()) for name, p in found.items()}
    uncorrected = {"music, one vertex": float((music.p <= 0.05).mean())}
    return {name: float(p.min() <= 0.05) for name, p in found.items()} | uncorrected


def person(seed: int, *, lengths: tuple[int, ...] = LENGTHS) -> dict[str, float]:
    """Share of p below .05 of one person's t, and of effects against phases of own ratings."""
    rng = np.random.default_rng([seed, 43])
    runs, estimates = [], []
    for k, n in enumerate(lengths):
        rating = colored(rng, (n, 2), 0.9)
        drift = np.cos(np.pi * np.outer(np.arange(n) + 0.5, range(1, n // 64 + 1)) / n)
        design = build_design({"first": rating[:, 0], "second": rating[:, 1]}, [drift], n)
        weights = np.stack([design.contrast({name: 1.0}) for name in ("first", "second")])
        bold = noise(rng, n, 24)
        estimate = fit_run(bold, design, weights)
        windows, n_freq = [slice(0, n)], [n_frequencies(n, 1.0, 0.15)]
        parts = turned_effects(bold, design, weights, estimate.rho, windows, n_freq)
        runs.append((estimate.variance, [str(k)], parts))
        estimates.append(estimate)
    joint = fixed_effects(estimates)
    z = joint.effect / turned_sd(combine_turned(runs))
    return {name: float(np.mean(np.abs(v) > 1.96)) for name, v in (("t", joint.z), ("z", z))}


def cases() -> Iterator[Case]:
    """Names, studies wanted, and what to run with a seed."""
    for shared in (0.0, 0.1, 0.3):
        yield f"ratings half shared, ISC {shared}", 150, partial(study, shared=shared)
    yield "one mean rating, ISC 0.3", 150, partial(study, shared=0.3, mean_rating=True)
    for lengths in ((80, 90, 100), LENGTHS, (300, 300)):
        yield f"one person, pieces of {lengths} s", 100, partial(person, lengths=lengths)
    for shared in (0.0, 0.1):
        yield f"effect .06, ISC {shared}", 60, partial(study, shared=shared, effect=0.06)


if __name__ == "__main__":
    main(__doc__, cases)
