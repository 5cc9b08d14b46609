"""Music emotion recognition from files: features and labels in, one row per feature space out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bids_app.emotion import Recognition, recognize
from bids_app.emotion.recognition import Classifier
from bids_app.inputs.clips import match_clips, read_clip_features, read_clip_labels


def recognize_files(
    features: Path,
    labels: Path,
    *,
    classifier: Classifier = "svm",
    n_folds: int = 10,
    n_permutations: int = 200,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[dict[str, Recognition], list[dict[str, Any]], tuple[str, ...]]:
    """Classify clips from every feature space of a file.

    Parameters
    ----------
    features, labels : Path
        As for `read_clip_features` and `read_clip_labels`.
    classifier, n_folds, n_permutations, seed, progress
        As for `recognize`.

    Returns
    -------
    results : dict from feature space to Recognition
    rows : list of dict
        For a table: accuracy, chance level and p of each feature space.
    left_out : tuple of str
        Clips with features or a label only.
    """
    spaces, texts, groups, left_out = match_clips(
        read_clip_features(features), read_clip_labels(labels)
    )
    results = recognize(
        spaces,
        texts,
        classifier=classifier,
        n_folds=n_folds,
        n_permutations=n_permutations,
        groups=groups,
        seed=seed,
        progress=progress,
    )
    rows = [
        {
            "features": name,
            "classifier": classifier,
            "n_clips": found.n_clips,
            "n_features": found.n_features,
            "n_folds": found.n_folds,
            "accuracy": found.accuracy,
            "balanced_accuracy": found.balanced_accuracy,
            "chance": found.chance,
            "p": found.p,
            "p_corrected": found.p_corrected,
        }
        for name, found in results.items()
    ]
    return results, rows, left_out
