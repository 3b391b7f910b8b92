# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that the adaptive blacklist never lists, from the facts of the site's rules."""

from __future__ import annotations

from collections.abc import Mapping

from ..formats import tcprules
from ..formats.networks import AddressSet, address_set, parse_network
from ..rules import fragments
from .settings import Settings


class Exemptions:
    """Says why an address is never listed, or '': facts of the site, its settings, rules of the operator.

    As long as nobody knows whom the site protects, nobody is listed.
    """

    def __init__(self) -> None:
        self.known: dict[str, list[str]] | None = None  # networks by the reason, of 10-site
        self._site: list[tuple[str, AddressSet]] = []
        self._settings: list[tuple[str, AddressSet]] = []
        self._released: frozenset[str] = frozenset()
        self._operator: tcprules.Rules | None = None

    def take_site(self, networks: Mapping[str, list[str]]) -> None:
        """Takes networks in CIDR form by the reason; raises BadInput."""
        sets = [
            (reason, address_set(parse_network(text) for text in texts)) for reason, texts in networks.items()
        ]
        self.known, self._site = {reason: list(texts) for reason, texts in networks.items()}, sets

    def take_settings(self, settings: Settings) -> None:
        self._settings = [
            ("it is this host", address_set([parse_network("127.0.0.0/8")])),
            ("the settings spare it", address_set(parse_network(text) for text in settings.never)),
        ]
        self._released = frozenset(settings.released)

    def take_operator(self, rules: tcprules.Rules | None) -> None:
        self._operator = rules

    def __call__(self, address: str) -> str:
        if self.known is None:
            return "10-site was never readable"
        for reason, addresses in (*self._site, *self._settings):
            if address in addresses:
                return reason
        if address in self._released:
            return "the settings release it"
        rule = None if self._operator is None else tcprules.lookup(self._operator, address)
        if rule is not None:
            for name in ("RELAYCLIENT", "WHITELISTED"):
                if rule.variable(name) is not None:
                    return f"{name} by {rule.where}"
        return ""


def facts_of(text: str) -> dict[str, list[str]]:
    """The networks of 10-site that are never listed, by the reason; raises BadInput."""
    facts = fragments.read_facts(text)
    return {
        "it may relay": list(facts.relay_networks),
        "it is whitelisted": list(facts.whitelisted_networks),
        "it is protected": list(facts.protected_networks),
    }
