# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The case against a /48 of IPv6: how many of its networks /64 are refused, and how many send clean mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .clients import in_order, site_of
from .model import NETWORK, RULE, Entry, Event
from .settings import EVIDENCE_MAX, Settings


class Sites:
    """The refused networks /64 of each /48."""

    def __init__(self) -> None:
        self._refused: dict[str, set[str]] = {}

    def add(self, client: str) -> None:
        site = site_of(client)
        if site:
            self._refused.setdefault(site, set()).add(client)

    def remove(self, client: str) -> None:
        site = site_of(client)
        others = self._refused.get(site)
        if others is not None:
            others.discard(client)
            if not others:
                del self._refused[site]

    def refused_in(self, site: str) -> list[str]:
        """Return the refused /64s of a /48, in order."""
        return in_order(self._refused.get(site, ()))


@dataclass(frozen=True)
class Case:
    """The entries against a /48: those that the rule made, that have not ended and came after a release."""

    against: Sequence[Entry]

    @property
    def why(self) -> str:
        return f"{len(self.against)} networks /64 of it are refused"

    def events(self) -> list[Event]:
        """Return one event for each entry, as the evidence of an entry for the /48."""
        return [(one.since, NETWORK, f"{one.address}: {one.why}") for one in self.against[-EVIDENCE_MAX:]]

    def spared_for(self, clean: Mapping[str, int], settings: Settings) -> str:
        """Return why the /48 is spared for its clean messages, counted by /64, or ''.

        It is when its other /64s together have sent as many as an address is spared for, or are as many as
        the refused ones: then the /48 is not one sender's.
        """
        refused = {one.address for one in self.against}
        others = {client: number for client, number in clean.items() if client not in refused}
        messages = sum(others.values())
        if others and (messages >= settings.spare_ham or len(others) >= len(refused)):
            return f"{messages} clean messages from {len(others)} others of them"
        return ""


def case(entries: Sequence[Entry], at: int, released: int, settings: Settings) -> Case | None:
    """Return the case against a /48 by the entries of its /64s, or None when they are not enough."""
    against = [one for one in entries if one.by == RULE and one.end > at and one.since > released]
    enough = settings.ipv6_site_networks and len(against) >= settings.ipv6_site_networks
    return Case(against) if enough else None
