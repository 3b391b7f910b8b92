# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clamav role: no limit of clamd's lies below a message, and the test virus is whole only in memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from support.role_cases import run_play

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 every text is a template

    def trust_as_template(text: str) -> str:
        return text


ROOT = Path(__file__).resolve().parents[3]
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


def play(directory: Path, given: dict[str, Any]) -> tuple[int, str]:
    """Exit status and output of the role's first step, and of its template, with these variables."""
    text = PLAY % (ROLE, directory / "clamd.conf")
    return run_play(directory, text, "-i", "localhost,", "-c", "local", "-e", json.dumps(given))


@pytest.mark.slow
@pytest.mark.parametrize("message_bytes", [15_000_000, 52_428_800, 250_000_000])
def test_no_limit_is_below_a_message(tmp_path: Path, message_bytes: int) -> None:
    given = {"clamav_max_message_bytes": message_bytes, "clamav_clamd_settings": {"AlertEncrypted": True}}
    status, said = play(tmp_path, given)
    assert status == 0, said
    written = (tmp_path / "clamd.conf").read_text()
    lines = [line.split(" ", 1) for line in written.splitlines() if not line.startswith("#")]
    found = dict(lines)
    assert {name for name in SIZES if int(found[name]) < message_bytes + 65536} == set()
    assert int(found["MaxScanSize"]) >= 2 * int(found["StreamMaxLength"])
    assert found["MaxFileSize"] == found["MaxScanSize"]
    assert (found["AlertExceedsMax"], found["ConcurrentDatabaseReload"]) == ("yes", "yes")
    assert found["AlertEncrypted"] == "yes"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"clamav_max_message_bytes": 0}, "clamav_max_message_bytes: 0 is not a limit"),
        (
            {"clamav_max_message_bytes": 15000000, "clamav_max_stream_bytes": 15000000},
            "clamav_max_stream_bytes: 15000000 is too small for messages of 15000000 bytes; expected 1506",
        ),
        ({"clamav_max_scan_bytes": 4294967296}, "clamav_max_scan_bytes: 4294967296 is more than ClamAV can"),
        (
            {"clamav_max_stream_bytes": 104857600, "clamav_max_scan_bytes": 200000000},
            "clamav_max_scan_bytes: 200000000 is too small",
        ),
        (
            {"clamav_clamd_settings": {"StreamMaxLength": "1M"}},
            "clamav_clamd_settings: ['StreamMaxLength'] are the role's own",
        ),
        (
            {"clamav_freshclam_settings": {"Checks": 24}},
            "clamav_freshclam_settings: ['Checks'] are the role's own",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limits_below_a_message_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    status, text = play(tmp_path, changed)
    assert status == 2
    assert said in re.sub(r"\s+", " ", text)


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


@pytest.mark.parametrize(
    ("there", "freshclam", "installed"),
    [
        ([], True, True),
        ([], False, True),
        (["daily.cvd"], True, False),  # freshclam's is newer, or will be
        (["daily.cld"], True, False),
        (["daily.cvd"], False, True),  # of the bundle before
        (["daily.cld"], False, False),  # of freshclam, when it was on
    ],
)
def test_without_freshclam_the_listed_database_takes_the_place_of_the_earlier(
    there: list[str], freshclam: bool, installed: bool
) -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "database.yml").read_text(encoding="utf-8"))
    (task,) = [one for one in tasks if one["name"] == "Install the first official databases"]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters.update(basename=os.path.basename, splitext=os.path.splitext)
    variables = {
        "item": "/srv/signatures/daily.cvd",
        "clamav_freshclam": freshclam,
        "clamav_before": {"files": [{"path": f"/var/lib/clamav/{name}"} for name in there]},
        "_clamav_names_before": [name.partition(".")[0] for name in there],
    }
    assert environment.compile_expression(task["when"])(**variables) is installed


@pytest.mark.parametrize("there", [True, False])
def test_apparmor_is_asked_for_where_the_facts_do_not_say(there: bool) -> None:
    """Facts of a cache were gathered by another play, which may not have wanted this one."""
    tasks = yaml.safe_load((ROLE / "tasks/package.yml").read_text(encoding="utf-8"))
    (load,) = [one for one in tasks if "apparmor_parser" in str(one)]
    values = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    known = {name: trust_as_template(text) for name, text in values.items() if name == load["when"]}
    status = {"status": "enabled" if there else "disabled"}
    for given in (
        {"ansible_facts": {"apparmor": status}, "clamav_apparmor_kernel": {"skipped": True}},
        {"ansible_facts": {}, "clamav_apparmor_kernel": {"stat": {"exists": there}}},
    ):
        templar = Templar(loader=DataLoader(), variables={**known, **given})
        assert templar.template(trust_as_template("{{ " + load["when"] + " }}")) is there
