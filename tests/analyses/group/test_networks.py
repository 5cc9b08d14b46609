"""Networks by name: their tests, and the mean of every group map in each."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from written_group import write_gradient, write_participant

from bids_app.analyses.group.networks import write_network_tables
from bids_app.analyses.group_level import with_own_atlases
from bids_app.analyses.registry import write_group_report
from bids_app.cli.parser import parse_config
from bids_app.cli.run import main
from bids_app.config import Statistics, settings_hash
from bids_app.files import sha256_of_file, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti, write_gifti
from bids_app.surface.mesh import load_mesh

NAMES = ("NONAME0", "7Networks_1", "7Networks_2", "7Networks_7")


def keys_of(hemi) -> np.ndarray:
    """Back, middle and front of a hemisphere are networks 1, 2 and 7; its inner side is none."""
    keys = np.digitize(hemi.pial[:, 1], (-40, 0)) + 1
    keys[np.abs(hemi.pial[:, 0]) < 5] = 0
    return keys


def write_networks(folder: Path) -> str:
    """What --networks takes."""
    folder.mkdir(exist_ok=True)
    colors = np.array([[k, 3 * k, 7, 0, 0] for k in range(1, 1 + len(NAMES))])
    paths = [folder / f"{side}.Yeo2011_7Networks_N1000.annot" for side in ("lh", "rh")]
    for path, hemi in zip(paths, load_mesh().hemispheres, strict=True):
        names = [name.encode() for name in NAMES]
        nib.freesurfer.write_annot(path, keys_of(hemi), colors, names, fill_ctab=True)
    return f"{paths[0]},{paths[1]}"


@pytest.mark.slow
def test_networks_have_tables_of_both_claims_and_of_every_group_map(tmp_path, monkeypatch):
    root = tmp_path / "out"
    for label in ("01", "02"):
        write_participant(root, label)
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    gradient = write_gradient(tmp_path, pial[:, 1])
    # Installed ones need no option.
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    write_networks(tmp_path / "networks")
    options = ("--gradient", gradient, "--n-spins", "9", "--n-permutations", "5")
    assert main(["/nowhere", str(root), "group", *options]) == 0

    regions = pd.read_csv(root / "group_model-vggish_desc-parcelsYeo7_summary.tsv", sep="\t")
    assert list(regions["name"]) == ["Visual", "Somatomotor", "Default mode"]
    assert set(regions["hemisphere"]) == {"both"}
    slopes = regions.set_index("name")["slope"]  # planted: deep layers toward the front
    assert slopes["Default mode"] > slopes["Somatomotor"] > slopes["Visual"]
    assert {"accuracy_p", "accuracy_p_music", "slope_p", "slope_p_music"} <= set(regions)

    table = pd.read_csv(root / "group_desc-networksYeo7_summary.tsv", sep="\t")
    mesh, tree = load_mesh(), OutputTree(root)
    inside = np.concatenate([keys_of(hemi) == 3 for hemi in mesh.hemispheres])
    for stat, desc, share in (("slope", "layerpref", False), ("p", "layermean", True)):
        halves = [
            tree.group_map(hemi, "fsaverage5", model="vggish", stat=stat, desc=desc)
            for hemi in "LR"
        ]
        values = np.concatenate([read_gifti(path)[0] for path in halves])
        there = inside & np.isfinite(values)
        shown = (values < 0.05) if share else values
        wanted = np.average(shown[there].astype(float), weights=mesh.areas[there])
        row = table[(table["file"] == halves[0].name) & (table["network"] == "Default mode")]
        column, other = ("share", "value") if share else ("value", "share")
        assert row[column].item() == pytest.approx(wanted, rel=1e-5, abs=1e-9)
        assert np.isnan(row[other].item())
    maps = {path.name for path in tree.root.glob("tpl-fsaverage/func/*hemi-L*_statmap.func.gii")}
    assert set(table["file"]) == {name for name in maps if "stat-argmax" not in name}
    page = tree.group_report.read_text()
    assert "in the networks of Yeo7" in page
    assert "others by now" not in page

    changed = tree.group_map("L", "fsaverage5", model="vggish", stat="slope", desc="layerpref")
    write_gifti(changed, read_gifti(changed) + 1, hemi="L", names=["slope"])
    write_group_report(root)
    assert "1 of the maps are others by now" in tree.group_report.read_text()


def test_nothing_is_written_without_networks_or_maps(tmp_path):
    assert write_network_tables(OutputTree(tmp_path), Statistics()) == []
    networks = write_networks(tmp_path)
    assert write_network_tables(OutputTree(tmp_path), Statistics(networks=(networks,))) == []
    config = parse_config(["/nowhere", str(tmp_path), "group", "--networks", networks])
    assert with_own_atlases(config).statistics.networks == (networks,)


def with_installed(tmp_path, monkeypatch) -> tuple[list[str], OutputTree, str]:
    """A call of a folder with one participant's map, and installed networks."""
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    tree = OutputTree(tmp_path / "out")
    done = tree.map_file("01", "L", "fsaverage5", model="vggish", stat="r")
    done.parent.mkdir(parents=True)
    done.write_text("x")
    return (
        ["/nowhere", str(tree.root), "group"],
        tree,
        f"Yeo7={write_networks(tmp_path / 'networks')}",
    )


