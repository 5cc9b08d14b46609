"""Notes from tables, MIDI files and scores; what is no music is refused."""

from __future__ import annotations

import unicodedata
import zipfile

import numpy as np
import pytest

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.features.precomputed import find_precomputed
from bids_app.features.registry import find_space
from bids_app.inputs.notes import find_notes, notes_in, notes_there, read_notes

SCORE = """<?xml version="1.0"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "x.dtd">
<score-partwise><part-list><score-part id="P1"/><score-part id="P2"/></part-list>
<part id="P1">
 <measure number="1">
  <attributes><divisions>2</divisions></attributes>
  <direction><sound tempo="60"/></direction>
  <note><pitch><step>C</step><octave>5</octave></pitch><duration>2</duration></note>
  <note><chord/><pitch><step>E</step><octave>5</octave></pitch><duration>2</duration></note>
  <note><rest/><duration>2</duration></note>
  <note><pitch><step>F</step><alter>1</alter><octave>4</octave></pitch><duration>4</duration>
   <tie type="start"/></note>
 </measure>
 <measure number="2">
  <sound tempo="120"/>
  <note><pitch><step>F</step><alter>1</alter><octave>4</octave></pitch><duration>2</duration>
   <tie type="stop"/></note>
  <note><grace/><pitch><step>A</step><octave>4</octave></pitch></note>
  <note><pitch><step>G</step><octave>4</octave></pitch><duration>2</duration></note>
 </measure>
</part>
<part id="P2">
 <measure number="1">
  <attributes><divisions>1</divisions><transpose><chromatic>-2</chromatic></transpose></attributes>
  <note><pitch><step>C</step><octave>3</octave></pitch><duration>1</duration></note>
  <backup><duration>1</duration></backup>
  <note><pitch><step>D</step><octave>3</octave></pitch><duration>4</duration></note>
 </measure>
</part>
</score-partwise>
"""


def write_midi(path):
    mido = pytest.importorskip("mido")
    file = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    file.tracks.append(track)
    say = mido.Message
    track += [
        mido.MetaMessage("set_tempo", tempo=1_000_000, time=0),
        say("note_on", note=60, velocity=80, time=480),
        say("note_on", note=36, velocity=99, channel=9, time=0),
        say("note_on", note=60, velocity=0, time=240),
        mido.MetaMessage("set_tempo", tempo=500_000, time=0),
        say("note_on", note=64, velocity=40, time=480),
        say("note_off", note=64, velocity=0, time=960),
        say("note_on", note=67, velocity=50, time=0),
        mido.MetaMessage("end_of_track", time=480),
    ]
    file.save(path)


def test_midi_follows_its_tempo(tmp_path):
    write_midi(tmp_path / "piece.mid")
    notes = read_notes(tmp_path / "piece.mid")
    np.testing.assert_allclose(notes.onset, [1.0, 2.0, 3.0], atol=1e-9)
    np.testing.assert_allclose(notes.duration, [0.5, 1.0, 0.5], atol=1e-9)
    assert notes.pitch.tolist() == [60, 64, 67]
    assert notes.velocity.tolist() == [80, 40, 50]
    assert notes.end == pytest.approx(3.5)
    assert notes.remarks == ("1 notes of drums (channel 10) are left out",)


@pytest.mark.parametrize("packed", [False, True])
def test_scores_are_read_in_seconds(tmp_path, packed):
    path = tmp_path / ("piece.mxl" if packed else "piece.musicxml")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(
                "META-INF/container.xml",
                '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>',
            )
            archive.writestr("a.xml", SCORE)
    else:
        path.write_text(SCORE)
    notes = read_notes(path)
    found = list(zip(notes.pitch, notes.onset, notes.duration, strict=True))
    # Quarters: 1 s each in measure 1, 0.5 s after; the second part sounds two semitones lower.
    assert [(int(p), round(o, 6), round(d, 6)) for p, o, d in found] == [
        (46, 0.0, 1.0),
        (48, 0.0, 4.0),
        (72, 0.0, 1.0),
        (76, 0.0, 1.0),
        (66, 2.0, 2.5),
        (67, 4.5, 0.5),
    ]
    assert notes.remarks == ()


