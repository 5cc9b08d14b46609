"""Where things are on the simulated cortex: gradient, responding patches.

Fields over both hemispheres are stacked left, then right. Smooth random fields are sums of Gaussian
bumps placed at random on the spheres, so that they cost one product whatever their number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import KDTree
from scipy.stats import rankdata

from bids_app.errors import BadDataError
from bids_app.surface.mesh import Hemisphere, SurfaceMesh

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

N_LAYERS = 23
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))

# Millimeters in fsaverage's space, left hemisphere; the right one is mirrored.
_AUDITORY = (-46.0, -20.0, 8.0)
_SENSORY = (_AUDITORY, (-8.0, -82.0, 4.0), (-36.0, -24.0, 56.0), (-10.0, -36.0, 66.0))
_TRANSMODAL = (
    (-8.0, 52.0, 6.0),
    (-8.0, -52.0, 30.0),
    (-46.0, -66.0, 36.0),
    (-58.0, -14.0, -20.0),
    (-22.0, 30.0, 46.0),
)


def smooth_basis(mesh: SurfaceMesh, fwhm: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Random Gaussian bumps from which smooth random fields are mixed.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    fwhm : float
        Full width at half maximum of a bump, mm along the sphere.
    rng : Generator
        Places the bumps.

    Returns
    -------
    (n_bumps, n_vertices) CSR
        Columns of unit length: standard normal weights give fields of unit variance. Hemispheres
        share no bump.
    """
    sigma = fwhm / _FWHM
    # 1.5 sigma apart on average: every vertex is within reach of about twenty bumps.
    n_bumps = max(16, round(4 * np.pi * 100.0**2 / (1.5 * sigma) ** 2))
    blocks = []
    for hemi in mesh.hemispheres:
        centers = rng.standard_normal((n_bumps, 3))
        centers *= 100.0 / np.linalg.norm(centers, axis=1, keepdims=True)
        reach = 200.0 * np.sin(min(2.0 * sigma / 100.0, np.pi / 2))
        near = KDTree(centers).sparse_distance_matrix(
            KDTree(hemi.sphere), reach, output_type="coo_matrix"
        )
        bumps = sparse.csr_matrix(near)
        arc = 200.0 * np.arcsin(np.minimum(1.0, bumps.data / 200.0))
        bumps.data = np.exp(-0.5 * (arc / sigma) ** 2)
        length = np.sqrt(bumps.multiply(bumps).sum(axis=0)).A1
        blocks.append(bumps @ sparse.diags(1.0 / np.maximum(length, np.finfo(float).tiny)))
    return sparse.block_diag(blocks, format="csr")


def _bumps(hemi: Hemisphere, centers: FloatArray, sigma: float) -> FloatArray:
    """Gaussians of the distance along the sphere, (n_centers, n_vertices)."""
    cosine = np.clip(centers @ hemi.sphere.T / 100.0, -1.0, 1.0)
    return np.asarray(np.exp(-0.5 * (100.0 * np.arccos(cosine) / sigma) ** 2))


def smooth_field(mesh: SurfaceMesh, fwhm: float, rng: np.random.Generator) -> FloatArray:
    """One smooth random field of unit variance, (n_vertices,)."""
    basis = smooth_basis(mesh, fwhm, rng)
    return np.asarray(rng.standard_normal(basis.shape[0]) @ basis)


def smoothing_operator(mesh: SurfaceMesh, n_steps: int) -> sparse.csr_matrix:
    """Average with the neighbors `n_steps` times, then restore unit variance of white noise.

    Parameters
    ----------
    mesh : SurfaceMesh
        Neighbors.
    n_steps : int
        Two give about 8 mm on fsaverage5.

    Returns
    -------
    (n_vertices, n_vertices) CSR
        Rows of unit length: white noise of unit variance stays of unit variance.
    """
    step = mesh.adjacency.astype(np.float64) + sparse.identity(mesh.n_vertices)
    step = sparse.diags(1.0 / step.sum(axis=1).A1) @ step
    operator = sparse.identity(mesh.n_vertices, format="csr")
    for _ in range(n_steps):
        operator = step @ operator
    length = np.sqrt(operator.multiply(operator).sum(axis=1)).A1
    return sparse.csr_matrix(sparse.diags(1.0 / length) @ operator)


def sensory_transmodal_gradient(mesh: SurfaceMesh) -> FloatArray:
    """A smooth axis from primary sensory to transmodal cortex, alike in both hemispheres.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.

    Returns
    -------
    (n_vertices,) float64
        Low near auditory, visual and somatomotor cortex, high near the default-mode regions. A
        stylized stand-in for Margulies' first gradient that needs no download.
    """
    return _near(mesh, _TRANSMODAL, 32.0) - _near(mesh, _SENSORY, 32.0)


def _near(
    mesh: SurfaceMesh, points: tuple[tuple[float, float, float], ...], sigma: float
) -> FloatArray:
    """Sum of bumps around the vertices that are nearest to `points`."""
    values = []
    for hemi, mirror in zip(mesh.hemispheres, (1.0, -1.0), strict=True):
        targets = np.array(points) * (mirror, 1.0, 1.0)
        distance = np.linalg.norm(hemi.white[:, None, :] - targets, axis=2)
        centers = hemi.sphere[np.argmin(distance, axis=0)] / 100.0
        values.append(_bumps(hemi, centers, sigma).sum(axis=0))
    return np.concatenate(values)


def responding_patches(
    mesh: SurfaceMesh, cortex: BoolArray, share: float, rng: np.random.Generator
) -> tuple[BoolArray, FloatArray]:
    """Choose contiguous patches that respond to the music, auditory cortex among them.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    cortex : (n_vertices,) bool
        Candidates.
    share : float
        Share of the cortical vertices, 0 to 1.
    rng : Generator
        Places the patches.

    Returns
    -------
    active : (n_vertices,) bool
        The patches.
    strength : (n_vertices,) float64
        1 in the middle of a patch, .5 at its border, 0 outside.

    Raises
    ------
    BadDataError
        If the share is not between 0 and 1.
    """
    if not 0.0 <= share <= 1.0:
        raise BadDataError(
            "A share of vertices is out of range.",
            where="share",
            found=share,
            wanted="0 to 1",
            remedy="give a share in this range",
        )
    field = smooth_field(mesh, 28.0, rng) + 3.0 * _near(mesh, (_AUDITORY,), 12.0)
    n_active = round(share * np.count_nonzero(cortex))
    active = np.zeros(mesh.n_vertices, bool)
    strength = np.zeros(mesh.n_vertices)
    if n_active:
        candidates = np.flatnonzero(cortex)
        chosen = candidates[np.argsort(field[candidates])[::-1][:n_active]]
        active[chosen] = True
        excess = field[chosen] - field[chosen].min()
        strength[chosen] = 0.5 + 0.5 * np.minimum(1.0, excess / 0.5)
    return active, strength


def layers_along(
    gradient: FloatArray, cortex: BoolArray, n_layers: int = N_LAYERS
) -> NDArray[np.int64]:
    """Give every cortical vertex the layer of its rank along the gradient.

    Parameters
    ----------
    gradient : (n_vertices,) array
        Any scale; finite inside `cortex`.
    cortex : (n_vertices,) bool
        Vertices that are ranked.
    n_layers : int
        Of the network.

    Returns
    -------
    (n_vertices,) int64
        1 to `n_layers` with as good as equal counts, 0 outside `cortex`.
    """
    layers = np.zeros(gradient.shape, np.int64)
    rank = rankdata(gradient[cortex], method="ordinal") - 1
    layers[cortex] = 1 + rank * n_layers // rank.size
    return layers
