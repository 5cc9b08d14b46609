"""What is said where a folder holds maps of other settings."""

from __future__ import annotations

import pytest

from bids_app.analyses.folder.claims import claim_settings
from bids_app.errors import InvalidInputError
from bids_app.outputs import OutputTree


@pytest.mark.parametrize(("changed", "helps"), [("smoothing", False), ("hop", True)])
def test_a_label_is_advised_where_it_helps(tmp_path, changed, helps):
    """Models of a folder share their cleaned responses, whatever they are called."""
    tree, settings = OutputTree(tmp_path), {"smoothing": 6.0, "hop": 0.48}
    claim_settings(tree, "vggish", settings)
    with pytest.raises(InvalidInputError, match=changed) as caught:
        claim_settings(tree, "vggish", settings | {changed: 4.0})
    assert ("--model-label" in str(caught.value.remedy)) == helps
