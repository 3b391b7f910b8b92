# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that may begin TLS, and a session of the real qmail-smtpd as tcpserver starts it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from support.smtpfront_programs import GREETING, Gateway, Message, as_nobody
from support.smtptls import client_context, line

SOURCE = "127.0.0.4"
T = TypeVar("T", bound="Session")


class Client:
    """An SMTP client that reads no byte more than it is asked for, so that none of TLS is taken."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(40)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def reply(self) -> str:
        """Return the next reply, all of its lines, without the last end of line; '' at the end."""
        lines: list[bytes] = []
        while not lines or lines[-1][3:4] == b"-":
            lines.append(line(self.socket))
        return b"".join(lines).decode().removesuffix("\r\n")

    def say(self, command: str) -> str:
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def starttls(self, context: ssl.SSLContext | None = None, name: str | None = None) -> None:
        reply = self.say("STARTTLS")
        assert reply.startswith("220 "), reply
        self.socket = (context or client_context()).wrap_socket(self.socket, server_hostname=name)

    def terms(self) -> tuple[str, str]:
        """Return version and cipher."""
        assert isinstance(self.socket, ssl.SSLSocket)
        cipher = self.socket.cipher()
        assert cipher
        return str(self.socket.version()), cipher[0]

    def rest(self) -> bytes:
        """Return everything up to the end, be it a reset."""
        heard = b""
        while True:
            try:
                block = self.socket.recv(65536)
            except ConnectionError:
                return heard
            if not block:
                return heard
            heard += block

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def connected(source: str, address: str) -> Iterator[Client]:
    """Connect from a source to port 25 of an address, and hear the greeting."""
    with socket.create_connection((address, 25), 60, (source, 0)) as connection:
        client = Client(connection)
        assert client.reply().startswith("220 ")
        yield client
        client.close()


def letter(
    client: Client, data: bytes, recipient: str = "ann@example.com", sender: str = "sender@client.example"
) -> str:
    """Send a message, its bytes as they are up to the final dot; return the last reply."""
    for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
        reply = client.say(command)
        assert reply.startswith("250 "), reply
    assert client.say("DATA").startswith("354 ")
    client.send(data)
    return client.reply()


class Session:
    """A program on a connection of TCP that is its descriptors 0 and 1, as tcpserver starts it."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            served, _peer = listening.accept()
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        with served:
            self.inode = os.fstat(served.fileno()).st_ino
            self.process = subprocess.Popen(
                argv, stdin=served.fileno(), stdout=served.fileno(), stderr=self.log, env=environment
            )
        self.client = Client(client)

    def __enter__(self: T) -> T:
        assert self.client.reply().startswith("220 ")
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()
        self.ended()
        self.log.close()

    def holds_the_client(self) -> bool:
        """Return whether a descriptor of its is the client's socket."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        return f"socket:[{self.inode}]" in [os.readlink(fds / name) for name in os.listdir(fds)]

    def ended(self) -> list[str]:
        """Wait for the end; return the lines of the log."""
        self.process.wait(60)
        self.log.seek(0)
        lines = self.log.read().decode().splitlines()
        assert not [line for line in lines if "Sanitizer" in line or "runtime error" in line], lines
        return lines


class SmtpdSession(Session):
    """The real qmail-smtpd."""

    def __init__(self, gate: Gateway, **environment: str) -> None:
        self.gate = gate
        given = {
            **gate.environment,
            "PROTO": "TCP",
            "TCPREMOTEIP": SOURCE,
            "TCPLOCALIP": "127.0.0.1",
            "TCPLOCALHOST": GREETING,
            **environment,
        }
        super().__init__(as_nobody([gate.programs.home / "bin" / "qmail-smtpd"]), given)

    def messages(self) -> list[Message]:
        return self.gate.messages()
