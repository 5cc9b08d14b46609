"""The order of layers comes from whoever knows it, and never from their names."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from bids_app.errors import BadDataError, UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.export import export_features
from bids_app.features.layers import LayerOrder, choose_layers, resolve_layers
from bids_app.features.precomputed import precomputed_layers
from bids_app.features.registry import change_of, find_space
from bids_app.features.vggish import LAYER_NAMES

NETWORK = ("input", "pool1", "pool2", "pool10", "fc1", "logits")
SORTED = tuple(sorted(NETWORK))
CREATED = "the order in which the arrays were created"
ATTRIBUTE = "the attribute `layers` of the files"


def write_arrays(group, names=NETWORK):
    group["time"] = np.arange(0, 12, 0.5)
    for k, name in enumerate(names):
        group[name] = np.random.default_rng(k).normal(size=(24, 3))


def write_file(path, names=NETWORK, tracked=False, told=None):
    with h5py.File(path, "w", track_order=tracked) as file:
        write_arrays(file, names)
        if told is not None:
            file.attrs["layers"] = list(told)
    return path


# What files say


def test_arrays_are_in_the_order_of_their_creation_where_the_file_knows_it(tmp_path):
    write_file(tmp_path / "a.h5", tracked=True)
    order = precomputed_layers(tmp_path, ["a"])
    assert (order.names, order.source, order.open) == (NETWORK, CREATED, True)


def test_without_a_tracked_order_nothing_says_it(tmp_path):
    write_file(tmp_path / "a.h5")
    order = precomputed_layers(tmp_path, ["a"])
    assert (order.names, order.source) == (SORTED, "")
    write_file(tmp_path / "a.h5", names=["conv"])
    assert choose_layers(precomputed_layers(tmp_path, ["a"])).depth == (0.0,)


@pytest.mark.parametrize("kind", [str, np.bytes_])
@pytest.mark.parametrize("tracked", [True, False])
def test_an_attribute_says_the_order_before_creation_does(tmp_path, tracked, kind):
    told = [kind(name) for name in NETWORK]
    write_file(tmp_path / "a.h5", names=NETWORK[::-1], tracked=tracked, told=told)
    order = precomputed_layers(tmp_path, ["a"])
    assert (order.names, order.source) == (NETWORK, ATTRIBUTE)


def test_groups_of_one_file_have_an_order_of_their_own(tmp_path):
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        for label in ("a", "b"):
            write_arrays(file.create_group(label, track_order=True))
    assert precomputed_layers(path, ["a", "b"]).names == NETWORK
    with h5py.File(path, "a") as file:
        file.attrs["layers"] = list(NETWORK[::-1])
    assert precomputed_layers(path, ["a", "b"]).names == NETWORK[::-1]
    with h5py.File(path, "a") as file:
        for label in ("a", "b"):
            file[label].attrs["layers"] = list(NETWORK)
    assert precomputed_layers(path, ["a", "b"]).names == NETWORK


@pytest.mark.parametrize("labels", [["a", "b"], ["b", "a"]])
def test_one_file_that_knows_the_order_speaks_for_the_others(tmp_path, labels):
    write_file(tmp_path / "a.h5")
    write_file(tmp_path / "b.h5", tracked=True)
    assert precomputed_layers(tmp_path, labels).names == NETWORK


@pytest.mark.parametrize("labels", [["a", "b"], ["b", "a"]])
@pytest.mark.parametrize(
    ("names", "tracked"), [(NETWORK[::-1], True), (NETWORK[1:], True), (NETWORK[1:], False)]
)
def test_files_that_disagree_are_refused(tmp_path, names, tracked, labels):
    write_file(tmp_path / "a.h5", tracked=True)
    write_file(tmp_path / "b.h5", names=names, tracked=tracked)
    with pytest.raises(BadDataError, match=r"differ in (their layers|the columns)"):
        precomputed_layers(tmp_path, labels)


@pytest.mark.parametrize("told", [NETWORK[1:], (*NETWORK, "more"), (*NETWORK[1:], NETWORK[1])])
def test_an_attribute_names_every_array_once(tmp_path, told):
    write_file(tmp_path / "a.h5", told=told)
    with pytest.raises(BadDataError, match=r"(?s)does not name the arrays.*a\.h5.*pool10"):
        precomputed_layers(tmp_path, ["a"])


def test_a_table_is_one_layer_whatever_is_chosen(tmp_path):
    frame = pd.DataFrame({"time": np.arange(5.0), "b": 1.0, "a": 2.0})
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    order = precomputed_layers(tmp_path, ["a"])
    assert choose_layers(order, ["conv1"]).names == ("precomputed",)


def test_matrices_lie_in_the_order_that_the_files_say(make_wav, tmp_path):
    stimuli = [("a", make_wav("a.wav", 4.0)), ("b", make_wav("b.wav", 3.0))]
    write_file(tmp_path / "a.h5")
    write_file(tmp_path / "b.h5", tracked=True)
    for prefix in ("", "change:"):
        grams = load_or_compute_grams(
            stimuli, cache_dir=tmp_path / "c", features=f"{prefix}precomputed:{tmp_path}"
        )
        assert grams.layer_names == NETWORK
    swapped = grams.of_layers(("logits", "pool1")).of_layers(("pool1", "logits"))
    assert swapped.layer_names == ("pool1", "logits")
    assert [swapped.n_units, swapped.n_constant] == [(3, 3), (0, 0)]
    for number, place in ((1, 2), (2, 6)):
        np.testing.assert_array_equal(swapped.gram(number), grams.gram(place))


def test_what_is_exported_comes_back_in_its_order(make_wav, tmp_path):
    audio = make_wav("a.wav", 4.0)
    write_file(tmp_path / "a.h5", tracked=True)
    given = f"precomputed:{tmp_path}"
    export_features([audio], tmp_path / "out", features=given, file_format="h5")
    (tmp_path / "out" / "a_precomputed.h5").rename(tmp_path / "out" / "a.h5")
    assert precomputed_layers(tmp_path / "out", ["a"]).names == NETWORK
    export_features([audio], tmp_path / "some", features=given, layers=["fc1", "pool2"])
    names = sorted(path.name for path in (tmp_path / "some").glob("*.tsv"))
    assert names == ["a_precomputed_03-pool2.tsv", "a_precomputed_05-fc1.tsv"]
    write_file(tmp_path / "a.h5")
    export_features([audio], tmp_path / "none", features=given, file_format="h5")
    (tmp_path / "none" / "a_precomputed.h5").rename(tmp_path / "none" / "a.h5")
    assert precomputed_layers(tmp_path / "none", ["a"]).source == ""


# What is chosen, and how deep it is

KNOWN = LayerOrder(NETWORK, "the network", frozenset({"pool1", "pool2", "pool10"}))
OPEN = LayerOrder(SORTED, open=True)
TOLD = LayerOrder(NETWORK, CREATED, open=True)
BESIDE = LayerOrder(("loudness", "timbre", "rhythm"))


def test_depth_is_the_position_among_the_layers_fitted():
    whole = choose_layers(KNOWN)
    assert (whole.names, whole.source) == (NETWORK, "the network")
    np.testing.assert_allclose(whole.depth, np.arange(6) / 5)
    some = choose_layers(KNOWN, ["logits", "2", "input"])
    assert (some.names, some.depth) == (("input", "pool1", "logits"), (0.0, 0.5, 1.0))
    assert "position" in some.definition


def test_layers_as_given_are_an_order_where_the_files_leave_it_open():
    assert choose_layers(OPEN).depth == ()
    assert choose_layers(OPEN).source == ""
    given = choose_layers(OPEN, NETWORK)
    assert (given.names, given.source, len(given.depth)) == (NETWORK, "--layers", 6)
    assert choose_layers(TOLD, ["pool1", "fc1"]).source == CREATED
    turned = choose_layers(TOLD, ["fc1", "pool1"])
    assert (turned.names, turned.source) == (("fc1", "pool1"), "--layers")
    assert choose_layers(TOLD, ["5", "pool1"]).names == ("fc1", "pool1")
    with pytest.raises(UsageError, match=r"(?s)no numbers.*2.*pool10"):
        choose_layers(OPEN, ["fc1", "2"])


def test_layers_side_by_side_have_no_depth_unless_it_is_given():
    assert choose_layers(BESIDE).depth == ()
    assert choose_layers(BESIDE, ["timbre", "loudness"]).depth == ()
    given = choose_layers(BESIDE, ["timbre", "loudness"], [1, 2])
    assert (given.names, given.depth) == (("timbre", "loudness"), (0.0, 1.0))


def test_blocks_leave_the_twins_out():
    assert choose_layers(KNOWN, ["blocks"]).names == ("input", "fc1", "logits")
    named = LayerOrder(("blocks", "rest"), "the network")
    assert choose_layers(named, ["blocks"]).names == ("blocks",)
    with pytest.raises(UsageError, match=r"(?s)Nothing says which layers.*repeat"):
        choose_layers(TOLD, ["blocks"])
    with pytest.raises(UsageError, match="no such layer"):
        choose_layers(KNOWN, ["blocks", "fc1"])


@pytest.mark.parametrize("features", ["vggish", "change:vggish"])
def test_blocks_of_vggish(features):
    order = find_space(features).layer_order(["a"])
    names = choose_layers(order, ["blocks"]).names
    expected = "InputBatch conv1 conv2 conv3_1 conv3_2 conv4_1 conv4_2 fc1_1 fc1_2 fc2"
    assert names == tuple(expected.split())


def test_depths_are_scaled_and_may_be_shared():
    fitted = choose_layers(KNOWN, ["input", "pool1", "fc1"], [2, 2, 7])
    assert fitted.depth == (0.0, 0.0, 1.0)
    assert "--layer-depth" in fitted.definition
    assert choose_layers(KNOWN, (), [0, 1, 1, 4, 4, 8]).depth == (0, 0.125, 0.125, 0.5, 0.5, 1)


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        ([1, 2], r"2 numbers: 1 2.*6 that never decrease"),
        ([1, 2, 3, 4, 5, 4], "never decrease"),
        ([1, 2, 3, 4, 5, np.nan], "never decrease"),
        ([1] * 6, "one depth"),
    ],
)
def test_depths_that_do_not_fit_are_refused(depth, words):
    with pytest.raises(UsageError, match=f"(?s){words}"):
        choose_layers(KNOWN, (), depth)


def test_depths_without_names_say_nothing_where_there_is_no_order():
    with pytest.raises(UsageError, match=r"(?s)order is known.*--layers"):
        choose_layers(OPEN, (), [1, 2, 3, 4, 5, 6])


def test_layers_are_found_by_number_or_name():
    assert resolve_layers(None, LAYER_NAMES) == tuple(range(1, 24))
    assert resolve_layers(["fc2", 1, "2", 1], LAYER_NAMES) == (22, 1, 2)
    for wrong in ("conv9", 0, 24, "-1", ""):
        with pytest.raises(UsageError, match=r"(?s)no such layer.*1 to 23"):
            resolve_layers([wrong], LAYER_NAMES)


# Rows


def test_every_row_says_whether_its_layers_have_an_order():
    assert find_space("descriptors").layer_order([]).source == ""
    assert find_space("vggish").layer_order([]).source == "the network"
    assert find_space("envelope").layer_order([]).names == ("envelope",)
    descriptors = find_space("descriptors")
    assert change_of(descriptors).layer_order([]) == descriptors.layer_order([])


# Columns of the stimuli


def test_a_stimulus_without_one_of_the_layers_is_told_by_its_layers(tmp_path):
    write_file(tmp_path / "a.h5")
    write_file(tmp_path / "b.h5", NETWORK[1:])
    with pytest.raises(BadDataError, match="differ in their layers"):
        precomputed_layers(tmp_path, ["a", "b"])


def test_columns_in_another_order_are_refused_and_tables_that_cannot_be_read_left(tmp_path):
    (tmp_path / "broken.tsv").write_text("time\tloud\n0\t1\t2\n")
    (tmp_path / "a.tsv").write_text("time\tloud\tbright\n0\t1\t2\n1\t2\t2\n")
    (tmp_path / "b.tsv").write_text("time\tbright\tloud\n0\t1\t2\n1\t2\t2\n")
    assert precomputed_layers(tmp_path, ["broken", "a"]).names == ("precomputed",)
    with pytest.raises(BadDataError, match="differ in the columns") as caught:
        precomputed_layers(tmp_path, ["broken", "a", "b"])
    assert caught.value.found == "b: 2 columns, bright where a has loud"
