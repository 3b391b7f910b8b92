# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command on a real terminal (a pty of 80 by 24), with few colours and without any; and no terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest
from qmailadmin.app import colours
from support.screen_driver import FILES
from support.scripted_service import Service

pytestmark = pytest.mark.slow

RUN = (
    f"import sys; sys.path.insert(0, {str(FILES)!r}); from qmailadmin.__main__ import main; sys.exit(main())"
)
PATIENCE_SECONDS = 30.0


class Terminal:
    """The command, and what it writes."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.said = b""
        self.master, slave = pty.openpty()
        self.heard = select.poll()
        self.heard.register(self.master, select.POLLIN)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", RUN, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**kept, **environment},
            start_new_session=True,
        )
        os.close(slave)

    def until(self, *words: bytes) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not all(word in self.text for word in words):
            if time.monotonic() > end:
                self.process.kill()
            assert time.monotonic() < end, (words, self.text[-2000:])
            assert self.process.poll() is None, self.text[-2000:]
            if self.heard.poll(100):
                self.said += os.read(self.master, 65_536)

    @property
    def text(self) -> bytes:
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.said)

    def type(self, keys: bytes) -> None:
        self.said = b""
        os.write(self.master, keys)

    def end(self) -> int:
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()
            os.close(self.master)


def colour_codes(said: bytes) -> set[bytes]:
    """Return the sequences that set colours, except the terminal's own (39, 49)."""
    parts = {part for sgr in re.findall(rb"\x1b\[([0-9;]*)m", said) for part in sgr.split(b";")}
    return {part for part in parts if re.fullmatch(rb"(3|4|9|10)[0-8]", part)}


@pytest.mark.parametrize(
    "environment, frame, coloured",
    [
        ({"TERM": "vt100"}, "|", False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "│", False),
        ({"TERM": "linux"}, "│", True),
    ],
    ids=lambda value: str(value),
)
def test_it_is_used_by_keys_on_a_terminal(
    service: Service, environment: dict[str, str], frame: str, coloured: bool
) -> None:
    terminal = Terminal("--socket", service.path, **environment)
    terminal.until(b"Why has it not arrived?", b"gwen@waits.ex", b"q Quit", frame.encode())
    seen = terminal.said
    assert bool(colour_codes(seen)) == coloured
    # Where there are no colours, the chosen line is reversed.
    assert bool(re.search(rb"\x1b\[(?:[0-9;]*;)?7(?:;[0-9;]*)?m", seen)) != coloured
    assert b"\x07" not in seen
    terminal.type(b"2a")
    terminal.until(b"Allow a client", b"Enter: the next field, then the preview.")
    terminal.type(b"\x1b")
    terminal.until(b"q Quit")
    terminal.type(b"q")
    assert terminal.end() == 0


def test_it_ends_when_the_terminal_is_gone(service: Service) -> None:
    """A line that is cut: without an end it would ask a dead terminal for ever, at full speed."""
    terminal = Terminal("--socket", service.path, TERM="xterm")
    terminal.until(b"q Quit")
    os.close(terminal.master)
    try:
        assert terminal.process.wait(PATIENCE_SECONDS) != 0
    finally:
        terminal.process.kill()


@pytest.mark.parametrize(
    "environment, many",
    [
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, 256),
        ({"TERM": "xterm-direct"}, 256),
        ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16),
        ({}, 16),
        ({"TERM": "vt220"}, 0),
        ({"TERM": "dumb"}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 0),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
    ],
)
def test_how_many_colours_a_terminal_may_show(environment: dict[str, str], many: int) -> None:
    assert colours(environment) == many


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-B", "-c", RUN, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_terminal_it_says_so() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (100, "")
    assert "this is not a terminal; expected one (over ssh: ssh -t)" in done.stderr


def test_wrong_arguments_end_with_100_and_the_help_tells_all() -> None:
    done = run("--page", "nothing")
    assert done.returncode == 100 and "invalid choice: 'nothing'" in done.stderr
    done = run("--help")
    assert done.returncode == 0
    for word in ("--page", "--socket", "(trace)", "NO_COLOR", "exit status:", "example:"):
        assert word in done.stdout
