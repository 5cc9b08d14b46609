"""Find raw dataset and fMRIPrep outputs from the folder that the user gives."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from bids_app.errors import InvalidInputError, MissingInputError, MusencError, UsageError
from bids_app.inputs.files import content_problem, inside, read_object
from bids_app.outputs import programs_of
from bids_app.plain import some_of

_WANTED = (
    "a raw BIDS dataset with derivatives/fmriprep, the folder that holds `derivatives`, "
    "or the fMRIPrep output folder itself (folders sub-*/)"
)

_DESCRIPTION = 'a JSON object such as {"Name": "...", "BIDSVersion": "1.8.0"}'
_PROGRAM = '{"Name": "fMRIPrep", "Version": "23.1.0"}'


@dataclass(frozen=True)
class Located:
    """The folders that belong to a study.

    Attributes
    ----------
    raw_dir : Path or None
    derivatives : tuple of (str, Path)
        Names (for BIDS URIs) and fMRIPrep folders.
    found : str
        One sentence for the user.
    """

    raw_dir: Path | None
    derivatives: tuple[tuple[str, Path], ...]
    found: str

    @property
    def links(self) -> tuple[tuple[str, Path], ...]:
        """Names of all datasets in URIs, and their folders."""
        raw = (("raw", self.raw_dir),) if self.raw_dir else ()
        return (*self.derivatives, *raw)


def locate_dataset(bids_dir: Path, derivatives: Iterable[str]) -> Located:
    """Find the raw dataset and the fMRIPrep folders.

    Parameters
    ----------
    bids_dir : Path
        Raw dataset, parent of ``derivatives``, folder of derivatives, or fMRIPrep folder.
    derivatives : iterable of str
        What the user gave: ``PATH`` or ``NAME=PATH``; paths relative to the current folder.
        ``raw=PATH`` names the raw dataset.

    Returns
    -------
    Located

    Raises
    ------
    MissingInputError
        Where a folder does not exist or nothing usable is in it.
    InvalidInputError
        Where several fMRIPrep folders are there and none was named.
    """
    bids_dir = Path(bids_dir).resolve()
    if not bids_dir.is_dir():
        raise MissingInputError(
            "The dataset folder does not exist.",
            where=bids_dir,
            found="a file" if bids_dir.exists() else "nothing",
            wanted=_WANTED,
            remedy="check the path; in a container, check that it is mounted (-v or -B)",
        )
    named = parse_derivatives(derivatives)
    raw_given = named.pop("raw", None)
    named = dict(_fmriprep_within(*item) for item in named.items())
    if named:
        raw = raw_given or _raw_of(bids_dir, named)
        where = ", ".join(str(path) for path in named.values())
        found = f"fMRIPrep outputs named by --derivatives: {where}"
        found += f"; raw dataset: {raw}" if raw else "; no raw dataset"
        return Located(raw, tuple(named.items()), found)
    return _search(bids_dir, raw_given)


def parse_derivatives(derivatives: Iterable[str]) -> dict[str, Path]:
    """``[NAME=]PATH`` items as a dict of existing folders, in order.

    Raises
    ------
    UsageError
        Where a name is given twice.
    MissingInputError
        Where a folder does not exist.
    """
    named: dict[str, Path] = {}
    for name, path in map(_split_name, derivatives):
        if name in named:
            raise UsageError(
                "A name is given twice in --derivatives.",
                where=name,
                found=f"{named[name]} and {path}",
                remedy="write NAME=PATH with different names",
            )
        if not path.is_dir():
            raise MissingInputError(
                "A folder given with --derivatives does not exist.",
                where=path,
                found="a file" if path.exists() else "nothing",
                wanted="an fMRIPrep output folder",
                remedy="check the path; in a container, check that it is mounted (-v or -B)",
            )
        named[name] = path.resolve()
    return named


def _fmriprep_within(name: str, path: Path) -> tuple[str, Path]:
    """A folder of participants, or the only one of fMRIPrep in a folder that is given."""
    if is_fmriprep(path) or _has_bold(path):
        return name, path
    if has_participants(path):
        _raise_raw(path)
    inner = _fmriprep_folders(path)
    if len(inner) == 1:
        return uri_name(inner[0]) if name == uri_name(path) else name, inner[0]
    there = some_of(sorted(one.name for one in path.iterdir()))
    raise MissingInputError(
        "A folder given with --derivatives holds no participants.",
        where=path,
        found=f"no folders sub-*, but {there or 'nothing'}",
        wanted="an fMRIPrep output folder, which has a folder sub-* for each participant",
        remedy=f"name one of {', '.join(one.name for one in inner)} in it"
        if inner
        else "give the folder above, or the one that has the folders sub-*",
    )


def _raise_raw(path: Path) -> NoReturn:
    """Say that a folder of participants given with --derivatives holds nothing of fMRIPrep's."""
    inner = [f"--derivatives {one}" for one in _fmriprep_folders(path / "derivatives")]
    raise MissingInputError(
        "A folder given with --derivatives is a raw dataset, or holds no BOLD from fMRIPrep.",
        where=path,
        found=f"folders sub-*, no outputs of fMRIPrep in them{_written_by(path)}",
        wanted="an fMRIPrep output folder; the raw dataset is bids_dir, or --derivatives raw=PATH",
        remedy=f"give {' or '.join(inner or ['the folder that fMRIPrep wrote'])}",
    )


