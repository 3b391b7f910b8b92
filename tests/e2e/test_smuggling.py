# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second message hidden in the first: none comes out of the gateway, however lenient the back end is.

RFC 5321, 4.1.1.4: only CRLF . CRLF ends a message.  Servers are known that take others for the end, too
(LENIENT); what follows would be commands to them.  Here such servers stand behind the gateway and write down
every byte.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.conversations import BARE_LF, SENDER, STRANGER, A, Arrival, B, message
from support.gateway import GATEWAY_ADDRESS, SETTLE_SECONDS, Bed, differences, row_of
from support.lenient_mail_server import (
    FOREIGN,
    GOOD,
    LENIENT,
    SOON_SECONDS,
    STRICT,
    LenientBackend,
    lenient,
    nothing_else,
)
from support.smtp_client import CLOSED, Session
from support.smtpd_alone import BEGIN, SmtpdBed, client_part

FORGED = (
    f"MAIL FROM:<forged@example.test>\r\nRCPT TO:<{FOREIGN}>\r\nDATA\r\n"
    f"From: forged@example.test\r\nX-Row: forged\r\n\r\nforged\r\n"
).encode("ascii")


@dataclass(frozen=True)
class Variant:
    """`end` goes out behind a line's text, where the smuggler wants the message to end.

    `arrives` is what an honest back end gets of it; None: the gateway refuses it and hangs up.  A dot that
    begins a line is dropped, as an honest client would have doubled it; before CR, where none sends one, it
    is kept.  Stray CRs and NULs are blanks.
    """

    name: str
    end: bytes
    arrives: bytes | None


VARIANTS = (
    Variant("lf-dot-lf", b"\n.\n", None),
    Variant("lf-dot-crlf", b"\n.\r\n", None),
    Variant("crlf-dot-lf", b"\r\n.\n", None),
    Variant("cr-dot-lf", b"\r.\n", None),
    Variant("lf-dot-cr", b"\n.\r", None),
    Variant("crlf-dot-nul-lf", b"\r\n.\0\n", None),
    Variant("cr-nul-lf-dot-crlf", b"\r\0\n.\r\n", None),
    Variant("lf-nul-dot-crlf", b"\n\0.\r\n", None),
    Variant("crlf-dot-cr-nul-lf", b"\r\n.\r\0\n", None),
    Variant("crlf-lf-dot-crlf", b"\r\n\n.\r\n", None),
    Variant("cr-dot-cr", b"\r.\r", b" . "),
    Variant("cr-dot-crlf", b"\r.\r\n", b" .\r\n"),
    Variant("crlf-dot-cr", b"\r\n.\r", b"\r\n. "),
    Variant("crlf-dot-crcrlf", b"\r\n.\r\r\n", b"\r\n.\r\n"),
    Variant("crcrlf-dot-crcrlf", b"\r\r\n.\r\r\n", b"\r\n.\r\n"),
    Variant("crlf-nul-dot-crlf", b"\r\n\0.\r\n", b"\r\n .\r\n"),
    Variant("crlf-dot-nul-crlf", b"\r\n.\0\r\n", b"\r\n \r\n"),
    Variant("crlf-dot-space-crlf", b"\r\n. \r\n", b"\r\n \r\n"),
    Variant("cr-nul-dot-crlf", b"\r\0.\r\n", b"  .\r\n"),
    Variant("crlf-dot-cr-nul-crlf", b"\r\n.\r\0\r\n", b"\r\n.  \r\n"),
    Variant("cr-lf-nul-nul-dot-crlf", b"\r\n\0\0.\r\n", b"\r\n  .\r\n"),
    Variant("crlf-dot-dot-nul-crlf", b"\r\n..\0\r\n", b"\r\n. \r\n"),
    Variant("crlf-nul-cr-dot-crlf", b"\r\n\0\r.\r\n", b"\r\n  .\r\n"),
)


def content_of(variant: Variant, end: bytes) -> bytes:
    return message(f"smuggle-{variant.name}", b"one" + end + FORGED)


def raw_of(variant: Variant) -> bytes:
    """Return the bytes as a smuggler sends them, without dot-stuffing."""
    return content_of(variant, variant.end) + b".\r\n"


def hand_in(raw: bytes) -> list[str]:
    """Every reply from the first to `raw` behind DATA on, until the gateway waits for us or hangs up."""
    with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=SOON_SECONDS) as session:
        assert session.reply().startswith("220 ")
        for line in ("HELO client.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{GOOD}>", "DATA"):
            session.send(f"{line}\r\n".encode("ascii"))
            assert session.reply()[:1] in "23"
        session.send(raw + b"NOOP\r\n")
        replies: list[str] = []
        while not replies or replies[-1] not in ("250 ok", CLOSED):
            replies.append(session.reply())
            assert len(replies) < 10, replies
    return replies


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_no_second_message_at_an_honest_back_end(bed: Bed, variant: Variant) -> None:
    raw = raw_of(variant)
    assert raw.count(STRICT[0]) == 1, "the variant holds an honest end"
    replies = hand_in(raw)
    if variant.arrives is None:
        assert replies == [BARE_LF, CLOSED]
    else:
        assert replies[0].startswith("250 ok "), replies
        assert replies[1:] == ["250 ok"], "the gateway took bytes of the message for commands"
        delivery = bed.mailroom.claim(lambda one: row_of(one) == f"smuggle-{variant.name}", SOON_SECONDS)
        assert delivery is not None
        arrival = Arrival(A, GOOD, SENDER, content_of(variant, variant.arrives))
        assert (delivery.backend, delivery.recipient, delivery.sender) == (A, GOOD, SENDER)
        assert differences(arrival, delivery.content) == ""
    nothing_else(bed)


