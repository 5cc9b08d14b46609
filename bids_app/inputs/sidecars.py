"""JSON sidecars with inheritance, repetition time and sampling time of the volumes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bids_app.inputs.files import content_problem, is_number, read_object
from bids_app.inputs.names import NamedFile, entities_agree, parse_name, run_entities, same_label
from bids_app.inputs.records import run_label
from bids_app.plain import some_of

_LONGEST_TR = 60.0
# Steps of VolumeTiming are rounded; more than this share of a step is another step.
_JITTER = 0.02
_NOUNS = {
    "ses": "session", "run": "run", "acq": "acquisition (acq)", "ce": "contrast agent (ce)",
    "rec": "reconstruction (rec)", "dir": "direction (dir)", "task": "task",
}  # fmt: skip
_JSON = (".json", ".func.json", ".dtseries.json")


class Inheritance:
    """Files of one dataset that apply to a data file by the BIDS inheritance principle.

    A file applies where it lies in the same folder or above, has the suffix asked for, and all its
    entities are entities of the data file with the same label.

    Parameters
    ----------
    root : Path
        Root of the dataset.
    raw : bool
        Of a raw dataset: echo and part of the files that apply do not count.
    """

    def __init__(self, root: Path, *, raw: bool = False) -> None:
        self.root = root
        self._ignored = {"echo", "part"} if raw else set()
        self._folders: dict[Path, list[NamedFile]] = {}
        self._json: dict[Path, dict[str, Any]] = {}

    def _listing(self, folder: Path) -> list[NamedFile]:
        if folder not in self._folders:
            files = []
            if folder.is_dir():
                files = [parse_name(path) for path in sorted(folder.iterdir())]
            # Data files are many and never inherited.
            self._folders[folder] = [
                file
                for file in files
                if file.extension.endswith((".json", ".tsv")) and not file.words
            ]
        return self._folders[folder]

    def _folders_above(self, folder: Path) -> Iterator[Path]:
        yield folder
        while folder != self.root and self.root in folder.parents:
            folder = folder.parent
            yield folder

    def applying(
        self,
        folder: Path,
        entities: Mapping[str, str],
        suffix: str,
        extensions: tuple[str, ...],
    ) -> list[Path]:
        """Paths of the files that apply, nearest first.

        Parameters
        ----------
        folder : Path
            Folder of the data file (it need not exist).
        entities : mapping
            Entities of the data file.
        suffix, extensions
            Of the files looked for.
        """
        found = []
        for place in self._folders_above(folder):
            here = []
            for file in self._listing(place):
                if file.suffix != suffix or file.extension not in extensions:
                    continue
                own = {k: v for k, v in file.entities.items() if k not in self._ignored}
                if entities_agree(own, entities):
                    here.append((-len(own), file.path))
            found += [path for _, path in sorted(here)]
        return found

    def metadata(
        self,
        folder: Path,
        entities: Mapping[str, str],
        suffix: str = "bold",
    ) -> dict[str, Any]:
        """Merged content of the JSON files that apply; the nearest wins."""
        merged: dict[str, Any] = {}
        for path in reversed(self.applying(folder, entities, suffix, _JSON)):
            merged.update(self.read(path))
        return merged

    def sidecars(self, folder: Path, entities: Mapping[str, str]) -> list[Path]:
        """JSON files that apply to BOLD, nearest first."""
        return self.applying(folder, entities, "bold", _JSON)

    def absent(self, folder: Path, entities: Mapping[str, str]) -> list[str]:
        """Why JSON files that apply to BOLD say nothing: not fetched, empty, not readable."""
        paths = self.sidecars(folder, entities)
        return [problem for path in paths if (problem := content_problem(path))]

    def volume_metadata(self, folder: Path, entities: Mapping[str, str]) -> dict[str, Any]:
        """Content of the sidecar of a preprocessed volume of the same run, in whichever space."""
        wanted = run_entities(entities)
        found = [
            (file.entities.get("desc") != "preproc", len(file.entities), file.path)
            for file in self._listing(folder)
            if file.suffix == "bold"
            and file.extension == ".json"
            and not {"hemi", "den", "echo"} & set(file.entities)
            and run_entities(file.entities) == wanted
        ]
        return next((content for *_, path in sorted(found) if (content := self.read(path))), {})

    def dense_metadata(self, folder: Path, entities: Mapping[str, str]) -> dict[str, Any]:
        """Content of the sidecar of the denoised series that a parcellated one was made of."""
        wanted = run_entities(entities)
        found = [
            (file.entities.get("desc") != "denoised", len(file.entities), file.path)
            for file in self._listing(folder)
            if file.suffix == "bold"
            and file.extension == ".json"
            and file.entities.get("desc", "").startswith("denoised")
            and run_entities(file.entities) == wanted
        ]
        return next((content for *_, path in sorted(found) if (content := self.read(path))), {})

    def func_folder(self, entities: Mapping[str, str]) -> Path:
        """Folder of the functional files of a run; it need not exist."""
        keys = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
        return self.root.joinpath(*keys, "func")

    def events(self, entities: Mapping[str, str]) -> Path | None:
        """The nearest events.tsv that applies to a run; None without any."""
        found = self.applying(self.func_folder(entities), entities, "events", (".tsv",))
        return found[0] if found else None

    def read(self, path: Path) -> dict[str, Any]:
        """Content of a JSON file; what is not there (git-annex) counts as empty."""
        if path not in self._json:
            self._json[path] = {} if content_problem(path) else read_object(path)
        return self._json[path]


def events_under_other_labels(raw: Inheritance, entities: Mapping[str, str]) -> str:
    """Say that a run has events in the raw dataset, but under labels that are spelled otherwise.

    Sessions may differ, or a label be in one dataset alone; participants, tasks and runs in
    capitals, or in zeros before a number.
    Empty where the run has events of its own, or none under any label.
    """
    if raw.events(entities) is not None:
        return ""
    wanted = run_entities(entities)
    for folder in sorted(raw.root.glob("sub-*")):
        if not alike(folder.name.removeprefix("sub-"), wanted["sub"]):
            continue
        for path in sorted(
            (*folder.glob("func/*_events.tsv"), *folder.glob("ses-*/func/*_events.tsv"))
        ):
            own = run_entities(parse_name(path).entities)
            shared = [k for k in own if k in wanted and k != "ses"]
            if not all(alike(own[k], wanted[k]) for k in shared):
                continue
            keys = [
                k for k in (*own, "ses") if not same_label(k, own.get(k, ""), wanted.get(k, ""))
            ]
            if keys := list(dict.fromkeys(keys)):
                here, there = (
                    ", ".join(f"{k}-{given[k]}" if k in given else f"no {_NOUNS[k]}" for k in keys)
                    for given in (wanted, own)
                )
                return (
                    f"the fMRIPrep outputs have {here}, the raw dataset {there} for "
                    f"{path.name}: no events belong to the run"
                )
    return ""


def almost_events(raw: Inheritance, entities: Mapping[str, str], beside: Path | None = None) -> str:
    """Say that files of a run nearly are called as its events; empty where it has events.

    Files in its folder whose labels are the run's, packed, of a spreadsheet, copies, ...; else
    events in other folders of the participant, in the folder `beside` its BOLD, and of a task that
    differs in capitals.
    """
    if raw.events(entities) is not None:
        return ""
    wanted = run_entities(entities)
    folder = raw.func_folder(entities)
    own = raw.root / f"sub-{entities['sub']}"
    if not own.is_dir():
        near = [path.name for path in sorted(raw.root.iterdir()) if _only_letters_alike(path, own)]
        if near:
            return f"no folder {own.name} in the raw dataset; not read: {some_of(near, 3)}"
    near = [
        file.told
        for file in map(parse_name, sorted(folder.iterdir()) if folder.is_dir() else [])
        if re.search(r"_event", file.path.name, re.IGNORECASE)
        and file.path.suffix != ".json"
        and run_entities(file.entities) == wanted
    ]
    near = near or _events_elsewhere(raw, wanted, beside)
    name = f"{run_label(wanted)}_events.tsv"
    return f"no events.tsv; not read: {some_of(near, 3)}; wanted: {name}" if near else ""


def _events_elsewhere(
    raw: Inheritance, wanted: Mapping[str, str], beside: Path | None
) -> list[str]:
    """Events whose labels are the run's, as far as they have them, and that no run inherits."""
    own = raw.root / f"sub-{wanted['sub']}"
    places = [*own.rglob("*_events.tsv"), *raw.root.glob("*_events.tsv")]
    places += [] if beside is None else beside.glob("*_events.tsv")
    found = []
    for path in sorted(places):
        entities = run_entities(parse_name(path).entities)
        if set(entities) <= set(wanted) and all(alike(v, wanted[k]) for k, v in entities.items()):
            in_raw = path.is_relative_to(raw.root) and path.parent != beside
            found.append(str(path.relative_to(raw.root)) if in_raw else str(path))
    return found