def _written_by(folder: Path) -> str:
    program = writer_of(folder)
    return f" (written by {program})" if program else ""


def _split_name(item: str) -> tuple[str, Path]:
    path = Path(item)
    name, equals, rest = item.partition("=")
    if equals and re.fullmatch(r"[A-Za-z0-9_-]+", name) and not path.exists():
        return name, Path(rest)
    return uri_name(path.resolve()), path


def uri_name(path: Path) -> str:
    """Name of a dataset in BIDS URIs, from its folder."""
    return re.sub(r"[^A-Za-z0-9_-]", "", path.name) or "derivative"


def uri_of(path: Path, links: Iterable[tuple[str, Path]]) -> str:
    """BIDS URI of a file of a named dataset, the innermost that holds it; else its file URI.

    Examples
    --------
    >>> uri_of(Path("/data/stimuli/a.wav"), [("raw", Path("/data"))])
    'bids:raw:stimuli/a.wav'
    """
    for name, folder in sorted(links, key=lambda link: -len(link[1].absolute().parts)):
        for own in (path.absolute(), path.resolve()):
            for root in (folder.absolute(), folder.resolve()):
                if own.is_relative_to(root):
                    return f"bids:{name}:{own.relative_to(root)}"
    return path.resolve().as_uri()


def path_of_uri(uri: str, raw_dir: Path | None, *, where: str) -> Path:
    """The file that a BIDS URI means, ``bids::PATH`` or ``bids:NAME:PATH``.

    Parameters
    ----------
    uri : str
    raw_dir : Path or None
        The dataset of ``bids::`` and ``bids:raw:``, whose ``DatasetLinks`` define other names.
    where : str
        Of the error.

    Returns
    -------
    Path
        Below `raw_dir`; as it is there, whether spelled plainly or percent-encoded.

    Raises
    ------
    InvalidInputError
        Where the name is no local folder of the dataset, or the file lies elsewhere.
    """
    name, colon, path = uri.removeprefix("bids:").partition(":")
    links = {} if raw_dir is None else read_description(raw_dir).get("DatasetLinks")
    link = links.get(name) if isinstance(links, dict) else None
    known = urlsplit(link if isinstance(link, str) else "." if name in ("", "raw") else "none:")
    if raw_dir is None or not colon or known.scheme not in ("", "file"):
        raise InvalidInputError(
            "A BIDS URI cannot be followed.",
            where=where,
            found=uri + ("; no raw dataset" if raw_dir is None else f"; DatasetLinks: {links}"),
            wanted="bids::PATH, relative to the raw dataset, or bids:NAME:PATH, with the folder "
            "NAME inside it in DatasetLinks of its dataset_description.json",
            remedy="name the raw dataset with --derivatives raw=PATH"
            if raw_dir is None
            else "correct the URI or DatasetLinks, or give the file's path in --stimuli TABLE.tsv",
        )
    folder = raw_dir / unquote(known.netloc + known.path)
    files = [
        inside(raw_dir, ".", os.path.relpath(folder / one, raw_dir), where=where, found=uri)
        for one in (path, unquote(path))
    ]
    return next((file for file in files if os.path.lexists(file)), files[0])


