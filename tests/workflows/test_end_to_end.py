"""Both levels through the command line: what is written, what is refused, what is redone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from bids.layout import BIDSLayout
from listed import listed, written
from listed_names import unlisted
from matplotlib import pyplot
from nilearn.datasets import load_fsaverage
from nilearn.surface import SurfaceImage

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, parse_entities, pybids_config, sidecar_of
from bids_app.statistics import p_told
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
    *(("p", f"{desc}musicmax") for desc in ("", "layermean", "layerpref", "curvature")),
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


def test_the_list_of_outputs_has_every_file_of_a_participant(analyzed):
    folder = OutputTree(analyzed.output_dir).participant_dir("01")
    names = [path.name for path in folder.iterdir() if path.name.endswith((".func.gii", ".tsv"))]
    assert len(names) > 50
    assert unlisted(names, "Of a participant") == []


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
        "group_model-vggish_desc-depthcontrolstruth_statmap.tsv",
        "group_model-vggish_desc-flips.tsv",
        "group_model-vggish_desc-layeralignmenttruth_statmap.tsv",
        "group_desc-claims_summary.tsv",
        "group_desc-motion_summary.tsv",
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
        if parse_entities(path).get("model") == "vggish" and parse_entities(path)["stat"] == "r":
            assert len(data) == 10
            assert np.isfinite(data[:, ~wall]).all() or parse_entities(path)["hemi"] == "R"


def _sources(analyzed, path: Path) -> list[Path]:
    """Files that the sidecar of a map names; all are there."""
    links = read_json(analyzed.output_dir / "dataset_description.json")["DatasetLinks"]
    folders = {name: Path(unquote(url.removeprefix("file://"))) for name, url in links.items()}
    folders[""] = analyzed.output_dir
    found = []
    for source in read_json(sidecar_of(path))["Sources"]:
        if source.startswith("file://"):
            found.append(Path(unquote(source.removeprefix("file://"))))
        else:
            _, dataset, relative = source.split(":", 2)
            found.append(folders[dataset] / relative)
    assert [one for one in found if not one.exists()] == []
    return found


def _of_other(hemi: str, sources: list[Path]) -> list[Path]:
    return [one for one in sources if f"hemi-{'R' if hemi == 'L' else 'L'}" in one.name]


def test_every_map_of_a_participant_names_all_that_it_rests_on(analyzed):
    tree = OutputTree(analyzed.output_dir)
    (features,) = tree.features.iterdir()
    for path in _maps(tree.participant_dir("01")):
        entities = parse_entities(path)
        sources = _sources(analyzed, path)
        assert _of_other(entities["hemi"], sources) == []
        bold = [one for one in sources if one.name.endswith("_bold.func.gii")]
        assert {parse_entities(one)["task"] for one in bold} == set(STIMULI)
        names = {one.name for one in sources}
        # The quality of a series is no matter of the music.
        heard = {f"{stimulus}.wav" for stimulus in STIMULI} if "model" in entities else set()
        assert heard <= names
        assert sum(name.endswith("_timeseries.tsv") for name in names) == 3
        assert sum(name.endswith("_events.tsv") for name in names) == 3
        rated = [name for name in names if name.endswith("_stim.tsv.gz")]
        assert (features in sources) is (entities.get("model") == "vggish")
        assert len(rated) == (3 if entities.get("model") == "emotion" else 0)


def test_every_table_names_what_it_rests_on(analyzed):
    """Both levels: files of the dataset, the music, or results in the folder; all are there."""
    root = analyzed.output_dir
    rests_on = {
        path.name: {one.name for one in _sources(analyzed, path)}
        for path in (*root.glob("group_*.tsv"), *root.glob("sub-*/func/*.tsv"))
    }
    assert len(rests_on) > 50
    assert [name for name, sources in rests_on.items() if not sources] == []
    heard = {f"{stimulus}.wav" for stimulus in STIMULI}
    assert heard <= rests_on["sub-01_model-vggish_desc-layers_summary.tsv"]
    assert heard <= rests_on["sub-01_desc-runs_summary.tsv"]
    assert not any("sub-02" in one for one in rests_on["sub-01_desc-runs_summary.tsv"])
    bins = rests_on["group_model-vggish_desc-binstruth_statmap.tsv"]
    assert {path.name for path in analyzed.study.gradient_files} <= bins
    assert sum(name.endswith("_model-vggish_stat-r_statmap.func.gii") for name in bins) >= 6
    assert rests_on["group_model-vggish_desc-analyses_summary.tsv"] == {
        f"sub-{who}_model-vggish_settings.json" for who in analyzed.study.participants
    }
    claims = rests_on["group_desc-claims_summary.tsv"]
    assert "group_model-vggish_desc-alignmenttruth_statmap.tsv" in claims
    assert rests_on["group_model-vggish_desc-preferredlayers_summary.tsv"] == {
        f"sub-{who}_model-vggish_desc-ratings_scores.tsv" for who in analyzed.study.participants
    }


def test_cleaned_responses_name_their_run_and_hemisphere(analyzed):
    paths = OutputTree(analyzed.output_dir).participant_dir("01").glob("*_desc-clean_bold.func.gii")
    for path in paths:
        entities = parse_entities(path)
        sources = _sources(analyzed, path)
        assert {parse_entities(one)["task"] for one in sources} == {entities["task"]}
        assert _of_other(entities["hemi"], sources) == []
        told = read_json(sidecar_of(path))
        sphere = f"tpl-fsaverage_hemi-{entities['hemi']}_den-10k_sphere.surf.gii"
        assert told["SpatialReference"] == f"bids:templateflow:tpl-fsaverage/{sphere}"
        assert told["Density"]
        assert told["TaskName"] == entities["task"]


def test_every_map_of_the_group_names_all_that_it_rests_on(analyzed):
    everybody = {f"sub-{who}" for who in analyzed.study.participants}
    for path in _maps(analyzed.output_dir / "tpl-fsaverage" / "func"):
        entities = parse_entities(path)
        sources = _sources(analyzed, path)
        assert sources
        assert _of_other(entities["hemi"], sources) == []
        if entities["stat"] == "value":
            assert sources == [analyzed.study.gradient_files["LR".index(entities["hemi"])]]
            continue
        maps = [one for one in sources if one.name.endswith(".func.gii")]
        assert {one.name.split("_")[0] for one in maps} == everybody
        suffix = "statmap" if "model" in entities else "bold"  # of no model: what listeners share
        assert any(one.name.endswith(f"_{suffix}.func.gii") for one in maps)
        if entities.get("desc") == "music" and entities["model"] == "vggish":
            assert any(one.parent.name == "features" for one in sources)


def test_events_say_when_the_music_was_taken_to_play(analyzed):
    folder = OutputTree(analyzed.output_dir).participant_dir("01")
    path = OutputTree(analyzed.output_dir).runs_summary("01")
    summary = pd.read_csv(path, sep="\t", dtype=str)
    for _, row in summary.iterrows():
        path = folder / f"{row['run']}_events.tsv"
        events = pd.read_csv(path, sep="\t")
        assert list(events["trial_type"]) == row["stimuli"].split(", ")
        np.testing.assert_allclose(events["onset"], float(row["onsets_s"]))
        described = read_json(sidecar_of(path))
        assert set(events) <= set(described)
        # As BIDS has them: its validator warns of columns that are described as text.
        for name in ("onset", "duration"):
            assert (described[name]["Format"], described[name]["Units"]) == ("number", "s")


def test_pybids_knows_every_entity_of_the_files_as_documented(analyzed):
    layout = BIDSLayout(
        analyzed.output_dir, config=["bids", "derivatives", pybids_config()], validate=False
    )
    wanted = {"subject": "02", "hemi": "R", "space": "fsaverage", "den": "10k"}
    (one,) = layout.get(**wanted, stat="slope", desc="layerpref", extension=".func.gii")
    expected = OutputTree(analyzed.output_dir).participant_map(
        "02", "R", "fsaverage5", model="vggish", stat="slope", desc="layerpref"
    )
    assert Path(one.path) == expected
    assert one.get_metadata()["SpatialReference"].endswith("hemi-R_den-10k_sphere.surf.gii")
    (bold,) = layout.get(**wanted, task="adagio", suffix="bold", extension=".func.gii")
    assert bold.entities["stim"] == "adagio"
    wanted = {"tpl": "fsaverage", "hemi": "L", "den": "10k", "extension": ".func.gii"}
    (one,) = layout.get(**wanted, model="vggish", stat="p", desc="tfce")
    assert Path(one.path).parts[-3] == "tpl-fsaverage"
    assert layout.get_subjects() == list(analyzed.study.participants)


def test_the_plot_of_the_page_on_outputs_is_drawn(analyzed, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/outputs.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(analyzed.output_dir.parent)
    (analyzed.output_dir.parent / "OUT").symlink_to(analyzed.output_dir)
    exec(example, {})
    assert pyplot.get_fignums()
    pyplot.close("all")


def test_maps_load_in_nilearn(analyzed):
    tree = OutputTree(analyzed.output_dir)
    parts = {
        name: str(tree.participant_map("01", hemi, "fsaverage5", model="vggish", stat="r"))
        for name, hemi in (("left", "L"), ("right", "R"))
    }
    image = SurfaceImage(load_fsaverage("fsaverage5")["inflated"], parts)
    assert image.shape == (20484, 10)


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


def test_the_validator_counts_everybody_and_reports_no_error(analyzed):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run(
        [validator, "--format", "json", str(analyzed.output_dir)], capture_output=True, text=True
    )
    report = json.loads(done.stdout)
    errors = [one for one in report["issues"]["issues"] if one["severity"] == "error"]
    assert errors == []
    assert done.returncode == 0
    assert sorted(report["summary"]["subjects"]) == list(analyzed.study.participants)


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


def _text(path: Path) -> str:
    """What a reader of a page sees."""
    plain = re.sub(r"<(script|style).*?</\1>", " ", path.read_text(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", plain)).split())


def test_warnings_are_in_sidecars_settings_status_and_on_the_page(analyzed):
    tree = OutputTree(analyzed.output_dir)
    told = read_json(tree.participant_settings("01", "vggish"))["Warnings"]
    assert any("samples of a presentation are kept" in text for text in told)
    path = tree.participant_map("01", "L", "fsaverage5", model="vggish", stat="p")
    assert read_json(sidecar_of(path))["Warnings"] == told
    notes = [read_json(one).get("notes", ()) for one in tree.logs.glob("status_*.json")]
    page = _text(tree.participant_report("01"))
    for text in told:
        assert any(f"sub-01: {text}" in own for own in notes)
        assert text[1:] in page


def test_the_lag_plot_says_the_peaks_and_p_of_the_table(analyzed):
    tree = OutputTree(analyzed.output_dir)
    runs = pd.read_csv(tree.runs_summary("01"), sep="\t", dtype=str)
    curves = pd.read_csv(tree.lag_curves("01"), sep="\t")
    page = _text(tree.participant_report("01"))
    found = []
    for stimulus in curves["stimulus"].unique():
        ((lag, p),) = runs.loc[runs["stimuli"] == stimulus, ["lag_s", "lag_p"]].to_numpy()
        assert (lag == "unclear") == (float(p) >= 0.01)
        told = lag if lag in ("unclear", "at the edge") else f"{float(lag):.1f} s"
        assert f"{stimulus} {told} ({p_told(float(p))})" in page
        found.append(told)
    assert ("No peak is clear (p < 0.01)" in page) == (set(found) == {"unclear"})


def test_axes_of_the_gradient_say_what_its_record_says(analyzed):
    folder = analyzed.output_dir
    record = read_json(folder / "group_model-vggish_desc-alignmenttruth_statmap.json")["Group"]
    told = record["gradient"]["Orientation"]
    (values,) = np.concatenate([read_gifti(path)[0] for path in analyzed.study.gradient_files])[
        np.newaxis
    ]
    page = _text(folder / "group.html")
    if told == "as given":
        assert "its ends are as its file has them" in page
        assert "transmodal)" not in page.split("its ends are as its file has them")[0][-400:]
        return
    high = "transmodal" if told["transmodal_mean"] > told["sensory_mean"] else "sensory"
    assert told["flipped"] is False
    assert np.nanmin(values) <= told["transmodal_mean"] <= np.nanmax(values)
    assert f"high values are {high}" in page


def test_methods_say_what_was_done_in_every_format(analyzed):
    folder, tree = analyzed.output_dir, OutputTree(analyzed.output_dir)
    runs = pd.concat(
        [pd.read_csv(tree.runs_summary(one), sep="\t") for one in analyzed.study.participants]
    )
    settings = read_json(tree.participant_settings("01", "vggish"))["Settings"]
    (fmriprep,) = [
        source["Version"]
        for source in read_json(folder / "dataset_description.json")["SourceDatasets"]
        if "fMRIPrep" in source.get("Version", "")
    ]
    written = read_json(analyzed.study.bids_dir / "derivatives/fmriprep/dataset_description.json")
    assert fmriprep == f"fMRIPrep {written['GeneratedBy'][0]['Version']}"
    volumes = runs["n_volumes"]
    words = [
        fmriprep,
        f"{len(analyzed.study.participants)} participants",
        f"{len(runs)} runs had {volumes.min()} to {volumes.max()} volumes",
        str(settings["confounds"]),
        "medial wall",
    ]
    markdown = (folder / "CITATION.md").read_text()
    shown = [_text(folder / "group.html"), _text(folder / "CITATION.html"), markdown]
    for text in (*shown, (folder / "CITATION.tex").read_text()):
        plain = " ".join(text.replace("\\_", "_").split())
        assert [one for one in words if one not in plain] == []
    cited = re.findall(r"\\cite\{([^}]+)\}", (folder / "CITATION.tex").read_text())
    keys = {key for group in cited for key in group.split(",")}
    entries = set(re.findall(r"@\w+\{([^,]+),", (folder / "CITATION.bib").read_text()))
    assert keys
    assert keys <= entries
