"""Five people who did not all hear the same: what is tested, and why the rest is not."""

from __future__ import annotations

import few_people
import numpy as np
import pytest

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree
from bids_app.surface.gifti import read_gifti

LAYERS = ("pool1", "pool2", "conv3_2", "pool4", "fc1_2")
MODEL = {"model": "vggish"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Both levels: the group without sub-03, who lacks a piece."""
    root = tmp_path_factory.mktemp("few")
    bids, _, gradient = few_people.simulate(root)
    cache = ("--cache-dir", str(root / "cache"))
    call = [str(bids), str(root / "out"), "participant", *cache, "--vggish-weights", "random:0"]
    call += ["--hop", "0.96", "--layers", *LAYERS, "--missing", "use"]
    assert main([*call, "--beyond", "low-level", "--candidates", "18"]) == 0
    group = [str(bids), str(root / "out"), "group", *cache, "--n-spins", "99"]
    group += ["--gradient", f"truth={','.join(map(str, gradient))}"]
    assert main([*group, "--dry-run"]) == 16  # sub-03 has other folds
    assert main([*group, "--participant-label", "01", "02", "04", "05"]) == 0
    return OutputTree(root / "out")


def test_layers_beyond_low_level_sound_are_tested_over_two_clocks_and_repeats(study):
    told = read_json(study.group_table("settings.json", desc="beyond", **MODEL))
    assert len(told["Participants"]) == 4
    assert "NotOverMusic" not in told
    for stat, desc in (("q", "uniquemusic"), ("p", "uniqueslopemusic"), ("p", "uniquemaxt")):
        left = read_gifti(study.group_map("L", "fsaverage5", stat=stat, desc=desc, **MODEL))
        assert np.isfinite(left).any(axis=1).all()
    path = study.group_table("statmap.json", desc="beyondalignmenttruth", **MODEL)
    for level in read_json(path)["Group"]["tests"]:
        assert np.isfinite(level["p"]) or level["reason"]


def test_a_participant_with_a_piece_less_has_maps_of_the_others(study):
    told = read_json(study.participant_settings("03", "vggish", "beyond"))
    assert told["HeldOutStimuli"] == ["adagio", "allegro"]


def test_the_page_says_what_so_few_people_cannot_show_and_what_is_left_out(study):
    page = study.group_report.read_text()
    assert "With 4 participants no p over people below .062 is possible" in page
    assert "later presentations to sub-01, sub-02, who heard it several times" in page
