# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make fast` leaves out a part of which nothing has changed since it passed, and nothing else."""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bed import parts, suite, unchanged
from bed.common import ROOT
from bed.parts import FAST, TEST, Part

COLLECTION = "ansible_collections.mailgate.qmail."
PLACES = {
    COLLECTION: ROOT,
    "support.": ROOT / "tests",
    "bed.": ROOT / "tests",
    "bench.": ROOT / "tests",
    "qmailadmin.": ROOT / "roles" / "qmailadmin" / "files",
    "mailgate.": ROOT / "plugins" / "module_utils",
}
WITH_INPUTS = [part for part in parts.PARTS if part.inputs]


def files_of(base: Path) -> list[Path]:
    """Return the file of a module, and of each package that it is in."""
    found = [path for path in (Path(f"{base}.py"), base / "__init__.py") if path.is_file()]
    packages = [parent / "__init__.py" for parent in base.parents if parent.is_relative_to(ROOT)]
    return [*found, *(path for path in packages if found and path.is_file())]


@functools.cache
def imported(path: Path) -> tuple[Path, ...]:
    """Return the files of ours that a module imports, at its beginning or later."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            yield from files_of(base)
            for alias in node.names:
                yield from files_of(base / alias.name)
            continue
        else:
            continue
        for name in names:
            for prefix, place in PLACES.items():
                if name.startswith(prefix):
                    rest = name[len(prefix) :] if prefix == COLLECTION else name
                    yield from files_of(place.joinpath(*rest.split(".")))


@pytest.mark.parametrize("part", WITH_INPUTS, ids=lambda part: part.name)
def test_all_that_a_parts_tests_import_is_among_its_inputs(part: Part) -> None:
    inputs = set(unchanged.inputs(part))
    (tests,) = (ROOT / word for word in part.argv if word.startswith("tests/"))
    waiting, seen = list(tests.rglob("*.py")), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += imported(path)
    assert len(seen) > 20 and sorted(seen - inputs) == []
    assert all((ROOT / pattern.partition("*")[0]).exists() for pattern in part.inputs)


def test_the_inputs_of_the_tests_in_c() -> None:
    names = {str(path.relative_to(ROOT)) for path in unchanged.inputs(parts.BY_NAME["c"])}
    assert {
        "src/smtpfront/smtpfront.c",
        "src/common/say.h",
        "src/smtpfront/Makefile",
        "roles/ripmime/vars/main.yml",
        "tests/standins/netqmail/standin.c",
        "tests/fuzz/drive.c",
        "tests/unit/c/check.h",
        "pyproject.toml",
    } <= names
    assert any(name.startswith("roles/netqmail/files/patches/") for name in names)
    assert "roles/netqmail/tasks/main.yml" not in names


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src" / "a").mkdir(parents=True)
    (tmp_path / "src" / "a" / "a.c").write_text("one\n")
    monkeypatch.setattr(unchanged, "BED", tmp_path / "bed")
    monkeypatch.setattr(unchanged, "ROOT", tmp_path)
    return tmp_path


def ran(part: Part, place: Path, which: str = FAST, *more: str) -> tuple[int, bool, int]:
    """Return status, whether it was left out, and how often the part has run by now."""
    one = suite.run_part(
        part, os.environ, place / "log", suite=which, more=more, running=suite.Running(), prefix=""
    )
    runs = place / "runs"
    return one.status, one.unchanged, len(runs.read_text().splitlines()) if runs.exists() else 0


def counting(place: Path, then: str = "true", **more: tuple[str, ...]) -> Part:
    return Part("x", ("sh", "-c", f"echo >>{place}/runs; {then}"), 60, **{"inputs": ("src/*/*",), **more})


def test_what_passed_is_left_out_of_fast_alone_and_until_an_input_changes(place: Path) -> None:
    part = counting(place)
    assert ran(part, place) == (0, False, 1)
    assert ran(part, place) == (0, True, 1)
    assert ran(part, place, TEST) == (0, False, 2)
    assert ran(part, place, "") == (0, False, 3)  # make c
    (place / "src" / "a" / "a.c").write_text("two\n")
    assert ran(part, place) == (0, False, 4)
    (place / "src" / "a" / "new.h").write_text("")
    assert ran(part, place) == (0, False, 5)
    (place / "src" / "a" / "new.h").unlink()
    assert ran(part, place) == (0, False, 6)
    assert ran(part, place) == (0, True, 6)
    left_out = suite.Ran(part, 0, dict.fromkeys(suite.WORDS, 0), [], 0, unchanged=True)
    assert suite.line_of(left_out).startswith("  x              unchanged ")


def test_what_failed_or_was_run_in_part_or_changed_meanwhile_runs_again(place: Path) -> None:
    failing = counting(place, "false")
    assert ran(failing, place)[:2] == ran(failing, place)[:2] == (1, False)
    part = counting(place)
    assert ran(part, place, "", "-k", "x")[:2] == (0, False)
    assert ran(part, place)[1] is False
    meanwhile = counting(place, f"echo three >>{place}/src/a/a.c")
    assert ran(meanwhile, place)[:2] == ran(meanwhile, place)[:2] == (0, False)


def test_a_part_without_inputs_always_runs(place: Path) -> None:
    part = counting(place, inputs=())
    assert [ran(part, place), ran(part, place)] == [(0, False, 1), (0, False, 2)]


def test_another_compiler_or_package_counts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = counting(place)
    assert ran(part, place)[1:] == (False, 1)
    monkeypatch.setattr(unchanged, "_machine", lambda: "another")
    assert ran(part, place)[1:] == (False, 2)


def test_whatever_fast_leaves_out_runs_in_make_test() -> None:
    """A part of fast is one of test, too, and there nothing is taken away from its command."""
    narrowing = {"-m", "not slow", "-n", "2", "3", "--dist", "loadfile"}
    for part in parts.PARTS:
        assert FAST not in part.suites or TEST in part.suites
        assert set(part.fast) <= narrowing
        assert "-m" not in part.argv[3:] and "-k" not in part.argv


def test_each_folder_of_unit_tests_is_in_one_part() -> None:
    unit, c = parts.BY_NAME["unit"].argv, parts.BY_NAME["c"].argv
    left_out = [word.partition("=")[2] for word in unit if word.startswith("--ignore")]
    assert "tests/unit" in unit and left_out == ["tests/unit/c"] and "tests/unit/c" in c
