# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts that travel between gateways, and their form: one line of JSON each.

Grey     a network is pending in the greylist, or has passed it. It has no version: of two facts about one
         network the later state stands, see join().
Act      somebody acted on a value: the adaptive blacklist listed or an operator released an address; an
         operator denied or allowed a client, blocked a sender, trusted or distrusted one, or removed that.
         The act with the highest version stands.

Nothing else can be written in this form: there is no kind for relay networks, protected networks, recipients
or settings. A line is a fact only if it is exactly what render() writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from ..blacklist.clients import check_client
from ..core.errors import BadInput
from ..formats.greylist import PREFIX_MIN
from ..formats.networks import parse_network
from ..operators import entries
from ..rules.fragments import ADAPTIVE_UNTIL_MAX
from .versions import Version, check_number, parse_version

LINE_BYTES_MAX = 4096
BY_CHARACTERS_MAX = 300  # the longest name of a host among them
NOTE_CHARACTERS_MAX = 200

GREY = "grey"
ADAPTIVE, CLIENT, SENDER, SCORE = "adaptive", "client", "sender", "score"
LIST, RELEASE, ALLOW, DENY, BLOCK, TRUST, DISTRUST, REMOVE = (
    "list",
    "release",
    "allow",
    "deny",
    "block",
    "trust",
    "distrust",
    "remove",
)
# The acts of each kind; the last one takes back the others. Two acts on one value contradict each other.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    ADAPTIVE: (LIST, RELEASE),
    CLIENT: (ALLOW, DENY, REMOVE),
    SENDER: (BLOCK, REMOVE),
    SCORE: (TRUST, DISTRUST, REMOVE),
}
KINDS = (GREY, *ACTIONS)
# The operators' list that each act writes to, and what it says there.
LIST_OF: Mapping[tuple[str, str], tuple[str, str]] = {
    (CLIENT, ALLOW): (entries.CLIENTS, "allow"),
    (CLIENT, DENY): (entries.CLIENTS, "deny"),
    (SENDER, BLOCK): (entries.SENDERS, ""),
    (SCORE, TRUST): (entries.TRUSTED, ""),
    (SCORE, DISTRUST): (entries.BLOCKED, ""),
}
_CANONICAL = {CLIENT: entries.CLIENTS, SENDER: entries.SENDERS, SCORE: entries.TRUSTED}
Key = tuple[str, str]


@dataclass(frozen=True)
class Grey:
    """A network in CIDR form; passed: when it was last known to pass, else when its first attempt was."""

    network: str
    passed: bool
    at: int  # unix seconds by the clock of the host that says so


@dataclass(frozen=True)
class Act:
    """An act on a value. over is the version that its host knew for the value before it, or None."""

    kind: str
    value: str
    action: str
    by: str  # who acted, with the host: alice@mx1
    note: str
    until: int | None
    at: int
    version: Version
    over: Version | None = None

    @property
    def key(self) -> Key:
        return self.kind, self.value

    @property
    def gone(self) -> bool:
        """Whether it takes back what was there before."""
        return self.action == ACTIONS[self.kind][-1]

    def ended(self, now: float) -> bool:
        """Whether what it made has ended by itself."""
        return self.until is not None and self.until <= now

    def same(self, other: Act | None) -> bool:
        """Return whether both say the same of the same value."""
        return other is not None and self.content == other.content

    @property
    def content(self) -> tuple[str, str, str, str, str, int | None]:
        if self.gone:
            return self.kind, self.value, self.action, "", "", None
        return self.kind, self.value, self.action, self.by, self.note, self.until


Fact = Union[Grey, Act]


def join(one: Grey, two: Grey) -> Grey:
    """Return the state of a network that stands: the last pass, or else the first attempt."""

    def rank(grey: Grey) -> tuple[bool, int]:
        return grey.passed, grey.at if grey.passed else -grey.at

    return max(one, two, key=rank)


def render(fact: Fact) -> bytes:
    """Return the line of a fact, without a newline; parse() is its inverse."""
    values: dict[str, object]
    if isinstance(fact, Grey):
        values = {"kind": GREY, "network": fact.network, "passed": fact.passed, "at": fact.at}
    else:
        values = {
            "kind": fact.kind,
            "value": fact.value,
            "action": fact.action,
            "by": fact.by,
            "note": fact.note,
            "until": fact.until,
            "at": fact.at,
            "version": fact.version.to_json(),
            "over": None if fact.over is None else fact.over.to_json(),
        }
    return json.dumps(values, separators=(",", ":")).encode("ascii")


