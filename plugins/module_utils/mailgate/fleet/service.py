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
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..core import locks, servicelog
from ..core.errors import BadInput, MailgateError, TryAgain
from ..core.files import atomic_write, open_regular, remove_temporary
from ..core.paths import (
    BLACKLIST_LOG,
    FLEET_DIRECTORY,
    FLEET_PASSWORDS,
    FLEET_SETTINGS,
    OPERATOR_SOCKET,
    SMTP_LOG,
)
from ..formats import greylist
from ..formats.multilog import Follower
from ..operators import client as operator_client
from ..operators.places import OperatorPaths
from ..rules.files import read_text
from . import facts, links, state_file
from . import settings as fleet_settings
from . import status as fleet_status
from .apply import HelperWriters, Writers
from .engine import Engine, RedisEngine
from .feed import Feed, GreyFeed, Texts
from .links import Heard, Publisher, Reader
from .member import OWN, Member, fresh_epoch, own_step
from .state_file import Saved
from .status import CONNECTED, REFUSED, TROUBLE, WAITING, Parts

STATE, STATUS, LOCK = "state", "status.json", "lock"
POLL_SECONDS = 0.2
SAVE_SECONDS = 5.0  # between saves while something changes, and at least SAVE_SHARE times the time of one
SAVE_SHARE = 20
HEARD_MAX = 4  # pieces of streams that wait; a reader waits while there are more
BUSY = 5000  # networks that wait for the writer, until the readers wait
RENEWALS = 32  # of a network that has passed, within the time that it may stay away, as greystate.h


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
    """Callable that returns the texts of the operators' lists if one of the files changed."""

    def __init__(self, places: OperatorPaths) -> None:
        self._paths = {name: places.file(name) for name, _word in facts.LIST_OF.values()}
        self._seen: dict[str, tuple[int, ...]] | None = None

    def __call__(self) -> Texts | None:
        seen = {path: _identity(path) for path in self._paths.values()}
        if seen == self._seen:
            return None
        texts = {name: (read_text(path), path) for name, path in self._paths.items()}
        self._seen = seen
        return texts


def _identity(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


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
        remove_temporary(places.directory)
        parts = Parts([OWN, *(one.name for one in settings.peers)], clock)
        self.member = self._member(settings.host, writers, parts)
        self._heard: queue.Queue[Heard] = queue.Queue(HEARD_MAX)
        member = self.member
        own = engine_of(None)
        publisher = Publisher(
            settings.host, own, member.outgoing, member.outbox, member.everything, fresh_epoch
        )
        recovery = Reader(settings.host, own, member.told(), self._heard.put, clock)
        self.workers = [Worker(OWN, "own engine", own_step(member, recovery, publisher), parts, say)]
        for one in settings.peers:
            reader = Reader(one.name, engine_of(one), member.positions.get(one.name), self._heard.put, clock)
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
                self.member.left(reader.peer)
                raise

        return step

    def _member(self, host: str, writers: Writers, parts: Parts) -> Member:
        path = self.places.own(STATE)
        saved: Saved | None = None
        try:
            with os.fdopen(open_regular(path), "rb") as stream:
                saved = state_file.parse(iter(lambda: stream.readline(state_file.LINE_BYTES_MAX), b""), path)
            return Member(host, self._feed(host, saved), writers, saved, parts, self._say, self._clock)
        except FileNotFoundError:
            self._say("no state yet: everything here is news, and the peers' snapshots are taken")
        except BadInput as error:
            os.rename(path, path + ".damaged")
            self._say(f"{error}; kept as {path}.damaged, the peers' snapshots are taken")
        return Member(host, self._feed(host, None), writers, None, parts, self._say, self._clock)

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
        more = self.member.step()
        while self.member.applier.waiting < BUSY:
            try:
                self.member.hear(self._heard.get_nowait())
            except queue.Empty:
                break
            more = True
        now = self._clock()
        if self.member.changed and not 0 <= now - self._saved_at < self._save_pause:
            self.save()
        if not 0 <= now - self._told_at < fleet_status.WRITE_SECONDS:
            self.tell()
        return more

    def save(self) -> bool:
        """Write the state; return whether that succeeded."""
        begin = time.monotonic()
        self._saved_at, self.member.changed = self._clock(), False
        try:
            with atomic_write(self.places.own(STATE), 0o600) as stream:
                for line in state_file.lines(self.member.saved()):
                    stream.write(line)
        except OSError as error:
            self.member.changed = True
            self._say(f"{self.places.own(STATE)}: {error}; expected to write it")
            return False
        finally:
            self._save_pause = max(SAVE_SECONDS, SAVE_SHARE * (time.monotonic() - begin))
        return True

    def tell(self) -> None:
        """Write the status file."""
        self._told_at = self._clock()
        with contextlib.suppress(OSError), atomic_write(self.places.own(STATUS), 0o644) as stream:
            stream.write(json.dumps(self.member.status().values()).encode("ascii"))


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
