# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules' channel, by a resolver and mirrors of the test."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import rule_channel
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput, TryAgain

ROOT = Path(__file__).resolve().parents[3]
RECORDS = {
    "1.0.4.updates.example": ["1234567"],
    "mirrors.updates.example": ["http://one.example/MIRRORED.BY"],
}


def answer(packet: bytes, records: list[str], flags: int = 0x8180) -> bytes:
    """Return an answer with a CNAME before the records, its names by pointers."""
    head = packet[:2] + struct.pack("!5H", flags, 1, len(records) + 1, 0, 0)
    alias = b"\xc0\x0c" + struct.pack("!2HIH", 5, 1, 60, 4) + b"\x01x\xc0\x0c"
    texts = b""
    for record in records:
        half = [record[:3].encode(), record[3:].encode()]  # a record may be in several strings
        data = b"".join(bytes([len(one)]) + one for one in half)
        texts += b"\xc0\x0c" + struct.pack("!2HIH", 16, 1, 60, len(data)) + data
    return head + packet[12:] + alias + texts


@pytest.fixture
def resolver() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                packet, peer = server.recvfrom(512)
                if packet == b"end":
                    return
                labels, at = [], 12
                while packet[at]:
                    labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
                    at += 1 + packet[at]
                records = RECORDS.get(".".join(labels))
                server.sendto(answer(packet, records or [], 0x8180 if records else 0x8183), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", server.getsockname())
        thread.join()


def test_the_channels_files_come_from_the_first_mirror_that_has_all(resolver: int) -> None:
    asked = []

    def get(url: str) -> bytes:
        asked.append(url)
        if url.endswith("MIRRORED.BY"):
            return b"# mirrors\nhttp://bad.example/ weight=1\nhttp://good.example/rules/ weight=5\n"
        if "bad.example" in url and url.endswith(".asc"):
            raise OSError("gone")
        return url.encode()

    found = rule_channel.fetch(
        "updates.example", lambda name: rule_channel.ask_txt(name, ["127.0.0.1"], resolver), get
    )
    assert list(found) == [f"1234567{one}" for one in rule_channel.SUFFIXES]
    assert found["1234567.tar.gz.asc"] == b"http://good.example/rules/1234567.tar.gz.asc"


def test_no_answer_and_no_channel_are_said(resolver: int) -> None:
    with pytest.raises(TryAgain, match=r"TXT of x\.example: no answer from 127\.0\.0\.1"):
        rule_channel.ask_txt("x.example", ["127.0.0.1"], resolver)
    with pytest.raises(TryAgain, match="no name server"):
        rule_channel.ask_txt("x.example", [])
    with pytest.raises(BadInput, match="is not an answer of a channel"):
        rule_channel.fetch("updates.example", lambda _name: ["<html>"], lambda _url: b"")
    with pytest.raises(TryAgain, match="names no mirror"):
        rule_channel.fetch("updates.example", lambda name: RECORDS[name], lambda _url: b"#\n")


def test_bytes_that_are_not_an_answer() -> None:
    packet = answer(rule_channel.question("a.example", 7), ["hello"])
    assert rule_channel.texts(packet, 7) == ["hello"]
    assert rule_channel.texts(packet, 8) is None
    assert all(rule_channel.texts(packet[:end], 7) in (None, []) for end in range(len(packet) - 6))


def test_the_release_is_the_one_that_the_role_installs() -> None:
    defaults = (ROOT / "roles/spamassassin/defaults/main.yml").read_text(encoding="utf-8")
    pinned = re.findall(r"^spamassassin_(?:rules_)?sources: .*\['([0-9.]+)'\]", defaults, re.MULTILINE)
    assert pinned == [rule_channel.RELEASE] * 2
