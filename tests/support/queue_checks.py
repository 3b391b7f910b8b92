# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a gateway's queue: waiting messages, complete arrivals, bounces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.conversations import HOSTNAME, LOOPBACK, SENDER, Arrival, message
from support.gateway import Bed, differences, row_of, submit
from support.mail_servers import Delivery
from support.waiting import SOON_SECONDS, eventually

GOOD, OTHER, FOREIGN = "alice@example.test", "bob@example.test", "carol@example.org"
DOUBLE_BOUNCE = "#@[]"
QUIET_SECONDS = 1.5  # a delivery that is due takes some hundredths


def qmailctl(bed: Bed, word: str) -> str:
    """Return the output of a subcommand of qmailctl that must end with 0."""
    status, output, error = bed.inside("qmailctl", word)
    assert (status, error) == (0, ""), f"qmailctl {word} ended with {status}: {error!r}"
    return output


def waiting(bed: Bed) -> list[str]:
    """Return the lines of qmail-qread: one with the sender for each message, one for each recipient."""
    return bed.inside("/var/qmail/bin/qmail-qread")[1].splitlines()


def drain(bed: Bed) -> None:
    """Have all of the queue delivered, and forget what has arrived."""
    qmailctl(bed, "doqueue")
    eventually(lambda: waiting(bed) == [], "the queue is empty")
    bed.mailroom.take(lambda one: True)


def accepted(name: str, *recipients: str, sender: str = SENDER, who: str = LOOPBACK) -> bytes:
    content = message(name)
    got = submit(content, *recipients, sender=sender, who=who)
    assert got.startswith("250 ok "), f"heard {got!r}; expected the message to be accepted"
    return content


def whole(bed: Bed, backend: str, recipient: str, content: bytes, sender: str = SENDER) -> None:
    """Check that the message arrives once, byte for byte."""
    name = row_of(Delivery("", "", "", content))

    def wanted(delivery: Delivery) -> bool:
        return (delivery.backend, delivery.recipient, delivery.sender, row_of(delivery)) == (
            backend,
            recipient,
            sender,
            name,
        )

    delivery = bed.mailroom.claim(wanted, SOON_SECONDS)
    assert delivery is not None, f"{name} did not arrive at {backend} for {recipient}"
    assert differences(Arrival(backend, recipient, sender, content), delivery.content) == ""
    assert bed.mailroom.claim(wanted, 0) is None, f"{name} arrived twice"


def bounce(bed: Bed, backend: str, to: str, sender: str = "") -> str:
    """Return the text of the failure notice that arrives at `backend` for `to`."""
    delivery = bed.mailroom.claim(
        lambda one: (one.backend, one.recipient, one.sender) == (backend, to, sender), SOON_SECONDS
    )
    arrived = bed.mailroom.unclaimed()
    assert delivery is not None, f"no bounce arrived at {backend} for {to}, but {arrived}"
    text = delivery.content.decode("latin-1")
    assert f"From: MAILER-DAEMON@{HOSTNAME}\r\n" in text
    assert "Subject: failure notice\r\n" in text
    return text


def nothing_comes(bed: Bed) -> None:
    time.sleep(QUIET_SECONDS)
    assert bed.mailroom.unclaimed() == []


@contextmanager
def changed(path: Path, content: str) -> Iterator[None]:
    """Give the file `content` meanwhile; a file that did not exist is removed at the end."""
    kept = path.read_bytes() if path.exists() else None
    path.write_text(content, encoding="ascii")
    try:
        yield
    finally:
        if kept is None:
            path.unlink()
        else:
            path.write_bytes(kept)
