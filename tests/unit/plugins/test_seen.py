# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight saw spares the host a question, as long as it is this play's and no package came since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.build import spec as source
from ansible_collections.mailgate.qmail.plugins.plugin_utils import recipes, seen
from support.role_cases import run_play

NOWHERE = "mailgate-no-such-package"


def values(**facts: Any) -> dict[str, Any]:
    result = seen.begun({"changed": False, "seen": {"packages": "a b"}}, {"ansible_play_name": "this"})
    return {
        "base_preflight": result,
        "ansible_facts": {**result["ansible_facts"], **facts},
        "ansible_play_name": "this",
    }


def test_what_was_seen_holds_in_its_play_until_packages_are_installed() -> None:
    assert seen.seen(values())["packages"] == "a b"
    assert seen.seen({**values(), "ansible_play_name": "another"}) == {}
    assert seen.seen(values(**seen.noted({}, True)["ansible_facts"])) == {}
    assert seen.seen({}) == {} and seen.seen({"base_preflight": {"skipped": True}}) == {}
    assert seen.noted({"changed": True}, False) == {"changed": True}


def recipe(place: Path, content: str = "text\n") -> dict[str, Any]:
    (place / "src").write_text(content)
    return {
        "name": "hello",
        "version": "1.0",
        "archives": [],
        "files": [{"path": "hello", "src": f"{place}/src"}],
        "install": [["install", "hello", "/usr/local/bin/hello"]],
        "artifacts": ["/usr/local/bin/hello"],
    }


@pytest.mark.slow
def test_only_what_was_seen_is_not_asked_for(tmp_path: Path) -> None:
    """In check mode: a package and a program that this machine has not are there, as preflight says."""
    given = recipe(tmp_path)
    params = recipes.validate(source.RECIPE_SPEC, given)
    key = recipes.read(params, "", lambda path: path).key
    found = {
        "packages": NOWHERE,
        "builds": {key: {"recipe_hash": "h", "source": []}},
        "play": "this",
    }
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.set_fact": {"base_preflight": {"seen": found}}},
        {"mailgate.qmail.deb_packages": {"name": [NOWHERE]}, "register": "there"},
        {"mailgate.qmail.deb_packages": {"name": [NOWHERE, f"{NOWHERE}-2"]}, "register": "lacking"},
        {"mailgate.qmail.source_build": {"recipe": given}, "register": "built"},
        {
            "mailgate.qmail.source_build": {"recipe": {**given, "version": "1.1"}},
            "register": "changed",
            "ignore_errors": True,
        },
        {
            "ansible.builtin.copy": {
                "content": "{{ [there, lacking, built, changed] | to_json }}",
                "dest": f"{tmp_path}/result",
            },
            "check_mode": False,
        },
    ]
    play = {"name": "this", "hosts": "localhost", "gather_facts": False, "tasks": tasks}
    status, output = run_play(
        tmp_path, json.dumps([play]), "-i", "localhost,", "-c", "local", "--check", "--diff"
    )
    assert status == 0, output
    there, lacking, built, changed = json.loads((tmp_path / "result").read_text())
    assert not there["changed"] and there["installed"] == []
    assert lacking["installed"] == [NOWHERE, f"{NOWHERE}-2"]
    assert (built["changed"], built["method"], built["recipe_hash"]) == (False, "unchanged", "h")
    assert changed["changed"] or changed["failed"]  # without root the host refuses the question
