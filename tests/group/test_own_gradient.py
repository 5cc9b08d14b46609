"""A dataset's own gradient against an independent embedding, and on the one real resting run."""

import os
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from real_data import DATA
from scipy import linalg, stats

from bids_app.errors import BadDataError
from bids_app.group.own_gradient import (
    align_components,
    choose_component,
    connectivity,
    diffusion_map,
    extend,
    mean_connectivity,
    strongest,
)


@pytest.fixture
def rows():
    """Connectivity of 300 vertices along a line, under noise."""
    rng = np.random.default_rng(4)
    place = np.linspace(0, 1, 300)
    waves = rng.normal(size=(600, 12)) @ np.cos(np.pi * np.outer(np.arange(12), place))
    return connectivity(waves + rng.normal(size=waves.shape), np.arange(300))


def plain(values, n):
    """Diffusion map by the textbook, with dense matrices and another solver."""
    kernel = values @ values.T
    density = kernel.sum(axis=1)
    weight = kernel / np.sqrt(np.outer(density, density))
    markov = weight / weight.sum(axis=1, keepdims=True)
    found, vectors = linalg.eig(markov)
    order = np.argsort(-found.real)[1 : n + 1]
    lambdas = found.real[order]
    return vectors.real[:, order] * (lambdas / (1 - lambdas)), lambdas


def test_embedding_equals_the_textbook(rows):
    values = strongest(rows).astype(np.float64)
    found = diffusion_map(values, 4)
    wanted, lambdas = plain(values, 4)
    np.testing.assert_allclose(found.eigenvalues, lambdas, rtol=1e-5)
    for k in range(4):
        assert abs(np.corrcoef(found.components[:, k], wanted[:, k])[0, 1]) > 0.99999
        steady = found.components[:, k].std() / np.abs(lambdas[k] / (1 - lambdas[k]))
        assert 0.5 < steady < 2  # unit weight before eigenvalues


def test_connectivity_is_pearsons_r_without_oneself():
    series = np.random.default_rng(1).normal(size=(50, 6))
    z = connectivity(series, [2, 4])
    wanted = np.arctanh(np.corrcoef(series.T)[:, [2, 4]] - np.eye(6)[:, [2, 4]])
    np.testing.assert_allclose(z, wanted, atol=1e-12)
    with pytest.raises(BadDataError, match="1 of 6 vertices are constant"):
        connectivity(np.column_stack([series[:, :5], np.ones(50)]), [0])


def test_a_tenth_of_each_row_is_kept_and_nothing_negative(rows):
    kept = strongest(rows)
    assert ((kept > 0).sum(axis=1) <= 30).all()
    assert (kept >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(kept, axis=1), 1, rtol=1e-6)
    negative = strongest(-np.abs(np.random.default_rng(0).normal(size=(3, 50))))
    assert not negative.any()


def test_extension_gives_embedded_vertices_their_own_values_and_others_those_between(rows):
    every = strongest(rows[:, ::3])
    coarse = diffusion_map(every[::3], 3)
    fine = extend(coarse, every[::3], every)
    np.testing.assert_allclose(fine[::3], coarse.components, rtol=1e-4, atol=1e-6)
    whole = diffusion_map(strongest(rows), 3)
    for k in range(3):
        assert abs(np.corrcoef(fine[:, k], whole.components[:, k])[0, 1]) > 0.97
    nothing = extend(coarse, every[::3], np.zeros((2, 100)))
    assert np.isnan(nothing).all()


def test_a_graph_that_falls_apart_is_refused():
    block = np.ones((20, 20))
    with pytest.raises(BadDataError, match="2 parts, of 20 vertices and less"):
        diffusion_map(np.kron(np.eye(2), block), 2)


