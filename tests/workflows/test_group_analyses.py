"""Several gradients and atlases in one output folder, each with settings of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_app.workflows.group_level import init_group_level_wf
from real_data import DATA
from written_group import write_atlas, write_gradient, write_participant

from bids_app.analyses.registry import group_settings
from bids_app.cli.parser import parse_config
from bids_app.cli.run import main
from bids_app.files import read_json, sha256_of_file
from bids_app.outputs import OutputTree
from bids_app.surface.gifti import read_gifti, write_gifti
from bids_app.surface.mesh import load_mesh

pytestmark = pytest.mark.integration
OPTIONS = ("--n-permutations", "5", "--n-spins", "19")


@dataclass(frozen=True)
class Several:
    """A folder that was analyzed with one gradient and atlas, then with others."""

    root: Path
    gradient: str
    other_gradient: str
    atlas: str
    other_atlas: str
    before: dict[str, bytes]

    @property
    def folder(self) -> Path:
        return self.root / "results"


def group(folder: Path, *options: str) -> int:
    return main(["/nowhere", str(folder), "group", *OPTIONS, *options])


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the group level except its page."""
    paths = [*folder.glob("group_*"), *folder.glob("tpl-fsaverage/func/*")]
    return {path.name: path.read_bytes() for path in sorted(paths)}


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Several:
    root = tmp_path_factory.mktemp("several")
    for label in ("01", "02", "03"):
        write_participant(root / "results", label)
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    gradient = write_gradient(root, pial[:, 1], "front")
    other = write_gradient(root, pial[:, 2], "up")
    halves = root / "halves"
    halves.mkdir()
    atlas = f"mine={write_atlas(root)}"
    other_atlas = f"halves={write_atlas(halves, (-20, 20))}"
    assert group(root / "results", "--gradient", gradient, "--atlas", atlas) == 0
    before = contents(root / "results")
    assert group(root / "results", "--gradient", other, "--atlas", other_atlas) == 0
    return Several(root, gradient, other, atlas, other_atlas, before)


@pytest.fixture
def copied(several, tmp_path) -> Path:
    """Results that a test may change."""
    return shutil.copytree(several.folder, tmp_path / "results")


def test_another_gradient_and_another_atlas_leave_the_first_as_they_were(several):
    after = contents(several.folder)
    first = {
        name: text
        for name, text in several.before.items()
        if "front_" in name or "front." in name or "mine_" in name
    }
    kinds = ("alignment", "layeralignment", "nulls", "bins", "vertices", "gradient", "parcels")
    assert all(any(f"_desc-{kind}" in name for name in first) for kind in kinds)
    assert {name: after[name] for name in first} == first
    for name in first:
        assert name.replace("front", "up").replace("mine", "halves") in after
    rest = set(after) - set(several.before)
    assert all("up_" in name or "up." in name or "halves_" in name for name in rest)


def test_every_analysis_has_its_settings_beside_it(several):
    def settings(desc: str) -> dict:
        return read_json(several.folder / f"group_model-vggish_{desc}settings.json")

    own = {d: settings(d) for d in ("", "desc-alignmentfront_", "desc-alignmentup_")}
    own |= {d: settings(d) for d in ("desc-parcelsmine_", "desc-parcelshalves_")}
    assert len({content["SettingsHash"] for content in own.values()}) == 5
    assert own[""]["Settings"] == {
        "slope_model": "quadratic",
        "n_permutations": 5,
        "random_seed": 20240626,
    }
    paths = [Path(path) for path in several.gradient.split(",")]
    assert own["desc-alignmentfront_"]["Settings"] == {
        "gradient": [sha256_of_file(path) for path in paths],
        "n_spins": 19,
        "spin_method": "spearman",
        "slope_model": "quadratic",
        "random_seed": 20240626,
    }
    for desc, content in own.items():
        assert all((several.folder / name).is_file() for name in content["Outputs"])
        assert content["Participants"] == ["sub-01", "sub-02", "sub-03"]
        assert not desc or content["Inference"] == own[""]["SettingsHash"]
    atlas = read_json(several.folder / "group_model-vggish_desc-parcelsmine_summary.json")
    checksums = own["desc-parcelsmine_"]["Settings"]["atlas"]
    assert (atlas["Atlas"], list(atlas["Files"].values())) == ("mine", checksums)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--n-spins", "38"), "n_spins: 19 -> 38"),
        (("--spin-method", "pearson"), "spin_method: spearman -> pearson"),
        (("--random-seed", "1"), "random_seed: 20240626 -> 1"),
        (("--n-permutations", "6"), "n_permutations: 5 -> 6"),
    ],
)
def test_the_same_gradient_with_other_settings_is_refused(several, capfd, options, found):
    before = contents(several.folder)
    assert group(several.folder, "--gradient", several.gradient, *options) == 16
    message = capfd.readouterr().err
    assert f"found: {found}\n" in message
    assert "delete this file" in message
    assert "NAME=" not in message
    assert contents(several.folder) == before


