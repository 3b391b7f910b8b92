# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other gateways of the site said, brought into force on this host by the fleet's verbs.

Only the fleet's user and root may use them, and the fleet's user no others. There is no verb for relay
networks, protected networks, recipients or settings. A list is edited as by an operator here: judged by this
host's own judges, with two lines in the audit log, by the operator and the host that acted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..blacklist import client as blacklist_client
from ..blacklist.clients import check_client
from ..core.errors import BadInput, MailgateError, TryAgain
from ..formats import greylist, notes
from ..formats.networks import parse_network
from ..rules.fragments import ADAPTIVE_UNTIL_MAX
from . import entries as operator_entries
from .entries import BLOCKED, CLIENTS, RELAY, SENDERS, TRUSTED, Entry
from .list_editor import ListEditor
from .lookups import ExternalPaths
from .places import Caller

USER = "fleet"
ADAPTIVE, CLIENT, SENDER, SCORE = KINDS = ("adaptive", "client", "sender", "score")
# Of each act the list and its action; of each kind the lists from which an act that takes back removes.
MADE = {
    (CLIENT, "allow"): (CLIENTS, "allow"),
    (CLIENT, "deny"): (CLIENTS, "deny"),
    (SENDER, "block"): (SENDERS, ""),
    (SCORE, "trust"): (TRUSTED, ""),
    (SCORE, "distrust"): (BLOCKED, ""),
}
LISTS = {CLIENT: (CLIENTS,), SENDER: (SENDERS,), SCORE: (TRUSTED, BLOCKED)}
REMOVE, LIST, RELEASE = "remove", "list", "release"
GREYS_MAX = 500
FOLDERS = greylist.FAN * greylist.FAN
FOLDERS_AT_ONCE = 64

_ACT = {
    "kind": "peer kind",
    "value": "text",
    "action": "text",
    "by": "text",
    "note": "text",
    "until": "until",
    "host": "text",
}
VERBS: Mapping[str, Mapping[str, str]] = {
    "peer-act": _ACT,
    "peer-lost": {**_ACT, "winner": "text"},
    "peer-greys": {"greys": "greys"},
    "peer-greylist": {"folder": "folder"},
}


def _is_grey(one: object) -> bool:
    return (
        isinstance(one, list)
        and len(one) == 3
        and isinstance(one[0], str)
        and isinstance(one[1], bool)
        and isinstance(one[2], int)
        and not isinstance(one[2], bool)
    )


def _is_number(one: object, most: int) -> bool:
    return isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= most


FIELDS: Mapping[str, tuple[Callable[[object], bool], str, object]] = {
    "peer kind": (lambda one: isinstance(one, str) and one in KINDS, f"one of {', '.join(KINDS)}", None),
    "until": (lambda one: one is None or _is_number(one, ADAPTIVE_UNTIL_MAX), "null, or unix seconds", None),
    "greys": (
        lambda one: isinstance(one, list) and len(one) <= GREYS_MAX and all(map(_is_grey, one)),
        f"at most {GREYS_MAX} of [network, passed, unix seconds]",
        None,
    ),
    "folder": (lambda one: _is_number(one, FOLDERS - 1), f"a number below {FOLDERS}", None),
}


def refuse_caller(caller: Caller, do: str) -> None:
    """Raise BadInput unless this caller may use this verb."""
    if do in VERBS and caller.name != USER and caller.uid != 0:
        raise BadInput(f"request {do}: {caller.name} may not ask that; expected the user {USER}")
    if do not in VERBS and caller.name == USER and caller.uid != 0:
        raise BadInput(f"request {do}: {USER} may not ask that; expected one of {', '.join(VERBS)}")


