# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The times of the last clean messages of each client, for a limited number of clients."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from .clients import site_of


class CleanMail:
    """Times of clean messages by client; the client without one for longest is forgotten first."""

    def __init__(self, times: Mapping[str, array[int]] | None = None) -> None:
        self._times: OrderedDict[str, array[int]] = OrderedDict(times or {})

    def __len__(self) -> int:
        return len(self._times)

    def remember(self, client: str, at: int, times_max: int, clients_max: int) -> None:
        if not times_max or at < 0:
            return
        times = self._times.pop(client, None)
        if times is None:
            times = array("q")
            if len(self._times) >= clients_max:
                self._times.popitem(last=False)
        self._times[client] = times
        times.append(at)
        del times[:-times_max]

    def forget_last(self, client: str) -> None:
        if self._times.get(client):
            self._times[client].pop()

    def count(self, client: str, begin: int) -> int:
        """Return how many of the remembered messages of a client came after begin."""
        return sum(1 for time in self._times.get(client, ()) if time > begin)

    def in_site(self, site: str, begin: int) -> dict[str, int]:
        """Return how many came after begin, by client /64 of a /48, without those that had none."""
        counts = {one: self.count(one, begin) for one in self._times if site_of(one) == site}
        return {client: number for client, number in counts.items() if number}

    def items(self) -> Iterator[tuple[str, list[int]]]:
        return ((client, times.tolist()) for client, times in self._times.items())
