"""Which tests go to the same process when they run in several."""

from __future__ import annotations

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Those of a file together; first all of tests/workflows, which share one analyzed study."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.partition("::")[0]
            return "workflows" if "workflows/" in path else path

        def _assign_work_unit(self, node):
            if "workflows" in self.workqueue:
                self.workqueue.move_to_end("workflows", last=False)
            super()._assign_work_unit(node)

    return ByFile(config, log)
