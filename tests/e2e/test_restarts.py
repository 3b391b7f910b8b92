# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play is killed between a change and its restart; the next one makes up for it and says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bed import collection
from bed.common import ROOT
from support.gateway import Bed
from support.playbook_output import RECAP, restarted_services
from support.waiting import eventually

PLAYBOOK = "tests/e2e/restarts.yml"
CHOICE = "tests/inventory/group_vars/gateways/choice.yml"  # which sources this machine has; not a file of git
# A control file that qmail-send reads, spamd's trusted.cf, and -c in two run scripts.
CHANGED = {
    "netqmail_queue_lifetime_seconds": 604801,
    "spamassassin_trusted_networks": ["198.51.100.0/24"],
    "netqmail_concurrency_incoming": 90,
    "smtp_front_sessions": 1990,
}
# They read lines of the programs that a converge replaces: new code of the package is theirs at once.
FOLLOWERS = {"stats", "adaptive-blacklist"}


@dataclass
class Said:
    """What a run of the playbook printed, once it had ended well."""

    text: str = field(repr=False)

    @property
    def changed(self) -> int:
        found = RECAP.search(self.text)
        assert found, self.text[-4000:]
        return int(found.group(1))

    @property
    def restarts(self) -> set[str]:
        return restarted_services(self.text)


@dataclass
class Plays:
    """Runs the playbook of a copy of this checkout in which the code of the service operator differs."""

    bed: Bed
    place: Path

    def start(self, *argv: str) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return subprocess.Popen(
            [program, "-i", "tests/inventory", PLAYBOOK, "--diff", *argv],
            cwd=self.place,
            env=dict(
                os.environ,
                ANSIBLE_CONFIG=str(self.place / "ansible.cfg"),
                ANSIBLE_COLLECTIONS_PATH=str(self.place / ".ansible" / "collections"),
                MAILGATE_GATEWAY=self.bed.name,
                ANSIBLE_FORCE_COLOR="0",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *argv: str) -> Said:
        running = self.start("-e", json.dumps(CHANGED), *argv)
        said, _nothing = running.communicate(timeout=300)
        assert running.returncode == 0, said[-4000:]
        return Said(said)

    def kill_after_the_changes(self) -> None:
        running = self.start("-e", json.dumps({**CHANGED, "break_off": True}))
        said: list[str] = []
        try:
            for line in running.stdout or ():
                said.append(line)
                if "everything is written" in line:
                    return
            raise AssertionError("".join(said)[-4000:])
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()

    @property
    def fronts(self) -> set[str]:
        """The front, where it is a service of its own."""
        return {self.bed.front} & {"smtpfront"}

    def pids(self) -> dict[str, str]:
        said = self.bed.inside("sh", "-c", "svstat /service/* /service/*/log")[1]
        return dict(re.findall(r"^/service/(\S+): up \(pid (\d+)\)", said, re.MULTILINE))

    def doctor(self) -> str:
        said = self.bed.inside("mailgate", "doctor", "--only", "services", "--json")[1]
        found = [f"{one['status']} {one['text']}" for one in json.loads(said)["findings"]]
        return "\n".join(found)


@pytest.fixture
def plays(bed: Bed, tmp_path: Path) -> Iterator[Plays]:
    copy = tmp_path / "ansible_collections" / "mailgate" / "qmail"
    collection.copy_project(copy, without=("tests/standins", "tests/unit", "tests/fixtures", "docs"))
    shutil.copy2(ROOT / CHOICE, copy / CHOICE)
    code = copy / "plugins" / "module_utils" / "mailgate" / "operators" / "service.py"
    code.write_text(code.read_text(encoding="utf-8") + "\n# Another version.\n", encoding="utf-8")
    place = copy / ".ansible" / "collections" / "ansible_collections" / "mailgate"
    place.mkdir(parents=True)
    (place / "qmail").symlink_to(copy)
    made = Plays(bed, copy)
    try:
        yield made
    finally:
        back = Plays(bed, ROOT).start()
        said, _nothing = back.communicate(timeout=300)
        assert back.returncode == 0, said[-4000:]


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after.get(name)}


def test_a_play_that_was_killed_before_a_restart_is_made_up_for(plays: Plays) -> None:
    run = plays.bed.root / "var/qmail/supervise/qmail-smtpd/run"
    old_run, before = run.read_text(), plays.pids()
    plays.kill_after_the_changes()
    eventually(lambda: plays.pids().keys() == before.keys(), "all services run")
    old, before = before, plays.pids()
    assert changed(old, before) == FOLLOWERS
    found = plays.doctor()
    for service, path in (
        ("qmail-send", "/var/qmail/control/queuelifetime"),
        ("spamd", "/etc/(mail/)?spamassassin/trusted[.]cf"),
    ):
        assert re.search(
            rf"^2 {service} runs as it was before a change: {path} changed$", found, re.MULTILINE
        )

    expected = {"qmail-send", "spamd", "operator", "qmail-smtpd", *plays.fronts}
    predicted = plays.run("--check")
    assert (predicted.restarts, plays.pids()) == (expected, before)
    made = plays.run()
    after = plays.pids()
    assert (made.restarts, changed(before, after)) == (expected, expected)
    assert "-c 90 " in run.read_text()
    again = plays.run()
    assert (again.changed, plays.pids()) == (0, after)
    assert "before a change" not in plays.doctor()

    # The run script is written and started by one module; one that was killed between leaves this.
    new_run = run.read_text()
    run.write_text(old_run)
    plays.bed.inside("svc", "-t", "/service/qmail-smtpd")
    plays.bed.wait_until_greeted(30)
    run.write_text(new_run)
    assert "2 qmail-smtpd runs as it was before a change: its run script changed" in plays.doctor()
    made = plays.run()
    assert made.restarts == {"qmail-smtpd"}
    assert plays.run("--check").changed == 0
