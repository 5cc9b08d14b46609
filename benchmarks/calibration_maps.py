"""How often a map over music, corrected over its vertices, finds something where there is nothing.

    python benchmarks/calibration_maps.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--part 0/2]

Studies are those of `benchmarks/listeners.py`: real resting noise with the brain's connectivity,
real music that nobody heard. The group level's own functions, draws and refits give p corrected by
the largest z over layers and vertices (`desc-musicmax`), and over the vertices of the layer
average, the residual slope, the curvature and a difference of layers (`desc-layermeanmusicmax`,
`desc-layerprefmusicmax`, `desc-curvaturemusicmax`, `desc-differencemusicmax`), of five layers at
every fourth vertex of fsaverage3; p of regions and of bins of the gradient over music; and sign
flips over people of the same maps. Every study is a line of RESULTS.jsonl; calls go on where the
last one stopped, and print the tables of docs/calibration.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import listeners
import numpy as np
from calibration_claims import DATA, _fitted, _others, _side
from claims_table import OTHERS, read_results
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, FloatArray, Music, Study
from maps_table import tables

from bids_app.analyses.group import refits
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.summaries import MapTest
from bids_app.group import SignFlipResult, shared_training_scale, sign_flip_max_t
from bids_app.preference import curvature_weights, leave_one_out_references, slope_weights
from bids_app.statistics import benjamini_hochberg, fisher_z

CHOSEN = (0, 2, 4, 6, 7)
"""Of the layers of `listeners.LAYERS`."""
STEP = 4
"""Every so many vertices of the mesh."""
N_SETS, N_FLIPS, SEED = 20, 499, 1
TAILS: dict[str, Literal["greater", "two-sided"]] = {
    "average": "greater",
    "slope": "two-sided",
    "curvature": "two-sided",
    "difference": "two-sided",
}
# The product's number of refits, at its fewest vertices.
refits.N_REFITS = 100
refits.REFIT_COLUMNS = 1


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for n in (5, 12):
        for isc in (0.0, 0.3):
            for noise in ("windows", "surrogates"):
                name = f"{n} people, {noise}, ISC {isc:g}"
                own = Cell(name, n_participants=n, isc=isc, noise=noise)
                yield own, 80
                yield own.at(name=f"{name}, {OTHERS}", weights="others"), 40


def few_vertices(brain: Brain, step: int) -> Brain:
    """Every so many vertices of the cortex; the mesh they lie on is forgotten."""
    some = np.flatnonzero(brain.cortex)[::step]
    return replace(
        brain,
        series=brain.series[:, some],
        gradient=brain.gradient[some],
        cortex=brain.cortex[some],
        auditory=brain.auditory[some],
    )


def run(brain: Brain, music: Music, cell: Cell, seed: int) -> dict[str, float]:
    """Smallest p of every map, and how their closed forms compare with refits."""
    study = listeners.draw_study(brain, music, cell, seed)
    training = _others(study) if cell.weights == "others" else None
    data, alphas = _fitted(brain, study, training)
    weights = _weights(study, data.r.astype(np.float64))
    with tempfile.TemporaryDirectory() as folder:
        side = _side(study, data, alphas, Path(folder), training)
        over = _over_music(brain, side, weights)
        found = _sets(brain, side, weights, over["layers"])
    people = _over_people(data, weights, others=training is not None)
    for name, test in over.items():
        ratio, own = test.scaled.ratio, people[name]
        q = benjamini_hochberg(test.p, axis=-1)
        both = np.fmax(own.p, q)[np.sign(own.t) == np.sign(test.z)]
        found |= {
            f"{name}: corrected": float(np.nanmin(test.p_max)),
            f"{name}: vertices": float(np.mean(test.p < 0.05)),
            f"{name}: q": float(np.nanmin(q)),
            f"{name}: ratio": float("nan") if ratio is None else ratio.ratio,
            f"{name}: people": float(np.nanmin(own.p)),
            f"{name}: people, vertices": float(np.mean(own.p_uncorrected < 0.05)),
            f"{name}: both": float(np.nanmin(both, initial=1.0)),
        }
    q = benjamini_hochberg(people["layers"].p_uncorrected, axis=-1)
    return found | {"layers: people, q": float(np.nanmin(q))}


def _weights(study: Study, r: FloatArray) -> dict[str, FloatArray]:
    """Weights of participants and layers, (n_people, n_layers), of each map."""
    n, n_layers = r.shape[:2]
    references = leave_one_out_references(r, np.ones(r.shape[2], dtype=bool))
    deep = np.where(np.arange(n_layers) < 2, -1 / 2, 1 / (n_layers - 2))
    return {
        "average": np.full((n, n_layers), 1 / n_layers),
        "slope": np.stack([slope_weights(study.depth, one) for one in references]),
        "curvature": np.stack([curvature_weights(study.depth, one) for one in references]),
        "difference": np.tile(deep, (n, 1)),
    }


def _over_music(
    brain: Brain, side: MusicSide, weights: dict[str, FloatArray]
) -> dict[str, MapTest]:
    tests = {"layers": side.test_each_layer(brain.cortex)}
    for name, own in weights.items():
        test = side.test_maps([own / len(own)], brain.cortex, name, tail=TAILS[name])
        tests[name] = replace(test, z=test.z[0], p=test.p[0], p_max=test.p_max[0])
    return tests


def _sets(
    brain: Brain, side: MusicSide, weights: dict[str, FloatArray], layers: MapTest
) -> dict[str, float]:
    """Regions of vertices that are alike, and bins of the gradient."""
    seeds = brain.series[:, :: brain.series.shape[1] // N_SETS][:, :N_SETS]
    regions = np.argmax(brain.series.T @ seeds, axis=1)
    p, _ = side.test_regions(regions, np.ones(len(regions)), weights["slope"].mean(axis=0))
    bins = np.argsort(np.argsort(brain.gradient)) * N_SETS // len(regions)
    return {f"regions, {name}": float(np.nanmin(one)) for name, one in p.items()} | {
        "bins": float(np.mean(side.test_sets(bins, layers.scaled) < 0.05))
    }


def _over_people(
    data: GroupData, weights: dict[str, FloatArray], *, others: bool
) -> dict[str, SignFlipResult]:
    z, n = fisher_z(data.r.astype(np.float64)), len(data.r)
    flips: dict[str, Any] = {"n_permutations": N_FLIPS, "seed": SEED}
    flips["scale"] = shared_training_scale(n) if others else 1.0
    maps = {name: np.einsum("pl,plv->pv", own, z) for name, own in weights.items()}
    return {"layers": sign_flip_max_t(z, tail="greater", **flips)} | {
        name: sign_flip_max_t(values, tail=TAILS[name], **flips) for name, values in maps.items()
    }


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = few_vertices(listeners.load_brain(options.rest, DATA), STEP)
    music = listeners.load_music(DATA, options.results.with_suffix(".npz"))
    music = Music([music.grams[layer] for layer in CHOSEN], music.hop)
    run_missing(options, cells(), lambda cell, seed: run(brain, music, cell, seed))
    print(tables(read_results(options.results)))


if __name__ == "__main__":
    main()
