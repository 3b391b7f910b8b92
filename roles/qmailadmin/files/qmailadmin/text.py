# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text for the screen: untrusted text made safe, times, sizes."""

from __future__ import annotations

import ipaddress
import re
import time
import unicodedata
from collections.abc import Iterable

from rich.cells import cell_len
from rich.text import Text

LONGEST = 4000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TIME = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)


class BadTime(ValueError):
    """A time that cannot be read."""


def _harmless(char: str) -> bool:
    # A combining mark is printable, but a hundred of them on one letter cover the lines above.
    return char.isprintable() and unicodedata.category(char)[0] != "M"


def safe(text: object, longest: int = LONGEST) -> str:
    """Return the text as one line, with every character that is not plainly printable escaped."""
    whole = str(text)
    shown = "".join(char if _harmless(char) else _escape(char) for char in whole[:longest])
    return shown if len(whole) <= longest else f"{shown}… ({len(whole)} characters)"


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: object, style: str = "", longest: int = LONGEST) -> Text:
    """Return text for a widget, never interpreted as markup."""
    return Text(safe(text, longest), style=style)


def cell(text: object, width: int, style: str = "") -> Text:
    """Return text for a cell of so many columns; a text that is cut ends in '…'."""
    shown = plain(text, style, longest=max(width, 1) * 4)
    if cell_len(shown.plain) > width:
        shown.truncate(width, overflow="ellipsis")
    shown.no_wrap = True
    return shown


def usual(word: str) -> str:
    """Return an IP address or network in its usual form, as the lists have it, and other text unchanged."""
    try:
        if "/" in word:
            return str(ipaddress.ip_network(word, strict=False))
        return str(ipaddress.ip_address(word.strip("[]")))
    except ValueError:
        return word


def paragraphs(lines: Iterable[object]) -> Text:
    """Return lines for a widget that wraps them."""
    return Text("\n").join(plain(line) for line in lines)


def utc(seconds: object) -> str:
    """Format a time in UTC, to the minute; '' for None."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return "" if seconds is None else safe(seconds)
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def left(until: object, now: float, units: int = 2) -> str:
    """Format the time that is left, in its largest units; 'never' for None."""
    if until is None:
        return "never"
    if not isinstance(until, (int, float)):
        return safe(until)
    rest = int(until - now)
    if rest <= 0:
        return "over"
    words = []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count or words:
            words.append(f"{count} {unit}" if count else "")
    return " ".join(word for word in words[:units] if word)


def ends(until: object, now: float) -> str:
    """Describe when something ends."""
    words = left(until, now)
    return words if words in ("never", "over") else f"in {words}"


def size(count: object) -> str:
    """Format a number of bytes."""
    if not isinstance(count, (int, float)):
        return safe(count)
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def seconds_of(words: str) -> int | None:
    """Parse a time such as '4h' or '1d 12h' to seconds, '' to None; raises BadTime."""
    parts = words.lower().split()
    total = 0
    for part in parts:
        found = _TIME.fullmatch(part)
        if found is None:
            expected = "expected one such as 30m, 4h, 2d, 1w, or nothing"
            raise BadTime(f"time: {words!r} is not a duration; {expected}")
        total += int(found[1]) * _UNITS[found[2]]
    return total if parts else None
