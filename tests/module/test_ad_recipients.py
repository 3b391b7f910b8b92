# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ad_recipients module on a real list."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import cdb
from support.module_runner import run_module

OTHERS = [
    b"abuse@example.com",
    b"abuse@mx1.example.com",
    b"mailer-daemon@mx1.example.com",
    b"postmaster",
    b"postmaster@example.com",
    b"postmaster@mx1.example.com",
    b"root@mx1.example.com",
]
DIRECTORY = {
    "servers": ["127.0.0.1:9"],
    "bases": ["DC=corp,DC=test"],
    "user": "reader@corp.test",
    "password_file": "/nonexistent/password",
    "preset": "plain",
}
CORP = {"name": "corp.test", "recipients": "directory"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def _run(place: Path, *addresses: str, check: bool = False, **more: Any) -> dict[str, Any]:
    domain = {"name": "example.com", "route": "10.0.0.5", "recipients": "list", "addresses": list(addresses)}
    arguments = {
        "directory": str(place),
        "user": "root",
        "hostname": "mx1.example.com",
        "domains": [domain],
        **more,
    }
    return run_module("ad_recipients", arguments, check)


def _file(place: Path) -> Path:
    return place / "validrcptto.cdb"


def _keys(place: Path) -> list[bytes]:
    return sorted(key for key, _ in cdb.Reader(_file(place).read_bytes()).items())


def _nobody(place: Path) -> str:
    """Give the place to a user without rights; return the user's name."""
    user = pwd.getpwnam("nobody")
    os.chown(place, user.pw_uid, user.pw_gid)
    for parent in place.parents:
        if str(parent) != "/" and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(0o711)
    return "nobody"


def test_first_run_then_nothing(place: Path) -> None:
    predicted = _run(place, "joe", check=True)
    assert os.listdir(place) == []
    result = _run(place, "joe")
    assert predicted["diff"] == result["diff"]
    assert _keys(place) == sorted([*OTHERS, b"joe@example.com"])
    assert (result["count"], result["gained_count"], result["lost_count"], result["problem"]) == (8, 8, 0, "")
    assert _file(place).stat().st_mode & 0o7777 == 0o644
    again = _run(place, "joe")
    assert (again["changed"], again["diff"], again["count"], again["generation"]) == (False, [], 8, 1)


def test_gained_and_lost_are_counted_and_bounded(place: Path) -> None:
    _run(place, *(f"user{number}" for number in range(6)))
    before = _file(place).read_bytes()
    predicted = _run(place, "joe", "user5", check=True, diff_limit=2)
    assert _file(place).read_bytes() == before
    result = _run(place, "joe", "user5", diff_limit=2)
    assert (
        predicted["diff"]
        == result["diff"]
        == [
            {
                "before_header": str(_file(place)),
                "after_header": str(_file(place)),
                "before": "13 recipients\n5 lost\nuser0@example.com\nuser1@example.com\nand 3 more lost\n",
                "after": "9 recipients\n1 gained\njoe@example.com\n",
            }
        ]
    )
    assert result["changed_paths"] == [str(_file(place))]


@pytest.mark.parametrize("content", [b"", b"x" * 3000, b"\0" * 2048 + b"x"])
def test_a_damaged_file_is_replaced_and_told(place: Path, content: bytes) -> None:
    _run(place, "joe")
    _file(place).write_bytes(content)
    with pytest.raises(BadInput) as damage:
        cdb.Reader(content, str(_file(place)))
    result = _run(place, "joe")
    assert (result["changed"], result["damage"]) == (True, str(damage.value))
    assert result["diff"][0]["before"] == f"{damage.value}\n"
    assert b"joe@example.com" in _keys(place)


def test_the_same_recipients_written_otherwise(place: Path) -> None:
    _run(place, "joe")
    _file(place).write_bytes(cdb.build(sorted(cdb.Reader(_file(place).read_bytes()).items(), reverse=True)))
    after = _run(place, "joe")["diff"][0]["after"]
    assert after == "8 recipients\n0 gained\nsame recipients, written again\n"


def test_what_is_written_belongs_to_the_user_and_so_did_the_process(place: Path) -> None:
    user = _nobody(place)
    assert _run(place, "joe", user=user)["changed"]
    owners = {one.lstat().st_uid for one in place.rglob("*")}
    assert owners == {pwd.getpwnam(user).pw_uid}
    # Were the process still root, a list that only root may write would be written.
    os.chown(place, 0, 0)
    result = _run(place, "jane", user=user)
    assert (result["failed"], "Permission denied" in result["msg"]) == (True, True)
    assert b"jane@example.com" not in _keys(place)


def test_a_user_that_is_not_there_yet_is_for_check_mode_only(place: Path) -> None:
    assert _run(place, "joe", user="no-such-user", check=True)["changed"]
    result = _run(place, "joe", user="no-such-user")
    assert (result["failed"], result["msg"]) == (
        True,
        "user 'no-such-user': does not exist; expected what the base role makes",
    )


def test_a_directory_that_is_silent_is_a_problem_and_no_failure(place: Path) -> None:
    arguments: dict[str, Any] = {"domains": [CORP], "directories": [DIRECTORY]}
    problem = "/nonexistent/password: No such file or directory; expected to read it"
    predicted = _run(place, check=True, **arguments)
    assert (predicted["changed"], predicted["problem"]) == (True, problem)
    assert predicted["diff"][0]["after"] == f"not known yet: {problem}\n"
    result = _run(place, **arguments)
    assert (result["failed"], result["changed"], result["problem"], result["count"]) == (
        False,
        False,
        problem,
        0,
    )
    assert problem in str(result["warnings"])
    assert not _file(place).exists()


def test_a_new_domain_without_its_directory_is_a_failure_beside_a_list_that_serves(place: Path) -> None:
    _run(place, "joe")
    before = _file(place).read_bytes()
    listed = {"name": "example.com", "recipients": "list", "addresses": ["jane"]}
    secret = place / "password"
    secret.write_text("secret\n")
    secret.chmod(0o400)
    for check in (True, False):
        directory = {**DIRECTORY, "password_file": str(secret)}
        result = _run(place, check=check, domains=[listed, CORP], directories=[directory])
        assert result["failed"]
        assert result["msg"].startswith(
            "domain corp.test: has no list yet, and the one that serves would refuse"
        )
    assert _file(place).read_bytes() == before


def test_check_mode_takes_a_directory_whose_password_the_run_writes_first(place: Path) -> None:
    _run(place, "joe")
    before = _file(place).read_bytes()
    result = _run(place, "joe", check=True, domains=[CORP], directories=[DIRECTORY])
    assert not result.get("failed") and result["changed"]
    problem = "directories: not asked in check mode, as /nonexistent/password is not there yet"
    assert result["problem"] == problem
    assert result["diff"][0]["after"] == f"not known yet: {problem}\n"
    assert _file(place).read_bytes() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"domains": []}, "domains: [] is empty; expected at least one domain"),
        (
            {"domains": [{"name": "example.com", "recipients": "list"}]},
            "domains item 1: 'example.com' has recipients 'list' and no addresses; expected at least one",
        ),
        (
            {"domains": [CORP]},
            "settings directories: 'corp.test' has recipients 'directory', and directories is missing or "
            "empty; expected directories with servers, bases, user and password, or recipients 'list' or "
            "'any'",
        ),
        (
            {"loss_percent": 101},
            "settings: loss_percent 101 is out of bounds; expected a number from 0 to 100",
        ),
        (
            {"directory": "/nonexistent"},
            "directory /nonexistent: missing; expected what the recipients role makes",
        ),
    ],
)
def test_what_is_refused_changes_nothing(place: Path, more: dict[str, Any], message: str) -> None:
    _run(place, "joe")
    before = _file(place).read_bytes()
    result = _run(place, "jane", **more)
    assert (result["failed"], result["msg"]) == (True, message)
    assert _file(place).read_bytes() == before
