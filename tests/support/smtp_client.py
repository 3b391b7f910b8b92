# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw SMTP client: it sends the bytes it is told, from the address it is told, and judges nothing."""

from __future__ import annotations

import socket
import ssl

CLOSED = "closed"
SILENT = "no answer"


class Session:
    """One connection; every wait in it is bounded by `timeout_seconds`."""

    def __init__(self, source: str, address: str, port: int = 25, timeout_seconds: float = 60) -> None:
        self._buffer = b""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self._socket: socket.socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.bind((source, 0))
            self._socket.connect((address, port))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def secure(self, version: str) -> None:
        """Make a session of that version of TLS, 1.2 or 1.3, and no other; raise OSError where it fails.

        Any certificate is taken, as by a client that has no reason to want more.
        """
        if self._buffer:
            raise OSError(f"{self._buffer!r} came behind the reply to STARTTLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
        self._socket = context.wrap_socket(self._socket)

    def send(self, data: bytes) -> None:
        """Send bytes; a closed connection is noticed by the next reply()."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            pass

    def reply(self) -> str:
        """Return one whole reply, lines joined by newlines; CLOSED at the end, SILENT after the timeout."""
        lines = []
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                lines.append(line.rstrip(b"\r").decode("latin-1"))
                if lines[-1][3:4] != "-":
                    return "\n".join(lines)
                continue
            try:
                block = self._socket.recv(65536)
            except ConnectionResetError:
                block = b""
            except TimeoutError:
                return SILENT
            if not block:
                return CLOSED
            self._buffer += block


def stuffed(content: bytes) -> bytes:
    """Return `content` (CRLF lines, or empty) as DATA sends it: dots doubled, final dot (RFC 5321, 4.5.2)."""
    if content and not content.endswith(b"\r\n"):
        raise ValueError(f"content: {content[-10:]!r} is not a whole line; expected CRLF at the end")
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
