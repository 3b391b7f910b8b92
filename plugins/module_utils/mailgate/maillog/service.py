# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service stats: follow both logs, count every line once, and write the numbers to two files.

It runs as a user of its own, which may read the logs and write only its own directory:   state.json     the
counters, and the positions in the logs up to which they count: one file, always consistent   mailgate.prom
the same numbers for node_exporter's textfile collector, or where the site wants them After a crash it
continues from the last state, and counts the lines of the logs from those positions on.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core import locks, servicelog
from ..core.errors import BadInput
from ..core.files import atomic_write, remove_temporary
from ..core.paths import SEND_LOG, SMTP_LOG, STATS_DIRECTORY, STATS_TEXTFILE
from ..core.servicelog import Complaints
from ..formats import send_log as sendlog
from ..formats import smtpd_log as smtplog
from ..formats.multilog import Follower, Position
from .counters import Stats
from .textfile import prometheus

STATE, LOCK = "state.json", "lock"

POLL_SECONDS = 0.25
SAVE_SECONDS = 3.0  # between saves while counters change, and at least SAVE_SHARE times the time of one
SAVE_SHARE = 20
ALIVE_SECONDS = 30.0  # between saves while no counter changes


@dataclass(frozen=True)
class ServicePaths:
    """The service's logs and files; textfile '' means none."""

    smtp_log: str = SMTP_LOG
    send_log: str = SEND_LOG
    directory: str = STATS_DIRECTORY
    textfile: str = STATS_TEXTFILE

    def own(self, name: str) -> str:
        return os.path.join(self.directory, name)


@dataclass
class State:
    """The content of state.json: counters, positions in both logs, time of writing (unix seconds)."""

    stats: Stats
    smtp: Position | None
    send: Position | None
    written: float

    def to_json(self) -> dict[str, Any]:
        return {
            "written": self.written,
            "smtp": None if self.smtp is None else self.smtp.to_json(),
            "send": None if self.send is None else self.send.to_json(),
            "stats": self.stats.to_json(),
        }


def read_state(text: str) -> State:
    """Parse the text of state.json; raises BadInput."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadInput(f"state: {text[:40]!r} is not valid JSON; expected what the service wrote") from error
    if not isinstance(data, dict) or not isinstance(data.get("written"), (int, float)):
        raise BadInput(f"state: {text[:40]!r} is not a state; expected what the service wrote")
    positions = [
        None if data.get(name) is None else Position.from_json(data[name]) for name in ("smtp", "send")
    ]
    return State(Stats.from_json(data.get("stats")), positions[0], positions[1], float(data["written"]))


class Service:
    """The service without its loop: step() does what is due and returns whether there may be more."""

    def __init__(self, places: ServicePaths, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self.places = places
        self._clock, self._say = clock, say
        self.stats = Stats()
        self.smtp, self.send = Follower(places.smtp_log), Follower(places.send_log)
        self._saved = float("-inf")
        self._save_pause = SAVE_SECONDS
        self._changed = True
        self._complaints = Complaints(clock, say)

    def begin(self) -> None:
        """Restore the saved state."""
        remove_temporary(self.places.directory)
        path = self.places.own(STATE)
        try:
            with open(path, encoding="utf-8") as stream:
                state = read_state(stream.read())
        except FileNotFoundError:
            self._say("no state yet: the logs are counted from their beginning")
        except BadInput as error:
            os.rename(path, path + ".damaged")
            self._say(f"{error}; kept as {path}.damaged, the logs are counted from their beginning")
        else:
            self.stats = state.stats
            self.smtp = Follower(self.places.smtp_log, state.smtp)
            self.send = Follower(self.places.send_log, state.send)

    def step(self) -> bool:
        """Read, count and write; return whether there is probably more to read."""
        smtp = self._read(self.smtp, self.places.smtp_log)
        self.stats.clock_is(self._clock())
        observe = self.stats.observe_smtp
        for line in smtp:
            observe(smtplog.parse(line))
        send = self._read(self.send, self.places.send_log)
        self.stats.clock_is(self._clock())
        for line in send:
            self.stats.observe_send(sendlog.parse(line))
        more = bool(smtp or send)
        self._changed = self._changed or more
        waited = self._clock() - self._saved
        if not 0 <= waited < (self._save_pause if self._changed else ALIVE_SECONDS):
            self.save()
        return more

    def _read(self, follower: Follower, directory: str) -> list[str]:
        try:
            lines = follower.read()
        except OSError as error:
            lines = []
            self._complaints.add(f"log {directory}: {error}; expected to read it")
        for note in follower.notes:
            self._say(f"log {directory}: {note}")
            if "lost" in note:
                self.stats.gap()
        follower.notes.clear()
        return lines

    def save(self) -> bool:
        """Write the state, then the textfile with the same numbers; return whether the state was written."""
        begin = time.monotonic()
        now = self._clock()
        self._saved = now
        self.stats.forget(int(now))
        state = State(self.stats, self.smtp.position, self.send.position, now)
        path = self.places.own(STATE)
        try:
            with atomic_write(path, 0o644) as stream:
                stream.write(json.dumps(state.to_json(), separators=(",", ":")).encode("ascii"))
        except OSError as error:
            self._complaints.add(f"{path}: {error}; expected to write it")
            return False
        finally:
            self._save_pause = max(SAVE_SECONDS, SAVE_SHARE * (time.monotonic() - begin))
        self._changed = False
        # After the state: a crash must not make Prometheus see the same lines counted twice.
        if self.places.textfile:
            try:
                with atomic_write(self.places.textfile, 0o644) as stream:
                    stream.write(prometheus(self.stats, now).encode("ascii"))
            except OSError as error:
                self._complaints.add(f"{self.places.textfile}: {error}; expected to write it")
        return True


def serve(places: ServicePaths) -> int:
    """Run until SIGTERM; SIGHUP writes the numbers at once. Raises OSError without directory or lock."""
    told: list[int] = []
    hup: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _frame: hup.append(number))
    gc.set_threshold(100_000, 20, 100)
    locks.acquire(places.own(LOCK), 10.0)
    service = Service(places, time.time, _say)
    service.begin()
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    _say(f"counts {places.smtp_log} and {places.send_log}")
    while not told:
        more = service.step()
        if hup:
            hup.clear()
            service.save()
        if not more and not told:
            time.sleep(POLL_SECONDS)
    return 0 if service.save() else 111


def _say(text: str) -> None:
    servicelog.say("stats", text)
