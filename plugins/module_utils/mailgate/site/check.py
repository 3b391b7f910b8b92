# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of the whole site file: all its faults at once, before anything is changed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from ..core.errors import BadInput
from ..formats import (
    addresses,
    domain_rules,
    greylist_exempt,
    listening,
    logged_address,
    networks,
    outbound_tls,
    smtproutes,
)
from ..recipients import ldap_settings
from ..recipients.domains import Domain, directory_domains, parse_domains
from ..rules import senders as bad_senders
from ..rules.safety import PROTECTED_WIDEST
from . import peers, tls

# The lists of networks, and how wide each network may be.
NETWORKS = {
    "relay_networks": networks.RELAY_WIDEST,
    "protected_networks": PROTECTED_WIDEST,
    "whitelisted_networks": networks.NOT_EVERYBODY,
    "operators_protected": networks.NOT_EVERYBODY,
}
KEYS = (
    *("hostname", "postmaster", "domains", *NETWORKS, "bad_senders", "extra_routes", "directories"),
    "deny_reply",
    "front",
    "listen",
    "public_addresses",
    "greylist_exempt",
    "tls_minimum",
    "tls_sessions",
    "certificate",
    "tls_policies",
    "tls_backend_ca",
    "outbound_dane",
    "outbound_mta_sts",
    "tls",
    "require_tls",
    "subject_tag",
    "greylist",
    "keep_refused_days",
    "keep_refused_bytes",
    "peers",
)
# Copies of refused spam: the least and the most.
KEPT = {"keep_refused_days": (0, 365), "keep_refused_bytes": (1 << 20, 1 << 40)}

FRONTS = ("smtpfront", "tcpserver")
_VARIABLES = {
    "extra_routes": "gateway_routes",
    "operators_protected": "gateway_operator_protected_networks",
}
_DOMAIN_KEYS = ("name", "route", "recipients", "addresses", "tls", "spam")
_ROUTE_KEYS = ("domain", "route")
_ROUTE_EXPECTED = "expected 'host', 'host:port', or '' for the domain's MX"


def check_site(site: Mapping[str, object], own_addresses: Collection[str]) -> list[str]:
    """Return every fault of a site, one text each, key by key; [] for a valid one.

    site: hostname, postmaster, domains (list of {name, route, recipients, addresses}), the lists of
    NETWORKS (CIDR, IPv4 or IPv6), bad_senders (list of `user@host` or `@host`), extra_routes (list of
    {domain, route}), directories (the result of ldap_settings.public(), so without a password),
    deny_reply (what denied clients hear), front (of FRONTS), listen and public_addresses (lists of
    addresses), greylist_exempt (list of networks and domains), tls_minimum, tls_sessions, certificate
    (the result of tls.without_keys()), tls_policies and tls_backend_ca (of outbound_tls.site_policies()),
    outbound_dane and outbound_mta_sts (bools), tls (bool), require_tls (see tls.REQUIRED), subject_tag (of
    SpamAssassin, for the domains' rules), greylist (bool), keep_refused_days and keep_refused_bytes (of
    KEPT), and peers (see peers.parse()); all but the first three may be missing.
    The texts use the names of the site file: `gateway_<key>` or those of _VARIABLES, for directories
    `gateway_directory`. own_addresses: the host's IPv4 addresses.
    """
    hostname = site.get("hostname")
    found = _unknown(site, KEYS, "site")
    found += _hostname_faults(hostname)
    name = hostname.lower() if isinstance(hostname, str) else ""
    found += _postmaster_faults(site.get("postmaster"), name)
    own = {"localhost", name, *own_addresses}
    routed: dict[str, str] = {}
    domains, faults = _parse_domains(site.get("domains"))
    found += _domains_faults(site.get("domains"), name, own, routed) + faults
    found += _directories_faults(site, domains)
    found += _deny_reply_faults(site.get("deny_reply"))
    front = site.get("front", FRONTS[0])
    if front not in FRONTS:
        found.append(f"gateway_front: {front!r} is not known; expected one of {', '.join(FRONTS)}")
    for key, widest in NETWORKS.items():
        for number, text in _items(site, key, found):
            found += _network_faults(text, widest, f"{_variable(key)} item {number}")
    if site.get("listen") is not None:
        found += listening.addresses_faults(site["listen"], "gateway_listen") or _front_faults(site)
    for number, text in _items(site, "public_addresses", found):
        found += _address_faults(text, f"gateway_public_addresses item {number}")
    for number, item in _items(site, "greylist_exempt", found):
        fault = greylist_exempt.exempt_fault(item, f"gateway_greylist_exempt item {number}")
        found += [fault] if fault else []
    found += tls.minimum_faults(site.get("tls_minimum", tls.MINIMUMS[0]))
    found += tls.sessions_faults(site.get("tls_sessions", 1))
    found += tls.required_faults(site.get("require_tls", {}), site.get("tls", True))
    for key, (least, most) in KEPT.items():
        found += _number_faults(site.get(key, least), least, most, _variable(key))
    found += tls.certificate_faults(site.get("certificate", []))
    found += _outbound_tls_faults(site)
    found += _rules_faults(site)
    found += peers.faults(site.get("peers"), name)
    for number, text in _items(site, "bad_senders", found):
        found += _bad_sender_faults(text, f"gateway_bad_senders item {number}")
    for number, item in _items(site, "extra_routes", found):
        where = f"gateway_routes item {number}"
        if not isinstance(item, Mapping):
            found.append(f"{where}: {item!r} is not a mapping; expected 'domain' and 'route'")
            continue
        found += _unknown(item, _ROUTE_KEYS, where)
        domain = item.get("domain")
        if isinstance(domain, str):
            found += _route_faults(domain, item, own, routed, where)
        else:
            found.append(f"{where}: {domain!r} is not a domain; expected a text, '' for the default route")
    return found


