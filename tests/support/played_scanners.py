# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clamd and a spamd of the test's own on unix sockets: they keep what they get, and answer as told."""

from __future__ import annotations

import array
import os
import re
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What is done with a connection once the question is whole: the message that came with it is known.
Act = Callable[[socket.socket, bytes], None]

_BLOCK = 65536
_WAIT_SECONDS = 60.0


def says(text: bytes) -> Act:
    """Answer this, and close."""
    return lambda connection, message: connection.sendall(text)


def hangs(text: bytes = b"") -> Act:
    """Answer this, and wait until the client has gone."""

    def act(connection: socket.socket, message: bytes) -> None:
        connection.sendall(text)
        gone = select.poll()  # one that has only said its last word is still there
        gone.register(connection, 0)
        gone.poll(1000 * _WAIT_SECONDS)

    return act


def endless(text: bytes = b"") -> Act:
    """Answer this, and then as long as the client reads."""

    def act(connection: socket.socket, message: bytes) -> None:
        connection.sendall(text)
        while True:
            connection.sendall(b"\0" * _BLOCK)

    return act


def in_pieces(text: bytes) -> Act:
    """Answer this, each byte by itself."""

    def act(connection: socket.socket, message: bytes) -> None:
        for at in range(len(text)):
            connection.sendall(text[at : at + 1])

    return act


def listening(path: Path, backlog: int = 64) -> socket.socket:
    """Listen at a path, and take no connection: who connects hears nothing."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(backlog)
    return listener


class Played:
    """A daemon on a socket; it is there until `close()`."""

    def __init__(self, path: Path, act: Act) -> None:
        self.path = path
        self.act = act
        self._listener = listening(path)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(_WAIT_SECONDS)
        with connection, suppress(OSError):
            self.converse(connection)

    def converse(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def messages(self) -> list[bytes]:
        """Return what was asked about, in order."""
        raise NotImplementedError


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        block = connection.recv(min(_BLOCK, size - len(got)))
        if not block:
            raise OSError("the client has gone")
        got += block
    return got


@dataclass(frozen=True)
class Asked:
    """A question, by its command, and the message in it."""

    command: str
    message: bytes
    flags: int = -1  # of the descriptor


class PlayedClamd(Played):
    """clamd, which takes FILDES and INSTREAM; `by` has another behaviour for one of them."""

    def __init__(self, path: Path) -> None:
        self.asked: list[Asked] = []
        self.by: dict[str, Act] = {}
        super().__init__(path, says(b"stream: OK\0"))

    def converse(self, connection: socket.socket) -> None:
        command, fds = self._command(connection)
        if command == "zFILDES":
            self._by_descriptor(connection, fds)
        elif command == "zINSTREAM":
            message = b"".join(iter(lambda: self._chunk(connection), b""))
            self._answer(connection, Asked("INSTREAM", message))
        else:
            connection.sendall(b"UNKNOWN COMMAND\0")

    def messages(self) -> list[bytes]:
        return [one.message for one in self.asked if one.message]  # an empty one proves that clamd writes

    def _command(self, connection: socket.socket) -> tuple[str, list[int]]:
        fds = array.array("i")
        word = b""
        while not word.endswith(b"\0"):
            block, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(4 * fds.itemsize))
            if not block:
                raise OSError("the client has gone")
            word += block
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        return word[:-1].decode("latin-1"), list(fds)

    def _by_descriptor(self, connection: socket.socket, fds: list[int]) -> None:
        (fd,) = fds
        _exactly(connection, 1)  # the byte that the descriptor came with, or one more
        try:
            flags = _flags(fd)
            message = os.pread(fd, 1 << 30, 0)
        finally:
            os.close(fd)
        self._answer(connection, Asked("FILDES", message, flags))

    @staticmethod
    def _chunk(connection: socket.socket) -> bytes:
        return _exactly(connection, int.from_bytes(_exactly(connection, 4), "big"))

    def _answer(self, connection: socket.socket, asked: Asked) -> None:
        self.asked.append(asked)
        self.by.get(asked.command, self.act)(connection, asked.message)


def _flags(fd: int) -> int:
    """Return how a descriptor was opened, as O_ACCMODE has it."""
    text = Path(f"/proc/self/fdinfo/{fd}").read_text()
    found = re.search(r"^flags:\s+([0-7]+)$", text, re.MULTILINE)
    assert found, text
    return int(found[1], 8) & os.O_ACCMODE


Rewrite = Callable[[bytes], bytes]


def marked(fields: bytes, subject_tag: bytes = b"") -> Rewrite:
    """Return what SpamAssassin's PROCESS makes of a message: fields in front, the subject with its tag."""

    def process(message: bytes) -> bytes:
        end = 0 if message[:1] == b"\n" else message.find(b"\n\n") + 1 or len(message)
        head, rest = message[:end], message[end:]
        lines = re.findall(rb"[^\n]*\n(?:[ \t][^\n]*\n)*", head)
        if subject_tag:
            if not any(re.match(rb"subject:", line, re.IGNORECASE) for line in lines):
                lines.append(b"Subject: \n")
            for line in list(lines):
                if re.match(rb"subject:", line, re.IGNORECASE):
                    lines.append(b"X-Spam-Prev-" + line)
                    name, _, value = line.partition(b":")
                    lines[lines.index(line)] = name + b": " + subject_tag + b" " + value.lstrip(b" \t")
        front = b""
        if lines and re.match(rb"return-path:", lines[0], re.IGNORECASE):
            front = lines.pop(0)
        return front + fields + b"".join(lines) + rest

    return process


def headers_of(whole: bytes) -> bytes:
    """Return what HEADERS gives of what PROCESS gives: all up to the first empty line."""
    return re.sub(rb"(\r?\n\r?\n).*\Z", rb"\1", whole, flags=re.DOTALL)


def judged(score: str, verdict: str = "No", required: str = "5.0", process: Rewrite | None = None) -> Act:
    """Answer as spamd does, with the header that PROCESS would give."""
    given = process or marked(f"X-Spam-Status: {verdict}, score={score} required={required}\n".encode())

    def act(connection: socket.socket, message: bytes) -> None:
        header = headers_of(given(message))
        spam = "True" if verdict == "Yes" else "False"
        connection.sendall(answer(header, f"{spam} ; {score} / {required}"))

    return act


def answer(
    header: bytes, verdict: str, *, status: str = "SPAMD/1.1 0 EX_OK", length: int | None = None
) -> bytes:
    """Return an answer to HEADERS."""
    said = len(header) if length is None else length
    return f"{status}\r\nContent-length: {said}\r\nSpam: {verdict}\r\n\r\n".encode() + header


class PlayedSpamd(Played):
    """spamd, which takes HEADERS; `asked` has the messages, and `heads` the lines in front of them."""

    def __init__(self, path: Path) -> None:
        self.asked: list[bytes] = []
        self.heads: list[str] = []
        super().__init__(path, judged("1.2"))

    def converse(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(connection, 1)
        found = re.fullmatch(rb"HEADERS SPAMC/1\.5\r\nContent-length: ([0-9]+)\r\n(?:.*\r\n)*\r\n", head)
        if not found:
            connection.sendall(b"SPAMD/1.0 76 Bad header line: (no such command)\r\n")
            return
        message = _exactly(connection, int(found[1]))
        self.heads.append(head.decode("latin-1"))
        self.asked.append(message)
        self.act(connection, message)

    def messages(self) -> list[bytes]:
        return list(self.asked)
