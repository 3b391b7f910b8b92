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
    def started(fault: str, smtptls_user: int | None = None, **environment: str) -> Iterator[Gateway]:
        launcher = {} if smtptls_user is None else {"-t": smtptls_user}
        environment = {"EVIL": fault, **environment}
        with gateway(evil_programs, tmp_path, environment=environment, launcher=launcher) as made:
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
