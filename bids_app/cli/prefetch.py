"""``musenc prefetch``: fill the folder of resources once, so that no run needs a network."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bids_app.errors import BadDataError, MissingInputError, MusencError
from bids_app.files import atomic_path, sha256_of_file, write_text
from bids_app.held import private_folder
from bids_app.log import set_up_logging, tell
from bids_app.meshes import DENSITIES, MESHES
from bids_app.resources import (
    CHECKSUMS_FILE,
    FINE_MESHES,
    MESH_FILES,
    VGGISH_FILE,
    Resource,
    catalog,
    file_state,
    networks_paths,
    neuromaps_dir,
    recorded_checksums,
    resources_dir,
    templateflow_dir,
)

LOGGER = logging.getLogger("bids_app")
VGGISH_URL = f"https://github.com/harritaylor/torchvggish/releases/download/v0.1/{VGGISH_FILE}"

NETWORKS_URL = (
    "https://github.com/ThomasYeoLab/CBIG/raw/master/stable_projects/brain_parcellation/"
    "Yeo2011_fcMRI_clustering/1000subjects_reference/Yeo_JNeurophysiol11_SplitLabels/fsaverage5/"
    "label/"
)


def add_prefetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc prefetch``."""
    names = ", ".join(resource.name for resource in catalog())
    parser = commands.add_parser(
        "prefetch",
        help="download weights, gradient and meshes once, so that runs need no network",
        description="Fills the folder named by MUSENC_RESOURCES (default: ~/.cache/musenc), checks "
        "the checksums, and records them. Valid files are kept. Licences: see "
        "`musenc doctor`.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        type=_name,
        help=f"what to fetch: {names} (default: what a run with default options needs)",
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="take the files from this folder (searched by name) instead of downloading them; for "
        "musicnn and corpus also a folder that holds their wheel, or the wheel",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="with --from: name the files that the folder lacks, and succeed",
    )
    parser.set_defaults(work=_run_prefetch)


def _name(text: str) -> str:
    if text not in (names := [resource.name for resource in catalog()]):
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
    return text


def _run_prefetch(options: argparse.Namespace) -> int:
    prefetch(options.names, source=options.source, allow_missing=options.allow_missing)
    return 0


def prefetch(
    names: list[str], *, source: Path | None = None, allow_missing: bool = False
) -> list[Resource]:
    """Put resources in place and record their checksums.

    Parameters
    ----------
    names : list of str
        Names from the catalog; empty: all that are required.
    source : Path or None
        Folder to copy from, or a wheel; None: download.
    allow_missing : bool
        Whether a file that `source` lacks is no error.

    Returns
    -------
    list of Resource
        Those that are complete now.

    Raises
    ------
    MissingInputError
        If a file is not in `source` or cannot be downloaded.
    BadDataError
        If a file has another checksum than it should.
    CannotWriteError
        If the folder of resources cannot be written.
    """
    if "NEUROMAPS_DATA" not in os.environ and _can_create(resources_dir() / "neuromaps"):
        (resources_dir() / "neuromaps").mkdir(parents=True, exist_ok=True)
    wanted = [r for r in catalog() if (r.name in names if names else r.required)]
    complete = []
    for resource in wanted:
        absent = [p for p in resource.files if file_state(p, resource) in ("missing", "damaged")]
        if absent:
            LOGGER.info("%s: fetching %d files", resource.title, len(absent))
            try:
                _fetch(resource, absent, source)
            except MissingInputError as error:
                if not allow_missing:
                    raise
                LOGGER.warning("%s", error)
                continue
        LOGGER.info("%s: complete (%s)", resource.title, resource.license)
        complete.append(resource)
    _record(complete)
    return complete


def _can_create(folder: Path) -> bool:
    return folder.is_dir() or os.access(_first_existing(folder), os.W_OK)


def _first_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _fetch(resource: Resource, files: list[Path], source: Path | None) -> None:
    if templateflow_dir() in resource.files[0].parents:
        _prepare_templateflow()
    if source is not None:
        if resource.name not in WHEELS or not _unpack(WHEELS[resource.name](), source):
            for path in files:
                _copy(path, resource, source)
    else:
        _download(resource)
    for path in files:
        state = file_state(path, resource)
        if state in ("missing", "damaged"):
            raise BadDataError(
                "The download of a resource is missing or damaged.",
                where=path,
                found=f"{resource.title}: {state}",
                wanted=f"SHA-256 {resource.sha256.get(path.name, 'of any value')}",
                remedy="delete the file and run `musenc prefetch` again",
            )


