# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may be written to: the site's domains turned into the keys of control/validrcptto.cdb.

qmail-smtpd lower-cases a recipient, takes its quotes away, and tries the whole address, then for each '-'
from the right `user-default@domain`, then `@domain`; a recipient without a domain only as it stands.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import BadInput

# RFC 5321, 4.5.3.1.1 and 4.5.3.1.3: a path has at most 256 octets, two of them '<' and '>'.
MAX_LOCAL_PART_BYTES = 64
MAX_ADDRESS_BYTES = 254
MAX_DOMAIN_BYTES = 253

# RFC 2142 and RFC 5321, 4.5.1: every domain that takes mail has these.
DOMAIN_ROLES = ("abuse", "postmaster")
HOST_ROLES = ("abuse", "mailer-daemon", "postmaster", "root")

POLICIES = ("any", "directory", "list")
_AVAILABLE = "expected 'directory', 'list' or 'any'"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_USUAL = re.compile(r"[a-z0-9_'+-]+(?:\.[a-z0-9_'+-]+)*")

_FAULTS_SHOWN = 20
_EXAMPLES = 3


@dataclass(frozen=True)
class Recipients:
    """The keys, sorted, in lower case: `user@domain`, `@domain` for all of it, or bare `postmaster`."""

    keys: tuple[str, ...]
    exported: frozenset[str] = frozenset()  # those of the keys that a directory gave

    def records(self) -> list[tuple[bytes, bytes]]:
        """The records of validrcptto.cdb: a key that is there is a recipient, whatever its value."""
        return [(key.encode("ascii"), b"") for key in self.keys]


@dataclass(frozen=True)
class Sorted:
    """What an export comes to: the keys, and for each reason how many addresses were dropped, and a few."""

    kept: frozenset[str]
    dropped: Mapping[str, tuple[int, tuple[str, ...]]]


@dataclass(frozen=True)
class Limits:
    """How much of a domain's list one export may take away without a person's word."""

    loss_percent: int = 10
    loss_number: int = 1000
    loss_floor: int = 5  # so many may always go, unless nothing is left


@dataclass(frozen=True)
class Difference:
    """What a new set gains and loses: how many, and the first few, sorted."""

    before_count: int
    after_count: int
    gained_count: int
    lost_count: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def domain_fault(text: str) -> str:
    """What keeps a text from being a fully qualified domain name, or ''."""
    expected = "expected a name such as 'mail.example.com'"
    if not text:
        return f"is empty; {expected}"
    if not text.isascii():
        return f"has a letter outside ASCII; {expected}, in its 'xn--' form"
    try:
        ipaddress.ip_address(text.strip("[]"))
        return f"is an IP address; {expected}"
    except ValueError:
        pass
    labels = text.lower().split(".")
    if len(text) > MAX_DOMAIN_BYTES:
        return f"has {len(text)} characters; {expected} of at most {MAX_DOMAIN_BYTES}"
    if not all(_LABEL.fullmatch(label) for label in labels):
        return f"is no domain name; {expected}: letters, digits and '-' between dots"
    if len(labels) < 2:
        return f"has no dot; {expected}"
    if labels[-1].isdigit():
        return f"ends in a number; {expected}"
    return ""


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def _local_part_fault(text: str) -> str:
    if not text:
        return "has an empty local part; expected 'user@domain'"
    if not text.isascii():
        return "has a character outside ASCII; expected ASCII"
    if any(ord(character) <= 32 or ord(character) == 127 for character in text):
        return "has a blank or a control character; expected none"
    if len(text) > MAX_LOCAL_PART_BYTES:
        return f"has a local part of {len(text)} bytes; expected at most {MAX_LOCAL_PART_BYTES}"
    if text.startswith('"'):
        whole = _QUOTED.fullmatch(text) is not None and len(text) > 2
        return "" if whole else "has a local part with broken or empty quotes; expected '\"...\"@domain'"
    if "@" in text:
        return "has two '@'; expected one, or a local part in quotes"
    if not all(text.split(".")):
        return "has a dot at an end of its local part, or two together; expected text around each dot"
    if not all(_ATOM.fullmatch(atom) for atom in text.split(".")):
        return "has a character that needs quotes; expected letters, digits and !#$%&'*+/=?^_`{|}~-."
    return ""


def _wire(local_part: str) -> str:
    """The local part as qmail-smtpd sees it: without quotes and backslashes, in lower case."""
    quoted = _QUOTED.fullmatch(local_part)
    text = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else local_part
    return text.lower()


def address_fault(text: str) -> str:
    """What keeps a text from being a whole address, or ''."""
    local_part, at, domain = text.rpartition("@")
    if not at:
        return "has no '@'; expected 'user@domain'"
    if fault := _local_part_fault(local_part):
        return fault
    if not domain:
        return "has an empty domain; expected 'user@domain'"
    if fault := domain_fault(domain):
        return f"has a domain that {fault}"
    if len(text) > MAX_ADDRESS_BYTES:
        return f"has {len(text)} bytes; expected at most {MAX_ADDRESS_BYTES}"
    return ""


def parse_address(text: str, where: str) -> tuple[str, str]:
    """(local part, domain) as qmail-smtpd compares them; raises BadInput, beginning with where."""
    if fault := address_fault(text):
        raise BadInput(f"{where}: {_shown(text)} {fault}")
    local_part, dummy, domain = text.rpartition("@")
    return _wire(local_part), domain.lower()


