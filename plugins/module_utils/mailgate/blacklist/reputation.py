# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adaptive blacklist's decisions: attempts are counted per client and judged by the settings' rule.

A client is an IPv4 address or a network /64 of IPv6 (clients.py); a /48 is refused when several of its /64s
are. An attempt is one scanned message or one refused recipient of a logged session. The address is the one of
the line `pid P from IP`, never one in another program's text; a line whose pid and address do not match an
open session is not counted. Times are the lines' own in unix seconds, so a log that is read late gives the
same result.

Memory is limited. At most addresses_max addresses are watched; the one without news for longest is dropped
first. At most events_max events are kept for each, and four times addresses_max in all. Clean messages are
remembered for addresses_max addresses, the last spare_ham times for each. At most entries_max addresses are
refused; peers' entries are dropped first, and of them the one that ends first. At most SESSIONS_MAX sessions
are open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..core.errors import BadInput
from ..core.times import rounded, utc
from ..formats.logged_address import in_field
from ..formats.smtpd_log import (
    NANOSECONDS,
    Connected,
    Ended,
    RecipientRefused,
    Record,
    SessionCount,
    Verdict,
)
from ..maillog.open_sessions import OpenSessions
from ..rules.fragments import AdaptiveEntry
from . import model, sites, state_items
from .clean_mail import CleanMail
from .clients import client_of, is_site, site_of
from .model import BAD, HAM, OPERATOR, PEER, RECIPIENT, RULE, SITE, VIRUS, Entry, Event
from .settings import EVENTS_MEAN, EVIDENCE_MAX, Settings

SESSIONS_MAX = 4096
DETAIL_CHARACTERS = 80
_DAY_SECONDS = 86_400
_CLOCK_TOLERANCE_SECONDS = 300
_ROUNDING = 100_000  # nanoseconds: simscan logs its time with four decimals
Exemptions = Callable[[str], str]


class _Session:
    __slots__ = ("address", "client", "counted", "last")

    def __init__(self, address: str, counted: int = 0) -> None:
        self.address, self.client = address, client_of(address)
        self.counted = counted
        # The verdict before: time, envelope, the event that was counted for it
        self.last: tuple[int, str, Event | None] | None = None


class _Client:
    __slots__ = ("bad", "events")

    def __init__(self, events: list[Event] | None = None) -> None:
        self.events: list[Event] = [] if events is None else events
        self.bad = sum(1 for event in self.events if event[1] in BAD)


