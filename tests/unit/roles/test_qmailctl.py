# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qmailctl tells the services of the front that runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.c_programs import ROOT

TEMPLATE = ROOT / "roles" / "netqmail" / "templates" / "usr" / "bin" / "qmailctl.j2"


def run(directory: Path, verb: str, services: list[str], uid: int = 0) -> subprocess.CompletedProcess[str]:
    for name in services:
        (directory / "service" / name / "log").mkdir(parents=True)
    programs = directory / "bin"
    programs.mkdir()
    stubs = {"svok": 'test -d "$1"', "svc": 'echo "$1 ${2##*/}" >>calls', "id": f"echo {uid}"}
    for name, does in stubs.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    script = TEMPLATE.read_text().replace("PATH=/var", f"PATH={programs}:/var", 1)
    script = script.replace("/service/", f"{directory}/service/")
    argv = ["sh", "-c", script, "qmailctl", verb]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, timeout=20)


def told(directory: Path, verb: str, services: list[str]) -> list[str]:
    """Return what svc hears."""
    assert run(directory, verb, services).returncode == 0
    return (directory / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("verb", "services", "calls"),
    [
        ("start", [], ["-u qmail-send", "-u log", "-u qmail-smtpd", "-u log"]),
        ("stop", [], ["-d qmail-smtpd", "-d qmail-send"]),
        ("restart", [], ["-d qmail-smtpd", "-t qmail-send", "-u qmail-smtpd"]),
        (
            "start",
            ["smtpfront"],
            ["-u qmail-send", "-u log", "-u qmail-smtpd", "-u log", "-u smtpfront", "-u log"],
        ),
        ("stop", ["smtpfront"], ["-d smtpfront", "-d qmail-smtpd", "-d qmail-send"]),
        (
            "restart",
            ["smtpfront"],
            ["-d smtpfront", "-t qmail-smtpd", "-u qmail-smtpd", "-t qmail-send", "-u smtpfront"],
        ),
        ("pause", [], ["-p qmail-smtpd", "-p qmail-send"]),
        ("cont", [], ["-c qmail-send", "-c qmail-smtpd"]),
        ("pause", ["smtpfront"], ["-i smtpfront", "-p qmail-send"]),
        ("cont", ["smtpfront"], ["-c qmail-send", "-c qmail-smtpd", "-uc smtpfront"]),
    ],
)
def test_port_25_closes_first_and_opens_last(
    tmp_path: Path, verb: str, services: list[str], calls: list[str]
) -> None:
    assert told(tmp_path, verb, ["qmail-send", "qmail-smtpd", *services]) == calls


@pytest.mark.parametrize(
    ("verb", "instead"),
    [
        ("stat", "mailgate operator status"),
        ("queue", "mailgate operator queue"),
        ("flush", "mailgate operator flush"),
        ("doqueue", "mailgate operator flush"),
        ("stop", ""),
        ("cdb", ""),
    ],
)
def test_without_root_it_says_who_may(tmp_path: Path, verb: str, instead: str) -> None:
    done = run(tmp_path, verb, [], uid=1000)
    assert done.returncode == 100
    assert not (tmp_path / "calls").exists()
    lines = done.stderr.splitlines()
    assert lines[0] == f"qmailctl {verb}: expected root: sudo qmailctl {verb}"
    assert lines[1:] == ([f"members of the group operators have: {instead}"] if instead else [])


def test_help_is_for_everybody(tmp_path: Path) -> None:
    assert run(tmp_path, "help", [], uid=1000).returncode == 0
