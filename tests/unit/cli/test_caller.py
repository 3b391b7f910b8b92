# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is named in what a command keeps."""

from __future__ import annotations

import os
import pwd

import pytest
from mailgate.cli.caller import caller

SELF = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("sudo", "login", "named"),
    [
        ("alice", "root", "alice"),
        ("j.doe-2_x", "root", "j.doe-2_x"),
        ("", "bob", "bob"),
        ("a b", "bob", SELF),
        ("\x1b[2J", "", SELF),
        ("", "", SELF),
    ],
)
def test_the_person_behind_sudo_is_named(
    monkeypatch: pytest.MonkeyPatch, sudo: str, login: str, named: str
) -> None:
    monkeypatch.setenv("SUDO_USER", sudo)
    monkeypatch.setenv("LOGNAME", login)
    assert caller() == named
