"""How often layers are said to add to low-level sound where they do not, on noise of real brains.

    python benchmarks/calibration_beyond.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--only NAME]
        [--part 0/2]

FOLDER holds the unpacked wheel of brainspace (`benchmarks/listeners.py` says what is simulated);
recordings and gradient are read from MUSENC_TEST_DATA. A study has 8 listeners, three pieces of
105 to 135 s, low-level sound of four spaces, five layers of an untrained VGGish, 18 candidates, and
every fourth vertex of fsaverage3. Noise is a real resting run with its own connectivity; listeners
share a part of it (ISC). In the cells *low-level followed* everybody follows low-level sound and
no layer, in *layers followed* the layers. Every study goes through the group level's own steps.
Fewer draws, penalties and refits than the product's keep a study at some seconds.

Every study appends a line to RESULTS.jsonl and is not done again, so that the script may be
stopped and called as often as it takes. At the end it prints the table of docs/models.md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import listeners
import numpy as np
from beyond_table import table
from claims_table import read_results
from kept_studies import run_missing, study_parser
from listeners import CROP, DELAYS, Brain, Cell, Music
from numpy.typing import NDArray

from bids_app.analyses.group import over_music, refits
from bids_app.analyses.group.beyond_music import (
    JointMusicSide,
    ModelsOfClock,
    beyond_music,
)
from bids_app.analyses.group.beyond_slope import ProfileSlopes, SlopesOverMusic, slopes_of
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Presentations
from bids_app.analyses.participant.joint import LAYER
from bids_app.config.sections import LOW_LEVEL
from bids_app.encoding.joint import ChoicePlan, fit_joint, score_candidates
from bids_app.group import gradient_weights, group_alignment, sign_flip_max_t, spin_alignment
from bids_app.group.claims import PARTIAL, PEOPLE, PLACE, Claim, LevelTest, decide, holds
from bids_app.statistics import benjamini_hochberg
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]

DATA = Path(os.environ.get("MUSENC_TEST_DATA", Path(__file__).parents[2] / "shared/data"))
N_FLIPS, N_SPINS = 255, 199
SEED = 1
CHOSEN = (0, 2, 4, 6, 7)
"""Of the layers of `listeners.LAYERS`."""
GRID = np.logspace(0, 6, 7).tolist()
STEP = 4
"""Every so many vertices of the mesh."""
over_music.N_DRAWS = 1999
refits.N_REFITS = 40
refits.REFIT_VERTICES = (12, 24)
refits.REFIT_COLUMNS = 1


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for isc in (0.0, 0.1, 0.3):
        for noise in ("windows", "surrogates"):
            yield Cell(f"{noise}, ISC {isc:g}", n_participants=8, isc=isc, noise=noise), 40
    for isc in (0.0, 0.2):
        for what in ("low-level", "layers"):
            name = f"{what} followed, ISC {isc:g}"
            base = Cell(name, n_participants=8, isc=isc, noise="windows")
            yield base.at(oddity="even", size=0.5), 20


@dataclass(frozen=True)
class Space:
    """What a `StimulusSide` gives, from Gram matrices at the volumes."""

    grams: dict[str, FloatArray]
    lengths: list[int]
    tr: float

    def gram(self, name: str) -> FloatArray:
        """Of a layer."""
        return self.grams[name]

    @property
    def plan_options(self) -> dict[str, Any]:
        """As of a `StimulusSide`."""
        return {"delays": DELAYS, "crop": CROP, "tr": self.tr, "alphas": GRID}


def run(brain: Brain, low: Music, layers: Music, cell: Cell, seed: int) -> dict[str, float]:
    """P-values and claims of one study."""
    followed = low if cell.name.startswith("low-level") else layers
    study = listeners.draw_study(brain, followed, cell, seed)
    rivals, lengths = listeners.grams_of(low, cell, seed)
    grams, _ = listeners.grams_of(layers, cell, seed)
    names = [f"layer {k}" for k in range(1, len(grams) + 1)]
    sides = [
        *(Space({one: g}, lengths, cell.tr) for one, g in zip(LOW_LEVEL, rivals, strict=True)),
        Space(dict(zip(names, grams, strict=True)), lengths, cell.tr),
    ]
    settings = {
        "spaces": [{"layer": one} for one in LOW_LEVEL],
        "candidates": 18,
        "random_seed": SEED,
        "alphas": GRID,
        "space": brain.space,
    }
    models = list(ModelsOfClock(sides, settings, names))
    inside = np.flatnonzero(brain.cortex)[::STEP]
    r, choices = _fitted(models, study.responses, inside, brain.cortex.size)
    n = len(r)
    people, pieces = [f"{k:02d}" for k in range(n)], list(study.plans[0].stimuli)
    held = ["+".join(np.atleast_1d(fold.held_out)) for fold in models[0].folds]
    data = GroupData("x", people, r, ["low-level", *names], pieces, held, settings, [])
    with tempfile.TemporaryDirectory() as folder:
        heard = SimpleNamespace(
            people=tuple(range(n)),
            clock_of=(0,) * n,
            clocks=(Presentations(tuple(pieces), (), cell.tr),),
            responses=((Path(folder) / "any",),),
            checksums={label: label for label in pieces},
            loaded=lambda: study.responses,
            loaded_training=lambda: None,
        )
        side = JointMusicSide(heard, data, [models], choices, SEED, 1)
        return _tested(brain, side, data.r.astype(np.float64))


def _fitted(
    models: list[ChoicePlan],
    responses: list[list[FloatArray]],
    inside: NDArray[np.intp],
    n_vertices: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Accuracies (n_people, n_models, n_vertices), and choices with folds before vertices."""
    n = len(responses)
    together = [
        np.hstack([own[k][:, inside] for own in responses]) for k in range(len(responses[0]))
    ]
    known = score_candidates(models[0].joint, together)
    found = []
    for model in models[1:]:
        fit = fit_joint(model.joint, together, leave_out=[LAYER], known=known)
        if not found:
            low = model.chosen(fit.reduced_candidate[0], fit.reduced_alpha[0])
            found.append((fit.reduced_r[0], low))
        found.append((fit.mean_r, model.chosen(fit.candidate, fit.alpha)))
    r = np.full((n, len(found), n_vertices), np.nan, dtype=np.float32)
    n_folds = len(found[0][1])
    choices = np.full((n, len(found), n_folds, n_vertices), np.nan, dtype=np.float32)
    for k, (own, choice) in enumerate(found):
        r[:, k][:, inside] = own.reshape(n, -1)
        choices[:, k][:, :, inside] = np.moveaxis(choice.reshape(n_folds, n, -1), 0, 1)
    return r, choices