def has_participants(folder: Path) -> bool:
    """Whether there is a folder ``sub-*``."""
    return any(path.is_dir() for path in folder.glob("sub-*"))


def read_description(folder: Path) -> dict[str, Any]:
    """Content of dataset_description.json; empty where it is missing or unreadable."""
    try:
        return read_object(folder / "dataset_description.json")
    except MusencError:
        return {}


def check_descriptions(located: Located) -> None:
    """Complain about a dataset_description.json that is there and says nothing.

    Raises
    ------
    InvalidInputError
    """
    for folder in (located.raw_dir, *(path for _, path in located.derivatives)):
        path = None if folder is None else folder / "dataset_description.json"
        # A link whose content was not fetched is no harm.
        if path is None or not (path.exists() or path.is_symlink()):
            continue
        problem = content_problem(path)
        if problem and "datalad get" in problem and not path.exists():
            continue
        what, wanted = "The description of a dataset cannot be read.", _DESCRIPTION
        if problem:
            raise InvalidInputError(
                what, where=path, found=problem, wanted=wanted, remedy="correct the file"
            )
        content = read_object(path, what, wanted)
        if folder != located.raw_dir:
            _check_programs(path, content)


def _check_programs(path: Path, description: Mapping[str, Any]) -> None:
    """Refuse a form of the programs' names on which pybids stumbles.

    Raises
    ------
    InvalidInputError
    """
    generated = description.get("GeneratedBy", [])
    pipeline = description.get("PipelineDescription", {})
    listed = isinstance(generated, list) and all(isinstance(o, dict | str) for o in generated)
    field, wanted = "PipelineDescription", _PROGRAM
    if not (listed or isinstance(generated, str)):
        field, wanted = "GeneratedBy", f"a list of objects: [{_PROGRAM}]"
    elif isinstance(pipeline, dict):
        return
    raise InvalidInputError(
        "The description of a dataset names the program that wrote it in another form than BIDS.",
        where=path,
        found=f"{field}: {json.dumps(description[field])[:80]}",
        wanted=wanted,
        remedy="put square brackets around it"
        if isinstance(description[field], dict)
        else f"correct {field}, or take it out",
    )


def is_fmriprep(folder: Path) -> bool:
    """Whether a folder holds outputs of fMRIPrep (or of a program that writes the same)."""
    if not has_participants(folder):
        return False
    writer = writer_of(folder).lower()
    if any(word in writer for word in ("fmriprep", "nibabies")) or is_xcpd(writer):
        return True
    if writer:
        # ASLPrep, QSIPrep and sMRIPrep share the name's ending, and may have no BOLD.
        return "prep" in writer and _has_bold(folder)
    if read_description(folder).get("DatasetType") == "raw":
        return False
    # Copies without a description, or with another's: the participants' files tell.
    return _has_bold(folder)


def is_xcpd(writer: str) -> bool:
    """Whether a program is XCP-D, however its name is written."""
    return re.sub(r"[^a-z]", "", writer.lower()).startswith("xcpd")


def writer_of(folder: Path) -> str:
    """Name of the program that wrote a folder, as its description says; empty where it does not."""
    return next((one.get("Name", "") for one in programs_of(read_description(folder))), "")


def _has_bold(folder: Path) -> bool:
    """Whether some participant has functional files as fMRIPrep names them."""
    patterns = (
        "*_hemi-*.func.gii",
        "*.func.gii",
        "*desc-confounds_*.tsv",
        "*desc-preproc_bold.*",
        "*desc-denoised*_bold.*",
        "*_timeseries.ptseries.nii",
    )
    return any(
        any(folder.glob(f"sub-*/{place}/{pattern}"))
        for pattern in patterns
        for place in ("func", "ses-*/func")
    )


