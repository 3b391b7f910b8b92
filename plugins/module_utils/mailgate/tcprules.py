# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access rules for tcpserver: the text that tcprules compiles, the lookup, what is safe, and what changes.

Source of the format: tcprules.c, rules.c and tcpserver.c of ucspi-tcp 0.88. parse() is stricter than
tcprules: it also refuses what tcprules takes without a word although it can never have an effect. Texts are
str; bytes that are no UTF-8 travel as surrogates (errors="surrogateescape").
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .errors import BadInput
from .networks import (
    RELAY_MINIMUM_PREFIX_LENGTH,
    AddressSet,
    Network,
    address_number,
    address_set,
    parse_network,
    parse_networks,
    rule_address,
)

SITE, OPERATOR, ADAPTIVE, DEFAULT = "10-site", "20-operator", "30-adaptive", "90-default"
FRAGMENTS = (SITE, OPERATOR, ADAPTIVE, DEFAULT)
LOOPBACK = ipaddress.IPv4Network("127.0.0.1/32")
PROTECTED_MINIMUM_PREFIX_LENGTH = 8
ADAPTIVE_WHY_CHARACTERS = 200
UNSCANNED = "/var/qmail/bin/qmail-queue"

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PREFIX = re.compile(rf"(?:{_OCTET}\.){{1,3}}")
_HOST_ADDRESS = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
# Names as tcpserver gets them from the DNS: in lower case, what is no letter or digit as \ and three octal
# digits.
_HOST = re.compile(r"\.?(?:[a-z0-9_-]|\\[0-3][0-7]{2})+(?:\.(?:[a-z0-9_-]|\\[0-3][0-7]{2})+)*")
# What nearly all of many lines are: one address, an action, and no variable.
_PLAIN = re.compile(rf"((?:{_OCTET}\.){{3}}{_OCTET}):(allow|deny)\n")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTES = frozenset("\"'!#$%&()*+,-./:;<=>?@[\\]^_`{|}~")
FACTS = "# mailgate: "
_ADAPTIVE_ENTRY = re.compile(
    rf"# until ([1-9][0-9]{{0,10}}) why ([ -~]{{1,{ADAPTIVE_WHY_CHARACTERS}}})\n"
    rf"((?:{_OCTET}\.){{3}}{_OCTET}):deny\n"
)


# The format.


class Rule(NamedTuple):
    """One line: its place, the address as written, what happens, and the cdb keys that it stands for."""

    name: str
    line: int
    text: str
    address: str
    action: str  # "allow" or "deny"
    environment: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]

    @property
    def where(self) -> str:
        return f"{self.name} line {self.line}"

    def variable(self, name: str) -> str | None:
        """The value that the rule gives to an environment variable, or None."""
        return dict(self.environment).get(name)


