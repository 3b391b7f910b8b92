# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for the lines of one queued message."""

from __future__ import annotations

BEFORE_SECONDS, SOON_SECONDS, LATE_SECONDS = 3, 30, 1800  # between a verdict and its message
CHILD_SECONDS = 600
CANDIDATES_MAX = 50
DEPTH_MAX = 5


def message_needles(name: bytes) -> tuple[bytes, ...]:
    """What stands in a line about the message with this number."""
    return (
        b" new msg " + name + b"\n",
        b" info msg " + name + b": ",
        b": msg " + name + b" to ",
        b" bounce msg " + name + b" qp ",
        b" bounce withheld msg " + name + b": ",
        b" discarding bounce/" + name + b"\n",
        b" end msg " + name + b"\n",
    )
