# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of edits of the operators' lists, by the code that enforces them, with their effects."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from ..core import times
from ..core.errors import BadInput, MailgateError
from ..formats.networks import Network, contains, parse_network
from ..recipients import limits
from ..recipients.settings import extra_addresses
from ..recipients.store import Store
from ..recipients.update import without_export
from ..rules import compiled, fragments, safety
from ..rules import compiler as rules_compiler
from ..rules import senders as bad_senders
from ..rules.apply import load, load_senders
from . import consequences
from . import entries as operator_entries
from . import site_entries as operator_site
from .entries import BLOCKED, CLIENTS, RECIPIENTS, RELAY, SENDERS, TRUSTED, Entry
from .lists import Lists
from .places import Change, OperatorPaths

NOTHING = "at present this changes nothing"
SCORES = {TRUSTED: "never", BLOCKED: "always"}


class Judge:
    """Judges what an edit of a list does, or why it must not be made."""

    def __init__(self, places: OperatorPaths, lists: Lists, clock: Callable[[], float]) -> None:
        self._places, self._lists, self._clock = places, lists, clock

    def plan(self, name: str, value: str, wanted: Entry | None) -> Change:
        """Judge an edit: the value's entry becomes wanted, or is removed for None. Raises OSError."""
        path = self._places.file(name)
        try:
            old = self._lists.text(name)
            there = operator_entries.entries(name, old, path)
            before = next((one for one in there if one.value == value), None)
            empty = Change(name, value, old, old, before, wanted)
            stays = next((one for one in self._lists.site_entries(name) if one.value == value), None)
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
        own = self._lists.own_addresses() if name == CLIENTS else ()
        words[:0] = consequences.words(name, wanted, self._lists.site_domains(), own)
        if wanted is not None and wanted.note.until is not None:
            words.append(f"this ends at {times.utc(wanted.note.until)}")
        return dataclasses.replace(change, effects=tuple(words))

    def relay_judged(self, change: Change, *, is_root: bool) -> Change:
        """Return the edit, with a problem when this caller may not let such a network relay."""
        if change.name != RELAY or change.problem or change.after is None:
            return change
        there = operator_entries.entries(RELAY, change.old, self._places.file(RELAY))
        others = [one.value for one in there if one.value != change.value and "/" in one.value]
        fault = consequences.relay_fault(change.after, others, is_root=is_root)
        return dataclasses.replace(change, problem=fault)

    def _judge(self, change: Change) -> list[str]:
        """Return descriptions of the effects; raises BadInput with the reason why the edit is refused."""
        if change.name in (RELAY, CLIENTS):
            return self._judge_rules(change)
        if change.name == SENDERS:
            return self._judge_senders(change)
        return self._judge_recipients(change) if change.name == RECIPIENTS else self._judge_scored(change)

    def _judge_rules(self, change: Change) -> list[str]:
        paths, now, protected = self._places.rules, self._clock(), self._lists.protected()
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
            protected = ()  # already refused before this edit
        safety.assert_open(after.rules, protected)
        if change.after is not None:
            relay = self._lists.relay_networks()
            shut = set(safety.all_shut(after.rules, relay)) - set(safety.all_shut(before.rules, relay))
            for network in sorted(map(str, shut)):
                raise BadInput(
                    f"{change.value}: with the other entries it would refuse every host of the relay network "
                    f"{network!r}; expected one at least that may connect"
                )
        return rules_compiler.describe_changes((before.rules, tuple(before.adaptive)), after)

    def _judge_rule(
        self, change: Change, entry: Entry, made: compiled.Compiled, protected: Sequence[Network]
    ) -> None:
        path, value = self._places.file(change.name), change.value
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
            relay = [one.value for one in self._lists.entries(RELAY) if "/" in one.value]
            around = next((one for one in relay if contains(parse_network(one), parse_network(value))), "")
            if around:
                raise BadInput(f"{value}: relays by {around!r}, which this would end; expected none there")

    def _judge_senders(self, change: Change) -> list[str]:
        now = self._clock()
        before = load_senders(self._places.rules, now)
        after = load_senders(self._places.rules, now, own={bad_senders.OPERATOR: change.new})
        fault = after.states[bad_senders.OPERATOR].fault
        if fault:
            raise BadInput(fault)
        return bad_senders.describe_changes(frozenset(before.senders), after.senders)

    def _judge_scored(self, change: Change) -> list[str]:
        if not os.path.isdir(self._places.spamassassin):
            raise BadInput(f"directory {self._places.spamassassin}: missing; expected SpamAssassin's")
        other = BLOCKED if change.name == TRUSTED else TRUSTED
        path = self._places.file(other)
        if change.after is not None and any(
            one.value == change.value for one in operator_entries.entries(other, change.old, path)
        ):
            raise BadInput(f"{change.value}: has an entry in the list {other!r}; expected none there")
        whose = f"every sender {change.value}" if change.value.startswith("@") else f"sender {change.value}"
        how = SCORES[change.name]
        if change.before is None and change.after is not None:
            words = [f"mail of {whose} is {how} called spam"]
            if change.name == TRUSTED:
                words.append("the address is not verified: whoever uses it as sender passes, too")
            return words
        return [] if change.after is not None else [f"mail of {whose} is no longer {how} called spam"]

    def _judge_recipients(self, change: Change) -> list[str]:
        settings = self._lists.recipients_settings()
        domain = change.value.rpartition("@")[2]
        served = settings.domain_names
        if change.after is not None and domain not in served:
            expected = f"expected one of {', '.join(sorted(served))}"
            raise BadInput(f"{change.value}: {domain!r} is not served here; {expected}")
        store, path, now = Store(self._places.recipients), self._places.extra, self._clock()
        last = store.last()
        before, after = (
            without_export(dataclasses.replace(settings, extra=extra_addresses(text, path, now)), last)
            for text in (change.old, change.new)
        )
        moved = limits.difference(before.keys, after.keys)
        return [f"recipient {one} will be accepted" for one in moved.gained] + [
            f"recipient {one} will be refused" for one in moved.lost
        ]