class PeerActs:
    """The verbs of the fleet."""

    def __init__(self, editor: ListEditor, outside: ExternalPaths, clock: Callable[[], float]) -> None:
        self._editor, self._outside, self._clock = editor, outside, clock

    def answer(self, caller: Caller, do: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of one verb; raises MailgateError and OSError."""
        if do == "peer-act":
            return self._act(caller, asked)
        if do == "peer-lost":
            self._lost(caller, asked)
            return {}
        if do == "peer-greys":
            return {"refused": self._greys(asked["greys"])}
        return self._greylist(asked["folder"])

    def _act(self, caller: Caller, asked: Mapping[str, Any]) -> dict[str, Any]:
        author = Caller(caller.uid, asked["by"])
        try:
            if asked["kind"] == ADAPTIVE:
                return {"refused": self._adaptive(asked)}
            self._edit(author, asked)
        except TryAgain:
            raise
        except MailgateError as error:
            self._editor.refused(author, asked["action"], _about(asked), str(error))
            return {"refused": str(error)}
        return {"refused": ""}

    def _adaptive(self, asked: Mapping[str, Any]) -> str:
        address = check_client(asked["value"], "address")
        request: dict[str, object] = {"do": "release", "address": address, "peer": asked["host"]}
        if asked["action"] == LIST:
            request = {
                "do": "hear",
                "address": address,
                "peer": asked["host"],
                "until": asked["until"],
                "why": asked["note"],
            }
        elif asked["action"] != RELEASE:
            raise BadInput(f"action: {asked['action']!r:.40} is not known; expected {LIST!r} or {RELEASE!r}")
        return str(blacklist_client.ask(self._outside.blacklist, request).get("spared", ""))

    def _edit(self, author: Caller, asked: Mapping[str, Any]) -> None:
        kind, action = asked["kind"], asked["action"]
        if action != REMOVE and (kind, action) not in MADE:
            raise BadInput(f"action: {action!r:.40} is not an act on a {kind}; expected another one")
        if asked["note"] and (fault := operator_entries.note_fault(asked["note"])):
            raise BadInput(fault)
        value = operator_entries.canonical(LISTS[kind][0], asked["value"])
        name, word = MADE.get((kind, action), ("", ""))
        if kind == CLIENT and (name or self._editor.lists.own_entry(CLIENTS, value) is not None):
            self._refuse_relay_networks(value)
        for other in LISTS[kind]:
            if other != name:
                self._editor.hear(author, other, value, None, asked["note"], asked["host"])
        if name:
            note = notes.Note(asked["by"], asked["note"], asked["until"])
            wanted = Entry(value, word, note)
            self._editor.hear(author, name, value, wanted, asked["note"], asked["host"])

    def _refuse_relay_networks(self, value: str) -> None:
        """Raise BadInput for a network of which a part may relay here: that is this host's own.

        So a peer cannot take back that a host in it was denied, which would relay again.
        """
        lists = self._editor.lists
        own = [parse_network(one.value) for one in lists.entries(RELAY) if "/" in one.value]
        relay = operator_entries.overlapping(value, [*lists.relay_networks(), *own])
        if relay:
            raise BadInput(f"{value}: {relay!r} may relay here; expected a network without it")

    def _lost(self, caller: Caller, asked: Mapping[str, Any]) -> None:
        author = Caller(caller.uid, asked["by"])
        why = f"another act stands in the fleet: {asked['winner']}"
        self._editor.refused(author, asked["action"], _about(asked), why)

    def _greys(self, greys: list[list[Any]]) -> int:
        """Join networks into the greylist; return how many were refused.

        The queue is on the same disk, so however many networks peers tell, they do not fill it.
        """
        limits = greylist.read_limits(self._outside.greylist_settings)
        now, room = self._clock(), greylist.has_room(self._outside.greylist)
        refused = 0
        for network, passed, at in greys:
            refused += not greylist.learn(self._outside.greylist, network, passed, at, limits, now, room=room)
        return refused

    def _greylist(self, folder: int) -> dict[str, Any]:
        limits, now = greylist.read_limits(self._outside.greylist_settings), self._clock()
        found: list[list[object]] = []
        end = min(FOLDERS, folder + FOLDERS_AT_ONCE)
        while folder < end and len(found) < GREYS_MAX:
            there = greylist.in_folder(self._outside.greylist, folder, limits, now)
            found += [[one.network, one.passed, one.since] for one in there]
            folder += 1
        return {"greys": found, "next": folder if folder < FOLDERS else None}


def _about(asked: Mapping[str, Any]) -> dict[str, object]:
    name, word = MADE.get((asked["kind"], asked["action"]), (asked["kind"], ""))
    return {"list": name, "value": asked["value"], "action": word, "note": asked["note"]}
