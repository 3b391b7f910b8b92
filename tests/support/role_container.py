# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container in which a role has run: commands in it, and the role again with other variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PLAY = """\
- hosts: gateways
  gather_facts: true
  gather_subset: ["!all", "!min", apparmor, distribution, service_mgr, platform]
  vars_files: [{root}/playbooks/vars/site.yml]
  tasks:
    - ansible.builtin.import_role: {{name: mailgate.qmail.{role}}}
"""


@dataclass(frozen=True)
class Box:
    name: str

    def run(self, *argv: str, text: bytes = b"", within_seconds: float = 60) -> tuple[int, str]:
        """Return exit status and all output of a command in the container that reads `text`."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.name, *argv],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within_seconds,
            check=False,
        )
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def sh(self, script: str, within_seconds: float = 60) -> str:
        """Run a script; return its output, or raise when it fails."""
        status, said = self.run("sh", "-ec", script, within_seconds=within_seconds)
        assert status == 0, f"{script!r} ended with status {status}: {said}"
        return said

    def start(self, *argv: str) -> None:
        """Leave a command running in the container."""
        subprocess.run(["docker", "exec", "-d", self.name, *argv], check=True, timeout=30)

    def has(self, path: str) -> bool:
        return self.run("test", "-e", path)[0] == 0

    def role(self, role: str, directory: Path, variables: Mapping[str, Any]) -> tuple[bool, str]:
        """Return whether the role ended well with these variables, and what the playbook said."""
        play = directory / "play.yml"
        play.write_text(PLAY.format(root=ROOT, role=role))
        given = directory / "variables.json"
        given.write_text(json.dumps(dict(variables)))
        program = Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [str(program), "-i", str(ROOT / "tests/inventory"), "-e", f"@{given}", str(play)],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "MAILGATE_GATEWAY": self.name},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return done.returncode == 0, done.stdout.decode("utf-8", "replace")
