import re

import fake_outputs
import numpy as np
import pandas as pd
import pytest
from page_parser import read_page

from bids_app.analyses.page import write_participant_report
from bids_app.errors import BadDataError
from bids_app.files import write_json
from bids_app.outputs import OutputTree, hemispheres_of
from bids_app.report import stimulus_figure_path
from bids_app.report.charts import carpet_figure, new_figure, series_figure
from bids_app.report.history import read_history
from bids_app.report.honesty import lag_picture, null_picture
from bids_app.report.layer_maps import (
    best_layer_picture,
    predicted_picture,
    preference_section,
    profile_picture,
    slope_picture,
)
from bids_app.report.page import Missing, Table, Text, Verdict
from bids_app.report.participant import summary_facts, summary_section, warning_blocks
from bids_app.report.ratings import design_picture
from bids_app.report.responses import (
    coverage_block,
    motion_during,
    motion_picture,
    stimuli_section,
    tsnr_picture,
)
from bids_app.report.sources import ParticipantFiles
from bids_app.statistics import benjamini_hochberg, p_number, p_told
from bids_app.status import Status, StatusRow
from bids_app.surface.gifti import read_gifti, write_gifti

PARTS = [
    "Summary",
    "Stimuli",
    "Responses",
    "Accuracy",
    "Layer preference",
    "Profile of the best vertices",
    "Can it be believed?",
    "Methods",
    "Errors",
    "Settings, inputs and versions",
]


def accuracy(folder, stat="r"):
    tree = OutputTree(folder)
    halves = [
        read_gifti(tree.participant_map("01", hemi, "fsaverage5", model="vggish", stat=stat))
        for hemi in "LR"
    ]
    return np.hstack(halves)


def test_every_part_is_there(participant_page):
    assert participant_page.headings == ["Music encoding: sub-01", "Contents", *PARTS]
    # tSNR, carpet, 2 accuracy, 4 preference, profile, predicted, null, penalties, reliability
    assert len(participant_page.pictures) == 13
    assert all(len(shown["alt"]) > 20 for shown in participant_page.pictures)


def test_what_the_folder_lacks_is_named_with_its_file(participant_page):
    told = "\n".join(participant_page.missing)
    assert len(participant_page.missing) == 3
    for name in (
        "desc-design_timeseries.tsv",
        "desc-lag_timeseries.tsv",
        "desc-features_stimulus.png",
    ):
        assert name in told


def test_numbers_on_the_page_are_those_of_the_derivatives(folder, participant_page):
    tree = OutputTree(folder)
    layers = pd.read_csv(tree.model_summary("01", "vggish"), sep="\t")
    shown = participant_page.table("Layers")
    assert [row[1] for row in shown[1:]] == list(layers["name"])
    np.testing.assert_allclose([float(row[3]) for row in shown[1:]], layers["mean_r"], atol=5e-5)
    np.testing.assert_allclose([float(row[4]) for row in shown[1:]], layers["max_r"], atol=5e-4)
    shares = [float(row[6].removesuffix(" %")) for row in shown[1:]]
    np.testing.assert_allclose(shares, 100 * layers["share_q05"], atol=0.051)

    best = layers.loc[layers["max_r"].idxmax()]
    r, p = accuracy(folder), accuracy(folder, "p")
    corrected = min(1.0, p[np.unravel_index(np.nanargmax(r), r.shape)] * np.isfinite(p).sum())
    assert participant_page.facts["Strongest vertex"] == (
        f"{p_told(corrected)} (corrected over 5 layers and {np.isfinite(p).any(axis=0).sum()}"
        f" vertices, Bonferroni): r = {best['max_r']:.3f} in layer {best['layer']} ({best['name']})"
    )
    for row, own, of_r in zip(shown[1:], p, r, strict=True):
        expected = min(1.0, own[np.nanargmax(of_r)] * np.isfinite(own).sum())
        assert row[5] == p_number(expected)
    runs = pd.read_csv(tree.runs_summary("01"), sep="\t")
    used = participant_page.table("Runs used")
    assert [row[0] for row in used[1:]] == list(runs["run"])
    assert [int(row[5]) for row in used[1:]] == list(runs["n_volumes_with_music"])
    cleaning = participant_page.table("Cleaning per run")
    assert [int(row[3]) for row in cleaning[1:]] == list(runs["degrees_of_freedom"])

    assert r.max(initial=-1, where=np.isfinite(r)) == pytest.approx(layers["max_r"].max(), abs=1e-6)
    finite = np.isfinite(p).all(axis=0)
    q = benjamini_hochberg(np.minimum(1, 5 * p.min(axis=0)[finite]))
    assert 0 < (q < 0.05).sum() < len(q)
    alts = " ".join(shown["alt"] for shown in participant_page.pictures)
    assert f"; {(q < 0.05).sum()} vertices with q < .05" in alts