def test_installed_networks_do_not_collide_with_a_label_that_is_given(
    tmp_path, monkeypatch, caplog
):
    call, _, installed = with_installed(tmp_path, monkeypatch)
    caplog.set_level(logging.INFO, "bids_app")
    config = with_own_atlases(parse_config([*call, "--atlas", "Mine=a.annot,b.annot"]))
    assert config.statistics.networks == (installed,)
    assert "left out" not in caplog.text
    config = with_own_atlases(parse_config([*call, "--atlas", "Yeo 7=a.annot,b.annot"]))
    assert config.statistics.networks == ()
    assert "the installed Yeo7 is left out: another one of this name is given" in caplog.text


def test_installed_networks_do_not_replace_those_of_the_folder(tmp_path, monkeypatch, caplog):
    call, tree, installed = with_installed(tmp_path, monkeypatch)
    caplog.set_level(logging.INFO, "bids_app")
    sums = [sha256_of_file(Path(p)) for p in installed.removeprefix("Yeo7=").split(",")]
    path = tree.group_table("settings.json", model="vggish", desc="parcelsYeo7")

    def chosen(settings: dict) -> tuple[str, ...]:
        write_json(path, {"SettingsHash": settings_hash(settings), "Settings": settings})
        return with_own_atlases(parse_config(call)).statistics.networks

    # Other settings than its files are refused as those of every analysis are.
    assert chosen({"networks": sums, "n_spins": 1}) == (installed,)
    assert "left out" not in caplog.text
    for other in ({"networks": ["y", sums[1]]}, {"atlas": sums}):
        caplog.clear()
        assert chosen(other) == ()
        assert f"{path.name} is of other files" in caplog.text


@pytest.mark.parametrize(
    "entities",
    [
        {"model": "vggish", "stat": "r", "desc": "layermean"},
        {"model": "vggish", "stat": "slope", "desc": "layerpref"},
        {"model": "vggish", "stat": "r", "desc": "unique"},
        {"model": "emotion", "feature": "Enjoyment", "stat": "effect"},
        {"model": "conditions", "feature": "dissonantMinusconsonant", "stat": "t"},
        {"model": "conditions", "feature": "dissonantMinusconsonant", "stat": "p", "desc": "maxt"},
    ],
)
def test_every_kind_of_group_map_has_its_means(tmp_path, entities):
    """Planted: .01, .03, .09 in the three networks, on two arrays."""
    tree, option = OutputTree(tmp_path / "out"), f"Yeo7={write_networks(tmp_path)}"
    for hemi, side in zip("LR", load_mesh().hemispheres, strict=True):
        path = tree.group_map(hemi, "fsaverage5", **entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.array([np.nan, 0.01, 0.03, 0.09])[keys_of(side)]
        write_gifti(path, np.stack([values, values / 2]), hemi=hemi, names=["a", "b"])
        write_json(sidecar_of(path), {"DataArrays": ["a", "b"]})
    (table, *_) = write_network_tables(tree, Statistics(networks=(option,)))
    rows = pd.read_csv(table, sep="\t", dtype={"feature": str})
    assert list(rows["network"]) == ["Visual", "Somatomotor", "Default mode"] * 2
    assert set(rows["feature"].fillna("")) == {entities.get("feature", "")}
    if entities["stat"] == "p":
        assert rows["share"].tolist() == [1, 1, 0, 1, 1, 1]
    else:
        np.testing.assert_allclose(rows["value"][:3], [0.01, 0.03, 0.09], rtol=1e-5)


def test_maps_that_cannot_be_read_cost_their_rows_of_networks(tmp_path, caplog):
    tree, names = OutputTree(tmp_path / "out"), ("good", "short")
    option = f"Yeo7={write_networks(tmp_path)}"
    for name in names:
        for hemi in "LR":
            path = tree.group_map(hemi, "fsaverage5", model=name, stat="r", desc="layermean")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_gifti(path, np.ones((1, 10242), dtype=np.float32), hemi=hemi, names=["r"])
            arrays = ["r"] if name == "good" else ["r", "another"]
            write_json(sidecar_of(path), {"DataArrays": arrays})
    foreign = path.with_name("hemi-L_den-2k_stat-r_statmap.func.gii")
    foreign.write_text("x")
    foreign.with_name("hemi-L_stat-r_statmap.func.gii").write_text("x")
    (table, *_) = write_network_tables(tree, Statistics(networks=(option,)))
    rows = pd.read_csv(table, sep="\t")
    assert set(rows["model"]) == {"good"}
    assert rows["value"].tolist() == [1.0] * 3
    assert "hemi-L_den-2k_stat-r_statmap.func.gii is left out" in caplog.text
    assert "networks: hemi-L_stat-r_statmap.func.gii is left out" in caplog.text
    assert "model-short" in caplog.text
