"""How often a network's alignment is said to be more than that of untrained networks of its shape.

    python benchmarks/calibration_twins.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--part 0/2]

Studies are those of `benchmarks/listeners.py`: real resting noise, real music. A network has a
layer of 100 random rectified units on top of five layers of an untrained VGGish; others of its
shape have other units. The first stands for the trained one: where nothing is planted it differs
from the others in nothing but its numbers; where a slope along the gradient is planted, responses
follow its layers. *Other orders*: the layers of the others lie in random orders. Eight listeners;
every eighth vertex of fsaverage3 counts, all of them are the mask. Every study is a line of
RESULTS.jsonl; calls go on where the last one stopped, and print the table of docs/calibration.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import listeners
import numpy as np
from calibration_claims import DATA, _fitted, _side, refits
from claims_table import read_results
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, Music
from twins_table import table

from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.twins import Slopes, compare_slopes
from bids_app.preference import apply_weights, leave_one_out_references, slope_weights

N_NETWORKS, N_UNITS = 4, 100
ORDERS = "other orders"
CHOSEN = (0, 2, 4, 6, 7)
"""Of the layers of `listeners.LAYERS`: as few as have a slope."""
STEP = 8
"""Every so many vertices of the mesh."""
# A study at a few seconds.
refits.REFIT_COLUMNS = 20_000


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for noise in ("surrogates", "windows"):
        for isc in (0.0, 0.2):
            name = f"{noise}, ISC {isc:g}"
            yield Cell(name, n_participants=8, isc=isc, noise=noise), 200
    for size in (0.2, 0.4):
        base = Cell("", n_participants=8, isc=0.1, oddity="slope", size=size)
        yield base.at(name=f"slope planted, {size}"), 60
        yield base.at(name=f"slope planted, {size}, {ORDERS}"), 60


def random_network(music: Music, number: int, *, any_order: bool = False) -> Music:
    """Random rectified units on top of every layer, or of the layers in a random order."""
    rng = np.random.default_rng([31, number])
    order = rng.permutation(len(music.grams)) if any_order else range(len(music.grams))
    grams = []
    for gram in (music.grams[layer] for layer in order):
        values, vectors = np.linalg.eigh(gram)
        features = vectors * np.sqrt(np.maximum(values, 0))
        units = np.maximum(features @ rng.standard_normal((len(gram), N_UNITS)), 0)
        grams.append(units @ units.T / np.trace(units @ units.T))
    return Music(grams, music.hop)


def run(brain: Brain, networks: list[Music], cell: Cell, seed: int) -> dict[str, float]:
    """P over people and over music, and whether both hold with one sign."""
    study = listeners.draw_study(brain, networks[0], cell, seed)
    mask = brain.cortex & np.isfinite(brain.gradient)
    models: list[Slopes] = []
    sides: list[MusicSide] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, music in enumerate(networks):
            own = (
                study
                if number == 0
                else replace(study, plans=listeners.plans_of(music, cell, seed))
            )
            data, alphas = _fitted(brain, own, None)
            data = replace(data, model=f"network{number + 1}")
            profiles = data.r.astype(np.float64)
            references = leave_one_out_references(profiles, mask)
            weights = np.stack([slope_weights(study.depth, one) for one in references])
            slopes = [apply_weights(w, one) for w, one in zip(weights, profiles, strict=True)]
            models.append(Slopes(data, weights, np.stack(slopes)))
            sides.append(_side(own, data, alphas, Path(folder), None))
        found = compare_slopes(
            models,
            sides,
            SimpleNamespace(mask=mask),
            SimpleNamespace(gradient=SimpleNamespace(values=brain.gradient)),
            SimpleNamespace(spin_method="spearman", slope_model="quadratic"),
            [one.data.model for one in models[1:]],
        )
    one_sign = np.sign(found.people.statistic) == np.sign(found.music.statistic)
    ratio = None if found.scaled is None else found.scaled.ratio
    return {
        "people": found.people.p,
        "music": found.music.p,
        "claimed": max(found.people.p, found.music.p) if one_sign else 1.0,
        "ratio": float("nan") if ratio is None else ratio.ratio,
        "effect": float(found.difference.mean()),
    }


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = listeners.load_brain(options.rest, DATA)
    few = np.arange(brain.cortex.size) % STEP == 0
    brain = replace(brain, cortex=brain.cortex & few)
    music = listeners.load_music(DATA, options.results.with_suffix(".npz"))
    music = replace(music, grams=[music.grams[layer] for layer in CHOSEN])
    alike = [random_network(music, number) for number in range(N_NETWORKS)]
    others = [random_network(music, number, any_order=True) for number in range(1, N_NETWORKS)]

    def one(cell: Cell, seed: int) -> dict[str, float]:
        networks = [alike[0], *others] if ORDERS in cell.name else alike
        return run(brain, networks, cell, seed)

    run_missing(options, cells(), one)
    print(table(read_results(options.results)))


if __name__ == "__main__":
    main()
