"""Declarations of an analysis' outputs, for writer, dry run, `.bidsignore`, page and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def always(settings: Any) -> bool:
    """An output that nothing leaves out."""
    return True


@dataclass(frozen=True)
class MapOutput:
    """A surface map: one file per hemisphere with its sidecar.

    Attributes
    ----------
    stat : str
        Entity ``stat``, which has a default description in `bids_app.outputs`; empty where there
        is none, and all of the sidecar comes with the result.
    value : str
        Attribute of the analysis' result that holds it, of shape (n_arrays, n_vertices) or
        (n_vertices,).
    description : str
        What it shows, for the sidecar; empty for the default of `stat`.
    desc : str
        Entity ``desc``; empty for none.
    each : str
        What there is one map of each of: ``fold``, ``scale``, ``contrast``; empty for one map.
    made : callable
        From the settings of the analysis (of a participant: its `Scope`) to whether there is one.
    name : str
        Of the data array of a map of shape (n_vertices,); empty for `stat`.
    details : mapping from str to str
        Fields of the sidecar, and the attribute of the result that holds each.
    of_model : bool
        Whether the name of the file says the model.
    suffix : str
        Of its name.
    over_music : bool
        Whether a map of the group rests on the test over music, where there is one.
    """

    stat: str
    value: str
    description: str = ""
    desc: str = ""
    each: str = ""
    made: Callable[[Any], bool] = always
    name: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    of_model: bool = True
    suffix: str = "statmap"
    over_music: bool = False


def maps_of(each: str, desc: str = "", /, **texts: str) -> tuple[MapOutput, ...]:
    """Maps called like the attributes that hold them, with what each shows."""
    return tuple(MapOutput(stat, stat, text, desc, each) for stat, text in texts.items())


@dataclass(frozen=True)
class TableOutput:
    """A TSV file with the JSON dictionary of its columns.

    Attributes
    ----------
    suffix, desc : str
        Of its name.
    columns : mapping from name to str
        What each column means.
    each : str
        As for `MapOutput`.
    made : callable
        As for `MapOutput`.
    rows : callable, optional
        Returns the rows; its parameters name what it needs, as those of the analysis. Without it
        the result is the rows.
    value : str
        Attribute or method of the result that gives the rows; without rows there is no table.
    others : str
        What columns mean that `columns` does not name.
    whole : bool
        Whether all columns are there, in their order; else those that the rows have, in theirs.
    of_model : bool
        Whether the name of the file says the model.
    over_music : bool
        As for `MapOutput`.
    reads : sequence of mappings, optional
        Files of the participants that a table of the group rests on, where these are others than
        the analysis'.
    """

    suffix: str
    desc: str
    columns: Mapping[str, str]
    each: str = ""
    made: Callable[[Any], bool] = always
    rows: Callable[..., Rows] | None = None
    value: str = ""
    others: str = ""
    whole: bool = False
    of_model: bool = True
    over_music: bool = False
    reads: Sequence[Mapping[str, str]] | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """What of a result has the same place in file names.

    Attributes
    ----------
    each : str
        Outputs with this `each` are made of it.
    entities : mapping
        Its place.
    names : sequence of str
        Of the data arrays; empty for one array, which is called as its output says.
    index : object
        Where it is in the arrays of the result.
    of : object
        What holds the values; None for the result itself.
    sidecar : mapping
        Further fields of its JSON files.
    tr : float or None
        Seconds between arrays of a time series.
    """

    each: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    index: Any = ...
    of: Any = None
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    tr: float | None = None
