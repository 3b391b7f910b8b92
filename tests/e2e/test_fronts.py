# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site changes its front while mail flows: to tcpserver, and back.

Ten conversations hold tcpserver's chain to the same; the greylist forgets nobody and lets nobody pass
unasked.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from support.conversations import OK, SENDER, STRANGER, Asked, Crowd, Row, message, selected
from support.gateway import GATEWAY_ADDRESS, Bed, matches, row_of
from support.mail_stream import NAME, REFUSED, Message, Stream
from support.policy_playbook import Run, change_front
from support.session_watch import verdict
from support.smtp_client import Session, stuffed
from support.starttls import Client, connected, letter

GREYLIST = "/var/qmail/cqgreylist"
NEW = "451 4.7.1 *"
WAITED_SECONDS = 3.0  # more than the tests' site asks a new network to wait
PENDING = {
    "tcpserver": "198.19.71.9",
    "smtpfront": "198.19.72.9",
}  # seen once before the change to that front
NEW_WITH_TLS = "198.19.73.9"
ROWS = [row for row in selected("debian13") if not isinstance(row, Crowd)]


def open_lines(bed: Bed) -> list[str]:
    text = (bed.root / "var/log/qmail/smtpd/current").read_text(encoding="latin-1")
    return [line for line in text.splitlines() if "]: open " in line]


def state(bed: Bed) -> dict[str, str]:
    """Return the owner of each remembered network."""
    said = bed.inside("find", GREYLIST, "-type", "f", "-printf", "%f %u\\n")[1]
    return dict(line.rsplit(" ", 1) for line in said.splitlines())


def names(known: dict[str, str]) -> set[str]:
    """Return the networks, seen once or passed; what is remembered of an attempt ends with it."""
    found = (re.fullmatch(r"([0-9a-f.:]+-[0-9]+)(?:\.new)?", name) for name in known)
    return {one[1] for one in found if one}


@dataclass
class Change:
    """A run that changed the front, and what was before and after it."""

    run: Run
    front: str
    before: dict[str, str]
    after: dict[str, str]
    first: str  # what the pending network heard before, and afterwards
    second: str
    opened: list[str]
    messages: list[Message] = field(repr=False, default_factory=list)


def change_to(bed: Bed, front: str) -> Change:
    first = verdict(PENDING[front], "alice@example.test")
    before, opened = state(bed), len(open_lines(bed))
    time.sleep(WAITED_SECONDS)
    stream = Stream(f"front {front}")
    run = change_front(bed, front)
    bed.wait_until_greeted(30)
    messages = stream.end()
    second = verdict(PENDING[front], "alice@example.test")
    return Change(run, bed.front, before, state(bed), first, second, open_lines(bed)[opened:], messages)


@pytest.fixture(scope="module")
def changed(bed: Bed) -> Iterator[Change]:
    """Change to tcpserver, for the tests below; then back."""
    if bed.front != "smtpfront":
        pytest.skip("tcpserver is the front of this gateway from the beginning")
    made = change_to(bed, "tcpserver")
    try:
        yield made
    finally:
        if bed.front != "smtpfront":
            change_front(bed, "smtpfront")
            bed.wait_until_greeted(30)
        bed.mailroom.take(lambda delivery: row_of(delivery).startswith(NAME))


def well_changed(change: Change, front: str, owner: str) -> None:
    assert change.front == front
    assert matches(NEW, change.first) and change.second == OK, (change.first, change.second)
    assert names(change.before) <= names(change.after), "a network was forgotten"
    assert set(change.after.values()) == {owner}
    assert change.opened == [], "clients passed the greylist while nothing could be remembered"
    wrong = [one for one in change.messages if REFUSED in one.verdicts or not one.accepted]
    assert change.messages and wrong == []


def test_tcpserver_takes_over_and_forgets_nobody(bed: Bed, changed: Change) -> None:
    well_changed(changed, "tcpserver", "qmaild")
    assert {"smtpfront", "smtplaunch"}.isdisjoint(bed.processes().values())
    assert bed.inside("test", "-e", "/service/smtpfront")[0] != 0


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_ten_conversations_with_tcpserver(bed: Bed, changed: Change, row: Row | Asked) -> None:
    outcome = bed.play(row)
    if outcome.not_run:
        pytest.skip(outcome.not_run)
    assert not outcome.problems, "\n".join([f"{row.who} {row.tries}", *outcome.problems])


@contextmanager
def over_tls(who: str) -> Iterator[Client]:
    """Yield a client of the gateway that has begun TLS."""
    with connected(who, GATEWAY_ADDRESS) as client:
        assert "STARTTLS" in client.say("EHLO client.example").split("\r\n250-")
        client.starttls()
        assert "STARTTLS" not in client.say("EHLO client.example")
        yield client


def test_tcpserver_s_chain_offers_tls(bed: Bed, changed: Change) -> None:
    """cqgreylist does to a network that is new, qmail-smtpd to one that passes."""
    with over_tls(NEW_WITH_TLS) as client:
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")
        assert client.say("RCPT TO:<alice@example.test>").startswith("451 4.7.1 ")
    with over_tls(STRANGER) as client:
        reply = letter(client, stuffed(message("fronts-tls")), "alice@example.test", SENDER)
        assert reply.startswith("250 ok ")
    delivery = bed.mailroom.claim(lambda one: row_of(one) == "fronts-tls", 60)
    assert delivery and b" with ESMTPS (TLSv1.3 " in delivery.content


def test_the_doctor_and_qmailctl_know_tcpserver(bed: Bed, changed: Change) -> None:
    said = bed.inside("mailgate", "doctor", "--only", "services", "--only", "greylist", "--json")[1]
    found = json.loads(said)["findings"]
    assert [one for one in found if one["status"] not in (0, 1)] == []
    stat = bed.inside("qmailctl", "stat")[1]
    assert "smtpfront" not in stat and "/service/qmail-smtpd: up " in stat


def test_smtpfront_takes_over_and_forgets_nobody(bed: Bed, changed: Change) -> None:
    """The last of this file: the other tests look at tcpserver."""
    back = change_to(bed, "smtpfront")
    well_changed(back, "smtpfront", "smtpfront")
    assert "tcpserver" not in bed.processes().values()
    assert "fatal" not in (bed.root / "var/log/smtpfront/current").read_text()
    said = bed.inside("mailgate", "doctor", "--only", "services", "--only", "greylist", "--json")[1]
    assert [one for one in json.loads(said)["findings"] if one["status"] not in (0, 1)] == []
    with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=20) as session:
        assert session.reply().startswith("220 ")
