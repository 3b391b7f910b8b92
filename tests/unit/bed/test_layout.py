# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test of a module is found by its path, and what tests share lies in tests/support."""

from __future__ import annotations

import re

from bed.common import ROOT

UNIT = ROOT / "tests" / "unit"
PACKAGE = ROOT / "plugins" / "module_utils" / "mailgate"
SHARED = {"bed", "bench", "support"}  # the packages in tests


def test_unit_tests_mirror_the_package() -> None:
    """tests/unit/core/test_times.py tests core/times.py; test_times_x.py tests a part of it."""
    stray = []
    for path in UNIT.glob("*/test_*.py"):
        modules = {file.stem for file in (PACKAGE / path.parent.name).glob("*.py")}
        name = path.stem[len("test_") :]
        if modules and not any(name == module or name.startswith(f"{module}_") for module in modules):
            stray.append(f"{path.relative_to(ROOT)}: no module of its package has that name")
    for path in UNIT.glob("test_*.py"):
        if not path.stem.startswith("test_package") and path.stem != "test_managed_file":
            stray.append(f"{path.relative_to(ROOT)}: expected in a folder of what it tests")
    assert not stray


def test_what_tests_share_lies_in_support() -> None:
    allowed = {"conftest.py", "__init__.py", "__main__.py"}
    stray = [
        str(path.relative_to(ROOT))
        for folder in ("unit", "module", "e2e", "differential", "qmailadmin", "upgrade")
        for path in (ROOT / "tests" / folder).rglob("*.py")
        if not path.name.startswith("test_") and path.name not in allowed
    ]
    assert not stray


def test_no_file_of_tests_changes_the_path_of_imports() -> None:
    """pyproject.toml gives pytest the paths; a program of its own sets them when it runs as one."""
    stray = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "__main__.py"
        for line in re.findall(r"^sys\.path(?!_).*", path.read_text(encoding="utf-8"), re.MULTILINE)
        if re.search(r"__file__|ROOT|HERE", line)
    ]
    assert not stray


def test_packages_in_tests_are_whole() -> None:
    assert {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")} == SHARED
