"""What --gradient means."""

from pathlib import Path

import pytest

from bids_app.errors import MissingInputError, UsageError
from bids_app.files import named_files
from bids_app.resources import choose_gradient, gradient_files


@pytest.mark.parametrize(
    ("option", "number", "label"),
    [
        ("margulies2016", "01", ""),
        ("fcgradient01", "01", ""),
        ("margulies2016_fcgradient01", "01", ""),
        ("fcgradient02", "02", "fcgradient02"),
        ("margulies2016_fcgradient10", "10", "fcgradient10"),
    ],
)
def test_known_names(option, number, label):
    chosen = choose_gradient(option)
    assert (chosen.name, chosen.label) == (f"margulies2016_fcgradient{number}", label)
    assert [path.name[-21:] for path in chosen.paths] == [
        f"hemi-{hemi}_feature.func.gii"[-21:] for hemi in "LR"
    ]
    assert choose_gradient(chosen.option) == chosen


@pytest.mark.parametrize(
    ("option", "label", "n_files"),
    [("lh.my.func.gii,rh.my.func.gii", "my", 2), ("both.gii", "both", 1), ("x y=a,b", "xy", 2)],
)
def test_files_mean_the_same_from_any_folder(tmp_path, monkeypatch, option, label, n_files):
    monkeypatch.chdir(tmp_path)
    chosen = choose_gradient(option)
    assert (chosen.name, chosen.label, len(chosen.paths)) == ("file", label, n_files)
    assert all(path.parent == tmp_path for path in chosen.paths)
    monkeypatch.chdir("/")
    assert choose_gradient(chosen.option) == chosen


def test_misspelt_names_list_the_known_ones_and_the_closest():
    with pytest.raises(UsageError, match="fcgradient01 to fcgradient10") as caught:
        choose_gradient("margulies2O16")
    assert caught.value.remedy == "did you mean margulies2016?"


def test_three_files_are_refused():
    with pytest.raises(UsageError, match="one or two files"):
        choose_gradient("a.gii,b.gii,c.gii")


def test_absent_files_and_gradients_that_were_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path))
    with pytest.raises(MissingInputError, match="musenc prefetch gradients"):
        gradient_files("fcgradient02")
    with pytest.raises(MissingInputError, match=r"no\.gii") as caught:
        gradient_files("no.gii")
    assert "fcgradient10" in str(caught.value)


def test_a_name_before_files_holds_neither_slash_nor_comma():
    assert named_files("a=/x=y/l,/r") == ("a", (Path("/x=y/l"), Path("/r")))
    assert named_files("/x=y/l,/r") == ("", (Path("/x=y/l"), Path("/r")))
