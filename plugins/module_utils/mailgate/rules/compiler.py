# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compile the fragments of /etc/tcp.d to one set of rules, with the precedence site > operator > adaptive.

tcpserver uses the most specific key, whatever fragment it came from. So keys that must not take effect are
left out here, and a protected address within a wider denial gets a rule of its own.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ..core import times
from ..core.errors import BadInput
from ..formats import cdb, notes, tcprules
from ..formats.networks import (
    AddressSet,
    Network,
    address_number,
    address_set,
    rule_address,
)
from ..formats.rule_keys import around, ipv6_key_parts, is_ipv6_key, key_interval, shown_key
from ..formats.tcprules import Rule, Rules
from . import changes as rules_changes
from . import fragments, safety
from .compiled import Compiled, Dropped
from .files import ABSENT, CURRENT, IN_PART, LAST_GOOD, LEFT_OUT, State, Versions
from .fragments import ADAPTIVE, DEFAULT, FRAGMENTS, OPERATOR, SITE, AdaptiveEntry, Facts
from .never_refused import RELAYS, NeverRefused, networks_of
from .readable_copy import copied_fragment, readable_copy
from .site_fragment import written_variables

# A denial by host name needs a rule for each protected address.
MOST_PROTECTED_ADDRESSES = 65536


def compile_fragments(found: Versions, now: float) -> Compiled:
    """Compile the fragments for the time now.

    A fragment that is invalid, or unsafe together with the others, is replaced by its last good version, then
    by that version without the rules that are now unsafe, then (never 10-site and 90-default) by nothing.
    Raises BadInput, with the first fault, when no version of the site's fragments can be used.
    """
    now, directory = int(now), found.directory
    states: dict[str, State] = {}

    def of_the_site(name: str, check: Callable[[Rules], None]) -> Rules:
        def parse(text: str, path: str) -> Rules:
            rules = tcprules.parse(text, path)
            check(rules)
            return rules

        expected = "the one that mailgate.qmail.tcp_rules writes"
        missing = f"file {found.path(name)}: missing; expected {expected}"
        states[name], rules = found.usable(name, parse, missing)
        if rules is None:
            raise BadInput(states[name].fault)
        return rules

    site = of_the_site(SITE, lambda rules: _check_site(rules, directory, now))
    default = of_the_site(DEFAULT, lambda rules: safety.assert_safe(rules, ()))
    states[ADAPTIVE], listed = found.usable(
        ADAPTIVE, lambda text, path: fragments.parse_adaptive(text, now, path)
    )
    fault = found.faults.get(OPERATOR, "")
    for version, text in _operator_versions(found):
        try:
            operator = tcprules.parse(text, found.path(OPERATOR))
            if version == IN_PART:
                operator = _safe_part(site, operator)
            made = _merge(site, operator, default, listed or (), directory, now)
        except BadInput as error:
            if version == LEFT_OUT:
                raise
            fault = fault or str(error)
            continue
        states[OPERATOR] = State(version, fault)
        return dataclasses.replace(
            made, states={name: states[name] for name in FRAGMENTS}, good=found.to_keep(states)
        )
    raise BadInput(f"directory {directory}: no version of {OPERATOR} can be used; expected at least none")


def _operator_versions(found: Versions) -> Iterator[tuple[str, str]]:
    """Yield the versions of 20-operator to try, best first: the kind of version and its text."""
    if OPERATOR not in found.texts and OPERATOR not in found.faults:
        yield ABSENT, ""
        return
    if OPERATOR in found.texts:
        yield CURRENT, found.texts[OPERATOR]
    if OPERATOR in found.good:
        yield LAST_GOOD, found.good[OPERATOR]
        yield IN_PART, found.good[OPERATOR]
    yield LEFT_OUT, ""


def _check_site(site: Rules, directory: str, now: int) -> None:
    default = tcprules.parse(":allow\n", f"{directory}/{DEFAULT}")
    _merge(site, Rules(f"{directory}/{OPERATOR}", (), ()), default, (), directory, now)


def _relay_networks(facts: Facts, operator: Rules) -> tuple[Network, ...]:
    return (*facts.relay_networks, *fragments.operator_relay_networks(operator))


