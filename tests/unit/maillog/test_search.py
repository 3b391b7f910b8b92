# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search finds every session and message in the logs as one journey: across files, pids and damage."""

from __future__ import annotations

import grp
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import trace as trace_command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import archive
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.maillog import search as trace
from hypothesis import given, settings
from hypothesis import strategies as st
from support.log_book import BEGIN, NS, Book, file

STRANGER = "198.51.100.7"
QMAILD = 997


def begin(pid: int, ip: str = STRANGER, allowed: bool = True) -> list[str]:
    word = "ok" if allowed else "deny"
    return [
        f"tcpserver: pid {pid} from {ip}",
        f"tcpserver: {word} {pid} mx1.example.test:198.18.0.1:25 :{ip}::4711",
    ]


def end(pid: int, status: int = 0) -> str:
    return f"tcpserver: end {pid} status {status}"


def scanned(pid: int, state: str, subject: str, sender: str, to: str, ip: str = STRANGER) -> str:
    return f"simscan:[{pid}]:{state}:0.1500s:{subject}:{ip}:{sender}:{to}"


CLEAN = "CLEAN (1.00/5.00/10.00)"


def queued(number: int, sender: str, qp: int, uid: int = QMAILD) -> list[str]:
    return [f"new msg {number}", f"info msg {number}: bytes 620 from <{sender}> qp {qp} uid {uid}"]


def sent(
    number: int, delivery: int, to: str, result: str = "success: 198.18.0.10_accepted_message./"
) -> list[str]:
    return [f"starting delivery {delivery}: msg {number} to remote {to}", f"delivery {delivery}: {result}"]


def find(smtp: Book, send: Book, what: str, limit: int = 20, cuts: Sequence[int] = ()) -> list[trace.Journey]:
    search = trace.Search(smtp.log(*cuts), send.log(*cuts), QMAILD)
    return search.find(trace.wanted(what), limit=limit).journeys


def kinds(journey: trace.Journey) -> list[str]:
    return [kind for kind, _words in journey.verdicts()]


def sample() -> tuple[Book, Book]:
    """One of everything; each has a subject, an address or a client of its own."""
    smtp, send = Book(), Book()
    smtp.say(0, *begin(100, "203.0.113.1", allowed=False), end(100, 25600))
    smtp.say(
        1,
        *begin(101, "203.0.113.2"),
        "cqgreylist[101]: new 203.0.113.2 203.0.113.0/24 wait 60",
        "cqgreylist[101]: asked 203.0.113.2 gwen@waits.example to gary@example.test",
        "cqgreylist[101]: asked 203.0.113.2 gwen@waits.example to gail@example.test",
        end(101),
    )
    smtp.say(
        2,
        *begin(102, "203.0.113.3"),
        "dnsbl[102]: listed 203.0.113.3 zen.example 127.0.0.2",
        "cqgreylist[102]: refused 203.0.113.3 - 553 on a list (zen.example)",
        "cqgreylist[102]: asked 203.0.113.3 lou@listed.example to lara@example.test",
        end(102),
    )
    smtp.say(3, *begin(103, "203.0.113.4"), "cqgreylist[103]: refused 203.0.113.4 - 553 not you", end(103))
    known = "cqgreylist[{}]: known 198.51.100.7 198.51.100.0/24"
    smtp.say(
        4,
        *begin(104),
        known.format(104),
        f"qmail-smtpd: not in validrcptto: nobody@example.test from ann@sender.example at {STRANGER}",
        end(104),
    )
    smtp.say(
        5, *begin(105), f"qmail-smtpd: rcpthosts: victim@else.where from x@y.example at {STRANGER}", end(105)
    )
    smtp.say(
        6,
        *begin(106),
        f"qmail-smtpd: badmailfrom: spammer@bad.example to al@example.test at {STRANGER}",
        end(106),
    )
    smtp.say(
        7,
        *begin(107),
        scanned(107, "VIRUS", "Eicar-Test", "v@sender.example", "alice@example.test"),
        end(107),
    )
    smtp.say(
        8,
        *begin(108),
        scanned(108, "SPAM REJECT (14.20/5.00/10.00)", "Buy now", "s@sender.example", "alice@example.test"),
        end(108),
    )
    smtp.say(9, *begin(109), f"simscan:[109]: put off for {STRANGER}: clamdscan: no answer", end(109))
    smtp.say(
        10,
        *begin(110),
        scanned(110, "SPAM PASS (7.10/5.00/10.00)", "Cheap", "m@sender.example", "alice@example.test"),
        end(110),
    )
    send.say(9.999, *queued(7, "m@Sender.example", 114), *sent(7, 1, "alice@example.test"), "end msg 7")
    smtp.say(
        20,
        *begin(120),
        scanned(120, CLEAN, "Re_ order", "a@sender.example", "alice@example.test,bob@example.test"),
        end(120),
    )
    send.say(20.01, *queued(7, "a@sender.example", 124))
    send.say(20.02, *sent(7, 2, "alice@example.test"))
    send.say(
        20.03,
        *sent(
            7,
            3,
            "bob@example.test",
            "failure: 198.18.0.10_does_not_like_recipient./Remote_host_said:_550_no/",
        ),
    )
    send.say(20.04, "bounce msg 7 qp 130", "end msg 7")
    send.say(
        20.05,
        *queued(8, "", 130, uid=996),
        *sent(8, 4, "a@sender.example", "deferral: CNAME_lookup_failed_temporarily._(#4.4.3)/"),
    )
    return smtp, send


