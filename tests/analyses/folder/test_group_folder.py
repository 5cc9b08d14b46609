"""The group level on an output folder that was written by hand: options, arrivals, bad input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_group import LAYERS, SETTINGS, STIMULI, write_atlas, write_gradient, write_participant

from bids_app import outputs
from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti, write_gifti
from bids_app.surface.mesh import load_mesh
from bids_app.surface.places import mni305


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("group") / "results"
    for label in ("01", "02", "03"):
        write_participant(root, label)
    return root


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture
def gradient(tmp_path) -> str:
    mesh = load_mesh()
    return write_gradient(tmp_path, np.vstack([hemi.pial for hemi in mesh.hemispheres])[:, 1])


def run(folder: Path, gradient: str, *extra: str) -> int:
    arguments = ["/nowhere", str(folder), "group", "--gradient", gradient, "--n-spins", "19"]
    return main([*arguments, *extra])


def table(folder: Path, desc: str) -> pd.DataFrame:
    return pd.read_csv(next(folder.glob(f"group_model-vggish_desc-{desc}*.tsv")), sep="\t")


@pytest.mark.slow
def test_it_works_again_as_participants_arrive(folder, gradient, capfd):
    atlas = write_atlas(folder.parent)
    options = ("--n-permutations", "5", "--spin-method", "pearson", "--atlas", f"mine={atlas}")
    assert run(folder, gradient, *options, "--participant-label", "01", "02") == 0
    settings = read_json(folder / "group_model-vggish_settings.json")
    assert settings["Settings"]["n_permutations"] == 5
    assert run(folder, gradient, *options) == 0
    done = folder / "group_model-vggish_settings.json"
    assert read_json(done)["Participants"] == ["sub-01", "sub-02", "sub-03"]
    assert "new since the last group result: 03" in capfd.readouterr().err
    # Nothing that was there before is in it.
    written = done.read_bytes()
    assert run(folder, gradient, *options) == 0
    assert done.read_bytes() == written

    alignment = read_json(folder / "group_model-vggish_desc-alignmentfile_statmap.json")["Group"]
    assert alignment["method"] == "pearson"
    assert set(alignment["without_auditory"]) == {"rho_mean", "p_spin"}
    nulls, layers = table(folder, "nulls"), table(folder, "layeralignment")
    assert nulls.shape == (19, 8 + len(LAYERS))
    largest = nulls[[f"layer_{k}" for k in range(1, 6)]].abs().max(axis=1)
    np.testing.assert_allclose(nulls["largest_layer"], largest)
    counted = (1 + (largest.to_numpy() >= abs(layers["rho"][0]) * (1 - 1e-9)).sum()) / 20
    assert layers["p_corrected"][0] == pytest.approx(counted)
    assert (layers["p_corrected"] >= layers["p_spin"] - 1e-12).all()
    assert table(folder, "flips").shape == (5, 5)
    vertices = table(folder, "vertices")
    tree = OutputTree(folder)
    slope = read_gifti(
        tree.group_map("L", "fsaverage5", model="vggish", stat="slope", desc="layerpref")
    )[0]
    left = vertices[vertices["hemisphere"] == "L"]
    np.testing.assert_allclose(left["slope"], slope[left["vertex"]], rtol=1e-5)
    assert vertices["stability"].between(0, 1).all()
    analyses = table(folder, "analyses")
    reasons = analyses[analyses["state"] == "left out"].set_index("analysis")["reason"]
    assert "no cleaned response of sub-01" in str(reasons["isc"])
    assert "features of the music" in str(reasons["music"])
    check_regions(folder)
    page = (folder / "group.html").read_text()
    assert "Regions" in page
    assert "no cleaned response of sub-01" in page
    assert "tested over music, not available (the features of the music" in page
    claims = pd.read_csv(folder / "group_desc-claims_summary.tsv", sep="\t")
    assert not claims["claimed"].any()
    assert claims["untested"].str.contains("music").all()


@pytest.mark.slow
def test_participants_under_names_of_the_first_version_are_read(tmp_path, gradient, monkeypatch):
    """One of two under each spelling: the same maps as under one, and the files are named."""
    found = {}
    for name, spelled_before in (("now", ()), ("mixed", ("01",))):
        root = tmp_path / name
        for label in ("01", "02"):
            with monkeypatch.context() as patched:
                if label in spelled_before:
                    patched.setattr(outputs, "mesh_entities", lambda space: {"space": space})
                write_participant(root, label)
        assert run(root, gradient, "--n-permutations", "5") == 0
        found[name] = OutputTree(root).group_map("R", "fsaverage5", model="vggish", stat="r")
    now, mixed = (read_gifti(path) for path in found.values())
    np.testing.assert_array_equal(now, mixed)
    sources = read_json(sidecar_of(found["mixed"]))["Sources"]
    held = [Path(one).name for one in sources]
    assert len(held) == len(set(held)) == 2 * (1 + len(STIMULI))
    assert sum("_space-fsaverage5_" in one for one in held) == 3
    assert all("_hemi-R_" in one for one in held)
    assert all((tmp_path / "mixed" / one.removeprefix("bids::")).is_file() for one in sources)


def check_regions(folder: Path) -> None:
    """Means per region are those of the maps, weighted by area."""
    regions, values = table(folder, "parcelsmine"), table(folder, "participantsmine")
    assert list(regions["name"]) == ["back", "middle", "front"] * 2
    assert list(regions["hemisphere"]) == ["L"] * 3 + ["R"] * 3
    assert len(values) == 3 * 6
    mesh = load_mesh()
    inside = (mesh.left.pial[:, 1] >= 0) & (np.abs(mesh.left.pial[:, 0]) >= 5)
    path = OutputTree(folder).participant_map("02", "L", "fsaverage5", model="vggish", stat="r")
    wanted = np.average(read_gifti(path)[:, inside], axis=1, weights=mesh.areas[:10242][inside])
    row = values[(values["participant_id"] == "sub-02") & (values["region"] == 3)].iloc[0]
    names = [f"r_{k}" for k in range(1, 1 + len(LAYERS))]
    np.testing.assert_allclose(row[names].astype(float), wanted, rtol=1e-5)
    front = regions[regions["name"] == "front"]["slope"].to_numpy()
    back = regions[regions["name"] == "back"]["slope"].to_numpy()
    assert (front > back).all()
    clusters = table(folder, "clusters")
    assert set(clusters["peak_label"]) <= {"back", "middle", "front", "none"}
    starts = np.where(clusters["hemisphere"] == "L", 0, 10242)
    peaks = mni305(mesh)[clusters["peak_vertex"].to_numpy(int) + starts]
    own = clusters[[f"mni305_{axis}" for axis in "xyz"]].to_numpy(float)
    np.testing.assert_allclose(own, peaks, atol=0.05001)
    same_side = np.sign(clusters["mni152_x"].to_numpy(float)) == np.where(starts == 0, -1, 1)
    assert same_side.all()


def test_one_participant_is_refused(folder, gradient, capsys):
    assert run(folder, gradient, "--participant-label", "01") == 16
    assert "two participants" in capsys.readouterr().err


def test_participants_with_other_layers_are_refused(folder, gradient, capfd):
    write_participant(folder, "02", layers=LAYERS[:2])
    assert run(folder, gradient) == 65
    message = capfd.readouterr().err
    assert "sub-02" in message
    assert "2 layers" in message
    assert "Traceback" not in message


def test_other_settings_are_refused(folder, gradient, capfd):
    write_participant(folder, "02", settings=SETTINGS | {"delays": [2, 8]})
    assert run(folder, gradient) == 16
    message = capfd.readouterr().err
    assert "sub-02" in message
    assert "delays: [3, 9] -> [2, 8]" in message


def test_a_missing_hemisphere_is_named(folder, gradient, capfd):
    path = OutputTree(folder).participant_map("03", "R", "fsaverage5", model="vggish", stat="r")
    path.unlink()
    assert run(folder, gradient) == 66
    message = capfd.readouterr().err
    assert path.name in message
    assert "Traceback" not in message


def test_a_gradient_of_another_density_is_refused(folder, tmp_path, capfd):
    other = write_gradient(tmp_path, np.arange(2 * 2562.0))
    assert run(folder, other) == 65
    message = capfd.readouterr().err
    assert "5124 vertices" in message
    assert "20484 (fsaverage5)" in message


def test_an_atlas_of_another_mesh_is_refused(folder, gradient, tmp_path, capfd):
    (tmp_path / "atlas").mkdir()
    values = write_gradient(tmp_path / "atlas", np.ones(2 * 2562))
    assert run(folder, gradient, "--atlas", values, "--n-permutations", "2") == 65
    message = capfd.readouterr().err
    assert "2562 vertices" in message
    assert "10242 vertices per hemisphere" in message
    assert run(folder, gradient, "--atlas", "one.annot") == 2
    assert run(folder, gradient, "--atlas", "one.annot,two.annot") == 66


def test_a_gradient_of_one_hemisphere_is_refused(folder, tmp_path, capfd):
    values = np.arange(1, 20485.0)
    values[10242:] = np.nan
    assert run(folder, write_gradient(tmp_path, values), "--n-permutations", "2") == 65
    assert "0 finite values in hemisphere R" in capfd.readouterr().err


def test_a_map_without_values_is_named(folder, gradient, capfd):
    tree = OutputTree(folder)
    for hemi in "LR":
        path = tree.participant_map("02", hemi, "fsaverage5", model="vggish", stat="r")
        write_gifti(path, np.full((len(LAYERS), 10242), np.nan), hemi=hemi, names=LAYERS)
    assert run(folder, gradient) == 65
    message = capfd.readouterr().err
    assert "sub-02" in message
    assert "Traceback" not in message


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_named(folder, gradient, capfd):
    folder.chmod(0o555)
    try:
        assert run(folder, gradient) == 73
    finally:
        folder.chmod(0o755)
    assert str(folder) in capfd.readouterr().err


def test_an_output_that_cannot_be_written_is_named(folder, gradient, capfd):
    (folder / "tpl-fsaverage").write_text("a file where a folder should be")
    assert run(folder, gradient, "--n-permutations", "2") == 73
    message = capfd.readouterr().err
    assert "tpl-fsaverage" in message
    assert "Traceback" not in message
