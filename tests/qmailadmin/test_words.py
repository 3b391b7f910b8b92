# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of the screens: harmless text, times, sizes."""

from __future__ import annotations

import pytest
from qmailadmin.text import BadTime, cell, ends, left, plain, safe, seconds_of, size, utc


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain [b]text[/b]", "plain [b]text[/b]"),
        ("é ß 漢", "é ß 漢"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\r\nb\tc\x00", r"a\x0d\x0ab\x09c\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eabc\u2028", r"\u202eabc\u2028"),
        ("a\u0301\u0489", r"a\u0301\u0489"),
        ("\udc80", r"\udc80"),
        ("\U000e0041", r"\U000e0041"),
        (17, "17"),
        ("x" * 5000, "x" * 4000 + "… (5000 characters)"),
    ],
)
def test_text_of_strangers_is_harmless(text: object, shown: str) -> None:
    assert safe(text) == shown
    assert safe(text).isprintable()
    assert plain(text).plain == shown and not plain(text).spans


def test_a_cell_is_as_wide_as_its_column_at_most() -> None:
    assert cell("short", 10).plain == "short"
    assert cell("0123456789x", 10).plain == "012345678…"
    assert cell("漢" * 10, 7).cell_len <= 7
    assert cell("\x1b" * 10, 7).plain == r"\x1b\x…"


@pytest.mark.parametrize(
    "words, seconds",
    [
        ("", None),
        ("  ", None),
        ("90s", 90),
        ("30m", 1800),
        ("4h", 14_400),
        ("2D", 172_800),
        ("1w 12h", 648_000),
    ],
)
def test_a_time_in_seconds(words: str, seconds: int | None) -> None:
    assert seconds_of(words) == seconds


@pytest.mark.parametrize(
    "words", ["4", "h", "0h", "-1h", "1.5h", "1 h", "4h,", "٣h", "1y", "1000000000h", "tomorrow"]
)
def test_no_time(words: str) -> None:
    with pytest.raises(BadTime, match="expected one such as 30m, 4h, 2d, 1w, or nothing"):
        seconds_of(words)


def test_times_and_sizes() -> None:
    assert [left(until, 1000) for until in (None, 1000, 999, 1059, 4600, 1000 + 93_780, 1000 + 86_460)] == [
        "never",
        "over",
        "over",
        "59 s",
        "1 h",
        "1 d 2 h",
        "1 d",
    ]
    assert left(1000 + 93_780, 1000, units=1) == "1 d"
    assert [ends(until, 1000) for until in (None, 1, 8200)] == ["never", "over", "in 2 h"]
    assert [utc(at) for at in (None, 0, 1_795_176_000, 10**30, True, "x")] == [
        "",
        "1970-01-01 00:00",
        "2026-11-20 12:00",
        f"second {10**30}",
        "True",
        "x",
    ]
    assert [size(count) for count in (0, 999, 1000, 48_231, 12_345_678, 10**12, None)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "48 kB",
        "12 MB",
        "1000 GB",
        "None",
    ]
