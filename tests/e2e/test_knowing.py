# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs agree with what the clients saw: trace finds each session, stats counts each once."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.conversations import (
    BAD_SENDER,
    COME_BACK,
    EICAR,
    HELO,
    LOOPBACK,
    NOBODY,
    NOT_OURS,
    QUEUED,
    ROWS,
    SENDER,
    STRANGER,
    TOO_MANY_UNKNOWN,
    A,
    Arrival,
    Row,
    mail,
    message,
    rcpt,
)
from support.gateway import GATEWAY_ADDRESS, Bed, Outcome, submit
from support.smtp_client import CLOSED, Session, stuffed

STATS_SECONDS = 60.0
KNOWN_SECONDS = 60.0
DENIED_SECONDS = 60.0
BLAMED = f"198.51.100.{random.randrange(150, 200)}"
CLAMD = "run/clamav/clamd.ctl"
SERVICE = r"mailgate.* stats serve "
ALICE, BOB = "alice@example.test", "bob@example.test"

# What a client sees, and what counts for it.
COUNTED = {
    NOBODY: "refused_recipient",
    TOO_MANY_UNKNOWN: "refused_recipient hung_up",
    NOT_OURS: "refused_relay",
    BAD_SENDER: "refused_sender",
}
ACCEPTED = ("clean", "marked", "unchecked", "relayed", "unjudged")
WATCHED = (
    "connections",
    "refused_rule",
    "refused_dnsbl",
    "greylisted",
    "refused_sender",
    "refused_relay",
    "refused_recipient",
    "hung_up",
    "refused_virus",
    "refused_spam",
    "refused_content",
    "put_off",
    *ACCEPTED,
)
# Row: what trace says of it, word by word; "accepted" is any of ACCEPTED, deliveries follow by themselves.
STREAM: dict[str, list[str]] = {
    "valid": ["accepted"],
    "unknown": ["unknown recipient"],
    "not-ours": ["relay denied"],
    "bad-sender": ["bad sender"],
    "virus": ["virus"],
    "spam": ["spam"],
    "marked": ["marked"],
    "clean": ["clean"],
    "relay-office": ["relayed"],
    "virus-office": ["virus"],
    "both-domains": ["accepted"],
    "one-of-three": ["unknown recipient", "relay denied", "accepted"],
    "two-messages": ["accepted", "accepted"],
    "ten-unknown": ["unknown recipient"] * 10,
    "grey-first": ["greylisted"],
    "null-sender": ["accepted"],
}