def test_a_participant_of_noise_has_no_headline(tmp_path, monkeypatch):
    planted = fake_outputs.truth(3)
    monkeypatch.setattr(fake_outputs, "truth", lambda n: planted | {"r": 0 * planted["r"]})
    fake_outputs.make_participant(tmp_path, n_layers=3, n_times=4)
    files = ParticipantFiles(tmp_path, "01")
    told = dict(summary_facts(files).rows)
    assert "Highest accuracy" not in told
    p = float(re.search(r"p = ([.0-9]+) \(corrected", told["Strongest vertex"]).group(1))
    assert p > 0.05
    block = best_layer_picture(files, files.mesh)
    assert "q < .05 at 0 vertices: no vertex is inside, so there is no outline." in block.caption


def test_warnings_are_in_the_sidecar_and_on_the_page(tmp_path):
    text = "only 16 samples of a presentation are kept: p is worth little"
    fake_outputs.make_participant(tmp_path, n_layers=2, n_times=4, noticed=[text])
    files = ParticipantFiles(tmp_path, "01")
    assert files.settings["Warnings"] == files.sidecar["Warnings"] == [text]
    assert warning_blocks(files) == [
        Verdict("Only 16 samples of a presentation are kept: p is worth little.", "warning")
    ]


def test_nothing_given_is_told_as_none_and_not_as_all(folder, participant_page):
    shown = dict(participant_page.table("Settings that change")[1:])
    stored = fake_outputs.read(OutputTree(folder).participant_settings("01", "vggish"))["Settings"]
    assert stored["exclude_runs"] == []
    assert shown["exclude_runs"] == "none"
    assert stored["tasks"] == []
    assert shown["tasks"] == "all"
    assert "all" not in shown["cortex_mask"].split("; ")[-1]


def test_null_panel_tells_the_best_vertex_and_its_null(folder, participant_page):
    r = accuracy(folder)
    layer, _ = np.unravel_index(np.nanargmax(r), r.shape)
    sd = fake_outputs.NULL_SD / np.sqrt(3)
    assert f"(layer {layer + 1}, " in participant_page.text
    assert f"r = {np.nanmax(r):.3f}, against its null (SD {sd:.3f}" in participant_page.text
    assert f"the best of {np.isfinite(r).sum()}" in participant_page.text
    p = accuracy(folder, "p")
    corrected = min(1.0, p[np.unravel_index(np.nanargmax(r), r.shape)] * np.isfinite(p).sum())
    assert f"by chance: {p_told(corrected)} corrected for that" in participant_page.text
    assert "best of chance" not in participant_page.text


