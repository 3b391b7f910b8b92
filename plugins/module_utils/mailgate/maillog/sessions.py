# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for the lines of one SMTP session."""

from __future__ import annotations

from .journey import ACCEPTED

SESSION_SECONDS_MAX = 6 * 3600  # an older session of the same pid is another one
OPEN_SECONDS = 3600
OPEN_LOOKED_AT = 50  # sessions of one client that are looked at to find whose a refused recipient was
# What a session can have met before qmail-smtpd refuses one of its recipients.
JUDGED_AT_SMTP = frozenset(
    (
        *ACCEPTED,
        "bad sender",
        "relay denied",
        "unknown recipient",
        "protocol error",
        "virus",
        "spam",
        "refused content",
        "put off",
    )
)


def session_needles(number: bytes) -> tuple[bytes, ...]:
    """What stands in a line of the session with this pid."""
    return (
        b"[" + number + b"]:",
        b" tcpserver: pid " + number + b" from ",
        b" tcpserver: ok " + number + b" ",
        b" tcpserver: deny " + number + b" ",
        b" tcpserver: end " + number + b" ",
        b" pid " + number + b": ",
    )
