# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rule may never do: open the relay, skip the scanner, shut out a protected network."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from ..core.errors import BadInput
from ..core.paths import UNSCANNED_QUEUE
from ..formats.networks import (
    RELAY_MINIMUM_PREFIX_LENGTH,
    AddressSet,
    Network,
    address_number,
    address_set,
    checked_networks,
)
from ..formats.tcprules import (
    HOST_ADDRESS,
    LOOPBACK,
    Rule,
    Rules,
    boundaries,
    is_host_address,
    key_interval,
    lookup,
    segments,
)

PROTECTED_MINIMUM_PREFIX_LENGTH = 8


class Unsafe(BadInput):
    """A rule lets somebody relay, go unscanned or shut out a protected host, who may not."""

    def __init__(self, text: str, rule: Rule) -> None:
        super().__init__(text)
        self.rule = rule


def assert_safe(
    rules: Rules, relay_networks: Iterable[Network], *, scanner: str = "", scan_relay_clients: bool = True
) -> None:
    """Raises Unsafe, naming rule and address, when somebody could relay, or go unscanned, who may not.

    RELAYCLIENT may be set for the relay networks and 127.0.0.1 alone, only empty, never by a host's name
    (which the owner of the address chooses). QMAILQUEUE may be set to the scanner only; where relay clients
    are not scanned, for them to UNSCANNED_QUEUE also. What a lookup finds changes at boundaries of rules
    alone, and who may relay at boundaries of networks, so to look at each of these addresses is enough.
    """
    networks = (*checked_networks(relay_networks, "relay network", RELAY_MINIMUM_PREFIX_LENGTH), LOOPBACK)
    inside = address_set(networks)
    points: list[int] = []
    for rule in rules.rules:
        if not rule.environment:
            continue
        if rule.variable("RELAYCLIENT"):
            raise Unsafe(
                f"{rule.where}: {rule.text!r} gives RELAYCLIENT a value, which is added to each recipient; "
                'expected RELAYCLIENT=""',
                rule,
            )
        scanned = rule.variable("QMAILQUEUE") in (None, scanner or None)
        if not scanned and (scan_relay_clients or rule.variable("QMAILQUEUE") != UNSCANNED_QUEUE):
            who = "relay clients too" if scan_relay_clients else f"or {UNSCANNED_QUEUE!r} for relay clients"
            raise Unsafe(
                f"{rule.where}: {rule.text!r} takes mail past the scanner; expected {_queue(scanner)}, {who}",
                rule,
            )
        if rule.variable("RELAYCLIENT") is None and scanned:
            continue
        for key in rule.keys:
            interval = key_interval(key)
            if interval is None:
                raise _danger(rule, f"whoever has the host name of {key!r}", networks, scanner)
            if inside.covers(*interval):
                continue
            if "@" in key:
                raise _danger(rule, str(ipaddress.IPv4Address(interval[0])), networks, scanner)
            points = points or sorted(
                boundaries(rules).union(*((low, high + 1) for low, high in inside.intervals()))
            )
            for point in points[bisect_left(points, interval[0]) : bisect_right(points, interval[1])]:
                address = ipaddress.IPv4Address(point)
                if not inside.covers(point, point) and lookup(rules, address) is rule:
                    raise _danger(rule, str(address), networks, scanner)


def _queue(scanner: str) -> str:
    return f'QMAILQUEUE="{scanner}" or none' if scanner else "no QMAILQUEUE"


def _danger(rule: Rule, who: str, networks: Sequence[Network], scanner: str) -> Unsafe:
    if rule.variable("RELAYCLIENT") is not None:
        allowed = ", ".join(str(network) for network in networks)
        return Unsafe(
            f"{rule.where}: {rule.text!r} lets {who} relay; expected RELAYCLIENT only for {allowed}", rule
        )
    return Unsafe(
        f"{rule.where}: {rule.text!r} takes mail from {who} past the scanner; "
        f"expected {_queue(scanner)} outside of the relay networks",
        rule,
    )


def shuts_out(rule: Rule) -> bool:
    """Whether a client of the rule gets no mail in: denied, or refused with a text by RBLSMTPD."""
    return rule.action == "deny" or bool(rule.variable("RBLSMTPD"))


def assert_open(rules: Rules, protected_networks: Iterable[Network]) -> None:
    """Raises Unsafe, naming rule and address, when a rule shuts out an address of a protected network.

    A host's name counts before a prefix and only an address counts before it, and what ident says before
    both, so where names shut somebody out each protected address must have a rule of its own.
    """
    inside = address_set(
        checked_networks(protected_networks, "protected network", PROTECTED_MINIMUM_PREFIX_LENGTH)
    )
    if not inside.intervals():
        return
    for rule in rules.rules:
        if not shuts_out(rule):
            continue
        for key in rule.keys:
            if not ("=" in key or "@" in key) or rules.index[key] is not rule:
                continue
            interval = key_interval(key)
            if interval is None:
                if "@" in key or not _all_exact(inside, rules.index):
                    raise _shut(rule, f"a protected address whose host has the name {key!r}")
            elif inside.covers(*interval):
                raise _shut(rule, str(ipaddress.IPv4Address(interval[0])))
    # Of single addresses only those that are protected matter to them.
    pieces = segments(
        (key, rule)
        for key, rule in rules.index.items()
        if not is_host_address(key) or ("=" not in key and "@" not in key and key in inside)
    )
    firsts = [first for first, _rule in pieces]
    for low, high in inside.intervals():
        for first, found in pieces[bisect_right(firsts, low) - 1 : bisect_right(firsts, high)]:
            if found is not None and shuts_out(found):
                raise _shut(found, str(ipaddress.IPv4Address(max(first, low))))


def _all_exact(inside: AddressSet, keys: Iterable[str]) -> bool:
    numbers = {address_number(key) for key in keys if HOST_ADDRESS.fullmatch(key)}
    return all(number in numbers for low, high in inside.intervals() for number in range(low, high + 1))


def _shut(rule: Rule, who: str) -> Unsafe:
    return Unsafe(
        f"{rule.where}: {rule.text!r} shuts out {who}; expected no rule against a protected network", rule
    )