class Reputation:
    """The attempts, entries and sessions of all clients; observe() takes the log's records in order.

    never returns why an address is never listed, or ''. changed is set when entries() has changed, and notes
    holds lines for the log; the caller resets both.
    """

    def __init__(self, settings: Settings, never: Exemptions) -> None:
        self.settings = settings
        self.never = never
        self.changed = True
        self.notes: list[str] = []
        self._sessions: OpenSessions[_Session] = OpenSessions(SESSIONS_MAX, self._forget)
        self._by_address: dict[str, list[_Session]] = {}
        # The client of the latest event is last. Ordered, because removing the first items of a dict is slow.
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._events = 0
        self._ham = CleanMail()
        self._entries: dict[str, Entry] = {}
        self._sites = sites.Sites()  # of the entries
        self._spared: dict[str, tuple[int, str]] = {}
        self._released: dict[str, int] = {}

    # Evidence from the log

    def observe(self, record: Record | None) -> None:
        """Count one record of the log."""
        if isinstance(record, Connected):
            self._connected(record)
        elif isinstance(record, Ended):
            self._sessions.end(record.pid)
        elif isinstance(record, SessionCount):
            self._sessions.count(record.sessions)
        elif isinstance(record, RecipientRefused):
            self._refused(record)
        elif isinstance(record, Verdict):
            self._judged(record)

    def _connected(self, record: Connected) -> None:
        before = self._sessions.continued(record)
        self._open(record.pid, _Session(record.address, 0 if before is None else before.counted))

    def _open(self, pid: int, session: _Session) -> None:
        self._sessions.begin(pid, session)
        self._by_address.setdefault(session.address, []).append(session)

    def _forget(self, session: _Session) -> None:
        others = self._by_address[session.address]
        others.remove(session)
        if not others:
            del self._by_address[session.address]

    def _refused(self, record: RecipientRefused) -> None:
        # Without a pid, as in version 0.2, the first session of this client with attempts left is counted.
        sessions: Iterable[_Session] = self._by_address.get(record.address, ())
        if record.pid is not None:
            own = self._sessions.get(record.pid)
            sessions = (own,) if own is not None and own.address == record.address else ()
        for session in sessions:
            if session.counted < self.settings.session_attempts:
                detail = f"{record.why}: {record.recipient} from {record.sender or '<>'}"
                self._count(session, record.at // NANOSECONDS, RECIPIENT, detail)
                return

    def _judged(self, verdict: Verdict) -> None:
        session = self._sessions.get(verdict.pid)
        if session is None or not verdict.is_of(session.address):
            return
        kind = model.kind_of(verdict, self.settings.marked, self.settings.spam_score)
        at = verdict.at // NANOSECONDS
        mark = f":{in_field(session.address)}:"
        text, _mark, envelope = verdict.tail.partition(mark)
        last = session.last
        # Two simscans of one session run one after the other, so one that began before the last verdict was
        # written has written that one, too.
        if (
            kind == VIRUS
            and last is not None
            and verdict.at - int(verdict.seconds * NANOSECONDS) < last[0] + _ROUNDING
            and verdict.tail.endswith(mark + last[1])
            and last[2] is not None
        ):
            self._take_back(session.client, last[2])
            session.counted -= 1
        if kind is None:
            session.last = (verdict.at, envelope, None)
            return
        words = verdict.state
        if verdict.score is not None and verdict.required is not None:
            words += f" {verdict.score:.1f} of {verdict.required:.1f}"
        event = self._count(session, at, kind, f"{words}: {text}")
        session.last = (verdict.at, envelope, event)

    def _count(self, session: _Session, at: int, kind: str, detail: str) -> Event | None:
        """Count one attempt and return its event; None when it is not counted."""
        settings = self.settings
        if session.counted >= settings.session_attempts:
            return None
        session.counted += 1
        address = session.client
        entry = self._entry(address, at)
        if entry is not None:
            entry.more += 1
            return None
        if at <= self._released.get(address, -1):
            return None
        event = (at, kind, detail[:DETAIL_CHARACTERS])
        client = self._clients.pop(address, None)
        if client is None:
            client = _Client()
        self._clients[address] = client
        client.events.append(event)
        self._events += 1
        if kind in BAD:
            client.bad += 1
        elif kind == HAM:
            self._ham.remember(address, at, settings.spare_ham, settings.addresses_max)
        begin = at - settings.window_seconds
        if client.events[0][0] <= begin or len(client.events) > settings.events_max:
            self._prune(client, begin)
        count = len(client.events)
        if count > settings.attempts and client.bad * 100 > settings.bad_percent * count:
            self._offence(address, client, at)
        self._evict(begin)
        return event

    def _prune(self, client: _Client, begin: int) -> None:
        kept = [event for event in client.events if event[0] > begin][-self.settings.events_max :]
        self._events -= len(client.events) - len(kept)
        client.events = kept
        client.bad = sum(1 for event in kept if event[1] in BAD)

    def _evict(self, begin: int) -> None:
        """Drop clients without events in the window; above the limits also those longest silent."""
        clients, most = self._clients, self.settings.addresses_max
        while clients:
            address = next(iter(clients))
            oldest = clients[address]
            if (
                oldest.events[-1][0] > begin
                and len(clients) <= most
                and (self._events <= EVENTS_MEAN * most or len(clients) == 1)
            ):
                return
            self._drop(address)

    def _drop(self, address: str) -> _Client | None:
        client = self._clients.pop(address, None)
        if client is not None:
            self._events -= len(client.events)
        return client

    def _take_back(self, address: str, event: Event) -> None:
        """Undo an event that belongs to the same message as the next one."""
        client = self._clients.get(address)
        if client is not None and client.events and client.events[-1] is event:
            client.events.pop()
            self._events -= 1
            client.bad -= event[1] in BAD
            if event[1] == HAM:
                self._ham.forget_last(address)
            if not client.events:
                self._drop(address)

    def ham(self, address: str, at: int) -> int:
        """Return how many clean messages the address had in spare_ham_seconds before at, up to spare_ham."""
        return self._ham.count(address, at - self.settings.spare_ham_seconds)

    def _offence(self, address: str, client: _Client, at: int) -> None:
        settings = self.settings
        why = f"{client.bad} of {len(client.events)} attempts bad in {rounded(settings.window_seconds)}"
        reason = self.never(address)
        ham = self.ham(address, at)
        if not reason and settings.spare_ham and ham >= settings.spare_ham:
            reason = f"{ham} clean messages in {rounded(settings.spare_ham_seconds)}"
        if not reason:
            self._drop(address)
            events = client.events[-EVIDENCE_MAX:]
            self._list(Entry(address, at, at + settings.listing_seconds, why, RULE, events))
            self._judge_site(site_of(address), at)
        else:
            self._spare(address, at, f"{why}; {reason}")

    def _spare(self, address: str, at: int, why: str) -> None:
        if self._spared.get(address, (0, ""))[0] > at:
            return
        self._spared.pop(address, None)
        self._spared[address] = (at + self.settings.listing_seconds, why)
        if len(self._spared) > self.settings.entries_max:
            del self._spared[next(iter(self._spared))]
        self._note(f"spared {address}: {why}")

    def _judge_site(self, site: str, at: int) -> None:
        """List a /48 when enough of its /64s are refused, and the others send little clean mail."""
        if not site or self._entry(site, at) is not None:
            return
        entries = [self._entries[one] for one in self._sites.refused_in(site)]
        case = sites.case(entries, at, self._released.get(site, -1), self.settings)
        if case is None or self._spared.get(site, (0, ""))[0] > at:
            return
        clean = self._ham.in_site(site, at - self.settings.spare_ham_seconds)
        reason = self.never(site) or case.spared_for(clean, self.settings)
        if reason:
            self._spare(site, at, f"{case.why}; {reason}")
        else:
            self._list(Entry(site, at, at + self.settings.listing_seconds, case.why, RULE, case.events()))

    def _list(self, entry: Entry) -> None:
        self._put(entry)
        self._note(f"listed {entry.address} until {utc(entry.until)}: {entry.why}")

    def _entry(self, address: str, at: int) -> Entry | None:
        """Return the entry that refuses a client at that time: its own, or that of its /48."""
        for one in (self._entries.get(address), self._entries.get(site_of(address))):
            if one is not None and one.end > at:
                return one
        return None

    def _put(self, entry: Entry) -> None:
        self._entries[entry.address] = entry
        self._sites.add(entry.address)
        self.changed = True
        if len(self._entries) > self.settings.entries_max:
            # Those of peers first: however many they list, this host's own entries stay.
            first = min(self._entries.values(), key=lambda one: (one.by != PEER, one.until))
            self._remove(first.address)
            self._note(f"dropped {first.address}: more than {self.settings.entries_max} entries")

    def _remove(self, address: str) -> Entry | None:
        self._sites.remove(address)
        return self._entries.pop(address, None)

    def _note(self, text: str) -> None:
        if len(self.notes) < 10_000:
            self.notes.append(text)

    # Orders of people

    def configure(self, settings: Settings, now: int) -> None:
        """Change the settings: released addresses are dropped, listed ones keep their end."""
        self.settings = settings
        for address in settings.released:
            if self._entry(address, now) is not None or is_site(address):
                self.release(address, now, SITE)
        self.changed = True

    def add(self, address: str, until: int, why: str, now: int, by: str = OPERATOR) -> None:
        """List an address by an operator's order, or a peer's; raises BadInput for one never listed."""
        reason = self.never(address)
        if reason:
            raise BadInput(f"address {address!r}: never listed, {reason}; expected another one")
        client = self._drop(address)
        self._put(Entry(address, now, until, why, by, client.events[-EVIDENCE_MAX:] if client else ()))
        self._note(f"{'heard' if by == PEER else 'added'} {address} until {utc(until)}: {why}")

    def release(self, address: str, now: int, by: str = OPERATOR) -> bool:
        """End the entries of a client, of the /48 around it, and of the /64s in it if it is one.

        What was counted until now is discarded. Return whether there was an entry.
        """
        clients = [one for one in (address, site_of(address)) if one]
        if is_site(address):
            clients += [one for one in (*self._entries, *self._clients) if site_of(one) == address]
        ended = False
        for one in dict.fromkeys(clients):
            entry = self._remove(one)
            self._drop(one)
            self._released[one] = now
            if entry is not None:
                ended = self.changed = True
                self._note(f"released {one} by {by}: it was refused until {utc(entry.until)}, {entry.why}")
        return ended

    # Results

    def expire(self, now: int, trusted: bool = True) -> None:
        """End the entries, spared addresses and releases that are over.

        What was made by a clock that was ahead of this one gets the end that it would have if made now. By a
        clock that is not trusted nothing is deleted and no such end is saved: an entry that is over by it
        does not refuse, and does again when the clock is as before.
        """
        for entry in self._entries.values():
            self._cap(entry, now, trusted)
        for address, at in self._released.items():
            if at > now:  # else nothing of it would count until then
                self._released[address] = now
        if not trusted:
            return
        latest = now + self.settings.listing_seconds
        for address, (until, why) in self._spared.items():
            if until > latest:
                self._spared[address] = (latest, why)
        for address in [one.address for one in self._entries.values() if one.until <= now]:
            entry = self._entries[address]
            self._remove(address)
            self._note(f"expired {address}: {entry.why}")
            self.changed = True
        for address in [address for address, one in self._spared.items() if one[0] <= now]:
            del self._spared[address]
        for address in [one for one, at in self._released.items() if at + self._kept_seconds(one) <= now]:
            del self._released[address]

    def _kept_seconds(self, released: str) -> int:
        """Return how long a release is remembered: while attempts count, or entries count against a /48."""
        settings = self.settings
        window = settings.window_seconds
        return max(window, settings.listing_seconds) if is_site(released) else window

    def _cap(self, entry: Entry, now: int, trusted: bool) -> None:
        """Give an entry of a clock that was ahead an end by this one, which is its own once it is trusted."""
        before, capped = entry.end, entry.capped
        latest = entry.until
        if entry.by == RULE:
            latest = now + self.settings.listing_seconds
        elif entry.by == OPERATOR and entry.since > now + _CLOCK_TOLERANCE_SECONDS:
            latest = now + entry.until - entry.since
        if entry.until <= latest:
            entry.capped = None
        else:
            entry.capped = latest if capped is None else min(capped, latest)
            if trusted:
                entry.since, entry.until, entry.capped = min(entry.since, now), entry.capped, None
        self.changed = self.changed or entry.end != before

    def _site_entries(self, now: int) -> Iterator[Entry]:
        for one in self.settings.added:
            # The compiler needs an end, so this one moves forward once a day.
            until = one.until if one.until is not None else (now // _DAY_SECONDS + 2) * _DAY_SECONDS
            if until > now:
                yield Entry(one.address, 0, until, one.note or "added by the site", SITE, ())

    def current(self, now: int) -> list[Entry]:
        """Return the entries in force, by address; of several for one address the site's counts."""
        found = {
            entry.address: entry
            for entry in (*self._entries.values(), *self._site_entries(now))
            if entry.end > now and not self.never(entry.address)
        }
        return [found[address] for address in sorted(found)]

    def entries(self, now: int) -> list[AdaptiveEntry]:
        """Return the content of 30-adaptive."""
        return [AdaptiveEntry(one.address, one.end, one.why) for one in self.current(now)]

    def explain(self, address: str, now: int) -> dict[str, Any]:
        """Return everything known about an address, as JSON values."""
        found = {one.address: one for one in self.current(now)}
        entry = found.get(address) or found.get(site_of(address))
        client = self._clients.get(address)
        begin = now - self.settings.window_seconds
        events = [event for event in client.events if event[0] > begin] if client else []
        told: dict[str, Any] = {
            "address": address,
            "refused": entry is not None,
            "never": self.never(address),
            "spared": self._spared.get(address, (0, ""))[1],
            "attempts": len(events),
            "bad": sum(1 for event in events if event[1] in BAD),
            "ham": self.ham(address, now),
            "events": [model.event_words(event) for event in (entry.events if entry else events)],
        }
        if entry is not None:
            told.update(model.entry_words(entry))
            if entry.address != address:
                told["why"] = f"{entry.address}: {entry.why}"
        return told

    def listing(self, now: int) -> dict[str, Any]:
        """Return entries and spared addresses, as JSON values."""
        return {
            "entries": [{"address": one.address, **model.entry_words(one)} for one in self.current(now)],
            "spared": [
                {"address": address, "why": why} for address, (_until, why) in sorted(self._spared.items())
            ],
        }

    def counts(self) -> dict[str, int]:
        """Return how much of each kind is kept."""
        return {
            "addresses": len(self._clients),
            "events": self._events,
            "sessions": len(self._sessions),
            "ham_addresses": len(self._ham),
            "entries": len(self._entries),
        }

    # State

    def sections(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """Yield (name, items) of everything, as JSON values for restore()."""
        yield "sessions", ([pid, one.address, one.counted] for pid, one in self._sessions.items())
        yield "clients", ([address, client.events] for address, client in self._clients.items())
        yield "ham", ([address, times] for address, times in self._ham.items())
        yield (
            "entries",
            (
                [one.address, one.since, one.until, one.why, one.by, one.events, one.more]
                for one in self._entries.values()
            ),
        )
        yield "spared", ([address, *one] for address, one in self._spared.items())
        yield "released", ([address, at] for address, at in self._released.items())

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values, which state_items.flat() makes items of."""
        return {"version": state_items.VERSION, **{name: list(items) for name, items in self.sections()}}

    def restore(self, version: object, items: Iterable[tuple[str, Any]]) -> None:
        """Replace everything by (section, item) of sections(); raises BadInput, then nothing is replaced."""
        state = state_items.parse(version, items)
        self._sessions, self._by_address = OpenSessions(SESSIONS_MAX, self._forget), {}
        for pid, address, counted in state.sessions:
            self._open(pid, _Session(address, counted))
        self._clients = OrderedDict((one, _Client(events)) for one, events in state.clients.items())
        self._ham = CleanMail(state.ham)
        self._events = sum(len(client.events) for client in self._clients.values())
        self._entries, self._spared, self._released = state.entries, state.spared, state.released
        self._sites = sites.Sites()
        for address in self._entries:
            self._sites.add(address)
        self.changed = True