def test_what_a_score_does_not_say_is_told(tmp_path):
    text = SCORE.replace('<direction><sound tempo="60"/></direction>', "<repeat/>")
    (tmp_path / "a.musicxml").write_text(text.replace('<sound tempo="120"/>', ""))
    assert read_notes(tmp_path / "a.musicxml").remarks == (
        "its repeats are not played",
        "it says no tempo: 120 quarter notes a minute are taken",
    )


def test_tables_may_lack_velocities(tmp_path):
    (tmp_path / "a_notes.tsv").write_text("onset\tduration\tpitch\n1.5\t1\t60\n0.5\t2\t64\n")
    notes = read_notes(tmp_path / "a_notes.tsv")
    assert notes.onset.tolist() == [0.5, 1.5]
    assert notes.pitch.tolist() == [64, 60]
    assert notes.velocity.tolist() == [64, 64]


@pytest.mark.parametrize(
    ("head", "extra", "told"),
    [
        ("velocity", "", ()),
        (
            "vel",
            "",
            (
                "columns that are not read: vel; there is no column velocity, so that every note "
                "has 64",
            ),
        ),
        ("velocity\tchannel\thand", "\t1\tleft", ("columns that are not read: channel, hand",)),
    ],
)
def test_columns_of_notes_that_are_not_read_are_named(tmp_path, head, extra, told):
    rows = "".join(f"{k}\t1\t{60 + k}\t{40 + k}{extra}\n" for k in range(4))
    (tmp_path / "a_notes.tsv").write_text(f"Onset\tduration\tpitch\t{head}\n{rows}")
    assert read_notes(tmp_path / "a_notes.tsv").remarks == told


@pytest.mark.parametrize(
    ("repeated", "told"), [(0, ()), (1, "1 rows repeat another note"), (3, "3 rows repeat")]
)
def test_notes_that_are_there_twice_are_told(tmp_path, repeated, told):
    rows = [f"{k}\t1\t60\t40\n" for k in range(4)]
    text = "onset\tduration\tpitch\tvelocity\n" + "".join(rows + rows[:repeated])
    (tmp_path / "a_notes.tsv").write_text(text)
    notes = read_notes(tmp_path / "a_notes.tsv")
    assert len(notes.onset) == 4 + repeated
    assert notes.remarks[0].startswith(told) if told else not notes.remarks


def test_notes_that_are_all_there_twice_are_refused(tmp_path):
    rows = "".join(f"{k}\t1\t60\n" for k in range(4))
    (tmp_path / "a_notes.tsv").write_text(f"onset\tduration\tpitch\n{rows}{rows}")
    with pytest.raises(BadDataError, match=r"(?s)more than once.*8 rows, 4 of them different"):
        read_notes(tmp_path / "a_notes.tsv")


@pytest.mark.parametrize(
    "name",
    [
        "calm_notes.csv",
        "Calm_notes.tsv",
        "calm-notes.tsv",
        "calm_notes (1).tsv",
        "calm_notes.tsv.gz",
        "calm.MID",
        "calm (1).mid",
        "calm.xml",
    ],
)
def test_files_that_nearly_are_called_as_the_notes_are_named(tmp_path, name):
    others = ("calm.wav", "calm_beats.tsv", "calm2_notes.tsv", "calmer.mid")
    for path in (*others, name):
        (tmp_path / path).touch()
    with pytest.raises(MissingInputError) as raised:
        find_notes(tmp_path / "calm.wav")
    assert raised.value.found == f"nothing for calm.wav; not read: {name}"
    with pytest.raises(MissingInputError, match=r"nothing for calm\.wav\n"):
        find_notes(tmp_path / "calm.wav", tmp_path / "nowhere")


