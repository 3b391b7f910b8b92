# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators' screen on the gateway itself, on a terminal, with the service that is really there."""

from __future__ import annotations

import json

import pytest
from support.gateway import Bed

# Runs in the container: argv is [command, JSON of [what to wait for, what to type then], ...].
DRIVE = r"""
import fcntl, json, os, pty, re, select, struct, sys, termios, time
steps = [json.loads(one) for one in sys.argv[2:]]
pid, terminal = pty.fork()
if not pid:
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:2])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
said, end = "", time.monotonic() + 40
for wanted, keys in steps:
    while not re.search(wanted, said):
        if time.monotonic() > end:
            sys.exit(f"no {wanted!r} in {said[-3000:]!r}")
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 65536).decode("utf-8", "replace")
            said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    said = ""
    os.write(terminal, keys.encode())
try:
    while os.read(terminal, 65536):
        pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("command", ["qmailadmin", "/usr/bin/QmailAdmin"])
def test_it_shows_what_the_site_fixes_and_leaves(bed: Bed, command: str) -> None:
    if bed.inside("test", "-e", "/usr/local/bin/qmailadmin")[0] != 0:
        pytest.skip("no qmailadmin on this gateway")
    steps = [
        ("Why has it not arrived", "1"),
        (r"198\.51\.100\.64/26\s+fixed", "3"),
        ("spammer@bad.example", "q"),
    ]
    given = [json.dumps(step) for step in steps]
    status, said, error = bed.inside("python3", "-c", DRIVE, command, *given)
    assert (status, said.strip()) == (0, "0"), error
