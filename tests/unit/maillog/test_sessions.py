# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids join a session of smtpfront, of qmail-smtpd, its messages and the queue; text of strangers does not."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import trace as trace_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import search as trace
from support.log_book import Book

STRANGER, OFFICE = "198.51.100.7", "10.1.2.3"
QMAILD = 997
ID, OTHER, OFFICE_ID = "6kz3rt9qm4", "6kz3rt9qm5", "6kz3rv0000"
CLEAN = "CLEAN (1.00/5.00/10.00)"
SENT = "success: 198.18.0.10_accepted_message./"


def in_front(named: str, ip: str = STRANGER) -> list[str]:
    return [
        f"smtpfront: pid {named} from {ip}",
        f"smtpfront[{named}]: known {ip} 198.51.100.0/24",
    ]


def launched(pid: int, named: str, ip: str = STRANGER) -> list[str]:
    return [
        "smtplaunch: status: 1/120",
        f"smtplaunch: pid {pid} from {ip} id {named}",
        f"smtplaunch: ok {pid} mx1.example.test:198.18.0.1:25 :{ip}::4711",
    ]


def verdict(
    pid: int, mail: str, qp: int, sender: str, subject: str = "Hello", ip: str = STRANGER, state: str = CLEAN
) -> str:
    return f"simscan:[{pid}]:id {mail} qp {qp}:{state}:0.1s:{subject}:{ip}:{sender}:alice@example.test"


def accepted(pid: int, mail: str, qp: int, sender: str, ip: str = STRANGER) -> str:
    return f"qmail-smtpd: accepted: from {sender or '<>'} at {ip} id {mail} pid {pid} qp {qp}"


def queued(number: int, qp: int, sender: str) -> list[str]:
    return [
        f"new msg {number}",
        f"info msg {number}: bytes 620 from <{sender}> qp {qp} uid {QMAILD}",
        f"starting delivery {number}: msg {number} to remote alice@example.test",
        f"delivery {number}: {SENT}",
        f"end msg {number}",
    ]


def two_messages() -> tuple[Book, Book]:
    """One session with two messages of one sender to one recipient; another session just beside it."""
    smtp, send = Book(), Book()
    smtp.say(1, *in_front(ID))
    smtp.say(1.5, f"qmail-smtpd: not in validrcptto: nobody@example.test from <> at {STRANGER} id {ID}")
    smtp.say(2, *launched(4711, ID), f"smtpfront: end {ID} status 0")
    smtp.say(2.1, f"qmail-smtpd: rcpthosts: x@else.where from a@b.example at {STRANGER} id {ID} pid 4711")
    smtp.say(3, verdict(4711, f"{ID}.1", 4713, "a@b.example"), accepted(4711, f"{ID}.1", 4713, "a@b.example"))
    smtp.say(3.01, *in_front(OTHER), *launched(4720, OTHER), f"smtpfront: end {OTHER} status 0")
    smtp.say(3.05, verdict(4720, f"{OTHER}.1", 4722, "a@b.example"))
    smtp.say(3.06, accepted(4720, f"{OTHER}.1", 4722, "a@b.example"))
    smtp.say(
        3.1, verdict(4711, f"{ID}.2", 4715, "a@b.example"), accepted(4711, f"{ID}.2", 4715, "a@b.example")
    )
    smtp.say(4, "smtplaunch: end 4711 status 0", "smtplaunch: end 4720 status 0")
    # The queue takes them in another order than they came.
    send.say(3.2, *queued(8, 4715, "a@b.example"))
    send.say(3.3, *queued(9, 4722, "a@b.example"))
    send.say(3.4, *queued(7, 4713, "a@b.example"))
    return smtp, send


def find(smtp: Book, send: Book, what: str) -> list[trace.Journey]:
    return trace.Search(smtp.log(), send.log(), QMAILD).find(trace.wanted(what)).journeys


def kinds(journey: trace.Journey) -> list[str]:
    return [kind for kind, _words in journey.verdicts()]


