from __future__ import annotations

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from bids_app.errors import BadDataError, CannotWriteError, UsageError
from bids_app.features.components import components_from_gram, layer_components
from bids_app.features.export import export_features
from bids_app.features.picture import UnitSample
from bids_app.features.precomputed import load_precomputed
from bids_app.features.sources import stimulus_patches
from bids_app.features.vggish import layer_activations


@pytest.fixture
def files(make_wav):
    return [make_wav("happy.wav", 3.0), make_wav("sad.wav", 4.5)]


def same_up_to_sign(ours, theirs, tolerance):
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours * signs, theirs, atol=tolerance * np.abs(theirs).max())


def test_components_equal_scikit_learn(rng):
    values = rng.normal(size=(40, 300)) * np.linspace(5, 0.1, 300) + 3
    pca = PCA().fit(values)
    scores, explained = components_from_gram(values @ values.T, variance=0.9)
    wanted = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), 0.9)) + 1
    assert scores.shape == (40, wanted)
    np.testing.assert_allclose(explained, pca.explained_variance_ratio_[:wanted])
    same_up_to_sign(scores, pca.transform(values)[:, :wanted], 1e-8)
    assert (scores[np.abs(scores).argmax(axis=0), np.arange(wanted)] > 0).all()


def test_components_fitted_on_some_rows_equal_scikit_learn(rng):
    values = rng.normal(size=(40, 60)) * np.linspace(3, 0.1, 60)
    train = np.arange(40) < 25
    pca = PCA(5).fit(values[train])
    scores, _ = components_from_gram(values @ values.T, fit_rows=train, n_components=5)
    same_up_to_sign(scores, pca.transform(values), 1e-8)


def test_components_refuse_what_makes_no_sense():
    with pytest.raises(BadDataError, match="do not vary"):
        components_from_gram(np.ones((5, 5)))
    for wrong in ({"variance": 1.0}, {"variance": 0.0}, {"n_components": 0}):
        with pytest.raises(UsageError):
            components_from_gram(np.eye(4), **wrong)


def test_layers_are_rectified_and_reduced(vggish, files):
    patches = [stimulus_patches(path)[0] for path in files]
    activations = [dict(layer_activations(vggish, array)) for array in patches]
    for layer in layer_components(vggish, patches, layers=[1, 8, 22], n_components=3):
        units = [values[layer.name].astype(float) for values in activations]
        expected = PCA(3).fit_transform(np.maximum(np.concatenate(units), 0))
        assert [len(scores) for scores in layer.scores] == [len(array) for array in patches]
        same_up_to_sign(np.concatenate(layer.scores), expected, 1e-3)


def test_tables_have_a_sidecar_for_every_column(files, tmp_path):
    out = tmp_path / "out"
    written = export_features(files, out, weights="random:7", layers=[1, "fc2"], n_components=2)
    assert sorted(p.name for p in written) == sorted(
        f"{label}_vggish{rest}"
        for label in ("happy", "sad")
        for rest in (
            ".png",
            "_01-InputBatch.tsv",
            "_01-InputBatch.json",
            "_22-fc2.tsv",
            "_22-fc2.json",
        )
    )
    assert sorted(written) == sorted(out.iterdir())
    table = pd.read_csv(out / "happy_vggish_22-fc2.tsv", sep="\t")
    sidecar = json.loads((out / "happy_vggish_22-fc2.json").read_text())
    assert list(table.columns) == sidecar["Columns"] == ["time", "pc001", "pc002"]
    for column in table.columns:
        assert set(sidecar[column]) == {"LongName", "Units"}
    assert sidecar["SamplingFrequency"] == pytest.approx(1 / 0.48)
    assert sidecar["StartTime"] == table["time"][0] == pytest.approx(0.4875)
    assert sidecar["Weights"] == "random:7"
    assert len(sidecar["WeightsSHA256"]) == len(sidecar["StimulusSHA256"]) == 64
    assert sidecar["StimulusDuration"] == pytest.approx(3.0)


def test_hdf5_can_be_read_back_as_precomputed_features(files, tmp_path):
    export_features(files, tmp_path / "out", features="cochleagram", file_format="h5")
    with h5py.File(tmp_path / "out" / "sad_cochleagram.h5") as file:
        times, values = file["time"][:], file["cochleagram"][:]
    (tmp_path / "out" / "sad_cochleagram.h5").rename(tmp_path / "out" / "sad.h5")
    (series,) = load_precomputed(tmp_path / "out", "sad", times, 0.25)
    np.testing.assert_allclose(series.values, values)


@pytest.mark.parametrize("features", ["change:vggish", "change:envelope"])
def test_changes_are_exported(features, files, tmp_path):
    export_features(
        files, tmp_path, features=features, weights="random:7", layers=[4], picture=False
    )
    name = "04-pool1" if "vggish" in features else "01-envelope"
    table = pd.read_csv(tmp_path / f"sad_{features.replace(':', '-')}_{name}.tsv", sep="\t")
    assert list(table.columns) == ["time", "change", "novelty", "boundary"]
    assert table["change"].gt(0).all()


def test_pictured_units_come_from_all_channels():
    import torch

    sample = UnitSample(7)
    values = torch.arange(200.0).reshape(2, 100)
    for chunk in values.split(30, dim=1):
        sample.add(chunk, chunk)
    assert sample.n_units == 100
    np.testing.assert_array_equal(sample.values(), values.numpy()[:, ::7])


def test_bad_options_and_folders(files, tmp_path):
    for wrong in (
        {"features": "mfcc"},
        {"preset": "other"},
        {"file_format": "mat"},
        {"features": "vggish"},
    ):
        with pytest.raises(UsageError):
            export_features(files, tmp_path / "out", **wrong)
    with pytest.raises(UsageError, match="repeated: happy"):
        export_features([files[0], files[0]], tmp_path / "out", features="envelope")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWriteError):
        export_features(files, tmp_path / "file", features="envelope")
