"""Feature time series that were computed elsewhere (OpenL3, annotations, ...)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import interp1d

from bids_app.errors import BadDataError, MissingInputError, MusencError
from bids_app.features.layers import LayerOrder
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.timing import LONGEST_STEP, step_times, window_matrix
from bids_app.inputs.files import is_named, need_content
from bids_app.inputs.odd_values import equal_step, far_value
from bids_app.inputs.tables import read_frame, read_rows
from bids_app.inputs.units import other_unit
from bids_app.loading import hdf5_array, hdf5_member, hdf5_shape, open_hdf5
from bids_app.plain import some_of

_TABLES = (".tsv", ".tsv.gz")
_ARRAYS = (".h5", ".hdf5")
_UNREADABLE = (KeyError, ValueError, OSError, TypeError, RuntimeError, MemoryError)
_TABLE_LAYER = "precomputed"
_SHOWN = 3
_ORDER = "layers"  # attribute with the names of the arrays, in order of depth


def find_precomputed(path: str | Path, label: str) -> Path:
    """File with the features of one stimulus.

    Parameters
    ----------
    path : str or Path
        A folder with ``LABEL.tsv``, ``LABEL.tsv.gz``, ``LABEL.h5`` or ``LABEL.hdf5`` per stimulus,
        or one HDF5 file with a group per stimulus.
    label : str
        Of the stimulus.

    Returns
    -------
    file : Path

    Raises
    ------
    MissingInputError
        There is none.
    """
    path = Path(path)
    if path.is_file() and path.suffix in _ARRAYS:
        return path
    candidates = [path / f"{label}{suffix}" for suffix in (*_TABLES, *_ARRAYS)]
    for candidate in candidates:
        if is_named(candidate):
            need_content(candidate, "Precomputed features cannot be read.")
            return candidate
    raise MissingInputError(
        "There are no precomputed features for a stimulus.",
        where=path,
        found=f"nothing for {label}{_nearly(path, label)}",
        wanted=" or ".join(candidate.name for candidate in candidates),
        remedy="name the files after the stimuli, or give one HDF5 file with a group for each",
    )


def _nearly(path: Path, label: str) -> str:
    """The end of a sentence: files that are called nearly as a stimulus."""
    try:
        names = sorted(file.name for file in path.iterdir())
    except OSError:
        return ""
    near = [name for name in names if name.casefold().startswith(label.casefold())]
    return f"; not read: {some_of(near, 3)}" if near else ""


def precomputed_layers(path: str | Path, labels: Iterable[str]) -> LayerOrder:
    """Layers of precomputed features, and the source of their order.

    An attribute ``layers`` of the group of a stimulus or of the root of its file names the arrays
    in order. Without one it is the order in which they were created, where the file keeps track
    of it. Without either the order is not known: names are sorted and have no depth.

    Parameters
    ----------
    path : str or Path
        See :func:`find_precomputed`.
    labels : iterable of str
        Of the stimuli.

    Raises
    ------
    MissingInputError
        No file for a stimulus.
    BadDataError
        A file cannot be read, an attribute ``layers`` that does not name the arrays, or stimuli
        that differ in their layers, in the order of them, or in the columns (units) of a layer.
    """
    first: tuple[LayerOrder, str] | None = None
    columns: dict[str, tuple[str, ...]] = {}
    for label in labels:
        own, columns[label] = _layers_of(find_precomputed(path, label), label, Path(path))
        if first is None or (own.source and not first[0].source):
            first, before = (own, label), first
            own, label = before or first
        agreed = first[0]
        same = own.names == agreed.names if own.source else set(own.names) == set(agreed.names)
        if not same:
            raise BadDataError(
                "Stimuli differ in their layers, or in the order of them.",
                where=path,
                found=f"{label}: {', '.join(own.names)} ({own.source or 'no order'})",
                wanted=f"as {first[1]}: {', '.join(agreed.names)} ({agreed.source or 'no order'})",
                remedy="write the files of all stimuli in the same way",
            )
    if first is None:
        raise MissingInputError(
            "There is no stimulus.",
            where=path,
            found="no stimulus",
            wanted="features of one stimulus or more",
            remedy="name the stimuli",
        )
    _check_columns(columns, path)
    return first[0]


def _check_columns(columns: dict[str, tuple[str, ...]], path: str | Path) -> None:
    """Refuse stimuli whose layers have other columns, or in another order.

    A column counts by its place: what is one feature in one piece would be another in the next.
    """
    read = {label: own for label, own in columns.items() if own}
    first = next(iter(read), "")
    for label, own in read.items():
        if own != (agreed := read[first]):
            pairs = itertools.zip_longest(agreed, own, fillvalue="nothing")
            one, other = (
                name or "a column without a name (numbers of rows?)"
                for name in next(pair for pair in pairs if pair[0] != pair[1])
            )
            raise BadDataError(
                "Stimuli differ in the columns of their features.",
                where=path,
                found=f"{label}: {len(own)} columns, {other} where {first} has {one}",
                wanted=f"the {len(agreed)} columns of {first}, in the same order",
                remedy="write the files of all stimuli in the same way",
            )


def _layers_of(file: Path, label: str, path: Path) -> tuple[LayerOrder, tuple[str, ...]]:
    """Layers of one stimulus, and its columns.

    Columns are named in a table, and in arrays are the layers with their numbers of units.
    """
    if file.suffix not in _ARRAYS:
        try:
            names, _, _ = read_rows(file)
        except MusencError:
            names = []  # what is wrong is said where the values are read
        columns = tuple(name for name in names if name != "time")
        return LayerOrder((_TABLE_LAYER,), "the only layer", open=True), columns
    try:
        with open_hdf5(file) as content:
            group = _group_of(content, label, shared=file == path)
            names = _array_names(group)
            told = group.attrs.get(_ORDER, content.attrs.get(_ORDER))
            places = [group.id.links.get_info(name.encode()) for name in names]
            shapes = [hdf5_member(group, name).shape for name in names]
    except _UNREADABLE as error:
        raise _unreadable(file, f"{label}: {error}") from error
    columns = tuple(
        f"{name} of {shape[-1]} units" for name, shape in zip(names, shapes, strict=True) if shape
    )
    return _array_order(file, names, told, places), columns


def _array_order(file: Path, names: list[str], told: Any, places: list[Any]) -> LayerOrder:
    """Order of arrays: as an attribute says, else as they were created, else not known."""
    if not names:
        raise _unreadable(file, "no array beside time")
    if told is not None:
        listed = [t.decode() if isinstance(t, bytes) else str(t) for t in np.ravel(told)]
        if sorted(listed) != sorted(names):
            raise BadDataError(
                "The attribute `layers` does not name the arrays of the file.",
                where=file,
                found=", ".join(listed),
                wanted=f"each of {', '.join(names)} once, in order of depth",
                remedy="correct the attribute",
            )
        return LayerOrder(tuple(listed), f"the attribute `{_ORDER}` of the files", open=True)
    if len(names) > 1 and not all(place.corder_valid for place in places):
        return LayerOrder(tuple(names), open=True)
    created = sorted(zip(places, names, strict=True), key=lambda one: one[0].corder)
    names = [name for _, name in created]
    return LayerOrder(tuple(names), "the order in which the arrays were created", open=True)


def precomputed_clock(
    path: str | Path, label: str, times: np.ndarray, step: float
) -> tuple[np.ndarray, float]:
    """Times at which the features of a stimulus are fitted, and seconds between them.

    Parameters
    ----------
    path, label
        See :func:`find_precomputed`.
    times : array of shape (n_times,)
        Middles of the steps of the sound.
    step : float
        Seconds of a step.

    Returns
    -------
    times : array
        Those of the file where it is slower than the steps, else the steps.
    step : float

    Raises
    ------
    MissingInputError, BadDataError
        As :func:`load_precomputed`.
    """
    file = find_precomputed(path, label)
    if file.suffix in _ARRAYS:
        own = _read_arrays(file, label, shared=file == Path(path), only_time=True)[0]
    else:
        own = _table(file)[0]
    _check_times(own, times, file)
    slower = float(np.median(np.diff(own)))
    if slower < step * (1 - 1e-6):
        return times, step
    end = times[-1] + step
    return own[(own >= -1e-6) & (own <= end)], slower


def precomputed_remarks(path: str | Path, label: str, audio: Path, duration: float) -> list[str]:
    """Check features before anything is computed, and warn about odd ones.

    Returns
    -------
    list of str
        Of tables: that nothing changes, that values lie far from all others, that a column grows
        evenly.

    Raises
    ------
    MissingInputError, BadDataError
        As :func:`load_precomputed`; of arrays only times and shapes are looked at.
    """
    from bids_app.features.registry import STEP

    clock = precomputed_clock(path, label, step_times(duration, STEP), STEP)
    file = find_precomputed(path, label)
    if file.suffix in _ARRAYS:
        _check_shapes(file, label, shared=file == Path(path))
        return []
    (layer,) = load_precomputed(path, label, *clock)
    if not np.ptp(layer.values, axis=0).any():
        return [f"{label}: nothing changes in the precomputed features; alone they fit no model"]
    times, arrays, columns = _table(file)
    even, far = [], []
    for name, values in zip(columns[_TABLE_LAYER], arrays[_TABLE_LAYER].T, strict=True):
        if equal_step(values, times):
            even.append(f"{name} grows or falls evenly, like a clock or a counter")
        elif told := far_value(values):
            far.append(f"{name}: {told}")
    return [
        f"{label}: {some_of(texts, _SHOWN, '; ')}{remedy} ({file.name})"
        for texts, remedy in (
            (even, ": take it out if it is none of the music"),
            (far, ": if it stands for nothing, fill it in"),
        )
        if texts
    ]


def load_precomputed(
    path: str | Path, label: str, times: np.ndarray, step: float
) -> list[FeatureSeries]:
    """Read precomputed features at the times of a sound.

    A table has a column ``time`` (seconds in the audio file) and one column per unit. An HDF5
    file has ``time`` (n_frames,) and one array (n_frames, n_units) per layer, at its root or in
    a group named as the stimulus. Frames closer than the steps are averaged over each step,
    others are taken as they are, and interpolated where other times are asked for.

    Parameters
    ----------
    path : str or Path
        See :func:`find_precomputed`.
    label : str
        Of the stimulus.
    times : array of shape (n_times,)
        From :func:`precomputed_clock`.
    step : float
        Seconds between them.

    Returns
    -------
    layers : list of FeatureSeries
        In alphabetical order, see :func:`precomputed_layers`; a table is one layer named
        ``precomputed``.

    Raises
    ------
    MissingInputError
        No file for the stimulus.
    BadDataError
        Names the file: no time column, times that do not increase or do not cover the audio,
        values that are not numbers or not finite.
    """
    file = find_precomputed(path, label)
    if file.suffix in _ARRAYS:
        own, arrays, columns = _read_arrays(file, label, shared=file == Path(path))
    else:
        own, arrays, columns = _table(file)
    _check_times(own, times, file)
    averaged = float(np.median(np.diff(own))) < step * (1 - 1e-6)
    layers = []
    for name, values in arrays.items():
        n_bad = int(np.count_nonzero(~np.isfinite(values)))
        _check_array(file, name, values.shape, len(own), n_bad)
        if averaged:
            pooled = window_matrix(own, times, step) @ values
        else:
            held = np.clip(times, own[0], own[-1])
            pooled = interp1d(own, values, axis=0)(held)
        names = columns.get(name) or [f"{name}_{n:04d}" for n in range(values.shape[1])]
        units = tuple(Unit(unit, f"{unit} of {file.name}", "n/a") for unit in names)
        layers.append(FeatureSeries(name, pooled, units))
    return layers


def _check_shapes(file: Path, label: str, shared: bool) -> None:
    """Refuse arrays that cannot be used, without reading them.

    Raises
    ------
    BadDataError
    """
    try:
        with open_hdf5(file) as content:
            group = _group_of(content, label, shared)
            shapes = {name: hdf5_shape(group, name) for name in ("time", *_array_names(group))}
    except _UNREADABLE as error:
        raise _unreadable(file, f"{label}: {error}") from error
    (n_times,) = shapes.pop("time")
    for name, shape in shapes.items():
        _check_array(file, name, shape, n_times)


def _check_array(
    file: Path, name: str, shape: tuple[int, ...], n_times: int, n_bad: int = 0
) -> None:
    """Refuse a layer of another shape, or with values that are not finite.

    Raises
    ------
    BadDataError
    """
    if len(shape) != 2 or not shape[1] or shape[0] != n_times or n_bad:
        raise BadDataError(
            "Precomputed features cannot be used.",
            where=file,
            found=f"{name}: shape {shape}" + (f", {n_bad} values are not finite" if n_bad else ""),
            wanted=f"finite numbers of shape ({n_times}, n_units)",
            remedy="write a row for every time and a column for every unit; fill or leave out "
            "missing values before",
        )


def _table(file: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str]]]:
    try:
        table = read_frame(file)
        unnamed = [name for name in table.columns if str(name).startswith("Unnamed:")]
        if unnamed:
            raise _unreadable(file, f"{len(unnamed)} columns without a name (row numbers?)")
        if "time" not in table:
            raise _unreadable(file, f"columns {some_of(table.columns)}")
        times = table.pop("time").to_numpy(dtype=float)
        said = [str(name) for name in table if table[name].dtype == bool]
        if said:
            raise _unreadable(file, f"true and false, which are no numbers, in {said[0]}")
        values = table.to_numpy(dtype=float)
        counts = np.arange(len(values))[:, None]
        counting = (values == counts).all(0) | (values == counts + 1).all(0)
        if counting.any() and len(values) > 2:
            name = table.columns[np.flatnonzero(counting)[0]]
            raise _unreadable(file, f"the column {name!r} counts the rows")
        # Sample numbers, milliseconds: whole numbers on a line are no feature.
        whole = np.isfinite(values).all(0) & (values == np.round(values)).all(0)
        for place in np.flatnonzero(whole):
            if step := equal_step(values[:, place], np.arange(len(values))):
                name = str(table.columns[int(place)])
                raise _unreadable(file, f"the column {name!r} counts the rows by {step:g}")
    except MusencError as error:
        raise _unreadable(file, f"{error.what} {error.found or ''}".strip()) from error
    except (KeyError, ValueError) as error:
        raise _unreadable(file, error) from error
    if not table.columns.size:
        raise _unreadable(file, "no column beside time")
    return times, {_TABLE_LAYER: values}, {_TABLE_LAYER: [str(name) for name in table.columns]}


def _read_arrays(
    file: Path, label: str, shared: bool, only_time: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, list[str]]]:
    try:
        with open_hdf5(file) as content:
            group = _group_of(content, label, shared)
            times = hdf5_array(group, "time").astype(float)
            names = [] if only_time else _array_names(group)
            arrays = {name: hdf5_array(group, name).astype(float) for name in names}
    except _UNREADABLE as error:
        raise _unreadable(file, f"{label}: {error}") from error
    if not arrays and not only_time:
        raise _unreadable(file, "no array beside time")
    return times, arrays, {}


def _group_of(content: Any, label: str, shared: bool) -> Any:
    """Group of a stimulus; a file for all stimuli must have one for each."""
    import h5py

    group = hdf5_member(content, label) if shared or label in content else content
    if not isinstance(group, h5py.Group):
        raise TypeError("no group")
    return group


def _array_names(group: Any) -> list[str]:
    """Names of all arrays but time, sorted."""
    import h5py

    names = [name for name in sorted(group) if name != "time"]
    return [name for name in names if not isinstance(hdf5_member(group, name), h5py.Group)]


def _unreadable(file: Path, problem: object) -> BadDataError:
    return BadDataError(
        "Precomputed features cannot be read.",
        where=file,
        found=str(problem),
        wanted="a column or array `time` in seconds, and numbers beside it",
        remedy="see docs/features.md for the layout",
    )


def _check_times(times: np.ndarray, patch_times: np.ndarray, file: Path) -> None:
    if times.ndim != 1 or times.size < 2 or not np.all(np.diff(times) > 0):
        raise BadDataError(
            "Times of precomputed features must increase.",
            where=file,
            found=f"{times.size} times",
            wanted="finite times in seconds, each later than the one before",
            remedy="sort the rows by time and remove repeated ones",
        )
    beyond = patch_times[-1] + max(30.0, 0.5 * patch_times[-1])
    step = float(np.max(np.diff(times)))
    if times[-1] > beyond or step > max(5.0, 5 * float(np.median(np.diff(times)))):
        much = times[-1] > beyond
        unit = other_unit(float(times[-1]), float(patch_times[-1])) if much else ""
        raise BadDataError(
            "Precomputed features are of much more than the stimulus."
            if much
            else "Precomputed features have a gap.",
            where=file,
            found=f"times from {times[0]:g} to {times[-1]:g} s"
            + unit
            + ("" if much else f", {step:g} s between two of them"),
            wanted=f"seconds into the audio file, to about {patch_times[-1]:g} s, without gaps",
            remedy="correct the unit of the times, or compute them for the whole audio file",
        )
    slack = float(np.median(np.diff(times)))
    if slack > LONGEST_STEP:
        raise BadDataError(
            "Precomputed features are slower than a response.",
            where=file,
            found=f"{slack:g} s between frames",
            wanted=f"at most {LONGEST_STEP:g} s: of slower features no response could be predicted",
            remedy="compute them at a higher rate",
        )
    # A series may begin or end one of its own steps inside the first or last patch.
    if times[0] > patch_times[0] + slack or times[-1] < patch_times[-1] - slack:
        raise BadDataError(
            "Precomputed features do not cover the stimulus.",
            where=file,
            found=f"times from {times[0]:g} to {times[-1]:g} s",
            wanted=f"{patch_times[0]:g} to {patch_times[-1]:g} s",
            remedy="compute them for the whole audio file; times count from its start",
        )
