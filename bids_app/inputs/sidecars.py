"""JSON sidecars with inheritance, repetition time and sampling time of the volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from bids_app.inputs.files import content_problem, read_object
from bids_app.inputs.names import NamedFile, entities_agree, parse_name, run_entities

_BEYOND = 1e12
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
                file for file in files if file.extension.endswith((".json", ".tsv"))
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

    def absent(self, folder: Path, entities: Mapping[str, str]) -> list[str]:
        """Why JSON files that apply to BOLD say nothing: not fetched, empty, not readable."""
        paths = self.applying(folder, entities, "bold", _JSON)
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


@dataclass(frozen=True)
class Timing:
    """Repetition time and sampling time of one run, with where they come from."""

    tr: float | None
    tr_source: str
    start_time: float
    start_time_source: str
    warnings: tuple[str, ...]


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # JSON knows whole numbers beyond any float, and Python's also NaN and Infinity.
    return float(value) if 0 < value < _BEYOND else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _BEYOND


def resolve_timing(
    sidecars: Iterable[tuple[str, Mapping[str, Any]]],
    raw: Mapping[str, Any],
    *,
    repetition_time: float | None = None,
    slice_time_ref: float | None = None,
    header_time_step: float | None = None,
) -> Timing:
    """Repetition time and the time at which volumes were sampled.

    Volume k is sampled at ``start_time + k * tr`` seconds after the start of the run. In this
    order: `slice_time_ref` where given; ``StartTime`` of fMRIPrep's sidecars; the middle of the
    slice times, to which older fMRIPrep versions corrected (``SliceTimingCorrected``) and which is
    the best single time for volumes that were not corrected. Slice times come from the raw
    ``SliceTiming``, else they run from 0 to ``RepetitionTime - DelayTime``, which is what
    fMRIPrep's ``DelayTime`` encodes.

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
    header_time_step : float or None
        What the GIFTI header says, in seconds or milliseconds; only compared.

    Returns
    -------
    Timing
    """
    ordered = [*sidecars, ("raw sidecar", raw)]
    warnings = []
    tr, tr_source = None, "nowhere"
    for source, content in ordered:
        tr = _positive(content.get("RepetitionTime"))
        if tr is not None:
            tr_source = source
            break
    if tr is None and repetition_time is not None:
        tr, tr_source = float(repetition_time), "--repetition-time"
    elif tr is not None and repetition_time is not None and abs(tr - repetition_time) > 1e-3:
        warnings.append(
            f"--repetition-time {repetition_time:g} s is not used: the {tr_source} says {tr:g} s"
        )
    others = [(source, _positive(content.get("RepetitionTime"))) for source, content in ordered]
    warnings += [
        f"the {source} says {other:g} s between volumes, the {tr_source} {tr:g} s, which is used"
        for source, other in others
        if tr is not None and other is not None and abs(other - tr) > 1e-3
    ]
    step = header_time_step or 0.0
    if tr is not None and step > 0 and min(abs(step - tr), abs(step / 1000 - tr)) > 0.01 * tr:
        warnings.append(
            f"the image header's time step is {step:g}, "
            f"but the {tr_source} says {tr:g} s, which is used"
        )
    start_time, start_source, more = _start_time(ordered, tr or 0.0, slice_time_ref)
    return Timing(tr, tr_source, start_time, start_source, (*warnings, *more))


def _start_time(
    ordered: list[tuple[str, Mapping[str, Any]]], tr: float, slice_time_ref: float | None
) -> tuple[float, str, list[str]]:
    merged: dict[str, Any] = {}
    for _, content in reversed(ordered):
        merged.update(content)
    first, last, basis = _slice_range(merged, tr)
    # A raw StartTime, if any, is about the raw volumes; only fMRIPrep's own counts.
    stated = next((c["StartTime"] for _, c in ordered[:-1] if "StartTime" in c), None)
    if not _is_number(stated):
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
    if isinstance(times, list) and times and all(map(_is_number, times)):
        return float(min(times)), float(max(times)), "the slice times"
    delay = _positive(merged.get("DelayTime")) or 0.0
    if delay < tr:
        return 0.0, tr - delay, "RepetitionTime - DelayTime" if delay else "the repetition time"
    return 0.0, tr, "the repetition time"
