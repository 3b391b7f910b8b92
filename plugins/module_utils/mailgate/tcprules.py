# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access rules for tcpserver: the text that tcprules compiles, the lookup, and the fragments of /etc/tcp.d.

Source of the format: tcprules.c, rules.c and tcpserver.c of ucspi-tcp 0.88. parse() is stricter than
tcprules: it also refuses what tcprules takes without a word although it can never have an effect. Texts are
str; bytes that are no UTF-8 travel as surrogates (errors="surrogateescape").
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from . import cdb
from .errors import BadInput
from .networks import (
    RELAY_MINIMUM_PREFIX_LENGTH,
    Network,
    parse_network,
    parse_networks,
    rule_address,
)

SITE, OPERATOR, ADAPTIVE, DEFAULT = "10-site", "20-operator", "30-adaptive", "90-default"
FRAGMENTS = (SITE, OPERATOR, ADAPTIVE, DEFAULT)
LOOPBACK = ipaddress.IPv4Network("127.0.0.1/32")

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PREFIX = re.compile(rf"(?:{_OCTET}\.){{1,3}}")
_HOST_ADDRESS = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
# Names as tcpserver gets them from the DNS: in lower case, what is no letter or digit as \ and three octal
# digits.
_HOST = re.compile(r"\.?(?:[a-z0-9_-]|\\[0-3][0-7]{2})+(?:\.(?:[a-z0-9_-]|\\[0-3][0-7]{2})+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTES = frozenset("\"'!#$%&()*+,-./:;<=>?@[\\]^_`{|}~")
_FACTS = "# mailgate: "
_SUM = "# sha256 of everything below this line: "


# The format.


@dataclass(frozen=True)
class Rule:
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
    for number, line in enumerate(lines, 1):
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
    return _bytes("".join(parts))


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
            variables.append((_text(name), _text(value)))
        else:
            wrong.append(item)
    if wrong:
        raise BadInput(
            f"tcprules data: {data!r} holds {wrong[0]!r}; expected 'D' or '+VARIABLE=value', with a NUL"
        )
    return action, tuple(variables)


def compile_records(rules: Rules) -> list[tuple[bytes, bytes]]:
    """The records of the cdb that tcprules makes of the same text, in its order."""
    return [(_bytes(key), encode(rule)) for rule in rules.rules for key in rule.keys]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# Rules as sets of addresses.


def _interval(key: str) -> tuple[int, int] | None:
    """The first and last address that a key can match, as numbers, or None for a key that names a host."""
    address = key.rpartition("@")[2]
    if address.startswith("="):
        return None
    octets = [int(octet) for octet in address.split(".") if octet]
    missing = 4 - len(octets)
    first = int.from_bytes(bytes(octets + [0] * missing), "big")
    return first, first + 256**missing - 1


def _boundaries(rules: Rules) -> set[int]:
    """The first address and the one after the last address of every key."""
    found = {0}
    for key in rules.index:
        interval = _interval(key)
        if interval is not None:
            found.update((interval[0], interval[1] + 1))
    found.discard(2**32)
    return found


