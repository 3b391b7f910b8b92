# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""smtptls with certificates of the test, and programs and clients of it, on the loopback."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from support.c_programs import INCLUDES, SANITIZE, STRICT, TESTS, gcc, needed, sources
from support.smtpfront_programs import as_nobody, until

LIBRARIES = ("-lssl", "-lcrypto")


def compile_smtptls(directory: Path) -> tuple[Path, Path]:
    """Return smtptls and tlsuser, a program that asks it."""
    flags = ["-std=gnu11", *STRICT, *SANITIZE, *INCLUDES]
    gcc(*flags, *sources("smtptls"), "-o", directory / "smtptls", *LIBRARIES)
    user = TESTS / "tlsuser.c"
    gcc(*flags, user, *needed(user), "-o", directory / "tlsuser")
    return directory / "smtptls", directory / "tlsuser"


class SmtpTls:
    """One smtptls, which serves its own user and one other: us. Its certificates are behind a symlink.

    It runs at once; as a context it offers TLS, and at the end no sanitizer has said anything.
    """

    def __init__(
        self,
        programs: tuple[Path, Path],
        place: Path,
        certificates: Path,
        *options: str,
        serves: int | None = None,
    ) -> None:
        self.programs = programs
        self.place = place
        place.mkdir()
        place.chmod(0o777)
        self.socket = place / "socket"
        self.current = place / "current"
        self.current.symlink_to(certificates)
        self.log = place / "log"
        self.options = ("-u", str(os.geteuid() if serves is None else serves), *options)
        self.start()

    def __enter__(self) -> SmtpTls:
        try:
            self.wait_offered()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        assert "Sanitizer" not in self.heard()

    def start(self) -> None:
        argv = [self.programs[0], "-s", self.socket, "-c", self.current, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(as_nobody(argv), stderr=log)

    def heard(self) -> str:
        return self.log.read_text()

    def offered(self) -> bool:
        """Return whether it offers TLS, and lives to keep what it offers."""
        try:
            fd = os.open(f"{self.socket}.offer", os.O_RDONLY)
        except OSError:
            return False
        try:
            asked = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            held = struct.unpack("hhqqi", fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0]
            return os.read(fd, 1) == b"1" and held == fcntl.F_WRLCK
        finally:
            os.close(fd)

    def wait_offered(self) -> None:
        until(self.offered)

    def switch(self, certificates: Path) -> None:
        new = self.place / "new"
        new.symlink_to(certificates)
        new.replace(self.current)

    def begin(self, client: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Ask for a session with a client; return the connection to smtptls and the plain end."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(20)
        control.connect(str(self.socket))
        socket.send_fds(control, [b"B"], [client.fileno()])
        said, fds, _flags, _address = socket.recv_fds(control, 300, 1)
        assert (said, len(fds)) == (b"T", 1)
        plain = socket.socket(fileno=fds[0])
        plain.settimeout(20)
        return control, plain

    @contextlib.contextmanager
    def serve(self) -> Iterator[socket.socket]:
        """Yield a client that has heard 220 from tlsuser."""
        client, served = tcp_pair()
        with served:
            process = subprocess.Popen(
                as_nobody([self.programs[1], self.socket]), stdin=served.fileno(), stderr=subprocess.PIPE
            )
        try:
            yield client
        finally:
            client.close()
            _out, said = process.communicate(timeout=40)
            self.said = said.decode()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def workers(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        served, _peer = listening.accept()
    client.settimeout(20)
    return client, served


def client_context(certificate: Path | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return the terms of a client; a certificate is what it verifies, a version the only one it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if certificate else ssl.CERT_NONE
    if certificate:
        context.load_verify_locations(certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def line(client: socket.socket) -> bytes:
    """Return what smtptls's program says before TLS, byte by byte, so that nothing of TLS is taken."""
    heard = b""
    while not heard.endswith(b"\n"):
        byte = client.recv(1)
        if not byte:
            break
        heard += byte
    return heard


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
