"""Networks of one's own: a dummy, a strided one like a transformer, and every broken rule."""

from __future__ import annotations

import re
import sys
import textwrap

import numpy as np
import pytest

from bids_app.cli import tools
from bids_app.errors import BadDataError, UsageError
from bids_app.features.export import export_features
from bids_app.features.networks.check import check_network
from bids_app.features.networks.own import CheckedNetwork, load_own

RATE = 8000


class Dummy:
    """Loudness in frames of 0.1 s, and twice as much of it."""

    sample_rate = RATE
    layers = ("loud", "deep")
    identity = "dummy 1"

    def frames(self, audio):
        step = RATE // 10
        for start in range(0, len(audio) - step + 1, step):
            power = np.array([np.mean(audio[start : start + step] ** 2)], np.float32)
            yield (start + step / 2) / RATE, {"loud": power, "deep": np.stack([power, -power])}

    def __call__(self, audio):
        return self.frames(audio)


class Strided:
    """Frames of 20 ms in overlapping windows of 2 s, of which the middle half is kept."""

    sample_rate = RATE
    layers = tuple(f"block{n}" for n in range(4))
    identity = "strided 1"
    window, frame = 2 * RATE, RATE // 50

    def __call__(self, audio):
        n_frames = self.window // self.frame
        quarter = n_frames // 4
        padded = np.pad(audio, (quarter * self.frame, self.window))
        start = 0
        while start * self.frame < len(audio):
            part = padded[start * self.frame :][: self.window].reshape(n_frames, self.frame)
            hidden = [np.tanh(part[:, :6] * (n + 1)) for n in range(4)]
            for k in range(quarter, 3 * quarter):
                time = ((start + k - quarter) + 0.5) * self.frame / RATE
                if time < len(audio) / RATE:
                    yield time, {f"block{n}": hidden[n][k] for n in range(4)}
            start += 2 * quarter


@pytest.fixture
def sound(rng):
    return (0.1 * rng.normal(size=6 * RATE)).astype(np.float32)


def heard(network, sound):
    return list(CheckedNetwork(network, "python:tests:it")(sound))


def test_a_dummy_passes_as_it_is(sound):
    frames = heard(Dummy(), sound)
    plain = list(Dummy()(sound))
    assert len(frames) == 60
    for (time, layers), (other, expected) in zip(frames, plain, strict=True):
        assert time == other
        assert list(layers) == ["loud", "deep"]
        for name, values in layers.items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, expected[name])


def test_a_strided_network_passes_and_has_every_frame_once(sound):
    times = np.array([time for time, _ in heard(Strided(), sound)])
    np.testing.assert_allclose(times, 0.01 + 0.02 * np.arange(300), atol=1e-9)


def test_tensors_and_whole_numbers_become_float32(sound):
    import torch

    class Tensors(Dummy):
        def __call__(self, audio):
            for time, _ in self.frames(audio):
                yield (
                    np.float32(time),
                    {
                        "loud": torch.ones(3, requires_grad=True),
                        "deep": np.arange(4),
                    },
                )

    _, layers = heard(Tensors(), sound)[0]
    assert {name: values.dtype for name, values in layers.items()} == {
        "loud": np.float32,
        "deep": np.float32,
    }


def test_the_identity_holds_the_name_and_what_the_network_says():
    checked = CheckedNetwork(Dummy(), "python:tests:it")
    assert checked.identity == "python:tests:it dummy 1"
    assert not checked.untrained
    assert CheckedNetwork(with_attribute("untrained", True), "x").untrained


def test_a_network_may_be_told_its_device_and_says_where_it_cannot_be():
    CheckedNetwork(Dummy(), "x").to("cuda")  # nothing to tell
    told = []

    def moves(self, device):
        told.append(device)

    CheckedNetwork(with_attribute("to", moves), "x").to("cpu")
    assert told == ["cpu"]

    def fails(self, device):
        raise RuntimeError("no such device")

    with pytest.raises(BadDataError, match=r"(?s)cannot be on cuda.*no such device"):
        CheckedNetwork(with_attribute("to", fails), "x").to("cuda")


