# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions and messages made of the records of the logs, each with its timeline and its outcome.

A session is what tcpserver or the launcher logs as `pid P`, until its `end P`, and what smtpfront has said of
it before, by its id. A message of the queue is what qmail-send logs from `new msg N` to `end msg N`. Lines
about one message of a session, simscan's verdict and qmail-smtpd's `accepted`, have its id, and the pid of
its qmail-queue, which qmail-send logs as well; so it does of bounces and forwarded messages. Lines of version
0.2 and before have no ids: inference.py joins them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..core.text import one_line
from ..formats import send_log as sendlog
from ..formats import session_id
from ..formats import smtpd_log as smtplog
from ..formats.encoded_words import subject_words
from ..formats.logged_address import without_brackets
from ..formats.smtpd_log import NANOSECONDS
from .verdicts import ACCEPTED, CLEAN, CONTENT, LIMIT, MARKED, RELAYED, SPAM, TAKEN, UNCHECKED, VIRUS, meaning

# Outcomes of a session's attempt, or of a message, beside the scanner's verdicts
RULE, LISTED, GREYLISTED = "refused by rule", "refused by DNS list", "greylisted"
SENDER, RELAY, RECIPIENT = "bad sender", "relay denied", "unknown recipient"
PROTOCOL = "protocol error"  # an address, the end of a line, or a limit
PUT_OFF = "put off"
LEFT = "client left"  # in the middle of its message
DELIVERED, DEFERRED, BOUNCED = "delivered", "deferred", "bounced"
WITHHELD = "bounce withheld"  # failed permanently, and no bounce is sent
NOTHING = "nothing taken"  # a session that ended without an attempt to send a message
OPEN = "open"  # it has not ended, or the log ends
REFUSAL_KINDS = {"validrcptto": RECIPIENT, "rcpthosts": RELAY, "badmailfrom": SENDER}

_COMMANDS = {"mail": "sender", "rcpt": "recipient", "starttls": "STARTTLS"}
# What qmail-smtpd has done with a message that it did not accept; the other words of refusal.h refuse it.
_DATA = {
    "client-left": "the client left in the middle of its message",
    "put-off": "message put off with 451",
}
SAME_ANSWER_NANOSECONDS = 5 * NANOSECONDS  # between simscan's line and qmail-smtpd's of one message
_TOO_MANY = {"recipients": "unknown recipients"}

_PUT_OFF_NOTE = re.compile(r"put off for (\S+): (.*)", re.DOTALL)
_KEPT_NOTE = re.compile(r"kept as ([0-9a-f]{16})")
_FRONT = re.compile(r"(busy|ended|put off|lost) (\S+) (.*)", re.DOTALL)
_FORWARDED = re.compile(r"(?<![^/_])qp_([0-9]{1,10})(?=/)")


def put_off_note(record: smtplog.ScannerNote) -> tuple[str, str] | None:
    """Return (client, reason) of simscan's line that reports a message as put off, or None."""
    found = _PUT_OFF_NOTE.fullmatch(record.text)
    return (without_brackets(found[1]), found[2]) if found else None


@dataclass
class Step:
    """One line of a timeline; at in unix nanoseconds."""

    at: int
    program: str
    words: str


@dataclass
class Attempt:
    """The outcome of one attempt of a session; kind is one of the constants above."""

    at: int
    kind: str
    words: str
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    subject: str = ""
    seconds: float | None = None  # of the scan
    verdict: smtplog.Verdict | None = None
    id: str = ""  # of the message
    queue_pid: int | None = None
    message: Message | None = None
    inference: str = ""  # why message is inferred to be the result


@dataclass
class Delivery:
    """One attempt to deliver to one recipient; ended is None while it runs, or when its end is not logged."""

    number: int
    channel: str
    recipient: str
    begun: int
    ended: int | None = None
    result: str = ""
    text: str = ""


