# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Continuous sessions that check every reply while a part is broken."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from support.conversations import HELO, SENDER
from support.gateway import GATEWAY_ADDRESS, matches
from support.smtp_client import Session

UNCERTAIN = "451 4.3.0 unable to check recipient"


def begun(who: str) -> Session:
    """Return a session that has said MAIL; closed early if the gateway does not take it."""
    session = Session(who, GATEWAY_ADDRESS, timeout_seconds=20)
    if session.reply().startswith("220 "):
        session.send(HELO.send + f"MAIL FROM:<{SENDER}>\r\n".encode())
        session.reply()
        session.reply()
    return session


def asked(session: Session, address: str) -> str:
    session.send(f"RCPT TO:<{address}>\r\n".encode())
    return session.reply()


def verdict(who: str, address: str) -> str:
    with begun(who) as session:
        return asked(session, address)


@dataclass(frozen=True)
class Allowed:
    """What may be said while a file is broken: a client, a recipient, and every permitted reply."""

    who: str
    address: str
    replies: tuple[str, ...]


class Watch(threading.Thread):
    """Hold continuous sessions; keep every reply that is not permitted."""

    def __init__(self, allowed: tuple[Allowed, ...]) -> None:
        super().__init__(daemon=True)
        self.allowed = allowed
        self.ended = threading.Event()
        self.wrong: list[str] = []
        self.asked = 0

    def run(self) -> None:
        while not self.ended.is_set():
            for one in self.allowed:
                try:
                    got = verdict(one.who, one.address)
                except OSError as error:
                    got = f"no session: {error}"
                self.asked += 1
                if not any(matches(reply, got) for reply in one.replies):
                    self.wrong.append(f"{one.who} asked for {one.address} and heard {got!r}")

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join(60)