@pytest.mark.parametrize(
    ("what", "pid", "expected"),
    [
        ("203.0.113.1", 100, ["refused by rule"]),
        ("203.0.113.2", 101, ["greylisted"]),
        ("gwen@waits.example", 101, ["greylisted"]),
        ("@waits.example", 101, ["greylisted"]),
        ("gail@example.test", 101, ["greylisted"]),
        ("lara@example.test", 102, ["refused by DNS list"]),
        ("203.0.113.3", 102, ["refused by DNS list"]),
        ("203.0.113.4", 103, ["refused by rule"]),
        ("nobody@example.test", 104, ["unknown recipient"]),
        ("VICTIM@else.where", 105, ["relay denied"]),
        ("spammer@bad.example", 106, ["bad sender"]),
        ("eicar-test", 107, ["virus"]),
        ("buy NOW", 108, ["spam"]),
        ("no answer", 109, ["put off"]),
        ("m@sender.example", 110, ["marked", "delivered"]),
        ("Re: order", 120, ["clean", "delivered", "bounced"]),
        ("bob@example.test", 120, ["clean", "delivered", "bounced"]),
        ("does not like recipient", 120, ["clean", "delivered", "bounced"]),
        ("CNAME lookup", 120, ["clean", "delivered", "bounced"]),  # by the bounce of the message
    ],
)
@pytest.mark.parametrize("cuts", [(), (300,), (700, 1500, 2100)])
def test_everything_is_found_with_its_verdict(
    what: str, pid: int, expected: list[str], cuts: tuple[int, ...]
) -> None:
    smtp, send = sample()
    found = find(smtp, send, what, cuts=cuts)
    assert [(one.session and one.session.pid, kinds(one)) for one in found] == [(pid, expected)]


def test_a_greylisted_mail_says_whose_it_is_and_for_whom() -> None:
    smtp, send = sample()
    (found,) = find(smtp, send, "gary@example.test")
    assert found.session is not None
    (attempt,) = found.session.attempts
    assert (attempt.sender, attempt.recipients) == (
        "gwen@waits.example",
        ("gary@example.test", "gail@example.test"),
    )
    text = "\n".join(trace_command.describe(found))
    assert "refused for <gary@example.test> from <gwen@waits.example>" in text
    assert "= greylisted, first contact: 203.0.113.0/24 wait 60; from <gwen@waits.example>" in text


def test_words_of_a_journey() -> None:
    smtp, send = sample()
    (found,) = find(smtp, send, "Re: order")
    text = trace_command.describe(found)
    assert text[0] == "2026-11-18 session 120 from 198.51.100.7"
    assert [line.split(maxsplit=1)[1] for line in text[1:-4]] == [
        "tcpserver   connection from 198.51.100.7",
        "tcpserver   let in by the rules",
        "simscan     accepted, clean: 1.00 of 5.00, from <a@sender.example> to alice@example.test, "
        "bob@example.test, subject 'Re_ order', in 0.15 s",
        "tcpserver   connection closed",
        "qmail-send  message 7 queued from <a@sender.example>, 620 bytes",
        "qmail-send  delivery 2 to remote alice@example.test",
        "qmail-send  delivery 2 delivered: 198.18.0.10 accepted message.",
        "qmail-send  delivery 3 to remote bob@example.test",
        "qmail-send  delivery 3 failed permanently: 198.18.0.10 does not like recipient. / "
        "Remote host said: 550 no",
        "qmail-send  bounce of message 7 queued, qp 130",
        "qmail-send  message 7 leaves the queue",
        "qmail-send  message 8 queued from <>, 620 bytes",
        "qmail-send  delivery 4 to remote a@sender.example",
        "qmail-send  delivery 4 deferred: CNAME lookup failed temporarily. (#4.4.3)",
    ]
    assert text[-4:] == [
        "  note: message 7 of the queue is this one by inference (same sender and recipients, 0.008 s apart)",
        "  = accepted, clean: 1.00 of 5.00",
        "  = delivered to alice@example.test (198.18.0.10 accepted message.)",
        "  = bounced for bob@example.test (198.18.0.10 does not like recipient. / Remote host said: 550 no)",
    ]
    json.dumps(trace_command.values(found))


@pytest.mark.parametrize("cuts", [(), (150,), (400,)])
def test_a_bounce_that_is_withheld_belongs_to_the_journey(cuts: tuple[int, ...]) -> None:
    smtp, send = sample()
    no = "failure: 198.18.0.10_failed_after_I_sent_the_message./"
    send.say(30, *queued(9, "m@sender.example", 140), *sent(9, 5, "late@example.test", no))
    send.say(30.01, "bounce withheld msg 9: spam, from <m@sender.example>", "end msg 9")
    send.say(31, *queued(9, "b@sender.example", 141), *sent(9, 6, "later@example.test"), "end msg 9")
    (found,) = find(smtp, send, "late@example.test", cuts=cuts)
    assert kinds(found) == ["bounce withheld"]
    text = trace_command.describe(found)
    assert any(line.endswith("qmail-send  bounce of message 9 withheld: spam") for line in text)
    assert text[-1] == (
        "  = failed for late@example.test (198.18.0.10 failed after I sent the message.); no bounce: spam"
    )
    (other,) = find(smtp, send, "later@example.test", cuts=cuts)
    assert kinds(other) == ["delivered"]


@given(st.lists(st.integers(0, 5000), max_size=6))
@settings(max_examples=60, deadline=None)
def test_where_the_files_are_cut_makes_no_difference(cuts: list[int]) -> None:
    """A rotation may fall into a session, a message and a line."""
    smtp, send = sample()
    for what in ("Re: order", "nobody@example.test", "203.0.113.3", STRANGER):
        whole, parts = find(smtp, send, what), find(smtp, send, what, cuts=cuts)
        assert [trace_command.describe(one) for one in parts] == [
            trace_command.describe(one) for one in whole
        ]


