# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directory servers: address, TLS, search base, filter and paging."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PORTS = {"ldaps": 636, "starttls": 389, "none-password-is-readable": 389}
PRESETS = {
    # Exchange's own definition of a recipient: the Default Global Address List, with dynamic groups.
    # Disabled accounts are included: shared, room and linked mailboxes are disabled accounts.
    "exchange": (
        "(&(mailNickname=*)(proxyAddresses=smtp:*)(|(&(objectCategory=person)(objectClass=user))"
        "(&(objectCategory=person)(objectClass=contact))(objectCategory=group)(objectCategory=publicFolder)"
        "(objectClass=msExchDynamicDistributionList)))"
    ),
    # A directory without Exchange's schema, where a filter naming mailNickname matches nothing.
    "plain": (
        "(&(|(objectClass=user)(objectClass=group)(objectClass=contact)(objectClass=publicFolder))"
        "(!(objectClass=computer))(|(proxyAddresses=smtp:*)(mail=*)))"
    ),
}
PAGE_ENTRIES = 1000
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class LdapDirectory:
    """Servers and search parameters of one forest or domain; servers are (host, port) in the order of use."""

    name: str
    servers: tuple[tuple[str, int], ...]
    bases: tuple[str, ...]
    user: str
    password_file: str
    encryption: str
    ca_file: str
    filter: str
    with_mail: bool
    page_entries: int = PAGE_ENTRIES
    connect_seconds: int = 10
    answer_seconds: int = ANSWER_SECONDS
    export_seconds: int = 900


class Link(Protocol):
    """A bound connection to one server."""

    def ask(
        self,
        base: str,
        whole_subtree: bool,
        filter_text: str,
        attributes: Sequence[str],
        page: int,
        cookie: bytes,
    ) -> int:
        """Send a search, paged unless page is 0; return its message number."""

    def receive(self) -> bytes:
        """Return the next bytes, b"" at the end; raises OSError."""
