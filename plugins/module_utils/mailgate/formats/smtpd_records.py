# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of /var/log/qmail/smtpd, one of each line: what smtpd_log.py makes of it.

id is that of the session, or of its message (session_id.py), where the line has one, else ''. pid is that of
the session's process; a session that smtpfront holds has its number in its place. tls is what the line says
of the session's TLS, VERSION/CIPHER such as TLSv1.3/TLS_AES_256_GCM_SHA384; '' in plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Union

from .logged_address import IP_FIELD, in_field, without_brackets

_WITH_SUBJECT = frozenset(("CLEAN", "SPAM REJECT", "SPAM DROPPED", "SPAM PASS", "PASSTHRU"))
_ADDRESS_FIELD = re.compile(rf"(?<=:)({IP_FIELD}|\(null\))(?=:)")


# Records are plain dataclasses: frozen ones take five times as long to make, and there are many.


@dataclass
class SessionCount:
    """tcpserver has so many sessions open, of at most limit."""

    at: int  # unix nanoseconds, in every record
    sessions: int
    limit: int


@dataclass
class Connected:
    """A session begins: the process pid, the same through the whole chain of programs, serves address."""

    at: int
    pid: int
    address: str
    id: str = ""


@dataclass
class Admitted:
    """tcpserver's rules allow or refuse the session; local and remote are its name:ip:port fields."""

    at: int
    pid: int
    allowed: bool
    local: str
    remote: str
    id: str = ""


@dataclass
class Ended:
    """A session ends; status is the wait status as tcpserver prints it (256: exit status 1)."""

    at: int
    pid: int
    status: int
    id: str = ""


@dataclass
class RecipientRefused:
    """qmail-smtpd refused a recipient; why is validrcptto, rcpthosts or badmailfrom.

    Recipient and sender are as the log has them, escaped; the null sender is ''. The patch of 2006 names no
    sender: None.
    """

    at: int
    why: str
    recipient: str
    sender: str | None
    address: str
    id: str = ""
    pid: int | None = None
    tls: str = ""


@dataclass
class CommandRefused:
    """qmail-smtpd refused MAIL, RCPT, DATA or STARTTLS (command, in small letters) for its syntax or content.

    why is a word of refusal.h, such as control-byte or bare-lf; recipient is None except for RCPT; sender is
    as in RecipientRefused.
    """

    at: int
    command: str
    why: str
    recipient: str | None
    sender: str
    address: str
    id: str = ""
    pid: int | None = None
    tls: str = ""


@dataclass
class Accepted:
    """qmail-smtpd accepted a message, which the qmail-queue with that pid has put into the queue."""

    at: int
    sender: str
    address: str
    id: str
    pid: int
    queue_pid: int
    tls: str = ""


@dataclass
class HungUp:
    """qmail-smtpd ended a session after too many (unknown) recipients, refusals or commands (why)."""

    at: int
    why: str
    address: str
    id: str = ""
    pid: int | None = None
    tls: str = ""


@dataclass
class RecipientAsked:
    """With VALIDRCPTTO_LOG: a recipient that is looked up, or the key under which it was found."""

    at: int
    found: bool
    text: str


@dataclass
class Trouble:
    """A program of the chain reports a problem of the gateway itself; smtpfront's may be of a session."""

    at: int
    program: str
    text: str
    id: str = ""
    pid: int | None = None
    tls: str = ""


@dataclass
class Listed:
    """rblsmtpd refuses a client because of a DNS list or a rule; code is 451 or 553."""

    at: int
    pid: int
    address: str
    code: int
    text: str


@dataclass
class Greylisted:
    """cqgreylist's decision about a client; key is the network under which it remembers the client."""

    at: int
    pid: int
    decision: str
    address: str
    key: str
    text: str
    id: str = ""
    tls: str = ""


@dataclass
class EnvelopeAsked:
    """A client that may not pass now named this sender and recipient, escaped; the null sender is ''."""

    at: int
    pid: int
    address: str
    sender: str
    recipient: str
    id: str = ""
    tls: str = ""


@dataclass
class DnsListed:
    """dnsbl's result for a client and a zone: listed, ignored (the answer is not used) or trouble."""

    at: int
    pid: int
    decision: str
    address: str
    zone: str
    text: str
    id: str = ""
    tls: str = ""


@dataclass
class Unnamed:
    """The client has no confirmed name: decision is unconfirmed or trouble, of smtpfront also unnamed."""

    at: int
    pid: int
    decision: str
    address: str
    text: str
    id: str = ""
    tls: str = ""


@dataclass
class Verdict:
    """simscan's verdict on one message; pid is that of qmail-smtpd, which tcpserver logged.

    state is CLEAN, SPAM REJECT, SPAM DROPPED, SPAM PASS, PASSTHRU, VIRUS, VIRUS DROPPED, ATTACH, REGEX,
    LIMIT, HEURISTIC or RELAYCLIENT; score, required (SpamAssassin's threshold) and refused_from (simscan's)
    are None when the line does not have them, queue_pid unless it was queued. tail is
    'TEXT:IP:SENDER:RECIPIENT[,RECIPIENT…]', see splits().
    """

    at: int
    pid: int
    state: str
    score: float | None
    required: float | None
    refused_from: float | None
    seconds: float
    tail: str
    id: str = ""
    queue_pid: int | None = None

    def splits(self) -> tuple[tuple[str, str, str, str], ...]:
        """Return every way to read tail as (text, address, sender, recipients), the likeliest first.

        There are several only when untrusted text contains ':' and an address: simscan's own lines allow that
        in senders and in names of files and viruses. In a subject simscan writes '_' for ':', so the first
        address is the client's.
        """
        found = []
        for place in _ADDRESS_FIELD.finditer(self.tail):
            sender, colon, recipients = self.tail[place.end() + 1 :].rpartition(":")
            if colon:
                address = without_brackets(place[1])
                found.append((self.tail[: place.start() - 1], address, sender, recipients))
            if self.state in _WITH_SUBJECT:
                break
        return tuple(found)

    def is_of(self, address: str) -> bool:
        """Return whether the line can belong to a session with this client."""
        if self.state in _WITH_SUBJECT:
            found = _ADDRESS_FIELD.search(self.tail)
            return found is not None and without_brackets(found[1]) == address
        return any(f":{one}:" in self.tail for one in (address, in_field(address)))


@dataclass
class ScannerNote:
    """Any other line of simscan, with the pid of qmail-smtpd or None."""

    at: int
    pid: int | None
    text: str
    id: str = ""


Record = Union[
    SessionCount,
    Connected,
    Admitted,
    Ended,
    RecipientRefused,
    CommandRefused,
    Accepted,
    HungUp,
    RecipientAsked,
    Trouble,
    Listed,
    Greylisted,
    EnvelopeAsked,
    DnsListed,
    Unnamed,
    Verdict,
    ScannerNote,
]
