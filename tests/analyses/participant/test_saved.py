"""Saved models are read whole and consistent, and know recordings by their content."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import soundfile
from test_predict import SPACE, fitted  # noqa: F401  (a fixture)

from bids_app.analyses.participant.new_music import (
    FeatureSource,
    Heard,
    grams_with_new,
    predict_new,
)
from bids_app.analyses.participant.predict import predict_music, saved_models
from bids_app.analyses.participant.predictors import shared_layers
from bids_app.analyses.participant.saved import read_saved, unified
from bids_app.errors import BadDataError, UsageError
from bids_app.features.audio import file_sha256
from bids_app.files import write_json
from bids_app.outputs import OutputTree


def _identity(file, **changes):
    told = json.loads(file["identity"][:].tobytes())
    for key, value in changes.items():
        if value is None:
            del told[key]
        else:
            told[key] = {**told[key], **value} if isinstance(value, dict) else value
    del file["identity"]
    file["identity"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)


def _set(file, name, values):
    del file[name]
    file[name] = values


BROKEN = {
    "a repetition time of 0": lambda f: _identity(f, RepetitionTime=0.0),
    "another repetition time": lambda f: _identity(f, RepetitionTime=2.0),
    "no repetition time": lambda f: _identity(f, RepetitionTime=None),
    "no participant": lambda f: _identity(f, Participant=None),
    "no music": lambda f: _identity(f, Music=None),
    "no files of music": lambda f: _identity(f, MusicFiles=None),
    "no feature space": lambda f: _identity(f, FeatureSpace=None),
    "other delays": lambda f: _identity(f, Settings={"delays": [0.0, 4.0]}),
    "a crop that is text": lambda f: _identity(f, Settings={"crop": "long"}),
    "a space that is none": lambda f: _identity(f, Settings={"space": "moon"}),
    "scale 0": lambda f: f["cochleagram"].attrs.__setitem__("scale", 0.0),
    "scale that is none": lambda f: f["cochleagram"].attrs.__setitem__("scale", np.nan),
    "vertices below 0": lambda f: _set(f, "vertices", f["vertices"][:] - 9),
    "a vertex twice": lambda f: _set(f, "vertices", 0 * f["vertices"][:]),
    "vertices that are no whole numbers": lambda f: _set(f, "vertices", f["vertices"][:] + 0.5),
    "no vertex": lambda f: _set(f, "vertices", f["vertices"][:0]),
    "fewer vertices than weights": lambda f: _set(f, "vertices", f["vertices"][:2]),
    "fewer rows": lambda f: _set(f, "cochleagram/dual/01", f["cochleagram/dual/01"][:5]),
    "weights in a row": lambda f: _set(f, "cochleagram/dual/all", np.ones(40)),
    "a fold less": lambda f: f.attrs.__setitem__("folds", ["one", "two"]),
    "a fold of other music": lambda f: f.attrs.__setitem__("folds", ["one", "two", "x"]),
    "times that stand still": lambda f: f["presentations/01"].__setitem__(slice(None), 3.0),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_contradicts_itself_is_refused(fitted, tmp_path, what):  # noqa: F811
    path = tmp_path / "sub-01_weights.h5"
    shutil.copy(fitted.path, path)
    read_saved(path)
    with h5py.File(path, "r+") as file:
        BROKEN[what](file)
    with pytest.raises(BadDataError, match="no model that can predict"):
        read_saved(path)


def test_weights_that_no_model_has_are_refused(fitted, tmp_path):  # noqa: F811
    path = tmp_path / "sub-01_weights.h5"
    shutil.copy(fitted.path, path)
    with h5py.File(path, "r+") as file:
        file["cochleagram/dual/all"][3, 1] = 1e200
    with pytest.raises(BadDataError, match="no model that can predict"):
        read_saved(path).dual("cochleagram", "all")
    own = read_saved(fitted.path)
    whole = own.dual("cochleagram", "all")
    np.testing.assert_array_equal(own.dual("cochleagram", "all", slice(1, 3)), whole[:, 1:3])


def _stored(fitted, tmp_path, who="01"):  # noqa: F811
    tree = OutputTree(tmp_path)
    path = tree.weights(who, SPACE, "cochleagram")
    path.parent.mkdir(parents=True)
    shutil.copy(fitted.path, path)
    return tree, path


def test_a_file_that_changed_since_it_was_written_is_refused(fitted, tmp_path):  # noqa: F811
    tree, path = _stored(fitted, tmp_path)
    record = tree.participant_settings("01", "cochleagram")
    name = path.relative_to(tree.root).as_posix()
    write_json(record, {"Outputs": {name: file_sha256(path)}})
    read_saved(path)
    with h5py.File(path, "r+") as file:
        file["cochleagram/dual/all"][3, 1] *= 2
    with pytest.raises(BadDataError, match="not the one that was written"):
        read_saved(path)


def test_a_model_under_the_name_of_another_person_is_refused(fitted, tmp_path):  # noqa: F811
    tree, _ = _stored(fitted, tmp_path, "02")
    with pytest.raises(BadDataError, match="another person"):
        saved_models(tree)


def test_one_recording_has_one_name_and_two_have_two(fitted, tmp_path):  # noqa: F811
    first = read_saved(fitted.path)
    other = tmp_path / "other.h5"
    shutil.copy(fitted.path, other)
    own = first.identity["Music"]
    with h5py.File(other, "r+") as file:
        # `two` is the recording that the first model calls `one`, `one` another sound.
        music = {"one": "ff" * 32, "two": own["one"], "three": own["three"]}
        _identity(file, Music=music)
    again = unified([first, read_saved(other)])
    assert again[0] is first
    assert again[1].stimuli == ("one-2", "three", "one")  # of one, three, two
    assert again[1].folds == ("one-2", "three", "one")
    assert again[1].identity["Music"] == {
        "one-2": "ff" * 32,
        "one": own["one"],
        "three": own["three"],
    }
    assert again[1].weights_for("one") == "03"
    assert again[1].weights_for("two") == "all"


def test_a_recording_in_another_file_is_refused_as_new(fitted, tmp_path):  # noqa: F811
    sound, rate = soundfile.read(fitted.audio["two"])
    copied = tmp_path / "copied.flac"
    soundfile.write(copied, sound, rate)
    with pytest.raises(UsageError, match="a saved model was fitted to") as caught:
        predict_music(fitted.path, [copied], tmp_path / "out", fitted.source)
    assert "two" in str(caught.value.found)
    changed = {
        "moved": np.roll(sound, rate * 7),
        "later": np.concatenate([np.zeros(rate // 20), sound, np.zeros(2 * rate)]),
        "cut": sound[: int(0.7 * len(sound))],
    }
    for name, samples in changed.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, rate, subtype="FLOAT")
        with pytest.raises(UsageError, match="the features of two"):
            predict_music(fitted.path, [tmp_path / f"{name}.wav"], tmp_path / "out", fitted.source)
    noise = np.random.default_rng(8).standard_normal(len(sound))
    soundfile.write(tmp_path / "other.wav", 0.1 * noise, rate, subtype="FLOAT")
    new = [tmp_path / "other.wav"]
    assert predict_music(fitted.path, new, tmp_path / "out", fitted.source)


def test_music_that_is_much_like_known_music_is_told(fitted, tmp_path, caplog):  # noqa: F811
    sound, rate = soundfile.read(fitted.audio["two"])
    noise = np.random.default_rng(8).standard_normal(len(sound)) * sound.std()
    soundfile.write(tmp_path / "noisy.wav", sound + 2.0 * noise, rate, subtype="FLOAT")
    assert predict_music(fitted.path, [tmp_path / "noisy.wav"], tmp_path / "out", fitted.source)
    assert "noisy has nearly the features of two" in caplog.text


def test_samples_outside_of_the_music_are_refused(fitted, tmp_path):  # noqa: F811
    path = tmp_path / "sub-01_weights.h5"
    shutil.copy(fitted.path, path)
    with h5py.File(path, "r+") as file:
        file["presentations/01"][:] = file["presentations/01"][:] + 1000.0
    model = read_saved(path)
    with pytest.raises(BadDataError, match="outside of its music"):
        grams_with_new([model], {}, fitted.source)


def test_a_piece_that_is_too_short_is_named_and_all_means_all_layers(fitted):  # noqa: F811
    model = read_saved(fitted.path)
    grams = grams_with_new([model], {}, fitted.source)
    with pytest.raises(BadDataError, match="too short") as caught:
        next(predict_new(model, grams, [Heard("one", np.arange(0.2, 4.0, model.tr))]))
    assert caught.value.where == "one"
    assert model.chosen(["all"]) == model.chosen([]) == ["cochleagram"]
    with pytest.raises(UsageError, match="cochleagram"):
        model.chosen(["22"])


def test_a_layer_called_all_is_this_layer_where_it_is_asked_for(fitted):  # noqa: F811
    model = read_saved(fitted.path)
    renamed = replace(model, n_units={"all": 3, "other": 5})
    assert renamed.chosen(["all"]) == ["all"]
    assert renamed.chosen([]) == ["all", "other"]
    assert shared_layers([renamed], ["all"]) == ["all"]


def test_components_are_not_predicted_with(fitted):  # noqa: F811
    model = read_saved(fitted.path)
    source = FeatureSource(fitted.source.cache_dir, features="components3:cochleagram")
    with pytest.raises(UsageError, match="pieces that they were found in"):
        grams_with_new([model], {}, source)
