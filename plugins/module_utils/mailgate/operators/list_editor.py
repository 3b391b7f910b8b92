# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of the operators' lists: judged, recorded in the audit log, written and activated.

An act edits the file in its present state, under the lock of its compiler. The order is: a line in the audit
log, the file, a second line. When the service is killed between two of these steps, the next start determines
which of them were done and records it in the audit log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core import servicelog
from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.files import atomic_write
from ..formats import notes
from ..rules.apply import compile_rules, compile_senders
from ..rules.files import locked
from . import entries as operator_entries
from .audit import DONE, FAILED, UNKNOWN, Audit, Record
from .deferred import DeferredCommand
from .entries import ACTIONS, BLOCKED, CLIENTS, LISTS, RECIPIENTS, RELAY, SENDERS, TRUSTED, Entry
from .judges import NOTHING, Judge
from .lists import Lists
from .places import Caller, Change, OperatorPaths, Renewed

LOCK_SECONDS = 15.0
RECIPIENTS_SECONDS = 10.0
LOOK_SECONDS = 60.0
REFUSED_SECONDS = 3600.0  # until an entry is tried again whose removal was refused
REVERSIBLE = ("add", "remove")
# Acts that nothing reverses, and why.
IRREVERSIBLE = {
    "release": "what the blacklist had counted is deleted",
    "pass": "the greylist knows the network now",
    "flush": "the deliveries were tried",
    "refused-release": "the message was queued",
    "refused-learn": "learn it as the other kind instead",
    "refused-forget": "the copy is deleted",
}
RELOAD_SECONDS = 10.0  # between two reloads of spamd, however many entries change


def _no_step(dummy: str) -> None:
    pass


