# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON requests over the machine's own unix sockets, whose peer the kernel identifies.

A request is one line of JSON, the answer is one line, and then the connection is closed. Each side has a
limit on how long it waits and how much it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

from .errors import BadInput, TryAgain

OTHER_USER = "another user listens there"
ENDLESS = "the answer does not end"
NO_OBJECT = "the answer is not a JSON object"
_BLOCK_BYTES = 1 << 20
_DRAIN_SECONDS = 0.2
_DRAIN_BLOCKS = 64
_LINE_SECONDS = 0.02


class NoAnswer(TryAgain):
    """The service did not answer, or could not carry out the request now."""


class BadPeer(Exception):
    """The peer is not trusted, or its answer is not valid; reason is OTHER_USER, ENDLESS or NO_OBJECT."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def listen(path: str, backlog: int) -> socket.socket:
    """Return a listening stream socket that only its owner can reach; a socket left at path is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(old)
    listener.listen(backlog)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process on the other side of a unix socket."""
    size = struct.calcsize("3i")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])


def parse_json(data: bytes) -> Any:
    """Parse JSON of an untrusted peer; raises BadInput."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput("request: is not valid JSON; expected one object on one line") from error


def ask(
    path: str, request: Mapping[str, object], users: Collection[int], seconds: float, bytes_max: int
) -> dict[str, Any]:
    """Return the answer of the service that listens at path, which must run as one of the users.

    The whole answer must arrive within the seconds. Raises BadPeer, and OSError when nobody listens or the
    time is over.
    """
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        _connect(connection, path, end)
        if peer_uid(connection) not in users:
            raise BadPeer(OTHER_USER)
        # A service may refuse before it has read the request, and its answer says why.
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(_line(request))
        data = _read_answer(connection, end, bytes_max)
    try:
        answer = parse_json(data)
    except BadInput as error:
        raise BadPeer(NO_OBJECT) from error
    if not isinstance(answer, dict):
        raise BadPeer(NO_OBJECT)
    return answer


def _connect(connection: socket.socket, path: str, end: float) -> None:
    """Connect, waiting while more callers than the service has accepted stand in line; raises OSError."""
    while True:
        try:
            return connection.connect(path)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(_LINE_SECONDS)


def _read_answer(connection: socket.socket, end: float, bytes_max: int) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while block := _receive(connection, _BLOCK_BYTES, end):
        blocks.append(block)
        size += len(block)
        if size > bytes_max:
            raise BadPeer(ENDLESS)
    return b"".join(blocks)


def receive_request(connection: socket.socket, seconds: float, bytes_max: int) -> bytes:
    """Return the one line of a request, without its end; raises BadInput, and OSError of the connection."""
    end = time.monotonic() + seconds
    data = b""
    while b"\n" not in data:
        try:
            block = _receive(connection, bytes_max + 1 - len(data), end)
        except socket.timeout as error:
            raise BadInput(f"request: no whole line within {seconds:g} s; expected one object") from error
        data += block
        if len(data) > bytes_max:
            raise BadInput(f"request: is too long; expected at most {bytes_max} bytes")
        if not block:
            raise BadInput("request: ends without a newline; expected one object on one line")
    line, _newline, rest = data.partition(b"\n")
    if rest:
        raise BadInput("request: goes on after its line; expected one object on one line")
    return line


def send_answer(connection: socket.socket, answer: Mapping[str, object], seconds: float) -> None:
    """Send the answer and wait briefly for the other side to close; errors of the connection are ignored."""
    with contextlib.suppress(OSError):
        connection.settimeout(seconds)
        connection.sendall(_line(answer))
        # Without this wait the kernel would discard the answer when the peer has sent bytes that were not
        # read.
        connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + _DRAIN_SECONDS
        for _dummy in range(_DRAIN_BLOCKS):
            if not _receive(connection, _BLOCK_BYTES, end):
                break


class Farewells:
    """Refused connections: each is answered at once, and closed when its peer has read that, or soon.

    Nobody waits for a refused peer, and of many the oldest are closed at once.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._open: list[tuple[float, socket.socket]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="farewells", daemon=True).start()

    def add(self, connection: socket.socket, answer: Mapping[str, object]) -> None:
        """Answer and take over a connection."""
        try:
            connection.setblocking(False)
            connection.send(_line(answer))
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            connection.close()
            return
        with self._changed:
            self._open.append((time.monotonic() + _DRAIN_SECONDS, connection))
            while len(self._open) > self._most:
                self._open.pop(0)[1].close()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open)
                waiting = list(self._open)
            try:
                ready, _writing, _trouble = select.select([one for _end, one in waiting], [], [], 0.05)
            except (OSError, ValueError):
                ready = []  # one was closed meanwhile
            with self._changed:
                now = time.monotonic()
                self._open = [
                    (end, one) for end, one in self._open if now < end and not (one in ready and _ended(one))
                ]
                kept = {id(one) for _end, one in self._open}
                for _end, one in waiting:
                    if id(one) not in kept:
                        one.close()


def _ended(connection: socket.socket) -> bool:
    """Read what is there of a non-blocking connection; return whether its peer has closed it."""
    try:
        return connection.recv(_BLOCK_BYTES) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


def _receive(connection: socket.socket, bytes_max: int, end: float) -> bytes:
    """Return the next bytes, b"" at the end; raises socket.timeout when the monotonic clock passes end."""
    left = end - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    connection.settimeout(left)
    return connection.recv(bytes_max)
