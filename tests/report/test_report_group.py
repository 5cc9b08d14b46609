import json
import shutil

import fake_outputs
import numpy as np
import pandas as pd
import pytest
from page_parser import read_page

from bids_app.analyses.group.claims import write_claims
from bids_app.analyses.group.depth_controls import BLOCKS, FITTED, ORDERS, DepthControls
from bids_app.analyses.registry import write_group_report
from bids_app.errors import MissingInputError
from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.report.alignment import bins_picture, gradient_axis, gradient_ends, hexbin_picture
from bids_app.report.analyses import outdated
from bids_app.report.ceiling import shared_ceiling_picture
from bids_app.report.claims import claim_rows, claim_verdict, is_claimed
from bids_app.report.clusters import cluster_tables
from bids_app.report.group import (
    absent_table,
    accuracy_verdict,
    alignment_sections,
    guess_blocks,
    participants_table,
    smallest_p,
    tell_alignment,
)
from bids_app.report.group_charts import bins_figure, hexbin_figure, ridgeline_figure
from bids_app.report.group_details import depth_controls, left_out
from bids_app.report.group_maps import coverage_text
from bids_app.report.group_ratings import emotion_pictures, emotion_section, rating_blocks
from bids_app.report.page import Section, Text
from bids_app.report.sources import GroupFiles
from bids_app.report.synchrony import isc_pictures, motion_blocks
from bids_app.statistics import p_number, p_told

PARTS = [
    "Summary",
    "Participants",
    "Accuracy",
    "Layer preference",
    "Alignment with the cortical gradient",
    "Correlation between participants",
    "Clusters",
    "What the signs mean",
    "Methods",
    "Settings, inputs and versions",
]


def table_of(folder, name):
    path = OutputTree(folder).group_table("statmap.tsv", model="vggish", desc=name)
    return pd.read_csv(path, sep="\t")


def test_every_part_is_there(group_page):
    assert group_page.headings == ["Music encoding: group", "Contents", *PARTS]
    # 3 accuracy, 3 preference, null, participants, 2 gradient, hexbin, bins, ridgeline
    assert len(group_page.pictures) == 13
    assert all(len(shown["alt"]) > 20 for shown in group_page.pictures)


def test_analyses_that_were_not_run_are_named(group_page):
    told = "\n".join(group_page.missing)
    for name in (
        "intersubject correlation",
        "cluster tables",
        "stability of the best layer",
    ):
        assert name in told
    assert len(group_page.missing) == 5


def test_vertices_without_everybody_are_said_to_be_left_out(folder):
    text = coverage_text(GroupFiles(folder)).text
    assert text.startswith("Every result rests on all 6 participants")
    assert "left out" in text


def test_alignment_numbers_are_those_of_the_derivatives(folder, group_page):
    rows = table_of(folder, "alignment")
    shown = group_page.table("Alignment per participant")
    assert [row[0] for row in shown[1:]] == list(rows["participant_id"])
    np.testing.assert_allclose([float(row[1]) for row in shown[1:]], rows["rho"], atol=5e-4)
    np.testing.assert_allclose([float(row[2]) for row in shown[1:]], rows["rho_partial"], atol=5e-4)
    path = OutputTree(folder).group_table("statmap.json", model="vggish", desc="alignment")
    group = fake_outputs.read(path)["Group"]
    assert group_page.facts["Mean correlation (Spearman)"] == (
        f"{group['rho_mean']:.3f}, spin {p_told(group['p_spin'])}"
    )
    assert group_page.facts["Right hemisphere"].startswith("not computed")
    alts = " ".join(shown["alt"] for shown in group_page.pictures)
    assert f"plain: observed {group['statistic']:.3f}, {p_told(group['p_spin'])}" in alts


