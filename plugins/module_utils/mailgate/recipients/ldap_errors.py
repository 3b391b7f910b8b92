# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of a directory server, explained with what to do about them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.errors import MailgateError

SUCCESS, _REFERRAL, _NO_SUCH_OBJECT, INVALID_CREDENTIALS = 0, 10, 32, 49
_BIND_REASONS = {
    "525": "the account does not exist",
    "52e": "the password is wrong",
    "530": "the account may not log on at this time",
    "531": "the account may not log on from here",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}


class LdapError(MailgateError):
    """The export is not complete; final when other servers would fail as well, or the account be locked."""

    def __init__(self, text: str, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


def result_fault(result: int, message: str, urls: Sequence[str] = ()) -> str:
    """Explain a result code other than 0 to the person who has to correct the cause."""
    said = f"{message.strip()[:300]!r}"
    integrity = "integrity" in message or "BINDSIMPLE" in message or "Transport encryption" in message
    if result == 8 or (result == 13) or (result == 53 and integrity):
        return f"{said} the server wants an encrypted connection; expected encryption 'ldaps' or 'starttls'"
    if result == INVALID_CREDENTIALS:
        if "80090346" in message:
            return f"{said} the server wants channel binding; expected a simple bind over TLS to be enough"
        code = re.search(r"data ([0-9a-f]+)", message)
        reason = _BIND_REASONS.get(code.group(1) if code else "", "user or password is wrong")
        return f"{said} {reason}; expected a user and a password that may log on"
    words = {
        1: ("the bind is missing, or it failed", "an account that may read"),
        3: ("the server's time limit cut the search", "every entry"),
        4: ("the server's size limit cut the search", "every entry, page by page"),
        11: ("the server's administrative limit cut the search", "a page size that the server allows"),
        12: ("the server does not page", "a server with the paged results control"),
        _NO_SUCH_OBJECT: ("the base does not exist, or the account may not see it", "the name of a base"),
        50: ("the account may not read here", "an account that may read"),
        51: ("the server is busy", "an answer"),
        52: ("the server is not available", "an answer"),
    }
    if result == _REFERRAL:
        where = ", ".join(urls[:3]) or said
        return f"{where!r} the server only refers to another one; expected a server that holds this base"
    what, expected = words.get(result, ("the server refuses", "result 0"))
    return f"{said} {what} (result {result}); expected {expected}"