def _writers(folder: Path) -> str:
    """Folders of derivatives and the programs that wrote them, for a message."""
    found = sorted(folder.glob("derivatives/*/"))
    return ", ".join(path.name + _written_by(path) for path in found)


def _deeper(bids_dir: Path) -> Iterator[Path]:
    """Outputs of fMRIPrep one folder deeper, as in its legacy layout."""
    return (path for path in sorted(bids_dir.glob("derivatives/*/*/")) if is_fmriprep(path))


def _fmriprep_folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    return [path for path in folders if is_fmriprep(path)]


def _raw_of(folder: Path, named: Mapping[str, Path]) -> Path | None:
    """The raw dataset when `folder` was given together with --derivatives."""
    if folder not in named.values() and has_participants(folder) and not is_fmriprep(folder):
        return folder
    return next((raw for raw in map(_raw_near, named.values()) if raw), None)


def _raw_near(fmriprep: Path) -> Path | None:
    """Raw dataset next to an fMRIPrep folder."""
    for candidate in (fmriprep / "sourcedata" / "raw", fmriprep.parent.parent, fmriprep.parent):
        near = candidate != fmriprep.parent.parent or fmriprep.parent.name == "derivatives"
        if near and has_participants(candidate) and not is_fmriprep(candidate):
            return candidate
    links = read_description(fmriprep).get("DatasetLinks")
    if isinstance(links, dict) and isinstance(links.get("raw"), str):
        link = links["raw"].removeprefix("file://")
        linked = (fmriprep / link).resolve()
        if has_participants(linked):
            return linked
    return None


def _search(bids_dir: Path, raw_given: Path | None) -> Located:
    if is_fmriprep(bids_dir):
        raw = raw_given or _raw_near(bids_dir)
        found = f"{bids_dir} is an fMRIPrep output folder; "
        found += f"its raw dataset is {raw}" if raw else "no raw dataset was found beside it"
        return Located(raw, ((uri_name(bids_dir), bids_dir),), found)
    raw = raw_given or (bids_dir if has_participants(bids_dir) else None)
    for parent in (bids_dir / "derivatives", bids_dir):
        folders = every = _fmriprep_folders(parent)
        if len(folders) > 1:
            exact = [path for path in folders if path.name == "fmriprep"]
            own = [path for path in folders if "fmriprep" in writer_of(path).lower()]
            folders = exact or own or folders
        if len(folders) > 1:
            raise InvalidInputError(
                "There are several fMRIPrep output folders.",
                where=parent,
                found=", ".join(path.name for path in folders),
                wanted="one, or the ones to use named",
                remedy=f"name them, for example --derivatives {folders[0]}",
            )
        if folders:
            kind = "a raw dataset" if raw == bids_dir else "a folder of derivatives"
            raw = raw or _raw_near(folders[0])
            found = f"{bids_dir} is {kind}; fMRIPrep outputs: {folders[0]}"
            for path in every:
                if path != folders[0]:
                    found += f"; not used: {path} (--derivatives {path} takes it instead)"
            return Located(raw, ((uri_name(folders[0]), folders[0]),), found)
    if raw == bids_dir:
        raise MissingInputError(
            "This is a raw dataset without fMRIPrep outputs.",
            where=bids_dir,
            found="folders sub-*/, but no fMRIPrep outputs in derivatives/"
            + (f", which holds {others}" if (others := _writers(bids_dir)) else ""),
            wanted="fMRIPrep outputs in derivatives/fmriprep",
            remedy="run fMRIPrep with --output-spaces fsaverage5, or say where its outputs are "
            f"with --derivatives {next(_deeper(bids_dir), 'PATH')}",
        )
    entries = sorted(path.name for path in bids_dir.iterdir() if not path.name.startswith("."))
    shown = some_of(entries)
    raise MissingInputError(
        "This folder holds neither a BIDS dataset nor fMRIPrep outputs.",
        where=bids_dir,
        found=shown or "an empty folder",
        wanted=_WANTED,
        remedy="name the dataset's folder, for example /dset/derivatives/fmriprep",
    )