def _copy(target: Path, resource: Resource, source: Path) -> None:
    """Copy the first file of that name whose checksum is right."""
    if not source.is_dir():
        raise MissingInputError(
            "--from names no folder that is there.",
            where=source,
            found="no folder",
            wanted="a folder with the files",
            remedy="correct the path",
        )
    wanted = resource.sha256.get(target.name, "")
    found = [p for p in sorted(source.rglob(target.name)) if p.is_file() and p.stat().st_size]
    if not found:
        raise MissingInputError(
            "A file of a resource is not in the folder.",
            where=f"{resource.title}: {source}",
            found="no such file",
            wanted=target.name,
            remedy="run `musenc prefetch` on a machine with a network and give its folder "
            "(MUSENC_RESOURCES) to --from",
        )
    for candidate in found:
        if sha256_of_file(candidate).startswith(wanted):
            with atomic_path(target) as temporary:
                shutil.copyfile(candidate, temporary)
            return
    raise BadDataError(
        "A file of a resource has the wrong content.",
        where=f"{resource.title}: {found[0]}",
        found=f"SHA-256 {sha256_of_file(found[0])}",
        wanted=f"SHA-256 {wanted}",
        remedy="fetch the file again",
    )


def _download(resource: Resource) -> None:
    """Download through the libraries that own the files.

    Raises
    ------
    MissingInputError
        If there is no network, or the server has no such file.
    """
    downloads: dict[str, Callable[[], None]] = {
        "vggish": _download_vggish,
        "gradient": lambda: _download_gradients(["fcgradient01"]),
        "gradients": lambda: _download_gradients([f"fcgradient{n:02d}" for n in range(2, 11)]),
        # The archive of the mesh holds the registered spheres too.
        "spheres": lambda: _download_atlas("fsLR", "32k"),
        "cortex": lambda: _download_atlas("fsaverage", "10k"),
        **{name: partial(_download_wheel, name) for name in WHEELS},
        "parcels": lambda: _download_template(
            "fsaverage5", "dseg", ".label.gii", atlas="Desikan2006", segmentation="aparc", desc=None
        ),
        "networks": _download_networks,
        **{name: partial(_download_mesh, space) for name, space in FINE_MESHES.items()},
        **{
            row.prefetch: partial(_download_atlas, row.template, row.density)
            for row in MESHES.values()
            if row.source == "neuromaps"
        },
    }
    try:
        downloads[resource.name]()
    except MusencError:
        raise
    # What a library raises when the network fails differs: OSError of requests and urllib,
    # RuntimeError (wrong checksum) of torch, ValueError of nilearn.
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_download(resource.title, resource.files[0].name, error) from error


def _no_download(title: str, name: str, error: Exception) -> MissingInputError:
    return MissingInputError(
        "A resource cannot be downloaded.",
        where=f"{title}: {name}",
        found=f"{type(error).__name__}: {error}",
        wanted="the file, with its checksum",
        remedy="run `musenc prefetch` on a machine with a network and copy its folder "
        "(MUSENC_RESOURCES), or `musenc prefetch --from FOLDER`",
    )


def _download_vggish() -> None:
    prefix = VGGISH_FILE.removeprefix("vggish-").removesuffix(".pth")
    target = resources_dir() / VGGISH_FILE
    _download_url(VGGISH_URL, target, "pretrained VGGish weights", hash_prefix=prefix)


def _download_networks() -> None:
    for path in networks_paths():
        _download_url(NETWORKS_URL + path.name, path, "networks of Yeo et al.")


def _download_url(url: str, target: Path, title: str, hash_prefix: str | None = None) -> None:
    from torch.hub import download_url_to_file

    with atomic_path(target) as temporary:
        try:
            download_url_to_file(url, str(temporary), hash_prefix=hash_prefix, progress=False)
        # Here, or the failing network would be told as a file that cannot be written.
        except (OSError, RuntimeError) as error:
            raise _no_download(title, url, error) from error


