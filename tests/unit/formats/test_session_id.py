# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids are told from other texts as src/common/sessionid.c does."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import session_id


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0000000000", 0),
        ("000000000z", 31),
        ("0000000010", 32),
        ("7zzzzzzzzz", 2**48 - 1),
        ("10004711", 10004711),
    ],
)
def test_the_number_of_a_session(text: str, number: int) -> None:
    assert session_id.number_of(text) == number


@pytest.mark.parametrize("text", ["6kz3rt9qm4", "0000000000.1", "7zzzzzzzzz.999999999"])
def test_what_is_an_id(text: str) -> None:
    assert session_id.is_id(text)
    assert session_id.session_of(text) == text[:10]


@pytest.mark.parametrize(
    "text",
    (
        *("", "6kz3rt9qm", "6kz3rt9qm4a", "6kz3rt9qm4\n", "8kz3rt9qm4", "6KZ3RT9QM4"),
        *("6kz3rt9qm4.", "6kz3rt9qm4.0", "6kz3rt9qm4.01", "6kz3rt9qm4.1234567890"),
        *("6kz3rt9qmi", "6kz3rt9qml", "6kz3rt9qmo", "6kz3rt9qmu"),
    ),
)
def test_what_is_not_an_id(text: str) -> None:
    assert not session_id.is_id(text)
