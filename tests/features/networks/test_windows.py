"""Overlapping windows, and the examples of docs/networks.md."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from real_data import ROOT

from bids_app.errors import MissingInputError
from bids_app.features.networks.check import check_network
from bids_app.features.networks.own import CheckedNetwork
from bids_app.features.networks.windows import folder_identity, windows


@pytest.mark.parametrize("n_samples", [40, 100, 101, 149, 150, 777])
@pytest.mark.parametrize("hop", [None, 0.3])
def test_every_instant_is_kept_once_by_the_window_that_hears_most_around_it(n_samples, hop):
    rate, seconds = 100, 1.0
    audio = np.arange(n_samples, dtype=np.float32)
    parts = list(windows(audio, rate, seconds, hop))
    assert {len(part.audio) for part in parts} == {100}
    times = []
    for n, part in enumerate(parts):
        start = round(part.start * rate)
        heard = audio[start : start + 100]
        np.testing.assert_array_equal(part.audio[: len(heard)], heard)
        assert not part.audio[len(heard) :].any()
        for k, time in part.kept(100):
            assert part.audio[k] == pytest.approx(time * rate - 0.5)
            around = [
                min(time - other.start, other.start + other.seconds - time) for other in parts
            ]
            assert around[n] >= max(around) - 0.0101
            times.append(time)
    np.testing.assert_allclose(np.array(times) * rate, np.arange(n_samples) + 0.5, atol=1e-6)


def test_centers_are_in_the_middle():
    parts = list(windows(np.zeros(500), 100, 2.0, 1.0))
    assert [part.center for part in parts] == [1.0, 2.0, 3.0, 4.0]


def test_the_identity_of_a_folder_is_its_content(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"1")
    first = folder_identity(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "weights").write_bytes(b"1")
    assert folder_identity(tmp_path / "b") == first
    (tmp_path / "b" / "weights").write_bytes(b"2")
    assert folder_identity(tmp_path / "b") != first
    with pytest.raises(MissingInputError):
        folder_identity(tmp_path / "c")


# The examples


def example(title, folder="/models/none", replaced=("", "")):
    """The network that the example under a heading makes; its model lies in this folder."""
    text = (ROOT / "docs" / "networks.md").read_text()
    source = text.partition(f"\n### {title}")[2].partition("```python\n")[2].partition("```")[0]
    assert 15 <= len([line for line in source.splitlines() if line.strip()]) <= 25
    namespace = {}
    source = source.replace(*replaced) if replaced[0] else source
    exec(re.sub(r'"/models/[^"]*"', repr(str(folder)), source), namespace)
    name = re.search(r"^class (\w+):", source, re.MULTILINE).group(1)
    return CheckedNetwork(namespace[name](), title)


def noise(network, seconds):
    rng = np.random.default_rng(4)
    return (0.1 * rng.normal(size=round(seconds * network.sample_rate))).astype(np.float32)


def test_the_torch_module_of_the_docs():
    network = example("A torch module")
    report = check_network(network, noise(network, 7.3))
    assert [(layer.name, layer.shape) for layer in report.layers] == [("1", (8,)), ("3", (16,))]
    assert report.rate == pytest.approx(2, rel=0.05)
    assert network.untrained


def transformers():
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed; it is no dependency")
    import transformers as package

    return package


SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert"])
def test_the_transformer_of_the_docs(tmp_path, kind):
    hf = transformers()
    config = getattr(hf, f"{kind}Config")(
        num_hidden_layers=3, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, **SMALL
    )
    getattr(hf, f"{kind}Model")(config).save_pretrained(tmp_path)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    network = example("wav2vec 2.0", tmp_path)
    report = check_network(network, noise(network, 13.0))
    assert [layer.shape for layer in report.layers] == [(16,)] * 4
    assert report.rate == pytest.approx(50, rel=0.01)
    assert report.first < 0.02
    assert report.last > 12.95


OWN_CODE = """
from transformers import HubertConfig, HubertModel

class OwnConfig(HubertConfig):
    model_type = "own"

class OwnModel(HubertModel):
    config_class = OwnConfig
"""


def test_a_transformer_with_code_of_its_own_as_mert_has(tmp_path, monkeypatch):
    hf = transformers()
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "c"))
    folder = tmp_path / "model"
    config = hf.HubertConfig(
        num_hidden_layers=2, conv_dim=(8,) * 7, num_conv_pos_embeddings=16, **SMALL
    )
    hf.HubertModel(config).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor(sampling_rate=24000).save_pretrained(folder)
    (folder / "modeling_own.py").write_text(OWN_CODE)
    told = json.loads((folder / "config.json").read_text()) | {
        "model_type": "own",
        "auto_map": {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(told))
    own = (
        "AutoModel.from_pretrained(FOLDER,",
        "AutoModel.from_pretrained(FOLDER, trust_remote_code=True,",
    )
    network = example("wav2vec 2.0", folder, own)
    report = check_network(network, noise(network, 8.0))
    assert type(network._network.model).__name__ == "OwnModel"
    assert [layer.shape for layer in report.layers] == [(16,)] * 3
    assert report.rate == pytest.approx(75, rel=0.02)


def test_whisper_of_the_docs(tmp_path):
    hf = transformers()
    config = hf.WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    )  # fmt: skip
    hf.WhisperModel(config).save_pretrained(tmp_path)
    hf.WhisperFeatureExtractor().save_pretrained(tmp_path)
    network = example("Whisper", tmp_path)
    report = check_network(network, noise(network, 47.0))
    assert [layer.shape for layer in report.layers] == [(16,)] * 3
    assert report.n_frames == 47 * 50


def test_ast_of_the_docs(tmp_path):
    hf = transformers()
    config = hf.ASTConfig(num_hidden_layers=2, **SMALL)
    hf.ASTModel(config).save_pretrained(tmp_path)
    hf.ASTFeatureExtractor().save_pretrained(tmp_path)
    network = example("AST", tmp_path)
    report = check_network(network, noise(network, 16.0))
    assert [layer.shape for layer in report.layers] == [(12, 16)] * 3
    assert report.rate == pytest.approx(10, rel=0.03)


def test_clap_of_the_docs(tmp_path):
    hf = transformers()
    config = hf.ClapAudioConfig(
        patch_embeds_hidden_size=16, depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 2],
        hidden_size=128, enable_fusion=False,
    )  # fmt: skip
    hf.ClapAudioModel(config).save_pretrained(tmp_path)
    hf.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(tmp_path)
    network = example("CLAP", tmp_path)
    report = check_network(network, noise(network, 14.0))
    assert len({layer.shape for layer in report.layers}) >= 3
    assert (report.first, report.rate) == (5.0, pytest.approx(1))


def test_openl3_of_the_docs(tmp_path):
    if find_spec("torchopenl3") is None:
        pytest.skip("torchopenl3 is not installed; it is no dependency")
    import torch
    from torchopenl3.models import PytorchOpenl3

    weights = PytorchOpenl3("music", "mel256", 512).state_dict()
    torch.save(weights, tmp_path / "torchopenl3_mel256_music_512.pth.tar")
    network = example("OpenL3", tmp_path)
    report = check_network(network, noise(network, 3.0))
    shapes = {layer.name: layer.shape for layer in report.layers}
    assert (shapes["conv2d_1"], shapes["embedding"]) == ((64, 256), (512,))
    assert (report.first, report.rate) == (0.5, pytest.approx(2))
