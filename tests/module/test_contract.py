"""The contract of every module: check mode only reports the run, and a second run changes nothing."""

from __future__ import annotations

import ast
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from support.module_cases import TABLE, Case, Elsewhere
from support.module_runner import modules, run_module

ROOT = Path(__file__).resolve().parents[2]


def cases() -> list[Any]:
    entries = ((name, TABLE.get(name)) for name in modules())
    return [
        pytest.param(name, case, id=f"{name}-{case.name.replace(' ', '-')}")
        for name, entry in entries
        if isinstance(entry, list)
        for case in entry
    ]


def listing(paths: list[Path]) -> dict[str, tuple[Any, ...]]:
    """Return everything below the paths: kind, mode, owners, times of content and of status, content."""
    found: dict[str, tuple[Any, ...]] = {}
    for top in paths:
        for path in [top, *top.rglob("*")]:
            now = path.lstat()
            content = ""
            if stat.S_ISLNK(now.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(now.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            # The inode's number tells a file from one that was put in its place.
            times = (now.st_mtime_ns, now.st_ctime_ns)
            found[str(path)] = (now.st_ino, now.st_mode, now.st_uid, now.st_gid, *times, content)
    return found


def differences(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the diff of a result without its empty entries."""
    diff = result.get("diff", [])
    entries = diff if isinstance(diff, list) else [diff]
    return [entry for entry in entries if entry.get("prepared") or entry.get("before") != entry.get("after")]


@pytest.mark.parametrize("name", modules())
def test_every_module_is_in_the_table(name: str) -> None:
    entry = TABLE.get(name)
    if entry is None:
        pytest.fail(f"module {name} has no entry in tests/support/module_cases.py; expected cases or a test")
    if isinstance(entry, Elsewhere):
        file = ROOT / entry.file
        assert file.exists(), f"{entry.file} does not exist, which is to hold {name} to the contract"
        tree = ast.parse(file.read_text())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        missing = f"{entry.file} has no {entry.function}, which is to hold {name} to the contract"
        assert entry.function in names, missing
    else:
        assert entry, f"module {name} has no case"


@pytest.mark.parametrize("name", modules())
def test_every_module_declares_its_promises(name: str) -> None:
    text = (ROOT / "plugins" / "modules" / f"{name}.py").read_text()
    assert "mailgate.qmail.attributes" in text


@pytest.mark.parametrize(("name", "case"), cases())
def test_contract(name: str, case: Case, tmp_path: Path) -> None:
    undo = case.prepare(tmp_path)
    try:
        hold_to_contract(name, case, tmp_path)
    finally:
        if undo is not None:
            undo()


def hold_to_contract(name: str, case: Case, root: Path) -> None:
    arguments, watched = case.arguments(root), case.watched(root)
    before = listing(watched)
    predicted = run_module(name, arguments, check=True)
    assert listing(watched) == before, "check mode wrote"
    assert predicted["failed"] is False, predicted
    assert predicted["changed"] is case.changes
    assert bool(differences(predicted)) is case.changes
    if not case.runs:
        return

    made = run_module(name, arguments)
    assert made["failed"] is False, made
    assert made["changed"] is case.changes
    assert differences(made) == differences(predicted), "the run does not do what check mode says"
    if case.changes:
        assert listing(watched) != before, "nothing was written"
    else:
        assert listing(watched) == before, "an unchanged run wrote"
    if not case.repeatable:
        return

    after = listing(watched)
    for check in (True, False):
        again = run_module(name, arguments, check)
        assert (again["failed"], again["changed"], differences(again)) == (False, False, [])
        assert listing(watched) == after, "an unchanged run wrote"
