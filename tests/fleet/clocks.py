# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks that a test sets: each program of a container has another time of day (clock_ahead.c)."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .gateways import Gateway, await_all, heard_all, process_of, seconds_until

SOURCE = Path(__file__).with_name("clock_ahead.c")
LIBRARY, AHEAD, PRELOAD = "/usr/local/lib/clock_ahead.so", "/run/clock-ahead", "/etc/ld.so.preload"
# Whoever writes or compares a time that travels; they load the library when they start again.
SERVICES = ("fleet-engine", "operator", "adaptive-blacklist", "smtpfront", "qmail-smtpd", "fleet")
SET = f"""
import os, sys
descriptor = os.open("{AHEAD}", os.O_WRONLY | os.O_CREAT, 0o644)
os.fchmod(descriptor, 0o644)
os.pwrite(descriptor, int(sys.argv[1]).to_bytes(8, sys.byteorder, signed=True), 0)
"""


def set_clock(one: Gateway, ahead_seconds: int) -> None:
    """Set how far a gateway's clock is ahead of this machine's."""
    one.run("python3", "-c", SET, str(ahead_seconds))


def _restart(one: Gateway) -> None:
    there = one.run("ls", "/service").split()
    places = [f"/service/{name}{log}" for name in SERVICES if name in there for log in ("", "/log")]

    def processes() -> dict[str, str]:
        return {line.split(":")[0]: line for line in one.run("svstat", *places).splitlines()}

    before = {name: process_of(line) for name, line in processes().items()}
    one.run("svc", "-t", *places)

    def all_new() -> bool:
        now = processes()
        return all(": up " in now[name] and f"(pid {before[name]})" not in now[name] for name in now)

    seconds_until(all_new, f"the services of {one.name} have started again", 60)


@contextlib.contextmanager
def clocks(
    gateways: Sequence[Gateway], ahead: Sequence[int], directory: Path
) -> Iterator[Callable[[int], None]]:
    """Let each gateway's clock be so many seconds ahead; yield what lets time pass on all of them."""
    library = directory / "clock_ahead.so"
    warnings = ("-Wall", "-Wextra", "-Werror")
    argv = ["gcc", *warnings, "-O1", "-shared", "-fPIC", str(SOURCE), "-o", str(library), "-ldl"]
    subprocess.run(argv, check=True)
    passed = 0

    def elapse(seconds: int) -> None:
        nonlocal passed
        passed += seconds
        for one, more in zip(gateways, ahead):
            set_clock(one, passed + more)

    try:
        for one in gateways:
            subprocess.run(["docker", "cp", "-q", str(library), f"{one.container}:{LIBRARY}"], check=True)
        elapse(0)
        for one in gateways:
            one.sh(f"chmod 755 {LIBRARY}; echo {LIBRARY} > {PRELOAD}")
            _restart(one)
        await_all(gateways, heard_all, "hears the others", 90)
        for one, more in zip(gateways, ahead):
            assert abs(int(one.run("date", "+%s")) - time.time() - more) < 30
        yield elapse
    finally:
        for one in gateways:
            one.run("rm", "-f", PRELOAD)
            _restart(one)
        await_all(gateways, heard_all, "hears the others", 90)