def test_on_noise_the_best_vertices_are_told_as_chance(own_folder):
    files = ParticipantFiles(own_folder, "01")
    for hemi, path in zip("LR", hemispheres_of(files.map_path("L", "p")), strict=True):
        p = np.full(read_gifti(path).shape, 0.3, dtype=np.float32)
        write_gifti(path, p, hemi=hemi, names=files.layer_names)
    table = pd.read_csv(files.tree.model_summary("01", "vggish"), sep="\t")
    table.assign(share_q05=0.0).to_csv(
        files.tree.model_summary("01", "vggish"), sep="\t", index=False
    )
    told = "No vertex has q < .05: these are the best of chance."
    assert profile_picture(files).caption.endswith(told)
    assert predicted_picture(files).caption.endswith(told)
    facts = dict(summary_facts(files).rows)
    assert facts["Largest significant share"] == "no vertex with q < .05 in any layer"
    assert "by chance: p = 1 corrected for that" in null_picture(files).caption


def test_reliability_is_the_correlation_of_the_held_out_maps(folder, participant_page):
    tree = OutputTree(folder)
    maps = {}
    for stimulus in ("happy", "sadsh"):
        halves = [
            read_gifti(
                tree.participant_map(
                    "01", hemi, "fsaverage5", model="vggish", stat="r", stim=stimulus
                )
            )
            for hemi in "LR"
        ]
        maps[stimulus] = np.hstack(halves).mean(axis=0)
    finite = np.isfinite(maps["happy"])
    expected = np.corrcoef(maps["happy"][finite], maps["sadsh"][finite])[0, 1]
    alts = " ".join(shown["alt"] for shown in participant_page.pictures)
    assert f"happy and sadsh: correlation {expected:.2f}" in alts


def test_runs_used_and_skipped_and_why(participant_page):
    assert participant_page.table("Runs not used")[1:] == [
        ["task-rest", "skipped", "no stimulus was heard in it"]
    ]
    noticed = participant_page.table("What was noticed")
    assert noticed[1] == ["task-happy", "the run is short"]


def test_dropped_volumes_are_counted(participant_page):
    # Those at the start are counted once.
    assert participant_page.facts["Volumes at the start"] == "6 of 165"
    assert participant_page.facts["Volumes without music"] == "39 of 165"
    told = participant_page.facts["Crop"]
    assert told.startswith("15 s at both ends of every presentation")
    assert told.endswith("30 volumes are left of 120 with music")


def test_untrained_network_is_announced_at_the_top(participant_page):
    tone, text = participant_page.verdicts[0]
    assert tone == "warning"
    assert "not trained (random:3)" in text


def test_settings_seeds_and_checksums_are_shown(folder, participant_page):
    tree = OutputTree(folder)
    stored = fake_outputs.read(tree.participant_settings("01", "vggish"))
    assert participant_page.facts["Settings hash"] == stored["SettingsHash"]
    assert participant_page.facts["Seeds"].endswith("network weights: 3")
    shown = dict(participant_page.table("Settings that change")[1:])
    assert shown["delays"] == "3, 9"
    assert shown["alphas"] == "20 values from 0.001 to 100000"
    assert "ab" * 32 in "\n".join(participant_page.verbatim)


def test_page_points_nowhere_outside_and_is_small(folder):
    text = (folder / "sub-01.html").read_text()
    assert len(text) < 8_000_000
    for mark in (
        "http://",
        "https://",
        'src="//',
        "url(",
        "@import",
        "<script",
        '<link rel="style',
    ):
        assert mark not in text, mark


def test_failed_participant_gets_a_page_with_the_crash(tmp_path):
    fake_outputs.make_status(tmp_path, "02", failed="<b>no</b> & nothing")
    found = read_page(write_participant_report(tmp_path, "02"))
    assert found.headings[2:] == PARTS
    assert found.pictures == []
    assert ("warning", "sub-02 failed: <b>no</b> & nothing") in found.verdicts
    assert "ValueError: <b>no</b> & nothing" in found.verbatim[-1]
    assert any("settings.json" in text for text in found.missing)
    first = (tmp_path / "sub-02.html").read_bytes()
    assert write_participant_report(tmp_path, "02").read_bytes() == first


