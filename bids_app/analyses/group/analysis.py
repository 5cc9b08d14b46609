"""Declaration of a group analysis: one row has everything specific to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_app.analyses.declare import MapOutput, Settings, TableOutput
from bids_app.analyses.folder.read import need_content
from bids_app.config import Config
from bids_app.files import sha256_of_file
from bids_app.report.group import Shown

Reads = Sequence[Mapping[str, str]]
"""Files of a participant that a result rests on: entities as `OutputTree.find_maps` takes them, or
`OutputTree.find_files` where the suffix has an extension."""
ACCURACIES: Mapping[str, str] = {"stat": "r", "desc": ""}
PENALTIES: Mapping[str, str] = {"stat": "alpha", "desc": ""}
RESPONSES: Mapping[str, str] = {"suffix": "bold", "model": "", "desc": "clean"}
OVER_MUSIC = (ACCURACIES, PENALTIES, RESPONSES)
"""What tests over music rest on, beside the features."""
SETTINGS: Mapping[str, str] = {"suffix": "settings.json", "desc": ""}


def inference_settings(config: Config) -> list[tuple[str, Settings]]:
    """Settings of what is inferred over participants."""
    return [("", config.inference_settings())]


def settings_of_files(
    kind: str, absent: str, files: Iterable[tuple[str, Sequence[Path]]], settings: Settings
) -> list[tuple[str, Settings]]:
    """Labels and settings of files that the user gave, with checksums in the place of paths.

    Parameters
    ----------
    kind : str
        Key of the checksums.
    absent : str
        Message of the error.
    files : iterable of (label, sequence of Path)
    settings : mapping
        Settings that all of them share.

    Raises
    ------
    MissingInputError
        If a file is not there.
    """
    found: list[tuple[str, Settings]] = []
    for label, paths in files:
        need_content(absent, paths)
        found.append((label, {kind: [sha256_of_file(path) for path in paths], **settings}))
    return found


def no_inputs() -> dict[str, Any]:
    """It rests on the participants' maps and its settings alone."""
    return {}


def never_missing() -> str:
    """Every folder has the inputs."""
    return ""


@dataclass(frozen=True, eq=False)
class GroupAnalysis:
    """A group analysis.

    Its functions receive their arguments by the names of their parameters: ``tree``, ``model``,
    ``participants``, ``data`` (a `GroupData`), the result of another analysis (named like that
    analysis), a section of the configuration, ``cache_dir``, ``folder`` for large files,
    ``n_threads``, ``device``.

    Attributes
    ----------
    name : str
        Name of its result.
    function : callable
        Returns the result, or None where there is none; with `option`, one by label.
    outputs : tuple of MapOutput and TableOutput
        Attributes of the result that are written.
    write : callable, optional
        Writes files that `outputs` cannot declare. Its parameters may also be ``writer`` and
        ``result``, the analysis' own.
    details : callable, optional
        Returns fields of the settings file. Its parameters may also be ``result``.
    desc : str
        Of the settings file that marks it as complete; analyses with the same one share it.
    settings : callable
        From the configuration to labels and the settings of each.
    inputs : callable
        Fields of the settings file about further inputs; an earlier result with other fields is
        computed again. Its parameters may also be ``label``.
    option : str
        Option that gives the analysis files, ``[NAME=]FILE,FILE``. Each of its values has a result
        of its own, whose label is appended to `desc`; the settings file names the inference.
    values : mapping
        Arguments of `function` that are constant.
    model : str
        Label of its results where they belong to no encoding model; they are computed once.
    people : str
        Attribute of the result with its participants (a `Basis`, such as `Cohort`); empty where
        they are all participants of the model. Participants with such a result have a settings
        file of the same model and description.
    rests_on : str
        Description of a further result of the participants that is needed, as in its settings file;
        empty for none.
    missing : callable
        Returns why the analysis cannot be done; empty where it can. Its parameters are ``row``,
        ``tree``, ``model``, ``participants`` and ``config``.
    of_weights : bool
        Whether the result depends on whose weights the models have; it is then computed for the
        others' weights, too.
    page : Shown
        Its parts of the page.
    reads : sequence of mappings
        Participants' files that its maps and tables are computed from, by entities; the model is
        its own where they have none. A function has them by the model's label. A result may have
        others, as its attribute `reads`.
    of_features : bool
        Whether they are computed from the features of the music, too; a result may say otherwise.
    """

    name: str
    function: Callable[..., Any]
    outputs: tuple[MapOutput | TableOutput, ...] = ()
    write: Callable[..., None] | None = None
    details: Callable[..., Mapping[str, Any]] | None = None
    desc: str = ""
    settings: Callable[[Config], Sequence[tuple[str, Settings]]] = inference_settings
    inputs: Callable[..., Mapping[str, Any]] = no_inputs
    option: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    people: str = ""
    rests_on: str = ""
    missing: Callable[..., str] = never_missing
    of_weights: bool = True
    page: Shown = field(default_factory=Shown)
    reads: Reads | Callable[[str], Reads] = ()
    of_features: bool = False


def call(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a function with those of `given` that its parameters are called like."""
    known = inspect.signature(function).parameters
    return function(**{name: value for name, value in given.items() if name in known})


def state(analysis: str, part: str = "", reason: str = "", *, done: bool = False) -> dict[str, str]:
    """A row of the table of analyses: what was done, or left out and why."""
    told = "done" if done or not reason else "left out"
    return {"analysis": analysis, "part": part, "state": told, "reason": reason}
