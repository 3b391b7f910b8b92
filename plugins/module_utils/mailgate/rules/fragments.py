# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fragments of /etc/tcp.d: their names, the site's facts, and the adaptive entries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..core.errors import BadInput
from ..formats.networks import (
    IPV6_FIRST,
    NOT_EVERYBODY,
    PRIVATE_NETWORKS,
    RELAY_WIDEST,
    Network,
    Widest,
    address_number,
    contains,
    network_order,
    parse_network,
    parse_networks,
)
from ..formats.rule_keys import ipv6_key
from ..formats.tcprules import OCTET, Rules
from .safety import PROTECTED_WIDEST

SITE, OPERATOR, ADAPTIVE, DEFAULT = "10-site", "20-operator", "30-adaptive", "90-default"
FRAGMENTS = (SITE, OPERATOR, ADAPTIVE, DEFAULT)
ADAPTIVE_WHY_CHARACTERS = 200
ADAPTIVE_UNTIL_MAX = 99_999_999_999  # of eleven digits, in the year 5138
FACTS = "# mailgate: "
ADAPTIVE_IPV6_LENGTHS = range(48, 129)
PUBLIC_RELAY_WIDEST = Widest(16, 48, ipv4_behind=True)  # of the operator: what one site has at most
_ADAPTIVE_ENTRY = re.compile(
    rf"# until ([1-9][0-9]{{0,10}}) why ([ -~]{{1,{ADAPTIVE_WHY_CHARACTERS}}})\n"
    rf"((?:{OCTET}\.){{3}}{OCTET}|\[[0-9a-f:.]{{2,45}}\]/[0-9]{{2,3}}):deny\n"
)


# Facts and entries that other programs read and write, too


@dataclass(frozen=True)
class Facts:
    """The site's settings that the compiler needs, stored in the head of 10-site."""

    relay_networks: tuple[Network, ...] = ()
    scanner: str = ""
    protected_networks: tuple[Network, ...] = ()  # no rule may deny them
    whitelisted_networks: tuple[Network, ...] = ()
    scan_relay_clients: bool = True


class AdaptiveEntry(NamedTuple):
    """One entry of 30-adaptive: the client, when its refusal ends (unix seconds), and why it is refused.

    The client is an IPv4 address, or an IPv6 network in CIDR form with a length in ADAPTIVE_IPV6_LENGTHS,
    each in its usual form.
    """

    address: str
    until: int
    why: str  # printable ASCII

    @property
    def rule_address(self) -> str:
        """The client as a rule writes it: '192.0.2.1', '[2001:db8::]/64'."""
        if "/" not in self.address:
            return self.address
        network, _slash, length = self.address.partition("/")
        return f"[{network}]/{length}"

    @property
    def key(self) -> str:
        """The key of its rule."""
        if "/" not in self.address:
            return self.address
        network, _slash, length = self.address.partition("/")
        return ipv6_key(address_number(network) - IPV6_FIRST, int(length))


def site_facts(site: Rules) -> Facts:
    """Return the facts in the head of 10-site; raises BadInput when they are missing or damaged."""
    return _facts(site.lines, site.name)


def read_facts(text: str, name: str = SITE) -> Facts:
    """Return the facts in the head of the text of 10-site, without parsing its rules; raises BadInput."""
    return _facts(text.splitlines(keepends=True), name)


def _facts(lines: Sequence[str], name: str) -> Facts:
    expected = "the file as mailgate.qmail.tcp_rules writes it"
    found = [line[len(FACTS) :] for line in lines if line.startswith(FACTS)]
    if len(found) != 1:
        raise BadInput(f"{name}: {len(found)} lines begin with {FACTS!r}; expected one, {expected}")
    try:
        facts = json.loads(found[0])
        relay, scanner = facts["relay_networks"], facts["scanner"]
        # The head of an older version does not have these.
        protected, whitelisted = facts.get("protected_networks", []), facts.get("whitelisted_networks", [])
        scan = facts.get("scan_relay_clients", True)
        if not isinstance(scanner, str) or not isinstance(scan, bool):
            raise TypeError(f"scanner is {scanner!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{name}: {found[0]!r} holds no facts; expected {expected}") from error
    return Facts(
        parse_networks(relay, f"{name} relay network", RELAY_WIDEST),
        scanner,
        parse_networks(protected, f"{name} protected network", PROTECTED_WIDEST),
        parse_networks(whitelisted, f"{name} whitelisted network", NOT_EVERYBODY),
        scan,
    )


def render_facts(facts: Facts) -> str:
    """Return the line of 10-site that site_facts() reads."""
    values = {
        "relay_networks": [str(network) for network in facts.relay_networks],
        "scanner": facts.scanner,
        "protected_networks": [str(network) for network in facts.protected_networks],
        "whitelisted_networks": [str(network) for network in facts.whitelisted_networks],
        "scan_relay_clients": facts.scan_relay_clients,
    }
    return f"{FACTS}{json.dumps(values)}\n"


def operator_relay_networks(operator: Rules) -> tuple[Network, ...]:
    """Return the operator's relay list, from the head of 20-operator.

    Raises BadInput when it is damaged or a network is too wide: one that is not private is at most a site's.
    """
    networks = _operator_networks(operator)
    for number, network in enumerate(networks, 1):
        if fault := operator_relay_fault(network):
            raise BadInput(f"{operator.name} relay network {number}: '{network}' {fault}")
    return networks


