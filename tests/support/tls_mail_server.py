# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mail server that does with STARTTLS what a test wants, and keeps what each connection brought."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

PATIENCE_SECONDS = 60.0
_Versions = tuple[ssl.TLSVersion, ssl.TLSVersion]
ANY_VERSION = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
Stream = Union[socket.socket, ssl.SSLSocket]


@dataclass
class Connection:
    """One connection: its commands, those before TLS with plain in front, its messages, and its TLS."""

    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    version: str = ""
    server_name: str = ""


@dataclass
class Ways:
    """How a server behaves."""

    certificate: Path | None = None  # with its key in the same file; None: no STARTTLS is offered
    versions: _Versions = ANY_VERSION
    answer: bytes = b"220 go ahead\r\n"  # to STARTTLS
    handshake: str = "yes"  # or: stall, close
    client_certificate: bool = False  # demanded, and qmail-remote has none
    after_tls: str = ""  # hang up at this command inside TLS
    in_plain: dict[str, str] = field(default_factory=dict)  # other replies in plain text, by verb
    ehlo: str = "yes"  # or: close
    endless: str = ""  # the verb whose reply has no last line
    # Other replies, byte by byte: by verb, "tls" and a blank before it inside TLS; "" for the greeting, "."
    # for that to the message. After one that does not end with LF it hangs up.
    raw: dict[str, bytes] = field(default_factory=dict)


class TlsMailServer:
    """A server at an address; connections() has what came."""

    def __init__(self, ways: Ways, address: str = "127.0.0.1", port: int = 0) -> None:
        self.ways = ways
        self._context = self._make_context()
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._connections: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = threading.Thread(target=self._accept, daemon=True)
        self._listener.start()

    def _make_context(self) -> ssl.SSLContext | None:
        if self.ways.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")  # old versions of TLS, too
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of old versions
            context.minimum_version, context.maximum_version = self.ways.versions
        context.load_cert_chain(self.ways.certificate)
        if self.ways.client_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ways.certificate)
        return context

    def __enter__(self) -> TlsMailServer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connections()

    def connections(self) -> list[Connection]:
        """Return every connection, after the end of the last one; no more are taken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._listener.join(PATIENCE_SECONDS)
        for peer in self._open:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RD)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a session does not end"
        return self._connections

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            peer.settimeout(PATIENCE_SECONDS)
            connection = Connection()
            self._connections.append(connection)
            self._open.append(peer)
            thread = threading.Thread(target=self._talk, args=(peer, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, peer: socket.socket, connection: Connection) -> None:
        stream: Stream = peer
        with contextlib.suppress(OSError, ValueError):
            goes_on = self._say(stream, "", connection, b"220 mx.example.test ESMTP\r\n")
            while goes_on:
                line = _line(stream)
                if not line:
                    break
                verb = line.split(" ")[0].split(":")[0].upper()
                connection.commands.append(line if connection.version else f"plain {line}")
                if verb == "STARTTLS" and self.ways.certificate:
                    stream.sendall(self.ways.answer)
                    if not self.ways.answer.startswith(b"220"):
                        continue
                    made = self._handshake(peer, connection)
                    if made is None:
                        break
                    stream = made
                    continue
                goes_on = self._answer(stream, verb, connection)
        with contextlib.suppress(OSError):
            stream.close()
        peer.close()

    def _handshake(self, peer: socket.socket, connection: Connection) -> Stream | None:
        if self.ways.handshake == "stall":
            while peer.recv(4096):
                pass
            return None
        if self.ways.handshake == "close":
            peer.recv(4096)
            return None

        def asked(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            connection.server_name = name or ""

        assert self._context
        self._context.sni_callback = asked
        made = self._context.wrap_socket(peer, server_side=True)
        connection.version = made.version() or ""
        return made

    def _say(self, stream: Stream, verb: str, connection: Connection, reply: bytes) -> bool:
        """Say a reply, or the other one in its place; return whether the session goes on."""
        reply = self.ways.raw.get(f"tls {verb}" if connection.version else verb, reply)
        stream.sendall(reply)
        return reply.endswith(b"\n")

    def _answer(self, stream: Stream, verb: str, connection: Connection) -> bool:
        if connection.version and verb == self.ways.after_tls:
            return False
        other = "" if connection.version else self.ways.in_plain.get(verb, "")
        if verb == "EHLO" and self.ways.ehlo == "close":
            return False
        while verb == self.ways.endless:
            stream.sendall(b"250-and\r\n")
            time.sleep(0.1)
        if other:
            stream.sendall(f"{other}\r\n".encode())
        elif verb == "EHLO":
            offer = b"250-STARTTLS\r\n" if self.ways.certificate and not connection.version else b""
            reply = b"250-mx.example.test\r\n" + offer + b"250 8BITMIME\r\n"
            return self._say(stream, verb, connection, reply)
        elif verb == "DATA":
            if not self._say(stream, verb, connection, b"354 go on\r\n"):
                return False
            message = b""
            while not message.endswith(b"\r\n.\r\n"):
                got = stream.recv(65536)
                if not got:
                    return False
                message += got
            connection.messages.append(message[: -len(b".\r\n")])
            return self._say(stream, ".", connection, b"250 kept\r\n")
        elif verb == "QUIT":
            stream.sendall(b"221 bye\r\n")
            return False
        else:
            return self._say(stream, verb, connection, b"250 ok\r\n")
        return True


def _line(stream: Stream) -> str:
    """Return the next line, or '' at the end; byte by byte, so that what follows stays where it is."""
    line = b""
    while not line.endswith(b"\n"):
        got = stream.recv(1)
        if not got:
            return ""
        line += got
    return line.decode("latin-1").rstrip("\r\n")
