# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses in the envelope: one that could end a line or its brackets is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.conversations import SENDER, A, Arrival, message
from support.gateway import Bed, differences, row_of
from support.lenient_mail_server import FOREIGN, GOOD, LENIENT, STRICT, lenient, nothing_else
from support.smtp_client import Session, stuffed
from support.smtpd_alone import BEGIN, HELLO, MAIL, RCPT, SmtpdBed, recipients_of

CONTROLS = [*range(1, 10), *range(11, 32), 127]  # LF ends the command
PLACES = {
    "local part": b"<a%bb@sender.example>",
    "quoted local part": b'<"a%bb"@sender.example>',
    "behind a backslash": b"<a\\%bb@sender.example>",
    "first": b"<%bann@sender.example>",
    "domain": b"<ann@sender%b.example>",
    "last": b"<ann@sender.example%b>",
    "name": b"<post%bmaster>",
    "nothing else": b"<%b>",
    "source route": b"<@relay%b.example:ann@sender.example>",
    "without brackets": b"ann%b@sender.example",
    "behind the address": b"<ann@sender.example>%bx",
}
HIDDEN = (
    b"RCPT TO:<" + FOREIGN.encode() + b">\\\rDATA\\\rSubject: forged\\\r\\\rX-Row: forged\\\r.\\\rQUIT\\\r"
)
# What each back end must never see a second command, parameter or recipient in.
SMUGGLED = {
    "commands behind escaped CRs": b"a@b.example\\>\\\r" + HIDDEN,
    "commands in a quoted local part": b'"a@b.example>\r' + HIDDEN.replace(b"\\", b"") + b'"@b.example',
    "commands behind a quoted CR in the domain": b"a@b.example\\\r" + HIDDEN,
    "commands in a name": b"a\\>\\\r" + HIDDEN,
    "parameters": b"a@b.example\\> BODY=8BITMIME SIZE=1",
    "quoted parameters": b'"a"@"b.example> SIZE=1"',
    "parameters of a name": b"a\\> BODY=8BITMIME SIZE=1",
    "a second path": b"a@b.example\\>\\,\\<c",
    "NUL and commands": b"a@b.example\0\\>\r" + HIDDEN,
}
NOT_A_HOST_NAME = [
    b"a@", b"a@.", b"a@.b", b"a@b..c", b"a@b\\ c", b"a@b,c", b"a@b;c", b"a@(b)", b"a@[", b"a@[]",
    b"a@[1.2.3.4",
    b"a@[1.2.3.4].", b"a@x[1.2.3.4]", b"a@[1\\ 2]", b"a@b\xfc.example", b"a@b/c", b"a@b%c", b"a@b@",
    b"a@b\\<c",
    b"a@b\\>c", b"a@b\\\\c", b'a@b\\"c', b"a@" + b"x" * 64 + b".example", b"a@" + b"x." * 127 + b"xx",
]  # fmt: skip
ADDRESSES = [
    b"", b"postmaster", b"ann@sender.example", b"ann@SENDER.example.", b"ann@x_y.sender.example",
    b"a@[192.0.2.1]",
    b"ann@[IPv6:2001:db8::1]", b"SRS0=Hhh=TT=orig.example=ann@fwd.example", b'"two words"@sender.example',
    b"o'brien+x@a", b'"a@b"@sender.example', b"@relay.example,@other.example:ann@sender.example",
    b"\xfc@a.example",
    b"a@xn--caf-dma.example", b"a@-b-.example", b"a\\>x@sender.example", b"a" * 312 + b"@b.c.d.e",
    b"a@" + b"x" * 63 + b".example",
]  # fmt: skip


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    with SmtpdBed(bed) as one:
        yield one


def replies_to(smtpd: SmtpdBed, lines: list[bytes], **settings: str) -> list[str]:
    """Return the code of the reply to each line, in a session that has said HELO and MAIL."""
    talk = smtpd.talk(
        HELLO + MAIL + b"".join(line + b"\r\n" for line in lines) + b"QUIT\r\n",
        REFUSALS_LIMIT="0",
        **settings,
    )
    assert talk.codes()[:3] == ["220", "250", "250"] and talk.codes()[-1] == "221"
    assert len(talk.replies) == len(lines) + 4, "one reply for each command"
    return talk.codes()[3:-1]


@pytest.mark.patch("91-envelope-address")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("verb", ["MAIL FROM", "RCPT TO", "RCPT TO of a relay client"])
def test_a_control_byte_is_refused_wherever_it_stands(smtpd: SmtpdBed, verb: str, place: str) -> None:
    relay = {"RELAYCLIENT": ""} if "relay" in verb else {}
    verb_itself = verb.partition(" of")[0].encode()
    outside = place in ("behind the address", "source route")
    controls = [byte for byte in [0, *CONTROLS] if not (outside and byte == 9)]
    lines = [verb_itself + b":" + PLACES[place].replace(b"%b", bytes([byte])) for byte in controls]
    assert replies_to(smtpd, lines, **relay) == ["553"] * len(lines)


@pytest.mark.patch("91-envelope-address")
def test_what_is_no_host_name_is_refused(smtpd: SmtpdBed) -> None:
    lines = [
        verb + b":<" + address + b">" for verb in (b"MAIL FROM", b"RCPT TO") for address in NOT_A_HOST_NAME
    ]
    assert replies_to(smtpd, lines) == ["553"] * len(lines)
    assert replies_to(smtpd, lines, RELAYCLIENT="") == ["553"] * len(lines)


