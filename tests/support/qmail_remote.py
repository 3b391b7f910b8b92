# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real qmail-remote alone, with control files of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.c_programs import run
from support.smtpfront_programs import build_netqmail

MESSAGE = b"Subject: x\n\n.body\n"
SENDER, RECIPIENT = "ann@sender.example", "joe@example.test"


@dataclass
class Report:
    """What qmail-remote says: of the recipient and of the message."""

    recipient: str
    message: str

    @property
    def result(self) -> str:
        return self.message[:1]


class Remote:
    """One qmail-remote with its own control files; tell() sends the message by one of them."""

    def __init__(self, program: Path, home: Path) -> None:
        self.program, self.home = program, home
        self.control = home / "control"
        self.control.mkdir(parents=True)
        (home / "queue" / "lock").mkdir(parents=True)
        (self.control / "me").write_text("gateway.example\n")

    def send(self, port: int, policies: str | None, seconds: int = 60, content: bytes = MESSAGE) -> Report:
        """Send a message to a server at 127.0.0.1, by a route."""
        (self.control / "smtproutes").write_text(f"example.test:127.0.0.1:{port}\n:127.0.0.1:{port}\n")
        (self.control / "timeoutremote").write_text(f"{seconds}\n")
        path = self.control / "tlspolicies"
        path.unlink(missing_ok=True)
        if policies is not None:
            path.write_text(policies)
        return self.run(content)

    def run(self, content: bytes = MESSAGE) -> Report:
        """Send a message by the control files that are there."""
        argv = [str(self.program), RECIPIENT.partition("@")[2], SENDER, RECIPIENT]
        done = subprocess.run(argv, input=content, capture_output=True, timeout=100, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        words = done.stdout.decode("ascii").split("\0")
        assert words.pop() == ""
        message = words.pop()
        return Report("".join(words), message)


def build_remote(place: Path, smtp_port: int = 25) -> Remote:
    """Build qmail-remote, with another port for hosts that are found by their MX."""
    home = place / "qmail"
    program = build_netqmail("qmail-remote", place / "netqmail", home)
    if smtp_port != 25:
        source = program.with_name("qmail-remote.c")
        text = source.read_text(encoding="latin-1")
        assert text.count("#define PORT_SMTP 25 ") == 1
        other = text.replace("#define PORT_SMTP 25 ", f"#define PORT_SMTP {smtp_port} ")
        source.write_text(other, encoding="latin-1")
        assert run(["make", "qmail-remote"], cwd=program.parent).returncode == 0
    return Remote(program, home)
