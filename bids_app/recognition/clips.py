"""Features and emotion labels of short clips, for music emotion recognition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError
from bids_app.files import reading
from bids_app.inputs.files import need_content
from bids_app.inputs.tables import numbers_of, pick, read_frame
from bids_app.loading import load_arrays
from bids_app.plain import some_of

if TYPE_CHECKING:
    import pandas as pd

CLIP_COLUMNS = ("clip", "stim_file", "stimulus", "file")
LABEL_COLUMNS = ("label", "quadrant", "emotion")
GROUP_COLUMNS = ("group", "song", "artist")
_UNREAD = "A file about clips cannot be read."


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """Feature spaces of clips.

    Attributes
    ----------
    clips : tuple of n_clips str
        File names without folder and ending.
    spaces : mapping from name to ndarray of shape (n_clips, n_features)
        Such as one entry per layer.
    """

    clips: tuple[str, ...]
    spaces: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ClipLabel:
    """What a clip expresses, and what it must not be separated from."""

    label: str
    group: str | None = None


def read_clip_features(path: Path) -> ClipFeatures:
    """Read features of clips.

    Parameters
    ----------
    path : Path
        ``.npz`` with an array ``clips`` (names) and one (n_clips, n_features) array per feature
        space, or a table (``.tsv``, ``.csv``) with a column ``clip`` and one per feature; columns
        called ``layer:feature`` make up the feature space ``layer``. For the folder of ``musenc
        features`` see `clip_folders.read_clip_folder`.

    Returns
    -------
    ClipFeatures

    Raises
    ------
    MissingInputError
        If the file is not there.
    InvalidInputError
        If it has no clips or features, a clip is there twice, or a cell is no number.
    """
    path = Path(path)
    if path.suffix == ".npz":
        need_content(path, _UNREAD)
        arrays = _read_arrays(path)
        names = _texts(arrays.pop("clips", np.empty(0, dtype=str)))
        spaces = {name: np.atleast_2d(a.T).T for name, a in arrays.items()}
        for name, values in spaces.items():
            _check_numbers(values, name, path)
    else:
        frame = _read_table(path)
        column = pick(frame.columns, CLIP_COLUMNS)
        names = np.array(frame[column].fillna("") if column else [], dtype=str)
        features = [str(name) for name in frame.columns if name != column]
        spaces = {}
        for space in dict.fromkeys(_space_of(name) for name in features):
            own = [numbers_of(frame, name, path) for name in features if _space_of(name) == space]
            spaces[space] = np.stack(own, axis=1)
    clips = tuple(clip_name(name) for name in names.tolist())
    wrong = [name for name, a in spaces.items() if a.ndim != 2 or len(a) != len(clips)]
    if not clips or not spaces or wrong or len(set(clips)) < len(clips):
        raise InvalidInputError(
            "The features of clips cannot be used.",
            where=path,
            found=f"{len(clips)} clips ({len(set(clips))} different); feature spaces: "
            + (", ".join(f"{k} {v.shape}" for k, v in list(spaces.items())[:30]) or "none"),
            wanted="names of clips, each once, and one row of features for each",
            remedy="write the features of all clips in one call of `musenc features`",
        )
    return ClipFeatures(clips, spaces)


def read_clip_labels(path: Path) -> dict[str, ClipLabel]:
    """Read the emotion of clips.

    Parameters
    ----------
    path : Path
        Table with a column ``clip`` and a column ``label``, or ``valence`` and ``arousal`` around
        their neutral point 0, which make quadrants Q1 (+, +), Q2 (-, +), Q3 (-, -), Q4 (+, -).
        Clips with the same ``group`` (or ``song``, ``artist``) are kept together.

    Returns
    -------
    dict from clip to ClipLabel

    Raises
    ------
    MissingInputError
        If the file is not there.
    InvalidInputError
        If a column is missing (those there are listed), or a clip is there twice.
    """
    path = Path(path)
    frame = _read_table(path)
    clip, label = pick(frame.columns, CLIP_COLUMNS), pick(frame.columns, LABEL_COLUMNS)
    group = pick(frame.columns, GROUP_COLUMNS)
    plane = [pick(frame.columns, [name]) for name in ("valence", "arousal")]
    if clip is None or (label is None and None in plane):
        raise InvalidInputError(
            "A table of labels lacks a column.",
            where=path,
            found=", ".join(map(str, frame.columns)) or "an empty file",
            wanted="clip, and label or valence and arousal",
            remedy="add or rename columns",
        )
    if label is None:
        pairs = zip(*(numbers_of(frame, str(name), path) for name in plane), strict=True)
        frame[label := "label"] = [quadrant(*pair) for pair in pairs]
    result: dict[str, ClipLabel] = {}
    for _, row in frame[frame[label].notna()].iterrows():
        name = clip_name(str(row[clip]))
        if name in result:
            raise InvalidInputError(
                "A clip has two labels.",
                where=path,
                found=name,
                wanted="one line per clip",
                remedy="remove one of the lines",
            )
        result[name] = ClipLabel(row[label], row[group] if group else None)
    return result


def match_clips(
    features: ClipFeatures, labels: Mapping[str, ClipLabel]
) -> tuple[dict[str, np.ndarray], list[str], list[str] | None, tuple[str, ...]]:
    """Clips that have both features and a label.

    Returns
    -------
    spaces : dict from name to ndarray of shape (n_clips, n_features)
    texts : list of n_clips str
        Labels.
    groups : list of n_clips str, or None
        None where no clip has one.
    left_out : tuple of str
        Clips with only one of both.

    Raises
    ------
    BadDataError
        If there is none.
    """
    rows = [k for k, clip in enumerate(features.clips) if clip in labels]
    chosen = [labels[features.clips[k]] for k in rows]
    both = {features.clips[k] for k in rows}
    left_out = tuple(sorted((set(features.clips) | set(labels)) - both))
    if not rows:
        raise BadDataError(
            "No clip has both features and a label.",
            found=f"features of {some_of(features.clips)}; labels of {some_of(labels)}",
            wanted="the same names in both files",
            remedy="name the clips in the table of labels as their audio files",
        )
    grouped = any(item.group is not None for item in chosen)
    groups = [item.group or features.clips[k] for item, k in zip(chosen, rows, strict=True)]
    spaces = {name: values[rows] for name, values in features.spaces.items()}
    return spaces, [item.label for item in chosen], groups if grouped else None, left_out


def clip_name(text: str) -> str:
    """File name without folder and ending."""
    return Path(text.strip()).stem


def _space_of(column: str) -> str:
    space, colon, _ = column.partition(":")
    return space if colon else "features"


def quadrant(valence: float, arousal: float) -> str | None:
    """Quadrant of the circumplex; the neutral point 0 counts as positive."""
    if not np.isfinite([valence, arousal]).all():
        return None
    if arousal >= 0:
        return "Q1" if valence >= 0 else "Q2"
    return "Q4" if valence >= 0 else "Q3"


def _read_table(path: Path) -> pd.DataFrame:
    frame = read_frame(path, sep="," if path.suffix == ".csv" else "\t", dtype=str, what=_UNREAD)
    return frame.apply(lambda cells: cells.str.strip()).astype(object).where(frame.notna(), None)


def _texts(names: np.ndarray) -> np.ndarray:
    """Names as texts, also those that are bytes, numbers, or a column."""
    return np.array([n.decode() if isinstance(n, bytes) else str(n) for n in names.ravel()], str)


def _check_numbers(values: np.ndarray, name: str, path: Path) -> None:
    if values.dtype.kind not in "fiub":
        raise InvalidInputError(
            "The features of clips cannot be used.",
            where=path,
            found=f"{name}: values of the type {values.dtype}",
            wanted="real numbers",
            remedy="save the features as an array of floats, clips x features",
        )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    what, wanted = "A file of arrays cannot be read.", "an .npz file without Python objects"
    with reading(path, what, wanted=wanted, kind=InvalidInputError):
        return load_arrays(path)
