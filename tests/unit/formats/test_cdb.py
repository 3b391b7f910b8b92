"""The cdb writer and reader: format, hash 0, order of duplicates, and every kind of damage."""

# ruff: noqa: E501 - whole messages stand in one line, as they are printed

from __future__ import annotations

import random
import struct

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.cdb import (
    Reader,
    build,
    hash_key,
    hash_keys,
)

HASH_ZERO = b"x_kbhba"
RECORDS = [(b"one", b"1"), (b"two", b""), (b"", b"empty key"), (HASH_ZERO, b"zero"), (b"one", b"again")]


def patched(data: bytes, position: int, *numbers: int) -> bytes:
    packed = struct.pack(f"<{len(numbers)}L", *numbers)
    return data[:position] + packed + data[position + len(packed) :]


def test_hash_is_that_of_the_specification() -> None:
    assert (hash_key(b""), hash_key(b"a"), hash_key(HASH_ZERO)) == (5381, 177604, 0)


def test_many_hashes_are_those_of_each_key() -> None:
    chance = random.Random(1)
    keys = [
        bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 7, 7, 15, 15, 15, 60, 300])))
        for _ in range(400)
    ]
    keys += [b"", b"\xff" * 40, b"\0" * 40, HASH_ZERO]
    assert hash_keys(keys) == [hash_key(key) for key in keys]
    assert hash_keys([]) == []


def test_empty_file_is_256_empty_tables() -> None:
    data = build([])
    assert data == struct.pack("<LL", 2048, 0) * 256
    assert Reader(data).get(b"one") is None
    assert list(Reader(data).items()) == []


def test_one_record_byte_for_byte() -> None:
    data = build([(HASH_ZERO, b"zero")])
    head = struct.pack("<LL", 2067, 2) + struct.pack("<LL", 2083, 0) * 255
    assert data == head + struct.pack("<LL", 7, 4) + b"x_kbhbazero" + struct.pack("<LLLL", 0, 2048, 0, 0)


def test_first_of_equal_keys_is_found_and_all_are_kept_in_order() -> None:
    reader = Reader(build(RECORDS))
    assert list(reader.items()) == RECORDS
    assert [reader.get(key) for key in (b"one", b"two", b"", HASH_ZERO, b"three")] == [
        b"1", b"", b"empty key", b"zero", None,
    ]  # fmt: skip


def test_many_records_survive_the_journey() -> None:
    chance = random.Random(1)
    records = [(chance.randbytes(chance.randrange(6)), chance.randbytes(3)) for _ in range(3000)]
    first: dict[bytes, bytes] = {}
    for key, value in records:
        first.setdefault(key, value)
    reader = Reader(build(records))
    assert list(reader.items()) == records
    assert {key: reader.get(key) for key in first} == first


def test_file_beyond_the_limit_is_refused() -> None:
    size = len(build(RECORDS[:2]))
    assert len(build(RECORDS[:2], limit_bytes=size)) == size
    with pytest.raises(BadInput) as caught:
        build(RECORDS[:2], limit_bytes=size - 1)
    assert str(caught.value) == f"cdb record 2: b'two' does not fit; expected at most {size - 1} bytes"


class Huge(bytes):
    """A value that says it has 4 GiB, for a limit that no test can reach with real ones."""

    def __len__(self) -> int:
        return 2**32


def test_limit_is_4_gib_by_default() -> None:
    with pytest.raises(BadInput) as caught:
        build([(b"key", Huge())])
    assert str(caught.value) == "cdb record 1: b'key' does not fit; expected at most 4294967295 bytes"


