# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The constant database of cdb 0.75: a writer, and a reader that verifies the whole file.

The file: 256 pairs (position, slots) of little-endian 32-bit numbers; the records, each as key length, data
length, key, data; then the 256 hash tables, twice as many slots (hash, record position) as records.
A module of our own: Debian has no cdb module for Python 3, and a gateway gets no compiler or wheel for one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from ..core.errors import BadInput

LIMIT_BYTES = 2**32 - 1
_PAIR = struct.Struct("<LL")
_HEAD_BYTES = 256 * _PAIR.size


def hash_key(key: bytes) -> int:
    """Return the 32-bit hash of a key; 0 is a valid hash."""
    value = 5381
    for byte in key:
        value = (value * 33 & 0xFFFFFFFF) ^ byte
    return value


def hash_keys(keys: Sequence[bytes]) -> list[int]:
    """Return hash_key() of each key, several times as fast for many keys.

    All keys of one length are hashed together: one long integer has 64 bits for each, enough for the product.
    """
    by_length: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        by_length.setdefault(len(key), []).append(place)
    found = [0] * len(keys)
    for length, places in by_length.items():
        count = len(places)
        text = b"".join([keys[place] for place in places])
        mask = int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * count, "little")
        values = int.from_bytes(struct.pack("<Q", 5381) * count, "little")
        column = bytearray(8 * count)
        for at in range(length):
            column[::8] = text[at::length]
            values = (values * 33 & mask) ^ int.from_bytes(column, "little")
        for place, value in zip(places, struct.unpack(f"<{count}Q", values.to_bytes(8 * count, "little"))):
            found[place] = value
    return found


def _pairs(data: bytes, start: int, count: int) -> list[tuple[int, int]]:
    """Return count pairs of numbers from a position on; raises struct.error when the data end before."""
    return list(_PAIR.iter_unpack(memoryview(data)[start : start + count * _PAIR.size]))


