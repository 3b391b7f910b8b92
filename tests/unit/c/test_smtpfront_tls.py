# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""STARTTLS of smtpfront, with the real smtptls and with a played one, up to the mail in the queue."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.played_smtptls import PlayedSession, PlayedSmtpTls
from support.smtp_dialogues import HELO, LETTER, MAIL, RCPT, rest
from support.smtpfront_programs import NOBODY, OWN_USER, Gateway, Programs, gateway, until, without_it
from support.smtptls import SmtpTls, client_context

NAME = "mx.example.test"
READY = b"220 2.0.0 ready to start TLS\r\n"
NOT_NOW = b"454 4.7.0 TLS is not available now\r\n"
FOLLOWED = b"421 4.7.0 nothing may follow STARTTLS before its reply, goodbye\r\n"


Start = Callable[..., "tuple[Gateway, SmtpTls]"]


@pytest.fixture(scope="module")
def start_in(programs: Programs, tls_programs: tuple[Path, Path], certificates: Path) -> Start:
    def start(stack: contextlib.ExitStack, place: Path, *options: str) -> tuple[Gateway, SmtpTls]:
        place.chmod(0o755)
        tls = stack.enter_context(SmtpTls(tls_programs, place / "tls", certificates, *options))
        gate = stack.enter_context(
            gateway(programs, place, front={"-T": tls.socket}, launcher={"-t": OWN_USER})
        )
        return gate, tls

    return start


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, start_in: Start) -> Iterator[tuple[Gateway, SmtpTls]]:
    with contextlib.ExitStack() as stack:
        yield start_in(stack, tmp_path_factory.mktemp("gate"))


@pytest.fixture
def gate(both: tuple[Gateway, SmtpTls]) -> Gateway:
    return both[0]


@pytest.fixture
def start(tmp_path: Path, start_in: Start) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda *options: start_in(stack, tmp_path, *options)


@pytest.fixture
def played(programs: Programs, tmp_path: Path) -> Iterator[tuple[Gateway, PlayedSmtpTls]]:
    """Start a front with a played smtptls, whose pairs are made by the test's own user."""
    tmp_path.chmod(0o755)
    tls = PlayedSmtpTls(tmp_path / "tls")
    try:
        with gateway(programs, tmp_path, front={"-T": tls.socket}, launcher={"-t": os.geteuid()}) as made:
            yield made, tls
    finally:
        tls.stop()


def reply(client: socket.socket) -> bytes:
    """Return one whole reply, byte by byte, so that nothing behind it is taken."""
    heard = line = b""
    while not re.fullmatch(rb"[0-9]{3} .*\r\n", line, re.DOTALL):
        if line.endswith(b"\n"):
            heard, line = heard + line, b""
        byte = client.recv(1)
        if not byte:
            return heard + line
        line += byte
    return heard + line


def say(client: socket.socket, line: bytes) -> bytes:
    client.sendall(line)
    return reply(client)


def begun(gate: Gateway, source: str = "127.0.0.4") -> socket.socket:
    """Return a client that has said EHLO and is offered STARTTLS."""
    client = gate.connect(source)
    assert reply(client).startswith(b"220 ")
    assert b"\r\n250-STARTTLS\r\n" in say(client, HELO)
    return client


