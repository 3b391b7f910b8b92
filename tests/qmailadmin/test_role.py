# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role brings to the host: every file of the program, pinned wheels, and a venv that is judged."""

from __future__ import annotations

import graphlib
import importlib.metadata
import re
from pathlib import Path

import make_venv
import pytest
from support.role_tasks import calls
from support.screen_driver import FILES

ROLE = FILES.parent
PINS = re.compile(r"([a-z-]+)==([0-9.]+) \\\n    --hash=sha256:([0-9a-f]{64})\n")


def test_every_file_of_the_program_is_installed() -> None:
    (call,) = calls(ROLE, "files")
    files = call["files"]
    installed = {one["path"].rpartition("}}/")[2] for one in files if "/qmailadmin/" in one["path"]}
    there = {f"qmailadmin/{path.name}" for path in (FILES / "qmailadmin").iterdir() if path.is_file()}
    assert installed == there
    for one in files:
        name = one["path"].rpartition("}}/")[2]
        if name in there:
            assert f"'{name}', rstrip=false" in one["content"]


def test_an_import_of_the_program_goes_one_way() -> None:
    imported = {
        path.stem: set(re.findall(r"(?m)^ *from \.([a-z]+) import", path.read_text(encoding="utf-8")))
        for path in (FILES / "qmailadmin").glob("*.py")
    }
    assert imported["app"] >= {"pages", "windows"} and "host" in imported["pages"]
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError


def test_every_requirement_is_pinned_with_its_hash_and_the_tests_run_on_the_same() -> None:
    text = (FILES / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    pins = {name: version for name, version, dummy in PINS.findall("".join(lines))}
    assert len(pins) * 2 == len(lines)
    assert pins["textual"] == importlib.metadata.version("textual")
    needed = {"textual"}
    for name in ("textual", "rich", "markdown-it-py", "mdit-py-plugins", "linkify-it-py"):
        for word in importlib.metadata.requires(name) or []:
            if "extra ==" not in word:
                needed.add(re.split(r"[^A-Za-z0-9._-]", word)[0].lower().replace("_", "-"))
    assert needed - set(pins) == set()


def venv_of(directory: Path, stamp: str, program: str) -> Path:
    (directory / "bin").mkdir()
    (directory / make_venv.STAMP).write_text(f"{stamp}\n", encoding="utf-8")
    python = directory / "bin" / "python"
    python.write_text(program, encoding="utf-8")
    python.chmod(0o755)
    return directory


@pytest.mark.parametrize(
    "stamp, program, state",
    [
        ("one", "#!/bin/sh\nexit 0\n", "current"),
        ("two", "#!/bin/sh\nexit 0\n", "of other requirements"),
        ("one", "#!/bin/sh\necho no module >&2; exit 1\n", "broken"),
        ("one", "#!/nowhere/python\n", "broken"),
    ],
)
def test_a_venv_is_current_or_it_is_said_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stamp: str, program: str, state: str
) -> None:
    venv = venv_of(tmp_path, stamp, program)
    assert make_venv.main(["check", str(venv), "one"]) == 0
    assert capsys.readouterr().out == f"{state}\n"


def test_no_venv_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_venv.main(["check", str(tmp_path / "none"), "one"]) == 0
    assert capsys.readouterr().out == "missing\n"


def test_a_failed_build_leaves_the_old_venv_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "venv").mkdir()
    venv = venv_of(tmp_path / "venv", "old", "#!/bin/sh\nexit 0\n")
    before = sorted(path.name for path in venv.rglob("*"))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'hashes do not match' >&2; exit 3\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    assert make_venv.main(["build", str(venv), "new", "requirements.txt", "wheels"]) == 1
    assert "ended with status 3; expected 0: hashes do not match" in capsys.readouterr().err
    assert sorted(path.name for path in venv.rglob("*")) == before
