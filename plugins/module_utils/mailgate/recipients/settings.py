# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the recipients' service, checked: domains, directories and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..core.errors import BadInput
from ..formats import addresses, notes
from . import limits as recipients_limits
from .domains import Domain, directory_domains, parse_domains
from .ldap_server import LdapDirectory
from .ldap_settings import missing_ldap_directory, parse_ldap_directories

_NUMBERS = {
    "loss_percent": (0, 100),
    "loss_number": (0, 10_000_000),
    "loss_floor": (0, 10_000_000),
    "generations": (1, 1000),
    "max_age_hours": (1, 10_000),
}
_DEFAULTS = {"loss_percent": 10, "loss_number": 1000, "loss_floor": 5, "generations": 10, "max_age_hours": 24}
_KEYS = ("hostname", "domains", "directories", "required", *_NUMBERS)


@dataclass(frozen=True)
class Settings:
    """The part of the site's settings that determines the recipients."""

    hostname: str
    domains: tuple[Domain, ...]
    directories: tuple[LdapDirectory, ...] = ()
    required: tuple[str, ...] = ()
    limits: recipients_limits.Limits = field(default_factory=recipients_limits.Limits)
    generations: int = 10
    max_age_seconds: int = 86400
    extra: tuple[str, ...] = ()  # the operators' own recipients, whatever their domain

    @property
    def domain_names(self) -> frozenset[str]:
        return frozenset(domain.name for domain in self.domains)

    @property
    def directory_domains(self) -> frozenset[str]:
        return directory_domains(self.domains)


def parse(value: object, where: str = "settings") -> Settings:
    """Parse the settings; raises BadInput with every fault, one in each line."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{where}: {value!r} is not a mapping; expected hostname and domains")
    found = [
        f"{where}: {key!r} is not known; expected one of {', '.join(_KEYS)}"
        for key in value
        if key not in _KEYS
    ]
    hostname, domains = value.get("hostname"), value.get("domains")
    if not isinstance(hostname, str):
        found.append(
            f"{where}: hostname {hostname!r} is not a string; expected a name such as 'mx1.example.com'"
        )
    made: tuple[Domain, ...] = ()
    if isinstance(domains, str) or not isinstance(domains, Sequence):
        found.append(f"{where}: domains {domains!r} is not a list; expected a list of domains")
    else:
        made, faults = parse_domains(domains)
        found += faults
    if isinstance(hostname, str) and (fault := addresses.domain_fault(hostname)):
        found.append(f"hostname: {addresses.shortened(hostname)} {fault}")
    given, faults = parse_ldap_directories(value.get("directories") or [], f"{where} directories")
    found += faults or missing_ldap_directory(directory_domains(made), given, f"{where} directories")
    required = value.get("required") or []
    if isinstance(required, str) or not isinstance(required, Sequence):
        found.append(f"{where}: required {required!r} is not a list; expected a list of addresses")
        required = []
    for address in required:
        fault = (
            addresses.address_fault(address)
            if isinstance(address, str)
            else "is not a string; expected an address"
        )
        if fault:
            found.append(f"{where}: required {address!r} {fault}")
    numbers = dict(_DEFAULTS)
    for key, (least, most) in _NUMBERS.items():
        number = value.get(key, numbers[key])
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            found.append(
                f"{where}: {key} {number!r} is out of bounds; expected a number from {least} to {most}"
            )
        else:
            numbers[key] = number
    if found:
        raise BadInput("\n".join(found))
    limits = recipients_limits.Limits(numbers["loss_percent"], numbers["loss_number"], numbers["loss_floor"])
    return Settings(
        hostname=str(hostname),
        domains=made,
        directories=given,
        required=tuple(str(address) for address in required),
        limits=limits,
        generations=numbers["generations"],
        max_age_seconds=numbers["max_age_hours"] * 3600,
    )


def extra_addresses(text: str, where: str, now: float) -> tuple[str, ...]:
    """Return the operators' recipients that have not expired, in the file's order; BadInput names the line.

    A line is an address as qmail-smtpd compares it, and may have a note above it, as in notes.py.
    """
    lines = text.split("\n")
    written = notes.notes(lines, where)
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#") and not written.get(number, notes.NONE).over(now):
            local_part, domain = addresses.parse_address(line.strip(), f"{where} line {number}")
            found.append(f"{local_part}@{domain}")
    return tuple(found)
