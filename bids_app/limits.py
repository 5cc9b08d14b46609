"""How much memory and how many processors this process may use.

A job on a cluster or in a container may use less than the machine has: control groups and SLURM
say how much, and the smallest answer counts. The machine's total never does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_app.errors import TryAgainError

# Version 1 writes "no limit" as the largest multiple of a page.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Limit:
    """A bound and who set it.

    Attributes
    ----------
    value : int
        Bytes of memory, or number of processors.
    source : str
        For people: ``control group``, ``SLURM_MEM_PER_NODE`` and so on.
    """

    value: int
    source: str


def memory_limit(*, root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Limit:
    """Bytes of memory this process may use.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are mounted.
    environ : mapping or None
        Environment; None for the real one.

    Returns
    -------
    Limit
        The smallest of the control groups' limits, SLURM's allocation, and what the machine has
        free at this moment.
    """
    env = os.environ if environ is None else environ
    found = [*_cgroup_memory(root), *_slurm_memory(env), *_available_memory(root)]
    return min(found, key=lambda limit: limit.value)


def cpu_limit(*, root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> Limit:
    """Number of processors this process may keep busy, at least 1.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are mounted.
    environ : mapping or None
        Environment; None for the real one.

    Returns
    -------
    Limit
        The smallest of the control groups' quota (rounded up), SLURM's allocation, and the
        processors the process is bound to.
    """
    env = os.environ if environ is None else environ
    found = [*_cgroup_cpus(root), *_slurm_cpus(env), _affinity()]
    smallest = min(found, key=lambda limit: limit.value)
    return Limit(max(1, smallest.value), smallest.source)


def format_bytes(n_bytes: int) -> str:
    """Gibibytes with one digit, for people."""
    return f"{n_bytes / 2**30:.1f} GiB"


def _cgroup_memory(root: Path) -> Iterator[Limit]:
    for folder in _group_folders(root, ""):
        yield from _limits(_number(folder / "memory.max"), "control group")
    for folder in _group_folders(root, "memory"):
        yield from _limits(_number(folder / "memory.limit_in_bytes"), "control group")


def _cgroup_cpus(root: Path) -> Iterator[Limit]:
    for folder in _group_folders(root, ""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            yield Limit(math.ceil(int(quota) / int(period)), "control group quota")
    for folder in _group_folders(root, "cpu"):
        allowed, period_us = (_number(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
        if allowed is not None and period_us:
            yield Limit(math.ceil(allowed / period_us), "control group quota")


def _group_folders(root: Path, controller: str) -> list[Path]:
    """Folders of the process' group and of the groups above it; `controller` empty: version 2.

    Inside a container the path in ``/proc/self/cgroup`` may be the host's, of which only the upper
    end is visible.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller not in controllers.split(","):
            continue
        mounts = (
            ["sys/fs/cgroup/unified", "sys/fs/cgroup"]
            if not controller
            else [
                f"sys/fs/cgroup/{controllers}",
                f"sys/fs/cgroup/{controller}",
            ]
        )
        mount = next((root / name for name in mounts if (root / name).is_dir()), None)
        if mount is not None:
            group = Path(path.lstrip("/"))
            return [mount / part for part in (group, *group.parents)]
    return []


def _slurm_memory(env: Mapping[str, str]) -> Iterator[Limit]:
    # Megabytes; 0 stands for the whole node.
    per_node, per_cpu = env.get("SLURM_MEM_PER_NODE", ""), env.get("SLURM_MEM_PER_CPU", "")
    cpus = env.get("SLURM_CPUS_ON_NODE", "")
    if per_node.isdigit() and int(per_node):
        yield Limit(int(per_node) << 20, "SLURM_MEM_PER_NODE")
    elif per_cpu.isdigit() and int(per_cpu) and cpus.isdigit():
        yield Limit(int(per_cpu) * int(cpus) << 20, "SLURM_MEM_PER_CPU")


def _slurm_cpus(env: Mapping[str, str]) -> Iterator[Limit]:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if env.get(name, "").isdigit():
            yield Limit(int(env[name]), name)
            return


def _available_memory(root: Path) -> Iterator[Limit]:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield Limit(int(line.split()[1]) << 10, "free on this machine")
            return
    yield Limit(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2, "half the machine")


def _affinity() -> Limit:
    if hasattr(os, "sched_getaffinity"):
        return Limit(len(os.sched_getaffinity(0)), "processor affinity")
    return Limit(os.cpu_count() or 1, "processors of this machine")


def _limits(value: int | None, source: str) -> Iterable[Limit]:
    return [] if value is None or value >= _NO_LIMIT else [Limit(value, source)]


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there is not enough memory, whoever raised it."""
    text = str(error).lower()
    words = ("can't allocate memory", "cannot allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(one in text for one in words)


def out_of_memory(said: str = "", *, step: str = "") -> TryAgainError:
    """What to tell where memory ran out, which libraries often say without a word.

    Parameters
    ----------
    said : str
        Message of the library.
    step : str
        What was being done.
    """
    there = memory_limit()
    return TryAgainError(
        "Memory ran out.",
        where=f"the step {step}" if step else None,
        found=f"{format_bytes(there.value)} are there ({there.source})"
        + (f"; {said}" if said else ""),
        remedy="run the same command with a lower --nprocs or with more memory, or say with "
        "--mem how much there is; it goes on where it stopped",
    )
