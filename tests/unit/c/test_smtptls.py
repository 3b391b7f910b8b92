# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtptls: handshakes, bytes both ways, certificates that change, and programs and clients that misbehave."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.certificates import make_pair
from support.parameters import slow_after_first
from support.smtpfront_programs import as_nobody, until
from support.smtptls import SmtpTls, client_context, line, tcp_pair

NAME = "mx.example.test"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two of them."""
    directory = tmp_path_factory.mktemp("certificates")
    make_pair(directory, "ecdsa")
    make_pair(directory, "rsa", names=("certificate-2.pem", "key-2.pem"))
    return directory


Start = Callable[..., SmtpTls]


@pytest.fixture
def start(tls_programs: tuple[Path, Path], tmp_path: Path, certificates: Path) -> Iterator[Start]:
    made: list[SmtpTls] = []
    tmp_path.chmod(0o755)

    def begin(*options: str, directory: Path = certificates, offered: bool = True) -> SmtpTls:
        made.append(SmtpTls(tls_programs, tmp_path / f"tls{len(made)}", directory, *options))
        if offered:
            made[-1].wait_offered()
        return made[-1]

    yield begin
    for one in made:
        one.stop()
        assert "Sanitizer" not in one.heard()


def secured(tls: SmtpTls, client: socket.socket, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    assert line(client) == b"220\n"
    return (context or client_context()).wrap_socket(client, server_hostname=NAME)


def everything(client: socket.socket) -> bytes:
    heard = b""
    while True:
        block = client.recv(65536)
        if not block:
            return heard
        heard += block


# --- a session ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_each_version(tls: SmtpTls, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.minimum_version = context.maximum_version = version
    with tls.serve() as client, secured(tls, client, context) as secure:
        secure.sendall(b"HELLO")
        assert secure.recv(5) == b"hello"
        cipher = secure.cipher()
    assert cipher is not None
    assert tls.said == f"terms: {cipher[1]} {cipher[0]} {NAME}\n"


@pytest.mark.parametrize(
    ("ciphers", "kind"), [("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"), ("ECDHE-RSA-AES256-GCM-SHA384", "rsa")]
)
def test_both_kinds_of_keys_at_once(tls: SmtpTls, ciphers: str, kind: str) -> None:
    context = client_context(tls.current / ("certificate.pem" if kind == "ecdsa" else "certificate-2.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    with tls.serve() as client, secured(tls, client, context) as secure:
        secure.sendall(b"A")
        assert secure.recv(1) == b"a"
    assert f"TLSv1.2 {ciphers} " in tls.said


@pytest.mark.parametrize("name", [None, ".".join(["a" * 60] * 3), "xn--bcher-kva.example"])
def test_the_name_that_is_asked_for(tls: SmtpTls, name: str | None) -> None:
    with tls.serve() as client:
        assert line(client) == b"220\n"
        with client_context().wrap_socket(client, server_hostname=name) as secure:
            secure.sendall(b"A")
    assert tls.said.split() == ["terms:", "TLSv1.3", "TLS_AES_256_GCM_SHA384", name or "-"]


def test_a_name_that_is_none(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    client.sendall(hello_with_name(b"odd name\n"))
    assert client.recv(1)
    for one in (client, control, plain):
        one.close()


def hello_with_name(name: bytes) -> bytes:
    """Return a client's first bytes that ask for a name which ssl would not ask for."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    placeholder = "x" * len(name)
    one = client_context().wrap_bio(incoming, outgoing, server_hostname=placeholder)
    with pytest.raises(ssl.SSLWantReadError):
        one.do_handshake()
    return outgoing.read().replace(placeholder.encode(), name)


def test_many_bytes_pass_both_ways_unchanged(tls: SmtpTls) -> None:
    sent = random.Random(1).randbytes(3_000_000).lower()
    heard = bytearray()
    with tls.serve() as client, secured(tls, client) as secure:

        def send() -> None:
            secure.sendall(sent)

        secure.settimeout(20)
        thread = threading.Thread(target=send)
        thread.start()
        while len(heard) < len(sent):
            heard += secure.recv(65536)
        thread.join()
    assert bytes(heard) == sent


