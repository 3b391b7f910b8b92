# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may be written to: the site's domains turned into the keys of control/validrcptto.cdb.

qmail-smtpd lower-cases a recipient, takes its quotes away, and tries the whole address, then for each '-'
from the right `user-default@domain`, then `@domain`; a recipient without a domain only as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..formats.addresses import (
    MAX_LOCAL_PART_BYTES,
    QUOTED_LOCAL_PART,
    address_fault,
    domain_fault,
    local_part_at_smtp,
    shortened,
)

# RFC 2142 and RFC 5321, 4.5.1: every domain that takes mail has these.
DOMAIN_ROLES = ("abuse", "postmaster")
HOST_ROLES = ("abuse", "mailer-daemon", "postmaster", "root")

POLICIES = ("any", "directory", "list")
_AVAILABLE = "expected 'directory', 'list' or 'any'"
_USUAL = re.compile(r"[a-z0-9_'+-]+(?:\.[a-z0-9_'+-]+)*")

_FAULTS_SHOWN = 20
_EXAMPLES = 3


@dataclass(frozen=True)
class Recipients:
    """The keys, sorted, in lower case: `user@domain`, `@domain` for all of it, or bare `postmaster`."""

    keys: tuple[str, ...]
    exported: frozenset[str] = frozenset()  # those of the keys that a directory gave


@dataclass(frozen=True)
class Sorted:
    """What an export comes to: the keys, and for each reason how many addresses were dropped, and a few."""

    kept: frozenset[str]
    dropped: Mapping[str, tuple[int, tuple[str, ...]]]


def _listed(address: object, domain: str, where: str) -> tuple[str, str]:
    """(key, '') or ('', fault) of one entry of a list of addresses: a local part or a whole address."""
    if not isinstance(address, str):
        return "", f"{where}: {shortened(address)} is no text; expected a local part or an address"
    quoted_local_part = QUOTED_LOCAL_PART.fullmatch(address) is not None
    whole = address if "@" in address and not quoted_local_part else f"{address}@{domain}"
    if fault := address_fault(whole):
        return "", f"{where}: {shortened(address)} {fault}"
    local_part, dummy, its_domain = whole.rpartition("@")
    if its_domain.lower() != domain:
        return (
            "",
            f"{where}: {shortened(address)} is an address of another domain; expected one of {domain!r}",
        )
    return f"{local_part_at_smtp(local_part)}@{domain}", ""


def _policy(item: Mapping[str, object], domain: str, where: str) -> tuple[set[str], list[str]]:
    policy = item.get("recipients")
    given = item.get("addresses")
    addresses: object = [] if given is None else given
    fault = ""
    if policy is None:
        fault = f"{domain!r} has no recipients; {_AVAILABLE}"
    elif policy not in POLICIES:
        fault = f"recipients {shortened(policy)} of {domain!r} is no policy; {_AVAILABLE}"
    elif not isinstance(addresses, Sequence) or isinstance(addresses, str):
        fault = f"addresses {shortened(addresses)} of {domain!r} is no list; expected a list of addresses"
    elif policy == "any" and addresses:
        fault = f"{domain!r} has addresses beside recipients 'any'; expected recipients 'list' or 'directory'"
    elif policy == "list" and not addresses:
        fault = f"{domain!r} has recipients 'list' and no addresses; expected at least one"
    if fault or not isinstance(addresses, Sequence):
        return set(), [f"{where}: {fault}"]
    keys = {f"@{domain}"} if policy == "any" else set()
    faults: list[str] = []
    for number, address in enumerate(addresses, 1):
        key, fault = _listed(address, domain, f"{where} address {number}")
        if fault:
            faults.append(fault)
        else:
            keys.add(key)
    return keys, faults


