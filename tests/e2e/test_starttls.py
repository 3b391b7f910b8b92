# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay client over TLS: handed over before it says anything, it is offered STARTTLS by qmail-smtpd."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.conversations import LOOPBACK, OFFICE, PLAIN_TEXT, SENDER, message
from support.gateway import Bed, row_of
from support.smtp_client import stuffed
from support.starttls import Client, connected, letter
from support.waiting import eventually

PATCH = pytest.mark.patch("99-starttls")
NAME = "starttls-relay"
DELIVERED_SECONDS = 60.0


@pytest.fixture
def client(bed: Bed) -> Iterator[Client]:
    with connected(LOOPBACK, LOOPBACK) as one:
        yield one


@PATCH
def test_a_relay_client_sends_over_tls(bed: Bed, client: Client) -> None:
    assert "STARTTLS" in client.say("EHLO client.example").split("\r\n250-")
    client.starttls()
    version, cipher = client.terms()
    assert "STARTTLS" not in client.say("EHLO client.example")
    assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")
    assert client.say("RCPT TO:<joe@foreign.example>").startswith("250 ")  # it relays as before
    assert client.say("RSET").startswith("250 ")
    assert letter(client, stuffed(message(NAME)), "alice@example.test", SENDER).startswith("250 ok ")
    delivery = bed.mailroom.claim(lambda one: row_of(one) == NAME, DELIVERED_SECONDS)
    assert delivery
    assert f" with ESMTPS ({version} {cipher} encrypted SMTP) (id ".encode() in delivery.content
    log = bed.root / "var/log/qmail/smtpd/current"
    who, terms = re.escape(f"accepted: from {SENDER} at {LOOPBACK} "), re.escape(f" tls={version}/{cipher}")
    accepted = f"{who}.*{terms}$"
    eventually(lambda: re.search(accepted, log.read_text(encoding="latin-1"), re.M), "the log says so")


@PATCH
def test_what_stands_behind_starttls_ends_the_session(bed: Bed, client: Client) -> None:
    client.send(b"STARTTLS\r\nMAIL FROM:<injected@client.example>\r\n")
    assert client.reply().startswith("421 4.7.0 ")
    assert client.rest() == b""


@pytest.mark.patch("99-tls-required")
def test_in_plain_text_it_is_put_off_by_qmail_smtpd_itself(bed: Bed) -> None:
    """Where its sender's mail is taken over TLS only; its session never was smtpfront's."""
    with connected(OFFICE, LOOPBACK) as client:
        for secure in (False, True):
            if secure:
                client.starttls()
            assert client.say("EHLO client.example").startswith("250-")
            assert client.say("MAIL FROM:<teller@bank.example>").startswith("250 ")
            reply = client.say("RCPT TO:<joe@foreign.example>")
            assert reply.startswith("250 ") if secure else reply == PLAIN_TEXT
            assert client.say("RSET").startswith("250 ")
