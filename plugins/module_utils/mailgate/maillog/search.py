# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search for journeys in logs of any size: raw bytes are searched, and only relevant lines are parsed.

A log is the files that multilog keeps, in the order of time. The query is searched as bytes, in lower case,
newest file first. Around each hit the lines of its session are found by its pid, those of its message by its
number, again as bytes. Files come from a loader, so nothing here touches a disk.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ..core.errors import BadInput
from ..formats import send_log as sendlog
from ..formats import session_id
from ..formats import smtpd_log as smtplog
from ..formats.addresses import ascii_domain, local_part_at_smtp
from ..formats.encoded_words import subject_words
from ..formats.logged_address import canonical, network_of
from ..formats.networks import Network
from ..formats.smtpd_log import NANOSECONDS
from .archive import LineRef, Log
from .inference import match, plain
from .journey import Journey, Message
from .messages import BEFORE_SECONDS, CANDIDATES_MAX, LATE_SECONDS, Messages
from .sessions import Sessions
from .verdicts import ACCEPTED

ADDRESS, IP, NETWORK, ID, TEXT = "address", "IP", "network", "id", "text"
REFUSAL_FIELD_CHARACTERS = 200  # REFUSAL_FIELD_MAX in refusal.h
# smtpfront's lines of sessions that have no first line
_ALONE = ("deny", "busy", "put off", "new", "early", "refused")
# The address in a line that begins a session, or is all of it
_CLIENT = re.compile(
    rb"@[0-9a-f]{24} (?:[a-z]+: pid [0-9a-z]+ from ([0-9a-f.:]+)(?: id [0-9a-z]+)?\n"
    rb"|smtpfront\[[0-9a-z]+\]: (?:deny|busy|put off|new|early|refused) ([0-9a-f.:]+)[ \n])"
)
_ADDRESS_CHARACTER = rb"[a-z0-9.!#$&'*+/=?^`{|}~-]"


@dataclass(frozen=True)
class Query:
    """A query: its kind, the text given, and the bytes that a line must contain.

    With a network the pattern matches a whole line, and a group is the client's address, which must be in it.
    """

    kind: str
    given: str
    smtp: tuple[bytes, ...]
    send: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    network: Network | None = None

    def matches(self, data: bytes, begin: int, end: int) -> bool:
        """Return whether the line from begin to end matches."""
        if self.network is None:
            return self.pattern.search(data, begin, end) is not None
        found = self.pattern.match(data, begin, end)
        try:
            return found is not None and ip_address((found[1] or found[2]).decode("ascii")) in self.network
        except ValueError:
            return False

    def decoded(self, line: str) -> bool:
        """Return whether the decoded subject of this line contains the text."""
        record = smtplog.parse(line)
        if not isinstance(record, smtplog.Verdict):
            return False
        return any(self.given.lower() in subject_words(split[0]).lower() for split in record.splits()[:1])

    def named(self, line: str) -> bool:
        """Return whether the id is the line's own: a stranger may have written it as any text."""
        own = getattr(smtplog.parse(line), "id", "")
        return bool(own) and self.given in (own, session_id.session_of(own))


def wanted(text: str) -> Query:
    """Make a query of a text: an id, an IP address or network, a mail address or @domain, or other text.

    Addresses and networks may have any form; a text such as 'cafe::' is one, too.
    """
    if session_id.is_id(text.lower()):
        needle = text.lower().encode("ascii")
        pattern = re.compile(rb"(?<![0-9a-z])" + re.escape(needle) + rb"(?![0-9a-z])")
        return Query(ID, text.lower(), (needle,), (), pattern)
    return _other(text)


