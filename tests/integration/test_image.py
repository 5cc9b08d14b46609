"""The image leaves the derivatives that this machine leaves without it, byte for byte."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from importlib.metadata import version

import pytest
from other_machines import DOCKER_IMAGE, ROOT, differences, section

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _same_versions():
    locked = runpy.run_path(str(ROOT / "containers" / "lock.py"))["read_lock"]()
    for name in ("numpy", "scipy", "torch", "librosa", "nilearn"):
        if version(name).split("+")[0] != locked[name]:
            pytest.skip(f"{name} {version(name)} is installed here, {locked[name]} in the image")


def test_the_image_leaves_the_same_derivatives(podman, study, tmp_path):
    output, cache = tmp_path / "results", tmp_path / "cache"
    for folder in (output, cache):
        folder.mkdir()
        folder.chmod(0o777)
    call = [
        *("run", "--rm", "--network=none", "--read-only", "--user", "1234:1234"),
        *("--cap-drop=all", "-v", f"{study.root}:{study.root}:ro"),
        *("-v", f"{output}:{output}", "-v", f"{cache}:{cache}", DOCKER_IMAGE),
    ]
    study.root.chmod(0o755)
    for level, extra in (("participant", []), ("group", study.group_options)):
        app = [study.simulated.bids_dir, output, level, *study.options, *extra]
        done = podman(*call, *app, "--cache-dir", cache)
        assert done.returncode == 0, done.stderr[-4000:]
    assert differences(study.bare, output) == []


def test_a_runtime_without_privileges_leaves_the_same_maps(podman, study, tmp_path):
    """Charliecloud does what Apptainer does: caller's user, read-only root, the host's /tmp."""
    if shutil.which("ch-run") is None:
        pytest.skip("charliecloud is not installed")
    image, name = tmp_path / "image", "musenc-unpacked"
    image.mkdir()
    podman("create", "--name", name, DOCKER_IMAGE)
    podman("export", "--output", tmp_path / "image.tar", name)
    podman("rm", name)
    subprocess.run(["tar", "-xf", tmp_path / "image.tar", "-C", image], check=True)
    settings = " ".join(section("environment").split()).replace("export ", "")
    (tmp_path / "environment").write_text("\n".join(settings.split(" ")) + "\n")
    output = tmp_path / "results"
    output.mkdir()
    # Labels with their prefix, as BABS gives them.
    app = ["participant", "--participant-label", "sub-01", *study.options, "-w", "/tmp/work"]
    done = subprocess.run(
        [
            *("ch-run", f"--set-env={tmp_path / 'environment'}", "--private-tmp"),
            *("-b", f"{study.simulated.bids_dir}:/data", "-b", f"{output}:/out", image, "--"),
            *("/opt/musenc/entrypoint.sh", "/data", "/out", *app),
        ],
        env={"USER": "user", "HOME": "/nowhere", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert differences(study.bare, output, only="sub-01") == []
