"""Names, entities and dataset files of the output folder."""

import json
from functools import partial
from pathlib import Path

import pytest
from bids.layout import BIDSLayout, parse_file_entities
from bids.layout.models import Config as PybidsConfig

from bids_app.errors import CannotWriteError
from bids_app.inputs.records import RUN_ENTITIES
from bids_app.outputs import (
    ALIGNMENT_DESC,
    ENTITY_ORDER,
    PARCELS_DESC,
    OutputTree,
    bidsignore,
    dataset_description,
    files_label,
    join_entities,
    parse_entities,
    pybids_config,
    running_container,
    sidecar_of,
    write_dataset_files,
)


def test_participant_map_has_the_documented_name(tmp_path):
    tree = OutputTree(tmp_path)
    path = tree.participant_map("01", "L", "fsaverage5", model="vggish", stat="r", stim="happy")
    assert str(path.relative_to(tmp_path)) == (
        "sub-01/func/sub-01_stim-happy_hemi-L_space-fsaverage_den-10k_model-vggish_stat-r_"
        "statmap.func.gii"
    )
    assert sidecar_of(path).name.endswith("_stat-r_statmap.json")


def test_who_does_not_count_is_told_with_the_reason(tmp_path):
    def put(folder, sub, ending):
        path = tmp_path / f"sub-{folder}" / "func" / f"sub-{sub}_model-vggish_{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    for who in ("01", "02"):
        put(who, who, "desc-layers_summary.tsv")
    put("01", "01", "settings.json")
    put("01", "09", "settings.json")  # beside files of its own
    put("05", "03", "settings.json")
    tree = OutputTree(tmp_path)
    assert tree.participants_of("vggish") == ["01"]
    assert tree.left_out("vggish") == {
        "02": "its maps of model-vggish are not complete: there is no settings file",
        "05": "its folder holds files of somebody else (sub-03_model-vggish_settings.json)",
    }


def test_group_names(tmp_path):
    tree = OutputTree(tmp_path)
    assert str(
        tree.group_map("R", "fsaverage5", model="vggish", stat="t").relative_to(tmp_path)
    ) == ("tpl-fsaverage/func/tpl-fsaverage_hemi-R_den-10k_model-vggish_stat-t_statmap.func.gii")
    name = tree.group_table("statmap.tsv", model="vggish", desc="alignment").name
    assert name == "group_model-vggish_desc-alignment_statmap.tsv"
    assert tree.group_table(".tsv", model="vggish", desc="nulls").name == (
        "group_model-vggish_desc-nulls.tsv"
    )


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (
            "source-margulies2016_desc-fcgradient02_space-fsLR_hemi-L_feature.func.gii",
            "fcgradient02",
        ),
        ("lh.my-own.map.func.gii", "myownmap"),
        ("gradient_hemi-L.shape.gii", "gradient"),
        ("both.gii", "both"),
        ("mine_2/left.func.gii", "mine2"),
        ("/left.func.gii", "file"),
    ],
)
def test_files_are_labeled_by_their_entity_else_their_name(name, label):
    assert files_label(Path(name), ("desc",)) == label


def test_labels_of_a_group_are_those_of_complete_analyses(tmp_path):
    tree = OutputTree(tmp_path)
    for desc in ("alignment", "alignmentmine", "parcelsmine", ""):
        tree.group_table("settings.json", model="vggish", desc=desc).touch()
    tree.group_table("statmap.tsv", model="vggish", desc="alignmentother").touch()
    tree.group_table("settings.json", model="vggish2", desc="alignmentx").touch()
    assert tree.group_labels("vggish", ALIGNMENT_DESC) == ["", "mine"]
    assert tree.group_labels("vggish", PARCELS_DESC) == ["mine"]


