"""Lags over participants: planted ones are described, what listeners share of noise is not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from lag_listeners import (
    CLEANING,
    COURSES,
    FEATURE,
    HELD,
    SPACE,
    lag_job,
    prepared,
    record_of,
)

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.write import write_map
from bids_app.analyses.group.claims import told_claims, write_claims
from bids_app.analyses.group.lag_scans import (
    LAG_SCANS,
    scan_group,
    told_of_lags,
    write_group_lags,
)
from bids_app.analyses.group.lag_tests import (
    NO_LAG,
    LagPart,
    correct_features,
    lag_claim,
    lag_test,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.lag_maps import AUDITORY, scan_lags, write_lag_scan
from bids_app.config.sections import Statistics
from bids_app.errors import BadDataError
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import correct_together, decide
from bids_app.outputs import OutputTree
from bids_app.report.lag_scan import lag_group_sections
from bids_app.report.page import Verdict
from bids_app.report.sources import GroupFiles
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.lag_group import OthersScan
from bids_app.surface.mesh import load_mesh

PEOPLE = [f"{number:02d}" for number in range(1, 8)]
STATISTICS = Statistics(n_permutations=128)
SEEDS = {f"{FEATURE.label}, seeds": "scanned in participants only"}


def study(folder, shift, *, shared=0.0, people=PEOPLE, courses=COURSES, atlases=()):
    """An output folder with cleaned responses and lag scans."""
    tree, job = OutputTree(folder), replace(lag_job(59), atlases=atlases)
    for number, who in enumerate(people):
        responses = prepared(shift, seed=number, shared=shared)
        for block in responses.blocks:
            place = {"stim": block.stimulus, "desc": "clean"}
            told = {"StimulusTimes": block.times.tolist(), "RepetitionTime": block.tr}
            write_map(
                partial(tree.map_file, who, space=SPACE, suffix="bold", **place),
                block.values,
                [sample_name(time) for time in block.times],
                told,
                space=SPACE,
            )
        maps = scan_lags(record_of(job, who), job, courses, responses, [], CLEANING)
        write_lag_scan(tree, record_of(job, who), job, maps)
    return tree


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return study(tmp_path_factory.mktemp("planted"), 5.0)


def test_a_planted_lag_is_claimed_over_people_and_music(planted, tmp_path):
    found = scan_group(planted, PEOPLE, STATISTICS, tmp_path)
    (one,) = found.features
    assert one.participants == PEOPLE
    (place,) = one.places
    assert place.name == AUDITORY
    assert one.regions.lag[0] == pytest.approx(5.0, abs=0.3)
    (told,) = one.decisions()
    assert one.states() == ["claimed"]
    assert told.claimed
    assert not told.failed
    assert told.sentence.startswith("Auditory cortex follows descriptors@loudness by 5.0 s (r ")
    edge = decide(lag_claim({**one.record(0), "lag": None}))
    assert not edge.claimed
    assert f"is not claimed: {NO_LAG} (r " in edge.sentence
    assert found.group.left_out == SEEDS
    auditory = auditory_vertices(load_mesh(SPACE))
    others = np.setdiff1d(np.arange(len(one.vertices.lag)), auditory)
    assert (one.vertices.music_max[auditory] < 0.05).mean() > 0.9
    assert (one.vertices.people.p[auditory] < 0.05).mean() > 0.5
    assert np.nanmean(one.vertices.music_max[others] < 0.05) < 0.01
    assert np.nanmedian(one.vertices.lag[auditory]) == pytest.approx(5.0, abs=0.3)
    assert np.isnan(one.vertices.r[:3]).all()


def test_what_listeners_share_of_noise_is_not_claimed(tmp_path):
    tree = study(tmp_path / "out", None, shared=0.5)
    (one,) = scan_group(tree, PEOPLE, STATISTICS, tmp_path).features
    (told,) = one.decisions()
    assert not told.claimed
    assert one.states() == ["unclear"]
    assert told.sentence.startswith("No lag of auditory cortex behind descriptors@loudness shown")
    assert "it does not hold over" in told.sentence


def test_regions_of_all_features_are_corrected_together(planted, tmp_path):
    """By the largest over both, also where one participant lacks a feature."""
    (one,) = scan_group(planted, PEOPLE, STATISTICS, tmp_path).features
    rng = np.random.default_rng(1)
    flips = {"n_permutations": 128, "seed": 0}

    def part(z):
        draws = rng.standard_normal((40, 2))
        none, mean = np.zeros(2), z.mean(axis=0)
        curves = np.tile(np.tanh(z)[:, np.newaxis], (1, 4, 1))
        chosen, edge = np.zeros(z.shape, int), np.zeros(2, bool)
        return LagPart.of(
            OthersScan(np.arange(4.0), curves, chosen, z, mean, none, edge, draws, none)
        )

    first, second = part(rng.standard_normal((7, 2)) + 1.5), part(rng.standard_normal((6, 2)))
    both = correct_features([(one, first), (replace(one, participants=PEOPLE[1:]), second)], flips)
    assert [found.n_features for found in both] == [2, 2]
    size = np.abs(np.concatenate([first.mean / first.sd, second.mean / second.sd]))
    highest = np.maximum(first.highest, second.highest)
    expected = [(1 + (highest >= x).sum()) / 41 for x in size]
    np.testing.assert_allclose(np.concatenate([b.regions.music_max for b in both]), expected)
    z = np.full((7, 4), np.nan)
    z[:, :2], z[1:, 2:] = first.z, second.z
    people = sign_flip_max_t(z, tail="two-sided", **flips).p
    np.testing.assert_allclose(np.concatenate([b.regions.people.p for b in both]), people)
    assert both[0].regions.curves.shape == (4, 2)
    assert "corrected over 1 region and 2 features" in both[0].decisions()[0].sentence


def test_what_the_group_writes_is_shown(planted, tmp_path):
    found = scan_group(planted, PEOPLE, STATISTICS, tmp_path)
    writer = GroupWriter(planted, found.group, {"n_permutations": 128})
    writer.begin()
    write_group_lags(writer, found)
    writer.finish(**told_of_lags(found))
    write_claims(planted.root)
    (said,) = pd.read_csv(planted.group_table("summary.tsv", desc="claims"), sep="\t").to_dict(
        "records"
    )
    assert said["claimed"]
    assert (said["kind"], said["measure"]) == (
        "follows",
        "lag of auditory cortex behind descriptors@loudness",
    )
    assert told_claims(planted.root) == [said["sentence"]]
    table = planted.group_table(
        "summary.tsv", model=LAG_SCANS.model, feature=FEATURE.label, desc="regions"
    )
    (row,) = pd.read_csv(table, sep="\t").to_dict("records")
    assert row["claimed"]
    assert row["sentence"] == said["sentence"]
    assert row["state"] == "claimed"
    assert row["n_participants"] == 7
    held = planted.group_map(
        "L", SPACE, model=LAG_SCANS.model, feature=FEATURE.label, stat="n", desc="both"
    )
    assert held in writer.written
    files = GroupFiles(planted.root)
    files.__dict__["shared_settings"] = {"space": SPACE}
    (section,) = lag_group_sections(files)
    text = " ".join(str(block) for block in section.blocks)
    assert "Auditory cortex follows descriptors@loudness by 5.0 s (r" in text
    assert "'5.0 s'" in text
    assert {one.tone for one in section.blocks if isinstance(one, Verdict)} == {"good"}
    assert "Missing" not in text


def test_who_and_what_takes_no_part_is_named(planted, tmp_path):
    found = scan_group(planted, [*PEOPLE, "99"], STATISTICS, tmp_path)
    lacking = {f"sub-99, {FEATURE.label}": "no lag scan in the output folder"}
    assert found.group.left_out == {**lacking, **SEEDS}
    assert found.group.participants == PEOPLE
    assert scan_group(planted, ["98", "99"], STATISTICS, tmp_path) is None
    assert scan_group(planted, ["01", "99"], STATISTICS, tmp_path) is None


def test_who_has_no_responses_costs_nobody_else_the_feature(tmp_path, caplog):
    tree = study(tmp_path / "out", 5.0, people=PEOPLE[:3])
    for path in tree.responses("02", SPACE):
        path.unlink()
    found = scan_group(tree, PEOPLE[:3], STATISTICS, tmp_path)
    assert found.group.participants == found.features[0].participants == ["01", "03"]
    lacking = {f"sub-02, {FEATURE.label}": "no cleaned responses in the output folder"}
    assert found.group.left_out == {**lacking, **SEEDS}
    assert np.isfinite(found.features[0].regions.r).all()
    assert scan_group(tree, PEOPLE[:2], STATISTICS, tmp_path) is None
    assert "fewer than two participants have responses that can be scanned" in caplog.text


def test_a_piece_in_which_the_feature_is_held_takes_no_part(tmp_path):
    people = PEOPLE[:2]
    tree = study(tmp_path / "out", 5.0, people=people, courses={**COURSES, "waltz": HELD})
    found = scan_group(tree, people, STATISTICS, tmp_path)
    held = {
        f"sub-{who}, {FEATURE.label}, waltz": "the feature does not vary there at every lag"
        for who in people
    }
    assert found.group.left_out == {**held, **SEEDS}
    (one,) = found.features
    assert one.regions.lag[0] == pytest.approx(5.0, abs=0.5)
    assert np.isfinite(one.vertices.r[3:]).all()


def test_regions_that_the_group_has_not_are_named(tmp_path):
    mesh = load_mesh(SPACE)
    half = mesh.n_vertices // 2
    paths = [tmp_path / f"{hemi}.annot" for hemi in "lr"]
    for path in paths:
        nib.freesurfer.write_annot(
            path,
            np.arange(half) % 2,
            np.array([[9, 9, 9, 0], [50, 60, 70, 0]]),
            ["unknown", "stripes"],
        )
    option = f"Mine={paths[0]},{paths[1]}"
    people = PEOPLE[:2]
    tree = study(tmp_path / "out", 5.0, people=people, atlases=(option,))
    lacking = {
        f"{FEATURE.label}, 1 regions of Mine": "scanned in participants; not in an atlas of the"
        " group level (--atlas)"
    }
    found = scan_group(tree, people, STATISTICS, tmp_path)
    assert found.group.left_out == {**lacking, **SEEDS}
    given = replace(STATISTICS, atlases=(option,))
    found = scan_group(tree, people, given, tmp_path)
    assert found.group.left_out == SEEDS
    assert {place.name for place in found.features[0].places} == {"auditory cortex", "stripes"}


def test_parts_are_correct_features_without_their_draws():
    """As all draws at once: the largest |z| of a draw is over the vertices of all parts."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((99, 7)) * np.linspace(0.5, 2, 7)
    z = rng.standard_normal((5, 7)) + np.linspace(0, 2, 7)
    z[:, 2] = draws[:, 2] = np.nan
    mean = z.mean(axis=0)

    def part(at):
        lags, none = np.arange(4.0), np.zeros(7)
        curves = np.tile(np.tanh(z)[:, np.newaxis, at], (1, 4, 1))
        chosen, edge = np.zeros((5, 7), int)[:, at], np.zeros(7, bool)[at]
        scan = OthersScan(
            lags, curves, chosen, z[:, at], mean[at], none[at], edge, draws[:, at], none[at]
        )
        return LagPart.of(scan)

    found = lag_test([part(slice(0, 3)), part(slice(3, 7))], {"n_permutations": 32, "seed": 0})
    sd = np.sqrt((draws**2).mean(axis=0))
    np.testing.assert_array_equal(found.music_max, correct_together(mean, draws.T, sd))
    assert np.isnan(found.music_max[2])
    np.testing.assert_allclose(found.sd, sd)
    np.testing.assert_allclose(found.curves[0], np.tanh(mean))


def test_another_course_of_a_piece_is_refused(tmp_path):
    tree = study(tmp_path / "out", None, people=PEOPLE[:2])
    path = tree.participant_file(
        "02",
        "timeseries.tsv",
        stim="fugue",
        model=LAG_SCANS.model,
        feature=FEATURE.label,
        desc="course",
    )
    path.write_text(path.read_text().replace("0.25\t", "0.26\t"))
    with pytest.raises(BadDataError, match="not as it was written"):
        scan_group(tree, PEOPLE[:2], STATISTICS, tmp_path)
