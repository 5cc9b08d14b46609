"""``--gradient own``: the study's own gradient from cleaned resting runs, and its refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from resting import EVERY, with_signal, write_resting
from written_group import write_gradient, write_participant

from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group.alignment import load_gradient
from bids_app.analyses.group.own_plan import OwnPlan, plan_own_gradient
from bids_app.analyses.group.write_own import make_own_gradient
from bids_app.cli.parser import parse_config
from bids_app.cli.run import NOTHING_TO_ALIGN, main, tell_nothing_to_align
from bids_app.config import Config
from bids_app.errors import UsageError
from bids_app.files import read_json
from bids_app.outputs import (
    OWN_COMPONENTS_DESC,
    OWN_DESC,
    OWN_PEOPLE_DESC,
    OutputTree,
    cifti_of,
    sidecar_of,
)
from bids_app.status import Status
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import load_mesh, nearest_vertices
from bids_app.testing.fslr import small_fslr
from bids_app.testing.rest import front_to_back

PLACE = front_to_back(load_mesh())
FEW = ("--n-spins", "49", "--n-permutations", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three with maps; two of them rested, one for a short time."""
    root = tmp_path_factory.mktemp("own") / "results"
    for label in ("01", "02", "03"):
        write_participant(root, label)
    write_resting(root, "01", n_runs=2)
    write_resting(root, "02", 150)
    return root


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path / "empty"))


def group(folder: Path, *options: str) -> int:
    return main(["/nowhere", str(folder), "group", *FEW, *options])


def planned(folder: Path, template: str, *options: str) -> tuple[Config, OwnPlan]:
    given = ["--gradient", "own", template, *FEW, *options]
    config = parse_config(["/nowhere", str(folder), "group", *given])
    people = {"01", "02", "03"}
    return config, plan_own_gradient(OutputTree(folder), config, people, {"fsaverage5"})


def made_of(folder: Path, template: str, *options: str) -> str:
    """The own gradient alone; why there is none, if so."""
    config, plan = planned(folder, template, *options)
    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    return make_own_gradient(OutputTree(folder), plan, config.statistics, work)


def status_of(folder: Path) -> dict:
    (path,) = (folder / "logs").glob("status_*.json")
    return json.loads(path.read_text())


def both(folder: Path, desc: str) -> np.ndarray:
    tree = OutputTree(folder)
    files = [tree.group_map(hemi, "fsaverage5", stat="value", desc=desc) for hemi in "LR"]
    return np.hstack([read_gifti(path) for path in files])


def own_outputs(folder: Path) -> dict[str, int]:
    found = sorted(folder.glob("tpl-*/func/*_desc-own*"))
    return {path.name: path.stat().st_mtime_ns for path in found}


def test_planted_gradient_is_found_and_everybody_is_aligned_with_it(folder, tmp_path):
    template = write_gradient(tmp_path, 3 - PLACE, "template")
    assert made_of(folder, f"ends={template}") == ""
    values = both(folder, OWN_DESC)[0]
    there = np.isfinite(values)
    assert np.flatnonzero(there).tolist() == list(range(0, len(PLACE), EVERY))
    assert np.corrcoef(values[there], -PLACE[there])[0, 1] > 0.9
    components, people = both(folder, OWN_COMPONENTS_DESC), both(folder, OWN_PEOPLE_DESC)
    assert (len(components), len(people)) == (10, 2)
    for one in people:
        assert np.corrcoef(one[there], -PLACE[there])[0, 1] > 0.9

    tree = OutputTree(folder)
    told = read_json(sidecar_of(tree.group_map("L", "fsaverage5", stat="value", desc=OWN_DESC)))
    chosen = components[told["Component"] - 1] * (-1 if told["SignChanged"] else 1)
    np.testing.assert_array_equal(chosen[there], values[there])
    assert told["CorrelationWithTemplate"] > 0.9
    assert told["SpinP"] == pytest.approx(1 / 50)
    assert told["Kernel"] == "cosine"
    assert told["SeedVertices"] == there.reshape(2, -1)[:, :2562].sum()  # fsaverage4's
    assert told["Participants"] == ["sub-01", "sub-02"]
    assert told["WithoutRest"] == {"sub-03": "no cleaned resting run in the output folder"}
    assert len(told["Eigenvalues"]) == len(told["Variances"]) == 10
    share = told["Variances"][told["Component"] - 1] / sum(told["Variances"])
    assert told["VarianceShare"] == pytest.approx(share)
    assert "150 volumes are kept, 200 are wanted" in told["Warnings"][0]
    assert len(told["Sources"]) == 3
    assert all("_desc-rest_bold" in one and "_hemi-L_" in one for one in told["Sources"])
    table = pd.read_csv(tree.group_table("summary.tsv", desc=OWN_DESC), sep="\t")
    assert list(table["n_volumes"]) == [440, 150, 0]
    assert (table["rho"][:2] > 0.9).all()
    assert "no cleaned resting run" in table["reason"][2]


