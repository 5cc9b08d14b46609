from __future__ import annotations

from pathlib import Path

import pytest
from input_trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    # A folder name that looks like an entity must not matter.
    return Tree(tmp_path / "sub-99_task-lab" / "study")
