# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine: found, or installed and started."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .common import BED, Trouble, answer, is_root, run, say, tail
from .packages import install_packages

NO_DOCKER = "without a Docker engine there is no gateway container and only `make fast` can run"


def engine_answers() -> tuple[bool, str]:
    status, text = answer(["docker", "info", "--format", "{{.ServerVersion}}"], timeout_seconds=20)
    return status == 0, text.strip()


def running_pids(name: str) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == name:
                    pids.append(int(entry.name))
    return pids


def wait_for_engine(seconds: float, alive: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if engine_answers()[0]:
            return True
        if not alive():
            return False
        time.sleep(0.2)
    return False


def start_engine() -> None:
    """Start dockerd.  Never a second one: it would take the bridge away from the first."""
    pids = running_pids("dockerd")
    if pids:
        if wait_for_engine(15, lambda: bool(running_pids("dockerd"))):
            return
        raise Trouble(
            f"dockerd runs (process {pids[0]}) but does not answer `docker info`: "
            f"{tail(engine_answers()[1])}; {NO_DOCKER}"
        )
    if Path("/run/systemd/system").is_dir():
        run(["systemctl", "start", "docker"], why="starting the Docker engine")
        if wait_for_engine(30, lambda: True):
            return
        raise Trouble(
            f"the docker service was started and does not answer: {tail(engine_answers()[1])}; {NO_DOCKER}"
        )
    for stale in ("/var/run/docker.pid", "/var/run/docker/containerd/containerd.pid"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(stale)
    log = BED / "dockerd.log"
    with open(log, "wb") as handle:
        engine = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            close_fds=True,
        )
    if wait_for_engine(30, lambda: engine.poll() is None):
        return
    ended = f"ended with {engine.returncode}" if engine.poll() is not None else "does not answer"
    raise Trouble(
        f"dockerd was started and {ended}: {tail(log.read_text(errors='replace'), 1)} "
        f"(all of it: {log}); {NO_DOCKER}"
    )


def command_docker() -> None:
    begin = time.monotonic()
    if shutil.which("docker"):
        answers, text = engine_answers()
        if answers:
            say("docker", f"engine {text} answers")
            return
        if os.environ.get("DOCKER_HOST"):
            raise Trouble(
                f"the engine at DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer: "
                f"{tail(text, 1)}; {NO_DOCKER}"
            )
    else:
        text = "no docker program"
    if not is_root():
        raise Trouble(
            f"no Docker engine answers this user ({tail(text, 1)}) and only root can install or start one; "
            f"run as root or join the group docker; {NO_DOCKER}"
        )
    if not shutil.which("docker") or not shutil.which("dockerd"):
        install_packages("docker", ("docker.io",))
    start_engine()
    say("docker", f"engine {engine_answers()[1]} started, {time.monotonic() - begin:.1f} s")
