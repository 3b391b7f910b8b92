# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scanners saw is what left: the bytes given to ClamAV and SpamAssassin are those at the back end.

A message may stand there with fields of ours in front and lines that end with CRLF, and with no other
difference: whatever is changed behind the scanners is something that nobody has judged.  All go through one
session, and in the scanners' place are daemons of the test that keep what they are given and find nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.conversations import SENDER, STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed
from support.played_scanners import judged, says
from support.scanner_faults import CLAMD, SPAMD, ScanBed
from support.smtp_client import Session

MARK = re.compile(rb"^X-Row: (sd-[0-9]+)\r?\n", re.MULTILINE)
SOON_SECONDS = 60.0

# What is put into each place, alone.
PIECES = {
    "cr": b"\r",
    "crs": b"\r\r\r",
    "nul": b"\0",
    "blank": b" ",
    "tab": b"\t",
    "fold": b"\r\n ",
    "fold-behind-cr": b"\r\r\n\r ",
    "line-of-cr": b"\r\n\r\r\n",
    "line-of-nul": b"\r\n\0\r\n",
    "cr-and-nul": b"\r\0\r",
    "nul-crlf": b"\0\r\n ",
}
# Where: in a field's name, around its colon, in its value, in a part's header, its boundary and its body.
TEMPLATE = b"""X-Row: %(row)s
From: Ann <ann@sender.example>%(0)s
Subj%(1)sect:%(2)s hello%(3)s
MIME-Version:%(4)s1.0
Content-Type: multipart/mixed;%(5)s boundary=%(6)s"b"

--b%(7)s
X: y%(8)s
Content-Type:%(9)sapplication/octet-stream
Content-Transfer-Encoding:%(10)sbase64%(11)s

WDVP%(12)sIVAl%(13)s
%(14)s
--b--%(15)s
""".replace(b"\n", b"\r\n")
PLACES = 16


@dataclass(frozen=True)
class One:
    row: str
    sent: bytes
    what: str


def corpus() -> Iterator[One]:
    """Return rows with every piece in at least one place, and at least one piece in each place."""
    pieces = list(PIECES.items())
    chosen = {(piece, (piece * 5 + step * 3) % PLACES) for piece in range(len(pieces)) for step in range(2)}
    chosen |= {(place % len(pieces), place) for place in range(PLACES)}
    numbers = itertools.count(1)
    for piece, place in sorted(chosen):
        row = f"sd-{next(numbers)}"
        filled = {str(one).encode(): pieces[piece][1] if one == place else b"" for one in range(PLACES)}
        yield One(row, TEMPLATE % {b"row": row.encode(), **filled}, f"{pieces[piece][0]} at place {place}")
    row = f"sd-{next(numbers)}"
    everywhere = {str(one).encode(): pieces[one % len(pieces)][1] for one in range(PLACES)}
    yield One(row, TEMPLATE % {b"row": row.encode(), **everywhere}, "all of them at once")
    row = f"sd-{next(numbers)}"
    yield One(
        row, b" with ESMTPSA;\r\nX-Row: " + row.encode() + b"\r\n\r\nx\r\n", "a first line that goes on"
    )


CORPUS = tuple(corpus())


def own(content: bytes) -> bytes:
    """Return the client's part of a message, from the line on that names it, with LF."""
    found = MARK.search(content)
    assert found, content[:300]
    return content[found.start() :].replace(b"\r\n", b"\n")


@pytest.fixture(scope="module")
def seen(bed: Bed) -> Iterator[dict[str, dict[str, bytes]]]:
    """Return for each row what clamd and spamd got, and what arrived."""
    scan = ScanBed(bed)
    found: dict[str, dict[str, bytes]] = {"clamd": {}, "spamd": {}, "back end": {}}
    with (
        scan.played(CLAMD, says(b"fd[1]: OK\0")) as clamd,
        scan.played(SPAMD, judged("0.0")) as spamd,
        Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=SOON_SECONDS) as session,
    ):
        session.reply()
        session.send(b"HELO client.example\r\n")
        session.reply()
        for one in CORPUS:
            session.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n".encode())
            session.send(one.sent + b".\r\n")
        for one in CORPUS:
            replies = [session.reply() for _ in range(4)]
            assert replies[-1].startswith("250 "), f"{one.what}: {replies}"
    for who, messages in (("clamd", clamd.messages()), ("spamd", spamd.messages())):
        for content in messages:
            name = MARK.search(content)
            assert name, content[:300]
            found[who][name[1].decode()] = content
    within_seconds = SOON_SECONDS
    for one in CORPUS:
        mark = f"X-Row: {one.row}\r\n".encode()
        got = bed.mailroom.claim(lambda delivery, mark=mark: mark in delivery.content, within_seconds)  # type: ignore[misc]
        within_seconds = within_seconds if got else 0.5  # one that is missing is failure enough
        found["back end"][one.row] = got.content if got else b""
    yield found


@pytest.mark.patch("92-message-bytes")
def test_what_the_scanners_saw_is_what_left(seen: dict[str, dict[str, bytes]]) -> None:
    for one in CORPUS:
        arrived = own(seen["back end"][one.row])
        for scanner in ("clamd", "spamd"):
            assert own(seen[scanner][one.row]) == arrived, f"{scanner}: {one.what}"
        assert b"\r" not in arrived and b"\0" not in arrived, one.what


def test_the_whole_message_arrives(seen: dict[str, dict[str, bytes]]) -> None:
    """Nothing but blanks stands for the stray bytes, and no other byte is changed."""
    for one in CORPUS:
        arrived = own(seen["back end"][one.row])
        sent = own(one.sent)
        assert re.sub(rb"[ \r\0]", b"", arrived) == re.sub(rb"[ \r\0]", b"", sent), one.what


@pytest.mark.patch("92-message-bytes")
def test_no_first_line_of_the_message_is_in_our_header(seen: dict[str, dict[str, bytes]]) -> None:
    (one,) = [one for one in CORPUS if one.sent.startswith(b" ")]
    for who, contents in seen.items():
        head, _, body = contents[one.row].replace(b"\r\n", b"\n").partition(b"\n\n")
        assert body.startswith(b" with ESMTPSA;\n"), f"{who}: {head!r}"
