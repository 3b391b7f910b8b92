# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of the directory servers, and the files that hold their secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ..core.paths import SETTINGS_DIRECTORY
from .ldap_names import parse_dn
from .ldap_server import ANSWER_SECONDS, PAGE_ENTRIES, PORTS, PRESETS, LdapDirectory

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_DIRECTORY_KEYS = (
    "name",
    "servers",
    "bases",
    "user",
    "password_file",
    "encryption",
    "ca_file",
    "preset",
    "filter",
    "mail",
    "page_entries",
    "answer_seconds",
)


def _several(directories: object) -> Sequence[object]:
    if isinstance(directories, Sequence) and not isinstance(directories, str):
        return directories
    return [directories] if directories else []


def _default_name(number: int) -> str:
    return "ad" if number == 1 else f"ad{number}"


def secret_files(directories: object) -> list[dict[str, str]]:
    """Return the files that public() names: path, content, mode, owner and group of each."""
    found: list[dict[str, str]] = []
    for number, item in enumerate(_several(directories), 1):
        if not isinstance(item, Mapping):
            continue
        start = f"{SETTINGS_DIRECTORY}/directory-{item.get('name', _default_name(number))}"
        if item.get("password"):
            own = {"mode": "0400", "owner": "recipients", "group": "recipients"}
            found.append({"path": f"{start}.password", "content": f"{item['password']}\n", **own})
        if item.get("ca"):
            root = {"mode": "0644", "owner": "root", "group": "root"}
            found.append({"path": f"{start}.ca.pem", "content": f"{item['ca']}".rstrip() + "\n", **root})
    return found


def public(directories: object) -> list[object]:
    """Return the directories without password and certificate, with the names of their files instead.

    directories is one mapping or a list; other values are passed on, and parse_ldap_directories() reports
    them.
    """
    found: list[object] = []
    for number, item in enumerate(_several(directories), 1):
        if not isinstance(item, Mapping):
            found.append(item)
            continue
        plain = {key: value for key, value in item.items() if key not in ("password", "ca")}
        name = plain.setdefault("name", _default_name(number))
        if item.get("password"):
            plain["password_file"] = f"{SETTINGS_DIRECTORY}/directory-{name}.password"
        if item.get("ca"):
            plain["ca_file"] = f"{SETTINGS_DIRECTORY}/directory-{name}.ca.pem"
        found.append(plain)
    return found


def _server(text: object, encryption: str) -> tuple[str, int] | None:
    if not isinstance(text, str):
        return None
    host, colon, port = text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        return None
    if not colon:
        return host, PORTS[encryption]
    return (host, int(port)) if re.fullmatch(r"[1-9]\d{0,4}", port) and int(port) < 65536 else None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return None
    return list(value) if all(isinstance(one, str) and one for one in value) else None


