"""Other music that listeners know: a folder of the user's, or chorales among the resources."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.config.places import places_of
from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.events import N_CHORDS, N_PITCHES, events_of
from bids_app.features.symbols import SymbolModel
from bids_app.features.wheels import check_wheel, write_variables
from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.notes import Notes, notes_in, notes_of_score, read_notes
from bids_app.loading import load_arrays, load_score
from bids_app.resources import chorales_file

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ORDER_BOUND = 5
"""Longest context of the models of melody and chords."""
CHORALES = "365 four-part chorales of J. S. Bach, as music21 10.5.1 has them"
"""In sidecars and methods."""
WHEEL = "music21-10.5.1-py3-none-any.whl"
WHEEL_SHA256 = "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1"

_MODELS = {"melody": N_PITCHES, "chords": N_CHORDS}
_N_PARTS = 4


@dataclass(frozen=True, eq=False)
class LongTerm:
    """What is known of other music.

    Attributes
    ----------
    melody, chords : SymbolModel
    n_pieces : int
    """

    melody: SymbolModel
    chords: SymbolModel
    n_pieces: int


def learn(pieces: Iterable[Notes]) -> LongTerm:
    """Models of the melodies and chords of pieces.

    Parameters
    ----------
    pieces : iterable of Notes

    Returns
    -------
    LongTerm
    """
    sung = SymbolModel(N_PITCHES, order_bound=ORDER_BOUND)
    struck = SymbolModel(N_CHORDS, order_bound=ORDER_BOUND)
    n_pieces = 0
    for notes in pieces:
        n_pieces += 1
        for model, events in zip((sung, struck), events_of(notes), strict=True):
            model.learn(events.symbol.tolist())
    return LongTerm(sung, struck, n_pieces)


def known_music(argument: str) -> LongTerm | None:
    """Models of other music: that of ``--notes-corpus``, else the chorales, if installed.

    Parameters
    ----------
    argument : str
        Of the feature space.

    Returns
    -------
    LongTerm or None

    Raises
    ------
    MissingInputError, InvalidInputError, BadDataError
        The folder is not there, or holds what cannot be read; counts that are damaged.
    """
    corpus = places_of(argument).corpus
    if corpus is not None:
        return _learned(corpus, corpus_identity(argument))
    path = chorales_file()
    return _counted(path, sha256_of_file(path)) if path.is_file() else None


@lru_cache(maxsize=2)
def _learned(folder: Path, identity: str) -> LongTerm:
    return learn(read_notes(path) for path in notes_in(folder))


@lru_cache(maxsize=1)
def _counted(path: Path, identity: str) -> LongTerm:
    try:
        arrays = load_arrays(path)
        sung, struck = (
            SymbolModel.of_counts(size, arrays[f"{name}_grams"], arrays[f"{name}_counts"])
            for name, size in _MODELS.items()
        )
        return LongTerm(sung, struck, int(arrays["n_pieces"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadDataError(
            "The counts of the chorales cannot be read.",
            where=path,
            found=f"{type(error).__name__}: {error}",
            wanted="the file that `musenc prefetch corpus` brings",
            remedy="delete the file and run `musenc prefetch corpus`",
        ) from error


def knows_music(argument: str) -> bool:
    """Whether there is other music, without reading it."""
    return places_of(argument).corpus is not None or chorales_file().is_file()


def corpus_name(argument: str) -> str:
    """Name of the music of `musenc prefetch corpus`; empty where another or none is used."""
    if places_of(argument).corpus is not None or not chorales_file().is_file():
        return ""
    return CHORALES


def corpus_identity(argument: str) -> str:
    """Checksum of the files of the other music; empty without any."""
    corpus = places_of(argument).corpus
    if corpus is None:
        path = chorales_file()
        return sha256_of_file(path) if path.is_file() else ""
    if not corpus.is_dir():
        raise MissingInputError(
            "The folder of music that listeners know is not there.",
            where=corpus,
            found="no folder",
            wanted="a folder of MIDI files, MusicXML scores or tables of notes",
            remedy="give another one with --notes-corpus",
        )
    files = [sha256_of_file(path) for path in notes_in(corpus)]
    return sha256_of(json.dumps(sorted(files)))


def unpack_chorales(wheel: Path) -> None:
    """Count the n-grams of the chorales in music21's wheel, and store the counts.

    The wheel is read as an archive and not installed. None of its code is run, and its scores are
    not stored.

    Raises
    ------
    BadDataError
        Not the wheel, by its checksum.
    CannotWriteError
        The folder of resources cannot be written.
    """
    check_wheel(wheel, WHEEL, WHEEL_SHA256)
    known = learn(notes_of_score(root, path) for path, root in chorales(wheel))
    arrays = {"n_pieces": np.array(known.n_pieces)}
    for name in _MODELS:
        model: SymbolModel = getattr(known, name)
        arrays[f"{name}_grams"], arrays[f"{name}_counts"] = model.counts()
    write_variables(chorales_file(), arrays)


def chorales(wheel: Path) -> Iterator[tuple[Path, Element]]:
    """Scores of Bach in four parts, by name."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            path = Path(name)
            if path.parent == Path("music21/corpus/bach") and path.suffix in (".mxl", ".xml"):
                root = load_score(archive.read(name))
                if sum(1 for _ in root.iter("part")) == _N_PARTS:
                    yield path, root
