"""PPM against tables of IDyOM and of the R package `ppm`, and against counting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bids_app.errors import BadDataError, UsageError
from bids_app.features.symbols import (
    SymbolModel,
    combined,
    expectations,
    information_of,
)

LETTERS = "abcdeilmnoprstw"
WORDS = ("abracadabra", "letlettertele", "assanissimassa", "mississippi", "wooloobooloo")

# Bits. Five words learned in turn, escape c, no update exclusion, no bound.
IN_TURN = {
    "abracadabra": "3.90689 4.90689 4.85798 2.39232 5.86625 2.09954 5.83289 2.0 2.37394 .99546 "
    ".848",
    "letlettertele": "5.29278 5.12928 4.98706 3.85798 1.11548 1.11103 4.1964 4.16993 4.77259 "
    "4.33985 2.39232 5.29155 .64092",
    "assanissimassa": "2.70044 6.29768 4.30834 3.462 6.06429 5.01792 3.90689 2.17897 5.78953 "
    "5.59042 2.98185 3.1048 1.08246 .97162",
    "mississippi": "4.37504 4.65535 2.05703 .98706 1.04176 2.13222 .64741 .60768 5.51307 4.39232 "
    "4.20387",
    "wooloobooloo": "4.71741 4.46877 4.10852 4.24793 4.77982 2.79892 4.86964 4.45598 2.59296 "
    "2.34506 1.43423 1.37796",
}
ALONE = "2.3219 3.3219 3.1699 2.0 3.9069 1.9069 3.585 2.0 2.2039 1.3067 1.2016"
SHORT_TERM = (
    "3.90689 4.49185 4.60486 2.54189 3.01681 1.07549 1.13358 1.13358 6.81378 2.96347 2.58496"
)
TOGETHER = "4.13689 4.27 3.15213 1.08873 1.2382 1.33985 .95849 .90596 6.73892 3.27364 2.57779"

# Probabilities of what came in "abracadabra" (alphabet of 5), from the tables of the R package
# `ppm` 0.2.0 (Harrison 2020), by escape and update exclusion.
ESCAPES = {
    ("a", False): ".2 .1 .07692307 .2857143 .03448276 .33333334 .02702702 .33333334 .2580645 "
    ".47826087 .54545456",
    ("a", True): ".2 .1 .07692307 .2857143 .03448276 .33333334 .02702702 .33333334 .2580645 "
    ".47619048 .5555555",
    ("b", False): ".2 .2 .2 .2 .16666667 .27272728 .16666667 .25925925 .17857143 .1724138 "
    ".26666665",
    ("b", True): ".2 .2 .2 .2 .16666667 .27272728 .16666667 .25925925 .17857143 .17857143 .2",
    ("d", False): ".2 .1 .11111111 .25 .05882353 .3125 .07142857 .29411766 .21088435 .4181818 "
    ".4716981",
    ("ax", False): ".2 .13333333 .1304348 .2413793 .08333333 .26666665 .09375 .25 .20987655 "
    ".31428573 .38983053",
    ("ax", True): ".2 .13333333 .1304348 .2413793 .08333333 .26666665 .09375 .25 .20987655 "
    ".30769232 .36",
}


def numbers(text):
    return np.array(text.split(), dtype=float)


def spelled(word, letters=LETTERS):
    return [letters.index(letter) for letter in word]


def test_words_learned_in_turn():
    model = SymbolModel(len(LETTERS))
    for word in WORDS:
        symbols = spelled(word)
        surprise, _ = information_of(model.distributions(symbols, learn=True), symbols)
        np.testing.assert_allclose(surprise, numbers(IN_TURN[word]), atol=6e-6, err_msg=word)


def test_one_word_alone():
    symbols = spelled("abracadabra", "abcdr")
    surprise, uncertainty = information_of(
        SymbolModel(5).distributions(symbols, learn=True), symbols
    )
    np.testing.assert_allclose(surprise, numbers(ALONE), atol=6e-5)
    assert uncertainty[0] == pytest.approx(np.log2(5))


@pytest.mark.parametrize(("escape", "update_exclusion"), ESCAPES)
def test_escapes(escape, update_exclusion):
    symbols = spelled("abracadabra", "abcdr")
    model = SymbolModel(5, escape=escape, update_exclusion=update_exclusion)
    expected = model.distributions(symbols, learn=True)
    found = [p[x] for p, x in zip(expected, symbols, strict=True)]
    np.testing.assert_allclose(found, numbers(ESCAPES[escape, update_exclusion]), atol=1e-7)


def test_short_term_and_both():
    model = SymbolModel(len(LETTERS))
    for word in WORDS[:3]:
        model.learn(spelled(word))
    found = expectations(spelled("mississippi"), len(LETTERS), order_bound=None, long_term=model)
    np.testing.assert_allclose(found.stm.surprise, numbers(SHORT_TERM), atol=6e-6)
    np.testing.assert_allclose(found.both.surprise, numbers(TOGETHER), atol=6e-6)


@pytest.mark.parametrize("escape", ["a", "b", "c", "d", "ax"])
@pytest.mark.parametrize("update_exclusion", [False, True])
def test_what_is_expected_is_a_distribution(escape, update_exclusion):
    rng = np.random.default_rng(0)
    model = SymbolModel(6, order_bound=3, escape=escape, update_exclusion=update_exclusion)
    symbols = rng.integers(0, 6, 200).tolist()
    for p in model.distributions(symbols, learn=True):
        assert (p > 0).all()
        assert p.sum() == pytest.approx(1, abs=1e-12)


def test_counts_are_those_of_a_window():
    rng = np.random.default_rng(1)
    symbols = rng.integers(0, 3, 60).tolist()
    model = SymbolModel(3, order_bound=2)
    model.learn(symbols)
    expected = Counter(
        tuple(symbols[at : at + n]) for n in (1, 2, 3) for at in range(len(symbols) - n + 1)
    )
    grams, counts = model.counts()
    found = {
        tuple(s for s in row if s >= 0): count
        for row, count in zip(grams.tolist(), counts.tolist(), strict=True)
    }
    assert found == dict(expected)
    again = SymbolModel.of_counts(3, grams, counts)
    test = rng.integers(0, 3, 40).tolist()
    pairs = zip(
        model.distributions(test, learn=False), again.distributions(test, learn=False), strict=True
    )
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_bound_forgets_what_is_longer():
    """Context "aab" then c, "bab" then d: one symbol back cannot tell, three can."""
    symbols = spelled("aabcbabd" * 40, "abcd")
    told = {}
    for bound in (1, 3):
        model = SymbolModel(4, order_bound=bound)
        told[bound], _ = information_of(model.distributions(symbols, learn=True), symbols)
    assert told[1][-8:].mean() > 0.6
    assert told[3][-8:].mean() < 0.1


def test_the_more_certain_model_leads():
    sure, unsure = np.array([0.98, 0.01, 0.01]), np.array([0.2, 0.4, 0.4])
    np.testing.assert_allclose(combined([sure, unsure]), sure, atol=0.01)
    np.testing.assert_allclose(combined([sure, sure]), sure)


@pytest.mark.parametrize("symbol", [-1, 3])
def test_symbols_outside_the_alphabet_are_refused(symbol):
    with pytest.raises(BadDataError, match="alphabet"):
        SymbolModel(3).learn([0, symbol])


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UsageError):
        SymbolModel(0)
    with pytest.raises(BadDataError, match="beginning"):
        SymbolModel.of_counts(3, [[0, 1]], [2])


def test_an_alphabet_of_one_symbol_is_certain():
    sure = np.ones(1)
    np.testing.assert_array_equal(combined([sure, sure]), [1.0])
    known = SymbolModel(1, order_bound=2)
    known.learn([0] * 5)
    both = expectations([0, 0, 0], 1, order_bound=2, long_term=known).both
    np.testing.assert_array_equal(both.surprise, np.zeros(3))
    np.testing.assert_array_equal(both.uncertainty, np.zeros(3))
