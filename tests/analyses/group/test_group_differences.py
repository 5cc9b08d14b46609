"""``--difference``: models and layers compared over people and over music."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_over_music import EVERYBODY, N_LAYERS, N_VERTICES, make_side
from written_group import LAYERS, SETTINGS, write_gradient, write_participant

from bids_app.analyses.group import over_music, refits
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.differences import parse_difference
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.summaries import Summary
from bids_app.cli.run import main
from bids_app.errors import InvalidInputError, UsageError
from bids_app.files import read_json
from bids_app.group import contrast_of, refit_width, weighted_kernel
from bids_app.outputs import OutputTree
from bids_app.surface.mesh import load_mesh

PEOPLE = ("01", "02", "03", "04", "05", "06")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, of which the second predicts more; no cleaned responses."""
    root = tmp_path_factory.mktemp("models")
    for label in PEOPLE:
        for model, more, layers in (("vggish", 0.0, LAYERS), ("mfcc", 0.05, ["c0-c3", "c4"])):
            depth = SETTINGS["layer_depth"] if model == "vggish" else []
            write_participant(
                root,
                label,
                model=model,
                more=more,
                layers=layers,
                settings=SETTINGS | {"layer_depth": depth},
            )
            table = f"sub-{label}_model-{model}_desc-layers_summary.tsv"
            (OutputTree(root).participant_dir(label) / table).write_text("layer\n")
    return root


def group(folder, *options):
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    gradient = write_gradient(folder.parent, pial[:, 1], "front")
    few = ("--n-permutations", "200", "--n-spins", "9", "--gradient", gradient)
    return main(["/nowhere", str(folder), "group", *few, *options])


def test_models_and_layers_are_named_by_label(folder):
    tree = OutputTree(folder)
    found = parse_difference(tree, "vggish-mfcc")
    assert found.models == ["vggish", "mfcc"]
    assert found.label == "vggishminusmfcc"
    assert found.sides == ("model-vggish", "model-mfcc")
    layers = {"vggish": LAYERS, "mfcc": ["c0-c3", "c4"]}
    np.testing.assert_allclose(found.contrast(layers), contrast_of([5, 2], [1, -1]))
    one = parse_difference(tree, "conv5 - vggish:conv1")
    assert one.models == ["vggish"]
    assert one.contrast(layers).tolist() == [-1, 0, 0, 0, 1]
    assert one.sides == ("conv5 of model-vggish", "conv1 of model-vggish")
    three = parse_difference(tree, "c0-c3 - 0.5*conv1 - .5*conv2".replace(" .5", " 0.5"))
    assert three.contrast({"mfcc": ["c0-c3", "c4"], "vggish": LAYERS}).tolist() == [
        *(1, 0),
        *(-0.5, -0.5, 0, 0, 0),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("vggish-tempo", "tempo"), ("vggish", "+1"), ("vggish-vggish", "nothing"), ("+", "+")],
)
def test_what_is_no_difference_of_the_folder_is_refused(folder, text, found):
    with pytest.raises(UsageError) as caught:
        parse_difference(OutputTree(folder), text)
    assert found in caught.value.found
    assert text in str(caught.value.where)


@pytest.mark.integration
def test_where_the_other_model_predicts_better_is_told_but_not_claimed_without_music(folder):
    asked = ("--difference", "vggish-mfcc", "conv5-conv1")
    assert group(folder, *asked, "--model-label", "vggish") == 0
    tree = OutputTree(folder)
    desc = "differencevggishminusmfcc"
    told = read_json(tree.group_table("statmap.json", model="vggish", desc=desc))
    people, music = told["Group"]["tests"]
    assert people["statistic"] < -10
    assert people["p"] < 0.001
    assert music["p"] is None
    assert "features of the music are not in" in music["reason"]
    assert told["Inputs"].keys() == {"vggish", "mfcc"}
    rows = pd.read_csv(tree.group_table("statmap.tsv", model="vggish", desc=desc), sep="\t")
    assert rows["difference"].max() < 0
    assert not tree.group_table("settings.json", model="mfcc", desc=desc).is_file()
    claims = pd.read_csv(tree.group_table("summary.tsv", desc="claims"), sep="\t")
    own = claims.set_index("measure")
    for measure in ("difference vggish-mfcc", "difference conv5-conv1, vertices"):
        assert own.loc[measure, "kind"] == "differs"
        assert not own.loc[measure, "claimed"]
        assert own.loc[measure, "untested"] == "music"
        assert "tested over music, not available" in own.loc[measure, "sentence"]
    assert "alignments and differences" in own.loc["difference vggish-mfcc", "family"]
    assert own.loc["difference vggish-mfcc, vertices", "p_people"] <= 2 / 64
    assert -0.15 < own.loc["difference vggish-mfcc, vertices", "effect"] < 0
    page = (folder / "group.html").read_text()
    assert "Differences of models and layers" in page
    assert "red where model-vggish predicts better" in page
    assert "made again since" not in page
    write_participant(
        folder,
        "03",
        model="mfcc",
        more=0.2,
        layers=["c0-c3", "c4"],
        settings=SETTINGS | {"layer_depth": []},
    )
    assert group(folder, "--model-label", "vggish") == 0
    page = (folder / "group.html").read_text()
    assert "made again since, or are gone: model-mfcc of sub-03. Ask" in page