GOOD = build([(b"one", b"1"), (b"two", b"22")])
# Records "one" at 2048 and "two" at 2060; tables from 2073, that of "two" is 41.
ONE, TWO, END = 2048, 2060, 2073
SLOT_OF_TWO = END + (hash_key(b"two") >> 8) % 2 * 8
FREE_OF_TWO = END + (1 - (hash_key(b"two") >> 8) % 2) * 8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cdb x: 0 bytes are too few; expected at least the 2048 bytes of the head"),
        (GOOD[:2047], "cdb x: 2047 bytes are too few; expected at least the 2048 bytes of the head"),
        (bytes(2048), "cdb x: table 0 begins at byte 0; expected a position from 2048 to 2048"),
        (b"garbage!" * 300, "cdb x: table 0 begins at byte 1651663207; expected a position from 2048 to 2400"),
        (GOOD[:END], "cdb x: table 41 ends at byte 2089; expected at most 2073, the size of the file"),
        (GOOD[:-1], "cdb x: table 129 ends at byte 2105; expected at most 2104, the size of the file"),
        (GOOD + b"\0", "cdb x: the last table ends at byte 2105; expected 2106, the size of the file"),
        (patched(GOOD, 8, END + 8), "cdb x: table 1 begins at byte 2081; expected byte 2073, where the last one ended"),
        (patched(GOOD, ONE + 4, 99), "cdb x: the record at byte 2048 ends at byte 2158; expected at most 2073"),
        (
            patched(GOOD, TWO, 0, 0),
            "cdb x: the record at byte 2068 has no lengths; expected two numbers of 4 bytes",
        ),
        (
            patched(GOOD, SLOT_OF_TWO + 4, TWO + 1),
            "cdb x: slot 0 of table 41 leads to byte 2061; expected a record that no other slot leads to",
        ),
        (
            patched(GOOD, FREE_OF_TWO, hash_key(b"two"), TWO),
            "cdb x: slot 1 of table 41 leads to byte 2060; expected a record that no other slot leads to",
        ),
        (
            patched(GOOD, FREE_OF_TWO, 7),
            "cdb x: slot 1 of table 41 is free with hash 7; expected hash 0 there",
        ),
        (
            patched(GOOD, SLOT_OF_TWO, hash_key(b"two") ^ 256),
            f"cdb x: slot 0 of table 41 has hash {hash_key(b'two') ^ 256}; expected the hash of its record's key",
        ),
        (
            GOOD.replace(b"two22", b"twO22"),
            f"cdb x: slot 0 of table 41 has hash {hash_key(b'two')}; expected the hash of its record's key",
        ),
        (
            patched(patched(GOOD, SLOT_OF_TWO, 0, 0), FREE_OF_TWO, hash_key(b"two"), TWO),
            "cdb x: slot 1 of table 41 is beyond a free one; expected that lookups reach it",
        ),
        (
            patched(GOOD, SLOT_OF_TWO, 0, 0),
            "cdb x: table 41 has 2 slots for 0 records; expected two slots for each record",
        ),
    ],
)  # fmt: skip
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        Reader(data, "x")
    assert str(caught.value) == message


def test_a_record_without_a_slot_is_found() -> None:
    empty_tables = struct.pack("<LL", END, 0) * 256 + GOOD[2048:END]
    with pytest.raises(BadInput) as caught:
        Reader(empty_tables, "x")
    assert (
        str(caught.value)
        == "cdb x: no slot leads to the record at byte 2048; expected one slot for each record"
    )


def test_later_duplicate_before_the_first_one_is_found() -> None:
    data = build([(b"k", b"1"), (b"k", b"2")])
    slots = len(data) - 4 * 8
    pairs = [data[slots + 8 * n : slots + 8 * n + 8] for n in range(4)]
    used = [n for n in range(4) if pairs[n] != bytes(8)]
    pairs[used[0]], pairs[used[1]] = pairs[used[1]], pairs[used[0]]
    with pytest.raises(BadInput) as caught:
        Reader(data[:slots] + b"".join(pairs), "x")
    assert (
        str(caught.value)
        == "cdb x: a lookup of b'k' misses its first record at byte 2048; expected to find it"
    )


def test_no_single_wrong_byte_outside_of_the_data_passes() -> None:
    data = build([(b"one", b""), (b"two", b"")])
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 0x55
        with pytest.raises(BadInput):
            Reader(bytes(broken))


def test_no_truncation_passes() -> None:
    data = build(RECORDS)
    for size in range(len(data)):
        with pytest.raises(BadInput):
            Reader(data[:size])
