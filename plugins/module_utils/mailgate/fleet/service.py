# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service fleet: tell the peers what happened here, and hand what they say to this host's writers.

It runs as a user of its own, which reads the logs and the operators' lists and writes its own directory only:
  state          positions and the acts that stand; a later run goes on from there
  status.json    the states of the engines, since when; for the doctor and `mailgate fleet status`
No session waits for it, whatever happens to it: it only follows, and the writers work without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core import locks, servicelog
from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.files import atomic_write, open_regular
from ..core.paths import (
    BLACKLIST_LOG,
    FLEET_DIRECTORY,
    FLEET_PASSWORDS,
    FLEET_SETTINGS,
    OPERATOR_SOCKET,
    SMTP_LOG,
)
from ..core.servicelog import Complaints
from ..formats import greylist
from ..formats.multilog import Follower
from ..operators import client as operator_client
from ..operators.places import OperatorPaths
from ..rules.files import read_text
from . import facts, links, state_file
from . import settings as fleet_settings
from . import status as fleet_status
from .apply import Applier, HelperWriters, Writers
from .engine import Engine, RedisEngine
from .facts import Act, Fact, Grey
from .feed import Feed, GreyFeed, act_of
from .links import Heard, Outbox, Publisher, Reader
from .merge import NEWS, Acts
from .state_file import Saved
from .status import CONNECTED, REFUSED, TROUBLE, WAITING, Parts, Status
from .stream import Outgoing, Position

STATE, STATUS, LOCK = "state", "status.json", "lock"
POLL_SECONDS = 0.2
SAVE_SECONDS = 5.0  # between saves while something changes, and at least SAVE_SHARE times the time of one
SAVE_SHARE = 20
EXPIRE_SECONDS = 3600.0
HEARD_MAX = 4  # pieces of streams that wait; a reader waits while there are more
BUSY = 5000  # networks that wait for the writer, until the readers wait
RENEWALS = 32  # of a network that has passed, within the time that it may stay away, as greystate.h
JOIN_SECONDS = 60.0  # without a state: until what happened here is told, peers that are not reached or not
RESUME_SECONDS = 10.0  # the same after a restart
RESERVED = 10_000  # counters of this host that may have been used since the last save
COUNTERS_SINCE = 1_767_225_600  # 2026: a host without a state begins with the seconds since then
SNAPSHOT_SECONDS = 86_400.0  # so old the own snapshot may be
OWN = ""  # the own engine's name among the parts


@dataclass(frozen=True)
class ServicePaths:
    """The service's files and directories."""

    directory: str = FLEET_DIRECTORY
    settings: str = FLEET_SETTINGS
    passwords: str = FLEET_PASSWORDS
    smtp_log: str = SMTP_LOG
    blacklist_log: str = BLACKLIST_LOG
    operator_socket: str = OPERATOR_SOCKET
    lists: OperatorPaths = dataclasses.field(default_factory=OperatorPaths)

    def own(self, name: str) -> str:
        return os.path.join(self.directory, name)


class ListFiles:
    """Callable that returns the (text, path) of each of the operators' lists if one of the files changed."""

    def __init__(self, places: OperatorPaths) -> None:
        self._paths = {name: places.file(name) for name, _word in facts.LIST_OF.values()}
        self._seen: dict[str, tuple[int, ...]] | None = None

    def __call__(self) -> Mapping[str, tuple[str, str]] | None:
        seen = {path: _identity(path) for path in self._paths.values()}
        if seen == self._seen:
            return None
        texts = {name: (read_text(path) or "", path) for name, path in self._paths.items()}
        self._seen = seen
        return texts


