# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fragments of /etc/tcp.d as one set of rules, in which site > operator > adaptive.

tcpserver takes the most specific key, whatever line it came from. So what must not count is left out here,
key by key, and a protected address below somebody's wider denial gets a rule of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import cdb, notes, tcprules
from .errors import BadInput
from .networks import (
    RELAY_MINIMUM_PREFIX_LENGTH,
    AddressSet,
    Network,
    address_number,
    address_set,
    contains,
    parse_network,
    parse_networks,
    rule_address,
)
from .tcprules import (
    ADAPTIVE,
    DEFAULT,
    FACTS,
    FRAGMENTS,
    LOOPBACK,
    OPERATOR,
    PROTECTED_MINIMUM_PREFIX_LENGTH,
    SITE,
    UNSCANNED,
    AdaptiveEntry,
    Facts,
    Rule,
    Rules,
    key_interval,
)

# To protect from a rule about a host's name takes one rule for each address.
MOST_PROTECTED_ADDRESSES = 65536
_HEAD_LINES = 3
_SUM = "# sha256 of everything below this line: "
_WRITTEN = "# Written by Ansible (mailgate.qmail.tcp_rules): changes here are lost.\n"


# The site's fragments.


@dataclass(frozen=True)
class SiteRule:
    """A rule of the site for one network in CIDR form."""

    network: str
    action: str  # "allow" or "deny"
    environment: Mapping[str, str]


def site_rules(
    relay_networks: Iterable[str],
    *,
    scanner: str = "",
    scan_relay_clients: bool = True,
    relay_environment: Mapping[str, str] | None = None,
    protected_networks: Iterable[str] = (),
    whitelisted_networks: Iterable[str] = (),
    extra: Sequence[SiteRule] = (),
) -> str:
    """The text of 10-site: 127.0.0.1 and each relay network may relay, then whitelisted and other networks.

    scanner is the QMAILQUEUE of relay clients, in each rule, as rules do not inherit; '' leaves it to the
    service's environment. Unless scan_relay_clients their mail goes straight into the queue. Narrow networks
    come before wide ones: two ranges may share a key, and the first line wins. The head keeps the facts, in
    the same file as the rules that follow from them, so that one rename replaces both. Raises BadInput for
    networks that may not relay, for a network with two rules, and for a denial of a protected network.
    """
    relay = parse_networks(relay_networks, "relay network", RELAY_MINIMUM_PREFIX_LENGTH)
    protected = parse_networks(protected_networks, "protected network", PROTECTED_MINIMUM_PREFIX_LENGTH)
    whitelisted = parse_networks(whitelisted_networks, "whitelisted network", 1)
    if scanner and not scanner.startswith("/"):
        raise BadInput(f"scanner: {scanner!r} is no absolute path; expected one or nothing")
    queue = scanner if scan_relay_clients else UNSCANNED
    environment = {"RELAYCLIENT": "", **({"QMAILQUEUE": queue} if queue else {})}
    for name, value in (relay_environment or {}).items():
        if environment.setdefault(name, value) != value:
            raise BadInput(
                f"relay environment: {name}={value!r} is set already; expected {environment[name]!r} or none"
            )
    wanted: dict[Network, tuple[str, Mapping[str, str], str]] = {}
    for network in dict.fromkeys((LOOPBACK, *relay)):
        wanted[network] = ("allow", environment, "relay environment")
    for number, rule in enumerate(extra, 1):
        where = f"rule {number}"
        (network,) = parse_networks([rule.network], f"{where} network", 1)
        if rule.action not in ("allow", "deny"):
            raise BadInput(f"{where}: {rule.action!r} is no action; expected 'allow' or 'deny'")
        if network in wanted:
            raise BadInput(f"{where}: '{network}' has a rule already; expected one rule for each network")
        inside = next((one for one in protected if contains(one, network)), None)
        if inside is not None and (rule.action == "deny" or rule.environment.get("RBLSMTPD")):
            raise BadInput(
                f"{where}: '{network}' lies in the protected network '{inside}'; expected no denial"
            )
        wanted[network] = (rule.action, rule.environment, where)
    _whitelist(wanted, whitelisted)
    facts = {
        "relay_networks": [str(network) for network in relay],
        "scanner": scanner,
        "protected_networks": [str(network) for network in protected],
        "whitelisted_networks": [str(network) for network in whitelisted],
        "scan_relay_clients": scan_relay_clients,
    }
    text = (
        f"{_WRITTEN}# Rules of your own belong into 20-operator beside this file.\n"
        f"{FACTS}{json.dumps(facts)}\n"
    )
    text += "".join(_line(network, *wanted[network]) for network in sorted(wanted, key=_narrow_first))
    tcprules.assert_safe(
        tcprules.parse(text, SITE),
        [str(network) for network in relay],
        scanner=scanner,
        scan_relay_clients=scan_relay_clients,
    )
    return text


