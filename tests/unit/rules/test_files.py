# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of a fragment is in force, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.core.errors import BadInput
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.rules.files import (
    ABSENT,
    CURRENT,
    IN_PART,
    LAST_GOOD,
    LEFT_OUT,
    State,
    Versions,
    describe_faults,
    keep_good,
    read_versions,
)

NAME = "20-operator"


def number(text: str, path: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BadInput(f"{path}: {text!r}") from error


@pytest.mark.parametrize(
    ("text", "fault", "good", "missing", "expected"),
    [
        ("1", "", "2", "", (CURRENT, "", 1)),
        ("1", "", None, "m", (CURRENT, "", 1)),
        ("x", "", "2", "", (LAST_GOOD, "/d/20-operator: 'x'", 2)),
        ("x", "", "y", "", (LEFT_OUT, "/d/20-operator: 'x'", None)),
        ("x", "", None, "m", (LEFT_OUT, "/d/20-operator: 'x'", None)),
        (None, "is a link", "2", "m", (LAST_GOOD, "is a link", 2)),
        (None, "is a link", None, "", (LEFT_OUT, "is a link", None)),
        (None, "is a link", "y", "", (LEFT_OUT, "is a link", None)),
        (None, "", "2", "", (ABSENT, "", None)),
        (None, "", "2", "is missing", (LAST_GOOD, "is missing", 2)),
        (None, "", None, "is missing", (LEFT_OUT, "is missing", None)),
    ],
)
def test_the_version_in_force(
    text: str | None,
    fault: str,
    good: str | None,
    missing: str,
    expected: tuple[str, str, int | None],
) -> None:
    found = Versions(
        "/d",
        {} if text is None else {NAME: text},
        {NAME: fault} if fault else {},
        {} if good is None else {NAME: good},
    )
    version, told, value = expected
    assert found.usable(NAME, number, missing) == (State(version, told), value)


def test_only_what_is_good_as_it_stands_is_kept() -> None:
    found = Versions("/d", {"a": "1", "b": "x"}, good={"b": "2", "c": "3"})
    states = {name: found.usable(name, number)[0] for name in "abc"}
    assert found.to_keep(states) == {"a": "1"}


def test_each_fault_is_told_with_what_serves_instead() -> None:
    states = {
        "a": State(CURRENT),
        "b": State(LAST_GOOD, "b is bad"),
        "c": State(IN_PART, "c is bad"),
        "d": State(LEFT_OUT, "d is bad"),
        "e": State(ABSENT),
    }
    assert describe_faults(states) == [
        "b is bad; its last good version is in force",
        "c is bad; its last good version is in force without the rules that are no longer safe",
        "d is bad; it has no last good version and is left out",
    ]


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    directory, kept = tmp_path / "d", str(tmp_path / "state" / "good")
    directory.mkdir()
    names = ("a", "b", "c")
    assert read_versions(str(directory), names, kept) == Versions(str(directory), {})
    (directory / "a").write_bytes(b"\xff")
    (directory / "b").symlink_to("a")
    found = read_versions(str(directory), names, kept)
    assert found.texts == {"a": "\udcff"}
    assert found.faults["b"].startswith(f"file {directory}/b: is a link; expected ")
    keep_good(kept, found.texts)
    assert read_versions(str(directory), names, kept).good == {"a": "\udcff"}


def test_own_texts_stand_for_all_that_the_disk_holds(tmp_path: Path) -> None:
    kept = str(tmp_path / "good")
    keep_good(kept, {"a": "2", "b": "2"})
    (tmp_path / "a").symlink_to("b")
    found = read_versions(str(tmp_path), ("a", "b"), kept, own={"a": "x"})
    assert found == Versions(str(tmp_path), {"a": "x"}, {}, {"b": "2"})
    assert found.usable("a", number)[0].version == LEFT_OUT
