"""How often the group level claims something where there is nothing, on noise of real brains.

    python benchmarks/calibration_claims.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--only NAME]
        [--part 0/2]

FOLDER holds the unpacked wheel of brainspace (`benchmarks/listeners.py` says what is simulated);
recordings, gradient and real listeners are read from MUSENC_TEST_DATA. Every study goes through
the group level's own steps: accuracy over people and music, the mask, residual slopes, spins, the
null over music with its refits. Fewer draws than the product makes keep a study at a few seconds.

Every study appends a line to RESULTS.jsonl and is not done again, so that the script may be
stopped and called as often as it takes. At the end it prints the tables of docs/calibration.md.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import listeners
import numpy as np
from claims_table import OTHERS, read_results, tables
from kept_studies import run_missing, study_parser
from listeners import Brain, Cell, Music, Study

from bids_app.analyses.group import over_music, refits
from bids_app.analyses.group.accuracy import MIN_REFERENCE_VERTICES
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Presentations
from bids_app.analyses.group.music_alignment import align_over_music
from bids_app.encoding import fit_encoding
from bids_app.group import (
    group_alignment,
    means_of_others,
    shared_training_scale,
    sign_flip_max_t,
    spin_alignment,
)
from bids_app.group.claims import PARTIAL, PEOPLE, PLACE, Claim, LevelTest, decide, holds
from bids_app.preference import (
    apply_weights,
    curvature_weights,
    leave_one_out_references,
    slope_weights,
)
from bids_app.statistics import benjamini_hochberg, fisher_z
from bids_app.surface.mesh import load_mesh

DATA = Path(os.environ.get("MUSENC_TEST_DATA", Path(__file__).parents[2] / "shared/data"))
N_FLIPS, N_SPINS = 499, 199
SEED = 1

# A study at a few seconds instead of minutes; refits that vary more only widen the null.
over_music.N_DRAWS = 1999
refits.N_REFITS = 40
over_music.N_INSTEAD = (159, 159)
over_music.INSTEAD_VERTICES = 250
refits.REFIT_COLUMNS = 60_000


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for isc in (0.0, 0.1, 0.3):
        for noise in ("surrogates", "windows"):
            for where in ("everywhere", "auditory")[: 1 if isc == 0 else 2]:
                name = f"{noise}, ISC {isc} {where}" if isc else f"{noise}, ISC 0"
                yield Cell(name, isc=isc, where=where, noise=noise), 200
    base = Cell("", isc=0.15)
    for n in (5, 8, 39):
        yield base.at(name=f"{n} participants", n_participants=n), 60 if n > 12 else 100
    for oddity in ("outlier", "heavy tails", "hemispheres", "trend", "curvature"):
        size = 0.5 if oddity == "curvature" else 0.0
        yield base.at(name=oddity, oddity=oddity, size=size), 100
    for tr in (0.5, 1.5, 2.5):
        seconds = (100.0, 140.0, 115.0) if tr > 1 else base.seconds
        yield base.at(name=f"TR {tr}", tr=tr, seconds=seconds), 60
    for size in (0.1, 0.2, 0.4):
        planted = base.at(name=f"slope planted, {size}", oddity="slope", size=size)
        yield planted, 60
        yield planted.at(name=f"{planted.name}, {OTHERS}", weights="others"), 60
    for isc in (0.0, 0.1, 0.3):
        for noise in ("surrogates", "windows"):
            name = f"{noise}, ISC {isc:g}, {OTHERS}"
            yield Cell(name, isc=isc, noise=noise, weights="others"), 100


def run(
    brain: Brain, music: Music, cell: Cell, seed: int, *, full: bool = True
) -> dict[str, float]:
    """P-values and claims of one study.

    Without `full` alignments are tested over music only where people and place already hold: the
    claims are the same, at a fraction of the time.
    """
    study = listeners.draw_study(brain, music, cell, seed)
    training = _others(study) if cell.weights == "others" else None
    data, alphas = _fitted(brain, study, training)
    with tempfile.TemporaryDirectory() as folder:
        side = _side(study, data, alphas, Path(folder), training)
        return _claims(brain, data, side, study, cell, full=full)


def _others(study: Study) -> list[list[np.ndarray]]:
    """What trains each participant's models where it is the mean of all others."""
    plan = study.plans[0]
    return means_of_others(
        study.responses,
        [plan.stimuli],
        [[plan.tr * np.arange(n) for n in plan.lengths]],
        [0] * len(study.responses),
        [[slice(one.start, one.stop) for one in plan.segments]],
    )


def _fitted(
    brain: Brain, study: Study, training: list[list[np.ndarray]] | None
) -> tuple[GroupData, np.ndarray]:
    """Accuracy maps of everybody, and penalties (n_people, n_layers, n_folds, n_vertices)."""
    n, n_vertices = len(study.responses), brain.cortex.size
    inside = np.flatnonzero(brain.cortex)
    together, trained = (
        None
        if side is None
        else [
            np.hstack([own[k][:, inside] for own in side])
            for k in range(len(study.plans[0].lengths))
        ]
        for side in (study.responses, training)
    )
    fits = [fit_encoding(plan, together, training=trained, null="none") for plan in study.plans]
    r = np.full((n, len(fits), n_vertices), np.nan, dtype=np.float32)
    alphas = np.full((n, len(fits), fits[0].alpha.shape[0], n_vertices), np.nan, dtype=np.float32)
    for layer, fit in enumerate(fits):
        r[:, layer][:, inside] = fit.mean_r.reshape(n, -1)
        alphas[:, layer][:, :, inside] = np.moveaxis(fit.alpha.reshape(len(fit.alpha), n, -1), 0, 1)
    plan = study.plans[0]
    held = ["+".join(np.atleast_1d(fold.held_out)) for fold in plan.folds]
    settings = {
        "space": brain.space,
        "layer_depth": study.depth.tolist(),
        "alphas": plan.alphas.tolist(),
        "selection": "r",
    }
    people = [f"{number:02d}" for number in range(n)]
    names = [f"layer {number}" for number in range(1, len(fits) + 1)]
    return GroupData("x", people, r, names, list(plan.stimuli), held, settings, []), alphas


