"""Both levels through the command line: what is written, what is refused, what is redone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from listed import listed, written
from nilearn.datasets import load_fsaverage
from nilearn.surface import SurfaceImage

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, parse_entities, sidecar_of
from bids_app.surface.gifti import read_gifti

STIMULI = ("adagio", "allegro", "andante")
PARTICIPANT_MAPS = {
    *(("r", stim, "") for stim in STIMULI),
    *(("alpha", stim, "") for stim in STIMULI),
    *((stat, "", "") for stat in ("r", "z", "p", "q")),
    *((stat, "", "layerpref") for stat in ("slope", "curvature", "centroid", "argmax", "max")),
}
GROUP_MAPS = {
    *((stat, "") for stat in ("r", "t", "q", "n")),
    *(
        (stat, desc)
        for stat in ("p", "q")
        for desc in ("music", "layermeanmusic", "layerprefmusic", "curvaturemusic")
    ),
    *(("n", desc) for desc in ("predicted", "mask", "shown")),
    ("prevalence", ""),
    *(
        (stat, "layerpref")
        for stat in ("slope", "t", "p", "curvature", "centroid", "argmax", "max", "stability")
    ),
    *((stat, "curvature") for stat in ("t", "p")),
    *(("p", desc) for desc in ("maxt", "tfce", "layermean", "isc", "iscmaxt")),
    ("r", "layermean"),
    ("value", "gradienttruth"),
    ("isc", "pairwise"),
    ("isc", "leaveoneout"),
}
RATING_TABLES = {
    f"group_model-vggish_desc-{name}.tsv"
    for name in (
        "ratings_scores",
        "changes_scores",
        "interaction_scores",
        "preferredlayers_summary",
        "ratingpairs_summary",
    )
}


def _maps(folder: Path) -> list[Path]:
    return sorted(folder.glob("*_statmap.func.gii"))


def test_every_participant_map_is_there_for_both_hemispheres(analyzed):
    for label in analyzed.study.participants:
        folder = OutputTree(analyzed.output_dir).participant_dir(label)
        found = [parse_entities(path) for path in _maps(folder) if "_model-vggish_" in path.name]
        for hemi in "LR":
            kinds = {
                (e["stat"], e.get("stim", ""), e.get("desc", ""))
                for e in found
                if e["hemi"] == hemi
            }
            assert kinds == PARTICIPANT_MAPS
        assert len(list(folder.glob("*_desc-clean_bold.func.gii"))) == 6
        assert (analyzed.output_dir / f"sub-{label}.html").stat().st_size > 10_000


def test_every_group_map_and_table_is_there(analyzed):
    folder = analyzed.output_dir / "tpl-fsaverage" / "func"
    found = [parse_entities(p) for p in _maps(folder) if "_model-emotion_" not in p.name]
    for hemi in "LR":
        kinds = {(e["stat"], e.get("desc", "")) for e in found if e["hemi"] == hemi}
        assert kinds == GROUP_MAPS
    tables = {path.name for path in analyzed.output_dir.glob("group_*.tsv")} - RATING_TABLES
    assert tables == {
        "group_model-vggish_desc-alignmenttruth_statmap.tsv",
        "group_model-vggish_desc-analyses_summary.tsv",
        "group_model-vggish_desc-binstruth_statmap.tsv",
        "group_model-vggish_desc-clusters_statmap.tsv",
        "group_model-vggish_desc-flips.tsv",
        "group_model-vggish_desc-layeralignmenttruth_statmap.tsv",
        "group_desc-claims_summary.tsv",
        "group_model-vggish_desc-layerpref_summary.tsv",
        "group_model-vggish_desc-layers_summary.tsv",
        "group_model-vggish_desc-musicnullstruth.tsv",
        "group_model-vggish_desc-nullstruth.tsv",
        "group_model-vggish_desc-participants_summary.tsv",
        "group_model-vggish_desc-prevalence_summary.tsv",
        "group_model-vggish_desc-verticestruth_statmap.tsv",
    }
    for name in tables | RATING_TABLES:
        table = pd.read_csv(analyzed.output_dir / name, sep="\t")
        dictionary = read_json((analyzed.output_dir / name).with_suffix(".json"))
        assert set(table.columns) <= set(dictionary)
    assert (analyzed.output_dir / "group.html").stat().st_size > 10_000


def test_maps_have_layers_sidecars_and_no_values_on_the_medial_wall(analyzed):
    wall = ~analyzed.study.truth.cortex[:10242]
    for path in _maps(OutputTree(analyzed.output_dir).participant_dir("01")):
        sidecar = read_json(sidecar_of(path))
        data = read_gifti(path)
        assert len(data) == len(sidecar["DataArrays"])
        assert sidecar["SettingsHash"]
        assert sidecar["Sources"]
        if parse_entities(path)["hemi"] == "L":
            assert np.isnan(data[:, wall]).all()
        if parse_entities(path)["model"] == "vggish" and parse_entities(path)["stat"] == "r":
            assert len(data) == 23
            assert np.isfinite(data[:, ~wall]).all() or parse_entities(path)["hemi"] == "R"


def test_sources_are_uris_of_files_that_exist(analyzed):
    links = read_json(analyzed.output_dir / "dataset_description.json")["DatasetLinks"]
    path = OutputTree(analyzed.output_dir).participant_map(
        "01", "L", "fsaverage5", model="vggish", stat="r"
    )
    sources = read_json(sidecar_of(path))["Sources"]
    assert len(sources) >= 9
    for source in sources:
        _, dataset, relative = source.split(":", 2)
        folder = Path(links[dataset].removeprefix("file://").replace("%20", " "))
        assert (folder / relative).is_file()


def test_maps_load_in_nilearn(analyzed):
    tree = OutputTree(analyzed.output_dir)
    parts = {
        name: str(tree.participant_map("01", hemi, "fsaverage5", model="vggish", stat="r"))
        for name, hemi in (("left", "L"), ("right", "R"))
    }
    image = SurfaceImage(load_fsaverage("fsaverage5")["inflated"], parts)
    assert image.shape == (20484, 23)


def test_group_means_are_those_of_the_participants(analyzed):
    tree = OutputTree(analyzed.output_dir)
    maps = np.stack(
        [
            read_gifti(tree.participant_map(p, "L", "fsaverage5", model="vggish", stat="r"))
            for p in analyzed.study.participants
        ]
    ).astype(float)
    group = read_gifti(tree.group_map("L", "fsaverage5", model="vggish", stat="r"))
    np.testing.assert_allclose(group, np.tanh(np.arctanh(maps).mean(axis=0)), atol=1e-6)


def test_the_validator_reports_nothing(analyzed):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run(
        [validator, "--format", "json", str(analyzed.output_dir)], capture_output=True, text=True
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert issues == []
    assert done.returncode == 0


def test_nothing_half_written_is_left(analyzed):
    left = [p for p in analyzed.output_dir.rglob("*") if p.name.startswith(".partial")]
    assert left == []
    assert not list(analyzed.output_dir.rglob("*.lock"))


def test_the_status_says_done(analyzed):
    for path in (analyzed.output_dir / "logs").glob("status_*.json"):
        content = json.loads(path.read_text())
        assert content["exit_code"] == 0
        assert [row["state"] for row in content["rows"]] == ["done"] * 3


def test_a_second_run_redoes_nothing(analyzed, capfd):
    path = OutputTree(analyzed.output_dir).participant_settings("01", "vggish")
    before = path.stat().st_mtime_ns
    assert main(analyzed.arguments("participant")) == 0
    assert path.stat().st_mtime_ns == before
    assert "sub-01: already done" in capfd.readouterr().err


def test_other_settings_into_the_same_folder_are_refused(analyzed, capsys):
    assert main(analyzed.arguments("participant", "--crop", "10")) == 16
    message = capsys.readouterr().err
    assert "crop: 15.0 -> 10.0" in message
    assert "Traceback" not in message
    # Cleaned responses are shared by the models of a folder.
    other = ("--features", "envelope", "--smoothing", "0")
    assert main(analyzed.arguments("participant", *other)) == 16
    assert "smoothing: 6.0 -> 0.0" in capsys.readouterr().err
    assert main(analyzed.arguments("group", "--n-spins", "50")) == 16
    assert "n_spins: 100 -> 50" in capsys.readouterr().err


def test_results_do_not_depend_on_processes_or_order(analyzed, tmp_path):
    arguments = analyzed.arguments(
        "participant",
        "--participant-label",
        "02",
        "-w",
        str(tmp_path / "w"),
        output_dir=tmp_path / "out",
    )
    assert main(arguments) == 0
    ours = OutputTree(tmp_path / "out").participant_dir("02")
    for path in _maps(OutputTree(analyzed.output_dir).participant_dir("02")):
        assert (ours / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.integration
def test_a_broken_participant_does_not_stop_the_others(analyzed, garble, tmp_path, capfd):
    out = tmp_path / "out"
    arguments = [str(garble("02")), *analyzed.arguments("participant", output_dir=out)[1:]]
    assert main([*arguments, "--participant-label", "01", "02"]) == 1
    message = capfd.readouterr().err
    assert "sub-02 failed" in message
    assert "Traceback" not in message
    (status,) = (out / "logs").glob("status_*.json")
    states = {r["participant"]: r["state"] for r in json.loads(status.read_text())["rows"]}
    assert states == {"01": "done", "02": "failed"}
    assert "adagio" in (out / "sub-02.html").read_text()
    assert OutputTree(out).participants_of("vggish") == ["01"]


@pytest.mark.integration
def test_reports_only_draws_the_pages_again_and_computes_nothing(analyzed, capsys, tmp_path):
    pages = [analyzed.output_dir / name for name in ("sub-01.html", "sub-02.html", "group.html")]
    maps = OutputTree(analyzed.output_dir).participant_map(
        "01", "L", "fsaverage5", model="vggish", stat="r"
    )
    before = maps.stat().st_mtime_ns
    other = pages[1].stat().st_mtime_ns
    pages[0].unlink()
    pages[2].unlink()
    only = ["--reports-only", "--participant-label", "01"]
    assert main(analyzed.arguments("participant", *only)) == 0
    assert main(analyzed.arguments("group", "--reports-only")) == 0
    assert pages[0].stat().st_size > 10_000
    assert pages[2].stat().st_size > 10_000
    assert maps.stat().st_mtime_ns == before
    assert pages[1].stat().st_mtime_ns == other
    assert main(analyzed.arguments("group", "--reports-only", output_dir=tmp_path)) == 66
    assert "without --reports-only" in capsys.readouterr().err


def test_dry_run_prints_the_plan_and_writes_nothing(analyzed, tmp_path, capsys):
    arguments = analyzed.arguments("participant", "--dry-run", output_dir=tmp_path / "none")
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for word in ("01", "02", "03", *STIMULI, "memory", "disk", "stat-{r,z,p,q}_statmap.func.gii"):
        assert word in printed
    assert not (tmp_path / "none").exists()


def test_dry_run_names_what_the_run_leaves(analyzed, capsys):
    assert main(analyzed.arguments("participant", "--dry-run")) == 0
    printed = capsys.readouterr().out
    assert "those of 3 participants are there" in printed
    assert listed(printed) == written(analyzed.output_dir, "01")


@pytest.mark.parametrize(
    ("extra", "code", "words"),
    [
        (["--participant-label", "99"], 18, ["99", "01, 02, 03"]),
        (["--task-id", "none"], 18, ["none"]),
        (["--vggish-weights", "/no/weights.pth"], 66, ["/no/weights.pth"]),
        (["--vggish-weights", "random:x"], 2, ["random:0"]),
        (["--stimuli", "/no/table.tsv"], 66, ["/no/table.tsv"]),
    ],
)
def test_user_errors_have_a_code_and_a_remedy(analyzed, tmp_path, capsys, extra, code, words):
    arguments = analyzed.arguments("participant", *extra, output_dir=tmp_path / "out")
    assert main(arguments) == code
    message = capsys.readouterr().err
    assert "do this:" in message
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_group_of_one_or_of_nobody_is_refused(analyzed, tmp_path, capsys):
    assert main(analyzed.arguments("group", output_dir=tmp_path)) == 66
    assert "participant level" in capsys.readouterr().err
    assert main(analyzed.arguments("group", "--participant-label", "01")) == 16
    assert "two participants" in capsys.readouterr().err
    assert main(analyzed.arguments("group", "--gradient", "no.gii")) == 66
