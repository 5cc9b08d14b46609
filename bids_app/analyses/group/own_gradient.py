"""A study's own gradient, from cleaned resting runs of its people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bids_app.analyses.folder.read import read_completed
from bids_app.errors import BadDataError, MusencError, UsageError, reason_of
from bids_app.files import read_json
from bids_app.group import omnibus_alignment, spin_alignment
from bids_app.group.own_gradient import (
    ALPHA,
    KEPT_SHARE,
    ComponentChoice,
    align_components,
    choose_component,
    connectivity,
    diffusion_map,
    extend,
    mean_connectivity,
    strongest,
)
from bids_app.loading import load_array
from bids_app.meshes import N_VERTICES
from bids_app.outputs import (
    ALIGNMENT_DESC,
    BEYOND_ALIGNMENT_DESC,
    OWN_DESC,
    TWINS_DESC,
    OutputTree,
)
from bids_app.resources import OWN_GRADIENT
from bids_app.surface.mesh import SurfaceMesh, nearest_vertices

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

SAME_PEOPLE = "SamePeople"
"""Field of the sidecar by which such a gradient is known."""
OWN_BY = "own, by"
"""What settings hold of the own gradient, before the checksums of its template."""
COARSE = "fsaverage4"
"""Mesh that is embedded, at the nearest vertices of the mesh of the maps."""
_ROWS = 2048


def refusal(tree: OutputTree) -> str:
    """Why the folder has no own gradient although it was asked for; empty where it has."""
    done = tree.group_table("settings.json", desc=OWN_DESC)
    return str(read_json(done).get("Refused") or "") if done.is_file() else ""


def remove_aligned(tree: OutputTree, model: str = "*") -> None:
    """Remove what was aligned with an own gradient that is no more, of one model or of all.

    Results of a user's files of the same name stay.
    """
    for desc in (ALIGNMENT_DESC, TWINS_DESC, BEYOND_ALIGNMENT_DESC):
        for done in sorted(
            tree.root.glob(f"group_model-{model}_desc-{desc}{OWN_GRADIENT}_settings.json")
        ):
            try:
                known = read_completed(done, Settings=dict)
            except MusencError as error:
                LOGGER.warning("group: %s stays, of an earlier own gradient: %s", done, error.found)
                continue
            if OWN_BY not in (known["Settings"].get("gradient") or ()):
                continue
            LOGGER.warning(
                "group: %s and its files are of an earlier own gradient, and are removed", done
            )
            for name in map(str, known["Outputs"]):
                of_model = name.startswith(("group_", "tpl-")) and "model-" in name
                if of_model and ".." not in name:
                    (tree.root / name).unlink(missing_ok=True)
            done.unlink()  # last: a call that ends before leaves it to the next one


class RestSeries:
    """Cleaned resting runs, kept on disk and read a part at a time.

    Parameters
    ----------
    folder : Path
        For the runs.
    mesh : SurfaceMesh

    Attributes
    ----------
    mesh : SurfaceMesh
    files : dict of str to list of Path
        Runs of each participant.
    runs, warnings : list of str
        Labels, and their warnings.

    Raises
    ------
    UsageError
        If the mesh is coarser than fsaverage5.
    """

    def __init__(self, folder: Path, mesh: SurfaceMesh) -> None:
        self.folder, self.mesh = folder, mesh
        if mesh.left.n_vertices <= N_VERTICES[COARSE]:
            raise UsageError(
                "The gradient is made on fsaverage4 and extended to a finer mesh.",
                where="--space",
                found=mesh.space,
                wanted="fsaverage5 or finer",
                remedy="run both levels with --space fsaverage5, or leave own out of --gradient",
            )
        self.files: dict[str, list[Path]] = {}
        self.runs: list[str] = []
        self.warnings: list[str] = []
        self._good = np.ones(mesh.n_vertices, dtype=bool)
        self._coarse = nearest_vertices(mesh, COARSE)

    def add(
        self, participant: str, run: str, values: NDArray[np.float32], warnings: Sequence[str] = ()
    ) -> None:
        """A run of (n_times, n_vertices)."""
        self._good &= np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)
        path = self.folder / f"{len(self.runs)}.npy"
        np.save(path, values)
        self.files.setdefault(participant, []).append(path)
        self.runs.append(run)
        self.warnings += [f"{run}: {text}" for text in warnings]

    @property
    def kept(self) -> NDArray[np.intp]:
        """Vertices with a signal in every run."""
        return np.flatnonzero(self._good)

    @property
    def seeds(self) -> NDArray[np.intp]:
        """Where in `kept` those of the coarse mesh are."""
        return np.flatnonzero(np.isin(self.kept, self._coarse))

    def rows(self, people: Sequence[str]) -> NDArray[np.float32]:
        """Strongest connectivity of the mean of these people, (n_kept, n_seeds).

        Raises
        ------
        BadDataError
            If no vertex has a signal in every run.
        """
        kept, seeds = self.kept, self.seeds
        if not seeds.size:
            raise BadDataError(
                "No vertex has a signal in all resting runs.",
                found=f"{len(self.runs)} runs",
                wanted="a vertex that varies in every run",
                remedy="see fMRIPrep's reports of the resting runs, and leave bad ones out "
                "(--exclude-run)",
            )
        found = np.empty((kept.size, seeds.size), dtype=np.float32)
        for start in range(0, kept.size, _ROWS):
            part = slice(start, start + _ROWS)
            each = (
                mean_connectivity(
                    connectivity(load_array(path, mapped=True)[:, kept], seeds, part)
                    for path in self.files[who]
                )
                for who in people
            )
            found[part] = strongest(np.tanh(mean_connectivity(each)))
        return found


@dataclass(frozen=True, eq=False)
class OwnGradient:
    """The gradient of a study.

    Attributes
    ----------
    values : (n_vertices,) float64
        The chosen component, with the sign of the template; NaN where somebody has no signal.
    components : (n_components, n_vertices) float64
        All, with the signs they came with.
    choice : ComponentChoice
    eigenvalues : (n_components,) float64
    n_seeds : int
        Vertices that were embedded.
    variances : (n_components,) float64
        Of the components over these.
    runs : tuple of str
    warnings : tuple of str
    """

    values: FloatArray
    components: FloatArray
    choice: ComponentChoice
    eigenvalues: FloatArray
    n_seeds: int
    variances: FloatArray
    runs: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the chosen component in the variance of all."""
        return float(self.variances[self.choice.number - 1] / self.variances.sum())

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
            "SeedVertices": self.n_seeds,
            "Component": self.choice.number,
            "CorrelationWithTemplate": self.choice.r,
            "SignChanged": self.choice.flipped,
            "RunnerUp": self.choice.second,
            "CorrelationOfRunnerUp": self.choice.second_r,
            "Eigenvalues": self.eigenvalues.tolist(),
            "Variances": self.variances.tolist(),
            "VarianceShare": self.share,
            "Runs": list(self.runs),
            "Warnings": list(self.warnings),
            SAME_PEOPLE: "made from runs of the people whose maps it is compared with",
        }


