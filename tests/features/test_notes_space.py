"""`--features notes`: melody, chords, their surprise, and what it adds to density."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from bids_app.cli.parser import parse_config
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.events import event_series, events_of, melody, tonic
from bids_app.features.known_music import ORDER_BOUND, learn
from bids_app.features.registry import find_space
from bids_app.features.symbols import expectations
from bids_app.features.timing import sample_series
from bids_app.inputs.notes import Notes, read_notes

SCALE = [0, 2, 4, 5, 7, 9, 11, 12]


def write_table(path, rows):
    lines = ["\t".join(map(str, row)) for row in [("onset", "duration", "pitch"), *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_sound(path, seconds=6.0):
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.standard_normal(int(16000 * seconds)), 16000)
    return path


def tune(seed, n=60, step=0.1):
    """A melody in C major: mostly the same figure, now and then something else."""
    rng = np.random.default_rng(seed)
    figure = [0, 2, 4, 3, 1, 5]
    places = [figure[k % 6] if rng.random() < 0.8 else int(rng.integers(8)) for k in range(n)]
    return [(round(step * k, 3), step, 60 + SCALE[p]) for k, p in enumerate(places)]


@pytest.fixture
def piece(tmp_path):
    write_table(tmp_path / "piece_notes.tsv", tune(0))
    return write_sound(tmp_path / "piece.wav")


def layers_of(spelled, audio, label="piece"):
    space = find_space(spelled)
    return {layer.name: layer for layer in space.values(space.sound(label, audio))}


def test_the_melody_is_what_lies_on_top():
    onset = [0.0, 0.03, 0.5, 1.0, 1.2, 2.0]
    duration = [1.0, 1.0, 0.5, 1.0, 0.2, 1.0]
    pitch = [60, 72, 64, 71, 76, 62]
    assert melody(onset, duration, pitch).tolist() == [1, 3, 4, 5]


@pytest.mark.parametrize("shift", [0, 2, 5, 7, 11])
@pytest.mark.parametrize("minor", [False, True])
def test_transposed_music_is_the_same(shift, minor):
    degrees = np.array([0, 2, 3, 5, 7, 8, 10, 12] if minor else SCALE)
    pitch = 57 * minor + 60 * (not minor) + shift + np.concatenate([degrees, degrees[[7, 4, 2, 0]]])
    duration = np.concatenate([np.ones(8), [2.0, 1.0, 1.0, 3.0]])
    assert tonic(pitch, duration) == shift
    onset = np.cumsum(duration) - duration
    notes = Notes(onset, duration, pitch, np.full(12, 64.0), None)
    symbols = events_of(notes)[0].symbol
    expected = (57 if minor else 60) + 6 + np.concatenate([degrees, degrees[[7, 4, 2, 0]]])
    assert (symbols % 12 == expected % 12).all()
    assert (np.diff(symbols) == np.diff(expected)).all()


def test_chords_are_sets_of_pitch_classes_struck_together():
    onset = np.array([0.0, 0.02, 0.04, 1.0, 1.0, 2.0, 2.0, 2.0, 2.06])
    pitch = np.array([48, 64, 79, 60, 72, 53, 69, 72, 76])
    notes = Notes(onset, np.ones(9), pitch, np.full(9, 64.0), None)
    chords = events_of(notes)[1]
    assert chords.time.tolist() == [0.0, 2.0]  # the second has one pitch class
    key = tonic(pitch, np.ones(9))
    wanted = [{0, 4, 7}, {5, 9, 0}]
    assert chords.symbol.tolist() == [sum(1 << ((c - key) % 12) for c in w) for w in wanted]


def test_layers_hold_the_models_of_the_events(piece):
    found = layers_of("notes", piece)
    assert list(found) == ["density", "stm", "uncertainty"]
    notes = read_notes(piece.with_name("piece_notes.tsv"))
    symbols = events_of(notes)[0].symbol.tolist()
    own = expectations(symbols, 140, order_bound=ORDER_BOUND).stm
    # One note every step of 0.1 s.
    np.testing.assert_allclose(found["stm"].values[:, 0], own.surprise)
    np.testing.assert_allclose(found["uncertainty"].values[:, 0], own.uncertainty)
    np.testing.assert_array_equal(found["density"].values, np.tile([1, 1, 0], (60, 1)))
    assert (found["stm"].values[:, 1] == 0).all()  # no chords
    for layer in found.values():
        assert len(layer.units) == layer.values.shape[1]


def test_other_music_gives_two_layers_more(tmp_path, piece):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for seed in range(1, 9):
        moved = [(o, d, p + 3) for o, d, p in tune(seed)]  # another key
        write_table(corpus / f"{seed}_notes.tsv", moved)
    config = parse_config(
        ["/d", "/o", "participant", "--features", "notes", "--notes-corpus", str(corpus)]
    )
    (space,) = config.model.spaces
    assert space.label == "notes"
    row = find_space(space.features)
    assert row.identity == "notes"
    assert row.layer_order(["piece"]).names == ("density", "stm", "ltm", "both", "uncertainty")
    assert row.layer_order(["piece"]).source == ""
    found = layers_of(space.features, piece)
    surprise = {name: found[name].values[:, 0].mean() for name in ("stm", "ltm", "both")}
    assert surprise["ltm"] < surprise["stm"]
    assert surprise["both"] < surprise["stm"]
    known = learn(read_notes(path) for path in sorted(corpus.iterdir()))
    assert known.n_pieces == 8
    # Other music, another identity.
    before = row.weights_identity
    write_table(corpus / "9_notes.tsv", tune(9))
    assert before
    assert row.weights_identity != before


def test_places_reach_joint_models(tmp_path):
    folder = str(tmp_path / "my notes+more@home")
    options = ["--features", "envelope", "change:notes", "--notes-dir", folder]
    joint = ["--joint", "both=envelope+notes@stm"]
    config = parse_config(["/d", "/o", "participant", *options, *joint])
    assert [space.label for space in config.model.spaces] == ["envelope", "changenotes"]
    spaces = config.joint.models["both"]
    assert [layer for _, layer in spaces] == ["", "stm"]
    with pytest.raises(MissingInputError, match="my notes"):
        find_space(spaces[1][0]).files_of("a", tmp_path / "a.wav")
    with pytest.raises(UsageError):
        find_space("notes:elsewhere").files_of("a", tmp_path / "a.wav")


def test_what_is_odd_about_notes_is_said(tmp_path, piece):
    space = find_space("notes")
    (said,) = space.remarks_on("piece", piece, 6.0)
    assert "ltm and both" in said
    late, _ = space.remarks_on("piece", piece, 3.0)
    assert "end at 6.0 s, the recording at 3.0 s" in late
    assert "30 notes" in late
    for seconds, words in ((0.006, "0.006 s"), (600.0, "seconds in a recording")):
        with pytest.raises(BadDataError, match=words):
            space.remarks_on("piece", piece, seconds)
    write_table(tmp_path / "piece.mid", [])
    assert any("not from piece.mid" in text for text in space.remarks_on("piece", piece, 6.0))
    with pytest.raises(MissingInputError, match=r"other\.wav"):
        space.remarks_on("other", tmp_path / "other.wav", 6.0)


def test_other_notes_are_other_features(tmp_path, piece):
    first = load_or_compute_grams([("piece", piece)], cache_dir=tmp_path / "c", features="notes")
    assert first.layer_names == ("density", "stm", "uncertainty")
    assert first.hop == 0.1
    again = load_or_compute_grams([("piece", piece)], cache_dir=tmp_path / "c", features="notes")
    assert again.path == first.path
    write_table(tmp_path / "piece_notes.tsv", tune(3))
    other = load_or_compute_grams([("piece", piece)], cache_dir=tmp_path / "c", features="notes")
    assert other.path != first.path


def test_true_surprise_adds_to_density_and_shuffled_surprise_does_not():
    """Events at irregular times: surprise summed over them follows density wherever it is from."""
    rng = np.random.default_rng(5)
    lengths, tr = (150, 170, 190), 1.0
    clocks = [(np.arange(10 * n) + 0.5) / 10 for n in lengths]
    density, true, shuffled = [], [], []
    for n, clock in zip(lengths, clocks, strict=True):
        gaps = rng.choice([0.2, 0.4, 0.8], p=[0.6, 0.3, 0.1], size=6 * n)
        times = np.cumsum(gaps)
        times = times[times < n]
        values = rng.gamma(1.5, 2.0, times.size)
        swells = 1 + np.sin(times / 7) ** 2
        for series, v in (
            (density, np.ones(times.size)),
            (true, values * swells),
            (shuffled, rng.permutation(values * swells)),
        ):
            steps = event_series(times, v, 10 * n, 0.1)[:, np.newaxis]
            series.append(sample_series(steps, clock, np.arange(n) + 0.5, tr, None))

    def later(x):
        return np.roll((x - x.mean(axis=0)) / x.std(axis=0), 5, axis=0)

    responses = []
    for d, s in zip(density, true, strict=True):
        noise = 1.5 * rng.standard_normal((len(d), 40))
        planted = np.hstack([np.tile(later(s), 20), np.tile(later(d), 20)])
        responses.append(planted + noise)
    for surprise, adds in ((true, True), (shuffled, False)):
        joint = plan_joint(
            {"density": feature_gram(density), "surprise": feature_gram(surprise)},
            lengths,
            weights=candidate_weights(2, 20, np.random.default_rng(0)),
            delays=(3.0, 7.0),
            crop=8.0,
            tr=tr,
            alphas=np.logspace(-3, 5, 10),
        )
        unique = fit_joint(joint, responses).unique[1]
        driven, others = unique[:20], unique[20:]
        assert others.mean() < 0.01
        if adds:
            assert driven.mean() > 0.05
            assert (driven > 0).all()
        else:
            assert driven.mean() < 0.01
