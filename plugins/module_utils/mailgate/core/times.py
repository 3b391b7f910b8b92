# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and times as people write and read them."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Sequence

from .errors import BadInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"([1-9][0-9]{0,8})([smhdw])", re.ASCII)
_UTC = "%Y-%m-%d %H:%M:%S"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ENGLISH = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?({}) +(\d{{1,2}} \d\d:\d\d:\d\d \d{{4}})(?: GMT)?".format(
        "|".join(_MONTHS)
    ),
    re.ASCII,
)


def duration(text: str, what: str = "time") -> int:
    """Parse a duration such as '4h' or '1d 12h' to seconds; the message of BadInput begins with what."""
    parts = [_PART.fullmatch(part) for part in text.lower().split()]
    if not parts or None in parts:
        raise BadInput(f"{what}: {text!r} is not a duration; expected one such as 30m, 4h, 2d or 1w")
    return sum(int(part[1]) * _UNITS[part[2]] for part in parts if part is not None)


def span(seconds: float) -> str:
    """Format a duration to the minute, as in '1 d 2 h 5 min'; below a minute in seconds."""
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    days, hours = minutes // 1440, minutes // 60 % 24
    words = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min"]
    return " ".join(word for word in words if word)


def rounded(seconds: float) -> str:
    """Format a duration in the largest unit that gives at least 2, as in '90 minutes' or '3 days'."""
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} seconds"


def local_midnight(now: float) -> int:
    """Return the unix second at which the local day of a time began.

    A day may have 23 or 25 hours, and where clocks change at midnight it may begin at 01:00.
    """

    def date(second: int) -> tuple[int, int]:
        local = time.localtime(second)
        return local.tm_year, local.tm_yday

    last = int(now)
    first = last - 30 * 3600  # of another day
    while last - first > 1:
        middle = (first + last) // 2
        if date(middle) == date(int(now)):
            last = middle
        else:
            first = middle
    return last


def utc(unix_seconds: float) -> str:
    """Format a time in UTC to the second; 'second N' when it is outside the calendar's range."""
    try:
        return time.strftime(f"{_UTC} UTC", time.gmtime(unix_seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {unix_seconds}"


def parse_utc(text: str, forms: Sequence[str]) -> int | None:
    """Parse a time in UTC with the first of strptime's forms that fits; return None when none fits."""
    for form in forms:
        try:
            return calendar.timegm(time.strptime(text, form))
        except ValueError:
            continue
    return None


def parse_english(text: str) -> time.struct_time | None:
    """Parse a program's 'Sat Nov 21 08:29:41 2026' or 'Nov 21 08:29:41 2026 GMT'; return None for others.

    strptime's %a and %b are names of the host's language as soon as something has called setlocale, as
    each module of Ansible does.
    """
    found = _ENGLISH.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return time.strptime(f"{_MONTHS.index(found[1]) + 1} {found[2]}", "%m %d %H:%M:%S %Y")
    except ValueError:
        return None
