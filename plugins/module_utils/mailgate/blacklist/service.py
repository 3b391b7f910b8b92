# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service adaptive-blacklist: follow qmail-smtpd's log and write the fragment 30-adaptive.

It runs as a user of its own, which may read the log and the rules and write only its own directory:
  30-adaptive   the refused addresses with end and reason, which the rules compiler reads
  state.json    everything that was counted, and the position in the log up to which it was
  socket        for the requests of `mailgate blacklist`; it answers root and its own user
After a crash it continues with the last state and the lines of the log from that position on. An order is
in the state before it is answered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core import servicelog
from ..core.clock import TOLERANCE_SECONDS, ClockTrust, since_boot
from ..core.errors import BadInput, MailgateError
from ..core.files import atomic_write, open_regular, remove_temporary
from ..core.paths import BLACKLIST_DIRECTORY, BLACKLIST_SETTINGS, RULES_DIRECTORY, SMTP_LOG
from ..core.servicelog import Complaints
from ..core.sockets import listen, parse_json, peer_uid, receive_request, send_answer
from ..formats import tcprules
from ..formats.multilog import Follower, Position
from ..formats.networks import parse_network
from ..formats.smtpd_log import NANOSECONDS, parse
from ..formats.smtpd_records import Record
from ..rules import fragments
from . import peers, state_file
from . import settings as blacklist_settings
from .clients import check_client, site_of
from .exemptions import Exemptions, facts_of
from .model import OPERATOR, ORDER_SECONDS_MAX, PEER
from .reputation import Reputation
from .settings import Settings
from .state_items import VERSION

STATE, SOCKET = "state.json", "socket"