def _safe_part(site: Rules, operator: Rules) -> Rules:
    """Return the operator's rules without those that are unsafe with the site's facts."""
    facts = fragments.site_facts(site)
    operator = fragments.without_wide_relay_networks(operator)
    relay = _relay_networks(facts, operator)
    while True:
        try:
            safety.assert_safe(
                operator, relay, scanner=facts.scanner, scan_relay_clients=facts.scan_relay_clients
            )
            return operator
        except safety.Unsafe as error:
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
    """Merge and compile all fragments, leaving states and good empty; raises BadInput if that is unsafe."""
    facts = fragments.site_facts(site)
    relay, protected = _relay_networks(facts, operator), facts.protected_networks
    written = {
        (operator.name, line): note for line, note in notes.notes(operator.lines, operator.name).items()
    }
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
        tuple(line for part in (site, shield, operator, default) for line in copied_fragment(part)),
        (*site.rules, *shield.rules, *operator.rules, *default.rules),
    )
    safety.assert_safe(rules, relay, scanner=facts.scanner, scan_relay_clients=facts.scan_relay_clients)
    safety.assert_open(rules, protected)
    listed, left = _listed(adaptive, rules, facts, relay, directory)
    return Compiled(
        directory=directory,
        rules=rules,
        adaptive=listed,
        cdb=cdb.build(tcprules.compile_records(rules, listed)),
        copy=readable_copy(rules, listed, directory),
        notices=(*_notices(dropped, left, directory), *_shadowed(rules)),
        states={},
        good={},
        dropped=(*dropped, *left),
        notes=written,
        next_expiry=_next_expiry(operator, written, listed),
    )


def _next_expiry(
    operator: Rules, written: Mapping[tuple[str, int], notes.Note], listed: Mapping[str, AdaptiveEntry]
) -> int | None:
    ends = [entry.until for entry in listed.values()]
    for rule in operator.rules:
        note = written.get((rule.name, rule.line))
        if note is not None and note.until is not None:
            ends.append(note.until)
    return min(ends, default=None)


# Keys that must not take effect


def _expired(note: notes.Note | None, now: int) -> str:
    return (
        f"it ended at {times.utc(note.until)}" if note and note.until is not None and note.over(now) else ""
    )


def _without(part: Rules, reason: Callable[[Rule], str], dropped: list[Dropped]) -> Rules:
    return _without_keys(part, lambda rule, _key: reason(rule), dropped)


def _without_keys(part: Rules, reason: Callable[[Rule, str], str], dropped: list[Dropped]) -> Rules:
    """Remove the keys for which there is a reason; the lines of the part name the rules left out."""
    rules: list[Rule] = []
    lines = list(part.lines)
    for rule in part.rules:
        keys = rule.keys
        if len(keys) == 1 and not reason(rule, keys[0]):  # nearly all
            rules.append(rule)
            continue
        reasons = {key: why for key in keys if (why := reason(rule, key))}
        if not reasons:
            rules.append(rule)
            continue
        kept = tuple(key for key in keys if key not in reasons)
        dropped += [Dropped(rule.where, rule.text, key, why) for key, why in reasons.items()]
        rest = rule.text[len(rule.address) :]
        lines[rule.line - 1] = f"# left out: {rule.text}\n" + "".join(
            f"{shown_key(key)}{rest}\n" for key in kept
        )
        if kept:
            rules.append(rule._replace(keys=kept))
    return Rules(part.name, tuple(lines), tuple(rules))


def _outranked(rule: Rule, key: str, site: Rules, shielded: AddressSet) -> str:
    """Return why a key of the operator's rule must not take effect, or ''."""
    interval = key_interval(key)
    if interval is None:
        if safety.shuts_out(rule) and "@" in key and shielded.ipv4_intervals():
            return "what ident says could shut out a protected address"
        return ""
    if safety.shuts_out(rule):
        return "it is protected" if key and shielded.covers(*interval) else ""
    for wider in around(key.rpartition("@")[2], site.ipv6_lengths):
        above = site.index.get(wider)
        if above is not None:
            return f"{above.where} refuses it" if above.action == "deny" else ""
    return ""


def _narrower(rule: Rule, key: str, operator: Rules) -> str:
    """Return why a key of a site's network is left out (the operator has a narrower rule), or ''.

    Such a network takes several keys unless it ends at an octet, and one of them may be the operator's host.
    """
    other = operator.index.get(key)
    if other is None or rule.action == "deny" or set(rule.keys) <= set(other.keys):
        return ""
    return f"{other.where} is narrower"


def _shield(
    rules: Rules, operator: Rules, protected: Sequence[Network], name: str, dropped: list[Dropped]
) -> tuple[Rules, Rules, Rules]:
    """Return rules for protected addresses in wider denials, all rules with them, and the operator's rest."""
    by_name = [rule for rule in rules.rules if rule.keys[0][:1] == "=" and safety.shuts_out(rule)]
    named = [network for network in protected if network.version == 4]  # a client of IPv6 has no name
    if by_name and sum(network.num_addresses for network in named) > MOST_PROTECTED_ADDRESSES:
        reason = (
            f"more than {MOST_PROTECTED_ADDRESSES} addresses are protected, and a name counts before them"
        )
        operator = _without(operator, lambda rule: reason if rule in by_name else "", dropped)
        rules = Rules(rules.name, (), tuple(rule for rule in rules.rules if rule not in by_name))
        by_name = []
    index = rules.index
    made: list[Rule] = []
    for network in protected:
        single = bool(by_name) and network.version == 4
        for key in _keys_of(network, single=single):
            if key in index and not safety.shuts_out(index[key]):
                continue
            above = [index[wider] for wider in around(key, rules.ipv6_lengths) if wider in index]
            if above and (single or safety.shuts_out(above[0])):
                made.append(_shield_rule(key, above, name))
            elif single:
                made.append(_shield_rule(key, [], name))
    lines = [f"{rule.text}\n" for rule in made]
    shield = Rules(f"{name}, protected networks", tuple(lines), tuple(made))
    return shield, rules, operator