def test_given_rows_and_crash_files_come_before_the_logs(folder, tmp_path):
    crash = tmp_path / "crash-x.txt"  # an absolute name stays what it is
    crash.write_text("\x1b[31mBoom\x1b[0m " + "x" * 30_000 + " the end")
    rows = [
        StatusRow("01", "task-happy", "failed", "too short", crash_files=[str(crash)]),
        StatusRow("99", "", "failed", "somebody else"),
    ]
    files = ParticipantFiles(folder, "01")
    history = read_history(files, "01", rows)
    assert list(history.rows) == rows[:1]
    (told,) = history.crashes
    assert told.name == "crash-x.txt"
    assert told.text.startswith("[the first ")
    assert told.text.endswith(" the end")
    assert len(told.text) < 21_000
    table = next(b for b in summary_section(files, history).blocks if isinstance(b, Table))
    assert table.caption == "Runs used"
    skipped = [b for b in summary_section(files, history).blocks if isinstance(b, Table)][-1]
    assert skipped.rows == [["task-happy", "failed", "too short"]]


def test_newest_participant_log_is_read_and_group_logs_are_not(own_folder):
    status = Status("20270101-000000-bbbbbbbb", "group")
    status.add("01", "", "done")
    status.write(OutputTree(own_folder).status(status.run_id))
    fake_outputs.make_status(own_folder, run_id="20260601-000000-cccccccc", failed="no disk")
    (own_folder / "logs" / "status_20280101.json").write_text("{")
    history = read_history(ParticipantFiles(own_folder, "01"), "01")
    assert history.run_id == "20260601-000000-cccccccc"
    assert "ValueError: no disk" in history.crashes[0].text


def test_without_a_null_the_panel_says_so(tmp_path):
    fake_outputs.make_participant(tmp_path, n_layers=2, n_times=4, null=False)
    with pytest.raises(BadDataError, match="No null distribution was computed"):
        null_picture(ParticipantFiles(tmp_path, "01"))


def test_missing_slope_gives_the_reason_of_the_derivatives(own_folder, mesh):
    tree = OutputTree(own_folder)
    for hemi in "LR":
        path = tree.participant_map(
            "01", hemi, "fsaverage5", model="vggish", stat="slope", desc="layerpref"
        )
        write_gifti(path, np.full((1, 10242), np.nan), hemi=hemi, names=["slope"])
    settings = tree.participant_settings("01", "vggish")
    content = fake_outputs.read(settings) | {"ReferenceMissing": "only 12 vertices, 200 wanted"}
    write_json(settings, content)
    block = slope_picture(ParticipantFiles(own_folder, "01"), mesh)
    assert block == Missing("residual slope", "only 12 vertices, 200 wanted")


def test_half_a_file_costs_one_figure_and_not_the_page(own_folder, mesh):
    files = ParticipantFiles(own_folder, "01")
    path = files.map_path("R", "centroid", desc="layerpref")
    path.write_bytes(path.read_bytes()[:2000])
    section = preference_section(files, mesh)
    kinds = [block.kind for block in section.blocks]
    assert kinds == ["text", "picture", "picture", "missing", "picture"]
    assert section.blocks[3].what == "center of mass"
    assert "centroid" in section.blocks[3].reason


def test_a_slope_that_accuracy_could_explain_is_called_so(own_folder, mesh):
    settings = OutputTree(own_folder).participant_settings("01", "vggish")
    doubt = "slope cannot be separated from accuracy: R2 is .97"
    write_json(settings, fake_outputs.read(settings) | {"SlopeDoubt": doubt})
    warning = preference_section(ParticipantFiles(own_folder, "01"), mesh).blocks[1]
    assert warning.kind == "verdict"
    assert doubt in warning.text
    assert "Nothing is claimed" in warning.text


