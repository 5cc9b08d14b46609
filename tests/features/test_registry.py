"""A feature space is one row and its function."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worked_examples import import_example

from bids_app.analyses.participant.plan import EncodingModel, fitted_layers
from bids_app.cli.features import add_features
from bids_app.cli.parser import build_parser, parse_config
from bids_app.cli.run import methods_text
from bids_app.errors import BadDataError, UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.export import export_features
from bids_app.features.layers import POSITIONS
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.registry import (
    SPACES,
    STEP,
    Space,
    check_spaces,
    find_space,
    recorded_space,
)
from bids_app.features.sources import scaled_layers
from bids_app.references import Reference

DOCS = Path(__file__).parents[2] / "docs" / "features.md"


def steps(sound):
    """Two layers whose names are not in the order of the alphabet."""
    unit = Unit("step", "Number of the patch", "1")
    for n, name in enumerate(("zeta", "alpha"), start=1):
        yield FeatureSeries(name, np.arange(1.0, len(sound.times) + 1)[:, np.newaxis] ** n, (unit,))


@pytest.fixture
def stairs(monkeypatch):
    reference = Reference("Nobody, Ann", "On stairs", "Journal of Steps", "2001")
    row = Space(
        "stairs",
        "the stairs [@nobody2001]",
        steps,
        layers=("zeta", "alpha"),
        references={"nobody2001": reference},
    )
    monkeypatch.setitem(SPACES, "stairs", row)
    return row


def test_a_row_is_taken_and_named_by_the_command_line(stairs):
    config = parse_config(["/d", "/o", "participant", "--features", "stairs", "change:stairs"])
    check_spaces(config.model.features)
    layers = fitted_layers(config, ["a"])
    models = [EncodingModel.of(s, layers[s.label], config) for s in config.model.spaces]
    assert [model.label for model in models] == ["stairs", "changestairs"]
    assert models[0].settings["layers"] == ["zeta", "alpha"]
    assert models[0].description == {
        "Features": "stairs",
        "LayerOrder": "the feature space",
        "LayerDepth": [0.0, 1.0],
        "LayerDepthDefinition": POSITIONS,
        "Untrained": False,
    }
    commands = argparse.ArgumentParser().add_subparsers()
    add_features(commands)
    for text in (build_parser().format_help(), commands.choices["features"].format_help()):
        assert "vggish" in text
        assert "stairs" in text
    with pytest.raises(UsageError, match="stairs"):
        check_spaces(["nothing"])


def test_a_row_is_computed_in_its_own_order_and_place(stairs, make_wav, tmp_path, monkeypatch):
    stimuli = [("a", make_wav("a.wav", 4.0)), ("b", make_wav("b.wav", 3.0))]
    monkeypatch.setitem(SPACES, "twin", replace(stairs, name="twin"))
    found = {
        name: load_or_compute_grams(stimuli, cache_dir=tmp_path, features=name)
        for name in ("stairs", "twin", "change:stairs")
    }
    assert len({grams.key for grams in found.values()}) == 3
    assert [g.path.name.rsplit("-", 1)[0] for g in found.values()] == [
        "stairs",
        "twin",
        "change-stairs",
    ]
    for grams in found.values():
        assert grams.layer_names == ("zeta", "alpha")
    n = len(found["stairs"].patch_times[0])
    climb = np.arange(n) - (n - 1) / 2
    expected = np.outer(climb, climb) / climb.var()
    np.testing.assert_allclose(found["stairs"].gram(1)[:n, :n], expected, rtol=1e-5)
    np.testing.assert_array_equal(found["stairs"].gram(2), found["twin"].gram(2))
    units = scaled_layers("a", stimuli[0][1], ["alpha"], features="stairs")["alpha"]
    np.testing.assert_allclose(units @ units.T, found["stairs"].gram(2)[:n, :n], rtol=1e-5)


def test_layers_are_cut_to_as_many_components(make_wav, tmp_path, monkeypatch):
    def noise(sound):
        rng = np.random.default_rng(len(sound.times))
        for name, n in (("wide", 12), ("narrow", 5)):
            units = tuple(Unit(f"{name}{k}", "noise", "1") for k in range(n))
            yield FeatureSeries(name, rng.standard_normal((len(sound.times), n)), units)

    row = Space("noise", "noise", noise, layers=("wide", "narrow"))
    monkeypatch.setitem(SPACES, "noise", row)
    stimuli = [("a", make_wav("a.wav", 4.0)), ("b", make_wav("b.wav", 3.0))]
    whole, cut = (
        load_or_compute_grams(stimuli, cache_dir=tmp_path, features=name)
        for name in ("noise", "components5:noise")
    )
    assert cut.n_units == (5, 5)
    np.testing.assert_allclose(cut.gram(2), whole.gram(2), atol=1e-4)
    values = np.linalg.eigvalsh(cut.gram(1))[::-1]
    np.testing.assert_allclose(values[:5], np.linalg.eigvalsh(whole.gram(1))[::-1][:5], rtol=1e-5)
    np.testing.assert_allclose(values[5:], 0, atol=1e-4)
    with pytest.raises(BadDataError, match="noise, narrow") as error:
        load_or_compute_grams(stimuli, cache_dir=tmp_path, features="components6:noise")
    assert error.value.found == 5
    assert find_space("components5:vggish@random:3").base.weights == "random:3"
    assert recorded_space("components5:vggish").twins == find_space("vggish").twins
    with pytest.raises(UsageError):
        find_space("components0:vggish")
    with pytest.raises(UsageError, match="no files of their own"):
        export_features([stimuli[0][1]], tmp_path / "out", features="components5:noise")


def test_where_files_lie_is_no_setting():
    spaces = [find_space(f"change:precomputed:/{folder}/l3.h5") for folder in "ab"]
    assert [space.spelling for space in spaces] == [
        "change:precomputed:/a/l3.h5",
        "change:precomputed:/b/l3.h5",
    ]
    assert {(space.identity, space.file_name) for space in spaces} == {
        ("change:precomputed:", "change-precomputed")
    }


def test_a_row_is_exported(stairs, make_wav, tmp_path):
    export_features([make_wav("a.wav", 4.0)], tmp_path / "out", features="stairs")
    assert list(pd.read_csv(tmp_path / "out" / "a_stairs_01-zeta.tsv", sep="\t")) == [
        "time",
        "step",
    ]
    assert (tmp_path / "out" / "a_stairs_02-alpha.json").is_file()


def test_methods_and_references_follow_the_row(stairs):
    call = ["/d", "/o", "participant", "--features", "stairs", "change:stairs", "vggish"]
    plain, change, vggish = re.split("^# Model ", methods_text(parse_config(call)), flags=re.M)[1:]
    assert "features were the stairs [7], averaged over steps of 0.25 s" in plain
    assert "7. Nobody, Ann (2001). On stairs. Journal of Steps." in plain
    assert "features were the change over time of the stairs [7]" in change
    assert "Nobody" not in vggish
    assert "all 23 layers of VGGish [7]" in vggish


def test_the_example_of_the_documentation_is_a_space(make_wav, tmp_path, monkeypatch):
    row = import_example("ROW = Space(", tmp_path, monkeypatch).ROW
    monkeypatch.setitem(SPACES, "crossings", row)
    tone = 0.1 + 0.5 * np.sin(2 * np.pi * 100 * np.arange(48000) / 16000)
    rising = np.r_[tone, 0.1 + 0.5 * np.sin(2 * np.pi * 200 * np.arange(48000) / 16000)]
    export_features([make_wav("a.wav", samples=rising)], tmp_path / "out", features="crossings")
    found = pd.read_csv(tmp_path / "out" / "a_crossings_01-crossings.tsv", sep="\t")["crossings"]
    np.testing.assert_allclose(found.iloc[[0, -1]], [200 / 16000, 400 / 16000], rtol=0.02)
    config = parse_config(["/d", "/o", "participant", "--features", "crossings"])
    assert "Kedem, Benjamin (1986)" in methods_text(config)


def test_every_row_is_in_the_documentation():
    text = DOCS.read_text()
    assert [row.spelling for row in SPACES.values() if f"`{row.spelling}`" not in text] == []


def test_the_table_of_the_documentation_says_what_the_rows_say():
    text = DOCS.read_text()
    for row in SPACES.values():
        (line,) = re.findall(rf"^\| `{re.escape(row.spelling)}` \| .* \|$", text, flags=re.M)
        _, _, layers, dimension, step, source, licence, cost, _ = map(str.strip, line.split("|"))
        about = row.about
        assert [dimension, source, licence, cost] == [
            about.dimension,
            about.source,
            about.licence,
            about.cost,
        ]
        assert step.split(",")[0] == ("`--hop`" if row.step is None else f"{row.step:g} s")
        assert ("where slower" in step) == bool(row.clock or (row.stream and row.step == STEP))
        assert layers == str(len(row.layers)) or not row.layers


@pytest.mark.parametrize("name", ["envelope", "cochleagram", "modulation", "descriptors"])
def test_dimensions_are_those_of_the_values(name, make_wav):
    row = find_space(name)
    series = list(row.values(row.sound("a", make_wav("a.wav", 3.0))))
    assert [layer.name for layer in series] == list(row.layers)
    told = row.about.dimension.replace(" ", "").split(",")
    assert [math.prod(map(int, cell.split("×"))) for cell in told] == [
        layer.values.shape[1] for layer in series
    ]


def test_an_untrained_network_is_spelled_with_its_seed():
    assert find_space("vggish@random:3").weights == "random:3"
    assert find_space("vggish@random:3").identity == find_space("vggish").identity
    assert find_space("change:vggish@random:3").base.weights == "random:3"
    for wrong in ("vggish@random", "vggish@trained:1", "envelope@random:1", "vggish@"):
        with pytest.raises(UsageError):
            find_space(wrong)


def test_an_untrained_network_has_its_own_weights_whatever_the_others_have():
    arguments = ["data", "out", "participant", "--vggish-weights", "random:0"]
    config = parse_config([*arguments, "--features", "vggish", "vggish@random:4"])
    layers = fitted_layers(config, [])
    found = [EncodingModel.of(one, layers[one.label], config) for one in config.model.spaces]
    assert [one.weights for one in found] == ["random:0", "random:4"]
    assert [one.settings["weights_sha256"] for one in found] == ["random:0", "random:4"]
    assert [one.label for one in found] == ["vggish", "vggishrandom4"]
    assert "random:4" in methods_text(config)