def parse(line: bytes, where: str = "fact") -> Fact:
    """Parse the line of a fact; raises BadInput, whatever the bytes are."""
    if len(line) > LINE_BYTES_MAX:
        raise BadInput(f"{where}: has {len(line)} bytes; expected at most {LINE_BYTES_MAX}")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: {line[:80]!r} is not valid JSON; expected a fact") from error
    if not isinstance(values, dict):
        raise BadInput(f"{where}: {line[:80]!r} is not an object; expected a fact")
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadInput(f"{where}: kind {kind!r:.80} does not travel; expected one of {', '.join(KINDS)}")
    fact = _grey(values, where) if kind == GREY else _act(kind, values, where)
    if render(fact) != line:
        raise BadInput(f"{where}: {line[:80]!r} is not in its usual form; expected {render(fact)[:80]!r}")
    return fact


def _exactly(values: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    wrong = sorted(set(values) ^ set(names))
    if wrong:
        what = "is not known" if wrong[0] in values else "is missing"
        raise BadInput(f"{where}: field {wrong[0]!r:.80} {what}; expected {', '.join(names)}")


def _seconds(value: object, where: str) -> int:
    return check_number(value, where, 0, ADAPTIVE_UNTIL_MAX)


def _grey(values: Mapping[str, Any], where: str) -> Grey:
    _exactly(values, ("kind", "network", "passed", "at"), where)
    if not isinstance(values["passed"], bool):
        raise BadInput(
            f"{where} passed: {values['passed']!r:.80} is not a truth value; expected true or false"
        )
    at = _seconds(values["at"], f"{where} at")
    return Grey(grey_network(values["network"], f"{where} network"), values["passed"], at)


def grey_network(text: object, where: str) -> str:
    """Return a network as the greylist remembers one; raises BadInput."""
    if not isinstance(text, str) or len(text) > 50:
        raise BadInput(f"{where}: {text!r:.80} is not a network; expected one such as '192.0.2.0/24'")
    network = parse_network(text, where)
    least = PREFIX_MIN[network.version]
    if network.prefixlen < least:
        raise BadInput(f"{where}: {text!r} is too wide; expected a length of at least {least}")
    if str(network) != text:
        raise BadInput(f"{where}: {text!r} is not in its usual form; expected {str(network)!r}")
    return text


def _act(kind: str, values: Mapping[str, Any], where: str) -> Act:
    names = ("kind", "value", "action", "by", "note", "until", "at", "version", "over")
    _exactly(values, names, where)
    action, until, over = values["action"], values["until"], values["over"]
    if action not in ACTIONS[kind]:
        expected = ", ".join(ACTIONS[kind])
        raise BadInput(
            f"{where} action: {action!r:.80} is not an act on a {kind}; expected one of {expected}"
        )
    if until is not None:
        _seconds(until, f"{where} until")
    act = Act(
        kind,
        _value(kind, values["value"], f"{where} value"),
        action,
        _text(values["by"], f"{where} by", 1, BY_CHARACTERS_MAX),
        _text(values["note"], f"{where} note", 0, NOTE_CHARACTERS_MAX),
        until,
        _seconds(values["at"], f"{where} at"),
        parse_version(values["version"], f"{where} version"),
        None if over is None else parse_version(over, f"{where} over"),
    )
    if act.by.rpartition("@")[2] != act.version.host:
        raise BadInput(f"{where} by: {act.by!r:.80} is of another host; expected one of {act.version.host!r}")
    if act.gone and until is not None:
        raise BadInput(f"{where} until: {until} has no meaning for {action!r}; expected null")
    if act.over is not None and act.over >= act.version:
        raise BadInput(f"{where} over: {list(act.over)} is not before {list(act.version)}; expected that")
    if kind == ADAPTIVE and action == LIST and (until is None or not act.note.isascii() or not act.note):
        raise BadInput(
            f"{where}: a listing without an end, or with another reason than printable ASCII; expected both"
        )
    return act


def _text(value: object, where: str, least: int, most: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
        raise BadInput(
            f"{where}: {value!r:.80} cannot stand there; expected {least} to {most} printable characters"
        )
    return value


def _value(kind: str, value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise BadInput(f"{where}: {value!r:.80} is not a text; expected at most 1000 characters")
    try:
        usual = check_client(value, where) if kind == ADAPTIVE else entries.canonical(_CANONICAL[kind], value)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    if usual != value:
        raise BadInput(f"{where}: {value!r:.80} is not in its usual form; expected {usual!r:.80}")
    return value
