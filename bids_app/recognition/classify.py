"""Music emotion recognition: which emotion does a clip express, from any feature space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import FINITE, ONE_OF_THESE, BadDataError, UsageError
from bids_app.seeds import generator

FloatArray = NDArray[np.float64]
Classifier = Literal["svm", "forest", "logistic"]
CLASSIFIERS: tuple[str, ...] = get_args(Classifier)


@dataclass(frozen=True, eq=False)
class Recognition:
    """Cross-validated classification from one feature space.

    Attributes
    ----------
    accuracy : float
        Share of clips whose held-out prediction is right.
    balanced_accuracy : float
        Mean share over classes.
    chance : float
        Mean accuracy with permuted labels.
    p : float
        Share of permutations that reach the accuracy, (1 + b) / (1 + m).
    p_corrected : float
        The same for the best of all feature spaces tested together.
    null : (n_permutations,) float64
        Accuracy of each permutation.
    classes : tuple of str
        In the order of `confusion`.
    confusion : (n_classes, n_classes) int
        Rows: true class; columns: predicted.
    n_clips, n_features, n_folds : int
    """

    accuracy: float
    balanced_accuracy: float
    chance: float
    p: float
    p_corrected: float
    null: FloatArray
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    n_clips: int
    n_features: int
    n_folds: int


def recognize(
    features: Mapping[str, ArrayLike],
    labels: Sequence[str],
    *,
    classifier: Classifier = "svm",
    n_folds: int = 10,
    n_permutations: int = 200,
    groups: Sequence[str] | None = None,
    seed: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Recognition]:
    """Classify clips by every feature space, with the same folds and permutations for all.

    Features are z-scored within the training clips. Folds are stratified by class and keep groups
    (clips of one song or artist) together. Labels are permuted over clips, or over whole groups
    where all clips of each group share a label.

    Parameters
    ----------
    features : mapping from name to (n_clips, n_features) array
        Such as one entry per layer, averaged over each clip.
    labels : (n_clips,) sequence of str
        Class of each clip.
    classifier : {"svm", "forest", "logistic"}
        Support vectors (radial kernel, C = 1), random forest (200 trees), logistic regression.
    n_folds : int
        Folds; fewer where the rarest class has fewer clips.
    n_permutations : int
        Permutations of the labels.
    groups : (n_clips,) sequence of str, optional
        What must not be split between training and test.
    seed : int
        Of folds, forests and permutations.
    progress : callable, optional
        Called with feature spaces done, their number, and the name of the next.

    Returns
    -------
    dict from name to Recognition

    Raises
    ------
    BadDataError
        If shapes differ, features are not finite, or a class has fewer than two clips or groups.
    UsageError
        If the classifier is unknown.

    Notes
    -----
    Koh and Dubnov 2021, arXiv:2104.06517.
    """
    if classifier not in CLASSIFIERS:
        raise UsageError(
            "Unknown classifier.",
            where="classifier",
            found=classifier,
            wanted=", ".join(CLASSIFIERS),
            remedy=ONE_OF_THESE,
        )
    spaces = {name: _checked(name, values, len(labels)) for name, values in features.items()}
    if not spaces:
        raise BadDataError(
            "There are no features.",
            where="features",
            found="none",
            wanted="one feature space or more",
            remedy="give the features of the clips",
        )
    truth = np.asarray([str(label) for label in labels])
    together = (
        np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    folds = _folds(truth, together, n_folds, seed)
    shuffled = _permuted(truth, together, n_permutations, seed)
    predicted, nulls = {}, {}
    for index, (name, values) in enumerate(spaces.items()):
        if progress is not None:
            progress(index, len(spaces), name)
        predicted[name] = _predict(values, truth, folds, classifier, seed)
        nulls[name] = np.array(
            [(_predict(values, y, folds, classifier, seed) == y).mean() for y in shuffled]
        )
    best = np.max(list(nulls.values()), axis=0) if n_permutations else np.empty(0)
    return {
        name: _summary(truth, predicted[name], nulls[name], best, values.shape[1], len(folds))
        for name, values in spaces.items()
    }


def _checked(name: str, values: ArrayLike, n_clips: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != n_clips or array.shape[1] == 0:
        raise BadDataError(
            "Features and labels do not fit together.",
            where=f"features[{name!r}]",
            found=f"shape {array.shape}",
            wanted=f"({n_clips}, n_features), one row per label",
            remedy="give one row of features for every label, in one order",
        )
    if not np.isfinite(array).all():
        raise BadDataError(
            "Features are not finite.",
            where=f"features[{name!r}]",
            found=f"{np.count_nonzero(~np.isfinite(array))} of {array.size}",
            wanted="finite values",
            remedy=FINITE,
        )
    return array


Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


def _folds(truth: NDArray[Any], groups: NDArray[Any], n_folds: int, seed: int) -> Folds:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    classes = np.unique(truth)
    n_groups = {c: len(np.unique(groups[truth == c])) for c in classes}
    rarest = min(n_groups.values(), default=0)
    if len(classes) < 2 or rarest < 2 or n_folds < 2:
        raise BadDataError(
            "Classification needs two classes, and two clips (or groups) of each.",
            where="labels",
            found=", ".join(f"{c}: {n}" for c, n in n_groups.items()) + f"; {n_folds} folds",
            wanted="classes that can be both learned and tested",
            remedy="merge or leave out rare classes",
        )
    n = min(n_folds, rarest)
    grouped = len(np.unique(groups)) < len(truth)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(
        n, shuffle=True, random_state=_random_state(seed, "folds")
    )
    return list(splitter.split(np.zeros((len(truth), 1)), truth, groups if grouped else None))


def _permuted(
    truth: NDArray[Any], groups: NDArray[Any], n_permutations: int, seed: int
) -> list[NDArray[Any]]:
    """Labels permuted over groups where each has one, over clips otherwise."""
    rng = generator(seed, "permutations of labels")
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    if (truth[first][inverse] == truth).all():
        return [rng.permutation(truth[first])[inverse] for _ in range(n_permutations)]
    return [rng.permutation(truth) for _ in range(n_permutations)]


def _random_state(seed: int, purpose: str) -> int:
    """What scikit-learn takes instead of a generator."""
    return int(generator(seed, purpose).integers(2**32))


def _estimator(classifier: str, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if classifier == "svm":
        return make_pipeline(StandardScaler(), SVC())
    if classifier == "forest":
        return RandomForestClassifier(
            n_estimators=200, random_state=_random_state(seed, "forest"), n_jobs=1
        )
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def _predict(
    values: FloatArray, y: NDArray[Any], folds: Folds, classifier: str, seed: int
) -> NDArray[Any]:
    predicted = np.empty_like(y)
    for train, test in folds:
        if len(np.unique(y[train])) < 2:
            # Permuted labels can leave a single class to learn: it is what anybody would guess.
            predicted[test] = y[train][0]
            continue
        model = _estimator(classifier, seed).fit(values[train], y[train])
        predicted[test] = model.predict(values[test])
    return predicted


def _summary(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    null: FloatArray,
    best: FloatArray,
    n_features: int,
    n_folds: int,
) -> Recognition:
    classes, rows = np.unique(truth, return_inverse=True)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (rows, np.searchsorted(classes, predicted)), 1)
    accuracy = float((truth == predicted).mean())
    m = len(null)
    return Recognition(
        accuracy=accuracy,
        balanced_accuracy=float((np.diag(confusion) / confusion.sum(axis=1)).mean()),
        chance=float(null.mean()) if m else float("nan"),
        p=float((1 + (null >= accuracy - 1e-12).sum()) / (1 + m)) if m else float("nan"),
        p_corrected=float((1 + (best >= accuracy - 1e-12).sum()) / (1 + m)) if m else float("nan"),
        null=null,
        classes=tuple(str(c) for c in classes),
        confusion=confusion,
        n_clips=len(truth),
        n_features=n_features,
        n_folds=n_folds,
    )
