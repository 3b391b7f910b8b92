# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clamav role: no limit of clamd's lies below a message, and the test virus is whole only in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "clamav"
HALVES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["_clamav_eicar"]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: mailgate.qmail.clamav, tasks_from: limits, public: true}
    - ansible.builtin.template: {src: "%s/templates/etc/clamav/clamd.conf.j2", dest: "%s"}
"""
SIZES = {
    "StreamMaxLength",
    "MaxFileSize",
    "MaxScanSize",
    "MaxEmbeddedPE",
    "MaxHTMLNormalize",
    "MaxHTMLNoTags",
    "MaxScriptNormalize",
    "MaxZipTypeRcg",
    "PCREMaxFileSize",
}


@pytest.mark.parametrize("message_bytes", [15_000_000, 52_428_800, 250_000_000])
def test_no_limit_is_below_a_message(tmp_path: Path, message_bytes: int) -> None:
    written = tmp_path / "clamd.conf"
    (tmp_path / "play.yml").write_text(PLAY % (ROLE, written))
    given = json.dumps(
        {"clamav_max_message_bytes": message_bytes, "clamav_clamd_settings": {"AlertEncrypted": True}}
    )
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, "-i", "localhost,", "-c", "local", "-e", given, str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(" ", 1) for line in written.read_text().splitlines() if not line.startswith("#")]
    found = dict(lines)
    assert {name for name in SIZES if int(found[name]) < message_bytes + 65536} == set()
    assert int(found["MaxScanSize"]) >= 2 * int(found["StreamMaxLength"])
    assert found["MaxFileSize"] == found["MaxScanSize"]
    assert (found["AlertExceedsMax"], found["ConcurrentDatabaseReload"]) == ("yes", "yes")
    assert found["AlertEncrypted"] == "yes"


def test_the_signature_of_the_tests_is_that_of_the_proof() -> None:
    line = (ROOT / "tests/inventory/files/eicar.ndb").read_text(encoding="ascii").strip()
    assert bytes.fromhex(line.rpartition(":")[2]).decode("ascii") == "".join(HALVES)


def test_no_file_of_ours_is_itself_a_virus() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("no checkout of git")
    whole = "".join(HALVES).encode()
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    assert [str(path) for path in paths if path.is_file() and whole in path.read_bytes()] == []
