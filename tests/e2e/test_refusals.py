# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal leaves one line in the log, with client, sender and recipient, and nobody can forge one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.conversations import HELO, STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed, gateway_pid
from support.smtp_client import CLOSED, Session
from support.smtpd_alone import HELLO, MAIL, SmtpdBed, without_ids

OF_THE_FRONT = ("tcpserver: ", "cqgreylist[", "smtpfront: ", "smtpfront[", "smtplaunch: ")
FORGED = "qmail-smtpd: not in validrcptto: x@example.test from <> at 203.0.113.9"


class Log:
    """The lines that qmail-smtpd itself writes from now on, without multilog's stamps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin = path.stat().st_size

    def lines(self) -> list[str]:
        with open(self.path, "rb") as stream:
            stream.seek(self.begin)
            text = stream.read().decode("latin-1")
        found = [line.partition(" ")[2] for line in text.splitlines()]
        return without_ids(line for line in found if not line.startswith(OF_THE_FRONT))

    def settled(self, count: int) -> list[str]:
        """Return the lines, as soon as there are so many, with any others beside them."""
        deadline = time.monotonic() + 10
        while len(self.lines()) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        return self.lines()


@pytest.fixture
def log(bed: Bed) -> Log:
    return Log(Path(f"/proc/{gateway_pid(bed.name)}/root/var/log/qmail/smtpd/current"))


@pytest.fixture
def session(bed: Bed) -> Iterator[Session]:
    with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=20) as one:
        one.reply()
        one.send(HELO.send)
        one.reply()
        yield one


def said(session: Session, line: bytes) -> str:
    session.send(line + b"\r\n")
    return session.reply()


ADDRESSES = [
    (b"ann@sender.example", "ann@sender.example"),
    (b"", "<>"),
    (b"a b@sender.example", "a\\x20b@sender.example"),
    (b"\xfc@sender.example", "\\xfc@sender.example"),
    (b'"evil at 203.0.113.9"@sender.example', "evil\\x20at\\x20203.0.113.9@sender.example"),
    (
        f'"{FORGED}"@sender.example'.encode(),
        FORGED.replace(" ", "\\x20").replace("<", "\\x3c").replace(">", "\\x3e") + "@sender.example",
    ),
]
# What is refused for itself.
BAD = [
    (b"\x1b[2J\x07@sender.example", "control-byte", "\\x1b[2J\\x07@sender.example"),
    (b"a\rqmail-smtpd: x@sender.example", "control-byte", "a\\x0dqmail-smtpd:\\x20x@sender.example"),
    (b"x@y.example\\ from\\ z", "not-a-host-name", "x@y.example\\x20from\\x20z"),
    (b"x" * 1000, "too-long", "x" * 200 + "\\..."),
    (b"\xff" * 1000, "too-long", "\\xff" * 50 + "\\..."),
]


@pytest.mark.patch("30-refusal-log")
@pytest.mark.parametrize(("sender", "field"), ADDRESSES, ids=[str(n) for n in range(len(ADDRESSES))])
def test_a_foreign_domain(session: Session, log: Log, sender: bytes, field: str) -> None:
    said(session, b"MAIL FROM:<" + sender + b">")
    assert said(session, b"RCPT TO:<victim@else.where>").startswith("553 ")
    assert log.settled(1) == [f"qmail-smtpd: rcpthosts: victim@else.where from {field} at {STRANGER}"]


@pytest.mark.patch("10-validrcptto")
@pytest.mark.parametrize(("sender", "field"), ADDRESSES, ids=[str(n) for n in range(len(ADDRESSES))])
def test_an_unknown_recipient(session: Session, log: Log, sender: bytes, field: str) -> None:
    said(session, b"MAIL FROM:<" + sender + b">")
    assert said(session, b"RCPT TO:<nobody@example.test>").startswith("550 5.1.1 ")
    assert log.settled(1) == [
        f"qmail-smtpd: not in validrcptto: nobody@example.test from {field} at {STRANGER}"
    ]


@pytest.mark.patch("30-refusal-log")
@pytest.mark.parametrize(("recipient", "field"), ADDRESSES[2:])
def test_a_bad_sender(session: Session, log: Log, recipient: bytes, field: str) -> None:
    said(session, b"MAIL FROM:<spammer@bad.example>")
    assert said(session, b"RCPT TO:<" + recipient + b">").startswith("553 ")
    assert log.settled(1) == [f"qmail-smtpd: badmailfrom: spammer@bad.example to {field} at {STRANGER}"]


@pytest.mark.patch("91-envelope-address")
@pytest.mark.parametrize(("address", "why", "field"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_an_address_that_is_none(session: Session, log: Log, address: bytes, why: str, field: str) -> None:
    assert said(session, b"MAIL FROM:<" + address + b">").startswith("553 ")
    said(session, b"MAIL FROM:<ann@sender.example>")
    assert said(session, b"RCPT TO:<" + address + b">").startswith("553 ")
    assert log.settled(2) == [
        f"qmail-smtpd: mail refused: {why} from {field} at {STRANGER}",
        f"qmail-smtpd: rcpt refused: {why} for {field} from ann@sender.example at {STRANGER}",
    ]


@pytest.mark.patch("10-validrcptto")
def test_the_tenth_unknown_recipient_ends_the_session(session: Session, log: Log) -> None:
    said(session, b"MAIL FROM:<ann@sender.example>")
    replies = [said(session, b"RCPT TO:<nobody%d@example.test>" % number)[:3] for number in range(10)]
    assert replies == ["550"] * 9 + ["421"]
    assert session.reply() == CLOSED
    lines = log.settled(11)
    assert len(lines) == 11
    assert lines[-1] == f"qmail-smtpd: excessive validrcptto violations, hanging up on {STRANGER}"


def test_an_accepted_recipient_leaves_no_line(session: Session, log: Log) -> None:
    said(session, b"MAIL FROM:<ann@sender.example>")
    assert said(session, b"RCPT TO:<alice@example.test>") == "250 ok"
    assert log.settled(0) == []


@pytest.mark.patch("40-cve-2005")
def test_a_command_without_end_ends_the_session(session: Session) -> None:
    assert said(session, b"MAIL FROM:<" + b"a" * 20000 + b"@sender.example>").startswith("421 ")
    assert session.reply() == CLOSED


@pytest.mark.patch("40-cve-2005")
def test_recipients_of_a_message_are_bounded(bed: Bed) -> None:
    """The limit is a million bytes, however many recipients a site allows."""
    why = bed.only_real("the stand-in has one limit for recipients")
    if why:
        pytest.skip(why)
    lines = b"".join(
        b"RCPT TO:<" + b"%06d" % number + b"a" * 300 + b"@else.where>\r\n" for number in range(3400)
    )
    with SmtpdBed(bed) as smtpd:
        talk = smtpd.talk(HELLO + MAIL + lines, RELAYCLIENT="", RECIPIENTS_LIMIT="0")
    replies = talk.codes()[3:]
    assert (replies[0], replies[-1], len(replies)) == ("250", "452", 3400)
    assert replies == sorted(replies), "after the first 452 no further recipient is taken"
