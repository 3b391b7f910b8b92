# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's domains and their recipient policies, parsed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..formats.addresses import (
    QUOTED_LOCAL_PART,
    address_fault,
    ascii_domain,
    domain_fault,
    local_part_at_smtp,
    shortened,
)

POLICIES = ANY, DIRECTORY, LIST = "any", "directory", "list"
_AVAILABLE = "expected 'directory', 'list' or 'any'"


@dataclass(frozen=True)
class Domain:
    """One domain of the site: its name (ASCII, lower case), its policy, and the keys `user@name` listed."""

    name: str
    recipients: str  # one of POLICIES
    addresses: tuple[str, ...] = ()


def _listed(address: object, domain: str, where: str) -> tuple[str, str]:
    """Return (key, '') or ('', fault) for one listed recipient: a local part or a whole address."""
    if not isinstance(address, str):
        return "", f"{where}: {shortened(address)} is not a string; expected a local part or an address"
    quoted_local_part = QUOTED_LOCAL_PART.fullmatch(address) is not None
    whole = address if "@" in address and not quoted_local_part else f"{address}@{domain}"
    if fault := address_fault(whole):
        return "", f"{where}: {shortened(address)} {fault}"
    local_part, dummy, its_domain = whole.rpartition("@")
    if ascii_domain(its_domain) != domain:
        return (
            "",
            f"{where}: {shortened(address)} is an address of another domain; expected one of {domain!r}",
        )
    return f"{local_part_at_smtp(local_part)}@{domain}", ""


def _domain(item: Mapping[str, object], name: str, where: str) -> tuple[Domain | None, list[str]]:
    """Return the domain of a valid name and its faults; None for faults other than of single addresses."""
    policy, given = item.get("recipients"), item.get("addresses")
    listed: object = [] if given is None else given
    fault = ""
    if policy is None:
        fault = f"{name!r} has no recipients; {_AVAILABLE}"
    elif policy not in POLICIES:
        fault = f"recipients {shortened(policy)} of {name!r} is not a policy; {_AVAILABLE}"
    elif not isinstance(listed, Sequence) or isinstance(listed, str):
        fault = f"addresses {shortened(listed)} of {name!r} is not a list; expected a list of addresses"
    elif policy == ANY and listed:
        fault = f"{name!r} has addresses beside recipients 'any'; expected recipients 'list' or 'directory'"
    elif policy == LIST and not listed:
        fault = f"{name!r} has recipients 'list' and no addresses; expected at least one"
    if fault or not isinstance(listed, Sequence):
        return None, [f"{where}: {fault}"]
    read = [_listed(one, name, f"{where} address {number}") for number, one in enumerate(listed, 1)]
    keys = dict.fromkeys(key for key, dummy in read if key)
    return Domain(name, str(policy), tuple(keys)), [wrong for dummy, wrong in read if wrong]


def parse_domains(items: Sequence[object], where: str = "domains") -> tuple[tuple[Domain, ...], list[str]]:
    """Return the site's domains and every fault, one text each; what is faulty is left out of the domains.

    An item is {name, recipients: 'list' | 'any' | 'directory', addresses: [...]}; other keys are ignored.
    """
    found: list[Domain] = []
    numbers: dict[str, int] = {}
    faults = [] if items else [f"{where}: [] is empty; expected at least one domain"]
    for number, item in enumerate(items, 1):
        here = f"{where} item {number}"
        if not isinstance(item, Mapping):
            faults.append(f"{here}: {shortened(item)} is not a mapping; expected 'name' and 'recipients'")
            continue
        name = item.get("name")
        if not isinstance(name, str):
            faults.append(f"{here}: {shortened(name)} is not a string; expected the domain's name")
            continue
        known = ascii_domain(name)
        if fault := domain_fault(known):
            faults.append(f"{here}: {shortened(name)} {fault}")
            continue
        first = numbers.setdefault(known, number)
        if first != number:
            faults.append(f"{here}: {name!r} is given twice; expected it once, and item {first} has it")
            continue
        domain, wrong = _domain(item, known, here)
        found += [domain] if domain is not None else []
        faults += wrong
    return tuple(found), faults


def directory_domains(domains: Iterable[Domain]) -> frozenset[str]:
    """Return the names of the domains whose recipients come from a directory."""
    return frozenset(domain.name for domain in domains if domain.recipients == DIRECTORY)
