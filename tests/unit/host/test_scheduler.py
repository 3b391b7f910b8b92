# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a command is due, and that the program under supervise obeys signals, limits and locks."""

from __future__ import annotations

import calendar
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import scheduler as every
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host.scheduler import Schedule, State

NOW = datetime(2026, 3, 4, 12, 0).timestamp()
HOUR = 3600.0
PACKAGE = Path(every.__file__).resolve().parents[2]
STARTER = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from mailgate.cli.main import main; "
    "sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize(
    ("schedule", "state", "spread", "due"),
    [
        pytest.param(Schedule(4 * HOUR), State(), 0.9, 0, id="never tried: at once"),
        pytest.param(Schedule(4 * HOUR), State(last_success=NOW - HOUR), 0, 3 * HOUR, id="interval"),
        pytest.param(
            Schedule(4 * HOUR, jitter_seconds=600),
            State(last_success=NOW - HOUR),
            0.5,
            3 * HOUR + 300,
            id="jitter",
        ),
        pytest.param(Schedule(4 * HOUR), State(last_success=NOW - 9 * HOUR), 0, -5 * HOUR, id="overdue"),
        pytest.param(
            Schedule(4 * HOUR),
            State(finished=NOW - 60, status=111),
            0,
            840,
            id="never a success: after the retry time",
        ),
        pytest.param(
            Schedule(4 * HOUR),
            State(finished=NOW - 60, status=111, last_success=NOW - 5 * HOUR),
            0,
            840,
            id="a failure after a success",
        ),
        pytest.param(
            Schedule(60),
            State(finished=NOW, status=1, last_success=NOW - 90),
            0,
            60,
            id="retry is never above the interval",
        ),
        pytest.param(
            Schedule(4 * HOUR),
            State(finished=NOW - 60, status=1, last_success=NOW - HOUR),
            0,
            3 * HOUR,
            id="a failed extra run does not bring the next one forward",
        ),
        pytest.param(
            Schedule(4 * HOUR), State(last_success=NOW + 9 * HOUR), 0, 0, id="a clock that was set back"
        ),
        pytest.param(
            Schedule(24 * HOUR, (1, 0)),
            State(last_success=NOW - 10 * HOUR),
            0,
            13 * HOUR,
            id="daily: done today",
        ),
        pytest.param(
            Schedule(24 * HOUR, (1, 0), 600),
            State(last_success=NOW - 10 * HOUR),
            1,
            13 * HOUR + 600,
            id="daily with jitter",
        ),
        pytest.param(
            Schedule(24 * HOUR, (1, 0)),
            State(last_success=NOW - 12 * HOUR),
            0,
            0,
            id="daily: today's was missed",
        ),
        pytest.param(
            Schedule(24 * HOUR, (13, 0)),
            State(last_success=NOW - 22 * HOUR),
            0,
            HOUR,
            id="daily: later today",
        ),
    ],
)
def test_next_start(schedule: Schedule, state: State, spread: float, due: float) -> None:
    assert every.next_start(schedule, state, NOW, spread) - NOW == pytest.approx(due)


@pytest.mark.parametrize("text", ["", "1", "24:00", "01:60", "1:5", "01:00\n", "-1:00"])
def test_a_time_of_day_that_is_none(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time of day; expected HH:MM"):
        every.parse_time_of_day(text)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"started": "yesterday"}', '{"command": 7}'])
def test_a_damaged_state_counts_as_none(text: str) -> None:
    assert every.parse_state(text) == State()


def test_a_state_that_is_a_pipe_makes_nobody_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "state")
    assert every._read_state(str(tmp_path / "state")) == State()
    assert "is not a regular file; expected one; it counts as none" in capsys.readouterr().out