class ListEditor:
    """The lists, and the acts on them; every change of a list goes through this class."""

    def __init__(
        self,
        places: OperatorPaths,
        clock: Callable[[], float],
        say: Callable[[str], None],
        *,
        gid: int = -1,
        step: Callable[[str], None] = _no_step,
        trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Restore the state; raises OSError.

        By a clock that is not trusted nothing is removed. Tests pass step, which is called with each step's
        name.
        """
        self.places, self._clock, self.say, self._step = places, clock, say, step
        self._trusted = trusted
        self.lists = Lists(places)
        self._judge = Judge(places, self.lists, clock)
        self._lock = threading.RLock()
        self.audit = Audit(places.audit, gid)
        self._later = {
            "spamd": DeferredCommand(
                "spamd", [*places.mailgate, "sa-update", "--reload"], places.state, say, RELOAD_SECONDS
            ),
            "recipients": DeferredCommand(
                "recipients", [*places.mailgate, "recipients", "refresh"], places.state, say
            ),
        }
        self._again: dict[
            tuple[str, str], float
        ] = {}  # expired entries that could not be removed: when to try
        self._next_look = float("-inf")
        for record in self.audit.settle(self._stage_of):
            self.say(f"act {record['number']} was interrupted: {record['stage']}")

    def start(self) -> None:
        """Activate what an earlier service may have left."""
        for later in self._later.values():
            later.start()
        if os.path.exists(self.places.extra):
            self._later["recipients"].want()
        for name in (CLIENTS, SENDERS):
            self._into_force(name)

    # Requests without effect

    def check(self, name: str, value: str, action: str) -> tuple[str, str]:
        """Return the value in canonical form, and why it cannot be added, or ''."""
        try:
            made = operator_entries.canonical(name, value)
        except BadInput as error:
            return value, str(error)
        change = self._judge.plan(name, made, self._wanted(name, made, action, notes.NONE))
        return made, self._judge.relay_judged(change, is_root=True).problem  # the end is given elsewhere

    def request(
        self, caller: Caller, act: str, name: str, value: str, action: str, note: str, seconds: int | None
    ) -> Change:
        """Return what an act would do; raises BadInput for an invalid request."""
        made = operator_entries.canonical(name, value)
        fault = operator_entries.note_fault(note)
        if fault:
            raise BadInput(fault)
        if act == "remove":
            return self._judge.plan(name, made, None)
        until = None if seconds is None else int(self._clock()) + seconds
        change = self._judge.plan(
            name, made, self._wanted(name, made, action, notes.Note(caller.name, note, until))
        )
        return self._judge.relay_judged(change, is_root=caller.uid == 0)

    def _wanted(self, name: str, value: str, action: str, note: notes.Note) -> Entry:
        if name == CLIENTS and action not in ACTIONS:
            raise BadInput(f"action: {action!r} is not an action; expected {' or '.join(map(repr, ACTIONS))}")
        if name != CLIENTS and action:
            raise BadInput(f"action: {action!r} has no meaning in the list {name!r}; expected none")
        return Entry(value, action, note)

    # Acts

    def act(
        self, caller: Caller, act: str, name: str, value: str, action: str, note: str, seconds: int | None
    ) -> tuple[int, tuple[str, ...]]:
        """Do an act; return its number and effects; raises MailgateError and OSError when it is not done."""
        return self._do(
            caller, act, name, note, lambda: self.request(caller, act, name, value, action, note, seconds)
        )

    def hear(
        self, author: Caller, name: str, value: str, wanted: Entry | None, note: str, host: str
    ) -> int | None:
        """Make an act of another gateway stand here: the value's entry is wanted, or none for None.

        Return its number, None if it stands already; raises MailgateError and OSError when it is not done.
        """
        there = self.lists.own_entry(name, value)
        if there is None if wanted is None else wanted.same(there):
            return None
        do = "remove" if wanted is None else "add"
        number, effects = self._do(
            author, do, name, note, lambda: self._judge.plan(name, value, wanted), peer=host
        )
        self.say(f"{author.name} did {number}: {'; '.join(effects)}")
        return number

    def to_undo(self, caller: Caller, number: int | None = None) -> tuple[Record, Change]:
        """Return the act of this number, or the caller's last one that stands, and its reversal.

        Raises BadInput; so it does when the caller's last act is one that nothing reverses.
        """
        undone = {one.get("undoes") for one in self.audit.done()}
        final: Record | None = None  # the caller's last act, when it cannot be undone
        for record in self.audit.done():
            if number is not None:
                if record["number"] == number:
                    self._refuse_to_undo(record, number in undone)
                    return record, self._reversal(record)
                continue
            if record["from"] != caller.uid or record["number"] in undone:
                continue
            if record["do"] in IRREVERSIBLE:
                final = final or record
            elif record["do"] in REVERSIBLE and self._stands(record):
                if final is not None:
                    raise BadInput(f"{_cannot(final)}; act {record['number']} can be, by its number")
                return record, self._reversal(record)
        if number is not None:
            raise BadInput(f"undo: act {number} is not known or was not done; expected one of the audit log")
        if final is not None:
            raise BadInput(_cannot(final))
        raise BadInput("undo: none of your acts is still in effect; expected one that is")

    def _refuse_to_undo(self, record: Record, is_undone: bool) -> None:
        if record["do"] in IRREVERSIBLE:
            raise BadInput(_cannot(record))
        if record["do"] not in REVERSIBLE:
            raise BadInput(
                f"undo: act {record['number']} is an {record['do']}; expected an act of an operator"
            )
        if is_undone or not self._stands(record):
            why = "was undone" if is_undone else "is no longer in effect: its entry changed since"
            raise BadInput(f"undo: act {record['number']} {why}; expected one that still stands")

    def _stands(self, record: Record) -> bool:
        after = _entry(record["after"])
        there = self.lists.own_entry(record["list"], record["value"])
        return there is None if after is None else after.same(there)

    def _reversal(self, record: Record) -> Change:
        before = _entry(record["before"])
        if before is not None and before.note.over(self._clock()):
            before = None
        return self._judge.plan(record["list"], record["value"], before)

    def undo(self, caller: Caller, number: int | None = None) -> tuple[int, tuple[str, ...]]:
        """Undo that act, or the caller's last one that is still in effect, as an act of its own."""
        record, dummy = self.to_undo(caller, number)
        chosen = record["number"]

        def make() -> Change:
            again, change = self.to_undo(caller, number)
            if again["number"] != chosen:
                raise TryAgain("undo: your last act is another one meanwhile; try again")
            return change

        return self._do(caller, "undo", record["list"], f"undoes {chosen}", make, undoes=chosen)

    def refused(self, caller: Caller, do: str, asked: Mapping[str, object], why: str) -> None:
        """Record an act that was refused in the audit log, or if it cannot be written in the service's."""
        about: Record = {
            "list": asked.get("list", ""),
            "value": asked.get("value", asked.get("address", asked.get("name", ""))),
            "action": asked.get("action", ""),
            "note": asked.get("note", ""),
            "until": None,
            "why": why,
        }
        try:
            with self._one_at_a_time():
                self.audit.refuse({**self._head(caller, do), **about})
        except (MailgateError, OSError) as error:
            self.say(f"{caller.name}: {do} {about['list']} {about['value']!r} was refused, {why}; {error}")

    def keep(
        self, caller: Caller, do: str, value: str, note: str, work: Callable[[], Sequence[str]]
    ) -> list[str]:
        """Do an act that changes no list, between its two lines in the audit log; return its effects."""
        fault = operator_entries.note_fault(note) if note else ""
        if fault:
            raise BadInput(fault)
        with self._one_at_a_time():
            about: Record = {"list": "", "value": value, "action": "", "note": note, "until": None}
            about["effects"] = [f"{do} {value}".strip()]
            number = self.audit.begin({**self._head(caller, do), **about})
            self._step("begun")
            try:
                effects = list(work())
            except (MailgateError, OSError) as error:
                self.audit.end(number, FAILED, str(error))
                raise
            self.audit.end(number)
            return effects

    def sweep(self) -> None:
        """Remove expired entries, because some programs that use the files ignore the expiry.

        What cannot be removed now, because the disk is full or a lock is held, is tried again.
        """
        now = self._clock()
        if not self._trusted():
            return
        if self._next_look - LOOK_SECONDS <= now < self._next_look:  # outside of it the clock was set
            return
        self._next_look = now + LOOK_SECONDS
        for name in LISTS:
            try:
                there = operator_entries.entries(name, self.lists.text(name), self.places.file(name))
            except (MailgateError, OSError):
                continue  # the compiler of the file reports it
            for one in there:
                if one.note.until is None or one.fixed:
                    continue
                again = self._again.get((name, one.value), now)
                if now < again <= now + REFUSED_SECONDS:
                    continue
                if one.note.over(now):
                    self._expire(name, one)
                else:
                    self._next_look = min(self._next_look, one.note.until)

    def _expire(self, name: str, ended: Entry) -> None:
        try:
            self._do(Caller(0, ""), "expire", name, ended.note.note, lambda: self._ended(name, ended.value))
        except Renewed:
            pass
        except (MailgateError, OSError) as error:
            refused = isinstance(error, BadInput)
            seconds = REFUSED_SECONDS if refused else LOOK_SECONDS
            again = "tried again in an hour" if refused else "tried again in a minute"
            self._again[name, ended.value] = self._clock() + seconds
            self.say(
                f"{name} {ended.value}: has ended, but cannot be removed from its file, {again}: {error}"
            )
            return
        self._again.pop((name, ended.value), None)

    def _ended(self, name: str, value: str) -> Change:
        there = self.lists.own_entry(name, value)
        if there is None or not there.note.over(self._clock()):
            raise Renewed(f"{value}: was renewed or removed")
        change = self._judge.plan(name, value, None)
        words = [one for one in change.effects if one != NOTHING]
        return dataclasses.replace(change, effects=(f"{value} has ended", *words))

    def _do(
        self, caller: Caller, do: str, name: str, note: str, make: Callable[[], Change], **more: object
    ) -> tuple[int, tuple[str, ...]]:
        """Make the change, write it and activate it; return its number and effects."""
        later, wish = self._later_of(name), 0
        with self._one_at_a_time():
            with locked(self.places.lock(name)):
                change = make()
                if change.problem:
                    raise BadInput(change.problem)
                self.audit.settle(self._stage_of)
                if later is not None:
                    later.mark()
                try:
                    number = self._written(self._record(caller, do, change, note, more), change)
                finally:
                    if later is not None:
                        wish = later.want(marked=True)
            self._next_look = float("-inf")
            problem = self._into_force(name)
        if later is not None and name == RECIPIENTS:
            problem = later.wait(wish, RECIPIENTS_SECONDS)
        return number, (*change.effects, *([f"not in force yet: {problem}"] if problem else []))

    def _record(
        self, caller: Caller, do: str, change: Change, note: str, more: Mapping[str, object]
    ) -> Record:
        after = change.after
        return {
            **self._head(caller, do),
            "list": change.name,
            "value": change.value,
            "action": (after or change.before or Entry("")).action,
            "note": note,
            "until": after.note.until if after else None,
            "effects": list(change.effects),
            "before": change.before.values() if change.before else None,
            "after": after.values() if after else None,
            **more,
        }

    def _written(self, record: Record, change: Change) -> int:
        number = self.audit.begin(record)
        self._step("begun")
        try:
            self._write(change)
        except (MailgateError, OSError) as error:
            self.audit.end(number, FAILED, str(error))
            raise
        self._step("written")
        self.audit.end(number)
        self._step("done")
        return number

    def _head(self, caller: Caller, do: str) -> Record:
        return {"at": int(self._clock()), "by": caller.name, "from": caller.uid, "do": do}

    def _write(self, change: Change) -> None:
        path = self.places.file(change.name)
        if self.lists.text(change.name) != change.old:
            raise TryAgain(f"file {path}: somebody changed it just now; try again")
        with atomic_write(path, 0o644) as stream:
            stream.write(change.new.encode("utf-8", "surrogateescape"))

    def _into_force(self, name: str) -> str:
        """Compile at once; return the error, or ''. After an error the service rules compiles."""
        now = self._clock()
        try:
            if name in (RELAY, CLIENTS):
                compile_rules(self.places.rules, now, by_hand=False)
            elif name == SENDERS:
                compile_senders(self.places.rules, now)
        except (MailgateError, OSError) as error:
            return str(error)
        return ""

    def _later_of(self, name: str) -> DeferredCommand | None:
        return self._later.get({TRUSTED: "spamd", BLOCKED: "spamd", RECIPIENTS: "recipients"}.get(name, ""))

    def _stage_of(self, record: Record) -> str:
        """Return the stage of an interrupted act, by the present entries."""
        if "after" not in record:
            return UNKNOWN
        try:
            there = self.lists.own_entry(record["list"], record["value"])
        except (MailgateError, OSError, KeyError):
            return UNKNOWN
        after = _entry(record["after"])
        return DONE if (there is None if after is None else after.same(there)) else FAILED

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=LOCK_SECONDS):
            raise TryAgain("operator: other acts take too long; try again")
        try:
            yield
        finally:
            self._lock.release()


def _cannot(record: Record) -> str:
    what = f"{record['do']} {record['value']}".strip()
    return f"undo: act {record['number']}, {what}, cannot be undone: {IRREVERSIBLE[record['do']]}"


def _entry(values: Mapping[str, object] | None) -> Entry | None:
    if values is None:
        return None
    until = values.get("until")
    note = notes.Note(str(values["by"]), str(values["note"]), until if isinstance(until, int) else None)
    return Entry(str(values["value"]), str(values["action"]), note)


def say(text: str) -> None:
    """Write one line to the service's log."""
    servicelog.say("operator", text)
