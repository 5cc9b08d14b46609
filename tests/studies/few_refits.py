"""Few refits of the null over music, where a test is not about its width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bids_app.analyses.group import over_music, refits


@contextmanager
def few_refits() -> Iterator[None]:
    """Groups are refitted a few dozen times, not a thousand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refits, "N_REFITS", 30)
        patch.setattr(over_music, "UNSURE", 2)
        patch.setattr(over_music, "N_INSTEAD", (60, 60))
        patch.setattr(over_music, "N_LARGEST", 100)
        yield
