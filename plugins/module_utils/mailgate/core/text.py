# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from untrusted sources, made safe for a person's terminal, and URLs without their passwords."""

from __future__ import annotations

import re

_USER_OF_URL = re.compile(r"://[^\s/'\"<>]*@")


def printable(text: str, keep: str = "\n") -> str:
    """Escape the characters that are not printable, other than those in keep, so no terminal obeys them."""
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """Escape the characters that are not printable, newlines included."""
    return printable(text, "")


def without_passwords(text: str) -> str:
    """Put *** in the place of user and password in each URL."""
    return _USER_OF_URL.sub("://***@", text)