POLL_SECONDS = 0.2
WRITE_SECONDS = 0.5  # between writes of 30-adaptive while there is more to read
LOOK_SECONDS = 1.0  # between checks of settings, facts and the clock
SAVE_SECONDS = 30.0  # between saves, and at least SAVE_SHARE times the time of one
SAVE_SHARE = 20
RENEW_SECONDS = 60.0
PEER_SECONDS = 2.0
REQUEST_BYTES_MAX = 65_536
FILE_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class ServicePaths:
    """The service's files and directories."""

    log: str = SMTP_LOG
    directory: str = BLACKLIST_DIRECTORY
    rules: str = RULES_DIRECTORY
    settings: str = BLACKLIST_SETTINGS

    def own(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def rule(self, name: str) -> str:
        return os.path.join(self.rules, name)


def memory_limit() -> int:
    """Return the bytes that this process may have, as softlimit -m sets them; very many without a limit."""
    limits = [resource.getrlimit(one)[0] for one in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((one for one in limits if one != resource.RLIM_INFINITY), default=1 << 62)


class _Watched:
    """A file that is read again after it has changed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def changed(self) -> bool:
        """Return whether the file differs from the last call; a missing file counts as a version."""
        try:
            status = os.stat(self.path)
            now: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            now = ()
        before, self._seen = self._seen, now
        return now != before

    def forget(self) -> None:
        self._seen = None

    def text(self) -> str:
        """Return the file's text; raises OSError, and BadInput for a file that is too big."""
        with open(self.path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read(FILE_BYTES_MAX)
        if len(text) == FILE_BYTES_MAX:
            raise BadInput(f"file {self.path}: more than {FILE_BYTES_MAX} bytes; expected a smaller one")
        return text


class Service:
    """The service without its loop: step() does what is due and returns whether there may be more."""

    def __init__(
        self,
        places: ServicePaths,
        clock: Callable[[], float],
        say: Callable[[str], None],
        steady: Callable[[], float] | None = None,
    ) -> None:
        """Start without a state; steady is the time since boot, without which the clock is always trusted."""
        self.places = places
        self._clock, self._say = clock, say
        self._steady = clock if steady is None else steady
        self._trust = ClockTrust(clock, self._steady)
        self.never = Exemptions()
        self.reputation = Reputation(Settings(), self.never)
        self.follower = Follower(places.log)
        self._settings = _Watched(places.settings)
        self._site = _Watched(places.rule(fragments.SITE))
        self._operator = _Watched(places.rule(fragments.OPERATOR))
        self._written: str | None = None
        self._looked = self._wrote = self._renewed = self._saved = float("-inf")
        self._save_pause = SAVE_SECONDS
        self._complaints = Complaints(clock, say)
        self.lines = 0

    def begin(self) -> None:
        """Restore the saved state, and log what was found."""
        remove_temporary(self.places.directory)
        self.never.take_settings(self.reputation.settings)
        path = self.places.own(STATE)
        try:
            with os.fdopen(open_regular(path), encoding="utf-8") as stream:
                self._load(*state_file.read(stream))
        except FileNotFoundError:
            self._say("no state yet: the whole log is read")
        except (ValueError, BadInput, MemoryError, OSError) as error:
            why = "it needs more memory than there is" if isinstance(error, MemoryError) else error
            os.rename(path, path + ".damaged")
            self._say(f"{path}: {why}; kept as {path}.damaged, the whole log is read")
        with (
            contextlib.suppress(OSError),
            open(self.places.own(fragments.ADAPTIVE), encoding="ascii") as stream,
        ):
            self._written = stream.read()
        self._look()
        self._saved = self._clock()

    def _load(self, state: dict[str, Any], version: object, items: Iterable[tuple[str, Any]]) -> None:
        position = None if state.get("position") is None else Position.from_json(state["position"])
        saved = state.get("settings") or {}
        if not isinstance(saved, dict):
            raise BadInput("its settings are not an object; expected what the service wrote")
        settings = blacklist_settings.make(saved, "state", [])
        known = state.get("never")
        if known is not None:
            try:
                networks = {reason: [parse_network(one) for one in texts] for reason, texts in known.items()}
                self.never.take_site(networks)
            except (AttributeError, TypeError) as error:
                raise BadInput(f"{error} in its networks; expected what the service wrote") from error
        self._trust = ClockTrust(self._clock, self._steady, state.get("clock"))
        self.reputation.restore(version, items)
        self.never.take_settings(settings)
        self.reputation.settings = self._fitting(settings)
        self.follower = Follower(self.places.log, position)

    def step(self) -> bool:
        """Read, count and write; return whether there is probably more to read."""
        now = self._clock()
        if not 0 <= now - self._looked < LOOK_SECONDS:
            self._look()
        try:
            lines = self.follower.read()
        except OSError as error:
            lines = []
            self._complaints.add(f"log {self.places.log}: {error}; expected to read it")
        observe = self.reputation.observe
        for line in lines:
            observe(self._not_ahead(parse(line), now))
        self.lines += len(lines)
        for note in self.follower.notes:
            self._say(f"log {self.places.log}: {note}")
        self.follower.notes.clear()
        if not lines or not 0 <= now - self._wrote < WRITE_SECONDS:
            self.write()
        if not 0 <= now - self._saved < self._save_pause:
            self.save()
        return bool(lines)

    def _not_ahead(self, record: Record | None, now: float) -> Record | None:
        """Return the record with the time of now when its stamp is of a clock that was ahead of this one."""
        if record is None or record.at <= int((now + TOLERANCE_SECONDS) * NANOSECONDS):
            return record
        return dataclasses.replace(record, at=int(now * NANOSECONDS)) if self._trust.trusted() else record

    def _look(self) -> None:
        """Check the clock, settings, facts and the operator's rules for changes."""
        now = self._clock()
        self._looked = now
        if self._site.changed():
            self._try("10-site", lambda: self.never.take_site(facts_of(self._site.text())))
            self.reputation.changed = True
        if self._operator.changed():
            self._try("20-operator", self._take_operator)
            self.reputation.changed = True
        if self._settings.changed():
            self._try("settings", lambda: self._configure(int(now)))
        self.reputation.expire(int(now), trusted=self._trust.trusted())

    def _take_operator(self) -> None:
        try:
            rules: tcprules.Rules | None = tcprules.parse(self._operator.text(), fragments.OPERATOR)
        except FileNotFoundError:
            rules = None
        self.never.take_operator(rules)

    def _configure(self, now: int) -> None:
        left_out: list[str] = []
        settings = blacklist_settings.parse(self._settings.text(), self.places.settings, left_out)
        self.never.take_settings(settings)
        self.reputation.configure(self._fitting(settings), now)
        self._say("the settings were read")
        for fault in left_out:
            self._say(f"left out: {fault}")

    def _fitting(self, settings: Settings) -> Settings:
        """Return the settings with bounds for which the memory limit of this process suffices."""
        limit = memory_limit()
        fits = blacklist_settings.fitting(settings, limit)
        if fits != settings:
            needed = blacklist_settings.needed_bytes(settings)
            self._say(
                f"the memory limit of {limit} bytes is less than the {needed} "
                f"that {settings.addresses_max} addresses and {settings.entries_max} entries need: "
                f"at most {fits.addresses_max} addresses are watched and {fits.entries_max} refused"
            )
        return fits

    def _try(self, what: str, take: Callable[[], None]) -> None:
        try:
            take()
        except (MailgateError, OSError) as error:
            self._say(f"{what}: {error}; the last valid version stays in force")

    def look_again(self) -> None:
        """Read settings and facts again, even if they are unchanged."""
        for watched in (self._settings, self._site, self._operator):
            watched.forget()
        self._looked = float("-inf")

    def write(self) -> bool:
        """Update 30-adaptive; return whether it is up to date."""
        now = self._clock()
        if not self.reputation.changed and 0 <= now - self._renewed < RENEW_SECONDS:
            self._tell()
            return True
        text = self._rendered(self.reputation.entries(int(now)))
        if text != self._written:
            try:
                with atomic_write(self.places.own(fragments.ADAPTIVE), 0o644) as stream:
                    stream.write(text.encode("ascii"))
            except OSError as error:
                self._complaints.add(f"{self.places.own(fragments.ADAPTIVE)}: {error}; expected to write it")
                return False
            self._written = text
        self.reputation.changed = False
        self._renewed = self._wrote = now
        self._tell()
        return True

    def _rendered(self, entries: list[fragments.AdaptiveEntry]) -> str:
        """Return the text of 30-adaptive, without an entry that cannot stand there."""
        try:
            return fragments.render_adaptive(entries)
        except BadInput:
            texts = []
            for entry in entries:
                try:
                    texts.append(fragments.render_adaptive([entry]))
                except BadInput as error:
                    self._complaints.add(f"left out: {error}")
            return "".join(texts)

    def _tell(self) -> None:
        for note in self.reputation.notes:
            self._say(note)
        self.reputation.notes.clear()

    def save(self) -> bool:
        """Write the state; return whether that succeeded."""
        begin = time.monotonic()
        position = self.follower.position
        state = {
            "position": None if position is None else position.to_json(),
            "settings": blacklist_settings.as_values(self.reputation.settings),
            "never": self.never.known_texts(),
            "clock": self._trust.to_json(),
        }
        self._saved = self._clock()
        try:
            with atomic_write(self.places.own(STATE), 0o600) as stream:
                for piece in state_file.pieces(state, VERSION, self.reputation.sections()):
                    stream.write(piece)
        except OSError as error:
            self._complaints.add(f"{self.places.own(STATE)}: {error}; expected to write it")
            return False
        finally:
            self._save_pause = max(SAVE_SECONDS, SAVE_SHARE * (time.monotonic() - begin))
        return True

    # Requests

    def answer(self, request: Any) -> dict[str, Any]:
        """Return the answer to one request, as JSON values; 'error' in it says what is wrong."""
        now = int(self._clock())
        try:
            if not isinstance(request, dict):
                raise BadInput(f"request: {request!r:.40} is not an object; expected one")
            do = request.get("do")
            if do == "list":
                return {
                    **self.reputation.listing(now),
                    "counts": self.reputation.counts(),
                    "lines": self.lines,
                }
            address = check_client(request.get("address"), "address")
            if do == "explain":
                return self.reputation.explain(address, now)
            if do == "release":
                added = {one.address for one in self.reputation.settings.added}
                if added & {address, site_of(address)}:
                    raise BadInput(f"address {address!r}: added by the site; expected to release it there")
                by = OPERATOR if request.get("peer") is None else PEER
                released = self.reputation.release(address, now, by)
                self._settle()
                return {"address": address, "released": released}
            if do == "hear":
                until, why, peer = (request.get(name) for name in ("until", "why", "peer"))
                spared = peers.hear(self.reputation, address, until, why, peer, now)
                self._settle()
                return {"spared": spared}
            if do == "add":
                self._add(request, address, now)
                self._settle()
                return self.reputation.explain(address, now)
            raise BadInput(f"request: {do!r} is unknown; expected list, explain, release, add or hear")
        except MailgateError as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": str(error), "temporary": True}

    def _add(self, request: Mapping[str, Any], address: str, now: int) -> None:
        seconds, why = request.get("seconds"), request.get("why")
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= ORDER_SECONDS_MAX:
            raise BadInput(f"time: {seconds!r} is out of range; expected 1 to {ORDER_SECONDS_MAX} seconds")
        if not isinstance(why, str) or not 1 <= len(why) <= 150 or not (why.isascii() and why.isprintable()):
            raise BadInput(
                f"note: {why!r:.160} is not plain; expected 1 to 150 characters of printable ASCII"
            )
        self.reputation.add(address, now + seconds, why, now)

    def _settle(self) -> None:
        if not self.save() or not self.write():
            raise OSError("accepted, but not written yet; see the log of adaptive-blacklist")


def _serve_one(listener: socket.socket, service: Service) -> None:
    """Answer one caller within PEER_SECONDS; errors of the connection are ignored."""
    try:
        connection, _name = listener.accept()
    except OSError:
        return
    with connection, contextlib.suppress(OSError):
        if peer_uid(connection) not in (0, os.geteuid()):
            return
        try:
            request = parse_json(receive_request(connection, PEER_SECONDS, REQUEST_BYTES_MAX))
        except BadInput as error:
            answer = {"error": str(error)}
        else:
            answer = service.answer(request)
        send_answer(connection, answer, PEER_SECONDS)


def serve(places: ServicePaths) -> int:
    """Run until SIGTERM; SIGHUP rereads settings and facts. Raises OSError for missing files."""
    hup: list[int] = []
    told: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _frame: hup.append(number))
    # The data contain few cycles and many long-lived objects.
    gc.set_threshold(100_000, 20, 100)
    service = Service(places, time.time, _say, since_boot)
    service.begin()
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    listener = listen(places.own(SOCKET), 16)
    listener.setblocking(False)
    _say(f"reads {places.log}, {service.reputation.counts()['entries']} entries")
    with listener:
        while not told:
            more = service.step()
            if hup:
                hup.clear()
                service.look_again()
            if select.select([listener], [], [], 0 if more else POLL_SECONDS)[0]:
                _serve_one(listener, service)
        service.write()
        return 0 if service.save() else 111


def _say(text: str) -> None:
    servicelog.say("adaptive-blacklist", text)
