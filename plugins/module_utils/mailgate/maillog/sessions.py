# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SMTP sessions in the log of qmail-smtpd's service: the session of a line, and all lines of a session."""

from __future__ import annotations

from collections.abc import Iterator

from ..formats import smtpd_log as smtplog
from ..formats.smtpd_log import NANOSECONDS
from .archive import LineRef, Log
from .journey import Session
from .verdicts import ACCEPTED

SESSION_SECONDS_MAX = 6 * 3600  # an older line with the same pid is of another session
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


def _needles(number: bytes) -> tuple[bytes, ...]:
    """Return the texts that lines of the session with this pid contain."""
    return (
        b"[" + number + b"]:",
        b" tcpserver: pid " + number + b" from ",
        b" tcpserver: ok " + number + b" ",
        b" tcpserver: deny " + number + b" ",
        b" tcpserver: end " + number + b" ",
        b" pid " + number + b": ",
    )


class Sessions:
    """The sessions of one log, each parsed once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[LineRef, tuple[Session, LineRef]] = {}

    def beginnings(self, hit: LineRef) -> list[LineRef]:
        """Return the beginnings of the sessions that a line of qmail-smtpd's log may belong to."""
        record = smtplog.parse(self._log.line(hit))
        pid = getattr(record, "pid", None)
        if isinstance(pid, int):
            begin = self._begin(pid, hit, record)
            return [] if begin is None else [begin]
        address = getattr(record, "address", None)
        if isinstance(address, str) and record is not None:
            return self._open(address, hit, record.at)
        return []

    def _begin(self, pid: int, hit: LineRef, record: object) -> LineRef | None:
        """Return the first line, as far as the log has it, of the session of a line with this pid."""
        if isinstance(record, smtplog.Connected):
            return hit
        number = str(pid).encode("ascii")
        here = self._log.time(hit) or 0
        earliest = LineRef(self._log.around(here - SESSION_SECONDS_MAX * NANOSECONDS), 0)
        begin = self._first(
            smtplog.Connected, self._log.backward(b" tcpserver: pid " + number + b" from ", earliest, hit)
        )
        ended = self._first(
            smtplog.Ended, self._log.backward(b" tcpserver: end " + number + b" ", earliest, hit)
        )
        if begin is not None and (ended is None or ended < begin):
            return begin
        # The log no longer has its beginning: use its first line after the end of the session before.
        after = self._log.after(ended) if ended is not None else earliest
        first = hit
        for needle in _needles(number):
            first = min(
                [first, *self._log.forward(needle, after, hit)], key=lambda place: (place.file, place.offset)
            )
        return first

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
        pid = getattr(first, "pid", 0)
        session = Session(pid)
        number = str(pid).encode("ascii")
        here = self._log.time(begin) or 0
        last = LineRef(self._log.around(here + SESSION_SECONDS_MAX * NANOSECONDS) + 1, 0)
        end = self._first(smtplog.Ended, self._log.forward(b" tcpserver: end " + number + b" ", begin, last))
        if end is not None:
            last = self._log.after(end)
        again = self._first(
            smtplog.Connected,
            self._log.forward(b" tcpserver: pid " + number + b" from ", self._log.after(begin), last),
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
        places = {begin}
        for needle in _needles(number):
            places.update(self._log.forward(needle, begin, last))
        for place in sorted(places, key=lambda one: (one.file, one.offset)):
            record = smtplog.parse(self._log.line(place))
            if record is None or getattr(record, "pid", None) != pid:
                continue
            if isinstance(record, smtplog.Verdict) and session.address and not record.is_of(session.address):
                continue
            session.add(record)
        self._known[begin] = (session, end if end is not None else last)
        return self._known[begin]

    def add_refusals(self, session: Session, begin: LineRef, last: LineRef) -> None:
        """Add the refusals, logged without a pid, for this client while the session was open."""
        address = (session.address or "").encode("ascii", "replace")
        extra: list[tuple[int, smtplog.Record, str]] = []
        for needle in (b" at " + address + b"\n", b" hanging up on " + address + b"\n"):
            for place in self._log.forward(needle, begin, last):
                record = smtplog.parse(self._log.line(place))
                if not isinstance(record, (smtplog.RecipientRefused, smtplog.CommandRefused, smtplog.HungUp)):
                    continue
                whose = self._open(session.address or "", place, record.at)
                if begin in whose:
                    note = "" if len(whose) == 1 else f" (or another of {len(whose)} sessions of this client)"
                    extra.append((record.at, record, note))
        for _at, record, note in sorted(extra, key=lambda one: one[0]):
            session.add(record, note)
        session.steps.sort(key=lambda step: step.at)
        session.attempts.sort(key=lambda attempt: attempt.at)
