# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that makes bundles and takes them, as a playbook runs it; and what deb_packages sends of one."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.action import bundle as action
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import bundle
from ansible_collections.mailgate.qmail.plugins.plugin_utils import bundled_packages
from support.role_cases import run_play

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - mailgate.qmail.bundle: {arguments}
      register: made
    - mailgate.qmail.bundle: {{state: taken, path: "{{{{ made.path }}}}"}}
      register: taken
      when: made is not skipped and not ansible_check_mode
    - ansible.builtin.copy: {{content: "{{{{ [made, taken] | to_json }}}}", dest: "{place}/result"}}
"""


def run(place: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[int, str]:
    monkeypatch.setenv("MAILGATE_CACHE", str(place / "cache"))
    given = {
        "state": "made",
        "directory": str(place / "out"),
        "release": "12",
        "machine": "x86_64",
        **arguments,
    }
    text = PLAY.format(arguments=json.dumps(given), place=place)
    return run_play(place, text, "-i", "localhost,", "-c", "local")


def database(name: str, damaged: bool = False) -> bytes:
    body = name.encode() * 100
    digest = hashlib.md5(b"" if damaged else body).hexdigest()
    return f"ClamAV-VDB:01 Jan 2026 00-00 +0000:27:9:90:{digest}:sig:builder:1".encode().ljust(512) + body


def archive(place: Path) -> dict[str, Any]:
    (place / "hello.tar.gz").write_bytes(b"hello")
    digest = hashlib.sha256(b"hello").hexdigest()
    sources = [
        {"url": f"file://{place}/none.tar.gz", "sha256": "0" * 64},
        {"url": f"file://{place}/hello.tar.gz", "sha256": digest},
    ]
    archives = [{"sources": sources}]
    return {"name": "hello", "archives": archives, "package_method": "hello_install_method: package"}


@pytest.mark.slow
def test_a_bundle_is_made_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in action.DATABASES:
        (tmp_path / f"{name}.cvd").write_bytes(database(name))
    for suffix in ("", ".asc", ".sha256"):
        (tmp_path / f"7.tar.gz{suffix}").write_text(suffix)
    status, said = run(
        tmp_path,
        monkeypatch,
        recipes=[archive(tmp_path)],
        wheels=False,
        signatures=str(tmp_path),
        rules=f"{tmp_path}/7.tar.gz",
    )
    assert status == 0, said
    made, taken = json.loads((tmp_path / "result").read_text())
    assert made["path"] == f"{tmp_path}/out/mailgate-debian-12-x86_64.bundle" and made["changed"]
    assert made["sha256"] == hashlib.sha256(Path(made["path"]).read_bytes()).hexdigest()
    found = taken["bundle"]
    assert found["platform"] == "debian-12-x86_64" and found["wheels"] == found["packages"] == ""
    assert Path(found["rules"]).name == "7.tar.gz" and Path(f"{found['rules']}.asc").read_text() == ".asc"
    assert sorted(path.name for path in Path(found["signatures"]).iterdir()) == [
        "bytecode.cvd",
        "daily.cvd",
        "main.cvd",
    ]
    assert (tmp_path / "cache/sources" / hashlib.sha256(b"hello").hexdigest()).read_bytes() == b"hello"
    assert not (tmp_path / "cache/making").exists()


@pytest.mark.slow
def test_all_that_cannot_be_had_is_named_at_once_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in action.DATABASES:
        (tmp_path / f"{name}.cvd").write_bytes(database(name, damaged=name == "daily"))
    archives = [{"sources": archive(tmp_path)["archives"][0]["sources"][:1]}]
    lost = {"name": "lost", "archives": archives, "package_method": "lost_enabled: false"}
    status, said = run(
        tmp_path,
        monkeypatch,
        recipes=[lost],
        wheels_directory=str(tmp_path),
        signatures=str(tmp_path),
        rules=f"{tmp_path}/none.tar.gz",
    )
    assert status != 0
    for words in (
        "source of lost: cannot be fetched",
        "set lost_enabled: false",
        "daily.cvd: is not a whole database of ClamAV",
        "has no wheel of",
        "bundle_rules: ",
    ):
        assert words in said
    assert list((tmp_path / "out").iterdir()) == []


def test_the_wheels_pins_are_all_read() -> None:
    pins = action.pinned_wheels()
    text = Path(action.REQUIREMENTS).read_text(encoding="utf-8")
    assert len(pins) == text.count("==") and sum(map(len, pins.values())) == text.count("sha256:")


def test_freshclams_settings_are_the_sites_with_a_place_of_their_own() -> None:
    given = {"DatabaseMirror": ["a", "b"], "DatabaseOwner": "clamav", "NotifyClamd": "x", "HTTPProxyPort": 1}
    text = action.freshclam_settings(given, "/x")
    assert text.splitlines() == [
        "DatabaseDirectory /x",
        "DatabaseMirror a",
        "DatabaseMirror b",
        "DatabaseOwner root",
        "HTTPProxyPort 1",
        "ScriptedUpdates no",
    ]


def test_the_host_gets_of_the_repository_what_an_installation_takes(tmp_path: Path) -> None:
    for name in ("Packages", "a.deb", "b.deb", "c.deb"):
        (tmp_path / name).write_text(name)
    asked: list[dict[str, Any]] = []
    sent: dict[str, list[str]] = {}

    def execute(arguments: dict[str, Any]) -> dict[str, Any]:
        asked.append(arguments)
        return {"changed": True, "installed": ["a"], "files": ["a.deb", "c.deb"]}

    def send(path: str, name: str) -> str:
        if name.endswith(".tar"):
            with tarfile.open(path) as packed:
                sent[name] = packed.getnames()
        return f"/tmp/{name}"

    given = {"name": ["a"], "repository": str(tmp_path)}
    assert bundled_packages.install(given, False, execute, send)["changed"]
    assert [one["phase"] for one in asked] == ["missing", "plan", "install"]
    assert sent == {"packages.tar": ["a.deb", "c.deb"]}
    assert asked[-1]["transfer"] == {"index": "/tmp/Packages", "archive": "/tmp/packages.tar"}
    # Check mode writes nothing to the host, and without a repository the module does everything.
    asked.clear()
    bundled_packages.install(given, True, execute, send)
    bundled_packages.install({"name": ["a"], "repository": ""}, False, execute, send)
    assert [one.get("phase") for one in asked] == ["missing", None]


def test_a_bundles_name_has_release_and_architecture() -> None:
    assert bundle.file_name(bundle.Platform("debian", "13", "aarch64")) == "mailgate-debian-13-aarch64.bundle"