def _pairs() -> list[Any]:
    """Each variant that gets into the gateway, at each back end."""
    pairs = []
    for variant in VARIANTS:
        for kind in LENIENT if variant.arrives is not None else ():
            name = f"{variant.name}-{kind.replace(' ', '-')}"
            pairs.append(pytest.param(variant, kind, id=name))
    return pairs


@pytest.mark.patch("90-stray-cr")
@pytest.mark.parametrize(("variant", "kind"), _pairs())
def test_no_second_message_at_a_lenient_back_end(bed: Bed, variant: Variant, kind: str) -> None:
    with lenient(bed, STRICT + LENIENT[kind]) as server:
        assert hand_in(raw_of(variant))[-1] == "250 ok"
        deadline = time.monotonic() + SOON_SECONDS
        while not server.raw and time.monotonic() < deadline:
            time.sleep(0.02)
    assert len(server.raw) == 1, "the message was handed on once"
    body, _, left = server.raw[0].partition(b"DATA\r\n")[2].partition(STRICT[0])
    assert left == b"QUIT\r\n"
    assert b"\0" not in body and b"\r" not in body.replace(b"\r\n", b"")
    found = [end for end in LENIENT[kind] if end in b"\r\n" + body + b"\r\n"]
    assert found == [], f"the gateway sends {found}, which this back end takes for an end"
    assert len(server.messages) == 1


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    with SmtpdBed(bed) as one:
        yield one


@pytest.mark.patch("92-message-bytes")
def test_our_header_ends_before_any_first_byte(smtpd: SmtpdBed) -> None:
    """SpamAssassin and clamd take blank and tab for the rest of a field; others may take more."""
    firsts = [bytes([byte]) for byte in range(256) if bytes([byte]) not in (b"\n", b"\r", b".")]
    firsts += [b"\rx", b"\r\r", b". ", b".\t", b".\0", b".\r", b"..", b".x"]
    message = b" with ESMTPSA;\r\nX: y\r\n\r\nz\r\n.\r\n"
    talk = smtpd.talk(b"".join(BEGIN + first + message for first in firsts) + b"QUIT\r\n")
    assert talk.codes() == ["220", *["250", "250", "250", "354", "250"] * len(firsts), "221"]
    for first, (content, _envelope) in zip(firsts, talk.queued, strict=True):
        settled = first.replace(b"\r", b" ").replace(b"\0", b" ")
        settled = settled[1:] if first[:1] == b"." and first != b".\r" else settled
        may_begin_a_field = 32 < settled[0] < 127 and settled[:1] != b":"
        expected = (b"" if may_begin_a_field else b"\n") + settled + message[:-3].replace(b"\r\n", b"\n")
        assert client_part(content) == expected, f"{first!r}: {content!r}"


@pytest.mark.patch("92-message-bytes")
def test_an_empty_first_line_needs_no_other(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(
        b"".join(BEGIN + first + b".\r\n" for first in (b"", b"\r\n", b"\r\nx\r\n", b"\r\r\nx\r\n"))
        + b"QUIT\r\n"
    )
    assert [client_part(content) for content, _ in talk.queued] == [b"", b"\n", b"\nx\n", b"\nx\n"]


def test_the_lenient_back_end_is_lenient() -> None:
    """The back end accepts the forged message when it does not come through the gateway."""
    server = LenientBackend("127.0.0.1", 2526, STRICT + LENIENT["a line may end with LF"])
    try:
        with Session("127.0.0.1", "127.0.0.1", 2526, timeout_seconds=5) as session:
            for line in ("NOOP", "HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"):
                session.send(f"{line}\r\n".encode("ascii"))
                session.reply()
            assert session.reply() == "354 go on"
            session.send(b"one\n.\r\n" + FORGED + b".\r\n")
            replies = [session.reply() for _ in range(5)]
        assert replies == ["250 kept", "250 ok", "250 ok", "354 go on", "250 kept"]
        assert [text[:4] for text in server.messages] == [b"one", b"From"]
    finally:
        server.close()


def test_nothing_arrived_at_the_other_back_end(bed: Bed) -> None:
    """Run as the last test: the forged messages were for exchange-b."""
    time.sleep(SETTLE_SECONDS)
    assert bed.mailroom.take(lambda one: one.backend == B) == []
