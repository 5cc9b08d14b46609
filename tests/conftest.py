"""Which tests go to the same process, which may not skip, and the trained networks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from real_data import musicnn_resources

from bids_app.features.compiled import CACHE_VARIABLE, compiled_folder

ROOT = Path(__file__).parents[1]
SHARED_STUDY = re.compile(r"\b(analyzed|garble)\b")


def pytest_configure():
    """Some tests call librosa themselves, and do not wait for other processes that compile."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ[CACHE_VARIABLE] = str(compiled_folder() / f"tests-{worker}")


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="a test that would skip fails, with its reason"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which --no-skips forbids: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session")
def musicnn_folder(tmp_path_factory):
    """A folder of resources with musicnn's trained networks."""
    return musicnn_resources(tmp_path_factory.mktemp("resources"))


@pytest.fixture
def musicnn(musicnn_folder, monkeypatch):
    """The trained networks of musicnn are installed."""
    monkeypatch.setenv("MUSENC_RESOURCES", str(musicnn_folder))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Those of a file together; first what takes longest, so that no process waits for it alone.

    Files of tests/workflows that look at one analyzed study share a process, and with it the study.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            shared = "workflows/" in path and SHARED_STUDY.search((ROOT / path).read_text())
            return "workflows" if shared else path

        def _assign_work_unit(self, node):
            for scope in sorted(self.workqueue):
                if scope == "workflows" or "integration/" in scope or "workflows/" in scope:
                    self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)
