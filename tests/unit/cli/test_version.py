# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`mailgate --version` says which version this is, of which commit, and what was built from where."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.lookup import collection_version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import layout, manifest, recipe
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import main as cli
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.cli import version
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.host import restarts

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layout, "STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(version, "VERSION_FILE", str(tmp_path / "version.json"))
    (tmp_path / "stamps").mkdir()
    return tmp_path


def test_version_commit_and_sources(stamps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made: dict[str, Any] = {"name": "netqmail", "version": "1.06"}
    label = {"place": "https://x.example/netqmail.tgz", "via": "cache", "sha256": "ab" * 32, "directory": "."}
    layout.write_stamp("netqmail", manifest.Manifest(made, recipe.recipe_hash(made), [label], (), (), ()))
    (stamps / "stamps/simscan.json").write_text("{")
    (stamps / "version.json").write_text(json.dumps({"version": "1.2.3", "commit": "0123456789ab"}))
    for argv in (["--version"], ["version"]):
        assert cli.main(argv) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "mailgate.qmail 1.2.3, commit 0123456789ab"
        assert lines[1].startswith("package ")
        assert lines[2:] == [
            "netqmail 1.06",
            "    from https://x.example/netqmail.tgz, by the cache",
            f"    sha256 {'ab' * 32}",
            "simscan: its record is damaged",
        ]


def test_what_a_run_built_and_started(
    stamps: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = stamps / "started"
    monkeypatch.setattr(version, "START_RECORDS", str(records))
    assert cli.main(["version", "--since", "1000"]) == 0
    assert capsys.readouterr().out == "built: nothing\nstarted or stopped: no service\n"
    made: dict[str, Any] = {"name": "netqmail", "version": "1.06"}
    label = {"place": "https://x.example/netqmail.tgz", "via": "cache", "sha256": "ab" * 32, "directory": "."}
    for name in ("netqmail", "older"):
        layout.write_stamp(name, manifest.Manifest(made, recipe.recipe_hash(made), [label], (), (), ()))
    os.utime(stamps / "stamps/older.json", (999, 999))
    restarts.note_order(str(records / "clamd"), 1000, 1010)
    restarts.note_order(str(records / "spamd"), 900, 910)
    assert cli.main(["version", "--since", "1000"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "built, or installed from the cache: netqmail 1.06 (x.example)",
        "started or stopped: clamd",
    ]


def test_the_server_of_a_place() -> None:
    assert version._server("https://x.example/a/b.tgz") == "x.example"
    assert version._server("pool main/d/djbdns/djbdns_1.05.orig.tar.gz") == "pool"
    assert version._server("file:///root/a.tgz") == "file:///root/a.tgz"
    assert version._server("?") == "?"


@pytest.mark.parametrize("text", [None, "", "{}", "[]"])
def test_an_older_gateway_has_no_version_yet(
    stamps: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    if text is not None:
        (stamps / "version.json").write_text(text)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mailgate.qmail: version unknown; ")


def test_an_archive_has_the_commit_that_it_was_made_of(tmp_path: Path) -> None:
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "1.2.3"}}))
    assert (collection_version.version(tmp_path), collection_version.commit(tmp_path)) == ("1.2.3", "")
    (tmp_path / "COMMIT").write_text(f"{COMMIT}\n")
    assert collection_version.commit(tmp_path) == COMMIT[:12]
    (tmp_path / "COMMIT").write_text("unknown\n")
    assert collection_version.commit(tmp_path) == ""


def test_a_checkout_has_its_own_commit_and_says_when_it_was_changed(tmp_path: Path) -> None:
    def git(*argv: str) -> str:
        names = ["-c", "user.name=x", "-c", "user.email=x@x.example"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *names, *argv], check=True, capture_output=True, text=True
        ).stdout.strip()

    (tmp_path / "galaxy.yml").write_text("namespace: mailgate\nversion: 1.2.3\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "1.2.3")
    (tmp_path / "COMMIT").write_text(COMMIT)  # left by a build, of another commit perhaps
    head = git("rev-parse", "HEAD")[:12]
    assert (collection_version.version(tmp_path), collection_version.commit(tmp_path)) == ("1.2.3", head)
    (tmp_path / "galaxy.yml").write_text("version: 1.2.4\n")
    assert collection_version.commit(tmp_path) == f"{head}-dirty"