@dataclass
class Knowing:
    """The commands on the gateway, and what the clients of this module saw."""

    bed: Bed
    begun: float
    nonce: str
    seen: Counter[str] = field(default_factory=Counter)

    def stats(self) -> dict[str, Any]:
        status, out, err = self.bed.inside("mailgate", "stats", "--json", "--last", "2h")
        assert status == 0, err
        return dict(json.loads(out))

    def totals(self) -> dict[str, int]:
        return dict(self.stats()["totals"]["counts"])

    def settled(self) -> dict[str, int]:
        """Return the totals, once everything that was said is counted."""
        last: dict[str, int] = {}
        deadline = time.monotonic() + STATS_SECONDS
        while True:
            assert self.bed.inside("svc", "-h", "/service/stats")[0] == 0
            time.sleep(0.7)
            now = self.totals()
            if {name: now[name] for name in WATCHED} == {name: last.get(name) for name in WATCHED}:
                return now
            assert time.monotonic() < deadline, "the numbers do not come to rest"
            last = now

    def trace(self, what: str, *more: str) -> list[dict[str, Any]]:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.begun))
        argv = ["mailgate", "trace", what, "--since", since, "--json", *more]
        status, out, err = self.bed.inside(*argv)
        assert status in (0, 1), err
        journeys = list(json.loads(out)["journeys"])
        assert (status == 0) == bool(journeys)
        return journeys

    def told(self, what: str, true: Callable[[list[list[str]]], bool]) -> list[list[str]]:
        """Return the kinds of each journey, waiting until they are as expected: multilog may be slow."""
        deadline = time.monotonic() + KNOWN_SECONDS
        while True:
            found = [[one["kind"] for one in journey["verdicts"]] for journey in self.trace(what)]
            if true(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.3)

    def play(self, row: Row) -> Outcome:
        """Play a row, and remember what its client saw."""
        outcome = self.bed.play(row)
        assert not outcome.problems, (row.name, outcome.problems)
        self.seen["connections"] += 1
        replies = [reply for step in row.steps for reply in step.replies]
        for reply in replies:
            self.seen.update(COUNTED.get(reply, "").split())
            if reply.startswith("554 Your email was rejected because"):
                self.seen["refused_virus"] += 1
            elif reply.startswith("554 Your email is considered spam"):
                self.seen["refused_spam"] += 1
            elif reply == QUEUED:
                self.seen["accepted"] += 1
        self.seen["greylisted"] += COME_BACK in replies
        return outcome

    def turn(self) -> None:
        """Rotate both logs."""
        for service in ("qmail-smtpd", "qmail-send"):
            status, _out, err = self.bed.inside("svc", "-a", f"/service/{service}/log")
            assert status == 0, err

    def pid(self) -> int:
        for pid in self.bed.processes():
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1").replace("\0", " ")
            except OSError:
                continue
            if re.search(SERVICE, line):
                return pid
        return 0

    def kill(self) -> None:
        """Kill the service by SIGKILL, and wait until supervise has started another one."""
        before = self.pid()
        assert before, "the service stats does not run"
        os.kill(before, 9)
        deadline = time.monotonic() + 15
        while self.pid() in (0, before):
            assert time.monotonic() < deadline, "the service stats does not come back"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def knowing(bed: Bed) -> Knowing:
    if not (bed.root / "service/stats").is_symlink():
        pytest.skip("this gateway has no service stats")
    return Knowing(bed, time.time() - 1, f"{random.randrange(16**8):08x}")


@pytest.fixture(scope="module")
def shut_out(knowing: Knowing) -> Iterator[str]:
    """Refuse a client by a rule; return its address."""
    command = ("mailgate", "blacklist", "add", BLAMED, "--for", "10m", "--note", "a test")
    status, _out, err = knowing.bed.inside(*command)
    if status != 0:
        pytest.skip(f"no client can be refused: {err}")
    try:
        deadline = time.monotonic() + DENIED_SECONDS
        while True:
            with Session(BLAMED, GATEWAY_ADDRESS, timeout_seconds=20) as session:
                if session.reply() == CLOSED:
                    break
            assert time.monotonic() < deadline, f"{BLAMED} is not refused"
            time.sleep(0.2)
        yield BLAMED
    finally:
        knowing.bed.inside("mailgate", "blacklist", "release", BLAMED)


def own(row: Row, sender: str) -> Row:
    """Return the row with another sender, so that it can be told from every other conversation."""

    def changed(data: bytes) -> bytes:
        return data.replace(SENDER.encode(), sender.encode())

    steps = tuple(replace(step, send=changed(step.send)) for step in row.steps)
    arrives = tuple(
        Arrival(
            one.backend,
            one.recipient,
            sender if one.sender == SENDER else one.sender,
            changed(one.content),
            one.added,
            one.needs,
        )
        for one in row.arrives
    )
    return replace(row, steps=steps, arrives=arrives)


def rows_of_the_stream(nonce: str) -> list[tuple[Row, str]]:
    """Return each row of STREAM with the text to search it by."""
    named = {row.name: row for row in ROWS if isinstance(row, Row)}
    found = []
    for name in STREAM:
        row = named[name]
        sender = f"{name}-{nonce}@sender.example"
        what = sender
        if name == "bad-sender":
            what = "spammer@bad.example"
        elif name == "grey-first":
            row = replace(row, who=f"198.19.{random.randrange(256)}.11")
            what = row.who
        elif name == "null-sender":
            title = f"null {nonce}"
            row = replace(
                row,
                steps=tuple(
                    replace(
                        step, send=step.send.replace(b"Subject: null-sender", f"Subject: {title}".encode())
                    )
                    for step in row.steps
                ),
                arrives=tuple(
                    replace(
                        one,
                        content=one.content.replace(b"Subject: null-sender", f"Subject: {title}".encode()),
                    )
                    for one in row.arrives
                ),
            )
            what = title
        found.append((own(row, sender), what))
    return found


