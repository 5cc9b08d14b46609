"""``musenc doctor``: is everything here that a run needs, and does it work?"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from bids_app import __version__
from bids_app.disk import free_bytes
from bids_app.errors import BadDataError, CannotWriteError, MissingInputError, MusencError
from bids_app.limits import cpu_limit, format_bytes, memory_limit
from bids_app.log import tell
from bids_app.resources import Resource, catalog, file_state, resources_dir

PACKAGES = (
    *("numpy", "scipy", "torch", "librosa", "nibabel", "nilearn", "nipype", "pybids"),
    *("neuromaps", "templateflow"),
)
ENOUGH_MEMORY = 4 << 30
ENOUGH_DISK = 2 << 30
CACHE_VARIABLES = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TMPDIR")

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    topic, text : str
        For people.
    state : {"ok", "note", "problem"}
        A note is worth knowing; a problem stops a run with default options.
    remedy : str
        What to do about it.
    exit_code : int
        Of a problem.
    """

    topic: str
    text: str
    state: State = "ok"
    remedy: str = ""
    exit_code: int = 1


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc doctor``."""
    parser = commands.add_parser(
        "doctor",
        help="check versions, resources, limits, write access, and the program itself",
        description="Reports what is installed and usable, under which licence, and whether runs "
        "need a network, and tests the program on a small problem. Exit code: 0 ready; 65 a file "
        "is damaged; 66 a resource that default options need is missing; 73 a folder cannot be "
        "written; 1 anything else.",
    )
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="folder to try writing to, too"
    )
    parser.add_argument(
        "--no-self-test", action="store_true", help="leave out the calculation (about 20 s)"
    )
    parser.set_defaults(work=_run_doctor)


def _run_doctor(options: argparse.Namespace) -> int:
    checks: list[Callable[[], Iterator[Finding]]] = [
        check_versions,
        check_limits,
        check_device,
        check_resources,
        lambda: check_writing(options.output_dir),
    ]
    if not options.no_self_test:
        checks.append(self_test)
    findings = []
    for check in checks:
        for finding in check():
            findings.append(finding)
            tell(_line(finding))
    problems = [finding for finding in findings if finding.state == "problem"]
    found = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    tell(f"\n{found}" if problems else "\nready; runs need no network")
    return problems[0].exit_code if problems else 0


def _line(finding: Finding) -> str:
    line = f"{finding.state:8}{finding.topic:12}{finding.text}"
    return f"{line}\n{'':20}do this: {finding.remedy}" if finding.remedy else line


def check_versions() -> Iterator[Finding]:
    """The program, Python, and the packages it stands on."""
    yield Finding(
        "version",
        f"musenc-bidsapp {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )
    found, absent = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    yield Finding("packages", ", ".join(found))
    if absent:
        yield Finding(
            "packages",
            f"not installed: {', '.join(absent)}",
            "problem",
            "install the program with pip, which brings them",
        )


def check_limits() -> Iterator[Finding]:
    """Memory and processors of this job."""
    memory, cpus = memory_limit(), cpu_limit()
    text = f"{format_bytes(memory.value)} ({memory.source})"
    if memory.value < ENOUGH_MEMORY:
        yield Finding(
            "memory", text, "note", f"give the job at least {format_bytes(ENOUGH_MEMORY)}"
        )
    else:
        yield Finding("memory", text)
    yield Finding("processors", f"{cpus.value} ({cpus.source})")


def check_device() -> Iterator[Finding]:
    """What the audio network would run on."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        yield Finding("device", f"cuda: {', '.join(names)}")
    else:
        build = f"torch for CUDA {torch.version.cuda}" if torch.version.cuda else "torch for CPU"
        yield Finding("device", f"cpu ({build}; no usable GPU)")


def check_resources() -> Iterator[Finding]:
    """Weights, gradient and meshes, with checksums and licences."""
    yield Finding("resources", str(resources_dir()))
    for resource in catalog():
        yield _resource(resource)