def _variable(key: str) -> str:
    return _VARIABLES.get(key, f"gateway_{key}")


def _items(site: Mapping[str, object], key: str, found: list[str]) -> Iterable[tuple[int, object]]:
    values = site.get(key)
    if values is None:
        return ()
    if isinstance(values, str) or not isinstance(values, Sequence):
        found.append(f"{_variable(key)}: {values!r} is not a list; expected a list")
        return ()
    return enumerate(values, 1)


def _unknown(item: Mapping[str, object], known: Collection[str], where: str) -> list[str]:
    expected = f"expected one of {', '.join(known)}"
    return [f"{where}: {key!r} is not known; {expected}" for key in item if key not in known]


def _hostname_faults(hostname: object) -> list[str]:
    if hostname == "":
        return ["gateway_hostname: is missing; expected the name of the gateway, such as 'mx1.example.com'"]
    if not isinstance(hostname, str):
        return [f"gateway_hostname: {hostname!r} is not a string; expected a name such as 'mx1.example.com'"]
    fault = addresses.domain_fault(hostname)
    return [f"gateway_hostname: {hostname!r} {fault}"] if fault else []


def _postmaster_faults(postmaster: object, hostname: str) -> list[str]:
    if postmaster == "":
        return ["gateway_postmaster: is missing; expected the address of who looks after the gateway"]
    if not isinstance(postmaster, str):
        return [f"gateway_postmaster: {postmaster!r} is not a string; expected an address"]
    if fault := addresses.address_fault(postmaster):
        return [f"gateway_postmaster: {postmaster!r} {fault}"]
    if not postmaster.isascii():  # it is written into files of qmail as it is
        fault = addresses.domain_fault(postmaster.rpartition("@")[2])
        return [f"gateway_postmaster: {postmaster!r} has a domain that {fault}"]
    if postmaster.lower().rpartition("@")[2] == hostname:
        # Mail for the gateway's own roles is forwarded to this address, so it would loop.
        return [f"gateway_postmaster: {postmaster!r} is at the gateway itself; expected an address elsewhere"]
    return []


def _parse_domains(domains: object) -> tuple[tuple[Domain, ...], list[str]]:
    """Return the domains, and the faults of their form, names and recipients."""
    if domains == []:
        return (), [
            "gateway_domains: is missing or empty; expected the domains whose mail the gateway takes, each "
            "with name, route and recipients, in group_vars/gateways.yml"
        ]
    if isinstance(domains, str) or not isinstance(domains, Sequence) or not domains:
        return (), [f"gateway_domains: {domains!r} is not a list of domains; expected at least one"]
    return parse_domains(domains, "gateway_domains")


def _domains_faults(
    domains: object, hostname: str, own: Collection[str], routed: dict[str, str]
) -> list[str]:
    """Return the other faults of the domains: keys, the gateway's own name, and routes."""
    found: list[str] = []
    if isinstance(domains, str) or not isinstance(domains, Sequence):
        return found
    for number, item in enumerate(domains, 1):
        where = f"gateway_domains item {number}"
        if not isinstance(item, Mapping):
            continue
        found += _unknown(item, _DOMAIN_KEYS, where)
        name = item.get("name")
        known = addresses.ascii_domain(name) if isinstance(name, str) else ""
        if not isinstance(name, str) or addresses.domain_fault(known):
            continue
        if known == hostname:
            found.append(
                f"{where}: {name!r} is the gateway's own name, whose mail stays here; expected another"
            )
        if known not in routed:
            found += _route_faults(name, item, own, routed, where)
    return found


def _directories_faults(site: Mapping[str, object], domains: Iterable[Domain]) -> list[str]:
    made, found = ldap_settings.parse_ldap_directories(site.get("directories") or [], "gateway_directory")
    return found or ldap_settings.missing_ldap_directory(directory_domains(domains), made, "gateway_domains")