def _whitelist(
    wanted: dict[Network, tuple[str, Mapping[str, str], str]], whitelisted: Sequence[Network]
) -> None:
    """Adds WHITELISTED to what lies in a whitelisted network, and the networks themselves."""
    named = dict(wanted)
    for network in whitelisted:
        around = [one for one in named if contains(one, network)]
        action, where = "allow", "whitelisted network"
        environment: Mapping[str, str] = {}
        if around:
            narrowest = max(around, key=lambda one: one.prefixlen)
            if narrowest == network and named[narrowest][0] == "deny":
                raise BadInput(f"whitelisted network: '{network}' is denied as well; expected one of the two")
            if named[narrowest][0] == "allow":
                action, environment, where = named[narrowest]
        wanted[network] = (action, {**environment, "WHITELISTED": ""}, where)
    for network, (action, environment, where) in named.items():
        if action == "allow" and any(contains(one, network) for one in whitelisted):
            wanted[network] = (action, {**environment, "WHITELISTED": ""}, where)


def default_rules() -> str:
    """The text of the fragment 90-default: whoever has no other rule may connect, as a stranger."""
    return f"{_WRITTEN}:allow\n"


def _narrow_first(network: Network) -> tuple[int, int]:
    return -network.prefixlen, int(network.network_address)


def _line(network: Network, action: str, environment: Mapping[str, str], where: str) -> str:
    return f"{rule_address(network)}:{action}{_variables(environment.items(), where)}\n"


def _variables(environment: Iterable[tuple[str, str]], where: str) -> str:
    text = ""
    for name, value in environment:
        if not isinstance(value, str) or re.search(r"[\0\r\n]", value):
            raise BadInput(f"{where}: {name}={value!r} cannot stand in a rule; expected text of one line")
        quote = next((mark for mark in "\"'|!%^~" if mark not in value), None)
        if quote is None:
            raise BadInput(
                f"{where}: {name}={value!r} leaves no mark to quote it; expected a value without \" or '"
            )
        text += f",{name}={quote}{value}{quote}"
    return text


# The operator's fragment.


def operator_relay_networks(operator: Rules) -> tuple[str, ...]:
    """The operator's relay list, from the head of 20-operator; raises BadInput when it is damaged."""
    found = [line[len(FACTS) :] for line in operator.lines if line.startswith(FACTS)]
    if not found:
        return ()
    expected = f'one line such as \'{FACTS}{{"relay_networks": ["192.0.2.0/24"]}}\''
    if len(found) > 1:
        raise BadInput(f"{operator.name}: {len(found)} lines begin with {FACTS!r}; expected {expected}")
    try:
        networks = json.loads(found[0])["relay_networks"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"{operator.name}: {found[0]!r} holds no relay networks; expected {expected}"
        ) from error
    parsed = parse_networks(networks, f"{operator.name} relay network", RELAY_MINIMUM_PREFIX_LENGTH)
    return tuple(str(network) for network in parsed)


# The whole.


@dataclass(frozen=True)
class State:
    """Which version of a fragment is in force: 'current', 'last good', 'in part', 'left out' or 'absent'."""

    version: str
    fault: str = ""


@dataclass(frozen=True)
class Dropped:
    """A key of a rule that has no effect, and why."""

    where: str
    text: str
    key: str
    reason: str