@pytest.mark.parametrize(
    ("what", "matches", "others"),
    [
        (
            "198.51.100.7",
            "x from 198.51.100.7\n",
            ["198.51.100.70", "1198.51.100.7", "198.51.100.7.example", "98.51.100.7"],
        ),
        (
            "ann@x.example",
            "from <ann@x.example> qp",
            ["joann@x.example", "ann@x.example.org", "ann@x.examples", "x.ann@x.example"],
        ),
        ("@x.example", ":joann@x.example:", ["ann@y.x.example", "ann@x.example.org"]),
        ("o'brien@x.example", ":o'brien@x.example,b@c", ["brien@x.example"]),
        ("a%b@x.example", "from <a_b@x.example>", ["from <b@x.example>"]),
        ("Ann@Bücher.example", "from <ann@xn--bcher-kva.example> qp", ["joann@xn--bcher-kva.example"]),
        ("@bücher。example", ":joann@xn--bcher-kva.example:", ["ann@y.xn--bcher-kva.example"]),
        ('"John Doe"@x.example', "rcpthosts: john\\x20doe@x.example from", ["johndoe@x.example"]),
        ('"John Doe"@x.example', ":a@b:john doe@x.example", ["john.doe@x.example"]),
        ('"john.doe"@x.example', ":a@b:john.doe@x.example", ["mjohn.doe@x.example"]),
    ],
)
def test_what_matches(what: str, matches: str, others: list[str]) -> None:
    pattern = trace.wanted(what).pattern
    assert pattern.search(matches.encode())
    for other in others:
        text = f" {other} " if "198" not in what or other != "198.51.100.7.example" else " 198.51.100.71 "
        assert not pattern.search(text.encode()), other


def test_an_address_in_a_strangers_text_is_no_session_of_it() -> None:
    smtp, send = Book(), Book()
    smtp.say(
        0,
        *begin(5, "192.0.2.1"),
        scanned(5, CLEAN, "tcpserver_ pid 5 from 192.0.2.9", "a@b.example", "c@d.example", "192.0.2.1"),
        end(5),
    )
    assert find(smtp, send, "192.0.2.9") == []
    assert len(find(smtp, send, "192.0.2.1")) == 1


def test_a_pid_that_is_used_again_is_another_session() -> None:
    smtp, send = Book(), Book()
    smtp.say(
        0,
        *begin(7, "192.0.2.1"),
        scanned(7, "VIRUS", "One", "a@b.example", "c@d.example", "192.0.2.1"),
        end(7),
    )
    smtp.say(
        9,
        *begin(7, "192.0.2.2"),
        scanned(7, "VIRUS", "Two", "a@b.example", "c@d.example", "192.0.2.2"),
        end(7),
    )
    # Its end was lost: the next one with its pid begins anyway.
    smtp.say(
        20, *begin(7, "192.0.2.3"), scanned(7, "VIRUS", "Three", "a@b.example", "c@d.example", "192.0.2.3")
    )
    smtp.say(
        30,
        *begin(7, "192.0.2.4"),
        scanned(7, "VIRUS", "Four", "a@b.example", "c@d.example", "192.0.2.4"),
        end(7),
    )
    found = find(smtp, send, "a@b.example")
    assert [one.session and one.session.address for one in found] == [f"192.0.2.{n}" for n in (1, 2, 3, 4)]
    assert [len(one.verdicts()) for one in found] == [1, 1, 1, 1]
    assert [one.verdicts()[0][1] for one in find(smtp, send, "Two")] == ["refused, virus Two"]


def test_a_session_whose_beginning_is_lost() -> None:
    smtp, send = Book(), Book()
    smtp.say(
        0,
        "cqgreylist[7]: known 192.0.2.1 192.0.2.0/24",
        scanned(7, "VIRUS", "One", "a@b.example", "c@d.example", "192.0.2.1"),
        end(7),
    )
    (found,) = find(smtp, send, "One")
    assert found.session is not None
    assert (found.session.pid, found.session.address, len(found.steps())) == (7, None, 3)
    assert kinds(found) == ["virus"]


def test_refusals_of_two_sessions_of_one_client_at_once() -> None:
    smtp, send = Book(), Book()
    smtp.say(0, *begin(7), f"cqgreylist[7]: known {STRANGER} 198.51.100.0/24")
    smtp.say(1, *begin(8), f"cqgreylist[8]: known {STRANGER} 198.51.100.0/24")
    smtp.say(2, *begin(9, STRANGER), f"cqgreylist[9]: new {STRANGER} 198.51.100.0/24 wait 60")
    smtp.say(3, f"qmail-smtpd: not in validrcptto: no@example.test from a@b.example at {STRANGER}")
    smtp.say(4, end(7), end(8), end(9))
    found = find(smtp, send, "no@example.test")
    assert [one.session and one.session.pid for one in found] == [7, 8]  # 9 was never greeted by qmail-smtpd
    assert all("(or another of 2 sessions of this client)" in one.verdicts()[0][1] for one in found)


def test_a_session_that_was_killed_with_its_tcpserver_is_over() -> None:
    smtp, send = Book(), Book()
    smtp.say(0, *begin(7), f"cqgreylist[7]: known {STRANGER} 198.51.100.0/24")
    smtp.say(1, "tcpserver: status: 0/120")
    smtp.say(2, "tcpserver: status: 1/120", *begin(8), f"cqgreylist[8]: known {STRANGER} 198.51.100.0/24")
    smtp.say(3, f"qmail-smtpd: not in validrcptto: no@example.test from a@b.example at {STRANGER}")
    smtp.say(4, end(8), "tcpserver: status: 0/120")
    found = find(smtp, send, "no@example.test")
    assert [one.session and one.session.pid for one in found] == [8]
    assert "another of" not in found[0].verdicts()[0][1]
    assert [kinds(one) for one in find(smtp, send, STRANGER)] == [["open"], ["unknown recipient"]]


