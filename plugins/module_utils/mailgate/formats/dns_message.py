# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A question to one name server over UDP, and the answer (RFC 1035, sections 4.1 and 3.4.1).

The system's resolver is not asked: /etc/resolv.conf may name another server, and its time is not ours.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
import time

from ..core.errors import BadInput

A, PTR = 1, 12
_TYPES = {"A": A, "PTR": PTR}
_IN = 1
_RECURSE = 0x0100
_RESPONSE = 0x8000
_CODES = {1: "it finds the question malformed", 2: "server failure", 4: "not implemented", 5: "refused"}
_NO_SUCH_NAME = 3
_PACKET_BYTES = 4096
_JUMPS_MAX = 128


def reverse_name(address: str) -> str:
    """The name whose PTR record names an IPv4 address; raises ValueError."""
    return ipaddress.IPv4Address(address).reverse_pointer


def encode_name(name: str) -> bytes:
    """A name as it stands in a packet; raises BadInput."""
    labels = name.rstrip(".").split(".")
    encoded = b""
    for label in labels:
        data = label.encode("ascii", "replace")
        if re.fullmatch(rb"[!-~]{1,63}", data) is None:
            raise BadInput(f"name: {name!r} is none; expected labels of 1 to 63 characters")
        encoded += bytes([len(data)]) + data
    if len(encoded) > 254:
        raise BadInput(f"name: {name!r} is too long; expected at most 253 characters")
    return encoded + b"\0"


def question(number: int, name: str, kind: str) -> bytes:
    """A packet that asks for the records of a name; kind is 'A' or 'PTR'."""
    return (
        struct.pack(">HHHHHH", number, _RECURSE, 1, 0, 0, 0)
        + encode_name(name)
        + struct.pack(">HH", _TYPES[kind], _IN)
    )


def _name(packet: bytes, at: int) -> tuple[str, int]:
    """The name at a place in a packet, and the place behind it."""
    labels: list[str] = []
    behind = -1
    for dummy in range(_JUMPS_MAX):
        length = packet[at]
        if length >= 0xC0:
            behind = behind if behind >= 0 else at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length:
            labels.append(packet[at + 1 : at + 1 + length].decode("ascii", "backslashreplace"))
            at += 1 + length
        else:
            return ".".join(labels), behind if behind >= 0 else at + 1
    raise BadInput("answer: a name in it does not end; expected one of at most 127 labels")


def answers(packet: bytes, asked: bytes) -> tuple[str, ...]:
    """The addresses or names in an answer, () for a name that does not exist; raises BadInput.

    asked is the packet that is answered: number and question must be the same.
    """
    try:
        number, flags, questions, count = struct.unpack_from(">HHHH", packet)
        if number != struct.unpack_from(">H", asked)[0] or not flags & _RESPONSE or questions != 1:
            raise BadInput("answer: is none to the question; expected its number")
        if packet[12 : len(asked)].lower() != asked[12:].lower():
            raise BadInput("answer: is one to another question; expected its name and type")
        code = flags & 15
        if code == _NO_SUCH_NAME:
            return ()
        if code:
            raise BadInput(f"answer: {_CODES.get(code, f'code {code}')}; expected records")
        wanted = struct.unpack_from(">H", asked, len(asked) - 4)[0]
        at, found = len(asked), []
        for dummy in range(count):
            at = _name(packet, at)[1]
            kind, of_class, length = struct.unpack_from(">HH4xH", packet, at)
            at += 10
            if (kind, of_class) == (wanted, _IN):
                if kind == A:
                    found.append(str(ipaddress.IPv4Address(packet[at : at + 4])))
                else:
                    found.append(_name(packet, at)[0])
            at += length
        return tuple(found)
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput("answer: is cut off; expected a whole packet") from error


def ask(
    server: str, name: str, kind: str, within_seconds: float, port: int = 53
) -> tuple[tuple[str, ...], float]:
    """(what the server answers, seconds that it took); raises BadInput and OSError, TimeoutError at last.

    The question is sent again every third of the time.
    """
    asked = question(int.from_bytes(os.urandom(2), "big"), name, kind)
    began = time.monotonic()
    end = began + within_seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect((server, port))
        for tries in (1, 2, 3):
            connection.send(asked)
            until = end if tries == 3 else began + within_seconds * tries / 3
            while (left := until - time.monotonic()) > 0:
                connection.settimeout(left)
                try:
                    packet = connection.recv(_PACKET_BYTES)
                except socket.timeout:
                    break
                if packet[:2] == asked[:2]:
                    return answers(packet, asked), time.monotonic() - began
    raise TimeoutError(f"no answer within {within_seconds:g} s")