@dataclass(frozen=True)
class Rules:
    """A whole text: each line as it stands, and the rules among them, both in order."""

    name: str
    lines: tuple[str, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def index(self) -> dict[str, Rule]:
        """The rule that decides each key: of several with one key the first, as a cdb lookup finds it."""
        index: dict[str, Rule] = {}
        for rule in self.rules:
            for key in rule.keys:
                index.setdefault(key, rule)
        return index


def parse(text: str, name: str) -> Rules:
    """The rules of a text; render() gives the text back unchanged.

    Raises BadInput ('NAME line N: …') for each line that tcprules refuses or would take without any effect.
    """
    lines = tuple(re.findall(r"[^\n]*\n|[^\n]+", text))
    rules: list[Rule] = []
    plain = _PLAIN.fullmatch
    for number, line in enumerate(lines, 1):
        found = plain(line)
        if found:
            address, action = found.groups()
            rules.append(Rule(name, number, line[:-1], address, action, (), (address,)))
            continue
        try:
            rule = _parse_line(line, name, number)
        except BadInput as error:
            raise BadInput(f"{name} line {number}: {error}") from error.__cause__
        if rule is not None:
            rules.append(rule)
    return Rules(name, lines, tuple(rules))


def render(rules: Rules) -> str:
    """The text that parse() was given."""
    return "".join(rules.lines)


def _parse_line(line: str, name: str, number: int) -> Rule | None:
    text = line.rstrip("\n").rstrip(" \t")
    if "\0" in text:
        raise BadInput(f"{text!r} holds a NUL byte; expected text")
    if text.startswith("#") or not text:
        return None
    if text.endswith("\r"):
        raise BadInput(f"{text!r} ends with a carriage return; expected lines that end with a newline alone")
    if text[0] in " \t":
        raise BadInput(f"{text!r} begins with a blank; expected the address at the beginning of the line")
    address, colon, rest = text.partition(":")
    if not colon:
        raise BadInput(f"{text!r} has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'")
    if text.count(":") > 1 and _is_ipv6(text):
        raise BadInput(f"{text!r} is a rule for IPv6, which is not supported yet; expected an IPv4 address")
    action = next((word for word in ("deny", "allow") if rest.startswith(word)), None)
    if action is None:
        raise BadInput(f"{text!r} has {rest!r} after the ':'; expected 'allow' or 'deny'")
    environment = _parse_environment(text, rest[len(action) :])
    if action == "deny" and environment:
        raise BadInput(
            f"{text!r} sets a variable for a connection that it refuses; expected '{address}:deny' "
            f"or '{address}:allow{rest[len(action) :]}'"
        )
    return Rule(name, number, text, address, action, environment, _keys(text, address))


def _is_ipv6(text: str) -> bool:
    words = re.split(r":(?=allow|deny)", text)
    address = words[0].rpartition("@")[2].strip("[]")
    if address.count(":") < 2 and not re.fullmatch(r"[0-9a-f]{3,4}:[0-9a-f:]*", address):
        return False
    return re.fullmatch(r"[0-9A-Fa-f:.]+(?:[/%][0-9A-Za-z]+)?", address) is not None


def _parse_environment(text: str, rest: str) -> tuple[tuple[str, str], ...]:
    variables: dict[str, str] = {}
    while rest:
        if rest[0] != ",":
            raise BadInput(
                f"{text!r} has {rest!r} where the rule should end; expected ',VARIABLE=\"value\"' or nothing"
            )
        name, equals, rest = rest[1:].partition("=")
        if not equals:
            raise BadInput(f"{text!r} has no '=' after {',' + name!r}; expected ',VARIABLE=\"value\"'")
        if not _VARIABLE.fullmatch(name):
            raise BadInput(f"{text!r} sets {name!r}; expected a variable's name of letters, digits and '_'")
        if name in variables:
            raise BadInput(f"{text!r} sets {name} twice; expected each variable once")
        if rest[:1] not in _QUOTES:
            raise BadInput(f'{text!r} does not quote the value of {name}; expected {name}="value"')
        value, quote, following = rest[1:].partition(rest[0])
        if not quote:
            raise BadInput(
                f'{text!r} has no second {rest[0]} after the value of {name}; expected {name}="value"'
            )
        variables[name], rest = value, following
    return tuple(variables.items())


def _keys(text: str, address: str) -> tuple[str, ...]:
    """The keys that an address stands for; raises BadInput when tcpserver never looks them up."""
    if address == "":
        return ("",)
    if address.startswith("="):
        _check_host(text, address[1:], suffix=True)
        return (address,)
    if "@" in address:
        rest = address.rpartition("@")[2]
        if rest.startswith("="):
            _check_host(text, rest[1:], suffix=False)
        elif not _HOST_ADDRESS.fullmatch(rest):
            raise BadInput(
                f"{text!r} has {rest!r} after the '@'; expected one address such as 192.0.2.1, or '=host'"
            )
        return (address,)
    if "=" in address:
        raise BadInput(f"{text!r} has a '=' inside its address; expected '=host.example:…'")
    keys = _expand(text, address)
    if not (_PREFIX.fullmatch(keys[0]) or _HOST_ADDRESS.fullmatch(keys[0])):
        raise BadInput(
            f"{text!r} has the address {address!r}, which never matches; expected {_suggest(address)}"
        )
    return keys


def _check_host(text: str, host: str, *, suffix: bool) -> None:
    if suffix and host == "":
        return
    if not _HOST.fullmatch(host) or (host.startswith(".") and not suffix):
        wanted = "'=host.example', '=.example' or '='" if suffix else "'=host.example' after the '@'"
        raise BadInput(
            f"{text!r} has the host {host!r}, which never matches; expected {wanted}, in lower case"
        )


def _expand(text: str, address: str) -> tuple[str, ...]:
    """The range in an address counted out, as doaddressdata() of tcprules.c does it."""
    before, dash, after = address.partition("-")
    if not dash:
        return (address,)
    head, dot, low = before.rpartition(".")
    high, dot_after, tail = after.partition(".")
    if not re.fullmatch(_OCTET, low) or not re.fullmatch(_OCTET, high):
        raise BadInput(f"{text!r} has the range '{low}-{high}'; expected two numbers from 0 to 255")
    if int(low) > int(high):
        raise BadInput(f"{text!r} has the range '{low}-{high}', which is empty; expected '{high}-{low}'")
    if "-" in tail:
        raise BadInput(f"{text!r} has two ranges in its address; expected one")
    return tuple(f"{head}{dot}{number}{dot_after}{tail}" for number in range(int(low), int(high) + 1))


def _suggest(address: str) -> str:
    """What somebody who wrote this address probably meant."""
    if "/" in address:
        try:
            return f"'{rule_address(parse_network(address))}'"
        except BadInput:
            return "a prefix such as '10.0.0.' or a range such as '10.0.0-3.'"
    if _PREFIX.fullmatch(address + "."):
        return f"'{address}.' for the network"
    if address.endswith(".") and _HOST_ADDRESS.fullmatch(address[:-1].partition("-")[0]):
        return f"'{address[:-1]}' for hosts"
    return "'10.0.0.7' for a host, '10.0.0.' for a network, or '=host.example'"


def lookup(
    rules: Rules, ip: str | ipaddress.IPv4Address, host: str | None = None, info: str | None = None
) -> Rule | None:
    """The one rule that decides a connection, or None, which tcpserver takes as allowed without variables.

    host and info are None when they are not known. Source: doit() in rules.c of ucspi-tcp 0.88.
    """
    for key in _lookup_keys(str(ip), host, info):
        rule = rules.index.get(key)
        if rule is not None:
            return rule
    return None


def _lookup_keys(ip: str, host: str | None, info: str | None) -> Iterator[str]:
    if info is not None:
        yield f"{info}@{ip}"
        if host is not None:
            yield f"{info}@={host}"
    yield ip
    if host is not None:
        yield f"={host}"
    end = ip.rfind(".")
    while end != -1:
        yield ip[: end + 1]
        end = ip.rfind(".", 0, end)
    if host is not None:
        start = host.find(".")
        while start != -1:
            yield "=" + host[start:]
            start = host.find(".", start + 1)
        yield "="
    yield ""


def encode(rule: Rule) -> bytes:
    """What tcprules stores for a rule: 'D' for deny, '+VARIABLE=value' a variable, each ended by NUL."""
    parts = ["D\0"] if rule.action == "deny" else []
    parts += [f"+{name}={value}\0" for name, value in rule.environment]
    return to_bytes("".join(parts))


def decode(data: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Action and environment that stored data means; raises BadInput for what tcprules never stores."""
    action = "allow"
    variables: list[tuple[str, str]] = []
    *items, rest = data.split(b"\0")
    wrong = [rest] if rest else []
    for item in items:
        name, equals, value = item[1:].partition(b"=")
        if item == b"D":
            action = "deny"
        elif item[:1] == b"+" and equals:
            variables.append((to_text(name), to_text(value)))
        else:
            wrong.append(item)
    if wrong:
        raise BadInput(
            f"tcprules data: {data!r} holds {wrong[0]!r}; expected 'D' or '+VARIABLE=value', with a NUL"
        )
    return action, tuple(variables)


def compile_records(rules: Rules) -> list[tuple[bytes, bytes]]:
    """The records of the cdb that tcprules makes of the same text, in its order."""
    encoded: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
    records = []
    for rule in rules.rules:
        data = encoded.get(rule[4:6])
        if data is None:
            data = encoded[rule.action, rule.environment] = encode(rule)
        records += [(to_bytes(key), data) for key in rule.keys]
    return records


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# Rules as sets of addresses.


def key_interval(key: str) -> tuple[int, int] | None:
    """The first and last address that a key can match, as numbers, or None for a key that names a host."""
    address = key.rpartition("@")[2] if "@" in key else key
    if address[:1] == "=":
        return None
    dots = address.count(".")
    if dots == 3 and address[-1:] != ".":
        first = int.from_bytes(socket.inet_aton(address), "big")
        return first, first
    missing = 4 - dots
    first = int.from_bytes(socket.inet_aton(address + "0.0.0.0"[: 2 * missing - 1]), "big")
    return first, first + 256**missing - 1


def segments(index: Iterable[tuple[str, Rule]]) -> list[tuple[int, Rule | None]]:
    """The first address of each run of addresses, ascending, and the rule that decides about them all.

    It is what lookup() finds for an address whose host has no name, with these keys alone: keys nest, so what
    is open in one walk over them is what is around an address, narrowest last.
    """
    spans = []
    for key, rule in index:
        interval = None if "@" in key else key_interval(key)
        if interval is not None:
            spans.append((interval[0], -interval[1], rule))
    spans.sort()  # no two keys have both ends in common
    found: list[tuple[int, Rule | None]] = [(0, None)]
    around: list[tuple[int, Rule | None]] = [(2**32, None)]  # where each ends, and its rule
    for first, minus_last, rule in spans:
        while around[-1][0] < first:
            last, _rule = around.pop()
            found.append((last + 1, around[-1][1]))
        found.append((first, rule))
        around.append((-minus_last, rule))
    while len(around) > 1:
        last, _rule = around.pop()
        found.append((last + 1, around[-1][1]))
    # Of what begins at one address the last counts; one that goes on needs no beginning.
    kept: list[tuple[int, Rule | None]] = []
    for first, decisive in found:
        if kept and kept[-1][0] == first:
            kept.pop()
        if first < 2**32 and not (kept and kept[-1][1] is decisive):
            kept.append((first, decisive))
    return kept


def _is_address(key: str) -> bool:
    """Whether a key that names no host is that of one address alone, not of a network."""
    return key[-1:] != "." and key != ""


def _boundaries(rules: Rules) -> set[int]:
    """The first address and the one after the last address of every key."""
    found = {0}
    for key in rules.index:
        interval = key_interval(key)
        if interval is not None:
            found.update((interval[0], interval[1] + 1))
    found.discard(2**32)
    return found


class Unsafe(BadInput):
    """A rule lets somebody relay, go unscanned or shut out a protected host, who may not."""

    def __init__(self, text: str, rule: Rule) -> None:
        super().__init__(text)
        self.rule = rule


def assert_safe(
    rules: Rules, relay_networks: Iterable[str], *, scanner: str = "", scan_relay_clients: bool = True
) -> None:
    """Raises Unsafe, naming rule and address, when somebody could relay, or go unscanned, who may not.

    RELAYCLIENT may be set for the relay networks and 127.0.0.1 alone, only empty, never by a host's name
    (which the owner of the address chooses). QMAILQUEUE may be set to the scanner only; where relay clients
    are not scanned, for them to UNSCANNED also. What a lookup finds changes at boundaries of rules alone, and
    who may relay at boundaries of networks, so to look at each of these addresses is to look at all.
    """
    networks = (*parse_networks(relay_networks, "relay network", RELAY_MINIMUM_PREFIX_LENGTH), LOOPBACK)
    inside = address_set(networks)
    points: list[int] = []
    for rule in rules.rules:
        if not rule.environment:
            continue
        if rule.variable("RELAYCLIENT"):
            raise Unsafe(
                f"{rule.where}: {rule.text!r} gives RELAYCLIENT a value, which is added to each recipient; "
                'expected RELAYCLIENT=""',
                rule,
            )
        scanned = rule.variable("QMAILQUEUE") in (None, scanner or None)
        if not scanned and (scan_relay_clients or rule.variable("QMAILQUEUE") != UNSCANNED):
            who = "relay clients too" if scan_relay_clients else f"or {UNSCANNED!r} for relay clients"
            raise Unsafe(
                f"{rule.where}: {rule.text!r} takes mail past the scanner; expected {_queue(scanner)}, {who}",
                rule,
            )
        if rule.variable("RELAYCLIENT") is None and scanned:
            continue
        for key in rule.keys:
            interval = key_interval(key)
            if interval is None:
                raise _danger(rule, f"whoever has the host name of {key!r}", networks, scanner)
            if inside.covers(*interval):
                continue
            if "@" in key:
                raise _danger(rule, str(ipaddress.IPv4Address(interval[0])), networks, scanner)
            points = points or sorted(
                _boundaries(rules).union(*((low, high + 1) for low, high in inside.intervals()))
            )
            for point in points[bisect_left(points, interval[0]) : bisect_right(points, interval[1])]:
                address = ipaddress.IPv4Address(point)
                if not inside.covers(point, point) and lookup(rules, address) is rule:
                    raise _danger(rule, str(address), networks, scanner)


def _queue(scanner: str) -> str:
    return f'QMAILQUEUE="{scanner}" or none' if scanner else "no QMAILQUEUE"


def _danger(rule: Rule, who: str, networks: Sequence[Network], scanner: str) -> Unsafe:
    if rule.variable("RELAYCLIENT") is not None:
        allowed = ", ".join(str(network) for network in networks)
        return Unsafe(
            f"{rule.where}: {rule.text!r} lets {who} relay; expected RELAYCLIENT only for {allowed}", rule
        )
    return Unsafe(
        f"{rule.where}: {rule.text!r} takes mail from {who} past the scanner; "
        f"expected {_queue(scanner)} outside of the relay networks",
        rule,
    )


def shuts_out(rule: Rule) -> bool:
    """Whether a client of the rule gets no mail in: denied, or refused with a text by RBLSMTPD."""
    return rule.action == "deny" or bool(rule.variable("RBLSMTPD"))


def assert_open(rules: Rules, protected_networks: Iterable[str]) -> None:
    """Raises Unsafe, naming rule and address, when a rule shuts out an address of a protected network.

    A host's name counts before a prefix and only an address counts before it, and what ident says before
    both, so where names shut somebody out each protected address must have a rule of its own.
    """
    inside = address_set(
        parse_networks(protected_networks, "protected network", PROTECTED_MINIMUM_PREFIX_LENGTH)
    )
    if not inside.intervals():
        return
    for rule in rules.rules:
        if not shuts_out(rule):
            continue
        for key in rule.keys:
            if not ("=" in key or "@" in key) or rules.index[key] is not rule:
                continue
            interval = key_interval(key)
            if interval is None:
                if "@" in key or not _all_exact(inside, rules.index):
                    raise _shut(rule, f"a protected address whose host has the name {key!r}")
            elif inside.covers(*interval):
                raise _shut(rule, str(ipaddress.IPv4Address(interval[0])))
    # Of single addresses only those that are protected matter to them.
    pieces = segments(
        (key, rule)
        for key, rule in rules.index.items()
        if not _is_address(key) or ("=" not in key and "@" not in key and key in inside)
    )
    firsts = [first for first, _rule in pieces]
    for low, high in inside.intervals():
        for first, found in pieces[bisect_right(firsts, low) - 1 : bisect_right(firsts, high)]:
            if found is not None and shuts_out(found):
                raise _shut(found, str(ipaddress.IPv4Address(max(first, low))))


def _all_exact(inside: AddressSet, keys: Iterable[str]) -> bool:
    numbers = {address_number(key) for key in keys if _HOST_ADDRESS.fullmatch(key)}
    return all(number in numbers for low, high in inside.intervals() for number in range(low, high + 1))


def _shut(rule: Rule, who: str) -> Unsafe:
    return Unsafe(
        f"{rule.where}: {rule.text!r} shuts out {who}; expected no rule against a protected network", rule
    )


def describe_changes(before: Rules, after: Rules) -> list[str]:
    """In words what changes for which network; empty when every connection is treated as before."""
    changes: list[tuple[int, int, str]] = []
    known: dict[object, str] = {}
    for first, following, old, new in _side_by_side(*_changed(before, after)):
        if (old is None or old.address == "") and (new is None or new.address == ""):
            continue
        what = (old and old[4:6], new and new[4:6])  # what a rule does, whatever its address
        words = known.get(what)
        if words is None:
            words = known[what] = _change(old, new)
        if words and changes and changes[-1][1] == first - 1 and changes[-1][2] == words:
            changes[-1] = (changes[-1][0], following - 1, words)
        elif words:
            changes.append((first, following - 1, words))
    lines = [f"{_span(first, last)} {words}" for first, last, words in changes]
    for key in sorted({key for rules in (before, after) for key in rules.index if "=" in key or "@" in key}):
        words = _change(before.index.get(key), after.index.get(key))
        lines += [f"{key} {words}"] if words else []
    words = _change(before.index.get(""), after.index.get(""))
    return lines + ([f"everybody else {words}"] if words else [])


def _changed(
    before: Rules, after: Rules
) -> tuple[list[tuple[int, Rule | None]], list[tuple[int, Rule | None]]]:
    """The segments of both, without single addresses whose rules say the same before and after.

    Such an address has its own rule in both; left out of both it is like what is around it, and that is told
    of it only where the network around it changes: then all are looked at.
    """
    old, new = before.index, after.index
    changed = {key for key, rule in new.items() if (was := old.get(key)) is None or was[4:6] != rule[4:6]}
    changed.update(key for key in old if key not in new)
    if not all(map(_is_address, changed)):
        return segments(old.items()), segments(new.items())

    def few(index: dict[str, Rule]) -> Iterator[tuple[str, Rule]]:
        return ((key, rule) for key, rule in index.items() if not _is_address(key) or key in changed)

    return segments(few(old)), segments(few(new))


def _side_by_side(
    before: Sequence[tuple[int, Rule | None]], after: Sequence[tuple[int, Rule | None]]
) -> Iterator[tuple[int, int, Rule | None, Rule | None]]:
    """(first address, the one after the last, rule before, rule after) of what each treats alike."""
    one = two = first = 0
    while first < 2**32:
        next_one = before[one + 1][0] if one + 1 < len(before) else 2**32
        next_two = after[two + 1][0] if two + 1 < len(after) else 2**32
        following = next_one if next_one < next_two else next_two
        yield first, following, before[one][1], after[two][1]
        one += next_one == following
        two += next_two == following
        first = following


def _span(first: int, last: int) -> str:
    """A network if the addresses are just one, else the first and the last of them."""
    if first == last:
        return f"{socket.inet_ntoa(first.to_bytes(4, 'big'))}/32"
    ends = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)
    networks = list(ipaddress.summarize_address_range(*ends))
    return str(networks[0]) if len(networks) == 1 else f"{ends[0]} to {ends[1]}"


def _change(old: Rule | None, new: Rule | None) -> str:
    had, has = effects(old), effects(new)
    words = []
    if "refused" in set(had) ^ set(has):
        words.append("is refused" if "refused" in has else "is no longer refused")
    for verb, these, those in (("gains", has, had), ("loses", had, has)):
        effect = [one for one in these if one not in those and one != "refused"]
        if effect:
            words.append(f"{verb} {', '.join(effect)}")
    return " and ".join(words)


def effects(rule: Rule | None) -> list[str]:
    """What a rule does, in words: 'refused', 'relay', and each other variable as VARIABLE="value"."""
    if rule is None:
        return []
    if rule.action == "deny":
        return ["refused"]
    return ["relay" if pair == ("RELAYCLIENT", "") else '{}="{}"'.format(*pair) for pair in rule.environment]


# What other programs read and write of /etc/tcp.d.


@dataclass(frozen=True)
class Facts:
    """What the site says and the compiler must know: kept in the head of 10-site. Networks in CIDR form."""

    relay_networks: tuple[str, ...] = ()
    scanner: str = ""
    protected_networks: tuple[str, ...] = ()  # nobody may deny them
    whitelisted_networks: tuple[str, ...] = ()
    scan_relay_clients: bool = True


class AdaptiveEntry(NamedTuple):
    """One entry of 30-adaptive: the address is refused until then (unix seconds), and why."""

    address: str
    until: int
    why: str  # printable ASCII


def site_facts(site: Rules) -> Facts:
    """The facts in the head of 10-site; raises BadInput when they are missing or damaged."""
    return _facts(site.lines, site.name)


def read_facts(text: str, name: str = SITE) -> Facts:
    """The facts in the head of the text of 10-site, for who needs nothing else of it; raises BadInput."""
    return _facts(text.splitlines(keepends=True), name)


def _facts(lines: Sequence[str], name: str) -> Facts:
    expected = "the file as mailgate.qmail.tcp_rules writes it"
    found = [line[len(FACTS) :] for line in lines if line.startswith(FACTS)]
    if len(found) != 1:
        raise BadInput(f"{name}: {len(found)} lines begin with {FACTS!r}; expected one, {expected}")
    try:
        facts = json.loads(found[0])
        relay, scanner = facts["relay_networks"], facts["scanner"]
        # A head of an older version knows nothing of these.
        protected, whitelisted = facts.get("protected_networks", []), facts.get("whitelisted_networks", [])
        scan = facts.get("scan_relay_clients", True)
        if not isinstance(scanner, str) or not isinstance(scan, bool):
            raise TypeError(f"scanner is {scanner!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{name}: {found[0]!r} holds no facts; expected {expected}") from error
    return Facts(
        _texts(parse_networks(relay, f"{name} relay network", RELAY_MINIMUM_PREFIX_LENGTH)),
        scanner,
        _texts(parse_networks(protected, f"{name} protected network", PROTECTED_MINIMUM_PREFIX_LENGTH)),
        _texts(parse_networks(whitelisted, f"{name} whitelisted network", 1)),
        scan,
    )


def _texts(networks: Iterable[Network]) -> tuple[str, ...]:
    return tuple(str(network) for network in networks)


def parse_adaptive(text: str, now: float, name: str = ADAPTIVE) -> tuple[AdaptiveEntry, ...]:
    """The entries of 30-adaptive that still hold, in the file's order, each address once.

    Raises BadInput for anything but pairs of lines '# until SECONDS why TEXT' and 'ADDRESS:deny'. The message
    names the line and quotes nothing: strangers have a say in what stands there.
    """
    found = _ADAPTIVE_ENTRY.findall(text)
    # Matches do not overlap, so as many characters as the text has are the text.
    if sum(len(until) + len(why) + len(address) for until, why, address in found) != len(text) - len(
        "# until  why \n:deny\n"
    ) * len(found):
        end = 0
        for match in _ADAPTIVE_ENTRY.finditer(text):
            if match.start() != end:
                break
            end = match.end()
        raise BadInput(
            f"{name} line {text.count(chr(10), 0, end) + 1}: this and the next line are no entry; "
            "expected '# until SECONDS why TEXT' and 'ADDRESS:deny'"
        )
    entries: dict[str, AdaptiveEntry] = {}
    for until, why, address in found:
        end = int(until)
        if end > now and (address not in entries or entries[address].until < end):
            entries[address] = AdaptiveEntry(address, end, why)
    return tuple(entries.values())


def render_adaptive(entries: Iterable[AdaptiveEntry]) -> str:
    """The text that parse_adaptive() takes; raises BadInput for an entry that it would refuse."""
    lines = []
    for entry in entries:
        text = f"# until {entry.until} why {entry.why}\n{entry.address}:deny\n"
        if not _ADAPTIVE_ENTRY.fullmatch(text):
            raise BadInput(
                f"{ADAPTIVE} entry: {entry!r} cannot stand there; expected an IPv4 address, unix seconds, "
                f"and 1 to {ADAPTIVE_WHY_CHARACTERS} characters of printable ASCII"
            )
        lines.append(text)
    return "".join(lines)
