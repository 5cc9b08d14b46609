"""Head motion between participants: which volumes, what is found, and how often by chance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import signal, stats

from bids_app.analyses.group import collect
from bids_app.analyses.group.motion import (
    MOTION,
    TRACES,
    group_motion,
    motion_courses,
    motion_during,
    motion_rows,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.cli.tools import main
from bids_app.config import Statistics
from bids_app.errors import MissingInputError
from bids_app.features.precomputed import load_precomputed
from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti

TR, N_VOLUMES, N_SAMPLES = 2.0, 70, 57
STATISTICS = Statistics(random_seed=5)


def moved(rng, n, common=0.0):
    """Framewise displacement: slow, heavy-tailed, with a few large movements."""
    slow = signal.lfilter([1], [1, -0.6], rng.standard_normal(n)) + common
    return 0.1 * np.exp(0.5 * slow) + 2.0 * (rng.random(n) < 0.03)


def study(folder, common, tr=TR):
    """Five listeners; motion of the volumes with music has a part in common."""
    tree = OutputTree(folder)
    for number in range(5):
        who, rng = f"{number + 1:02d}", np.random.default_rng([7, number])
        # Everybody has another volume censored, and the samples skip it.
        volumes = np.delete(np.arange(3, 3 + N_SAMPLES + 1), 10 + number)
        times = tr * (volumes - 3.0)
        record = {"StimulusTimes": times.tolist(), "RepetitionTime": tr}
        record |= {"Run": f"sub-{who}_task-a", "Volumes": volumes.tolist()}
        for hemi in "LR":
            path = tree.participant_bold(who, hemi, "fsaverage3", stim="happy")
            values = np.zeros((len(times), 642), np.float32)
            write_gifti(path, values, hemi=hemi, names=[f"{t:g}" for t in times], tr=tr)
            write_json(sidecar_of(path), record)
        whole = np.zeros(N_VOLUMES)
        whole[3 : 3 + len(common)] = common
        design = pd.DataFrame(
            {
                "run": f"sub-{who}_task-a",
                "volume": np.arange(N_VOLUMES),
                "framewise_displacement": moved(rng, N_VOLUMES, whole),
                "std_dvars": moved(rng, N_VOLUMES),
                # Everybody breathes in a phase of their own, deeper with the music.
                "trans_y": (2 + whole)
                * np.sin(2 * np.pi * 0.3 * tr * np.arange(N_VOLUMES) + rng.uniform(0, 6)),
            }
        )
        design.loc[0, ["framewise_displacement", "std_dvars"]] = np.nan
        table = tree.participant_file(who, "timeseries.tsv", desc="design")
        design.to_csv(table, sep="\t", na_rep="n/a")
    data = SimpleNamespace(
        participants=[f"{k:02d}" for k in range(1, 6)], stimuli=["happy"], space="fsaverage3"
    )
    return tree, data


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    common = 2 * np.sin(np.arange(60) / 3)
    return study(tmp_path_factory.mktemp("shared"), common)


def test_motion_is_that_of_the_volumes_of_the_samples(shared):
    tree, _ = shared
    rows = np.array([0, 5, 10, 11, 56])
    found = motion_during(tree, "02", "happy", "fsaverage3", rows)
    path = tree.participant_file("02", "timeseries.tsv", desc="design")
    wanted = pd.read_csv(path, sep="\t")["framewise_displacement"].to_numpy()
    # Volume 14 of the second listener was censored.
    np.testing.assert_allclose(found[:, 0], np.log(wanted[[3, 8, 13, 15, 60]] + 0.01))


def test_courses_of_a_piece_are_what_listeners_share(shared, tmp_path):
    tree, data = shared
    given = [data.participants, data.stimuli, data.space]
    courses, reasons = motion_courses(tree, *given)
    assert reasons == ["no breathing: volumes every 2 s show nothing up to 0.4 Hz"]
    course = courses["happy"]
    assert list(course) == ["time", *(f"{n}{e}" for n in TRACES for e in ("", "_artifact"))]
    common = np.sin(course["time"].to_numpy() / TR / 3)
    displacement = course["framewise_displacement"]
    assert np.corrcoef(displacement, common)[0, 1] > 0.8
    # What is at once in the signal is where a model looks for what was 6 s before.
    later = course["framewise_displacement_artifact"].to_numpy()
    at = {time: value for time, value in zip(course["time"], displacement, strict=True)}
    known = [(value, at[time + 6]) for time, value in zip(at, later, strict=True) if time + 6 in at]
    assert len(known) > 30
    np.testing.assert_allclose(*np.transpose(known))
    tree, data = study(tmp_path, np.sin(np.arange(60) / 6), tr=1.0)
    courses, reasons = motion_courses(tree, *given)
    assert reasons == []
    slow = np.sin(courses["happy"]["time"].to_numpy() / 6)
    assert np.corrcoef(courses["happy"]["breathing"], slow)[0, 1] > 0.8
    few, reasons = motion_courses(tree, ["01", "02"], *given[1:])
    assert few == {}
    assert "fewer than three" in reasons[-1]


def test_the_command_writes_features_that_can_be_read(shared, tmp_path, monkeypatch):
    tree, data = shared
    monkeypatch.setattr(OutputTree, "models", lambda _: ["vggish"])
    monkeypatch.setattr(OutputTree, "participants_of", lambda *_: data.participants)
    record = {"Stimuli": {"happy": "0"}, "Settings": {"space": data.space}}
    monkeypatch.setattr(collect, "read_encoding", lambda *_: record)
    assert main(["motion", str(tree.root), "-o", str(tmp_path / "motion")]) == 0
    times = np.arange(0.25, TR * N_SAMPLES, 0.5)
    (layer,) = load_precomputed(tmp_path / "motion", "happy", times, 0.5)
    assert layer.values.shape[1] == 4
    monkeypatch.setattr(OutputTree, "models", lambda _: [])
    assert main(["motion", str(tree.root), "-o", str(tmp_path / "motion")]) != 0


def test_responses_without_their_volumes_are_a_reason(tmp_path):
    tree, data = study(tmp_path, np.zeros(60))
    path = sidecar_of(tree.participant_bold("04", "L", "fsaverage3", stim="happy"))
    record = read_json(path)
    del record["Volumes"]
    write_json(path, record)
    found = group_motion(tree, data, STATISTICS)
    assert found.rows == []
    assert "no volume of every sample" in found.reasons[0]


def test_shared_motion_is_found_in_its_own_trace(shared):
    tree, data = shared
    found = group_motion(tree, data, STATISTICS)
    assert found.reasons == []
    displacement, dvars = found.rows
    assert displacement["trace"] == "framewise_displacement"
    assert displacement["n_participants"] == 5
    assert displacement["r"] > 0.3
    assert displacement["p"] < 0.01
    assert dvars["p"] > 0.05
    assert set(displacement) == set(MOTION.outputs[0].columns)


def test_why_there_is_none_is_told(shared, tmp_path):
    tree, data = shared
    few = SimpleNamespace(**vars(data) | {"participants": ["01", "02"]})
    assert group_motion(tree, few, STATISTICS).reasons == [
        "fewer than three participants with responses on one clock"
    ]
    tree, data = study(tmp_path, np.zeros(60))
    tree.participant_file("03", "timeseries.tsv", desc="design").unlink()
    found = group_motion(tree, data, STATISTICS)
    assert found.rows == []
    assert "happy: A table is missing" in found.reasons[0]
    with pytest.raises(MissingInputError):
        motion_during(tree, "03", "happy", "fsaverage3", np.arange(3))


def test_motion_that_nobody_shares_has_its_level():
    rng, n_studies = np.random.default_rng(8), 300

    def stack(n):
        people = [[moved(rng, n), moved(rng, n)] for _ in range(6)]
        return np.log(np.array(people) + 0.01).swapaxes(1, 2)

    studies = [[stack(60), stack(90)] for _ in range(n_studies)]
    hits = sum(
        min(row["p"] for row in motion_rows(one, seed)) < 0.05 for seed, one in enumerate(studies)
    )
    low, high = stats.binomtest(hits, n_studies).proportion_ci(0.999)
    assert low <= 0.05 <= high


def test_the_table_belongs_to_no_model(shared, tmp_path):
    tree, data = shared
    rows = [{"participant_id": f"sub-{who}", "sha256_left": ""} for who in data.participants]
    source = SimpleNamespace(**vars(data), model="vggish", rows=rows)
    writer = GroupWriter(OutputTree(tmp_path), source, {})
    writer.outputs(MOTION.outputs, None, {"motion": group_motion(tree, data, STATISTICS)})
    names = sorted(path.name for path in writer.written)
    assert names == ["group_desc-motion_summary.json", "group_desc-motion_summary.tsv"]
