# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subjects as mail programs write them are decoded, whole or as far as the log has them."""

from __future__ import annotations

import base64
import re
from email.charset import BASE64, QP, Charset
from email.header import Header

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import encoded_words
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Hello", "Hello"),
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?iso-8859-1?q?caf=E9?= au lait", "café au lait"),
        ("=?utf-8?B?Gw==?=[31m", "\\x1b[31m"),
        ("=?nonsense?Q?abc?=", "=?nonsense?Q?abc?="),
        ("=?utf-8?B?x?=", "=?utf-8?B?x?="),
        ("=?utf-8?B?R3L", "=?utf-8?B?R3L"),
    ],
)
def test_subjects(subject: str, expected: str) -> None:
    assert encoded_words.subject_words(subject) == expected


@pytest.mark.parametrize("encoding", ["b", "q"])
@pytest.mark.parametrize("limit", [200, 400])
def test_a_subject_in_many_words_is_told_as_far_as_the_line_has_it(encoding: str, limit: int) -> None:
    """Text that is cut in the middle of a word ends with the word before it."""
    title = "".join(f"Zähler {number} läuft, " for number in range(60))
    charset = Charset("utf-8")
    charset.header_encoding = {"b": BASE64, "q": QP}[encoding]
    header = Header(title, charset, header_name="Subject")
    folded = re.sub(r"\n[ \t]+", " ", header.encode())
    assert folded.count("=?") > limit // 75
    for length in range(limit, limit + 80):
        told = encoded_words.subject_words(folded[:length])
        assert "=?" not in told and len(told) > limit // 4
        assert title.startswith(told.removesuffix("...").rstrip(" "))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("=?utf-8?Q?caf=C3=A9?= =?utf-8?Q?_au_lait?=", "café au lait"),
        ("=?utf-8?B?w6Q=?= =?utf-8?B?w7Y=?=", "äö"),
        ("=?iso-8859-1?Q?=E4?= and =?utf-8?Q?=C3=B6?=", "ä and ö"),
        ("is it =?", "is it =?"),
        ("x" * 195 + " =?utf-8?B?w6", "x" * 195 + " ..."),
        ("x" * 195 + " =?utf-8?", "x" * 195 + " ..."),
        ("x" * 195 + " =?utf-8?B?w6Q=?=", "x" * 195 + " ä"),
        ("x" * 199 + " =?", "x" * 199 + " ..."),
    ],
)
def test_a_subject_in_several_words(subject: str, expected: str) -> None:
    assert encoded_words.subject_words(subject) == expected


@given(st.text())
@settings(deadline=None)
def test_no_subject_is_too_wrong(text: str) -> None:
    assert encoded_words.subject_words(f"=?{text}?=").isprintable()
    assert encoded_words.subject_words(f"=?utf-8?B?{text}?=").isprintable()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8*de-DE?B?w6Q=?= =?utf-8?B?w7Y=?=", "äö"),
        ("=?x-unknown?Q?abc?= =?utf-8?Q?=C3=B6?=", "=?x-unknown?Q?abc?=ö"),
        ("=?x-unknown?Q?abc?= and =?utf-8?Q?=C3=B6?=", "=?x-unknown?Q?abc?= and ö"),
        ("=?iso-8859-8-i?B?+ezl7Q==?=", "שלום"),
        ("=?cp-850?Q?caf=82?= =?utf-8?Q?=C3=B6?=", "caféö"),
        ("=?x-sjis?B?g2U=?=", "テ"),
        ("=?gb2312?B?6UbE47rD?=", "镕你好"),
        ("=?us-ascii?Q?caf=C3=A9?=", "café"),
        ("=?iso-8859-1?Q?=80_5?=", "€ 5"),
        ("=?UTF-8?B?SGFsbG8g?==?utf-8?Q?Welt?=", "Hallo Welt"),
        ("=?utf-8?Q?f=C3?= =?UTF-8?Q?=BCr?=", "für"),
        ("=?utf-8?B?Zs==?= =?utf-8?B?w7w=?=", "fü"),
        ("=?utf-8?Q?two words?= end", "two words end"),
        ("=?utf-8?B?SGFs bG8=?=", "Hallo"),
        ("=?utf-8?B?SGFsbG8?= =?utf-8?B?abcde?= tail", "Halloi\ufffd\x1d tail"),
        ("=?utf-8?B?SGk=SGk=?=", "HiHi"),
        ("=?utf-8?Q?what??=", "what?"),
        ("=?utf-8?Q??= x =?utf-8?B??=", " x "),
        ("=?hex?Q?6162?=", "=?hex?Q?6162?="),
        ("=?undefined?Q?x?=", "=?undefined?Q?x?="),
        ("=??Q?x?=", "=??Q?x?="),
        ("=?utf-8?X?x?=", "=?utf-8?X?x?="),
    ],
)
def test_words_as_mail_programs_write_them(subject: str, expected: str) -> None:
    assert encoded_words.subject_words(subject) == encoded_words.one_line(expected)


@pytest.mark.parametrize("limit", [200, 400])
@pytest.mark.parametrize("before", ["", "Fwd: ", "=?utf-8?Q?Fwd:_?= "])
def test_a_subject_in_one_long_word_is_told_as_far_as_the_line_has_it(limit: int, before: str) -> None:
    title = "".join(f"Zähler {number} läuft, " for number in range(60))
    data = title.encode()
    for written in (
        "=?utf-8?B?" + base64.b64encode(data).decode(),
        "=?utf-8?Q?" + "".join(f"={byte:02X}" for byte in data),
    ):
        for length in range(limit, limit + 20):
            told = encoded_words.subject_words(f"{before}{written}"[:length])
            assert told.endswith("...") and "=?" not in told
            assert f"Fwd: {title}".startswith(told[:-3] if before else f"Fwd: {told[:-3]}")
            assert len(told) > limit // 5


@given(
    st.lists(
        st.sampled_from(["=?", "?=", "utf-8", "?B?", "?Q?", "=C3", "=", "?", " ", "w6Q=", "x", "*", "_"]),
        max_size=90,
    )
)
@settings(deadline=None)
def test_pieces_of_words_in_any_order_are_told(pieces: list[str]) -> None:
    assert encoded_words.subject_words("".join(pieces)).isprintable()
