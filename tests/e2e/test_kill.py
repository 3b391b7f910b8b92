# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the whole gateway while messages flow: none that was accepted is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from support.conversations import SENDER, STRANGER, A, Arrival, B, message
from support.gateway import GATEWAY_ADDRESS, Bed, differences, row_of, submit
from support.mail_servers import Delivery
from support.smtp_client import Session, stuffed

ROUNDS = 20
SENDERS = 6
ACCEPTED_AT_LEAST = 500
INSIDE_DATA_AT_LEAST = 5
ACCEPTED_A_ROUND = (26, 40)  # then a moment more that only chance decides
MOMENT_SECONDS = 0.15
MESSAGES_A_SESSION = 3
ROUND_SECONDS = 30.0
DOCKER_SECONDS = 60.0
UP_SECONDS = 60.0
DELIVERED_SECONDS = 60.0
SWEPT_SECONDS = 60.0
NAME = "kill-"
RECIPIENTS = {"alice@example.test": A, "bob@example.test": A, "carol@example.org": B}


@pytest.fixture(autouse=True)
def alone(bed: Bed) -> Iterator[None]:
    """Cut the gateway off from outside, where qmail-remote would look for a back end that is not back."""
    reason = bed.only_real("the stand-in hands each message to the back end itself and has no queue")
    if reason:
        pytest.skip(reason)
    networks = docker(
        "inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", bed.name
    ).split()
    with bed.unscanned():
        for network in networks:
            docker("network", "disconnect", network, bed.name)
        try:
            yield
        finally:
            docker("start", bed.name)
            for network in networks:
                docker("network", "connect", network, bed.name)
            bed.rejoin()
            bed.wait_until_greeted(UP_SECONDS)
            bed.mailroom.take(lambda delivery: row_of(delivery).startswith(NAME))


def docker(*argv: str) -> str:
    done = subprocess.run(
        ["docker", *argv], capture_output=True, text=True, timeout=DOCKER_SECONDS, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(argv)}: {done.stderr}"
    return done.stdout


@dataclass
class Posted:
    """One message, and how far it has come: "begun", "half" (of it sent), "ended" (final dot), "accepted"."""

    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    state: str = "begun"
    answer: str = ""


class Sender(threading.Thread):
    """Send messages, each with its own token, until the gateway is gone."""

    def __init__(self, name: str, seed: str) -> None:
        super().__init__(name=name, daemon=True)
        self.chance = random.Random(seed)
        self.posted: list[Posted] = []

    def compose(self) -> Posted:
        token = f"{NAME}{self.name}-{len(self.posted)}-{self.chance.getrandbits(64):016x}"
        lines = (self.chance.randbytes(30).hex() for _ in range(self.chance.choice((0, 1, 20, 700))))
        body = "".join(f"{line}\r\n" for line in (token, ".", *lines))
        recipients = tuple(self.chance.sample(sorted(RECIPIENTS), self.chance.choice((1, 1, 2, 3))))
        one = Posted(recipients, message(token, body.encode("ascii")))
        self.posted.append(one)
        return one

    def run(self) -> None:
        try:
            while True:
                with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=ROUND_SECONDS) as session:
                    if not session.reply().startswith("220 ") or not said(session, "HELO client.example"):
                        return
                    for _ in range(MESSAGES_A_SESSION):
                        if not self.post(session, self.compose()):
                            return
        except OSError:
            return  # the gateway is gone

    def post(self, session: Session, one: Posted) -> bool:
        if not envelope(session, one):
            return False
        raw = stuffed(one.content)
        middle = len(raw) // 2
        session.send(raw[:middle])
        one.state = "half"
        session.send(raw[middle:])
        one.state = "ended"
        one.answer = session.reply()
        if one.answer.startswith("250 "):
            one.state = "accepted"
        return one.state == "accepted"


def said(session: Session, line: str) -> bool:
    session.send(f"{line}\r\n".encode("ascii"))
    return session.reply().startswith(("250 ", "354 "))


