"""Group statistics beside neuromaps, MNE and nilearn: same input, same draws, taking turns.

    python benchmarks/group.py [--repeats 3] [--only NAME] [--threads 2]
    python benchmarks/group.py --only whole --participants 200 --volumes 1800

Every case prints one line: seconds of both sides, their ratio by wall clock and by processor time,
and how far the results differ. Peers use one thread, and so do we where they are compared. MNE is
not a dependency: without it its case is left out.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from bids_app.analyses.mapped import new_series
from bids_app.encoding import EncodingPlan, plan_encoding
from bids_app.group import (
    accuracy_music_null,
    group_alignment,
    isc,
    omnibus_alignment,
    sign_flip_max_t,
    spin_alignment,
    split_half,
    tfce_sign_flip,
)
from bids_app.preference import group_residual_slopes, layer_depth
from bids_app.surface.mesh import load_mesh

N_PARTICIPANTS, N_LAYERS = 39, 23
LENGTHS = [213, 301, 560]
"""Volumes of the three pieces, with what delays and the crop leave out."""


def take_turns(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int
) -> tuple[object, object, str]:
    """Run both sides alternately; last results and a line with medians and ratios."""
    clocks: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    results: dict[str, object] = {}
    for _ in range(repeats):
        for side, run in (("ours", ours), ("theirs", theirs)):
            wall, processor = time.perf_counter(), time.process_time()
            results[side] = run()
            clocks[side].append((time.perf_counter() - wall, time.process_time() - processor))
    own, other = (np.median(clocks[side], axis=0) for side in ("ours", "theirs"))
    line = f"ours {own[0]:.2f} s, theirs {other[0]:.2f} s, ratio {other[0] / own[0]:.1f}x wall, "
    line += f"{other[1] / own[1]:.1f}x processor"
    return results["ours"], results["theirs"], line


def smooth_maps(n_maps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Maps on fsaverage5 and a gradient with a medial wall."""
    mesh, rng = load_mesh(), np.random.default_rng(seed)
    points = np.vstack(mesh.spheres) / 100
    waves = rng.normal(size=(n_maps + 1, 12, 3)) * 3
    maps = np.cos(waves @ points.T + rng.uniform(0, 6, (n_maps + 1, 12, 1))).sum(axis=1)
    maps += rng.normal(size=maps.shape)
    gradient = maps[-1].copy()
    gradient[np.abs(points[:, 0] - np.repeat([1, -1], 10242) * 0.9) < 0.12] = np.nan
    return maps[:-1], gradient


def neuromaps_rotations(n_spins: int, seed: int) -> np.ndarray:
    """Rotations of the left hemisphere that neuromaps draws with this seed."""
    draws = np.random.RandomState(seed)
    rotations = []
    for _ in range(n_spins):
        q, triangle = np.linalg.qr(draws.normal(size=(3, 3)))
        q = q * np.sign(np.diag(triangle))
        q[:, 0] *= np.sign(np.linalg.det(q))
        rotations.append(q)
    return np.array(rotations)


def case_spin(options: argparse.Namespace) -> str:
    """24 maps, 1,000 rotations, against neuromaps with the same rotations."""
    import nibabel as nib
    from neuromaps.nulls import alexander_bloch
    from neuromaps.stats import compare_images

    mesh, (maps, gradient) = load_mesh(), smooth_maps(24)
    mask, n_spins = np.isfinite(gradient), 1000
    # Handed over in memory, in double precision, so that both sides see the same nearest vertices.
    surfaces = [
        nib.gifti.GiftiImage(
            darrays=[
                nib.gifti.GiftiDataArray(
                    hemi.sphere, "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT64"
                ),
                nib.gifti.GiftiDataArray(
                    hemi.faces.astype(np.int32), "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32"
                ),
            ]
        )
        for hemi in mesh.hemispheres
    ]

    def theirs() -> np.ndarray:
        rotated = alexander_bloch(gradient, surfaces=surfaces, n_perm=n_spins, seed=1)
        return np.array(
            [
                compare_images(gradient, one, ignore_zero=False, nulls=rotated, return_nulls=True)[
                    2
                ]
                for one in maps
            ]
        )

    def ours() -> np.ndarray:
        return spin_alignment(
            maps,
            gradient,
            mask,
            spheres=mesh.spheres,
            method="pearson",
            rotations=neuromaps_rotations(n_spins, 1),
            seed=0,
        ).null

    null, reference, line = take_turns(ours, theirs, 1)
    return f"{line}; largest difference of r {np.abs(null - reference).max():.1e}"