def fits(kinds: list[str], expected: list[str], deliveries: int) -> bool:
    """Return whether the kinds are the expected ones, each accepted message followed by its deliveries."""
    decided = [kind for kind in kinds if kind not in ("delivered", "deferred", "bounced", "open")]
    same = len(decided) == len(expected) and all(
        one == wanted or (wanted == "accepted" and one in ACCEPTED) for one, wanted in zip(decided, expected)
    )
    return same and kinds.count("delivered") == deliveries and len(kinds) == len(decided) + deliveries


def test_a_mixed_stream_is_told_and_counted_as_its_clients_saw_it(knowing: Knowing, shut_out: str) -> None:
    """Both logs are rotated, and the service is killed, in the middle."""
    real = knowing.bed.kind == "source"
    knowing.seen.clear()
    before = knowing.settled()
    stream = rows_of_the_stream(knowing.nonce)
    for number, (row, _what) in enumerate(stream):
        if number == len(stream) // 3:
            knowing.turn()
        if number == len(stream) // 2:
            knowing.kill()
        knowing.play(row)
    for _time in range(3):
        with Session(shut_out, GATEWAY_ADDRESS) as session:
            assert session.reply() == CLOSED
        knowing.seen.update(("connections", "refused_rule"))
    after = knowing.settled()
    grown = {name: after[name] - before[name] for name in WATCHED}
    accepted = sum(grown.pop(name) for name in ACCEPTED)
    assert {"accepted": accepted, **grown} == {"accepted": 0, **dict.fromkeys(grown, 0), **knowing.seen}
    for row, what in stream:
        deliveries = len(row.arrives) if real else 0
        expected = STREAM[row.name]

        def right(
            found: list[list[str]], expected: list[str] = expected, deliveries: int = deliveries
        ) -> bool:
            return len(found) == 1 and fits(found[0], expected, deliveries)

        found = knowing.told(what, right)
        assert right(found), (row.name, what, found)
    denied = knowing.told(shut_out, lambda found: len(found) >= 3)
    assert set(map(tuple, denied)) <= {("refused by rule",), ("nothing taken",), ("greylisted",)}
    assert denied[-3:] == [["refused by rule"]] * 3
    if real:
        arrived = sum(len(row.arrives) for row, _what in stream)
        assert after["delivered"] - before["delivered"] >= arrived


def test_a_session_over_a_rotation(knowing: Knowing) -> None:
    sender = f"slow-{knowing.nonce}@sender.example"
    text = message("slow", EICAR + b"\r\n")
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        said = [session.reply()]
        for step in (HELO, mail(sender), rcpt("nobody@example.test"), rcpt(ALICE)):
            session.send(step.send)
            said.append(session.reply())
            knowing.turn()
            time.sleep(0.2)
        session.send(b"DATA\r\n")
        session.reply()
        session.send(stuffed(text))
        said.append(session.reply())
        knowing.turn()
        session.send(b"QUIT\r\n")
        session.reply()
    assert said[3] == NOBODY
    assert said[-1].startswith("554 ")
    expected = [["unknown recipient", "virus"]]
    assert knowing.told(sender, lambda found: found == expected) == expected
    (journey,) = knowing.trace(sender)
    assert journey["session"]["address"] == STRANGER
    assert journey["timeline"][0]["program"] == knowing.bed.front


def test_a_message_that_is_put_off(knowing: Knowing) -> None:
    scanner = knowing.bed.root / CLAMD
    aside = scanner.with_name("clamd.aside")
    before = knowing.settled()
    sender = f"put-off-{knowing.nonce}@sender.example"
    os.rename(scanner, aside)
    try:
        reply = submit(message("put-off"), ALICE, sender=sender, who=STRANGER)
    finally:
        os.rename(aside, scanner)
    assert reply.startswith("451 ")
    after = knowing.settled()
    assert (after["put_off"] - before["put_off"], after["connections"] - before["connections"]) == (1, 1)
    assert ["put off"] in knowing.told(STRANGER, lambda found: ["put off"] in found)


