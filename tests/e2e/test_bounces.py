# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounces of mail that the back end refuses after the gateway has accepted it: the header, none for spam."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from support.conversations import LOOPBACK, OFFICE, POSTMASTER, SENDER, STRANGER, A, B, message
from support.gateway import Bed, submit
from support.queue_access import SendLog, put_into_queue
from support.queue_checks import DOUBLE_BOUNCE, bounce, nothing_comes, waiting
from support.recording_servers import conversation, sinks

GOOD = "alice@example.test"
MARK = "please-mark-this"  # a rule of the tests makes it spam that is delivered
REFUSAL = "554 5.7.1 not this"
BODY = b"the body stays here\r\n"
BOUND = 16384
MARKER = "--- Below this line is a copy of the message.\r\n\r\n"
PATCH = pytest.mark.patch("97-bounce-header")


@pytest.fixture(autouse=True)
def refusing(bed: Bed, empty_queue: None) -> Iterator[None]:
    """Let the back end of example.test refuse each message after DATA."""
    bed.backends[A].refuse = REFUSAL
    yield
    bed.backends[A].refuse, bed.backends[A].delay_seconds = "", 0.0


def content(name: str, *fields: str) -> bytes:
    """Return a message with these fields below its own, and fields that keep a stranger's score low."""
    fields = (f"Date: {formatdate()}", f"Message-ID: <{name}@sender.example>", *fields)
    head, _, _ = message(name).partition(b"\r\n\r\n")
    return head + b"".join(b"\r\n" + one.encode("ascii") for one in fields) + b"\r\n\r\n" + BODY


def accepted(text: bytes, *, sender: str = SENDER, who: str = OFFICE) -> None:
    assert submit(text, GOOD, sender=sender, who=who).startswith("250 ok ")


@PATCH
@pytest.mark.parametrize("who", [STRANGER, OFFICE, LOOPBACK])
def test_only_the_header_goes_back(bed: Bed, who: str) -> None:
    accepted(content(f"header-{who}"), who=who)
    text = bounce(bed, B, SENDER)
    notice, _, back = text.partition(MARKER)
    assert f"<{GOOD}>:\r\n" in notice
    assert REFUSAL in notice
    assert "Only the header of your message is sent back." in notice
    assert back.startswith(f"Return-Path: <{SENDER}>\r\nReceived: ")
    assert f"\r\nX-Row: header-{who}\r\n" in back
    assert "stays here" not in text
    assert "left out" not in text
    nothing_comes(bed)


@PATCH
def test_a_header_without_end_goes_back_in_part(bed: Bed) -> None:
    accepted(content("long-header", *(f"X-Long-{number}: {'x' * 60}" for number in range(2000))))
    _, _, back = bounce(bed, B, SENDER).partition(MARKER)
    back = back.partition("\r\n")[2]
    kept, _, end = back.partition("\r\n\r\n")
    assert end == "--- The rest of the header is left out.\r\n"
    size = len((kept + "\r\n").replace("\r\n", "\n"))
    assert size in (BOUND, BOUND + 1), "one more when a line is cut"
    nothing_comes(bed)


@PATCH
def test_a_text_without_header_does_not_go_back(bed: Bed) -> None:
    """Its first line is not a field, so all of it is the body."""
    accepted(b"buy at our shop: http://shop.example\r\nX-Row: headless\r\n\r\n" + BODY)
    _, _, back = bounce(bed, B, SENDER).partition(MARKER)
    assert "Received: " in back
    assert "shop" not in back
    assert "headless" not in back


@PATCH
@pytest.mark.parametrize("sender", [SENDER, ""], ids=["sender", "null-sender"])
def test_no_bounce_for_what_scored_as_spam(bed: Bed, sender: str) -> None:
    """The postmaster gets no bounce either; one log line says so."""
    log = SendLog(bed)
    accepted(content(MARK), sender=sender, who=STRANGER)
    line = log.wait_for("bounce withheld msg ")
    assert re.fullmatch(rf"bounce withheld msg [0-9]+: spam, from <{re.escape(sender)}>", line)
    log.wait_for_end(1)
    nothing_comes(bed)
    assert log.text().count("bounce withheld") == 1
    assert " bounce msg " not in log.text()
    assert waiting(bed) == []


@pytest.mark.parametrize(
    ("where", "who"), [("header", OFFICE), ("header", LOOPBACK), ("body", OFFICE), ("body", LOOPBACK)]
)
def test_what_the_sender_says_of_spam_withholds_nothing(bed: Bed, where: str, who: str) -> None:
    fields = ("X-Spam-Flag: YES", "X-Spam-Status: Yes, score=9.9 required=5.0")
    if where == "header":
        text = content(f"forged-{where}", *fields)
    else:
        text = content(f"forged-{where}") + "\r\n".join((*fields, "", "")).encode("ascii")
    accepted(text, who=who)
    assert f"X-Row: forged-{where}" in bounce(bed, B, SENDER)
    nothing_comes(bed)


def test_an_unscanned_relay_clients_own_words_withhold_nothing(bed: Bed) -> None:
    """Such fields are below the field of qmail-smtpd, where the scanner writes nothing."""
    received = b"Received: from office (198.51.100.70)\n  by mx1 with SMTP; 1 Jan 2026\n"
    text = received + b"X-Spam-Flag: YES\nX-Row: own\n\nx\n"
    put_into_queue(bed, SENDER.encode("ascii"), GOOD.encode("ascii"), content=text)
    assert "X-Row: own" in bounce(bed, B, SENDER)


@PATCH
def test_a_double_bounce_is_a_header_too(bed: Bed) -> None:
    with sinks(bed, {A: "", B: "550 5.1.1 no such sender"}) as there:
        there[A].refuse = REFUSAL
        log = SendLog(bed)
        accepted(content("double"))
        log.wait_for("bounce msg ")
        there[A].refuse = ""
        log.wait_for_end(3)
        told = [conversation(raw, "CRLF") for raw in there[A].raw]
    (last,) = [one for one in told if f"MAIL FROM:<{DOUBLE_BOUNCE}>".encode() in one.commands]
    assert f"RCPT TO:<{POSTMASTER}>".encode("ascii") in last.commands
    text = b"\n".join(last.messages[0])
    assert b"the bounce bounced!" in text
    assert f"<{SENDER}>:".encode("ascii") in text
    assert b"Subject: failure notice" in text.partition(b"--- Below this line is the original bounce.")[2]
    assert b"X-Row: double" not in text
    assert b"stays here" not in text


def test_a_bounce_is_not_lost_when_the_message_cannot_be_read(bed: Bed) -> None:
    log = SendLog(bed)
    bed.backends[A].delay_seconds = 2.0
    accepted(content("unreadable"))
    number = re.search(r"new msg ([0-9]+)", log.wait_for("starting delivery ") and log.text())
    assert number is not None
    (place,) = (bed.root / "var/qmail/queue/mess").glob(f"*/{number[1]}")
    aside = place.with_name("aside")
    place.rename(aside)
    try:
        log.wait_for("trouble injecting bounce message, will try later")
    finally:
        aside.rename(place)
    assert " end msg " not in log.text()
    assert bed.inside("svc", "-t", "/service/qmail-send")[0] == 0
    assert "X-Row: unreadable" in bounce(bed, B, SENDER)
