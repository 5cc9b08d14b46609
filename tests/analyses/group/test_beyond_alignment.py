"""Slope of unique accuracy, from participants' maps to what is claimed; nothing over music."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.folder.write import write_settings, write_table
from bids_app.analyses.group.beyond import BEYOND
from bids_app.analyses.group.beyond_slope import unique_alignments, unique_slopes
from bids_app.analyses.group.candidates import BEYOND_SLOPE, UNMEASURED, beyond_low_level
from bids_app.analyses.group.checks import check_participants
from bids_app.analyses.group.claims import CLAIM_COLUMNS, _row, _stated
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.registry import write_results
from bids_app.config import Statistics
from bids_app.errors import BadDataError
from bids_app.files import read_json, write_json
from bids_app.group.claims import MUSIC, PLACE
from bids_app.outputs import (
    BEYOND_DESC,
    CLAIMS_DESC,
    LOW_LEVEL_DESC,
    OutputTree,
    sidecar_of,
    unique_desc,
)
from bids_app.report.joint import slope_blocks
from bids_app.report.sources import GroupFiles
from bids_app.surface.gifti import read_gifti, write_gifti
from bids_app.surface.mesh import load_mesh

SPACE, N_VERTICES = "fsaverage3", 1284
PEOPLE, LAYERS = [f"0{k}" for k in range(1, 6)], [f"conv{k}" for k in range(1, 7)]
PIECES = ["a", "b"]
SETTINGS = {"space": SPACE, "layer_depth": np.linspace(0, 1, 6).tolist()}


def write_person(tree, who, place):
    """Deep layers add more where `place` is high; what is shared by all layers differs."""
    rng = np.random.default_rng(int(who))
    depth = np.linspace(0, 1, len(LAYERS))[:, np.newaxis] - 0.5
    bump = 0.03 + 0.02 * np.sin(np.arange(len(LAYERS)))[:, np.newaxis]
    noise = 0.01 * rng.standard_normal((len(LAYERS), N_VERTICES))
    unique = bump + 0.05 * depth * place + noise
    low = 0.1 + 0.05 * rng.standard_normal((1, N_VERTICES))
    choice = np.ones((len(LAYERS) + 1, N_VERTICES))
    files = []
    for entities, values in (
        ({"stat": "r", "desc": unique_desc("vggish")}, unique),
        ({"stat": "r", "desc": BEYOND_DESC}, unique + low),
        ({"stat": "r", "desc": LOW_LEVEL_DESC}, low),
        *(({"stat": "choice", "desc": BEYOND_DESC, "stim": one}, choice) for one in PIECES),
    ):
        for hemi, half in zip("LR", np.split(values, 2, axis=1), strict=True):
            path = tree.participant_map(who, hemi, SPACE, model="vggish", **entities)
            names = [f"{k}" for k in range(len(half))]
            files.append(write_gifti(path, half, hemi=hemi, names=names))
            files.append(write_json(sidecar_of(path), {"DataArrays": names}))
    done = tree.participant_settings(who, "vggish", BEYOND_DESC)
    write_settings(tree, done, SETTINGS, files, HeldOutStimuli=PIECES, FeaturesFolders=[])
    return unique


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    tree = OutputTree(tmp_path_factory.mktemp("beyond") / "out")
    mesh = load_mesh(SPACE)
    place = np.vstack([hemi.pial for hemi in mesh.hemispheres])[:, 1] / 100
    unique = [write_person(tree, who, place) for who in PEOPLE]
    rows = [{"participant_id": f"sub-{who}", "sha256_left": "0"} for who in PEOPLE]
    r = np.stack(unique).astype(np.float32)
    data = GroupData("vggish", PEOPLE, r, LAYERS, PIECES, PIECES, SETTINGS, rows)
    write_json(tree.model_settings("vggish"), {"Settings": {"space": SPACE}})
    statistics = Statistics(random_seed=3, n_spins=99, n_permutations=32)
    mask = SimpleNamespace(mask=np.ones(N_VERTICES, dtype=bool), mask_kind="cortex")
    reports = {
        "front": SimpleNamespace(
            gradient=SimpleNamespace(values=place, sources=["bids:maps:front.gii"])
        )
    }
    found = unique_slopes(
        tree, data, mask, "there", reports, Heard(reasons=("no features",)), None, statistics
    )
    settings = {("", BEYOND_DESC): {"n": 1}, ("", "beyondalignmentfront"): {"n_spins": 99}}
    settings["", ""] = {"n_permutations": 32, "random_seed": 3}
    aligned = unique_alignments(found)
    names = ["unique_slopes", "unique_alignments"]
    write_results(tree, data, names, [found, aligned], settings, statistics)
    whole = tree.group_table("settings.json", model="vggish")
    write_settings(tree, whole, settings["", ""], [], Participants=[f"sub-{w}" for w in PEOPLE])
    writer = GroupWriter(tree, data, settings["", ""])
    writer.statmap("slope", found.mean[::-1], ["slope"], desc="layerpref")
    return SimpleNamespace(tree=tree, data=data, found=found, aligned=aligned, place=place)


def test_the_slope_is_that_of_what_the_layers_add(study):
    assert np.corrcoef(study.found.mean, study.place)[0, 1] > 0.75
    assert study.found.p_music is None
    left = study.tree.group_map("L", SPACE, model="vggish", stat="slope", desc="unique")
    np.testing.assert_allclose(read_gifti(left)[0], study.found.mean[:642], rtol=1e-5)
    assert 0 <= read_json(sidecar_of(left))["DepthExplained"] < 1
    assert not study.tree.group_map(
        "L", SPACE, model="vggish", stat="p", desc="uniqueslopemusic"
    ).is_file()


def test_aligned_over_people_and_place_and_not_claimed_without_music(study):
    (one,) = study.aligned.values()
    assert one.plain.r > 0.4
    table = study.tree.group_table("statmap.json", model="vggish", desc="beyondalignmentfront")
    assert "bids:maps:front.gii" in read_json(table)["Sources"]
    assert one.plain.p == pytest.approx(0.01)
    (candidate,) = beyond_low_level(GroupFiles(study.tree.root, gradient="front"))
    assert (candidate.measure, candidate.kind) == (BEYOND_SLOPE, "aligned")
    assert candidate.tests[MUSIC].reason == "no features"
    assert not candidate.tests[MUSIC].tested
    assert len(candidate.spins[PLACE]) == 99
    np.testing.assert_allclose(candidate.people, one.plain.participants_z, rtol=1e-9)
    assert any("whole cortex" in text for text in candidate.caveats)
    assert UNMEASURED in candidate.doubts  # so that no result is claimed


def test_the_page_has_the_slope_beside_the_plain_one_and_the_sentence(study):
    files = GroupFiles(study.tree.root, gradient="front")
    (candidate,) = beyond_low_level(files)
    row = _row(_stated(candidate, candidate.tests, ""))
    path = study.tree.group_table("summary.tsv", desc=CLAIMS_DESC)
    write_table(path, CLAIM_COLUMNS, [row])
    image, few, claim = slope_blocks(files)
    assert few.text == (
        "With 5 participants no p over people below .062 is possible, so that no slope can be shown"
        " over people."
    )
    assert "red deep ones, blue shallow ones" in image.caption
    assert claim.tone == "warning"
    assert claim.text.startswith(
        "No alignment of what the layers add to low-level sound with gradient front shown:"
        f" {UNMEASURED}"
    )
    assert "tested over music, not available (no features)" in claim.text
    assert "deeper layers" not in claim.text


def test_nothing_where_nobody_has_it_or_there_is_no_slope(study, tmp_path):
    given = [study.data, None, "there", {}, Heard(reasons=("x",)), None, Statistics()]
    assert unique_slopes(OutputTree(tmp_path), *given) is None
    given[2] = None
    assert unique_slopes(study.tree, *given) is None
    assert unique_alignments(None) == {}


def test_a_damaged_map_is_found_before_the_group_begins(study):
    check_participants(study.tree, "vggish", PEOPLE, BEYOND.rests_on)
    path = study.tree.participant_map("02", "L", SPACE, model="vggish", stat="r", desc=BEYOND_DESC)
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"x" * 20)
    try:
        with pytest.raises(BadDataError):
            check_participants(study.tree, "vggish", PEOPLE, BEYOND.rests_on)
    finally:
        path.write_bytes(content)