def case_nilearn(options: argparse.Namespace) -> str:
    """Sign flips, 39 x 20,484, 1,000 flips, against nilearn's permuted_ols with its signs."""
    from nilearn.mass_univariate import permuted_ols

    data = np.random.default_rng(2).normal(0.05, 1, size=(N_PARTICIPANTS, 20484))
    n_flips = 1000
    seed = np.random.RandomState(0).randint(1, np.iinfo(np.int32).max - 1)
    draws = np.random.RandomState(seed)
    # nilearn flips what it flipped before.
    signs = np.cumprod(
        [draws.randint(2, size=N_PARTICIPANTS) * 2 - 1 for _ in range(n_flips)], axis=0
    )
    result, reference, line = take_turns(
        lambda: sign_flip_max_t(data, signs=signs, uncorrected=False, seed=0),
        lambda: permuted_ols(
            np.ones((N_PARTICIPANTS, 1)),
            data,
            model_intercept=False,
            n_perm=n_flips,
            two_sided_test=False,
            random_state=0,
            n_jobs=1,
            verbose=0,
            output_type="dict",
        ),
        options.repeats,
    )
    difference = np.abs(result.null_max - reference["h0_max_t"][0]).max()
    return f"{line}; largest difference of max t {difference:.1e}"


def case_mne(options: argparse.Namespace) -> str:
    """Sign flips, 39 x 20,484, 1,000 flips, two-sided, against MNE's permutation_t_test."""
    from mne.stats import permutation_t_test

    data = np.random.default_rng(2).normal(0.05, 1, size=(N_PARTICIPANTS, 20484))
    result, reference, line = take_turns(
        lambda: sign_flip_max_t(
            data, n_permutations=1000, tail="two-sided", uncorrected=False, seed=0
        ),
        lambda: permutation_t_test(data, 1000, rng=0, verbose="error"),
        options.repeats,
    )
    agreement = stats.ks_2samp(result.null_max, reference[2]).pvalue
    difference = np.abs(result.t - reference[0]).max()
    return f"{line}; t differs by {difference:.1e}, Kolmogorov-Smirnov p of maxima {agreement:.2f}"


def case_large_spin(options: argparse.Namespace) -> str:
    """100 maps, 10,000 rotations."""
    maps, gradient = smooth_maps(100)
    mask = np.isfinite(gradient)
    wall, processor = time.perf_counter(), time.process_time()
    spin_alignment(maps, gradient, mask, n_spins=10_000, n_threads=options.threads, seed=0)
    return (
        f"{time.perf_counter() - wall:.1f} s ({time.process_time() - processor:.1f} s processor) "
        f"with {options.threads} threads, peak {_peak()}"
    )


