"""Where the real data for tests are; tests that need them skip, saying so, without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MUSENC_TEST_DATA", ROOT.parent / "shared" / "data"))

WHEELS = [
    Path(folder)
    for folder in (
        os.environ.get("MUSENC_TEST_WHEELS"),
        DATA.resolve().parent / "wheels",
        DATA.resolve().parent.parent / "wheels",
    )
    if folder
]
"""Where wheels may lie that hold what tests need; nothing of them is installed."""


def musicnn_resources(folder: Path) -> Path:
    """A folder of resources with musicnn's trained networks, from the wheel or as installed.

    Tests that call this carry the mark ``trained``, and ``make release-check`` lets none skip.
    """
    from bids_app.features.networks.musicnn_wheel import WHEEL, unpack_wheel
    from bids_app.resources import catalog, file_state

    (resource,) = [resource for resource in catalog() if resource.name == "musicnn"]
    if all(file_state(path, resource) == "verified" for path in resource.files):
        return resource.files[0].parents[1]
    wheel = next((place / WHEEL for place in WHEELS if (place / WHEEL).is_file()), None)
    if wheel is None:
        pytest.skip(f"no {WHEEL} in {', '.join(map(str, WHEELS))}, and musicnn is not prefetched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSENC_RESOURCES", str(folder))
        unpack_wheel(wheel)
    return folder
