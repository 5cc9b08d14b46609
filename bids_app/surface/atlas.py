"""Regions of an atlas on the mesh of the maps, from label files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import named_files, reading, sha256_of_file
from bids_app.inputs.files import need_content
from bids_app.labels import safe_label
from bids_app.loading import load_annotation, load_gifti
from bids_app.meshes import DENSITIES, N_VERTICES
from bids_app.outputs import HEMISPHERES, files_label
from bids_app.resources import cortex_mask_paths, networks_paths
from bids_app.surface.cortex import NO_CORTEX
from bids_app.surface.sides import check_sides

WANTED = "[NAME=]LEFT,RIGHT: two .annot or .label.gii files"
BOTH = "both"
"""Hemisphere of a network."""
INSTALLED_NETWORKS = "Yeo7"
_SEVEN = (
    "Visual",
    "Somatomotor",
    "Dorsal attention",
    "Ventral attention",
    "Limbic",
    "Frontoparietal",
    "Default mode",
)
_SHORT = dict(
    zip(
        ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default"),
        _SEVEN,
        strict=True,
    )
)
_NETWORK = re.compile(r"(7|17)Networks_(?:[LR]H_)?(\w+)")
_SIDE = re.compile(r"^(?:ctx[-_])?(?:L|R|lh|rh|LH|RH)[-_.]|[-_.](?:L|R|lh|rh|LH|RH)$")


@dataclass(frozen=True, eq=False)
class Atlas:
    """Regions over both hemispheres.

    Attributes
    ----------
    label : str
        Name for tables, letters and digits.
    regions : (n_vertices,) int64
        Region of each vertex, left hemisphere first; 0 for none. Numbers run over both
        hemispheres: a name that both have is two regions.
    names, hemispheres : dict of int to str
        Name and hemisphere ("L", "R" or "both") of each region.
    files : tuple of Path
        Left and right file; none of structures that a CIFTI file has.
    """

    label: str
    regions: NDArray[np.int64]
    names: dict[int, str]
    hemispheres: dict[int, str]
    files: tuple[Path, ...]

    @property
    def record(self) -> dict[str, Any]:
        """Name and checksums, for sidecars."""
        return {
            "Atlas": self.label,
            "Files": {path.name: sha256_of_file(path) for path in self.files},
        }


def atlas_files(option: str) -> tuple[str, tuple[Path, Path]]:
    """Name and files of ``[NAME=]LEFT,RIGHT``.

    Raises
    ------
    UsageError, MissingInputError
        If it is not of that form, or a file is not there.
    """
    name, paths = named_files(option)
    if len(paths) != 2:
        raise UsageError(
            "An atlas has one file per hemisphere.",
            found=option,
            wanted=WANTED,
            remedy="give the two files with a comma between: LEFT,RIGHT",
        )
    for path in paths:
        if not path.is_file():
            raise MissingInputError(
                "An atlas file is not there.",
                where=path,
                found="no file",
                wanted=WANTED,
                remedy="give existing files to --atlas or --networks",
            )
        need_content(path, "An atlas file is not there.")
    label = safe_label(name) if name else files_label(paths[0], ("atlas", "seg"))
    return label, (paths[0], paths[1])


def installed_atlas(space: str) -> Atlas | None:
    """The Desikan atlas of `musenc prefetch parcels`; None where it is not installed."""
    found = [read_atlas(option, 2 * N_VERTICES[space]) for option in installed_option(space)]
    return found[0] if found else None


def installed_option(space: str) -> tuple[str, ...]:
    """Option text of the Desikan atlas of `musenc prefetch parcels`; empty if not installed."""
    if space not in DENSITIES:
        return ()
    paths = cortex_mask_paths("templateflow", space)
    if not all(path.is_file() and path.stat().st_size for path in paths):
        return ()
    return (f"Desikan={','.join(map(str, paths))}",)


def absolute_atlas(option: str) -> str:
    """Option text of an atlas with absolute paths."""
    label, files = atlas_files(option)
    return f"{label}={','.join(map(str, files))}"


def read_atlas(option: str, n_vertices: int) -> Atlas:
    """Read the atlas of ``[NAME=]LEFT,RIGHT``.

    Vertices without a region are those of number 0 or below, and those called unknown, medial
    wall, background or corpus callosum.

    Parameters
    ----------
    option : str
        FreeSurfer annotations (.annot) or GIFTI labels, left file first.
    n_vertices : int
        Of both hemispheres together.

    Raises
    ------
    UsageError, MissingInputError
        As `atlas_files`.
    BadDataError
        If a file cannot be read, is on another mesh or of the other hemisphere, or has no region.
    """
    label, files = atlas_files(option)
    regions: list[NDArray[np.int64]] = []
    names: dict[int, str] = {}
    hemispheres: dict[int, str] = {}
    for hemi, path in zip(HEMISPHERES, files, strict=True):
        keys, key_names = _read(path)
        if len(keys) != n_vertices // 2:
            raise BadDataError(
                "An atlas is on another mesh than the maps.",
                where=path,
                found=f"{len(keys)} vertices",
                wanted=f"{n_vertices // 2} vertices per hemisphere",
                remedy="give the atlas on the mesh of the maps, or resample it",
            )
        used = [key for key in np.unique(keys).tolist() if _is_region(key, key_names.get(key, ""))]
        if not used:
            raise BadDataError(
                "An atlas has no region.",
                where=path,
                found=", ".join(key_names.values()) or "no names",
                wanted="a label other than background and medial wall",
                remedy="give another atlas",
            )
        own = np.zeros(len(keys), dtype=np.int64)
        for number, key in enumerate(used, start=len(names) + 1):
            own[keys == key] = number
            names[number] = key_names.get(key) or str(key)
            hemispheres[number] = hemi
        regions.append(own)
    check_sides(files, "--atlas or --networks")
    return Atlas(label, np.concatenate(regions), names, hemispheres, files)


def installed_networks(space: str) -> tuple[str, ...]:
    """Option text of the networks of `musenc prefetch networks`; empty if not installed."""
    paths = networks_paths()
    if space != "fsaverage5" or not all(p.is_file() and p.stat().st_size for p in paths):
        return ()
    return (f"{INSTALLED_NETWORKS}={','.join(map(str, paths))}",)


def network_of(name: str) -> str | None:
    """The network that a label of Yeo et al. (2011) or Schaefer et al. (2018) belongs to.

    Sources: doi:10.1152/jn.00338.2011, doi:10.1093/cercor/bhx179.

    Returns
    -------
    str or None
        None for other labels.

    Examples
    --------
    >>> network_of("7Networks_7"), network_of("7Networks_LH_SomMot_12")
    ('Default mode', 'Somatomotor')
    >>> network_of("17Networks_RH_ContA_PFCl_1"), network_of("17Networks_3"), network_of("insula")
    ('ContA', '17Networks_3', None)
    """
    found = _NETWORK.fullmatch(name)
    if found is None:
        return None
    count, rest = found.groups()
    if rest.isdigit():
        known = count == "7" and 1 <= int(rest) <= len(_SEVEN)
        return _SEVEN[int(rest) - 1] if known else name
    first = rest.split("_")[0]
    return _SHORT.get(first, first) if count == "7" else first


def read_networks(option: str, n_vertices: int) -> Atlas:
    """Read networks: regions that have one name are one, over both hemispheres.

    Labels of Yeo's networks, whole or split, and of Schaefer's parcels become networks by name;
    other labels in their files are left out. In other files names count without the hemisphere.

    Parameters
    ----------
    option, n_vertices
        As of `read_atlas`.

    Raises
    ------
    UsageError, MissingInputError, BadDataError
        As `read_atlas`.
    """
    atlas = read_atlas(option, n_vertices)
    known = {number: network_of(name) for number, name in atlas.names.items()}
    if not any(known.values()):
        known = {number: _SIDE.sub("", name) for number, name in atlas.names.items()}
    names = list(dict.fromkeys(name for name in known.values() if name))
    if set(names) <= set(_SEVEN):
        names.sort(key=_SEVEN.index)
    regions = np.zeros_like(atlas.regions)
    for number, name in known.items():
        if name:
            regions[atlas.regions == number] = names.index(name) + 1
    told = dict(enumerate(names, start=1))
    return Atlas(atlas.label, regions, told, dict.fromkeys(told, BOTH), atlas.files)


def _is_region(key: int, name: str) -> bool:
    letters = "".join(filter(str.isalpha, name.lower()))
    return key > 0 and name != "???" and not any(word in letters for word in NO_CORTEX)


def _read(path: Path) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Key of every vertex and names of the keys."""
    wanted = "a FreeSurfer annotation or a label GIFTI"
    with reading(path, "An atlas file cannot be read.", wanted=wanted):
        if path.name.endswith(".annot"):
            return _read_annotation(path)
        image = load_gifti(path)
        keys = np.asarray(image.darrays[0].data)
        if keys.ndim != 1 or not (keys == np.rint(keys)).all():
            raise ValueError(f"shape {keys.shape}, or values that are no whole numbers")
        keys = keys.astype(np.int64)
        return keys, {int(one.key): str(one.label or "") for one in image.labeltable.labels}


def _read_annotation(path: Path) -> tuple[NDArray[np.int64], dict[int, str]]:
    # Numbers are places in the table; the first is a region like others in some atlases.
    index, _, labels = load_annotation(path)
    return index.astype(np.int64) + 1, {k + 1: one.decode() for k, one in enumerate(labels)}
