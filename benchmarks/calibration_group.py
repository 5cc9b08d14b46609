"""How often the group level claims something when nothing is there, and when something is.

    python benchmarks/calibration_group.py RESULTS.jsonl [--minutes 9] [--only NAME] [--part 0/2]

Maps are simulated on fsaverage4 (the first 2,562 vertices per hemisphere of fsaverage5) with
smooth, partly bilateral noise; responses as autoregressive series. With real data at
MUSENC_TEST_DATA the gradient is the Margulies gradient, otherwise a smooth random one.

Every simulation appends a line to RESULTS.jsonl and is not done again, so that the script may be
stopped and called as often as it takes; calls with different parts may run at the same time. At
the end, and at once when nothing is left, it prints a table of the rates so far.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import sph_harm_y

from bids_app.group import (
    AlignmentResult,
    accuracy_music_null,
    group_alignment,
    isc,
    omnibus_alignment,
    sign_flip_max_t,
    spin_alignment,
)
from bids_app.preference import group_residual_slopes, layer_depth, preferred_layer
from bids_app.surface.mesh import SurfaceMesh, load_mesh

N_LAYERS = 23
Case = tuple[str, int, Callable[..., dict[str, float]]]
"""Name, simulations wanted, and what to run with a seed."""
DATA = Path(os.environ.get("MUSENC_TEST_DATA", Path(__file__).parents[2] / "shared/data"))


class SmoothFields:
    """Isotropic Gaussian fields on both spheres, part of them mirrored."""

    def __init__(self, mesh: SurfaceMesh, max_degree: int = 24, mirrored: float = 0.6) -> None:
        unit = mesh.left.sphere / 100
        polar, azimuth = np.arccos(unit[:, 2]), np.arctan2(unit[:, 1], unit[:, 0])
        rows, self._degree = [], []
        for degree in range(1, max_degree + 1):
            for order in range(degree + 1):
                values = sph_harm_y(degree, order, polar, azimuth)
                parts = [values.real] if order == 0 else [values.real, values.imag]
                rows += [part * (1 if order == 0 else np.sqrt(2)) for part in parts]
                self._degree += [degree] * len(parts)
        # fsaverage's right sphere is close to the mirror image of the left one.
        self._basis = np.array(rows, dtype=np.float32)
        self._mirrored = mirrored
        self._degrees = np.array(self._degree)

    def draw(self, rng: np.random.Generator, n_maps: int, width: float) -> np.ndarray:
        """Maps of unit variance, (n_maps, n_vertices); width in mm (standard deviation)."""
        angle = width / 100
        scale = np.exp(-self._degrees * (self._degrees + 1) * angle**2 / 2)
        scale *= np.sqrt(4 * np.pi / (scale**2).sum())
        coefficients = rng.standard_normal((3, n_maps, len(scale))) * scale
        both, left, right = (c.astype(np.float32) @ self._basis for c in coefficients)
        share, rest = np.sqrt(self._mirrored), np.sqrt(1 - self._mirrored)
        return np.hstack([share * both + rest * left, share * both + rest * right])


@dataclass(frozen=True)
class Setting:
    """Mesh, gradient and fields shared by all simulations."""

    mesh: SurfaceMesh
    gradient: np.ndarray
    fields: SmoothFields
    n_participants: int = 20
    n_spins: int = 299
    noise: float = 0.05


def make_setting(**options: int) -> Setting:
    """fsaverage4 with the real gradient where there is one."""
    mesh = load_mesh("fsaverage4")
    fields = SmoothFields(mesh)
    folder = DATA / "gradient"
    if folder.is_dir():
        import nibabel as nib

        name = "workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{}_feature.func.gii"
        parts = [nib.load(folder / name.format(h)).agg_data()[:2562] for h in "LR"]
        gradient = np.concatenate(parts).astype(np.float64)
        gradient[gradient == 0] = np.nan
    else:
        gradient = fields.draw(np.random.default_rng(0), 1, 25.0)[0].astype(np.float64)
        gradient[np.abs(np.vstack(mesh.spheres)[:, 0]) > 95] = np.nan
    return Setting(mesh, gradient, fields, **options)


def profiles(
    setting: Setting,
    rng: np.random.Generator,
    *,
    accuracy: np.ndarray,
    preference: np.ndarray,
    bend: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Accuracy of every participant, layer and vertex, (n_participants, 23, n_vertices).

    A profile is accuracy times one reference profile that peaks at layer 15, plus preference times
    depth, plus `bend` times the square of depth (orthogonal to depth, of the same variance over
    layers), plus noise that is smooth on the cortex and correlated .95 from layer to layer.
    """
    depth = layer_depth(N_LAYERS)
    square = (depth - 0.5) ** 2 - ((depth - 0.5) ** 2).mean()
    square *= depth.std() / square.std()
    reference = 0.4 + np.exp(-((depth - 14 / 22) ** 2) / 0.08)
    own = setting.fields.draw(rng, setting.n_participants, 8.0)
    gain = np.clip(1 + 0.4 * own, 0.1, None)
    data = gain[:, None, :] * (accuracy * reference[:, None])
    data += preference * (depth - depth.mean())[:, None] + bend * square[:, None]
    steps = setting.fields.draw(rng, setting.n_participants * N_LAYERS, 5.0)
    steps = steps.reshape(setting.n_participants, N_LAYERS, -1)
    noise = np.empty_like(steps)
    noise[:, 0] = steps[:, 0]
    for layer in range(1, N_LAYERS):
        noise[:, layer] = 0.95 * noise[:, layer - 1] + np.sqrt(1 - 0.95**2) * steps[:, layer]
    data = data + setting.noise * noise
    data[:, :, ~np.isfinite(setting.gradient)] = np.nan
    return data


