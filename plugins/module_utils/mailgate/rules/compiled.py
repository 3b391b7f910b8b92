# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The compiled rules of all fragments, and the rule that decides about a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..formats import notes, tcprules
from ..formats.rule_keys import lengths_of
from ..formats.tcprules import Rule, Rules
from .files import State, describe_faults
from .fragments import ADAPTIVE, AdaptiveEntry

# All fragments


@dataclass(frozen=True)
class Dropped:
    """A key of a rule that has no effect, and why."""

    where: str
    text: str
    key: str
    reason: str


@dataclass(frozen=True)
class Compiled:
    """The result of a compilation: the rules, adaptive entries, files to write, and what to report."""

    directory: str
    rules: Rules
    adaptive: Mapping[str, AdaptiveEntry]  # by key
    cdb: bytes
    copy: str
    notices: tuple[str, ...]
    states: Mapping[str, State]
    good: Mapping[str, str]  # texts to keep as last good versions
    dropped: tuple[Dropped, ...]
    notes: Mapping[tuple[str, int], notes.Note]  # by name and line of the rule
    next_expiry: int | None

    @property
    def count(self) -> int:
        return len(self.rules.rules) + len(self.adaptive)

    @cached_property
    def ipv6_lengths(self) -> tuple[int, ...]:
        """The prefix lengths of IPv6 in the compiled file, the longest first."""
        return tuple(sorted({*self.rules.ipv6_lengths, *lengths_of(self.adaptive)}, reverse=True))

    def faults(self) -> list[str]:
        """Return a line for each fragment of which an older version is in force, or none."""
        return describe_faults(self.states)


def decide(
    made: Compiled, ip: str, host: str | None = None, info: str | None = None
) -> tuple[Rule | None, AdaptiveEntry | None]:
    """Return the rule that decides about a client, and its adaptive entry if that is the rule."""
    for key in tcprules.lookup_keys(ip, made.ipv6_lengths, host, info):
        rule = made.rules.index.get(key)
        if rule is not None:
            return rule, None
        entry = made.adaptive.get(key)
        if entry is not None:
            return _adaptive_rule(made.directory, entry, key), entry
    return None, None


def _adaptive_rule(directory: str, entry: AdaptiveEntry, key: str) -> Rule:
    text = entry.rule_address
    return Rule(f"{directory}/{ADAPTIVE}", 0, f"{text}:deny", text, "deny", (), (key,))