@dataclass
class Message:
    """A message of the queue; begun is None when the log no longer has its beginning."""

    number: int
    begun: int | None = None
    size_bytes: int | None = None
    sender: str | None = None
    queue_pid: int | None = None
    uid: int | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    bounces: list[tuple[int, int]] = field(default_factory=list)  # when, pid of its qmail-queue
    withheld: list[tuple[int, str]] = field(default_factory=list)  # when no bounce was sent, and why
    discarded: int | None = None
    ended: int | None = None
    children: list[Message] = field(default_factory=list)  # bounces and forwarded copies

    def recipients(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(delivery.recipient for delivery in self.deliveries))

    def last(self) -> list[Delivery]:
        """Return the last attempt for each recipient, in the order of the first attempts."""
        latest: dict[tuple[str, str], Delivery] = {}
        for delivery in self.deliveries:
            latest[delivery.channel, delivery.recipient] = delivery
        return list(latest.values())

    def outcomes(self) -> list[tuple[str, str]]:
        """Return (kind, text) for each recipient, or for the whole message when nothing was attempted."""
        found = []
        for delivery in self.last():
            what = sendlog.words(delivery.text)
            said = f" ({one_line(what)})" if what else ""
            name = one_line(delivery.recipient)
            if delivery.result == sendlog.SUCCESS:
                forwarded = [child for child in self.children if child.queue_pid in forwarded_pids(delivery)]
                if forwarded:
                    found += [one for child in forwarded for one in child.outcomes()]
                else:
                    found.append((DELIVERED, f"delivered to {name}{said}"))
            elif delivery.result == sendlog.FAILURE:
                if self.withheld:
                    why = one_line(self.withheld[-1][1])
                    found.append((WITHHELD, f"failed for {name}{said}; no bounce: {why}"))
                else:
                    found.append((BOUNCED, f"bounced for {name}{said}"))
            elif delivery.result:
                tries = sum(1 for one in self.deliveries if one.recipient == delivery.recipient)
                count = f" {tries} times" if tries > 1 else ""
                found.append((DEFERRED, f"deferred{count} for {name}{said}"))
            else:
                found.append((OPEN, f"delivery to {name} has not ended"))
        return found or [(OPEN, "queued, no delivery yet")]

    def steps(self) -> list[Step]:
        """Return the message's timeline, including those of its bounces and copies."""
        found = []
        if self.begun is not None:
            size = "" if self.size_bytes is None else f", {self.size_bytes} bytes"
            sender = "" if self.sender is None else f" from <{one_line(self.sender)}>"
            found.append(Step(self.begun, "qmail-send", f"message {self.number} queued{sender}{size}"))
        for delivery in self.deliveries:
            name = f"{delivery.channel} {one_line(delivery.recipient)}"
            found.append(Step(delivery.begun, "qmail-send", f"delivery {delivery.number} to {name}"))
            if delivery.ended is not None:
                told = {sendlog.SUCCESS: "delivered", sendlog.FAILURE: "failed permanently"}
                what = one_line(sendlog.words(delivery.text)) or "no text"
                words = f"delivery {delivery.number} {told.get(delivery.result, 'deferred')}: {what}"
                found.append(Step(delivery.ended, "qmail-send", words))
        for at, pid in self.bounces:
            found.append(Step(at, "qmail-send", f"bounce of message {self.number} queued, qp {pid}"))
        for at, why in self.withheld:
            words = f"bounce of message {self.number} withheld: {one_line(why)}"
            found.append(Step(at, "qmail-send", words))
        if self.discarded is not None:
            found.append(
                Step(self.discarded, "qmail-send", f"bounce {self.number} could not be delivered; dropped")
            )
        if self.ended is not None:
            found.append(Step(self.ended, "qmail-send", f"message {self.number} leaves the queue"))
        for child in self.children:
            found += child.steps()
        return found


def forwarded_pids(delivery: Delivery) -> list[int]:
    """Return the pids of the qmail-queue processes to which a local delivery forwarded the message."""
    if delivery.channel != "local" or delivery.result != sendlog.SUCCESS:
        return []
    return [int(pid) for pid in _FORWARDED.findall(delivery.text)]