@dataclass(frozen=True)
class Compiled:
    """All fragments as one: the rules without the adaptive ones, those, the files, and what to tell."""

    directory: str
    rules: Rules
    adaptive: Mapping[str, AdaptiveEntry]
    cdb: bytes
    copy: str
    notices: tuple[str, ...]
    states: Mapping[str, State]
    good: Mapping[str, str]  # texts to remember as the last good ones
    dropped: tuple[Dropped, ...]
    notes: Mapping[tuple[str, int], notes.Note]  # by name and line of the rule
    next_expiry: int | None

    @property
    def count(self) -> int:
        return len(self.rules.rules) + len(self.adaptive)

    def faults(self) -> list[str]:
        """One line for each fragment that is not in force as it stands."""
        done = {
            "last good": "its last good version is in force",
            "in part": "its last good version is in force without the rules that are not safe any more",
            "left out": "it has no last good version and is left out",
        }
        return [f"{state.fault}; {done[state.version]}" for state in self.states.values() if state.fault]


def decide(
    made: Compiled, ip: str, host: str | None = None, info: str | None = None
) -> tuple[Rule | None, AdaptiveEntry | None]:
    """The rule that decides about a client, and the adaptive entry if it is one of these."""
    rule = tcprules.lookup(made.rules, ip, host, info)
    entry = made.adaptive.get(ip)
    if entry is not None and (rule is None or "@" not in rule.address):
        return _adaptive_rule(made.directory, ip), entry
    return rule, None


def _adaptive_rule(directory: str, ip: str) -> Rule:
    return Rule(f"{directory}/{ADAPTIVE}", 0, f"{ip}:deny", ip, "deny", (), (ip,))


def compile_fragments(
    texts: Mapping[str, str],
    directory: str,
    now: float,
    *,
    faults: Mapping[str, str] | None = None,
    good: Mapping[str, str] | None = None,
) -> Compiled:
    """The compiled form of the fragments' texts by name, as it is at a time.

    faults names fragments that cannot be read, good holds the last good texts. A fragment that is bad by
    itself, or unsafe in the whole, gives way to its last good version, then to that version without the rules
    that are unsafe now, then (never 10-site and 90-default) to nothing. Raises BadInput, the first fault,
    when no version of the site's fragments is good.
    """
    now = int(now)
    files = _Files(texts, faults or {}, good or {}, directory)
    states: dict[str, State] = {}
    site = files.first_usable(SITE, lambda rules: _check_site(rules, directory, now), states)
    default = files.first_usable(DEFAULT, lambda rules: tcprules.assert_safe(rules, ()), states)
    adaptive = files.adaptive(now, states)
    fault = files.faults.get(OPERATOR, "")
    for version, text in files.operator_versions():
        try:
            operator = tcprules.parse(text, f"{directory}/{OPERATOR}")
            if version == "in part":
                operator = _safe_part(site, operator)
            made = _merge(site, operator, default, adaptive, directory, now)
        except BadInput as error:
            if version == "left out":
                raise
            fault = fault or str(error)
            continue
        states[OPERATOR] = State(version, fault)
        return dataclasses.replace(
            made,
            states={name: states[name] for name in FRAGMENTS},
            good={name: texts[name] for name, state in states.items() if state.version == "current"},
        )
    raise BadInput(f"directory {directory}: no version of {OPERATOR} can be used; expected at least none")


