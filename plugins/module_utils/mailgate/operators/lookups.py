# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests and acts outside of the lists: blacklist, greylist, queue, and the doctor's findings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..blacklist import client as blacklist_command
from ..blacklist.clients import check_client
from ..core.errors import BadInput, TryAgain
from ..core.paths import (
    BLACKLIST_DIRECTORY,
    GREYLIST_DIRECTORY,
    GREYLIST_SETTINGS,
    MAILGATE_COMMAND,
    QMAIL_QUEUE,
    QMAILCTL,
)
from ..formats import greylist as operator_greylist
from ..formats import qmail_queue as operator_queue
from .list_editor import ListEditor
from .places import Caller

CHILD_SECONDS = 30.0
CHILD_BYTES_MAX = 4 << 20
JOURNEYS_MAX = 50
SEARCH_CHARACTERS_MIN = 2


@dataclass(frozen=True)
class ExternalPaths:
    """The paths of other services' data, and the commands to run."""

    blacklist: str = BLACKLIST_DIRECTORY
    greylist: str = GREYLIST_DIRECTORY
    greylist_settings: str = GREYLIST_SETTINGS
    queue: str = QMAIL_QUEUE
    doctor: tuple[str, ...] = (MAILGATE_COMMAND, "doctor", "--quick", "--json")
    flush: tuple[str, ...] = (QMAILCTL, "flush")
    trace: tuple[str, ...] = (MAILGATE_COMMAND, "trace", "--json", "--limit", str(JOURNEYS_MAX))


class Lookups:
    """The verbs that do not concern the lists."""

    def __init__(self, editor: ListEditor, outside: ExternalPaths, clock: Callable[[], float]) -> None:
        self._editor, self._outside, self._clock = editor, outside, clock

    def answer(self, caller: Caller, do: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of one verb; raises MailgateError and OSError."""
        if do == "blacklist":
            return self._blacklist()
        if do == "explain":
            address = check_client(asked["address"], "address")
            found = self._ask({"do": "explain", "address": address})
            return {"words": blacklist_command.describe(found, self._clock())}
        if do == "release":
            return {"effects": self._release(caller, asked["address"], asked["note"])}
        if do == "greylist":
            return self._greylist(asked["search"])
        if do == "pass":
            return {"effects": self._pass(caller, asked["address"], asked["note"])}
        if do == "queue":
            return self._queue(asked["search"])
        if do == "trace":
            return self._trace(asked["search"].strip())
        if do == "flush":
            return {"effects": self._editor.keep(caller, "flush", "", asked["note"], self._flush)}
        return {"doctor": self._doctor()}

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        """Return the answer of the blacklist; raises BadInput and TryAgain."""
        return blacklist_command.ask(self._outside.blacklist, request)

    def _blacklist(self) -> dict[str, Any]:
        found = self._ask({"do": "list"})
        names = ("address", "until", "by", "why")
        return {
            "entries": [{name: one[name] for name in names} for one in found["entries"]],
            "spared": found["spared"],
        }

    def _release(self, caller: Caller, text: str, note: str) -> list[str]:
        address = check_client(text, "address")

        def work() -> list[str]:
            released = self._ask({"do": "release", "address": address})["released"]
            if released:
                return [f"{address} is no longer refused by the blacklist; its counted attempts are deleted"]
            return [f"{address} was not refused by the blacklist; its counted attempts are deleted"]

        return self._editor.keep(caller, "release", address, note, work)

    def _greylist(self, search: str) -> dict[str, Any]:
        limits = operator_greylist.read_limits(self._outside.greylist_settings)
        found, more = operator_greylist.look_up(self._outside.greylist, search, limits, self._clock())
        return {
            "entries": [{"network": one.network, "since": one.since, "passed": one.passed} for one in found],
            "more": more,
        }

    def _pass(self, caller: Caller, address: str, note: str) -> list[str]:
        limits = operator_greylist.read_limits(self._outside.greylist_settings)
        network = operator_greylist.network_of(address, limits)

        def work() -> list[str]:
            if operator_greylist.let_pass(self._outside.greylist, network, self._clock()):
                return [f"{network} has passed the greylist: mail from there is no longer deferred"]
            return [f"{network} had passed the greylist already; its time is renewed"]

        return self._editor.keep(caller, "pass", network, note, work)

    def _queue(self, search: str) -> dict[str, Any]:
        found, more = operator_queue.read_queue(self._outside.queue, search)
        return {
            "messages": [
                {
                    "id": one.number,
                    "at": one.at,
                    "bytes": one.size,
                    "sender": one.sender,
                    "recipients": [
                        {"address": address, "channel": channel, "done": done}
                        for address, channel, done in one.recipients
                    ],
                }
                for one in found
            ],
            "more": more,
        }

    def _trace(self, search: str) -> dict[str, Any]:
        """Return the journeys of sessions and messages that the text is found in, newest first."""
        if len(search) < SEARCH_CHARACTERS_MIN:
            return {"journeys": [], "more": 0}
        if not search.isprintable():
            raise BadInput(f"search: {search!r:.60} is not printable; expected an address or other text")
        said = _run((*self._outside.trace, "--", search), statuses=(0, 1))
        try:
            found = json.loads(said)
            journeys = [journey_values(one) for one in reversed(found["journeys"])]
        except (ValueError, KeyError, TypeError) as error:
            raise TryAgain(f"{' '.join(self._outside.trace[:2])}: {error!r}; expected journeys") from error
        return {"journeys": journeys, "more": int(bool(found.get("more")))}

    def _flush(self) -> list[str]:
        _run(self._outside.flush, statuses=(0,))
        return ["every message in the queue is tried now"]

    def _doctor(self) -> object:
        said = _run(self._outside.doctor, statuses=(0, 1, 2, 3))
        try:
            found = json.loads(said)
            if isinstance(found, dict) and "findings" in found:
                return found
        except ValueError:
            pass
        raise TryAgain(f"{' '.join(self._outside.doctor[:2])}: its output has no findings; expected JSON")


def journey_values(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a journey of `mailgate trace --json` in the form that operators see."""
    session, message = one["session"] or {}, one["message"] or {}
    attempts = session.get("attempts") or []
    senders = [attempt["sender"] for attempt in attempts if attempt["sender"] is not None]
    recipients = [name for attempt in attempts for name in attempt["recipients"]]
    recipients += [delivery["recipient"] for delivery in message.get("deliveries") or []]
    steps = one["timeline"]
    return {
        "at": int(session.get("begun") or message.get("at") or (steps[0]["at"] if steps else 0)),
        "client": session.get("address") or "",
        "tls": session.get("tls") or "",
        "sender": senders[0] if senders else message.get("sender"),
        "recipients": list(dict.fromkeys(recipients)),
        "outcomes": [verdict["words"] for verdict in one["verdicts"]],
        "steps": [
            {"at": int(step["at"]), "program": step["program"], "words": step["words"]} for step in steps
        ],
        "notes": list(one["inferences"]),
    }


def _run(argv: Sequence[str], statuses: Sequence[int]) -> bytes:
    """Run a program and return its output; raises TryAgain for another status, or no end in time."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TryAgain(f"{argv[0]}: did not end within {CHILD_SECONDS:g} s; try again") from error
    if done.returncode not in statuses:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
        raise TryAgain(f"{argv[0]}: {lines[-1]}")
    return done.stdout[:CHILD_BYTES_MAX]
