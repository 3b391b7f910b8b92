# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Distinguished names: parse them, and find which lies below which."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence

# Partitions of every forest that hold no recipients; a search of a domain's root returns references to them.
PASSED_OVER = ("dc=forestdnszones", "dc=domaindnszones", "cn=configuration")


def parse_dn(text: str) -> tuple[str, ...]:
    """Parse a distinguished name to its parts, most specific first, normalised for comparison (RFC 4514)."""
    parts: list[str] = []
    part: list[str] = []
    raw = text.encode("utf-8", "surrogateescape")
    position = 0
    out = bytearray()
    while position < len(raw):
        byte = raw[position : position + 1]
        if byte == b"\\" and position + 1 < len(raw):
            pair = raw[position + 1 : position + 3]
            if re.fullmatch(rb"[0-9A-Fa-f]{2}", pair):
                out += b"\\" + pair.lower() if int(pair, 16) in b',+"\\<>;=' else bytes([int(pair, 16)])
                position += 3
            else:
                escaped = raw[position + 1]
                out += b"\\%02x" % escaped if escaped in b',+"\\<>;=' else bytes([escaped])
                position += 2
            continue
        if byte in (b",", b";"):
            part.append(out.decode("utf-8", "backslashreplace"))
            parts.append("".join(part))
            part, out = [], bytearray()
        else:
            out += byte
        position += 1
    part.append(out.decode("utf-8", "backslashreplace"))
    parts.append("".join(part))
    plain = (re.sub(r"\s*=\s*", "=", one.strip(), count=1) for one in parts)
    return tuple(re.sub(r"\s+", " ", one).casefold() for one in plain)


def is_below(name: Sequence[str], base: Sequence[str]) -> bool:
    """Return whether a parsed name is the base or lies below it."""
    return len(name) >= len(base) and tuple(name[len(name) - len(base) :]) == tuple(base)


def reference_name(url: str) -> tuple[str, ...]:
    """Parse the name in an LDAP URL such as 'ldap://dc2.example.com/DC=child,DC=example,DC=com??base'."""
    path = urllib.parse.urlsplit(url).path.lstrip("/").partition("?")[0]
    return parse_dn(urllib.parse.unquote(path))


def unaccounted(urls: Sequence[str], bases: Sequence[str]) -> str:
    """Return the first URL of a reference that is neither passed over nor names one of the bases, or ''."""
    known = {parse_dn(base) for base in bases}
    for url in urls:
        name = reference_name(url)
        if name[0] not in PASSED_OVER and name not in known:
            return url
    return ""