def _route_faults(
    domain: str, item: Mapping[str, object], own: Collection[str], routed: dict[str, str], where: str
) -> list[str]:
    text = item.get("route")
    if text is None:
        return [f"{where}: {domain!r} has no route; {_ROUTE_EXPECTED}"]
    if not isinstance(text, str):
        return [f"{where}: route {text!r} of {domain!r} is not a string; {_ROUTE_EXPECTED}"]
    key = addresses.ascii_domain(domain)
    if key in routed:
        return [f"{where}: {domain!r} has two routes; expected one, and {routed[key]} has it"]
    routed[key] = where
    try:
        route = smtproutes.make_route(domain, text, f"{where}: route of {domain!r}")
    except BadInput as error:
        return [str(error)]
    if is_own_port_25(route, own):
        return [
            f"{where}: route {text!r} of {domain!r} leads to the gateway itself; "
            "expected the back end, or another port of this host"
        ]
    return []


def is_own_port_25(route: smtproutes.Route, own: Collection[str]) -> bool:
    """Return whether a relay is port 25 of the gateway: one of its names and addresses, 127/8, or 0.0.0.0."""
    if route.effective_port != smtproutes.SMTP_PORT:
        return False
    host = route.host.rstrip(".")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return bool(host) and host in own
    return address.is_loopback or address.is_unspecified or host in own


def _front_faults(site: Mapping[str, object]) -> list[str]:
    """Return the fault of addresses to listen at that tcpserver cannot have."""
    listen = site["listen"]
    if site.get("front") != "tcpserver" or not isinstance(listen, Sequence):
        return []
    if len(listen) == 1 and ":" not in listen[0]:
        return []
    return [
        f"gateway_listen: {listen!r} cannot be with gateway_front: tcpserver, which has no IPv6; "
        "expected one IPv4 address, or gateway_front: smtpfront"
    ]


def _address_faults(text: object, where: str) -> list[str]:
    try:
        logged_address.canonical(text if isinstance(text, str) else "", where)
    except BadInput:
        return [f"{where}: {text!r:.120} is not an address; {logged_address.EXPECTED}"]
    return []


def _network_faults(text: object, widest: networks.Widest, where: str) -> list[str]:
    if not isinstance(text, str):
        return [f"{where}: {text!r} is not a string; expected a network such as '10.0.0.0/24'"]
    try:
        network = networks.parse_network(text, where)
    except BadInput as error:
        return [str(error)]
    fault = widest.fault(network)
    return [f"{where}: {text!r} {fault}"] if fault else []


def _number_faults(value: object, least: int, most: int, where: str) -> list[str]:
    # an ansible-core before 2.19 makes a text of each number that a template yields
    if re.fullmatch(r"[0-9]{1,15}", str(value)) and least <= int(str(value)) <= most:
        return []
    return [f"{where}: {value!r} is not valid; expected a number from {least} to {most}"]


def _outbound_tls_faults(site: Mapping[str, object]) -> list[str]:
    domains = site.get("domains")
    listed = domains if isinstance(domains, Sequence) and not isinstance(domains, str) else ()
    policies, found = outbound_tls.site_policies(
        listed, site.get("tls_policies") or {}, site.get("tls_backend_ca") or ""
    )
    dane = site.get("outbound_dane") or False
    for key in ("outbound_dane", "outbound_mta_sts"):
        value = site.get(key) or False
        if not isinstance(value, bool):
            found.append(f"gateway_{key}: {value!r} is not a boolean; expected true or false")
    if not dane:
        found += [
            f"gateway_outbound_dane: is not true, and the policy of {one.domain!r} is 'dane'; expected true"
            for one in policies
            if one.policy == "dane"
        ]
    return found


def _rules_faults(site: Mapping[str, object]) -> list[str]:
    domains, tag = site.get("domains"), site.get("subject_tag") or ""
    if isinstance(domains, str) or not isinstance(domains, Sequence):
        return []
    dummy, faults = domain_rules.site_rules(domains, str(tag))
    for number, item in enumerate(domains, 1):
        spam = item.get("spam") if isinstance(item, Mapping) else None
        greylist = spam.get("greylist") if isinstance(spam, Mapping) else None
        where = f"gateway_domains item {number}: greylist {greylist!r}"
        if greylist is True and site.get("greylist", True) is False:
            faults.append(f"{where} is not the site's: gateway_greylist is false; expected it to be true")
        if greylist is False and site.get("front") == "tcpserver":
            expected = "expected gateway_front: smtpfront"
            faults.append(f"{where} cannot be with tcpserver, which greylists before recipients; {expected}")
    return faults


def _deny_reply_faults(text: object) -> list[str]:
    if text in (None, "") or (isinstance(text, str) and re.fullmatch(r"(?:554|421) [!-~][ -~]{0,199}", text)):
        return []
    expected = "expected 554 or 421, a space and a text of at most 200 characters of ASCII, or ''"
    return [f"gateway_deny_reply: {text!r} is not a reply; {expected}"]


def _bad_sender_faults(text: object, where: str) -> list[str]:
    fault = bad_senders.sender_fault(text)
    return [f"{where}: {text!r} {fault}"] if fault else []
