"""A file that events name again before it has ended."""

from __future__ import annotations

import pytest
from planning import plan_study

SEGMENTS = [f"{1 + 4 * k}\t4\tpiece_a.wav" for k in range(4)]  # 16 s of music


def heard(tree, *rows):
    tree.simple(participants=("01",), n_volumes=60)
    tree.events(*rows, sub="01", task="a")
    (run, *_) = plan_study(tree.root).runs
    return [(p.onset, p.offset, p.duration) for p in run.presentations], run.warnings


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (SEGMENTS, (1, 0, 16)),
        (SEGMENTS[::-1], (1, 0, 16)),
        (SEGMENTS[:3], (1, 0, 12)),
        ([*SEGMENTS[:3], "13\tn/a\tpiece_a.wav"], (1, 0, 16)),
        (["1\t3.98\tpiece_a.wav", "5\t3.98\tpiece_a.wav"], (1, 0, 7.98)),
    ],
)
def test_segments_without_a_pause_are_one_presentation(tree, rows, expected):
    found, warnings = heard(tree, *rows)
    assert found == [pytest.approx(expected)]
    assert "taken for one presentation" in " ".join(warnings)


@pytest.mark.parametrize(
    "rows",
    [
        ["1\tn/a\tpiece_a.wav", "6\t1\tpiece_a.wav"],  # a question during the music
        ["1\t16\tpiece_a.wav", "9\t0\tpiece_a.wav"],
        ["1\t4\tpiece_a.wav", "8\t4\tpiece_a.wav"],  # a pause
        ["1\t4\tpiece_a.wav", "3\t4\tpiece_a.wav"],  # an overlap
        ["1\t16\tpiece_a.wav", "1\t16\tpiece_a.wav"],  # twice the same row
        [f"{1 + 10 * k}\t10\tpiece_a.wav" for k in range(4)],  # longer in all than the file
    ],
)
def test_where_the_file_went_on_or_began_again_is_not_guessed(tree, rows):
    tree.simple(participants=("01",), n_volumes=60)
    tree.events(*rows, sub="01", task="a")
    plan = plan_study(tree.root)
    assert [run.label for run in plan.runs] == ["sub-01_task-b"]
    (fault,) = plan.skipped
    assert fault.problem
    for words in ("before it has ended", "line 2", "column offset"):
        assert words in fault.reason


def test_a_file_that_ended_before_is_heard_again(tree):
    found, warnings = heard(
        tree, "1\t16\tpiece_a.wav", "17\t16\tpiece_a.wav", "60\tn/a\tpiece_a.wav"
    )
    assert found == [(1, 0, 16), (17, 0, 16), (60, 0, 16)]
    assert "one presentation" not in " ".join(warnings)


def test_a_table_says_where_playing_starts(tree):
    tree.simple(participants=("01",), n_volumes=60)
    header = "task\tstim_file\tonset\toffset\tduration"
    rows = ["a\tstimuli/piece_a.wav\t1\t0\t4", "a\tstimuli/piece_a.wav\t10\t4\t4"]
    (run,) = plan_study(tree.root, table=tree.table(*rows, header=header)).runs
    assert [(p.onset, p.offset, p.duration) for p in run.presentations] == [(1, 0, 4), (10, 4, 4)]
    # The first four seconds, twice.
    rows[1] = "a\tstimuli/piece_a.wav\t10\t0\t4"
    (run,) = plan_study(tree.root, table=tree.table(*rows, header=header)).runs
    assert [(p.onset, p.offset, p.duration) for p in run.presentations] == [(1, 0, 4), (10, 0, 4)]
