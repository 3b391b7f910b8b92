# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that the adaptive blacklist never lists: by the rules, and by its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..formats import tcprules
from ..formats.networks import TRANSLATED, Network, parse_network
from ..rules.fragments import operator_relay_networks, read_facts
from ..rules.never_refused import RELAYS, NeverRefused, networks_of
from .clients import is_site, site_of
from .settings import Settings


class Exemptions:
    """Callable that returns why a client is never listed, or '': by 10-site, settings or 20-operator.

    A network of IPv6 is not when one address of it is not.

    Until 10-site has been read once, no address is listed.
    """

    def __init__(self) -> None:
        self.known: dict[str, tuple[Network, ...]] | None = None  # networks of 10-site by their reason
        self._spared: tuple[Network, ...] = ()
        self._released: frozenset[str] = frozenset()
        self._operator: tcprules.Rules | None = None
        self._never_refused = NeverRefused(())

    def take_site(self, networks: Mapping[str, Sequence[Network]]) -> None:
        """Set the networks of 10-site, by their reason."""
        known = {reason: tuple(ones) for reason, ones in networks.items()}
        self._never_refused = _combined(known, self._spared, self._operator)
        self.known = known

    def take_settings(self, settings: Settings) -> None:
        spared = tuple(map(parse_network, settings.never))
        self._never_refused = _combined(self.known, spared, self._operator)
        self._spared, self._released = spared, frozenset(settings.released)

    def take_operator(self, rules: tcprules.Rules | None) -> None:
        """Set the rules of 20-operator, None without any; raises BadInput and then changes nothing."""
        self._never_refused = _combined(self.known, self._spared, rules)
        self._operator = rules

    def known_texts(self) -> dict[str, list[str]] | None:
        """Return the networks of 10-site in CIDR form by their reason, for the service's state."""
        if self.known is None:
            return None
        return {reason: [str(one) for one in ones] for reason, ones in self.known.items()}

    def __call__(self, address: str) -> str:
        if self.known is None:
            return "10-site was never readable"
        reason = self._never_refused(address)
        if not reason and not self._released.isdisjoint((address, site_of(address))):
            reason = "the settings release it"
        if not reason and is_site(address) and any(site_of(one) == address for one in self._released):
            reason = "the settings release a part of it"
        return reason


def _combined(
    known: Mapping[str, Sequence[Network]] | None, spared: Sequence[Network], operator: tcprules.Rules | None
) -> NeverRefused:
    relay = () if operator is None else operator_relay_networks(operator)
    reasons = ((RELAYS, relay), ("the settings exempt it", spared), ("all of IPv4 is behind it", TRANSLATED))
    return NeverRefused([*(known or {}).items(), *reasons], operator)


def facts_of(text: str) -> dict[str, tuple[Network, ...]]:
    """Return the networks of 10-site that are never listed, by their reason; raises BadInput."""
    return networks_of(read_facts(text))