def test_entities_round_trip_in_the_fixed_order():
    entities = {"desc": "x", "sub": "01", "stat": "r", "hemi": "L", "model": "m", "stim": "a"}
    name = join_entities(entities)
    assert name == "sub-01_stim-a_hemi-L_model-m_stat-r_desc-x"
    assert parse_entities(f"{name}_statmap.func.gii") == entities


def test_unknown_entities_are_refused():
    with pytest.raises(KeyError, match="contrast"):
        join_entities({"sub": "01", "contrast": "a"})


def test_pybids_keeps_every_entity_with_our_configuration(tmp_path):
    path = OutputTree(tmp_path).participant_map(
        "01", "L", "fsaverage5", model="vggish", stat="slope", stim="happy", desc="layerpref"
    )
    config = [
        PybidsConfig.load("bids"),
        PybidsConfig.load("derivatives"),
        PybidsConfig.load(pybids_config()),
    ]
    found = parse_file_entities(f"/{path.relative_to(tmp_path)}", config=config)
    assert found["stat"] == "slope"
    assert found["stim"] == "happy"
    assert found["model"] == "vggish"
    assert found["desc"] == "layerpref"
    assert found["hemi"] == "L"


def test_pybids_finds_the_maps_of_both_levels_as_documented(tmp_path):
    tree = OutputTree(tmp_path)
    write_dataset_files(tree, sources=[{"Name": "raw", "URL": "file:///x"}], suffixes=["statmap"])
    one = {"model": "vggish", "stat": "slope", "desc": "layerpref"}
    paths = [
        tree.participant_map("01", "L", "fsaverage5", stim="happy", **one),
        tree.group_map("R", "fsaverage5", **one),
    ]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.touch()
    layout = BIDSLayout(tmp_path, config=["bids", "derivatives", pybids_config()], validate=False)
    (own,) = layout.get(subject="01", stat="slope", stim="happy")
    (group,) = layout.get(tpl="fsaverage", stat="slope")
    told = [one.get_entities() for one in (own, group)]
    for found, hemi in zip(told, "LR", strict=True):
        assert {found["model"], found["desc"], found["hemi"]} == {"vggish", "layerpref", hemi}
    assert (told[0]["space"], told[0]["den"]) == ("fsaverage", "10k")
    assert told[1]["den"] == "10k"


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def first_names(path):
    """What the first version called a file."""
    return path.with_name(path.name.replace("space-fsaverage_den-10k", "space-fsaverage5"))


def test_maps_of_the_first_version_are_found_until_there_are_others(tmp_path):
    tree = OutputTree(tmp_path)
    one = {"model": "vggish", "stat": "r"}
    now = tree.map_file("01", "L", "fsaverage5", **one)
    assert tree.participant_map("01", "L", "fsaverage5", **one) == now
    touch(first_names(now))
    assert tree.participant_map("01", "L", "fsaverage5", **one) == first_names(now)
    assert tree.find_maps("01", "L", "fsaverage5", **one) == [first_names(now)]
    assert tree.map_file("01", "L", "fsaverage5", **one) == now
    touch(now)
    assert tree.participant_map("01", "L", "fsaverage5", **one) == now
    assert tree.find_maps("01", "L", "fsaverage5", **one) == [now]


def test_maps_are_found_by_what_their_names_must_have(tmp_path):
    tree = OutputTree(tmp_path)
    maps = [
        tree.map_file("01", hemi, space, model=model, stat="r", stim=stim, desc=desc)
        for hemi, space, model, stim, desc in (
            ("L", "fsaverage5", "a", "", ""),
            ("L", "fsaverage5", "a", "x", ""),
            ("L", "fsaverage5", "a", "", "maxt"),
            ("R", "fsaverage5", "a", "", ""),
            ("L", "fsaverage6", "a", "", ""),
            ("L", "fsaverage5", "b", "", ""),
        )
    ]
    touch(*maps)
    find = partial(tree.find_maps, "01", "L", "fsaverage5", model="a", stat="r")
    assert set(find()) == set(maps[:3])
    assert set(find(desc="")) == set(maps[:2])
    assert find(stim="*") == [maps[1]]
    assert find(stim="", desc="maxt") == [maps[2]]


