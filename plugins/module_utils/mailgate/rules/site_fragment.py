# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fragments that Ansible writes: the site's rules and the default rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..core.paths import UNSCANNED_QUEUE
from ..formats import tcprules
from ..formats.networks import (
    LOOPBACKS,
    NOT_EVERYBODY,
    RELAY_WIDEST,
    Network,
    contains,
    network_interval,
    parse_networks,
    rule_address,
)
from . import safety
from .fragments import SITE, Facts, render_facts
from .safety import PROTECTED_WIDEST

_WRITTEN = "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n"


# The site's fragments


@dataclass(frozen=True)
class SiteRule:
    """A rule of the site for one network in CIDR form."""

    network: str
    action: str  # "allow" or "deny"
    environment: Mapping[str, str]


def site_rules(
    relay_networks: Iterable[str],
    *,
    scanner: str = "",
    scan_relay_clients: bool = True,
    relay_environment: Mapping[str, str] | None = None,
    protected_networks: Iterable[str] = (),
    whitelisted_networks: Iterable[str] = (),
    extra: Sequence[SiteRule] = (),
) -> str:
    """Return the text of 10-site: loopback and relay networks, whitelisted networks, other rules.

    scanner is the QMAILQUEUE of relay clients, written into each rule, as rules do not inherit; '' leaves it
    to the service's environment. Unless scan_relay_clients, their mail is queued without the scanner. Narrow
    networks come before wide ones, because two ranges may have a key in common and the first line counts. The
    head stores the facts in the same file as the rules that follow from them, so that one rename replaces
    both. Raises BadInput for networks that may not relay, a network with two rules, and a denial of a
    protected network.
    """
    relay = parse_networks(relay_networks, "relay network", RELAY_WIDEST)
    protected = parse_networks(protected_networks, "protected network", PROTECTED_WIDEST)
    whitelisted = parse_networks(whitelisted_networks, "whitelisted network", NOT_EVERYBODY)
    if scanner and not scanner.startswith("/"):
        raise BadInput(f"scanner: {scanner!r} is not an absolute path; expected one or nothing")
    queue = scanner if scan_relay_clients else UNSCANNED_QUEUE
    environment = {"RELAYCLIENT": "", **({"QMAILQUEUE": queue} if queue else {})}
    for name, value in (relay_environment or {}).items():
        if environment.setdefault(name, value) != value:
            raise BadInput(
                f"relay environment: {name}={value!r} is set already; expected {environment[name]!r} or none"
            )
    wanted: dict[Network, tuple[str, Mapping[str, str], str]] = {}
    for network in dict.fromkeys((*LOOPBACKS, *relay)):
        wanted[network] = ("allow", environment, "relay environment")
    for number, rule in enumerate(extra, 1):
        where = f"rule {number}"
        (network,) = parse_networks([rule.network], f"{where} network", NOT_EVERYBODY)
        if rule.action not in ("allow", "deny"):
            raise BadInput(f"{where}: {rule.action!r} is not an action; expected 'allow' or 'deny'")
        if network in wanted:
            raise BadInput(f"{where}: '{network}' has a rule already; expected one rule for each network")
        inside = next((one for one in protected if contains(one, network)), None)
        if inside is not None and (rule.action == "deny" or rule.environment.get("RBLSMTPD")):
            raise BadInput(
                f"{where}: '{network}' lies in the protected network '{inside}'; expected no denial"
            )
        wanted[network] = (rule.action, rule.environment, where)
    _whitelist(wanted, whitelisted)
    facts = Facts(relay, scanner, protected, whitelisted, scan_relay_clients)
    text = f"{_WRITTEN}# Rules of your own belong into 20-operator beside this file.\n{render_facts(facts)}"
    text += "".join(_line(network, *wanted[network]) for network in sorted(wanted, key=_narrow_first))
    safety.assert_safe(
        tcprules.parse(text, SITE), relay, scanner=scanner, scan_relay_clients=scan_relay_clients
    )
    return text


def _whitelist(
    wanted: dict[Network, tuple[str, Mapping[str, str], str]], whitelisted: Sequence[Network]
) -> None:
    """Add WHITELISTED to the rules of whitelisted networks, and rules for networks that have none."""
    named = dict(wanted)
    for network in whitelisted:
        around = [one for one in named if contains(one, network)]
        action, where = "allow", "whitelisted network"
        environment: Mapping[str, str] = {}
        if around:
            narrowest = max(around, key=lambda one: one.prefixlen)
            if narrowest == network and named[narrowest][0] == "deny":
                raise BadInput(f"whitelisted network: '{network}' is denied as well; expected one of the two")
            if named[narrowest][0] == "allow":
                action, environment, where = named[narrowest]
        wanted[network] = (action, {**environment, "WHITELISTED": ""}, where)
    for network, (action, environment, where) in named.items():
        if action == "allow" and any(contains(one, network) for one in whitelisted):
            wanted[network] = (action, {**environment, "WHITELISTED": ""}, where)


def default_rules() -> str:
    """Return the text of 90-default: a client without another rule may connect, without privileges."""
    return f"{_WRITTEN}:allow\n"


def _narrow_first(network: Network) -> tuple[int, int, int]:
    return network.version, -network.prefixlen, network_interval(network)[0]


def _line(network: Network, action: str, environment: Mapping[str, str], where: str) -> str:
    return f"{rule_address(network)}:{action}{written_variables(environment.items(), where)}\n"


def written_variables(environment: Iterable[tuple[str, str]], where: str) -> str:
    text = ""
    for name, value in environment:
        if not isinstance(value, str) or re.search(r"[\0\r\n]", value):
            raise BadInput(f"{where}: {name}={value!r} cannot stand in a rule; expected text of one line")
        quote = next((mark for mark in "\"'|!%^~" if mark not in value), None)
        if quote is None:
            raise BadInput(
                f"{where}: {name}={value!r} leaves no mark to quote it; expected a value without \" or '"
            )
        text += f",{name}={quote}{value}{quote}"
    return text
