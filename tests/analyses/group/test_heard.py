"""Who shares a clock, whose repeats are found, and who has no part in claims over music."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from written_group import write_features

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group.heard import (
    Heard,
    Presentations,
    collect_heard,
    group_by_clock,
    presented,
)
from bids_app.errors import BadDataError
from bids_app.files import write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti

SPACE = "fsaverage5"
N_HALF = 10242


def clock(onset=0.4, tr=1.0, n=(20, 25), labels=("a", "b")):
    times = tuple(onset + tr * np.arange(size) for size in n)
    return Presentations(tuple(labels), times, tr)


def write_response(
    tree, participant, stimulus, *, n=6, onset=0.4, tr=1.0, run="", fill=None, censored=()
):
    """Cleaned responses whose first value names the presentation, the second the volume."""
    for hemi in "LR":
        path = tree.participant_bold(participant, hemi, SPACE, stim=stimulus, run=run)
        kept = np.setdiff1d(np.arange(n), censored)
        values = np.full((len(kept), N_HALF), float(run or 0), dtype=np.float32)
        values[:, 1] = kept if fill is None else fill
        times = onset + tr * kept
        write_gifti(path, values, hemi=hemi, names=[sample_name(t) for t in times])
        told = {"StimulusTimes": times.tolist(), "RepetitionTime": tr}
        write_json(sidecar_of(path), told)


def test_a_clock_fits_within_a_tenth_of_a_volume():
    first = clock(tr=2.0)
    assert first.fits(clock(onset=0.59, tr=2.0))
    assert not first.fits(clock(onset=0.61, tr=2.0))
    assert not first.fits(clock(n=(20, 24), tr=2.0))
    assert not first.fits(clock(labels=("a", "a"), tr=2.0))


def test_participants_are_grouped_by_clock_and_numbered_as_they_come():
    clocks = [clock(), clock(onset=0.9), clock(onset=0.45), clock(n=(19, 25)), clock(onset=0.92)]
    known, numbers = group_by_clock(clocks)
    assert numbers == [0, 1, 0, 2, 1]
    assert [one.times[0][0] for one in known] == pytest.approx([0.4, 0.9, 0.4])
    repeated = clock(n=(20, 20, 25), labels=("a", "a", "b"))
    assert group_by_clock([clock(), repeated])[1] == [0, 1]


def test_presentations_are_found_in_the_order_of_the_model(tmp_path):
    tree = OutputTree(tmp_path)
    write_response(tree, "01", "happy", n=5)
    for run in ("1", "2"):
        write_response(tree, "01", "sad", n=6, run=run, onset=float(run))
    found, files = presented(tree, "01", ["sad", "happy"], SPACE)
    assert found.labels == ("happy", "sad", "sad")
    assert [times[0] for times in found.times] == [0.4, 1.0, 2.0]
    assert [len(times) for times in found.times] == [5, 6, 6]
    assert ["run-" in path.name for path in files] == [False, True, True]


def test_censored_volumes_keep_their_place_between_their_neighbors(study):
    tree, data, root = study
    write_response(tree, "02", "happy", censored=(1, 3, 4))
    write_response(tree, "02", "sad")
    heard = collect_heard(tree, data, root / "cache", root)
    assert heard.clock_of[0] == heard.clock_of[1]
    assert [len(times) for times in heard.clocks[0].times] == [6, 6]
    (whole, _), (filled, _) = heard.loaded()[:2]
    np.testing.assert_allclose(filled[:, 1], np.arange(6), atol=1e-6)
    np.testing.assert_array_equal(filled, whole)


def test_what_is_not_there_is_said(tmp_path):
    tree = OutputTree(tmp_path)
    write_response(tree, "01", "happy")
    told = presented(tree, "01", ["happy", "sad"], SPACE)
    assert told == "no cleaned response of sub-01 to sad was saved"
    write_response(tree, "01", "sad", tr=1.5)
    told = presented(tree, "01", ["happy", "sad"], SPACE)
    assert told == "responses of sub-01 differ in repetition time (1 s, 1.5 s)"


def test_a_damaged_clock_is_an_error(tmp_path):
    tree = OutputTree(tmp_path)
    write_response(tree, "01", "happy")
    path = sidecar_of(tree.participant_bold("01", "L", SPACE, stim="happy"))
    write_json(path, {"StimulusTimes": ["x"], "RepetitionTime": 1.0})
    with pytest.raises(BadDataError, match="not as it was written"):
        presented(tree, "01", ["happy"], SPACE)


@pytest.fixture
def study(tmp_path):
    """Four participants, one of another repetition time, one heard later, one with a repeat."""
    tree = OutputTree(tmp_path / "results")
    people = ["01", "02", "03", "04"]
    for label, onset, tr in zip(people, (0.4, 0.9, 0.4, 0.4), (1.0, 1.0, 1.0, 2.0), strict=True):
        write_response(tree, label, "happy", onset=onset, tr=tr)
        for run in ("1", "2") if label == "03" else ("",):
            write_response(tree, label, "sad", onset=onset, tr=tr, run=run)
        content = {
            "Stimuli": {"happy": "a", "sad": "b"},
            "HeldOutStimuli": ["happy", "sad"],
            "DegenerateVertices": 0,
            "ReferenceVertices": 0,
            "FeaturesFolder": "vggish-0",
        }
        path = tree.participant_settings(label, "vggish")
        write_settings(tree, path, {"space": SPACE}, [], **content)
    data = SimpleNamespace(
        participants=people, model="vggish", stimuli=["happy", "sad"], space=SPACE
    )
    write_features(tmp_path / "cache" / "vggish-0")
    return tree, data, tmp_path


def test_one_other_rate_costs_only_its_owner_the_claims_over_music(study, caplog):
    tree, data, root = study
    with caplog.at_level("WARNING"):
        heard = collect_heard(tree, data, root / "cache", root)
    assert heard.there
    assert heard.people == (0, 1, 2)
    assert heard.clock_of == (0, 1, 2)
    assert heard.clocks[2].labels == ("happy", "sad", "sad")
    assert "sub-04 has no part in claims over music: sampled every 2 s" in caplog.text
    assert list(heard.left_out) == ["04"]
    loaded = heard.loaded()
    assert [len(own) for own in loaded] == [2, 2, 3]
    assert [one[0, 0] for one in loaded[2]] == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(loaded[0][0][:, 1], np.arange(6))
    assert heard.checksums == {"happy": "a", "sad": "b"}


def test_without_features_or_responses_nothing_is_tested_and_the_reason_is_told(study):
    tree, data, root = study
    heard = collect_heard(tree, data, root / "nowhere", root)
    assert not heard.there
    assert "features of the music are not in" in heard.reasons[0]
    assert "--cache-dir" in heard.reasons[0]
    collect_heard(tree, data, root / "cache", root)
    shutil.rmtree(root / "cache")  # they are kept from now on
    tree.participant_bold("02", "L", SPACE, stim="sad").unlink()
    heard = collect_heard(tree, data, root / "cache", root)
    assert heard.people == (0, 2)
    assert heard.left_out["02"] == "no cleaned response of sub-02 to sad was saved"
    tree.participant_bold("01", "L", SPACE, stim="happy").unlink()
    heard = collect_heard(tree, data, root / "cache", root)
    assert heard.reasons == (
        "no cleaned response of sub-01 to happy was saved; "
        "no cleaned response of sub-02 to sad was saved",
    )


def test_features_are_those_of_a_recording_whatever_it_was_called(tmp_path):
    grams = write_features(tmp_path / "vggish-0")
    data = SimpleNamespace(
        stimuli=["song"],
        layer_names=["a"],
        settings={"delays": [3.0], "crop": 3.0, "alphas": [1.0], "high_pass": 0.01},
    )
    assert grams.labels == ("happy",)
    assert Heard(grams=grams.path, checksums={"song": "a"}).plans(data) == []
    with pytest.raises(BadDataError, match="not those of the maps"):
        Heard(grams=grams.path, checksums={"song": "b"}).plans(data)
