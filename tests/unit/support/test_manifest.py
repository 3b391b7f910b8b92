# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts' files are compared byte by byte; what may differ is expected by name."""

from __future__ import annotations

import pytest
from support.manifest import Entry, differences, unexpected, without_pythons_version

FILE = Entry("-rw-r--r--", "root:root", "a hash")
LINK = Entry("lrwxrwxrwx", "root:root", "python3.11")
PROGRAM = Entry("-rwxr-xr-x", "root:root", "a hash", compiled=True)


@pytest.mark.parametrize(
    "other, expected",
    [
        ({"/etc/x": FILE}, {}),
        ({}, {"/etc/x": "only the first"}),
        ({"/etc/x": FILE, "/etc/y": FILE}, {"/etc/y": "only the second"}),
        ({"/etc/x": Entry("-rw-------", "root:root", "a hash")}, {"/etc/x": "mode"}),
        ({"/etc/x": Entry("-rw-------", "root:qmail", "another")}, {"/etc/x": "mode, owner, content"}),
        ({"/etc/x": Entry("-rw-r--r--", "root:root", "another")}, {"/etc/x": "content"}),
        ({"/etc/x": Entry("-rw-r--r--", "root:root", "another", compiled=True)}, {"/etc/x": "content"}),
    ],
)
def test_each_difference_has_its_name(other: dict[str, Entry], expected: dict[str, str]) -> None:
    assert differences({"/etc/x": FILE}, other) == expected


def test_of_two_programs_only_the_code_may_be_another() -> None:
    other = Entry("-rwsr-xr-x", "root:root", "another", compiled=True)
    assert differences({"/x": PROGRAM}, {"/x": other}) == {"/x": "mode, machine code"}
    found = unexpected({"/x": "mode, machine code", "/y": "machine code"}, {"*": ("machine code",)})
    assert found == {"/x": "mode, machine code"}


def test_what_is_expected_is_so_only_by_its_path_and_kind() -> None:
    found = {"/var/log/a/b": "content", "/var/log/c": "owner", "/var/lib/a": "content"}
    assert unexpected(found, {"/var/log/*": ("content",)}) == {"/var/log/c": "owner", "/var/lib/a": "content"}


def test_a_version_of_python_is_left_out_of_paths_and_links_but_not_of_files() -> None:
    hashed = Entry("-rw-r--r--", "root:root", "python3.11")
    found = without_pythons_version({"/v/lib/python3.11/x.py": hashed, "/v/bin/python3": LINK})
    assert found["/v/lib/python3/x.py"] == hashed
    assert found["/v/bin/python3"].content == "python3"
