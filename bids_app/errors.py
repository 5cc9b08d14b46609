"""Every exception of the program: what is wrong, where, found, wanted, and what to do.

The exit codes follow the BIDS-Apps execution specification (BEP027).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bids_app.lookalikes import difference
from bids_app.plain import plain_lines

_LONGEST = 4000
# Remedies that many errors share.
FETCH = "correct the path, or fetch the content of the file"
FINITE = "fill in or leave out the values that are not finite (NaN, infinity)"
LEVEL_AGAIN = "run this level again"
LONGER = "leave this stimulus out or use a longer recording"
MORE_DRAWS = "give a larger number of draws, for example 200"
ONE_OF_THESE = "give one of the values that are wanted"
WRITABLE = "check that the folder is writable and the disk is not full"
WRITE_AGAIN = "write or fetch the file again"


class MusencError(Exception):
    """Base of all errors a user can cause or mend.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    where : str or None
        File, participant or argument concerned.
    found, wanted : str or None
        What was there and what was expected.
    remedy : str or None
        What to do about it.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        found: object = None,
        wanted: object = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.found = found
        self.wanted = wanted
        self.remedy = remedy
        # The full text is the only argument: so the exception survives pickling.
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [self.what]
        for label, value in (
            ("where", self.where),
            ("found", self.found),
            ("wanted", self.wanted),
            ("do this", self.remedy),
        ):
            if value is not None:
                lines.append(f"  {label}: {_short(plain_lines(value))}")
            if label == "wanted" and (differs := difference(str(self.found), str(self.wanted))):
                lines.append(f"  they look the same: {differs}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def told(self) -> str:
        """The text for the user, with the command that explains it."""
        if "\n" in self.what:
            return str(self)
        return f"{self}\n  more: musenc messages {anchor_of(self.what)}"


def anchor_of(what: str) -> str:
    """Name of a message for ``musenc messages``, and its anchor in the documentation.

    Examples
    --------
    >>> anchor_of("A stimulus has no onset.")
    'a-stimulus-has-no-onset'
    """
    return re.sub("[^a-z0-9]+", "-", what.lower()).strip("-")


def _short(text: str) -> str:
    """A text of a length that somebody reads."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"


class UsageError(MusencError, ValueError):
    """The command line contradicts itself or names an unknown option value."""

    exit_code = 2


class InvalidInputError(MusencError, ValueError):
    """The dataset is not what BIDS or fMRIPrep would have written."""

    exit_code = 16


class NothingSelectedError(MusencError, ValueError):
    """The filters left nothing to do."""

    exit_code = 18


class NoConditionsError(InvalidInputError):
    """Events of a run that name no conditions: it may have none."""


class BadDataError(MusencError, ValueError):
    """A file can be read, but its content cannot be used."""

    exit_code = 65


class TooFewError(BadDataError):
    """Nothing is wrong with the files, but an analysis needs more participants than there are."""


class MissingInputError(MusencError, FileNotFoundError):
    """A file or folder that is needed is not there."""

    exit_code = 66

    def __str__(self) -> str:
        return str(self.args[0])


class NoStimulusError(MissingInputError):
    """Nothing says which music was heard."""


class CannotWriteError(MusencError, OSError):
    """An output cannot be created."""

    exit_code = 73

    def __str__(self) -> str:
        return str(self.args[0])


class TryAgainError(MusencError, RuntimeError):
    """A lock is held or memory ran out: the same command may succeed later."""

    exit_code = 75


@contextmanager
def inside(place: str) -> Iterator[None]:
    """Errors of the block say in which place, before their own.

    Examples
    --------
    >>> with inside("layer fc1"):
    ...     raise UsageError("The penalties must be positive.", where="alphas")
    Traceback (most recent call last):
    bids_app.errors.UsageError: The penalties must be positive.
      where: layer fc1, alphas
    """
    try:
        yield
    except MusencError as error:
        raise type(error)(
            error.what,
            where=place if error.where is None else f"{place}, {error.where}",
            found=error.found,
            wanted=error.wanted,
            remedy=error.remedy,
        ) from error


@dataclass
class Problems:
    """Errors that are collected, to be reported together.

    Attributes
    ----------
    found : list of MusencError
        In the order in which they were met; each text once.

    Examples
    --------
    >>> problems = Problems()
    >>> with problems.collecting():
    ...     raise UsageError("No such gradient.")
    >>> with problems.collecting():
    ...     raise MissingInputError("No maps.")
    >>> problems.tell("The group level cannot begin.")
    Traceback (most recent call last):
    bids_app.errors.UsageError: The group level cannot begin: 2 problems.
      1. No such gradient.
         more: musenc messages no-such-gradient
      2. No maps.
         more: musenc messages no-maps
    """

    found: list[MusencError] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep an error of the block instead of raising it; what follows it there is not done."""
        try:
            yield
        except MusencError as error:
            if str(error) not in map(str, self.found):
                self.found.append(error)

    def tell(self, what: str) -> None:
        """Raise what was found: one error as it is, several as one.

        It is of the kind of the first, or a `UsageError` where there is one among them.

        Raises
        ------
        MusencError
        """
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            texts = [
                f"  {number}. " + error.told.replace("\n", "\n   ")
                for number, error in enumerate(self.found, start=1)
            ]
            first = f"{what.rstrip('.')}: {len(self.found)} problems."
            usage = [error for error in self.found if isinstance(error, UsageError)]
            raise type((usage or self.found)[0])("\n".join([first, *texts]))


def check_shape(name: str, array: Any, *wanted: int | str) -> None:
    """Raise BadDataError unless an array, or the length of a sequence, is as wanted.

    Parameters
    ----------
    name : str
        The argument, to be named in the error.
    array : array or sequence
    wanted : int or str
        Length of every axis; a word stands for any length but zero.
    """
    found = array.shape if hasattr(array, "shape") else (len(array),)
    fits = [n > 0 if isinstance(w, str) else n == w for n, w in zip(found, wanted, strict=False)]
    if len(found) != len(wanted) or not all(fits):
        raise BadDataError(
            "An array does not have the shape that is needed.",
            where=name,
            found=f"shape {tuple(found)}",
            wanted=f"({', '.join(map(str, wanted))}{',' if len(wanted) == 1 else ''})",
            remedy="give it in that shape: transpose it, or cut arrays of one study to the same "
            "length",
        )


def reason_of(error: MusencError) -> str:
    """An error in one line, for tables and logs."""
    parts = (error.what, error.where, error.found)
    return " ".join(_short(plain_lines(part)) for part in parts if part)
