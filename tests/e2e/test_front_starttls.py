# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""STARTTLS on the gateway, beyond the rows of the table: what the log says, and a smtptls that is not there.

The table (tests/support/conversations.py) has a mail over TLS 1.3, one over 1.2, and an injection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from support.conversations import (
    GREETED,
    GREETED_TLS,
    GREETING,
    NOBODY,
    STRANGER,
    Step,
    command,
    mail,
    rcpt,
    starttls,
)
from support.gateway import GATEWAY_ADDRESS, Bed, matches
from support.smtp_client import Session
from support.waiting import eventually

LOG = "var/log/qmail/smtpd/current"
EHLO = "EHLO client.example"
EVENT_SECONDS = 60.0  # a bound for what never comes


@pytest.fixture(autouse=True)
def with_smtpfront(bed: Bed) -> None:
    if bed.front != "smtpfront":
        pytest.skip("tcpserver is the front")


def play(session: Session, steps: Sequence[Step]) -> None:
    for step in steps:
        session.send(step.send)
        for expected in step.replies:
            got = session.reply()
            assert matches(expected, got), (step.send, got)
        if step.secure:
            session.secure(step.secure)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_refused_recipient_is_in_the_log_with_its_tls(bed: Bed, version: str) -> None:
    unknown = f"nobody-tls-{version}@example.test"
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        play(session, (*starttls(version), mail(), rcpt(unknown, NOBODY)))
    line = (
        rf"not in validrcptto: {re.escape(unknown)} from \S+ at {STRANGER} id \S+ tls=TLSv{version}/[\w-]+\n"
    )
    log = bed.root / LOG
    eventually(lambda: re.search(line, log.read_text(errors="replace")), "the log says so", EVENT_SECONDS)


def test_without_smtptls_mail_comes_in_plain_text(bed: Bed) -> None:
    alice = rcpt("alice@example.test")
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        play(session, (*starttls("1.3"), mail()))
        assert bed.inside("svc", "-d", "/service/smtptls")[0] == 0
        try:
            eventually(
                lambda: ": down " in bed.inside("svstat", "/service/smtptls")[1], "it is down", EVENT_SECONDS
            )
            with Session(STRANGER, GATEWAY_ADDRESS) as plain:
                play(
                    plain,
                    (GREETING, command(EHLO, GREETED_TLS), command("STARTTLS", "454 4.7.0 *"), mail(), alice),
                )
            play(session, (alice,))  # a session with TLS goes on
        finally:
            bed.inside("svc", "-u", "/service/smtptls")
    eventually(lambda: offers(GREETED), "TLS is offered again", EVENT_SECONDS)


def offers(greeted: str) -> bool:
    with Session(STRANGER, GATEWAY_ADDRESS) as session:
        play(session, (GREETING,))
        session.send(f"{EHLO}\r\n".encode())
        return session.reply() == greeted
