# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operators' lists as text: read their entries, and add or remove one.

The entries of a list are in one file, one line each, most with a note above it (notes.py):
  relay, clients    /etc/tcp.d/20-operator; a relay network is also in its head
  senders           /etc/badmailfrom.d/20-operator
  trusted, blocked  operator.cf of SpamAssassin
  recipients        one address in each line
Every other line of the text, such as rules and comments written by hand, is left unchanged.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.errors import BadInput
from ..formats import addresses as recipients
from ..formats import notes, tcprules
from ..formats.networks import (
    RELAY_WIDEST,
    Network,
    client_address,
    contains,
    number_address,
    parse_network,
    rule_address,
)
from ..formats.rule_keys import key_interval
from ..formats.tcprules import Rule
from ..rules import senders as bad_senders
from ..rules.fragments import FACTS, operator_relay_networks, render_operator_relay_networks

RELAY, CLIENTS, SENDERS, TRUSTED, BLOCKED, RECIPIENTS = LISTS = (
    "relay",
    "clients",
    "senders",
    "trusted",
    "blocked",
    "recipients",
)
ACTIONS = ("allow", "deny")
SITE, OPERATOR = "site", "operator"
WIDEST = RELAY_WIDEST
TEXT_BYTES_MAX = 4 << 20

_ENVIRONMENT = {RELAY: (("RELAYCLIENT", ""),), "allow": (("WHITELISTED", ""),), "deny": ()}
_WORDS = {TRUSTED: "welcomelist_from", BLOCKED: "blocklist_from"}
_SCORED = re.compile(r"(welcomelist_from|blocklist_from)\s+(\S+)\s*")
_PLAIN = re.compile(r"[a-z0-9._+=~-]*@[a-z0-9.-]+")
_HEADS = {
    TRUSTED: "# Written by the service operator: see 'mailgate operator entries trusted'.\n",
    RECIPIENTS: "# Recipients of the operators: see 'mailgate operator entries recipients'.\n",
}
_HEADS[BLOCKED] = _HEADS[TRUSTED]


@dataclass(frozen=True)
class Entry:
    """One entry: its value in canonical form, 'allow' or 'deny' for a client, and why it is fixed, or ''."""

    value: str
    action: str = ""
    note: notes.Note = notes.NONE
    origin: str = OPERATOR
    fixed: str = ""
    line: int = 0

    def same(self, other: Entry | None) -> bool:
        """Return whether both have the same value, action and note."""
        return other is not None and (self.value, self.action, self.note) == (
            other.value,
            other.action,
            other.note,
        )

    def values(self) -> dict[str, object]:
        """Return the entry for the audit log and for callers, as JSON values."""
        return {
            "value": self.value,
            "action": self.action,
            "by": self.note.by,
            "note": self.note.note,
            "until": self.note.until,
        }


# Values


def canonical(name: str, text: str) -> str:
    """Return the canonical form of a value of that list; raises BadInput."""
    if name in (RELAY, CLIENTS):
        return str(_network(text))
    if name == RECIPIENTS:
        return recipients.written_address("@".join(recipients.parse_address(text, "recipient")))
    fault = bad_senders.sender_fault(text)
    if fault:
        raise BadInput(f"sender: {_shown(text)} {fault}")
    value = recipients.written_address(bad_senders.sender_key(text))
    if name != SENDERS and not _PLAIN.fullmatch(value):
        raise BadInput(
            f"sender: {_shown(text)} has a character with another meaning in SpamAssassin; "
            "expected letters, digits and ._+=~-"
        )
    return value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _network(text: str) -> Network:
    if len(text) > 100:
        raise BadInput(f"network: {_shown(text)} is too long; expected one such as '10.0.0.0/24'")
    try:
        network: Network = ipaddress.ip_network(client_address(text))
    except BadInput:
        network = parse_network(text)
    if fault := WIDEST.fault(network):
        raise BadInput(f"network: {text!r} {fault}")
    return network


def note_fault(note: str) -> str:
    """Return why a text cannot be a note, or ''."""
    if not note.strip():
        return "note: is empty; expected who asked for it and why"
    if len(note) > 200 or not note.isprintable():
        return f"note: {_shown(note)} is too long or not printable; expected at most 200 characters in a line"
    return ""


def overlapping(network: str, protected: Sequence[Network]) -> str:
    """Return the first protected network that has an address in common with the network, or ''."""
    one = parse_network(network)
    return next((str(two) for two in protected if contains(one, two) or contains(two, one)), "")


# Reading


def entries(name: str, text: str, where: str) -> list[Entry]:
    """Return the entries of that list in its file's text, in order; where names the file. Raises BadInput."""
    return _READ[name](name, text, where)


def _read_rules(name: str, text: str, where: str) -> list[Entry]:
    rules = tcprules.parse(text, where)
    written = notes.notes(rules.lines, where)
    found = []
    for rule in rules.rules:
        if (rule.variable("RELAYCLIENT") is not None) == (name == RELAY):
            network = rule_network(rule)
            fixed = "" if network and rule.environment == _environment(name, rule.action) else _by_hand(rule)
            action = "" if name == RELAY else rule.action
            note = written.get(rule.line, notes.NONE)
            found.append(Entry(network or rule.address, action, note, OPERATOR, fixed, rule.line))
    return found


