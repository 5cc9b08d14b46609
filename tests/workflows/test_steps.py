"""Steps from plain functions: inputs by signature, contents handed on, results kept by content."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bids_app.workflows.running import _read_crash, raise_failure, run_workflow
from bids_app.workflows.steps import connect_all, connect_by_name, fingerprint, handed_on, step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe
from worked_examples import import_example

from bids_app.cli.parser import parse_config
from bids_app.config import Cleaning, Config
from bids_app.errors import TryAgainError
from bids_app.handed_on import ENDING


@dataclass(frozen=True, eq=False)
class Course:
    values: np.ndarray


CALLS: list[str] = []


def draw(n_times: int, cleaning: Cleaning) -> Course:
    CALLS.append("draw")
    return Course(np.arange(n_times) * cleaning.high_pass)


def total(courses: list[Course], n_threads: int = 1) -> float:
    CALLS.append("total")
    return float(sum(course.values.sum() for course in courses))


def leave(folder: Path, draw: Course) -> list[str]:
    (folder / "left.txt").write_text(str(draw.values.sum()))
    return sorted(path.name for path in folder.glob("*.txt"))


@pytest.fixture
def config(tmp_path):
    return parse_config(["/data", str(tmp_path / "out"), "participant", "--high-pass", "64"])


def in_folder(tmp_path, *nodes):
    workflow = pe.Workflow(name="w", base_dir=str(tmp_path))
    workflow.config["execution"] = {
        "crashdump_dir": str(tmp_path),
        "remove_unnecessary_outputs": "false",
    }
    workflow.add_nodes(list(nodes))
    return workflow


def test_a_section_is_filled_in_and_the_rest_must_be_given(config):
    node = step(draw, config, n_times=3)
    assert node.inputs.cleaning is config.cleaning
    assert handed_on(node.run().outputs.out).values.tolist() == [0, 64, 128]
    with pytest.raises(TypeError, match="draw takes no n_voxels"):
        step(draw, config, n_voxels=3)
    with pytest.raises(ValueError, match="n_times"):
        step(draw, config).run()


def test_contents_are_handed_on_one_by_one_and_in_lists(config, tmp_path):
    first, second = (step(draw, config, f"draw{n}", n_times=n) for n in (2, 3))
    gather = pe.Node(Merge(2), name="gather")
    add = step(total, config)
    workflow = in_folder(tmp_path, add)
    workflow.connect([(first, gather, [("out", "in1")]), (second, gather, [("out", "in2")])])
    workflow.connect(gather, "out", add, "courses")
    done = {node.name: node.result.outputs for node in workflow.run().nodes}
    assert done["draw2"].out.endswith(ENDING)
    assert handed_on(done["total"].out) == 64.0 + 3 * 64.0


def test_steps_are_connected_by_what_their_parameters_are_called(config, tmp_path):
    steps = {"draw": step(draw, config, n_times=4), "leave": step(leave, config)}
    workflow = in_folder(tmp_path)
    connect_by_name(workflow, steps)
    done = {node.name: node.result.outputs for node in workflow.run().nodes}
    assert handed_on(done["leave"].out) == ["left.txt"]
    assert (Path(done["leave"].out).parent / "left.txt").read_text() == "384.0"


def test_a_kept_result_stands_only_while_the_content_behind_it_does(config, tmp_path):
    long = np.zeros(5000)

    def run(values, *, rests_on="a", n_threads=1, fresh=False):
        CALLS.clear()
        add = step(
            total,
            config,
            courses=[Course(values)],
            n_threads=n_threads,
            rests_on=rests_on,
            fresh=fresh,
        )
        in_folder(tmp_path, add).run()
        return list(CALLS)

    assert run(long) == ["total"]
    assert run(long.copy()) == []
    assert run(long, n_threads=2) == []  # it changes no result
    assert run(long, fresh=True) == ["total"]
    assert run(long, rests_on="b") == ["total"]
    other = long.copy()
    other[2500] = 1  # numpy writes both as 0., 0., 0., ..., 0.
    assert repr(Course(other)) == repr(Course(long))
    assert run(other, rests_on="b") == ["total"]


def test_a_kept_result_that_was_damaged_is_computed_again(config, tmp_path, caplog):
    config = replace(config, running=replace(config.running, work_dir=tmp_path / "work"))

    def run():
        CALLS.clear()
        one, add = step(draw, config, "one", n_times=4), step(total, config, "sum")
        workflow = in_folder(tmp_path)
        connect_all(workflow, [one], add, "courses")
        assert run_workflow(workflow, config, "run") == []
        return handed_on(str(file_of("sum"))), list(CALLS)

    def file_of(name):
        (path,) = (tmp_path / "work" / "w" / name).glob(f"*{ENDING}")
        return path

    assert run() == (6 * 64.0, ["draw", "total"])
    assert run() == (6 * 64.0, [])
    for name, again in (("one", ["draw"]), ("sum", ["total"])):
        content = bytearray(file_of(name).read_bytes())
        content[len(content) // 2] ^= 4
        file_of(name).write_bytes(content)
        assert run() == (6 * 64.0, again)
        assert "is damaged: the step is repeated" in caplog.text
        caplog.clear()


def test_a_step_survives_the_way_to_another_process(config):
    node = step(draw, config, n_times=3, who="01", fresh=True)
    other = pickle.loads(pickle.dumps(node))
    assert (other.interface.who, other.interface.always_run) == ("01", True)
    assert other.inputs.cleaning == config.cleaning
    assert other.inputs.get_hashval() == node.inputs.get_hashval()


def test_fingerprints_tell_contents_apart(tmp_path):
    file = tmp_path / f"x{ENDING}"
    file.write_bytes(b"one")
    before = fingerprint([str(file)])
    file.write_bytes(b"two")
    assert fingerprint([str(file)]) != before
    assert fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    assert fingerprint(np.zeros((2, 3))) != fingerprint(np.zeros((3, 2)))


def exhausted(folder: Path) -> None:
    raise MemoryError


def exhausted_library(folder: Path) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def silent(folder: Path) -> None:
    raise AssertionError


@pytest.mark.parametrize("work", [exhausted, exhausted_library])
def test_memory_that_runs_out_is_told_with_what_to_do(config, tmp_path, work):
    config = replace(config, running=replace(config.running, work_dir=tmp_path / "work"))
    (failure,) = run_workflow(in_folder(tmp_path, step(work, config)), config, "run")
    assert failure.error == "TryAgainError"
    for words in ("Memory ran out", work.__name__, "are there", "--nprocs", "--mem"):
        assert words in failure.text
    with pytest.raises(TryAgainError) as caught:
        raise_failure(failure)
    assert caught.value.exit_code == 75


def test_an_exception_without_a_word_says_where_it_came_from(config, tmp_path):
    config = replace(config, running=replace(config.running, work_dir=tmp_path / "work"))
    (failure,) = run_workflow(in_folder(tmp_path, step(silent, config)), config, "run")
    assert "AssertionError without a message, in silent (test_steps.py:" in failure.text


def test_a_crash_file_with_a_bare_exception_names_it(tmp_path):
    crash = tmp_path / "crash-1.txt"
    crash.write_text("Node: w.x\nTraceback (most recent call last):\n  File 'x'\n\tMemoryError\n")
    failure = _read_crash(crash, {"w.x": ("01", "")})
    assert (failure.who, failure.error) == ("01", "MemoryError")
    assert failure.text == "MemoryError without a message"


def test_the_example_of_the_documentation(config, tmp_path, monkeypatch):
    remembered = import_example("def remembered", tmp_path, monkeypatch).remembered

    @dataclass(frozen=True)
    class Remembering(Config):
        memory: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(decay=1.0))

    known = {one.name: getattr(config, one.name) for one in fields(config)}
    node = step(remembered, Remembering(**known), fits=[1.0, 1.0, 1.0])
    node.base_dir = str(tmp_path)
    assert handed_on(node.run().outputs.out) == [1.0, 0.5, 0.25]