def _identity(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Fleet:
    """The service without its threads: step() does what is due; hear() takes what a peer said."""

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
        self.acts = Acts(host)
        if saved is not None:
            self.acts.restore(saved.merged, saved.acts, "state")
            self.acts.counters.reserve(RESERVED)
        else:
            self.acts.counters.reserve(int(clock()) - COUNTERS_SINCE)
        unsettled = saved.unsettled if saved else ()
        self.applier = Applier(writers, self.acts, unsettled, feed.applied)
        self.outgoing = saved.outgoing if saved else Outgoing(fresh_epoch())
        self.positions: dict[str, Position] = dict(saved.positions) if saved else {}
        self.changed = saved is None
        self._feed, self._writers, self._say, self._clock = feed, writers, say, clock
        self._complaints = Complaints(clock, say)
        self._taking: set[str] = set()  # peers of whose snapshot a part was heard
        self._lock = threading.Lock()  # held while the acts change
        self._expired = float("-inf")
        self._snapshot_at = clock()
        self._peers = set(parts.values()) - {OWN}
        self._joining = {host, *self._peers}  # the own engine tells what was lost of the state
        self._join_until = clock() + (RESUME_SECONDS if saved else JOIN_SECONDS)

    def step(self) -> bool:
        """Tell what happened here, and hand over what peers said; return whether there is more to do."""
        now = self._clock()
        busy = self.applier.step(now)
        if self._joins(now):
            return busy
        happened = self._feed.read(now)
        told: list[Fact] = list(happened.greys)
        with self._lock:
            for draft in happened.drafts:
                if draft.by.rpartition("@")[2] in self._peers:
                    continue  # its own host tells it
                try:
                    act = act_of(draft, self.acts)
                except BadInput as error:
                    self._complaints.add(f"{draft.kind} {draft.value!r:.80} does not travel: {error}")
                    continue
                if act is not None:
                    self.acts.take(act)
                    self.applier.here(act)
                    told.append(act)
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

    def _joins(self, now: float) -> bool:
        """Return whether the own engine or peers are still to be heard."""
        if self._joining and not self._join_until - JOIN_SECONDS <= now < self._join_until:
            self._say(f"not heard yet: {', '.join(sorted(self._joining))}; going on without")
            self._joining.clear()
        return bool(self._joining)

    def recovers(self) -> bool:
        """Return whether the own engine is still to be read, before anything is published there."""
        return self.host in self._joining

    def _recover(self, heard: Heard) -> None:
        """Take what this host told before it was killed: it was in its files then."""
        if not self.recovers():
            return  # too late: the files were read meanwhile, and tell it anew
        with self._lock:
            for fact in heard.facts:
                if isinstance(fact, Act):
                    with contextlib.suppress(BadInput):
                        outcome = self.acts.take(fact)
                        if fact.version.host != self.host:
                            self.applier.take(fact, outcome)
                        elif outcome.what == NEWS:
                            self._feed.applied(fact)
        if heard.all_read:
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
        """Yield all that this host knows, for a snapshot: the acts by version, then the greylist."""
        with self._lock:
            acts = sorted(self.acts, key=lambda one: one.version)
        yield acts
        yield from self._writers.greylist()

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
        refused = {f"{kind} {value}": why for (kind, value), why in self.applier.refused.items()}
        peers = {name: one for name, one in parts.items() if name != OWN}
        return Status(self._clock(), self.host, parts[OWN], peers, {**counts, **more}, refused, trouble)


def fresh_epoch() -> str:
    """Return the name of an epoch that no other has."""
    return secrets.token_hex(8)


class Worker:
    """A thread that runs steps of one link, says when its state changes, and waits after trouble."""

    def __init__(
        self, name: str, shown: str, step: Callable[[], bool], parts: Parts, say: Callable[[str], None]
    ) -> None:
        self.name, self._shown, self._step, self._parts, self._say = name, shown, step, parts, say
        self.stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._work, name=self._shown, daemon=True).start()

    def _work(self) -> None:
        while not self.stopped.is_set():
            if not self.once():
                self.stopped.wait(links.PAUSE_SECONDS)

    def once(self) -> bool:
        """Run a step; return whether the next one is due at once."""
        try:
            ready = self._step()
        except (TryAgain, OSError) as error:
            self._set(TROUBLE, str(error))
        except MailgateError as error:
            self._set(REFUSED, str(error))
        except Exception as error:
            # One link must not end the others; the log has the error.
            self._set(TROUBLE, f"error of the service itself: {error!r}")
        else:
            self._set(CONNECTED if ready else WAITING, "" if ready else "it has not written its snapshot yet")
            return ready
        return False

    def _set(self, state: str, why: str) -> None:
        if self._parts.set(self.name, state, why):
            self._say(f"{self._shown}: {state}{f', {why}' if why else ''}")


