"""Our status text against the real svstat, and our times against the real tai64nlocal."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise, tai64n
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module", autouse=True)
def oracles() -> None:
    missing = [name for name in ("supervise", "svstat", "tai64nlocal") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{' '.join(missing)} missing; install Debian's package daemontools")


def svstat(directory: str) -> str:
    done = subprocess.run(["svstat", directory], capture_output=True, text=True, check=True)
    return done.stdout.removeprefix(f"{directory}: ").rstrip("\n")


# svstat asks time(2), which runs behind the finer clock by up to a tick of the kernel.
KERNEL_TICK_NANOSECONDS = 10_000_000


def both(directory: str) -> tuple[str, str]:
    """Return our and svstat's text for the same age in whole seconds."""
    while True:
        before = time.time_ns() - KERNEL_TICK_NANOSECONDS
        theirs = svstat(directory)
        look, after = supervise.look(directory), time.time_ns()
        ours = supervise.text(look, after)
        if ours == supervise.text(look, before):
            return ours, theirs


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@contextmanager
def supervised(directory: Path, run: str = "exec sleep 1000", *, down: bool = False) -> Iterator[str]:
    (directory / "run").write_text(f"#!/bin/sh\n{run}\n")
    (directory / "run").chmod(0o755)
    if down:
        (directory / "down").touch()
    path = str(directory)
    process = subprocess.Popen(["supervise", path], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: supervise.look(path).status is not None)
        yield path
    finally:
        supervise.tell(path, b"dxck")
        process.wait(8)


def reached(path: str, words: str) -> None:
    wait_for(lambda: supervise.words(supervise.look(path)) == words)


def test_up_and_what_can_be_done_to_it(tmp_path: Path) -> None:
    with supervised(tmp_path) as path:
        for control, words, mark in [
            (b"", "up", ""),
            (b"p", "up, paused", ", paused"),
            (b"c", "up", ""),
            (b"o", "up, once", ""),
            (b"u", "up", ""),
        ]:
            supervise.tell(path, control)
            reached(path, words)
            ours, theirs = both(path)
            assert ours == theirs
            assert ours.partition(" seconds")[2] == mark
        (tmp_path / "down").touch()
        ours, theirs = both(path)
        assert ours == theirs
        assert ours.endswith(" seconds, normally down")
        (tmp_path / "down").unlink()
        supervise.tell(path, b"d")
        reached(path, "down")
        ours, theirs = both(path)
        assert ours == theirs
        assert ours.startswith("down ")
        assert ours.endswith(" seconds, normally up")
        time.sleep(1.1)
        ours, theirs = both(path)
        assert ours == theirs
        assert not ours.startswith("down 0 ")


def test_normally_down(tmp_path: Path) -> None:
    with supervised(tmp_path, down=True) as path:
        reached(path, "down")
        ours, theirs = both(path)
        assert ours == theirs
        assert ours.partition(" seconds")[2] == ""


def test_a_process_that_does_not_end_is_up_and_wants_down(tmp_path: Path) -> None:
    run = "trap '' TERM; echo > ready; while :; do sleep 0.1; done"
    with supervised(tmp_path, run) as path:
        wait_for((tmp_path / "ready").exists)
        supervise.tell(path, b"d")
        reached(path, "up, want down")
        ours, theirs = both(path)
        assert ours == theirs
        assert ours.endswith(" seconds, want down")


def test_no_supervise(tmp_path: Path) -> None:
    with supervised(tmp_path) as path:
        pass
    assert both(path) == ("supervise not running",) * 2
    assert both(str(tmp_path / "none")) == ("unable to chdir: file does not exist",) * 2
    assert both(str(tmp_path / "run")) == ("unable to chdir: not a directory",) * 2
    shutil.rmtree(tmp_path / "supervise")
    assert both(path) == ("unable to open supervise/ok: file does not exist",) * 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    since=st.integers(0, 2**31 * tai64n.NANOSECONDS),
    pid=st.one_of(st.just(0), st.integers(0, 2**32 - 1)),
    paused=st.booleans(),
    want=st.sampled_from([b"u", b"d", b"\0"]),
    down=st.booleans(),
)
def test_any_status(tmp_path: Path, since: int, pid: int, paused: bool, want: bytes, down: bool) -> None:
    """A made-up status, behind a fifo that the test reads in place of supervise."""
    made = tmp_path / "supervise"
    made.mkdir(exist_ok=True)
    if not (made / "ok").exists():
        os.mkfifo(made / "ok")
    (tmp_path / "down").touch() if down else (tmp_path / "down").unlink(missing_ok=True)
    status = tai64n.pack(since) + pid.to_bytes(4, "little") + bytes([paused]) + want
    (made / "status").write_bytes(status)
    reader = os.open(made / "ok", os.O_RDONLY | os.O_NONBLOCK)
    try:
        ours, theirs = both(str(tmp_path))
    finally:
        os.close(reader)
    assert ours == theirs


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 2**33 * tai64n.NANOSECONDS), min_size=50, max_size=50))
def test_times_as_tai64nlocal_writes_them(times: list[int]) -> None:
    lines = "".join(f"{tai64n.render(when)} a line\n" for when in times)
    utc = {**os.environ, "TZ": "UTC0"}
    done = subprocess.run(["tai64nlocal"], input=lines, capture_output=True, text=True, check=True, env=utc)
    assert [tai64n.readable(line) for line in lines.splitlines()] == done.stdout.splitlines()
