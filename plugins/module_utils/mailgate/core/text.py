# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that strangers wrote parts of, for a person's terminal."""

from __future__ import annotations


def printable(text: str, keep: str = "\n") -> str:
    """The text with every character escaped that a terminal could take for an order, but those of keep."""
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """The same, without an end of line in it."""
    return printable(text, "")
