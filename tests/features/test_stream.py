"""Streamed Gram matrices against explicit z-scored activations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from feature_sounds import melody

from bids_app.errors import BadDataError
from bids_app.features import gram as sums
from bids_app.features import stream
from bids_app.features.gram import values_gram
from bids_app.features.logmel import log_mel_patches
from bids_app.features.network import layer_shapes
from bids_app.features.stream import layer_grams
from bids_app.features.vggish import LAYER_NAMES, layer_activations


def zscored(blocks):
    """Each unit minus its mean over its standard deviation in its stimulus; 0 if constant."""
    scaled = []
    for block in blocks:
        block = block.astype(np.float64)
        deviation = block - block.mean(axis=0)
        spread = np.sqrt((deviation**2).mean(axis=0))
        # Float32 rounding, not sound, separates values this close.
        constant = spread <= 1e-6 * np.abs(block.mean(axis=0))
        scaled.append(np.where(constant, 0, deviation / np.where(constant, 1, spread)))
    return np.concatenate(scaled)


@pytest.fixture(scope="module")
def patches():
    rng = np.random.default_rng(5)
    return [log_mel_patches(melody(rng, seconds))[0] for seconds in (2.6, 4.1)]


@pytest.fixture(scope="module")
def streamed(vggish, patches):
    return list(layer_grams(vggish, patches))


def test_every_gram_equals_explicit_activations(vggish, patches, streamed):
    assert [g.layer for g in streamed] == list(range(1, 24))
    assert [g.name for g in streamed] == list(LAYER_NAMES)
    per_stimulus = [layer_activations(vggish, array) for array in patches]
    for gram, shape, *layers in zip(streamed, layer_shapes(), *per_stimulus, strict=True):
        features = zscored([values for _, values in layers])
        assert gram.n_units == np.prod(shape) == features.shape[1]
        assert gram.n_constant == pytest.approx(
            np.count_nonzero(~features.any(axis=0)), abs=1 + 1e-4 * gram.n_units
        )
        assert gram.gram.dtype == np.float64
        np.testing.assert_array_equal(gram.gram, gram.gram.T)
        # A ReLU that opens by a rounding error is a whole unit or none: hence 1e-3.
        scale = gram.n_units
        np.testing.assert_allclose(gram.gram / scale, features @ features.T / scale, atol=1e-3)


def test_trace_counts_the_units_that_vary(patches, streamed):
    borders = np.cumsum([0, *map(len, patches)])
    for gram in streamed[:2]:
        for start, stop in pairwise(borders):
            trace = np.trace(gram.gram[start:stop, start:stop])
            assert trace == pytest.approx((stop - start) * gram.n_units, rel=1e-5)


@pytest.mark.parametrize("chunk_rows", [4, 10, 96])
def test_chunk_size_does_not_matter(vggish, patches, streamed, chunk_rows, monkeypatch):
    monkeypatch.setattr(stream, "_CHUNK_ROWS", chunk_rows)
    layers = [1, 3, 7, 8, 12, 15, 17]
    for gram in layer_grams(vggish, patches, layers=layers):
        other = streamed[gram.layer - 1]
        assert (gram.n_units, gram.n_constant) == (other.n_units, other.n_constant)
        np.testing.assert_allclose(gram.gram, other.gram, atol=1e-5 * gram.n_units)


@pytest.mark.parametrize("layers", [[1], [2], [4, 6], ["conv3_1"], ["fc1_1", 22], [11, 23]])
def test_only_the_wanted_layers_come(vggish, patches, streamed, layers):
    found = list(layer_grams(vggish, patches, layers=layers))
    names = [LAYER_NAMES[x - 1] if isinstance(x, int) else x for x in layers]
    assert [gram.name for gram in found] == names
    for gram in found:
        np.testing.assert_array_equal(gram.gram, streamed[gram.layer - 1].gram)


def test_what_is_too_much_for_memory_waits_in_a_file(
    vggish, patches, streamed, monkeypatch, tmp_path
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(stream, "_HELD_BYTES", 0)
    grams = layer_grams(vggish, patches, layers=[7, 8, 12, 17, 18])
    next(grams)
    assert [path.stat().st_size for path in tmp_path.glob("*/rows.f32")] == [
        4 * sum(map(len, patches)) * 24 * 16 * 128
    ]
    for gram in grams:
        np.testing.assert_array_equal(gram.gram, streamed[gram.layer - 1].gram)
    assert not list(tmp_path.iterdir())
    left = layer_grams(vggish, patches, layers=[7, 8])
    next(left)
    left.close()
    assert not list(tmp_path.iterdir())


def test_stimuli_do_not_influence_each_other_within_their_blocks(vggish, patches, streamed):
    n = len(patches[0])
    for gram in layer_grams(vggish, patches[:1], layers=[2, 12, 22]):
        expected = streamed[gram.layer - 1].gram[:n, :n]
        np.testing.assert_allclose(gram.gram, expected, atol=1e-5 * gram.n_units)


def test_loudness_offset_of_the_input_layer_is_scaled_away(vggish, patches):
    louder = [patches[0] + 3, patches[1] * 2]
    pairs = zip(
        layer_grams(vggish, patches, layers=[1]),
        layer_grams(vggish, louder, layers=[1]),
        strict=True,
    )
    for plain, scaled in pairs:
        np.testing.assert_allclose(scaled.gram, plain.gram, atol=1e-4 * plain.n_units)


def test_a_stimulus_that_never_changes_contributes_nothing(vggish, patches):
    frozen = np.repeat(patches[0][:1], 5, axis=0)
    gram = next(layer_grams(vggish, [frozen, patches[1]], layers=[1]))
    assert not gram.gram[:5].any()
    assert gram.n_constant == 0
    assert next(layer_grams(vggish, [frozen], layers=[2])).n_constant == 393216


def test_progress_is_told(vggish, patches):
    messages = []
    list(layer_grams(vggish, patches[:1], layers=[7], progress=messages.append))
    assert len(messages) == 10
    assert messages[-1] == "conv2, 100 %"


def test_bad_arguments(vggish, patches):
    with pytest.raises(BadDataError, match="no stimulus"):
        list(layer_grams(vggish, []))
    with pytest.raises(BadDataError, match="not finite"):
        list(layer_grams(vggish, [np.full((2, 96, 64), np.nan)]))
    with pytest.raises(BadDataError, match="patches"):
        list(layer_grams(vggish, [np.zeros((2, 96))]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_cuda_equals_cpu(vggish, patches, streamed):
    for gram in layer_grams(vggish, patches, device="cuda"):
        expected = streamed[gram.layer - 1].gram
        np.testing.assert_allclose(gram.gram, expected, atol=1e-4 * np.abs(expected).max())


def test_values_gram_equals_explicit_zscores(rng):
    values = [rng.normal(3, 2, (12, 5)), rng.normal(-1, 1, (9, 5))]
    values[0][:, 2] = 4.0
    for block in values:
        block[:, 4] = 0.1
    gram, n_constant = values_gram(values)
    features = zscored(values)
    np.testing.assert_allclose(gram, features @ features.T, atol=1e-12)
    assert n_constant == 1


def test_values_gram_refuses_what_does_not_fit(rng):
    with pytest.raises(BadDataError, match="differ in their number"):
        values_gram([np.ones((3, 2)), np.ones((3, 4))])
    with pytest.raises(BadDataError, match="shape"):
        values_gram([np.ones(3)])
    with pytest.raises(BadDataError, match=r"values\[1\]"):
        values_gram([np.ones((3, 2)), np.full((3, 2), np.inf)])


@pytest.mark.parametrize("rows", [1, 7, 31, 32, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matrices_are_summed_in_blocks_of_rows(rng, monkeypatch, rows, dtype):
    monkeypatch.setattr(sums, "_ROWS", rows)
    values = torch.from_numpy(rng.normal(size=(32, 50))).to(dtype)

    def twice(units, out):
        out.copy_(2 * units)
        return 1

    total = sums.GramSum(32, twice, "cpu", dtype)
    for part in values.split(20, dim=1):
        total.add(part, torch.empty(0, dtype=dtype))
    assert (total.n_units, total.n_constant) == (50, 3)
    found, whole = total.result(), 2 * values.numpy().astype(float)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, found.T)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-11
    np.testing.assert_allclose(found, whole @ whole.T, atol=tolerance)


def test_explicit_features_come_in_chunks_of_units(rng, monkeypatch):
    values = [rng.normal(size=(20, 30)), rng.normal(size=(12, 30))]
    values[0][:, 3] = values[1][:, 3] = 1.0
    whole, constant = sums.values_gram(values)
    monkeypatch.setattr(sums, "_UNITS", 7)
    parts, again = sums.values_gram(values)
    assert constant == again == 1
    np.testing.assert_allclose(parts, whole, atol=1e-10)
