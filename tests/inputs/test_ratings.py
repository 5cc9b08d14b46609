"""Ratings from tables and BIDS files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from real_data import DATA

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError, MusencError
from bids_app.inputs.rating_files import find_rating_files, read_rating_files
from bids_app.inputs.ratings import Rating, RatingSet, crop_ratings, read_ratings_table
from bids_app.inputs.records import BoldRun, Presentation

KSMPC = DATA / "ratings/ksmpc"
# Seconds of music, from the envelopes that come with the ratings.
SONGS = {f"song{i + 1}": d for i, d in enumerate((153.0, 153, 135, 170, 186, 121, 164))}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def run(participant: str, task: str, *presentations: Presentation) -> BoldRun:
    entities = {"sub": participant, "task": task}
    nowhere = Path("x")
    return BoldRun(
        entities, "fsaverage5", nowhere, nowhere, None, None,
        1.0, "", 0.0, "", 200, 0, presentations, (), (),
    )  # fmt: skip


def course(n: int = 100, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).standard_normal(n))


def test_table_with_one_line_per_sample(tmp_path):
    lines = ["participant_id\tstim_file\ttime\tEmotionality\tEnjoyment"]
    expected = {}
    for sub in ("01", "02"):
        for stimulus in ("happy", "sad"):
            expected[sub, stimulus] = course(51, seed=len(expected))
            lines += [
                f"sub-{sub}\tmusic/{stimulus}.wav\t{k / 5}\t{v:.6f}\tn/a"
                for k, v in enumerate(expected[sub, stimulus])
            ]
    found = read_ratings_table(
        write(tmp_path / "r.tsv", "\n".join(lines)), {"happy": 10.0, "sad": 8.0}
    )
    assert found.scales == ("Emotionality",)
    assert found.participants == ("01", "02")
    rating = found.find("02", "sad", "Emotionality")
    assert rating is not None
    np.testing.assert_allclose(rating.times, np.arange(41) / 5)
    np.testing.assert_allclose(rating.values, expected["02", "sad"][:41], atol=1e-6)
    assert found.missing("01", ["happy", "sad"], ["Emotionality", "Enjoyment"]) == (
        "Enjoyment of happy",
        "Enjoyment of sad",
    )


def test_group_mean_stands_for_everybody_but_own_ratings_win():
    t = np.arange(3.0)
    own, mean = (Rating(who, "happy", "Joy", t, t, "f") for who in ("01", None))
    found = RatingSet((own, mean))
    assert found.find("01", "happy", "Joy") is own
    assert found.find("02", "happy", "Joy") is mean
    assert found.find("02", "sad", "Joy") is None


def test_held_values_after_the_end_are_cropped():
    times = np.arange(1.0, 61.0)
    values = course(60)[:, None]
    values[40:] = values[39]
    keep, warnings = crop_ratings(times, values, 40.0)
    assert times[keep][-1] == 40.0
    assert "20.0 s after the end" in warnings[0]
    assert "held" in warnings[0]
    keep, warnings = crop_ratings(times, values, None)
    assert times[keep][-1] == 40.0
    assert "held for 20.0 s" in warnings[0]


def test_a_recording_that_stopped_before_the_end_is_named():
    times = np.arange(1.0, 61.0)
    values = course(60)[:, None]
    values[20:] = values[19]
    keep, warnings = crop_ratings(times, values, 40.0)
    assert times[keep][-1] == 40.0
    assert "constant from 20.0 s on, 20.0 s before the end" in warnings[1]


def test_rest_of_the_slider_within_the_music_stays():
    times = np.arange(0.0, 40.0)
    values = course(40)[:, None]
    values[20:] = values[19]
    keep, warnings = crop_ratings(times, values, 40.0)
    assert keep.all()
    assert warnings == ()


@pytest.mark.skipif(not KSMPC.is_dir(), reason=f"no real ratings at {KSMPC}")
def test_real_ratings_one_file_per_scale(tmp_path):
    scales = ("joy", "sad", "beauty", "chills", "touched", "warmth", "connection")
    table = ["stimulus\tratings_file"]
    table += [f"{song}.wav\t{KSMPC}/{scale}_{song}.csv" for song in SONGS for scale in scales]
    found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(table)), SONGS)
    assert set(found.scales) == set(scales)
    assert len(found.ratings) == 49
    for rating in found.ratings:
        assert rating.participant is None
        assert rating.times[0] == 1.0
        assert rating.times[-1] == SONGS[rating.stimulus]
    sixth = found.find("01", "song6", "joy")
    assert sixth is not None
    assert (
        "65.0 s after the end of the music cropped (with the last value held)"
        in (sixth.warnings[0])
    )
    first = found.find("01", "song1", "joy")
    assert first is not None
    assert "constant from 139.0 s on" in first.warnings[1]


@pytest.mark.skipif(not KSMPC.is_dir(), reason=f"no real ratings at {KSMPC}")
def test_real_ratings_without_known_durations_end_where_they_stop_changing(tmp_path):
    import pandas as pd

    from bids_app.inputs.ratings import ratings_of_frame

    path = KSMPC / "joy_song6.csv"
    frame = pd.read_csv(path, dtype=str)
    (rating,) = ratings_of_frame(
        frame, scales=(), participant=None, stimulus="song6", duration=None, source=path
    )
    assert rating.times[-1] == 121.0


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("stimulus\tJoy\nhappy\t1\n", InvalidInputError, "lacks a column"),
        ("time\tJoy\n1\t1\n", InvalidInputError, "lacks a column"),
        ("stimulus\ttime\nhappy\t1\nhappy\t2\n", InvalidInputError, "no scale"),
        ("stimulus\ttime\tJoy\nhappy\t1\ta lot\n", InvalidInputError, "'a lot'"),
        ("stimulus\ttime\tJoy\nhappy\t2\t1\nhappy\t1\t1\n", BadDataError, "do not increase"),
        ("stimulus\ttime\tJoy\nhappy\t20\t1\nhappy\t21\t1\n", BadDataError, "do not overlap"),
        ("stimulus\ttime\tJoy\nother\t1\t1\n", BadDataError, "other"),
        ("stimulus\tratings_file\nhappy\tnone.tsv\n", MissingInputError, "none.tsv"),
    ],
)
def test_bad_tables(tmp_path, text, error, words):
    with pytest.raises(error, match=words):
        read_ratings_table(write(tmp_path / "r.tsv", text), {"happy": 10.0})


@pytest.mark.parametrize("name", ["participant", "Subject", "sub", "pid"])
def test_participants_may_be_called_otherwise(tmp_path, name):
    rows = [f"{who}\thappy\t{t}\t{k + t % 3}" for k, who in enumerate("12") for t in range(60)]
    text = "\n".join([f"{name}\tstimulus\ttime\tJoy", *rows])
    found = read_ratings_table(write(tmp_path / "r.tsv", text), {"happy": 60.0})
    assert found.participants == ("1", "2")
    assert found.scales == ("Joy",)


def test_no_table(tmp_path):
    with pytest.raises(MissingInputError, match="not found"):
        read_ratings_table(tmp_path / "r.tsv", {"happy": 10.0})


def test_other_music_is_left_out_and_said_so(tmp_path):
    text = "stimulus\ttime\tJoy\nhappy\t1\t1\nhappy\t9\t2\nother\t1\t1\nother\t2\t1\n"
    found = read_ratings_table(write(tmp_path / "r.tsv", text), {"happy": 10.0})
    assert [r.stimulus for r in found.ratings] == ["happy"]
    assert "other" in found.warnings[0]


def test_a_scale_rated_twice_is_an_error():
    t = np.arange(3.0)
    with pytest.raises(InvalidInputError, match="twice"):
        RatingSet(tuple(Rating("01", "happy", "Joy", t, t, f) for f in ("a", "b")))


def bids_stim(root: Path, folder: str, start: float, values: np.ndarray, name="") -> Path:
    stem = root / f"sub-01/{folder}/sub-01_task-happy{name}_stim"
    text = "\n".join(f"{a:.6f}\t{b:.6f}" for a, b in values)
    meta = {"StartTime": start, "SamplingFrequency": 5, "Columns": ["Emotionality", "Enjoyment"]}
    write(stem.with_suffix(".json"), json.dumps(meta))
    return write(Path(f"{stem}.tsv.gz"), text)


@pytest.mark.parametrize(("folder", "start"), [("func", 9.5), ("beh", 2.0)])
def test_bids_times_count_from_the_run_or_from_the_music(tmp_path, folder, start):
    values = np.stack([course(100), course(100, 1)], axis=1)
    bids_stim(tmp_path, folder, start, values)
    heard = [run("01", "happy", Presentation("pieceA", 7.5, 0.0, 15.0))]
    paths = find_rating_files(tmp_path, ["01"])
    found = read_rating_files(paths, tmp_path, heard, {"pieceA": 15.0})
    rating = found.find("01", "pieceA", "Enjoyment")
    assert rating is not None
    # Either way the first sample is at second 2 of the music, and the last within its 15 s.
    np.testing.assert_allclose(rating.times, 2.0 + np.arange(66) / 5)
    np.testing.assert_allclose(rating.values, values[:66, 1], atol=1e-6)


def test_bids_beh_table_and_group_mean(tmp_path):
    body = "\n".join(f"happy.wav\t{k / 2}\t{k}" for k in range(20))
    write(tmp_path / "sub-01/beh/sub-01_task-rate_beh.tsv", f"stim_file\ttime\tJoy\n{body}\n")
    write(tmp_path / "task-happy_stim.tsv.gz", "\n".join(str(k**2) for k in range(20)))
    meta = {"StartTime": 0, "SamplingFrequency": 2, "Columns": ["Joy"]}
    write(tmp_path / "task-happy_stim.json", json.dumps(meta))
    paths = find_rating_files(tmp_path, ["01", "02"])
    heard = [run(sub, "happy", Presentation("happy", 5.0, 0.0, 9.5)) for sub in ("01", "02")]
    found = read_rating_files(paths, tmp_path, heard, {"happy": 9.5})
    own, mean = found.find("01", "happy", "Joy"), found.find("02", "happy", "Joy")
    assert own is not None
    assert mean is not None
    assert own.values[3] == 3
    assert mean.values[3] == 9
    assert mean.participant is None


def test_behavior_that_is_no_continuous_rating_is_left_out(tmp_path):
    write(tmp_path / "sub-01/beh/sub-01_task-happy_beh.tsv", "trial\tanswer\n1\t2\n")
    found = read_rating_files(find_rating_files(tmp_path, ["01"]), tmp_path, [], {"happy": 10.0})
    assert found.ratings == ()
    assert "no continuous ratings" in found.warnings[0]


def test_bids_columns_must_be_named(tmp_path):
    path = bids_stim(tmp_path, "beh", 0.0, np.ones((3, 2)))
    path.with_name(path.name.replace(".tsv.gz", ".json")).write_text('{"SamplingFrequency": 5}')
    with pytest.raises(InvalidInputError, match="name its columns"):
        read_rating_files([path], tmp_path, [], {"happy": 10.0})


def broken_json(path: Path, **fields) -> None:
    side = path.with_name(path.name.replace(".tsv.gz", ".json"))
    write(side, json.dumps({**json.loads(side.read_text()), **fields}))


FAULTS = {
    "empty": (lambda p: p.write_bytes(b""), "empty file"),
    "no_gzip": (lambda p: p.write_text("1\t2\n"), "cannot be unpacked"),
    "no_json": (lambda p: p.with_name("sub-01_task-happy_stim.json").unlink(), "name its columns"),
    "columns": (lambda p: broken_json(p, Columns=["a", "b", "c"]), "name its columns"),
    "rate": (lambda p: broken_json(p, SamplingFrequency="5 Hz"), "sampling of a file"),
    "short": (lambda p: broken_json(p, SamplingFrequency=50), "less than half"),
    "twice": (
        lambda p: bids_stim(p.parents[2], "beh", 0.0, np.ones((100, 2)), "_recording-b"),
        "rated twice",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_file_of_one_participant_is_left_out_and_told(tmp_path, fault):
    values = np.stack([course(100), course(100, 1)], axis=1)
    own = bids_stim(tmp_path, "beh", 0.0, values)
    for end in (".json", ".tsv.gz"):
        source = own.with_name(own.name.replace(".tsv.gz", end))
        other = tmp_path / f"sub-02/beh/sub-02_task-happy_stim{end}"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(source.read_bytes())
    spoil, words = FAULTS[fault]
    spoil(own)
    heard = [run(who, "happy", Presentation("happy", 5.0, 0.0, 20.0)) for who in ("01", "02")]
    paths = find_rating_files(tmp_path, ["01", "02"])
    found = read_rating_files(paths, tmp_path, heard, {"happy": 20.0})
    assert found.participants == ("02",)
    assert {who for who, _ in found.faults} == {"01"}
    for _, text in found.faults:
        assert words in text
        assert own.name in text
    # What everybody has is an error, and so is what stands for everybody.
    with pytest.raises(MusencError, match=words):
        read_rating_files(paths, tmp_path, heard[:1], {"happy": 20.0})


def test_a_broken_mean_of_the_group_is_an_error(tmp_path):
    path = write(tmp_path / "task-happy_stim.tsv.gz", "1\n2\n")
    heard = [run(who, "happy", Presentation("happy", 5.0, 0.0, 20.0)) for who in ("01", "02")]
    with pytest.raises(InvalidInputError, match="name its columns"):
        read_rating_files([path], tmp_path, heard, {"happy": 20.0})


def test_times_with_decimal_commas_are_named_with_their_line(tmp_path):
    people = ("01", "02")
    for who in people:
        rows = [f"{t / 5:g}".replace(".", "," if who == "01" else ".") + f"\t{t % 7}"
                for t in range(100)]  # fmt: skip
        text = "\n".join(["time\tJoy", *rows])
        write(tmp_path / f"sub-{who}/beh/sub-{who}_task-happy_beh.tsv", text)
    heard = [run(who, "happy", Presentation("happy", 5.0, 0.0, 20.0)) for who in people]
    paths = find_rating_files(tmp_path, people)
    found = read_rating_files(paths, tmp_path, heard, {"happy": 20.0})
    assert found.participants == ("02",)
    ((who, text),) = found.faults
    assert who == "01"
    assert "column time, line 3 '0,2' and 79 more" in text


def test_a_questionnaire_with_the_time_of_day_is_left_out(tmp_path):
    path = write(
        tmp_path / "sub-01/beh/sub-01_task-happy_beh.tsv", "time\tliking\n10:30\t7\n10:40\t6\n"
    )
    found = read_rating_files([path], tmp_path, [run("01", "happy")], {"happy": 10.0})
    assert not found.ratings
    assert not found.faults
    assert f"{path.name}: " in found.warnings[0]
    assert "no continuous ratings; left out" in found.warnings[0]


def sampled(times: np.ndarray, *columns: np.ndarray, names: str = "time\tJoy") -> str:
    rows = np.column_stack([times, *columns])
    body = "\n".join("happy\t" + "\t".join(f"{x:.6g}" for x in row) for row in rows)
    return f"stimulus\t{names}\n{body}\n"


UNITS = {
    "milliseconds": (lambda t: 1000 * t, "long after the music(.|\n)*in milliseconds"),
    "microseconds": (lambda t: 1e6 * t, "long after the music(.|\n)*in microseconds"),
    "minutes": (lambda t: t / 60, "less than half(.|\n)*in minutes"),
    "samples": (lambda t: 10 * t, "long after the music"),
    "late": (lambda t: t + 40, "long after"),
    "since_midnight": (lambda t: t + 36000, "do not overlap"),
    "kilohertz": (lambda t: t / 1000, "less than half"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_times_of_another_unit_are_refused(tmp_path, unit):
    times = np.arange(0, 60, 0.1)
    change, words = UNITS[unit]
    path = write(tmp_path / "r.tsv", sampled(change(times), course(600)))
    with pytest.raises(BadDataError, match=words) as error:
        read_ratings_table(path, {"happy": 60.0})
    assert error.value.remedy
    # The right unit is accepted without a word.
    write(path, sampled(times, course(600)))
    (rating,) = read_ratings_table(path, {"happy": 60.0}).ratings
    assert rating.warnings == ()
    assert len(rating.times) == 600


@pytest.mark.parametrize(("rate", "start"), [(0.01, 0), (0.2, 0), (50, 0), (1, 0), (5, 4000)])
@pytest.mark.parametrize("folder", ["beh", "func"])
def test_sampling_of_another_unit_is_refused(tmp_path, folder, rate, start):
    values = np.stack([course(400), course(400, 1)], axis=1)
    path = bids_stim(tmp_path, folder, 0.0, values)
    heard = [run("01", "happy", Presentation("pieceA", 4.0, 0.0, 76.0))]
    found = read_rating_files([path], tmp_path, heard, {"pieceA": 76.0})
    assert len(found.ratings) == 2
    side = path.with_name(path.name.replace(".tsv.gz", ".json"))
    meta = {**json.loads(side.read_text()), "SamplingFrequency": rate, "StartTime": start}
    write(side, json.dumps(meta))
    if folder == "func" and rate == 1:
        return  # 400 s in a run of 200 s: not twice as long
    with pytest.raises(BadDataError, match=r"half of the music|long after|longer than|not overlap"):
        read_rating_files([path], tmp_path, heard, {"pieceA": 76.0})


def test_a_gap_is_told_and_a_long_one_not_bridged(tmp_path):
    times = np.arange(0, 60, 0.1)
    for length, words in ((0.5, ""), (3.0, "gap from 30.0 to 33.0"), (12.0, "too long to bridge")):
        keep = (times <= 30) | (times >= 30 + length - 1e-9)
        text = sampled(
            times[keep], course(600)[keep], course(600, 1)[keep], names="time\tJoy\tCalm"
        )
        body = text.splitlines()
        # Calm was recorded over all of the music, in lines of its own.
        body += [
            f"happy\t{t:.6g}\tn/a\t{v:.6g}"
            for t, v in zip(times[~keep], course(600)[~keep], strict=True)
        ]
        body[1:] = sorted(body[1:], key=lambda line: float(line.split("\t")[1]))
        found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(body)), {"happy": 60.0})
        assert found.find("01", "happy", "Calm").warnings == ()
        joy = found.find("01", "happy", "Joy")
        if length > 10:
            assert joy is None
            assert words in found.warnings[0]
            assert "30.0 to 42.0" in found.warnings[0]
        else:
            assert words in " ".join(joy.warnings)
            assert bool(words) == bool(joy.warnings)


def test_slow_ratings_have_no_gaps(tmp_path):
    times = np.arange(0, 120, 8.0)
    path = write(tmp_path / "r.tsv", sampled(times, course(15)))
    (rating,) = read_ratings_table(path, {"happy": 120.0}).ratings
    assert "gap" not in " ".join(rating.warnings)


def test_ratings_of_a_part_say_so(tmp_path):
    times = np.arange(12, 60, 0.1)
    path = write(tmp_path / "r.tsv", sampled(times, course(len(times))))
    (rating,) = read_ratings_table(path, {"happy": 60.0}).ratings
    assert "ratings from 12.0 to 59.9 s" in rating.warnings[0]


def test_columns_that_nobody_felt_are_left_out(tmp_path):
    times = np.arange(0, 60, 0.1)
    n = len(times)
    pulses = np.zeros(n)
    pulses[::20] = 255
    columns = {
        "Joy": course(n),
        "Chills": np.repeat(np.arange(n // 10) % 7 == 3, 10).astype(float),
        "": np.arange(n),
        "Unnamed: 0": np.arange(n) + 3,
        "timestamp": 1.7e9 + times,
        "time_ms": 1000 * times,
        "trial_index": np.ones(n),
        "Trigger": pulses,
        "pulse": pulses,
        "scanner clock": times,
        "n": np.arange(n) + 1,
        "growing": np.cumsum(np.random.default_rng(0).uniform(1, 2, n)),
        "constant": np.full(n, 3.0),
        "remaining": n - np.arange(n),
        "volume": np.arange(n) // 20,
        "slow": 5.0 * (np.arange(n) % 4 == 0),
        "block": np.arange(n) // (n // 2),
        "cardiac": course(n, 4),
    }
    path = write(
        tmp_path / "r.tsv", sampled(times, *columns.values(), names="\t".join(["time", *columns]))
    )
    found = read_ratings_table(path, {"happy": 60.0})
    assert found.scales == ("Joy", "Chills")
    told = " ".join(found.warnings)
    for name in set(columns) - {"Joy", "Chills"}:
        assert name in told
    # Who asks for a column gets it.
    chosen = read_ratings_table(path, {"happy": 60.0}, scales=["growing", "Joy"])
    assert chosen.scales == ("growing", "Joy")
    assert chosen.warnings == ()


def test_comments_beside_scales_are_left_out(tmp_path):
    lines = ["stimulus\ttime\tJoy\tremark"]
    lines += [f"happy\t{k}\t{k % 3}\t{'' if k else 'late start'}" for k in range(10)]
    found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(lines)), {"happy": 10.0})
    assert found.scales == ("Joy",)
    assert "remark" in found.warnings[0]


def test_a_scale_that_one_participant_left_alone_stays(tmp_path):
    lines = ["participant_id\tstimulus\ttime\tJoy"]
    lines += [
        f"{who}\thappy\t{k}\t{k % 3 * (who == '01')}" for who in ("01", "02") for k in range(10)
    ]
    found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(lines)), {"happy": 10.0})
    assert found.scales == ("Joy",)
    assert found.participants == ("01", "02")


HAPPY = {"happy": 60.0}


def samples(who: str = "", column: str = "") -> str:
    """A recording, each row of which names this participant where there is a column."""
    rows = ["time\tJoy", *(f"{t}\t{value}" for t, value in enumerate(course(60)))]
    if column:
        rows = [f"{column if k == 0 else who}\t{row}" for k, row in enumerate(rows)]
    return "\n".join(rows)


def listed(tmp_path: Path, header: str, *rows: str) -> Path:
    return write(tmp_path / "list.tsv", "\n".join([header, *rows]))


@pytest.mark.parametrize("label", ["NA", "null", "<NA>", "01"])
def test_ids_are_labels_and_no_missing_values(tmp_path, label):
    lines = ["participant_id\tstimulus\ttime\tJoy"]
    lines += [f"{who}\thappy\t{t}\t{(t + k) % 7}" for k, who in enumerate((label, "02"))
              for t in range(60)]  # fmt: skip
    lines[5] = lines[5].rsplit("\t", 1)[0] + "\tNA"
    found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(lines)), HAPPY)
    assert set(found.participants) == {label, "02"}
    # Among numbers it is an absent value.
    assert len(found.find(label, "happy", "Joy").values) == 59
    assert found.find("03", "happy", "Joy") is None
    assert found.warnings == ()


@pytest.mark.parametrize("cell", ["", "n/a"])
def test_rows_without_participant_are_named(tmp_path, cell):
    lines = ["participant_id\tstimulus\ttime\tJoy"]
    lines += [f"{who}\thappy\t{t}\t{(t + k) % 7}" for k, who in enumerate((cell, "02"))
              for t in range(60)]  # fmt: skip
    found = read_ratings_table(write(tmp_path / "r.tsv", "\n".join(lines)), HAPPY)
    assert found.participants == ("02",)
    assert found.of_the_group("03", ["happy"], "Joy") == ("happy",)
    assert found.of_the_group("02", ["happy"], "Joy") == ()
    (told,) = found.warnings
    assert "60 of 120 rows have nothing in the column participant_id" in told
    assert "everybody without ratings of their own" in told


@pytest.mark.parametrize("name", ["vp", "VPN", "proband", "SubjectID", "person", "rater"])
def test_lists_may_call_participants_otherwise(tmp_path, name):
    write(tmp_path / "a.tsv", samples())
    path = listed(tmp_path, f"{name}\tstimulus\tratings_file", "01\thappy\ta.tsv")
    assert read_ratings_table(path, HAPPY).participants == ("01",)


@pytest.mark.parametrize("name", ["ID", "code"])
def test_a_column_of_a_list_that_may_name_participants_is_refused(tmp_path, name):
    write(tmp_path / "a.tsv", samples())
    path = listed(tmp_path, f"{name}\tstimulus\tratings_file", "01\thappy\ta.tsv")
    words = f"may name participants(.|\n)*column {name}(.|\n)*01(.|\n)*participant_id"
    with pytest.raises(InvalidInputError, match=words):
        read_ratings_table(path, HAPPY)
    header = f"{name}\tstimulus\tratings_file\tparticipant_id"
    found = read_ratings_table(listed(tmp_path, header, "7\thappy\ta.tsv\t01"), HAPPY)
    assert found.participants == ("01",)
    assert f"not read: '{name}'" in found.warnings[0]


def test_columns_of_a_list_that_are_not_read_are_named(tmp_path):
    write(tmp_path / "a.tsv", samples())
    path = listed(tmp_path, "stimulus\tratings_file\tsession\tremark", "happy\ta.tsv\t1\tlate")
    found = read_ratings_table(path, HAPPY)
    assert found.participants == ()
    assert "not read: 'session', 'remark'" in found.warnings[0]


def test_participants_inside_the_files_of_a_list_count(tmp_path):
    write(tmp_path / "a.tsv", samples("sub-01", "participant_id"))
    path = listed(tmp_path, "stimulus\tratings_file", "happy\ta.tsv")
    found = read_ratings_table(path, HAPPY)
    assert found.participants == ("01",)
    assert found.find("02", "happy", "Joy") is None
    both = samples("01", "vp") + "\n" + samples("02", "vp").partition("\n")[2]
    write(tmp_path / "a.tsv", both)
    assert read_ratings_table(path, HAPPY).participants == ("01", "02")


@pytest.mark.parametrize(("inside", "fits"), [("02", True), ("2", True), ("01", False)])
def test_a_file_of_somebody_else_than_the_list_says_is_refused(tmp_path, inside, fits):
    write(tmp_path / "a.tsv", samples(inside, "participant_id"))
    path = listed(tmp_path, "participant_id\tstimulus\tratings_file", "02\thappy\ta.tsv")
    if fits:
        assert read_ratings_table(path, HAPPY).participants == ("02",)
        return
    with pytest.raises(InvalidInputError, match=r"a\.tsv(.|\n)*found: 01(.|\n)*02, as the table"):
        read_ratings_table(path, HAPPY)
