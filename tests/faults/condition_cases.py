"""Options of the analyses of conditions and ratings, and what they name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from fault_cases import Case
from fault_study import PARTICIPANTS, RUNS, Study, put
from spoilers import SPOILERS, cell, column, lines, renamed_column

Spoil = Callable[[Study], object]
LOUD = ("--contrast", "loud-quiet")
SEED = (*LOUD, "--seed")


def condition_cases() -> Iterator[Case]:
    """All of them."""
    yield from _contrasts()
    yield from _trials()
    yield from _regions()
    yield from _lags()
    yield from _rating_options()


def with_trials(spoil: Spoil | None = None) -> Spoil:
    """Four trials in every run, and what is wrong besides."""
    rows = ["onset\tduration\ttrial_type\tstim_file"]
    rows += [f"{5 + 15 * k}\t12\t{('loud', 'quiet')[k % 2]}\tn/a" for k in range(4)]

    def work(study: Study) -> None:
        for person in PARTICIPANTS:
            for run in RUNS:
                path = study.raw("events.tsv", person)
                path = path.with_name(path.name.replace("task-calm", f"task-{run.task}"))
                music = f"6\t{run.duration:g}\tmusic\t{run.stim_file}"
                put(path, "\n".join([*rows, music]) + "\n")
        if spoil is not None:
            spoil(study)

    return work


def _case(
    name: str, options: tuple[str, ...], code: int, *says: str, spoil: Spoil | None = None
) -> Case:
    return Case(f"conditions-{name}", with_trials(spoil), code, says, options=options)


def _contrasts() -> Iterator[Case]:
    yield _case("as_they_should_be", LOUD, 0, "contrasts: loud-quiet", "2 runs with conditions")
    unknown, unread = "names an unknown condition", "A contrast cannot be read"
    for text, words in (
        ("loud-soft", unknown), ("soft", unknown), ("loudquiet", unknown), ("Loud-Quiet", unknown),
        ("loud-", unread), ("-", unread), ("loud quiet", unread), ("loud**2", unread),
        ("2*2*loud", unread), ("1e3*loud", unread), ("loud;quiet", unread), ("3-loud", unread),
        ("loud - (quiet)", unread), ("loud\u2212quiet", unread), ("../quiet", unread),
        ("__import__('os')", unread), ("loud-nan*quiet", unread), ("loud/quiet", unread),
        ("loud-loud", "A contrast is empty"), ("0*loud", "A contrast is empty"),
        ("", "A contrast is empty"), (" ", unread), ("x" * 5000, unknown),
    ):  # fmt: skip
        name = f"contrast_{text[:20]}".replace("/", "|").replace(" ", "_")
        yield _case(name, (f"--contrast={text}",), 2, words)
    yield _case(
        "contrast_twice", ("--contrast", "loud-quiet", "loud - quiet"), 2, "contrasts are the same"
    )
    yield _case("contrast_without_any", ("--contrast",), 2, "expected at least one argument")
    for name, code, words in (
        ("emotion", 16, "No events name conditions"),
        ("", 16, "No events name conditions"),
        ("onset", 2, "unknown condition"),
        ("stim_file", 2, "unknown condition"),
    ):
        yield _case(f"column_{name}", (*LOUD, "--condition-column", name), code, words)
    yield Case(
        "conditions-only_music", lambda s: None, 2, ("unknown condition", "music"), options=LOUD
    )


def _trials() -> Iterator[Case]:
    def one(name: str, spoil: Callable[[Path], object], code: int, *says: str) -> Case:
        return _case(f"trials_{name}", LOUD, code, *says, spoil=lambda s: spoil(s.events))

    yield one("onset_text", cell(1, "onset", "soon"), 1, "has no conditions", "no number")
    yield one("duration_negative", cell(1, "duration", "-3"), 1, "has no conditions", "duration")
    yield one("duration_blank", cell(1, "duration", "n/a"), 1, "has no conditions", "no number")
    yield one("duration_infinite", cell(1, "duration", "inf"), 1, "has no conditions")
    yield one("onset_infinite", cell(1, "onset", "inf"), 1, "has no conditions")
    yield one("no_column", renamed_column("trial_type", "kind"), 0, "has no conditions", "onset")
    yield one("no_condition", column("trial_type", "n/a"), 0, "has no conditions", "no value in")
    late = "1 of 5 trials begins behind the end of the run, at 80 s: loud at 500 s"
    yield one("onset_late", cell(1, "onset", "500"), 0, f"sub-01_task-calm: {late}")
    beyond = "1 of 5 trials ends behind the end of the run, at 80 s: quiet at 50 s"
    yield one("duration_late", cell(4, "duration", "40"), 0, f"sub-01_task-calm: {beyond}")
    milliseconds = lines(lambda rows: [_times(row, 1000) for row in rows])
    yield one("milliseconds", milliseconds, 1, "do not fit", "in milliseconds they would fit")
    again = lines(lambda rows: [*rows, rows[1]])
    said = "Trials stand in the events twice.", "loud at 5 s in lines 2 and 7"
    yield one("twice", again, 1, *said)
    long = lines(lambda rows: [row.replace("\t12\t", "\t50\t") for row in rows])
    yield one("too_long", long, 0, "1 of 2 trials of loud last beyond the onset of the next")
    capital = lines(lambda rows: [row.replace("loud", "Loud") for row in rows])
    spelled = "trials of Loud, which no other run of the task has, and none of loud"
    aside = "not in the contrast loud-quiet: no trials of loud (there: Loud, music, quiet)"
    yield one("capital", capital, 0, spelled, aside)
    none = lines(lambda rows: [row.replace("loud", "none") for row in rows])
    said = ("none counts as a condition", "(there: music, none, quiet)")
    yield one("called_none", none, 0, *said)

    def nowhere(study: Study) -> None:
        for person in PARTICIPANTS:
            for path in study.raw("events.tsv", person).parent.glob("*_events.tsv"):
                lines(lambda rows: [r for r in rows if "quiet" not in r])(path)

    yield _case("one_is_nowhere", LOUD, 2, "unknown condition", "quiet", spoil=nowhere)

    def lacking(study: Study) -> None:
        for path in study.raw("events.tsv", "02").parent.glob("*_events.tsv"):
            lines(lambda rows: [r for r in rows if "quiet" not in r])(path)

    def apart(study: Study) -> None:
        for task, gone in (("calm", "quiet"), ("lively", "loud")):
            path = study.raw("events.tsv", "02").with_name(f"sub-02_task-{task}_events.tsv")
            lines(lambda rows, gone=gone: [r for r in rows if gone not in r])(path)

    left_out = "sub-02 is left out: no run has all conditions of loud-quiet"
    yield _case("never_in_one_run", LOUD, 0, left_out, spoil=apart)
    yield _case("one_lacks_it", LOUD, 0, "sub-02 is left out: no trials of quiet", spoil=lacking)


def _times(row: str, factor: int) -> str:
    """A row of trials on another clock."""
    onset, duration, *rest = row.split("\t")
    if onset == "onset" or rest[0] == "music":
        return row
    return "\t".join([f"{float(onset) * factor:g}", f"{float(duration) * factor:g}", *rest])


def _label(name: str, content: Callable[[Path], object]) -> Spoil:
    """A file of a seed beside the other files of the study."""
    return lambda study: content(study.root / "extra" / name)


def _freesurfer(*vertices: int) -> Callable[[Path], object]:
    rows = "".join(f"{v} 0.0 0.0 0.0 0.0\n" for v in vertices)
    return lambda path: path.write_text(f"#!ascii label\n{len(vertices)}\n{rows}")


def _gifti(values: np.ndarray) -> Callable[[Path], object]:
    array = nib.gifti.GiftiDataArray(values.astype(np.float32))
    return lambda path: nib.save(nib.gifti.GiftiImage(darrays=[array]), path)


def _broken(kind: str) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        path.write_bytes(b"#!ascii label\n2\n5 0 0 0 0\n6 0 0 0 0\n")
        SPOILERS[kind](path)

    return spoil


def _regions() -> Iterator[Case]:
    for text, code, words in (
        ("nowhere", 2, "cannot be understood"), ("1,2", 2, "cannot be understood"),
        ("a,b,c", 2, "cannot be understood"), ("nan,0,0", 2, "cannot be understood"),
        ("1e3,0,0", 2, "cannot be understood"), ("0,0,0@-3", 2, "cannot be understood"),
        ("0,0,9999", 65, "far from the cortex"), ("label.gii", 2, "cannot be understood"),
        ("/nowhere/stg.label", 2, "hemisphere of a label is not in its name"),
        ("/nowhere/lh.stg.label", 66, "/nowhere/lh.stg.label"),
        ("/nowhere/hemi-R_stg.label.gii:STG", 66, "hemi-R_stg.label.gii"),
        ("/nowhere/mask.nii.gz", 66, "/nowhere/mask.nii.gz"),
    ):  # fmt: skip
        name = f"seed_{text}".replace("/", "_")
        yield _case(name, (*LOUD, f"--seed={text}"), code, words)
    yield _case("seed_twice_radius_0", (*SEED, "50,-20,5@0"), 0, "seed: 50,-20,5@0")
    yield _case("seed_alone", ("--seed", "50,-20,5"), 2, "--seed needs --contrast")
    yield _case("target_alone", (*LOUD, "--target", "50,-20,5"), 2, "--target needs --seed")

    def seed(name: str, file: str, content, code: int, *says: str, of: str = "") -> Case:
        options = (*SEED, "{extra}/" + file + of)
        return _case(f"seed_{name}", options, code, *says, spoil=_label(file, content))

    unread, label = "A seed region cannot be read", "lh.own.label"
    yield seed("label", label, _freesurfer(3, 4, 5), 0, "seed: ")
    yield seed("label_negative", label, _freesurfer(-3, 4), 65, "on another mesh")
    yield seed("label_other_mesh", label, _freesurfer(3, 40000), 65, "on another mesh", "40000")
    yield seed("label_of_nothing", label, _freesurfer(), 65, "is empty", label)
    for kind in SPOILERS:
        code = 65 if kind in ("truncated", "garbled", "zeros", "prose", "web_page") else 66
        yield seed(f"label_{kind}", label, _broken(kind), code, unread, label)
        file = "hemi-R_own.label.gii"
        yield seed(f"gifti_{kind}", file, _broken(kind), code, unread, file)
    ones = np.zeros(10242)
    ones[:9] = 1
    file = "hemi-R_own.shape.gii"
    yield seed("gifti", file, _gifti(ones), 0, "seed: ")
    yield seed("gifti_all_nan", file, _gifti(ones * np.nan), 65, "is empty", file)
    yield seed("gifti_zeros_only", file, _gifti(ones * 0), 65, "is empty", file)
    yield seed("gifti_other_mesh", file, _gifti(np.ones(2562)), 65, "on another mesh", "2562")
    yield seed("gifti_no_such_name", file, _gifti(ones), 65, "has no such label", of=":STG")
    for kind in ("garbled", "missing", "truncated", "empty", "link_loop", "prose", "pipe"):
        yield _volume_case(kind)


def _volume_case(kind: str) -> Case:
    def spoil(study: Study) -> None:
        for person in PARTICIPANTS:
            for run in RUNS:
                path = study.prep(
                    "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz", person, run.task
                )
                nib.save(nib.nifti1.Nifti1Image(np.ones((3, 3, 3, 4)), np.eye(4)), path)
        mask = study.root / "extra" / "mask.nii.gz"
        nib.save(nib.nifti1.Nifti1Image(np.ones((3, 3, 3)), np.eye(4)), mask)
        SPOILERS[kind](mask)

    code = 65 if kind in ("garbled", "truncated", "prose") else 66
    words = "A seed region cannot be read"
    options = (*SEED, "{extra}/mask.nii.gz")
    return _case(f"seed_volume_{kind}", options, code, words, "mask.nii.gz", spoil=spoil)


def _lags() -> Iterator[Case]:
    def slower(study: Study) -> None:
        prep = [study.prep(f"hemi-{hemi}_space-fsaverage5_bold.json") for hemi in "LR"]
        for path in (study.raw("bold.json"), *prep):
            put(path, json.dumps({**json.loads(path.read_text()), "RepetitionTime": 1.9}))

    both = (*LOUD, "--seed=50,-20,5", "--target=-50,-20,5")
    yield _case("lags", (*both, "--max-lag", "4"), 0, "target: -50,-20,5")
    for value in ("0", "-4", "nan", "inf", "1000"):
        yield _case(f"lag_{value}", (*both, f"--max-lag={value}"), 2, "argument --max-lag")
    yield _case("lag_text", (*both, "--max-lag", "long"), 2, "--max-lag", "'long'")
    for value in ("20", "0.5"):
        yield _case(f"lag_{value}", (*both, "--max-lag", value), 2, "lags do not fit", "2 to 6 s")
    yield _case(
        "lag_of_two_repetition_times",
        (*both, "--max-lag", "4"),
        1,
        "sub-01 is left out: lags need one repetition time, and its runs have 1.9 s, 2 s",
        spoil=slower,
    )
    yield _case(
        "lag_short_trials",
        (*both, "--max-lag", "4"),
        2,
        "trials of more than three volumes",
        spoil=lambda s: [
            column("duration", "2")(path)
            for person in PARTICIPANTS
            for path in s.raw("events.tsv", person).parent.glob("*_events.tsv")
        ],
    )


def _rating_options() -> Iterator[Case]:
    table = ("--ratings", "{rating_table}")

    def given(name: str, options: tuple[str, ...], code: int, *says: str) -> Case:
        return Case(f"rating_option-{name}", lambda s: None, code, says, options=options)

    yield given("as_it_should_be", table, 0, "Enjoyment: 2 of 2 participants")
    yield given("no_file", ("--ratings", "/nowhere.tsv"), 66, "/nowhere.tsv")
    yield given("folder", ("--ratings", "{bids}"), 66, "not a file")
    yield given("unknown_scale", (*table, "--scales", "Joy"), 16, "Joy", "Enjoyment")
    yield given(
        "half_known_scales", (*table, "--scales", "Enjoyment", "Joy"), 16, "nobody rated", "Joy"
    )
    yield given("scale_of_files", ("--scales", "Joy"), 16, "nobody rated", "Joy")
    yield given("scale_is_time", (*table, "--scales", "time"), 16, "Enjoyment")
    yield given("off", (*table, "--scales", "Joy", "--emotion", "off"), 0, "switched off")
    for option, value, words in (
        ("--rating-hrf", "gamma", "invalid choice"), ("--emotion", "on", "invalid choice"),
        ("--rating-delays", "5:-5", "comes after"), ("--rating-delays", "x", "FIRST:LAST"),
        ("--rating-delays", "nan:5", "FIRST:LAST"), ("--rating-delays", "1:inf", "FIRST:LAST"),
        ("--rating-delays", "1:2:3", "FIRST:LAST"), ("--rating-rate", "0", "above 0"),
        ("--rating-rate", "-2", "at least 0"), ("--rating-rate", "fast", "at least 0"),
        ("--rating-rate", "inf", "at least 0"), ("--rating-rate", "nan", "at least 0"),
        ("--difference-test", "t", "invalid choice"),
    ):  # fmt: skip
        yield given(f"{option}={value}", (f"{option}={value}",), 2, words)

    def broken(name: str, spoil: Callable[[Path], object], code: int, *says: str) -> Case:
        return Case(
            f"rating_option-{name}", lambda s: spoil(s.rating_table), code, says, options=table
        )

    yield broken("no_scale", renamed_column("Enjoyment", "duration"), 16, "has no scale")
    yield broken("text", cell(3, "Enjoyment", "very"), 16, "no number", "'very'")
    yield broken("other_people", _others, 0, "0 of 2 participants")
    yield broken("nothing_rated", column("Enjoyment", "n/a"), 65, "no numbers in Enjoyment")
    yield broken("bomb", _wide, 0, "2 of 2 participants")


def _others(path: Path) -> None:
    put(path, path.read_text().replace("sub-0", "sub-9"))


def _wide(path: Path) -> None:
    """A thousand scales."""
    names = "\t".join(f"s{k}" for k in range(1000))
    lines(lambda rows: [f"{rows[0]}\t{names}", *(row + "\t1" * 1000 for row in rows[1:])])(path)
