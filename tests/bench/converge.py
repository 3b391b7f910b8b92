# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-converge`: how long the playbooks take over ssh, and the tasks that cost most.

A fresh host, with every archive in the cache and nothing built; a second host of the same platform, for which
all is built; the same run again, which changes nothing; and playbooks/policy.yml with another bad sender.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bed.common import LABEL, Trouble, answer, run, say
from bed.containers import CAPABILITIES, INIT, WORK_DIRECTORY, command_addresses, in_container
from bed.images import make_derived
from bed.packages import install_packages
from bed.python_venv import venv_program
from bed.sources import cache_directory

from .figures import Figure, Section, publish, told
from .measuring import OTHERS_MOST_PERCENT, Container, Window, machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
IMAGE = "mailgate-ssh:bookworm"
NAMES = ("mailgate-bench-first", "mailgate-bench-second")
REPETITIONS = 3
SHOWN = 12
AIMS = {"no-op run": 20.0, "policy.yml": 6.0, "second host": 90.0}
COMPILING = re.compile(r"(gcc|g\+\+|cpp|make|patch|dpkg-dev|libc6-dev|binutils|.*-dev|libgcc-\d+-dev)(-\d+)?")

SSH = """
set -eu
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends openssh-server
apt-get clean
rm -rf /var/lib/apt/lists/*_*
"""


@dataclass(frozen=True)
class Timed:
    """A run of a playbook."""

    seconds: float
    tasks: list[tuple[str, float]]
    others_percent: float


def packages(name: str) -> set[str]:
    text = in_container(name, "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")[1]
    return {line.split()[0] for line in text.splitlines() if line.endswith(" installed")}


def for_compiling(names: set[str]) -> list[str]:
    return sorted(name for name in names if COMPILING.fullmatch(name))


def make_host(name: str, key: Path) -> str:
    """Start a bare container with an ssh server; return its address."""
    answer(["docker", "rm", "-f", "-v", name], timeout_seconds=60)
    argv = ["docker", "run", "-d", "--name", name, "--hostname", "mx1.example.test", "--init"]
    argv += ["--label", f"{LABEL}.container=yes", "--tmpfs", "/run", "--tmpfs", WORK_DIRECTORY]
    for capability in CAPABILITIES:
        argv += ["--cap-add", capability]
    run([*argv, IMAGE, "sh", "-c", INIT], why=f"starting {name}")
    command_addresses(name)
    public = key.with_suffix(".pub").read_text()
    script = (
        "install -d -m 700 /root/.ssh && cat > /root/.ssh/authorized_keys && mkdir -p /run/sshd && "
        "ssh-keygen -A >/dev/null && exec /usr/sbin/sshd"
    )
    subprocess.run(["docker", "exec", "-i", name, "sh", "-c", script], input=public, text=True, check=True)
    form = "{{.NetworkSettings.IPAddress}}"
    address = answer(["docker", "inspect", "--format", form, name])[1].strip()
    if not address:
        raise Trouble(f"the container {name!r} has no address; expected one of Docker's bridge")
    return address


def write_inventory(place: Path, name: str, address: str, key: Path) -> Path:
    directory = place / name
    directory.mkdir()
    for same in ("group_vars", "files"):
        (directory / same).symlink_to(ROOT / "tests" / "inventory" / same)
    options = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {key}"
    host = {"ansible_host": address, "ansible_user": "root", "ansible_ssh_common_args": options}
    host["ansible_python_interpreter"] = "/usr/bin/python3"
    hosts = {"gateways": {"hosts": {"gateway": host}}}
    (directory / "hosts.json").write_text(json.dumps(hosts))
    return directory


class Runner:
    def __init__(self, place: Path, cache: Path) -> None:
        self.place = place
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "task_times",
            "ANSIBLE_FORCE_COLOR": "0",
            "MAILGATE_CACHE": str(cache),
            "MAILGATE_TASK_TIMES": str(place / "times.json"),
        }

    def play(self, name: str, inventory: Path, playbook: str, extra: Sequence[str] = ()) -> Timed:
        log = self.place / "log"
        argv = [venv_program("ansible-playbook"), "-i", str(inventory), f"playbooks/{playbook}", *extra]
        window, begin = Window(Container(name)), time.monotonic()
        with log.open("w") as stream:
            done = subprocess.run(
                argv,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                check=False,
            )
        seconds = time.monotonic() - begin
        others = window.close()[1]
        if done.returncode != 0:
            raise Trouble(f"playbooks/{playbook} on {name} failed: {log.read_text()[-3000:]}")
        tasks = [(task, taken) for task, taken in json.loads((self.place / "times.json").read_text())]
        say(
            "bench-converge",
            f"{playbook} on {name}: {seconds:.1f} s, {len(tasks)} tasks (others {others:.0f} %)",
        )
        self.changed = "changed=0 " not in log.read_text()
        return Timed(seconds, tasks, others)


