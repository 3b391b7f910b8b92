# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service operator: a unix socket with fixed verbs, for root and the members of a group.

A request is one JSON object on one line, the answer the same, and then the connection is closed. The kernel
tells the caller's uid, and others are refused before any of their bytes is read. Every wait, the size of a
request and the number of callers are limited.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..core import locks
from ..core.clock import ClockTrust, since_boot
from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.files import atomic_write
from ..core.servicelog import Complaints
from ..core.sockets import Farewells, listen, parse_json, peer_uid, receive_request, send_answer
from . import peers
from .audit import SHOWN_KEYS
from .entries import LISTS, Entry, note_fault
from .list_editor import ListEditor, say
from .lookups import ExternalPaths, Lookups
from .places import SECONDS_MAX, Caller, OperatorPaths
from .refused import KINDS, Refused, RefusedPaths

SOCKET, CLOCK = "socket", "clock.json"
SAVE_SECONDS = 60.0  # between two records of the clock
GROUP = "operators"
REQUEST_BYTES_MAX = 65_536
PEER_SECONDS = 5.0
CALLERS_MAX = 24
ROOT_PLACES = 4  # of these, for root alone
CALLERS_OF_ONE_MAX = 8
TEXT_MAX = 1000
AUDIT_MAX = 1000
NUMBER_MAX = 2**53
POLL_SECONDS = 0.5
BACKLOG = 128
TOO_MANY = "operator: too many callers at once; try again"
Answer = dict[str, Any]

# The fields of each verb; a field's value is a name in _FIELDS, with '?' when it may be missing.
_ACT = {
    "act": "act",
    "list": "list",
    "value": "text",
    "action": "text?",
    "note": "text?",
    "seconds": "seconds?",
}
VERBS: Mapping[str, Mapping[str, str]] = {
    "entries": {"list": "list"},
    "check": {"list": "list", "value": "text", "action": "text?"},
    "preview": _ACT,
    "act": _ACT,
    "undo": {"preview": "yes?", "number": "number?"},
    "audit": {"limit": "limit?"},
    "recipient": {"address": "text"},
    "blacklist": {},
    "explain": {"address": "text"},
    "release": {"address": "text", "note": "text?"},
    "greylist": {"search": "text?"},
    "pass": {"address": "text", "note": "text?"},
    "queue": {"search": "text?"},
    "flush": {"note": "text?"},
    "trace": {"search": "text?"},
    "status": {},
    "refused": {"search": "text?"},
    "refused-show": {"name": "text"},
    "refused-release": {"name": "text", "note": "text?", "again": "yes?"},
    "refused-learn": {"name": "text", "kind": "kind", "note": "text?"},
    "refused-forget": {"name": "text", "note": "text?"},
}
ALL_VERBS = {**VERBS, **peers.VERBS}
ACTS = ("act", "undo", "release", "pass", "flush", "refused-release", "refused-learn", "refused-forget")


