"""Labels for the names of files, from any text."""

from __future__ import annotations

import unicodedata

import pytest

from bids_app.labels import distinct_labels, safe_label


@pytest.mark.parametrize(
    ("text", "label"), [("Let's Go!", "LetsGo"), ("___", "x"), ("a_b-c", "abc")]
)
def test_safe_label(text, label):
    assert safe_label(text) == label


@pytest.mark.parametrize(
    "texts", [("\u559c\u3073", "\u60b2\u3057\u307f"), ("a" * 70, "a" * 71), ("\u00c4rger", "rger")]
)
def test_texts_of_any_script_and_length_have_labels_of_their_own(texts):
    labels = [safe_label(text) for text in texts]
    assert len({label.casefold() for label in labels}) == len(texts)
    for text, label in zip(texts, labels, strict=True):
        assert label.isascii()
        assert label.isalnum()
        assert len(label) <= 60
        assert safe_label(label) == label
        assert safe_label(unicodedata.normalize("NFD", text)) == label


def test_labels_are_distinct_where_letters_do_not_tell():
    names = ["block1.11", "block11.1", "Block111", "block111n2"]
    found = distinct_labels(names)
    assert list(found) == names
    assert len({label.lower() for label in found.values()}) == 4
    assert found["block1.11"] == "block111"
    assert all(label.isalnum() for label in found.values())