def start(*arguments: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-I", "-B", "-c", STARTER, str(PACKAGE), "every", *arguments]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(what: str, true: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def runs(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_it_runs_at_once_then_on_alarm_and_ends_on_term(tmp_path: Path) -> None:
    said, state = tmp_path / "said", tmp_path / "state.json"
    process = start("3600", "--state", str(state), "--", "sh", "-c", f"echo ran >> {said}")
    try:
        until("the first run", lambda: state.exists())
        process.send_signal(signal.SIGALRM)
        until("the run that was asked for", lambda: runs(said) == 2)
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
    kept = json.loads(state.read_text())
    assert kept["status"] == 0
    assert kept["last_success"] == kept["finished"] >= kept["started"]
    # Another start remembers the success and waits.
    process = start("3600", "--state", str(state), "--", "sh", "-c", f"echo ran >> {said}")
    try:
        time.sleep(0.7)
        assert runs(said) == 2
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()


def test_a_failure_keeps_the_last_success_and_is_tried_again(tmp_path: Path) -> None:
    said, state = tmp_path / "said", tmp_path / "state.json"
    state.write_text(json.dumps({"last_success": 1.0}))
    process = start(
        "3600", "--retry", "0.2", "--state", str(state), "--", "sh", "-c", f"echo ran >> {said}; exit 111"
    )
    try:
        until("two tries", lambda: runs(said) >= 2)
    finally:
        process.terminate()
        process.wait(20)
    kept = json.loads(state.read_text())
    assert (kept["status"], kept["last_success"]) == (111, 1.0)


def test_a_command_beyond_its_limit_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    state, number = tmp_path / "state.json", tmp_path / "pid"
    process = start(
        "3600",
        "--limit",
        "0.5",
        "--state",
        str(state),
        "--",
        "sh",
        "-c",
        f"sleep 600 & echo $! > {number}; wait",
    )
    try:
        until("its end", lambda: state.exists())
    finally:
        process.terminate()
        process.wait(20)
    assert json.loads(state.read_text())["status"] == 124
    pid = number.read_text().strip()
    until("the end of what it started", lambda: not running(pid))


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def test_term_ends_the_command_too(tmp_path: Path) -> None:
    number = tmp_path / "pid"
    process = start("3600", "--", "sh", "-c", f"echo $$ > {number}; exec sleep 600")
    try:
        until("the command's start", lambda: number.exists() and number.read_text().strip())
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert not running(number.read_text().strip())


def test_a_lock_that_another_holds_is_a_temporary_failure(tmp_path: Path) -> None:
    lock, said, state = tmp_path / "lock", tmp_path / "said", tmp_path / "state.json"
    with open(lock, "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start(
            "3600", "--lock", str(lock), "--state", str(state), "--", "sh", "-c", f"echo ran >> {said}"
        )
        try:
            until("the refusal", lambda: state.exists())
        finally:
            process.terminate()
            process.wait(20)
    assert json.loads(state.read_text())["status"] == 111
    assert not said.exists()


def test_the_command_gets_no_blocked_signals(tmp_path: Path) -> None:
    out = tmp_path / "mask"
    process = start(
        "3600", "--", "sh", "-c", f"grep SigBlk /proc/self/status > {out}.part; mv {out}.part {out}"
    )
    try:
        until("the mask", lambda: out.exists())
    finally:
        process.terminate()
        process.wait(20)
    assert int(out.read_text().split()[1], 16) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("0", "--", "true"), "expected seconds above 0"),
        (("60", "--jitter", "-1", "--", "true"), "expected seconds, 0 or more"),
        (("60", "--jitter", "nan", "--", "true"), "expected seconds, 0 or more"),
        (("60", "--jitter", "inf", "--at", "01:00", "--", "true"), "expected seconds, 0 or more"),
        (("inf", "--", "true"), "expected seconds above 0"),
        (("60", "--at", "25:00", "--", "true"), "expected HH:MM"),
        (("60",), "COMMAND"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], words: str) -> None:
    process = start(*arguments)
    output, dummy = process.communicate(timeout=20)
    assert process.returncode == 100
    assert words in output


