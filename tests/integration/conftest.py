"""A small simulated study with its results on this machine, and the container engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from other_machines import DOCKER_IMAGE, TOOLS

from bids_app.cli.run import main
from bids_app.testing.music import default_pieces
from bids_app.testing.simulate import SimulatedStudy, simulate_study

Engine = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Study:
    """A dataset, the options it is analyzed with, and what they gave on this machine.

    Attributes
    ----------
    root : Path
        Holds everything; its name has spaces.
    simulated : SimulatedStudy
    options, group_options : list of str
        Of both levels; of the group level alone.
    bare, cache : Path
        Results and stimulus features, computed without container or cluster.
    """

    root: Path
    simulated: SimulatedStudy
    options: list[str]
    group_options: list[str]
    bare: Path
    cache: Path


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """A small simulated study, and its results on this machine."""
    root = tmp_path_factory.mktemp("study on shared storage")
    simulated = simulate_study(root / "study", n_participants=2, pieces=default_pieces(180.0))
    gradient = ",".join(map(str, simulated.gradient_files))
    made = Study(
        root,
        simulated,
        ["--vggish-weights", "random:0"],
        ["--gradient", gradient, "--n-spins", "100"],
        root / "bare",
        root / "bare cache",
    )
    for level, extra in (("participant", []), ("group", made.group_options)):
        arguments = [str(simulated.bids_dir), str(made.bare), level, *made.options, *extra]
        assert main([*arguments, "--cache-dir", str(made.cache)]) == 0
    return made


@pytest.fixture(scope="session")
def podman() -> Engine:
    """Call podman as the engine script has prepared it; the image of containers/ci.sh is there."""
    script = TOOLS / "container-engine"
    if not script.exists():
        pytest.skip("no container engine")
    subprocess.run([script, "setup"], check=True, capture_output=True)
    line = subprocess.run([script, "env"], check=True, capture_output=True, text=True).stdout
    name, _, value = line.removeprefix("export ").strip().partition("=")
    environment = {**os.environ, name: value}

    def call(*arguments):
        command = ["podman", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    if call("image", "exists", DOCKER_IMAGE).returncode != 0:
        pytest.skip(f"there is no image {DOCKER_IMAGE}: run containers/ci.sh first")
    return call
