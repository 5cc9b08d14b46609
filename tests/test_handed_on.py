"""What steps hand to each other: mapped, and never taken for whole where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.handed_on import (
    ENDING,
    checksum_of,
    is_whole,
    read_handed_on,
    write_handed_on,
)


@dataclass(frozen=True, eq=False)
class Several:
    large: np.ndarray
    others: list[np.ndarray]
    name: str


@pytest.fixture
def path(tmp_path):
    large = np.arange(60.0, dtype=np.float32).reshape(6, 10)
    others = [large[1:3], large[:, ::2].astype(complex), np.array(["a", "b"]), np.empty((0, 4))]
    return write_handed_on(tmp_path / f"x{ENDING}", Several(large, others, "x"))


def test_what_is_read_is_what_was_written(path):
    found = read_handed_on(path)
    large = np.arange(60.0, dtype=np.float32).reshape(6, 10)
    np.testing.assert_array_equal(found.large, large)
    np.testing.assert_array_equal(found.others[0], large[1:3])
    np.testing.assert_array_equal(found.others[1], large[:, ::2])
    assert (found.others[2].tolist(), found.others[3].shape, found.name) == (
        ["a", "b"],
        (0, 4),
        "x",
    )


def test_large_arrays_stay_on_the_disk_and_changes_with_the_reader(path):
    found = read_handed_on(path)
    base = found.large
    while not isinstance(base, np.memmap):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    found.large[0, 0] = 7
    assert read_handed_on(path).large[0, 0] == 0


def test_no_bit_can_be_another(path):
    before, checksum = path.read_bytes(), checksum_of(path)
    assert is_whole(path)
    for place in range(len(before)):
        changed = bytearray(before)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert not is_whole(path)
    with pytest.raises(BadDataError, match="not as it was written"):
        read_handed_on(path)
    for size in (0, 20, len(before) // 2, len(before) - 1):
        path.write_bytes(before[:size])
        assert not is_whole(path)
    path.write_bytes(before)
    assert is_whole(path)
    assert checksum_of(path) == checksum
