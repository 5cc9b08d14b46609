"""Run a workflow with one of nipype's plugins, and read what its crash files say."""

from __future__ import annotations

import gc
import getpass
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml
from bids_app.workflows.steps import Step
from bids_app.workflows.worker_pool import WorkerPool
from nipype.pipeline import plugins
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from bids_app import errors
from bids_app.config import Config, Running
from bids_app.disk import full_disk, is_full, says_full
from bids_app.errors import MissingInputError, MusencError, UsageError
from bids_app.files import write_text
from bids_app.handed_on import ENDING, is_whole
from bids_app.held import private_folder
from bids_app.limits import memory_limit
from bids_app.log import log_to
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.workflows")
_MAIN = 300_000_000  # bytes of the process that the workers belong to
_EXAMPLE = "write, for example: {plugin: SLURM, plugin_args: {sbatch_args: '--mem=8G'}}"
LOCAL_PLUGINS = ("Linear", "MultiProc", "LegacyMultiProc", "Debug")


@dataclass(frozen=True)
class Plugin:
    """How nipype runs the steps.

    Attributes
    ----------
    name : str
        One of nipype's: ``Linear``, ``MultiProc``, ``SLURM``, ``SGE``, ...
    arguments : dict
        Its ``plugin_args``.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the steps run on this machine; otherwise each becomes a job of a cluster."""
        return self.name in LOCAL_PLUGINS


def choose_plugin(running: Running) -> Plugin:
    """The plugin file's plugin, else one that fits the number of processes.

    Raises
    ------
    MissingInputError, UsageError
        If the file is not there or names no plugin of nipype, or if the work folder cannot be used
        by jobs of a cluster.
    """
    if running.plugin_file is not None:
        plugin = _read_plugin(running.plugin_file)
        if not plugin.is_local:
            _check_work_dir(plugin, running.work_dir)
        return plugin
    if running.n_procs == 1:
        return Plugin("Linear")
    arguments = {
        "n_procs": running.n_procs,
        "mp_context": "forkserver",
        "memory_gb": max((running.memory or memory_limit().value) - _MAIN, 0) / 1e9,
        "raise_insufficient": False,
    }
    return Plugin("MultiProc", arguments)


def _read_plugin(path: Path) -> Plugin:
    if not path.is_file():
        raise MissingInputError(
            "There is no such plugin file.",
            where=path,
            found="no file",
            wanted="a YAML file",
            remedy="correct the path given with --use-plugin",
        )
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            "The plugin file is not YAML.", where=path, found=error, wanted="YAML", remedy=_EXAMPLE
        ) from error
    known = sorted(n.removesuffix("Plugin") for n in dir(plugins) if n.endswith("Plugin"))
    name = content.get("plugin") if isinstance(content, dict) else None
    arguments = content.get("plugin_args") or {} if isinstance(content, dict) else {}
    if not isinstance(name, str) or name not in known or not isinstance(arguments, dict):
        raise UsageError(
            "The plugin file names no plugin of nipype.",
            where=path,
            found=f"plugin: {name if isinstance(name, str) else type(name).__name__}",
            wanted=f"plugin: one of {', '.join(known)}; plugin_args: a mapping",
            remedy=_EXAMPLE,
        )
    return Plugin(name, arguments)


def _check_work_dir(plugin: Plugin, work_dir: Path | None) -> None:
    """Jobs meet in the work folder, whose name goes unquoted into nipype's command lines."""
    if work_dir is None or any(character.isspace() for character in str(work_dir)):
        raise UsageError(
            "A plugin needs a work folder that every node sees.",
            where=f"--work-dir, with the plugin {plugin.name}",
            found=work_dir,
            wanted="a folder on shared storage, without spaces in its name",
            remedy="give such a folder with --work-dir",
        )


@dataclass(frozen=True)
class Failure:
    """What a crash file says.

    Attributes
    ----------
    node : str
        Full name of the node.
    who, part : str
        Participant it worked for, empty where it served all; and part of the work that failed.
    error : str
        Name of the exception's class.
    text : str
        Its message.
    crash_file : Path
    """

    node: str
    who: str
    part: str
    error: str
    text: str
    crash_file: Path


