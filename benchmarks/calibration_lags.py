"""How often a lag of a group is claimed where there is none, on noise of real brains.

    python benchmarks/calibration_lags.py RESULTS.jsonl --rest FOLDER [--minutes 9] [--part 0/2]

Studies are those of `benchmarks/listeners.py`: real resting noise, excerpts of real recordings that
nobody heard, listeners who share a part of their noise. Two features of the music (loudness and
spectral centroid) are scanned by the group level's own functions, in auditory cortex, 50 regions
(eight neighboring parcels of Schaefer-400 each) and 20 vertices, with 99 draws. Where a lag is
planted, auditory cortex follows loudness by 5 s. Every study is a line of RESULTS.jsonl; calls go
on where the last one stopped, and print the table of docs/lags.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import listeners
import numpy as np
from calibration_claims import DATA
from claims_table import read_results
from kept_studies import run_missing, study_parser
from lags_table import table
from listeners import HIGH_PASS, Brain, Cell
from numpy.typing import NDArray

from bids_app.analyses.group.lag_tests import LagPart, lag_test
from bids_app.analyses.participant.lag_plan import LAGS
from bids_app.features.course import feature_course
from bids_app.features.registry import STEP, find_space
from bids_app.features.timing import filtered
from bids_app.group.claims import holds
from bids_app.surface.lag import auditory_vertices, region_mean
from bids_app.surface.lag_group import OthersScan, others_scan
from bids_app.surface.lag_scan import LagRun
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]

FEATURES = (("loudness", ""), ("timbre", "centroid"))
N_DRAWS, N_FLIPS, N_VERTICES = 99, 499, 20
PLANTED = 5.0


def cells() -> Iterator[tuple[Cell, int]]:
    """Kinds of studies, and how many of each."""
    for noise in ("surrogates", "windows"):
        for isc, where in ((0.0, ""), (0.1, ""), (0.3, ""), (0.3, "auditory")):
            cell = Cell("", isc=isc, noise=noise, where=where or "everywhere")
            place = f" {where}" if where else ""
            yield cell.at(name=f"12 people, {noise}, ISC {isc:g}{place}"), 120
        for isc in (0.0, 0.3):
            cell = Cell("", isc=isc, noise=noise)
            yield cell.at(name=f"6 people, {noise}, ISC {isc:g}", n_participants=6), 80
            yield cell.at(name=f"5 people, {noise}, ISC {isc:g}", n_participants=5), 40
            yield cell.at(name=f"TR 2, {noise}, ISC {isc:g}", tr=2.0), 60
    for size in (0.1, 0.2, 0.4):
        planted = Cell(f"planted, {size}", isc=0.1, noise="windows", oddity="lag", size=size)
        yield planted, 60


def load_features(data: Path, store: Path) -> list[FloatArray]:
    """Features of all recordings one after the other, in steps, kept in `store`."""
    if not store.exists():
        space = find_space("descriptors")
        files = sorted((data / "audio").glob("*.ogg"))
        loops = [
            np.concatenate([feature_course(space, *one, p.stem, p).values for p in files])
            for one in FEATURES
        ]
        np.savez(store, *loops)
    with np.load(store) as arrays:
        return [arrays[name] for name in arrays.files]


def load_places(brain: Brain, data: Path) -> list[NDArray[np.intp]]:
    """Vertices of auditory cortex and of 50 regions."""
    mesh = load_mesh(brain.space)
    n = mesh.n_vertices // 2
    labels = np.loadtxt(data / "parcellations" / "schaefer_400_fsa5.csv")
    coarse = np.concatenate([half[:n] for half in np.split(labels, 2)])
    of_region = np.where((coarse > 0) & brain.cortex, (coarse - 1) // 8, -1)
    heard = auditory_vertices(mesh)
    regions = [np.flatnonzero(of_region == number) for number in range(50)]
    return [heard[brain.cortex[heard]], *(one for one in regions if one.size)]


def run(
    brain: Brain, loops: list[FloatArray], places: list[NDArray[np.intp]], cell: Cell, seed: int
) -> dict[str, float]:
    """P-values and claims of one study."""
    rng = listeners._generator(cell, seed)
    music = SimpleNamespace(seconds=STEP * len(loops[0]))
    excerpts = listeners._excerpts(music, cell, rng)
    lengths = [len(one) for one in excerpts]
    steps = [np.arange(0.0, one[-1] - one[0] + cell.tr, STEP) for one in excerpts]
    at = STEP * np.arange(len(loops[0]))
    courses = [
        [
            _filtered(np.interp(one[0] + own, at, loop))
            for one, own in zip(excerpts, steps, strict=True)
        ]
        for loop in loops
    ]
    share = np.where(brain.auditory | (cell.where == "everywhere"), cell.isc, 0.0)
    common = listeners._noise(brain, cell, lengths, rng)
    vertices = rng.choice(np.flatnonzero(brain.cortex), N_VERTICES, replace=False)
    people = []
    for _ in range(cell.n_participants):
        noise = listeners._noise(brain, cell, lengths, rng)
        runs = []
        for piece, (c, o) in enumerate(zip(common, noise, strict=True)):
            values = np.sqrt(share) * c + np.sqrt(1 - share) * o
            times = cell.tr * np.arange(len(values))
            if cell.oddity == "lag":
                heard = courses[0][piece] / courses[0][piece].std()
                follows = np.interp(times - PLANTED, steps[piece], heard)
                values[:, places[0]] += cell.size * follows[:, np.newaxis]
            values = listeners._cleaned(values, cell.tr)
            means = [region_mean(values[:, one]) for one in places]
            runs.append((np.column_stack([*means, values[:, vertices]]), times))
        people.append(runs)
    scans = [_scan(people, own, steps, seed) for own in courses]
    return _found(scans, len(places))


def _filtered(values: FloatArray) -> FloatArray:
    return np.asarray(filtered(values - values.mean(), STEP, HIGH_PASS))


def _scan(people: list, courses: list[FloatArray], steps: list[FloatArray], seed: int):
    runs = [
        [
            LagRun(y, t, x, s, heard=(float(t[0]), float(t[-1])))
            for (y, t), x, s in zip(own, courses, steps, strict=True)
        ]
        for own in people
    ]
    return others_scan(runs, LAGS, n_draws=N_DRAWS, rng=np.random.default_rng(seed))


def _part(scan: OthersScan, chosen: slice) -> LagPart:
    per_place = ("mean", "lag", "at_edge", "p")
    return LagPart.of(
        OthersScan(
            lags=scan.lags,
            curves=scan.curves[:, :, chosen],
            chosen=scan.chosen[:, chosen],
            z=scan.z[:, chosen],
            draws=scan.draws[:, chosen],
            **{name: getattr(scan, name)[chosen] for name in per_place},
        )
    )


def _found(scans: list[OthersScan], n_places: int) -> dict[str, float]:
    """Smallest p of families of places, and whether people and music hold at one of them."""
    first, regions, rest = slice(0, 1), slice(0, n_places), slice(n_places, None)
    families = {
        "auditory cortex": [_part(scans[0], first)],
        "regions": [_part(scans[0], regions)],
        "regions, two features": [_part(one, regions) for one in scans],
        "vertices": [_part(scans[0], rest)],
    }
    found: dict[str, float] = {}
    for name, parts in families.items():
        test = lag_test(parts, {"n_permutations": N_FLIPS, "seed": 1})
        found |= {
            f"{name}: people": float(np.nanmin(test.people.p)),
            f"{name}: music": float(np.nanmin(test.music_max)),
            f"{name}: claimed": 1.0 - float(holds(test.people.p, test.music_max).any()),
        }
        if name == "auditory cortex":
            found |= {"lag": float(test.lag[0]), "r": float(test.r[0])}
    return found


def main() -> None:
    """Run what is missing for some minutes and print the rates."""
    options = study_parser(__doc__).parse_args()
    brain = listeners.load_brain(options.rest, DATA)
    loops = load_features(DATA, options.results.with_suffix(".npz"))
    places = load_places(brain, DATA)
    run_missing(options, cells(), lambda cell, seed: run(brain, loops, places, cell, seed))
    print(table(read_results(options.results)))


if __name__ == "__main__":
    main()
