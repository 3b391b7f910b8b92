# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other side of LDAP: what a server says, made byte by byte, true or false (RFC 4511)."""

from __future__ import annotations

PAGED = b"1.2.840.113556.1.4.319"


def element(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(size)]) + size + body


def octets(text: str | bytes) -> bytes:
    return element(4, text if isinstance(text, bytes) else text.encode())


def number(value: int, tag: int = 2) -> bytes:
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def message(identity: int, *content: bytes) -> bytes:
    return element(0x30, number(identity), *content)


def entry(identity: int, dn: str, /, **attributes: list[str | bytes]) -> bytes:
    """Return an object; a range of values is spelled `name__0_to_9`, the last one `name__10_to_end`."""
    lists = [
        element(
            0x30,
            octets(name.replace("_to_end", "-*").replace("_to_", "-").replace("__", ";range=")),
            element(0x31, *map(octets, values)),
        )
        for name, values in attributes.items()
    ]
    return message(identity, element(0x64, octets(dn), element(0x30, *lists)))


def reference(identity: int, *urls: str) -> bytes:
    return message(identity, element(0x73, *map(octets, urls)))


def result(tag: int, code: int, text: str = "", urls: tuple[str, ...] = ()) -> bytes:
    referral = [element(0xA3, *map(octets, urls))] if urls else []
    return element(tag, number(code, 0x0A), octets(""), octets(text), *referral)


def done(
    identity: int, code: int = 0, cookie: bytes | None = b"", text: str = "", urls: tuple[str, ...] = ()
) -> bytes:
    """Return the end of a page; cookie None for a server that does not page."""
    controls = []
    if cookie is not None:
        value = element(0x30, number(0), octets(cookie))
        controls = [element(0xA0, element(0x30, octets(PAGED), octets(value)))]
    return message(identity, result(0x65, code, text, urls), *controls)


def bound(identity: int, code: int = 0, text: str = "") -> bytes:
    return message(identity, result(0x61, code, text))


def farewell() -> bytes:
    """Return the notice of disconnection."""
    content = (
        number(52, 0x0A),
        octets(""),
        octets("shutting down"),
        element(0x8A, b"1.3.6.1.4.1.1466.20036"),
    )
    return message(0, element(0x78, *content))
