"""Tables: events, stimuli, confounds, ratings."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
from collections.abc import Iterator

import numpy as np
from fault_cases import Case, accepted, file_case
from fault_study import DURATIONS, Study, compressed, put
from spoilers import (
    blank_lines_at_the_end,
    cell,
    column,
    content,
    crlf,
    gzip_bomb,
    lines,
    no_last_newline,
    old_mac,
    recoded,
    renamed_column,
    replace,
)

TABLE = ("--stimuli", "{table}")

SAME = {
    "crlf": crlf,
    "old_mac": old_mac,
    "byte_order_mark": recoded("utf-8-sig"),
    "no_last_newline": no_last_newline,
    "blank_lines_at_the_end": blank_lines_at_the_end,
}


def table_cases() -> Iterator[Case]:
    """All of them."""
    yield from _same_tables()
    yield from _shifted()
    yield from _events()
    yield from _stimuli_tables()
    yield from _confounds()
    yield from _ratings()


def _same_tables() -> Iterator[Case]:
    for name, spoil in SAME.items():
        yield accepted(name, "events", spoil)
        yield accepted(name, "table", spoil, options=TABLE)
        yield accepted(name, "confounds", spoil, route="clean")
        yield accepted(name, "rating_table", spoil, route="rating_table")
        yield accepted(name, "features_table", spoil, route="features_table")
    yield file_case("byte_order_mark", "prep_description", recoded("utf-8-sig"), 16, "BOM")
    for attribute in ("bold_json", "raw_json", "description", "prep_description"):
        if attribute != "prep_description":
            yield accepted("byte_order_mark", attribute, recoded("utf-8-sig"))
        yield accepted("crlf", attribute, crlf)


def _quoted(rows: list[str]) -> list[str]:
    """As R writes tables by default."""
    return ["\t".join(f'"{cell}"' for cell in row.split("\t")) for row in rows]


def _with_row_names(rows: list[str]) -> list[str]:
    return [rows[0], *(f"{k}\t{row}" for k, row in enumerate(rows[1:], 1))]


def _shifted() -> Iterator[Case]:
    """Tables in which every column would be taken for its neighbor."""
    spoil, words = lines(_with_row_names), ("more cells than the header", "line 2", "row names")
    yield file_case("row_names", "events", spoil, 1, *words)
    yield file_case("row_names", "table", spoil, 16, *words, options=TABLE)
    yield file_case("row_names", "confounds", spoil, 1, *words, route="clean")
    yield file_case("row_names", "rating_table", spoil, 16, *words, route="rating_table")
    yield file_case("row_names", "features_table", spoil, 65, "more cells", route="features_table")
    planned = ("--features", "precomputed:{tables}")
    yield file_case("row_names_planned", "features_table", spoil, 65, "more cells", options=planned)
    yield file_case(
        "counter",
        "features_table",
        lines(lambda rows: [f"n\t{rows[0]}", *(f"{k}\t{r}" for k, r in enumerate(rows[1:], 1))]),
        65,
        "counts the rows",
        options=planned,
    )
    yield file_case(
        "of_no_music",
        "features_table",
        lambda p: put(p.with_name("jazz.tsv"), p.read_bytes()),
        0,
        "files of no music that is analyzed: jazz.tsv",
        options=planned,
    )


def _events() -> Iterator[Case]:
    onset = "time of a stimulus is not a number"
    yield file_case("utf16", "events", recoded("utf-16"), 1, "not UTF-8")
    yield file_case(
        "latin1",
        "events",
        lambda p: put(p, p.read_bytes() + b"9\t1\tcaf\xe9\tn/a\n"),
        1,
        "not UTF-8",
    )
    for value, words in (
        ("soon", onset), ("NaN", "has no onset"), ("inf", onset), ("1e999", onset),
        ("n/a", "has no onset"), ("", "has no onset"), ("6,0", onset), ("6 s", onset),
        ("0x10", onset),
    ):  # fmt: skip
        name = f"onset_{value.replace('/', '').replace(' ', '_') or 'blank'}"
        yield file_case(name, "events", cell(1, "onset", value), 1, words, "line 2")
    for value in ("-5", "inf", "long"):
        yield file_case(
            f"duration_{value}",
            "events",
            cell(1, "duration", value),
            1,
            "time of a stimulus is not a number",
            "line 2",
        )
    yield file_case(
        "duration_beyond_the_file",
        "events",
        cell(1, "duration", "600"),
        0,
        "600.0 s are said to be played, the audio file has 60.0 s",
    )
    yield file_case("onset_negative", "events", cell(1, "onset", "-20"), 0, "-20 s")
    yield file_case(
        "onset_before_the_run",
        "events",
        cell(1, "onset", "-100"),
        1,
        "outside the run",
        named=False,
    )
    yield file_case(
        "onset_after_the_run", "events", cell(1, "onset", "500"), 1, "outside the run", named=False
    )
    yield file_case(
        "music_longer_than_the_run",
        "events",
        cell(1, "onset", "60"),
        1,
        "after the last volume",
        named=False,
    )
    yield file_case(
        "overlap",
        "events",
        lambda p: put(p, p.read_text() + "20\t52\tmusic\tlively.wav\n"),
        1,
        "before the end of calm",
    )
    yield file_case(
        "twice_the_same_line", "events", lines(lambda r: [*r, r[-1]]), 1, "named again before"
    )
    yield file_case(
        "column_twice",
        "events",
        lines(lambda r: [f"{r[0]}\tonset", f"{r[1]}\t3"]),
        1,
        "names a column twice",
        "onset",
    )
    yield file_case(
        "row_too_long",
        "events",
        lines(lambda r: [r[0], r[1] + "\t4\t5"]),
        1,
        "more cells than the header",
        "line 2",
    )
    yield file_case(
        "row_too_short",
        "events",
        lines(lambda r: [r[0], "6"]),
        1,
        "fewer cells than the header",
        "line 2",
    )
    yield file_case(
        "header_only", "events", lines(lambda r: r[:1]), 1, "no stimulus is given for this run in"
    )
    yield file_case("commas", "events", replace("\t", ","), 1, "separated by commas", "line 1")
    yield file_case("semicolons", "events", replace("\t", ";"), 1, "separated by semicolons")
    yield file_case("spaces", "events", replace("\t", " "), 1, "separated by spaces")
    yield file_case("quotes", "events", lines(_quoted), 1, "names in quotes", "quote = FALSE")
    yield file_case(
        "wrong_column",
        "events",
        renamed_column("stim_file", "stimfile"),
        1,
        "in a column that BIDS does not know",
    )
    yield file_case("capital_column", "events", renamed_column("onset", "Onset"), 1, "has no onset")
    yield file_case("quoted_names", "events", cell(1, "stim_file", '"calm.wav"'), 1, "in quotes")
    for path in (
        "../../../etc/passwd",
        "/etc/passwd",
        "a/../../b.wav",
        "..",
        "stimuli/../../x",
        "stimuli//etc/passwd",
        "stimuli/./../../x",
        "//etc/passwd",
        "./../x",
        "a/b/../../../x",
    ):
        name = "escape_" + path.replace("/", "_")
        yield file_case(
            name, "events", cell(1, "stim_file", path), 1, "outside the dataset", "line 2"
        )
    yield file_case("nul_in_the_name", "events", cell(1, "stim_file", "calm\0.wav"), 1, "NUL")
    yield file_case(
        "name_of_4000_letters", "events", cell(1, "stim_file", "x" * 4000), 1, "cannot be read"
    )
    yield file_case("huge_cell", "events", column("note", "x" * 300_000), 0)
    yield file_case("many_lines", "events", lines(lambda r: [*r, *["1\t1\tn/a\tn/a"] * 50_000]), 0)
    yield file_case(
        "line_separators",
        "events",
        lines(lambda r: [r[0] + "\tnote", r[1] + "\ta\u2028b\x0bc\x85d"]),
        0,
    )


def _stimuli_tables() -> Iterator[Case]:
    def case(name, spoil, code, *words):
        return file_case(name, "table", spoil, code, *words, options=TABLE)

    yield case("latin1", lambda p: put(p, p.read_bytes() + b"caf\xe9\tcalm.wav\t3\n"), 16, "UTF-8")
    yield case("utf16", recoded("utf-16"), 16, "not UTF-8")
    yield case("no_onset", renamed_column("onset", "start"), 16, "lacks a column")
    yield case("no_task", renamed_column("task", "tsk"), 16, "no column task")
    yield case("commas", replace("\t", ","), 16, "separated by commas")
    yield file_case(
        "header_only",
        "table",
        lines(lambda r: r[:1]),
        66,
        "no row of the table",
        named=False,
        options=TABLE,
    )
    yield case(
        "column_twice",
        lines(lambda r: [f"{r[0]}\ttask", *(f"{x}\tz" for x in r[1:])]),
        16,
        "names a column twice",
    )
    yield case("onset_text", cell(1, "onset", "soon"), 16, "not a number", "line 2")
    yield case("file_elsewhere", cell(1, "stim_file", "../nothing/x.wav"), 65, "not found")
    yield case("offset_behind_the_end", column("offset", "90"), 16, "behind the end", "90 s")
    yield case("offset_negative", column("offset", "-1"), 16, "time of a stimulus is not")
    yield case("other_tasks", replace("calm\t", "rest\t"), 16, "for no run", "task rest")
    yield Case("table-may_lead_out", _table_elsewhere, 0, ("2 participants",), options=TABLE)


def _table_elsewhere(study: Study) -> None:
    """What --stimuli names may lie outside of the dataset: the user said so."""
    shutil.move(study.bids / "stimuli" / "calm.wav", study.root / "extra" / "calm.wav")
    replace("calm.wav", "../../extra/calm.wav")(study.table)


def _confounds() -> Iterator[Case]:
    def cleaned(name, spoil, code, *words):
        return file_case(name, "confounds", spoil, code, *words, route="clean")

    values = "values that cannot be used"
    for value in ("n/a", "inf", "-inf", "NaN", "abc", "1e999", "0,5"):
        name = f"cell_{value.replace('/', '')}"
        yield cleaned(name, cell(20, "trans_x", value), 1, values, "trans_x")
    yield file_case(
        "n/a_in_the_first_row".replace("/", ""),
        "confounds",
        cell(1, "trans_x", "n/a"),
        0,
        route="clean",
    )
    yield cleaned("last_row_cut", lambda p: put(p, p.read_bytes()[:-300]), 1, values)
    yield cleaned("last_row_gone", lines(lambda r: r[:-1]), 1, "39 rows, the BOLD file 40")
    yield cleaned("one_row_more", lines(lambda r: [*r, r[-1]]), 1, "41 rows, the BOLD file 40")
    yield cleaned("renamed", renamed_column("rot_x", "rotx"), 1, "Wanted: a column rot_x")
    yield cleaned("twice", renamed_column("rot_x", "rot_y"), 1, "names a column twice")
    yield cleaned(
        "latin1", lambda p: put(p, p.read_bytes().replace(b"csf", b"cs\xe9", 1)), 1, "not UTF-8"
    )
    yield cleaned("commas", replace("\t", ","), 1, "separated by commas")
    yield cleaned("quotes", lines(_quoted), 0)
    yield cleaned("all_constant", column("trans_x", "0"), 0)
    yield cleaned("huge_numbers", column("trans_x", "1e300"), 0)
    yield cleaned(
        "ragged",
        lines(lambda r: [*r[:10], r[10] + "\t1\t2", *r[11:]]),
        1,
        "more cells than the header",
        "line 11",
    )
    yield cleaned("motion_as_text", column("framewise_displacement", "none"), 0)
    yield cleaned("open_quote", lambda p: put(p, '"' + p.read_text()), 1, "not a table")
    yield file_case(
        "more_columns_than_volumes",
        "confounds",
        _many_columns,
        65,
        "no degrees of freedom",
        named=False,
        route="clean",
        options=("--confounds", "{strategy}"),
    )


def _many_columns(path) -> None:
    rng = np.random.default_rng(1)

    def widen(rows):
        extra = [f"trans_x_power{n}" for n in range(3, 60)]
        numbers = rng.standard_normal((len(rows) - 1, len(extra))).astype(str)
        return ["\t".join([rows[0], *extra])] + [
            "\t".join([row, *more]) for row, more in zip(rows[1:], numbers, strict=True)
        ]

    lines(widen)(path)
    strategy = path.parents[5] / "extra" / "strategy.yml"
    put(strategy, "columns: ['trans_x_power.*']\n")


def _ratings() -> Iterator[Case]:
    def stored(name, spoil, code, *words, **options):
        return file_case(name, "rating", spoil, code, *words, route="ratings", **options)

    yield stored("bomb", gzip_bomb(1 << 29), 1, "larger than any table")
    yield stored("no_numbers", content(compressed("a\n" * 300)), 1, "holds what is no number")
    yield stored("infinite", content(compressed("inf\n" * 300)), 1, "holds what is no number")
    yield stored("two_columns", content(compressed("1\t2\n" * 300)), 1, "name its columns")
    yield stored("nothing_inside", content(compressed("")), 1, "not a table")
    yield stored("latin1", content(compressed(b"1\n\xe9\n")), 1, "not UTF-8")
    yield stored(
        "byte_order_mark",
        lambda p: put(p, compressed(b"\xef\xbb\xbf" + gzip.decompress(p.read_bytes()))),
        0,
    )
    for field, value, words in (
        ("SamplingFrequency", 0, "sampling"), ("SamplingFrequency", -5, "sampling"),
        ("SamplingFrequency", "fast", "sampling"), ("SamplingFrequency", float("inf"), "sampling"),
        ("SamplingFrequency", [5], "sampling"), ("SamplingFrequency", "5", "sampling"),
        ("SamplingFrequency", True, "sampling"), ("StartTime", float("nan"), "sampling"),
        ("StartTime", "x", "sampling"), ("StartTime", 1e6, "do not overlap the music"),
        ("Columns", [], "name its columns"), ("Columns", "Enjoyment", "name its columns"),
        ("Columns", ["a", "b"], "name its columns"),
    ):  # fmt: skip
        change = _edited(field, value)
        yield file_case(
            f"{field}_{value}".replace(" ", ""),
            "rating_json",
            change,
            1,
            words,
            named=False,
            route="ratings",
        )

    def table(name, spoil, code, *words):
        return file_case(name, "rating_table", spoil, code, *words, route="rating_table")

    yield table("latin1", lambda p: put(p, p.read_bytes() + b"caf\xe9\t\t\t\n"), 16, "UTF-8")
    for factor, unit in ((1000, "in milliseconds"), (1 / 60, "in minutes")):
        yield table(f"times_by_{factor:g}", _scaled("time", factor), 65, unit)
    yield table("times_late", lines(_without(0.6)), 65, "less than half")
    yield table("gap", lines(_without(0.3, 0.6)), 65, "too long to bridge", "can be used")
    yield table("row_numbers", lines(_numbered), 0, "left out")
    yield table("no_stimulus", renamed_column("stimulus", "piece"), 16, "lacks a column")
    yield table("no_time", renamed_column("time", "when"), 16, "lacks a column")
    yield table("other_music", replace("calm", "other"), 0, "left out: other")
    yield table("no_music_of_the_study", column("stimulus", "other"), 65, "No rating is about")
    yield table("text", cell(7, "Enjoyment", "very"), 16, "no number", "'very'")
    yield table("infinite", cell(7, "Enjoyment", "inf"), 16, "no number", "'inf'")
    yield table("time_stands_still", column("time", "3"), 65, "do not increase")
    yield table("time_backwards", lines(lambda r: [r[0], *reversed(r[1:])]), 65, "do not increase")
    yield table("time_negative", column("time", "-1"), 65, "do not increase")
    yield table("twice", lines(lambda r: [*r, *r[1:]]), 65, "do not increase")
    yield table("column_twice", renamed_column("Enjoyment", "time"), 16, "names a column twice")
    yield table("ragged", lines(lambda r: [*r[:9], r[9] + "\t1\t2", *r[10:]]), 16, "line 10")
    yield file_case(
        "names_files",
        "rating_table",
        _names_files,
        66,
        "not found",
        "nothing.tsv",
        named=False,
        route="rating_table",
    )


def _scaled(name: str, factor: float):
    def change(rows: list[str]) -> list[str]:
        place = rows[0].split("\t").index(name)
        body = [row.split("\t") for row in rows[1:]]
        for cells in body:
            cells[place] = f"{float(cells[place]) * factor:g}"
        return [rows[0], *("\t".join(cells) for cells in body)]

    return lines(change)


def _without(start: float, end: float = 0.0):
    """Ratings of every piece of music without this share of them; all after it without an end."""

    def change(rows: list[str]) -> list[str]:
        names = rows[0].split("\t")
        places = [names.index(name) for name in ("participant_id", "stimulus")]
        kept = [rows[0]]

        def recording(row: str) -> list[str]:
            return [row.split("\t")[place] for place in places]

        for _, part in itertools.groupby(rows[1:], recording):
            own = list(part)
            n = len(own)
            kept += own[: int(n * start)] + own[int(n * end) :] if end else own[int(n * start) :]
        return kept

    return change


def _numbered(rows: list[str]) -> list[str]:
    """As pandas writes tables by default."""
    return ["\t" + rows[0], *(f"{k}\t{row}" for k, row in enumerate(rows[1:]))]


def _names_files(path) -> None:
    rows = "\n".join(f"{name}\t../../../../etc/nothing.tsv" for name in DURATIONS)
    put(path, f"stimulus\tratings_file\n{rows}\n")


def _edited(field, value):
    def spoil(path):
        put(path, json.dumps({**json.loads(path.read_text()), field: value}))

    return spoil