def test_a_difference_needs_the_results_of_its_first_model(folder, capfd):
    assert group(folder, "--difference", "mfcc-vggish", "--model-label", "vggish") == 2
    assert "results of its first model" in capfd.readouterr().err


def test_models_of_other_people_or_settings_are_refused(folder, tmp_path, capfd):
    for label in PEOPLE[:2]:
        write_participant(tmp_path, label)
        write_participant(tmp_path, label, model="mfcc", settings=SETTINGS | {"delays": [0, 5]})
        for model in ("vggish", "mfcc"):
            table = f"sub-{label}_model-{model}_desc-layers_summary.tsv"
            (OutputTree(tmp_path).participant_dir(label) / table).write_text("layer\n")
    write_participant(tmp_path, "03")
    assert group(tmp_path, "--difference", "vggish-mfcc") != 0
    assert "no model-mfcc of sub-03" in capfd.readouterr().err
    two = ("--participant-label", "01", "02")
    assert group(tmp_path, "--difference", "vggish-mfcc", *two) != 0
    assert "delays [3, 9] and [0, 5]" in capfd.readouterr().err


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """The same responses, features of two models: the second has the layers turned around."""
    responses = tmp_path_factory.mktemp("responses")
    found = []
    for k, model in enumerate(("a", "b")):
        side = make_side(responses, EVERYBODY)
        data = GroupData(
            model,
            [str(one) for one in range(len(EVERYBODY))],
            np.roll(side.r, k, axis=1),
            [f"{model}{n}" for n in range(N_LAYERS)],
            ["a", "b", "c"],
            ["a", "b", "c"],
            side.data.settings,
            [],
        )
        plans = [[*own[-k:], *own[:-k]] if k else own for own in side.plans]
        alphas = np.roll(side.alphas, k, axis=1)
        found.append(MusicSide(side.heard, data, plans, alphas, 5, 1))
    return found


def test_side_by_side_models_have_the_null_of_their_kernels_difference(sides, monkeypatch):
    monkeypatch.setattr(over_music, "N_DRAWS", 200)
    monkeypatch.setattr(refits, "N_REFITS", 25)
    # The closed form, after as few refits as here.
    monkeypatch.setattr(refit_width, "SURE", 0.0)
    layers = [[0], [0, 2]]
    both = MusicSide.beside(list(zip(sides, layers, strict=True)), "difference")
    assert both.data.layer_names == ["a0", "b0", "b2"]
    n = len(EVERYBODY)
    contrast = contrast_of([1, 2], [1, -1])
    vertices = np.full(N_VERTICES, 1 / N_VERTICES)
    whole = Summary("difference", np.tile(contrast / n, (n, 1)), vertices)
    mask = np.ones(N_VERTICES, dtype=bool)
    found = both.test([whole], mask)[0]
    rows = [np.zeros((n, N_LAYERS)) for _ in sides]
    for row, own in zip(rows, layers, strict=True):
        row[:, own] = 1 / (n * len(own))
    kernels = [
        side.kernel([Summary("mean", row, vertices)]) for side, row in zip(sides, rows, strict=True)
    ]
    expected = weighted_kernel(kernels, [1, -1])
    assert found.sd * found.scaled.divisor == pytest.approx(expected.sd[0], rel=0.02)
    drawn = expected.draws(200, 5)[0] / found.scaled.divisor
    assert np.corrcoef(found.draws, drawn)[0, 1] > 0.995
    r = both.r.astype(float)
    assert found.statistic == pytest.approx(
        (r[:, 0] - r[:, 1:].mean(axis=1)).mean(), rel=1e-4, abs=1e-7
    )
    maps = both.test_maps([whole.layers], mask, "difference", tail="two-sided")
    assert np.isfinite(maps.p).all()
    assert 0.6 < maps.scaled.ratio.ratio < 1.3
    assert np.all(maps.p_max >= maps.p - 1e-3)


def test_a_model_beside_itself_differs_in_nothing(sides):
    both = MusicSide.beside([(sides[0], [1]), (sides[0], [1])], "nothing")
    n = len(EVERYBODY)
    vertices = np.full(N_VERTICES, 1 / N_VERTICES)
    kernel = both.kernel([Summary("x", np.tile([1 / n, -1 / n], (n, 1)), vertices)])
    alone = sides[0].kernel([Summary("x", np.tile([0, 1 / n, 0], (n, 1)), vertices)])
    assert kernel.sd[0] < 1e-5 * alone.sd[0]


def test_models_on_other_samples_are_refused(sides, tmp_path):
    other = make_side(tmp_path, EVERYBODY)
    monkey = [[plan for plan in own] for own in other.plans]
    monkey[0][0] = make_side(tmp_path, [("a", "b")] * len(EVERYBODY)).plans[0][0]
    other.plans = monkey
    with pytest.raises(InvalidInputError, match="same samples"):
        MusicSide.beside([(sides[0], [0]), (other, [0])], "difference")
