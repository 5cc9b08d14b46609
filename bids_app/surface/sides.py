"""Files of one hemisphere each, given as LEFT,RIGHT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bids_app.errors import BadDataError
from bids_app.loading import load_gifti
from bids_app.outputs import HEMISPHERES, SIDES_OF_WORDS, STRUCTURES

_PARTS = re.compile(r"[._-]")


def side_of_name(name: str) -> str | None:
    """Hemisphere that a file's name says.

    Parameters
    ----------
    name : str
        Of the file, without its folders.

    Returns
    -------
    "L", "R" or None
        None where the name says neither, or both.

    Examples
    --------
    >>> side_of_name("lh.aparc.annot"), side_of_name("tpl-fsaverage_hemi-R_desc-x.func.gii")
    ('L', 'R')
    >>> side_of_name("gradient.func.gii"), side_of_name("lh.made_from_rh.annot")
    (None, None)
    """
    # A small r alone is a correlation.
    words = [part if len(part) == 1 else part.lower() for part in _PARTS.split(name)]
    said = {SIDES_OF_WORDS[word] for word in words if word in SIDES_OF_WORDS}
    return said.pop() if len(said) == 1 else None


def check_sides(files: Sequence[Path], option: str) -> None:
    """Refuse files that are exchanged, and a file that is given for both hemispheres.

    What a GIFTI file says counts before its name.

    Parameters
    ----------
    files : sequence of two Path
        Left, then right; there and readable.
    option : str
        That takes them, for the error.

    Raises
    ------
    BadDataError
    """
    told = [_told(path) for path in files]
    sides = [side for side, _ in told]
    if any(side not in (None, own) for side, own in zip(sides, HEMISPHERES, strict=True)):
        raise BadDataError(
            "The hemispheres are exchanged in a pair of files.",
            where=f"{option} {','.join(map(str, files))}",
            found=", ".join(words for _, words in told),
            wanted="the left hemisphere, then the right one",
            remedy=f"give {option} LEFT,RIGHT",
        )
    left, right = files
    if left.samefile(right):
        raise BadDataError(
            "The same file is given for both hemispheres.",
            where=f"{option} {left}",
            found="one file twice",
            wanted="the left hemisphere, then the right one",
            remedy=f"give {option} LEFT,RIGHT",
        )


def _told(path: Path) -> tuple[str | None, str]:
    """Hemisphere of a file, and the words that say it."""
    if path.name.endswith(".gii"):
        image = load_gifti(path)
        # FreeSurfer writes it into the array.
        said = {one.meta.get("AnatomicalStructurePrimary") for one in (image, *image.darrays)}
        for side, known in STRUCTURES.items():
            if said - {None, ""} == {known}:
                return side, known
    return side_of_name(path.name), path.name