def test_what_cannot_be_called_is_no_network():
    said = {"sample_rate": 8000, "layers": ("a",), "identity": "1"}
    with pytest.raises(BadDataError, match="cannot be called"):
        CheckedNetwork(type("Silent", (), said)(), "x")


# Every rule on its own


def with_attribute(name, value):
    return type("Changed", (Dummy,), {name: value})()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sample_rate", "16000", r"sample_rate is no whole number.*'16000'"),
        ("sample_rate", 16000.5, r"sample_rate is no whole number"),
        ("sample_rate", True, r"sample_rate is no whole number"),
        ("sample_rate", 0, r"sample_rate is out of range.*0 Hz"),
        ("sample_rate", 10**7, r"sample_rate is out of range"),
        ("layers", "loud", r"layers is no sequence of names.*'loud'"),
        ("layers", {"loud", "deep"}, r"layers is no sequence"),
        ("layers", (), r"layers lacks names"),
        ("layers", ("loud", ""), r"layers lacks names"),
        ("layers", ("loud", ".."), r"a layer has the name of a folder"),
        ("layers", ("loud", 2), r"layers lacks names"),
        ("layers", ("loud", "deep", "loud"), r"layers repeats names.*loud"),
        ("identity", "", r"identity is empty"),
        ("identity", None, r"identity is empty or no text.*None"),
    ],
)
def test_what_a_network_must_say_of_itself(name, value, words):
    with pytest.raises(BadDataError, match="where: python:tests:it") as caught:
        CheckedNetwork(with_attribute(name, value), "python:tests:it")
    assert re.search(words, str(caught.value), re.DOTALL)


@pytest.mark.parametrize("name", ["sample_rate", "layers", "identity"])
def test_what_a_network_lacks_is_named(name):
    class Empty:
        sample_rate, layers, identity = 8000, ("a",), "1"

        def __call__(self, audio):
            return []

    delattr(Empty, name)
    with pytest.raises(BadDataError, match=f"it has no {name}"):
        CheckedNetwork(Empty(), "x")


def changed(sound, frame_number, change):
    """The dummy with one frame changed: `change` takes and returns time and layers."""

    class Broken(Dummy):
        def __call__(self, audio):
            for n, (time, layers) in enumerate(self.frames(audio)):
                yield change(time, layers) if n == frame_number else (time, layers)

    return heard(Broken(), sound)


def without(layers, name):
    return {key: value for key, value in layers.items() if key != name}


@pytest.mark.parametrize("frame", [0, 7])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, v: (t, without(v, "deep")), r"layers differ at {t} s.*missing: deep"),
        (lambda t, v: (t, {**v, "more": v["deep"]}), r"at {t} s.*not in layers: more"),
        (lambda t, v: (t, {**v, "deep": v["deep"] * np.nan}), r"layer deep at {t} s is not finite"),
        (lambda t, v: (t, {**v, "deep": v["deep"] + np.inf}), r"2 of 2 numbers"),
        (lambda t, v: (t, {**v, "deep": [[1e300], [0.0]]}), r"layer deep at {t} s is not finite"),
        (lambda t, v: (t, {**v, "loud": np.empty(0)}), r"layer loud at {t} s is empty"),
        (
            lambda t, v: (t, {**v, "loud": "loud"}),
            r"layer loud at {t} s is no array of numbers.*str",
        ),
        (lambda t, v: (t, {**v, "loud": [[1], [1, 2]]}), r"layer loud at {t} s is no array"),
        (lambda t, v: (t, {**v, "loud": v["loud"] * 1j}), r"layer loud at {t} s is no array"),
        (lambda t, v: t, r"frame {n} is no pair"),
        (lambda t, v: (t, list(v.values())), r"frame {n} has no mapping of layers.*list"),
        (lambda t, v: ("early", v), r"time of frame {n} is no number.*'early'"),
        (lambda t, v: (np.nan, v), r"time of frame {n} is no number"),
        (lambda t, v: (-0.5, v), r"frame {n} lies outside the sound.*-0\.5 s.*0 to 6 s"),
        (lambda t, v: (7.0, v), r"frame {n} lies outside the sound"),
    ],
)
def test_a_broken_frame_is_named_by_time_and_layer(sound, frame, change, words):
    with pytest.raises(BadDataError, match="python:tests:it") as caught:
        changed(sound, frame, change)
    assert re.search(
        words.format(n=frame, t=f"{0.05 + 0.1 * frame:g}"), str(caught.value), re.DOTALL
    )


