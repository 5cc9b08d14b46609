"""Limits of memory and processors, from made-up /proc and /sys trees."""

from __future__ import annotations

import os

import pytest

from bids_app.limits import Limit, cpu_limit, format_bytes, memory_limit

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    """A machine with 64 GiB free whose control groups say nothing yet."""

    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    write("proc/meminfo", f"MemTotal: {128 << 20} kB\nMemAvailable: {64 << 20} kB\n")
    write.root = tmp_path
    return write


def test_without_limits_what_is_free_counts_and_never_the_total(machine):
    limit = memory_limit(root=machine.root, environ={})
    assert limit == Limit(64 * GIB, "free on this machine")


def test_version_2_takes_the_smallest_of_the_group_and_its_parents(machine):
    machine("proc/self/cgroup", "0::/job/step\n")
    machine("sys/fs/cgroup/job/step/memory.max", "max\n")
    machine("sys/fs/cgroup/job/memory.max", f"{8 * GIB}\n")
    machine("sys/fs/cgroup/memory.max", f"{16 * GIB}\n")
    assert memory_limit(root=machine.root, environ={}) == Limit(8 * GIB, "control group")


def test_version_2_quota_is_rounded_up(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    machine("proc/self/cgroup", "0::/\n")
    machine("sys/fs/cgroup/cpu.max", "250000 100000\n")
    assert cpu_limit(root=machine.root, environ={}) == Limit(3, "control group quota")


def test_version_1_ignores_the_number_that_means_no_limit(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    machine("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
    machine("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    machine("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert memory_limit(root=machine.root, environ={}).source == "free on this machine"
    assert cpu_limit(root=machine.root, environ={}) == Limit(16, "processor affinity")


def test_version_1_sees_the_upper_end_of_a_path_of_the_host(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    machine("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n")
    machine("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{2 * GIB}\n")
    machine("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n")
    machine("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert memory_limit(root=machine.root, environ={}).value == 2 * GIB
    assert cpu_limit(root=machine.root, environ={}).value == 4


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, Limit(4 * GIB, "SLURM_MEM_PER_NODE")),
        (
            {"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "4"},
            Limit(8 * GIB, "SLURM_MEM_PER_CPU"),
        ),
        ({"SLURM_MEM_PER_NODE": "0"}, Limit(64 * GIB, "free on this machine")),
        ({"SLURM_MEM_PER_NODE": str(256 * 1024)}, Limit(64 * GIB, "free on this machine")),
    ],
)
def test_slurm_memory(machine, env, expected):
    assert memory_limit(root=machine.root, environ=env) == expected


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8"}, 4),
        ({"SLURM_CPUS_ON_NODE": "8"}, 8),
        ({"SLURM_CPUS_ON_NODE": "64"}, 16),
        ({}, 16),
    ],
)
def test_slurm_processors(machine, monkeypatch, env, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert cpu_limit(root=machine.root, environ=env).value == expected


def test_a_machine_without_proc_still_has_a_limit(tmp_path):
    limit = memory_limit(root=tmp_path, environ={})
    assert limit.source == "half the machine"
    assert limit.value > 0


def test_the_real_machine_answers():
    assert memory_limit().value > 0
    assert 1 <= cpu_limit().value <= (os.cpu_count() or 1)


def test_bytes_for_people():
    assert format_bytes(3 * GIB // 2) == "1.5 GiB"
