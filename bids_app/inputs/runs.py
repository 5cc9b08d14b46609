"""From file names to runs: pair hemispheres, find confounds, distinguish versions of a file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app.errors import InvalidInputError, UsageError
from bids_app.files import read_json
from bids_app.inputs.files import need_content
from bids_app.inputs.names import (
    PYBIDS_NAMES,
    NamedFile,
    canonical_space,
    run_entities,
    same_label,
    sort_key,
    strip_prefix,
)
from bids_app.inputs.records import Acquisition, run_label
from bids_app.meshes import FSLR, MESHES
from bids_app.outputs import HEMISPHERES
from bids_app.plain import some_of

KINDS = ("gifti", "cifti", "volume", "parcels")
"""Kinds of BOLD files, the preferred first."""

DESCS = (None, "preproc", "denoised", "denoisedSmoothed")
"""Versions of a series, the preferred first."""
_CONFOUND_SUFFIXES = ("timeseries", "regressors", "confounds")


@dataclass(frozen=True)
class RunFiles(Acquisition):
    """The files of one acquisition in one fMRIPrep folder.

    Attributes
    ----------
    dataset : str
        Name of the fMRIPrep folder.
    root : Path
        That folder.
    kind : str or None
        None where no BOLD file of a usable kind is there.
    left, right : NamedFile or None
    confounds : NamedFile or None
    surfaces : tuple of Path
        For volumes in ``T1w`` space.
    spaces : tuple of str
        All spaces the run is there in.
    filtered : bool
        Whether the user's filter took away its BOLD files.
    grayordinates : NamedFile or None
        Its 91k CIFTI series, whatever the kind; None where none, or not one of several, is meant.
    almost : tuple of str
        Names of files that nearly are those of BOLD, and are not read.
    absent : bool
        Whether it is a run of the raw dataset of which fMRIPrep left no BOLD.
    """

    dataset: str
    root: Path
    kind: str | None = None
    left: NamedFile | None = None
    right: NamedFile | None = None
    confounds: NamedFile | None = None
    surfaces: tuple[Path, ...] = ()
    spaces: tuple[str, ...] = ()
    filtered: bool = False
    grayordinates: NamedFile | None = None
    almost: tuple[NamedFile, ...] = ()
    absent: bool = False

    def unread(self, space: str, hemisphere: str = "L") -> str:
        """What is there that is not read, and what would be; the beginning of it is a semicolon."""
        there = some_of((file.told for file in self.almost), 4)
        wanted = f"wanted: {wanted_name(space, hemisphere)}"
        return f"; not read: {there}: unpack or rename them; {wanted}" if there else f"; {wanted}"


def wanted_name(space: str, hemisphere: str = "L") -> str:
    """How the file of a hemisphere is called."""
    return f"*_hemi-{hemisphere}_space-{space}_bold.func.gii"


def bold_filter(path: Path | None) -> dict[str, Any]:
    """The part of ``--bids-filter-file`` that is about BOLD files, with BIDS keys.

    Raises
    ------
    MissingInputError
        Where the file is not there.
    UsageError
        Where the filters are not an object of objects.
    """
    if path is not None:
        remedy = "check --bids-filter-file, which names a file"
        need_content(path, "The filter file cannot be read.", remedy=remedy)
    filters = {} if path is None else read_json(path)
    chosen = filters.get("bold", {}) if isinstance(filters, dict) else filters
    if not isinstance(chosen, dict):
        raise UsageError(
            "The filter file has another form than fMRIPrep's.",
            where=path,
            found=f"{chosen!r:.80} is not a JSON object",
            wanted='{"bold": {"session": "01", "acquisition": null}}',
            remedy="correct the file given with --bids-filter-file",
        )
    return {PYBIDS_NAMES.get(str(key), str(key)): value for key, value in chosen.items()}


def passes(file: NamedFile, query: Mapping[str, Any]) -> bool:
    """Whether a file passes a filter: null means absent, ``*`` means present, lists mean any."""
    values = {**file.entities, "suffix": file.suffix}
    for key, wanted in query.items():
        if key in ("datatype", "extension"):
            continue
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        if not any(_is_meant(key, option, values.get(key)) for option in options):
            return False
    return True


def _is_meant(key: str, option: Any, value: str | None) -> bool:
    if option is None or value is None:
        return option is None and value is None
    return option == "*" or same_label(key, strip_prefix(option, key), value)


def group_runs(
    files: Iterable[NamedFile],
    *,
    dataset: str,
    root: Path,
    space: str,
    query: Mapping[str, Any],
    accepts: Callable[[Mapping[str, str]], bool],
    parcels: str = "",
) -> list[RunFiles]:
    """Runs of one fMRIPrep folder.

    Surfaces come before CIFTI files, and those before volumes. Files that differ in ``rec``,
    ``echo``, ``part`` or ``desc`` are twins, the same acquisition processed differently: combined
    echoes are taken before single ones, magnitude before anything else, no ``desc`` before
    ``preproc``. Files that differ in ``acq``, ``ce`` or ``dir`` are different acquisitions.

    Parameters
    ----------
    files : iterable of NamedFile
    dataset : str
        Name of the folder.
    root : Path
        The folder.
    space : str
        Surface space wanted.
    query : mapping
        What `bold_filter` returns.
    accepts : callable
        Whether the user chose a run, by its entities; others may have twins.
    parcels : str
        Label of the atlas whose parcellated series are wanted instead of vertices.

    Returns
    -------
    list of RunFiles

    Raises
    ------
    InvalidInputError
        Where twins remain.
    """
    func, anat = defaultdict(list), defaultdict(list)
    for file in files:
        if file.path.parent.name == "anat":
            anat[file.entities["sub"]].append(file)
        elif "task" in file.entities:
            entities = run_entities(file.entities)
            entities.pop("rec", None)
            func[tuple(entities.items())].append(file)
    runs, ambiguous = [], []
    for key, group in func.items():
        surfaces = _own_surfaces(anat[dict(key)["sub"]], dict(key))
        try:
            run = _run_of_group(group, dict(key), dataset, root, space, query, surfaces, parcels)
        except _Twins as twins:
            if accepts(dict(key)):
                ambiguous.append(str(twins))
            continue
        if run is not None:
            runs.append(run)
    if ambiguous:
        raise InvalidInputError(
            "Some runs are there in several versions, and nothing says which one to use.",
            where=root,
            found=some_of(ambiguous, between="; "),
            wanted="one version of each run",
            remedy="choose with --bids-filter-file, for example "
            '{"bold": {"reconstruction": "norm"}} or {"bold": {"echo": null}}'
            + (
                "; series of regions with --parcels ATLAS"
                if any("atlas-" in one or "seg-" in one for one in ambiguous)
                else ""
            ),
        )
    return sorted(runs, key=lambda run: sort_key(run.entities))


class _Twins(Exception):
    """Several versions of a run are left."""


def _run_of_group(
    group: list[NamedFile],
    key: dict[str, str],
    dataset: str,
    root: Path,
    space: str,
    query: Mapping[str, Any],
    surfaces: tuple[Path, ...],
    parcels: str,
) -> RunFiles | None:
    bold = [file for file in group if _kind(file) is not None]
    almost = tuple(
        sorted((file for file in group if is_almost_bold(file)), key=lambda file: file.path)
    )
    if not (bold or almost):
        return None
    passing = [file for file in bold if passes(file, query)]
    spaces = sorted({_space_name(file) for file in bold})
    for kind in ("parcels",) if parcels else KINDS:
        of_kind = [file for file in passing if _kind(file) == kind]
        if parcels:
            of_kind = [file for file in of_kind if atlas_of(file) == parcels]
        usable = [file for file in of_kind if _fits(file, kind, space, surfaces)]
        chosen = _without_twins(usable, run_label(key), space)
        if not chosen:
            continue
        by_hemisphere = {file.entities.get("hemi", "both"): file for file in chosen}
        both = by_hemisphere.get("both")
        one = chosen[0]
        return RunFiles(
            run_entities(one.entities),
            dataset,
            root,
            kind,
            by_hemisphere.get("L", both),
            by_hemisphere.get("R", both),
            _confounds_of(group, one),
            surfaces if kind == "volume" and one.entities.get("space") == "T1w" else (),
            tuple(spaces),
            grayordinates=_grayordinates(passing, space, surfaces, run_label(key)),
            almost=almost,
        )
    filtered = bool(bold) and not passing
    return RunFiles(key, dataset, root, spaces=tuple(spaces), filtered=filtered, almost=almost)


def _grayordinates(
    passing: Sequence[NamedFile], space: str, surfaces: tuple[Path, ...], label: str
) -> NamedFile | None:
    """The one CIFTI series of a run."""
    usable = [f for f in passing if _kind(f) == "cifti" and _fits(f, "cifti", space, surfaces)]
    try:
        return next(iter(_without_twins(usable, label, space)), None)
    except _Twins:
        return None


def _kind(file: NamedFile) -> str | None:
    if file.words:
        return None
    hemisphere = file.entities.get("hemi", "") in HEMISPHERES
    if file.extension == ".func.gii" and file.suffix in ("bold", None) and hemisphere:
        return "gifti"
    if atlas_of(file) and file.entities.get("stat", "mean") == "mean":
        tables = file.suffix == "timeseries" and file.extension == ".tsv"
        return "parcels" if tables or file.extension == ".ptseries.nii" else None
    if file.suffix != "bold":
        return None
    if file.extension == ".dtseries.nii":
        return "cifti"
    return "volume" if file.extension in (".nii", ".nii.gz") else None


def atlas_of(file: NamedFile) -> str:
    """Label of the atlas of a parcellated series; empty for other files."""
    return file.entities.get("atlas") or file.entities.get("seg") or ""


def is_bold(file: NamedFile) -> bool:
    """Whether a file is functional data of a kind that is read."""
    return "task" in file.entities and _kind(file) is not None


def is_almost_bold(file: NamedFile) -> bool:
    """Whether a file is not read, though its name nearly is that of BOLD: packed, a copy, ..."""
    if _kind(file) is not None or "task" not in file.entities:
        return False
    ending = file.extension.lower()
    like = re.match(r"bold(?![a-z])", file.suffix or "bold", re.IGNORECASE) and (
        file.suffix or ".func.gii" in ending
    )
    return bool(like or "tseries." in ending) and not ending.endswith((".json", ".tsv"))


def _space_name(file: NamedFile) -> str:
    space = canonical_space(file.entities) or "the run's own space"
    names = {
        "gifti": space,
        "cifti": f"{space} (CIFTI)",
        "volume": f"{space} (volume)",
        "parcels": f"regions of {atlas_of(file)}",
    }
    return names[_kind(file) or "volume"]


def _fits(file: NamedFile, kind: str, space: str, surfaces: tuple[Path, ...]) -> bool:
    own = canonical_space(file.entities)
    if kind == "parcels":
        return True
    if kind == "gifti":
        row = MESHES.get(space)
        finer = row and not row.nested and file.entities.get("den", row.density) != row.density
        return own == space and not finer
    if kind == "cifti":
        return own == FSLR and file.entities.get("den", "91k") == "91k"
    if file.entities.get("desc") not in DESCS[1:] or own is None:
        return False
    return own.startswith("MNI152") or (own == "T1w" and bool(surfaces))


def _without_twins(files: list[NamedFile], label: str, space: str) -> list[NamedFile]:
    """Left and right (or the one file) of one version of the run."""
    files = [file for file in files if file.entities.get("part", "mag") == "mag"]
    if not files:
        return []

    def preference(file: NamedFile) -> tuple[object, ...]:
        e = file.entities
        desc = DESCS.index(e.get("desc")) if e.get("desc") in DESCS else len(DESCS)
        own_space = {"T1w": 0, "MNI152NLin6Asym": 2}.get(e.get("space", ""), 1)
        table = file.extension == ".tsv"  # which does not say its vertices
        return ("echo" in e, desc, table, own_space, e.get("space") != space, "res" in e)

    best = min(map(preference, files))
    files = [file for file in files if preference(file) == best]
    versions: dict[tuple[tuple[str, str], ...], list[NamedFile]] = defaultdict(list)
    for file in files:
        version = {key: value for key, value in file.entities.items() if key != "hemi"}
        versions[tuple(version.items())].append(file)
    if len(versions) > 1:
        names = [_difference(version, versions) for version in versions]
        raise _Twins(f"{label} ({' or '.join(sorted(names))})")
    return sorted(files, key=lambda file: file.entities.get("hemi", ""))


def _difference(
    version: tuple[tuple[str, str], ...], versions: Iterable[tuple[tuple[str, str], ...]]
) -> str:
    common = set.intersection(*(set(other) for other in versions))
    return "_".join(f"{key}-{value}" for key, value in version if (key, value) not in common) or (
        "without"
    )


def _confounds_of(group: list[NamedFile], bold: NamedFile) -> NamedFile | None:
    """The confounds table of the run; those of a single echo only where it is that echo's."""
    wanted = run_entities(bold.entities)
    found = []
    for file in group:
        if file.extension != ".tsv" or file.words or file.suffix not in _CONFOUND_SUFFIXES:
            continue
        if file.suffix != "confounds" and file.entities.get("desc") != "confounds":
            continue
        own = run_entities(file.entities)
        echo = file.entities.get("echo")
        if own == wanted and echo in (None, bold.entities.get("echo")):
            found.append(
                (_CONFOUND_SUFFIXES.index(file.suffix), echo is None, str(file.path), file)
            )
    return min(found)[-1] if found else None


def _own_surfaces(anat: list[NamedFile], key: Mapping[str, str]) -> tuple[Path, ...]:
    """White, pial and registered sphere of both hemispheres, or nothing where one is missing."""
    paths = []
    for hemisphere in ("L", "R"):
        for suffixes, registered in (
            (("white", "smoothwm"), False),
            (("pial",), False),
            (("sphere",), True),
        ):
            found = [
                (
                    suffixes.index(file.suffix or ""),
                    file.entities.get("ses") != key.get("ses"),
                    file.path,
                )
                for file in anat
                if file.suffix in suffixes
                and file.extension == ".surf.gii"
                and file.entities.get("hemi") == hemisphere
                and file.entities.get("ses") in (None, key.get("ses"))
                and (file.entities.get("space") == "fsaverage") == registered
            ]
            if not found:
                return ()
            paths.append(min(found)[-1])
    return tuple(paths)
