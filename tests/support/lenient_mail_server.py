# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server that accepts more than CRLF, dot, CRLF as the end of a message."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.conversations import BACKENDS, A
from support.gateway import Bed

GOOD = "alice@example.test"
FOREIGN = "carol@example.org"
QUIET_SECONDS = 0.5
SOON_SECONDS = 20.0
STRICT = (b"\r\n.\r\n",)
LENIENT = {
    "a line may end with LF": (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\n.\r", b"\r.\n"),
    "a line may end with CR": (b"\r.\r", b"\r.\r\n", b"\r\n.\r"),
    "NUL is nothing": (b"\n\0.\r\n", b"\n\0\0.\r\n", b"\n.\0\r\n", b"\n.\r\0\n", b"\r\0\n.\r\n"),
}


@dataclass
class LenientBackend:
    """An SMTP server that takes any of `ends` for the end of a message, and keeps messages and raw bytes."""

    address: str
    port: int
    ends: tuple[bytes, ...]
    messages: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.address, self.port))
        self._end = re.compile(b"|".join(re.escape(end) for end in sorted(self.ends, key=len, reverse=True)))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        buffer, whole, within = b"", b"", False
        with peer:
            peer.settimeout(SOON_SECONDS)
            peer.sendall(b"220 lenient.example ESMTP\r\n")
            while True:
                try:
                    block = peer.recv(65536)
                except OSError:
                    block = b""
                if not block:
                    self.raw.append(whole)
                    return
                whole += block
                buffer += block
                while True:
                    if within:
                        # The CRLF behind DATA may be the one before the dot.
                        found = self._end.search(b"\r\n" + buffer)
                        if not found:
                            break
                        self.messages.append(buffer[: max(found.start() - 2, 0)])
                        buffer, within = buffer[found.end() - 2 :], False
                        answer = b"250 kept\r\n"
                    else:
                        line, newline, rest = buffer.partition(b"\n")
                        if not newline:
                            break
                        buffer = rest
                        within = line.strip().upper() == b"DATA"
                        ends = line.strip().upper() == b"QUIT"
                        answer = b"354 go on\r\n" if within else b"221 bye\r\n" if ends else b"250 ok\r\n"
                    try:
                        peer.sendall(answer)
                    except OSError:
                        break


@contextmanager
def lenient(bed: Bed, ends: tuple[bytes, ...]) -> Iterator[LenientBackend]:
    """Replace exchange-a meanwhile."""
    bed.backends[A].stop()
    address, port = BACKENDS[A]
    server = LenientBackend(address, port, ends)
    try:
        yield server
    finally:
        server.close()
        bed.backends[A].start()


def nothing_else(bed: Bed) -> None:
    time.sleep(QUIET_SECONDS)
    assert bed.mailroom.take(lambda one: True) == []
