"""Each check finds what it is there to find, and the exit code says so."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from bids_app.cli import doctor, tools
from bids_app.limits import Limit
from bids_app.resources import catalog


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """A folder of resources in which everything that is required lies, unverified."""
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path / "resources"))
    (tmp_path / "resources" / "neuromaps").mkdir(parents=True)
    for name in ("NEUROMAPS_DATA", "TEMPLATEFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "resources"


@pytest.fixture
def complete(resources, monkeypatch):
    """All required resources, with checksums that fit."""
    for resource in catalog():
        for path in resource.files if resource.required else ():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
    monkeypatch.setattr(doctor, "file_state", lambda path, _: _state(path))
    return resources


def _state(path):
    return "verified" if path.is_file() else "missing"


def quick(*options):
    return tools.main(["doctor", "--no-self-test", *options])


def test_all_is_well(complete, capsys):
    assert quick() == 0
    output = capsys.readouterr().out
    assert "ready; runs need no network" in output
    assert "licence CC BY-NC-SA 4.0 (neuromaps)" in output
    assert "torch" in output


def test_missing_weights(resources, capsys):
    assert quick() == 66
    output = capsys.readouterr().out
    assert "pretrained VGGish weights: missing" in output
    assert "musenc prefetch vggish --from" in output


def test_damaged_weights(resources):
    for resource in catalog():
        for path in resource.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("not what was published")
    findings = {f.topic: f for f in doctor.check_resources()}
    assert (findings["vggish"].state, findings["vggish"].exit_code) == ("problem", 65)
    assert findings["gradient"].exit_code == 65
    assert findings["spheres"].state == "note"
    assert "not recorded" in findings["spheres"].text
    assert quick() == 65


def test_optional_resources_are_no_problem(complete):
    findings = {f.topic: f for f in doctor.check_resources()}
    assert findings["meshes"].state == "ok"
    assert "optional" in findings["meshes"].text


def test_an_output_folder_that_cannot_be_written(complete, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert quick("--output-dir", str(tmp_path / "file" / "out")) == 73
    assert "output" in capsys.readouterr().out


def test_a_cache_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    bad = [f for f in doctor.check_writing() if f.state == "problem"]
    assert [f.text.split(":")[0] for f in bad] == ["NUMBA_CACHE_DIR"]


def test_writing_leaves_nothing_behind(tmp_path):
    assert {f.state for f in doctor.check_writing(tmp_path)} <= {"ok", "note"}
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_worth_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    (output,) = [f for f in doctor.check_writing(tmp_path) if f.text.startswith("output")]
    assert output.state == "note"
    assert "free" in output.remedy


def test_little_memory_is_worth_a_note(monkeypatch):
    monkeypatch.setattr(doctor, "memory_limit", lambda: Limit(1 << 30, "SLURM_MEM_PER_NODE"))
    memory, processors = doctor.check_limits()
    assert memory.state == "note"
    assert "1.0 GiB (SLURM_MEM_PER_NODE)" in memory.text
    assert 1 <= int(processors.text.split()[0]) <= (os.cpu_count() or 1)


def test_an_absent_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package-of-musenc"))
    (*_, last) = doctor.check_versions()
    assert last.state == "problem"
    assert "no-such-package-of-musenc" in last.text


def test_the_self_test_recovers_what_was_planted():
    findings = list(doctor.self_test())
    assert {f.state for f in findings} == {"ok"}
    assert any("planted response r = 0.9" in f.text for f in findings)


def test_a_failing_self_test_is_a_problem_and_no_crash(monkeypatch):
    def fail():
        raise RuntimeError("no such instruction")
        yield

    monkeypatch.setattr(doctor, "_self_test", fail)
    (finding,) = doctor.self_test()
    assert finding.state == "problem"
    assert "no such instruction" in finding.text
