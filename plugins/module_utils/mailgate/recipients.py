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
_AVAILABLE = "expected 'list' or 'any'"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')

_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class Recipients:
    """The keys, sorted, in lower case: `user@domain`, `@domain` for all of it, or bare `postmaster`."""

    keys: tuple[str, ...]

    def records(self) -> list[tuple[bytes, bytes]]:
        """The records of validrcptto.cdb: a key that is there is a recipient, whatever its value."""
        return [(key.encode("ascii"), b"") for key in self.keys]


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
    if policy == "directory":
        fault = f"recipients 'directory' of {domain!r} is not available in this version; {_AVAILABLE}"
    elif policy is None:
        fault = f"{domain!r} has no recipients; {_AVAILABLE}"
    elif policy not in POLICIES:
        fault = f"recipients {_shown(policy)} of {domain!r} is no policy; {_AVAILABLE}"
    elif not isinstance(addresses, Sequence) or isinstance(addresses, str):
        fault = f"addresses {_shown(addresses)} of {domain!r} is no list; expected a list of addresses"
    elif policy == "any" and addresses:
        fault = f"{domain!r} has addresses beside recipients 'any'; expected recipients 'list'"
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


def keys(domains: Sequence[object], *, hostname: str, where: str = "domains") -> Recipients:
    """The recipients of the site's domains and of the gateway itself.

    A domain is {name, recipients: 'list' | 'any', addresses: [...] for a list}. Every domain also gets
    postmaster and abuse, the gateway's host name postmaster, abuse, root and mailer-daemon, and bare
    postmaster is always there. Raises BadInput with all faults, one a line.
    """
    found, wrong = _collect(domains, hostname, where)
    if wrong:
        more = len(wrong) - _FAULTS_SHOWN
        raise BadInput("\n".join([*wrong[:_FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])]))
    return Recipients(tuple(sorted(found)))


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
