# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what at a gateway's engine, with which password.

Each password is for one reader at one engine, and follows from the fleet's secret, which stays on the
controller. So a host that is broken into has no password by which it could act as another one anywhere, and
an engine's file of users has hashes only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

OWNER = "owner"  # of an engine: the service fleet of its own host
KEYS = "mailgate:*"
_OWNER_MAY = ("del", "expire", "get", "ping", "set", "time", "xadd", "xread", "xrevrange")
_READER_MAY = ("get", "ping", "time", "xread")


def passwords(secret: bytes, host: str, peers: Sequence[str]) -> dict[str, str]:
    """Return what a host says at the engines of its peers, by their names, and at its own, by ''."""
    return {"": _password(secret, host, host), **{one: _password(secret, host, one) for one in peers}}


def users(secret: bytes, host: str, peers: Sequence[str]) -> str:
    """Return the users of a host's engine in the form of its file: the owner, and its peers as readers."""
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines.append(_line(OWNER, _password(secret, host, host), f"~{KEYS}", _OWNER_MAY))
    lines += [_line(one, _password(secret, one, host), f"%R~{KEYS}", _READER_MAY) for one in sorted(peers)]
    return "".join(f"{line}\n" for line in lines)


def _password(secret: bytes, reader: str, engine: str) -> str:
    return hmac.new(secret, f"{reader} at {engine}".encode("ascii"), hashlib.sha256).hexdigest()


def _line(name: str, password: str, keys: str, commands: Sequence[str]) -> str:
    may = " ".join(f"+{one}" for one in commands)
    known = hashlib.sha256(password.encode("ascii")).hexdigest()
    return f"user {name} on resetpass #{known} resetkeys {keys} resetchannels -@all {may}"
