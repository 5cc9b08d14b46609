from __future__ import annotations

import numpy as np
import pytest

from bids_app.testing.confounds import MOTION, N_PHYSIOLOGY, confounds_table, draw_nuisance
from bids_app.testing.noise import NoiseShares, NoiseSource, combine, slow_drift

LENGTHS = [105, 135]


@pytest.fixture(scope="module")
def source(mesh):
    return NoiseSource(mesh, LENGTHS, 1.0, NoiseShares(), seed=0)


@pytest.fixture(scope="module")
def noise(source):
    return source.draw(0)


def test_every_part_has_unit_variance(noise):
    parts, _ = noise
    assert set(parts) == {"own", "shared", "drift", "motion", "physiology"}
    for part in parts.values():
        np.testing.assert_allclose(part.std(axis=0), 1.0, atol=1e-4)


def test_own_noise_is_autocorrelated_and_smooth(mesh, noise):
    own = noise[0]["own"]
    lag_one = np.mean(own[: LENGTHS[0] - 1] * own[1 : LENGTHS[0]])
    assert lag_one == pytest.approx(0.5, abs=0.04)
    pairs = mesh.adjacency.tocoo()
    assert np.mean(own[:, pairs.row] * own[:, pairs.col]) > 0.4


def test_shared_noise_is_the_same_and_the_rest_is_not(source, noise):
    parts, _ = noise
    again, _ = source.draw(0)
    other, _ = source.draw(1)
    np.testing.assert_array_equal(other["shared"], parts["shared"])
    for name in ("own", "drift", "motion", "physiology"):
        np.testing.assert_array_equal(again[name], parts[name])
        assert abs(np.mean(other[name] * parts[name])) < 0.1


def test_participants_correlate_by_the_shared_part(source, mesh):
    shares = NoiseShares(shared=0.3, drift=0.0, motion=0.0, physiology=0.0)
    silent, nothing = np.zeros(mesh.n_vertices), np.zeros((sum(LENGTHS), mesh.n_vertices))
    first, second = (combine(nothing, silent, source.draw(k)[0], shares) for k in (0, 1))
    assert np.mean(first * second) == pytest.approx(0.3, abs=0.02)


def test_variance_is_divided_as_stated(mesh, noise):
    parts, _ = noise
    shares = NoiseShares()
    signal = np.random.default_rng(0).standard_normal((sum(LENGTHS), mesh.n_vertices))
    share = np.full(mesh.n_vertices, 0.2)
    series = combine(signal, share, parts, shares)
    assert series.var(axis=0).mean() == pytest.approx(1.0, abs=0.03)
    explained = np.mean(series * signal, axis=0) ** 2
    assert explained.mean() == pytest.approx(0.2, abs=0.02)
    for name in ("own", "shared", "drift", "motion", "physiology"):
        weight = np.mean(series * parts[name])
        assert weight == pytest.approx(np.sqrt(0.8 * getattr(shares, name)), abs=0.05)


@pytest.mark.parametrize(
    "wrong", [{"shared": -0.1}, {"drift": 0.9}, {"autocorrelation": 1.0}, {"motion": 2.0}]
)
def test_impossible_shares_are_refused(wrong):
    with pytest.raises(ValueError, match="Shares"):
        NoiseShares(**wrong)


def test_drift_is_slow():
    drift = slow_drift(300, 1.0)
    power = np.abs(np.fft.rfft(drift * np.hanning(300)[:, None], axis=0)) ** 2
    assert power[: 300 // 128 + 3].sum() > 0.95 * power.sum()


@pytest.fixture(scope="module")
def confounds():
    rng = np.random.default_rng(3)
    nuisance = draw_nuisance(250, 1.0, rng)
    return nuisance, *confounds_table(nuisance, 1.0, rng)


def test_confounds_have_the_columns_of_fmriprep_22(confounds):
    _, table, metadata = confounds
    for name in (*MOTION, "csf", "white_matter", "global_signal"):
        for suffix in ("", "_derivative1", "_power2", "_derivative1_power2"):
            assert f"{name}{suffix}" in table
    assert {"framewise_displacement", "rmsd", "dvars", "std_dvars", "cosine02"} <= set(table)
    assert "cosine03" not in table
    assert [n for n in table if n.startswith("a_comp_cor")] == [
        f"a_comp_cor_{k:02d}" for k in range(6)
    ]
    masks = {name: info.get("Mask") for name, info in metadata.items()}
    assert masks["a_comp_cor_00"] == "combined"
    assert (masks["c_comp_cor_00"], masks["w_comp_cor_00"]) == ("CSF", "WM")
    explained = [metadata[f"a_comp_cor_{k:02d}"]["VarianceExplained"] for k in range(6)]
    assert explained == sorted(explained, reverse=True)


def test_only_first_differences_lack_their_first_row(confounds):
    _, table, _ = confounds
    missing = table.isna()
    differences = [n for n in table if "derivative1" in n] + [
        "framewise_displacement",
        "rmsd",
        "dvars",
        "std_dvars",
    ]
    assert missing.loc[0, differences].all()
    assert missing.to_numpy().sum() == len(differences)


def test_framewise_displacement_is_that_of_power(confounds):
    nuisance, table, _ = confounds
    steps = np.abs(np.diff(nuisance.motion, axis=0))
    expected = steps[:, :3].sum(axis=1) + 50 * steps[:, 3:].sum(axis=1)
    np.testing.assert_allclose(table["framewise_displacement"][1:], expected)
    outliers = table.filter(like="motion_outlier")
    assert outliers.shape[1] == len(nuisance.spikes) >= 1
    assert table["framewise_displacement"].max() > 0.3


def test_components_explain_the_physiology(confounds):
    nuisance, table, _ = confounds
    components = table.filter(regex="^a_comp_cor").to_numpy()
    design = np.column_stack([components, np.ones(len(components))])
    residual = (
        nuisance.physiology - design @ np.linalg.lstsq(design, nuisance.physiology, rcond=None)[0]
    )
    assert residual.var() < 0.1 * nuisance.physiology.var()


def test_regressing_the_confounds_removes_what_leaked(source):
    parts, nuisance = source.draw(2)
    stop = LENGTHS[0]
    rng = np.random.default_rng(4)
    table, _ = confounds_table(nuisance[0], 1.0, rng)
    design = table[[*MOTION, *(f"a_comp_cor_{k:02d}" for k in range(N_PHYSIOLOGY))]].to_numpy()
    design = np.column_stack([(design - design.mean(0)) / design.std(0), np.ones(stop)])
    for name in ("motion", "physiology"):
        leak = parts[name][:stop]
        rest = leak - design @ np.linalg.lstsq(design, leak, rcond=None)[0]
        assert rest.var() < 0.12 * leak.var()


def test_short_runs_get_nuisance_series_too():
    nuisance = draw_nuisance(20, 1.0, np.random.default_rng(0))
    table, _ = confounds_table(nuisance, 1.0, np.random.default_rng(0))
    assert len(table) == 20
    assert np.isfinite(nuisance.motion).all()
