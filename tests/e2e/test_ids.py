# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The id in the reply to a message finds its whole journey, and nothing else does."""

from __future__ import annotations

import json
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.conversations import HELO, LOOPBACK, STRANGER, mail, message, rcpt
from support.gateway import GATEWAY_ADDRESS, Bed, row_of
from support.smtp_client import CLOSED, Session, stuffed

PATCH = pytest.mark.patch("99-mail-id")
KNOWN_SECONDS = 20.0
ALICE, BOB = "alice@example.test", "bob@example.test"
REPLY = re.compile(r"250 ok [0-9]+ qp ([0-9]+) id (([0-7][0-9a-hjkmnp-tv-z]{9})\.([0-9]+))")
PARSE = r"""
use Mail::SpamAssassin; use Mail::SpamAssassin::PerMsgStatus;
my $sa = Mail::SpamAssassin->new({local_tests_only => 1, dont_copy_prefs => 1});
$sa->init(1);
local $/;
for my $message (split /\f/, <STDIN>) {
  my $parsed = $sa->parse($message, 1);
  Mail::SpamAssassin::PerMsgStatus->new($sa, $parsed)->extract_message_metadata();
  print $parsed->get_metadata("X-Spam-Relays-Untrusted"), $parsed->get_metadata("X-Spam-Relays-Trusted"),
    " unparseable=", $parsed->{metadata}->{num_relays_unparseable}, "\n";
}
"""


@pytest.fixture(scope="module", autouse=True)
def tidy(bed: Bed) -> Iterator[None]:
    """Take what has arrived, so that no other test finds it."""
    yield
    time.sleep(1)
    bed.mailroom.take(lambda delivery: row_of(delivery) == "ids")


def sender() -> str:
    """Return a sender that no other message has."""
    return f"ids-{random.randrange(16**8):08x}@sender.example"