class Service:
    """The fleet with its threads and files."""

    def __init__(
        self,
        places: ServicePaths,
        settings: fleet_settings.Settings,
        writers: Writers,
        engine_of: Callable[[fleet_settings.Peer | None], Engine],
        say: Callable[[str], None] = lambda text: servicelog.say("fleet", text),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Restore the state; raises OSError. engine_of returns a peer's engine, or for None the own one."""
        self.places, self._say, self._clock = places, say, clock
        for name in os.listdir(places.directory):  # left by a run that was killed
            if name.startswith(".mailgate-"):
                os.unlink(places.own(name))
        parts = Parts([OWN, *(one.name for one in settings.peers)], clock)
        self.fleet = self._fleet(settings.host, writers, parts)
        self._heard: queue.Queue[Heard] = queue.Queue(HEARD_MAX)
        fleet = self.fleet
        own = engine_of(None)
        publisher = Publisher(settings.host, own, fleet.outgoing, fleet.outbox, fleet.everything, fresh_epoch)
        recovery = Reader(settings.host, own, fleet.told(), self._heard.put, clock)
        self.workers = [Worker(OWN, "own engine", own_step(fleet, recovery, publisher), parts, say)]
        for one in settings.peers:
            reader = Reader(one.name, engine_of(one), fleet.positions.get(one.name), self._heard.put, clock)
            self.workers.append(Worker(one.name, one.name, self._reading(reader), parts, say))
        self._saved_at = self._told_at = float("-inf")
        self._save_pause = SAVE_SECONDS
        if not self.save():  # else the next start would use the same counters again
            raise OSError(f"{places.own(STATE)}: not written; expected a state before the first act is told")

    def _reading(self, reader: Reader) -> Callable[[], bool]:
        def step() -> bool:
            try:
                return reader.step()
            except (MailgateError, OSError):
                self.fleet.left(reader.peer)
                raise

        return step

    def _fleet(self, host: str, writers: Writers, parts: Parts) -> Fleet:
        path = self.places.own(STATE)
        saved: Saved | None = None
        try:
            with os.fdopen(open_regular(path), "rb") as stream:
                saved = state_file.parse(iter(lambda: stream.readline(state_file.LINE_BYTES_MAX), b""), path)
            return Fleet(host, self._feed(host, saved), writers, saved, parts, self._say, self._clock)
        except FileNotFoundError:
            self._say("no state yet: everything here is news, and the peers' snapshots are taken")
        except BadInput as error:
            os.rename(path, path + ".damaged")
            self._say(f"{error}; kept as {path}.damaged, the peers' snapshots are taken")
        return Fleet(host, self._feed(host, None), writers, None, parts, self._say, self._clock)

    def _feed(self, host: str, saved: Saved | None) -> Feed:
        logs = saved.logs if saved else {}
        limits = greylist.read_limits()
        return Feed(
            host,
            Follower(self.places.smtp_log, logs.get("smtp")),
            Follower(self.places.blacklist_log, logs.get("adaptive")),
            ListFiles(self.places.lists),
            GreyFeed(limits.pass_seconds // RENEWALS),
            saved.view if saved else None,
        )

    def step(self) -> bool:
        """Do what is due; return whether there is more to do."""
        more = self.fleet.step()
        while self.fleet.applier.waiting < BUSY:
            try:
                self.fleet.hear(self._heard.get_nowait())
            except queue.Empty:
                break
            more = True
        now = self._clock()
        if self.fleet.changed and not 0 <= now - self._saved_at < self._save_pause:
            self.save()
        if not 0 <= now - self._told_at < fleet_status.WRITE_SECONDS:
            self.tell()
        return more

    def save(self) -> bool:
        """Write the state; return whether that succeeded."""
        begin = time.monotonic()
        self._saved_at, self.fleet.changed = self._clock(), False
        try:
            with atomic_write(self.places.own(STATE), 0o600) as stream:
                for line in state_file.lines(self.fleet.saved()):
                    stream.write(line)
        except OSError as error:
            self.fleet.changed = True
            self._say(f"{self.places.own(STATE)}: {error}; expected to write it")
            return False
        finally:
            self._save_pause = max(SAVE_SECONDS, SAVE_SHARE * (time.monotonic() - begin))
        return True

    def tell(self) -> None:
        """Write the status file."""
        self._told_at = self._clock()
        with contextlib.suppress(OSError), atomic_write(self.places.own(STATUS), 0o644) as stream:
            stream.write(json.dumps(self.fleet.status().values()).encode("ascii"))


def own_step(fleet: Fleet, recovery: Reader, publisher: Publisher) -> Callable[[], bool]:
    """Return the step at the own engine: read what was told there before, then publish."""

    def step() -> bool:
        if not fleet.recovers():
            publisher.step()
        elif not recovery.step():
            recovery.end()
        return True

    return step


def serve(places: ServicePaths) -> int:
    """Run until SIGTERM; raises MailgateError for wrong settings, and OSError without directory or lock."""
    told: list[int] = []
    locks.acquire(places.own(LOCK), 10.0)
    settings = fleet_settings.read(places.settings, places.passwords)

    def ask(request: Mapping[str, object]) -> Mapping[str, object]:
        return operator_client.ask(request, places.operator_socket)

    def engine_of(peer: fleet_settings.Peer | None) -> Engine:
        return RedisEngine(settings.engine if peer is None else peer.engine)

    service = Service(places, settings, HelperWriters(ask), engine_of)
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    servicelog.say(
        "fleet", f"{settings.host} with {', '.join(one.name for one in settings.peers) or 'no peers'}"
    )
    for worker in service.workers:
        worker.start()
    while not told:
        if not service.step() and not told:
            time.sleep(POLL_SECONDS)
    for worker in service.workers:
        worker.stopped.set()
    service.tell()
    return 0 if service.save() else 111
