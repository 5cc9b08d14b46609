"""Tables as text: one reader for what people's programs write, with a limit on what it unpacks."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import InvalidInputError
from bids_app.inputs.files import need_content

if TYPE_CHECKING:
    import pandas as pd

# A day of ratings at 100 Hz has a tenth of it; a gzip file can unpack to a thousand times its size.
MAX_BYTES = 1 << 28


_UNREAD = "A table cannot be read."
_REMEDY = "fetch or repair the file"


def read_text(path: Path, what: str = _UNREAD, remedy: str = _REMEDY) -> str:
    """Content of a text file, unpacked where it ends in ``.gz``; lines end in a line feed.

    Parameters
    ----------
    path : Path
    what, remedy : str
        Of the error where the content is not there.

    Raises
    ------
    MissingInputError
        If the content is not there or may not be read.
    InvalidInputError
        If it is not UTF-8, cannot be unpacked, or is larger than `MAX_BYTES`.
    """
    path = Path(path)
    need_content(path, what, remedy=remedy)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = "" if len(content) > MAX_BYTES else content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InvalidInputError(
            "A table is not UTF-8 text."
            if isinstance(error, UnicodeDecodeError)
            else "A table cannot be unpacked.",
            where=path,
            found=error,
            wanted="tab-separated UTF-8 text",
            remedy="save it as a tab-separated text file in UTF-8",
        ) from error
    if len(content) > MAX_BYTES:
        raise InvalidInputError(
            "A table is larger than any table can be.",
            where=path,
            found=f"more than {MAX_BYTES >> 20} MiB of text",
            remedy="see whether this is the right file",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_header(names: list[str], path: Path) -> None:
    """Refuse a header that names a column twice: which of them is meant is unknown.

    Raises
    ------
    InvalidInputError
    """
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise InvalidInputError(
            "A table names a column twice.",
            where=path,
            found=", ".join(repeated),
            wanted="every name once",
            remedy="remove or rename one of them",
        )


def read_tsv(
    path: Path, what: str = _UNREAD, remedy: str = _REMEDY
) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a tab-separated table, as text.

    Parameters
    ----------
    path, what, remedy
        As of `read_text`.

    Raises
    ------
    MissingInputError
        As of `read_text`.
    InvalidInputError
        Where it is no text or a row has more cells than the header.
    """
    # Cells have no quotes and no line breaks in BIDS, so there is nothing to parse.
    lines = [
        [cell.strip() for cell in line.split("\t")]
        for line in read_text(path, what, remedy).split("\n")
        if line.strip()
    ]
    if not lines:
        return [], []
    columns, *body = lines
    check_header(columns, path)
    for number, cells in enumerate(body, start=2):
        if any(cells[len(columns) :]):
            raise InvalidInputError(
                "A row of a table has more cells than the header.",
                where=f"{path}, line {number}",
                found=f"{len(cells)} cells",
                wanted=f"{len(columns)} tab-separated cells",
                remedy="correct the line",
            )
    width = len(columns)
    return columns, [dict(zip(columns, cells + [""] * width, strict=False)) for cells in body]


def read_frame(
    path: Path,
    *,
    sep: str = "\t",
    header: bool = True,
    what: str = _UNREAD,
    remedy: str = _REMEDY,
    **options: Any,
) -> pd.DataFrame:
    """Table as a frame; ``n/a`` is missing.

    Parameters
    ----------
    path : Path
    sep : str
        Between cells.
    header : bool
        Whether the first line names the columns; names lose the spaces around them.
    what, remedy : str
        As of `read_text`.
    **options
        Further options of `pandas.read_csv`.

    Raises
    ------
    MissingInputError
        If the content is not there.
    InvalidInputError
        If it is not such a table.
    """
    import pandas as pd

    text = read_text(path, what, remedy)
    first = next(csv.reader(io.StringIO(text.partition("\n")[0]), delimiter=sep), [])
    if header:
        check_header([name.strip() for name in first], path)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=sep,
            header=0 if header else None,
            na_values=["n/a"],
            index_col=False,
            **options,
        )
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            "A file is not a table.",
            where=path,
            found=error,
            wanted=f"{'tab' if sep == chr(9) else 'comma'}-separated text",
            remedy="correct the file",
        ) from error
    # Names that are nothing but space stay: they would all be the same.
    frame = frame.rename(columns=lambda name: (isinstance(name, str) and name.strip()) or name)
    if not frame.columns.is_unique:
        check_header([str(name) for name in frame.columns], path)
    return frame


def is_absent(cell: str | None) -> bool:
    """Whether a cell of `read_tsv` says that there is nothing."""
    return cell is None or cell.strip().lower() in ("", "n/a", "nan", "none")


def pick(columns: Iterable[object], names: Iterable[str]) -> str | None:
    """The column with the first of these names that there is, whatever its case."""
    by_name = {str(column).lower(): str(column) for column in reversed(list(columns))}
    return next((by_name[name] for name in names if name in by_name), None)


def numbers_of(frame: pd.DataFrame, column: str, source: Path) -> np.ndarray:
    """Column of a frame as float64, NaN where there is nothing.

    Raises
    ------
    InvalidInputError
        Where a cell is no finite number.
    """
    import pandas as pd

    cells = frame[column]
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    wrong = np.flatnonzero(~np.isfinite(numbers) & cells.notna().to_numpy())
    if wrong.size:
        raise InvalidInputError(
            f"The column {column} holds what is no number.",
            where=f"{source}, line {frame.index[wrong[0]] + 2}",
            found=f"{cells.iloc[wrong[0]]!r}" + (f" and {wrong.size - 1} more" * (wrong.size > 1)),
            wanted="numbers; n/a where there is none",
            remedy="correct the cells, or name other columns",
        )
    return numbers
