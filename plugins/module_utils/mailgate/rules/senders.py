# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Envelope senders that are refused: the fragments of /etc/badmailfrom.d and the file compiled from them.

A line is `user@host`, or `@host` for every sender of a host. qmail-smtpd (netqmail 1.06, bmfcheck) looks up
the whole sender and the part from its last '@' in control/badmailfrom, ignoring case; there are no patterns.
An operator's line may have a note above it, see notes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..formats import addresses as recipients
from ..formats import notes
from .files import State, Versions, describe_faults

SITE, OPERATOR = "10-site", "20-operator"
FRAGMENTS = (SITE, OPERATOR)
_EXPECTED = "expected 'user@host' or '@host'"


def sender_fault(text: object) -> str:
    """Return why a text can never match the sender that it names, or ''."""
    if not isinstance(text, str):
        return f"is not a string; {_EXPECTED}"
    if "*" in text:
        return f"has a '*', which stands for itself only; {_EXPECTED}"
    if "@" not in text and "." in text and not recipients.domain_fault(recipients.ascii_domain(text)):
        return f"is a domain; expected '@{text}' for every sender of it, or 'user@{text}'"
    whole = f"user{text}" if text.startswith("@") else text
    # A sender's host may be a single word, such as localhost.
    host = whole.rpartition("@")[2]
    if host and "." not in host:
        whole += ".invalid"
    fault = recipients.address_fault(whole)
    if not fault and sender_key(text).startswith("#"):
        return f"begins with '#', which qmail-smtpd takes for a comment; {_EXPECTED}"
    return fault


def sender_key(text: str) -> str:
    """Return a sender without a fault as qmail-smtpd compares it: without quotes, in lower case and ASCII."""
    local_part, at, host = text.rpartition("@")
    return f"{recipients.local_part_at_smtp(local_part)}{at}{recipients.ascii_domain(host)}"


@dataclass(frozen=True)
class Sender:
    """One line: the sender that it refuses, in lower case, its place, and the note above it."""

    address: str
    name: str
    line: int
    note: notes.Note

    @property
    def where(self) -> str:
        return f"{self.name} line {self.line}"


def parse(text: str, name: str) -> tuple[Sender, ...]:
    """Parse the senders of a fragment, in its order; raises BadInput that names the line."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    written = notes.notes(lines, name)
    found = []
    for number, line in enumerate(lines, 1):
        sender = line.rstrip("\n").rstrip(" \t")
        if not sender or sender.startswith("#"):
            continue
        fault = sender_fault(sender)
        if fault:
            raise BadInput(f"{name} line {number}: {sender!r} {fault}")
        found.append(Sender(sender_key(sender), name, number, written.get(number, notes.NONE)))
    return tuple(found)


def site_text(senders: Iterable[str]) -> str:
    """Return the text of 10-site, each sender once; raises BadInput for an invalid sender."""
    kept = set()
    for number, sender in enumerate(senders, 1):
        fault = sender_fault(sender)
        if fault:
            raise BadInput(f"senders item {number}: {sender!r} {fault}")
        kept.add(recipients.written_address(sender_key(sender)))
    head = (
        "# Written by Ansible (mailgate.qmail.bad_senders): changes here are lost.\n"
        "# Senders of your own belong into 20-operator beside this file.\n"
    )
    return head + "".join(f"{sender}\n" for sender in sorted(kept, key=_by_host))


def _by_host(sender: str) -> tuple[str, str]:
    user, _at, host = sender.rpartition("@")
    return host, user


@dataclass(frozen=True)
class Compiled:
    """control/badmailfrom, and its sources."""

    text: str
    senders: Mapping[str, Sender]
    states: Mapping[str, State]
    good: Mapping[str, str]  # texts to keep as last good versions
    next_expiry: int | None

    def faults(self) -> list[str]:
        """Return a line for each fragment of which an older version is in force, or none."""
        return describe_faults(self.states)


def compile_fragments(found: Versions, now: float) -> Compiled:
    """Compile the fragments for the time now.

    An invalid fragment is replaced by its last good version; raises BadInput when the site's has none.
    """
    senders: dict[str, Sender] = {}
    states: dict[str, State] = {}
    ends: list[int] = []
    for name in FRAGMENTS:
        states[name], lines = found.usable(name, parse)
        if lines is None and name == SITE and states[name].fault:
            raise BadInput(states[name].fault)
        for one in lines or ():
            if not one.note.over(now):
                senders.setdefault(one.address, one)
                ends += [one.note.until] if one.note.until is not None else []
    text = (
        f"# Made from the fragments in {found.directory} by 'mailgate rules compile': "
        "changes here are lost.\n"
        f"# Senders of your own belong into {found.path(OPERATOR)}.\n"
    ) + "".join(f"{address}\n" for address in sorted(senders, key=_by_host))
    return Compiled(text, senders, states, found.to_keep(states), min(ends, default=None))


def in_force(text: str) -> frozenset[str]:
    """Return the senders that a control/badmailfrom refuses, as qmail-smtpd reads it."""
    lines = (line.rstrip(" \t") for line in text.split("\n"))
    return frozenset(line.lower() for line in lines if line and not line.startswith("#"))


def describe_changes(before: frozenset[str], after: Iterable[str]) -> list[str]:
    """Describe which senders will be refused and which no longer."""
    now = set(after)
    return [
        *(f"{_who(one)} will be refused" for one in sorted(now - before, key=_by_host)),
        *(f"{_who(one)} will no longer be refused" for one in sorted(before - now, key=_by_host)),
    ]


def _who(sender: str) -> str:
    return f"every sender {sender}" if sender.startswith("@") else f"sender {sender}"


def explain(made: Compiled, sender: str) -> Sender | None:
    """Return the line that refuses a sender, or None."""
    whole = sender_key(sender)
    at = whole.rfind("@")
    found: Sequence[str] = (whole, whole[at:]) if at != -1 else (whole,)
    return next((made.senders[one] for one in found if one in made.senders), None)
