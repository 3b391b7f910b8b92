# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's own state file: positions, the view of the lists, and every act that stands.

The first line is an object, each other one an act as it travels, and the last one counts them: a file that is
cut off is not taken for a whole one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BadInput
from ..formats.multilog import Position as LogPosition
from . import facts, feed, stream
from .facts import Act, Key
from .feed import View
from .stream import Outgoing, Position
from .versions import check_host

FORMAT = 1
LINE_BYTES_MAX = 64 << 20


@dataclass
class Saved:
    """What a later run of the service goes on from."""

    merged: object
    acts: list[Act]
    view: View
    outgoing: Outgoing
    positions: dict[str, Position] = field(default_factory=dict)  # by the peer's name
    logs: dict[str, LogPosition | None] = field(default_factory=dict)
    unsettled: list[Key] = field(default_factory=list)


def lines(saved: Saved) -> Iterator[bytes]:
    """Yield the file's lines; parse() is its inverse."""
    head = {
        "format": FORMAT,
        "merged": saved.merged,
        "view": feed.view_values(saved.view),
        "outgoing": saved.outgoing.to_json(),
        "positions": {name: one.to_json() for name, one in sorted(saved.positions.items())},
        "logs": {name: None if one is None else one.to_json() for name, one in sorted(saved.logs.items())},
        "unsettled": [list(key) for key in saved.unsettled],
    }
    yield json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n"
    for act in saved.acts:
        yield facts.render(act) + b"\n"
    yield b"%d\n" % len(saved.acts)


def parse(found: Iterable[bytes], where: str) -> Saved:
    """Parse the lines of the file; raises BadInput."""
    iterator = iter(found)
    head = _head(next(iterator, b""), where)
    acts: list[Act] = []
    ended = False
    for number, line in enumerate(iterator, 2):
        if ended:
            raise BadInput(f"{where} line {number}: goes on after its end; expected what the service wrote")
        text = line.rstrip(b"\n")
        if text == b"%d" % len(acts) and line.endswith(b"\n"):
            ended = True
            continue
        act = facts.parse(text, f"{where} line {number}")
        if not isinstance(act, Act):
            raise BadInput(f"{where} line {number}: {text[:80]!r} is not an act; expected one")
        acts.append(act)
    if not ended:
        raise BadInput(f"{where}: ends in the middle; expected what the service wrote")
    unsettled = head["unsettled"]
    if not isinstance(unsettled, list) or not all(
        isinstance(key, list) and len(key) == 2 and all(isinstance(one, str) for one in key)
        for key in unsettled
    ):
        raise BadInput(f"{where} unsettled: {unsettled!r:.80} is damaged; expected kinds and values")
    return Saved(
        head["merged"],
        acts,
        feed.parse_view(head["view"], f"{where} view"),
        stream.parse_outgoing(head["outgoing"], f"{where} outgoing"),
        {
            check_host(name, f"{where} position"): stream.parse_position(one, f"{where} {name}")
            for name, one in _object(head["positions"], where).items()
        },
        {
            name: None if one is None else LogPosition.from_json(one)
            for name, one in _object(head["logs"], where).items()
        },
        [(key[0], key[1]) for key in unsettled],
    )


def _head(line: bytes, where: str) -> dict[str, Any]:
    try:
        head = _object(json.loads(line), where)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{where}: {line[:40]!r} is not its first line; expected what the service wrote"
        ) from error
    names = {"format", "merged", "view", "outgoing", "positions", "logs", "unsettled"}
    if set(head) != names or head["format"] != FORMAT:
        raise BadInput(f"{where}: is of another version; expected format {FORMAT}")
    return head


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: {value!r:.80} is not an object; expected what the service wrote")
    return value