def test_damaged_lines_are_passed_over() -> None:
    smtp, send = sample()
    smtp.lines += [
        "\n",
        "@4000 tcpserver: pid 120 from 203.0.113.9\n",
        f"{tai64n.render((BEGIN + 20) * NS)} tcpserver: end 120 stat\n",
        f"{tai64n.render((BEGIN + 20) * NS)} simscan:[120]:CLEAN (x):Re_ order\udcff\n",
    ]
    send.lines += [f"{tai64n.render((BEGIN + 20) * NS)} new msg x\n", "delivery 2: success: \n"]
    (found,) = find(smtp, send, "bob@example.test")
    assert kinds(found) == ["clean", "delivered", "bounced"]


def test_the_end_of_a_killed_multilogs_file_is_no_line() -> None:
    smtp = Book()
    smtp.say(0, *begin(7, "192.0.2.1"), scanned(7, "VIRUS", "One", "a@b.example", "c@d.example", "192.0.2.1"))
    whole = "".join(smtp.lines).encode()
    log = archive.Log(
        [
            file(whole[:-20], ".u"),
            file(b"".join(f"{tai64n.render((BEGIN + 9) * NS)} {end(7)}\n".encode() for _ in "1")),
        ]
    )
    search = trace.Search(log, archive.Log([]))
    assert search.find(trace.wanted("One")).journeys == []
    (found,) = search.find(trace.wanted("192.0.2.1")).journeys
    assert found.session is not None
    assert found.session.ended == (BEGIN + 9) * NS


