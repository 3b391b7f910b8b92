# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that would set nothing: nearly the collection's own, or replaced by its playbooks."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

SITE_PREFIX = "gateway_"
# How alike two names are that mean the same; one with another beginning must be more so.
_ALIKE, _ALIKE_ELSEWHERE = 0.87, 0.93
_NAMED = 3  # of the variables from which another is made
_OTHERS = ("_", "ansible_", "molecule_")


class Removed(NamedTuple):
    """A variable that earlier versions had: the version without it, and what to set now."""

    since: str
    instead: str


# The one table of these; tests/fixtures/variables.txt has the names of the last release, of which each one is
# still a variable or stands here.
REMOVED: Mapping[str, Removed] = MappingProxyType(
    {
        "simscan_clamd_config": Removed("0.3.0", "simscan_clamd_socket, the path of clamd's socket"),
    }
)


def site_names(text: str) -> frozenset[str]:
    """Return the site's variables, from the text of playbooks/vars/site.yml, which reads each of them."""
    return frozenset(re.findall(rf"\b{SITE_PREFIX}[a-z0-9_]+", text))


def made_of(name: str, settings: Mapping[str, object], known: Collection[str]) -> list[str]:
    """Return the variables that a variable of the playbooks is made of; none for one that they do not set.

    settings: the values of playbooks/vars/site.yml; known: the names that the collection has.
    """
    found: dict[str, bool] = {}
    seen: set[str] = set()
    words = [name] if name in settings else []
    while words:
        word = words.pop(0)
        if word in known and word not in settings:
            found[word] = True
        elif word in settings and word not in seen:  # itself, or one that only the playbooks know
            seen.add(word)
            words = [*re.findall(r"\b_?[a-z][a-z0-9_]+", str(settings[word])), *words]
    return list(found)


def replaced(
    given: Mapping[str, object],
    in_force: Mapping[str, object],
    settings: Mapping[str, object],
    known: Collection[str],
) -> list[str]:
    """Return faults about a host's variables that the playbooks set from others, sorted.

    given: the values of the inventory and of --extra-vars; in_force: those of the play; both before their
    templates are filled in; settings: the values of playbooks/vars/site.yml; known: the names that the
    collection has. A value of --extra-vars is in force.
    """
    faults = []
    for name in sorted({*given} & {*settings}):
        if name.startswith(_OTHERS) or given[name] == in_force.get(name):
            continue
        sources = made_of(name, settings, known)
        expected = " or ".join(sources) or "none, for a site has no choice there"
        if len(sources) > _NAMED:
            expected = "the variables of the site file"
        faults.append(f"{name}: is set by the playbook, so it would set nothing; expected {expected}")
    return faults


def judge(
    given: Iterable[str],
    known: Collection[str],
    prefixes: Iterable[str],
    own: Collection[str] = (),
    removed: Mapping[str, Removed] = REMOVED,
    settings: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """Return (faults, warnings) about the names of a host's variables, sorted.

    known: the names that the collection has; prefixes: how they begin; own: names that the site says are its
    own, whatever they look like; removed: those of earlier versions; settings: those that the playbooks set
    themselves, which no fault proposes. A removed one is a fault, which names its successor. A name that is
    nearly a known one is a fault; another that begins with gateway_ a warning; everything else belongs to
    somebody else.
    """
    starts = tuple({*prefixes, SITE_PREFIX})
    proposed = sorted({*known} - {*settings})
    faults, warnings = [], []
    for name in sorted({*given} - {*known} - {*own}):
        if name.startswith(_OTHERS):
            continue
        if name in removed:
            since, instead = removed[name]
            faults.append(f"{name}: was removed in {since}, so it would set nothing; expected {instead}")
            continue
        ours = name.startswith(starts)
        near = difflib.get_close_matches(name, proposed, 1, _ALIKE if ours else _ALIKE_ELSEWHERE)
        if near:
            faults.append(
                f"{name}: is not a variable of this collection, so it would set nothing; expected "
                f"{near[0]!r}, or the name in base_own_variables when it is one of yours"
            )
        elif name.startswith(SITE_PREFIX):
            warnings.append(f"{name}: is not a variable of this collection and sets nothing")
    return faults, warnings
