"""One small output folder for all tests of the pages; nobody changes it."""

import shutil

import fake_outputs
import pytest
from page_parser import read_page

from bids_app.analyses.page import write_participant_report
from bids_app.analyses.registry import write_group_report
from bids_app.surface.mesh import load_mesh


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("derivatives")
    fake_outputs.make_participant(root, n_layers=5, n_times=40, warning="the run is short")
    fake_outputs.make_status(root)
    fake_outputs.make_group(root, n_layers=5)
    return root


@pytest.fixture(scope="session")
def participant_page(folder):
    return read_page(write_participant_report(folder, "01"))


@pytest.fixture(scope="session")
def group_page(folder):
    return read_page(write_group_report(folder))


@pytest.fixture
def own_folder(folder, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(
        folder, tmp_path / "derivatives", ignore=shutil.ignore_patterns("*bold*")
    )


@pytest.fixture(scope="session")
def mesh():
    return load_mesh()
