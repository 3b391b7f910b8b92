# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and times as people write and read them."""

from __future__ import annotations

import re
import time

from .errors import BadInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int:
    """The seconds of a time such as '4h'; raises BadInput."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if found is None:
        raise BadInput(f"time: {text!r} is none; expected one such as 30m, 4h or 2d")
    return int(found[1]) * _UNITS[found[2]]


def span(seconds: float) -> str:
    """A time that is left, as people say it."""
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)} s"
    days, hours = minutes // 1440, minutes // 60 % 24
    words = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min"]
    return " ".join(word for word in words if word)


def utc(unix_seconds: float) -> str:
    """A time as people read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix_seconds))


def when(until: int) -> str:
    """A time in words, in UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until))
    except (OverflowError, ValueError, OSError):
        return f"second {until}"