def case_whole(options: argparse.Namespace) -> str:
    """The numerics of a whole group level: 23 layers, spins, flips, nulls over music."""
    mesh, rng = load_mesh(), np.random.default_rng(5)
    maps, gradient = smooth_maps(N_LAYERS)
    threads, steps = options.threads, []
    flips = {"n_permutations": options.draws, "seed": 0, "n_threads": threads}
    spins = {"n_spins": options.draws, "seed": 0, "n_threads": threads}
    z = np.empty((options.participants, *maps.shape), np.float32)
    for one in z:
        one[:] = 0.02 * maps + rng.normal(0.05, 0.06, size=maps.shape)
    z[..., ~np.isfinite(gradient)] = np.nan
    start, busy = time.perf_counter(), time.process_time()

    def step(name: str, run: Callable[[], object]) -> object:
        before, processor = time.perf_counter(), time.process_time()
        result = run()
        spent = time.process_time() - processor
        steps.append(f"{name} {time.perf_counter() - before:.0f} s ({spent:.0f} s processor)")
        print("   ", f"{steps[-1]}, {_peak()}", flush=True)
        return result

    step("max-T joint", lambda: sign_flip_max_t(z, **flips))
    mean = z.mean(axis=1)
    mask = step("mask", lambda: sign_flip_max_t(mean, uncorrected=False, **flips)).p < 0.05
    step("TFCE joint", lambda: tfce_sign_flip(z, mesh.adjacency, **flips))
    slopes = step("slopes", lambda: group_residual_slopes(z, mask, layer_depth(N_LAYERS)))
    step(
        "slopes max-T",
        lambda: sign_flip_max_t(slopes, tail="two-sided", uncorrected=False, **flips),
    )
    left = np.arange(mesh.n_vertices) < mesh.left.n_vertices
    for name, part in (("both", mask), ("left", mask & left), ("right", mask & ~left)):
        result = step(
            f"spins {name}",
            lambda part=part: spin_alignment(slopes, gradient, part, covariates=mean, **spins),
        )
        group_alignment(result, seed=0)
    layers = step(
        "spins layers",
        lambda: spin_alignment(z.mean(axis=0), gradient, mask, **spins),
    )
    omnibus_alignment(layers)
    split_half(slopes, mask, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        plan, responses, alphas = _stimulus_side(options, mesh.n_vertices, rng, Path(folder))
        step("ISC", lambda: isc(responses, seed=0))
        listeners = [[y[k] for y in responses] for k in range(options.participants)]
        step(
            "accuracy over music",
            lambda: accuracy_music_null(
                [plan] * N_LAYERS, listeners, alphas, np.tanh(z.mean(axis=0)), n_threads=threads
            ),
        )
    wall, spent = time.perf_counter() - start, time.process_time() - busy
    return (
        f"{options.draws} draws: {wall:.0f} s ({spent:.0f} s processor) with {threads} threads, "
        f"peak {_peak()}"
    )


def _stimulus_side(
    options: argparse.Namespace, n_vertices: int, rng: np.random.Generator, folder: Path
) -> tuple[EncodingPlan, list[np.ndarray], np.ndarray]:
    """A plan (one for all layers), responses of noise in mapped files, penalties."""
    whole, grid = sum(LENGTHS), np.logspace(-3, 5, 20)
    lengths = [round(n * options.volumes / whole) for n in LENGTHS]
    features = np.vstack([np.cumsum(rng.normal(size=(n, 50)), axis=0) for n in lengths])
    plan = plan_encoding(
        features @ features.T, lengths, delays=(3, 9), crop=15, tr=1.0, alphas=grid
    )
    responses = []
    for piece, n in enumerate(lengths):
        mapped = new_series(folder / f"{piece}.npy", (options.participants, n, n_vertices))
        for one in mapped:
            one[:] = rng.standard_normal(one.T.shape, dtype=np.float32).T
        responses.append(mapped)
    chosen = rng.integers(6, 14, size=(N_LAYERS, 1, n_vertices))
    return (
        plan,
        responses,
        np.broadcast_to(grid[chosen], (options.participants, N_LAYERS, len(lengths), n_vertices)),
    )


def _peak() -> str:
    """Largest memory, and how much is held now that is not of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{largest / 1e6:.1f} GB (now {own / 1e6:.1f} without mapped files)"


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--participants", type=int, default=N_PARTICIPANTS, help="of the same")
    parser.add_argument("--volumes", type=int, default=sum(LENGTHS), help="of the same")
    parser.add_argument("--draws", type=int, default=10_000, help="of the whole group level")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    for name, case in (
        ("large spin", case_large_spin),
        ("spin against neuromaps", case_spin),
        ("sign flips against nilearn", case_nilearn),
        ("sign flips against MNE", case_mne),
        ("whole group level", case_whole),
    ):
        if options.only not in name:
            continue
        try:
            with threadpool_limits(limits=1):
                print(f"{name}: {case(options)}", flush=True)
        except ImportError as error:
            print(f"{name}: left out ({error})", flush=True)


if __name__ == "__main__":
    main()
