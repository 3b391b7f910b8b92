# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three gateways in containers from the bed's image, joined by role fleet, on a network that can be cut."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from bed import containers, converged
from bed.common import ROOT, answer
from bed.python_venv import venv_program
from support.gateway import GATEWAY_ADDRESS

SUITE = os.environ.get("MAILGATE_FLEET_SUITE", "bookworm")
SUBNETS = [f"10.77.{number}" for number in range(20, 60)]  # the first one that is free
COUNT = 3
RECAP = re.compile(r"^(fleet-\d+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0\b", re.MULTILINE)

# One try of a stranger: the reply to RCPT, and how long the session took.
TRY = """
import smtplib, sys, time
begin = time.monotonic()
try:
    with smtplib.SMTP("%s", 25, "client.example", 30, (sys.argv[1], 0)) as s:
        s.ehlo_or_helo_if_needed(); s.mail("x@y.example"); code, text = s.rcpt("alice@example.test")
except smtplib.SMTPConnectError as error:
    code, text = error.smtp_code, error.smtp_error
except (OSError, smtplib.SMTPServerDisconnected):
    code, text = 0, b"hung up"
print(code, "%%.3f" %% (time.monotonic() - begin), text.decode())
"""

# How each program begins that reads or writes a gateway's own stream, as its service does.
OWN_STREAM = """
import sys
sys.path.insert(0, "/usr/local/lib/mailgate/current")
from mailgate.core.paths import FLEET_PASSWORDS, FLEET_SETTINGS
from mailgate.fleet import settings, stream
from mailgate.fleet.engine import RedisEngine
engine = RedisEngine(settings.read(FLEET_SETTINGS, FLEET_PASSWORDS).engine)
"""


