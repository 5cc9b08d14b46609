"""Tables as text: one reader for what people's programs write, with a limit on what it unpacks."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_app.errors import InvalidInputError, MissingInputError
from bids_app.inputs.files import content_problem

if TYPE_CHECKING:
    import pandas as pd

# A day of ratings at 100 Hz has a tenth of it; a gzip file can unpack to a thousand times its size.
MAX_BYTES = 1 << 28


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Content of a text file, unpacked where it ends in ``.gz``; lines end in a line feed.

    Parameters
    ----------
    path : Path
    max_bytes : int
        Of the unpacked content.

    Raises
    ------
    MissingInputError
        If the content is not there or may not be read.
    InvalidInputError
        If it is not UTF-8, cannot be unpacked, or is larger than `max_bytes`.
    """
    path = Path(path)
    if problem := content_problem(path):
        raise MissingInputError(
            "A table cannot be read.", where=path, found=problem, remedy="fetch or repair the file"
        )
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            content = stream.read(max_bytes + 1)
        text = "" if len(content) > max_bytes else content.decode("utf-8-sig")
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
    if len(content) > max_bytes:
        raise InvalidInputError(
            "A table is larger than any table can be.",
            where=path,
            found=f"more than {max_bytes >> 20} MiB of text",
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


def read_frame(path: Path, *, sep: str = "\t", header: bool = True, **options: Any) -> pd.DataFrame:
    """Table as a frame; ``n/a`` is missing.

    Parameters
    ----------
    path : Path
    sep : str
        Between cells.
    header : bool
        Whether the first line names the columns; names lose the spaces around them.
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

    text = read_text(path)
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
