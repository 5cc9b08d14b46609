"""Encoding engine against himalaya on the same inputs, interleaved, one BLAS thread each.

Run ``python benchmarks/encoding.py`` (all cases) or name some: ``layer participant accuracy
explicit joint study study-null``. Every case prints one line: case, ours, theirs, ratio, largest
difference. Times are CPU seconds of the process, so other users of the machine matter little;
the ``study`` cases are wall seconds on two threads.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV, MultipleKernelRidgeCV
from himalaya.scoring import correlation_score
from numpy.typing import NDArray
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from bids_app.encoding import EncodingPlan, fit_encoding, plan_encoding
from bids_app.encoding.gram import delayed_features, feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint

KEPT = (168, 256, 515)
CROP = 15
LENGTHS = tuple(n + 2 * CROP for n in KEPT)
SETTINGS: dict[str, Any] = {"delays": (0.0, 11.0), "crop": float(CROP), "tr": 1.0}
ALPHAS = np.logspace(-3, 5, 20)
N_FSAVERAGE5 = 20484


def simulate(
    seed: int, n_vertices: int, n_units: int = 512
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float32]]]:
    """Slow features with a decaying spectrum, and responses to them in autoregressive noise."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_units, n_units)) * np.arange(1, n_units + 1) ** -0.7
    features = [
        lfilter([1], [1, -0.8], rng.standard_normal((n, n_units)), axis=0) @ mixing.T
        for n in LENGTHS
    ]
    responses = [np.empty((n, n_vertices), dtype=np.float32) for n in LENGTHS]
    for start in range(0, n_vertices, 1024):
        size = min(1024, n_vertices - start)
        loads = rng.standard_normal((n_units, size)) * rng.exponential(1, size)
        loads *= rng.random(size) < 0.3
        for x, y in zip(features, responses, strict=True):
            noise = lfilter([1], [1, -0.5], rng.standard_normal((len(x), size)), axis=0)
            y[:, start : start + size] = 0.1 * np.roll(x, 5, axis=0) @ loads / x.std() + noise
    return features, responses