@pytest.mark.slow
@pytest.mark.parametrize(
    "trouble", ["no directory", "a directory in its place", "full", "a file as directory"]
)
def test_a_state_that_cannot_be_written_is_said_and_the_schedule_goes_on(
    tmp_path: Path, trouble: str
) -> None:
    """It does not run each second: it waits as usual, and writes the state as soon as it can."""
    said, place = tmp_path / "said", tmp_path / "place"
    state = place / "state.json"
    if trouble == "a directory in its place":
        state.mkdir(parents=True)
    elif trouble == "full":
        state = Path("/dev/full")
        if os.geteuid() == 0:
            state = Path("/proc/sys/kernel/state.json")  # where root cannot make a file, either
    elif trouble == "a file as directory":
        place.write_text("")
    process = start("3600", "--retry", "1", "--state", str(state), "--", "sh", "-c", f"echo ran >> {said}")
    try:
        until("a run", lambda: runs(said) == 1)
        time.sleep(2.5)
        assert process.poll() is None
        assert runs(said) == 1
        if trouble in ("no directory", "a directory in its place", "a file as directory"):
            if state.is_dir():
                state.rmdir()
            elif place.is_file():
                place.unlink()
            place.mkdir(exist_ok=True)
            until("the state", lambda: state.is_file())
            kept = json.loads(state.read_text())
            assert kept["status"] == 0 and kept["last_success"] == kept["finished"]
            assert runs(said) == 1
    finally:
        process.terminate()
        output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert f"state {state}" in output and "trying again" in output
    assert 2 <= output.count("trying again") <= 6


