# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's keys come from the controller: check mode makes none, a second run makes none again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FIRST = {"name": "mx1.example.com", "address": "192.0.2.1"}
SECOND = {"name": "mx2.example.com", "address": "mx2.example.com"}


def ask(directory: Path, *options: str, **given: object) -> tuple[int, dict[str, Any], str]:
    """Return the status of an ansible that runs the module on this host, its result, and all that it said."""
    arguments = {"directory": str(directory), "host": FIRST["name"], "gateways": [FIRST, SECOND], **given}
    argv = ["-i", "localhost,", "localhost", "-c", "local", "-m", "mailgate.qmail.fleet_keys"]
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/ansible", *argv, "-a", json.dumps(arguments), "-o", *options],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    start = said.find("=> {")
    return done.returncode, json.loads(said[start + 3 :].splitlines()[0]) if start >= 0 else {}, said


@pytest.mark.slow
def test_made_once_predicted_and_kept(tmp_path: Path) -> None:
    directory = tmp_path / "fleet"
    status, predicted, _said = ask(directory, "--check")
    assert status == 0 and predicted["changed"] and not directory.exists()
    status, first, _said = ask(directory)
    assert status == 0 and first["changed"] and "PRIVATE KEY" in first["key"]
    assert [Path(one).name for one in first["made"]] == [Path(one).name for one in predicted["made"]]
    status, again, _said = ask(directory)
    assert status == 0 and not again["changed"] and again["made"] == []
    names = ("ca", "certificate", "key", "passwords", "users")
    assert [again[name] for name in names] == [first[name] for name in names]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    status, _result, said = ask(tmp_path / "fleet", host="mx9.example.com")
    assert status != 0 and "host 'mx9.example.com': is not in the list of gateways" in said
    status, _result, said = ask(tmp_path / "fleet", gateways=[{"name": "mx1.example.com"}])
    assert status != 0 and "address" in said
    assert not (tmp_path / "fleet").exists()