def _resource(resource: Resource) -> Finding:
    states = {path: file_state(path, resource) for path in resource.files}
    damaged = [path for path, state in states.items() if state == "damaged"]
    missing = [path for path, state in states.items() if state == "missing"]
    command = f"musenc prefetch {resource.name}"
    if damaged:
        return Finding(
            resource.name,
            f"{resource.title}: wrong checksum: {damaged[0]}",
            "problem",
            f"delete the file, then `{command}`",
            BadDataError.exit_code,
        )
    if missing and resource.required:
        return Finding(
            resource.name,
            f"{resource.title}: missing: {missing[0]}",
            "problem",
            f"`{command}` where there is a network, `{command} --from FOLDER` where there is none",
            MissingInputError.exit_code,
        )
    if missing:
        return Finding(resource.name, f"{resource.title}: not installed (optional)")
    unknown = "unknown" in states.values()
    detail = "checksum not recorded" if unknown else "checksum verified"
    return Finding(
        resource.name,
        f"{resource.title}: {detail}; licence {resource.license}",
        "note" if unknown else "ok",
    )


def check_writing(output_dir: Path | None = None) -> Iterator[Finding]:
    """Folders that libraries write to, and the output folder if one is given."""
    folders = {name: Path(os.environ[name]) for name in CACHE_VARIABLES if os.environ.get(name)}
    folders.setdefault("TMPDIR", Path(tempfile.gettempdir()))
    if output_dir is not None:
        folders["output"] = output_dir
    for name, folder in folders.items():
        problem = _cannot_write(folder)
        if problem:
            yield Finding(
                "writing",
                f"{name}: {folder}: {problem}",
                "problem",
                f"let {name} name a folder that can be written"
                if name != "output"
                else "give another folder, or mount it writable",
                CannotWriteError.exit_code,
            )
            continue
        free = free_bytes(folder)
        low = name in ("TMPDIR", "output") and free < ENOUGH_DISK
        yield Finding(
            "writing",
            f"{name}: {folder}, {format_bytes(free)} free",
            "note" if low else "ok",
            f"have at least {format_bytes(ENOUGH_DISK)} free" if low else "",
        )


def _cannot_write(folder: Path) -> str:
    """Why a folder cannot be written, or nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def self_test() -> Iterator[Finding]:
    """Music to features to encoding, on a planted truth, in about 20 seconds."""
    started = time.monotonic()
    try:
        yield from _self_test()
    except (MusencError, ImportError, RuntimeError, ValueError, OSError) as error:
        yield Finding(
            "self-test",
            f"{type(error).__name__}: {error}",
            "problem",
            "reinstall the program; if that does not help, report this output",
        )
    else:
        yield Finding("self-test", f"took {time.monotonic() - started:.0f} s")


def _self_test() -> Iterator[Finding]:
    import numpy as np

    from bids_app.encoding import nested_ridge
    from bids_app.features.logmel import log_mel_patches
    from bids_app.features.stream import layer_grams
    from bids_app.features.vggish import load_vggish
    from bids_app.seeds import generator
    from bids_app.surface.mesh import load_mesh

    mesh = load_mesh("fsaverage5")
    yield Finding("self-test", f"fsaverage5 surfaces: {len(mesh.left.sphere)} vertices each")
    rng = generator(0, "self-test")
    patches, _ = log_mel_patches(rng.normal(size=16000 * 4))
    (gram,) = layer_grams(load_vggish("random:0"), [patches], layers=["conv2"])
    if not (np.isfinite(gram.gram).all() and np.linalg.eigvalsh(gram.gram)[-1] > 0):
        raise RuntimeError("the audio network returned no usable features")
    yield Finding("self-test", f"audio network: {gram.n_units:,} units of conv2")
    features = [rng.normal(size=(120, 5)) for _ in range(3)]
    responses = [
        np.column_stack(
            [np.roll(x, 4, axis=0)[:, 0] + 0.3 * rng.normal(size=120), rng.normal(size=120)]
        )
        for x in features
    ]
    result = nested_ridge(features, responses, delays=(3, 5), crop=10, tr=1.0)
    planted, silent = (float(r) for r in result.mean_r)
    if not (planted > 0.8 and abs(silent) < 0.4):
        raise RuntimeError(f"a planted response was not recovered: r = {planted:.2f}")
    yield Finding("self-test", f"encoding: planted response r = {planted:.2f}, noise {silent:.2f}")
