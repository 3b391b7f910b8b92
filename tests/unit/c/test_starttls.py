# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""STARTTLS in the real qmail-smtpd and in cqgreylist, with the real smtptls and Python's ssl."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.c_programs import INCLUDES, ROOT, SANITIZE, STRICT, gcc, needed
from support.smtpfront_programs import Gateway, Programs, gateway, until
from support.smtptls import SmtpTls, client_context
from support.starttls import Client, Session, SmtpdSession, letter

OFFER = "STARTTLS"
NAME = "mx.example.test"
RELAY = "127.0.0.3"
LETTER = b"Subject: x\r\n\r\nA letter.\r\n.\r\n"


@contextlib.contextmanager
def started(
    programs: tuple[Path, Path], directory: Path, certificates: Path, *options: str
) -> Iterator[SmtpTls]:
    directory.chmod(0o755)
    with SmtpTls(programs, directory / "tls", certificates, *options) as one:
        yield one


@pytest.fixture(scope="module")
def gate(programs: Programs, tls: SmtpTls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("gate")
    with gateway(programs, directory, environment={"SMTPTLS": str(tls.socket)}) as one:
        yield one


@pytest.fixture
def session(gate: Gateway) -> Iterator[SmtpdSession]:
    with SmtpdSession(gate) as one:
        yield one
    gate.messages()


def head(message: bytes) -> bytes:
    """Return the Received field without its id and its date."""
    return message.partition(b"; DATE\n")[0]


def body(message: bytes) -> bytes:
    return message.partition(b"; DATE\n")[2]


# --- a session ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_message_over_each_version(session: SmtpdSession, version: ssl.TLSVersion) -> None:
    client = session.client
    assert OFFER in client.say("EHLO before.example").split("\r\n250-")
    client.starttls(client_context(version=version), NAME)
    assert OFFER not in client.say("EHLO client.example")
    assert client.say("STARTTLS").startswith("503 5.5.1 ")
    assert letter(client, LETTER).startswith("250 ok ")
    (message,) = session.messages()
    spoken, cipher = client.terms()
    received = head(message.message).decode()
    assert received.endswith(f" with ESMTPS ({spoken} {cipher} encrypted SMTP)")
    assert "(HELO client.example)" in received and "before.example" not in received
    asked = [message.environment[name] for name in ("TLS_VERSION", "TLS_CIPHER", "TLS_NAME")]
    assert asked == [spoken, cipher, NAME]
    client.close()
    accepted = [line for line in session.ended() if "accepted: " in line]
    assert len(accepted) == 1 and accepted[0].endswith(f" tls={spoken}/{cipher}")


def test_what_was_said_before_is_forgotten_and_what_was_counted_is_not(gate: Gateway) -> None:
    with SmtpdSession(gate, REFUSALS_LIMIT="4") as session:
        client = session.client
        client.say("EHLO before.example")
        for _number in range(2):
            assert client.say("BOGUS").startswith("502 ")
        assert client.say("MAIL FROM:<before@client.example>").startswith("250 ")
        assert client.say("STARTTLS").startswith("503 5.5.1 ")  # inside a transaction
        assert client.say("RSET").startswith("250 ")
        client.starttls()
        assert letter(client, LETTER).startswith("250 ok ")
        assert client.say("RCPT TO:<ann@example.com>").startswith("421 4.7.0 ")  # the fourth refusal
        assert client.rest() == b""
        (message,) = session.messages()
    assert b"before" not in message.message and message.sender == b"Fsender@client.example"


def test_plain_text_stays_as_it_was(session: SmtpdSession) -> None:
    client = session.client
    client.say("EHLO client.example")
    assert client.say("STARTTLS now").startswith("501 5.5.4 ")
    assert letter(client, LETTER).startswith("250 ok ")
    (message,) = session.messages()
    assert head(message.message).endswith(b" with SMTP")
    assert "TLS_VERSION" not in message.environment
    client.close()
    assert not [line for line in session.ended() if "tls=" in line]


def test_without_the_variable_there_is_no_such_command(gate: Gateway) -> None:
    with SmtpdSession(gate, SMTPTLS="") as session:
        assert OFFER not in session.client.say("EHLO client.example")
        assert session.client.say("STARTTLS").startswith("502 5.5.1 ")
        assert session.client.say("NOOP").startswith("250 ")


def test_the_client_s_socket_is_smtptls_s_alone(session: SmtpdSession) -> None:
    client = session.client
    assert session.holds_the_client()
    client.starttls()
    assert client.say("NOOP").startswith("250 ")
    assert not session.holds_the_client()
    assert client.say("QUIT").startswith("221 ")
    assert client.rest() == b""  # and the end of TLS is said: without that, ssl raises
    session.ended()


# --- who does not keep to it ---


@pytest.mark.parametrize(
    "behind", [b"MAIL FROM:<injected@client.example>\r\n", b"\r\n", b"X", b"EHLO injected.example\r\n" * 20]
)
def test_anything_behind_starttls_ends_the_session(session: SmtpdSession, behind: bytes) -> None:
    client = session.client
    client.say("EHLO client.example")
    client.send(b"STARTTLS\r\n" + behind)
    assert client.reply().startswith("421 4.7.0 ")
    assert client.rest() == b""
    assert [line for line in session.ended() if "starttls refused: followed from <> at " in line]


@pytest.mark.parametrize("waits", [False, True])
def test_commands_in_a_segment_of_their_own_are_no_commands(session: SmtpdSession, waits: bool) -> None:
    """Before the reply, or between it and the handshake, which fails of them."""
    client = session.client
    client.say("EHLO client.example")
    client.send(b"STARTTLS\r\n")
    if waits:
        assert client.reply().startswith("220 ")
    client.send(b"MAIL FROM:<injected@client.example>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n\r\n.\r\n")
    heard = client.rest()
    assert b"250" not in heard and b"354" not in heard
    session.ended()
    assert session.messages() == []


def test_a_handshake_that_fails_ends_the_session(session: SmtpdSession) -> None:
    client = session.client
    assert client.say("STARTTLS").startswith("220 ")
    client.socket.close()
    session.ended()
    assert session.messages() == []


# --- smtptls that does not do its part ---


def test_where_smtptls_is_silent_the_session_goes_on(
    programs: Programs, tls_programs: tuple[Path, Path], tmp_path: Path, certificates: Path
) -> None:
    with started(tls_programs, tmp_path, certificates, "-n", "1") as tls:
        (worker,) = tls.workers()
        (tmp_path / "gate").mkdir()
        with (
            gateway(programs, tmp_path / "gate", environment={"SMTPTLS": str(tls.socket)}) as gate,
            SmtpdSession(gate) as session,
        ):
            client = session.client
            os.kill(worker, signal.SIGSTOP)
            try:
                assert OFFER in client.say("EHLO client.example")
                assert client.say("STARTTLS").startswith("454 4.7.0 ")
                assert letter(client, LETTER).startswith("250 ok ")
            finally:
                os.kill(worker, signal.SIGCONT)
            (message,) = session.messages()
            assert b"ESMTPS" not in message.message
            tls.stop()
            assert OFFER not in client.say("EHLO client.example")
            assert client.say("STARTTLS").startswith("454 4.7.0 ")
            assert client.say("NOOP").startswith("250 ")


def test_killed_in_the_middle_of_a_message_nothing_is_queued(
    programs: Programs, tls_programs: tuple[Path, Path], tmp_path: Path, certificates: Path
) -> None:
    with started(tls_programs, tmp_path, certificates) as tls:
        (tmp_path / "gate").mkdir()
        with (
            gateway(programs, tmp_path / "gate", environment={"SMTPTLS": str(tls.socket)}) as gate,
            SmtpdSession(gate) as session,
        ):
            client = session.client
            client.starttls()
            for command in ("EHLO c", "MAIL FROM:<sender@client.example>", "RCPT TO:<ann@example.com>"):
                assert client.say(command).startswith("250")
            assert client.say("DATA").startswith("354 ")
            client.send(b"Subject: x\r\n\r\nthe first half\r\n" * 100)
            for pid in [*tls.workers(), tls.process.pid]:
                os.kill(pid, signal.SIGKILL)
            lines = session.ended()
            assert [line for line in lines if "data refused: client-left" in line and " tls=TLSv1.3/" in line]
            assert session.messages() == []
            with SmtpdSession(gate) as other:  # the next one is plain
                assert OFFER not in other.client.say("EHLO client.example")
                assert letter(other.client, LETTER).startswith("250 ok ")
                assert len(other.messages()) == 1


# --- what TLS does not change ---

ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\0\r\n",
]
FORGED = b"MAIL FROM:<forged@client.example>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n\r\nforged\r\n"


