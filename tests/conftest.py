"""Which tests go to the same process when they run in several."""

from __future__ import annotations

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Those of a file together, and all of tests/workflows, which share one analyzed study."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return "workflows" if "workflows/" in path else path

    return ByFile(config, log)
