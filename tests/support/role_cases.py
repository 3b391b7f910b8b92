# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's play on this machine, and cases of its checks of variables: one run, a host for each."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_play(directory: Path, play: str, *options: str) -> tuple[int, str]:
    """Return the exit status and the output of a play."""
    (directory / "play.yml").write_text(play)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, *options, str(directory / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def run_cases(directory: Path, play: str, cases: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Run a play for all hosts, each case (variables, the words that refuse them, or '') on its own one.

    Asserts that those with words fail and say them, and that the others pass.
    """
    hosts = {
        f"case{number}": {**given, "ansible_connection": "local"}
        for number, (given, _wrong) in enumerate(cases)
    }
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    _status, output = run_play(directory, play, "-i", str(directory / "hosts.json"))
    recap = dict(re.findall(r"^(case[0-9]+) .*failed=([0-9]+)", output, re.MULTILINE))
    said = " ".join(output.split())
    assert len(recap) == len(cases), output
    for number, (_given, wrong) in enumerate(cases):
        assert recap[f"case{number}"] == ("1" if wrong else "0"), output
        assert wrong in said
