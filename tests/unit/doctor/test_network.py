# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor hears from name servers and at ports, and that it never waits longer than it says."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import (
    network,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import place


def dns_answer(asked: bytes, records: list[tuple[int, bytes]] = [], flags: int = 0x8180) -> bytes:  # noqa: B006
    packet = asked[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + asked[12:]
    for kind, data in records:
        packet += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    return packet


ADDRESS = (1, bytes([192, 0, 2, 1]))
Packets = Callable[[bytes], list[bytes]]


@contextmanager
def name_server(*script: Packets, over_tcp: Packets | None = None) -> Iterator[int]:
    """Send these answers for the first datagram, the second, and so on; and over TCP, if given."""
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        datagrams.bind(stream.getsockname())

        def serve() -> None:
            for packets in script:
                asked, peer = datagrams.recvfrom(512)
                for packet in packets(asked):
                    datagrams.sendto(packet, peer)

        def serve_tcp(packets: Packets) -> None:
            connection = stream.accept()[0]
            with connection:
                asked = connection.recv(2048)
                for packet in packets(asked[2:]):
                    connection.sendall(struct.pack(">H", len(packet)) + packet)

        threads = [threading.Thread(target=serve, daemon=True)]
        if over_tcp is not None:
            stream.listen(1)
            threads.append(threading.Thread(target=serve_tcp, args=(over_tcp,), daemon=True))
        for thread in threads:
            thread.start()
        yield stream.getsockname()[1]


def resolved(port: int, name: str = "mx.example", kind: str = "A") -> tuple[tuple[str, ...], str]:
    began = time.monotonic()
    found = network.resolve("127.0.0.1", name, kind, 0.6, port)
    assert time.monotonic() - began < 1.5
    assert found.name == name
    return found.answers, found.error


@pytest.mark.parametrize(
    ("kind", "records", "flags", "expected"),
    [
        ("A", [(5, b"\1a\xc0\x0f"), ADDRESS, (1, b"\xc0\0\2\2")], 0x8180, (("192.0.2.1", "192.0.2.2"), "")),
        ("PTR", [(12, b"\2mx\7example\0"), (12, b"\1b\xc0\x0f")], 0x8180, (("mx.example", "b.example"), "")),
        ("A", [], 0x8183, ((), "")),  # no such name
        ("A", [(16, b"\1x")], 0x8180, ((), "")),
        ("A", [], 0x8181, ((), "it finds the question malformed")),
        ("A", [], 0x8182, ((), "server failure")),
        ("A", [], 0x8184, ((), "not implemented")),
        ("A", [ADDRESS], 0x8185, ((), "refused")),
        ("A", [], 0x8186, ((), "code YXDOMAIN")),
    ],
)
def test_what_a_name_server_says_is_told(
    kind: str, records: list[tuple[int, bytes]], flags: int, expected: tuple[tuple[str, ...], str]
) -> None:
    with name_server(lambda asked: [dns_answer(asked, records, flags)]) as port:
        assert resolved(port, kind=kind) == expected


GARBAGE: list[Packets] = [
    lambda asked: [b""],
    lambda asked: [asked],  # a question is not an answer
    lambda asked: [b"\0\0" + dns_answer(asked, [ADDRESS])[2:]],
    lambda asked: [dns_answer(asked[:13] + b"y" + asked[14:], [ADDRESS])],
    lambda asked: [dns_answer(asked, [ADDRESS])[:-1]],
    lambda asked: [dns_answer(asked, [(1, b"abc")])],
    lambda asked: [dns_answer(asked, [(5, b"\xc0\xff")])],
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_answer_is_refused_and_the_server_asked_again(garbage: Packets) -> None:
    with name_server(garbage, garbage, garbage) as port:
        answers, error = resolved(port)
        assert answers == () and error.startswith("malformed question or answer: ")
    with name_server(garbage, lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")


def test_a_name_server_is_asked_three_times_and_not_for_ever() -> None:
    silent: Packets = lambda asked: []  # noqa: E731
    with name_server(silent, silent, lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")
    with name_server(silent, silent, silent) as port:
        assert resolved(port) == ((), "no answer within 0.6 s")


def test_a_late_answer_to_the_first_question_is_an_answer() -> None:
    asked_first = []

    def keep(asked: bytes) -> list[bytes]:
        asked_first.append(asked)
        return []

    with name_server(keep, lambda asked: [dns_answer(asked_first[0], [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")


def test_an_answer_that_is_cut_off_is_asked_for_over_tcp() -> None:
    cut: Packets = lambda asked: [dns_answer(asked, [], 0x8380)]  # noqa: E731
    with name_server(cut, over_tcp=lambda asked: [dns_answer(asked, [ADDRESS])]) as port:
        assert resolved(port) == (("192.0.2.1",), "")
    with name_server(cut, over_tcp=lambda asked: []) as port:
        assert resolved(port) == ((), "the connection was closed")
    with name_server(cut) as port:
        assert resolved(port) == ((), "Connection refused")


def test_a_closed_port_of_a_name_server_is_told_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert resolved(port) == ((), "Connection refused")


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_a_name_that_cannot_be_asked_for_is_told(name: str) -> None:
    answers, error = resolved(1, name)
    assert answers == () and error.startswith("malformed question or answer: ")


def test_dnspython_that_is_missing_is_said_of_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns", None)
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    with pytest.raises(BadInput, match="module dns: not there; expected the package python3-dnspython"):
        resolved(1)


@contextmanager
def tcp_server(answer: bytes | None) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4)
        held = []

        def serve() -> None:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for one in held:
            one.close()


@pytest.mark.parametrize(
    ("answer", "greets", "trouble"),
    [
        (b"220 mx\r\n", True, ""),
        (b"", False, ""),
        (b"554 go away\r\n", True, "it says '554 go away'"),
        (b"", True, "the connection was closed"),
        (None, True, "no answer within 0.3 s"),
        (None, False, ""),
    ],
)
def test_a_mail_server_has_to_greet(answer: bytes | None, greets: bool, trouble: str) -> None:
    with tcp_server(answer) as port:
        assert network.reach("127.0.0.1", port, greets, 0.3).trouble == trouble


def test_a_closed_port_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = network.reach("127.0.0.1", unused.getsockname()[1], False, 1)
    assert found.trouble == "connection refused"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mx.example:25", ("mx.example", 25)),
        ("[2001:db8::25]:25", ("2001:db8::25", 25)),
        ("192.0.2.25:2525", ("192.0.2.25", 2525)),
    ],
)
def test_a_place(text: str, found: tuple[str, int]) -> None:
    assert place(text, "x") == found
    assert network.Reached(*found).place == text


@pytest.mark.parametrize("text", ["2001:db8::25:25", "[2001:db8::25:25", "::1:25"])
def test_a_place_with_an_ipv6_address_has_brackets(text: str) -> None:
    with pytest.raises(BadInput, match="without brackets; expected"):
        place(text, "x")
