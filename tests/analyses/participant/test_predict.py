"""Saved models predict: the held-out pieces as their folds did, planted vertices, and no misfit."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import soundfile

from bids_app.analyses.folder.read import read_rows
from bids_app.analyses.participant import predict
from bids_app.analyses.participant import predictors as predictors_module
from bids_app.analyses.participant.layers import LayerFits, fit_layers
from bids_app.analyses.participant.new_music import (
    FeatureSource,
    Heard,
    grams_with_new,
    predict_new,
)
from bids_app.analyses.participant.new_tests import DESC, NewMusicTests
from bids_app.analyses.participant.predict import predict_music
from bids_app.analyses.participant.predictors import (
    Person,
    Predictors,
    column_correlation,
    mean_predictions,
    shared_layers,
)
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.saved import SavedModel, read_saved
from bids_app.analyses.participant.weights import FittedModel, write_weights
from bids_app.cli.predict import tell_other_data
from bids_app.cli.tools import main
from bids_app.config import Cleaning, Config, Model, Statistics
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.registry import find_space
from bids_app.features.sources import scaled_layers
from bids_app.features.timing import sample_series
from bids_app.meshes import N_VERTICES
from bids_app.outputs import OutputTree, dataset_description
from bids_app.statistics import fisher_mean
from bids_app.surface.gifti import read_gifti

SECONDS = {"one": 24, "two": 28, "three": 32, "new": 30}
TR, CROP = 0.4, 5  # seconds, samples
HIGH_PASS = 20.0
MODEL = Model(delays=(0.4, 1.2), crop=CROP * TR, alphas=(0.1, 10.0, 1000.0))
SPACE = "fsaverage3"
CONFIG = Config(
    bids_dir=Path("bids"),
    output_dir=Path("out"),
    level="participant",
    model=MODEL,
    cleaning=Cleaning(space=SPACE, high_pass=HIGH_PASS),
)
N = 2 * N_VERTICES[SPACE]
PLANTED, SILENT = (3, 700), (5, 800)
KEPT = np.isin(np.arange(N), (*PLANTED, *SILENT))


@dataclass(frozen=True)
class Fitted:
    path: Path
    folder: Path
    blocks: list[Block]
    fits: LayerFits
    grams: FeatureGrams
    audio: dict[str, Path]

    @property
    def source(self) -> FeatureSource:
        return FeatureSource(self.folder / "cache")


def response(label: str, path: Path, times: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What planted vertices do: the sound's units, two samples ago."""
    units = scaled_layers(label, path, ["cochleagram"], features="cochleagram")["cochleagram"]
    centers = find_space("cochleagram").sound(label, path).times
    x = sample_series(units, centers, times, TR, HIGH_PASS)
    return np.roll(x @ weights, 2)


def save_model(
    path: Path, who: str, grams: FeatureGrams, blocks: list[Block], own: dict[str, Path]
) -> LayerFits:
    """A participant's model of these responses, as --save-weights leaves it."""
    options = {"model": MODEL, "high_pass": HIGH_PASS}
    fits = fit_layers(grams, blocks, statistics=Statistics(null="none"), **options)
    write_weights(
        path,
        ["cochleagram"],
        FittedModel(grams, blocks, fits, MODEL, HIGH_PASS, own, "cochleagram", None),
        vertices=KEPT,
        identity={
            "Participant": who,
            "Model": "cochleagram",
            "Settings": CONFIG.participant_settings("", "cochleagram"),
            "Features": {"Features": "cochleagram"},
        },
    )
    return fits


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Fitted:
    folder: Path = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(1)
    weights = rng.standard_normal(128)
    audio, blocks = {}, []
    for label, seconds in SECONDS.items():
        loudness = np.repeat(rng.uniform(0.02, 0.3, 2 * seconds), 8000)
        audio[label] = folder / f"{label}.wav"
        soundfile.write(audio[label], loudness * rng.standard_normal(loudness.size), 16000)
        if label == "new":
            continue
        times = np.arange(0.2, seconds - 0.5, TR)
        values = rng.standard_normal((len(times), N)).astype(np.float32)
        signal = response(label, audio[label], times, weights)
        for vertex in PLANTED:
            values[:, vertex] = signal + 0.3 * signal.std() * rng.standard_normal(len(times))
        blocks.append(Block(label, f"task-{label}", TR, times, values))
    own = {label: path for label, path in audio.items() if label != "new"}
    grams = load_or_compute_grams(
        list(own.items()), cache_dir=folder / "cache", features="cochleagram"
    )
    path = folder / "sub-01_space-fsaverage_model-cochleagram_weights.h5"
    fits = save_model(path, "01", grams, blocks, own)
    np.save(folder / "planted.npy", weights)
    return Fitted(path, folder, blocks, fits, grams, audio)


