"""The reader of text tables, with a limit on unpacked size."""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError
from bids_app.inputs.files import need_content
from bids_app.plain import some_of

if TYPE_CHECKING:
    import pandas as pd

# A day of ratings at 100 Hz has a tenth of it; a gzip file can unpack to a thousand times its size.
MAX_BYTES = 1 << 28
# Units of a layer, one per column.
MOST_COLUMNS = 1 << 19


# The csv module would refuse cells of more than 128 kB.
csv.field_size_limit(MAX_BYTES)
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
        _refuse_nul(content)
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


def _refuse_nul(content: bytes) -> None:
    """UTF-16 without a mark is valid UTF-8, with a NUL beside every letter."""
    place = content.find(b"\0")
    if place >= 0:
        raise UnicodeDecodeError("utf-8", content, place, place + 1, "NUL, as in UTF-16 or no text")


def check_header(names: list[str], path: Path) -> None:
    """Refuse a header that names a column twice: which of them is meant is unknown.

    Raises
    ------
    InvalidInputError
    """
    if len(names) > MOST_COLUMNS:
        raise InvalidInputError(
            "A table has more columns than any table can have.",
            where=path,
            found=f"{len(names):,} columns",
            wanted=f"at most {MOST_COLUMNS:,}",
            remedy="see whether this is the right file, and whether rows and columns are exchanged",
        )
    counts = Counter(names)
    repeated = sorted(name for name, count in counts.items() if name and count > 1)
    if repeated:
        raise InvalidInputError(
            "A table names a column twice.",
            where=path,
            found=", ".join(repeated),
            wanted="every name once",
            remedy="remove or rename one of them",
        )


def read_rows(
    path: Path,
    *,
    sep: str = "\t",
    header: bool = True,
    quotes: bool = True,
    what: str = _UNREAD,
    remedy: str = _REMEDY,
) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of the columns, cells as text, and the line of each row: what every reader rests on.

    Parameters
    ----------
    path : Path
    sep : str
        Between cells.
    header : bool
        Whether the first line names the columns.
    quotes : bool
        Whether cells may stand in quotes; BIDS tables have none.
    what, remedy : str
        As of `read_text`.

    Returns
    -------
    names : list of str
        Without the spaces around them; empty where there is no header.
    rows : list of list of str
        As many cells as there are names; lines without any cell are left out.
    lines : list of int
        Their numbers in the file, from 1.

    Raises
    ------
    MissingInputError
        As of `read_text`.
    InvalidInputError
        Where it is no text, a row has more cells than the header or only some of its cells, cells
        are separated by something else, or a name is there twice.
    """
    text = read_text(path, what, remedy)
    reader = csv.reader(
        io.StringIO(text),
        delimiter=sep,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    names: list[str] | None = None if header else []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped):
                continue
            if names is None:
                names = stripped
                _check_separator(text, names, sep, path, quotes=quotes)
                check_header(names, path)
                continue
            rows.append(stripped)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InvalidInputError(
            "A file is not a table.",
            where=f"{path}, line {reader.line_num}",
            found=error,
            wanted=f"{_named(sep)}-separated text",
            remedy="correct the file",
        ) from error
    names = names or []
    _check_widths(names, rows, lines, path, header=header)
    return names, rows, lines


_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


def _named(sep: str) -> str:
    return _SEPARATORS.get(sep, repr(sep))


def _check_separator(text: str, names: list[str], sep: str, path: Path, *, quotes: bool) -> None:
    """Refuse a table whose cells are separated otherwise, or quoted where no quotes may be."""
    first, _, rest = text.strip("\n").partition("\n")
    second = rest.lstrip("\n").partition("\n")[0]
    found = ""
    if len(names) == 1:
        others = [other for other in _SEPARATORS if other != sep and other in first]
        words = len(first.split())
        if others:
            found = f"one column called {first!r}; its names are separated by {_named(others[0])}s"
        elif words > 1 and len(second.split()) == words and sep not in second:
            found = f"one column called {first!r}; its names are separated by spaces"
    if not found and not quotes and any(_quoted(name) for name in names):
        found = f"names in quotes: {some_of(names, 4)}"
    if found:
        raise InvalidInputError(
            "The columns of a table are separated in another way than they should be.",
            where=f"{path}, line 1",
            found=found,
            wanted=f"names separated by {_named(sep)}s" + ("" if quotes else ", without quotes"),
            remedy=f"save the table as {_named(sep)}-separated text"
            + ("" if quotes else " without quotes (in R, write.table(..., quote = FALSE))"),
        )


def _quoted(name: str) -> bool:
    return len(name) > 1 and name[0] == name[-1] and name[0] in "\"'"


def _check_widths(
    names: list[str], rows: list[list[str]], lines: list[int], path: Path, *, header: bool
) -> None:
    """Bring all rows to the width of the header, or refuse those that cannot be.

    Cells that lack at the end are empty ones: spreadsheets leave them out.
    """
    width = len(names) if header else max(map(len, rows), default=0)
    longer = [k for k, cells in enumerate(rows) if len(cells) > width]
    named = all(any(cells[width:]) for cells in rows) or _counts(rows)
    if header and longer and (named or any(any(rows[k][width:]) for k in longer)):
        k = next((k for k in longer if any(rows[k][width:])), longer[0])
        everywhere = any(names[1:]) and all(len(cells) == width + 1 for cells in rows)
        raise InvalidInputError(
            "A row of a table has more cells than the header.",
            where=f"{path}, line {lines[k]}",
            found=f"{len(rows[k])} cells, the first {rows[k][0]!r}"
            + (f"; so have all {len(rows)} rows" if everywhere else "")
            + ("" if any(names[1:]) else f"; the header is {names[0]!r}"),
            wanted=f"{width} cells, as the header has",
            remedy="save the table without row names (in R, write.table(..., row.names = FALSE)): "
            "with them every column would be taken for its neighbor"
            if everywhere
            else "correct the line",
        )
    if not header and len({len(cells) for cells in rows}) > 1:
        k = next(k for k, cells in enumerate(rows) if len(cells) != len(rows[0]))
        raise InvalidInputError(
            "The rows of a table differ in their number of cells.",
            where=f"{path}, line {lines[k]}",
            found=f"{len(rows[k])} cells",
            wanted=f"{len(rows[0])} cells, as line {lines[0]} has",
            remedy="correct the line",
        )
    if header and rows and names[-1] and all(len(cells) < width for cells in rows):
        raise InvalidInputError(
            "Every row of a table has fewer cells than the header.",
            where=f"{path}, line {lines[0]}",
            found=f"{len(rows[0])} cells, the first {rows[0][0]!r}",
            wanted=f"{width} cells, the first of them {names[0]!r}",
            remedy="write n/a where there is nothing, or take the name of no column out",
        )
    for cells in rows:
        del cells[width:]
        cells += [""] * (width - len(cells))


def _counts(rows: list[list[str]]) -> bool:
    """Whether the first cells are the numbers of the rows."""
    first = [cells[0] for cells in rows]
    return len(first) > 1 and any(
        first == [str(k) for k in range(start, start + len(first))] for start in (0, 1)
    )


class TableRow(dict[str, str]):
    """Cells of a row by their columns.

    Attributes
    ----------
    line : int
        Number of the row in the file, from 1.
    """

    def __init__(self, columns: Iterable[str], cells: Iterable[str], line: int) -> None:
        super().__init__(zip(columns, cells, strict=True))
        self.line = line


def read_tsv(
    path: Path, what: str = _UNREAD, remedy: str = _REMEDY
) -> tuple[list[str], list[TableRow]]:
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
        As of `read_rows`.
    """
    columns, rows, lines = read_rows(path, quotes=False, what=what, remedy=remedy)
    numbered = zip(rows, lines, strict=True)
    return columns, [TableRow(columns, cells, line) for cells, line in numbered]


