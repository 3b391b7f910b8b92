# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the fleet: this host's name, its engine, and its peers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import BadInput
from ..core.files import read_regular
from .engine import Address
from .versions import check_host, check_number

BYTES_MAX = 1 << 20
PEERS_MAX = 32
_NAMES = {"host", "engine", "peers", "ca_file", "certificate", "key"}


@dataclass(frozen=True)
class Peer:
    """Another gateway of the site, and where its engine is."""

    name: str
    engine: Address


@dataclass(frozen=True)
class Settings:
    """What role fleet wrote: this host, its own engine at a unix socket, and its peers' over TLS."""

    host: str
    engine: Address
    peers: tuple[Peer, ...]


def read(path: str, passwords: str) -> Settings:
    """Read the settings and the passwords beside them; raises BadInput and OSError."""
    settings = parse(read_regular(path, BYTES_MAX), f"file {path}")
    try:
        secrets = _object(read_regular(passwords, BYTES_MAX), f"file {passwords}", secret=True)
    except FileNotFoundError:
        return settings
    return with_passwords(settings, secrets, f"file {passwords}")


def with_passwords(settings: Settings, secrets: Mapping[str, Any], where: str) -> Settings:
    """Return the settings with the passwords by the peers' names, and of the own engine by ''."""
    known = {"", *(one.name for one in settings.peers)}
    for name, secret in secrets.items():
        if name not in known or not isinstance(secret, str) or not secret:
            raise BadInput(
                f"{where}: {name!r:.80} is not a peer with a password; expected those of the settings"
            )
    peers = tuple(
        replace(one, engine=replace(one.engine, password=secrets.get(one.name, ""))) for one in settings.peers
    )
    return replace(settings, engine=replace(settings.engine, password=secrets.get("", "")), peers=peers)


def parse(data: bytes, where: str) -> Settings:
    """Parse the settings; raises BadInput."""
    values = _object(data, where)
    _exactly(values, _NAMES, where)
    host = check_host(values["host"], f"{where} host")
    own = values["engine"]
    if not isinstance(own, dict):
        raise BadInput(f"{where} engine: {own!r:.80} is not an object; expected socket and user")
    _exactly(own, {"socket", "user"}, f"{where} engine")
    engine = Address(path=_text(own, "socket", f"{where} engine"), user=_text(own, "user", f"{where} engine"))
    if not isinstance(values["peers"], list) or len(values["peers"]) > PEERS_MAX:
        raise BadInput(
            f"{where} peers: {values['peers']!r:.80} is wrong; expected a list of at most {PEERS_MAX}"
        )
    files = {name: _text(values, name, where) for name in ("ca_file", "certificate", "key")}
    peers = [_peer(one, f"{where} peer {number}", files) for number, one in enumerate(values["peers"], 1)]
    names = [host, *(one.name for one in peers)]
    twice = next((one for one in names if names.count(one) > 1), "")
    if twice:
        raise BadInput(f"{where} peers: {twice!r} is named twice; expected each host once, and not this one")
    return Settings(host, engine, tuple(peers))


def _peer(values: object, where: str, files: Mapping[str, str]) -> Peer:
    if not isinstance(values, dict):
        raise BadInput(f"{where}: {values!r:.80} is not an object; expected name, address, port and user")
    _exactly(values, {"name", "address", "port", "user"}, where)
    name = check_host(values["name"], f"{where} name")
    port = check_number(values["port"], f"{where} port", 1, 65_535)
    address, user = _text(values, "address", where), _text(values, "user", where)
    return Peer(name, Address(host=address, port=port, user=user, **files))


def _object(data: bytes, where: str, secret: bool = False) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        shown = "its text" if secret else f"{data[:80]!r}"
        raise BadInput(f"{where}: {shown} is not a JSON object; expected what role fleet writes")
    return values


def _exactly(values: Mapping[str, Any], names: set[str], where: str) -> None:
    wrong = sorted(set(values) ^ names)
    if wrong:
        what = "is not known" if wrong[0] in values else "is missing"
        raise BadInput(f"{where}: {wrong[0]!r:.80} {what}; expected {', '.join(sorted(names))}")


def _text(values: Mapping[str, Any], name: str, where: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 1000:
        raise BadInput(f"{where} {name}: {value!r:.80} is wrong; expected a text in one line")
    return value