@dataclass
class Session:
    """A connection; address and begun are None when the log no longer has its beginning.

    pid is that of qmail-smtpd, or the number of a session that smtpfront did not hand over.
    """

    pid: int
    id: str = ""
    address: str | None = None
    begun: int | None = None
    ended: int | None = None
    status: int = 0
    remote: str = ""
    handed_over: bool = False  # by smtpfront to qmail-smtpd
    tls: str = ""  # VERSION/CIPHER, as far as a line of the log has it
    steps: list[Step] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    _listed: str = ""
    _server: str = "tcpserver"

    def add(self, record: smtplog.Record, note: str = "") -> bool:
        """Add one record of the session; return whether it is one. note is appended to the step's text."""
        made = self._words(record)
        if made is None:
            return False
        program, words = made
        program = "smtpfront" if session_id.is_of_front(record) else program
        self.id = self.id or session_id.session_of(getattr(record, "id", ""))
        self.tls = self.tls or getattr(record, "tls", "")
        self.steps.append(Step(record.at, program, one_line(words) + note))
        if self.attempts and note and self.attempts[-1].at == record.at:
            self.attempts[-1].words += note
        return True

    def _words(self, record: smtplog.Record) -> tuple[str, str] | None:
        if isinstance(record, smtplog.Connected):
            return self._connected(record)
        if isinstance(record, smtplog.Admitted):
            self.remote = self.remote or record.remote
            if record.allowed:
                return self._server, "let in by the rules"
            if session_id.is_of_front(record):
                self.address = record.remote[1:-2]  # of ":IP::"
            return self._server, self._try(record.at, RULE, "refused at connect by a rule")
        if isinstance(record, smtplog.Ended):
            if session_id.is_of_front(record) and self.handed_over:
                return None
            self.ended, self.status = record.at, record.status
            return self._server, "connection closed" + (f", status {record.status}" if record.status else "")
        if isinstance(record, smtplog.DnsListed):
            if record.decision == "listed":
                self._listed = record.zone
            return "dnsbl", f"{record.decision}: {record.zone} {record.text}"
        if isinstance(record, smtplog.Listed):
            words = f"refused by DNS list: {record.code} {record.text}"
            return "rblsmtpd", self._try(record.at, LISTED, words)
        if isinstance(record, smtplog.Greylisted):
            if session_id.is_of_front(record):  # it may be the session's first line
                self.address = self.address or record.address
            return "cqgreylist", self._greylist(record)
        if isinstance(record, smtplog.EnvelopeAsked):
            return "cqgreylist", self._asked(record)
        if isinstance(record, smtplog.Unnamed):
            return "clientname", f"{record.decision}: {record.text}"
        if isinstance(record, smtplog.RecipientRefused):
            kind = REFUSAL_KINDS.get(record.why, RECIPIENT)
            sender = "" if record.sender is None else f" from <{record.sender}>"
            words = {
                RECIPIENT: f"recipient {record.recipient} is unknown",
                RELAY: f"relay to {record.recipient} denied",
                SENDER: f"sender is in badmailfrom, recipient {record.recipient} refused",
            }[kind]
            self._try(record.at, kind, words + sender, record.sender, (record.recipient,))
            return "qmail-smtpd", words + sender
        if isinstance(record, smtplog.CommandRefused) and record.command == "data":
            return "qmail-smtpd", self._data_refused(record)
        if isinstance(record, smtplog.Accepted):
            return "qmail-smtpd", self._accepted(record)
        if isinstance(record, smtplog.CommandRefused):
            named = "" if record.recipient is None else f" {record.recipient}"
            about = "message" if record.why == "too-large" else _COMMANDS[record.command]  # its declared size
            told = f"{about}{named} refused, {record.why}, from <{record.sender}>"
            recipients = () if record.recipient is None else (record.recipient,)
            kind = PUT_OFF if record.why in (*smtplog.NO_TLS, *smtplog.LATER) else PROTOCOL
            self._try(record.at, kind, told, record.sender, recipients)
            return "qmail-smtpd", told
        if isinstance(record, smtplog.HungUp):
            return "qmail-smtpd", f"hung up: too many {_TOO_MANY.get(record.why, record.why)}"
        if isinstance(record, smtplog.Trouble) and record.pid is not None:
            return "smtpfront", self._of_front(record)
        if isinstance(record, smtplog.Verdict):
            return "simscan", self._judged(record)
        if isinstance(record, smtplog.ScannerNote):
            off = put_off_note(record)
            if off is not None:
                words = self._try(record.at, PUT_OFF, f"put off with 451: {off[1]}")
                self.attempts[-1].id = record.id
                return "simscan", words
            kept = _KEPT_NOTE.fullmatch(record.text)
            return "simscan", f"a copy is kept: mailgate refused show {kept[1]}" if kept else record.text
        return None

    def _connected(self, record: smtplog.Connected) -> tuple[str, str]:
        self.address = record.address
        self.begun = record.at if self.begun is None else self.begun
        if not session_id.is_of_front(record):
            self._server = "smtplaunch" if record.id else "tcpserver"
            if self.handed_over:
                return self._server, "handed over to qmail-smtpd"
        return self._server, f"connection from {record.address}"

    def _of_front(self, record: smtplog.Trouble) -> str:
        """Take the end of a session in smtpfront that was not the client's doing."""
        found = _FRONT.fullmatch(record.text)
        if found is None:
            return record.text
        self.address = self.address or found[2]
        told = f"{found[1]}: {found[3]}"
        return self._try(record.at, PUT_OFF, told) if found[1] in ("put off", "busy") else told

    def _accepted(self, record: smtplog.Accepted) -> str:
        """Take a message that was accepted; it has a verdict already, unless a rule passes simscan by."""
        told = f"accepted, id {record.id}, qp {record.queue_pid}, from <{record.sender}>"
        for attempt in self.attempts:
            if attempt.kind in ACCEPTED and attempt.verdict and attempt.id in (record.id, ""):
                if attempt.id:  # else qp is that of a simscan of another version
                    attempt.queue_pid = record.queue_pid
                attempt.id = record.id
                return told
        self._try(record.at, TAKEN, "accepted, without a verdict of simscan", record.sender)
        self.attempts[-1].id, self.attempts[-1].queue_pid = record.id, record.queue_pid
        return told

    def _data_refused(self, record: smtplog.CommandRefused) -> str:
        """Take a message that qmail-smtpd has not accepted; simscan's line may have said why already."""
        told = _DATA.get(record.why, f"message refused, {record.why}") + f", from <{record.sender}>"
        if record.why == "put-off":
            for attempt in self.attempts:
                near = abs(attempt.at - record.at) < SAME_ANSWER_NANOSECONDS
                same = attempt.id == record.id if attempt.id and record.id else near
                if attempt.kind == PUT_OFF and attempt.sender is None and same:
                    attempt.sender = record.sender
                    return told
        kind = {"put-off": PUT_OFF, "client-left": LEFT}.get(record.why, PROTOCOL)
        return self._try(record.at, kind, told, record.sender)

    def _greylist(self, record: smtplog.Greylisted) -> str:
        if record.decision in ("new", "early"):
            when = "first contact" if record.decision == "new" else "came back too early"
            words = f"greylisted, {when}: {record.key} {record.text}"
            return self._try(record.at, GREYLISTED, words)
        if record.decision == "refused":
            if self._listed:
                return self._try(record.at, LISTED, f"refused by DNS list: {record.text}")
            return self._try(record.at, RULE, f"refused by a rule: {record.text}")
        told = {
            "known": f"network {record.key} is known",
            "passed": f"network {record.key} passes, {why_it_passes(record.text)}",
            "skipped": f"not asked: {record.text}",
            "open": f"trouble, so it passes: {record.key} {record.text}",
        }
        return told.get(record.decision, record.decision)

    def _asked(self, record: smtplog.EnvelopeAsked) -> str:
        """Give the attempt that was refused its sender and recipients."""
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.kind in (GREYLISTED, LISTED, RULE):
            last.words = last.words if last.recipients else f"{last.words}; from <{record.sender}>"
            last.sender, last.recipients = record.sender, (*last.recipients, record.recipient)
        return f"refused for <{record.recipient}> from <{record.sender}>"

    def _try(
        self, at: int, kind: str, words: str, sender: str | None = None, recipients: tuple[str, ...] = ()
    ) -> str:
        self.attempts.append(Attempt(at, kind, one_line(words), sender, recipients))
        return words

    def _judged(self, verdict: smtplog.Verdict) -> str:
        kind = meaning(verdict)
        text, sender, recipients = fields_of(verdict, self.address)
        about = ""
        if kind == VIRUS:
            words = f"refused, virus {text}"
        elif kind == LIMIT:
            words = f"refused, more than the virus scanner looks at: {text}"
        elif kind == CONTENT:
            words = f"refused for its content: {verdict.state} {text}"
        else:
            about = subject_words(text) if kind != RELAYED else ""
            score = ""
            if verdict.score is not None and verdict.required is not None and kind != UNCHECKED:
                limit = verdict.refused_from if kind == SPAM else verdict.required
                score = f" {verdict.score:.2f} of {verdict.required if limit is None else limit:.2f}"
            state = {SPAM: "refused as spam", MARKED: "accepted, marked as spam", CLEAN: "accepted, clean"}
            words = state.get(kind, f"accepted, {kind}") + (f":{score}" if score else "")
        words = one_line(words)
        self.attempts.append(
            Attempt(
                verdict.at,
                kind,
                words,
                sender,
                recipients,
                about,
                verdict.seconds,
                verdict,
                verdict.id,
                verdict.queue_pid,
            )
        )
        names = ", ".join(recipients)
        title = f", subject '{about}'" if about else ""
        named = f", id {verdict.id}" if verdict.id else ""
        return f"{words}, from <{sender}> to {names}{title}, in {verdict.seconds:.2f} s{named}"

    def kind(self) -> str:
        """Return the session's outcome: that of its last attempt."""
        if self.attempts:
            return self.attempts[-1].kind
        return OPEN if self.ended is None else NOTHING


