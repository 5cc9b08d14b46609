"""Killed at a random moment, at both levels, with both plugins: the rerun ends like any other run.

One kill in each of sixteen settings; `docs/reliability.md` has the table of more.
"""

from __future__ import annotations

import random

import kills
import pytest


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> kills.Undisturbed:
    return kills.Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.slow
@pytest.mark.parametrize("setting", kills.SETTINGS, ids=lambda s: f"{s[0]}-{s[1]}-{s[2].name}")
def test_a_run_killed_anywhere_is_made_whole_by_the_same_command(undisturbed, tmp_path, setting):
    draw = random.Random(" ".join(map(str, setting)))
    kill = kills.kill_and_rerun(undisturbed, setting, tmp_path, draw)
    assert not kill.failures, str(kill)


def test_the_table_counts_kills_and_failures():
    level, plugin, number = kills.SETTINGS[0]
    found = [
        kills.Kill(level, plugin, number, 3.0, 0.2),
        kills.Kill(level, plugin, number, 1.0, 1.5, failures=["a.html differs", "left: b"]),
    ]
    shown = kills.table(found).splitlines()
    counted = f"| {level} | {kills.PLUGINS[plugin]} | {number.name} | 2 | 1.5 s | 1 |"
    assert shown[2:] == [counted, "| all | all | all | 2 | 1.5 s | 1 |"]
