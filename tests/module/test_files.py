from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module


def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module("files", arguments, check)


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_directories_files_and_links_are_made_in_one_call(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "directories": [
            {"path": f"{tmp_path}/control"},
            {"path": f"{tmp_path}/control/deep", "mode": "0700"},
        ],
        "files": [
            {"path": f"{tmp_path}/control/me", "content": "mx1.example.com\n"},
            {
                "path": f"{tmp_path}/control/deep/run",
                "content": "#!/bin/sh\n",
                "mode": "0755",
                "group": "nogroup",
            },
        ],
        "links": [{"path": f"{tmp_path}/link", "target": "control"}],
        "mode": "0640",
    }
    predicted = run(check=True, **arguments)
    assert names(tmp_path) == []
    made = run(**arguments)
    assert (made["changed"], made["diff"]) == (True, predicted["diff"])
    assert made["changed_paths"] == predicted["changed_paths"]
    assert made["changed_paths"] == [
        f"{tmp_path}/{name}" for name in ("control", "control/deep", "control/me", "control/deep/run", "link")
    ]
    modes = {name: oct((tmp_path / name).lstat().st_mode & 0o7777) for name in names(tmp_path)}
    assert modes == {
        "control": "0o755",
        "control/deep": "0o700",
        "control/deep/run": "0o755",
        "control/me": "0o640",
        "link": "0o777",
    }
    assert (tmp_path / "control/deep/run").stat().st_gid == 65534
    assert (tmp_path / "control/me").read_text() == "mx1.example.com\n"
    assert os.readlink(tmp_path / "link") == "control"
    assert run(**arguments)["changed"] is False


def test_a_directory_that_is_made_once_may_be_elsewhere(tmp_path: Path) -> None:
    """An administrator may have moved /var/qmail to another disk, with a link to it."""
    given = {"path": f"{tmp_path}/qmail", "once": True, "mode": "0750"}
    assert run(directories=[given])["changed"] is True
    assert (tmp_path / "qmail").stat().st_mode & 0o777 == 0o750
    (tmp_path / "qmail").rename(tmp_path / "disk")
    (tmp_path / "disk").chmod(0o755)
    (tmp_path / "qmail").symlink_to("disk")
    for check in (True, False):
        again = run(check, directories=[given])
        assert (again["failed"], again["changed"]) == (False, False), again
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o755
    refused = run(directories=[{**given, "once": False}])
    assert refused["msg"].startswith(f"path {tmp_path}/qmail: there is something else; expected a ")


def test_a_file_that_is_made_once_belongs_to_somebody_else_from_then_on(tmp_path: Path) -> None:
    file = {"path": f"{tmp_path}/list.cf", "content": "# yours\n", "once": True}
    prune = [{"directory": str(tmp_path), "pattern": "*"}]
    assert run(files=[file], prune=prune)["changed"] is True
    (tmp_path / "list.cf").write_text("mine\n")
    (tmp_path / "list.cf").chmod(0o600)
    assert run(files=[file], prune=prune)["changed"] is False
    assert (tmp_path / "list.cf").read_text() == "mine\n"


def test_sixty_files_take_less_than_two_seconds(tmp_path: Path) -> None:
    files = [{"path": f"{tmp_path}/{number}", "content": f"{number}\n"} for number in range(60)]
    began = time.monotonic()
    assert len(run(files=files)["changed_paths"]) == 60
    assert time.monotonic() - began < 2


def test_a_file_keeps_bytes_that_are_no_text(tmp_path: Path) -> None:
    run(files=[{"path": f"{tmp_path}/file", "content": "caf\u00e9 \udcff\n"}])
    assert (tmp_path / "file").read_bytes() == b"caf\xc3\xa9 \xff\n"


def test_prune_removes_the_regular_files_that_match_and_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "deep.py").mkdir()
    for name in ("kept.py", "stale.py", "other.txt", "deep.py/inner.py"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / "link.py").symlink_to("other.txt")
    arguments: dict[str, Any] = {
        "files": [{"path": f"{tmp_path}/kept.py", "content": "x\n"}],
        "prune": [
            {"directory": str(tmp_path), "pattern": "*.py"},
            {"directory": str(tmp_path), "pattern": "st*"},
            {"directory": f"{tmp_path}/none", "pattern": "*"},
        ],
    }
    predicted = run(check=True, **arguments)
    assert (tmp_path / "stale.py").exists()
    made = run(**arguments)
    assert made["changed_paths"] == predicted["changed_paths"] == [f"{tmp_path}/stale.py"]
    assert made["diff"] == predicted["diff"]
    assert names(tmp_path) == ["deep.py", "deep.py/inner.py", "kept.py", "link.py", "other.txt"]
    assert run(**arguments)["changed"] is False


