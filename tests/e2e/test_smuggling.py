# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second message hidden in the first: none comes out of the gateway, however lenient the back end is.

RFC 5321, 4.1.1.4: only CRLF . CRLF ends a message.  Servers are known that also take one of ENDS for the end; what
follows it would be commands to them.  Here such servers stand behind the gateway and write down every byte.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from play import GATEWAY_ADDRESS, Bed, differences, row_of
from rows import BARE_LF, BACKENDS, SENDER, STRANGER, A, Arrival, B, message
from smtp import CLOSED, Session

GOOD = "alice@example.test"
FOREIGN = "carol@example.org"
QUIET_SECONDS = 1.5
SOON_SECONDS = 20.0

STRICT = (b"\r\n.\r\n",)
WITH_LF = (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\n.\r", b"\r.\n", b"\n\0.\r\n", b"\n.\0\r\n")
WITH_CR = (b"\r.\r", b"\r.\r\n", b"\r\n.\r")
FORGED = (
    f"MAIL FROM:<forged@example.test>\r\nRCPT TO:<{FOREIGN}>\r\nDATA\r\n"
    f"From: forged@example.test\r\nX-Row: forged\r\n\r\nforged\r\n"
).encode("ascii")


@dataclass(frozen=True)
class Variant:
    """`end` stands after a line's text where the smuggler wants the message to end."""

    name: str
    end: bytes
    refused: bool  # with 451 and a hang-up; otherwise it is part of the one message


VARIANTS = (
    Variant("lf-dot-lf", b"\n.\n", True),
    Variant("lf-dot-crlf", b"\n.\r\n", True),
    Variant("crlf-dot-lf", b"\r\n.\n", True),
    Variant("cr-dot-lf", b"\r.\n", True),
    Variant("lf-dot-cr", b"\n.\r", True),
    Variant("crlf-dot-nul-lf", b"\r\n.\0\n", True),
    Variant("cr-nul-lf-dot", b"\r\0\n.\r\n", True),
    Variant("lf-nul-dot-crlf", b"\n\0.\r\n", True),
    Variant("lf-lf-dot-crlf", b"\r\n\n.\r\n", True),
    Variant("cr-dot-cr", b"\r.\r", False),
    Variant("cr-dot-crlf", b"\r.\r\n", False),
    Variant("crlf-dot-cr", b"\r\n.\r", False),
    Variant("crlf-dot-crcrlf", b"\r\n.\r\r\n", False),
    Variant("crcrlf-dot-crlf", b"\r\r\n..\r\n", False),
    Variant("crlf-nul-dot-crlf", b"\r\n\0.\r\n", False),
    Variant("crlf-dot-nul-crlf", b"\r\n.\0\r\n", False),
    Variant("crlf-dot-space-crlf", b"\r\n. \r\n", False),
    Variant("cr-nul-dot-crlf", b"\r\0.\r\n", False),
    Variant("crlf-dot-cr-nul-crlf", b"\r\n.\r\0\r\n", False),
)


def content_of(variant: Variant) -> bytes:
    return message(f"smuggle-{variant.name}", b"one" + variant.end + FORGED)


def sent_as(content: bytes) -> bytes:
    """As it stands but for the dots that an honest client must double: whole lines of one dot and CRLF."""
    return content.replace(b"\r\n..\r\n", b"\r\n...\r\n") + b".\r\n"


def received_as(content: bytes) -> bytes:
    """A dot at the start of a line is the sender's stuffing, and one that nobody stuffed goes as well."""
    return re.sub(rb"\r\n\.(?!\r?$)", b"\r\n", content)


@dataclass
class LenientBackend:
    """An SMTP server that takes any of `ends` for the end of a message, and keeps messages and raw bytes."""

    address: str
    port: int
    ends: tuple[bytes, ...]
    messages: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.address, self.port))
        self._end = re.compile(b"|".join(re.escape(end) for end in sorted(self.ends, key=len, reverse=True)))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        buffer, whole, within = b"", b"", False
        with peer:
            peer.settimeout(SOON_SECONDS)
            peer.sendall(b"220 lenient.example ESMTP\r\n")
            while True:
                try:
                    block = peer.recv(65536)
                except OSError:
                    block = b""
                if not block:
                    self.raw.append(whole)
                    return
                whole += block
                buffer += block
                while True:
                    if within:
                        # The CRLF behind DATA may be the one before the dot.
                        found = self._end.search(b"\r\n" + buffer)
                        if not found:
                            break
                        self.messages.append(buffer[: max(found.start() - 2, 0)])
                        buffer, within = buffer[found.end() - 2 :], False
                        answer = b"250 kept\r\n"
                    else:
                        line, newline, rest = buffer.partition(b"\n")
                        if not newline:
                            break
                        buffer = rest
                        within = line.strip().upper() == b"DATA"
                        ends = line.strip().upper() == b"QUIT"
                        answer = b"354 go on\r\n" if within else b"221 bye\r\n" if ends else b"250 ok\r\n"
                    try:
                        peer.sendall(answer)
                    except OSError:
                        break


