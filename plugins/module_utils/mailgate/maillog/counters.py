# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counters of the gateway, from the records of both logs.

Every counter is a sum by name, so the counters of a log are the sums of those of its parts: for ever in
totals, by minute for MINUTES_SECONDS and by quarter of an hour for QUARTERS_SECONDS, by the lines' own times.
Durations are counted in classes (BOUNDS), so they can be added as well.

Sessions and deliveries, which span lines, are kept while they are open, at most SESSIONS_MAX and
DELIVERIES_MAX, and are part of the state; their duration is counted when they end.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import BadInput
from ..formats import send_log as sendlog
from ..formats import session_id
from ..formats import smtpd_log as smtplog
from ..formats.smtpd_log import NANOSECONDS
from . import journey, verdicts
from .counter_names import BOUNDS, LOGS, NAMES
from .open_sessions import OpenSessions

VERSION = 1
MINUTE, QUARTER = 60, 900
MINUTES_SECONDS, QUARTERS_SECONDS = 2 * 3600, 49 * 3600
SESSIONS_MAX, DELIVERIES_MAX = 4096, 4096
LONGEST_SECONDS = 7 * 86_400  # no session and no delivery lasts longer
_KINDS = {
    verdicts.VIRUS: "refused_virus",
    verdicts.SPAM: "refused_spam",
    verdicts.CONTENT: "refused_content",
    verdicts.LIMIT: "refused_limit",
    verdicts.CLEAN: "clean",
    verdicts.MARKED: "marked",
    verdicts.UNCHECKED: "unchecked",
    verdicts.RELAYED: "relayed",
    verdicts.TAKEN: "unjudged",
}
_ALONE = ("new", "early", "refused")  # a session that smtpfront refuses is that one line, and its recipients
_REFUSALS = {
    "validrcptto": "refused_recipient",
    "rcpthosts": "refused_relay",
    "badmailfrom": "refused_sender",
}
_TLS_VERSIONS = {"TLSv1.3": "tls_1_3", "TLSv1.2": "tls_1_2"}
_RESULTS = {
    sendlog.SUCCESS: "delivered",
    sendlog.DEFERRAL: "deferred",
    sendlog.MANGLED: "deferred",
    sendlog.FAILURE: "failed",
}
Counts = dict[str, int]