def test_participants_and_layers_are_those_of_the_derivatives(folder, group_page):
    tree = OutputTree(folder)
    path = tree.group_table("summary.tsv", model="vggish", desc="participants")
    people = pd.read_csv(path, sep="\t")
    shown = group_page.table("Participants")
    assert [row[0] for row in shown[1:]] == list(people["participant_id"])
    np.testing.assert_allclose([float(row[2]) for row in shown[1:]], people["mean_r"], atol=5e-5)
    path = tree.group_table("summary.tsv", model="vggish", desc="layers")
    layers = pd.read_csv(path, sep="\t")
    shown = group_page.table("Layers")
    assert [int(row[5]) for row in shown[1:]] == list(layers["n_predicted"])
    files = GroupFiles(folder)
    p = files.map("p", desc="maxt")
    highest = [p[k, np.nanargmax(own)] for k, own in enumerate(files.accuracy)]
    assert [row[4] for row in shown[1:]] == [p_number(one) for one in highest]


def test_no_alignment_is_said_where_the_partial_test_fails(group_page):
    tones = {text: tone for tone, text in group_page.verdicts}
    said = [
        text for text in tones if text.startswith("No alignment with the principal gradient shown")
    ]
    assert said
    assert all(tones[text] == "warning" for text in said)
    assert not any(text.startswith("Layer preference is aligned") for text in tones)


def aligned_row(folder, **changes):
    """The row of the residual slope in the table of claims, changed."""
    (row,) = [one for one in claim_rows(GroupFiles(folder)) if one["measure"] == "slope"]
    return row | {name: str(value) for name, value in changes.items()}


def test_people_music_and_place_stand_side_by_side(folder, group_page):
    shown = group_page.table("Claims")
    assert shown[0][2:6] == ["p, people", "p, music", "p, place", "p, place given accuracy"]
    accuracy, slope = shown[1:]
    assert accuracy[:6] == ["accuracy, deciding vertex", "0.200", ".010", ".003", "", ""]
    # One vertex, with the same numbers, in the summary.
    assert group_page.facts["Deciding vertex"] == (
        f"p over people .010 (corrected), q over music .003: mean r = 0.200 in layer 2"
        f" ({GroupFiles(folder).layer_names[1]}), R 7"
    )
    row = aligned_row(folder)
    for cell, name in zip(slope[2:6], ("people", "music", "place", "partial"), strict=True):
        assert cell == p_number(float(row[f"p_{name}"]))
    assert slope[7] == "no: place given accuracy"
    assert "whether other pieces would show it" in group_page.text


GOOD = {"claimed": True, "p_people": 0.01, "p_music": 0.02, "p_place": 0.01, "p_partial": 0.04}


@pytest.mark.parametrize(
    "change",
    [
        {"claimed": False},
        {"p_people": 0.05},
        {"p_music": "n/a"},
        {"p_place": 0.2},
        {"p_partial": 0.05},
        {"kind": "something"},
    ],
)
def test_only_a_claim_is_green_and_a_claim_needs_every_p(folder, change):
    assert is_claimed(aligned_row(folder, **GOOD))
    assert not is_claimed(aligned_row(folder, **GOOD | change))


def test_the_only_green_sentences_are_claims(group_page):
    green = [text for tone, text in group_page.verdicts if tone == "good"]
    assert len(green) == 1
    assert "of model-vggish are predicted (people p = .010, music p = .003)" in green[0]


def test_a_folder_without_a_table_of_claims_makes_none(own_folder):
    OutputTree(own_folder).group_table("summary.tsv", desc="claims").unlink()
    with pytest.raises(MissingInputError, match="run the group level again"):
        claim_verdict(GroupFiles(own_folder), "accuracy")
    page = read_page(write_group_report(own_folder))
    assert not [text for tone, text in page.verdicts if tone == "good"]
    assert any("people, music and place" in one for one in page.missing)


def test_every_gradient_is_shown_with_its_claim(own_folder):
    add_gradient(own_folder, "other")
    write_claims(own_folder)
    page = read_page(write_group_report(own_folder))
    assert "2 gradients" in page.headings
    assert "Alignment with the cortical gradient: other" in page.headings
    rows = {row[0]: row for row in page.table("Gradients")[1:]}
    assert rows["the principal gradient"][-1] == "0a11f00d0a11f00d"
    assert rows["other"][-1] == "0ddba110ddba1100"
    said = [text for _, text in page.verdicts if "with gradient other shown" in text]
    assert len(said) == 2  # summary and section
    assert "corrected over 2 alignments of this folder" in said[0]
    assert GroupFiles(own_folder).gradients == ["", "other"]


