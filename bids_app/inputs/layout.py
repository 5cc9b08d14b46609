"""Index of an fMRIPrep folder (pybids), as named files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from bids_app.errors import CannotWriteError, InvalidInputError, UsageError
from bids_app.inputs.locate import uri_name
from bids_app.inputs.names import NamedFile, parse_name
from bids_app.inputs.runs import is_almost_bold

# Thousands of files that are never read (JSON sidecars are looked up in their folders).
_IGNORED = re.compile(
    r"/(figures|log|logs|sourcedata|code|fmap|dwi|perf)(/|$)|/\."
    r"|(dseg|probseg|mask|boldref|sbref|xfm|mixing|T1w|T2w|components|ICs)\.[a-z.0-9]+$"
    r"|\.(json|html|svg|md|h5|txt|csv)$"
    r"|[\ud800-\udfff]"  # names that are no UTF-8, which pybids cannot index
)
# Entities are read from the names (see index_files): pybids need not match its forty patterns.
_CONFIG = {
    "name": "musenc",
    "entities": [
        {"name": "subject", "pattern": "[/\\\\]+sub-([a-zA-Z0-9+]+)"},
        {"name": "extension", "pattern": "[^./\\\\](\\.[^/\\\\]+)$"},
    ],
}
_WANTED = (".gii", ".tsv", ".nii", ".nii.gz")


def participants_there(folder: Path) -> list[str]:
    """Labels of the folders ``sub-*``, sorted."""
    return sorted(path.name[4:] for path in folder.glob("sub-*") if path.is_dir())


def index_files(
    folder: Path, *, participants: Iterable[str] = (), database_dir: Path | None = None
) -> list[NamedFile]:
    """Data files of one dataset, with the entities of their names.

    pybids walks the folder (or loads its database); the entities are read from the file names,
    because pybids also matches the folders above the dataset.

    Parameters
    ----------
    folder : Path
        Root of the dataset.
    participants : iterable of str
        Index only these; all where empty.
    database_dir : Path or None
        pybids' database. Where it exists it is believed, else it is made, of the whole dataset.

    Returns
    -------
    list of NamedFile
        Files with the extensions of data and tables, and those that nearly are called so, ordered
        by path.

    Raises
    ------
    InvalidInputError
        Where pybids cannot read the folder.
    CannotWriteError
        Where the database cannot be created.
    UsageError
        Where the database is not one.
    """
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    chosen = sorted(set(participants))
    ignore = [_IGNORED]
    if chosen and database_dir is None:
        labels = "|".join(re.escape(label) for label in chosen)
        ignore.append(re.compile(rf"^/sub-(?!(?:{labels})(?:[/_]|$))"))
    database = None if database_dir is None else Path(database_dir) / uri_name(folder)
    existed = database is not None and (database / "layout_index.sqlite").exists()
    try:
        layout = BIDSLayout(
            folder,
            validate=False,
            is_derivative=True,
            config=[_CONFIG],
            database_path=database,
            indexer=BIDSLayoutIndexer(validate=False, ignore=ignore, index_metadata=False),
        )
        paths = layout.get(return_type="filename")
    except Exception as error:
        # sqlite, sqlalchemy and pybids each raise their own.
        if database is None:
            raise InvalidInputError(
                "The dataset cannot be indexed.",
                where=folder / "dataset_description.json",
                found=f"{type(error).__name__}: {error}",
                wanted="a description as fMRIPrep writes it, and folders that can be read",
                remedy="correct the file, or restore it from fMRIPrep's output",
            ) from error
        if existed:
            raise UsageError(
                "The pybids database cannot be read.",
                where=database,
                found=error,
                wanted="a database made by --bids-database-dir or pybids",
                remedy="remove the folder; it is then made anew",
            ) from error
        raise CannotWriteError(
            "The pybids database cannot be made.",
            where=database,
            found=error,
            wanted="a folder that can be written",
            remedy="give another --bids-database-dir",
        ) from error
    if Path(str(layout.root)) != folder:
        raise UsageError(
            "The pybids database is about another folder.",
            where=database,
            found=layout.root,
            wanted=folder,
            remedy="remove the database, or give another --bids-database-dir",
        )
    files = [parse_name(Path(path)) for path in paths]
    files = [f for f in files if f.path.name.endswith(_WANTED) or is_almost_bold(f)]
    if chosen:
        files = [file for file in files if file.entities.get("sub") in chosen]
    return sorted(files, key=lambda file: str(file.path))