@dataclass
class Gateway:
    """One of the gateways, asked as root."""

    name: str  # of the site
    container: str
    network: str
    address: str

    def run(self, *argv: str, status: int | None = 0, text: str = "") -> str:
        done = subprocess.run(
            ["docker", "exec", "-i", self.container, *argv],
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert status is None or done.returncode == status, (
            f"{self.name}: {argv} ended with {done.returncode}: {done.stdout + done.stderr}"
        )
        return done.stdout

    def sh(self, script: str, status: int | None = 0) -> str:
        return self.run("sh", "-c", script, status=status)

    def at_own_stream(self, program: str, *argv: str, text: str = "") -> str:
        """Run a program in Python that finds `engine`, this host's own, and the module `stream`."""
        return self.run("python3", "-c", OWN_STREAM + program, *argv, text=text)

    def try_from(self, client: str) -> tuple[int, float]:
        """Return the code that a stranger hears to RCPT, or 0, and the seconds of its session."""
        code, seconds = self.run("python3", "-c", TRY % GATEWAY_ADDRESS, client).split()[:2]
        return int(code), float(seconds)

    def entries(self, which: str) -> dict[str, dict[str, object]]:
        said = json.loads(self.run("mailgate", "operator", "entries", which, "--json"))
        return {str(one["value"]): one for one in said["entries"]}

    def listed(self) -> str:
        return self.run("mailgate", "blacklist", "list")

    def denies(self, client: str) -> bool:
        return "deny" in self.run("mailgate", "rules", "explain", client)

    def status(self) -> dict[str, object]:
        return dict(json.loads(self.run("mailgate", "fleet", "status", "--json", status=None)))

    def finding(self, check: str) -> list[tuple[int, str]]:
        said = json.loads(self.run("mailgate", "doctor", "--json", "--only", check, status=None))
        return [(one["status"], one["text"]) for one in said["findings"]]

    def process(self, service: str) -> str:
        """Return the number of a service's process, or "" when it is down."""
        return process_of(self.run("svstat", f"/service/{service}"))

    def cut_off(self) -> None:
        subprocess.run(["docker", "network", "disconnect", self.network, self.container], check=True)

    def connect(self) -> None:
        argv = ["docker", "network", "connect", "--ip", self.address, self.network, self.container]
        subprocess.run(argv, check=True)

    def engine(self, up: bool) -> None:
        self._service("fleet-engine", "-u" if up else "-dk")

    def fleet(self, up: bool) -> None:
        self._service("fleet", "-u" if up else "-d")

    def _service(self, name: str, how: str) -> None:
        self.run("svc", how, f"/service/{name}")
        wanted = ": up " if how == "-u" else ": down "
        seconds_until(lambda: wanted in self.run("svstat", f"/service/{name}"), f"{name} is{wanted[1:]}")


def process_of(line: str) -> str:
    """Return the number of the process in a line of svstat, or ""."""
    return line.partition("(pid ")[2].partition(")")[0]


def seconds_until(
    holds: Callable[[], object], what: str, within_seconds: float = 30.0, pause: float = 0.05
) -> float:
    """Return how long it took until it holds; fail when that takes too long."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < within_seconds, f"not within {within_seconds:g} s: {what}"
        time.sleep(pause)
    return time.monotonic() - begin


def await_all(
    gateways: Sequence[Gateway], holds: Callable[[Gateway], object], what: str, within_seconds: float = 60.0
) -> None:
    """Wait until it holds for each of the gateways."""
    for one in gateways:
        seconds_until(lambda one=one: holds(one), f"{one.name}: {what}", within_seconds)  # type: ignore[misc]


def heard_all(one: Gateway) -> bool:
    """Return whether a gateway reaches its own engine and hears all others."""
    said = one.status()
    parts = [said["engine"], *said["peers"].values()] if said else []  # type: ignore[attr-defined]
    return bool(parts) and all(part["state"] == "connected" for part in parts)


def stranger(number: int) -> str:
    """Return a client whose network no gateway has seen, also where containers are used again."""
    return f"198.19.{(os.getpid() + 7 * number) % 250}.9"


def network_of(client: str) -> str:
    return client.rpartition(".")[0] + ".0"


def remembers(one: Gateway, client: str, passed: bool) -> bool:
    """Return whether a gateway's greylist has the client's network, as one that passed or is pending."""
    return when_seen(one, client, passed) is not None


def when_seen(one: Gateway, client: str, passed: bool) -> float | None:
    """Return the time that a gateway's greylist has of the client's network."""
    found = f"find /var/qmail/cqgreylist -name '{network_of(client)}-24*' -printf '%f %T@\\n'"
    for line in one.sh(found).splitlines():
        name, _space, at = line.partition(" ")
        if name.endswith(".new") != passed:
            return float(at)
    return None


def _network(name: str) -> str:
    """Return the first three numbers of a network's addresses; make it unless it is there."""
    for subnet in SUBNETS:
        status, said = answer(
            ["docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name]
        )
        if status == 0:
            return said.strip().rpartition(".")[0]
        answer(["docker", "network", "create", "--subnet", f"{subnet}.0/24", name])
    raise AssertionError(
        f"network {name}: cannot be made; expected one of {SUBNETS[0]}.0/24 and so on to be free"
    )


def start(names: Sequence[str]) -> list[Gateway]:
    """Start the containers; those that are there and run are taken as they are."""
    network = names[0].rpartition("-")[0]
    subnet = _network(network)
    made = []
    for number, container in enumerate(names, 1):
        one = Gateway(f"mx{number}.example.test", container, network, f"{subnet}.{10 + number}")
        if answer(["docker", "inspect", container])[0] != 0:
            converged.command_start(container, SUITE, False)
        known = ["docker", "inspect", "--format", "{{json .NetworkSettings.Networks}}", container]
        if network not in json.loads(answer(known)[1]):
            one.connect()
        made.append(one)
    return made


def stop(gateways: Sequence[Gateway]) -> None:
    for one in gateways:
        containers.command_down(one.container)
    answer(["docker", "network", "rm", gateways[0].network])


def write_inventory(directory: Path, gateways: Sequence[Gateway]) -> Path:
    """Write an inventory whose group is one of the bed's own; return its path."""
    hosts = {
        f"fleet-{number}": {
            "ansible_host": one.container,
            "ansible_connection": "community.docker.docker",
            "ansible_become": False,
            "ansible_python_interpreter": "/usr/bin/python3",
            "gateway_hostname": one.name,
        }
        for number, one in enumerate(gateways, 1)
    }
    site = {
        "gateway_peers": [{"name": one.name, "address": one.address} for one in gateways],
        "fleet_authority_directory": str(directory / "authority"),
        "gateway_postmaster": "postmaster@example.test",
    }
    path = directory / "hosts.yml"
    groups = {"gateways": {"children": {"fleet": {"hosts": hosts, "vars": site}}}}
    path.write_text(yaml.safe_dump(groups), encoding="utf-8")
    return path


def join(inventory: Path, *options: str) -> dict[str, int]:
    """Make them gateways of one site; return how much that changed on each."""
    status, said = play("join", inventory, *options)
    assert status == 0, said[-6000:]
    return {found[1]: int(found[2]) for found in RECAP.finditer(said)}


def play(name: str, inventory: Path, *options: str) -> tuple[int, str]:
    """Run a playbook of tests/fleet on all; return its status and what it said."""
    done = subprocess.run(
        [
            venv_program("ansible-playbook"),
            "-i",
            "tests/inventory",
            "-i",
            str(inventory),
            f"tests/fleet/{name}.yml",
            "-e",
            f"doctor_hostname={containers.HOSTNAME}",  # qmail's own name is that of the image on all of them
            *options,
        ],
        cwd=ROOT,
        env={**containers.ansible_environment("none"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
