"""A step of a workflow from a plain function, with the inputs of its signature.

What a step returns is handed on as one file, and read again by the steps that take it.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterface,
    BaseInterfaceInputSpec,
    File,
    TraitedSpec,
    isdefined,
    traits,
)
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe
from threadpoolctl import threadpool_limits

from bids_app.config import Config
from bids_app.disk import full_disk, is_full
from bids_app.errors import MusencError
from bids_app.handed_on import ENDING, checksum_of, read_handed_on, write_handed_on
from bids_app.limits import out_of_memory, ran_out_of_memory
from bids_app.log import log_to, set_up_logging

FOLDER = "folder"

NOT_HASHED = ("n_threads", "device", "cache_dir", "progress")
"""Parameters that change no result: a kept result stands when they change."""


def step(
    function: Callable[..., Any],
    config: Config,
    name: str = "",
    *,
    who: str = "",
    part: str = "",
    rests_on: Any = None,
    fresh: bool = False,
    n_procs: int = 1,
    mem_gb: float | None = None,
    blas_threads: int | None = 1,
    **values: Any,
) -> pe.Node:
    """A node that calls `function`; its output ``out`` is what the function returns.

    Parameters
    ----------
    function : callable
        At the top level of a module. A parameter called like a section of `config` is given that
        section, one called ``folder`` the step's own folder; one that is neither among `values`
        nor has a default must be connected.
    config : Config
    name : str
        Of the node; default: the function's.
    who : str
        Participant the step works for; empty where it serves all.
    part : str
        Part of the work that fails with the step, as in the status: ``conditions``; empty for
        music.
    rests_on : object
        Checksums of files behind the inputs: a kept result stands only with the same ones.
    fresh : bool
        Run although a kept result has the same inputs, since what the step writes may be gone.
    n_procs, mem_gb
        What nipype reserves.
    blas_threads : int or None
        Steps work side by side and thread over vertices themselves: two BLAS threads would wait
        for each other.
    **values
        Of parameters of `function`.

    Raises
    ------
    TypeError
        If the function has no parameter of a name in `values`.
    """
    known = inspect.signature(function).parameters
    sections = {field.name: getattr(config, field.name) for field in fields(config)}
    interface = Step(
        function,
        who=who,
        part=part,
        fresh=fresh,
        blas_threads=blas_threads,
        verbosity=config.running.verbosity,
    )
    if unknown := set(values) - set(known):
        raise TypeError(f"{function.__name__} takes no {', '.join(sorted(unknown))}")
    given = {key: section for key, section in sections.items() if key in known} | values
    interface.inputs.trait_set(rests_on=rests_on, **given)
    reserved = {} if mem_gb is None else {"mem_gb": mem_gb}
    return pe.Node(interface, name=name or function.__name__, n_procs=n_procs, **reserved)


def connect_by_name(
    workflow: pe.Workflow, steps: Mapping[str, pe.Node], offered: Mapping[str, pe.Node | None] = {}
) -> None:
    """Connect every step to those that hand on what its parameters are called.

    Parameters
    ----------
    workflow : Workflow
    steps : mapping from the name of what a step hands on to the step
        Are added to the workflow.
    offered : mapping from name to step
        Earlier steps that these may take from.
    """
    workflow.add_nodes(list(steps.values()))
    known = {**offered, **steps}
    for node in steps.values():
        for name, value in node.inputs.trait_get().items():
            source = known.get(name)
            if source is not None and not isdefined(value):
                workflow.connect(source, "out", node, name)


def connect_all(
    workflow: pe.Workflow, steps: Sequence[pe.Node], last: pe.Node, parameter: str
) -> None:
    """Give what all of `steps` hand on to a parameter of the last one, as a list."""
    gather = pe.Node(Merge(len(steps)), name=f"{last.name}_{parameter}")
    gather.run_without_submitting = True  # too little for a job of a cluster
    for number, one in enumerate(steps, start=1):
        workflow.connect(one, "out", gather, f"in{number}")
    workflow.connect(gather, "out", last, parameter)


class StepInputs(BaseInterfaceInputSpec):
    """Inputs every step has; those of its function are added."""

    rests_on = traits.Any(desc="checksums of files behind the inputs")

    def get_hashval(self, hash_method: str | None = None) -> tuple[list[tuple[str, str]], str]:
        """Fingerprint of every input, and one of all; nipype's own cuts arrays short."""
        found = [
            (name, fingerprint(value))
            for name, value in sorted(self.trait_get().items())
            if isdefined(value) and not self.has_metadata(name, "nohash", True)
        ]
        return found, fingerprint(found)


