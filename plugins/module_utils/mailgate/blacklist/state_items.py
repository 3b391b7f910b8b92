# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the blacklist's state holds, item by item, and its check; state_file.py is the form of the file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BadInput
from .clients import check_client, client_of, site_of
from .model import Entry, Event, events_of

VERSION = 1
SECTIONS = ("sessions", "clients", "ham", "entries", "spared", "released")


@dataclass
class State:
    """The items by client, those of sessions by pid; a client of an older version is an IPv4 address."""

    sessions: list[tuple[int, str, int]] = field(default_factory=list)  # pid, address, counted attempts
    clients: dict[str, list[Event]] = field(default_factory=dict)
    ham: dict[str, array[int]] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    spared: dict[str, tuple[int, str]] = field(default_factory=dict)
    released: dict[str, int] = field(default_factory=dict)


def flat(data: Any) -> tuple[object, list[tuple[str, Any]]]:
    """Return the version and the (section, item) of a state that is one JSON object; raises BadInput."""
    try:
        return data["version"], [(name, item) for name in SECTIONS for item in data[name]]
    except (TypeError, KeyError) as error:
        raise BadInput(f"blacklist state: {error} in it; expected what the service wrote") from error


def parse(version: object, items: Iterable[tuple[str, Any]]) -> State:
    """Return the state of (section, item); raises BadInput."""
    state = State()
    try:
        if version != VERSION:
            raise ValueError(f"version {version!r}")
        for name, item in items:
            _take(state, name, item)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, OSError) as error:
        raise BadInput(f"blacklist state: {error} in it; expected what the service wrote") from error
    return state


def _take(state: State, name: str, item: Any) -> None:
    if name == "sessions":
        client_of(str(item[1]))  # raises OSError
    else:
        site_of(str(item[0]))
    if name == "clients":
        events = events_of(item[1])
        if events:
            state.clients[str(item[0])] = events
    elif name == "ham":
        state.ham[str(item[0])] = array("q", item[1])
    elif name == "entries":
        address, since, until, why, by, events, more = item
        if check_client(address, "entry") != address:
            raise ValueError(f"{address!r} is not in its usual form")
        state.entries[str(address)] = Entry(
            str(address), int(since), int(until), str(why), str(by), events_of(events), int(more)
        )
    elif name == "sessions":
        state.sessions.append((int(item[0]), str(item[1]), int(item[2])))
    elif name == "spared":
        state.spared[str(item[0])] = (int(item[1]), str(item[2]))
    elif name == "released":
        state.released[str(item[0])] = int(item[1])
    else:
        raise ValueError(f"section {name!r}")
