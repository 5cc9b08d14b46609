"""Sidecars, files named on the command line, audio, folders, options."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import numpy as np
import soundfile
from fault_cases import Case, file_case
from fault_study import Study, put
from spoilers import (
    cell,
    content,
    copied_to,
)


def file_cases() -> Iterator[Case]:
    """All of them."""
    yield from _sidecars()
    yield from _options()
    yield from _audio()
    yield from _folders()


def _sidecars() -> Iterator[Case]:
    def edit(**fields):
        def spoil(path):
            put(path, json.dumps({**json.loads(path.read_text()), **fields}))

        return spoil

    differ, scanner = "sidecars of the hemispheres differ", "no scanner does that"
    yield file_case(
        "tr_of_one_hemisphere", "bold_json", edit(RepetitionTime=1.5), 1, differ, named=False
    )

    def both(**fields):
        def spoil(study: Study) -> None:
            for hemi in "LR":
                edit(**fields)(study.prep(f"hemi-{hemi}_space-fsaverage5_bold.json"))

        return spoil

    absent = "no number of seconds; 2 s (raw sidecar) is used"
    for name, value, code, words in (
        ("milliseconds", 2000, 1, scanner),
        ("tiny", 1e-9, 1, scanner),
        ("conflict", 1.9, 1, "the raw sidecar says 2 s between volumes"),
        ("negative", -2, 0, absent),
        ("zero", 0, 0, absent),
        ("text", "2.0", 0, absent),
        ("list", [2.0], 0, absent),
        ("true", True, 0, absent),
        ("nan", float("nan"), 0, absent),
        ("infinity", float("inf"), 0, absent),
        ("of_400_digits", 10**400, 0, absent),
        ("of_5000_digits", None, 1, "A JSON sidecar cannot be read"),
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
        said, spoil = "SliceTiming of the raw sidecar is no list", edit(SliceTiming=times)
        yield file_case(f"slice_timing_{name}", "raw_json", spoil, 1, said, named=False)
    yield file_case(
        "start_time_text",
        "bold_json",
        edit(StartTime="0.9"),
        1,
        "no number of seconds",
        named=False,
    )
    for attribute in ("bold_json", "raw_json"):
        for name, text in (("list", "[1]"), ("number", "3"), ("null", "null"), ("text", '"a"')):
            yield file_case(name, attribute, content(text), 1, "does not hold an object")
        yield file_case("deep", attribute, content("[" * 100_000), 1, "cannot be read")
    yield file_case(
        "entry_is_no_object", "confounds_json", content('{"a_comp_cor_00": 3}'), 0, route="clean"
    )
    yield file_case("of_another_table", "confounds_json", content("{}"), 0, route="clean")
    twice = content('{"A": 1, "A": 1}')
    yield file_case("key_twice", "raw_json", twice, 0)
    yield file_case("key_twice", "bold_json", twice, 1, differ, named=False)
    for attribute in ("description", "prep_description"):
        for name, text in (("list", "[]"), ("deep", "[" * 100_000), ("null", "null")):
            yield file_case(name, attribute, content(text), 16, "description of a dataset")
    yield file_case(
        "odd_fields",
        "prep_description",
        content('{"Name": 3, "BIDSVersion": [1], "GeneratedBy": ["x", 3, null], "Authors": 7}'),
        66,
        "without fMRIPrep outputs",
        named=False,
    )


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
        "match no file",
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
        "match no file",
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
    unusable = "not audio that can be used"
    yield file_case("no_samples", "audio", sound(noise[:0]), 65, unusable)
    yield file_case(
        "shorter_than_said",
        "audio",
        sound(noise[:8000]),
        65,
        "ratings go on long after the music",
        named=False,
    )
    yield file_case(
        "terabytes", "audio", _header(40, b"\xff\xff\xff\xfe"), 65, "truncated audio file"
    )
    yield file_case(
        "riff_of_terabytes", "audio", _header(4, b"\xf0\xff\xff\xff"), 65, "truncated audio file"
    )
    yield file_case("no_rate", "audio", _header(24, bytes(4)), 65, unusable)
    yield file_case(
        "rate_of_gigahertz",
        "audio",
        _header(24, b"\xff\xff\xff\x7f"),
        65,
        "ratings go on long after the music",
        named=False,
    )
    yield file_case("no_channels", "audio", _header(22, bytes(2)), 65, unusable)
    yield file_case("65535_channels", "audio", _header(22, b"\xff\xff"), 65, unusable)
    yield file_case("64_bit_samples", "audio", _header(34, b"\x40\x00"), 65, unusable)
    yield file_case("flac_inside", "audio", sound(noise, format="FLAC"), 0)
    for name, samples in (
        ("silent", np.zeros(80_000)),
        ("constant", np.full(80_000, 0.25)),
        ("nan", np.where(np.arange(80_000) == 777, np.nan, noise[:80_000])),
        ("infinite", np.where(np.arange(80_000) == 777, np.inf, noise[:80_000])),
    ):
        words = "silent" if name in ("silent", "constant") else "not finite"
        yield file_case(name, "audio", sound(samples, subtype="FLOAT"), 65, words, route="audio")
    yield Case("audio-label_twice", _same_label, 16, ("lacks a stimulus", "calm"))


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
        ("lie elsewhere",),
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
        ("not used:", "fmriprep2"),
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