def _only_letters_alike(first: Path, second: Path) -> bool:
    letters, others = (re.sub(r"[\W_]", "", path.name.casefold()) for path in (first, second))
    return first.is_dir() and letters == others


def alike(first: str, second: str) -> bool:
    """Whether labels differ in capitals or zeros before a number alone."""
    return first.casefold().lstrip("0") == second.casefold().lstrip("0")


@dataclass(frozen=True)
class Timing:
    """Repetition time and sampling time of one run, with where they come from.

    Attributes
    ----------
    tr : float or None
        Seconds.
    tr_source : str
    start_time : float
        Volume k was sampled at ``start_time + k * tr``.
    start_time_source : str
    warnings : tuple of str
    problems : tuple of str
        Why these times cannot be.
    """

    tr: float | None
    tr_source: str
    start_time: float
    start_time_source: str
    warnings: tuple[str, ...]
    problems: tuple[str, ...] = ()


def _positive(value: object) -> float | None:
    return float(value) if is_number(value) and value > 0 else None


def resolve_timing(
    sidecars: Iterable[tuple[str, Mapping[str, Any]]],
    raw: Mapping[str, Any],
    *,
    repetition_time: float | None = None,
    slice_time_ref: float | None = None,
    header_time_steps: Mapping[str, float | None] = MappingProxyType({}),
    n_volumes: int | None = None,
) -> Timing:
    """Repetition time and the time at which volumes were sampled.

    Volume k is sampled at ``start_time + k * tr`` seconds after the start of the run. In this
    order: `slice_time_ref` where given; ``StartTime`` of fMRIPrep's sidecars; the middle of the
    slice times, to which older fMRIPrep versions corrected (``SliceTimingCorrected``) and which is
    the best single time for volumes that were not corrected. Slice times come from the raw
    ``SliceTiming``, else they run from 0 to ``AcquisitionDuration`` or ``RepetitionTime -
    DelayTime``, which is what fMRIPrep's ``DelayTime`` encodes.

    ``VolumeTiming`` counts before any repetition time. Where its steps differ, where it and
    ``RepetitionTime`` disagree, and where times of slices or ``StartTime`` do not lie within a
    volume, the timing has a problem: nothing is guessed.

    Parameters
    ----------
    sidecars : iterable of (str, mapping)
        Where from, and content: surface sidecar, then volume sidecar.
    raw : mapping
        Merged raw sidecars.
    repetition_time : float or None
        In seconds, used where no sidecar has one.
    slice_time_ref : float or None
        Reference within the acquisition of a volume, 0 (first slice) to 1 (last slice).
    header_time_steps : mapping from image to float or None
        What the headers say, in seconds, milliseconds or microseconds; only compared.
    n_volumes : int or None
        Of the BOLD file, compared with the length of ``VolumeTiming``.

    Returns
    -------
    Timing
    """
    ordered = [*sidecars, ("raw sidecar", raw)]
    warnings: list[str] = []
    stated = [
        (source, tr)
        for source, content in ordered
        if (tr := _positive(content.get("RepetitionTime"))) is not None
    ]
    tr, tr_source, problems = _volume_timing(ordered, n_volumes, warnings)
    by_volumes = tr is not None
    if tr is None and stated:
        tr_source, tr = stated[0]
    elif tr is None and repetition_time is not None:
        tr, tr_source = float(repetition_time), "--repetition-time"
    if tr is not None and repetition_time is not None and abs(tr - repetition_time) > 1e-3:
        warnings.append(
            f"--repetition-time {repetition_time:g} s is not used: the {tr_source} says {tr:g} s"
        )
    more_problems, disagreeing = _other_repetition_times(ordered, tr, tr_source, by_volumes)
    problems += more_problems
    warnings += disagreeing
    warnings += [
        f"the {image} header's time step is {step:g}, "
        f"but the {tr_source} says {tr:g} s, which is used"
        for image, step in header_time_steps.items()
        if tr is not None
        and step is not None
        and step > 0
        and min(abs(step * unit - tr) for unit in (1, 1e-3, 1e-6)) > 0.01 * tr
    ]
    start_time, start_source, more = _start_time(ordered, tr or 0.0, slice_time_ref)
    more += [
        f"SliceTimingCorrected of the {source} is {repr(told)[:60]}, neither true nor false: it "
        f"says nothing; sampled at +{start_time:g} s ({start_source})"
        for source, content in ordered
        if not isinstance(told := content.get("SliceTimingCorrected"), bool | None)
    ]
    slices = next((c["SliceTiming"] for _, c in ordered if c.get("SliceTiming") is not None), None)
    if isinstance(slices, list) and len(slices) > 1 and len(set(map(str, slices))) == 1:
        more.append(
            f"SliceTiming has the same time for all {len(slices)} slices, which says nothing: "
            f"sampled at +{start_time:g} s ({start_source}); --slice-time-ref says otherwise"
        )
    more += _tiny_slices(ordered, tr)
    discarded = raw.get("NumberOfVolumesDiscardedByUser")
    if discarded:
        more.append(
            f"NumberOfVolumesDiscardedByUser is {repr(discarded)[:20]}: onsets must count from the "
            "first volume that is in the file"
        )
    if tr is not None and tr < _LONGEST_TR:
        problems += _misplaced(ordered, tr)
    return Timing(tr, tr_source, start_time, start_source, (*warnings, *more), tuple(problems))


