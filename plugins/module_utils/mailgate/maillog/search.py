# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds journeys in logs of any size: raw bytes are searched, and only lines that matter are parsed.

A log is the files that multilog keeps, in the order of time. What is wanted is searched as bytes, in lower
case, newest file first; around each hit the lines of its session are found by its pid, those of its message
by its number, again as bytes. Files come from a loader, so that nothing here touches a disk.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..formats import send_log as sendlog
from ..formats import smtpd_log as smtplog
from ..formats.smtpd_log import NANOSECONDS
from .archive import LineRef, Log
from .journey import (
    ACCEPTED,
    Delivery,
    Journey,
    Message,
    Session,
    forwarded_pids,
    match,
    plain,
    subject_words,
)
from .messages import (
    BEFORE_SECONDS,
    CANDIDATES_MAX,
    CHILD_SECONDS,
    DEPTH_MAX,
    LATE_SECONDS,
    SOON_SECONDS,
    message_needles,
)
from .sessions import JUDGED_AT_SMTP, OPEN_LOOKED_AT, OPEN_SECONDS, SESSION_SECONDS_MAX, session_needles

ADDRESS, IP, TEXT = "address", "IP", "text"
REFUSAL_FIELD_CHARACTERS = 200  # REFUSAL_FIELD_MAX in refusal.h
_ADDRESS_CHARACTER = rb"[a-z0-9.!#$&'*+/=?^`{|}~-]"


@dataclass(frozen=True)
class Query:
    """What is looked for: kind, as it was given, and the bytes of it that must stand in a line."""

    kind: str
    given: str
    smtp: tuple[bytes, ...]
    send: tuple[bytes, ...]
    pattern: re.Pattern[bytes]

    def decoded(self, line: str) -> bool:
        """Whether a subject of this line, decoded, holds it."""
        record = smtplog.parse(line)
        if not isinstance(record, smtplog.Verdict):
            return False
        return any(self.given.lower() in subject_words(split[0]).lower() for split in record.splits()[:1])


def wanted(text: str) -> Query:
    """What a person means by a text: an IPv4 address, a mail address (or @domain), or any words."""
    try:
        ip = str(ipaddress.IPv4Address(text))
        needle = ip.encode("ascii")
        pattern = re.compile(rb"(?<![0-9.])" + re.escape(needle) + rb"(?![0-9]|\.[0-9])")
        return Query(IP, ip, (b" from " + needle + b"\n",), (needle,), pattern)
    except ValueError:
        pass
    lower = text.lower()
    smtp, send, escaped = _scanner_form(lower), sendlog.field(lower), _refusal_form(lower)
    forms = list(dict.fromkeys(form.encode("utf-8") for form in (smtp, lower, escaped)))
    queue_forms = (send.encode("ascii"),)
    alternatives = b"|".join(re.escape(form) for form in {*forms, *queue_forms})
    if re.fullmatch(r"\S*@\S+", text):
        before = b"" if text.startswith("@") else rb"(?<!" + _ADDRESS_CHARACTER + rb")"
        pattern = re.compile(before + b"(?:" + alternatives + rb")(?![a-z0-9_-]|\.[a-z0-9])")
        return Query(ADDRESS, text, tuple(forms), queue_forms, pattern)
    return Query(TEXT, text, tuple(forms), queue_forms, re.compile(alternatives))


def _scanner_form(text: str) -> str:
    """Text as simscan writes it."""
    return "".join("_" if not " " <= char <= "~" or char == ":" else char for char in text)


def _refusal_form(text: str) -> str:
    """Text as qmail-smtpd writes it into its refusals, which cut it between two characters (refusal.h)."""
    written = ""
    for char in text:
        plain_char = "!" <= char <= "~" and char not in "\\<>"
        for piece in [char] if plain_char else [f"\\x{byte:02x}" for byte in char.encode("utf-8")]:
            if len(written) + len(piece) > REFUSAL_FIELD_CHARACTERS:
                return written
            written += piece
    return written


@dataclass
class Found:
    """The journeys, the oldest first, and whether there are more, older ones."""

    journeys: list[Journey]
    more: bool


