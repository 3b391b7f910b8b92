"""The valid_recipients module on a real file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils import managed_file
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate import cdb
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.modules import valid_recipients
from runner import run_module

OTHERS = [
    b"abuse@example.com",
    b"abuse@mx1.example.com",
    b"mailer-daemon@mx1.example.com",
    b"postmaster",
    b"postmaster@example.com",
    b"postmaster@mx1.example.com",
    b"root@mx1.example.com",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "validrcptto.cdb"


def _run(path: Path, *addresses: str, check: bool = False, **more: Any) -> dict[str, Any]:
    domain = {"name": "example.com", "route": "10.0.0.5", "recipients": "list", "addresses": list(addresses)}
    arguments = {"path": str(path), "hostname": "mx1.example.com", "domains": [domain], **more}
    return run_module("valid_recipients", arguments, check)


def _keys(path: Path) -> list[bytes]:
    return sorted(key for key, _ in cdb.Reader(path.read_bytes()).items())


def test_first_run_then_nothing(file: Path) -> None:
    predicted = _run(file, "joe", check=True)
    assert not file.exists()
    result = _run(file, "joe")
    assert predicted["diff"] == result["diff"]
    assert _keys(file) == sorted([*OTHERS, b"joe@example.com"])
    assert (result["count"], result["gained_count"], result["lost_count"], result["damage"]) == (8, 8, 0, "")
    now = file.stat()
    assert (now.st_mode & 0o7777, now.st_uid, now.st_gid) == (0o644, 0, 0)
    again = _run(file, "joe")
    assert (again["changed"], again["diff"], again["count"]) == (False, [], 8)
    assert os.listdir(file.parent) == [file.name]


def test_gained_and_lost_are_counted_and_bounded(file: Path) -> None:
    _run(file, *(f"user{number}" for number in range(6)))
    before = file.read_bytes()
    arguments: dict[str, Any] = {"diff_limit": 2}
    predicted = _run(file, "joe", "user5", check=True, **arguments)
    assert file.read_bytes() == before
    result = _run(file, "joe", "user5", **arguments)
    assert (
        predicted["diff"]
        == result["diff"]
        == [
            {
                "before_header": str(file),
                "after_header": str(file),
                "before": "13 recipients\n5 lost\nuser0@example.com\nuser1@example.com\nand 3 more lost\n",
                "after": "9 recipients\n1 gained\njoe@example.com\n",
            }
        ]
    )
    assert (result["gained"], result["lost"]) == (
        ["joe@example.com"],
        ["user0@example.com", "user1@example.com"],
    )


@pytest.mark.parametrize("content", [b"", b"x" * 3000, b"\0" * 2048 + b"x"])
def test_a_damaged_file_is_replaced_and_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput) as damage:
        cdb.Reader(content, str(file))
    result = _run(file, "joe")
    assert (result["changed"], result["damage"]) == (True, str(damage.value))
    assert result["diff"][0]["before"] == f"{damage.value}\n"
    assert b"joe@example.com" in _keys(file)


def test_the_same_recipients_written_otherwise(file: Path) -> None:
    _run(file, "joe")
    file.write_bytes(cdb.build(sorted(cdb.Reader(file.read_bytes()).items(), reverse=True)))
    assert _run(file, "joe")["diff"][0]["after"] == "8 recipients\n0 gained\nsame recipients, written anew\n"


def test_mode_is_brought_back(file: Path) -> None:
    _run(file, "joe")
    file.chmod(0o600)
    result = _run(file, "joe")
    assert (result["changed"], result["count"]) == (True, 8)
    assert file.stat().st_mode & 0o7777 == 0o644


def test_a_set_that_is_refused_changes_nothing(file: Path) -> None:
    _run(file, "joe")
    before = file.read_bytes()
    for arguments, message in (
        ({"domains": []}, "domains: [] is empty; expected at least one domain"),
        (
            {"domains": [{"name": "example.com", "recipients": "list"}]},
            "domains item 1: 'example.com' has recipients 'list' and no addresses; expected at least one",
        ),
        (
            {"domains": [{"name": "example.com", "recipients": "directory"}]},
            "domains item 1: recipients 'directory' of 'example.com' is not available in this version; "
            "expected 'list' or 'any'",
        ),
    ):
        result = _run(file, **arguments)
        assert (result["failed"], result["msg"]) == (True, message)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([(b"a", b"")], "/target: b'b' is not in its new copy; expected all 2 keys"),
        ([(b"a", b""), (b"b", b"x")], "/target: b'b' is not in its new copy; expected all 2 keys"),
        ([(b"a", b""), (b"b", b""), (b"c", b"")], "/target: 3 records are in its new copy; expected 2"),
    ],
)
def test_the_new_copy_is_read_back(file: Path, records: list[tuple[bytes, bytes]], message: str) -> None:
    check = valid_recipients.check_with([(b"a", b""), (b"b", b"")])
    wanted = managed_file.Desired("/target", b"")
    file.write_bytes(cdb.build([(b"a", b""), (b"b", b"")]))
    check(wanted, str(file))
    file.write_bytes(cdb.build(records))
    with pytest.raises(BadInput) as refusal:
        check(wanted, str(file))
    assert str(refusal.value) == message


def test_a_copy_that_fails_the_check_never_takes_the_place(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(file, "joe")
    before = file.read_bytes()
    build = cdb.build
    monkeypatch.setattr(cdb, "build", lambda records: build(records[:-1]))
    result = _run(file, "jane")
    assert result["failed"]
    assert result["msg"] == f"{file}: b'root@mx1.example.com' is not in its new copy; expected all 8 keys"
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]
