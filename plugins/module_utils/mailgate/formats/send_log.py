# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse /var/log/qmail/send: messages queued, deliveries started, delivered, deferred and failed.

Source: qmail-send.c and qsutil.c of netqmail 1.06, with the patches of the role netqmail. Senders,
recipients and reports are untrusted text: qmail-send writes '_' for every byte outside of ! to ~ and for '%',
and '/' for a newline, so that each is one word, and a line can be split at its spaces.

A message's number is its inode, which is used again once the message is gone. The numbers of deliveries
start from 1 each time that qmail-send starts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

from .smtpd_log import LABEL_CHARACTERS, unix_nanoseconds

SUCCESS, DEFERRAL, FAILURE, MANGLED = "success", "deferral", "failure", "mangled"


@dataclass
class NewMessage:
    """qmail-send takes a new message into the queue."""

    at: int  # unix nanoseconds, in every record
    message: int


@dataclass
class MessageInfo:
    """The message's size and envelope sender ('': the null sender), and pid and uid of its qmail-queue."""

    at: int
    message: int
    size_bytes: int
    sender: str
    queue_pid: int
    uid: int


@dataclass
class DeliveryStarted:
    """The delivery to one recipient begins; channel is local or remote."""

    at: int
    delivery: int
    message: int
    channel: str
    recipient: str


@dataclass
class DeliveryEnded:
    """The result of a delivery: success, deferral, failure or mangled (the report is damaged: a deferral)."""

    at: int
    delivery: int
    result: str
    text: str


@dataclass
class Bounced:
    """A bounce of the message was queued by the qmail-queue with this pid."""

    at: int
    message: int
    queue_pid: int


@dataclass
class BounceWithheld:
    """No bounce of the message is sent: it is spam, or its sender is not an address; reason says which."""

    at: int
    message: int
    reason: str
    sender: str


@dataclass
class BounceDiscarded:
    """A bounce of a bounce could not be delivered and is dropped."""

    at: int
    message: int


@dataclass
class MessageEnded:
    """The message leaves the queue."""

    at: int
    message: int


@dataclass
class QueueStatus:
    """The deliveries that run and their limits; exiting: qmail-send starts no more."""

    at: int
    local: int
    local_limit: int
    remote: int
    remote_limit: int
    exiting: bool


@dataclass
class Exited:
    """qmail-send exits after its last delivery."""

    at: int


@dataclass
class QueueTrouble:
    """qmail-send reports a problem of the gateway itself; level is warning or alert."""

    at: int
    level: str
    text: str


Record = Union[
    NewMessage,
    MessageInfo,
    DeliveryStarted,
    DeliveryEnded,
    Bounced,
    BounceWithheld,
    BounceDiscarded,
    MessageEnded,
    QueueStatus,
    Exited,
    QueueTrouble,
]

Make = Callable[[int, "re.Match[str]"], Record]
_NUMBER = "([0-9]{1,20})"

