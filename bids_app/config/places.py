"""Folders of notes and of other music, as part of the names of feature spaces."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from bids_app.errors import UsageError

NOTES, EXPRESSION, TRANSCRIBED = "notes", "expression", "transcribed"
"""Names of the spaces in ``--features``; the second knows no other music, the third has no files of
notes."""
_BARE = re.compile(rf"^(?P<space>(?:change:)?(?:{NOTES}|{EXPRESSION}|{TRANSCRIBED}))(?=@|$)")

_RELATIVE = re.compile(r"^(?:change:|components[1-9][0-9]*:)?precomputed:(?=[^/])")


class Places(NamedTuple):
    """Where notes are looked for instead of beside the sound, and what music is known before.

    With `transcribe` they are not looked for, but guessed from the sound.
    """

    folder: Path | None = None
    corpus: Path | None = None
    transcribe: bool = False


def with_places(features: str, places: Places) -> str:
    """A feature space as in ``--features``, or with a layer as in ``--joint``, with its places.

    Examples
    --------
    >>> with_places("notes@stm", Places(Path("/a b")))
    'notes:dir=/a%20b@stm'
    >>> places_of("dir=/a%20b").folder.name
    'a b'
    >>> with_places("envelope", Places(Path("/a b"))), with_places("notes", Places())
    ('envelope', 'notes')
    >>> with_places("notes@stm", Places(transcribe=True))
    'transcribed@stm'
    """
    if places.transcribe:
        features = re.sub(rf"^((?:change:)?){NOTES}(?=@|$)", rf"\1{TRANSCRIBED}", features)
    space = features.removeprefix("change:")
    named = {} if space.startswith(TRANSCRIBED) else {"dir": places.folder}
    if not space.startswith(EXPRESSION):
        named["corpus"] = places.corpus
    told = [f"{name}={_quoted(str(path))}" for name, path in named.items() if path is not None]
    argument = "&".join(told)
    if not argument:
        return features
    return _BARE.sub(lambda found: f"{found['space']}:{argument}", features, count=1)


def rooted(features: str, folder: Path) -> str:
    """A feature space whose files do not depend on where a process runs.

    Examples
    --------
    >>> rooted("change:precomputed:pre@layer", Path("/data"))
    'change:precomputed:/data/pre@layer'
    >>> rooted("precomputed:/pre", Path("/data")), rooted("envelope", Path("/data"))
    ('precomputed:/pre', 'envelope')
    """
    return _RELATIVE.sub(lambda found: f"{found[0]}{folder}/", features)


def moved(features: str, places: Places) -> str:
    """A feature space whose places are others than those in its name, where there are any.

    Examples
    --------
    >>> moved("notes:dir=/old&corpus=/c", Places(Path("/new")))
    'notes:dir=/new&corpus=/c'
    >>> moved("notes:dir=/old", Places()), moved("envelope", Places(Path("/new")))
    ('notes:dir=/old', 'envelope')
    """
    space, notes, argument = features.partition(f"{NOTES}:")
    if not notes or space not in ("", "change:"):
        return with_places(features, places)
    known = places_of(argument)
    merged = Places(places.folder or known.folder, places.corpus or known.corpus)
    return with_places(f"{space}{NOTES}", merged)


# A path may hold every sign that separates spaces, layers and places.
def _quoted(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9/._-]", lambda c: "".join(f"%{b:02X}" for b in c[0].encode()), text)


def _unquoted(text: str) -> str:
    return re.sub(
        r"(?:%[0-9A-F]{2})+", lambda c: bytes.fromhex(c[0].replace("%", "")).decode(), text
    )


def places_of(argument: str) -> Places:
    """What `with_places` put behind ``notes:``.

    Raises
    ------
    UsageError
        It is something else.
    """
    parts = [part.partition("=") for part in argument.split("&") if part]
    told = {name: _unquoted(path) for name, _, path in parts}
    if set(told) - {"dir", "corpus"} or not all(told.values()):
        raise UsageError(
            "Notes have no such argument.",
            where="--features",
            found=f"{NOTES}:{argument}",
            wanted="notes, with --notes-dir FOLDER or --notes-corpus FOLDER where they are needed",
            remedy="give notes to --features, and the folder to --notes-dir",
        )
    folder, corpus = (Path(told[name]) if name in told else None for name in ("dir", "corpus"))
    return Places(folder, corpus)
