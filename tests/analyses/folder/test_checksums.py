"""A result stands only as it was written, by the checksums in its settings file."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from bids_app.analyses.declare import MapOutput, Part
from bids_app.analyses.folder.claims import is_current
from bids_app.analyses.folder.read import check_outputs, read_completed
from bids_app.analyses.folder.records import Record
from bids_app.analyses.page import draw_page, page_is_current, redraw_page
from bids_app.analyses.participant.analysis import ParticipantAnalysis
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.errors import BadDataError, MissingInputError
from bids_app.files import is_sealed, read_json, sha256_of_file, write_json, write_sealed
from bids_app.inputs.estimate import Cost
from bids_app.outputs import OutputTree

ANALYSIS = ParticipantAnalysis(
    "own",
    needed=lambda scope: True,
    parts=lambda scope: [Part()],
    cost=lambda scope: Cost(),
    maps=(MapOutput("r", "r"), MapOutput("z", "z")),
)


class Found:
    def __init__(self, seed=0, z=True):
        rng = np.random.default_rng(seed)
        self.r = rng.uniform(-1, 1, (2, 20484))
        self.z = rng.standard_normal((2, 20484)) if z else None


def record(who="01"):
    settings = {"space": "fsaverage5", "delays": (2, 6)}
    return Record(who, "own", settings, [], {"plan": "x"})


def write(tree, found=None, who="01"):
    writer = ParticipantWriter(tree, record(who))
    writer.begin()
    writer.write(ANALYSIS, found or Found(), [Part(names=["a", "b"])])
    return writer.finish(**writer.basis)


@pytest.fixture
def tree(tmp_path):
    return OutputTree(tmp_path / "out")


def test_the_mark_names_every_file_with_its_checksum_and_has_one_of_its_own(tree):
    *files, mark = write(tree)
    told = read_completed(mark, Settings=dict)
    assert told["Outputs"] == {str(p.relative_to(tree.root)): sha256_of_file(p) for p in files}
    assert is_sealed(told)
    before = mark.read_bytes()
    write(tree)
    assert mark.read_bytes() == before


@pytest.mark.parametrize("number", range(8))
def test_a_file_that_is_not_as_it_was_written_makes_a_result_open(tree, caplog, number):
    files = sorted(write(tree)[:-1])
    write(tree, Found(1), who="02")
    assert len(files) == 8
    path = files[number]
    assert is_current(tree, record())
    content = path.read_bytes()
    other = tree.root / str(path.relative_to(tree.root)).replace("sub-01", "sub-02")
    bits = bytes([content[0] ^ 1]) + content[1:]
    for changed in (b"", content[: len(content) // 2], content + b" ", bits):
        path.write_bytes(changed)
        with caplog.at_level(logging.WARNING):
            assert not is_current(tree, record())
        assert path.name in caplog.text
        with pytest.raises((BadDataError, MissingInputError), match=path.name):
            check_outputs(tree, read_completed(files_mark(tree)))
        caplog.clear()
    if path.suffix == ".gii":
        path.write_bytes(other.read_bytes())
        assert not is_current(tree, record())
    path.unlink()
    path.mkdir()
    assert not is_current(tree, record())
    path.rmdir()
    write(tree)
    assert path.read_bytes() == content
    assert is_current(tree, record())


def files_mark(tree):
    return tree.participant_settings("01", "own")


def test_every_bit_of_the_mark_counts(tree):
    mark = write(tree)[-1]
    content = mark.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(content), 60, replace=False):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        mark.write_bytes(changed)
        # A number may be written with e or E.
        assert not is_current(tree, record()) or b"E" in bytes(changed)
    mark.write_bytes(content)
    assert is_current(tree, record())
    write_json(mark, read_json(mark) | {"Inputs": {"plan": "y"}})
    assert not is_current(tree, record())


def test_the_mark_of_another_participant_is_not_taken(tree):
    mark = write(tree)[-1]
    other = write(tree, who="02")[-1]
    other.write_bytes(mark.read_bytes())
    assert not is_current(tree, record("02"))
    with pytest.raises(BadDataError, match=r"(?s)sub-02_model.*File: sub-01_model"):
        read_completed(other)


def test_a_mark_of_an_earlier_version_is_open_and_told_at_the_group_level(tree):
    mark = write(tree)[-1]
    told = read_json(mark)
    told["Outputs"] = sorted(told["Outputs"])
    write_sealed(mark, told)
    assert not is_current(tree, record())
    with pytest.raises(BadDataError, match=r"(?s)checksums.*earlier version"):
        read_completed(mark)


def test_what_a_result_has_no_more_goes_also_after_a_kill(tree):
    z = tree.participant_map("01", "L", "fsaverage5", model="own", stat="z")
    for killed in (False, True):
        write(tree)
        own = tree.participant_dir("01") / "sub-01_notes.txt"
        own.write_text("of the user")
        assert z.is_file()
        if killed:
            ParticipantWriter(tree, record()).begin()
            assert not is_current(tree, record())
        write(tree, Found(z=False))
        assert not z.exists()
        assert own.exists()
        assert is_current(tree, record())
        assert not [p for p in z.parent.iterdir() if p.name.startswith(".")]


def test_a_page_is_complete_when_it_holds_and_shows_what_is_there(tree):
    write(tree)
    assert not page_is_current(tree, "01")
    page = draw_page(tree, "01", [], [])
    assert page_is_current(tree, "01")
    drawn = page.read_bytes()
    page.write_bytes(drawn[:-10])
    assert not page_is_current(tree, "01")
    draw_page(tree, "01", [], [])
    assert page.read_bytes() == drawn
    redraw_page(tree, "01")
    assert page_is_current(tree, "01")
    write(tree, Found(2))
    assert not page_is_current(tree, "01")
    draw_page(tree, "01", [], [])
    path = tree.page_record("01")
    path.write_text(path.read_text().replace("sub-01.html", "sub-02.html"))
    assert not page_is_current(tree, "01")
