"""Networks that tell their layers over time: on the clock of the space, whatever their own is."""

from __future__ import annotations

from itertools import count

import h5py
import numpy as np
import pytest

from bids_app.analyses.participant.plan import EncodingModel, fitted_layers
from bids_app.cli.parser import parse_config
from bids_app.errors import BadDataError
from bids_app.features import streamed
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.components import components_from_gram
from bids_app.features.export import export_features
from bids_app.features.gram import values_gram
from bids_app.features.networks.own import CheckedNetwork
from bids_app.features.registry import SPACES, Space, recorded_space
from bids_app.features.sources import scaled_layers
from bids_app.features.streamed import Heard, listen, step_means
from bids_app.features.timing import step_times, window_matrix

LAYERS = ("zeta", "alpha", "mid")


class Network:
    """Layers of 3, 40 and 2 x 4 units, a frame every `hop` seconds."""

    sample_rate, layers = 8000, LAYERS

    def __init__(self, hop=0.04, start=0.02, identity="one"):
        self.hop, self.start, self.identity = hop, start, identity

    def frames(self, duration):
        times = np.arange(self.start, duration, self.hop)
        rng = np.random.default_rng(len(times))
        return times, {
            "zeta": rng.normal(size=(len(times), 3)).astype(np.float32),
            "alpha": rng.normal(size=(len(times), 40)).astype(np.float32),
            "mid": rng.normal(size=(len(times), 2, 4)).astype(np.float32),
        }

    def __call__(self, audio):
        assert audio.dtype == np.float32
        times, layers = self.frames(audio.size / self.sample_rate)
        for k, time in enumerate(times):
            yield float(time), {name: values[k] for name, values in layers.items()}


@pytest.fixture
def spaces(monkeypatch):
    """Rows of a fast and a slow network, and what was loaded."""
    made = {"fast": Network(), "slow": Network(hop=1.0, start=0.5), "other": Network(identity="x")}

    def load(argument):
        return made[argument]

    row = Space("net", "activations of a network", stream=load, argument="NAME", named=True)
    monkeypatch.setitem(SPACES, "net", row)
    return made


@pytest.fixture
def stimuli(make_wav):
    return [("a", make_wav("a.wav", 5.0)), ("b", make_wav("b.wav", 4.1))]


def wanted(network, seconds):
    """Layers on the clock of the space, all at once."""
    times, layers = network.frames(seconds)
    grid = step_times(seconds, 0.25) if network.hop < 0.25 else times
    matrix = window_matrix(times, grid, 0.25) if network.hop < 0.25 else np.eye(len(times))
    return grid, [matrix @ layers[name].reshape(len(times), -1) for name in LAYERS]


# The clock


