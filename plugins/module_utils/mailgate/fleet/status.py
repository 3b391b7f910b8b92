# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states of the fleet's parts, since when, and the file that tells them to the doctor and to people."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BadInput
from ..core.text import one_line
from ..core.times import span, utc

FORMAT = 1
BYTES_MAX = 4 << 20
WRITE_SECONDS = 5.0
OLD_SECONDS = 60.0  # a file that is older: the service does not run
WHY_CHARACTERS_MAX = 300
CONNECTING, CONNECTED, WAITING, TROUBLE, REFUSED = "connecting", "connected", "waiting", "trouble", "refused"


@dataclass
class Part:
    """One engine: its state, since when, why, and what was refused of what it said."""

    state: str
    since: float
    why: str = ""
    refused: int = 0
    last_refused: str = ""
    heard_at: float | None = None  # when something was read there last
    ahead_seconds: float = 0.0  # this host's clock, compared with the peer's

    def values(self) -> dict[str, object]:
        return {
            "state": self.state,
            "since": self.since,
            "why": self.why,
            "refused": self.refused,
            "last_refused": self.last_refused,
            "heard_at": self.heard_at,
            "ahead_seconds": round(self.ahead_seconds, 1),
        }


class Parts:
    """The states of the own engine and of each peer; threads change them."""

    def __init__(self, names: list[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._parts = {name: Part(CONNECTING, clock()) for name in names}

    def set(self, name: str, state: str, why: str = "") -> bool:
        """Set a state; return whether it is another one than before."""
        with self._lock:
            part = self._parts[name]
            changed = part.state != state
            if changed:
                part.state, part.since = state, self._clock()
            part.why = why[:WHY_CHARACTERS_MAX]
            return changed

    def heard(self, name: str, ahead_seconds: float, refused: tuple[str, ...] = ()) -> None:
        with self._lock:
            part = self._parts[name]
            part.heard_at, part.ahead_seconds = self._clock(), ahead_seconds
            if refused:
                part.refused += len(refused)
                part.last_refused = refused[-1][:WHY_CHARACTERS_MAX]

    def values(self) -> dict[str, dict[str, object]]:
        with self._lock:
            return {name: part.values() for name, part in self._parts.items()}


@dataclass(frozen=True)
class Status:
    """The content of the status file."""

    written: float
    host: str
    engine: Mapping[str, Any]
    peers: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, int]
    refused: Mapping[str, str] = field(default_factory=dict)  # acts that are not in force here: why
    trouble: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "written": self.written,
            "host": self.host,
            "engine": dict(self.engine),
            "peers": {name: dict(one) for name, one in self.peers.items()},
            "counts": dict(self.counts),
            "refused": dict(self.refused),
            "trouble": dict(self.trouble),
        }


def parse(data: bytes, where: str) -> Status:
    """Parse the status file; raises BadInput."""
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r:.40}")
        status = Status(
            float(values["written"]),
            str(values["host"]),
            _part(values["engine"]),
            {str(name): _part(one) for name, one in values["peers"].items()},
            {str(name): int(one) for name, one in values["counts"].items()},
            {str(name): str(one) for name, one in values["refused"].items()},
            {str(name): str(one) for name, one in values["trouble"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{where}: {error!r:.120}; expected the status of the service fleet") from error
    return status


def _part(values: Any) -> dict[str, Any]:
    heard = values["heard_at"]
    return {
        "state": str(values["state"]),
        "since": float(values["since"]),
        "why": str(values["why"]),
        "refused": int(values["refused"]),
        "last_refused": str(values["last_refused"]),
        "heard_at": None if heard is None else float(heard),
        "ahead_seconds": float(values["ahead_seconds"]),
    }


def describe(status: Status, now: float) -> list[str]:
    """Return the status as lines for people."""
    lines = []
    if now - status.written > OLD_SECONDS:
        lines.append(
            f"the service fleet wrote this {span(now - status.written)} ago; see svstat /service/fleet"
        )
    lines.append(_line(f"{status.host} (this host)", status.engine, now))
    for name, part in sorted(status.peers.items()):
        lines.append(_line(name, part, now))
        if abs(part["ahead_seconds"]) >= 1:
            how = "behind" if part["ahead_seconds"] > 0 else "ahead of"
            lines.append(f"    its clock is {abs(part['ahead_seconds']):.0f} s {how} this one")
        if part["refused"]:
            lines.append(f"    refused {part['refused']} of its facts, the last one: {part['last_refused']}")
    lines.append(", ".join(f"{name} {number}" for name, number in status.counts.items()))
    lines += [f"not in force here: {what}: {why}" for what, why in status.refused.items()]
    lines += [f"{what}: {why}" for what, why in status.trouble.items()]
    return [one_line(one) for one in lines]


def _line(name: str, part: Mapping[str, Any], now: float) -> str:
    why = f": {part['why']}" if part["why"] else ""
    long = span(max(0.0, now - part["since"]))
    return f"{name:30} {part['state']} for {long}, since {utc(part['since'])}{why}"
