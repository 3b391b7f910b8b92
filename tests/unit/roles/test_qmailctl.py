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


def told(directory: Path, verb: str, services: list[str]) -> list[str]:
    """Return what svc hears."""
    for name in services:
        (directory / "service" / name).mkdir(parents=True)
    programs = directory / "bin"
    programs.mkdir()
    for name, does in (("svok", 'test -d "$1"'), ("svc", 'echo "$1 ${2##*/}" >>calls')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    script = TEMPLATE.read_text().replace("PATH=/var", f"PATH={programs}:/var", 1)
    script = script.replace("/service/", f"{directory}/service/")
    subprocess.run(["sh", "-c", script, "qmailctl", verb], cwd=directory, check=True, timeout=20)
    return (directory / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("verb", "services", "calls"),
    [
        ("pause", [], ["-p qmail-smtpd", "-p qmail-send"]),
        ("cont", [], ["-c qmail-send", "-c qmail-smtpd"]),
        ("pause", ["smtpfront"], ["-d smtpfront", "-p qmail-send"]),
        ("cont", ["smtpfront"], ["-c qmail-send", "-c qmail-smtpd", "-u smtpfront"]),
    ],
)
def test_pause_never_stops_the_launcher(
    tmp_path: Path, verb: str, services: list[str], calls: list[str]
) -> None:
    assert told(tmp_path, verb, ["qmail-send", "qmail-smtpd", *services]) == calls