def _keys_of(network: Network, *, single: bool) -> Iterator[str]:
    if single:
        return (str(address) for address in network)
    return iter(tcprules.address_keys(rule_address(network)))


def _shield_rule(key: str, above: Sequence[Rule], name: str) -> Rule:
    """Return an allowing rule with the environment that the address would get without the denials."""
    rule = next((one for one in above if one.action == "allow"), None)
    environment = tuple(pair for pair in (rule.environment if rule else ()) if pair[0] != "RBLSMTPD")
    address = shown_key(key)
    text = f"{address}:allow{written_variables(environment, name)}"
    return Rule(name, 3, text, address, "allow", environment, (key,))


def _listed(
    adaptive: Sequence[AdaptiveEntry], rules: Rules, facts: Facts, relay: Sequence[Network], directory: str
) -> tuple[dict[str, AdaptiveEntry], list[Dropped]]:
    """Return the adaptive entries that take effect, by key, and those left out."""
    never_refused = NeverRefused([(RELAYS, relay), *networks_of(facts).items()], rules)
    index = rules.index
    listed: dict[str, AdaptiveEntry] = {}
    left: list[Dropped] = []
    for entry in adaptive:
        key = entry.key
        reason = never_refused(entry.address)
        if not reason and key in index:
            reason = f"{index[key].where} decides about it"
        if reason:
            left.append(Dropped(f"{directory}/{ADAPTIVE}", f"{entry.rule_address}:deny", key, reason))
        else:
            listed[key] = entry
    return listed, left


def _notices(dropped: Sequence[Dropped], left: Sequence[Dropped], directory: str) -> Iterator[str]:
    """Yield a notice for each rule left out, except for expected reasons."""
    seen = set()
    for one in dropped:
        if (one.where, one.reason) not in seen and not _is_as_it_should_be(one.reason):
            seen.add((one.where, one.reason))
            yield f"{one.where}: {one.text!r} is left out for '{shown_key(one.key)}', {one.reason}"
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield f"{directory}/{ADAPTIVE}: {left[0].text!r}{more} left out, {left[0].reason}"


def _is_as_it_should_be(reason: str) -> bool:
    return reason.startswith("it ended") or reason.endswith(" is narrower")


def _shadowed(rules: Rules) -> Iterator[str]:
    index = rules.index
    for rule in rules.rules:
        if index[rule.keys[0]] is not rule and not any(index[key] is rule for key in rule.keys[1:]):
            yield f"{rule.where}: {rule.text!r} has no effect, {rules.index[rule.keys[0]].where} comes first"


def describe_changes(before: tuple[Rules, tuple[str, ...]], after: Compiled) -> list[str]:
    """Describe what changes for which network, then for which addresses of the adaptive blacklist."""
    rules, listed = before[0], set(before[1])
    changes = rules_changes.describe_changes(rules, after.rules)
    now = set(after.adaptive)
    changes += [f"{one} is refused by the blacklist" for one in _in_cidr_form(now - listed)]
    changes += [f"{one} is no longer refused by the blacklist" for one in _in_cidr_form(listed - now)]
    return changes


def _in_cidr_form(keys: Iterable[str]) -> Iterator[str]:
    """Return the networks of keys of addresses and of IPv6, ascending."""
    for key in sorted(keys, key=lambda key: key_interval(key) or (0, 0)):
        yield str(ipaddress.IPv6Network(ipv6_key_parts(key))) if is_ipv6_key(key) else f"{key}/32"


def author(rule: Rule) -> str:
    """Return whose fragment a rule is in."""
    name = rule.name.rpartition("/")[2]
    return {SITE: "the site, by Ansible", DEFAULT: "the site, by Ansible", OPERATOR: "the operator"}.get(
        name, "the adaptive blacklist"
    )


def covers(key: str, ip: str) -> bool:
    """Return whether a key that was left out would have matched an address."""
    interval = key_interval(key)
    number = address_number(ip)
    return interval is not None and interval[0] <= number <= interval[1]
