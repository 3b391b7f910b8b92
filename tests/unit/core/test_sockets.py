# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON over a unix socket, with the other side as bad as can be."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import sockets
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput

Peer = Callable[[socket.socket], None]
ME = os.geteuid()
BYTES_MAX = 100_000


@contextlib.contextmanager
def peer(tmp_path: Path, behave: Peer) -> Iterator[str]:
    """Start a service that behaves as told with its one caller, until the caller is gone."""
    path = str(tmp_path / "socket")
    listener = sockets.listen(path, 1)
    listener.settimeout(20)

    def serve() -> None:
        connection = listener.accept()[0]
        connection.settimeout(20)
        with connection, contextlib.suppress(OSError):
            behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path
    finally:
        thread.join(30)
        listener.close()
        assert not thread.is_alive(), "the peer still waits for its caller"


def ask(path: str, seconds: float = 20.0) -> dict[str, object]:
    return sockets.ask(path, {"do": "list"}, (ME,), seconds, BYTES_MAX)


def says(*parts: bytes) -> Peer:
    def behave(connection: socket.socket) -> None:
        connection.recv(65_536)
        for part in parts:
            connection.sendall(part)

    return behave


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b" " * 65_536)


def silent(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def dripping(connection: socket.socket) -> None:
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


# Who asks.


def test_question_and_answer_are_one_line_each(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        heard.append(connection.recv(65_536))
        connection.sendall(b'{"entries":')
        connection.sendall(b" []}\n")

    with peer(tmp_path, behave) as path:
        assert ask(path) == {"entries": []}
    assert heard == [b'{"do": "list"}\n']


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (endless, sockets.ENDLESS),
        (says(b" " * (BYTES_MAX + 1)), sockets.ENDLESS),
        (says(), sockets.NO_OBJECT),
        (says(b'{"entries": ['), sockets.NO_OBJECT),
        (says(b"no JSON\n"), sockets.NO_OBJECT),
        (says(b"\xff\n"), sockets.NO_OBJECT),
        (says(b"[" * 90_000), sockets.NO_OBJECT),
        (says(b"{}\n{}\n"), sockets.NO_OBJECT),
        (says(b"[]\n"), sockets.NO_OBJECT),
        (says(b"null\n"), sockets.NO_OBJECT),
    ],
)
def test_an_answer_that_makes_no_sense(behave: Peer, reason: str, tmp_path: Path) -> None:
    with peer(tmp_path, behave) as path, pytest.raises(sockets.BadPeer) as caught:
        ask(path)
    assert caught.value.reason == reason


def test_an_answer_of_just_as_many_bytes_is_taken(tmp_path: Path) -> None:
    with peer(tmp_path, says(b'{"a": 1}'.ljust(BYTES_MAX))) as path:
        assert ask(path) == {"a": 1}


@pytest.mark.parametrize("behave", [silent, dripping])
def test_an_answer_that_does_not_come_in_time(behave: Peer, tmp_path: Path) -> None:
    with peer(tmp_path, behave) as path, pytest.raises(OSError, match="timed out"):
        ask(path, 0.3)


def test_another_user_is_told_nothing(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with peer(tmp_path, lambda connection: heard.append(connection.recv(65_536))) as path:
        with pytest.raises(sockets.BadPeer) as caught:
            sockets.ask(path, {"do": "list"}, (ME + 1,), 20, BYTES_MAX)
        assert caught.value.reason == sockets.OTHER_USER
    assert heard == [b""]


def test_a_refusal_before_the_request_was_read_is_heard(tmp_path: Path) -> None:
    closed = threading.Event()

    def behave(connection: socket.socket) -> None:
        connection.sendall(b'{"error": "too many"}\n')
        connection.close()
        closed.set()

    class Slow(dict[str, object]):
        """A request that is written only when the service has gone."""

        def items(self):  # type: ignore[no-untyped-def]
            closed.wait(20)
            return super().items()

    with peer(tmp_path, behave) as path:
        assert sockets.ask(path, Slow(do="list"), (ME,), 20, BYTES_MAX) == {"error": "too many"}


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / "none"))
    sockets.listen(str(tmp_path / "left"), 1).close()
    with pytest.raises(ConnectionRefusedError):
        ask(str(tmp_path / "left"))


# Who answers.


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return the service's end and the caller's."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    there.settimeout(20)
    with here, there:
        yield here, there


def test_a_request_comes_in_any_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    def write() -> None:
        for char in b'{"do": 1}\n':
            pair[1].sendall(bytes([char]))
            time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    assert sockets.receive_request(pair[0], 20, 100) == b'{"do": 1}'
    thread.join()


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"", "request: ends without a newline"),
        (b'{"do": ', "request: ends without a newline"),
        (b"{}\n{}\n", "request: goes on after its line"),
        (b" " * 101, "request: is too long; expected at most 100 bytes"),
        (b" " * 100 + b"\n", "request: is too long; expected at most 100 bytes"),
    ],
)
def test_a_request_that_is_not_one_line(
    sent: bytes, fault: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    pair[1].sendall(sent)
    pair[1].shutdown(socket.SHUT_WR)
    with pytest.raises(BadInput, match=fault):
        sockets.receive_request(pair[0], 20, 100)


def test_a_request_of_just_as_many_bytes_is_taken(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(b" " * 99 + b"\n")
    assert sockets.receive_request(pair[0], 20, 100) == b" " * 99


@pytest.mark.parametrize("byte", [b"", b" "])
def test_a_caller_who_is_silent_or_drips_is_not_waited_for(
    byte: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    over = threading.Event()

    def drip() -> None:
        while byte and not over.wait(0.02):
            pair[1].sendall(byte)

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(BadInput, match=r"request: no whole line within 0\.3 s"):
        sockets.receive_request(pair[0], 0.3, BYTES_MAX)
    over.set()
    thread.join()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"{} {}", b"[" * 90_000])
def test_a_request_that_is_no_json(data: bytes) -> None:
    with pytest.raises(BadInput, match="request: is not valid JSON; expected one object on one line"):
        sockets.parse_json(data)


def test_an_answer_reaches_a_caller_who_said_too_much(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].sendall(b"x" * 10_000)
    sockets.send_answer(pair[0], {"error": "too long"}, 20)
    pair[0].close()
    assert json.loads(pair[1].makefile("rb").read()) == {"error": "too long"}


def test_a_caller_who_reads_nothing_or_is_gone_holds_nobody_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sockets.send_answer(pair[0], {"entries": "x" * 10_000_000}, 0.2)
    pair[1].close()
    sockets.send_answer(pair[0], {"entries": "x"}, 20)
