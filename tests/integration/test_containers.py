"""The container's recipes: lock, entry point, and that both recipes say the same.

Building and running the image takes minutes and an engine: containers/ci.sh does that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from other_machines import ROOT, SINGULARITY, section

CONTAINERS = ROOT / "containers"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = {"dependencies", "resources", "application", "system"}


def locked() -> dict[str, str]:
    """Locked versions, read by the script that writes them."""
    code = (
        "import json, runpy; m = runpy.run_path('containers/lock.py'); "
        "print(json.dumps(m['read_lock']()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return dict(json.loads(done.stdout))


class TestLock:
    def test_satisfies_pyproject(self):
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        versions = locked()
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wrong = [
            text
            for text in project["dependencies"]
            for requirement in [Requirement(text)]
            if not requirement.specifier.contains(
                versions.get(canonicalize_name(requirement.name), "0")
            )
        ]
        assert wrong == [], "run containers/lock.py with Python 3.11"

    def test_pins_fit_every_build_of_torch(self):
        versions = locked()
        assert not any("+" in version for version in versions.values())
        assert "torch" in versions

    def test_is_exact_and_holds_no_development_tools(self):
        lines = (CONTAINERS / "requirements.lock").read_text().splitlines()
        pins = [line for line in lines if not line.startswith("#")]
        pin = r"[a-z0-9.-]+==[0-9a-z.]+ --hash=sha256:[0-9a-f]{64}"
        assert all(re.fullmatch(pin, line) for line in pins)
        assert pins == sorted(pins)
        assert not {"pytest", "ruff", "mypy"} & locked().keys()


class TestRecipes:
    def test_both_run_every_step_of_the_same_script(self):
        called = re.findall(r"install\.sh ([a-z ]+?)(?: &&|$)", DOCKERFILE, re.MULTILINE)
        assert {step for words in called for step in words.split()} == STEPS
        called = re.findall(r"install\.sh ([a-z ]+)$", section("post"), re.MULTILINE)
        assert {step for words in called for step in words.split()} == STEPS

    def test_both_set_the_same_environment(self):
        docker = dict(re.findall(r"^(?:ENV)?\s+([A-Z_]+)=(\S+)", DOCKERFILE, re.MULTILINE))
        singularity = dict(re.findall(r"([A-Z_]+)=(\S+)", section("environment")))
        assert singularity.items() <= docker.items()
        # Singularity has the user's own home, and writes the tag where one is given.
        assert docker.keys() - singularity.keys() == {"HOME", "MUSENC_IMAGE_TAG"}
        assert "MUSENC_IMAGE_TAG" in section("post")
        assert "/tmp" not in "".join(docker.values())

    def test_nobody_needs_to_be_root(self):
        user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
        assert len(user) == 1
        assert "0" not in user[0]
        assert DOCKERFILE.index("USER ") > DOCKERFILE.rindex("RUN ")

    def test_every_package_comes_from_one_index_and_is_held_against_its_checksum(self):
        script = (CONTAINERS / "install.sh").read_text()
        assert "--extra-index-url" not in script
        installs = [
            line for line in script.replace("\\\n", "").splitlines() if "pip install" in line
        ]
        free = [
            line for line in installs if "--require-hashes" not in line and '"$source"' not in line
        ]
        # What torch alone needs, from the index of torch alone.
        assert [line.split()[-1] for line in free] == ['"$torch"']
        assert all("--no-build-isolation" in line for line in installs if '"$source"' in line)

    def test_the_base_can_be_named_by_its_digest(self):
        assert re.search(r"^FROM \$\{BASE\} AS", DOCKERFILE, re.MULTILINE)
        assert "org.opencontainers.image.base.name" in DOCKERFILE

    def test_both_start_from_the_same_base_and_torch(self):
        base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE).group(1)
        assert f"From: {base}\n" in SINGULARITY
        index = re.search(r"^ARG TORCH_INDEX=(\S+)$", DOCKERFILE, re.MULTILINE).group(1)
        assert f"TORCH_INDEX={index}\n" in section("arguments")

    def test_singularity_copies_what_exists(self):
        sources = [line.split()[0] for line in section("files").splitlines() if line.strip()]
        assert all((ROOT / source).exists() for source in sources)
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        assert all(f"!{source}" in ignored for source in sources)

    def test_licences_are_told(self):
        notice = (ROOT / "NOTICE").read_text()
        for name in ("neuromaps", "CC BY-NC-SA", "VGGish", "FreeSurfer", "Margulies"):
            assert name in " ".join(notice.replace("Creative Commons BY", "CC BY").split())
        assert "CC-BY-NC-SA-4.0" in DOCKERFILE
        assert "CC-BY-NC-SA-4.0" in SINGULARITY


@pytest.mark.parametrize(
    "script", sorted(CONTAINERS.rglob("*.sh")) + sorted(CONTAINERS.rglob("*.sbatch")), ids=str
)
def test_scripts_can_be_parsed(script):
    shell = "sh" if script.read_text().startswith("#!/bin/sh") else "bash"
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestEntryPoint:
    @pytest.fixture
    def run(self, tmp_path):
        """Run the entry point with a stand-in for the program, which tells what it was given."""
        program = tmp_path / "bin" / "musenc-bidsapp"
        program.parent.mkdir()
        program.write_text(
            '#!/bin/sh\necho "arguments:$*"\nenv | grep -E "^(HOME|MPLCONFIGDIR|NUMBA)"\nexit 16\n'
        )
        program.chmod(0o755)

        def call(*arguments, **variables):
            environment = {
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "TMPDIR": str(tmp_path),
                "HOME": str(tmp_path),
                **variables,
            }
            command = ["sh", str(CONTAINERS / "entrypoint.sh"), *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True)

        return call

    def test_arguments_go_to_the_app_and_its_exit_code_comes_back(self, run):
        done = run("/data", "/out", "participant", "--task-id", "a b")
        assert "arguments:/data /out participant --task-id a b\n" in done.stdout
        assert done.returncode == 16

    def test_a_program_named_first_is_run_instead(self, run):
        done = run("sh", "-c", "echo $((6 * 7))")
        assert (done.stdout, done.returncode) == ("42\n", 0)

    def test_every_user_has_folders_of_their_own(self, run, tmp_path):
        done = run("/data", "/out", "participant")
        scratch = tmp_path / f"musenc-{os.getuid()}"
        assert f"MPLCONFIGDIR={scratch}/matplotlib" in done.stdout
        assert f"NUMBA_CACHE_DIR={scratch}/numba" in done.stdout
        assert f"HOME={tmp_path}\n" in done.stdout

    def test_its_folder_is_private(self, run, tmp_path):
        run("/data", "/out", "participant")
        assert (tmp_path / f"musenc-{os.getuid()}").stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("trap", ["open", "group", "link", "file", "somebody else's"])
    def test_a_folder_that_others_prepared_is_not_entered(self, run, tmp_path, trap):
        """Numba runs pickles that it finds in its cache."""
        scratch, target = tmp_path / f"musenc-{os.getuid()}", tmp_path / "target"
        target.mkdir(mode=0o700)
        if trap == "link":
            scratch.symlink_to(target)
        elif trap == "file":
            scratch.write_text("")
        else:
            scratch.mkdir()
            scratch.chmod({"open": 0o777, "group": 0o770}.get(trap, 0o700))
        if trap == "somebody else's":
            if os.getuid() != 0:
                pytest.skip("only root can give a folder away")
            os.chown(scratch, 12345, 12345)
        done = run("/data", "/out", "participant")
        (cache,) = re.findall(r"NUMBA_CACHE_DIR=(.*)/numba", done.stdout)
        own = os.lstat(cache)
        assert cache != str(scratch)
        assert (own.st_mode & 0o777, own.st_uid) == (0o700, os.getuid())
        assert str(scratch) in done.stderr
        assert list(target.iterdir()) == []

    @pytest.mark.parametrize("home", ["/", "/nowhere"])
    def test_a_home_that_is_no_use_is_replaced(self, run, tmp_path, home):
        done = run("/data", "/out", "participant", HOME=home)
        assert f"HOME={tmp_path}/musenc-{os.getuid()}\n" in done.stdout

    def test_no_writable_folder_is_told(self, run, tmp_path):
        (tmp_path / "file").write_text("")
        done = run("--version", TMPDIR=str(tmp_path / "file"))
        assert done.returncode == 73
        assert "TMPDIR" in done.stderr

    def test_signals_reach_the_program(self, run, tmp_path):
        """Because it replaces the shell: the process that was started is the program."""
        done = run("sh", "-c", "echo $PPID")
        assert int(done.stdout) == os.getpid()
