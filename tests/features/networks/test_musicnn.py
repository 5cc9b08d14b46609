"""musicnn's networks: layers against NumPy in TensorFlow's layout, clock, tags of real music."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from real_data import DATA

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.audio import load_audio
from bids_app.features.networks.musicnn import (
    FRAME_SECONDS,
    Musicnn,
    load_musicnn,
    log_mel,
    mean_weights,
)
from bids_app.features.networks.taggers import (
    KINDS,
    PATCH_FRAMES,
    Block,
    fill,
    fill_randomly,
    variables_of,
)
from bids_app.resources import MUSICNN_NAMES, musicnn_file, musicnn_tags_file

# The networks once more, in NumPy: maps (time, band, channel), kernels as TensorFlow keeps them.


def convolved(maps, kernel, bias, pads):
    padded = np.pad(maps, (*pads, (0, 0)))
    height, width, n_in, n_out = kernel.shape
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(0, 1))
    flat = windows.reshape(*windows.shape[:2], n_in, height * width)
    kernels = kernel.reshape(height * width, n_in, n_out).astype(np.float64)
    return sum(flat[:, :, i] @ kernels[:, i] for i in range(n_in)) + bias


def normalized(values, variables, n):
    scope = f"batch_normalization_{n}" if n else "batch_normalization"
    gamma, beta, mean, variance = (
        variables[f"{scope}/{name}"].astype(np.float64)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta


def pooled(maps, size, stride):
    n_times, n_bands, _ = maps.shape
    return np.array(
        [
            [
                maps[t : t + size[0], b : b + size[1]].max(axis=(0, 1))
                for b in range(0, n_bands - size[1] + 1, stride[1])
            ]
            for t in range(0, n_times - size[0] + 1, stride[0])
        ]
    )


def vgg_layers(patch, v):
    maps = patch[..., np.newaxis].astype(np.float64)
    yield maps
    maps = normalized(maps, v, 0)
    pools = [((4, 1), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (2, 2))]
    pools += [((4, 4), (4, 4))]
    for n, (size, stride) in enumerate(pools, start=1):
        maps = convolved(maps, v[f"{n}CNN/kernel"], v[f"{n}CNN/bias"], ((1, 1), (1, 1)))
        maps = normalized(np.maximum(maps, 0), v, n)
        yield maps
        maps = pooled(maps, size, stride)
        yield maps if n < 5 else maps.ravel()
    yield maps.ravel() @ v["dense/kernel"] + v["dense/bias"]


def musicnn_layers(patch, v):
    maps = patch[..., np.newaxis].astype(np.float64)
    yield maps
    maps = normalized(maps, v, 0)
    front = []
    pads = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
    for k, pad in enumerate(pads):
        scope = f"conv2d_{k}" if k else "conv2d"
        heard = convolved(maps, v[f"{scope}/kernel"], v[f"{scope}/bias"], (pad, (0, 0)))
        front.append(normalized(np.maximum(heard, 0), v, k + 1).max(axis=1))
    yield np.concatenate(front[:2], axis=1)
    yield np.concatenate(front[2:], axis=1)
    front = np.concatenate(front, axis=1)
    features, last = [front], front
    for k in range(3):
        scope = f"conv2d_{5 + k}"
        heard = convolved(
            last[..., np.newaxis], v[f"{scope}/kernel"], v[f"{scope}/bias"], ((3, 3), (0, 0))
        )
        heard = normalized(np.maximum(heard, 0), v, 6 + k)[:, 0]
        last = heard if k == 0 else heard + last
        features.append(last)
        yield last
    features = np.concatenate(features, axis=1)
    yield features.max(axis=0)
    yield features.mean(axis=0)
    both = np.stack([features.max(axis=0), features.mean(axis=0)], axis=1).ravel()
    dense = np.maximum(normalized(both, v, 9) @ v["dense/kernel"] + v["dense/bias"], 0)
    dense = normalized(dense, v, 10)
    yield dense
    yield dense @ v["dense_1/kernel"] + v["dense_1/bias"]


REFERENCES = {"vgg": vgg_layers, "musicnn": musicnn_layers}


def made_up(tagger, rng):
    """Variables of any sign, of sizes that keep the layers within reach of float32."""
    found = {}
    for name, array in variables_of(tagger).items():
        values = rng.normal(size=array.shape)
        if name.endswith("kernel"):
            values /= np.sqrt(np.prod(array.shape[:-1]))
        elif name.endswith("variance"):
            values = np.exp(values)
        found[name] = values.astype(np.float32)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_what_its_definition_says(kind, rng):
    tagger = KINDS[kind]()
    variables = made_up(tagger, rng)
    fill(tagger, variables, "made up")
    patch = rng.normal(1.5, 1.0, (PATCH_FRAMES, 96)).astype(np.float32)
    found = list(tagger.layers(torch.from_numpy(patch)[None]))
    assert tuple(name for name, _, _ in found) == tagger.layer_names
    for (name, values, centers), expected in zip(
        found, REFERENCES[kind](patch, variables), strict=True
    ):
        ours = values[0].numpy()
        if centers is not None:
            assert len(centers) == ours.shape[1]
            ours = ours.transpose(1, 2, 0)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            ours, expected.reshape(ours.shape), atol=2e-5 * scale, rtol=0, err_msg=name
        )


def test_a_block_is_convolution_then_relu_then_normalization():
    """By hand: a kernel of even length, negative gamma, so that no other order gives this."""
    block = Block(1, 1, (2, 1))
    block.conv.weight.data = torch.tensor([1.0, 10.0]).reshape(1, 1, 2, 1)
    block.conv.bias.data = torch.tensor([-25.0])
    block.norm.weight.data, block.norm.bias.data = torch.tensor([-2.0]), torch.tensor([0.5])
    block.norm.running_mean, block.norm.running_var = torch.tensor([4.0]), torch.tensor([0.999])
    block.eval()
    maps = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    # 1 + 20 - 25, 2 + 30 - 25, 3 + 0 - 25: the zero is at the end.
    expected = [-2 * (max(x, 0) - 4) + 0.5 for x in (-4, 7, -22)]
    np.testing.assert_allclose(block(maps).detach().ravel(), expected, rtol=1e-6)


def test_times_of_the_maps_of_vgg_are_the_middle_of_what_they_pool():
    """A click is carried to the instants whose pooled frames hold it."""
    tagger = KINDS["vgg"]()
    fill_randomly(tagger, 1)
    centers = {
        name: times for name, _, times in tagger.layers(torch.zeros(1, PATCH_FRAMES, 96)) if times
    }
    assert centers["pool1"][:3] == [1.5, 3.5, 5.5]  # frames 0 to 3, 2 to 5, ...
    assert centers["pool2"][:2] == [2.5, 6.5]
    assert centers["pool4"][0] == 8.5
    assert centers["pool4"][1] - centers["pool4"][0] == 16
    assert len(centers["conv5"]) == 11


@pytest.mark.parametrize("kind", KINDS)
def test_variables_make_the_way_there_and_back(kind, rng):
    tagger, other = KINDS[kind](), KINDS[kind]()
    variables = made_up(tagger, rng)
    fill(other, variables, "made up")
    again = variables_of(other)
    assert set(again) == set(variables)
    for name, array in variables.items():
        np.testing.assert_array_equal(again[name], array)


def test_variables_that_do_not_fit_are_all_named(rng):
    tagger = KINDS["vgg"]()
    variables = made_up(tagger, rng)
    del variables["3CNN/bias"]
    variables["dense/kernel"] = variables["dense/kernel"].T.copy()
    variables["2CNN/bias"][5] = np.nan
    variables["extra"] = np.zeros(1, np.float32)
    with pytest.raises(BadDataError) as caught:
        fill(tagger, variables, "here.npz")
    for words in (
        "missing: 3CNN/bias (128,)",
        "misshapen: dense/kernel is (50, 256), wanted (256, 50)",
        "not finite float32 numbers: 2CNN/bias",
        "unexpected: extra",
        "here.npz",
    ):
        assert words in str(caught.value)


# Input and clock


def test_the_spectrogram_is_librosas_whatever_the_blocks(audio, monkeypatch):
    audio = np.tile(audio, 2)[: 16000 * 4 + 77].astype(np.float32)
    expected = librosa.feature.melspectrogram(
        y=audio, sr=16000, hop_length=256, n_fft=512, n_mels=96
    )
    expected = np.log10(10000 * expected.astype(np.float64) + 1).T
    np.testing.assert_allclose(log_mel(audio), expected, atol=2e-4)
    monkeypatch.setattr("bids_app.features.networks.musicnn._FRAMES_PER_BLOCK", 7)
    np.testing.assert_allclose(log_mel(audio), expected, atol=2e-4)


def test_loud_music_stays_finite():
    """In float16 it would not: 10000 times its power is beyond 65,504."""
    loud = np.sign(np.sin(np.arange(64000) * 0.3)).astype(np.float32)
    spectrogram = log_mel(loud)
    assert 10 ** spectrogram.max() > 65504
    assert spectrogram.dtype == np.float32
    assert np.isfinite(spectrogram).all()
    (_, layers), *_ = load_musicnn("MTT_vgg@random:0", hop=2.992)(loud)
    assert all(np.isfinite(values).all() for values in layers.values())


@pytest.mark.parametrize(
    ("centers", "start", "stop"),
    [
        (np.arange(187.0), 78, 108),
        (1.5 + 2 * np.arange(92), 78, 108),
        (8.5 + 16 * np.arange(11), 78, 108),
        (8.5 + 16 * np.arange(11), 90, 96),  # between two samples
        (np.array([32.5, 96.5]), -10, 200),  # past both ends
        (np.array([4.0]), 0, 10),
    ],
)
def test_the_mean_of_the_joining_line(centers, start, stop, rng):
    values = rng.normal(size=len(centers))
    fine = np.linspace(start, stop, 200_001)
    line = np.interp(fine, centers, values)
    weights = mean_weights(centers, start, stop)
    assert weights.sum() == pytest.approx(1)
    assert weights @ values == pytest.approx(np.trapezoid(line, fine) / (stop - start), abs=1e-5)


@pytest.mark.parametrize(("kind", "hop"), [("vgg", 0.48), ("musicnn", 0.96)])
def test_patches_are_heard_in_order_and_the_middle_of_maps_counts(kind, hop, audio):
    audio = np.tile(audio, 3)[: 16000 * 7].astype(np.float32)
    network = load_musicnn(f"MTT_{kind}@random:5", hop=hop)
    times, layers = zip(*network(audio), strict=True)
    # The middle of 187 frames, the first of which is centered at 0.
    expected = 93 * 0.016 + hop * np.arange(len(times))
    np.testing.assert_allclose(times, expected, atol=1e-9)
    assert times[-1] + 93 * 0.016 <= 7.0 < times[-1] + hop + 93 * 0.016
    for found in layers:
        assert tuple(found) == network.layers
        assert {name: values.shape for name, values in found.items()} == {
            name: values.shape for name, values in layers[0].items()
        }
    spectrogram = log_mel(audio)
    for time, found in zip(times, layers, strict=True):
        fine = np.linspace(time - hop / 2, time + hop / 2, 2001)
        frames = np.arange(len(spectrogram)) * FRAME_SECONDS
        line = [np.interp(fine, frames, band) for band in spectrogram.T]
        line = np.trapezoid(line, fine, axis=1) / hop
        np.testing.assert_allclose(found["input"][:, 0], line, atol=1e-3)


def test_patches_do_not_depend_on_their_batch(audio, monkeypatch):
    audio = np.tile(audio, 2).astype(np.float32)
    network = load_musicnn("MTT_vgg@random:5")
    together = list(network(audio))
    monkeypatch.setattr("bids_app.features.networks.musicnn._PATCHES_PER_BATCH", 1)
    for (time, layers), (other, alone) in zip(together, network(audio), strict=True):
        assert time == other
        for name, values in layers.items():
            np.testing.assert_allclose(values, alone[name], atol=1e-4 * np.abs(values).max())


def test_what_is_too_short_says_so():
    network = load_musicnn("MTT_vgg@random:0")
    with pytest.raises(BadDataError, match=r"(?s)shorter than what the network.*2\.97 s.*2\.98 s"):
        list(network(np.ones(186 * 256 - 100, np.float32)))
    assert len(list(network(np.ones(186 * 256, np.float32)))) == 1


# Names, seeds, identity


def test_untrained_networks_are_known_by_their_seed():
    first, again, other = (load_musicnn(f"MSD_musicnn@random:{n}") for n in (3, 3, 4))
    assert first.identity == again.identity != other.identity
    assert (first.untrained, first.weights_label) == (True, "random:3")
    assert load_musicnn("MSD_musicnn@random:3", hop=0.96).identity != first.identity


def test_random_weights_are_he_normal():
    tagger = KINDS["vgg"]()
    fill_randomly(tagger, 11)
    variables = variables_of(tagger)
    kernel = variables["4CNN/kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.01)
    assert not any(array.any() for name, array in variables.items() if name.endswith("bias"))
    assert (variables["batch_normalization_3/gamma"] == 1).all()
    assert not (variables["2CNN/kernel"] == variables["3CNN/kernel"]).any()


@pytest.mark.parametrize(
    "argument",
    ["", "vgg", "MTT_vgg@", "MTT_vgg@trained", "MSD_musicnn_big", "MTT_vgg@random:1@random:2"],
)
def test_other_names_are_refused(argument):
    with pytest.raises(UsageError, match=r"(?s)no such network.*MTT_vgg"):
        load_musicnn(argument)


def test_a_seed_is_a_whole_number():
    with pytest.raises(UsageError, match="whole number"):
        load_musicnn("MTT_vgg@random:x")


@pytest.mark.parametrize("hop", ["0", "-0.48", "0.47", "3.2", "nan", "inf", "long"])
def test_hops_are_whole_frames(hop):
    with pytest.raises(UsageError, match=r"multiple of 0\.016"):
        load_musicnn(f"MTT_vgg@random:0@hop:{hop}")


def test_the_hop_may_be_spelled_before_or_after_the_seed():
    first, other = (
        load_musicnn(f"MTT_vgg@{o}") for o in ("hop:0.96@random:1", "random:1@hop:0.96")
    )
    assert first.identity == other.identity
    assert (first.hop, first.weights_label) == (0.96, "random:1")
    assert load_musicnn("MTT_vgg@random:1").hop == 0.48


def test_without_the_weights_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    with pytest.raises(MissingInputError, match="musenc prefetch musicnn"):
        load_musicnn("MTT_vgg")
    musicnn_file("MTT_vgg").parent.mkdir()
    musicnn_file("MTT_vgg").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(BadDataError, match=r"(?s)cannot be read.*musicnn-MTT_vgg\.npz"):
        load_musicnn("MTT_vgg")


# The published weights


@pytest.mark.trained
@pytest.mark.parametrize("name", MUSICNN_NAMES)
def test_what_is_kept_of_the_published_checkpoints(musicnn, name):
    with np.load(musicnn_file(name)) as archive:
        arrays = {key: archive[key] for key in archive.files}
    assert not [key for key in arrays if "Adam" in key or "power" in key]
    assert min(array.min() for key, array in arrays.items() if "variance" in key) > 0
    n_numbers = sum(array.size for array in arrays.values())
    assert n_numbers == (607_030 if name.endswith("vgg") else 792_079)
    tags = musicnn_tags_file(name).read_text().splitlines()
    assert len(tags) == len(set(tags)) == 50


def tags_of(name, start):
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}")
    (path,) = (DATA / "audio").glob(f"{start}*.ogg")
    network = load_musicnn(name, hop=2.992)
    assert isinstance(network, Musicnn)
    assert not network.untrained
    return network.tags(load_audio(path, network.sample_rate))


@pytest.mark.trained
@pytest.mark.parametrize("name", ["MTT_vgg", "MTT_musicnn"])
def test_strings_are_heard_as_strings(musicnn, name):
    assert list(tags_of(name, "Hungarian_Dance"))[:3] == ["classical", "violin", "strings"]


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "piece", "first"),
    [
        ("MTT_musicnn", "Karissa_Hobbs", {"guitar", "female", "vocal"}),
        ("MTT_vgg", "Kevin_MacLeod_-_P_I", {"classical", "strings"}),
        ("MSD_vgg", "sorohanro", {"jazz"}),
    ],
)
def test_other_music_is_heard_as_what_it_is(musicnn, name, piece, first):
    assert set(list(tags_of(name, piece))[: len(first)]) == first


@pytest.mark.trained
def test_a_trumpet_is_jazz_with_the_published_probability(musicnn):
    tags = tags_of("MSD_musicnn", "sorohanro")
    assert next(iter(tags)) == "jazz"
    assert tags["jazz"] == pytest.approx(0.88, abs=0.01)


@pytest.mark.trained
@pytest.mark.parametrize("name", ["MTT_vgg", "MSD_musicnn"])
def test_the_untrained_twin_has_the_same_shape(musicnn, audio, name):
    audio = np.tile(audio, 2).astype(np.float32)
    trained, twin = load_musicnn(name), load_musicnn(f"{name}@random:0")
    assert trained.layers == twin.layers
    assert trained.identity != twin.identity
    assert [trained.untrained, twin.untrained] == [False, True]
    (time, ours), (other, theirs) = next(iter(trained(audio))), next(iter(twin(audio)))
    assert time == other
    for layer in trained.layers:
        assert ours[layer].shape == theirs[layer].shape
        assert np.allclose(ours[layer], theirs[layer]) == (layer == "input")