class TestWhichMessage:
    def test_a_message_of_another_time_or_recipient_is_not_it(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(5000, *begin(7), scanned(7, CLEAN, "One", "a@b.example", "c@d.example"), end(7))
        send.say(10, *queued(3, "a@b.example", 9), *sent(3, 1, "c@d.example"), "end msg 3")
        send.say(5000, *queued(4, "a@b.example", 10), *sent(4, 2, "other@d.example"), "end msg 4")
        send.say(5000, *queued(5, "a@b.example", 11, uid=0), *sent(5, 3, "c@d.example"), "end msg 5")
        (found,) = find(smtp, send, "One")
        assert found.messages() == []
        assert kinds(found) == ["clean"]

    def test_the_nearest_in_time_and_each_only_once(self) -> None:
        smtp, send = Book(), Book()
        for number in range(3):
            pid = 100 + 10 * number
            smtp.say(
                number,
                *begin(pid),
                scanned(pid, CLEAN, f"No {number}", "a@b.example", "c@d.example"),
                end(pid),
            )
            send.say(
                number,
                *queued(3, "a@b.example", pid + 4),
                *sent(3, number + 1, "c@d.example", f"success: ok_{number}"),
                "end msg 3",
            )
        found = find(smtp, send, "a@b.example")
        assert [one.verdicts()[1][1] for one in found] == [
            f"delivered to c@d.example (ok {n})" for n in range(3)
        ]

    def test_two_messages_of_one_session_are_two(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(0, *begin(7), scanned(7, CLEAN, "One", "a@b.example", "c@d.example"))
        smtp.say(1, scanned(7, CLEAN, "Two", "a@b.example", "c@d.example"), end(7))
        send.say(0, *queued(3, "a@b.example", 9), *sent(3, 1, "c@d.example", "success: one"), "end msg 3")
        send.say(1, *queued(3, "a@b.example", 19), *sent(3, 2, "c@d.example", "success: two"), "end msg 3")
        (found,) = find(smtp, send, "Two")
        assert [words for _kind, words in found.verdicts()][1::2] == [
            "delivered to c@d.example (one)",
            "delivered to c@d.example (two)",
        ]

    def test_a_recipient_without_a_domain_and_what_is_forwarded(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(0, *begin(7), scanned(7, CLEAN, "One", "", "postmaster"), end(7))
        send.say(
            0,
            *queued(3, "", 9),
            "starting delivery 1: msg 3 to local postmaster@mx1.example.test",
            *queued(4, "", 12, uid=998),
            "starting delivery 2: msg 4 to remote ann@example.test",
            "delivery 1: success: did_0+1+0/qp_12/",
            "delivery 2: success: ok",
            "end msg 3",
            "end msg 4",
        )
        for what in ("One", "ann@example.test", "postmaster@mx1.example.test"):
            (found,) = find(smtp, send, what)
            assert found.session is not None
            assert kinds(found) == ["clean", "delivered"]
            assert found.verdicts()[1][1] == "delivered to ann@example.test (ok)"

    def test_a_message_without_a_session(self) -> None:
        smtp, send = Book(), Book()
        send.say(
            0, *queued(3, "root@mx1.example.test", 9, uid=0), *sent(3, 1, "ann@example.test"), "end msg 3"
        )
        (found,) = find(smtp, send, "ann@example.test")
        assert found.session is None
        assert kinds(found) == ["delivered"]

    def test_qmail_send_was_killed_while_it_delivered(self) -> None:
        smtp, send = Book(), Book()
        send.say(0, *queued(3, "a@b.example", 9), "starting delivery 1: msg 3 to remote ann@example.test")
        send.say(
            9, "starting delivery 1: msg 3 to remote ann@example.test", "delivery 1: success: ok", "end msg 3"
        )
        (found,) = find(smtp, send, "ann@example.test")
        assert found.message is not None
        assert [one.result for one in found.message.deliveries] == ["", "success"]
        assert kinds(found) == ["delivered"]


def test_the_newest_come_first_and_more_is_said() -> None:
    smtp = Book()
    for number in range(30):
        smtp.say(number, *begin(100 + number), end(100 + number))
    search = trace.Search(smtp.log(1000, 2000), archive.Log([]))
    found = search.find(trace.wanted(STRANGER), limit=7)
    assert [one.session and one.session.pid for one in found.journeys] == list(range(123, 130))
    assert found.more
    found = trace.Search(smtp.log(1000), archive.Log([])).find(trace.wanted(STRANGER), limit=30)
    assert len(found.journeys) == 30
    assert not found.more


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=30),
    st.integers(-1, 21),
    st.lists(st.integers(0, 3000), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_a_time_is_found_in_the_log(times: list[int], asked: int, cuts: list[int]) -> None:
    book = Book()
    for at in sorted(times):
        book.say(at, "hello")
    log = book.log(*cuts)
    place = log.at((BEGIN + asked) * NS)
    later = [at for at in sorted(times) if at >= asked]
    lines = []
    while place.file < len(log.files):
        if place.offset >= len(log.text(place.file)[0]):
            place = archive.LineRef(place.file + 1, 0)
            continue
        if log.time(place) is not None:
            lines.append(log.time(place))
        place = log.after(place)
    assert lines == [(BEGIN + at) * NS for at in later]


def test_since_and_until() -> None:
    smtp = Book()
    for number in range(10):
        smtp.say(number * 100, *begin(100 + number), end(100 + number))
    for cuts in ((), (500,), (333, 900)):
        search = trace.Search(smtp.log(*cuts), archive.Log([]))
        found = search.find(trace.wanted(STRANGER), (BEGIN + 250) * NS, (BEGIN + 601) * NS)
        assert [one.session and one.session.pid for one in found.journeys] == [103, 104, 105, 106]


def test_subjects_that_are_encoded_are_found() -> None:
    smtp = Book()
    subject = "=?utf-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?="
    smtp.say(
        0,
        *begin(7),
        scanned(7, "VIRUS", "x", "a@b.example", "c@d.example"),
        scanned(7, CLEAN, subject, "a@b.example", "c@d.example"),
        end(7),
    )
    search = trace.Search(smtp.log(), archive.Log([]))
    (found,) = search.find(trace.wanted("grüße aus")).journeys
    assert "subject 'Grüße aus Köln'" in "\n".join(trace_command.describe(found))


@pytest.mark.parametrize("written", ["Gr____e aus K__ln", "Gr__e aus K_ln"], ids=["utf-8", "latin-1"])
def test_subjects_without_an_encoding_are_found(written: str) -> None:
    """simscan writes '_' for each byte beyond ASCII."""
    smtp = Book()
    smtp.say(0, *begin(7), scanned(7, CLEAN, written, "a@b.example", "c@d.example"), end(7))
    search = trace.Search(smtp.log(), archive.Log([]))
    assert len(search.find(trace.wanted("Grüße aus Köln")).journeys) == 1
    assert search.find(trace.wanted("Grüße aus Bonn")).journeys == []


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\n" not in text))
@settings(max_examples=80, deadline=None)
def test_no_control_character_is_ever_shown(text: str) -> None:
    """Text that a scanner of another origin may let through."""
    smtp, send = Book(), Book()
    smtp.say(0, *begin(7), scanned(7, CLEAN, text, f"{text}@b.example", text), f"simscan:[7]: {text}", end(7))
    send.say(0, "info msg 3: bytes 1 from <x> qp 7 uid 0", *sent(3, 1, "y@z.example", f"failure: {text}"))
    for what in (STRANGER, "y@z.example"):
        for found in find(smtp, send, what):
            for line in trace_command.describe(found):
                assert line.isprintable()
            assert json.dumps(trace_command.values(found)).isascii()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", BEGIN - 7200),
        ("30m", BEGIN - 1800),
        ("2026-11-18T11:06:40Z", BEGIN),
        ("2026-11-18 11:06", BEGIN - 40),
        ("2026-11-18", BEGIN - 40_000),
        ("11:06", BEGIN - 40),
    ],
)
def test_a_moment(text: str, seconds: int) -> None:
    assert trace_command.moment(text, BEGIN) == seconds * NS


@pytest.mark.parametrize("text", ["", "2 h", "soon", "25:00", "2026-13-01", "-2h", "\uff12h"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(BadInput, match="expected one such as 2h"):
        trace_command.moment(text, BEGIN)


class TestCommand:
    @pytest.fixture
    def logs(self, tmp_path: Path) -> list[str]:
        smtp, send = sample()
        for name, book in (("smtpd", smtp), ("send", send)):
            directory = tmp_path / name
            directory.mkdir()
            lines = sorted(book.lines, key=lambda line: line[:25])
            half = len(lines) // 2
            (directory / f"{lines[half][:25]}.s").write_text("".join(lines[:half]))
            (directory / "current").write_text("".join(lines[half:]))
            (directory / "lock").write_text("")
        return ["--logs", str(tmp_path / "smtpd"), str(tmp_path / "send")]

    def test_found(self, logs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert trace_command.main(["bob@example.test", *logs]) == 0
        assert "  = bounced for bob@example.test (198.18.0.10 does not" in capsys.readouterr().out
        assert trace_command.main(["bob@example.test", "--json", *logs]) == 0
        (journey,) = json.loads(capsys.readouterr().out)["journeys"]
        assert [one["kind"] for one in journey["verdicts"]] == ["clean", "delivered", "bounced"]

    def test_nothing(self, logs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert trace_command.main(["who@example.test", *logs]) == 1
        assert capsys.readouterr().err == "mailgate trace: nothing about 'who@example.test' in the logs\n"
        assert trace_command.main(["bob@example.test", "--until", "2026-01-01", *logs]) == 1

    @pytest.mark.parametrize(
        "argv", [[""], ["a\x1bb"], ["ab", "--since", "x"], ["ab", "--limit", "0"], ["x" * 1001]]
    )
    def test_bad_arguments(self, argv: list[str], logs: list[str]) -> None:
        assert trace_command.main([*argv, *logs]) == 100

    def test_one_character_can_be_searched_for(self, logs: list[str]) -> None:
        assert trace_command.main(["_", *logs]) in (0, 1)
        assert trace_command.main(["b", *logs]) == 0

    def test_a_log_that_is_not_there(self, tmp_path: Path) -> None:
        assert trace_command.main(["abc", "--logs", str(tmp_path / "gone")]) == 111


class TestWhatIsNotOfIt:
    def test_a_message_whose_number_was_used_before(self) -> None:
        smtp, send = Book(), Book()
        send.say(0, *queued(3, "a@b.example", 9), *sent(3, 1, "first@example.test"), "end msg 3")
        send.say(9, *sent(3, 2, "second@example.test"), "end msg 3")
        (found,) = find(smtp, send, "second@example.test")
        assert found.message is not None
        assert (found.message.begun, found.message.sender) == (None, None)
        assert found.message.recipients() == ("second@example.test",)

    def test_a_session_whose_pid_was_used_before(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(0, *begin(7, "192.0.2.1"), end(7))
        smtp.say(9, scanned(7, "VIRUS", "One", "a@b.example", "c@d.example", "192.0.2.9"), end(7))
        (found,) = find(smtp, send, "One")
        assert found.session is not None
        assert (found.session.address, len(found.steps())) == (None, 2)

    def test_what_qmail_smtpd_said_to_another_session_of_the_client(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(0, *begin(7), f"cqgreylist[7]: new {STRANGER} 198.51.100.0/24 wait 60")
        smtp.say(
            1, *begin(8), f"qmail-smtpd: not in validrcptto: no@example.test from a@b.example at {STRANGER}"
        )
        smtp.say(2, end(7), end(8))
        found = find(smtp, send, STRANGER)
        assert [kinds(one) for one in found] == [["greylisted"], ["unknown recipient"]]

    def test_a_verdict_on_another_client(self) -> None:
        smtp, send = Book(), Book()
        smtp.say(0, *begin(7), scanned(7, "VIRUS", "One", "a@b.example", "c@d.example", "192.0.2.9"), end(7))
        (found,) = find(smtp, send, STRANGER)
        assert kinds(found) == ["nothing taken"]


def test_more_is_said_only_when_there_is_more() -> None:
    refused = f"qmail-smtpd: not in validrcptto: no@example.test from a@b.example at {STRANGER}"
    smtp = Book()
    smtp.say(0, *begin(7), refused)
    smtp.say(1, refused)
    smtp.say(2, end(7))
    found = trace.Search(smtp.log(), archive.Log([])).find(trace.wanted("no@example.test"), limit=1)
    assert (len(found.journeys), found.more) == (1, False)
    smtp.say(0.5, *begin(8))
    smtp.say(3, end(8))
    found = trace.Search(smtp.log(), archive.Log([])).find(trace.wanted("no@example.test"), limit=1)
    assert (len(found.journeys), found.more) == (1, True)


def test_what_a_killed_multilog_left_is_not_joined(tmp_path: Path) -> None:
    smtp = Book()
    smtp.say(0, *begin(7), scanned(7, "VIRUS", "One", "a@b.example", "c@d.example"))
    (tmp_path / f"{tai64n.render((BEGIN + 1) * NS)}.u").write_text("".join(smtp.lines)[:-10])
    (tmp_path / "current").write_text(f"{tai64n.render((BEGIN + 9) * NS)} {end(7)}\n")
    log = trace_command.open_log([str(tmp_path)])
    assert [one.broken for one in log.files] == [False, False]
    assert b"VIRUS" not in log.text(0)[0]


def test_what_qmail_smtpd_refuses_for_how_it_was_said_is_told() -> None:
    smtp = Book()
    smtp.say(
        1,
        *begin(104),
        f"qmail-smtpd: mail refused: control-byte from a\\x0d@sender.example at {STRANGER}",
        f"qmail-smtpd: rcpt refused: too-many for last@example.test from ann@sender.example at {STRANGER}",
        f"qmail-smtpd: data refused: bare-lf from ann@sender.example at {STRANGER}",
        f"qmail-smtpd: excessive refusals, hanging up on {STRANGER}",
        end(104),
    )
    (found,) = find(smtp, Book(), "last@example.test")
    assert [line.split(maxsplit=1)[1] for line in trace_command.describe(found)[3:7]] == [
        "qmail-smtpd sender refused, control-byte, from <a\\x0d@sender.example>",
        "qmail-smtpd recipient last@example.test refused, too-many, from <ann@sender.example>",
        "qmail-smtpd message refused, bare-lf, from <ann@sender.example>",
        "qmail-smtpd hung up: too many refusals",
    ]
    assert kinds(found) == ["protocol error"] * 3


def test_a_recipient_that_comes_by_itself_is_put_off() -> None:
    smtp = Book()
    said = f"qmail-smtpd: rcpt refused: other-rule for b@two.example from ann@sender.example at {STRANGER}"
    smtp.say(1, *begin(104), said, end(104))
    (found,) = find(smtp, Book(), "b@two.example")
    assert kinds(found) == ["put off"]


@pytest.mark.parametrize(
    ("why", "kind", "told"),
    [
        ("too-large", "protocol error", "message refused, too-large"),
        ("too-many-hops", "protocol error", "message refused, too-many-hops"),
        ("bare-lf", "protocol error", "message refused, bare-lf"),
        ("queue-refused", "protocol error", "message refused, queue-refused"),
        ("client-left", "client left", "the client left in the middle of its message"),
        ("put-off", "put off", "message put off with 451"),
    ],
)
def test_a_message_that_was_not_accepted_is_found_by_its_sender(why: str, kind: str, told: str) -> None:
    smtp = Book()
    note = "simscan:[104]: no envelope came: qmail-smtpd has given the message up"
    line = f"qmail-smtpd: data refused: {why} from ann@sender.example at {STRANGER}"
    smtp.say(1, *begin(104), note, line, end(104))
    (found,) = find(smtp, Book(), "ann@sender.example")
    assert kinds(found) == [kind]
    assert any(f"{told}, from <ann@sender.example>" in one for one in trace_command.describe(found))


@pytest.mark.parametrize("scanner_first", [True, False])
def test_a_message_that_is_put_off_has_one_verdict_with_sender_and_reason(scanner_first: bool) -> None:
    smtp = Book()
    lines = [
        f"simscan:[104]: put off for {STRANGER}: clamdscan exited with status 2",
        f"qmail-smtpd: data refused: put-off from ann@sender.example at {STRANGER}",
    ]
    smtp.say(1, *begin(104), *(lines if scanner_first else reversed(lines)), end(104))
    (found,) = find(smtp, Book(), "ann@sender.example")
    assert kinds(found) == ["put off"]
    assert any("clamdscan exited with status 2" in one for one in trace_command.describe(found))


def test_an_address_that_the_log_has_cut_is_found() -> None:
    long = "a" * 230 + "@sender.example"
    smtp = Book()
    smtp.say(
        1,
        *begin(104),
        f"qmail-smtpd: rcpthosts: victim@else.where from {long[:200]}\\... at {STRANGER}",
        end(104),
    )
    (found,) = find(smtp, Book(), long)
    assert kinds(found) == ["relay denied"]


@pytest.mark.parametrize("sender", ["_", "%", ":", "é", "__", "%:", "_%_", "é_:", "<", "a_", "_a"])
@pytest.mark.parametrize("lost", [False, True], ids=["with its verdict", "without"])
def test_a_sender_without_a_letter_ends_the_search(sender: str, lost: bool) -> None:
    """Almost nothing of such a sender is left to search for."""
    smtp, send = Book(), Book()
    written = "".join("_" if not " " <= char <= "~" else char for char in sender)
    queued_as = "".join("_" if not "!" <= char <= "~" or char == "%" else char for char in sender)
    smtp.say(1, *begin(10))
    if not lost:
        smtp.say(2, scanned(10, CLEAN, "odd", written, "alice@example.test"))
    smtp.say(3, end(10))
    smtp.say(2.5, *begin(11, "203.0.113.9"))
    smtp.say(2.6, scanned(11, CLEAN, "other", "bob@sender.example", "alice@example.test", "203.0.113.9"))
    send.say(3, *queued(7, queued_as, 20), *sent(7, 1, "alice@example.test"), "end msg 7")
    journey = find(smtp, send, "alice@example.test")[-1 if lost else 0]
    assert [message.number for message in journey.messages()] == [7]
    assert (journey.session is None) is lost


@pytest.mark.parametrize("needle", [b"", b"\n", b"x", b"c\n", b"line"])
def test_any_needle_comes_to_an_end(needle: bytes) -> None:
    """Each line once, in both directions, whatever is searched."""
    data = [b"line a x\nline b\n", b"", b"line x\n\nline c\n"]
    log = archive.Log([archive.File(0, lambda part=part: part) for part in data])
    first, last = archive.LineRef(0, 0), log.end()
    forward = []
    for number, place in enumerate(log.forward(needle, first, last)):
        assert number < 10
        forward.append(place)
    backward = []
    for number, place in enumerate(log.backward(needle, first, last)):
        assert number < 10
        backward.append(place)
    assert forward == list(reversed(backward)) and len(set(forward)) == len(forward)


def cycle(length: int) -> Book:
    """Messages of which each is the bounce of the one before, and the first that of the last."""
    send = Book()
    for place in range(length):
        send.say(place, *queued(place + 1, "", 100 + place))
        send.say(place + 0.5, f"bounce msg {place + 1} qp {101 + place}")
    # The first one's number again, its beginning lost with a line, and the last one's bounce's pid.
    send.say(length, f"info msg 1: bytes 620 from <> qp {100 + length} uid {QMAILD}")
    send.say(length + 1, *sent(1, 1, "alice@example.test"))
    return send


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 20])
def test_messages_that_are_each_others_bounces_come_to_an_end(length: int) -> None:
    """Process numbers are used again, and a bounce may seem to be the parent of its own parent."""
    send = cycle(length)
    for what in ("msg", "bounce", "alice@example.test"):
        for journey in find(Book(), send, what, limit=100):
            assert journey.steps() and journey.verdicts()
            assert json.dumps(trace_command.values(journey)) and trace_command.describe(journey)


def test_a_long_row_of_forwarded_copies_is_told_in_pieces() -> None:
    send = Book()
    for number in range(1, 300):
        send.say(number, *queued(number, "ann@sender.example", number))
        send.say(number + 0.2, f"starting delivery {number}: msg {number} to local al@example.test")
        send.say(number + 0.5, f"delivery {number}: success: did_0+0+1/qp_{number + 1}/", f"end msg {number}")
    journeys = find(Book(), send, "ann@sender.example", limit=10_000)
    assert all(journey.steps() and trace_command.values(journey) for journey in journeys)
    steps = [step.words for journey in journeys for step in journey.steps()]
    assert sum(words.startswith("message") and "queued" in words for words in steps) == 299


SIX = "2001:db8:1:2::7"


def six_log() -> trace.Search:
    """Return sessions of two clients of one /64, of one of another /64, and of one of IPv4."""
    smtp = Book()
    clients = (SIX, "2001:db8:1:2::70", "2001:db8:1:3::7", STRANGER)
    for number, ip in enumerate(clients):
        shown = f"[{ip}]" if ":" in ip else ip
        smtp.say(10 * number, f"tcpserver: pid {50 + number} from {ip}")
        smtp.say(
            10 * number + 1, f"qmail-smtpd: not in validrcptto: no@example.test from a@b.example at {ip}"
        )
        smtp.say(10 * number + 2, scanned(50 + number, CLEAN, "Hi", "a@b.example", "joe@example.com", shown))
        smtp.say(10 * number + 3, end(50 + number))
    return trace.Search(smtp.log(), archive.Log([]))


@pytest.mark.parametrize(
    ("what", "pids"),
    [
        (SIX, [50]),
        ("2001:DB8:1:2:0:0:0:7", [50]),
        ("2001:0db8:0001:0002:0000:0000:0000:0007", [50]),
        ("[2001:db8:1:2::7]", [50]),
        ("[IPv6:2001:db8:1:2::7]", [50]),
        (f"{SIX}/128", [50]),
        ("2001:db8:1:2::/64", [50, 51]),
        ("2001:DB8:1:2::9/64", [50, 51]),
        ("2001:db8:1::/48", [50, 51, 52]),
        ("::ffff:198.51.100.7", [53]),
        ("::ffff:c633:6407", [53]),
        ("198.51.100.0/24", [53]),
        ("::ffff:198.51.100.0/120", [53]),
        ("0.0.0.0/0", [53]),
        ("::/0", [50, 51, 52]),
        ("2001:db8:1:2::", []),
    ],
)
def test_an_address_or_a_network_in_any_form_is_found(what: str, pids: list[int]) -> None:
    found = six_log().find(trace.wanted(what)).journeys
    assert [journey.session.pid for journey in found if journey.session] == pids


def test_a_refusal_and_a_verdict_belong_to_the_session_of_their_ipv6_client() -> None:
    (found,) = six_log().find(trace.wanted(SIX)).journeys
    assert [kind for kind, _words in found.verdicts()] == ["unknown recipient", "clean"]


@pytest.mark.parametrize("what", ["2001:db8:5::7", "2001:db8:5::/48"])
def test_a_session_of_the_front_that_is_one_line_is_found(what: str) -> None:
    smtp = Book()
    smtp.say(0, "smtpfront[6kz3rt9qm4]: deny 2001:db8:5::7", "smtpfront[6kz3rt9qm5]: deny 2001:db8:6::7")
    smtp.say(
        9, "smtpfront[6kz3rt9qm6]: busy 2001:db8:5::7 client", "smtpfront: pid 6kz3rt9qm7 from 2001:db8:5::7"
    )
    found = trace.Search(smtp.log(), archive.Log([])).find(trace.wanted(what)).journeys
    assert len(found) == 3


@pytest.mark.parametrize("what", ["198.51.100.7", "198.51.100.0/24", "6kz3rt9qm4", "bob@else.example"])
def test_a_session_that_the_front_refuses_is_one_line_and_its_recipients(what: str) -> None:
    smtp = Book()
    smtp.say(0, "smtpfront[6kz3rt9qm4]: new 198.51.100.7 198.51.100.0/24 wait 60")
    smtp.say(1, "smtpfront[6kz3rt9qm5]: new 192.0.2.9 192.0.2.0/24 wait 60")
    for recipient in ("ann@example.com", "joe@example.com"):
        smtp.say(2, f"smtpfront[6kz3rt9qm4]: asked 198.51.100.7 bob@else.example to {recipient}")
    (found,) = trace.Search(smtp.log(), archive.Log([])).find(trace.wanted(what)).journeys
    assert found.session is not None and found.session.address == "198.51.100.7"
    assert [kind for kind, _words in found.verdicts()] == ["greylisted"]
    assert len(found.steps()) == 3


@pytest.mark.parametrize("what", ["198.51.100.7", "6kz3rt9qm4"])
def test_what_the_front_says_before_the_first_line_of_a_session_belongs_to_it(what: str) -> None:
    smtp = Book()
    smtp.say(0, "smtpfront[6kz3rt9qm4]: unconfirmed 198.51.100.7 mx.example")
    smtp.say(1, "smtpfront[6kz3rt9qm4]: new 198.51.100.7 198.51.100.0/24 wait 60")
    smtp.say(2, "smtpfront: pid 6kz3rt9qm4 from 198.51.100.7")
    smtp.say(3, "smtpfront[6kz3rt9qm4]: passed 198.51.100.7 198.51.100.0/24 after 90 pool mail.example")
    smtp.say(4, "smtpfront: end 6kz3rt9qm4 status 0")
    (found,) = trace.Search(smtp.log(), archive.Log([])).find(trace.wanted(what)).journeys
    assert len(found.steps()) == 5


def test_a_network_in_a_strangers_text_is_no_session_of_it() -> None:
    smtp = Book()
    smtp.say(0, *begin(5, "192.0.2.1"))
    smtp.say(1, "qmail-smtpd: rcpthosts: a@b.example from 198.51.100.7 at 192.0.2.1")
    smtp.say(
        2,
        scanned(5, CLEAN, "tcpserver_ pid 5 from 198.51.100.7", "a@b.example", "c@d.example", "192.0.2.1"),
        end(5),
    )
    search = trace.Search(smtp.log(), archive.Log([]))
    assert search.find(trace.wanted("198.51.100.0/24")).journeys == []
    assert len(search.find(trace.wanted("192.0.2.0/24")).journeys) == 1


def test_a_log_that_one_may_not_read_names_the_group_that_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "current"
    log.write_text("")
    os.chown(log, -1, grp.getgrnam("adm").gr_gid)
    for mode, expected in ((0o640, "root or a member of the group 'adm'"), (0o600, "root")):
        log.chmod(mode)

        def refuse(directories: Sequence[str]) -> archive.Log:
            raise PermissionError(13, "Permission denied", str(log))

        monkeypatch.setattr(trace_command, "open_log", refuse)
        assert trace_command.main(["bob@example.test"]) == 100
        assert capsys.readouterr().err == f"mailgate trace: log {log}: not allowed; expected {expected}\n"


def test_who_reads_the_gateways_logs_is_said_with_the_variables_of_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = grp.getgrgid(os.getegid()).gr_name if os.getegid() else "adm"
    os.chown(tmp_path, -1, grp.getgrnam(group).gr_gid)
    tmp_path.chmod(0o750)
    monkeypatch.setattr(trace_command, "LOG_READERS", group)
    said = trace_command._who_may(f"{tmp_path}/smtpd")
    assert said == (
        f"log {tmp_path}/smtpd: not allowed; expected root or a member of the group {group!r}, "
        "by gateway_operators or gateway_log_readers of the site, and a new login"
    )