@pytest.mark.parametrize(
    "what", [ID, f"{ID}.1", f"{ID}.2", ID.upper(), "nobody@example.test", "x@else.where"]
)
def test_a_session_is_found_by_its_id_and_whatever_is_in_it(what: str) -> None:
    (journey,) = find(*two_messages(), what)
    assert journey.session is not None
    assert (journey.session.id, journey.session.pid) == (ID, 4711)
    assert kinds(journey) == [
        "unknown recipient",
        "relay denied",
        "clean",
        "delivered",
        "clean",
        "delivered",
    ]
    assert [message.number for message in journey.messages()] == [7, 8]
    assert journey.inferences() == []


def test_a_session_with_tls_is_whole_and_says_so() -> None:
    tls = " tls=TLSv1.3/TLS_AES_256_GCM_SHA384"
    smtp, send = Book(), Book()
    smtp.say(1, *in_front(ID))
    smtp.say(1.5, f"qmail-smtpd: not in validrcptto: nobody@example.test from <> at {STRANGER} id {ID}{tls}")
    smtp.say(2, *launched(4711, ID), f"smtpfront: end {ID} status 0")
    smtp.say(
        2.1, f"qmail-smtpd: rcpthosts: x@else.where from a@b.example at {STRANGER} id {ID} pid 4711{tls}"
    )
    smtp.say(3, verdict(4711, f"{ID}.1", 4713, "a@b.example"))
    smtp.say(3.1, accepted(4711, f"{ID}.1", 4713, "a@b.example") + tls)
    smtp.say(4, "smtplaunch: end 4711 status 0")
    send.say(3.2, *queued(8, 4713, "a@b.example"))
    for what in ("nobody@example.test", "x@else.where", f"{ID}.1", "TLS_AES_256"):
        (journey,) = find(smtp, send, what)
        assert journey.session is not None
        assert journey.session.tls == "TLSv1.3/TLS_AES_256_GCM_SHA384"
        assert kinds(journey) == ["unknown recipient", "relay denied", "clean", "delivered"]
        assert "accepted, id" in str([step.words for step in journey.steps()])
        assert trace_command.describe(journey)[0].endswith(", over TLSv1.3/TLS_AES_256_GCM_SHA384")
        assert trace_command.values(journey)["session"]["tls"] == journey.session.tls


def test_the_timeline_names_each_program() -> None:
    (journey,) = find(*two_messages(), f"{ID}.1")
    text = trace_command.describe(journey)
    assert text[0] == f"2026-11-18 session {ID} from {STRANGER}"
    assert [line.split(maxsplit=1)[1] for line in text[1:9]] == [
        f"smtpfront   connection from {STRANGER}",
        "smtpfront   network 198.51.100.0/24 is known",
        "smtpfront   recipient nobody@example.test is unknown from <>",
        "smtplaunch  handed over to qmail-smtpd",
        "smtplaunch  let in by the rules",
        "qmail-smtpd relay to x@else.where denied from <a@b.example>",
        "simscan     accepted, clean: 1.00 of 5.00, from <a@b.example> to alice@example.test, "
        f"subject 'Hello', in 0.10 s, id {ID}.1",
        f"qmail-smtpd accepted, id {ID}.1, qp 4713, from <a@b.example>",
    ]
    attempts = trace_command.values(journey)["session"]["attempts"]
    assert [(one["id"], one["queue_pid"]) for one in attempts[2:]] == [(f"{ID}.1", 4713), (f"{ID}.2", 4715)]


def test_a_message_of_the_queue_finds_its_session() -> None:
    smtp, send = two_messages()
    send.say(5, "starting delivery 20: msg 11 to remote bob@example.test", f"delivery 20: {SENT}")
    send.say(4.9, "new msg 11", f"info msg 11: bytes 1 from <late@b.example> qp 4799 uid {QMAILD}")
    smtp.say(4.5, *in_front("6kz3rt9qm6"), *launched(4798, "6kz3rt9qm6"))
    smtp.say(4.6, verdict(4798, "6kz3rt9qm6.1", 4799, "late@b.example"))
    (journey,) = find(smtp, send, "bob@example.test")
    assert journey.session is not None and journey.session.id == "6kz3rt9qm6"


