# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message as text: decoded where that works, and nothing that anybody sends makes it fail."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.message_text import (
    BYTES_MAX,
    LINES_MAX,
    field,
    message_text,
    split_header,
)
from hypothesis import given
from hypothesis import strategies as st

PARTS = b"""\
Subject: =?utf-8?b?w4RyZ2Vy?=
 more
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe \x1b[2J
--b
Content-Type: application/pdf; name="a.pdf"
Content-Transfer-Encoding: base64

JVBERg==
--b--
"""


@pytest.mark.parametrize(
    ("message", "header", "body"),
    [
        (b"A: b\n\nbody", b"A: b\n", b"body"),
        (b"A: b\r\n\r\nbody", b"A: b\r\n", b"body"),
        (b"\nbody", b"", b"body"),
        (b"A: b\n", b"A: b\n", b""),
        (b"", b"", b""),
    ],
)
def test_the_header_ends_at_the_first_empty_line(message: bytes, header: bytes, body: bytes) -> None:
    assert split_header(message) == (header, body)


def test_parts_are_decoded_and_named() -> None:
    text = message_text(PARTS, len(PARTS))
    assert text.header[:2] == ("Subject: =?utf-8?b?w4RyZ2Vy?=", " more")
    assert text.body == (
        "[text/plain, 10 bytes]",
        "Grüße \x1b[2J",
        "[application/pdf a.pdf, 4 bytes]",
    )
    assert not text.cut


def test_a_field_is_on_one_line_decoded_and_printable() -> None:
    assert field(PARTS, "subject") == "Ärger more"
    assert field(b"subject : \x1b[2J\n\n", "Subject") == "\\x1b[2J"
    assert field(b"A: b\n\nSubject: of the body\n", "subject") == ""


def test_a_long_message_is_cut() -> None:
    text = message_text(b"A: b\n\n" + b"x\n" * (LINES_MAX + 1), 2 * LINES_MAX + 8)
    assert (len(text.body), text.cut) == (LINES_MAX, True)
    assert message_text(b"A: b\n\nx\n", 9000).cut
    assert message_text(b"A: b\n\n" + b"x" * 600 + b"\n", 607).cut


@pytest.mark.parametrize("charset", ["no-such-set", "rot13", "utf-7", "hex", "\\xff", "idna"])
def test_an_odd_character_set_does_no_harm(charset: str) -> None:
    message = f"Content-Type: text/plain; charset={charset}\n\nhello\n".encode()
    assert message_text(message, len(message)).body == ("hello",)


@given(st.binary(max_size=2000))
def test_any_bytes_are_text(message: bytes) -> None:
    text = message_text(message, len(message))
    assert all("\n" not in line for line in (*text.header, *text.body))
    assert field(message, "subject").isprintable()


def test_nested_parts_without_end_are_text() -> None:
    level = b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n"
    message = b"".join(level % (one, one) for one in range(BYTES_MAX // 50))
    assert message_text(message, len(message)).header
