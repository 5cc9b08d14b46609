"""Meshes that maps may be on: one row each, which everything else reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FSAVERAGE, FSLR = "fsaverage", "fsLR"


@dataclass(frozen=True)
class MeshRow:
    """A template at one density.

    Attributes
    ----------
    name : str
        What ``--space`` and fMRIPrep's short form call it.
    template : str
        TemplateFlow's name: entity ``tpl`` of group maps, ``space`` of a participant's.
    density : str
        Entity ``den``.
    n_vertices : int
        Of a hemisphere.
    source : {"nilearn", "templateflow", "neuromaps"}
        Whose files its surfaces are.
    prefetch : str
        Name of ``musenc prefetch``; empty where nothing is to be fetched.
    fmriprep : str
        Option with which fMRIPrep writes series on it.
    chosen : bool
        Whether ``--space`` offers it.
    own_cortex : bool
        Whether a label file beside its surfaces says which vertices are cortex.
    cifti : bool
        Whether results are written as CIFTI, too.
    """

    name: str
    template: str
    density: str
    n_vertices: int
    source: Literal["nilearn", "templateflow", "neuromaps"] = "nilearn"
    prefetch: str = ""
    fmriprep: str = ""
    chosen: bool = True
    own_cortex: bool = False
    cifti: bool = False

    @property
    def nested(self) -> bool:
        """Whether the first vertices are a coarser mesh of the family, as in FreeSurfer."""
        return self.template == FSAVERAGE


_ROWS = (
    MeshRow("fsaverage3", FSAVERAGE, "642", 642, chosen=False),
    MeshRow("fsaverage4", FSAVERAGE, "3k", 2562, chosen=False),
    MeshRow("fsaverage5", FSAVERAGE, "10k", 10242, fmriprep="--output-spaces fsaverage5"),
    MeshRow(
        "fsaverage6",
        FSAVERAGE,
        "41k",
        40962,
        "templateflow",
        "meshes",
        "--output-spaces fsaverage6",
    ),
    MeshRow(
        "fsaverage",
        FSAVERAGE,
        "164k",
        163842,
        "templateflow",
        "meshes-164k",
        "--output-spaces fsaverage",
    ),
    MeshRow(
        FSLR,
        FSLR,
        "32k",
        32492,
        "neuromaps",
        "meshes-fslr",
        "--cifti-output 91k",
        own_cortex=True,
        cifti=True,
    ),
)
MESHES = {row.name: row for row in _ROWS}
N_VERTICES = {row.name: row.n_vertices for row in _ROWS}
"""Vertices per hemisphere; a mesh of fsaverage is a prefix of the next, as in FreeSurfer."""
DENSITIES = {row.name: row.density for row in _ROWS}
"""The ``den-`` entity of the meshes."""
SPACES = tuple(row.name for row in _ROWS if row.chosen)
"""Meshes of BOLD and maps, the default first."""


def mesh_at(template: str, density: str) -> str:
    """Name of the mesh of a template at a density; empty where none is known.

    Examples
    --------
    >>> mesh_at("fsaverage", "10k"), mesh_at("fsLR", "32k"), mesh_at("fsLR", "59k")
    ('fsaverage5', 'fsLR', '')
    """
    found = (r.name for r in _ROWS if (r.template, r.density) == (template, density))
    return next(found, "")
