# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SMTP sessions in the log of qmail-smtpd's service: the session of a line, and all lines of a session."""

from __future__ import annotations

from collections.abc import Iterator

from ..formats import session_id
from ..formats import smtpd_log as smtplog
from ..formats.smtpd_log import NANOSECONDS
from .archive import LineRef, Log
from .journey import Session
from .verdicts import ACCEPTED

SESSION_SECONDS_MAX = 6 * 3600  # an older line with the same pid is of another session
LATE_SECONDS = 60  # smtpfront keeps lines for which the log has no room, so they may be later than others'
OPEN_SECONDS = 3600
OPEN_LOOKED_AT = 50  # sessions of one client that are examined to assign a refused recipient
# Outcomes that a session can have had before qmail-smtpd refuses one of its recipients
JUDGED_AT_SMTP = frozenset(
    (
        *ACCEPTED,
        "bad sender",
        "relay denied",
        "unknown recipient",
        "protocol error",
        "virus",
        "spam",
        "refused content",
        "put off",
        "beyond scan limits",
        "client left",
    )
)


def _needles(name: bytes) -> tuple[bytes, ...]:
    """Return the texts that lines contain of the session with this pid, or with this id in smtpfront."""
    return (
        b"[" + name + b"]:",
        b": pid " + name + b" from ",
        b": ok " + name + b" ",
        b": deny " + name + b" ",
        b": end " + name + b" ",
        b" pid " + name + b": ",
        b" pid " + name + b"\n",
        b" pid " + name + b" tls=",
        b" pid " + name + b" qp ",
        b" id " + name + b"\n",
        b" id " + name + b" tls=",
    )


def _name(record: object) -> bytes:
    """Return what names the record's session in the lines of its program: the pid, or the id in smtpfront."""
    named = session_id.session_of(getattr(record, "id", ""))
    pid = getattr(record, "pid", 0)
    return (named if named and session_id.number_of(named) == pid else str(pid)).encode("ascii")


def _has_id(record: object) -> bool:
    """Return whether the session has an id, which no other session has had, in the lines of smtpfront."""
    return _name(record) != str(getattr(record, "pid", 0)).encode("ascii")