@pytest.mark.parametrize("option", ["--gradient", "--atlas"])
def test_other_files_of_the_same_name_are_refused(several, capfd, option):
    gradients = several.gradient, several.other_gradient, "front"
    atlases = several.atlas.split("=")[1], several.other_atlas.split("=")[1], "mine"
    old, new, name = gradients if option == "--gradient" else atlases
    rest = ("--gradient", several.gradient) if option == "--atlas" else ()
    assert group(several.folder, *rest, option, f"{name}={new}") == 16
    message = capfd.readouterr().err
    assert f"{option.removeprefix('--')}: [" in message
    for path in f"{old},{new}".split(","):
        assert sha256_of_file(Path(path)) in message
    assert f"{option} NAME=LEFT,RIGHT" in message


def test_names_are_given_once_in_a_call(several, capfd):
    assert group(several.folder, "--gradient", several.gradient, several.gradient) == 2
    assert "front" in capfd.readouterr().err
    atlases = (several.atlas, several.other_atlas.replace("halves=", "mine="))
    assert group(several.folder, "--gradient", several.gradient, "--atlas", *atlases) == 2
    assert "--atlas NAME=LEFT,RIGHT" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["margulis2016", "fcgradient11", "margulies2016_fcgradient2"])
def test_a_misspelt_gradient_lists_those_there_are(several, capfd, name):
    assert group(several.folder, "--gradient", name) == 2
    message = capfd.readouterr().err
    for known in ("margulies2016", "fcgradient01", "fcgradient10", "LEFT.func.gii"):
        assert known in message


def test_the_page_shows_every_gradient_and_atlas_with_its_settings(several, copied):
    pages = [(several.folder / "group.html").read_text()]
    (copied / "group.html").unlink()
    OutputTree(copied).model_summary("01", "vggish").write_text("layer\tname\n1\tconv1\n")
    assert group(copied, "--reports-only") == 0
    pages.append((copied / "group.html").read_text())
    for page in pages:
        for name in ("front", "up"):
            assert f"Alignment with the cortical gradient: {name}" in page
        assert "Alignment was tested with 2 gradients" in page
        assert "a gradient given as a file (front)" in page
        assert "results of 2 atlases (halves, mine)" in page
        for desc in ("alignmentfront", "alignmentup", "parcelsmine", "parcelshalves"):
            path = copied / f"group_model-vggish_desc-{desc}_settings.json"
            assert read_json(path)["SettingsHash"] in page
        assert "This rests on an earlier group result" not in page


def test_what_was_not_asked_for_again_is_told_as_outdated(several, copied, capfd):
    people = ("--participant-label", "01", "02")
    assert group(copied, "--gradient", several.other_gradient, *people) == 0
    log = capfd.readouterr().err
    assert "desc-alignmentfront stays as it is, of sub-01, sub-02, sub-03" in log
    assert "desc-parcelsmine stays as it is" in log
    page = (copied / "group.html").read_text()
    told = "This rests on an earlier group result, of 3 participants and not 2: sub-03"
    # Beside each of the three results, and in what is claimed of them.
    assert page.count(told) >= 3


def test_deleting_the_settings_allows_other_ones(several, copied):
    path = copied / "group_model-vggish_desc-alignmentfront_settings.json"
    path.unlink()
    assert group(copied, "--gradient", several.gradient, "--n-spins", "29") == 0
    assert read_json(path)["Settings"]["n_spins"] == 29