def envelope(session: Session, one: Posted) -> bool:
    lines = [f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{recipient}>" for recipient in one.recipients), "DATA"]
    return all(said(session, line) for line in lines)


def one_round(bed: Bed, number: int, chance: random.Random) -> list[Posted]:
    """Everything that was sent until the container was killed under it."""
    senders = [Sender(f"{number}-{count}", f"{number}/{count}") for count in range(SENDERS)]
    halves: list[Posted] = []
    held: list[Session] = []
    if number % 2 == 0:
        composer = Sender(f"{number}-half", f"{number}/half")
        one = composer.compose()
        session = Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=ROUND_SECONDS)
        held.append(session)
        assert session.reply().startswith("220 ")
        assert said(session, "HELO client.example")
        assert envelope(session, one)
        raw = stuffed(one.content)
        session.send(raw[: len(raw) // 2])
        one.state = "half"
        halves.append(one)
    for sender in senders:
        sender.start()
    wanted = chance.randint(*ACCEPTED_A_ROUND)
    deadline = time.monotonic() + ROUND_SECONDS
    while sum(one.state == "accepted" for sender in senders for one in sender.posted) < wanted:
        assert time.monotonic() < deadline, f"round {number}: less than {wanted} messages were accepted"
        assert any(sender.is_alive() for sender in senders), [sender.posted[-1:] for sender in senders]
        time.sleep(0.002)
    time.sleep(chance.uniform(0, MOMENT_SECONDS))
    docker("kill", "-s", "KILL", bed.name)
    for sender in senders:
        sender.join(ROUND_SECONDS)
        assert not sender.is_alive(), f"round {number}: a session outlived its gateway"
    for session in held:
        session.__exit__()
    return [*halves, *(one for sender in senders for one in sender.posted)]


def missing(posted: list[Posted], arrived: dict[tuple[str, str], list[Delivery]]) -> list[tuple[str, str]]:
    return [
        (row, recipient)
        for one in posted
        if one.state == "accepted"
        for row in [row_of(Delivery("", "", "", one.content))]
        for recipient in one.recipients
        if (row, recipient) not in arrived
    ]


def test_no_accepted_message_is_lost_by_kill_9(
    bed: Bed, record_property: Callable[[str, object], None]
) -> None:
    """Kill every process of the gateway 20 times at random; compare what was accepted and what arrived.

    It proves that whenever the programs die, the next ones find every accepted message in the queue and
    deliver it whole, and that what was cut off within DATA never comes.  It does not prove that the queue is
    on the disk, for the kernel outlives the programs and remembers what they wrote: that is test_sync's part.
    """
    bed.wait_until_greeted(UP_SECONDS)
    chance = random.Random(20)
    posted: list[Posted] = []
    cut: dict[str, int] = {"half": 0, "ended": 0}
    for number in range(ROUNDS):
        these = one_round(bed, number, chance)
        posted += these
        for state in cut:
            cut[state] += any(one.state == state for one in these)
        docker("start", bed.name)
        bed.rejoin()
        bed.wait_until_greeted(UP_SECONDS)

    refused = [one for one in posted if one.answer[:1] in ("4", "5")]
    accepted = [one for one in posted if one.state == "accepted"]
    assert refused == []
    assert len(accepted) >= ACCEPTED_AT_LEAST
    assert cut["half"] >= INSIDE_DATA_AT_LEAST, cut
    assert cut["ended"] >= INSIDE_DATA_AT_LEAST, cut

    arrived: dict[tuple[str, str], list[Delivery]] = {}
    deadline = time.monotonic() + DELIVERED_SECONDS
    # The one more pulls qmail-send's trigger; doqueue tries again what met no back end.
    assert submit(message(f"{NAME}last"), "alice@example.test").startswith("250 ")
    while True:
        assert bed.inside("qmailctl", "doqueue")[0] == 0
        time.sleep(1)
        for delivery in bed.mailroom.take(lambda one: row_of(one).startswith(NAME)):
            arrived.setdefault((row_of(delivery), delivery.recipient), []).append(delivery)
        idle = bed.inside("/var/qmail/bin/qmail-qread")[1] == ""
        lost = missing(posted, arrived)
        if (idle and not lost) or time.monotonic() > deadline:
            break
    assert lost == [], f"{len(lost)} of {len(accepted)} accepted messages did not arrive"
    assert idle, "the queue does not become empty"

    sent = {row_of(Delivery("", "", "", one.content)): one for one in posted}
    spoiled, unfinished = [], []
    for (row, recipient), copies in arrived.items():
        if row == f"{NAME}last":
            continue
        one = sent[row]
        if one.state not in ("accepted", "ended"):
            unfinished.append((row, one.state))
        if recipient not in one.recipients:
            spoiled.append(f"{row} came to {recipient}")
        for copy in copies:
            arrival = Arrival(RECIPIENTS[recipient], recipient, SENDER, one.content)
            if (copy.backend, copy.sender) != (arrival.backend, SENDER):
                spoiled.append(f"{row} came to {copy}")
            difference = differences(arrival, copy.content)
            if difference:
                spoiled.append(f"{row} for {recipient}: {difference}")
    assert spoiled == []
    assert unfinished == [], "a message arrived whose end was never sent"
    record_property("accepted", len(accepted))
    record_property("copies that came more than once", sum(len(copies) > 1 for copies in arrived.values()))
    record_property("kills with half of a message sent", cut["half"])
    record_property("kills between final dot and reply", cut["ended"])


def test_a_message_whose_qmail_queue_is_killed_is_not_accepted_and_swept_out(bed: Bed) -> None:
    """The client gets 451; the file stays for 36 hours, as qmail-send cannot know that its writer is gone."""
    mess = bed.root / "var/qmail/queue/mess"
    before = {path for path in mess.rglob("*") if path.is_file()}
    sender = Sender("qmail-queue", "qmail-queue")
    one = sender.compose()
    with Session(STRANGER, GATEWAY_ADDRESS, timeout_seconds=ROUND_SECONDS) as session:
        assert session.reply().startswith("220 ")
        assert said(session, "HELO client.example")
        assert envelope(session, one)
        raw = stuffed(one.content)
        session.send(raw[: len(raw) // 2])
        queues = [pid for pid, program in bed.processes().items() if program == "qmail-queue"]
        assert len(queues) == 1
        os.kill(queues[0], signal.SIGKILL)
        session.send(raw[len(raw) // 2 :])
        assert session.reply().startswith("451 ")
    left = {path for path in mess.rglob("*") if path.is_file()} - before
    assert len(left) == 1

    def swept(hours: int) -> bool:
        """Return whether qmail-send's first look at the queue removes what was last read so long ago."""
        for path in left:
            os.utime(path, (time.time() - hours * 3600, path.stat().st_mtime))
        assert bed.inside("svc", "-t", "/service/qmail-send")[0] == 0
        deadline = time.monotonic() + SWEPT_SECONDS
        while any(path.exists() for path in left):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    assert not swept(35)
    assert swept(37)
    assert bed.mailroom.take(lambda delivery: row_of(delivery).startswith(NAME)) == []
