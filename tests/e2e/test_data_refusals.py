# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each message that qmail-smtpd does not accept has a line with client, sender and reason."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.conversations import STRANGER
from support.gateway import GATEWAY_ADDRESS, Bed
from support.smtp_client import Session
from support.smtpd_alone import BEGIN, SmtpdBed

PATCH = pytest.mark.patch("99-data-refusals")
LINE = "qmail-smtpd: data refused: {} from ann@sender.example at 198.51.100.7"
WHOLE = b"X: y\r\n\r\nz\r\n.\r\nQUIT\r\n"


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    why = bed.only_real("the stand-in logs what netqmail's patches log only in part")
    if why:
        pytest.skip(why)
    with SmtpdBed(bed) as one:
        yield one


@PATCH
@pytest.mark.parametrize("sent", [b"", b"X", b"X: y\r\n\r\nz", b"X: y\r\n\r\nz\r\n.", b"\r\n.\r"])
def test_a_client_that_leaves_in_the_middle(smtpd: SmtpdBed, sent: bytes) -> None:
    talk = smtpd.talk(BEGIN + sent)
    assert talk.lines == [LINE.format("client-left")]
    assert talk.queued == []


@PATCH
@pytest.mark.parametrize(
    ("queue", "code", "why"),
    [
        ("exit 53", "451", "put-off"),
        ("exit 111", "451", "put-off"),
        ("kill -9 $$", "451", "put-off"),
        ("exit 31", "554", "queue-refused"),
        ("exit 11", "554", "queue-refused"),
    ],
)
def test_what_the_queue_says(smtpd: SmtpdBed, queue: str, code: str, why: str) -> None:
    place = smtpd.bed.root / "tmp/smtpdbed/other"
    place.write_text(f"#!/bin/sh\ncat >/dev/null; {queue}\n")
    place.chmod(0o755)
    talk = smtpd.talk(BEGIN + WHOLE, QMAILQUEUE="/tmp/smtpdbed/other")
    assert (talk.codes()[-2:], talk.lines) == ([code, "221"], [LINE.format(why)])


@PATCH
def test_without_a_queue(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(BEGIN + WHOLE, QMAILQUEUE="/nowhere")
    assert (talk.codes()[-2:], talk.lines) == (["451", "221"], [LINE.format("put-off")])


def test_what_the_scanner_refuses_has_its_own_line(smtpd: SmtpdBed) -> None:
    place = smtpd.bed.root / "tmp/smtpdbed/other"
    place.write_text("#!/bin/sh\ncat >/dev/null; printf Dno >&4; exit 82\n")
    place.chmod(0o755)
    talk = smtpd.talk(BEGIN + WHOLE, QMAILQUEUE="/tmp/smtpdbed/other")
    assert (talk.replies[-2], talk.lines) == ("554 no", [])


@PATCH
@pytest.mark.parametrize(
    ("sent", "verdict", "words"),
    [
        (b"X: y\r\n", "client left", "the client left in the middle of its message"),
        (b"X: y\n\r\n.\r\n", "protocol error", "message refused, bare-lf"),
        (b"Received: x\r\n" * 100 + b"\r\n.\r\n", "protocol error", "message refused, too-many-hops"),
    ],
    ids=["client-left", "bare-lf", "too-many-hops"],
)
def test_trace_finds_it_by_its_sender(
    bed: Bed, smtpd: SmtpdBed, sent: bytes, verdict: str, words: str
) -> None:
    """Through the scanner, whose own line gives no other reason."""
    sender = f"data-{time.time_ns()}@sender.example"
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        session.reply()
        for line in ("HELO client.example", f"MAIL FROM:<{sender}>", "RCPT TO:<alice@example.test>", "DATA"):
            session.send(f"{line}\r\n".encode("ascii"))
            session.reply()
        session.send(sent)
        if sent.endswith(b".\r\n"):
            session.reply()
    deadline = time.monotonic() + 10
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline and not found:
        status, said, _ = bed.inside("mailgate", "trace", "--json", sender)
        found = json.loads(said)["journeys"] if status == 0 else []
        time.sleep(0.2)
    (journey,) = found
    assert [one["kind"] for one in journey["verdicts"]] == [verdict]
    assert f"{words}, from <{sender}>" in json.dumps(journey)
