# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits on how much a list of recipients may change at once, and the description of a change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..formats.addresses import parse_address
from .keys import Recipients


@dataclass(frozen=True)
class Limits:
    """How many addresses of a domain one export may remove without a person's consent."""

    loss_percent: int = 10
    loss_number: int = 1000
    loss_floor: int = 5  # so many may always be removed, unless none is left


@dataclass(frozen=True)
class Difference:
    """What a new set gains and loses: how many, and the first few, sorted."""

    before_count: int
    after_count: int
    gained_count: int
    lost_count: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def objections(
    before: Iterable[str],
    wanted: Recipients,
    domains: frozenset[str],
    *,
    limits: Limits,
    required: Iterable[str] = (),
    accept_shrink: bool = False,
) -> list[str]:
    """Return why a list must not be published, one text for each reason; [] when it may be.

    before: the keys that serve now; domains: those that come from a directory. accept_shrink is a person's
    consent that a domain may lose any number. An export without any address, and a list without a required
    address, are refused all the same.
    """
    if domains and not wanted.exported:
        return ["export: 0 addresses of the gateway's domains; expected at least one"]
    have = set(wanted.keys)
    found = [
        f"required address: {address!r} is in neither directory nor site file; expected it in one of them"
        for address in required
        if "@".join(parse_address(address, "required address")) not in have
    ]
    if accept_shrink:
        return found
    with_some = {address.rpartition("@")[2] for address in wanted.exported}
    found += [
        f"domain {domain}: the directory has no address of it; expected at least one"
        for domain in sorted(domains - with_some)
    ]
    old: dict[str, int] = {}
    lost: dict[str, int] = {}
    for key in before:
        domain = key.rpartition("@")[2]
        if domain in domains:
            old[domain] = old.get(domain, 0) + 1
            if key not in have:
                lost[domain] = lost.get(domain, 0) + 1
    for domain, number in sorted(lost.items()):
        percent = 100 * number / old[domain]
        if number > limits.loss_floor and (percent > limits.loss_percent or number > limits.loss_number):
            found.append(
                f"domain {domain}: would lose {number} of {old[domain]} addresses ({percent:.1f} %); "
                f"expected at most {limits.loss_percent} % and {limits.loss_number}, or a person's "
                "'mailgate recipients update --accept-shrink'"
            )
    return found


def difference(before: Iterable[str], after: Iterable[str], *, limit: int = 20) -> Difference:
    """Return what the recipients gain and lose, with at most limit addresses of each."""
    old, new = set(before), set(after)
    gained, lost = sorted(new - old), sorted(old - new)
    return Difference(len(old), len(new), len(gained), len(lost), tuple(gained[:limit]), tuple(lost[:limit]))


def describe(change: Difference) -> tuple[str, str]:
    """Return the two sides of a diff: the count and what is lost, the count and what is gained."""
    return (
        _side(change.before_count, "lost", change.lost_count, change.lost),
        _side(change.after_count, "gained", change.gained_count, change.gained),
    )


def _side(count: int, verb: str, moved: int, shown: Sequence[str]) -> str:
    lines = [f"{count} recipients", f"{moved} {verb}", *shown]
    if moved > len(shown):
        lines.append(f"and {moved - len(shown)} more {verb}")
    return "\n".join(lines) + "\n"
