# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's entries in an operator's list: they are fixed, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..formats import tcprules
from ..formats.addresses import written_address
from ..formats.networks import LOOPBACKS, Network
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
    """Return the site's relay networks, or its rules about clients; protected: networks of operator.json."""
    if name == RELAY:
        networks = (*LOOPBACKS, *facts.relay_networks)
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
    known = {*map(str, (*LOOPBACKS, *facts.relay_networks)), *(one.value for one in found)}
    for rule in site.rules:
        value = rule_network(rule) or rule.address
        if value not in known:
            found.append(_site(value, rule.action, "the site file has a rule for it; change it there"))
    return found


def _site(value: str, action: str, fixed: str) -> Entry:
    return Entry(value, action, origin=SITE, fixed=fixed)


def senders_entries(text: str, where: str) -> list[Entry]:
    """Return the senders that the site file refuses."""
    fixed = "the site file refuses it; change it there"
    return [_site(written_address(one.address), "", fixed) for one in bad_senders.parse(text, where)]


def scored_entries(name: str, texts: Mapping[str, str]) -> list[Entry]:
    """Return the senders in SpamAssassin's files, by name, that are edited by hand."""
    found = []
    for file, text in texts.items():
        for line in text.splitlines():
            match = _SCORED.match(line)
            kind = {TRUSTED: "trusted", BLOCKED: "blocked"}[name]
            if match is not None and match[kind]:
                words = match["words"].split()
                senders = words[:1] if match[kind].endswith("_rcvd") else words
                fixed = f"it is in {file}, which is edited by hand; change it there"
                found += [_site(one[1:] if one.startswith("*@") else one, "", fixed) for one in senders]
    return found


def recipient_entries(domains: Iterable[Domain], hostname: str) -> list[Entry]:
    """Return the recipients that the site file lists, or accepts with a whole domain."""
    found = recipients.keys(domains, hostname=hostname).keys
    return [_site(written_address(one), "", "the site file accepts it; change it there") for one in found]


def clients_notice(name: str, action: str) -> list[str]:
    """Return the effect on an allowed client that the compiler does not describe."""
    if name != CLIENTS or action != "allow":
        return []
    return ["WHITELISTED: neither the greylist nor a DNS list nor the adaptive blacklist keeps it out"]
