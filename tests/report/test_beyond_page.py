"""What the group page says of layers beyond low-level sound, of made-up files."""

import numpy as np
import pandas as pd
import pytest

from bids_app.files import write_json
from bids_app.outputs import OutputTree
from bids_app.report.joint import beyond_sections, joint_sections
from bids_app.report.sources import GroupFiles, ParticipantFiles
from bids_app.surface.gifti import write_gifti

LAYERS = ["conv1", "conv2", "conv3", "fc1", "fc2"]
N_VERTICES = 20484


def write_map(tree, values, **entities):
    values = np.broadcast_to(values, (len(np.atleast_2d(values)), N_VERTICES))
    for hemi, half in zip("LR", np.split(values, 2, axis=1), strict=True):
        path = tree.group_map(hemi, "fsaverage5", model="vggish", **entities)
        names = [f"map {k}" for k in range(len(half))]
        write_gifti(path, half.astype(np.float32), hemi=hemi, names=names)
        write_json(path.with_name(path.name.replace(".func.gii", ".json")), {"SlopeDoubt": ""})


def profile(region, atlas):
    return [
        {
            "region": region,
            "atlas": atlas,
            "n_vertices": 100,
            "layer": k + 1,
            "name": name,
            "r": 0.1 + 0.01 * k,
            "unique": 0.01 * k - 0.01,
            "unique_se": 0.004,
        }
        for k, name in enumerate(LAYERS)
    ]


@pytest.fixture
def tree(tmp_path):
    """The last layer adds at 30 vertices over people and music, the first at none."""
    tree = OutputTree(tmp_path)
    tree.group_folder("fsaverage5").mkdir(parents=True)
    settings = {"Settings": {"space": "fsaverage5"}, "Participants": list("123456")}
    for desc in ({}, {"desc": "beyond"}):
        write_json(tree.group_table("settings.json", model="vggish", **desc), settings)
    unique = np.full((5, N_VERTICES), -0.01)
    p = np.ones((5, N_VERTICES))
    unique[4, :40], p[4, :40] = 0.05, 0.01
    q = p.copy()
    q[4, 30:] = 0.2
    write_map(tree, unique, stat="r", desc="unique")
    write_map(tree, p, stat="p", desc="uniquemaxt")
    write_map(tree, q, stat="q", desc="uniquemusic")
    rows = [
        {
            "layer": k + 1,
            "name": name,
            "group": group,
            "mean_unique": unique[k].mean(),
            "max_unique": unique[k].max(),
            "n_people": 40 * (k == 4),
            "n_adds": 30 * (k == 4),
        }
        for k, (name, group) in enumerate(
            zip(LAYERS, ["early", "early", "middle", "middle", "late"], strict=True)
        )
    ]
    shown = tree.group_table("summary.tsv", model="vggish", desc="beyond")
    pd.DataFrame(rows).to_csv(shown, sep="\t", index=False)
    write_profile(tree, profile("auditory cortex", "n/a"))
    return tree


def write_profile(tree, rows):
    path = tree.group_table("profile.tsv", model="vggish", desc="beyond")
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False, na_rep="n/a")


def add_slopes(tree, doubt):
    slope = np.linspace(-0.1, 0.1, N_VERTICES)
    write_map(tree, slope, stat="slope", desc="unique")
    write_map(tree, slope, stat="slope", desc="layerpref")
    write_map(tree, np.full(N_VERTICES, 0.01), stat="p", desc="uniqueslope")
    left = tree.group_map("L", "fsaverage5", model="vggish", stat="slope", desc="unique")
    path = left.with_name(left.name.replace(".func.gii", ".json"))
    write_json(path, {"SlopeDoubt": doubt})


def told(tree):
    (section,) = beyond_sections(GroupFiles(tree.root, model="vggish"))
    return section.blocks


def of_kind(blocks, field):
    return [getattr(block, field) for block in blocks if getattr(block, field, "")]


