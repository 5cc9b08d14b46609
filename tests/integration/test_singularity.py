"""Singularity.def does in a bare root what the Dockerfile does.

Apptainer is not needed: the sections are run in a container of the base image, and what they
installed is compared with the image that containers/ci.sh built.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from other_machines import DOCKER_IMAGE, ROOT, TOOLS, section

ENGINE = TOOLS / "container-engine"
IMAGE = "musenc-singularity-test"
LISTING = (
    "cd /opt/musenc && find . -type f ! -name '*.pyc' ! -name RECORD ! -name SHA256SUMS | sort"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(podman, tmp_path_factory):
    """An image made by the sections of Singularity.def."""
    context = tmp_path_factory.mktemp("context")
    recipe = ["FROM python:3.11-slim-bookworm"]
    for line in section("files").splitlines():
        if line.strip():
            source, target = line.split()
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, context / source)
            recipe.append(f"COPY {source} {target}")
    # What `--bind FOLDER:/mnt` brings: the same resources as in the other image.
    (context / "resources").mkdir()
    podman("create", "--name", IMAGE, DOCKER_IMAGE)
    done = podman("cp", f"{IMAGE}:/opt/musenc/resources/.", str(context / "resources"))
    podman("rm", IMAGE)
    assert done.returncode == 0, done.stderr
    post = section("post", TORCH_INDEX="", RESOURCES="/mnt", WEIGHTS="none")
    assert "{{" not in post
    (context / "post.sh").write_text(post)
    (context / "runscript").write_text("#!/bin/sh\n" + section("runscript"))
    (context / "test").write_text("#!/bin/sh\nset -e\n" + section("test"))
    recipe += ["COPY resources /mnt", "COPY post.sh runscript test /sections/"]
    recipe += ["RUN sh -e /sections/post.sh && rm -rf /mnt/* && chmod +x /sections/*"]
    (context / "Dockerfile").write_text("\n".join(recipe) + "\n")
    done = subprocess.run([ENGINE, "build", IMAGE, context], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return f"localhost/{IMAGE}"


@pytest.fixture(scope="module")
def run(podman, image):
    """Run a command in the image the way Singularity does: environment section, no network."""

    def call(command):
        script = section("environment") + command
        strict = ("--network=none", "--read-only", "--user", "1234:1234")
        return podman("run", "--rm", *strict, "--entrypoint", "sh", image, "-c", script)

    return call


def test_both_recipes_install_the_same_files(podman, run):
    listing = podman("run", "--rm", "--entrypoint", "sh", DOCKER_IMAGE, "-c", LISTING)
    other = run(LISTING)
    assert listing.stdout.splitlines() == other.stdout.splitlines()
    assert len(listing.stdout.splitlines()) > 10_000


def test_both_recipes_install_the_same_versions(podman, run):
    command = "cat /opt/musenc/share/LICENSES.tsv"
    listing = podman("run", "--rm", "--entrypoint", "sh", DOCKER_IMAGE, "-c", command)
    assert run(command).stdout == listing.stdout


def test_nothing_is_left_of_the_build(run):
    assert run("test ! -e /opt/source && test -d /data && test -d /out").returncode == 0


def test_runscript(run):
    done = run("exec /sections/runscript --version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("musenc-bidsapp ")
    assert run("exec /sections/runscript /data /out nonsense").returncode == 2


def test_test_section(run):
    done = run("exec /sections/test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "self-test" in done.stdout
