"""Times in sidecars that cannot be: named, never used."""

from __future__ import annotations

import json
import re

import pytest
from planning import plan_study

from bids_app.errors import BadDataError
from bids_app.inputs.sidecars import resolve_timing

# Each is refused, with what was found and what it would mean.
SLICES = {
    "beyond": ([0.0, 1.5, 3.0, 0.7], "goes to 3 s, beyond the repetition time of 2 s"),
    "milliseconds": ([0, 950, 1900, 475], "goes to 1900 s(.|\n)*is it in milliseconds"),
    "microseconds": ([0, 950000, 1900000], "goes to 1.9e\\+06 s"),
    "negative": ([-0.5, 0, 0.5, 1.4], "negative times"),
    "text": (["0.0", "1.0"], "no list of seconds"),
    "number": (1.0, "no list of seconds"),
    "empty": ([], "no list of seconds"),
}


@pytest.mark.parametrize("name", SLICES)
def test_slice_times_outside_a_volume(name):
    times, words = SLICES[name]
    for place in ("surface", "raw"):
        own = (
            {"RepetitionTime": 2.0, "StartTime": 0.9} if place == "raw" else {"SliceTiming": times}
        )
        raw = {"RepetitionTime": 2.0} | ({"SliceTiming": times} if place == "raw" else {})
        (problem,) = resolve_timing([("surface sidecar", own)], raw).problems
        assert place in problem
        assert re.search(words, problem)


@pytest.mark.parametrize("key", ["StartTime", "DelayTime", "AcquisitionDuration"])
@pytest.mark.parametrize(
    ("value", "words"),
    [(975.0, "milliseconds"), (2.5, "outside a volume"), (-0.5, "outside"), ("0.9", "no number")],
)
def test_times_outside_a_volume(key, value, words):
    own = {"RepetitionTime": 2.0, key: value}
    (problem,) = resolve_timing([("surface sidecar", own)], {}).problems
    assert key in problem
    assert words in problem
    # A raw StartTime is about something else.
    raw = resolve_timing([("surface sidecar", {"RepetitionTime": 2.0})], {key: value})
    assert bool(raw.problems) == (key != "StartTime")


@pytest.mark.parametrize("value", ["2 s", "2.0", "", True, [2.0], float("nan"), 0, -2.0, 1e300])
def test_a_repetition_time_that_is_no_number_is_named(value):
    told = re.escape(f"RepetitionTime of the raw sidecar is {value!r}: no number of seconds")
    other = ("surface sidecar", {"RepetitionTime": 1.5})
    for sources, options in (([other], {}), ([], {"repetition_time": 1.5})):
        timing = resolve_timing(sources, {"RepetitionTime": value}, **options)
        assert timing.tr == 1.5
        assert timing.problems == ()
        (warning,) = timing.warnings
        assert re.match(told, warning)
        assert "1.5 s" in warning
    (problem,) = resolve_timing([], {"RepetitionTime": value}).problems
    assert re.match(told, problem)


def test_what_is_null_is_not_there():
    own = {"RepetitionTime": None, "SliceTiming": None}
    raw = {"RepetitionTime": 2.0, "SliceTiming": [0.0, 1.0]}
    timing = resolve_timing([("surface sidecar", own)], raw)
    assert (timing.tr, timing.start_time, timing.problems) == (2.0, 0.5, ())


@pytest.mark.parametrize("times", [[0.0, 1.0], [0.0, 1.95], [0.0, 2.0]])
def test_times_within_a_volume_are_no_problem(times):
    timing = resolve_timing(
        [("surface sidecar", {})], {"RepetitionTime": 2.0, "SliceTiming": times}
    )
    assert timing.problems == ()
    assert timing.start_time == max(times) / 2


def by_volumes(times, own=None, raw=None, **options):
    raw = {"VolumeTiming": times, **(raw or {})}
    return resolve_timing([("surface sidecar", own or {})], raw, **options)


