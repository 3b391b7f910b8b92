# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in an operator's list without being the operators': entries that stay as they are, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..formats import tcprules
from ..formats.networks import Network
from ..formats.tcprules import LOOPBACK
from ..recipients import keys as recipients
from ..recipients.domains import Domain
from ..rules import senders as bad_senders
from ..rules.fragments import Facts
from .entries import BLOCKED, CLIENTS, RELAY, SITE, TRUSTED, Entry, rule_network

_SCORED = re.compile(
    r"\s*(?:(?P<trusted>(?:white|welcome)list_from(?:_rcvd|_auth|_spf|_dkim)?|def_(?:white|welcome)list_from_rcvd)"
    r"|(?P<blocked>(?:black|block)list_from))\s+(?P<words>[^#]+)"
)


def rules_entries(name: str, site: tcprules.Rules, facts: Facts, protected: Iterable[Network]) -> list[Entry]:
    """The site's relay networks, or its own rules about clients; protected: the networks of operator.json."""
    if name == RELAY:
        networks = (LOOPBACK, *facts.relay_networks)
        return [_site(str(one), "", "it may relay by the site file; change it there") for one in networks]
    found = [
        _site(str(one), "allow", "it is protected by the site file: nobody may refuse it")
        for one in facts.protected_networks
    ]
    found += [
        _site(str(one), "allow", "it is protected here by the site file: no operator may refuse it")
        for one in protected
        if one not in facts.protected_networks
    ]
    known = {*map(str, (LOOPBACK, *facts.relay_networks)), *(one.value for one in found)}
    for rule in site.rules:
        value = rule_network(rule) or rule.address
        if value not in known:
            found.append(_site(value, rule.action, "the site file has a rule for it; change it there"))
    return found


def _site(value: str, action: str, fixed: str) -> Entry:
    return Entry(value, action, origin=SITE, fixed=fixed)


def senders_entries(text: str, where: str) -> list[Entry]:
    """The senders that the site file refuses."""
    fixed = "the site file refuses it; change it there"
    return [_site(one.address, "", fixed) for one in bad_senders.parse(text, where)]


def scored_entries(name: str, texts: Mapping[str, str]) -> list[Entry]:
    """The senders in files of SpamAssassin's, by name, that people write by hand."""
    found = []
    for file, text in texts.items():
        for line in text.splitlines():
            match = _SCORED.match(line)
            kind = {TRUSTED: "trusted", BLOCKED: "blocked"}[name]
            if match is not None and match[kind]:
                words = match["words"].split()
                senders = words[:1] if match[kind].endswith("_rcvd") else words
                fixed = f"it stands in {file}, which people write by hand; change it there"
                found += [_site(one[1:] if one.startswith("*@") else one, "", fixed) for one in senders]
    return found


def recipient_entries(domains: Iterable[Domain], hostname: str) -> list[Entry]:
    """The recipients that the site file names, or accepts as a whole domain."""
    found = recipients.keys(domains, hostname=hostname).keys
    return [_site(one, "", "the site file accepts it; change it there") for one in found]


def clients_notice(name: str, action: str) -> list[str]:
    """What an allowed client is spared, beside what the compiler says of it."""
    if name != CLIENTS or action != "allow":
        return []
    return ["WHITELISTED: neither the greylist nor a DNS list nor the adaptive blacklist keeps it out"]
