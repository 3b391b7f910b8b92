# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers: made bare, made a gateway by the playbook, asked, removed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from .common import LABEL, ROOT, Trouble, answer, run, say, tail
from .images import base_image, systemd_image
from .python_venv import venv_program

GATEWAY = "mailgate-gateway"
HOSTNAME = "mx1.example.test"
STAMPS = "/var/lib/mailgate/stamps"

# Root in a container lacks what root on a host has: reading another user's /proc/PID/fd, by which the
# preflight names the program that holds port 25.
CAPABILITIES = ("SYS_PTRACE",)
CAPABILITIES_SYSTEMD = ("SYS_PTRACE", "SYS_ADMIN")

# A container may not mount: it brings the scanner's work directory, for the user whom the inventory numbers.
WORK_DIRECTORY = "/var/spool/simscan:rw,nosuid,nodev,noexec,size=536870912,mode=0750,uid=951,gid=951"

# A container restarted later brings its services back, as a host does.
INIT = "[ -x /usr/local/sbin/mailgate-svscan ] && exec /usr/local/sbin/mailgate-svscan; exec sleep infinity"


def container_pid(name: str) -> int:
    status, text = answer(["docker", "inspect", "--format", "{{.State.Pid}}", name])
    if status != 0 or text.strip() == "0":
        raise Trouble(f"no container {name!r} runs; make it with: python3 tests/bed up {name} bookworm")
    return int(text)


def in_container(name: str, *argv: str) -> tuple[int, str]:
    return answer(["docker", "exec", name, *argv])


def command_addresses(name: str) -> None:
    """Give the clients' networks to the container's loopback; gone again whenever the container restarts."""
    run(
        [sys.executable, str(ROOT / "tests" / "support" / "network_namespace.py"), str(container_pid(name))],
        why="giving addresses to the loopback",
    )


def command_up(name: str, suite: str, systemd: bool, image: str = "", alone: bool = False) -> None:
    """Start a container of the base image, or of `image`; remove one of the same name first.

    alone: it reaches nothing but itself, not even a mirror of packages.
    """
    begin = time.monotonic()
    status, owner = answer(
        ["docker", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}.container"}}}}', name]
    )
    if status == 0:
        if owner.strip() != "yes":
            raise Trouble(f"a container {name!r} exists that the test bed did not make; remove or rename it")
        run(["docker", "rm", "-f", "-v", name], why=f"removing the old {name}")
    argv = [
        "docker",
        "run",
        "-d",
        "--name",
        name,
        "--hostname",
        HOSTNAME,
        "--label",
        f"{LABEL}.container=yes",
        "--tmpfs",
        "/run",
        "--tmpfs",
        WORK_DIRECTORY,
    ]
    if alone:
        argv += ["--network", "none", "--add-host", f"{HOSTNAME}:127.0.1.1"]
    for capability in CAPABILITIES_SYSTEMD if systemd else CAPABILITIES:
        argv += ["--cap-add", capability]
    if systemd:
        argv += [
            "--cgroupns=private",
            "--tmpfs",
            "/run/lock",
            "--stop-signal",
            "SIGRTMIN+3",
            "-e",
            "container=docker",
        ]
        argv += [image or systemd_image(suite), "/lib/systemd/systemd"]
    else:
        argv += ["--init", image or base_image(suite), "sh", "-c", INIT]
    run(argv, why=f"starting the container {name}")
    command_addresses(name)
    what = image or f"a bare {suite}{' with systemd' if systemd else ''}"
    say("up", f"{name} runs {what}, {time.monotonic() - begin:.1f} s")


def command_down(name: str) -> None:
    status, text = answer(["docker", "rm", "-f", "-v", name], timeout_seconds=60)
    if status != 0 and "No such container" not in text:
        raise Trouble(f"removing the container {name!r} failed: {tail(text, 1)}")
    say("down", f"{name} is gone")


def ansible_environment(name: str) -> dict[str, str]:
    return dict(
        os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), MAILGATE_GATEWAY=name, ANSIBLE_FORCE_COLOR="0"
    )


def command_converge(name: str, extra: Sequence[str] = ()) -> None:
    begin = time.monotonic()
    say("converge", f"playbooks/gateway.yml on {name} ...")
    argv = [venv_program("ansible-playbook"), "-i", "tests/inventory", "playbooks/gateway.yml", *extra]
    done = subprocess.run(
        argv, cwd=ROOT, env=ansible_environment(name), stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise Trouble(
            f"playbooks/gateway.yml failed on {name} after {time.monotonic() - begin:.0f} s; "
            "the failed task stands above"
        )
    say("converge", f"{name} is a gateway, {time.monotonic() - begin:.1f} s")
