# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one session may ask, what one message may hold, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.gateway import Bed
from support.smtpd_alone import BEGIN, HELLO, MAIL, RCPT, SmtpdBed, client_part, recipients_of

REFUSED = {
    "a foreign domain": b"RCPT TO:<victim@else.where>\r\n",
    "no address": b"RCPT TO:<a@b c>\r\n",
    "no sender": b"MAIL FROM:<a@b c>\r\n",
    "an unknown command": b"EXPN all\r\n",
    "an empty line": b"\r\n",
    "no recipient": b"DATA\r\n",
}
COSTLY = {
    "NOOP": b"NOOP\r\n",
    "RSET": b"RSET\r\n",
    "HELP": b"HELP\r\n",
    "VRFY": b"VRFY joe\r\n",
    "HELO": b"HELO x\r\n",
    "EHLO": b"EHLO x\r\n",
    "MAIL": MAIL,
}
MESSAGE = b"DATA\r\nX: y\r\n\r\n.\r\n"
GOODBYE = "421 4.7.0 too many commands or refusals, goodbye"


@pytest.fixture(scope="module")
def smtpd(bed: Bed) -> Iterator[SmtpdBed]:
    why = bed.only_real("the stand-in counts only unknown recipients and takes its time")
    if why:
        pytest.skip(why)
    with SmtpdBed(bed) as one:
        yield one


@pytest.mark.patch("93-session-limits")
@pytest.mark.parametrize("what", REFUSED)
def test_the_hundredth_refusal_ends_the_session(smtpd: SmtpdBed, what: str) -> None:
    talk = smtpd.talk(HELLO + MAIL + REFUSED[what] * 150)
    assert len(talk.replies) == 3 + 100
    assert {code[0] for code in talk.codes()[3:-1]} == {"5"}
    assert talk.replies[-1] == GOODBYE
    assert talk.lines[-1] == "qmail-smtpd: excessive refusals, hanging up on 198.51.100.7"
    assert len(talk.lines) <= 101 and max(map(len, talk.lines)) < 1000


