# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks against a gateway, with a site file that differs in some keys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.gateway import Bed

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What the playbook said, and how long it took."""

    text: str
    seconds: float

    def changed(self) -> int:
        found = re.search(r"changed=(\d+)", self.text)
        return int(found.group(1)) if found else -1


def change(bed: Bed, *options: str, **site: object) -> Run:
    """Run playbooks/policy.yml with a site file that differs in these keys."""
    return _play("playbooks/policy.yml", 180, bed, *options, **site)


def refused(bed: Bed, **site: object) -> str:
    """Run playbooks/policy.yml with a site file that it refuses; return what it said."""
    with pytest.raises(AssertionError) as caught:
        change(bed, **site)
    return str(caught.value)


def change_front(bed: Bed, front: str) -> Run:
    """Run the parts of playbooks/gateway.yml that change the front."""
    return _play("tests/e2e/front.yml", 300, bed, gateway_front=front)


def change_dane(bed: Bed, wanted: bool) -> Run:
    """Run the parts of playbooks/gateway.yml that bring DANE on the way out, or end it."""
    return _play("tests/e2e/dane.yml", 300, bed, gateway_outbound_dane=wanted)


def change_mta_sts(bed: Bed, wanted: bool) -> Run:
    """Run the parts of playbooks/gateway.yml that bring MTA-STS on the way out, or end it."""
    return _play("tests/e2e/mta_sts.yml", 300, bed, gateway_outbound_mta_sts=wanted)


def _play(playbook: str, within_seconds: float, bed: Bed, *options: str, **site: object) -> Run:
    argv = [
        "ansible-playbook", "-i", "tests/inventory", playbook, "--diff",
        "--extra-vars", json.dumps(site), *options,
    ]  # fmt: skip
    environment = {
        **os.environ,
        "MAILGATE_GATEWAY": bed.name,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    begin = time.monotonic()
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within_seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(done.stdout, time.monotonic() - begin)
