"""Which subcortical voxels are analyzed, and a run's series of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_app.analyses.participant.responses import RunData, nuisance_of
from bids_app.config import Cleaning, Model
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import sha256_of_file
from bids_app.inputs.files import content_problem
from bids_app.inputs.names import parse_name
from bids_app.inputs.records import BoldRun
from bids_app.inputs.seeds import find_volume
from bids_app.meshes import FSLR
from bids_app.plain import some_of
from bids_app.surface.mesh import load_mesh
from bids_app.surface.subcortex import Subcortex, read_labeled, read_labels, read_subcortex

_WITH_ATLAS = "--subcortex-atlas"


@dataclass(frozen=True)
class Voxels:
    """What `Model` asks for: nothing, CIFTI's own structures, or the regions of an atlas.

    Attributes
    ----------
    wanted : bool
    atlas : Path or None
        Of volumes in MNI space; None for the voxels of 91k CIFTI series.
    """

    wanted: bool = False
    atlas: Path | None = None

    @classmethod
    def of(cls, model: Model) -> Voxels:
        """From the options."""
        return cls(model.has_voxels, model.subcortex_atlas)

    @property
    def asked(self) -> dict[str, str]:
        """For the inputs of a record: what was done without is done again."""
        if not self.wanted:
            return {}
        atlas = "" if self.atlas is None else f" with atlas {sha256_of_file(self.atlas)}"
        return {"subcortex": f"fitted{atlas}"}

    def path(self, run: BoldRun) -> Path:
        """The file of a run that has the voxels.

        Raises
        ------
        MissingInputError
        """
        if self.atlas is not None:
            return find_volume(run, _WITH_ATLAS)
        if run.grayordinates is None:
            _check_grayordinates([run])
        assert run.grayordinates is not None
        return run.grayordinates

    def files(self, runs: Sequence[BoldRun]) -> list[Path]:
        """Files whose content counts, those of `runs` and of the atlas."""
        if not self.wanted:
            return []
        own = [self.path(run) for run in runs]
        if self.atlas is None:
            return own
        table = self.atlas.with_name(f"{self.atlas.name.split('.nii')[0]}.tsv")
        return [*own, self.atlas, *([table] if table.is_file() else [])]

    def space(self, runs: Sequence[BoldRun]) -> str:
        """Where they are."""
        if self.atlas is None or not runs:
            return FSLR
        return parse_name(self.path(runs[0])).entities.get("space", "MNI")


def check_voxels(runs: Sequence[BoldRun], model: Model) -> None:
    """Whether every run has its voxels, before any work.

    Raises
    ------
    MissingInputError, BadDataError, UsageError
    """
    voxels = Voxels.of(model)
    if voxels.atlas is None:
        _check_grayordinates(runs)
        return
    if model.subcortex:
        raise UsageError(
            "Subcortical voxels are read from CIFTI series or from volumes, not from both.",
            where=f"--subcortex {_WITH_ATLAS}",
            found="--subcortex and --subcortex-atlas",
            wanted="one of them",
            remedy="give one of them; results of both fit into two output folders",
        )
    read_labels(voxels.atlas)
    spaces = {voxels.space([run]) for run in runs}
    if len(spaces) > 1:
        raise BadDataError(
            "Volumes of runs are in different spaces, and an atlas is in one.",
            where=_WITH_ATLAS,
            found=", ".join(sorted(spaces)),
            wanted="one space of all runs",
            remedy="run fMRIPrep with the same --output-spaces for everybody",
        )


def _check_grayordinates(runs: Sequence[BoldRun]) -> None:
    lacking = [run.label for run in runs if run.grayordinates is None]
    gone = [
        f"{run.label} ({problem})"
        for run in runs
        if run.grayordinates is not None and (problem := content_problem(run.grayordinates))
    ]
    if found := [*lacking, *gone]:
        raise MissingInputError(
            "Subcortical voxels are read from CIFTI series, which some runs lack.",
            where="--subcortex",
            found=some_of(found),
            wanted="*_space-fsLR_den-91k_bold.dtseries.nii of every run",
            remedy="run fMRIPrep with --cifti-output 91k, leave these runs out with --exclude-run, "
            f"give an atlas of volumes with {_WITH_ATLAS}, or leave out --subcortex",
        )


class VoxelReader:
    """Reads the voxels of one run after the other; all have the same ones.

    Parameters
    ----------
    voxels : Voxels
    cleaning : Cleaning

    Attributes
    ----------
    known : Subcortex or None
        Of the runs read so far.
    """

    def __init__(self, voxels: Voxels, cleaning: Cleaning) -> None:
        self.voxels, self.cleaning = voxels, cleaning
        self.known: Subcortex | None = None

    def __call__(self, run: BoldRun) -> RunData:
        """Series of the voxels in the place of vertices.

        Raises
        ------
        MissingInputError, BadDataError
            If a file cannot be read, or is of other voxels or another length than it should be.
        """
        path, atlas = self.voxels.path(run), self.voxels.atlas
        found, series = read_subcortex(path) if atlas is None else read_labeled(path, atlas)
        self.known = self.known or found
        if not found.is_like(self.known):
            raise BadDataError(
                "Runs have other subcortical voxels.",
                where=path,
                found=f"{len(found.voxels)} voxels",
                wanted=f"the {len(self.known.voxels)} voxels of the first run",
                remedy="run fMRIPrep again with the same options for all runs",
            )
        n_kept = run.n_volumes - len(run.censored)
        if len(series) != n_kept:
            raise BadDataError(
                "A series of subcortical voxels has another length than the run.",
                where=path,
                found=f"{len(series)} volumes",
                wanted=f"{n_kept}",
                remedy="run fMRIPrep again for this run",
            )
        whole = np.full((run.n_volumes, series.shape[1]), np.nan, dtype=np.float32)
        whole[np.setdiff1d(np.arange(run.n_volumes), run.censored)] = series
        if not (np.nanstd(series, axis=0) > 0).any():
            raise BadDataError(
                "No subcortical voxel of a run has a signal.",
                where=path,
                found="only constants",
                wanted="a voxel that varies",
                remedy="see fMRIPrep's report of that run, or leave it out (--exclude-run)",
            )
        selected, drift = nuisance_of(run, self.cleaning, run.n_volumes)
        mesh, inside = load_mesh(self.cleaning.space), np.ones(whole.shape[1], dtype=bool)
        smoothing = self.cleaning.smoothing
        return RunData(run, mesh, whole, inside, selected, drift, smoothing, self.known)
