# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway is backed up and taken away; what only it knew is restored onto a fresh host.

The fresh host has the other release of Debian, or the one that MAILGATE_SECOND_SUITE names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bed import containers, converged
from bed.common import BED, ROOT, timed
from bed.python_venv import venv_program
from support.gateway import GATEWAY_ADDRESS, netqmail_kind
from support.playbook_output import RECAP

SECOND = f"mailgate-second-{os.getpid()}"
SUITE = os.environ.get("MAILGATE_SECOND_SUITE", "trixie")
DENIED = "198.51.100.220"  # by an operator
PEST = "198.51.100.200"  # by the adaptive blacklist
STRANGER = "198.19.77.9"  # of a network that the greylist has seen once
SA = ("env", "HOME=/var/lib/spamd", "setuidgid", "spamd", "sa-learn")
PASSPHRASE = "correct horse, battery"

# One try of a stranger, who is greylisted.
TRY = f"""
import smtplib
with smtplib.SMTP("{GATEWAY_ADDRESS}", 25, "client.example", 30, ("{STRANGER}", 0)) as s:
    s.ehlo_or_helo_if_needed(); s.mail("x@y.example"); print(*s.rcpt("alice@example.test"))
"""


@dataclass
class Host:
    """A container, asked as root."""

    name: str

    def run(self, *argv: str, text: str = "", status: int = 0) -> str:
        done = subprocess.run(
            ["docker", "exec", "-i", self.name, *argv],
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, f"{argv} ended with {done.returncode}: {done.stdout + done.stderr}"
        return done.stdout

    def sh(self, script: str, status: int = 0) -> str:
        return self.run("sh", "-c", script, status=status)

    def entries(self, which: str) -> list[str]:
        said = json.loads(self.run("mailgate", "operator", "entries", which, "--json"))
        return [one["value"] for one in said["entries"]]

    def learned(self) -> list[str]:
        """Return the numbers of messages of spam and of ham, and of tokens, that SpamAssassin learned."""
        said = self.run(*SA, "--dump", "magic")
        return re.findall(
            r"^\S+\s+\S+\s+(\d+)\s+\S+\s+non-token data: (?:nspam|nham|ntokens)$", said, re.MULTILINE
        )

    def play(self, playbook: str, *options: str) -> tuple[int, str]:
        """Run a playbook on this host; return its status and what it said, kept in .bed/second_host."""
        log = BED / "second_host" / f"{playbook}-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(log, "w", encoding="utf-8") as handle,
            timed("second host", f"{playbook}.yml on {self.name}"),
        ):
            done = subprocess.run(
                [
                    venv_program("ansible-playbook"),
                    "-i",
                    "tests/inventory",
                    f"playbooks/{playbook}.yml",
                    *options,
                ],
                cwd=ROOT,
                env={**containers.ansible_environment(self.name), "ANSIBLE_NOCOLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode, log.read_text(encoding="utf-8", errors="replace")

    def changed(self, playbook: str, *options: str) -> int:
        status, said = self.play(playbook, *options)
        found = RECAP.search(said)
        assert status == 0 and found, said[-4000:]
        return int(found[1])


@pytest.fixture
def first(request: pytest.FixtureRequest) -> Host:
    host = Host(str(request.config.getoption("--gateway")))
    containers.command_addresses(host.name)
    return host


@pytest.fixture
def second(request: pytest.FixtureRequest) -> Iterator[Host]:
    name = os.environ.get("MAILGATE_SECOND", "")  # one that is there, and stays
    if name:
        yield Host(name)
        return
    converged.command_start(SECOND, SUITE, False)
    try:
        yield Host(SECOND)
    finally:
        if not request.config.getoption("--keep"):
            containers.command_down(SECOND)


def mailbox(words: str) -> str:
    return "".join(
        f"From x Thu Jan  1 00:00:00 2026\nFrom: p{number}@learn.example\nSubject: {words} {number}\n"
        f"Message-ID: <{words[:5]}{number}@learn.example>\n\n{words} number {number}\n\n"
        for number in range(30)
    )


def teach(host: Host) -> None:
    """Give the gateway state that no site file has; its back ends do not answer, so mail stays queued."""
    host.run("mailgate", "deny", DENIED, "--note", "ticket 4711")
    host.run("mailgate", "recipient", "fax@example.test", "--note", "ticket 4712")
    host.run("mailgate", "blacklist", "add", PEST, "--for", "4h", "--note", "sends junk")
    host.run(*SA, "--spam", "--mbox", "-", text=mailbox("quartzbat umbrellafig"))
    host.run(*SA, "--ham", "--mbox", "-", text=mailbox("meetingoak ledgerfox"))
    assert host.run("python3", "-c", TRY).startswith("451 ")
    host.run("/var/qmail/bin/qmail-inject", "alice@example.test", text="Subject: queued\n\nwaits\n")


def queued(host: Host) -> int:
    return int(host.sh("find /var/qmail/queue/mess -type f | wc -l"))


# What an installed package brings may stay, and what runs until the container ends.
STRAY = r"""
for name in mailgate qmail tcp. badmailfrom dnscache svscan greylist simscan supervise; do
  find /service /command /package /etc /usr/local /usr/bin /usr/sbin /var /run -xdev -iname "*$name*"
done 2>/dev/null |
  sort -u | grep -v -e ^/var/lib/dpkg -e ^/var/lib/apt -e ^/var/cache -e ^/var/spool/simscan$ |
  while read -r path; do dpkg -S "$path" >/dev/null 2>&1 || echo "$path"; done
"""


def test_what_only_one_host_knew_comes_onto_another_and_the_first_is_taken_away(
    first: Host, second: Host, tmp_path: Path
) -> None:
    real = netqmail_kind(first.name) == "source"
    teach(first)
    learned, waiting = first.learned(), queued(first)
    options = (
        "-e", f"gateway_backup_directory={tmp_path}/backups", "-e", "gateway_backup_queue=true",
        "-e", json.dumps({"gateway_backup_passphrase": PASSPHRASE}),
    )  # fmt: skip
    first.changed("backup", *options)
    (archive,) = (tmp_path / "backups").iterdir()
    assert archive.suffix == ".gpg" and archive.stat().st_mode & 0o777 == 0o600
    assert first.sh("ls /var/lib/mailgate/backup 2>&1 || true").count("No such file") == 1

    # The fresh host knows nothing of it, and then all; the archive is refused without its passphrase.
    assert f"{DENIED}/32" not in second.entries("clients")
    restore = ("-e", f"gateway_restore_archive={os.path.relpath(archive, ROOT)}")  # as README.md has it
    status, said = second.play("restore", *restore)
    assert status != 0 and "gateway_backup_passphrase: is not set" in said
    second.changed("restore", *restore, *options)
    assert f"{DENIED}/32" in second.entries("clients") and "fax@example.test" in second.entries("recipients")
    second.run("mailgate", "recipients", "check", "fax@example.test")  # in the list of the second host
    assert PEST in second.run("mailgate", "blacklist", "list")
    assert "deny" in second.run("mailgate", "rules", "explain", DENIED)
    assert second.learned() == learned
    assert second.sh("find /var/qmail/cqgreylist -name '198.19.77.*' | wc -l").strip() == "1"
    assert "ticket 4711" in second.sh("cat /var/lib/mailgate/operator/audit.jsonl")
    if real:
        assert waiting == 1 and queued(second) == 1
    converged.command_await(second.name)
    assert second.run("python3", "-c", TRY).startswith(("250 ", "451 "))

    # Nothing is taken away by accident, nor while mail waits.
    for more in ((), ("-e", "gateway_remove=other")):
        status, said = first.play("remove", *more)
        assert status != 0 and "expected -e gateway_remove=gateway" in said
    confirmed = ("-e", "gateway_remove=gateway")
    if real:
        status, said = first.play("remove", *confirmed)
        assert status != 0 and "1 messages wait" in said
        assert first.run("python3", "-c", TRY).startswith(("250 ", "451 "))
    first.sh("echo theirs >/usr/sbin/sendmail.mailgate-diverted")
    confirmed = (*confirmed, "-e", "gateway_remove_queued=true")
    assert first.changed("remove", *confirmed) > 0
    assert first.sh("cat /usr/sbin/sendmail; rm /usr/sbin/sendmail") == "theirs\n"
    assert queued(first) == waiting
    assert DENIED in first.sh("cat /etc/tcp.d/20-operator")
    assert first.sh("ls /service") == "" and "mailgate" not in first.sh("ls /usr/local/bin")
    assert first.changed("remove", *confirmed) == 0
    everything = (*confirmed, "-e", "gateway_remove_data=true")
    assert first.changed("remove", *everything) > 0
    assert first.sh(STRAY) == ""
    assert not re.search(
        "^(qmail|simscan|smtpfront|stats|operators)", first.sh("cat /etc/passwd /etc/group"), re.M
    )
    assert first.changed("remove", *everything) == 0
