# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""Kept copies of refused messages: simscan's files, and what is recorded of their release.

A copy is a convenience, never a part of the verdict: the sender was told 554. So simscan neither syncs nor
waits, keeps no copy when there is no room, and a reader takes nothing of a file for granted.

The directory, /var/lib/mailgate/refused, is simscan's, 0700; its parent is root's. In it:

  NAME    a copy, 0600. NAME is 16 random hexadecimal digits.
  .NAME   a copy that is being written, made by O_EXCL with all of its room reserved, so that several writers
          together stay within the limits; renamed to NAME once it is complete. One that a killed simscan left
          is removed by the cleaner after LEFTOVER_SECONDS.

A file is lines of ASCII, an empty line, the envelope, the message, and nothing else:

  mailgate-refused 1 CRC      CRC-32 (zlib's) of every byte behind this line, 8 lower-case hexadecimal digits:
                              a power cut can leave a file of the right length whose end is zeros
  verdict SPAM                or VIRUS, where the site keeps those, too
  at 1764208000               when it was refused, unix seconds
  score 15.32                 SpamAssassin's; SPAM only, as the next two
  limit 10.00                 the score from which on the site refuses
  rules BAYES_99,URIBL_BLACK  the rules that hit, at most RULES_BYTES_MAX; cut ones end with ',...'
  name Eicar-Test             what clamd found; VIRUS only
  client 192.0.2.1            whose session it was, '-' when it is not known
  id 6kz3rt9qm4.1             of the message in the logs, '-' without one
  envelope 54                 bytes of the envelope
  message 1234                bytes of the message

Each line is a name, a blank and a value of printable characters; each name stands there once; unknown names
are ignored, so that a later version can add some. The envelope is what qmail-queue(8) reads: F sender NUL, T
recipient NUL for each, NUL. The message is what would have been queued, without SpamAssassin's marks:
Received lines of this gateway on top, the sender's own X-Spam-* and X-Virus-* fields removed.

The operators' service, as root, records each release in /var/lib/mailgate/operator/released/NAME, one JSON
object, written atomically and synced:

  {"stage": "begun", "at": 1764209000, "by": "alice"}     before qmail-queue is started
  {"stage": "done" | "failed" | "unknown", ...}           after it

'begun' of a service that no longer runs, and 'unknown', mean that the message may have been queued: it is
released again only by who says so. 'failed' means that it was certainly not queued. 'done' is final: a copy
is delivered once.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.errors import BadInput

NAME = re.compile(r"[0-9a-f]{16}")
WRITING = re.compile(r"\.[0-9a-f]{16}")
LEFTOVER_SECONDS = 3600
HEAD_BYTES_MAX = 8192
RULES_BYTES_MAX = 4000
ENVELOPE_BYTES_MAX = 4_000_000  # as simscan's
SPAM, VIRUS = VERDICTS = ("SPAM", "VIRUS")

_FIRST = re.compile(rb"mailgate-refused ([0-9]{1,9}) ([0-9a-f]{8})\n")
_LINE = re.compile(r"([a-z]{1,20}) ([\x20-\x7e]*)")
_NUMBER = re.compile(r"[0-9]{1,15}")
_SCORE = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_VERSION = b"1"


@dataclass(frozen=True)
class Head:
    """What stands in front of a copy's envelope; lengths in bytes, at in unix seconds."""

    verdict: str
    at: int
    envelope_bytes: int
    message_bytes: int
    score: float | None = None
    limit: float | None = None
    rules: tuple[str, ...] = ()
    name: str = ""
    client: str = ""
    id: str = ""
    crc: int = 0
    begin: int = 0  # of what the CRC covers
    end: int = 0  # of the head, where the envelope begins

    @property
    def file_bytes(self) -> int:
        """Return how long the whole file must be."""
        return self.end + self.envelope_bytes + self.message_bytes


@dataclass(frozen=True)
class Envelope:
    """The sender and the recipients, in the bytes of SMTP."""

    sender: bytes
    recipients: tuple[bytes, ...]


@dataclass(frozen=True)
class Copy:
    """A complete copy: its head, the envelope as qmail-queue reads it, and the message."""

    head: Head
    envelope: bytes
    message: bytes


def check_name(name: str) -> None:
    """Raise BadInput for what is not the name of a copy."""
    if not NAME.fullmatch(name):
        raise BadInput(f"refused message {name!r:.80}: is not a name; expected 16 hexadecimal digits")


def parse_head(data: bytes, where: str) -> Head:
    """Parse the beginning of a copy, HEAD_BYTES_MAX or all of it; raises BadInput that begins with where."""
    first = _FIRST.match(data)
    if first is None:
        raise BadInput(f"{where}: {data[:40]!r} is not a kept copy; expected 'mailgate-refused 1 CRC'")
    if first[1] != _VERSION:
        raise BadInput(f"{where}: is of version {first[1].decode()}; expected {_VERSION.decode()}")
    stop = data.find(b"\n\n", first.end() - 1, HEAD_BYTES_MAX)
    if stop == -1:
        raise BadInput(
            f"{where}: its head does not end within {HEAD_BYTES_MAX} bytes; expected an empty line"
        )
    values: dict[str, str] = {}
    for line in data[first.end() : stop].decode("latin-1").split("\n"):
        found = _LINE.fullmatch(line)
        if found is None or found[1] in values:
            raise BadInput(f"{where}: {line[:80]!r} is wrong; expected a name, once, a blank and a value")
        values[found[1]] = found[2]
    return _head(values, where, int(first[2], 16), first.end(), stop + 2)


def _head(values: Mapping[str, str], where: str, crc: int, begin: int, end: int) -> Head:
    def number(name: str) -> int:
        text = values.get(name, "")
        if not _NUMBER.fullmatch(text):
            raise BadInput(f"{where}: {name} {text[:80]!r} is not a number; expected one")
        return int(text)

    def score(name: str) -> float | None:
        text = values.get(name)
        if text is None:
            return None
        if not _SCORE.fullmatch(text):
            raise BadInput(f"{where}: {name} {text[:80]!r} is not a score; expected a number")
        return float(text)

    def text(name: str) -> str:
        return "" if values.get(name, "-") == "-" else values[name]

    verdict = values.get("verdict", "")
    if verdict not in VERDICTS:
        raise BadInput(f"{where}: verdict {verdict[:80]!r} is not known; expected {' or '.join(VERDICTS)}")
    length = number("envelope")
    if not 1 <= length <= ENVELOPE_BYTES_MAX:
        raise BadInput(f"{where}: envelope of {length} bytes; expected 1 to {ENVELOPE_BYTES_MAX}")
    return Head(
        verdict=verdict,
        at=number("at"),
        envelope_bytes=length,
        message_bytes=number("message"),
        score=score("score"),
        limit=score("limit"),
        rules=tuple(one for one in text("rules").split(",") if one),
        name=text("name"),
        client=text("client"),
        id=text("id"),
        crc=crc,
        begin=begin,
        end=end,
    )


def parse_copy(data: bytes, where: str) -> Copy:
    """Parse a whole file; raises BadInput when it is cut, damaged or longer, or its envelope is not one."""
    head = parse_head(data, where)
    if len(data) != head.file_bytes:
        raise BadInput(f"{where}: has {len(data)} bytes; expected {head.file_bytes}: it is damaged")
    if zlib.crc32(memoryview(data)[head.begin :]) != head.crc:
        raise BadInput(f"{where}: its bytes are not those that were written: it is damaged")
    middle = head.end + head.envelope_bytes
    copy = Copy(head, data[head.end : middle], data[middle:])
    parse_envelope(copy.envelope, where)
    return copy


def parse_envelope(data: bytes, where: str) -> Envelope:
    """Parse an envelope in the form of qmail-queue(8); raises BadInput."""
    fields = data.split(b"\0")
    good = len(fields) >= 4 and fields[-2:] == [b"", b""] and fields[0].startswith(b"F")
    if not good or not all(one.startswith(b"T") for one in fields[1:-2]):
        raise BadInput(f"{where}: its envelope cannot be understood; expected a sender and recipients")
    return Envelope(fields[0][1:], tuple(one[1:] for one in fields[1:-2]))


def render(head: Mapping[str, object], envelope: bytes, message: bytes) -> bytes:
    """Return the file of a copy as simscan writes it, for tests of its readers; head without the lengths."""
    values = {**head, "envelope": len(envelope), "message": len(message)}
    lines = "".join(f"{name} {value}\n" for name, value in values.items())
    rest = lines.encode("ascii") + b"\n" + envelope + message
    return b"mailgate-refused %s %08x\n" % (_VERSION, zlib.crc32(rest)) + rest