def test_a_message_that_no_scanner_judged() -> None:
    """A rule passes simscan by: qmail-smtpd's line alone joins the session and the queue."""
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, OFFICE_ID, OFFICE))
    smtp.say(2, accepted(4711, f"{OFFICE_ID}.1", 4713, "Me\\x20Too@b.example", OFFICE))
    smtp.say(3, "smtplaunch: end 4711 status 0")
    send.say(2.1, *queued(7, 4713, "Me_Too@b.example"))
    for what in (OFFICE_ID, f"{OFFICE_ID}.1", OFFICE, "me_too@b.example"):
        (journey,) = find(smtp, send, what)
        assert journey.session is not None and journey.session.id == OFFICE_ID
        assert kinds(journey) == ["accepted", "delivered"]
        assert journey.session.attempts[0].recipients == ("alice@example.test",)


def test_behind_tcpserver() -> None:
    """qmail-smtpd has made the id, and its own lines name its process."""
    smtp, send = Book(), Book()
    for at, pid, named in ((1, 100, ID), (1.1, 101, OTHER)):
        smtp.say(
            at,
            f"tcpserver: pid {pid} from {STRANGER}",
            f"tcpserver: ok {pid} mx:198.18.0.1:25 :{STRANGER}::1",
        )
        smtp.say(
            at + 1,
            f"qmail-smtpd: not in validrcptto: no{pid}@example.test from <> at {STRANGER} "
            f"id {named} pid {pid}",
            verdict(pid, f"{named}.1", pid + 10, ""),
            accepted(pid, f"{named}.1", pid + 10, ""),
        )
        smtp.say(4, f"tcpserver: end {pid} status 0")
        send.say(3, *queued(pid, pid + 10, ""))
    for what in (OTHER, f"{OTHER}.1", "no101@example.test"):
        (journey,) = find(smtp, send, what)
        assert journey.session is not None and (journey.session.pid, journey.session.id) == (101, OTHER)
        assert kinds(journey) == ["unknown recipient", "clean", "delivered"]
        assert [message.number for message in journey.messages()] == [101]


def test_a_session_that_was_killed_after_its_message_was_queued() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, *in_front(ID), *launched(4711, ID), f"smtpfront: end {ID} status 0")
    smtp.say(2, verdict(4711, f"{ID}.1", 4713, "a@b.example"), "smtplaunch: end 4711 status 9")
    send.say(2.1, *queued(7, 4713, "a@b.example"))
    (journey,) = find(smtp, send, f"{ID}.1")
    assert kinds(journey) == ["clean", "delivered"]


def test_a_pid_that_is_used_again_is_not_taken_for_the_first_one() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, ID), verdict(4711, f"{ID}.1", 4713, "a@b.example"))
    smtp.say(2, "smtplaunch: end 4711 status 0")
    send.say(1.5, *queued(6, 4713, "other@b.example"))
    send.say(3000, *queued(7, 4713, "a@b.example"))
    (journey,) = find(smtp, send, ID)
    assert [message.number for message in journey.messages()] == [7]
    (other,) = find(smtp, send, "other@b.example")
    assert other.session is None


def test_a_stranger_who_knows_an_id_is_not_part_of_its_journey() -> None:
    """Whoever got the id in a reply may write it as sender, recipient, subject and name of a file."""
    smtp, send = two_messages()
    forged = f"id {ID}.1 qp 4713"
    smtp.say(6, *in_front("6kz3rt9qm6"), *launched(4730, "6kz3rt9qm6"))
    smtp.say(6.1, verdict(4730, "6kz3rt9qm6.1", 4732, f"{ID}.1@b.example", f"{forged} accepted"))
    smtp.say(6.2, f"simscan:[4730]:id 6kz3rt9qm6.2:ATTACH:0.1s:{forged}:{STRANGER}:{ID}.1:x@y.example")
    smtp.say(6.3, f"qmail-smtpd: rcpthosts: {ID}.1 from {ID} at {STRANGER} id 6kz3rt9qm6 pid 4730")
    (journey,) = find(smtp, send, f"{ID}.1")
    assert journey.session is not None and journey.session.id == ID
    assert kinds(journey)[2:] == ["clean", "delivered", "clean", "delivered"]
    # A text that only looks like an id is searched as text.
    smtp.say(7, *in_front("6kz3rt9qm7"), *launched(4740, "6kz3rt9qm7"))
    smtp.say(7.1, verdict(4740, "6kz3rt9qm7.1", 4742, "q@b.example", "order 0123456789 is here"))
    (other,) = find(smtp, send, "0123456789")
    assert other.session is not None and other.session.id == "6kz3rt9qm7"


