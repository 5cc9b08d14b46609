"""``musenc onset``: the curve, the row, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from listeners import write_listeners, write_table

from bids_app.analyses.participant.onsets import lags_to_try
from bids_app.cli.onset import describe, part_of, runs_of, text_plot
from bids_app.cli.tools import main
from bids_app.inputs.records import Presentation
from bids_app.inputs.stimuli import StimulusRow

ONSET = 17.0


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_listeners(tmp_path_factory.mktemp("onset") / "study", onset=ONSET)


def printed_row(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[lines.index("task\tstim_file\tonset") + 1].split("\t")


@pytest.mark.parametrize("column", ["", "\tonset"])
def test_onset_is_found_from_a_table_without_it(study, tmp_path, capsys, column):
    row = "song\tstimuli/song.wav" + ("\t10" if column else "")
    table = write_table(study, row, columns="task\tstim_file" + column)
    out = tmp_path / "out"
    options = ["--stimuli", str(table), "--confounds", "none", "--output-dir", str(out)]
    assert main(["onset", str(study), *options]) == 0
    text = capsys.readouterr().out
    task, stim_file, onset = printed_row(text)
    assert (task, stim_file) == ("song", "stimuli/song.wav")
    assert float(onset) == pytest.approx(ONSET, abs=1.0)
    assert "3 participants" in text
    assert float(re.search(r"p ([\d.]+) against random phases", text)[1]) < 0.01
    assert "minus 5 s of expected hemodynamic delay" in text
    assert text.count(" |") >= 10
    low, high = map(float, re.search(r"interval ([\d.]+) to ([\d.]+) s", text).groups())
    assert low <= high
    curve = pd.read_csv(out / "task-song_stim-song_desc-onset_timeseries.tsv", sep="\t")
    peak = curve.lag_s[np.argmax(curve.r)]
    assert peak == pytest.approx(ONSET - (10 if column else 0) + 5, abs=1.0)
    assert (curve.low <= curve.r + 1e-5).all()
    assert (out / "task-song_stim-song_desc-onset_timeseries.png").stat().st_size > 5000


def test_file_can_be_given_without_a_table_and_without_high_pass(study, capsys):
    pair = f"song={study / 'stimuli' / 'song.wav'}"
    options = ["--stim", pair, "--confounds", "none", "--participant-label", "02"]
    options += ["--high-pass", "0"]
    assert main(["onset", str(study), *options]) == 0
    text = capsys.readouterr().out
    assert float(printed_row(text)[2]) == pytest.approx(ONSET, abs=1.5)
    assert "no interval from one participant" in text


def test_no_onset_is_proposed_on_noise(tmp_path, capsys):
    noise = write_listeners(tmp_path / "noise", onset=ONSET, strength=0.0)
    table = write_table(noise, "song\tstimuli/song.wav", columns="task\tstim_file")
    assert main(["onset", str(noise), "--stimuli", str(table), "--confounds", "none"]) == 0
    text = capsys.readouterr().out
    assert "unclear: noise gives such a maximum too" in text
    assert "follows the assumed start" not in text
    assert "stim_file\tonset" not in text


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--stim", "song"], 2, "TASK=FILE"),
        (["--stim", "song=a.wav", "--stimuli", "b.tsv"], 2, "exclude each other"),
        (["--stimuli", "/no/table.tsv"], 66, "/no/table.tsv"),
        (["--stim", "song=/no/song.wav"], 66, "/no/song.wav"),
        ([], 66, "no stimulus"),
    ],
)
def test_what_cannot_be_is_refused(study, capsys, options, code, words):
    assert main(["onset", str(study), "--confounds", "none", *options]) == code
    assert words in capsys.readouterr().err


def _run(session, run, *stimuli):
    heard = [SimpleNamespace(stimulus=name) for name in stimuli]
    return SimpleNamespace(task="music", session=session, run=run, presentations=heard)


def test_the_row_says_in_which_runs_the_piece_was_played():
    runs = [_run("pre", "1", "a", "b"), _run("pre", "2", "a"), _run(None, None, "a")]
    assert runs_of(runs, "music", "a") == [{}]
    assert runs_of(runs, "music", "b") == [{"session": "pre", "run": "1"}]
    lags = np.arange(0.0, 20.0)
    curve = -((lags - 8) ** 2) / 100 + 0.6
    found = SimpleNamespace(
        lags=lags, curve=curve, band=(curve, curve), r=0.6, p=0.001, clear=True, low=7.5, high=8.5,
        lag=8.0, state="clear",
    )  # fmt: skip
    estimate = SimpleNamespace(
        task="music", stimulus="b", onsets=(10.0,), participants=("01",), found=found, shift=3.0
    )
    lines = describe(estimate, "b.wav", runs_of(runs, "music", "b")).splitlines()
    assert lines[-2:] == ["task\tstim_file\tonset\tsession\trun", "music\tb.wav\t13.0\tpre\t1"]
    lines = describe(estimate, "b.wav", [{}], {"offset": "30", "duration": "60"}).splitlines()
    assert lines[-2:] == ["task\tstim_file\tonset\toffset\tduration", "music\tb.wav\t13.0\t30\t60"]
    assert describe(estimate, "b.wav", [{}], None).endswith("add 3.0 to each of the onsets")


def test_the_row_says_which_part_of_the_file_was_played():
    estimate, path = SimpleNamespace(task="music", stimulus="b"), Path("b.wav")

    def row(offset, duration, **keys):
        return StimulusRow(path, 0.0, offset, duration, {"task": "music", **keys}, "table")

    other = StimulusRow(path, 0.0, 5.0, None, {"task": "rest"}, "table")
    assert part_of([row(0.0, None), other], [], estimate, path) == {}
    assert part_of([row(30.0, 60.0)] * 2, [], estimate, path) == {"offset": "30", "duration": "60"}
    assert part_of([row(30.0, None), row(0.0, None)], [], estimate, path) is None
    assert part_of([row(0.0, None, sub="01")], [], estimate, path) is None
    heard = [SimpleNamespace(stimulus="b", offset=2.5, duration=40.0)]
    runs = [SimpleNamespace(task="music", presentations=heard)]
    assert part_of([], runs, estimate, path) == {"offset": "2.5", "duration": "40"}


@pytest.mark.parametrize(
    ("onset", "duration", "latest"), [(0, 62, 129), (84, 62, 45), (140, 62, 10), (0, 400, 80)]
)
def test_at_least_half_of_the_music_lies_in_the_run_at_every_lag(onset, duration, latest):
    run, heard = SimpleNamespace(n_volumes=80, tr=2.0), Presentation("song", onset, 0.0, duration)
    assert lags_to_try([(run, heard)])[[0, -1]].tolist() == [-15, latest]


def test_lags_without_a_correlation_stay_empty():
    lags = np.arange(0.0, 20.0)
    curve = np.where(lags < 10, 0.5, np.nan)
    found = SimpleNamespace(lags=lags, curve=curve, band=(curve, curve), clear=False)
    drawn = text_plot(found).splitlines()
    assert max(line.rfind("*") for line in drawn) < len(drawn[-1]) * 0.65
    assert sum("*" in line for line in drawn) == 1