def test_the_fold_that_held_a_piece_out_predicts_it_again(fitted):
    model = read_saved(fitted.path)
    assert model.vertices.tolist() == [3, 5, 700, 800]
    assert (model.tr, model.space, model.layers) == (TR, SPACE, ("cochleagram",))
    heard = [Heard(block.stimulus, block.times) for block in fitted.blocks]
    (found,) = predict_new(model, fitted.grams, heard)
    with h5py.File(fitted.path) as file:
        stored = list(file["cochleagram/predictions"].values())
        for one, block in zip(found, fitted.blocks, strict=True):
            (own,) = (d for d in stored if d.attrs["stimulus"] == block.stimulus)
            assert model.folds[int(one.weights) - 1] == block.stimulus
            np.testing.assert_array_equal(one.rows, np.arange(CROP, len(block.times) - CROP))
            np.testing.assert_allclose(one.values, own[:], atol=1e-6)


def test_a_piece_that_was_censored_in_parts_is_predicted_where_it_was_measured(fitted):
    model, block = read_saved(fitted.path), fitted.blocks[0]
    kept = np.delete(np.arange(len(block.times)), [10, 11, 30])
    whole, gaps = (Heard(block.stimulus, block.times[rows]) for rows in (slice(None), kept))
    ((all_rows, some),) = predict_new(model, fitted.grams, [whole, gaps])
    inside = kept[some.rows]
    assert inside.tolist() == [k for k in kept if CROP <= k < len(block.times) - CROP]
    np.testing.assert_allclose(some.values, all_rows.values[inside - CROP])


def test_planted_vertices_follow_new_music(fitted, tmp_path):
    files = predict_music(fitted.path, [fitted.audio["new"]], tmp_path, fitted.source)
    gii = [path for path in files if path.suffix == ".gii"]
    assert [path.name for path in gii] == [
        f"sub-01_stim-new_hemi-{hemi}_space-fsaverage_den-642_model-cochleagram"
        "_feature-cochleagram_desc-newmusic_bold.func.gii"
        for hemi in "LR"
    ]
    values = np.hstack([read_gifti(path) for path in gii])
    assert np.isfinite(values).all(axis=0).tolist() == KEPT.tolist()
    told = json.loads(files[1].read_text())
    times = np.asarray(told["StimulusTimes"])
    assert len(times) == len(values)
    assert told["Weights"] == "all"
    assert told["TrainedOnMusic"].keys() == {"one", "two", "three"}
    assert times[0] == pytest.approx((CROP + 0.5) * TR)
    clock = (np.arange(SECONDS["new"] / TR) + 0.5) * TR
    planted = np.load(fitted.folder / "planted.npy")
    signal = response("new", fitted.audio["new"], clock, planted)[CROP:-CROP]
    r = [np.corrcoef(values[:, vertex], signal)[0, 1] for vertex in np.flatnonzero(KEPT)]
    assert min(r[0], r[2]) > 0.8
    spread = values[:, KEPT].std(axis=0)
    assert min(spread[0], spread[2]) > max(spread[1], spread[3])


