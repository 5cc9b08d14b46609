"""The encoding engine on a GPU against the processor, on the same inputs, in turn.

Run ``python benchmarks/devices.py`` where torch sees a GPU. ``--device cpu`` puts torch's processor
in its place, which tests the script and tells nothing about a GPU. Every line: case, wall seconds
of numpy on ``--threads`` threads and of the device, their ratio, and how far the results are apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from encoding import ALPHAS, LENGTHS, N_FSAVERAGE5, SETTINGS, simulate

from bids_app.arrays import NUMPY, Arrays, TorchArrays
from bids_app.encoding import EncodingPlan, fit_encoding, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.group import music_refits
from bids_app.seeds import random_phases

N_DRAWS = 64


def timed(task: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds and result; results are numpy arrays, so that a device has finished."""
    start = time.perf_counter()
    out = task()
    return time.perf_counter() - start, out


def report(case: str, usual: float, device: float, apart: str) -> None:
    """One line per case."""
    ratio = usual / device
    print(f"{case:<48} {usual:8.2f} s {device:8.2f} s  ratio {ratio:6.2f}  {apart}", flush=True)


def make_plans(n_layers: int, features: list[Any]) -> tuple[list[Any], list[EncodingPlan]]:
    """Gram matrices and plans of layers of growing size."""
    grams = [feature_gram([x[:, : 16 + 20 * i] for x in features]) for i in range(n_layers)]
    return grams, [plan_encoding(gram, LENGTHS, alphas=ALPHAS, **SETTINGS) for gram in grams]


def case_fit(plans: list[EncodingPlan], responses: list[Any], device: Arrays, n: int) -> None:
    """All layers of one participant, without and with the closed-form null."""
    for null in ("none", "analytic"):
        spent, differences, same = {"usual": 0.0, "device": 0.0}, [0.0], []
        for plan in plans:
            found = {}
            for name, arrays in (("usual", NUMPY), ("device", device)):
                options: dict[str, Any] = {"null": null, "n_threads": n, "arrays": arrays}
                seconds, found[name] = timed(
                    lambda p=plan, o=options: fit_encoding(p, responses, **o)
                )
                spent[name] += seconds
            alike = found["usual"].alpha == found["device"].alpha
            same.append(alike.mean())
            differences.append(np.abs(found["usual"].r - found["device"].r)[alike].max())
        text = f"r to {max(differences):.1e} where penalties agree ({min(same):.2%} at least)"
        report(f"fit, {len(plans)} layers, null {null}", spent["usual"], spent["device"], text)


def case_joint(grams: list[Any], responses: list[Any], device: Arrays, n: int) -> None:
    """Three spaces, 20 candidates."""
    spaces = {f"space {k}": gram for k, gram in enumerate(grams[:3])}
    weights = candidate_weights(len(spaces), 20, np.random.default_rng(0))
    plan = plan_joint(spaces, LENGTHS, weights=weights, alphas=ALPHAS, **SETTINGS)
    usual, a = timed(lambda: fit_joint(plan, responses, n_threads=n))
    other, b = timed(lambda: fit_joint(plan, responses, n_threads=n, arrays=device))
    same = (a.candidate == b.candidate) & (a.alpha == b.alpha)
    text = f"r to {np.abs(a.r - b.r)[same].max():.1e} where the choice agrees ({same.mean():.2%})"
    report(f"joint, {len(spaces)} spaces, 20 candidates", usual, other, text)


def case_refits(plans: list[EncodingPlan], responses: list[Any], device: Arrays, n: int) -> None:
    """Refits at kept penalties: two participants, up to 1,200 vertices."""
    few = [y[:, :1200] for y in responses]
    alpha = np.stack([fit_encoding(plan, few, null="none", n_threads=n).alpha for plan in plans])
    chosen = np.abs(np.log(ALPHAS)[:, None, None, None] - np.log(alpha)).argmin(axis=0)

    def refits(arrays: Arrays) -> Any:
        return music_refits(
            plans,
            [few, few],
            lambda r, draws: r.copy(),
            phases=lambda draw, segment, n_freq: random_phases(0, str(segment), draw, n_freq),
            n_draws=N_DRAWS,
            penalties=np.stack([chosen, chosen]),
            n_threads=n,
            arrays=arrays,
        )

    usual, a = timed(lambda: refits(NUMPY))
    other, b = timed(lambda: refits(device))
    text = f"r to {np.abs(a - b).max():.1e}"
    report(f"{N_DRAWS} refits, {len(plans)} layers, {few[0].shape[1]} vertices", usual, other, text)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--layers", type=int, default=23)
    parser.add_argument("--vertices", type=int, default=N_FSAVERAGE5)
    parser.add_argument("--threads", type=int, default=16)
    args = parser.parse_args()
    import torch

    if args.device == "cuda":
        if not torch.cuda.is_available():
            parser.error("torch sees no GPU; --device cpu tests the script without one")
        print(torch.cuda.get_device_name(), f"torch {torch.__version__}", flush=True)
    features, responses = simulate(3, args.vertices)
    grams, plans = make_plans(args.layers, features)
    device = TorchArrays(args.device)
    few = [y[:, :128] for y in responses]
    fit_encoding(plans[0], few, arrays=device)  # what is loaded once is not counted
    for plan in plans:  # nor are resolution matrices, which everybody shares
        fit_encoding(plan, few)
    case_fit(plans, responses, device, args.threads)
    case_joint(grams, responses, device, args.threads)
    case_refits(plans, responses, device, args.threads)


if __name__ == "__main__":
    main()
