# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that an adaptive entry must never refuse: relay clients, whitelisted and protected networks.

The blacklist checks before it lists an address, and the rules compiler checks each entry again.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..formats import tcprules
from ..formats.networks import AddressSet, Network, address_set, parse_network, text_interval
from ..formats.rule_keys import key_interval
from ..formats.tcprules import Rule, Rules
from .fragments import Facts

RELAYS, PROTECTED, WHITELISTED = "it may relay", "it is protected", "it is whitelisted"
_THIS_HOST = (parse_network("127.0.0.0/8"), parse_network("::1/128"))
_BY_VARIABLE = {"RELAYCLIENT": RELAYS, "WHITELISTED": WHITELISTED}


def networks_of(facts: Facts) -> dict[str, tuple[Network, ...]]:
    """Return the site's networks that are never refused, by their reason."""
    return {
        RELAYS: facts.relay_networks,
        PROTECTED: facts.protected_networks,
        WHITELISTED: facts.whitelisted_networks,
    }


class NeverRefused:
    """Callable that returns why an IPv4 address or a network is never refused; usually after one bisection.

    A network in CIDR form is never refused when one of its addresses is not. '' means that it may be refused.
    """

    def __init__(self, networks: Iterable[tuple[str, Iterable[Network]]], rules: Rules | None = None) -> None:
        """Take the networks by their reason, and rules that may allow more clients."""
        self._named = [("it is this host", address_set(_THIS_HOST))]
        self._named += [(reason, address_set(ones)) for reason, ones in networks]
        self._rules = rules
        intervals = [interval for _reason, addresses in self._named for interval in addresses.intervals()]
        self._allowing: list[tuple[AddressSet, Rule]] = []
        for rule in rules.rules if rules is not None else ():
            if any(name in _BY_VARIABLE for name, _value in rule.environment):
                found = [one for one in map(key_interval, rule.keys) if one is not None]
                intervals += found
                self._allowing.append((AddressSet(found), rule))
        self._perhaps = AddressSet(intervals)

    def __call__(self, address: str) -> str:
        first, last = text_interval(address)
        if not self._perhaps.overlaps(first, last):
            return ""
        for reason, addresses in self._named:
            if addresses.overlaps(first, last):
                return reason
        if self._rules is None:
            return ""
        if first == last:
            rule = tcprules.lookup(self._rules, address.partition("/")[0])
            return "" if rule is None else _reason(rule)
        # Of a network: any rule for a part of it, or around it, also one that another rule takes back.
        return next((_reason(rule) for part, rule in self._allowing if part.overlaps(first, last)), "")


def _reason(rule: Rule) -> str:
    for name, reason in _BY_VARIABLE.items():
        if rule.variable(name) is not None:
            return f"{reason} by {rule.where}"
    return ""
