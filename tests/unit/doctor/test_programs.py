# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor sees of a program that delivers mail and cannot be run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor import programs
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.context import Context
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.findings import CRITICAL, OK
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.doctor.settings import Settings


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a program that needs a missing library; running it would leave a file."""
    place = tmp_path_factory.mktemp("program")
    (place / "lib.c").write_text("int lost(void) { return 0; }\n")
    (place / "main.c").write_text("int lost(void);\nint main(void) { return lost(); }\n")
    library = place / "liblost.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "lib.c", "-o", library], cwd=place, check=True)
    subprocess.run(["gcc", "main.c", library, "-o", "main"], cwd=place, check=True)
    library.unlink()
    return place / "main"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "var/qmail/bin"
    place.mkdir(parents=True)
    for name, bits in programs.PROGRAMS.items():
        (place / name).write_text("#!/bin/sh\n")
        (place / name).chmod(0o600 | bits)
    return tmp_path


def told(root: Path) -> list[tuple[int, str]]:
    context = Context(Settings("mx.example", "postmaster@example"), 0.0, True, str(root))
    found = programs.programs(context)
    assert all(one.advice for one in found if one.status != OK)
    return [(one.status, one.text) for one in found]


def test_all_can_be_run(root: Path) -> None:
    assert told(root) == [(OK, f"{len(programs.PROGRAMS)} programs of qmail can be run")]


@pytest.mark.parametrize("name", ["qmail-remote", "qmail-local"])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o700, 0o710])
def test_a_lost_execute_bit(root: Path, name: str, mode: int) -> None:
    (root / "var/qmail/bin" / name).chmod(mode)
    text = f"/var/qmail/bin/{name} has mode {mode:04o} and cannot be executed: mail is deferred"
    assert told(root) == [(CRITICAL, text)]


def test_missing_and_written_over(root: Path) -> None:
    place = root / "var/qmail/bin"
    (place / "qmail-remote").unlink()
    (place / "qmail-local").write_bytes(b"")
    (place / "qmail-getpw").unlink()
    (place / "qmail-getpw").mkdir()
    assert told(root) == [
        (CRITICAL, "/var/qmail/bin/qmail-remote is missing: mail is deferred"),
        (CRITICAL, "/var/qmail/bin/qmail-local is not a program: mail is deferred"),
        (CRITICAL, "/var/qmail/bin/qmail-getpw is not a file: mail is deferred"),
    ]


def test_a_lost_library_is_named_and_the_program_is_not_run(root: Path, program: Path) -> None:
    place = root / "var/qmail/bin/qmail-remote"
    place.write_bytes(program.read_bytes())
    (text,) = told(root)
    assert text[0] == CRITICAL
    assert text[1].startswith("/var/qmail/bin/qmail-remote lacks ")
    assert "liblost.so.1" in text[1]
