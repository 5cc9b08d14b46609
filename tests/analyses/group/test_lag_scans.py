"""Lags over participants: planted ones are claimed, and what listeners share of noise is not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from lag_listeners import (
    CLEANING,
    COURSES,
    FEATURE,
    SPACE,
    lag_job,
    prepared,
    record_of,
)

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.write import write_map
from bids_app.analyses.group.lag_scans import (
    LAG_SCANS,
    scan_group,
    told_of_lags,
    write_group_lags,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.lag_maps import AUDITORY, scan_lags, write_lag_scan
from bids_app.config.sections import Statistics
from bids_app.errors import BadDataError
from bids_app.outputs import OutputTree
from bids_app.report.lag_scan import lag_group_sections
from bids_app.report.sources import GroupFiles
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh

PEOPLE = [f"{number:02d}" for number in range(1, 8)]
STATISTICS = Statistics(n_permutations=128)


def study(folder, shift, *, shared=0.0, people=PEOPLE):
    """An output folder with cleaned responses and lag scans."""
    tree, job = OutputTree(folder), lag_job(59)
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
        maps = scan_lags(record_of(job, who), job, COURSES, responses, [], CLEANING)
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
    assert told.claimed
    assert told.sentence.startswith("Auditory cortex follows descriptors loudness by 5.0 s")
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
    assert told.sentence.startswith("No lag of auditory cortex behind descriptors loudness shown")


def test_what_the_group_writes_is_shown(planted, tmp_path):
    found = scan_group(planted, PEOPLE, STATISTICS, tmp_path)
    writer = GroupWriter(planted, found, {"n_permutations": 128})
    writer.begin()
    write_group_lags(writer, found)
    writer.finish(**told_of_lags(found))
    table = planted.group_table(
        "summary.tsv", model=LAG_SCANS.model, feature=FEATURE.label, desc="regions"
    )
    (row,) = pd.read_csv(table, sep="\t").to_dict("records")
    assert row["claimed"]
    assert row["state"] == "clear"
    assert row["n_participants"] == 7
    held = planted.group_map(
        "L", SPACE, model=LAG_SCANS.model, feature=FEATURE.label, stat="n", desc="both"
    )
    assert held in writer.written
    files = GroupFiles(planted.root)
    files.__dict__["shared_settings"] = {"space": SPACE}
    (section,) = lag_group_sections(files)
    text = " ".join(str(block) for block in section.blocks)
    assert "Auditory cortex follows descriptors loudness" in text
    assert "Missing" not in text


def test_who_and_what_takes_no_part_is_named(planted, tmp_path):
    found = scan_group(planted, [*PEOPLE, "99"], STATISTICS, tmp_path)
    assert found.left_out == {f"sub-99, {FEATURE.label}": "no lag scan in the output folder"}
    assert found.participants == PEOPLE
    assert scan_group(planted, ["98", "99"], STATISTICS, tmp_path) is None
    assert scan_group(planted, ["01", "99"], STATISTICS, tmp_path) is None


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
