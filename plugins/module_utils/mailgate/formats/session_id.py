# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ids of sessions and messages in the log: `7k2m9x4qbt`, and `7k2m9x4qbt.1` (src/common/sessionid.h)."""

from __future__ import annotations

import re

_CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz"
SESSION = "[0-7][0-9a-hjkmnp-tv-z]{9}"
MESSAGE = rf"{SESSION}\.[1-9][0-9]{{0,8}}"
ANY = rf"{SESSION}(?:\.[1-9][0-9]{{0,8}})?"  # of a session or of a message
FRONT_MIN = 10_000_000  # every number of a session of smtpfront is above, and every pid below
_VALUES = {character: value for value, character in enumerate(_CHARACTERS)}
_SESSION = re.compile(SESSION)
_ANY = re.compile(ANY)


def is_id(text: str) -> bool:
    """Return whether the text is the id of a session or of a message."""
    return _ANY.fullmatch(text) is not None


def session_of(text: str) -> str:
    """Return the id of the session of an id; '' for ''."""
    return text.partition(".")[0]


def number_of(text: str) -> int:
    """Return the number of a session by its id, or by the decimal number that lines of version 0.2 have."""
    if _SESSION.fullmatch(text) is None:
        return int(text)
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    return number


def is_of_front(record: object) -> bool:
    """Return whether smtpfront has written the line: a session's number stands where others have a pid."""
    pid = getattr(record, "pid", None)
    return isinstance(pid, int) and pid >= FRONT_MIN