@pytest.mark.parametrize(
    "end", ENDS, ids=lambda end: end.decode().replace("\0", "NUL").encode("unicode_escape").decode()
)
def test_a_smuggled_message_meets_what_it_meets_in_plain_text(gate: Gateway, end: bytes) -> None:
    found = []
    for secure in (False, True):
        with SmtpdSession(gate) as session:
            client = session.client
            if secure:
                client.starttls()
            reply = letter(client, b"\r\none" + end + FORGED + b".\r\n")
            refused = not reply.startswith("250 ")
            if refused:
                assert client.rest() == b""
            else:
                client.close()
            lines = [line for line in session.ended() if "refused" in line]
            bodies = [body(one.message) for one in session.messages()]
            found.append((reply[:9], refused, bodies, len(lines)))
    assert found[0] == found[1]
    assert len(found[0][2]) <= 1 and found[0][1] == (found[0][2] == [])


def test_a_large_message_is_whole(gate: Gateway) -> None:
    sent = b"".join(b"%d %s\r\n" % (number, b"x" * (number % 900)) for number in range(5000))
    assert len(sent) > 2_000_000
    with SmtpdSession(gate, DATABYTES="0") as session:
        session.client.starttls()
        assert letter(session.client, b"\r\n" + sent + b".\r\n").startswith("250 ok ")
        (message,) = session.messages()
    assert body(message.message) == b"\n" + sent.replace(b"\r\n", b"\n")