def _parse_ldap_directory(item: Mapping[str, object], where: str) -> tuple[LdapDirectory | None, list[str]]:
    known = ", ".join(_DIRECTORY_KEYS)
    found = [
        f"{where}: {key!r} is not known; expected one of {known}"
        for key in item
        if key not in _DIRECTORY_KEYS
    ]
    name = item.get("name", _default_name(1))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        found.append(f"{where}: name {name!r} is not a plain word; expected small letters, digits and '-'")
    wish = item.get("encryption", "ldaps")
    encryption = wish if isinstance(wish, str) and wish in PORTS else "ldaps"
    if wish != encryption:
        words = ", ".join(repr(one) for one in PORTS)
        found.append(f"{where}: encryption {wish!r} is not known; expected one of {words}")
    servers = _texts(item.get("servers"))
    if servers is None:
        found.append(
            f"{where}: servers {item.get('servers')!r} is not a list of servers; expected ['dc1.example.com']"
        )
    addresses = [_server(text, encryption) for text in servers or ()]
    for text, address in zip(servers or (), addresses):
        if address is None:
            found.append(f"{where}: server {text!r} is not a server; expected 'host' or 'host:port'")
    bases = _texts(item.get("bases"))
    if bases is None:
        expected = "expected ['DC=example,DC=com']"
        found.append(f"{where}: bases {item.get('bases')!r} is not a list of search bases; {expected}")
    for base in bases or ():
        if not all(re.fullmatch(r"(?:[a-z][a-z0-9-]*|[0-9.]+)=.+", part) for part in parse_dn(base)):
            found.append(
                f"{where}: base {base!r} is not a distinguished name; expected such as 'DC=example,DC=com'"
            )
    user = item.get("user")
    if not isinstance(user, str) or not user:
        found.append(
            f"{where}: user {user!r} is not a user; expected 'reader@example.com' or a distinguished name"
        )
    files: dict[str, str] = {}
    for key in ("password_file", "ca_file"):
        path = item.get(key) or ""
        files[key] = path if isinstance(path, str) else ""
        if not isinstance(path, str) or (path and not path.startswith("/")):
            found.append(f"{where}: {key} {path!r} is not an absolute path; expected '/etc/mailgate/...'")
    if not item.get("password_file"):
        found.append(f"{where}: it has no password; expected the password of its user, vaulted")
    preset, own = item.get("preset"), item.get("filter")
    if (preset is None) == (own is None):
        found.append(f"{where}: preset {preset!r} and filter {own!r}; expected one of the two")
    if preset is not None and preset not in PRESETS:
        words = " or ".join(repr(one) for one in PRESETS)
        found.append(f"{where}: preset {preset!r} is not known; expected {words}")
    if own is not None and not (isinstance(own, str) and own.startswith("(") and own.endswith(")")):
        found.append(f"{where}: filter {own!r} is not a filter; expected one in parentheses")
    mail = item.get("mail", preset == "plain")
    if not isinstance(mail, bool):
        found.append(f"{where}: mail {mail!r} is neither yes nor no; expected true or false")
    page = item.get("page_entries", PAGE_ENTRIES)
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= 20000:
        found.append(f"{where}: page_entries {page!r} is not a page; expected a number from 1 to 20000")
    answer = item.get("answer_seconds", ANSWER_SECONDS)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 1 <= answer <= 600:
        found.append(f"{where}: answer_seconds {answer!r} is not a time; expected a number from 1 to 600")
    if found:
        return None, found
    made = LdapDirectory(
        name=str(name),
        servers=tuple(address for address in addresses if address),
        bases=tuple(bases or ()),
        user=str(user),
        password_file=files["password_file"],
        encryption=encryption,
        ca_file=files["ca_file"],
        filter=own if isinstance(own, str) else PRESETS[str(preset)],
        with_mail=bool(mail),
        page_entries=page if isinstance(page, int) else PAGE_ENTRIES,
        answer_seconds=answer if isinstance(answer, int) else ANSWER_SECONDS,
    )
    return made, []


def parse_ldap_directories(items: object, where: str) -> tuple[tuple[LdapDirectory, ...], list[str]]:
    """Return (the directories, every fault); items is the result of public()."""
    if isinstance(items, str) or not isinstance(items, Sequence):
        return (), [f"{where}: {items!r} is not a list of directories; expected a mapping, or a list of them"]
    made: list[LdapDirectory] = []
    found: list[str] = []
    for number, item in enumerate(items, 1):
        here = f"{where} item {number}"
        if not isinstance(item, Mapping):
            found.append(f"{here}: {item!r} is not a mapping; expected servers, bases, user and password")
            continue
        one, faults = _parse_ldap_directory(item, here)
        found += faults
        if one is not None:
            if one.name in [other.name for other in made]:
                found.append(f"{here}: name {one.name!r} is given twice; expected a name of its own")
            made.append(one)
    return tuple(made), found


def missing_ldap_directory(domains: Collection[str], items: object, where: str) -> list[str]:
    """Return the fault of the domains that come from a directory when the site names none."""
    if items or not domains:
        return []
    name = "gateway_directory" if where.startswith("gateway_") else "directories"
    return [
        f"{where}: {min(domains)!r} has recipients 'directory', and {name} is missing or empty; "
        f"expected {name} with servers, bases, user and password, or recipients 'list' or 'any'"
    ]