def align(setting: Setting, data: np.ndarray, seed: int) -> dict[str, float]:
    """P-values of alignment of the residual slope (plain, partial, both) and of argmax.

    All three: with the t over participants, and with one sign. The linear slope, of the same
    study, beside the one that leaves curvature out.
    """
    z = np.arctanh(np.clip(data, -0.999, 0.999))
    mean_accuracy = z.mean(axis=1)
    cortex = np.isfinite(setting.gradient)
    mask = sign_flip_max_t(mean_accuracy, n_permutations=499, seed=seed, uncorrected=False).p < 0.05
    if mask.sum() < 200:
        mask = cortex
    depth, n = layer_depth(N_LAYERS), len(data)
    slopes = group_residual_slopes(data, mask, depth)
    linear = group_residual_slopes(data, mask, depth, "linear")
    # The mean preferred layer rides along as one more map: it is what not to do.
    argmax = np.stack([preferred_layer(one) for one in data]).mean(axis=0)
    result = spin_alignment(
        np.vstack([slopes, linear, argmax]),
        setting.gradient,
        mask,
        spheres=setting.mesh.spheres,
        n_spins=setting.n_spins,
        seed=seed,
        covariates=np.vstack([mean_accuracy, mean_accuracy, mean_accuracy.mean(axis=0)]),
    )
    found = _claims(result, slice(n))
    found |= {f"linear: {name}": p for name, p in _claims(result, slice(n, 2 * n)).items()}
    return found | {"mean argmax": float(result.p[-1])}


def _claims(result: AlignmentResult, chosen: slice) -> dict[str, float]:
    """P of the tests of alignment, of some of the maps: one per participant."""
    people = replace(
        result,
        r=result.r[chosen],
        null=result.null[chosen],
        partial_r=result.partial_r[chosen],
        partial_null=result.partial_null[chosen],
    )
    plain = group_alignment(people, n_bootstrap=10, seed=0)
    given = group_alignment(people, partial=True, n_bootstrap=10, seed=0)
    one_sign = np.sign(plain.r) == np.sign(given.r) == np.sign(plain.t)
    return {
        "plain": plain.p,
        "partial": given.p,
        "claim": max(plain.p, given.p),
        "participants' t alone": plain.t_p,
        "all three": max(plain.p, given.p, plain.t_p) if one_sign else 1.0,
    }


