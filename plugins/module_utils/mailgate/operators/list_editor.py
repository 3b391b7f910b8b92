# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator does to the lists: judged by what enforces them, written, kept in the audit log, in force.

An act is an edit of the file as it stands at that moment, under the lock of its compiler. The order is: a
line in the audit log, the file, a second line. Whatever kills the service between two of these, the next
start finds out which of them happened and says so in the log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core import servicelog, times
from ..core.errors import BadInput, MailgateError
from ..core.files import atomic_write
from ..formats import notes, tcprules
from ..formats.cdb import Reader
from ..formats.networks import contains, parse_network, parse_networks
from ..recipients import keys as recipients
from ..recipients import limits
from ..recipients.process import read_settings
from ..recipients.settings import Settings, extra_addresses
from ..recipients.store import Store
from ..recipients.update import without_export
from ..rules import compiled, fragments, safety
from ..rules import compiler as rules_compiler
from ..rules import senders as bad_senders
from ..rules.apply import compile_rules, compile_senders, load, load_senders
from ..rules.files import locked, read_owned, read_text
from . import entries as operator_entries
from . import site_entries as operator_site
from .audit import DONE, FAILED, UNKNOWN, Audit, Record
from .deferred import DeferredCommand
from .entries import ACTIONS, BLOCKED, CLIENTS, LISTS, OPERATOR, RECIPIENTS, RELAY, SENDERS, TRUSTED, Entry
from .judges import NOTHING, SCORES
from .places import BY_HAND, Caller, Change, OperatorPaths, Renewed, TryAgain

LOCK_SECONDS = 15.0
RECIPIENTS_SECONDS = 10.0
LOOK_SECONDS = 60.0


def _no_step(dummy: str) -> None:
    pass


