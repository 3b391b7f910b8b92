# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A qmail-smtpd whose environment has lost QMAILQUEUE scans all the same; the other programs do not."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.conversations import EICAR, SENDER, STRANGER, message
from support.gateway import Bed, netqmail_kind
from support.smtp_client import stuffed

QUEUE = "/var/qmail/bin/qmail-queue"
VIRUS = "554 Your email was rejected because it contains the "
INFECTED = message("no-queue-infected", EICAR + b"\r\n")


def heard(gateway: str, content: bytes, queue: str | None) -> str:
    """Return the reply to a message in a session with this QMAILQUEUE, or without any."""
    environment = {"PROTO": "TCP", "TCPREMOTEIP": STRANGER, "TCPLOCALIP": "198.18.0.1"}
    if queue is not None:
        environment["QMAILQUEUE"] = queue
    settings = [word for item in environment.items() for word in ("-e", "=".join(item))]
    dialogue = f"HELO x\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n".encode("ascii")
    done = subprocess.run(
        ["docker", "exec", "-i", "-u", "qmaild", *settings, gateway, "/var/qmail/bin/qmail-smtpd"],
        input=dialogue + stuffed(content) + b"QUIT\r\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.decode("latin-1").split("\r\n")
    return lines[lines.index("354 go ahead") + 1]


@pytest.fixture(autouse=True)
def real(gateway: str, bed: Bed) -> None:
    if netqmail_kind(gateway) != "source":
        pytest.skip("only with the real netqmail, whose patch this is of")


@pytest.mark.patch("96-default-queue")
@pytest.mark.parametrize("queue", [None, ""])
def test_without_qmailqueue_mail_is_scanned(gateway: str, bed: Bed, queue: str | None) -> None:
    assert heard(gateway, INFECTED, queue).startswith(VIRUS)
    assert heard(gateway, message("no-queue-clean"), queue).startswith("250 ok ")
    arrived = bed.mailroom.claim(lambda one: b"X-Row: no-queue-clean" in one.content, 20)
    assert arrived is not None
    assert b"X-Spam-" in arrived.content
    assert bed.mailroom.take(lambda one: b"X-Row: no-queue-infected" in one.content) == []


@pytest.mark.patch("96-default-queue")
@pytest.mark.parametrize("queue", [None, ""])
def test_without_a_scanner_mail_is_put_off(gateway: str, bed: Bed, queue: str | None) -> None:
    scanner = bed.root / "var/qmail/bin/simscan"
    aside = scanner.with_name("simscan.aside")
    os.rename(scanner, aside)
    try:
        assert heard(gateway, message("no-scanner"), queue) == "451 unable to exec qq (#4.3.0)"
    finally:
        os.rename(aside, scanner)


def test_who_names_another_program_gets_it(gateway: str, bed: Bed) -> None:
    """The site's explicit rule for relay clients whose mail is not scanned."""
    assert heard(gateway, INFECTED, QUEUE).startswith("250 ok ")
    arrived = bed.mailroom.claim(lambda one: b"X-Row: no-queue-infected" in one.content, 20)
    assert arrived is not None


def test_mail_of_the_host_itself_is_queued_as_before(bed: Bed) -> None:
    """qmail-inject shares the code, but not the default."""
    status, _, error = bed.inside("sendmail", "carol@example.org", text=message("inject").decode("ascii"))
    assert (status, error) == (0, "")
    arrived = bed.mailroom.claim(lambda one: b"X-Row: inject" in one.content, 20)
    assert arrived is not None
    assert b"X-Spam-" not in arrived.content