def test_an_alignment_of_other_people_or_maps_is_called_outdated(own_folder):
    files = GroupFiles(own_folder)
    content = files.analysis("alignment")
    assert outdated(files, content) == ""
    fewer = content | {"Participants": content["Participants"][:-1]}
    assert "of 5 participants and not 6: sub-06 are in one of the two" in outdated(files, fewer)
    assert "other maps" in outdated(files, content | {"InputsSHA256": {"sub-01": "x"}})
    assert "other settings" in outdated(files, content | {"Inference": "x"})


def add_gradient(folder, label, **changes):
    """The results of the principal gradient once more, under another label."""
    for path in [*folder.glob("group_*"), *folder.glob("tpl-fsaverage/func/*")]:
        for kind in ("alignment", "layeralignment", "nulls", "bins", "gradient"):
            name = path.name.replace(f"desc-{kind}.", f"desc-{kind}{label}.")
            name = name.replace(f"desc-{kind}_", f"desc-{kind}{label}_")
            if name != path.name:
                shutil.copy(path, path.with_name(name))
    files = GroupFiles(folder)
    path = files.file("settings.json", desc=f"alignment{label}")
    write_json(path, files.json(path) | {"SettingsHash": "0ddba110ddba1100"})
    path = files.file("statmap.json", desc=f"alignment{label}")
    content = files.json(path)
    write_json(path, content | {"Group": content["Group"] | changes})


def test_one_number_of_vertices_with_what_limits_it_and_what_was_possible(own_folder):
    files = GroupFiles(own_folder)
    people, music = files.map("p", desc="maxt"), files.map("q", desc="music")
    n_people = (people < 0.05).any(axis=0).sum()
    text = accuracy_verdict(files).text
    assert text.startswith(f"Significant: {n_people} vertices, where one layer holds over people")
    assert f"{n_people} hold over people and {n_people} over music. With 6" in text
    assert text.endswith("no p over people below .016 (all 64 sign flips) is possible.")
    fewer = np.where(music == np.nanmin(music), 0.04, 0.9)
    fewer[:, 100:] = 0.9
    writer = fake_outputs.GroupWriter(own_folder)
    writer.statmap("q", fewer, files.layer_names, desc="music")
    text = accuracy_verdict(GroupFiles(own_folder)).text
    n_music = (fewer < 0.05).any(axis=0).sum()
    n_both = ((fewer < 0.05) & (people < 0.05)).any(axis=0).sum()
    assert text.startswith(f"Significant: {n_both} vert")
    assert f"{n_people} hold over people and {n_music} over music, so music sets the limit" in text
    writer.statmap("p", fewer, files.layer_names, desc="maxt")
    writer.statmap("q", people, files.layer_names, desc="music")
    text = accuracy_verdict(GroupFiles(own_folder)).text
    assert "so people set the limit: more participants would find more." in text


def test_features_that_are_guessed_are_called_so(own_folder):
    assert guess_blocks(GroupFiles(own_folder)) == []
    path = GroupFiles(own_folder).file("settings.json")
    write_json(path, {**read_json(path), "Guess": "notes, from the sound"})
    (block,) = guess_blocks(GroupFiles(own_folder))
    assert block.text == "The features are a guess: notes, from the sound."


def test_where_nothing_holds_no_level_is_said_to_set_the_limit(own_folder):
    files = GroupFiles(own_folder)
    nothing = np.where(np.isnan(files.map("p", desc="maxt")), np.nan, 0.95)
    writer = fake_outputs.GroupWriter(own_folder)
    writer.statmap("p", nothing, files.layer_names, desc="maxt")
    writer.statmap("q", nothing, files.layer_names, desc="music")
    text = accuracy_verdict(GroupFiles(own_folder)).text
    assert "0 hold over people and 0 over music. With 6 participants" in text
    assert "would find more" not in text


def test_without_a_test_over_music_nothing_is_significant(own_folder):
    for path in (own_folder / "tpl-fsaverage" / "func").glob("*stat-q_desc-music_*"):
        path.unlink()
    text = accuracy_verdict(GroupFiles(own_folder)).text
    assert text.startswith("Nothing was tested over music, so no vertex is predicted")