def _side(
    study: Study,
    data: GroupData,
    alphas: np.ndarray,
    folder: Path,
    training: list[list[np.ndarray]] | None,
) -> over_music.MusicSide:
    n, labels = len(study.responses), tuple(study.plans[0].stimuli)
    heard = SimpleNamespace(
        people=tuple(range(n)),
        clock_of=(0,) * n,
        clocks=(Presentations(labels, (), study.plans[0].tr),),
        responses=((folder / "any",),),
        checksums={label: label for label in labels},
        loaded=lambda: study.responses,
        loaded_training=lambda: training,
    )
    return over_music.MusicSide(heard, data, [study.plans], alphas, SEED, 1)


def _claims(
    brain: Brain,
    data: GroupData,
    side: over_music.MusicSide,
    study: Study,
    cell: Cell,
    *,
    full: bool,
) -> dict[str, float]:
    n, n_layers = data.r.shape[:2]
    usable = np.isfinite(data.r).all(axis=(0, 1))
    z = fisher_z(data.r.astype(np.float64))
    scale = shared_training_scale(n) if cell.weights == "others" else 1.0
    flips: dict[str, Any] = {"n_permutations": N_FLIPS, "seed": SEED, "scale": scale}
    joint = sign_flip_max_t(z, **flips, tail="greater", uncorrected=False)
    mean_test = sign_flip_max_t(z.mean(axis=1), **flips, tail="greater", uncorrected=False)
    layers = side.test_each_layer(usable)
    average = [np.full((n, n_layers), 1 / (n * n_layers))]
    mean = side.test_maps(average, usable, "layer average", tail="greater")
    layer_q = benjamini_hochberg(layers.p, axis=-1)
    significant = (mean_test.p < 0.05) & (benjamini_hochberg(mean.p[0]) < 0.05)
    mask = significant if significant.sum() >= MIN_REFERENCE_VERTICES else usable
    found = {
        "predicted: people": float(np.nanmin(joint.p)),
        "predicted: music": float(np.nanmin(layer_q)),
        "predicted: claimed": float(np.nanmin(np.fmax(joint.p, layer_q))),
        "predicted: share": float(holds(joint.p, layer_q).any(axis=0)[usable].mean()),
    }
    profiles = np.where(usable, data.r, np.nan).astype(np.float64)
    references = leave_one_out_references(profiles, mask)
    weights = np.stack([slope_weights(study.depth, one) for one in references])
    bends = np.stack([curvature_weights(study.depth, one) for one in references])
    slopes, bent = (
        np.stack([apply_weights(w, one) for w, one in zip(own, profiles, strict=True)])
        for own in (weights, bends)
    )
    preference = SimpleNamespace(
        slopes=slopes, slope_weights=weights, curvatures=bent, curvature_weights=bends
    )
    mesh = load_mesh(brain.space)
    spins: dict[str, Any] = {"spheres": mesh.spheres, "n_spins": N_SPINS, "seed": SEED}
    given = data.r.mean(axis=1)
    others: dict[str, list[LevelTest]] = {}
    for name, maps in (("slope", slopes), ("curvature", bent)):
        whole = spin_alignment(maps, brain.gradient, mask, covariates=given, **spins)
        options: dict[str, Any] = {"n_bootstrap": 10, "scale": scale, "seed": SEED}
        plain = group_alignment(whole, **options)
        partial = group_alignment(whole, partial=True, **options)
        others[name] = [
            LevelTest(PEOPLE, plain.t_p, plain.t),
            LevelTest(PLACE, plain.p, plain.statistic),
            LevelTest(PARTIAL, partial.p, partial.statistic),
        ]
        found |= {f"{name}: {test.level}": test.p for test in others[name]}
        found |= {f"{name}: spins alone": max(plain.p, partial.p), f"{name}: effect": plain.r}
        found |= {f"{name}: claimed": 1.0, f"{name}: music": np.nan, f"{name}: ratio": np.nan}
    found["last layer: music"] = np.nan
    if not (full or any(all(test.passed for test in tests) for tests in others.values())):
        return found
    over = align_over_music(
        side,
        preference,
        brain.gradient,
        mask,
        np.where(mask & np.isfinite(brain.gradient), 0, -1),
        method="spearman",
        slope_model="quadratic",
    )
    for name, tests in others.items():
        music = over.tests[name]
        if decide(Claim("aligned", "", "", [*tests, music.level])).claimed:
            found[f"{name}: claimed"] = 0.0
        if full:
            ratio = music.scaled.ratio
            found[f"{name}: music"] = music.p
            found[f"{name}: ratio"] = np.nan if ratio is None else ratio.ratio
    if full:
        found["last layer: music"] = over.tests[f"layer_{n_layers}"].p
    return found


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    parser = study_parser(__doc__)
    parser.add_argument(
        "--full", type=int, default=40, help="studies of a cell with every test, claimed or not"
    )
    options = parser.parse_args()
    brain = listeners.load_brain(options.rest, DATA)
    music = listeners.load_music(DATA, options.results.with_suffix(".npz"))

    def one(cell: Cell, seed: int) -> dict[str, Any]:
        return run(brain, music, cell, seed, full=seed < options.full)

    run_missing(options, cells(), one)
    print(tables(read_results(options.results)))


if __name__ == "__main__":
    main()
