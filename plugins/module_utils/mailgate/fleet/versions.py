# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of facts: a counter and the name of the host that acted, in one total order.

The counter is Lamport's: an act gets a higher one than every version that its host knew. So of two acts of
which the second was made with knowledge of the first, the second has the higher version, whatever the clocks
say; of two that were made without each other the higher counter stands, and of equal counters the host whose
name sorts last. Every host comes to the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..core.errors import BadInput

COUNTER_MAX = 2**53 - 1  # JSON's readers agree on whole numbers up to here
COUNTERS_SINCE = 1_767_225_600  # 2026: a host without a state begins with the seconds since then
PER_SECOND = 400_000  # counters that a whole fleet of services that end each second leaves out
EARLY_MAX = 2**32  # so many may be used whatever the clock says, at any time
HOSTS_MAX = 200  # that acts may be of: this one, its peers, and those that are gone
AHEAD_MAX = 1000  # how far a fact may be ahead of all that is known, whatever the clock says
HOST_CHARACTERS_MAX = 253
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


class Version(NamedTuple):
    """The version of a fact. Versions compare as tuples: by the counter, then by the host's name."""

    counter: int
    host: str

    def to_json(self) -> list[object]:
        return [self.counter, self.host]


def check_host(text: object, where: str) -> str:
    """Return a host name in lower case; raises BadInput for anything else."""
    if isinstance(text, str) and len(text) <= HOST_CHARACTERS_MAX and _HOST.fullmatch(text):
        return text
    raise BadInput(f"{where}: {text!r:.80} is not a host name; expected one such as 'mx1.example.com'")


def check_number(value: object, where: str, least: int, most: int) -> int:
    """Return a whole number in the range; raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(
            f"{where}: {value!r:.80} is not such a number; expected a whole one from {least} to {most}"
        )
    return value


def parse_version(value: object, where: str) -> Version:
    """Parse what to_json() returned; raises BadInput."""
    if not isinstance(value, list) or len(value) != 2:
        raise BadInput(f"{where}: {value!r:.80} is not a version; expected a counter and a host name")
    counter = check_number(value[0], f"{where} counter", 1, COUNTER_MAX)
    return Version(counter, check_host(value[1], f"{where} host"))


class Counters:
    """The highest counter that is known of each host; the next own version is above all of them."""

    def __init__(self, host: str, known: Mapping[str, int] | None = None) -> None:
        self.host = host
        self._known: dict[str, int] = dict(known or {})

    @property
    def highest(self) -> int:
        return max(self._known.values(), default=0)

    def expect(self, hosts: Iterable[str]) -> None:
        """Keep a place for the counters of these hosts."""
        for host in hosts:
            self._known.setdefault(host, 0)

    def of(self, host: str) -> int:
        """Return the highest counter of a host's facts that were seen, 0 without any."""
        return self._known.get(host, 0)

    def fault(self, version: Version, now: float) -> str:
        """Return why a version is not believed, or ''.

        A counter far ahead would use up the numbers, so that no later act could stand. The limit grows with
        the time and not with what a host says, so steps do not lead there either.
        """
        most = max(EARLY_MAX + PER_SECOND * max(0, int(now) - COUNTERS_SINCE), self.highest + AHEAD_MAX)
        if version.counter > most:
            return f"counter {version.counter} is too far ahead; expected at most {most}"
        if version.host not in self._known and len(self._known) >= HOSTS_MAX:
            return f"host {version.host!r:.80} is one too many; expected at most {HOSTS_MAX}"
        return ""

    def see(self, versions: Iterable[Version]) -> None:
        """Remember versions, in any order, each any number of times."""
        for one in versions:
            if one.counter > self._known.get(one.host, 0):
                self._known[one.host] = one.counter

    def next(self) -> Version:
        """Return the version of an act of this host now; raises BadInput when the numbers are used up."""
        if self.highest >= COUNTER_MAX:
            raise BadInput(f"fleet: counter {self.highest} is the last one; expected a lower one")
        made = Version(self.highest + 1, self.host)
        self.see([made])
        return made

    def versions(self) -> list[Version]:
        """Return the highest version of each host."""
        return [Version(counter, host) for host, counter in self._known.items()]

    def reserve(self, number: int) -> None:
        """Leave out so many own counters: they may have been used after the state was saved, or was lost."""
        self._known[self.host] = min(COUNTER_MAX, self._known.get(self.host, 0) + max(0, number))

    def to_json(self) -> dict[str, int]:
        return dict(sorted(self._known.items()))


def parse_counters(value: object, host: str, where: str) -> Counters:
    """Parse what Counters.to_json() returned; raises BadInput."""
    if not isinstance(value, dict):
        raise BadInput(f"{where}: {value!r:.80} is not an object; expected host names and counters")
    return Counters(
        host,
        {
            check_host(name, f"{where} host"): check_number(number, f"{where} {name}", 0, COUNTER_MAX)
            for name, number in value.items()
        },
    )