def standardized(plan: EncodingPlan, responses: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Responses as himalaya gets them: z-scored per stimulus over the kept rows."""
    parts = []
    for (start, stop), response in zip(plan.rows, responses, strict=True):
        y = response[start:stop].astype(np.float64)
        parts.append((y - y.mean(axis=0)) / y.std(axis=0))
    return np.concatenate(parts)


def _splits(plan: EncodingPlan, fold: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    train = plan.folds[fold].outer.train
    return [
        (np.searchsorted(train, s.train), np.searchsorted(train, s.tests[0]))
        for s in plan.folds[fold].inner
    ]


def himalaya_nested(
    plan: EncodingPlan, y: NDArray[Any], kernel: NDArray[Any], dtype: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The r, penalty and best inner score of nested leave-one-stimulus-out in himalaya."""
    set_backend("numpy")
    y, kernel = y.astype(dtype), kernel.astype(dtype)
    scores, alphas, inner = [], [], []
    for k, fold in enumerate(plan.folds):
        train, test = fold.outer.train, fold.outer.tests[0]
        model = KernelRidgeCV(
            alphas=ALPHAS.astype(dtype),
            kernel="precomputed",
            cv=_splits(plan, k),
            solver_params={
                "score_func": correlation_score,
                "n_targets_batch": 2000,
                "n_alphas_batch": 5,
            },
        )
        model.fit(kernel[np.ix_(train, train)], y[train])
        predicted = model.predict(kernel[np.ix_(test, train)])
        scores.append(correlation_score(y[test], predicted))
        alphas.append(model.best_alphas_)
        inner.append(model.cv_scores_)
    return np.array(scores), np.array(alphas, dtype=np.float64), np.array(inner, dtype=np.float64)


def timed(task: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and result."""
    start = time.process_time()
    out = task()
    return time.process_time() - start, out


def report(case: str, ours: float, theirs: float, difference: str) -> None:
    """One line per case."""
    print(
        f"{case:<44} ours {ours:7.2f} s  theirs {theirs:7.2f} s  ratio {theirs / ours:6.2f}  "
        f"largest difference {difference}",
        flush=True,
    )


def _make_plan(gram: NDArray[np.float64], dtype: Any = np.float32) -> EncodingPlan:
    return plan_encoding(gram, LENGTHS, alphas=ALPHAS, dtype=dtype, **SETTINGS)


def case_layer(n_vertices: int, repeats: int) -> None:
    """One layer: with the plan counted, and once the plan is shared."""
    features, responses = simulate(0, n_vertices)
    gram = feature_gram(features)
    fit_encoding(_make_plan(gram), [r[:, :64] for r in responses], null="none")
    both, fits, peers, difference = [], [], [], 0.0
    for _ in range(repeats):
        spent, plan = timed(lambda: _make_plan(gram))
        alone, result = timed(lambda p=plan: fit_encoding(p, responses, null="none"))
        both.append(spent + alone)
        # The next participant finds the plan and its resolution matrices made.
        spent, result = timed(lambda p=plan: fit_encoding(p, responses, null="none"))
        fits.append(spent)
        y = standardized(plan, responses)
        spent, peer = timed(lambda p=plan, z=y: himalaya_nested(p, z, p.kernel, np.float32))
        peers.append(spent)
        same = np.isclose(result.alpha, peer[1], rtol=1e-5)
        difference = max(difference, float(np.abs(result.r - peer[0])[same].max()))
    text = f"{difference:.1e} (himalaya in float32)"
    report(f"layer, plan counted, {n_vertices} vertices", min(both), min(peers), text)
    report(f"participant, plan shared, {n_vertices} vertices", min(fits), min(peers), text)


def case_accuracy(n_vertices: int) -> None:
    """Agreement with himalaya in float64, for every dtype of ours."""
    features, responses = simulate(1, n_vertices)
    gram = feature_gram(features)
    for dtype in (np.float32, np.float64):
        ours, (plan, result) = timed(
            lambda d=dtype: (
                p := _make_plan(gram, d),
                fit_encoding(p, responses, null="none"),
            )
        )
        y = standardized(plan, responses)
        theirs, (r, alpha, inner) = timed(
            lambda p=plan, z=y: himalaya_nested(p, z, p.kernel, np.float64)
        )
        same = np.isclose(result.alpha, alpha, rtol=1e-9)
        worse = np.abs(result.inner_score - inner)[~same].max(initial=0)
        difference = np.abs(result.r - r)[same].max()
        report(
            f"accuracy, ours {np.dtype(dtype)}, theirs float64",
            ours,
            theirs,
            f"{difference:.1e} in r where the penalty agrees ({same.mean():.2%}); "
            f"inner score elsewhere off by at most {worse:.1e}",
        )


def case_explicit(n_vertices: int, n_units: int) -> None:
    """Explicit delayed features, as himalaya's documentation shows it (kernel from features)."""
    features, responses = simulate(2, n_vertices, n_units)
    set_backend("numpy")

    def ours() -> Any:
        return fit_encoding(_make_plan(feature_gram(features)), responses, null="none")

    plan = _make_plan(feature_gram(features))

    def theirs() -> Any:
        y = standardized(plan, responses)
        delayed = []
        for x, rows in zip(features, plan.rows, strict=True):
            columns = delayed_features(x, plan.shifts, rows)
            delayed.append(columns - columns.mean(axis=0))
        stacked = (np.concatenate(delayed) / np.sqrt(plan.scale)).astype(np.float32)
        out = []
        for k, fold in enumerate(plan.folds):
            model = KernelRidgeCV(
                alphas=ALPHAS.astype(np.float32),
                kernel="linear",
                cv=_splits(plan, k),
                solver_params={
                    "score_func": correlation_score,
                    "n_targets_batch": 2000,
                    "n_alphas_batch": 5,
                },
            )
            train, test = fold.outer.train, fold.outer.tests[0]
            model.fit(stacked[train], y[train].astype(np.float32))
            out.append(model.score(stacked[test], y[test].astype(np.float32)))
        return np.array(out)

    mine, result = timed(ours)
    peer, _ = timed(theirs)
    y = standardized(plan, responses)
    r, alpha, _ = himalaya_nested(plan, y, plan.kernel, np.float32)
    same = np.isclose(result.alpha, alpha, rtol=1e-5)
    difference = np.abs(result.r - r)[same].max()
    report(f"explicit delays, {n_units} units x 12", mine, peer, f"{difference:.1e}")


def case_joint(n_vertices: int, n_candidates: int) -> None:
    """Four spaces together, the first outer fold of himalaya against all three of ours."""
    features, responses = simulate(4, n_vertices)
    rng = np.random.default_rng(5)
    spaces = {"responses follow": features} | {
        f"other {k}": [
            lfilter([1], [1, -0.8], rng.standard_normal((n, 32)), axis=0) for n in LENGTHS
        ]
        for k in range(3)
    }
    grams = {name: feature_gram(parts) for name, parts in spaces.items()}
    weights = candidate_weights(len(grams), n_candidates, rng)
    planned, plan = timed(
        lambda: plan_joint(grams, LENGTHS, weights=weights, alphas=ALPHAS, **SETTINGS)
    )
    y = standardized(plan.first, responses)
    kernels = np.stack(plan.kernels)

    def theirs(fold: int) -> tuple[NDArray[Any], NDArray[Any]]:
        set_backend("numpy")
        train, test = plan.first.folds[fold].outer.train, plan.first.folds[fold].outer.tests[0]
        model = MultipleKernelRidgeCV(
            kernels="precomputed",
            solver="random_search",
            cv=_splits(plan.first, fold),
            solver_params={
                "n_iter": weights.astype(np.float32),
                "alphas": ALPHAS.astype(np.float32),
                "score_func": correlation_score,
                "n_targets_batch": 2000,
                "n_alphas_batch": 5,
                "progress_bar": False,
            },
        )
        model.fit(kernels[:, train][:, :, train], y[train].astype(np.float32))
        predicted = model.predict(kernels[:, test][:, :, train])
        return np.exp(model.deltas_), correlation_score(y[test].astype(np.float32), predicted)

    mine, peers, found = [], [], []
    for fold in range(3):  # in turn, so that both meet the same neighbors on the machine
        peer, result = timed(lambda k=fold: theirs(k))
        spent, ours = timed(lambda: fit_joint(plan, responses, leave_out=()))
        mine.append(spent)
        peers.append(peer)
        found.append(result)
    differences, n_same = [], 0
    for fold, (deltas, r) in enumerate(found):
        own = weights[ours.candidate[fold]].T / ours.alpha[fold]
        same = np.isclose(deltas, own, rtol=1e-3, atol=1e-12).all(axis=0)
        differences.append(np.abs(ours.r[fold] - r)[same].max(initial=0))
        n_same += int(same.sum())
    text = f"{max(differences):.1e} where the choice agrees ({n_same / ours.candidate.size:.1%})"
    report(
        f"joint, 4 spaces, {n_candidates} candidates, {n_vertices} vertices, 3 folds",
        float(np.mean(mine)),
        sum(peers),
        f"{text}; plan, once for everybody, {planned:.2f} s",
    )


def case_study(n_layers: int, n_vertices: int, null: str, n_threads: int) -> None:
    """One participant with all layers: wall seconds on a few threads."""
    features, responses = simulate(3, n_vertices)
    grams = [feature_gram([x[:, : 16 + 20 * i] for x in features]) for i in range(n_layers)]
    plan_cpu, start, cpu = 0.0, time.perf_counter(), time.process_time()
    for gram in grams:
        spent, plan = timed(lambda g=gram: _make_plan(g))
        plan_cpu += spent
        fit_encoding(plan, responses, null=null, n_threads=n_threads)  # type: ignore[arg-type]
    wall = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"{f'{n_layers} layers, {n_vertices} vertices, null {null}':<44} ours {wall:7.2f} s wall  "
        f"{time.process_time() - cpu:7.2f} s CPU ({plan_cpu:.2f} in plans)  "
        f"{n_threads} threads, peak {peak:.2f} GB",
        flush=True,
    )


CASES = ("layer", "accuracy", "explicit", "joint", "study", "study-null")


def main() -> None:
    """Run the cases named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}")
    parser.add_argument("--vertices", type=int, default=N_FSAVERAGE5)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    for case in args.cases or CASES:
        if case == "layer":
            case_layer(args.vertices, args.repeats)
        elif case == "accuracy":
            case_accuracy(args.vertices)
        elif case == "explicit":
            case_explicit(args.vertices, 2048)
        elif case == "joint":
            case_joint(args.vertices, args.candidates)
        elif case in ("study", "study-null"):
            null = "analytic" if case == "study-null" else "none"
            case_study(23, args.vertices, null, args.threads)
        else:
            parser.error(f"unknown case {case}")


if __name__ == "__main__":
    main()