@dataclass(frozen=True)
class _Files:
    """The fragments' texts as they are and as they were when they were good last."""

    texts: Mapping[str, str]
    faults: Mapping[str, str]
    good: Mapping[str, str]
    directory: str

    def fault(self, name: str) -> str:
        """Why the fragment as it stands cannot even be looked at, or ''."""
        if name in self.texts:
            return ""
        expected = "the one that mailgate.qmail.tcp_rules writes"
        return self.faults.get(name, f"file {self.directory}/{name}: missing; expected {expected}")

    def first_usable(self, name: str, check: Callable[[Rules], None], states: dict[str, State]) -> Rules:
        """The fragment of the site, or its last good version; raises BadInput when neither is good."""
        fault = self.fault(name)
        for version, texts in (("current", self.texts), ("last good", self.good)):
            if name in texts:
                try:
                    rules = tcprules.parse(texts[name], f"{self.directory}/{name}")
                    check(rules)
                except BadInput as error:
                    fault = fault or str(error)
                    continue
                states[name] = State(version, fault)
                return rules
        raise BadInput(fault)

    def adaptive(self, now: int, states: dict[str, State]) -> tuple[AdaptiveEntry, ...]:
        """The entries of 30-adaptive or of its last good version that hold."""
        fault = self.faults.get(ADAPTIVE, "")
        for version, texts in (("current", self.texts), ("last good", self.good)):
            if ADAPTIVE in texts and (fault or version == "current"):
                try:
                    entries = tcprules.parse_adaptive(texts[ADAPTIVE], now, f"{self.directory}/{ADAPTIVE}")
                except BadInput as error:
                    fault = fault or str(error)
                    continue
                states[ADAPTIVE] = State(version, fault)
                return entries
        states[ADAPTIVE] = State("left out" if fault else "absent", fault)
        return ()

    def operator_versions(self) -> Iterator[tuple[str, str]]:
        """What to try for 20-operator, best first: a version in words and its text."""
        if OPERATOR not in self.texts and OPERATOR not in self.faults:
            yield "absent", ""
            return
        if OPERATOR in self.texts:
            yield "current", self.texts[OPERATOR]
        if OPERATOR in self.good:
            yield "last good", self.good[OPERATOR]
            yield "in part", self.good[OPERATOR]
        yield "left out", ""


def _check_site(site: Rules, directory: str, now: int) -> None:
    default = tcprules.parse(":allow\n", f"{directory}/{DEFAULT}")
    _merge(site, Rules(f"{directory}/{OPERATOR}", (), ()), default, (), directory, now)


def _relay_networks(facts: Facts, operator: Rules) -> tuple[str, ...]:
    return (*facts.relay_networks, *operator_relay_networks(operator))


def _safe_part(site: Rules, operator: Rules) -> Rules:
    """The operator's rules without those that are not safe by the site's facts."""
    facts = tcprules.site_facts(site)
    relay = _relay_networks(facts, operator)
    while True:
        try:
            tcprules.assert_safe(
                operator, relay, scanner=facts.scanner, scan_relay_clients=facts.scan_relay_clients
            )
            return operator
        except tcprules.Unsafe as error:
            bad = error.rule
        operator = Rules(
            operator.name,
            tuple(
                f"# not safe: {line}" if at == bad.line else line for at, line in enumerate(operator.lines, 1)
            ),
            tuple(rule for rule in operator.rules if rule.line != bad.line),
        )


def _merge(
    site: Rules,
    operator: Rules,
    default: Rules,
    adaptive: Sequence[AdaptiveEntry],
    directory: str,
    now: int,
) -> Compiled:
    """All of it compiled; raises BadInput when the whole is not safe. States and good texts are empty."""
    facts = tcprules.site_facts(site)
    relay = _relay_networks(facts, operator)
    written = {
        (operator.name, line): note for line, note in notes.notes(operator.lines, operator.name).items()
    }
    protected = parse_networks(facts.protected_networks, "protected network", PROTECTED_MINIMUM_PREFIX_LENGTH)
    dropped: list[Dropped] = []
    if written:
        operator = _without(
            operator, lambda rule: _expired(written.get((rule.name, rule.line)), now), dropped
        )
    shielded = address_set(protected)
    operator = _without_keys(operator, lambda rule, key: _outranked(rule, key, site, shielded), dropped)
    site = _without_keys(site, lambda rule, key: _narrower(rule, key, operator), dropped)
    inner = Rules(directory, (), (*site.rules, *operator.rules, *default.rules))
    shield, inner, operator = _shield(inner, operator, protected, f"{directory}/{SITE}", dropped)
    rules = Rules(
        directory,
        tuple(line for part in (site, shield, operator, default) for line in _section(part)),
        (*site.rules, *shield.rules, *operator.rules, *default.rules),
    )
    tcprules.assert_safe(rules, relay, scanner=facts.scanner, scan_relay_clients=facts.scan_relay_clients)
    tcprules.assert_open(rules, facts.protected_networks)
    listed, left = _listed(adaptive, rules, facts, relay, directory)
    return Compiled(
        directory=directory,
        rules=rules,
        adaptive=listed,
        cdb=cdb.build([*tcprules.compile_records(rules), *_records(listed)]),
        copy=_copy(rules, listed, directory),
        notices=(*_notices(dropped, left, directory), *_shadowed(rules)),
        states={},
        good={},
        dropped=(*dropped, *left),
        notes=written,
        next_expiry=_next_expiry(operator, written, listed),
    )


