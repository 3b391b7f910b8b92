"""Services of our own under the real daemontools, in a directory of our own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import supervise

from support.module_runner import run_module

PROGRAMS = ("svscan", "supervise", "svstat", "multilog")
SLEEPER = "#!/bin/sh\nexec 2>&1\necho started\nexec sleep 1000\n"


@dataclass
class World:
    """A service directory of our own, and everything that was started for it."""

    root: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    definitions: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            pytest.fail(f"{' '.join(missing)} missing; install Debian's package daemontools")
        self.scanned.mkdir()

    @property
    def scanned(self) -> Path:
        return self.root / "service"

    @property
    def records(self) -> Path:
        return self.root / "started"

    @property
    def log_directory(self) -> Path:
        return self.root / "logs"

    def define(self, name: str, run: str = SLEEPER, *, log: bool = False) -> Path:
        directory = self.root / name
        directory.mkdir()
        write_program(directory / "run", run)
        if log:
            (directory / "log").mkdir()
            write_program(directory / "log" / "run", f"#!/bin/sh\nexec multilog t {self.log_directory}\n")
        self.definitions.append(directory)
        return directory

    def svscan(self, after_seconds: float = 0) -> None:
        """Start svscan after so many seconds: it looks for services at once, and then every 5 seconds."""
        self.start(["sh", "-c", f"sleep {after_seconds}; exec svscan {self.scanned}"])

    def supervised(self, name: str, run: str = SLEEPER, *, down: bool = False) -> Path:
        """Link a service under a supervise of its own."""
        directory = self.define(name, run)
        (self.scanned / name).symlink_to(directory)
        if down:
            (directory / "down").touch()
        self.start(["supervise", str(directory)])
        wait_for(lambda: supervise.look(str(directory)).status is not None)
        if not down:
            wait_for(lambda: pid_of(directory) != 0)
        return directory

    def start(self, argv: list[str]) -> None:
        null = subprocess.DEVNULL
        process = subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        self.started.append(process)

    def run(self, name: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            "name": name,
            "service_directory": str(self.scanned),
            "record_directory": str(self.records),
        }
        defaults |= {"stable_seconds": 1.2, "timeout_seconds": 9}
        if arguments.get("state") != "absent":
            defaults["directory"] = str(self.root / name)
        return run_module("daemontools_service", {**defaults, **arguments}, check)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        for process in self.started:
            if "svscan" in str(process.args):
                process.kill()
                process.wait()
        for directory in self.definitions:
            for path in (directory, directory / "log"):
                status = supervise.look(str(path)).status
                if status is not None:
                    supervise.tell(str(path), b"dxck")
                    wait_for(partial(is_gone, path))
        for process in self.started:
            process.kill()
            process.wait()


def is_gone(directory: Path) -> bool:
    return supervise.look(str(directory)).status is None


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def wait_for(condition: Callable[[], bool], seconds: float = 8) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def wait_left_alone(directory: Path) -> None:
    """Wait until supervise has told a second time of a service that it started: it does so after a second."""

    def told_again() -> bool:
        status = supervise.look(str(directory)).status
        written = (directory / "supervise" / "status").stat().st_mtime_ns
        return status is not None and written - status.since_nanoseconds > 900_000_000

    wait_for(told_again)


def pid_of(directory: Path) -> int:
    status = supervise.look(str(directory)).status
    return status.pid if status else 0
