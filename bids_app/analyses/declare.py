"""What an analysis leaves, declared once: writer, dry run, `.bidsignore`, page and docs read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def always(settings: Settings) -> bool:
    """An output that no setting leaves out."""
    return True


@dataclass(frozen=True)
class MapOutput:
    """A surface map: one file per hemisphere with its sidecar.

    Attributes
    ----------
    stat : str
        Entity ``stat``, which has a default description in `bids_app.outputs`.
    value : str
        Attribute of the analysis' result that holds it, of shape (n_arrays, n_vertices) or
        (n_vertices,).
    description : str
        What it shows, for the sidecar; empty for the default of `stat`.
    desc : str
        Entity ``desc``; empty for none.
    each : str
        What there is one map of each of: ``stimulus``, ``scale``, ``contrast``; empty for one map.
    made : callable
        From the settings of the analysis: whether there is such a map.
    name : str
        Of the data array of a map of shape (n_vertices,); empty for `stat`.
    details : mapping from str to str
        Fields of the sidecar, and the attribute of the result that holds each.
    of_model : bool
        Whether the name of the file says the model.
    """

    stat: str
    value: str
    description: str = ""
    desc: str = ""
    each: str = ""
    made: Callable[[Settings], bool] = always
    name: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    of_model: bool = True


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
        Returns the rows; its parameters name what it needs, as those of the analysis.
    """

    suffix: str
    desc: str
    columns: Mapping[str, str]
    each: str = ""
    made: Callable[[Settings], bool] = always
    rows: Callable[..., Rows] | None = None
