"""The module program: an answer that comes late, one that never does, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module


def run(*argv: str, check: bool = False, **more: Any) -> dict[str, Any]:
    return run_module("program", {"argv": list(argv), **more}, check)


def test_an_answer_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    script = f'n=$(cat {tmp_path}/n 2>/dev/null); echo "$n"x >{tmp_path}/n; echo "answer: $n"'
    assert run("sh", "-c", script, output="^answer: xx$", seconds=60)["stdout"] == "answer: xx\n"
    assert (tmp_path / "n").read_text() == "xxx\n"


@pytest.mark.parametrize(
    ("script", "given", "wrong"),
    [
        ("exit 3", {}, "it ended with status 3"),
        ("exit 0", {"status": [1, 2]}, "it ended with status 0"),
        ("echo FOUNDS", {"output": " FOUND$"}, "its output has no ' FOUND$'"),
        ("echo a FOUND; echo b OK", {"output": " FOUND$", "without": " OK$"}, "its output has ' OK$'"),
    ],
)
def test_another_answer_fails_and_is_shown(script: str, given: dict[str, Any], wrong: str) -> None:
    failed = run("sh", "-c", f"echo why >&2; {script}", expected="what it says", **given)
    assert failed["failed"] and f": {wrong}; expected what it says; it said: " in failed["msg"]
    assert failed["msg"].endswith("why")


def test_statuses_tell_whether_it_changed_something() -> None:
    both = {"status": [0, 1], "changed_status": [0]}
    assert [run("sh", "-c", f"exit {n}", **both)["changed"] for n in (0, 1)] == [True, False]


def test_it_reads_what_it_is_given_and_finds_programs_in_front(tmp_path: Path) -> None:
    program = tmp_path / "cat"
    program.write_text("#!/bin/sh\nexec tr a-z A-Z\n")
    program.chmod(0o755)
    assert run("cat", stdin="no line's end", path_prefix=[str(tmp_path)])["stdout"] == "NO LINE'S END"


def test_check_mode_runs_it_only_where_that_is_said(tmp_path: Path) -> None:
    argv = ("touch", f"{tmp_path}/there")
    assert run(*argv, check=True)["skipped"] is True
    assert not (tmp_path / "there").exists()
    assert run(*argv, check=True, in_check_mode=True)["status"] == 0
    assert (tmp_path / "there").exists()


@pytest.mark.parametrize("option", ["output", "without"])
def test_an_expression_that_is_none_is_refused(option: str, tmp_path: Path) -> None:
    failed = run("touch", f"{tmp_path}/there", **{option: "("})
    assert failed["msg"].startswith(f"{option}: '(' is not a regular expression, ")
    assert not (tmp_path / "there").exists()


def test_a_program_that_is_not_there_is_named() -> None:
    failed = run("/nowhere/program")
    assert failed["msg"].startswith("/nowhere/program: cannot be run, No such file or directory; expected ")


def test_a_status_that_is_expected_is_no_failure_to_ansible() -> None:
    """Ansible takes a result with an `rc` other than 0 for a failed one."""
    answer = run("sh", "-c", "exit 1", status=[1])
    assert ("rc" in answer, answer["failed"], answer["status"]) == (False, False, 1)
