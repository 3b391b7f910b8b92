# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The adaptive_blacklist module on a real file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.module_runner import run_module


def _run(path: Path, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module("adaptive_blacklist", {"path": str(path), **arguments}, check)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blacklist.json"
    assert _run(path, never=["192.0.2.0/24"], released=["198.51.100.7"])["changed"]
    return path


def test_the_difference_is_in_words(file: Path) -> None:
    before = file.read_bytes()
    arguments: dict[str, Any] = {
        "listing_seconds": 60,
        "never": ["192.0.2.0/24"],
        "added": [{"address": "203.0.113.9", "until": "2026-12-24", "note": "harvests"}],
    }
    predicted = _run(file, check=True, **arguments)
    assert file.read_bytes() == before
    result = _run(file, **arguments)
    assert predicted["diff"] == result["diff"]
    (diff,) = result["diff"]
    old, new = set(diff["before"].splitlines()), set(diff["after"].splitlines())
    assert old - new == {"refused for 14400 seconds", "198.51.100.7 is released and never listed"}
    assert new - old == {
        "refused for 60 seconds",
        "203.0.113.9 is refused until 2026-12-24 00:00:00 UTC (harvests)",
    }
    written = json.loads(file.read_text())
    assert written == result["settings"]
    assert written["added"] == [{"address": "203.0.113.9", "note": "harvests", "until": 1798070400}]
    again = _run(file, **arguments)
    assert (again["changed"], again["diff"]) == (False, [])


def test_ipv6_networks_are_one_entry_in_their_usual_form(tmp_path: Path) -> None:
    added = [{"address": one} for one in ("2001:DB8::7", "203.0.113.9", "2001:db8:1::9/48")]
    settings = _run(tmp_path / "new.json", added=added, released=["2001:0db8:0:5::/64"])["settings"]
    assert [one["address"] for one in settings["added"]] == [
        "203.0.113.9",
        "2001:db8::/64",
        "2001:db8:1::/48",
    ]
    assert settings["released"] == ["2001:db8:0:5::/64"]


def test_without_arguments_it_is_the_guides_rule(tmp_path: Path) -> None:
    settings = _run(tmp_path / "new.json")["settings"]
    numbers = ("attempts", "bad_percent", "window_seconds", "listing_seconds", "spare_ham")
    assert [settings[name] for name in numbers] == [10, 50, 3600, 14400, 50]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"attempts": 0}', "{}"])
def test_a_damaged_or_foreign_file_is_replaced(file: Path, damage: str) -> None:
    good = file.read_bytes()
    file.write_text(damage)
    result = _run(file, never=["192.0.2.0/24"], released=["198.51.100.7"])
    assert result["changed"]
    assert result["diff"][0]["before"] != result["diff"][0]["after"]
    assert file.read_bytes() == good


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attempts": 0}, "settings attempts: 0 is out of range; expected 1 to 10000 attempts"),
        (
            {"added": [{"address": "192.0.2"}]},
            "settings added item 1 address: '192.0.2' is not an address; expected one such as '192.0.2.7', "
            "'2001:db8::7', or an IPv6 network /64 or /48",
        ),
        (
            {"added": [{"address": "2001:db8::/56"}]},
            "settings added item 1 address: '2001:db8::/56' is a network that cannot be one entry; expected "
            "one such as '192.0.2.7', '2001:db8::7', or an IPv6 network /64 or /48",
        ),
        (
            {"ipv6_site_networks": 1},
            "settings ipv6_site_networks: one network /64 is no reason for a /48; expected 0, for never, or "
            "2 to 50",
        ),
    ],
)
def test_refused_arguments(file: Path, arguments: dict[str, Any], message: str) -> None:
    before = file.read_bytes()
    result = _run(file, **arguments)
    assert (result["failed"], result["msg"]) == (True, message)
    assert file.read_bytes() == before
