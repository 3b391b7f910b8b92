# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on TLS: old versions, stalled handshakes, expiry, renewal, kills; where the key is."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support import starttls
from support.certificates import make_pair
from support.conversations import HOSTNAME, LOOPBACK, OFFICE, SENDER, STRANGER, message
from support.gateway import GATEWAY_ADDRESS, Bed, target_of
from support.smtp_client import stuffed
from support.smtptls import client_context
from support.starttls import Client, letter
from support.waiting import eventually

EHLO = "EHLO client.example"
ALICE = "alice@example.test"
STALLED = 200
SENDERS, LETTERS = 4, 6
PIECE_BYTES = 1 << 24
EVENT_SECONDS = 120.0  # a bound for what never comes


def connected(source: str = STRANGER) -> AbstractContextManager[Client]:
    return starttls.connected(source, target_of(source))


def is_offered() -> bool:
    with connected() as client:
        return "STARTTLS" in client.say(EHLO)


def send(source: str = STRANGER, context: ssl.SSLContext | None = None) -> None:
    with connected(source) as client:
        client.starttls(context)
        assert client.say(EHLO).startswith("250-")
        assert letter(client, stuffed(message("tls-attack")), ALICE, SENDER).startswith("250 ok ")


@pytest.fixture(autouse=True)
def normal(bed: Bed) -> Iterator[None]:
    eventually(is_offered, "TLS is offered", EVENT_SECONDS)
    yield
    bed.mailroom.take(lambda one: True)


Install = Callable[[Path], None]
PUT = """\
rm -rf /etc/mailgate/tls/test && cp -r /root/new /etc/mailgate/tls/test && cd /etc/mailgate/tls
chgrp -R smtptls test && chmod 750 test && chmod 640 test/*.pem && ln -s test next && mv -T next current
"""


def run(bed: Bed, *argv: str) -> None:
    done = bed.inside(*argv)
    assert done[0] == 0, done


@pytest.fixture
def install(bed: Bed) -> Iterator[Install]:
    """Put a pair in use as it is, good or not; at the end the gateway has its own again."""
    run(bed, "sh", "-c", "rm -rf /root/before /root/new; cp -rL /etc/mailgate/tls/current /root/before")

    def put(pair: Path) -> None:
        shutil.copytree(pair, bed.root / "root" / "new", dirs_exist_ok=True)
        run(bed, "sh", "-ec", PUT)

    yield put
    before = sorted(path.name for path in (bed.root / "root" / "before").iterdir())
    pairs = [("certificate.pem", "key.pem"), ("certificate-2.pem", "key-2.pem")]
    words = [f"/root/before/{name}" for pair in pairs if pair[0] in before for name in pair]
    run(bed, "mailgate", "certificate", "install", *words)
    eventually(is_offered, "TLS is offered", EVENT_SECONDS)


def handshake(context: ssl.SSLContext) -> str:
    """Return why there is no TLS with these settings, or its version."""
    with connected() as client:
        try:
            client.starttls(context)
        except (ssl.SSLError, OSError) as error:
            return str(error)
        return client.terms()[0]


def test_old_versions_and_ciphers_of_nobody_are_refused() -> None:
    old = client_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    refused = handshake(old)
    assert "alert" in refused.lower() or "EOF" in refused
    strange = client_context()
    strange.maximum_version = ssl.TLSVersion.TLSv1_2
    strange.set_ciphers("ADH-AES256-GCM-SHA384:@SECLEVEL=0")
    assert "handshake failure" in handshake(strange).lower()
    assert handshake(client_context()) == "TLSv1.3"


