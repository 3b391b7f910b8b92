# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site's gateways, gateway_peers: one list for all of them, so no host is asked about another."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..formats import addresses

WHERE = "gateway_peers"
GATEWAYS_MAX = 33  # this one, and as many peers as fleet/settings.py takes
_KEYS = {"name", "address"}
_EXPECTED = "expected the gateways of the site, such as [{name: mx1.example.com, address: 192.0.2.1}, …]"


@dataclass(frozen=True)
class Gateway:
    """A gateway of the site: its gateway_hostname, and the address at which the others reach its engine."""

    name: str
    address: str


def parse(values: object) -> tuple[list[Gateway], list[str]]:
    """Return the gateways and the faults of the list; an item is {name, address}, or the name alone.

    A gateway without an address is reached by its name.
    """
    if values in (None, []):
        return [], []
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        return [], [f"{WHERE}: {values!r:.120} is not a list; {_EXPECTED}"]
    found: list[Gateway] = []
    faults: list[str] = []
    for number, value in enumerate(values, 1):
        try:
            found.append(_gateway(value, f"{WHERE} item {number}"))
        except BadInput as error:
            faults.append(str(error))
    for what, texts in (("name", [one.name for one in found]), ("address", [one.address for one in found])):
        twice = dict.fromkeys(text for text in texts if texts.count(text) > 1)
        faults += [
            f"{WHERE}: the {what} {text!r} is there twice; expected each gateway once" for text in twice
        ]
    if len(values) == 1:
        faults.append(f"{WHERE}: has one gateway; expected at least two, or no such list")
    if len(values) > GATEWAYS_MAX:
        faults.append(f"{WHERE}: has {len(values)} gateways; expected at most {GATEWAYS_MAX}")
    return found, faults


def faults(values: object, hostname: str) -> list[str]:
    """Return every fault of the list for the host of this name, which has to be in it; [] for a valid one."""
    found, wrong = parse(values)
    if found and not wrong and hostname not in [one.name for one in found]:
        names = ", ".join(one.name for one in found)
        wrong.append(
            f"{WHERE}: {hostname!r}, the gateway_hostname of this host, is not in it; expected one of "
            f"{names}, or this host in the list of all hosts"
        )
    return wrong


def _gateway(value: object, where: str) -> Gateway:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise BadInput(f"{where}: {value!r:.120} is not a mapping; expected 'name' and 'address'")
    unknown = sorted(str(key) for key in set(value) - _KEYS)
    if unknown:
        raise BadInput(f"{where}: {unknown[0]!r:.120} is not known; expected 'name' and 'address'")
    name, address = value.get("name"), value.get("address", value.get("name"))
    for key, text in (("name", name), ("address", address)):
        if not isinstance(text, str) or not text:
            raise BadInput(f"{where}: its {key} {text!r:.120} is not a text; {_EXPECTED}")
    name, address = str(name).lower(), str(address).lower()
    if fault := addresses.domain_fault(name):
        raise BadInput(f"{where}: name {name!r:.120} {fault}, the gateway_hostname of a gateway")
    return Gateway(name, _address(address, where))


def _address(text: str, where: str) -> str:
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        if fault := addresses.domain_fault(text):
            raise BadInput(f"{where}: address {text!r:.120} {fault}, or an address") from None
        return text
    if one.is_loopback or one.is_unspecified or one.is_multicast or one.is_link_local:
        raise BadInput(
            f"{where}: address {text!r} does not lead to one other host; expected one that the others reach"
        )
    return str(one)
