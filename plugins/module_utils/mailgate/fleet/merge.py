# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The acts that stand, merged from every host's: the same on every host that has heard the same acts.

Acts may come in any order, several times, and from snapshots as from streams. Of all acts on a value the one
with the highest version stands. An act that takes back another one stays as a tombstone, so that the other
does not come back when it is heard again. A tombstone, and an entry that has ended, is dropped KEPT_SECONDS
after that. From then on the highest counter of what was dropped or replaced there tells, for each host, what
is too old to be news. That is enough because the acts of a host arrive in the order of their counters, by its
stream or a snapshot; nothing is dropped in the middle of a snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..core.errors import BadInput
from . import facts
from .facts import ADAPTIVE, Act, Key
from .versions import Counters, parse_counters

KEPT_SECONDS = 30 * 86_400
LISTING_KEPT_SECONDS = 86_400  # the same of a listing, which nothing brings back when it has ended
ACTS_MAX = 200_000  # one half listings and releases, the other half operators' acts
NEWS, OLD, LOST = "news", "old", "lost"


@dataclass(frozen=True)
class Outcome:
    """What became of an act: NEWS: it stands now; LOST: another one stands; OLD: it was heard before.

    loser is the act that does not stand although its host did not know of the other one, or None: that is
    what the audit log must tell.
    """

    what: str
    loser: Act | None = None
    winner: Act | None = None


class Acts:
    """The acts that stand, by kind and value, and the counters."""

    def __init__(self, host: str, most: int = ACTS_MAX, clock: Callable[[], float] = time.time) -> None:
        self.counters, self._clock = Counters(host), clock
        self.forgotten = Counters(host)  # the highest counter of what was dropped, of each host
        self._most = most
        self._acts: dict[Key, Act] = {}
        self._listings = 0  # and releases, of these
        self._replaced: dict[Key, Counters] = {}  # the highest counter of each host that was replaced there

    def __len__(self) -> int:
        return len(self._acts)

    def __iter__(self) -> Iterator[Act]:
        """Yield every act that stands, tombstones included, in no particular order."""
        return iter(list(self._acts.values()))

    def get(self, key: Key) -> Act | None:
        return self._acts.get(key)

    def take(self, act: Act) -> Outcome:
        """Merge an act; raises BadInput for one that is not believed, and then nothing has changed.

        When there are too many operators' acts, those of this host alone are taken, of which its lists have
        so many at most.
        """
        if fault := self.counters.fault(act.version, self._clock()):
            raise BadInput(f"fact {act.kind} {act.value!r:.80}: {fault}")
        standing = self._acts.get(act.key)
        heard = act.version.counter <= self.counters.of(act.version.host)
        if standing is None:
            if act.version.counter <= self.forgotten.of(act.version.host):
                self.counters.see([act.version])
                return Outcome(OLD)
            self._refuse_too_many(act)
        self.counters.see([act.version])
        if standing is not None and act.version != standing.version:
            replaced = self._replaced.setdefault(act.key, Counters(self.counters.host))
            replaced.see([min(act.version, standing.version)])
        if standing is None or act.version > standing.version:
            self._acts[act.key] = act
            self._listings += standing is None and act.kind == ADAPTIVE
            unknown = standing is not None and act.over != standing.version and not act.same(standing)
            return Outcome(NEWS, standing if unknown else None, act if unknown else None)
        if act.version == standing.version:
            # Two acts of one version come from a host that lost its state; every host picks the same one.
            if facts.render(act) > facts.render(standing):
                self._acts[act.key] = act
                return Outcome(NEWS)
            return Outcome(OLD)
        unknown = not heard and standing.over != act.version and not act.same(standing)
        return Outcome(LOST if unknown else OLD, act if unknown else None, standing if unknown else None)

    def _refuse_too_many(self, act: Act) -> None:
        """Raise BadInput unless there is a place; many listings take none from the acts of people."""
        listing = act.kind == ADAPTIVE
        there = self._listings if listing else len(self._acts) - self._listings
        if there >= self._most // 2 and (listing or act.version.host != self.counters.host):
            raise BadInput(
                f"fact {act.kind} {act.value!r:.80}: more than {self._most // 2} of such acts; expected fewer"
            )

    def expire(self, now: float) -> list[Act]:
        """Drop tombstones, ended entries and listings that are so old; return them."""
        dropped = [one for one in self._acts.values() if _end(one) + _kept_seconds(one) <= now]
        for one in dropped:
            del self._acts[one.key]
            self._listings -= one.kind == ADAPTIVE
            replaced = self._replaced.pop(one.key, None)
            self.forgotten.see([one.version, *(replaced.versions() if replaced else ())])
        return dropped

    def state(self) -> dict[str, object]:
        """Return everything but the acts as JSON values, for restore()."""
        replaced = [[*key, one.to_json()] for key, one in sorted(self._replaced.items())]
        return {
            "counters": self.counters.to_json(),
            "forgotten": self.forgotten.to_json(),
            "replaced": replaced,
        }

    def restore(self, state: object, acts: Iterable[Act], where: str) -> None:
        """Replace everything by state() and the acts; raises BadInput, and then nothing is replaced."""
        expected = {"counters", "forgotten", "replaced"}
        if not isinstance(state, dict) or set(state) != expected or not isinstance(state["replaced"], list):
            raise BadInput(f"{where}: {state!r:.80} is not a state; expected {', '.join(sorted(expected))}")
        host = self.counters.host
        counters = parse_counters(state["counters"], host, f"{where} counters")
        forgotten = parse_counters(state["forgotten"], host, f"{where} forgotten")
        held = {one.key: one for one in acts}
        replaced: dict[Key, Counters] = {}
        for item in state["replaced"]:
            if (
                not isinstance(item, list)
                or len(item) != 3
                or not all(isinstance(one, str) for one in item[:2])
            ):
                raise BadInput(
                    f"{where} replaced: {item!r:.80} is damaged; expected kind, value and counters"
                )
            if (item[0], item[1]) in held:
                replaced[item[0], item[1]] = parse_counters(item[2], host, f"{where} replaced")
        counters.see(one.version for one in held.values())
        self.counters, self.forgotten = counters, forgotten
        self._acts, self._replaced = held, replaced
        self._listings = sum(one.kind == ADAPTIVE for one in held.values())


def _kept_seconds(act: Act) -> int:
    return LISTING_KEPT_SECONDS if act.kind == ADAPTIVE and not act.gone else KEPT_SECONDS


def _end(act: Act) -> float:
    """Return when an act stopped to matter: an entry without an end never does."""
    if act.gone:
        return act.at
    return float("inf") if act.until is None else act.until