@pytest.mark.patch("93-session-limits")
def test_refusals_of_every_kind_count_together(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(HELLO + MAIL + b"".join(REFUSED.values()) * 30)
    assert len(talk.replies) == 3 + 100 and talk.replies[-1] == GOODBYE
    talk = smtpd.talk(HELLO + MAIL + b"".join(list(REFUSED.values())[1:]) * 30, RELAYCLIENT="")
    assert len(talk.replies) == 3 + 100 and talk.replies[-1] == GOODBYE
    talk = smtpd.talk(HELLO + MAIL + b"".join(REFUSED.values()) * 30 + b"QUIT\r\n", REFUSALS_LIMIT="0")
    assert talk.codes()[-1] == "221"
    talk = smtpd.talk(HELLO + MAIL + REFUSED["a foreign domain"] * 30, REFUSALS_LIMIT="7")
    assert len(talk.replies) == 3 + 7


@pytest.mark.patch("93-session-limits")
def test_what_is_out_of_order_counts(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(HELLO + RCPT * 60 + b"DATA\r\n" * 60)
    assert talk.codes() == ["220", "250", *["503"] * 99, "421"]


@pytest.mark.patch("93-session-limits")
def test_what_cannot_be_checked_counts(smtpd: SmtpdBed) -> None:
    hosts = smtpd.bed.root / "var/qmail/control/rcpthosts"
    kept = hosts.with_name("rcpthosts.kept")
    hosts.rename(kept)
    try:
        talk = smtpd.talk(HELLO + MAIL + RCPT * 120)
    finally:
        kept.rename(hosts)
    assert talk.codes() == ["220", "250", "250", *["451"] * 99, "421"]


def test_a_sender_with_some_refused_recipients_is_served(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(HELLO + MAIL + REFUSED["a foreign domain"] * 99 + RCPT + MESSAGE + b"QUIT\r\n")
    assert talk.codes()[-3:] == ["354", "250", "221"]


@pytest.mark.patch("93-session-limits")
@pytest.mark.parametrize("what", COSTLY)
def test_the_thousandth_command_without_a_message_ends_the_session(smtpd: SmtpdBed, what: str) -> None:
    talk = smtpd.talk(COSTLY[what] * 1100)
    assert talk.replies[-1] == GOODBYE and talk.codes().count("421") == 1
    assert talk.lines[-1] == "qmail-smtpd: excessive commands, hanging up on 198.51.100.7"
    smtpd_replies = [code for code in talk.codes() if code != "214"]
    assert len(smtpd_replies) in (1001, 2, 3998), len(smtpd_replies)


@pytest.mark.patch("93-session-limits")
def test_a_message_sets_the_commands_back(smtpd: SmtpdBed) -> None:
    one = b"NOOP\r\n" * 40 + MAIL + RCPT + MESSAGE
    talk = smtpd.talk(HELLO + one * 4 + b"QUIT\r\n", COMMANDS_LIMIT="60")
    assert len(talk.queued) == 4 and talk.codes()[-1] == "221"
    assert smtpd.talk(HELLO + one * 4, COMMANDS_LIMIT="40").replies[-1] == GOODBYE


@pytest.mark.patch("93-session-limits")
@pytest.mark.parametrize("relay", [{}, {"RELAYCLIENT": ""}], ids=["stranger", "relay-client"])
def test_three_thousand_recipients(smtpd: SmtpdBed, relay: dict[str, str]) -> None:
    recipients = b"".join(b"RCPT TO:<user%d@example.org>\r\n" % number for number in range(3000))
    talk = smtpd.talk(
        HELLO + MAIL + recipients + RCPT.replace(b"joe", b"user7") + MESSAGE + b"QUIT\r\n", **relay
    )
    assert talk.codes()[3:3003] == ["250"] * 500 + ["452"] * 2500
    assert talk.codes()[3003:] == ["250", "354", "250", "221"]
    ((_content, envelope),) = talk.queued
    assert recipients_of(envelope) == [b"user%d@example.org" % number for number in range(500)]
    assert talk.lines == [
        "qmail-smtpd: rcpt refused: too-many for user500@example.org from ann@sender.example at 198.51.100.7"
    ]


@pytest.mark.patch("93-session-limits")
def test_recipients_beyond_the_limit_get_the_next_message(smtpd: SmtpdBed) -> None:
    more = b"".join(b"RCPT TO:<user%d@example.org>\r\n" % number for number in range(5))
    talk = smtpd.talk(HELLO + (MAIL + more + MESSAGE) * 2 + b"QUIT\r\n", RECIPIENTS_LIMIT="3")
    assert [len(recipients_of(envelope)) for _content, envelope in talk.queued] == [3, 3]
    assert len(talk.lines) == 2
    assert smtpd.talk(HELLO + MAIL + more, RECIPIENTS_LIMIT="0").codes()[3:] == ["250"] * 5


@pytest.mark.patch("93-session-limits")
def test_each_recipient_is_queued_once(smtpd: SmtpdBed) -> None:
    names = [
        b"joe@example.org",
        b"JOE@example.org",
        b"joe@EXAMPLE.org",
        b'"joe"@example.org',
        b"jo\\e@example.org",
    ]
    lines = b"".join(b"RCPT TO:<" + name + b">\r\n" for name in names * 12)
    for relay in ({}, {"RELAYCLIENT": ""}):
        talk = smtpd.talk(HELLO + MAIL + lines + MESSAGE + MAIL + RCPT + MESSAGE + b"QUIT\r\n", **relay)
        assert talk.codes()[3:63] == ["250"] * 60
        assert [recipients_of(envelope) for _content, envelope in talk.queued] == [
            [b"joe@example.org", b"JOE@example.org"],
            [b"joe@example.org"],
        ]


@pytest.mark.patch("92-message-bytes")
@pytest.mark.parametrize(
    ("settings", "sent", "why"),
    [
        ({"DATA_WINDOW_SECONDS": "1"}, b"X: y\r\n", "too-slow"),
        ({"DATA_WINDOW_SECONDS": "1", "DATA_BYTES_PER_SECOND": "200"}, b"X: y\r\n" * 20, "too-slow"),
        ({"DATA_SECONDS": "1"}, b"X: y\r\n" * 1000, "too-long"),
    ],
)
def test_data_that_stalls(smtpd: SmtpdBed, settings: dict[str, str], sent: bytes, why: str) -> None:
    talk = smtpd.talk(BEGIN + sent, 4, b"\r\n.\r\nQUIT\r\n", **settings)
    assert talk.replies[-1] == "451 4.4.2 timeout"
    assert talk.lines == [f"qmail-smtpd: data refused: {why} from ann@sender.example at 198.51.100.7"]
    assert talk.queued == []


def test_a_sender_that_pauses_is_served(smtpd: SmtpdBed) -> None:
    talk = smtpd.talk(
        BEGIN + b"X: y\r\n\r\n" + b"z\r\n" * 500, 1.5, b".\r\nQUIT\r\n", DATA_WINDOW_SECONDS="1"
    )
    assert talk.codes()[-2:] == ["250", "221"] and len(talk.queued) == 1
    assert client_part(talk.queued[0][0]).count(b"z\n") == 500


def test_the_time_of_a_message_ends_with_it(smtpd: SmtpdBed) -> None:
    one = BEGIN + b"X: y\r\n\r\n.\r\n"
    talk = smtpd.talk(one, 2.5, one + b"QUIT\r\n", DATA_WINDOW_SECONDS="1", DATA_SECONDS="1")
    assert talk.codes()[-2:] == ["250", "221"] and len(talk.queued) == 2 and talk.lines == []


@pytest.mark.patch("92-message-bytes")
def test_a_message_that_is_refused_for_itself_is_one_line_of_the_log(smtpd: SmtpdBed) -> None:
    line = "qmail-smtpd: data refused: {} from ann@sender.example at 198.51.100.7"
    talk = smtpd.talk(BEGIN + b"Received: x\r\n" * 100 + b"\r\n.\r\nQUIT\r\n")
    assert talk.codes()[-2:] == ["554", "221"] and talk.lines == [line.format("too-many-hops")]
    talk = smtpd.talk(BEGIN + b"\r\n" + b"x" * 100 + b"\r\n.\r\nQUIT\r\n", DATABYTES="50")
    assert talk.codes()[-2:] == ["552", "221"] and talk.lines == [line.format("too-large")]
    talk = smtpd.talk(BEGIN + b"x\ny\r\n.\r\nQUIT\r\n")
    assert talk.codes()[-1] == "451" and talk.lines == [line.format("bare-lf")]


def test_the_size_limit_is_exact(smtpd: SmtpdBed) -> None:
    for size in (49, 50, 51):
        sent = b"\r\n" + b"x" * (size - 2) + b"\r\n.\r\n"
        talk = smtpd.talk(BEGIN + sent + b"QUIT\r\n", DATABYTES="50")
        assert talk.codes()[-2] == ("250" if size <= 50 else "552")