def alignment_case(setting: Setting, kind: str, seed: int, size: float = 0.0) -> dict[str, float]:
    """Whether each way of testing rejects at .05 in one simulation of a kind."""
    standard = setting.gradient - np.nanmean(setting.gradient)
    standard = np.nan_to_num(standard / np.nanstd(standard))
    rng = np.random.default_rng([seed, 17])
    smooth = setting.fields.draw(rng, 2, 18.0)
    accuracy, preference = np.clip(0.1 + 0.05 * smooth[0], 0, None), np.zeros(1)
    bend = np.zeros(1)
    if kind == "common topography":
        preference = 0.05 * smooth[1]
    elif kind == "accuracy along gradient":
        accuracy = np.clip(0.1 - 0.05 * standard + 0.02 * smooth[0], 0, None)
    elif kind == "true preference":
        preference = size * setting.noise * (standard + smooth[1]) / np.sqrt(2)
    elif kind == "curvature along gradient":
        # Middle layers are preferred at one end and both ends of the network at the other.
        bend = size * setting.noise * (standard + smooth[1]) / np.sqrt(2)
    data = profiles(setting, rng, accuracy=accuracy, preference=preference, bend=bend)
    return {name: float(p <= 0.05) for name, p in align(setting, data, seed).items()}


def family_wise_case(setting: Setting, seed: int, tail: str) -> dict[str, float]:
    """Whether max-T finds anything in one simulation of pure noise."""
    rng = np.random.default_rng([seed, 23])
    maps = setting.fields.draw(rng, setting.n_participants * 4, 6.0)
    maps = maps.reshape(setting.n_participants, 4, -1)
    maps[:, 1:] = 0.9 * maps[:, :1] + np.sqrt(1 - 0.81) * maps[:, 1:]
    result = sign_flip_max_t(maps, n_permutations=199, tail=tail, seed=seed, uncorrected=False)
    return {"max-T": float(np.nanmin(result.p) <= 0.05)}


def layers_case(setting: Setting, seed: int, n_layers: int = 8) -> dict[str, float]:
    """Whether any of some layers' maps, alike and of no direction, goes along the gradient."""
    rng = np.random.default_rng([seed, 29])
    maps = setting.fields.draw(rng, 1 + n_layers, 12.0)
    maps = 0.9 * maps[:1] + np.sqrt(1 - 0.81) * maps[1:]
    mask = np.isfinite(setting.gradient)
    result = spin_alignment(
        maps, setting.gradient, mask, spheres=setting.mesh.spheres, n_spins=199, seed=seed
    )
    return {
        "one layer": float((result.p <= 0.05).mean()),
        "any layer, corrected": float(omnibus_alignment(result).p <= 0.05),
    }


def predicted_case(
    shared: float,
    seed: int,
    *,
    n_participants: int = 20,
    n_vertices: int = 100,
    lengths: tuple[int, ...] = (183, 271, 530),
) -> dict[str, float]:
    """Share of vertices where each claim is made at .05, features unrelated to the responses."""
    from bids_app.encoding import fit_encoding, plan_encoding

    alphas = np.logspace(-3, 5, 20)
    rng = np.random.default_rng([seed, 31])
    features = [_colored(rng, (n, 30), 0.9) for n in lengths]
    stacked = np.vstack([f - f.mean(axis=0) for f in features])
    plan = plan_encoding(
        stacked @ stacked.T, lengths, delays=(3, 9), crop=15, tr=1.0, alphas=alphas
    )
    responses = []
    for n in lengths:
        own = _colored(rng, (n, n_participants, n_vertices), 0.8)
        common = _colored(rng, (n, 1, n_vertices), 0.8)
        mixed = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        responses.append(np.moveaxis(mixed, 0, 1))
    # Participants side by side are so many more vertices to the fit.
    fit = fit_encoding(plan, [np.hstack(list(y)) for y in responses], null="none")
    z = np.arctanh(fit.mean_r).reshape(n_participants, n_vertices)
    null = accuracy_music_null(
        [plan],
        [[y[participant] for y in responses] for participant in range(n_participants)],
        np.moveaxis(fit.alpha.reshape(-1, n_participants, n_vertices), 1, 0)[:, np.newaxis],
        np.tanh(z.mean(axis=0))[np.newaxis],
    )
    music = null.p[0] <= 0.05
    people = sign_flip_max_t(z, n_permutations=999, seed=seed).p_uncorrected <= 0.05
    return {
        "people": float(people.mean()),
        "music": float(music.mean()),
        "both": float((people & music).mean()),
    }