def _operator_networks(operator: Rules) -> tuple[Network, ...]:
    found = [line[len(FACTS) :] for line in operator.lines if line.startswith(FACTS)]
    if not found:
        return ()
    expected = f'one line such as \'{FACTS}{{"relay_networks": ["192.0.2.0/24"]}}\''
    if len(found) > 1:
        raise BadInput(f"{operator.name}: {len(found)} lines begin with {FACTS!r}; expected {expected}")
    try:
        networks = json.loads(found[0])["relay_networks"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{operator.name}: {found[0]!r} holds no relay networks; expected {expected}"
        ) from error
    return parse_networks(networks, f"{operator.name} relay network")


def without_wide_relay_networks(operator: Rules) -> Rules:
    """Return 20-operator without the relay networks that are too wide; raises BadInput if it is damaged."""
    networks = _operator_networks(operator)
    kept = [network for network in networks if not operator_relay_fault(network)]
    if len(kept) == len(networks):
        return operator
    head = render_operator_relay_networks(kept)
    lines = (head or "#\n" if line.startswith(FACTS) else line for line in operator.lines)
    return Rules(operator.name, tuple(lines), operator.rules)


def operator_relay_fault(network: Network) -> str:
    """Return why an operator may not let a network relay, because of its width, or ''."""
    fault = RELAY_WIDEST.fault(network)
    if fault or any(contains(one, network) for one in PRIVATE_NETWORKS):
        return fault
    fault = PUBLIC_RELAY_WIDEST.fault(network)
    return f"is public and {fault[3:] if fault.startswith('is ') else fault}" if fault else ""


def render_operator_relay_networks(networks: Iterable[Network]) -> str:
    """Return the line of 20-operator that operator_relay_networks() reads; '' for no networks."""
    texts = [str(network) for network in sorted(networks, key=network_order)]
    return f"{FACTS}{json.dumps({'relay_networks': texts})}\n" if texts else ""


def parse_adaptive(text: str, now: float, name: str = ADAPTIVE) -> tuple[AdaptiveEntry, ...]:
    """Parse the entries of 30-adaptive that have not expired, in the file's order, each address once.

    Raises BadInput unless the text consists of pairs of lines '# until SECONDS why TEXT' and 'ADDRESS:deny'.
    The message names the line and quotes nothing, because the text comes partly from strangers.
    """
    found = _ADAPTIVE_ENTRY.findall(text)
    # Matches do not overlap, so if they have as many characters as the text, they are the whole text.
    if sum(len(until) + len(why) + len(address) for until, why, address in found) != len(text) - len(
        "# until  why \n:deny\n"
    ) * len(found):
        end = 0
        for match in _ADAPTIVE_ENTRY.finditer(text):
            if match.start() != end:
                break
            end = match.end()
        raise BadInput(
            f"{name} line {text.count(chr(10), 0, end) + 1}: this and the next line are not an entry; "
            "expected '# until SECONDS why TEXT' and 'ADDRESS:deny'"
        )
    entries: dict[str, AdaptiveEntry] = {}
    for until, why, address in found:
        end = int(until)
        if address[0] == "[":
            address = _adaptive_network(address, text, name)
        if end > now and (address not in entries or entries[address].until < end):
            entries[address] = AdaptiveEntry(address, end, why)
    return tuple(entries.values())


def _adaptive_network(address: str, text: str, name: str) -> str:
    """Return the network of an entry of IPv6 in CIDR form; raises BadInput that quotes nothing."""
    network = address.replace("[", "").replace("]", "")
    if not _is_adaptive_network(network):
        line = text.count("\n", 0, text.index(f"{address}:deny\n")) + 1
        lengths = f"{ADAPTIVE_IPV6_LENGTHS[0]} to {ADAPTIVE_IPV6_LENGTHS[-1]}"
        raise BadInput(
            f"{name} line {line}: not a network of IPv6; expected one such as '[2001:db8::]/64', "
            f"with a length from {lengths}"
        )
    return network


def _is_adaptive_network(network: str) -> bool:
    try:
        known = parse_network(network)
    except BadInput:
        return False
    return known.version == 6 and known.prefixlen in ADAPTIVE_IPV6_LENGTHS and str(known) == network


def render_adaptive(entries: Iterable[AdaptiveEntry]) -> str:
    """Return the text that parse_adaptive() reads; raises BadInput for an entry that it would refuse."""
    lines = []
    for entry in entries:
        text = f"# until {entry.until} why {entry.why}\n{entry.rule_address}:deny\n"
        if not _ADAPTIVE_ENTRY.fullmatch(text) or (
            "/" in entry.address and not _is_adaptive_network(entry.address)
        ):
            raise BadInput(
                f"{ADAPTIVE} entry: {entry!r} cannot stand there; expected an IPv4 address or a network of "
                f"IPv6 from /{ADAPTIVE_IPV6_LENGTHS[0]} to /{ADAPTIVE_IPV6_LENGTHS[-1]}, unix seconds, "
                f"and 1 to {ADAPTIVE_WHY_CHARACTERS} characters of printable ASCII"
            )
        lines.append(text)
    return "".join(lines)
