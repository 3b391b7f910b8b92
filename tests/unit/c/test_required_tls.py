# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail that is taken over TLS only, in smtpfront and in the real qmail-smtpd, with the real smtptls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.smtpfront_programs import OWN_USER, Gateway, Programs, gateway
from support.smtptls import SmtpTls
from support.starttls import Client, SmtpdSession, letter

STRANGER, RELAY = "127.0.0.4", "127.0.0.3"
FILE = "sender bank.example\nrecipient .sub.example\nrecipient open.example\nclient 127.0.0.8\n"
LETTER = b"Subject: x\r\n\r\nA letter.\r\n.\r\n"
TAKEN = "250 ok"
OF_SENDER = "451 4.7.10 mail from your domain is taken over TLS only, please use STARTTLS"
FOR_RECIPIENT = "451 4.7.10 mail to this domain is taken over TLS only, please use STARTTLS"
OF_CLIENT = "451 4.7.10 mail of your host is taken over TLS only, please use STARTTLS"
UNSURE = "451 4.3.0 unable to check recipient"
# client, sender, recipient, and the reply in plain text
CASES = [
    (STRANGER, "a@other.example", "ann@example.com", TAKEN),
    (STRANGER, "a@BANK.example", "ann@example.com", OF_SENDER),
    (STRANGER, "a@other.example", "x@open.example", FOR_RECIPIENT),
    ("127.0.0.8", "a@other.example", "ann@example.com", OF_CLIENT),
    (RELAY, "a@bank.example", "anybody@else.example", OF_SENDER),
    (RELAY, "a@other.example", "anybody@else.example", TAKEN),
]


@pytest.fixture(scope="module")
def gate(programs: Programs, tls: SmtpTls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gate")
    options = {"front": {"-T": tls.socket}, "launcher": {"-t": OWN_USER}}
    with gateway(programs, directory, **options, environment={"SMTPTLS": str(tls.socket)}) as one:
        yield one


@pytest.fixture
def required(gate: Gateway) -> Iterator[Path]:
    gate.write_control("requiretls", FILE)
    yield gate.control / "requiretls"
    (gate.control / "requiretls").unlink(missing_ok=True)


@contextlib.contextmanager
def by_the_front(gate: Gateway, client: str) -> Iterator[Client]:
    one = Client(gate.connect(client))
    assert one.reply().startswith("220 ")
    yield one
    one.close()


@contextlib.contextmanager
def by_qmail_smtpd(gate: Gateway, client: str) -> Iterator[Client]:
    more = {"RELAYCLIENT": ""} if client == RELAY else {}
    with SmtpdSession(gate, TCPREMOTEIP=client, **more) as session:
        yield session.client


Way = Callable[[Gateway, str], AbstractContextManager[Client]]
WAYS = pytest.mark.parametrize("way", [by_the_front, by_qmail_smtpd])


def asked(client: Client, sender: str, recipient: str) -> str:
    assert client.say("EHLO client.example").startswith("250-")
    assert client.say(f"MAIL FROM:<{sender}>") == TAKEN
    return client.say(f"RCPT TO:<{recipient}>")


@WAYS
@pytest.mark.parametrize(("client", "sender", "recipient", "reply"), CASES)
@pytest.mark.usefixtures("required")
def test_who_is_put_off_in_plain_text_is_served_over_tls(
    gate: Gateway, way: Way, client: str, sender: str, recipient: str, reply: str
) -> None:
    with way(gate, client) as one:
        assert asked(one, sender, recipient) == reply
    with way(gate, client) as one:
        one.starttls()
        assert one.say("EHLO client.example").startswith("250-")
        assert letter(one, LETTER, recipient, sender).startswith("250 ok ")
    assert len(gate.messages()) == 1


@WAYS
def test_a_session_goes_on_behind_a_recipient_that_is_put_off(
    gate: Gateway, required: Path, way: Way
) -> None:
    assert required.exists()
    with way(gate, STRANGER) as one:
        assert asked(one, "a@other.example", "x@open.example") == FOR_RECIPIENT
        assert one.say("RCPT TO:<ann@example.com>") == TAKEN
        assert one.say("RCPT TO:<y@open.example>") == FOR_RECIPIENT
        assert one.say("RSET") == "250 flushed"
        assert one.say("MAIL FROM:<a@bank.example>") == TAKEN
        assert one.say("RCPT TO:<ann@example.com>") == OF_SENDER


@WAYS
def test_a_file_that_cannot_be_used_puts_off_plain_text_alone(
    gate: Gateway, required: Path, way: Way
) -> None:
    for text in ("sender bank.example\nsendr x.example", "x" * 70000):
        gate.write_control("requiretls", text)
        with way(gate, STRANGER) as one:
            assert asked(one, "a@other.example", "ann@example.com") == UNSURE
        with way(gate, STRANGER) as one:
            one.starttls()
            assert asked(one, "a@other.example", "ann@example.com") == TAKEN
    required.unlink()
    with way(gate, STRANGER) as one:
        assert asked(one, "a@bank.example", "ann@example.com") == TAKEN


@pytest.mark.usefixtures("required")
def test_the_log_says_who_asks_for_tls(gate: Gateway) -> None:
    with by_the_front(gate, STRANGER) as one:
        asked(one, "a@bank.example", "ann@example.com")
    with SmtpdSession(gate, TCPREMOTEIP=STRANGER) as session:
        asked(session.client, "a@bank.example", "ann@example.com")
        session.client.close()
        said = session.ended()
    line = (
        "qmail-smtpd: rcpt refused: no-tls-of-sender for ann@example.com from a@bank.example at 127.0.0.4 id "
    )
    assert line in gate.heard()
    assert any(one.startswith(line) for one in said)