class Sessions:
    """The sessions of one log, each parsed once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[LineRef, tuple[Session, LineRef]] = {}

    def beginnings(self, hit: LineRef) -> list[LineRef]:
        """Return the beginnings of the sessions that a line of qmail-smtpd's log may belong to."""
        record = smtplog.parse(self._log.line(hit))
        if isinstance(getattr(record, "pid", None), int):
            begin = self._begin(hit, record)
            return [] if begin is None else [self._in_front(begin)]
        address = getattr(record, "address", None)
        if isinstance(address, str) and record is not None:
            return self._open(address, hit, record.at)
        return []

    def _begin(self, hit: LineRef, record: object) -> LineRef | None:
        """Return the first line, as far as the log has it, of the part of the session with this name."""
        if isinstance(record, smtplog.Connected):
            return hit
        name = _name(record)
        earliest = self._earliest(hit)
        begin = self._first(
            smtplog.Connected, self._log.backward(b": pid " + name + b" from ", earliest, hit)
        )
        if begin is None and _has_id(record):  # smtpfront says some things before that line
            until = self._log.at((self._log.time(hit) or 0) + OPEN_SECONDS * NANOSECONDS)
            begin = self._first(
                smtplog.Connected, self._log.forward(b": pid " + name + b" from ", hit, until)
            )
            if begin is not None:
                return begin
        ended = self._first(smtplog.Ended, self._log.backward(b": end " + name + b" ", earliest, hit))
        if begin is not None and (ended is None or ended < begin):
            return begin
        # The log no longer has its beginning: use its first line after the end of the session before.
        after = self._log.after(ended) if ended is not None else earliest
        first = hit
        for needle in _needles(name):
            first = min(
                [first, *self._log.forward(needle, after, hit)], key=lambda place: (place.file, place.offset)
            )
        return first

    def _earliest(self, hit: LineRef) -> LineRef:
        here = self._log.time(hit) or 0
        return LineRef(self._log.around(here - SESSION_SECONDS_MAX * NANOSECONDS), 0)

    def _in_front(self, begin: LineRef) -> LineRef:
        """Return the beginning in smtpfront of a session that it has handed over, or the same line."""
        record = smtplog.parse(self._log.line(begin))
        if not isinstance(record, smtplog.Connected) or not record.id or session_id.is_of_front(record):
            return begin
        needle = b": pid " + record.id.encode("ascii") + b" from "
        here = self._log.time(begin) or 0
        last = self._log.at(here + LATE_SECONDS * NANOSECONDS)
        found = self._first(smtplog.Connected, self._log.backward(needle, self._earliest(begin), last))
        return begin if found is None else found

    def _first(self, kind: type, places: Iterator[LineRef]) -> LineRef | None:
        """Return the first of these lines that really is a record of that kind."""
        return next(
            (place for place in places if isinstance(smtplog.parse(self._log.line(place)), kind)), None
        )

    def _open(self, address: str, hit: LineRef, at: int) -> list[LineRef]:
        """Return the beginnings of the client's sessions that may have logged this: open, not greylisted."""
        earliest = LineRef(self._log.around(at - OPEN_SECONDS * NANOSECONDS), 0)
        found = []
        needle = b" from " + address.encode("ascii", "replace") + b"\n"
        for looked, begin in enumerate(self._log.backward(needle, earliest, hit)):
            if looked >= OPEN_LOOKED_AT:
                break
            record = smtplog.parse(self._log.line(begin))
            if not isinstance(record, smtplog.Connected):
                continue
            session, end = self.session(begin)
            passed = all(one.at > at or one.kind in JUDGED_AT_SMTP for one in session.attempts)
            if passed and hit < end:
                found.append(begin)
        return list(reversed(found))

    def session(self, begin: LineRef) -> tuple[Session, LineRef]:
        """Return the session that begins there, without qmail-smtpd's lines (no pid), and its last line."""
        known = self._known.get(begin)
        if known is not None:
            return known
        first = smtplog.parse(self._log.line(begin))
        rest = None if first is None or not session_id.is_of_front(first) else self._handed_over(begin, first)
        session = Session(getattr(first, "pid", 0), handed_over=rest is not None)
        end = self._add_part(session, begin, first)
        if rest is not None:
            record = smtplog.parse(self._log.line(rest))
            session.pid = getattr(record, "pid", 0)
            end = self._add_part(session, rest, record)
            session.steps.sort(key=lambda step: step.at)
            session.attempts.sort(key=lambda attempt: attempt.at)
        self._known[begin] = (session, end)
        return self._known[begin]

    def _handed_over(self, begin: LineRef, first: smtplog.Record) -> LineRef | None:
        """Return the launcher's first line of a session of smtpfront, or None if it was not handed over."""
        needle = b" id " + _name(first) + b"\n"
        here = self._log.time(begin) or 0
        earliest = self._log.at(here - LATE_SECONDS * NANOSECONDS)
        for place in self._log.forward(needle, earliest, self._latest(begin)):
            record = smtplog.parse(self._log.line(place))
            if isinstance(record, smtplog.Connected) and not session_id.is_of_front(record):
                return place
        return None

    def _latest(self, begin: LineRef) -> LineRef:
        here = self._log.time(begin) or 0
        return LineRef(self._log.around(here + SESSION_SECONDS_MAX * NANOSECONDS) + 1, 0)

    def _add_part(self, session: Session, begin: LineRef, first: smtplog.Record | None) -> LineRef:
        """Add the lines with the pid, or in smtpfront the id, of the first one; return the last line."""
        name, pid = _name(first), getattr(first, "pid", 0)
        last = self._latest(begin)
        end = self._first(smtplog.Ended, self._log.forward(b": end " + name + b" ", begin, last))
        if end is not None:
            last = self._log.after(end)
        again = self._first(
            smtplog.Connected,
            self._log.forward(b": pid " + name + b" from ", self._log.after(begin), last),
        )
        if again is not None:
            end, last = None, again
        if end is None:
            # A session that was killed with its tcpserver has no end; the next tcpserver logs 0 open
            # sessions.
            none = self._first(
                smtplog.SessionCount,
                self._log.forward(b" tcpserver: status: 0/", self._log.after(begin), last),
            )
            last = last if none is None else none
        places, since = {begin}, begin
        if _has_id(first):
            since = self._log.at((self._log.time(begin) or 0) - OPEN_SECONDS * NANOSECONDS)
        for needle in _needles(name):
            places.update(self._log.forward(needle, since, last))
        for place in sorted(places, key=lambda one: (one.file, one.offset)):
            record = smtplog.parse(self._log.line(place))
            if record is None or getattr(record, "pid", None) != pid:
                continue
            if isinstance(record, smtplog.Verdict) and session.address and not record.is_of(session.address):
                continue
            session.add(record)
        return end if end is not None else last

    def add_refusals(self, session: Session, begin: LineRef, last: LineRef) -> None:
        """Add the refusals of version 0.2 and before, without a pid, for this client while it was open."""
        address = (session.address or "").encode("ascii", "replace")
        extra: list[tuple[int, smtplog.Record, str]] = []
        for needle in (b" at " + address + b"\n", b" hanging up on " + address + b"\n"):
            for place in self._log.forward(needle, begin, last):
                record = smtplog.parse(self._log.line(place))
                if not isinstance(record, (smtplog.RecipientRefused, smtplog.CommandRefused, smtplog.HungUp)):
                    continue
                if record.pid is not None:
                    continue  # it is known whose it is
                whose = self._open(session.address or "", place, record.at)
                if begin in whose:
                    note = "" if len(whose) == 1 else f" (or another of {len(whose)} sessions of this client)"
                    extra.append((record.at, record, note))
        for _at, record, note in sorted(extra, key=lambda one: one[0]):
            session.add(record, note)
        session.steps.sort(key=lambda step: step.at)
        session.attempts.sort(key=lambda attempt: attempt.at)
