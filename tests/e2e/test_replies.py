# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of qmail-smtpd: their status codes, and messages that are too large before they are sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.gateway import Bed
from support.smtpd_alone import BEGIN, HELLO, MAIL, RCPT, SmtpdBed

CODES = pytest.mark.patch("99-enhanced-codes")
SIZE = pytest.mark.patch("99-esmtp-size")
QUIT = b"QUIT\r\n"


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    with SmtpdBed(bed) as made:
        yield made


@CODES
@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (MAIL + b"RCPT TO:<nobody@example.test>\r\n", "550 5.1.1 "),
        (MAIL + b"RCPT TO:<x@else.where>\r\n", "553 5.7.1 "),
        (b"MAIL FROM:<spammer@bad.example>\r\n" + RCPT, "553 5.7.1 "),
        (MAIL + b"RCPT TO:<a@b c>\r\n", "553 5.1.3 "),
        (b"MAIL FROM:<a@b c>\r\n", "553 5.1.7 "),
        (RCPT, "503 5.5.1 "),
        (MAIL + b"DATA\r\n", "503 5.5.1 "),
        (b"EXPN all\r\n", "502 5.5.1 "),
    ],
)
def test_a_refusal_begins_with_its_status_code(smtpd: SmtpdBed, sent: bytes, reply: str) -> None:
    assert smtpd.talk(HELLO + sent + QUIT).replies[-2].startswith(reply)


@CODES
def test_the_end_of_a_session_has_a_status_code(smtpd: SmtpdBed) -> None:
    many = b"".join(b"RCPT TO:<nobody%d@example.test>\r\n" % number for number in range(10))
    assert smtpd.talk(HELLO + MAIL + many, VALIDRCPTTO_LIMIT="10").replies[-1].startswith("421 4.7.0 ")
    assert smtpd.talk(HELLO + MAIL + RCPT + b"DATA\r\na\nb\r\n").replies[-1].startswith("451 4.5.2 ")


@SIZE
@pytest.mark.parametrize(
    ("most", "size", "reply"), [("50", 56, "250 ok"), ("50", 57, "552 5.3.4 "), ("0", 57, "250 ok")]
)
def test_a_size_is_refused_at_mail(smtpd: SmtpdBed, most: str, size: int, reply: str) -> None:
    sent = b"EHLO client.example\r\n" + MAIL.replace(b">", b"> SIZE=%d" % size) + QUIT
    talk = smtpd.talk(sent, DATABYTES=most)
    assert f"250-SIZE {most}" in talk.replies
    assert talk.replies[-2].startswith(reply)
    refused = ["qmail-smtpd: mail refused: too-large from ann@sender.example at 198.51.100.7"]
    assert talk.lines == (refused if reply[0] == "5" else [])


def test_a_size_that_is_not_true_is_refused_at_the_end(smtpd: SmtpdBed) -> None:
    begun = BEGIN.replace(b">", b"> SIZE=1", 1)
    talk = smtpd.talk(begun + b"\r\n" + b"x" * 100 + b"\r\n.\r\n" + QUIT, DATABYTES="50")
    assert talk.codes()[-2:] == ["552", "221"] and talk.queued == []
