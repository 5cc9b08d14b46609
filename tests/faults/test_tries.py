"""Random damage to what is kept is told: a few of the tries behind the table in the docs."""

import numpy as np
import pytest
import tries

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tries.Kept(tmp_path_factory.mktemp("tries") / "study")


def test_no_damage_is_silent(kept):
    found = tries.run(kept, 24, np.random.default_rng(1))
    assert sum(counts.total() for counts in found.values()) == 42
    assert not any(counts["silent"] for counts in found.values())


def test_what_nobody_says_is_counted(kept, monkeypatch):
    monkeypatch.setattr(kept, "_derivatives_tell", lambda path: False)
    found = tries.run(kept, 5, np.random.default_rng(1))
    assert any(counts["silent"] for counts in found.values())
