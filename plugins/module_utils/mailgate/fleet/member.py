# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One gateway in the fleet: what it tells, what it has heard, and which acts stand here; without threads."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ..core.errors import BadInput
from ..core.servicelog import Complaints
from . import facts
from .apply import Applier, Writers
from .facts import Act, Fact, Grey
from .feed import Draft, Feed, act_of, draft_of
from .links import RETAKE_SECONDS, Heard, Outbox, Publisher, Reader
from .merge import NEWS, Acts
from .state_file import Saved
from .status import Parts, Status
from .stream import Outgoing, Position
from .versions import COUNTERS_SINCE

JOIN_SECONDS = 60.0  # without a state: until what happened here is told, peers that are not reached or not
RESUME_SECONDS = 10.0  # the same after a restart
RESERVED = 10_000  # counters of this host that may have been used since the last save
SNAPSHOT_SECONDS = 86_400.0  # so old the own snapshot may be
NETWORKS_MAX = 1_000_000  # in a snapshot: 150 MB of the engine, which has two of them for an hour
OWN = ""  # the own engine's name among the parts
EXPIRE_SECONDS = 3600.0


class Member:
    """The service without threads and files: step() does what is due; hear() takes what a peer said."""

    def __init__(
        self,
        host: str,
        feed: Feed,
        writers: Writers,
        saved: Saved | None,
        parts: Parts,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Go on from a saved state, or begin without one; raises BadInput for a damaged one.

        What peers have to tell is heard first: then it is known what of this host's files is news.
        """
        self.host, self.parts, self.outbox = host, parts, Outbox()
        self._peers = set(parts.values()) - {OWN}
        self.acts = Acts(host, clock=clock)
        if saved is not None:
            self.acts.restore(saved.merged, saved.acts, "state")
            self.acts.counters.reserve(RESERVED)
        else:
            self.acts.counters.reserve(int(clock()) - COUNTERS_SINCE)
        self.acts.counters.expect(self._peers)
        unsettled = saved.unsettled if saved else ()
        self.applier = Applier(writers, self.acts, unsettled, feed.applied)
        self.outgoing = saved.outgoing if saved else Outgoing(fresh_epoch())
        self.positions: dict[str, Position] = dict(saved.positions) if saved else {}
        self.changed = saved is None
        self._feed, self._writers, self._say, self._clock = feed, writers, say, clock
        self._complaints = Complaints(clock, say)
        self._began = float("inf") if saved else clock()  # without a state
        self._recovers = True  # the own engine is still to be read
        self._told: Counter[Draft] = Counter()  # lines of the adaptive blacklist's log, before this start
        self._taking: set[str] = set()  # peers of whose snapshot a part was heard
        self._lock = threading.Lock()  # held while the acts change
        self._expired = float("-inf")
        self._snapshot_at = clock()
        self._joining = {host, *self._peers}  # the own engine tells what was lost of the state
        self._join_until = clock() + (RESUME_SECONDS if saved else JOIN_SECONDS)

    def step(self) -> bool:
        """Tell what happened here, and hand over what peers said; return whether there is more to do."""
        now = self._clock()
        busy = self.applier.step(now)
        if self._joins(now) or (busy and not self._feed.was_read and self.applier.unsettled()):
            return busy  # what was heard is in the lists first, or what it took back would be news
        happened = self._feed.read(now)
        told: list[Fact] = list(happened.greys)
        with self._lock:
            for draft in happened.drafts:
                key = draft.kind, draft.value
                known = happened.first or self.acts.get(key) is not None
                # Was it written right before this service was killed, and told by its host?
                is_old = self._was_told(draft) or (happened.first and self._is_of_a_peer(draft))
                act = None if is_old else self._new_act(draft)
                if act is not None:
                    told.append(act)
                if known and draft.kind == facts.ADAPTIVE:
                    # What a peer said may have been brought into force after this line was written.
                    self.applier.again([key])
        if happened.lost:
            self._say(f"{len(happened.lost)} entries were lost with their file; they are written there again")
            self.applier.again(happened.lost)
        if told:
            self.outbox.add(told)
        if not self._taking and not 0 <= now - self._expired < EXPIRE_SECONDS:
            self._expired = now
            with self._lock:
                self.acts.expire(now)
        if not 0 <= now - self._snapshot_at < SNAPSHOT_SECONDS:
            self._snapshot_at, self.outgoing.due = now, True
        self.changed = self.changed or bool(told) or bool(happened.drafts) or busy
        return busy or bool(told)

    def _new_act(self, draft: Draft) -> Act | None:
        """Return what is to be told of what happened here, merged already."""
        try:
            act = act_of(draft, self.acts)
            if act is not None:
                self.acts.take(act)
                self.applier.here(act)
        except BadInput as error:
            self._complaints.add(f"{draft.kind} {draft.value!r:.80} does not travel: {error}")
            return None
        return act

    def _is_of_a_peer(self, draft: Draft) -> bool:
        """Return whether an entry was made by a peer, and not after an act of this host on its value."""
        standing = self.acts.get((draft.kind, draft.value))
        mine = standing is not None and standing.version.host == self.host
        return not mine and draft.by.rpartition("@")[2] in self._peers

    def _was_told(self, draft: Draft) -> bool:
        """Return whether the own engine has told this line of a log, each as often as it was told."""
        if not self._told[draft]:
            return False
        self._told[draft] -= 1
        return True

    def _joins(self, now: float) -> bool:
        """Return whether the own engine or peers are still to be heard."""
        if self._joining and not self._join_until - JOIN_SECONDS <= now < self._join_until:
            self._say(f"not heard yet: {', '.join(sorted(self._joining))}; going on without")
            self._joining.clear()
        return bool(self._joining)

    def recovers(self) -> bool:
        """Return whether the own engine is still to be read, before anything is published there."""
        return self._recovers

    def _recover(self, heard: Heard) -> None:
        """Take what this host told before it was killed: it was in its files then."""
        late = self._feed.was_read
        with self._lock:
            for fact in heard.facts:
                if isinstance(fact, Act):
                    with contextlib.suppress(BadInput):
                        outcome = self.acts.take(fact)
                        if fact.version.host != self.host or late:
                            self.applier.take(fact, outcome)
                            continue
                        if fact.kind == facts.ADAPTIVE:
                            self._told[draft_of(fact)] += 1
                        if outcome.what == NEWS:
                            self._feed.applied(fact)
                            self.applier.here(fact)
        if heard.all_read:
            self._recovers = False
            self._joining.discard(self.host)
        self.changed = True

    def hear(self, heard: Heard) -> None:
        """Merge what a peer said; what is not believed is counted and left out."""
        if heard.peer == self.host:
            return self._recover(heard)
        now, refused = self._clock(), list(heard.refused)
        with self._lock:
            for fact in heard.facts:
                try:
                    if isinstance(fact, Act):
                        if self._is_heard_from(heard.peer, fact.version.host, now):
                            self._hear_act(fact)
                    else:
                        self._hear_grey(fact, heard.ahead_seconds, now)
                except BadInput as error:
                    refused.append(str(error))
        if heard.whole:
            self._taking.discard(heard.peer)
        else:
            self._taking.add(heard.peer)
        if heard.all_read:
            self._joining.discard(heard.peer)
        if heard.position is not None:
            before = self.positions.get(heard.peer)
            if before is None or before.epoch != heard.position.epoch:
                self.outgoing.due = True  # the peer may have lost all, its own acts too
            self.positions[heard.peer] = heard.position
        for why in refused[:10]:
            self._complaints.add(f"{heard.peer}: refused: {why}")
        self.parts.heard(heard.peer, heard.ahead_seconds, tuple(refused))
        self.changed = True
        return None

    def _is_heard_from(self, peer: str, host: str, now: float) -> bool:
        """Return whether a peer is believed about a host's acts, which its snapshot has.

        A host that is heard tells its own acts itself. This host knows its own, unless it has just begun.
        """
        if host == self.host:
            return self._began <= now < self._began + RETAKE_SECONDS
        return host == peer or host not in self._peers or host not in self.positions

    def left(self, peer: str) -> None:
        """Take notice that the connection to a peer ended, perhaps in the middle of its snapshot."""
        self._taking.discard(peer)

    def _hear_act(self, act: Act) -> None:
        outcome = self.acts.take(act)
        self.applier.take(act, outcome)

    def _hear_grey(self, grey: Grey, ahead_seconds: float, now: float) -> None:
        """Take a network with its time by this host's clock; one that lies ahead is of now."""
        at = min(int(grey.at + ahead_seconds), int(now))
        here = Grey(grey.network, grey.passed, max(0, at))
        self._feed.grey.heard([here] if here.passed else [])
        self.applier.grey(here)

    def everything(self) -> Iterator[Sequence[Fact]]:
        """Yield all that this host knows, for a snapshot: the acts by version, then the greylist.

        Of more networks than the engine has room for, those that passed come first.
        """
        with self._lock:
            acts = sorted(self.acts, key=lambda one: one.version)
        yield acts
        left = NETWORKS_MAX
        for group in self._writers.greylist():
            found = [one for one in group if one.passed or left > NETWORKS_MAX // 2][: max(0, left)]
            left -= len(found)
            yield found

    def told(self) -> Position | None:
        """Return how far this host had told its acts when it saved its state."""
        return Position(self.outgoing.epoch, self.outgoing.number) if self.outgoing.snapshots else None

    def saved(self) -> Saved:
        """Return the state to save; what the own engine does not have yet is told by a snapshot then."""
        outgoing = dataclasses.replace(self.outgoing)
        if len(self.outbox):
            outgoing.skip()
        return Saved(
            self.acts.state(),
            list(self.acts),
            self._feed.view,
            outgoing,
            dict(self.positions),
            {"smtp": self._feed.smtp.position, "adaptive": self._feed.adaptive.position},
            self.applier.unsettled(),
        )

    def status(self) -> Status:
        """Return the states of all parts."""
        parts = self.parts.values()
        counts = dict.fromkeys(facts.ACTIONS, 0)
        for act in self.acts:
            counts[act.kind] += not act.gone
        more = {
            "to tell": len(self.outbox),
            "to apply": self.applier.waiting,
            "networks refused": self.applier.greys_refused,
            "networks dropped": self.applier.greys_dropped,
        }
        trouble = dict(self._feed.trouble)
        if self.applier.trouble:
            trouble["writers"] = self.applier.trouble
        # However long they are, the doctor reads the file.
        refused = {
            f"{kind} {value:.100}": f"{why:.200}" for (kind, value), why in self.applier.refused.items()
        }
        peers = {name: one for name, one in parts.items() if name != OWN}
        return Status(self._clock(), self.host, parts[OWN], peers, {**counts, **more}, refused, trouble)


def fresh_epoch() -> str:
    """Return the name of an epoch that no other has."""
    return secrets.token_hex(8)


def own_step(member: Member, recovery: Reader, publisher: Publisher) -> Callable[[], bool]:
    """Return the step at the own engine: read what was told there before, then publish."""

    def step() -> bool:
        if not member.recovers():
            publisher.step()
            return True
        try:
            more = recovery.step()
        except BadInput:
            recovery.end()
            raise
        if not more:
            recovery.end()
        return True

    return step