def assert_safe(rules: Rules, relay_networks: Iterable[str], *, scanner: str = "") -> None:
    """Raises BadInput, naming rule and address, when somebody could relay, or go unscanned, who may not.

    RELAYCLIENT may be set for the relay networks and 127.0.0.1 alone, only empty, never by a host's name
    (which the owner of the address chooses). Outside of them QMAILQUEUE may be set to the scanner only. What
    a lookup finds changes at boundaries of rules alone, and who may relay at boundaries of networks, so to
    look at each of these addresses is to look at all.
    """
    networks = (*parse_networks(relay_networks, "relay network", RELAY_MINIMUM_PREFIX_LENGTH), LOOPBACK)
    edges = _edges(networks)
    points: list[int] = []
    for rule in rules.rules:
        if rule.variable("RELAYCLIENT"):
            raise BadInput(
                f"{rule.where}: {rule.text!r} gives RELAYCLIENT a value, which is added to each recipient; "
                'expected RELAYCLIENT=""'
            )
        if rule.variable("RELAYCLIENT") is None and rule.variable("QMAILQUEUE") in (None, scanner or None):
            continue
        for key in rule.keys:
            interval = _interval(key)
            if interval is None:
                raise _danger(rule, f"whoever has the host name of {key!r}", networks, scanner)
            if _inside(interval, edges):
                continue
            if "@" in key:
                raise _danger(rule, str(ipaddress.IPv4Address(interval[0])), networks, scanner)
            points = points or sorted(_boundaries(rules).union(*((low, high + 1) for low, high in edges)))
            for point in points[bisect_left(points, interval[0]) : bisect_right(points, interval[1])]:
                address = ipaddress.IPv4Address(point)
                if not _inside((point, point), edges) and lookup(rules, address) is rule:
                    raise _danger(rule, str(address), networks, scanner)


def _edges(networks: Iterable[Network]) -> list[tuple[int, int]]:
    return [(int(one.network_address), int(one.broadcast_address)) for one in networks]


def _inside(interval: tuple[int, int], edges: Sequence[tuple[int, int]]) -> bool:
    """Whether all of an interval of addresses lies in one of others; plain numbers, as there may be many."""
    return any(first <= interval[0] and interval[1] <= last for first, last in edges)


def _danger(rule: Rule, who: str, networks: Sequence[Network], scanner: str) -> BadInput:
    if rule.variable("RELAYCLIENT") is not None:
        allowed = ", ".join(str(network) for network in networks)
        return BadInput(
            f"{rule.where}: {rule.text!r} lets {who} relay; expected RELAYCLIENT only for {allowed}"
        )
    wanted = f'QMAILQUEUE="{scanner}" or none' if scanner else "no QMAILQUEUE"
    return BadInput(
        f"{rule.where}: {rule.text!r} takes mail from {who} past the scanner; "
        f"expected {wanted} outside of the relay networks"
    )


def describe_changes(before: Rules, after: Rules) -> list[str]:
    """In words what changes for which network; empty when every connection is treated as before."""
    changes: list[tuple[int, int, str]] = []
    points = sorted(_boundaries(before) | _boundaries(after))
    for first, following in zip(points, [*points[1:], 2**32]):
        address = ipaddress.IPv4Address(first)
        old, new = lookup(before, address), lookup(after, address)
        if (old is None or old.address == "") and (new is None or new.address == ""):
            continue
        words = _change(old, new)
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


def _span(first: int, last: int) -> str:
    """A network if the addresses are just one, else the first and the last of them."""
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


# The fragments of /etc/tcp.d.


@dataclass(frozen=True)
class SiteRule:
    """A rule of the site for one network in CIDR form."""

    network: str
    action: str  # "allow" or "deny"
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """What the site says and the compiler must know: kept in the head of 10-site."""

    relay_networks: tuple[str, ...]
    scanner: str


@dataclass(frozen=True)
class Compiled:
    """All fragments as one: the rules, the cdb, its readable copy, and what a person should know."""

    rules: Rules
    cdb: bytes
    copy: str
    notices: tuple[str, ...]