def test_component_is_chosen_by_the_template_and_refused_where_none_is_like_it():
    rng = np.random.default_rng(2)
    components = rng.normal(size=(500, 4))
    template = components[:, 2] + 0.5 * components[:, 0] + rng.normal(size=500)
    template[:50] = np.nan
    chosen = choose_component(components, -template)
    assert (chosen.number, chosen.flipped, chosen.second) == (3, True, 1)
    there = np.isfinite(template)
    wanted = stats.spearmanr(components[there, 2], template[there])[0]
    assert chosen.r == pytest.approx(wanted)
    with pytest.raises(BadDataError, match="No component of the resting runs is like"):
        choose_component(components, rng.normal(size=500))


def test_components_are_turned_as_scipy_turns_them():
    rng = np.random.default_rng(8)
    reference = rng.normal(size=(300, 4)) * [4, 3, 2, 1] + 5
    mixing = linalg.qr(rng.normal(size=(4, 4)))[0]
    own = (reference - 5) @ mixing * [9, 1, 1, 0.5] - 2 + 0.3 * rng.normal(size=(300, 4))
    found = align_components(own, reference)

    def scaled(values):
        centered = values - values.mean(axis=0)
        return centered / np.linalg.norm(centered, axis=0)

    turn = linalg.orthogonal_procrustes(scaled(own), scaled(reference))[0]
    np.testing.assert_allclose(found.values, scaled(own) @ turn, atol=1e-12)
    assert found.shares.sum() == pytest.approx(1)
    assert np.argmax(found.shares) == np.argmax(turn[0] ** 2)  # the largest component is the first
    few = align_components(own, reference, own[:7])
    np.testing.assert_allclose(few.values, found.values[:7], atol=1e-12)
    with pytest.raises(BadDataError, match="reference"):
        align_components(own, reference[:, :3])


def test_mean_is_that_of_all():
    parts = np.random.default_rng(0).normal(size=(3, 4, 5))
    np.testing.assert_allclose(mean_connectivity(iter(parts)), parts.mean(axis=0))
    with pytest.raises(BadDataError, match="no connectivity"):
        mean_connectivity([])


@pytest.mark.slow
def test_the_real_resting_run_gives_brainspace_components_and_the_second_is_margulies():
    folder = Path(os.environ.get("MUSENC_REST", "nowhere"))
    stem = "datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5"
    files = [folder / f"brainspace/{stem}.{hemi}.mgz" for hemi in ("lh", "rh")]
    if not all(file.is_file() for file in files):
        pytest.skip("MUSENC_REST names no folder with the unpacked wheel of brainspace")
    halves = [np.asarray(nib.load(file).dataobj).squeeze()[:2562].T for file in files]
    series = np.hstack(halves).astype(np.float64)
    alive = series.std(axis=0) > 0
    rows = connectivity(series[:, alive], np.arange(alive.sum()))
    found = diffusion_map(strongest(np.tanh(rows)), 4)
    sys.path.insert(0, str(folder))
    try:
        diffusion_mapping = pytest.importorskip("brainspace.gradient.embedding").diffusion_mapping
        compute_affinity = pytest.importorskip("brainspace.gradient.kernels").compute_affinity
    finally:
        sys.path.remove(str(folder))
    affinity = compute_affinity(np.tanh(rows), kernel="cosine", sparsity=0.9)
    peer = diffusion_mapping(affinity, n_components=4, alpha=0.5, random_state=0)[0]
    for k in range(4):
        assert abs(np.corrcoef(found.components[:, k], peer[:, k])[0, 1]) > 0.999

    if not (DATA / "gradient").is_dir():
        pytest.skip(f"no gradient in {DATA}")
    template = np.hstack([margulies(hemi) for hemi in "LR"])[alive]
    chosen = choose_component(found.components, template)
    assert chosen.number == 2  # a known answer: rho .65, of the first -.02
    assert chosen.r == pytest.approx(0.65, abs=0.03)
    assert chosen.second != 1


def margulies(hemi):
    """The first gradient at the vertices of fsaverage4, as Connectome Workbench resamples it."""
    stem = DATA / "gradient"
    values = nib.load(
        stem / f"workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{hemi}_feature.func.gii"
    ).agg_data()
    valid = nib.load(stem / f"workbench_valid_hemi-{hemi}.shape.gii").agg_data()
    return np.where(valid > 0, values, np.nan)[:2562]
