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
from ..formats.networks import RELAY_MINIMUM_PREFIX_LENGTH, Network, network_order, parse_networks
from ..formats.tcprules import OCTET, Rules
from .safety import PROTECTED_MINIMUM_PREFIX_LENGTH

SITE, OPERATOR, ADAPTIVE, DEFAULT = "10-site", "20-operator", "30-adaptive", "90-default"
FRAGMENTS = (SITE, OPERATOR, ADAPTIVE, DEFAULT)
ADAPTIVE_WHY_CHARACTERS = 200
ADAPTIVE_UNTIL_MAX = 99_999_999_999  # of eleven digits, in the year 5138
FACTS = "# mailgate: "
_ADAPTIVE_ENTRY = re.compile(
    rf"# until ([1-9][0-9]{{0,10}}) why ([ -~]{{1,{ADAPTIVE_WHY_CHARACTERS}}})\n"
    rf"((?:{OCTET}\.){{3}}{OCTET}):deny\n"
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
    """One entry of 30-adaptive: the address, when its refusal ends (unix seconds), and why it is refused."""

    address: str
    until: int
    why: str  # printable ASCII


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
        parse_networks(relay, f"{name} relay network", RELAY_MINIMUM_PREFIX_LENGTH),
        scanner,
        parse_networks(protected, f"{name} protected network", PROTECTED_MINIMUM_PREFIX_LENGTH),
        parse_networks(whitelisted, f"{name} whitelisted network", 1),
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
    """Return the operator's relay list, from the head of 20-operator; raises BadInput when it is damaged."""
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
    return parse_networks(networks, f"{operator.name} relay network", RELAY_MINIMUM_PREFIX_LENGTH)


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
        if end > now and (address not in entries or entries[address].until < end):
            entries[address] = AdaptiveEntry(address, end, why)
    return tuple(entries.values())


def render_adaptive(entries: Iterable[AdaptiveEntry]) -> str:
    """Return the text that parse_adaptive() reads; raises BadInput for an entry that it would refuse."""
    lines = []
    for entry in entries:
        text = f"# until {entry.until} why {entry.why}\n{entry.address}:deny\n"
        if not _ADAPTIVE_ENTRY.fullmatch(text):
            raise BadInput(
                f"{ADAPTIVE} entry: {entry!r} cannot stand there; expected an IPv4 address, unix seconds, "
                f"and 1 to {ADAPTIVE_WHY_CHARACTERS} characters of printable ASCII"
            )
        lines.append(text)
    return "".join(lines)
