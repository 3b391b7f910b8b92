# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore leaves what the host has newer or better than the archive: lists, certificates, the audit log."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import backup as command
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import (
    backup,
    certificates,
    restored,
)
from support.certificates import make_authority, make_pair

NOW = datetime.now(timezone.utc)
AUDIT = "var/lib/mailgate/operator/audit.jsonl"
AUTHORITY = make_authority("authority")


@pytest.fixture
def old(tmp_path: Path) -> backup.Host:
    return host(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> backup.Host:
    return host(tmp_path / "new")


def host(root: Path) -> backup.Host:
    root.mkdir()
    return backup.Host(str(root), ("true",), "no-such-user")


def write(one: backup.Host, name: str, content: str) -> Path:
    path = Path(one.root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def move(old: backup.Host, new: backup.Host, tmp_path: Path) -> dict[str, int]:
    archive = str(tmp_path / "archive.tar.gz")
    backup.create(old, archive, queue=False)
    backup.inspect(new, archive)
    return backup.restore(new, archive, queue=False)


# --- the audit log, which is only ever added to ---

ACTS = "".join(json.dumps({"number": number, "stage": "begun"}) + "\n" for number in range(1, 4))
OTHERS = '{"number": 1, "stage": "begun", "value": "of another host"}\n'


@pytest.mark.parametrize(
    ("archived", "present", "wanted", "beside"),
    [
        (ACTS, None, ACTS, None),
        (ACTS, "", ACTS, None),
        (ACTS, ACTS, ACTS, None),
        (ACTS, ACTS + "later\n", ACTS + "later\n", None),
        (ACTS[:-4], ACTS + "later\n", ACTS + "later\n", None),  # archived while a line was written
        ("", ACTS, ACTS, None),
        (ACTS + "more\n", ACTS, ACTS + "more\n", None),
        (ACTS, OTHERS, ACTS, OTHERS),
        (OTHERS, ACTS, OTHERS, ACTS),
    ],
)
def test_no_line_of_an_audit_log_is_lost(
    archived: str,
    present: str | None,
    wanted: str,
    beside: str | None,
    old: backup.Host,
    new: backup.Host,
    tmp_path: Path,
) -> None:
    write(old, AUDIT, archived)
    if present is not None:
        write(new, AUDIT, present)
    move(old, new, tmp_path)
    path = Path(new.root) / AUDIT
    assert path.read_text() == wanted
    others = [one for one in path.parent.iterdir() if one != path]
    assert [one.read_text() for one in others] == ([] if beside is None else [beside])
    assert new.notices == [f"audit log: what was done on this host is in {one}" for one in others]


def test_two_logs_of_one_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(3):
        path.write_text(f"present {number}\n")
        (tmp_path / "restored").write_text(f"restored {number}\n")
        assert restored.put_audit_log(str(tmp_path / "restored"), str(path), 0)
    assert path.read_text() == "restored 2\n"
    kept = sorted(one.name for one in tmp_path.iterdir() if one != path)
    assert kept == [f"audit.jsonl.19700101T000000Z{end}" for end in ("", "-2", "-3")]


# --- the list of the recipients ---


def list_of(one: backup.Host, number: int, **state: Any) -> None:
    place = "var/lib/mailgate/recipients"
    write(one, f"{place}/generations/{number}/validrcptto.cdb", f"list of {one.root}")
    (Path(one.root) / place / "validrcptto.cdb").symlink_to(f"generations/{number}/validrcptto.cdb")
    write(one, f"{place}/state.json", json.dumps(state))


def served(one: backup.Host) -> tuple[str, Any]:
    place = Path(one.root) / "var/lib/mailgate/recipients"
    return (place / "validrcptto.cdb").read_text(), json.loads((place / "state.json").read_text())


def test_a_list_that_serves_stays_and_no_hold_comes_back(
    old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    list_of(old, 7, held="rolled back to generation 7 by ann")
    list_of(new, 1, last_export=4.0)
    counts = move(old, new, tmp_path)
    assert served(new) == (f"list of {new.root}", {"last_export": 4.0})
    assert not (Path(new.root) / "var/lib/mailgate/recipients/generations/7").exists()
    assert counts["recipients"] == 0
    assert new.notices == ["recipients: the list that serves on this host stays"]


def test_where_none_serves_the_archived_one_does_without_its_hold(
    old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    list_of(old, 7, held="rolled back to generation 7 by ann", last_export=4.0)
    write(new, "var/lib/mailgate/recipients/state.json", "{}")
    move(old, new, tmp_path)
    assert served(new) == (f"list of {old.root}", {"held": "", "last_export": 4.0})
    assert new.notices == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"held": ""}', '{"held": null, "last_export": 4.0}'])
def test_a_state_without_a_hold_comes_back_as_it_was(
    content: str, old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    write(old, "var/lib/mailgate/recipients/state.json", content)
    move(old, new, tmp_path)
    assert (Path(new.root) / "var/lib/mailgate/recipients/state.json").read_text() == content


# --- certificates ---


def use(one: backup.Host, place: Path, *, signed: bool, days: tuple[float, float] = (-1, 30)) -> bytes:
    """Put a pair into use; return its certificate."""
    paths = make_pair(place, days=days, issuer=AUTHORITY if signed else None)
    directory = Path(one.root) / "etc/mailgate/tls"
    directory.mkdir(parents=True, exist_ok=True)
    pair = certificates.read_pair(*map(str, paths))
    certificates.install(str(directory), [pair], os.getegid())
    return pair.certificate


@pytest.mark.parametrize(
    ("archived", "present", "stays"),
    [
        ({"signed": True, "days": (-9, 20)}, {"signed": True, "days": (-9, 80)}, True),  # renewed since
        ({"signed": True, "days": (-9, 80)}, {"signed": True, "days": (-9, 20)}, False),
        ({"signed": True, "days": (-9, -1)}, {"signed": True}, True),  # has expired since
        ({"signed": True, "days": (-9, -1)}, {"signed": False}, True),
        ({"signed": True, "days": (-9, 20)}, {"signed": False, "days": (-1, 3650)}, False),  # of a fresh host
        ({"signed": False, "days": (-9, 3650)}, {"signed": True, "days": (-9, 20)}, True),
        ({"signed": False, "days": (-9, 20)}, {"signed": False, "days": (-1, 3650)}, False),  # known to peers
        ({"signed": False, "days": (-9, -1)}, {"signed": False}, True),
        ({"signed": True, "days": (-9, -1)}, {"signed": True, "days": (-9, -2)}, False),  # neither is valid
    ],
)
def test_the_better_certificates_are_in_use(
    archived: dict[str, Any],
    present: dict[str, Any],
    stays: bool,
    old: backup.Host,
    new: backup.Host,
    tmp_path: Path,
) -> None:
    theirs, ours = use(old, tmp_path / "theirs", **archived), use(new, tmp_path / "ours", **present)
    move(old, new, tmp_path)
    (pair,) = certificates.installed(str(Path(new.root) / "etc/mailgate/tls"))
    assert pair.certificate == (ours if stays else theirs)
    assert bool(new.notices) is stays


def test_a_host_without_certificates_gets_the_archived_ones(
    old: backup.Host, new: backup.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where openssl is not installed, as none are judged."""
    theirs = use(old, tmp_path / "theirs", signed=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    move(old, new, tmp_path)
    (pair,) = certificates.installed(str(Path(new.root) / "etc/mailgate/tls"))
    assert pair.certificate == theirs


def test_archived_certificates_that_are_not_whole_change_nothing(
    old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    use(old, tmp_path / "theirs", signed=True)
    (Path(old.root) / "etc/mailgate/tls/current/key.pem").unlink()
    ours = use(new, tmp_path / "ours", signed=False)
    move(old, new, tmp_path)
    (pair,) = certificates.installed(str(Path(new.root) / "etc/mailgate/tls"))
    assert pair.certificate == ours


# --- spamd ---


@pytest.mark.parametrize("name", ["operator", "whitelist", "blocklist"])
def test_spamd_is_restarted_where_its_lists_come_back(
    name: str, old: backup.Host, new: backup.Host, tmp_path: Path
) -> None:
    write(old, f"etc/mail/spamassassin/{name}.cf", "whitelist_from a@b.example\n")
    archive = str(tmp_path / "archive.tar.gz")
    backup.create(old, archive, queue=False)
    assert "spamd" in backup.inspect(new, archive).services


def test_what_stays_is_said(
    old: backup.Host, new: backup.Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list_of(old, 7)
    list_of(new, 1)
    archive = str(tmp_path / "archive.tar.gz")
    assert command.main(["create", archive], old) == 0
    assert command.main(["restore", archive], new) == 0
    assert "mailgate backup: recipients: the list that serves on this host stays\n" in capsys.readouterr().out