class StepOutputs(TraitedSpec):
    """What a step hands on."""

    out = File(exists=True, desc="what the function returned")


class Step(BaseInterface):
    """Calls one function with what was handed on, and hands on what it returns."""

    output_spec = StepOutputs

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.input_spec = _inputs_of(function)
        super().__init__()
        self.function, self.options = function, options
        self._always_run = options["fresh"]

    @property
    def who(self) -> str:
        """Participant the step works for; empty where it serves all."""
        return str(self.options["who"])

    @property
    def part(self) -> str:
        """Part of the work that fails with the step."""
        return str(self.options["part"])

    def __reduce__(self) -> Any:
        # The class of the inputs is made from the signature, so it cannot be pickled by name.
        values = {k: v for k, v in self.inputs.trait_get().items() if isdefined(v)}
        return _restored, (self.function, self.options, values)

    def _run_interface(self, runtime: Any) -> Any:
        try:
            return self._call(runtime)
        except MusencError:
            raise
        except Exception as error:
            if ran_out_of_memory(error):
                raise out_of_memory(str(error), step=self.function.__name__) from error
            if is_full(error):
                raise full_disk(error, [Path(runtime.cwd)]) from error
            if not str(error):
                raise RuntimeError(_told(error)) from error
            raise

    def _call(self, runtime: Any) -> Any:
        # Worker processes start without the command line's logging.
        if not logging.getLogger("bids_app").handlers and not logging.getLogger().handlers:
            set_up_logging(self.options["verbosity"])
        if log_file := self.options.get("log_file"):
            log_to(Path(log_file))
        known = inspect.signature(self.function).parameters
        given = {k: v for k, v in self.inputs.trait_get().items() if k in known and isdefined(v)}
        if FOLDER in known:
            given[FOLDER] = Path(runtime.cwd)
        with threadpool_limits(limits=self.options["blas_threads"], user_api="blas"):
            found = self.function(**{name: handed_on(value) for name, value in given.items()})
        path = Path(runtime.cwd) / f"{self.function.__name__}{ENDING}"
        self._out = str(write_handed_on(path, found))
        return runtime

    def _list_outputs(self) -> dict[str, Any]:
        return {"out": self._out}


def _told(error: Exception) -> str:
    """What is known of an exception without a message: its kind, and where it came from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    name = type(error).__name__
    return f"{name} without a message, in {place.name} ({Path(place.filename).name}:{place.lineno})"


@cache
def _inputs_of(function: Callable[..., Any]) -> type[StepInputs]:
    """Specification of the inputs of a step that calls `function`."""
    own = {
        name: traits.Any(mandatory=parameter.default is parameter.empty, nohash=name in NOT_HASHED)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != FOLDER
    }
    return type(f"{function.__name__}_inputs", (StepInputs,), own)


def _restored(
    function: Callable[..., Any], options: Mapping[str, Any], values: Mapping[str, Any]
) -> Step:
    interface = Step(function, **options)
    interface.inputs.trait_set(**values)
    return interface


def handed_on(value: Any) -> Any:
    """What an earlier step returned, where `value` is its file, or a list of such files."""
    if isinstance(value, list):
        return [handed_on(one) for one in value]
    if not (isinstance(value, str) and value.endswith(ENDING)):
        return value
    return read_handed_on(Path(value))


def fingerprint(value: Any) -> str:
    """Checksum of the content of any input."""
    return hashlib.sha256(repr(_plain(value)).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The content of a value in lists and texts."""
    if isinstance(value, str) and value.endswith(ENDING):
        return checksum_of(Path(value))
    if isinstance(value, np.ndarray):
        return value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        own = [(field.name, _plain(getattr(value, field.name))) for field in fields(value)]
        return type(value).__name__, own
    if isinstance(value, Mapping):
        return sorted((str(key), _plain(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return repr(value)