@pytest.mark.parametrize(
    ("n", "drawn", "text"),
    [
        (6, 10_000, ".016 (all 64 sign flips)"),
        (37, 10_000, ".0001 (10000 sign flips drawn)"),
    ],
)
def test_smallest_possible_p_is_told(own_folder, n, drawn, text):
    files = GroupFiles(own_folder)
    files.settings["Settings"]["n_permutations"] = drawn
    assert smallest_p(files, n) == text


def test_different_settings_of_participants_are_flagged(own_folder):
    path = OutputTree(own_folder).group_table("summary.tsv", model="vggish", desc="participants")
    people = pd.read_csv(path, sep="\t")
    people.loc[0, "settings_hash"] = "another"
    people.to_csv(path, sep="\t", index=False)
    assert "different settings" in participants_table(GroupFiles(own_folder))[-1].text


def test_who_is_not_in_the_group_is_named_with_the_newest_reason(own_folder):
    files = GroupFiles(own_folder)
    used = [row["participant_id"][4:] for row in files.rows("summary.tsv", desc="participants")]

    def log(name, level, **reasons):
        path = own_folder / "logs" / f"status_{name}.json"
        path.parent.mkdir(exist_ok=True)
        rows = [
            {"participant": who, "run": run, "state": state, "reason": reason}
            for who, (run, state, reason) in reasons.items()
        ]
        path.write_text(json.dumps({"run_id": name, "level": level, "rows": rows}))

    assert absent_table(files) == []
    log("20260101-1", "participant", x91=("", "failed", "old"), x92=("", "failed", "crash"))
    gone, done = ("", "skipped", "no BOLD"), ("", "done", "")
    log("20260102-1", "participant", x91=gone, **{used[0]: ("", "skipped", "x")})
    log("20260103-1", "group", x93=("", "skipped", "of the group level"))
    log("20260104-1", "participant", x94=done)
    (own_folder / "logs" / "status_20260105-1.json").write_text("{")
    (table,) = absent_table(files)
    assert table.rows == [
        ["sub-x91", "all", "skipped", "no BOLD"],
        ["sub-x92", "all", "failed", "crash"],
    ]


def test_empty_folder_gives_a_page_of_reasons(tmp_path):
    found = read_page(write_group_report(tmp_path))
    assert found.headings[2:] == PARTS
    assert found.pictures == []
    assert len(found.missing) > 15
    assert "No alignment shown" not in found.text


def test_correlation_between_participants_is_shown_when_it_is_there(own_folder, mesh):
    writer = fake_outputs.GroupWriter(own_folder)
    r = np.random.default_rng(3).random(20484)
    writer.statmap("isc", r, ["pairwise"], model="", desc="pairwise")
    writer.statmap("p", np.where(r > 0.9, 0.01, 0.5), ["p"], model="", desc="iscmaxt")
    (block,) = isc_pictures(GroupFiles(own_folder), mesh)
    assert "mean over pairs of participants" in block.alt
    assert f"Outlined: {(r > 0.9).sum()} vertices" in block.caption


def colored(block):
    """Whether any view of a map shows a color."""
    views = [image.get_array()[..., :3] for ax in block.figure.axes for image in ax.images]
    return bool(max(np.ptp(view.astype(float), axis=2).max() for view in views) > 1)


def test_ceilings_and_effects_that_no_test_supports_show_bare_cortex(own_folder, mesh):
    writer = fake_outputs.GroupWriter(own_folder)
    values = np.full(20484, 0.15)
    entities = {"model": "emotion", "feature": "enjoyment"}
    writer.statmap("t", 40 * values, ["enjoyment"], **entities)
    told = sidecar_of(OutputTree(own_folder).group_map("L", "fsaverage5", stat="t", **entities))
    told.write_text(json.dumps(fake_outputs.read(told) | {"Participants": ["01"] * 12}))
    writer.statmap("p", values, ["enjoyment"], **entities)
    writer.statmap("ceiling", values, ["r"], model="", desc="shared")
    writer.statmap("p", np.ones(20484), ["p"], model="", desc="iscmaxt")
    for p in (1e-4, 0.2):
        writer.statmap("p", np.full(20484, p), ["p"], desc="music", **entities)
        writer.statmap("p", np.full(20484, p), ["p"], model="", desc="isc")
        files = GroupFiles(own_folder)
        (effect,) = emotion_pictures(files, mesh)
        assert "the larger of p over people and over music" in effect.caption
        assert colored(effect) is colored(shared_ceiling_picture(files)) is (p < 0.05)


