"""Whether a restart is owed, with a clock that was set back and a process that does not stay."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import start_record, supervise
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.run_script import (
    Definition,
    run_script,
)

HOURS = 3600 * 10**9


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Let the monotonic clock go on only while somebody sleeps."""
    times: list[float] = []
    monkeypatch.setattr(restarts.time, "monotonic", lambda: 100 + sum(times))
    monkeypatch.setattr(restarts.time, "sleep", times.append)
    yield times


def services(monkeypatch: pytest.MonkeyPatch, since: int, pids: Iterator[int]) -> None:
    def look(_directory: str) -> supervise.Service:
        return supervise.Service(True, supervise.Status(since, next(pids), False, "up"))

    monkeypatch.setattr(restarts.supervise, "look", look)


def kept(place: Path) -> tuple[str, str]:
    """Return the directory of a service that keeps a record, and the record's path."""
    (place / "run").write_text(run_script(Definition("send", str(place), "exec sleep 9"), str(place)))
    return str(place), str(place / "send")


@pytest.mark.parametrize(
    ("since", "pids", "seconds"),
    [
        (-2 * HOURS, itertools.repeat(2**30), 0),
        (0, itertools.repeat(2**30), restarts.RECORDED_SECONDS),
        (2 * HOURS, itertools.repeat(2**30), restarts.RECORDED_SECONDS),
        (0, itertools.count(2**30), restarts.RECORDED_SECONDS),
    ],
    ids=["lives long", "just started", "clock set back", "flaps"],
)
def test_a_record_is_waited_for_and_not_for_ever(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slept: list[float],
    since: int,
    pids: Iterator[int],
    seconds: float,
) -> None:
    now = time.time_ns()
    monkeypatch.setattr(restarts.time, "time_ns", lambda: now)
    services(monkeypatch, now + since, pids)
    owed = restarts.look(*kept(tmp_path))
    assert owed == start_record.Owed(start_record.NOT_RECORDED)
    assert sum(slept) == pytest.approx(seconds, abs=0.1)
