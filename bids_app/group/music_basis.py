"""A basis of a few matrices for those of all layers and penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from bids_app.group.music_side import Float32Array, FloatArray, IntArray, Product, Scales

# With so many layers the second moments of the sparse weights are cheaper than those of loadings.
_FEW = 4
# Eigenvectors that are looked at first: all of them take several times as long.
_FIRST = 64


@dataclass(frozen=True, eq=False)
class Basis:
    """A few matrices that stand for all penalties and layers of a product in one summary.

    Attributes
    ----------
    product : Product
    summary : int
        Whose weights decided.
    layers : int array
        Layers with weights.
    table : (n_matrices, n_axes) float32
        Every matrix on the axes.
    matrices : (n_axes, 2 n_left, 2 n_right) float64
        The axes.
    """

    product: Product
    summary: int
    layers: IntArray
    table: Float32Array
    matrices: FloatArray

    def theta(self, scales: Scales, weights: Float32Array) -> Float32Array:
        """Loadings of weighted series on the axes, (n, n_axes); weights (n, n_layers)."""
        rows = _combination(self.product, scales, weights, self.layers)
        return np.asarray(rows @ self.table)


def basis_for(
    product: Product,
    scales: Scales,
    weights: Float32Array,
    layers: IntArray,
    summary: int,
    tolerance: float,
) -> Basis:
    """The axes that carry all but a share of a summary's weighted matrices.

    Parameters
    ----------
    product : Product
    scales : Scales
        Of some series.
    weights : (n, n_layers) float32
        The summary's weights of these.
    layers : int array
        Layers with weights.
    summary : int
        Number of the summary.
    tolerance : float
        Share of the second moments that may be left out.

    Returns
    -------
    Basis
    """
    axes, rows = product.axes, _combination(product, scales, weights, layers)
    if len(layers) <= _FEW:
        moments = axes.loadings.T @ ((rows.T @ rows) @ axes.loadings)
    else:
        loadings = rows @ axes.loadings
        moments = loadings.T @ loadings
    chosen = _leading(moments, tolerance)
    table = (axes.loadings @ chosen).astype(np.float32)
    matrices = np.tensordot(chosen.T, axes.matrices, axes=1)
    return Basis(product, summary, layers, table, matrices)


def _leading(moments: FloatArray, tolerance: float) -> FloatArray:
    """The fewest eigenvectors that carry all but a share of the trace, in columns."""
    size, wanted = len(moments), (1 - tolerance) * np.trace(moments)
    for n in (min(_FIRST, size), size):
        values, vectors = linalg.eigh(moments, subset_by_index=(size - n, size - 1))
        carried = np.cumsum(np.maximum(values[::-1], 0))
        if carried[-1] >= wanted:
            break
    n_axes = 1 + int(np.searchsorted(carried, wanted))
    return np.asarray(vectors[:, ::-1][:, : min(n_axes, n)])


def _combination(
    product: Product, scales: Scales, weights: Float32Array, layers: IntArray
) -> sparse.csr_array:
    """Weights of a product's matrices in the summed block of every series, (n, n_matrices)."""
    chosen = weights[:, layers]
    data, indices = [], []
    for family in product.families:
        data.append(chosen * scales.inverse[family.held_out][:, layers])
        indices.append(scales.columns[family.held_out][:, layers] + family.offset)
    values, places = np.concatenate(data, axis=1), np.concatenate(indices, axis=1)
    n, width = values.shape
    pointers = np.arange(0, n * width + 1, width) if width else np.zeros(n + 1, dtype=int)
    return sparse.csr_array(
        (values.ravel(), places.ravel(), pointers), shape=(n, product.n_matrices)
    )


def planes(matrices: NDArray[Any]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Turning and mirroring part of real matrices: z -> t z + m conj(z).

    Parameters
    ----------
    matrices : (..., 2 n_left, 2 n_right) array
        Cosines and then sines in rows and columns.

    Returns
    -------
    turning, mirroring : (..., n_left, n_right) complex128
        The first part depends on the difference of two phases, the second on their sum.

    Examples
    --------
    >>> turning, mirroring = planes(np.eye(2))  # the identity only turns
    >>> turning.item(), mirroring.item()
    ((1+0j), 0j)
    """
    cc, cs, sc, ss = quarters(matrices)
    turning, mirroring = cc + ss + 1j * (sc - cs), cc - ss + 1j * (sc + cs)
    return np.asarray(turning / 2, complex), np.asarray(mirroring / 2, complex)


def contracted(matrices: FloatArray, products: FloatArray) -> FloatArray:
    """Kernel of the phases: each frequency's blocks of matrices times those of products, summed.

    Parameters
    ----------
    matrices, products : (n_axes, 2 n_left, 2 n_right) arrays
        Matrices M, and sums of the coefficients' outer products y_left y_right'.

    Returns
    -------
    (2 n_left, 2 n_right) float64
        K of y_left' M y_right = x_left' K x_right, with the phases' cosines and sines in x.

    Examples
    --------
    >>> left, right = np.array([1.0, 2.0]), np.array([3.0, 4.0])  # a cosine and a sine each
    >>> kernel = contracted(np.eye(2)[np.newaxis], np.outer(left, right)[np.newaxis])
    >>> x = np.array([1.0, 0.0])  # phases of zero
    >>> bool(x @ kernel @ x == left @ right)
    True
    """
    turning, mirroring = planes(matrices)
    cc, cs, sc, ss = quarters(products)
    t = (turning * (cc + ss + 1j * (cs - sc))).sum(axis=0)
    m = (mirroring * (cc - ss - 1j * (cs + sc))).sum(axis=0)
    return np.block([[t.real + m.real, m.imag - t.imag], [t.imag + m.imag, t.real - m.real]])


def series_weights(weights: Float32Array) -> Float32Array:
    """Weights with one row per series, a participant's vertex.

    Parameters
    ----------
    weights : (n, n_participants, n_layers, n_vertices) array

    Returns
    -------
    (n, n_participants x n_vertices, n_layers) array

    Examples
    --------
    >>> weights = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    >>> series_weights(weights)[0, 1].tolist()  # the first participant's second vertex
    [1.0, 3.0, 5.0]
    """
    moved = np.moveaxis(weights, 2, 3)
    return np.ascontiguousarray(moved).reshape(len(weights), -1, weights.shape[2])


def quarters(matrices: NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Cosine-cosine, cosine-sine, sine-cosine and sine-sine blocks of matrices.

    Parameters
    ----------
    matrices : (..., 2 n_left, 2 n_right) array
        Cosines and then sines in rows and columns.

    Returns
    -------
    four (..., n_left, n_right) arrays

    Examples
    --------
    >>> [block.item() for block in quarters(np.array([[1.0, 2.0], [3.0, 4.0]]))]
    [1.0, 2.0, 3.0, 4.0]
    """
    rows, columns = (n // 2 for n in matrices.shape[-2:])
    return (
        matrices[..., :rows, :columns],
        matrices[..., :rows, columns:],
        matrices[..., rows:, :columns],
        matrices[..., rows:, columns:],
    )
