"""Texts that look the same: found, and told apart in messages."""

from __future__ import annotations

import unicodedata

import pytest

from bids_app.errors import InvalidInputError
from bids_app.lookalikes import difference, look_the_same, nearest

ETUDE = "\u00c9tude.wav"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (ETUDE, unicodedata.normalize("NFD", ETUDE), ["U+0301", "NFD"]),
        ("\ube44\ucc3d", unicodedata.normalize("NFD", "\ube44\ucc3d"), ["U+BE44", "NFD"]),
        ("\u0441alm", "calm", ["CYRILLIC SMALL LETTER ES", "U+0063"]),
        ("calm ", "calm", ["U+0020 SPACE", "nothing"]),
        ("ca\u200blm", "calm", ["ZERO WIDTH SPACE"]),
        ("a\u00a0b", "a b", ["NO-BREAK SPACE"]),
        ("a\u2013b", "a-b", ["EN DASH", "HYPHEN-MINUS"]),
        ("\uff41", "a", ["FULLWIDTH"]),
    ],
)
def test_what_looks_the_same_is_told_apart(first, second, words):
    assert look_the_same(first, second)
    assert look_the_same(second, first)
    for word in words:
        assert word in difference(first, second)


@pytest.mark.parametrize(
    ("first", "second"), [("calm", "calm"), ("calm", "Calm"), ("e", "\u00e9"), ("1", "01")]
)
def test_what_is_the_same_or_can_be_seen_is_not_explained(first, second):
    assert not look_the_same(first, second)
    assert difference(first, second) == ""


def test_messages_explain_what_cannot_be_seen():
    nfd = unicodedata.normalize("NFD", ETUDE)
    assert "NFD" in str(InvalidInputError("No.", found=ETUDE, wanted=nfd))
    assert "look the same" not in str(InvalidInputError("No.", found="a", wanted="b"))
    assert "look the same" not in str(InvalidInputError("No.", wanted="b"))


def test_the_nearest_of_several_names():
    assert nearest("calm", ["lively", "c\u0430lm"]) == "c\u0430lm"
    assert nearest("calm", ["calm", "lively"]) is None