def _records(listed: Iterable[str]) -> list[tuple[bytes, bytes]]:
    return [(address.encode("ascii"), b"D\0") for address in listed]


def _next_expiry(
    operator: Rules, written: Mapping[tuple[str, int], notes.Note], listed: Mapping[str, AdaptiveEntry]
) -> int | None:
    ends = [entry.until for entry in listed.values()]
    for rule in operator.rules:
        note = written.get((rule.name, rule.line))
        if note is not None and note.until is not None:
            ends.append(note.until)
    return min(ends, default=None)


# What does not count.


def _expired(note: notes.Note | None, now: int) -> str:
    return (
        f"it ended at {notes.when(note.until)}" if note and note.until is not None and note.over(now) else ""
    )


def _without(part: Rules, reason: Callable[[Rule], str], dropped: list[Dropped]) -> Rules:
    return _without_keys(part, lambda rule, _key: reason(rule), dropped)


def _without_keys(part: Rules, reason: Callable[[Rule, str], str], dropped: list[Dropped]) -> Rules:
    """The part without the keys for which there is a reason; its lines say which rules are left out."""
    rules: list[Rule] = []
    lines = list(part.lines)
    for rule in part.rules:
        reasons = {key: why for key in rule.keys if (why := reason(rule, key))}
        if not reasons:
            rules.append(rule)
            continue
        kept = tuple(key for key in rule.keys if key not in reasons)
        dropped += [Dropped(rule.where, rule.text, key, why) for key, why in reasons.items()]
        rest = rule.text[len(rule.address) :]
        lines[rule.line - 1] = f"# left out: {rule.text}\n" + "".join(f"{key}{rest}\n" for key in kept)
        if kept:
            rules.append(rule._replace(keys=kept))
    return Rules(part.name, tuple(lines), tuple(rules))


def _around(key: str) -> Iterator[str]:
    """The key of an address or prefix itself, then those of the wider networks, narrowest first."""
    yield key
    end = key[:-1].rfind(".")
    while end != -1:
        yield key[: end + 1]
        end = key.rfind(".", 0, end)
    if key:
        yield ""


def _outranked(rule: Rule, key: str, site: Rules, shielded: AddressSet) -> str:
    """Why a key of the operator's rule does not count, or ''."""
    interval = key_interval(key)
    if interval is None:
        if tcprules.shuts_out(rule) and "@" in key and shielded.intervals():
            return "what ident says could shut out a protected address"
        return ""
    if tcprules.shuts_out(rule):
        return "it is protected" if key and shielded.covers(*interval) else ""
    for wider in _around(key.rpartition("@")[2]):
        above = site.index.get(wider)
        if above is not None:
            return f"{above.where} refuses it" if above.action == "deny" else ""
    return ""


def _narrower(rule: Rule, key: str, operator: Rules) -> str:
    """Why a key of a site's network does not count, or '': the operator has a rule for a part of the network.

    Where the network is no whole octet it is written as many keys, one of which the operator's host may have.
    """
    other = operator.index.get(key)
    if other is None or rule.action == "deny" or set(rule.keys) <= set(other.keys):
        return ""
    return f"{other.where} is narrower"