class Search:
    """Finds journeys in qmail-smtpd's log and in qmail-send's; uid is that of qmaild, where it is known."""

    def __init__(self, smtp: Log, send: Log, uid: int | None = None) -> None:
        self.smtp, self.send, self.uid = smtp, send, uid
        self._sessions: dict[LineRef, tuple[Session, LineRef]] = {}
        self._messages: dict[LineRef, Message] = {}
        self._journeys: dict[object, Journey] = {}

    def find(self, what: Query, since: int | None = None, until: int | None = None, limit: int = 20) -> Found:
        """The newest journeys that hold it, limit of them at most."""
        found: dict[int, Journey] = {}
        more = False
        for log, hit in _newest_first(
            (self.smtp, self._hits(self.smtp, what.smtp, what, since, until)),
            (self.send, self._hits(self.send, what.send, what, since, until)),
        ):
            if len(found) >= limit:
                known = self._known(log, hit)
                if known:
                    continue
                more = True
                break
            for journey in self._smtp_journeys(hit) if log is self.smtp else self._send_journeys(hit):
                found.setdefault(id(journey), journey)
        journeys = sorted(found.values(), key=lambda journey: journey.begun)
        if len(journeys) > limit:
            journeys, more = journeys[-limit:], True
        return Found(journeys, more)

    def _known(self, log: Log, hit: LineRef) -> bool:
        """Whether the line belongs to a journey that was found before."""
        if log is self.smtp:
            return all(begin in self._journeys for begin in self._sessions_of(hit))
        begin = self._message_begin(hit)
        return begin is None or begin in self._messages

    def _hits(
        self, log: Log, needles: Sequence[bytes], what: Query, since: int | None, until: int | None
    ) -> Iterator[tuple[int, LineRef]]:
        """(time, place) of lines that hold what is wanted, the newest first."""
        first, last = LineRef(0, 0), log.end()
        if log.files and since is not None:
            first = log.at(since)
        if log.files and until is not None:
            last = log.at(until)
        encoded = what.kind == TEXT and log is self.smtp
        for file in range(min(last.file, len(log.files) - 1), first.file - 1, -1):
            begin = LineRef(file, first.offset if file == first.file else 0)
            end = last if file == last.file else LineRef(file + 1, 0)
            places: set[int] = set()
            for needle in needles:
                for place in log.forward(needle, begin, end):
                    data = log.text(file)[1]
                    stop = data.find(b"\n", place.offset) + 1
                    if what.pattern.search(data, place.offset, stop or len(data)):
                        places.add(place.offset)
            if encoded:
                for place in log.forward(b"=?", begin, end):
                    if place.offset not in places and what.decoded(log.line(place)):
                        places.add(place.offset)
            for offset in sorted(places, reverse=True):
                time = log.time(LineRef(file, offset))
                if time is not None:
                    yield time, LineRef(file, offset)

    # Sessions.

    def _smtp_journeys(self, hit: LineRef) -> list[Journey]:
        return [self._journey(begin) for begin in self._sessions_of(hit)]

    def _sessions_of(self, hit: LineRef) -> list[LineRef]:
        """Where the sessions begin that a line of qmail-smtpd's log belongs to."""
        record = smtplog.parse(self.smtp.line(hit))
        pid = getattr(record, "pid", None)
        if isinstance(pid, int):
            begin = self._session_begin(pid, hit, record)
            return [] if begin is None else [begin]
        address = getattr(record, "address", None)
        if isinstance(address, str) and record is not None:
            return self._open_sessions(address, hit, record.at)
        return []

    def _session_begin(self, pid: int, hit: LineRef, record: object) -> LineRef | None:
        """The first line of the session that a line with this pid is of, as far as the log has it."""
        if isinstance(record, smtplog.Connected):
            return hit
        number = str(pid).encode("ascii")
        here = self.smtp.time(hit) or 0
        earliest = LineRef(self.smtp.around(here - SESSION_SECONDS_MAX * NANOSECONDS), 0)
        begin = self._first(
            smtplog.Connected, self.smtp.backward(b" tcpserver: pid " + number + b" from ", earliest, hit)
        )
        ended = self._first(
            smtplog.Ended, self.smtp.backward(b" tcpserver: end " + number + b" ", earliest, hit)
        )
        if begin is not None and (ended is None or ended < begin):
            return begin
        # Its beginning is lost: the first line with its pid behind the end of the one before.
        after = self.smtp.after(ended) if ended is not None else earliest
        first = hit
        for needle in session_needles(number):
            first = min(
                [first, *self.smtp.forward(needle, after, hit)], key=lambda place: (place.file, place.offset)
            )
        return first

    def _first(self, kind: type, places: Iterator[LineRef]) -> LineRef | None:
        """The first of these lines that is of that kind, and not another one with its words."""
        return next(
            (place for place in places if isinstance(smtplog.parse(self.smtp.line(place)), kind)), None
        )

    def _open_sessions(self, address: str, hit: LineRef, at: int) -> list[LineRef]:
        """Where the sessions of a client begin that may have said this: open then, and past the greylist."""
        earliest = LineRef(self.smtp.around(at - OPEN_SECONDS * NANOSECONDS), 0)
        found = []
        needle = b" from " + address.encode("ascii", "replace") + b"\n"
        for looked, begin in enumerate(self.smtp.backward(needle, earliest, hit)):
            if looked >= OPEN_LOOKED_AT:
                break
            record = smtplog.parse(self.smtp.line(begin))
            if not isinstance(record, smtplog.Connected):
                continue
            session, end = self._session(begin)
            passed = all(one.at > at or one.kind in JUDGED_AT_SMTP for one in session.attempts)
            if passed and hit < end:
                found.append(begin)
        return list(reversed(found))

    def _session(self, begin: LineRef) -> tuple[Session, LineRef]:
        """The session that begins there, but for what qmail-smtpd says without a pid, and its last line."""
        known = self._sessions.get(begin)
        if known is not None:
            return known
        first = smtplog.parse(self.smtp.line(begin))
        pid = getattr(first, "pid", 0)
        session = Session(pid)
        number = str(pid).encode("ascii")
        here = self.smtp.time(begin) or 0
        last = LineRef(self.smtp.around(here + SESSION_SECONDS_MAX * NANOSECONDS) + 1, 0)
        end = self._first(smtplog.Ended, self.smtp.forward(b" tcpserver: end " + number + b" ", begin, last))
        if end is not None:
            last = self.smtp.after(end)
        again = self._first(
            smtplog.Connected,
            self.smtp.forward(b" tcpserver: pid " + number + b" from ", self.smtp.after(begin), last),
        )
        if again is not None:
            end, last = None, again
        if end is None:
            # A session that was killed with its tcpserver has no end; the next one begins with none open.
            none = self._first(
                smtplog.SessionCount,
                self.smtp.forward(b" tcpserver: status: 0/", self.smtp.after(begin), last),
            )
            last = last if none is None else none
        places = {begin}
        for needle in session_needles(number):
            places.update(self.smtp.forward(needle, begin, last))
        for place in sorted(places, key=lambda one: (one.file, one.offset)):
            record = smtplog.parse(self.smtp.line(place))
            if record is None or getattr(record, "pid", None) != pid:
                continue
            if isinstance(record, smtplog.Verdict) and session.address and not record.is_of(session.address):
                continue
            session.add(record)
        self._sessions[begin] = (session, end if end is not None else last)
        return self._sessions[begin]

    def _journey(self, begin: LineRef) -> Journey:
        """The whole journey of the session that begins there."""
        known = self._journeys.get(begin)
        if known is not None:
            return known
        session, last = self._session(begin)
        journey = self._journeys[begin] = Journey(session)
        if session.address is not None:
            self._add_refusals(session, begin, last)
        taken: set[int] = set()
        for attempt in session.attempts:
            if attempt.kind in ACCEPTED:
                candidates = [
                    one for one in self._candidates(attempt.at, attempt.sender or "") if id(one) not in taken
                ]
                chosen = match(attempt, session.pid, candidates, self.uid)
                if chosen is not None:
                    attempt.message, attempt.inference = candidates[chosen[0]], chosen[1]
                    taken.add(id(attempt.message))
                    self._journeys[id(attempt.message)] = journey
        return journey

    def _add_refusals(self, session: Session, begin: LineRef, last: LineRef) -> None:
        """What qmail-smtpd said of this client while the session was open; it names no pid."""
        address = (session.address or "").encode("ascii", "replace")
        extra: list[tuple[int, smtplog.Record, str]] = []
        for needle in (b" at " + address + b"\n", b" hanging up on " + address + b"\n"):
            for place in self.smtp.forward(needle, begin, last):
                record = smtplog.parse(self.smtp.line(place))
                if not isinstance(record, (smtplog.RecipientRefused, smtplog.CommandRefused, smtplog.HungUp)):
                    continue
                whose = self._open_sessions(session.address or "", place, record.at)
                if begin in whose:
                    note = "" if len(whose) == 1 else f" (or another of {len(whose)} sessions of this client)"
                    extra.append((record.at, record, note))
        for _at, record, note in sorted(extra, key=lambda one: one[0]):
            session.add(record, note)
        session.steps.sort(key=lambda step: step.at)
        session.attempts.sort(key=lambda attempt: attempt.at)

    # Messages.

    def _send_journeys(self, hit: LineRef) -> list[Journey]:
        begin = self._message_begin(hit)
        if begin is None:
            return []
        message = self._root(begin)
        known = self._journeys.get(id(message))
        if known is not None:
            return [known]
        for place in self._verdicts(message):
            for session_begin in self._sessions_of(place):
                journey = self._journey(session_begin)
                if any(one is message for one in journey.messages()):
                    return [journey]
        journey = self._journeys[id(message)] = Journey(None, message)
        return [journey]

    def _message_begin(self, hit: LineRef) -> LineRef | None:
        """The first line of the message that a line of qmail-send's log is of."""
        record = sendlog.parse(self.send.line(hit))
        if isinstance(record, sendlog.DeliveryEnded):
            needle = f" starting delivery {record.delivery}: msg ".encode("ascii")
            started = next(self.send.backward(needle, LineRef(0, 0), hit), None)
            if started is None:
                return None
            hit, record = started, sendlog.parse(self.send.line(started))
        number = getattr(record, "message", None)
        if number is None:
            return None
        if isinstance(record, sendlog.NewMessage):
            return hit
        name = str(number).encode("ascii")
        begin = next(self.send.backward(b" new msg " + name + b"\n", LineRef(0, 0), hit), None)
        if begin is not None:
            ended = next(self.send.forward(b" end msg " + name + b"\n", begin, hit), None)
            if ended is None:
                return begin
        # Its beginning is lost: the first line of it behind the end of the one before.
        before = next(self.send.backward(b" end msg " + name + b"\n", LineRef(0, 0), hit), None)
        after = LineRef(0, 0) if before is None else self.send.after(before)
        first = hit
        for needle in message_needles(name):
            for place in self.send.forward(needle, after, hit):
                if place < first:
                    first = place
                break
        return first

    def _message(self, begin: LineRef, depth: int = 0) -> Message:
        """The message whose first line that is, with its bounces and forwarded copies."""
        known = self._messages.get(begin)
        if known is not None:
            return known
        first = sendlog.parse(self.send.line(begin))
        message = Message(getattr(first, "message", 0))
        self._messages[begin] = message
        name = str(message.number).encode("ascii")
        last = next(self.send.forward(b" end msg " + name + b"\n", begin, self.send.end()), None)
        again = next(
            self.send.forward(b" new msg " + name + b"\n", self.send.after(begin), last or self.send.end()),
            None,
        )
        stop = again or (self.send.after(last) if last else self.send.end())
        places = {begin}
        for needle in message_needles(name):
            places.update(self.send.forward(needle, begin, stop))
        for place in sorted(places, key=lambda one: (one.file, one.offset)):
            record = sendlog.parse(self.send.line(place))
            if getattr(record, "message", None) != message.number:
                continue
            self._take(message, record, place)
        if depth < DEPTH_MAX:
            self._add_children(message, begin, depth)
        return message

    def _take(self, message: Message, record: sendlog.Record | None, place: LineRef) -> None:
        if isinstance(record, sendlog.NewMessage):
            message.begun = record.at
        elif isinstance(record, sendlog.MessageInfo):
            message.size_bytes, message.sender = record.size_bytes, record.sender
            message.queue_pid, message.uid = record.queue_pid, record.uid
            message.begun = record.at if message.begun is None else message.begun
        elif isinstance(record, sendlog.DeliveryStarted):
            delivery = Delivery(record.delivery, record.channel, record.recipient, record.at)
            message.deliveries.append(delivery)
            needle = f" delivery {record.delivery}: ".encode("ascii")
            for later in self.send.forward(needle, self.send.after(place), self.send.end()):
                end = sendlog.parse(self.send.line(later))
                if isinstance(end, sendlog.DeliveryStarted):
                    break  # qmail-send began anew
                if isinstance(end, sendlog.DeliveryEnded):
                    delivery.ended, delivery.result, delivery.text = end.at, end.result, end.text
                    break
        elif isinstance(record, sendlog.Bounced):
            message.bounces.append((record.at, record.queue_pid))
        elif isinstance(record, sendlog.BounceWithheld):
            message.withheld.append((record.at, record.reason))
        elif isinstance(record, sendlog.BounceDiscarded):
            message.discarded = record.at
        elif isinstance(record, sendlog.MessageEnded):
            message.ended = record.at

    def _add_children(self, message: Message, begin: LineRef, depth: int) -> None:
        times = {pid: at for at, pid in message.bounces}
        for delivery in message.deliveries:
            times.update(dict.fromkeys(forwarded_pids(delivery), delivery.begun))
        for pid, at in times.items():
            child = self._of_queue_pid(pid, at)
            if child is not None and child != begin:
                message.children.append(self._message(child, depth + 1))

    def _of_queue_pid(self, pid: int, at: int) -> LineRef | None:
        """The beginning of the message that this qmail-queue left, soon after that time."""
        needle = f" qp {pid} uid ".encode("ascii")
        first, last = self.send.at(at), self.send.at(at + CHILD_SECONDS * NANOSECONDS)
        for place in self.send.forward(needle, first, last):
            return self._message_begin(place)
        return None

    def _root(self, begin: LineRef) -> Message:
        """The message that this one is a bounce or a copy of, or itself."""
        for _depth in range(DEPTH_MAX):
            message = self._message(begin)
            parent = None if message.queue_pid is None else self._parent(message, begin)
            if parent is None:
                return message
            begin = parent
        return self._message(begin)

    def _parent(self, message: Message, begin: LineRef) -> LineRef | None:
        at = message.begun or 0
        first = self.send.at(at - CHILD_SECONDS * NANOSECONDS)
        last = self.send.at(at + CHILD_SECONDS * NANOSECONDS)
        pid = message.queue_pid
        needles = (f" qp {pid}\n".encode("ascii"), f"qp_{pid}/".encode("ascii"))
        for needle in needles:
            for place in self.send.forward(needle, first, last):
                above = self._message_begin(place)
                if above is None or above == begin:
                    continue
                if any(child is message for child in self._message(above).children):
                    return above
        return None

    # From the one to the other.

    def _candidates(self, at: int, sender: str) -> list[Message]:
        """Messages from this sender (as simscan has it) that came at about that time."""
        wanted_sender = plain(sender)
        # '_' may stand for another byte in the other log: what is before the first one is searched.
        piece = wanted_sender.partition("_")[0]
        needle = b" from <" + piece.encode("ascii") + (b"> qp " if piece == wanted_sender else b"")
        found: list[Message] = []
        for seconds in (SOON_SECONDS, LATE_SECONDS):
            first = self.send.at(at - BEFORE_SECONDS * NANOSECONDS)
            last = self.send.at(at + seconds * NANOSECONDS)
            for place in self.send.forward(needle, first, last):
                record = sendlog.parse(self.send.line(place))
                if not isinstance(record, sendlog.MessageInfo) or plain(record.sender) != wanted_sender:
                    continue
                if self.uid is not None and record.uid != self.uid:
                    continue
                begin = self._message_begin(place)
                if begin is not None:
                    message = self._message(begin)
                    if not any(one is message for one in found):
                        found.append(message)
                if len(found) >= CANDIDATES_MAX:
                    break
            if found:
                break
        return found

    def _verdicts(self, message: Message) -> Iterator[LineRef]:
        """Verdicts on a message of this sender at about that time, the nearest range first."""
        if (
            message.sender is None
            or message.begun is None
            or (self.uid is not None and message.uid != self.uid)
        ):
            return
        wanted_sender = plain(message.sender)
        pieces = sorted(wanted_sender.split("_"), key=len)
        needle = (
            b":" + wanted_sender.encode("ascii") + b":" if len(pieces) == 1 else pieces[-1].encode("ascii")
        )
        at = message.begun
        ranges = (
            (at - BEFORE_SECONDS * NANOSECONDS, at + BEFORE_SECONDS * NANOSECONDS),
            (at - LATE_SECONDS * NANOSECONDS, at - BEFORE_SECONDS * NANOSECONDS),
        )
        for begin, end in ranges:
            looked = 0
            for place in self.smtp.backward(needle, self.smtp.at(begin), self.smtp.at(end)):
                record = smtplog.parse(self.smtp.line(place))
                if not isinstance(record, smtplog.Verdict):
                    continue
                if any(plain(split[2]) == wanted_sender for split in record.splits()):
                    yield place
                    looked += 1
                    if looked >= CANDIDATES_MAX:
                        break


def _newest_first(*sources: tuple[Log, Iterator[tuple[int, LineRef]]]) -> Iterator[tuple[Log, LineRef]]:
    """Merges hits of several logs by their times."""
    heads = [(log, hits, next(hits, None)) for log, hits in sources]
    while True:
        newest = -1
        for number, (_log, _hits, head) in enumerate(heads):
            if head is not None and (newest == -1 or head[0] > (heads[newest][2] or head)[0]):
                newest = number
        if newest == -1:
            return
        log, hits, head = heads[newest]
        if head is not None:
            yield log, head[1]
        heads[newest] = (log, hits, next(hits, None))