def test_deferred_then_delivered_and_bounced(knowing: Knowing) -> None:
    """The back end's own words are in the verdict, and the bounce belongs to the journey."""
    why = knowing.bed.only_real("the stand-in has no queue")
    if why:
        pytest.skip(why)
    backend = knowing.bed.backends[A]
    sender = f"later-{knowing.nonce}@sender.example"
    backend.refuse_recipients[BOB] = "550 no such bob"
    backend.refuse = "451 come again"
    try:
        reply = submit(message(f"later {knowing.nonce}"), ALICE, BOB, sender=sender, who=LOOPBACK)
        assert reply.startswith("250 ")
        expected = [["deferred", "bounced"], ["bounced", "deferred"]]
        found = knowing.told(sender, lambda found: bool(found) and found[0][1:] in expected)
        assert found[0][1:] in expected, found
        words = json.dumps(knowing.trace(sender))
        assert "451 come again" in words
        assert "550 no such bob" in words
    finally:
        backend.refuse = ""
        del backend.refuse_recipients[BOB]
    assert knowing.bed.inside("svc", "-a", "/service/qmail-send")[0] == 0
    ends = [["delivered", "bounced"], ["bounced", "delivered"]]
    found = knowing.told(sender, lambda found: bool(found) and found[0][1:] in ends)
    assert found[0][1:] in ends, found
    knowing.bed.mailroom.take(lambda delivery: delivery.sender == sender or delivery.recipient == sender)


def test_a_bounce_that_is_withheld(knowing: Knowing) -> None:
    """The back end refuses what the scanner took for spam: only the log has it, no bounce is sent."""
    why = knowing.bed.only_real("the stand-in has no queue")
    if why:
        pytest.skip(why)
    backend = knowing.bed.backends[A]
    before = knowing.settled()
    sender = f"withheld-{knowing.nonce}@sender.example"
    backend.refuse = "554 not this"
    try:
        assert submit(message("please-mark-this"), ALICE, sender=sender, who=STRANGER).startswith("250 ")
        expected = [["marked", "bounce withheld"]]
        assert knowing.told(sender, lambda found: found == expected) == expected
    finally:
        backend.refuse = ""
    words = json.dumps(knowing.trace(sender))
    assert "554 not this" in words
    assert "no bounce: spam" in words
    after = knowing.settled()
    grown = {name: after[name] - before[name] for name in ("bounces", "bounces_withheld")}
    assert grown == {"bounces": 0, "bounces_withheld": 1}


def test_what_prometheus_reads_is_what_stats_shows(knowing: Knowing) -> None:
    totals = knowing.settled()
    place = knowing.bed.root / "var/lib/mailgate/stats/mailgate.prom"
    assert place.stat().st_mode & 0o7777 == 0o644
    text = place.read_text()
    assert f"\nmailgate_connections_total {totals['connections']}\n" in text
    assert f'\nmailgate_refused_total{{layer="virus"}} {totals["refused_virus"]}\n' in text


def test_people_are_told_in_words(knowing: Knowing) -> None:
    for argv in (("mailgate", "stats"), ("mailgate", "stats", "--last", "today", "--ascii")):
        status, out, err = knowing.bed.inside(*argv)
        assert (status, err) == (0, "")
        assert re.search(r"(?m)^  virus +[1-9]", out)
    status, out, err = knowing.bed.inside("mailgate", "trace", f"virus-{knowing.nonce}@sender.example")
    assert (status, err) == (0, "")
    assert re.search(r"(?m)^  = refused, virus \S", out)
    status, _out, err = knowing.bed.inside("mailgate", "trace", f"never-{knowing.nonce}@sender.example")
    assert status == 1
    assert "in the logs" in err
