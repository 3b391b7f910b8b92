# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two ends of the streams: append what happened here to the own engine, and read the peers' engines.

Each of them runs in a thread of its own, step by step, so that an engine that is dead, slow or sends garbage
delays nothing else. A step raises TryAgain or BadInput; service.Worker says so, waits, and goes on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput, MailgateError
from . import stream
from .engine import Engine
from .facts import Fact
from .stream import BEGIN, SNAPSHOT, STREAM, Batch, Head, Outgoing, Position

OUTBOX_MAX = 20_000  # facts that wait for the own engine; when there are more, a snapshot takes their place
SNAPSHOT_AT_ONCE = 20  # batches of a snapshot between two looks at the outbox
OLD_SNAPSHOT_SECONDS = 3600  # a peer that reads it has so long
WAIT_SECONDS = 1.0
CLOCK_SECONDS = 60.0  # between two comparisons of clocks
PAUSE_SECONDS = 3.0
LOOK_SECONDS = 1.0  # between two looks whether the own engine still has what was told
RETAKE_SECONDS = 3600.0  # so long a host without a state takes each new snapshot of a peer


class Outbox:
    """Facts of this host that the own engine does not have yet; bounded."""

    def __init__(self, most: int = OUTBOX_MAX) -> None:
        self._most = most
        self._facts: deque[Fact] = deque()
        self._lost = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, found: Sequence[Fact]) -> None:
        """Add facts; if there are too many, all are given up for a snapshot."""
        with self._changed:
            self._facts.extend(found)
            if len(self._facts) > self._most:
                self._facts.clear()
                self._lost = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until there are facts, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._facts or self._lost, seconds)

    def first(self) -> tuple[Fact, ...]:
        """Return the facts of the next batch, which stay until done() is called."""
        with self._changed:
            group = [one for one, _number in zip(self._facts, range(stream.BATCH_FACTS_MAX))]
        return next(stream.batches(group), ())

    def done(self, found: Sequence[Fact]) -> None:
        """Remove the facts of the batch that was published."""
        with self._changed:
            for one in found:
                if not self._facts or self._facts[0] is not one:
                    return  # given up meanwhile
                self._facts.popleft()

    def take_lost(self) -> bool:
        """Return whether facts were given up since the last call."""
        with self._changed:
            lost, self._lost = self._lost, False
            return lost