def isc_case(
    n_participants: int,
    seed: int,
    *,
    n_vertices: int = 30,
    lengths: tuple[int, ...] = (90, 140, 200),
) -> dict[str, float]:
    """Inter-subject correlation of responses that share nothing, AR(1).

    Share of vertices, and whether any vertex passes, at .05.
    """
    rng = np.random.default_rng([seed, 53])
    responses = []
    for n in lengths:
        own = np.moveaxis(_colored(rng, (n, n_participants, n_vertices), 0.7), 0, 1)
        responses.append(own)
    found = isc(responses, n_draws=999, n_bootstrap=2, seed=seed)
    return {
        "one vertex": float((found.p <= 0.05).mean()),
        "any vertex": float((found.p_max <= 0.05).any()),
    }


def _colored(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    series = rng.standard_normal(shape)
    series[0] /= np.sqrt(1 - rho**2)
    for t in range(1, len(series)):
        series[t] += rho * series[t - 1]
    return series


def cases(setting: Setting) -> Iterator[Case]:
    """Names, simulations wanted, and what to run with a seed."""
    for kind in ("common topography", "accuracy along gradient"):
        yield kind, 400, partial(alignment_case, setting, kind)
    for size in (0.05, 0.1, 0.2):
        run = partial(alignment_case, setting, "true preference", size=size)
        yield f"true preference, SNR {size}", 200, run
    for size in (0.1, 0.4):
        run = partial(alignment_case, setting, "curvature along gradient", size=size)
        yield f"curvature along gradient, SNR {size}", 200, run
    for tail in ("greater", "two-sided"):
        yield f"family-wise error, {tail}", 2000, partial(family_wise_case, setting, tail=tail)
    yield "layers along gradient", 400, partial(layers_case, setting)
    for n_participants in (3, 6, 12, 39):
        name = f"inter-subject correlation, {n_participants} participants"
        yield name, 200, partial(isc_case, n_participants)
    for shared in (0.0, 0.1, 0.2, 0.3):
        yield f"predicted, ISC {shared}", 200, partial(predicted_case, shared)


def read_results(path: Path) -> dict[str, dict[int, dict[str, float]]]:
    """Results per case and seed."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        row = json.loads(line)
        found.setdefault(row["case"], {})[row["seed"]] = row["result"]
    return found


def table(results: dict[str, dict[int, dict[str, float]]], names: list[str]) -> str:
    """Markdown of the rates, with the standard error over simulations."""
    lines = ["| case | simulations | test | rate (SE) |", "|---|---|---|---|"]
    for name in names:
        rows = list(results.get(name, {}).values())
        for test in rows[0] if rows else ():
            values = np.array([row[test] for row in rows])
            error = values.std() / np.sqrt(len(values))
            lines.append(f"| {name} | {len(rows)} | {test} | {values.mean():.3f} ({error:.3f}) |")
    return "\n".join(lines)


def main(description: str, cases: Callable[[], Iterator[Case]]) -> None:
    """Run what is missing for some minutes and print the rates."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--part", default="0/1", help="this part of the seeds, of how many")
    options = parser.parse_args()
    part, n_parts = (int(number) for number in options.part.split("/"))
    stop = time.monotonic() + 60 * options.minutes
    wanted = [case for case in cases() if options.only in case[0]]
    done = read_results(options.results)
    with options.results.open("a") as stream:
        for name, n_simulations, run in wanted:
            for seed in range(part, n_simulations, n_parts):
                if seed in done.get(name, {}):
                    continue
                if time.monotonic() > stop:
                    break
                row = {"case": name, "seed": seed, "result": run(seed=seed)}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
    print(table(read_results(options.results), [name for name, _, _ in wanted]))


if __name__ == "__main__":
    main(__doc__, lambda: cases(make_setting()))
