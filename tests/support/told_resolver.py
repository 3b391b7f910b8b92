# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A resolver on the loopback that says what it is told, by UDP and TCP, be it wrong or nothing at all."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

A, CNAME, PTR, AAAA = 1, 5, 12, 28
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in name.split(".")) + b"\0"


def record(name: str, kind: int, content: bytes) -> bytes:
    return wire(name) + struct.pack(">HHIH", kind, 1, 300, len(content)) + content


def a(name: str, address: str) -> bytes:
    return record(name, A, socket.inet_aton(address))


class Validated(list[bytes]):
    """Answers that a validating resolver vouches for; none: that there is no such record."""


Records = dict[tuple[str, int], "list[bytes] | bytes | int | None"]
CUT = b"ID\x83\x80\0\1\0\0\0\0\0\0QUESTION"  # TC is set, and nothing of the answer is there


def question(packet: bytes) -> tuple[str, int, bytes]:
    """Name, type, and both of them as they stand in the packet."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("latin-1"))
        at += 1 + packet[at]
    return ".".join(labels), int.from_bytes(packet[at + 1 : at + 3], "big"), packet[12 : at + 5]


def answer(packet: bytes, said: list[bytes] | bytes | int) -> bytes:
    name_and_type = question(packet)[2]
    if isinstance(said, bytes):  # as it is
        return said.replace(b"ID", packet[:2]).replace(b"QUESTION", name_and_type)
    code, answers = (said, []) if isinstance(said, int) else (NOERROR, said)
    validated = 0x20 if isinstance(said, Validated) else 0
    head = struct.pack(">HHHHH", 0x8180 | validated | code, 1, len(answers), 0, 0)
    return packet[:2] + head + name_and_type + b"".join(answers)


class Resolver(threading.Thread):
    """Answers with `records` of (name, type); what is not in there is NXDOMAIN, None is silence.

    By TCP it answers with what is in `by_tcp`; one that is bytes is sent as it is.
    """

    def __init__(
        self, port: int, records: Records, by_tcp: Records | None = None, pieces: int = 1 << 20
    ) -> None:
        super().__init__(daemon=True)
        self.records = records
        self.by_tcp = by_tcp
        self.pieces = pieces
        self.asked: list[tuple[str, int]] = []
        self.asked_by_tcp: list[tuple[str, int]] = []
        self.seen: list[tuple[int, int]] = []  # the port and the number of each datagram
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.1)
        self._connections: list[socket.socket] = []
        self._listening = None if by_tcp is None else socket.create_server(("127.0.0.1", port))

    def run(self) -> None:
        if self._listening:
            threading.Thread(target=self._listen, daemon=True).start()
        while not self._ended.is_set():
            try:
                packet, peer = self._socket.recvfrom(1500)
            except TimeoutError:
                continue
            name, kind, _both = question(packet)
            self.asked.append((name, kind))
            self.seen.append((peer[1], int.from_bytes(packet[:2], "big")))
            said = self.records.get((name, kind), NXDOMAIN)
            if said is not None:
                self._socket.sendto(answer(packet, said), peer)

    def _listen(self) -> None:
        assert self._listening
        while not self._ended.is_set():
            try:
                connection, _peer = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        assert self.by_tcp is not None
        packet = connection.recv(2, socket.MSG_WAITALL)
        packet = connection.recv(int.from_bytes(packet, "big"), socket.MSG_WAITALL)
        name, kind, _both = question(packet)
        self.asked_by_tcp.append((name, kind))
        said = self.by_tcp.get((name, kind), NXDOMAIN)
        if said is None:  # it stays open, and silent
            self._connections.append(connection)
            return
        whole = answer(packet, said)
        if not isinstance(said, bytes):
            whole = len(whole).to_bytes(2, "big") + whole
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(whole), self.pieces):
                connection.sendall(whole[at : at + self.pieces])
                if self.pieces < len(whole):
                    time.sleep(0.001)

    def __enter__(self) -> Resolver:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(10)
        self._socket.close()
        if self._listening:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for connection in self._connections:
            connection.close()
