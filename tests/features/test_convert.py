from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from bids_app.errors import BadDataError, CannotWriteError, MissingInputError
from bids_app.features.convert import (
    TENSORFLOW_NAMES,
    conversion_error,
    convert_variables,
    convert_weights,
)
from bids_app.features.network import random_state
from bids_app.features.tf_checkpoint import is_checkpoint, read_checkpoint
from bids_app.features.vggish import load_vggish

# Written by TensorFlow 2.21 with tf.compat.v1.train.Saver(write_version=V1) from seed 11.
SMALL = Path(__file__).with_name("tf1_small.ckpt")


@pytest.fixture(scope="module")
def variables():
    """TensorFlow's names and layouts for known torch weights, written out index by index."""
    state = random_state(4)
    arrays = {}
    for scope, module in TENSORFLOW_NAMES.items():
        weight = state[f"{module}.weight"].numpy()
        axes = "oitm->tmio" if weight.ndim == 4 else "oi->io"
        arrays[f"{scope}/weights"] = np.einsum(axes, weight)
        arrays[f"{scope}/biases"] = np.linspace(-0.1, 0.1, len(weight), dtype=np.float32)
    return arrays


def test_a_checkpoint_written_by_tensorflow_is_read():
    rng = np.random.default_rng(11)
    variables = read_checkpoint(SMALL)
    assert set(variables) == {
        "vggish/conv1/weights",
        "vggish/conv1/biases",
        "vggish/fc1/fc1_1/weights",
        "scale",
    }
    kernel = rng.normal(size=(3, 3, 1, 2)).astype(np.float32)
    np.testing.assert_array_equal(variables["vggish/conv1/weights"], kernel)
    np.testing.assert_array_equal(variables["vggish/conv1/biases"], [0.5, -0.25])
    np.testing.assert_array_equal(
        variables["vggish/fc1/fc1_1/weights"], np.arange(12).reshape(4, 3)
    )
    assert variables["scale"].shape == ()
    assert variables["scale"] == 1.5


@pytest.mark.slow
def test_conversion_gives_the_torch_layout_and_loads(variables, tmp_path):
    source, target = tmp_path / "tf.npz", tmp_path / "torch.pth"
    np.savez(source, **{f"{name}:0": array for name, array in variables.items()})
    convert_weights(source, target)
    converted, known = load_vggish(target).state_dict(), random_state(4)
    for key, value in known.items():
        if key.endswith("weight"):
            assert torch.equal(converted[key], value)
        else:
            assert converted[key][-1] == pytest.approx(0.1)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".pth"] == ["torch.pth"]


@pytest.mark.slow
def test_the_numerical_check_notices_swapped_kernel_axes(variables):
    state = convert_variables(variables)
    assert conversion_error(variables, state) < 1e-5
    state["features.0.weight"] = state["features.0.weight"].transpose(2, 3).contiguous()
    assert conversion_error(variables, state) > 1e-2


def test_what_is_missing_or_misshapen_is_named(variables, tmp_path):
    lacking = {k: v for k, v in variables.items() if k != "vggish/conv4/conv4_2/biases"}
    with pytest.raises(BadDataError, match="missing: vggish/conv4/conv4_2/biases"):
        convert_variables(lacking)
    wrong = {**variables, "vggish/fc2/weights": np.zeros((128, 4096), np.float32)}
    with pytest.raises(BadDataError, match=r"embeddings\.4\.weight is \(4096, 128\)"):
        convert_variables(wrong)
    with pytest.raises(BadDataError, match="missing: vggish/conv1/weights"):
        np.savez(tmp_path / "empty.npz", a=np.zeros(2))
        convert_weights(tmp_path / "empty.npz", tmp_path / "out.pth")


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("nothing " * 20)
    assert not is_checkpoint(text)
    with pytest.raises(BadDataError, match=r"(?s)holds no TensorFlow variables.*notes\.txt"):
        convert_weights(text, tmp_path / "out.pth")
    with pytest.raises(BadDataError, match="not a TensorFlow checkpoint"):
        read_checkpoint(text)
    with pytest.raises(MissingInputError):
        convert_weights(tmp_path / "absent.ckpt", tmp_path / "out.pth")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(BadDataError, match="holds no TensorFlow variables"):
        convert_weights(tmp_path / "one.npy", tmp_path / "out.pth")


@pytest.mark.parametrize("start", range(0, 580, 29))
def test_damage_is_reported_for_the_file_or_is_in_the_numbers(tmp_path, start):
    content = bytearray(SMALL.read_bytes())
    content[start : start + 30] = b"\xff" * 30
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(content)
    found = "nothing"
    with contextlib.suppress(BadDataError):
        found = {name: array.dtype for name, array in read_checkpoint(damaged).items()}
    assert found == "nothing" or set(found.values()) <= {np.dtype(np.float32)}


def test_a_cut_off_checkpoint_is_refused(tmp_path):
    content = SMALL.read_bytes()
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes(content[:100] + content[-48:])
    with pytest.raises(BadDataError, match=r"(?s)cannot be read.*damaged\.ckpt"):
        read_checkpoint(damaged)


def test_a_target_that_cannot_be_written(tmp_path):
    source = tmp_path / "tf.npz"
    np.savez(source, a=np.zeros(1))
    with pytest.raises(CannotWriteError, match="no such folder"):
        convert_weights(source, tmp_path / "absent" / "out.pth")
