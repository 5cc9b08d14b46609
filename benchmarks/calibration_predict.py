"""How often predictions of saved models agree with responses to music where there is nothing.

    python benchmarks/calibration_predict.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--part 0/2]

Studies are those of `benchmarks/listeners.py`: real resting noise, real music that nobody heard.
Six people have saved models, six others are predicted by their mean, two layers at every fourth
vertex of fsaverage3. *New music*: both groups have heard other music. *Same music*: they heard the
same, and share with everybody what listeners share. *Own*: people are predicted by their own
models from the recordings that these were fitted to. *Planted*: everybody follows both layers.
Every study is a line of RESULTS.jsonl; calls go on where the last one stopped, and print the table
of docs/predict.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import listeners
import numpy as np
from calibration_claims import DATA
from calibration_maps import STEP, few_vertices
from claims_table import read_results
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, FloatArray, Music
from predict_table import table

from bids_app.analyses.participant.new_tests import NewMusicTests
from bids_app.encoding import fit_encoding
from bids_app.encoding.weights import predict

CHOSEN = (2, 6)
"""Of the layers of `listeners.LAYERS`."""
N_FLIPS, N_DRAWS, SEED = 499, 1000, 1
NEW, SAME, OWN, PLANTED = "new music", "same music", "own", "planted"


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for kind in (NEW, SAME, OWN):
        for noise in ("windows", "surrogates"):
            for isc in (0.0, 0.3):
                name = f"{kind}, {noise}, ISC {isc:g}"
                yield Cell(name, n_participants=12, isc=isc, noise=noise), 100
    yield Cell(PLANTED, n_participants=12, isc=0.1, oddity="even", size=0.3), 20


def run(brain: Brain, music: Music, cell: Cell, seed: int) -> dict[str, float]:
    """Smallest p over people and over music, and the share of vertices below .05."""
    study = listeners.draw_study(brain, music, cell, seed)
    half = cell.n_participants // 2
    modelled, heard = study.responses[:half], study.responses[half:]
    if cell.name.startswith(NEW):
        heard = listeners.draw_study(brain, music, cell.at(name=f"{cell.name}, again"), seed)
        heard = heard.responses[half:]
    predictions = [_predictions(plan, modelled) for plan in study.plans]
    if cell.name.startswith(OWN):
        heard = modelled
    else:
        predictions = [[_mean(layer)] * half for layer in predictions]
    pieces = [f"piece {k}" for k in range(len(cell.seconds))]
    tests = NewMusicTests()
    for who, responses in enumerate(heard):
        rows = study.plans[0].rows
        kept = [one[start:stop] for one, (start, stop) in zip(responses, rows, strict=True)]
        r = [
            tests.add_layer(number, pieces, layer[who], kept)
            for number, layer in enumerate(predictions)
        ]
        before = not cell.name.startswith(NEW)
        tests.add_participant(str(who), np.stack(r), kept, heard_before=before)
    found = tests.test(n_permutations=N_FLIPS, n_draws=N_DRAWS, seed=SEED)
    assert found is not None
    both = np.fmax(found.people.p, found.p_max)
    return {
        "people": float(np.nanmin(found.people.p)),
        "people, vertices": float(np.nanmean(found.people.p_uncorrected < 0.05)),
        "music": float(np.nanmin(found.p_max)),
        "music, vertices": float(np.nanmean(found.p < 0.05)),
        "both": float(np.nanmin(both)),
        "both, vertices": float(np.nanmean(both < 0.05)),
        "wider": found.wider,
    }


def _predictions(plan: object, people: list[list[FloatArray]]) -> list[tuple[FloatArray, ...]]:
    """What everybody's own model says of every piece that it has not heard."""
    found = []
    for responses in people:
        fit = fit_encoding(plan, responses, null="none")
        found.append(predict(plan, responses, fit.alpha))
    return found


def _mean(layer: list[tuple[FloatArray, ...]]) -> list[FloatArray]:
    return [np.mean(one, axis=0) for one in zip(*layer, strict=True)]


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
