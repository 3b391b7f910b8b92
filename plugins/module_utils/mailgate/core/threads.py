# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks in parallel threads, each with a time limit, so that no task delays the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Outcome(Generic[T]):
    """The result of a task: its value, its error, or neither when it did not end in time."""

    value: T | None = None
    error: Exception | None = None
    ended: bool = False


def run_parallel(tasks: Sequence[tuple[Callable[[], T], float]]) -> list[Outcome[T]]:
    """Run each (task, seconds that it may take) in a thread; return the outcomes in the same order.

    A task that takes longer keeps running in a daemon thread, which does not delay the end of the program.
    """
    outcomes: list[Outcome[T]] = [Outcome() for dummy in tasks]
    began = time.monotonic()
    threads = []
    for one, outcome in zip(tasks, outcomes):
        thread = threading.Thread(target=_run, args=(one[0], outcome), daemon=True)
        thread.start()
        threads.append(thread)
    found = []
    for one, thread, outcome in zip(tasks, threads, outcomes):
        thread.join(max(0.0, began + one[1] - time.monotonic()))
        # The outcome of a thread that ends later must not change what is returned here.
        found.append(Outcome(outcome.value, outcome.error, True) if outcome.ended else Outcome())
    return found


def _run(task: Callable[[], T], outcome: Outcome[T]) -> None:
    try:
        outcome.value = task()
    except Exception as error:  # any error becomes the outcome; the other tasks go on
        outcome.error = error
    outcome.ended = True