def test_a_sentence_for_every_third_of_the_layers(tree):
    texts = of_kind(told(tree), "text")
    assert (
        "Early layers (conv1 to conv2) add nothing that can be shown (over people and music);"
        " their unique accuracy is -0.0100 on average over all vertices." in texts
    )
    assert any(
        one.startswith("Late layers (fc2) add to low-level sound at 30 vertices") for one in texts
    )


def test_without_music_nothing_is_claimed_and_no_p_over_music_is_named(tree):
    for hemi in "LR":
        tree.group_map(hemi, "fsaverage5", model="vggish", stat="q", desc="uniquemusic").unlink()
    blocks = told(tree)
    texts, captions = of_kind(blocks, "text"), of_kind(blocks, "caption")
    assert any("at 40 vertices (over people alone)" in one for one in texts)
    assert any(one.startswith("Nothing was tested over music") for one in texts)
    (caption,) = (one for one in captions if one.startswith("Mean unique accuracy"))
    assert "q over music" not in caption
    assert "nothing was tested over music" in caption


def test_regions_of_the_profile_have_their_atlas_and_absent_ones_are_named(tree):
    (caption,) = (one for one in of_kind(told(tree), "caption") if one.startswith("Profiles"))
    assert "Without temporal and default mode regions" in caption
    rows = [*profile("auditory cortex", "n/a"), *profile("temporal", "Desikan2006")]
    write_profile(tree, [*rows, *profile("default mode", "Yeo7")])
    (caption,) = (one for one in of_kind(told(tree), "caption") if one.startswith("Profiles"))
    assert "temporal of Desikan2006 (100 vertices)" in caption
    assert "Without" not in caption


@pytest.mark.parametrize("doubt", ["", "slope cannot be separated from accuracy: because"])
def test_a_slope_of_unique_accuracy_that_is_accuracy_is_said(tree, doubt):
    add_slopes(tree, doubt)
    warned = [one for one in of_kind(told(tree), "text") if one.startswith("Of unique accuracy")]
    assert len(warned) == bool(doubt)
    assert all("Nothing is claimed of the slope" in one for one in warned)


def test_a_participant_has_r_unique_accuracy_and_share_by_their_names(tmp_path):
    tree = OutputTree(tmp_path)
    write_json(tree.participant_settings("01", "vggish", "beyond"), {})
    row = {"name": "fc2", "mean_r": 0.1, "mean_reduced_r": 0.09, "mean_unique": 0.01}
    path = tree.participant_file("01", "summary.tsv", model="vggish", desc="beyond")
    told = pd.DataFrame([row | {"mean_share": 0.04, "share_above": 0.3}])
    told.to_csv(path, sep="\t", index=False)
    (section,) = joint_sections(ParticipantFiles(tmp_path, "01"))
    table = section.blocks[1]
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert shown["r with it"] == "0.1000"
    assert shown["unique accuracy"] == "0.0100"
    assert shown["share"] == "0.0400"
    assert shown["unique above zero"] == "30.0 %"


@pytest.mark.parametrize(
    ("n", "n_flips", "unique", "slope"),
    [(4, 1000, ".062", ".125"), (5, 1000, "", ".062"), (6, 1000, "", ""), (6, 10, ".091", ".091")],
)
def test_that_so_few_people_can_show_nothing_is_said(tree, n, n_flips, unique, slope):
    add_slopes(tree, "")
    settings = {"Settings": {"space": "fsaverage5", "n_permutations": n_flips}}
    for desc in ({}, {"desc": "beyond"}):
        path = tree.group_table("settings.json", model="vggish", **desc)
        write_json(path, settings | {"Participants": [str(k) for k in range(n)]})
    texts = [one for one in of_kind(told(tree), "text") if one.startswith(f"With {n} part")]
    assert [one for one in texts if "no unique accuracy" in one and unique in one] == (
        [texts[0]] if unique else []
    )
    assert [one for one in texts if "no slope" in one and slope in one] == (
        [texts[-1]] if slope else []
    )
