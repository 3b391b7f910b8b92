# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine that is played: a server that reads Redis' commands and answers with the bytes of a test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

OK = b"+OK\r\n"
Answer = Callable[[list[bytes]], bytes]


def bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


def array(*items: bytes) -> bytes:
    return b"*%d\r\n%s" % (len(items), b"".join(items))


class PlayedEngine:
    """Answers each command but those of the connection's beginning by a function; keeps what it was asked."""

    def __init__(self, answer: Answer, path: str = "", context: ssl.SSLContext | None = None) -> None:
        self.asked: list[list[bytes]] = []
        self.connections = 0
        self._answer, self._context = answer, context
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.port = 0 if path else self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _name = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            raw = connection
            if self._context is not None:
                raw = self._context.wrap_socket(connection, server_side=True)
            with raw, raw.makefile("rwb") as stream:
                self._talk(stream)

    def _talk(self, stream: Any) -> None:
        while line := stream.readline():
            words = []
            for _number in range(int(line[1:])):
                size = int(stream.readline()[1:])
                words.append(stream.read(size + 2)[:-2])
            self.asked.append(words)
            beginning = words[0].upper() in (b"AUTH", b"CLIENT", b"SELECT")
            stream.write(OK if beginning else self._answer(words))
            stream.flush()


class AnswersFromMemory:
    """What an engine answers to the few commands of the fleet; it keeps in memory what it is told."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.streams: dict[bytes, list[tuple[int, list[bytes]]]] = {}
        self._number = 0
        self._changed = threading.Condition()

    def __call__(self, words: list[bytes]) -> bytes:
        do = words[0].upper()
        with self._changed:
            if do == b"GET":
                return bulk(self.values.get(words[1]))
            if do == b"SET":
                self.values[words[1]] = words[2]
                return OK
            if do == b"TIME":
                seconds, rest = f"{time.time():.6f}".split(".")
                return array(bulk(seconds.encode()), bulk(rest.encode()))
            if do == b"XADD":
                return self._append(words)
            if do == b"XREAD":
                return self._read(words)
            if do == b"XREVRANGE":
                return array(*(self._entry(one) for one in self.streams.get(words[1], [])[-1:]))
            if do in (b"DEL", b"EXPIRE"):
                return b":1\r\n"
        return b"-ERR unknown command\r\n"

    def _append(self, words: list[bytes]) -> bytes:
        fields = words[words.index(b"*") + 1 :]
        self._number += 1
        self.streams.setdefault(words[1], []).append((self._number, fields))
        self._changed.notify_all()
        return bulk(b"%d-0" % self._number)

    def _read(self, words: list[bytes]) -> bytes:
        key, after = words[-2], int(words[-1].partition(b"-")[0])
        wait = int(words[words.index(b"BLOCK") + 1]) / 1000 if b"BLOCK" in words else 0

        def found() -> list[tuple[int, list[bytes]]]:
            return [one for one in self.streams.get(key, []) if one[0] > after][:100]

        self._changed.wait_for(lambda: bool(found()), wait)
        there = found()
        return array(array(bulk(key), array(*map(self._entry, there)))) if there else b"*-1\r\n"

    @staticmethod
    def _entry(one: tuple[int, list[bytes]]) -> bytes:
        return array(bulk(b"%d-0" % one[0]), array(*map(bulk, one[1])))
