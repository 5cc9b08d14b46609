"""How often the group level claims something when nothing is there, and when something is.

    python benchmarks/calibration_group.py [--simulations 400] [--family-wise 2000] [--only NAME]

Maps are simulated on fsaverage4 (the first 2,562 vertices per hemisphere of fsaverage5) with
smooth, partly bilateral noise; responses as autoregressive series. With real data at
MUSENC_TEST_DATA the gradient is the Margulies gradient, otherwise a smooth random one. Each case
prints one line.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import sph_harm_y

from bids_app.group import (
    PredictionModel,
    group_alignment,
    median_penalty,
    sign_flip_max_t,
    spin_alignment,
    stimulus_null,
)
from bids_app.preference import group_residual_slopes, layer_depth, preferred_layer
from bids_app.surface.mesh import SurfaceMesh, load_mesh

N_LAYERS = 23
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
) -> np.ndarray:
    """Accuracy of every participant, layer and vertex, (n_participants, 23, n_vertices).

    A profile is accuracy times one reference profile that peaks at layer 15, plus preference times
    depth, plus noise that is smooth on the cortex and correlated .95 from layer to layer.
    """
    depth = layer_depth(N_LAYERS)
    reference = 0.4 + np.exp(-((depth - 14 / 22) ** 2) / 0.08)
    own = setting.fields.draw(rng, setting.n_participants, 8.0)
    gain = np.clip(1 + 0.4 * own, 0.1, None)
    data = gain[:, None, :] * (accuracy * reference[:, None])
    data += preference * (depth - depth.mean())[:, None]
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
    """P-values of alignment of the residual slope (plain, partial, both) and of argmax."""
    z = np.arctanh(np.clip(data, -0.999, 0.999))
    mean_accuracy = z.mean(axis=1)
    cortex = np.isfinite(setting.gradient)
    mask = sign_flip_max_t(mean_accuracy, n_permutations=499, seed=seed).p < 0.05
    if mask.sum() < 200:
        mask = cortex
    slopes = group_residual_slopes(data, mask, layer_depth(N_LAYERS))
    # The mean preferred layer rides along as one more map: it is what not to do.
    argmax = np.stack([preferred_layer(one) for one in data]).mean(axis=0)
    result = spin_alignment(
        np.vstack([slopes, argmax]),
        setting.gradient,
        mask,
        spheres=setting.mesh.spheres,
        n_spins=setting.n_spins,
        seed=seed,
        covariates=np.vstack([mean_accuracy, mean_accuracy.mean(axis=0)]),
    )
    people = replace(
        result,
        r=result.r[:-1],
        null=result.null[:-1],
        partial_r=result.partial_r[:-1],
        partial_null=result.partial_null[:-1],
    )
    plain = group_alignment(people, n_bootstrap=10)
    partial = group_alignment(people, partial=True, n_bootstrap=10)
    return {
        "plain": plain.p,
        "partial": partial.p,
        "claim": max(plain.p, partial.p),
        "participants' t alone": plain.t_p,
        "mean argmax": float(result.p[-1]),
    }


def alignment_case(
    setting: Setting, kind: str, n_simulations: int, size: float = 0.0
) -> dict[str, float]:
    """Rejection rates at .05 over simulations of one kind."""
    found: dict[str, list[bool]] = {}
    standard = setting.gradient - np.nanmean(setting.gradient)
    standard = np.nan_to_num(standard / np.nanstd(standard))
    for seed in range(n_simulations):
        rng = np.random.default_rng([seed, 17])
        smooth = setting.fields.draw(rng, 2, 18.0)
        accuracy, preference = np.clip(0.1 + 0.05 * smooth[0], 0, None), np.zeros(1)
        if kind == "common topography":
            preference = 0.05 * smooth[1]
        elif kind == "accuracy along gradient":
            accuracy = np.clip(0.1 - 0.05 * standard + 0.02 * smooth[0], 0, None)
        elif kind == "true preference":
            preference = size * setting.noise * (standard + smooth[1]) / np.sqrt(2)
        for name, p in align(
            setting, profiles(setting, rng, accuracy=accuracy, preference=preference), seed
        ).items():
            found.setdefault(name, []).append(p <= 0.05)
    return {name: float(np.mean(hits)) for name, hits in found.items()}


def family_wise_case(setting: Setting, n_simulations: int, tail: str) -> float:
    """Share of simulations of pure noise in which max-T finds anything."""
    hits = []
    for seed in range(n_simulations):
        rng = np.random.default_rng([seed, 23])
        maps = setting.fields.draw(rng, setting.n_participants * 4, 6.0)
        maps = maps.reshape(setting.n_participants, 4, -1)
        maps[:, 1:] = 0.9 * maps[:, :1] + np.sqrt(1 - 0.81) * maps[:, 1:]
        result = sign_flip_max_t(maps, n_permutations=199, tail=tail, seed=seed)
        hits.append(result.p.min() <= 0.05)
    return float(np.mean(hits))


def predicted_case(
    n_simulations: int,
    shared: float,
    *,
    n_participants: int = 20,
    n_vertices: int = 100,
    lengths: tuple[int, ...] = (183, 271, 530),
) -> dict[str, float]:
    """Rejection rates at .05 per vertex of both claims, features unrelated to the responses."""
    from bids_app.encoding import fit_encoding, plan_encoding

    alphas = np.logspace(-3, 5, 20)
    rates: dict[str, list[float]] = {}
    for seed in range(n_simulations):
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
        fits = [
            fit_encoding(plan, [y[s] for y in responses], null="none")
            for s in range(n_participants)
        ]
        z = np.arctanh(np.stack([fit.mean_r for fit in fits]))
        chosen = np.concatenate([fit.alpha for fit in fits])
        resolution = plan.resolution
        model = PredictionModel(
            resolution.matrices,
            resolution.sources,
            resolution.fold_of,
            [segment.size for segment in plan.segments],
        )
        kept = [
            y[:, segment.start : segment.stop]
            for y, segment in zip(responses, plan.segments, strict=True)
        ]
        penalty = median_penalty(chosen, alphas)[np.newaxis]
        music = stimulus_null(kept, [model], penalty, np.tanh(z.mean(axis=0))[np.newaxis]).p[0]
        people = sign_flip_max_t(z, n_permutations=999, seed=seed).p_uncorrected
        for name, hit in (
            ("people", people <= 0.05),
            ("music", music <= 0.05),
            ("both", (people <= 0.05) & (music <= 0.05)),
        ):
            rates.setdefault(name, []).append(float(hit.mean()))
    return {name: float(np.mean(values)) for name, values in rates.items()}


def _colored(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    series = rng.standard_normal(shape)
    series[0] /= np.sqrt(1 - rho**2)
    for t in range(1, len(series)):
        series[t] += rho * series[t - 1]
    return series


def cases(setting: Setting, n_alignment: int, n_family: int) -> Iterator[tuple[str, Callable]]:
    """Names and what to run."""
    for kind in ("common topography", "accuracy along gradient"):
        yield kind, lambda kind=kind: alignment_case(setting, kind, n_alignment)
    for size in (0.05, 0.1, 0.2):
        yield (
            f"true preference, SNR {size}",
            lambda size=size: alignment_case(setting, "true preference", n_alignment // 8, size),
        )
    for tail in ("greater", "two-sided"):
        yield (
            f"family-wise error, {tail}",
            lambda tail=tail: {"max-T": family_wise_case(setting, n_family, tail)},
        )
    for shared in (0.0, 0.1, 0.16, 0.3):
        yield f"predicted, ISC {shared}", lambda s=shared: predicted_case(n_alignment // 8, s)


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--family-wise", type=int, default=2000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    setting = make_setting()
    for name, run in cases(setting, options.simulations, options.family_wise):
        if options.only in name:
            rates = ", ".join(f"{key} {value:.3f}" for key, value in run().items())
            print(f"{name}: {rates}", flush=True)


if __name__ == "__main__":
    main()
