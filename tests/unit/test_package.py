# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules carry to a host, and that imports go down through the layers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "module_utils" / "mailgate"
PREFIX = "ansible_collections.mailgate.qmail.plugins.module_utils."
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
# Not /proc, and not the files of every Unix: os-release, passwd, group.
HOST_PATH = re.compile(r"/(?!etc/(?:os-release|passwd|group)$)(?:etc|run|service|usr|var)/[^ :]*")


def imported(path: Path) -> set[Path]:
    """Return the package's files that a file imports itself, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base, parts = path.parents[node.level - 1], node.module.split(".") if node.module else []
        elif node.module is not None and f"{node.module}.".startswith(PREFIX):
            base, parts = PACKAGE.parent, node.module[len(PREFIX) :].split(".")
        else:
            continue
        place = base.joinpath(*parts)
        names = [place / alias.name for alias in node.names]
        found.update(
            candidate.with_suffix(".py")
            for candidate in (place, *names)
            if candidate.with_suffix(".py").is_file()
        )
    return found


def shipped(module: Path) -> set[str]:
    """Return what AnsiballZ puts beside a module: every file that is imported, and what that imports."""
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        new = imported(waiting.pop()) - seen
        seen |= new
        waiting += new
    return {path.relative_to(PACKAGE.parent).as_posix() for path in seen}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_module_ships_a_service_or_the_command_line(module: Path) -> None:
    unwanted = {
        name for name in shipped(module) if name.startswith("mailgate/cli/") or name.endswith("/service.py")
    }
    assert not unwanted


def test_a_module_ships_what_it_needs() -> None:
    names = shipped(ROOT / "plugins" / "modules" / "smtproutes.py")
    assert {"managed_file.py", "mailgate/formats/smtproutes.py", "mailgate/core/errors.py"} <= names
    assert not any(name.startswith(("mailgate/doctor/", "mailgate/build/")) for name in names)


def test_no_file_is_too_long_to_read() -> None:
    long = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > 500
    }
    assert not long


def test_paths_of_the_host_stand_in_one_module() -> None:
    """And in the list of all that is removed, most of which nothing else names."""
    stray = {
        f"{path.relative_to(PACKAGE)}: {node.value}"
        for path in PACKAGE.rglob("*.py")
        if path not in (PACKAGE / "core" / "paths.py", PACKAGE / "host" / "removal.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and HOST_PATH.fullmatch(str(node.value))
    }
    assert not stray