def _other_repetition_times(
    ordered: Sequence[tuple[str, Mapping[str, Any]]],
    tr: float | None,
    tr_source: str,
    by_volumes: bool,
) -> tuple[list[str], list[str]]:
    """Problems and warnings of the sidecars whose ``RepetitionTime`` is not the one used."""
    problems: list[str] = []
    warnings: list[str] = []
    for source, content in ordered:
        value = content.get("RepetitionTime")
        if value is None or _positive(value) is not None:
            continue
        told = f"RepetitionTime of the {source} is {repr(value)[:60]}: no number of seconds"
        if tr is None:
            problems.append(f"{told}; correct it, or give --repetition-time SECONDS without it")
        else:
            warnings.append(f"{told}; {tr:g} s ({tr_source}) is used")
    for source, content in ordered:
        other = _positive(content.get("RepetitionTime"))
        if tr is None or other is None or abs(other - tr) <= 1e-3:
            continue
        if by_volumes:
            problems.append(
                f"the {source} has RepetitionTime {other:g} s, the {tr_source} steps of {tr:g} s: "
                "take the one that is wrong out of the JSON files"
            )
        else:
            warnings.append(
                f"the {source} says {other:g} s between volumes, the {tr_source} {tr:g} s, which "
                "is used"
            )
    return problems, warnings


