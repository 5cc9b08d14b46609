"""Every layer against a forward pass in NumPy and SciPy, and the state dict's checks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.logmel import log_mel_patches
from bids_app.features.network import layer_shapes, parameter_shapes, random_state
from bids_app.features.vggish import (
    LAYER_NAMES,
    layer_activations,
    load_vggish,
)


def reference_layers(state, patches):
    """Float64 forward pass on maps (patch, time, mel, channel)."""

    def convolve(x, name):
        kernel = state[f"{name}.weight"].double().numpy()  # (out, in, time, mel)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = np.zeros((*x.shape[:3], len(kernel))) + state[f"{name}.bias"].double().numpy()
        for t in range(3):
            for m in range(3):
                shifted = padded[:, t : t + x.shape[1], m : m + x.shape[2]]
                out += shifted @ kernel[:, :, t, m].T
        return out

    def pool(x):
        n, t, m, c = x.shape
        return x.reshape(n, t // 2, 2, m // 2, 2, c).max(axis=(2, 4))

    x = patches.astype(np.float64)[..., None]
    yield x
    for number in (0, 3, 6, 8, 11, 13):
        x = convolve(x, f"features.{number}")
        yield x
        x = np.maximum(x, 0)
        yield x
        if number not in (6, 11):
            x = pool(x)
            yield x
    x = x.reshape(len(x), -1)
    for number in (0, 2, 4):
        weight = state[f"embeddings.{number}.weight"].double().numpy()
        x = x @ weight.T + state[f"embeddings.{number}.bias"].double().numpy()
        yield x
        x = np.maximum(x, 0)
        yield x


@pytest.fixture
def state(rng):
    """Random weights with biases, so that a lost bias shows."""
    state = random_state(3)
    for key, value in state.items():
        if key.endswith("bias"):
            value += torch.from_numpy(rng.normal(0, 0.1, value.shape)).float()
    return state


@pytest.fixture
def weights_file(state, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    return path


def test_every_layer_matches_an_independent_forward_pass(state, weights_file, audio):
    patches, _ = log_mel_patches(audio[: 16000 * 2])
    model = load_vggish(weights_file)
    layers = list(layer_activations(model, patches))
    assert [name for name, _ in layers] == list(LAYER_NAMES)
    expected = reference_layers(state, patches)
    for (name, values), wanted, shape in zip(layers, expected, layer_shapes(), strict=True):
        assert wanted.shape[1:] == shape
        wanted = wanted.reshape(len(patches), -1)
        assert values.shape == wanted.shape
        np.testing.assert_allclose(values, wanted, atol=2e-6 * np.abs(wanted).max(), err_msg=name)


def test_the_network_has_the_published_number_of_parameters(vggish):
    assert sum(p.numel() for p in vggish.parameters()) == 72_141_184
    assert set(vggish.state_dict()) == {
        f"{part}.{number}.{kind}"
        for part, numbers in (("features", (0, 3, 6, 8, 11, 13)), ("embeddings", (0, 2, 4)))
        for number in numbers
        for kind in ("weight", "bias")
    }


def test_untrained_weights_depend_on_the_seed_only(vggish):
    again = load_vggish("random:7")
    other = load_vggish("random:8")
    assert again.weights_sha256 == vggish.weights_sha256 != other.weights_sha256
    assert again.weights_label == "random:7"
    for key, value in vggish.state_dict().items():
        if key.endswith("bias"):
            assert not value.any()
        else:
            fan_in = value[0].numel()
            assert value.std().item() == pytest.approx(np.sqrt(2 / fan_in), rel=0.1)


def test_layer_23_is_the_relu_of_layer_22(vggish, audio):
    patches, _ = log_mel_patches(audio)
    layers = dict(layer_activations(vggish, patches))
    assert (layers["fc2"] < 0).any()
    np.testing.assert_array_equal(layers["EmbeddingBatch"], np.maximum(layers["fc2"], 0))
    np.testing.assert_allclose(
        vggish(torch.from_numpy(patches)).numpy(), layers["EmbeddingBatch"], atol=1e-6
    )


def test_wrong_weights_are_refused_key_by_key(state, tmp_path):
    path = tmp_path / "other.pth"
    del state["features.8.bias"]
    state["features.0.weight"] = torch.zeros(64, 3, 3, 3)
    state["classifier.weight"] = torch.zeros(2)
    state["embeddings.4.bias"][5] = torch.nan
    torch.save(state, path)
    with pytest.raises(BadDataError) as error:
        load_vggish(path)
    text = str(error.value)
    assert "other.pth" in text
    assert "missing: features.8.bias (256,)" in text
    assert "misshapen: features.0.weight is (64, 3, 3, 3), wanted (64, 1, 3, 3)" in text
    assert "unexpected: classifier.weight" in text
    assert "not finite: embeddings.4.bias" in text
    assert "convert-weights" in text


def test_files_that_hold_no_state_dict(tmp_path, state):
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    with pytest.raises(BadDataError, match=r"cannot be read as torch weights(.|\n)*text\.pth"):
        load_vggish(text)
    tensor = tmp_path / "tensor.pth"
    torch.save(torch.zeros(3), tensor)
    with pytest.raises(BadDataError, match="no state dict"):
        load_vggish(tensor)
    with pytest.raises(MissingInputError):
        load_vggish(tmp_path / "absent.pth")
    with pytest.raises(UsageError, match="random:0"):
        load_vggish("random:x")


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    path = tmp_path / "harm.pth"
    torch.save({"features.0.weight": Harm()}, path)
    with pytest.raises(BadDataError, match="cannot be read as torch weights"):
        load_vggish(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.slow
def test_older_files_with_the_optional_pca_load(state, tmp_path, weights_file):
    path = tmp_path / "with_pca.pth"
    state["pproc.pca_means"] = torch.zeros(128, 1)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    model, plain = load_vggish(path), load_vggish(weights_file)
    assert set(model.state_dict()) == set(parameter_shapes())
    for key, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)
    assert model.weights_sha256 != plain.weights_sha256


@pytest.mark.parametrize("shape", [(0, 96, 64), (2, 64, 96), (96, 64)])
def test_misshapen_patches_are_refused(vggish, shape):
    with pytest.raises(BadDataError, match="patches"):
        list(layer_activations(vggish, np.zeros(shape)))