def _other(text: str) -> Query:
    with contextlib.suppress(BadInput):
        return _of_client(canonical(text))
    if "/" in text:
        with contextlib.suppress(BadInput):
            network = network_of(text)
            if network.prefixlen == network.max_prefixlen:
                return _of_client(canonical(str(network.network_address)))
            needles = (b" from ", *(f"]: {word} ".encode("ascii") for word in _ALONE))
            return Query(NETWORK, str(network), needles, (), _CLIENT, network)
    texts = list(dict.fromkeys((text.lower(), _as_logged(text))))
    written = [form(one) for one in texts for form in (_scanner_form, _scanner_bytes, str, _refusal_form)]
    forms = list(dict.fromkeys(one.encode("utf-8") for one in written))
    queue_forms = tuple(dict.fromkeys(sendlog.field(one).encode("ascii") for one in texts))
    alternatives = b"|".join(re.escape(form) for form in {*forms, *queue_forms})
    if re.fullmatch(r"\S*@\S+", text):
        before = b"" if text.startswith("@") else rb"(?<!" + _ADDRESS_CHARACTER + rb")"
        pattern = re.compile(before + b"(?:" + alternatives + rb")(?![a-z0-9_-]|\.[a-z0-9])")
        return Query(ADDRESS, text, tuple(forms), queue_forms, pattern)
    return Query(TEXT, text, tuple(forms), queue_forms, re.compile(alternatives))


def _of_client(ip: str) -> Query:
    needle = ip.encode("ascii")
    digits = rb"0-9a-f:" if ":" in ip else rb"0-9"
    after = rb"(?![" + digits + rb"]|\.[0-9])"
    pattern = re.compile(rb"(?<![" + digits + rb".])" + re.escape(needle) + after)
    first = (b" from " + needle + b"\n", b" from " + needle + b" id ")
    ends = {"deny": b"\n"}  # behind the address
    alone = tuple(f"]: {word} {ip}".encode("ascii") + ends.get(word, b" ") for word in _ALONE)
    return Query(IP, ip, first + alone, (needle,), pattern)


def _as_logged(text: str) -> str:
    """Return an address, or @domain, as SMTP has it: with A-labels, and without quotes."""
    local_part, at, domain = text.rpartition("@")
    return f"{local_part_at_smtp(local_part)}@{ascii_domain(domain)}" if at else text.lower()


def _scanner_form(text: str) -> str:
    """Return text as simscan writes it."""
    return "".join("_" if not " " <= char <= "~" or char == ":" else char for char in text)


def _scanner_bytes(text: str) -> str:
    """Return text as simscan writes it when it came in UTF-8 without an encoding, a '_' for each byte."""
    return _scanner_form(text.encode("utf-8", "replace").decode("latin-1"))


def _refusal_form(text: str) -> str:
    """Return text as qmail-smtpd writes it into its refusals, cut between two characters (refusal.h)."""
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
    """The journeys, oldest first, and whether there are older ones."""

    journeys: list[Journey]
    more: bool


