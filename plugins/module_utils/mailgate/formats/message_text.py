# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The beginning of a message as text for a person: its header, and the text of its parts, decoded.

Nothing here makes the text harmless for a terminal: whoever prints it does, as with all that strangers wrote.
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import Message

from .encoded_words import subject_words

BYTES_MAX = 65_536  # of a message that are looked at, so that no message can take long
LINES_MAX = 400
LINE_CHARACTERS_MAX = 500
PARTS_MAX = 50
_FOLD = re.compile(r"\r?\n[ \t]+")


@dataclass(frozen=True)
class Text:
    """Lines of the header and of the body; cut: there is more."""

    header: tuple[str, ...]
    body: tuple[str, ...]
    cut: bool


def split_header(message: bytes) -> tuple[bytes, bytes]:
    """Return the header without its empty line, and the body."""
    found = re.search(rb"(?:\A|\n)\r?\n", message)
    if found is None:
        return message, b""
    first = found.start() + 1 if found.group().count(b"\n") == 2 else 0
    return message[:first], message[found.end() :]


def field(message: bytes, name: str) -> str:
    """Return the first field of this name, its folds and encoded words undone, or ''."""
    header, _body = split_header(message[:BYTES_MAX])
    text = _FOLD.sub(" ", _decoded(header))
    for line in text.split("\n"):
        head, colon, value = line.partition(":")
        if colon and head.strip().lower() == name.lower():
            return subject_words(value.strip())
    return ""


def message_text(message: bytes, whole_bytes: int) -> Text:
    """Return what a person reads of a message, whose beginning this is and which has so many bytes in all."""
    seen = message[:BYTES_MAX]
    header, body = split_header(seen)
    try:
        lines = _parts(email.message_from_bytes(seen, policy=email.policy.compat32))
    except Exception:
        # The parser is not made for hostile messages; what it fails at is shown as it came.
        lines = _decoded(body).splitlines()
    head = _decoded(header).splitlines()
    cut = whole_bytes > len(seen) or len(head) > LINES_MAX or len(lines) > LINES_MAX
    cut = cut or any(len(one) > LINE_CHARACTERS_MAX for one in (*head, *lines))
    return Text(_shortened(head), _shortened(lines), cut)


def _shortened(lines: list[str]) -> tuple[str, ...]:
    return tuple(one[:LINE_CHARACTERS_MAX] for one in lines[:LINES_MAX])


def _decoded(data: bytes, charset: str = "utf-8") -> str:
    try:
        return data.decode(charset, "replace" if charset != "utf-8" else "backslashreplace")
    except (LookupError, ValueError):
        return data.decode("latin-1")


def _parts(message: Message) -> list[str]:
    lines: list[str] = []
    for number, part in enumerate(message.walk()):
        if number == PARTS_MAX:
            lines.append("[more parts]")
            break
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        kind = part.get_content_type()
        if number:
            name = subject_words(str(part.get_filename() or ""))
            lines.append(f"[{kind}{' ' + name if name else ''}, {len(data)} bytes]")
        if part.get_content_maintype() == "text":
            lines += _decoded(data, part.get_content_charset() or "utf-8").splitlines()
    return lines
