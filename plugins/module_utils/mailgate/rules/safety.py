# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Safety of rules: no open relay, no way past the scanner, no denial of a protected network."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from ..core.errors import BadInput
from ..core.paths import UNSCANNED_QUEUE
from ..formats.networks import (
    LOOPBACKS,
    RELAY_WIDEST,
    AddressSet,
    Network,
    Widest,
    address_number,
    address_set,
    checked_networks,
    is_address_number,
    network_interval,
    number_address,
)
from ..formats.rule_keys import is_host_address, is_ipv6_key, key_interval
from ..formats.tcprules import (
    HOST_ADDRESS,
    Rule,
    Rules,
    boundaries,
    lookup,
    segments,
)

PROTECTED_WIDEST = Widest(8, 32)


class Unsafe(BadInput):
    """A rule allows a client to relay, skips the scanner, or refuses a protected address."""

    def __init__(self, text: str, rule: Rule) -> None:
        super().__init__(text)
        self.rule = rule


def assert_safe(
    rules: Rules, relay_networks: Iterable[Network], *, scanner: str = "", scan_relay_clients: bool = True
) -> None:
    """Raise Unsafe, naming rule and address, unless only permitted clients can relay or skip the scanner.

    RELAYCLIENT may be set only for the relay networks and the loopback addresses, only empty, and never
    by a host name (which the owner of the address chooses). QMAILQUEUE may be set only to the scanner;
    when relay clients are not scanned, for them also to UNSCANNED_QUEUE. The result of a lookup changes
    only at boundaries of rules, and permission only at boundaries of networks, so checking these
    addresses is enough.
    """
    networks = (*checked_networks(relay_networks, "relay network", RELAY_WIDEST), *LOOPBACKS)
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
                raise _danger(rule, str(number_address(interval[0])), networks, scanner)
            points = points or sorted(
                filter(
                    is_address_number,
                    boundaries(rules).union(*((low, high + 1) for low, high in inside.intervals())),
                )
            )
            for point in points[bisect_left(points, interval[0]) : bisect_right(points, interval[1])]:
                address = number_address(point)
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
    """Return whether the rule keeps a client from sending mail: denied, or refused by RBLSMTPD."""
    return rule.action == "deny" or bool(rule.variable("RBLSMTPD"))


def assert_open(rules: Rules, protected_networks: Iterable[Network]) -> None:
    """Raise Unsafe, naming rule and address, when a rule refuses an address of a protected network.

    A host name takes precedence over a prefix, an address over a host name, and an ident answer over both. So
    when names are denied, each protected address of IPv4 must have a rule of its own; a client of IPv6 has no
    name in the rules.
    """
    inside = address_set(checked_networks(protected_networks, "protected network", PROTECTED_WIDEST))
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
                if inside.ipv4_intervals() and ("@" in key or not _all_exact(inside, rules.index)):
                    raise _shut(rule, f"a protected address whose host has the name {key!r}")
            elif inside.covers(*interval):
                raise _shut(rule, str(number_address(interval[0])))
    pieces = _pieces(rules, inside)
    firsts = [first for first, _rule in pieces]
    for low, high in inside.intervals():
        for first, found in pieces[bisect_right(firsts, low) - 1 : bisect_right(firsts, high)]:
            if found is not None and shuts_out(found):
                raise _shut(found, str(number_address(max(first, low))))


def _pieces(rules: Rules, inside: AddressSet) -> list[tuple[int, Rule | None]]:
    """Return segments() of the rules; of those for a single address only the ones inside matter."""
    hosts = [
        (key, rule)
        for key, rule in rules.index.items()
        if is_host_address(key)
        and (is_ipv6_key(key) or ("=" not in key and "@" not in key and key in inside))
    ]
    return segments([*rules.networks, *hosts])


def all_shut(rules: Rules, networks: Iterable[Network]) -> list[Network]:
    """Return those of the networks of which no host may connect, whichever rules together refuse them."""
    wanted = list(networks)
    pieces = _pieces(rules, address_set(wanted))
    firsts = [first for first, _rule in pieces]
    found = []
    for network in wanted:
        low, high = network_interval(network)
        # No host has the first address of a network of either family, or the last one of IPv4.
        if network.prefixlen < network.max_prefixlen - 1:
            low, high = low + 1, high - (1 if network.version == 4 else 0)
        deciding = pieces[bisect_right(firsts, low) - 1 : bisect_right(firsts, high)]
        if all(rule is not None and shuts_out(rule) for _first, rule in deciding):
            found.append(network)
    return found


def _all_exact(inside: AddressSet, keys: Iterable[str]) -> bool:
    numbers = {address_number(key) for key in keys if HOST_ADDRESS.fullmatch(key)}
    return all(number in numbers for low, high in inside.ipv4_intervals() for number in range(low, high + 1))


def _shut(rule: Rule, who: str) -> Unsafe:
    return Unsafe(
        f"{rule.where}: {rule.text!r} shuts out {who}; expected no rule against a protected network", rule
    )
