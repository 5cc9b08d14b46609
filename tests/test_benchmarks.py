"""Benchmarks that make up an output folder: it is one that the group level reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_folder_of_the_benchmark_of_size_is_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import scale

    people = scale.write_people(tmp_path, 3, responses=True)
    assert scale.group(tmp_path, people, 20).startswith("group of 3, 20 permutations (read ")
    assert scale.synchrony(tmp_path, people) == "isc of 3"
    sys.modules.pop("scale")
