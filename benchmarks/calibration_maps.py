"""How often a map over music, corrected over its vertices, finds something where there is nothing.

    python benchmarks/calibration_maps.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--part 0/2]

Studies are those of `benchmarks/listeners.py`: real resting noise with the brain's connectivity,
real music that nobody heard. The group level's own functions, draws and refits give p corrected by
the largest z over layers and vertices (`desc-musicmax`) and over the vertices of the layer
average (`desc-layermeanmusicmax`), of four layers at every fourth vertex of fsaverage3. Every
study is a line of RESULTS.jsonl; calls go on where the last one stopped, and print the table of
docs/group.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import listeners
import numpy as np
from calibration_claims import DATA, _fitted, _side
from claims_table import read_results
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, Music
from maps_table import table

from bids_app.analyses.group import refits

CHOSEN = (0, 2, 4, 7)
"""Of the layers of `listeners.LAYERS`."""
STEP = 4
"""Every so many vertices of the mesh."""
# The product's number of refits, at its fewest vertices.
refits.N_REFITS = 100
refits.REFIT_COLUMNS = 1


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for n in (5, 12):
        for isc in (0.0, 0.3):
            for noise in ("windows", "surrogates"):
                name = f"{n} people, {noise}, ISC {isc:g}"
                yield Cell(name, n_participants=n, isc=isc, noise=noise), 200


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
    """Smallest p of both maps, and how their closed forms compare with refits."""
    study = listeners.draw_study(brain, music, cell, seed)
    data, alphas = _fitted(brain, study, None)
    n, n_layers = data.r.shape[:2]
    average = [np.full((n, n_layers), 1 / (n * n_layers))]
    with tempfile.TemporaryDirectory() as folder:
        side = _side(study, data, alphas, Path(folder), None)
        layers = side.test_each_layer(brain.cortex)
        mean = side.test_maps(average, brain.cortex, "layer average", tail="greater")
    found: dict[str, float] = {}
    for name, test in (("layers", layers), ("average", mean)):
        ratio = test.scaled.ratio
        found |= {
            f"{name}: corrected": float(np.nanmin(test.p_max)),
            f"{name}: vertices": float(np.mean(test.p < 0.05)),
            f"{name}: ratio": float("nan") if ratio is None else ratio.ratio,
        }
    return found


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = few_vertices(listeners.load_brain(options.rest, DATA), STEP)
    music = listeners.load_music(DATA, options.results.with_suffix(".npz"))
    music = Music([music.grams[layer] for layer in CHOSEN], music.hop)
    run_missing(options, cells(), lambda cell, seed: run(brain, music, cell, seed))
    print(table(read_results(options.results)))


if __name__ == "__main__":
    main()
