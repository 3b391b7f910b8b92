# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kept copies: what simscan writes is read back, and nothing else is taken for a copy."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.refused_copy import (
    HEAD_BYTES_MAX,
    parse_copy,
    parse_envelope,
    parse_head,
    render,
)
from hypothesis import given
from hypothesis import strategies as st

HEAD = {
    "verdict": "SPAM",
    "at": 1764208000,
    "score": "15.32",
    "limit": "10.00",
    "rules": "BAYES_99,URIBL_BLACK",
    "client": "192.0.2.1",
    "id": "6kz3rt9qm4.1",
}
ENVELOPE = b"Fann@sender.example\0Talice@example.test\0Tbob@example.test\0\0"
MESSAGE = b"Subject: hello\n\n\0\xff body\n\nmailgate-refused 1 00000000\n"


def test_a_copy_is_read_as_it_was_written() -> None:
    copy = parse_copy(render(HEAD, ENVELOPE, MESSAGE), "copy")
    assert (copy.envelope, copy.message) == (ENVELOPE, MESSAGE)
    head = copy.head
    assert (head.verdict, head.at, head.score, head.limit) == ("SPAM", 1764208000, 15.32, 10.0)
    assert (head.rules, head.name, head.client) == (("BAYES_99", "URIBL_BLACK"), "", "192.0.2.1")
    assert head.id == "6kz3rt9qm4.1"


def test_a_virus_has_a_name_and_no_score_and_what_is_not_known_is_empty() -> None:
    head = {"verdict": "VIRUS", "at": 1, "name": "Eicar-Test", "client": "-", "id": "-", "colour": "new"}
    copy = parse_copy(render(head, ENVELOPE, b""), "copy")
    assert (copy.head.name, copy.head.score, copy.head.rules) == ("Eicar-Test", None, ())
    assert (copy.head.client, copy.head.id, copy.message) == ("", "", b"")


@given(st.binary(max_size=300), st.binary(max_size=40).filter(lambda one: b"\0" not in one))
def test_any_message_and_any_sender_come_back(message: bytes, sender: bytes) -> None:
    envelope = b"F" + sender + b"\0Ta@b.example\0\0"
    copy = parse_copy(render(HEAD, envelope, message), "copy")
    assert copy.message == message
    assert parse_envelope(copy.envelope, "copy").sender == sender


@pytest.mark.parametrize("place", [0, 5, 20, 25, 40, -1, -len(MESSAGE) - 3])
def test_a_changed_byte_is_damage(place: int) -> None:
    data = bytearray(render(HEAD, ENVELOPE, MESSAGE))
    data[place] ^= 1
    with pytest.raises(BadInput, match="copy: "):
        parse_copy(bytes(data), "copy")


def test_a_cut_at_any_place_and_a_longer_file_are_damage() -> None:
    data = render(HEAD, ENVELOPE, MESSAGE)
    for length in range(len(data)):
        with pytest.raises(BadInput, match="copy: "):
            parse_copy(data[:length], "copy")
        with pytest.raises(BadInput, match="copy: "):  # as a power cut leaves it
            parse_copy(data[:length] + bytes(len(data) - length), "copy")
    with pytest.raises(BadInput, match="it is damaged"):
        parse_copy(data + b"x", "copy")


def test_the_head_alone_is_enough_for_a_list() -> None:
    data = render(HEAD, ENVELOPE, b"x" * 100_000)
    head = parse_head(data[:HEAD_BYTES_MAX], "copy")
    assert head.file_bytes == len(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "CLEAN"}, "copy: verdict 'CLEAN' is not known; expected SPAM or VIRUS"),
        ({"at": "-5"}, "copy: at '-5' is not a number; expected one"),
        ({"at": ""}, "copy: at '' is not a number; expected one"),
        ({"score": "nan"}, "copy: score 'nan' is not a score; expected a number"),
        ({"limit": "1e5"}, "copy: limit '1e5' is not a score; expected a number"),
        ({"client": "a\tb"}, r"copy: 'client a\tb' is wrong; expected a name, once, a blank and a value"),
        ({"Client": "x"}, "copy: 'Client x' is wrong; expected a name, once, a blank and a value"),
    ],
)
def test_a_head_that_makes_no_sense_is_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_head(render({**HEAD, **change}, ENVELOPE, MESSAGE), "copy")
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "copy: b'' is not a kept copy; expected 'mailgate-refused 1 CRC'"),
        (b"mailgate-refused 1 0000000\n", "is not a kept copy"),
        (b"mailgate-refused 2 00000000\n", "copy: is of version 2; expected 1"),
        (b"mailgate-refused 1 00000000\n", "its head does not end"),
        (b"mailgate-refused 1 00000000\n\n", "copy: '' is wrong"),
        (b"mailgate-refused 1 00000000\n" + b"a b\n" * 9000 + b"\n", "its head does not end"),
        (b"mailgate-refused 1 00000000\nat 1\nat 1\n\n", "copy: 'at 1' is wrong"),
        (b"mailgate-refused 1 00000000\nverdict SPAM\nenvelope 0\n\n", "envelope of 0 bytes"),
        (b"mailgate-refused 1 00000000\nverdict SPAM\nenvelope 4000001\n\n", "envelope of 4000001 bytes"),
    ],
)
def test_what_is_not_a_copy_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_head(data, "copy")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"F", b"F\0", b"F\0\0", b"Fa\0Tb\0", b"Fa\0Tb\0\0\0", b"Ta\0Tb\0\0", b"Fa\0Xb\0\0", b"Fa\0Tb\0\0x"],
)
def test_what_is_not_an_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="envelope cannot be understood"):
        parse_envelope(data, "copy")


def test_a_bounce_has_an_empty_sender() -> None:
    assert parse_envelope(b"F\0Ta@b.example\0\0", "copy").sender == b""
