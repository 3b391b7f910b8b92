# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateways of a fleet in memory: engines as dictionaries, writers that edit the text of the real lists."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import MailgateError
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet import facts, stream
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.engine import EngineFault
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.facts import Act, Grey
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.feed import Feed, GreyFeed, Texts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.links import (
    Heard,
    Publisher,
    Reader,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.member import (
    OWN,
    Member,
    own_step,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.state_file import (
    Saved,
    lines,
    parse,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.fleet.status import Parts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import notes, tai64n
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats.multilog import (
    Follower,
    Position,
)
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators import entries
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.operators.entries import Entry

AT = 1_795_000_000


class MemoryEngine:
    """An engine that holds streams and values; several links may share it. down: it does not answer."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.down = clock, False
        self.streams: dict[str, list[stream.Entry]] = {}
        self.values: dict[str, bytes] = {}
        self._ids = itertools.count(1)

    def _ready(self) -> None:
        if self.down:
            raise EngineFault("engine memory: does not answer")

    def now(self) -> float:
        self._ready()
        return self.clock()

    def get(self, key: str) -> bytes | None:
        self._ready()
        return self.values.get(key)

    def read(self, key: str, after: str, wait_seconds: float) -> Sequence[stream.Entry]:
        self._ready()
        place = int(after.partition("-")[0])
        found = [one for one in self.streams.get(key, []) if int(one[0].partition("-")[0]) > place]
        return found[:5]

    def last(self, key: str) -> stream.Entry | None:
        self._ready()
        return self.streams[key][-1] if self.streams.get(key) else None

    def append(self, key: str, fields: Mapping[bytes, bytes], most: int) -> None:
        self._ready()
        there = self.streams.setdefault(key, [])
        there.append((f"{next(self._ids)}-0", dict(fields)))
        if most:
            del there[:-most]

    def put(self, key: str, value: bytes) -> None:
        self._ready()
        self.values[key] = value

    def drop(self, key: str, after_seconds: int) -> None:
        self._ready()
        if not after_seconds:
            self.streams.pop(key, None)

    def close(self) -> None:
        pass

    def lose_everything(self) -> None:
        self.streams.clear()
        self.values.clear()


class Clock:
    """A clock that a test sets; it may be wrong by some seconds."""

    def __init__(self, wrong_seconds: float = 0) -> None:
        self.now, self.wrong_seconds = float(AT), wrong_seconds

    def __call__(self) -> float:
        return self.now + self.wrong_seconds


class Lines:
    """A log that a test writes; it stands for a Follower."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._offset = 0

    @property
    def position(self) -> Position:
        return Position(1, "", self._offset, "")

    def go_on(self, position: Position | None) -> None:
        """Read from a position on, or the whole log."""
        self._offset = 0 if position is None else position.offset

    def read(self) -> list[str]:
        found, self._offset = self.lines[self._offset :], len(self.lines)
        return found


class HostFiles:
    """The operators' lists as text, the adaptive entries, and the greylist; also the fleet's writers."""

    def __init__(self, protected: frozenset[str]) -> None:
        self.texts = {entries.CLIENTS: "", entries.SENDERS: "", entries.TRUSTED: ""}
        self.adaptive: dict[str, int] = {}
        self.networks: dict[str, Grey] = {}
        self.losers: list[tuple[Act, Act]] = []
        self.protected = protected
        self.missing: set[str] = set()  # lists without a file

    def lists(self) -> Texts:
        scores = self.texts[entries.TRUSTED]
        every = {**self.texts, entries.BLOCKED: scores}
        return {name: (None if name in self.missing else text, name) for name, text in every.items()}

    def lose(self, name: str) -> None:
        self.texts[name] = ""
        self.missing.add(name)

    def edit(self, kind: str, value: str, action: str, by: str, note: str, until: int | None = None) -> None:
        """Make or remove an operator's entry, as the service operator does."""
        for (one, made), (name, word) in facts.LIST_OF.items():
            if one != kind:
                continue
            text = self.texts[entries.TRUSTED if kind == facts.SCORE else name]
            there = any(found.value == value for found in entries.entries(name, text, name))
            wanted = Entry(value, word, notes.Note(by, note, until)) if made == action else None
            if there or wanted:
                if wanted is None and kind == facts.CLIENT and action != facts.REMOVE:
                    continue  # the other action of the same list takes its place
                text = entries.edit(name, text, name, value, wanted)
            self.texts[entries.TRUSTED if kind == facts.SCORE else name] = text
            if text:
                self.missing.discard(name)

    # The fleet's writers

    def act(self, act: Act) -> str:
        if act.value in self.protected:
            return "it is protected here"
        if act.kind == facts.ADAPTIVE:
            self.adaptive.pop(act.value, None)
            if not act.gone:
                self.adaptive[act.value] = act.until or 0
        else:
            self.edit(act.kind, act.value, act.action, act.by, act.note, act.until)
        return ""

    def lost(self, loser: Act, winner: Act) -> None:
        self.losers.append((loser, winner))

    def greys(self, greys: Sequence[Grey]) -> int:
        for one in greys:
            known = self.networks.get(one.network)
            self.networks[one.network] = one if known is None else facts.join(known, one)
        return 0

    def greylist(self) -> Iterator[Sequence[Grey]]:
        yield list(self.networks.values())


class Host:
    """A gateway: its files, its engine, its fleet, and readers of its peers' engines."""

    def __init__(self, name: str, wrong_seconds: float = 0, protected: frozenset[str] = frozenset()) -> None:
        self.name, self.clock = name, Clock(wrong_seconds)
        self.files, self.engine = HostFiles(protected), MemoryEngine(self.clock)
        self.smtp, self.blacklist = Lines(), Lines()
        self.said: list[str] = []
        self.peers: list[Host] = []
        self.cut: set[str] = set()  # peers whose engines are not reached
        self._epochs = (f"{number:016x}" for number in itertools.count(1))
        self.saved: list[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Begin, or go on from what was saved."""
        saved: Saved | None = parse(self.saved, "state") if self.saved else None
        self.smtp.go_on(saved.logs["smtp"] if saved else None)
        self.blacklist.go_on(saved.logs["adaptive"] if saved else None)
        view = saved.view if saved else None
        smtp, blacklist = cast(Follower, self.smtp), cast(Follower, self.blacklist)
        feed = Feed(self.name, smtp, blacklist, self.files.lists, GreyFeed(86_400), view)
        parts = Parts([OWN, *(one.name for one in self.peers)], self.clock)
        self.fleet = Member(self.name, feed, self.files, saved, parts, self.said.append, self.clock)
        if saved is None:
            self.fleet.outgoing.epoch = next(self._epochs)
        self.publisher = Publisher(
            self.name, self.engine, self.fleet.outgoing, self.fleet.outbox, self.fleet.everything,
            lambda: next(self._epochs),
        )  # fmt: skip
        recovery = Reader(self.name, self.engine, self.fleet.told(), self._hear, self.clock)
        self.publish = own_step(self.fleet, recovery, self.publisher)
        self.readers = {
            one.name: Reader(one.name, one.engine, self.fleet.positions.get(one.name), self._hear, self.clock)
            for one in self.peers
        }
        self.save()  # as the service does, for the counters

    def _hear(self, heard: Heard) -> None:
        self.fleet.hear(heard)

    def meet(self, *peers: Host) -> None:
        self.peers = list(peers)
        self.save()
        self.start()

    def save(self) -> None:
        self.saved = list(lines(self.fleet.saved()))

    def happens(self, log: Lines, text: str) -> None:
        """Write a line to a log, with this host's time."""
        log.lines.append(f"{tai64n.render(int(self.clock() * 1e9))} {text}")

    def turn(self) -> None:
        """Let each part do a step, as its thread would."""
        self.fleet.step()
        for one in (self.publish, *(self._reading(name) for name in self.readers)):
            with contextlib.suppress(MailgateError):
                one()
        self.fleet.step()

    def _reading(self, name: str):  # type: ignore[no-untyped-def]
        def step() -> None:
            if name in self.cut:
                self.fleet.left(name)
                self.readers[name]._checked, self.readers[name]._taking = False, None
                raise EngineFault("cut off")
            self.readers[name].step()

        return step

    def state(self) -> object:
        """Return what must be the same on every host."""
        there = sorted(self.files.adaptive.items())
        acts = sorted(facts.render(one) for one in self.fleet.acts)
        return there, sorted(self.files.networks.items()), acts, self._lists()

    def _lists(self) -> object:
        found = {}
        for (kind, action), (name, word) in facts.LIST_OF.items():
            text = self.files.texts[entries.TRUSTED if kind == facts.SCORE else name]
            for one in entries.entries(name, text, name):
                if one.action == word:
                    found[kind, one.value] = (action, one.note.note, one.note.until)
        return found


def site(*hosts: Host) -> None:
    """Make the hosts peers of each other."""
    for one in hosts:
        one.meet(*(other for other in hosts if other is not one))


def settle(*hosts: Host, turns: int = 40) -> None:
    """Let all hosts run until nothing happens any more."""
    for _number in range(turns):
        for one in hosts:
            one.turn()
