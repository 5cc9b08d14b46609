import logging

import pytest

from bids_app.log import RunLog, log_anew, log_to, log_to_file_alone, set_up_logging


@pytest.fixture(autouse=True)
def _root():
    """Leave the handlers as they were."""
    root, app = logging.getLogger(), logging.getLogger("bids_app")
    before = root.handlers[:], root.level, app.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    app.setLevel(before[2])
    logging.captureWarnings(False)


def test_a_run_has_a_log_file_with_what_was_said_before_it_had_a_name(tmp_path):
    set_up_logging()
    logger = logging.getLogger("bids_app.anything")
    logger.info("before")
    path = tmp_path / "logs" / "run.log"
    log_to(path)
    logger.warning("after")
    logger.debug("not asked for")
    log_to_file_alone("error: printed elsewhere")
    lines = path.read_text().splitlines()
    assert [line.split(maxsplit=3)[2:] for line in lines] == [
        ["INFO", "before"],
        ["WARNING", "after"],
        ["ERROR", "error: printed elsewhere"],
    ]


def test_every_run_of_a_process_has_a_file_of_its_own(tmp_path):
    set_up_logging()
    for name in ("one", "two"):
        log_anew()
        logging.getLogger("bids_app").info("begins %s", name)
        log_to(tmp_path / f"{name}.log")
        logging.getLogger("bids_app").info("ends %s", name)
    for name in ("one", "two"):
        lines = (tmp_path / f"{name}.log").read_text().splitlines()
        assert [line.split()[-2:] for line in lines] == [["begins", name], ["ends", name]]


def test_processes_of_a_run_append_to_one_file(tmp_path):
    path = tmp_path / "run.log"
    for text in ("first", "second"):
        set_up_logging()
        log_to(path)
        logging.getLogger("bids_app").info(text)
    assert [line.split()[-1] for line in path.read_text().splitlines()] == ["first", "second"]


def test_nothing_is_written_where_no_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_up_logging()
    logging.getLogger("bids_app").error("no file")
    log_to_file_alone("nor this")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_costs_no_run(tmp_path):
    (tmp_path / "logs").write_text("a file, not a folder")
    set_up_logging()
    log_to(tmp_path / "logs" / "run.log")
    logging.getLogger("bids_app").error("goes on")
    (handler,) = [one for one in logging.getLogger().handlers if isinstance(one, RunLog)]
    assert handler.path is None