# Name of a form: how the text after the label begins, its pattern, and how its record is made. The first
# pattern that matches counts. Each name has at least one sample in tests/fixtures/sendlog.
_FORMS: tuple[tuple[str, str, str, Make], ...] = (
    (
        "starting delivery",
        "starting delivery ",
        rf"{_NUMBER}: msg {_NUMBER} to (local|remote) (\S*)",
        lambda at, found: DeliveryStarted(at, int(found[1]), int(found[2]), found[3], found[4]),
    ),
    (
        "delivery",
        "delivery ",
        rf"{_NUMBER}: (success|deferral|failure): (.*)",
        lambda at, found: DeliveryEnded(at, int(found[1]), found[2], found[3]),
    ),
    (
        "delivery mangled",
        "delivery ",
        rf"{_NUMBER}: report mangled, will defer",
        lambda at, found: DeliveryEnded(at, int(found[1]), MANGLED, ""),
    ),
    (
        "status",
        "status: ",
        rf"local {_NUMBER}/{_NUMBER} remote {_NUMBER}/{_NUMBER}( exitasap)?",
        lambda at, found: QueueStatus(
            at, int(found[1]), int(found[2]), int(found[3]), int(found[4]), found[5] is not None
        ),
    ),
    ("status exiting", "status: ", "exiting", lambda at, found: Exited(at)),
    ("new msg", "new msg ", _NUMBER, lambda at, found: NewMessage(at, int(found[1]))),
    (
        "info msg",
        "info msg ",
        rf"{_NUMBER}: bytes {_NUMBER} from <(\S*)> qp {_NUMBER} uid {_NUMBER}",
        lambda at, found: MessageInfo(
            at, int(found[1]), int(found[2]), found[3], int(found[4]), int(found[5])
        ),
    ),
    ("end msg", "end msg ", _NUMBER, lambda at, found: MessageEnded(at, int(found[1]))),
    (
        "bounce msg",
        "bounce msg ",
        rf"{_NUMBER} qp {_NUMBER}",
        lambda at, found: Bounced(at, int(found[1]), int(found[2])),
    ),
    (
        "bounce withheld",
        "bounce withheld msg ",
        rf"{_NUMBER}: ([a-z]+(?: [a-z]+)*), from <(\S*)>",
        lambda at, found: BounceWithheld(at, int(found[1]), found[2], found[3]),
    ),
    (
        "triple bounce",
        "triple bounce: discarding ",
        rf"bounce/{_NUMBER}",
        lambda at, found: BounceDiscarded(at, int(found[1])),
    ),
    *(
        (level, f"{level}: ", "(.*)", lambda at, found, level=level: QueueTrouble(at, level, found[1]))
        for level in ("warning", "alert")
    ),
)

PATTERNS: dict[str, tuple[str, re.Pattern[str], Make]] = {
    name: (start, re.compile(re.escape(start) + pattern, re.DOTALL | re.ASCII), make)
    for name, start, pattern, make in _FORMS
}
_KEY_CHARACTERS = 3
_BY_KEY: dict[str, list[tuple[str, str, re.Pattern[str], Make]]] = {}


for _name, (_start, _pattern, _make) in PATTERNS.items():
    _BY_KEY.setdefault(_start[:_KEY_CHARACTERS], []).append((_name, _start, _pattern, _make))


def parse(line: str) -> Record | None:
    """Return the record of one line of the log, or None for an unknown line."""
    return classify(line)[1]


def classify(line: str) -> tuple[str, Record | None]:
    """Return the name of the line's form in PATTERNS and its record; ('', None) for an unknown line."""
    if line[:1] != "@" or line[LABEL_CHARACTERS : LABEL_CHARACTERS + 1] != " ":
        return "", None
    begin = LABEL_CHARACTERS + 1
    for name, start, pattern, make in _BY_KEY.get(line[begin : begin + _KEY_CHARACTERS], ()):
        if line.startswith(start, begin):
            found = pattern.fullmatch(line, begin)
            if found is not None:
                at = unix_nanoseconds(line)
                return ("", None) if at is None else (name, make(at, found))
    return "", None


def field(text: str) -> str:
    """Return text as qmail-send writes it into its log: one word."""
    return "".join(
        "/" if char == "\n" else char if "!" <= char <= "~" and char != "%" else "_" for char in text
    )


# What qmail-remote says of its session in the second line of a success, before the words of the other host.
_TLS = re.compile(r"(?<=\./)tls=TLSv1\.[0-9]/[A-Za-z0-9_-]+,[a-z-]+(?=/)")


def words(text: str) -> str:
    """Return a report for people: with spaces, which the log does not distinguish from underscores."""
    tls = _TLS.search(text.partition("/Remote_host_said:")[0] + "/")
    if tls is not None:
        return " / ".join(filter(None, (words(text[: tls.start()]), tls[0], words(text[tls.end() :]))))
    return " / ".join(part for part in text.replace("_", " ").split("/") if part.strip()) if text else ""
