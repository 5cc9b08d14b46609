"""What a case is, and the cases that are the same for every kind of file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fault_study import Study
from spoilers import SPOILERS

# How a file without content is spoken of, wherever its content is looked at.
GONE = {
    "empty": "empty file",
    "folder": "not a file",
    "broken_link": "broken link",
    "link_loop": "broken link",
    "annexed": "datalad get",
    "lfs_pointer": "git lfs pull",
    "unreadable": "no permission to read",
    "pipe": "not a file",
}
CONTENT = ("truncated", "garbled", "zeros", "prose", "web_page")


@dataclass(frozen=True)
class Case:
    """One broken dataset.

    Attributes
    ----------
    name : str
    spoil : callable
        Breaks a copy of the study.
    code : int
        Exit code it must give.
    says : tuple of str
        What the user must be told.
    route : str
        What is run; see `fault_study.ROUTES`.
    options : tuple of str
        Command line; ``{table}`` stands for that file of the study.
    same : bool
        Whether the outcome must be that of the intact study, word for word.
    names : str
        The file whose name must be told, as the study calls it.
    """

    name: str
    spoil: Callable[[Study], object]
    code: int
    says: tuple[str, ...] = ()
    route: str = "plan"
    options: tuple[str, ...] = ()
    same: bool = False
    names: str = ""


def at(attribute: str, spoil: Callable[[Path], object]) -> Callable[[Study], object]:
    """Break the file a study has under this name."""
    return lambda study: spoil(getattr(study, attribute))


def file_case(
    name: str,
    attribute: str,
    spoil: Callable[[Path], object],
    code: int,
    *says: str,
    named: bool = True,
    route: str = "plan",
    options: tuple[str, ...] = (),
) -> Case:
    """A case about one file, which must be named."""
    told = attribute if named and code else ""
    return Case(f"{attribute}-{name}", at(attribute, spoil), code, says, route, options, names=told)


def accepted(
    name: str,
    attribute: str,
    spoil: Callable[[Path], object],
    *,
    route: str = "plan",
    options: tuple[str, ...] = (),
) -> Case:
    """An oddity that must change nothing."""
    return Case(
        f"{attribute}-{name}", at(attribute, spoil), 0, route=route, options=options, same=True
    )


Expected = tuple[int, str]


def matrix(
    attribute: str,
    *,
    missing: Expected,
    gone: int | dict[str, Expected],
    content: Expected,
    route: str = "plan",
    options: tuple[str, ...] = (),
    unnamed: tuple[str, ...] = (),
    **exceptions: Expected,
) -> Iterator[Case]:
    """Every way of breaking a file, applied to one kind of file.

    Parameters
    ----------
    attribute : str
        The file, as `Study` calls it.
    missing, content : (int, str)
        Exit code and words where there is no file, and where there is nonsense in it.
    gone : int or dict
        Exit code where the content is not there.
    unnamed : tuple of str
        Where no file can be named.
    **exceptions
        By name of the spoiler.
    """
    expected: dict[str, Expected] = {"missing": missing}
    if isinstance(gone, int):
        expected |= {name: (gone, words) for name, words in GONE.items()}
    else:
        expected |= gone
    expected |= {name: content for name in CONTENT} | exceptions
    for name, (code, words) in expected.items():
        yield file_case(
            name,
            attribute,
            SPOILERS[name],
            code,
            words,
            named=name not in unnamed,
            route=route,
            options=options,
        )


def _not_there(code: int, words: str) -> dict[str, Expected]:
    """For readers that only ask whether there is a file."""
    names = ("folder", "broken_link", "link_loop", "annexed", "pipe")
    return {name: (code, words) for name in names}


def all_matrices() -> Iterator[Case]:
    """Every kind of file broken in every way."""
    no_gifti, no_table = (1, "hemi-L is missing"), (1, "no confounds table")
    yield from matrix(
        "gifti",
        missing=no_gifti,
        gone=1,
        content=(1, "not a GIFTI file"),
        folder=no_gifti,
        truncated=(1, "truncated GIFTI file"),
        unnamed=("missing", "folder"),
    )
    spaces = (1, "separated by spaces")
    yield from matrix(
        "confounds",
        missing=no_table,
        gone=1,
        content=(1, "rows, the BOLD file 40 volumes"),
        garbled=(1, "not UTF-8"),
        zeros=(1, "not UTF-8"),
        prose=spaces,
        web_page=spaces,
        folder=no_table,
        unnamed=("missing", "folder"),
    )
    yield from matrix(
        "confounds_json",
        missing=(0, "2 participants"),
        gone={name: (0, "JSON file of the confounds is left out: ") for name in GONE},
        content=(1, "JSON sidecar cannot be read"),
        unnamed=CONTENT,
    )
    for attribute in ("bold_json", "raw_json"):
        yield from matrix(
            attribute,
            missing=(0, "2 participants"),
            gone={name: (0, "a JSON sidecar is left out: ") for name in GONE},
            content=(1, "A JSON sidecar cannot be read"),
        )
    silent, unseparated = (1, "no stimulus is given for this run"), (1, "separated by spaces")
    yield from matrix(
        "events",
        missing=silent,
        gone=1,
        content=silent,
        garbled=(1, "not UTF-8"),
        zeros=(1, "not UTF-8"),
        truncated=(1, "fewer cells than the header"),
        prose=unseparated,
        web_page=unseparated,
        unnamed=("missing",),
    )
    yield from matrix(
        "audio",
        missing=(65, "not found"),  # one piece is left, which is too short by itself
        gone=65,
        content=(65, "not audio that can be used"),
        truncated=(65, "truncated audio file"),
    )
    yield from _matrices_of_datasets()
    yield from _matrices_of_options()


def _matrices_of_datasets() -> Iterator[Case]:
    broken = (16, "The description of a dataset cannot be read")
    for attribute in ("description", "prep_description"):
        yield from matrix(
            attribute,
            missing=(0, "2 participants"),
            gone=16,
            content=broken,
            annexed=(0, "2 participants"),
        )
    for name in (*GONE, *CONTENT, "missing"):
        yield accepted(name, "people", SPOILERS[name])
    yield from matrix(
        "rating",
        route="ratings",
        missing=(0, ""),
        gone=1,
        content=(1, "cannot be unpacked"),
    )
    no_columns = (1, "does not name its columns")
    yield from matrix(
        "rating_json",
        route="ratings",
        missing=no_columns,
        gone=dict.fromkeys(GONE, no_columns),
        content=(1, "A JSON sidecar cannot be read"),
        unnamed=("missing", *GONE),
    )


def _matrices_of_options() -> Iterator[Case]:
    unseparated = (16, "separated by spaces")
    yield from matrix(
        "table",
        options=("--stimuli", "{table}"),
        missing=(66, "not found"),
        gone=66,
        content=(16, "The table of stimuli lacks a column"),
        truncated=(65, "no stimulus is given for this task"),
        unnamed=("truncated",),
        garbled=(16, "not UTF-8"),
        zeros=(16, "not UTF-8"),
        prose=unseparated,
        web_page=unseparated,
    )
    yield from matrix(
        "rating_table",
        route="rating_table",
        missing=(66, "not found"),
        gone=66,
        content=(16, "The table of ratings lacks a column"),
        truncated=(65, "times of a rating do not increase"),
        garbled=(16, "not UTF-8"),
        zeros=(16, "not UTF-8"),
        prose=unseparated,
        web_page=unseparated,
    )
    nothing, words = (66, "nothing for lively"), "Precomputed features cannot be read"
    unreadable = (65, words)
    gone = {
        "features_table": {name: (66, words) for name in GONE}
        | {name: nothing for name in ("folder", "pipe")},
        "features_array": {name: unreadable for name in GONE} | _not_there(*nothing),
    }
    for attribute in gone:
        yield from matrix(
            attribute,
            route=attribute,
            missing=nothing,
            gone=gone[attribute],
            content=unreadable,
            **({"truncated": (65, "do not cover")} if attribute == "features_table" else {}),
        )
    yield from matrix(
        "weights",
        route="weights",
        missing=(66, "There is no such file"),
        gone=_not_there(66, "")
        | {"empty": (65, "cannot be read as torch weights"), "unreadable": (66, "no permission")},
        content=(65, "cannot be read as torch weights"),
        lfs_pointer=(65, "cannot be read as torch weights"),
    )
    for attribute, there, broken in (
        ("mask", "The file of --cortex-mask is not there", "The cortex mask cannot be read"),
        ("gradient", "A gradient file is not there", "A surface file cannot be read"),
    ):
        yield from matrix(
            attribute,
            route=attribute,
            missing=(66, there),
            gone={name: (65, broken) for name in GONE} | _not_there(66, there),
            content=(65, broken),
        )
    absent = (66, "The file of a confound strategy does not exist")
    broken = (16, "The file of a confound strategy is not as it should be")
    yield from matrix(
        "strategy",
        options=("--confounds", "{strategy}"),
        missing=absent,
        gone=dict.fromkeys(GONE, broken) | _not_there(*absent),
        content=broken,
    )
    yield from matrix(
        "filters",
        options=("--bids-filter-file", "{filters}"),
        missing=(66, "The filter file cannot be read"),
        gone=66,
        content=(65, "A file is not valid JSON"),
    )
