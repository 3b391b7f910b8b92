# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the peers said, handed to this host's single writers, each of which judges it again.

The fleet writes nothing itself. The service operator, which runs as root, takes its orders by verbs that only
the fleet's user may use (operators/peers.py): it edits the operators' lists by its own judges and audit log,
asks the service adaptive-blacklist, and touches the greylist's files. What a judge refuses is not in force
here, stays so, and is told by `mailgate fleet status`; what cannot be done now is tried again.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from ..core.errors import BadInput, MailgateError, TryAgain
from .facts import ADAPTIVE, REMOVE, Act, Grey, Key, join
from .merge import NEWS, Acts, Outcome

GREYS_MAX = 50_000  # that wait for the writer; more are dropped, a client is only greylisted once more
GREYS_AT_ONCE = 250
ACTS_AT_ONCE = 20
LOSERS_MAX = 1000
REFUSED_MAX = 1000
RETRY_SECONDS = 5.0
_Result = TypeVar("_Result")


class Writers(Protocol):
    """The single writers of this host, as the fleet reaches them.

    Each method raises TryAgain or OSError when the writer does not answer.
    """

    def act(self, act: Act) -> str:
        """Bring an act into force; return '', or why this host's own safeguards refuse it."""

    def lost(self, loser: Act, winner: Act) -> None:
        """Record in the audit log that an act does not stand, and which one does."""

    def greys(self, greys: Sequence[Grey]) -> int:
        """Join networks into the greylist; return how many were refused."""

    def greylist(self) -> Iterator[Sequence[Grey]]:
        """Yield all that the greylist knows, in groups."""


class Applier:
    """What waits for the writers, and what they refused."""

    def __init__(
        self,
        writers: Writers,
        acts: Acts,
        unsettled: Iterable[Key] = (),
        applied: Callable[[Act], None] = lambda act: None,
    ) -> None:
        """Go on with the acts that are not settled; applied() is called with each one that is in force."""
        self._writers, self._acts, self._applied = writers, acts, applied
        self._keys: OrderedDict[Key, None] = OrderedDict((key, None) for key in unsettled)
        self._greys: OrderedDict[str, Grey] = OrderedDict()
        self._losers: list[tuple[Act, Act]] = []
        self._pause_until = float("-inf")
        self.refused: OrderedDict[Key, str] = OrderedDict()
        self.greys_refused = self.greys_dropped = 0
        self.trouble = ""

    def take(self, act: Act, outcome: Outcome) -> None:
        """Take a peer's act that was merged."""
        if outcome.loser is not None and outcome.winner is not None and len(self._losers) < LOSERS_MAX:
            self._losers.append((outcome.loser, outcome.winner))
        if outcome.what == NEWS:
            self.refused.pop(act.key, None)
            self._keys[act.key] = None

    def again(self, keys: Iterable[Key]) -> None:
        """Bring into force again what stands for these values, be it of this host or of a peer."""
        self._keys.update((key, None) for key in keys if self._acts.get(key) is not None)

    def here(self, act: Act) -> None:
        """Take notice of an act of this host: it is in force, whatever a peer had said."""
        self._keys.pop(act.key, None)
        self.refused.pop(act.key, None)

    def grey(self, grey: Grey) -> None:
        """Take what a peer said of a network."""
        known = self._greys.pop(grey.network, None)
        self._greys[grey.network] = grey if known is None else join(known, grey)
        if len(self._greys) > GREYS_MAX:
            self._greys.popitem(last=False)
            self.greys_dropped += 1

    @property
    def waiting(self) -> int:
        return len(self._keys) + len(self._greys) + len(self._losers)

    def unsettled(self) -> list[Key]:
        """Return the acts that are not in force yet, to go on with after a restart."""
        return list(self._keys)

    def step(self, now: float) -> bool:
        """Hand over some of what waits, acts first; return whether anything was handed over."""
        if not self.waiting or self._pause_until - RETRY_SECONDS <= now < self._pause_until:
            return False
        try:
            self._step(now)
        except (TryAgain, OSError) as error:
            self._pause_until = now + RETRY_SECONDS
            self.trouble = str(error)
            return False
        self.trouble = ""
        return True

    def _step(self, now: float) -> None:
        while self._losers:
            _unless_refused(lambda: self._writers.lost(*self._losers[0]), None)
            del self._losers[0]
        for key in list(self._keys)[:ACTS_AT_ONCE]:
            act = self._acts.get(key)
            if act is not None and not act.ended(now):
                self._settle(act)
            elif act is not None and act.kind != ADAPTIVE:
                # It ended before it was heard: what it replaced on the other hosts goes here as well.
                self._settle(dataclasses.replace(act, action=REMOVE, until=None))
            self._keys.pop(key, None)
        if self._keys:
            return
        group = [one for one, _count in zip(self._greys.values(), range(GREYS_AT_ONCE))]
        if group:
            self.greys_refused += _unless_refused(lambda: self._writers.greys(group), len(group))
            for one in group:
                self._greys.pop(one.network, None)

    def _settle(self, act: Act) -> None:
        try:
            why = self._writers.act(act)
        except TryAgain:
            raise
        except MailgateError as error:
            why = str(error)
        if not why:
            self._applied(act)
        else:
            self.refused[act.key] = why
            if len(self.refused) > REFUSED_MAX:
                self.refused.popitem(last=False)


def _unless_refused(ask: Callable[[], _Result], refused: _Result) -> _Result:
    """Return what a writer answers; what it does not take is not asked again, and holds up nothing."""
    try:
        return ask()
    except TryAgain:
        raise
    except MailgateError:
        return refused


class HelperWriters:
    """The writers, reached through the service operator's verbs for the fleet."""

    def __init__(self, ask: Callable[[Mapping[str, object]], Mapping[str, object]]) -> None:
        """Take operators.client.ask(), which raises BadInput for a refusal and TryAgain."""
        self._ask = ask

    def _asked(self, request: Mapping[str, object]) -> Mapping[str, object]:
        try:
            return self._ask(request)
        except BadInput as error:
            if isinstance(error.__cause__, PermissionError):  # the socket is being made: nobody judged this
                raise TryAgain(str(error)) from error
            raise

    def act(self, act: Act) -> str:
        answer = self._asked({"do": "peer-act", **_values(act)})
        return str(answer.get("refused", ""))

    def lost(self, loser: Act, winner: Act) -> None:
        self._asked({"do": "peer-lost", **_values(loser), "winner": _words(winner)})

    def greys(self, greys: Sequence[Grey]) -> int:
        answer = self._asked({"do": "peer-greys", "greys": [_triple(one) for one in greys]})
        refused = answer.get("refused")
        return refused if isinstance(refused, int) else 0

    def greylist(self) -> Iterator[Sequence[Grey]]:
        folder: object = 0
        while isinstance(folder, int):
            answer = self._asked({"do": "peer-greylist", "folder": folder})
            found = answer.get("greys")
            if isinstance(found, list):
                yield [Grey(str(one[0]), bool(one[1]), int(one[2])) for one in found]
            folder = answer.get("next")


def _triple(one: Grey) -> list[object]:
    return [one.network, one.passed, one.at]


def _values(act: Act) -> dict[str, object]:
    return {
        "kind": act.kind,
        "value": act.value,
        "action": act.action,
        "by": act.by,
        "note": act.note,
        "until": act.until,
        "host": act.version.host,
    }


def _words(act: Act) -> str:
    return f"{act.action} by {act.by}"