def test_a_file_that_its_program_refuses_changes_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_text("echo old\n")
    validate = ["/bin/sh", "-c", 'echo "$1: line 1: no" >&2; exit 3', "check", "%s"]
    arguments: dict[str, Any] = {
        "files": [
            {"path": str(good), "content": "new\n"},
            {"path": str(bad), "content": "new\n", "validate": validate},
        ]
    }
    result = run(**arguments)
    assert result["msg"] == (
        f"path {bad}: {validate!r} refused it with exit status 3; expected 0; its output:\n{bad}: line 1: no"
    )
    assert result["changed_paths"] == []
    assert names(tmp_path) == ["bad"]
    assert bad.read_text() == "echo old\n"
    predicted = run(check=True, **arguments)
    assert predicted["changed_paths"] == [str(good), str(bad)], "check mode ran the program"


def test_the_program_reads_the_new_file(tmp_path: Path) -> None:
    for content, failed in [("[ a = a ] && true\n", False), ("if\n", True)]:
        file = {"path": f"{tmp_path}/rc", "content": content, "validate": ["/bin/sh", "-n", "%s"]}
        assert run(files=[file])["failed"] is failed
    assert (tmp_path / "rc").read_text() == "[ a = a ] && true\n"


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    file = {"path": f"{tmp_path}/rc", "content": "", "validate": ["/nowhere/check", "%s"]}
    assert run(files=[file])["msg"] == (
        f"path {tmp_path}/rc: ['/nowhere/check', '%s'] cannot be run, No such file or directory; "
        "expected a program of this host"
    )
    assert names(tmp_path) == []


def file(**more: Any) -> dict[str, Any]:
    return {"files": [{"path": "/nowhere/file", "content": "", **more}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (file(mode="420"), "path /nowhere/file: mode '420' is not octal; expected digits such as '0644'"),
    (file(mode=420), "path /nowhere/file: mode '420' is not octal; expected digits such as '0644'"),
    (file(mode="u=rw"), "path /nowhere/file: mode 'u=rw' is not octal; expected digits such as '0644'"),
    (file(mode="0648"), "path /nowhere/file: mode '0648' is not octal; expected digits such as '0644'"),
    (
        {"directories": [{"path": "/nowhere"}], "directory_mode": "755"},
        "path /nowhere: mode '755' is not octal; expected digits such as '0644'",
    ),
    (
        file(validate=["/bin/true"]),
        "path /nowhere/file: validate ['/bin/true'] is wrong; expected '%s' in one argument",
    ),
    (
        file(validate=["/bin/true", "%s", "%s"]),
        "path /nowhere/file: validate ['/bin/true', '%s', '%s'] is wrong; expected '%s' in one argument",
    ),
    (
        file(validate=["%s", "x"]),
        "path /nowhere/file: validate ['%s', 'x'] is wrong; expected '%s' in one argument",
    ),
    (
        {"prune": [{"directory": "/nowhere", "pattern": "a/*"}]},
        "prune /nowhere: pattern 'a/*' is not a name; expected one such as '*.cf'",
    ),
    (
        {"links": [{"path": "/nowhere/file", "target": "x"}], **file()},
        "path '/nowhere/file': named twice; expected once",
    ),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, Any], message: str, check: bool) -> None:
    result = run(check, **arguments)
    assert (result["failed"], result["msg"], result["changed_paths"]) == (True, message, [])


def test_a_missing_directory_and_an_unknown_owner_are_only_predicted(tmp_path: Path) -> None:
    path = f"{tmp_path}/none/file"
    files = [{"path": path, "content": "", "owner": "nemo"}]
    assert run(check=True, files=files)["changed_paths"] == [path]
    assert run(files=files)["msg"] == f"path {path}: owner 'nemo' does not exist; expected a known user"
    assert run(files=[{"path": path, "content": ""}])["msg"] == (
        f"path {path}: its directory '{tmp_path}/none' does not exist; expected it before"
    )
