# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the doctor sees that clients are offered TLS, and that a session works."""

from __future__ import annotations

import fcntl
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.paths import (
    REQUIRED_TLS,
    SMTPTLS_SOCKET,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import tls as doctor
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import (
    CRITICAL,
    OK,
    WARNING,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import certificates
from support.certificates import make_pair
from support.doctor_host import context, put, told

HOLD = """\
import fcntl, sys
with open(sys.argv[1], "r+b") as offer:
    fcntl.lockf(offer, fcntl.LOCK_EX)
    print(flush=True)
    input()
"""


@contextmanager
def writer(path: Path) -> Iterator[None]:
    """Hold the lock, as the process does that offers TLS."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        yield
        process.stdin.write("\n")
        process.stdin.flush()


def test_an_offer_is_one_while_its_writer_lives(tmp_path: Path) -> None:
    socket_path = str(tmp_path / "socket")
    assert not doctor.is_offered(socket_path)
    offer = put(tmp_path, "socket.offer", "1")
    assert not doctor.is_offered(socket_path), "nobody holds it"
    with writer(offer):
        assert doctor.is_offered(socket_path)
        offer.write_text("0")
        assert not doctor.is_offered(socket_path)
        offer.write_text("1")
    assert not doctor.is_offered(socket_path)
    with open(offer, "r+b") as stream:  # the doctor's look takes no lock away
        fcntl.lockf(stream, fcntl.LOCK_EX)


@contextmanager
def mail_server(
    place: Path, *replies: bytes, inside: bytes = b"250 mx.example\r\n", ready: bool = True
) -> Iterator[int]:
    """Answer each line with the next reply, and after the last one speak TLS."""
    paths = make_pair(place)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, paths))

    def serve() -> None:
        connection = listener.accept()[0]
        with connection:
            connection.sendall(replies[0])
            for reply in replies[1:]:
                connection.recv(4096)
                connection.sendall(reply)
            if not ready:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(4096)
                    tls.sendall(inside)
                    tls.recv(4096)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


GREETING, OFFER, READY = (
    b"220 mx.example ESMTP\r\n",
    b"250-mx.example\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
    b"220 ready\r\n",
)


def tried(port: int) -> doctor.Tried:
    return doctor.try_session(("127.0.0.1", port), "mx.example", 10)


def test_a_session_that_works(tmp_path: Path) -> None:
    with mail_server(tmp_path, GREETING, OFFER, READY) as port:
        found = tried(port)
    assert found.trouble == "" and found.terms.startswith("TLSv1.3 TLS_")


def test_the_certificate_that_clients_are_shown_is_one_of_those_installed(tmp_path: Path) -> None:
    with mail_server(tmp_path, GREETING, OFFER, READY) as port:
        served = tried(port).certificate
    directory = tmp_path / "certificates"
    (finding,) = doctor.judge_served(served, str(directory))
    assert finding.status == WARNING and "another certificate than those in" in finding.text
    certificate, _key = make_pair(directory / certificates.CURRENT)
    assert doctor.judge_served(served, str(directory)) == [finding]
    shutil.copy(tmp_path / "certificate.pem", certificate)
    assert doctor.judge_served(served, str(directory)) == []
    certificate.unlink()
    certificate.mkdir()
    assert doctor.judge_served(served, str(directory)) == []  # the check certificate tells why


def test_sessions_that_do_not(tmp_path: Path) -> None:
    with mail_server(tmp_path, GREETING, b"250 mx.example\r\n", ready=False) as port:
        assert tried(port).trouble == "STARTTLS is not offered"
    with mail_server(tmp_path, GREETING, OFFER, b"454 4.7.0 not now\r\n", ready=False) as port:
        assert tried(port).trouble == "STARTTLS is answered '454 4.7.0 not now'"
    with mail_server(tmp_path, GREETING, OFFER, READY, ready=False) as port:
        trouble = tried(port).trouble.lower()
        assert "handshake" in trouble or "reset" in trouble
    with mail_server(tmp_path, GREETING, OFFER, READY, inside=b"250-mx.example\r\n250 STARTTLS\r\n") as port:
        assert tried(port).trouble == "inside TLS EHLO is answered '250-mx.example 250 STARTTLS'"
    with mail_server(tmp_path, b"421 busy\r\n", b"", ready=False) as port:
        assert tried(port).trouble == "it says '421 busy'"
    assert tried(port).trouble == "Connection refused"


def test_the_findings(tmp_path: Path) -> None:
    assert told(doctor.tls(context(tmp_path))) == [(OK, "the gateway does not offer TLS (gateway_tls)")]
    put(tmp_path, "/var/log/smtptls/current", "@4000000068f000000000000a smtptls[7]: trouble no key\n")
    (found,) = doctor.tls(context(tmp_path, tls=True))
    assert found.status == CRITICAL and "its last log line: 'smtptls[7]: trouble no key'" in found.text
    with writer(put(tmp_path, f"{SMTPTLS_SOCKET}.offer", "1")):
        assert told(doctor.tls(context(tmp_path, tls=True))) == [(OK, "clients are offered TLS")]
    assert doctor.judge(True, doctor.Tried(trouble="x"), "").status == CRITICAL
    assert (
        doctor.judge(True, doctor.Tried("TLSv1.3 C"), "").text
        == "clients are offered TLS; tried with TLSv1.3 C"
    )


def test_a_list_of_required_tls_that_cannot_be_used_is_critical(tmp_path: Path) -> None:
    put(tmp_path, REQUIRED_TLS, "# none\nsender bank.example\n")
    assert doctor.required(context(tmp_path)) == []
    put(tmp_path, REQUIRED_TLS, "sendr bank.example\n")
    (found,) = doctor.required(context(tmp_path))
    assert found.status == CRITICAL and "put off with 451: 'sendr bank.example'" in found.text
    with writer(put(tmp_path, f"{SMTPTLS_SOCKET}.offer", "1")):
        assert [one.status for one in doctor.tls(context(tmp_path, tls=True))] == [CRITICAL]