def test_bins_of_a_gradient_have_scales_that_noise_does_not_fill():
    noise = np.random.default_rng(0).normal(0, 0.003, (8, 20))
    left, right = bins_figure(noise, [f"layer{k}" for k in range(8)]).axes[:2]
    assert left.images[0].get_clim() == (0.0, 0.3)
    assert right.images[0].get_clim() == (-0.05, 0.05)


def test_ratings_that_nobody_asked_for_have_no_section(own_folder):
    assert emotion_section(GroupFiles(own_folder)) == []
    log = own_folder / "logs" / "status_99999999-000000-x.json"
    log.parent.mkdir(exist_ok=True)
    for note in ("no ratings: no table given with --ratings", "switched off (--emotion off)"):
        write_json(log, {"notes": [f"ratings: {note}"]})
        assert emotion_section(GroupFiles(own_folder)) == []
    # Nor after a group level, whose own notes come later.
    later = log.with_name("status_99999999-000001-x.json")
    write_json(later, {"notes": ["rating_maps: no participant has sub-*_settings.json"]})
    assert emotion_section(GroupFiles(own_folder)) == []
    log.write_text('{"notes": ["ratings: no participant has any"]}')
    (section,) = emotion_section(GroupFiles(own_folder))
    assert [block.kind for block in section.blocks] == ["missing", "missing"]


def test_the_page_says_why_there_are_no_ratings(own_folder):
    log = own_folder / "logs" / "status_99999999-000000-x.json"
    log.parent.mkdir(exist_ok=True)
    log.write_text('{"notes": ["other", "ratings: switched off (--emotion off)"]}')
    with pytest.raises(MissingInputError, match="switched off"):
        rating_blocks(GroupFiles(own_folder))


def test_emotion_is_shown_when_it_is_there(own_folder, mesh):
    writer = fake_outputs.GroupWriter(own_folder)
    r = np.random.default_rng(3).random(20484)
    writer.statmap("t", r - 0.5, ["enjoyment"], model="emotion", feature="enjoyment")
    people = np.where(r > 0.9, 0.01, 0.5)
    writer.statmap("p", people, ["enjoyment"], model="emotion", feature="enjoyment")
    (block,) = emotion_pictures(GroupFiles(own_folder), mesh)
    assert block.alt.startswith("t map of changes of enjoyment")
    assert "Nothing is claimed: there is no null over music" in block.caption
    assert f"Over people alone: {(r > 0.9).sum()} vertices." in block.caption
    both = (r > 0.95).astype(float)
    writer.statmap("n", both, ["enjoyment"], model="emotion", feature="enjoyment", desc="both")
    (block,) = emotion_pictures(GroupFiles(own_folder), mesh)
    assert f"surrounds {(r > 0.95).sum()} vertices where the effect holds" in block.caption
    ratings = [
        {"scale": scale, "layer": k, "name": f"layer{k}", "r": 0.1 * k}
        for scale in ("enjoyment", "emotionality")
        for k in (1, 2, 3)
    ]
    writer.table("scores.tsv", ratings, desc="ratings")
    (block,) = rating_blocks(GroupFiles(own_folder))
    assert "enjoyment and emotionality" in block.alt


def test_clusters_are_shown_or_said_to_be_none(own_folder):
    writer = fake_outputs.GroupWriter(own_folder)
    clusters = [{"cluster": 1, "hemisphere": "L", "area": 123.4567, "main_label": "<aud>"}]
    writer.table("statmap.tsv", clusters, desc="clusters", area={"Description": "mm2"})
    (table,) = cluster_tables(GroupFiles(own_folder))
    assert table.rows == [["1", "L", "123.457", "<aud>"]]
    assert table.caption.endswith("area: mm2")
    path = OutputTree(own_folder).group_table("statmap.tsv", model="vggish", desc="clusters")
    path.write_text("cluster\tarea\n")
    (text,) = cluster_tables(GroupFiles(own_folder))
    assert text.text == "No cluster: group_model-vggish_desc-clusters_statmap.tsv is empty."