def test_drawings_motion_and_lag_are_shown_when_they_are_there(own_folder):
    stem = own_folder / "sub-01" / "func" / "sub-01"
    design = pd.DataFrame({"run": ["a"] * 5 + ["b"] * 5, "framewise_displacement": [0.1] * 10})
    design.to_csv(f"{stem}_desc-design_timeseries.tsv", sep="\t", index=False)
    lag = pd.DataFrame(
        {"run": "a", "stimulus": "happy", "lag_s": [0, 4.8, 9.6], "r": [0.2, 0.3, 0.2]}
    )
    lag.to_csv(OutputTree(own_folder).lag_curves("01"), sep="\t", index=False, na_rep="n/a")
    drawing = stimulus_figure_path(own_folder, "01", "happy")
    drawing.parent.mkdir(parents=True, exist_ok=True)
    new_figure(1, 1).savefig(drawing)
    files = ParticipantFiles(own_folder, "01")
    assert motion_picture(files).alt == "Framewise displacement over volumes in 2 runs"
    assert lag_picture(files).alt.endswith("peaks: happy unclear (p n/a)")
    assert "No peak is clear (p < 0.01)" in lag_picture(files).caption
    summary = OutputTree(own_folder).runs_summary("01")
    runs = pd.read_csv(summary, sep="\t")
    runs["run"], runs["lag_p"] = ["a", "b", "c"], [0.002, 0.3, 0.3]
    runs.to_csv(summary, sep="\t", index=False)
    caption = lag_picture(ParticipantFiles(own_folder, "01")).caption
    assert "Peaks: happy 4.8 s (p = .002). A peak is unclear from p = 0.01 on." in caption
    lag.assign(r=[0.4, 0.3, 0.2]).to_csv(OutputTree(own_folder).lag_curves("01"), sep="\t")
    assert "happy at the edge (p = .002)" in lag_picture(ParticipantFiles(own_folder, "01")).caption
    blocks = stimuli_section(files).blocks
    assert [block.kind for block in blocks] == ["table", "picture", "missing"]
    assert "of sadsh, sadln" in blocks[2].what
    assert not blocks[1].essential
    name = "sub-01/figures/sub-01_stim-happy_desc-features_stimulus.png"
    assert blocks[1].files == [(name, "PNG, 300 dpi")]


def test_tsnr_is_the_mean_over_runs_with_medians_as_in_the_table(participant_page, folder):
    (picture,) = [p for p in participant_page.pictures if p["alt"].startswith("Temporal signal")]
    assert picture["alt"].endswith("median 80.0")
    files = ParticipantFiles(folder, "01")
    assert "task-happy 50, task-sadsh 60, task-sadln 130." in tsnr_picture(files).caption
    stem = folder / "sub-01" / "figures" / "sub-01_desc-temporalSignalToNoiseRatio_figure"
    assert stem.with_suffix(".svg").is_file()


def test_coverage_is_drawn_where_a_run_has_no_signal(own_folder):
    files = ParticipantFiles(own_folder, "01")
    n_inside = int(np.isfinite(files.both(files.quality_map("coverage"))[0]).sum())
    told = f"Coverage: each of the {n_inside} vertices has a signal in all 3 runs."
    assert coverage_block(files) == Text(told)
    left = files.quality_map("coverage")
    runs = read_gifti(left)
    vertices = np.flatnonzero(np.isfinite(runs[0]))[:7]
    runs[1, vertices] = 0.0
    write_gifti(left, runs, hemi="L", names=list("abc"))
    block = coverage_block(files)
    assert block.alt.endswith("; 7 vertices lack one somewhere")
    assert f"Coverage: 7 of {n_inside} vertices have no signal in some run" in block.caption


def test_series_without_a_mean_have_no_tsnr(own_folder):
    files = ParticipantFiles(own_folder, "01")
    nothing = np.full((3, 10242), np.nan, dtype=np.float32)
    for hemi, path in zip("LR", hemispheres_of(files.quality_map("tsnr")), strict=True):
        write_gifti(path, nothing, hemi=hemi, names=list("abc"))
    assert "the mean was taken out of the series" in tsnr_picture(files).text