def _shield(
    rules: Rules, operator: Rules, protected: Sequence[Network], name: str, dropped: list[Dropped]
) -> tuple[Rules, Rules, Rules]:
    """Rules for protected addresses below wider denials, all rules with them, and what the operator keeps."""
    by_name = [
        rule for rule in rules.rules if tcprules.shuts_out(rule) and any(key[:1] == "=" for key in rule.keys)
    ]
    if by_name and sum(network.num_addresses for network in protected) > MOST_PROTECTED_ADDRESSES:
        reason = (
            f"more than {MOST_PROTECTED_ADDRESSES} addresses are protected, and a name counts before them"
        )
        operator = _without(operator, lambda rule: reason if rule in by_name else "", dropped)
        rules = Rules(rules.name, (), tuple(rule for rule in rules.rules if rule not in by_name))
        by_name = []
    index = rules.index
    made: list[Rule] = []
    for network in protected:
        for key in _keys_of(network, single=bool(by_name)):
            if key in index and not tcprules.shuts_out(index[key]):
                continue
            above = [index[wider] for wider in _around(key) if wider in index]
            if above and (by_name or tcprules.shuts_out(above[0])):
                made.append(_shield_rule(key, above, name))
            elif by_name:
                made.append(_shield_rule(key, [], name))
    lines = [f"{rule.text}\n" for rule in made]
    shield = Rules(f"{name}, protected networks", tuple(lines), tuple(made))
    return shield, rules, operator


def _keys_of(network: Network, *, single: bool) -> Iterator[str]:
    if single:
        return (str(address) for address in network)
    return iter(tcprules.parse(f"{rule_address(network)}:allow\n", "network").rules[0].keys)


def _shield_rule(key: str, above: Sequence[Rule], name: str) -> Rule:
    """What the address would get without the denials: the environment of the narrowest rule that is none."""
    rule = next((one for one in above if one.action == "allow"), None)
    environment = tuple(pair for pair in (rule.environment if rule else ()) if pair[0] != "RBLSMTPD")
    return Rule(name, 3, f"{key}:allow{_variables(environment, name)}", key, "allow", environment, (key,))


def _listed(
    adaptive: Sequence[AdaptiveEntry], rules: Rules, facts: Facts, relay: Sequence[str], directory: str
) -> tuple[dict[str, AdaptiveEntry], list[Dropped]]:
    """The adaptive entries that count, by address, and the others."""
    named = (
        (address_set([LOOPBACK, *(parse_network(text) for text in relay)]), "it may relay"),
        (address_set(parse_network(text) for text in facts.protected_networks), "it is protected"),
        (address_set(parse_network(text) for text in facts.whitelisted_networks), "it is whitelisted"),
    )
    spared = [interval for one, _reason in named for interval in one.intervals()]
    for rule in rules.rules:
        if any(name in ("RELAYCLIENT", "WHITELISTED") for name, _value in rule.environment):
            spared += [one for one in map(key_interval, rule.keys) if one is not None]
    perhaps, index = AddressSet(spared), rules.index
    listed: dict[str, AdaptiveEntry] = {}
    left: list[Dropped] = []
    for entry in adaptive:
        address = entry.address
        number = address_number(address)
        reason = ""
        if perhaps.covers(number, number):
            reason = next((words for one, words in named if one.covers(number, number)), "")
            decisive = tcprules.lookup(rules, address)
            if not reason and decisive is not None:
                words = (("RELAYCLIENT", "it may relay"), ("WHITELISTED", "it is whitelisted"))
                reason = next((text for name, text in words if decisive.variable(name) is not None), "")
        if not reason and address in index:
            reason = f"{index[address].where} decides about it"
        if reason:
            left.append(Dropped(f"{directory}/{ADAPTIVE}", f"{address}:deny", address, reason))
        else:
            listed[address] = entry
    return listed, left


def _notices(dropped: Sequence[Dropped], left: Sequence[Dropped], directory: str) -> Iterator[str]:
    """What a person should know of rules that are left out, but for what is as it should be."""
    seen = set()
    for one in dropped:
        if (one.where, one.reason) not in seen and not _is_as_it_should_be(one.reason):
            seen.add((one.where, one.reason))
            yield f"{one.where}: {one.text!r} is left out for '{one.key}', {one.reason}"
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield f"{directory}/{ADAPTIVE}: {left[0].text!r}{more} left out, {left[0].reason}"


def _is_as_it_should_be(reason: str) -> bool:
    return reason.startswith("it ended") or reason.endswith(" is narrower")


def _shadowed(rules: Rules) -> Iterator[str]:
    for rule in rules.rules:
        if not any(rules.index[key] is rule for key in rule.keys):
            yield f"{rule.where}: {rule.text!r} has no effect, {rules.index[rule.keys[0]].where} comes first"


# The readable copy.