def test_what_smtpfront_refuses_or_puts_off_alone() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, f"smtpfront[{ID}]: deny {STRANGER}")
    smtp.say(2, *in_front(OTHER), f"smtpfront[{OTHER}]: put off {STRANGER} no session of qmail-smtpd")
    smtp.say(3, f"smtpfront: end {OTHER} status 0")
    assert [kinds(one) for one in find(smtp, send, STRANGER)] == [["refused by rule"], ["put off"]]
    (denied,) = find(smtp, send, ID)
    assert trace_command.describe(denied)[0] == f"2026-11-18 session {ID} from {STRANGER}"
    (late,) = find(smtp, send, OTHER)
    assert late.session is not None and late.session.ended is not None


def test_a_line_of_smtpfront_may_be_late() -> None:
    """It waits in a queue while the log has no room."""
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, ID), verdict(4711, f"{ID}.1", 4713, ""))
    smtp.say(2, *in_front(ID), f"smtpfront: end {ID} status 0")
    smtp.say(3, "smtplaunch: end 4711 status 0")
    (journey,) = find(smtp, send, ID)
    assert kinds(journey) == ["clean"]
    assert journey.session is not None and (journey.session.pid, journey.session.status) == (4711, 0)


def test_sessions_of_version_0_2_are_parsed_as_before() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, f"smtpfront: pid 10004711 from {STRANGER}", "smtpfront: end 10004711 status 0")
    smtp.say(2, f"smtplaunch: pid 100 from {STRANGER}", f"smtplaunch: ok 100 mx:198.18.0.1:25 :{STRANGER}::1")
    smtp.say(3, f"simscan:[100]:{CLEAN}:0.1s:Old:{STRANGER}:a@b.example:alice@example.test")
    smtp.say(4, "smtplaunch: end 100 status 0")
    send.say(3.1, *queued(7, 105, "a@b.example"))
    front, launcher = find(smtp, send, STRANGER)
    assert kinds(front) == ["nothing taken"]
    assert kinds(launcher) == ["clean", "delivered"]
    assert len(launcher.inferences()) == 1


def test_a_simscan_of_another_version() -> None:
    """It names neither the id nor qmail-queue, as while the gateway is upgraded."""
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, ID))
    for number in (1, 2):
        smtp.say(1 + number, f"simscan:[4711]:{CLEAN}:0.1s:Old:{STRANGER}:a@b.example:alice@example.test")
        smtp.say(1.1 + number, accepted(4711, f"{ID}.{number}", 4712 + number, "a@b.example"))
        send.say(1.2 + number, *queued(6 + number, 4800 + number, "a@b.example"))
    (journey,) = find(smtp, send, ID)
    assert kinds(journey) == ["clean", "delivered", "clean", "delivered"]
    assert [message.number for message in journey.messages()] == [7, 8]
    assert len(journey.inferences()) == 2


def test_two_messages_put_off_have_one_outcome_each() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, ID))
    for number in (1, 2):
        smtp.say(
            1 + number,
            f"simscan:[4711]:id {ID}.{number}: put off for {STRANGER}: clamdscan: no answer",
            f"qmail-smtpd: data refused: put-off from a{number}@b.example at {STRANGER} "
            f"id {ID}.{number} pid 4711",
        )
    (journey,) = find(smtp, send, ID)
    assert journey.session is not None
    assert [(one.kind, one.sender) for one in journey.session.attempts] == [
        ("put off", "a1@b.example"),
        ("put off", "a2@b.example"),
    ]


def test_the_copy_of_a_refused_message_is_named() -> None:
    smtp, send = Book(), Book()
    smtp.say(1, *launched(4711, ID))
    smtp.say(
        2,
        f"simscan:[4711]:id {ID}.1:SPAM REJECT (12.50/5.00/10.00):0.1s:Hello:{STRANGER}:a@b.example:c@d.test",
        f"simscan:[4711]:id {ID}.1: kept as 0123456789abcdef",
    )
    (journey,) = find(smtp, send, ID)
    assert kinds(journey) == ["spam"]
    words = [step.words for step in journey.steps()]
    assert "a copy is kept: mailgate refused show 0123456789abcdef" in words