class Search:
    """A search for journeys in the logs of qmail-smtpd and qmail-send; uid is that of qmaild, if known."""

    def __init__(self, smtp: Log, send: Log, uid: int | None = None) -> None:
        self.smtp, self.send, self.uid = smtp, send, uid
        self._sessions, self._messages = Sessions(smtp), Messages(send, uid)
        self._journeys: dict[object, Journey] = {}

    def find(self, what: Query, since: int | None = None, until: int | None = None, limit: int = 20) -> Found:
        """Return the newest journeys that match, at most limit of them."""
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
        if what.kind == ID and not found:
            return self.find(_other(what.given), since, until, limit)  # some other text that looks like one
        journeys = sorted(found.values(), key=lambda journey: journey.begun)
        if len(journeys) > limit:
            journeys, more = journeys[-limit:], True
        return Found(journeys, more)

    def _known(self, log: Log, hit: LineRef) -> bool:
        """Return whether the line belongs to a journey that was found before."""
        if log is self.smtp:
            return all(begin in self._journeys for begin in self._sessions.beginnings(hit))
        begin = self._messages.beginning(hit)
        return begin is None or self._messages.is_known(begin)

    def _hits(
        self, log: Log, needles: Sequence[bytes], what: Query, since: int | None, until: int | None
    ) -> Iterator[tuple[int, LineRef]]:
        """Yield (time, position) of the lines that match, newest first."""
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
                    if not what.matches(data, place.offset, stop or len(data)):
                        continue
                    if what.kind != ID or what.named(log.line(place)):
                        places.add(place.offset)
            if encoded:
                for place in log.forward(b"=?", begin, end):
                    if place.offset not in places and what.decoded(log.line(place)):
                        places.add(place.offset)
            for offset in sorted(places, reverse=True):
                time = log.time(LineRef(file, offset))
                if time is not None:
                    yield time, LineRef(file, offset)

    # Sessions

    def _smtp_journeys(self, hit: LineRef) -> list[Journey]:
        return [self._journey(begin) for begin in self._sessions.beginnings(hit)]

    def _journey(self, begin: LineRef) -> Journey:
        """Return the whole journey of the session that begins there."""
        known = self._journeys.get(begin)
        if known is not None:
            return known
        session, last = self._sessions.session(begin)
        journey = self._journeys[begin] = Journey(session)
        if session.address is not None:
            self._sessions.add_refusals(session, begin, last)
        taken: set[int] = set()
        for attempt in session.attempts:
            if attempt.queue_pid is not None:
                attempt.message = self._messages.queued_by(attempt.queue_pid, attempt.at, attempt.sender)
                if attempt.message is not None:
                    attempt.recipients = attempt.recipients or attempt.message.recipients()
                    taken.add(id(attempt.message))
                    self._journeys[id(attempt.message)] = journey
            elif attempt.kind in ACCEPTED:
                candidates = [
                    one
                    for one in self._messages.candidates(attempt.at, attempt.sender or "")
                    if id(one) not in taken
                ]
                chosen = match(attempt, session.pid, candidates, self.uid)
                if chosen is not None:
                    attempt.message, attempt.inference = candidates[chosen[0]], chosen[1]
                    taken.add(id(attempt.message))
                    self._journeys[id(attempt.message)] = journey
        return journey

    def _send_journeys(self, hit: LineRef) -> list[Journey]:
        begin = self._messages.beginning(hit)
        if begin is None:
            return []
        message = self._messages.root(begin)
        known = self._journeys.get(id(message))
        if known is not None:
            return [known]
        for place in self._verdicts(message):
            for session_begin in self._sessions.beginnings(place):
                journey = self._journey(session_begin)
                if any(one is message for one in journey.messages()):
                    return [journey]
        journey = self._journeys[id(message)] = Journey(None, message)
        return [journey]

    def _verdicts(self, message: Message) -> Iterator[LineRef]:
        """Yield the lines of qmail-smtpd's log that may be about this message, the likeliest first.

        Those with the pid of its qmail-queue, then verdicts without one, as those of version 0.2 and before,
        on messages of this sender at about that time.
        """
        if (
            message.sender is None
            or message.begun is None
            or (self.uid is not None and message.uid != self.uid)
        ):
            return
        at = message.begun
        if message.queue_pid is not None:
            needle = f"qp {message.queue_pid}".encode("ascii")
            first = self.smtp.at(at - LATE_SECONDS * NANOSECONDS)
            for place in self.smtp.backward(needle, first, self.smtp.at(at + BEFORE_SECONDS * NANOSECONDS)):
                record = smtplog.parse(self.smtp.line(place))
                if getattr(record, "queue_pid", None) == message.queue_pid:
                    yield place
        wanted_sender = plain(message.sender)
        pieces = sorted(wanted_sender.split("_"), key=len)
        if len(pieces) == 1:
            needle = b":" + wanted_sender.encode("ascii") + b":"
        else:  # '_' may stand for another byte in the other log; where nothing else is left, every verdict
            needle = pieces[-1].encode("ascii") or b" simscan:["
        ranges = (
            (at - BEFORE_SECONDS * NANOSECONDS, at + BEFORE_SECONDS * NANOSECONDS),
            (at - LATE_SECONDS * NANOSECONDS, at - BEFORE_SECONDS * NANOSECONDS),
        )
        for begin, end in ranges:
            looked = 0
            for place in self.smtp.backward(needle, self.smtp.at(begin), self.smtp.at(end)):
                record = smtplog.parse(self.smtp.line(place))
                if not isinstance(record, smtplog.Verdict) or record.queue_pid is not None:
                    continue
                if any(plain(split[2]) == wanted_sender for split in record.splits()):
                    yield place
                    looked += 1
                    if looked >= CANDIDATES_MAX:
                        break


def _newest_first(*sources: tuple[Log, Iterator[tuple[int, LineRef]]]) -> Iterator[tuple[Log, LineRef]]:
    """Merge the hits of several logs by their times."""
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