# --- what another program has begun ---


def test_a_session_that_comes_with_tls(gate: Gateway) -> None:
    given = {"TLS_VERSION": "TLSv1.3", "TLS_CIPHER": "TLS_AES_256_GCM_SHA384", "TLS_NAME": ""}
    with SmtpdSession(gate, **given) as session:
        client = session.client
        assert OFFER not in client.say("EHLO client.example")
        assert client.say("STARTTLS").startswith("503 5.5.1 ")
        assert letter(client, LETTER).startswith("250 ok ")
        (message,) = session.messages()
        client.close()
        lines = session.ended()
    assert head(message.message).endswith(b" with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384 encrypted SMTP)")
    assert [line for line in lines if line.endswith(" tls=TLSv1.3/TLS_AES_256_GCM_SHA384")]


def test_terms_that_are_none_are_not_believed_and_never_plain_text(gate: Gateway) -> None:
    with SmtpdSession(gate, TLS_VERSION="TLSv1.3", TLS_CIPHER="A) (evil\n at 1.2.3.4") as session:
        client = session.client
        assert OFFER not in client.say("EHLO client.example")
        assert letter(client, LETTER).startswith("250 ok ")
        (message,) = session.messages()
        client.close()
        lines = session.ended()
    assert head(message.message).endswith(b" with ESMTPS") and b"evil" not in message.message
    assert not [line for line in lines if "evil" in line or "tls=" in line]


def test_a_relay_client_that_was_handed_over_at_accept_relays_over_tls(gate: Gateway) -> None:
    client = Client(gate.connect(RELAY))
    assert client.reply().startswith("220 ")
    assert OFFER in client.say("EHLO client.example")
    client.starttls()
    assert letter(client, LETTER, "joe@foreign.example").startswith("250 ok ")
    (message,) = gate.messages()
    assert message.recipients == [b"Tjoe@foreign.example"] and message.environment["RELAYCLIENT"] == ""
    assert message.environment["TLS_VERSION"] == "TLSv1.3"
    client.close()


def test_a_stranger_that_was_handed_over_may_begin_tls_behind_its_message(gate: Gateway) -> None:
    client = Client(gate.connect())
    client.reply()
    client.say("HELO before.example")
    assert letter(client, LETTER).startswith("250 ok ")
    assert OFFER in client.say("EHLO before.example")
    client.starttls()
    assert client.say("RCPT TO:<joe@foreign.example>").startswith("503 ")
    assert client.say("MAIL FROM:<sender@client.example>").startswith("250 ")
    assert client.say("RCPT TO:<joe@foreign.example>").startswith("553 ")  # no relay client
    assert letter(client, LETTER).startswith("250 ok ")
    first, second = gate.messages()
    assert head(first.message).endswith(b" with SMTP") and b"before.example" in first.message
    assert b" with ESMTPS (" in second.message and b"before.example" not in second.message
    client.close()


@pytest.mark.parametrize("more", [0, 1])
def test_what_smtpfront_has_handed_over_behind_starttls_ends_the_session(gate: Gateway, more: int) -> None:
    """Also where qmail-smtpd has read exactly up to STARTTLS: it reads 1024 bytes at once."""
    unanswered = b"RCPT TO:<ann@example.com>\r\nRSET\r\n"
    end = b"STARTTLS\r\n"
    padding = 1024 - len(unanswered) - len(end) + more
    unanswered += b"NOOP " + b"x" * (padding - 7) + b"\r\n" + end
    client = Client(gate.connect())
    client.reply()
    client.say("EHLO client.example")
    client.send(
        b"MAIL FROM:<sender@client.example>\r\n" + unanswered + b"MAIL FROM:<injected@client.example>\r\n"
    )
    replies = [client.reply() for _command in range(5)]
    assert [one[:3] for one in replies] == ["250", "250", "250", "250", "421"]
    assert replies[-1].startswith("421 4.7.0 nothing may follow STARTTLS")
    assert client.rest() == b""
    until(lambda: re.search(r"starttls refused: followed from <> at 127\.0\.0\.4 id ", gate.heard()))