@pytest.mark.slow
def test_a_failure_that_cannot_be_written_waits_its_retry_time(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = start(
        "3600",
        "--retry",
        "2",
        "--state",
        str(tmp_path / "missing/x"),
        "--",
        "sh",
        "-c",
        f"echo ran >> {said}; exit 1",
    )
    try:
        until("two runs", lambda: runs(said) == 2)
        begun = time.monotonic()
        until("a third", lambda: runs(said) == 3)
        assert time.monotonic() - begun > 1.5
    finally:
        process.terminate()
        process.wait(20)


def test_a_lock_that_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    process = start("3600", "--lock", str(tmp_path / "missing/lock"), "--state", str(state), "--", "true")
    try:
        until("the state", lambda: state.exists())
        assert process.poll() is None
    finally:
        process.terminate()
        output = process.communicate(timeout=20)[0]
    assert json.loads(state.read_text())["status"] == 111 and "missing/lock" in output


BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


def seconds(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M")))


def simulated(
    schedule: Schedule, begin: float, end: float, status: int = 0, spread: float = 0.0
) -> list[float]:
    """When a command of five seconds is started between two times, by what the loop asks."""
    state, now, starts = State(last_success=begin - HOUR, finished=begin - HOUR, status=0), begin, []
    while now < end:
        due = every.next_start(schedule, state, now, spread)
        if due > now:
            now = min(due, now + 60)
            continue
        starts.append(now)
        assert len(starts) < 50, "again and again"
        now += 5
        success = now if status == 0 else state.last_success
        state = State((), now - 5, now, status, success)
    return starts


@pytest.mark.parametrize(
    ("name", "at", "begin", "end", "expected"),
    [
        (BERLIN, (2, 30), "2026-10-24 12:00", "2026-10-25 12:00", ["2026-10-25 00:30"]),
        (BERLIN, (2, 0), "2026-10-24 12:00", "2026-10-25 12:00", ["2026-10-25 00:00"]),
        (BERLIN, (2, 59), "2026-10-24 12:00", "2026-10-25 12:00", ["2026-10-25 00:59"]),
        (BERLIN, (3, 0), "2026-10-24 12:00", "2026-10-25 12:00", ["2026-10-25 02:00"]),
        (BERLIN, (1, 59), "2026-10-24 12:00", "2026-10-25 12:00", ["2026-10-24 23:59"]),
        (BERLIN, (2, 30), "2026-03-28 12:00", "2026-03-30 12:00", ["2026-03-29 01:30", "2026-03-30 00:30"]),
        (BERLIN, (2, 30), "2026-10-24 12:00", "2026-10-26 12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        (
            "CST5CDT,M3.2.0/0,M11.1.0/1",
            (0, 0),
            "2026-10-31 12:00",
            "2026-11-02 12:00",
            ["2026-11-01 04:00", "2026-11-02 05:00"],
        ),
        (
            "CST5CDT,M3.2.0/0,M11.1.0/1",
            (0, 0),
            "2026-03-07 12:00",
            "2026-03-09 12:00",
            ["2026-03-08 05:00", "2026-03-09 04:00"],
        ),
        (
            "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
            (1, 45),
            "2026-04-04 08:00",
            "2026-04-05 08:00",
            ["2026-04-04 14:45"],
        ),
    ],
)
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_daily_is_once_a_day_when_clocks_change(
    zone: Callable[[str], None],
    name: str,
    at: tuple[int, int],
    begin: str,
    end: str,
    expected: list[str],
    spread: float,
) -> None:
    """A time that comes twice means the first one; a time that is skipped means as much later."""
    zone(name)
    starts = simulated(Schedule(24 * HOUR, at, 600), seconds(begin), seconds(end), spread=spread)
    assert starts == [seconds(one) + 600 * spread for one in expected]


def test_a_failure_in_the_night_of_two_hours_is_tried_each_retry_time(zone: Callable[[str], None]) -> None:
    zone(BERLIN)
    starts = simulated(
        Schedule(24 * HOUR, (2, 30), retry_seconds=900),
        seconds("2026-10-24 12:00"),
        seconds("2026-10-25 02:30"),
        1,
    )
    assert starts[0] == seconds("2026-10-25 00:30")
    assert {round(later - earlier) for earlier, later in zip(starts, starts[1:])} == {905}


@pytest.mark.parametrize("interval", [24 * HOUR, 60])
@pytest.mark.parametrize(("jitter", "spread"), [(600, 0.5), (600, 1.0), (7200, 0.25), (200_000, 1.0)])
def test_a_daily_run_is_later_by_its_jitter(interval: float, jitter: float, spread: float) -> None:
    begin = datetime(2026, 3, 4, 12, 0).timestamp()
    starts = simulated(Schedule(interval, (1, 0), jitter), begin, begin + 3 * 24 * HOUR, spread=spread)
    later = min(jitter, 23 * HOUR) * spread
    assert starts[:2] == [begin + 13 * HOUR + later, begin + 37 * HOUR + later]


def test_a_jitter_is_really_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the loop as well, which asks again each minute."""
    begun = []
    clock = [datetime(2026, 3, 4, 0, 59).timestamp()]
    chance = iter([0.5, 0.25, 0.75])
    monkeypatch.setattr(every.random, "random", lambda: next(chance))
    monkeypatch.setattr(every.time, "time", lambda: clock[0])
    monkeypatch.setattr(every, "_read_state", lambda path: State(last_success=clock[0] - 20 * HOUR))

    def wait(signals: object, seconds: float) -> None:
        clock[0] += seconds

    def run(command: object, limit: object, lock: object) -> int:
        begun.append(clock[0])
        if len(begun) == 2:
            raise every.Terminated
        return 0

    monkeypatch.setattr(every, "_wait", wait)
    monkeypatch.setattr(every, "run_once", run)
    with pytest.raises(every.Terminated):
        every.run_on_schedule(["job"], Schedule(24 * HOUR, (1, 0), 600), 60, None, None)
    first = datetime(2026, 3, 4, 1, 0).timestamp()
    assert begun == [first + 300, first + 24 * HOUR + 150]
