# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of one of SpamAssassin's channels, fetched as sa-update does, on a machine without SpamAssassin.

The channel's version and the address of its list of mirrors are TXT records. The archive comes with its sums
and its signature; `mailgate sa-update --install` checks that on the gateway.
"""

from __future__ import annotations

import re
import secrets
import socket
import struct
from collections.abc import Callable, Sequence

from ..core.errors import BadInput, TryAgain

RELEASE = "4.0.1"
# The archive's own name ends without one of these.
SUFFIXES = (".tar.gz", ".tar.gz.asc", ".tar.gz.sha256", ".tar.gz.sha512")
_TXT = 16
_SECONDS = 3.0
_TRIES = 2
Fetch = Callable[[str], bytes]
Ask = Callable[[str], Sequence[str]]


def name_servers(text: str) -> list[str]:
    """Return the name servers in resolv.conf(5)."""
    return re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)


def question(name: str, number: int) -> bytes:
    """Return a query for the TXT records of a name, as RFC 1035 has it."""
    labels = b"".join(bytes([len(one)]) + one.encode("ascii") for one in name.rstrip(".").split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", _TXT, 1)


def _skip_name(packet: bytes, at: int) -> int:
    while packet[at]:
        if packet[at] & 0xC0:
            return at + 2
        at += 1 + packet[at]
    return at + 1


def _strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        found.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return found


def texts(packet: bytes, number: int) -> list[str] | None:
    """Return the TXT records of an answer to that query; None when it is another, or not an answer."""
    try:
        found, flags, questions, answers = struct.unpack("!4H", packet[:8])
        if found != number or not flags & 0x8000 or flags & 0x020F:  # another, cut off, or an error
            return None
        at, records = 12, []
        for _number in range(questions):
            at = _skip_name(packet, at) + 4
        for _number in range(answers):
            at = _skip_name(packet, at)
            kind, _class, _ttl, length = struct.unpack("!2HIH", packet[at : at + 10])
            data, at = packet[at + 10 : at + 10 + length], at + 10 + length
            if len(data) != length:
                return None
            if kind == _TXT:
                records.append(b"".join(_strings(data)).decode("ascii", "replace"))
    except (IndexError, struct.error):
        return None
    return records


def ask_txt(name: str, servers: Sequence[str], port: int = 53) -> list[str]:
    """Return the TXT records of a name; raises TryAgain when no server answers."""
    for server in [*servers] * _TRIES:
        number = secrets.randbelow(65536)
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as peer:
                peer.settimeout(_SECONDS)
                peer.connect((server, port))
                peer.send(question(name, number))
                found = texts(peer.recv(4096), number)
        except OSError:
            continue
        if found is not None:
            return found
    said = ", ".join(servers) or "no name server"
    raise TryAgain(f"TXT of {name}: no answer from {said}; expected the controller to reach the DNS")


def fetch(channel: str, ask: Ask, get: Fetch) -> dict[str, bytes]:
    """Return the channel's current files by their names; raises MailgateError with every cause."""
    reverse = ".".join(reversed(RELEASE.split(".")))
    version = _one(ask(f"{reverse}.{channel}"), r"[0-9]+", f"{reverse}.{channel}")
    listing = _one(ask(f"mirrors.{channel}"), r"https?://\S+", f"mirrors.{channel}")
    mirrors = re.findall(r"^(https?://\S+)", get(listing).decode("utf-8", "replace"), re.MULTILINE)
    causes = []
    for mirror in mirrors:
        try:
            return {f"{version}{one}": get(f"{mirror.rstrip('/')}/{version}{one}") for one in SUFFIXES}
        except Exception as error:  # whatever the opener raises is this mirror's cause
            causes.append(f"{mirror}: {error}")
    raise TryAgain(f"channel {channel}: {'; '.join(causes) or 'names no mirror'}; expected {version}.tar.gz")


def _one(records: Sequence[str], pattern: str, where: str) -> str:
    for one in records:
        if re.fullmatch(pattern, one.strip()):
            return one.strip()
    raise BadInput(f"TXT of {where}: {list(records)!r} is not an answer of a channel; expected {pattern}")
