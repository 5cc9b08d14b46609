"""Other music that listeners know: chorales out of a wheel, and where they are used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from real_data import WHEELS
from test_notes_space import layers_of, tune, write_sound, write_table

from bids_app.analyses.participant.plan import EncodingModel, fitted_layers
from bids_app.cli.parser import parse_config
from bids_app.cli.prefetch import prefetch
from bids_app.config.places import Places, with_places
from bids_app.errors import BadDataError
from bids_app.features import known_music as known
from bids_app.features.registry import find_space
from bids_app.features.symbols import SymbolModel, expectations
from bids_app.files import sha256_of_file
from bids_app.inputs.notes import notes_of_score
from bids_app.report.methods import _features_paragraph
from bids_app.resources import catalog, chorales_file, file_state

STEPS = "CDEFGAB"


@pytest.fixture(autouse=True)
def resources(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path / "resources"))


def part(pitches):
    notes = "".join(
        f"<note><pitch><step>{STEPS[p % 7]}</step><octave>{4 + p // 7}</octave></pitch>"
        "<duration>1</duration></note>"
        for p in pitches
    )
    return (
        "<part><measure><attributes><divisions>1</divisions></attributes><sound tempo='60'/>"
        f"{notes}</measure></part>"
    )


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A wheel with three chorales and two other scores."""
    path = tmp_path / known.WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        for k, lines in enumerate([4, 4, 3, 4]):
            parts = [part([(n + k) % 8 - 2 * line for n in range(8)]) for line in range(lines)]
            score = f"<score-partwise>{''.join(parts)}</score-partwise>"
            archive.writestr(f"music21/corpus/bach/bwv{k}.xml", score)
        archive.writestr("music21/corpus/haydn/a.xml", score)
    monkeypatch.setattr(known, "WHEEL_SHA256", sha256_of_file(path))
    return path


def test_chorales_are_counted_and_their_scores_not_kept(made_up):
    assert not known.knows_music("")
    known.unpack_chorales(made_up)
    found = known.known_music("")
    assert found.n_pieces == 3
    wanted = known.learn(notes_of_score(root, path) for path, root in known.chorales(made_up))
    for name in ("melody", "chords"):
        for got, expected in zip(
            getattr(found, name).counts(), getattr(wanted, name).counts(), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
    first = chorales_file().read_bytes()
    known.unpack_chorales(made_up)
    assert chorales_file().read_bytes() == first


def test_they_are_known_where_no_other_music_is_given(tmp_path, made_up):
    piece = write_sound(tmp_path / "piece.wav")
    write_table(tmp_path / "piece_notes.tsv", tune(0))
    music = {"piece": piece}
    config = parse_config(["/d", "/o", "participant", "--features", "notes"])

    def description():
        fitted = fitted_layers(config, music)["notes"]
        return EncodingModel.of(config.model.spaces[0], fitted, config)

    before = description()
    assert "Corpus" not in before.description
    known.unpack_chorales(made_up)
    model = description()
    assert model.description["Corpus"] == known.CHORALES
    assert model.settings["weights_sha256"] == sha256_of_file(chorales_file())
    assert "chorales of J. S. Bach" in _features_paragraph(model.settings, model.description)
    assert list(layers_of("notes", piece)) == ["density", "stm", "ltm", "both", "uncertainty"]
    (said,) = find_space("notes").remarks_on("piece", piece, 6.0)
    assert "chorales of J. S. Bach" in said
    # Music of the user's own comes first.
    own = tmp_path / "own"
    own.mkdir()
    write_table(own / "a_notes.tsv", tune(1))
    spelled = with_places("notes", Places(None, own))
    argument = find_space(spelled).argument
    assert known.known_music(argument).n_pieces == 1
    assert known.corpus_name(argument) == ""
    assert known.corpus_identity(argument) != known.corpus_identity("")


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / known.WHEEL).write_bytes(b"PK")
    with pytest.raises(BadDataError, match=r"(?s)not the published one.*music21.*SHA-256 dc330949"):
        prefetch(["corpus"], source=tmp_path)
    chorales_file().parent.mkdir(parents=True, exist_ok=True)
    chorales_file().write_bytes(b"nothing")
    with pytest.raises(BadDataError, match="musenc prefetch corpus"):
        known.known_music("")


@pytest.fixture(scope="module")
def wheel():
    found = [place / known.WHEEL for place in WHEELS if (place / known.WHEEL).is_file()]
    if not found:
        pytest.skip(f"no {known.WHEEL} in {', '.join(map(str, WHEELS))}")
    return found[0]


@pytest.fixture(scope="module")
def sopranos(wheel):
    """The highest parts of the first 100 chorales, as numbers of 21 pitches."""
    lines = []
    for path, root in known.chorales(wheel):
        for other in list(root.iter("part"))[1:]:
            root.remove(other)
        lines.append(notes_of_score(root, Path(path)).pitch)
        if len(lines) == 100:
            break
    pitches = np.unique(np.concatenate(lines))
    assert pitches.size == 21
    return [np.searchsorted(pitches, line).tolist() for line in lines]


@pytest.mark.parametrize(
    ("order_bound", "wanted"),
    [(None, (2.64, 3.04, 2.52)), (5, (2.67, 3.05, 2.54)), (2, (2.75, 3.07, 2.61))],
)
def test_surprise_of_chorales_is_that_of_another_implementation(sopranos, order_bound, wanted):
    model = SymbolModel(21, order_bound=order_bound)
    for line in sopranos[:80]:
        model.learn(line)
    told = [
        expectations(line, 21, order_bound=order_bound, long_term=model) for line in sopranos[80:]
    ]
    found = [
        np.concatenate([getattr(one, name).surprise for one in told]).mean()
        for name in ("ltm", "stm", "both")
    ]
    # There tied notes counted twice.
    assert found == pytest.approx(wanted, abs=0.011)


def test_the_table_comes_out_of_the_wheel(wheel):
    (complete,) = prefetch(["corpus"], source=wheel)
    assert complete == next(one for one in catalog() if one.name == "corpus")
    assert file_state(chorales_file(), complete) == "verified"
    assert known.known_music("").n_pieces == 365