def test_the_front_s_clients_without_tls_are_as_before(gate: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gate.port), 20, (RELAY, 0)) as plain:
        client = Client(plain)
        client.reply()
        assert letter(client, LETTER, "joe@foreign.example").startswith("250 ok ")
    (message,) = gate.messages()
    assert b"ESMTPS" not in message.message


# --- cqgreylist, which speaks with clients that it refuses ---


@pytest.fixture(scope="module")
def cqgreylist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cqgreylist")
    program, main = directory / "cqgreylist", ROOT / "src" / "cqgreylist" / "cqgreylist.c"
    settings = f'-DSETTINGS_FILE="{directory}/settings"'
    gcc("-std=gnu11", *STRICT, *SANITIZE, settings, *INCLUDES, main, *needed(main), "-o", program)
    return program


def greylisted(program: Path, directory: Path, tls: SmtpTls) -> Session:
    environment = {
        "GREYLIST_DIRECTORY": str(directory),
        "TCPREMOTEIP": "198.51.100.7",
        "TCPLOCALHOST": NAME,
        "SMTPTLS": str(tls.socket),
    }
    return Session([str(program), "false"], environment)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_greylisted_client_has_tls(
    cqgreylist: Path, tls: SmtpTls, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    with greylisted(cqgreylist, tmp_path, tls) as session:
        client = session.client
        assert client.say("EHLO a").split("\r\n250-")[1:] == [OFFER, "PIPELINING\r\n250 8BITMIME"]
        assert client.say("STARTTLS now").startswith("501 5.5.4 ")
        assert client.say("MAIL FROM:<before@c.example>").startswith("250 ")
        assert client.say("STARTTLS").startswith("503 5.5.1 ")
        assert client.say("RSET").startswith("250 ")
        assert session.holds_the_client()
        client.starttls(client_context(version=version), NAME)
        assert client.say("NOOP").startswith("250 ") and not session.holds_the_client()
        terms = client.terms()
        assert terms[0] == version.name.replace("_", ".")
        assert client.say("EHLO a").split("\r\n250-")[1:] == ["PIPELINING\r\n250 8BITMIME"]
        assert client.say("STARTTLS").startswith("503 5.5.1 ")
        assert client.say("RCPT TO:<ann@example.com>").startswith("451 4.7.1 ")
        assert client.say("DATA").startswith("451 4.7.1 ")
        assert client.say("QUIT").startswith("221 ")
        assert client.rest() == b""
        client.close()
        lines = session.ended()
    asked = f"asked 198.51.100.7 <> to ann@example.com tls={'/'.join(terms)}"
    assert [line.partition("]: ")[2] for line in lines][1:] == [asked]


@pytest.mark.parametrize("behind", [b"RCPT TO:<injected@example.com>\r\n", b"\r\n", b"X"])
def test_anything_behind_starttls_ends_a_greylisted_session(
    cqgreylist: Path, tls: SmtpTls, tmp_path: Path, behind: bytes
) -> None:
    with greylisted(cqgreylist, tmp_path, tls) as session:
        session.client.say("EHLO a")
        session.client.send(b"STARTTLS\r\n" + behind)
        assert session.client.reply().startswith("421 4.7.0 ")
        assert session.client.rest() == b""
        session.client.close()
        assert not [line for line in session.ended() if "injected" in line]


def test_where_smtptls_is_silent_a_greylisted_session_goes_on(
    cqgreylist: Path, tls_programs: tuple[Path, Path], tmp_path: Path, certificates: Path
) -> None:
    (tmp_path / "state").mkdir()
    with (
        started(tls_programs, tmp_path, certificates, "-n", "1") as tls,
        greylisted(cqgreylist, tmp_path / "state", tls) as session,
    ):
        client = session.client
        (worker,) = tls.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            assert OFFER in client.say("EHLO a")
            assert client.say("STARTTLS").startswith("454 4.7.0 ")
            assert client.say("RCPT TO:<ann@example.com>").startswith("451 4.7.1 ")
        finally:
            os.kill(worker, signal.SIGCONT)
        tls.stop()
        assert OFFER not in client.say("EHLO a")
        assert client.say("STARTTLS").startswith("454 4.7.0 ")


def test_a_handshake_that_fails_ends_a_greylisted_session(
    cqgreylist: Path, tls: SmtpTls, tmp_path: Path
) -> None:
    with greylisted(cqgreylist, tmp_path, tls) as session:
        assert session.client.say("STARTTLS").startswith("220 ")
        session.client.send(b"RCPT TO:<injected@example.com>\r\n")
        assert b"451" not in session.client.rest()
        assert not [line for line in session.ended() if "injected" in line]