def test_shapes_stay_as_in_the_first_frame(sound):
    with pytest.raises(
        BadDataError, match=r"(?s)deep at 0\.35 s has another shape.*\(2,\).*\(2, 1\)"
    ):
        changed(sound, 3, lambda t, v: (t, {**v, "deep": v["deep"][:, 0]}))


@pytest.mark.parametrize("time", [0.15, 0.25])
def test_times_increase(sound, time):
    with pytest.raises(
        BadDataError, match=rf"(?s)do not increase at frame 3.*{time} s after 0\.25"
    ):
        changed(sound, 3, lambda t, v: (time, v))


class Between(Dummy):
    """Frames of a part of the sound, a step apart."""

    def __init__(self, first, last, step):
        self.times = np.arange(first, last, step)

    def __call__(self, audio):
        for time in self.times:
            yield time, {"loud": [time], "deep": [time]}


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((0, 0, 1), "it yields no frame"),
        ((16, 40, 1), r"do not cover the beginning.*the first at 16 s"),
        ((0.5, 25, 0.1), r"do not cover the end.*the last at 24\.9 of 40 s"),
        ((5, 31, 1), r"do not cover the end"),
        ((0.5, 40, 6), r"too far apart.*6 s.*overlap"),
    ],
)
def test_frames_cover_the_sound(times, words):
    with pytest.raises(BadDataError, match=rf"(?s){words}"):
        heard(Between(*times), np.zeros(40 * RATE, np.float32))


@pytest.mark.parametrize("times", [(0.01, 40, 0.02), (5, 35.5, 1), (0.48, 39.6, 0.48)])
def test_windows_may_leave_their_halves_out(times):
    assert heard(Between(*times), np.zeros(40 * RATE, np.float32))


@pytest.mark.parametrize("n", [0, 4])
def test_what_a_network_raises_is_told_with_its_place(sound, n):
    class Failing(Dummy):
        def __call__(self, audio):
            for k, frame in enumerate(self.frames(audio)):
                if k == n:
                    raise ZeroDivisionError("no loudness")
                yield frame

    with pytest.raises(BadDataError) as caught:
        heard(Failing(), sound)
    place = "before the first frame" if n == 0 else "after the frame 0.35"
    for words in (place, "ZeroDivisionError: no loudness", "test_own.py, line"):
        assert words in str(caught.value)