def test_tables_hold_what_maps_hold(fitted, tmp_path):
    options = {"source": fitted.source, "tr": TR}
    maps = predict_music(fitted.path, [fitted.audio["new"]], tmp_path, **options)
    table, _ = predict_music(
        fitted.path, [fitted.audio["new"]], tmp_path, **options, file_format="tsv"
    )
    rows = np.genfromtxt(table, names=True)
    assert rows.dtype.names == ("time", "L3", "L5", "R58", "R158")
    np.testing.assert_allclose(rows["R58"], read_gifti(maps[2])[:, 58], atol=1e-6)


def test_the_command_writes_what_it_says(fitted, tmp_path, capsys):
    call = ["predict", str(fitted.path), str(fitted.audio["new"]), "-o", str(tmp_path / "out")]
    assert main([*call, "--cache-dir", str(fitted.folder / "cache")]) == 0
    assert "4 files written" in capsys.readouterr().out
    assert main([*call, "--tr", "2"]) == 2
    told = capsys.readouterr().err
    assert "repetition_time: 0.4 -> 2.0" in told
    assert "do this" in told


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"repetition_time": 2.0}, "repetition_time: 0.4 -> 2.0"),
        ({"delays": (3.0, 9.0)}, r"delays: \[0.4, 1.2\] -> \[3.0, 9.0\]"),
        ({"features": "envelope"}, "features: cochleagram -> envelope"),
        ({"space": "fsaverage5"}, "space: fsaverage3 -> fsaverage5"),
        ({"high_pass": 128.0}, "high_pass: 20.0 -> 128.0"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(fitted, asked, told):
    with pytest.raises(UsageError, match=told) as caught:
        read_saved(fitted.path).check(**asked)
    assert "--save-weights" in str(caught.value.remedy)


def test_repetition_times_of_headers_may_differ_a_little(fitted):
    read_saved(fitted.path).check(repetition_time=TR + 1e-5)


def test_other_features_are_refused(fitted):
    model, new = read_saved(fitted.path), {"new": fitted.audio["new"]}
    with pytest.raises(UsageError, match="envelope"):
        grams_with_new([model], new, FeatureSource(fitted.folder, features="envelope"))
    model.n_units["cochleagram"] = 64
    with pytest.raises(UsageError, match="not the features"):
        grams_with_new([model], new, fitted.source)


def test_music_is_known_by_its_content(fitted, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    model = read_saved(fitted.path)
    model.identity["MusicFiles"]["two"] = str(tmp_path / "gone" / "two.wav")
    new = {"new": fitted.audio["new"]}
    with pytest.raises(MissingInputError, match="--music-dir"):
        grams_with_new([model], new, fitted.source)
    shutil.copy(fitted.audio["two"], moved)
    source = FeatureSource(fitted.folder / "cache", music_dirs=[moved])
    assert grams_with_new([model], new, source).labels == ("one", "three", "two", "new")
    shutil.copy(fitted.audio["new"], moved / "three.wav")
    with pytest.raises(UsageError, match="one name"):
        predict_music(fitted.path, [moved / "three.wav"], tmp_path, fitted.source)


@pytest.mark.parametrize("names", [("a/x.wav", "b/x.wav"), ("a/x y.wav", "b/xy.flac")])
def test_music_whose_results_would_have_one_name_is_refused(fitted, tmp_path, names):
    files = [tmp_path / name for name in names]
    for path, label in zip(files, ("new", "one"), strict=True):
        path.parent.mkdir()
        shutil.copy(fitted.audio[label], path)
    with pytest.raises(UsageError, match="one name") as caught:
        predict_music(fitted.path, files, tmp_path / "out", fitted.source)
    assert str(files[0]) in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("who", "trained_on"), [("01", "own"), ("02", "others")])
def test_accuracy_on_a_new_study_is_that_of_predicted_and_measured(
    fitted, tmp_path, who, trained_on
):
    model = read_saved(fitted.path)
    new, clock = fitted.audio["new"], (np.arange(60) + 0.5) * TR
    values = np.random.default_rng(8).standard_normal((60, N)).astype(np.float32)
    signal = response("new", new, clock, np.load(fitted.folder / "planted.npy"))
    values[:, PLANTED] += (2 * signal / signal.std())[:, None]
    heard = [Block("new", "task-a", TR, clock, values), *fitted.blocks[:1]]
    grams = grams_with_new([model], {"new": new}, fitted.source)
    study = predictors([model, model] if trained_on == "others" else [model], grams, tmp_path)
    tree = OutputTree(tmp_path)
    files = Person(who, heard, study).predict(tree, NewMusicTests())
    assert len(files) == len(set(files)) == 2 * 4 + 4 + 2
    rows = read_rows(files[-2], ["mean_r", "n_models"], participant=str, held_out=str)
    assert rows["held_out"].tolist() == ["no", "yes"]
    assert set(rows["trained_on"]) == {trained_on}
    maps = sorted(tree.participant_dir(who).glob("*_stat-r_*.gii"))
    (r,) = np.hstack([read_gifti(path) for path in maps])
    predicted = sorted(tree.participant_dir(who).glob("*stim-new_*_bold.func.gii"))
    series = np.hstack([read_gifti(path) for path in predicted])
    of_new = column_correlation(series, values[CROP:-CROP])
    of_old = fitted.fits.fold_r[0, fitted.fits.fold_stimuli.index("one")]
    np.testing.assert_allclose(r[KEPT], fisher_mean([of_new, of_old])[KEPT], atol=1e-4)
    assert r[list(PLANTED)].min() > 0.6
    note = json.loads(maps[0].with_suffix("").with_suffix(".json").read_text())["Note"]
    assert "not tested here" in note


def test_models_of_other_music_say_each_whether_they_heard_a_piece(fitted, tmp_path):
    names = [("one", "two"), ("two", "three")]
    models = []
    for who, heard in zip(("01", "02"), names, strict=True):
        blocks = [block for block in fitted.blocks if block.stimulus in heard]
        path = tmp_path / f"sub-{who}_weights.h5"
        save_model(path, who, fitted.grams, blocks, {k: fitted.audio[k] for k in heard})
        models.append(read_saved(path))
    new = {"new": fitted.audio["new"]}
    grams = grams_with_new(models, new, fitted.source)
    clock = (np.arange(60) + 0.5) * TR
    values = np.random.default_rng(3).standard_normal((60, N)).astype(np.float32)
    blocks = [*fitted.blocks, Block("new", "task-new", TR, clock, values)]
    tree = OutputTree(tmp_path / "out")
    files = Person("03", blocks, predictors(models, grams, tmp_path)).predict(tree, NewMusicTests())
    rows = read_rows(files[-2], ["mean_r"], stimulus=str, held_out=str)
    assert dict(zip(rows["stimulus"].tolist(), rows["held_out"].tolist(), strict=True)) == {
        "one": "some",
        "two": "yes",
        "three": "some",
        "new": "no",
    }
    fold = {
        label: [model.weights_for(label) for model in models]
        for label in ("one", "two", "three", "new")
    }
    assert fold["one"] == ["01", "all"]
    for label, weights in fold.items():
        (path,) = tree.participant_dir("03").glob(f"*stim-{label}_hemi-L*_bold.json")
        told = json.loads(path.read_text())
        assert told["Models"] == ["sub-01 model-cochleagram", "sub-02 model-cochleagram"]
        assert told["Weights"] == weights
        assert told["TrainedOnMusic"] == read_saved(fitted.path).identity["Music"]


def predictors(models: list[SavedModel], grams: FeatureGrams, folder: Path) -> Predictors:
    names = {label: label for label in grams.labels}
    return Predictors(models, shared_layers(models), grams, names, folder)


def test_the_mean_of_models_is_over_those_that_have_the_vertex(fitted):
    """Models are added up one by one: predictions of all together would not fit into memory."""
    first = read_saved(fitted.path)
    second = replace(
        first,
        identity={**first.identity, "Participant": "02"},
        vertices=np.array([3, 6, 700, 801]),
    )
    clock = (np.arange(60) + 0.5) * TR
    grams = grams_with_new([first], {"new": fitted.audio["new"]}, fitted.source)
    ((mean, weights, _),) = mean_predictions(
        [first, second], grams, [Heard("new", clock)], "cochleagram"
    )
    ((own,),) = predict_new(first, grams, [Heard("new", clock)])
    assert weights == ["all", "all"]
    assert np.flatnonzero(np.isfinite(mean).all(axis=0)).tolist() == [3, 5, 6, 700, 800, 801]
    np.testing.assert_allclose(mean[:, [3, 5, 700, 800]], own.values)
    np.testing.assert_allclose(mean[:, [6, 801]], own.values[:, [1, 3]])


def test_who_heard_a_piece_at_the_same_times_shares_the_mean_of_all(fitted, tmp_path, monkeypatch):
    model = read_saved(fitted.path)
    grams = grams_with_new([model], {"new": fitted.audio["new"]}, fitted.source)
    study = predictors([model, model], grams, tmp_path)
    calls = []
    own = predictors_module.predict_new
    monkeypatch.setattr(
        predictors_module, "predict_new", lambda *a, **k: (calls.append(a[2]), own(*a, **k))[1]
    )
    clock = (np.arange(60) + 0.5) * TR
    later = Heard("new", clock + 0.1)
    whole = study.mean_of_all([Heard("new", clock), later], "cochleagram")
    again = study.mean_of_all([later, Heard("one", fitted.blocks[0].times)], "cochleagram")
    assert [[one.stimulus for one in heard] for heard in calls] == [["new"] * 2] * 2 + [["one"]] * 2
    np.testing.assert_array_equal(again[0].values, whole[1].values)
    assert not np.array_equal(whole[0].values, whole[1].values)
    fresh = mean_predictions([model, model], grams, [later], "cochleagram")
    np.testing.assert_array_equal(again[0].values, fresh[0].values)
    assert again[0].weights == fresh[0].weights == ["all", "all"]
    np.testing.assert_array_equal(again[0].rows, fresh[0].rows)


def test_nothing_is_written_over_another_prediction(fitted, tmp_path):
    other = tmp_path / "other" / "new.wav"
    other.parent.mkdir()
    rng = np.random.default_rng(9)
    soundfile.write(other, 0.1 * rng.standard_normal(SECONDS["new"] * 16000), 16000)
    out = tmp_path / "out"
    for file_format in ("gii", "tsv"):
        options = {"source": fitted.source, "file_format": file_format}
        written = predict_music(fitted.path, [fitted.audio["new"]], out, **options)
        before = {path: path.read_bytes() for path in written}
        with pytest.raises(UsageError, match="Another prediction has this name") as caught:
            predict_music(fitted.path, [other], out, **options)
        assert "other StimulusSHA256" in str(caught.value)
        assert {path: path.read_bytes() for path in written} == before
        assert predict_music(fitted.path, [fitted.audio["new"]], out, **options) == written


def test_a_study_is_predicted_by_the_models_of_a_folder(fitted, tmp_path, monkeypatch, caplog):
    saved, new = OutputTree(tmp_path / "out"), OutputTree(tmp_path / "new")
    path = saved.weights("01", SPACE, "cochleagram")
    path.parent.mkdir(parents=True)
    shutil.copy(fitted.path, path)
    study = SimpleNamespace(
        participants=("01", "02"),
        runs=[SimpleNamespace(participant=who, tr=TR, label="task-a") for who in ("01", "02")],
        stimuli=[SimpleNamespace(label=k, path=fitted.audio[k]) for k in ("one", "two", "three")],
    )
    prepared = Prepared(blocks=fitted.blocks)
    monkeypatch.setattr(predict, "prepare_responses", lambda *_, **__: prepared)
    config = replace(CONFIG, output_dir=new.root)
    with caplog.at_level("INFO", logger="bids_app"):
        files = predict.predict_study(saved, study, config, fitted.source)
    assert "sub-01: predicting (model-cochleagram) by their own model" in caplog.text
    assert "sub-02: predicting (model-cochleagram) by the mean of all models" in caplog.text
    assert all(file.is_file() for file in files)
    for who, trained_on in (("01", "own"), ("02", "others")):
        maps = sorted(new.participant_dir(who).glob("*_stat-r_*.gii"))
        (r,) = np.hstack([read_gifti(one) for one in maps])
        np.testing.assert_allclose(r[KEPT], fitted.fits.r[0, KEPT], atol=1e-4)
        table = new.participant_file(who, "summary.tsv", model="cochleagram", desc="newmusic")
        rows = read_rows(table, ["mean_r"], trained_on=str, held_out=str)
        assert rows["trained_on"].tolist() == [trained_on] * 3
        assert rows["held_out"].tolist() == ["yes"] * 3
    (group,) = np.hstack(
        [
            read_gifti(new.group_map(h, SPACE, model="cochleagram", stat="r", desc=DESC))
            for h in "LR"
        ]
    )
    np.testing.assert_allclose(group[KEPT], fitted.fits.r[0, KEPT], atol=1e-4)
    (row,) = read_rows(
        new.group_table("summary.tsv", model="cochleagram", desc=DESC),
        ["p_people", "p_music", "n_predicted", "n_participants"],
        layer=str,
    ).to_dict("records")
    assert row["layer"] == "cochleagram"
    assert row["n_participants"] == 2
    assert row["p_people"] == 0.25  # all four flips of two people: one of them is as good
    assert row["p_music"] < 0.05
    assert row["n_predicted"] == 0
    told = json.loads(new.group_table("summary.json", model="cochleagram", desc=DESC).read_text())
    assert told["Participants"] == ["sub-01", "sub-02"]
    assert told["MusicWidening"] >= np.sqrt(2)  # the model was fitted to this music
    assert "0 of 4 vertices are predicted over people and over music" in caplog.text
    for other, told in (
        (replace(config, model=replace(MODEL, delays=(0.4, 0.8))), "delays"),
        (replace(config, cleaning=replace(config.cleaning, smoothing=0.0)), "smoothing"),
    ):
        with pytest.raises(UsageError, match=told):
            predict.predict_study(saved, study, other, fitted.source)
    study.runs[1].tr = 2.0
    with pytest.raises(UsageError, match="repetition_time"):
        predict.predict_study(saved, study, config, fitted.source)
    with pytest.raises(MissingInputError, match="no saved model"):
        predict.saved_models(new)


def test_predictions_of_another_dataset_in_the_folder_are_told(tmp_path, caplog):
    tell_other_data(tmp_path, ["file:///new"])
    described = dataset_description([{"Name": "old", "URL": "file:///old"}])
    (tmp_path / "dataset_description.json").write_text(json.dumps(described))
    tell_other_data(tmp_path, ["file:///new", "file:///old"])
    assert not caplog.text
    tell_other_data(tmp_path, ["file:///new"])
    assert "has predictions of other datasets (file:///old)" in caplog.text


def test_a_file_without_a_model_is_told(tmp_path):
    path = tmp_path / "sub-01_weights.h5"
    with pytest.raises(MissingInputError, match="no such file"):
        read_saved(path)
    with h5py.File(path, "w") as file:
        file["vertices"] = np.arange(3)
    with pytest.raises(BadDataError, match="no model that can predict") as caught:
        read_saved(path)
    assert "--save-weights" in str(caught.value.remedy)