def _by_hand(rule: Rule) -> str:
    return f"{rule.where} was written by hand; change it there"


def _environment(name: str, action: str) -> tuple[tuple[str, str], ...]:
    return _ENVIRONMENT[RELAY if name == RELAY else action]


def rule_network(rule: Rule) -> str:
    """Return the network in CIDR form that is exactly a rule's address, or ''."""
    intervals = [key_interval(key) for key in rule.keys]
    ends = [one for one in intervals if one is not None]
    if len(ends) != len(intervals) or "@" in rule.address or rule.address == "":
        return ""
    first, last = number_address(ends[0][0]), number_address(ends[-1][1])
    networks: list[Network] = list(ipaddress.summarize_address_range(first, last))
    return str(networks[0]) if len(networks) == 1 and rule_address(networks[0]) == rule.address else ""


def _read_senders(dummy_name: str, text: str, where: str) -> list[Entry]:
    return [
        Entry(recipients.written_address(one.address), "", one.note, OPERATOR, "", one.line)
        for one in bad_senders.parse(text, where)
    ]


def _read_scored(name: str, text: str, where: str) -> list[Entry]:
    lines = text.split("\n")
    written = notes.notes(lines, where)
    found = []
    for number, line in enumerate(lines, 1):
        match = _SCORED.fullmatch(line)
        if match is None:
            if line.strip() and not line.startswith("#"):
                raise BadInput(
                    f"{where} line {number}: {line!r} is not an entry; expected 'blocklist_from A'"
                )
        elif match[1] == _WORDS[name]:
            value = match[2][1:] if match[2].startswith("*@") else match[2]
            found.append(Entry(value, "", written.get(number, notes.NONE), OPERATOR, "", number))
    return found


def _read_recipients(name: str, text: str, where: str) -> list[Entry]:
    lines = text.split("\n")
    written = notes.notes(lines, where)
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            key = "@".join(recipients.parse_address(line.strip(), f"{where} line {number}"))
            note = written.get(number, notes.NONE)
            found.append(Entry(recipients.written_address(key), "", note, OPERATOR, "", number))
    return found


_READ: Mapping[str, Callable[[str, str, str], list[Entry]]] = {
    RELAY: _read_rules,
    CLIENTS: _read_rules,
    SENDERS: _read_senders,
    TRUSTED: _read_scored,
    BLOCKED: _read_scored,
    RECIPIENTS: _read_recipients,
}


# Editing


def edit(name: str, text: str, where: str, value: str, wanted: Entry | None) -> str:
    """Return the text in which the value has only the wanted entry, or none for None; raises BadInput.

    An existing entry keeps its place, a new one is appended. Entries written by hand in another form are left
    unchanged.
    """
    there = [one for one in entries(name, text, where) if one.value == value and not one.fixed]
    lines: list[str] = re.findall(r"[^\n]*\n|[^\n]+", text)
    fresh = [] if wanted is None else _lines(name, wanted)
    if wanted is not None and not there:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines = [*(lines or [_HEADS.get(name, "")]), *fresh]
    for at, one in reversed(list(enumerate(there))):
        first = one.line - 1
        if first > 0 and lines[first - 1].startswith(notes.BEGIN):
            first -= 1
        lines[first : one.line] = fresh if at == 0 else []
    made = "".join(lines)
    if name == RELAY:
        made = _with_relay_networks(made, where, value)
    if len(made) > TEXT_BYTES_MAX:
        raise BadInput(f"file {where}: would have more than {TEXT_BYTES_MAX} bytes; expected fewer entries")
    return made


def _lines(name: str, entry: Entry) -> list[str]:
    note = {"by": entry.note.by, "note": entry.note.note, "until": entry.note.until}
    said = {key: value for key, value in note.items() if value not in ("", None)}
    lines = [f"# {json.dumps(said)}\n"] if said else []
    return [*lines, f"{_line(name, entry)}\n"]


def _line(name: str, entry: Entry) -> str:
    if name in (RELAY, CLIENTS):
        action = "allow" if name == RELAY else entry.action
        variables = "".join(f',{key}="{text}"' for key, text in _environment(name, action))
        return f"{rule_address(parse_network(entry.value))}:{action}{variables}"
    if name in _WORDS:
        star = "*" if entry.value.startswith("@") else ""
        return f"{_WORDS[name]} {star}{entry.value}"
    return entry.value


def _with_relay_networks(text: str, where: str, value: str) -> str:
    """Return the text whose head names exactly the networks with a relay rule; other heads are kept."""
    rules = tcprules.parse(text, where)
    before = set(operator_relay_networks(rules))
    # Of two networks, one inside the other, the compiler names only the outer one.
    ruled = {parse_network(one.value) for one in _read_rules(RELAY, text, where) if not one.fixed}
    after = {one for one in before if str(one) != value} | ruled
    if after == before:
        return text
    rest = "".join(line for line in rules.lines if not line.startswith(FACTS))
    return render_operator_relay_networks(after) + rest