def test_renegotiation_is_refused() -> None:
    argv = ["openssl", "s_client", "-starttls", "smtp", "-tls1_2", "-legacy_renegotiation", "-crlf"]
    with subprocess.Popen(
        [*argv, "-connect", f"{GATEWAY_ADDRESS}:25", "-bind", f"{STRANGER}:0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        bound = threading.Timer(EVENT_SECONDS, process.kill)
        bound.daemon = True
        bound.start()
        said = b""
        while b"Verify return code" not in said:  # the session is there
            block = os.read(process.stdout.fileno(), 65536)
            assert block, said
            said += block
        process.stdin.write(b"R\n")
        process.stdin.flush()
        while block := os.read(process.stdout.fileno(), 65536):
            said += block
            if b"no renegotiation" in said:
                break
        bound.cancel()
        process.kill()
    assert b"no renegotiation" in said
    send()


def test_an_expired_certificate_is_not_offered_and_the_doctor_is_critical(
    bed: Bed, install: Install, tmp_path: Path
) -> None:
    make_pair(tmp_path / "pair", host=HOSTNAME, days=(-90, -1))
    install(tmp_path / "pair")
    eventually(lambda: not is_offered(), "TLS is not offered", EVENT_SECONDS)
    with connected() as client:  # mail comes all the same
        assert client.say(EHLO).startswith("250-")
        assert letter(client, stuffed(message("tls-attack")), ALICE, SENDER).startswith("250 ok ")
    status, said, _trouble = bed.inside(
        "mailgate", "doctor", "--quick", "--only", "certificate", "--only", "tls"
    )
    assert status == 2
    assert "certificate: the ECDSA certificate has expired" in " ".join(said.split())
    assert "clients are not offered TLS" in " ".join(said.split())


def test_a_certificate_is_renewed_under_load_and_no_session_is_lost(bed: Bed, install: Install) -> None:
    place = bed.root / "root" / "renewed"
    lost: list[str] = []
    ended = threading.Event()

    def sender(number: int) -> None:
        sent = 0
        try:
            while sent < LETTERS or not ended.is_set():
                send(f"198.51.100.{10 + number}")
                sent += 1
        except (AssertionError, OSError) as error:
            lost.append(repr(error))

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            paths = make_pair(place / str(number), "ecdsa" if number % 2 else "rsa", host=HOSTNAME)
            inside = f"/root/renewed/{number}"
            run(bed, "mailgate", "certificate", "install", f"{inside}/certificate.pem", f"{inside}/key.pem")
            eventually(functools.partial(is_served, paths[0].read_text()), "it is served", EVENT_SECONDS)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not lost


def is_served(certificate: str) -> bool:
    """Return whether a new session sees this certificate (PEM)."""
    with connected() as client:
        client.starttls()
        assert isinstance(client.socket, ssl.SSLSocket)
        return ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True) or b"") == certificate


def test_smtptls_killed_in_the_middle_ends_the_session_and_not_the_next(bed: Bed) -> None:
    with connected() as client:
        client.starttls()
        assert client.say(EHLO).startswith("250-")
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")
        for pid, program in bed.processes().items():
            if program == "smtptls":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert client.rest() == b""
    with connected() as client:  # plain, or with TLS again
        assert client.say(EHLO).startswith("250-")
        assert letter(client, stuffed(message("tls-attack")), ALICE, SENDER).startswith("250 ok ")
    eventually(is_offered, "TLS is offered", EVENT_SECONDS)
    send()


def test_clients_that_stop_in_the_handshake_hold_up_nobody() -> None:
    with contextlib.ExitStack() as stack:
        for number in range(STALLED):
            client = stack.enter_context(connected(f"198.19.{number}.9"))
            assert client.say("STARTTLS").startswith("220 ")
        send()


def asked(source: str, secure: bool) -> str:
    """Return the reply to a recipient that is taken."""
    with connected(source) as client:
        if secure:
            client.starttls()
        assert client.say(EHLO).startswith("250-")
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")
        return client.say(f"RCPT TO:<{ALICE}>")


def test_a_list_of_required_tls_that_cannot_be_used_puts_off_plain_text_alone(bed: Bed) -> None:
    path = bed.root / "var/qmail/control/requiretls"
    before = path.read_text()
    try:
        path.write_text(f"{before}sendr bank.example\n")
        for source in (STRANGER, OFFICE):  # smtpfront, qmail-smtpd
            assert asked(source, False) == "451 4.3.0 unable to check recipient"
            assert asked(source, True) == "250 ok"
        assert asked(LOOPBACK, False) == "250 ok"  # nothing of it leaves the host
    finally:
        path.write_text(before)
    assert asked(STRANGER, False) == "250 ok"


def forms_of(key: Path) -> list[bytes]:
    """Return the secret number of a key of ECDSA as files and memory may hold it."""
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    number = loaded.private_numbers().private_value.to_bytes(32, "big")
    return [number, number[::-1], key.read_bytes().splitlines()[1]]


def memory_has(pid: int, secrets: list[bytes]) -> bool:
    """Return whether a process has one of them in memory that it may write."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for area in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = area.split()[:2]
            first, last = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw"):
                continue
            for at in range(first, last, PIECE_BYTES):
                try:
                    memory.seek(at)
                    content = memory.read(min(PIECE_BYTES + 64, last - at))
                except (OSError, OverflowError):
                    break
                if any(secret in content for secret in secrets):
                    return True
    return False


def test_the_key_is_in_no_memory_but_that_of_smtptls(bed: Bed, install: Install, tmp_path: Path) -> None:
    paths = make_pair(tmp_path / "pair", host=HOSTNAME)
    install(tmp_path / "pair")
    eventually(functools.partial(is_served, paths[0].read_text()), "it is served", EVENT_SECONDS)
    send()
    secrets = forms_of(paths[1])
    with connected() as stranger, connected(LOOPBACK) as relay:
        for client in (stranger, relay):  # of smtpfront, of qmail-smtpd
            client.starttls()
            assert client.say(EHLO).startswith("250-")
        assert stranger.say(f"MAIL FROM:<{SENDER}>").startswith("250 ")
        assert stranger.say(f"RCPT TO:<{ALICE}>").startswith("250 ")  # and of another qmail-smtpd
        found = {program for pid, program in bed.processes().items() if memory_has(pid, secrets)}
    assert found == {"smtptls"}
