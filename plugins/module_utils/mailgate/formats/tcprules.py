# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access rules: parse and compile the text of tcprules, look up, and compare addresses.

Source of the format: tcprules.c, rules.c and tcpserver.c of ucspi-tcp 0.88; networks of IPv6 in brackets,
such as '[2001:db8::]/32:deny', are this collection's own. parse() is stricter than tcprules: it also
refuses lines that tcprules accepts silently although they can never have an effect. Texts are str; bytes
that are not UTF-8 become surrogates (errors="surrogateescape").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from ..core.errors import BadInput
from .networks import (
    IPV4_END,
    IPV6_FIRST,
    LINE_END,
    Address,
    Network,
    address_number,
    as_ipv4,
    number_address,
    parse_network,
    rule_address,
)
from .rule_keys import (
    LENGTHS_KEY,
    ipv6_lookup_keys,
    is_host_address,
    key_interval,
    lengths_of,
    network_key,
)

OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PREFIX = re.compile(rf"(?:{OCTET}\.){{1,3}}")
HOST_ADDRESS = re.compile(rf"(?:{OCTET}\.){{3}}{OCTET}")
# Names as tcpserver gets them from the DNS: in lower case; any other byte as \ and three octal digits.
_HOST = re.compile(r"\.?(?:[a-z0-9_-]|\\[0-3][0-7]{2})+(?:\.(?:[a-z0-9_-]|\\[0-3][0-7]{2})+)*")
# A line: of nearly all one address, an action, and no variable, which is matched first for speed; else any.
_LINE = re.compile(rf"(((?:{OCTET}\.){{3}}{OCTET}):(allow|deny))\n|([^\n]*\n|[^\n]+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IPV6_EXPECTED = "expected one such as '[2001:db8::1]', or a network such as '[2001:db8::]/32'"
_QUOTES = frozenset("\"'!#$%&()*+,-./:;<=>?@[\\]^_`{|}~")


# The format


class Rule(NamedTuple):
    """One line: its place, the address as written, the action, and the cdb keys that it stands for."""

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
        """Return the value that the rule gives to an environment variable, or None."""
        return dict(self.environment).get(name)


@dataclass(frozen=True)
class Rules:
    """A whole text: its lines unchanged, and the rules among them, both in order."""

    name: str
    lines: tuple[str, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def index(self) -> dict[str, Rule]:
        """The rule for each key; of several rules with one key the first, as a cdb lookup finds it."""
        return {key: rule for rule in reversed(self.rules) for key in rule.keys}

    @cached_property
    def networks(self) -> tuple[tuple[str, Rule], ...]:
        """The keys that are not a single address or a name, with their rules: few, where there are many."""
        return tuple((key, rule) for key, rule in self.index.items() if not is_host_address(key))

    @cached_property
    def ipv6_lengths(self) -> tuple[int, ...]:
        """The prefix lengths of the networks of IPv6, the longest first."""
        return lengths_of(self.index)


def parse(text: str, name: str) -> Rules:
    """Parse a text to rules; render() returns the text unchanged.

    Raises BadInput ('NAME line N: …') for a line that tcprules refuses or would accept without any effect.
    """
    lines: list[str] = []
    rules: list[Rule] = []
    new = tuple.__new__  # what the class itself calls, and faster
    for number, (plain, address, action, line) in enumerate(_LINE.findall(text), 1):
        if plain:
            lines.append(f"{plain}\n")
            rules.append(new(Rule, (name, number, plain, address, action, (), (address,))))
            continue
        lines.append(line)
        try:
            rule = _parse_line(line, name, number)
        except BadInput as error:
            raise BadInput(f"{name} line {number}: {error}") from error.__cause__
        if rule is not None:
            rules.append(rule)
    return Rules(name, tuple(lines), tuple(rules))


def render(rules: Rules) -> str:
    """Return the text that parse() was given."""
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
    in_brackets = text.find("]") + 1 if text[0] == "[" else 0
    before, colon, rest = text[in_brackets:].partition(":")
    address = text[:in_brackets] + before
    if not colon:
        raise BadInput(f"{text!r} has no ':'; expected 'ADDRESS:allow' or 'ADDRESS:deny'")
    if not in_brackets and text.count(":") > 1 and (bare := _bare_ipv6(text)):
        raise BadInput(f"{text!r} has an address of IPv6 without brackets; expected '{bare}:…'")
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


def _bare_ipv6(text: str) -> str:
    """Return the address of IPv6 in a rule that should have it in brackets, with these, or ''."""
    address = re.split(r":(?=allow|deny)", text)[0].rpartition("@")[2].strip("[]")
    if address.count(":") < 2 and not re.fullmatch(r"[0-9a-f]{3,4}:[0-9a-f:]*", address):
        return ""
    found = re.fullmatch(r"([0-9A-Fa-f:.]+)(?:%[0-9A-Za-z]+)?\]?(/[0-9]+)?", address)
    return f"[{found[1]}]{found[2] or ''}" if found else ""


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


def address_keys(address: str) -> tuple[str, ...]:
    """Return the keys of the address of a rule, as it is written; raises BadInput."""
    return _keys(f"{address}:deny", address)


def _keys(text: str, address: str) -> tuple[str, ...]:
    """Return the keys of an address; raises BadInput when tcpserver never looks them up."""
    if address == "":
        return ("",)
    if address.startswith("["):
        network = _ipv6_network(text, address)
        if network.version == 6:
            return (network_key(network),)
        # 0.0.0.0/0 has the empty key, which matches clients of IPv6, too.
        return _expand(text, rule_address(network) or "0-255.")
    if address.startswith("="):
        _check_host(text, address[1:], suffix=True)
        return (address,)
    if "@" in address:
        rest = address.rpartition("@")[2]
        if rest.startswith("="):
            _check_host(text, rest[1:], suffix=False)
        elif not HOST_ADDRESS.fullmatch(rest):
            raise BadInput(
                f"{text!r} has {rest!r} after the '@'; expected one address such as 192.0.2.1, or '=host'"
            )
        return (address,)
    if "=" in address:
        raise BadInput(f"{text!r} has a '=' inside its address; expected '=host.example:…'")
    keys = _expand(text, address)
    if not (_PREFIX.fullmatch(keys[0]) or HOST_ADDRESS.fullmatch(keys[0])):
        raise BadInput(
            f"{text!r} has the address {address!r}, which never matches; expected {_suggest(address)}"
        )
    return keys


def _ipv6_network(text: str, address: str) -> Network:
    """Return the network of an address in brackets, with or without a prefix length, IPv4-mapped as IPv4."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?:/([0-9]{1,3}))?", address)
    length = int(found[2] or 128) if found else 129
    if "%" in address:
        raise BadInput(f"{text!r} has a zone in its address; expected the address without the '%'")
    if found is None or length > 128 or (found[2] or "128") != str(length):
        raise BadInput(f"{text!r} has the address {address!r}; {_IPV6_EXPECTED}")
    try:
        number = int(ipaddress.IPv6Address(found[1]))
    except ValueError as error:
        raise BadInput(
            f"{text!r} has {found[1]!r} in brackets, which is not an address of IPv6; {_IPV6_EXPECTED}"
        ) from error
    first = number >> 128 - length << 128 - length
    network = ipaddress.IPv6Network((first, length))
    if number != first:
        raise BadInput(
            f"{text!r} has an address with host bits set; expected '{rule_address(network)}', "
            f"or '[{found[1]}]' for this one host"
        )
    return as_ipv4(network)


def _check_host(text: str, host: str, *, suffix: bool) -> None:
    if suffix and host == "":
        return
    if not _HOST.fullmatch(host) or (host.startswith(".") and not suffix):
        wanted = "'=host.example', '=.example' or '='" if suffix else "'=host.example' after the '@'"
        raise BadInput(
            f"{text!r} has the host {host!r}, which never matches; expected {wanted}, in lower case"
        )


def _expand(text: str, address: str) -> tuple[str, ...]:
    """Expand the range in an address, as doaddressdata() of tcprules.c does."""
    before, dash, after = address.partition("-")
    if not dash:
        return (address,)
    head, dot, low = before.rpartition(".")
    high, dot_after, tail = after.partition(".")
    if not re.fullmatch(OCTET, low) or not re.fullmatch(OCTET, high):
        raise BadInput(f"{text!r} has the range '{low}-{high}'; expected two numbers from 0 to 255")
    if int(low) > int(high):
        raise BadInput(f"{text!r} has the range '{low}-{high}', which is empty; expected '{high}-{low}'")
    if "-" in tail:
        raise BadInput(f"{text!r} has two ranges in its address; expected one")
    return tuple(f"{head}{dot}{number}{dot_after}{tail}" for number in range(int(low), int(high) + 1))


def _suggest(address: str) -> str:
    """Return what the author of this address probably meant."""
    if "/" in address:
        try:
            return f"'{rule_address(parse_network(address))}'"
        except BadInput:
            return "a prefix such as '10.0.0.' or a range such as '10.0.0-3.'"
    if _PREFIX.fullmatch(address + "."):
        return f"'{address}.' for the network"
    if address.endswith(".") and HOST_ADDRESS.fullmatch(address[:-1].partition("-")[0]):
        return f"'{address[:-1]}' for hosts"
    return "'10.0.0.7' for a host, '10.0.0.' for a network, or '=host.example'"


def lookup(rules: Rules, ip: str | Address, host: str | None = None, info: str | None = None) -> Rule | None:
    """Return the rule for a connection, or None, which is allowed without variables.

    host and info are None when they are unknown.
    """
    for key in lookup_keys(str(ip), rules.ipv6_lengths, host, info):
        rule = rules.index.get(key)
        if rule is not None:
            return rule
    return None


def lookup_keys(
    ip: str, ipv6_lengths: Iterable[int], host: str | None = None, info: str | None = None
) -> Iterator[str]:
    """Yield the keys for a client in the order in which they decide; those of IPv6 with these lengths.

    Source: doit() in rules.c of ucspi-tcp 0.88. A client of IPv6 has no name or ident answer in the rules.
    """
    if ":" in ip:
        number = address_number(ip)
        if number >= IPV6_FIRST:
            yield from ipv6_lookup_keys(number - IPV6_FIRST, ipv6_lengths)
            yield ""
            return
        ip = str(number_address(number))
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
    """Return the data that tcprules stores for a rule: 'D' for deny, '+VARIABLE=value', each with a NUL."""
    parts = ["D\0"] if rule.action == "deny" else []
    parts += [f"+{name}={value}\0" for name, value in rule.environment]
    return to_bytes("".join(parts))


def decode(data: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return action and environment of stored data; raises BadInput for data that tcprules never stores."""
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


def compile_records(rules: Rules, denied: Iterable[str] = ()) -> list[tuple[bytes, bytes]]:
    """Return the records of the cdb, in order: those of the rules, and denials of more keys.

    Of rules without IPv6 tcprules makes the same. The last record has the prefix lengths of IPv6, if any.
    """
    encoded: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
    records: list[tuple[bytes, bytes]] = []
    for rule in rules.rules:
        effect = rule[4:6]
        data = encoded.get(effect)
        if data is None:
            data = encoded[effect] = encode(rule)
        for key in rule.keys:
            records.append((key.encode("utf-8", "surrogateescape"), data))
    denied = tuple(denied)
    records += [(key.encode("ascii"), b"D\0") for key in denied]
    if lengths := lengths_of(chain(rules.index, denied)):
        records.append((LENGTHS_KEY.encode("ascii"), bytes(lengths)))
    return records


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# Rules as sets of addresses


def segments(index: Iterable[tuple[str, Rule]]) -> list[tuple[int, Rule | None]]:
    """Return the first number of each run of addresses with one deciding rule, ascending, and that rule.

    The rule is what lookup() finds with these keys alone for an address without a host name. Keys nest, so
    that during one walk over them the innermost open key decides.
    """
    spans = []
    for key, rule in index:
        interval = None if "@" in key else key_interval(key)
        if interval is not None:
            spans.append((interval[0], -interval[1], rule))
    spans.sort()  # no two keys have both ends in common
    found: list[tuple[int, Rule | None]] = [(0, None)]
    around: list[tuple[int, Rule | None]] = [(LINE_END, None)]  # the open keys: where each ends, and its rule
    for first, minus_last, rule in spans:
        while around[-1][0] < first:
            last, _rule = around.pop()
            found.append((last + 1, around[-1][1]))
        found.append((first, rule))
        around.append((-minus_last, rule))
    while len(around) > 1:
        last, _rule = around.pop()
        found.append((last + 1, around[-1][1]))
    # Of several runs that begin at one address the last counts; runs with the same rule are joined.
    kept: list[tuple[int, Rule | None]] = []
    for first, decisive in found:
        if kept and kept[-1][0] == first:
            kept.pop()
        if first < LINE_END and not (kept and kept[-1][1] is decisive):
            kept.append((first, decisive))
    return kept


def boundaries(rules: Rules) -> set[int]:
    """Return the first number of every key, and the number after its last, as far as they are addresses."""
    found = {0, IPV6_FIRST}
    for key in rules.index:
        interval = key_interval(key)
        if interval is not None:
            found.update((interval[0], interval[1] + 1))
    found.difference_update((IPV4_END, LINE_END))
    return found