def _tested(brain: Brain, side: JointMusicSide, r: FloatArray) -> dict[str, float]:
    unique = r[:, 1:] - r[:, :1]
    usable = np.isfinite(unique).all(axis=(0, 1))
    flips: dict[str, Any] = {"n_permutations": N_FLIPS, "seed": SEED}
    people = sign_flip_max_t(unique, tail="greater", **flips)
    music = beyond_music(side)
    both = holds(people.p, music.q)[:, usable]
    depth = np.linspace(0, 1, unique.shape[1]).tolist()
    found = slopes_of(unique, usable, depth, "quadratic")
    slope = sign_flip_max_t(found.slopes, tail="two-sided", **flips)
    over = SlopesOverMusic(side, found, usable, depth, "quadratic")
    vertices = over.vertices()
    slope_q = benjamini_hochberg(vertices)
    return {
        "unique: mean": float(unique[..., usable].mean()),
        "unique: people": float(np.nanmin(people.p)),
        "unique: people, vertices": float(np.mean(people.p_uncorrected[:, usable] < 0.05)),
        "unique: music, vertices": float(np.mean(music.p[:, usable] < 0.05)),
        "unique: music, vertices .01": float(np.mean(music.p[:, usable] < 0.01)),
        "unique: music": float(np.nanmin(music.q)),
        "unique: ratio": _ratio(music.scaled),
        "unique: adds": float(both.mean()),
        "unique: claimed": float(np.nanmin(np.fmax(people.p, music.q))),
        "slope: people": float(np.nanmin(slope.p)),
        "slope: music, vertices": float(np.mean(vertices[usable] < 0.05)),
        "slope: music": float(np.nanmin(slope_q)),
        "slope: claimed": float(np.nanmin(np.fmax(slope.p, slope_q))),
    } | _aligned(brain, found, unique, over, usable)


def _aligned(
    brain: Brain,
    found: ProfileSlopes,
    unique: FloatArray,
    over: SlopesOverMusic,
    usable: NDArray[np.bool_],
) -> dict[str, float]:
    whole = spin_alignment(
        found.slopes,
        brain.gradient,
        usable,
        covariates=unique.mean(axis=1),
        spheres=load_mesh(brain.space).spheres,
        n_spins=N_SPINS,
        seed=SEED,
    )
    plain = group_alignment(whole, n_bootstrap=10, seed=SEED)
    partial = group_alignment(whole, partial=True, n_bootstrap=10, seed=SEED)
    music = over.alignment(gradient_weights(brain.gradient, usable, method="spearman"))
    tests = [
        LevelTest(PEOPLE, plain.t_p, plain.t),
        music.level,
        LevelTest(PLACE, plain.p, plain.statistic),
        LevelTest(PARTIAL, partial.p, partial.statistic),
    ]
    claimed = decide(Claim("aligned", "", "", tests)).claimed
    return {f"aligned: {test.level}": test.p for test in tests} | {
        "aligned: claimed": 0.0 if claimed else 1.0,
        "aligned: ratio": _ratio(music.scaled),
    }


def _ratio(scaled: over_music.Scaled) -> float:
    return float("nan") if scaled.ratio is None else scaled.ratio.ratio


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = listeners.load_brain(options.rest, DATA)
    layers = listeners.load_music(DATA, options.results.with_suffix(".layers.npz"))
    layers = Music([layers.grams[k] for k in CHOSEN])
    low = listeners.load_low_level(DATA, options.results.with_suffix(".low.npz"))
    run_missing(options, cells(), lambda cell, seed: run(brain, low, layers, cell, seed))
    print(table(read_results(options.results)))


if __name__ == "__main__":
    main()
