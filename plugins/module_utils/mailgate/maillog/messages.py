# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages in the log of qmail-send: the message of a line, its deliveries, bounces and copies."""

from __future__ import annotations

from ..formats import send_log as sendlog
from ..formats.smtpd_log import NANOSECONDS
from .archive import LineRef, Log
from .inference import plain, sender_fits
from .journey import Delivery, Message, forwarded_pids

BEFORE_SECONDS, SOON_SECONDS, LATE_SECONDS = 3, 30, 1800  # between a verdict and its message
QUEUED_SECONDS = 86_400  # qmail-send may be down in between
CHILD_SECONDS = 600
CANDIDATES_MAX = 50
DEPTH_MAX = 5


def _needles(name: bytes) -> tuple[bytes, ...]:
    """Return the texts that lines about the message with this number contain."""
    return (
        b" new msg " + name + b"\n",
        b" info msg " + name + b": ",
        b": msg " + name + b" to ",
        b" bounce msg " + name + b" qp ",
        b" bounce withheld msg " + name + b": ",
        b" discarding bounce/" + name + b"\n",
        b" end msg " + name + b"\n",
    )


class Messages:
    """The messages of one log, each parsed once; uid is that of qmaild, if known."""

    def __init__(self, log: Log, uid: int | None = None) -> None:
        self._log, self._uid = log, uid
        self._known: dict[LineRef, Message] = {}
        # How many levels of children each message has, once it is complete; a child has one parent.
        self._levels: dict[LineRef, int] = {}
        self._has_parent: set[LineRef] = set()

    def is_known(self, begin: LineRef) -> bool:
        """Return whether the message that begins there was found before."""
        return begin in self._known

    def beginning(self, hit: LineRef) -> LineRef | None:
        """Return the first line of the message that a line of qmail-send's log belongs to."""
        record = sendlog.parse(self._log.line(hit))
        if isinstance(record, sendlog.DeliveryEnded):
            needle = f" starting delivery {record.delivery}: msg ".encode("ascii")
            started = next(self._log.backward(needle, LineRef(0, 0), hit), None)
            if started is None:
                return None
            hit, record = started, sendlog.parse(self._log.line(started))
        number = getattr(record, "message", None)
        if number is None:
            return None
        if isinstance(record, sendlog.NewMessage):
            return hit
        name = str(number).encode("ascii")
        begin = next(self._log.backward(b" new msg " + name + b"\n", LineRef(0, 0), hit), None)
        if begin is not None:
            ended = next(self._log.forward(b" end msg " + name + b"\n", begin, hit), None)
            if ended is None:
                return begin
        # The log no longer has its beginning: use its first line after the end of the message before.
        before = next(self._log.backward(b" end msg " + name + b"\n", LineRef(0, 0), hit), None)
        after = LineRef(0, 0) if before is None else self._log.after(before)
        first = hit
        for needle in _needles(name):
            for place in self._log.forward(needle, after, hit):
                if place < first:
                    first = place
                break
        return first

    def _message(self, begin: LineRef, depth: int = 0) -> Message:
        """Return the message that begins with this line, with its bounces and forwarded copies."""
        known = self._known.get(begin)
        if known is not None:
            return known
        first = sendlog.parse(self._log.line(begin))
        message = Message(getattr(first, "message", 0))
        self._known[begin] = message
        name = str(message.number).encode("ascii")
        last = next(self._log.forward(b" end msg " + name + b"\n", begin, self._log.end()), None)
        again = next(
            self._log.forward(b" new msg " + name + b"\n", self._log.after(begin), last or self._log.end()),
            None,
        )
        stop = again or (self._log.after(last) if last else self._log.end())
        places = {begin}
        for needle in _needles(name):
            places.update(self._log.forward(needle, begin, stop))
        for place in sorted(places, key=lambda one: (one.file, one.offset)):
            record = sendlog.parse(self._log.line(place))
            if getattr(record, "message", None) != message.number:
                continue
            self._take(message, record, place)
        levels = self._add_children(message, begin, depth) if depth < DEPTH_MAX else 0
        self._levels[begin] = levels
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
            for later in self._log.forward(needle, self._log.after(place), self._log.end()):
                end = sendlog.parse(self._log.line(later))
                if isinstance(end, sendlog.DeliveryStarted):
                    break  # qmail-send was restarted
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

    def _add_children(self, message: Message, begin: LineRef, depth: int) -> int:
        """Add the bounces and copies; return how many levels of them there are.

        Pids and message numbers are used again, so a log can seem to hold a message that is a copy of itself.
        Children make a tree of DEPTH_MAX levels: none that is not complete yet, and none of another parent.
        """
        levels = 0
        times = {pid: at for at, pid in message.bounces}
        for delivery in message.deliveries:
            times.update(dict.fromkeys(forwarded_pids(delivery), delivery.begun))
        for pid, at in times.items():
            child = self._of_queue_pid(pid, at)
            if child is None or child == begin or child in self._has_parent:
                continue
            found = self._message(child, depth + 1)
            below = self._levels.get(child)
            if below is not None and below < DEPTH_MAX:
                self._has_parent.add(child)
                message.children.append(found)
                levels = max(levels, below + 1)
        return levels

    def _of_queue_pid(self, pid: int, at: int) -> LineRef | None:
        """Return the beginning of the message that this qmail-queue queued soon after the time."""
        needle = f" qp {pid} uid ".encode("ascii")
        first, last = self._log.at(at), self._log.at(at + CHILD_SECONDS * NANOSECONDS)
        for place in self._log.forward(needle, first, last):
            return self.beginning(place)
        return None

    def root(self, begin: LineRef) -> Message:
        """Return the message of which this one is a bounce or a copy, or itself."""
        for _depth in range(DEPTH_MAX):
            message = self._message(begin)
            parent = None if message.queue_pid is None else self._parent(message, begin)
            if parent is None:
                return message
            begin = parent
        return self._message(begin)

    def _parent(self, message: Message, begin: LineRef) -> LineRef | None:
        at = message.begun or 0
        first = self._log.at(at - CHILD_SECONDS * NANOSECONDS)
        last = self._log.at(at + CHILD_SECONDS * NANOSECONDS)
        pid = message.queue_pid
        needles = (f" qp {pid}\n".encode("ascii"), f"qp_{pid}/".encode("ascii"))
        for needle in needles:
            for place in self._log.forward(needle, first, last):
                above = self.beginning(place)
                if above is None or above == begin:
                    continue
                if any(child is message for child in self._message(above).children):
                    return above
        return None

    def queued_by(self, pid: int, at: int, sender: str | None) -> Message | None:
        """Return the message of this sender that the qmail-queue with that pid has queued at about that time.

        A pid is used again, and qmail-send may take a message late, so the first one from then on counts.
        """
        needle = f" qp {pid} uid ".encode("ascii")
        first = self._log.at(at - BEFORE_SECONDS * NANOSECONDS)
        last = self._log.at(at + QUEUED_SECONDS * NANOSECONDS)
        for place in self._log.forward(needle, first, last):
            record = sendlog.parse(self._log.line(place))
            if not isinstance(record, sendlog.MessageInfo) or not sender_fits(sender, record.sender):
                continue
            begin = self.beginning(place)
            return None if begin is None else self._message(begin)
        return None

    def candidates(self, at: int, sender: str) -> list[Message]:
        """Return messages from this sender (in simscan's form) that were queued at about that time."""
        wanted_sender = plain(sender)
        # '_' may stand for another byte in the other log, so only the part before the first one is searched.
        piece = wanted_sender.partition("_")[0]
        needle = b" from <" + piece.encode("ascii") + (b"> qp " if piece == wanted_sender else b"")
        found: list[Message] = []
        for seconds in (SOON_SECONDS, LATE_SECONDS):
            first = self._log.at(at - BEFORE_SECONDS * NANOSECONDS)
            last = self._log.at(at + seconds * NANOSECONDS)
            for place in self._log.forward(needle, first, last):
                record = sendlog.parse(self._log.line(place))
                if not isinstance(record, sendlog.MessageInfo) or plain(record.sender) != wanted_sender:
                    continue
                if self._uid is not None and record.uid != self._uid:
                    continue
                begin = self.beginning(place)
                if begin is not None:
                    message = self._message(begin)
                    if not any(one is message for one in found):
                        found.append(message)
                if len(found) >= CANDIDATES_MAX:
                    break
            if found:
                break
        return found