def test_responses_come_by_stimulus_and_run_in_both_spellings(tmp_path):
    tree = OutputTree(tmp_path)
    named = [
        {"task": "b", "stim": "x", "run": "9"},
        {"task": "b", "stim": "x", "run": "10", "chunk": "1"},
        {"task": "b", "stim": "x", "run": "10", "chunk": "2"},
        {"task": "a", "stim": "y"},
    ]
    now = [tree.participant_bold("01", "L", "fsaverage5", **one) for one in named]
    touch(*reversed(now))
    assert tree.responses("01", "fsaverage5") == now
    assert tree.responses("01", "fsaverage5", "y") == now[3:]
    before = [tree.participant_bold("02", "L", "fsaverage5", stim="x", run=run) for run in "12"]
    before = [first_names(path) for path in before]
    touch(*before)
    assert tree.responses("02", "fsaverage5", "x") == before


def test_names_have_the_entities_of_runs_in_the_order_of_bids():
    own = [name for name in ENTITY_ORDER if name in RUN_ENTITIES]
    assert own == list(RUN_ENTITIES)


def test_only_what_bids_has_no_name_for_is_ignored():
    lines = bidsignore(["bold", "events", "statmap"]).splitlines()
    assert "*_statmap.*" in lines
    assert not any(line.startswith(("*.func.gii", "*_events", "*_bold.*")) for line in lines)


def test_sources_have_version_and_doi_and_the_container_is_told(monkeypatch):
    source = {"Name": "fmriprep", "URL": "file:///x", "Version": "fMRIPrep 23.1.4", "DOI": "10.1/a"}
    monkeypatch.delenv("MUSENC_IMAGE_TAG", raising=False)
    monkeypatch.setenv("APPTAINER_CONTAINER", "/images/musenc_0.1.0.sif")
    told = dataset_description([source, {"Name": "raw", "URL": "file:///y"}])
    assert told["SourceDatasets"] == [
        {"URL": "file:///x", "DOI": "10.1/a", "Version": "fMRIPrep 23.1.4"},
        {"URL": "file:///y"},
    ]
    assert told["GeneratedBy"][0]["Container"] == {
        "Type": "singularity",
        "URI": "musenc_0.1.0.sif",
    }
    monkeypatch.setenv("MUSENC_IMAGE_TAG", "0.1.0")
    assert running_container()["Tag"] == "0.1.0"
    monkeypatch.delenv("APPTAINER_CONTAINER")
    assert running_container() == {"Type": "docker", "Tag": "0.1.0"}


@pytest.mark.parametrize("told", ["fMRIPrep", ["fMRIPrep"], {"Name": "fMRIPrep"}, [None], None, 3])
def test_a_folder_of_others_is_refused_however_it_names_its_program(tmp_path, told):
    content = json.dumps({"Name": "x", "GeneratedBy": told})
    (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(CannotWriteError, match="fMRIPrep" if "Prep" in content else "nobody"):
        write_dataset_files(OutputTree(tmp_path), sources=[], suffixes=[])


def test_write_dataset_files_and_refuse_a_foreign_folder(tmp_path):
    sources = [{"Name": "fmriprep", "URL": "file:///data/fmriprep"}]
    write_dataset_files(OutputTree(tmp_path), sources=sources, suffixes=["statmap"])
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["DatasetLinks"]["fmriprep"] == "file:///data/fmriprep"
    assert "*_statmap.*" in (tmp_path / ".bidsignore").read_text().splitlines()
    write_dataset_files(OutputTree(tmp_path), sources=sources, suffixes=["statmap"])
    (tmp_path / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    with pytest.raises(CannotWriteError, match="another dataset"):
        write_dataset_files(OutputTree(tmp_path), sources=sources, suffixes=["statmap"])