def _volume_timing(
    ordered: list[tuple[str, Mapping[str, Any]]], n_volumes: int | None, warnings: list[str]
) -> tuple[float | None, str, list[str]]:
    """Step of ``VolumeTiming``, where it is stated, and what is wrong with it."""
    source, times = next(
        ((s, c["VolumeTiming"]) for s, c in ordered if c.get("VolumeTiming") is not None),
        ("nowhere", None),
    )
    if times is None:
        return None, "nowhere", []
    name = f"VolumeTiming of the {source}"
    if not isinstance(times, list) or len(times) < 2 or not all(map(is_number, times)):
        return None, name, [f"the {name} is no list of times in seconds: correct the JSON file"]
    steps = [float(b) - float(a) for a, b in itertools.pairwise(times)]
    tr = (float(times[-1]) - float(times[0])) / len(steps)
    median = sorted(steps)[len(steps) // 2]
    if median <= 0 or max(abs(step - median) for step in steps) > _JITTER * median:
        odd = max(range(len(steps)), key=lambda k: abs(steps[k] - median))
        return (
            None,
            name,
            [
                f"the {name} is not regular: {median:g} s between most volumes, {steps[odd]:g} s "
                f"between volumes {odd + 1} and {odd + 2}; runs with pauses or other steps are not "
                "analyzed (--repetition-time would place the volumes wrongly): leave the run out "
                "with --exclude-run"
            ],
        )
    problems = []
    if n_volumes and len(times) != n_volumes:
        problems.append(f"the {name} has {len(times)} times, the BOLD file {n_volumes} volumes")
    if abs(float(times[0])) > 1e-3:
        warnings.append(
            f"the {name} begins at {float(times[0]):g} s; onsets are counted from the first volume"
        )
    return tr, name, problems


def _in_milliseconds(value: float, tr: float) -> str:
    return "; is it in milliseconds?" if abs(value) / 1000 <= tr < abs(value) / 20 else ""


def _tiny_slices(ordered: list[tuple[str, Mapping[str, Any]]], tr: float | None) -> list[str]:
    """Say that slice times would all lie within a twentieth of a volume."""
    source, times = next(
        ((s, c["SliceTiming"]) for s, c in ordered if c.get("SliceTiming") is not None), ("", None)
    )
    if tr is None or not isinstance(times, list) or not times or not all(map(is_number, times)):
        return []
    last = max(map(float, times))
    if not 0 < last < 0.05 * tr:
        return []
    return [
        f"SliceTiming of the {source} ends at {last:g} s of {tr:g} s: are these times in seconds?"
    ]


def _misplaced(ordered: list[tuple[str, Mapping[str, Any]]], tr: float) -> list[str]:
    """Times within a volume that lie outside of it."""
    problems = []
    for source, content in ordered:
        times = content.get("SliceTiming")
        if times is None:
            continue
        if not isinstance(times, list) or not times or not all(map(is_number, times)):
            problems.append(f"SliceTiming of the {source} is no list of seconds: correct it")
            continue
        first, last = min(map(float, times)), max(map(float, times))
        if first < -1e-6:  # differences of decimals leave -2e-16
            problems.append(
                f"SliceTiming of the {source} has negative times ({first:g} s): slices cannot be "
                "acquired before their volume; count from its start"
            )
        elif last > tr + 1e-3:
            problems.append(
                f"SliceTiming of the {source} goes to {last:g} s, beyond the repetition time of "
                f"{tr:g} s{_in_milliseconds(last, tr) or ': are these times of another sequence?'} "
                "Correct SliceTiming or take it out"
            )
        break
    for key in ("StartTime", "DelayTime", "AcquisitionDuration"):
        # A raw StartTime, if any, is about the raw volumes.
        places = ordered[:-1] if key == "StartTime" else ordered
        source, value = next(((s, c[key]) for s, c in places if c.get(key) is not None), ("", None))
        if value is None:
            continue
        if not is_number(value):
            problems.append(f"{key} of the {source} is {value!r}: no number of seconds; correct it")
        elif not -1e-3 <= value <= tr + 1e-3:
            problems.append(
                f"{key} of the {source} is {value:g} s, outside a volume of {tr:g} s"
                f"{_in_milliseconds(value, tr) or ':'} correct the JSON file"
            )
    return problems


def _start_time(
    ordered: list[tuple[str, Mapping[str, Any]]], tr: float, slice_time_ref: float | None
) -> tuple[float, str, list[str]]:
    merged: dict[str, Any] = {}
    for _, content in reversed(ordered):
        merged.update({key: value for key, value in content.items() if value is not None})
    first, last, basis = _slice_range(merged, tr)
    # A raw StartTime, if any, is about the raw volumes; only fMRIPrep's own counts.
    stated = next((c["StartTime"] for _, c in ordered[:-1] if "StartTime" in c), None)
    if not is_number(stated):
        stated = None
    if slice_time_ref is not None:
        start = first + slice_time_ref * (last - first)
        warnings = []
        if stated is not None and abs(stated - start) > 0.01:
            warnings.append(
                f"--slice-time-ref gives a sampling time of {start:.3f} s, StartTime in the "
                f"sidecar is {stated:g} s; the former is used"
            )
        return start, f"--slice-time-ref {slice_time_ref:g} of {basis}", warnings
    if stated is not None:
        return float(stated), "StartTime in the sidecar", []
    start = (first + last) / 2
    corrected = merged.get("SliceTimingCorrected")
    if corrected is True:
        return start, f"slice timing corrected, assumed to the middle of {basis}", []
    if corrected is False:
        return start, f"slice timing not corrected, middle of {basis}", []
    return start, f"nothing said about slice timing, middle of {basis}", []


def _slice_range(merged: Mapping[str, Any], tr: float) -> tuple[float, float, str]:
    times = merged.get("SliceTiming")
    if isinstance(times, list) and all(map(is_number, times)) and len(set(times)) > 1:
        return float(min(times)), float(max(times)), "the slice times"
    lasting = _positive(merged.get("AcquisitionDuration"))
    if lasting is not None and lasting <= tr:
        return 0.0, lasting, "AcquisitionDuration"
    delay = _positive(merged.get("DelayTime")) or 0.0
    if delay < tr:
        return 0.0, tr - delay, "RepetitionTime - DelayTime" if delay else "the repetition time"
    return 0.0, tr, "the repetition time"
