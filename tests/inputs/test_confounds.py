"""Confounds of every fMRIPrep generation."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from nilearn.interfaces.fmriprep import load_confounds
from real_data import DATA

from bids_app.errors import InvalidInputError, MusencError
from bids_app.inputs.confounds import select_confounds
from bids_app.inputs.strategies import DEFAULT_STRATEGY, resolve_strategy

REAL = {
    "1.4": "aomic_1.4/sub-0001_task-anticipation_acq-seq_desc-confounds_regressors.tsv",
    "1.4-20": "load_confounds_1.4-20/test_desc-confounds_regressors.tsv",
    "21": "nilearn_v21/test-v21_desc-confounds_timeseries.tsv",
    "22": "sub-01_task-auditory_desc-confounds_timeseries.tsv",
}


def real(generation):
    path = DATA / "confounds" / REAL[generation]
    if not path.exists():
        pytest.skip(f"no real data in {DATA} (set MUSENC_TEST_DATA)")
    sidecar = path.with_suffix(".json")
    return path, sidecar if sidecar.exists() else None


MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]


@pytest.mark.parametrize("generation", REAL)
@pytest.mark.parametrize(("strategy", "n_columns"), [("minimal", 6), ("24P", 24), ("36P", 36)])
def test_real_tables(generation, strategy, n_columns):
    path, sidecar = real(generation)
    table = pd.read_csv(path, sep="\t")
    chosen = select_confounds(path, sidecar, strategy, len(table), own_high_pass=True)
    assert chosen.values.shape == (len(table), n_columns)
    assert chosen.values.dtype == np.float64
    assert np.isfinite(chosen.values).all()
    assert chosen.names[:6] == tuple(MOTION)
    for name, column in zip(chosen.names, chosen.values.T, strict=True):
        np.testing.assert_array_equal(column, table[name].fillna(0.0))


@pytest.mark.parametrize(("generation", "n_compcor"), [("1.4-20", 6), ("21", 5), ("22", 6)])
def test_default_strategy_is_nilearns_choice_of_columns(generation, n_compcor, tmp_path):
    path, sidecar = real(generation)
    named = tmp_path / "sub-1_task-x_desc-confounds_timeseries.tsv"
    frame = pd.read_csv(path, sep="\t")
    frame = frame.loc[:, [not name.startswith("Unnamed") for name in frame.columns]]
    frame.to_csv(named, sep="\t", index=False, na_rep="n/a")
    named.with_suffix(".json").write_bytes(sidecar.read_bytes())
    image = tmp_path / "sub-1_task-x_space-MNI_desc-preproc_bold.nii.gz"
    image.touch()
    reference, _ = load_confounds(
        str(image),
        strategy=("motion", "high_pass", "compcor"),
        motion="basic",
        compcor="anat_combined",
        n_compcor=6,
    )
    chosen = select_confounds(path, sidecar, DEFAULT_STRATEGY)
    assert set(chosen.names) == set(reference.columns)
    assert sum("comp_cor" in name for name in chosen.names) == n_compcor
    assert any("aCompCor" in told for told in chosen.warnings) == (n_compcor < 6)


def test_components_of_a_mask_are_found_by_the_sidecar():
    path, sidecar = real("1.4-20")
    described = json.loads(sidecar.read_text())
    for mask, component in (("WM", "wcompcor3"), ("CSF", "ccompcor3")):
        chosen = select_confounds(path, sidecar, f"{component}+cosine", own_high_pass=True)
        values = [described[name]["SingularValue"] for name in chosen.names]
        of_mask = [
            value["SingularValue"]
            for name, value in described.items()
            if value.get("Mask") == mask and value.get("Retained") and name.startswith("a_comp")
        ]
        assert values == sorted(of_mask, reverse=True)[:3]


@pytest.mark.parametrize("value", ["12.5", True, [1], float("nan")])
def test_components_are_not_ordered_by_what_is_no_number(tmp_path, value):
    path, sidecar = real("1.4-20")
    described = json.loads(sidecar.read_text())
    name = next(name for name, told in described.items() if told.get("Mask") == "WM")
    described[name]["SingularValue"] = value
    (tmp_path / "a.json").write_text(json.dumps(described))
    with pytest.raises(InvalidInputError, match=f"SingularValue(.|\n)*{name}"):
        select_confounds(path, tmp_path / "a.json", "wcompcor3")


def test_masks_unknown_without_sidecar():
    path, sidecar = real("1.4")
    assert sidecar is None
    with pytest.raises(MusencError, match="masks of the aCompCor") as caught:
        select_confounds(path, None, DEFAULT_STRATEGY)
    assert caught.value.exit_code == 16


def table(n_rows=20, seed=0, **more):
    rng = np.random.default_rng(seed)
    columns = {name: rng.standard_normal(n_rows) for name in MOTION}
    columns |= {name: rng.standard_normal(n_rows) for name in ("csf", "white_matter")}
    columns["framewise_displacement"] = np.r_[np.nan, rng.uniform(0, 1, n_rows - 1)]
    columns |= {f"cosine{i:02d}": np.cos(np.arange(n_rows) * (i + 1) / 9) for i in range(2)}
    return pd.DataFrame(columns | more)


OLD = dict(zip(MOTION, ["X", "Y", "Z", "RotX", "RotY", "RotZ"], strict=True)) | {
    "csf": "CSF",
    "white_matter": "WhiteMatter",
    "framewise_displacement": "FramewiseDisplacement",
    "cosine00": "Cosine00",
    "cosine01": "Cosine01",
}


@pytest.mark.parametrize("strategy", ["minimal", "24P", "tissue8", DEFAULT_STRATEGY])
def test_names_of_fmriprep_1_0(strategy):
    components = {f"a_comp_cor_{i:02d}": np.arange(20.0) ** i for i in range(6)}
    new = table(**components)
    old = new.rename(
        columns=OLD | {name: name.replace("a_comp_cor_", "aCompCor") for name in components}
    )
    first, second = (select_confounds(frame, None, strategy, 20) for frame in (new, old))
    assert first.names == second.names
    np.testing.assert_array_equal(first.values, second.values)


def test_missing_expansions_are_computed():
    frame = table()
    chosen = select_confounds(frame, None, "24P")
    values = dict(zip(chosen.names, chosen.values.T, strict=True))
    x = frame["trans_x"].to_numpy()
    np.testing.assert_array_equal(values["trans_x_derivative1"], np.r_[0, np.diff(x)])
    np.testing.assert_array_equal(values["trans_x_power2"], x**2)
    np.testing.assert_array_equal(values["trans_x_derivative1_power2"], np.r_[0, np.diff(x)] ** 2)


def test_cosines_are_left_to_our_own_filter():
    with_cosine = select_confounds(table(), None, "minimal")
    without = select_confounds(table(), None, "minimal", own_high_pass=True)
    assert with_cosine.names == (*without.names, "cosine00", "cosine01")
    assert "cosines" in with_cosine.description
    assert "cosines" not in without.description


def test_compcor_without_high_pass_is_a_warning():
    frame = table(a_comp_cor_00=np.arange(20.0))
    assert "high-pass" in select_confounds(frame, None, "acompcor1").warnings[0]
    assert not select_confounds(frame, None, "acompcor1+cosine").warnings
    assert not select_confounds(frame, None, "acompcor1", own_high_pass=True).warnings


def test_scrubbing_gives_one_regressor_per_volume():
    frame = table()
    frame["framewise_displacement"] = [np.nan, 0.1, 0.9, 0.2] + [0.0] * 15 + [0.6]
    chosen = select_confounds(frame, None, "motion6+scrub0.5")
    assert chosen.names[6:] == ("scrubbed_volume0002", "scrubbed_volume0019")
    np.testing.assert_array_equal(np.argmax(chosen.values[:, 6:], axis=0), [2, 19])
    assert chosen.values[:, 6:].sum() == 2


def test_none_needs_no_table():
    chosen = select_confounds(None, None, "none", 30)
    assert chosen.values.shape == (30, 0)
    assert chosen.description == "none"


def test_dummy_scans_may_lack_values():
    frame = table(non_steady_state_outlier00=0, non_steady_state_outlier01=0)
    frame.loc[:3, "trans_x"] = np.nan
    np.testing.assert_array_equal(select_confounds(frame, None, "motion6").values[:4, 0], 0.0)


def bad(**changes):
    return table().assign(**changes)


ERRORS = [
    (table(), DEFAULT_STRATEGY, 20, 16, "aCompCor (combined mask) components"),
    (table(), "aroma", 20, 16, "--use-aroma"),
    (table(), "36P", 20, 16, "a column global_signal"),
    (table().drop(columns="rot_z"), "24P", 20, 16, "a column rot_z"),
    (table(), "minimal", 21, 65, "20 rows"),
    (bad(trans_x=[0.0] * 19 + [np.nan]), "minimal", 20, 65, "row 20 of column trans_x"),
    (bad(trans_x=["0"] * 10 + ["oops"] + ["0"] * 9), "minimal", 20, 65, "row 11"),
    (bad(trans_x=np.nan), "minimal", 20, 65, "18 such rows"),
    (table(), "9000P", 20, 2, "'9000P'"),
    (table(), "motion6+cosin", 20, 2, "'cosin' in 'motion6+cosin'"),
    (table(), "my.yml", 20, 66, "does not exist"),
    (None, "minimal", 20, 66, "--confounds none"),
    ("/nowhere/confounds.tsv", "minimal", 20, 66, "not found"),
    (table().drop(columns="framewise_displacement"), "scrub0.5", 20, 16, "framewise"),
]


@pytest.mark.parametrize(("frame", "strategy", "n_volumes", "code", "message"), ERRORS)
def test_errors(frame, strategy, n_volumes, code, message):
    with pytest.raises(MusencError) as caught:
        select_confounds(frame, None, strategy, n_volumes)
    assert caught.value.exit_code == code
    assert message in str(caught.value)
    assert caught.value.remedy


def test_strategy_file(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text(
        "description: motion and white matter [@someone2020]\n"
        "columns: ['(trans|rot)_[xyz]', white_matter]\n"
        "acompcor: {mask: WM, n: 2}\n"
        "scrub: {framewise_displacement: 2.0}\n"
        "cosine: true\n"
    )
    frame = table(w_comp_cor_00=np.arange(20.0), w_comp_cor_01=1.0, a_comp_cor_00=2.0)
    chosen = select_confounds(frame, None, path)
    assert sorted(chosen.names) == sorted(
        [*MOTION, "white_matter", "w_comp_cor_00", "w_comp_cor_01", "cosine00", "cosine01"]
    )
    assert chosen.description == "motion and white matter [@someone2020]"
    assert resolve_strategy(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: trans_x", "no list of patterns"),
        ("colums: [trans_x]", "unknown key colums"),
        ("columns: ['(']", "unterminated"),
        ("acompcor: {mask: grey, n: 3}", "mask is combined, WM or CSF"),
        ("scrub: {dvars: 3}", "thresholds"),
        ("- a", "no keys"),
        ("a: [", "flow"),
    ],
)
def test_strategy_file_with_an_error(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(MusencError, match="not as it should be") as caught:
        resolve_strategy(path)
    assert caught.value.exit_code == 16
    assert message in str(caught.value)


def test_pattern_without_a_match_is_an_error(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("columns: [rapidtide.*]")
    with pytest.raises(MusencError, match=r"rapidtide\.\*"):
        select_confounds(table(), None, path)
