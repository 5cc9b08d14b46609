"""What is claimed: every combination of tests, signs and gaps."""

from itertools import product

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.group.claims import (
    LEVELS,
    MUSIC,
    PARTIAL,
    PEOPLE,
    PLACE,
    Claim,
    LevelTest,
    correct_together,
    decide,
    holds,
)

HOLDS, FAILS = "Layer preference is aligned with the gradient", "No alignment shown"


def make(kind, p, signs=None, **fields):
    """A claim whose tests have these p; None for no test."""
    levels = LEVELS[kind]
    signs = signs or [1] * len(levels)
    tests = [
        LevelTest(level, value, sign * 2.0) if value is not None else LevelTest(level, reason="x")
        for level, value, sign in zip(levels, p, signs, strict=True)
    ]
    return Claim(kind, HOLDS, FAILS, tests, **fields)


@pytest.mark.parametrize("kind", LEVELS)
def test_only_the_combination_in_which_every_level_holds_is_claimed(kind):
    levels = LEVELS[kind]
    for p in product((0.001, 0.049999, 0.05, 0.3, None, float("nan")), repeat=len(levels)):
        decision = decide(make(kind, p))
        holds = [value is not None and value < 0.05 for value in p]
        assert decision.claimed == all(holds)
        assert decision.failed == tuple(
            one for one, held in zip(levels, holds, strict=True) if not held
        )
        gaps = [value is None or np.isnan(value) for value in p]
        assert decision.untested == tuple(one for one, gap in zip(levels, gaps, strict=True) if gap)
        assert decision.sentence.startswith(HOLDS if all(holds) else FAILS)
        for level in decision.untested:
            assert f"tested over {level}, not available" in decision.sentence
        failed = [one for one in decision.failed if one not in decision.untested]
        listed = " and ".join([", ".join(failed[:-1]), failed[-1]] if failed[1:] else failed)
        assert not failed or f"it does not hold over {listed} (" in decision.sentence


@pytest.mark.parametrize("kind", LEVELS)
def test_all_tests_have_to_point_in_one_direction(kind):
    n = len(LEVELS[kind])
    for signs in product((1, -1, 0), repeat=n):
        decision = decide(make(kind, [0.01] * n, signs))
        assert decision.same_sign == (set(signs) in ({1}, {-1}))
        assert decision.claimed == decision.same_sign
        assert ("do not agree in sign" in decision.sentence) == (not decision.same_sign)


def test_a_level_that_nobody_tested_is_missing_and_not_passed():
    tests = [LevelTest(PLACE, 0.01, 1.0), LevelTest(PARTIAL, 0.01, 1.0), LevelTest(PEOPLE, 0.01, 1)]
    decision = decide(Claim("aligned", HOLDS, FAILS, tests))
    assert not decision.claimed
    assert decision.untested == decision.failed == (MUSIC,)
    assert "tested over music, not available (no such test in the folder)" in decision.sentence


def test_the_order_of_the_tests_changes_nothing():
    claim = make("aligned", (0.01, 0.2, 0.03, 0.04))
    turned = Claim("aligned", HOLDS, FAILS, claim.tests[::-1])
    assert decide(claim) == decide(turned)
    assert decide(claim).failed == (MUSIC,)


def test_a_test_that_could_not_pass_is_said_to_be_impossible():
    people = LevelTest(PEOPLE, 0.0625, 3.0, n_draws=16, smallest=1 / 16)
    music = LevelTest(MUSIC, 0.001, 3.0)
    decision = decide(Claim("predicted", HOLDS, FAILS, [people, music]))
    assert decision.impossible == (PEOPLE,)
    start = "Nothing could be shown over people, since no p is below .062 with so few "
    start += "participants, whether or not "
    assert decision.sentence.startswith(f"{start}{HOLDS[0].lower()}{HOLDS[1:]} (")
    assert FAILS not in decision.sentence
    assert "does not hold" not in decision.sentence
    # What else stands in the way is told, too.
    told = decide(Claim("predicted", HOLDS, FAILS, [people, LevelTest(MUSIC, 0.3, 3.0)])).sentence
    assert told.startswith(start)
    assert ". It does not hold over music (" in told
    # Five participants can: the smallest p is 1 / 32.
    five = LevelTest(PEOPLE, 0.0625, 3.0, n_draws=32, smallest=1 / 32)
    decision = decide(Claim("predicted", HOLDS, FAILS, [five, music]))
    assert decision.impossible == ()
    assert "does not hold over people" in decision.sentence