def _listed(address: object, domain: str, where: str) -> tuple[str, str]:
    """(key, '') or ('', fault) of one entry of a list of addresses: a local part or a whole address."""
    if not isinstance(address, str):
        return "", f"{where}: {_shown(address)} is no text; expected a local part or an address"
    quoted_local_part = _QUOTED.fullmatch(address) is not None
    whole = address if "@" in address and not quoted_local_part else f"{address}@{domain}"
    if fault := address_fault(whole):
        return "", f"{where}: {_shown(address)} {fault}"
    local_part, dummy, its_domain = whole.rpartition("@")
    if its_domain.lower() != domain:
        return "", f"{where}: {_shown(address)} is an address of another domain; expected one of {domain!r}"
    return f"{_wire(local_part)}@{domain}", ""


def _policy(item: Mapping[str, object], domain: str, where: str) -> tuple[set[str], list[str]]:
    policy = item.get("recipients")
    given = item.get("addresses")
    addresses: object = [] if given is None else given
    fault = ""
    if policy is None:
        fault = f"{domain!r} has no recipients; {_AVAILABLE}"
    elif policy not in POLICIES:
        fault = f"recipients {_shown(policy)} of {domain!r} is no policy; {_AVAILABLE}"
    elif not isinstance(addresses, Sequence) or isinstance(addresses, str):
        fault = f"addresses {_shown(addresses)} of {domain!r} is no list; expected a list of addresses"
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
            faults.append(f"{here}: {_shown(item)} is no mapping; expected 'name' and 'recipients'")
            continue
        name = item.get("name")
        if not isinstance(name, str):
            faults.append(f"{here}: {_shown(name)} is no text; expected the domain's name")
            continue
        if fault := domain_fault(name):
            faults.append(f"{here}: {_shown(name)} {fault}")
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
        faults.append(f"hostname: {_shown(hostname)} {fault}")
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
            kept.add(f"{_wire(local_part)}@{domain}")
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
        f"{count} not taken, e.g. {', '.join(_shown(one) for one in examples)}: {why}"
        for why, (count, examples) in dropped.items()
    ]


def objections(
    before: Iterable[str],
    wanted: Recipients,
    domains: frozenset[str],
    *,
    limits: Limits,
    required: Iterable[str] = (),
    accept_shrink: bool = False,
) -> list[str]:
    """Why a list must not be published, one text each; [] when nothing speaks against it.

    before: the keys that serve now; domains: those that come from a directory. accept_shrink is a person's
    word that a domain may lose what it loses; an export without one address, and one that lacks a required
    address, is refused all the same.
    """
    if domains and not wanted.exported:
        return ["export: 0 addresses of the gateway's domains; expected at least one"]
    have = set(wanted.keys)
    found = [
        f"required address: {address!r} is in neither directory nor site file; expected it in one of them"
        for address in required
        if address.lower() not in have
    ]
    if accept_shrink:
        return found
    with_some = {address.rpartition("@")[2] for address in wanted.exported}
    found += [
        f"domain {domain}: the directory has no address of it; expected at least one"
        for domain in sorted(domains - with_some)
    ]
    old: dict[str, int] = {}
    lost: dict[str, int] = {}
    for key in before:
        domain = key.rpartition("@")[2]
        if domain in domains:
            old[domain] = old.get(domain, 0) + 1
            if key not in have:
                lost[domain] = lost.get(domain, 0) + 1
    for domain, number in sorted(lost.items()):
        percent = 100 * number / old[domain]
        if number > limits.loss_floor and (percent > limits.loss_percent or number > limits.loss_number):
            found.append(
                f"domain {domain}: would lose {number} of {old[domain]} addresses ({percent:.1f} %); "
                f"expected at most {limits.loss_percent} % and {limits.loss_number}, or a person's "
                "'mailgate recipients update --accept-shrink'"
            )
    return found


def looked_up(address: str) -> list[str]:
    """The keys that qmail-smtpd tries for a recipient, in its order."""
    text = address.lower()
    local_part, at, domain = text.rpartition("@")
    if not at:
        return [text]
    if _QUOTED.fullmatch(local_part):
        local_part = _wire(local_part)
    tries = [f"{local_part}@{domain}"]
    for position in range(len(local_part) - 1, -1, -1):
        if local_part[position] == "-":
            tries.append(f"{local_part[:position]}-default@{domain}")
    return [*tries, f"@{domain}"]


def difference(before: Iterable[str], after: Iterable[str], *, limit: int = 20) -> Difference:
    """What the recipients gain and lose, with at most limit addresses of each."""
    old, new = set(before), set(after)
    gained, lost = sorted(new - old), sorted(old - new)
    return Difference(len(old), len(new), len(gained), len(lost), tuple(gained[:limit]), tuple(lost[:limit]))


def describe(change: Difference) -> tuple[str, str]:
    """Two texts for a diff: the count and what is lost, the count and what is gained."""
    return (
        _side(change.before_count, "lost", change.lost_count, change.lost),
        _side(change.after_count, "gained", change.gained_count, change.gained),
    )


def _side(count: int, verb: str, moved: int, shown: Sequence[str]) -> str:
    lines = [f"{count} recipients", f"{moved} {verb}", *shown]
    if moved > len(shown):
        lines.append(f"and {moved - len(shown)} more {verb}")
    return "\n".join(lines) + "\n"
