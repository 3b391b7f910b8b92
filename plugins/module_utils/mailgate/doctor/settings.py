# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of `mailgate doctor`: /etc/mailgate/doctor.json, which the doctor role writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.errors import BadInput
from ..core.paths import DOCTOR_SETTINGS, LOGS, QMAIL_QUEUE, SIMSCAN_DIRECTORY, SYSTEM_STATE
from .findings import FALLING, LIMITS, Limit


@dataclass(frozen=True)
class Job:
    """A command that `mailgate every` runs: its service, its state file, and its expected period."""

    name: str
    state: str
    period_seconds: float


@dataclass(frozen=True)
class Settings:
    """The checks to make, and the limits for their values."""

    hostname: str
    postmaster: str
    services: tuple[str, ...] = ()
    jobs: tuple[Job, ...] = ()
    listen: tuple[str, ...] = ("0.0.0.0",)
    public_addresses: tuple[str, ...] = ()  # none: the addresses of the host name
    dns_server: str = "127.0.0.1"
    dns_name: str = ""  # a name that must resolve; none: only the cache itself is checked
    ports: tuple[tuple[str, int], ...] = ()
    proof: tuple[str, int] | None = ("127.0.0.1", 25)  # None: send EICAR in a session of its own, too
    official_signatures: bool = True
    ramdisk_directory: str = SIMSCAN_DIRECTORY
    ramdisk: bool = True
    greylist: bool = True
    tls: bool = False  # whether the gateway offers it
    disks: tuple[str, ...] = (QMAIL_QUEUE, LOGS, SYSTEM_STATE)
    skip: tuple[str, ...] = ()  # checks that are left out
    limits: Mapping[str, Limit] = field(default_factory=lambda: dict(LIMITS))


def place(text: object, where: str) -> tuple[str, int]:
    """Parse 'host:port', with an IPv6 address in brackets; raises BadInput."""
    host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if ":" in host:
        if host[:1] != "[" or host[-1:] != "]":
            raise BadInput(f"{where}: {text!r} has an IPv6 address without brackets; expected '[host]:port'")
        host = host[1:-1]
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if not host or not colon or not 0 < number < 65536 or " " in host:
        raise BadInput(f"{where}: {text!r} is not a place; expected 'host:port'")
    return host, number


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{where}: {value!r} is not a string; expected one")
    return value


def _name(value: object, where: str) -> str:
    if not _text(value, where) or not str(value).isprintable() or "/" in str(value):
        raise BadInput(f"{where}: {value!r} is not a name; expected one without '/'")
    return str(value)


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{where}: {value!r} is neither true nor false; expected one of them")
    return value


def _list(value: object, where: str, one: Callable[[object, str], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BadInput(f"{where}: {value!r} is not a list; expected one")
    return tuple(one(item, f"{where} {number}") for number, item in enumerate(value, 1))


def _job(value: object, where: str) -> Job:
    keys = {"name", "state", "period_seconds"}
    if not isinstance(value, dict) or set(value) != keys:
        raise BadInput(f"{where}: {value!r} is not a job; expected {', '.join(sorted(keys))}")
    seconds = value["period_seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise BadInput(f"{where}: period_seconds {seconds!r} is not a time; expected seconds above 0")
    return Job(_name(value["name"], where), _text(value["state"], where), float(seconds))


def _limits(value: object, where: str) -> dict[str, Limit]:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: {value!r} is not an object; expected names with [warning, critical]")
    found = dict(LIMITS)
    for name, pair in value.items():
        if name not in LIMITS:
            raise BadInput(f"{where}: {name!r} is unknown; expected one of {', '.join(sorted(LIMITS))}")
        numbers = [
            float(one)
            for one in (pair if isinstance(pair, list) else [])
            if isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        ]
        first, last = (numbers[0], numbers[1]) if len(numbers) == 2 and len(pair) == 2 else (1.0, 0.0)
        falling = name in FALLING
        if (first < last) if falling else (first > last):
            order = "at least" if falling else "at most"
            expected = f"expected [warning, critical], warning {order} critical"
            raise BadInput(f"{where}: {name} {pair!r} is not a limit; {expected}")
        found[name] = (first, last)
    return found


def _proof(value: object, where: str) -> tuple[str, int] | None:
    return None if value == "" else place(value, where)


def _texts(value: object, where: str) -> tuple[Any, ...]:
    return _list(value, where, _text)


_PARSERS: Mapping[str, Callable[[object, str], Any]] = {
    "hostname": _text,
    "postmaster": _text,
    "services": lambda value, where: _list(value, where, _name),
    "jobs": lambda value, where: _list(value, where, _job),
    "listen": _texts,
    "public_addresses": _texts,
    "dns_server": _text,
    "dns_name": _text,
    "ports": lambda value, where: _list(value, where, place),
    "proof": _proof,
    "official_signatures": _flag,
    "ramdisk_directory": _text,
    "ramdisk": _flag,
    "greylist": _flag,
    "tls": _flag,
    "disks": _texts,
    "skip": _texts,
    "limits": _limits,
}


def parse(text: str, name: str) -> Settings:
    """Parse the settings in a JSON object; raises BadInput that names the faulty value."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadInput(f"file {name}: {error}; expected JSON") from error
    if not isinstance(given, dict):
        raise BadInput(f"file {name}: {given!r} is not an object; expected one with 'hostname'")
    known = {one.name for one in fields(Settings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadInput(f"file {name}: {unknown[0]!r} is unknown; expected {', '.join(sorted(known))}")
    values = {key: _PARSERS[key](value, f"file {name}: {key}") for key, value in given.items()}
    for key in ("hostname", "postmaster"):
        if not values.get(key):
            raise BadInput(f"file {name}: {key} is missing; expected its value for the site")
    return Settings(**values)


def read(path: str = DOCTOR_SETTINGS) -> Settings:
    """Read the settings in the file; raises BadInput."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return parse(stream.read(), path)
    except OSError as error:
        raise BadInput(f"file {path}: {error.strerror}; expected what the doctor role writes") from error
