# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container used while a load ran, and what the rest of the machine did meanwhile.

The load generator runs in the container's network namespace and outside of its control group, so the group's
account of CPU is that of the mail servers alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
GROUPS = Path("/sys/fs/cgroup")
OTHERS_MOST_PERCENT = 8.0
SCANNERS = ("clamd", "spamd")


def group_of(text: str, controller: str) -> str:
    """Return the path of a process's control group in version 1's hierarchy, else version 2's."""
    unified = "/"
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
        if not controllers:
            unified = path
    return unified


def used_seconds(stat: str) -> float:
    """CPU seconds of a cpu.stat file of version 2."""
    for line in stat.splitlines():
        name, _space, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    raise ValueError(f"cpu.stat: {stat!r} has no usage_usec")


def busy_seconds(stat: str) -> float:
    """CPU seconds that were not idle, of all cores, in the text of /proc/stat."""
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(one) for one in stat.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def runs(cmdline: bytes, programs: Sequence[str]) -> bool:
    """Return whether a process is one of the programs, which may be written in Perl."""
    names = [os.path.basename(word) for word in cmdline.decode(errors="replace").replace("\0", " ").split()]
    return bool(names) and (
        names[0] in programs or (names[0] == "perl" and not set(programs).isdisjoint(names))
    )


class Container:
    """A running container, seen from outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        argv = ["docker", "inspect", "--format", "{{.State.Pid}}", name]
        self.pid = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
        groups = Path(f"/proc/{self.pid}/cgroup").read_text()
        old = GROUPS / "cpuacct" / group_of(groups, "cpuacct").lstrip("/")
        new = GROUPS / group_of(groups, "").lstrip("/")
        self._old = (old / "cpuacct.usage").is_file()
        self._group = old if self._old else new
        if not self._old and not (new / "cpu.stat").is_file():
            raise SystemExit(f"container {name!r}: no account of its CPU in {old} or {new}")

    def cpu_seconds(self) -> float:
        if self._old:
            return int((self._group / "cpuacct.usage").read_text()) / 1e9
        return used_seconds((self._group / "cpu.stat").read_text())

    def programs_cpu_seconds(self, *programs: str) -> float:
        """CPU seconds of these programs' processes, with their children that have ended."""
        ticks = 0
        for pid in (self._group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                if runs(Path(f"/proc/{pid}/cmdline").read_bytes(), programs):
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    ticks += sum(int(one) for one in fields[11:15])
        return ticks / TICKS

    def memory_mib(self, program: str = "") -> float:
        """Proportional memory (PSS) of all its processes, or of those of a program."""
        kilobytes = 0
        for pid in (self._group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                if program and Path(f"/proc/{pid}/comm").read_text().strip() != program:
                    continue
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kilobytes += int(line.split()[1])
        return kilobytes / 1024

    def inside(self, *argv: str, stdin: bytes | None = None) -> str:
        command = ["docker", "exec", *(["-i"] if stdin is not None else []), self.name, *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=600)
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode(errors="replace")[-400:]
            raise SystemExit(f"{self.name}: {' '.join(argv)[:200]} ended with {done.returncode}: {said}")
        return done.stdout.decode(errors="replace")

    def from_its_network(self, *argv: str) -> list[str]:
        """Return the command that runs argv in its network, outside of its control group."""
        return ["nsenter", "-t", str(self.pid), "-n", *argv]


@dataclass(frozen=True)
class Run:
    """One load on one container."""

    load: dict[str, float]  # what the load generator said
    cpu_seconds: float  # of the container
    others_percent: float  # of the machine, used by neither the container nor the load

    @property
    def disturbed(self) -> bool:
        return self.others_percent > OTHERS_MOST_PERCENT

    @property
    def cpu_per_1000(self) -> float:
        return self.cpu_seconds / max(1.0, self.load["done"]) * 1000


class Window:
    """The CPU that the machine, a container and this process with its children used meanwhile."""

    def __init__(self, container: Container | None = None, helpers: Sequence[int] = ()) -> None:
        self._container, self._helpers = container, helpers
        self._began = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        busy = busy_seconds(Path("/proc/stat").read_text())
        mine = os.times()
        own = mine.user + mine.system + mine.children_user + mine.children_system
        for pid in self._helpers:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            own += (int(fields[11]) + int(fields[12])) / TICKS
        return time.monotonic(), self._container.cpu_seconds() if self._container else 0.0, busy, own

    def close(self) -> tuple[float, float]:
        """(CPU seconds of the container, percent of the machine that others used)."""
        wall, cpu, busy, own = (now - then for now, then in zip(self._now(), self._began))
        others = busy - cpu - own
        return cpu, max(0.0, others / (wall * (os.cpu_count() or 1)) * 100)


def run_load(
    container: Container, argv: Sequence[str], helpers: Sequence[int] = (), after: float = 0.2
) -> Run:
    """Run the load generator; `after` seconds more belong to the run: what the servers do afterwards."""
    window = Window(container, helpers)
    command = container.from_its_network(*argv)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)[:300]}: status {done.returncode} {done.stderr[-300:]}")
    time.sleep(after)
    cpu, others = window.close()
    return Run(json.loads(done.stdout), cpu, others)


def machine() -> str:
    """Return a description of this machine in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) / 2**20
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {kernel}"
