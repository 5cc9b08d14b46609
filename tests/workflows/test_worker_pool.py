"""A process that is killed fails its own step, with words that say what to do."""

from __future__ import annotations

import gc
import signal

import pytest
from bids_app.workflows.running import raise_failure, run_workflow
from bids_app.workflows.worker_pool import WorkerPool
from nipype.interfaces.utility import Function
from nipype.pipeline import engine as pe

from bids_app.cli.parser import parse_config
from bids_app.errors import TryAgainError


def _double(x):
    return 2 * x


def _die(x):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def _node(function, name, x):
    node = pe.Node(Function(["x"], ["y"], function), name=name, mem_gb=3.5)
    node.inputs.x = x
    return node


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_killed_process_is_a_failure_that_speaks_of_memory(tmp_path):
    workflow = pe.Workflow(name="w")
    after = _node(_double, "after", 1)
    workflow.connect(_node(_double, "first", 1), "y", after, "x")
    workflow.add_nodes([_node(_die, "killed", 1)])
    options = ["/data", str(tmp_path / "out"), "participant", "-w", str(tmp_path / "work")]
    failures = run_workflow(workflow, parse_config([*options, "--nprocs", "2"]), "run")
    killed = [failure for failure in failures if failure.node == "w.killed"]
    assert killed, failures
    with pytest.raises(TryAgainError) as caught:
        raise_failure(killed[0])
    for words in ("killed, probably out of memory", "wanted: about 3.5 GB", "--nprocs", "--mem"):
        assert words in str(caught.value)


def test_polls_look_through_nothing_that_was_there_before(tmp_path, monkeypatch):
    """Each poll collects garbage; of all that is imported this takes longer than the pause."""
    frozen = []
    send = WorkerPool._send_procs_to_workers

    def noted(self, **options):
        frozen.append(gc.get_freeze_count())
        send(self, **options)

    monkeypatch.setattr(WorkerPool, "_send_procs_to_workers", noted)
    workflow = pe.Workflow(name="w")
    workflow.add_nodes([_node(_double, "one", 1)])
    options = ["/data", str(tmp_path / "out"), "participant", "-w", str(tmp_path / "work")]
    assert run_workflow(workflow, parse_config([*options, "--nprocs", "2"]), "run") == []
    assert frozen
    assert min(frozen) > 10_000
    assert gc.get_freeze_count() == 0
