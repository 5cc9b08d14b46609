"""Products that are no longer what was written: the participant level makes them again.

The whole program, on short pieces; what it says and what it leaves.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_study import Outcome, Study, observe, write_study
from spoilers import put, truncated

from bids_app.cli.run import main
from bids_app.files import sha256_of_file
from bids_app.outputs import OutputTree

pytestmark = pytest.mark.slow
SHORT = ("--crop", "4", "--delays", "2:6", "--features", "envelope", "--emotion", "off")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("kept") / "study")


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    assert _run(study, root).code == 0
    return root


def _run(study: Study, root: Path) -> Outcome:
    arguments = [str(study.bids), str(root / "out"), "participant", *SHORT]
    return observe(lambda: main([*arguments, "--cache-dir", str(root / "cache")]))


def _products(root: Path) -> dict[str, str]:
    """Checksums of everything that a run leaves, besides status and log of each call."""
    found = [path for path in sorted((root / "out").rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(root)): sha256_of_file(path)
        for path in found
        if not path.name.startswith("status_")
        and path.suffix != ".log"
        and ".musenc" not in path.parts
    }


def _map(root: Path, who: str = "02") -> Path:
    tree = OutputTree(root / "out")
    return tree.participant_map(who, "R", "fsaverage5", model="envelope", stat="z")


def _of_another(root: Path) -> None:
    put(_map(root), _map(root, "01").read_bytes())


ALTERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a map of 0 bytes": (lambda r: put(_map(r), b""), "stat-z"),
    "a map cut off": (lambda r: truncated(_map(r)), "stat-z"),
    "another's map": (_of_another, "stat-z"),
    "a map that is gone": (lambda r: _map(r).unlink(), "stat-z"),
    "a response": (
        lambda r: truncated(next((r / "out").glob("sub-02/func/*_desc-clean_bold.func.gii"))),
        "desc-clean_bold",
    ),
    "a table": (
        lambda r: put(next((r / "out").glob("sub-02/func/*_desc-lag_timeseries.tsv")), "x\n1\n"),
        "desc-lag",
    ),
    "a sidecar": (lambda r: put(_map(r).with_name(_map(r).name[:-9] + ".json"), "{}"), "stat-z"),
    "the mark": (
        lambda r: truncated(OutputTree(r / "out").participant_settings("02", "envelope")),
        "settings",
    ),
    "the page": (lambda r: truncated(r / "out" / "sub-02.html"), "sub-02.html"),
    "a page that is gone": (lambda r: (r / "out" / "sub-02.html").unlink(), "sub-02.html"),
    "the mark of the page": (
        lambda r: (r / "out" / "logs" / "sub-02_page.json").unlink(),
        "",
    ),
    "a figure": (lambda r: truncated(next((r / "out").glob("sub-02/figures/*.png"))), ".png"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERED)
def test_what_does_not_hold_is_made_again(study, whole, tmp_path, name):
    alter, told = ALTERED[name]
    root = tmp_path / "copy"
    shutil.copytree(whole, root)
    alter(root)
    assert _products(root) != _products(whole)
    seen = _run(study, root)
    assert seen.code == 0
    assert told in seen.text
    assert "sub-01: already done" in seen.text
    assert "sub-02: already done" not in seen.text
    assert _products(root) == _products(whole)
    if "page" in name or "figure" in name:
        assert "files written (model-" not in seen.text  # nothing else is computed
    assert "sub-02: already done" in _run(study, root).text
