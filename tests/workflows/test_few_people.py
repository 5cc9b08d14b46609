"""Five people who did not all hear the same: what is tested, and why the rest is not."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import few_people
import numpy as np
import pytest

from bids_app.cli.run import main
from bids_app.cli.tools import main as tools
from bids_app.files import read_json
from bids_app.outputs import OutputTree
from bids_app.surface.gifti import read_gifti

LAYERS = ("pool1", "pool2", "conv3_2", "pool4", "fc1_2")
MODEL = {"model": "vggish"}
SAME_FOLDS = ("--participant-label", "01", "02", "04", "05")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Arguments of both levels; the group is without sub-03, who lacks a piece."""
    root = tmp_path_factory.mktemp("few")
    bids, _, gradient = few_people.simulate(root)
    common = [str(bids), str(root / "out")]
    cache = ["--cache-dir", str(root / "cache")]
    weights = ["--vggish-weights", "random:0", "--hop", "0.96"]
    files = f"truth={','.join(map(str, gradient))}"
    return SimpleNamespace(
        root=root,
        participant=[*common, "participant", *cache, *weights, "--missing", "use"],
        group=[*common, "group", *cache, "--n-spins", "99", "--gradient", files],
    )


@pytest.fixture(scope="module")
def study(calls):
    """What the layers add to low-level sound, both levels."""
    beyond = ["--layers", *LAYERS, "--beyond", "low-level", "--candidates", "18"]
    assert main([*calls.participant, *beyond]) == 0
    assert main([*calls.group, "--dry-run"]) == 16  # sub-03 has other folds
    assert main([*calls.group, *SAME_FOLDS]) == 0
    return OutputTree(calls.root / "out")


@pytest.fixture(scope="module")
def rivals(calls, study):
    """Motion that listeners share as a model and in a joint one, and the layers at other delays."""
    motion = calls.root / "motion"
    assert tools(["motion", str(study.root), "-o", str(motion)]) == 0
    space = f"precomputed:{motion}"
    joint = ["--features", "vggish", space, "--joint", f"rival={space}+vggish@pool4"]
    assert main([*calls.participant, "--layers", *LAYERS, *joint]) == 0
    delays = ["--delays", "1:10", "--model-label", "vggish1to10"]
    assert main([*calls.participant, "--layers", *LAYERS, *delays]) == 0
    assert main([*calls.group, *SAME_FOLDS]) == 0
    return study


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


def test_ceilings_of_few_people_and_of_repeats(study):
    shared = study.group_map("L", "fsaverage5", stat="ceiling", desc="shared")
    assert (read_gifti(shared) > 0.2).any()
    own = {
        who: study.participant_map(who, "L", "fsaverage5", stat="ceiling", desc="repeats", **MODEL)
        for who in few_people.HEARD
    }
    assert [who for who, path in own.items() if path.is_file()] == ["01", "02"]
    assert np.nanmax(read_gifti(own["01"])) > 0.2


def test_motion_that_listeners_share_adds_nothing(rivals):
    path = rivals.group_table("summary.tsv", model="jointmodels", feature="rival", desc="joint")
    with path.open() as stream:
        adds = {row["name"]: float(row["mean"]) for row in csv.DictReader(stream, delimiter="\t")}
    assert adds["motion precomputed"] < 0 < adds["vggish pool4"]


def test_other_delays_stand_beside_the_first(rivals):
    page = rivals.group_report.read_text()
    table = page[page.index("Settings that differ, and results") :]
    assert ">vggish1to10<" in table[: table.index("</table>")]
