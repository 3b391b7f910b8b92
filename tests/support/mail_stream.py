# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that bring mail all the time, each message until it is accepted (RFC 5321, 4.5.4.1)."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.conversations import LOOPBACK, OFFICE, SENDER, STRANGER, A, B, message
from support.gateway import GATEWAY_ADDRESS
from support.smtp_client import CLOSED, SILENT, Session, stuffed

NAME = "upgrade-"
CLIENTS = (STRANGER, OFFICE, LOOPBACK)
RECIPIENTS: Mapping[str, str] = {"alice@example.test": A, "bob@example.test": A, "carol@example.org": B}
PAUSE_SECONDS = 0.4
RETRY_SECONDS = 0.5
ANSWER_SECONDS = 60.0
GIVE_UP_SECONDS = 120.0

ACCEPTED, LATER, REFUSED, UNKNOWN = "accepted", "later", "refused", "unknown"


@dataclass
class Message:
    """One message and what became of each attempt; "unknown" when no reply came behind the final dot."""

    name: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    who: str = STRANGER
    verdicts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        return ACCEPTED in self.verdicts

    @property
    def may_come_twice(self) -> bool:
        """True if the gateway may have accepted the message without the client getting the reply."""
        return UNKNOWN in self.verdicts


def compose(name: str, chance: random.Random, who: str) -> Message:
    lines = (chance.randbytes(30).hex() for _ in range(chance.choice((1, 20, 700))))
    recipients = tuple(chance.sample(sorted(RECIPIENTS), chance.choice((1, 1, 2, 3))))
    return Message(name, recipients, message(name, "".join(f"{line}\r\n" for line in lines).encode()), who)


def judge(reply: str) -> str:
    """Return what a reply before the final dot means for the message."""
    if reply in (CLOSED, SILENT) or reply.startswith(("4", "220 closing")):
        return LATER
    return "" if reply.startswith(("2", "3")) else REFUSED


class Client:
    """Hold one session; a step that fails ends it."""

    def __init__(self, one: Message) -> None:
        self.one = one
        target = LOOPBACK if one.who == LOOPBACK else GATEWAY_ADDRESS
        self.session = Session(one.who, target, timeout_seconds=ANSWER_SECONDS)
        self.reply = self.session.reply()

    def say(self, line: str) -> str:
        """Send a line; return the verdict, or "" to go on."""
        verdict = judge(self.reply)
        if not verdict:
            self.session.send(f"{line}\r\n".encode("ascii"))
            self.reply = self.session.reply()
            verdict = judge(self.reply)
        return verdict

    def envelope(self) -> str:
        lines = ["HELO client.example", f"MAIL FROM:<{SENDER}>"]
        lines += [f"RCPT TO:<{recipient}>" for recipient in self.one.recipients]
        return next((verdict for verdict in map(self.say, lines) if verdict), "")

    def end(self) -> str:
        """Send the final dot; return the verdict."""
        self.reply = self.session.reply()
        if self.reply.startswith("250 "):
            self.session.send(b"QUIT\r\n")
            self.session.reply()
            return ACCEPTED
        if self.reply in (CLOSED, SILENT):
            return UNKNOWN
        return judge(self.reply) or REFUSED

    def whole(self) -> str:
        verdict = self.envelope() or self.say("DATA")
        if not verdict:
            self.session.send(stuffed(self.one.content))
            verdict = self.end()
        return verdict


def attempt(one: Message) -> None:
    try:
        client = Client(one)
    except OSError as error:  # nobody listens just now
        verdict, words = LATER, str(error)
    else:
        with client.session:
            verdict, words = client.whole(), client.reply
    one.verdicts.append(verdict)
    one.words.append(words)


def bring(one: Message) -> None:
    """Try until it is accepted, or refused permanently, or a client would lose patience."""
    begin = time.monotonic()
    while True:
        attempt(one)
        one.seconds = time.monotonic() - begin
        if one.verdicts[-1] in (ACCEPTED, REFUSED) or one.seconds > GIVE_UP_SECONDS:
            return
        time.sleep(RETRY_SECONDS)


class Stream:
    """A thread for each client; end() lets each finish its last message."""

    def __init__(self, seed: str) -> None:
        self._over = threading.Event()
        self.seed = seed
        self.messages: list[Message] = []
        self.threads = [threading.Thread(target=self._run, args=(who,), daemon=True) for who in CLIENTS]
        for thread in self.threads:
            thread.start()

    def _run(self, who: str) -> None:
        chance = random.Random(f"{self.seed} {who}")
        number = 0
        while not self._over.is_set():
            number += 1
            one = compose(f"{NAME}{who}-{number}-{chance.getrandbits(64):016x}", chance, who)
            self.messages.append(one)
            bring(one)
            self._over.wait(PAUSE_SECONDS)

    def end(self) -> list[Message]:
        self._over.set()
        for thread in self.threads:
            thread.join(GIVE_UP_SECONDS + ANSWER_SECONDS)
            assert not thread.is_alive(), "a client does not come to an end"
        return self.messages

    def told(self) -> str:
        """Return one line about what the clients saw."""
        verdicts = Counter(verdict for one in self.messages for verdict in one.verdicts)
        slowest = max(one.seconds for one in self.messages)
        counted = ", ".join(f"{number} {word}" for word, number in sorted(verdicts.items()))
        return f"{len(self.messages)} messages, {counted}; the slowest was accepted after {slowest:.1f} s"