def trace(bed: Bed, what: str, right: Callable[[list[Any]], bool], *more: str) -> list[Any]:
    """Return the journeys, waiting until they are as expected: multilog may be slow."""
    deadline = time.monotonic() + KNOWN_SECONDS
    while True:
        status, out, err = bed.inside("mailgate", "trace", what, "--json", *more)
        assert status in (0, 1), err
        found = list(json.loads(out)["journeys"])
        if right(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def delivered(count: int) -> Callable[[list[Any]], bool]:
    def right(journeys: list[Any]) -> bool:
        return bool(journeys) and sum(one["kind"] == "delivered" for one in journeys[0]["verdicts"]) == count

    return right


def say(session: Session, commands: bytes, *replies: str) -> list[str]:
    """Send each line and return its reply, which begins with the one expected."""
    got = []
    for line, expected in zip(commands.splitlines(keepends=True), replies):
        session.send(line)
        got.append(session.reply())
        assert got[-1].startswith(expected), (line, got)
    return got


def letter(session: Session, from_whom: str, *recipients: str) -> re.Match[str]:
    """Send a message in the session; return its reply."""
    commands = mail(from_whom).send + b"".join(rcpt(one).send for one in recipients) + b"DATA\r\n"
    say(session, commands, "250", *["250" for _ in recipients], "354")
    session.send(stuffed(message("ids")))
    reply = session.reply()
    found = REPLY.fullmatch(reply)
    assert found, reply
    return found


@PATCH
@pytest.mark.parametrize("who", [STRANGER, LOOPBACK])
def test_the_reply_finds_the_journey(bed: Bed, who: str) -> None:
    """Of a stranger, and of a relay client."""
    whose = sender()
    with Session(who, LOOPBACK if who == LOOPBACK else GATEWAY_ADDRESS) as session:
        session.reply()
        say(session, HELO.send, "250")
        found = letter(session, whose, ALICE)
    queue_pid, named, of_session, number = found.groups()
    assert number == "1"
    real = bed.kind == "source"
    right = delivered(1) if real else bool
    (journey,) = trace(bed, named, right)
    assert (journey["session"]["id"], journey["session"]["address"]) == (of_session, who)
    (attempt,) = journey["session"]["attempts"]
    assert (attempt["id"], attempt["queue_pid"], attempt["sender"]) == (named, int(queue_pid), whose)
    assert journey["inferences"] == []
    for other in (whose, of_session):
        assert [one["session"]["id"] for one in trace(bed, other, bool)] == [of_session]


@PATCH
def test_two_messages_of_one_session_are_told_apart(bed: Bed) -> None:
    """Same sender, same recipient, one behind the other; and a refused recipient between them."""
    why = bed.only_real("only qmail-send has a log")
    if why:
        pytest.skip(why)
    whose = sender()
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        session.reply()
        say(session, HELO.send, "250")
        first = letter(session, whose, ALICE)
        say(session, mail(whose).send + rcpt("nobody@example.test").send, "250", "550")
        second = letter(session, whose, ALICE)
    assert first[3] == second[3] and (first[4], second[4]) == ("1", "2")
    (journey,) = trace(bed, second[2], delivered(2))
    attempts = journey["session"]["attempts"]
    assert [one["id"] for one in attempts if one["id"]] == [first[2], second[2]]
    assert [one["kind"] for one in attempts if not one["id"]] == ["unknown recipient"]
    numbers = [one["message"]["number"] for one in attempts if one["message"]]
    assert len(numbers) == 2
    status, log, _err = bed.inside("cat", "/var/log/qmail/send/current")
    assert status == 0
    for reply, number in zip((first, second), numbers):
        assert re.search(
            rf" info msg {number}: bytes [0-9]+ from <{re.escape(whose)}> qp {reply[1]} uid ", log
        )


@PATCH
def test_a_session_that_is_killed_keeps_what_it_had(bed: Bed) -> None:
    """qmail-smtpd dies in its second message: the first one is found, and what the client tries again."""
    whose = sender()
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        session.reply()
        say(session, HELO.send, "250")
        first = letter(session, whose, ALICE)
        say(session, mail(whose).send + rcpt(BOB).send + b"DATA\r\n", "250", "250", "354")
        session.send(b"Subject: half")
        (journey,) = trace(bed, first[2], bool)
        assert bed.inside("kill", "-9", str(journey["session"]["pid"]))[0] == 0
        assert session.reply() == CLOSED
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        session.reply()
        say(session, HELO.send, "250")
        again = letter(session, whose, BOB)
    assert again[3] != first[3]
    (journey,) = trace(bed, first[2], lambda found: bool(found) and found[0]["session"]["ended"] is not None)
    assert [one["id"] for one in journey["session"]["attempts"]] == [first[2]]
    assert journey["session"]["status"] != 0
    (journey,) = trace(bed, again[2], bool)
    assert [one["id"] for one in journey["session"]["attempts"]] == [again[2]]


@PATCH
def test_a_message_that_passes_the_scanner_by_is_found_too(bed: Bed) -> None:
    """As by a rule with another QMAILQUEUE: qmail-smtpd's own line has the process of qmail-queue."""
    why = bed.only_real("only qmail-send has a log")
    if why:
        pytest.skip(why)
    whose = sender()
    environment = {"TCPREMOTEIP": "10.1.2.3", "QMAILQUEUE": "bin/qmail-queue", "SMTPSESSION": "7zzzzzzzzz"}
    words = [f"{name}={value}" for name, value in environment.items()]
    dialogue = HELO.send + mail(whose).send + rcpt(ALICE).send + b"DATA\r\n" + stuffed(message("ids"))
    done = subprocess.run(
        ["docker", "exec", "-i", "-u", "qmaild", bed.name, "env", *words, "/var/qmail/bin/qmail-smtpd"],
        input=dialogue + b"QUIT\r\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    found = REPLY.search(done.stdout.decode("latin-1"))
    assert found, done
    assert found[2] == "7zzzzzzzzz.1"
    (line,) = done.stderr.decode("latin-1").splitlines()
    assert re.fullmatch(
        rf"qmail-smtpd: accepted: from {re.escape(whose)} at 10\.1\.2\.3 id {re.escape(found[2])} "
        rf"pid [0-9]+ qp {found[1]}",
        line,
    )
    script = 'mkdir -p "$0" && printf "%s\\n" "$1" | tai64n >"$0/current"'
    place = "/var/tmp/mailgate-ids"
    try:
        assert bed.inside("sh", "-c", f"PATH=$PATH:/usr/local/bin:/command; {script}", place, line)[0] == 0
        logs = ("--logs", place, "/var/log/qmail/send")
        (journey,) = trace(bed, found[2], delivered(1), *logs)
        assert [one["kind"] for one in journey["verdicts"]] == ["accepted", "delivered"]
    finally:
        bed.inside("rm", "-rf", place)


def test_spamassassin_reads_the_received_line_as_before(bed: Bed) -> None:
    """Whether the client's name is known or not, with greeting, user and sender or without; over TLS, too."""
    forms = [
        "from unknown (HELO client.example) (198.51.100.7)",
        "from host.example (198.51.100.7)",
        "from host.example (HELO client.example) (198.51.100.7) (envelope-sender <ann@sender.example>)",
        "from host.example (HELO client.example) (ann@198.51.100.7) (envelope-sender <ann@sender.example>)",
        "from host.example (198.51.100.7) (envelope-sender <ann@sender.example>)",
        "from unknown (HELO ?198.51.100.7?) (198.51.100.7) (envelope-sender <ann@sender.example>)",
    ]
    with_what = (
        "SMTP",
        "SMTP (id 6kz3rt9qm4.1)",
        "ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384 encrypted SMTP) (id 6kz3rt9qm4.1)",
        "ESMTPS (TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384 encrypted SMTP) (id 6kz3rt9qm4.1)",
    )
    letters = [
        f"Received: {form}\n  by mx1.example.test with {words}; 26 Nov 2026 21:18:00 -0000\n\nx\n"
        for form in forms
        for words in with_what
    ]
    status, out, err = bed.inside("perl", "-e", PARSE, text="\f".join(letters))
    assert status == 0, err
    told = out.splitlines()
    assert len(told) == len(letters)
    for number, form in enumerate(forms):
        before, *now = told[number * len(with_what) : (number + 1) * len(with_what)]
        assert "ip=198.51.100.7 " in before and before.endswith("unparseable=0"), (form, before)
        assert now == [before] * len(now), (form, before, now)
