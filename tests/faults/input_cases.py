"""Inputs as spreadsheets, R, file managers, converters and downloads leave them."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from fault_cases import Case, accepted, file_case
from fault_study import PARTICIPANTS, Study, put
from spoilers import cell, content, copied_to, lines, replace

WANTED = "_space-fsaverage5_bold.func.gii"
REST = ("--rest-task", "rest")


def input_cases() -> Iterator[Case]:
    """All of them."""
    yield from _names_of_bold()
    yield from _names_of_tables()
    yield from _labels()
    yield from _rest()
    yield from _tables()
    yield from _uris()
    yield from _containers()
    yield from _descriptions()
    yield from _booleans()
    yield from _people()
    yield from _versions()
    yield from _values()


def renamed(old: str, new: str) -> Callable[[Path], object]:
    return lambda path: path.rename(path.with_name(path.name.replace(old, new)))


def gzipped(path: Path) -> None:
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def _hemi(template: str) -> Callable[[Path], object]:
    """Another spelling of the hemisphere."""
    return lambda path: renamed(
        "hemi-L" if "hemi-L" in path.name else "hemi-R",
        template.format("l" if "hemi-L" in path.name else "r"),
    )(path)


def _cifti(path: Path) -> None:
    if "hemi-L" in path.name:
        renamed("hemi-L" + WANTED, "space-fsLR_bold.dtseries.nii.gz")(path)
    else:
        path.unlink()


def _names_of_bold() -> Iterator[Case]:
    """The run is named with what is there and what is wanted."""
    for name, change, there in (
        ("gzipped", gzipped, "bold.func.gii.gz"),
        ("backup", renamed(".gii", ".gii.bak"), "bold.func.gii.bak"),
        ("editor", renamed(".gii", ".gii~"), "bold.func.gii~"),
        ("half_downloaded", renamed(".gii", ".gii.part"), "bold.func.gii.part"),
        ("downloaded_again", renamed("_bold.func", "_bold.func (1)"), "bold.func (1).gii"),
        ("copied", renamed("_bold", "_bold - Copy"), "_bold - Copy.func.gii"),
        ("no_func", renamed(".func.gii", ".gii"), "_bold.gii"),
        ("time", renamed(".func.gii", ".time.gii"), "_bold.time.gii"),
        ("capitals", renamed("_bold.func.gii", "_BOLD.FUNC.GII"), "_BOLD.FUNC.GII"),
        ("FreeSurfer", renamed(".func.gii", ".mgh"), "_bold.mgh"),
        ("lh", _hemi("hemi-{}h"), "hemi-lh_"),
        ("small", _hemi("hemi-{}"), "hemi-l_"),
        ("CIFTI", _cifti, "dtseries.nii.gz"),
        ("native", renamed("fsaverage5", "fsnative"), "fsnative"),
        ("finer", renamed("space-fsaverage5", "space-fsLR_den-170k"), "fsLR"),
    ):

        def spoil(study: Study, change=change) -> None:
            for path in (study.gifti, study.right):
                change(path)

        yield Case(f"bold_called-{name}", spoil, 1, (there, "hemi-L" + WANTED))
    for name, change in (("alone", Path.unlink), ("gzipped", gzipped)):
        yield file_case(f"left_{name}", "right", change, 1, "hemi-R" + WANTED, named=False)

    def nobodys(path: Path) -> None:
        renamed("sub-01_", "")(path)

    yield file_case("of_nobody", "gifti", nobodys, 1, "task-calm in sub-01/func", named=False)
    yield Case("bold_called-time_by_all", _all_called_time, 66, ("4 files *_bold.time.gii",))


def _all_called_time(study: Study) -> None:
    for path in list(study.fmriprep.rglob("*.func.gii")):
        if "hemi-L" in path.name:
            renamed(".func.gii", ".time.gii")(path)
        else:
            path.unlink()


def _names_of_tables() -> Iterator[Case]:
    for name in ("timeseries.tsv.gz", "timeseries.csv", "timeseries (1).tsv"):
        change = renamed("timeseries.tsv", name)
        yield file_case(
            f"called_{name}", "confounds", change, 1, f"desc-confounds_{name}", named=False
        )
    for end in (
        *("_events.csv", "_events.xlsx", "_events.tsv.gz", "_Events.tsv", "_event.tsv"),
        *("_events (1).tsv", "_events.tsv.txt"),
    ):
        change = renamed("_events.tsv", end)
        told = (f"sub-01_task-calm{end}", "wanted: sub-01_task-calm_events.tsv")
        yield file_case(f"called{end}", "events", change, 1, *told, named=False)

    def all_csv(study: Study) -> None:
        for path in list(study.bids.glob("sub-*/func/*_events.tsv")):
            renamed("_events.tsv", "_events.csv")(path)

    yield Case("events-called_csv_by_all", all_csv, 66, ("_events.csv", "and 3 more runs"))
    for end in (
        "stim.csv",
        "stim.xlsx",
        "Stim.tsv.gz",
        "beh.csv",
        "ratings.tsv",
        "stim - Copy.tsv",
    ):
        change = copied_to(f"sub-01_task-calm_{end}")
        told = (f"not read as ratings: sub-01_task-calm_{end}", "*_stim.tsv.gz or *_beh.tsv")
        yield file_case(f"beside_{end}", "rating", change, 0, *told, named=False)

    def outside(path: Path) -> None:
        path.rename(path.parents[1] / path.name)

    told = ("problem: sub-01: ratings left out", "empty file", "Enjoyment: 1 of 2 participants")
    yield file_case("empty_beside_others", "rating", lambda p: put(p, b""), 1, *told)
    told = "not read as ratings: sub-01_task-calm_stim.tsv.gz"
    yield file_case("in_no_folder", "rating", outside, 0, told, named=False)


def _copied(study: Study, old: str, new: str) -> None:
    """Everything of a label once more, under another."""
    for root in (study.bids, study.fmriprep):
        if old.startswith("sub-"):
            shutil.copytree(root / old, root / new)
        for path in list((root / new if old.startswith("sub-") else root).rglob(f"*{old}_*")):
            if path.parent.name == "beh" and not old.startswith("sub-"):
                continue
            changed = path.with_name(path.name.replace(old, new))
            path.rename(changed) if old.startswith("sub-") else shutil.copy(path, changed)


def _labels() -> Iterator[Case]:
    for old, first, second in (
        ("sub-01", "sub-A", "sub-a"),
        ("task-calm", "task-Calm", "task-calm"),
        ("task-calm", "task-calm", "task-CALM"),
    ):

        def spoil(study: Study, old=old, labels=(first, second)) -> None:
            for new in set(labels) - {old}:
                _copied(study, old, new)

        said = " and ".join(sorted([first, second])) + " differ in capital letters alone"
        yield Case(f"labels-{first}_{second}", spoil, 0, (said,))

    def of_the_raw_alone(study: Study) -> None:
        renamed("01", "A1")(study.bids / "sub-01")
        (study.fmriprep / "sub-01").rename(study.fmriprep / "sub-a1")
        for root, new in ((study.bids, "sub-A1"), (study.fmriprep, "sub-a1")):
            for path in list((root / new).rglob("sub-01_*")):
                renamed("sub-01", new)(path)

    yield Case("labels-of_the_raw_dataset", of_the_raw_alone, 1, ("sub-a1", "sub-A1"))


def _rest() -> Iterator[Case]:
    """A resting run that cannot be used is no matter of the music."""

    def resting(name: str, change: Callable[[Path], object], code: int, *said: str) -> Case:
        def spoil(study: Study) -> None:
            for who in PARTICIPANTS:
                for path in list((study.fmriprep / f"sub-{who}").rglob("*_task-calm_*")):
                    shutil.copy(path, path.with_name(path.name.replace("calm", "rest")))
            change(study.prep("hemi-L_space-fsaverage5_bold.func.gii", task="rest"))

        told = ("2 participants, 4 runs", *said)
        return Case(f"rest-{name}", spoil, code, told, options=REST)

    def others(path: Path) -> None:
        for other in path.parent.glob("*task-rest*"):
            other.unlink()

    label = "sub-01_task-rest"
    yield resting("gone", others, 0, "sub-01: no resting run")
    yield resting("half_gone", Path.unlink, 1, label, "hemi-L is missing")
    yield resting("gzipped", gzipped, 1, label, "bold.func.gii.gz")
    yield resting("empty", content(b""), 1, label, "empty file")
    yield resting("prose", content(b"prose"), 1, label, "not a GIFTI file")


def _tables() -> Iterator[Case]:
    for text in ("NA", "<NA>", "null", "NaN", "None"):
        told = f"nothing_{text.replace('<', 'lt')}"
        yield accepted(told, "events", lines(lambda r, t=text: [*r, f"1\t{t}\t{t}\t{t}"]))
    for value in ("NA", "<NA>", "null", "#N/A"):
        name = "onset_of_nothing_" + value.replace("<", "lt").replace("/", "")
        yield file_case(name, "events", cell(1, "onset", value), 1, "onset", "line 2")
    number = "time of a stimulus is not a number"
    for value in (
        *("1_0", "4_0.5", "4,000.5", "#DIV/0!", "#REF!", "TRUE", "0:06", "6.", "\uff16"),
        *("6.0 ms", "06.01.2024", "6e", "six", "=A1"),
    ):
        ok = value in ("6.", "\uff16")
        name = f"onset_as_{value.replace('/', '')}"
        said = () if ok else (number, "line 2")
        yield file_case(name, "events", cell(1, "onset", value), 0 if ok else 1, *said)
    for first in ("# by hand", "sep=\t", "Table 1"):
        yield file_case(
            f"line_before_{first[:3].strip('# ')}",
            "events",
            lines(lambda r, f=first: [f, *r]),
            1,
            first.strip(),
        )
    yield file_case("spreadsheet", "events", content(b"PK\3\4" + bytes(range(256))), 1, "not UTF-8")
    trailing = lines(lambda r: [f"{row}\t\t" for row in r] + ["\t" * 5])
    yield accepted("trailing_tabs", "events", trailing)


def _uris() -> Iterator[Case]:
    for uri, code, said in (
        ("bids::stimuli/calm.wav", 0, "2 participants"),
        ("bids:raw:stimuli/calm.wav", 0, "2 participants"),
        ("bids::stimuli/c%61lm.wav", 0, "2 participants"),
        ("bids:other:calm.wav", 1, "cannot be followed"),
        ("bids:calm.wav", 1, "cannot be followed"),
        ("bids::../calm.wav", 1, "outside the dataset"),
        ("bids::%2e%2e/calm.wav", 1, "outside the dataset"),
        ("bids::/etc/passwd", 1, "outside the dataset"),
        ("bids::stimuli/none.wav", 1, "none.wav"),
        ("file:///etc/passwd", 1, "passwd"),
        ("https://example.org/calm.wav", 1, "calm.wav"),
        ("BIDS::stimuli/calm.wav", 1, "calm.wav"),
    ):
        name = "uri_" + uri.replace("/", "_")
        yield file_case(name, "events", cell(1, "stim_file", uri), code, said, named=False)


def _containers() -> Iterator[Case]:
    """Sounds that break off, of every container whose length is compared."""

    def cut_off(kind: str, share: float) -> Callable[[Study], None]:
        def spoil(study: Study) -> None:
            noise = np.random.default_rng(0).uniform(-0.2, 0.2, 60 * 8000)
            path = study.audio.with_name(f"calm.{kind}")
            study.audio.unlink()
            soundfile.write(path, noise, 8000, format={"svx": "SVX"}.get(kind, kind.upper()))
            whole = path.read_bytes()
            put(path, whole[: int(len(whole) * share)])
            for who in PARTICIPANTS:
                replace("calm.wav", path.name)(study.raw("events.tsv", sub=who))

        return spoil

    for kind in ("wav", "flac", "ogg", "aiff", "au", "w64", "rf64", "caf", "nist", "voc", "svx"):
        yield Case(f"{kind}-whole", cut_off(kind, 1.0), 0, ("2 participants, 4 runs",))
        for share in (0.3, 0.9):
            spoil = cut_off(kind, share)
            yield Case(f"{kind}-cut_at_{share}", spoil, 65, (f"calm.{kind}", "breaks off"))


def _described(**fields) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        put(path, json.dumps({**json.loads(path.read_text()), **fields}))

    return spoil


def _descriptions() -> Iterator[Case]:
    prep, other = {"Name": "fMRIPrep"}, "in another form than BIDS"
    for name, told, code in (
        ("object", prep, 16),
        ("null", None, 16),
        ("number", 3, 16),
        ("nulls", [None], 16),
        ("lists", [["fMRIPrep"]], 16),
        ("text", "fMRIPrep", 0),
        ("texts", ["fMRIPrep 23.1.0"], 0),
        ("empty", [], 0),
        ("nameless", [{"Version": "23.1.0"}], 0),
        ("no_text", [{"Name": ["fMRIPrep"]}], 0),
    ):
        change = _described(GeneratedBy=told)
        said = (other, "GeneratedBy", "a list of objects") if code else ()
        yield file_case(f"by_{name}", "prep_description", change, code, *said)
        own = json.loads(json.dumps(told).replace("fMRIPrep", "dcm2niix"))
        yield file_case(f"by_{name}", "description", _described(GeneratedBy=own), 0)
    for name, told in (("text", "fMRIPrep"), ("list", [prep]), ("null", None)):
        change = _described(PipelineDescription=told)
        yield file_case(f"pipeline_{name}", "prep_description", change, 16, other)
    yield Case(
        "derivatives-the_raw_dataset",
        lambda study: None,
        66,
        ("is a raw dataset", "derivatives/fmriprep"),
        options=("--derivatives", "{bids}"),
    )


def _people() -> Iterator[Case]:
    for name in ("Sub-01", "sub01", "sub_01"):

        def prep(study: Study, name=name) -> None:
            (study.fmriprep / "sub-01").rename(study.fmriprep / name)

        def raw(study: Study, name=name) -> None:
            (study.bids / "sub-01").rename(study.bids / name)

        yield Case(f"folder-{name}_of_fmriprep", prep, 0, (f"sub-01_task-calm in {name}/func",))
        said = ("no folder sub-01 in the raw dataset", name)
        yield Case(f"folder-{name}_of_the_raw", raw, 1, said)
    change = lines(lambda r: [*r, r[-1].replace("sub-02", "sub-17")])
    yield file_case("lists_more", "people", change, 0, "sub-17, of whom there is no folder")


def _versions() -> Iterator[Case]:
    def version(entity: str) -> Callable[[Study], None]:
        def spoil(study: Study) -> None:
            for path in (study.gifti, study.right):
                renamed("_hemi", f"_{entity}_hemi")(path)

        return spoil

    for entity in ("desc-smoothed", "desc-mine", "echo-2"):
        yield Case(f"version-{entity}", version(entity), 0, (f"the series is {entity}",))
    yield Case("version-phase", version("part-phase"), 1, ("no surface BOLD in fsaverage5",))

    def copied(study: Study) -> None:
        put(study.prep("desc-confounds_timeseries.tsv", sub="02"), study.confounds.read_bytes())

    said = "sub-01_task-calm and sub-02_task-calm have the same confounds"
    yield Case("confounds-of_another", copied, 0, (said,))
    with_null = content('{"bold": {"acquisition": ["mb", null]}}')

    def acquired(study: Study) -> None:
        with_null(study.filters)
        for path in list(study.bids.rglob("sub-01_task-calm_*")):
            renamed("task-calm", "task-calm_acq-mb")(path)

    options = ("--bids-filter-file", "{filters}")
    yield Case("filters-list_with_null", acquired, 0, ("2 participants, 4 runs",), options=options)


def _values() -> Iterator[Case]:
    for code in ("-999", "9999", "-1e6"):
        yield file_case(
            f"code_{code}",
            "rating_table",
            lambda path, c=code: [cell(k, "Enjoyment", c)(path) for k in (5, 20)],
            0,
            f"{float(code):g} (2 of 50 samples) lies far from all others",
            named=False,
            route="rating_table",
        )
    twice = content('{"RepetitionTime": 2, "RepetitionTime": 3}')
    for attribute in ("bold_json", "raw_json"):
        yield file_case(
            "key_twice_differs", attribute, twice, 1, "RepetitionTime stands in it twice"
        )
    discarded = _described(NumberOfVolumesDiscardedByUser=4)
    yield file_case("discarded", "raw_json", discarded, 0, "DiscardedByUser is 4", named=False)


def _booleans() -> Iterator[Case]:
    for value in ("true", "False", "yes", 1, 0, [True], {}):
        told = f"SliceTimingCorrected of the surface sidecar is {value!r}, neither true nor false"

        def spoil(study: Study, value=value) -> None:
            for hemi in "LR":
                path = study.prep(f"hemi-{hemi}_space-fsaverage5_bold.json")
                _described(SliceTimingCorrected=value)(path)

        yield Case(f"corrected-{value!r}", spoil, 0, (told,))
    yield accepted("corrected_null", "raw_json", _described(SliceTimingCorrected=None))
