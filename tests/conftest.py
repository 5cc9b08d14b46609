"""Which tests go to the same process when they run in several."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of a module together, and all that share the analyzed study: it is made once."""
    for item in items:
        shared = "analyzed" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("analyzed" if shared else item.path.name))
