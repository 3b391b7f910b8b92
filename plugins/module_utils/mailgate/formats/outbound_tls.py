# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""control/tlspolicies: what qmail-remote demands of TLS, by a recipient's domain.

The grammar is in src/netqmail/tlspolicy.h. A policy of a site file is its name, or {policy, names, ca}: names
of the certificate, one or a list; ca is PEM text, a path on the host, or 'system' for the host's authorities.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..core.errors import BadInput
from . import smtproutes
from .addresses import ascii_domain, shortened

POLICIES = ("none", "may", "encrypt", "verify", "secure", "dane")
CHECKED = ("verify", "secure")  # those that look at the certificate
DEFAULT = "may"
SYSTEM = "system"
NAMES_MAX = 32
PATH_BYTES_MAX = 255
FILE = "tlspolicies"
AUTHORITIES = "tlsca"

_KEYS = ("policy", "names", "ca")
_EXPECTED = f"expected one of {', '.join(POLICIES)}, or a mapping of {', '.join(_KEYS)}"
_NAME = "expected a host name, '.domain' for all below it, or an IPv4 address"
_CA = f"expected certificates (PEM), a path on the host such as '/etc/ssl/exchange.pem', or '{SYSTEM}'"
_CERTIFICATE = r"-----BEGIN CERTIFICATE-----\s+[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----"


@dataclass(frozen=True)
class TlsPolicy:
    """The policy of one key as in smtproutes: a domain, '.domain', '[address]', or '' for all others."""

    domain: str
    policy: str = DEFAULT
    names: tuple[str, ...] = ()
    ca: str = ""

    def line(self, authorities: str) -> str:
        """Return the line of the file; authorities: the directory of those that are given as text."""
        fields = [self.domain, self.policy, ",".join(self.names), self.ca_path(authorities)]
        while not fields[-1]:
            fields.pop()
        return ":".join(fields)

    def ca_path(self, authorities: str) -> str:
        return f"{authorities}/{_digest(self.ca)}.pem" if _is_pem(self.ca) else self.ca


def site_policies(
    domains: Sequence[object], policies: object, backend_ca: object
) -> tuple[tuple[TlsPolicy, ...], list[str]]:
    """Return the policies of a site, that for all other domains last, and every fault, one text each.

    domains: gateway_domains, whose key tls counts; policies: gateway_tls_policies; backend_ca:
    gateway_tls_backend_ca, the ca of those of domains that have none.
    """
    found: dict[str, TlsPolicy] = {}
    faults: list[str] = []
    fault = ca_fault(backend_ca)
    if fault:
        faults.append(f"gateway_tls_backend_ca: {fault}")
    for number, item in enumerate(domains, 1):
        if isinstance(item, Mapping) and item.get("tls") and isinstance(item.get("name"), str):
            where = f"gateway_domains item {number}: tls of {item['name']!r}"
            one, wrong = _policy(item["name"], item["tls"], where)
            if one and one.policy in CHECKED and not one.ca and not fault:
                one = replace(one, ca=str(backend_ca))
            faults += wrong or (_address_fault(one, item.get("route"), where) if one else [])
            found.update({one.domain: one} if one else {})
    if not isinstance(policies, Mapping):
        text = f"{shortened(policies)} is not a mapping; expected policies by domain"
        return (), [*faults, f"gateway_tls_policies: {text}"]
    for domain, value in policies.items():
        where = f"gateway_tls_policies: {domain!r}"
        one, wrong = _policy(domain, value, where)
        if one and one.domain in found:
            wrong.append(
                f"{where} has a policy already; expected one for each domain, here or in gateway_domains"
            )
        faults += wrong
        found.update({one.domain: one} if one else {})
    last = found.pop("", TlsPolicy(""))
    all_of_them = [*found.values(), last]
    return tuple(replace(one, ca="") if one.ca == SYSTEM else one for one in all_of_them), faults


