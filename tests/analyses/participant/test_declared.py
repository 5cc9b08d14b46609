"""A map is declared by one row: writer, dry run and the list of outputs read it there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from input_trees import Tree
from listed import listed
from planning import plan_study
from worked_examples import import_example

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.responses import Block
from bids_app.analyses.participant.write import ENCODING, write_participant
from bids_app.analyses.participant_level import ANALYSES, ParticipantLevel, ignored_suffixes
from bids_app.cli.dry_run import folded
from bids_app.cli.run import main
from bids_app.config import Config
from bids_app.files import read_json
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree, bidsignore, parse_entities, sidecar_of
from bids_app.surface.gifti import read_gifti

N_VERTICES = 20484
LAYERS, FOLDS = ["a", "b"], ["first", "second"]
ORDERED = ["input", "pool1", "pool2", "pool10", "fc1", "logits"]

# The music of these trees lasts 16 and 12 s, 8 volumes.
SHORT = ("--crop", "1", "--delays", "0:2", "--vggish-weights", "random:0")


@dataclass(frozen=True)
class Fits(LayerFits):
    """With a value that no map shows yet."""

    best_fold: np.ndarray = field(default_factory=lambda: np.zeros(0))


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "study")


@pytest.fixture
def fits():
    rng = np.random.default_rng(0)
    maps = rng.random((2, N_VERTICES)).astype(np.float32)
    folds = rng.random((2, 2, N_VERTICES)).astype(np.float32)
    rows = [{"layer": 1, "name": "a"}, {"layer": 2, "name": "b"}]
    return Fits(
        *[maps] * 5, *[folds] * 2, FOLDS, LAYERS, "none", rows, 0, 1.0, best_fold=folds.max(1)
    )


@pytest.fixture
def row(tmp_path, monkeypatch):
    """What the documentation shows."""
    return import_example("ROW = MapOutput(", tmp_path, monkeypatch).ROW


def test_a_map_is_added_by_a_row_and_a_value(monkeypatch, tmp_path, fits, tree, row, capsys):
    monkeypatch.setattr(ENCODING, "maps", (*ENCODING.maps, row))
    config = Config(bids_dir=tmp_path, output_dir=tmp_path, level="participant")
    record = Record("01", "vggish", config.participant_settings("x"), (), {})
    block = Block("first", "run", 1.0, np.arange(3.0), np.zeros((3, N_VERTICES), np.float32))
    written = write_participant(OutputTree(tmp_path), record, fits, None, [block])
    left, right = (
        path for path in written if "_desc-folds_" in path.name and path.suffix == ".gii"
    )
    np.testing.assert_array_equal(read_gifti(left), fits.best_fold[:, : N_VERTICES // 2])
    told = read_json(sidecar_of(left))
    assert told["Description"] == "highest accuracy of the held-out stimuli"
    assert told["DataArrays"] == LAYERS
    outputs = read_json(written[-1])["Outputs"]
    assert {str(path.relative_to(tmp_path)) for path in (left, right, sidecar_of(left))} <= set(
        outputs
    )
    tree.simple()
    assert main([str(tree.root), str(tmp_path / "out"), "participant", "--dry-run", *SHORT]) == 0
    names = listed(capsys.readouterr().out)
    assert {f"sub-01/func/{path.name}" for path in (left, right, sidecar_of(right))} <= names


@pytest.mark.parametrize(
    ("tracked", "options", "said"),
    [
        (True, (), "the order in which the arrays were created"),
        (False, (), ""),
        (False, ("--layers", *ORDERED), "--layers"),
    ],
)
def test_layers_without_an_order_have_maps_of_accuracy_and_no_preference(
    tracked, options, said, tree, tmp_path, capsys
):
    tree.simple()
    (tmp_path / "own").mkdir()
    for path in (tree.root / "stimuli").iterdir():
        own = tmp_path / "own" / f"{safe_label(path.stem)}.h5"
        with h5py.File(own, "w", track_order=tracked) as file:
            file["time"] = np.arange(0.0, 30.0)
            for name in ORDERED:
                file[name] = np.random.default_rng(0).normal(size=(30, 2))
    features = ("--features", f"precomputed:{tmp_path / 'own'}", *options)
    call = [str(tree.root), str(tmp_path / "out"), "participant", *features, *SHORT]
    assert main([*call, "--dry-run"]) == 0
    text = capsys.readouterr().out
    shown = ORDERED if said else sorted(ORDERED)
    assert f"model-own: {', '.join(shown)} (" + (f"order: {said})" if said else "") in text
    assert ("warning: layer preference needs layers in order of depth" in text) is not bool(said)
    names = {parse_entities(Path(name)).get("desc") for name in listed(text)}
    assert ("layerpref" in names) is bool(said)


def test_depths_are_those_of_one_feature_space(tree, tmp_path, capsys):
    tree.simple()
    call = [str(tree.root), str(tmp_path / "out"), "participant", "--vggish-weights", "random:0"]
    call += ["--layers", "conv1", "conv2", "fc2", "--dry-run", *SHORT]
    assert main([*call, "--layer-depth", "1", "1", "2"]) == 0
    assert "5 different depths of layers; this model has 2" in capsys.readouterr().out
    both = [*call, "--features", "vggish", "descriptors", "--layer-depth", "1", "1", "2"]
    assert main(both) == 2
    assert "one feature space" in capsys.readouterr().err
    assert main([*call, "--features", "vggish", "descriptors"]) == 2
    assert "no such layer" in capsys.readouterr().err


def test_every_declared_end_of_a_name_is_ignored_by_the_validator(tree):
    tree.simple()
    config = Config(bids_dir=tree.root, output_dir=tree.root / "out", level="participant")
    level = ParticipantLevel.of(config, plan_study(tree.root))
    lines = bidsignore(ignored_suffixes()).splitlines()
    func = [path for path in level.outputs(level.scopes[0]) if path.parent.name == "func"]
    ends = {path.name.rpartition("_")[2].split(".")[0] for path in func}
    assert ends == {"statmap", "bold", "summary", "timeseries", "settings", "events"}
    unknown = ends - {"bold", "events"}
    assert {f"*_{end}.*" for end in (*unknown, "scores", "weights")} <= set(lines)


def test_analyses_of_one_settings_file_have_no_file_twice(tree):
    tree.simple()
    config = Config(bids_dir=tree.root, output_dir=tree.root / "out", level="participant")
    scope = ParticipantLevel.of(config, plan_study(tree.root)).scopes[0]
    scope = replace(scope, contrasts=("aMinusb",), trials=scope.music, scales=("Tension",))
    felt = {(stimulus, "Tension") for stimulus in scope.heard}
    scope = replace(scope, rated=felt, model="vggish", layers=("a", "b", "c"))
    # The label of a model of several spaces is never that of a space.
    rows = [analysis for analysis in ANALYSES if analysis.name != "joint models"]
    own = [path for analysis in rows for path in analysis.outputs(scope)]
    assert len(own) == len(set(own)) > 50


def test_names_are_folded_where_they_differ_in_one_entity(tmp_path):
    names = [
        "sub-01_hemi-L_stat-r_statmap.gii",
        "sub-01_hemi-R_stat-r_statmap.gii",
        "sub-01_hemi-L_stat-p_statmap.gii",
        "sub-01_hemi-R_stat-p_statmap.gii",
        "sub-01_hemi-L_stat-p_desc-maxt_statmap.gii",
        "sub-01.html",
    ]
    assert folded(tmp_path / name for name in names) == [
        str(tmp_path / "sub-01_hemi-{L,R}_stat-{r,p}_statmap.gii"),
        str(tmp_path / "sub-01_hemi-L_stat-p_desc-maxt_statmap.gii"),
        str(tmp_path / "sub-01.html"),
    ]
