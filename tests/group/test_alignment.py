"""Spin test of the alignment with a gradient."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy import stats

from bids_app.errors import BadDataError, UsageError
from bids_app.group import gradient_correlations, gradient_weights, spin_alignment, two_sided_p
from bids_app.group.moments import MaskedMaps, partial_correlation
from bids_app.group.spins import SphereRotator, random_rotations
from bids_app.surface.mesh import load_mesh

MESH = icosahedral_mesh(3)
N_VERTICES = MESH.n_vertices


def smooth(rng, n_maps=1, mesh=MESH, concentration=12):
    """Smooth maps without preferred direction: white noise under an isotropic kernel."""
    parts = []
    for sphere in mesh.spheres:
        unit = sphere[:642] / 100
        kernel = np.exp(concentration * (unit @ (sphere / 100).T - 1))
        parts.append(rng.normal(size=(n_maps, len(unit))) @ kernel)
    return np.hstack(parts)


@pytest.fixture
def rng():
    return np.random.default_rng(60)


@pytest.fixture
def case(rng):
    """Maps, gradient with a medial wall, mask inside the cortex."""
    gradient = smooth(rng)[0]
    wall = np.concatenate([MESH.left.sphere[:, 0] > 80, MESH.right.sphere[:, 0] < -80])
    gradient[wall] = np.nan
    maps = smooth(rng, 3) + rng.normal(size=(3, N_VERTICES))
    maps[:, wall] = np.nan
    mask = ~wall & (rng.random(N_VERTICES) < 0.6)
    return maps, gradient, mask


def align(maps, gradient, mask, **options):
    return spin_alignment(
        maps, gradient, mask, **{"spheres": MESH.spheres, "n_spins": 99, "seed": 1, **options}
    )


def slow_null(maps, gradient, mask, rotations):
    """The same by a plain loop."""
    rotator = SphereRotator(MESH.spheres, np.ones(N_VERTICES, dtype=bool))
    null = np.empty((len(maps), len(rotations)))
    for column, rotation in enumerate(rotations):
        rotated = gradient[rotator.source_vertices(rotation)]
        for row, values in enumerate(maps):
            use = mask & np.isfinite(rotated) & np.isfinite(values)
            null[row, column] = stats.pearsonr(values[use], rotated[use])[0]
    return null


def test_pearson_equals_a_plain_loop(case, rng):
    maps, gradient, mask = case
    rotations = random_rotations(40, rng)
    result = align(maps, gradient, mask, method="pearson", rotations=rotations)
    np.testing.assert_allclose(result.null, slow_null(maps, gradient, mask, rotations), atol=1e-12)
    use = mask & np.isfinite(gradient)
    np.testing.assert_allclose(result.r, [stats.pearsonr(m[use], gradient[use])[0] for m in maps])


def test_spearman_ranks_once_over_the_whole_map(case, rng):
    maps, gradient, mask = case
    rotations = random_rotations(20, rng)
    ranks = stats.rankdata(maps, axis=1, nan_policy="omit")
    gradient_ranks = stats.rankdata(gradient, nan_policy="omit")
    result = align(maps, gradient, mask, rotations=rotations)
    np.testing.assert_allclose(
        result.null, slow_null(ranks, gradient_ranks, mask, rotations), atol=1e-12
    )
    whole = np.isfinite(gradient)
    np.testing.assert_allclose(
        align(maps, gradient, whole).r,
        [stats.spearmanr(m[whole], gradient[whole])[0] for m in maps],
    )


def test_spearman_ignores_monotone_changes(case):
    maps, gradient, mask = case
    plain = align(maps, gradient, mask)
    bent = align(np.exp(maps), gradient**3, mask)
    np.testing.assert_allclose(bent.r, plain.r, atol=1e-12)
    np.testing.assert_array_equal(bent.p, plain.p)


def test_missing_vertices_of_a_map_are_left_out(case, rng):
    maps, gradient, mask = case
    maps[1, rng.random(N_VERTICES) < 0.3] = np.nan
    maps[2, 7] = np.inf
    rotations = random_rotations(10, rng)
    result = align(maps, gradient, mask, method="pearson", rotations=rotations)
    clean = np.where(np.isfinite(maps), maps, np.nan)
    np.testing.assert_allclose(result.null, slow_null(clean, gradient, mask, rotations), atol=1e-12)


def test_partial_correlation_equals_regressing_the_covariate_out(case, rng):
    maps, gradient, mask = case
    covariates = smooth(rng, 3) + maps
    result = align(maps, gradient, mask, method="pearson", covariates=covariates)
    use = mask & np.isfinite(gradient)
    for index in range(3):
        design = np.c_[np.ones(use.sum()), covariates[index, use]]
        left = [
            values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
            for values in (maps[index, use], gradient[use])
        ]
        np.testing.assert_allclose(result.partial_r[index], stats.pearsonr(*left)[0], atol=1e-10)
    common = align(maps, gradient, mask, covariates=covariates[0])
    assert common.partial_null.shape == (3, 99)


def test_results_do_not_depend_on_threads_or_on_the_other_maps(case):
    maps, gradient, mask = case
    one = align(maps, gradient, mask, n_spins=150)
    two = align(maps, gradient, mask, n_spins=150, n_threads=3)
    alone = align(maps[1], gradient, mask, n_spins=150)
    np.testing.assert_allclose(two.null, one.null, atol=1e-12)
    np.testing.assert_array_equal(two.p, one.p)
    np.testing.assert_allclose(alone.null[0], one.null[1], atol=1e-12)


def test_rotations_that_uncover_the_mask_are_drawn_again(rng):
    gradient = smooth(rng)[0]
    hole = np.concatenate([MESH.left.sphere[:, 2] > 20, MESH.right.sphere[:, 2] > 20])
    gradient[hole] = np.nan
    mask = np.concatenate([MESH.left.sphere[:, 2] < -60, MESH.right.sphere[:, 2] < -60])
    result = align(smooth(rng), gradient, mask, n_spins=200)
    assert result.null.shape == (1, 200)
    assert result.coverage.min() >= 0.5
    assert 40 < result.n_redrawn < 400
    assert np.isfinite(result.null).all()


def test_an_aligned_map_is_found_and_unrelated_smooth_maps_are_not(rng):
    gradient = smooth(rng)[0]
    mask = np.ones(N_VERTICES, dtype=bool)
    aligned = align(gradient + 0.3 * rng.normal(size=N_VERTICES), gradient, mask, n_spins=199)
    assert aligned.p[0] == 1 / 200
    maps = smooth(rng, 300)
    unrelated = align(maps, gradient, mask, n_spins=199)
    assert 0.01 < (unrelated.p <= 0.05).mean() < 0.09
    # The textbook p-value takes vertices for independent.
    naive = stats.pearsonr(maps, gradient[np.newaxis], axis=1).pvalue
    assert (naive <= 0.05).mean() > 0.7


def painted(maps, regions):
    """Every vertex has the mean of its region."""
    means = np.stack([maps[:, regions == k].mean(axis=1) for k in np.unique(regions)], axis=1)
    return means[:, regions]


@pytest.mark.parametrize("n_regions", [20, 100])
def test_maps_painted_by_region_keep_the_level_and_are_found(rng, n_regions):
    places = rng.choice(MESH.left.n_vertices, n_regions, replace=False)
    parts = [np.argmax(sphere @ sphere[places].T, axis=1) for sphere in MESH.spheres]
    regions = np.concatenate([parts[0], parts[1] + n_regions])
    gradient = smooth(rng)[0]
    mask = np.ones(N_VERTICES, dtype=bool)
    unrelated = align(painted(smooth(rng, 400), regions), gradient, mask, n_spins=199)
    assert 0.02 < (unrelated.p <= 0.05).mean() < 0.085
    noisy = gradient + rng.normal(size=(1, N_VERTICES))
    assert align(painted(noisy, regions), gradient, mask, n_spins=199).p[0] <= 0.02


def test_equals_neuromaps_with_the_same_rotations(rng):
    from neuromaps.nulls.spins import gen_spinsamples
    from neuromaps.stats import compare_images

    mesh = load_mesh("fsaverage4")
    gradient = smooth(rng, mesh=mesh)[0]
    gradient[rng.random(mesh.n_vertices) < 0.1] = np.nan
    values = smooth(rng, mesh=mesh)[0]
    hemisphere = np.repeat([0, 1], mesh.left.n_vertices)
    samples = gen_spinsamples(
        np.vstack(mesh.spheres), hemisphere, n_rotate=30, seed=5, check_duplicates=False
    )
    r, p, null = compare_images(
        gradient, values, ignore_zero=False, nulls=gradient[samples], return_nulls=True
    )
    draws = np.random.RandomState(5)
    rotations = []
    for _ in range(30):
        q, triangle = np.linalg.qr(draws.normal(size=(3, 3)))
        q = q * np.sign(np.diag(triangle))
        q[:, 0] *= np.sign(np.linalg.det(q))
        rotations.append(q)
    result = spin_alignment(
        values,
        gradient,
        np.isfinite(gradient),
        spheres=mesh.spheres,
        method="pearson",
        rotations=np.array(rotations),
        seed=0,
    )
    np.testing.assert_allclose(result.r[0], r, atol=1e-9)
    np.testing.assert_allclose(result.null[0], null, atol=1e-9)
    np.testing.assert_allclose(result.p[0], p)


def test_without_spheres_maps_are_on_fsaverage5(rng):
    mesh = load_mesh()
    gradient = np.concatenate([mesh.left.sphere[:, 1], mesh.right.sphere[:, 1]])
    result = spin_alignment(gradient, gradient, np.ones(20484, dtype=bool), n_spins=5, seed=0)
    np.testing.assert_allclose(result.r, 1)
    with pytest.raises(BadDataError, match="10242"):
        spin_alignment(gradient[:-1], gradient[:-1], np.ones(20483, dtype=bool), n_spins=5, seed=0)


def test_p_counts_the_observed_value_and_ties():
    null = np.array([[0.1, -0.5, 0.5, np.nan]])
    np.testing.assert_allclose(two_sided_p([0.5], null), [4 / 5])
    np.testing.assert_allclose(two_sided_p([np.nan], null), [np.nan])


def test_bad_input_is_named(case):
    maps, gradient, mask = case
    empty = maps.copy()
    empty[2] = np.nan
    with pytest.raises(BadDataError, match=r"maps\[2\]"):
        align(empty, gradient, mask)
    with pytest.raises(BadDataError, match="gradient"):
        align(maps, gradient[:-1], mask)
    with pytest.raises(BadDataError, match="mask"):
        align(maps, gradient, mask[:-1])
    with pytest.raises(BadDataError, match="covariates"):
        align(maps, gradient, mask, covariates=maps[:2])
    with pytest.raises(BadDataError, match="gradient"):
        align(maps, np.ones(N_VERTICES), mask)
    with pytest.raises(UsageError, match="kendall"):
        align(maps, gradient, mask, method="kendall")
    with pytest.raises(UsageError, match="n_spins"):
        align(maps, gradient, mask, n_spins=0)
    holes = np.where(np.cumsum(mask) % 3 == 0, gradient, np.nan)
    with pytest.raises(BadDataError, match="half"):
        align(maps, holes, mask)


def test_masked_maps_agree_with_scipy_when_both_sides_miss_values(rng):
    maps, others = rng.normal(size=(4, 60)), rng.normal(size=(3, 60))
    maps[rng.random(maps.shape) < 0.2] = np.nan
    others[rng.random(others.shape) < 0.2] = np.nan
    r, partial = MaskedMaps(maps).correlate(others)
    assert partial is None
    for i in range(3):
        for j in range(4):
            use = np.isfinite(others[i]) & np.isfinite(maps[j])
            np.testing.assert_allclose(r[i, j], stats.pearsonr(others[i, use], maps[j, use])[0])


def test_partial_correlation_is_undefined_when_the_covariate_explains_everything():
    assert np.isnan(partial_correlation(0.5, 1.0, 0.5))
    np.testing.assert_allclose(partial_correlation(0.5, 0.0, 0.0), 0.5)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_weights_of_a_gradient_give_its_correlation_with_a_map(method):
    rng = np.random.default_rng(5)
    gradient, mask = rng.standard_normal(324) ** 3, rng.random(324) < 0.6
    gradient[:20] = np.nan
    maps = rng.standard_normal((3, 324)) + 0.3 * np.nan_to_num(gradient)
    weights = gradient_weights(gradient, mask, method=method)
    inside = mask & np.isfinite(gradient)
    assert not weights[~inside].any()
    target = stats.rankdata(gradient, nan_policy="omit") if method == "spearman" else gradient
    wanted = [np.corrcoef(one[inside], target[inside])[0, 1] for one in maps]
    found = [weights @ one / one[inside].std() for one in maps]
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    ranked = stats.rankdata(maps, axis=1) if method == "spearman" else maps
    wanted = [np.corrcoef(one[inside], target[inside])[0, 1] for one in ranked]
    found = gradient_correlations(maps, gradient, mask, method=method)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