def test_on_fslr_it_is_found_on_its_own_mesh(tmp_path):
    """Coarse vertices are those nearest on the registered sphere; maps lie beside CIFTI files."""
    with small_fslr(tmp_path / "neuromaps", frequency=18):
        mesh, root = load_mesh("fsLR"), tmp_path / "results"
        place = front_to_back(mesh)
        for label in ("01", "02"):
            write_resting(root, label, space="fsLR")
        template = write_gradient(tmp_path, place, "template")
        given = ["--gradient", "own", f"ends={template}", *FEW]
        config = parse_config(["/nowhere", str(root), "group", *given])
        tree = OutputTree(root)
        plan = plan_own_gradient(tree, config, {"01", "02"}, {"fsLR"})
        (tmp_path / "work").mkdir()
        assert make_own_gradient(tree, plan, config.statistics, tmp_path / "work") == ""
        paths = [tree.group_map(h, "fsLR", stat="value", desc=OWN_DESC) for h in "LR"]
        values = np.hstack([read_gifti(path)[0] for path in paths])
        there = np.isfinite(values)
        assert np.flatnonzero(there).tolist() == list(range(0, mesh.n_vertices, EVERY))
        assert np.corrcoef(values[there], place[there])[0, 1] > 0.9
        told = read_json(sidecar_of(paths[0]))
        nearest = np.isin(np.arange(mesh.n_vertices), nearest_vertices(mesh, "fsaverage4"))
        assert told["SeedVertices"] == (nearest & there).sum()
        assert told["SpatialReference"].endswith("tpl-fsLR_hemi-L_den-32k_sphere.surf.gii")
        dense = np.asarray(nib.load(cifti_of(paths[0])).dataobj)
        np.testing.assert_array_equal(dense[0][np.isfinite(dense[0])], values[there])
        found = load_gradient(f"own={paths[0]},{paths[1]}", "fsLR")
        np.testing.assert_array_equal(found.values[there], values[there])


def write_aligned(folder: Path, model: str, gradient: str) -> list[Path]:
    """What was aligned with a gradient called own."""
    tree, files = OutputTree(folder), []
    for desc, beside in (("alignment", "musicnulls"), ("untrained", "untrainedmusic")):
        table = tree.group_table(".tsv", model=model, desc=f"{beside}own")
        table.write_text("slope\n0.1\n")
        done = tree.group_table("settings.json", model=model, desc=f"{desc}own")
        write_settings(tree, done, {"gradient": [gradient]}, [table])
        files += [table, done]
    return files


def test_it_is_made_again_only_for_other_runs_and_goes_where_it_is_refused(
    folder, tmp_path, caplog
):
    template = write_gradient(tmp_path, PLACE, "template")
    assert made_of(folder, template) == ""
    before = own_outputs(folder)
    assert len(before) == 12
    assert made_of(folder, template) == ""
    assert own_outputs(folder) == before
    assert made_of(folder, template, "--participant-label", "01") == ""
    assert all(own_outputs(folder)[name] > when for name, when in before.items())
    assert len(both(folder, OWN_PEOPLE_DESC)) == 1
    of_own = (
        write_aligned(folder, "vggish", "own, by"),
        write_aligned(folder, "b+others", "own, by"),
    )
    of_files = write_aligned(folder, "c", "e" * 64)
    noise = np.random.default_rng(0).normal(size=len(PLACE))
    reason = made_of(folder, write_gradient(tmp_path, noise, "noise"))
    assert not [path for path in (*of_own[0], *of_own[1]) if path.exists()]
    assert all(path.is_file() for path in of_files)
    assert "are of an earlier own gradient, and are removed" in caplog.text
    assert "No component of the resting runs is like the template" in reason
    assert "a Spearman correlation of 0.3" in reason
    assert own_outputs(folder) == {}
    done = read_json(OutputTree(folder).group_table("settings.json", desc=OWN_DESC))
    assert done["Refused"] == reason


def test_the_template_means_the_same_from_any_folder(folder, tmp_path, monkeypatch):
    write_gradient(tmp_path, PLACE, "template")
    monkeypatch.chdir(tmp_path)
    _, plan = planned(folder, "L.template.func.gii,R.template.func.gii")
    monkeypatch.chdir("/")
    assert np.nanmax(load_gradient(plan.template, "fsaverage5").values) == pytest.approx(1)
    assert plan.template_name == "template"
    assert 1e9 < plan.memory < 2e9