def test_clusters_are_told_by_place_area_and_region(own_folder):
    writer = fake_outputs.GroupWriter(own_folder)
    row = {
        "cluster": 1,
        "hemisphere": "R",
        "n_vertices": 40,
        "area": 512.6,
        "peak_vertex": 7,
        "peak_value": 6.789,
        "peak_label": "superiortemporal",
        "main_label": "transversetemporal",
        **{f"mni305_{axis}": value for axis, value in zip("xyz", (50.2, -20.4, 7.6), strict=True)},
        **{f"mni152_{axis}": value for axis, value in zip("xyz", (50.4, -18.1, 8.1), strict=True)},
    }
    writer.table("statmap.tsv", [row], desc="clusters", Atlas="Desikan")
    (table,) = cluster_tables(GroupFiles(own_folder))
    assert table.rows[0][:5] == ["1", "R", "superiortemporal", "transversetemporal", "513"]
    assert table.rows[0][6:] == ["6.79", "50, -20, 8", "50, -18, 8"]
    assert "Regions of Desikan" in table.caption
    writer.table("statmap.tsv", [row], desc="clusters")
    (table,) = cluster_tables(GroupFiles(own_folder))
    assert "musenc prefetch parcels" in table.caption


def test_the_page_says_why_an_analysis_was_left_out(own_folder):
    files = GroupFiles(own_folder)
    rows = [
        {"analysis": "isc", "part": "happy", "state": "left out", "reason": "other times"},
        {"analysis": "music", "part": "", "state": "left out", "reason": "no features"},
        {"analysis": "alignment", "part": "left", "state": "done", "reason": ""},
    ]
    path = files.file("summary.tsv", desc="analyses")
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    assert left_out(files, "isc") == ["happy: other times"]
    assert left_out(files, "alignment") == []


def test_where_no_gradient_was_there_the_page_says_so_once(own_folder):
    files = GroupFiles(own_folder)
    row = {"analysis": "alignment", "part": "margulies2016", "state": "left out", "reason": "gone"}
    path = files.file("summary.tsv", desc="analyses")
    pd.DataFrame([row]).to_csv(path, sep="\t", index=False)
    assert [one.title for one in alignment_sections(files)][-1] == "Gradients without a result"
    assert len(alignment_sections(files)) > 1
    for file in own_folder.rglob("*alignment*"):
        file.unlink()
    (section,) = alignment_sections(GroupFiles(own_folder))
    assert [block.text for block in section.blocks] == ["margulies2016: gone."]
    summary = Section("summary", "Summary")
    tell_alignment(summary, GroupFiles(own_folder))
    assert "Gradients without a result" in summary.blocks[0].text


def test_controls_of_depth_stand_in_one_table(own_folder):
    files = GroupFiles(own_folder)
    assert depth_controls(files) == []  # of the version before
    controls = DepthControls(0.4, np.nan, 8, 5, np.array([0.1, -0.5, 0.2]), 0.4, "too few")
    writer = fake_outputs.GroupWriter(own_folder)
    why = {"LeftOut": {BLOCKS: controls.no_blocks}}
    writer.table("statmap.tsv", controls.rows, desc="depthcontrols", Group=why)
    writer.table("statmap.tsv", [], desc="untrained", Group={"rho_untrained": [0.1, 0.2]})
    table, text = depth_controls(files)
    assert [row[0] for row in table.rows] == [FITTED, BLOCKS, ORDERS, "untrained, mean of 2"]
    assert [row[2] for row in table.rows] == ["0.400", "n/a", "-0.067", "0.150"]
    # One of three orders is as strong, and the order itself.
    assert "50.0% of the orders of the layers align as strongly as theirs" in text.text
    assert "(at most |rho| 0.500)" in text.text
    assert f"No {BLOCKS}: too few." in text.text


def test_shared_head_motion_is_a_warning(own_folder):
    files = GroupFiles(own_folder)
    assert motion_blocks(files) == []
    path = files.tree.group_table("summary.tsv", desc="motion")
    rows = [{"trace": "framewise_displacement", "n_participants": 6, "r": 0.02, "p": 0.4}]
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    (text,) = motion_blocks(files)
    assert isinstance(text, Text)
    assert "framewise displacement: mean r 0.020, p = .400" in text.text
    pd.DataFrame([rows[0] | {"r": 0.2, "p": 0.004}]).to_csv(path, sep="\t", index=False)
    (warning,) = motion_blocks(files)
    assert warning.tone == "warning"
    assert "mean r 0.200, p = .004" in warning.text