def build(records: Iterable[tuple[bytes, bytes]], *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the same bytes that cdbmake writes for these records in this order.

    A key may come twice; lookups find its first record. Raises BadInput when the file would exceed
    limit_bytes, which is all that 32-bit positions can reach.
    """
    records = list(records)
    hashes = hash_keys([key for key, _data in records])
    parts: list[bytes] = []
    tables: list[list[tuple[int, int]]] = [[] for dummy in range(256)]
    position = _HEAD_BYTES
    pack = _PAIR.pack
    for count, (key, data) in enumerate(records, 1):
        end = position + _PAIR.size + len(key) + len(data)
        if end + count * 2 * _PAIR.size > limit_bytes:
            raise BadInput(
                f"cdb record {count}: {key[:64]!r} does not fit; expected at most {limit_bytes} bytes"
            )
        value = hashes[count - 1]
        tables[value & 255].append((value, position))
        parts += (pack(len(key), len(data)), key, data)
        position = end
    head: list[bytes] = []
    for entries in tables:
        size = 2 * len(entries)
        slots = [0] * (2 * size)
        for value, record in entries:
            slot = (value >> 8) % size * 2
            while slots[slot + 1]:
                slot = (slot + 2) % (2 * size)
            slots[slot], slots[slot + 1] = value, record
        head.append(pack(position, size))
        parts.append(struct.pack(f"<{2 * size}L", *slots))
        position += size * _PAIR.size
    return b"".join(head + parts)


class Reader:
    """Lookups in the bytes of a cdb file; raises BadInput at once unless the whole file is sound."""

    def __init__(self, data: bytes, name: str = "file") -> None:
        self._data = data
        self._name = name
        self._end_of_records = 0
        self._spans: list[tuple[int, int, int]] = []  # of each record, as _records() yields them
        self.verify()

    def get(self, key: bytes) -> bytes | None:
        """Return the data of the key's first record, or None; as cdb_findnext in cdb.c of ucspi-tcp 0.88."""
        found = self._find(key)
        if found is None:
            return None
        key_bytes, data_bytes = self._pair(found)
        start = found + 8 + key_bytes
        return self._data[start : start + data_bytes]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return each record as (key, data), in the file's order."""
        data = self._data
        return ((data[position + 8 : middle], data[middle:end]) for position, middle, end in self._spans)

    def verify(self) -> None:
        """Raise BadInput unless every pointer, record and slot is valid and every record can be found."""
        size = len(self._data)
        if size < 2048:
            raise self._bad(f"{size} bytes are too few", "at least the 2048 bytes of the head")
        if size > LIMIT_BYTES:
            raise self._bad(f"{size} bytes are too many", f"at most {LIMIT_BYTES}")
        self._verify_tables(size)
        data = self._data
        self._spans = list(self._records())
        keys = {position: data[position + 8 : middle] for position, middle, _end in self._spans}
        first = {key: position for position, key in reversed(keys.items())}
        again = {key for position, key in keys.items() if first[key] != position}
        waiting = dict(zip(keys, hash_keys(list(keys.values()))))
        for table in range(256):
            self._verify_slots(table, waiting)
        if waiting:
            raise self._bad(f"no slot leads to the record at byte {min(waiting)}", "one slot for each record")
        # Each record has a slot with its hash that lookups reach, so only an equal key can stand before it.
        for key in again:
            if self._find(key) != first[key]:
                raise self._bad(
                    f"a lookup of {key[:64]!r} misses its first record at byte {first[key]}", "to find it"
                )

    def _verify_tables(self, size: int) -> None:
        """Raise BadInput unless the tables follow the records and each other up to the end of the file."""
        end = self._pair(0)[0]
        if not 2048 <= end <= size:
            raise self._bad(f"table 0 begins at byte {end}", f"a position from 2048 to {size}")
        self._end_of_records = end
        for table in range(256):
            position, slots = self._pair(table * 8)
            if position != end:
                raise self._bad(
                    f"table {table} begins at byte {position}", f"byte {end}, where the last one ended"
                )
            end = position + slots * 8
            if end > size:
                raise self._bad(f"table {table} ends at byte {end}", f"at most {size}, the size of the file")
        if end != size:
            raise self._bad(f"the last table ends at byte {end}", f"{size}, the size of the file")

    def _records(self) -> Iterator[tuple[int, int, int]]:
        """Yield for each record its position, the position of its data, and its end."""
        position = 2048
        unpack, data = _PAIR.unpack_from, self._data
        while position < self._end_of_records:
            if self._end_of_records - position < 8:
                raise self._bad(f"the record at byte {position} has no lengths", "two numbers of 4 bytes")
            key_bytes, data_bytes = unpack(data, position)
            following = position + 8 + key_bytes + data_bytes
            if following > self._end_of_records:
                raise self._bad(
                    f"the record at byte {position} ends at byte {following}",
                    f"at most {self._end_of_records}",
                )
            yield position, position + 8 + key_bytes, following
            position = following

    def _verify_slots(self, table: int, waiting: dict[int, int]) -> None:
        """Raise BadInput unless each slot is valid; remove the records that it leads to from waiting."""
        start, slots = self._pair(table * 8)
        used = 0
        pairs = _pairs(self._data, start, slots)
        for number, (value, position) in enumerate(pairs):
            if not position:
                if value:
                    raise self._bad(
                        f"slot {number} of table {table} is free with hash {value}", "hash 0 there"
                    )
                continue
            if position not in waiting:
                raise self._bad(
                    f"slot {number} of table {table} leads to byte {position}",
                    "a record that no other slot leads to",
                )
            used += 1
            if waiting.pop(position) != value or value & 255 != table:
                raise self._bad(
                    f"slot {number} of table {table} has hash {value}", "the hash of its record's key"
                )
            probe = (value >> 8) % slots
            while probe != number:
                if not pairs[probe][1]:
                    raise self._bad(
                        f"slot {number} of table {table} is beyond a free one", "that lookups reach it"
                    )
                probe = (probe + 1) % slots
        if slots != 2 * used:
            raise self._bad(
                f"table {table} has {slots} slots for {used} records", "two slots for each record"
            )

    def _find(self, key: bytes) -> int | None:
        value = hash_key(key)
        start, slots = self._pair((value & 255) * 8)
        for step in range(slots):
            slot_hash, position = self._pair(start + ((value >> 8) + step) % slots * 8)
            if not position:
                return None
            if slot_hash == value and self._key(position) == key:
                return position
        return None

    def _key(self, position: int) -> bytes:
        return self._data[position + 8 : position + 8 + self._pair(position)[0]]

    def _pair(self, position: int) -> tuple[int, int]:
        first, second = struct.unpack_from("<II", self._data, position)
        return int(first), int(second)

    def _bad(self, what: str, expected: str) -> BadInput:
        return BadInput(f"cdb {self._name}: {what}; expected {expected}")
