# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of strangers cannot control a terminal."""

from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core import text as words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines", "two\\nlines"),
        ("right\u202eleft", "right\\u202eleft"),
        ("Grüße", "Grüße"),
    ],
)
def test_one_line(text: str, expected: str) -> None:
    assert words.one_line(text) == expected


def test_lines_stay_lines() -> None:
    assert words.printable("two\nlines\r\x9b") == "two\nlines\\r\\x9b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see http://u:PW@proxy:3128/x, please", "see http://***@proxy:3128/x, please"),
        ("two: ftp://u:P@W@a/ https://TOKEN@b/c?d=e@f", "two: ftp://***@a/ https://***@b/c?d=e@f"),
        ("route 'smtp://u:PW@mail.example.com'", "route 'smtp://***@mail.example.com'"),
        ("http://mirror/a@b user@example.com //x:y@z", "http://mirror/a@b user@example.com //x:y@z"),
    ],
)
def test_no_url_tells_its_password(text: str, expected: str) -> None:
    assert words.without_passwords(text) == expected