def _section(part: Rules) -> list[str]:
    if not part.lines:
        return []
    lines = [f"\n# {part.name}\n", *part.lines]
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def _copy(rules: Rules, listed: Mapping[str, AdaptiveEntry], directory: str) -> str:
    body = tcprules.render(rules)
    if listed:
        body += f"\n# {directory}/{ADAPTIVE}\n" + "".join(
            f"# until {until} why {why}\n{address}:deny\n" for address, until, why in listed.values()
        )
    return (
        f"# Made from the fragments in {directory} by 'mailgate rules compile': changes here are lost.\n"
        f"# Rules of your own belong into {directory}/{OPERATOR}; 'qmailctl cdb' puts them into force.\n"
        f"{_SUM}{_digest(body)}\n{body}"
    )


def parse_copy(copy: str, name: str) -> tuple[Rules, tuple[str, ...]]:
    """The rules of a readable copy without the adaptive ones, and the addresses that those deny.

    Raises BadInput for text that is no copy.
    """
    found = re.search(rf"\n# [^\n]*/{ADAPTIVE}\n(?=# until )", copy)
    if found is None:
        return tcprules.parse(copy, name), ()
    addresses = re.findall(r"^([0-9.]+):deny$", copy[found.end() :], re.MULTILINE)
    return tcprules.parse(copy[: found.start()], name), tuple(addresses)


def is_made_of(copy: str, compiled: bytes, made: Compiled) -> bool:
    """Whether copy and compiled file agree, and differ from what was made in adaptive entries at most.

    Those come and go by themselves, and who compiles for another reason need not say so.
    """
    if edited_by_hand(copy):
        return False
    rules, listed = parse_copy(copy, "copy")
    same = "".join(rules.lines[_HEAD_LINES:]) == tcprules.render(made.rules)
    return same and cdb.build([*tcprules.compile_records(rules), *_records(listed)]) == compiled


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
    return hashlib.sha256(tcprules.to_bytes(body)).hexdigest()


def verify_cdb(data: bytes, made: Compiled, name: str) -> None:
    """Raises BadInput unless the bytes of a cdb, read independently of the writer, say what the rules say."""
    index, adaptive = made.rules.index, made.adaptive
    reader = cdb.Reader(data, name)
    # The reader has proven that a lookup of each key finds its first record: so these are all answers.
    found: dict[bytes, bytes] = {}
    for key, value in reader.items():
        found.setdefault(key, value)
    decoded: dict[bytes | None, object] = {value: tcprules.decode(value) for value in set(found.values())}
    wrong = next(
        (
            key
            for key, rule in index.items()
            if decoded.get(found.pop(tcprules.to_bytes(key), None)) != rule[4:6]
        ),
        None,
    )
    if wrong is None:
        wrong = next((key for key in adaptive if found.pop(key.encode("ascii"), None) != b"D\0"), None)
    if wrong is None and found:
        wrong = tcprules.to_text(next(iter(found)))
    if wrong is not None:
        raise BadInput(
            f"cdb {name}: the key {wrong!r} does not hold its rule; expected the rules of {made.directory}"
        )


def describe_changes(before: tuple[Rules, tuple[str, ...]], after: Compiled) -> list[str]:
    """In words what changes for which network, then for which addresses of the adaptive blacklist."""
    rules, listed = before[0], set(before[1])
    changes = tcprules.describe_changes(rules, after.rules)
    now = set(after.adaptive)
    by_number: Callable[[str], int] = address_number
    changes += [f"{ip}/32 is refused by the blacklist" for ip in sorted(now - listed, key=by_number)]
    changes += [
        f"{ip}/32 is no longer refused by the blacklist" for ip in sorted(listed - now, key=by_number)
    ]
    return changes


def author(rule: Rule) -> str:
    """Whose fragment a rule stands in."""
    name = rule.name.rpartition("/")[2]
    return {SITE: "the site, by Ansible", DEFAULT: "the site, by Ansible", OPERATOR: "the operator"}.get(
        name, "the adaptive blacklist"
    )


def covers(key: str, ip: str) -> bool:
    """Whether a key that is left out would have decided about an address."""
    interval = key_interval(key)
    number = int(ipaddress.IPv4Address(ip))
    return interval is not None and interval[0] <= number <= interval[1]
