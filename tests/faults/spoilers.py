"""Ways in which any file can be broken."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fault_study import put


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    put(path, b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at-all")


def link_loop(path: Path) -> None:
    path.unlink()
    other = path.with_name("loop-" + path.name)
    other.symlink_to(path.name)
    path.symlink_to(other.name)


def annexed(path: Path) -> None:
    path.unlink()
    path.symlink_to(f"../../.git/annex/objects/Xx/Yy/MD5E-s1--0/{path.name}")


def lfs_pointer(path: Path) -> None:
    put(path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


def truncated(path: Path) -> None:
    content = path.read_bytes()
    put(path, content[: len(content) * 2 // 3])


def one_bit(path: Path) -> None:
    """What a disk or a transfer does: one bit in the middle, in a digit of JSON."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    if path.suffix == ".json":
        place = next(k for k in range(place, len(content)) if chr(content[k]).isalnum())
    content[place] ^= 1
    put(path, bytes(content))


def garbled(path: Path) -> None:
    put(path, np.random.default_rng(3).bytes(4096))


def zeros(path: Path) -> None:
    put(path, bytes(4096))


def prose(path: Path) -> None:
    put(path, "The quick brown fox jumps over the lazy dog.\n" * 60)


def web_page(path: Path) -> None:
    """What a download without permission leaves."""
    put(path, "<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>\n" * 20)


def unreadable(path: Path) -> None:
    content = path.read_bytes()
    put(path, content)
    path.chmod(0)


def pipe(path: Path) -> None:
    """Opening a named pipe waits for ever."""
    path.unlink()
    os.mkfifo(path)


SPOILERS: dict[str, Callable[[Path], None]] = {
    spoil.__name__: spoil
    for spoil in (
        missing, empty, folder, broken_link, link_loop, annexed, lfs_pointer, truncated, garbled,
        zeros, prose, web_page, unreadable, pipe,
    )
}  # fmt: skip


def replace(old: str, new: str) -> Callable[[Path], None]:
    """Edit a text file; the old text must be there."""

    def spoil(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path.name}"
        put(path, text.replace(old, new))

    return spoil


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Edit a table line by line."""

    def spoil(path: Path) -> None:
        put(path, "\n".join(change(path.read_text(encoding="utf-8").splitlines())) + "\n")

    return spoil


def cell(row: int, column: str, value: str) -> Callable[[Path], None]:
    """Change one cell of a table; row 1 is the first below the header."""

    def change(rows: list[str]) -> list[str]:
        cells = [line.split("\t") for line in rows]
        cells[row][cells[0].index(column)] = value
        return ["\t".join(line) for line in cells]

    return lines(change)


def column(name: str, value: str) -> Callable[[Path], None]:
    """Fill a column of a table, made where it is not there."""

    def change(rows: list[str]) -> list[str]:
        cells = [line.split("\t") for line in rows]
        if name not in cells[0]:
            cells = [[*cells[0], name]] + [[*line, ""] for line in cells[1:]]
        place = cells[0].index(name)
        for line in cells[1:]:
            line[place] = value
        return ["\t".join(line) for line in cells]

    return lines(change)


def renamed_column(old: str, new: str) -> Callable[[Path], None]:
    def change(rows: list[str]) -> list[str]:
        header = rows[0].split("\t")
        header[header.index(old)] = new
        return ["\t".join(header), *rows[1:]]

    return lines(change)


def content(value: bytes | str) -> Callable[[Path], None]:
    return lambda path: put(path, value)


def recoded(encoding: str) -> Callable[[Path], None]:
    return lambda path: put(path, path.read_text(encoding="utf-8").encode(encoding))


def crlf(path: Path) -> None:
    put(path, path.read_bytes().replace(b"\n", b"\r\n"))


def old_mac(path: Path) -> None:
    put(path, path.read_bytes().replace(b"\n", b"\r"))


def no_last_newline(path: Path) -> None:
    put(path, path.read_bytes().rstrip(b"\n"))


def blank_lines_at_the_end(path: Path) -> None:
    put(path, path.read_bytes() + b"\n\n\n")


def gzip_bomb(n_bytes: int) -> Callable[[Path], None]:
    """Many lines of `0` in a small file."""

    def spoil(path: Path) -> None:
        path.unlink()
        chunk = b"0\n" * (1 << 20)
        with gzip.open(path, "wb", compresslevel=9) as stream:
            for _ in range(n_bytes // len(chunk)):
                stream.write(chunk)

    return spoil


def copied_to(name: str) -> Callable[[Path], None]:
    """A second file beside it, under another name."""
    return lambda path: shutil.copy(path, path.with_name(name)) and None