def test_nothing_is_said_about_the_ends_of_a_gradient_that_was_not_oriented(own_folder):
    files = GroupFiles(own_folder)
    path = files.file("statmap.json", desc="alignment")
    content = json.loads(path.read_text())
    content["Group"]["gradient"] = {"Orientation": "as given"}
    path.write_text(json.dumps(content))
    assert "transmodal" not in gradient_ends(files)
    assert gradient_axis(files) == "gradient (sign as in its file)"
    alts = hexbin_picture(files).caption + bins_picture(files).caption
    assert "transmodal" not in alts
    content["Group"]["gradient"] = {"Orientation": {"flipped": True, "transmodal_mean": 2.0}}
    path.write_text(json.dumps(content))
    told = gradient_ends(GroupFiles(own_folder))
    assert "high values are transmodal" in told
    assert "its sign was changed" in told
    assert gradient_axis(GroupFiles(own_folder)) == "gradient (low: sensory, high: transmodal)"
    turned = {"flipped": False, "transmodal_mean": -1.0, "sensory_mean": 2.0}
    content["Group"]["gradient"] = {"Orientation": turned}
    path.write_text(json.dumps(content))
    told = gradient_ends(GroupFiles(own_folder))
    assert told.startswith("high values are sensory and motor, low values transmodal")
    assert gradient_axis(GroupFiles(own_folder)) == "gradient (low: transmodal, high: sensory)"


def test_no_axis_of_a_figure_says_more_than_the_record():
    values = np.linspace(-1, 1, 40)
    figures = [
        hexbin_figure(values, values, "gradient (mine)"),
        bins_figure(np.zeros((2, 3)) + values[:3], ["a", "b"], "gradient (mine)"),
        ridgeline_figure(values, np.repeat([1.0, 2.0], 20), ["a", "b"], "gradient (mine)"),
    ]
    for figure in figures:
        labels = " ".join(ax.get_xlabel() for ax in figure.axes)
        assert "gradient (mine)" in labels
        assert "transmodal" not in labels


def test_the_page_says_which_call_wrote_it_and_leads_to_the_participants(own_folder):
    (own_folder / "sub-01.html").write_text("")
    logs = own_folder / "logs"
    lines = {
        "20270101-101112-aaaaaaaa": "2027-01-01 10:11:12,345 INFO    musenc-bidsapp 1: group level",
        "20270102-101112-bbbbbbbb": "2027-01-02 10:11:12,345 INFO    musenc-bidsapp 1: participant"
        " level",
    }
    for name, line in lines.items():
        command = "2027-01-01 10:11:12,345 INFO    command: musenc-bidsapp 'my data' out group"
        (logs / f"{name}.log").write_text(f"{line}\n{command}\n")
    design = pd.DataFrame({"run": "a", "framewise_displacement": [np.nan, 0.1, 0.3]})
    path = own_folder / "sub-01" / "func" / "sub-01_desc-design_timeseries.tsv"
    design.to_csv(path, sep="\t", index=False, na_rep="n/a")
    summary = OutputTree(own_folder).runs_summary("01")
    runs = pd.read_csv(summary, sep="\t")
    runs["lag_s"] = ["4.50", "unclear", "5.25"]
    runs.to_csv(summary, sep="\t", index=False)
    page = read_page(write_group_report(own_folder))
    assert page.facts["Run"] == "20270101-101112-aaaaaaaa"
    assert page.facts["Begun"] == "2027-01-01 10:11:12"
    assert page.facts["Command"] == "musenc-bidsapp 'my data' out group"
    assert "sub-01.html" in page.links
    assert "sub-02.html" not in page.links
    first, second = page.table("Participants")[1:3]
    assert first[-3:] == ["0.200", "80", "4.50, 5.25"]  # tSNR of 50, 60 and 130
    assert second[-3:] == ["n/a", "n/a", "n/a"]