def run_workflow(workflow: Any, config: Config, run_id: str) -> list[Failure]:
    """Run a workflow to its end; whatever crashes stops the rest only with --stop-on-first-crash.

    Raises
    ------
    MissingInputError, UsageError
        If the plugin file cannot be used.
    """
    plugin = choose_plugin(config.running)
    tree = OutputTree(config.output_dir)
    crash_dir = tree.logs / run_id
    log_to(tree.log(run_id))
    steps = {name: workflow.get_node(name).interface for name in workflow.list_node_names()}
    for one in steps.values():
        if isinstance(one, Step):
            one.options["log_file"] = str(tree.log(run_id))
    owners = {
        f"{workflow.name}.{name}": (one.who, one.part)
        for name, one in steps.items()
        if isinstance(one, Step)
    }
    with _work_dir(config) as work_dir:
        workflow.base_dir = str(work_dir)
        for name in steps:
            _set_damaged_aside(work_dir / workflow.name / name)
        _quiet_nipype(
            config.output_dir / ".musenc" / "nipype", verbose=config.running.verbosity > 0
        )
        workflow.config["execution"] = {
            "hash_method": "content",
            "crashdump_dir": str(crash_dir),
            "crashfile_format": "txt",
            "stop_on_first_crash": str(config.running.stop_on_first_crash).lower(),
            "remove_unnecessary_outputs": "false",
            "keep_inputs": "true",
            # A cluster's queue is asked less often.
            "poll_sleep_duration": "0.1" if plugin.is_local else "2",
        }
        if not plugin.is_local:
            os.environ.setdefault("LOGNAME", _user())  # nipype names its jobs after it
        try:
            with _frozen(), _progress(len(steps)) as told:
                arguments = {**plugin.arguments, "status_callback": told}
                if plugin.name == "MultiProc":
                    workflow.run(plugin=WorkerPool(arguments))
                else:
                    workflow.run(plugin=plugin.name, plugin_args=arguments)
        except Exception as error:
            if is_full(error):
                raise full_disk(error, [work_dir, tree.root]) from error
            # nipype raises its own summary of the crash files.
            LOGGER.debug("nipype: %s", error)
            if not list(crash_dir.glob("crash-*.txt")):
                raise
        folders = [work_dir, tree.root]
        failures = [
            _read_crash(path, owners, folders) for path in sorted(crash_dir.glob("crash-*.txt"))
        ]
    return failures


@contextmanager
def _frozen() -> Iterator[None]:
    """Spare what is in memory now from the collection of garbage at every poll of nipype."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _progress(n_steps: int) -> Iterator[Callable[[Any, str], None]]:
    """A bar of the steps done with the time left, where standard error is a terminal."""
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=n_steps, unit="step", leave=False, disable=None))
        if not bar.disable:
            stack.enter_context(logging_redirect_tqdm())

        def told(node: Any, status: str) -> None:
            if status in ("end", "exception"):
                bar.update()

        yield told


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not be in its list of users
        return f"uid{os.getuid()}"


def _quiet_nipype(folder: Path, *, verbose: bool) -> None:
    """Keep nipype's own log lines, and the tracebacks in them, from the user.

    Workers start afresh and read this configuration folder; so nothing is written to HOME either.
    It outlives the call, because the server that starts workers remembers it.
    """
    level = "INFO" if verbose else "CRITICAL"
    names = ("workflow", "interface", "utils")
    lines = ["[logging]", *(f"{name}_level = {level}" for name in names)]
    write_text(folder / "nipype.cfg", "\n".join(lines) + "\n")
    os.environ["NIPYPE_CONFIG_DIR"] = str(folder)
    for name in names:
        # Here the program itself says what went wrong, also what nipype calls critical.
        logging.getLogger(f"nipype.{name}").setLevel("INFO" if verbose else logging.CRITICAL + 1)


@contextmanager
def _work_dir(config: Config) -> Iterator[Path]:
    """The work directory given, else a temporary one that goes away afterwards."""
    if config.running.work_dir is not None:
        config.running.work_dir.mkdir(parents=True, exist_ok=True)
        yield config.running.work_dir
        return
    with private_folder("work") as folder:
        yield folder


def _set_damaged_aside(folder: Path) -> None:
    """Remove what an earlier call kept of a step where it is not as it was written."""
    for path in folder.glob(f"*{ENDING}"):
        if not is_whole(path):
            LOGGER.warning("%s is damaged: the step is repeated", path)
            shutil.rmtree(folder)
            return


def _read_crash(
    path: Path, owners: Mapping[str, tuple[str, str]], folders: Sequence[Path] = ()
) -> Failure:
    text = path.read_text(errors="replace")
    named = re.search(r"^Node: (.+)$", text, re.MULTILINE)
    node = named.group(1) if named else path.name
    who, part = owners.get(node, ("", ""))
    # A bare exception has no message and no colon.
    bare = r"[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration)$"
    pattern = rf"^\t?(?:[\w.]+\.)?(?:(\w+): (.*)|({bare}))"
    found = list(re.finditer(pattern, text, re.MULTILINE))
    last = found[-1] if found else None
    if last is None:
        return Failure(node, who, part, "", "see the crash file", path)
    if last.group(3):
        return Failure(node, who, part, last.group(3), f"{last.group(3)} without a message", path)
    tail = text[last.start(2) :].split("\n\n")[0].replace("\n\t", "\n").strip()
    if last.group(1) == "OSError" and says_full(tail):  # nipype's own files have no place
        told = full_disk(tail, folders)
        return Failure(node, who, part, type(told).__name__, str(told), path)
    return Failure(node, who, part, last.group(1), tail, path)


def raise_failure(failure: Failure) -> NoReturn:
    """Raise the error a worker raised, from its crash file."""
    kind = getattr(errors, failure.error, MusencError)
    if not (isinstance(kind, type) and issubclass(kind, MusencError)):
        kind = MusencError
    found = "" if kind is not MusencError else f"{failure.error}: "
    raise kind(f"{found}{failure.text}", where=f"crash file {failure.crash_file}")