def _is_number(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


_FIELDS: Mapping[str, tuple[Callable[[object], bool], str, object]] = {
    "act": (lambda one: one in ("add", "remove"), "'add' or 'remove'", None),
    "kind": (lambda one: one in KINDS, " or ".join(map(repr, KINDS)), None),
    "list": (lambda one: one in LISTS, f"one of {', '.join(LISTS)}", None),
    "text": (
        lambda one: isinstance(one, str) and len(one) <= TEXT_MAX,
        f"text of at most {TEXT_MAX} characters",
        "",
    ),
    "seconds": (
        lambda one: one is None or _is_number(one, 1, SECONDS_MAX),
        f"null, or 1 to {SECONDS_MAX} seconds",
        None,
    ),
    "limit": (lambda one: _is_number(one, 1, AUDIT_MAX), f"a number from 1 to {AUDIT_MAX}", 100),
    "number": (lambda one: one is None or _is_number(one, 1, NUMBER_MAX), "the number of an act", None),
    "yes": (lambda one: isinstance(one, bool), "true or false", False),
    **peers.FIELDS,
}


def parse_request(data: bytes) -> Answer:
    """Return the verb as 'do' and all of its fields; raises BadInput for an invalid request."""
    asked = parse_json(data)
    if not isinstance(asked, dict):
        raise BadInput(f"request: {_shown(asked)} is not an object; expected one")
    do = asked.pop("do", None)
    if not isinstance(do, str) or do not in ALL_VERBS:
        raise BadInput(f"request: do {_shown(do)} is not known; expected one of {', '.join(VERBS)}")
    unknown = sorted(set(asked) - set(ALL_VERBS[do]))
    if unknown:
        expected = ", ".join(ALL_VERBS[do]) or "nothing else"
        raise BadInput(f"request {do}: {_shown(unknown[0])} is not known; expected {expected}")
    made: Answer = {"do": do}
    for name, kind in ALL_VERBS[do].items():
        test, expected, default = _FIELDS[kind.rstrip("?")]
        if name not in asked and kind.endswith("?"):
            made[name] = default
        elif name in asked and test(asked[name]):
            made[name] = asked[name]
        else:
            given = f"{_shown(asked[name])} is wrong" if name in asked else "is missing"
            raise BadInput(f"request {do}: {name} {given}; expected {expected}")
    return made


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def shown_entry(entry: Entry) -> Answer:
    """Return an entry in the form that callers see."""
    return {**entry.values(), "origin": entry.origin, "fixed": entry.fixed}


class Verbs:
    """The actions of all verbs."""

    def __init__(
        self,
        editor: ListEditor,
        lookups: Lookups,
        refused: Refused,
        peer_acts: peers.PeerActs | None = None,
    ) -> None:
        """Take what the verbs do; without the fleet's acts its verbs are refused."""
        self._editor, self._lookups, self._refused = editor, lookups, refused
        self._peer_acts = peer_acts

    def answer(self, caller: Caller, data: bytes) -> Answer:
        """Return the answer to one request; never raises for its content."""
        try:
            request = parse_request(data)
            return {"ok": True, **self._recorded(caller, request.pop("do"), request)}
        except TryAgain as error:
            return _refusal(str(error), temporary=True)
        except MailgateError as error:
            return _refusal(str(error))
        except OSError as error:
            return _refusal(str(error), temporary=True)

    def _recorded(self, caller: Caller, do: str, asked: Answer) -> Answer:
        """Answer; an act that is refused permanently is recorded in the audit log, but for a missing note."""
        try:
            return self._answer(caller, do, asked)
        except TryAgain:
            raise
        except MailgateError as error:
            note = asked.get("note", "")
            if do in ACTS and not asked.get("preview") and (note or do != "act"):
                known = {**asked, "note": _shown(note)} if note and note_fault(note) else asked
                self._editor.refused(caller, asked.get("act", do), known, str(error))
            raise

    def _answer(self, caller: Caller, do: str, asked: Answer) -> Answer:
        editor = self._editor
        peers.refuse_caller(caller, do)
        if do in peers.VERBS:
            if self._peer_acts is None:
                raise BadInput(f"request {do}: is not for this host; expected one with peers")
            return self._peer_acts.answer(caller, do, asked)
        if do == "entries":
            return {"entries": [shown_entry(one) for one in editor.lists.entries(asked["list"])]}
        if do == "check":
            value, problem = editor.check(asked["list"], asked["value"], asked["action"])
            return {"value": value, "problem": problem}
        if do == "preview":
            return self._preview(caller, asked)
        if do == "undo" and asked["preview"]:
            return self._undo_preview(caller, asked["number"])
        if do in ("act", "undo"):
            if do == "undo":
                number, effects = editor.undo(caller, asked["number"])
            else:
                number, effects = editor.act(caller, *asked.values())
            editor.say(f"{caller.name} did {number}: {'; '.join(effects)}")
            return {"effects": list(effects), "number": number}
        if do == "audit":
            return {"records": editor.audit.shown(asked["limit"])}
        if do == "recipient":
            known, words = editor.lists.recipient(asked["address"])
            return {"known": known, "words": words}
        if do.startswith("refused"):
            return self._refused.answer(caller, do, asked)
        return self._lookups.answer(caller, do, asked)

    def _preview(self, caller: Caller, asked: Answer) -> Answer:
        try:
            change = self._editor.request(caller, *asked.values())
        except MailgateError as error:
            return {"effects": [], "problem": str(error)}
        return {"effects": list(change.effects), "problem": change.problem}

    def _undo_preview(self, caller: Caller, number: int | None) -> Answer:
        try:
            record, change = self._editor.to_undo(caller, number)
        except MailgateError as error:
            return {"effects": [], "problem": str(error), "undoes": None}
        undoes = {key: record.get(key) for key in SHOWN_KEYS}
        return {"effects": list(change.effects), "problem": change.problem, "undoes": undoes}


def _refusal(text: str, *, temporary: bool = False) -> Answer:
    return {"ok": False, "error": text, "temporary": temporary}


def caller_of(uid: int, group: str = GROUP) -> Caller | None:
    """Return the user if they are root or a member of the group now, else None."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return Caller(0, "root") if uid == 0 else None
    if uid == 0:
        return Caller(uid, user.pw_name)
    try:
        members = grp.getgrnam(group)
    except KeyError:
        return None
    allowed = user.pw_name in (*members.gr_mem, peers.USER) or user.pw_gid == members.gr_gid
    return Caller(uid, user.pw_name) if allowed else None


class Server:
    """The socket, and a thread for each caller.

    Nothing that a caller does keeps the next one waiting: strangers and those for whom there is no place are
    refused without a thread. A caller who has fewer places than another takes one of those whose request has
    not arrived yet.
    """

    def __init__(
        self, path: str, answer: Callable[[Caller, bytes], Answer], known: Callable[[int], Caller | None]
    ) -> None:
        """Listen on the socket; raises OSError."""
        self._answer, self._known = answer, known
        self._counts: dict[int, int] = {}
        self._reading: list[tuple[int, socket.socket]] = []  # whose request has not arrived, oldest first
        self._lock = threading.Lock()
        self._farewells = Farewells()
        self._complaints = Complaints(time.monotonic, say)
        self.listener = listen(path, BACKLOG)

    def serve_one(self) -> None:
        """Accept one caller, if there is one within POLL_SECONDS."""
        self.listener.settimeout(POLL_SECONDS)
        try:
            connection, dummy = self.listener.accept()
        except OSError:
            return
        uid = peer_uid(connection)
        caller = self._known(uid)
        if caller is None:
            text = f"operator: user {uid} may not ask; expected root or a member of {GROUP}"
            self._complaints.add(f"user {uid} may not ask, and was refused")
            self._farewells.add(connection, _refusal(text))
        elif not self._has_place(uid, connection):
            self._farewells.add(connection, _refusal(TOO_MANY, temporary=True))
        else:
            threading.Thread(target=self._serve, args=(connection, uid, caller), daemon=True).start()

    def _has_place(self, uid: int, connection: socket.socket) -> bool:
        """Take a place for a caller, if need be one of somebody who has more; return whether there is one."""
        with self._lock:
            mine = self._counts.get(uid, 0)
            if (uid != 0 and mine >= CALLERS_OF_ONE_MAX) or (self._full(uid) and not self._dismiss_one(mine)):
                return False
            self._counts[uid] = mine + 1
            self._reading.append((uid, connection))
        return True

    def _full(self, uid: int) -> bool:
        everybody, root = sum(self._counts.values()), self._counts.get(0, 0)
        own = min(ROOT_PLACES, CALLERS_MAX // 2)  # of root
        if uid == 0:
            return everybody >= CALLERS_MAX and root >= own
        return everybody >= CALLERS_MAX - max(0, own - root)

    def _dismiss_one(self, mine: int) -> bool:
        """End the oldest request that has not arrived, of who has most places, if more than the caller."""
        users = {uid for uid, _connection in self._reading if self._counts.get(uid, 0) > mine + 1}
        if not users:
            return False
        most = max(users, key=lambda uid: self._counts[uid])
        place = next(place for place, (uid, _connection) in enumerate(self._reading) if uid == most)
        with contextlib.suppress(OSError):
            self._reading.pop(place)[1].shutdown(socket.SHUT_RD)  # its thread sees the end
        return True

    def _serve(self, connection: socket.socket, uid: int, caller: Caller) -> None:
        try:
            with connection:
                send_answer(connection, self._talk(connection, caller), PEER_SECONDS)
        finally:
            with self._lock:
                self._counts[uid] -= 1
                if not self._counts[uid]:
                    del self._counts[uid]

    def _talk(self, connection: socket.socket, caller: Caller) -> Answer:
        data, fault = b"", None
        try:
            data = receive_request(connection, PEER_SECONDS, REQUEST_BYTES_MAX)
        except BadInput as error:
            fault = _refusal(str(error))
        except OSError as error:
            fault = _refusal(f"request: {error}; try again", temporary=True)
        finally:
            with self._lock:
                before = len(self._reading)
                self._reading = [one for one in self._reading if one[1] is not connection]
                dismissed = len(self._reading) == before
        if dismissed:  # the fault, if there is one, is that its request was cut off here
            return _refusal(TOO_MANY, temporary=True)
        if fault is not None:
            return fault
        try:
            return self._answer(caller, data)
        except Exception as error:
            # No request may end the service; the log has the error.
            say(f"error of the service itself, at {data[:200]!r}: {error!r}")
            return _refusal(f"operator: error of the service itself, {type(error).__name__}; see its log")


def group_id(name: str = GROUP) -> int:
    """Return the group's number; raises BadInput when it does not exist."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise BadInput(f"group {name!r}: does not exist; expected what the base role makes") from error


class _SavedTrust:
    """Whether the clock is trusted, as it is remembered over restarts in a file."""

    def __init__(self, path: str) -> None:
        self._path = path
        saved: object = None
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
            saved = json.load(stream)
        self._trust = ClockTrust(time.time, since_boot, saved)
        self._before: bool | None = None
        self._written = float("-inf")

    def trusted(self) -> bool:
        now, trusted = time.monotonic(), self._trust.trusted()
        if trusted is not self._before or now - self._written >= SAVE_SECONDS:
            if trusted is not self._before and not (trusted and self._before is None):
                say(
                    "the clock is trusted"
                    if trusted
                    else "the clock jumped: nothing is removed until it is back, or a day"
                )
            self._before, self._written = trusted, now
            with contextlib.suppress(OSError), atomic_write(self._path, 0o600) as stream:
                stream.write(json.dumps(self._trust.to_json()).encode("ascii"))
        return trusted


def _sweep(editor: ListEditor) -> None:
    """Remove what has ended, for as long as the service runs; callers do not wait for it."""
    while True:
        time.sleep(POLL_SECONDS)
        try:
            editor.sweep()
        except Exception as error:
            say(f"error of the service itself, while it removes what has ended: {error!r}")


def serve(places: OperatorPaths, outside: ExternalPaths) -> int:
    """Run until SIGTERM; raises MailgateError and OSError when group, lock or socket are not available."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, dummy: told.append(number))
    gid = group_id()
    held = locks.acquire(os.path.join(places.state, "service.lock"), PEER_SECONDS)
    trust = _SavedTrust(os.path.join(places.state, CLOCK))
    editor = ListEditor(places, time.time, say, gid=gid, trusted=trust.trusted)
    editor.start()
    path = os.path.join(places.state, SOCKET)
    refused = Refused(editor, RefusedPaths(), time.time)
    lookups, peer_acts = Lookups(editor, outside, time.time), peers.PeerActs(editor, outside, time.time)
    server = Server(path, Verbs(editor, lookups, refused, peer_acts).answer, caller_of)
    os.chown(path, 0, gid)
    os.chmod(path, 0o660)
    say(f"listens at {path}, {editor.audit.number} acts so far")
    threading.Thread(target=_sweep, args=(editor,), name="sweep", daemon=True).start()
    with server.listener:
        while not told:
            server.serve_one()
    os.close(held)
    return 0
