# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run will compile and fetch, and about how long that takes: told before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

# Seconds that compiling takes on two cores, the packages of the compiler included; the others are quick.
COMPILE_SECONDS = {"clamav": 840, "dcc": 60, "netqmail": 40, "spamassassin": 40}
_RESTORED = "from the cache, or compiled if that has no build of this platform"
_OTHERS_SECONDS = 15
_RUN_SECONDS = 180  # everything else, on a host that has nothing yet
_AGAIN_SECONDS = 60


def plan(
    wanted: Sequence[str], there: Collection[str], cached: Collection[str], fetched: Sequence[str]
) -> list[str]:
    """Return what a run does with the programs that are built from source, as lines for a person.

    wanted: their names; there: those that the host has; cached: those of which the controller's cache has a
    build; fetched: whose archives are not in the cache, and what else comes from the network.
    """
    names = list(dict.fromkeys(wanted))
    if not names:
        return []
    old = [name for name in names if name in there]
    restored = [name for name in names if name not in there and name in cached]
    new = [name for name in names if name not in there and name not in cached]
    seconds = (_AGAIN_SECONDS if old else _RUN_SECONDS) + sum(
        COMPILE_SECONDS.get(name, _OTHERS_SECONDS) for name in new
    )
    return [
        *([f"there, compiled again only where its recipe has changed: {', '.join(old)}"] if old else []),
        *([f"{_RESTORED}: {', '.join(restored)}"] if restored else []),
        *([f"to be compiled: {', '.join(map(_with_time, new))}"] if new else []),
        *([f"to be fetched: {', '.join(dict.fromkeys(fetched))}"] if fetched else []),
        f"about {max(1, round(seconds / 60))} min on two cores, and the time of the network",
    ]


def _with_time(name: str) -> str:
    minutes = round(COMPILE_SECONDS.get(name, 0) / 60)
    return f"{name} (about {minutes} min)" if minutes > 1 else name
