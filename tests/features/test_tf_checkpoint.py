"""Checkpoints of TensorFlow's second format, against a writer of their own; CRC-32C."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest

from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.convert import convert_weights
from bids_app.features.tf_checkpoint import crc32c, is_checkpoint, read_checkpoint


def slow_crc(data):
    """Bit by bit."""
    state = 0xFFFFFFFF
    for byte in bytes(data):
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked(data):
    crc = slow_crc(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(array, offset, **changes):
    shape = b"".join(field(2, field(1, n)) for n in changes.get("shape", array.shape))
    message = field(1, changes.get("dtype", 1)) + field(2, shape)
    message += field(3, changes.get("shard", 0)) + field(4, offset)
    message += field(5, changes.get("size", array.nbytes))
    crc = changes.get("crc", masked(array.tobytes()))
    return message + varint(6 << 3 | 5) + struct.pack("<I", crc) + changes.get("more", b"")


def block(pairs, restart_every=16, compression=0):
    """A block with its trailer."""
    out, restarts, last = bytearray(), [], b""
    for n, (key, value) in enumerate(pairs):
        shared = 0
        if n % restart_every == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        last = key
    out += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts)) + bytes([compression])
    return bytes(out) + struct.pack("<I", masked(out))


HEADER = field(1, 1) + field(3, field(1, 1))


def write(folder, arrays, per_block=3, header=HEADER, compression=0, repeat=1, **changes):
    """A checkpoint `model.index` and its data; changes are made to the last variable."""
    data, pairs = b"", [(b"", header)]
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        last = name == max(arrays)
        pairs.append((name.encode(), entry(array, len(data), **(changes if last else {}))))
        data += array.tobytes()
    table, index = b"", []
    for start in range(0, len(pairs), per_block):
        part = pairs[start : start + per_block]
        written = block(part, restart_every=2, compression=compression)
        place = varint(len(table)) + varint(len(written) - 5)
        index += [(part[-1][0], place)] * repeat
        table += written
    meta = block([])
    handles = varint(len(table)) + varint(len(meta) - 5)
    written = block(index)
    handles += varint(len(table) + len(meta)) + varint(len(written) - 5)
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (folder / "model.index").write_bytes(table + meta + written + footer)
    (folder / "model.data-00000-of-00001").write_bytes(data)
    return folder / "model.index"


@pytest.fixture
def arrays(rng):
    return {
        "dense/kernel": rng.normal(size=(5, 3)).astype(np.float32),
        "dense/bias": rng.normal(size=3).astype(np.float32),
        "dense/kernel/Adam": np.zeros((5, 3), np.float32),
        "dense/kernel/Adam_1": np.ones((5, 3), np.float32),
        "conv2d/kernel": rng.normal(size=(3, 3, 1, 2)).astype(np.float32),
        "step": np.float32(7.0),
        "tail": rng.normal(size=4).astype(np.float32),
    }


def test_variables_come_back_whatever_their_keys_share(tmp_path, arrays):
    path = write(tmp_path, arrays)
    assert is_checkpoint(path)
    found = read_checkpoint(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].shape == np.shape(array)
        np.testing.assert_array_equal(found[name], array)


def test_only_what_is_wanted_is_read(tmp_path, arrays):
    path = write(tmp_path, arrays, crc=1)  # of "tail"
    found = read_checkpoint(path, lambda name: name.startswith("dense") and "Adam" not in name)
    assert set(found) == {"dense/kernel", "dense/bias"}
    with pytest.raises(BadDataError, match=r"variable tail has a wrong checksum"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (5,)}, r"tail of shape \(5,\) has 16 bytes"),
        ({"shape": (1 << 40, 1 << 40)}, "has 16 bytes"),
        ({"size": 1 << 50, "shape": (1 << 48,)}, "tail lies beyond the end of the file"),
        ({"shard": 1}, "tail of shape"),
        ({"more": field(7, b"")}, "tail is partitioned"),
        ({"header": field(1, 2)}, "several data files"),
        ({"header": field(1, 1) + field(2, 1)}, "big-endian"),
        ({"compression": 1}, "the table is compressed"),
        ({"repeat": 1000}, "blocks of the table overlap"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, arrays, changes, words):
    with pytest.raises(BadDataError, match=rf"(?s){words}.*model|model.*{words}"):
        read_checkpoint(write(tmp_path, arrays, **changes))


def test_a_conversion_starts_from_either_format(tmp_path, arrays):
    with pytest.raises(BadDataError, match="missing: vggish/conv1/weights"):
        convert_weights(write(tmp_path, arrays), tmp_path / "out.pth")


def test_other_types_are_left_out(tmp_path, arrays):
    assert "tail" not in read_checkpoint(write(tmp_path, arrays, dtype=3))


def test_data_that_are_not_there(tmp_path, arrays):
    path = write(tmp_path, arrays)
    (tmp_path / "model.data-00000-of-00001").unlink()
    with pytest.raises(MissingInputError, match=r"(?s)model\.index.*model\.data-00000-of-00001"):
        read_checkpoint(path)


def test_data_cut_off_or_empty(tmp_path, arrays):
    path = write(tmp_path, arrays)
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(BadDataError, match="tail lies beyond the end of the file"):
        read_checkpoint(path)
    data.write_bytes(b"")
    with pytest.raises(BadDataError, match="lies beyond the end of the file"):
        read_checkpoint(path)


def test_no_damage_goes_unnoticed(tmp_path, arrays, rng):
    path = write(tmp_path, arrays)
    sound = {name: array.copy() for name, array in read_checkpoint(path).items()}
    noticed = 0
    for file in (path, tmp_path / "model.data-00000-of-00001"):
        content = file.read_bytes()
        for place in range(0, len(content), 7):
            damaged = bytearray(content)
            damaged[place] ^= int(rng.integers(1, 256))
            file.write_bytes(damaged)
            with contextlib.suppress(BadDataError):
                found = read_checkpoint(path)
                # Between handles and magic there is padding.
                assert {k: v.tolist() for k, v in found.items()} == {
                    k: v.tolist() for k, v in sound.items()
                }
                continue
            noticed += 1
        file.write_bytes(content)
    assert noticed > 80


def test_a_number_without_end(tmp_path, arrays):
    path = write(tmp_path, arrays)
    content = path.read_bytes()
    path.write_bytes(content[:-48] + b"\xff" * 40 + content[-8:])
    with pytest.raises(BadDataError, match="too many digits"):
        read_checkpoint(path)


def test_crc_of_known_strings_and_of_any_length(rng):
    # RFC 3720, B.4.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    for size in [0, 1, 2, 3, 5, 64, 1001]:
        data = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        assert crc32c(data) == slow_crc(data)


def test_crc_past_a_chunk(monkeypatch, rng):
    monkeypatch.setattr("bids_app.features.tf_checkpoint._CRC_CHUNK", 16)
    for size in (15, 16, 17, 32, 53):
        data = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
        assert crc32c(data) == slow_crc(data)
