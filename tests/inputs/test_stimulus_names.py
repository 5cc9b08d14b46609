"""Labels of stimuli whose names are not plain letters, and files that have two spellings."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from input_trees import Tree
from planning import plan_study

from bids_app.errors import MissingInputError
from bids_app.inputs.files import content_problem, on_disk
from bids_app.inputs.ratings import match_stimulus
from bids_app.inputs.stimulus_names import stimulus_label, stimulus_labels

NAMES = [
    "\ube44\ucc3d.wav", "\uc6d4\uad11.wav", "\u00c4.wav", "\u00d6.wav", "\u6708\u5149.wav",
    "\u60b2\u6106.wav", "\u041b\u0443\u043d\u0430.wav", "\u039c\u03bf\u03cd\u03c3\u03b1.wav",
    "Etude in C minor.wav", "Etude in C# minor.wav", "Etude in C\u266d minor.wav",
    "stra\u00dfe.wav", "strae.wav", "piece_a.wav", "\U0001d11e.wav",
]  # fmt: skip


def test_names_in_any_script_have_labels_that_differ():
    labels = [stimulus_label(Path(name)) for name in NAMES]
    assert len({label.casefold() for label in labels}) == len(NAMES)
    assert all(re.fullmatch("[a-zA-Z0-9]+", label) for label in labels)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("\ube44\ucc3d.wav", "bichang"),
        ("\uc6d4\uad11 1.wav", "wolgwang1"),
        ("Dvo\u0159\u00e1k op. 95.wav", "Dvorakop95"),
        ("Etude in C# minor.wav", "EtudeinCsharpminor"),
        ("stim-happy_audio.wav", "happy"),
        ("piece_a.wav", "piecea"),
    ],
)
def test_what_can_be_written_in_letters_is(name, label):
    assert stimulus_label(Path(name)) == label
    for form in ("NFC", "NFD"):
        assert stimulus_label(Path(unicodedata.normalize(form, name))) == label


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "study")


def heard(tree, names):
    """One run per name, for two participants; the labels in that order."""
    for number, name in enumerate(names):
        tree.audio(name, 14.0 + number)
        for who in ("01", "02"):
            tree.bold(sub=who, task=f"t{number}")
            tree.events(f"4\tn/a\t{name}", sub=who, task=f"t{number}")
    return [run.presentations[0].stimulus for run in plan_study(tree.root).runs[: len(names)]]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a/01.wav", "b/01.wav"], ["a01", "b01"]),
        (["happy/1.wav", "sad/1.wav", "other.wav"], ["happy1", "sad1", "other"]),
        (["piece_a.wav", "piece-a.wav"], None),
        (["x/a/1.wav", "y/a/1.wav"], None),
        (["Happy.wav", "happy.wav"], None),
        (["a/1.wav", "b/1.wav", "a1.wav"], None),
    ],
)
def test_files_with_one_label_are_told_apart(tree, names, labels):
    found = heard(tree, names)
    assert len({label.casefold() for label in found}) == len(names)
    if labels is not None:
        assert found == labels


def test_labels_do_not_depend_on_who_is_analyzed(tree):
    heard(tree, ["a/01.wav", "b/01.wav"])
    tree.events("4\tn/a\ta/01.wav", sub="01", task="t1")
    (first, *_) = plan_study(tree.root, participants=["01"], missing="use").stimuli
    assert first.label == "a01"
    everybody = plan_study(tree.root, missing="use").stimuli
    assert [stimulus.label for stimulus in everybody] == ["a01", "b01"]


def test_a_file_that_nobody_heard_changes_no_label(tree):
    tree.audio("practice/a.wav", 9.0)
    assert heard(tree, ["a.wav", "b.wav"]) == ["a", "b"]


def test_copies_of_one_file_are_one_stimulus_with_the_plain_label(tmp_path):
    paths = []
    for folder in ("run1", "run2"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "song.wav")
        paths[-1].write_bytes(b"the same")
    assert set(stimulus_labels(paths).values()) == {"song"}
    paths[1].write_bytes(b"another")
    assert sorted(stimulus_labels(paths).values()) == ["run1song", "run2song"]


def test_tables_are_held_to_the_same(tree):
    for number, name in enumerate(("a/01.wav", "b/01.wav")):
        tree.audio(name, 14.0 + number)
        tree.bold(sub="01", task=f"t{number}")
    table = tree.table("t0\tstimuli/a/01.wav\t4", "t1\tstimuli/b/01.wav\t4")
    plan = plan_study(tree.root, table=table)
    assert [stimulus.label for stimulus in plan.stimuli] == ["a01", "b01"]
    alone = plan_study(tree.root, table=table, tasks=["t1"])
    assert [stimulus.label for stimulus in alone.stimuli] == ["b01"]


def test_ratings_may_name_the_folder():
    assert match_stimulus("a/01.wav", ["a01", "b01"]) == "a01"
    assert match_stimulus("B01", ["a01", "b01"]) == "b01"
    assert match_stimulus("01", ["a01", "b01"]) is None
    assert match_stimulus("\ube44\ucc3d", ["bichang"]) == "bichang"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["\u00c9tude.wav", "\ube44\ucc3d/1.wav"])
def test_both_spellings_of_a_file_are_the_file(tree, form, name):
    on = unicodedata.normalize(form, name)
    tree.audio(on)
    for who, spelled in (("01", "NFC"), ("02", "NFD")):
        tree.bold(sub=who, task="a")
        tree.events(f"4\tn/a\t{unicodedata.normalize(spelled, name)}", sub=who, task="a")
    plan = plan_study(tree.root)
    assert plan.participants == ("01", "02")
    (stimulus,) = plan.stimuli
    assert stimulus.path == tree.root / "stimuli" / on


def test_a_path_that_is_nowhere_stays(tmp_path):
    assert on_disk(tmp_path / "\u00e9" / "x.wav") == tmp_path / "\u00e9" / "x.wav"
    assert on_disk(tmp_path) == tmp_path


def test_a_file_that_only_looks_the_same_is_named_with_the_difference(tree):
    tree.simple()
    tree.audio("c\u0430lm.wav")
    found = content_problem(tree.root / "stimuli" / "calm.wav")
    assert "CYRILLIC SMALL LETTER A" in found
    for who in ("01", "02"):
        for task in "ab":
            tree.events("4\tn/a\tcalm.wav", sub=who, task=task)
    with pytest.raises(MissingInputError, match="CYRILLIC SMALL LETTER A"):
        plan_study(tree.root)
