# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Valid recipients: the keys of control/validrcptto.cdb for the site's domains.

qmail-smtpd converts a recipient to lower case and removes its quotes. It then looks up the whole address,
for each '-' from the right `user-default@domain`, and `@domain`; a recipient without a domain only unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..formats.addresses import (
    MAX_LOCAL_PART_BYTES,
    QUOTED_LOCAL_PART,
    address_fault,
    ascii_domain,
    local_part_at_smtp,
    shortened,
)
from .domains import ANY, Domain

# RFC 2142 and RFC 5321 4.5.1: every domain that receives mail has these.
DOMAIN_ROLES = ("abuse", "postmaster")
HOST_ROLES = ("abuse", "mailer-daemon", "postmaster", "root")

_USUAL = re.compile(r"[a-z0-9_'+-]+(?:\.[a-z0-9_'+-]+)*")

_EXAMPLES = 3


@dataclass(frozen=True)
class Recipients:
    """The keys, sorted, in lower case: `user@domain`, `@domain` for a whole domain, or bare `postmaster`."""

    keys: tuple[str, ...]
    exported: frozenset[str] = frozenset()  # the keys that came from a directory


@dataclass(frozen=True)
class Sorted:
    """The result of an export: the keys, and the number of dropped addresses by reason, with examples."""

    kept: frozenset[str]
    dropped: Mapping[str, tuple[int, tuple[str, ...]]]


def keys(domains: Iterable[Domain], *, hostname: str, exported: Iterable[str] = ()) -> Recipients:
    """Return the recipients of the site's domains and of the gateway itself.

    exported has the addresses of the directories, as sort_exported() keeps them; addresses listed in the site
    file are added. Every domain also gets postmaster and abuse; the gateway's host name gets postmaster,
    abuse, root and mailer-daemon; bare postmaster is always a key.
    """
    found = {"postmaster", *(f"{role}@{hostname.lower()}" for role in HOST_ROLES)}
    for domain in domains:
        found.update(domain.addresses)
        found.update(f"{role}@{domain.name}" for role in DOMAIN_ROLES)
        if domain.recipients == ANY:
            found.add(f"@{domain.name}")
    given = frozenset(exported)
    return Recipients(tuple(sorted(found | given)), given)


def sort_exported(addresses: Iterable[str], domains: frozenset[str]) -> Sorted:
    """Sort addresses in lower case into keys of these domains, and addresses that cannot be recipients."""
    kept: set[str] = set()
    dropped: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    usual = _USUAL.fullmatch
    for address in addresses:
        local_part, dummy, domain = address.rpartition("@")
        if domain in domains and len(address) <= MAX_LOCAL_PART_BYTES and usual(local_part):
            kept.add(address)
            continue
        fault, known = address_fault(address), ascii_domain(domain)
        if not fault and known in domains:
            kept.add(f"{local_part_at_smtp(local_part)}@{known}")
            continue
        reason = fault or "is of a domain whose recipients do not come from the directory"
        counts[reason] = counts.get(reason, 0) + 1
        examples = dropped.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(address)
    return Sorted(frozenset(kept), {why: (counts[why], tuple(dropped[why])) for why in sorted(counts)})


def describe_dropped(dropped: Mapping[str, tuple[int, tuple[str, ...]]]) -> list[str]:
    """Return a line for each reason: how many addresses were dropped, with examples."""
    return [
        f"{count} not taken, e.g. {', '.join(shortened(one) for one in examples)}: {why}"
        for why, (count, examples) in dropped.items()
    ]


def looked_up(address: str) -> list[str]:
    """Return the keys that qmail-smtpd looks up for a recipient, in its order."""
    text = address.lower()
    local_part, at, domain = text.rpartition("@")
    if not at:
        return [text]
    domain = ascii_domain(domain)
    if QUOTED_LOCAL_PART.fullmatch(local_part):
        local_part = local_part_at_smtp(local_part)
    tries = [f"{local_part}@{domain}"]
    for position in range(len(local_part) - 1, -1, -1):
        if local_part[position] == "-":
            tries.append(f"{local_part[:position]}-default@{domain}")
    return [*tries, f"@{domain}"]