# By name


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the environment."""
    folder = tmp_path / "environment" / "mynets"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "loud.py").write_text(
        textwrap.dedent(
            """
            import numpy as np

            class Loud:
                sample_rate = 8000
                layers = ["loud", "still"]
                identity = "1"

                def __call__(self, audio):
                    for n in range(len(audio) // 800):
                        part = audio[800 * n : 800 * n + 800]
                        yield 0.05 + 0.1 * n, {"loud": [part.std(), 0.0], "still": np.ones((2, 3))}

            class Held:
                make = Loud

            def broken():
                raise RuntimeError("no weights")

            def needs(more):
                return Loud()

            nothing = 3
            """
        )
    )
    (folder / "bad.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mynets"]:
        del sys.modules[name]


@pytest.mark.parametrize("function", ["Loud", "Held.make"])
def test_a_function_of_the_environment_is_found(package, function):
    network = load_own(f"mynets.loud:{function}")
    assert network.layers == ("loud", "still")
    assert network.identity == f"python:mynets.loud:{function} 1"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("mynets.loud:broken", r"RuntimeError: no weights \(.*loud\.py, line"),
        ("mynets.loud:needs", "TypeError.*more"),
        ("mynets.loud:absent", "AttributeError.*absent"),
        ("mynets.loud:nothing", "TypeError.*not callable"),
        ("mynets.bad:it", "ModuleNotFoundError.*a_module_that_nobody_has"),
        ("mynets.absent:it", "ModuleNotFoundError"),
        ("absentpackage:it", "ModuleNotFoundError.*absentpackage"),
    ],
)
def test_what_cannot_be_loaded_says_why(package, argument, words):
    with pytest.raises(UsageError, match=rf"(?s)python:{argument}.*{words}|{words}.*{argument}"):
        load_own(argument)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "mynets",
        "mynets.loud",
        ":Loud",
        "./net.py:it",
        "../a:b",
        "/data/net:it",
        "a..b:c",
        "a:b c",
    ],
)
def test_only_names_are_taken(argument):
    with pytest.raises(UsageError, match=r"(?s)does not name a function.*PYTHONPATH"):
        load_own(argument)


def test_nothing_is_imported_from_the_current_folder(tmp_path, monkeypatch):
    """Not even under python -m, which puts it among the folders that are searched."""
    (tmp_path / "hostile_dataset.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    for folder in ("", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [folder, *sys.path])
        with pytest.raises(UsageError, match="ModuleNotFoundError"):
            load_own("hostile_dataset:it")
        assert sys.path[0] == folder
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UsageError, match="SystemExit: run"):
        load_own("hostile_dataset:it")


def test_layers_may_be_called_like_paths(package, make_wav, tmp_path):
    (package / "paths.py").write_text(
        textwrap.dedent(
            """
            from mynets.loud import Loud

            class Paths(Loud):
                layers = ["a/still", "b:c"]

                def __call__(self, audio):
                    for n in range(len(audio) // 800):
                        part = audio[800 * n : 800 * n + 800]
                        own = [part.std(), part.max()]
                        found = {"a/still": own, "b:c": own[::-1]}
                        yield 0.05 + 0.1 * n, found
            """
        )
    )
    files = [make_wav("a.wav", 2.0), make_wav("b.wav", 2.0)]
    for file_format in ("tsv", "h5"):
        written = export_features(
            files,
            tmp_path / file_format,
            features="python:mynets.paths:Paths",
            file_format=file_format,
            picture=False,
        )
        assert all(path.parent == tmp_path / file_format for path in written)
    names = sorted(path.name.split("_", 2)[2] for path in (tmp_path / "tsv").glob("*.tsv"))
    assert names == ["01-a-still.tsv"] * 2 + ["02-b-c.tsv"] * 2


# The check


def test_a_report_has_layers_rate_and_cost(package):
    network = load_own("mynets.loud:Loud")
    audio = 0.1 * np.random.default_rng(0).normal(size=8000 * 4)
    report = check_network(network, audio)
    assert [(row.name, row.shape, row.n_units, row.n_constant) for row in report.layers] == [
        ("loud", (2,), 2, 1),
        ("still", (2, 3), 6, 6),
    ]
    assert (report.n_frames, report.duration) == (40, 4.0)
    assert report.rate == pytest.approx(10)
    assert (report.first, report.last) == (pytest.approx(0.05), pytest.approx(3.95))
    assert report.seconds >= 0
    assert report.peak >= 0


def test_the_command_line_checks_a_network(package, make_wav, capsys):
    wav = make_wav("piece.wav", 4.0, sample_rate=44100)
    assert tools.main(["features", "--check", "python:mynets.loud:Loud", str(wav)]) == 0
    said = capsys.readouterr().out
    for words in (
        "python:mynets.loud:Loud keeps the contract",
        "hears 8000 Hz",
        "10 frames per second",
        "loud",
        "2 x 3",
        "identity",
    ):
        assert words in said
    assert "all constant" in next(line for line in said.splitlines() if "still" in line)


def test_the_command_line_says_what_is_broken(package, make_wav, capsys):
    wav = make_wav("piece.wav", 4.0)
    assert tools.main(["features", "--check", "python:mynets.loud:broken", str(wav)]) == 2
    assert "no weights" in capsys.readouterr().err
    assert tools.main(["features", "--check", "vggish", str(wav)]) == 2
    assert "python:" in capsys.readouterr().err


def test_without_a_check_the_results_need_a_folder(make_wav, capsys):
    assert tools.main(["features", str(make_wav("piece.wav", 4.0))]) == 2
    assert "-o" in capsys.readouterr().err
