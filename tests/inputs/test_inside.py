"""A path that a dataset names stays in the dataset, whatever it is made of."""

from __future__ import annotations

import json

import pytest

from bids_app.errors import InvalidInputError, MusencError
from bids_app.inputs.files import inside
from bids_app.inputs.stimuli import read_stimulus_table, rows_of_events
from bids_app.inputs.tables import read_tsv


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "study"
    (root / "stimuli" / "deep").mkdir(parents=True)
    for name in ("stimuli/a.wav", "stimuli/deep/b.wav", "secret.wav"):
        (root / name).write_bytes(b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.wav").write_bytes(b"x")
    return root


def events(root, **cells):
    table = root / "sub-01_events.tsv"
    columns = {"onset": "1", "duration": "5", **cells}
    table.write_text("\t".join(columns) + "\n" + "\t".join(columns.values()) + "\n")
    return rows_of_events(table, root)


@pytest.mark.parametrize("name", ["a.wav", "stimuli/a.wav", "./a.wav", "deep/../a.wav"])
def test_every_spelling_of_a_file_inside_is_one_path(dataset, name):
    (row,) = events(dataset, stim_file=name)
    assert row.path == dataset / "stimuli" / "a.wav"


@pytest.mark.parametrize(
    "name",
    [
        *("{0}/elsewhere/c.wav", "stimuli/{0}/elsewhere/c.wav", "stimuli//{0}/elsewhere/c.wav"),
        *(
            "../../elsewhere/c.wav",
            "deep/../../../elsewhere/c.wav",
            "stimuli/../../elsewhere/c.wav",
        ),
        *("out/c.wav", "link.wav", "out/../c.wav", "deep/far/../c.wav", "../secret.wav", ".", ".."),
    ],
)
def test_a_path_that_leaves_is_refused_or_not_followed(dataset, tmp_path, name):
    (dataset / "stimuli" / "out").symlink_to(tmp_path / "elsewhere")
    (dataset / "stimuli" / "deep" / "far").symlink_to(tmp_path / "elsewhere")
    (dataset / "stimuli" / "link.wav").symlink_to(tmp_path / "elsewhere" / "c.wav")
    try:
        (row,) = events(dataset, stim_file=name.format(tmp_path))
    except InvalidInputError as error:
        assert "outside the dataset" in str(error)  # noqa: PT017
        assert "line 2" in str(error)  # noqa: PT017
    else:
        assert row.path.resolve().is_relative_to(dataset / "stimuli"), row.path
        assert ".." not in row.path.parts


def test_content_of_git_annex_and_a_shared_folder_of_stimuli_are_no_escape(dataset, tmp_path):
    store = tmp_path / "superset" / ".git" / "annex" / "objects" / "x"
    store.mkdir(parents=True)
    (store / "MD5E-s1").write_bytes(b"x")
    (dataset / "stimuli" / "annexed.wav").symlink_to(store / "MD5E-s1")
    (row,) = events(dataset, stim_file="annexed.wav")
    assert row.path == dataset / "stimuli" / "annexed.wav"
    other = tmp_path / "other"
    other.mkdir()
    (other / "stimuli").symlink_to(tmp_path / "elsewhere")
    assert inside(other, "stimuli", "c.wav", where="x", found="c.wav").is_file()
    (dataset / "stimuli" / "gone.wav").symlink_to("/nowhere/at-all")
    (row,) = events(dataset, stim_file="gone.wav")
    assert row.path == dataset / "stimuli" / "gone.wav"


LINKS = {
    "raw": ".", "music": "deeper/music", "uri": "file://{0}/study/deeper/music",
    "far": "../elsewhere", "abs": "{0}/elsewhere", "web": "https://openneuro.org/ds1", "odd": 3,
    "link": "out",
}  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("bids::stimuli/a.wav", "stimuli/a.wav"),
        ("bids::stimuli/deep/../a.wav", "stimuli/a.wav"),
        ("bids:raw:stimuli/a.wav", "stimuli/a.wav"),
        ("bids:music:d%20e.wav", "deeper/music/d e.wav"),
        ("bids:music:d e.wav", "deeper/music/d e.wav"),
        ("bids:uri:d e.wav", "deeper/music/d e.wav"),
        ("bids:far:c.wav", "outside the dataset"),
        ("bids:abs:c.wav", "outside the dataset"),
        ("bids:link:c.wav", "outside the dataset"),
        ("bids:music:../../../elsewhere/c.wav", "outside the dataset"),
        ("bids::{0}/elsewhere/c.wav", "outside the dataset"),
        ("bids::", "outside the dataset"),
        ("bids:web:a.wav", "https://openneuro.org/ds1"),
        ("bids:odd:a.wav", "DatasetLinks"),
        ("bids:none:a.wav", "DatasetLinks"),
        ("bids:stimuli/a.wav", "bids::PATH"),
    ],
)
def test_bids_uris(dataset, tmp_path, uri, wanted):
    """BIDS common principles, URIs: ``bids:[<dataset-name>]:<relative-path>``."""
    (dataset / "deeper" / "music").mkdir(parents=True)
    (dataset / "deeper" / "music" / "d e.wav").write_bytes(b"x")
    (dataset / "out").symlink_to(tmp_path / "elsewhere")
    text = json.dumps({"Name": "x", "DatasetLinks": LINKS}).replace("{0}", str(tmp_path))
    (dataset / "dataset_description.json").write_text(text)
    uri = uri.format(tmp_path)
    table = tmp_path / "music.tsv"
    table.write_text(f"task\tstim_file\tonset\nx\t{uri}\t3\n")
    for read in (
        lambda: events(dataset, stim_file=uri),
        lambda: read_stimulus_table(table, raw_dir=dataset),
    ):
        try:
            (row,) = read()
        except InvalidInputError as error:
            assert wanted in str(error)  # noqa: PT017
            assert "line 2" in str(error)  # noqa: PT017
        else:
            assert row.path == dataset / wanted


def test_a_bids_uri_needs_a_dataset(tmp_path):
    table = tmp_path / "music.tsv"
    table.write_text("task\tstim_file\tonset\nx\tbids::stimuli/a.wav\t3\n")
    with pytest.raises(InvalidInputError, match="--derivatives raw=PATH"):
        read_stimulus_table(table)


@pytest.mark.parametrize("label", ["../secret", "*", "a/../../x", "[a]", "a?", "/etc/x"])
def test_a_stim_id_is_a_label(dataset, label):
    with pytest.raises(InvalidInputError, match="no label"):
        events(dataset, stim_id=label)


def test_a_header_of_many_columns_is_checked_in_one_go_and_has_a_limit(tmp_path, monkeypatch):
    """200,000 names took two minutes: every one was counted among all."""

    class Counting(str):
        compared = 0

        def __eq__(self, other):
            Counting.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    from bids_app.inputs.tables import check_header

    check_header([Counting(k) for k in range(3000)], tmp_path / "x")
    assert Counting.compared < 30_000
    path = tmp_path / "x.tsv"
    path.write_text("\t".join(f"{k:x}" for k in range(600_000)) + "\n")
    with pytest.raises(MusencError, match="more columns"):
        read_tsv(path)
