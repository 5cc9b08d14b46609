"""Models of notes: what listeners know counts by its content, notes lie beside the music."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bids_app.analyses.participant.new_music import FeatureSource, grams_with_new
from bids_app.analyses.participant.saved import SavedModel
from bids_app.config import Config, Places, with_places
from bids_app.errors import MissingInputError, UsageError
from bids_app.features.audio import file_sha256
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.registry import find_space

CONFIG = Config(bids_dir=Path("bids"), output_dir=Path("out"), level="participant")


def write_notes(path: Path, seed: int) -> Path:
    pitch = 60 + np.random.default_rng(seed).integers(0, 12, 20)
    rows = [f"{0.2 * k:g}\t0.2\t{p}" for k, p in enumerate(pitch)]
    path.write_text("\n".join(["onset\tduration\tpitch", *rows]) + "\n")
    return path


def write_piece(folder: Path, label: str, seed: int) -> Path:
    folder.mkdir(exist_ok=True)
    write_notes(folder / f"{label}_notes.tsv", seed)
    sound = 0.1 * np.random.default_rng(seed).standard_normal(16000 * 4)
    soundfile.write(folder / f"{label}.wav", sound, 16000)
    return folder / f"{label}.wav"


def model_of(spelling: str, audio: Path, cache: Path) -> SavedModel:
    """What the participant level keeps of a model of notes, without its weights."""
    row = find_space(spelling)
    found = row.checksum_of_files(audio.stem, audio)
    grams = load_or_compute_grams([(audio.stem, audio)], cache_dir=cache, features=spelling)
    identity = {
        "Settings": CONFIG.participant_settings(row.weights_identity, row.identity),
        "Music": {audio.stem: file_sha256(audio)},
        "MusicFiles": {audio.stem: str(audio)},
        "FeatureFiles": {audio.stem: found} if found else {},
        "FeatureSpace": spelling,
        "RepetitionTime": 2.0,
    }
    units = dict(zip(grams.layer_names, grams.n_units, strict=True))
    path = audio.with_name("sub-01_weights.h5")
    return SavedModel(path, identity, units, {}, (), (), (), np.arange(3))


@pytest.mark.parametrize("known", [False, True])
def test_a_model_of_notes_knows_other_music_by_its_content(tmp_path, known):
    old, new = (write_piece(tmp_path / "music", k, n) for n, k in enumerate(("old", "new")))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_notes(corpus / "a_notes.tsv", 5)
    spelling = with_places("notes", Places(None, corpus if known else None))
    source = FeatureSource(tmp_path / "cache")
    model = model_of(spelling, old, source.cache_dir)
    assert grams_with_new([model], {"new": new}, source).labels == ("old", "new")
    if known:
        write_notes(corpus / "b_notes.tsv", 6)
        with pytest.raises(UsageError, match="weights_sha256"):
            grams_with_new([model], {"new": new}, source)


def test_notes_are_looked_for_beside_music_that_was_moved(tmp_path):
    old, new = (write_piece(tmp_path / "music", k, n) for n, k in enumerate(("old", "new")))
    source = FeatureSource(tmp_path / "cache", music_dirs=[tmp_path / "moved"])
    model = model_of("notes", old, source.cache_dir)
    shutil.copytree(old.parent, tmp_path / "moved")
    old.unlink()
    old.with_name("old_notes.tsv").unlink()
    assert grams_with_new([model], {"new": new}, source).labels == ("old", "new")


def test_files_that_came_or_went_since_the_fit_are_refused(tmp_path):
    old = write_piece(tmp_path / "music", "old", 0)
    old.with_name("old_notes.tsv").unlink()
    source = FeatureSource(tmp_path / "cache")
    model = model_of("expression", old, source.cache_dir)
    assert grams_with_new([model], {}, source).labels == ("old",)
    beats = old.with_name("old_beats.tsv")
    beats.write_text("time\n0.0\n0.9\n2.0\n3.2\n")
    with pytest.raises(UsageError, match=r"old_beats\.tsv of SHA-256 .*\n.*no file for old"):
        grams_with_new([model], {}, source)
    model = model_of("expression", old, source.cache_dir)
    assert grams_with_new([model], {}, source).labels == ("old",)
    beats.unlink()
    with pytest.raises(UsageError, match=r"no file for old"):
        grams_with_new([model], {}, source)


def test_notes_of_new_music_may_lie_elsewhere(tmp_path):
    """The model's own place of notes stands until another one is given."""
    old, new = (write_piece(tmp_path / "music", k, n) for n, k in enumerate(("old", "new")))
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    old.with_name("old_notes.tsv").rename(first / "old_notes.tsv")
    new.with_name("new_notes.tsv").unlink()
    source = FeatureSource(tmp_path / "cache")
    model = model_of(with_places("notes", Places(first)), old, source.cache_dir)
    shutil.copytree(first, second)
    write_notes(second / "new_notes.tsv", 1)
    with pytest.raises(MissingInputError, match="new"):
        grams_with_new([model], {"new": new}, source)
    moved = FeatureSource(source.cache_dir, notes=Places(second))
    assert grams_with_new([model], {"new": new}, moved).labels == ("old", "new")