def test_the_design_matrix_has_a_panel_per_run_and_a_label_per_kind(own_folder):
    files = ParticipantFiles(own_folder, "01")
    path = files.own_table("timeseries.tsv", model="emotion", desc="design")
    names = ["Tension", "music", "confound1", "confound2", "drift1", "drift2", "drift3", "constant"]
    values = np.random.default_rng(3).standard_normal((9, len(names)))
    design = pd.DataFrame(values, columns=names)
    design.insert(0, "run", ["a"] * 5 + ["b"] * 4)
    design.insert(1, "volume", [*range(5), *range(4)])
    design.loc[5:, "drift3"] = np.nan  # the shorter run has one less
    design.to_csv(path, sep="\t", index=False, na_rep="n/a")
    shown = design_picture(files, path)
    assert shown.alt.startswith("Design matrix of 2 runs: Tension, music")
    first, second = shown.figure.axes[:2]
    labels = [tick.get_text() for tick in first.get_xticklabels()]
    assert labels == ["Tension", "music", "2 confounds", "3 drifts", "constant"]
    found = first.images[0].get_array()
    np.testing.assert_allclose(found, values[:5] / np.abs(values[:5]).max(axis=0))
    assert np.isnan(second.images[0].get_array().filled(np.nan)[:, 6]).all()


def test_predicted_and_measured_courses_are_shown(participant_page, folder):
    (alt,) = [one["alt"] for one in participant_page.pictures if "predicted time" in one["alt"]]
    assert alt == "Measured and predicted time courses of 2 vertices during 3 presentations"
    stem = "sub-01_model-vggish_desc-predictedAndMeasured_figure"
    assert (folder / "sub-01" / "figures" / f"{stem}.svg").is_file()


def test_motion_is_shown_at_the_volumes_of_the_music(own_folder):
    design = pd.DataFrame(
        {
            "run": ["task-sadsh"] * 75 + ["task-happy"] * 75,
            "framewise_displacement": np.arange(150) / 100,
            "std_dvars": np.arange(150) / 10,
        }
    )
    path = own_folder / "sub-01" / "func" / "sub-01_desc-design_timeseries.tsv"
    design.to_csv(path, sep="\t", index=False)
    files = ParticipantFiles(own_folder, "01")
    heard = {"Stimulus": "happy", "StimulusTimes": [0.0, 1.0, 3.0]}
    found = motion_during(files, heard)
    # Music from 7.5 s on, volumes sampled in the middle of their second.
    np.testing.assert_allclose(found["FD (mm)"], [0.82, 0.83, 0.85])
    np.testing.assert_allclose(found["DVARS"], [8.2, 8.3, 8.5])
    assert motion_during(files, {**heard, "StimulusTimes": [0.5, 1.5]}) == {}
    assert motion_during(files, {**heard, "StimulusTimes": [0.0, 900.0]}) == {}


def test_carpet_has_motion_on_its_own_axis_of_time():
    times, values = np.arange(20.0), np.random.default_rng(0).standard_normal((20, 6))
    motion = {"FD (mm)": np.full(20, 0.1), "DVARS": np.ones(20)}
    figure = carpet_figure([("happy", times, values)] * 2, np.arange(6), [motion, {}])
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert labels.count("FD (mm)") == labels.count("DVARS") == 1
    shown = [ax.get_xlim() for ax in figure.axes if ax.get_ylabel() in ("FD (mm)", "vertices")]
    assert set(shown) == {(0.0, 19.0)}


def test_motion_of_all_runs_is_on_one_scale_from_zero():
    runs = {"still": np.array([0.1, 0.2]), "moving": np.array([1.0, 2.0])}
    (low, high), *others = {ax.get_ylim() for ax in series_figure(runs, "FD (mm)").axes}
    assert others == []
    assert low == 0
    assert high > 2