def site_rules(
    relay_networks: Iterable[str],
    *,
    scanner: str = "",
    relay_environment: Mapping[str, str] | None = None,
    extra: Sequence[SiteRule] = (),
) -> str:
    """The text of the fragment 10-site: 127.0.0.1 and each relay network may relay, then the site's other
    rules.

    scanner is the QMAILQUEUE of relay clients, in each rule, as rules do not inherit; '' leaves it to the
    service's environment. Narrow networks come before wide ones: two ranges may share a key, and the first
    line wins. The head keeps the facts, in the same file as the rules that follow from them, so that one
    rename replaces both. Raises BadInput for networks that may not relay and for a network with two rules.
    """
    relay = parse_networks(relay_networks, "relay network", RELAY_MINIMUM_PREFIX_LENGTH)
    if scanner and not scanner.startswith("/"):
        raise BadInput(f"scanner: {scanner!r} is no absolute path; expected one or nothing")
    environment = {"RELAYCLIENT": "", **({"QMAILQUEUE": scanner} if scanner else {})}
    for name, value in (relay_environment or {}).items():
        if environment.setdefault(name, value) != value:
            raise BadInput(
                f"relay environment: {name}={value!r} is set already; expected {environment[name]!r} or none"
            )
    lines: dict[Network, str] = {}
    for network in dict.fromkeys((LOOPBACK, *relay)):
        lines[network] = _line(network, "allow", environment, "relay environment")
    for number, rule in enumerate(extra, 1):
        where = f"rule {number}"
        (network,) = parse_networks([rule.network], f"{where} network", 1)
        if rule.action not in ("allow", "deny"):
            raise BadInput(f"{where}: {rule.action!r} is no action; expected 'allow' or 'deny'")
        if network in lines:
            raise BadInput(f"{where}: '{network}' has a rule already; expected one rule for each network")
        lines[network] = _line(network, rule.action, rule.environment, where)
    facts = json.dumps({"relay_networks": [str(network) for network in relay], "scanner": scanner})
    text = (
        "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n"
        "# Rules of your own belong into 20-operator beside this file.\n"
        f"{_FACTS}{facts}\n"
    )
    text += "".join(lines[network] for network in sorted(lines, key=_narrow_first))
    assert_safe(parse(text, SITE), [str(network) for network in relay], scanner=scanner)
    return text


def default_rules() -> str:
    """The text of the fragment 90-default: whoever has no other rule may connect, as a stranger."""
    return "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n:allow\n"


def _narrow_first(network: Network) -> tuple[int, int]:
    return -network.prefixlen, int(network.network_address)


def _line(network: Network, action: str, environment: Mapping[str, str], where: str) -> str:
    line = f"{rule_address(network)}:{action}"
    for name, value in environment.items():
        if not isinstance(value, str) or re.search(r"[\0\r\n]", value):
            raise BadInput(f"{where}: {name}={value!r} cannot stand in a rule; expected text of one line")
        quote = next((mark for mark in "\"'|!%^~" if mark not in value), None)
        if quote is None:
            raise BadInput(
                f"{where}: {name}={value!r} leaves no mark to quote it; expected a value without \" or '"
            )
        line += f",{name}={quote}{value}{quote}"
    return line + "\n"


def site_facts(site: Rules) -> Facts:
    """The facts in the head of 10-site; raises BadInput when they are missing or damaged."""
    found = [line[len(_FACTS) :] for line in site.lines if line.startswith(_FACTS)]
    expected = "the file as mailgate.qmail.tcp_rules writes it"
    if len(found) != 1:
        raise BadInput(f"{site.name}: {len(found)} lines begin with {_FACTS!r}; expected one, {expected}")
    try:
        facts = json.loads(found[0])
        networks, scanner = facts["relay_networks"], facts["scanner"]
        if not isinstance(scanner, str):
            raise TypeError(f"scanner is {scanner!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{site.name}: {found[0]!r} holds no facts; expected {expected}") from error
    relay = parse_networks(networks, f"{site.name} relay network", RELAY_MINIMUM_PREFIX_LENGTH)
    return Facts(tuple(str(network) for network in relay), scanner)


