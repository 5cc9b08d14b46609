"""Tables as people's programs write them: read alike, or refused with the line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bids_app.errors import InvalidInputError, MusencError
from bids_app.features.precomputed import load_precomputed
from bids_app.inputs.confounds import select_confounds
from bids_app.inputs.ratings import read_ratings_table
from bids_app.inputs.stimuli import read_stimulus_table
from bids_app.inputs.tables import read_frame, read_rows, read_tsv

PLAIN = "time\tvalence\tarousal\n0.5\t1\t4\n1.0\t2\t5\n1.5\t3\tn/a\n"


@pytest.fixture
def table(tmp_path):
    def write(text, name="table.tsv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rewritten(text: str, how) -> str:
    return "".join(how(k, line) for k, line in enumerate(text.splitlines(keepends=True)))


SAME = {
    "mark": lambda text: "\ufeff" + text,
    "windows": lambda text: text.replace("\n", "\r\n"),
    "old_mac": lambda text: text.replace("\n", "\r"),
    "no_last_end": lambda text: text.rstrip("\n"),
    "blank_lines": lambda text: text.replace("\n", "\n\n") + "\n\t\t\n",
    "trailing_tabs": lambda text: text.replace("\n", "\t\n"),
    "tabs_below": lambda text: rewritten(text, lambda k, s: s.replace("\n", "\t\n") if k else s),
    "spaces": lambda text: text.replace("\t", " \t "),
    "trimmed": lambda text: text.replace("\tn/a", ""),
}


@pytest.mark.parametrize("how", SAME)
def test_spellings_of_the_same_table(table, how):
    changed = table(SAME[how](PLAIN))
    columns, rows = read_tsv(changed)
    expected = read_tsv(table(PLAIN, "plain.tsv"))[1]
    wanted = ("time", "valence", "arousal")
    assert [name for name in columns if name] == list(wanted)
    got = [{name: row[name].replace("n/a", "") for name in wanted} for row in rows]
    assert got == [{k: v.replace("n/a", "") for k, v in row.items()} for row in expected]
    if how != "trailing_tabs":
        frame = read_frame(changed).dropna(how="all")
        numbers = frame.loc[:, list(wanted)].to_numpy(dtype=float)
        np.testing.assert_array_equal(numbers, [[0.5, 1, 4], [1, 2, 5], [1.5, 3, np.nan]])


REFUSED = {
    "row_names": (
        rewritten(PLAIN, lambda k, line: f"{k}\t{line}" if k else line),
        r"line 2(.|\n)*4 cells, the first '1'; so have all 3 rows(.|\n)*row\.names = FALSE",
    ),
    "row_names_from_0": (
        rewritten(PLAIN, lambda k, line: f"{k - 1}\t{line}" if k else line),
        r"the first '0'(.|\n)*row names",
    ),
    "quoted_row_names": (
        rewritten(PLAIN, lambda k, line: f'"r{k}"\t{line}' if k else line),
        "row names",
    ),
    "row_names_and_empty_ends": (
        "time\tvalence\n1\t0.5\t\n2\t1.0\t\n3\t1.5\t\n",
        "line 2(.|\n)*row names",
    ),
    "one_longer": (PLAIN.replace("2\t5", "2\t5\t6"), "line 3(.|\n)*4 cells(.|\n)*correct the line"),
    "header_longer": ("id\t" + PLAIN, r"line 2(.|\n)*3 cells(.|\n)*4 cells"),
    "twice": (PLAIN.replace("arousal", "valence"), "names a column twice(.|\n)*valence"),
    "twice_with_space": (PLAIN.replace("arousal", " valence "), "names a column twice"),
    "semicolons": (PLAIN.replace("\t", ";"), "separated by semicolons"),
    "commas": (PLAIN.replace("\t", ","), "separated by commas"),
    "bars": (PLAIN.replace("\t", "|"), "separated by bars"),
    "spaces": (PLAIN.replace("\t", "  "), "separated by spaces"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_would_be_read_wrongly_are_refused(table, name):
    text, words = REFUSED[name]
    path = table(text)
    for read in (read_tsv, read_frame, read_rows):
        with pytest.raises(InvalidInputError, match=words) as error:
            read(path)
        assert "table.tsv" in str(error.value)
        assert "do this" in str(error.value)


def test_quotes(table):
    quoted = table('"time"\t"valence"\n0.5\t"1"\n')
    with pytest.raises(InvalidInputError, match=r"names in quotes(.|\n)*quote = FALSE"):
        read_tsv(quoted)
    # Other programs' tables may have them.
    assert read_frame(quoted).to_dict("list") == {"time": [0.5], "valence": [1]}
    text = 'stimulus,time,"felt, in the end"\n"a, b",0.5,3\n'
    frame = read_frame(table(text, "r.csv"), sep=",")
    assert list(frame.columns) == ["stimulus", "time", "felt, in the end"]
    assert frame["stimulus"][0] == "a, b"


def test_encodings(table):
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_tsv(table("onset\tstim_file\n1\tmüde.wav\n", encoding="latin-1"))
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        read_frame(table(PLAIN, encoding="utf-16"))


def test_rows_without_a_header_must_be_equally_long(table):
    assert len(read_rows(table("1\t2\n3\t4\n"), header=False)[1]) == 2
    with pytest.raises(InvalidInputError, match=r"line 2(.|\n)*3 cells"):
        read_frame(table("1\t2\n3\t4\t5\n"), header=False)
    with pytest.raises(InvalidInputError, match=r"line 3(.|\n)*1 cells"):
        read_frame(table("1\t2\n3\t4\n5\n"), header=False)


def test_lines_are_counted_with_blank_ones(table):
    with pytest.raises(InvalidInputError, match="line 4"):
        read_tsv(table("a\tb\n\n1\t2\n1\t2\t3\n"))


@pytest.fixture
def music(table):
    header = "stimulus\ttime\tvalence\n"
    body = "".join(f"calm\t{x / 10}\t{x % 7}\n" for x in range(600))
    return header + body


def test_every_table_of_numbers_goes_through_the_one_reader(table, music, tmp_path):
    def numbered(text):
        return rewritten(text, lambda k, line: f"{k}\t{line}" if k else line)

    confounds = "csf\twhite_matter\n" + "0.1\t0.2\n" * 20
    features = "time\tchroma\n" + "".join(f"{x / 10}\t{x % 5}\n" for x in range(600))
    stimuli = "task\tstim_file\tonset\n" + "a\tb.wav\t4\n" * 3
    folder = tmp_path / "f"
    folder.mkdir()
    readers = {
        "confounds.tsv": (confounds, lambda p: select_confounds(p, None, "tissue2", 20)),
        "ratings.tsv": (music, lambda p: read_ratings_table(p, {"calm": 60.0})),
        "stimuli.tsv": (stimuli, read_stimulus_table),
        "f/calm.tsv": (
            features,
            lambda p: load_precomputed(p.parent, "calm", 1 + np.arange(50), 1),
        ),
    }
    for name, (text, read) in readers.items():
        read(table(text, name))
        with pytest.raises(MusencError, match=r"row names|more cells"):
            read(table(numbered(text), name))


def test_decimal_commas_are_refused(table, music):
    with pytest.raises(InvalidInputError, match=r"no number(.|\n)*decimal point"):
        read_ratings_table(table(music.replace(".", ",")), {"calm": 60.0})
    with pytest.raises(MusencError, match=r"'0,1' in row 1(.|\n)*decimal point"):
        select_confounds(table("csf\twhite_matter\n" + "0,1\t0.2\n" * 20), None, "tissue2", 20)
    with pytest.raises(InvalidInputError, match="'4,5'"):
        read_stimulus_table(table("task\tstim_file\tonset\na\tb.wav\t4,5\n"))


def test_what_the_library_warns_of_is_an_error(table, monkeypatch):
    import warnings

    def warns(*_, **__):
        warnings.warn("length of header and names differ", pd.errors.ParserWarning, stacklevel=2)

    monkeypatch.setattr(pd, "read_csv", warns)
    with pytest.raises(InvalidInputError, match="length of header"):
        read_frame(table(PLAIN))