@pytest.mark.slow
def test_named_gradients_and_files_in_one_call(tmp_path, monkeypatch):
    """Real maps where neuromaps has its own, from another folder and by relative paths."""
    data = DATA.absolute()
    if not (data / "gradient").is_dir():
        pytest.skip(f"no test data at {data}")
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path / "neuromaps"))
    put_gradients(data, tmp_path / "neuromaps")
    folder = tmp_path / "results"
    for label in ("01", "02", "03"):
        write_participant(folder, label)
    monkeypatch.chdir(data / "gradient")
    stem = "workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{}_feature.func.gii"
    files = f"workbench={stem.format('L')},{stem.format('R')}"
    names = ("margulies2016", "fcgradient02", "margulies2016_fcgradient03")
    assert group(folder, "--gradient", *names, files) == 0
    labels = ["", "fcgradient02", "fcgradient03", "workbench"]
    tree = OutputTree(folder)
    assert tree.group_labels("vggish", "alignment") == labels
    before = contents(folder)
    assert group(folder, "--gradient", "fcgradient01", "margulies2016_fcgradient02") == 0
    after = contents(folder)
    changed = [name for name in before if before[name] != after[name]]
    assert (sorted(after), changed) == (sorted(before), [])
    assert tree.group_labels("vggish", "alignment") == labels
    page = (folder / "group.html").read_text()
    assert "Alignment was tested with 4 gradients" in page
    assert "the principal, second and third gradient of functional connectivity" in page
    found = {label: aligned(folder, label) for label in labels}
    assert found[""]["gradient"]["Orientation"]["flipped"] is False
    # Workbench's map of gradient 1 and this one are the same to the fourth digit.
    assert found["workbench"]["rho_mean"] == pytest.approx(found[""]["rho_mean"], abs=1e-3)
    # The other embedding has the opposite sign, and is not turned.
    assert found["fcgradient02"]["gradient"]["Orientation"] == "as given"
    assert found["fcgradient02"]["rho_mean"] * found[""]["rho_mean"] < 0


def aligned(folder: Path, label: str) -> dict:
    """The group's numbers of the alignment with one gradient."""
    name = f"group_model-vggish_desc-alignment{label}_statmap.json"
    return dict(read_json(folder / name)["Group"])


def put_gradients(data: Path, target: Path) -> None:
    """Gradient 1 in its place; another embedding and the area of vertices in those of 2 and 3."""
    for hemi, side in (("L", "lh"), ("R", "rh")):
        embedding = data / "gradient" / f"hcp.embed.all.179.{side}.dscalar.nii"
        area = data / "surfaces" / f"fs_LR.{hemi}.midthickness_va_avg.32k_fs_LR.shape.gii"
        stem = f"source-margulies2016_desc-fcgradient{{}}_space-fsLR_den-32k_hemi-{hemi}"
        first = data / "gradient" / f"{stem.format('01')}_feature.func.gii"
        maps = {
            "01": read_gifti(first)[0],
            "02": np.asarray(nib.load(embedding).get_fdata()[0]),
            "03": read_gifti(area)[0],
        }
        for number, values in maps.items():
            name = f"fcgradient{number}"
            path = target / "annotations" / "margulies2016" / name / "fsLR"
            path.mkdir(parents=True, exist_ok=True)
            path /= f"{stem.format(number)}_feature.func.gii"
            write_gifti(path, values[np.newaxis], hemi=hemi, names=[name])
        sphere = f"tpl-fsLR_space-fsaverage_den-32k_hemi-{hemi}_sphere.surf.gii"
        (target / "atlases" / "fsLR").mkdir(parents=True, exist_ok=True)
        shutil.copy(data / "surfaces" / sphere, target / "atlases" / "fsLR" / sphere)


def test_peaks_are_named_again_when_the_atlas_changes_under_its_name(tmp_path):
    gradient = write_gradient(tmp_path, np.arange(20484.0))
    arguments = [str(tmp_path), str(tmp_path / "out"), "group", "--gradient", gradient, "--atlas"]

    def content(cuts: tuple[float, float]) -> str:
        config = parse_config([*arguments, write_atlas(tmp_path, cuts)])
        workflow = init_group_level_wf("vggish", [], group_settings(config), config=config)
        inputs = workflow.get_node("accuracy").inputs
        return str(inputs.get_hashval(hash_method="content")[1])

    assert content((-40, 0)) == content((-40, 0)) != content((-20, 20))


def test_refits_are_done_on_the_device_that_is_asked_for(tmp_path):
    config = parse_config([str(tmp_path), str(tmp_path / "out"), "group", "--device", "cuda"])
    workflow = init_group_level_wf("vggish", [], group_settings(config), config=config)
    inputs = {
        name: workflow.get_node(name).inputs.trait_get() for name in workflow.list_node_names()
    }
    devices = {name: own["device"] for name, own in inputs.items() if "device" in own}
    assert {"alignments", "music"} <= set(devices)
    assert set(devices.values()) == {"cuda"}
