"""Read results of earlier steps from the output folder, and check that they are unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_app.config import settings_hash
from bids_app.errors import FETCH, BadDataError, MissingInputError, MusencError
from bids_app.files import SEAL, is_sealed, read_json, sha256_of_file
from bids_app.inputs.files import content_problem
from bids_app.inputs.tables import read_frame
from bids_app.meshes import N_VERTICES
from bids_app.outputs import STRUCTURES, OutputTree, hemispheres_of, parse_entities, sidecar_of
from bids_app.plain import some_of
from bids_app.surface.gifti import Gifti, read_into, read_named, title_of

if TYPE_CHECKING:
    import pandas as pd

RECORD = {"SettingsHash": str, "Settings": dict}
"""What every settings file holds."""
ANY = (-np.inf, np.inf)
CORRELATION = (-1.0001, 1.0001)
POSITIVE = (1e-30, np.inf)
PROBABILITY = (0.0, 1.0)
"""Bounds of the values of maps."""
NOT_AS_WRITTEN = "A file of an earlier step is not as it was written."
AGAIN = "delete the file and run the participant level again for this participant"


def read_record(path: Path, **wanted: type | tuple[type, ...]) -> dict[str, Any]:
    """A JSON object that an earlier step wrote.

    Parameters
    ----------
    path : Path
    **wanted
        Kind of the values that are needed, by key.

    Raises
    ------
    MissingInputError, BadDataError
        If its content is not there, is no JSON object, or lacks a key.
    """
    if problem := content_problem(path):
        raise MissingInputError(
            "A file of an earlier step is missing.",
            where=path,
            found=problem,
            wanted="the file that the settings file names",
            remedy=AGAIN,
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise damaged(path, type(content).__name__, "a JSON object")
    lacking = [key for key, kind in wanted.items() if not isinstance(content.get(key), kind)]
    if lacking:
        raise damaged(path, "keys " + ", ".join(content), ", ".join(lacking))
    if RECORD.keys() <= wanted.keys():
        own = settings_hash(content["Settings"])
        if own != content["SettingsHash"]:
            raise damaged(path, f"settings of hash {own}", f"of hash {content['SettingsHash']}")
    return content


def read_completed(path: Path, **wanted: type | tuple[type, ...]) -> dict[str, Any]:
    """The file that marks a result as complete, with the names and checksums of its files.

    Raises
    ------
    MissingInputError, BadDataError
        As `read_record`, and if the file is not as it was written, or names no checksums.
    """
    content = read_record(path, **wanted)
    if SEAL not in content or not isinstance(content.get("Outputs"), dict):
        raise BadDataError(
            "A result of an earlier step names no checksums of its files.",
            where=path,
            found="keys " + ", ".join(content),
            wanted=f"Outputs with checksums, {SEAL}",
            remedy=f"it is of an earlier version or damaged: {AGAIN}",
        )
    if not is_sealed(content):
        raise damaged(path, "another content", f"the content of {SEAL} {content[SEAL]}")
    if content.get("File") != path.name:
        raise damaged(path, f"File: {content.get('File', 'not there')}", f"File: {path.name}")
    return content


def read_participant(path: Path, **wanted: type | tuple[type, ...]) -> dict[str, Any]:
    """A participant's settings file, with the mesh of the maps.

    Raises
    ------
    MissingInputError, BadDataError
        As `read_record`, and if the mesh is not known.
    """
    content = read_completed(path, **RECORD, **wanted)
    space = content["Settings"].get("space")
    if space not in N_VERTICES:
        raise damaged(path, f"space {space}", "one of " + ", ".join(N_VERTICES))
    return content


def need_content(what: str, paths: Sequence[Path]) -> None:
    """Whether files that the user named can be read.

    Raises
    ------
    MissingInputError
    """
    for path in paths:
        if problem := content_problem(path):
            raise MissingInputError(
                what,
                where=path,
                found=problem,
                wanted="a file that can be read",
                remedy=FETCH,
            )


def check_outputs(tree: OutputTree, stored: Mapping[str, Any]) -> None:
    """Whether the files that a settings file names are as they were written.

    Cleaned responses may have been deleted to save space: what needs them says so.

    Raises
    ------
    MissingInputError, BadDataError
    """
    remedy = (
        "run the participant level again for this participant: it makes again what is not as it "
        "was written; or leave the participant out with --participant-label"
    )
    for path, problem, is_there in broken_outputs(tree, stored):
        if is_there:
            raise BadDataError(
                NOT_AS_WRITTEN,
                where=path,
                found=problem,
                wanted="a file with the checksum in the settings file",
                remedy=remedy,
            )
        if path.is_symlink() or path.exists() or not path.name.split(".")[0].endswith("_bold"):
            raise MissingInputError(
                "A file of a participant is missing.",
                where=path,
                found=problem,
                wanted="the file that the settings file names",
                remedy=remedy,
            )


def broken_outputs(tree: OutputTree, stored: Mapping[str, Any]) -> Iterator[tuple[Path, str, bool]]:
    """Files that a record names and that are not as they were written, by their checksums.

    Yields
    ------
    path : Path
    problem : str
    is_there : bool
        Whether it has a content, but another one.
    """
    for name, checksum in stored["Outputs"].items():
        path = tree.root / name
        if problem := content_problem(path):
            yield path, problem, False
        elif (found := sha256_of_file(path)) != checksum:
            yield path, f"SHA-256 {found}, not {checksum}", True


def read_maps(
    left: Path, space: str, *, n_arrays: int | None = None, bounds: tuple[float, float] = ANY
) -> NDArray[np.float32]:
    """Both hemispheres of a map, (n_arrays, n_vertices), left first.

    Parameters
    ----------
    left : Path
        File of the left hemisphere.
    space : str
        Mesh.
    n_arrays : int, optional
        How many there must be; default: as many as the left one has.
    bounds : (float, float)
        Values outside are damage.

    Raises
    ------
    MissingInputError, BadDataError
        If a file cannot be read, says of itself that it is another one, is of another shape, holds
        infinity or nothing but NaN.
    """
    n_vertices, both = N_VERTICES[space], None
    for number, path in enumerate(hemispheres_of(left)):
        read, shape = None, (0, 0)
        if n_arrays is None:
            read = read_named(path)
            n_arrays, shape = len(read.values), read.values.shape
        if both is None:
            both = np.empty((n_arrays, 2 * n_vertices), dtype=np.float32)
        values = both[:, number * n_vertices : (number + 1) * n_vertices]
        if read is None:
            shape, read = read_into(path, values)
        if shape != values.shape:
            raise damaged(path, f"shape {shape}", f"{values.shape}: maps and vertices of {space}")
        if read.values is not values:
            values[:] = read.values
        _check_identity(path, read)
        low, high = bounds
        if np.isinf(values).any() or (values < low).any() or (values > high).any():
            found = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
            raise damaged(path, found, f"finite values from {low:g} to {high:g}")
    if both is None or not np.isfinite(both).any():
        raise damaged(left, "nothing but NaN", "finite values inside cortex")
    return both


def _check_identity(path: Path, read: Gifti) -> None:
    """Whether a file is that of this participant, hemisphere and map, with its layers in order.

    Raises
    ------
    MissingInputError, BadDataError
    """
    told = {"Title": title_of(path)}
    entities = parse_entities(path)
    if entities.get("hemi") in STRUCTURES:
        told = {"AnatomicalStructurePrimary": STRUCTURES[entities["hemi"]], **told}
    for key, wanted in told.items():
        if read.meta.get(key) != wanted:
            raise damaged(path, f"{key}: {read.meta.get(key, 'not there')}", f"{key}: {wanted}")
    sidecar = read_record(sidecar_of(path))
    names = [str(name) for name in sidecar.get("DataArrays", ())]
    if "StimulusTimes" in sidecar and not names:
        names = [sample_name(time) for time in sidecar["StimulusTimes"]]
    if read.names != names:
        raise damaged(
            path, f"arrays {some_of(read.names)}", f"{some_of(names)}, as its JSON file says"
        )


def sample_name(seconds: float) -> str:
    """What a sample of cleaned responses is called in its file."""
    return f"{seconds:.4f} s"


def read_rows(path: Path, columns: Sequence[str], **kinds: type) -> pd.DataFrame:
    """A table that an earlier step wrote; `kinds` are those of columns of text.

    Raises
    ------
    MissingInputError, BadDataError
        If it cannot be read, lacks a column, has no rows, or text where numbers should be.
    """
    if problem := content_problem(path):
        raise MissingInputError(
            "A table is missing.",
            where=path,
            found=problem,
            wanted="the table that an earlier step wrote",
            remedy=AGAIN,
        )
    try:
        table = read_frame(path, dtype=dict(kinds))
    except MusencError as error:
        raise damaged(path, f"{error.what} {error.found or ''}".strip(), "a table") from error
    lacking = [name for name in columns if name not in table]
    numbers = [name for name in columns if name in table and name not in kinds]
    text = [name for name in numbers if table[name].dtype.kind not in "if"]
    if lacking or text or not len(table):
        found = f"{len(table)} rows, columns " + ", ".join(map(str, table.columns))[:200]
        wanted = ", ".join(lacking) or ("numbers in " + ", ".join(text) if text else "rows")
        raise damaged(path, found, wanted)
    return table


def damaged(path: Path, found: object, wanted: object) -> BadDataError:
    """The error about a file that is not as an earlier step wrote it."""
    return BadDataError(
        NOT_AS_WRITTEN,
        where=path,
        found=found,
        wanted=wanted,
        remedy=AGAIN,
    )