def fields_of(verdict: smtplog.Verdict, address: str | None) -> tuple[str, str, tuple[str, ...]]:
    """Return (text, sender, recipients) of a verdict, in the reading that fits the session's client."""
    splits = verdict.splits()
    for text, ip, sender, recipients in splits:
        if ip == address:
            return text, sender, tuple(recipients.split(","))
    if splits:
        text, _ip, sender, recipients = splits[0]
        return text, sender, tuple(recipients.split(","))
    return verdict.tail, "", ()


@dataclass
class Journey:
    """A session and its messages, or a message whose session the log no longer has."""

    session: Session | None = None
    message: Message | None = None  # of a journey without a session

    @property
    def begun(self) -> int:
        return min((step.at for step in self.steps()), default=0)

    def messages(self) -> list[Message]:
        if self.session is None:
            return [self.message] if self.message is not None else []
        return [attempt.message for attempt in self.session.attempts if attempt.message is not None]

    def steps(self) -> list[Step]:
        """Return all steps in the order of time; steps of one moment in the order of the logs."""
        found = list(self.session.steps) if self.session is not None else []
        for message in self.messages():
            found += message.steps()
        return sorted(found, key=lambda step: step.at)

    def verdicts(self) -> list[tuple[str, str]]:
        """Return (kind, text) of every decision, in order; for an accepted message also its deliveries."""
        if self.session is None:
            return self.message.outcomes() if self.message is not None else []
        found = []
        for attempt in self.session.attempts:
            found.append((attempt.kind, attempt.words))
            if attempt.message is not None:
                found += attempt.message.outcomes()
        if not found:
            ended = self.session.ended is not None
            found.append((NOTHING, "no message was taken") if ended else (OPEN, "the session is open"))
        return found

    def inferences(self) -> list[str]:
        """Return a sentence for each message that is joined to its session only by inference."""
        if self.session is None:
            return []
        return [
            f"message {attempt.message.number} of the queue is this one by inference ({attempt.inference})"
            for attempt in self.session.attempts
            if attempt.message is not None and attempt.inference
        ]


def why_it_passes(text: str) -> str:
    """Return what let a network pass, from cqgreylist's or smtpfront's 'after SECONDS[ pool DOMAIN]'."""
    found = re.fullmatch(r"after ([0-9]+)(?: pool (\S+))?", text)
    if found is None:
        return text
    of = f"an attempt from another network of {found[2]}" if found[2] else "its first contact"
    return f"{found[1]} seconds after {of}"
