# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers in the place of the back ends that say yes to everything and keep every byte.

What a server takes for a command depends on where it sees the end of a line.  conversation() reads the same
bytes as one that ends lines by CRLF alone, by LF or CRLF, and by CR or CRLF.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.conversations import BACKENDS
from support.gateway import Bed

PATIENCE_SECONDS = 20.0
LAG_SECONDS = 0.1  # from the client's end of a session to the server's thread
READINGS = {"CRLF": rb"\r\n", "LF": rb"\r?\n", "CR": rb"\r\n?"}


@dataclass
class Conversation:
    """What one server understood of a session: its commands, and the lines of its messages."""

    commands: list[bytes] = field(default_factory=list)
    messages: list[list[bytes]] = field(default_factory=list)


def conversation(raw: bytes, end: str) -> Conversation:
    """Read a client's bytes with lines that end as READINGS[end] says."""
    found, within = Conversation(), False
    for line in re.split(READINGS[end], raw):
        if within:
            within = line != b"."
            if within:
                found.messages[-1].append(line)
        elif line:
            found.commands.append(line)
            within = line.upper() == b"DATA"
            if within:
                found.messages.append([])
    return found


class Sink:
    """A server at address:port that takes everything, or refuses every message."""

    def __init__(self, address: str, port: int, refuse: str = "") -> None:
        self._raw: list[bytes] = []
        self._open = 0
        self._changed = threading.Condition()
        self.refuse = refuse  # the reply to a message, in place of 250
        self._socket = socket.create_server((address, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def raw(self) -> list[bytes]:
        """The bytes of each session, in the order in which they ended, once none is open."""
        time.sleep(LAG_SECONDS)
        with self._changed:
            assert self._changed.wait_for(lambda: self._open == 0, PATIENCE_SECONDS), "a session does not end"
            return list(self._raw)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with self._changed:
                self._open += 1
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        whole, told = b"", 0
        with peer:
            peer.settimeout(PATIENCE_SECONDS)
            peer.sendall(b"220 sink.example ESMTP\r\n")
            while True:
                try:
                    block = peer.recv(65536)
                except OSError:
                    block = b""
                if not block:
                    break
                whole += block
                replies = self._replies(whole)
                try:
                    peer.sendall(b"".join(replies[told:]))
                except OSError:
                    break
                told = len(replies)
        with self._changed:
            self._raw.append(whole)
            self._open -= 1
            self._changed.notify_all()

    def _replies(self, whole: bytes) -> list[bytes]:
        """Return what a strict server has said so far."""
        replies, within = [], False
        for line in whole.split(b"\r\n")[:-1]:
            if within and line != b".":
                continue
            if within:
                within = False
                replies.append((self.refuse or "250 kept").encode("ascii") + b"\r\n")
            elif line.upper() == b"DATA":
                within = True
                replies.append(b"354 go on\r\n")
            else:
                replies.append(b"221 bye\r\n" if line.upper() == b"QUIT" else b"250 ok\r\n")
        return replies


@contextmanager
def sinks(bed: Bed, refuse: dict[str, str] | None = None) -> Iterator[dict[str, Sink]]:
    """Replace all back ends meanwhile; refuse has a back end's reply to each message."""
    made = {}
    for title, backend in bed.backends.items():
        backend.stop()
        made[title] = Sink(*BACKENDS[title], refuse=(refuse or {}).get(title, ""))
    try:
        yield made
    finally:
        for title, sink in made.items():
            sink.close()
            bed.backends[title].start()