def secured(gate: Gateway, source: str = "127.0.0.4", version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    client = begun(gate, source)
    assert say(client, b"STARTTLS\r\n") == READY
    return client_context(version=version).wrap_socket(client, server_hostname=NAME)


def said_over(secure: ssl.SSLSocket, pieces: list[bytes]) -> bytes:
    heard = b"".join(say(secure, piece) for piece in pieces)
    secure.close()
    return re.sub(rb"250 ok [0-9]+ qp [0-9]+(?: id [0-9a-z.]+)?", b"250 ok TIME qp PID", heard)


PIECES = [HELO, MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"]


# --- a mail over TLS ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_letter_passes_over_each_version(gate: Gateway, version: ssl.TLSVersion) -> None:
    secure = secured(gate, version=version)
    cipher = secure.cipher()
    assert cipher is not None
    heard = said_over(secure, PIECES)
    assert b"STARTTLS" not in heard
    assert heard.endswith(b"250 ok\r\n250 ok\r\n354 go ahead\r\n250 ok TIME qp PID\r\n221 mx.test\r\n")
    (message,) = gate.messages()
    assert (message.sender, message.recipients) == (b"Fsender@client.example", [b"Tann@example.com"])
    environment = message.environment
    names = ("TLS_VERSION", "TLS_CIPHER", "TLS_NAME")
    assert [environment[name] for name in names] == [cipher[1], cipher[0], NAME]
    assert environment["TCPREMOTEIP"] == "127.0.0.4" and environment["TCPLOCALPORT"] == str(gate.port)
    assert "RELAYCLIENT" not in environment and environment["QMAILQUEUE"] == str(gate.queue)


def test_a_letter_in_plain_text_passes_as_before_and_is_offered_tls(gate: Gateway) -> None:
    client = gate.connect()
    heard = b"".join([reply(client), *(say(client, piece) for piece in PIECES)])
    assert b"\r\n250-PIPELINING\r\n" in heard and b"\r\n250-STARTTLS\r\n" in heard
    (message,) = gate.messages()
    assert not any(name.startswith("TLS_") for name in message.environment)


def test_the_same_mail_arrives_byte_for_byte(gate: Gateway) -> None:
    letters = random.Random(3)
    lines = [letters.randbytes(letters.randrange(900)).translate(None, b"\r\n\0") for _number in range(900)]
    letter = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\n"
    pieces = [HELO, MAIL, RCPT, b"DATA\r\n", letter, b"QUIT\r\n"]
    assert b"250 ok TIME qp PID\r\n" in said_over(secured(gate), pieces)
    assert b"250 ok TIME qp PID\r\n" in without_it(gate, pieces)
    over_tls, plain = gate.messages()
    received = b" with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384 encrypted SMTP)"
    assert (
        over_tls.message.replace(received, b" with SMTP", 1) == plain.message and len(plain.message) > 300_000
    )
    assert (over_tls.sender, over_tls.recipients) == (plain.sender, plain.recipients)


def test_commands_in_one_piece_behind_the_handshake(gate: Gateway) -> None:
    secure = secured(gate)
    secure.sendall(HELO + MAIL + RCPT + b"DATA\r\n" + LETTER + b"QUIT\r\n")
    heard = rest(secure)
    assert heard.endswith(b"221 mx.test\r\n") and heard.count(b"\r\n250 ok ") == 1
    assert len(gate.messages()) == 1


def test_who_sends_its_last_bytes_and_ends_tls_is_served(gate: Gateway) -> None:
    secure = secured(gate)
    secure.sendall(HELO + MAIL + RCPT + b"DATA\r\n" + LETTER)
    with contextlib.suppress(OSError):
        secure.unwrap().close()
    until(lambda: list(gate.capture.glob("*.environment")))
    assert len(gate.messages()) == 1


def test_no_descriptor_of_a_session_stays_behind(start: Start) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root sees the descriptors of a process that hides its memory")
    gate, _tls = start()

    def descriptors() -> list[int]:
        return [len(os.listdir(f"/proc/{one.pid}/fd")) for one in (gate.front, gate.launcher)]

    assert b"221 " in said_over(secured(gate), [HELO, MAIL, RCPT, b"QUIT\r\n"])
    until(lambda: " end " in gate.heard())
    before = descriptors()
    for _number in range(12):
        said_over(secured(gate), [HELO, MAIL, RCPT, b"QUIT\r\n"])
        said_over(secured(gate), [HELO, b"QUIT\r\n"])
        begun(gate).close()
    # One of the first session may have been still open when it was counted.
    until(lambda: all(now <= then for now, then in zip(descriptors(), before)))


# --- what is forgotten, and what is not ---


def test_the_greeting_and_the_sender_from_before_are_forgotten(gate: Gateway) -> None:
    client = gate.connect()
    reply(client)
    assert b"250-STARTTLS\r\n" in say(client, b"EHLO before.example\r\n")
    say(client, b"MAIL FROM:<before@client.example>\r\n")
    say(client, b"RSET\r\n")
    assert say(client, b"STARTTLS\r\n") == READY
    secure = client_context().wrap_socket(client)
    assert say(secure, RCPT).startswith(b"503 5.5.1 MAIL first")
    assert b"250 ok TIME qp PID\r\n" in said_over(secure, [MAIL, RCPT, b"DATA\r\n", LETTER, b"QUIT\r\n"])
    (message,) = gate.messages()
    assert b"before" not in message.message and message.sender == b"Fsender@client.example"


def test_counts_go_on(gate: Gateway) -> None:
    unknown = b"RCPT TO:<nobody@example.com>\r\n"
    client = begun(gate)
    say(client, MAIL)
    heard = [say(client, unknown) for _number in range(6)]
    say(client, b"RSET\r\n")
    assert say(client, b"STARTTLS\r\n") == READY
    secure = client_context().wrap_socket(client)
    say(secure, MAIL)
    heard += [say(secure, unknown) for _number in range(4)]
    assert [line[:9] for line in heard] == 9 * [b"550 5.1.1"] + [b"421 4.7.0"]
    assert rest(secure) == b""
    token = rf" tls=TLSv1\.3/{secure.cipher()[0]}"  # type: ignore[index]
    until(lambda: re.search(rf"validrcptto: nobody@\S+ from \S+ at \S+ id \S+{token}\n", gate.heard()))
    until(lambda: re.search(rf"violations, hanging up on 127\.0\.0\.4 id \S+{token}\n", gate.heard()))


def test_refusals_before_tls_do_not_name_it(gate: Gateway) -> None:
    client = begun(gate, "127.0.0.8")
    say(client, MAIL)
    say(client, b"RCPT TO:<x@elsewhere.example>\r\n")
    client.close()
    until(lambda: re.search(r"rcpthosts: x@elsewhere\.example .* at 127\.0\.0\.8 ", gate.heard()))
    # sessions of other tests may still end
    assert not [one for one in gate.heard().splitlines() if "127.0.0.8" in one and "tls=" in one]


def test_where_starttls_is_out_of_place(gate: Gateway) -> None:
    client = begun(gate)
    assert say(client, b"STARTTLS now\r\n").startswith(b"501 5.5.4 ")
    say(client, MAIL)
    assert say(client, b"STARTTLS\r\n").startswith(b"503 5.5.1 ")
    say(client, b"RSET\r\n")
    assert say(client, b"starttls \r\n") == READY
    secure = client_context().wrap_socket(client)
    assert b"STARTTLS" not in say(secure, HELO)
    assert say(secure, b"STARTTLS\r\n").startswith(b"503 5.5.1 ")
    assert say(secure, MAIL) == b"250 ok\r\n"
    secure.close()


def test_a_front_without_smtptls_knows_no_starttls(programs: Programs, tmp_path: Path) -> None:
    with gateway(programs, tmp_path) as gate:
        client = gate.connect()
        reply(client)
        assert b"STARTTLS" not in say(client, HELO)
        assert say(client, b"STARTTLS\r\n") == b"502 5.5.1 unimplemented\r\n"
        client.close()


def test_a_new_network_is_greylisted_over_tls(gate: Gateway) -> None:
    heard = said_over(secured(gate, "127.9.2.3"), [HELO, MAIL, RCPT, b"QUIT\r\n"])
    assert b"451 4.7.1 you are new here" in heard
    new = r"smtpfront\[\w+\]: new 127\.9\.2\.3 127\.9\.2\.0/24 wait 1 tls=TLSv1\.3/TLS_\w+\n"
    until(lambda: re.search(new, gate.heard()))
    asked = r"asked 127\.9\.2\.3 sender@client\.example to ann@example\.com tls=TLSv1\.3/TLS_\w+\n"
    until(lambda: re.search(asked, gate.heard()))


def test_a_rule_refuses_over_tls(gate: Gateway) -> None:
    heard = said_over(secured(gate, "127.0.0.5"), [HELO, MAIL, RCPT, b"QUIT\r\n"])
    assert b"\r\n553 5.7.1 go away\r\n" in heard


# --- what comes before the handshake ---


def test_bytes_behind_starttls_end_the_session(gate: Gateway) -> None:
    before = len(gate.heard())
    for behind in (b"MAIL FROM:<injected@plain.example>\r\n", b"E", b"\r\n", b"\x16\x03\x01", 40 * HELO):
        client = begun(gate)
        client.sendall(b"STARTTLS\r\n" + behind)
        assert rest(client).removesuffix(b"RESET") == FOLLOWED
    until(lambda: gate.heard()[before:].count("starttls refused: followed from <> at 127.0.0.4 id ") == 5)
    assert not gate.messages()


def test_all_in_one_piece_is_answered_up_to_starttls(gate: Gateway) -> None:
    client = gate.connect()
    client.sendall(HELO + b"NOOP\r\nSTARTTLS\r\n" + HELO + MAIL)
    heard = rest(client).removesuffix(b"RESET")
    assert heard.endswith(b"\r\n250 8BITMIME\r\n250 ok\r\n" + FOLLOWED)


def test_what_comes_before_220_ends_the_session(played: tuple[Gateway, PlayedSmtpTls]) -> None:
    gate, tls = played
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    client.sendall(b"MAIL FROM:<injected@plain.example>\r\n")
    assert session.client.recv(4, socket.MSG_PEEK) == b"MAIL"  # it is there
    session.answer_taken()
    assert rest(client).removesuffix(b"RESET") == FOLLOWED
    assert not session.wait_go()
    session.stop()


def test_nothing_is_said_to_smtptls_before_the_client_has_heard_220(
    played: tuple[Gateway, PlayedSmtpTls],
) -> None:
    gate, tls = played
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    session.answer_taken()
    assert session.wait_go()
    client.setblocking(False)
    assert client.recv(100) == READY  # it was sent before, so it is there
    session.stop()


# --- smtptls that fails ---


def passes_in_plain_text(gate: Gateway, client: socket.socket) -> None:
    heard = b"".join(say(client, piece) for piece in PIECES)
    assert heard.endswith(b"\r\n221 mx.test\r\n")
    assert len(gate.messages()) == 1


def test_without_smtptls_the_session_goes_on_in_plain_text(start: Start) -> None:
    gate, tls = start()
    client = begun(gate)
    tls.stop()
    assert say(client, b"STARTTLS\r\n") == NOT_NOW
    assert b"STARTTLS" not in say(client, HELO)
    passes_in_plain_text(gate, client)
    tls.start()
    tls.wait_offered()
    assert b"250 ok\r\n" in said_over(secured(gate), [HELO, MAIL, b"QUIT\r\n"])


def test_smtptls_that_takes_no_connection(played: tuple[Gateway, PlayedSmtpTls]) -> None:
    gate, tls = played
    tls.deaf()
    client = begun(gate)
    assert say(client, b"STARTTLS\r\n") == NOT_NOW
    passes_in_plain_text(gate, client)


def test_smtptls_that_does_not_answer_holds_nobody_up(played: tuple[Gateway, PlayedSmtpTls]) -> None:
    gate, tls = played
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    passes_in_plain_text(gate, begun(gate))
    assert reply(client) == NOT_NOW
    passes_in_plain_text(gate, client)
    assert not session.wait_go()
    session.stop()


@pytest.mark.parametrize("answer", [b"", b"X", b"T", b"ETLSv1.3 X -", b"Fno"])
def test_an_answer_that_cannot_be_used(played: tuple[Gateway, PlayedSmtpTls], answer: bytes) -> None:
    gate, tls = played
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    if answer:
        session.say(answer)
    session.stop()
    assert reply(client) == NOT_NOW
    passes_in_plain_text(gate, client)


@pytest.mark.parametrize(
    "answer", [b"", b"T", b"Fthe handshake took too long", b"ETLSv1.3", b"E" + 290 * b"x", b"ETLSv1.3 X a\nb"]
)
def test_a_handshake_that_fails_ends_the_session(
    played: tuple[Gateway, PlayedSmtpTls], answer: bytes
) -> None:
    gate, tls = played
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    session.answer_taken()
    assert session.wait_go() and reply(client) == READY
    if answer:
        session.say(answer)
    session.stop()
    assert rest(client) == b""  # no word in plain text
    why = "the handshake took too long" if answer.startswith(b"F") else "smtptls went away"
    until(lambda: f"ended 127.0.0.4 no TLS: {why}\n" in gate.heard())


def test_an_established_session_that_smtptls_loses(played: tuple[Gateway, PlayedSmtpTls]) -> None:
    gate, tls = played
    client, session = established(gate, tls)
    assert say(session.plain, HELO).startswith(b"250-")
    session.stop()
    assert rest(client) == b""
    passes_in_plain_text(gate, begun(gate))


def established(gate: Gateway, tls: PlayedSmtpTls) -> tuple[socket.socket, PlayedSession]:
    client = begun(gate)
    client.sendall(b"STARTTLS\r\n")
    session = tls.take()
    session.answer_taken()
    assert session.wait_go() and reply(client) == READY
    session.say(b"ETLSv1.3 TLS_AES_128_GCM_SHA256 -")
    return client, session


def test_a_session_without_a_name_has_none_in_its_environment(
    played: tuple[Gateway, PlayedSmtpTls],
) -> None:
    gate, tls = played
    client, session = established(gate, tls)
    passes_in_plain_text_of(gate, session.plain)
    session.stop()
    client.close()


def passes_in_plain_text_of(gate: Gateway, plain: socket.socket) -> None:
    heard = b"".join(say(plain, piece) for piece in PIECES)
    assert heard.endswith(b"\r\n221 mx.test\r\n")
    (message,) = gate.messages()
    names = {name: value for name, value in message.environment.items() if name.startswith("TLS_")}
    assert names == {"TLS_VERSION": "TLSv1.3", "TLS_CIPHER": "TLS_AES_128_GCM_SHA256"}


def test_a_pair_that_somebody_else_made_is_no_session_of_smtptls(programs: Programs, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    tmp_path.chmod(0o755)
    tls = PlayedSmtpTls(tmp_path / "tls")
    with gateway(programs, tmp_path, front={"-T": tls.socket}, launcher={"-t": NOBODY}) as gate:
        client, session = established(gate, tls)
        for piece in (HELO, MAIL):
            say(session.plain, piece)
        session.plain.sendall(RCPT)
        assert rest(session.plain) == b""
        until(lambda: "smtplaunch: refused 127.0.0.4 no session of smtptls\n" in gate.heard())
        assert not gate.messages()
        session.stop()
        client.close()
    tls.stop()


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_worker_that_is_killed_ends_its_session_only(start: Start, handed_over: bool) -> None:
    gate, tls = start()
    secure = secured(gate)
    pieces = [HELO, MAIL, RCPT, b"DATA\r\n"] if handed_over else [HELO, MAIL]
    for piece in pieces:
        assert say(secure, piece)[:1] in b"23"
    secure.sendall(LETTER[:5])
    for pid in tls.workers():
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):  # an end that TLS did not say
        assert secure.recv(100) == b""
    if handed_over:
        until(lambda: re.search(r"smtplaunch: end [0-9]+ status", gate.heard()))
    assert not gate.messages()
    until(tls.offered)
    assert b"250 ok TIME qp PID\r\n" in said_over(secured(gate), PIECES)
    assert len(gate.messages()) == 1


# --- clients that stop, and the end ---


@pytest.mark.slow
def test_clients_that_stop_in_the_handshake(start: Start) -> None:
    gate, tls = start("-h", "4", "-i", "8")
    stopped = []
    for number in range(100):
        client = begun(gate, f"127.0.{10 + number % 10}.{1 + number}")
        assert say(client, b"STARTTLS\r\n") == READY
        client.sendall(b"\x16\x03\x01"[: number % 4])
        stopped.append(client)
    assert b"250 ok\r\n" in said_over(secured(gate), [HELO, MAIL, RCPT, b"QUIT\r\n"])
    for client in stopped:
        rest(client)  # it ends
    until(lambda: gate.heard().count("no TLS: the handshake took too long") == 100)
    assert b"250 ok\r\n" in said_over(secured(gate), [HELO, MAIL, RCPT, b"QUIT\r\n"])
    until(tls.offered)


def test_a_client_that_leaves_in_the_handshake(gate: Gateway) -> None:
    client = begun(gate, "127.0.0.11")
    assert say(client, b"STARTTLS\r\n") == READY
    client.close()
    until(lambda: "ended 127.0.0.11 no TLS: " in gate.heard())


def test_a_client_of_an_old_version_is_told_so_by_tls(gate: Gateway) -> None:
    client = begun(gate, "127.0.0.12")
    assert say(client, b"STARTTLS\r\n") == READY
    hello = bytes.fromhex("160301002f0100002b0301") + bytes(32) + bytes.fromhex("000004c014c00a0100")
    client.sendall(hello)
    assert rest(client)[:1] == b"\x15"  # an alert, and no word in plain text
    until(lambda: "ended 127.0.0.12 no TLS: " in gate.heard())


def test_the_front_ends_and_says_so_over_tls(start: Start) -> None:
    gate, _tls = start()
    secure = secured(gate)
    say(secure, HELO)
    stopped = begun(gate, "127.0.0.10")
    assert say(stopped, b"STARTTLS\r\n") == READY
    gate.front.send_signal(signal.SIGTERM)
    assert rest(secure) == b"421 4.3.2 the service is being restarted\r\n"
    assert rest(stopped).removesuffix(b"RESET") == b""
    gate.front.wait(20)


def test_when_all_places_are_in_use_a_session_with_tls_hears_so(
    programs: Programs, tls_programs: tuple[Path, Path], certificates: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with (
        SmtpTls(tls_programs, tmp_path / "tls", certificates) as tls,
        gateway(programs, tmp_path, front={"-T": tls.socket, "-c": 2}, launcher={"-t": OWN_USER}) as gate,
    ):
        secure = secured(gate)
        say(secure, HELO)
        stopped = begun(gate)
        assert say(stopped, b"STARTTLS\r\n") == READY
        third = gate.connect()
        assert reply(third).startswith(b"220 ")
        assert rest(secure) == b"421 4.3.2 too many sessions, please come back later\r\n"
        fourth = gate.connect()
        assert reply(fourth).startswith(b"220 ")
        assert rest(stopped).removesuffix(b"RESET") == b""  # in the handshake nothing is said
        third.close()
        fourth.close()


def test_who_is_silent_keeps_nobody_from_tls(
    programs: Programs, tls_programs: tuple[Path, Path], certificates: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with SmtpTls(tls_programs, tmp_path / "tls", certificates) as tls:
        options = {"-T": tls.socket, "-S": 2}
        with gateway(programs, tmp_path, front=options, launcher={"-t": OWN_USER}) as gate:
            plain = gate.connect("127.0.0.20")
            assert reply(plain).startswith(b"220 ")
            stopped = begun(gate, "127.0.0.21")
            assert say(stopped, b"STARTTLS\r\n") == READY
            silent = secured(gate, "127.0.0.22")
            say(silent, HELO)
            assert b"250 ok\r\n" in said_over(secured(gate), [HELO, MAIL, RCPT, b"QUIT\r\n"])
            assert rest(stopped).removesuffix(b"RESET") == b""
            first, second = secured(gate), secured(gate)
            assert rest(silent) == b"421 4.3.2 too many sessions, please come back later\r\n"
            for client in (first, second, plain):
                assert say(client, HELO).startswith(b"250-")
                client.close()
        ended = re.findall(r"ended (127\S+) all places of TLS are in use( tls=TLSv1\.3/\w+)?\n", gate.heard())
        assert [address for address, _tls in ended[:2]] == ["127.0.0.21", "127.0.0.22"]
        assert ended[0][1] == "" and ended[1][1]


def test_a_relay_client_is_handed_over_before(gate: Gateway) -> None:
    client = gate.connect("127.0.0.3")
    assert reply(client).startswith(b"220 ")
    assert b"STARTTLS" not in say(client, HELO)
    client.close()
