# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A smtpfront that is broken into, before the real launcher and the real qmail-smtpd: it can only refuse.

The faults are built into the front itself (evilfront.c): nothing more is accepted, relayed or queued
unscanned.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.c_programs import TESTS
from support.smtp_dialogues import HELO, LETTER, MAIL, RCPT, RESET, rest, same
from support.smtpfront_programs import (
    OWN_USER,
    Gateway,
    Programs,
    compile_program,
    gateway,
    through_the_front,
    until,
    without_it,
)

WRAPPED = (
    "controls_badmailfrom",
    "controls_rcpthosts",
    "controls_validrcptto",
    "controls_rule",
    "link_send",
    "session_answered",
    "frontjail",
)
STRANGER, RELAY = "127.0.0.4", "127.0.0.3"
FOREIGN = b"RCPT TO:<x@elsewhere.example>\r\n"
DATA = b"DATA\r\n" + LETTER + b"QUIT\r\n"
Evil = Callable[..., "contextlib.AbstractContextManager[Gateway]"]


@pytest.fixture(scope="module")
def evil_programs(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    target = tmp_path_factory.mktemp("evil") / "smtpfront"
    target.parent.chmod(0o755)
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    port = f"-DRESOLVER_PORT={programs.resolver_port}"
    compile_program("smtpfront", target, port, *wraps, str(TESTS / "evilfront.c"))
    return replace(programs, front=target)


@pytest.fixture
def evil(evil_programs: Programs, tmp_path: Path) -> Evil:
    @contextlib.contextmanager
    def started(
        fault: str,
        smtptls_user: int | None = None,
        chain: list[str] | None = None,
        **environment: str,
    ) -> Iterator[Gateway]:
        launcher = {} if smtptls_user is None else {"-t": smtptls_user}
        environment = {"EVIL": fault, **environment}
        with gateway(
            evil_programs, tmp_path, environment=environment, launcher=launcher, chain=chain
        ) as made:
            yield made

    return started


def test_the_fault_build_without_a_fault_is_smtpfront(evil: Evil) -> None:
    with evil("") as gate:
        pieces = [HELO, MAIL, RCPT, DATA]
        heard = through_the_front(gate, pieces)
        (message,) = gate.messages()
        assert same(heard, without_it(gate, pieces)) and gate.messages() == [message]


def test_its_yes_to_every_address_is_no_acceptance(evil: Evil) -> None:
    with evil("yes") as gate:
        for mail, rcpt in (
            (MAIL, FOREIGN),
            (MAIL, b"RCPT TO:<nobody@example.com>\r\n"),
            (b"MAIL FROM:<bad@sender.example>\r\n", RCPT),
            (b"MAIL FROM:<x@evil.example>\r\n", RCPT),
        ):
            pieces = [HELO, mail, rcpt, DATA]
            heard = through_the_front(gate, pieces)
            assert gate.messages() == []
            assert same(heard, without_it(gate, pieces)), (heard, mail, rcpt)
            assert re.search(rb"250 ok\r\n5[0-9][0-9] ", heard) and gate.messages() == []
        assert gate.heard().count("smtplaunch: ok ") == 4  # it did hand them over


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (STRANGER, "it has said nothing and may not relay"),
        ("127.9.9.9", "it has said nothing and may not relay"),
        ("127.0.0.2", "the rule denies it"),
        ("127.0.0.5", "the rule refuses it"),
        ("127.0.0.6", "the rule refuses it"),
    ],
)
def test_its_word_that_everybody_may_relay_relays_nothing(evil: Evil, source: str, why: str) -> None:
    with evil("relay") as gate:
        heard = through_the_front(gate, [HELO, MAIL, FOREIGN, DATA], source)
        assert heard.removesuffix(RESET) == b""
        until(lambda: f"smtplaunch: refused {source} {why}\n" in gate.heard())
        assert "smtplaunch: ok " not in gate.heard() and gate.messages() == []


