"""Music emotion recognition from files: features and labels in, one row per feature space out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app import __version__
from bids_app.analyses.folder.write import described, write_rows
from bids_app.files import write_json
from bids_app.outputs import sidecar_of
from bids_app.recognition.classify import Classifier, Recognition, recognize
from bids_app.recognition.clip_folders import read_clip_folder
from bids_app.recognition.clips import match_clips, read_clip_features, read_clip_labels


def recognize_files(
    features: Path,
    labels: Path,
    *,
    classifier: Classifier = "svm",
    n_folds: int = 10,
    n_permutations: int = 200,
    seed: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[dict[str, Recognition], list[dict[str, Any]], tuple[str, ...]]:
    """Classify clips from every feature space of a file.

    Parameters
    ----------
    features : Path
        As for `read_clip_features`, or a folder as for `read_clip_folder`.
    labels : Path
        As for `read_clip_labels`.
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
    read = read_clip_folder if Path(features).is_dir() else read_clip_features
    spaces, texts, groups, left_out = match_clips(read(features), read_clip_labels(labels))
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
            **{column: getattr(found, column) for column in list(COLUMNS)[2:]},
        }
        for name, found in results.items()
    ]
    return results, rows, left_out


COLUMNS = {
    "features": "layer or feature space",
    "classifier": "svm: support vectors, radial kernel, C = 1; forest: 200 trees; logistic",
    "n_clips": "clips with features and a label",
    "n_features": "features per clip",
    "n_folds": "folds of the cross-validation",
    "accuracy": "share of held-out clips whose class is predicted",
    "balanced_accuracy": "mean of that share over classes",
    "chance": "mean accuracy with permuted labels",
    "p": "share of permutations that reach the accuracy, (1 + b) / (1 + m)",
    "p_corrected": "the same for the best of all feature spaces: corrected for their number",
}


def write_recognition(
    folder: Path,
    results: Mapping[str, Recognition],
    rows: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    left_out: Sequence[str],
) -> list[Path]:
    """Write ``recognition.tsv`` and ``recognition.json``.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    results, rows, left_out
        From `recognize_files`.
    settings : mapping
        Of the call.

    Returns
    -------
    list of Path

    Raises
    ------
    CannotWriteError
        If the folder cannot be written.
    """
    table = write_rows(Path(folder) / "recognition.tsv", rows)
    about = {
        **described(COLUMNS),
        "Settings": dict(settings),
        "ClipsLeftOut": list(left_out),
        "Confusion": {
            name: {"Classes": found.classes, "TrueByPredicted": found.confusion}
            for name, found in results.items()
        },
        "SoftwareVersion": __version__,
    }
    return [table, write_json(sidecar_of(table), about)]