def test_the_program_s_end_is_the_client_s(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    with client_context().wrap_socket(client) as secure, control:
        assert control.recv(300).startswith(b"ETLSv1.3 ")
        plain.sendall(b"221 bye\r\n")
        plain.close()
        assert everything(secure) == b"221 bye\r\n"  # and the end is said: without that, ssl raises


def test_the_client_s_end_is_the_program_s_after_its_last_bytes(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    secure = client_context().wrap_socket(client)
    secure.sendall(b"QUIT\r\n")
    secure.close()
    assert everything(plain) == b"QUIT\r\n"
    plain.close()
    control.close()


def test_a_client_that_ends_without_tls_s_end_hears_the_last_reply(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    secure = client_context().wrap_socket(client)
    secure.sendall(b"QUIT\r\n")
    socket.socket.shutdown(secure, socket.SHUT_WR)  # of TCP alone
    assert everything(plain) == b"QUIT\r\n"
    plain.sendall(b"221 bye\r\n")
    plain.close()
    assert secure.recv(100) == b"221 bye\r\n"
    secure.close()
    control.close()


def test_a_session_may_be_silent(tls: SmtpTls) -> None:
    with tls.serve() as client, secured(tls, client) as secure:
        time.sleep(1.5)
        secure.sendall(b"STILL")
        assert secure.recv(5) == b"still"


def test_a_session_resumes_with_any_worker(start: Start) -> None:
    tls = start("-i", "6")
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls.serve() as client, secured(tls, client, context) as secure:
        first = secure.session
    reused = 0
    for _number in range(12):
        with tls.serve() as client:
            assert line(client) == b"220\n"
            with context.wrap_socket(client, server_hostname=NAME, session=first) as secure:
                reused += bool(secure.session_reused)
    assert reused == 12


def test_a_reply_does_not_wait_for_what_the_client_acknowledges(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    assert not served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    control.send(b"G")
    with client_context().wrap_socket(client), control, plain:
        assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    served.close()


# --- who does not keep to it ---


def test_the_socket_is_not_touched_before_the_program_says_so(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    client.sendall(b"\x16\x03\x01 something of the plain session")
    time.sleep(0.2)
    assert not fcntl.fcntl(served, fcntl.F_GETFL) & os.O_NONBLOCK
    assert served.recv(100).startswith(b"\x16\x03\x01 something")
    control.close()  # the program gives it up: the session goes on in plain text
    served.sendall(b"454 4.7.0\r\n")
    client.sendall(b"MAIL\r\n")
    assert served.recv(100) == b"MAIL\r\n"
    time.sleep(0.2)
    assert not fcntl.fcntl(served, fcntl.F_GETFL) & os.O_NONBLOCK
    assert not served.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert client.recv(100) == b"454 4.7.0\r\n"
    plain.close()


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(tls: SmtpTls, version: str) -> None:
    with tls.serve() as client:
        assert line(client) == b"220\n"
        argv = ["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect"]
        with socket.create_server(("127.0.0.1", 0)) as listening:
            process = subprocess.Popen(
                [*argv, f"127.0.0.1:{listening.getsockname()[1]}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            theirs, _address = listening.accept()
        with theirs:
            theirs.settimeout(20)
            client.sendall(theirs.recv(4096))
            theirs.sendall(client.recv(4096))
        said = process.communicate(timeout=20)[0].decode()
    assert "Cipher is (NONE)" in said or "alert" in said
    assert tls.said.startswith("failed: unsupported protocol")
    assert "failed 127.0.0.1 unsupported protocol\n" in tls.heard()


def refused(tls: SmtpTls, context: ssl.SSLContext) -> str:
    """Return what the program says of a handshake that fails."""
    with tls.serve() as client:
        assert line(client) == b"220\n"
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(client)
    return tls.said


def test_no_cipher_in_common(tls: SmtpTls) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH-AES256-GCM-SHA384:@SECLEVEL=0")
    assert refused(tls, context).startswith("failed: no shared cipher")


def test_only_version_1_3_where_that_is_asked(start: Start) -> None:
    tls = start("-m", "1.3")
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert refused(tls, context).startswith("failed: unsupported protocol")


def test_a_handshake_that_stops(start: Start) -> None:
    tls = start("-h", "1")
    clients = [tcp_pair() for _number in range(40)]
    sessions = [tls.begin(served) for _client, served in clients]
    for control, _plain in sessions:
        control.send(b"G")
    for client, served in clients:
        served.close()
        client.sendall(b"\x16\x03")
    assert tls.offered()
    with tls.serve() as client, secured(tls, client) as secure:  # others have room
        secure.sendall(b"A")
        assert secure.recv(1) == b"a"
    for control, plain in sessions:
        assert control.recv(300) == b"Fthe handshake took too long"
        assert plain.recv(1) == b""
        control.close()
        plain.close()
    for client, _served in clients:
        client.close()


def test_a_program_that_leaves_in_the_handshake(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    control.close()
    plain.close()
    assert client.recv(100) == b""
    assert "the session was given up" in tls.heard()


def test_bytes_that_are_no_handshake(tls: SmtpTls) -> None:
    rng = random.Random(7)
    hello = hello_with_name(b"mx.example.test")
    for number in range(60):
        client, served = tcp_pair()
        control, plain = tls.begin(served)
        served.close()
        control.send(b"G")
        broken = bytearray(
            hello if number % 3 else b"EHLO client.example\r\nMAIL FROM:<>\r\n" + rng.randbytes(40)
        )
        for _change in range(rng.randrange(1, 6)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        client.sendall(broken[: rng.randrange(1, len(broken) + 1)])
        with contextlib.suppress(OSError):  # it has been refused already
            client.shutdown(socket.SHUT_WR)
        assert control.recv(300)[:1] == b"F"
        for one in (client, control, plain):
            one.close()
    assert "Sanitizer" not in tls.heard()


def test_renegotiation_is_refused(tls: SmtpTls) -> None:
    client, served = tcp_pair()
    control, plain = tls.begin(served)
    served.close()
    control.send(b"G")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        argv = ["openssl", "s_client", "-tls1_2", "-legacy_renegotiation", "-connect"]
        process = subprocess.Popen(
            [*argv, f"127.0.0.1:{listening.getsockname()[1]}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        theirs, _address = listening.accept()

    def pump(one: socket.socket, other: socket.socket) -> None:
        try:
            while block := one.recv(4096):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    threads = [threading.Thread(target=pump, args=both) for both in ((theirs, client), (client, theirs))]
    for thread in threads:
        thread.start()
    assert control.recv(300).startswith(b"ETLSv1.2 ")
    assert process.stdin is not None
    process.stdin.write(b"R\n")
    process.stdin.flush()
    time.sleep(0.5)
    plain.close()
    said = process.communicate(timeout=20)[0].decode()
    for thread in threads:
        thread.join(20)
    for one in (theirs, client, control):
        one.close()
    assert "no renegotiation" in said


def test_another_user_is_not_served(
    tls_programs: tuple[Path, Path], tmp_path: Path, certificates: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    tmp_path.chmod(0o755)
    tls = SmtpTls(tls_programs, tmp_path / "tls", certificates, serves=1)
    client, served = tcp_pair()
    try:
        tls.wait_offered()
        with pytest.raises((ConnectionError, AssertionError)):
            tls.begin(served)
    finally:
        tls.stop()
        client.close()
        served.close()


# --- certificates ---


def test_a_new_certificate_is_used_by_the_next_session(start: Start, tmp_path: Path) -> None:
    make_pair(tmp_path / "old", "ecdsa")
    make_pair(tmp_path / "new", "ecdsa")
    tls = start(directory=tmp_path / "old")
    with (
        tls.serve() as client,
        secured(tls, client, client_context(tmp_path / "old" / "certificate.pem")) as secure,
    ):
        tls.switch(tmp_path / "new")
        until(lambda: tls.heard().count("ready until") == 2)
        with (
            tls.serve() as other,
            secured(tls, other, client_context(tmp_path / "new" / "certificate.pem")) as one,
        ):
            one.sendall(b"NEW")
            assert one.recv(3) == b"new"
        secure.sendall(b"OLD")
        assert secure.recv(3) == b"old"


def test_a_broken_pair_leaves_the_old_one(start: Start, tmp_path: Path) -> None:
    make_pair(tmp_path / "old", "ecdsa")
    make_pair(tmp_path / "other", "ecdsa")
    broken = tmp_path / "broken"
    make_pair(broken, "ecdsa")
    (broken / "key.pem").write_bytes((tmp_path / "other" / "key.pem").read_bytes())
    tls = start(directory=tmp_path / "old")
    tls.switch(broken)
    until(lambda: "the certificate before stays in use" in tls.heard())
    with (
        tls.serve() as client,
        secured(tls, client, client_context(tmp_path / "old" / "certificate.pem")) as secure,
    ):
        secure.sendall(b"A")
        assert secure.recv(1) == b"a"
    assert tls.offered()


@pytest.mark.parametrize("what", slow_after_first(["missing", "empty", "mismatch", "unreadable"]))
def test_without_a_certificate_nothing_is_offered(start: Start, tmp_path: Path, what: str) -> None:
    directory = tmp_path / "certificates"
    certificate, key = make_pair(directory, "ecdsa")
    if what == "missing":
        key.unlink()
    elif what == "empty":
        certificate.write_text("")
    elif what == "unreadable":
        key.chmod(0)
        if os.geteuid() != 0:
            pytest.skip("the test's own user would own the key")
    else:
        key.write_bytes(make_pair(tmp_path / "other", "ecdsa")[1].read_bytes())
    tls = start(directory=directory, offered=False)
    until(lambda: "not offered: there is no certificate" in tls.heard())
    assert "trouble cannot use" in tls.heard()
    with tls.serve() as client:
        assert line(client) == b"no TLS\n"
    make_pair(tmp_path / "good", "ecdsa")
    tls.switch(tmp_path / "good")
    tls.wait_offered()


def test_an_expired_certificate_is_not_offered(start: Start, tmp_path: Path) -> None:
    make_pair(tmp_path / "certificates", days=(-9, -2))
    tls = start(directory=tmp_path / "certificates", offered=False)
    until(lambda: "not offered: its certificate has expired" in tls.heard())
    assert not tls.offered()


# --- its processes ---


def test_when_all_places_are_taken_it_is_not_offered(start: Start) -> None:
    tls = start("-n", "2", "-i", "2")
    with tls.serve() as client, secured(tls, client), tls.serve() as other:
        one = secured(tls, other)
        until(lambda: not tls.offered())
        with tls.serve() as third:
            assert line(third) == b"no TLS\n"
        one.close()
        tls.wait_offered()
    assert "not offered: all places are taken" in tls.heard()


def test_a_worker_that_waits_too_long_for_its_place_is_454(start: Start) -> None:
    tls = start("-n", "1")
    client, served = tcp_pair()
    os.kill(tls.workers()[0], signal.SIGSTOP)  # it cannot answer, while TLS is offered
    pid = tls.workers()[0]
    try:
        process = subprocess.Popen(as_nobody([tls.programs[1], tls.socket]), stdin=served.fileno())
        served.close()
        assert line(client) == b"454\n"
        process.wait(20)
    finally:
        os.kill(pid, signal.SIGCONT)
        client.close()


def test_killed_it_is_not_offered_and_started_it_is_again(start: Start) -> None:
    tls = start()
    with tls.serve() as client, secured(tls, client) as secure:
        tls.process.kill()
        tls.process.wait(20)
        assert not tls.offered()
        secure.sendall(b"GOES ON")  # a worker with a session ends after it
        assert secure.recv(7) == b"goes on"
        tls.start()
        tls.wait_offered()
        with tls.serve() as other, secured(tls, other) as one:
            one.sendall(b"A")
            assert one.recv(1) == b"a"


LOCK = """
import fcntl, sys
with open(sys.argv[1], "rb") as handle:
    print("waiting", flush=True)
    fcntl.lockf(handle, fcntl.LOCK_SH)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_who_may_read_the_offer_keeps_nobody_from_starting(start: Start) -> None:
    tls = start()
    argv = [sys.executable, "-c", LOCK, f"{tls.socket}.offer"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == b"waiting\n"
        tls.process.kill()
        tls.process.wait(20)
        assert reader.stdout.readline() == b"locked\n"
        tls.start()
        tls.wait_offered()
        reader.communicate()


def test_sigterm_ends_it_and_sessions_continue(start: Start) -> None:
    tls = start()
    idle = tls.workers()
    with tls.serve() as client, secured(tls, client) as secure:
        tls.stop()
        assert tls.process.returncode == 0
        secure.sendall(b"GOES ON")
        assert secure.recv(7) == b"goes on"
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in idle))


def test_a_killed_worker_ends_its_session_only(start: Start) -> None:
    tls = start("-n", "8", "-i", "1")
    with tls.serve() as client, secured(tls, client) as secure:
        before = set(tls.workers())
        secure.sendall(b"A")
        assert secure.recv(1) == b"a"
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: bool(set(tls.workers()) - before))
        with tls.serve() as other, secured(tls, other) as one:
            one.sendall(b"B")
            assert one.recv(1) == b"b"
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert secure.recv(1) == b""


@pytest.mark.slow
def test_a_worker_is_replaced_after_a_hundred(start: Start) -> None:
    tls = start("-i", "1", "-n", "1")
    first = tls.workers()
    for _number in range(101):
        client, served = tcp_pair()
        until(tls.offered)
        control, plain = tls.begin(served)
        for one in (control, plain, client, served):
            one.close()
    until(lambda: tls.workers() != first and len(tls.workers()) == 1)