MIDI_WITHOUT_TIME = b"MThd\0\0\0\6\0\1\0\1\0\0MTrk\0\0\0\x0b\0\x90\x3c\x40\x40\x3c\0\0\xff\x2f\0"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a_notes.tsv", b"onset\tpitch\n1\t60\n", "duration"),
        ("a_notes.tsv", b"onset\tduration\tpitch\n-1\t1\t60\n", "onset -1"),
        ("a_notes.tsv", b"onset\tduration\tpitch\n1\t1\t60.5\n", "pitch 60.5"),
        ("a_notes.tsv", b"onset\tduration\tpitch\n1\t1\t160\n", "pitch 160"),
        ("a_notes.tsv", b"onset\tduration\tpitch\n", "no note"),
        ("a.musicxml", b"<score-timewise/>", "score-timewise"),
        ("a.musicxml", b"<score-partwise><part>", "no element found"),
        ("a.mxl", b"PK\x03\x04", "BadZipFile"),
        (
            "a.musicxml",
            b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;">]><score-partwise>&m;'
            b"</score-partwise>",
            "entities",
        ),
        ("a.musicxml", b"<a>" * 100 + b"</a>" * 100, "elements within elements"),
        ("a.musicxml", b"<a>" + b"<a/>" * (1 << 21) + b"</a>", "elements"),
        ("a.musicxml", b"<score-partwise/>", "Notes cannot be used"),
        ("a.mid", b"MThd" + bytes(1 << 21), "more than a MIDI file can have"),
        ("a.mid", MIDI_WITHOUT_TIME, "division by zero"),
    ],
)
def test_what_is_no_music_is_refused(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((BadDataError, InvalidInputError)) as raised:
        read_notes(tmp_path / name)
    assert told in str(raised.value)
    assert name in str(raised.value)


@pytest.mark.parametrize("content", [b"RIFF", b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk\0\0\0\x10\0"])
def test_broken_midi_is_refused(tmp_path, content):
    pytest.importorskip("mido")
    (tmp_path / "a.mid").write_bytes(content)
    with pytest.raises(BadDataError, match=r"a\.mid"):
        read_notes(tmp_path / "a.mid")


def test_a_bomb_in_a_packed_score_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", b"\0" * (1 << 29))
    with pytest.raises(BadDataError, match="unpack"):
        read_notes(tmp_path / "a.mxl")


def test_notes_lie_beside_the_sound_or_in_a_folder(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    audio = tmp_path / "fugue.wav"
    with pytest.raises(MissingInputError) as raised:
        find_notes(audio)
    for text in ("fugue.wav", "fugue.mid", "fugue_notes.tsv", "fugue.musicxml", str(tmp_path)):
        assert text in str(raised.value)
    (tmp_path / "fugue.mid").touch()
    (folder / "fugue_notes.tsv").touch()
    assert find_notes(audio) == tmp_path / "fugue.mid"
    assert find_notes(audio, folder) == folder / "fugue_notes.tsv"
    assert notes_in(tmp_path) == [tmp_path / "fugue.mid", folder / "fugue_notes.tsv"]


def test_files_that_were_not_fetched_are_there(tmp_path):
    """Else the beats of the sound would take the place of those that are given."""
    audio = tmp_path / "a.wav"
    for name in ("a_notes.tsv", "a_beats.tsv"):
        (tmp_path / name).symlink_to(f"../.git/annex/objects/{name}")
    assert notes_there(audio) == [tmp_path / "a_notes.tsv"]
    with pytest.raises(MissingInputError, match="datalad get"):
        read_notes(tmp_path / "a_notes.tsv")
    with pytest.raises(MissingInputError, match="datalad get"):
        find_space("expression").remarks_on("a", audio, 10.0)
    with pytest.raises(MissingInputError, match="datalad get"):
        find_precomputed(tmp_path, "a_notes")


def test_notes_are_found_in_any_form_of_their_name(tmp_path):
    path = tmp_path / unicodedata.normalize("NFD", "Käse_notes.tsv")
    path.write_text("onset\tduration\tpitch\n1\t1\t60\n")
    assert notes_there(tmp_path / unicodedata.normalize("NFC", "Käse.wav")) == [path]
