"""Lags of a participant: planted ones are found and written, noise is unclear, edges are said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lag_listeners import (
    CLEANING,
    COURSES,
    FEATURE,
    HELD,
    SEED,
    SPACE,
    lag_job,
    prepared,
    record_of,
)
from scipy.io import wavfile

from bids_app.analyses.participant.analysis import Scope
from bids_app.analyses.participant.lag_maps import (
    AUDITORY,
    CONSTANT,
    LAG_SCAN,
    compute_courses,
    scan_lags,
    write_lag_scan,
)
from bids_app.analyses.participant.lag_plan import LAGS, LagFeature, lag_features, too_short
from bids_app.analyses.participant.responses import Prepared
from bids_app.config import Config
from bids_app.config.sections import LagScan
from bids_app.errors import BadDataError, UsageError
from bids_app.files import read_json
from bids_app.inputs.records import BoldRun, Presentation, Stimulus
from bids_app.outputs import OutputTree
from bids_app.report.lag_scan import lag_scan_sections
from bids_app.report.sources import ParticipantFiles
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.lag_scan import AT_EDGE, CLEAR, UNCLEAR
from bids_app.surface.mesh import load_mesh


def scan(responses, courses=COURSES, **options):
    own = lag_job(**options)
    return scan_lags(record_of(own), own, courses, responses, [], CLEANING)


def region(found, name):
    return next(row for row in found.regions if row["region"] == name)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_planted_lag_is_found_on_the_mesh(sign):
    """Loudness against auditory cortex peaks near 5 s, in a piece heard twice, too."""
    found = scan(prepared(5.0, heard=("fugue", "waltz", "fugue"), sign=sign))
    auditory = auditory_vertices(load_mesh(SPACE))
    own = region(found, AUDITORY)
    assert own["state"] == CLEAR
    assert own["lag_s"] == pytest.approx(5.0, abs=0.4)
    assert np.sign(own["r"]) == sign
    assert own["p_corrected"] == 0.01
    assert np.nanmedian(found.lag[auditory]) == pytest.approx(5.0, abs=0.5)
    assert (found.p_max[auditory] < 0.05).mean() > 0.9
    others = np.setdiff1d(np.arange(len(found.p_max)), auditory)
    assert np.nanmean(found.p_max[others] < 0.05) < 0.02
    assert np.isnan([found.lag[0], found.r[0], found.p[0], found.p_max[0]]).all()
    assert region(found, SEED.name)["state"] == UNCLEAR
    assert found.left_out == {"ic.nii.gz": "a seed in the volume has no course on the surface"}


def test_noise_is_unclear_and_the_edge_is_said():
    nothing = region(scan(prepared(None)), AUDITORY)
    assert nothing["state"] == UNCLEAR
    assert nothing["p_corrected"] > 0.05
    late = region(scan(prepared(14.0)), AUDITORY)
    assert late["state"] == AT_EDGE
    assert np.isnan(late["lag_s"])
    assert late["at_edge"] is True


def test_threads_change_nothing():
    own, responses = lag_job(19), prepared(5.0)
    one, two = (
        scan_lags(record_of(own), own, COURSES, responses, [], CLEANING, n_threads=n)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.p, two.p)
    assert one.regions == two.regions


def test_pieces_that_are_too_short_are_named():
    short = prepared(5.0)
    short.blocks[0] = replace(
        short.blocks[0], times=short.blocks[0].times[:15], values=short.blocks[0].values[:15]
    )
    found = scan(short, n_draws=9)
    assert found.left_out["fugue in sub-01_task-x_run-1"] == "6 volumes with music at every lag"
    assert list(found.courses) == ["waltz"]
    with pytest.raises(BadDataError, match="long enough"):
        scan(Prepared(blocks=short.blocks[:1]), n_draws=9)
    run = BoldRun.__new__(BoldRun)
    told = {"n_volumes": 40, "tr": 2.0, "start_time": 0.0}
    heard = (Presentation("fugue", 0.0, 0.0, 30.0), Presentation("waltz", 30.0, 0.0, 50.0))
    for name, value in {
        **told,
        "presentations": heard,
        "entities": {"sub": "01", "task": "x"},
    }.items():
        object.__setattr__(run, name, value)
    assert [name.split(" in ")[0] for name in too_short([run])] == ["fugue"]


@pytest.mark.parametrize("values", [HELD.values, np.zeros(720)], ids=["tempo", "unused pedal"])
def test_pieces_in_which_the_feature_is_constant_are_named(values):
    """They cost the other pieces nothing: the scan is that of the others alone."""
    constant = {"fugue": COURSES["fugue"], "waltz": replace(HELD, values=values)}
    both = prepared(5.0)
    found = scan(both, constant, n_draws=19)
    assert found.left_out["waltz in sub-01_task-x_run-2"] == CONSTANT
    assert list(found.courses) == ["fugue", "waltz"]
    alone = scan(Prepared(blocks=both.blocks[:1]), n_draws=19)
    for name in ("lag", "r", "p", "p_max"):
        np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
    assert np.isfinite(found.r[3:]).all()
    assert found.regions == alone.regions
    with pytest.raises(BadDataError, match="is constant"):
        scan(both, dict.fromkeys(COURSES, constant["waltz"]), n_draws=9)


def test_what_is_written_is_declared_and_shown(tmp_path):
    tree, own = OutputTree(tmp_path), lag_job(39)
    found = scan(prepared(5.0), n_draws=39)
    written = write_lag_scan(tree, record_of(own), own, found)
    config = Config(Path("bids"), tmp_path, "participant", cleaning=CLEANING)
    heard = BoldRun.__new__(BoldRun)
    object.__setattr__(heard, "presentations", (Presentation("fugue", 0.0, 0.0, 1.0),) * 1)
    second = BoldRun.__new__(BoldRun)
    object.__setattr__(second, "presentations", (Presentation("waltz", 0.0, 0.0, 1.0),) * 1)
    scope = Scope(config, "01", music=[heard, second], feature=FEATURE.label)
    row = replace(LAG_SCAN, desc=FEATURE.label)
    declared = {*row.outputs(scope), *row.closing(scope)}
    assert {path for path in written if path.suffix != ".json" or path in declared} == declared
    files = ParticipantFiles(tmp_path, "01")
    files.__dict__["shared_settings"] = {"space": SPACE}
    (section,) = lag_scan_sections(files)
    text = " ".join(str(block) for block in section.blocks)
    assert "Auditory cortex: 5." in text
    assert "Left out: ic.nii.gz" in text
    assert "missing" not in text.lower()


def test_a_guess_is_called_one(tmp_path):
    own = replace(lag_job(39), feature=LagFeature("transcribed@density", "transcribed", "density"))
    written = write_lag_scan(
        OutputTree(tmp_path), record_of(own), own, scan(prepared(5.0), n_draws=39)
    )
    maps = [path for path in written if path.name.endswith("_statmap.json")]
    assert maps
    assert all("basic-pitch" in read_json(path)["Guess"] for path in maps)


def write_sound(path, seconds=20):
    rng = np.random.default_rng(0)
    level = np.repeat(rng.uniform(0.05, 0.8, seconds), 16000)
    wavfile.write(path, 16000, (level * rng.standard_normal(level.size) * 8000).astype(np.int16))
    return path


def test_features_are_one_dimensional_or_refused(tmp_path):
    path = write_sound(tmp_path / "noise.wav")
    stimuli = [Stimulus("noise", path, "0", 20.0)]

    def asked(*texts):
        config = Config(Path("bids"), tmp_path, "participant", lag_scan=LagScan(texts))
        return lag_features(config)

    loud, tempo, envelope = asked("descriptors@loudness,descriptors@rhythm:tempo", "envelope")
    for one in (loud, tempo, envelope):
        one.check(stimuli)
    assert [one.label for one in (loud, tempo, envelope)] == [
        "descriptorsloudness",
        "descriptorsrhythmtempo",
        "envelope",
    ]
    found = compute_courses([("noise", path)], loud)["noise"]
    assert np.diff(found.times) == pytest.approx(0.25)
    assert np.isfinite(found.values).all()
    for text, wanted in (
        ("descriptors@rhythm", "3 units"),
        ("cochleagram", "128 units"),
        ("descriptors", "which layer"),
        ("vggish@random:1@conv1", "not one-dimensional"),
        ("change:envelope", "not one-dimensional"),
    ):
        with pytest.raises(UsageError, match=wanted):
            asked(text)[0].check(stimuli)
    with pytest.raises(UsageError, match="no such feature space"):
        asked("loudness")
    with pytest.raises(UsageError, match="named twice"):
        LagScan(("envelope", "envelope"))
    assert LAGS[0] == -6.0
