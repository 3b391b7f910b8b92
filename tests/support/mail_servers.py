# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail servers behind the gateway: they keep what arrives, byte for byte, and can be told to refuse."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

SIZE_LIMIT_BYTES = 40_000_000
LINE_LIMIT_BYTES = 4_000_000


@dataclass(frozen=True)
class Delivery:
    """What one recipient got: a message for two recipients is two deliveries, however it was sent."""

    backend: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)
    tls: str = ""  # the version, or "" for plain text


class Mailroom:
    """Everything that arrived at any back end, until somebody claims it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._unclaimed: list[Delivery] = []

    def put(self, delivery: Delivery) -> None:
        with self._changed:
            self._unclaimed.append(delivery)
            self._changed.notify_all()

    def claim(self, wanted: Callable[[Delivery], bool], within_seconds: float) -> Delivery | None:
        """Take out the first delivery that is wanted, waiting for it."""
        deadline = time.monotonic() + within_seconds
        with self._changed:
            while True:
                for delivery in self._unclaimed:
                    if wanted(delivery):
                        self._unclaimed.remove(delivery)
                        return delivery
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)

    def take(self, wanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take out every delivery that is wanted and here already, in the order in which they came."""
        with self._changed:
            taken = [delivery for delivery in self._unclaimed if wanted(delivery)]
            self._unclaimed = [delivery for delivery in self._unclaimed if not wanted(delivery)]
            return taken

    def unclaimed(self) -> list[Delivery]:
        with self._changed:
            return list(self._unclaimed)


class _PatientSMTP(SMTP):
    line_length_limit = LINE_LIMIT_BYTES


class _QuietController(Controller):
    def factory(self) -> SMTP:
        return _PatientSMTP(self.handler, **self.SMTP_kwargs)


class Backend:
    """An SMTP server at address:port that keeps what it gets in `mailroom` under its `name`."""

    def __init__(self, name: str, address: str, port: int, mailroom: Mailroom) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.mailroom = mailroom
        self.refuse = ""  # a reply such as "451 not now" given to every message instead of taking it
        self.refuse_recipients: dict[str, str] = {}  # the same for single recipients, at RCPT
        self.refused = 0
        self.delay_seconds = 0.0  # how long it thinks before it answers a message
        self.endless = False  # whether its reply to RCPT has no last line
        self.at_once = self.most_at_once = 0  # messages that it thinks about
        self.certificate: Path | None = None  # with its key; from the next start on STARTTLS is offered
        self._controller: _QuietController | None = None

    @property
    def up(self) -> bool:
        return self._controller is not None

    def start(self) -> None:
        self._controller = _QuietController(
            self,
            hostname=self.address,
            port=self.port,
            server_hostname=f"{self.name}.example",
            ident="back end",
            data_size_limit=SIZE_LIMIT_BYTES,
            decode_data=False,
            enable_SMTPUTF8=False,
            tls_context=self._tls_context(),
        )
        self._controller.start()

    def _tls_context(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        return context

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        while self.endless and server.transport and not server.transport.is_closing():
            await server.push("250-and")
            await asyncio.sleep(0.1)
        if address in self.refuse_recipients:
            self.refused += 1
            return self.refuse_recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.delay_seconds:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(self.delay_seconds)
            self.at_once -= 1
        if self.refuse:
            self.refused += 1
            return self.refuse
        content = bytes(envelope.original_content or b"")
        sender = envelope.mail_from or ""
        tls = session.ssl["ssl_object"].version() if session.ssl else ""
        for recipient in envelope.rcpt_tos:
            self.mailroom.put(Delivery(self.name, "" if sender == "<>" else sender, recipient, content, tls))
        return "250 kept"