def test_two_clients_that_are_swapped_relay_nothing_unscanned(evil: Evil) -> None:
    """The relay client is served as the stranger, without RELAYCLIENT and with the service's own queue."""
    with evil("swap") as gate:
        relay, stranger = gate.connect(RELAY), gate.connect(STRANGER)
        stranger.sendall(HELO + MAIL + RCPT + b"DATA\r\n" + LETTER)
        until(lambda: "smtplaunch: ok " in gate.heard())
        relay.sendall(MAIL + FOREIGN + b"QUIT\r\n")
        heard = rest(relay)
        assert heard.startswith(b"250 ok\r\n354 ") and re.search(rb"\r\n55[0-9] .*rcpthosts", heard), heard
        rest(stranger)
        assert f"smtplaunch: refused {STRANGER} it has said nothing and may not relay" in gate.heard()
        (message,) = gate.messages()
        assert message.recipients == [b"Tann@example.com"]
        assert "RELAYCLIENT" not in message.environment
        assert message.environment["QMAILQUEUE"] == str(gate.queue)


@pytest.mark.parametrize("source", [STRANGER, RELAY])
def test_a_forged_foreign_envelope_is_refused(evil: Evil, source: str) -> None:
    with evil("foreign") as gate:
        heard = through_the_front(gate, [HELO, MAIL, RCPT, DATA], source)
        assert re.search(rb"55[0-9] .*rcpthosts", heard) and b"354" not in heard, heard
        assert gate.messages() == []


@pytest.mark.parametrize("source", [STRANGER, RELAY])
def test_a_forged_envelope_is_scanned_as_a_strangers(evil: Evil, source: str) -> None:
    with evil("ours") as gate:
        through_the_front(gate, [HELO, MAIL, RCPT, DATA], source)
        (message,) = gate.messages()
        assert message.sender == b"Fboss@example.com"
        assert "RELAYCLIENT" not in message.environment
        assert message.environment["QMAILQUEUE"] == str(gate.queue)
        assert message.environment["TCPREMOTEIP"] == source


@pytest.mark.parametrize("user", [None, OWN_USER + 1])
@pytest.mark.parametrize("source", [STRANGER, RELAY])
def test_only_smtptls_makes_sessions_with_tls(evil: Evil, source: str, user: int | None) -> None:
    with evil("secured-ours", user) as gate:
        heard = through_the_front(gate, [HELO, MAIL, RCPT, DATA], source)
        assert b"354" not in heard and gate.messages() == []
        until(lambda: f"smtplaunch: refused {source} no session of smtptls\n" in gate.heard())


def test_a_relay_client_has_said_something_before_it_has_tls(evil: Evil) -> None:
    with evil("secured", OWN_USER) as gate:
        through_the_front(gate, [HELO, MAIL, FOREIGN, DATA], RELAY)
        until(lambda: f"smtplaunch: refused {RELAY} it has TLS and has said nothing\n" in gate.heard())
        assert "smtplaunch: ok " not in gate.heard() and gate.messages() == []


@pytest.mark.parametrize("source", [STRANGER, RELAY])
def test_forged_sessions_with_tls_relay_nothing_unscanned(evil: Evil, source: str) -> None:
    with evil("secured-foreign", OWN_USER) as gate:
        through_the_front(gate, [HELO, MAIL, RCPT, DATA], source)
        until(lambda: f"rcpthosts: x@elsewhere.example from boss@example.com at {source} " in gate.heard())
        assert gate.messages() == []


@pytest.mark.parametrize("source", [STRANGER, RELAY])
def test_a_forged_message_with_tls_is_scanned_as_a_strangers(evil: Evil, source: str) -> None:
    with evil("secured-ours", OWN_USER) as gate:
        through_the_front(gate, [HELO, MAIL, RCPT, DATA], source)
        until(lambda: list(gate.capture.glob("*.environment")))
        (message,) = gate.messages()
        assert "RELAYCLIENT" not in message.environment
        assert message.environment["QMAILQUEUE"] == str(gate.queue)
        assert message.environment["TCPREMOTEIP"] == source


# --- the socket of a client that may relay ---

WAIT = 'while [ ! -e go ]; do sleep 0.01; done; exec "$0"'  # until then the session has not begun
BEGUN = ["/bin/sh", "-c", WAIT]
BODY = MAIL + FOREIGN + DATA  # of a message that somebody has a relay client pass on


def begin(gate: Gateway, what: str) -> None:
    """Let qmail-smtpd begin once the front has done that."""
    until(lambda: f"evil {what}: done" in gate.heard())
    (gate.directory / "go").touch()


