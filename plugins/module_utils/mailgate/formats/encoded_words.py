# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Subjects with encoded words (RFC 2047, and the language of RFC 2231), as far as they can be decoded.

As mail programs write them, too: a character in two words, one word for the whole subject, blanks within a
word, and names of character sets that only mail has. The log has the beginning of a subject, so the last word
may be cut.
"""

from __future__ import annotations

import binascii
import re
from typing import Union

from ..core.text import one_line

SUBJECT_CHARACTERS = 200  # simscan's lines hold no more of a subject than that, or twice as much
_WORD = re.compile(r"=\?([^?\s]*)\?([bBqQ])\?(.*?)\?=", re.DOTALL)
_CUT_WORD = re.compile(r"(?:^|\s+)=(?:\?([^?\s]*)(?:\?([bBqQ]?)(?:\?([^?]*)\??)?)?)?\Z")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_CUT_ESCAPE = re.compile(r"=[0-9A-Fa-f]?\Z")
# What is written under these names is as a rule of the larger set.
_SUPERSETS = {
    "ascii": "utf-8",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
    "unknown-8bit": "utf-8",
    "us-ascii": "utf-8",
}

# Plain text, or the bytes of words with their character set and how they are written.
_Piece = Union[str, "tuple[str, bytes, str]"]


def subject_words(subject: str) -> str:
    """Decode the encoded words of a subject as far as possible; the result is printable."""
    if "=?" not in subject:
        return one_line(subject)
    pieces: list[_Piece] = []
    at = 0
    for word in _WORD.finditer(subject):
        _add_plain(pieces, subject[at : word.start()])
        _add_word(pieces, word[1], _bytes(word[2], word[3]), word[0])
        at = word.end()
    rest, cut = subject[at:], ""
    unfinished = _CUT_WORD.search(rest) if len(subject) >= SUBJECT_CHARACTERS else None
    if unfinished is not None:
        _add_plain(pieces, rest[: unfinished.start()])
        text = unfinished[3] and _bytes(unfinished[2], _CUT_ESCAPE.sub("", unfinished[3]))
        if text:
            _add_plain(pieces, unfinished[0][: len(unfinished[0]) - len(unfinished[0].lstrip())])
            _add_word(pieces, unfinished[1], text, " ")
        rest, cut = "", "..." if text else " ..."
    _add_plain(pieces, rest)
    told = "".join(one if isinstance(one, str) else _decoded(*one) for one in pieces)
    if cut == "...":  # in the middle of a character
        told = told.rstrip("\ufffd")
    return one_line(told + cut)


def _add_plain(pieces: list[_Piece], text: str) -> None:
    if text:
        pieces.append(text)


def _add_word(pieces: list[_Piece], charset: str, data: bytes | None, written: str) -> None:
    """Add a word: blanks between two words are dropped; a character may begin in one and end in the next."""
    if data is None:
        pieces.append(written)
        return
    charset = charset.partition("*")[0].lower()
    gap = pieces[-1] if pieces else ""
    if len(pieces) > 1 and not isinstance(pieces[-2], str) and isinstance(gap, str) and not gap.strip():
        pieces.pop()
    before = pieces[-1] if pieces else ""
    if not isinstance(before, str) and before[0] == charset:
        pieces[-1] = (charset, before[1] + data, f"{before[2]} {written}")
    else:
        pieces.append((charset, data, written))


def _bytes(encoding: str, text: str) -> bytes | None:
    """Return the bytes of a word's text, or None if there are none in it."""
    if encoding in "qQ":
        data = text.replace("_", " ").encode("utf-8", "backslashreplace")
        return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), data)
    found = b""
    for group in text.split("="):
        digits = re.sub(r"[^A-Za-z0-9+/]", "", group)
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        found += binascii.a2b_base64(digits + "=" * (-len(digits) % 4))
    return found or (None if text else b"")


def _decoded(charset: str, data: bytes, written: str) -> str:
    """Decode bytes; of an unknown character set the words stay as they are written."""
    charset = _SUPERSETS.get(charset, charset)
    for name in (charset, re.sub(r"^x-|-[ie]$", "", charset), re.sub(r"^(cp|windows)-?", "cp", charset)):
        try:
            return data.decode(name, "replace")
        except (LookupError, ValueError):
            continue
    return written