@contextmanager
def lenient(bed: Bed, ends: tuple[bytes, ...]) -> Iterator[LenientBackend]:
    """In the place of exchange-a meanwhile."""
    bed.backends[A].stop()
    address, port = BACKENDS[A]
    server = LenientBackend(address, port, ends)
    try:
        yield server
    finally:
        server.close()
        bed.backends[A].start()


def hand_in(raw: bytes) -> list[str]:
    """Every reply from the first to `raw` behind DATA on, until the gateway waits for us or hangs up."""
    with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=SOON_SECONDS) as session:
        assert session.reply().startswith("220 ")
        for line in ("HELO client.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{GOOD}>", "DATA"):
            session.send(f"{line}\r\n".encode("ascii"))
            assert session.reply()[:1] in "23"
        session.send(raw + b"NOOP\r\n")
        replies = []
        while not replies or replies[-1] not in ("250 ok", CLOSED):
            replies.append(session.reply())
            assert len(replies) < 10, replies
    return replies


def nothing_else(bed: Bed) -> None:
    time.sleep(QUIET_SECONDS)
    assert bed.mailroom.unclaimed() == []


def test_what_the_variants_are_on_the_way_in() -> None:
    """They are sent as an attacker would, not stuffed by our own client, and none holds an honest end."""
    for variant in VARIANTS:
        assert sent_as(content_of(variant)).count(b"\r\n.\r\n") == 1, variant


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_no_second_message_at_an_honest_back_end(bed: Bed, variant: Variant) -> None:
    content = content_of(variant)
    replies = hand_in(sent_as(content))
    if variant.refused:
        assert replies == [BARE_LF, CLOSED]
    else:
        assert replies[0].startswith("250 ok "), replies
        assert replies[1:] == ["250 ok"], "the gateway took bytes of the message for commands"
        delivery = bed.mailroom.claim(lambda one: row_of(one) == f"smuggle-{variant.name}", SOON_SECONDS)
        assert delivery is not None
        arrival = Arrival(A, GOOD, SENDER, received_as(content))
        assert (delivery.backend, delivery.recipient, delivery.sender) == (A, GOOD, SENDER)
        assert differences(arrival, delivery.content) == ""
    nothing_else(bed)


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
@pytest.mark.parametrize("ends", [STRICT + WITH_LF, STRICT + WITH_LF + WITH_CR], ids=["lf", "cr"])
def test_no_second_message_at_a_lenient_back_end(
    bed: Bed, variant: Variant, ends: tuple[bytes, ...], request: pytest.FixtureRequest
) -> None:
    content = content_of(variant)
    with lenient(bed, ends) as server:
        replies = hand_in(sent_as(content))
        assert replies[-1] == (CLOSED if variant.refused else "250 ok")
        deadline = time.monotonic() + (QUIET_SECONDS if variant.refused else SOON_SECONDS)
        while not server.raw and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
    if variant.refused:
        assert (server.messages, server.raw) == ([], [])
        return
    assert len(server.raw) == 1
    _, _, behind = server.raw[0].partition(b"DATA\r\n")
    body, _, left = behind.partition(b"\r\n.\r\n")
    assert left == b"QUIT\r\n"
    found = [end for end in ends if end in b"\r\n" + body + b"\r\n"]
    assert found == [], f"the gateway sends {found}, which this back end takes for an end"
    assert len(server.messages) == 1


def test_the_lenient_back_end_is_lenient() -> None:
    """It takes the bait when it gets it from somebody else than the gateway."""
    server = LenientBackend("127.0.0.1", 2526, STRICT + WITH_LF)
    try:
        with Session("127.0.0.1", "127.0.0.1", 2526, timeout_seconds=5) as session:
            for part in (b"", b"HELO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n"):
                session.send(part)
                session.reply()
            session.send(b"one\n.\r\n" + FORGED + b".\r\n")
            assert [session.reply() for _ in range(5)] == ["250 kept", "250 ok", "250 ok", "354 go on", "250 kept"]
        assert [message[:4] for message in server.messages] == [b"one", b"From"]
    finally:
        server.close()


def test_nothing_arrived_at_the_other_back_end(bed: Bed) -> None:
    """Stands last: the forged messages were for exchange-b."""
    nothing_else(bed)
    assert bed.mailroom.take(lambda one: one.backend == B) == []
