"""Cases that are about one kind of file."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator

import numpy as np
import soundfile
from array_cases import array_cases
from fault_cases import Case, accepted, file_case
from fault_study import DURATIONS, Study, compressed, put
from spoilers import (
    blank_lines_at_the_end,
    cell,
    column,
    content,
    copied_to,
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
# Texts that mean the same.
SAME = {
    "crlf": crlf,
    "old_mac": old_mac,
    "byte_order_mark": recoded("utf-8-sig"),
    "no_last_newline": no_last_newline,
    "blank_lines_at_the_end": blank_lines_at_the_end,
}


def all_single() -> Iterator[Case]:
    """All of them."""
    yield from _same_tables()
    yield from _events()
    yield from _stimuli_tables()
    yield from _confounds()
    yield from _sidecars()
    yield from _ratings()
    yield from _options()
    yield from _audio()
    yield from _folders()
    yield from array_cases()


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


def _events() -> Iterator[Case]:
    onset = "onset of a stimulus is not a number"
    yield file_case("utf16", "events", recoded("utf-16"), 16, "not UTF-8")
    yield file_case(
        "latin1",
        "events",
        lambda p: put(p, p.read_bytes() + b"9\t1\tcaf\xe9\tn/a\n"),
        16,
        "not UTF-8",
    )
    for value, words in (
        ("soon", onset), ("NaN", "has no onset"), ("inf", onset), ("1e999", onset),
        ("n/a", "has no onset"), ("", "has no onset"), ("6,0", onset), ("6 s", onset),
        ("0x10", onset),
    ):  # fmt: skip
        name = f"onset_{value.replace('/', '').replace(' ', '_') or 'blank'}"
        yield file_case(name, "events", cell(1, "onset", value), 16, words, "line 2")
    for value in ("-5", "inf", "long"):
        yield file_case(
            f"duration_{value}",
            "events",
            cell(1, "duration", value),
            16,
            "duration of a stimulus is not a number",
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
        "music_longer_than_the_run", "events", cell(1, "onset", "60"), 0, "after the last volume"
    )
    yield file_case(
        "overlap",
        "events",
        lambda p: put(p, p.read_text() + "20\t52\tmusic\tlively.wav\n"),
        0,
        "before the end of calm",
    )
    yield file_case(
        "twice_the_same_line", "events", lines(lambda r: [*r, r[-1]]), 0, "before the end of calm"
    )
    yield file_case(
        "column_twice",
        "events",
        lines(lambda r: [f"{r[0]}\tonset", f"{r[1]}\t3"]),
        16,
        "names a column twice",
        "onset",
    )
    yield file_case(
        "row_too_long",
        "events",
        lines(lambda r: [r[0], r[1] + "\t4\t5"]),
        16,
        "more cells than the header",
        "line 2",
    )
    yield file_case(
        "row_too_short",
        "events",
        lines(lambda r: [r[0], "6"]),
        1,
        "no stimulus is given for this run in",
    )
    yield file_case(
        "header_only", "events", lines(lambda r: r[:1]), 1, "no stimulus is given for this run in"
    )
    yield file_case("commas", "events", replace("\t", ","), 1, "no stimulus is given")
    yield file_case("spaces", "events", replace("\t", " "), 1, "no stimulus is given")
    yield file_case(
        "wrong_column",
        "events",
        renamed_column("stim_file", "stimfile"),
        1,
        "no stimulus is given for this run in",
    )
    yield file_case(
        "capital_column", "events", renamed_column("onset", "Onset"), 16, "has no onset"
    )
    yield file_case("quoted_names", "events", cell(1, "stim_file", '"calm.wav"'), 66, "not found")
    for path in ("../../../etc/passwd", "/etc/passwd", "a/../../b.wav", "..", "stimuli/../../x"):
        name = "escape_" + path.replace("/", "_")
        yield file_case(
            name, "events", cell(1, "stim_file", path), 16, "outside the dataset", "line 2"
        )
    yield file_case(
        "nul_in_the_name", "events", cell(1, "stim_file", "calm\0.wav"), 66, "not found"
    )
    yield file_case(
        "name_of_4000_letters", "events", cell(1, "stim_file", "x" * 4000), 66, "cannot be read"
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
    yield case("no_onset", renamed_column("onset", "start"), 16, "has no onset")
    yield case("no_task", renamed_column("task", "tsk"), 16, "no column task")
    yield case("commas", replace("\t", ","), 16, "has no column")
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
    yield case("file_elsewhere", cell(1, "stim_file", "../nothing/x.wav"), 66, "not found")
    yield case("offset_behind_the_end", column("offset", "90"), 16, "behind the end", "90 s")
    yield case("offset_negative", column("offset", "-1"), 16, "offset of a stimulus")
    yield case("other_tasks", replace("calm\t", "rest\t"), 0, "no stimulus is given for this task")
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
        yield cleaned(name, cell(20, "trans_x", value), 65, values, "trans_x")
    yield file_case(
        "n/a_in_the_first_row".replace("/", ""),
        "confounds",
        cell(1, "trans_x", "n/a"),
        0,
        route="clean",
    )
    yield cleaned("last_row_cut", lambda p: put(p, p.read_bytes()[:-300]), 65, values)
    yield cleaned("last_row_gone", lines(lambda r: r[:-1]), 1, "39 rows, the BOLD file 40")
    yield cleaned("one_row_more", lines(lambda r: [*r, r[-1]]), 1, "41 rows, the BOLD file 40")
    yield cleaned("renamed", renamed_column("rot_x", "rotx"), 1, "Wanted: a column rot_x")
    yield cleaned("twice", renamed_column("rot_x", "rot_y"), 1, "rot_x")
    yield cleaned(
        "latin1", lambda p: put(p, p.read_bytes().replace(b"csf", b"cs\xe9", 1)), 16, "not UTF-8"
    )
    yield cleaned("commas", replace("\t", ","), 1, "Wanted: a column")
    yield cleaned("all_constant", column("trans_x", "0"), 0)
    yield cleaned("huge_numbers", column("trans_x", "1e300"), 0)
    yield cleaned(
        "ragged", lines(lambda r: [*r[:10], r[10] + "\t1\t2", *r[11:]]), 16, "not a table"
    )
    yield cleaned("motion_as_text", column("framewise_displacement", "none"), 0)
    yield cleaned("open_quote", lambda p: put(p, '"' + p.read_text()), 16, "not a table")
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


def _sidecars() -> Iterator[Case]:
    def edit(**fields):
        def spoil(path):
            put(path, json.dumps({**json.loads(path.read_text()), **fields}))

        return spoil

    differ, scanner = "sidecars of the hemispheres differ", "no scanner does that"
    yield file_case(
        "tr_of_one_hemisphere", "bold_json", edit(RepetitionTime=1.5), 1, differ, named=False
    )
    yield file_case("start_of_one_hemisphere", "bold_json", edit(StartTime=0.1), 0)

    def both(**fields):
        def spoil(study: Study) -> None:
            for hemi in "LR":
                edit(**fields)(study.prep(f"hemi-{hemi}_space-fsaverage5_bold.json"))

        return spoil

    for name, value, code, words in (
        ("milliseconds", 2000, 1, scanner),
        ("tiny", 1e-9, 1, scanner),
        ("conflict", 1.9, 0, "the raw sidecar says 2 s between volumes"),
        ("negative", -2, 0, "2 participants"),
        ("zero", 0, 0, "2 participants"),
        ("text", "2.0", 0, "2 participants"),
        ("list", [2.0], 0, "2 participants"),
        ("true", True, 0, "2 participants"),
        ("nan", float("nan"), 0, "2 participants"),
        ("infinity", float("inf"), 0, "2 participants"),
        ("of_400_digits", 10**400, 0, "2 participants"),
        ("of_5000_digits", None, 16, "A JSON sidecar cannot be read"),
    ):
        spoil = both(RepetitionTime=value)
        if value is None:

            def spoil(study: Study) -> None:
                put(study.bold_json, '{"RepetitionTime": 1' + "0" * 5000 + "}")

        yield Case(f"repetition_time-{name}", spoil, code, (words,))
    for name, times in (
        ("text", ["a"]),
        ("nan", [float("nan")]),
        ("huge", [10**400]),
        ("empty", []),
        ("no_list", 3),
    ):
        yield file_case(f"slice_timing_{name}", "raw_json", edit(SliceTiming=times), 0)
    yield file_case("start_time_text", "bold_json", edit(StartTime="0.9"), 0)
    for attribute in ("bold_json", "raw_json"):
        for name, text in (("list", "[1]"), ("number", "3"), ("null", "null"), ("text", '"a"')):
            yield file_case(name, attribute, content(text), 16, "does not hold an object")
        yield file_case("deep", attribute, content("[" * 100_000), 16, "cannot be read")
        yield file_case("key_twice", attribute, content('{"A": 1, "A": 2}'), 0)
    yield file_case(
        "entry_is_no_object", "confounds_json", content('{"a_comp_cor_00": 3}'), 0, route="clean"
    )
    yield file_case("of_another_table", "confounds_json", content("{}"), 0, route="clean")
    for attribute in ("description", "prep_description"):
        for name, text in (("list", "[]"), ("deep", "[" * 100_000), ("null", "null")):
            yield file_case(name, attribute, content(text), 16, "description of a dataset")
    yield file_case(
        "odd_fields",
        "prep_description",
        content('{"Name": 3, "BIDSVersion": [1], "GeneratedBy": ["x", 3, null], "Authors": 7}'),
        16,
        "cannot be indexed",
    )


def _ratings() -> Iterator[Case]:
    def stored(name, spoil, code, *words, **options):
        return file_case(name, "rating", spoil, code, *words, route="ratings", **options)

    yield stored("bomb", gzip_bomb(1 << 29), 16, "larger than any table")
    yield stored("no_numbers", content(compressed("a\n" * 300)), 16, "holds what is no number")
    yield stored("infinite", content(compressed("inf\n" * 300)), 16, "holds what is no number")
    yield stored("two_columns", content(compressed("1\t2\n" * 300)), 16, "name its columns")
    yield stored("nothing_inside", content(compressed("")), 16, "not a table")
    yield stored("latin1", content(compressed(b"1\n\xe9\n")), 16, "not UTF-8")
    yield stored(
        "byte_order_mark",
        lambda p: put(p, compressed(b"\xef\xbb\xbf" + gzip.decompress(p.read_bytes()))),
        0,
    )
    for field, value, words in (
        ("SamplingFrequency", 0, "sampling"), ("SamplingFrequency", -5, "sampling"),
        ("SamplingFrequency", "fast", "sampling"), ("SamplingFrequency", float("inf"), "sampling"),
        ("SamplingFrequency", [5], "sampling"), ("StartTime", float("nan"), "sampling"),
        ("StartTime", "x", "sampling"), ("StartTime", 1e6, "do not overlap the music"),
        ("Columns", [], "name its columns"), ("Columns", "Enjoyment", "name its columns"),
        ("Columns", ["a", "b"], "name its columns"),
    ):  # fmt: skip
        code = 65 if value == 1e6 else 16
        change = _edited(field, value)
        yield file_case(
            f"{field}_{value}".replace(" ", ""),
            "rating_json",
            change,
            code,
            words,
            named=False,
            route="ratings",
        )

    def table(name, spoil, code, *words):
        return file_case(name, "rating_table", spoil, code, *words, route="rating_table")

    yield table("latin1", lambda p: put(p, p.read_bytes() + b"caf\xe9\t\t\t\n"), 16, "UTF-8")
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
    yield table("ragged", lines(lambda r: [*r[:9], r[9] + "\t1\t2", *r[10:]]), 16, "not a table")
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


def _names_files(path) -> None:
    rows = "\n".join(f"{name}\t../../../../etc/nothing.tsv" for name in DURATIONS)
    put(path, f"stimulus\tratings_file\n{rows}\n")


def _edited(field, value):
    def spoil(path):
        put(path, json.dumps({**json.loads(path.read_text()), field: value}))

    return spoil


def _options() -> Iterator[Case]:
    wrong = "not as it should be"
    for name, text in (
        ("code", "!!python/object/apply:os.system ['touch /tmp/owned']"),
        ("aliases", "a: &a [x]\nb: &b [*a, *a]\ncolumns: *b"),
        ("bad_pattern", "columns: ['(']"),
        ("unknown_key", "colums: ['x']"),
        ("number", "columns: 3"),
        ("no_n", "acompcor: {mask: WM}"),
        ("infinite_n", "acompcor: {mask: WM, n: .inf}"),
        ("text_in_compcor", "acompcor: [WM]"),
        ("wrong_mask", "acompcor: {mask: GM, n: 5}"),
        ("threshold", "scrub: {framewise_displacement: much}"),
        ("deep", "[" * 20_000),
        ("date", "2001-01-01"),
    ):
        yield file_case(
            name, "strategy", content(text), 16, wrong, options=("--confounds", "{strategy}")
        )
    yield file_case(
        "no_column_fits",
        "strategy",
        content("columns: ['nothing_.*']"),
        65,
        "a column that matches",
        named=False,
        options=("--confounds", "{strategy}"),
    )
    filters = ("--bids-filter-file", "{filters}")
    yield file_case("list", "filters", content("[]"), 2, "not a JSON object", options=filters)
    yield file_case(
        "bold_text",
        "filters",
        content('{"bold": "x"}'),
        2,
        "another form",
        named=False,
        options=filters,
    )
    yield file_case(
        "unknown_key",
        "filters",
        content('{"bold": {"colour": "red"}}'),
        18,
        "select no run",
        named=False,
        options=filters,
    )
    yield file_case(
        "deep", "filters", content("[" * 100_000), 65, "not valid JSON", options=filters
    )
    yield file_case(
        "odd_values",
        "filters",
        content('{"bold": {"task": [null, {"a": 1}, 3.5]}}'),
        18,
        "select no run",
        named=False,
        options=filters,
    )


def _audio() -> Iterator[Case]:
    def sound(samples, rate=8000, **options):
        def spoil(path):
            path.unlink()
            soundfile.write(path, samples, rate, **options)

        return spoil

    rng = np.random.default_rng(2)
    noise = rng.uniform(-0.2, 0.2, 60 * 8000)
    unusable = "not audio that can be read"
    yield file_case("no_samples", "audio", sound(noise[:0]), 16, unusable)
    yield file_case(
        "shorter_than_said",
        "audio",
        sound(noise[:8000]),
        0,
        "60.0 s are said to be played, the audio file has 1.0 s",
    )
    yield file_case("terabytes", "audio", _header(40, b"\xff\xff\xff\xfe"), 0)
    yield file_case(
        "riff_of_terabytes", "audio", _header(4, b"\xf0\xff\xff\xff"), 16, "truncated audio file"
    )
    yield file_case("no_rate", "audio", _header(24, bytes(4)), 16, unusable)
    yield file_case("rate_of_gigahertz", "audio", _header(24, b"\xff\xff\xff\x7f"), 0)
    yield file_case("no_channels", "audio", _header(22, bytes(2)), 16, unusable)
    yield file_case("65535_channels", "audio", _header(22, b"\xff\xff"), 16, unusable)
    yield file_case("64_bit_samples", "audio", _header(34, b"\x40\x00"), 16, unusable)
    yield file_case("flac_inside", "audio", sound(noise, format="FLAC"), 0)
    for name, samples in (
        ("silent", np.zeros(80_000)),
        ("constant", np.full(80_000, 0.25)),
        ("nan", np.where(np.arange(80_000) == 777, np.nan, noise[:80_000])),
        ("infinite", np.where(np.arange(80_000) == 777, np.inf, noise[:80_000])),
    ):
        words = "silent" if name in ("silent", "constant") else "not finite"
        yield file_case(name, "audio", sound(samples, subtype="FLOAT"), 65, words, route="audio")
    yield Case("audio-label_twice", _same_label, 16, ("same label", "calm"))


def _header(start: int, value: bytes):
    """Bytes in the header of a WAV file: 4 file size, 22 channels, 24 rate, 34 bits, 40 data."""

    def spoil(path):
        whole = bytearray(path.read_bytes())
        whole[start : start + len(value)] = value
        put(path, bytes(whole))

    return spoil


def _same_label(study: Study) -> None:
    soundfile.write(study.bids / "stimuli" / "ca-lm.wav", np.linspace(-1, 1, 8000 * 60), 8000)
    cell(1, "stim_file", "ca-lm.wav")(study.events)


def _folders() -> Iterator[Case]:
    def renamed(name: str):
        def spoil(study: Study) -> None:
            cell(1, "stim_file", name)(study.events)
            cell(1, "stim_file", name)(study.raw("events.tsv", sub="02"))
            study.audio.rename(study.audio.with_name(name))

        return spoil

    for name in (
        "calm song.wav",
        "cålm – ünïcode ♪.wav",
        "calm%20x.wav",
        "calm'x\".wav",
        "calm;rm -rf.wav",
        "<script>calm.wav",
        "🎵.wav",
        ".hidden.wav",
    ):
        yield Case(f"audio-called_{name}", renamed(name), 0, (name, "2 participants"))
    yield Case("loop-of_folders", _loop("loop"), 0, same=True)
    yield Case(
        "loop-in_fmriprep",
        lambda s: (s.fmriprep / "sub-01" / "again").symlink_to(".."),
        0,
        same=True,
    )
    yield Case(
        "loop-in_stimuli", lambda s: (s.bids / "stimuli" / "again").symlink_to(".."), 0, same=True
    )
    yield Case("copies-of_a_run", _twins, 16, ("several versions", "rec-a or without"))
    yield file_case(
        "other_run_index",
        "gifti",
        copied_to("sub-01_task-calm_run-2_hemi-L_space-fsaverage5_bold.func.gii"),
        1,
        "hemi-R is missing",
        named=False,
    )
    yield file_case(
        "repeated_entity",
        "gifti",
        copied_to("sub-01_sub-02_task-calm_hemi-L_space-fsaverage5_bold.func.gii"),
        0,
        named=False,
    )
    yield file_case("name_without_entities", "gifti", copied_to("bold.func.gii"), 0)
    yield Case(
        "folder-no_participants",
        lambda s: shutil.rmtree(s.fmriprep),
        66,
        ("without fMRIPrep outputs",),
    )
    yield Case(
        "folder-one_participant_gone",
        lambda s: shutil.rmtree(s.fmriprep / "sub-02"),
        0,
        ("1 participant",),
    )
    yield Case(
        "folder-two_fmripreps",
        lambda s: shutil.copytree(s.fmriprep, s.fmriprep.with_name("fmriprep2")),
        0,
        same=True,
    )
    for option, value, code, words in (
        ("--participant-label", "99", 18, "99"),
        ("--participant-label", "../..", 18, "../.."),
        ("--task-id", "none", 18, "none"),
        ("--derivatives", "/nowhere", 66, "/nowhere"),
        ("--space", "fsaverage6", 66, "fsaverage6"),
        ("--dummy-scans", "-1", 2, ""),
        ("--dummy-scans", "many", 2, "many"),
        ("--dummy-scans", "40", 65, "40 dummy scans, but only"),
        ("--delays", "9:3", 2, ""),
        ("--delays", "a:b", 2, ""),
        ("--crop", "nan", 2, ""),
        ("--crop", "-1", 2, ""),
        ("--nprocs", "0", 2, ""),
        ("--mem", "0", 2, "memory must be positive"),
        ("--mem", "lots", 2, "lots"),
        ("--mem", "0.1", 75, "There is not enough memory"),
        ("--mem-gb", "1.5", 75, "give --mem 2 or more"),
        ("--repetition-time", "inf", 2, ""),
        ("--high-pass", "x", 2, ""),
        ("--confounds", "lots", 2, "lots"),
        ("--stimuli", "/nowhere.tsv", 66, "/nowhere.tsv"),
        ("--bids-filter-file", "/nowhere.json", 66, "/nowhere.json"),
        ("--exclude-run", "x", 2, "x"),
        ("--smoothing", "1e999", 2, ""),
    ):
        name = f"option-{option}={value}".replace("/", "_")
        yield Case(name, lambda s: None, code, (words,), options=(option, value))


def _loop(name: str):
    def spoil(study: Study) -> None:
        (study.bids / name).symlink_to(study.bids)
        (study.bids / "sub-01" / name).symlink_to("..")

    return spoil


def _twins(study: Study) -> None:
    for hemi in "LR":
        for end in (".func.gii", ".json"):
            path = study.prep(f"hemi-{hemi}_space-fsaverage5_bold{end}")
            shutil.copy(path, path.with_name(path.name.replace("_hemi", "_rec-a_hemi")))