@dataclass(frozen=True)
class _Wheel:
    """A wheel that something is taken out of; it is not installed, and no code in it is run."""

    name: str
    sha256: str
    unpack: Callable[[Path], None]


def _musicnn_wheel() -> _Wheel:
    from bids_app.features.networks import musicnn_wheel as own

    return _Wheel(own.WHEEL, own.WHEEL_SHA256, own.unpack_wheel)


def _corpus_wheel() -> _Wheel:
    from bids_app.features import known_music as own

    return _Wheel(own.WHEEL, own.WHEEL_SHA256, own.unpack_chorales)


WHEELS: dict[str, Callable[[], _Wheel]] = {"musicnn": _musicnn_wheel, "corpus": _corpus_wheel}
"""Resources that come out of wheels."""


def _unpack(wheel: _Wheel, source: Path) -> bool:
    """Take what is needed out of a wheel; False where there is none."""
    found = [source] if source.is_file() else sorted(source.rglob(wheel.name))
    if found:
        wheel.unpack(found[0])
    return bool(found)


def _download_wheel(resource: str) -> None:
    """Let pip, which knows the user's index and proxy, fetch the wheel; nothing is installed."""
    wheel = WHEELS[resource]()
    name, version, *_ = wheel.name.split("-")
    title = f"wheel of {name}"
    if find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif (program := shutil.which("pip3") or shutil.which("pip")) is not None:
        pip = [program]
    else:
        raise _no_download(title, wheel.name, FileNotFoundError("there is no pip"))
    with private_folder("wheel") as folder:
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{name}=={version} --hash=sha256:{wheel.sha256}\n")
        options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--retries=1")
        done = subprocess.run(
            [*pip, "download", *options, "--dest", str(folder), "--requirement", str(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not (folder / wheel.name).is_file():
            said = [line for line in done.stderr.splitlines() if "ERROR" in line]
            raise _no_download(title, wheel.name, OSError("; ".join(said) or done.stderr.strip()))
        wheel.unpack(folder / wheel.name)


def _download_gradients(descriptions: list[str]) -> None:
    from neuromaps.datasets import fetch_annotation

    for description in descriptions:
        fetch_annotation(
            source="margulies2016",
            desc=description,
            space="fsLR",
            den="32k",
            data_dir=str(neuromaps_dir()),
            verbose=0,
        )


def _download_atlas(name: str, density: str) -> None:
    from neuromaps.datasets import fetch_atlas

    fetch_atlas(name, density, data_dir=str(neuromaps_dir()), verbose=0)


def _prepare_templateflow() -> None:
    """Let TemplateFlow lay out its folder, without which it finds nothing that lies there."""
    # It reads the folder's name when it is imported.
    os.environ["TEMPLATEFLOW_HOME"] = str(templateflow_dir())
    import_module("templateflow.conf")


def _download_mesh(space: str) -> None:
    for suffix, extension in MESH_FILES:
        _download_template(space, suffix, extension, desc=None)


def _download_template(space: str, suffix: str, extension: str, **entities: str | None) -> None:
    from templateflow import api

    api.get(
        "fsaverage",
        density=DENSITIES[space],
        suffix=suffix,
        extension=extension,
        raise_empty=True,
        **entities,
    )


def _record(resources: list[Resource]) -> None:
    """Write down the checksums of what is in place, beside what was recorded before."""
    paths = [path for resource in resources for path in resource.files]
    if not paths:
        return
    sums = recorded_checksums() | {path.name: sha256_of_file(path) for path in paths}
    lines = [f"{checksum}  {name}\n" for name, checksum in sorted(sums.items())]
    write_text(resources_dir() / CHECKSUMS_FILE, "".join(lines))


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m bids_app.cli.prefetch``, which needs little of the package: for images."""
    parser = argparse.ArgumentParser(prog="musenc")
    add_prefetch(parser.add_subparsers())
    options = parser.parse_args(["prefetch", *(sys.argv[1:] if argv is None else argv)])
    set_up_logging()
    try:
        return int(options.work(options))
    except MusencError as error:
        tell(f"\nerror: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