def read_frame(
    path: Path,
    *,
    sep: str = "\t",
    header: bool = True,
    labels: Iterable[str] = (),
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
    labels : iterable of str
        Columns, whatever their case, whose cells are labels: text, missing only as `is_absent` says
        of a label.
    what, remedy : str
        As of `read_text`.
    **options
        Further options of `pandas.read_csv`.

    Raises
    ------
    MissingInputError
        If the content is not there.
    InvalidInputError
        As of `read_rows`, and where the library that reads numbers finds anything odd.
    """
    import pandas as pd

    names, rows, _ = read_rows(path, sep=sep, header=header, what=what, remedy=remedy)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows] if names else rows)
    text.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = pd.read_csv(
                text,
                header=0 if header else None,
                na_values=["n/a"],
                index_col=False,
                low_memory=False,
                **options,
            )
    except (ValueError, OverflowError, Warning) as error:
        raise InvalidInputError(
            "A file is not a table.",
            where=path,
            found=error,
            wanted=f"{_named(sep)}-separated text",
            remedy="correct the file",
        ) from error
    meant = {name.lower() for name in labels}
    for k, name in enumerate(names):
        if name.lower() in meant:
            cells = [None if is_absent(row[k], label=True) else row[k] for row in rows]
            frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    return frame


def is_absent(cell: str | None, *, label: bool = False, name: bool = False) -> bool:
    """Whether a cell of `read_tsv` says that there is nothing.

    ``NA`` of R does, but not where it may be a `label`: somebody may be called so. The `name` of a
    condition may be ``none`` or ``null``.
    """
    if name:
        return cell is None or cell.strip().lower() in ("", "n/a", "na")
    nothing = ("", "n/a", "nan", "none", *(() if label else ("na", "<na>", "null")))
    return cell is None or cell.strip().lower() in nothing


def number_of(cell: str) -> float:
    """The number that a cell is; NaN where it is none, such as ``1_0``, which Python takes."""
    try:
        return float("nan") if "_" in cell else float(cell)
    except ValueError:
        return float("nan")


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
            "A column holds what is no number.",
            where=f"{source}, column {column}, line {frame.index[wrong[0]] + 2}",
            found=some_of((repr(text) for text in cells.iloc[wrong]), 1),
            wanted="numbers, with a decimal point; n/a where there is none",
            remedy="correct the cells, or name other columns",
        )
    return numbers


def read_columns(path: Path, what: str) -> pd.DataFrame:
    """Table of nothing but numbers, as a frame; columns may be ``n/a`` throughout.

    Parameters
    ----------
    path : Path
    what : str
        As of `read_text`.

    Raises
    ------
    BadDataError
        If a column holds text.
    MissingInputError, InvalidInputError
        As `read_frame`.
    """
    frame = read_frame(path, what=what)
    text = [
        str(name)
        for name in frame
        if frame[name].dtype.kind not in "if" and not frame[name].isna().all()
    ]
    if text:
        raise BadDataError(
            what,
            where=path,
            found=f"text in {some_of(text, 4)}",
            wanted="numbers, with a decimal point",
            remedy="write the table again from its source",
        )
    return frame
