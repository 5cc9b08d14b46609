"""A dataset's own gradient, from its resting runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.responses import clean, read_run
from bids_app.config import Cleaning
from bids_app.errors import BadDataError, UsageError
from bids_app.group.own_gradient import (
    ALPHA,
    KEPT_SHARE,
    ComponentChoice,
    choose_component,
    connectivity,
    diffusion_map,
    extend,
    mean_connectivity,
    strongest,
)
from bids_app.inputs.records import BoldRun
from bids_app.loading import load_array
from bids_app.meshes import N_VERTICES
from bids_app.surface.mesh import load_mesh, nearest_vertices

FloatArray = NDArray[np.float64]

SAME_PEOPLE = "SamePeople"
"""Field of the sidecar by which such a gradient is known."""
MIN_VOLUMES = 200
"""Of a run; with fewer, connectivity is mostly noise."""
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class OwnGradient:
    """The gradient of a dataset.

    Attributes
    ----------
    values : (n_vertices,) float64
        The chosen component, with the sign of the template; NaN where somebody has no signal.
    components : (n_components, n_vertices) float64
        All, with the signs they came with.
    choice : ComponentChoice
    eigenvalues : (n_components,) float64
    runs : tuple of str
    warnings : tuple of str
    """

    values: FloatArray
    components: FloatArray
    choice: ComponentChoice
    eigenvalues: FloatArray
    runs: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def record(self) -> dict[str, Any]:
        """What its sidecar says."""
        return {
            "Method": "diffusion map embedding (Margulies et al. 2016) of the mean Fisher z of "
            "participants' connectivity between vertices of fsaverage4, extended to this mesh "
            "(Nystrom)",
            "Kernel": "cosine",
            "KeptShareOfEachRow": KEPT_SHARE,
            "Alpha": ALPHA,
            "Component": self.choice.number,
            "CorrelationWithTemplate": self.choice.r,
            "SignChanged": self.choice.flipped,
            "RunnerUp": self.choice.second,
            "CorrelationOfRunnerUp": self.choice.second_r,
            "Eigenvalues": self.eigenvalues.tolist(),
            "Runs": list(self.runs),
            "Warnings": list(self.warnings),
            SAME_PEOPLE: "made from runs of the people whose maps it is compared with",
        }


def own_gradient(
    runs: Sequence[BoldRun],
    cleaning: Cleaning,
    template: FloatArray,
    folder: Path,
    progress: Callable[[str], None] | None = None,
) -> OwnGradient:
    """Embed the mean connectivity of all participants.

    Parameters
    ----------
    runs : sequence of BoldRun
        Resting runs. Participants count alike, however many they have.
    cleaning : Cleaning
        As of the music runs.
    template : (n_vertices,) array
        What the component is chosen by.
    folder : Path
        For cleaned runs.
    progress : callable, optional
        Called with what is done next.

    Raises
    ------
    UsageError
        If the mesh is coarser than fsaverage5.
    BadDataError
        If nothing has a signal in everybody, the graph falls apart, or no component is like the
        template.
    """
    mesh = load_mesh(cleaning.space)
    if mesh.left.n_vertices <= N_VERTICES["fsaverage4"]:
        raise UsageError(
            "The gradient is made on fsaverage4 and extended to a finer mesh.",
            where="--space",
            found=cleaning.space,
            wanted="fsaverage5 or finer",
        )
    tell = progress or (lambda _: None)
    files: dict[str, list[Path]] = {}
    good = np.ones(mesh.n_vertices, dtype=bool)
    warnings = []
    for number, run in enumerate(runs):
        tell(run.label)
        values = clean(read_run(run, cleaning, mesh)).values
        values = values[np.isfinite(values).any(axis=1)]  # without volumes that were dropped
        if len(values) < MIN_VOLUMES:
            warnings.append(f"{run.label}: {len(values)} volumes, {MIN_VOLUMES} are wanted")
        good &= np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)
        path = folder / f"{number}.npy"
        np.save(path, values)
        files.setdefault(run.participant, []).append(path)
    kept = np.flatnonzero(good)
    seeds = np.flatnonzero(np.isin(kept, nearest_vertices(mesh, "fsaverage4")))
    if not seeds.size:
        raise BadDataError("No vertex has a signal in all resting runs.", found=f"{len(runs)} runs")

    def mean_rows(rows: slice) -> NDArray[np.float32]:
        people = (
            mean_connectivity(
                connectivity(load_array(path, mapped=True)[:, kept], seeds, rows) for path in own
            )
            for own in files.values()
        )
        return strongest(np.tanh(mean_connectivity(people)))

    tell("connectivity")
    rows = np.concatenate(
        [mean_rows(slice(start, start + _ROWS)) for start in range(0, kept.size, _ROWS)]
    )
    tell("embedding")
    embedding = diffusion_map(rows[seeds])
    components = np.full((embedding.eigenvalues.size, mesh.n_vertices), np.nan)
    components[:, kept] = extend(embedding, rows[seeds], rows).T
    choice = choose_component(components.T, template)
    values = components[choice.number - 1] * (-1 if choice.flipped else 1)
    return OwnGradient(
        values,
        components,
        choice,
        embedding.eigenvalues,
        tuple(run.label for run in runs),
        tuple(warnings),
    )