def test_every_address_that_is_one_is_taken(smtpd: SmtpdBed) -> None:
    assert replies_to(smtpd, [b"MAIL FROM:<" + address + b">" for address in ADDRESSES]) == ["250"] * len(
        ADDRESSES
    )
    lines = [b"RCPT TO:<" + address + b">" for address in ADDRESSES]
    assert replies_to(smtpd, lines, RELAYCLIENT="") == ["250"] * len(ADDRESSES)
    more = [
        b"MAIL FROM:<a@b.example> SIZE=100",
        b"MAIL FROM:<a@b.example>\tBODY=8BITMIME",
        b"MAIL FROM: a@b.example x",
        b"MAIL FROM:<a@b",
    ]
    assert replies_to(smtpd, more) == ["250"] * len(more)


@pytest.mark.patch("91-envelope-address")
@pytest.mark.parametrize("length", [320, 321, 880, 890, 900, 901, 9900])
def test_addresses_are_bounded(smtpd: SmtpdBed, length: int) -> None:
    address = b"a" * (length - 12) + b"@example.org"
    expected = ["250" if length <= 320 else "553"] * 2
    lines = [b"MAIL FROM:<" + address + b">", b"RCPT TO:<" + address + b">"]
    assert replies_to(smtpd, lines) == expected
    assert replies_to(smtpd, lines, RELAYCLIENT="") == expected


@pytest.mark.patch("91-envelope-address")
def test_a_refusal_is_one_line_of_the_log(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(
        HELLO + b"MAIL FROM:<a\rb@sender.example>\r\n" + MAIL + b"RCPT TO:<joe\\> x>\r\nRCPT TO:<joe@a b>\r\n"
        b"MAIL FROM:<" + b"x" * 400 + b">\r\nQUIT\r\n"
    )
    assert talk.lines == [
        "qmail-smtpd: mail refused: control-byte from a\\x0db@sender.example at 198.51.100.7",
        "qmail-smtpd: rcpt refused: not-a-name for joe\\x3e\\x20x from ann@sender.example at 198.51.100.7",
        "qmail-smtpd: rcpt refused: not-a-host-name for joe@a\\x20b from ann@sender.example at 198.51.100.7",
        "qmail-smtpd: mail refused: too-long from " + "x" * 200 + "\\... at 198.51.100.7",
    ]


@pytest.mark.patch("91-envelope-address")
def test_a_greeting_is_cut_and_made_harmless(smtpd: SmtpdBed) -> None:
    for greeting in (b"h" * 9900, bytes(CONTROLS) + b'\0\xff()<>\\"' + b"h" * 300):
        talk = smtpd.talk(BEGIN.replace(HELLO, b"EHLO " + greeting + b"\r\n") + b"X: y\r\n\r\n.\r\nQUIT\r\n")
        ((content, _envelope),) = talk.queued
        found = re.match(rb"Received: from unknown \(HELO ([!-~]*)\) \(198\.51\.100\.7\) \(", content)
        assert found and len(found[1]) == 255
        assert not re.search(rb"[^ -~\n]", content)


@pytest.mark.patch("91-envelope-address")
@pytest.mark.parametrize("kind", ["a line may end with CR", "a line may end with LF", "NUL is nothing"])
def test_no_envelope_smuggles(bed: Bed, kind: str) -> None:
    """Each address is refused as sender and as recipient, so that no back end gets any of it."""
    with lenient(bed, STRICT + LENIENT[kind]) as server:
        for verb in ("MAIL FROM", "RCPT TO"):
            for name, address in SMUGGLED.items():
                with Session("198.51.100.7", "198.18.0.1", timeout_seconds=20) as session:
                    lines = [b"", HELLO, MAIL, f"{verb}:<".encode() + address + b">\r\n"]
                    for line in lines:
                        session.send(line)
                        last = session.reply()
                    assert last.startswith("553 "), f"{verb} {name}: {last}"
    assert server.raw == []


def test_an_honest_envelope_arrives_beside_refused_ones(bed: Bed) -> None:
    content = message("envelope-honest")
    with Session("198.51.100.7", "198.18.0.1", timeout_seconds=20) as session:
        said = []
        evil = SMUGGLED["parameters"]
        lines = [b"", HELLO, b"MAIL FROM:<" + evil + b">\r\n", f"MAIL FROM:<{SENDER}>\r\n".encode()]
        lines += [
            b"RCPT TO:<" + evil + b">\r\n",
            f"RCPT TO:<{GOOD}>\r\n".encode(),
            b"DATA\r\n",
            stuffed(content),
        ]
        for line in lines:
            session.send(line)
            said.append(session.reply()[:3])
    assert said == ["220", "250", "553", "250", "553", "250", "354", "250"]
    delivery = bed.mailroom.claim(lambda one: row_of(one) == "envelope-honest", 20)
    assert delivery and (delivery.sender, delivery.recipient) == (SENDER, GOOD)
    assert differences(Arrival(A, GOOD, SENDER, content), delivery.content) == ""
    nothing_else(bed)


@pytest.mark.patch("91-envelope-address")
def test_a_refused_command_changes_nothing(smtpd: SmtpdBed) -> None:
    """The sender that was accepted stays; a refused one does not replace it."""
    evil = b"MAIL FROM:<a@b\\>x>\r\n"
    assert smtpd.talk(HELLO + evil + RCPT + b"QUIT\r\n").codes() == ["220", "250", "553", "503", "221"]
    talk = smtpd.talk(HELLO + MAIL + RCPT + evil + b"DATA\r\nX: y\r\n\r\n.\r\nQUIT\r\n")
    ((_content, envelope),) = talk.queued
    assert envelope.startswith(b"Fann@sender.example\0") and recipients_of(envelope) == [b"joe@example.org"]