def _address_fault(one: TlsPolicy, route: object, where: str) -> list[str]:
    """Return the fault of a policy that looks for the name of a route that is an address."""
    host = route.partition(":")[0].strip("[]") if isinstance(route, str) else ""
    if one.policy == "dane" and smtproutes.is_ipv4(host):
        return [f"{where}: 'dane' needs a name, and the route {route!r} is an address; expected a host name"]
    if one.policy != "verify" or one.names or not smtproutes.is_ipv4(host):
        return []
    expected = "expected names: NAME, what the back end's certificate has, be it that address"
    return [f"{where}: 'verify' has no names, and the route {route!r} is an address; {expected}"]


def _policy(domain: object, value: object, where: str) -> tuple[TlsPolicy | None, list[str]]:
    try:
        known = smtproutes.make_route(domain, "", where).domain if isinstance(domain, str) else None
    except BadInput as error:
        return None, [str(error)]
    if known is None:
        return None, [
            f"{where}: {shortened(domain)} is not a domain; expected a text, '' for all other domains"
        ]
    item = value if isinstance(value, Mapping) else {"policy": value}
    faults = [
        f"{where}: {key!r} is not known; expected one of {', '.join(_KEYS)}"
        for key in item
        if key not in _KEYS
    ]
    policy = item.get("policy")
    if not isinstance(policy, str) or policy not in POLICIES:
        return None, [*faults, f"{where}: {shortened(policy)} is not a policy; {_EXPECTED}"]
    listed = item.get("names") or []
    names = [listed] if isinstance(listed, str) else listed
    ca = item.get("ca") or ""
    if policy not in CHECKED and (names or ca):
        faults.append(f"{where}: {policy!r} takes no names and no ca; expected neither")
    if not isinstance(names, Sequence):
        return None, [*faults, f"{where}: names {shortened(names)} is not a list; {_NAME}"]
    if len(names) > NAMES_MAX:
        faults.append(f"{where}: has {len(names)} names; expected at most {NAMES_MAX}")
    faults += [
        f"{where}: name {shortened(name)} is not valid; {_NAME}" for name in names if not _is_name(name)
    ]
    if ca and (fault := ca_fault(ca)):
        faults.append(f"{where}: ca {fault}")
    if faults:
        return None, faults
    return TlsPolicy(known, policy, tuple(ascii_domain(name) for name in names), str(ca)), []


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or not name or name.startswith("["):
        return False
    if smtproutes.is_ipv4(name):
        return True
    try:
        return bool(smtproutes.make_route(name, "", "").domain)
    except BadInput:
        return False


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text


def ca_fault(ca: object) -> str:
    """Return why a value is not the authorities of a policy, or ''."""
    if not isinstance(ca, str):
        return f"{shortened(ca)} is not a string; {_CA}"
    if _is_pem(ca):
        if "PRIVATE KEY" in ca:
            return f"has a private key; {_CA}"
        blocks = re.findall(r"-----BEGIN [^-]*-----", ca)
        return "" if len(re.findall(_CERTIFICATE, ca)) == len(blocks) else f"is not PEM; {_CA}"
    path = re.fullmatch(r"/[!-9;-~]+", ca) is not None and len(ca) <= PATH_BYTES_MAX
    return "" if path or ca in ("", SYSTEM) else f"{shortened(ca)} is not a path; {_CA}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def policy_files(policies: Sequence[TlsPolicy], control: str) -> list[dict[str, str]]:
    """Return the files of policies, with path and content: the authorities first, which the policies name.

    The policy for all other domains is the last line, without which the file is not whole.
    """
    authorities = f"{control}/{AUTHORITIES}"
    others = [one for one in policies if not one.domain] or [TlsPolicy("")]
    policies = [*(one for one in policies if one.domain), others[-1]]
    files = {one.ca_path(authorities): f"{one.ca.strip()}\n" for one in policies if _is_pem(one.ca)}
    files[f"{control}/{FILE}"] = "".join(f"{one.line(authorities)}\n" for one in policies)
    return [{"path": path, "content": content} for path, content in files.items()]
