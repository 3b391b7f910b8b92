# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The difference between two sets of rules, described network by network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence

from ..formats.networks import IPV4_END, LINE_END, Network, number_address
from ..formats.rule_keys import is_host_address
from ..formats.tcprules import Rule, Rules, segments


def describe_changes(before: Rules, after: Rules) -> list[str]:
    """Describe what changes for which network; empty when every connection is treated as before."""
    changes: list[tuple[int, int, str]] = []
    known: dict[object, str] = {}
    for first, following, old, new in _side_by_side(*_changed(before, after)):
        if (old is None or old.address == "") and (new is None or new.address == ""):
            continue
        what = (old and old[4:6], new and new[4:6])  # the effect of a rule, without its address
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
    """Return the segments of both, without single addresses whose rule has the same effect in both.

    Such an address keeps its own rule, so it changes only in the description when a network around it
    changes: then all segments are returned.
    """
    old, new = before.index, after.index
    changed = {key for key, rule in new.items() if (was := old.get(key)) is None or was[4:6] != rule[4:6]}
    changed.update(old.keys() - new.keys())
    if not all(map(is_host_address, changed)):
        return segments(old.items()), segments(new.items())
    return (
        segments([*before.networks, *((key, old[key]) for key in changed if key in old)]),
        segments([*after.networks, *((key, new[key]) for key in changed if key in new)]),
    )


def _side_by_side(
    before: Sequence[tuple[int, Rule | None]], after: Sequence[tuple[int, Rule | None]]
) -> Iterator[tuple[int, int, Rule | None, Rule | None]]:
    """Yield (first number, number after the last, rule before, rule after) for each run of addresses.

    A run of which either rule is not for everybody lies in one family.
    """
    one = two = first = 0
    while first < LINE_END:
        next_one = before[one + 1][0] if one + 1 < len(before) else LINE_END
        next_two = after[two + 1][0] if two + 1 < len(after) else LINE_END
        following = next_one if next_one < next_two else next_two
        yield first, following, before[one][1], after[two][1]
        one += next_one == following
        two += next_two == following
        first = following


def _span(first: int, last: int) -> str:
    """Describe a run of addresses: as one network if possible, else by its first and last address."""
    if first == last < IPV4_END:  # fast, because there may be many
        return f"{socket.inet_ntoa(first.to_bytes(4, 'big'))}/32"
    ends = number_address(first), number_address(last)
    networks: list[Network] = list(ipaddress.summarize_address_range(*ends))
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
    """Describe the effect of a rule: 'refused', 'relay', and each other variable as VARIABLE="value"."""
    if rule is None:
        return []
    if rule.action == "deny":
        return ["refused"]
    return ["relay" if pair == ("RELAYCLIENT", "") else '{}="{}"'.format(*pair) for pair in rule.environment]
