"""Seed regions: a surface label, a coordinate, or a mask of the MNI volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import reading
from bids_app.inputs.files import need_content
from bids_app.inputs.names import parse_name, run_entities
from bids_app.inputs.records import BoldRun
from bids_app.loading import load_volume

_COORDINATE = re.compile(
    r"(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)(?:@(\d+(?:\.\d+)?))?"
)
DEFAULT_RADIUS = 6.0


@dataclass(frozen=True)
class SeedRegion:
    """Where a series is taken from.

    Attributes
    ----------
    text : str
        As the user wrote it.
    kind : str
        ``label``, ``coordinate`` or ``volume``.
    path : Path or None
        Of a label or a mask.
    label : str or None
        Name within a GIFTI label file.
    hemi : str or None
        ``L`` or ``R``, for labels.
    center : tuple of float or None
        x, y, z in mm.
    radius : float
        mm around the center.
    """

    text: str
    kind: str
    path: Path | None = None
    label: str | None = None
    hemi: str | None = None
    center: tuple[float, float, float] | None = None
    radius: float = DEFAULT_RADIUS

    @property
    def name(self) -> str:
        """As the user wrote it, without folders: where a file lies changes no result."""
        if self.path is None:
            return self.text
        return f"{self.path.name}:{self.label}" if self.label else self.path.name


def parse_seed(text: str) -> SeedRegion:
    """Understand a seed as it is given on a command line.

    ``lh.aSTG.label``, ``atlas_hemi-L.label.gii:aSTG`` (label files; the hemisphere is in the name),
    ``-52,4,-8@6`` (x,y,z in mm and radius; on the surface), ``ic_mask.nii.gz`` (a mask in MNI
    space).

    Raises
    ------
    UsageError
        If it is none of these.
    """
    match = _COORDINATE.fullmatch(text.replace(" ", ""))
    if match:
        x, y, z, radius = match.groups()
        center = (float(x), float(y), float(z))
        return SeedRegion(text, "coordinate", center=center, radius=float(radius or DEFAULT_RADIUS))
    file, _, label = text.partition(":") if text.count(":") == 1 else (text, "", "")
    path = Path(file).absolute()
    if path.name.endswith((".nii", ".nii.gz")):
        return SeedRegion(text, "volume", path=path)
    if path.name.endswith((".label", ".label.gii", ".func.gii", ".shape.gii")):
        hemi = _hemisphere(path.name)
        if hemi is None:
            raise UsageError(
                "The hemisphere of a label is not in its name.",
                where=text,
                wanted="lh. or rh. at the start, or hemi-L or hemi-R",
                remedy="rename the file",
            )
        return SeedRegion(text, "label", path=path, label=label or None, hemi=hemi)
    raise UsageError(
        "A seed region cannot be understood.",
        where=text,
        found="another form",
        wanted="a .label or .label.gii file, x,y,z[@radius] in mm, or a .nii.gz mask",
        remedy="give the region in one of these forms",
    )


def _hemisphere(name: str) -> str | None:
    if name.startswith(("lh.", "L.")) or "hemi-L" in name:
        return "L"
    return "R" if name.startswith(("rh.", "R.")) or "hemi-R" in name else None


def loaded(path: Path, load: Callable[[Path], Any]) -> Any:
    """What `load` makes of a file that is there.

    Raises
    ------
    MissingInputError, BadDataError
    """
    what = "A seed region cannot be read."
    need_content(path, what)
    wanted = "a FreeSurfer label, a GIFTI file, or a NIfTI mask"
    with reading(path, what, wanted=wanted):
        return load(path)


def check_mask(path: Path) -> None:
    """Refuse a mask in the volume that cannot be read.

    Raises
    ------
    MissingInputError, BadDataError
    """
    mask = loaded(path, _volume)
    if mask.ndim != 3 or not (np.nan_to_num(mask) > 0.5).any():
        raise BadDataError(
            "A seed mask cannot be used.",
            where=path,
            found=f"shape {mask.shape}, highest value {np.nan_to_num(mask).max(initial=0):g}",
            wanted="one volume with ones inside the region",
            remedy="give a three-dimensional mask that is 1 in the region and 0 elsewhere",
        )


def _volume(path: Path) -> np.ndarray:
    return np.asarray(load_volume(path).dataobj)


def find_volume(run: BoldRun, wanted_by: str = "a seed in the volume") -> Path:
    """FMRIPrep's preprocessed volume of a run in an MNI space, beside the surface files.

    Parameters
    ----------
    run : BoldRun
    wanted_by : str
        What needs it.

    Raises
    ------
    MissingInputError
        If there is none; the file that is wanted is described.
    """
    folder = run.bold_left.parent
    wanted = run_entities(run.entities)
    found = [
        (not file.entities["space"].startswith("MNI152NLin2009c"), file.path.name, file.path)
        for file in map(parse_name, sorted(folder.glob("*_bold.nii*")))
        if file.entities.get("space", "").startswith("MNI")
        and file.entities.get("desc", "preproc") == "preproc"
        and run_entities(file.entities) == wanted
    ]
    if not found:
        name = f"{run.label}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
        raise MissingInputError(
            "A run has no volume in MNI space.",
            where=folder,
            found="no such file",
            wanted=f"{name}, for {wanted_by}",
            remedy="run fMRIPrep with --output-spaces MNI152NLin2009cAsym",
        )
    return min(found)[2]


def read_volume_seed(volume: Path, mask: Path) -> np.ndarray:
    """Series of the voxels of a mask, which may have other voxels than the volume.

    Parameters
    ----------
    volume : Path
        4-D image.
    mask : Path
        3-D image in the same space; voxels above 0.5 count, after nearest-neighbor resampling.

    Returns
    -------
    ndarray of shape (n_times, n_voxels)

    Raises
    ------
    MissingInputError
        If a file is not there.
    BadDataError
        If the mask covers no voxel of the volume.
    """
    from nilearn.image import resample_to_img

    image, region = loaded(volume, load_volume), loaded(mask, load_volume)
    first = image.slicer[..., 0]
    moved = resample_to_img(
        region, first, interpolation="nearest", force_resample=True, copy_header=True
    )
    inside = np.asarray(moved.dataobj) > 0.5
    if not inside.any():
        raise BadDataError(
            "A seed mask covers no voxel of the volume.",
            where=mask,
            found=f"volume {volume.name} of shape {first.shape}",
            wanted="a mask in the same MNI space",
            remedy="resample the mask to the space of fMRIPrep's volumes",
        )
    return np.asarray(image.dataobj)[inside].T.astype(np.float64)