class Publisher:
    """Appends the outbox to the own engine, and writes snapshots."""

    def __init__(
        self,
        host: str,
        engine: Engine,
        outgoing: Outgoing,
        outbox: Outbox,
        everything: Callable[[], Iterator[Sequence[Fact]]],
        fresh: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take everything(), which yields all facts for a snapshot, and fresh(), a new epoch's name."""
        self.outgoing = outgoing
        self._host, self._engine, self._outbox = host, engine, outbox
        self._everything, self._fresh = everything, fresh
        self._clock = clock
        self._resumed = False
        self._last: tuple[str, int] | None = None  # batch of the engine, by epoch and number
        self._looked = float("-inf")
        self._snapshot: tuple[Head, Iterator[tuple[Fact, ...]], int] | None = None

    def step(self) -> None:
        """Publish what there is, or wait a moment for something."""
        try:
            self._step()
        except (MailgateError, OSError):
            self._resumed, self._snapshot = False, None
            self._engine.close()
            raise

    def _step(self) -> None:
        if self._resumed and not 0 <= self._clock() - self._looked < LOOK_SECONDS:
            self._look()
        if not self._resumed:
            self._resume()
        if self._outbox.take_lost():
            self.outgoing.skip()
        if self.outgoing.due or self._snapshot is not None:
            self._write_snapshot()
        else:
            self._outbox.wait(WAIT_SECONDS)
        found = self._outbox.first()
        if found:
            batch = self.outgoing.next(found)
            self._engine.append(STREAM, stream.render_batch(batch), stream.STREAM_BATCHES_MAX)
            self.outgoing.appended()
            self._last = batch.epoch, batch.number
            self._outbox.done(found)

    def _last_batch(self) -> Batch | None:
        last = self._engine.last(STREAM)
        try:
            return None if last is None else stream.parse_batch(last[1], "own stream", [])
        except BadInput:
            return Batch("", 0, ())

    def _look(self) -> None:
        """Find out whether the engine has lost something: the library connects again by itself."""
        self._looked = self._clock()
        batch = self._last_batch()
        last = None if batch is None else (batch.epoch, batch.number)
        has_snapshot = self.outgoing.due or self._engine.get(SNAPSHOT) is not None
        if last != self._last or not has_snapshot:
            self._resumed, self._snapshot = False, None

    def _resume(self) -> None:
        batch = self._last_batch()
        self._last = None if batch is None else (batch.epoch, batch.number)
        self._looked = self._clock()
        if self.outgoing.resume(batch, self._fresh()) and batch is not None:
            # A peer reads the stream from its beginning after the snapshot, and would take these for a gap.
            self._engine.drop(STREAM, 0)
            self._last = None
        if self._engine.get(SNAPSHOT) is None:
            self.outgoing.due = True
        self._resumed = True

    def _write_snapshot(self) -> None:
        if self._snapshot is None:
            head = self.outgoing.snapshot(self._host)
            self._engine.drop(head.key, 0)  # what an interrupted one left
            every = (group for found in self._everything() for group in stream.batches(found))
            self._snapshot = head, every, 0
        head, groups, done = self._snapshot
        for _number in range(SNAPSHOT_AT_ONCE):
            found = next(groups, None)
            if found is None:
                return self._publish(Head(head.host, head.epoch, head.number, head.after, done))
            done += 1
            self._engine.append(head.key, stream.render_batch(Batch(head.epoch, done, found)), 0)
        self._snapshot = head, groups, done
        return None

    def _publish(self, head: Head) -> None:
        old = self._engine.get(SNAPSHOT)
        self._engine.put(SNAPSHOT, stream.render_head(head))
        self._snapshot = None
        self.outgoing.published(head, more=self.outgoing.number - head.after)
        try:
            before = None if old is None else stream.parse_head(old, self._host, "own snapshot")
        except BadInput:
            before = None
        if before is not None and before.key != head.key:
            self._engine.drop(before.key, OLD_SNAPSHOT_SECONDS)


@dataclass(frozen=True)
class Heard:
    """What a peer said: facts in order, and how far it was read if that is known now.

    ahead_seconds is how far this host's clock is ahead of the peer's; whole is False within a snapshot, and
    all_read is True when there was nothing more to read.
    """

    peer: str
    facts: tuple[Fact, ...]
    position: Position | None
    ahead_seconds: float
    whole: bool = True
    refused: tuple[str, ...] = ()
    all_read: bool = False


class Reader:
    """Reads one peer's engine: the snapshot first where that is needed, then the stream."""

    def __init__(
        self,
        peer: str,
        engine: Engine,
        position: Position | None,
        hear: Callable[[Heard], None],
        clock: Callable[[], float],
    ) -> None:
        """Take hear(), which may wait while there is too much to do."""
        self.peer, self.position = peer, position
        self.waits_for_snapshot = False
        self._engine, self._hear, self._clock = engine, hear, clock
        self._gap = False
        self._checked = False  # the head, since the stream was read to its end
        self._told_end = False  # on this connection
        self._taking: tuple[Head, int, str] | None = None  # batches that were read, and the last one's id
        self._ahead, self._compared = 0.0, float("-inf")
        self._new_until = clock() + RETAKE_SECONDS if position is None else float("-inf")
        self._taken = ""  # the last snapshot that was taken

    def step(self) -> bool:
        """Read a piece; return False if there is nothing to read before the peer has written a snapshot."""
        try:
            return self._step()
        except (MailgateError, OSError):
            self._checked, self._taking, self._told_end = False, None, False
            self._compared = float("-inf")
            self._engine.close()
            raise

    def _step(self) -> bool:
        now = self._clock()
        if not 0 <= now - self._compared < CLOCK_SECONDS:
            self._ahead, self._compared = now - self._engine.now(), now
        if self._taking is not None:
            self._take()
        elif not self._checked or self._gap:
            self._check()
        else:
            self._follow()
        return not self.waits_for_snapshot

    def end(self) -> None:
        """Say that everything was read, although there is no snapshot."""
        self._hear(Heard(self.peer, (), None, 0.0, all_read=True))

    def _check(self) -> None:
        data = self._engine.get(SNAPSHOT)
        head = None if data is None else stream.parse_head(data, self.peer, f"{self.peer} snapshot")
        known = self.position
        self.waits_for_snapshot = head is None
        if head is None:
            return
        if known is None or stream.must_take_snapshot(known, head):
            self._taking = head, 0, BEGIN
        elif self._gap:
            if head.after > known.number:
                self._taking = head, 0, BEGIN
            else:
                self.waits_for_snapshot = True  # what was missed is not in this one
        elif head.key != self._taken and self._clock() < self._new_until:
            self._taking = head, 0, BEGIN  # written since the peer knows of this host: it tells its acts, too
        self._checked = True

    def _take(self) -> None:
        if self._taking is None:
            return
        head, done, last = self._taking
        refused: list[str] = []
        found: list[Batch] = []
        if done < head.batches:
            entries = self._engine.read(head.key, last, 0)
            found = stream.snapshot_batches(head, done, entries, refused)
            if not found:
                self._taking, self._checked = None, False  # another one took its place
                return
            last = stream.check_id(entries[-1][0], f"{self.peer} snapshot")
        done += len(found)
        position = None
        if done == head.batches:
            position = Position(head.epoch, head.after)
            self.position, self._taking, self._gap = position, None, False
            self._taken = head.key
        else:
            self._taking = head, done, last
        self._say(found, position, refused, whole=position is not None)

    def _follow(self) -> None:
        if self.position is None:
            self._checked = False
            return
        entries = self._engine.read(STREAM, self.position.id, WAIT_SECONDS)
        read = stream.follow(self.position, entries, self.peer)
        self.position, self._gap = read.position, read.gap
        if read.batches or read.refused:
            self._say(read.batches, read.position, read.refused)
        if not entries:
            self._checked = False  # another epoch begins with another head
            if not self._told_end:
                self._told_end = True
                self._hear(Heard(self.peer, (), read.position, self._ahead, all_read=True))

    def _say(
        self,
        found: Sequence[Batch],
        position: Position | None,
        refused: Sequence[str],
        whole: bool = True,
    ) -> None:
        facts = tuple(one for batch in found for one in batch.facts)
        self._hear(Heard(self.peer, facts, position, self._ahead, whole, tuple(refused)))