@pytest.mark.parametrize("step", [0.05, 0.25, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("clock", ["even", "uneven", "late", "early"])
def test_steps_are_the_exact_means(rng, clock, step):
    times = {
        "even": 0.02 * np.arange(300),
        "uneven": np.cumsum(rng.uniform(0.001, 0.06, 200)),
        "late": 1.7 + 0.03 * np.arange(100),
        "early": -0.3 + 0.04 * np.arange(200),
    }[clock]
    duration = 6.3
    values = rng.normal(size=(len(times), 4))
    rows = ((float(t), [v[:3], v[3:]]) for t, v in zip(times, values, strict=True))
    found = list(step_means(rows, duration, step))
    grid = step_times(duration, step)
    np.testing.assert_allclose([time for time, _ in found], grid)
    expected = window_matrix(times, grid, step) @ values
    np.testing.assert_allclose([np.concatenate(parts) for _, parts in found], expected, atol=1e-9)


@pytest.mark.parametrize("hop", [0.25, 0.4, 3.0])
def test_what_is_slower_than_the_clock_stays_on_its_own(hop):
    rows = [(k * hop, [np.array([float(k)])]) for k in range(5)]
    found = list(step_means(iter(rows), 5 * hop, 0.25))
    assert [time for time, _ in found] == [time for time, _ in rows]
    assert [values[0][0] for _, values in found] == [0, 1, 2, 3, 4]
    assert len(list(step_means(iter(rows[:1]), 3.0, 0.25))) == 1
    assert list(step_means(iter([]), 3.0, 0.25)) == []


# Matrices


@pytest.mark.parametrize("name", ["fast", "slow"])
def test_matrices_are_those_of_the_layers_at_once(spaces, stimuli, name, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "_VALUES_PER_CHUNK", 100)
    grams = load_or_compute_grams(stimuli, cache_dir=tmp_path, features=f"net:{name}")
    assert grams.layer_names == LAYERS
    assert (grams.n_units, grams.weights_sha256) == ((3, 40, 8), "one")
    pieces = [wanted(spaces[name], seconds) for seconds in (5.0, 4.1)]
    for found, (times, _) in zip(grams.patch_times, pieces, strict=True):
        np.testing.assert_allclose(found, times)
    for number in (1, 2, 3):
        expected, _ = values_gram([layers[number - 1] for _, layers in pieces])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(grams.gram(number), expected, atol=1e-5 * scale)
    changed = load_or_compute_grams(stimuli, cache_dir=tmp_path, features=f"change:net:{name}")
    assert changed.layer_names == LAYERS
    assert set(changed.n_units) == {3}


def test_another_identity_is_computed_anew(spaces, stimuli, tmp_path):
    first = load_or_compute_grams(stimuli, cache_dir=tmp_path, features="net:fast")
    spaces["other"].identity = "one more"
    other = load_or_compute_grams(stimuli, cache_dir=tmp_path, features="net:other")
    assert first.key != other.key
    again = load_or_compute_grams(stimuli, cache_dir=tmp_path, features="net:fast")
    assert again.path == first.path


def test_units_and_components_are_those_of_the_clock(spaces, stimuli, tmp_path):
    units = scaled_layers("a", stimuli[0][1], ["mid"], features="net:fast")["mid"]
    _, layers = wanted(spaces["fast"], 5.0)
    scaled = (layers[2] - layers[2].mean(axis=0)) / layers[2].std(axis=0)
    np.testing.assert_allclose(units, scaled, atol=1e-4)
    files = export_features(
        [path for _, path in stimuli],
        tmp_path,
        features="net:fast",
        layers=["mid", "zeta"],
        n_components=2,
        file_format="h5",
    )
    pieces = [wanted(spaces["fast"], seconds)[1][2] for seconds in (5.0, 4.1)]
    stacked = np.concatenate(pieces)
    scores, _ = components_from_gram(stacked @ stacked.T, n_components=2)
    with h5py.File(next(f for f in files if f.name == "a_net.h5")) as file:
        assert list(file.attrs["layers"]) == ["zeta", "mid"]
        np.testing.assert_allclose(np.abs(file["mid"]), np.abs(scores[:20]), rtol=1e-3, atol=1e-4)


def test_a_plan_and_a_record_know_the_network(spaces):
    config = parse_config(["/d", "/o", "participant", "--features", "net:fast"])
    (space,) = config.model.spaces
    model = EncodingModel.of(space, fitted_layers(config, ["a"])[space.label], config)
    assert model.settings["features"] == "net:fast"
    assert model.settings["weights_sha256"] == "one"
    assert model.settings["layers"] == list(LAYERS)
    assert model.settings["step"] == 0.25
    assert model.description["Network"] == "net:fast"
    assert model.description["LayerOrder"] == "the network"
    assert not model.description["Untrained"]
    assert recorded_space("net:fast").name == "net"


# What goes wrong


def frames(*pairs):
    return [(time, {"a": np.zeros(n), "b": np.zeros(2)}) for time, n in pairs]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "returned no frame"),
        (frames((0.0, 3), (0.1, 4)), "number of units"),
        (frames((0.0, 3), (0.0, 3)), "in order of time"),
        (frames((0.3, 3), (0.2, 3)), "in order of time"),
        (frames((np.nan, 3)), "in order of time"),
        ([(0.0, {"a": np.zeros(3)})], "without b"),
    ],
)
def test_what_a_network_tells_is_checked(told, words):
    with Heard(["a", "b"]) as heard, pytest.raises(BadDataError, match=f"(?s){words}"):
        heard.add("piece", told, 1.0, 0.25)


def test_units_stay_the_same_over_stimuli_and_files_go(make_wav, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sizes = count(2)

    def call(audio):
        size = next(sizes)
        return [(time, {"a": np.zeros(size)}) for time in (0.0, 0.1, 0.2)]

    class Growing:
        sample_rate, layers, identity = 8000, ("a",), ""

        def __call__(self, audio):
            return call(audio)

    paths = [("a", make_wav("a.wav", 2.0)), ("b", make_wav("b.wav", 2.0))]
    kept = set(tmp_path.iterdir())
    with pytest.raises(BadDataError, match=r"(?s)number of units.*b, layer a"):
        listen(Growing(), paths, ["a"], 0.25)
    assert set(tmp_path.iterdir()) == kept


def test_a_fault_of_a_network_names_the_stimulus(make_wav):
    class Broken(Network):
        def __call__(self, audio):
            yield 0.5, {name: np.zeros(2) for name in LAYERS}
            yield 0.4, {name: np.zeros(2) for name in LAYERS}

    path = make_wav("song.wav", 3.0)
    with pytest.raises(BadDataError, match=r"(?s)order of time.*happy.*song\.wav"):
        listen(Broken(), [("happy", path)], LAYERS, 0.25)


def test_what_breaks_the_contract_names_the_stimulus(make_wav):
    class Short(Network):
        def __call__(self, audio):
            yield 0.5, {"zeta": np.zeros(2)}

    path = make_wav("song.wav", 3.0)
    with pytest.raises(BadDataError, match=r"(?s)python:a:b.*song\.wav.*missing: alpha"):
        listen(CheckedNetwork(Short(), "python:a:b"), [("happy", path)], LAYERS, 0.25)
