"""Where the real data for tests are; tests that need them skip, saying so, without them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("MUSENC_TEST_DATA", ROOT.parent / "shared" / "data"))
