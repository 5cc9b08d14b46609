"""What all interfaces share."""

from __future__ import annotations

import logging
import pickle
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterface,
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    TraitedSpec,
    traits,
)
from threadpoolctl import threadpool_limits

from bids_app.log import set_up_logging
from bids_app.outputs import OutputTree


def save_content(folder: str, name: str, content: object) -> str:
    """Hand arrays to the next step through this call's own work directory."""
    path = Path(folder) / f"{name}.pkl"
    with path.open("wb") as stream:
        pickle.dump(content, stream, protocol=5)
    return str(path)


def load_content(path: str) -> Any:
    """Read what `save_content` wrote."""
    with Path(path).open("rb") as stream:
        return pickle.load(stream)


class StepInputSpec(BaseInterfaceInputSpec):
    """Inputs every step has."""

    verbosity = traits.Int(0, usedefault=True, nohash=True, desc="1 logs details")


class CleaningInputSpec(StepInputSpec):
    """Runs of a participant, and how their responses are cleaned."""

    runs = traits.List(traits.Any, mandatory=True, desc="BoldRun records")
    files = InputMultiObject(File(exists=True), desc="files behind the runs, for their content")
    cleaning = traits.Any(mandatory=True, desc="Cleaning")


class RidgeInputSpec(StepInputSpec):
    """How a ridge model is fitted."""

    crop = traits.Float(mandatory=True, desc="seconds")
    alphas = traits.List(traits.Float, mandatory=True)
    selection = traits.Str(mandatory=True)
    null = traits.Str(mandatory=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class OutputDirInputSpec(StepInputSpec):
    """Where derivatives are."""

    output_dir = traits.Str(mandatory=True)


class RecordInputSpec(OutputDirInputSpec):
    """Whose derivatives are written."""

    record = traits.Any(mandatory=True, desc="Record")


class WrittenOutputSpec(TraitedSpec):
    """What a step left in the output folder."""

    files = traits.List(traits.Str)


class Step(BaseInterface, ABC):
    """An interface that keeps its outputs in `self.results`.

    Subclasses implement ``_run_step`` in a few lines: load, call one function, save. Steps work
    side by side and thread over vertices themselves, so each gets one BLAS thread; two would wait
    for each other and double the processor time.
    """

    blas_threads: int | None = 1

    input_spec = StepInputSpec

    def _run_interface(self, runtime: Any) -> Any:
        # Worker processes start without the command line's logging.
        if not logging.getLogger("bids_app").handlers and not logging.getLogger().handlers:
            set_up_logging(self.inputs.verbosity)
        with threadpool_limits(limits=self.blas_threads, user_api="blas"):
            self.results = self._run_step(self.inputs, runtime.cwd)
        return runtime

    @abstractmethod
    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        """Outputs by name."""

    def _list_outputs(self) -> dict[str, Any]:
        return self.results


class WritingStep(Step):
    """A step that leaves files in the output folder; subclasses implement ``_write``."""

    input_spec = OutputDirInputSpec
    output_spec = WrittenOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        written = self._write(inputs, OutputTree(Path(inputs.output_dir)))
        return {"files": [str(path) for path in written]}

    @abstractmethod
    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        """Files written."""