def _collect(domains: Sequence[object], hostname: str, where: str) -> tuple[set[str], list[str]]:
    keys = {"postmaster"}
    faults: list[str] = []
    names: dict[str, int] = {}
    if not domains:
        faults.append(f"{where}: [] is empty; expected at least one domain")
    for number, item in enumerate(domains, 1):
        here = f"{where} item {number}"
        if not isinstance(item, Mapping):
            faults.append(f"{here}: {shortened(item)} is no mapping; expected 'name' and 'recipients'")
            continue
        name = item.get("name")
        if not isinstance(name, str):
            faults.append(f"{here}: {shortened(name)} is no text; expected the domain's name")
            continue
        if fault := domain_fault(name):
            faults.append(f"{here}: {shortened(name)} {fault}")
            continue
        domain = name.lower()
        first = names.setdefault(domain, number)
        if first != number:
            faults.append(f"{here}: {name!r} is given twice; expected it once, and item {first} has it")
            continue
        its_keys, its_faults = _policy(item, domain, here)
        keys |= its_keys | {f"{role}@{domain}" for role in DOMAIN_ROLES}
        faults += its_faults
    if fault := domain_fault(hostname):
        faults.append(f"hostname: {shortened(hostname)} {fault}")
    else:
        keys |= {f"{role}@{hostname.lower()}" for role in HOST_ROLES}
    return keys, faults


def faults(domains: Sequence[object], *, hostname: str, where: str = "domains") -> list[str]:
    """Everything that keeps keys() from a result, one text each; [] when nothing does."""
    return _collect(domains, hostname, where)[1]


def keys(
    domains: Sequence[object], *, hostname: str, where: str = "domains", exported: Iterable[str] = ()
) -> Recipients:
    """The recipients of the site's domains and of the gateway itself.

    A domain is {name, recipients: 'list' | 'any' | 'directory', addresses: [...]}; a directory's addresses
    come in exported, as sort_exported() keeps them, and those listed beside it are added. Every domain also
    gets postmaster and abuse, the gateway's host name postmaster, abuse, root and mailer-daemon, and bare
    postmaster is always there. Raises BadInput with all faults, one a line.
    """
    found, wrong = _collect(domains, hostname, where)
    if wrong:
        more = len(wrong) - _FAULTS_SHOWN
        raise BadInput("\n".join([*wrong[:_FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])]))
    given = frozenset(exported)
    return Recipients(tuple(sorted(found | given)), given)


def directory_domains(domains: Iterable[object]) -> frozenset[str]:
    """The domains, in lower case, whose recipients come from a directory."""
    return frozenset(
        str(item.get("name")).lower()
        for item in domains
        if isinstance(item, Mapping) and item.get("recipients") == "directory"
    )


def sort_exported(addresses: Iterable[str], domains: frozenset[str]) -> Sorted:
    """The addresses of these domains that can be recipients, as keys; addresses come in lower case."""
    kept: set[str] = set()
    dropped: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    usual = _USUAL.fullmatch
    for address in addresses:
        local_part, dummy, domain = address.rpartition("@")
        if domain in domains and len(address) <= MAX_LOCAL_PART_BYTES and usual(local_part):
            kept.add(address)
            continue
        fault = address_fault(address)
        if not fault and domain in domains:
            kept.add(f"{local_part_at_smtp(local_part)}@{domain}")
            continue
        reason = fault or "is of a domain whose recipients do not come from the directory"
        counts[reason] = counts.get(reason, 0) + 1
        examples = dropped.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(address)
    return Sorted(frozenset(kept), {why: (counts[why], tuple(dropped[why])) for why in sorted(counts)})


def describe_dropped(dropped: Mapping[str, tuple[int, tuple[str, ...]]]) -> list[str]:
    """One line for each reason: how many addresses of the directory are no recipients, and a few of them."""
    return [
        f"{count} not taken, e.g. {', '.join(shortened(one) for one in examples)}: {why}"
        for why, (count, examples) in dropped.items()
    ]


def looked_up(address: str) -> list[str]:
    """The keys that qmail-smtpd tries for a recipient, in its order."""
    text = address.lower()
    local_part, at, domain = text.rpartition("@")
    if not at:
        return [text]
    if QUOTED_LOCAL_PART.fullmatch(local_part):
        local_part = local_part_at_smtp(local_part)
    tries = [f"{local_part}@{domain}"]
    for position in range(len(local_part) - 1, -1, -1):
        if local_part[position] == "-":
            tries.append(f"{local_part[:position]}-default@{domain}")
    return [*tries, f"@{domain}"]
