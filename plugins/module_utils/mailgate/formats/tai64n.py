# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Convert TAI64N, the time format of multilog's lines and supervise's status, to and from unix time.

A label is 2^62 + 10 + the unix second, then the nanosecond, both big endian: daemontools adds the constant
10 and ignores leap seconds (daemontools 0.76, tai_now.c and timestamp.c). Times here are unix nanoseconds,
an int because a float is not precise enough.
"""

from __future__ import annotations

import re
import time

from ..core.errors import BadInput

PACKED_BYTES = 12
NANOSECONDS = 1_000_000_000

_EPOCH = 2**62 + 10
_SECONDS_END = 2**63
_LABEL = re.compile(r"@([0-9a-f]{16})([0-9a-f]{8})")


class BadLabel(BadInput):
    """The text or bytes are not a TAI64N time."""


def _join(seconds: int, nanoseconds: int, culprit: object) -> int:
    if seconds >= _SECONDS_END:
        raise BadLabel(f"tai64n label: {culprit!r} has 2^63 seconds or more; expected less")
    if nanoseconds >= NANOSECONDS:
        raise BadLabel(f"tai64n label: {culprit!r} has {nanoseconds} nanoseconds; expected at most 999999999")
    return (seconds - _EPOCH) * NANOSECONDS + nanoseconds


def _split(unix_nanoseconds: int) -> tuple[int, int]:
    seconds, nanoseconds = divmod(unix_nanoseconds, NANOSECONDS)
    if not 0 <= seconds + _EPOCH < _SECONDS_END:
        raise BadLabel(f"tai64n time: {unix_nanoseconds!r} is outside of TAI64; expected unix nanoseconds")
    return seconds + _EPOCH, nanoseconds


def unpack(packed: bytes) -> int:
    """Convert the 12 bytes of a TAI64N time, as in supervise/status, to unix nanoseconds; raises BadLabel."""
    if len(packed) != PACKED_BYTES:
        raise BadLabel(f"tai64n label: {packed!r} has {len(packed)} bytes; expected {PACKED_BYTES}")
    return _join(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big"), packed)


def pack(unix_nanoseconds: int) -> bytes:
    """Convert unix nanoseconds to the 12 bytes of a TAI64N time; raises BadLabel."""
    seconds, nanoseconds = _split(unix_nanoseconds)
    return seconds.to_bytes(8, "big") + nanoseconds.to_bytes(4, "big")


def parse(label: str) -> int:
    """Convert a label such as '@4000000045d5e1a21b2f5c84' to unix nanoseconds; raises BadLabel."""
    found = _LABEL.fullmatch(label)
    if found is None:
        raise BadLabel(f"tai64n label: {label!r} is not a label; expected '@' and 24 lower-case hex digits")
    return _join(int(found[1], 16), int(found[2], 16), label)


def render(unix_nanoseconds: int) -> str:
    """Convert unix nanoseconds to a label; raises BadLabel."""
    return "@" + pack(unix_nanoseconds).hex()


def readable(line: str) -> str:
    """Return the line with its label as UTC, as tai64nlocal does; a line without a label unchanged."""
    found = _LABEL.match(line)
    if found is None:
        return line
    try:
        seconds, nanoseconds = divmod(parse(found[0]), NANOSECONDS)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    except (BadLabel, OverflowError, OSError):
        return line
    return f"{stamp}.{nanoseconds:09d}{line[found.end() :]}"