def test_regular_volume_timing_is_read():
    times = [round(2.2 * k, 1) for k in range(40)]
    timing = by_volumes(times, raw={"AcquisitionDuration": 1.2}, n_volumes=40)
    assert timing.problems == ()
    assert timing.tr == pytest.approx(2.2)
    assert timing.tr_source == "VolumeTiming of the raw sidecar"
    # Sparse scanning: the volume is in the first 1.2 of 2.2 s.
    assert timing.start_time == pytest.approx(0.6)
    late = by_volumes([3 + t for t in times], n_volumes=40)
    assert late.tr == pytest.approx(2.2)
    assert "begins at 3 s" in late.warnings[0]


def test_no_option_overrides_volume_timing():
    timing = by_volumes([2.0 * k for k in range(40)], repetition_time=3.0)
    assert timing.tr == 2.0
    assert "--repetition-time 3 s is not used" in timing.warnings[0]


PAUSE = [2.0 * k + 6 * (k >= 20) for k in range(40)]
IRREGULAR = {
    "pause": (PAUSE, "8 s between volumes 20 and 21"),
    "alternating": ([0.0, 2.0, 5.0, 7.0, 10.0, 12.0], "not regular"),
    "one_missing": ([2.0 * k for k in range(40) if k != 11], "4 s between volumes 11 and 12"),
    "backwards": ([0.0, 2.0, 1.0, 4.0], "not regular"),
    "standing": ([0.0, 0.0, 0.0], "not regular"),
    "text": (["0", "2", "4"], "no list of times"),
    "one": ([0.0], "no list of times"),
    "number": (2.0, "no list of times"),
}


@pytest.mark.parametrize("name", IRREGULAR)
@pytest.mark.parametrize("option", [None, 2.0])
def test_irregular_sampling_is_refused_whatever_the_options(name, option):
    times, words = IRREGULAR[name]
    timing = by_volumes(times, own={"RepetitionTime": 2.0}, repetition_time=option)
    assert timing.tr != option or timing.problems
    assert re.search(words, " ".join(timing.problems))


def test_volume_timing_against_other_statements():
    times = [2.0 * k for k in range(40)]
    (problem,) = by_volumes(times, own={"RepetitionTime": 2.5}).problems
    assert "RepetitionTime 2.5 s" in problem
    assert by_volumes(times, own={"RepetitionTime": 2.0}).problems == ()
    (problem,) = by_volumes(times, n_volumes=38).problems
    assert "40 times, the BOLD file 38 volumes" in problem


def test_a_run_with_such_times_is_skipped_and_named(tree):
    tree.simple()
    for task, content in (
        ("a", {"SliceTiming": [0, 950, 1900]}),
        ("b", {"VolumeTiming": [2.0 * k + 6 * (k > 5) for k in range(12)]}),
    ):
        path = tree.raw(sub="01") / f"sub-01_task-{task}_bold.json"
        path.write_text(json.dumps(content))
    plan = plan_study(tree.root, missing="use", repetition_time=2.0)
    assert [run.label for run in plan.runs] == ["sub-02_task-a", "sub-02_task-b"]
    reasons = {run.label: run.reason for run in plan.skipped}
    assert "SliceTiming of the raw sidecar" in reasons["sub-01_task-a"]
    assert "VolumeTiming of the raw sidecar is not regular" in reasons["sub-01_task-b"]
    assert plan.has_problems


@pytest.mark.parametrize("tr", [2000.0, 0.002, 90.0])
def test_repetition_times_of_another_unit(tree, tr):
    tree.simple(sidecar={"RepetitionTime": tr, "StartTime": 0.0})
    with pytest.raises(BadDataError, match=r"no scanner does that(.|\n)*RepetitionTime"):
        plan_study(tree.root)
    tree.simple(sidecar={})
    for path in tree.root.rglob("*desc-preproc_bold.json"):
        path.unlink()
    with pytest.raises(BadDataError, match=r"no scanner does that(.|\n)*Correct the option"):
        plan_study(tree.root, repetition_time=tr)
