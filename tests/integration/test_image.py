"""The image leaves the derivatives that this machine leaves without it, byte for byte."""

from __future__ import annotations

import runpy
from importlib.metadata import version

import pytest
from other_machines import DOCKER_IMAGE, ROOT, differences

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_the_image_leaves_the_same_derivatives(podman, study, tmp_path):
    locked = runpy.run_path(str(ROOT / "containers" / "lock.py"))["read_lock"]()
    for name in ("numpy", "scipy", "torch", "librosa", "nilearn"):
        if version(name).split("+")[0] != locked[name]:
            pytest.skip(f"{name} {version(name)} is installed here, {locked[name]} in the image")
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