def relays_nothing(gate: Gateway, spoken: socket.socket) -> None:
    """Check it without waiting for the end of the connection, as the front keeps its duplicate."""
    said = f"qmail-smtpd: client trouble: somebody else takes part in the session of {RELAY} id "
    until(lambda: said in gate.heard())
    until(lambda: re.search(r"smtplaunch: end [0-9]+ status [1-9]", gate.heard()))
    spoken.setblocking(False)
    heard = b""
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while block := spoken.recv(65536):
            heard += block
    assert re.fullmatch(rb"(220 [^\r]*\r\n)?", heard) and gate.messages() == []


@pytest.mark.parametrize("text", [HELO + BODY, b"EHLO x\r\n"])
def test_somebody_else_at_the_socket_of_a_relay_client_relays_nothing(evil: Evil, text: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as attacker:
        attacker.settimeout(60)
        address, port = attacker.getsockname()
        with evil("reconnect", chain=BEGUN, EVIL_ADDRESS=address, EVIL_PORT=str(port)) as gate:
            with gate.connect(RELAY):
                spoken, _peer = attacker.accept()
            spoken.settimeout(60)
            spoken.sendall(text)
            begin(gate, "meddles")
            relays_nothing(gate, spoken)


def test_a_line_that_a_relay_client_loses_makes_no_commands_of_its_message(evil: Evil) -> None:
    with evil("steal", chain=BEGUN) as gate:
        client = gate.connect(RELAY)
        client.sendall(b"DATA\r\n" + BODY)
        begin(gate, "meddles")
        relays_nothing(gate, client)


def test_an_answer_in_place_of_qmail_smtpd_makes_no_commands_of_a_message(evil: Evil) -> None:
    with evil("forge", chain=BEGUN) as gate:
        client = gate.connect(RELAY)
        begin(gate, "meddles")
        assert client.recv(100).startswith(b"354 go ahead\r\n")
        client.sendall(BODY)
        relays_nothing(gate, client)


def test_a_stranger_s_socket_connected_to_a_relay_client_relays_nothing(evil: Evil) -> None:
    with socket.create_server((RELAY, 0)) as other:
        other.settimeout(60)
        address, port = other.getsockname()
        with evil("port", EVIL_ADDRESS=address, EVIL_PORT=str(port)) as gate:
            with gate.connect(STRANGER) as client:
                client.sendall(HELO + MAIL + RCPT)
                spoken, _from = other.accept()
            spoken.settimeout(60)
            with contextlib.suppress(OSError):
                spoken.sendall(BODY)
            assert rest(spoken).removesuffix(RESET) == b""
            # The kernel has given the socket another local port.
            until(lambda: f"smtplaunch: refused {RELAY} nobody listens at the port that" in gate.heard())
            assert "smtplaunch: ok " not in gate.heard() and gate.messages() == []


TRIES = {
    "fork": "Operation not permitted",
    "spawn": "Operation not permitted",
    "execve": "Operation not permitted",
    "execveat": "Operation not permitted",
    "read the program": "Permission denied",
    "write a file": "Permission denied",
    "signal its parent": "Operation not permitted",
    "trace its parent": "Operation not permitted",
}


@pytest.mark.parametrize("fault", ["execute", "unconfined"])
def test_it_can_run_no_program_and_reach_no_queue(evil: Evil, tmp_path: Path, fault: str) -> None:
    """Without the confinement the same tries succeed: the test sees them."""
    ran, written = tmp_path / "capture" / "ran", tmp_path / "capture" / "written"
    program = tmp_path / "qmail-queue"
    program.write_text(f"#!/bin/sh\n: >{ran}\n")
    program.chmod(0o755)
    with evil(fault, EVIL_PROGRAM=str(program), EVIL_FILE=str(written)) as gate:
        heard = through_the_front(gate, [HELO, MAIL, RCPT, DATA])
        assert b"250 ok TIME" in heard
        (message,) = gate.messages()
        assert message.environment["QMAILQUEUE"] == str(gate.queue)
        expected = ("fork", "spawn", "write a file") if fault == "unconfined" else tuple(TRIES)
        until(lambda: all(f"evil {name}: " in gate.heard() for name in expected))  # its log may lag
        said = dict(re.findall(r"evil ([a-z ]+): (.*)", gate.heard()))
    if fault == "unconfined":
        assert said["fork"] == said["spawn"] == said["write a file"] == "done"
        assert ran.exists() and written.exists()
        return
    assert said == TRIES
    assert not ran.exists() and not written.exists()