class ListEditor:
    """The lists, and who may change what in them; all that changes something goes through it."""

    def __init__(
        self,
        places: OperatorPaths,
        clock: Callable[[], float],
        say: Callable[[str], None],
        *,
        gid: int = -1,
        step: Callable[[str], None] = _no_step,
    ) -> None:
        """Takes up what was left; raises OSError. step hears of each step of an act, for the tests."""
        self.places, self._clock, self.say, self._step = places, clock, say, step
        self._lock = threading.RLock()
        self.audit = Audit(places.audit, gid)
        self._later = {
            "spamd": DeferredCommand("spamd", [*places.mailgate, "sa-update", "--reload"], places.state, say),
            "recipients": DeferredCommand(
                "recipients", [*places.mailgate, "recipients", "refresh"], places.state, say
            ),
        }
        self._kept: set[tuple[str, str]] = set()  # entries that ended and cannot go
        self._next_look = float("-inf")
        for record in self.audit.settle(self._stage_of):
            self.say(f"act {record['number']} was interrupted: {record['stage']}")

    def start(self) -> None:
        """Puts into force what an earlier service may have left."""
        for later in self._later.values():
            later.start()
        if os.path.exists(self.places.extra):
            self._later["recipients"].want()
        for name in (CLIENTS, SENDERS):
            self._into_force(name)

    # Questions.

    def entries(self, name: str) -> list[Entry]:
        """The site's entries of a list, and the operators'; raises BadInput and OSError."""
        own = operator_entries.entries(name, self._text(name), self.places.file(name))
        return [*self._site_entries(name), *own]

    def check(self, name: str, value: str, action: str) -> tuple[str, str]:
        """The value in canonical form, and what keeps it from being added, or ''."""
        try:
            made = operator_entries.canonical(name, value)
        except BadInput as error:
            return value, str(error)
        return made, self.plan(name, made, self._wanted(name, made, action, notes.NONE)).problem

    def request(
        self, caller: Caller, act: str, name: str, value: str, action: str, note: str, seconds: int | None
    ) -> Change:
        """What an act would do; raises BadInput for what is no act at all."""
        made = operator_entries.canonical(name, value)
        fault = operator_entries.note_fault(note)
        if fault:
            raise BadInput(fault)
        if act == "remove":
            return self.plan(name, made, None)
        until = None if seconds is None else int(self._clock()) + seconds
        return self.plan(name, made, self._wanted(name, made, action, notes.Note(caller.name, note, until)))

    def _wanted(self, name: str, value: str, action: str, note: notes.Note) -> Entry:
        if name == CLIENTS and action not in ACTIONS:
            raise BadInput(f"action: {action!r} is none; expected {' or '.join(map(repr, ACTIONS))}")
        if name != CLIENTS and action:
            raise BadInput(f"action: {action!r} has no meaning in the list {name!r}; expected none")
        return Entry(value, action, note)

    # Acts.

    def act(
        self, caller: Caller, act: str, name: str, value: str, action: str, note: str, seconds: int | None
    ) -> tuple[int, tuple[str, ...]]:
        """Number and effects of an act that is done; raises MailgateError and OSError when it is not."""
        return self._do(
            caller, act, name, note, lambda: self.request(caller, act, name, value, action, note, seconds)
        )

    def to_undo(self, caller: Caller) -> tuple[Record, Change]:
        """The caller's last act that stands, and what takes it back; raises BadInput when there is none."""
        undone = {one.get("undoes") for one in self.audit.done()}
        for record in self.audit.done():
            if (
                record["from"] != caller.uid
                or record["do"] not in ("add", "remove")
                or record["number"] in undone
            ):
                continue
            after, before = _entry(record["after"]), _entry(record["before"])
            there = self._there(record["list"], record["value"])
            if not (there is None if after is None else after.same(there)):
                continue
            if before is not None and before.note.over(self._clock()):
                before = None
            return record, self.plan(record["list"], record["value"], before)
        raise BadInput("undo: nothing that you did stands any more; expected an act of yours that does")

    def undo(self, caller: Caller) -> tuple[int, tuple[str, ...]]:
        """Takes back the caller's last act that stands, as an act of its own."""
        record, dummy = self.to_undo(caller)
        number = record["number"]

        def make() -> Change:
            again, change = self.to_undo(caller)
            if again["number"] != number:
                raise TryAgain("undo: somebody did something else just now; try again")
            return change

        return self._do(caller, "undo", record["list"], f"undoes {number}", make, undoes=number)

    def keep(
        self, caller: Caller, do: str, value: str, note: str, work: Callable[[], Sequence[str]]
    ) -> list[str]:
        """Does something that changes no list, between its two lines in the audit log; its effects."""
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
        """Removes entries that have ended, so that what knows no time hears of it."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for name in LISTS:
            try:
                there = operator_entries.entries(name, self._text(name), self.places.file(name))
            except (MailgateError, OSError):
                continue  # a person is told by whoever compiles it
            for one in there:
                if one.note.until is None or one.fixed or (name, one.value) in self._kept:
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
            self._kept.add((name, ended.value))
            self.say(f"{name} {ended.value}: has ended, but stays in its file: {error}")

    def _ended(self, name: str, value: str) -> Change:
        there = self._there(name, value)
        if there is None or not there.note.over(self._clock()):
            raise Renewed(f"{value}: was renewed or removed")
        change = self.plan(name, value, None)
        words = [one for one in change.effects if one != NOTHING]
        return dataclasses.replace(change, effects=(f"{value} has ended", *words))

    def _do(
        self, caller: Caller, do: str, name: str, note: str, make: Callable[[], Change], **more: object
    ) -> tuple[int, tuple[str, ...]]:
        """Makes the change, writes it and puts it into force; its number and effects."""
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
        if self._text(change.name) != change.old:
            raise TryAgain(f"file {path}: somebody changed it just now; try again")
        with atomic_write(path, 0o644) as stream:
            stream.write(change.new.encode("utf-8", "surrogateescape"))

    def _into_force(self, name: str) -> str:
        """Compiles at once; why that did not go well, or ''. The service rules will do it then."""
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
        """What became of an act that was interrupted, by what is there now."""
        if "after" not in record:
            return UNKNOWN
        try:
            there = self._there(record["list"], record["value"])
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

    # What is there.

    def _text(self, name: str) -> str:
        text, fault = read_owned(self.places.file(name), "root")
        if fault:
            raise BadInput(fault)
        return text or ""

    def _there(self, name: str, value: str) -> Entry | None:
        found = operator_entries.entries(name, self._text(name), self.places.file(name))
        return next((one for one in found if one.value == value and not one.fixed), None)

    def protected(self) -> tuple[str, ...]:
        """The networks of operator.json, which the site protects from operators; raises BadInput, OSError."""
        try:
            with open(self.places.settings, encoding="utf-8") as stream:
                networks = json.load(stream)["protected_networks"]
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"file {self.places.settings}: {error!r}; expected an object with 'protected_networks'"
            ) from error
        return tuple(str(one) for one in parse_networks(networks, f"file {self.places.settings}: network", 1))

    def _site_entries(self, name: str) -> list[Entry]:
        directory = self.places.rules.directory
        if name in (RELAY, CLIENTS):
            path = os.path.join(directory, fragments.SITE)
            site = tcprules.parse(read_text(path) or "", path)
            return operator_site.rules_entries(name, site, fragments.site_facts(site), self.protected())
        if name == SENDERS:
            path = os.path.join(self.places.rules.senders_directory, bad_senders.SITE)
            return operator_site.senders_entries(read_text(path) or "", path)
        if name == RECIPIENTS:
            settings = self._recipients()
            return operator_site.recipient_entries(settings.domains, settings.hostname)
        paths = {one: os.path.join(self.places.spamassassin, one) for one in BY_HAND}
        texts = {path: read_text(path) or "" for path in paths.values()}
        return operator_site.scored_entries(name, texts)

    def _recipients(self) -> Settings:
        return read_settings(self.places.recipients_settings)

    # The judges.

    def plan(self, name: str, value: str, wanted: Entry | None) -> Change:
        """An edit of one list, judged: with an entry for the value, or with None. Raises OSError."""
        path = self.places.file(name)
        try:
            old = self._text(name)
            there = operator_entries.entries(name, old, path)
            before = next((one for one in there if one.value == value), None)
            empty = Change(name, value, old, old, before, wanted)
            stays = next((one for one in self._site_entries(name) if one.value == value), None)
            fixed = before.fixed if before and before.fixed else stays.fixed if stays and not before else ""
            if fixed:
                return dataclasses.replace(empty, problem=f"{value}: {fixed}")
            if wanted is None and before is None:
                return dataclasses.replace(empty, problem=f"{value}: has no entry in the list {name!r}")
            change = dataclasses.replace(empty, new=operator_entries.edit(name, old, path, value, wanted))
            effects = self._judge(change)
        except MailgateError as error:
            return Change(name, value, "", "", None, wanted, problem=str(error))
        words = [*effects, *(operator_site.clients_notice(name, wanted.action) if wanted else [])]
        if not effects:
            words.insert(0, NOTHING)
        if wanted is not None and wanted.note.until is not None:
            words.append(f"this ends at {times.when(wanted.note.until)}")
        return dataclasses.replace(change, effects=tuple(words))

    def _judge(self, change: Change) -> list[str]:
        """The effects in words; raises BadInput with why it must not be."""
        if change.name in (RELAY, CLIENTS):
            return self._judge_rules(change)
        if change.name == SENDERS:
            return self._judge_senders(change)
        return self._judge_recipients(change) if change.name == RECIPIENTS else self._judge_scored(change)

    def _judge_rules(self, change: Change) -> list[str]:
        paths, now, protected = self.places.rules, self._clock(), self.protected()
        before = load(paths, now)
        after = load(paths, now, own={fragments.OPERATOR: change.new})
        fault = after.states[fragments.OPERATOR].fault
        if fault:
            raise BadInput(fault)
        if change.after is not None:
            self._judge_rule(change, change.after, after, protected)
        try:
            safety.assert_open(before.rules, protected)
        except safety.Unsafe:
            protected = ()  # it is so already, and this edit is not to blame
        safety.assert_open(after.rules, protected)
        return rules_compiler.describe_changes((before.rules, tuple(before.adaptive)), after)

    def _judge_rule(
        self, change: Change, entry: Entry, made: compiled.Compiled, protected: Sequence[str]
    ) -> None:
        path, value = self.places.file(change.name), change.value
        found = operator_entries.entries(change.name, change.new, path)
        line = next(one.line for one in found if one.value == value and not one.fixed)
        where = f"{path} line {line}"
        dropped = next((one for one in made.dropped if one.where == where), None)
        if dropped is not None:
            raise BadInput(f"{value}: {dropped.reason}")
        rule = next((one for one in made.rules.rules if one.where == where), None)
        if rule is not None:
            other = made.rules.index[rule.keys[0]]
            if not any(made.rules.index[key] is rule for key in rule.keys):
                raise BadInput(f"{value}: has no effect, {other.where} comes first: {other.text!r}")
        if change.name == CLIENTS and entry.action == "deny":
            other_network = operator_entries.overlapping(value, protected)
            if other_network:
                raise BadInput(f"{value}: {other_network!r} is protected here; expected a network without it")
        if change.name == CLIENTS and entry.action == "allow":
            relay = [one.value for one in self.entries(RELAY) if "/" in one.value]
            around = next((one for one in relay if contains(parse_network(one), parse_network(value))), "")
            if around:
                raise BadInput(f"{value}: relays by {around!r}, which this would end; expected none there")

    def _judge_senders(self, change: Change) -> list[str]:
        now = self._clock()
        before = load_senders(self.places.rules, now)
        after = load_senders(self.places.rules, now, own={bad_senders.OPERATOR: change.new})
        fault = after.versions[bad_senders.OPERATOR][1]
        if fault:
            raise BadInput(fault)
        return bad_senders.describe_changes(frozenset(before.senders), after.senders)

    def _judge_scored(self, change: Change) -> list[str]:
        if not os.path.isdir(self.places.spamassassin):
            raise BadInput(f"directory {self.places.spamassassin}: missing; expected SpamAssassin's")
        other = BLOCKED if change.name == TRUSTED else TRUSTED
        path = self.places.file(other)
        if change.after is not None and any(
            one.value == change.value for one in operator_entries.entries(other, change.old, path)
        ):
            raise BadInput(f"{change.value}: has an entry in the list {other!r}; expected none there")
        whose = f"every sender {change.value}" if change.value.startswith("@") else f"sender {change.value}"
        how = SCORES[change.name]
        if change.before is None and change.after is not None:
            words = [f"mail of {whose} is {how} called spam"]
            if change.name == TRUSTED:
                words.append("the sender's own word is taken for it: whoever writes that address passes, too")
            return words
        return [] if change.after is not None else [f"mail of {whose} is no longer {how} called spam"]

    def _judge_recipients(self, change: Change) -> list[str]:
        settings = self._recipients()
        domain = change.value.rpartition("@")[2]
        served = settings.domain_names
        if change.after is not None and domain not in served:
            expected = f"expected one of {', '.join(sorted(served))}"
            raise BadInput(f"{change.value}: {domain!r} is not served here; {expected}")
        store, path, now = Store(self.places.recipients), self.places.extra, self._clock()
        last = store.last()
        before, after = (
            without_export(dataclasses.replace(settings, extra=extra_addresses(text, path, now)), last)
            for text in (change.old, change.new)
        )
        moved = limits.difference(before.keys, after.keys)
        return [f"recipient {one} will be accepted" for one in moved.gained] + [
            f"recipient {one} will be refused" for one in moved.lost
        ]

    def recipient(self, address: str) -> tuple[bool, list[str]]:
        """Whether an address is a recipient now, and why, in words; raises MailgateError and OSError."""
        value = operator_entries.canonical(RECIPIENTS, address)
        store = Store(self.places.recipients)
        data = store.served()
        if data is None:
            raise TryAgain(f"{store.served_path}: missing, every recipient gets 451; expected a list")
        reader = Reader(data, store.served_path)
        tries = recipients.looked_up(value)
        key = next((one for one in tries if reader.get(one.encode("ascii")) is not None), "")
        if not key:
            return False, [f"{value}: refused, not in the list"]
        words = [f"{value}: accepted, by {key}"]
        last, own = store.last(), self._there(RECIPIENTS, key)
        if last is not None and key in last.recipients.exported:
            words.append(f"{key}: the directory has it")
        if any(one.value == key for one in self._site_entries(RECIPIENTS)):
            words.append(f"{key}: the site file has it")
        if own is not None:
            until = f", until {times.when(own.note.until)}" if own.note.until is not None else ""
            words.append(f"{key}: added by {own.note.by or OPERATOR}: {own.note.note}{until}")
        return True, words


def _entry(values: Mapping[str, object] | None) -> Entry | None:
    if values is None:
        return None
    until = values.get("until")
    note = notes.Note(str(values["by"]), str(values["note"]), until if isinstance(until, int) else None)
    return Entry(str(values["value"]), str(values["action"]), note)


def say(text: str) -> None:
    """One line for the service's log."""
    servicelog.say("operator", text)
