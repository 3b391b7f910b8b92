# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The e2e harness's judgement, without a container."""

from __future__ import annotations

import pytest
from support import conversations, gateway, smtp_client


def test_rows_have_names_of_their_own_and_some_are_for_debian13() -> None:
    assert len({row.name for row in conversations.ROWS}) == len(conversations.ROWS)
    assert len(conversations.selected("debian13")) >= 10


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"", b".\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n..b\r\nc.\r\n", b"a\r\n...b\r\nc.\r\n.\r\n"),
        (b"a\r.\r\r\n", b"a\r.\r\r\n.\r\n"),
    ],
)
def test_stuffed_doubles_leading_dots(content: bytes, sent: bytes) -> None:
    assert smtp_client.stuffed(content) == sent


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("250 ok", "250 ok", True),
        ("250 ok", "250 ok 1", False),
        ("250 ok *", "250 ok 17 qp 4", True),
        ("553 sorry (#5.7.1)", "553 sorry  #5.7.1 ", False),
        ("closed", "no answer", False),
    ],
)
def test_matches_takes_the_whole_reply(expected: str, got: str, same: bool) -> None:
    assert gateway.matches(expected, got) is same


SENT = conversations.message("x")
RECEIVED = b"Received: from a\r\n  by b; date\r\n"


@pytest.mark.parametrize(
    ("got", "added", "told"),
    [
        (RECEIVED + SENT, ("Received",), ""),
        (RECEIVED + RECEIVED + SENT, ("Received",), ""),
        (b"Delivered-To: x\r\n" + RECEIVED + SENT, ("Received", "Delivered-To"), ""),
        (SENT, ("Received",), "above the content stands b''"),
        (b"X-Spam: no\r\n" + RECEIVED + SENT, ("Received",), "above the content stands b'X-Spam"),
        (b"Delivered-To: x\r\n" + RECEIVED + SENT, ("Received",), "above the content stands b'Delivered-To"),
        (RECEIVED + SENT.replace(b"Hello", b"Hallo"), ("Received",), "the body differs at byte 1"),
        (RECEIVED + SENT[:-2], ("Received",), "8 bytes of body were sent and 6 came"),
    ],
)
def test_differences_allow_only_the_fields_that_are_named(
    got: bytes, added: tuple[str, ...], told: str
) -> None:
    found = gateway.differences(conversations.Arrival("x", "y", content=SENT, added=added), got)
    assert found.startswith(told)
    assert bool(found) is bool(told)