@dataclass(frozen=True, eq=False)
class PersonGradient:
    """A participant's gradient, aligned with the group's.

    Attributes
    ----------
    participant : str
    values : (n_vertices,) float64
        NaN where there is none.
    rho : float
        Spearman correlation with the group's.
    share : float
        Of its direction in the variance of the participant's components.
    reason : str
        Why there is none; empty where there is.
    """

    participant: str
    values: FloatArray
    rho: float = float("nan")
    share: float = float("nan")
    reason: str = ""


def find_gradient(
    series: RestSeries, template: FloatArray, tell: Callable[[str], None] = lambda _: None
) -> OwnGradient:
    """Embed the mean connectivity of all participants.

    Parameters
    ----------
    series : RestSeries
        Participants count alike, however many runs they have.
    template : (n_vertices,) array
        What the component is chosen by.
    tell : callable
        Called with what is done next.

    Raises
    ------
    BadDataError
        If nothing has a signal in everybody, the graph falls apart, or no component is like the
        template.
    """
    tell(f"connectivity of {len(series.files)} participants")
    rows, seeds = series.rows(list(series.files)), series.seeds
    tell("embedding")
    embedding = diffusion_map(rows[seeds])
    components = np.full((embedding.eigenvalues.size, len(template)), np.nan)
    components[:, series.kept] = extend(embedding, rows[seeds], rows).T
    choice = choose_component(components.T, template)
    return OwnGradient(
        components[choice.number - 1] * (-1 if choice.flipped else 1),
        components,
        choice,
        embedding.eigenvalues,
        int(seeds.size),
        embedding.components.var(axis=0),
        tuple(series.runs),
        tuple(series.warnings),
    )


def each_gradient(
    series: RestSeries, group: OwnGradient, tell: Callable[[str], None] = lambda _: None
) -> Iterator[PersonGradient]:
    """Every participant's own components, rotated to the group's.

    Who has no connected graph has none, with the reason.
    """
    kept, seeds = series.kept, series.seeds
    number, sign = group.choice.number - 1, -1 if group.choice.flipped else 1
    for who in series.files:
        tell(f"gradient of sub-{who}")
        values = np.full(group.values.shape, np.nan)
        rows = series.rows([who])
        try:
            own = diffusion_map(rows[seeds], group.eigenvalues.size)
        except BadDataError as error:
            yield PersonGradient(who, values, reason=reason_of(error))
            continue
        everywhere = extend(own, rows[seeds], rows)
        found = align_components(own.components, group.components[:, kept[seeds]].T, everywhere)
        values[kept] = sign * found.values[:, number]
        there = np.isfinite(values) & np.isfinite(group.values)
        rho = float(spearmanr(values[there], group.values[there]).statistic)
        yield PersonGradient(who, values, rho, float(found.shares[number]))


def spin_p(
    found: OwnGradient,
    template: FloatArray,
    mesh: SurfaceMesh,
    *,
    n_spins: int,
    seed: int,
    n_threads: int = 1,
) -> float:
    """How often a rotated template finds a component that is as much like it.

    The best of all components was chosen, so the best of all counts in every rotation.
    """
    there = np.isfinite(template) & np.isfinite(found.components).all(axis=0)
    result = spin_alignment(
        found.components,
        template,
        there,
        spheres=mesh.spheres,
        n_spins=n_spins,
        seed=seed,
        n_threads=n_threads,
    )
    return float(omnibus_alignment(result).p_corrected[found.choice.number - 1])
