"""Whose responses can be compared sample by sample, and who is left out of that by name."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.group.clock import Clock, match_clocks, same_rate, share_clock
from bids_app.analyses.group.isc import group_isc
from bids_app.config import Statistics
from bids_app.files import write_json
from bids_app.group import isc
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti, write_gifti

LENGTH = 60.0


def sampled(tr: float, first: float = 0.3, end: float = LENGTH) -> Clock:
    return Clock(tr, np.arange(first, end, tr))


def of_all(clocks: dict[str, Clock], stimuli=("happy", "sad")):
    return match_clocks({who: dict.fromkeys(stimuli, c) for who, c in clocks.items()}, stimuli)


def test_the_one_with_another_repetition_time_is_left_out_by_name():
    found = of_all({"01": sampled(2.0), "02": sampled(2.0), "03": sampled(1.5), "04": sampled(2.0)})
    assert found.participants == ["01", "02", "04"]
    assert found.tr == 2.0
    assert list(found.left_out) == ["03"]
    assert "every 1.5 s" in found.left_out["03"]
    assert "every 2 s" in found.left_out["03"]
    assert found.reasons[0].startswith("sub-03 is left out")
    assert found.stimuli == ["happy", "sad"]


def test_it_does_not_matter_who_comes_first():
    found = of_all({"01": sampled(1.5), "02": sampled(2.0), "03": sampled(2.0)})
    assert found.participants == ["02", "03"]
    assert list(found.left_out) == ["01"]


@pytest.mark.parametrize(
    ("trs", "kept"),
    [
        ({"a": 2.0, "b": 2.0, "c": 1.0}, ["a", "b"]),
        ({"a": 2.0, "b": 1.0}, ["b"]),
        ({"a": 2.0, "b": 1.0, "c": 2.0, "d": 1.0}, ["b", "d"]),
        ({"a": 0.72, "b": 0.7200001, "c": 0.72}, ["a", "b", "c"]),
        ({"a": 1.4}, ["a"]),
    ],
)
def test_the_commonest_rate_then_the_shortest(trs, kept):
    found, left_out = same_rate(trs)
    assert found == kept
    assert set(left_out) == set(trs) - set(kept)


@pytest.mark.parametrize("shift", [0.05, 0.5, 1.0, 1.3, 1.95])
def test_another_onset_stays_in_and_is_matched_in_time(shift):
    others = {"01": sampled(2.0, 0.02), "02": sampled(2.0, 0.02)}
    found = of_all({**others, "03": sampled(2.0, 0.02 + shift)})
    assert found.participants == ["01", "02", "03"]
    times = found.times["happy"]
    assert times.shape[1] >= 29
    assert np.abs(times - times[0]).max() <= 1.0 + 1e-9
    for index, clock in enumerate((others["01"], others["02"], sampled(2.0, 0.02 + shift))):
        np.testing.assert_array_equal(clock.times[found.rows["happy"][index]], times[index])
    # No sample is taken twice, none is skipped.
    assert (np.diff(found.rows["happy"], axis=1) == 1).all()


def test_one_row_less_costs_that_row_and_a_third_of_the_music_costs_the_participant():
    clocks = {f"0{k}": sampled(2.0) for k in range(1, 4)}
    found = of_all({**clocks, "04": sampled(2.0, end=LENGTH - 2), "05": sampled(2.0, end=40)})
    assert found.participants == ["01", "02", "03", "04"]
    assert found.rows["happy"].shape == (4, 29)
    assert "20 samples of happy" in found.left_out["05"]
    assert "30" in found.left_out["05"]


def test_what_half_lack_is_left_out_and_who_lacks_what_others_have():
    full = {"happy": sampled(2.0), "sad": sampled(2.0)}
    one = {"happy": sampled(2.0)}
    found = match_clocks({"01": full, "02": full, "03": one}, ["happy", "sad"])
    assert found.participants == ["01", "02"]
    assert "response to sad" in found.left_out["03"]
    found = match_clocks({"01": full, "02": one, "03": one}, ["happy", "sad"])
    assert found.participants == ["01", "02", "03"]
    assert found.stimuli == ["happy"]
    assert "sub-02, sub-03" in found.missing["sad"]
    found = match_clocks({"01": {}, "02": {}}, ["happy"])
    assert found.participants == found.stimuli == []
    assert found.missing


def test_two_rates_in_one_participant_are_told():
    mixed = {"happy": sampled(2.0), "sad": sampled(1.0)}
    full = dict.fromkeys(("happy", "sad"), sampled(2.0))
    found = match_clocks({"01": mixed, "02": full, "03": full}, ["happy", "sad"])
    assert found.participants == ["02", "03"]
    assert "from stimulus to stimulus" in found.left_out["01"]


@pytest.fixture
def folder(tmp_path):
    """Five people; sub-02 has another repetition time, sub-04 another onset."""
    tree, rng = OutputTree(tmp_path / "out"), np.random.default_rng(3)
    common, values = rng.standard_normal((30, 1284)), {}
    for person in ("01", "02", "03", "04", "05"):
        tr, first = (1.5, 0.3) if person == "02" else (2.0, 0.8 if person == "04" else 0.3)
        times = np.arange(first, LENGTH, tr)
        own = common if len(times) == 30 else rng.standard_normal((len(times), 1284))
        own = (own + rng.standard_normal(own.shape)).astype(np.float32)
        values[person] = own
        for hemi, half in zip("LR", np.split(own, 2, axis=1), strict=True):
            path = tree.participant_bold(person, hemi, "fsaverage3", stim="happy")
            write_gifti(path, half, hemi=hemi, names=[sample_name(t) for t in times], tr=tr)
            write_json(sidecar_of(path), {"StimulusTimes": times.tolist(), "RepetitionTime": tr})
    return SimpleNamespace(tree=tree, values=values)


def test_others_keep_their_correlation_where_one_has_another_rate(folder, tmp_path):
    people = list(folder.values)
    data = SimpleNamespace(
        model="vggish",
        participants=people,
        stimuli=["happy"],
        space="fsaverage3",
        settings={"delays": [1.0, 10.0], "crop": 0.0},
    )
    found = group_isc(folder.tree, data, tmp_path, Statistics(random_seed=7))
    kept = np.stack([folder.values[who] for who in ("01", "03", "04", "05")])
    np.testing.assert_allclose(found.result.pairwise, isc(kept, seed=7).pairwise)
    assert found.participants == ["sub-01", "sub-03", "sub-04", "sub-05"]
    assert len(found.reasons) == 1
    assert "sub-02 is left out: sampled every 1.5 s" in found.reasons[0]
    assert [row["state"] for row in found.states] == ["done", "left out"]


def test_too_few_of_one_rate_is_a_reason_with_names(folder, tmp_path):
    data = SimpleNamespace(
        model="vggish", participants=["01", "02", "03"], stimuli=["happy"], space="fsaverage3"
    )
    found = group_isc(folder.tree, data, tmp_path, Statistics(random_seed=7))
    assert found.result is None
    assert found.stimuli == []
    assert any("sub-02" in reason for reason in found.reasons)
    assert any("three participants" in reason for reason in found.reasons)


def test_of_what_was_heard_several_times_the_first_counts(folder, tmp_path):
    people, stem = ["01", "03", "04", "05"], {"stim": "happy"}
    data = SimpleNamespace(
        model="vggish",
        participants=people,
        stimuli=["happy"],
        space="fsaverage3",
        settings={"delays": [1.0, 10.0], "crop": 0.0},
    )
    once = group_isc(folder.tree, data, tmp_path, Statistics(random_seed=7))
    for hemi in "LR":
        path = folder.tree.participant_bold("03", hemi, "fsaverage3", **stem)
        first, second = (
            folder.tree.participant_bold("03", hemi, "fsaverage3", run=run, **stem) for run in "12"
        )
        values = read_gifti(path)
        names = [sample_name(0.3 + 2 * k) for k in range(len(values))]
        for own, sign in ((first, 1), (second, -1)):
            write_gifti(own, sign * values, hemi=hemi, names=names, tr=2.0)
            shutil.copy(sidecar_of(path), sidecar_of(own))
        path.unlink()
        sidecar_of(path).unlink()
    found = group_isc(folder.tree, data, tmp_path, Statistics(random_seed=7))
    assert found.participants == [f"sub-{who}" for who in people]
    np.testing.assert_array_equal(found.result.pairwise, once.result.pairwise)
    told = "happy: later presentations to sub-03, who heard it several times"
    assert found.reasons == [told]


def test_nothing_saved_is_told(tmp_path):
    shared = share_clock(OutputTree(tmp_path), ["01", "02", "03"], ["happy"], "fsaverage3")
    assert shared.participants == []
    assert "no cleaned response" in shared.missing["happy"]