@pytest.mark.slow
def test_layer_preference_is_aligned_with_it_and_the_page_warns(folder, tmp_path, capfd):
    write_resting(folder, "01", n_runs=2, dense=True)
    write_resting(folder, "02", 150, dense=True)
    template = write_gradient(tmp_path, 3 - PLACE, "template")
    assert group(folder, "--gradient", "own", f"ends={template}") == 0
    log = capfd.readouterr().err
    assert "own gradient: 3 resting runs of 2 participants, component chosen by ends; about" in log
    assert "of memory and" in log
    assert np.array_equal(np.flatnonzero(np.isfinite(both(folder, OWN_DESC)[0])), with_signal())
    own, other = (
        read_json(folder / f"group_model-vggish_desc-alignment{label}_statmap.json")["Group"]
        for label in ("own", "ends")
    )
    assert own["gradient"]["MadeFrom"]["CorrelationWithTemplate"] > 0.9
    assert np.sign(own["rho_mean"]) == np.sign(other["rho_mean"]) == -1
    page = (folder / "group.html").read_text()
    for words in (
        "The study's own gradient",
        "comes from the people whose maps it is compared with",
        "Relation to the template",
        "sub-03: no cleaned resting run in the output folder",
        "150 volumes are kept",
        "Alignment with the cortical gradient: own",
    ):
        assert words in page.replace("&#x27;", "'").replace("&#39;", "'")
    assert any("own gradient: sub-03" in note for note in status_of(folder)["notes"])


@pytest.mark.slow
def test_without_a_component_like_the_template_only_this_gradient_is_lost(folder, tmp_path, capfd):
    noise = np.random.default_rng(0).normal(size=len(PLACE))
    template = write_gradient(tmp_path, noise, "noise")
    assert group(folder, "--gradient", "own", f"noise={template}") == 1
    assert "No component of the resting runs is like the template" in capfd.readouterr().err
    assert OutputTree(folder).group_labels("vggish", "alignment") == ["noise"]
    rows = [row for row in status_of(folder)["rows"] if row["run"]]
    assert [(row["run"], row["problem"]) for row in rows] == [("alignment with own", True)]
    table = pd.read_csv(folder / "group_model-vggish_desc-analyses_summary.tsv", sep="\t")
    (row,) = table[(table["analysis"] == "alignment") & (table["part"] == "own")].itertuples()
    assert row.state == "left out"
    page = (folder / "group.html").read_text()
    assert "There is none: No component" in page
    assert "Gradients without a result" in page


def test_a_comma_in_the_path_of_the_folder_is_refused_first(tmp_path):
    with pytest.raises(UsageError, match="a folder whose path has a comma"):
        planned(tmp_path / "a,b", "margulies2016")


def test_without_encoding_models_it_is_said_that_it_is_not_made(tmp_path, caplog):
    config = parse_config(["/nowhere", str(tmp_path), "group", "--gradient", "own"])
    status = Status("now", "group")
    status.add("01", "conditions", "done")
    tell_nothing_to_align(config, SimpleNamespace(absent={"own": NOTHING_TO_ALIGN}), status)
    assert "the own gradient is not made: the folder has no encoding models" in caplog.text
    row = status_of(tmp_path)["rows"][-1]
    assert (row["run"], row["state"], row["problem"]) == ("alignment with own", "skipped", True)
    assert status.exit_code == 1


def forget(folder):
    for path in folder.glob("sub-*/func/*_desc-rest_settings.json"):
        path.unlink()


def lose_a_series(folder):
    next(folder.glob("sub-02/func/*_hemi-R_*_desc-rest_bold.func.gii")).unlink()


def clean_otherwise(folder):
    write_resting(folder, "02", 150, confounds="36P")


@pytest.mark.parametrize(
    ("spoil", "with_template", "code", "words"),
    [
        (forget, True, 66, "run the participant level into this folder with --rest-task"),
        (lose_a_series, True, 66, "with --rest-task again for sub-02"),
        (clean_otherwise, True, 16, "confounds: none -> 36P"),
        (lambda folder: None, False, 66, "run `musenc prefetch`, or give a template"),
    ],
)
def test_what_it_cannot_begin_without_is_told_first(
    folder, tmp_path, capfd, spoil, with_template, code, words
):
    spoil(folder)
    template = [write_gradient(tmp_path, PLACE, "template")] if with_template else []
    assert group(folder, "--gradient", "own", *template) == code
    assert words in capfd.readouterr().err
    assert not (folder / "tpl-fsaverage").exists()
