# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test bed's own decisions, without a container."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from bed import packages, sources, suite
from bed.common import ROOT, Trouble
from bed.packages import AptSource
from bed.sources import Pinned

MACHINE = [
    AptSource("http://one.example/debian/", "bookworm", "main"),
    AptSource("http://one.example/debian/", "bookworm", "contrib"),
    AptSource("http://one.example/debian/", "bookworm-updates", "main"),
    AptSource("http://two.example/security/", "bookworm-security", "main"),
    AptSource("http://three.example/", "tool-bookworm", "main"),
]


def test_suite_sources_are_the_machines_own_under_another_name() -> None:
    assert packages.suite_sources(MACHINE, "bookworm", "trixie") == [
        AptSource("http://one.example/debian/", "trixie", "main"),
        AptSource("http://one.example/debian/", "trixie-updates", "main"),
        AptSource("http://two.example/security/", "trixie-security", "main"),
    ]


def test_apt_settings_keeps_proxies_and_clock_settings_alone() -> None:
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Date "false";\n'
        'APT::Update::Post-Invoke:: "rm -rf /";\nAcquire::Languages:: "de";\n'
    )
    assert packages.apt_settings(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Date "false";',
        'Acquire::Languages "none";',
    ]


@pytest.mark.parametrize("role", ["netqmail", "simscan", "cdb"])
def test_releases_reads_the_roles_files_as_yaml_does(role: str) -> None:
    text = (ROOT / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8")
    (by_version,) = (value for key, value in yaml.safe_load(text).items() if key.endswith("_releases"))
    (release,) = by_version.values()
    expected = [Pinned(source["url"], source["sha256"]) for source in release["sources"]]
    assert sources.releases(text) == expected
    assert expected


def test_standin_archive_depends_on_contents_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "BED", tmp_path / ".bed")
    source = tmp_path / "tests" / "standins" / "thing"
    source.mkdir(parents=True)
    (source / "b.c").write_text("int b;\n")
    (source / "a.sh").write_text("#!/bin/sh\n")
    first = sources.pack_standin("thing", "1").read_bytes()
    os.utime(source / "b.c", (1, 1))
    (source / "a.sh").touch()
    assert sources.pack_standin("thing", "1").read_bytes() == first
    (source / "b.c").write_text("int c;\n")
    assert sources.pack_standin("thing", "1").read_bytes() != first


@pytest.mark.parametrize(
    ("role", "choose"), [("netqmail", sources.choose_netqmail), ("simscan", sources.choose_simscan)]
)
def test_a_stand_in_is_chosen_where_the_real_source_cannot_be_had(
    role: str, choose: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "BED", tmp_path)
    monkeypatch.setattr(sources, "download", lambda pinned: "refused")
    for mode in ("auto", "always"):
        chosen = yaml.safe_load(choose(mode))
        assert (chosen[f"{role}_kind"], chosen[f"{role}_patches"]) == ("stand-in", [])
        (source,) = chosen[f"{role}_sources"]
        archive = Path(source["url"].removeprefix("file://"))
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == source["sha256"]
    with pytest.raises(Trouble, match=f"the source of {role} cannot be had"):
        choose("never")
    real = sources.role_releases(role)[0]
    monkeypatch.setattr(sources, "obtainable", lambda alternatives: (real.url, ""))
    assert choose("auto") == f"{role}_kind: source\n"


def test_obtainable_trusts_no_archive_of_another_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path))
    good = hashlib.sha256(b"good").hexdigest()
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / good).write_bytes(b"bad")
    monkeypatch.setattr(sources, "download", lambda pinned: "refused")
    assert sources.obtainable([Pinned("https://a.example/x", good)]) == ("", "a.example: refused")
    (tmp_path / "sources" / good).write_bytes(b"good")
    assert sources.obtainable([Pinned("https://a.example/x", good)])[0].endswith(good)


def test_download_refuses_another_content_and_keeps_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILGATE_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "origin"
    origin.write_bytes(b"right")
    right = hashlib.sha256(b"right").hexdigest()
    wrong = hashlib.sha256(b"wrong").hexdigest()
    assert sources.download(Pinned(origin.as_uri(), wrong)) == f"sha256 {right} instead of {wrong}"
    assert sources.download(Pinned(origin.as_uri(), right)) == ""
    assert [path.name for path in (tmp_path / "cache" / "sources").iterdir()] == [right]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 passed in 0.1s", (3, 0, 0)),
        ("==== 2 failed, 3 passed, 1 skipped in 12.34s ====", (3, 2, 1)),
        ("1 error in 0.5s\n  msg: 70 passed, 1 skipped in 40.02s (0:00:40)", (70, 0, 1)),
        ("70 passed, 2 failed in 4.0s\n'70 passed, 2 failed in 4.0s'", (70, 2, 0)),
        ("nothing to see; 12 passed by the way", (0, 0, 0)),
    ],
)
def test_counts_takes_the_last_line_of_pytest(text: str, expected: tuple[int, int, int]) -> None:
    assert tuple(suite.counts(text).values()) == expected


def test_failures_are_named_once_each() -> None:
    text = """
    - FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no
    - ERROR tests/e2e/test_b.py::test_two - OSError
      FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no
    """
    assert suite.failures(text) == [
        "FAILED tests/e2e/test_a.py::test_one[x-y] - AssertionError: no",
        "ERROR tests/e2e/test_b.py::test_two - OSError",
    ]


def test_without_docker_there_is_one_clear_sentence(tmp_path: Path) -> None:
    """A user who is not root, on a machine without a docker program."""
    (tmp_path / "bin").mkdir()
    code = (
        "import os, sys; sys.path.insert(0, 'tests'); from bed.__main__ import main; "
        "os.geteuid = lambda: 1000; sys.exit(main(['docker']))"
    )
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no docker program" in done.stderr and "run as root" in done.stderr


@pytest.mark.parametrize("place", ["tests/bed", "/"])
def test_runs_from_any_directory(place: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "bed"), "--help"],
        cwd=ROOT / place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python3 tests/bed ")


def test_no_module_has_a_name_of_the_standard_library() -> None:
    """Below tests/bed, `python3 -m venv` would run a venv.py of ours."""
    names = {path.stem for path in (ROOT / "tests" / "bed").glob("*.py")}
    assert names & sys.stdlib_module_names == set()