def test_what_music_alone_could_have_shown_is_told_where_nothing_is_claimed():
    tests = [LevelTest(PEOPLE, 0.01, 0.1), LevelTest(MUSIC, 0.4, 0.1, sd=0.05)]
    claim = Claim("predicted", HOLDS, FAILS, tests, unit="a mean correlation of")
    text = "The music alone could have shown a mean correlation of 0.14."
    assert text in decide(claim).sentence
    passed = Claim("predicted", HOLDS, FAILS, [tests[0], LevelTest(MUSIC, 0.01, 0.1, sd=0.05)])
    assert "could have shown" not in decide(passed).sentence
    # What was corrected, or chosen for its height, can lie above and yet not pass.
    one_of_many = Claim("predicted", HOLDS, FAILS, tests, family="10 alignments")
    assert "could have shown an effect of 0.14 in one planned test." in decide(one_of_many).sentence
    chosen = Claim("predicted", HOLDS, FAILS, tests, planned=" at a vertex chosen beforehand")
    assert "an effect of 0.14 at a vertex chosen beforehand." in decide(chosen).sentence


def test_a_direction_is_told_of_what_is_claimed_alone():
    music = LevelTest(MUSIC, 0.01, 0.1)
    fields = {"detail": "mean correlation 0.007", "direction": ", deeper layers toward its end"}
    for p, told in ((0.01, True), (0.6, False)):
        claim = Claim("predicted", HOLDS, FAILS, [LevelTest(PEOPLE, p, 0.1), music], **fields)
        assert ("deeper layers" in decide(claim).sentence) is told


def test_family_and_caveats_belong_to_the_sentence():
    fields = {
        "family": "24 claims beside the primary one",
        "caveats": ["The whole cortex."],
        "detail": "mean correlation 0.31",
    }
    for p in ((0.01, 0.01), (0.01, 0.5)):
        sentence = decide(make("predicted", p, **fields)).sentence
        assert "corrected over 24 claims beside the primary one" in sentence
        assert "(mean correlation 0.31; people p = .010, music p = ." in sentence
        assert sentence.endswith("The whole cortex.")


def test_a_doubt_outweighs_every_test():
    decision = decide(
        make("aligned", [0.001] * 4, doubts=["slope cannot be separated from accuracy"])
    )
    assert not decision.claimed
    assert decision.sentence.startswith(
        f"{FAILS}: slope cannot be separated from accuracy (people p"
    )


def test_a_map_holds_where_every_level_does():
    people = [0.01, 0.01, 0.2, np.nan, 0.05]
    music = [0.01, 0.2, 0.01, 0.01, 0.01]
    np.testing.assert_array_equal(holds(people, music), [True, False, False, False, False])
    np.testing.assert_array_equal(holds(people), [True, True, False, False, False])


def test_a_claim_of_an_unknown_kind_or_with_two_tests_of_a_level_is_refused():
    with pytest.raises(BadDataError, match="known kind"):
        Claim("plausible", HOLDS, FAILS, [])
    with pytest.raises(BadDataError, match="one test per level"):
        Claim("predicted", HOLDS, FAILS, [LevelTest(PEOPLE), LevelTest(PEOPLE)])


def test_correction_is_by_the_largest_z_over_shared_draws():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 10.0, 0.1])[:, np.newaxis]
    draws = scale * rng.standard_normal((3, 999))
    observed = np.array([2.5, -30.0, 0.05])
    z = np.abs(draws) / draws.std(axis=1, keepdims=True)
    wanted = [
        (1 + (z.max(axis=0) >= abs(value) / draws[k].std()).sum()) / 1000
        for k, value in enumerate(observed)
    ]
    np.testing.assert_allclose(correct_together(observed, draws), wanted)
    alone = correct_together(observed[:1], draws[:1])
    assert alone[0] < wanted[0]


def test_correction_keeps_its_level_and_leaves_out_what_was_not_tested():
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((400, 600))
    hits = 0
    for study in range(400):
        rows = shared[study] + 0.5 * rng.standard_normal((8, 600))
        hits += np.nanmin(correct_together(rows[:, 0], rows[:, 1:])) < 0.05
    assert 0.02 < hits / 400 < 0.085
    rows = rng.standard_normal((3, 100))
    observed = np.array([0.3, np.nan, 0.1])
    rows[2] = np.nan
    p = correct_together(observed, rows)
    np.testing.assert_array_equal(np.isfinite(p), [True, False, False])
    with pytest.raises(BadDataError):
        correct_together(observed, rows[:2])
