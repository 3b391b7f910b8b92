# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The code of a command: what a restart of its service depends on, and the package as it goes to a host."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible_collections.mailgate.qmail.plugins.lookup import package_code, package_files
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli.main import COMMANDS
from support.role_services import RoleService, role_services

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "module_utils" / "mailgate"

LOADED = """
import importlib, json, os, sys
sys.path.insert(0, sys.argv[1])
importlib.import_module("mailgate.cli.main")
for entry in sys.argv[2:]:
    if os.fork() == 0:  # each command alone
        importlib.import_module("mailgate." + entry)
        names = [name for name in sys.modules if name.split(".")[0] == "mailgate"]
        print(json.dumps([entry, names]), flush=True)
        os._exit(0)
    os.wait()
"""


def package(top: Path, **files: str) -> Path:
    for name, content in {"__init__": "", **files}.items():
        (top / f"{name}.py").write_text(content)
    return top


def names(top: Path, *entries: str) -> set[str]:
    return {file.relative_to(top).as_posix() for file in package_code.closure(top, entries)}


@pytest.mark.slow
def test_what_a_command_loads_is_part_of_its_code() -> None:
    entries = sorted({f"cli.{command.file}" for command in COMMANDS.values()})
    said = subprocess.run(
        [sys.executable, "-I", "-B", "-c", LOADED, str(PACKAGE.parent), *entries],
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = dict(json.loads(line) for line in said.stdout.splitlines())
    assert sorted(seen) == entries
    for entry, loaded in seen.items():
        known = {package_code.module_file(PACKAGE, name.partition(".")[2]) for name in loaded}
        assert known <= set(package_code.closure(PACKAGE, [package_code.LAUNCHED, entry])), entry


def test_a_service_does_not_depend_on_the_whole_package() -> None:
    assert len(package_code.closure(PACKAGE, ["cli.main", "cli.every"])) < 20


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    top = package(
        tmp_path,
        one="from . import two\nimport os\n",
        two="def later():\n    from .three import name\n",
        three="name = 1\n",
        four="from .one import something\n",
    )
    assert names(top, "one") == {"__init__.py", "one.py", "two.py", "three.py"}


def parsed(top: Path, file: Path) -> set[str]:
    """Return what Python's own parser finds."""
    above = list(file.parent.relative_to(top).parts)
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(above) + 1:
            base = [*above[: len(above) + 1 - node.level], *(node.module.split(".") if node.module else ())]
            found |= {".".join(base), *(".".join([*base, alias.name]) for alias in node.names)}
    return found


def test_every_import_of_the_package_is_found_as_python_finds_it() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        assert set(package_code.imported(PACKAGE, file)) == parsed(PACKAGE, file), file


def test_imports_are_found_in_every_form(tmp_path: Path) -> None:
    text = (
        "from . import a as b, c\nif True:\n    from .d import (\n        e,  # why\n        f as g,\n    )\n"
    )
    top = package(tmp_path, one=text)
    assert set(package_code.imported(top, top / "one.py")) == parsed(top, top / "one.py") >= {"a", "c", "d.f"}


def test_imports_are_followed_between_subpackages(tmp_path: Path) -> None:
    top = package(tmp_path, one="from .core import errors\n")
    for path, content in {
        "core/__init__.py": "",
        "core/errors.py": "",
        "core/atomic.py": "",
        "formats/__init__.py": "from ..core.atomic import replacing\n",
        "formats/cdb.py": "from . import other\n",
        "formats/other.py": "from ...elsewhere import x\n",
    }.items():
        (top / path).parent.mkdir(exist_ok=True)
        (top / path).write_text(content)
    assert names(top, "one") == {"__init__.py", "one.py", "core/__init__.py", "core/errors.py"}
    assert names(top, "formats.cdb") == {
        "__init__.py",
        "core/__init__.py",
        "core/atomic.py",
        "formats/__init__.py",
        "formats/cdb.py",
        "formats/other.py",
    }


def test_the_hash_changes_with_the_code_and_its_place_alone(tmp_path: Path) -> None:
    top = package(tmp_path, one="from . import two\n", two="x = 1\n", other="x = 1\n")
    before = package_code.code_hash(top, ["one"])
    (top / "other.py").write_text("x = 2\n")
    assert package_code.code_hash(top, ["one"]) == before
    (top / "two.py").write_text("x = 2\n")
    changed = package_code.code_hash(top, ["one"])
    assert changed != before
    (top / "two.py").unlink()
    (top / "two").mkdir()
    (top / "two" / "__init__.py").write_text("x = 2\n")
    assert package_code.code_hash(top, ["one"]) not in (before, changed)


def test_a_command_that_does_not_exist_is_said() -> None:
    with pytest.raises(AnsibleLookupError, match="'statz' is not a command of mailgate"):
        package_code.LookupModule().run(["statz"])


@pytest.mark.parametrize("service", role_services(), ids=lambda service: service.name)
def test_each_service_of_ours_names_its_code(service: RoleService) -> None:
    """A service that runs mailgate is restarted when the code of that very command changes."""
    commands = "".join(line for line in service.commands.splitlines(True) if not line.startswith("#"))
    started = re.search(r"(?:/usr/local/bin/|\s)mailgate\s+([a-z-]+)", commands)
    code = service.given.get("code", "")
    assert bool(code) == bool(started)
    if started:
        variables = yaml.safe_load((service.role / "vars" / "main.yml").read_text())
        value = variables[code.strip("{} ")]
        assert value == f"{{{{ lookup('mailgate.qmail.package_code', '{started.group(1)}') }}}}"


def test_the_package_goes_to_a_host_as_a_tree() -> None:
    (files,) = package_files.LookupModule().run(["mailgate"])
    there = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {item["path"] for item in files} == {f"mailgate/{path}" for path in there}