def note(figure: Figure, timed: Timed) -> None:
    figure.add(seconds=timed.seconds, tasks=len(timed.tasks))
    figure.disturbed |= timed.others_percent > OTHERS_MOST_PERCENT


def dearest(tasks: Sequence[tuple[str, float]]) -> list[str]:
    chosen = sorted(tasks, key=lambda one: -one[1])[:SHOWN]
    return [f"{seconds:.1f} s {name}" for name, seconds in chosen]


@contextlib.contextmanager
def hosts(keep: bool) -> Iterator[None]:
    try:
        yield
    finally:
        for name in NAMES if not keep else ():
            answer(["docker", "rm", "-f", "-v", name], timeout_seconds=60)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="keep the hosts")
    parser.add_argument("--second", action="store_true", help="only the second host; writes nothing")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="(%(default)s)")
    given = parser.parse_args(argv)
    figures = {name: Figure(name, "") for name in ("fresh host from archives", *AIMS)}
    lists: dict[str, list[str]] = {}
    try:
        install_packages("bench-converge", ["openssh-client"])
        make_derived("image ssh", IMAGE, "bookworm", SSH, '["sleep", "infinity"]', "an ssh server")
        with tempfile.TemporaryDirectory() as name, hosts(given.keep):
            place = Path(name)
            key = place / "key"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], why="making a key")
            cache = cache_directory().parent
            if not given.second:
                cache = place / "cache"
                shutil.copytree(cache_directory(), cache / "sources")
            runner = Runner(place, cache)
            if not given.second:
                inventory = write_inventory(place, NAMES[0], make_host(NAMES[0], key), key)
                timed = runner.play(NAMES[0], inventory, "gateway.yml")
                note(figures["fresh host from archives"], timed)
                lists["What cost most on a fresh host"] = dearest(timed.tasks)
                answer(["docker", "stop", "-t", "2", NAMES[0]])
            inventory = write_inventory(place, NAMES[1], make_host(NAMES[1], key), key)
            before = packages(NAMES[1])
            timed = runner.play(NAMES[1], inventory, "gateway.yml")
            note(figures["second host"], timed)
            came = packages(NAMES[1]) - before
            compiling = for_compiling(came)
            figures["second host"].remark = f"{len(came)} packages installed, {len(compiling)} for compiling"
            if compiling:
                figures["second host"].remark += f": {', '.join(compiling)}"
            lists["What cost most on the second host"] = dearest(timed.tasks)
            for _repetition in range(given.repetitions):
                timed = runner.play(NAMES[1], inventory, "gateway.yml")
                if runner.changed:
                    raise Trouble("the no-op run changed something")
                note(figures["no-op run"], timed)
            lists["What cost most in a run that changes nothing"] = dearest(timed.tasks)
            for number in range(given.repetitions):
                change = json.dumps({"gateway_bad_senders": [f"spammer{number}@bad.example"]})
                timed = runner.play(NAMES[1], inventory, "policy.yml", ("-e", change))
                note(figures["policy.yml"], timed)
            lists["What cost most in policy.yml"] = dearest(timed.tasks)
    except Trouble as trouble:
        print(f"bench-converge: {trouble}", file=sys.stderr)
        return 1
    if given.second:
        del figures["fresh host from archives"]
    for figure in figures.values():
        numbers = ", ".join(f"{metric} {told(metric, runs)}" for metric, runs in figure.runs.items())
        print(f"{figure.row:28} {numbers}  {figure.remark}")
    for title, entries in lists.items():
        print(f"{title}:\n  " + "\n  ".join(entries))
    if not given.second:
        aims = [
            f"{name} below {most:.0f} s: {'met' if min(figures[name].runs['seconds']) < most else 'not met'}"
            for name, most in AIMS.items()
        ]
        section = Section(
            "converge",
            "How long the playbooks take",
            "make bench-converge",
            time.strftime("%Y-%m-%d"),
            machine(),
            {},
            ABOUT,
            list(figures.values()),
            lists,
            aims,
        )
        for line in publish(section):
            print(f"worse than before: {line}")
    return 0


ABOUT = """\
Over ssh with pipelining, to containers of Debian 12 on the same machine; archives come from the controller's
cache, packages from the distribution's mirror. The second host is of the same platform as one for which all
was built, so nothing is to be compiled.
"""
