"""stale_services against the real supervise: what runs as it was before a change is named."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise
from support.daemontools_services import SLEEPER, World, pid_of, wait_for, write_program
from support.module_runner import run_module


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.end()


def stale(world: World) -> list[str]:
    said = run_module("stale_services", {"service_directory": str(world.scanned)})
    assert (said["failed"], said["changed"]) == (False, False), said
    assert said["directories"] == {name: str(world.root / name) for name in said["names"]}
    return list(said["names"])


def restart(directory: Path) -> None:
    before = pid_of(directory)
    supervise.tell(str(directory), b"t")
    wait_for(lambda: pid_of(directory) not in (0, before))


def test_a_service_whose_run_file_was_written_later_is_named_until_it_is_restarted(world: World) -> None:
    kept, changed = (world.supervised(name) for name in ("kept", "changed"))
    assert stale(world) == []
    write_program(changed / "run", f"{SLEEPER}# another one\n")
    assert stale(world) == ["changed"]
    restart(changed)
    assert stale(world) == []
    assert pid_of(kept)


def test_the_log_of_a_service_counts_as_well(world: World) -> None:
    directory = world.supervised("send")
    (directory / "log").mkdir()
    write_program(directory / "log" / "run", SLEEPER)
    world.definitions.append(directory / "log")
    world.start(["supervise", str(directory / "log")])
    wait_for(lambda: pid_of(directory / "log") != 0)
    assert stale(world) == []
    write_program(directory / "log" / "run", f"{SLEEPER}# another one\n")
    assert stale(world) == ["send"]


def test_a_service_whose_program_was_replaced_is_named(world: World) -> None:
    program = world.root / "program"
    shutil.copy2("/bin/sleep", program)
    directory = world.supervised("send", f"#!/bin/sh\nexec {program} 1000\n")
    wait_for(lambda: os.readlink(f"/proc/{pid_of(directory)}/exe") == str(program))
    assert stale(world) == []
    shutil.copy2("/bin/sleep", world.root / "new")
    os.rename(world.root / "new", program)
    assert stale(world) == ["send"]
    restart(directory)
    assert stale(world) == []


def test_a_service_that_is_down_begins_anew_anyway(world: World) -> None:
    directory = world.supervised("send", down=True)
    write_program(directory / "run", f"{SLEEPER}# another one\n")
    assert stale(world) == []


def test_a_time_that_is_still_to_come_says_nothing(world: World) -> None:
    directory = world.supervised("send")
    later = time.time() + 3600
    os.utime(directory / "run", (later, later))
    assert stale(world) == []


def test_what_is_no_service_is_passed_over(world: World) -> None:
    (world.scanned / ".hidden").mkdir()
    (world.scanned / "file").touch()
    (world.scanned / "not-supervised").mkdir()
    assert stale(world) == []