class Stats:
    """The counters, open sessions and open deliveries; observe_*() take the records of each log in order."""

    def __init__(self) -> None:
        self.totals: Counts = {}
        self.minutes: dict[int, Counts] = {}  # by the minute's first unix second
        self.quarters: dict[int, Counts] = {}
        self.last = dict.fromkeys(LOGS, 0)  # unix nanoseconds of the last line that was counted
        self._sessions: OpenSessions[list[int]] = OpenSessions(
            SESSIONS_MAX
        )  # begin, whether a DNS list has it
        self._deliveries: dict[int, int] = {}
        # By the message's id, or the client: notes of simscan's whose line of qmail-smtpd is to come
        self._put_off: dict[str, int] = {}
        self._judged: dict[str, None] = {}  # ids of messages whose line of qmail-smtpd is to come
        self._secured: dict[str, None] = {}  # sessions, by id or pid, whose TLS has been counted
        self._handed_over: dict[int, None] = {}  # sessions of which smtpfront's own line has not come yet
        self._newest = 0  # unix second of the newest minute
        self._latest: int | None = None  # unix nanoseconds of the clock; None: not told
        self._minute: Counts = {}
        self._quarter: Counts = {}
        self._minute_at = self._quarter_at = -1

    def clock_is(self, now: float) -> None:
        """Take the time of the clock: a line that is later counts now, and a clock may be set back."""
        self._latest = int(now * NANOSECONDS)
        minute = int(now) // MINUTE * MINUTE
        if self._newest > minute:
            self._newest, self._minute_at = minute, -1
        for kept, seconds, step in (
            (self.minutes, MINUTES_SECONDS, MINUTE),
            (self.quarters, QUARTERS_SECONDS, QUARTER),
        ):
            # What is later than the clock is kept, as the clock may be wrong for a while, but bounded.
            for begin in sorted(kept)[2 * seconds // step :]:
                del kept[begin]

    # Counting

    def observe_smtp(self, record: smtplog.Record | None) -> None:
        """Count one line of qmail-smtpd's log; None is an unknown line."""
        if record is None:
            self.totals["lines_smtpd"] = self.totals.get("lines_smtpd", 0) + 1
            return
        self.last["smtpd"] = self._turn(record)
        self._add("lines_smtpd")
        if getattr(record, "tls", ""):
            self._with_tls(record)
        handle = _SMTP.get(type(record))
        if handle is not None:
            handle(self, record)

    def observe_send(self, record: sendlog.Record | None) -> None:
        """Count one line of qmail-send's log; None is an unknown line."""
        if record is None:
            self.totals["lines_send"] = self.totals.get("lines_send", 0) + 1
            return
        self.last["send"] = self._turn(record)
        self._add("lines_send")
        if isinstance(record, sendlog.DeliveryStarted):
            self._deliveries.pop(record.delivery, None)
            self._deliveries[record.delivery] = record.at
            if len(self._deliveries) > DELIVERIES_MAX:
                del self._deliveries[next(iter(self._deliveries))]
        elif isinstance(record, sendlog.DeliveryEnded):
            self._add(_RESULTS[record.result])
            begun = self._deliveries.pop(record.delivery, None)
            if begun is not None:
                self._time("delivery", record.at - begun)
        elif isinstance(record, sendlog.NewMessage):
            self._add("queued")
        elif isinstance(record, sendlog.Bounced):
            self._add("bounces")
        elif isinstance(record, sendlog.BounceWithheld):
            self._add("bounces_withheld")
        elif isinstance(record, sendlog.QueueTrouble):
            self._add("trouble")

    def gap(self) -> None:
        """Count a gap: lines were lost."""
        self.totals["gaps"] = self.totals.get("gaps", 0) + 1

    def _with_tls(self, record: Any) -> None:
        """Count a session with TLS, at the first of its lines that says so."""
        session = session_id.session_of(record.id) or str(record.pid)
        if session in self._secured:
            return
        self._secured[session] = None
        if len(self._secured) > SESSIONS_MAX:
            del self._secured[next(iter(self._secured))]
        self._add(_TLS_VERSIONS.get(record.tls.partition("/")[0], "tls_other"))

    def _connected(self, record: smtplog.Connected) -> None:
        if record.pid in self._handed_over:  # the launcher does not wait for smtpfront's line
            del self._handed_over[record.pid]
            return
        in_front = self._sessions.continued(record)
        if in_front is None:
            self._add("connections")
            if record.id:
                self._handed_over[session_id.number_of(record.id)] = None
                if len(self._handed_over) > SESSIONS_MAX:
                    del self._handed_over[next(iter(self._handed_over))]
        self._sessions.begin(record.pid, in_front or [record.at, 0])

    def _counted(self, record: smtplog.SessionCount) -> None:
        self._sessions.count(record.sessions)

    def _admitted(self, record: smtplog.Admitted) -> None:
        if not record.allowed:
            self._add("refused_rule")
            if session_id.is_of_front(record):  # which says nothing else of it
                self._add("connections")

    def _ended(self, record: smtplog.Ended) -> None:
        session = self._sessions.end(record.pid)
        if session is not None:
            self._time("session", record.at - session[0])

    def _dns_listed(self, record: smtplog.DnsListed) -> None:
        session = self._sessions.get(record.pid)
        if record.decision == "listed" and session is not None:
            session[1] = 1

    def _listed(self, _record: smtplog.Listed) -> None:
        self._add("refused_dnsbl")

    def _greylisted(self, record: smtplog.Greylisted) -> None:
        alone = record.decision in _ALONE and session_id.is_of_front(record)
        if alone and self._sessions.get(record.pid) is None:
            self._add("connections")
        if record.decision in ("new", "early"):
            self._add("greylisted")
        elif record.decision == "refused":
            session = self._sessions.get(record.pid)
            self._add("refused_dnsbl" if session is not None and session[1] else "refused_rule")

    def _recipient(self, record: smtplog.RecipientRefused) -> None:
        self._add(_REFUSALS.get(record.why, "refused_recipient"))

    def _command(self, record: smtplog.CommandRefused) -> None:
        if record.command == "data" and record.why == "client-left":
            self._add("unfinished")
        elif record.command == "data" and record.why == "put-off":
            # simscan has said so already, or it never ran.
            key = record.id or record.address
            noted = self._put_off.pop(key, 0)
            if not noted:
                self._add("put_off")
            elif noted > 1:
                self._put_off[key] = noted - 1
        elif record.why in smtplog.NO_TLS:
            self._add("refused_plain")
        elif record.why not in smtplog.LATER:
            self._add("refused_protocol")

    def _hung_up(self, _record: smtplog.HungUp) -> None:
        self._add("hung_up")

    def _verdict(self, record: smtplog.Verdict) -> None:
        kind = verdicts.meaning(record)
        self._add(_KINDS[kind])
        self._time("scan", int(record.seconds * NANOSECONDS))
        if kind in verdicts.ACCEPTED:
            self._judged[record.id or str(record.pid)] = None
            if len(self._judged) > SESSIONS_MAX:
                del self._judged[next(iter(self._judged))]

    def _accepted(self, record: smtplog.Accepted) -> None:
        self._add("accepted_tls" if record.tls else "accepted_plain")
        # A simscan of another version names no id: its process is a child of qmail-smtpd's.
        for key in (record.id, str(record.pid)):
            if key in self._judged:
                del self._judged[key]
                return
        self._add(_KINDS[verdicts.TAKEN])

    def _note(self, record: smtplog.ScannerNote) -> None:
        note = journey.put_off_note(record)
        if note is None:
            return
        self._add("put_off")
        key = record.id or note[0]
        self._put_off[key] = self._put_off.get(key, 0) + 1
        if len(self._put_off) > SESSIONS_MAX:
            del self._put_off[next(iter(self._put_off))]

    def _trouble(self, _record: smtplog.Trouble) -> None:
        self._add("trouble")

    def _add(self, name: str, count: int = 1) -> None:
        for counts in (self.totals, self._minute, self._quarter):
            counts[name] = counts.get(name, 0) + count

    def _time(self, name: str, nanoseconds: int) -> None:
        nanoseconds = max(0, nanoseconds)
        if nanoseconds > LONGEST_SECONDS * NANOSECONDS:
            return  # the clock jumped between two lines
        self._add(f"{name}:{bisect.bisect_left(BOUNDS, nanoseconds / NANOSECONDS)}")
        self._add(f"{name}_milliseconds", nanoseconds // 1_000_000)

    def _turn(self, record: smtplog.Record | sendlog.Record) -> int:
        """Switch to the minute and the quarter of a line, and return its time, capped by the clock."""
        at = record.at if self._latest is None else min(record.at, self._latest)
        seconds = at // NANOSECONDS
        minute = seconds - seconds % MINUTE
        if minute == self._minute_at:
            return at
        quarter = seconds - seconds % QUARTER
        self._minute_at = minute
        if minute > self._newest:
            self._newest = minute
            self.forget(minute)
        # A line older than the counters kept by minute or quarter counts only in the totals.
        self._minute = self.minutes.setdefault(minute, {}) if minute > self._newest - MINUTES_SECONDS else {}
        self._quarter = (
            self.quarters.setdefault(quarter, {}) if quarter > self._newest - QUARTERS_SECONDS else {}
        )
        self._quarter_at = quarter
        return at

    def forget(self, now: int) -> None:
        """Delete minutes and quarters that are too old."""
        for kept, seconds in ((self.minutes, MINUTES_SECONDS), (self.quarters, QUARTERS_SECONDS)):
            for begin in [begin for begin in kept if begin <= now - seconds]:
                del kept[begin]

    # State

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "bounds": list(BOUNDS),
            "totals": self.totals,
            "minutes": {str(at): counts for at, counts in sorted(self.minutes.items()) if counts},
            "quarters": {str(at): counts for at, counts in sorted(self.quarters.items()) if counts},
            "last": self.last,
            "newest": self._newest,
            "sessions": [[pid, *session] for pid, session in self._sessions.items()],
            "deliveries": [list(item) for item in self._deliveries.items()],
            "secured": list(self._secured),
        }

    @classmethod
    def from_json(cls, data: object) -> Stats:
        """Restore from the result of to_json(); raises BadInput."""
        try:
            if not isinstance(data, Mapping) or data["version"] != VERSION or data["bounds"] != list(BOUNDS):
                raise ValueError("another version")
            made = cls()
            made.totals = _counts(data["totals"])
            made.minutes = {int(at): _counts(counts) for at, counts in data["minutes"].items()}
            made.quarters = {int(at): _counts(counts) for at, counts in data["quarters"].items()}
            made.last = {name: int(data["last"][name]) for name in LOGS}
            made._newest = int(data["newest"])
            for pid, begun, listed in data["sessions"]:
                made._sessions.begin(int(pid), [int(begun), int(listed)])
            made._deliveries = {int(number): int(begun) for number, begun in data["deliveries"]}
            made._secured = dict.fromkeys(str(one) for one in data.get("secured", ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"stats: {error}; expected what the service wrote") from error
        return made

    # Queries

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)

    def between(self, begin: int, end: int) -> Counts:
        """Return the counters of a span, in unix seconds; by quarters when its minutes are no longer kept."""
        return added(counts for _at, counts in self.parts(begin, end))

    def parts(self, begin: int, end: int) -> list[tuple[int, Counts]]:
        """Return (first second, counters) of each minute, or each quarter, that begins in the span."""
        by_minute = begin > end - MINUTES_SECONDS
        kept = self.minutes if by_minute else self.quarters
        step = MINUTE if by_minute else QUARTER
        first = begin - begin % step
        return sorted((at, counts) for at, counts in kept.items() if first <= at < end)


def _counts(data: Any) -> Counts:
    counts = {str(name): int(count) for name, count in data.items()}
    unknown = set(counts) - NAMES
    if unknown or any(count < 0 for count in counts.values()):
        raise ValueError(f"{sorted(unknown)!r:.60} among the counters")
    return counts


_SMTP: dict[type, Any] = {
    smtplog.SessionCount: Stats._counted,
    smtplog.Connected: Stats._connected,
    smtplog.Admitted: Stats._admitted,
    smtplog.Ended: Stats._ended,
    smtplog.DnsListed: Stats._dns_listed,
    smtplog.Listed: Stats._listed,
    smtplog.Greylisted: Stats._greylisted,
    smtplog.RecipientRefused: Stats._recipient,
    smtplog.CommandRefused: Stats._command,
    smtplog.HungUp: Stats._hung_up,
    smtplog.Verdict: Stats._verdict,
    smtplog.Accepted: Stats._accepted,
    smtplog.ScannerNote: Stats._note,
    smtplog.Trouble: Stats._trouble,
}


def added(all_counts: Iterable[Counts]) -> Counts:
    """Return the sums of several counters."""
    found: Counts = {}
    for counts in all_counts:
        for name, count in counts.items():
            found[name] = found.get(name, 0) + count
    return found


def classes(counts: Counts, name: str) -> list[int]:
    """Return how many durations fell into each class of BOUNDS, and above the last bound."""
    return [counts.get(f"{name}:{place}", 0) for place in range(len(BOUNDS) + 1)]


def percentile(counts: Counts, name: str, percent: float) -> float | None:
    """Return the duration in seconds that a percentage does not exceed, interpolated; None without any."""
    numbers = classes(counts, name)
    rank = sum(numbers) * percent / 100
    if not rank:
        return None
    below = 0
    for place, number in enumerate(numbers):
        if below + number >= rank and number:
            if place == len(BOUNDS):
                return BOUNDS[-1]
            low = BOUNDS[place - 1] if place else 0.0
            return low + (BOUNDS[place] - low) * (rank - below) / number
        below += number
    return BOUNDS[-1]