def compile_fragments(fragments: Mapping[str, str], directory: str) -> Compiled:
    """The compiled form of the fragments' texts by name; 10-site and 90-default must be there.

    Raises BadInput when a fragment is bad or the whole is not safe. From 30-adaptive only 'ADDRESS:deny' is
    taken, and a rule of it against a relay client is left out, as the more specific address would win over
    the site's network.
    """
    for name in (SITE, DEFAULT):
        if name not in fragments:
            raise BadInput(
                f"file {directory}/{name}: missing; expected the one that mailgate.qmail.tcp_rules writes"
            )
    parsed = {name: parse(fragments[name], f"{directory}/{name}") for name in FRAGMENTS if name in fragments}
    facts = site_facts(parsed[SITE])
    notices: list[str] = []
    if ADAPTIVE in parsed:
        parsed[ADAPTIVE] = _without_relay_clients(parsed[ADAPTIVE], facts, notices)
    rules = Rules(
        directory,
        tuple(line for part in parsed.values() for line in _section(part)),
        tuple(rule for part in parsed.values() for rule in part.rules),
    )
    assert_safe(rules, facts.relay_networks, scanner=facts.scanner)
    for rule in rules.rules:
        decisive = rules.index[rule.keys[0]]
        if not any(rules.index[key] is rule for key in rule.keys) and rule.name != f"{directory}/{ADAPTIVE}":
            notices.append(f"{rule.where}: {rule.text!r} has no effect, {decisive.where} comes first")
    body = render(rules)
    head = (
        f"# Made from the fragments in {directory} by 'mailgate rules compile': changes here are lost.\n"
        f"# Rules of your own belong into {directory}/{OPERATOR}; 'qmailctl cdb' puts them into force.\n"
        f"{_SUM}{_digest(body)}\n"
    )
    return Compiled(rules, cdb.build(compile_records(rules)), head + body, tuple(notices))


def _without_relay_clients(adaptive: Rules, facts: Facts, notices: list[str]) -> Rules:
    protected = _edges((LOOPBACK, *(parse_network(text) for text in facts.relay_networks)))
    left_out: set[int] = set()
    for rule in adaptive.rules:
        if rule.action != "deny" or not _HOST_ADDRESS.fullmatch(rule.address):
            raise BadInput(f"{rule.where}: {rule.text!r} is not for this fragment; expected 'ADDRESS:deny'")
        interval = _interval(rule.address)
        if interval is not None and _inside(interval, protected):
            left_out.add(rule.line)
            notices.append(f"{rule.where}: {rule.text!r} is left out, {rule.address} may relay")
    return Rules(
        adaptive.name,
        tuple(f"# left out: {line}" if at in left_out else line for at, line in enumerate(adaptive.lines, 1)),
        tuple(rule for rule in adaptive.rules if rule.line not in left_out),
    )


def _section(part: Rules) -> list[str]:
    lines = [f"\n# {part.name}\n", *part.lines]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def edited_by_hand(copy: str) -> bool:
    """Whether a text is not what compile_fragments() once made: its head holds the checksum of the rest."""
    head, found, rest = copy.partition(_SUM)
    digest, newline, body = rest.partition("\n")
    return not (found and newline and digest == _digest(body) and _is_head(head))


def _is_head(head: str) -> bool:
    return (
        re.fullmatch(r"# Made from the fragments in [^\n]*\n# Rules of your own belong into [^\n]*\n", head)
        is not None
    )


def _digest(body: str) -> str:
    return hashlib.sha256(_bytes(body)).hexdigest()


def verify_cdb(data: bytes, rules: Rules, name: str) -> None:
    """Raises BadInput unless the bytes of a cdb, read independently of the writer, say what the rules say."""
    reader = cdb.Reader(data, name)
    wrong = next((key for key, rule in rules.index.items() if not _same(reader.get(_bytes(key)), rule)), None)
    if wrong is None and len({key for key, _data in reader.items()}) != len(rules.index):
        wrong = next((_text(key) for key, _data in reader.items() if _text(key) not in rules.index), "")
    if wrong is not None:
        raise BadInput(
            f"cdb {name}: the key {wrong!r} does not hold its rule; expected the rules of {rules.name}"
        )


def _same(data: bytes | None, rule: Rule) -> bool:
    return data is not None and decode(data) == (rule.action, rule.environment)
