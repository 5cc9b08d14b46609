"""Resolve the project's dependencies into containers/requirements.lock, or check that file.

``python3.11 containers/lock.py`` writes the newest versions that fit pyproject.toml;
``python3.11 containers/lock.py --check`` fails if the locked versions no longer satisfy
pyproject.toml, or if the lock lacks a package or holds one that nothing needs. Newer releases of a
dependency are no failure: the lock is there to ignore them until somebody renews it.

Every package has the checksum of its file for Linux on x86-64, torch that of PyTorch's index for
the CPU, from which install.sh takes it. Versions are locked without local parts (``2.13.0``, not
``2.13.0+cpu``), because one pin has to fit PyTorch's CPU and CUDA builds.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "containers" / "requirements.lock"
PYTHON = (3, 11)
HEADER = """\
# Every package of the container image, for Python 3.11 on Linux.
# Made by containers/lock.py from pyproject.toml; do not edit by hand.
"""


def declared() -> list[str]:
    """The runtime requirements of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [str(requirement) for requirement in project["dependencies"]]


def canonical(name: str) -> str:
    """A distribution name as package indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """Versions by package name."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    pins = (line.split()[0].split("==") for line in lines if line)
    return {canonical(name): version for name, version in pins}


def resolve(constraints: Path | None = None) -> dict[str, tuple[str, str]]:
    """Versions and SHA-256 of what pip would install for the declared requirements."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    with tempfile.TemporaryDirectory() as folder:
        if constraints is not None:
            versions = (
                Path(folder) / "versions.txt"
            )  # hashes would have to be those of every package
            pins = read_lock(constraints).items()
            versions.write_text("".join(f"{name}=={version}\n" for name, version in pins))
            command += ["--constraint", str(versions)]
        report = Path(folder) / "report.json"
        done = subprocess.run([*command, "--report", str(report), *declared()], check=False)
        if done.returncode != 0:
            raise SystemExit(f"pip found no versions that fit {constraints or 'pyproject.toml'}")
        packages = json.loads(report.read_text())["install"]
    return {
        canonical(item["metadata"]["name"]): (
            item["metadata"]["version"].split("+")[0],
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in packages
    }


def main() -> int:
    """Write or check the lock file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        raise SystemExit(f"the lock is for Python {PYTHON[0]}.{PYTHON[1]}: run this script with it")
    if not options.check:
        pins = resolve()
        lines = [
            f"{name}=={version} --hash=sha256:{checksum}\n"
            for name, (version, checksum) in sorted(pins.items())
        ]
        LOCK.write_text(HEADER + "".join(lines))
        sys.stdout.write(f"{LOCK.relative_to(ROOT)}: {len(lines)} packages\n")
        return 0
    locked, needed = read_lock(), resolve(LOCK)
    problems = [f"not locked: {name}" for name in sorted(needed.keys() - locked.keys())]
    problems += [f"not needed: {name}" for name in sorted(locked.keys() - needed.keys())]
    for problem in problems:
        sys.stdout.write(problem + "\n")
    sys.stdout.write(
        f"the lock {'has drifted; run containers/lock.py' if problems else 'fits pyproject.toml'}\n"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
